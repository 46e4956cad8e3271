"""Checkpoints as people have them, written without PyTorch: a tree of dictionaries with tensors as its leaves, as a
.pth or as safetensors.
"""

import array
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data")
GOLDEN = os.path.join(DATA, "golden", "tiny.safetensors")
GOLDEN_HQ = os.path.join(DATA, "golden_hq", "tiny.safetensors")
STORAGES = {"F32": "FloatStorage", "F16": "HalfStorage", "F64": "DoubleStorage", "I64": "LongStorage"}
SIZES = {"F32": 4, "F16": 2, "F64": 8, "I64": 8}


class Tensor:
    def __init__(self, dtype, shape, data):
        self.dtype, self.shape, self.data = dtype, tuple(shape), data

    def wide(self):
        """The same values in f64."""
        return Tensor("F64", self.shape, array.array("d", array.array("f", self.data)).tobytes())


def floats(*values, dtype="F32"):
    return Tensor(dtype, [len(values)], struct.pack(f"<{len(values)}{'d' if dtype == 'F64' else 'f'}", *values))


def golden():
    """The golden model as a state_dict, in its own order."""
    return state_of(GOLDEN)


def state_of(path):
    """A safetensors file as a state_dict, in its own order."""
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    return {
        name: Tensor(
            t["dtype"], t["shape"], data[8 + length + t["data_offsets"][0] : 8 + length + t["data_offsets"][1]]
        )
        for name, t in header.items()
    }


# The pickler asks for modules that hold what it names.
torch = types.ModuleType("torch")
utils = types.ModuleType("torch._utils")


def _rebuild_tensor_v2():
    pass


_rebuild_tensor_v2.__module__ = "torch._utils"
utils._rebuild_tensor_v2 = _rebuild_tensor_v2
torch._utils = utils
for storage in STORAGES.values():
    setattr(torch, storage, type(storage, (), {"__module__": "torch"}))


class Storage:
    def __init__(self, tensor, key):
        self.tensor, self.key = tensor, key


class Pickler(pickle.Pickler):
    def __init__(self, file):
        super().__init__(file, 2)
        self.storages = {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        t = value.tensor
        return ("storage", getattr(torch, STORAGES[t.dtype]), value.key, "cpu", len(t.data) // SIZES[t.dtype])

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        key = next((k for k, data in self.storages.items() if data is value.data), str(len(self.storages)))
        self.storages[key] = value.data
        strides, step = [], 1
        for side in reversed(value.shape):
            strides.insert(0, step)
            step *= side
        return _rebuild_tensor_v2, (Storage(value, key), 0, value.shape, tuple(strides), False, {})


def pth(tree):
    """The bytes of torch.save(tree). Tensors of the same `data` share their storage, as in PyTorch."""
    out, content = io.BytesIO(), io.BytesIO()
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        pickler = Pickler(content)
        pickler.dump(tree)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", content.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, data in pickler.storages.items():
            archive.writestr(f"archive/data/{key}", data)
    return out.getvalue()


def safetensors(state, metadata=None):
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    parts, at = [], 0
    for name, t in state.items():
        header[name] = {"dtype": t.dtype, "shape": list(t.shape), "data_offsets": [at, at + len(t.data)]}
        at += len(t.data)
        parts.append(t.data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(parts)


def prefixed(prefix, state):
    return {prefix + name: t for name, t in state.items()}


def config_json(hq=False):
    """config.json of the golden model, or of SAM-HQ's, as transformers writes it."""
    return {
        "architectures": ["SamHQModel" if hq else "SamModel"],
        "model_type": "sam_hq" if hq else "sam",
        "vision_config": {
            "hidden_act": "gelu",
            "hidden_size": 32,
            "global_attn_indexes": [1, 3],
            "image_size": 144,
            "layer_norm_eps": 1e-06,
            "mlp_dim": 96,
            "mlp_ratio": 4.0,
            "num_attention_heads": 2,
            "num_hidden_layers": 4,
            "output_channels": 32,
            "patch_size": 16,
            "qkv_bias": True,
            "use_abs_pos": True,
            "use_rel_pos": True,
            "window_size": 4,
        },
        "prompt_encoder_config": {
            "hidden_act": "gelu",
            "hidden_size": 32,
            "image_size": 144,
            "layer_norm_eps": 1e-06,
            "mask_input_channels": 16,
        },
        "mask_decoder_config": {
            "attention_downsample_rate": 2,
            "hidden_act": "relu",
            "hidden_size": 32,
            "iou_head_depth": 3,
            "iou_head_hidden_dim": 32,
            "layer_norm_eps": 1e-06,
            "mlp_dim": 64,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_multimask_outputs": 3,
            **({"vit_dim": 32} if hq else {}),
        },
    }


# SamHQModel's own, behind mask_decoder.
HQ_NAMES = {
    "hf_token": "hq_token",
    **{
        f"{theirs}.{number}": f"{ours}_{word}"
        for theirs, ours in (
            ("compress_vit_feat", "compress_vit"),
            ("embedding_encoder", "encoder"),
            ("embedding_maskfeature", "mask"),
        )
        for number, word in (("0", "conv1"), ("1", "norm"), ("3", "conv2"))
    },
}


def huggingface(
    state,
    tables=("shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"),
):
    """The names of transformers' SamModel and SamHQModel, by rules of our own: the inverse of what samc has to do."""

    def last(kind):
        return max(int(n[len(kind) :].split(".layers.")[1].split(".")[0]) for n in state if n.startswith(kind))

    mlps = {
        "iou_prediction_head": "mask_decoder.iou_prediction_head",
        "output_hypernetworks_mlps": "mask_decoder.output_hypernetworks_mlps.0",
    }
    if "mask_decoder.hf_token.weight" in state:
        mlps["hf_mlp"] = "mask_decoder.hf_mlp"
    ends = {kind: last(name) for kind, name in mlps.items()}
    out = {}
    for name, tensor in state.items():
        if name.endswith("positional_encoding_gaussian_matrix"):
            for table in tables:
                out[table] = tensor
            continue
        head, _, rest = name.partition(".")
        if head == "image_encoder":
            rest = rest.replace("patch_embed.proj.", "patch_embed.projection.").replace("blocks.", "layers.")
            rest = rest.replace(".norm1.", ".layer_norm1.").replace(".norm2.", ".layer_norm2.")
            for old, new in (
                ("neck.0.", "neck.conv1."),
                ("neck.1.", "neck.layer_norm1."),
                ("neck.2.", "neck.conv2."),
                ("neck.3.", "neck.layer_norm2."),
            ):
                rest = rest.replace(old, new)
            out["vision_encoder." + rest] = tensor
        elif head == "prompt_encoder":
            rest = rest.replace("point_embeddings.", "point_embed.")
            for old, new in (
                ("0", "conv1"),
                ("1", "layer_norm1"),
                ("3", "conv2"),
                ("4", "layer_norm2"),
                ("6", "conv3"),
            ):
                rest = rest.replace(f"mask_downscaling.{old}.", f"mask_embed.{new}.")
            out["prompt_encoder." + rest] = tensor
        else:
            for old, new in (("0", "upscale_conv1"), ("1", "upscale_layer_norm"), ("3", "upscale_conv2")):
                rest = rest.replace(f"output_upscaling.{old}.", f"{new}.")
            rest = rest.replace(".norm_final_attn.", ".layer_norm_final_attn.")
            if rest.startswith("transformer.layers."):
                for number in "1234":
                    rest = rest.replace(f".norm{number}.", f".layer_norm{number}.")
            for old, new in HQ_NAMES.items():
                if rest.startswith(old + "."):
                    rest = new + rest[len(old) :]
            for kind, end in ends.items():
                if rest.startswith(kind):
                    before, number, leaf = rest.rpartition(".layers.")[0], *rest.rpartition(".layers.")[2].split(".")
                    word = (
                        "proj_in"
                        if number == "0"
                        else "proj_out" if int(number) == end else f"layers.{int(number) - 1}"
                    )
                    rest = f"{before.replace('hf_mlp', 'hq_mask_mlp')}.{word}.{leaf}"
            out["mask_decoder." + rest] = tensor
    return out
