"""Seeded bugs of embed_prompts; see mutations.py."""

KERNEL = "kernels/embed_prompts/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "padding keeps its position": (KERNEL, "if (label >= 0)\n            v = ", "v = "),
    "half a pixel forgotten": (KERNEL, "(xy[2 * point] + 0.5f)", "(xy[2 * point])"),
    "corners of a box swapped": (KERNEL, ": label == 2 ? t.label2", ": label == 3 ? t.label2"),
    "channels beyond the last": (KERNEL, "if (i >= half) return;", "if (i > half) return;"),
    "mask tokens begin with the second": (KERNEL, "token -= t.rows[i];", "token -= t.rows[i] - (i == 0);"),
    "the second kind of tokens is the third": (KERNEL, "return t.own[i] + token", "return t.own[i + (i == 1)] + token"),
    "a prompt has the points of the one before": (
        KERNEL,
        "prompt * (tokens - own) + token - own",
        "(prompt ? prompt - 1 : 0) * (tokens - own) + token - own",
    ),
}
