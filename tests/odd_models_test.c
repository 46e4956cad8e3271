/* Models of unusual shapes, made here from a seed: the cpu tables against the reference, whole encodings and
 * predictions.
 *
 * Windows larger than the grid are the hard ones: their pads are keys and must not become queries. Many encodings on
 * more threads than there is work for have the same bits, or two of them wrote to the same place. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cpu/caps.h"
#include "runtime/session.h"
#include "tests/engine.h"
#include "tests/rungs.h"
#include "runtime/model/tensors.h"
#include "weights/safetensors.h"

enum { WIDTH = 61, HEIGHT = 43, MOST_TENSORS = 512 };

/* ---- A model file ---------------------------------------------------------------------------- */

typedef struct tensors {
    samc__output_tensor list[MOST_TENSORS];
    size_t count;
    uint64_t random;
} tensors;

static float uniform(uint64_t *state) { /* (-1, 1) */
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

/* Gains around 1; tables that attention and prompts live on; products that keep their input's size. */
static samc_status fill(void *context, size_t index, int64_t first, int64_t count, void *bytes, samc_error *error) {
    tensors *t = context;
    const samc__output_tensor *tensor = &t->list[index];
    float *to = bytes, around = 0, scale = 1.7f;
    bool bias = strstr(tensor->name, ".bias") != NULL;
    (void)first, (void)error;
    if (tensor->rank == 1 && !bias) around = 1, scale = 0.3f;
    else if (bias) scale = 0.3f;
    else if (strstr(tensor->name, "rel_pos")) scale = 0.5f;
    else if (tensor->rank > 1 && tensor->shape[0] > 1) {
        int64_t in = 1;
        for (int i = 1; i < tensor->rank; i++) in *= tensor->shape[i];
        scale /= sqrtf((float)in);
    }
    for (int64_t i = 0; i < count; i++) to[i] = around + scale * uniform(&t->random);
    return SAMC_OK;
}

static void write_model(const char *path, const samc__config *config, uint64_t seed) {
    static samc__weights views;
    static tensors t;
    samc__tensor_list list;
    samc_error error;
    samc__json_text text = {0};
    t = (tensors){.random = seed * 0x9e3779b97f4a7c15u + 1};
    cr_assert_eq(samc__tensors_list(config, &views, &list, &error), SAMC_OK);
    cr_assert_leq(list.count, MOST_TENSORS);
    for (; t.count < list.count; t.count++) {
        const samc__entry *e = &list.at[t.count];
        t.list[t.count] = (samc__output_tensor){.name = e->name, .dtype = SAMC__F32, .rank = e->rank};
        memcpy(t.list[t.count].shape, e->shape, sizeof e->shape);
    }
    samc__config_write(config, (samc__json){NULL, NULL}, &text);
    cr_assert(!text.failed);
    const samc__metadata metadata = {(char *)"samc.config", text.data};
    cr_assert_eq(samc__safetensors_write(path, t.list, t.count, &metadata, 1, fill, &t, &error), SAMC_OK, "%s",
                 error.message);
    free(text.data);
    samc__tensors_free(&list);
}

/* Grid and window of `grid` and `window` tokens, the last block global. */
static samc__config config_of(int grid, int window, int heads, int head_dim) {
    int patch = grid < 4 ? 16 : 4;
    samc__config c = {.grid = grid,
                      .recipe = {.name = "sam",
                                 .side = patch * grid,
                                 .frame = patch * grid,
                                 .mean = {120, 115, 100},
                                 .std = {58, 57, 56}},
                      .encoder = {.vit = {.patch_size = patch,
                                          .embed_dim = heads * head_dim,
                                          .depth = 3,
                                          .num_heads = heads,
                                          .mlp_dim = 2 * heads * head_dim,
                                          .window_size = window,
                                          .use_rel_pos = true,
                                          .use_abs_pos = true,
                                          .qkv_bias = true}},
                      .decoder = {.channels = 32,
                                  .mask_in_chans = 8,
                                  .norm_eps = 1e-5f,
                                  .depth = 2,
                                  .heads = 4,
                                  .mlp_dim = 48,
                                  .inner = 16,
                                  .mask_at = 1,
                                  .hq_at = -1,
                                  .object_at = -1,
                                  .masks = 4,
                                  .iou_depth = 3,
                                  .iou_dim = 24}};
    c.encoder.vit.global_attn[2] = true;
    return c;
}

/* TinyViT in stages of 32, 16, 8 and 8: wide enough between its convolutions and in its MLPs that one worker computes
 * these in bands, whose last ones are smaller. Windows that divide no side. */
static samc__config tinyvit_config(void) {
    samc__config c = config_of(8, 0, 1, 8);
    c.recipe.side = c.recipe.frame = 128;
    c.encoder.kind = SAMC__ENCODER_TINYVIT;
    c.encoder.tinyvit = (samc__tinyvit){.stem_dim = 4,
                                        .dim = {8, 12, 20, 24},
                                        .mlp_dim = {1100, 1400, 40, 48},
                                        .depth = {2, 1, 1, 1},
                                        .heads = {0, 1, 2, 3},
                                        .window = {0, 7, 5, 3}};
    return c;
}

/* ---- Running it ------------------------------------------------------------------------------ */

enum { POINTS = 25 /* more tokens than projections fold onto */, PROMPTS = 2 };

typedef struct outcome {
    float *embedding, *logits, *iou; /* of a prompt of one point and one of POINTS */
    int64_t embedding_count, logits_count, iou_count;
} outcome;

static const uint8_t *picture(void) {
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    for (int i = 0; i < WIDTH * HEIGHT * 3; i++) pixels[i] = (uint8_t)(i * 7 + i / WIDTH * 31 + (i / 500 % 3) * 60);
    return pixels;
}

static samc_model *open_at(const char *path, samc_backend backend, samc_precision precision, int threads) {
    samc_options options = {
        .size = sizeof(samc_options), .backend = backend, .precision = precision, .threads = threads};
    samc_model *model = NULL;
    samc_error error;
    cr_assert_eq(samc_model_open(path, &options, &model, &error), SAMC_OK, "%s", error.message);
    return model;
}

static void encode(samc_session *session, float *embedding) {
    const samc_image image = {sizeof(samc_image), picture(), WIDTH, HEIGHT, 3 * WIDTH};
    cr_assert_eq(samc_set_image(session, &image), SAMC_OK, "%s", samc_last_error(session));
    cr_assert_eq(samc_get_embedding(session, 0, embedding), SAMC_OK);
}

static outcome run(const samc_model *model, const samc__config *c) {
    samc_session *session = open_session(model);
    int masks = c->decoder.masks - 1;
    int64_t logits = masks * 16 * (int64_t)c->grid * c->grid; /* of a prompt */
    outcome o = {.embedding_count = (int64_t)c->decoder.channels * c->grid * c->grid,
                 .logits_count = PROMPTS * logits,
                 .iou_count = PROMPTS * masks};
    float points[2 * POINTS];
    int32_t labels[POINTS];
    o.embedding = malloc((size_t)o.embedding_count * sizeof(float)),
    o.logits = malloc((size_t)o.logits_count * sizeof(float));
    o.iou = malloc((size_t)o.iou_count * sizeof(float));
    for (int i = 0; i < POINTS; i++)
        points[2 * i] = (float)(30 - i), points[2 * i + 1] = (float)(i * 7 % 40), labels[i] = i % 3 != 1;
    encode(session, o.embedding);
    for (int i = 0; i < PROMPTS; i++) {
        const samc_prompt prompt = {
            .size = sizeof(samc_prompt), .points = points, .labels = labels, .point_count = i ? POINTS : 1};
        samc_result *result = NULL;
        cr_assert_eq(samc_predict(session, &prompt, 1, true, &result), SAMC_OK, "%s", samc_last_error(session));
        memcpy(o.logits + i * logits, samc_result_logits(result), (size_t)logits * sizeof(float));
        memcpy(o.iou + i * masks, samc_result_iou(result), (size_t)masks * sizeof(float));
        samc_result_free(result);
    }
    samc_session_destroy(session);
    return o;
}

static void free_outcome(outcome *o) {
    free(o->embedding);
    free(o->logits);
    free(o->iou);
}

/* Normalised mean squared error; NaN and infinities make it so. */
static double nmse(const float *a, const float *b, int64_t n) {
    double errors = 0, squares = 0;
    for (int64_t i = 0; i < n; i++)
        errors += ((double)a[i] - b[i]) * ((double)a[i] - b[i]), squares += (double)b[i] * b[i];
    return errors / squares;
}
/* ---- Tests ----------------------------------------------------------------------------------- */

/* Against the reference, for each table. The bounds are those of tests/parity but for the predicted IoU, of which a
 * model may have one near zero, and for eight channels: the upscaling's LayerNorm2d is then over two, and divides by as
 * little as 1e-3. */
static void expect_reference_in(samc_precision precision, const char *path, const samc__config *c, uint64_t seed) {
    samc_model *model = open_at(path, SAMC_BACKEND_REF, precision, 2);
    model->net.config.decoder.gelu = c->decoder.gelu; /* no file says it yet */
    outcome expected = run(model, c);
    samc_model_close(model);
    for (int table = 0; table < RUNGS; table++) {
        cr_assert_eq(setenv("SAMC_CPU_CAPS", rungs[table], 1), 0);
        model = open_at(path, SAMC_BACKEND_CPU, precision, 1 + (int)(seed % 8));
        model->net.config.decoder.gelu = c->decoder.gelu;
        outcome o = run(model, c);
        double embedding = nmse(o.embedding, expected.embedding, o.embedding_count),
               logits = nmse(o.logits, expected.logits, o.logits_count);
        double iou = 0;
        for (int64_t i = 0; i < o.iou_count; i++)
            iou += ((double)o.iou[i] - expected.iou[i]) * ((double)o.iou[i] - expected.iou[i]);
        cr_expect(
            embedding < 1e-10 && logits < (c->decoder.channels == 8 ? 1e-8 : 1e-10) && iou < 4e-10,
            "%s, precision %d, seed %llu, grid %d, window %d, heads %d of %d, decoder %d, %d in %d heads, MLP %d: "
            "embedding %.1e, logits %.1e, IoU off by %.1e",
            rungs[table], (int)precision, (unsigned long long)seed, c->grid, c->encoder.vit.window_size,
            c->encoder.vit.num_heads, c->encoder.vit.embed_dim / c->encoder.vit.num_heads, c->decoder.channels,
            c->decoder.inner, c->decoder.heads, c->encoder.vit.mlp_dim, embedding, logits, sqrt(iou));
        free_outcome(&o);
        samc_model_close(model);
    }
    free_outcome(&expected);
}

static bool same(const outcome *a, const outcome *b) {
    return memcmp(a->embedding, b->embedding, (size_t)a->embedding_count * sizeof(float)) == 0 &&
           memcmp(a->logits, b->logits, (size_t)a->logits_count * sizeof(float)) == 0 &&
           memcmp(a->iou, b->iou, (size_t)a->iou_count * sizeof(float)) == 0;
}

static outcome run_low(const char *caps, const char *path, const samc__config *c, int threads) {
    cr_assert_eq(setenv("SAMC_CPU_CAPS", caps, 1), 0);
    samc_model *model = open_at(path, SAMC_BACKEND_CPU, SAMC_PRECISION_BF16, threads);
    model->net.config.decoder.gelu = c->decoder.gelu;
    cr_expect_eq(model->net.precision, SAMC__BF16, "%s", caps);
    outcome o = run(model, c);
    samc_model_close(model);
    return o;
}

/* In squares a rounding to bf16 is 2.6e-6 (tests/parity/gates.h). The embeddings of these models, three blocks and a
 * neck of six each, show 5 to 11 of them; 40 are allowed. The decoder adds as many, and divides by small numbers: what
 * gates.h allows. */
#define LOW_EMBEDDING 1e-4
#define LOW_LOGITS 1e-3

/* The rungs of 16 bits: as far from the reference as roundings of activations are, and the same bytes on any number of
 * threads and, where this machine has the instructions, by these as by software. */
static void expect_low(const char *path, const samc__config *c, uint64_t seed) {
    samc_model *model = open_at(path, SAMC_BACKEND_REF, SAMC_PRECISION_BF16, 2);
    model->net.config.decoder.gelu = c->decoder.gelu;
    outcome expected = run(model, c);
    samc_model_close(model);
    for (int rung = 0; rung < LOW_RUNGS; rung++) {
        outcome o = run_low(low_rungs[rung], path, c, 1),
                again = run_low(low_rungs[rung], path, c, 2 + (int)(seed % 7));
        double embedding = nmse(o.embedding, expected.embedding, o.embedding_count),
               logits = nmse(o.logits, expected.logits, o.logits_count);
        cr_expect(embedding < LOW_EMBEDDING && logits < LOW_LOGITS, "%s, seed %llu: embedding %.1e, logits %.1e",
                  low_rungs[rung], (unsigned long long)seed, embedding, logits);
        cr_expect(same(&o, &again), "%s, seed %llu: threads change bytes", low_rungs[rung], (unsigned long long)seed);
        free_outcome(&again);
        if ((samc__caps_detect() & hard_caps[rung]) == hard_caps[rung]) {
            again = run_low(hard_rungs[rung], path, c, 2);
            cr_expect(same(&o, &again), "%s, seed %llu: not the bytes of software", hard_rungs[rung],
                      (unsigned long long)seed);
            free_outcome(&again);
        }
        free_outcome(&o);
    }
    free_outcome(&expected);
}

/* With weights of bf16 the rungs of f32 compute in f32 too, on what the reference has. */
static void expect_reference(const samc__config *c, uint64_t seed) {
    char path[] = "/tmp/samc_odd_XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    write_model(path, c, seed);
    expect_reference_in(SAMC_PRECISION_F32, path, c, seed);
    expect_reference_in(SAMC_PRECISION_BF16, path, c, seed);
    expect_low(path, c, seed);
    unlink(path);
}

Test(odd_models, windows_beyond_the_grid) {
    static const struct {
        int grid, window, heads, head_dim;
    } cases[] = {{8, 14, 3, 64}, {5, 14, 2, 20}, {7, 8, 4, 16}, {1, 14, 1, 8}, {4, 33, 3, 24}, {9, 64, 2, 5}};
    for (int i = 0; i < 12; i++) {
        samc__config c = config_of(cases[i / 2].grid, cases[i / 2].window, cases[i / 2].heads, cases[i / 2].head_dim);
        c.encoder.vit.qkv_bias = i % 2 == 0;
        c.encoder.vit.use_rel_pos = i % 4 != 3;
        expect_reference(&c, (uint64_t)i);
    }
}

/* In bands on one worker, whole on others and in the reference: the same. */
Test(odd_models, tinyvit_in_bands) {
    const samc__config c = tinyvit_config();
    expect_reference(&c, 8); /* one thread, and several in 16 bits */
}

/* With GELU in its MLPs the decoder gives something else, and the same on every table. */
Test(odd_models, decoder_with_gelu) {
    samc__config c = config_of(6, 0, 2, 16);
    memset(c.encoder.vit.global_attn, 1, sizeof c.encoder.vit.global_attn);
    c.decoder.gelu = true;
    expect_reference(&c, 1);
    char path[] = "/tmp/samc_odd_XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    write_model(path, &c, 1);
    samc_model *model = open_at(path, SAMC_BACKEND_REF, SAMC_PRECISION_F32, 2);
    outcome relu = run(model, &c);
    model->net.config.decoder.gelu = true;
    outcome gelu = run(model, &c);
    cr_expect_gt(nmse(gelu.iou, relu.iou, relu.iou_count), 1e-6, "the heads");
    cr_expect_gt(nmse(gelu.logits, relu.logits, relu.logits_count), 1e-6, "the layers");
    free_outcome(&relu);
    free_outcome(&gelu);
    samc_model_close(model);
    unlink(path);
}

static int below(uint64_t *state, int n) { return (int)((uniform(state) + 1) * 0.5f * (float)n) % n; }

/* Head widths, channels, grids and windows of no whole vectors; decoder attentions narrower and wider than its
 * channels. */
Test(odd_models, drawn_shapes) {
    enum { MODELS = 12 };
    for (uint64_t seed = 1; seed <= MODELS; seed++) {
        uint64_t random = seed * 0x9e3779b97f4a7c15u;
        for (int i = 0; i < 8; i++) below(&random, 2);
        samc__config c =
            config_of(4 + below(&random, 9), below(&random, 17), 1 + below(&random, 5), 1 + below(&random, 45));
        c.encoder.vit.mlp_dim = 1 + below(&random, 200), c.decoder.mlp_dim = 1 + below(&random, 100),
        c.decoder.iou_dim = 1 + below(&random, 40);
        c.decoder.heads = 1 + below(&random, 8), c.decoder.channels = 8 * c.decoder.heads * (1 + below(&random, 3));
        c.decoder.inner = c.decoder.heads * (1 + below(&random, 30)),
        c.decoder.mask_in_chans = 4 * (1 + below(&random, 9));
        c.decoder.masks = 2 + below(&random, 5), c.decoder.depth = 1 + below(&random, 3),
        c.encoder.vit.qkv_bias = below(&random, 3) != 0, c.encoder.vit.use_rel_pos = below(&random, 4) != 0;
        if (c.encoder.vit.window_size == c.grid || c.encoder.vit.window_size == 0)
            c.encoder.vit.window_size = 0, memset(c.encoder.vit.global_attn, 1, sizeof c.encoder.vit.global_attn);
        expect_reference(&c, seed);
    }
}

Test(odd_models, encodings_are_alike) {
    enum { ENCODINGS = 40 };
    const samc__config c = config_of(8, 14, 3, 64);
    int64_t floats = (int64_t)c.decoder.channels * c.grid * c.grid;
    float *first = malloc((size_t)floats * sizeof *first), *other = malloc((size_t)floats * sizeof *other);
    char path[] = "/tmp/samc_odd_XXXXXX";
    int file = mkstemp(path);
    cr_assert_geq(file, 0);
    close(file);
    write_model(path, &c, 1);
    for (int table = 1; table < RUNGS; table++) {
        cr_assert_eq(setenv("SAMC_CPU_CAPS", rungs[table], 1), 0);
        samc_model *model = open_at(path, SAMC_BACKEND_CPU, SAMC_PRECISION_F32, 8);
        samc_session *session = open_session(model);
        encode(session, first);
        for (int i = 0; i < ENCODINGS; i++) {
            encode(session, other);
            cr_assert_eq(memcmp(first, other, (size_t)floats * sizeof *first), 0,
                         "%s: encoding %d has other bits than the first", rungs[table], i);
        }
        samc_session_destroy(session);
        samc_model_close(model);
    }
    unlink(path);
    free(other);
    free(first);
}
