/* The filters of preprocess, one axis at a time.
 *
 * Each is computed as its library computes it, down to the type of every intermediate where that moves a result. CUDA's
 * preprocess repeats this arithmetic operation by operation. */
#include "kernels/resize_axis.h"

#include <math.h>
#include <string.h>

/* Pillow (src/libImaging/Resample.c) weights a triangle filter whose half-width is the scale factor (at least 1) and
 * rounds the normalised weights to 22 bits. `value` [taps] */
static void pillow(const samc__resize_axis *x, double *value, int i, int in, int out) {
    double scale = (double)in / out, support = scale < 1.0 ? 1.0 : scale;
    double center = (i + 0.5) * scale, sum = 0.0;
    int first = (int)(center - support + 0.5), last = (int)(center + support + 0.5);
    if (first < 0) first = 0;
    if (last > in) last = in;
    for (int j = 0; j < last - first; j++) {
        double distance = fabs((j + first - center + 0.5) * (1.0 / support));
        value[j] = distance < 1.0 ? 1.0 - distance : 0.0;
        sum += value[j];
    }
    for (int j = 0; j < last - first; j++) {
        double normalised = sum != 0.0 ? value[j] / sum : value[j];
        x->weight[(size_t)i * (size_t)x->taps + (size_t)j] = (int32_t)(0.5 + normalised * (1 << SAMC__RESIZE_BITS));
    }
    x->first[i] = first;
    x->count[i] = last - first;
}

/* The same triangle as torch computes it for floats: scale and centre are floats, which shows in large images. */
static void torch_aa(const samc__resize_axis *x, int i, int in, int out) {
    float scale = (float)in / (float)out, support = scale < 1.0f ? 1.0f : scale;
    float center = (float)((double)scale * (i + 0.5)), inverse = scale < 1.0f ? 1.0f : 1.0f / scale, sum = 0.0f;
    int first = (int)((double)(center - support) + 0.5), last = (int)((double)(center + support) + 0.5);
    float *weight = x->real + (size_t)i * (size_t)x->taps;
    if (first < 0) first = 0;
    if (last > in) last = in;
    for (int j = 0; j < last - first; j++) {
        float distance = (float)fabs(((double)((float)(j + first) - center) + 0.5) * (double)inverse);
        weight[j] = distance < 1.0f ? 1.0f - distance : 0.0f;
        sum += weight[j];
    }
    for (int j = 0; j < last - first && sum != 0.0f; j++) weight[j] /= sum;
    x->first[i] = first;
    x->count[i] = last - first;
}

static void bilinear(const samc__resize_axis *x, int i, int in, int out) {
    float source = (float)in / (float)out * ((float)i + 0.5f) - 0.5f;
    if (source < 0.0f) source = 0.0f;
    int low = (int)source;
    if (low > in - 1) low = in - 1;
    float t = source - (float)low;
    x->first[i] = low;
    x->count[i] = low < in - 1 ? 2 : 1;
    x->real[2 * i] = low < in - 1 ? 1.0f - t : 1.0f;
    x->real[2 * i + 1] = t;
}

/* ---- scikit-image's cubic -------------------------------------------------------------------- */

/* scipy's gaussian_filter with the deviation that skimage.transform.resize gives it, then the B-spline's prefilter,
 * both of a signal mirrored about its end pixels without end: one symmetric filter, value[d] at distance d <= reach. */
static int gaussian_radius(double scale) { return scale > 1.0 ? (int)(4.0 * ((scale - 1.0) / 2.0) + 0.5) : 0; }

static int cubic_reach(int in, int out) { return SAMC__SPLINE_REACH + gaussian_radius((double)in / out); }

static void fill_cubic(double *value, double scale) {
    int radius = gaussian_radius(scale);
    double sigma = (scale - 1.0) / 2.0, q = radius > 0 ? exp(-0.5 / (sigma * sigma)) : 0.0;
    double bell = 1.0, step = q, sum = 1.0; /* exp(-m^2 / (2 sigma^2)), and what leads to the next */
    for (int m = 1; m <= radius; m++) bell *= step, step *= q * q, sum += 2.0 * bell;
    for (int d = 0; d <= SAMC__SPLINE_REACH + radius; d++) {
        double total = 0.0;
        bell = 1.0, step = q;
        for (int m = 0; m <= radius; m++) {
            for (int side = 0; side < (m ? 2 : 1); side++) {
                int distance = d + (side ? m : -m);
                if (distance < 0) distance = -distance;
                if (distance > SAMC__SPLINE_REACH) continue;
                double spline = SAMC__SPLINE_GAIN;
                for (int k = 0; k < distance; k++) spline *= SAMC__SPLINE_POLE;
                total += bell * spline;
            }
            bell *= step, step *= q * q;
        }
        value[d] = total / sum;
    }
}

/* An index of the mirrored signal -> of the signal. */
static int mirrored(int at, int in) {
    if (in == 1) return 0;
    int period = 2 * (in - 1);
    at = (at % period + period) % period;
    return at < in ? at : period - at;
}

static void cubic(const samc__resize_axis *x, const double *value, int i, int in, int out) {
    double scale = (double)in / out, source = scale * (i + 0.5) - 0.5;
    int reach = cubic_reach(in, out), from = (int)floor(source) - 1; /* of the four samples of the spline */
    double t = source - floor(source), s = 1.0 - t;
    const double spline[4] = {s * s * s / 6.0, (3.0 * t * t * t - 6.0 * t * t + 4.0) / 6.0,
                              (3.0 * s * s * s - 6.0 * s * s + 4.0) / 6.0, t * t * t / 6.0};
    int low = from - reach, high = from + 3 + reach, first = low, last = high;
    if (2 * (in - 1) - high < first) first = 2 * (in - 1) - high; /* what is mirrored at one end reaches in there */
    if (-low > last) last = -low;
    if (first < 0) first = 0;
    if (last > in - 1) last = in - 1;
    float *weight = x->real + (size_t)i * (size_t)x->taps;
    memset(weight, 0, (size_t)(last + 1 - first) * sizeof *weight);
    for (int at = low; at <= high; at++) {
        double sum = 0.0;
        for (int k = 0; k < 4; k++) {
            int distance = at - from - k;
            if (distance < 0) distance = -distance;
            if (distance <= reach) sum += spline[k] * value[distance];
        }
        weight[mirrored(at, in) - first] += (float)sum;
    }
    x->first[i] = first;
    x->count[i] = last + 1 - first;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static int taps_of(samc__filter filter, int in, int out) {
    if (filter == SAMC__FILTER_BILINEAR) return 2;
    if (filter == SAMC__FILTER_CUBIC_AA) { /* at an end it may reach further by what mirroring brings in */
        int taps = 2 * cubic_reach(in, out) + 6;
        return taps < in ? taps : in;
    }
    return in < out ? 3 : (int)ceil((double)in / out) * 2 + 1;
}

samc_status samc__resize_axis_init(const samc__exec *exec, samc__filter filter, int in, int out, samc__resize_axis *x) {
    x->taps = taps_of(filter, in, out);
    size_t outs = (size_t)out, weights_bytes = outs * (size_t)x->taps * sizeof(int32_t);
    size_t doubles = (size_t)(filter == SAMC__FILTER_CUBIC_AA ? cubic_reach(in, out) + 1 : x->taps) * sizeof(double);
    x->block = exec->allocate(exec->memory, doubles + 2 * outs * sizeof(int32_t) + weights_bytes);
    if (x->block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image of %d pixels", in);
    if (exec->rehearsal) return SAMC_OK;
    double *value = x->block;
    x->first = (int32_t *)(void *)((char *)x->block + doubles);
    x->count = x->first + outs;
    bool fixed = filter == SAMC__FILTER_PILLOW_U8;
    x->weight = fixed ? x->count + outs : NULL;
    x->real = fixed ? NULL : (float *)(void *)(x->count + outs);
    if (filter == SAMC__FILTER_CUBIC_AA) fill_cubic(value, (double)in / out);
    for (int i = 0; i < out; i++) {
        if (fixed) pillow(x, value, i, in, out);
        else if (filter == SAMC__FILTER_BILINEAR) bilinear(x, i, in, out);
        else if (filter == SAMC__FILTER_CUBIC_AA) cubic(x, value, i, in, out);
        else torch_aa(x, i, in, out);
    }
    return SAMC_OK;
}
