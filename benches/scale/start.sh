#!/bin/bash
# Start and memory of the whole server with many rule sets over one city database.
#
#   MERIDIAN_CITY_DB=FILE[:FILE] benches/scale/start.sh [RULE_SETS=1000]
#
# Each service has another choice of twelve regions. Printed are the time from the start of the process to the first
# right answer, and the resident and the largest memory. It is asked as soon as the server says that it is ready: queries
# before that would take processor time from its start. Needs dig (Debian: bind9-dnsutils). Listens on 127.0.0.1.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
rule_sets=${1:-1000}
port=${FIRST_PORT:-5470}

. "$root/benches/scratch.sh"

mkdir "$scratch/zones"
world() { awk -v what=rule-sets -v count="$rule_sets" -v port="$port" "$@" -f "$root/benches/scale/worlds.awk"; }
world -v server=zone -v to=meridian >"$scratch/zones/example.test.zone"
world -v server=meridian -v databases="${MERIDIAN_CITY_DB:-}" >"$scratch/meridian.toml"

mkfifo "$scratch/said"
begin=$(date +%s%N)
"$meridian" serve --config "$scratch/meridian.toml" >"$scratch/said" 2>"$scratch/log" &
server=$!
exec 3<"$scratch/said"
read -r -t 60 -u 3 line && [[ $line == ready* ]] || { cat "$scratch/log"; exit 1; }
dig @127.0.0.1 -p "$port" s0.example.test +short +time=1 +tries=1 | grep -q '^10' || { echo "no right answer"; exit 1; }
ready=$((($(date +%s%N) - begin) / 1000000))
sleep 1
memory() { awk -v key="$1:" '$1 == key { print int($2 / 1000) }' "/proc/$server/status"; }
echo "$rule_sets rule sets: ready after $ready ms, $(memory VmRSS) MB resident, $(memory VmHWM) MB at most"
