/* The counted work against formulas of the architecture and against what a session really runs. */
#include <string.h>

#include "runtime/base/status.h"
#include "bench/forecast/workload.h"
#include "tests/engine.h"

typedef struct sums {
    double flops, tensor, bytes;
    long long calls;
} sums;

/* All rows of an operator; NULL: of those with products. */
static sums sum(const samc__workload *load, const char *op) {
    sums s = {0};
    for (int i = 0; i < load->rows; i++) {
        const samc__work *w = &load->row[i];
        if (op ? strcmp(w->op, op) != 0
               : strcmp(w->op, "linear") != 0 && strcmp(w->op, "attention_relpos") != 0 &&
                     strcmp(w->op, "conv3x3") != 0)
            continue;
        double n = (double)w->calls;
        s.flops += n * w->flops, s.tensor += n * w->tensor, s.bytes += n * w->bytes, s.calls += w->calls;
    }
    return s;
}

static samc__shapes *open_shapes(const char *name) {
    samc__shapes *shapes = NULL;
    samc_error error;
    cr_assert_eq(samc__shapes_open(name, &shapes, &error), SAMC_OK, "%s", error.message);
    return shapes;
}

static const struct {
    const char *name;
    double dim, blocks, global;
} sizes[] = {{"vit_b", 768, 12, 4}, {"vit_l", 1024, 24, 4}, {"vit_h", 1280, 32, 4}};
enum { SIZES = sizeof sizes / sizeof *sizes };

Test(workload, encoder_has_the_architectures_products) {
    for (int i = 0; i < SIZES; i++)
        for (int images = 1; images <= 3; images += 2) {
            samc__workload load = {0};
            samc_error error;
            samc__shapes *shapes = open_shapes(sizes[i].name);
            cr_assert_eq(samc__count_encode(shapes, images, 1500, 1000, &load, &error), SAMC_OK);
            double n = 64 * 64, d = sizes[i].dim, window = 14 * 14, windowed = sizes[i].blocks - sizes[i].global;
            double macs = n * 3 * 16 * 16 * d + sizes[i].blocks * n * (3 * d * d + d * d + 2 * d * 4 * d) +
                          windowed * 2 * n * window * d + sizes[i].global * 2 * n * n * d + n * d * 256 +
                          n * 9 * 256 * 256;
            sums all = sum(&load, NULL);
            cr_expect_float_eq(all.flops, images * 2 * macs, 1e-12 * all.flops, "%s: %.0f, not %.0f", sizes[i].name,
                               all.flops, images * 2 * macs);
            cr_expect_eq(all.calls, 1 + 5 * (long long)sizes[i].blocks + 2);
            cr_expect_eq(sum(&load, "preprocess").calls, images);
            samc__shapes_close(shapes);
        }
}

/* On Hopper the MLP's first layers are cuBLASLt's and a pass over their results; on others one kernel's. */
Test(workload, gelu_is_a_pass_where_the_table_says_so) {
    samc__shapes *shapes = open_shapes("vit_h");
    for (int capability = 80; capability <= 90; capability += 10) {
        samc__workload load = {.capability = capability};
        samc_error error;
        double bytes = 0, launches = 0;
        cr_assert_eq(samc__count_encode(shapes, 2, 1024, 1024, &load, &error), SAMC_OK);
        for (int i = 0; i < load.rows; i++) {
            const samc__work *w = &load.row[i];
            if (strcmp(w->op, "linear") != 0) continue;
            bytes += (double)w->calls * w->pass_bytes, launches += (double)(w->calls * w->launches);
            cr_expect_eq(w->gelu_bytes > 0, w->plain > 0);
        }
        cr_expect_float_eq(bytes, capability == 90 ? 32 * 2.0 * 2 * 4096 * 5120 * 2 : 0, 1);
        cr_expect_float_eq(launches, 130 + (capability == 90 ? 32 : 0), 0.5);
    }
    samc__shapes_close(shapes);
}

/* The original also multiplies the pads of 25 windows of 14 x 14 on a grid of 64 x 64, and the relative positions as
 * products of their own: with those, ViT-B has the 486.4 G multiply-adds that are reported for it (less the norms,
 * which counters count too). */
Test(workload, vit_b_has_the_known_total) {
    samc__workload load = {0};
    samc_error error;
    samc__shapes *shapes = open_shapes("vit_b");
    cr_assert_eq(samc__count_encode(shapes, 1, 1024, 1024, &load, &error), SAMC_OK);
    double n = 64 * 64, padded = 25 * 14 * 14, d = 768;
    double pads = 8 * (padded - n) * (4 * d * d + 2 * 14 * 14 * d),
           positions = 4 * n * 2 * 64 * d + 8 * padded * 2 * 14 * d;
    double macs = sum(&load, NULL).flops / 2 + pads + positions;
    cr_expect_float_eq(macs, 486.4e9, 0.5e9, "%.2f G", 1e-9 * macs);
    samc__shapes_close(shapes);
}

/* What a session runs on a CPU: the encoder's operators all, the decoder's but for the image cache, which is kept in
 * another form. */
Test(workload, is_what_a_session_runs) {
    enum { ROWS = 64, PROMPTS = 5 };
    static uint8_t pixels[48 * 40 * 3];
    static const float point[2] = {20, 20};
    static const int32_t label = 1;
    samc_profile_row rows[ROWS] = {{.size = sizeof *rows}};
    samc_error error;
    samc_model *model = open_model(SAMC_BACKEND_REF, 1);
    samc_session *session = open_session(model);
    samc_image image = {sizeof(samc_image), pixels, 48, 40, 3 * 48};
    samc_prompt prompts[PROMPTS];
    for (int i = 0; i < PROMPTS; i++)
        prompts[i] = (samc_prompt){.size = sizeof(samc_prompt), .points = point, .labels = &label, .point_count = 1};
    samc__shapes *shapes = open_shapes(model_path);
    for (int stage = 0; stage < 2; stage++) {
        samc__workload load = {0};
        samc_result *result = NULL;
        cr_assert_eq(samc_profile_begin(session), SAMC_OK);
        cr_assert_eq(stage == 0 ? samc_set_image(session, &image)
                                : samc_predict(session, prompts, PROMPTS, true, &result),
                     SAMC_OK);
        int count = 0, compared = 0;
        samc_profile_end(session, rows, ROWS, &count);
        cr_assert_eq(stage == 0 ? samc__count_encode(shapes, 1, 48, 40, &load, &error)
                                : samc__count_decode(shapes, PROMPTS, &load, &error),
                     SAMC_OK);
        for (int i = 0; i < count; i++) {
            const char *op = rows[i].name;
            if (stage == 1 &&
                (strcmp(op, "linear") == 0 || strcmp(op, "add_rows") == 0 || strcmp(op, "finish_masks") == 0))
                continue;
            sums s = sum(&load, op);
            cr_expect_eq(s.calls, rows[i].calls, "%s: %lld calls, not %lld", op, s.calls, (long long)rows[i].calls);
            cr_expect_float_eq(s.flops, rows[i].flops, 1e-9 * rows[i].flops + 1e-9, "%s: %.0f, not %.0f", op, s.flops,
                               rows[i].flops);
            compared++;
        }
        cr_expect_geq(compared, stage == 0 ? 5 : 6);
        samc_result_free(result);
    }
    samc__shapes_close(shapes);
    samc_session_destroy(session);
    samc_model_close(model);
}

/* kernels/README.md: one prompt of 7 tokens multiplies 134 M on tensor cores in image_to_token, beside 2 MiB of keys in
 * and of y out. */
Test(workload, decoder_counts_what_kernels_do) {
    samc__workload load = {0};
    samc_error error;
    samc__shapes *shapes = open_shapes("vit_h");
    cr_assert_eq(samc__count_decode(shapes, 1024, &load, &error), SAMC_OK);
    sums s = sum(&load, "image_to_token");
    cr_expect_float_eq(s.tensor / 2, 2 * 1024 * 134.2e6, 1e-3 * s.tensor);
    cr_expect_gt(s.bytes, 3 * 1024 * 2097152.0); /* keys are shared in the first layer alone */
    cr_expect_eq(sum(&load, "token_to_image").calls, 3 * sum(&load, "upscale_masks").calls);
    cr_expect_eq(sum(&load, "add_rows").calls, 1, "the image cache is made once");
    samc__workload post = {0};
    cr_assert_eq(samc__count_post(shapes, 1024, 2250, 1500, &post, &error), SAMC_OK);
    cr_expect_float_eq(sum(&post, "mask_rle").bytes, (double)SAMC__COUNT_KEPT * (1500 * 36 * 8 + 8), 1);
    cr_expect_eq(sum(&post, "nms").calls, 1);
    samc__shapes_close(shapes);
}

Test(workload, refuses_what_is_no_model) {
    samc__shapes *shapes = NULL;
    samc_error error;
    cr_expect_neq(samc__shapes_open("vit_x", &shapes, &error), SAMC_OK);
    cr_expect_null(shapes);
    cr_expect(strstr(error.message, "vit_x") != NULL, "%s", error.message);
}
