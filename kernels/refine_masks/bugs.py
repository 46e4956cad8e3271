"""Seeded bugs of refine_masks; see mutations.py."""

KERNEL = "kernels/refine_masks/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "the map before all of it is there": (KERNEL, "__syncthreads(); // the map", "// the map"),
    "pixels before all channels are there": (KERNEL, "__syncthreads(); // every channel", "// every channel"),
    "pixels before all are normalised": (KERNEL, "__syncthreads(); // all pixels", "// all pixels"),
    "what lies beyond the border is no zero": (
        KERNEL,
        "of[i] = within ? gelu_erf((of[i] - mean) * scale * gain[i] + shift[i]) : 0.0f",
        "of[i] = gelu_erf((of[i] - mean) * scale * gain[i] + shift[i])",
    ),
    "the last mask in place of the best": (KERNEL, "of[i] > of[best] ||", "of[i] > -1e30f ||"),
    "the first image for all prompts": (KERNEL, "prompt / s.each", "0"),
    "the second bias left out": (KERNEL, "lane == 0 ? by[9 * s.middle] : 0.0f", "0.0f"),
}
