"""Model files as people have them: every wrapping and naming gives the same masks, what is ignored is said, and what is
no model is named.
"""

import io
import json
import os
import struct
import zipfile

from checkpoint_files import (
    DATA,
    GOLDEN,
    GOLDEN_HQ,
    Tensor,
    config_json,
    floats,
    golden,
    huggingface,
    prefixed,
    pth,
    safetensors,
    state_of,
)
from cli_test import PHOTO, Case, read, run


def put(path, data):
    with open(path, "wb") as file:
        file.write(data)
    return path


# Of every file without samc.config, behind all else that is said of it.
ASSUMED = "nothing says its recipe, sam is assumed (of sam, medsam, micro-sam, or FILE.json)"


class Checkpoint(Case):
    plain = None  # (logits, standard output) of the plain checkpoint

    def result(self, data, name="model"):
        """Logits, JSON and messages of a file with these bytes."""
        return self.result_of(put(self.at(name), data))

    def result_of(self, path, *options):
        out, err = self.good(
            *("segment", PHOTO, "--model", path, "--point", "12,9", "--format", "rle", "--logits", self.at("l.npy")),
            *options,
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
            self.assertEqual(Checkpoint.plain[2], [ASSUMED])
        logits, out, said = self.result(data)
        self.assertTrue((logits, out) == Checkpoint.plain[:2], "other masks")
        self.assertEqual(said, ["; ".join([*notes, ASSUMED])])
        info = json.loads(self.good("info", self.at("model"), "--json", "--device", "cpu")[0])["model"]
        self.assertEqual(info["notes"], said)
        _, err = self.good("convert", self.at("model"), "-o", self.at("c.safetensors"))
        self.assertEqual(said, [line.partition(": ")[2] for line in err.splitlines()[:-1]])
        self.assertTrue(
            (*Checkpoint.plain[:2], []) == self.result(read(self.at("c.safetensors"))),
            "other masks from what it converts to",
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
        mobile = state_of(os.path.join(DATA, "golden_mobile", "tiny.safetensors"))
        name = "image_encoder.layers.0.blocks.0.conv1.bn.weight"
        mobile[name] = mobile[name].wide()
        mobile[name].data = struct.pack("<d", 1e300) + mobile[name].data[8:]
        self.refused(f"tensor {name} has values beyond the range of f32", safetensors(mobile))

    def test_no_variance_is_negative(self):
        state = state_of(os.path.join(os.path.dirname(os.path.dirname(GOLDEN)), "golden_mobile", "tiny.safetensors"))
        name = "image_encoder.layers.0.blocks.0.conv1.bn.running_var"
        state[name].data = state[name].data[:4] + struct.pack("<f", -1e-6) + state[name].data[8:]
        self.refused(f"tensor {name} has a negative variance", safetensors(state))


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


class Folders(Checkpoint):
    """Hugging Face's folders: one file or several with an index, and what lies beside them."""

    def hub(self, files, name="hub"):
        folder = self.at(name)
        os.makedirs(folder, exist_ok=True)
        for old in os.listdir(folder):
            os.remove(os.path.join(folder, old))
        for file, data in files.items():
            put(os.path.join(folder, file), data if isinstance(data, bytes) else json.dumps(data).encode())
        return folder

    def parts(self, write=safetensors, ending="safetensors", stem="model"):
        state, names = huggingface(golden()), [f"{stem}-0000{i}-of-00003.{ending}" for i in (1, 2, 3)]
        state.pop("prompt_encoder.shared_embedding.positional_embedding")
        files, index = {name: {} for name in names}, {}
        for i, (key, tensor) in enumerate(state.items()):
            files[names[i % 3]][key] = tensor
            index[key] = names[i % 3]
        out = {name: write(part) for name, part in files.items()}
        return out, {"metadata": {"total_size": 1}, "weight_map": index}

    def own(self):
        """What the model gives whose metadata says what config.json says."""
        logits, out, said = self.result_of(GOLDEN)
        self.assertEqual(said, [])
        return logits, out

    def refuse(self, expected, path):
        for command in (("segment", PHOTO, "--model", path, "--point", "12,9", "--format", "rle"), ("info", path)):
            self.failure(expected, *command)
        self.failure(expected, "convert", path, "-o", self.at("c.safetensors"))
        self.assertFalse(os.path.exists(self.at("c.safetensors")))

    def test_one_file_and_several(self):
        state = huggingface(golden())
        for files in (
            {"model.safetensors": safetensors(state), "pytorch_model.bin": b"not looked at"},
            {"pytorch_model.bin": pth(state)},
            {**self.parts()[0], "model.safetensors.index.json": self.parts()[1]},
            {
                **self.parts(pth, "bin", "pytorch_model")[0],
                "pytorch_model.bin.index.json": self.parts(pth, "bin", "pytorch_model")[1],
            },
        ):
            folder = self.hub({**files, "config.json": config_json()})
            first = next(name for name in (*sorted(files, key=lambda n: not n.endswith("json")),))
            for path in (folder, folder + "/", os.path.join(folder, first)):
                self.assertTrue(self.result_of(path)[:2] == self.own(), f"other masks of {path}")
            self.good("convert", folder, "-o", self.at("c.safetensors"))
            self.assertTrue(self.result_of(self.at("c.safetensors"))[:2] == self.own(), "other masks when converted")
            hashes = {
                json.loads(self.good("info", path, "--json", "--device", "cpu")[0])["model"]["hash"]
                for path in (folder, GOLDEN, self.at("c.safetensors"))
            }
            self.assertEqual(len(hashes), 1)

    def test_those_of_sam_hq(self):
        state = huggingface(state_of(GOLDEN_HQ))
        self.assertIn("mask_decoder.hq_mask_mlp.proj_out.bias", state)
        files = {"model.safetensors": safetensors(state), "config.json": config_json(hq=True)}
        own = self.result_of(GOLDEN_HQ)
        self.assertEqual(own[2], [])
        self.assertTrue(self.result_of(self.hub(files))[:2] == own[:2], "other masks")
        for change, expected in (
            ({"model_type": "sam"}, 'config.json says model_type "sam"; weights of SAM-HQ are wanted'),
            (
                {"mask_decoder_config": {**config_json(hq=True)["mask_decoder_config"], "vit_dim": 768}},
                "config.json says mask_decoder_config.vit_dim 768, the tensors say 32",
            ),
        ):
            self.refuse(expected, self.hub({**files, "config.json": {**files["config.json"], **change}}))
        for name, own in (
            ("hq_token.weight", "unexpected mask_decoder.compress_vit_feat.0.bias"),
            ("mask_conv2.weight", "missing mask_decoder.embedding_maskfeature.3.weight"),
            ("compress_vit_norm.bias", "missing mask_decoder.compress_vit_feat.1.bias"),
            ("hq_mask_mlp.layers.0.weight", "missing mask_decoder.hf_mlp.layers.1.weight"),
        ):
            less = {key: tensor for key, tensor in state.items() if key != "mask_decoder." + name}
            self.refuse(own, self.hub({"model.safetensors": safetensors(less)}))

    def test_links_of_a_cache(self):
        # Hugging Face's cache: a folder of links to files named by their hashes, beside which nothing lies.
        os.makedirs(self.at("blobs"), exist_ok=True)
        put(self.at("blobs", "3f2a"), safetensors(huggingface(golden())))
        put(self.at("blobs", "99cd"), json.dumps(config_json()).encode())
        folder = self.hub({}, "snapshot")
        os.symlink("../blobs/3f2a", os.path.join(folder, "model.safetensors"))
        os.symlink("../blobs/99cd", os.path.join(folder, "config.json"))
        self.assertTrue(self.result_of(folder)[:2] == self.own())

    def test_broken_folders(self):
        files, index = self.parts()
        name = "model-00002-of-00003.safetensors"
        beyond = {**index, "weight_map": {**index["weight_map"], "mask_decoder.more.weight": name}}
        key = next(key for key, file in index["weight_map"].items() if file == name)
        elsewhere = {**index, "weight_map": {**index["weight_map"], key: "model-00001-of-00003.safetensors"}}
        for expected, own in (
            (f"model.safetensors.index.json: names the file {name}, which cannot be read: No such file", {name: None}),
            (f"index.json: names the tensor mask_decoder.more.weight, which {name} does not hold", {"index": beyond}),
            (f"index.json: names the tensor {key}, which model-00001-of-00003.safetensors", {"index": elsewhere}),
            (f"{name}: tensor ", {name: files[name][:-400]}),
            (f"{name}: a Git LFS pointer", {name: b"version https://git-lfs.github.com/spec/v1\noid sha256:01\n"}),
            ("not valid JSON", {"index": json.dumps(index).encode()[:-2]}),
            ("weight_map is not an object", {"index": {"weight_map": ["a"]}}),
            ("weight_map names no file", {"index": {"weight_map": {}}}),
            ('names "../etc/passwd", which is no file beside it', {"index": {"weight_map": {"a": "../etc/passwd"}}}),
            ('names "/etc/passwd", which is no file beside it', {"index": {"weight_map": {"a": "/etc/passwd"}}}),
            ("names 7, which is no file beside it", {"index": {"weight_map": {"a": 7}}}),
            (
                "the index of a checkpoint in several files",
                {"index": {"weight_map": {"a": "more.json"}}, "more.json": {"weight_map": {"a": "b"}}},
            ),
        ):
            parts = {**files, "model.safetensors.index.json": own.pop("index", index), **own}
            folder = self.hub({file: data for file, data in parts.items() if data is not None})
            self.refuse(expected, folder)
            self.refuse(expected, os.path.join(folder, "model.safetensors.index.json"))
        self.refuse("a folder with neither model.safetensors nor pytorch_model.bin", self.hub({"a.txt": b"x"}))
        self.refuse("3 files of a checkpoint; give the folder, or its index", os.path.join(self.hub(files), name))

    def test_no_part_is_overwritten(self):
        files, index = self.parts()
        folder = self.hub({**files, "model.safetensors.index.json": index, "config.json": config_json()})
        for name in os.listdir(folder):
            if name != "config.json":
                path = os.path.join(folder, name)
                self.failure(f"{name}: input and output are the same file", "convert", folder, "-o", path)
        self.assertTrue(self.result_of(folder)[:2] == self.own())

    def test_a_configuration_that_contradicts_the_shapes(self):
        state = safetensors(huggingface(golden()))
        for part, field, says, tensors in (
            ("vision_config", "image_size", 1024, 144),
            ("vision_config", "patch_size", 8, 16),
            ("vision_config", "hidden_size", 768, 32),
            ("vision_config", "num_hidden_layers", 12, 4),
            ("vision_config", "num_attention_heads", 12, 2),
            ("vision_config", "mlp_dim", 128, 96),
            ("vision_config", "window_size", 14, 4),
            ("vision_config", "output_channels", 256, 32),
            ("vision_config", "qkv_bias", False, True),
            ("vision_config", "use_rel_pos", False, True),
            ("vision_config", "use_abs_pos", False, True),
            ("prompt_encoder_config", "hidden_size", 256, 32),
            ("prompt_encoder_config", "mask_input_channels", 4, 16),
            ("mask_decoder_config", "hidden_size", 256, 32),
            ("mask_decoder_config", "num_hidden_layers", 3, 2),
            ("mask_decoder_config", "mlp_dim", 2048, 64),
            ("mask_decoder_config", "num_multimask_outputs", 1, 3),
            ("mask_decoder_config", "attention_downsample_rate", 1, 2),
            ("mask_decoder_config", "iou_head_depth", 2, 3),
            ("mask_decoder_config", "iou_head_hidden_dim", 256, 32),
        ):
            config = config_json()
            config[part][field] = says
            folder = self.hub({"model.safetensors": state, "config.json": config})
            expected = f"model.safetensors: config.json says {part}.{field} {int(says)}, the tensors say {int(tensors)}"
            self.failure(expected, "info", folder)
        for change, expected in (
            ({"global_attn_indexes": [2]}, "config.json says block 1 is windowed, the tensors say it is global"),
            ({"hidden_act": "quick_gelu"}, 'config.json says vision_config.hidden_act "quick_gelu"; samc computes wi'),
            ({"layer_norm_eps": 1e-5}, "config.json says vision_config.layer_norm_eps 1e-05; samc computes with 1e-06"),
            ({"hidden_size": "big"}, "config.json: vision_config.hidden_size is not a whole number"),
        ):
            config = config_json()
            config["vision_config"].update(change)
            self.refuse(expected, self.hub({"model.safetensors": state, "config.json": config}))
        for data, expected in (
            (b"{", "config.json is not valid JSON"),
            (b"[]", "config.json is not a JSON object"),
            (b"{}\0{", "config.json beside it cannot be read: it holds a zero byte"),
            (b" " * (1 << 20), "config.json beside it cannot be read"),
            ({"model_type": "clip"}, 'config.json says model_type "clip"; weights of SAM are wanted'),
            ({"model_type": "sam_hq"}, 'config.json says model_type "sam_hq"; weights of SAM are wanted'),
        ):
            self.refuse(expected, self.hub({"model.safetensors": state, "config.json": data}))
        folder = self.hub({"model.safetensors": state})
        os.mkdir(os.path.join(folder, "config.json"))
        self.refuse("config.json beside it cannot be read", folder)
        os.rmdir(os.path.join(folder, "config.json"))

    def test_what_lies_beside_others_is_not_theirs(self):
        # config.json of another program, beside a model of segment_anything's names and one inside something else.
        for data in (pth(golden()), pth({"model": prefixed("sam.", huggingface(golden()))})):
            folder = self.hub({"a.pth": data, "config.json": b"{", "preprocessor_config.json": b"{"})
            self.good("info", os.path.join(folder, "a.pth"), "--device", "cpu")
        # A file that says itself what it is.
        folder = self.hub({"model.safetensors": read(GOLDEN), "config.json": b"{"})
        self.assertTrue(self.result_of(folder)[:2] == self.own())

    def test_the_preprocessor(self):
        usual = {
            "do_normalize": True,
            "do_rescale": True,
            "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406],
            "image_std": [0.229, 0.224, 0.225],
            "image_processor_type": "SamImageProcessor",
            "pad_size": {"height": 144, "width": 144},
            "resample": 2,
            "rescale_factor": 1 / 255,
            "size": {"longest_edge": 144},
        }
        state = safetensors(huggingface(golden()))

        def of(beside, name="preprocessor_config.json"):
            return self.hub({"model.safetensors": state, "config.json": config_json(), name: beside})

        for beside in (usual, {"image_processor": usual, "processor_class": "SamProcessor"}):
            name = "processor_config.json" if "image_processor" in beside else "preprocessor_config.json"
            self.assertTrue(self.result_of(of(beside, name))[:2] == self.own(), name)
        # Other numbers are heeded: as the same numbers in samc's own metadata.
        config = json.loads(json.dumps({"decoder_num_heads": 4}))
        for change, mean, std in (
            ({"image_mean": [0.5, 0.25, 0.125], "image_std": [0.5] * 3}, [127.5, 63.75, 31.875], [127.5] * 3),
            ({"do_normalize": False}, [0] * 3, [255] * 3),
            ({"do_rescale": False, "image_mean": [100, 90, 80], "image_std": [50] * 3}, [100, 90, 80], [50] * 3),
        ):
            own = {**config, "pixel_mean": mean, "pixel_std": std}
            theirs = self.result_of(of({**usual, **change}))[:2]
            self.assertTrue(theirs == self.result(safetensors(golden(), {"samc.config": json.dumps(own)}))[:2], change)
            self.assertFalse(theirs == self.own(), change)
        for change, expected in (
            ({"size": {"longest_edge": 1024}}, "says size.longest_edge 1024, the tensors say 144"),
            ({"size": {"height": 144, "width": 144}}, "says size without longest_edge"),
            ({"pad_size": {"height": 144, "width": 96}}, "says pad_size.width 96, the tensors say 144"),
            ({"resample": 3}, "says resample 3, samc knows Pillow's BILINEAR, 2"),
            ({"do_resize": False}, "says do_resize false"),
            ({"image_mean": [1, 2]}, "image_mean is not a list of three numbers"),
            ({"image_std": [1, 0, 1]}, "image_std is not a list of three numbers"),
            ({"rescale_factor": 0}, "rescale_factor is not a positive number"),
            ({"rescale_factor": 1e-300, "do_normalize": False}, "rescale_factor is not a positive number"),
            ({"rescale_factor": 1e300, "do_normalize": False}, "rescale_factor is not a positive number"),
            ({"image_processor_type": "Sam2ImageProcessorFast"}, 'says image_processor_type "Sam2ImageProcessorFast"'),
        ):
            self.refuse(f"model.safetensors: preprocessor_config.json", of({**usual, **change}))
            self.failure(expected, "info", self.at("hub"))
        self.refuse("preprocessor_config.json is not valid JSON", of(b"{"))


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
    "names the file model-00001-of-00002.safetensors, which cannot be read": [
        json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}}).encode()
    ],
    "a checkpoint in PyTorch's old format": [b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + bytes(60)],
    "neither safetensors nor a PyTorch checkpoint": [bytes(range(128, 256)) * 4, bytes(400)],
    "too short to be a model": [b"\1\2\3"],
    "the file is empty": [b""],
}
# Other architectures, by tensors that only they have.
ARCHITECTURES = {
    "EdgeTAM": [
        ["spatial_perceiver.latents", "image_encoder.trunk.body.stem_0.conv.weight", "memory_encoder.out_proj.weight"],
        ["image_encoder.trunk.body.stem_0.conv.weight"],
    ],
    "SAM 3": [
        ["detector.backbone.vision_backbone.trunk.pos_embed"],
        ["geometry_encoder.layers.0.norm1.weight"],
        ["detr_encoder.layers.0.norm1.weight"],
    ],
    "EfficientSAM": [["prompt_encoder.invalid_points.weight", "image_encoder.pos_embed"]],
    "EfficientViT-B": [["image_encoder.backbone.input_stem.op_list.0.x"]],
    "RepViT-SAM": [["image_encoder.features.0.0.c.weight"]],
    "EdgeSAM": [["image_encoder.fuse_stage2.weight", "image_encoder.features.0.0.c.weight"]],
    "SAM with adapters": [
        ["image_encoder.blocks.0.MLP_Adapter.D_fc1.weight"],
        ["image_encoder.blocks.0.Space_Adapter.D_fc1.weight"],
        ["image_encoder.blocks.0.Adapter.channel.0.weight"],  # SAM-Med2D
        ["image_encoder.prompt_generator.shared_mlp.weight"],  # SAM-Adapter
    ],
    "SAM with LoRA layers that are not merged": [
        ["base_model.image_encoder.blocks.0.attn.qkv.lora_A.weight"],
        ["base_model.model.vision_encoder.layers.0.attn.qkv.lora_A.default.weight"],  # PEFT's adapter_model.safetensors
        ["image_encoder.blocks.0.attn.qkv.linear_a_q.weight"],
        ["w_a_000", "mask_decoder.iou_token.weight"],  # SAMed
        ["image_encoder.blocks.0.attn.qkv.lora_moe_experts.0.weight"],  # Conv-LoRA
        ["image_encoder.blocks.0.attn.qkv.lora_down.weight"],
    ],
}


class EfficientVit(Checkpoint):
    """What its files do not say is fixed by the family: the square of prompts, the norms' epsilon, the layers."""

    FILE = os.path.join(os.path.dirname(GOLDEN), "..", "golden_efficientvit", "tiny.safetensors")

    def file(self, state=None, **config):
        config = {"img_size": 72, "decoder_num_heads": 4, **config}
        return safetensors(state_of(self.FILE) if state is None else state, {"samc.config": json.dumps(config)})

    def test_its_recipe_alone(self):
        for wrong in (
            {"frame": 72},  # the encoder's input, as everywhere else
            {"resize": "squash"},
            {"filter": "bilinear"},
            {"masks": "direct"},
        ):
            self.refused(
                "no encoder of samc is used with the model's recipe", self.file(preprocess={"frame": 1024, **wrong})
            )
        self.failure(
            "'sam' is no recipe that its encoder is used with; those are efficientvit-sam",
            "info",
            put(self.at("model"), self.file()),
            "--recipe",
            "sam",
        )

    def test_what_it_converts_to(self):
        put(self.at("model"), self.file())
        self.good("convert", self.at("model"), "-o", self.at("c.safetensors"))
        self.assertEqual(self.result(self.file())[:2], self.result(read(self.at("c.safetensors")))[:2])

    def test_what_is_missing_or_misshapen(self):
        state = state_of(self.FILE)
        for name, tensor in state.items():
            if name.endswith("aggreg.0.1.weight") or name.endswith("neck.input_ops.1.op_list.0.norm.running_var"):
                self.refused(name.rpartition(".")[0].replace("norm", "conv"), self.file({**state, name: floats(3, 5)}))
                self.refused(
                    name.rpartition(".")[0].replace("norm", "conv"),
                    self.file({n: t for n, t in state.items() if n != name}),
                )
        self.refused("stages", self.file({n: t for n, t in state.items() if ".stages.3." not in n}))
        self.refused(
            "an EfficientViT of 3 stages; samc can do 4 to 6",
            self.file({n: t for n, t in state.items() if ".stages.3." not in n and ".stages.4." not in n}),
        )


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
        for name, tensors in ((name, tensors) for name, several in ARCHITECTURES.items() for tensors in several):
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
        reads_dicom = b'"DICOM"' in run("info", "--json")[1]
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
            reason = f"{kind} is not a supported image format"
            if kind == "a DICOM image" and reads_dicom:
                reason = "truncated DICOM"
            self.failure(
                reason,
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
            self.assertIn(reason, json.loads(read(self.at(f"{kind[:9]} out", "errors.jsonl")))["error"])

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
        self.assertEqual(small["notes"], [ASSUMED])
        self.assertLess(small["encode"]["seconds_about"], 1)
