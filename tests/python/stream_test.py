#!/usr/bin/env python3
"""samc.stream(): which frames come out is asked only where the order of things says it."""

import itertools
import threading
import unittest
from pathlib import Path

import numpy as np

import samc

TINY = Path(__file__).resolve().parent.parent / "data/golden/tiny.safetensors"
PROMPTS = [{"points": [[20, 16]]}, samc.Prompt(box=[2, 3, 30, 28])]


def frame(number):
    y, x, c = np.mgrid[:32, :40, :3]
    return (60 + 90 * ((x + 2 * number) // 8 % 2) + y + 5 * c).astype(np.uint8)


class Stream(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = samc.load(TINY, threads=1)

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def setUp(self):
        self.session = self.model.session()
        self.addCleanup(self.session.close)

    def test_every_frame(self):
        frames = list(samc.stream(self.session, map(frame, range(5)), PROMPTS, every=True))
        self.assertEqual([f.number for f in frames], list(range(5)))
        with self.model.session() as other:
            for number, masks, latency in frames:
                self.assertGreaterEqual(latency, 0)
                other.set_image(frame(number))
                result = other.predict_many(PROMPTS)
                self.assertEqual([m.counts for m in masks], [result.mask(i).counts for i in range(2)])
                self.assertEqual([m.prompt for m in masks], [0, 1])

    def test_latest_frame(self):
        """The last frame is never dropped, nor one that nothing comes after before it is taken."""
        held, numbers = threading.Event(), []

        def frames():
            yield frame(0)
            held.wait()  # the first one's masks are out
            for i in range(1, 9):
                yield frame(i)

        for f in samc.stream(self.session, frames(), PROMPTS):
            numbers.append(f.number)
            held.set()
        self.assertEqual(numbers[0], 0)
        self.assertEqual(numbers[-1], 8)
        self.assertEqual(numbers, sorted(set(numbers)))

    def test_automatic(self):
        options = dict(points_per_side=2, pred_iou_thresh=0, stability_score_thresh=0)
        (first,) = samc.stream(self.session, [frame(1)], every=True, **options)
        expected = self.session.auto([frame(1)], **options)[0]
        self.assertEqual([m.counts for m in first.masks], [m.counts for m in expected])
        self.assertGreater(len(expected), 0)

    def test_failures(self):
        def frames():
            yield frame(0)
            raise KeyError("camera")

        seen = []
        with self.assertRaisesRegex(KeyError, "camera"):
            for f in samc.stream(self.session, frames(), PROMPTS, every=True):
                seen.append(f.number)
        self.assertEqual(seen, [0])
        with self.assertRaisesRegex(samc.InvalidArgument, "frame 0"):
            list(samc.stream(self.session, [np.zeros((5, 5, 3), np.uint8)], PROMPTS, every=True))
        with self.assertRaises(ValueError):
            list(samc.stream(self.session, [np.zeros((5, 5), np.uint8)], PROMPTS, every=True))
        for wrong in (dict(prompts=[]), dict(prompts=PROMPTS, points_per_side=3), dict(prompts=[{"image": 1}])):
            self.assertRaises(ValueError, list, samc.stream(self.session, [frame(0)], **wrong))

    def test_closed_early(self):
        """Whoever stops reading ends the thread, and the session is free again."""
        frames = samc.stream(self.session, map(frame, itertools.count()), PROMPTS, every=True)
        self.assertEqual(next(frames).number, 0)
        frames.close()
        self.assertNotIn("samc.stream", [t.name for t in threading.enumerate()])
        self.session.set_image(frame(0))


if __name__ == "__main__":
    unittest.main(verbosity=2)
