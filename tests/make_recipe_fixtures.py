#!/usr/bin/env python3
"""Writes tests/data/recipe: what the libraries that models were trained with make of small images and of logits.

    pip install "torch==2.9.*" "torchvision==0.24.*" "pillow<12.2" "scikit-image==0.26.*" safetensors
    python3 tests/make_recipe_fixtures.py

recipe_test.c holds the reference operators to these; it needs none of the libraries.
  images.safetensors         NAME [height, width, 3] uint8
  resize_FILTER.safetensors  of each image, squashed to SIDE x SIDE. NAME/raw [SIDE, SIDE, 3] f32: before anything is
                             rounded to bytes, of 255, or (torch_aa_f32, bilinear) normalised. NAME/u8: the bytes.
                             cubic_aa: NAME/out: the bytes between their least and largest, as MedSAM takes them.
                             torch_aa_u8: NAME/native: by torch's own arithmetic for bytes, which only CPUs have.
  masks.safetensors          logits [2, LOW, LOW]; PATH/WIDTHxHEIGHT [2, height, width] f32
"""

import os

import numpy as np
import skimage.transform
import torch
import torch.nn.functional as F
import torchvision.transforms.functional as functional
import torchvision.transforms.v2.functional as functional2
from PIL import Image
from safetensors.numpy import save_file

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "recipe")
SIDE = 24  # of the resized images
LOW, SQUARE = 16, 64  # of the logits and of the square that SAM's masks pass through
SIZES = [(45, 30), (9, 7), (40, 47), (1, 5)]
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]  # ImageNet's


def images():
    rng = np.random.default_rng(5)

    def photo(height, width):
        y, x = np.mgrid[0:height, 0:width].astype(np.float64)
        rgb = np.stack([255 * x / width, 255 * y / height, 127 + 120 * np.sin(x / 3 + y / 5)], -1)
        rgb[height // 4 : height // 2, width // 8 : width // 2] = [240, 30, 20]
        rgb += rng.normal(0, 20, rgb.shape)
        return np.clip(rgb, 0, 255).astype(np.uint8)

    return {
        "photo": photo(80, 120),
        "small": photo(13, 20),
        "near": photo(25, 24),  # one axis keeps its size, the other nearly
        "wide": photo(5, 700),
        "long": photo(2, 4001),  # torch's centres are floats
        "noise": (rng.integers(0, 2, (47, 61, 3)) * 255).astype(np.uint8),  # overshoots at every edge
        "even": np.full((30, 50, 3), 200, np.uint8),
        "dot": np.array([[[3, 90, 250]]], np.uint8),
    }


def tensor(image):
    return torch.from_numpy(image.copy()).permute(2, 0, 1)


def last(image):  # [3, height, width] -> [height, width, 3]
    return np.ascontiguousarray(image.permute(1, 2, 0).numpy())


def pillow_u8(image):
    return {"u8": np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.BILINEAR))}


def torch_aa_f32(image):  # sam2/utils/transforms.py
    resized = functional.resize(tensor(image).float() / 255, [SIDE, SIDE], antialias=True)
    return {"raw": last(functional.normalize(resized, MEAN, STD))}


def torch_aa_u8(image):  # sam3_image_processor.py
    raw = F.interpolate(tensor(image).float()[None], (SIDE, SIDE), mode="bilinear", antialias=True)[0]
    return {
        "raw": last(raw),
        "u8": last(functional.resize(tensor(image), [SIDE, SIDE], antialias=True)),
        "native": last(functional2.resize(tensor(image), [SIDE, SIDE], antialias=True)),
    }


def bilinear(image):  # EfficientSAM
    resized = F.interpolate(tensor(image).float()[None] / 255, (SIDE, SIDE), mode="bilinear", align_corners=False)[0]
    return {"raw": last(functional.normalize(resized, MEAN, STD))}


def cubic_aa(image):  # MedSAM_Inference.py
    raw = skimage.transform.resize(image, (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True)
    u8 = raw.astype(np.uint8)
    out = (u8 - u8.min()) / np.clip(u8.max() - u8.min(), a_min=1e-8, a_max=None)
    return {"raw": raw.astype(np.float32), "u8": u8, "out": out.astype(np.float32)}


def direct(logits, width, height):
    return F.interpolate(logits, (height, width), mode="bilinear", align_corners=False)


def bicubic(logits, width, height):
    return F.interpolate(logits, (height, width), mode="bicubic", align_corners=False)


def via_square(logits, width, height):  # Sam.postprocess_masks
    scale = SQUARE / max(width, height)
    new_width, new_height = int(width * scale + 0.5), int(height * scale + 0.5)
    return direct(direct(logits, SQUARE, SQUARE)[..., :new_height, :new_width], width, height)


def save(name, tensors, metadata=None):
    path = os.path.join(FOLDER, name + ".safetensors")
    save_file({key: np.ascontiguousarray(value) for key, value in tensors.items()}, path, metadata)
    assert os.path.getsize(path) < 100_000, f"{path} has {os.path.getsize(path)} bytes"


def main():
    torch.manual_seed(6)
    inputs = images()
    save("images", inputs)
    for way in pillow_u8, torch_aa_f32, torch_aa_u8, bilinear, cubic_aa:
        made = {name: way(image) for name, image in inputs.items()}
        if way is cubic_aa:  # one is enough
            for name in made.keys() - {"photo"}:
                del made[name]["out"]
        save("resize_" + way.__name__, {f"{name}/{part}": x for name, of in made.items() for part, x in of.items()})
    logits = torch.randn(1, 2, LOW, LOW) * 5
    tensors = {"logits": logits[0].numpy()}
    for path in via_square, direct, bicubic:
        for width, height in SIZES:
            tensors[f"{path.__name__}/{width}x{height}"] = path(logits, width, height)[0].numpy()
    save("masks", tensors)


main()
