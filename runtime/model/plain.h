/* A plain transformer: blocks x += attention(norm(x)), x += mlp(norm(x)) over sequences of tokens, as the towers of
 * text-image models have them for pixels and for words. */
#ifndef SAMC_RUNTIME_MODEL_PLAIN_H
#define SAMC_RUNTIME_MODEL_PLAIN_H

#include "kernels/linear/linear.h"
#include "kernels/ops.h"
#include "runtime/model/list.h"

enum { SAMC__PLAIN_BLOCKS = 48 };

typedef struct samc__plain {
    int dim, depth, heads, mlp_dim; /* D, blocks */
    samc__act act;                  /* of the MLPs */
    float eps;                      /* of every norm */
    bool causal;
} samc__plain;

typedef struct samc__plain_block {
    samc__norm norm1, norm2;   /* [D] */
    samc__attention attention; /* [D, D] each */
    samc__projection fc1, fc2; /* [mlp_dim, D], [D, mlp_dim] */
} samc__plain_block;

/* Lists BASE.layers.0 and so on, by the names of transformers. */
void samc__list_plain(samc__tensor_list *list, const samc__plain *plain, const char *base, samc__plain_block *blocks);

/* Sequences of the same length, one after another. */
typedef struct samc__plain_group {
    int64_t count, tokens;
} samc__plain_group;

/* What the blocks run on: the sequences of all groups, row below row. "A" is the type of activations. */
typedef struct samc__plain_rows {
    const samc__plain_group *groups;
    int group_count;
    int64_t rows, sequences;
    samc__dtype a;
    float *x;   /* [rows, D], the residual stream; its address is that of the whole block of memory */
    void *y;    /* [rows, D] A */
    void *wide; /* [rows, max(3 D, mlp_dim, `widest`)] A */
} samc__plain_rows;

/* Memory for them; samc__plain_end() gives it back. `widest`: elements of a row that a caller wants in `wide`. */
samc_status samc__plain_begin(const samc__exec *exec, const samc__plain *plain, samc__dtype a,
                              const samc__plain_group *groups, int group_count, int64_t widest, samc__plain_rows *rows);
void samc__plain_end(const samc__exec *exec, samc__plain_rows *rows);

/* Blocks [first, end) over rows->x. */
samc_status samc__plain_run(const samc__exec *exec, const samc__plain *plain, const samc__plain_block *blocks,
                            int first, int end, const samc__plain_rows *rows);

/* A last block of which one token of each sequence is wanted, the last of causal ones and the first of others:
 * out f32 [sequences, D]. rows->x stays as it is. */
samc_status samc__plain_last(const samc__exec *exec, const samc__plain *plain, const samc__plain_block *block,
                             const samc__plain_rows *rows, float *out);

/* A block of the other order: x = norm1(x + attention(x)), x = norm2(x + mlp(x)). */
samc_status samc__plain_run_after(const samc__exec *exec, const samc__plain *plain, const samc__plain_block *block,
                                  const samc__plain_rows *rows);
/* rows->x in the type of activations: itself, or a copy in rows->y. */
samc_status samc__plain_narrow(const samc__exec *exec, const samc__plain *plain, const samc__plain_rows *rows,
                               samc__view *to);

#endif
