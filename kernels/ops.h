/* Operators: fused units of work behind one table of functions for each backend.
 *
 * Every operator has a header with its argument struct, a reference in plain fp32 C (`ref.c`, the truth for
 * everything else) that also holds its argument check and FLOP count, and faster versions beside it. Model code
 * includes the headers of the operators that it calls; samc__<op>() checks the arguments, runs the table's function and
 * records a span when tracing is on.
 */
#ifndef SAMC_KERNELS_OPS_H
#define SAMC_KERNELS_OPS_H

#include "kernels/cpu/packed.h"
#include "runtime/base/status.h"
#include "runtime/base/view.h"

typedef struct samc__exec samc__exec;
typedef struct samc__place samc__place; /* kernels/place.h */

/* The arguments, by the operators' headers. */
#define SAMC_OP(name, ...) typedef struct samc__##name##_args samc__##name##_args;
#include "kernels/list.h"
#undef SAMC_OP

/* One function for each operator; a NULL slot is a build error that a test reports. */
typedef struct samc__ops {
#define SAMC_OP(name, ...) samc_status (*name)(const samc__exec *exec, const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP
    /* linear with 8-bit weights (linear/int8.h), for every version of linear; NULL: this backend has none. */
    samc_status (*linear8)(const samc__exec *exec, const samc__linear_args *args);
    const char *linear8_by; /* its instructions' name */
    /* Of an image's keys the projections that token_to_image and image_to_token take in the first layer are made once
     * for all prompts; false: the table's functions fold them onto the tokens, and nothing of them is kept. */
    bool projects_image;
    /* What one operator leaves for the next is read from a cache where it is small: activations that would not fit pass
     * through several operators in bands. False: a call of an operator is best as large as it can be. */
    bool in_bands;
} samc__ops;

/* Work on the items [begin, end); `worker` < exec->workers is unique among the calls that run at the same time. */
typedef void samc__task(void *context, int64_t begin, int64_t end, int worker);

/* What an operator runs on: the table, threads, scratch memory and where its error goes. All calls of one exec come
 * from one thread at a time. */
struct samc__exec {
    const samc__ops *ops;
    samc_error *error;
    int workers;
    void *pool;
    /* Splits [0, n) into ranges of at most `grain` items and runs them on the workers; returns when all are done. */
    void (*parallel)(void *pool, int64_t n, int64_t grain, samc__task *task, void *context);
    void *memory;
    void *(*allocate)(void *memory, size_t bytes); /* 64-byte aligned; NULL when there is no more */
    void (*release)(void *memory, void *block);    /* NULL is allowed */
    /* Shapes alone (runtime/rehearse.h): tensors and blocks are nowhere and `parallel` runs nothing. Beside its
     * parallel tasks an operator of encoder or decoder then touches no memory, and takes the blocks that it would. */
    bool rehearsal;
    const samc__place *place;   /* where the model's tensors live; operators do not need it */
    struct samc__cuda *cuda;    /* kernels/cuda/cuda_ops.h: what the cuda table runs on; NULL on a host */
    const samc__packed *packed; /* weights packed when the model was opened; NULL: none */
    void *trace;                /* NULL: off */
    void (*record)(void *trace, const char *name, double flops, double seconds);
};

/* Argument check: SAMC_OK, or INVALID_ARGUMENT with the operator and the argument at fault in `error`. */
#define SAMC_OP(name, ...) samc_status samc__##name##_check(const samc__##name##_args *args, samc_error *error);
#include "kernels/list.h"
#undef SAMC_OP

/* Floating point operations of one call, a multiply-add counted as two; 0 where memory is what counts. */
#define SAMC_OP(name, ...) double samc__##name##_flops(const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP

/* The references. */
#define SAMC_OP(name, ...) samc_status samc__##name##_ref(const samc__exec *exec, const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP

samc_status samc__linear8_ref(const samc__exec *exec, const samc__linear_args *args); /* for ops.linear8 */

/* What model code calls: check, run, trace. */
#define SAMC_OP(name, ...) samc_status samc__##name(const samc__exec *exec, const samc__##name##_args *args);
#include "kernels/list.h"
#undef SAMC_OP

void samc__ops_ref(samc__ops *ops); /* fills every slot */
/* Overrides the slots that have a faster version for kernels/cpu/caps.h; the name of the rung, NULL where there is
 * none: then weights are not packed. */
const char *samc__ops_cpu(samc__ops *ops, unsigned caps);

/* Overrides those that have a version for bf16 activations; the name of the rung of 16 bits, NULL where these
 * capabilities have none: then activations stay f32. On top of samc__ops_cpu(). */
const char *samc__ops_low(samc__ops *ops, unsigned caps);

double samc__seconds(void); /* monotonic clock */

/* Reports a failed argument check; used by the checks. */
samc_status samc__bad_argument(samc_error *error, const char *op, const char *what);
#define SAMC__REQUIRE(error, op, condition)                                                                            \
    do {                                                                                                               \
        if (!(condition)) return samc__bad_argument(error, op, #condition);                                            \
    } while (0)

#endif
