"""Seeded bugs of mask_rle; see mutations.py."""

KERNEL = "kernels/mask_rle/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "every column starts anew": (KERNEL, "above = foot[0] << 1 | (at > 0 ? foot[-1] >> 31 : 0);", "above = 0;"),
    "the foot does not cross words": (KERNEL, "(at > 0 ? foot[-1] >> 31 : 0)", "0"),
    "columns beyond the width count": (
        KERNEL,
        "ends[warp * 32 + lane] = x < width ? e : Ends{0, 0};",
        "ends[warp * 32 + lane] = e;",
    ),
    "more runs than fit are written": (KERNEL, "lengths[warp / groups] > capacity", "lengths[warp / groups] < 0"),
    "capacity excludes the last run": (KERNEL, "if (before.count < capacity)", "if (before.count + 1 < capacity)"),
    "a column forgets those before it": (
        KERNEL,
        "{sum.count + here.count - own.count, left > sum.last ? left : sum.last}",
        "{sum.count + here.count - own.count, sum.last}",
    ),
    "the scan reads its warps too early": (KERNEL, "__syncthreads(); // of_warp\n", "\n"),
    "the scan overwrites what is read": (KERNEL, "__syncthreads(); // of_warp is read", "// of_warp is read"),
    "the transpose mirrors": (KERNEL, "(other >> step & low)", "(other & low)"),
}
