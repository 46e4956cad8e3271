#!/usr/bin/env python3
"""Whether tiles show: a scene of 3,000 pixels a side whose objects are known, in tiles that begin in two places.

    SAMC=build/release/bin/samc python3 tests/scene_eval_test.py      (with NumPy)

What it asks has margin: bench/NOTEBOOK.md has the figures of a scene of 12,000 x 9,000. Other processors compute other
last places, which moves a mask or two over a threshold.
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(HERE, "..", "tools", "eval_tiles")
sys.path.insert(0, TOOLS)

import evaluate  # noqa: E402

SIDE, TILE, HALO = 3000, 1024, 128


class Seams(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        at = lambda name: os.path.join(cls.folder.name, name)
        compose = [sys.executable, os.path.join(TOOLS, "scene.py"), str(SIDE), str(SIDE), at("scene.png")]
        compose += ["--truth", at("truth.json"), "--density", "4", "--seed", "2"]
        subprocess.run(compose, check=True, stdout=subprocess.PIPE)
        cls.truth, cls.size = evaluate.read_truth(at("truth.json"))
        cls.masks, cls.lines = [], []
        for origin in ("0,0", "37,37"):
            out = at(origin)
            command = [os.environ["SAMC"], "auto", at("scene.png"), "-o", out, "--tile", str(TILE), "--halo", str(HALO)]
            command += ["--tile-origin", origin, "--points-per-side", "16", "--format", "jsonl", "--no-sync", "-q"]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            cls.lines.append(json.loads(done.stdout))
            cls.masks.append(evaluate.read_masks(os.path.join(out, "scene.masks.jsonl")))

    def test_objects_on_seams_are_found(self):
        hits = count = alike = of = 0
        for i, masks in enumerate(self.masks):
            found = evaluate.recall(self.truth, self.size, masks, TILE, HALO, (37 * i, 37 * i), 0.75)
            print(self.lines[i], found, file=sys.stderr)
            hits, count = hits + found["seams"][0], count + found["seams"][1]
            alike, of = alike + found["alike"][0], of + found["alike"][1]
            self.assertEqual(found["large"][:2], (1, 1), "larger than a window")
            self.assertGreater(found["large"][2], 0.85)
        self.assertGreaterEqual(count, 10)
        self.assertGreaterEqual(hits, 0.75 * count)
        self.assertGreaterEqual(hits / count, alike / of - 0.2, "one object is eight hundredths")

    def test_tiles_may_begin_anywhere(self):
        hits, count = evaluate.shift(*self.masks)
        print(f"{hits} of {count}", file=sys.stderr)
        self.assertGreater(count, 90)
        self.assertGreaterEqual(hits, 0.9 * count)

    def test_no_object_has_two_masks(self):
        for masks in self.masks:
            for i, mask in enumerate(masks[1:], 1):
                self.assertLessEqual(evaluate.best(mask, masks[:i])[0], 0.7, f"{mask.box} is there already")


if __name__ == "__main__":
    unittest.main()
