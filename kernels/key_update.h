/* What a layer of the decoder did to the keys of each prompt, in place of the keys.
 *
 * keys := norm(keys + bout + Wout . o), where channel i of o is the sum over tokens t of weight[head of i, t] .
 * value[t, i]: an update of rank heads x T. What is linear in the last keys therefore splits into a part of the image,
 * made once, and these. */
#ifndef SAMC_KERNELS_KEY_UPDATE_H
#define SAMC_KERNELS_KEY_UPDATE_H

#include "runtime/base/view.h"

enum { SAMC__UPDATE_KEYS = 32 }; /* of a block: what the fast versions read in order */

typedef struct samc__key_update {
    samc__view weights; /* [prompts, ceil(N / 32), heads * T + 1, 32]: the softmax of a block's keys, and last the
                         * norm's 1 / deviation; zeros beyond N */
    samc__view values;  /* [prompts, T, inner] */
} samc__key_update;

static inline int64_t samc__update_blocks(int64_t n) { return (n + SAMC__UPDATE_KEYS - 1) / SAMC__UPDATE_KEYS; }

/* Where key `key` of prompt `prompt` stands in row `row` of its block; rows are SAMC__UPDATE_KEYS apart. */
static inline int64_t samc__update_at(const samc__key_update *u, int64_t prompt, int64_t key, int64_t row) {
    return ((prompt * u->weights.n[1] + key / SAMC__UPDATE_KEYS) * u->weights.n[2] + row) * SAMC__UPDATE_KEYS +
           key % SAMC__UPDATE_KEYS;
}

/* Whether the update is of `heads` heads and T = `t` tokens on N = `n` keys. */
static inline bool samc__update_fits(const samc__key_update *u, int64_t prompts, int64_t t, int64_t n, int64_t heads,
                                     int64_t inner) {
    return samc__is4(u->weights, prompts, samc__update_blocks(n), heads * t + 1, SAMC__UPDATE_KEYS) &&
           samc__is3(u->values, prompts, t, inner);
}

#endif
