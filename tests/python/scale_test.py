#!/usr/bin/env python3
"""16 bits and floats from Python, against numpy's own arithmetic, byte by byte."""

import json
import struct
import subprocess
import sys
import tempfile
import unittest
import zlib
from pathlib import Path

import numpy as np

import samc

SOURCE = Path(__file__).resolve().parent.parent.parent
TINY = SOURCE / "tests/data/golden/tiny.safetensors"
RNG = np.random.default_rng(11)
SCALES = ("minmax", "P0.5-99.5", "P0-100", "P33.3-66.6", "0,255", "-1.5,4000.25")


def by_numpy(samples, scale):
    """What docs/use.md says, on [height, width, channels]."""
    values = samples.astype(np.float64)
    good = np.isfinite(values)
    if scale == "minmax":
        low, high = values[good].min(), values[good].max()
    elif scale[0] == "P":
        low, high = np.percentile(values[good], [float(p) for p in scale[1:].split("-")])
    else:
        low, high = (float(v) for v in scale.rsplit(",", 1))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        bytes_ = np.clip(np.floor((values - low) * 255 / (high - low) + 0.5), 0, 255) if high > low else values * 0
    bytes_ = np.where(good, bytes_, 0).astype(np.uint8)
    return np.broadcast_to(bytes_, bytes_.shape[:2] + (3,))


def png16(samples):
    """[height, width, 1 or 3] uint16 as a PNG."""
    height, width, channels = samples.shape
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", width, height, 16, 2 if channels == 3 else 0, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def arrays():
    for channels in (1, 3):
        shape = (23, 37, channels)
        yield RNG.integers(100, 4096, shape, dtype=np.uint16)
        yield RNG.integers(0, 65536, shape, dtype=np.uint16).astype(">u2")
        yield np.full(shape, 777, np.uint16)
        yield RNG.normal(0, 1000, shape).astype(np.float32)
        yield RNG.normal(0, 1, shape).astype(np.float16)
        yield RNG.normal(0, 1e-40, shape).astype(np.float32)
        holes = RNG.normal(5, 1, shape).astype(np.float32)
        holes[::5, ::3] = np.nan
        holes[1, 1], holes[2, 2] = np.inf, -np.inf
        yield holes
        yield RNG.integers(-3000, 3000, shape).astype(np.int16)
        yield RNG.integers(0, 1 << 20, shape).astype(np.int64)
        yield RNG.integers(0, 5000, (23, 74, channels), dtype=np.uint16)[::-1, ::2]


class Scale(unittest.TestCase):
    def test_as_numpy(self):
        for samples in arrays():
            exact = samples if samples.dtype.kind == "u" else samples.astype(np.float32)
            for scale in SCALES:
                with self.subTest(dtype=samples.dtype, shape=samples.shape, scale=scale):
                    np.testing.assert_array_equal(samc.scale(samples, scale), by_numpy(exact, scale))

    def test_defaults(self):
        grey = RNG.integers(100, 4096, (9, 8), dtype=np.uint16)
        np.testing.assert_array_equal(samc.scale(grey), by_numpy(grey[:, :, None], "minmax"))
        colours = RNG.integers(0, 65536, (9, 8, 3), dtype=np.uint16)
        np.testing.assert_array_equal(samc.scale(colours), (colours >> 8).astype(np.uint8))
        np.testing.assert_array_equal(samc.scale(colours.astype(np.float32)), by_numpy(colours, "minmax"))
        small = RNG.integers(0, 256, (9, 8, 3), dtype=np.uint8)
        np.testing.assert_array_equal(samc.scale(small, "minmax"), small)  # 8 bits are what they are

    def test_refused(self):
        image = np.zeros((4, 5), np.uint16)
        for bad in (image[0], image[None, None], np.zeros((4, 5, 2)), np.zeros((0, 5)), image.astype(complex)):
            self.assertRaises(ValueError, samc.scale, bad)
        self.assertRaises(samc.InvalidArgument, samc.scale, image, "P9")
        self.assertRaises(samc.Unsupported, samc.scale, image.astype(float), "high-byte")
        with self.assertRaisesRegex(ValueError, "samc.scale"):
            samc.as_array(np.zeros((4, 5, 3), np.uint16))

    def test_files(self):
        for channels in (1, 3):
            samples = RNG.integers(0, 60000, (19, 30, channels), dtype=np.uint16)
            for scale in SCALES:
                np.testing.assert_array_equal(samc.read_image(png16(samples), scale=scale), by_numpy(samples, scale))
        np.testing.assert_array_equal(samc.read_image(png16(samples)), samples >> 8)

    def test_before_the_recipe(self):
        """A model sees the 8-bit image that the scale makes, also one whose recipe stretches each channel itself."""
        samples = RNG.integers(500, 3000, (40, 60, 1), dtype=np.uint16)
        samples[10:30, 10:40] += 500
        for recipe in ("sam", "micro-sam"):
            with samc.load(TINY, recipe=recipe) as model, model.session() as session:
                session.set_image(samc.scale(samples, "P1-99"))
                expected = session.embedding()
                session.set_image(samples, scale="P1-99")
                np.testing.assert_array_equal(session.embedding(), expected)
                session.set_image(png16(samples), scale="P1-99")
                np.testing.assert_array_equal(session.embedding(), expected)
                session.set_image(samples, scale="0,65535")
                self.assertFalse(np.array_equal(session.embedding(), expected))

    def test_archives(self):
        samples = RNG.integers(500, 3000, (40, 60, 1), dtype=np.uint16)
        few = dict(points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0)
        with tempfile.TemporaryDirectory() as folder, samc.load(TINY) as model:
            source, out = Path(folder, "in"), Path(folder, "out")
            source.mkdir()
            (source / "a.png").write_bytes(png16(samples))
            (source / "b.png").write_bytes(png16(np.repeat(samples, 3, 2)))
            run = lambda **more: samc.auto(source, out, model=model, formats="jsonl,coco,sa1b", **few, **more)
            run(scale="100,4000")
            lines = [json.loads(line) for line in (out / "masks.jsonl").read_text().splitlines()]
            scale = {"name": "range", "low": 100.0, "high": 4000.0, "samples": "u16"}
            self.assertEqual([line["scale"] for line in lines], [scale, scale])
            coco = json.loads((out / "annotations.json").read_text())
            self.assertEqual([image["scale"] for image in coco["images"]], [scale, scale])
            self.assertEqual(json.loads((out / "a.json").read_text())["image"]["scale"], scale)
            run(scale="100,4000", resume=True)
            self.assertRaisesRegex(samc.Mismatch, "scale", run, scale="100,4001", resume=True)
            self.assertRaisesRegex(samc.Mismatch, "scale", run, resume=True)
            self.assertRaisesRegex(samc.InvalidArgument, "scale", run, scale="x", resume=True)

    def test_command_line(self):
        samples = RNG.integers(500, 3000, (40, 60, 1), dtype=np.uint16)
        base = [
            sys.executable,
            "-m",
            "samc",
            "segment",
            "-",
            "--model",
            str(TINY),
            "--point",
            "20,20",
            "--format",
            "rle",
        ]
        say = lambda data, *more: subprocess.run([*base, "-q", *more], input=data, capture_output=True, timeout=300)
        answer = json.loads(say(png16(samples), "--scale", "P1-99").stdout)
        low, high = np.percentile(samples.astype(np.float64), [1, 99])
        self.assertEqual(answer["scale"], {"name": "percentiles", "low": low, "high": high, "samples": "u16"})
        grey = by_numpy(samples, "P1-99")
        same = json.loads(say(b"P6 60 40 255\n" + grey.tobytes()).stdout)
        self.assertNotIn("scale", same)
        self.assertEqual(answer["masks"], same["masks"])
        bad = say(png16(samples), "--scale", "P99-1")
        self.assertEqual(bad.returncode, 2)
        self.assertIn(b"--scale: a scale is", bad.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
