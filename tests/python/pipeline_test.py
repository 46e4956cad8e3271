#!/usr/bin/env python3
"""samc.pipeline() gives what transformers' pipeline gave (tests/data/pipeline.json, made by pipeline_parity.py), one by
one and in batches; and what engines are given: samc.engines.Annotator."""

import base64
import json
import pickle
import sys
import unittest
from pathlib import Path

import numpy as np

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE / "python"))

import samc
from samc.engines import Annotator, sa1b_of
from samc._pipeline import crop_boxes, suppress

EXAMPLES = SOURCE / "tools" / "examples"
MODEL = SOURCE / "weights" / "samc-tiny.safetensors"
TINY = SOURCE / "tests" / "data" / "golden" / "tiny.safetensors"
LOOSE = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
GOLDEN = json.loads((SOURCE / "tests" / "data" / "pipeline.json").read_text())
FLAGS = {"output_rle_mask": True, "output_bboxes_mask": True}


class Pipeline(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pipe = samc.pipeline("mask-generation", model=MODEL)

    @classmethod
    def tearDownClass(cls):
        cls.pipe.close()

    def check(self, result, expected):
        self.assertEqual(list(result), ["masks", "scores", "rle_mask", "bounding_boxes"])
        self.assertEqual(len(result["masks"]), len(expected["masks"]))
        np.testing.assert_allclose(np.asarray(result["scores"]), expected["scores"], atol=2e-3)
        np.testing.assert_allclose(np.asarray(result["bounding_boxes"]), expected["boxes"], atol=2)
        self.assertTrue(str(result["scores"].dtype).endswith("float32"))
        for mask, rle, counts in zip(result["masks"], result["rle_mask"], expected["masks"]):
            mask = np.asarray(mask)
            self.assertEqual(mask.dtype, bool)
            theirs = samc.mask.decode({"size": list(mask.shape), "counts": counts.encode()}).astype(bool)
            self.assertGreaterEqual((mask & theirs).sum() / (mask | theirs).sum(), 0.99)
            flat = np.repeat(np.arange(len(rle["counts"])) % 2 == 1, rle["counts"])
            np.testing.assert_array_equal(flat.reshape(mask.shape[::-1]).T, mask)

    def test_as_transformers(self):
        for case in GOLDEN.values():
            names = list(case["images"])
            paths = [str(EXAMPLES / name) for name in names]
            many = self.pipe(paths, batch_size=4, **case["options"], **FLAGS)
            self.assertIsInstance(many, list)
            for name, result in zip(names, many):
                self.check(result, case["images"][name])
        one = self.pipe(paths[0], **case["options"], **FLAGS)
        self.check(one, case["images"][names[0]])
        for a, b in zip(one["masks"], many[0]["masks"]):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))

    def test_inputs(self):
        options = {"points_per_crop": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
        data = (EXAMPLES / "cat.jpg").read_bytes()
        expected = self.pipe(EXAMPLES / "cat.jpg", **options)
        self.assertEqual(list(expected), ["masks", "scores"])
        self.assertGreater(len(expected["masks"]), 5)
        text = base64.b64encode(data).decode()
        for image in (data, text, "data:image/jpeg;base64," + text, samc.read_image(data)):
            np.testing.assert_array_equal(np.asarray(self.pipe(image, **options)["scores"]), expected["scores"])
        stream = self.pipe((path for path in [EXAMPLES / "cat.jpg"] * 3), batch_size=2, **options)
        self.assertNotIsInstance(stream, list)
        self.assertEqual(len(list(stream)), 3)
        with self.assertRaisesRegex(ValueError, "Incorrect image source"):
            self.pipe("no such file.jpg")

    def test_options(self):
        loose = {"points_per_crop": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
        with samc.pipeline("mask-generation", model=self.pipe.model, batch_size=2, **loose) as other:
            many = other(EXAMPLES / "cat.jpg")
            wider = other(EXAMPLES / "cat.jpg", mask_threshold=-2.0, crops_nms_thresh=1.0)
            few = other(EXAMPLES / "cat.jpg", mask_threshold=0, crops_nms_thresh=1.0)
            none = other(EXAMPLES / "cat.jpg", pred_iou_thresh=1.0, **FLAGS)
        self.assertGreater(len(few["masks"]), len(many["masks"]))
        self.assertGreater(
            sum(np.asarray(m).sum() for m in wider["masks"]), sum(m.sum() for m in map(np.asarray, few["masks"]))
        )
        self.assertEqual((none["masks"], tuple(none["bounding_boxes"].shape)), ([], (0, 4)))
        for call in (
            lambda: self.pipe(EXAMPLES / "cat.jpg", max_hole_area=3),
            lambda: samc.pipeline("mask-generation", model=self.pipe.model, tokenizer=1),
        ):
            self.assertRaises(TypeError, call)
        self.assertRaises(ValueError, lambda: self.pipe(EXAMPLES / "cat.jpg", points_per_batch=0))
        self.assertRaises(KeyError, lambda: samc.pipeline("depth-estimation"))
        self.assertRaises(ValueError, lambda: samc.pipeline(model=MODEL, dtype="float13"))

    def test_closes_what_it_opened(self):
        own = samc.pipeline("mask-generation", model=TINY)
        own.close()
        self.assertTrue(own.model.closed)
        with samc.pipeline("mask-generation", model=self.pipe.model):
            pass
        self.assertFalse(self.pipe.model.closed)

    def test_crops_and_suppression(self):
        boxes = crop_boxes((100, 160), 1, 512 / 1500)
        self.assertEqual([layer for layer, _ in boxes], [0, 1, 1, 1, 1])
        self.assertEqual([box for _, box in boxes][0], (0, 0, 160, 100))
        self.assertEqual({box[:2] for _, box in boxes[1:]}, {(0, 0), (0, 33), (63, 0), (63, 33)})
        array = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 20, 30, 30], [0, 0, 10, 10]])
        self.assertEqual(suppress(array, np.array([0.5, 0.9, 0.1, 0.9], np.float32), 0.7), [1, 2])
        self.assertEqual(suppress(array[:0], np.zeros(0, np.float32), 0.7), [])


class Engines(unittest.TestCase):
    def samples(self):
        found = [(f"{i}", path.read_bytes()) for i, path in enumerate(sorted(EXAMPLES.glob("*.jpg")))]
        return found[:2] + [("bad", b"no picture"), ("cut", found[0][1][:500])] + found[2:]

    def test_records(self):
        with samc.load(TINY) as model, model.session() as session:
            direct = {key: session.auto([data], **LOOSE)[0] for key, data in self.samples() if key.isdigit()}
        annotator = Annotator(TINY, batch_size=3, **LOOSE)
        again = pickle.loads(pickle.dumps(annotator))
        records = list(annotator.records(self.samples()))
        self.assertEqual(list(again.records(self.samples())), records)
        self.assertEqual([record["key"] for record in records], [key for key, _ in self.samples()])
        for record, (key, data) in zip(records, self.samples()):
            if not key.isdigit():
                self.assertIn(key, record["error"])
                self.assertEqual((record["masks"], record["height"]), ([], 0))
                continue
            self.assertIsNone(record["error"])
            self.assertEqual((record["height"], record["width"]), samc.read_image(data).shape[:2])
            self.assertEqual([m["counts"] for m in record["masks"]], [m.counts.decode() for m in direct[key]])
            self.assertEqual(json.loads(json.dumps(record)), record)  # plain values
            told = json.loads(sa1b_of(record, key + ".jpg"))
            self.assertEqual(len(told["annotations"]), len(direct[key]))
            self.assertEqual(told["annotations"][0]["point_coords"], [record["masks"][0]["point"]])
        for one in (annotator, again):
            one.close()
            one.close()

    def test_errors_of_the_run_are_raised(self):
        with self.assertRaises(FileNotFoundError):
            list(Annotator("no such model").records(self.samples()))
        self.assertRaises(ValueError, lambda: Annotator(batch_size=0))
        with self.assertRaisesRegex(TypeError, "unknown option"):
            list(Annotator(TINY, points_per_sight=3).records(self.samples()))
        for failure in (samc.NoDevice, samc.InternalError, samc.ReadWriteError):
            annotator = Annotator(TINY)
            annotator.session = lambda: Broken(failure("the disk is full"))
            with self.assertRaisesRegex(failure, "the disk is full"):
                list(annotator.records(self.samples()))


class Broken:
    """A session whose device or disk fails."""

    def __init__(self, failure):
        self.failure = failure

    def auto(self, *_, **__):
        raise self.failure


if __name__ == "__main__":
    unittest.main()
