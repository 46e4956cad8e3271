"""Numbers that are not finite end in an error that names the model and the stage; they never become masks."""

import json
import os
import shutil
import struct

from archive_case import OPTIONS, picture, put
from cli_test import IMAGES, Case, read, run

GOLDEN = os.path.join(os.path.dirname(IMAGES), "golden", "tiny.safetensors")
NAN, INF = struct.pack("<f", float("nan")), struct.pack("<f", float("inf"))
WEIGHTS = (
    "image_encoder.blocks.0.mlp.lin1.bias",
    "prompt_encoder.no_mask_embed.weight",
    "mask_decoder.transformer.layers.0.mlp.lin1.bias",
    "mask_decoder.transformer.layers.0.cross_attn_token_to_image.k_proj.bias",
    "mask_decoder.iou_prediction_head.layers.0.bias",
    "mask_decoder.output_upscaling.0.bias",
    "mask_decoder.output_hypernetworks_mlps.1.layers.0.bias",
)


class Numbers(Case):
    def setUp(self):
        super().setUp()
        ending, data = picture(3)
        self.image = put(self.at("in", "a." + ending), data)

    def diverged(self, name, tensor, value, everywhere=False):
        """A copy of a good model whose tensor has the value in its first place, or in all."""
        path = self.at(name)
        data = bytearray(read(GOLDEN))
        length = struct.unpack("<Q", data[:8])[0]
        begin, end = json.loads(data[8 : 8 + length])[tensor]["data_offsets"]
        for at in range(begin, end if everywhere else begin + 4, 4):
            data[8 + length + at : 8 + length + at + 4] = value
        with open(path, "wb") as file:
            file.write(data)
        return path

    def segment(self, model, backend, caps):
        return run(
            "segment",
            self.image,
            "--point",
            "5,5",
            "--format",
            "rle",
            "--model",
            model,
            "--backend",
            backend,
            cwd=self.folder,
            env=dict(os.environ, **({"SAMC_CPU_CAPS": caps} if caps else {})),
        )

    def test_segment_names_model_stage_and_tensor(self):
        for i, tensor in enumerate(WEIGHTS):
            for value in (NAN, INF) if i < 2 else (NAN,):
                model = self.diverged("diverged.safetensors", tensor, value)
                for backend, caps in (("ref", None), ("cpu", "none"), ("cpu", "sse2"), ("cpu", "avx2"), ("cpu", None)):
                    code, out, err = self.segment(model, backend, caps)
                    self.assertEqual((code, out), (1, b""), f"{tensor} on {backend} {caps}: {err}")
                    stage = "image encoder" if tensor.startswith("image") else "mask decoder"
                    for word in (
                        self.image,
                        "diverged.safetensors",
                        stage,
                        tensor,
                        "NaN" if value == NAN else "infinite",
                    ):
                        self.assertIn(word, err)

    def test_an_archive_stops_where_the_model_is_at_fault(self):
        for i in range(4):
            ending, data = picture(i)
            put(self.at("in", f"{i}.{ending}"), data)
        model = self.diverged("diverged.safetensors", "prompt_encoder.no_mask_embed.weight", NAN)
        for filters in (["--pred-iou-thresh", "0.88"], ["--pred-iou-thresh", "0"]):
            out = self.at("out" + filters[1])
            code, _, err = run(
                "auto",
                "in",
                "-o",
                out,
                "--format",
                "jsonl,coco",
                *OPTIONS[2:],
                "--model",
                model,
                *filters,
                cwd=self.folder,
            )
            self.assertEqual(code, 1, err)
            self.assertIn("no_mask_embed", err.splitlines()[-1])
            self.assertFalse(os.path.exists(os.path.join(out, "errors.jsonl")), "no image is to blame")
            self.assertNotIn("memory", err)

    def test_finite_weights_that_overflow_are_the_models_fault_too(self):
        # Every weight is finite; their products are not, whatever the picture.
        huge = struct.pack("<f", 3e38)
        model = self.diverged("huge.safetensors", "image_encoder.patch_embed.proj.weight", huge, everywhere=True)
        code, _, err = self.segment(model, "cpu", None)
        self.assertEqual(code, 1, err)
        self.assertIn("grey image", err)
        code, _, err = run(
            "auto", "in", "-o", self.at("out"), "--format", "jsonl", *OPTIONS[2:], "--model", model, cwd=self.folder
        )
        self.assertEqual(code, 1, err)
        self.assertIn("image encoder", err)

    def test_an_unused_tensor_hurts_nobody(self):
        # Mask prompts alone read it.
        good = self.segment(shutil.copy(GOLDEN, self.at("good.safetensors")), "cpu", None)
        model = self.diverged("half.safetensors", "prompt_encoder.mask_downscaling.0.bias", NAN)
        self.assertEqual(self.segment(model, "cpu", None)[:2], good[:2])

    def test_embed_refuses(self):
        model = self.diverged("diverged.safetensors", WEIGHTS[0], NAN)
        code, _, err = run("embed", self.image, "-o", self.at("e.safetensors"), "--model", model, cwd=self.folder)
        self.assertEqual(code, 1, err)
        self.assertIn("image encoder", err)
        self.assertFalse(os.path.exists(self.at("e.safetensors")))
