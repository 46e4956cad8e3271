#!/usr/bin/env python3
"""Golden data of models of text and images: a tiny calibrated one, and what transformers computes with it.

Writes into OUTDIR (tests/data/golden_clip) the model's folder (model.safetensors, config.json,
preprocessor_config.json) and cases.safetensors, read by text_parity_test.c:

  ids        f32 [P, context]   tokens of phrases, and where each ends: ends f32 [P]
  text       f32 [P, dim]       their features, as the projection gives them
  image.I    u8  [h, w, 3]
  prepared.I u8  [side, side, 3]  as the processor cuts it, before it is normalised
  image      f32 [I, dim]       features of the images
  similarity f32 [I, P]         logits_per_image

  python make_text_golden.py OUTDIR [--model tiny|b32|b16|l14]

Requires torch, transformers 5.24.0, safetensors, numpy, and pillow below 12.2.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

import text_models

# Larger and smaller than the square, of its size, narrow both ways.
SIZES = [(97, 130), (61, 40), (23, 17), (40, 40), (40, 91), (150, 44)]


def picture(height, width, seed):
    """Waves and noise: something for every filter to go wrong on."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    rng = np.random.default_rng(seed)
    wave = lambda c: np.sin(x / (3 + c) + seed) * np.cos(y / (4 + c))
    planes = [127 + 90 * wave(c) + rng.normal(0, 25, (height, width)) for c in range(3)]
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("outdir", type=Path)
    parser.add_argument("--model", default="tiny", choices=list(text_models.CLIP))
    parser.add_argument("--phrases", type=int, default=11)
    args = parser.parse_args()
    args.outdir.mkdir(parents=True, exist_ok=True)
    model = text_models.clip(args.model)
    images = text_models.processor(model)
    text_models.save(model, images, args.outdir)
    side = model.config.vision_config.image_size
    pictures = [picture(h * side // 40, w * side // 40, i) for i, (h, w) in enumerate(SIZES)]
    prepared = [np.asarray(images(p, do_rescale=False, do_normalize=False)["pixel_values"][0]) for p in pictures]
    pixels = torch.cat([images(p, return_tensors="pt")["pixel_values"] for p in pictures])
    ids, ends = text_models.phrases(model.config.text_config, args.phrases)
    with torch.no_grad():
        text = model.text_projection(model.text_model(ids).pooler_output)
        image = model.visual_projection(model.vision_model(pixels).pooler_output)
        all_of_it = model(input_ids=ids, pixel_values=pixels)
    cases = {
        "ids": ids.numpy().astype(np.float32),
        "ends": np.array(ends, np.float32),
        "text": text.numpy(),
        "image": image.numpy(),
        "similarity": all_of_it.logits_per_image.numpy(),
    }
    for i, (p, q) in enumerate(zip(pictures, prepared)):
        cases[f"image.{i}"] = p
        cases[f"prepared.{i}"] = np.ascontiguousarray(q.transpose(1, 2, 0)).astype(np.uint8)
    save_file({k: np.ascontiguousarray(v) for k, v in cases.items()}, args.outdir / "cases.safetensors")
    made = {package: version(package) for package in ("torch", "transformers", "pillow", "numpy")}
    (args.outdir / "golden.json").write_text(json.dumps({"model": args.model, "versions": made}, indent=1) + "\n")
    print({k: float(v.std()) for k, v in cases.items() if v.dtype == np.float32})


if __name__ == "__main__":
    main()
