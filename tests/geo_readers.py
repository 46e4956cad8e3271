#!/usr/bin/env python3
"""For developers: what samc writes on maps, as the readers that people have see it: geopandas (pyogrio) and rasterio,
areas against pyproj's. Not in CI, as its packages are 150 MB (tests/geo_test.c and geo_cli_test.py hold the same by
GDAL's own reader):

    python3 -m venv venv && venv/bin/pip install rasterio geopandas pyogrio shapely pyproj
    venv/bin/python tests/geo_readers.py build/release/bin/samc SCENE...

Of each scene the masks of nine points: each polygon of the GeoPackage is valid and covers just the pixels of its run
lengths; GeoJSON has the same ones; area_m2 is that of pyproj.Geod for the same polygon, densified. Rasterio's test
files (tests/data of its repository) are such scenes.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import rasterio
import rasterio.features
import shapely


def unpack(rle):
    """COCO's compressed counts to a mask [height, width]."""
    counts, text, at = [], rle["counts"], 0
    while at < len(text):
        value, shift = 0, 0
        while True:
            c = ord(text[at]) - 48
            at += 1
            value |= (c & 0x1F) << shift
            shift += 5
            if not c & 0x20:
                if c & 0x10:
                    value |= -1 << shift
                break
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    flat = np.concatenate([np.full(n, i % 2, np.uint8) for i, n in enumerate(counts)])
    return flat.reshape(rle["size"][::-1]).T


def check(samc, path, folder):
    with rasterio.open(path) as scene:
        transform, crs, width, height = scene.transform, scene.crs, scene.width, scene.height
    step = 10 / max(abs(transform.a) + abs(transform.b), 1e-300)
    answers = []
    for i in range(9):
        x, y = (width - 1) * (1 + i % 3) // 4, (height - 1) * (1 + i // 3) // 4
        out = folder / str(i)
        command = [samc, "segment", path, "--crs", "pixel", "--point", f"{x},{y}", "-q", "-o", out]
        done = subprocess.run(command + ["--format", "gpkg,geojson,rle"], capture_output=True, text=True)
        if done.returncode != 0:
            print(f"{path.name}: {done.stderr.strip()}")
            return 0
        answers.append((json.loads(done.stdout), out))
    masks = worst = 0
    for answer, out in answers:
        gpkg = geopandas.read_file(out / f"{path.stem}.gpkg", engine="pyogrio")
        geojson = geopandas.read_file(out / f"{path.stem}.geojson", engine="pyogrio")
        assert crs is not None or gpkg.crs.is_engineering, gpkg.crs
        assert crs is None or gpkg.crs == crs or pyproj.CRS(gpkg.crs).equals(pyproj.CRS(crs), True), (gpkg.crs, crs)
        assert len(gpkg) == len(geojson) == sum(mask["id"] is not None for mask in answer["masks"])
        for mask in answer["masks"]:
            if mask["id"] is None:
                continue
            row, other = gpkg[gpkg.id == mask["id"]].iloc[0], geojson[geojson.id == mask["id"]].iloc[0]
            assert row.geometry.is_valid, shapely.is_valid_reason(row.geometry)
            assert other.geometry is None or other.geometry.is_valid or crs is not None, "of its eight digits"
            filled = rasterio.features.rasterize([row.geometry], (height, width), transform=transform)
            wx, wy, ww, wh = mask["window"]
            whole = np.zeros((height, width), np.uint8)
            whole[wy : wy + wh, wx : wx + ww] = unpack(mask["rle"])
            assert np.array_equal(filled, whole), "the polygon covers other pixels"
            masks += 1
            if crs is None or row.area_m2 is None or np.isnan(row.area_m2):
                continue
            geographic = pyproj.CRS(crs).geodetic_crs
            change = pyproj.Transformer.from_crs(crs, geographic, always_xy=True).transform
            fine = shapely.segmentize(row.geometry, 1 / step)
            degrees = shapely.transform(fine, lambda c: np.stack(change(c[:, 0], c[:, 1]), 1))
            area = sum(
                abs(geographic.get_geod().geometry_area_perimeter(shapely.Polygon(part.exterior))[0])
                - sum(
                    abs(geographic.get_geod().geometry_area_perimeter(shapely.Polygon(hole))[0])
                    for hole in part.interiors
                )
                for part in (degrees.geoms if degrees.geom_type == "MultiPolygon" else [degrees])
            )
            worst = max(worst, abs(row.area_m2 / area - 1))
    print(f"{path.name}: {masks} masks, {crs.to_string()[:30] if crs else 'no CRS'}, areas within {worst:.1e}")
    return masks


if __name__ == "__main__":
    total = 0
    for name in sys.argv[2:]:
        with tempfile.TemporaryDirectory() as folder:
            total += check(sys.argv[1], Path(name), Path(folder))
    print(f"{total} masks: all valid, of just their pixels")
