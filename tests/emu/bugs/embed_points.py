"""Seeded bugs of embed_points; see mutations.py."""
KERNEL = "kernels/embed_points_cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "padding keeps its position": (KERNEL, "if (label >= 0) v = ", "v = "),
    "half a pixel forgotten": (KERNEL, "(xy[2 * token] + 0.5f)", "(xy[2 * token])"),
    "corners of a box swapped": (KERNEL, "label == 2 ? label2 : label3", "label == 3 ? label2 : label3"),
    "channels beyond the last": (KERNEL, "if (i >= half) return;", "if (i > half) return;"),
}
