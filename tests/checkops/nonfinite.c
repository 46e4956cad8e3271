/* NaN and infinities planted in every input of every operator: reference, table under test and the book (book.h)
 * must agree on which outputs are finite.
 *
 *     nonfinite [--caps none|sse2|avx2|avx512|neon|...] [--op NAME] [--full] [--one-type] [--seed N]
 *
 * --caps again asks for one more table, beside the same book and reference.
 *
 * Built with CHECKOPS_CUDA the CUDA kernels are tested instead (tests/emu), each case in two or three types, or in one
 * with --one-type. */
#include "tests/checkops/nonfinite.h"
#include "tests/checkops/book.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/caps.h"
#include "kernels/cpu/cpu.h"
#include "runtime/memory.h"
#include "runtime/threads.h"

enum { MOST_TABLES = 4 };

typedef struct context {
    samc__ops ref;
    struct {
        samc__ops ops;
        const char *caps;
    } tables[MOST_TABLES], *tested; /* that of them which runs */
    int table_count;
    const char *only;
    uint64_t seed;
    bool full, one_type;
    int failures, checks;
    samc_error error;
} context;

static samc_status run_op(context *x, const row *r, const samc__ops *ops, int threads, check *c) {
    samc__pool *pool = samc__pool_create(threads);
    samc__memory memory = {0};
    if (pool == NULL) abort();
    samc__exec exec = {.ops = ops,
                       .error = &x->error,
                       .workers = threads,
                       .pool = pool,
                       .parallel = samc__pool_run,
                       .memory = &memory,
                       .allocate = samc__memory_allocate,
                       .release = samc__memory_release};
    samc_status status = call_op(r, &exec, c);
    samc__pool_destroy(pool);
    return status;
}

static void report(context *x, const row *r, const test_case *t, const char *what) {
    x->failures++;
    printf("FAILED %s (%s =", r->name, r->fields);
    for (int i = 0; i < MAX_PARAMS; i++) printf(" %d", t->p[i]);
    printf("): %s\n       again: nonfinite --caps %s --seed %llu --op %s%s\n", what, x->tested->caps,
           (unsigned long long)x->seed, r->name, x->full ? " --full" : "");
}

/* The operator on the table under test, or on the CUDA kernels in `type`. */
static samc_status run_tested(context *x, const row *r, check *c, samc__dtype type) {
    (void)type;
#ifdef CHECKOPS_CUDA
    return run_cuda(r, c, type, &x->error);
#else
    return run_op(x, r, &x->tested->ops, 1, c);
#endif
}

/* The floats of buffer `index` that may be planted in, at their place before a run; NULL: none. */
static float *plantable(const row *r, check *c, int index, int64_t *count) {
    buffer *b = &c->buffers[index];
    bool floats = b->floats || (r->plants && r->plants(c, b->data));
    *count = (int64_t)b->bytes / 4;
    return b->role != OUT && floats && *count > 0 ? b->initial : NULL;
}

static bool may_spread(const row *r, const check *c, int planted, float value, int index) {
#ifdef CHECKOPS_CUDA
    bool cuda = true;
#else
    bool cuda = false;
#endif
    return r->may_spread && r->may_spread(c, c->buffers[planted].data, value, c->buffers[index].data, cuda);
}

/* What is wrong with the outputs of the table under test, or NULL: they must be finite where the book's are, the
 * reference's too. */
static const char *check_table(context *x, const row *r, check *c, samc__dtype type, int planted, float value,
                               double *const *expected, const unsigned char *ref) {
    bool floats = false;
    const char *wrong = NULL;
    size_t size, at = 0;
    for (int i = 0; i < c->count; i++) floats |= expected[i] != NULL;
    reset(c);
    samc_status status = run_tested(x, r, c, type);
    unsigned char *tested = snapshot(c, &size);
    if (status != SAMC_OK && status != SAMC_UNSUPPORTED) wrong = x->error.message;
    if (wrong == NULL && status == SAMC_OK && !floats && memcmp(ref, tested, size) != 0)
        wrong = "differs from the reference";
    for (int i = 0; i < c->count; i++) {
        const buffer *b = &c->buffers[i];
        for (size_t j = 0; b->role != IN && expected[i] && j < b->bytes / 4 && wrong == NULL; j++) {
            float one, other;
            memcpy(&one, ref + at + 4 * j, 4);
            memcpy(&other, tested + at + 4 * j, 4);
            if (isfinite(one) != isfinite(expected[i][j]))
                wrong = isfinite(one) ? "the reference swallows it" : "the reference spreads it";
            else if (status != SAMC_OK) continue;
            else if (isfinite(other) && !isfinite(one)) wrong = "it is swallowed";
            else if (isfinite(one) && !isfinite(other) && !may_spread(r, c, planted, value, i))
                wrong = "it spreads further than the reference's";
        }
        if (b->role != IN) at += b->bytes;
    }
    free(tested);
    return wrong;
}

/* The same of the arguments as they are, of every table up to the first that is wrong. */
static const char *check_finite(context *x, const row *r, check *c, samc__dtype type, int planted, float value) {
    double *expected[MAX_BUFFERS];
    const char *wrong = NULL;
    size_t size;
    evaluate(r, c, expected);
    reset(c);
    x->tested = x->tables;
    if (run_op(x, r, &x->ref, 2, c) != SAMC_OK) wrong = x->error.message;
    unsigned char *ref = snapshot(c, &size);
    for (int i = 0; i < x->table_count && wrong == NULL; i++) {
        x->tested = &x->tables[i];
        wrong = check_table(x, r, c, type, planted, value, expected, ref);
    }
    for (int i = 0; i < c->count; i++) free(expected[i]);
    free(ref);
    return wrong;
}

/* NaN and infinities in every input: at the last place, everywhere, in the middle (of a table of relative positions
 * that is a key's own row, all of whose scores it is in), and at a place of its own; masks are one flat part beside
 * another, so at many there. */
static void check_nonfinite(context *x, const row *r, const test_case *t, samc__dtype type, bool few) {
    static const float planted[] = {NAN, INFINITY, -INFINITY};
    check c;
    build_case(r, t, x->seed, PATTERN_MODEL, GUARD_END, &c);
    for (int i = 0; i < c.count; i++) {
        int64_t count;
        float *into = plantable(r, &c, i, &count), *kept = into ? malloc((size_t)count * sizeof *kept) : NULL;
        if (kept == NULL) continue;
        memcpy(kept, into, (size_t)count * sizeof *kept);
        for (int j = 0; j < (r->places ? r->places : 12); j++) {
            float value = planted[j % 3];
            bool all = j / 3 == 1, last = j / 3 == 0;
            if (few && j / 3 < 2) continue;
            int64_t from = all          ? 0
                           : last       ? count - 1
                           : j / 3 == 2 ? count / 2
                                        : random_bits(&c) % (uint32_t)count,
                    to = all ? count : from + 1;
            if (r->occurs && !r->occurs(&c, c.buffers[i].data, value)) continue;
            for (int64_t k = from; k < to; k++) into[k] = value;
            const char *wrong = check_finite(x, r, &c, type, i, value);
            memcpy(into, kept, (size_t)count * sizeof *kept);
            x->checks++;
            if (wrong == NULL) continue;
            char what[256];
            snprintf(what, sizeof what, "%g at %lld .. %lld of buffer %d (type %d): %.100s", (double)value,
                     (long long)from, (long long)to - 1, i, (int)type, wrong);
            report(x, r, t, what);
        }
        free(kept);
    }
    free_buffers(&c);
}

/* Every case of a row that is not too large by the book; on the CUDA kernels in every type, and in their own shapes. */
static void check_nonfinite_row(context *x, const row *r) {
    int types = 1;
#ifdef CHECKOPS_CUDA
    types = 3;
    for (int i = 0, seen = 0; i < r->case_count; i++) /* one place each: threads that are fibers take their time */
        if (r->cases[i].tier & CUDA_SHAPE)
            check_nonfinite(x, r, &r->cases[i], seen++ % 2 ? SAMC__F16 : SAMC__BF16, true);
#endif
    for (int i = 0; i < r->case_count; i++) {
        check c;
        if (!(r->cases[i].tier & PLANTED)) continue;
        build_case(r, &r->cases[i], x->seed, PATTERN_MODEL, GUARD_END, &c);
        bool small = flops_of(r, &c) < (x->full ? 4e7 : types > 1 ? 3e5 : 2e6);
        free_buffers(&c);
        for (int type = x->one_type ? i % types : 0; type < types && small; type += x->one_type ? types : 1 + i % 2)
            check_nonfinite(x, r, &r->cases[i], (samc__dtype)type, false);
    }
}

int main(int argc, char **argv) {
    context x = {.seed = 1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--full") == 0) x.full = true;
        else if (strcmp(argv[i], "--one-type") == 0) x.one_type = true;
        else if (strcmp(argv[i], "--op") == 0) x.only = value, i++;
        else if (strcmp(argv[i], "--seed") == 0) x.seed = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--caps") == 0 && samc__caps_parse(value) >= 0 && x.table_count < MOST_TABLES)
            x.tables[x.table_count++].caps = value, i++;
        else {
            fprintf(stderr, "nonfinite: %s %s?\n", argv[i], value);
            return 2;
        }
    }
    samc__ops_ref(&x.ref);
    if (x.table_count == 0) x.tables[x.table_count++].caps = samc__caps_names;
    for (int i = 0; i < x.table_count; i++) {
        samc__ops_ref(&x.tables[i].ops);
        samc__ops_cpu(&x.tables[i].ops, samc__caps_detect() & (unsigned)samc__caps_parse(x.tables[i].caps));
    }
    for (int i = 0; i < OPS; i++)
        if (x.only == NULL || strcmp(x.only, all_rows[i]->name) == 0) check_nonfinite_row(&x, all_rows[i]);
    printf("%d checks, %d failed\n", x.checks, x.failures);
    return x.failures != 0 || x.checks == 0;
}
