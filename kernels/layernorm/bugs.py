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
    "sum without the residual": (
        KERNEL,
        "if (residual != nullptr) v[i] = v[i] + load4(residual + row * c + at);\n        if (sum != nullptr) store4(sum + row * c + at, v[i]);",
        "if (sum != nullptr) store4(sum + row * c + at, v[i]);\n        if (residual != nullptr) v[i] = v[i] + load4(residual + row * c + at);",
    ),
    "sum stored before the row is read again": (
        KERNEL,
        "for (int i = lane; i < c; i += 32) total += t(i);",
        "for (int i = lane; i < c; i += 32) {\n        total += t(i);\n        if (sum != nullptr) store(sum + row * c + i, t(i));\n    }",
    ),
    "one lane shuffles with itself": (DEVICE, "lanes > 0; lanes /= 2", "lanes > 1; lanes /= 2"),
    "asm: halves of a pack swapped": (
        DEVICE,
        ': "=r"(y) : "f"(high), "f"(low)',
        ': "=r"(y) : "f"(low), "f"(high)',
        "ptx",
    ),
}
