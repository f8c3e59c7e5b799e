#!/usr/bin/env python3
"""Makes world.json of countries-110m.json (npm world-atlas) and codes.json (npm i18n-iso-countries).

    npm pack world-atlas@2.0.2 i18n-iso-countries@7.14.0
    geodata/rebuild-world.py world-atlas/countries-110m.json i18n-iso-countries/codes.json > geodata/world.json

A country is its code and its rings; a ring is the longitude and latitude of its first point and the steps to each next
one, all in tenths of a degree. Shapes without a code of their own get the one that geodata use for their addresses.
"""
import json
import sys

WITHOUT_CODE = {"Kosovo": "XK", "N. Cyprus": "CY", "Somaliland": "SO"}


def decoded(topology):
    """Arcs as lists of points in degrees."""
    (sx, sy), (tx, ty) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for dx, dy in arc:
            x, y = x + dx, y + dy
            points.append((x * sx + tx, y * sy + ty))
        arcs.append(points)
    return arcs


def ring(arcs, numbers):
    """One ring: arcs in a row, those with a negative number backwards, rounded, without repetitions."""
    points = []
    for number in numbers:
        points.extend(arcs[number] if number >= 0 else reversed(arcs[~number]))
    tenths = [(round(x * 10), round(y * 10)) for x, y in points]
    kept = [point for i, point in enumerate(tenths) if i == 0 or point != tenths[i - 1]]
    if len(kept) > 1 and kept[0] == kept[-1]:
        kept.pop()
    steps = list(kept[0])
    for (ax, ay), (bx, by) in zip(kept, kept[1:]):
        steps += [bx - ax, by - ay]
    return steps if len(kept) > 2 else None


def main():
    topology = json.load(open(sys.argv[1]))
    codes = {numeric: alpha2 for alpha2, _, numeric in json.load(open(sys.argv[2]))}
    arcs = decoded(topology)
    countries = {}
    for shape in topology["objects"]["countries"]["geometries"]:
        code = codes.get(shape.get("id")) or WITHOUT_CODE[shape["properties"]["name"]]
        polygons = [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]
        rings = [ring(arcs, numbers) for polygon in polygons for numbers in polygon]
        countries.setdefault(code, []).extend(filter(None, rings))
    json.dump({code: countries[code] for code in sorted(countries)}, sys.stdout, separators=(",", ":"))
    print()


main()
