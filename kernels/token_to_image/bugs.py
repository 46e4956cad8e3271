"""Seeded bugs of token_to_image; see mutations.py."""

KERNEL = "kernels/token_to_image/cuda.cu"
ROWS = "kernels/cuda/token_rows.h"
STEP = "kernels/cuda/attention_step.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "a tile is not waited for": (
        KERNEL,
        "copy_wait<0>();\n        __syncthreads(); // this tile",
        "copy_wait<1>();\n        __syncthreads(); // this tile",
    ),
    "no barrier before a buffer is refilled": (KERNEL, "__syncthreads(); // this tile", "// this tile"),
    "keys beyond the last count": (KERNEL, ">= last) s[i][e] = -INFINITY;", "> last) s[i][e] = -INFINITY;"),
    "positions meet the other head": (KERNEL, "a[3] = position_q[1][0];", "a[1] = position_q[1][0];"),
    "positions of one head only": (
        KERNEL,
        "a[kk + 2] = position_q[kk][hd / 8 - 1];",
        "a[kk + 2] = position_q[0][hd / 8 - 1];",
    ),
    "no rescale when the maximum moves": (KERNEL, "sum[r] *= shrink;", ""),
    "sum of half a row": (KERNEL, "sum[r] += shuffle_xor(sum[r], 2);", ""),
    "prompts read another image": (KERNEL, "prompt / prompts_per_entry", "prompt % prompts_per_entry"),
    "segments merged without their levels": (KERNEL, "exp2_fast(of[2 * s] - most) * of[2 * s + 1]", "of[2 * s + 1]"),
    "a group of tokens folds to another's place": (
        KERNEL,
        "prompt * ((tokens + kGroupTokens - 1) / kGroupTokens)",
        "prompt * (tokens / kGroupTokens)",
    ),
    "fold: queries not waited for": (KERNEL, "__syncthreads(); // so are their queries", "// so are their queries"),
    "merge: a chunk over the last one": (KERNEL, "__syncthreads(); // weights are there", "// weights are there"),
    "merge: the chunk not waited for": (KERNEL, "__syncthreads(); // the chunk is there", "// the chunk is there"),
    "merge: the same four channels of every chunk": (KERNEL, "parts * c + c0 + at;", "parts * c + at;"),
    "merge: segments are a chunk apart": (
        KERNEL,
        "static_cast<int64_t>(s) * c);",
        "static_cast<int64_t>(s) * kMergeChannels);",
    ),
    "plain: a warp without keys is 0 / 0": (KERNEL, "sum == 0.0f ? out[i] : out[i] / sum", "out[i] / sum"),
    "rows beyond the last are stored": (KERNEL, "if (index >= rows) return;", ""),
    "rows without padding: bank conflicts": (STEP, "return 2 * hd + 16;", "return 2 * hd + 32;"),
    "fragment: k halves of A swapped": (
        ROWS,
        "a[0][i + 2] = pack2(low.z, low.w, W());\n                a[1][i] = pack2(high.x, high.y, W());",
        "a[1][i] = pack2(low.z, low.w, W());\n                a[0][i + 2] = pack2(high.x, high.y, W());",
    ),
}
