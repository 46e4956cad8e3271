/* Units of the runtime: thread pool, counted memory, statuses, 16-bit conversions, operator tables, the GPU's
 * arena and its choice of matrix products. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "kernels/cpu/caps.h"
#include "kernels/cpu/packed.h"
#include "kernels/linear/choice.h"
#include "kernels/decoder_form.h"
#include "kernels/ops.h"
#include "runtime/arena.h"
#include "runtime/base/dtype.h"
#include "runtime/memory.h"
#include "runtime/base/spool.h"
#include "runtime/threads.h"

typedef struct count_context {
    atomic_int hits[1000];
    atomic_int bad;
    int workers;
} count_context;

static void count_items(void *opaque, int64_t begin, int64_t end, int worker) {
    count_context *c = opaque;
    if (worker < 0 || worker >= c->workers || end - begin > 7) atomic_fetch_add(&c->bad, 1);
    for (int64_t i = begin; i < end; i++) atomic_fetch_add(&c->hits[i], 1);
}

Test(threads, every_item_runs_once) {
    for (int workers = 1; workers <= 5; workers += 2) {
        samc__pool *pool = samc__pool_create(workers);
        cr_assert_not_null(pool);
        for (int64_t n = 0; n <= 1000; n += 97) {
            count_context *c = calloc(1, sizeof *c);
            c->workers = workers;
            samc__pool_run(pool, n, 7, count_items, c);
            cr_expect_eq(c->bad, 0);
            for (int64_t i = 0; i < 1000; i++) cr_expect_eq(c->hits[i], i < n, "item %d of %d", (int)i, (int)n);
            free(c);
        }
        samc__pool_destroy(pool);
    }
}

Test(memory, counts_current_and_peak) {
    samc__memory memory = {0};
    void *a = samc__memory_allocate(&memory, 1000), *b = samc__memory_allocate(&memory, 5000);
    cr_expect_eq((uintptr_t)a % 64, 0);
    cr_expect_geq(memory.current, 6000);
    samc__memory_release(&memory, a);
    samc__memory_release(&memory, b);
    samc__memory_release(&memory, NULL);
    cr_expect_eq(memory.current, 0);
    cr_expect_geq(memory.peak, 6000);
    cr_expect_null(samc__memory_allocate(&memory, (size_t)-1), "a size that overflows");
}

Test(status, every_status_has_a_text) {
    for (int i = 0; i <= SAMC_INTERNAL; i++) cr_expect_str_neq(samc_status_text((samc_status)i), "unknown status");
    cr_expect_str_eq(samc_status_text((samc_status)1000), "unknown status");
}

/* Every half goes to float and back unchanged; rounding is to nearest even. */
Test(dtype, halves) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits;
        float f16 = samc__f16_to_float(half), bf16 = samc__bf16_to_float(half);
        if (!isnan(f16)) cr_assert_eq(samc__float_to_f16(f16), half, "f16 %04x", half);
        else cr_assert(isnan(samc__f16_to_float(samc__float_to_f16(f16))));
        if (!isnan(bf16)) cr_assert_eq(samc__float_to_bf16(bf16), half, "bf16 %04x", half);
        else cr_assert(isnan(samc__bf16_to_float(samc__float_to_bf16(bf16))));
    }
    cr_expect_eq(samc__float_to_f16(1.0f + 0x1p-11f), 0x3c00, "a tie goes to even");
    cr_expect_eq(samc__float_to_f16(1.0f + 0x3p-11f), 0x3c02, "a tie goes to even");
    cr_expect_eq(samc__float_to_f16(65519.0f), 0x7bff);
    cr_expect_eq(samc__float_to_f16(65520.0f), 0x7c00);
    cr_expect_eq(samc__float_to_f16(0x1p-25f), 0x0000);
    cr_expect_eq(samc__float_to_f16(0x1.8p-25f), 0x0001);
    cr_expect_eq(samc__float_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    cr_expect_eq(samc__float_to_bf16(1.0f + 0x3p-8f), 0x3f82);
}

/* Views of a checkpoint may begin at one address: panels of a smaller weight are none of a larger one. */
Test(packed, panels_have_a_shape) {
    static float w[96 * 32];
    samc__packed *packed = samc__packed_create();
    cr_assert(samc__packed_add(packed, w, 32, 32, false));
    cr_assert(samc__packed_add(packed, w, 96, 32, false));
    cr_expect_not_null(samc__packed_find(packed, w, 32, 32));
    cr_expect_null(samc__packed_find(packed, w, 96, 32));
    cr_expect_null(samc__packed_find(packed, w, 32, 64));
    samc__packed_destroy(packed);
}

/* A click, a box, a few points fold; dozens of points do not: there folding would do several times the work. */
Test(decoder_form, folds_few_tokens) {
    static const int64_t folded[] = {1, 5, 7, 8, 16, 18}, plain[] = {19, 24, 46, 156, 4102};
    for (size_t i = 0; i < sizeof folded / sizeof *folded; i++)
        cr_expect(samc__folds(folded[i]), "%d tokens", (int)folded[i]);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        cr_expect_not(samc__folds(plain[i]), "%d tokens", (int)plain[i]);
}

Test(ops, tables_have_no_empty_slot) {
    samc__ops ops = {0};
    samc__ops_ref(&ops);
    samc__ops_cpu(&ops, ~0u);
#define SAMC_OP(name, ...) cr_expect_not_null((void *)ops.name, #name);
#include "kernels/list.h"
#undef SAMC_OP
}

Test(arena, first_fit_without_overlap) {
    samc__arena arena = {.base = (char *)4096, .bytes = 10 * SAMC__ARENA_ALIGNMENT};
    char *a = samc__arena_take(&arena, 1), *b = samc__arena_take(&arena, 3 * SAMC__ARENA_ALIGNMENT),
         *c = samc__arena_take(&arena, 2 * SAMC__ARENA_ALIGNMENT - 1);
    cr_expect(a == arena.base && b == a + SAMC__ARENA_ALIGNMENT && c == b + 3 * SAMC__ARENA_ALIGNMENT);
    cr_expect_eq(arena.peak, 6 * SAMC__ARENA_ALIGNMENT);
    cr_expect(samc__arena_give(&arena, b) && !samc__arena_give(&arena, b), "given back once");
    cr_expect_eq(samc__arena_take(&arena, 4 * SAMC__ARENA_ALIGNMENT), c + 2 * SAMC__ARENA_ALIGNMENT,
                 "too large for the gap");
    cr_expect_eq(samc__arena_take(&arena, 3 * SAMC__ARENA_ALIGNMENT), b, "fills the gap");
    cr_expect_null(samc__arena_take(&arena, 1));
    cr_expect_null(samc__arena_take(&arena, SIZE_MAX));
    cr_expect_eq(arena.peak, arena.bytes);
}

/* x [m, k] and y [m, n] of the types given, with a bias and a residual of y's. */
static samc__linear_args product(int64_t m, int64_t n, int64_t k, samc__dtype in, samc__dtype out) {
    static _Alignas(16) float data[4];
    return (samc__linear_args){.x = samc__as(in, samc__view2(data, m, k)),
                               .p = {samc__as(in, samc__view2(data, n, k)), samc__view1(data, n)},
                               .b_of_y = samc__as(out, samc__view1(data, n)),
                               .residual = samc__as(out, samc__view2(data, m, n)),
                               .y = samc__as(out, samc__view2(data, m, n))};
}

Test(linear_choice, cublaslt_only_where_its_epilogue_is_the_layer) {
    samc__linear_args a = product(4096, 768, 3072, SAMC__BF16, SAMC__F32);
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_CUBLASLT);
    a.act = SAMC__ACT_RELU;
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN, "its ReLU may lose NaN");
    a.residual.data = NULL;
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN);
    a.act = SAMC__ACT_GELU;
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN, "its GELU is another");
    cr_expect_eq(samc__linear_cuda_choice(&a, 90), SAMC__LINEAR_OWN, "a pass over 16 bits, not over f32");
    a = product(4096, 2304, 768, SAMC__F16, SAMC__F16);
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_CUBLASLT);
    a.b_of_y.data = NULL;
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN, "no bias of y's type");
    a = product(4096, 768, 768, SAMC__BF16, SAMC__BF16);
    a.x.dtype = SAMC__F32;
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN, "rows of another type than the weight");
    a = product(448, 256, 256, SAMC__BF16, SAMC__F32);
    a.x_stride = 257;
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN, "rows that are not aligned");
    a = product(448, 32, 2048, SAMC__BF16, SAMC__F32);
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN, "few columns");
    for (int64_t m = 1; m <= 1 << 20; m *= 2) {
        a = product(m, 256, 2048, SAMC__BF16, SAMC__F32);
        cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_CUBLASLT, "%lld rows: their number decides nothing",
                     (long long)m);
    }
}

Test(linear_choice, gelu_by_what_the_table_says_of_a_gpu) {
    samc__linear_args a = product(4096, 5120, 1280, SAMC__BF16, SAMC__BF16);
    a.act = SAMC__ACT_GELU;
    cr_expect_eq(samc__linear_cuda_choice(&a, 90), SAMC__LINEAR_OWN, "the residual comes after the GELU");
    a.residual.data = NULL;
    a.b_of_y.data = NULL;
    a.p.b.dtype = SAMC__F32;
    cr_expect_eq(samc__linear_cuda_choice(&a, 90), SAMC__LINEAR_CUBLASLT_GELU, "the pass adds a bias in f32");
    cr_expect_eq(samc__linear_cuda_choice(&a, 80), SAMC__LINEAR_OWN);
    cr_expect_eq(samc__linear_cuda_choice(&a, 0), SAMC__LINEAR_OWN, "no GPU in particular");
    a.p.w.n[0] = 5116;
    cr_expect_eq(samc__linear_cuda_choice(&a, 90), SAMC__LINEAR_OWN, "rows that are not whole vectors");
    a = product(7, 5120, 1280, SAMC__BF16, SAMC__BF16);
    a.act = SAMC__ACT_GELU, a.residual.data = NULL, a.b_of_y.data = NULL, a.p.b.dtype = SAMC__F32;
    cr_expect_eq(samc__linear_cuda_choice(&a, 90), SAMC__LINEAR_CUBLASLT_GELU, "the number of rows decides nothing");
}

/* Two spools share the budget; what is beyond it comes back from the files, also across the border. */
Test(spool, reads_back_what_was_appended) {
    enum { PIECES = 40, SIZE = 100 };
    samc__spool both[2] = {{.folder = "/tmp"}, {.folder = "/tmp"}};
    samc__spool_set_budget(25 * SIZE + 50);
    for (int i = 0; i < PIECES; i++) {
        char piece[SIZE];
        memset(piece, 'A' + i, SIZE);
        cr_assert_eq(samc__spool_append(&both[i % 2], piece, SIZE, NULL), SAMC_OK);
    }
    cr_expect_eq(both[0].held + both[1].held, 25 * SIZE);
    for (int i = 0; i < 2; i++) {
        char all[PIECES / 2 * SIZE], odd[3 * SIZE];
        cr_expect_eq(both[i].length, PIECES / 2 * SIZE);
        cr_expect(both[i].held > 10 * SIZE && both[i].held < both[i].length && both[i].file > 0);
        cr_assert_eq(samc__spool_read(&both[i], 0, all, sizeof all, NULL), SAMC_OK);
        for (int j = 0; j < PIECES / 2 * SIZE; j++) cr_assert_eq(all[j], 'A' + 2 * (j / SIZE) + i, "byte %d", j);
        int64_t at = both[i].held - SIZE - 7; /* begins in memory, ends in the file */
        cr_assert_eq(samc__spool_read(&both[i], at, odd, sizeof odd, NULL), SAMC_OK);
        cr_expect_arr_eq(odd, all + at, sizeof odd);
        samc_error error;
        cr_expect_eq(samc__spool_read(&both[i], both[i].length - 1, odd, 2, &error), SAMC_IO);
        samc__spool_free(&both[i]);
    }
    samc__spool after = {0};
    cr_expect_eq(samc__spool_append(&after, "x", 1, NULL), SAMC_OK);
    cr_expect(after.held == 1 && after.file == 0, "what was freed is there again");
    samc__spool_free(&after);
}

#if defined(__x86_64__)
/* What the kernel says of the processor, which is no code of ours. */
Test(caps, are_what_the_kernel_says) {
    static const char *const names[][2] = {{"sse2", "sse2"},
                                           {"sse4.2", "sse4_2"},
                                           {"avx", "avx"},
                                           {"fma", "fma"},
                                           {"avx2", "avx2"},
                                           {"avx512f", "avx512f"},
                                           {"avx512dq", "avx512dq"},
                                           {"avx512bw", "avx512bw"},
                                           {"avx512vl", "avx512vl"},
                                           {"avxvnni", "avx_vnni"},
                                           {"avx512vnni", "avx512_vnni"},
                                           {"avx512bf16", "avx512_bf16"}};
    char line[8192] = "";
    FILE *file = fopen("/proc/cpuinfo", "r");
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL && strncmp(line, "flags", 5) != 0) {}
    fclose(file);
    line[strcspn(line, "\n")] = ' ';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", names[i][1]);
        cr_expect_eq(samc__caps_cpu_has(names[i][0]), strstr(line, word) != NULL, "%s", names[i][0]);
    }
    cr_expect(samc__caps_cpu_has("sse2") && !samc__caps_cpu_has("mmx2"));
}
#endif
