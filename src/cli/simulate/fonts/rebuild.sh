#!/bin/bash
# Makes the fonts of maps anew: DejaVu Sans, ASCII only. Needs apt-get and python3 with venv (Debian: python3-venv).
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

apt-get download --quiet fonts-dejavu-core
dpkg -x fonts-dejavu-core_*.deb package
python3 -m venv python
python/bin/pip --quiet install fonttools
for face in DejaVuSans:regular DejaVuSans-Bold:bold; do
    python/bin/pyftsubset "package/usr/share/fonts/truetype/dejavu/${face%:*}.ttf" --unicodes=U+0020-007E \
        --no-hinting --layout-features=kern --no-recalc-timestamp --output-file="$here/${face#*:}.ttf"
done
