/* checkops: the check and the benchmark of every operator, from one list of cases.
 *
 * A row describes an operator: its cases as small integers with names, how to build arguments from them, how to draw
 * any valid shape at random, and how close a fast version must come to the reference. Every buffer and all scratch lie
 * between pages that nobody may touch (guard.h), inputs may not be written, outputs and scratch are NaN before each
 * run. */
#ifndef SAMC_TESTS_CHECKOPS_H
#define SAMC_TESTS_CHECKOPS_H

#include "kernels/key_update.h"
#include "kernels/ops.h"
#include "tests/checkops/guard.h"

enum { MAX_PARAMS = 16, MAX_BUFFERS = 40, ARGS_BYTES = 2048 };

typedef enum role { IN, OUT, INOUT } role;

typedef struct buffer {
    void *data;
    size_t bytes;
    enum role role; /* C++ reads this too */
    bool floats;    /* compared with a tolerance; otherwise byte by byte */
    void *initial;  /* copy of the data before any run, for IN and INOUT */
} buffer;

/* What the inputs look like. MODEL: near-normal values as in a real network. */
typedef enum pattern {
    PATTERN_MODEL,
    PATTERN_LARGE_MEAN,
    PATTERN_LARGE,
    PATTERN_ZERO,
    PATTERN_DENORMAL,
    PATTERNS
} pattern;

typedef struct check {
    uint64_t random;
    enum pattern pattern;
    guard_place place; /* of every buffer */
    buffer buffers[MAX_BUFFERS];
    int count;
    int64_t behind;                /* how many entries of the batch lie behind the one that narrow() leaves */
    uint64_t args[ARGS_BYTES / 8]; /* the operator's, by ARGS() */
    uint64_t more[ARGS_BYTES / 8]; /* what they point to on the host */
} check;
#define ARGS(c, op) ((samc__##op##_args *)(void *)(c)->args) /* the arguments of operator `op` */

/* Who runs a case. Hosts: quick, every change and in every pattern, or with --full; with --bench. The CUDA kernels,
 * emulated and on hardware: quick, or with --full; on hardware alone. NaN and infinities are planted on both, or in the
 * kernels' own shapes, one place each. */
enum {
    HOST_QUICK = 1,
    HOST_FULL = 2,
    BENCH = 4,
    CUDA_QUICK = 8,
    CUDA_FULL = 16,
    HARDWARE = 32,
    PLANTED = 64,
    CUDA_SHAPE = 128,
    ALL = HOST_QUICK | CUDA_QUICK | PLANTED,
    HOSTS = HOST_QUICK | PLANTED, /* too large for threads that are fibers, or nothing of theirs */
    QUICK = HOST_QUICK | CUDA_QUICK,
    FULL = HOST_FULL | CUDA_FULL,
    MODEL = HOST_FULL | BENCH /* the shapes of a model */
};
enum { F32 = SAMC__F32, F16 = SAMC__F16, BF16 = SAMC__BF16 };
typedef struct test_case {
    int tier;
    int p[MAX_PARAMS];
} test_case;

struct book; /* tests/checkops/book.h */
struct samc__cuda;

/* What is checked of one operator, in kernels/<operator>/cases.c. */
typedef struct row {
    const char *name;
    const char *fields; /* names of p[], for the report */
    /* Against the reference on MODEL inputs: normalised mean squared error, and largest error in units of the
     * reference's standard deviation. Other patterns may exceed it as far as the reference itself moves when its inputs
     * are rounded differently in the last place, times `slack`. */
    double nmse, deviation;
    const test_case *cases;
    int case_count;
    void (*build)(check *c, const int *p);
    /* Narrows the arguments to the last entry of a batch (same buffers); false where the case has only one. NULL: none.
     * `by_entry`: p[0] says how many entries it has, and narrow() takes check.behind. */
    bool (*narrow)(check *c, const int *p);
    bool by_entry;
    /* NULL, or what is wrong with a result by another algorithm than the reference's. NULL: the reference is enough. */
    const char *(*verify)(const check *c, const int *p);
    /* Fills p[] with a valid shape, anything an operator promises to do; what would take too long is drawn again. */
    void (*draw)(check *c, int *p);
    /* The results in double precision; NULL: the reference's bytes are the measure. */
    void (*book)(struct book *b, const check *c);

    samc__view (*packed)(const check *c); /* the weight that a model packs ahead, for the benchmark; NULL: none */

    /* For hosts' rungs of 16 bits (checkops_low.c): the views that are bf16 there, activations all; and the weight that
     * a model packs ahead, which is then read by its panels alone (NULL: none). No views: a case that they refuse. */
    int (*low)(check *c, samc__view **views);
    samc__view *(*low_packed)(check *c);

    /* For the CUDA kernels: the views that may be of 16 bits, at least all of one type (NULL: none; at most MAX_VIEWS);
     * which types a case gives them (NULL: f32); what a result may be off where the reference's happens to be exact
     * (0: a last place of its type; less: nothing); whether each must be the reference's, rounded once; whether the
     * arguments are of the hosts' tables alone (NULL: never). `tensor`: whether a case's products meet tensor cores in
     * 16 bits; where a row has it, the naive kernel in 16 bits is the book with every step rounded, all views having
     * one type, and last_place is of f32 results alone; it is the reference on rounded inputs everywhere else.
     * `takes_tensor`: what the kernel's own choice says of that (NULL: it has none). `folded`: its FLOPs where they are
     * not the operator's. */
    int (*typed)(check *c, samc__view **views);
    void (*types)(const int *p, samc__dtype *of_views);
    double last_place;
    bool nearest;
    bool (*tensor)(const int *p, int capability);
    bool (*takes_tensor)(const check *on_device, int capability);
    double (*folded)(const int *p);
    bool (*for_hosts)(const check *c);
    /* What the naive kernel of their gate makes of the arguments, before its last rounding (NULL: the reference's
     * results); where it says nothing, nothing may be written. Of cases too large for that, every how many-th row,
     * pixel or query (a prime) `book` and it compute (NULL: all). */
    void (*naive)(struct book *b, const check *c, const int *p);
    int (*every)(const int *p);
    /* Runs a case by the kernel that it names (NULL: the operator). Whether a GPU has no such kernel (NULL: never). */
    samc_status (*by_kernel)(const struct samc__cuda *cuda, const check *c, const int *p);
    bool (*not_on)(const int *p, int capability);
    size_t (*more_scratch)(const check *c); /* for that, where it is more than the operator asks for (NULL: none) */

    /* For NaN and infinities (nonfinite.c): at how many places, 0: 12; which buffers of bytes are floats all the same
     * (NULL: none); whether a value can occur in a buffer (NULL: always); whether buffer `data` may be non-finite where
     * the book's is not, with `value` planted in another (NULL: never). Buffers by their address. */
    int places;
    void (*planted_types)(const check *c, samc__dtype type, samc__dtype *of_views); /* NULL: all `type` */
    bool (*plants)(const check *c, const void *data);
    bool (*occurs)(const check *c, const void *data, float value);
    bool (*may_spread)(const check *c, const void *planted, float value, const void *data, bool cuda);
} row;
enum { MAX_VIEWS = 8 };
/* ROW(operator) = {...}: the one of its cases.c. */
#define ROW(op)                                                                                                        \
    _Static_assert(sizeof(samc__##op##_args) <= ARGS_BYTES, "arguments of " #op);                                      \
    const row op##_cases
#define COUNT(cases) (int)(sizeof(cases) / sizeof(cases)[0])

/* One row for each operator: without its cases an operator does not link. */
#define SAMC_OP(name, ...) extern const row name##_cases;
#include "kernels/list.h"
#undef SAMC_OP
enum {
#define SAMC_OP(op, ...) OP_##op,
#include "kernels/list.h"
#undef SAMC_OP
    OPS
};
extern const row *const all_rows[OPS]; /* in the list's order */

/* The arguments of a case; the same for the same seed. */
void build_case(const row *r, const test_case *t, uint64_t seed, pattern p, guard_place place, check *c);
double flops_of(const row *r, const check *c);
samc_status call_op(const row *r, const samc__exec *exec, const check *c); /* checked, by exec's table */

/* Buffers of `count` floats or `bytes` bytes. Random data follows the pattern, scaled by `scale`. */
float *input(check *c, int64_t count, float scale);
float *input_around(check *c, int64_t count, float mean, float scale); /* the same in every pattern: gains, biases */
float *output(check *c, int64_t count);
float *in_out(check *c, int64_t count, float scale);
void *raw_input(check *c, size_t bytes);  /* zeros to be filled by the caller */
void *raw_output(check *c, size_t bytes); /* compared byte by byte */
void *raw_in_out(check *c, size_t bytes);
int buffer_of(const check *c, const void *data, size_t *at); /* the one that `data` lies in, and where */
const void *initial(const check *c, const void *data);       /* the input at `data` before the run */

void keep_initial(check *c); /* what the buffers hold now is the input of every run */
void protect_inputs(check *c, bool on);
void reset(check *c); /* inputs as they were, outputs NaN */
void free_buffers(check *c);
void snapshot_size(const check *c, size_t *size);
unsigned char *snapshot(const check *c,
                        size_t *size); /* copies of all outputs, one after the other; the caller frees */
uint32_t random_bits(check *c);
float random_uniform(check *c);    /* [0, 1) */
float random_normal(check *c);     /* deviation 1, near enough */
int random_below(check *c, int n); /* [0, n) */
/* A size in [1, most] that kernels are afraid of: small, or within one of a multiple of a vector, or any. */
int random_size(check *c, int most);

/* Arguments that several operators take (arguments.c). */
samc__projection projection(check *c, int64_t out, int64_t in);
samc__norm norm(check *c, int64_t n, float eps);
samc__attention attention(check *c, int64_t inner, int64_t n, int heads,
                          int unbiased); /* bit i: the i-th has no bias */
samc__view last_of(samc__view v);        /* the last of its n[0] entries alone */
/* The entry of v alone that belongs to the batch's with check.behind behind it, of `entries` that share v's. */
samc__view entry_of(const check *c, samc__view v, int64_t entries);
samc__key_update key_update(check *c, float *(*made)(check *, int64_t), int64_t prompts, int64_t t, int64_t n,
                            int64_t heads, int64_t inner);
samc__key_update last_update(samc__key_update u);
int64_t words_of(int width); /* of 64 bits, of a row of a packed mask */
bool pixel(const uint64_t *mask, int width, int64_t x, int64_t y);
void set_pixel(uint64_t *bits, int width, int64_t x, int64_t y); /* of masks below each other */
void fill_masks(check *c, uint64_t *bits, int64_t masks, int width, int height);
bool encoding_fits(double x, double y, const float *gaussian, int64_t c, const float *out, const float *added);

#endif
