#!/bin/bash
# Meridian beside gdnsd, Knot DNS with mod-geoip and a server that does nothing, on this machine, in one run.
#
#   benches/side-by-side/run.sh CITY.mmdb [SECONDS=3] [ROUNDS=3]
#
# Processor time per query is given as a ratio to the server that does nothing, which is what the kernel alone costs:
# on another machine the times differ, the ratios hardly. Every server has one worker on the first core, the load has
# the second, all have the same city database and the same six regions. A peer that is not installed is left out
# (Debian: gdnsd, knot with knot-module-geoip; also dig, from bind9-dnsutils). Everything listens on 127.0.0.1.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
city=$(realpath "${1:?usage: run.sh CITY.mmdb [SECONDS] [ROUNDS]}")
seconds=${2:-3}
rounds=${3:-3}
kinds="steered-subnet steered static no-name"
first_port=${FIRST_PORT:-5400}

scratch=$(mktemp -d)
declare -A pid port
order=()
finish() {
    for label in "${order[@]}"; do kill "${pid[$label]}" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$scratch"
}
trap finish EXIT

cd "$root"
cargo build --release --quiet
load=$(cargo bench --bench load --no-run --message-format=json 2>/dev/null |
    sed -n 's/.*"executable":"\([^"]*\/load-[^"]*\)".*/\1/p' | tail -1)
zone='@ 3600 SOA ns1 hostmaster ( 1 7200 1800 259200 900 )
@ 3600 NS ns1
ns1 3600 A 192.0.2.53
static 60 A 192.0.2.80'

answers() {
    dig +tries=1 +time=1 -p "$1" @127.0.0.1 static.example.com A +short 2>/dev/null | grep -q '^192.0.2.80$'
}

# launch LABEL PORT COMMAND...: starts a server and tells how long its first answer took and what memory it holds.
launch() {
    local label=$1 at=$2 start
    shift 2
    start=$(date +%s%N)
    "$@" >"$scratch/$label.log" 2>&1 &
    pid[$label]=$!
    port[$label]=$at
    order+=("$label")
    if [ "$label" = null ]; then
        sleep 0.2
    else
        local tries=0
        until answers "$at"; do
            kill -0 "${pid[$label]}" 2>/dev/null && [ $((tries += 1)) -lt 2000 ] ||
                { echo "$label does not answer:"; tail -3 "$scratch/$label.log"; exit 1; }
            sleep 0.01
        done
        local took=$((($(date +%s%N) - start) / 1000000))
        awk -v label="$label" -v took="$took" '/^Vm(RSS|HWM):/ { held[$1] = $2 / 1024 }
            END { printf "%-9s start to first answer %5d ms, resident %4d MB, at most %4d MB\n",
                  label, took, held["VmRSS:"], held["VmHWM:"] }' "/proc/${pid[$label]}/status"
    fi
    taskset -a -pc 0 "${pid[$label]}" >/dev/null
}

launch_gdnsd() {
    local home=$scratch/gdnsd
    mkdir -p "$home"/{zones,geoip,run,state}
    ln -s "$city" "$home/geoip/city.mmdb"
    printf '%s\nwww 60 DYNA geoip!www\n' "$zone" >"$home/zones/example.com"
    sed -e "s|@HOME@|$home|" -e "s|@PORT@|$1|" "$root/benches/side-by-side/gdnsd.config" >"$home/config"
    launch gdnsd "$1" gdnsd -c "$home" start
}

launch_knot() {
    local home=$scratch/knot
    mkdir -p "$home"
    printf '$ORIGIN example.com.\n%s\nwww 60 A 192.0.2.1\n' "$zone" >"$home/zone"
    cp "$root/benches/side-by-side/knot-geo.yaml" "$home/geo.yaml"
    sed -e "s|@HOME@|$home|" -e "s|@PORT@|$1|" -e "s|@CITY@|$city|" -e "s|@USER@|$(id -un)|" \
        "$root/benches/side-by-side/knot.conf" >"$home/conf"
    launch knot "$1" knotd -c "$home/conf"
}

launch_meridian() {
    local home=$scratch/meridian
    mkdir -p "$home/zones"
    cp benches/world/zones/example.com.zone "$home/zones/"
    sed -e "s|127.0.0.1:0|127.0.0.1:$1|" -e "s|^\[regions\]|[geo]\ndatabases = [\"$city\"]\n\n&|" \
        benches/world/meridian.toml >"$home/meridian.toml"
    launch meridian "$1" target/release/meridian serve --config "$home/meridian.toml"
}

# Ticks of processor time that a server has used.
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }

launch null "$first_port" "$load" null "127.0.0.1:$first_port"
if command -v gdnsd >/dev/null; then launch_gdnsd $((first_port + 1)); fi
if command -v knotd >/dev/null; then launch_knot $((first_port + 2)); fi
launch_meridian $((first_port + 3))

hertz=$(getconf CLK_TCK)
for kind in $kinds; do
    for _ in $(seq "$rounds"); do
        for label in "${order[@]}"; do
            before=$(ticks "${pid[$label]}")
            read -r _ answered _ lost _ rate _ < <(taskset -c 1 "$load" blast "127.0.0.1:${port[$label]}" "$kind" "$seconds")
            echo "$kind $label $(($(ticks "${pid[$label]}") - before)) $answered $lost $rate"
        done
    done
done | awk -v hertz="$hertz" -f "$root/benches/side-by-side/summary.awk"
