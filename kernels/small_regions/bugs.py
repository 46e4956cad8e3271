"""Seeded bugs of small_regions; see mutations.py."""

KERNEL = "kernels/small_regions/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "corners do not touch": (KERNEL, "if (pixel_at(m, y - 1, x - 1)) join(", "if (false) join("),
    "a run that starts above is not met": (KERNEL, "if (pixel_at(m, y, x - 1)) join(", "if (false) join("),
    "pixels beyond the width are holes": (KERNEL, "w == m.words - 1 && m.width % 64 ?", "false ?"),
    "every second row of joints": (KERNEL, "step < m.height; step *= 2", "step < m.height; step *= 4"),
    "a component keeps its root's area only": (
        KERNEL,
        "if (root >= 0) atomic_add",
        "if (root > INT32_MAX - 1) atomic_add",
    ),
    "areas before roots are known": (KERNEL, "__syncthreads(); // roots are negative", "// roots are negative"),
    "joints before there are nodes": (
        KERNEL,
        "__syncthreads(); // every run is its own root",
        "// every run is its own root",
    ),
    "the last island goes": (KERNEL, "spare && !verdict->big ?", "spare && verdict->big > 1 ?"),
    "the last of equals stays": (
        KERNEL,
        "static_cast<uint64_t>(area) << 32 | ~static_cast<uint32_t>(node)",
        "static_cast<uint64_t>(area) << 32 | static_cast<uint32_t>(node)",
    ),
    "islands look at the mask before the holes were filled": (
        KERNEL,
        "before[i] = bits[i];",
        "if (!m.value) before[i] = bits[i];",
    ),
    # The others of a component must join between finding a root and hanging it up.
    "a lost link": (KERNEL, "if (was == later) return;", "return;", "random"),
    "a root is taken back": (KERNEL, "find_root<false>", "find_root<true>", "random"),
}
