"""Seeded bugs of image_to_token; see mutations.py."""

KERNEL = "kernels/image_to_token/cuda.cu"
DEVICE = "kernels/cuda/device.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "tokens are not waited for": (
        KERNEL,
        "copy_wait<0>();\n        __syncthreads();  // tokens",
        "__syncthreads();  // tokens",
    ),
    "no barrier after the tokens": (KERNEL, "__syncthreads();  // tokens", "// tokens"),
    "tokens that do not exist take part": (
        KERNEL,
        ": -INFINITY;\n        for (int i = thread; i < C",
        ": 0.0f;\n        for (int i = thread; i < C",
    ),
    "half a pair of tokens is not cleared": (KERNEL, "if (i % 4 >= 2) last[i] = T{0};", ""),
    "clearing not waited for": (KERNEL, "__syncthreads(); // it is zeros", "// it is zeros"),
    "bq . k dropped": (KERNEL, "? starts[prompt * tokens * 8 + i]", "? 0.0f"),
    "rows beyond the last key are stored": (KERNEL, "if (row0 + g + 8 * r < n)\n                    *re", "*re"),
    "rows beyond the last key are read": (KERNEL, "min_of(row0 + g + 8, n - 1)", "row0 + g + 8"),
    "mean of half a row": (KERNEL, "mean[r] += shuffle_xor(mean[r], 2);", ""),
    "prompts read another image": (KERNEL, "keys + prompt / prompts_per_entry", "keys + prompt % prompts_per_entry"),
    "output: heads of a pair of tokens swapped": (
        KERNEL,
        "tile % 2 * 4 +\n           token % 2 * 2 + head % 2",
        "tile % 2 * 4 +\n           head % 2 * 2 + token % 2",
    ),
    "fold: v's rows over k's": (KERNEL, "__syncthreads(); // everyone has read them", "// everyone has read them"),
    "fold: v not waited for": (KERNEL, "__syncthreads(); // v is there", "// v is there"),
    "plain: scores not waited for": (KERNEL, "sync_warp(); // the scores", "// the scores"),
    "plain: probabilities not waited for": (KERNEL, "sync_warp(); // the probabilities", "// the probabilities"),
    "asm: the one of bf16 is that of f16": (DEVICE, '"r"(0x3f803f80u)', '"r"(0x3c003c00u)', "ptx"),
}
