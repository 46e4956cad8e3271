#!/usr/bin/env python3
"""Recipes and Hugging Face's layout in full shape, the command line against the originals:

  python recipe_parity.py --samc build/release/bin/samc --image PHOTO [--model vit_b] [--pth WEIGHTS] [--only NAME]
  python recipe_parity.py --resized build/release/bin/resized --image PHOTO [PHOTO ...]

The first form makes calibrated random weights (or takes the given ones) and compares `samc segment` with

  hf         transformers' SamModel, with `--model hq_b` and so on SamHQModel, saved by save_pretrained(): `--model
             model.safetensors`, the folder, and the folder of files with an index; the masks of a grid of points, IoU
             >= 0.999 each; SamHQModel with one line of it put right, see make_recipe_golden.py
  medsam     MedSAM_Inference.py, `--recipe medsam`: the mask of each box, logits within the gates of parity
  micro-sam  util._to_image and SamPredictor, `--recipe micro-sam`: likewise, of points

The second form compares the bytes of MedSAM's resize with scikit-image's: at most 1 in 100,000 may be off, by one. The
program is built by `cmake --build --preset release --target resized`. Requires what make_recipe_golden.py requires.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import transform

import make_recipe_golden as originals
from calibrate import CONFIGS, build, calibrate, load
from reference import GATE_MAX, GATE_NMSE, errors


def check(name, good, text):
    print(f"{'ok  ' if good else 'FAIL'} {name}: {text}", flush=True)
    return bool(good)


def segment(samc, image, model, prompts, *options):
    """Logits [P, M, low, low] and masks [P, M, height, width] of the command line."""
    with tempfile.TemporaryDirectory() as folder:
        file, logits = Path(folder, "p.json"), Path(folder, "l.npy")
        file.write_text(json.dumps(prompts))
        command = [samc, "segment", image, "--model", model, "--prompts", file, "--format", "npy", "-o", folder]
        command += ["--logits", logits, "--quiet", *options]
        out = json.loads(subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE).stdout)
        masks = np.stack([np.load(m["files"]["npy"]) for m in out["masks"]])
        low = np.load(logits)
        return low, masks.reshape(*low.shape[:2], *masks.shape[1:])


def iou(a, b):
    union = (a | b).sum((-2, -1))
    return np.where(union > 0, (a & b).sum((-2, -1)) / np.maximum(union, 1), 1.0)


def compare(name, ours, logits, masks, near):
    nmse, largest = errors(logits, ours[0])
    wrong = int(((ours[1] != masks) & ~near).sum())
    return check(
        name,
        nmse <= GATE_NMSE and largest <= GATE_MAX and wrong == 0,
        f"logits' NMSE {nmse:.1e}, max {largest:.1e}; {wrong} of {masks.size} pixels wrong, {int(near.sum())} near",
    )


def hugging_face(samc, sam, config, image, points):
    model, processor = originals.hf_model(sam, config)
    _, masks = originals.hugging_face(model, processor, image, points)
    if config.hq:
        masks = masks[:, :1]
    good = True
    with tempfile.TemporaryDirectory() as folder:
        one, many = Path(folder, "one"), Path(folder, "many")
        for to, size in ((one, "50GB"), (many, "60MB")):
            model.save_pretrained(to, max_shard_size=size)
            processor.save_pretrained(to)
        del model
        prompts = [{"points": [list(point)]} for point in points]
        for path in (one / "model.safetensors", one, many):
            ours = segment(samc, image, path, prompts)[1]
            each = iou(ours, masks)
            good &= check(
                f"hf, {path.name}",
                each.min() >= 0.999,
                f"{each.size} masks, IoU at least {each.min():.6f}, "
                f"median {np.median(each):.6f}, share {masks.mean():.2f}, {int((ours != masks).sum())} pixels differ",
            )
    return good


def resizes(program, images):
    off = total = 0
    for path in images:
        image = np.array(Image.open(path).convert("RGB"))
        ppm = b"P6 %d %d 255\n" % (image.shape[1], image.shape[0]) + image.tobytes()
        out = subprocess.run([program, "4", "0", "1024"], input=ppm, stdout=subprocess.PIPE, check=True).stdout
        ours = np.frombuffer(out, np.float32).reshape(1024, 1024, 3)
        theirs = transform.resize(image, (1024, 1024), order=3, preserve_range=True, anti_aliasing=True)
        difference = np.abs(ours - theirs.astype(np.uint8).astype(np.float32))
        off, total = off + int((difference > 0).sum()), total + difference.size
        print(f"{path}: {int((difference > 0).sum())} bytes off, by at most {int(difference.max())}", flush=True)
        if difference.max() > 1:
            return check("bytes", False, "off by more than one")
    return check("bytes", off <= 1e-5 * total, f"{off} of {total}")


def main():
    parser = argparse.ArgumentParser(description="Compares recipes with their originals in full shape.")
    parser.add_argument("--samc")
    parser.add_argument("--resized")
    parser.add_argument("--image", nargs="+", required=True)
    parser.add_argument("--model", choices=["vit_b", "vit_l", "vit_h", "hq_b", "hq_l", "hq_h"], default="vit_b")
    parser.add_argument("--pth")
    parser.add_argument("--only", choices=("hf", "medsam", "micro-sam"))
    args = parser.parse_args()
    good = resizes(args.resized, args.image) if args.resized else True
    if not args.samc:
        sys.exit(not good)
    path, config = args.image[0], CONFIGS[args.model]
    image = np.array(Image.open(path).convert("RGB"))
    height, width = image.shape[:2]
    originals.POINTS = [[round(width * x), round(height * y)] for y in (0.2, 0.5, 0.8) for x in (0.25, 0.5, 0.75)]
    originals.BOXES = [
        [round(width * a), round(height * b), round(width * c), round(height * d)]
        for a, b, c, d in ((0.1, 0.1, 0.6, 0.5), (0.3, 0.2, 0.9, 0.95), (0.5, 0.5, 0.7, 0.8))
    ]
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        if args.pth:
            sam = load(args.model, args.pth)
        else:
            sam = build(config)
            print(calibrate(sam, image), flush=True)
        weights = Path(folder, "weights.pth")
        torch.save(sam.state_dict(), weights)
        points = [{"points": [point]} for point in originals.POINTS]
        boxes = [{"box": box} for box in originals.BOXES]
        if args.only in (None, "hf"):
            good &= hugging_face(args.samc, sam, config, path, originals.POINTS)
        if args.only in (None, "medsam") and not config.hq:
            made = originals.medsam(sam, path, config.img_size)
            good &= compare("medsam", segment(args.samc, path, weights, boxes, "--recipe", "medsam"), *made)
        if args.only in (None, "micro-sam") and not config.hq:
            made = originals.micro_sam(sam, path)
            good &= compare("micro-sam", segment(args.samc, path, weights, points, "--recipe", "micro-sam"), *made)
    sys.exit(not good)


if __name__ == "__main__":
    main()
