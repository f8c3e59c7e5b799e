# A scratch folder for a benchmark, which goes with the server that the benchmark started ($server) when it ends.
# Sourced by the scripts; $root is the project's folder.

meridian=${MERIDIAN:-$root/target/release/meridian}
[ -x "$meridian" ] || (cd "$root" && cargo build --release --quiet)

scratch=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT
