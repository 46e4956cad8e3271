"""Seeded bugs of unit_rows; see mutations.py."""

KERNEL = "kernels/unit_rows/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "a lane's part for the row's length": (KERNEL, "sqrtf(warp_sum(squares))", "sqrtf(squares)"),
    "eps below the root": (KERNEL, "sqrtf(warp_sum(squares)) + eps", "sqrtf(warp_sum(squares) + eps)"),
    "rows beyond the last are computed": (KERNEL, "if (row >= m) return;", "if (row > m) return;"),
}
