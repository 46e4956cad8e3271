"""Seeded bugs of embed_grid; see mutations.py."""

KERNEL = "kernels/embed_grid/cuda.cu"
FOURIER = "kernels/cuda/fourier.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "corners, not centres": (KERNEL, "(static_cast<float>(cell % grid) + 0.5f)", "static_cast<float>(cell % grid)"),
    "rows and columns swapped": (
        KERNEL,
        "fourier((static_cast<float>(cell % grid)",
        "fourier((static_cast<float>(cell / grid)",
    ),
    "channels beyond the last": (KERNEL, "if (i >= half) return;", ""),
    "sign of the cosine in the second quarter": (
        FOURIER,
        "quadrant == 1 || quadrant == 2 ? -b : b",
        "quadrant >= 2 ? -b : b",
    ),
    "half turns": (FOURIER, "2.0f * fmaf(quarters", "fmaf(quarters"),
}
