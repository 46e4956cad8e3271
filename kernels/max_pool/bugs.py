"""Seeded bugs of max_pool; see mutations.py."""

KERNEL = "kernels/max_pool/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "pairs of rows beside each other": (
        KERNEL,
        "pixel / w * 4 * w + pixel % w * 2",
        "pixel / w * 2 * w + pixel % w * 2",
    ),
    "a pixel of the pair beside": (KERNEL, "pixel % w * 2) * step", "pixel % w) * step"),
    "rows of x as long as y's": (
        KERNEL,
        "load4(from + (static_cast<int64_t>(k / 2) * 2 * w + k % 2) * step)",
        "load4(from + (static_cast<int64_t>(k / 2) * 2 * w + k % 2) * c)",
    ),
    "the first of four is left out": (KERNEL, "float most = to_float(from[0]);", "float most = -INFINITY;"),
    "four too many": (
        KERNEL,
        "if (i >= pixels * c) return;\n    const T *from = x + pooled_from(i / c, w, step) + i % c;\n    f32x4",
        "const T *from = x + pooled_from(i / c, w, step) + i % c;\n    f32x4",
    ),
}
