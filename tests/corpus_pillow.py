#!/usr/bin/env python3
"""Decodes every image below a folder with samc and with Pillow and compares the pixels. Equal and refused are fine; a
file that gives other pixels than Pillow's without a word is not, not one, and the script ends with 1.

    pip install "pillow==13.0.*" numpy
    pip download --no-binary :all: --no-deps "pillow==13.0.*" && tar xzf pillow-13.0.*.tar.gz
    python3 tests/corpus_pillow.py pillow-13.0.*/Tests/images [--program build/release/bin/image_pixels] [--all]

Pillow's source distribution carries its test images, which is the corpus that samc is held to. It is 13.0 here, because
Pillow before that misreads three packed BMPs of it; nothing is resized, for which the reference is Pillow below 12.2.
--pages N compares up to N further pages or frames of a file too.
--all prints a line for every file, not only for those that are not equal. --mutate N compares N damaged copies of files
that are equal instead (--seed S draws the same again): one to three bytes are others, most of them in headers. Refusing
is then the right answer, and reading other pixels than Pillow is still none.
"""

import argparse
import collections
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import warnings
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

Image.MAX_IMAGE_PIXELS = 2**29 // 3 // 2  # Pillow refuses at twice this number, samc's limit


def expected(path, page=0):
    """Pillow's pixels [height, width, 3], or a reason why it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as file:
                kind = file.format
                if page > 0:
                    file.seek(page)
                image = ImageOps.exif_transpose(file)
            # 16 bits of grey: convert("RGB") makes everything above 255 white. The high byte is what Pillow itself
            # takes of 16-bit colours, and what OpenCV takes of both; image_pixels asks for it. What has a sign or is
            # longer goes from its least to its greatest value, samc's default.
            if image.mode in ("I", "F") and kind == "TIFF":
                values = np.asarray(image, np.float64)
                low, high = values.min(), values.max()
                scaled = np.floor((values - low) * 255 / max(high - low, 1e-300) + 0.5)
                image = Image.fromarray(scaled.clip(0, 255).astype(np.uint8))
            elif image.mode == "I" or image.mode.startswith("I;16"):
                shift = file.tag_v2[258][0] - 8 if kind == "TIFF" else 8  # of 12 bits the high ones
                image = Image.fromarray((np.asarray(image) >> shift).clip(0, 255).astype(np.uint8))
            return kind, np.asarray(image.convert("RGB"))
    except Exception as error:  # whatever a decoder throws is a refusal
        return None, f"{type(error).__name__}: {error}"


def samc(program, path, page=0):
    run = subprocess.run([program, path] + [str(page)] * (page > 0), capture_output=True)
    if run.returncode == 1:
        return run.stderr.decode(errors="replace").strip().replace(path, os.path.basename(path))
    if run.returncode != 0:
        raise SystemExit(f"{program} {path}: ended with {run.returncode}\n{run.stderr.decode(errors='replace')}")
    header = re.match(rb"P6 (\d+) (\d+) 255\n", run.stdout)
    width, height = int(header[1]), int(header[2])
    return np.frombuffer(run.stdout, np.uint8, offset=header.end()).reshape(height, width, 3)


def pages_of(path):
    """How many more pages than one Pillow counts in formats whose pages samc reads."""
    try:
        with Image.open(path) as file:
            return file.n_frames - 1 if file.format in ("TIFF", "WEBP", "AVIF", "GIF") else 0
    except Exception:
        return 0


def compare(ours, theirs):
    """A kind and a line about it."""
    if isinstance(ours, str):
        return ("refused by both", "") if isinstance(theirs, str) else ("refused", ours)
    if isinstance(theirs, str):
        return "read by samc alone", theirs
    if ours.shape != theirs.shape:
        return (
            "different",
            f"{ours.shape[1]} x {ours.shape[0]} pixels, Pillow has {theirs.shape[1]} x {theirs.shape[0]}",
        )
    if np.array_equal(ours, theirs):
        return "equal", ""
    difference = np.abs(ours.astype(int) - theirs)
    return "different", f"{(difference.max(2) > 0).mean():.1%} of the pixels, by up to {difference.max()}"


def damage(data, dice):
    """One to three other bytes, and right checksums, if it is a PNG."""
    data = bytearray(data)
    for _ in range(dice.choice((1, 1, 2, 3))):
        at = dice.randrange(min(len(data), dice.choice((30, 64, 160, 4000))))
        data[at] = dice.choice(
            (0, 1, 2, 4, 8, 16, 127, 128, 255, dice.randrange(256), data[at] ^ 1 << dice.randrange(8))
        )
    at = 8
    while data[:4] == b"\x89PNG" and at + 12 <= len(data):
        end = at + 8 + struct.unpack_from(">I", data, at)[0]
        if end + 4 > len(data):
            break
        struct.pack_into(">I", data, end, zlib.crc32(data[at + 4 : end]))
        at = end + 4
    return bytes(data)


def mutate(program, files, number, seed):
    """Ends with the number of damaged copies that give other pixels than Pillow's; those stay in the folder that is
    named.
    """
    dice = random.Random(seed)
    folder = tempfile.mkdtemp(prefix="samc-corpus-")
    kinds = collections.Counter()
    for i in range(number):
        name = dice.choice(files)
        with open(name, "rb") as file:
            data = damage(file.read(), dice)
        path = os.path.join(folder, f"{i}-{os.path.basename(name)}")
        with open(path, "wb") as file:
            file.write(data)
        kind, text = compare(samc(program, path), expected(path)[1])
        kinds[kind] += 1
        if kind == "different":
            print(f"{kind:20s} {path}: {text}")
        else:
            os.remove(path)
    print(
        f"\nPillow {PIL.__version__}, {number} damaged copies of {len(files)} files, seed {seed}: "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
    )
    return kinds["different"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument(
        "--program",
        default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "../build/release/bin/image_pixels"),
    )
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--pages", type=int, default=0)
    parser.add_argument("--mutate", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if int(PIL.__version__.split(".")[0]) < 13:
        print(f"note: Pillow {PIL.__version__} misreads packed BMPs, 13.0 does not", file=sys.stderr)
    table = collections.defaultdict(collections.Counter)
    pages = collections.Counter()
    equal = []
    for folder, folders, names in os.walk(options.folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            kind_of, theirs = expected(path)
            kind, text = compare(samc(options.program, path), theirs)
            table[kind_of or os.path.splitext(name)[1].lower() or "no ending"][kind] += 1
            if kind == "equal":
                equal.append(path)
            for page in range(1, 1 + min(pages_of(path), options.pages)):
                kind_of_page, text_of_page = compare(samc(options.program, path, page), expected(path, page)[1])
                pages[kind_of_page] += 1
                if options.all or kind_of_page not in ("equal", "refused by both"):
                    print(f"{kind_of_page:20s} {os.path.relpath(path, options.folder)} page {page}: {text_of_page}")
            if options.all or kind not in ("equal", "refused by both") and not options.mutate:
                print(f"{kind:20s} {os.path.relpath(path, options.folder)}{': ' * bool(text)}{text}")
    if options.mutate:
        return mutate(options.program, equal, options.mutate, options.seed) > 0
    kinds = ("equal", "different", "refused", "read by samc alone", "refused by both")
    rows = sorted(
        ((name, counts) for name, counts in table.items() if not name.startswith((".", "no "))),
        key=lambda row: -sum(row[1].values()),
    )
    total = collections.Counter()
    for counts in table.values():
        total.update(counts)
    others = collections.Counter()
    for name, counts in table.items():
        if name.startswith((".", "no ")):
            others.update(counts)
    print(
        f"\nPillow {PIL.__version__}, {sum(total.values())} files\n"
        + f"{'':18s}"
        + "".join(f"{kind:>20s}" for kind in kinds)
    )
    for name, counts in rows + [("not Pillow's", others), ("all", total)]:
        print(f"{name:18s}" + "".join(f"{counts[kind]:20d}" for kind in kinds))
    if options.pages:
        print("pages and frames beyond the first: " + ", ".join(f"{n} {kind}" for kind, n in pages.most_common()))
    return total["different"] + pages["different"] > 0


if __name__ == "__main__":
    sys.exit(main())
