"""Seeded bugs of attention_relpos; see mutations.py."""

KERNEL = "kernels/attention_relpos/cuda.cu"
DEVICE = "kernels/cuda/device.h"
STEP = "kernels/cuda/attention_step.h"
GENERAL = "kernels/cuda/attention_general.h"
BARE = "kernels/cuda/attention_bare.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "global: a tile is not waited for": (
        KERNEL,
        "copy_wait<0>();\n        __syncthreads(); // this tile",
        "copy_wait<1>();\n        __syncthreads(); // this tile",
    ),
    "global: no barrier before a buffer is refilled": (KERNEL, "__syncthreads(); // this tile", "// this tile"),
    "global: rel_h over other warps' patches": (KERNEL, "__syncthreads(); // rel_h", "// rel_h"),
    "global: first tile over the tables": (KERNEL, "__syncthreads(); // the tables", "// the tables"),
    # Patches and Q lie row on row for grid 32: only the larger cases can show it.
    "global: patches over Q": (KERNEL, "__syncthreads(); // everyone has its Q", "// everyone has its Q", "full"),
    "global: barrier in one warp only": (
        KERNEL,
        "__syncthreads(); // the tables",
        "if (warp == 0) __syncthreads(); // the tables",
    ),
    "window: values are not waited for": (
        KERNEL,
        "copy_wait<0>();\n            __syncthreads(); // values",
        "__syncthreads(); // values",
    ),
    "window: patch not synchronised": (
        KERNEL,
        "sync_warp(); // the patch was written by the whole warp\n                take",
        "take",
    ),
    # Wrong by the rules, but no schedule of these sizes shows it.
    "window: next patch over this one": (KERNEL, "sync_warp(); // and is overwritten next", "", "sanitizer"),
    "window: pads are zeros": (KERNEL, ": pad_head;", ": nullptr;"),
    "window: pad queries are stored": (KERNEL, "if (query >= queries) continue;", ""),
    "rel_w mirrored": (KERNEL, "int x = qx[tile][e % 4 / 2] - (n", "int x = -qx[tile][e % 4 / 2] + (n"),
    "rows without padding: bank conflicts": (STEP, "return 2 * hd + 16;", "return 2 * hd + 32;"),
    "misaligned rows": (STEP, "return 2 * hd + 16;", "return 2 * hd + 8;"),
    "no rescale when the maximum moves": (STEP, "w.sum[tile][2 * i] *= shrink;", ""),
    "ones: sums of the other rows": (
        STEP,
        "float sum = w.sum[tile][2 * i];",
        "float sum = w.sum[tile][S::ones ? 2 - 2 * i : 2 * i];",
    ),
    "bare: a tile is not waited for": (BARE, "copy_wait<0>();\n", ""),
    "bare: no barrier before a buffer is refilled": (BARE, "__syncthreads(); // this tile", "// this tile"),
    "bare: pads are zeros": (BARE, ": pad_head;", ": nullptr;"),
    "bare: keys beyond the last take part": (BARE, "i % 2 < left ?", "i % 2 <= left ?"),
    "bare: the next head's channels take part": (BARE, "real && chunk < hd / 8", "real"),
    "bare: channels beyond the head are stored": (BARE, "store_row<S, hd>", "store_row<S>"),
    "bare: queries of another window": (BARE, "across + x0 / pool +", "across + x0 +"),
    "bare: queries beyond the last are stored": (BARE, "if (query >= queries) continue;", ""),
    "general: keys overwritten while others read": (
        GENERAL,
        "__syncthreads(); // everyone has left",
        "// everyone has left",
    ),
    "general: keys beyond the last take part": (GENERAL, "s[i] = my_key < keys ?", "s[i] = my_key < keys + 1 ?"),
    "general: the table's rows are its columns": (
        GENERAL,
        "table[(dy < 0 ? -dy : dy) * side + (dx < 0 ? -dx : dx)]",
        "table[(dx < 0 ? -dx : dx) * side + (dy < 0 ? -dy : dy)]",
    ),
    "general: every head has the first one's table": (
        GENERAL,
        "table += static_cast<int64_t>(blockIdx.y)",
        "table += 0",
    ),
    "general: pooled queries lie as tokens do": (
        GENERAL,
        "const int across = grid / pool;",
        "const int across = grid;",
    ),
    "general: pooled queries of another window": (GENERAL, "across + x0 / pool +", "across + x0 +"),
    "general: p read before it is written": (GENERAL, "sync_warp(); // p was", "// p was"),
    "general: no rescale when the maximum moves": (
        GENERAL,
        "fmaf(out[(own + i) * hd + c], shrink[i], add[i])",
        "out[(own + i) * hd + c] + add[i]",
    ),
    "asm: two registers of A swapped": (
        DEVICE,
        '"r"(a[0]), "r"(a[1]), "r"(a[2])',
        '"r"(a[0]), "r"(a[2]), "r"(a[1])',
        "ptx",
    ),
    "asm: transposed ldmatrix is not": (DEVICE, "m8n8.x4.trans.shared", "m8n8.x4.shared", "ptx"),
}
