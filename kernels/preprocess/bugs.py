"""Seeded bugs of preprocess; see mutations.py."""

KERNEL = "kernels/preprocess/cuda.cu"
DEVICE = "kernels/cuda/device.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "not antialiased": (KERNEL, "return in < out ? 1.0 : static_cast<double>(in) / out;", "return 1.0;"),
    "weights are truncated": (
        KERNEL,
        "static_cast<int32_t>(add_exact(0.5, mul_exact(normalised, 1 << SAMC__RESIZE_BITS)))",
        "static_cast<int32_t>(mul_exact(normalised, 1 << SAMC__RESIZE_BITS))",
    ),
    "sums are truncated": (KERNEL, "kStart = 1 << (SAMC__RESIZE_BITS - 1);", "kStart = 0;"),
    "rows beyond the last are stored": (KERNEL, "if (y + r >= height) return;", ""),
    "rows beyond the last are read": (KERNEL, "min_of(y + r, height - 1) * row_bytes", "(y + r) * row_bytes"),
    "row_bytes is three times the width": (
        KERNEL,
        "min_of(y + r, height - 1) * row_bytes",
        "min_of(y + r, height - 1) * (int64_t(a.in) * 3)",
    ),
    "padding is black, not zero": (
        KERNEL,
        "bool inside = y < a.out && x < new_width;",
        "bool inside = true; y = min_of(y, a.out - 1); x = min_of(x, new_width - 1);",
    ),
    "the last patch columns come from the next row": (
        KERNEL,
        "bool inside = y < a.out && x < new_width;",
        "bool inside = y < a.out;",
    ),
    "bytes are rounded down": (
        KERNEL,
        "return sub_exact(add_exact(sum, 0x1.8p23f), 0x1.8p23f);",
        "return floorf(sum);",
    ),
    "a cubic is not clipped to the image": (KERNEL, "sum = sum < least ? least : sum > most ? most : sum;", ""),
    "a mirrored sample counts once": (
        KERNEL,
        "*to = add_exact(*to, static_cast<float>(sum));",
        "*to = static_cast<float>(sum);",
    ),
    "the smallest value is taken for 0": (KERNEL, "div_exact(sub_exact(value, low), span", "div_exact(value, span"),
    "limits outside the image count": (KERNEL, "if (inside) atomic_min(", "atomic_min("),
    "asm: halves of a pack swapped": (
        DEVICE,
        ': "=r"(y) : "f"(high), "f"(low)',
        ': "=r"(y) : "f"(low), "f"(high)',
        "ptx",
    ),
}
