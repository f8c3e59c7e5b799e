#!/usr/bin/env bash
# What reloads leave behind: a server with some services of their own rules is reloaded again and again, and asked between.
#
#     benches/reloads/run.sh [RELOADS [SERVICES [RECORDS]]]     40 reloads, 3 services, 10 records
#
# PRELOAD=/usr/lib/.../libjemalloc.so.2 tries another allocator under the same program; settings of allocators, such as
# MALLOC_CONF and MALLOC_ARENA_MAX, are passed on. What glibc does by itself shows when `give_memory_back` is taken out of
# src/main.rs. BINARY=target/debug/meridian takes another build.
set -euo pipefail
cd "$(dirname "$0")/../.."
reloads=${1:-40} services=${2:-3} records=${3:-10}
binary=$(realpath "${BINARY:-target/release/meridian}")
folder=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2> /dev/null || cat "$folder/log" >&2
    rm -rf "$folder"
}
trap finish EXIT

mkdir "$folder/zones"
{
    printf '[server]\nlisten = ["127.0.0.1:0"]\nworkers = 1\n[admin]\nlisten = "127.0.0.1:0"\n'
    for region in fra iad nrt syd gru lhr; do printf '[regions.%s]\nlocation = "%s"\n' "$region" "${region^^}"; done
    for ((service = 1; service <= services; service++)); do
        printf '[[services]]\nname = "s%d.example.test"\nband = "%dkm"\n[services.endpoints]\n' "$service" $((100 * service))
        octet=0
        for region in fra iad nrt syd gru lhr; do printf '%s = "192.0.%d.%d"\n' "$region" $((++octet)) $((service % 250 + 1)); done
    done
} > "$folder/meridian.toml"
{
    printf '$ORIGIN example.test.\n$TTL 60\n@ SOA ns1 h 1 2 3 4 5\n NS ns1\nns1 A 127.0.0.1\n'
    for ((record = 0; record < records; record++)); do echo "h$record A 10.$((record >> 16)).$((record >> 8 & 255)).$((record & 255))"; done
} > "$folder/zones/example.test.zone"

held() { awk -v line="$1:" '$1 == line { printf "%d", $2 / 1024 }' "/proc/$server/status"; }

LD_PRELOAD=${PRELOAD:-} "$binary" serve --config "$folder/meridian.toml" > "$folder/ready" 2> "$folder/log" &
server=$!
until grep -q '^ready' "$folder/ready"; do kill -0 "$server"; sleep 0.05; done
port=$(sed 's/.*dns=[^:]*:\([0-9]*\).*/\1/' "$folder/ready")
sleep 1
fresh=$(held VmRSS)
began=$(date +%s%N)
for ((reload = 1; reload <= reloads; reload++)); do
    kill -HUP "$server"
    until [ "$(grep -c reloaded "$folder/log")" -ge "$reload" ]; do kill -0 "$server"; sleep 0.01; done
    dig +short +tries=1 @127.0.0.1 -p "$port" s1.example.test A > /dev/null
done
took=$((($(date +%s%N) - began) / 1000000 / reloads))
sleep 3
after=$(held VmRSS)
echo "$fresh MB at the start, $after MB after $reloads reloads ($(awk "BEGIN { printf \"%.2f\", $after / $fresh }") times)," \
    "$(held VmHWM) MB at most, $took ms for each"
