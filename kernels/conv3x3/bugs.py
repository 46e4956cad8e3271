"""Seeded bugs of conv3x3; see mutations.py."""

KERNEL = "kernels/conv3x3/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "left border reads the row above": (
        KERNEL,
        "py < s.h && px >= 0 && px < s.w;\n            return inside ? x +",
        "py < s.h && px < s.w;\n            return inside ? x +",
    ),
    "lower border reads the next image": (
        KERNEL,
        "py >= 0 && py < s.h && px >= 0 && px < s.w;\n            return inside ? x +",
        "py >= 0 && px >= 0 && px < s.w;\n            return inside ? x +",
    ),
    "taps transposed": (
        KERNEL,
        "% s.c_in, dy = tap / 3 - 1, dx = tap % 3 - 1;",
        "% s.c_in, dx = tap / 3 - 1, dy = tap % 3 - 1;",
    ),
    "pixels of the first pass only": (KERNEL, "row0 + pass * rows_per_pass + static_cast", "row0 + static_cast"),
    "weights by channel, not by tap": (KERNEL, "w[(o * c_in + i) * 9 + tap]", "w[to]"),
    "weights beyond the last output are read": (
        KERNEL,
        "return column0 + row < f.n ? w + (column0",
        "return column0 + row >= 0 ? w + (column0",
    ),
    "the stride is of y's rows alone": (
        KERNEL,
        "px = pixel % s.y_w * s.stride;\n        place",
        "px = pixel % s.y_w;\n        place",
    ),
    "every image is the first": (KERNEL, "middle[pass] = (pixel / (s.y_h * s.y_w) * s.h + py)", "middle[pass] = (py)"),
    "general kernel: border wraps": (
        KERNEL,
        "px >= 0 && px < s.w;\n            return inside ? to_float",
        "px < s.w;\n            return inside ? to_float",
    ),
}
