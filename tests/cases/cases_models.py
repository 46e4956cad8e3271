"""What is particular to a family of models, through every command."""

import json
import os

from checkpoint_files import GOLDEN, GOLDEN_HQ
from cli_test import PHOTO, Case, read, read_npy

ONLY = ("--set", "hq_token_only=1")
# Of random weights nothing is dropped by these.
ALL = "--points-per-side 4 --pred-iou-thresh 0 --stability-score-thresh 0 --box-nms-thresh 1 --format rle".split()


class SamHq(Case):
    def masks(self, *arguments):
        """JSON of `segment` and the logits' shape and bytes."""
        out, _ = self.good(
            *("segment", PHOTO, "--model", GOLDEN_HQ, "--format", "rle", "--logits", self.at("l.npy"), *arguments)
        )
        return json.loads(out)["masks"], read_npy(self.at("l.npy"))[1:]

    def test_one_mask_a_prompt(self):
        points = ("--point", "12,9")
        (mask,), (shape, both) = self.masks(*points)
        self.assertEqual(shape, (1, 1, 36, 36))
        self.assertGreater(mask["area"], 0)
        # What SAM's own token for a single mask has to say is another mask than the best of its three.
        (single,), (shape, one) = self.masks(*points, "--single")
        self.assertEqual(shape, (1, 1, 36, 36))
        self.assertNotEqual(one, both)
        (alone,), (_, token) = self.masks(*points, *ONLY)
        self.assertNotEqual(token, both)
        self.assertEqual(alone["predicted_iou"], mask["predicted_iou"])
        # The token's mask does not depend on which of SAM's is the best.
        self.assertEqual(self.masks(*points, *ONLY, "--single")[1][1], token)
        self.failure(
            "'x=1' is not NAME=VALUE of a setting it has: mask_threshold, hq_token_only",
            *("segment", PHOTO, "--model", GOLDEN_HQ, *points, "--format", "rle", "--set", "x=1"),
        )
        self.failure(
            "hq_token_only=1' is not NAME=VALUE of a setting it has: mask_threshold",
            *("segment", PHOTO, "--model", GOLDEN, *points, "--format", "rle", *ONLY),
        )

    def test_every_mask_has_one_candidate_a_point(self):
        def auto(*arguments):
            self.good("auto", PHOTO, "--model", GOLDEN_HQ, "-o", self.at("o"), *ALL, *arguments)
            return json.loads(read(self.at("o", os.path.basename(PHOTO) + ".json")))

        records = auto("--stats", self.at("s.json"))
        (stats,) = json.loads(read(self.at("s.json")))
        self.assertEqual(stats["masks"], 16)
        self.assertEqual(len({tuple(r["point_coords"][0]) for r in records}), len(records))
        # A run is gone on with in the mode it was begun with.
        self.failure(
            'set is "hq_token_only=1.0", the run was begun with none',
            *("auto", PHOTO, "--model", GOLDEN_HQ, "-o", self.at("o"), *ALL, "--resume", *ONLY),
        )
        self.good("auto", PHOTO, "--model", GOLDEN_HQ, "-o", self.at("o"), *ALL, "--resume")

    def test_its_features_are_kept(self):
        points, saved = ("--point", "12,9"), self.at("e.safetensors")
        self.good("embed", PHOTO, "--model", GOLDEN_HQ, "-o", saved)
        self.assertIn(b'"hq_features"', read(saved)[:4096])
        self.assertEqual(self.masks(*points, "--embedding", saved), self.masks(*points))
        self.assertEqual(self.masks(*points, *ONLY, "--embedding", saved), self.masks(*points, *ONLY))
        self.failure(
            ".npy holds the embedding alone, this model's have further levels: save .safetensors",
            *("embed", PHOTO, "--model", GOLDEN_HQ, "-o", self.at("e.npy")),
        )
        # Of SAM's, which has no such features.
        self.good("embed", PHOTO, "--model", GOLDEN, "-o", self.at("sam.safetensors"))
        self.failure(
            "not an embedding file of this model: it lacks the tensor hq_features",
            *(
                "segment",
                PHOTO,
                "--model",
                GOLDEN_HQ,
                *points,
                "--format",
                "rle",
                "--embedding",
                self.at("sam.safetensors"),
            ),
        )

    def test_converted(self):
        points = ("--point", "12,9")
        for dtype in ("f32", "bf16"):
            self.good("convert", GOLDEN_HQ, "-o", self.at(dtype), "--dtype", dtype)
            info = json.loads(self.good("info", self.at(dtype), "--json", "--device", "cpu")[0])["model"]
            self.assertEqual((info["family"], info["dtype"]), ("SAM-HQ", dtype))
            self.assertEqual(info["architecture"]["multimask_outputs"], 1)
            self.assertEqual(info["settings"], {"mask_threshold": 0, "hq_token_only": 0})
        self.assertEqual(self.masks(*points, "--model", self.at("f32")), self.masks(*points))
        text = self.good("info", GOLDEN_HQ, "--device", "cpu")[0].decode()
        self.assertIn("  family        SAM-HQ, ", text)
        self.assertIn(" 1 mask, ", text)
        self.assertIn("  family        SAM, ", self.good("info", GOLDEN, "--device", "cpu")[0].decode())

    def test_bench(self):
        out, _ = self.good("bench", "--model", GOLDEN_HQ, "--runs", "1", "--json", "--stage", "decoder")
        (stage,), operators = json.loads(out)["stages"], out.decode()
        self.assertGreater(stage["gflops"], 0)
        self.assertIn('"refine_masks"', operators)
