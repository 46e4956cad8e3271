#!/usr/bin/env python3
"""Scenes from outside: nothing of a run in tiles is lost when it is killed, refused, out of space or without power.

    SAMC=build/release/bin/samc SAMC_FAULTS=... python3 tests/scene_survival.py quick|full [-k NAME]

"quick" strikes a few operations of a run on its folder, "full" many.
"""

import json
import os
import shutil
import sys
import unittest

import power_loss
from archive_case import FAULTS, OPTIONS, SEED, Archive, png, put, tree
from archive_survival import Struck
from cli_test import read, run

TILES = ["--tile", "128", "--halo", "32", "--stitch"]  # the random model's masks are as large as what it sees


def scene(dice, width=330, height=300):
    """Discs on a ground, as rows of a PNG."""
    rgb = bytearray()
    discs = [
        (dice.randrange(width), dice.randrange(height), dice.randrange(8, 60), dice.randbytes(3)) for _ in range(30)
    ]
    for y in range(height):
        for x in range(width):
            colour = bytes((x * 90 // width, 120, y * 90 // height))
            for cx, cy, r, other in discs:
                if (x - cx) ** 2 + (y - cy) ** 2 < r * r:
                    colour = other
            rgb += colour
    return png(width, height, bytes(rgb))


class SceneRuns(Archive):
    def setUp(self):
        super().setUp()
        self.scene = put(self.at("scene.png"), scene(self.dice))
        self.command = [self.scene, *TILES, "--format", "coco,jsonl"]

    def masks(self, out):
        return [json.loads(line) for line in read(os.path.join(out, "scene.masks.jsonl")).splitlines()]


class Refusals(SceneRuns):
    def test_other_runs_are_refused(self):
        out = self.at("o")
        lines, _ = self.auto(*self.command, "-o", out)
        masks = self.masks(out)
        self.assertEqual([line["masks"] for line in lines], [len(masks)])
        self.assertGreater(len(masks), 1)
        self.assertEqual(len(json.loads(read(os.path.join(out, "scene.coco.json")))["annotations"]), len(masks))
        before = tree(out)
        again = ["auto", *self.command, "-o", out, *OPTIONS]
        self.failure("holds a run already; go on with it by --resume", *again)
        for difference, arguments in (
            ("points-per-side is 3, the run was begun with 2", ["--points-per-side", "3"]),
            ("halo is 40, the run was begun with 32", ["--halo", "40"]),
            ("tile-origin", ["--tile-origin", "5,5"]),
            ("levels", ["--levels", "1"]),
            ("format", ["--format", "jsonl"]),
        ):
            self.failure(difference, *again, "--resume", *arguments)
        lines, _ = self.auto(*self.command, "-o", out, "--resume")
        self.assertEqual([line["masks"] for line in lines], [len(masks)])
        self.assertEqual(tree(out), before)

    def test_damaged_journal(self):
        out = self.at("o")
        self.auto(*self.command, "-o", out)
        path = self.at("o", ".samc", "journal")
        journal = read(path)
        for at in self.dice.sample(range(len(journal) - 300), 6):
            put(path, journal[:at] + bytes([journal[at] ^ 1 << self.dice.randrange(8)]) + journal[at + 1 :])
            before = tree(out)
            self.failure(path, "auto", *self.command, "-o", out, "--resume", *OPTIONS)
            self.assertEqual(tree(out), before)
        put(path, journal)
        self.auto(*self.command, "-o", out, "--resume")

    def test_shards(self):
        self.auto(*self.command, "-o", self.at("one"))
        for i in (2, 0, 1):
            lines, err = self.auto(*self.command, "-o", self.at("three"), "--shard", f"{i}/3")
            self.assertEqual(len(lines), i == 1, err)
        for name in ("scene.masks.jsonl", "scene.coco.json"):
            self.assertEqual(read(self.at("one", name)), read(self.at("three", name)))


@unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
class SceneFaults(SceneRuns, Struck):
    formats, points, code = [], 3, 0

    def setUp(self):
        super().setUp()
        self.inputs, self.arguments = self.scene, tuple(self.command[1:])
        self.trace_whole()

    def operations(self, log):
        """Two of the record stand for one that was not seen: a file that a library wrote."""
        return super().operations(log) - 2 * 2

    def was_shorter(self, code, log, at):
        return False  # one tile after the other: always the same operations

    def resumed(self, out, done, what):
        code, _, err = run("auto", self.inputs, "-o", out, "--resume", *self.arguments, *OPTIONS)
        self.assertEqual(code, self.code, f"{what}: {err}")
        different = power_loss.difference(tree(out), tree(self.whole))
        self.assertEqual(tree(out) == tree(self.whole), True, f"{what}, seed {SEED}: {different}")

    def test_killed_ten_times(self):
        """One run, killed ten times at drawn operations of what is left of it."""
        out, killed = self.at("k"), 0
        arguments = [a for a in self.arguments]
        while killed < 10:
            at = self.dice.randrange(2, max(3, self.operations(self.trace) // 9))
            code, _, err, _ = self.traced(out, "--resume", *arguments, at=at)
            killed += code == -9
            if code == 0:
                self.assertEqual(tree(out), tree(self.whole))
                shutil.rmtree(out)
            else:
                self.assertEqual(code, -9, err)
        self.resumed(out, 0, "killed ten times")


class ManySceneFaults(SceneFaults):
    points = 24  # None, all of them, takes a minute and a half


if __name__ == "__main__":
    full = len(sys.argv) > 1 and sys.argv[1] == "full"
    loader, tests = unittest.TestLoader(), unittest.TestSuite()
    for case in (ManySceneFaults,) if full else (Refusals, SceneFaults):
        tests.addTests(loader.loadTestsFromTestCase(case))
    wanted = sys.argv[sys.argv.index("-k") + 1] if "-k" in sys.argv else ""
    tests = unittest.TestSuite(test for test in tests if wanted in test.id())
    result = unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(tests)
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)
