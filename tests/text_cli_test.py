#!/usr/bin/env python3
"""samc text, segment --text and auto --labels as a user runs them, on the tiny golden models of text and images with a
vocabulary of CLIP's size: random weights, which show the plumbing and no quality."""

import json
import os
import shutil
import signal
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMC = os.environ["SAMC"]
EXAMPLES = HERE.parent / "tools/examples"
TOKENS = 49408  # of CLIP's vocabulary; the golden models have fewer


def widen(golden, to):
    """The golden model with a row for every token: its own rows in turn, shaken a little so that phrases differ."""
    to.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        shutil.copy(golden / name, to / name)
    config = json.loads((to / "config.json").read_text())
    config["text_config"].update(vocab_size=TOKENS, bos_token_id=TOKENS - 2, eos_token_id=TOKENS - 1)
    (to / "config.json").write_text(json.dumps(config))
    raw = (golden / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header, body = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    out, at, pieces = {}, 0, []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        piece = body[begin:end]
        if name.endswith("token_embedding.weight"):
            rows, dim = entry["shape"]
            values = struct.unpack(f"<{rows * dim}f", piece)
            row = lambda i: struct.pack(
                f"<{dim}f", *(values[(i * 7 + j * (1 + i // rows)) % len(values)] for j in range(dim))
            )
            table = [row(i) for i in range(1499)]  # prime: letters and whole words are different rows
            piece = b"".join(table[i % 1499] for i in range(TOKENS))
            entry = dict(entry, shape=[TOKENS, dim])
        out[name] = dict(entry, data_offsets=[at, at + len(piece)])
        at += len(piece)
        pieces.append(piece)
    text = json.dumps(out).encode()
    text += b" " * (-len(text) % 8)
    (to / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(pieces))


class TextTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="samc-text-"))
        for kind in ("owlv2", "clipseg", "clip"):
            widen(HERE / f"data/golden_{kind}", cls.folder / kind)
        cls.cat = str(EXAMPLES / "cat.jpg")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def samc(self, *arguments, code=0):
        run = subprocess.run([SAMC, *map(str, arguments)], capture_output=True, text=True, errors="surrogateescape")
        self.assertEqual(run.returncode, code, run.stderr)
        return run

    def one(self, *arguments):
        return json.loads(self.samc(*arguments, "-q").stdout)

    def test_one_image_is_like_segment(self):
        out = self.folder / "one"
        detector = self.folder / "owlv2"
        found = self.one(
            "text",
            self.cat,
            "red car",
            "a cat",
            "--detector",
            detector,
            "--threshold",
            0.01,
            "--top",
            4,
            "-o",
            out,
            "--format",
            "png,rle",
        )["masks"]
        self.assertTrue(1 <= len(found) <= 4)
        scores = [mask["score"] for mask in found]
        self.assertEqual(scores, sorted(scores, reverse=True))
        for i, mask in enumerate(found):
            self.assertIn(mask["label"], ("red car", "a cat"))
            self.assertEqual((mask["prompt"], mask["mask"]), (i, 0))
            self.assertTrue(mask["box"][0] < mask["box"][2] and mask["box"][1] < mask["box"][3])
            self.assertTrue(os.path.getsize(mask["files"]["png"]) > 0)
        # The boxes as prompts of one's own give the same masks.
        prompts = self.folder / "boxes.json"
        prompts.write_text(json.dumps([{"box": mask["box"]} for mask in found]))
        own = self.one("segment", self.cat, "--prompts", prompts, "--single", "--format", "rle")["masks"]
        self.assertEqual([m["rle"] for m in own], [m["rle"] for m in found])
        short = self.one(
            "segment",
            self.cat,
            "--text",
            "red car",
            "--text",
            "a cat",
            "--detector",
            detector,
            "--threshold",
            0.01,
            "--top",
            4,
            "--format",
            "rle",
        )["masks"]
        self.assertEqual([(m["rle"], m["label"]) for m in short], [(m["rle"], m["label"]) for m in found])
        boxes = self.one(
            "text",
            self.cat,
            "red car",
            "a cat",
            "--detector",
            detector,
            "--threshold",
            0.01,
            "--top",
            4,
            "--boxes-only",
            "--model",
            "no such file",
        )["masks"]
        self.assertEqual([(b["box"], b["score"]) for b in boxes], [(m["box"], m["score"]) for m in found])

    def test_heat_maps(self):
        out = self.folder / "heat"
        found = self.one(
            "text",
            self.cat,
            "fur",
            "sky",
            "--detector",
            self.folder / "clipseg",
            "--threshold",
            0.2,
            "--top",
            3,
            "--heat",
            "-o",
            out,
        )["masks"]
        for phrase in range(2):
            self.assertEqual((out / f"cat_heat_{phrase}.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
        self.assertTrue(all(mask["label"] in ("fur", "sky") for mask in found))
        run = self.samc("text", self.cat, "fur", "--detector", self.folder / "owlv2", "--heat", "-o", out, code=1)
        self.assertIn("makes no heat maps", run.stderr)

    def test_archives_and_resume(self):
        detector = self.folder / "owlv2"
        phrases = self.folder / "phrases.txt"
        phrases.write_text("\ufeffa cat\n\n  person  \n", encoding="utf-8")
        base = [
            "text",
            EXAMPLES,
            "--phrases",
            phrases,
            "--detector",
            detector,
            "--threshold",
            "0.01",
            "--top",
            "2",
            "--format",
            "coco,jsonl",
            "--batch-images",
            "1",
            "--queue",
            "1",
        ]
        whole, cut = self.folder / "whole", self.folder / "cut"
        self.samc(*base, "-o", whole)
        coco = json.loads((whole / "annotations.json").read_text())
        self.assertEqual([(c["id"], c["name"]) for c in coco["categories"]], [(1, "a cat"), (2, "person")])
        names = {c["id"]: c["name"] for c in coco["categories"]}
        self.assertTrue(coco["annotations"])
        for annotation in coco["annotations"]:
            self.assertEqual(names[annotation["category_id"]], annotation["label"])
        # Killed at once when the first image is done, it goes on to the same bytes.
        run = subprocess.Popen(
            [SAMC, *map(str, base), "-o", str(cut)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        run.stdout.readline()
        run.send_signal(signal.SIGKILL)
        run.communicate()
        other = self.samc(*base, "--phrase", "more", "-o", cut, "--resume", code=1)
        self.assertIn("phrases is", other.stderr)
        swapped = [self.folder / "clipseg" if argument == detector else argument for argument in base]
        self.assertIn("detector is", self.samc(*swapped, "-o", cut, "--resume", code=1).stderr)
        # A detector is its configuration too: other means of pixels make other boxes.
        other = self.folder / "other means"
        shutil.copytree(detector, other)
        processor = json.loads((other / "preprocessor_config.json").read_text())
        (other / "preprocessor_config.json").write_text(json.dumps(dict(processor, image_mean=[0, 0, 0])))
        swapped = [other if argument == detector else argument for argument in base]
        self.assertIn("detector is", self.samc(*swapped, "-o", cut, "--resume", code=1).stderr)
        self.samc(*base, "-o", cut, "--resume")
        for name in ("annotations.json", "masks.jsonl"):
            self.assertEqual((cut / name).read_bytes(), (whole / name).read_bytes())

    def test_labels(self):
        out = self.folder / "labels"
        for clip in ("clip", "clipseg"):
            self.samc(
                "auto",
                self.cat,
                "--labels",
                "cat,dog,tree",
                "--clip",
                self.folder / clip,
                "--points-per-side",
                4,
                "--format",
                "coco,sa1b",
                "-o",
                out / clip,
            )
            coco = json.loads((out / clip / "annotations.json").read_text())
            self.assertEqual([c["name"] for c in coco["categories"]], ["cat", "dog", "tree", "background"])
            self.assertTrue(coco["annotations"])
            for annotation in coco["annotations"]:
                self.assertTrue(0.25 <= annotation["score"] <= 1 and "box" not in annotation)
            names = {category["id"]: category["name"] for category in coco["categories"]}
            sa1b = json.loads((out / clip / "cat.json").read_text())["annotations"]
            labels = [(names[annotation["category_id"]], annotation["score"]) for annotation in coco["annotations"]]
            self.assertEqual([(annotation["label"], annotation["score"]) for annotation in sa1b], labels)

    def test_the_evaluation_of_what_samc_finds_itself(self):
        truth, detector = self.folder / "truth", self.folder / "owlv2"
        self.samc(
            "text",
            EXAMPLES,
            "--phrase",
            "a cat",
            "--phrase",
            "person",
            "--detector",
            detector,
            "--threshold",
            0.3,
            "--format",
            "coco",
            "-o",
            truth,
        )
        evaluate = [HERE.parent / "tools/eval_text", "boxes", truth / "annotations.json", EXAMPLES, "--samc", SAMC]
        for threshold, masks, expected in ((0.3, ["--masks"], 1.0), (0.99, [], 0.0)):
            run = subprocess.run(
                [*map(str, evaluate), "--detector", str(detector), "--threshold", str(threshold), *masks],
                capture_output=True,
                text=True,
            )
            self.assertEqual(run.returncode, 0, run.stderr)
            self.assertEqual(json.loads(run.stdout)["mean_ap50"], expected)

    def test_precisions_that_detectors_do_not_have(self):
        found = [
            self.one("text", self.cat, "a cat", "--detector", self.folder / "owlv2", "--boxes-only", *precision)[
                "masks"
            ]
            for precision in ((), ("--precision", "int8"), ("--precision", "f32"))
        ]
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0], found[2])

    def test_labels_of_a_scene(self):
        out = self.folder / "scene-labels"
        options = ["--labels", "cat,dog,tree", "--clip", self.folder / "clip", "--points-per-side", 4]
        self.samc("auto", self.cat, *options, "--tile", 256, "--format", "coco,jsonl", "-o", out)
        coco = json.loads((out / "cat.coco.json").read_text())
        names = [c["name"] for c in coco["categories"]]
        self.assertEqual(names, ["cat", "dog", "tree", "background"])
        self.assertTrue(coco["annotations"])
        lines = (out / "cat.masks.jsonl").read_text().splitlines()
        for a, line in zip(coco["annotations"], map(json.loads, lines)):
            self.assertEqual(a["label"], names[a["category_id"] - 1])
            self.assertTrue(0 < a["score"] <= 1)
            self.assertEqual((line["label"], line["score"]), (a["label"], a["score"]))
        self.samc("auto", self.cat, *options, "--tile", 256, "--format", "coco,jsonl", "--resume", "-o", out)
        options[1] = "cat,dog"
        run = self.samc(
            "auto", self.cat, *options, "--tile", 256, "--format", "coco,jsonl", "--resume", "-o", out, code=1
        )
        self.assertIn("labels", run.stderr)

    def test_wrong_usage_and_wrong_files(self):
        owl, out = self.folder / "owlv2", self.folder / "never"
        for arguments, code, said in (
            (["text", self.cat, "cat"], 2, "-o OUTDIR"),
            (["text", self.cat, "cat", "-o", out], 2, "google/owlv2-base-patch16-ensemble (620 MB, Apache-2.0)"),
            (["auto", self.cat, "--labels", "a", "-o", out], 2, "openai/clip-vit-base-patch32"),
            (["auto", self.cat, "--labels", "a,,b", "-o", out], 2, "a label is empty"),
            (["auto", self.cat, "--clip", owl, "-o", out], 2, "goes with --labels"),
            (["text", self.cat, "--detector", owl, "-o", out], 2, "no PHRASE"),
            (["text", self.cat, self.cat, "cat", "--detector", owl, "-o", out], 2, "is a file"),
            (["text", self.cat, " ", "--detector", owl, "-o", out], 2, "phrase 1 is empty"),
            (["text", self.cat, "caf\udce9", "--detector", owl, "-o", out], 2, "phrase 1 is not UTF-8, from byte 4"),
            (["text", self.cat, "--phrase", "a", "--phrase", "\u00a0", "--detector", owl, "-o", out], 2, "phrase 2: "),
            (["text", self.cat, "a", "--max-pixels", 9, "--detector", owl, "-o", out], 1, "cat.jpg"),
            (["text", EXAMPLES, "cat", "--heat", "--detector", owl, "-o", out], 2, "of one image"),
            (["text", EXAMPLES, "cat", "--format", "npy", "--detector", owl, "-o", out], 2, "of one image"),
            (
                ["segment", self.cat, "--text", "a", "--point", "3,3", "--detector", owl, "-o", out],
                2,
                "--text goes without",
            ),
            (["segment", self.cat, "--text", "a", "--box", "3,3,9,9", "--detector", owl, "-o", out], 2, "--text goes"),
            (["segment", self.cat, "--point", "3,3", "--detector", owl, "-o", out], 2, "go with --text"),
            (["text", self.cat, "cat", "--detector", os.environ["SAMC_MODEL_FILE"], "-o", out], 1, "SAM"),
            (["text", self.cat, "cat", "--detector", self.cat, "-o", out], 1, "cat.jpg"),
            (["text", self.cat, "cat", "--detector", self.folder / "clip", "-o", out], 1, "is CLIP"),
            (["auto", self.cat, "--labels", "a", "--clip", owl, "-o", out], 1, "is OWLv2"),
            (["auto", self.cat, "--model", owl, "-o", out], 1, 'model_type "owlv2"; weights of SAM are wanted'),
            (["text", self.cat, "a", "--detector", HERE / "data/golden_owlv2", "-o", out], 1, "CLIP's vocabulary"),
        ):
            with self.subTest(arguments=arguments):
                run = self.samc(*arguments, code=code)
                self.assertIn(said, run.stderr)
                self.assertEqual(len(run.stderr.strip().split("\n")), 1, run.stderr)
                self.assertEqual(run.stdout, "")
                self.assertFalse(out.exists())

    def test_a_detector_with_nan_ends_the_run(self):
        spoilt, out = self.folder / "spoilt", self.folder / "spoilt results"
        shutil.copytree(self.folder / "owlv2", spoilt)
        raw = bytearray((spoilt / "model.safetensors").read_bytes())
        (length,) = struct.unpack("<Q", raw[:8])
        at = 8 + length + json.loads(raw[8 : 8 + length])["box_head.dense1.weight"]["data_offsets"][0]
        raw[at : at + 4] = struct.pack("<f", float("nan"))
        (spoilt / "model.safetensors").write_bytes(raw)
        run = self.samc("text", EXAMPLES, "cat", "--detector", spoilt, "--boxes-only", "-o", out, code=1)
        self.assertIn("box_head.dense1.weight has NaN", run.stderr)
        self.assertFalse((out / "errors.jsonl").exists())

    def test_ten_thousand_phrases_and_long_ones(self):
        phrases = self.folder / "many.txt"
        phrases.write_text("".join(f"thing {i}\n" for i in range(10000)))
        found = self.one(
            "text",
            self.cat,
            "--phrases",
            phrases,
            "--detector",
            self.folder / "owlv2",
            "--threshold",
            0.01,
            "--top",
            2,
            "--boxes-only",
        )["masks"]
        self.assertTrue(all(mask["label"].startswith("thing ") for mask in found))
        run = self.samc(
            "text", self.cat, "a very long phrase " * 20, "--detector", self.folder / "owlv2", "--boxes-only"
        )
        self.assertIn("was cut", run.stderr)


if __name__ == "__main__":
    unittest.main()
