#!/usr/bin/env python3
"""The kernel table of kernels/README.md, made from the budget (budget.json beside this file).

    kernel_table.py [--update]        compare with the table in kernels/README.md, or write it; exit 1 on a difference

Registers, shared memory and occupancy are those of a kernel's largest instantiation, as the checks launch it. What a
kernel does and what bounds it is said here; a kernel of the budget that is not in this list, or the other way round, is
an error. A kernel stays `emulated` until a run of tools/gpu_check.sh on hardware is recorded for its operator in
bench/results/gpu, every check passed; then it is `measured`.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parents[2] / "kernels" / "README.md"
BEGIN, END = "<!-- tests/emu/budget/kernel_table.py --update -->\n", "<!-- end -->\n"
RECORDED = HERE.parents[2] / "bench/results/gpu"

# Operator -> kernel -> what it does, what bounds it.
KERNELS = {
    "preprocess": {
        "resize_filters": ("Pillow's filter weights", "launch"),
        "resize_rows": ("horizontal pass to 8 bits", "load units"),
        "resize_columns": ("vertical pass, normalised patches", "load units"),
        "resize_begin": ("a cubic filter's kernel, limits; not SAM's", "launch"),
        "float_filters": ("weights of the filters of floats; not SAM's", "launch"),
        "image_limits": ("least and largest byte of the image; not SAM's", "memory"),
    },
    "linear": {
        "linear_tiles": ("product on tensor cores, bias, GELU, ReLU, residual", "tensor cores; few rows: latency"),
        "bias_gelu": ("bias and erf GELU over what cuBLASLt multiplied, in place", "memory"),
        "linear_any": ("the same in fp32, any shape", "fp32"),
    },
    "layernorm": {
        "layernorm_registers": ("row kept in registers, two passes", "memory"),
        "layernorm_any": ("any width, row read three times", "memory"),
    },
    "attention_relpos": {
        "attention_global": ("4096 or 1024 keys, relative position in the tile's prologue", "tensor cores"),
        "attention_window": ("windows of 14 or 8", "tensor cores"),
        "attention_bare": ("nothing added: any window, global, queries pooled 2 x 2", "tensor cores"),
        "attention_general": ("any shape, f32", "fp32"),
    },
    "attention_plain": {"attention_plain": ("any shape, f32; causal too", "fp32")},
    "conv3x3": {
        "conv3x3_weights": ("weight laid out by tap", "memory"),
        "conv3x3_tiles": ("product over nine neighbours, bias, activation, residual", "tensor cores"),
        "conv3x3_any": ("any shape, f32", "fp32"),
    },
    "depthwise": {"depthwise": ("each channel by itself, weights in shared memory, bias, activation", "memory")},
    "grouped_linear": {"grouped_linear": ("each group's matrix in shared memory", "memory")},
    "linear_attention": {"linear_attention": ("a head's sums over its keys, then its queries, all in fp32", "latency")},
    "max_pool": {
        "max_pool_vectors": ("the largest of 2 x 2 pixels, four channels a thread", "memory"),
        "max_pool_any": ("any width", "memory"),
    },
    "upscale_bicubic": {"upscale_bicubic": ("four by four neighbours of features, another map added", "L1")},
    "add_rows": {"add_rows_vectors": ("four channels a thread", "memory"), "add_rows_any": ("any width", "memory")},
    "unit_rows": {"unit_rows": ("rows over their length, a warp each", "memory")},
    "choose_masks": {
        "choose_masks": ("the first mask or the best of the others, a block a prompt", "memory"),
        "mask_probabilities": ("predicted IoU as probabilities", "launch"),
    },
    "embed_grid": {"embed_grid": ("positions of the grid", "launch")},
    "embed_prompts": {"embed_prompts": ("tokens of prompts: SAM's own, positions and labels of points", "launch")},
    "embed_mask": {"embed_mask_cells": ("the whole chain of a mask prompt", "memory")},
    "token_attention": {
        "token_attention_project": ("q, k, v of 16 token rows", "weights from L2"),
        "token_attention_attend": ("attention, output, norm", "weights from L2"),
    },
    "token_to_image": {
        "token_to_image_fold": ("projections of the image folded onto the tokens", "weights from L2"),
        "token_to_image_positions": ("projected positions of the grid, once for all prompts", "L2"),
        "token_to_image_attend": ("1024 keys to all tokens, keys as K and V", "tensor cores, keys from L2"),
        "token_to_image_merge": ("segments joined, output, norm", "weights from L2"),
        "token_to_image_plain": ("any shape, f32", "fp32"),
    },
    "image_to_token": {
        "image_to_token_fold": ("keys' projections folded onto the tokens", "weights from L2"),
        "image_to_token_attend": ("16 keys a warp from memory to the normed sum", "memory"),
        "image_to_token_plain": ("any shape, f32", "fp32"),
    },
    "upscale_masks": {
        "upscale_cells": ("both conv-transposes, norm, GELUs, hypernetwork product", "tensor cores and GELU"),
        "upscale_any": ("any shape, f32", "fp32"),
    },
    "upscale_map": {"upscale_map": ("both conv-transposes, norm, GELUs, a map added, any shape", "fp32")},
    "refine_masks": {
        "refine_fold": ("a prompt's vector into the second convolution, the mask of the best IoU", "launch"),
        "refine_masks": ("8 x 8 pixels from the map to logits, any shape", "fp32"),
    },
    "select_masks": {"select_masks": ("indices of masks by predicted IoU, one block", "launch")},
    "finish_masks": {
        "finish_clear": ("statistics to zero", "launch"),
        "finish_rows": ("both resizes, threshold, bits, counts, box", "fp32 on boundaries, memory"),
    },
    "mask_rle": {
        "rle_count": ("transitions by column", "memory"),
        "rle_scan": ("two scans over the columns", "latency"),
        "rle_place": ("run lengths where they belong", "memory"),
    },
    "nms": {
        "nms_compare": ("bit matrix of all pairs", "fp32"),
        "nms_solve": ("one block walks it in order of priority", "latency"),
    },
    "small_regions": {"small_regions": ("components by union-find, holes, then islands", "latency")},
}
TYPES = {"float": "f32", "f16": "f16", "bf16": "bf16"}


def parts(name):
    """attention_global<bf16,64,80,true> -> attention_global, {"bf16"}: the first type among the template's arguments.
    """
    base, _, rest = name.partition("<")
    types = [TYPES[word] for word in re.split("[<>,]", rest) if word in TYPES]
    return base, types[:1]


def recorded(runs):
    """Operator -> the devices on which every check of it passed and a time was taken."""
    found = {}
    for run in runs:
        if run["rehearsal"]:
            continue
        device = run["device"]["name"].removeprefix("NVIDIA ")
        for operator in KERNELS:
            checks = [c["status"] for c in run["checks"] if c["op"] == operator]
            timed = any(c["op"] == operator and c["status"] == "ok" for c in run["times"])
            if checks and set(checks) == {"ok"} and timed and device not in found.setdefault(operator, []):
                found[operator].append(device)
    return {operator: devices for operator, devices in found.items() if devices}


def table(budget, measured):
    found = {arch: {} for arch in ("sm_80", "sm_90a")}
    types = {}
    for arch, kernels in found.items():
        for name, row in budget[arch].items():
            base, of = parts(name)
            kernels.setdefault(base, []).append(row)
            types.setdefault(base, set()).update(of)
    known = {kernel for kernels in KERNELS.values() for kernel in kernels}
    if known != set(types):
        sys.exit(f"kernel_table.py: KERNELS and the budget differ in {' '.join(sorted(known ^ set(types)))}")
    lines = [
        "| operator | kernel | does | precisions | registers | shared KiB | occupancy | bound | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for operator, kernels in KERNELS.items():
        for i, (kernel, (what, bound)) in enumerate(kernels.items()):
            largest = {
                arch: max(found[arch][kernel], key=lambda row: (row["registers"], row["shared"])) for arch in found
            }
            cells = [
                f"`{operator}`" if i == 0 else "",
                f"`{kernel}`",
                what,
                ", ".join(t for t in TYPES.values() if t in types[kernel])
                or ("f32" if operator in ("embed_prompts", "unit_rows", "choose_masks") else "exact"),
                " / ".join(str(row["registers"]) for row in largest.values()),
                f"{largest['sm_90a']['shared'] / 1024:.1f}".removesuffix(".0"),
                " / ".join(f"{100 * row['warps_per_sm'] / 64:.0f} %" for row in largest.values()),
                bound,
                "measured: " + ", ".join(measured[operator]) if operator in measured else "emulated",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main():
    budget = json.loads((HERE / "budget.json").read_text())
    readme = README.read_text()
    before, rest = readme.split(BEGIN)
    now, after = rest.split(END)
    text = table(budget, recorded(json.loads(file.read_text()) for file in sorted(RECORDED.glob("*.json"))))
    if "--update" in sys.argv[1:]:
        README.write_text(before + BEGIN + text + END + after)
    elif now != text:
        print("kernels/README.md: the table is not that of budget.json; kernel_table.py --update writes it")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
