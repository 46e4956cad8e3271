/* Every mask of an image: SamAutomaticMaskGenerator to the letter, with its filters in the order that costs least.
 *
 * crops -> encode -> points in batches -> predicted IoU -> full-size bits and statistics of the survivors only -> stability ->
 * crop edge -> run lengths -> suppression within the crop, then between crops -> small regions. Full-size logits never exist;
 * bits live for a few masks at a time, run lengths for all. On a device only IoU, statistics and run lengths leave it. */
#include "runtime/auto_list.h"
#include "runtime/decoder.h"
#include "runtime/encoder.h"
#include "runtime/place.h"
#include "runtime/session.h"

#include <math.h>
#include <string.h>

enum {
    EDGE = 20,               /* pixels; is_box_near_crop_edge's atol */
    MAX_LAYERS = 6,          /* 4^6 crops in the last */
    MAX_POINTS_PER_SIDE = 1024,
    MAX_BATCH = 4096,
    BITS_BUDGET = 64 << 20,  /* bytes of full-size masks at a time */
    CAPACITY = 131072,       /* runs of a ragged mask of two megapixels; one with more is encoded twice */
    MOST_TOGETHER = 64,      /* points; more would only cost memory */
};

samc_auto_options samc_default_auto_options(const samc_model *model) {
    return model ? model->config.automatic : samc__auto_defaults();
}

samc_status samc_auto_check(const samc_auto_options *o, samc_error *e) {
    if (o == NULL) return samc__fail(e, SAMC_INVALID_ARGUMENT, "samc_auto_check: no options");
    if (o->point_grids == NULL && (o->points_per_side < 1 || o->points_per_side > MAX_POINTS_PER_SIDE))
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "points_per_side must be 1 to %d, not %d", MAX_POINTS_PER_SIDE, o->points_per_side);
    if (o->points_per_batch < 1 || o->points_per_batch > MAX_BATCH)
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "points_per_batch must be 1 to %d, not %d", MAX_BATCH, o->points_per_batch);
    if (o->crop_n_layers < 0 || o->crop_n_layers > MAX_LAYERS)
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "crop_n_layers must be 0 to %d, not %d", MAX_LAYERS, o->crop_n_layers);
    if (o->crop_n_points_downscale_factor < 1)
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "crop_n_points_downscale_factor must be at least 1, not %d", o->crop_n_points_downscale_factor);
    if (!(o->crop_overlap_ratio >= 0.0 && o->crop_overlap_ratio < 1.0))
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "crop_overlap_ratio must be at least 0 and below 1, not %g", o->crop_overlap_ratio);
    if (!(o->stability_score_offset >= 0.0) || !isfinite(o->stability_score_offset) || o->min_mask_region_area < 0 ||
        isnan(o->pred_iou_thresh) || isnan(o->stability_score_thresh) || isnan(o->box_nms_thresh) || isnan(o->crop_nms_thresh))
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "an automatic-mask option is negative or not a number");
    return SAMC_OK;
}

/* What one image needs on its way. */
typedef struct generator {
    samc_session *s;
    const samc_auto_options *o;
    const samc_image *image;
    int masks, low;             /* masks of a prompt, side of the low-resolution logits */
    /* Tensors. */
    float *logits, *iou;        /* [points_per_batch, masks, low, low], [points_per_batch, masks] */
    uint64_t *bits;             /* room for `bits_masks` masks of the whole image */
    samc__mask_stats *stats;    /* [bits_masks] */
    int64_t *lengths;           /* [bits_masks] */
    uint32_t *counts;           /* [bits_masks, CAPACITY] */
    int64_t bits_masks;
    int batch;                  /* points decoded together */
    int encoded;                /* the session's image that holds the whole image's embedding; -1: encode it, as crops do */
    samc__found_list found;
    samc_auto_stats total;
} generator;

typedef struct crop { int x0, y0, x1, y1, layer; } crop;

/* generate_crop_boxes: crop number `index` of `layer` (0: the whole image), columns outermost. */
static crop crop_box(const generator *g, int layer, int index) {
    int w = g->image->width, h = g->image->height, side = 1 << layer;
    if (layer == 0) return (crop){0, 0, w, h, 0};
    int overlap = (int)(g->o->crop_overlap_ratio * (w < h ? w : h) * (2.0 / side));
    int crop_w = (int)ceil((double)((int64_t)overlap * (side - 1) + w) / side), crop_h = (int)ceil((double)((int64_t)overlap * (side - 1) + h) / side);
    int x0 = (crop_w - overlap) * (index / side), y0 = (crop_h - overlap) * (index % side);
    int x1 = x0 + crop_w < w ? x0 + crop_w : w, y1 = y0 + crop_h < h ? y0 + crop_h : h;
    return (crop){x0, y0, x1, y1, layer};
}

/* is_box_near_crop_edge: a side of the box lies near that side of the crop, and not near that side of the image. */
static bool near_crop_edge(const generator *g, const crop *c, const samc__found *f) {
    const float side[4] = {f->x0, f->y0, f->x1, f->y1};
    const float of_crop[4] = {(float)c->x0, (float)c->y0, (float)c->x1, (float)c->y1};
    const float of_image[4] = {0.0f, 0.0f, (float)g->image->width, (float)g->image->height};
    for (int i = 0; i < 4; i++)
        if (fabsf(side[i] - of_crop[i]) <= EDGE && !(fabsf(side[i] - of_image[i]) <= EDGE)) return true;
    return false;
}

/* Run lengths of a crop -> of the whole image, into `out`; returns how many. */
static int64_t uncrop_counts(const generator *g, const crop *c, const uint32_t *counts, int64_t length, uint32_t *out) {
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

/* Encodes `n` masks of `bits` [height, words] as run lengths into g->counts; masks with more runs than fit there are only
 * counted. */
static samc_status encode_counts(generator *g, const uint64_t *bits, int64_t n, int width, int height) {
    return samc__mask_rle(&g->s->exec, &(samc__mask_rle_args){.bits = bits, .masks = n, .height = height, .width = width,
                                                              .counts = g->counts, .capacity = CAPACITY, .lengths = g->lengths});
}

/* Run lengths of the one mask `bits` into the host's `counts`. */
static samc_status long_counts(generator *g, const uint64_t *bits, int width, int height, uint32_t *counts, int64_t length) {
    const samc__exec *exec = &g->s->exec;
    void *tensors[2] = {NULL, NULL};
    size_t bytes = (size_t)length * sizeof *counts;
    samc_status status = samc__lend(exec, counts, bytes, false, &tensors[0]);
    if (status == SAMC_OK) status = samc__lend(exec, &length, sizeof length, false, &tensors[1]);
    if (status == SAMC_OK)
        status = samc__mask_rle(exec, &(samc__mask_rle_args){.bits = bits, .masks = 1, .height = height, .width = width,
                                                             .counts = tensors[0], .capacity = length, .lengths = tensors[1]});
    samc__collect(exec, &length, tensors[1], 0);
    samc_status last = samc__collect(exec, counts, tensors[0], status == SAMC_OK ? bytes : 0);
    return status != SAMC_OK ? status : last;
}

/* Gives `f` its own run lengths: `length` in `counts` if they fit there, else those of mask `bits` anew; moved from the crop to
 * the whole image. */
static samc_status own_counts(generator *g, const crop *c, const uint64_t *bits, const uint32_t *counts, int64_t length, samc__found *f) {
    const samc__exec *exec = &g->s->exec;
    int width = c->x1 - c->x0, height = c->y1 - c->y0;
    bool whole = height == g->image->height && width == g->image->width, fits = length <= CAPACITY;
    int64_t most = whole ? length : 2 * (length + width) + 2; /* a run is cut once at each column it crosses */
    uint32_t *own = fits ? NULL : exec->allocate(exec->memory, (size_t)length * sizeof *own);
    f->counts = exec->allocate(exec->memory, (size_t)most * sizeof *f->counts);
    samc_status status = SAMC_OK;
    if (f->counts == NULL || (!fits && own == NULL)) status = samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    if (status == SAMC_OK && !fits) status = long_counts(g, bits, width, height, own, length);
    if (status == SAMC_OK) {
        if (!fits) counts = own;
        if (whole) memcpy(f->counts, counts, (size_t)length * sizeof *counts);
        f->length = whole ? length : uncrop_counts(g, c, counts, length, f->counts);
    } else {
        exec->release(exec->memory, f->counts);
        f->counts = NULL;
    }
    exec->release(exec->memory, own);
    return status;
}

/* Encodes the masks of `found`, whose bits lie one after another, and gives each its run lengths. On failure some have none. */
static samc_status encode_found(generator *g, const crop *c, const uint64_t *bits, samc__found *found, int64_t n) {
    const samc__exec *exec = &g->s->exec;
    int width = c->x1 - c->x0, height = c->y1 - c->y0;
    int64_t size = (int64_t)height * ((width + 63) / 64);
    size_t pitch = CAPACITY * sizeof *g->counts, longest = 1;
    SAMC__TRY(encode_counts(g, bits, n, width, height));
    const int64_t *lengths = samc__read(exec, g->lengths, (size_t)n * sizeof *lengths);
    if (lengths == NULL) return g->s->error.status;
    for (int64_t i = 0; i < n; i++)
        if (lengths[i] <= CAPACITY && (size_t)lengths[i] > longest) longest = (size_t)lengths[i];
    const char *counts = samc__read_rows(exec, g->counts, &pitch, longest * sizeof *g->counts, (size_t)n);
    samc_status status = counts ? SAMC_OK : g->s->error.status;
    for (int64_t i = 0; i < n && status == SAMC_OK; i++)
        status = own_counts(g, c, bits + i * size, (const uint32_t *)(const void *)(counts + (size_t)i * pitch), lengths[i], &found[i]);
    if (counts) samc__read_end(exec, g->counts, counts);
    samc__read_end(exec, g->lengths, lengths);
    return status;
}

/* Finishes `n` masks (their logits are contiguous) and adds those that pass stability and edge. points: [n] prompt index. */
static samc_status add_masks(generator *g, const crop *c, const samc__geometry *geometry, const float *logits, const float *iou,
                             const int32_t *prompt, const double *xy, int64_t n) {
    const samc__exec *exec = &g->s->exec;
    int64_t low = g->low, words = (geometry->width + 63) / 64, size = words * geometry->height;
    SAMC__TRY(samc__finish_masks(exec, &(samc__finish_masks_args){
                                           .logits = samc__view3(logits, n, low, low),
                                           .img_size = geometry->img_size,
                                           .new_height = geometry->new_height, .new_width = geometry->new_width,
                                           .height = geometry->height, .width = geometry->width,
                                           .threshold = g->s->model->config.mask_threshold,
                                           .offset = (float)g->o->stability_score_offset,
                                           .bits = g->bits,
                                           .stats = g->stats,
                                       }));
    const samc__mask_stats *stats = samc__read(exec, g->stats, (size_t)n * sizeof *stats);
    if (stats == NULL) return g->s->error.status;
    samc_status status = SAMC_OK;
    samc__found pending[64];
    int64_t kept = 0;
    for (int64_t i = 0; i < n && status == SAMC_OK; i++) {
        const samc__mask_stats *m = &stats[i];
        float stability = m->below > 0 ? (float)m->above / (float)m->below : 0.0f;
        if (g->o->stability_score_thresh > 0.0 && !(m->below > 0 && stability >= (float)g->o->stability_score_thresh)) continue;
        g->total.after_stability++;
        samc__found f = {.area = m->area, .iou = iou[i], .stability = stability, .crop = {c->x0, c->y0, c->x1, c->y1}};
        f.point[0] = xy[2 * prompt[i]] + c->x0;
        f.point[1] = xy[2 * prompt[i] + 1] + c->y0;
        bool empty = m->area == 0; /* batched_mask_to_box: zeros, then moved with the crop */
        f.x0 = (float)(c->x0 + (empty ? 0 : m->x0));
        f.y0 = (float)(c->y0 + (empty ? 0 : m->y0));
        f.x1 = (float)(c->x0 + (empty ? 0 : m->x1));
        f.y1 = (float)(c->y0 + (empty ? 0 : m->y1));
        if (near_crop_edge(g, c, &f)) continue;
        g->total.after_edge++;
        size_t bytes = (size_t)size * sizeof *g->bits;
        if (kept != i) status = samc__copy_rows(exec, g->bits + kept * size, bytes, g->bits + i * size, bytes, bytes, 1);
        pending[kept++] = f;
    }
    samc__read_end(exec, g->stats, stats);
    if (status != SAMC_OK || kept == 0) return status;
    status = encode_found(g, c, g->bits, pending, kept);
    for (int64_t i = 0; i < kept; i++) {
        if (status == SAMC_OK) status = samc__found_add(exec, &g->found, &pending[i]);
        else exec->release(exec->memory, pending[i].counts);
    }
    return status;
}

/* One batch of point prompts on a crop, image `image` of the session: decode, filter by predicted IoU, finish the survivors. */
static samc_status process_points(generator *g, const crop *c, const samc__geometry *geometry, int image, const double *xy,
                                  int n, samc_prompt *prompts, const samc_prompt **batch, float *points, int32_t *origin, float *score) {
    const samc__exec *exec = &g->s->exec;
    static const int32_t foreground = 1;
    int64_t mask_floats = (int64_t)g->low * g->low, kept = 0;
    double start = samc__seconds();
    if (atomic_exchange(&g->s->stop, false)) return samc__fail(&g->s->error, SAMC_STOPPED, "automatic masks were stopped on request");
    for (int i = 0; i < n; i++) {
        points[2 * i] = (float)xy[2 * i];
        points[2 * i + 1] = (float)xy[2 * i + 1];
        prompts[i] = (samc_prompt){.points = points + 2 * i, .labels = &foreground, .point_count = 1};
        batch[i] = &prompts[i];
    }
    samc__image_side side;
    SAMC__TRY(samc__session_side(g->s, image, 1, &side));
    for (int i = 0, now; i < n; i += now) {
        now = n - i < g->s->decode_most ? n - i : g->s->decode_most;
        samc__prompt_batch args = {.prompts = batch + i, .count = now, .images = 1, .tokens = 2,
                                   .geometry = geometry, .side = side, .key_pe = g->s->key_pe};
        samc_status status = samc__decode(exec, g->s->model, &args, true, g->logits + i * g->masks * mask_floats, g->iou + i * g->masks);
        if (status == SAMC_OUT_OF_MEMORY && samc__session_fewer_prompts(g->s, now)) now = 0;
        else SAMC__TRY(status);
    }
    const float *iou = samc__read(exec, g->iou, (size_t)(n * g->masks) * sizeof *iou);
    if (iou == NULL) return g->s->error.status;
    double decoded = samc__seconds();
    g->total.decode_seconds += decoded - start;
    g->total.prompts += n;
    g->total.masks += (int64_t)n * g->masks;
    samc_status status = SAMC_OK;
    for (int64_t i = 0; i < (int64_t)n * g->masks && status == SAMC_OK; i++) {
        if (g->o->pred_iou_thresh > 0.0 && !(iou[i] > (float)g->o->pred_iou_thresh)) continue;
        size_t bytes = (size_t)mask_floats * sizeof(float);
        if (kept != i) status = samc__copy_rows(exec, g->logits + kept * mask_floats, bytes, g->logits + i * mask_floats, bytes, bytes, 1);
        score[kept] = iou[i];
        origin[kept++] = (int32_t)(i / g->masks);
    }
    samc__read_end(exec, g->iou, iou);
    g->total.after_iou += kept;
    for (int64_t i = 0; i < kept && status == SAMC_OK; i += g->bits_masks)
        status = add_masks(g, c, geometry, g->logits + i * mask_floats, score + i, origin + i, xy,
                           kept - i < g->bits_masks ? kept - i : g->bits_masks);
    g->total.post_seconds += samc__seconds() - decoded;
    return status;
}

/* All points of one crop, then suppression within it by predicted IoU. */
static samc_status process_crop(generator *g, const crop *c, int image) {
    const samc__exec *exec = &g->s->exec;
    samc__geometry geometry = samc__geometry_of(g->s->model->config.img_size, c->x1 - c->x0, c->y1 - c->y0);
    int64_t first = g->found.count, batch = g->batch;
    int side = g->o->points_per_side;
    for (int i = 0; i < c->layer; i++) side /= g->o->crop_n_points_downscale_factor;
    const samc_point_grid *grid = g->o->point_grids ? &g->o->point_grids[c->layer] : NULL;
    int64_t points = grid ? grid->count : (int64_t)side * side;
    size_t each = 2 * sizeof(double) + sizeof(samc_prompt) + sizeof(samc_prompt *) + 2 * sizeof(float) + (size_t)g->masks * (sizeof(int32_t) + sizeof(float));
    double *xy = exec->allocate(exec->memory, (size_t)batch * each);
    if (xy == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for %lld points", (long long)batch);
    samc_prompt *prompts = (samc_prompt *)(xy + 2 * batch);
    const samc_prompt **pointers = (const samc_prompt **)(prompts + batch);
    float *points_f32 = (float *)(pointers + batch);
    int32_t *origin = (int32_t *)(points_f32 + 2 * batch);
    float *kept_iou = (float *)(origin + batch * g->masks);
    samc_status status = SAMC_OK;
    for (int64_t i = 0; i < points && status == SAMC_OK; i += batch) {
        int n = (int)(points - i < batch ? points - i : batch);
        for (int j = 0; j < n; j++) { /* build_point_grid: (k + 1/2) / n, rows outermost */
            double x = grid ? grid->xy[2 * (i + j)] : ((i + j) % side + 0.5) / side;
            double y = grid ? grid->xy[2 * (i + j) + 1] : ((i + j) / side + 0.5) / side;
            xy[2 * j] = x * geometry.width;
            xy[2 * j + 1] = y * geometry.height;
        }
        status = process_points(g, c, &geometry, image, xy, n, prompts, pointers, points_f32, origin, kept_iou);
    }
    exec->release(exec->memory, xy);
    int64_t n = g->found.count - first;
    if (status != SAMC_OK || n == 0) return status;
    float *score = exec->allocate(exec->memory, (size_t)n * sizeof *score);
    if (score == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory to compare masks");
    for (int64_t i = 0; i < n; i++) score[i] = g->found.items[first + i].iou;
    status = samc__found_nms(exec, &g->found, first, score, g->o->box_nms_thresh);
    exec->release(exec->memory, score);
    return status;
}

/* Embeddings of `n` images, at most samc__encode_batch(), into the session's first images. */
static samc_status encode_together(samc_session *s, const samc_image *images, int n) {
    for (int j = 0; j < n; j++) s->images[j].geometry = samc__geometry_of(s->model->config.img_size, images[j].width, images[j].height);
    s->side_images = 0; /* that of the images before */
    return samc__session_encode(s, images, n, 0);
}

/* The crops of one layer, encoded in batches. */
static samc_status process_layer(generator *g, int layer) {
    samc_session *s = g->s;
    if (g->encoded >= 0) {
        crop whole = crop_box(g, 0, 0);
        g->total.crops = 1;
        return process_crop(g, &whole, g->encoded);
    }
    const samc__config *config = &s->model->config;
    int crops = 1 << 2 * layer, batch = samc__encode_batch(config);
    SAMC__TRY(samc__session_reserve_images(s, batch < crops ? batch : crops));
    for (int i = 0; i < crops; i += batch) {
        int n = crops - i < batch ? crops - i : batch;
        samc_image images[16]; /* samc__encode_batch() is at most that */
        for (int j = 0; j < n; j++) {
            crop c = crop_box(g, layer, i + j);
            images[j] = (samc_image){g->image->pixels + c.y0 * g->image->row_bytes + 3 * (ptrdiff_t)c.x0, c.x1 - c.x0, c.y1 - c.y0, g->image->row_bytes};
        }
        double start = samc__seconds();
        SAMC__TRY(encode_together(s, images, n));
        g->total.encode_seconds += samc__seconds() - start;
        g->total.crops += n;
        for (int j = 0; j < n; j++) {
            crop c = crop_box(g, layer, i + j);
            SAMC__TRY(process_crop(g, &c, j));
        }
    }
    return SAMC_OK;
}

/* Suppression between crops: smaller crops first, because they see more. */
static samc_status suppress_across_crops(generator *g) {
    const samc__exec *exec = &g->s->exec;
    if (g->found.count == 0) return SAMC_OK;
    float *score = exec->allocate(exec->memory, (size_t)g->found.count * sizeof *score);
    if (score == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory to compare masks");
    for (int64_t i = 0; i < g->found.count; i++) {
        const int *c = g->found.items[i].crop;
        score[i] = 1.0f / ((float)(c[2] - c[0]) * (float)(c[3] - c[1]));
    }
    samc_status status = samc__found_nms(exec, &g->found, 0, score, g->o->crop_nms_thresh);
    exec->release(exec->memory, score);
    return status;
}

/* Sets the bits of a mask from its run lengths. */
static void decode_counts(const samc__found *f, uint64_t *bits, int width, int height) {
    int64_t words = (width + 63) / 64, position = 0;
    memset(bits, 0, (size_t)(words * height) * sizeof *bits);
    for (int64_t i = 0; i < f->length; position += f->counts[i++])
        for (int64_t p = position; i % 2 == 1 && p < position + f->counts[i]; p++)
            bits[p % height * words + p / height / 64] |= UINT64_C(1) << (p / height % 64);
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

/* One mask through the operator; `bits` is the host's room for it. Where something changed, `f` gets its new box and run lengths. */
static samc_status clean_mask(generator *g, uint64_t *bits, samc__found *f, uint8_t *changed) {
    const samc__exec *exec = &g->s->exec;
    int width = g->image->width, height = g->image->height;
    crop whole = {0, 0, width, height, 0};
    size_t bytes = (size_t)height * (size_t)((width + 63) / 64) * sizeof *bits;
    void *tensors[2] = {NULL, NULL};
    decode_counts(f, bits, width, height);
    samc_status status = samc__lend(exec, bits, bytes, true, &tensors[0]);
    if (status == SAMC_OK) status = samc__lend(exec, changed, 1, false, &tensors[1]);
    if (status == SAMC_OK)
        status = samc__small_regions(exec, &(samc__small_regions_args){.bits = tensors[0], .masks = 1, .height = height, .width = width,
                                                                       .min_area = g->o->min_mask_region_area, .changed = tensors[1]});
    samc_status last = samc__collect(exec, changed, tensors[1], status == SAMC_OK ? 1 : 0);
    if (status == SAMC_OK) status = last;
    if (status == SAMC_OK && *changed) {
        const uint64_t *cleaned = samc__read(exec, tensors[0], bytes);
        if (cleaned != NULL) {
            measure_bits(cleaned, width, height, f);
            samc__read_end(exec, tensors[0], cleaned);
            exec->release(exec->memory, f->counts);
            f->counts = NULL;
            status = encode_found(g, &whole, tensors[0], f, 1);
        } else {
            status = g->s->error.status;
        }
    }
    samc__collect(exec, bits, tensors[0], 0);
    return status;
}

/* postprocess_small_regions: clean every mask, then suppress again, preferring masks that did not change. */
static samc_status remove_small_regions(generator *g) {
    const samc__exec *exec = &g->s->exec;
    int64_t count = g->found.count, words = (g->image->width + 63) / 64;
    if (count == 0) return SAMC_OK;
    uint64_t *bits = exec->allocate(exec->memory, (size_t)(words * g->image->height) * sizeof *bits + (size_t)count * sizeof(float));
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

static samc_status report(generator *g, int index, samc_auto_callback callback, void *context) {
    const samc__exec *exec = &g->s->exec;
    int64_t count = g->found.count;
    samc_auto_mask *masks = exec->allocate(exec->memory, (size_t)(count + 1) * sizeof *masks);
    if (masks == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for the records of %lld masks", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        const samc__found *f = &g->found.items[i];
        masks[i] = (samc_auto_mask){
            .counts = f->counts, .count_length = (int)f->length, .area = f->area,
            .bbox = {(int)f->x0, (int)f->y0, (int)(f->x1 - f->x0), (int)(f->y1 - f->y0)},
            .predicted_iou = f->iou, .stability_score = f->stability, .point = {f->point[0], f->point[1]},
            .crop_box = {f->crop[0], f->crop[1], f->crop[2] - f->crop[0], f->crop[3] - f->crop[1]},
        };
    }
    samc_status status = callback(context, index, masks, (int)count, &g->total);
    if (status != SAMC_OK) samc__fail(&g->s->error, status, "the callback stopped automatic masks at image %d", index);
    exec->release(exec->memory, masks);
    return status;
}

static samc_status generate(generator *g, int index, samc_auto_callback callback, void *context) {
    for (int layer = 0; layer <= g->o->crop_n_layers; layer++) SAMC__TRY(process_layer(g, layer));
    g->total.after_nms = g->found.count;
    double start = samc__seconds();
    if (g->o->crop_n_layers > 0) SAMC__TRY(suppress_across_crops(g));
    if (g->o->min_mask_region_area > 0) SAMC__TRY(remove_small_regions(g));
    g->total.post_seconds += samc__seconds() - start;
    g->total.kept = g->found.count;
    return report(g, index, callback, context);
}

/* False when there is not enough memory; some are NULL then. */
static bool allocate_buffers(generator *g, size_t bits_bytes) {
    const samc__exec *exec = &g->s->exec;
    size_t prompts = (size_t)g->batch * (size_t)g->masks, masks = (size_t)g->bits_masks;
    g->logits = samc__tensor_allocate(exec, prompts * (size_t)g->low * (size_t)g->low * sizeof(float));
    g->iou = samc__tensor_allocate(exec, prompts * sizeof(float));
    g->bits = samc__tensor_allocate(exec, masks * bits_bytes);
    g->stats = samc__tensor_allocate(exec, masks * (sizeof *g->stats + sizeof *g->lengths));
    g->counts = samc__tensor_allocate(exec, masks * CAPACITY * sizeof *g->counts);
    g->lengths = g->stats ? (int64_t *)(g->stats + masks) : NULL;
    return g->logits != NULL && g->iou != NULL && g->bits != NULL && g->stats != NULL && g->counts != NULL;
}

static void release_buffers(generator *g) {
    const samc__exec *exec = &g->s->exec;
    samc__tensor_release(exec, g->counts);
    samc__tensor_release(exec, g->stats);
    samc__tensor_release(exec, g->bits);
    samc__tensor_release(exec, g->iou);
    samc__tensor_release(exec, g->logits);
}

/* Image `index`, whose embedding took `seconds` and is the session's image `encoded`, or is still to be made (-1). */
static samc_status process_image(samc_session *s, const samc_image *images, int index, const samc_auto_options *o, int encoded, double seconds,
                                 samc_auto_callback callback, void *context) {
    const samc_image *image = &images[index];
    generator g = {.s = s, .o = o, .image = image, .masks = s->model->config.mask_tokens - 1, .low = 4 * s->model->config.grid, .encoded = encoded,
                   .batch = o->points_per_batch < MOST_TOGETHER ? o->points_per_batch : MOST_TOGETHER, .total = {.encode_seconds = seconds}};
    int64_t bits_bytes = (int64_t)image->height * ((image->width + 63) / 64) * 8;
    g.bits_masks = BITS_BUDGET / bits_bytes;
    g.bits_masks = g.bits_masks < 1 ? 1 : g.bits_masks > 64 ? 64 : g.bits_masks;
    samc_status status = SAMC_OK;
    while (status == SAMC_OK && !allocate_buffers(&g, (size_t)bits_bytes)) {
        release_buffers(&g);
        g.bits_masks = (g.bits_masks + 1) / 2; /* on a device, where others may hold the memory, less does too */
        if (samc__session_fewer_prompts(s, g.batch)) g.batch = s->decode_most;
        else status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for %d points at a time on %d x %d pixels", g.batch, image->width, image->height);
    }
    if (status == SAMC_OK) status = generate(&g, index, callback, context);
    samc__found_clear(&s->exec, &g.found);
    release_buffers(&g);
    return status;
}

samc_status samc_auto(samc_session *s, const samc_image *images, int count, const samc_auto_options *options,
                      samc_auto_callback callback, void *context) {
    if (s == NULL) return SAMC_INVALID_ARGUMENT;
    if (images == NULL || count < 1 || callback == NULL)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_auto: no images or no callback");
    samc_auto_options defaults = samc_default_auto_options(s->model);
    const samc_auto_options *o = options ? options : &defaults;
    SAMC__TRY(samc_auto_check(o, &s->error));
    /* Whole images go through the encoder together; an image's crops take the session's places one layer after another. */
    bool together = o->crop_n_layers == 0;
    int most = together ? samc__encode_batch(&s->model->config) : 1;
    for (int i = 0, n; i < count; i += n) {
        SAMC__TRY(samc__check_image(&s->error, &images[i], i));
        for (n = 1; n < most && i + n < count; n++) /* a bad image fails in its turn, after those before it */
            if (samc__check_image(NULL, &images[i + n], i + n) != SAMC_OK) break;
        double seconds = 0.0; /* of an image's share in the pass */
        if (together) {
            double start = samc__seconds();
            SAMC__TRY(samc__session_reserve_images(s, n));
            SAMC__TRY(encode_together(s, images + i, n));
            seconds = (samc__seconds() - start) / n;
        }
        for (int j = 0; j < n; j++) SAMC__TRY(process_image(s, images, i + j, o, together ? j : -1, seconds, callback, context));
    }
    return SAMC_OK;
}
