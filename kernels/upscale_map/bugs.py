"""Seeded bugs of upscale_map; see mutations.py."""

KERNEL = "kernels/upscale_map/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "pixels before all channels are there": (KERNEL, "__syncthreads(); // every channel", "// every channel"),
    "pixels before all are normalised": (KERNEL, "__syncthreads(); // all pixels", "// all pixels"),
    "tokens beyond the last are stored": (KERNEL, "if (t >= count) continue;", ""),
    "rows and columns exchanged under a pixel": (KERNEL, "pixel / 2 * 2 + under / 2", "pixel / 2 * 2 + under % 2"),
    "GELU behind the sum": (
        KERNEL,
        "if (add != nullptr) value += to_float(add[at]);",
        "if (add != nullptr) value = s.gelu ? gelu_erf(sum[t] + to_float(add[at])) : value + to_float(add[at]);",
    ),
}
