#!/usr/bin/env python3
"""Scenes on maps by the command line: fields of a picture made here, prompted in map coordinates and by boxes of files,
and the polygons that come of it, read by GDAL's own tools."""

import json
import os
import random
import struct
import subprocess
import tempfile
import unittest
import zlib

SAMC = os.environ["SAMC"]
GDAL = os.environ.get("SAMC_WITH_GDAL") == "ON"
METRES = 2  # of a pixel
WEST, NORTH = 500000, 5400000


def fields(width, height, step=120, gap=14, seed=1):
    """A picture of fields [height][3 * width] and their boxes x0, y0, x1, y1."""
    source = random.Random(seed)
    rows = [bytearray(bytes((96, 84, 60)) * width) for _ in range(height)]
    boxes = []
    for y0 in range(gap, height - step // 2, step):
        for x0 in range(gap, width - step // 2, step):
            x1, y1 = min(x0 + step - gap, width - gap), min(y0 + step - gap, height - gap)
            colour = bytes((source.randrange(60, 150), source.randrange(120, 220), source.randrange(20, 80)))
            boxes.append((x0, y0, x1, y1))
            for y in range(y0, y1):
                rows[y][3 * x0 : 3 * x1] = colour * (x1 - x0)
    return rows, boxes


def write_png(path, rows):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows), 1)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def corners_of(coordinates):
    """Of a GeoJSON geometry of any kind."""
    if not isinstance(coordinates[0], list):
        return [coordinates]
    return [corner for part in coordinates for corner in corners_of(part)]


def tool(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    both = max(width, 0) * max(height, 0)
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


class WithoutGdal(unittest.TestCase):
    def setUp(self):
        if GDAL:
            self.skipTest("this build has GDAL")

    def test_is_refused_by_name(self):
        done = subprocess.run(
            [SAMC, "segment", __file__, "--crs", "map", "--point", "1,2", "-o", "/nowhere"],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("without GDAL", done.stderr)
        self.assertIsNone(json.loads(tool(SAMC, "info", "--json"))["maps"])


@unittest.skipUnless(GDAL, "this build has no GDAL")
class Maps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.rows, cls.boxes = fields(760, 640)
        write_png(cls.at("scene.png"), cls.rows)
        cls.translate("scene.tif", "-a_srs", "EPSG:32633", "-a_ullr", *cls.corners(), "-co", "TILED=YES")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def at(cls, name):
        return os.path.join(cls.folder.name, name)

    @classmethod
    def corners(cls):
        east, south = WEST + METRES * len(cls.rows[0]) // 3, NORTH - METRES * len(cls.rows)
        return [str(number) for number in (WEST, NORTH, east, south)]

    @classmethod
    def translate(cls, name, *options, source="scene.png"):
        tool("gdal_translate", "-q", *options, cls.at(source), cls.at(name))

    def segment(self, scene, *options, code=0, out="out"):
        done = subprocess.run(
            [SAMC, "segment", self.at(scene), *options, "--quiet"]
            + (["-o", self.at(out)] if out else [])
            + ["--threads", "2"],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return json.loads(done.stdout) if code == 0 else done.stderr

    def to_map(self, x, y):
        return WEST + METRES * x, NORTH - METRES * y

    def polygons(self, name):
        """Properties and boxes of a file's polygons, by id, as GeoJSON in their own CRS."""
        text = tool("ogr2ogr", "-f", "GeoJSON", "-lco", "RFC7946=NO", "/vsistdout/", self.at(name))
        found = {}
        for feature in json.loads(text)["features"]:
            corners = corners_of(feature["geometry"]["coordinates"])
            xs, ys = [c[0] for c in corners], [c[1] for c in corners]
            found[feature["properties"]["id"]] = (feature["properties"], (min(xs), min(ys), max(xs), max(ys)))
        return found

    def field(self, index):
        """A field's box on the map."""
        x0, y0, x1, y1 = self.boxes[index]
        (west, north), (east, south) = self.to_map(x0, y0), self.to_map(x1, y1)
        return west, south, east, north

    def box(self, index):
        return ",".join(str(number) for number in self.field(index))

    def test_boxes_in_map_coordinates(self):
        answer = self.segment("scene.tif", "--crs", "map", "--box", self.box(7), "--box", self.box(20), "--single")
        self.assertEqual((answer["crs"], answer["size"]), ("EPSG:32633", [640, 760]))
        self.assertEqual([mask["prompt"] for mask in answer["masks"]], [0, 1])
        found = self.polygons("out/scene.gpkg")
        self.assertEqual(list(found), [1, 2])
        for mask, index in zip(answer["masks"], (7, 20)):
            properties, box = found[mask["id"]]
            self.assertGreater(iou(box, self.field(index)), 0.8)
            # UTM's scale near its middle meridian
            self.assertAlmostEqual(properties["area_m2"] / (mask["area"] * METRES**2), 1 / 0.9996**2, 5)
            self.assertAlmostEqual(properties["predicted_iou"], mask["predicted_iou"], 6)
            self.assertTrue(os.path.isfile(mask["files"]["overlay"]))

    def test_a_point_is_one_pixel(self):
        x, y = self.boxes[9][0] + 40, self.boxes[9][1] + 40
        east, north = self.to_map(x + 0.5, y + 0.5)
        by_map = self.segment("scene.tif", "--crs", "map", "--point", f"{east},{north}", "--format", "rle", out=None)
        by_pixel = self.segment("scene.tif", "--crs", "pixel", "--point", f"{x},{y}", "--format", "rle", out=None)
        self.assertEqual(by_map, by_pixel)

    def test_boxes_of_a_file_in_another_crs(self):
        features = [
            {
                "type": "Feature",
                "properties": {},
                "geometry": {
                    "type": "Polygon",
                    "coordinates": [[(b[0], b[1]), (b[2], b[1]), (b[2], b[3]), (b[0], b[3]), (b[0], b[1])]],
                },
            }
            for b in (self.field(index) for index in range(len(self.boxes)))
        ]
        crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
        with open(self.at("utm.geojson"), "w") as file:
            json.dump({"type": "FeatureCollection", "crs": crs, "features": features}, file)
        tool("ogr2ogr", "-t_srs", "EPSG:4326", self.at("degrees.gpkg"), self.at("utm.geojson"))
        answers = [
            self.segment("scene.tif", "--boxes", self.at(name), "--single", "--format", "gpkg,geojson", out="boxes")
            for name in ("utm.geojson", "degrees.gpkg")
        ]
        for answer in answers:
            self.assertEqual(sorted(mask["prompt"] for mask in answer["masks"]), list(range(len(self.boxes))))
            self.assertGreater(len({tuple(mask["window"]) for mask in answer["masks"]}), 1, "several windows")
        found = self.polygons("boxes/scene.gpkg")
        with open(self.at("boxes/scene.geojson")) as file:
            features = json.load(file)["features"]
        self.assertEqual([feature["properties"]["id"] for feature in features], sorted(found))
        for feature in features:
            for longitude, latitude in corners_of(feature["geometry"]["coordinates"]):
                self.assertTrue(15 <= longitude < 15.03 and 48.7 < latitude < 48.8)
        good = [m for m in answers[1]["masks"] if iou(found[m["id"]][1], self.field(m["prompt"])) > 0.75]
        self.assertGreater(len(good), 0.8 * len(self.boxes))

    def test_windows_are_parts_of_the_scene(self):
        """The same field, whole scene and window: where the window covers all, pixels are those of the picture."""
        whole = self.segment("scene.tif", "--crs", "pixel", "--box", "14,14,120,120", "--format", "rle", out=None)
        self.assertEqual(whole["masks"][0]["window"], [0, 0, 512, 512])
        self.assertEqual(whole["masks"][0]["rle"]["size"], [512, 512])

    def test_a_point_outside_the_box(self):
        """The box that the model gets is the one that was given."""
        x0, y0, x1, y1 = self.boxes[9]
        prompts = lambda dx, dy: [
            *("--box", f"{x0 - dx},{y0 - dy},{x1 - dx},{y1 - dy}"),
            *("--point", f"{x0 - 80 - dx},{y1 + 60 - dy},0", "--single", "--format", "rle"),
        ]
        (mask,) = self.segment("scene.tif", "--crs", "pixel", *prompts(0, 0), out=None)["masks"]
        window = mask["window"]
        self.translate("crop.png", "-of", "PNG", "-srcwin", *(str(number) for number in window))
        (other,) = self.segment("crop.png", *prompts(*window[:2]), out=None)["masks"]
        self.assertEqual((mask["rle"], mask["predicted_iou"]), (other["rle"], other["predicted_iou"]))

    def test_a_box_ends_with_the_scene(self):
        answers = [
            self.segment("scene.tif", "--crs", "pixel", f"--box={box}", "--single", "--format", "rle", out=None)
            for box in ("374,134,759.5,240", "374,134,1e300,240")
        ]
        self.assertEqual(*answers)

    def test_rotated_and_without_a_crs(self):
        self.translate("rotated.vrt", "-of", "VRT")
        with open(self.at("rotated.vrt")) as file:
            vrt = file.read()
        place = "<GeoTransform>500000, 1.6, 1.2, 5400000, 1.2, -1.6</GeoTransform>"
        with open(self.at("rotated.vrt"), "w") as file:
            file.write(vrt.replace("<VRTRasterBand ", place + "<VRTRasterBand ", 1))
        x, y = self.boxes[9][0] + 40.5, self.boxes[9][1] + 40.5
        point = f"{500000 + 1.6 * x + 1.2 * y},{5400000 + 1.2 * x - 1.6 * y}"
        answer = self.segment("rotated.vrt", "--crs", "map", "--point", point, "--single", out="rotated")
        self.assertIsNone(answer["crs"])
        ((properties, box),) = self.polygons("rotated/rotated.gpkg").values()
        self.assertIsNone(properties["area_m2"], "nothing says what the map's units are")
        self.assertTrue(box[0] < 500000 + 1.6 * x + 1.2 * y < box[2])
        straight = self.segment(
            "scene.tif", "--crs", "pixel", "--point", f"{x - 0.5},{y - 0.5}", "--single", "--format", "rle", out=None
        )
        self.assertEqual(answer["masks"][0]["area"], straight["masks"][0]["area"])

    def test_simplified(self):
        plain = self.segment("scene.tif", "--crs", "map", "--box", self.box(7), "--single", "--format", "geojson")
        with open(self.at("out/scene.geojson")) as file:
            many = len(json.load(file)["features"][0]["geometry"]["coordinates"][0])
        simple = self.segment(
            "scene.tif", "--crs", "map", "--box", self.box(7), "--single", "--format", "geojson", "--simplify", "10"
        )
        self.assertEqual(plain["masks"][0]["area"], simple["masks"][0]["area"])
        with open(self.at("out/scene.geojson")) as file:
            few = len(json.load(file)["features"][0]["geometry"]["coordinates"][0])
        self.assertLess(few, many / 2)

    def auto(self, scene, out, *options, code=0):
        done = subprocess.run(
            [SAMC, "auto", self.at(scene), "-o", self.at(out), "--tile", "256", "--points-per-side", "10", "--quiet"]
            + ["--pred-iou-thresh", "0.6", "--stability-score-thresh", "0.6", "--threads", "2", *options],
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def pixels(self, raster, kind):
        """Of its first band, row by row."""
        tool("gdal_translate", "-q", "-of", "ENVI", "-ot", kind, "-b", "1", self.at(raster), self.at("raw"))
        with open(self.at("raw"), "rb") as file:
            return file.read()

    def test_auto_on_a_map(self):
        """Polygons and label raster are the same masks: filled by their ids, the smaller on top."""
        answer = json.loads(self.auto("scene.tif", "auto", "--format", "gpkg,geojson,cog").stdout)
        found = self.polygons("auto/scene.gpkg")
        self.assertEqual(sorted(found), list(range(1, answer["masks"] + 1)))
        self.assertGreater(len(found), 5)
        metres = [found[number][0]["area_m2"] for number in sorted(found)]
        self.assertEqual(metres, sorted(metres, reverse=True))
        tool(
            *("gdal_rasterize", "-q", "-a", "id", "-ot", "UInt32", "-init", "0", "-tr", str(METRES), str(METRES)),
            *("-te", str(WEST), self.corners()[3], self.corners()[2], str(NORTH)),
            *(self.at("auto/scene.gpkg"), self.at("filled.tif")),
        )
        labels = self.pixels("auto/scene.masks.tif", "UInt32")
        self.assertEqual(self.pixels("filled.tif", "UInt32"), labels)
        self.assertEqual(len(labels), 760 * 640 * 4)
        info = json.loads(tool("gdalinfo", "-json", self.at("auto/scene.masks.tif")))
        self.assertEqual(info["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"], "COG")
        self.assertEqual(info["geoTransform"], [WEST, METRES, 0.0, NORTH, 0.0, -METRES])
        self.auto("scene.png", "plain", "--format", "cog")  # by libtiff
        self.assertEqual(self.pixels("plain/scene.masks.tif", "UInt32"), labels)
        plain = json.loads(tool("gdalinfo", "-json", self.at("plain/scene.masks.tif")))
        self.assertEqual((plain["bands"][0]["noDataValue"], plain["bands"][0]["block"]), (0.0, [512, 512]))
        self.assertEqual(plain["bands"][0]["overviews"], [{"size": [380, 320]}])
        self.auto("scene.tif", "again", "--format", "gpkg,geojson,cog", "--shard", "1/2")
        self.auto("scene.tif", "again", "--format", "gpkg,geojson,cog", "--shard", "0/2")
        for name in ("scene.gpkg", "scene.geojson", "scene.masks.tif"):
            with open(self.at(f"auto/{name}"), "rb") as one, open(self.at(f"again/{name}"), "rb") as other:
                self.assertEqual(one.read(), other.read(), name)

    def test_auto_without_data(self):
        """Nothing is found where there is no data, and a tile that cannot be read is told of."""
        half = [bytes(len(row) // 2 // 3 * 3) + row[len(row) // 2 // 3 * 3 :] for row in self.rows]
        write_png(self.at("half.png"), half)
        self.translate(
            "half.tif", "-a_nodata", "0", "-a_srs", "EPSG:32633", "-a_ullr", *self.corners(), source="half.png"
        )
        self.auto("half.tif", "half", "--format", "gpkg,cog")
        labels = self.pixels("half/half.masks.tif", "UInt32")
        for y in (5, 300, 639):
            self.assertEqual(labels[760 * 4 * y : 760 * 4 * y + 380 * 4], bytes(380 * 4), "no mask without data")
        self.assertGreater(len(set(labels)), 1)
        tiled = ["-co", "TILED=YES", "-co", "BLOCKXSIZE=128", "-co", "BLOCKYSIZE=128", "-co", "COMPRESS=DEFLATE"]
        self.translate("broken.tif", *tiled, "-a_srs", "EPSG:32633", "-a_ullr", *self.corners())
        with open(self.at("broken.tif"), "r+b") as file:
            file.seek(os.path.getsize(self.at("broken.tif")) // 2)
            file.write(b"\xff" * 40)
        said = self.auto("broken.tif", "broken", "--format", "gpkg", code=3).stderr
        self.assertRegex(said, "128 x 128 pixels at [0-9]+, [0-9]+ cannot be read")
        with open(self.at("broken/errors.jsonl")) as file:
            self.assertEqual(len(file.readlines()), 1)
        self.assertGreater(len(self.polygons("broken/broken.gpkg")), 5)

    def vrt(self, name, part, mask=""):
        def band(source, number, more=""):
            return (
                f'<VRTRasterBand dataType="Byte" {more}><SimpleSource><SourceFilename relativeToVRT="1">{source}'
                f"</SourceFilename><SourceBand>{number}</SourceBand></SimpleSource></VRTRasterBand>"
            )

        bands = "".join(band(part, number, f'band="{number}"') for number in (1, 2, 3))
        if mask:
            bands += "<MaskBand>" + band(mask, "mask,1") + "</MaskBand>"
        with open(self.at(name), "w") as file:
            file.write(f'<VRTDataset rasterXSize="300" rasterYSize="200">{bands}</VRTDataset>\n')

    def test_a_changed_scene_is_not_gone_on_with(self):
        """Whichever of the files that it is read from was changed, by a byte: those it names, those beside them."""
        few = ["-srcwin", "0", "0", "300", "200"]
        self.translate(
            "part.tif", *few, *("-co", "PROFILE=BASELINE", "-co", "TFW=YES", "-a_ullr", "0", "200", "300", "0")
        )
        tool("gdaladdo", "-q", "-ro", self.at("part.tif"), "2")
        self.translate("mask.tif", *few, "-mask", "1", "--config", "GDAL_TIFF_INTERNAL_MASK", "NO")
        tool("gdaladdo", "-q", "-ro", self.at("mask.tif.msk"), "2")
        self.vrt("inner.vrt", "part.tif")
        self.vrt("outer.vrt", "inner.vrt", "mask.tif")
        for scene, files in (
            ("part.tif", ["part.tif", "part.tif.ovr", "part.tfw"]),
            ("outer.vrt", ["outer.vrt", "inner.vrt", "part.tif", "part.tif.ovr", "mask.tif.msk", "mask.tif.msk.ovr"]),
        ):
            options = [f"changed-{scene}", "--points-per-side", "2", "--format", "jsonl"]
            self.auto(scene, *options)
            self.auto(scene, *options, "--resume")
            for name in files:
                with open(self.at(name), "rb") as file:
                    whole = file.read()
                text = name.endswith((".vrt", ".tfw"))
                for changed in (whole + b"\n" if text else whole[:-1] + bytes([whole[-1] ^ 1]), whole):
                    with self.subTest(scene=scene, name=name, changed=changed is not whole):
                        with open(self.at(name), "wb") as file:
                            file.write(changed)
                        said = self.auto(scene, *options, "--resume", code=int(changed is not whole)).stderr
                        self.assertEqual("the run was begun with" in said, changed is not whole, said)

    def test_wrong_usage(self):
        for options, says in (
            (["--crs", "degrees", "--point", "1,2"], "--crs is map or pixel"),
            (["--crs", "map", "--point", "15.0,48.7"], "lies outside the scene: x from 500000 to 501520"),
            (["--crs", "map", "--box", "1,2,3,4"], "lies outside the scene"),
            (["--crs", "map", "--point", "1,2,3"], "--point is X,Y or X,Y,LABEL"),
            (["--crs", "map", "--point", "nan,2"], "--point is X,Y or X,Y,LABEL"),
            (["--crs", "map", "--box", "1,2,3"], "--box is X0,Y0,X1,Y1"),
            (["--crs", "map"], "no prompt"),
            (["--boxes", "x.gpkg", "--point", "1,2"], "--boxes goes without"),
            (["--point", "1,2", "--bands", "1"], "go with --crs"),
            (["--point", "1,2", "--format", "gpkg"], "go with --crs"),
            (["--crs", "pixel", "--point", "1,2", "--simplify", "-1"], "--simplify is a distance"),
            (["--crs", "pixel", "--point", "1,2", "--page", "1"], "--page"),
        ):
            with self.subTest(options=options):
                self.assertIn(says, self.segment("scene.tif", *options, code=2))
        for name, options, says in (
            ("scene.png", ["--crs", "map", "--point", "1,2"], "nothing in it says where on a map it lies"),
            ("scene.tif", ["--crs", "pixel", "--point", "1,2", "--bands", "4,1,2"], "from 1 to 3"),
            ("missing.tif", ["--crs", "pixel", "--point", "1,2"], "no such file"),
            ("scene.tif", ["--boxes", "https://127.0.0.1:9/a.geojson"], "only files of this machine"),
        ):
            with self.subTest(options=options):
                self.assertIn(says, self.segment(name, *options, code=1))


if __name__ == "__main__":
    unittest.main()
