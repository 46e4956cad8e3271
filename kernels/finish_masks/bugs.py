"""Seeded bugs of finish_masks; see mutations.py."""

KERNEL = "kernels/finish_masks/cuda.cu"
TAP = "kernels/cuda/cubic_tap.h"
DEVICE = "kernels/cuda/device.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "half a pixel off": (KERNEL, "add_exact(static_cast<float>(out), 0.5f)", "static_cast<float>(out)"),
    "the neighbour beyond the last sample": (KERNEL, "low + (low < in_size - 1)", "low + 1"),
    "no margin for rounding": (
        KERNEL,
        "return logit - fmaxf(1e-4f, 1e-6f * fabsf(logit)) > bound;",
        "return logit > bound;",
    ),
    "decided by the threshold alone": (
        KERNEL,
        "out = out && surely_below(logit, s.below);",
        "out = out && surely_below(logit, s.middle);",
    ),
    "a logit row too few decides": (KERNEL, "row <= down.last; row++", "row < down.last; row++"),
    "a logit column too few decides": (
        KERNEL,
        "if (all_set(inside, r.first - across.first, r.last - across.first))",
        "if (all_set(inside, r.first - across.first, r.last - across.first - 1))",
    ),
    "a stale logit row": (KERNEL, "c.logit1.row == y.low ? c.logit1 :", "c.logit1.row >= 0 ? c.logit1 :"),
    "pixels beyond the width count": (KERNEL, "bool real = x < s.width;", "bool real = true;"),
    "the list of open strips is not waited for": (KERNEL, "__syncthreads(); // the list", "// the list"),
    "the tile is not waited for": (KERNEL, "__syncthreads(); // the tile", "// the tile"),
    "flags are not waited for": (KERNEL, "__syncthreads(); // inside", "// inside"),
    "totals are not waited for": (KERNEL, "__syncthreads(); // totals", "// totals"),
    "masks in order although there is an index": (KERNEL, "index ? index[mask] : mask", "mask"),
    "masks that were not picked are finished": (KERNEL, "mask >= *picked", "mask > *picked"),
    "bicubic with Catmull and Rom's kernel": (
        TAP,
        "mul_exact(add_exact(mul_exact(-0.75f, x), 3.75f), x), 6.0f), x), 3.0f)",
        "mul_exact(add_exact(mul_exact(-0.5f, x), 2.5f), x), 4.0f), x), 2.0f)",
    ),
    "bicubic reads before the first sample": (
        TAP,
        "max_of(0, min_of(static_cast<int>(from) - 1 + k, in_size - 1))",
        "min_of(static_cast<int>(from) - 1 + k, in_size - 1)",
    ),
    "strips are decided although bicubic overshoots": (
        KERNEL,
        "bool in = first + lane <= across.last && !kCubic, out = in;",
        "bool in = first + lane <= across.last, out = in;",
    ),
    "products and sums are contracted": (
        DEVICE,
        "return __fmul_rn(x, y); }\nSAMC_DEVICE float add_exact(float x, float y) { return __fadd_rn(x, y);",
        "return x * y; }\nSAMC_DEVICE float add_exact(float x, float y) { return x + y;",
        "ptx",
    ),
}
