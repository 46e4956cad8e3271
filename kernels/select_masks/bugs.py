"""Seeded bugs of select_masks; see mutations.py."""

KERNEL = "kernels/select_masks/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "the threshold itself passes": (KERNEL, "iou[i] > threshold", "iou[i] >= threshold"),
    "a lane counts itself": (KERNEL, "(1u << lane) - 1u", "(2u << lane) - 1u"),
    "every round starts anew": (KERNEL, "int place = before;", "int place = before = 0;"),
    "warps are not waited for": (KERNEL, "__syncthreads(); // of_warp\n", "\n"),
    "votes are overwritten while they are read": (KERNEL, "__syncthreads(); // of_warp is read", "// of_warp is read"),
}
