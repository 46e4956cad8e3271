"""Seeded bugs of layernorm; see mutations.py."""

KERNEL = "kernels/layernorm/cuda.cu"
DEVICE = "kernels/cuda/device.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "rows beyond the last are computed": (KERNEL, "if (row >= m) return;", "if (row > m) return;"),
    "variance not from deviations": (
        KERNEL,
        "v[i] = {v[i].x - mean, v[i].y - mean, v[i].z - mean, v[i].w - mean};",
        "",
    ),
    "the general kernel stores where it still reads": (
        KERNEL,
        "float mean = warp_sum(total) / static_cast<float>(c);\n",
        "float mean = warp_sum(total) / static_cast<float>(c);\n"
        "    for (int i = lane; i < c; i += 32) store(y + row * c + i, mean);\n",
    ),
    "one lane shuffles with itself": (DEVICE, "lanes > 0; lanes /= 2", "lanes > 1; lanes /= 2"),
    "asm: halves of a pack swapped": (
        DEVICE,
        ': "=r"(y) : "f"(high), "f"(low)',
        ': "=r"(y) : "f"(low), "f"(high)',
        "ptx",
    ),
}
