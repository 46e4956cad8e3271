#!/usr/bin/env python3
"""Archives from outside: what goes in, what comes out, and that nothing is lost when a run is killed, refused or out of space.

    SAMC=build/release/bin/samc python3 tests/archive_test.py quick|full|all [-k NAME]

"quick" takes seconds; "full" has the thousand images that are killed ten times, every operation of a run struck in turn, ten thousand
images within the memory of a few, and pycocotools. SAMC_FAULTS names the layer of archive_faults.c; without it what needs it is skipped.
"""
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest
import zlib

import power_loss
from cli_test import SAMC, Case, decode_rle, read, read_png, run

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "data", "golden", "tiny.safetensors")
PHOTOS = [os.path.join(HERE, "data", "images", name) for name in ("jpeg_420.jpg", "jpeg_422_progressive.jpg", "exif_6.jpg")]
FAULTS = os.environ.get("SAMC_FAULTS")
SEED = int(os.environ.get("SAMC_TEST_SEED", "0")) or random.randrange(1 << 30)
# A random model of 0.1 M parameters; nothing is filtered but equal boxes.
OPTIONS = ["--model", TINY, "--points-per-side", "2", "--pred-iou-thresh", "0", "--stability-score-thresh", "0", "--box-nms-thresh", "0.98", "--threads", "2"]


# ---- Making inputs ---------------------------------------------------------------------------------------------------

def png(width, height, rgb):
    rows = b"".join(b"\0" + rgb[y * width * 3:(y + 1) * width * 3] for y in range(height))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def ppm(width, height, rgb):
    return b"P6\n%d %d\n255\n" % (width, height) + rgb


def picture(number):
    """A small picture that no other number has: (ending, bytes)."""
    dice = random.Random(number)
    width, height = dice.randrange(1, 40), dice.randrange(1, 40)
    rgb = bytearray(dice.randbytes(3) * (width * height))
    for _ in range(3):
        colour, x0, y0 = dice.randbytes(3), dice.randrange(width), dice.randrange(height)
        for y in range(y0, min(height, y0 + 15)):
            for x in range(x0, min(width, x0 + 12)):
                rgb[3 * (y * width + x):3 * (y * width + x) + 3] = colour
    return ("png", png(width, height, bytes(rgb))) if dice.random() < 0.4 else ("ppm", ppm(width, height, bytes(rgb)))


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def pack(path, members):
    """A tar of (name, bytes); gzip by its ending."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tarfile.open(path, "w:gz" if path.endswith("gz") else "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def tree(folder):
    """Every name below the folder with its bytes, None for folders. Bytes, because names may be any."""
    found = {}
    for where, folders, files in os.walk(os.fsencode(folder)):
        for name in folders:
            found[os.path.relpath(os.path.join(where, name), os.fsencode(folder))] = None
        for name in files:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, os.fsencode(folder))] = file.read()
    return found


def records(folder):
    """Whole lines of the journal behind the first."""
    try:
        return read(os.path.join(folder, ".samc", "journal")).count(b"\n") - 1
    except FileNotFoundError:
        return 0


def memory_folder():
    """A file system in memory, where syncing costs nothing; None where there is none of some size."""
    try:
        room = os.statvfs("/dev/shm")
        return "/dev/shm" if os.access("/dev/shm", os.W_OK) and room.f_bavail * room.f_frsize > 300 << 20 else None
    except OSError:
        return None


class Archive(Case):
    maxDiff = 2000
    folders_in = memory_folder()

    def setUp(self):
        tempfile.tempdir = self.folders_in
        super().setUp()
        self.dice = random.Random(SEED)

    def auto(self, *arguments, code=0, options=OPTIONS, **more):
        """Runs; returns the lines of the standard output and the standard error."""
        got, out, err = run("auto", *map(str, arguments), *options, **more)
        self.assertEqual(got, code, err)
        return [json.loads(line) for line in out.splitlines()], err

    def same_tree(self, ours, theirs):
        ours, theirs = tree(ours), tree(theirs)
        self.assertEqual(sorted(ours), sorted(theirs))
        self.assertEqual([name for name in ours if ours[name] != theirs[name]], [], "these differ")

    def small_inputs(self, count=6):
        """A folder with two folders, an archive and a bad image."""
        for i in range(count):
            ending, data = picture(i)
            put(self.at("in", f"part{i % 2}", f"{i}.{ending}"), data)
        put(self.at("in", "photo.jpg"), read(PHOTOS[0]))
        put(self.at("in", "bad.jpg"), read(PHOTOS[0])[:300])
        pack(self.at("in", "shard.tar"), [("a/1.png", picture(100)[1]), ("a/1.json", b"{}"), ("2.ppm", picture(101)[1])])
        return self.at("in")


# ---- Inputs ----------------------------------------------------------------------------------------------------------

class Inputs(Archive):
    def names(self, *arguments, code=0, **more):
        lines, _ = self.auto(*arguments, "--format", "jsonl", code=code, **more)
        return [line["image"] for line in lines]

    def test_folders_archives_and_order(self):
        data = picture(1)[1]
        for name in ("b/2.png", "b/10.png", "a.PNG", "c.png", ".hidden.png", ".git/x.png", "notes.txt", "d/.x/y.png"):
            put(self.at("in", name), data)
        pack(self.at("in", "b", "w.tar"), [("z/9.png", data), ("1.png", data), ("1.cls", b"3"), ("._1.png", b"x")])
        pack(self.at("other.tgz"), [("./q.png", data), ("/r.png", data)])
        expected = ["a.PNG", "b/10.png", "b/2.png", "b/w.tar/z/9.png", "b/w.tar/1.png", "c.png", "other.tgz/./q.png", "other.tgz//r.png"]
        expected = [self.at("in", name) if not name.startswith("other") else self.at(name) for name in expected]
        self.assertEqual(self.names(self.at("in"), self.at("other.tgz"), "-o", self.at("out")), expected)
        lines, _ = self.auto(self.at("in"), self.at("other.tgz"), "-o", self.at("rle"), "--format", "rle,overlay")
        found = [os.fsdecode(name) for name, data in tree(self.at("rle")).items() if data is not None and not name.startswith(b".samc")]
        keys = ["a.PNG", "b/10.png", "b/2.png", "b/w.tar/z/9.png", "b/w.tar/1.png", "c.png", "other.tgz/q.png", "other.tgz/r.png"]
        self.assertEqual(sorted(found), sorted([key + end for key in keys for end in (".json", ".overlay.png")]))

    def test_glob(self):
        for name in ("a1.png", "a2.ppm", "x/a3.png", "x/deep/b.png"):
            put(self.at("in", name), picture(1)[1])
        pack(self.at("in", "t.tar"), [("a4.png", picture(1)[1]), ("b.png", picture(1)[1])])
        names = self.names(self.at("in"), "-o", self.at("1"), "--glob", "a*", "--glob", "x/*.png")  # what a file is, its bytes decide: a2.ppm is a PNG
        self.assertEqual([os.path.relpath(name, self.at("in")) for name in names], ["a1.png", "a2.ppm", "t.tar/a4.png", "x/a3.png", "x/deep/b.png"])

    def test_lists(self):
        put(self.at("p", "a", "1.png"), picture(1)[1])
        put(self.at("p", "b", "1.png"), picture(2)[1])
        put(self.at("q", "c.png"), picture(3)[1])
        listing = put(self.at("list.txt"), f"p/a/1.png\r\n\n./p/b/1.png\n{self.at('q')}\n".encode())
        lines, _ = self.auto("@" + listing, "-o", self.at("1"), "--format", "rle", cwd=self.folder)
        self.assertEqual(len(lines), 3)
        self.assertTrue(os.path.exists(self.at("1", "p", "a", "1.png.json")) and os.path.exists(self.at("1", "p", "b", "1.png.json")))
        self.assertTrue(os.path.exists(self.at("1", self.at("q").lstrip("/"), "c.png.json")))
        odd = os.path.join(self.folder, "line\nfeed.png")
        shutil.copy(self.at("q", "c.png"), odd)
        lines, _ = self.auto("-", "-o", self.at("2"), "--format", "jsonl", stdin=odd.encode() + b"\0" + b"gone.png\0", code=3, cwd=self.folder)
        self.assertEqual([line["image"] for line in lines], [odd])
        self.assertIn("gone.png", json.loads(read(self.at("2", "errors.jsonl")))["image"])

    def test_odd_names(self):
        names = [b"line\nfeed.png", b'quote".png', b"back\\slash.png", "\u00fcml\u00e4ut \u4e2d.png".encode(), b"latin-\xe9.png", b" blank .png"]
        for i, name in enumerate(names):
            put(os.path.join(os.fsencode(self.at("in")), name), picture(i)[1])
        pack(self.at("in", "t.tar"), [("\u00fc\n\u4e2d.png", picture(9)[1])])
        lines, _ = self.auto(self.at("in"), "-o", self.at("out"), "--format", "rle,jsonl,coco,overlay,png")
        self.assertEqual(len(lines), 7)
        out = tree(self.at("out"))
        for name in names + ["t.tar/\u00fc\n\u4e2d.png".encode()]:
            self.assertIn(name + b".json", out)
            self.assertIn(name + b"/metadata.csv", out)
        self.assertEqual(len(read(self.at("out", "masks.jsonl")).splitlines()), 7)
        files = [image["file_name"] for image in json.loads(read(self.at("out", "annotations.json")))["images"]]
        self.assertIn('quote".png', files)
        self.assertIn("latin-\ufffd.png", files)
        self.auto(self.at("in"), "-o", self.at("out"), "--format", "rle,jsonl,coco,overlay,png", "--resume")

    def test_symbolic_links(self):
        put(self.at("in", "a", "1.png"), picture(1)[1])
        os.symlink("..", self.at("in", "a", "up"))
        os.symlink(".", self.at("in", "self"))
        os.symlink("a", self.at("in", "twin"))
        os.symlink("nowhere.png", self.at("in", "gone.png"))
        lines, _ = self.auto(self.at("in"), "-o", self.at("out"), "--format", "rle", code=3)
        self.assertEqual([os.path.relpath(line["image"], self.at("in")) for line in lines], ["a/1.png", "twin/1.png"])
        self.assertIn("gone.png", read(self.at("out", "errors.jsonl")).decode())

    def test_equal_names_are_refused(self):
        for name in ("x/1.png", "y/1.png"):
            put(self.at(name), picture(1)[1])
        for arguments in ((self.at("x", "1.png"), self.at("y", "1.png")), (self.at("x"), self.at("y")), (self.at("x"), self.at("x", "1.png"))):
            self.usage("would write the same files", "auto", *arguments, "-o", self.at("o"), *OPTIONS)
        pack(self.at("t.tar"), [("1.png", b"x"), ("./1.png", b"y")])
        self.usage("would write the same files", "auto", self.at("t.tar"), "-o", self.at("o"), *OPTIONS)
        put(self.at("z", "a.png"), b"")
        put(self.at("z", "a.png.json", "b.png"), b"")
        self.usage("in the way", "auto", self.at("z"), "-o", self.at("o"), *OPTIONS)
        put(self.at("v", "masks.jsonl"), b"")
        self.usage("in the way", "auto", self.at("v", "masks.jsonl"), "-o", self.at("o"), "--format", "png,jsonl", *OPTIONS)
        self.usage("output folder", "auto", self.at("x"), "-o", self.at("x"), *OPTIONS)
        self.assertFalse(os.path.exists(self.at("o")))

    def test_output_inside_the_input(self):
        put(self.at("in", "1.png"), picture(1)[1])
        for _ in range(2):
            lines, _ = self.auto(self.at("in"), "-o", self.at("in", "out"), "--resume")
        self.assertEqual(lines, [])

    def test_nothing(self):
        os.makedirs(self.at("empty"))
        self.failure("no image", "auto", self.at("empty"), "-o", self.at("o"), *OPTIONS)
        pack(self.at("empty.tar"), [])
        self.failure("no image", "auto", self.at("empty.tar"), "-o", self.at("o"), *OPTIONS)
        self.failure("no image", "auto", "-", "-o", self.at("o"), *OPTIONS, stdin=b"")
        put(self.at("in", "1.png"), picture(1)[1])
        self.auto(self.at("in"), "-o", self.at("o"), "--format", "rle,jsonl,coco,png,overlay", "--shard", "1/2")
        self.assertEqual(read(self.at("o", "masks.1-of-2.jsonl")), b"")
        data = json.loads(read(self.at("o", "annotations.1-of-2.json")))
        self.assertEqual((data["images"], data["annotations"]), ([], []))

    def test_shards_make_the_whole(self):
        inputs = self.small_inputs()
        formats = ["--format", "rle,jsonl,coco,png,overlay"]
        self.auto(inputs, "-o", self.at("whole"), *formats, code=3)
        codes = [run("auto", inputs, "-o", self.at("parts"), *formats, "--shard", f"{i}/3", *OPTIONS, "-q")[0] for i in range(3)]
        self.assertEqual(sorted(codes), [0, 0, 3])
        collected = (b".samc", b"masks", b"annotations", b"errors")
        files = lambda folder: {name: data for name, data in tree(folder).items() if not name.startswith(collected)}
        self.assertEqual(files(self.at("parts")), files(self.at("whole")))
        lines = [read(self.at("parts", f"masks.{i}-of-3.jsonl")).splitlines() for i in range(3)]
        self.assertEqual(sorted(sum(lines, [])), sorted(read(self.at("whole", "masks.jsonl")).splitlines()))
        parts = [json.loads(read(self.at("parts", f"annotations.{i}-of-3.json"))) for i in range(3)]
        whole = json.loads(read(self.at("whole", "annotations.json")))
        ids = [a["id"] for part in parts for a in part["annotations"]]
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual(sorted((i["id"], i["file_name"]) for part in parts for i in part["images"]), [(i["id"], i["file_name"]) for i in whole["images"]])
        self.failure("another --shard", "auto", inputs, "-o", self.at("parts"), *OPTIONS)
        self.failure("points-per-side is 3, the run was begun with 2", "auto", inputs, "-o", self.at("parts"), *formats, "--shard", "1/3", "--resume", *OPTIONS, "--points-per-side", "3")


# ---- What comes out --------------------------------------------------------------------------------------------------

class Formats(Archive):
    def check_agreement(self, out, lines):
        """rle, jsonl, coco, png and overlay of a run say the same."""
        coco = json.loads(read(os.path.join(out, "annotations.json")))
        by_image = {image["id"]: [] for image in coco["images"]}
        for annotation in coco["annotations"]:
            by_image[annotation["image_id"]].append(annotation)
        self.assertEqual([a["id"] for a in coco["annotations"]], list(range(1, len(coco["annotations"]) + 1)))
        self.assertEqual(len(lines), len(coco["images"]))
        masks = 0
        for line, image in zip(lines, coco["images"]):
            base = os.path.join(out, image["file_name"])
            with open(base + ".json") as file:
                self.assertEqual(json.load(file), line["masks"])
            self.assertEqual([image["height"], image["width"]], line["size"])
            self.assertEqual(read_png(base + ".overlay.png")[:3], (image["width"], image["height"], 3))
            self.assertEqual(len(by_image[image["id"]]), len(line["masks"]))
            for i, (record, annotation) in enumerate(zip(line["masks"], by_image[image["id"]])):
                self.assertEqual(record["segmentation"], annotation["segmentation"])
                self.assertEqual((annotation["category_id"], annotation["iscrowd"], annotation["area"]), (1, 0, record["area"]))
                mask = decode_rle(record["segmentation"])
                columns = [x for row in mask for x, bit in enumerate(row) if bit]
                rows = [y for y, row in enumerate(mask) if any(row)]
                box = [min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1] if columns else [0, 0, 0, 0]
                self.assertEqual(annotation["bbox"], box)
                self.assertEqual([[v // 255 for v in row] for row in read_png(os.path.join(base, f"{i}.png"))[3]], mask)
                masks += 1
        return masks

    def test_formats_agree(self):
        inputs = self.small_inputs()
        put(self.at("in", "pixel.ppm"), ppm(1, 1, b"\1\2\3"))
        self.auto(inputs, "-o", self.at("out"), "--format", "rle,jsonl,coco,png,overlay", code=3)
        lines = [json.loads(line) for line in read(self.at("out", "masks.jsonl")).splitlines()]
        self.assertGreater(self.check_agreement(self.at("out"), lines), 20)

    def test_lines_in_several_files(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("one"), "--format", "jsonl", code=3)
        self.auto(inputs, "-o", self.at("some"), "--format", "jsonl", "--lines-per-file", "3", code=3)
        names = sorted(name for name in os.listdir(self.at("some")) if name.startswith("masks"))
        self.assertEqual(names, ["masks-00000.jsonl", "masks-00001.jsonl", "masks-00002.jsonl", "masks-00003.jsonl"])
        parts = [read(self.at("some", name)) for name in names]
        self.assertEqual(b"".join(parts), read(self.at("one", "masks.jsonl")))
        self.assertEqual([part.count(b"\n") for part in parts], [2, 3, 3, 1])  # bad.jpg is the first

    def test_same_bytes_however_it_is_run(self):
        inputs = self.small_inputs()
        formats = ["--format", "rle,jsonl,coco,png,overlay"]
        self.auto(inputs, "-o", self.at("a"), *formats, code=3)
        more = [["--batch-images", "1", "--load-threads", "1", "--write-threads", "1", "--queue", "1"],
                ["--batch-images", "64", "--load-threads", "7", "--write-threads", "5", "--queue", "50", "--no-sync", "--points-per-batch", "3"]]
        for i, arguments in enumerate(more):
            self.auto(inputs, "-o", self.at(f"b{i}"), *formats, *arguments, code=3)
            self.same_tree(self.at(f"b{i}"), self.at("a"))

    def test_pycocotools(self):
        """A full check by the tool that people read COCO with; needs it installed, or a network to install it from."""
        python = os.environ.get("SAMC_PYCOCOTOOLS_PYTHON")
        if python is None:
            python = sys.executable
            if subprocess.run([python, "-c", "import pycocotools"], capture_output=True).returncode != 0:
                subprocess.run([sys.executable, "-m", "venv", self.at("venv")], check=True, capture_output=True)
                python = self.at("venv", "bin", "python")
                got = subprocess.run([python, "-m", "pip", "install", "--quiet", "pycocotools==2.0.11"], capture_output=True)
                if got.returncode != 0:
                    self.skipTest("pycocotools is not here and cannot be fetched: " + got.stderr.decode()[-200:])
        inputs = self.small_inputs(40)
        shutil.copy(os.path.join(HERE, "..", "tools", "examples", "cat.jpg"), inputs)
        self.auto(inputs, "-o", self.at("out"), "--format", "coco,png", code=3)
        for arguments in ([], ["--model", os.environ.get("SAMC_MODEL_FILE", "weights/samc-tiny.safetensors"), "--points-per-side", "6"]):
            out = self.at("out%d" % len(arguments))
            self.auto(inputs, "-o", out, "--format", "coco,png", *arguments, code=3)
            got = subprocess.run([python, os.path.join(HERE, "coco_check.py"), out], capture_output=True)
            self.assertEqual(got.returncode, 0, got.stderr.decode())
            self.assertGreater(int(got.stdout.split()[-1]), 30)

    def test_stats_and_progress(self):
        inputs = self.small_inputs()
        _, err = self.auto(inputs, "-o", self.at("out"), "--format", "rle", "--stats", self.at("stats.json"), code=3)
        stats = json.loads(read(self.at("stats.json")))
        self.assertEqual(len(stats), 9)
        for entry in stats:
            self.assertEqual((entry["crops"], entry["prompts"]), (1, 4))
            self.assertEqual(list(entry["seconds"]), ["load", "encode", "decode", "post", "write", "commit"])
            self.assertEqual(list(entry["waiting"]), ["load", "compute", "write", "commit"])
        for word in ("stage", "compute", "commit", "10/10 images", "1 failed", "masks/s", "other files passed over"):
            self.assertIn(word, err)
        self.assertNotIn("\r", err)
        self.assertNotIn("\033", err)
        _, err = self.auto(inputs, "-o", self.at("quiet"), "--format", "rle", "-q", code=3)
        self.assertEqual(err.count("\n"), 1, err)


# ---- Bad inputs ------------------------------------------------------------------------------------------------------

class Bad(Archive):
    def test_bad_images_are_recorded(self):
        good = read(PHOTOS[0])
        files = {"truncated.jpg": good[:400], "empty.png": b"", "text.jpg": b"hello, this is no image", "webp.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
                 "bomb.png": png(1, 1, b"abc").replace(struct.pack(">II", 1, 1), struct.pack(">II", 100000, 100000)), "bomb.ppm": b"P6\n60000 60000\n255\n",
                 "flat.ppm": ppm(0, 5, b""), "noise.gif": b"GIF89a" + bytes(range(200)), "good.jpg": good}
        for name, data in files.items():
            put(self.at("in", name), data)
        os.mkfifo(self.at("in", "pipe"))
        os.makedirs(self.at("in", "folder.png"))
        lines, err = self.auto(self.at("in"), "-o", self.at("out"), "--format", "rle,jsonl,coco,png,overlay", code=3)
        self.assertEqual([line["image"] for line in lines], [self.at("in", "good.jpg")])
        errors = {entry["name"]: entry["error"] for entry in map(json.loads, read(self.at("out", "errors.jsonl")).splitlines())}
        self.assertEqual(sorted(errors), sorted(set(files) - {"good.jpg"}))
        for name, word in (("truncated.jpg", "damaged JPEG"), ("empty.png", "empty file"), ("text.jpg", "not a supported image"), ("webp.webp", "WebP"),
                           ("bomb.png", "larger than the limit"), ("bomb.ppm", "larger than the limit"), ("flat.ppm", "without pixels")):
            self.assertIn(word, errors[name])
            self.assertIn(name, errors[name])
        self.assertIn("8 of 9 images failed", err)
        self.assertEqual(sorted(name for name in os.listdir(self.at("out")) if "good" not in name and not name.startswith(".")),
                         ["annotations.json", "errors.jsonl", "masks.jsonl"])

    def test_limit_of_pixels(self):
        put(self.at("in", "a.ppm"), ppm(10, 10, bytes(300)))
        put(self.at("in", "b.ppm"), ppm(10, 11, bytes(330)))
        put(self.at("in", "c.png"), png(11, 10, bytes(330)))
        lines, _ = self.auto(self.at("in"), "-o", self.at("out"), "--max-pixels", "100", code=3)
        self.assertEqual(len(lines), 1)
        self.assertEqual(read(self.at("out", "errors.jsonl")).count(b"larger than the limit of 100 pixels"), 2)

    def test_bad_archives(self):
        members = [(f"{i}.{picture(i)[0]}", picture(i)[1]) for i in range(8)]
        whole = read(pack(self.at("whole.tar"), members))
        put(self.at("in", "cut.tar"), whole[:len(whole) // 2])
        put(self.at("in", "cut.tar.gz"), read(pack(self.at("whole.tar.gz"), members))[:-200])
        put(self.at("in", "text.tar"), b"no archive at all\n" * 40)
        put(self.at("in", "nothing.tar"), b"")
        pack(self.at("in", "climb.tar"), [("../../../evil.png", picture(1)[1]), ("ok.png", picture(2)[1])])
        with tarfile.open(self.at("in", "links.tar"), "w") as tar:
            for kind, name in ((tarfile.SYMTYPE, "s.png"), (tarfile.LNKTYPE, "h.png"), (tarfile.FIFOTYPE, "p.png"), (tarfile.DIRTYPE, "d.png")):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, "/etc/passwd"
                tar.addfile(entry)
        lines, _ = self.auto(self.at("in"), "-o", self.at("out"), "--format", "rle", code=3)
        errors = {entry["name"]: entry["error"] for entry in map(json.loads, read(self.at("out", "errors.jsonl")).splitlines())}
        for name in ("cut.tar", "cut.tar.gz", "text.tar", "nothing.tar"):
            self.assertTrue(any(key.startswith(name) for key in errors), (name, errors))
        self.assertIn("leads out", errors["climb.tar/evil.png"])
        done = [os.path.relpath(line["image"], self.at("in")) for line in lines]
        self.assertIn("climb.tar/ok.png", done)
        self.assertTrue(any(name.startswith("cut.tar/") for name in done), done)
        self.assertFalse(any(name.startswith("links.tar") for name in list(errors) + done))
        self.assertFalse(os.path.exists(os.path.join(self.folder, "..", "..", "..", "evil.png.json")))

    def test_refusals(self):
        inputs = self.small_inputs()
        o = ("-o", self.at("o"))
        for arguments in (("--shard", "3/3"), ("--shard", "1"), ("--shard", "-1/3"), ("--batch-images", "0"), ("--queue", "x"), ("--lines-per-file", "0")):
            self.usage("no good value", "auto", inputs, *o, *arguments)
        self.failure("none.tar: cannot open", "auto", self.at("none.tar"), *o)
        self.failure("list.txt: cannot open", "auto", "@" + self.at("list.txt"), *o)
        put(self.at("o", "photo.jpg.json"), b"[1]")
        self.auto(inputs, *o, "--format", "rle", code=1)
        self.assertEqual(read(self.at("o", "photo.jpg.json")), b"[1]")
        put(self.at("o2", "annotations.json"), b"mine")
        self.failure("exists already", "auto", inputs, "-o", self.at("o2"), "--format", "coco", *OPTIONS)
        self.assertEqual(read(self.at("o2", "annotations.json")), b"mine")


# ---- Interruptions ---------------------------------------------------------------------------------------------------

FORMATS = ["--format", "rle,jsonl,coco,png,overlay", "--lines-per-file", "4"]


class Resume(Archive):
    def test_second_run_is_refused(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("o"), code=3)
        before = tree(self.at("o"))
        self.failure("holds a run already; go on with it by --resume", "auto", inputs, "-o", self.at("o"), *OPTIONS)
        lines, _ = self.auto(inputs, "-o", self.at("o"), "--resume", code=3)
        self.assertEqual(lines, [])
        for difference, arguments in (("points-per-side is 3, the run was begun with 2", ["--points-per-side", "3"]),
                                      ('format is "rle", the run was begun with "rle,overlay"', ["--format", "rle"]),
                                      ("model is ", ["--model", os.environ.get("SAMC_MODEL_FILE", "weights/samc-tiny.safetensors")]),
                                      ("backend is ", ["--backend", "ref"]),
                                      ("pred-iou-thresh is 0.5, the run was begun with 0", ["--pred-iou-thresh", "0.5"])):
            self.failure(difference, "auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS, *arguments)
        put(self.at("in", "new.png"), picture(5)[1])
        self.failure("new.png", "auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS)
        os.remove(self.at("in", "new.png"))
        os.rename(self.at("in", "photo.jpg"), self.at("photo.jpg"))
        self.failure("photo.jpg", "auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS)
        self.assertEqual(tree(self.at("o")), before)

    def test_resume_begins_where_there_is_nothing(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("a"), *FORMATS, code=3)
        self.auto(inputs, "-o", self.at("b"), *FORMATS, "--resume", code=3)
        self.same_tree(self.at("a"), self.at("b"))

    def test_damaged_state(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("a"), *FORMATS, code=3)
        journal = read(self.at("a", ".samc", "journal"))
        lines = journal.splitlines(keepends=True)
        for name, text in (("torn", journal[:-7]), ("flipped", journal[:60] + b"\0" + journal[61:]), ("zeros", journal + bytes(300)), ("again", journal + lines[3]),
                           ("first", lines[0]), ("gap", b"".join(lines[:4] + lines[5:]))):
            out = self.at(name)
            shutil.copytree(self.at("a"), out)
            shutil.rmtree(os.path.join(out, ".samc"))
            shutil.copytree(self.at("a", ".samc"), os.path.join(out, ".samc"))
            left = next((i for i, (a, b) in enumerate(zip(lines, text.splitlines(keepends=True))) if a != b), min(len(lines), text.count(b"\n"))) - 1
            if left < 10:  # what was published by records that are gone is where a crash would have left it
                for published in ["annotations.json"] + [f"masks-{part:05}.jsonl" for part in range(left // 4, 3)]:
                    os.rename(os.path.join(out, published), os.path.join(out, ".samc", published))
                images = json.loads(read(os.path.join(out, ".samc", "annotations.json")))["images"]
                put(os.path.join(out, ".samc", "images.part"), ("\n" + ",\n".join(map(json.dumps, images))).encode())
            put(os.path.join(out, ".samc", "journal"), text)
            redone, _ = self.auto(inputs, "-o", out, *FORMATS, "--resume", code=3)
            self.assertEqual(len(redone), 10 - left if left else 9, name)  # the image that fails is the first
            self.same_tree(out, self.at("a"))
        put(self.at("a", ".samc", "journal"), b"something else\n")
        self.failure("not a journal", "auto", inputs, "-o", self.at("a"), *FORMATS, "--resume", *OPTIONS)

    def test_missing_bytes_are_noticed(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("o"), "--format", "jsonl", code=3)
        journal = read(self.at("o", ".samc", "journal")).splitlines(keepends=True)
        put(self.at("o", ".samc", "journal"), b"".join(journal[:6]))
        put(self.at("o", ".samc", "masks.jsonl"), read(self.at("o", "masks.jsonl"))[:20])
        self.failure("synced data was lost", "auto", inputs, "-o", self.at("o"), "--format", "jsonl", "--resume", *OPTIONS)

    def start(self, *arguments, **more):
        return subprocess.Popen([SAMC, "auto", *map(str, arguments), *OPTIONS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)

    def wait_for(self, process, folder, count):
        while records(folder) < count and process.poll() is None:
            time.sleep(0.002)

    def many(self, count):
        for i in range(count):
            ending, data = picture(i)
            put(self.at("in", f"{i % 7}", f"{i}.{ending}"), data)
        return self.at("in")

    def test_signals(self):
        inputs = self.many(150)
        self.auto(inputs, "-o", self.at("whole"), *FORMATS, "--no-sync")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            out = self.at(number.name)
            process = self.start(inputs, "-o", out, *FORMATS)
            self.wait_for(process, out, 10)
            process.send_signal(number)
            printed, err = process.communicate()
            self.assertEqual(process.returncode, 128 + number, err)
            done = records(out)
            self.assertIn(f"{done} of 150 images are done", err.decode())
            self.assertEqual(len(printed.splitlines()), done)
            self.assertTrue(10 <= done < 150, done)
            self.assertEqual(os.listdir(os.path.join(out, ".samc", "tmp")), [])
            lines, _ = self.auto(inputs, "-o", out, *FORMATS, "--resume")
            self.assertEqual(len(lines), 150 - done)
            self.same_tree(out, self.at("whole"))

    def test_ignored_signals_stay_ignored(self):
        inputs = self.small_inputs()
        process = self.start(inputs, "-o", self.at("o"), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        process.send_signal(signal.SIGHUP)
        process.communicate()
        self.assertEqual(process.returncode, 3)

    def test_two_at_once(self):
        inputs = self.many(200)
        process = self.start(inputs, "-o", self.at("o"), *FORMATS)
        self.wait_for(process, self.at("o"), 5)
        self.failure("another process", "auto", inputs, "-o", self.at("o"), *FORMATS, "--resume", *OPTIONS)
        process.communicate()
        self.assertEqual(process.returncode, 0)

    def test_standard_output_gone(self):
        inputs = self.many(40)
        with open("/dev/full", "w") as full:
            code, _, err = run("auto", inputs, "-o", self.at("o"), *FORMATS, *OPTIONS, "-q", stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(code, 1)
        self.assertIn("cannot write to standard output", err)
        self.auto(inputs, "-o", self.at("o"), *FORMATS, "--resume")
        self.auto(inputs, "-o", self.at("whole"), *FORMATS)
        self.same_tree(self.at("o"), self.at("whole"))

    def test_full_disk(self):
        """A file system of half a megabyte, or where none can be mounted the layer that says there is no space left."""
        inputs = self.many(120)
        self.auto(inputs, "-o", self.at("whole"), *FORMATS, "--no-sync")
        os.makedirs(self.at("small"))
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,nr_inodes=100k", "none", self.at("small")], capture_output=True).returncode == 0
        if mounted:
            self.addCleanup(subprocess.run, ["umount", self.at("small")])
        elif not FAULTS:
            self.skipTest("nothing can be mounted, and SAMC_FAULTS is not set")
        faults = None if mounted else {**os.environ, **fault_environment(self.at("small"), at=400, code=28, always=True)}
        code, out, err = run("auto", inputs, "-o", self.at("small", "out"), *FORMATS, *OPTIONS, env=faults)
        self.assertEqual(code, 1, err)
        self.assertIn("No space left on device", err)
        done = records(self.at("small", "out"))
        self.assertTrue(0 < done < 120, done)
        self.assertEqual(len(out.splitlines()), done)
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=100m", self.at("small")], check=True)
        lines, _ = self.auto(inputs, "-o", self.at("small", "out"), *FORMATS, "--resume")
        self.assertEqual(len(lines), 120 - done)
        self.same_tree(self.at("small", "out"), self.at("whole"))

    def test_read_only(self):
        inputs = self.small_inputs()
        os.makedirs(self.at("fixed"))
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", self.at("fixed")], capture_output=True).returncode == 0:
            self.addCleanup(subprocess.run, ["umount", self.at("fixed")])
        elif os.geteuid() == 0:
            self.skipTest("root writes everywhere, and nothing can be mounted")
        else:
            os.chmod(self.at("fixed"), 0o555)
        for out in (self.at("fixed"), self.at("fixed", "new")):
            code, printed, err = run("auto", inputs, "-o", out, *OPTIONS, "-q")
            self.assertEqual((code, printed, err.count("\n")), (1, b"", 1), err)
            self.assertIn("fixed", err)


def fault_environment(root, log=None, at=None, code=0, always=False):
    made = {"LD_PRELOAD": FAULTS, "SAMC_FAULT_ROOT": root}
    if log is not None:
        made["SAMC_FAULT_LOG"] = log
    if at is not None:
        made |= {"SAMC_FAULT_AT": str(at), "SAMC_FAULT_ERRNO": str(code)}
    return made | ({"SAMC_FAULT_ALWAYS": "1"} if always else {})


@unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
class Faults(Archive):
    """Every change that a run makes to its folder, struck: the process killed, the operation failing, the power lost."""
    points = 30  # of the record that are tried; the full tier tries all

    def traced(self, out, *arguments, code=3, **faults):
        log = self.at("log")
        if os.path.exists(log):
            os.remove(log)
        got, printed, err = run("auto", self.inputs, "-o", out, *FORMATS, *OPTIONS, *arguments, env={**os.environ, **fault_environment(out, log, **faults)})
        if code is not None:
            self.assertEqual(got, code, err)
        return got, printed, err, power_loss.read_log(log) if os.path.exists(log) else []

    def setUp(self):
        super().setUp()
        self.inputs = self.small_inputs(5)
        self.whole = self.at("whole")
        self.trace = self.traced(self.whole)[3]
        self.total = 9

    def chosen(self, count):
        return range(count) if self.points is None else sorted(self.dice.sample(range(count), min(count, self.points)))

    def resumed(self, out, done, what):
        """Goes on and compares; `done` images at least are not done again."""
        code, printed, err = run("auto", self.inputs, "-o", out, *FORMATS, "--resume", *OPTIONS)
        self.assertEqual(code, 3, f"{what}: {err}")
        self.assertLessEqual(len(printed.splitlines()), self.total - done, what)
        self.assertEqual(tree(out) == tree(self.whole), True, f"{what}, seed {SEED}: {power_loss.difference(tree(out), tree(self.whole))}")

    def test_killed_at_any_operation(self):
        for at in self.chosen(len(self.trace)):
            out = self.at(f"k{at}")
            code, _, err, log = self.traced(out, at=at, code=None)
            self.assertEqual(code, -9, f"operation {at}: {err}")
            good = power_loss.journaled(log)
            self.resumed(out, good, f"killed before operation {at}")
            shutil.rmtree(out)

    def test_any_operation_fails(self):
        for at in self.chosen(len(self.trace)):
            for error in (28, 5):  # no space left on device, input/output error
                out = self.at(f"e{at}-{error}")
                code, _, err, log = self.traced_error(out, at, error)
                self.assertEqual(code, 1, f"operation {at} fails with {error}: {err}")
                self.assertEqual(err.count("samc: "), 1, err)
                self.resumed(out, power_loss.journaled(log), f"operation {at} failed with {error}")
                shutil.rmtree(out)

    def traced_error(self, out, at, error):
        log = self.at("log")
        os.remove(log)
        got, printed, err = run("auto", self.inputs, "-o", out, *FORMATS, *OPTIONS, env={**os.environ, **fault_environment(out, log, at, error)})
        return got, printed, err, power_loss.read_log(log)

    def test_power_lost_at_any_operation(self):
        for at in self.chosen(len(self.trace) + 1):
            for mode in ("nothing unsynced", "names without data", f"seed {self.dice.randrange(1 << 30)}"):
                out = self.at(f"p{at}")
                power_loss.crash(self.trace[:at], self.whole, out, mode)
                self.resumed(out, power_loss.journaled_synced(self.trace[:at]), f"power lost before operation {at}, {mode}")
                shutil.rmtree(out)

    def test_power_lost_twice(self):
        for round in range(3 if self.points is not None else 30):
            at, out = self.dice.randrange(len(self.trace)), self.at(f"t{round}")
            power_loss.crash(self.trace[:at], self.whole, out, f"seed {round}")
            first = tree(out)
            trace = self.traced(out, "--resume")[3]
            cut, again = self.dice.randrange(len(trace) + 1), self.at(f"u{round}")
            power_loss.crash(trace[:cut], out, again, f"seed {round + 1000}", first)
            self.resumed(again, power_loss.journaled_synced(self.trace[:at]), f"power lost before operation {at}, then {cut} of the next run")

    def test_the_replay_sees_missing_syncs(self):
        """A run that did not sync its results, or its folders, would be caught: the same record without these operations."""
        end = max(i for i, entry in enumerate(self.trace) if entry.name == "sync" and entry.path.endswith("/journal"))
        for what, drop in (("results", lambda path: "/tmp/" in path), ("folders", lambda path: path.endswith(("/out", "/whole", "/part0"))),
                           ("lines", lambda path: path.endswith(".jsonl")), ("annotations", lambda path: path.endswith("annotations.json"))):
            weak = [entry for entry in self.trace[:end + 1] if not (entry.name == "sync" and drop(entry.path))]
            self.assertLess(len(weak), end + 1)
            caught = False
            for mode in ("nothing unsynced", "names without data"):
                out = self.at("weak")
                power_loss.crash(weak, self.whole, out, mode)
                run("auto", self.inputs, "-o", out, *FORMATS, "--resume", *OPTIONS)
                caught = caught or tree(out) != tree(self.whole)
                shutil.rmtree(out)
            self.assertTrue(caught, f"{what} were not synced, and nobody noticed")


class AllFaults(Faults):
    points = None


# ---- Many images -----------------------------------------------------------------------------------------------------

class Thousand(Archive):
    COUNT, KILLS = 1000, 10
    folders_in = None  # a disk, if the usual place for temporary files is one

    def make(self, count):
        folder, tar, zipped = [], [], []
        for i in range(count):
            ending, data = picture(i) if i % 10 else ("jpg", read(PHOTOS[i // 10 % len(PHOTOS)]))
            if i % 97 == 5:
                data = data[:len(data) // 2]
            (folder if i % 5 < 3 else tar if i % 5 == 3 else zipped).append((f"{i // 100:02}/{i:04}.{ending}", data))
        for name, data in folder:
            put(self.at("in", name), data)
        pack(self.at("in", "shards", "a.tar"), tar)
        pack(self.at("in", "shards", "b.tar.gz"), zipped)
        for name in ("cat", "coffee"):
            shutil.copy(os.path.join(HERE, "..", "tools", "examples", name + ".jpg"), self.at("in"))
        return self.at("in"), count + 2

    def result_files(self, out):
        """Results that are there, with what would change if they were written again."""
        found = {}
        for where, _, files in os.walk(out):
            if ".samc" not in where:
                for name in files:
                    if name.endswith((".json", ".png", ".csv")) and not name.startswith(("annotations", "masks")):
                        path = os.path.join(where, name)
                        information = os.stat(path)
                        found[path] = (information.st_ino, information.st_mtime_ns)
        return found

    def test_killed_ten_times(self):
        inputs, total = self.make(self.COUNT)
        formats = ["--format", "rle,jsonl,coco,png,overlay", "--lines-per-file", "150"]
        begun = time.time()
        lines, _ = self.auto(inputs, "-o", self.at("whole"), *formats, "--no-sync", code=3)
        order = [line["image"] for line in lines]
        out, done, seen = self.at("out"), 0, []
        for kill in range(self.KILLS):
            process = subprocess.Popen([SAMC, "auto", inputs, "-o", out, *formats, "--resume", *OPTIONS], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            target = done + self.dice.randrange(self.COUNT // 40, self.COUNT // 13)
            while records(out) < target and process.poll() is None:
                time.sleep(0.001)
            time.sleep(self.dice.random() * 0.02)
            process.kill()
            printed, err = process.communicate()
            self.assertEqual(process.returncode, -9, f"kill {kill} came too late: {err.decode()}")
            now = records(out)
            self.assertTrue(done < now < total, f"kill {kill} did not hit mid-run: {done}, {now}")
            seen.append((now, self.result_files(out), [json.loads(line)["image"] for line in printed.splitlines() if line.endswith(b"}")]))
            done = now
        lines, _ = self.auto(inputs, "-o", out, *formats, "--resume", code=3)
        seen.append((total, self.result_files(out), [line["image"] for line in lines]))
        self.same_tree(out, self.at("whole"))
        # An image that the journal had was neither printed again nor its files written again.
        place = {image: i for i, image in enumerate(order)}
        names = {record.split()[0]: record for record in read(os.path.join(out, ".samc", "journal")).decode().splitlines()[1:]}
        self.assertEqual(len(names), total)
        failed_before = [0]
        for record in read(os.path.join(out, ".samc", "journal")).decode().splitlines()[1:]:
            failed_before.append(failed_before[-1] + (record.split()[1] == "failed"))
        for (now, files, _), (_, later, printed) in zip(seen, seen[1:]):
            first = now - failed_before[now]  # images done without failure, hence printed, before this run
            self.assertEqual([place[image] for image in printed if place[image] < first], [], "done again")
            kept = {path: stamp for path, stamp in files.items() if self.number(path, out, order, inputs) < first}
            self.assertEqual([path for path, stamp in kept.items() if later[path] != stamp], [], "written again")
        print(f"{total} images, {self.KILLS} kills at {[now for now, _, _ in seen[:-1]]}: {time.time() - begun:.1f} s, seed {SEED}", file=sys.stderr)

    def number(self, path, out, order, inputs):
        """Place in the order of the image that a result belongs to."""
        if not hasattr(self, "places"):
            self.places = {os.path.relpath(image, inputs): i for i, image in enumerate(order)}
        key = os.path.relpath(path, out)
        for end in (".overlay.png", ".json"):
            if key.endswith(end) and key[:-len(end)] in self.places:
                return self.places[key[:-len(end)]]
        return self.places[os.path.dirname(key)]


class Few(Thousand):
    COUNT, KILLS = 150, 3


class Memory(Archive):
    folders_in = None

    def peak(self, count):
        """Bytes that a run over `count` images of 300 x 200 pixels holds at most."""
        rgb = random.Random(7).randbytes(300 * 200 * 3)
        data = ppm(300, 200, rgb)
        pack(self.at(f"{count}.tar"), [(f"{i:06}.ppm", data) for i in range(count)])
        process = subprocess.Popen([SAMC, "auto", self.at(f"{count}.tar"), "-o", self.at(f"out{count}"), "--format", "jsonl,coco", "--no-sync", "-q", *OPTIONS,
                                    "--points-per-side", "1"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        self.assertEqual(status, 0)
        self.assertEqual(read(self.at(f"out{count}", "masks.jsonl" if count <= 10000 else "masks-00000.jsonl")).count(b"\n"), min(count, 10000))
        return usage.ru_maxrss * 1024

    def test_memory_is_flat(self):
        few, many = self.peak(500), self.peak(10000)
        print(f"peak memory: 500 images {few / 1e6:.1f} MB, 10000 images {many / 1e6:.1f} MB", file=sys.stderr)
        # Names take about 150 bytes an image; the images would take 1.8 GB.
        self.assertLess(many - few, 9500 * 400 + 4e6)


QUICK = (Inputs, Formats, Bad, Resume, Faults, Few)
FULL = (Thousand, AllFaults, Memory)
SLOW = ("Formats.test_pycocotools",)  # of the quick ones, which only the full tier runs


def suite(tier):
    loader, chosen = unittest.TestLoader(), unittest.TestSuite()
    for case in {"quick": QUICK, "full": FULL, "all": QUICK + FULL}[tier]:
        for test in loader.loadTestsFromTestCase(case):
            if tier != "quick" or test.id().split(".", 1)[1] not in SLOW:
                chosen.addTest(test)
    if tier == "full":
        chosen.addTest(Formats("test_pycocotools"))
    return chosen


if __name__ == "__main__":
    tier = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in ("quick", "full", "all") else "all"
    wanted = sys.argv[sys.argv.index("-k") + 1] if "-k" in sys.argv else ""
    tests = unittest.TestSuite(test for test in suite(tier) if wanted in test.id())
    result = unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(tests)
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)
