"""Seeded bugs of add_rows; see mutations.py."""

KERNEL = "kernels/add_rows/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "b that is absent is read": (KERNEL, "if (b != nullptr) {", "{"),
    "one at a time, b that is absent is read": (
        KERNEL,
        "b != nullptr ? to_float(x[i]) + b[i % c] : to_float(x[i])",
        "to_float(x[i]) + b[i % c]",
    ),
    "b of another channel": (KERNEL, "load4(b + i % c)", "load4(b + i / 4 % c / 4 * 4)"),
    "four too many": (KERNEL, "if (i >= count) return;", "if (i > count) return;"),
    "one too many": (KERNEL, "if (i < count) store", "if (i <= count) store"),
}
