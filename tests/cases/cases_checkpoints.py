"""Model files as people have them: every wrapping and naming gives the same masks, what is ignored is said, and what is no model is named."""
import json
import os

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
        out, err = self.good("segment", PHOTO, "--model", path, "--point", "12,9", "--format", "rle", "--logits", self.at("l.npy"))
        return read(self.at("l.npy")), out, [line.replace(path + ": ", "") for line in err.splitlines() if line.startswith(path)]

    def same(self, data, *notes):
        """The file gives what the plain checkpoint gives, bit for bit, with these notes; so does what it converts to, without any."""
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
        self.assertTrue(Checkpoint.plain == self.result(read(self.at("c.safetensors"))), "other masks from what it converts to")

    def refused(self, expected, data, name="model"):
        self.failure(expected, "segment", PHOTO, "--model", put(self.at(name), data), "--point", "12,9", "--format", "rle")


class Wrappers(Checkpoint):
    def test_every_wrapper(self):
        state = golden()
        for tree in ({"params": state}, {"model_state": state}, {"state_dict": prefixed("sam_model.", state), "epoch": {"n": 3}},
                     {"a": {"b": {"c": {"d": prefixed("_orig_mod.module.net.", state)}}}}, {**state, "step": 7}, prefixed("x.y_z.", state)):
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
        self.same(pth({"model_state": state, "decoder_state": {"encoder.blocks.0.weight": floats(1, 2, 3)}}),
                  "1 tensor outside the model is ignored: decoder_state.encoder.blocks.0.weight")
        self.same(pth({"state_dict": {**prefixed("model.", state), "val_iou.confmat": Tensor("I64", [1], bytes(8)), "val_iou.total": floats(1)}}),
                  "2 tensors outside the model are ignored: state_dict.val_iou.confmat, state_dict.val_iou.total")
        self.same(safetensors({**state, "a": floats(1), "b.mask": floats(2), "c": floats(3), "d": floats(4)}),
                  "4 tensors outside the model are ignored: a, b.mask, c, ...")
        # An optimizer keyed by name has the model's names, and is no model.
        self.same(pth({"model": state, "optimizer": {"state": {name: {"exp_avg": t} for name, t in list(state.items())[:40]}}}),
                  "40 tensors outside the model are ignored: optimizer.state.image_encoder.pos_embed.exp_avg, "
                  "optimizer.state.image_encoder.patch_embed.proj.weight.exp_avg, optimizer.state.image_encoder.patch_embed.proj.bias.exp_avg, ...")

    def test_inside_nothing_is_ignored(self):
        state = golden()
        self.refused("unexpected mask_decoder.x", pth({"model": {**state, "mask_decoder.x": floats(1)}, "y": floats(1)}))
        state.pop("prompt_encoder.no_mask_embed.weight")
        self.refused("missing prompt_encoder.no_mask_embed.weight", pth({"net": prefixed("module.", state), "y": floats(1)}))

    def test_several_models(self):
        state = golden()
        other = {name: Tensor(t.dtype, t.shape, bytes(len(t.data))) for name, t in state.items()}
        self.same(pth({"model": state, "sam": state}))  # one model under two names
        self.same(pth({"state_dict": {**prefixed("sam.", state), **prefixed("net.sam.", state)}}))
        for average in ("ema", "model_ema", "params-avg", "EMA.module", "swa_model"):
            self.same(pth({average: other, "model": state}), f"the model under model is used, not its average under {average}")
        self.same(safetensors({**prefixed("ema.", other), **state}), "the model under the top level is used, not its average under ema")
        self.same(pth({"ema": state, "epoch": 3}))  # the only one is the one
        self.refused("holds 2 models, under student and teacher", pth({"student": other, "teacher": state}))
        self.refused("holds 3 models, under a and b", pth({"a": other, "b": state, "c.ema": state, "c": {n: t.wide() for n, t in state.items()}}))


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
        first, second = "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"
        self.same(pth(huggingface(state)))  # pytorch_model.bin
        self.same(safetensors(huggingface(state, (first,)), {"format": "pt"}))
        self.same(safetensors(huggingface(state, (second,))))
        copied = huggingface(state)
        copied[second] = Tensor(copied[first].dtype, copied[first].shape, bytes(bytearray(copied[first].data)))
        self.same(safetensors(copied))
        self.same(pth({"state_dict": {**prefixed("model.sam.", copied), "loss.weight": floats(1)}}),
                  "1 tensor outside the model is ignored: state_dict.loss.weight")

    def test_two_different_tables_are_refused(self):
        state = huggingface(golden())
        name = "prompt_encoder.shared_embedding.positional_embedding"
        state[name] = Tensor(state[name].dtype, state[name].shape, bytes(len(state[name].data)))
        self.refused("positional_encoding_gaussian_matrix occurs twice", safetensors(state))

    def test_strict_inside(self):
        state = huggingface(golden())
        self.refused("unexpected mask_decoder.iou_prediction_head.x.weight", pth({**state, "mask_decoder.iou_prediction_head.x.weight": floats(1)}))
        state.pop("mask_decoder.iou_prediction_head.proj_in.bias")
        self.refused("missing mask_decoder.iou_prediction_head.layers.0.bias", pth(state))
