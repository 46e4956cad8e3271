"""Seeded bugs of linear_attention; see mutations.py."""

KERNEL = "kernels/linear_attention/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "keys before all are there": (KERNEL, "__syncthreads(); // the keys", "// the keys"),
    "keys overwritten while they are read": (KERNEL, "__syncthreads(); // everyone has left the keys", "// the keys"),
    "sums before all are there": (KERNEL, "__syncthreads(); // the sums", "// the sums"),
    "queries overwritten while they are read": (
        KERNEL,
        "__syncthreads(); // everyone has left the queries",
        "// the queries",
    ),
    "q, k and v by set, not by head": (
        KERNEL,
        "wide + s.dim + i % s.dim;\n            const float value",
        "wide + s.heads * s.dim + i % s.dim;\n            const float value",
    ),
    "queries are not rectified": (
        KERNEL,
        "left[i] = value < 0.0f ? 0.0f : value;\n        }\n        __sync",
        "left[i] = value;\n        }\n        __sync",
    ),
    "v is padded with nothing": (
        KERNEL,
        "right[i * (s.dim + 1) + s.dim] = 1.0f;",
        "right[i * (s.dim + 1) + s.dim] = 0.0f;",
    ),
    "heads of the second set are the first's": (KERNEL, "(head < s.heads ? set0 : set1)", "set0"),
}
