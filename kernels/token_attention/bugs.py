"""Seeded bugs of token_attention; see mutations.py."""

KERNEL = "kernels/token_attention/cuda.cu"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "residual in the first layer": (KERNEL, "residual && first + row < rows", "first + row < rows"),
    "values with positions": (KERNEL, "if (pe != nullptr) {", "if (pe != nullptr && rows < 0) {"),
    "rows overwritten while they are read": (
        KERNEL,
        "__syncthreads(); // everyone has read them",
        "// everyone has read them",
    ),
    "tokens of another prompt": (KERNEL, "(first + row) / tokens * tokens", "first / tokens * tokens"),
    "a token's score by half its lanes": (KERNEL, "score += shuffle_xor(score, 2);", ""),
    "outputs not waited for": (KERNEL, "__syncthreads(); // the heads' outputs", "// the heads' outputs"),
    "sums not waited for": (KERNEL, "__syncthreads(); // so are the sums", "// so are the sums"),
    # The reduction that follows happens to order the lanes; memory is ordered by the barrier alone.
    "scores not waited for": (KERNEL, "sync_warp(); // the scores", "// the scores", "sanitizer"),
}
