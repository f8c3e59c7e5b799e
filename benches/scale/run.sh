#!/bin/bash
# How it grows: Meridian from the smallest to the largest World, beside gdnsd and Knot DNS where they can have the same, in
# one run and one table.
#
#   benches/scale/run.sh CITY.mmdb[:CITY6.mmdb] [SECONDS=60] [LARGEST=1000000] [WHAT...]
#
# In the table are the time from the start of the process to the first answer about the last name, and the resident and the
# largest memory of all processes of the server (proportional set size; the peaks of the processes are added up). A server
# that has not answered after so many seconds is ended, and `-` stands there; so it does for what a server cannot have.
# Rows with more than LARGEST of their kind are left out, and with WHAT (rule-sets, regions, services, endpoints, records) all
# others. Behind the table comes what `cargo bench --bench scale` measures:
# reading the configuration alone, and a change of health for all rule sets (ONLY_TABLE=1 leaves it out). gdnsd has one map for all services or one for each rule set, Knot rules by continent for each name,
# and both the first database only. A peer that is not installed is left out (Debian: gdnsd, knot with
# knot-module-geoip; also dig, from bind9-dnsutils). Everything listens on 127.0.0.1.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
databases=$(IFS=:; for file in ${1:?usage: run.sh CITY.mmdb [SECONDS] [LARGEST]}; do realpath "$file"; done | paste -sd:)
seconds=${2:-60}
largest=${3:-1000000}
kinds=${*:4}
kinds=${kinds:-rule-sets regions services endpoints records}
port=${FIRST_PORT:-5480}
export PATH=$PATH:/usr/sbin

. "$root/benches/scratch.sh"

# world SERVER WHAT COUNT: writes what a server reads.
world() {
    local server=$1 home=$scratch/$1
    rm -rf "$home"
    mkdir -p "$home"/{zones,geoip,run,state,db}
    local common=(-v what="$2" -v count="$3" -v port="$port" -v home="$home" -v databases="$databases")
    local file=config
    case $server in
        meridian) file=meridian.toml ;;
        knot) file=geo.yaml ;;
    esac
    awk "${common[@]}" -v server="$server" -f "$root/benches/scale/worlds.awk" >"$home/$file" || return
    local zone=$home/zones/example.test
    [ "$server" != meridian ] || zone=$zone.zone
    awk "${common[@]}" -v server=zone -v to="$server" -f "$root/benches/scale/worlds.awk" >"$zone"
    ln -s "${databases%%:*}" "$home/geoip/city.mmdb"
    [ "$server" != knot ] || knot_settings "$home" "$2" >"$home/conf"
}

# knot_settings HOME WHAT: the settings of Knot, with its module unless there are only records.
knot_settings() {
    printf 'server:\n  listen: 127.0.0.1@%d\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n' "$port"
    printf '  rundir: "%s/run"\n  edns-client-subnet: on\n  user: %s\n' "$1" "$(id -un)"
    printf 'database:\n  storage: "%s/db"\n' "$1"
    if [ "$2" != records ]; then
        printf 'mod-geoip:\n  - id: world\n    config-file: "%s/geo.yaml"\n    ttl: 60\n    mode: geodb\n' "$1"
        printf '    geodb-file: "%s/geoip/city.mmdb"\n    geodb-key: [ continent/code ]\n' "$1"
    fi
    printf 'zone:\n  - domain: example.test\n    file: "%s/zones/example.test"\n' "$1"
    printf '    zonefile-sync: -1\n    journal-content: none\n'
    [ "$2" = records ] || printf '    module: mod-geoip/world\n'
}

# held PID KEY FILE: megabytes that a process and its children hold, added up.
held() {
    local all=$1 of=$1
    while of=$(pgrep -d, -P "$of") && [ -n "$of" ]; do all=$all,$of; done
    for each in ${all//,/ }; do cat "/proc/$each/$3" 2>/dev/null || true; done |
        awk -v key="$2:" '$1 == key { held += $2 } END { printf "%d", held / 1024 }'
}

# cell SERVER WHAT COUNT LAST COMMAND...: one start, as the table shows it.
cell() {
    local label=$1 what=$2 count=$3 last=$4 start took
    shift 4
    if ! command -v "$1" >/dev/null || ! world "$label" "$what" "$count"; then
        printf ' - |'
        return
    fi
    start=$(date +%s%N)
    "$@" >"$scratch/log" 2>&1 &
    server=$!
    until dig +tries=1 +time=1 -p "$port" @127.0.0.1 "s$last.example.test" A +subnet=193.0.0.0/21 +short 2>/dev/null | grep -q '^10\.'; do
        took=$((($(date +%s%N) - start) / 1000000000))
        if ! kill -0 "$server" 2>/dev/null || [ "$took" -ge "$seconds" ]; then
            { kill -9 "$server" && wait "$server"; } 2>/dev/null || true
            server=
            printf ' - |'
            echo "$label, $count $what: no answer after $took s: $(tail -1 "$scratch/log")" >>"$scratch/notes"
            return
        fi
        sleep 0.01
    done
    took=$((($(date +%s%N) - start) / 1000000))
    printf ' %d.%02d s, %d MB (%d) |' $((took / 1000)) $((took % 1000 / 10)) "$(held "$server" Pss smaps_rollup)" \
        "$(held "$server" VmHWM status)"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
}

# row WHAT COUNT LAST: every server.
row() {
    [[ " $kinds " == *" $1 "* ]] && [ "$2" -le "$largest" ] || return 0
    printf '| %s | %s |' "${1//-/ }" "$2"
    cell meridian "$@" "$meridian" serve --config "$scratch/meridian/meridian.toml"
    cell gdnsd "$@" gdnsd -c "$scratch/gdnsd" start
    cell knot "$@" knotd -c "$scratch/knot/conf"
    echo
}

printf '| what | how many | Meridian | gdnsd | Knot |\n|---|---|---|---|---|\n'
for count in 1 10 100 1000; do row rule-sets "$count" $((count - 1)); done
for count in 4 40 250; do row regions "$count" 0; done
for count in 1 100 10000 100000; do row services "$count" $((count - 1)); done
for count in 10 1000 100000; do row endpoints "$count" $((count / 10 - 1)); done
for count in 1000 10000 100000 1000000; do row records "$count" $((count / 2 - 1)); done
[ ! -e "$scratch/notes" ] || { echo; cat "$scratch/notes"; }
[ -z "${ONLY_TABLE:-}" ] || exit 0
echo
(cd "$root" && MERIDIAN_CITY_DB=$databases cargo bench --quiet --bench scale 2>/dev/null)
