#!/bin/bash
# Start and memory of the whole server with many rule sets over one city database.
#
#   MERIDIAN_CITY_DB=FILE[:FILE] benches/scale/start.sh [RULE_SETS=1000]
#
# Each service has another choice of twelve regions. Printed are the time from the start of the process to the first
# right answer, and the resident and the largest memory. Needs dig (Debian: bind9-dnsutils). Listens on 127.0.0.1.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
rule_sets=${1:-1000}
port=${FIRST_PORT:-5470}

. "$root/benches/scratch.sh"

mkdir "$scratch/zones"
printf '$TTL 60\n@ SOA ns1 hostmaster 1 7200 1800 259200 60\n@ NS ns1\nns1 A 192.0.2.53\n' >"$scratch/zones/example.test.zone"
awk -v sets="$rule_sets" -v port="$port" -v databases="${MERIDIAN_CITY_DB:-}" 'BEGIN {
    count = split("fra lhr arn iad sjc dfw gru jnb bom sin nrt syd", regions, " ")
    printf "[server]\nlisten = [\"127.0.0.1:%d\"]\n[admin]\nlisten = \"127.0.0.1:0\"\n", port
    if (databases != "") {
        gsub(":", "\", \"", databases)
        printf "[geo]\ndatabases = [\"%s\"]\n", databases
    }
    for (at = 1; at <= count; at++)
        printf "[regions.%s]\nlocation = \"%s\"\n", regions[at], toupper(regions[at])
    # 4095 is all regions; 1 to 4094 in an order that looks random, 1303 being coprime to 4094.
    for (set = 0; set < sets && set < 4000; ) {
        choice = made == 0 ? 4095 : (made * 1303) % 4094 + 1
        made++
        if (choice == 0 || log(choice) / log(2) == int(log(choice) / log(2))) continue
        printf "[[services]]\nname = \"s%d.example.test\"\n[services.endpoints]\n", set
        for (at = 1; at <= count; at++)
            if (int(choice / 2 ^ (at - 1)) % 2) printf "%s = \"192.0.2.%d\"\n", regions[at], at
        set++
    }
}' >"$scratch/meridian.toml"

begin=$(date +%s%N)
"$meridian" serve --config "$scratch/meridian.toml" >"$scratch/log" 2>&1 &
server=$!
for _ in $(seq 3000); do
    dig @127.0.0.1 -p "$port" s0.example.test +short +time=1 +tries=1 2>/dev/null | grep -q '^192' && break
    kill -0 "$server" 2>/dev/null || { cat "$scratch/log"; exit 1; }
    sleep 0.01
done
ready=$((($(date +%s%N) - begin) / 1000000))
sleep 1
memory() { awk -v key="$1:" '$1 == key { print int($2 / 1000) }' "/proc/$server/status"; }
echo "$rule_sets rule sets: ready after $ready ms, $(memory VmRSS) MB resident, $(memory VmHWM) MB at most"
