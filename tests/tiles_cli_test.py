#!/usr/bin/env python3
"""samc auto --tile on the default model: a scene in tiles as a user runs it, against what is known of the scene."""

import json
import os
import signal
import struct
import subprocess
import tempfile
import threading
import time
import unittest
import zlib
from pathlib import Path

SAMC = os.environ["SAMC"]
MODEL = os.environ["SAMC_MODEL_FILE"]
WIDTH, HEIGHT = 720, 600
DISCS = [(60, 60, 34), (256, 70, 36), (70, 256, 36), (650, 530, 36), (60, 520, 36), (512, 236, 140), (260, 410, 150)]
TILES = ["--tile", "256", "--halo", "48", "--points-per-side", "8", "--pred-iou-thresh", "0.7"]


def scene(width=WIDTH, height=HEIGHT, discs=DISCS):
    """Rows of bright discs on a dark slope."""
    rows = []
    for y in range(height):
        row = bytearray()
        for x in range(width):
            row += bytes((40 + 20 * x // width, 60 + 20 * y // height, 50))
        for i, (cx, cy, r) in enumerate(discs):
            if abs(y - cy) > r:
                continue
            half = int((r * r - (y - cy) ** 2) ** 0.5)
            first, last = max(cx - half, 0), min(cx + half, width - 1)
            if first <= last:
                row[3 * first : 3 * last + 3] = bytes((200 + 10 * (i % 5), 190 - 25 * (i % 4), 90)) * (last - first + 1)
        rows.append(bytes(row))
    return rows


def png(path, rows, body=None, interlaced=0):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, interlaced)
    body = body or zlib.compress(b"".join(b"\0" + row for row in rows), 1)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))
    return path


def unpack(text):
    """COCO's compressed string -> run lengths."""
    counts, at = [], 0
    while at < len(text):
        value, shift = 0, 0
        while True:
            c = ord(text[at]) - 48
            at += 1
            value |= (c & 31) << shift
            shift += 5
            if not c & 32:
                break
        if c & 16:
            value -= 1 << shift
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    return counts


def columns(counts, height, x0=0, y0=0):
    """Run lengths -> {(x, y0, y1)}, the pieces of columns."""
    pieces, position = set(), 0
    for i, count in enumerate(counts):
        begin, end = position, position + count
        while i % 2 and begin < end:
            stop = min(end, (begin // height + 1) * height)
            pieces.add((x0 + begin // height, y0 + begin % height, y0 + begin % height + stop - begin))
            begin = stop
        position = end
    return pieces, position


class TilesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory(prefix="samc-tiles-")
        cls.folder = Path(cls.temporary.name)
        cls.scene = png(cls.folder / "scene.png", scene())
        cls.whole = cls.run_auto(cls, cls.scene, "whole", *TILES, "--format", "coco,jsonl,overlay")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_auto(self, image, out, *options):
        command = [SAMC, "auto", str(image), "--model", MODEL, "-o", str(self.folder / out), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=600)

    def coco(self, out, name="scene"):
        return json.loads((self.folder / out / f"{name}.coco.json").read_text())

    def refused(self, *options, code=2, says="", image=None):
        run = self.run_auto(image or self.scene, "refused", *options)
        self.assertEqual(run.returncode, code, run.stderr)
        self.assertIn(says, run.stderr)
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        self.assertFalse((self.folder / "refused").exists() and code == 2)

    def test_each_object_once(self):
        self.assertEqual(self.whole.returncode, 0, self.whole.stderr)
        line = json.loads(self.whole.stdout)
        data = self.coco("whole")
        self.assertEqual(line["size"], [HEIGHT, WIDTH])
        self.assertEqual((line["levels"], line["tiles"]), (3, 9 + 4 + 1))
        self.assertEqual(line["masks"], len(data["annotations"]))
        image = {"id": 1, "file_name": "scene.png", "width": WIDTH, "height": HEIGHT}
        self.assertEqual(data["images"], [image])
        areas = [a["area"] for a in data["annotations"]]
        self.assertEqual(areas, sorted(areas, reverse=True))
        for x, y, r in DISCS:
            box, same = [x - r, y - r, 2 * r + 1, 2 * r + 1], 0
            for a in data["annotations"]:
                w = min(a["bbox"][0] + a["bbox"][2], box[0] + box[2]) - max(a["bbox"][0], box[0])
                h = min(a["bbox"][1] + a["bbox"][3], box[1] + box[3]) - max(a["bbox"][1], box[1])
                both = max(w, 0) * max(h, 0)
                same += both / (a["bbox"][2] * a["bbox"][3] + box[2] * box[3] - both) > 0.7
            self.assertEqual(same, 1, (x, y, r))
        large = [a for a in data["annotations"] if a["level"] > 0]
        self.assertTrue(any(a.get("refined") == 0 for a in large))

    def test_run_lengths_are_those_of_the_box(self):
        data = self.coco("whole")["annotations"]
        lines = [json.loads(line) for line in (self.folder / "whole/scene.masks.jsonl").read_text().splitlines()]
        self.assertEqual(len(lines), len(data))
        for a, line in zip(data, lines):
            x, y, w, h = a["bbox"]
            self.assertEqual((line["bbox"], line["id"]), (a["bbox"], a["id"]))
            self.assertEqual(a["segmentation"]["size"], [HEIGHT, WIDTH])
            self.assertEqual(line["segmentation"]["size"], [h, w])
            full, total = columns(unpack(a["segmentation"]["counts"]), HEIGHT)
            own, inside = columns(unpack(line["segmentation"]["counts"]), h, x, y)
            self.assertEqual((total, inside), (WIDTH * HEIGHT, w * h))
            self.assertEqual(full, own)
            self.assertEqual(sum(b - a for _, a, b in full), a["area"])
            self.assertEqual((min(p[0] for p in full), max(p[0] for p in full)), (x, x + w - 1))
            self.assertEqual((min(p[1] for p in full), max(p[2] for p in full)), (y, y + h))

    def test_shards_and_batches_change_nothing(self):
        for i in range(2):
            run = self.run_auto(
                self.scene, "shards", *TILES, "--format", "coco", "--shard", f"{i}/2", "--batch-images", "3"
            )
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(run.stdout == "", i == 0)
        self.assertEqual(self.coco("shards"), self.coco("whole"))

    def test_one_tile_is_samc_auto(self):
        small = png(self.folder / "small.png", scene(300, 240, [(80, 80, 40), (200, 150, 50)]))
        options = ["--points-per-side", "8", "--pred-iou-thresh", "0.7"]
        run = self.run_auto(small, "tile", *options, "--tile", "256", "--halo", "48", "--format", "coco")
        plain = self.run_auto(small, "plain", *options, "--format", "jsonl")
        self.assertEqual((run.returncode, plain.returncode), (0, 0), run.stderr + plain.stderr)
        self.assertEqual(json.loads(run.stdout)["tiles"], 1)
        masks = json.loads((self.folder / "plain/masks.jsonl").read_text())["masks"]
        key = lambda m: (m["area"], m["segmentation"]["counts"], m["predicted_iou"])
        self.assertEqual(sorted(map(key, self.coco("tile", "small")["annotations"])), sorted(map(key, masks)))

    def test_a_constant_scene(self):
        plain = png(self.folder / "plain.png", scene(700, 500, []))
        run = self.run_auto(plain, "constant", *TILES, "--format", "coco,jsonl,overlay")
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertTrue((self.folder / "constant/plain.overlay.png").stat().st_size > 1000)
        self.coco("constant", "plain")

    def test_what_cannot_be_read_is_named_and_the_rest_done(self):
        body = bytearray(zlib.compress(b"".join(b"\0" + row for row in scene()), 1))
        body[len(body) * 3 // 4] ^= 255
        cut = png(self.folder / "cut.png", scene(), bytes(body))
        run = self.run_auto(cut, "cut", *TILES, "--format", "coco")
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn("cut.png", run.stderr)
        self.assertTrue((self.folder / "cut/errors.jsonl").read_text())
        self.assertTrue(self.coco("cut", "cut")["annotations"])
        run = self.run_auto(cut, "cut", *TILES, "--format", "coco", "--resume")  # reads nothing any more
        self.assertEqual(run.returncode, 3, run.stderr)
        self.assertIn("1 parts of it could not be read and are left out; see errors.jsonl", run.stderr)

    def struck_twice(self, delay):
        """What a run ends with that is interrupted twice, so long after it has begun."""
        points = ["--tile", "1024", "--points-per-side", "1024", "--points-per-batch", "1"]  # a million: hours
        out = self.folder / f"struck-{delay}"
        command = [SAMC, "auto", str(self.scene), "--model", MODEL, "-o", str(out), *points]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            late = threading.Timer(300, process.kill)
            late.start()
            while not (out / ".samc/journal").exists() and process.poll() is None:
                time.sleep(0.05)
            time.sleep(delay)
            process.send_signal(signal.SIGINT)
            told = any("stopping" in line for line in process.stderr)
            process.send_signal(signal.SIGINT)
            code = process.wait()
            late.cancel()
        self.assertTrue(told)
        return code

    def test_a_second_signal_kills_while_a_tile_is_at_work(self):
        for delay in (0, 1, 5, 20):  # where the first one comes before the first tile, the run ends by it
            code = self.struck_twice(delay)
            if code != 128 + signal.SIGINT:
                break
        self.assertEqual(code, -signal.SIGINT)

    def test_nonsense(self):
        for option, value in (("tile", "0"), ("tile", "-5"), ("tile", "99999"), ("halo", "0"), ("halo", "-1")):
            self.refused("--tile", "256", f"--{option}", value, says=f"--{option}")
        self.refused("--tile", "256", "--halo", "128", says="halo")
        self.refused("--tile", "256", "--halo", "4095", says="halo")
        for levels in ("0", "25", "few"):
            self.refused("--tile", "256", "--levels", levels, says="--levels")
        for origin in ("3", "3,", "a,b", "1,2,3"):
            self.refused("--tile", "256", "--tile-origin", origin, says="--tile-origin")
        self.refused("--stitch", says="--stitch goes with --tile")
        self.refused("--tile", "256", "--format", "webdataset", says="--format")
        self.refused("--tile", "256", "--simplify", "far", says="--simplify")
        others = ["--queue", "3"], ["--memory", "1G"], ["--label-maps"], ["--stats", "x"], ["--crop-n-layers", "1"]
        for option in (["--glob", "x"], *others):
            self.refused("--tile", "256", *option, says=f"{option[0]} does not go with --tile")
        self.refused("--tile", "256", str(self.scene), says="one INPUT")
        self.refused("--tile", "256", code=1, says="missing.png", image=self.folder / "missing.png")

    def test_a_run_that_is_there(self):
        run = self.run_auto(self.scene, "whole", *TILES, "--format", "coco,jsonl,overlay")
        self.assertEqual(run.returncode, 1)
        self.assertIn("--resume", run.stderr)
        run = self.run_auto(self.scene, "whole", *TILES, "--format", "coco,jsonl,overlay", "--halo", "64", "--resume")
        self.assertEqual(run.returncode, 1)
        self.assertIn("halo", run.stderr)

    def test_a_scene_that_was_changed_is_not_gone_on_with(self):
        image, options = self.folder / "changed.png", ["--tile", "256", "--points-per-side", "2", "--format", "jsonl"]
        rows = scene(300, 300, [(150, 150, 60)])
        png(image, rows)
        self.assertEqual(self.run_auto(image, "changed", *options).returncode, 0)
        before = image.read_bytes()
        image.unlink()
        image.write_bytes(before)  # another file, and a later one, of the same bytes
        run = self.run_auto(image, "changed", *options, "--resume")
        self.assertEqual(run.returncode, 0, run.stderr)
        other = bytearray(rows[299])
        other[-1] ^= 1  # of the last pixel; stored, so that the file is as long
        for i, row in enumerate((rows[299], bytes(other))):
            body = zlib.compress(b"".join(b"\0" + r for r in rows[:299] + [row]), 0)
            png(image, rows, body)
            run = self.run_auto(image, "stored", *options, *(["--resume"] if i else []))
            self.assertEqual(run.returncode, i, run.stderr)
        size = image.stat().st_size
        told = f'content is "{size} bytes, [0-9a-f]{{32}}", the run was begun with "{size} bytes, '
        self.assertRegex(run.stderr, told)
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)

    def test_what_is_not_read_by_rows_has_a_limit(self):
        image = self.folder / "interlaced.png"
        rows = scene(200, 150, [(100, 75, 40)])
        passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
        body = bytearray()  # Adam7: rows from and each, columns from and each
        for y, dy, x, dx in passes:
            for row in rows[y::dy]:
                body += b"\0" + b"".join(row[3 * c : 3 * c + 3] for c in range(x, 200, dx))
        png(image, rows, zlib.compress(bytes(body)), interlaced=1)
        plain = png(self.folder / "by-rows.png", rows)
        options = ["--tile", "256", "--points-per-side", "2", "--format", "jsonl"]
        self.assertEqual(self.run_auto(plain, "by-rows", *options, "--max-pixels", "29999").returncode, 0)
        self.assertEqual(self.run_auto(image, "interlaced", *options, "--max-pixels", "30000").returncode, 0)
        found = [(self.folder / n / f"{n}.masks.jsonl").read_bytes() for n in ("by-rows", "interlaced")]
        self.assertEqual(*found)
        run = self.run_auto(image, "refused", *options, "--max-pixels", "29999")
        self.assertEqual(run.returncode, 1, run.stderr)
        self.assertIn("image of 200 x 150 pixels, more than the limit of 29999: it cannot be read by rows", run.stderr)
        self.assertEqual(run.stderr.count("\n"), 1, run.stderr)
        self.assertFalse((self.folder / "refused").exists())

    def test_pieces_put_together(self):
        rows = scene(discs=[])
        for y in range(280, 330):
            rows[y] = bytes((210, 180, 90)) * WIDTH  # a road from side to side
        road = png(self.folder / "road.png", rows)
        options = [*TILES, "--levels", "1", "--format", "coco"]
        found = []
        for out, more in (("cut-road", []), ("stitched", ["--stitch"])):
            run = self.run_auto(road, out, *options, *more)
            self.assertEqual(run.returncode, 0, run.stderr)
            found.append([a for a in self.coco(out, "road")["annotations"] if 0.8 < a["area"] / (50 * WIDTH) < 1.25])
        self.assertEqual([len(f) for f in found], [0, 1])
        self.assertEqual((found[1][0]["bbox"][0], found[1][0]["bbox"][2]), (0, WIDTH))


if __name__ == "__main__":
    unittest.main()
