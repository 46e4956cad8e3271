"""Seeded bugs of choose_masks; see mutations.py."""

KERNEL = "kernels/choose_masks/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "no barrier before the counts are read": (KERNEL, "__syncthreads(); // the warps' counts", ""),
    "the first mask whatever its stability": (KERNEL, "stable ? 0 : best_mask(iou, masks)", "0"),
    "logits above delta alone": (KERNEL, "ballot(in && x > -delta)", "ballot(in && x > delta)"),
    "the best counts from the second": (KERNEL, "int best = 1;", "int best = 2;"),
}
