/* An opened model: configuration, bound weights, and the operator table that was chosen for it. Read-only once opened.
 */
#ifndef SAMC_RUNTIME_MODEL_H
#define SAMC_RUNTIME_MODEL_H

#include "runtime/model/network.h"

struct samc_model {
    samc__network net;
    samc__tensor_list tensors;        /* bound to the weights of `net` */
    samc__checkpoint *checkpoint;     /* mapped file; weights may point into it */
    struct samc__cuda_device *device; /* the GPU, where the weights then point into its memory; or NULL */
    void *owned;                      /* converted weights, or NULL */
    size_t owned_bytes;
    int64_t parameters;
    double encode_flops;    /* of one image */
    samc_backend backend;   /* REF, CPU or CUDA */
    bool cudnn;             /* asked for */
    char backend_note[600]; /* why AUTO did not take the GPU, what a GPU does without, or "" */
    char settings[200], changed[200], arithmetic[80]; /* samc_model_info's */
    char *recipe_fields;                              /* likewise */
    char *encoder_fields;                             /* likewise */
    char *hash; /* samc_model_hash()'s, once asked for: whoever computed it first left it here, atomically */
    int threads;
    unsigned caps;        /* kernels/cpu/caps.h, of the cpu table; 0 on REF */
    samc__packed *packed; /* weights in the cpu table's layout; NULL where the references alone compute */
};

/* The precision by the public name of its type. */
static inline samc_precision samc__precision_of(samc__dtype type) {
    return type == SAMC__F32   ? SAMC_PRECISION_F32
           : type == SAMC__F16 ? SAMC_PRECISION_F16
           : type == SAMC__I8  ? SAMC_PRECISION_INT8
                               : SAMC_PRECISION_BF16;
}

const char *samc__precision_name(samc_precision precision);

/* Images encoded in one pass, and one-point prompts decoded in one: enough rows for the GEMMs, bounded memory. On a
 * host at least one for each thread, and not many more than the last cache holds (4 MB of keys each in SAM): larger
 * blocks also go back to the system and return as pages to be cleared. On a device (0 threads) the most that is ever
 * decoded together, 64 to 1024: launches cost what they cost, and a block has 16 rows of tokens. runtime/cuda_plan.h
 * fits both numbers to its memory. */
int samc__encode_batch(const samc__config *config);
int samc__decode_batch(const samc__config *config, int threads);

#endif
