/* From the mask of one slice to the prompt of the next. The kinds of prompts are those of micro-sam's propagation
 * (Archit et al., "Segment Anything for Microscopy", 2023); where the points lie is found by distances of our own. */
#include "host/io/carry.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

/* log(0.999 / 0.001): a mask that is sure of itself, but not beyond what the model has seen. */
static const float sure = 6.9067548f;

enum { STEP = 3, SLANT = 4, FAR = 1 << 28 }; /* distances to a neighbour, and to a diagonal one, of a chamfer */

typedef struct window { /* of a slice, right and lower edge exclusive */
    int x0, y0, x1, y1;
} window;

static void to_frame(const window *w, const uint8_t *mask, int width, int *distance, bool of_mask) {
    int wide = w->x1 - w->x0;
    for (int y = w->y0; y < w->y1; y++)
        for (int x = w->x0; x < w->x1; x++)
            distance[(y - w->y0) * wide + x - w->x0] =
                (mask[(size_t)y * (size_t)width + (size_t)x] != 0) == of_mask ? FAR : 0;
}

static int least(int a, int b) { return a < b ? a : b; }

/* distance [high, wide]: 0 stays, and every other becomes the way to the next 0, about three a pixel, in two passes.
 * What lies beyond the edge is 0 where `closed`, else nothing is there. */
static void chamfer(int *distance, int wide, int high, bool closed) {
    const int beyond = closed ? STEP : FAR;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < wide * high; i++) {
            int at = pass == 0 ? i : wide * high - 1 - i, x = at % wide, y = at / wide, best = distance[at];
            bool left = pass == 0 ? x > 0 : x < wide - 1, right = pass == 0 ? x < wide - 1 : x > 0;
            bool above = pass == 0 ? y > 0 : y < high - 1;
            int back = pass == 0 ? 1 : -1, row = back * wide;
            best = least(best, left ? distance[at - back] + STEP : beyond);
            best = least(best, above ? distance[at - row] + STEP : beyond);
            if (above && left) best = least(best, distance[at - row - back] + SLANT);
            if (above && right) best = least(best, distance[at - row + back] + SLANT);
            if (!right) best = least(best, beyond);
            distance[at] = best;
        }
}

/* Adds the points of greatest distance, the first the deepest, each outside the reach of those before it. */
static void add_peaks(samc__carried *c, int32_t label, int most, const window *w, int *distance) {
    int wide = w->x1 - w->x0, high = w->y1 - w->y0, first = 0;
    for (int n = 0; n < most; n++) {
        int at = 0;
        for (int i = 1; i < wide * high; i++)
            if (distance[i] > distance[at]) at = i;
        int depth = distance[at], px = at % wide, py = at / wide;
        if (n == 0) first = depth;
        if (depth < 2 * STEP && n > 0) return;
        if (depth < STEP || 2 * depth < first) return; /* what is shallow says little, and may be noise */
        c->points[2 * c->prompt.point_count] = (float)(w->x0 + px);
        c->points[2 * c->prompt.point_count + 1] = (float)(w->y0 + py);
        c->labels[c->prompt.point_count++] = label;
        int64_t reach = depth / STEP + 1, around = 4 * reach * reach; /* twice the depth, squared */
        for (int y = 0; y < high; y++)
            for (int x = 0; x < wide; x++)
                if ((int64_t)(x - px) * (x - px) + (int64_t)(y - py) * (y - py) < around) distance[y * wide + x] = 0;
    }
}

static window within(const samc__carry_frame *f, const int bbox[4], double extension) {
    int dx = (int)lround(extension * (bbox[2] + 1)), dy = (int)lround(extension * (bbox[3] + 1));
    window w = {bbox[0] - dx, bbox[1] - dy, bbox[0] + bbox[2] + 1 + dx, bbox[1] + bbox[3] + 1 + dy};
    if (w.x0 < 0) w.x0 = 0;
    if (w.y0 < 0) w.y0 = 0;
    if (w.x1 > f->width) w.x1 = f->width;
    if (w.y1 > f->height) w.y1 = f->height;
    return w;
}

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a prompt from a mask");
}

static samc_status add_points(const uint8_t *mask, const samc__carry_frame *f, const int bbox[4], samc__carried *c,
                              samc_error *error) {
    const window inside = within(f, bbox, 0.0), around = within(f, bbox, 0.25);
    size_t room = (size_t)(around.x1 - around.x0) * (size_t)(around.y1 - around.y0);
    int *distance = malloc(room * sizeof *distance);
    if (distance == NULL) return no_memory(error);
    to_frame(&inside, mask, f->width, distance, true);
    chamfer(distance, inside.x1 - inside.x0, inside.y1 - inside.y0, true);
    add_peaks(c, 1, SAMC__CARRY_POINTS / 2, &inside, distance);
    to_frame(&around, mask, f->width, distance, false);
    chamfer(distance, around.x1 - around.x0, around.y1 - around.y0, false);
    add_peaks(c, 0, SAMC__CARRY_POINTS / 2, &around, distance);
    free(distance);
    c->prompt.points = c->points;
    c->prompt.labels = c->labels;
    return SAMC_OK;
}

/* A cell of the logits covers pixels [from, to) of a side, at least one; empty beyond it. */
static void cell(int at, double scale, int side, int *from, int *to) {
    *from = (int)floor(at * scale);
    *to = (int)ceil((at + 1) * scale - 1e-9);
    if (*to > side) *to = side;
    if (*from > side) *from = side;
}

/* sums [height + 1, width + 1]: how much mask is above and to the left. */
static samc_status add_logits(const uint8_t *mask, const samc__carry_frame *f, float *logits, samc_error *error) {
    size_t wide = (size_t)f->width + 1;
    uint32_t *sums = calloc(wide * ((size_t)f->height + 1), sizeof *sums);
    if (sums == NULL) return no_memory(error);
    for (size_t y = 0; y < (size_t)f->height; y++)
        for (size_t x = 0; x < (size_t)f->width; x++)
            sums[(y + 1) * wide + x + 1] = sums[y * wide + x + 1] + sums[(y + 1) * wide + x] - sums[y * wide + x] +
                                           (mask[y * (size_t)f->width + x] != 0);
    double longest = f->width > f->height ? f->width : f->height;
    double dx = (f->squash ? f->width : longest) / f->low_res, dy = (f->squash ? f->height : longest) / f->low_res;
    for (int ly = 0; ly < f->low_res; ly++)
        for (int lx = 0; lx < f->low_res; lx++) {
            int x0, x1, y0, y1;
            cell(lx, dx, f->width, &x0, &x1);
            cell(ly, dy, f->height, &y0, &y1);
            uint32_t area = (uint32_t)(x1 - x0) * (uint32_t)(y1 - y0);
            const uint32_t *top = sums + (size_t)y0 * wide, *bottom = sums + (size_t)y1 * wide;
            uint32_t covered = bottom[x1] - bottom[x0] - top[x1] + top[x0];
            logits[(size_t)ly * (size_t)f->low_res + (size_t)lx] = area == 0             ? 0.0f
                                                                   : 2 * covered >= area ? sure
                                                                                         : -sure;
        }
    free(sums);
    return SAMC_OK;
}

samc_status samc__carry(const samc_rle *mask, const samc__carry_frame *f, unsigned bits, double extension,
                        float *logits, samc__carried *c, samc_error *error) {
    int bbox[4];
    *c = (samc__carried){.prompt.size = sizeof c->prompt};
    SAMC__TRY(samc_rle_measure(mask, NULL, bbox, error));
    if (bits & SAMC_CARRY_BOX) {
        window w = within(f, bbox, 0.0);
        double dx = extension * (bbox[2] + 1), dy = extension * (bbox[3] + 1);
        c->box[0] = (float)fmax(w.x0 - dx, 0.0);
        c->box[1] = (float)fmax(w.y0 - dy, 0.0);
        c->box[2] = (float)fmin(w.x1 - 1 + dx, f->width - 1);
        c->box[3] = (float)fmin(w.y1 - 1 + dy, f->height - 1);
        c->prompt.box = c->box;
    }
    if (!(bits & (SAMC_CARRY_POINTS | SAMC_CARRY_MASK))) return SAMC_OK;
    uint8_t *bytes = malloc((size_t)f->width * (size_t)f->height);
    if (bytes == NULL) return no_memory(error);
    samc_status status = samc_rle_to_bytes(mask, bytes, error);
    if (status == SAMC_OK && bits & SAMC_CARRY_POINTS) status = add_points(bytes, f, bbox, c, error);
    if (status == SAMC_OK && bits & SAMC_CARRY_MASK && logits != NULL) {
        status = add_logits(bytes, f, logits, error);
        c->prompt.mask_input = logits;
    }
    free(bytes);
    return status;
}

/* ---- Runs ------------------------------------------------------------------------------------ */

int64_t samc__mask_area(const samc_rle *mask) {
    int64_t area = 0;
    for (size_t i = 1; i < mask->count; i += 2) area += mask->counts[i];
    return area;
}

/* A walk over the runs of two masks at once, from one change to the next. */
typedef struct walk {
    const samc_rle *mask[2];
    size_t run[2];
    uint32_t left[2];
} walk;

static walk begin(const samc_rle *a, const samc_rle *b) {
    return (walk){{a, b}, {0, 0}, {a->count ? a->counts[0] : 0, b->count ? b->counts[0] : 0}};
}

/* Pixels until either changes; *in: bit 0 and 1, whether they lie in each. 0 at the end. */
static uint32_t next(walk *w, unsigned *in) {
    for (int m = 0; m < 2; m++)
        while (w->left[m] == 0) {
            if (++w->run[m] >= w->mask[m]->count) return 0;
            w->left[m] = w->mask[m]->counts[w->run[m]];
        }
    uint32_t pixels = w->left[0] < w->left[1] ? w->left[0] : w->left[1];
    *in = (unsigned)(w->run[0] & 1) | (unsigned)(w->run[1] & 1) << 1;
    w->left[0] -= pixels;
    w->left[1] -= pixels;
    return pixels;
}

double samc__mask_iou(const samc_rle *a, const samc_rle *b) {
    int64_t both = 0, either = 0;
    unsigned in;
    walk w = begin(a, b);
    for (uint32_t pixels; (pixels = next(&w, &in)) > 0;) {
        if (in == 3) both += pixels;
        if (in != 0) either += pixels;
    }
    return either > 0 ? (double)both / (double)either : 0.0;
}

samc_status samc__mask_both(const samc_rle *a, const samc_rle *b, bool either, samc_rle *both, samc_error *error) {
    uint32_t *counts = malloc((a->count + b->count + 1) * sizeof *counts);
    if (counts == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    unsigned in;
    size_t count = 0;
    uint32_t run = 0;
    walk w = begin(a, b);
    for (uint32_t pixels; (pixels = next(&w, &in)) > 0; run += pixels)
        if ((either ? in != 0 : in == 3) != (count & 1)) {
            counts[count++] = run;
            run = 0;
        }
    counts[count++] = run;
    *both = (samc_rle){sizeof *both, a->width, a->height, count, counts};
    return SAMC_OK;
}
