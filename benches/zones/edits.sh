#!/bin/bash
# What a reload costs that changes one record of a large zone, and its serial.
#
#   benches/zones/edits.sh [RECORDS=1000000] [EDITS=7]
#
# Prints for each edit the processor time of the server (user and system, from /proc) from the signal until the new record
# is answered and things are quiet again, and the resident memory then. The first reload after a start is measured like the
# others. Needs dig (Debian: bind9-dnsutils). Everything listens on 127.0.0.1.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
records=${1:-1000000}
edits=${2:-7}
port=${FIRST_PORT:-5470}

. "$root/benches/scratch.sh"

mkdir "$scratch/zones"
zone=$scratch/zones/large.test.zone
printf '[server]\nlisten = ["127.0.0.1:%d"]\n[admin]\nlisten = "127.0.0.1:0"\n' "$port" >"$scratch/meridian.toml"
awk -v names=$((records / 2)) 'BEGIN {
    printf "$ORIGIN large.test.\n$TTL 3600\n@ SOA ns1 hostmaster 1 7200 1800 259200 900\n@ NS ns1\nns1 A 192.0.2.53\n"
    for (n = 1; n <= names; n++) {
        printf "host%d A 10.%d.%d.%d\n", n, int(n / 65536) % 256, int(n / 256) % 256, n % 256
        printf "host%d AAAA 2001:db8::%x:%x\n", n, int(n / 65536), n % 65536
    }
}' >"$zone"

# answers NAME ADDRESS: waits until the server gives this address.
answers() {
    until dig +tries=1 +time=1 -p "$port" @127.0.0.1 "$1" A +short 2>/dev/null | grep -qxF "$2"; do
        kill -0 "$server"
        sleep 0.02
    done
}

# ticks: processor time of the server so far, in hundredths of a second.
ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$server/stat"; }

(cd "$scratch" && exec "$meridian" serve) >"$scratch/log" 2>&1 &
server=$!
answers host1.large.test 10.0.0.1
sleep 2
middle=$((records / 4))
printf '| edit | processor time | memory |\n|---|---|---|\n'
for edit in $(seq "$edits"); do
    sed -e "3s/hostmaster [0-9]*/hostmaster $((edit + 1))/" \
        -e "s/^host$middle A .*/host$middle A 192.0.2.$edit/" "$zone" >"$scratch/new"
    mv "$scratch/new" "$zone"
    sleep 1
    before=$(ticks)
    kill -HUP "$server"
    answers "host$middle.large.test" "192.0.2.$edit"
    sleep 2
    printf '| %d | %d ms | %d MB |\n' "$edit" $((($(ticks) - before) * 10)) \
        "$(awk '/^VmRSS:/ { printf "%d", $2 / 1024 }' "/proc/$server/status")"
done
