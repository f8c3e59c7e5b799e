#!/usr/bin/env bash
# Starts the three regions and the nameserver, and ends them all with Ctrl-C. Needs nginx, haproxy, caddy and openssl
# (Debian packages of these names), and meridian: the first argument, or the release build of this folder's project.
set -euo pipefail
cd "$(dirname "$0")"
meridian=${1:-../../target/release/meridian}
PATH=$PATH:/usr/sbin

mkdir -p run tls
export XDG_DATA_HOME=$PWD/run XDG_CONFIG_HOME=$PWD/run
openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=www.example.com \
    -addext subjectAltName=DNS:www.example.com -keyout tls/key.pem -out tls/cert.pem 2> run/openssl.log
cat tls/cert.pem tls/key.pem > tls/both.pem

trap 'kill $(jobs -p) 2> /dev/null; wait' EXIT
number=0
for region in fra iad nrt; do
    number=$((number + 1))
    for backend in 1 2; do
        caddy respond --listen "127.0.$number.1$backend:8081" --body "$region, backend $backend" \
            &> "run/$region-$backend.log" &
        echo "kill a backend:  kill $!   # $region, backend $backend"
    done
done
nginx -p . -c fra/nginx.conf &> run/nginx.log &
echo "kill a region:   kill -9 $!   # fra; or make it hang: kill -STOP $!, and go on: kill -CONT $!"
haproxy -f iad/haproxy.cfg &> run/haproxy.log &
caddy run --config nrt/Caddyfile --adapter caddyfile &> run/caddy.log &
sleep 1
"$meridian" serve --config meridian.toml
