"""Model files as people have them: every wrapping and naming gives the same masks, what is ignored is said, and what is
no model is named.
"""

import io
import json
import os
import struct
import zipfile

from checkpoint_files import Tensor, floats, golden, huggingface, prefixed, pth, safetensors
from cli_test import PHOTO, Case, read, run


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


class Checkpoint(Case):
    plain = None  # (logits, standard output) of the plain checkpoint

    def result(self, data, name="model"):
        """Logits, JSON and messages of a file with these bytes."""
        path = put(self.at(name), data)
        out, err = self.good(
            "segment", PHOTO, "--model", path, "--point", "12,9", "--format", "rle", "--logits", self.at("l.npy")
        )
        return (
            read(self.at("l.npy")),
            out,
            [line.replace(path + ": ", "") for line in err.splitlines() if line.startswith(path)],
        )

    def same(self, data, *notes):
        """The file gives what the plain checkpoint gives, bit for bit, with these notes; so does what it converts to,
        without any.
        """
        if Checkpoint.plain is None:
            Checkpoint.plain = self.result(pth(golden()))
            self.assertEqual(Checkpoint.plain[2], [])
        logits, out, said = self.result(data)
        self.assertTrue((logits, out) == Checkpoint.plain[:2], "other masks")
        self.assertEqual(said, ["; ".join(notes)] if notes else [])
        info = json.loads(self.good("info", self.at("model"), "--json", "--device", "cpu")[0])["model"]
        self.assertEqual(info["notes"], said)
        _, err = self.good("convert", self.at("model"), "-o", self.at("c.safetensors"))
        self.assertEqual(said, [line.partition(": ")[2] for line in err.splitlines()[:-1]])
        self.assertTrue(
            Checkpoint.plain == self.result(read(self.at("c.safetensors"))), "other masks from what it converts to"
        )

    def refused(self, expected, data, name="model"):
        self.failure(
            expected, "segment", PHOTO, "--model", put(self.at(name), data), "--point", "12,9", "--format", "rle"
        )


class Wrappers(Checkpoint):
    def test_every_wrapper(self):
        state = golden()
        for tree in (
            {"params": state},
            {"model_state": state},
            {"state_dict": prefixed("sam_model.", state), "epoch": {"n": 3}},
            {"a": {"b": {"c": {"d": prefixed("_orig_mod.module.net.", state)}}}},
            {**state, "step": 7},
            prefixed("x.y_z.", state),
        ):
            self.same(pth(tree))
        self.same(safetensors(prefixed("model.sam.", state)))

    def test_the_parts_by_themselves(self):
        parts = {}
        for name, tensor in golden().items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        self.same(pth({"checkpoint": parts}))

    def test_what_lies_outside_is_ignored_and_said(self):
        state = golden()
        self.same(
            pth({"model_state": state, "decoder_state": {"encoder.blocks.0.weight": floats(1, 2, 3)}}),
            "1 tensor outside the model is ignored: decoder_state.encoder.blocks.0.weight",
        )
        self.same(
            pth(
                {
                    "state_dict": {
                        **prefixed("model.", state),
                        "val_iou.confmat": Tensor("I64", [1], bytes(8)),
                        "val_iou.total": floats(1),
                    }
                }
            ),
            "2 tensors outside the model are ignored: state_dict.val_iou.confmat, state_dict.val_iou.total",
        )
        self.same(
            safetensors({**state, "a": floats(1), "b.mask": floats(2), "c": floats(3), "d": floats(4)}),
            "4 tensors outside the model are ignored: a, b.mask, c, ...",
        )
        # An optimizer keyed by name has the model's names, and is no model.
        self.same(
            pth(
                {"model": state, "optimizer": {"state": {name: {"exp_avg": t} for name, t in list(state.items())[:40]}}}
            ),
            "40 tensors outside the model are ignored: optimizer.state.image_encoder.pos_embed.exp_avg, "
            "optimizer.state.image_encoder.patch_embed.proj.weight.exp_avg, "
            "optimizer.state.image_encoder.patch_embed.proj.bias.exp_avg, ...",
        )

    def test_inside_nothing_is_ignored(self):
        state = golden()
        self.refused(
            "unexpected mask_decoder.x", pth({"model": {**state, "mask_decoder.x": floats(1)}, "y": floats(1)})
        )
        state.pop("prompt_encoder.no_mask_embed.weight")
        self.refused(
            "missing prompt_encoder.no_mask_embed.weight", pth({"net": prefixed("module.", state), "y": floats(1)})
        )

    def test_several_models(self):
        state = golden()
        other = {name: Tensor(t.dtype, t.shape, bytes(len(t.data))) for name, t in state.items()}
        self.same(pth({"model": state, "sam": state}))  # one model under two names
        self.same(pth({"state_dict": {**prefixed("sam.", state), **prefixed("net.sam.", state)}}))
        for average in ("ema", "model_ema", "params-avg", "EMA.module", "swa_model"):
            self.same(
                pth({average: other, "model": state}), f"the model under model is used, not its average under {average}"
            )
        self.same(
            safetensors({**prefixed("ema.", other), **state}),
            "the model under the top level is used, not its average under ema",
        )
        self.same(pth({"ema": state, "epoch": 3}))  # the only one is the one
        self.refused("holds 2 models, under student and teacher", pth({"student": other, "teacher": state}))
        self.refused(
            "holds 3 models, under a and b",
            pth({"a": other, "b": state, "c.ema": state, "c": {n: t.wide() for n, t in state.items()}}),
        )


class Numbers(Checkpoint):
    def test_f64_is_narrowed(self):
        state = golden()
        matrix = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
        self.same(safetensors({**state, matrix: state[matrix].wide()}), "1 tensor of f64 narrowed to f32")
        self.same(pth({name: t.wide() for name, t in state.items()}), f"{len(state)} tensors of f64 narrowed to f32")

    def test_but_not_to_infinity(self):
        state = golden()
        t = state["mask_decoder.iou_token.weight"].wide()
        t.data = t.data[:8] + floats(1e300, dtype="F64").data + t.data[16:]
        state["mask_decoder.iou_token.weight"] = t
        self.refused("tensor mask_decoder.iou_token.weight has values beyond the range of f32", safetensors(state))
        self.failure("beyond the range of f32", "convert", self.at("model"), "-o", self.at("c.safetensors"))
        self.assertFalse(os.path.exists(self.at("c.safetensors")))


class HuggingFace(Checkpoint):
    def test_its_layout(self):
        state = golden()
        first, second = (
            "shared_image_embedding.positional_embedding",
            "prompt_encoder.shared_embedding.positional_embedding",
        )
        self.same(pth(huggingface(state)))  # pytorch_model.bin
        self.same(safetensors(huggingface(state, (first,)), {"format": "pt"}))
        self.same(safetensors(huggingface(state, (second,))))
        copied = huggingface(state)
        copied[second] = Tensor(copied[first].dtype, copied[first].shape, bytes(bytearray(copied[first].data)))
        self.same(safetensors(copied))
        self.same(
            pth({"state_dict": {**prefixed("model.sam.", copied), "loss.weight": floats(1)}}),
            "1 tensor outside the model is ignored: state_dict.loss.weight",
        )

    def test_two_different_tables_are_refused(self):
        state = huggingface(golden())
        name = "prompt_encoder.shared_embedding.positional_embedding"
        state[name] = Tensor(state[name].dtype, state[name].shape, bytes(len(state[name].data)))
        self.refused("positional_encoding_gaussian_matrix occurs twice", safetensors(state))

    def test_strict_inside(self):
        state = huggingface(golden())
        self.refused(
            "unexpected mask_decoder.iou_prediction_head.x.weight",
            pth({**state, "mask_decoder.iou_prediction_head.x.weight": floats(1)}),
        )
        state.pop("mask_decoder.iou_prediction_head.proj_in.bias")
        self.refused("missing mask_decoder.iou_prediction_head.layers.0.bias", pth(state))


def varint(value):
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number, data):
    return bytes([number << 3 | 2]) + varint(len(data)) + data


def zipped(**files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name.replace("__", "/").replace("_DOT_", "."), data)
    return out.getvalue()


ONNX = (
    b"\x08\x08" + field(2, b"pytorch") + field(3, b"2.3.1") + field(7, field(1, b"node" * 100)) + field(8, b"\x10\x11")
)
TFLITE = struct.pack("<I", 28) + b"TFL3" + bytes(40)
# What people give as a model, and what it is said to be.
FOREIGN = {
    "an ONNX model": [ONNX, ONNX[:60], b"\x08\x06" + field(7, bytes(400))],
    "a GGUF model": [b"GGUF\3\0\0\0" + bytes(64)],
    "a ggml model": [struct.pack("<I", 0x67676D6C) + bytes(64), struct.pack("<I", 0x67676A74) + bytes(64)],
    "an HTML page (of a failed download?)": [
        b"<!DOCTYPE html>\n<html><head><title>404",
        b"\xef\xbb\xbf\r\n <html lang='en'>",
        b"<HTML>\n<HEAD><TITLE>Moved",
    ],
    "an XML text (of a failed download?)": [b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>"],
    "a Git LFS pointer, and neither safetensors nor a PyTorch checkpoint; run git lfs pull": [
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 375042383\n"
    ],
    "a TensorRT engine": [b"ftrt" + bytes(60), struct.pack("<I", 20) + b'{"description": "x"}' + b"ftrt" + bytes(60)],
    "a TensorFlow Lite model": [TFLITE],
    "an HDF5 file": [b"\x89HDF\r\n\x1a\n" + bytes(60)],
    "a NumPy array": [b"\x93NUMPY\1\0" + bytes(60)],
    "a zip archive, but no PyTorch checkpoint": [zipped(readme_DOT_txt=b"hello")],
    "a zip archive with efficient_sam_vits.pt in it; unpack it first": [zipped(efficient_sam_vits_DOT_pt=b"hello")],
    "a NumPy archive (.npz)": [zipped(a_DOT_npy=b"hello")],
    "a TorchScript program": [zipped(m__data_DOT_pkl=b"}.", m__constants_DOT_pkl=b").")],
    "an empty zip archive": [zipped()],
    "a gzip archive, and neither safetensors nor a PyTorch checkpoint; unpack it first": [
        b"\x1f\x8b\x08\0" + bytes(60)
    ],
    "a tar archive": [b"model.pth".ljust(257, b"\0") + b"ustar\x0000" + bytes(300)],
    "a JPEG image": [read(PHOTO)],
    "a PNG image": [b"\x89PNG\r\n\x1a\n" + bytes(60)],
    "a BMP image": [b"BM" + struct.pack("<IIIIiiHH", 90, 0, 54, 40, 1, 1, 1, 24) + bytes(60)],
    "a PNM image": [b"P6\n1 1\n255\nabc"],
    "a DICOM image": [bytes(128) + b"DICM" + bytes(60)],
    "a text file": [b"Not Found\n"],
    "a JSON text": [b'{"error": "Repository not found", "more": [1, 2, 3]}'],
    "the index of a checkpoint in several files": [
        json.dumps({"metadata": {"total_size": 1}, "weight_map": {"a": "model-00001-of-00002.safetensors"}}).encode()
    ],
    "a checkpoint in PyTorch's old format": [b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + bytes(60)],
    "neither safetensors nor a PyTorch checkpoint": [bytes(range(128, 256)) * 4, bytes(400)],
    "too short to be a model": [b"\1\2\3"],
    "the file is empty": [b""],
}
# Other architectures, by tensors that only they have.
ARCHITECTURES = {
    "SAM 2": [
        "memory_attention.layers.0.norm1.weight",
        "image_encoder.trunk.pos_embed",
        "sam_mask_decoder.iou_token.weight",
        "maskmem_tpos_enc",
    ],
    "SAM 3": ["detector.backbone.vision_backbone.trunk.pos_embed"],
    "SAM-HQ": ["mask_decoder.hf_token.weight"],
    "MobileSAM or TinySAM (TinyViT)": [
        "image_encoder.patch_embed.seq.0.c.weight",
        "prompt_encoder.x.weight",
        "mask_decoder.y.weight",
    ],
    "EfficientSAM": ["prompt_encoder.invalid_points.weight", "image_encoder.pos_embed"],
    "EfficientViT-SAM": ["image_encoder.backbone.stages.0.x"],
    "RepViT-SAM or EdgeSAM": ["image_encoder.features.0.0.c.weight"],
    "SAM with adapters": ["image_encoder.blocks.0.MLP_Adapter.D_fc1.weight"],
    "SAM with LoRA layers that are not merged": ["base_model.image_encoder.blocks.0.attn.qkv.lora_A.weight"],
}


class Foreign(Checkpoint):
    def test_files_that_are_no_model(self):
        for kind, files in FOREIGN.items():
            for data in files:
                self.refused(kind, data)

    def test_cut_off(self):
        state = golden()
        for data in (pth({"model": state}), safetensors(state)):
            for size in (len(data) * 2 // 3, len(data) - 30, 5000):
                self.refused("omplete?)", data[:size])

    def test_other_architectures(self):
        for name, tensors in ARCHITECTURES.items():
            self.refused(f"weights of {name} (tensor {tensors[0]})", safetensors({t: floats(1) for t in tensors}))
            self.refused(
                f"weights of {name} (tensor ",
                pth({"model": {**golden(), **{"mask_decoder.z": floats(1)}, **{t: floats(1) for t in tensors}}}),
            )
        self.refused(
            "a model of Ultralytics (YOLO or FastSAM), another architecture", pth({"model": "ultralytics.nn.tasks"})
        )
        # A whole model is one, whatever lies beside it.
        self.same(
            pth({**golden(), "memory_encoder.x": floats(1)}), "1 tensor outside the model is ignored: memory_encoder.x"
        )

    def test_one_file_of_several(self):
        half = dict(list(golden().items())[:60])
        self.refused("one of the 2 files of a checkpoint", safetensors(half), "model-00001-of-00002.safetensors")
        self.refused("missing prompt_encoder", safetensors(half), "model.safetensors")

    def test_files_that_are_no_image(self):
        zero = Tensor("F32", [1], bytes(4))
        for kind, data in (
            ("a safetensors file", safetensors({"a": zero})),
            ("a PyTorch checkpoint", pth({"a": zero})),
            ("a zip archive", zipped(a_DOT_jpg=read(PHOTO))),
            ("an ONNX model", ONNX),
            ("an HTML page (of a failed download?)", b"<!doctype html><p>"),
            ("a text file", b"Not Found\n"),
            ("a DICOM image", bytes(128) + b"DICM" + bytes(99)),
            ("a gzip archive", b"\x1f\x8b\x08" + bytes(99)),
            ("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\n"),
        ):
            self.failure(
                f"{kind} is not a supported image format",
                "segment",
                put(self.at("a.jpg"), data),
                "--point",
                "1,1",
                "--format",
                "rle",
            )
            code, _, err = run(
                "auto", self.at("a.jpg"), "-o", self.at(f"{kind[:9]} out"), "--format", "jsonl", "--device", "cpu"
            )
            self.assertEqual(code, 3, err)
            self.assertIn(kind, json.loads(read(self.at(f"{kind[:9]} out", "errors.jsonl")))["error"])

    def test_a_byte_order_mark_before_prompts(self):
        self.good(
            "segment",
            PHOTO,
            "--prompts",
            put(self.at("p.json"), b'\xef\xbb\xbf[{"points": [[3, 4]]}]'),
            "--format",
            "rle",
        )


class Cost(Checkpoint):
    def test_a_model_of_minutes_is_said_to_be_one(self):
        # The golden model's encoder over 512 x 512 tokens: a file of half a megabyte that computes for minutes,
        # whatever the image.
        state = golden()
        state.pop("image_encoder.pos_embed")
        side = max(t.shape[0] for name, t in state.items() if name.endswith("rel_pos_h"))
        for name, t in state.items():
            if "rel_pos" in name and t.shape[0] == side:
                state[name] = Tensor("F32", [1023, t.shape[1]], bytes(4 * 1023 * t.shape[1]))
        path = put(
            self.at("large.safetensors"), safetensors(state, {"samc.config": json.dumps({"use_abs_pos": False})})
        )
        for threads in (1, 2):
            model = json.loads(self.good("info", path, "--json", "--device", "cpu", "--threads", str(threads))[0])[
                "model"
            ]
            minutes = model["encode"]["seconds_about"] / 60
            self.assertGreater(minutes, 1)
            self.assertEqual(len(model["notes"]), 1)
            self.assertRegex(
                model["notes"][0],
                rf"TFLOP, about {minutes:.0f}(\.\d)? minutes, to encode any image, however small|about {minutes:.1f} "
                rf"minutes, to encode any image",
            )
        # Global attention alone: two products of tokens x tokens x width a block.
        width = state["image_encoder.patch_embed.proj.weight"].shape[0]
        self.assertGreater(model["encode"]["flops"], 4 * 512**4 * width)
        self.assertIn("a large model for this machine", self.good("info", path, "--device", "cpu")[0].decode())
        small = json.loads(
            self.good("info", "--model", put(self.at("small"), pth(golden())), "--json", "--device", "cpu")[0]
        )["model"]
        self.assertEqual(small["notes"], [])
        self.assertLess(small["encode"]["seconds_about"], 1)
