#!/usr/bin/env python3
"""Decodes every file of pydicom's wheel with samc and with pydicom, frame by frame, and compares the pixels; ends with
1 where one differs by more than its row of TOLERATED says, or where one that pydicom reads is refused without a row of
REFUSED.

    pip install pydicom==3.0.2 numpy pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg pyjpegls
    python3 tests/corpus_dicom.py [--program build/release/bin/image_pixels] [--table] [FOLDER...]

The reference is pydicom's pixel_array (which converts YBR to RGB), then apply_modality_lut() rounded to float32,
padding taken out, apply_voi_lut() or apply_windowing(), and 0 to 255. What has no window goes from its least to its
greatest value, what has 8 bits and less stays. --table prints a row for each file in Markdown, for docs/medical.md.
"""

import argparse
import os
import re
import subprocess
import sys
import warnings

import numpy as np
import pydicom
import pydicom.data
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut, apply_windowing

warnings.simplefilter("ignore")

# Frames that pydicom reads and samc does not: why.
REFUSED = {
    # An implicit element in an explicit data set: DCMTK takes what follows for another length.
    "SC_rgb_jpeg.dcm"
}
# The most that a byte may differ by, and of how many of 1000.
TOLERATED = {
    # 12 bits: the inverse DCT of IJG's library and that of pylibjpeg round differently, by 1 of 4096.
    "JPGExtended.dcm": (1, 15)
}


def to_bytes(values, low, high):
    return np.floor((values - low) * 255 / (high - low) + 0.5).clip(0, 255).astype(np.uint8)


def display(ds, array, window):
    """Grey values [rows, columns] as bytes."""
    signed = ds.PixelRepresentation == 1 if "PixelRepresentation" in ds else False
    stored = array
    values = np.asarray(apply_modality_lut(array, ds)).astype(np.float32).astype(np.float64)
    black = np.zeros(values.shape, bool)
    if "PixelPaddingValue" in ds:
        ends = [int(ds.PixelPaddingValue), int(ds.get("PixelPaddingRangeLimit", ds.PixelPaddingValue))]
        ends = sorted(end - 65536 if signed and end > 32767 else end for end in ends)
        black = (stored >= ends[0]) & (stored <= ends[1])
    wide = np.concatenate([values.ravel(), [-1e12, 1e12]])
    if window is not None:
        centre, width = window
        shown = pydicom.Dataset()
        shown.WindowCenter, shown.WindowWidth = centre, width
        shown.PhotometricInterpretation, shown.BitsStored, shown.PixelRepresentation = "MONOCHROME2", 8, 0
        wide = apply_windowing(wide, shown)
        out = to_bytes(wide[:-2].reshape(values.shape), 0, 255)
    elif "VOILUTSequence" in ds:
        entries, first, _ = (int(number) for number in ds.VOILUTSequence[0].LUTDescriptor)
        held = values.astype(np.int64).clip(first, first + (entries or 65536) - 1)  # pydicom's uint8 would run over
        shown = apply_voi_lut(held, ds)
        out = to_bytes(shown.astype(np.float64), 0, 2 ** int(ds.VOILUTSequence[0].LUTDescriptor[2]) - 1)
    elif "WindowWidth" in ds:
        wide = apply_windowing(wide, ds)
        out = to_bytes(wide[:-2].reshape(values.shape), wide[-2], wide[-1])
    elif ds.get("BitsStored", 32) <= 8 and "RescaleSlope" not in ds and "ModalityLUTSequence" not in ds:
        most = 2 ** int(ds.BitsStored)
        out = to_bytes(values, -most // 2 if signed else 0, (most // 2 if signed else most) - 1)
    else:
        kept = values[~black]
        low, high = (kept.min(), kept.max()) if kept.size else (0, 0)
        out = to_bytes(values, low, high) if high > low else np.zeros(values.shape, np.uint8)
    if ds.PhotometricInterpretation == "MONOCHROME1":
        out = 255 - out
    out[black] = 0
    return np.repeat(out[:, :, None], 3, axis=2)


def expected(ds, frame, window):
    array = ds.pixel_array
    if int(ds.get("NumberOfFrames", 1) or 1) > 1:
        array = array[frame]
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        colours = apply_color_lut(array, ds)
        return (colours >> 8 if colours.dtype == np.uint16 else colours).astype(np.uint8)
    if ds.SamplesPerPixel == 3:
        if array.dtype.itemsize == 1:
            return array
        if array.dtype.itemsize == 2:
            return (array >> int(ds.BitsStored) - 8).astype(np.uint8)
        return to_bytes(array.astype(np.float32).astype(np.float64), 0, 2.0 ** int(ds.BitsStored) - 1)
    return display(ds, array, window)


class Samc:
    """image_pixels as one process for many files."""

    process = None

    @classmethod
    def ask(cls, program, path, frame, scale):
        if cls.process is None or cls.process.poll() is not None:
            cls.process = subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.process.stdin.write(f"{path}\n{frame}\n{scale}\n".encode())
        cls.process.stdin.flush()
        line = cls.process.stdout.readline()
        if line.startswith(b"ERROR "):
            return line[6:].decode(errors="replace").strip().replace(path + ": ", "")
        header = re.match(rb"P6 (\d+) (\d+) 255\n", line)
        if header is None:
            raise SystemExit(f"{program} {path}: ended with {cls.process.wait()}")
        width, height = int(header[1]), int(header[2])
        pixels = cls.process.stdout.read(3 * width * height)
        return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


def samc(program, path, frame, scale):
    """The pixels, or why there are none."""
    return Samc.ask(program, path, frame, scale)


def files(folders):
    for folder in folders:
        for root, _, names in sorted(os.walk(folder)):
            for name in sorted(names):
                path = os.path.join(root, name)
                if not name.endswith((".py", ".pyc", ".json", ".txt", ".md", ".gz", ".dump", ".icc")):
                    yield os.path.relpath(path, folder), path


def compare(program, path, window):
    """(status, words) of a file: all its frames."""
    scale = "" if window is None else "window:%g,%g" % window
    try:
        ds = pydicom.dcmread(path, force=True)
        if ds.file_meta.get("TransferSyntaxUID") == pydicom.uid.JPEGBaseline8Bit:
            ds.pixel_array_options(decoding_plugin="pillow")  # libjpeg-turbo; pylibjpeg rounds otherwise
        frames = int(ds.get("NumberOfFrames", 1) or 1)
        expected(ds, 0, window)
    except Exception as error:  # whatever it is: pydicom has no pixels
        got = samc(program, path, 0, scale)
        if isinstance(got, str):
            return "both refuse", got
        return "samc alone", f"{got.shape[1]} x {got.shape[0]}; pydicom: {type(error).__name__}: {str(error)[:80]}"
    worst, count, size = 0, 0, 0
    for frame in range(frames):
        want, got = expected(ds, frame, window), samc(program, path, frame, scale)
        if isinstance(got, str):
            return "refused", got
        if want.shape != got.shape:
            return "different", f"{got.shape} instead of {want.shape}"
        apart = np.abs(want.astype(int) - got.astype(int))
        worst, count, size = max(worst, int(apart.max())), count + int((apart > 0).sum()), size + apart.size
    about = f"{ds.Columns} x {ds.Rows}" + (f", {frames} frames" if frames > 1 else "")
    return ("equal", about) if worst == 0 else ("different", f"{about}: {count} of {size} by up to {worst}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("folders", nargs="*", default=[os.path.dirname(pydicom.data.__file__)])
    options.add_argument("--program", default="build/release/bin/image_pixels")
    options.add_argument("--table", action="store_true")
    options = options.parse_args()
    bad, counts = 0, {}
    for name, path in files(options.folders):
        for window in (None, (40, 400)):
            if window is not None and "rgb" in name.lower():
                continue  # of colours pydicom has no window
            status, words = compare(options.program, path, window)
            counts[status] = counts.get(status, 0) + 1
            base = os.path.basename(name)
            wrong = (status == "refused" and base not in REFUSED) or (status == "different" and base not in TOLERATED)
            if status == "different" and base in TOLERATED:
                worst, share = TOLERATED[base]
                numbers = re.search(r"(\d+) of (\d+) by up to (\d+)", words)
                wrong = numbers is None or int(numbers[3]) > worst or int(numbers[1]) * 1000 > share * int(numbers[2])
            bad += wrong
            if options.table and window is None:
                print(f"| `{name}` | {status} | {words} |")
            elif wrong:
                print(f"{'WRONG ' if wrong else ''}{name} {window or ''}: {status}: {words}")
    print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
