#!/bin/bash
# How long Meridian takes from its start to its first answer with a city database: so many starts, one after the other, in
# milliseconds from the fastest to the slowest.
#
#   benches/side-by-side/starts.sh CITY.mmdb [STARTS=11]
#
# Asked with dig (Debian: bind9-dnsutils) every hundredth of a second. Everything is on 127.0.0.1.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
city=$(realpath "${1:?usage: starts.sh CITY.mmdb [STARTS]}")
starts=${2:-11}
port=${FIRST_PORT:-5498}

(cd "$root" && cargo build --release --quiet)
scratch=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$scratch"' EXIT
sed -e "s|\"zones\"|\"$root/benches/world/zones\"|" -e "s|127.0.0.1:0|127.0.0.1:$port|" \
    -e "s|^\[regions\]|[geo]\ndatabases = [\"$city\"]\n\n[regions]|" "$root/benches/world/meridian.toml" >"$scratch/meridian.toml"

took=()
for _ in $(seq "$starts"); do
    begin=$(date +%s%N)
    "$root/target/release/meridian" serve --config "$scratch/meridian.toml" >/dev/null 2>&1 &
    server=$!
    until dig +tries=1 +time=1 -p "$port" @127.0.0.1 static.example.com A +short 2>/dev/null | grep -q '^[0-9]'; do
        kill -0 "$server" || exit 1
        sleep 0.01
    done
    took+=($((($(date +%s%N) - begin) / 1000000)))
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
done
printf '%s\n' "${took[@]}" | sort -n | paste -sd ' '
