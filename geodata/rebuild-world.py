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


def joined(arcs, numbers):
    """Arcs in a row, those with a negative number backwards; longitudes go on beyond 180 where a ring does."""
    points = []
    for number in numbers:
        points.extend(arcs[number] if number >= 0 else reversed(arcs[~number]))
    unrolled = points[:1]
    for x, y in points[1:]:
        before = unrolled[-1][0]
        unrolled.append((x - 360 * round((x - before) / 360), y))
    return unrolled


def cut(points, limit, side):
    """What lies on one side of a meridian (Sutherland and Hodgman's way, for one edge)."""
    kept = []
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1]):
        inside, next_inside = (ax - limit) * side >= 0, (bx - limit) * side >= 0
        if inside:
            kept.append((ax, ay))
        if inside != next_inside:
            kept.append((limit, ay + (by - ay) * (limit - ax) / (bx - ax)))
    return kept


def parts(points):
    """A ring cut at the antimeridian, each part within -180 and 180."""
    for turn in (-360, 0, 360):
        part = cut(cut([(x + turn, y) for x, y in points], -180, 1), 180, -1)
        if part:
            yield part


def ring(points):
    """One ring in tenths of a degree, without repetitions; nothing where too little is left of it."""
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
    codes = {numeric: alpha2 for alpha2, _, numeric, *_ in json.load(open(sys.argv[2]))}
    arcs = decoded(topology)
    countries = {}
    for shape in topology["objects"]["countries"]["geometries"]:
        # Around the pole a ring has no inside on this map, and nobody is drawn there.
        if shape["properties"]["name"] == "Antarctica":
            continue
        code = codes.get(shape.get("id")) or WITHOUT_CODE[shape["properties"]["name"]]
        polygons = [shape["arcs"]] if shape["type"] == "Polygon" else shape["arcs"]
        whole = (joined(arcs, numbers) for polygon in polygons for numbers in polygon)
        rings = [ring(part) for points in whole for part in parts(points)]
        countries.setdefault(code, []).extend(filter(None, rings))
    json.dump({code: countries[code] for code in sorted(countries)}, sys.stdout, separators=(",", ":"))
    print()


main()
