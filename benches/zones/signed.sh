#!/bin/bash
# What a large signed zone costs: the first start, which signs it, a restart, which signs nothing, and a flood of names that
# do not exist, each beside the same zone unsigned, in one run.
#
#   benches/zones/signed.sh [NAMES=1000000] [ROUNDS=3]
#
# The time is from the start of the process to the first answer from the last name; the memory is the proportional set
# size then. The flood is dnsperf's, with DO, a new name in each query, the server with one worker on core 0 and dnsperf on
# core 1: what a query takes of the server's processor, the best of the rounds. Needs dig and dnsperf (Debian: bind9-dnsutils, dnsperf).
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
names=${1:-1000000}
rounds=${2:-3}
port=${FIRST_PORT:-5460}

. "$root/benches/scratch.sh"

mkdir -p "$scratch/zones"
awk -v names="$names" 'BEGIN {
    printf "$ORIGIN large.test.\n$TTL 3600\n@ SOA ns1 hostmaster 1 7200 1800 259200 900\n@ NS ns1\nns1 A 192.0.2.53\n"
    for (n = 1; n <= names; n++) {
        printf "host%d A 10.%d.%d.%d\n", n, int(n / 65536) % 256, int(n / 256) % 256, n % 256
    }
}' >"$scratch/zones/large.test.zone"
awk 'BEGIN { srand(7); for (n = 0; n < 200000; n++) printf "x%08x.large.test A\n", rand() * 4294967295 }' >"$scratch/queries"

# configure KEYS...: lines of [zones.dnssec], if any.
configure() {
    printf '[server]\nlisten = ["127.0.0.1:%d"]\nworkers = 1\n[admin]\nlisten = "127.0.0.1:0"\n' "$port"
    printf '[state]\ndirectory = "state"\n'
    if [ $# -gt 0 ]; then printf '%s\n' '[zones.dnssec]' "$@"; fi
}

# begin: starts the server and prints milliseconds until the first answer, megabytes, and signatures on disk.
begin() {
    local start
    start=$(date +%s%N)
    (cd "$scratch" && exec "$meridian" serve) >"$scratch/log" 2>&1 &
    server=$!
    until dig +tries=1 +time=1 -p "$port" @127.0.0.1 "host$names.large.test" A +short 2>/dev/null | grep -q '^10\.'; do
        kill -0 "$server" 2>/dev/null || { echo "it ended:" >&2; tail -3 "$scratch/log" >&2; exit 1; }
        sleep 0.02
    done
    took=$((($(date +%s%N) - start) / 1000000))
    held=$(awk '/^Pss:/ { print int($2 / 1024) }' "/proc/$server/smaps_rollup")
}

end() {
    kill "$server"
    wait "$server" 2>/dev/null || true
    server=
}

row() { printf '| %s | %d.%02d s | %d MB |\n' "$1" $((took / 1000)) $((took % 1000 / 10)) "$held"; }

# ticks: hundredths of a second of processor time that the server has used.
ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }

# flood: the least processor time of a query in the rounds, in nanoseconds. The client may be the slower of the two, so a
# rate would say little.
flood() {
    local before sent
    taskset -a -p -c 0 "$server" >/dev/null
    for _ in $(seq "$rounds"); do
        before=$(ticks)
        sent=$(taskset -c 1 dnsperf -s 127.0.0.1 -p "$port" -d "$scratch/queries" -e -D -l 5 -q 100 2>/dev/null |
            awk '/Queries completed/ { print $3 }')
        echo $((($(ticks) - before) * 10000000 / sent))
    done | sort -n | head -1
}

printf '| a zone of %d names | first answer after | memory |\n|---|---|---|\n' "$names"
configure >"$scratch/meridian.toml"
begin
row unsigned
plain=$(flood)
end
configure 'sign = "*"' 'generate = true' >"$scratch/meridian.toml"
begin
row 'signed, first start'
end
before=$(stat -c %s "$scratch/state/signatures")
begin
row 'signed, restart'
signed=$(flood)
end
after=$(stat -c %s "$scratch/state/signatures")
printf '\nThe restart made %d octets of new signatures.\n' $((after - before))
awk -v plain="$plain" -v signed="$signed" 'BEGIN {
    printf "A name that does not exist takes %.2f us unsigned, %.2f us signed: a rate of %.2f\n",
        plain / 1000, signed / 1000, plain / signed
}'
