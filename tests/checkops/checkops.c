/* Runs the cases: reference against the table under test, between guard pages, with NaN-filled outputs and several
 * thread counts.
 *
 *     checkops [--backend cpu] [--caps none|sse2|avx2|avx512|neon|...] [--op NAME] [--full] [--bench] [--seed N]
 * [--threads N] checkops --random N [--shape I] [--op NAME] [--caps ...] [--seed N]
 *
 * --caps again asks for one more table: the reference, which takes most of the time, is run once for all of them.
 * The listed cases, or with --random N shapes drawn for each operator. A failure, a crash included, prints the
 * operator, its parameters, the pattern and a command with the seed that brings it back. */
#include "tests/checkops/checkops.h"

#include "kernels/cpu/caps.h"
#include "kernels/cpu/cpu.h"
#include "runtime/memory.h"
#include "runtime/threads.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BENCH_RUNS = 9, MOST_TABLES = 4 };

static const char *const pattern_names[PATTERNS] = {"model", "large mean", "large", "zero", "denormal"};

/* ---- Buffers --------------------------------------------------------------------------------- */

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

/* NULL, or what was touched that must not be. */
static const char *intact(const check *c) {
    for (int i = 0; i < c->count; i++)
        if (guard_touched(c->buffers[i].data) != NULL) return guard_touched(c->buffers[i].data);
    return NULL;
}

/* ---- Comparison ------------------------------------------------------------------------------ */

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

/* ---- Running --------------------------------------------------------------------------------- */

/* Shared by this process and its child, in which everything runs, so that a crash is one failure and not the end. */
typedef struct context {
    samc__ops ref;
    struct {
        samc__ops ops;
        const char *caps_text;
        unsigned caps;
    } tables[MOST_TABLES], *tested; /* that of them which runs */
    int table_count;
    const char *only;
    uint64_t seed;
    bool full, bench, done;
    int threads, failures, checks;
    int random, shape; /* shapes to draw for each operator; 0: the listed cases. The only one of them, or -1 */
    int item;          /* what runs, counted from the start; restarts go on behind it */
    int drawn;         /* which shape it is; -1: a listed case */
    bool listed_full;  /* of a listed case */
    const row *row;
    char current[400], fault[200]; /* its parameters; where it crashed */
    struct {
        int shapes, worst;
        double nmse, deviation;
    } tally[OPS]; /* of shapes drawn with the MODEL pattern; the worst by nmse */
    samc_error error;
    samc__packed *packed; /* weights packed ahead, as a model does; NULL: none */
} context;

/* Scratch as sessions give it, 64-byte aligned and not initialised, between guard pages. */
typedef struct scratch {
    guard_place place;
    int live;
    const char *wrong;
} scratch;

static void *scratch_allocate(void *memory, size_t bytes) {
    scratch *s = memory;
    s->live++;
    return memset(guard_allocate(bytes, 64, s->place, "scratch"), 0xff, bytes); /* NaN */
}

static void scratch_release(void *memory, void *block) {
    scratch *s = memory;
    s->live -= block != NULL;
    const char *wrong = guard_free(block);
    if (wrong) s->wrong = wrong;
}

static samc_status run_op(context *x, const row *r, const samc__ops *ops, int threads, check *c, double *flops,
                          size_t *peak) {
    samc__pool *pool = samc__pool_create(threads);
    samc__memory memory = {0};
    scratch guarded = {.place = c->place};
    if (pool == NULL) abort();
    samc__exec exec = {.ops = ops,
                       .error = &x->error,
                       .workers = threads,
                       .pool = pool,
                       .parallel = samc__pool_run,
                       .packed = x->packed};
    if (x->bench) exec.memory = &memory, exec.allocate = samc__memory_allocate, exec.release = samc__memory_release;
    else exec.memory = &guarded, exec.allocate = scratch_allocate, exec.release = scratch_release;
    samc_status status = SAMC_INTERNAL;
    protect_inputs(c, true);
    status = call_op(r, &exec, c);
    if (flops) *flops = flops_of(r, c);
    protect_inputs(c, false);
    samc__pool_destroy(pool);
    if (peak) *peak = memory.peak;
    if (guarded.live != 0)
        status = samc__fail(&x->error, SAMC_INTERNAL, "%d blocks of scratch were not released", guarded.live);
    if (guarded.wrong != NULL) status = samc__fail(&x->error, SAMC_INTERNAL, "scratch: %s", guarded.wrong);
    return status;
}

static void print_case(char *text, size_t room, const row *r, const test_case *t, pattern p) {
    char fields[200], *field = fields;
    snprintf(fields, sizeof fields, "%s", r->fields);
    size_t used = (size_t)snprintf(text, room, "%s", r->name);
    for (int i = 0; i < MAX_PARAMS && used < room; i++) {
        char *name = strtok(i ? NULL : field, " ");
        if (name == NULL) break;
        used += (size_t)snprintf(text + used, room - used, " %s=%d", name, t->p[i]);
    }
    if (used < room) snprintf(text + used, room - used, " pattern=\"%s\"", pattern_names[p]);
}

static void report(context *x, const char *what) {
    x->failures++;
    printf("FAILED %s: %s\n       again: checkops --caps %s --seed %llu --op %s", x->current, what,
           x->tested->caps_text, (unsigned long long)x->seed, x->row->name);
    if (x->drawn >= 0) printf(" --random %d --shape %d", x->random, x->drawn);
    printf("%s\n", x->drawn < 0 && x->listed_full ? " --full" : "");
    fflush(stdout);
}

/* One run of an operator on inputs as they were: its outputs, or NULL where it failed. */
static unsigned char *outputs_of(context *x, const row *r, const samc__ops *ops, int threads, check *c) {
    size_t size;
    reset(c);
    samc_status status = run_op(x, r, ops, threads, c, NULL, NULL);
    if (status == SAMC_OK && intact(c) == NULL) return snapshot(c, &size);
    report(x, status != SAMC_OK ? x->error.message : intact(c));
    return NULL;
}

/* Whether the last entry alone, in the same buffers, gives what it gave in its batch. */
static void check_narrow(context *x, const row *r, const test_case *t, pattern p, check *c,
                         const unsigned char *actual) {
    if (r->narrow == NULL || !r->narrow(c, t->p)) return;
    unsigned char *again = outputs_of(x, r, &x->tested->ops, 2, c);
    bool same = true, any = false;
    size_t at = 0;
    for (int i = 0; i < c->count && again && same; i++) {
        const buffer *b = &c->buffers[i];
        if (b->role == IN) continue;
        for (size_t j = 0; j + 4 <= b->bytes;
             j += 4) { /* what this run did not write still holds what reset() put there */
            static const unsigned char nan_bytes[4] = {0xff, 0xff, 0xff, 0xff};
            const unsigned char *before = b->role == OUT ? nan_bytes : (unsigned char *)b->initial + j;
            if (memcmp(again + at + j, before, 4) == 0) continue;
            any = true;
            if (memcmp(again + at + j, actual + at + j, 4) != 0) same = false;
        }
        at += b->bytes;
    }
    if (again && (!same || (!any && p == PATTERN_MODEL && x->drawn < 0)))
        report(x, "an entry alone gives other bytes than in its batch");
    free(again);
}

/* The tested table: one thread against the reference, `threads` against one, buffers that start at guard pages against
 * those that end there, an entry alone against its batch. */
static void check_table(context *x, const row *r, const test_case *t, pattern p, int threads,
                        const unsigned char *expected) {
    check c, moved;
    size_t size;
    build_case(r, t, x->seed, p, GUARD_END, &c);
    x->checks++;
    unsigned char *actual = outputs_of(x, r, &x->tested->ops, 1, &c), *again = NULL;
    if (actual == NULL) goto done;
    if (r->verify && r->verify(&c, t->p) != NULL) report(x, r->verify(&c, t->p));
    difference d = compare(&c, expected, actual);
    double nmse = r->nmse, deviation = r->deviation;
    if (x->drawn >= 0 && p == PATTERN_MODEL)
        for (int i = 0; i < OPS; i++)
            if (strcmp(all_rows[i]->name, r->name) == 0) {
                x->tally[i].shapes++;
                if (d.nmse > x->tally[i].nmse) x->tally[i].nmse = d.nmse, x->tally[i].worst = x->drawn;
                if (d.deviation > x->tally[i].deviation) x->tally[i].deviation = d.deviation;
            }
    /* How far the reference itself moves, the most of a few times: what is sensitive may be one output of many. */
    enum {
        SLACK = 30 /* a sum of k terms rounds k times, a changed input once: about sqrt(k) / 2, k up to 4096 */,
        TIMES = 8
    };
    for (int i = 0;
         i < TIMES && (p != PATTERN_MODEL || x->drawn >= 0) && d.finite && (d.nmse > nmse || d.deviation > deviation);
         i++) {
        reset(&c);
        perturb(&c);
        run_op(x, r, &x->ref, 2, &c, NULL, NULL);
        again = snapshot(&c, &size);
        difference floor = compare(&c, expected, again);
        nmse = fmax(nmse, r->nmse + SLACK * SLACK * floor.nmse),
        deviation = fmax(deviation, r->deviation + SLACK * floor.deviation);
        if (p == PATTERN_DENORMAL) nmse += 1, deviation += 1; /* only finite, and no crash: flushing to 0 is allowed */
        free(again);
    }
    if (!d.exact) report(x, "differs from the reference");
    else if (!d.finite) report(x, "an output is NaN or infinite, or was not written");
    else if (!(d.nmse <= nmse) || !(d.deviation <= deviation)) {
        char what[256];
        snprintf(what, sizeof what, "nmse %.2e (at most %.1e), largest error %.2e deviations (at most %.1e)", d.nmse,
                 nmse, d.deviation, deviation);
        report(x, what);
    }
    again = outputs_of(x, r, &x->tested->ops, threads, &c);
    snapshot_size(&c, &size);
    if (again && memcmp(actual, again, size) != 0) report(x, "several threads give other bytes than one");
    free(again);
    build_case(r, t, x->seed, p, GUARD_START, &moved);
    again = outputs_of(x, r, &x->tested->ops, threads, &moved);
    if (again && memcmp(actual, again, size) != 0)
        report(x, "other bytes where buffers start at a page than where they end there");
    free(again);
    free_buffers(&moved);
    check_narrow(x, r, t, p, &c, actual);
done:
    free(actual);
    free_buffers(&c);
}

/* The reference, then each table. */
static void check_case(context *x, const row *r, const test_case *t, pattern p, int threads) {
    check c;
    x->tested = x->tables;
    build_case(r, t, x->seed, p, GUARD_END, &c);
    unsigned char *expected = outputs_of(x, r, &x->ref, 2, &c);
    free_buffers(&c);
    for (int i = 0; i < x->table_count && expected != NULL; i++) {
        x->tested = &x->tables[i];
        check_table(x, r, t, p, threads, expected);
    }
    free(expected);
}

/* ---- Benchmark ------------------------------------------------------------------------------- */

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
static void time_op(context *x, const row *r, const samc__ops *ops, check *c, int runs, double *wall, double *busy,
                    double *flops, size_t *peak) {
    double walls[BENCH_RUNS], busies[BENCH_RUNS];
    for (int i = 0; i < runs; i++) {
        reset(c);
        double w = clock_seconds(CLOCK_MONOTONIC), b = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
        if (run_op(x, r, ops, x->threads, c, flops, peak) != SAMC_OK) printf("%s: %s\n", r->name, x->error.message);
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
    char text[400];
    build_case(r, t, x->seed, PATTERN_MODEL, GUARD_END, &c);
    x->packed = samc__packed_create();
    if (r->packed) {
        samc__view w = r->packed(&c);
        samc__packed_add(x->packed, samc__f32(w), w.n[0], w.n[1], false);
    }
    time_op(x, r, &x->tested->ops, &c, BENCH_RUNS, &wall, &busy, &flops, &peak);
    printf("%9.3f ms %9.3f ms cpu %7.1f GFLOP/s %7.1f cpu %6.1f MB ", 1e3 * wall, 1e3 * busy, 1e-9 * flops / wall,
           1e-9 * flops / busy, 1e-6 * (double)peak);
    fflush(stdout);
    if (x->full) {
        time_op(x, r, &x->ref, &c, 1, &ref_wall, &ref_busy, &flops, NULL);
        printf("%7.1fx ref ", ref_busy / busy);
    }
    print_case(text, sizeof text, r, t, PATTERN_MODEL);
    printf("%s\n", text);
    samc__packed_destroy(x->packed);
    x->packed = NULL;
    free_buffers(&c);
}

/* ---- Everything ------------------------------------------------------------------------------ */

/* Every operator of the list has a case to check, a shape of a real model and shapes to draw; returns how many do not.
 */
static int without_cases(void) {
    int missing = 0;
    for (int i = 0; i < OPS; i++) {
        const row *r = all_rows[i];
        int quick = 0, full = 0;
        for (int j = 0; j < r->case_count; j++)
            quick += r->cases[j].tier & HOST_QUICK, full += r->cases[j].tier & BENCH;
        if (quick > 0 && full > 0 && r->draw != NULL) continue;
        printf("FAILED %s: %d quick and %d full cases, %s shapes to draw\n", r->name, quick, full, r->draw ? "" : "no");
        missing++;
    }
    return missing;
}

/* Whether it is this item's turn; then it is noted as what runs. */
static bool turn(context *x, int *item, int start, const row *r, const test_case *t, pattern p, int drawn) {
    if ((*item)++ < start) return false;
    x->item = *item - 1, x->row = r, x->drawn = drawn, x->listed_full = !(t->tier & HOST_QUICK);
    print_case(x->current, sizeof x->current, r, t, p);
    return true;
}

/* The shape by its number, the pattern of its inputs and how many threads; nine of ten are small. */
static void draw_case(const context *x, const row *r, int number, test_case *t, pattern *p, int *threads) {
    static const int some[] = {2, 3, 5, 8};
    check c = {.random = (x->seed + UINT64_C(0x632be59bd9b4e019)) * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)number};
    for (const char *at = r->name; *at; at++) c.random = (c.random ^ (uint64_t)*at) * UINT64_C(0xbf58476d1ce4e5b9) + 7;
    for (int i = 0; i < 8; i++) random_bits(&c);
    double most = random_below(&c, 10) ? 1e7 : 1e8, flops;
    *p = random_below(&c, 4) ? PATTERN_MODEL : (pattern)random_below(&c, PATTERNS);
    *threads = some[random_below(&c, 4)];
    do {
        check built = {.random = 1, .place = GUARD_END};
        memset(t, 0, sizeof *t);
        r->draw(&c, t->p);
        r->build(&built, t->p);
        flops = flops_of(r, &built);
        free_buffers(&built);
    } while (flops > most);
}

static void run_from(context *x, int start) {
    for (int op = 0, item = 0; op < OPS; op++) {
        const row *r = all_rows[op];
        if (x->only && strcmp(x->only, r->name) != 0) continue;
        for (int i = 0; i < r->case_count && x->random == 0; i++) {
            const test_case *t = &r->cases[i];
            for (int p = 0; p < PATTERNS && !x->bench; p++) {
                if (!(t->tier & (x->full ? HOST_QUICK | HOST_FULL : HOST_QUICK))) continue;
                if (!(t->tier & HOST_QUICK) && p != PATTERN_MODEL) continue;
                if (turn(x, &item, start, r, t, (pattern)p, -1)) check_case(x, r, t, (pattern)p, 3);
            }
            if (x->bench && t->tier & BENCH) bench_case(x, r, t);
        }
        for (int i = 0; i < x->random; i++) {
            test_case t;
            pattern p;
            int threads;
            if (x->shape >= 0 && i != x->shape) continue;
            if (item < start) {
                item++;
                continue;
            }
            draw_case(x, r, i, &t, &p, &threads);
            if (turn(x, &item, start, r, &t, p, i)) check_case(x, r, &t, p, threads);
        }
    }
    x->done = true;
}

static context *shared;

static void crashed(int number, siginfo_t *info, void *unused) {
    (void)unused;
    if (number == SIGSEGV || number == SIGBUS) guard_describe(info->si_addr, shared->fault, sizeof shared->fault);
    _exit(1);
}

/* Runs in a child; where that ends early, what ran then has failed, and another child goes on behind it. */
static void run_all(context *x) {
    for (int start = 0; !x->done; start = x->item + 1) {
        int status;
        x->fault[0] = 0, x->row = NULL;
        fflush(stdout);
        pid_t child = fork();
        if (child < 0) abort();
        if (child == 0) {
            static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
            struct sigaction action = {.sa_sigaction = crashed, .sa_flags = SA_SIGINFO};
            for (int i = 0; i < 4; i++) sigaction(signals[i], &action, NULL);
            run_from(x, start);
            exit(0);
        }
        if (waitpid(child, &status, 0) != child) abort();
        if (x->done && status == 0) return;
        if (x->row == NULL || x->done) { /* before the first, or behind the last */
            x->failures++;
            printf("FAILED the child process ended with status %#x\n", (unsigned)status);
            return;
        }
        if (x->fault[0] == 0)
            snprintf(x->fault, sizeof x->fault, "the process ended with status %#x", (unsigned)status);
        report(x, x->fault);
    }
}

int main(int argc, char **argv) {
    context *x = shared = mmap(NULL, sizeof *x, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (x == MAP_FAILED) abort();
    *x = (context){.seed = 1, .threads = 2, .shape = -1};
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--full") == 0) x->full = true;
        else if (strcmp(argv[i], "--bench") == 0) x->bench = true;
        else if (strcmp(argv[i], "--op") == 0) x->only = value, i++;
        else if (strcmp(argv[i], "--seed") == 0) x->seed = strtoull(value, NULL, 10), i++;
        else if (strcmp(argv[i], "--threads") == 0) x->threads = atoi(value), i++;
        else if (strcmp(argv[i], "--random") == 0 && atoi(value) > 0) x->random = atoi(value), i++;
        else if (strcmp(argv[i], "--shape") == 0) x->shape = atoi(value), i++;
        else if (strcmp(argv[i], "--backend") == 0 && strcmp(value, "cpu") == 0) i++;
        else if (strcmp(argv[i], "--caps") == 0 && samc__caps_parse(value) >= 0 && x->table_count < MOST_TABLES)
            x->tables[x->table_count++].caps_text = value, i++;
        else {
            fprintf(stderr, "checkops: %s %s?\n", argv[i], value);
            return 2;
        }
    }
    samc__ops_ref(&x->ref);
    if (x->table_count == 0) x->tables[x->table_count++].caps_text = samc__caps_names;
    for (int i = 0; i < x->table_count; i++) {
        x->tested = &x->tables[i];
        x->tested->caps = samc__caps_detect() & (unsigned)samc__caps_parse(x->tested->caps_text);
        samc__ops_ref(&x->tested->ops);
        samc__ops_cpu(&x->tested->ops, x->tested->caps); /* as a model does */
        printf("seed %llu, capabilities %s%s%s%s\n", (unsigned long long)x->seed,
               x->tested->caps & SAMC__CAP_VEC16 ? "vec16 " : "", x->tested->caps & SAMC__CAP_AVX2 ? "avx2 " : "",
               x->tested->caps & SAMC__CAP_AVX512 ? "avx512" : "", x->tested->caps == 0 ? "none" : "");
    }
    x->failures = without_cases();
    if (x->bench) {
        run_from(x, 0);
        return x->failures != 0;
    }
    run_all(x);
    for (int i = 0; i < OPS && x->random > 0; i++)
        if (x->tally[i].shapes > 0)
            printf("%-17s %4d shapes as of a model: nmse at most %.1e (shape %d), error %.1e deviations\n",
                   all_rows[i]->name, x->tally[i].shapes, x->tally[i].nmse, x->tally[i].worst, x->tally[i].deviation);
    printf("%d checks, %d failed\n", x->checks, x->failures);
    return x->failures != 0 || x->checks == 0;
}
