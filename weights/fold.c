/* Batch norms folded into the convolutions before them, in double precision, as a file is read: what follows them here,
 * shapes, hashes and converted files alike, knows a weight and a bias.
 *
 * w' = w g / sqrt(var + eps), b' = (b - mean) g / sqrt(var + eps) + beta, each output channel by itself. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "weights/reader.h"

/* Names of a convolution and of the norm behind it, below one prefix; the convolution becomes PREFIX + `to`. */
static const struct {
    const char *convolution, *norm, *to;
    double eps;
} pairs[] = {
    {"c", "bn", "", 1e-5},           /* TinyViT, RepViT; PyTorch's own epsilon */
    {"conv", "norm", "conv.", 1e-6}, /* EfficientViT, which sets every norm's epsilon */
};

typedef struct fold {
    size_t prefix; /* length, of the norm's tensors */
    int pair;
    const samc__tensor *w, *b, *gain, *beta, *mean, *variance;
    const samc__tensor *batches; /* how many the norm has seen; b and batches may be NULL: absent */
} fold;

static const samc__tensor *find(const samc__checkpoint *c, const char *prefix, size_t length, const char *part,
                                const char *leaf) {
    char name[2 * SAMC__MAX_NAME];
    snprintf(name, sizeof name, "%.*s%s.%s", (int)length, prefix, part, leaf);
    return samc__checkpoint_find(c, name);
}

/* Weights of 8 bits are nothing without their scales. */
static bool is_float(const samc__tensor *t) { return t->dtype != SAMC__OTHER && t->dtype != SAMC__I8; }

static bool is_vector(const samc__tensor *t, int64_t length) {
    return t != NULL && is_float(t) && t->rank == 1 && t->shape[0] == length;
}

/* Whether the tensor is the variance of a norm that can be folded; *f: into what. */
static bool foldable(const samc__checkpoint *c, const samc__tensor *variance, fold *f) {
    const size_t length = strlen(variance->name);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char end[64];
        const int behind = snprintf(end, sizeof end, "%s.running_var", pairs[i].norm);
        if (length <= (size_t)behind || strcmp(variance->name + length - behind, end) != 0 ||
            variance->name[length - (size_t)behind - 1] != '.')
            continue;
        const char *prefix = variance->name;
        const size_t before = length - (size_t)behind;
        *f = (fold){.prefix = before,
                    .pair = (int)i,
                    .w = find(c, prefix, before, pairs[i].convolution, "weight"),
                    .b = find(c, prefix, before, pairs[i].convolution, "bias"),
                    .gain = find(c, prefix, before, pairs[i].norm, "weight"),
                    .beta = find(c, prefix, before, pairs[i].norm, "bias"),
                    .mean = find(c, prefix, before, pairs[i].norm, "running_mean"),
                    .variance = variance,
                    .batches = find(c, prefix, before, pairs[i].norm, "num_batches_tracked")};
        if (f->w == NULL || !is_float(f->w) || f->w->rank != 4) return false;
        const int64_t out = f->w->shape[0];
        return is_vector(f->gain, out) && is_vector(f->beta, out) && is_vector(f->mean, out) &&
               is_vector(variance, out) && (f->b == NULL || is_vector(f->b, out));
    }
    return false;
}

static double value(const samc__tensor *t, int64_t at) {
    double exact;
    float near;
    if (t->dtype == SAMC__F64) {
        samc__tensor_copy_raw(t, at, 1, &exact);
        return exact;
    }
    samc__tensor_copy_f32(t, at, 1, &near);
    return (double)near;
}

/* w' and b' as floats. */
static void compute(const fold *f, float *w, float *b) {
    const int64_t out = f->w->shape[0], each = samc__tensor_elements(f->w) / (out > 0 ? out : 1);
    for (int64_t o = 0; o < out; o++) {
        const double scale = value(f->gain, o) / sqrt(value(f->variance, o) + pairs[f->pair].eps);
        b[o] = (float)(((f->b ? value(f->b, o) : 0.0) - value(f->mean, o)) * scale + value(f->beta, o));
        if (f->w->dtype != SAMC__F64) samc__tensor_copy_f32(f->w, o * each, each, w + o * each);
        for (int64_t i = o * each; i < (o + 1) * each; i++)
            w[i] = (float)((f->w->dtype == SAMC__F64 ? value(f->w, i) : (double)w[i]) * scale);
    }
}

/* Gives a tensor of the checkpoint other contents: dense floats. */
static void replace(samc__tensor *t, char *name, const float *values, int rank, const int64_t *shape) {
    int64_t stride = 1;
    free((char *)t->name);
    *t = (samc__tensor){.name = name, .dtype = SAMC__F32, .rank = rank, .data = values};
    for (int i = rank; i-- > 0; stride *= shape[i]) t->shape[i] = shape[i], t->stride[i] = stride;
}

/* The convolution's weight and the norm's bias take the results, the other tensors of both go; `dropped` [count] says
 * which. */
static samc_status apply(samc__checkpoint *c, const fold *f, float *values, bool *dropped, samc_error *error) {
    const int64_t elements = samc__tensor_elements(f->w), out = f->w->shape[0];
    const samc__tensor *read[] = {f->w, f->b, f->gain, f->beta, f->mean, f->variance};
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        if (read[i] != NULL && !samc__tensor_fits_f32(read[i])) /* as of every tensor that is used */
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s has values beyond the range of f32", c->label,
                              samc__printable(read[i]->name, strlen(read[i]->name)).text);
    for (int64_t o = 0; o < out; o++)
        if (value(f->variance, o) < 0) /* NaN passes, as every other NaN does */
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s has a negative variance", c->label,
                              samc__printable(f->variance->name, strlen(f->variance->name)).text);
    char *names[2] = {malloc(2 * SAMC__MAX_NAME), malloc(2 * SAMC__MAX_NAME)};
    if (names[0] == NULL || names[1] == NULL) {
        free(names[0]);
        free(names[1]);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", c->label);
    }
    for (int i = 0; i < 2; i++)
        snprintf(names[i], 2 * SAMC__MAX_NAME, "%.*s%s%s", (int)f->prefix, f->variance->name, pairs[f->pair].to,
                 i == 0 ? "weight" : "bias");
    compute(f, values, values + elements);
    const samc__tensor *gone[] = {f->b, f->gain, f->mean, f->variance, f->batches};
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
        if (gone[i] != NULL) dropped[gone[i] - c->tensors] = true;
    int64_t shape[4] = {out, f->w->shape[1], f->w->shape[2], f->w->shape[3]};
    replace(&c->tensors[f->w - c->tensors], names[0], values, 4, shape);
    replace(&c->tensors[f->beta - c->tensors], names[1], values + elements, 1, shape);
    return SAMC_OK;
}

samc_status samc__checkpoint_fold(samc__checkpoint *c, samc_error *error) {
    const size_t bytes = samc__checkpoint_bytes(c);
    size_t folds = 0, left = 0;
    uint64_t floats = 0;
    fold *all = NULL, f;
    for (size_t i = 0; i < c->count; i++) {
        if (!foldable(c, &c->tensors[i], &f)) continue;
        /* Views may share bytes, see samc__tensors_check(): of many large ones the sum would not fit a number. */
        const uint64_t own = (uint64_t)samc__tensor_elements(f.w) + (uint64_t)f.w->shape[0];
        if (own > bytes / 2 - floats)
            return samc__fail(error, SAMC_MISMATCH, "%s: the file has %zu bytes, too few for the values of its tensors",
                              c->label, bytes);
        floats += own;
        folds++;
    }
    if (folds == 0) return SAMC_OK;
    bool *dropped = calloc(c->count, sizeof *dropped);
    all = malloc(folds * sizeof *all);
    c->folded = malloc((size_t)floats * sizeof *c->folded);
    c->folded_count = (size_t)floats;
    samc_status status = SAMC_OK;
    if (dropped == NULL || all == NULL || c->folded == NULL)
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", c->label);
    /* All are found before the first one's names change, by which the others are found. */
    for (size_t i = 0, at = 0; i < c->count && status == SAMC_OK; i++)
        if (foldable(c, &c->tensors[i], &f)) all[at++] = f;
    float *values = c->folded;
    for (size_t i = 0; i < folds && status == SAMC_OK; i++) {
        const int64_t taken = samc__tensor_elements(all[i].w) + all[i].w->shape[0];
        status = apply(c, &all[i], values, dropped, error);
        values += taken;
    }
    for (size_t i = 0; i < c->count && status == SAMC_OK; i++) {
        if (dropped[i]) free((char *)c->tensors[i].name);
        else c->tensors[left++] = c->tensors[i];
    }
    if (status == SAMC_OK) c->count = left;
    free(dropped);
    free(all);
    if (status == SAMC_OK) samc__checkpoint_add_note(c, "%zu batch norms are folded into their convolutions", folds);
    return status;
}
