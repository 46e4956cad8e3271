#!/usr/bin/env python3
"""The command line from outside: exit codes, messages, the JSON, and files that agree with each other. Standard library
only.

SAMC=build/release/bin/samc SAMC_MODEL_FILE=weights/samc-tiny.safetensors python3 tests/cli_test.py [-k NAME]
"""

import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib

SAMC = os.path.abspath(os.environ.get("SAMC", "build/release/bin/samc"))
MODEL = os.path.abspath(os.environ.get("SAMC_MODEL_FILE", "weights/samc-tiny.safetensors"))
IMAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "images")
PHOTO = os.path.join(IMAGES, "jpeg_420.jpg")  # 37 x 29
WIDTH, HEIGHT = 37, 29
LARGER = os.path.join(os.path.dirname(os.path.dirname(IMAGES)), "..", "tools", "examples", "coffee.jpg")
TINY = os.path.join(os.path.dirname(IMAGES), "golden", "tiny.safetensors")


def run(*arguments, stdin=None, **options):
    done = subprocess.run([SAMC, *arguments], input=stdin, capture_output="stdout" not in options, **options)
    return done.returncode, done.stdout, (done.stderr or b"").decode(errors="replace")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def read_png(path):
    """(width, height, channels, rows of bytes) of an 8-bit PNG without interlace, all filters."""
    data = read(path)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed = 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[at + 8 : at + 21])
        if kind == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    assert depth == 8 and interlace == 0
    channels = {0: 1, 2: 3, 6: 4}[colour]
    raw, stride = zlib.decompress(packed), width * channels
    rows, above = [], bytes(stride)
    for y in range(height):
        kind, row = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for i in range(stride):
            a = row[i - channels] if i >= channels else 0
            b = above[i]
            c = above[i - channels] if i >= channels else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            row[i] = (row[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        rows.append(bytes(row))
        above = row
    return width, height, channels, rows


def read_npy(path):
    """(type, shape, data bytes)"""
    data = read(path)
    assert data[:6] == b"\x93NUMPY"
    length = struct.unpack("<H", data[8:10])[0]
    header = eval(data[10 : 10 + length].decode(), {"__builtins__": {}})
    assert (10 + length) % 64 == 0 and header["fortran_order"] is False
    return header["descr"], header["shape"], data[10 + length :]


def write_npy(path, shape, values, kind="f"):
    header = f"{{'descr': '<{kind}4', 'fortran_order': False, 'shape': {shape!r}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(
            b"\x93NUMPY\1\0"
            + struct.pack("<H", len(header))
            + header.encode()
            + struct.pack(f"<{len(values)}{kind}", *values)
        )


def decode_rle(rle):
    """The mask of a COCO string as rows of 0 and 1."""
    height, width = rle["size"]
    counts, at, text = [], 0, rle["counts"].encode()
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            group = text[at] - 48
            value |= (group & 31) << shift
            more, at, shift = bool(group & 32), at + 1, shift + 5
            if not more and group & 16:
                value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    flat = [i & 1 for i, count in enumerate(counts) for _ in range(count)]
    assert len(flat) == height * width
    return [[flat[x * height + y] for x in range(width)] for y in range(height)]


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="samc-cli-")
        self.addCleanup(shutil.rmtree, self.folder)

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def good(self, *arguments, **options):
        code, out, err = run(*arguments, **options)
        self.assertEqual(code, 0, err)
        return out, err

    def segment(self, *arguments, image=PHOTO, **options):
        """Runs with the test model; returns the JSON object."""
        out, _ = self.good("segment", image, "--model", MODEL, *arguments, **options)
        self.assertTrue(out.endswith(b"}\n"))
        return json.loads(out)

    def logits(self, *arguments, **options):
        path = self.at("logits.npy")
        self.segment(*arguments, "--format", "rle", "--logits", path, **options)
        kind, shape, data = read_npy(path)
        self.assertEqual(kind, "<f4")
        self.assertEqual(len(data), 4 * shape[0] * shape[1] * shape[2] * shape[3])
        return shape, data

    def usage(self, expected, *arguments, **options):
        code, out, err = run(*arguments, **options)
        self.assertEqual((code, out), (2, b""), f"{arguments}: {err}")
        self.assertEqual(err.count("\n"), 1, err)
        self.assertIn(expected, err)
        self.assertIn("--help", err)

    def failure(self, expected, *arguments, **options):
        code, out, err = run(*arguments, "--quiet", **options)
        self.assertEqual((code, out), (1, b""), f"{arguments}: {err}")
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("samc: "), err)
        self.assertIn(expected, err)


class Usage(Case):
    def test_help_is_complete(self):
        common = [
            "--model",
            "--backend",
            "--precision",
            "--threads",
            "--set",
            "--quiet",
            "--version",
            "--help",
            "Exit codes",
            "Example",
        ]
        own = {
            "segment": [
                "--point",
                "--box",
                "--prompts",
                "--mask-input",
                "--single",
                "--embedding",
                "--format",
                "--logits",
                "-o",
                "png",
                "overlay",
                "cutout",
                "npy",
                "rle",
                "default: png,overlay",
                "predicted_iou",
            ],
            "auto": [
                "-o",
                "rle",
                "png",
                "overlay",
                "jsonl",
                "--stats",
                "--points-per-side",
                "--crop-n-layers",
                "--min-mask-region-area",
            ],
            "bench": [
                "--stage",
                "encoder",
                "decoder",
                "prompt",
                "--runs",
                "--reference",
                "--reference-model FILE",
                "--json",
            ],
            "embed": ["-o", ".safetensors", ".npy"],
            "convert": ["-o", "--dtype", "f32", "f16", "bf16", "int8", "--calibrate"],
            "info": ["--json", "MODEL"],
        }
        for command, words in own.items():
            out, err = self.good(command, "--help")
            for word in common + words:
                self.assertIn(word, out.decode(), command)
            self.assertEqual(err, "")
        out, _ = self.good("--help")
        for command in own:
            self.assertIn(f"  {command}  ", out.decode())

    def test_version(self):
        out, _ = self.good("--version")
        self.assertRegex(out.decode(), r"^samc \d+\.\d+\.\d+\n$")
        self.assertEqual(self.good("segment", "--version")[0], out)

    def test_commands(self):
        self.usage("no command")
        self.usage("unknown command 'segmnt'", "segmnt")

    def test_segment(self):
        o = ["-o", self.at("o")]
        self.usage("no prompt", "segment", PHOTO, *o)
        self.usage("one IMAGE", "segment", "--point", "1,1", *o)
        self.usage("one IMAGE", "segment", PHOTO, PHOTO, "--point", "1,1", *o)
        self.usage("-o OUTDIR", "segment", PHOTO, "--point", "1,1")
        self.usage(
            "points with 2 boxes", "segment", PHOTO, "--point", "1,1", "--box", "1,1,2,2", "--box", "2,2,3,3", *o
        )
        self.usage("--prompts goes without", "segment", PHOTO, "--prompts", "x.json", "--point", "1,1", *o)
        self.usage("--prompts goes without", "segment", PHOTO, "--prompts", "x.json", "--box", "1,1,2,2", *o)
        self.usage("standard input", "segment", "-", "--prompts", "-", *o)
        for text in ("1", "1,2,3", "1,2,", "a,b", "nan,1", "1,2x", "1,inf", "0x1,1", ""):
            self.usage("--point", "segment", PHOTO, "--point", text, *o)
        for text in ("1,2,3", "1,2,3,4,5", "5,1,2,3", "1,2,nan,4"):
            self.usage("--box", "segment", PHOTO, "--box", text, *o)
        for text in ("", "jpg", "png,", "png,,rle", "PNG"):
            self.usage("--format", "segment", PHOTO, "--point", "1,1", "--format", text, *o)
        self.usage("unknown or misused option '--nosuch'", "segment", PHOTO, "--nosuch", *o)
        self.usage("needs an argument", "segment", PHOTO, "--point")
        both = ("--scale", "minmax", "--window", "lung")
        for command in ("segment", "auto", "embed", "text", "volume"):
            for options in (both, both[2:] + both[:2]):
                self.usage("--scale and --window say the same thing", command, PHOTO, *options, *o)
        self.usage("neither .safetensors nor .npy", "segment", PHOTO, "--point", "1,1", "--embedding", "x.bin", *o)
        self.usage(
            "point 37,1 is outside the image of 37 x 29", "segment", PHOTO, "--point", "37,1", "--model", MODEL, *o
        )
        self.usage("point 1,-1 is outside the image", "segment", PHOTO, "--point", "1,-1", "--model", MODEL, *o)
        self.usage("box 50,1,60,5 does not touch", "segment", PHOTO, "--box", "50,1,60,5", "--model", MODEL, *o)
        self.assertFalse(os.path.exists(self.at("o")))

    def test_common(self):
        tail = ["segment", PHOTO, "--point", "1,1", "-o", self.at("o")]
        self.usage("--backend", *tail, "--backend", "gpu")
        self.usage("--precision", *tail, "--precision", "f64")
        for text in ("0", "257", "-1", "2x", "", "1e2"):
            self.usage("--threads", *tail, "--threads", text)
        for text in ("mask_threshold", "=1", ""):
            self.usage("--set", *tail, "--set", text)
        self.usage("more than 32 of --set", *tail, *["--set", "mask_threshold=1"] * 33)
        for text in ("threshold=1", "mask=1", "mask_threshold_=1"):
            self.failure(f"'{text}' is not NAME=VALUE of a setting it has: mask_threshold", *tail, "--set", text)
        for text in ("", "x", "nan", "1e9", "0x1", "1,5", " "):
            self.failure(
                f"'mask_threshold={text}' is not a number from -1000 to 1000; the settings it has: mask_threshold",
                *tail, "--set", f"mask_threshold={text}",
            )  # fmt: skip
        self.usage("--set has no meaning", "convert", MODEL, "-o", "x.safetensors", "--set", "mask_threshold=1")

    def test_others(self):
        self.usage("one IMAGE", "embed", "-o", "x.npy")
        self.usage("is missing", "embed", PHOTO)
        self.usage("neither .safetensors nor .npy", "embed", PHOTO, "-o", "x.bin")
        self.usage("one CHECKPOINT", "convert", "-o", "x.safetensors")
        self.usage("is missing", "convert", MODEL)
        self.usage("--dtype", "convert", MODEL, "-o", "x.safetensors", "--dtype", "int4")
        self.usage("is for --dtype int8", "convert", MODEL, "-o", "x.safetensors", "--calibrate", ".")
        self.usage("overwrite the checkpoint itself", "convert", MODEL, "-o", MODEL)
        self.usage("one MODEL", "info", MODEL, MODEL)
        self.usage("same thing", "info", MODEL, "--model", MODEL)


class Calibrate(Case):
    def test_folders(self):
        folder, out = self.at("images"), self.at("m.safetensors")
        arguments = ["convert", MODEL, "-o", out, "--dtype", "int8", "--calibrate", folder]
        self.failure("cannot be read", *arguments)
        os.mkdir(folder)
        self.failure("no images in it", *arguments)
        with open(os.path.join(folder, "a.txt"), "w") as file:
            file.write("no image")
        self.failure("none of its 1 file is an image", *arguments)
        self.assertFalse(os.path.exists(out))
        shutil.copy(PHOTO, folder)
        _, err = self.good(*arguments)
        self.assertIn("skipped: " + os.path.join(folder, "a.txt"), err)
        self.assertIn("calibrated with 1 image, 1 file skipped", err)
        info = json.loads(self.good("info", "--json", out)[0])["model"]
        self.assertEqual((info["dtype"], info["precision"]), ("int8", "int8"))
        self.assertFalse([note for note in info["notes"] if "8 bits" in note])
        text, _ = self.good("segment", PHOTO, "--model", out, "--point", "20,10", "-o", self.at("masks"))
        masks = json.loads(text)["masks"]
        self.assertGreater(len(masks), 0)
        self.failure("in 8 bits already", "convert", out, "-o", self.at("n.safetensors"))
        mobile = os.path.join(os.path.dirname(os.path.dirname(TINY)), "golden_mobile", "tiny.safetensors")
        for model, expected in ((out, "in 8 bits already"), (mobile, "no layers that samc keeps in 8 bits")):
            arguments[1], arguments[-1] = model, self.at("none")  # known before any image is looked for
            self.failure(expected, *arguments[:3], self.at("n.safetensors"), *arguments[4:])


class Segment(Case):
    def test_json_and_files_agree(self):
        out = self.at("new", "folder")
        result = self.segment(
            "--point",
            "20,10",
            "--point",
            "2,2,0",
            "--box",
            "3,1,30,25",
            "-o",
            out,
            "--format",
            "png,rle,overlay,cutout,npy",
        )
        self.assertEqual(list(result), ["image", "size", "masks"])
        self.assertEqual(result["image"], PHOTO)
        self.assertEqual(result["size"], [HEIGHT, WIDTH])
        self.assertEqual([(m["prompt"], m["mask"]) for m in result["masks"]], [(0, 0), (0, 1), (0, 2)])
        pixels = read(PHOTO + ".ppm")[-WIDTH * HEIGHT * 3 :]
        written = set()
        for mask in result["masks"]:
            self.assertEqual(
                list(mask), ["prompt", "mask", "predicted_iou", "stability_score", "area", "bbox", "files", "rle"]
            )
            self.assertEqual(list(mask["files"]), ["png", "overlay", "cutout", "npy"])
            stem = os.path.join(out, f"jpeg_420_0_{mask['mask']}")
            self.assertEqual(
                list(mask["files"].values()), [stem + end for end in (".png", "_overlay.png", "_cutout.png", ".npy")]
            )
            written.update(os.path.basename(path) for path in mask["files"].values())
            self.assertTrue(0 <= mask["stability_score"] <= 1)

            rows = decode_rle(mask["rle"])
            self.assertEqual(mask["rle"]["size"], [HEIGHT, WIDTH])
            self.assertEqual(sum(map(sum, rows)), mask["area"])
            xs = [x for row in rows for x in range(WIDTH) if row[x]]
            ys = [y for y in range(HEIGHT) if any(rows[y])]
            box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] if xs else [0, 0, 0, 0]
            self.assertEqual(mask["bbox"], box)

            flat = bytes(value for row in rows for value in row)
            width, height, channels, png = read_png(mask["files"]["png"])
            self.assertEqual((width, height, channels), (WIDTH, HEIGHT, 1))
            self.assertEqual(b"".join(png), bytes(255 * value for value in flat))
            kind, shape, data = read_npy(mask["files"]["npy"])
            self.assertEqual((kind, shape, data), ("|b1", (HEIGHT, WIDTH), flat))
            width, height, channels, png = read_png(mask["files"]["cutout"])
            self.assertEqual((width, height, channels), (WIDTH, HEIGHT, 4))
            expected = b"".join(
                pixels[3 * i : 3 * i + 3] + b"\xff" if flat[i] else bytes(4) for i in range(WIDTH * HEIGHT)
            )
            self.assertEqual(b"".join(png), expected)
            width, height, channels, png = read_png(mask["files"]["overlay"])
            self.assertEqual((width, height, channels), (WIDTH, HEIGHT, 3))
            # Far from points and box, what the mask leaves out is the image itself and what it covers is not.
            overlay = b"".join(png)
            for y in range(13, 22):
                for x in range(7, 12):
                    i = y * WIDTH + x
                    same = overlay[3 * i : 3 * i + 3] == pixels[3 * i : 3 * i + 3]
                    self.assertTrue(same or flat[i], f"pixel {x},{y} was painted")
        self.assertEqual(set(os.listdir(out)), written, "other files in the output folder")

    def test_floats_round_trip(self):
        for mask in self.segment("--point", "20,10", "--format", "rle")["masks"]:
            for key in ("predicted_iou", "stability_score"):
                single = struct.unpack("f", struct.pack("f", mask[key]))[0]
                self.assertAlmostEqual(
                    single, mask[key], delta=abs(single) * 1e-8 + 1e-12, msg=f"{key} has too few digits"
                )

    def test_default_formats(self):
        result = self.segment("--point", "20,10", "-o", self.at("o"))
        for mask in result["masks"]:
            self.assertEqual(list(mask["files"]), ["png", "overlay"])
            self.assertNotIn("rle", mask)
        self.assertEqual(len(os.listdir(self.at("o"))), 6)

    def test_coordinates_are_those_after_exif(self):
        upright = self.segment("--point", "20,10", "--format", "rle", image=os.path.join(IMAGES, "exif_1.jpg"))
        self.assertEqual(upright["size"], [HEIGHT, WIDTH])
        turned = self.segment("--point", "28,36", "--format", "rle", image=os.path.join(IMAGES, "exif_6.jpg"))
        self.assertEqual(turned["size"], [WIDTH, HEIGHT])
        self.assertEqual(turned["masks"][0]["rle"]["size"], [WIDTH, HEIGHT])
        self.usage(
            "outside the image of 29 x 37",
            "segment",
            os.path.join(IMAGES, "exif_6.jpg"),
            "--point",
            "36,20",
            "--format",
            "rle",
            "--model",
            MODEL,
        )

    def test_boxes_are_prompts(self):
        shape, several = self.logits("--box", "2,3,15,12", "--box", "20,18,33,26")
        self.assertEqual(shape[:2], (2, 3))
        _, first = self.logits("--box", "2,3,15,12")
        _, second = self.logits("--box", "20,18,33,26")
        self.assertNotEqual(first, second)
        self.assertLess(largest_difference(several, first + second), 1e-3)

    def test_points_are_one_prompt(self):
        one, first = self.logits("--point", "8,8")
        two, both = self.logits("--point", "8,8", "--point", "25,20,0")
        self.assertEqual((one[:2], two[:2]), ((1, 3), (1, 3)))
        self.assertNotEqual(first, both)
        self.assertEqual(self.logits("--point", "8,8,1")[1], first)
        self.assertNotEqual(self.logits("--point", "8,8,0")[1], first)

    def test_prompts_list(self):
        prompts = [
            {"points": [[8, 8], [25, 20]], "labels": [1, 0]},
            {"box": [-3, -2, 50, 26.5]},
            {"points": [[8, 8]], "box": [2, 3, 15, 12]},
        ]
        with open(self.at("p.json"), "w") as file:
            json.dump(prompts, file)
        shape, data = self.logits("--prompts", self.at("p.json"))
        self.assertEqual(shape[:2], (3, 3))
        self.assertEqual(self.logits("--prompts", "-", stdin=json.dumps(prompts).encode())[1], data)
        expected = (
            self.logits("--point", "8,8", "--point", "25,20,0")[1]
            + self.logits("--box", "-3,-2,50,26.5")[1]
            + self.logits("--point", "8,8", "--box", "2,3,15,12")[1]
        )
        self.assertEqual(len(data), len(expected))
        self.assertLess(largest_difference(data, expected), 1e-3)
        result = self.segment("--prompts", self.at("p.json"), "-o", self.at("o"), "--format", "png")
        self.assertEqual(
            [(m["prompt"], m["mask"]) for m in result["masks"]], [(p, m) for p in range(3) for m in range(3)]
        )
        self.assertTrue(os.path.exists(self.at("o", "jpeg_420_2_1.png")))

    def test_more_prompts_than_a_batch(self):
        prompts = [{"box": [i % 10, i % 7, 12 + i % 13, 10 + i % 17]} for i in range(150)]
        shape, data = self.logits("--prompts", "-", "--single", stdin=json.dumps(prompts).encode())
        self.assertEqual(shape[:2], (150, 1))
        size = len(data) // 150
        for i in (0, 63, 64, 149):
            alone = self.logits("--prompts", "-", "--single", stdin=json.dumps([prompts[i]]).encode())[1]
            self.assertLess(largest_difference(data[i * size : (i + 1) * size], alone), 1e-3, f"prompt {i}")

    def test_single(self):
        result = self.segment("--point", "20,10", "--single", "-o", self.at("o"))
        self.assertEqual([(m["prompt"], m["mask"]) for m in result["masks"]], [(0, 0)])
        self.assertEqual(self.logits("--point", "20,10", "--single")[0][:2], (1, 1))

    def test_settings(self):
        """The stability score is the area at a threshold of 1 by that at -1; the last of equal names counts."""
        at = [
            self.segment("--point", "20,10", "--format", "rle", *settings)["masks"]
            for settings in (
                [],
                ["--set", "mask_threshold=1"],
                ["--set", "mask_threshold=9", "--set", "mask_threshold=-1"],
            )
        ]
        self.assertTrue(any(mask["area"] > 0 for mask in at[1]))
        for plain, above, below in zip(*at):
            self.assertTrue(above["area"] <= plain["area"] <= below["area"])
            score = above["area"] / below["area"] if below["area"] else 0
            self.assertAlmostEqual(plain["stability_score"], score, places=6)

    def test_mask_input(self):
        shape, data = self.logits("--point", "20,10", "--single")
        side = shape[2]
        values = struct.unpack(f"<{side * side}f", data)
        expected = None
        for form in ((side, side), (1, side, side), (1, 1, side, side)):
            write_npy(self.at("m.npy"), form, values)
            refined = self.logits("--point", "20,10", "--mask-input", self.at("m.npy"))
            self.assertEqual(refined[0], (1, 3, side, side))
            expected = expected or refined
            self.assertEqual(refined, expected)
        self.assertNotEqual(expected[1], self.logits("--point", "20,10")[1])

        write_npy(self.at("two.npy"), (2, 1, side, side), values + tuple(-v for v in values))
        both = self.logits("--box", "2,3,15,12", "--box", "20,18,33,26", "--mask-input", self.at("two.npy"))
        self.assertEqual(both[0][0], 2)
        alone = self.logits("--mask-input", self.at("two.npy"))
        self.assertEqual(alone[0][0], 2)
        self.assertNotEqual(alone[1][: len(alone[1]) // 2], alone[1][len(alone[1]) // 2 :])

        tail = [
            "segment",
            PHOTO,
            "--model",
            MODEL,
            "--format",
            "rle",
            "--mask-input",
            self.at("m.npy"),
            "--point",
            "20,10",
        ]
        for form in ((side, side - 1), (side - 1, side), (2, side, side), (1, 2, side, side), (side * side,)):
            count = 1
            for length in form:
                count *= length
            write_npy(self.at("m.npy"), form, (values * 2)[:count])
            self.failure(f"{self.at('m.npy')}: mask input is not of shape", *tail)
        write_npy(self.at("m.npy"), (2, 1, side, side), values * 2)
        self.failure("holds 2 masks, but there are 1 prompts", *tail)
        write_npy(self.at("m.npy"), (side, side), values[:-1] + (float("nan"),))
        self.failure("NaN", *tail)
        write_npy(self.at("m.npy"), (side, side), [0] * (side * side), "i")
        self.failure("not of type float32", *tail)

    def test_embedding_round_trip(self):
        plain = self.logits("--point", "20,10")
        for name in ("e.safetensors", "e.npy"):
            out, err = self.good("embed", PHOTO, "-o", self.at(name), "--model", MODEL, "--quiet")
            self.assertEqual((out, err), (b"", ""))
            self.assertEqual(self.logits("--point", "20,10", "--embedding", self.at(name)), plain, name)
        kind, shape, _ = read_npy(self.at("e.npy"))
        self.assertEqual((kind, len(shape), shape[0]), ("<f4", 4, 1))
        data = read(self.at("e.safetensors"))
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
        self.assertEqual(header["image_embedding"]["shape"], list(shape))
        self.assertEqual(header["__metadata__"]["samc.image_size"].replace(" ", ""), f"{HEIGHT},{WIDTH}")
        self.assertEqual(
            header["__metadata__"]["samc.model_hash"],
            json.loads(self.good("info", MODEL, "--json")[0])["model"]["hash"],
        )

        # A wrong image, a wrong model and damaged files are refused.
        tail = ["--model", MODEL, "--point", "1,1", "--format", "rle"]
        self.failure(
            "37 x 29", "segment", os.path.join(IMAGES, "exif_6.jpg"), "--embedding", self.at("e.safetensors"), *tail
        )
        with open(self.at("cut.safetensors"), "wb") as file:
            file.write(data[:-5])
        self.failure("cut.safetensors: ", "segment", PHOTO, "--embedding", self.at("cut.safetensors"), *tail)
        header["__metadata__"]["samc.model_hash"] = "0" * 64
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(self.at("other.safetensors"), "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text + data[8 + struct.unpack("<Q", data[:8])[0] :])
        self.failure("other.safetensors: ", "segment", PHOTO, "--embedding", self.at("other.safetensors"), *tail)
        write_npy(self.at("small.npy"), (1, 2, 3, 4), [0] * 24)
        self.failure(
            "small.npy: embedding is not of shape", "segment", PHOTO, "--embedding", self.at("small.npy"), *tail
        )

    def test_embeddings_in_16_bits(self):
        """Of models with one level and with several: half the bytes, masks that are nearly the same."""
        data = os.path.join(os.path.dirname(IMAGES), "")
        for family in ("golden", "golden_hq", "golden_sam2"):
            model, masks, sizes = f"{data}{family}/tiny.safetensors", {}, {}
            for dtype in ("f32", "f16", "bf16"):
                file = self.at(f"{dtype}.safetensors")
                self.good("embed", PHOTO, "-o", file, "--dtype", dtype, "--model", model)
                content = read(file)
                length = struct.unpack("<Q", content[:8])[0]
                header = json.loads(content[8 : 8 + length])
                self.assertEqual({t["dtype"] for name, t in header.items() if name[0] != "_"}, {dtype.upper()})
                sizes[dtype] = len(content) - 8 - length
                out = self.good(
                    *("segment", PHOTO, "--model", model, "--embedding", file, "--point", "20,10", "--format", "rle")
                )[0]
                masks[dtype] = [sum(decode_rle(m["rle"]), []) for m in json.loads(out)["masks"]]
            self.assertEqual(2 * sizes["f16"], sizes["f32"], family)
            self.assertEqual(sizes["f16"], sizes["bf16"], family)
            for dtype in ("f16", "bf16"):
                for a, b in zip(masks["f32"], masks[dtype]):
                    both, either = sum(map(int.__and__, a, b)), sum(map(int.__or__, a, b))
                    self.assertGreaterEqual(both, 0.99 * either, (family, dtype))
        tail = ("--model", MODEL)
        self.usage("--dtype f16 is for .safetensors", "embed", PHOTO, "-o", self.at("x.npy"), "--dtype", "f16", *tail)
        self.usage(
            "--dtype is f32, f16 or bf16", "embed", PHOTO, "-o", self.at("x.safetensors"), "--dtype", "int8", *tail
        )

    def test_threads_and_reference_agree(self):
        one = self.logits("--point", "20,10", "--threads", "1")
        self.assertEqual(self.logits("--point", "20,10", "--threads", "2"), one)
        reference = self.logits("--point", "20,10", "--backend", "ref")
        self.assertEqual(reference[0], one[0])
        self.assertLess(largest_difference(reference[1], one[1]), 1e-2)

    def test_image_from_standard_input_and_odd_names(self):
        photo = read(PHOTO)
        result = self.segment("--point", "20,10", "-o", self.at("o"), "--format", "png", image="-", stdin=photo)
        self.assertTrue(result["masks"][0]["files"]["png"].endswith("/stdin_0_0.png"))
        odd = os.fsencode(self.at("a b.")) + b"\xff.c.jpg"
        with open(odd, "wb") as file:
            file.write(photo)
        result = self.segment("--point", "20,10", "-o", self.at("o"), "--format", "png", image=odd)
        self.assertTrue(result["image"].endswith("/a b.\ufffd.c.jpg"))
        self.assertTrue(os.path.exists(os.fsencode(self.at("o")) + b"/a b.\xff.c_0_2.png"))

    def test_quiet_and_notes(self):
        out, err = self.good("segment", PHOTO, "--model", MODEL, "--point", "1,1", "--format", "rle", "--quiet")
        self.assertEqual(err, "")
        loud, err = self.good("segment", PHOTO, "--model", MODEL, "--point", "1,1", "--format", "rle")
        self.assertNotEqual(err, "")
        self.assertEqual(loud, out)


class Failures(Case):
    def test_images(self):
        tail = ["--point", "1,1", "-o", self.at("o"), "--model", MODEL]
        self.failure("samc: /no/such.jpg: cannot open", "segment", "/no/such.jpg", *tail)
        photo = read(PHOTO)
        with open(self.at("cut.jpg"), "wb") as file:
            file.write(photo[:-50])
        self.failure(f"samc: {self.at('cut.jpg')}: damaged JPEG: ", "segment", self.at("cut.jpg"), *tail)
        self.failure(
            "refused.exr: an OpenEXR image is not a supported image format",
            "segment",
            os.path.join(IMAGES, "refused.exr"),
            *tail,
        )
        self.failure(
            "is not a supported image format",
            "embed",
            os.path.join(IMAGES, "refused.exr"),
            "-o",
            self.at("e.npy"),
            "--model",
            MODEL,
        )
        self.assertEqual(os.listdir(self.folder), ["cut.jpg"])

    def test_models(self):
        model = read(MODEL)
        for name, data in (("cut.safetensors", model[: len(model) // 2]), ("text.pth", b"hello"), ("empty.pth", b"")):
            with open(self.at(name), "wb") as file:
                file.write(data)
            self.failure(
                self.at(name), "segment", PHOTO, "--point", "1,1", "-o", self.at("o"), "--model", self.at(name)
            )
            self.failure(self.at(name), "info", self.at(name))
            self.failure(self.at(name), "convert", self.at(name), "-o", self.at("x.safetensors"))
        self.failure("/no/such.pth", "info", "/no/such.pth")
        self.assertFalse(os.path.exists(self.at("x.safetensors")))

    def test_no_default_model(self):
        os.makedirs(self.at("bin"))
        shutil.copy(SAMC, self.at("bin", "samc"))
        done = subprocess.run([self.at("bin", "samc"), "info", "--json"], capture_output=True)
        # The folder compiled in may hold one; then it is that one.
        self.assertEqual(done.returncode, 0, done.stderr)
        os.makedirs(self.at("share", "samc"))
        shutil.copy(MODEL, self.at("share", "samc", "samc-tiny.safetensors"))
        done = subprocess.run([self.at("bin", "samc"), "info", "--json"], capture_output=True)
        self.assertEqual(json.loads(done.stdout)["model"]["path"], self.at("bin/../share/samc/samc-tiny.safetensors"))

    def test_prompts_files(self):
        for text, reason in (
            ("[", "not JSON"),
            ("[]", "empty"),
            ("[{\"box\": [1, 2]}]", "prompt 0: \"box\""),
            ("[{\"points\": [[1, 1]]}, {\"points\": [[99, 1]]}]", "prompt 1: point 99,1 is outside"),
            ("[{\"box\": [1, 1, 2, 2], \"score\": 1}]", "prompt 0: unknown key \"score\""),
        ):
            self.failure(
                reason, "segment", PHOTO, "--prompts", "-", "-o", self.at("o"), "--model", MODEL, stdin=text.encode()
            )
        self.failure(
            "/no/such.json: cannot open",
            "segment",
            PHOTO,
            "--prompts",
            "/no/such.json",
            "-o",
            self.at("o"),
            "--model",
            MODEL,
        )

    def test_output(self):
        with open(self.at("file"), "w"):
            pass
        self.failure("not a folder", "segment", PHOTO, "--point", "1,1", "-o", self.at("file"), "--model", MODEL)
        self.failure("/no/such/e.npy: cannot write", "embed", PHOTO, "-o", "/no/such/e.npy", "--model", MODEL)
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [SAMC, "segment", PHOTO, "--point", "1,1", "--format", "rle", "--model", MODEL, "-q"],
                stdout=full,
                stderr=subprocess.PIPE,
            )
        self.assertEqual((done.returncode, done.stderr), (1, b"samc: cannot write to standard output\n"))

    def test_full_disk(self):
        """A limit on the size of files stands for the full disk. Nothing half-written stays."""
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        options = {"preexec_fn": limit, "restore_signals": False}  # Python ignores SIGXFSZ, and the child inherits that
        code, out, err = run(
            "segment",
            PHOTO,
            "--point",
            "20,10",
            "--model",
            MODEL,
            "-o",
            self.at("o"),
            "--format",
            "overlay",
            "-q",
            **options,
        )
        self.assertEqual((code, out), (1, b""), err)
        self.assertIn("_0_0_overlay.png: cannot write: File too large", err)
        self.assertEqual(os.listdir(self.at("o")), [])
        code, out, err = run(
            "segment",
            PHOTO,
            "--point",
            "20,10",
            "--model",
            MODEL,
            "--format",
            "rle",
            "--logits",
            self.at("l.npy"),
            "-q",
            **options,
        )
        self.assertEqual(code, 1, err)
        for name in ("e.npy", "e.safetensors"):
            self.assertEqual(run("embed", PHOTO, "--model", MODEL, "-o", self.at(name), "-q", **options)[0], 1)
        self.assertEqual(run("convert", MODEL, "-o", self.at("m.safetensors"), "-q", **options)[0], 1)
        self.assertEqual(os.listdir(self.folder), ["o"], "something half-written stayed")

    def test_no_gpu(self):
        info = json.loads(self.good("info", "--json", "--model", MODEL)[0])
        if not info["cuda"]["available"]:
            common = ("segment", PHOTO, "--point", "1,1", "-o", self.at("o"), "--model", MODEL)
            self.failure("no CUDA device was found", *common, "--backend", "cuda")
            self.assertIn("no CUDA device was found", self.good(*common, "--backend", "auto")[1])
            self.failure("f32 or bf16, not in f16", *common, "--backend", "cpu", "--precision", "f16")

    def test_bf16_on_a_cpu(self):
        """On any machine: what is bf16 of it depends on the processor, and is said."""
        cpu, low = ("--model", MODEL, "--backend", "cpu"), ("--precision", "bf16")
        info, wide = (json.loads(self.good("info", "--json", *cpu, *o)[0]) for o in (low, ()))
        self.assertRegex(info["model"]["arithmetic"], "^(bf16|f32 on weights of bf16) by ")
        self.assertRegex(wide["model"]["arithmetic"], "^f32 by ")
        self.assertTrue(info["bf16"] and info["int8"])
        self.assertEqual((info["model"]["precision"], wide["model"]["precision"]), ("bf16", "f32"))
        self.assertLess(
            info["model"]["memory"]["weight_bytes"],
            0.65 * wide["model"]["memory"]["weight_bytes"],  # a small encoder: much is the decoder's and stays f32 too
        )
        common = ("segment", PHOTO, "--point", "20,10", "-o", self.at("o"), *cpu)
        plain, rounded = (json.loads(self.good(*common, *o)[0]) for o in ((), low))
        for a, b in zip(plain["masks"], rounded["masks"]):
            self.assertAlmostEqual(a["predicted_iou"], b["predicted_iou"], delta=0.05)
        # An embedding says its precision: none is refused, and another one is noted.
        self.good("embed", PHOTO, "-o", self.at("e.safetensors"), *cpu, *low)
        said = "an embedding was made in bf16, the model is open in f32"
        self.assertIn(said, self.good(*common, "--embedding", self.at("e.safetensors"))[1])
        self.assertNotIn("embedding", self.good(*common, *low, "--embedding", self.at("e.safetensors"))[1])


class Auto(Case):
    LOOSE = ("--points-per-side", "4", "--pred-iou-thresh", "0.1", "--stability-score-thresh", "0.2")
    KEYS = ["segmentation", "area", "bbox", "predicted_iou", "point_coords", "stability_score", "crop_box"]

    def auto(self, *arguments):
        out, _ = self.good("auto", *arguments, "--model", MODEL, *self.LOOSE)
        return [json.loads(line) for line in out.splitlines()]

    def test_every_format_says_the_same(self):
        (result,) = self.auto(
            PHOTO, "-o", self.at("out"), "--format", "rle,png,overlay,jsonl", "--stats", self.at("stats.json")
        )
        with open(self.at("out", "jpeg_420.jpg.json")) as file:
            records = json.load(file)
        self.assertEqual((result["size"], result["masks"]), ([HEIGHT, WIDTH], len(records)))
        self.assertGreater(len(records), 0)
        with open(self.at("out", "masks.jsonl")) as file:
            (line,) = [json.loads(text) for text in file]
        self.assertEqual((line["image"], line["size"], line["masks"]), (PHOTO, [HEIGHT, WIDTH], records))
        with open(self.at("stats.json")) as file:
            (stats,) = json.load(file)
        self.assertEqual((stats["prompts"], stats["masks"], stats["kept"]), (16, 48, len(records)))
        table = read(self.at("out", "jpeg_420.jpg", "metadata.csv")).decode().splitlines()
        self.assertEqual(len(table), len(records) + 1)
        for i, record in enumerate(records):
            self.assertEqual(list(record), self.KEYS)
            mask = decode_rle(record["segmentation"])
            self.assertEqual(sum(map(sum, mask)), record["area"])
            _, _, channels, rows = read_png(self.at("out", "jpeg_420.jpg", f"{i}.png"))
            self.assertEqual((channels, [[v // 255 for v in row] for row in rows]), (1, mask))
            fields = table[i + 1].split(",")
            self.assertEqual([int(v) for v in fields[:6]], [i, record["area"], *record["bbox"]])
            self.assertEqual([float(v) for v in fields[6:8]], record["point_coords"][0])
        self.assertEqual(read_png(self.at("out", "jpeg_420.jpg.overlay.png"))[:3], (WIDTH, HEIGHT, 3))

    def test_same_bytes_at_any_threads_and_batch(self):
        for name, *arguments in (("a", "--threads", "1"), ("b", "--threads", "3", "--points-per-batch", "3")):
            self.auto(PHOTO, "-o", self.at(name), "--format", "rle", *arguments)
        self.assertEqual(read(self.at("a", "jpeg_420.jpg.json")), read(self.at("b", "jpeg_420.jpg.json")))

    def test_refusals(self):
        o = ["-o", self.at("x")]
        self.usage("-o OUTDIR is missing", "auto", PHOTO)
        self.usage("no IMAGE", "auto", *o)
        self.usage("--format", "auto", PHOTO, *o, "--format", "gif")
        self.usage("--pred-iou-thresh is a number from -1000 to 1000", "auto", PHOTO, *o, "--pred-iou-thresh", "much")
        self.usage("would write the same files", "auto", PHOTO, PHOTO, *o)
        self.usage("--crop-overlap-ratio is a number from 0 to 0.999", "auto", PHOTO, *o, "--crop-overlap-ratio", "2")
        self.failure("none.jpg", "auto", self.at("none.jpg"), *o, "--model", MODEL)


class Bench(Case):
    def test_json(self):
        out, _ = self.good("bench", "--stage", "decoder", "--runs", "1", "--json", "--model", MODEL, "--image", PHOTO)
        result = json.loads(out)
        (stage,) = result["stages"]
        self.assertEqual((stage["name"], stage["precision"]), ("decoder", "f32"))
        self.assertGreater(stage["gflops"], 0)
        self.assertGreater(result["peak_gflops"], 0)
        self.assertAlmostEqual(stage["share_of_peak"], stage["gflops"] / result["peak_gflops"], places=5)
        self.assertIn("upscale_masks", [operator["name"] for operator in stage["operators"]])
        self.assertEqual((result["backend"], result["precision"]), ("cpu", "f32"))
        self.assertTrue(result["machine"])
        self.assertNotIn("reference", result)

    def bench(self, *arguments):
        common = ("--json", "--model", MODEL, "--image", PHOTO, "--threads", "1")
        return json.loads(self.good("bench", *common, *arguments)[0])

    def test_percentiles_and_rates(self):
        result = self.bench("--stage", "prompt", "--runs", "20")
        (stage,) = result["stages"]
        times = [stage[key] for key in ("min_s", "p50_s", "p90_s", "p95_s", "p99_s")]
        self.assertEqual(times, sorted(times))
        self.assertGreater(times[0], 0)
        self.assertEqual(stage["median_s"], stage["p50_s"])
        self.assertAlmostEqual(stage["masks_per_s"] * stage["median_s"], 3, places=5)
        self.assertIsNone(stage["images_per_s"])
        (stage,) = self.bench("--stage", "encoder", "--runs", "2")["stages"]
        self.assertAlmostEqual(stage["images_per_s"] * stage["median_s"], 1, places=5)
        self.assertIsNone(stage["masks_per_s"])
        self.assertEqual(stage["median_s"], stage["min_s"])  # nearest rank: of two runs the first
        self.assertEqual(stage["p90_s"], stage["p99_s"])

    def test_masks_per_second_of_auto_are_those_that_it_gives(self):
        (stage,) = self.bench("--stage", "auto", "--runs", "1")["stages"]
        kept = json.loads(self.good("auto", PHOTO, "--model", MODEL, "-o", self.at("o"), "--quiet")[0])
        self.assertAlmostEqual(stage["masks_per_s"] * stage["median_s"], kept["masks"], places=4)
        self.assertAlmostEqual(stage["images_per_s"] * stage["median_s"], 1, places=5)

    def test_peaks_cold_start_and_memory(self):
        result = self.bench("--stage", "prompt", "--runs", "1")
        peaks = result["peaks"]
        self.assertEqual(set(peaks), {"f32", "bf16", "int8"})
        self.assertEqual(peaks["f32"]["gflops"], result["peak_gflops"])
        for peak in peaks.values():
            self.assertTrue(peak is None or (peak["gflops"] > 0 and peak["instruction"]))
        (stage,) = result["stages"]
        self.assertEqual(stage["peak_type"], "f32")
        for operator in stage["operators"]:
            self.assertEqual(operator["peak_type"], "f32")
            self.assertAlmostEqual(operator["share_of_peak"], operator["gflops"] / result["peak_gflops"], places=5)
        cold = result["cold_start"]
        parts = [cold[key] for key in ("open_s", "session_s", "first_image_s", "first_prompt_s")]
        self.assertGreater(min(parts), 0)
        self.assertAlmostEqual(cold["total_s"], sum(parts), places=6)
        memory = result["memory"]
        order = [memory[key] for key in ("before_bytes", "opened_bytes", "opening_peak_bytes", "peak_bytes")]
        self.assertEqual(order, sorted(order))
        self.assertGreater(order[0], 0)
        self.assertGreater(memory["weight_bytes"], 0)
        self.assertGreater(memory["peak_bytes"], memory["session_peak_bytes"])

    def test_without_an_instruction_there_is_no_peak(self):
        environment = dict(os.environ, SAMC_CPU_CAPS="none")
        arguments = ("--stage", "prompt", "--runs", "1", "--json", "--model", TINY, "--image", PHOTO)
        result = json.loads(self.good("bench", *arguments, "--precision", "bf16", env=environment)[0])
        self.assertEqual((result["peaks"]["bf16"], result["peaks"]["int8"]), (None, None))
        self.assertEqual(result["peaks"]["f32"]["instruction"], "plain C")
        (stage,) = result["stages"]  # rounded weights, f32's arithmetic
        self.assertEqual((result["precision"], stage["precision"], stage["peak_type"]), ("bf16", "bf16", "f32"))
        self.assertIn("f32", result["arithmetic"])

    def test_reference(self):
        result = self.bench("--stage", "prompt", "--runs", "1", "--reference")
        reference = result["reference"]
        self.assertEqual((reference["precision"], reference["prompts"], reference["masks"]), ("f32", 64, 192))
        self.assertEqual(reference["same_choice"], 64)
        one = {"median": 1, "p5": 1, "mean": 1, "min": 1}
        self.assertEqual((reference["iou"], reference["chosen_iou"]), (one, one))
        # Rounded weights make other masks.
        rounded, arguments = self.at("bf16.safetensors"), ("--image", LARGER, "--stage", "prompt", "--runs", "1")
        self.good("convert", MODEL, "-o", rounded, "--dtype", "bf16", "--quiet")
        other = self.bench("--reference-model", rounded, *arguments)["reference"]
        for iou in other["iou"], other["chosen_iou"]:
            self.assertEqual(sorted((iou["min"], iou["p5"], iou["median"])), [iou["min"], iou["p5"], iou["median"]])
            self.assertTrue(0 <= iou["min"] <= iou["mean"] < 1)
        self.assertGreater(other["iou"]["median"], 0.9)
        self.failure("none.safetensors", "bench", "--reference-model", self.at("none.safetensors"), "--stage", "prompt")

    def test_text(self):
        out, _ = self.good(
            "bench", "--stage", "prompt", "--runs", "1", "--model", MODEL, "--image", PHOTO, "--reference"
        )
        words = "peak f32", "cold start: open", "p50", "p99", "masks/s", "of f32 peak", "memory:", "IoU median 1.0000"
        for word in words:
            self.assertIn(word, out.decode())


class Models(Case):
    def test_info(self):
        info = json.loads(self.good("info", MODEL, "--json")[0])
        keys = [
            "version",
            "backends",
            "processors",
            "cpu",
            "bf16",
            "int8",
            "cuda",
            "image_formats",
            "image_decoders",
            "maps",
            "model",
        ]
        self.assertEqual(list(info), keys)
        self.assertIn("ref", info["backends"])
        self.assertTrue(any("libjpeg-turbo" in decoder for decoder in info["image_decoders"]))
        model = info["model"]
        self.assertEqual(model["path"], MODEL)
        self.assertRegex(model["hash"], "^[0-9a-f]{64}$")
        self.assertEqual(model["file_bytes"], os.path.getsize(MODEL))
        shape = model["architecture"]
        self.assertEqual(shape["grid"] * shape["patch_size"], shape["image_size"])
        self.assertEqual(shape["low_res"], 4 * shape["grid"])
        self.assertTrue(model["parameters"] > 0 and model["memory"]["weight_bytes"] > 0)
        text = self.good("info", MODEL)[0].decode()
        for word in (model["hash"], "parameters", "memory", "backends", "libjpeg-turbo", "mask_threshold=0.0"):
            self.assertIn(word, text)
        self.assertEqual(model["settings"], {"mask_threshold": 0})
        changed = json.loads(self.good("info", MODEL, "--json", "--set", "mask_threshold=1.5")[0])["model"]
        self.assertEqual(changed["settings"], {"mask_threshold": 1.5})
        self.assertEqual(changed["architecture"]["mask_threshold"], 1.5)

    def test_convert(self):
        original = json.loads(self.good("info", MODEL, "--json")[0])["model"]
        out, err = self.good("convert", MODEL, "-o", self.at("same.safetensors"), "--quiet")
        self.assertEqual((out, err), (b"", ""))
        same = json.loads(self.good("info", self.at("same.safetensors"), "--json")[0])["model"]
        self.assertEqual((same["hash"], same["dtype"]), (original["hash"], original["dtype"]))
        self.good("convert", MODEL, "-o", self.at("wide.safetensors"), "--dtype", "f32")
        wide = json.loads(self.good("info", self.at("wide.safetensors"), "--json")[0])["model"]
        self.assertEqual((wide["dtype"], wide["parameters"]), ("f32", original["parameters"]))
        self.assertEqual(wide["architecture"], original["architecture"])
        # Widening is exact: the same logits.
        expected = self.logits("--point", "20,10")
        self.segment(
            "--point", "20,10", "--format", "rle", "--logits", self.at("l.npy"), "--model", self.at("wide.safetensors")
        )
        self.assertEqual(read_npy(self.at("l.npy"))[1:], expected)


def largest_difference(a, b):
    count = len(a) // 4
    return max(abs(x - y) for x, y in zip(struct.unpack(f"<{count}f", a), struct.unpack(f"<{count}f", b)))


if __name__ == "__main__":
    for path in (SAMC, MODEL):
        if not os.path.exists(path):
            sys.exit(f"{path} is missing: set SAMC and SAMC_MODEL_FILE")
    unittest.main()
