/* scikit-image's resize with order 3 and antialiasing: a Gaussian, then scipy's zoom by cubic B-splines, then cut to
 * bytes.
 *
 * The cut is why this is no operator: where an image is even, every value lies within rounding of a whole number, and
 * its last bits decide which byte it becomes. So each sum is made in doubles and in the order in which scipy's
 * ni_filters.c, ni_splines.c and ni_interpolation.c make it, edges mirrored as mode="mirror" there; only what a line is
 * computed beside differs. It is a small part of encoding an image. */
#include "runtime/model/skimage.h"

#include <math.h>
#include <string.h>

enum { TAPS = 4, LANES = 24, CHANNELS = 3 };
#define POLE -0.26794919243112270647 /* of a cubic B-spline: of sqrt(3) - 2 the nearest double */
#define GAIN ((1.0 - POLE) * (1.0 - 1.0 / POLE))

/* Where a coordinate of the mirrored line is on the line. */
static int mirrored(int64_t at, int n) {
    if (at >= 0 && at < n) return (int)at;
    if (n == 1) return 0;
    const int64_t period = 2 * ((int64_t)n - 1);
    at = (at % period + period) % period;
    return (int)(at < n ? at : period - at);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* What is done with all lines of an axis: `lanes` of them lie beside each other, elements `stride` apart. */
typedef struct lines {
    double *data;
    int n;
    int64_t stride;
    int64_t group, groups; /* between the first lanes of neighbouring groups, and how many of these there are */
    int64_t width;         /* lanes of a group */
    const double *bell;    /* [radius + 1] of the Gaussian from its middle on, or NULL: the spline's filter */
    int radius;
    double *scratch; /* [workers][n + 2 radius][LANES] */
} lines;

/* Correlate1D, symmetric: the middle, then the pairs from the outermost on. `in` is the first of the extended line. */
static void blur(const lines *l, const double *in, double *out, int lanes) {
    for (int i = 0; i < l->n; i++) {
        const double *middle = in + (int64_t)(i + l->radius) * LANES;
        double sum[LANES];
        for (int k = 0; k < lanes; k++) sum[k] = middle[k] * l->bell[0];
        for (int j = l->radius; j > 0; j--)
            for (int k = 0; k < lanes; k++)
                sum[k] += (middle[k - (int64_t)j * LANES] + middle[k + (int64_t)j * LANES]) * l->bell[j];
        for (int k = 0; k < lanes; k++) out[i * l->stride + k] = sum[k];
    }
}

/* apply_filter with the one pole of a cubic: causal, then anticausal, in place. */
static void prefilter(const lines *l, double *c, int lanes) {
    const double z = POLE, gain = GAIN;
    const double z_last = (double)powl(z, l->n - 1);
    const int n = l->n;
    double *last = c + (int64_t)(n - 1) * LANES, z_i = z;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < lanes; k++) c[(int64_t)i * LANES + k] *= gain;
    for (int k = 0; k < lanes; k++) c[k] = c[k] + z_last * last[k];
    for (int i = 1; i < n - 1; i++, z_i *= z)
        for (int k = 0; k < lanes; k++)
            c[k] += z_i * (c[(int64_t)i * LANES + k] + z_last * c[(int64_t)(n - 1 - i) * LANES + k]);
    for (int k = 0; k < lanes; k++) c[k] /= 1 - z_last * z_last;
    for (int i = 1; i < n; i++)
        for (int k = 0; k < lanes; k++) c[(int64_t)i * LANES + k] += z * c[(int64_t)(i - 1) * LANES + k];
    for (int k = 0; k < lanes; k++) last[k] = (z * last[k - LANES] + last[k]) * z / (z * z - 1);
    for (int i = n - 2; i >= 0; i--)
        for (int k = 0; k < lanes; k++)
            c[(int64_t)i * LANES + k] = z * (c[(int64_t)(i + 1) * LANES + k] - c[(int64_t)i * LANES + k]);
}

/* The same along the three channels of each pixel: scipy knows no channels, and filters that axis too. */
static void prefilter_channels(void *context, int64_t begin, int64_t end, int worker) {
    const lines *l = context;
    const double z = POLE, gain = GAIN, z_last = z * z;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        double *c = l->data + i * CHANNELS, c0 = c[0] * gain, c1 = c[1] * gain, c2 = c[2] * gain;
        c0 = c0 + z_last * c2;
        c0 += z * (c1 + z_last * c1);
        c0 /= 1 - z_last * z_last;
        c1 += z * c0;
        c2 += z * c1;
        c2 = (z * c1 + c2) * z / (z * z - 1);
        c1 = z * (c2 - c1);
        c[0] = z * (c1 - c0), c[1] = c1, c[2] = c2;
    }
}

/* Pieces [begin, end): LANES lanes of a group, or what is left of one. */
static void filter_lines(void *context, int64_t begin, int64_t end, int worker) {
    const lines *l = context;
    const int64_t pieces = (l->width + LANES - 1) / LANES;
    double *line = l->scratch + (int64_t)worker * (l->n + 2 * l->radius) * LANES;
    for (int64_t i = begin; i < end; i++) {
        const int64_t first = i % pieces * LANES;
        const int lanes = (int)(l->width - first < LANES ? l->width - first : LANES);
        double *data = l->data + i / pieces * l->group + first;
        for (int at = -l->radius; at < l->n + l->radius; at++) {
            const double *from = data + mirrored(at, l->n) * l->stride;
            for (int k = 0; k < lanes; k++) line[(int64_t)(at + l->radius) * LANES + k] = from[k];
        }
        if (l->bell != NULL) {
            blur(l, line, data, lanes);
            continue;
        }
        prefilter(l, line, lanes);
        for (int at = 0; at < l->n; at++)
            for (int k = 0; k < lanes; k++) data[at * l->stride + k] = line[(int64_t)at * LANES + k];
    }
}

static samc_status run_lines(const samc__exec *exec, lines *l) {
    size_t bytes = (size_t)exec->workers * (size_t)(l->n + 2 * l->radius) * LANES * sizeof(double);
    if (l->bell == NULL && l->n == 1) return SAMC_OK; /* scipy leaves it as it is */
    l->scratch = exec->allocate(exec->memory, bytes);
    if (l->scratch == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
    exec->parallel(exec->pool, l->groups * ((l->width + LANES - 1) / LANES), 1, filter_lines, l);
    exec->release(exec->memory, l->scratch);
    return SAMC_OK;
}

/* The first two axes of an image [height, width, 3]. */
static lines axis_of(double *data, int width, int height, int axis) {
    const int64_t row = (int64_t)CHANNELS * width;
    lines l = {.data = data};
    if (axis == 0) l.n = height, l.stride = row, l.groups = 1, l.width = row;
    if (axis == 1) l.n = width, l.stride = CHANNELS, l.group = row, l.groups = height, l.width = CHANNELS;
    return l;
}

/* ---- The Gaussian ---------------------------------------------------------------------------- */

/* numpy's sum of a row: eight at a time, in pairs. */
static double pairwise_sum(const double *x, int n) {
    if (n < 8) {
        double sum = 0.0;
        for (int i = 0; i < n; i++) sum += x[i];
        return sum;
    }
    if (n > 128) {
        int half = n / 2;
        half -= half % 8;
        return pairwise_sum(x, half) + pairwise_sum(x + half, n - half);
    }
    double r[8];
    int i = 8;
    memcpy(r, x, sizeof r);
    for (; i < n - n % 8; i += 8)
        for (int k = 0; k < 8; k++) r[k] += x[i + k];
    double sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++) sum += x[i];
    return sum;
}

static double deviation(int in, int out) { return ((double)in / out - 1.0) / 2.0; }
static int radius_of(int in, int out) { return in > out ? (int)(4.0 * deviation(in, out) + 0.5) : 0; }

/* bell [2 radius + 1], of which the second half is left. The C library's exp() has versions that differ in a last bit
 * by the processor; that of a long double, rounded, is what each of them is meant to give. */
static const double *fill_bell(double *bell, int in, int out) {
    const double sigma = deviation(in, out), factor = -0.5 / (sigma * sigma);
    const int radius = radius_of(in, out);
    for (int i = -radius; i <= radius; i++) bell[i + radius] = (double)expl((long double)(factor * ((double)i * i)));
    const double sum = pairwise_sum(bell, 2 * radius + 1);
    for (int i = 0; i <= radius; i++) bell[i + radius] /= sum;
    return bell + radius;
}

static samc_status soften(const samc__exec *exec, double *data, const samc_image *image, int width, int height) {
    const int in[2] = {image->height, image->width}, out[2] = {height, width};
    samc_status status = SAMC_OK;
    for (int axis = 0; axis < 2 && status == SAMC_OK; axis++) {
        if (in[axis] <= out[axis]) continue; /* a deviation of 0 */
        lines l = axis_of(data, image->width, image->height, axis);
        l.radius = radius_of(in[axis], out[axis]);
        double *bell = exec->allocate(exec->memory, (size_t)(2 * l.radius + 1) * sizeof *bell);
        if (bell == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
        l.bell = fill_bell(bell, in[axis], out[axis]);
        status = run_lines(exec, &l);
        exec->release(exec->memory, bell);
    }
    return status;
}

/* ---- The splines ----------------------------------------------------------------------------- */

/* What an output reads along an axis. */
typedef struct taps {
    int at[TAPS];
    double weight[TAPS];
} taps;

static taps taps_of(int out, int in_size, int out_size) {
    double at = ((double)out + 0.5) * ((double)in_size / out_size) - 0.5;
    const double period = 2.0 * in_size - 2.0;
    if (in_size == 1) at = 0.0;
    else if (at < 0.0) at = -at; /* by less than one half */
    else if (at >= in_size) at = period - at;
    const double from = floor(at), y = at - from, z = 1.0 - y;
    taps t;
    for (int i = 0; i < TAPS; i++) t.at[i] = mirrored((int64_t)from - 1 + i, in_size);
    t.weight[1] = (y * y * (y - 2.0) * 3.0 + 4.0) / 6.0;
    t.weight[2] = (z * z * (z - 2.0) * 3.0 + 4.0) / 6.0;
    t.weight[0] = z * z * z / 6.0;
    t.weight[3] = 1.0 - t.weight[0] - t.weight[1] - t.weight[2];
    return t;
}

typedef struct zoom {
    const double *data; /* [in_height, in_width, 3] */
    int64_t row;        /* doubles of one */
    int in_height, width, height;
    const taps *x; /* [width] */
    taps c[CHANNELS];
    double least, most;
    uint8_t *out; /* [height, width, 3] */
} zoom;

static void zoom_rows(void *context, int64_t begin, int64_t end, int worker) {
    const zoom *z = context;
    (void)worker;
    for (int y = (int)begin; y < (int)end; y++) {
        const taps row = taps_of(y, z->in_height, z->height);
        for (int x = 0; x < z->width; x++) {
            const taps *column = &z->x[x];
            double sum[CHANNELS] = {0.0, 0.0, 0.0};
            for (int j = 0; j < TAPS; j++)
                for (int i = 0; i < TAPS; i++) {
                    const double *from = z->data + row.at[j] * z->row + CHANNELS * (int64_t)column->at[i];
                    double value[CHANNELS];
                    for (int c = 0; c < CHANNELS; c++) value[c] = from[c] * row.weight[j] * column->weight[i];
                    for (int k = 0; k < TAPS; k++)
                        for (int c = 0; c < CHANNELS; c++) sum[c] += value[z->c[c].at[k]] * z->c[c].weight[k];
                }
            for (int c = 0; c < CHANNELS; c++) {
                double value = sum[c] < z->least ? z->least : sum[c] > z->most ? z->most : sum[c];
                z->out[((int64_t)y * z->width + x) * CHANNELS + c] = (uint8_t)value;
            }
        }
    }
}

/* The image as doubles; *least and *most of them. */
static void read_pixels(const samc_image *image, double *data, double *least, double *most) {
    const int64_t row = (int64_t)CHANNELS * image->width;
    uint8_t low = 255, high = 0;
    for (int y = 0; y < image->height; y++) {
        const uint8_t *in = image->pixels + (ptrdiff_t)y * image->row_bytes;
        for (int64_t i = 0; i < row; i++) {
            low = in[i] < low ? in[i] : low;
            high = in[i] > high ? in[i] : high;
            data[y * row + i] = in[i];
        }
    }
    *least = low, *most = high;
}

static samc_status resize(const samc__exec *exec, const samc_image *image, double *data, taps *x, zoom *z) {
    read_pixels(image, data, &z->least, &z->most);
    SAMC__TRY(soften(exec, data, image, z->width, z->height));
    for (int axis = 0; axis < 2; axis++) {
        lines l = axis_of(data, image->width, image->height, axis);
        SAMC__TRY(run_lines(exec, &l));
    }
    lines pixels = {.data = data};
    exec->parallel(exec->pool, (int64_t)image->width * image->height, 4096, prefilter_channels, &pixels);
    for (int i = 0; i < z->width; i++) x[i] = taps_of(i, image->width, z->width);
    for (int c = 0; c < CHANNELS; c++) z->c[c] = taps_of(c, CHANNELS, CHANNELS);
    exec->parallel(exec->pool, z->height, 8, zoom_rows, z);
    return SAMC_OK;
}

samc_status samc__skimage_resize(const samc__exec *exec, const samc_image *image, int width, int height, uint8_t *out) {
    const int64_t row = (int64_t)CHANNELS * image->width;
    if (image->width == width && image->height == height) { /* zoom() returns early */
        for (int y = 0; y < height; y++)
            memcpy(out + y * row, image->pixels + (ptrdiff_t)y * image->row_bytes, (size_t)row);
        return SAMC_OK;
    }
    double *data = exec->allocate(exec->memory, (size_t)row * (size_t)image->height * sizeof *data);
    taps *x = exec->allocate(exec->memory, (size_t)width * sizeof *x);
    zoom z = {
        .data = data, .row = row, .in_height = image->height, .width = width, .height = height, .x = x, .out = out};
    samc_status status = data == NULL || x == NULL
                             ? samc__fail(exec->error, SAMC_OUT_OF_MEMORY,
                                          "no memory to resize an image of %d x %d pixels", image->width, image->height)
                             : resize(exec, image, data, x, &z);
    exec->release(exec->memory, x);
    exec->release(exec->memory, data);
    return status;
}
