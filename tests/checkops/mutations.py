#!/usr/bin/env python3
"""Seeded bugs of the cpu table: checkops with shapes drawn at random must find each, and nothing without one.

    mutations.py --build BUILD [--only WORD] [--shapes N]

BUILD is a configured and built tree of samc. Each bug is compiled for one rung and linked before the library; what must
be found by the guard pages, because no number shows it, is marked. Ends with 77 where the machine has no AVX-512.
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from seeded import Build, run

VEC, VEC16, DECODER = "kernels/cpu/vec.h", "kernels/cpu/vec16.h", "kernels/cpu/decoder.h"
CAPS = {"vec16": "sse2", "avx2": "avx2", "avx512": "avx2,avx512"}
LOW_CAPS = {"bf16_soft": "avx512bf16-soft", "amx_soft": "amx-soft"}  # of checkops_low
BLOCK = "kernels/cpu/low.h"


def cpu(op):
    return f"kernels/{op}/cpu.c"


def low(op):
    return f"kernels/{op}/low.c"


# name: operator, rung, whether it is the guard pages that must find it, edits (file, text that occurs once,
# replacement)
BUGS = {
    "a masked store one too wide, AVX-512": (
        "layernorm",
        "avx512",
        True,
        [
            (
                VEC,
                "_mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), x)",
                "_mm512_mask_storeu_ps(p, (__mmask16)((2u << n) - 1u), x)",
            )
        ],
    ),
    "a masked store one too wide, AVX2": (
        "layernorm",
        "avx2",
        True,
        [(VEC, "_mm256_maskstore_ps(p, vf_first_mask(n), x)", "_mm256_maskstore_ps(p, vf_first_mask(n + 1), x)")],
    ),
    "a masked load one too wide": (
        "layernorm",
        "avx512",
        True,
        [
            (
                VEC,
                "_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p)",
                "_mm512_maskz_loadu_ps((__mmask16)((2u << n) - 1u), p)",
            )
        ],
    ),
    "a partial store one too wide, SSE2": (
        "layernorm",
        "vec16",
        True,
        [(VEC16, "if (n & 1) vf_store_one(p + (n & 2), n & 2 ? vf_high(x) : x);", "if (n & 1) vf_store_two(p, x);")],
    ),
    "a partial load one too wide, SSE2": (
        "layernorm",
        "vec16",
        True,
        [(VEC16, "vf_join(vf_load_two(p), vf_load_one(p + 2))", "vf_join(vf_load_two(p), vf_load_two(p + 2))")],
    ),
    "a block of a transpose where another belongs": (
        "upscale_masks",
        "vec16",
        False,
        [
            (
                DECODER,
                "vf_store(out + (column + i) * ld_out + row, r[i])",
                "vf_store(out + (row + i) * ld_out + column, r[i])",
            )
        ],
    ),
    "a lane of the neighbour's logits": (
        "finish_masks",
        "vec16",
        False,
        [(VEC16, "lanes[(index[3] - first) & 3]", "lanes[(index[3] - first) & 2]")],
    ),
    "a whole vector for a tail": (
        "linear",
        "avx512",
        True,
        [(cpu("linear"), "if (count == VW) {", "if (count > 0) {")],
    ),
    "a missing tail": (
        "token_to_image",
        "avx512",
        False,
        [
            (
                DECODER,
                "    if (i < count)\n        vf_store_first(out + i, count - i, vf_add(vf_load_first(a + i, count - "
                "i), vf_load_first(b + i, count - i)));\n",
                "",
            )
        ],
    ),
    "stores that assume an alignment": (
        "linear",
        "avx512",
        True,
        [(VEC, "_mm512_storeu_ps(p, x)", "_mm512_store_ps(p, x)")],
    ),
    "pads as queries": (
        "attention_relpos",
        "avx512",
        True,
        [
            (cpu("attention_relpos"), "int grid = t->grid, n = grid * grid", "int grid = t->s, n = grid * grid"),
            (cpu("attention_relpos"), "n = a->y.n[1], blocks", "n = (int64_t)t.s * t.s, blocks"),
        ],
    ),
    "pooled queries of another window": (
        "attention_relpos",
        "avx2",
        False,
        [(cpu("attention_relpos"), "head, top / t->pool, left / t->pool, width", "head, top, left / t->pool, width")],
    ),
    "keys beyond the tile take part": (
        "attention_relpos",
        "avx512",
        False,
        [(cpu("attention_relpos"), "        for (int key = keys; key < kp; key++) row[key] = -INFINITY;\n", "")],
    ),
    "scratch without a window's tiles": (
        "attention_relpos",
        "avx2",
        True,
        [(cpu("attention_relpos"), "round_up(work + (global ? 0 : own), 16)", "round_up(work, 16)")],
    ),
    "a scratch part that another overlaps": (
        "image_to_token",
        "avx512",
        False,
        [
            (
                cpu("image_to_token"),
                "*score = with_pe + wider(t->c, t->inner) * PANEL;",
                "*score = with_pe + t->c * PANEL;",
            )
        ],
    ),
    "a pixel read beyond the image": (
        "preprocess",
        "avx2",
        True,
        [(cpu("preprocess"), "if (t->horizontal && next == a->height - 1)", "if (t->horizontal && next == a->height)")],
    ),
    "a vector read beyond the logits": (
        "finish_masks",
        "avx512",
        True,
        [
            (
                cpu("finish_masks"),
                "int from = a->low[at] < size - VW ? a->low[at] : size - VW;",
                "int from = a->low[at];",
            )
        ],
    ),
    "rows read beyond the mask": (
        "mask_rle",
        "avx2",
        True,
        [(cpu("mask_rle"), "b < blocks - 1 ? WORD : foot + 1", "WORD")],
    ),
    "rows of a map's panel but those of the first place": (
        "upscale_masks",
        "avx512",
        False,
        [(cpu("upscale_masks"), "panel_rows(a, map, of, i * map.n[2] / (side * side))", "panel_rows(a, map, of, 0)")],
    ),
    "a panel of tokens that are not there": (
        "upscale_masks",
        "avx512",
        True,
        [(cpu("upscale_masks"), "tokens = n - token < PANEL ? n - token : PANEL;", "tokens = PANEL;")],
    ),
    "a panel of cells that are not there": (
        "upscale_map",
        "avx2",
        True,
        [(cpu("upscale_map"), "tokens = n - token < PANEL ? n - token : PANEL;", "tokens = PANEL;")],
    ),
    "pixels beyond the right border are no zeros": (
        "refine_masks",
        "avx512",
        False,
        [(cpu("refine_masks"), "left = t->side - x < PANEL ? t->side - x : PANEL;", "left = PANEL;")],
    ),
    "a tile of an odd side has all its pixels": (
        "conv3x3",
        "avx512",
        False,
        [("kernels/conv3x3/winograd.h", "k < 2 && left + k < w; k++", "k < 2; k++")],
    ),
    "an input is written to": (
        "layernorm",
        "avx512",
        True,
        [(cpu("layernorm"), "samc__f32(a->y) + row * n", "samc__f32(a->x) + row * n")],
    ),
    "logits beyond the last cell": (
        "embed_mask",
        "avx2",
        True,
        [("kernels/embed_mask/cells.h", "i < cells ? logits[row * low + col] : 0.0f", "logits[row * low + col]")],
    ),
    "16 bits: pixels beyond the right border are no zeros": (
        "refine_masks",
        "bf16_soft",
        False,
        [(low("refine_masks"), "left = t->side - x < PANEL ? t->side - x : PANEL;", "left = PANEL;")],
    ),
    "16 bits: a map without its second GELU": (
        "upscale_map",
        "amx_soft",
        False,
        [(low("upscale_map"), "a->gelu ? vf_gelu_low(sum) : sum", "sum")],
    ),
    "16 bits: keys that are not there weigh something": (
        "token_to_image",
        "bf16_soft",
        False,
        [(low("token_to_image"), "for (int64_t key = keys; key < all; key++) score[key] = -INFINITY;", "")],
    ),
    "16 bits: a new largest score leaves what was summed up": (
        "token_to_image",
        "amx_soft",
        False,
        [(low("token_to_image"), "vf_mul(vf_load(out + c), shrink)", "vf_load(out + c)")],
    ),
    "16 bits: channels beyond the last in a variance": (
        "image_to_token",
        "bf16_soft",
        False,
        [(low("image_to_token"), "if (left < VW) d = vf_load_first(x + i, left);", "")],
    ),
    "16 bits: 16 tokens across the end of a row": (
        "upscale_masks",
        "bf16_soft",
        False,
        [(low("upscale_masks"), "tokens - i >= 16 && g - column >= 16", "tokens - i >= 16")],
    ),
    "16 bits: nothing behind k": (
        "linear",
        "bf16_soft",
        False,
        [(low("linear"), "(size_t)(t->kp - g->k) * sizeof *copy", "0")],
    ),
    "16 bits: rows that do not fill a tile are read where they lie": (
        "linear",
        "amx_soft",
        True,
        [(low("linear"), "t->kp == g->k && rows % LOW_ROWS == 0", "t->kp == g->k")],
    ),
    "16 bits: the last rows of the panel before are not finished": (
        "linear",
        "amx_soft",
        False,
        [(low("linear"), "if (done < rows) finish(", "if (false) finish(")],
    ),
    "16 bits: a long sum begins again with every block of k": (
        "linear",
        "bf16_soft",
        False,
        [(BLOCK, "add || at > 0);", "add);")],
    ),
    "16 bits: a row of taps begins at the border": (
        "conv3x3",
        "bf16_soft",
        False,
        [(low("conv3x3"), "3 * c - before - behind, out + before)", "3 * c - before - behind, out)")],
    ),
    "16 bits: even channels have odd ones' weights": (
        "depthwise",
        "bf16_soft",
        False,
        [("kernels/depthwise/rows.h", "group + within % 2 * VW", "group + (within + 1) % 2 * VW")],
    ),
    "16 bits: lanes behind the end have a variance": (
        "layernorm",
        "amx_soft",
        False,
        [(low("layernorm"), "count), vf_load_first(means, count))", "count), middle)")],
    ),
}


INT8, EIGHT, PACKED = "kernels/linear/int8.c", "runtime/base/eight_bits.h", "kernels/cpu/packed.c"
# Of linear with 8-bit weights, which int8_test must find. name: the source to compile, in which object, edits
INT8_BUGS = {
    "zero point added": (
        INT8,
        "avx2",
        [(INT8, "_mm256_sub_epi32(_mm256_loadu_si256", "_mm256_add_epi32(_mm256_loadu_si256")],
    ),
    "column sums of another panel": (INT8, "plain", [(INT8, "t->panels.sums + column + v", "t->panels.sums + v")]),
    "scales of another panel": (INT8, "plain", [(INT8, "t->panels.scales + column + v", "t->panels.scales + v")]),
    "column sums of u8": (PACKED, "", [(PACKED, "sums[column] += row[i];", "sums[column] += (uint8_t)row[i];")]),
    "no limit of what is stored": (
        INT8,
        "plain",
        [
            (
                INT8,
                "value = vf_min(vf_max(value, vf_set(0.0f)), vf_set(255.0f)); /* NaN becomes 0 */",
                "value = vf_max(value, vf_set(0.0f));",
            ),
            (EIGHT, "(x * range.inverse) + (float)range.zero", "(x * range.inverse) + (float)range.zero + 1.0f"),
        ],
    ),
    "a zero point that is no step": (
        INT8,
        "avx2",
        [(EIGHT, "zero = nearbyintf(-least * inverse)", "zero = floorf(-least * inverse)")],
    ),
    "infinities pass": (INT8, "avx2", [(INT8, "if (any[0] == 0.0f) range", "range")]),
    "the last tile's rows": (INT8, "avx512", [(INT8, "left -= 4, x += 4 * lda, y", "left -= 4, x += lda, y")]),
    "tiles: the second half of the rows": (
        INT8,
        "amx_soft",
        [(INT8, "LOW_TILE_LOAD(5, a + 16 * lda + i, lda);", "LOW_TILE_LOAD(5, a + 15 * lda + i, lda);")],
    ),
    "bytes of k in another order": (
        INT8,
        "avx2",
        [(INT8, "(int32_t)(bytes >> 8 & 0x00ff00ffu)", "(int32_t)(bytes >> 16 & 0x00ff00ffu)")],
    ),
}


def program_with(build, folder, name, target, source, edits, part):
    """`target` with the edits in `source` or what it includes; they are made in a tree of their own."""
    for file, old, new in edits:
        target_file = folder / file
        target_file.parent.mkdir(parents=True, exist_ok=True)
        text = (target_file if target_file.exists() else ROOT / file).read_text()
        if text.count(old) != 1:
            sys.exit(f"{name}: {file} has {text.count(old)} times, instead of once: {old}")
        target_file.write_text(text.replace(old, new))
    changed = folder / source if (folder / source).exists() else ROOT / source
    original = build.compile(target, ROOT / source, folder / "bug.o", changed, [f"-I{folder}"], ["-O1"], part)
    return build.link(target, folder / target, {original: folder / "bug.o"})


def int8_bugs(build, only):
    """How many of those int8_test does not find."""
    survived = 0
    for name, (source, rung, edits) in INT8_BUGS.items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="samc-int8-") as folder:
            part = f"samc_int8_{rung}.dir" if rung else ""
            program = program_with(build, Path(folder), name, "int8_test", source, edits, part)
            done = run([program, "-j1"])
        survived += done.returncode == 0
        print(f"{'NOT FOUND' if done.returncode == 0 else 'ok'}: {name} (int8, {rung or source})", flush=True)
    return survived


def checkops_with(build, folder, name, op, rung, edits):
    """checkops, or checkops_low, with the edits in its operator."""
    target, source = ("checkops_low", low(op)) if rung in LOW_CAPS else ("checkops", cpu(op))
    return program_with(build, folder, name, target, source, edits, f"samc_cpu_{rung}.dir")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--only", default="", help="bugs whose name contains this")
    parser.add_argument("--shapes", default="60", help="that are drawn for each")
    args = parser.parse_args()
    if "avx512dq" not in Path("/proc/cpuinfo").read_text():
        print("no AVX-512 here")
        return 77
    build = Build(args.build)
    if not build.usable:
        print("skipped: needs a build by ninja")
        return 77
    survived = 0
    for name, (op, rung, guarded, edits) in {"(none)": ("layernorm", "avx512", False, []), **BUGS}.items():
        if args.only not in name:
            continue
        with tempfile.TemporaryDirectory(prefix="samc-checkops-") as folder:
            program = checkops_with(build, Path(folder), name, op, rung, edits)
            shapes = [] if rung in LOW_CAPS else ["--random", args.shapes]  # the listed ones are quick
            done = run([program, "--op", op, "--caps", {**CAPS, **LOW_CAPS}[rung], *shapes])
        lines = [line for line in done.stdout.splitlines() if line.startswith("FAILED")]
        faults = [line for line in lines if "touched memory" in line or "wrote to" in line]
        if name == "(none)":
            good = done.returncode == 0
        else:
            good = done.returncode == 1 and bool(faults if guarded else lines)
        if guarded and rung in LOW_CAPS:  # which has no handler: a guard page ends it
            good = done.returncode == -signal.SIGSEGV
        survived += not good
        what = (faults or lines or ["nothing"])[0].partition('": ')[2]
        print(
            f"{'ok' if good else 'NOT FOUND'}: {name} ({op}, {rung}): {len(lines)} failures, {len(faults)} at guard "
            f"pages; {what}",
            flush=True,
        )
    survived += int8_bugs(build, args.only)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
