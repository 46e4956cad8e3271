#!/usr/bin/env python3
"""samc-emu, the whole program on the emulated GPU, with the default model and with calibrated weights: equal to the
reference within the gates, and every kernel of the backend has run by the end.

    program_test.py SAMC SAMC_EMU ROOT
"""

import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

SAMC, EMU, ROOT = sys.argv[1], sys.argv[2], Path(sys.argv[3])
PHOTO = ROOT / "tools" / "examples" / "cat.jpg"
# Normalised mean squared error of low-resolution logits. f32: the gate of tests/parity. The others: ten times what was
# seen (1e-7, 4e-6).
GATES = {"f32": 1e-10, "f16": 1e-6, "bf16": 5e-5}
# Calibrated random weights (tests/parity/calibrate.py) show more of the same rounding; the gates of
# tests/parity/gates.h.
CALIBRATED, CALIBRATED_GATES = ROOT / "tests/data/golden/tiny.safetensors", {"f32": 1e-10, "f16": 1.6e-5, "bf16": 1e-3}
OTHERS = {  # what other families' models have of their own
    "MobileSAM's layers": ROOT / "tests/data/golden_mobile/tiny.safetensors",
    "SAM-HQ's decoder": ROOT / "tests/data/golden_hq/tiny.safetensors",
    "EfficientViT-SAM's layers": ROOT / "tests/data/golden_efficientvit/tiny.safetensors",
    "SAM 2's layers": ROOT / "tests/data/golden_sam2/tiny.safetensors",
}
# Tensor cores add little to either: tests/emu/tensor_core.h has 1e-8 for the default model's depth and widths.
ran = set()


def run(program, *arguments, seed=0):
    """How tensor cores add goes by the seed, unless the environment says it for all."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        environment = dict({"SAMC_EMU_ACCUMULATE": ("nearest", "sm80", "sm90")[seed % 3]}, **os.environ)
        environment.update(SAMC_EMU_REPORT=str(report), SAMC_EMU_SEED=str(seed))
        done = subprocess.run([program, *map(str, arguments), "-q"], capture_output=True, text=True, env=environment)
        if done.returncode:
            sys.exit(f"FAILED {' '.join(map(str, arguments))}: {done.stderr}")
        if report.exists():
            ran.update(line.split()[0] for line in report.read_text().splitlines())
        return done.stdout


def read_npy(path):
    data = Path(path).read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    count = (len(data) - 10 - length) // 4
    return struct.unpack(f"<{count}f", data[10 + length :])


def nmse(expected, actual):
    mean = sum(expected) / len(expected)
    return sum((a - e) ** 2 for e, a in zip(expected, actual)) / sum((e - mean) ** 2 for e in expected)


def check_segment(segment, reference, gates, name, at):
    for seed, (precision, gate) in enumerate(gates.items()):
        run(EMU, *segment, "--backend", "cuda", "--precision", precision, "--logits", at / "emu.npy", seed=seed)
        error = nmse(reference, read_npy(at / "emu.npy"))
        print(f"segment, {name}, {precision}: nmse {error:.1e}, at most {gate:.0e}", flush=True)
        if not error <= gate:
            sys.exit("FAILED: the logits differ")


def records(folder):
    return json.loads((folder / "cat.jpg.json").read_text())


def main():
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        segment = ("segment", PHOTO, "--format", "rle", "--point", "220,150")
        run(SAMC, *segment, "--backend", "ref", "--logits", at / "ref.npy")
        reference = read_npy(at / "ref.npy")
        low = len(reference) // 3
        check_segment(segment, reference, GATES, "default model", at)
        calibrated = (*segment, "--model", CALIBRATED)
        run(SAMC, *calibrated, "--backend", "ref", "--logits", at / "calibrated.npy")
        check_segment(calibrated, read_npy(at / "calibrated.npy"), CALIBRATED_GATES, "calibrated weights", at)
        for name, model in OTHERS.items():
            other = (*segment, "--model", model)
            run(SAMC, *other, "--backend", "ref", "--logits", at / "other.npy")
            check_segment(other, read_npy(at / "other.npy"), CALIBRATED_GATES, name, at)
        # SAM 2's one answer, and its automatic masks, each asked for once more, small regions filled.
        of_sam2 = ("--model", OTHERS["SAM 2's layers"])
        run(SAMC, *segment, *of_sam2, "--single", "--backend", "ref", "--logits", at / "single.npy")
        check_segment((*segment, *of_sam2, "--single"), read_npy(at / "single.npy"), {"f32": 1e-10}, "one mask", at)
        auto = ("auto", PHOTO, "--points-per-side", "2", "--pred-iou-thresh", "0.2", "--stability-score-thresh", "0")
        auto += ("--use-m2m", "--min-mask-region-area", "20", *of_sam2)
        run(SAMC, *auto, "--backend", "ref", "-o", at / "ref_sam2")
        run(EMU, *auto, "--backend", "cuda", "--precision", "f32", "-o", at / "emu_sam2", seed=1)
        areas = [[record["area"] for record in records(at / name)] for name in ("ref_sam2", "emu_sam2")]
        print(f"auto, SAM 2, f32: areas {areas[1]}, reference {areas[0]}", flush=True)
        if not areas[0] or len(areas[0]) != len(areas[1]) or any(abs(a - b) > 2 for a, b in zip(*areas)):
            sys.exit("FAILED: other automatic masks of SAM 2")
        # A mask as a further prompt, and automatic masks with all their steps.
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': (1, {int(low ** 0.5)}, {int(low ** 0.5)}), }}"
        header = header.ljust(117) + "\n"
        (at / "mask.npy").write_bytes(
            b"\x93NUMPY\x01\x00"
            + struct.pack("<H", len(header))
            + header.encode()
            + struct.pack(f"<{low}f", *reference[:low])
        )
        for precision in ("f32", "bf16"):
            run(EMU, *segment, "--backend", "cuda", "--precision", precision, "--mask-input", at / "mask.npy")
        auto = (
            "auto",
            PHOTO,
            "--points-per-side",
            "3",
            "--pred-iou-thresh",
            "0.2",
            "--stability-score-thresh",
            "0",
            "--min-mask-region-area",
            "300",
        )
        run(SAMC, *auto, "--backend", "ref", "-o", at / "ref")
        run(EMU, *auto, "--backend", "cuda", "--precision", "bf16", "-o", at / "emu", seed=2)
        counts = [len(records(at / name)) for name in ("ref", "emu")]
        print(f"auto bf16: {counts[1]} masks, reference {counts[0]}", flush=True)
        if counts[1] == 0 or abs(counts[0] - counts[1]) > 1:
            sys.exit("FAILED: another number of automatic masks")
        auto = (
            "auto",
            PHOTO,
            "--points-per-side",
            "3",
            "--pred-iou-thresh",
            "0.2",
            "--stability-score-thresh",
            "0",
            "--model",
            CALIBRATED,
        )
        run(SAMC, *auto, "--backend", "ref", "-o", at / "ref_calibrated")
        run(EMU, *auto, "--backend", "cuda", "--precision", "f32", "-o", at / "emu_calibrated", seed=3)
        areas = [[record["area"] for record in records(at / name)] for name in ("ref_calibrated", "emu_calibrated")]
        print(f"auto, calibrated weights, f32: areas {areas[1]}, reference {areas[0]}", flush=True)
        # A pixel of a mask may lie at the threshold, where fp32 itself decides.
        if not areas[0] or len(areas[0]) != len(areas[1]) or any(abs(a - b) > 2 for a, b in zip(*areas)):
            sys.exit("FAILED: other automatic masks with calibrated weights")
    kernels = set()
    for source in [*ROOT.glob("kernels/*/cuda.cu"), *ROOT.glob("kernels/cuda/*.h")]:
        kernels.update(re.findall(r'launch\("([a-z0-9_]+)"', source.read_text()))
    # Filters and ranges that SAM's recipe does not ask for; the cases of preprocess run them.
    kernels -= {"resize_begin", "float_filters", "image_limits"}
    kernels -= {"attention_plain", "unit_rows"}  # of models of text, which run on hosts alone
    kernels -= {"attention_bare"}  # of SAM 2, of which this folder has no model of its widths
    kernels -= {"nms_compare", "nms_solve"}  # the host suppresses up to 1024 boxes; emu_nms.cc runs these
    if not kernels <= ran:
        sys.exit(f"FAILED: kernels that did not run: {' '.join(sorted(kernels - ran))}")
    print(f"all {len(kernels)} kernels ran")


if __name__ == "__main__":
    main()
