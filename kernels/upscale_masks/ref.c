/* upscale_masks, reference: both conv-transposes have stride 2 and kernel 2, so a token yields its 4x4 logits alone. */
#include "kernels/ref/math.h"
#include "kernels/ops.h"
#include "kernels/upscale_masks/upscale_masks.h"

#include <string.h>

enum { MAX_CHANNELS = 256 }; /* of C / 4; SAM has 64 */

/* Whether a map has n channels at side x side places under a token, as pixels or as panels. */
static bool is_map(const samc__upscale_masks_args *a, samc__view map, int64_t side, int64_t n) {
    const int64_t images = map.n[0], tokens = (int64_t)a->grid * a->grid, places = side * side;
    if (images <= 0 || a->hyper.n[0] % images != 0 || images != a->add1.n[0] || map.dtype != a->src.dtype) return false;
    return samc__is3(map, images, places * tokens, n) ||
           samc__is4(map, images, samc__update_blocks(tokens), places * n, SAMC__UPDATE_KEYS);
}

samc_status samc__upscale_masks_check(const samc__upscale_masks_args *a, samc_error *error) {
    int64_t p = a->hyper.n[0], tokens = (int64_t)a->grid * a->grid, c = a->src.n[2], low = 4 * (int64_t)a->grid;
    int64_t c4 = a->norm.g.n[0], c8 = a->hyper.n[2], masks = a->hyper.n[1];
    SAMC__REQUIRE(error, "upscale_masks",
                  a->grid > 0 && p > 0 && masks > 0 && samc__is3(a->src, a->depth ? a->src.n[0] : p, tokens, c));
    SAMC__REQUIRE(error, "upscale_masks", c4 > 0 && c4 <= MAX_CHANNELS && c8 > 0 && c8 <= MAX_CHANNELS);
    SAMC__REQUIRE(error, "upscale_masks",
                  a->depth > 0 || (samc__is4(a->up1.w, c, c4, 2, 2) && samc__is1(a->up1.b, c4)));
    SAMC__REQUIRE(error, "upscale_masks",
                  a->depth == 0 || (c == 4 * c4 && a->src.n[0] > 0 && p % a->src.n[0] == 0 && a->heads > 0));
    for (int i = 0; i < a->depth; i++) {
        const samc__up_layer *l = &a->layers[i];
        SAMC__REQUIRE(error, "upscale_masks",
                      samc__is2(l->fold, l->fold.n[0], c) && l->fold.n[0] % a->heads == 0 && samc__is1(l->add, c));
        SAMC__REQUIRE(error, "upscale_masks",
                      samc__update_fits(&l->update, p, l->update.values.n[1], tokens, a->heads, l->fold.n[0]));
    }
    SAMC__REQUIRE(error, "upscale_masks", samc__is1(a->norm.g, c4) && samc__is1(a->norm.b, c4));
    SAMC__REQUIRE(error, "upscale_masks", samc__is4(a->up2.w, c4, c8, 2, 2) && samc__is1(a->up2.b, c8));
    SAMC__REQUIRE(error, "upscale_masks", samc__is3(a->hyper, p, masks, c8));
    SAMC__REQUIRE(error, "upscale_masks", samc__is4(a->y, p, masks, low, low));
    SAMC__REQUIRE(error, "upscale_masks", a->add1.rank == a->add2.rank);
    SAMC__REQUIRE(error, "upscale_masks",
                  a->add1.rank == 0 || (is_map(a, a->add1, 2, c4) && is_map(a, a->add2, 4, c8)));
    return SAMC_OK;
}

double samc__upscale_masks_flops(const samc__upscale_masks_args *a) {
    double tokens = (double)a->hyper.n[0] * (double)a->src.n[1], c4 = (double)a->norm.g.n[0],
           c8 = (double)a->hyper.n[2];
    double first = a->depth ? 0.0 : (double)a->src.n[2]; /* terms of a sum of the first map */
    for (int i = 0; i < a->depth; i++) first += (double)a->layers[i].update.weights.n[2] - 1.0;
    return 2.0 * tokens * (4.0 * first * c4 + 16.0 * c4 * c8 + 16.0 * c8 * (double)a->hyper.n[1]);
}

/* out [c_out, 4] (channel, then 2x2 position) = b + sum over i of x[i] * w[i, c_out, 4]. */
static void conv_transpose(const float *x, const samc__projection *p, float *out) {
    int64_t c_in = p->w.n[0], size = p->w.n[1] * 4;
    const float *w = samc__f32(p->w), *b = samc__f32(p->b);
    for (int64_t o = 0; o < size; o++) out[o] = b[o / 4];
    for (int64_t i = 0; i < c_in; i++)
        for (int64_t o = 0; o < size; o++) out[o] += x[i] * w[i * size + o];
}

/* f [4 * C / 4] (pixel, then channel) of token `token` of a prompt -> out [C / 4, 4]. */
static void apply_layers(const samc__upscale_masks_args *a, int64_t prompt, int64_t token, float *out) {
    int64_t c = a->src.n[2], c4 = c / 4, entry = prompt / (a->hyper.n[0] / a->src.n[0]);
    float f[4 * MAX_CHANNELS];
    memcpy(f, samc__f32(a->src) + (entry * a->src.n[1] + token) * c, (size_t)c * sizeof *f);
    for (int layer = 0; layer < a->depth; layer++) {
        const samc__up_layer *l = &a->layers[layer];
        const samc__key_update *u = &l->update;
        int64_t t = u->values.n[1], inner = u->values.n[2], hd = inner / a->heads;
        const float *weight = samc__f32(u->weights) + samc__update_at(u, prompt, token, 0), *fold = samc__f32(l->fold);
        for (int64_t i = 0; i < inner; i++, fold += c) {
            float o = 0.0f;
            for (int64_t j = 0; j < t; j++)
                o += weight[(i / hd * t + j) * SAMC__UPDATE_KEYS] * samc__f32(u->values)[(prompt * t + j) * inner + i];
            for (int64_t r = 0; r < c; r++) f[r] += o * fold[r];
        }
        for (int64_t r = 0; r < c; r++) f[r] = f[r] * weight[a->heads * t * SAMC__UPDATE_KEYS] + samc__f32(l->add)[r];
    }
    for (int64_t r = 0; r < c; r++) out[r % c4 * 4 + r / c4] = f[r];
}

typedef struct panel_task {
    samc__view map, panels;
    int64_t grid, side;
} panel_task;

/* One item: a panel of an image. */
static void turn_panels(void *context, int64_t begin, int64_t end, int worker) {
    const panel_task *t = context;
    const int64_t tokens = t->grid * t->grid, places = t->side * t->side, n = t->map.n[2], blocks = t->panels.n[1],
                  size = (int64_t)samc__dtype_size(t->map.dtype);
    (void)worker;
    for (int64_t item = begin; item < end; item++) {
        const int64_t first = item % blocks * SAMC__UPDATE_KEYS;
        const char *image = (const char *)t->map.data + item / blocks * places * tokens * n * size;
        char *out = (char *)t->panels.data + item * places * n * SAMC__UPDATE_KEYS * size;
        memset(out, 0, (size_t)(places * n * SAMC__UPDATE_KEYS * size));
        for (int64_t i = 0; i < places; i++, out += n * SAMC__UPDATE_KEYS * size)
            for (int64_t j = 0; j < SAMC__UPDATE_KEYS && first + j < tokens; j++) {
                const char *pixel = image + samc__upscale_at(t->grid, t->side, first + j, i) * n * size;
                for (int64_t c = 0; c < n && size == 2; c++)
                    ((uint16_t *)(void *)out)[c * SAMC__UPDATE_KEYS + j] = ((const uint16_t *)(const void *)pixel)[c];
                for (int64_t c = 0; c < n && size == 4; c++)
                    ((float *)(void *)out)[c * SAMC__UPDATE_KEYS + j] = ((const float *)(const void *)pixel)[c];
            }
    }
}

void samc__upscale_panels(const samc__exec *exec, samc__view map, int64_t grid, int64_t side, samc__view panels) {
    exec->parallel(exec->pool, panels.n[0] * panels.n[1], 4, turn_panels,
                   &(panel_task){.map = map, .panels = panels, .grid = grid, .side = side});
}

/* x [n] += a pixel of a prompt's image in a map, at place i of the side x side under a token. */
static void add_pixel(const samc__upscale_masks_args *a, samc__view map, int64_t side, int64_t token, int64_t i,
                      float *x) {
    const int64_t g = a->grid, prompt = token / (g * g), all = a->hyper.n[0];
    if (map.rank == 0) return;
    if (map.rank == 4) {
        const int64_t n = map.n[2] / (side * side);
        for (int64_t o = 0; o < n; o++)
            x[o] += samc__f32(map)[samc__upscale_row(map, all, prompt, token % (g * g), i * n + o)];
        return;
    }
    const float *from =
        samc__f32(map) +
        (samc__upscale_image(map, all, prompt) + samc__upscale_at(g, side, token % (g * g), i)) * map.n[2];
    for (int64_t o = 0; o < map.n[2]; o++) x[o] += from[o];
}

static void upscale_tokens(void *context, int64_t begin, int64_t end, int worker) {
    const samc__upscale_masks_args *a = context;
    (void)worker;
    int64_t g = a->grid, low = 4 * g, c = a->src.n[2], c4 = a->norm.g.n[0], c8 = a->hyper.n[2], masks = a->hyper.n[1];
    float first[4 * MAX_CHANNELS], pixel[MAX_CHANNELS], second[4 * MAX_CHANNELS], feature[MAX_CHANNELS];
    for (int64_t token = begin; token < end; token++) {
        int64_t prompt = token / (g * g), y = token / g % g, x = token % g;
        if (a->depth) apply_layers(a, prompt, token % (g * g), first);
        else conv_transpose(samc__f32(a->src) + token * c, &a->up1, first);
        for (int64_t i = 0; i < 4; i++) { /* the 2x2 pixels of the first map */
            for (int64_t o = 0; o < c4; o++) pixel[o] = first[o * 4 + i];
            add_pixel(a, a->add1, 2, token, i, pixel);
            samc__layernorm_ref_row(pixel, samc__f32(a->norm.g), samc__f32(a->norm.b), a->norm.eps, c4, pixel);
            for (int64_t o = 0; o < c4; o++) pixel[o] = samc__gelu_ref(pixel[o]);
            conv_transpose(pixel, &a->up2, second);
            for (int64_t j = 0; j < 4; j++) { /* the 2x2 pixels of the second map under it */
                int64_t under = (2 * (i / 2) + j / 2) * 4 + 2 * (i % 2) + j % 2, row = 4 * y + under / 4,
                        col = 4 * x + under % 4;
                for (int64_t o = 0; o < c8; o++) feature[o] = second[o * 4 + j];
                add_pixel(a, a->add2, 4, token, under, feature);
                for (int64_t o = 0; o < c8; o++) feature[o] = samc__gelu_ref(feature[o]);
                for (int64_t m = 0; m < masks; m++)
                    samc__f32(a->y)[((prompt * masks + m) * low + row) * low + col] =
                        samc__dot_ref(samc__f32(a->hyper) + (prompt * masks + m) * c8, feature, c8);
            }
        }
    }
}

samc_status samc__upscale_masks_ref(const samc__exec *exec, const samc__upscale_masks_args *a) {
    exec->parallel(exec->pool, a->hyper.n[0] * a->src.n[1], 32, upscale_tokens, (void *)a);
    return SAMC_OK;
}
