#!/usr/bin/env python3
"""Detectors, phrases, scenes and the masks that text gives, on the golden models with a vocabulary of CLIP's size:
random weights, which show the plumbing and no quality."""

import gc
import json
import pickle
import shutil
import tempfile
import unittest
from pathlib import Path

import numpy as np

import samc

DATA = Path(__file__).resolve().parent.parent / "data"
TINY = DATA / "golden/tiny.safetensors"
TOKENS = 49408  # of CLIP's vocabulary; the golden models have fewer
LOOSE = dict(points_per_side=3, pred_iou_thresh=-1e9, stability_score_thresh=0.0, box_nms_thresh=1.0)


def widen(golden, to):
    """The golden model with a row for every token: its own in turn, shaken so that phrases differ."""
    to.mkdir()
    shutil.copy(golden / "preprocessor_config.json", to)
    config = json.loads((golden / "config.json").read_text())
    config["text_config"].update(vocab_size=TOKENS, bos_token_id=TOKENS - 2, eos_token_id=TOKENS - 1)
    (to / "config.json").write_text(json.dumps(config))
    raw = (golden / "model.safetensors").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header, body, out, at, pieces = json.loads(raw[8 : 8 + length]), raw[8 + length :], {}, 0, []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        piece = body[slice(*entry["data_offsets"])]
        if name.endswith("token_embedding.weight"):
            table = np.frombuffer(piece, np.float32)
            dim = entry["shape"][1]
            at_row = np.arange(TOKENS)[:, None] % 1499 * 7 + np.arange(dim) * (1 + np.arange(TOKENS)[:, None] % 31)
            piece, entry = table[at_row % table.size].tobytes(), dict(entry, shape=[TOKENS, dim])
        out[name] = dict(entry, data_offsets=[at, at + len(piece)])
        at += len(piece)
        pieces.append(piece)
    text = json.dumps(out).encode()
    text += b" " * (-len(text) % 8)
    (to / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(pieces))


class Text(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="samc-text-"))
        for kind in ("owlv2", "clipseg"):
            widen(DATA / f"golden_{kind}", cls.folder / kind)
        cls.model = samc.load(TINY, threads=1)
        rng = np.random.default_rng(3)
        cls.images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((40, 60), (50, 30))]

    @classmethod
    def tearDownClass(cls):
        cls.model.close()
        shutil.rmtree(cls.folder)

    def test_boxes(self):
        detector = samc.Detector(self.folder / "owlv2", threads=1)
        self.assertEqual((detector.info.kind, detector.info.name), ("boxes", "OWLv2"))
        phrases = detector.phrases(["  red car ", "a cat"])
        self.assertEqual((phrases.texts, phrases.cut, len(phrases)), (["red car", "a cat"], [False, False], 2))
        with self.model.session() as session:
            found = samc.text(session, phrases, self.images, threshold=1e-6, nms=2.0, top=5)
            self.assertEqual([len(masks) for masks in found], [5, 5])
            for image, masks in zip(self.images, found):
                things = detector.scene(image).detect(phrases, threshold=1e-6, nms=2.0, top=5)
                self.assertEqual([(m.phrase, m.label, m.score, m.box) for m in masks], [t[:4] for t in things])
                self.assertEqual(sorted((t.score for t in things), reverse=True), [t.score for t in things])
                session.set_image(image)  # the box as a prompt of one's own gives the same mask
                own = session.predict(box=masks[0].box, multimask=False)
                np.testing.assert_array_equal(own.array()[0], masks[0].array())
                self.assertIsNone(own.mask().box)
                self.assertEqual(pickle.loads(pickle.dumps(masks)), masks)
            self.assertEqual(samc.text(session, phrases, self.images, threshold=0.9999), [[], []])
            with self.assertRaises(ValueError):
                samc.text(session, phrases, self.images, threshold=2.0)

    def test_maps_and_labels(self):
        detector = samc.Detector(self.folder / "clipseg", threads=1)
        self.assertEqual((detector.info.kind, detector.info.labels), ("maps", True))
        phrases, side = detector.phrases(["fur", "sky"]), detector.info.map_side
        scene = detector.scene(self.images[0])
        first, second = scene.map(phrases), scene.map(phrases, 1)
        self.assertEqual((first.shape, first.dtype), ((side, side), np.dtype(np.float32)))
        self.assertFalse(np.array_equal(first, second))
        with self.assertRaises(samc.InvalidArgument):
            scene.map(phrases, 2)
        labels = detector.labels(["fur", "sky"])
        self.assertEqual(labels.texts, ["fur", "sky", "background"])
        with self.model.session() as session:
            plain = [session.auto([image], **LOOSE)[0] for image in self.images]
            found = samc.label(session, labels, self.images, **LOOSE)
        self.assertGreater(len(found[0]), 2)
        self.assertEqual([[m.counts for m in masks] for masks in found], [[m.counts for m in ms] for ms in plain])
        for mask in found[0]:
            self.assertEqual(mask.label, labels.texts[mask.phrase])
            self.assertTrue(1 / 3 - 1e-6 <= mask.score <= 1)  # the best of three
        self.assertEqual([(mask.label, mask.phrase) for mask in plain[0][:1]], [(None, -1)])

    def test_refused(self):
        with self.assertRaises(FileNotFoundError):
            samc.Detector(self.folder / "none")
        with self.assertRaises(samc.Error):
            samc.Detector(TINY)
        detector = samc.Detector(self.folder / "owlv2", threads=1)
        for wrong, kind in (([], ValueError), (["a", " "], ValueError), ("car", TypeError), (["a\0b"], ValueError)):
            with self.assertRaises(kind):
                detector.phrases(wrong)
        with self.assertRaisesRegex(samc.InvalidArgument, "phrase 1 is not UTF-8"):
            detector.phrases(["\ud800"])
        with self.assertRaises(samc.InvalidArgument):
            detector.phrases(["car"], templates=["a photo"])
        with self.assertRaises(samc.Unsupported):
            detector.scene(self.images[0]).map(detector.phrases(["car"]))

    def test_lifetimes(self):
        detector = samc.Detector(self.folder / "owlv2", threads=1)
        again = pickle.loads(pickle.dumps(detector))
        self.assertEqual(again.hash(), detector.hash())
        closed = []
        real = detector._handle._close
        detector._handle._close = lambda pointer: (closed.append("detector"), real(pointer))
        phrases, scene = detector.phrases(["car"]), detector.scene(self.images[0])
        detector.close()
        detector.close()
        things = scene.detect(phrases, threshold=1e-6, top=1)  # the weights live as long as these
        self.assertEqual((len(things), things[0].label), (1, "car"))
        with self.assertRaises(ValueError):
            detector.phrases(["car"])
        self.assertEqual(closed, [])
        del phrases, scene
        gc.collect()
        self.assertEqual(closed, ["detector"])


if __name__ == "__main__":
    unittest.main()
