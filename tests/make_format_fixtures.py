#!/usr/bin/env python3
"""Writes the files of tests/data/images whose formats are read by libraries, each with the pixels that Pillow decodes
beside it: NAME.ppm, NAME@N.ppm of its page N. Their names begin with the name of the CMake option. The tests need none
of this.

    pip install "pillow==13.0.*" numpy
    python3 tests/make_format_fixtures.py
"""

import os

import numpy as np
from image_writers import picture
from PIL import Image, ImageOps

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "images")


def path_of(name):
    return os.path.join(FOLDER, name)


def expect(name, pages=(0,)):
    for page in pages:
        with Image.open(path_of(name)) as file:
            file.seek(page)
            upright = ImageOps.exif_transpose(file).convert("RGB")
        upright.save(path_of(name) + (f"@{page}.ppm" if page > 0 else ".ppm"))


def save(image, name, pages=(0,), **options):
    image.save(path_of(name), **options)
    expect(name, pages)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def with_alpha(rgb):
    alpha = np.arange(rgb.shape[0] * rgb.shape[1]).reshape(rgb.shape[:2]) % 256
    return Image.fromarray(np.dstack([rgb, alpha.astype(np.uint8)]))


def webp(rgb):
    image = Image.fromarray(rgb)
    save(image, "webp_lossy.webp", quality=70)
    save(image, "webp_lossless.webp", lossless=True)
    save(with_alpha(rgb), "webp_alpha.webp", quality=70, exact=True)
    save(with_alpha(rgb), "webp_lossless_alpha.webp", lossless=True, exact=True)
    save(image.quantize(12).convert("RGB"), "webp_palette.webp", lossless=True)
    save(image, "webp_exif.webp", quality=70, exif=exif(6))
    frames = [with_alpha(np.roll(rgb, 5 * i, 1)) for i in range(3)]
    options = dict(save_all=True, append_images=frames[1:], duration=40, lossless=True)
    save(frames[0], "webp_animated.webp", pages=(0, 1, 2), **options)


def main():
    rgb = picture()
    webp(rgb)


if __name__ == "__main__":
    main()
