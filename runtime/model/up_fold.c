/* The first conv-transpose folded back through the layers, last to first.
 *
 * With keys = g (x - mean) / deviation + b the map A . keys is A' . x / deviation + A . b, where A' is A times g with
 * the mean of each row taken off: x minus its mean is what such rows see of x. And x is the keys before + bout + Wout .
 * o. */
#include "runtime/model/up_fold.h"

#include <stdlib.h>

/* row . x over c channels. */
static double dot(const double *row, const float *x, int64_t c) {
    double sum = 0.0;
    for (int64_t i = 0; i < c && x; i++) sum += row[i] * (double)x[i];
    return sum;
}

/* One row of the map, carried through all layers. w [C] and b: the row of the conv-transpose; `outs` [layers][inner,
 * C]. */
static void fold_row(const samc__config *config, const samc__weights *weights, const float *outs, int64_t row,
                     double *w, double b, samc__up_fold *fold) {
    int64_t c = config->decoder.channels, inner = config->decoder.inner;
    for (int layer = config->decoder.depth - 1; layer >= 0; layer--) {
        const samc__decoder_layer *l = &weights->layers[layer];
        double mean = 0.0;
        samc__f32(fold->add[layer])[row] = (float)(b + dot(w, samc__f32(l->norm4.b), c));
        for (int64_t i = 0; i < c; i++) mean += (w[i] *= (double)samc__f32(l->norm4.g)[i]) / (double)c;
        for (int64_t i = 0; i < c; i++) w[i] -= mean;
        for (int64_t i = 0; i < inner; i++)
            samc__f32(fold->fold[layer])[i * fold->rows + row] = (float)dot(w, outs + (layer * inner + i) * c, c);
        b = dot(w, samc__f32(l->cross_image_to_token.out.b), c);
    }
    for (int64_t i = 0; i < c; i++) samc__f32(fold->image.w)[row * c + i] = (float)w[i];
    samc__f32(fold->image.b)[row] = (float)b;
}

/* Hands out the parts behind the struct, and returns how many floats they take; NULL: only counts. */
static int64_t lay_out(const samc__config *config, samc__up_fold *fold) {
    int64_t c = config->decoder.channels, rows = c / 4 * 4, at = 0;
    float *base = fold ? (float *)(fold + 1) : NULL;
#define PART(floats) (at += (floats), base ? base + at - (floats) : NULL)
    samc__view w = samc__view2(PART(rows * c), rows, c), b = samc__view1(PART(rows), rows); /* in this order */
    if (fold) fold->rows = rows, fold->image = (samc__projection){w, b};
    for (int layer = 0; layer < config->decoder.depth; layer++) {
        samc__view to = samc__view2(PART(config->decoder.inner * rows), config->decoder.inner, rows),
                   add = samc__view1(PART(rows), rows);
        if (fold) fold->fold[layer] = to, fold->add[layer] = add;
    }
#undef PART
    return at;
}

samc_status samc__up_fold_make(const samc__config *config, const samc__weights *weights, samc__up_fold **out,
                               samc_error *error) {
    int64_t c = config->decoder.channels, c4 = c / 4, inner = config->decoder.inner, depth = config->decoder.depth;
    samc__up_fold *fold = malloc(sizeof *fold + (size_t)lay_out(config, NULL) * sizeof(float));
    double *w = malloc((size_t)c * sizeof *w +
                       (size_t)(depth * inner * c) * sizeof(float)); /* [C], and the layers' Wout as [inner, C] */
    if (fold == NULL || w == NULL) {
        free(fold), free(w);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to fold the upscaling");
    }
    *fold = (samc__up_fold){0};
    lay_out(config, fold);
    float *outs = (float *)(w + c);
    const float *up_w = samc__f32(weights->up1.w), *up_b = samc__f32(weights->up1.b);
    for (int64_t layer = 0; layer < depth; layer++)
        for (int64_t i = 0; i < inner; i++)
            for (int64_t j = 0; j < c; j++)
                outs[(layer * inner + i) * c + j] =
                    samc__f32(weights->layers[layer].cross_image_to_token.out.w)[j * inner + i];
    for (int64_t row = 0; row < fold->rows; row++) { /* of up1.w [C, C / 4, 2 x 2] */
        for (int64_t i = 0; i < c; i++) w[i] = (double)up_w[(i * c4 + row % c4) * 4 + row / c4];
        fold_row(config, weights, outs, row, w, up_b ? (double)up_b[row % c4] : 0.0, fold);
    }
    free(w);
    *out = fold;
    return SAMC_OK;
}
