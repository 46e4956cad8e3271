/* From decoded logits to masks: statistics and bits in the image's size, the filters on them, run lengths, small
 * regions. */
#include "runtime/auto_masks.h"
#include "kernels/finish_masks/finish_masks.h"
#include "kernels/mask_rle/mask_rle.h"
#include "kernels/small_regions/small_regions.h"

#include "runtime/numeric.h"
#include "kernels/place.h"

#include <math.h>
#include <string.h>

enum { EDGE = 20 }; /* pixels; is_box_near_crop_edge's atol */

/* is_box_near_crop_edge: a side of the box lies near that side of the crop, and not near that side of the image, unless
 * that one is cut. */
static bool near_crop_edge(const samc__generator *g, const samc__crop *c, const samc__found *f) {
    const float side[4] = {f->x0, f->y0, f->x1, f->y1};
    const float of_crop[4] = {(float)c->x0, (float)c->y0, (float)c->x1, (float)c->y1};
    const float of_image[4] = {0.0f, 0.0f, (float)g->image->width, (float)g->image->height};
    for (int i = 0; i < 4; i++)
        if (fabsf(side[i] - of_crop[i]) <= EDGE &&
            ((g->o->cut_sides >> i & 1) != 0 || !(fabsf(side[i] - of_image[i]) <= EDGE)))
            return true;
    return false;
}

/* Run lengths of a crop -> of the whole image, into `out`; returns how many. */
static int64_t uncrop_counts(const samc__generator *g, const samc__crop *c, const uint32_t *counts, int64_t length,
                             uint32_t *out) {
    int64_t h = c->y1 - c->y0, full = g->image->height, position = 0, end = 0, n = 0;
    for (int64_t i = 0; i < length; position += counts[i++]) {
        if (i % 2 == 0) continue;
        for (int64_t p = position; p < position + counts[i];) { /* the run, column by column */
            int64_t in_column = h - p % h, rest = position + counts[i] - p, size = in_column < rest ? in_column : rest;
            int64_t start = (c->x0 + p / h) * full + c->y0 + p % h;
            if (n > 0 && start == end) {
                out[n - 1] += (uint32_t)size; /* goes on from the foot of the column before */
            } else {
                out[n++] = (uint32_t)(start - end);
                out[n++] = (uint32_t)size;
            }
            end = start + size;
            p += size;
        }
    }
    int64_t rest = (int64_t)g->image->width * full - end;
    if (n == 0 || rest > 0) out[n++] = (uint32_t)rest;
    return n;
}

/* Encodes `n` masks of `bits` [height, words] as run lengths into the finisher's counts; masks with more runs than fit
 * there are only counted. */
static samc_status encode_counts(samc__generator *g, const uint64_t *bits, int64_t n, int width, int height) {
    const samc__finisher *f = &g->run->finisher;
    return samc__mask_rle(&g->s->post, &(samc__mask_rle_args){.bits = bits,
                                                              .masks = n,
                                                              .height = height,
                                                              .width = width,
                                                              .counts = f->counts,
                                                              .capacity = f->room.runs,
                                                              .lengths = f->lengths});
}

/* Keeps the run lengths of `f`: `length` in `counts` if they fit there, else those of mask `bits` anew; moved from the
 * crop to the whole image. */
static samc_status keep_counts(samc__generator *g, const samc__crop *c, const uint64_t *bits, const uint32_t *counts,
                               int64_t length, samc__found *f) {
    const samc__exec *exec = &g->s->exec;
    int width = c->x1 - c->x0, height = c->y1 - c->y0;
    bool whole = height == g->image->height && width == g->image->width, fits = length <= g->run->finisher.room.runs;
    size_t moved_most = (size_t)(2 * (length + width) + 2); /* a run is cut once at each column it crosses */
    uint32_t *own = fits ? NULL : exec->allocate(exec->memory, (size_t)length * sizeof *own);
    uint32_t *moved = whole ? NULL : exec->allocate(exec->memory, moved_most * sizeof *moved);
    samc_status status = SAMC_OK;
    if ((!fits && own == NULL) || (!whole && moved == NULL))
        status = samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    if (status == SAMC_OK && !fits) {
        status = samc__runs_of_bits(&g->s->post, bits, width, height, own, length, &length);
        counts = own;
    }
    if (status == SAMC_OK && !whole) {
        length = uncrop_counts(g, c, counts, length, moved);
        counts = moved;
    }
    if (status == SAMC_OK) status = samc__runs_add(g->runs, counts, (size_t)length, &f->runs, &g->s->error);
    exec->release(exec->memory, moved);
    exec->release(exec->memory, own);
    return status;
}

/* The lengths of the first `n` masks of the finisher, and rows of counts, *pitch bytes apart, as long as the longest
 * that fits. On a device the host waits once, unless a mask has more than the usual number of runs. */
static samc_status read_counts(samc__generator *g, int64_t n, const int64_t **lengths, const char **counts,
                               size_t *pitch) {
    enum { LENGTHS = 2, COUNTS };
    const samc__exec *exec = &g->s->post;
    const samc__finisher *f = &g->run->finisher;
    const void *contents[2] = {f->lengths, f->counts};
    size_t row = (size_t)f->room.runs * sizeof *f->counts, first = SAMC__FIRST_RUNS * sizeof *f->counts;
    *pitch = row;
    if (!exec->place->host) {
        SAMC__TRY(exec->place->fetch(exec, LENGTHS, f->lengths, (size_t)n * sizeof **lengths,
                                     (size_t)n * sizeof **lengths, 1));
        SAMC__TRY(exec->place->fetch(exec, COUNTS, f->counts, row, first, (size_t)n));
        SAMC__TRY(exec->place->fetched(exec, COUNTS, &contents[1]));
        SAMC__TRY(exec->place->fetched(exec, LENGTHS, &contents[0]));
        *pitch = first;
    }
    *lengths = contents[0];
    size_t longest = 0;
    for (int64_t i = 0; i < n; i++)
        if ((*lengths)[i] <= f->room.runs && (size_t)(*lengths)[i] * sizeof *f->counts > longest)
            longest = (size_t)(*lengths)[i] * sizeof *f->counts;
    if (longest > *pitch) {
        SAMC__TRY(exec->place->fetch(exec, COUNTS, f->counts, row, longest, (size_t)n));
        SAMC__TRY(exec->place->fetched(exec, COUNTS, &contents[1]));
        *pitch = longest;
    }
    *counts = contents[1];
    return SAMC_OK;
}

/* Encodes the masks of `found`, whose bits lie one after another, and keeps the run lengths of each. */
static samc_status encode_found(samc__generator *g, const samc__crop *c, const uint64_t *bits, samc__found *found,
                                int64_t n) {
    int width = c->x1 - c->x0, height = c->y1 - c->y0;
    int64_t size = (int64_t)height * ((width + 63) / 64);
    const int64_t *lengths;
    const char *counts;
    size_t pitch;
    SAMC__TRY(encode_counts(g, bits, n, width, height));
    SAMC__TRY(read_counts(g, n, &lengths, &counts, &pitch));
    for (int64_t i = 0; i < n; i++)
        SAMC__TRY(keep_counts(g, c, bits + i * size, (const uint32_t *)(const void *)(counts + (size_t)i * pitch),
                              lengths[i], &found[i]));
    return SAMC_OK;
}

/* The masks `index` [n] of a round: their statistics, and their bits where there is room given for these. With `picked`
 * there are no more than it says. */
static samc_status finish(const samc__round *r, const int32_t *index, int64_t n, const int32_t *picked,
                          uint64_t *bits) {
    const samc__auto_run *run = r->g->run;
    samc__finish_masks_args args = samc__frame_masks(&run->s->model->net.config.recipe, &r->frame);
    args.logits = samc__view3(r->logits, (int64_t)run->batch * run->masks, run->low, run->low);
    args.index = index, args.count = n, args.picked = picked;
    args.offset = (float)run->o->stability_score_offset;
    args.bits = bits, args.stats = r->stats;
    return samc__finish_masks(&run->s->post, &args);
}

samc_status samc__round_statistics(const samc__round *r) {
    return finish(r, r->index, (int64_t)r->n * r->g->run->masks, r->picked, NULL);
}

/* The filters on a mask's statistics, which `f` takes over. */
static bool passes(samc__generator *g, const samc__crop *c, const samc__mask_stats *m, samc__found *f) {
    f->stability = m->below > 0 ? (float)m->above / (float)m->below : 0.0f;
    if (g->o->stability_score_thresh > 0.0 && !(m->below > 0 && f->stability >= (float)g->o->stability_score_thresh))
        return false;
    g->total.after_stability++;
    bool empty = m->area == 0; /* batched_mask_to_box: zeros, then moved with the crop */
    f->area = m->area;
    f->x0 = (float)(c->x0 + (empty ? 0 : m->x0));
    f->y0 = (float)(c->y0 + (empty ? 0 : m->y0));
    f->x1 = (float)(c->x0 + (empty ? 0 : m->x1));
    f->y1 = (float)(c->y0 + (empty ? 0 : m->y1));
    if (near_crop_edge(g, c, f)) return false;
    g->total.after_edge++;
    return true;
}

/* Keeps the run lengths of the `n` masks of `found`, whose bits lie one after another, and adds them to those found. */
static samc_status add_found(samc__generator *g, const samc__crop *c, samc__found *found, int64_t n) {
    if (n > 0) SAMC__TRY(encode_found(g, c, g->run->finisher.bits, found, n));
    for (int64_t i = 0; i < n; i++) SAMC__TRY(samc__found_add(&g->s->exec, &g->found, &found[i]));
    return SAMC_OK;
}

/* On a host: each mask is finished once, its bits with its statistics, and the bits of those that pass are moved
 * together. */
static samc_status masks_at_once(samc__round *r, int64_t n) {
    samc__generator *g = r->g;
    uint64_t *bits = g->run->finisher.bits;
    int64_t words = (int64_t)r->frame.height * ((r->frame.width + 63) / 64); /* of a mask */
    for (int64_t i = 0, now; i < n; i += now) {
        int64_t kept = 0;
        now = n - i < g->bits_masks ? n - i : g->bits_masks;
        SAMC__TRY(finish(r, r->index + i, now, NULL, bits));
        for (int64_t j = 0; j < now; j++) {
            if (r->stats[j].spoilt) return samc__numeric_fail(g->s, r->image, "mask logits");
            if (!passes(g, &r->crop, &r->stats[j], &r->found[i + j])) continue;
            if (kept < j) memcpy(bits + kept * words, bits + j * words, (size_t)words * sizeof *bits);
            r->found[i + kept++] = r->found[i + j];
        }
        SAMC__TRY(add_found(g, &r->crop, r->found + i, kept));
    }
    return SAMC_OK;
}

/* On a device statistics of all are there, then come bits of the few that they let through: logits and bits stay where
 * they are, and the host waits once for as many masks as the bits hold. */
samc_status samc__auto_masks(samc__round *r, int64_t n, const samc__mask_stats *stats) {
    samc__generator *g = r->g;
    if (n == 0) return SAMC_OK;
    if (g->s->post.place->host) return masks_at_once(r, n);
    int64_t kept = 0;
    bool spoilt = false;
    for (int64_t i = 0; i < n; i++) {
        spoilt = spoilt || stats[i].spoilt;
        if (!passes(g, &r->crop, &stats[i], &r->found[i])) continue;
        r->found[kept] = r->found[i];
        r->own_index[kept++] = r->own_index[i];
    }
    if (spoilt) return samc__numeric_fail(g->s, r->image, "mask logits");
    if (kept == 0) return SAMC_OK;
    SAMC__TRY(samc__upload(&g->s->post, r->index, r->own_index, (size_t)kept * sizeof *r->index));
    for (int64_t i = 0, now; i < kept; i += now) {
        now = kept - i < g->bits_masks ? kept - i : g->bits_masks;
        SAMC__TRY(finish(r, r->index + i, now, NULL, g->run->finisher.bits));
        SAMC__TRY(add_found(g, &r->crop, r->found + i, now));
    }
    return SAMC_OK;
}

/* Sets the bits of a mask from its run lengths. */
static samc_status read_bits(const samc__generator *g, const samc__found *f, uint64_t *bits) {
    const samc__exec *exec = &g->s->exec;
    int64_t height = g->image->height, words = (g->image->width + 63) / 64, position = 0;
    uint32_t *counts = exec->allocate(exec->memory, f->runs.count * sizeof *counts);
    if (counts == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    samc_status status = samc__runs_read(g->runs, &f->runs, counts, &g->s->error);
    memset(bits, 0, (size_t)(words * height) * sizeof *bits);
    for (size_t i = 0; i < f->runs.count && status == SAMC_OK; position += counts[i++])
        for (int64_t p = position; i % 2 == 1 && p < position + counts[i]; p++)
            bits[p % height * words + p / height / 64] |= UINT64_C(1) << (p / height % 64);
    exec->release(exec->memory, counts);
    return status;
}

/* Area and box of a mask. */
static void measure_bits(const uint64_t *bits, int width, int height, samc__found *f) {
    int64_t words = (width + 63) / 64, area = 0;
    int x0 = width, y0 = height, x1 = -1, y1 = -1;
    for (int y = 0; y < height; y++)
        for (int64_t word = 0; word < words; word++) {
            uint64_t row = bits[y * words + word];
            if (row == 0) continue;
            int first = (int)word * 64 + __builtin_ctzll(row), last = (int)word * 64 + 63 - __builtin_clzll(row);
            area += __builtin_popcountll(row);
            x0 = first < x0 ? first : x0, x1 = last > x1 ? last : x1;
            y0 = y < y0 ? y : y0, y1 = y;
        }
    f->area = area;
    f->x0 = (float)(area ? x0 : 0), f->y0 = (float)(area ? y0 : 0);
    f->x1 = (float)(area ? x1 : 0), f->y1 = (float)(area ? y1 : 0);
}

/* One mask through the operator; `bits` is the host's room for it. Where something changed, `f` gets its new box and
 * run lengths. */
static samc_status clean_mask(samc__generator *g, uint64_t *bits, samc__found *f, uint8_t *changed) {
    const samc__exec *exec = &g->s->post;
    int width = g->image->width, height = g->image->height;
    samc__crop whole = {0, 0, width, height, 0};
    size_t bytes = (size_t)height * (size_t)((width + 63) / 64) * sizeof *bits;
    void *tensors[2] = {NULL, NULL};
    SAMC__TRY(read_bits(g, f, bits));
    samc_status status = samc__lend(exec, bits, bytes, true, &tensors[0]);
    if (status == SAMC_OK) status = samc__lend(exec, changed, 1, false, &tensors[1]);
    if (status == SAMC_OK)
        status = samc__small_regions(exec, &(samc__small_regions_args){.bits = tensors[0],
                                                                       .masks = 1,
                                                                       .height = height,
                                                                       .width = width,
                                                                       .min_area = g->o->min_mask_region_area,
                                                                       .changed = tensors[1]});
    samc_status last = samc__collect(exec, changed, tensors[1], status == SAMC_OK ? 1 : 0);
    if (status == SAMC_OK) status = last;
    if (status == SAMC_OK && *changed) {
        const uint64_t *cleaned = samc__read(exec, tensors[0], bytes);
        if (cleaned != NULL) {
            measure_bits(cleaned, width, height, f);
            samc__read_end(exec, tensors[0], cleaned);
            status = encode_found(g, &whole, tensors[0], f, 1);
        } else {
            status = g->s->error.status;
        }
    }
    samc__collect(exec, bits, tensors[0], 0);
    return status;
}

/* postprocess_small_regions: clean every mask, then suppress again, preferring masks that did not change. */
samc_status samc__auto_small_regions(samc__generator *g) {
    const samc__exec *exec = &g->s->post;
    int64_t count = g->found.count, words = (g->image->width + 63) / 64;
    if (count == 0) return SAMC_OK;
    uint64_t *bits =
        exec->allocate(exec->memory, (size_t)(words * g->image->height) * sizeof *bits + (size_t)count * sizeof(float));
    if (bits == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory to compare masks");
    float *score = (float *)(bits + words * g->image->height);
    samc_status status = SAMC_OK;
    for (int64_t i = 0; i < count && status == SAMC_OK; i++) {
        uint8_t changed = 0;
        status = clean_mask(g, bits, &g->found.items[i], &changed);
        score[i] = changed ? 0.0f : 1.0f;
    }
    double larger = g->o->box_nms_thresh > g->o->crop_nms_thresh ? g->o->box_nms_thresh : g->o->crop_nms_thresh;
    if (status == SAMC_OK) status = samc__found_nms(exec, &g->found, 0, score, larger);
    exec->release(exec->memory, bits);
    return status;
}
