#!/usr/bin/env python3
"""samc.pipeline() against transformers' pipeline("mask-generation"), on the default model in Hugging Face's layout:

  SAMC_LIBRARY_DIR=build/release PYTHONPATH=python python pipeline_parity.py IMAGE [IMAGE ...] [--write FILE.json]

Keys, types and order are theirs, scores within 2e-3, every mask with an IoU of at least 0.99, of one image, of crops,
with batch_size=4, on which theirs fails. --write keeps what theirs gives; tests/data/pipeline.json has a part of it.
Requires what make_recipe_golden.py requires.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import SamImageProcessor, pipeline

import make_recipe_golden as originals
import samc
from calibrate import Config, build

HERE = Path(__file__).resolve().parent
TINY = HERE.parent.parent / "weights" / "samc-tiny.safetensors"
OPTIONS = {"points_per_crop": 12, "pred_iou_thresh": 0.6, "stability_score_thresh": 0.8}
CASES = {
    "plain": OPTIONS,
    "crops": {**OPTIONS, "points_per_crop": 6, "crops_n_layers": 1},
    "all": {"points_per_crop": 5, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "crops_nms_thresh": 0.9},
}
FLAGS = {"output_rle_mask": True, "output_bboxes_mask": True}


def default_model():
    """The original's modules with the default model's weights."""
    shape = {"img_size": 512, "window_size": 8, "out_chans": 128, "decoder_mlp_dim": 512, "iou_head_hidden_dim": 128}
    config = Config(192, 8, 3, (2, 5, 7), **shape)
    state = {name: tensor.float() for name, tensor in load_file(TINY).items()}
    return config, state


def describe(result):
    """Keys in their order, with the types of what they hold."""
    kinds = {}
    for key, value in result.items():
        one = value[0] if isinstance(value, list) and value else value
        kinds[key] = (type(value).__name__, type(one).__name__, str(getattr(one, "dtype", "")))
    return kinds


def compare(name, ours, theirs):
    told = describe(theirs)
    if told["bounding_boxes"][2] == "torch.int64":  # where none of their batches of points was without a mask
        told["bounding_boxes"] = (*told["bounding_boxes"][:2], "torch.float32")
    assert describe(ours) == told, (describe(ours), told)
    assert len(ours["masks"]) == len(theirs["masks"]), f"{name}: {len(ours['masks'])} and {len(theirs['masks'])} masks"
    overlaps = []
    for a, b in zip(ours["masks"], theirs["masks"]):
        a, b = np.asarray(a), np.asarray(b)
        overlaps.append((a & b).sum() / max((a | b).sum(), 1))
    score = float((ours["scores"] - theirs["scores"]).abs().max()) if len(theirs["scores"]) else 0.0
    box = float((ours["bounding_boxes"] - theirs["bounding_boxes"]).abs().max()) if len(theirs["masks"]) else 0.0
    for rle, mask in zip(ours["rle_mask"], ours["masks"]):
        flat = np.repeat(np.arange(len(rle["counts"])) % 2 == 1, rle["counts"]).reshape(mask.shape[1], mask.shape[0])
        assert (flat.T == np.asarray(mask)).all() and rle["size"] == list(mask.shape)
    least = min(overlaps, default=1.0)
    print(f"{name}: {len(overlaps)} masks, least IoU {least:.4f}, scores {score:.1e}, boxes {box:.0f}", flush=True)
    assert least >= 0.99 and score <= 2e-3
    return least


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("images", nargs="+")
    parser.add_argument("--write")
    arguments = parser.parse_args()
    config, state = default_model()
    sam = build(config)
    sam.load_state_dict(state, strict=False)
    model, processor = originals.hf_model(sam, config)
    kept = {}
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        theirs = pipeline(
            "mask-generation", model=model, image_processor=SamImageProcessor.from_pretrained(folder), device="cpu"
        )
        ours = samc.pipeline("mask-generation", model=folder)
        for case, options in CASES.items():
            expected = [theirs(image, **options, **FLAGS) for image in arguments.images]
            for image, one in zip(arguments.images, expected):
                compare(f"{case} {Path(image).name}", ours(image, **options, **FLAGS), one)
            many = ours(arguments.images, batch_size=4, **options, **FLAGS)
            for image, one, result in zip(arguments.images, expected, many):
                compare(f"{case} {Path(image).name}, batch_size=4", result, one)
            kept[case] = {
                "options": options,
                "images": {
                    Path(image).name: {
                        "masks": [samc.mask.frPyObjects(r, *r["size"])["counts"].decode() for r in one["rle_mask"]],
                        "scores": [round(float(s), 6) for s in one["scores"]],
                        "boxes": one["bounding_boxes"].int().tolist(),
                    }
                    for image, one in zip(arguments.images, expected)
                },
            }
        try:
            theirs(arguments.images * 2, batch_size=2, **OPTIONS)
            print("transformers' batch_size=2: no failure")
        except Exception as failure:
            print(f"transformers' batch_size=2: {type(failure).__name__}: {failure}")
    if arguments.write:
        Path(arguments.write).write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
