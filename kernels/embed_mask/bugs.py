"""Seeded bugs of embed_mask; see mutations.py."""

KERNEL = "kernels/embed_mask/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "second map before the first is there": (KERNEL, "__syncthreads(); // the four pixels", "// the four pixels"),
    "norm before every channel is there": (KERNEL, "__syncthreads(); // every channel", "// every channel"),
    "result before the norm": (KERNEL, "__syncthreads(); // every cell", "// every cell"),
    "cells beyond the last are stored": (KERNEL, "if (cell >= cells) continue;", ""),
    "cells beyond the last are read": (KERNEL, "min_of(cell0 + cell, cells - 1)", "(cell0 + cell)"),
    "every prompt on the first image": (KERNEL, "(prompt / (s.prompts / s.images)) * cells", "(0 * prompt) * cells"),
    "left and right pixels swapped": (
        KERNEL,
        "column = at % s.grid * 4 + pixel % 2 * 2;",
        "column = at % s.grid * 4 + (1 - pixel % 2) * 2;",
    ),
    "channels beyond the last": (KERNEL, "if (column + e < s.c) store", "store"),
    "variance of 16 channels only": (KERNEL, "squares / static_cast<float>(n) + eps", "squares / 16.0f + eps"),
}
