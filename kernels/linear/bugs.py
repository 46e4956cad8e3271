"""Seeded bugs of linear; see mutations.py."""

KERNEL = "kernels/linear/cuda.cu"
STEP = "kernels/cuda/gemm_step.h"
PLAIN = "kernels/cuda/gemm_plain.h"

# name: file, text, replacement, and what alone can show it where that is not a quick schedule (see mutations.py)
BUGS = {
    "a stage is not waited for": (STEP, "copy_wait<G::stages - 2>();", "copy_wait<G::stages - 1>();"),
    "no barrier before a buffer is refilled": (STEP, "__syncthreads(); // this stage", "// this stage"),
    "no group where nothing is copied": (
        STEP,
        "        copy_commit(); // also",
        "        if (index + G::stages - 1 < count) copy_commit(); // also",
    ),
    "the last stages overwritten by the patches": (STEP, "__syncthreads(); // everyone has left the last stages", ""),
    "patch read before it is written": (STEP, "sync_warp(); // the patch was written", "; // the patch was written"),
    "slices added before they are written": (
        STEP,
        "__syncthreads();                      // the patches were written",
        "; // the patches were written",
    ),
    "next rows over the slices' patches": (
        STEP,
        "__syncthreads();                      // the patches have been read",
        "; // the patches have been read",
    ),
    "a slice is forgotten": (STEP, "for (int s = 1; s < G::slices; s++)", "for (int s = 2; s < G::slices; s++)"),
    "rows not swizzled: bank conflicts": (STEP, "(chunk ^ (row_bytes == 64 ? row / 2 % 4 : row % 8))", "chunk"),
    "k not cut off at its end": (KERNEL, "return row0 + row < f.m && at < k ?", "return row0 + row < f.m ?"),
    "rows beyond the last are stored": (STEP, "if (row + i * 16 + r < f.m && column", "if (column"),
    "residual's rows do not repeat": (STEP, "static_cast<size_t>(row % f.residual_rows)", "static_cast<size_t>(row)"),
    "activation after the residual": (
        STEP,
        "!f.act_last) v = {v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w};",
        "!f.act_last) v = {v.x + r.x, activate(v.y + r.y, f.act, gelu), v.z + r.z, v.w + r.w};",
    ),
    "activation before the residual": (
        STEP,
        "if (f.act_last) v = {v.x + r.x, v.y + r.y, v.z + r.z, v.w + r.w};",
        "if (f.act_last) v = {v.x + r.x, v.y + r.y, v.z, v.w + r.w};",
    ),
    "general kernel: activation before the residual": (
        PLAIN,
        "if (f.residual != nullptr && !f.act_last) v += r;",
        "if (f.residual != nullptr) v += r;",
    ),
    "warpgroups: no fence between copies and products": (STEP, "        publish_copies(); // this", "        // this"),
    "warpgroups: published before the copies have finished": (
        STEP,
        "        copy_wait<ahead - 1>();\n        publish_copies(); // this",
        "        publish_copies();\n        copy_wait<ahead - 1>(); // this",
    ),
    "warpgroups: a stage is not waited for": (STEP, "copy_wait<ahead - 1>();", "copy_wait<ahead>();"),
    "warpgroups: no barrier before the products": (
        STEP,
        "__syncthreads();  // the stage has arrived",
        "// the stage has arrived",
    ),
    "warpgroups: a buffer is filled while products read it": (
        STEP,
        "group_wait<1>(); // the stage",
        "group_wait<2>(); // the stage",
    ),
    "warpgroups: the last products are not waited for": (STEP, "group_wait<0>(); // the sums", "; // the sums"),
    "warpgroups: both take the first rows": (STEP, "shared + use + group * 64 * G::a_row", "shared + use"),
    "warpgroups: steps along k too short": (STEP, "b + static_cast<uint64_t>(2 * kk)", "b + static_cast<uint64_t>(kk)"),
    "warpgroups: products without a fence of the registers": (STEP, "        group_begin();\n", ""),
    "the pass adds the bias of other columns": (
        KERNEL,
        "added[1] = load4(bias + chunk * 8 + 4);",
        "added[1] = load4(bias + chunk * 8);",
    ),
    "the pass leaves out the last rows": (KERNEL, "if (row0 + r >= m) break;", "if (row0 + kPassRows > m) break;"),
    "general kernel: stage overwritten": (
        PLAIN,
        "__syncthreads(); // everyone has left the stage",
        "// everyone has left the stage",
    ),
    "general kernel: columns beyond the last are stored": (
        PLAIN,
        "if (row >= f.m || column >= f.n) continue;",
        "if (row >= f.m) continue;",
    ),
}
