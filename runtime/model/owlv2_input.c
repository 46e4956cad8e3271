/* OWLv2's view of an image. Padding, blur and sampling are linear and work on each axis by itself, so that one table a
 * axis says what each of its `side` places is a sum of: the taps of the blur below both pixels that it lies between. */
#include "runtime/model/owlv2_input.h"

#include <math.h>
#include <string.h>

enum { CHANNELS = 3 };

/* Place i of the axis is the sum over j < taps of weights[i][j] times pixel first[i] + j. */
typedef struct axis {
    int taps;
    int *first;     /* [side] */
    float *weights; /* [side, taps] */
} axis;

typedef struct work {
    const samc__owlv2_input *input;
    const samc_image *image;
    axis x, y;
    float *rows; /* [workers][3 * width] */
    float *patches;
} work;

/* torchvision's gaussian_blur: 2 ceil(3 deviations) + 1 taps. */
static int radius_of(int square, int side) {
    const float deviation = ((float)square / (float)side - 1) / 2;
    return deviation > 0 ? (int)ceilf(3 * deviation) : 0;
}

static int taps_of(int square, int side) { return 2 * radius_of(square, side) + 2; }

/* bell [2 radius + 1], whose sum is 1. */
static void fill_bell(double *bell, int square, int side) {
    const int radius = radius_of(square, side);
    const double deviation = ((double)square / side - 1) / 2;
    double sum = 0;
    for (int i = -radius; i <= radius; i++) {
        const double z = i == 0 ? 0 : i / deviation;
        sum += bell[i + radius] = exp(-0.5 * z * z);
    }
    for (int i = 0; i <= 2 * radius; i++) bell[i] /= sum;
}

static int mirrored(int at, int n) {
    if (at < 0) at = -at;
    if (at >= n) at = 2 * (n - 1) - at;
    return at < 0 ? 0 : at;
}

/* `pixels` of the square are the image's, black follows. A tap that leaves the square is mirrored into it and stays
 * within the place's own taps. */
static void fill_axis(const axis *a, const double *bell, int square, int pixels, int side) {
    const int radius = radius_of(square, side);
    const float scale = (float)square / (float)side;
    memset(a->weights, 0, (size_t)side * (size_t)a->taps * sizeof *a->weights);
    for (int i = 0; i < side; i++) {
        float at = scale * ((float)i + 0.5f) - 0.5f;
        if (at < 0) at = 0;
        const int left = (int)at < square - 1 ? (int)at : square - 1, right = left + (left < square - 1);
        const float between = at - (float)left;
        int first = left - radius;
        if (first > pixels - a->taps) first = pixels - a->taps;
        if (first < 0) first = 0;
        a->first[i] = first;
        float *weights = a->weights + (int64_t)i * a->taps;
        for (int t = -radius; t <= radius; t++) {
            const int one = mirrored(left + t, square), other = mirrored(right + t, square);
            if (one < pixels) weights[one - first] += (float)bell[t + radius] * (1 - between);
            if (other < pixels) weights[other - first] += (float)bell[t + radius] * between;
        }
    }
}

/* Rows [begin, end) of the square that the model sees: first down the image's columns, then along the row. */
static void fill_rows(void *context, int64_t begin, int64_t end, int worker) {
    const work *w = context;
    const samc__owlv2_input *in = w->input;
    const int width = w->image->width, height = w->image->height, side = in->side, patch = in->patch;
    const int64_t area = (int64_t)patch * patch, grid = side / patch;
    const ptrdiff_t stride = w->image->row_bytes;
    float *row = w->rows + (int64_t)worker * CHANNELS * width;
    for (int64_t i = begin; i < end; i++) {
        memset(row, 0, (size_t)(CHANNELS * width) * sizeof *row);
        for (int j = 0; j < w->y.taps && w->y.first[i] + j < height; j++) {
            const float weight = w->y.weights[i * w->y.taps + j] * in->scale;
            const uint8_t *pixels = w->image->pixels + (w->y.first[i] + j) * stride;
            if (weight == 0) continue;
            for (int k = 0; k < CHANNELS * width; k++) row[k] += weight * pixels[k];
        }
        for (int x = 0; x < side; x++) {
            const float *weights = w->x.weights + (int64_t)x * w->x.taps, *from = row + CHANNELS * w->x.first[x];
            const int taps = w->x.taps < width - w->x.first[x] ? w->x.taps : width - w->x.first[x];
            float sum[CHANNELS] = {0};
            for (int j = 0; j < taps; j++)
                for (int c = 0; c < CHANNELS; c++) sum[c] += weights[j] * from[CHANNELS * j + c];
            float *to = w->patches + (i / patch * grid + x / patch) * CHANNELS * area + i % patch * patch + x % patch;
            for (int c = 0; c < CHANNELS; c++) to[c * area] = (sum[c] - in->mean[c]) / in->std[c];
        }
    }
}

static void place_axis(axis *a, char **memory, int side) {
    a->weights = (float *)*memory;
    a->first = (int *)(a->weights + (int64_t)side * a->taps);
    *memory = (char *)(a->first + side);
}

samc_status samc__owlv2_patches(const samc__exec *exec, const samc__owlv2_input *input, const samc_image *image,
                                float *patches) {
    const int side = input->side, square = image->width > image->height ? image->width : image->height;
    const int taps = taps_of(square, side);
    work w = {.input = input, .image = image, .x.taps = taps, .y.taps = taps, .patches = patches};
    const size_t bytes = (size_t)taps * sizeof(double) + 2 * (size_t)side * (size_t)(taps + 1) * sizeof(float) +
                         (size_t)exec->workers * CHANNELS * (size_t)image->width * sizeof(float);
    char *memory = exec->allocate(exec->memory, bytes), *at = memory;
    if (memory == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
    double *bell = (double *)at;
    at += (size_t)taps * sizeof(double);
    place_axis(&w.x, &at, side);
    place_axis(&w.y, &at, side);
    w.rows = (float *)at;
    fill_bell(bell, square, side);
    fill_axis(&w.x, bell, square, image->width, side);
    fill_axis(&w.y, bell, square, image->height, side);
    exec->parallel(exec->pool, side, 8, fill_rows, &w);
    exec->release(exec->memory, memory);
    return SAMC_OK;
}
