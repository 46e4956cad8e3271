"""What goes into samc auto and what comes out: folders, archives, lists, odd names, formats, bad images."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile

from archive_case import HERE, OPTIONS, PHOTOS, Archive, pack, picture, png, ppm, put, tree
from cli_test import decode_rle, read, read_png, run

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
        expected = [
            "a.PNG",
            "b/10.png",
            "b/2.png",
            "b/w.tar/z/9.png",
            "b/w.tar/1.png",
            "c.png",
            "other.tgz/./q.png",
            "other.tgz//r.png",
        ]
        expected = [self.at("in", name) if not name.startswith("other") else self.at(name) for name in expected]
        self.assertEqual(self.names(self.at("in"), self.at("other.tgz"), "-o", self.at("out")), expected)
        lines, _ = self.auto(self.at("in"), self.at("other.tgz"), "-o", self.at("rle"), "--format", "rle,overlay")
        found = [
            os.fsdecode(name)
            for name, data in tree(self.at("rle")).items()
            if data is not None and not name.startswith(b".samc")
        ]
        keys = [
            "a.PNG",
            "b/10.png",
            "b/2.png",
            "b/w.tar/z/9.png",
            "b/w.tar/1.png",
            "c.png",
            "other.tgz/q.png",
            "other.tgz/r.png",
        ]
        self.assertEqual(sorted(found), sorted([key + end for key in keys for end in (".json", ".overlay.png")]))

    def test_formats_of_the_build(self):
        """A WebDataset of every format: masks and sizes are those of the same pixels as PPM."""
        images = os.path.join(HERE, "data", "images")
        reads = json.loads(run("info", "--json")[1])["image_formats"]
        files = {"JPEG": "jpeg_420.jpg", "PNG": "png_rgb.png", "GIF": "gif.gif", "BMP": "bmp_rgb.bmp", "PSD": "psd.psd"}
        files |= {"WebP": "webp_exif.webp", "TIFF": "tiff_planar_tiled.tif", "AVIF": "avif_exif.avif", "QOI": "qoi.qoi"}
        files |= {
            "JPEG 2000": "jpeg2000_rgb.jp2",
            "HEIF": "heif_444.heic",
            "JPEG XL": "jxl_rgb.jxl",
            "ICO": "ico_png.ico",
        }
        files = [name for format, name in sorted(files.items()) if format in reads]
        self.assertGreaterEqual(len(files), 7)
        members, plain = [], []
        for i, name in enumerate(files):
            members.append((f"{i:03}" + os.path.splitext(name)[1], read(os.path.join(images, name))))
            plain.append((f"{i:03}.ppm", read(os.path.join(images, name + ".ppm"))))
        pack(self.at("a.tar"), members)
        pack(self.at("b.tar"), plain)
        arguments = [self.at("a.tar"), self.at("b.tar"), "-o", self.at("out"), "--format", "webdataset,jsonl"]
        self.auto(*arguments, "--memory", "64M")
        lines = [json.loads(line) for line in read(self.at("out", "masks-00000.jsonl")).splitlines()]
        self.assertEqual(len(lines), 2 * len(files))
        of = lambda tar: [
            {k: v for k, v in line.items() if k != "image"} for line in lines if f"{tar}.tar" in line["image"]
        ]
        self.assertEqual(of("a"), of("b"))
        with tarfile.open(self.at("out", "a.tar")) as tar:
            self.assertEqual(sorted(tar.getnames()), [f"{i:03}.json" for i in range(len(files))])

    def test_pages(self):
        if "TIFF" not in json.loads(run("info", "--json")[1])["image_formats"]:
            self.skipTest("a build without TIFF")
        put(self.at("in", "a.tif"), read(os.path.join(HERE, "data", "images", "tiff_pages.tif")))
        sizes = []
        for page in range(3):
            lines, _ = self.auto(self.at("in"), "-o", self.at(f"out{page}"), "--format", "jsonl", "--page", str(page))
            sizes.append(lines[0]["size"])
        self.assertEqual(sizes, [[29, 37], [13, 17], [37, 29]])
        self.auto(self.at("in"), "-o", self.at("out3"), "--format", "jsonl", "--frame", "3", code=3)
        self.assertIn("page 3 is wanted, but the last of 3 is 2", read(self.at("out3", "errors.jsonl")).decode())
        again = ["-o", self.at("out1"), "--format", "jsonl", "--resume", "--page", "2"]
        self.assertIn("page", self.auto(self.at("in"), *again, code=1)[1])

    def test_glob(self):
        for name in ("a1.png", "a2.ppm", "x/a3.png", "x/deep/b.png"):
            put(self.at("in", name), picture(1)[1])
        pack(self.at("in", "t.tar"), [("a4.png", picture(1)[1]), ("b.png", picture(1)[1])])
        names = self.names(
            self.at("in"), "-o", self.at("1"), "--glob", "a*", "--glob", "x/*.png"
        )  # what a file is, its bytes decide: a2.ppm is a PNG
        self.assertEqual(
            [os.path.relpath(name, self.at("in")) for name in names],
            ["a1.png", "a2.ppm", "t.tar/a4.png", "x/a3.png", "x/deep/b.png"],
        )

    def test_lists(self):
        put(self.at("p", "a", "1.png"), picture(1)[1])
        put(self.at("p", "b", "1.png"), picture(2)[1])
        put(self.at("q", "c.png"), picture(3)[1])
        listing = put(self.at("list.txt"), f"p/a/1.png\r\n\n./p/b/1.png\n{self.at('q')}\n".encode())
        lines, _ = self.auto("@" + listing, "-o", self.at("1"), "--format", "rle", cwd=self.folder)
        self.assertEqual(len(lines), 3)
        self.assertTrue(
            os.path.exists(self.at("1", "p", "a", "1.png.json"))
            and os.path.exists(self.at("1", "p", "b", "1.png.json"))
        )
        self.assertTrue(os.path.exists(self.at("1", self.at("q").lstrip("/"), "c.png.json")))
        odd = os.path.join(self.folder, "line\nfeed.png")
        shutil.copy(self.at("q", "c.png"), odd)
        lines, _ = self.auto(
            "-",
            "-o",
            self.at("2"),
            "--format",
            "jsonl",
            stdin=odd.encode() + b"\0" + b"gone.png\0",
            code=3,
            cwd=self.folder,
        )
        self.assertEqual([line["image"] for line in lines], [odd])
        self.assertIn("gone.png", json.loads(read(self.at("2", "errors.jsonl")))["image"])

    def test_odd_names(self):
        names = [
            b"line\nfeed.png",
            b'quote".png',
            b"back\\slash.png",
            "\u00fcml\u00e4ut \u4e2d.png".encode(),
            b"latin-\xe9.png",
            b" blank .png",
        ]
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
        for arguments in (
            (self.at("x", "1.png"), self.at("y", "1.png")),
            (self.at("x"), self.at("y")),
            (self.at("x"), self.at("x", "1.png")),
        ):
            self.usage("would write the same files", "auto", *arguments, "-o", self.at("o"), *OPTIONS)
        pack(self.at("t.tar"), [("1.png", b"x"), ("./1.png", b"y")])
        self.usage("would write the same files", "auto", self.at("t.tar"), "-o", self.at("o"), *OPTIONS)
        put(self.at("z", "a.png"), b"")
        put(self.at("z", "a.png.json", "b.png"), b"")
        self.usage("in the way", "auto", self.at("z"), "-o", self.at("o"), *OPTIONS)
        put(self.at("v", "masks.jsonl"), b"")
        self.usage(
            "in the way", "auto", self.at("v", "masks.jsonl"), "-o", self.at("o"), "--format", "png,jsonl", *OPTIONS
        )
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
        codes = [
            run("auto", inputs, "-o", self.at("parts"), *formats, "--shard", f"{i}/3", *OPTIONS, "-q")[0]
            for i in range(3)
        ]
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
        self.assertEqual(
            sorted((i["id"], i["file_name"]) for part in parts for i in part["images"]),
            [(i["id"], i["file_name"]) for i in whole["images"]],
        )
        self.failure(
            "shards is 1, the run was begun with 3", "auto", inputs, "-o", self.at("parts"), *formats, *OPTIONS
        )
        self.failure(
            "points-per-side is 3, the run was begun with 2",
            "auto",
            inputs,
            "-o",
            self.at("parts"),
            *formats,
            "--shard",
            "1/3",
            "--resume",
            *OPTIONS,
            "--points-per-side",
            "3",
        )


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
                self.assertEqual(
                    (annotation["category_id"], annotation["iscrowd"], annotation["area"]), (1, 0, record["area"])
                )
                mask = decode_rle(record["segmentation"])
                columns = [x for row in mask for x, bit in enumerate(row) if bit]
                rows = [y for y, row in enumerate(mask) if any(row)]
                box = (
                    [min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1]
                    if columns
                    else [0, 0, 0, 0]
                )
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

    def test_sa1b(self):
        """SA-1B's files beside amg.py's: the same masks, under names without extensions."""
        inputs = self.small_inputs()
        put(self.at("in", "sa_00123.png"), picture(7)[1])
        self.auto(inputs, "-o", self.at("out"), "--format", "rle,sa1b", code=3)
        seen = 0
        for name, data in tree(self.at("out")).items():
            key = os.fsdecode(name)
            if data is None or not key.endswith((".png.json", ".ppm.json", ".jpg.json")):
                continue
            records, ours = json.loads(data), json.loads(read(self.at("out", os.path.splitext(key[:-5])[0] + ".json")))
            self.assertEqual(list(ours), ["image", "annotations"])
            self.assertEqual(list(ours["image"]), ["image_id", "width", "height", "file_name"])
            self.assertEqual(ours["image"]["file_name"], os.path.basename(key[:-5]))
            keys = ["id", "segmentation", "bbox", "area", "predicted_iou", "stability_score", "crop_box"]
            for i, (record, annotation) in enumerate(zip(records, ours["annotations"], strict=True)):
                self.assertEqual(list(annotation), keys + ["point_coords"])
                self.assertEqual(annotation, {**record, "id": i + 1})
                self.assertEqual(annotation["segmentation"]["size"], [ours["image"]["height"], ours["image"]["width"]])
                seen += 1
            if "sa_" in key:
                self.assertEqual(ours["image"]["image_id"], 123)
        self.assertGreater(seen, 10)
        put(self.at("twins", "a.png"), picture(1)[1])
        put(self.at("twins", "a.ppm"), picture(2)[1])
        twins = ("auto", self.at("twins"), "-o", self.at("o"))
        self.usage("would write the same files", *twins, "--format", "sa1b", *OPTIONS)
        self.usage("would write the same files", *twins, "--format", "sa1b", "--shard-by", "input", *OPTIONS)
        self.assertEqual(len(self.auto(*twins[1:], "--format", "rle")[0]), 2)

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
        more = [
            ["--batch-images", "1", "--load-threads", "1", "--write-threads", "1", "--queue", "1"],
            [
                "--batch-images",
                "64",
                "--load-threads",
                "7",
                "--write-threads",
                "5",
                "--queue",
                "50",
                "--no-sync",
                "--points-per-batch",
                "3",
            ],
        ]
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
                got = subprocess.run(
                    [python, "-m", "pip", "install", "--quiet", "pycocotools==2.0.11"], capture_output=True
                )
                if got.returncode != 0:
                    self.skipTest("pycocotools is not here and cannot be fetched: " + got.stderr.decode()[-200:])
        inputs = self.small_inputs(40)
        shutil.copy(os.path.join(HERE, "..", "tools", "examples", "cat.jpg"), inputs)
        self.auto(inputs, "-o", self.at("out"), "--format", "coco,png", code=3)
        for arguments in (
            [],
            ["--model", os.environ.get("SAMC_MODEL_FILE", "weights/samc-tiny.safetensors"), "--points-per-side", "6"],
        ):
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
        files = {
            "truncated.jpg": good[:400],
            "empty.png": b"",
            "text.jpg": b"hello, this is no image",
            "webp.webp": b"RIFF\x10\0\0\0WEBPVP8 ",
            "bomb.png": png(1, 1, b"abc").replace(struct.pack(">II", 1, 1), struct.pack(">II", 100000, 100000)),
            "bomb.ppm": b"P6\n60000 60000\n255\n",
            "flat.ppm": ppm(0, 5, b""),
            "noise.gif": b"GIF89a" + bytes(range(200)),
            "good.jpg": good,
        }
        for name, data in files.items():
            put(self.at("in", name), data)
        os.mkfifo(self.at("in", "pipe"))
        os.makedirs(self.at("in", "folder.png"))
        lines, err = self.auto(self.at("in"), "-o", self.at("out"), "--format", "rle,jsonl,coco,png,overlay", code=3)
        self.assertEqual([line["image"] for line in lines], [self.at("in", "good.jpg")])
        errors = {
            entry["name"]: entry["error"]
            for entry in map(json.loads, read(self.at("out", "errors.jsonl")).splitlines())
        }
        self.assertEqual(sorted(errors), sorted(set(files) - {"good.jpg"}))
        for name, word in (
            ("truncated.jpg", "damaged JPEG"),
            ("empty.png", "empty file"),
            ("text.jpg", "not a supported image"),
            ("webp.webp", "WebP"),
            ("bomb.png", "larger than the limit"),
            ("bomb.ppm", "larger than the limit"),
            ("flat.ppm", "without pixels"),
        ):
            self.assertIn(word, errors[name])
            self.assertIn(name, errors[name])
        self.assertIn("8 of 9 images failed", err)
        self.assertEqual(
            sorted(name for name in os.listdir(self.at("out")) if "good" not in name and not name.startswith(".")),
            ["annotations.json", "errors.jsonl", "masks.jsonl"],
        )

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
        put(self.at("in", "cut.tar"), whole[: len(whole) // 2])
        put(self.at("in", "cut.tar.gz"), read(pack(self.at("whole.tar.gz"), members))[:-200])
        put(self.at("in", "text.tar"), b"no archive at all\n" * 40)
        put(self.at("in", "nothing.tar"), b"")
        pack(self.at("in", "climb.tar"), [("../../../evil.png", picture(1)[1]), ("ok.png", picture(2)[1])])
        with tarfile.open(self.at("in", "links.tar"), "w") as tar:
            for kind, name in (
                (tarfile.SYMTYPE, "s.png"),
                (tarfile.LNKTYPE, "h.png"),
                (tarfile.FIFOTYPE, "p.png"),
                (tarfile.DIRTYPE, "d.png"),
            ):
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = kind, "/etc/passwd"
                tar.addfile(entry)
        lines, _ = self.auto(self.at("in"), "-o", self.at("out"), "--format", "rle", code=3)
        errors = {
            entry["name"]: entry["error"]
            for entry in map(json.loads, read(self.at("out", "errors.jsonl")).splitlines())
        }
        for name in ("cut.tar", "cut.tar.gz", "text.tar", "nothing.tar"):
            self.assertTrue(any(key.startswith(name) for key in errors), (name, errors))
        self.assertIn("leads out", errors["climb.tar/evil.png"])
        done = [os.path.relpath(line["image"], self.at("in")) for line in lines]
        self.assertIn("climb.tar/ok.png", done)
        self.assertTrue(any(name.startswith("cut.tar/") for name in done), done)
        for name, word in (("s", "outside the archive"), ("h", "does not hold"), ("p", "not a regular file")):
            self.assertIn(word, errors[f"links.tar/{name}.png"])
        self.assertFalse(any(name.startswith("links.tar") for name in done) or "links.tar/d.png" in errors)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "..", "..", "..", "evil.png.json")))

    def test_refusals(self):
        inputs = self.small_inputs()
        o = ("-o", self.at("o"))
        for arguments in (
            ("--shard", "3/3"),
            ("--shard", "1"),
            ("--shard", "-1/3"),
            ("--batch-images", "0"),
            ("--queue", "x"),
            ("--lines-per-file", "0"),
        ):
            self.usage(f"{arguments[0]} is ", "auto", inputs, *o, *arguments)
        self.failure("none.tar: cannot open", "auto", self.at("none.tar"), *o)
        self.failure("list.txt: cannot open", "auto", "@" + self.at("list.txt"), *o)
        put(self.at("o", "photo.jpg.json"), b"[1]")
        self.auto(inputs, *o, "--format", "rle", code=1)
        self.assertEqual(read(self.at("o", "photo.jpg.json")), b"[1]")
        put(self.at("o2", "annotations.json"), b"mine")
        self.failure("exists already", "auto", inputs, "-o", self.at("o2"), "--format", "coco", *OPTIONS)
        self.assertEqual(read(self.at("o2", "annotations.json")), b"mine")
