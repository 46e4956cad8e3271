"""Seeded bugs of upscale_bicubic; see mutations.py."""

KERNEL = "kernels/upscale_bicubic/cuda.cu"
TAP = "kernels/cuda/cubic_tap.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "values beyond the last are stored": (KERNEL, "if (i >= s.count) return;", ""),
    "rows by the ratio of columns": (KERNEL, "cubic_tap(row, s.down, s.h)", "cubic_tap(row, s.across, s.h)"),
    "every image is the first": (KERNEL, "x + pixel / s.y_w / s.y_h * s.h * s.w * s.c + channel", "x + channel"),
    "the kernel of a = -0.5": (
        TAP,
        "mul_exact(add_exact(mul_exact(-0.75f, x), 3.75f), x), 6.0f), x), 3.0f)",
        "mul_exact(add_exact(mul_exact(-0.5f, x), 2.5f), x), 4.0f), x), 2.0f)",
    ),
}
