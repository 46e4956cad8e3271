#!/usr/bin/env python3
"""Makes the small checkpoints under tests/data/weights that tests/weights_test.c and the fuzzers read.

    PYTHON make_weights_fixtures.py [FOLDER]

needs torch, numpy, safetensors and segment_anything (1.0). Written by the real torch.save() wherever that can produce
the case, so that the reader is held to what PyTorch does; the rest are rewritten archives. Values are small multiples
of 1/64 or i / 2 - 2, exact in every type. The full models are unmodified segment_anything modules in a tiny size.
"""

import argparse
import collections
import hashlib
import io
import os
import struct
import sys
import zipfile
from functools import partial

import numpy as np
import torch
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "weights")


def path(name):
    return os.path.join(OUT, name)


def tiny_sam():
    """16 pixels, patches of 4: a grid of 4 x 4; one block with windows of 2, one global block."""
    torch.manual_seed(3)
    encoder = ImageEncoderViT(
        img_size=16,
        patch_size=4,
        embed_dim=16,
        depth=2,
        num_heads=2,
        mlp_ratio=2,
        out_chans=16,
        qkv_bias=True,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
        use_abs_pos=True,
        use_rel_pos=True,
        window_size=2,
        global_attn_indexes=(1,),
    )
    prompt = PromptEncoder(embed_dim=16, image_embedding_size=(4, 4), input_image_size=(16, 16), mask_in_chans=4)
    decoder = MaskDecoder(
        num_multimask_outputs=3,
        transformer=TwoWayTransformer(depth=1, embedding_dim=16, mlp_dim=24, num_heads=8),
        transformer_dim=16,
        iou_head_depth=2,
        iou_head_hidden_dim=12,
    )
    model = Sam(encoder, prompt, decoder)
    state = collections.OrderedDict()
    for name, value in model.state_dict().items():
        state[name] = torch.randint(-128, 128, value.shape).float() / 64
    return state


def manifest_hash(state):
    """The hash of samc_model_hash(), written a second time: name NUL type NUL rank sides bytes, in state_dict() order.
    """
    types = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    digest = hashlib.sha256()
    for name, value in state.items():
        digest.update(name.encode() + b"\0" + types[value.dtype].encode() + b"\0")
        digest.update(struct.pack("<q", value.dim()) + struct.pack("<%dq" % value.dim(), *value.shape))
        digest.update(
            value.contiguous()
            .view(
                torch.uint8
                if value.dtype == torch.uint8
                else torch.int32 if value.dtype == torch.float32 else torch.int16
            )
            .numpy()
            .tobytes()
        )
    return digest.hexdigest()


def ramp(*shape, dtype=torch.float32):
    count = int(np.prod(shape)) if shape else 1
    return (torch.arange(count).float() / 2 - 2).reshape(shape).to(dtype)


def entries(name):
    with zipfile.ZipFile(path(name)) as archive:
        return [(i.filename, archive.read(i)) for i in archive.infolist()]


def rewrite(name, content, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path(name), "w", method) as archive:
        for entry, data in content:
            archive.writestr(zipfile.ZipInfo(entry), data, method)


def write_zip64(name, content):
    """Every size and offset only in zip64 records, as in an archive of more than 4 GB."""
    out, directory = io.BytesIO(), io.BytesIO()
    for entry, data in content:
        at, text = out.tell(), entry.encode()
        out.write(struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0, 0, 0, 0, 0, 0xFFFFFFFF, 0xFFFFFFFF, len(text), 20))
        out.write(text + struct.pack("<HHQQ", 1, 16, len(data), len(data)) + data)
        directory.write(
            struct.pack(
                "<IHHHHHHIIIHHHHHII",
                0x02014B50,
                45,
                45,
                0,
                0,
                0,
                0,
                0,
                0xFFFFFFFF,
                0xFFFFFFFF,
                len(text),
                28,
                0,
                0,
                0,
                0,
                0xFFFFFFFF,
            )
        )
        directory.write(text + struct.pack("<HHQQQ", 1, 24, len(data), len(data), at))
    at, size, count = out.tell(), len(directory.getvalue()), len(content)
    out.write(directory.getvalue())
    end = out.tell()
    out.write(struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, size, at))
    out.write(struct.pack("<IIQI", 0x07064B50, 0, end, 1))
    out.write(struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0))
    with open(path(name), "wb") as file:
        file.write(out.getvalue())


def main():
    os.makedirs(OUT, exist_ok=True)
    state = tiny_sam()
    torch.save(state, path("model_f32.pth"))
    with open(path("model_f32.sha256"), "w") as file:
        file.write(manifest_hash(state) + "\n")
    save_file({k: v.bfloat16() for k, v in state.items()}, path("model_bf16.safetensors"), metadata={"format": "pt"})

    # What a training script leaves behind: f16 parameters under prefixes, and much that no tensor of the model needs.
    half = {"module.sam." + k: torch.nn.Parameter(v.half()) for k, v in state.items()}
    optimizer = torch.optim.AdamW([torch.nn.Parameter(ramp(3, 2))], lr=0.1)
    optimizer.param_groups[0]["params"][0].grad = ramp(3, 2)
    optimizer.step()
    torch.save(
        {
            "epoch": np.float64(7.5),
            "step": np.int64(3),
            "loss": [0.5, 0.25, float("nan")],
            "args": argparse.Namespace(lr=0.1, data="x", betas=(0.9, 0.999)),
            "optimizer": optimizer.state_dict(),
            "seen": {1, 2, 3},
            "big": 1 << 200,
            "blob": b"\0\1\2",
            "dtype": torch.float16,
            "device": torch.device("cpu"),
            "array": np.arange(4),
            "rng": torch.get_rng_state()[:16].clone(),
            "model": half,
        },
        path("model_wrapped_f16.pth"),
    )

    torch.save(
        {
            "f32": ramp(2, 3),
            "f16": ramp(2, 3, dtype=torch.float16),
            "bf16": ramp(2, 3, dtype=torch.bfloat16),
            "f64": ramp(2, 3, dtype=torch.float64),
            "i64": ramp(2, 3).long(),
            "i32": ramp(2, 3).int(),
            "i16": ramp(2, 3).short(),
            "i8": ramp(2, 3).char(),
            "u8": ramp(2, 3).abs().byte(),
            "bool": ramp(2, 3) > 0,
            "c64": ramp(2, 3, dtype=torch.complex64),
            "u16": ramp(2, 3).abs().to(torch.uint16),
            "f8": ramp(2, 3).to(torch.float8_e4m3fn),
        },
        path("dtypes.pth"),
    )

    base = ramp(6, 8)
    torch.save(
        {
            "base": base,
            "transposed": base.t(),
            "row": base[2],
            "column": base[:, 3],
            "steps": base[1::2, 2:7:2],
            "cube": base.reshape(3, 2, 8).permute(2, 0, 1),
            "expanded": base[0, :1].expand(5, 1),
            "scalar": base[1, 1],
            "empty": base[:0],
            "parameter": torch.nn.Parameter(base[3:5]),
            "half": base.half().t(),
            "bfloat": base.bfloat16()[::3, 1:],
        },
        path("views.pth"),
    )

    small = {"image_encoder.pos_embed": ramp(2, 2), "mask_decoder.iou_token.weight": ramp(1, 4)}

    def prefixed(prefix):
        return {prefix + k: v for k, v in small.items()}

    torch.save(small, path("plain.pth"))
    torch.save({"state_dict": prefixed("module.")}, path("state_dict.pth"))
    torch.save({"model_state_dict": prefixed("sam.model.")}, path("model_state_dict.pth"))
    torch.save({"model": {"state_dict": prefixed("model.")}, "other": {"weight": ramp(2)}}, path("nested.pth"))
    torch.save(
        {**prefixed("module."), "module.pixel_mean": ramp(3, 1, 1), "head.weight": ramp(2)}, path("prefix_extra.pth")
    )
    torch.save({**small, "module.image_encoder.x": ramp(1)}, path("prefix_mixed.pth"))
    for protocol in (3, 4, 5):
        torch.save(
            {"model": collections.OrderedDict(small)}, path("protocol%d.pth" % protocol), pickle_protocol=protocol
        )
    torch.save(small, path("legacy.pth"), _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), path("module.pth"))
    torch.save([ramp(2)], path("list.pth"))
    # A tensor of the model that cannot be read must not spoil the file, only its own use.
    torch.save({**small, "image_encoder.sparse": torch.eye(3).to_sparse()}, path("sparse.pth"))

    content = entries("plain.pth")
    rewrite("deflated.pth", content, zipfile.ZIP_DEFLATED)
    rewrite("big_endian.pth", [(n, b"big" if n.endswith("/byteorder") else d) for n, d in content])
    rewrite("script.pth", content + [("plain/constants.pkl", b"\x80\x02).")])
    rewrite("not_torch.zip", [("folder/readme.txt", b"hello")])
    write_zip64("zip64.pth", content)
    sizes = {n: os.path.getsize(path(n)) for n in sorted(os.listdir(OUT)) if os.path.isfile(path(n))}
    for name, size in sizes.items():
        print("%7d %s" % (size, name))
    print("%7d in all" % sum(sizes.values()))


main()
