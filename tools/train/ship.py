#!/usr/bin/env python3
"""Exported .pth -> the model file that samc ships, with name, licence, card and thresholds in its metadata.

    ship.py samc_tiny.pth weights/samc-tiny.safetensors --samc build/release/bin/samc --points-per-side 16 \\
        --pred-iou-thresh .35 --stability-score-thresh .6 --box-nms-thresh .5

The tensors go into a safetensors file with the extra metadata, which `samc convert` then completes and writes in its
own layout (weights/FORMAT.md): what the reader of samc cannot take never ships.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import torch

AUTOMATIC = ("points_per_side", "pred_iou_thresh", "stability_score_thresh", "box_nms_thresh", "min_mask_region_area")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pth")
    parser.add_argument("out")
    parser.add_argument("--samc", required=True)
    parser.add_argument("--name", default="samc-tiny")
    parser.add_argument("--licence", default="Apache-2.0")
    parser.add_argument("--card", default="weights/MODEL_CARD.md")
    for name in AUTOMATIC:
        parser.add_argument("--" + name.replace("_", "-"), type=float, help="default of samc auto for this model")
    args = parser.parse_args()
    tensors = {
        name: value.contiguous() for name, value in torch.load(args.pth, map_location="cpu", weights_only=True).items()
    }
    automatic = {name: getattr(args, name) for name in AUTOMATIC if getattr(args, name) is not None}
    header = {
        "__metadata__": {
            "format": "pt",
            "samc.name": args.name,
            "samc.licence": args.licence,
            "samc.card": args.card,
            "samc.config": json.dumps({"automatic": automatic}),
        }
    }
    types, at = {torch.float16: "F16", torch.float32: "F32", torch.bfloat16: "BF16"}, 0
    for name, value in tensors.items():
        size = value.numel() * value.element_size()
        header[name] = {"dtype": types[value.dtype], "shape": list(value.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "model.safetensors"
        with open(plain, "wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for value in tensors.values():
                file.write(
                    value.view(torch.uint8).numpy().tobytes()
                    if value.dim()
                    else value.reshape(1).view(torch.uint8).numpy().tobytes()
                )
        subprocess.run([args.samc, "convert", str(plain), "-o", args.out], check=True)
    subprocess.run([args.samc, "info", args.out], check=True)


if __name__ == "__main__":
    main()
