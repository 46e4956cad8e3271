#!/usr/bin/env python3
"""A made-up farm from above, for docs/geospatial.md: fields of many shapes, a river across them, ponds and trees, as a
GeoTIFF in UTM 33 (EPSG:32633), 2 m a pixel, with a border without data; and the field boundaries as GeoJSON.

    tools/examples/fields.py FOLDER        # farm.tif, fields.geojson; needs gdal_translate and ogr2ogr (gdal-bin)
"""

import json
import math
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

WIDTH, HEIGHT, STEP, METRES, WEST, NORTH = 1500, 1200, 170, 2, 500000, 5400000


def fill(rows, corners, colour):
    """An even polygon of a colour with stripes, which fields have."""
    low, high = max(0, int(min(y for _, y in corners))), min(HEIGHT, int(max(y for _, y in corners)) + 1)
    for y in range(low, high):
        cuts = []
        for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1]):
            if (y0 <= y) != (y1 <= y):
                cuts.append(x0 + (y - y0) * (x1 - x0) / (y1 - y0))
        cuts.sort()
        for a, b in zip(cuts[::2], cuts[1::2]):
            a, b = max(0, round(a)), min(WIDTH, round(b))
            shade = 4 if y // 5 % 2 else -4
            if b > a:
                rows[y][3 * a : 3 * b] = bytes(c + shade for c in colour) * (b - a)


def round_one(x, y, radius, corners=24):
    return [
        (x + radius * math.cos(i * math.tau / corners), y + radius * math.sin(i * math.tau / corners))
        for i in range(corners)
    ]


def draw(source):
    rows = [bytearray(bytes((104, 92, 66)) * WIDTH) for _ in range(HEIGHT)]
    fields = []
    for j in range(HEIGHT // STEP + 1):
        for i in range(WIDTH // STEP + 1):
            x, y, gap = i * STEP + 20 + (j % 2) * 30, j * STEP + 20, 12
            wide, high = STEP - gap - source.randrange(30), STEP - gap - source.randrange(30)
            lean = source.randrange(-14, 15)
            corners = [
                (x, y),
                (x + wide, y + lean / 2),
                (x + wide - lean, y + high),
                (x + lean / 2, y + high - lean / 2),
            ]
            corners = [(min(max(a, 0), WIDTH - 1), min(max(b, 0), HEIGHT - 1)) for a, b in corners]
            if len(set(corners)) < 4:
                continue
            kind = source.choice(((70, 130), (120, 180), (150, 165), (95, 150), (180, 170)))
            fill(
                rows,
                corners,
                (kind[0] + source.randrange(20), kind[1] + source.randrange(20), 40 + source.randrange(30)),
            )
            fields.append(corners)
            if source.random() < 0.25:
                fill(rows, round_one(x + wide / 2, y + high / 2, 14 + source.randrange(12)), (38, 74, 110))
    for y in range(HEIGHT):  # the river
        middle = 760 + 130 * math.sin(y / 210) + 40 * math.sin(y / 67)
        rows[y][3 * int(middle - 16) : 3 * int(middle + 16)] = bytes((52, 88, 118)) * (
            int(middle + 16) - int(middle - 16)
        )
    for _ in range(160):
        fill(
            rows,
            round_one(source.randrange(WIDTH), source.randrange(HEIGHT), 4 + source.randrange(5), 10),
            (40, 80, 36),
        )
    for y in range(HEIGHT):
        noise = source.randbytes(3 * WIDTH)
        rows[y] = bytearray(min(255, max(1, value + (n % 13) - 6)) for value, n in zip(rows[y], noise))
        rows[y][3 * (WIDTH - 60) :] = bytes(3 * 60)  # no data
    return rows, fields


def write_png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 6)
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rows, fields = draw(random.Random(27))
    picture, utm = folder / "farm.png", folder / "utm.geojson"
    write_png(picture, rows)
    place = [WEST, NORTH, WEST + METRES * WIDTH, NORTH - METRES * HEIGHT]
    how = ["-a_srs", "EPSG:32633", "-a_nodata", "0", "-co", "TILED=YES", "-co", "COMPRESS=DEFLATE", "-a_ullr"]
    subprocess.run(["gdal_translate", "-q", *how, *map(str, place), picture, folder / "farm.tif"], check=True)
    rings = [[(WEST + METRES * x, NORTH - METRES * y) for x, y in corners + corners[:1]] for corners in fields]
    features = [
        {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}} for ring in rings
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    utm.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    target = folder / "fields.geojson"
    target.unlink(missing_ok=True)
    subprocess.run(["ogr2ogr", "-t_srs", "EPSG:4326", "-lco", "RFC7946=YES", target, utm], check=True)
    utm.unlink()


if __name__ == "__main__":
    main()
