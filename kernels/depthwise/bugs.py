"""Seeded bugs of depthwise; see mutations.py."""

KERNEL = "kernels/depthwise/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "weights read before they are written": (KERNEL, "__syncthreads(); // the weights", "// the weights"),
    "left border wraps": (KERNEL, "left + kx < 0 || left + kx >= s.w", "left + kx >= s.w"),
    "lower border reads the next image": (KERNEL, "top + ky < 0 || top + ky >= s.h", "top + ky < 0"),
    "pixels beyond the last are stored": (KERNEL, "i < kDepthPixels && pixel0 + i < s.pixels", "i < kDepthPixels"),
    "taps transposed": (KERNEL, "(ky * s.side + kx) * group", "(kx * s.side + ky) * group"),
    "stride of columns alone": (KERNEL, "s.y_h * s.stride - s.side / 2", "s.y_h - s.side / 2"),
}
