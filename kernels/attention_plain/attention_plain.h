/* attention_plain: softmax(q k^T / sqrt(hd)) v of a sequence with itself, nothing added to scores; the attention of
 * plain transformers, of images and of text.
 *
 * Of all queries or of some that follow each other: a last layer whose other results nobody reads asks for one. */
#ifndef SAMC_KERNELS_ATTENTION_PLAIN_ATTENTION_PLAIN_H
#define SAMC_KERNELS_ATTENTION_PLAIN_ATTENTION_PLAIN_H

#include "runtime/base/view.h"

typedef struct samc__attention_plain_args {
    samc__view qkv; /* [batch, n, 3 * D], q then k then v, each [heads, hd] */
    samc__view y;   /* [batch, queries, D]: of tokens first .. first + queries - 1 */
    int heads;
    int64_t first;
    bool causal; /* a query meets keys up to its own token */
} samc__attention_plain_args;

/* Keys that query i of y meets. */
static inline int64_t samc__attention_plain_keys(const samc__attention_plain_args *a, int64_t i) {
    return a->causal ? a->first + i + 1 : a->qkv.n[1];
}

#endif
