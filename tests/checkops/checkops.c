/* Runs the cases: reference against the table under test, with guards, NaN-filled outputs and several thread counts.
 *
 *     checkops [--backend cpu] [--caps none|avx2|avx512|...] [--op NAME] [--full] [--bench] [--seed N] [--threads N]
 *
 * A failure prints the operator, the case's parameters, the pattern and the seed; with --op and --seed it comes back. */
#include "tests/checkops/checkops.h"

#include "kernels/caps.h"
#include "kernels/cpu.h"
#include "runtime/memory.h"
#include "runtime/threads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { GUARD = 256, GUARD_BYTE = 0xa5, BENCH_RUNS = 9 };

static const char *const pattern_names[PATTERNS] = {"model", "large mean", "large", "zero", "denormal"};

/* ---- Buffers ----------------------------------------------------------------------------------------------------- */

static void *add_buffer(check *c, size_t bytes, role role, bool floats) {
    if (c->count == MAX_BUFFERS) abort();
    buffer *b = &c->buffers[c->count++];
    /* Floats are 4-byte aligned and no more, so that a kernel that assumes more is found out. */
    size_t size = bytes + 2 * GUARD + 64;
    *b = (buffer){.block = malloc(size), .bytes = bytes, .role = role, .floats = floats};
    b->initial = malloc(bytes ? bytes : 1);
    if (b->block == NULL || b->initial == NULL) abort();
    memset(b->block, GUARD_BYTE, size);
    b->data = b->block + GUARD + (floats ? 4 : 0);
    memset(b->data, 0, bytes);
    return b->data;
}

uint32_t random_bits(check *c) {
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (uint32_t)(c->random >> 24);
}
float random_uniform(check *c) { return (float)(random_bits(c) >> 8) * 0x1p-24f; }
float random_normal(check *c) { /* sum of four uniforms */
    return (random_uniform(c) + random_uniform(c) + random_uniform(c) + random_uniform(c) - 2.0f) * 1.7320508f;
}

static float *fill(check *c, float *data, int64_t count, float scale) {
    for (int64_t i = 0; i < count; i++) {
        float x = random_normal(c) * scale;
        switch (c->pattern) {
        case PATTERN_LARGE_MEAN: x += 50.0f * scale; break;
        case PATTERN_LARGE: x *= 12.0f; break;
        case PATTERN_ZERO: x = 0.0f; break;
        case PATTERN_DENORMAL: x *= 1e-39f; break;
        default: break;
        }
        data[i] = x;
    }
    return data;
}

float *input(check *c, int64_t count, float scale) { return fill(c, add_buffer(c, (size_t)count * 4, IN, true), count, scale); }
float *in_out(check *c, int64_t count, float scale) { return fill(c, add_buffer(c, (size_t)count * 4, INOUT, true), count, scale); }
float *output(check *c, int64_t count) { return add_buffer(c, (size_t)count * 4, OUT, true); }
void *raw_input(check *c, size_t bytes) { return add_buffer(c, bytes, IN, false); }
void *raw_output(check *c, size_t bytes) { return add_buffer(c, bytes, OUT, false); }
void *raw_in_out(check *c, size_t bytes) { return add_buffer(c, bytes, INOUT, false); }
const void *initial(const check *c, const void *data) {
    for (int i = 0; i < c->count; i++)
        if (c->buffers[i].data == data) return c->buffers[i].initial;
    abort();
}
float *input_around(check *c, int64_t count, float mean, float scale) {
    float *data = add_buffer(c, (size_t)count * 4, IN, true);
    for (int64_t i = 0; i < count; i++) data[i] = mean + scale * random_normal(c);
    return data;
}

static void keep_initial(check *c) {
    for (int i = 0; i < c->count; i++) memcpy(c->buffers[i].initial, c->buffers[i].data, c->buffers[i].bytes);
}

static void reset(check *c) {
    for (int i = 0; i < c->count; i++) {
        buffer *b = &c->buffers[i];
        if (b->role == OUT) memset(b->data, 0xff, b->bytes); /* NaN */
        else memcpy(b->data, b->initial, b->bytes);
    }
}

/* Inputs changed by at most one unit in the last place: what any fp32 implementation may do to them. */
static void perturb(check *c) {
    for (int i = 0; i < c->count; i++) {
        buffer *b = &c->buffers[i];
        if (b->role == OUT || !b->floats) continue;
        float *x = b->data;
        for (size_t j = 0; j < b->bytes / 4; j++) {
            uint32_t direction = random_bits(c) % 3;
            if (direction != 0 && x[j] != 0.0f) x[j] = nextafterf(x[j], direction == 1 ? INFINITY : -INFINITY);
        }
    }
}

static void free_buffers(check *c) {
    for (int i = 0; i < c->count; i++) {
        free(c->buffers[i].block);
        free(c->buffers[i].initial);
    }
    c->count = 0;
}

/* NULL, or what was touched that must not be. */
static const char *intact(const check *c) {
    for (int i = 0; i < c->count; i++) {
        const buffer *b = &c->buffers[i];
        for (size_t j = 0; j < GUARD; j++)
            if (b->block[j] != GUARD_BYTE || b->block[(size_t)((unsigned char *)b->data - b->block) + b->bytes + j] != GUARD_BYTE) return "a guard zone was written to";
        if (b->role == IN && memcmp(b->data, b->initial, b->bytes) != 0) return "an input was changed";
    }
    return NULL;
}

/* Copies of all outputs, one after the other; the caller frees. */
static unsigned char *snapshot(const check *c, size_t *size) {
    *size = 0;
    for (int i = 0; i < c->count; i++)
        if (c->buffers[i].role != IN) *size += c->buffers[i].bytes;
    unsigned char *copy = malloc(*size + 1), *at = copy;
    if (copy == NULL) abort();
    for (int i = 0; i < c->count; i++)
        if (c->buffers[i].role != IN) {
            memcpy(at, c->buffers[i].data, c->buffers[i].bytes);
            at += c->buffers[i].bytes;
        }
    return copy;
}

/* ---- Comparison -------------------------------------------------------------------------------------------------- */

typedef struct difference {
    double nmse, deviation; /* the worst of all outputs */
    bool exact;             /* every output that must be equal byte by byte is */
    bool finite;
} difference;

static difference compare(const check *c, const unsigned char *expected, const unsigned char *actual) {
    difference d = {0, 0, true, true};
    for (int i = 0; i < c->count; i++) {
        const buffer *b = &c->buffers[i];
        if (b->role == IN) continue;
        if (!b->floats) {
            if (memcmp(expected, actual, b->bytes) != 0) d.exact = false;
        } else {
            size_t n = b->bytes / 4;
            double sum = 0, squares = 0, errors = 0, largest = 0;
            for (size_t j = 0; j < n; j++) {
                float e, a;
                memcpy(&e, expected + 4 * j, 4);
                memcpy(&a, actual + 4 * j, 4);
                if (isfinite(e) != isfinite(a)) d.finite = false;
                if (!isfinite(e) || !isfinite(a)) continue;
                double error = fabs((double)a - e);
                sum += e, squares += (double)e * e, errors += error * error;
                if (error > largest) largest = error;
            }
            double mean = sum / (double)n, variance = squares / (double)n - mean * mean;
            double spread = sqrt(variance > 0 ? variance : 0);
            double scale = squares > 1e-60 * (double)n ? squares : 1e-60 * (double)n;
            if (spread < 1e-7 * sqrt(squares / (double)n)) spread = sqrt(squares / (double)n); /* a constant output */
            if (spread < 1e-30) spread = 1e-30;
            if (errors / scale > d.nmse) d.nmse = errors / scale;
            if (largest / spread > d.deviation) d.deviation = largest / spread;
        }
        expected += b->bytes, actual += b->bytes;
    }
    return d;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

typedef struct context {
    samc__ops ref, tested;
    const char *only;
    uint64_t seed;
    unsigned caps;
    bool full, bench;
    int threads, failures, checks;
    samc_error error;
    samc__packed *packed; /* weights packed ahead, as a model does; NULL: none */
} context;

static samc_status run_op(context *x, const char *name, const samc__ops *ops, int threads, check *c, double *flops, size_t *peak) {
    samc__pool *pool = samc__pool_create(threads);
    samc__memory memory = {0};
    if (pool == NULL) abort();
    samc__exec exec = {
        .ops = ops, .error = &x->error, .workers = threads, .pool = pool, .parallel = samc__pool_run,
        .packed = x->packed, .memory = &memory, .allocate = samc__memory_allocate, .release = samc__memory_release,
    };
    samc_status status = SAMC_INTERNAL;
#define SAMC_OP(op)                                                                                                   \
    if (strcmp(name, #op) == 0) {                                                                                     \
        status = samc__##op(&exec, &c->args.op);                                                                      \
        if (flops) *flops = samc__##op##_flops(&c->args.op);                                                          \
    }
#include "kernels/ops_list.h"
#undef SAMC_OP
    samc__pool_destroy(pool);
    if (peak) *peak = memory.peak;
    if (memory.current != 0) status = samc__fail(&x->error, SAMC_INTERNAL, "%zu bytes of scratch were not released", memory.current);
    return status;
}

static void print_case(const row *r, const test_case *t, pattern p) {
    char fields[200], *field = fields;
    snprintf(fields, sizeof fields, "%s", r->fields);
    printf("%s", r->name);
    for (int i = 0; i < MAX_PARAMS; i++) {
        char *name = strtok(i ? NULL : field, " ");
        if (name == NULL) break;
        printf(" %s=%d", name, t->p[i]);
    }
    printf(" pattern=\"%s\"", pattern_names[p]);
}

static void report(context *x, const row *r, const test_case *t, pattern p, const char *what) {
    x->failures++;
    printf("FAILED ");
    print_case(r, t, p);
    printf(": %s\n       again: checkops --seed %llu --op %s%s\n", what, (unsigned long long)x->seed, r->name, t->full ? " --full" : "");
}

static void build(context *x, const row *r, const test_case *t, pattern p, check *c) {
    *c = (check){.random = x->seed * UINT64_C(0x9e3779b97f4a7c15) + 1, .pattern = p};
    for (int i = 0; i < MAX_PARAMS; i++) c->random = (c->random ^ (uint64_t)t->p[i]) * UINT64_C(0xbf58476d1ce4e5b9) + 7;
    for (int i = 0; i < 8; i++) random_bits(c);
    r->build(c, t->p);
    keep_initial(c);
}

static void check_case(context *x, const row *r, const test_case *t, pattern p) {
    check c;
    size_t size;
    char what[256];
    build(x, r, t, p, &c);
    x->checks++;
    reset(&c);
    samc_status status = run_op(x, r->name, &x->ref, 2, &c, NULL, NULL);
    unsigned char *expected = snapshot(&c, &size), *actual = NULL, *again = NULL;
    if (status != SAMC_OK) {
        report(x, r, t, p, x->error.message);
        goto done;
    }
    reset(&c);
    status = run_op(x, r->name, &x->tested, 1, &c, NULL, NULL);
    actual = snapshot(&c, &size);
    if (status != SAMC_OK || intact(&c) != NULL) {
        report(x, r, t, p, status != SAMC_OK ? x->error.message : intact(&c));
        goto done;
    }
    if (r->verify && r->verify(&c, t->p) != NULL) report(x, r, t, p, r->verify(&c, t->p));
    difference d = compare(&c, expected, actual);
    double nmse = r->nmse, deviation = r->deviation;
    if (p != PATTERN_MODEL && d.finite && (d.nmse > nmse || d.deviation > deviation)) {
        enum { SLACK = 30 }; /* a sum of k terms rounds k times, a changed input once: about sqrt(k) / 2, k up to 4096 */
        reset(&c);
        perturb(&c);
        run_op(x, r->name, &x->ref, 2, &c, NULL, NULL);
        again = snapshot(&c, &size);
        difference floor = compare(&c, expected, again);
        nmse += SLACK * SLACK * floor.nmse, deviation += SLACK * floor.deviation;
        if (p == PATTERN_DENORMAL) nmse += 1, deviation += 1; /* only finite, and no crash: flushing to 0 is allowed */
    }
    if (!d.exact) report(x, r, t, p, "differs from the reference");
    else if (!d.finite) report(x, r, t, p, "an output is NaN or infinite, or was not written");
    else if (!(d.nmse <= nmse) || !(d.deviation <= deviation)) {
        snprintf(what, sizeof what, "nmse %.2e (at most %.1e), largest error %.2e deviations (at most %.1e)", d.nmse, nmse, d.deviation, deviation);
        report(x, r, t, p, what);
    }
    reset(&c);
    status = run_op(x, r->name, &x->tested, 3, &c, NULL, NULL);
    free(again);
    again = snapshot(&c, &size);
    if (status != SAMC_OK || memcmp(actual, again, size) != 0) report(x, r, t, p, "three threads give other bytes than one");
    if (r->narrow && r->narrow(&c, t->p)) {
        reset(&c);
        status = run_op(x, r->name, &x->tested, 2, &c, NULL, NULL);
        free(again);
        again = snapshot(&c, &size);
        bool same = status == SAMC_OK, any = false;
        size_t at = 0;
        for (int i = 0; i < c.count && same; i++) {
            const buffer *b = &c.buffers[i];
            if (b->role == IN) continue;
            for (size_t j = 0; j + 4 <= b->bytes; j += 4) { /* what this run did not write still holds what reset() put there */
                static const unsigned char nan_bytes[4] = {0xff, 0xff, 0xff, 0xff};
                const unsigned char *before = b->role == OUT ? nan_bytes : (unsigned char *)b->initial + j;
                if (memcmp(again + at + j, before, 4) == 0) continue;
                any = true;
                if (memcmp(again + at + j, actual + at + j, 4) != 0) same = false;
            }
            at += b->bytes;
        }
        if (!same || (!any && p == PATTERN_MODEL)) report(x, r, t, p, "an entry alone gives other bytes than in its batch");
    }
done:
    free(expected);
    free(actual);
    free(again);
    free_buffers(&c);
}

/* ---- Benchmark --------------------------------------------------------------------------------------------------- */

static double clock_seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Over the runs: median wall time, and least processor time divided by the threads (what remains on a busy machine). */
static void time_op(context *x, const row *r, const samc__ops *ops, check *c, int runs, double *wall, double *busy, double *flops, size_t *peak) {
    double walls[BENCH_RUNS], busies[BENCH_RUNS];
    for (int i = 0; i < runs; i++) {
        reset(c);
        double w = clock_seconds(CLOCK_MONOTONIC), b = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (run_op(x, r->name, ops, x->threads, c, flops, peak) != SAMC_OK) printf("%s: %s\n", r->name, x->error.message);
        walls[i] = clock_seconds(CLOCK_MONOTONIC) - w;
        busies[i] = (clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - b) / x->threads;
    }
    qsort(walls, (size_t)runs, sizeof *walls, ascending);
    qsort(busies, (size_t)runs, sizeof *busies, ascending);
    *wall = walls[runs / 2], *busy = busies[0];
}

static void bench_case(context *x, const row *r, const test_case *t) {
    check c;
    double wall, busy, ref_wall, ref_busy, flops;
    size_t peak;
    build(x, r, t, PATTERN_MODEL, &c);
    x->packed = samc__packed_create();
    if (strcmp(r->name, "linear") == 0) {
        samc__view w = c.args.linear.p.w;
        samc__packed_add(x->packed, samc__f32(w), w.n[0], w.n[1], false);
    }
    time_op(x, r, &x->tested, &c, BENCH_RUNS, &wall, &busy, &flops, &peak);
    printf("%9.3f ms %9.3f ms cpu %7.1f GFLOP/s %7.1f cpu %6.1f MB ", 1e3 * wall, 1e3 * busy, 1e-9 * flops / wall, 1e-9 * flops / busy, 1e-6 * (double)peak);
    fflush(stdout);
    if (x->full) {
        time_op(x, r, &x->ref, &c, 1, &ref_wall, &ref_busy, &flops, NULL);
        printf("%7.1fx ref ", ref_busy / busy);
    }
    print_case(r, t, PATTERN_MODEL);
    printf("\n");
    samc__packed_destroy(x->packed);
    x->packed = NULL;
    free_buffers(&c);
}

static const row *const groups[] = {encoder_rows, prompt_rows, decoder_rows, image_rows, mask_rows};
enum { GROUPS = sizeof groups / sizeof *groups };

/* Every operator of the list has a case to check and a shape of a real model; returns how many do not. */
static int without_cases(void) {
    static const char *const names[] = {
#define SAMC_OP(op) #op,
#include "kernels/ops_list.h"
#undef SAMC_OP
    };
    int missing = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        int quick = 0, full = 0;
        for (int g = 0; g < GROUPS; g++)
            for (const row *r = groups[g]; r->name != NULL; r++)
                for (int j = 0; j < r->case_count && strcmp(r->name, names[i]) == 0; j++) *(r->cases[j].full ? &full : &quick) += 1;
        if (quick > 0 && full > 0) continue;
        printf("FAILED %s: %d quick and %d full cases\n", names[i], quick, full);
        missing++;
    }
    return missing;
}

int main(int argc, char **argv) {
    context x = {.seed = 1, .threads = 2, .caps = samc__caps_detect()};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--full") == 0) x.full = true;
        else if (strcmp(argv[i], "--bench") == 0) x.bench = true;
        else if (strcmp(argv[i], "--op") == 0) x.only = value, i++;
        else if (strcmp(argv[i], "--seed") == 0) x.seed = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--threads") == 0) x.threads = atoi(value), i++;
        else if (strcmp(argv[i], "--backend") == 0 && strcmp(value, "cpu") == 0) i++;
        else if (strcmp(argv[i], "--caps") == 0 && samc__caps_parse(value) >= 0) x.caps &= (unsigned)samc__caps_parse(value), i++;
        else {
            fprintf(stderr, "checkops: %s %s?\n", argv[i], value);
            return 2;
        }
    }
    samc__ops_ref(&x.ref);
    samc__ops_ref(&x.tested);
    samc__ops_cpu(&x.tested, x.caps);
    printf("seed %llu, capabilities %s%s%s\n", (unsigned long long)x.seed, x.caps & SAMC__CAP_AVX2 ? "avx2 " : "",
           x.caps & SAMC__CAP_AVX512 ? "avx512" : "", x.caps == 0 ? "none" : "");
    x.failures = without_cases();
    for (int g = 0; g < GROUPS; g++)
        for (const row *r = groups[g]; r->name != NULL; r++) {
            if (x.only && strcmp(x.only, r->name) != 0) continue;
            for (int i = 0; i < r->case_count; i++) {
                const test_case *t = &r->cases[i];
                if (x.bench) {
                    if (t->full) bench_case(&x, r, t);
                } else if (!t->full) {
                    for (int p = 0; p < PATTERNS; p++) check_case(&x, r, t, (pattern)p);
                } else if (x.full) check_case(&x, r, t, PATTERN_MODEL);
            }
        }
    if (!x.bench) printf("%d checks, %d failed\n", x.checks, x.failures);
    return x.failures != 0 || (!x.bench && x.checks == 0);
}
