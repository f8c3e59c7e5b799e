#!/bin/bash
# How long Meridian, Knot and NSD take to load large zones, on this machine, in one run, from the same files.
#
#   benches/zones/run.sh [RECORDS=1000000] [ZONES=100000] [ROUNDS=3]
#
# First one zone of so many records (A and AAAA of half as many names), then so many zones of four records. The time is
# from the start of the process to the first right answer from the last name of the last zone; the memory is what all
# processes of a server hold then (proportional set size). The best of the rounds is given. A peer that is not installed is
# left out (Debian: knot, nsd; also dig, from bind9-dnsutils). Everything listens on 127.0.0.1.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
records=${1:-1000000}
zones=${2:-100000}
rounds=${3:-3}
port=${FIRST_PORT:-5460}
export PATH=$PATH:/usr/sbin

. "$root/benches/scratch.sh"

# Each case is a folder of zone files; a server gets it with a configuration of its own.
mkdir -p "$scratch"/records/zones "$scratch"/zones/zones
head='$TTL 3600\n@ SOA ns1 hostmaster 1 7200 1800 259200 900\n@ NS ns1\nns1 A 192.0.2.53\n'
awk -v names=$((records / 2)) -v head="$head" 'BEGIN {
    printf "$ORIGIN large.test.\n" head
    for (n = 1; n <= names; n++) {
        printf "host%d A 10.%d.%d.%d\n", n, int(n / 65536) % 256, int(n / 256) % 256, n % 256
        printf "host%d AAAA 2001:db8::%x:%x\n", n, int(n / 65536), n % 65536
    }
}' >"$scratch/records/zones/large.test.zone"
awk -v zones="$zones" -v head="$head" -v folder="$scratch/zones/zones" 'BEGIN {
    for (n = 1; n <= zones; n++) {
        file = folder "/small" n ".test.zone"
        printf "$ORIGIN small%d.test.\n" head "www A 192.0.2.80\n", n >file
        close(file)
    }
}'

# names_of CASE: the zones of a case.
names_of() {
    if [ "$1" = records ]; then echo large; else seq -f 'small%.0f' "$zones"; fi
}

configure() {
    local folder=$scratch/$1
    printf '[server]\nlisten = ["127.0.0.1:%d"]\n[admin]\nlisten = "127.0.0.1:0"\n' "$port" >"$folder/meridian.toml"
    {
        printf 'server:\n  rundir: "%s"\n  listen: 127.0.0.1@%d\ndatabase:\n  storage: "%s"\n' "$folder" "$port" "$folder"
        printf 'template:\n  - id: default\n    storage: "%s/zones"\n    file: "%%s.zone"\n' "$folder"
        printf '    zonefile-sync: -1\n    journal-content: none\nzone:\n'
        names_of "$1" | sed 's/.*/  - domain: "&.test"/'
    } >"$folder/knot.conf"
    {
        printf 'server:\n  ip-address: 127.0.0.1@%d\n  username: ""\n  database: ""\n  zonesdir: "%s/zones"\n' "$port" "$folder"
        printf '  pidfile: "%s/pid"\n  xfrdfile: "%s/xfrd"\n  xfrdir: "%s"\n  zonelistfile: "%s/list"\n' \
            "$folder" "$folder" "$folder" "$folder"
        printf 'remote-control:\n  control-enable: no\n'
        names_of "$1" | sed 's/.*/zone:\n  name: "&.test"\n  zonefile: "&.test.zone"/'
    } >"$folder/nsd.conf"
}

# memory PID: megabytes that a process and its children hold.
memory() {
    local all=$1 of=$1
    while of=$(pgrep -d, -P "$of") && [ -n "$of" ]; do all=$all,$of; done
    for each in ${all//,/ }; do cat "/proc/$each/smaps_rollup" 2>/dev/null || true; done |
        awk '/^Pss:/ { held += $2 } END { printf "%d", held / 1024 }'
}

# load LABEL CASE NAME ADDRESS COMMAND...: one start; prints milliseconds and megabytes.
load() {
    local label=$1 folder=$scratch/$2 name=$3 address=$4 start took
    shift 4
    start=$(date +%s%N)
    (cd "$folder" && exec "$@") >"$scratch/$label.log" 2>&1 &
    server=$!
    until dig +tries=1 +time=1 -p "$port" @127.0.0.1 "$name" A +short 2>/dev/null | grep -qxF "$address"; do
        kill -0 "$server" 2>/dev/null && [ $((($(date +%s%N) - start) / 1000000000)) -lt 300 ] ||
            { echo "$label does not answer:" >&2; tail -3 "$scratch/$label.log" >&2; kill "$server"; exit 1; }
        sleep 0.02
    done
    took=$((($(date +%s%N) - start) / 1000000))
    echo "$took $(memory "$server")"
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
}

# row CASE NAME ADDRESS: every server that is there.
row() {
    local what=$1
    configure "$what"
    for label in meridian knot nsd; do
        local command=("$meridian" serve)
        [ "$label" != knot ] || command=(knotd -c "$scratch/$what/knot.conf")
        [ "$label" != nsd ] || command=(nsd -d -c "$scratch/$what/nsd.conf")
        command -v "${command[0]}" >/dev/null || continue
        for _ in $(seq "$rounds"); do load "$label" "$@" "${command[@]}"; done | sort -n | head -1 |
            awk -v what="$what" -v label="$label" '{ printf "| %s | %s | %.2f s | %d MB |\n", what, label, $1 / 1000, $2 }'
    done
}

last=$((records / 2))
printf '| what | server | first answer after | memory |\n|---|---|---|---|\n'
row records "host$last.large.test" "10.$((last / 65536 % 256)).$((last / 256 % 256)).$((last % 256))"
row zones "www.small$zones.test" 192.0.2.80
