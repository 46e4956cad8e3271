"""Seeded bugs of nms; see mutations.py."""

KERNEL = "kernels/nms/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "a box drops itself and those before it": (KERNEL, "max_of(0, row + 1 - first)", "0"),
    "dropped boxes drop others within a group": (KERNEL, "if (!(gone >> i & 1)) gone |= of_i;", "gone |= of_i;"),
    "dropped boxes drop others of later groups": (
        KERNEL,
        "row < count && !(dropped[group] >> lane & 1);",
        "row < count;",
    ),
    "the walk does not wait for the groups before": (
        KERNEL,
        "sync_warp(); // dropped[group + 1]",
        "// dropped[group + 1]",
        "sanitizer",
    ),
    "the group's decision is not waited for": (KERNEL, "__syncthreads(); // dropped[group] is", "// dropped[group] is"),
    "an IoU at the threshold drops": (KERNEL, "if (iou > threshold)", "if (iou >= threshold)"),
    "rows of the first block only": (
        KERNEL,
        "if (static_cast<int>(blockIdx.y) * kCompareRows > first + 31) return;",
        "if (blockIdx.y > 0) return;",
    ),
}
