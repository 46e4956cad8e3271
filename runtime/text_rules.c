/* Rules from a detector's numbers to detections and labels. */
#include "runtime/text_rules.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/nms/nms.h"

/* ---- The list -------------------------------------------------------------------------------- */

bool samc__detections_add(samc__detections *list, const samc_detection *detection) {
    if (list->count == list->room) {
        int room = list->room ? 2 * list->room : 64;
        samc_detection *grown = realloc(list->items, (size_t)room * sizeof *grown);
        if (grown == NULL) return false;
        list->items = grown;
        list->room = room;
    }
    list->items[list->count] = *detection;
    list->items[list->count++].size = sizeof *detection;
    return true;
}

void samc__detections_free(samc__detections *list) {
    free(list->items);
    *list = (samc__detections){0};
}

static float probability(float logit) { return 1.0f / (1.0f + expf(-logit)); }

/* ---- Boxes ----------------------------------------------------------------------------------- */

bool samc__best_phrases(const float *logits, int boxes, int first, int count, float *logit, int *phrase) {
    bool finite = true;
    for (int b = 0; b < boxes; b++)
        for (int i = 0; i < count; i++) {
            float value = logits[(int64_t)b * count + i];
            finite = finite && isfinite(value);
            if (value > logit[b]) logit[b] = value, phrase[b] = first + i;
        }
    return finite;
}

static float clip(float value, int most) { return value > 0 ? value < (float)most ? value : (float)most : 0.0f; }

bool samc__boxes_pick(const float *corners, const float *logit, const int *phrase, int boxes, double threshold,
                      int width, int height, samc__detections *list) {
    for (int b = 0; b < boxes; b++) {
        const float *c = corners + 4 * (int64_t)b;
        samc_detection found = {.phrase = phrase[b],
                                .score = probability(logit[b]),
                                .box = {clip(c[0], width), clip(c[1], height), clip(c[2], width), clip(c[3], height)}};
        if (phrase[b] < 0 || !((double)found.score >= threshold)) continue;
        if (!(found.box[2] > found.box[0] && found.box[3] > found.box[1])) continue;
        found.point[0] = (found.box[0] + found.box[2]) / 2;
        found.point[1] = (found.box[1] + found.box[3]) / 2;
        if (!samc__detections_add(list, &found)) return false;
    }
    return true;
}

/* A detection and its place, which settles what is equal. */
typedef struct ranked {
    samc_detection detection;
    int place;
} ranked;

static int by_score(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->detection.score != y->detection.score) return x->detection.score > y->detection.score ? -1 : 1;
    if (x->detection.phrase != y->detection.phrase) return x->detection.phrase < y->detection.phrase ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static int by_phrase(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->detection.phrase != y->detection.phrase) return x->detection.phrase < y->detection.phrase ? -1 : 1;
    return by_score(a, b);
}

/* Boxes [n, 4] of `of`, which is by phrase and score, and which of them are kept, phrase by phrase. */
static samc_status suppress(const samc__exec *exec, const ranked *of, int n, double threshold, uint8_t *keep) {
    float *boxes = malloc((size_t)n * 4 * sizeof *boxes);
    int32_t *order = malloc((size_t)n * sizeof *order);
    samc_status status = boxes && order ? SAMC_OK : samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for boxes");
    for (int i = 0; i < n && status == SAMC_OK; i++) {
        memcpy(boxes + 4 * (int64_t)i, of[i].detection.box, sizeof of[i].detection.box);
        order[i] = i;
    }
    for (int first = 0, end; first < n && status == SAMC_OK; first = end) {
        for (end = first + 1; end < n && of[end].detection.phrase == of[first].detection.phrase;) end++;
        status = samc__nms_ref(exec, &(samc__nms_args){.boxes = boxes + 4 * (int64_t)first,
                                                       .order = order, /* 0, 1, ... within the phrase */
                                                       .count = end - first,
                                                       .threshold = threshold,
                                                       .keep = keep + first});
    }
    free(boxes);
    free(order);
    return status;
}

samc_status samc__detections_settle(const samc__exec *exec, samc__detections *list, double nms, int top) {
    const int n = list->count;
    if (n == 0) return SAMC_OK;
    ranked *all = malloc((size_t)n * sizeof *all);
    uint8_t *keep = malloc((size_t)n);
    samc_status status =
        all && keep ? SAMC_OK : samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %d detections", n);
    for (int i = 0; i < n && status == SAMC_OK; i++) all[i] = (ranked){list->items[i], i};
    if (status == SAMC_OK) {
        qsort(all, (size_t)n, sizeof *all, by_phrase);
        status = suppress(exec, all, n, nms, keep);
    }
    if (status == SAMC_OK) {
        int kept = 0;
        for (int i = 0; i < n; i++)
            if (keep[i]) all[kept++] = all[i];
        qsort(all, (size_t)kept, sizeof *all, by_score);
        list->count = top > 0 && top < kept ? top : kept;
        for (int i = 0; i < list->count; i++) list->items[i] = all[i].detection;
    }
    free(all);
    free(keep);
    return status;
}

/* ---- Heat maps ------------------------------------------------------------------------------- */

static float logit_of(double probability_of) { return (float)log(probability_of / (1.0 - probability_of)); }

/* What a walk over a part of a map saw. */
typedef struct part {
    int x0, y0, x1, y1, count, peak; /* inclusive; peak: index of the largest, of equal ones the first walked to */
} part;

/* Marks the pixels of at least `least` that hang together with `from` by `mark`, by the free tail of `mark` as a stack:
 * marked[i] is 0 before, `value` after, and the stack holds indices. */
static part walk(const float *map, int side, float least, int from, int value, int *marked, int *stack) {
    part p = {.x0 = side, .y0 = side, .x1 = -1, .y1 = -1, .peak = from};
    int depth = 0;
    stack[depth++] = from;
    marked[from] = value;
    while (depth > 0) {
        int at = stack[--depth], x = at % side, y = at / side;
        p.count++;
        p.x0 = x < p.x0 ? x : p.x0, p.x1 = x > p.x1 ? x : p.x1;
        p.y0 = y < p.y0 ? y : p.y0, p.y1 = y > p.y1 ? y : p.y1;
        if (map[at] > map[p.peak] || (map[at] == map[p.peak] && at < p.peak)) p.peak = at;
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                int nx = x + dx, ny = y + dy, next = ny * side + nx;
                if (nx < 0 || nx >= side || ny < 0 || ny >= side || marked[next] != 0 || !(map[next] >= least))
                    continue;
                marked[next] = value;
                stack[depth++] = next;
            }
    }
    return p;
}

/* The edge before pixel `at` of a side of the map, in pixels of the image. */
static float edge(int at, int side, int size) { return (float)((double)at * size / side); }

bool samc__map_parts(const samc__heat *heat, int phrase, int width, int height, samc__detections *list) {
    const float *map = heat->map, least = logit_of(heat->threshold);
    const int side = heat->side, pixels = side * side, least_pixels = pixels / 2000;
    int *marked = heat->scratch, *stack = heat->scratch + pixels;
    memset(marked, 0, (size_t)pixels * sizeof *marked);
    for (int i = 0; i < pixels; i++) {
        if (marked[i] != 0 || !(map[i] >= least)) continue;
        const part p = walk(map, side, least, i, 1, marked, stack);
        if (p.count < least_pixels) continue;
        const samc_detection found = {.phrase = phrase,
                                      .score = probability(map[p.peak]),
                                      .box = {edge(p.x0, side, width), edge(p.y0, side, height),
                                              edge(p.x1 + 1, side, width), edge(p.y1 + 1, side, height)},
                                      .point = {(float)((p.peak % side + 0.5) * width / side - 0.5),
                                                (float)((p.peak / side + 0.5) * height / side - 0.5)}};
        if (!samc__detections_add(list, &found)) return false;
    }
    return true;
}

static float bounded(float value, float most) { return value > most ? most : value < -most ? -most : value; }

/* A map's value for the mask: 0 at the threshold; outside the part at most a little below it. */
static float part_value(const float *map, const int *marked, int at, float least) {
    enum { MOST = 10, OUTSIDE = -2 };
    float value = bounded(map[at] - least, MOST);
    return marked[at] != 0 || value < OUTSIDE ? value : OUTSIDE;
}

void samc__map_prompt(const samc__heat *heat, const float point[2], const samc__frame *frame, int square, int low,
                      float *prompt) {
    const float *map = heat->map, least = logit_of(heat->threshold), nowhere = -10.0f;
    const int side = heat->side;
    int *scratch = heat->scratch;
    int px = (int)floor(((double)point[0] + 0.5) * side / frame->width),
        py = (int)floor(((double)point[1] + 0.5) * side / frame->height);
    px = px < 0 ? 0 : px >= side ? side - 1 : px;
    py = py < 0 ? 0 : py >= side ? side - 1 : py;
    memset(scratch, 0, (size_t)(side * side) * sizeof *scratch);
    if (map[py * side + px] >= least) walk(map, side, least, py * side + px, 1, scratch, scratch + side * side);
    for (int y = 0; y < low; y++)
        for (int x = 0; x < low; x++) {
            /* The middle of this element: in the square, then as a part of the image, then on the map. */
            double u = (x + 0.5) * square / low / frame->prompt_width,
                   v = (y + 0.5) * square / low / frame->prompt_height;
            float *out = &prompt[(int64_t)y * low + x];
            *out = nowhere;
            if (u >= 1 || v >= 1) continue;
            double mx = u * side - 0.5, my = v * side - 0.5;
            mx = mx < 0 ? 0 : mx > side - 1 ? side - 1 : mx;
            my = my < 0 ? 0 : my > side - 1 ? side - 1 : my;
            int x0 = (int)mx, y0 = (int)my, x1 = x0 + 1 < side ? x0 + 1 : x0, y1 = y0 + 1 < side ? y0 + 1 : y0;
            double fx = mx - x0, fy = my - y0;
            double top = part_value(map, scratch, y0 * side + x0, least) * (1 - fx) +
                         part_value(map, scratch, y0 * side + x1, least) * fx;
            double foot = part_value(map, scratch, y1 * side + x0, least) * (1 - fx) +
                          part_value(map, scratch, y1 * side + x1, least) * fx;
            *out = (float)(top * (1 - fy) + foot * fy);
        }
}

/* ---- Labels ---------------------------------------------------------------------------------- */

void samc__label_square(const int bbox[4], int square[3]) {
    /* The box of a mask is of inclusive corners; an empty mask is looked at as one pixel. */
    int width = bbox[2] + 1, height = bbox[3] + 1, longest = width > height ? width : height;
    square[2] = (int)ceil(longest * 1.2);
    square[0] = bbox[0] + (width - square[2]) / 2;
    square[1] = bbox[1] + (height - square[2]) / 2;
}

void samc__label_crop(const samc_image *image, const uint8_t *mask, const int square[3], uint8_t *rgb) {
    const int side = square[2];
    memset(rgb, 255, (size_t)side * (size_t)side * 3);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            int ix = square[0] + x, iy = square[1] + y;
            if (ix < 0 || iy < 0 || ix >= image->width || iy >= image->height) continue;
            if (!mask[(int64_t)iy * image->width + ix]) continue;
            memcpy(rgb + 3 * ((int64_t)y * side + x), image->pixels + iy * image->row_bytes + 3 * (ptrdiff_t)ix, 3);
        }
}

int samc__label_best(const float *features, const float *labels, int count, int dim, float scale, float *score) {
    int best = 0;
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < count; i++) {
        const float *label = labels + (int64_t)i * dim;
        double product = 0, square = 0;
        for (int j = 0; j < dim; j++) {
            product += (double)features[j] * (double)label[j];
            square += (double)label[j] * (double)label[j];
        }
        double logit = product / sqrt(square) * (double)scale;
        if (i == 0 || logit > most) { /* the sum in terms of the largest so far */
            sum = sum * exp(most - logit) + 1;
            most = logit, best = i;
        } else {
            sum += exp(logit - most);
        }
        if (isnan(logit)) sum = NAN;
    }
    *score = (float)(1 / sum);
    return best;
}

bool samc__template_good(const char *template) {
    const char *place = strstr(template, "{}");
    return place != NULL && strstr(place + 2, "{}") == NULL;
}

char *samc__template_fill(const char *template, const char *phrase) {
    const size_t before = (size_t)(strstr(template, "{}") - template), length = strlen(template) - 2,
                 n = strlen(phrase);
    char *text = malloc(length + n + 1);
    if (text == NULL) return NULL;
    memcpy(text, template, before);
    memcpy(text + before, phrase, n);
    strcpy(text + before + n, template + before + 2);
    return text;
}
