/* Calibrated random weights and a synthetic picture, in C. */
#include "tests/gpu/random_model.h"

#include "runtime/session.h"
#include "bench/forecast/workload.h"
#include "runtime/model/tensors.h"
#include "weights/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As in calibrate.py: of attention scores, of what a branch adds to its stream, of patches and positions, of gains
 * before narrow norms. */
static const double scores = 2.0, branch = 0.1, input = 0.2, narrow = 0.25, logit_deviation = 5.0, iou_mean = 0.8,
                    iou_deviation = 0.1;
/* Mean squares: of a LayerNorm's output with gains U(0.5, 1.5) and biases of 0.1; of GELU of a standard normal value.
 */
static const double normed = 1.09, gelued = 0.43;

/* ---- Random numbers: of any element without those before it ---------------------------------- */

static uint64_t mixed(uint64_t x) { /* splitmix64 */
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}
static double uniform(uint64_t key) { return (double)(mixed(key) >> 11) * 0x1p-53; }
/* Four uniform values added: normal enough, and one step of the generator. */
static double normal(uint64_t key) {
    uint64_t x = mixed(key);
    double sum = (double)(x & 0xffff) + (double)(x >> 16 & 0xffff) + (double)(x >> 32 & 0xffff) + (double)(x >> 48);
    return (sum / 65536.0 - 2.0) * 1.7320508;
}

/* ---- The tensors ----------------------------------------------------------------------------- */

/* What an element is: normal; a gain; normal with larger rows for queries; a smooth field over the grid; a tap of an
 * upsampling, much like its neighbours, as trained ones are. */
typedef enum kind { NORMAL, GAIN, QUERY_ROWS, FIELD, TAP } kind;

typedef struct recipe {
    kind kind;
    double deviation; /* of a gain: its factor */
    uint64_t key;
} recipe;

typedef struct plan {
    const samc__config *config;
    size_t count;
    samc__output_tensor *tensors;
    recipe *recipes;
    uint64_t seed;
} plan;

static bool has(const char *name, const char *part) { return strstr(name, part) != NULL; }

static recipe recipe_of(const samc__config *c, const char *name, int rank, const int64_t *shape) {
    double in = 1;
    for (int i = 1; i < rank; i++) in *= (double)shape[i];
    bool narrowed = (has(name, "mask_decoder.transformer") && has(name, "norm")) || has(name, "neck.3.");
    bool table =
        has(name, "point_embeddings") || has(name, "not_a_point") || has(name, "_token") || has(name, "gaussian");
    recipe r = {NORMAL, 1 / sqrt(in), 0};
    if (has(name, ".bias")) r.deviation = narrowed ? branch * narrow : branch;
    else if (rank == 1) r = (recipe){GAIN, narrowed ? narrow : 1.0, 0};
    else if (table) r.deviation = 1.0;
    else if (has(name, "no_mask"))
        r.deviation = narrow; /* more would hide the image, to which it is added everywhere */
    else if (has(name, "rel_pos")) r.deviation = 0.5 / sqrt(in);
    else if (has(name, "pos_embed")) r = (recipe){FIELD, input, 0};
    else if (has(name, "patch_embed")) r.deviation = input / sqrt(in);
    else if (has(name, "attn.qkv")) r = (recipe){QUERY_ROWS, 1 / sqrt(normed * in), 0};
    else if (has(name, "attn.proj")) r.deviation = branch / (0.5 * sqrt(in)); /* a mean of values is half of one */
    else if (has(name, "image_encoder") && has(name, "lin1")) r.deviation = 1 / sqrt(normed * in);
    else if (has(name, "image_encoder") && has(name, "lin2")) r.deviation = branch / sqrt(gelued * in);
    else if (has(name, "neck.0"))
        r.deviation = branch / sqrt((2 * input * input + 2 * branch * branch * c->encoder.vit.depth) * in);
    else if (has(name, "neck.2")) r.deviation = branch / sqrt(normed * in);
    else if (has(name, "q_proj")) r.deviation = scores / sqrt(in);
    else if (has(name, "out_proj")) r.deviation = branch / sqrt(in);
    else if (has(name, "transformer") && has(name, "lin2")) r.deviation = branch / sqrt(0.5 * narrow * narrow * in);
    else if (has(name, "output_upscaling.0")) r = (recipe){TAP, branch / (narrow * sqrt((double)shape[0])), 0};
    else if (has(name, "output_upscaling.3")) r = (recipe){TAP, 1 / sqrt(gelued * (double)shape[0]), 0};
    else if (has(name, "mask_downscaling.0")) r.deviation = branch / (logit_deviation * sqrt(in));
    else if (has(name, "mask_downscaling.3")) r.deviation = branch / sqrt(gelued * in);
    else if (has(name, "mask_downscaling.6")) r.deviation = narrow / sqrt(gelued * in);
    return r;
}

static samc_status plan_tensors(plan *p, const samc__tensor_list *list, samc_error *error) {
    p->tensors = calloc(list->count, sizeof *p->tensors);
    p->recipes = calloc(list->count, sizeof *p->recipes);
    if (p->tensors == NULL || p->recipes == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for the tensors of a model");
    for (; p->count < list->count; p->count++) {
        const samc__entry *e = &list->at[p->count];
        p->recipes[p->count] = recipe_of(p->config, e->name, e->rank, e->shape);
        p->recipes[p->count].key = mixed(p->seed * 0x1000193 + p->count);
        p->tensors[p->count] = (samc__output_tensor){.name = e->name, .dtype = SAMC__F32, .rank = e->rank};
        memcpy(p->tensors[p->count].shape, e->shape, sizeof e->shape);
    }
    return SAMC_OK;
}

/* Two waves across the grid for each channel, and a little noise. */
static double field(const recipe *r, const int64_t *shape, int64_t i) {
    int64_t channel = i % shape[3];
    double x = (double)(i / shape[3] % shape[2]) / (double)shape[2],
           y = (double)(i / shape[3] / shape[2]) / (double)shape[1], sum = 0;
    for (uint64_t wave = 0; wave < 2; wave++) {
        uint64_t key = r->key + 8 * (uint64_t)channel + 4 * wave;
        sum += sin(6.2831853 *
                   (3 * (uniform(key) - 0.5) * 2 * x + 3 * (uniform(key + 1) - 0.5) * 2 * y + uniform(key + 2)));
    }
    return 0.9 * sum + 0.43 * normal(~r->key + (uint64_t)i);
}

static double element(const recipe *r, const samc__output_tensor *t, int64_t i) {
    switch (r->kind) {
    case GAIN:
        return r->deviation * (0.5 + uniform(r->key + (uint64_t)i));
    case QUERY_ROWS: /* scores q k / sqrt(hd), where eight tenths of both vary along the keys */
        return r->deviation * normal(r->key + (uint64_t)i) * (i < t->shape[0] / 3 * t->shape[1] ? scores / 0.64 : 1.0);
    case FIELD:
        return r->deviation * field(r, t->shape, i);
    case TAP:
        return r->deviation * (0.95 * normal(r->key + (uint64_t)(i / 4)) + 0.31 * normal(~r->key + (uint64_t)i));
    default:
        return r->deviation * normal(r->key + (uint64_t)i);
    }
}

static samc_status fill(void *context, size_t index, int64_t first, int64_t count, void *bytes, samc_error *error) {
    const plan *p = context;
    float *to = bytes;
    (void)error;
    for (int64_t i = 0; i < count; i++) to[i] = (float)element(&p->recipes[index], &p->tensors[index], first + i);
    return SAMC_OK;
}

/* ---- The decoder's last layers --------------------------------------------------------------- */

enum { POINTS = 9, WIDTH = 640, HEIGHT = 480 };

/* The last layers of the hypernetworks, of each mask token, which a model that is open is made to use: [channels,
 * width] and [channels]. */
typedef struct last_layers {
    int tokens, channels, width;
    float *w[SAMC__MAX_MASK_TOKENS], *b[SAMC__MAX_MASK_TOKENS];
} last_layers;

static void statistics(const float *x, int64_t groups, int64_t pitch, int64_t n, double *of /* mean, deviation */) {
    double sum = 0, squares = 0, count = (double)(groups * n);
    for (int64_t g = 0; g < groups; g++)
        for (int64_t i = 0; i < n; i++)
            sum += x[g * pitch + i], squares += (double)x[g * pitch + i] * (double)x[g * pitch + i];
    of[0] = sum / count;
    of[1] = sqrt(squares / count - of[0] * of[0]) + 1e-30;
}

/* Logits and IoU of every mask token for a grid of points: token 0 from single-mask prediction (left out by `most`),
 * the others together. */
static samc_status measure(samc_session *session, bool most, int tokens, double (*logits)[2], double (*iou)[2]) {
    static const int32_t label = 1;
    float points[POINTS][2];
    samc_prompt prompts[POINTS];
    samc_status status = SAMC_OK;
    int64_t size = 16 * (int64_t)session->model->net.config.grid * session->model->net.config.grid;
    for (int i = 0; i < POINTS; i++) {
        points[i][0] = (float)(WIDTH * (1 + i % 3)) / 4, points[i][1] = (float)(HEIGHT * (1 + i / 3)) / 4;
        prompts[i] =
            (samc_prompt){.size = sizeof(samc_prompt), .points = points[i], .labels = &label, .point_count = 1};
    }
    for (int multi = most; multi < 2 && status == SAMC_OK; multi++) {
        samc_result *result = NULL;
        status = samc_predict(session, prompts, POINTS, multi, &result);
        if (status != SAMC_OK) break;
        int64_t masks = samc_result_masks(result);
        for (int m = 0; m < (int)masks && multi + m < tokens; m++) {
            statistics(samc_result_logits(result) + m * size, POINTS, masks * size, size, logits[multi + m]);
            statistics(samc_result_iou(result) + m, POINTS, masks, 1, iou[multi + m]);
        }
        samc_result_free(result);
    }
    return status;
}

/* The mean of the upscaled embedding, which the hypernetworks' vectors are multiplied with: unit vectors in their place
 * show it, a channel for each of the tokens that are predicted together. */
static samc_status mean_feature(samc_session *session, const last_layers *l, double *mean) {
    double logits[SAMC__MAX_MASK_TOKENS][2], iou[SAMC__MAX_MASK_TOKENS][2];
    for (int channel = 0; channel < l->channels; channel += l->tokens - 1) {
        for (int t = 1; t < l->tokens; t++)
            for (int i = 0; i < l->channels; i++) l->b[t][i] = i == channel + t - 1;
        SAMC__TRY(measure(session, true, l->tokens, logits, iou));
        for (int t = 1; t < l->tokens && channel + t - 1 < l->channels; t++) mean[channel + t - 1] = logits[t][0];
    }
    return SAMC_OK;
}

/* Takes the direction of `mean` out of the vectors that a layer yields: logits are then about 0, and masks neither
 * empty nor full. */
static void take_out(const last_layers *l, const double *mean, float *w, int width) {
    double length = 1e-30;
    for (int i = 0; i < l->channels; i++) length += mean[i] * mean[i];
    for (int column = 0; column < width; column++) {
        double along = 0;
        for (int i = 0; i < l->channels; i++) along += mean[i] * (double)w[i * width + column];
        for (int i = 0; i < l->channels; i++) w[i * width + column] -= (float)(along / length * mean[i]);
    }
}

static bool overwrite(FILE *file, const samc__checkpoint *checkpoint, const char *name, int64_t first, int64_t count,
                      const float *values) {
    const samc__tensor *t = samc__checkpoint_find(checkpoint, name);
    if (t == NULL) return false;
    long offset = (long)((const uint8_t *)t->data - checkpoint->bytes) + (long)first * (long)sizeof *values;
    return fseek(file, offset, SEEK_SET) == 0 && fwrite(values, sizeof *values, (size_t)count, file) == (size_t)count;
}

/* Row `token` of the IoU head's last layer; its bias b becomes mean - (measured mean - b) factor. */
static bool rescale_iou(FILE *file, const samc__checkpoint *checkpoint, const samc__config *c, int token,
                        const double *measured) {
    float row[4096], bias;
    double factor = iou_deviation / measured[1];
    char weight[96], offset[96];
    snprintf(weight, sizeof weight, "mask_decoder.iou_prediction_head.layers.%d.weight", c->decoder.iou_depth - 1);
    snprintf(offset, sizeof offset, "mask_decoder.iou_prediction_head.layers.%d.bias", c->decoder.iou_depth - 1);
    const samc__tensor *w = samc__checkpoint_find(checkpoint, weight), *b = samc__checkpoint_find(checkpoint, offset);
    if (w == NULL || b == NULL || w->shape[1] > 4096) return false;
    samc__tensor_copy_f32(w, token * w->shape[1], w->shape[1], row);
    samc__tensor_copy_f32(b, token, 1, &bias);
    for (int64_t i = 0; i < w->shape[1]; i++) row[i] *= (float)factor;
    bias = (float)(iou_mean - (measured[0] - (double)bias) * factor);
    return overwrite(file, checkpoint, weight, token * w->shape[1], w->shape[1], row) &&
           overwrite(file, checkpoint, offset, token, 1, &bias);
}

static bool rewrite(const char *path, const samc__config *c, const samc__checkpoint *checkpoint, const last_layers *l,
                    double (*logits)[2], double (*iou)[2]) {
    char name[96];
    FILE *file = fopen(path, "r+b");
    bool ok = file != NULL;
    for (int t = 0; t < l->tokens && ok; t++) {
        float factor = (float)(logit_deviation / logits[t][1]);
        for (int i = 0; i < l->channels * l->width; i++) l->w[t][i] *= factor;
        for (int i = 0; i < l->channels; i++) l->b[t][i] *= factor;
        snprintf(name, sizeof name, "mask_decoder.output_hypernetworks_mlps.%d.layers.2.weight", t);
        ok = overwrite(file, checkpoint, name, 0, (int64_t)l->channels * l->width, l->w[t]);
        snprintf(name, sizeof name, "mask_decoder.output_hypernetworks_mlps.%d.layers.2.bias", t);
        ok = ok && overwrite(file, checkpoint, name, 0, l->channels, l->b[t]) &&
             rescale_iou(file, checkpoint, c, t, iou[t]);
    }
    return file != NULL && fclose(file) == 0 && ok;
}

/* Takes over the layers' values, or zeros for the weights; the model then uses `l`. */
static void use_layers(samc_model *model, const samc__weights *original, last_layers *l, bool zeros) {
    for (int t = 0; t < l->tokens; t++) {
        size_t weight = (size_t)(l->channels * l->width) * sizeof(float), bias = (size_t)l->channels * sizeof(float);
        memcpy(l->w[t], original->hyper[t][2].w.data, weight);
        memcpy(l->b[t], original->hyper[t][2].b.data, bias);
        if (zeros) memset(l->w[t], 0, weight);
        model->net.weights.hyper[t][2].w.data = l->w[t], model->net.weights.hyper[t][2].b.data = l->b[t];
    }
}

static samc_status calibrate_session(samc_session *session, samc_model *model, const char *path, samc_error *error) {
    static uint8_t pixels[WIDTH * HEIGHT * 3];
    double logits[SAMC__MAX_MASK_TOKENS][2], iou[SAMC__MAX_MASK_TOKENS][2], mean[4096] = {0}; /* mean, deviation */
    const samc__config *c = &model->net.config;
    const samc__weights original = model->net.weights;
    last_layers l = {.tokens = c->decoder.masks, .channels = c->decoder.channels / 8, .width = c->decoder.channels};
    samc_status status = SAMC_OK;
    for (int t = 0; t < l.tokens; t++) {
        l.w[t] = malloc((size_t)(l.channels * l.width) * sizeof(float)),
        l.b[t] = malloc((size_t)l.channels * sizeof(float));
        if (l.w[t] == NULL || l.b[t] == NULL)
            status = samc__fail(&session->error, SAMC_OUT_OF_MEMORY, "no memory to calibrate");
    }
    random_scene(pixels, WIDTH, HEIGHT, 0);
    if (status == SAMC_OK)
        status = samc_set_image(session, &(samc_image){sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3});
    if (status == SAMC_OK) use_layers(model, &original, &l, true);
    if (status == SAMC_OK) status = mean_feature(session, &l, mean);
    if (status == SAMC_OK) use_layers(model, &original, &l, false);
    for (int t = 0; t < l.tokens && status == SAMC_OK; t++)
        take_out(&l, mean, l.w[t], l.width), take_out(&l, mean, l.b[t], 1);
    if (status == SAMC_OK) status = measure(session, false, l.tokens, logits, iou);
    if (status != SAMC_OK) samc__fail(error, status, "%s: %s", path, samc_last_error(session));
    if (status == SAMC_OK && !rewrite(path, c, model->checkpoint, &l, logits, iou))
        status = samc__fail(error, SAMC_IO, "%s: could not be calibrated", path);
    for (int t = 0; t < l.tokens; t++) {
        if (status == SAMC_OK)
            printf("token %d: logits had deviation %.3g (mean %.3g), IoU %.3g (%.3g)\n", t, logits[t][1], logits[t][0],
                   iou[t][1], iou[t][0]);
        free(l.w[t]), free(l.b[t]);
    }
    return status;
}

static samc_status calibrate(const char *path, const samc_options *options, samc_error *error) {
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_status status = samc_model_open(path, options, &model, error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, error);
    if (status == SAMC_OK) status = calibrate_session(session, model, path, error);
    samc_session_destroy(session);
    samc_model_close(model);
    return status;
}

samc_status random_model_write(const char *shapes_of, uint64_t seed, const char *path, const samc_options *options,
                               samc_error *error) {
    static samc__weights views;
    samc__tensor_list list = {0};
    samc__shapes *shapes = NULL;
    samc__checkpoint *source = NULL;
    samc__metadata metadata = {(char *)"samc.config", NULL};
    plan p = {.seed = seed};
    SAMC__TRY(samc__shapes_open(shapes_of, &shapes, error));
    p.config = samc__shapes_config(shapes);
    /* What tensors do not tell of a model that is not official. */
    if (samc__checkpoint_open(shapes_of, &source, NULL) == SAMC_OK)
        metadata.value = (char *)samc__checkpoint_metadata(source, metadata.key);
    samc_status status = samc__tensors_list(p.config, &views, &list, error);
    if (status == SAMC_OK) status = plan_tensors(&p, &list, error);
    if (status == SAMC_OK)
        status = samc__safetensors_write(path, p.tensors, p.count, &metadata, metadata.value != NULL, fill, &p, error);
    if (status == SAMC_OK) status = calibrate(path, options, error);
    samc__tensors_free(&list);
    free(p.tensors);
    free(p.recipes);
    samc__checkpoint_close(source);
    samc__shapes_close(shapes);
    return status;
}

/* ---- The picture ----------------------------------------------------------------------------- */

enum { SHAPES = 7 };

void random_scene(uint8_t *pixels, int width, int height, uint64_t seed) {
    double shape[SHAPES][9], ground[3], side = width > height ? width : height;
    uint64_t key = mixed(seed);
    for (int i = 0; i < SHAPES; i++) /* centre, radius, angle, texture, colour */
        for (int j = 0; j < 9; j++) shape[i][j] = uniform(key + (uint64_t)(9 * i + j));
    for (int c = 0; c < 3; c++) ground[c] = 60 + 130 * uniform(key + 100 + (uint64_t)c);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double colour[3] = {ground[0], ground[1], ground[2]};
            for (int i = 0; i < SHAPES; i++) {
                const double *s = shape[i];
                double dx = x / side - s[0] * width / side, dy = y / side - s[1] * height / side,
                       r = 0.08 + 0.27 * s[2];
                if (dx * dx + dy * dy > 2 * r * r) continue;
                double u = dx * cos(3.14159 * s[3]) + dy * sin(3.14159 * s[3]),
                       v = 1.6 * (dy * cos(3.14159 * s[3]) - dx * sin(3.14159 * s[3]));
                if (fabs(u * u * u) + fabs(v * v * v) > r * r * r) continue;
                for (int c = 0; c < 3; c++) colour[c] = 20 + 215 * s[5 + c] + 40 * sin(u * (20 + 100 * s[4]));
            }
            for (int c = 0; c < 3; c++) {
                double value = colour[c] + 6 * normal(key + 1000 + (uint64_t)((y * (int64_t)width + x) * 3 + c));
                pixels[((int64_t)y * width + x) * 3 + c] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
            }
        }
}
