#!/usr/bin/env python3
"""Decodes every image below a folder with samc and with Pillow and compares the pixels. Equal and refused are fine; a file that
gives other pixels than Pillow's without a word is not, not one, and the script ends with 1.

    pip install "pillow==13.0.*" numpy
    pip download --no-binary :all: --no-deps "pillow==13.0.*" && tar xzf pillow-13.0.*.tar.gz
    python3 tests/corpus_pillow.py pillow-13.0.*/Tests/images [--program build/release/bin/image_pixels] [--all]

Pillow's source distribution carries its test images, which is the corpus that samc is held to. It is 13.0 here, because Pillow before that
misreads three packed BMPs of it; nothing is resized, for which the reference is Pillow below 12.2. --all prints a line for every file, not
only for those that are not equal.
"""
import argparse
import collections
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import PIL
from PIL import Image, ImageOps

Image.MAX_IMAGE_PIXELS = 2**29 // 3 // 2  # Pillow refuses at twice this number, samc's limit


def expected(path):
    """Pillow's pixels [height, width, 3], or a reason why it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as file:
                kind = file.format
                image = ImageOps.exif_transpose(file)
            # 16 bits of grey: convert("RGB") makes everything above 255 white. The high byte is what Pillow itself takes of 16-bit
            # colours, and what OpenCV takes of both.
            if image.mode == "I" or image.mode.startswith("I;16"):
                image = Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
            return kind, np.asarray(image.convert("RGB"))
    except Exception as error:  # whatever a decoder throws is a refusal
        return None, f"{type(error).__name__}: {error}"


def samc(program, path):
    run = subprocess.run([program, path], capture_output=True)
    if run.returncode == 1:
        return run.stderr.decode(errors="replace").strip().replace(path, os.path.basename(path))
    if run.returncode != 0:
        raise SystemExit(f"{program} {path}: ended with {run.returncode}\n{run.stderr.decode(errors='replace')}")
    header = re.match(rb"P6 (\d+) (\d+) 255\n", run.stdout)
    width, height = int(header[1]), int(header[2])
    return np.frombuffer(run.stdout, np.uint8, offset=header.end()).reshape(height, width, 3)


def compare(ours, theirs):
    """A kind and a line about it."""
    if isinstance(ours, str):
        return ("refused by both", "") if isinstance(theirs, str) else ("refused", ours)
    if isinstance(theirs, str):
        return "read by samc alone", theirs
    if ours.shape != theirs.shape:
        return "different", f"{ours.shape[1]} x {ours.shape[0]} pixels, Pillow has {theirs.shape[1]} x {theirs.shape[0]}"
    if np.array_equal(ours, theirs):
        return "equal", ""
    difference = np.abs(ours.astype(int) - theirs)
    return "different", f"{(difference.max(2) > 0).mean():.1%} of the pixels, by up to {difference.max()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--program", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../build/release/bin/image_pixels"))
    parser.add_argument("--all", action="store_true")
    options = parser.parse_args()
    if int(PIL.__version__.split(".")[0]) < 13:
        print(f"note: Pillow {PIL.__version__} misreads packed BMPs, 13.0 does not", file=sys.stderr)
    table = collections.defaultdict(collections.Counter)
    for folder, folders, names in os.walk(options.folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            kind_of, theirs = expected(path)
            kind, text = compare(samc(options.program, path), theirs)
            table[kind_of or os.path.splitext(name)[1].lower() or "no ending"][kind] += 1
            if options.all or kind not in ("equal", "refused by both"):
                print(f"{kind:20s} {os.path.relpath(path, options.folder)}{': ' * bool(text)}{text}")
    kinds = ("equal", "different", "refused", "read by samc alone", "refused by both")
    rows = sorted(((name, counts) for name, counts in table.items() if not name.startswith((".", "no "))), key=lambda row: -sum(row[1].values()))
    total = collections.Counter()
    for counts in table.values():
        total.update(counts)
    others = collections.Counter()
    for name, counts in table.items():
        if name.startswith((".", "no ")):
            others.update(counts)
    print(f"\nPillow {PIL.__version__}, {sum(total.values())} files\n" + f"{'':18s}" + "".join(f"{kind:>20s}" for kind in kinds))
    for name, counts in rows + [("not Pillow's", others), ("all", total)]:
        print(f"{name:18s}" + "".join(f"{counts[kind]:20d}" for kind in kinds))
    return total["different"] > 0


if __name__ == "__main__":
    sys.exit(main())
