#!/usr/bin/env python3
"""The classes of sam2 on the tiny model of tests/data: what the original made of its cases, and what they share with
sessions."""

import json
import pickle
import struct
import tempfile
import unittest
from pathlib import Path

import numpy as np

import samc

DATA = Path(__file__).resolve().parent.parent / "data/golden_sam2"
MODEL = DATA / "tiny.safetensors"


def read(path):
    """Tensors and metadata of a safetensors file."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8 : 8 + size])
    metadata = header.pop("__metadata__")
    types = {"F32": np.float32, "U8": np.uint8}
    tensors = {
        name: np.frombuffer(raw, types[t["dtype"]], int(np.prod(t["shape"])), 8 + size + t["data_offsets"][0]).reshape(
            t["shape"]
        )
        for name, t in header.items()
    }
    return tensors, metadata


class Sam2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = samc.load(MODEL)
        cls.tensors, cls.metadata = read(DATA / "cases.safetensors")

    @classmethod
    def tearDownClass(cls):
        cls.model.close()

    def case(self, name):
        multimask = self.metadata[f"case.{name}.multimask"] == "1"
        image = self.tensors[f"image.{self.metadata[f'case.{name}.image']}.pixels"]
        keys = {"point_coords": "points", "point_labels": "labels", "box": "boxes", "mask_input": "mask_input"}
        given = {ours: self.tensors.get(f"case.{name}.{theirs}") for ours, theirs in keys.items()}
        return image, multimask, given, self.tensors[f"case.{name}.logits"], self.tensors[f"case.{name}.iou"]

    def test_what_the_original_made(self):
        for name in self.metadata["cases"].split():
            image, multimask, given, logits, iou = self.case(name)
            with samc.SAM2ImagePredictor(self.model) as predictor:
                predictor.set_image(image)
                masks, own_iou, own_logits = predictor.predict(**given, multimask_output=multimask)
            shape = iou.shape if len(iou) > 1 else iou.shape[1:]
            self.assertEqual(masks.shape, (*shape, *image.shape[:2]), name)
            self.assertLess(np.abs(own_logits - logits.reshape(own_logits.shape)).max(), 1e-3 * logits.std(), name)
            self.assertLess(np.abs(own_iou - iou.reshape(own_iou.shape)).max(), 1e-4, name)

    def test_several_images_and_coordinates(self):
        images = [self.tensors[f"image.{name}.pixels"] for name in self.metadata["images"].split()]
        point, label = np.array([[20, 15]], np.float32), np.array([1])
        predictor = samc.SAM2ImagePredictor(self.model)
        predictor.set_image_batch(images)
        together = predictor.predict_batch([point] * len(images), [label] * len(images))
        for image, *found in zip(images, *together):
            predictor.set_image(image)
            part = point / (image.shape[1], image.shape[0])
            for own in (
                predictor.predict(point, label),
                predictor.predict(part, label, normalize_coords=False),
            ):
                for a, b in zip(found, own):
                    self.assertLess(np.abs(a.astype(float) - b.astype(float)).mean(), 1e-3)
        full, masks = (predictor.predict(point, label, return_logits=logits)[0] for logits in (True, False))
        self.assertTrue(np.array_equal(full[:2] > 0, masks[:2]))  # of the third this model's logits reach beyond 32
        predictor.reset_predictor()
        self.assertRaises(RuntimeError, predictor.predict, point, label)

    def test_embeddings_of_several_levels(self):
        image, multimask, given, *_ = self.case("point_three")
        with self.model.session() as session:
            session.set_image(image)
            levels = session.levels()
            self.assertEqual([level.shape for level in levels], [(32, 10, 10), (4, 40, 40), (8, 20, 20)])
            own = session.predict(given["point_coords"][0], given["point_labels"][0]).logits.copy()
            session.set_levels(levels, image.shape[:2])
            again = session.predict(given["point_coords"][0], given["point_labels"][0]).logits
            self.assertTrue(np.array_equal(own, again))

    def test_another_image_size(self):
        with tempfile.TemporaryDirectory() as folder:
            samc.convert(MODEL, f"{folder}/small.safetensors", image_size=128)
            for own in (samc.load(f"{folder}/small.safetensors"), samc.load(MODEL, image_size=128)):
                with own, pickle.loads(pickle.dumps(own)) as again:
                    self.assertEqual((own.info.image_size, again.info.image_size), (128, 128))
        self.assertEqual(self.model.info.image_size, 160)

    def test_automatic_masks(self):
        image = self.case("point_three")[0]
        found = {}
        for name, options in (("three", {}), ("one", {"multimask_output": False}), ("again", {"use_m2m": True})):
            with samc.SAM2AutomaticMaskGenerator(
                self.model, points_per_side=4, stability_score_thresh=0.5, pred_iou_thresh=0.3, **options
            ) as generator:
                found[name] = generator.generate(image)
            self.assertTrue(found[name])
        self.assertNotEqual(*([r["area"] for r in found[name]] for name in ("three", "again")))
        self.assertEqual(samc.SAM2AutomaticMaskGenerator(self.model).pred_iou_thresh, 0.8)
        self.assertRaises(ValueError, samc.SAM2AutomaticMaskGenerator, self.model, mask_threshold=1.0)


if __name__ == "__main__":
    unittest.main()
