"""Seeded bugs of grouped_linear; see mutations.py."""

KERNEL = "kernels/grouped_linear/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "products before all is there": (KERNEL, "__syncthreads(); // rows and matrix", "// rows and matrix"),
    "rows beyond the last are stored": (KERNEL, "i < count * s.out; i +=", "i < kGroupRows * s.out; i +="),
    "every group's matrix is the first's": (
        KERNEL,
        "to_float(w[static_cast<int64_t>(group) * s.out * s.in + i])",
        "to_float(w[i])",
    ),
    "groups of y are as wide as those of x": (
        KERNEL,
        "s.groups + group) * s.out + i % s.out",
        "s.groups + group) * s.in + i % s.out",
    ),
}
