"""Seeded bugs of attention_plain; see mutations.py."""

KERNEL = "kernels/attention_plain/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "keys overwritten while others read": (KERNEL, "__syncthreads(); // everyone has left", "// everyone has left"),
    "p read before it is written": (KERNEL, "sync_warp(); // p was", "// p was"),
    "a query meets the key behind it": (KERNEL, "block_query + own + i + 1) : n;", "block_query + own + i + 2) : n;"),
    "causal from the first query, not the first token": (
        KERNEL,
        "min_of(n, first + block_query + kPlainQueries)",
        "min_of(n, block_query + kPlainQueries)",
    ),
    "keys beyond the last take part": (KERNEL, "tile + lane < keys ?", "tile + lane <= keys ?"),
    "no rescale when the maximum moves": (
        KERNEL,
        "fmaf(out[(own + i) * hd + c], shrink[i], add[i])",
        "out[(own + i) * hd + c] + add[i]",
    ),
    "queries beyond the last are stored": (KERNEL, "if (query >= queries) continue;", ""),
}
