/* Every mask of an image: SamAutomaticMaskGenerator to the letter, with its filters in the order that costs least.
 *
 * crops -> encode -> points in batches -> predicted IoU -> full-size statistics of the survivors -> stability -> crop edge -> bits of
 * those that are left -> run lengths -> suppression within the crop, then between crops -> small regions. Full-size logits never
 * exist; bits live for a few masks at a time, run lengths for all. On a device only IoU, statistics and run lengths leave it. */
#include "runtime/auto_masks.h"
#include "runtime/decoder.h"
#include "runtime/encoder.h"
#include "runtime/numeric.h"
#include "runtime/place.h"

#include <math.h>

enum {
    MAX_LAYERS = 6,          /* 4^6 crops in the last */
    MAX_POINTS_PER_SIDE = 1024,
    MAX_BATCH = 4096,
    BITS_BUDGET = 64 << 20,  /* bytes of full-size masks at a time */
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
    for (int layer = 0; o->point_grids != NULL && layer <= o->crop_n_layers; layer++) {
        const samc_point_grid *grid = &o->point_grids[layer];
        if (grid->xy == NULL || grid->count < 1) return samc__fail(e, SAMC_INVALID_ARGUMENT, "point grid %d has no points", layer);
        for (int64_t i = 0; i < 2 * (int64_t)grid->count; i++)
            if (!(grid->xy[i] >= 0.0 && grid->xy[i] <= 1.0))
                return samc__fail(e, SAMC_INVALID_ARGUMENT, "point %lld of grid %d is not within 0 and 1", (long long)i / 2, layer);
    }
    return SAMC_OK;
}

/* generate_crop_boxes: crop number `index` of `layer` (0: the whole image), columns outermost. */
static samc__crop crop_box(const samc__generator *g, int layer, int index) {
    int w = g->image->width, h = g->image->height, side = 1 << layer;
    if (layer == 0) return (samc__crop){0, 0, w, h, 0};
    int overlap = (int)(g->o->crop_overlap_ratio * (w < h ? w : h) * (2.0 / side));
    int crop_w = (int)ceil((double)((int64_t)overlap * (side - 1) + w) / side), crop_h = (int)ceil((double)((int64_t)overlap * (side - 1) + h) / side);
    int x0 = (crop_w - overlap) * (index / side), y0 = (crop_h - overlap) * (index % side);
    int x1 = x0 + crop_w < w ? x0 + crop_w : w, y1 = y0 + crop_h < h ? y0 + crop_h : h;
    return (samc__crop){x0, y0, x1, y1, layer};
}

/* Whether no pixel is in it: the last rows and columns of many layers begin beyond the edge of a small or narrow image. */
static bool is_empty(const samc__crop *c) { return c->x0 >= c->x1 || c->y0 >= c->y1; }

/* Images that go through the encoder together. */
typedef struct samc__group {
    const samc_image *images; /* [count], at most the session's encode_most */
    int count;
    int place;      /* of the first one's embedding among the session's */
    bool encoded;
    double seconds; /* that encoding took; on a device, that starting it took */
} samc__group;

static samc_status encode_group(samc_session *s, samc__group *group) {
    double start = samc__seconds();
    SAMC__TRY(samc__session_encode(s, group->images, group->count, group->place));
    group->encoded = true;
    group->seconds = samc__seconds() - start;
    return SAMC_OK;
}

/* Encodes a group in its turn, unless that was done ahead, and lets prompts have it. */
static samc_status encode_in_turn(samc_session *s, samc__group *group) {
    if (!group->encoded) {
        SAMC__TRY(samc__session_meet(s));
        SAMC__TRY(encode_group(s, group));
    }
    return samc__session_meet(s);
}

/* Once points are on their way the host would only wait for their masks: it starts the images after this one. Where that fails it is
 * tried again, and told of, in their turn. Returns the seconds that it took. */
static double encode_ahead(samc__generator *g) {
    samc__group *next = g->ahead;
    double start = samc__seconds();
    if (next == NULL) return 0.0;
    g->ahead = NULL;
    samc_status status = encode_group(g->s, next);
    if (status == SAMC_OUT_OF_MEMORY) samc__session_one_group(g->s);
    if (status != SAMC_OK) g->s->error = (samc_error){0};
    return samc__seconds() - start;
}

/* The host's side of a batch of points. */
typedef struct point_batch {
    double *xy;                   /* [batch, 2] pixels of the crop */
    samc__found *found;           /* [batch * masks] masks that passed so far */
    samc_prompt *prompts;         /* [batch] */
    const samc_prompt **pointers; /* [batch] */
    float *points;                /* [batch, 2] */
    int32_t *index;               /* [batch * masks] of `found` */
} point_batch;

/* Logits and predicted IoU of `n` points on image `image` of the session. */
static samc_status decode_points(samc__generator *g, const samc__geometry *geometry, int image, int n, const point_batch *b) {
    static const int32_t foreground = 1;
    int64_t mask_floats = (int64_t)g->low * g->low;
    for (int i = 0; i < n; i++) {
        b->points[2 * i] = (float)b->xy[2 * i];
        b->points[2 * i + 1] = (float)b->xy[2 * i + 1];
        b->prompts[i] = (samc_prompt){.points = b->points + 2 * i, .labels = &foreground, .point_count = 1};
        b->pointers[i] = &b->prompts[i];
    }
    samc__image_side side;
    SAMC__TRY(samc__session_side(g->s, image, 1, &side));
    for (int i = 0, now; i < n; i += now) {
        now = n - i < g->s->decode_most ? n - i : g->s->decode_most;
        samc__prompt_batch args = {.prompts = b->pointers + i, .count = now, .images = 1, .tokens = 2,
                                   .geometry = geometry, .side = side, .key_pe = g->s->key_pe};
        samc_status status = samc__decode(&g->s->exec, g->s->model, &args, true, g->logits + i * g->masks * mask_floats, g->iou + i * g->masks);
        if (status == SAMC_OUT_OF_MEMORY && samc__session_fewer_prompts(g->s, now)) now = 0;
        else SAMC__TRY(status);
    }
    return SAMC_OK;
}

/* One batch of points on a crop, image `image` of the session: decode, filter by predicted IoU, finish the survivors. */
static samc_status process_points(samc__generator *g, const samc__crop *c, const samc__geometry *geometry, int image, int n, const point_batch *b) {
    const samc__exec *exec = &g->s->exec;
    double start = samc__seconds();
    if (atomic_exchange(&g->s->stop, false)) return samc__fail(&g->s->error, SAMC_STOPPED, "automatic masks were stopped on request");
    SAMC__TRY(decode_points(g, geometry, image, n, b));
    start += encode_ahead(g);
    const float *iou = samc__read(exec, g->iou, (size_t)(n * g->masks) * sizeof *iou);
    if (iou == NULL) return g->s->error.status;
    if (samc__numeric_spoilt(iou, (int64_t)n * g->masks)) {
        samc__read_end(exec, g->iou, iou);
        return samc__numeric_fail(g->s, image, "a predicted IoU");
    }
    double decoded = samc__seconds();
    g->total.decode_seconds += decoded - start;
    g->total.prompts += n;
    g->total.masks += (int64_t)n * g->masks;
    int64_t kept = 0;
    for (int32_t i = 0; i < n * g->masks; i++) {
        if (g->o->pred_iou_thresh > 0.0 && !(iou[i] > (float)g->o->pred_iou_thresh)) continue;
        const double *point = b->xy + 2 * (i / g->masks);
        b->found[kept] = (samc__found){.iou = iou[i], .point = {point[0] + c->x0, point[1] + c->y0}, .crop = {c->x0, c->y0, c->x1, c->y1}};
        b->index[kept++] = i;
    }
    samc__read_end(exec, g->iou, iou);
    g->total.after_iou += kept;
    samc_status status = samc__auto_masks(g, c, geometry, b->found, b->index, kept, image);
    g->total.post_seconds += samc__seconds() - decoded;
    return status;
}

/* All points of one crop, then suppression within it by predicted IoU. */
static samc_status process_crop(samc__generator *g, const samc__crop *c, int image) {
    const samc__exec *exec = &g->s->exec;
    samc__geometry geometry = samc__geometry_of(g->s->model->config.img_size, c->x1 - c->x0, c->y1 - c->y0);
    int64_t first = g->found.count, batch = g->batch;
    int side = g->o->points_per_side;
    for (int i = 0; i < c->layer; i++) side /= g->o->crop_n_points_downscale_factor;
    const samc_point_grid *grid = g->o->point_grids ? &g->o->point_grids[c->layer] : NULL;
    int64_t points = grid ? grid->count : (int64_t)side * side;
    size_t masks = (size_t)g->masks, each = 2 * sizeof(double) + masks * sizeof(samc__found) + sizeof(samc_prompt) + sizeof(samc_prompt *) +
                                            2 * sizeof(float) + masks * sizeof(int32_t);
    point_batch b = {.xy = exec->allocate(exec->memory, (size_t)batch * each)};
    if (b.xy == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for %lld points", (long long)batch);
    b.found = (samc__found *)(b.xy + 2 * batch);
    b.prompts = (samc_prompt *)(b.found + batch * g->masks);
    b.pointers = (const samc_prompt **)(b.prompts + batch);
    b.points = (float *)(b.pointers + batch);
    b.index = (int32_t *)(b.points + 2 * batch);
    samc_status status = SAMC_OK;
    for (int64_t i = 0; i < points && status == SAMC_OK; i += batch) {
        int n = (int)(points - i < batch ? points - i : batch);
        for (int j = 0; j < n; j++) { /* build_point_grid: (k + 1/2) / n, rows outermost */
            double x = grid ? grid->xy[2 * (i + j)] : ((i + j) % side + 0.5) / side;
            double y = grid ? grid->xy[2 * (i + j) + 1] : ((i + j) / side + 0.5) / side;
            b.xy[2 * j] = x * geometry.width;
            b.xy[2 * j + 1] = y * geometry.height;
        }
        status = process_points(g, c, &geometry, image, n, &b);
    }
    exec->release(exec->memory, b.xy);
    int64_t n = g->found.count - first;
    if (status != SAMC_OK || n == 0) return status;
    float *score = exec->allocate(exec->memory, (size_t)n * sizeof *score);
    if (score == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory to compare masks");
    for (int64_t i = 0; i < n; i++) score[i] = g->found.items[first + i].iou;
    status = samc__found_nms(exec, &g->found, first, score, g->o->box_nms_thresh);
    exec->release(exec->memory, score);
    return status;
}

/* The crops of one layer, encoded in batches. */
static samc_status process_layer(samc__generator *g, int layer) {
    samc_session *s = g->s;
    if (g->encoded >= 0) {
        samc__crop whole = crop_box(g, 0, 0);
        g->total.crops = 1;
        return process_crop(g, &whole, g->encoded);
    }
    int crops = 1 << 2 * layer, batch = s->encode_most;
    SAMC__TRY(samc__session_reserve_images(s, batch < crops ? batch : crops));
    for (int next = 0; next < crops;) {
        samc_image images[16]; /* encode_most is at most that */
        samc__crop boxes[16];
        int n = 0;
        for (; next < crops && n < batch; next++) {
            samc__crop c = boxes[n] = crop_box(g, layer, next);
            if (is_empty(&c)) continue;
            images[n++] = (samc_image){g->image->pixels + c.y0 * g->image->row_bytes + 3 * (ptrdiff_t)c.x0, c.x1 - c.x0, c.y1 - c.y0, g->image->row_bytes};
        }
        if (n == 0) break;
        samc__group group = {.images = images, .count = n};
        SAMC__TRY(encode_in_turn(s, &group));
        g->total.encode_seconds += group.seconds;
        g->total.crops += n;
        for (int j = 0; j < n; j++) SAMC__TRY(process_crop(g, &boxes[j], j));
    }
    return SAMC_OK;
}

/* Suppression between crops: smaller crops first, because they see more. */
static samc_status suppress_across_crops(samc__generator *g) {
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

static samc_status report(samc__generator *g, int index, samc_auto_callback callback, void *context) {
    const samc__exec *exec = &g->s->exec;
    int64_t count = g->found.count;
    samc_auto_mask *masks = exec->allocate(exec->memory, (size_t)(count + 1) * sizeof *masks);
    if (masks == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for the records of %lld masks", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        const samc__found *f = &g->found.items[i];
        masks[i] = (samc_auto_mask){
            .runs = g->runs, .rle_at = f->runs.at, .rle_length = f->runs.length, .count_length = (int)f->runs.count, .area = f->area,
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

static samc_status generate(samc__generator *g, int index, samc_auto_callback callback, void *context) {
    for (int layer = 0; layer <= g->o->crop_n_layers; layer++) SAMC__TRY(process_layer(g, layer));
    g->total.after_nms = g->found.count;
    double start = samc__seconds();
    if (g->o->crop_n_layers > 0) SAMC__TRY(suppress_across_crops(g));
    if (g->o->min_mask_region_area > 0) SAMC__TRY(samc__auto_small_regions(g));
    g->total.post_seconds += samc__seconds() - start;
    g->total.kept = g->found.count;
    return report(g, index, callback, context);
}

/* False when there is not enough memory; some are NULL then. */
static bool allocate_buffers(samc__generator *g, size_t bits_bytes) {
    const samc__exec *exec = &g->s->exec;
    size_t prompts = (size_t)g->batch * (size_t)g->masks, masks = (size_t)g->bits_masks;
    g->logits = samc__tensor_allocate(exec, prompts * (size_t)g->low * (size_t)g->low * sizeof(float));
    g->iou = samc__tensor_allocate(exec, prompts * sizeof(float));
    g->bits = samc__tensor_allocate(exec, masks * bits_bytes);
    g->stats = samc__tensor_allocate(exec, prompts * (sizeof *g->stats + sizeof *g->index));
    g->counts = samc__tensor_allocate(exec, masks * SAMC__RUNS * sizeof *g->counts);
    g->lengths = samc__tensor_allocate(exec, masks * sizeof *g->lengths);
    g->index = g->stats ? (int32_t *)(g->stats + prompts) : NULL;
    return g->logits != NULL && g->iou != NULL && g->bits != NULL && g->stats != NULL && g->counts != NULL && g->lengths != NULL;
}

static void release_buffers(samc__generator *g) {
    const samc__exec *exec = &g->s->exec;
    samc__tensor_release(exec, g->lengths);
    samc__tensor_release(exec, g->counts);
    samc__tensor_release(exec, g->stats);
    samc__tensor_release(exec, g->bits);
    samc__tensor_release(exec, g->iou);
    samc__tensor_release(exec, g->logits);
    g->lengths = NULL; /* they may be allocated again, or not */
    g->counts = NULL;
    g->stats = NULL;
    g->bits = NULL;
    g->iou = NULL;
    g->logits = NULL;
}

/* One image, of which `g` knows what and how; the rest of it is filled in here. */
static samc_status process_image(samc__generator *g, int index, samc_auto_callback callback, void *context) {
    samc_session *s = g->s;
    const samc_image *image = g->image;
    g->masks = s->model->config.mask_tokens - 1;
    g->low = 4 * s->model->config.grid;
    g->batch = g->o->points_per_batch < MOST_TOGETHER ? g->o->points_per_batch : MOST_TOGETHER;
    int64_t bits_bytes = (int64_t)image->height * ((image->width + 63) / 64) * 8;
    g->bits_masks = BITS_BUDGET / bits_bytes;
    g->bits_masks = g->bits_masks < 1 ? 1 : g->bits_masks > 64 ? 64 : g->bits_masks;
    samc_status status = SAMC_OK;
    while (status == SAMC_OK && !allocate_buffers(g, (size_t)bits_bytes)) {
        release_buffers(g);
        bool fewer = g->bits_masks > 1;
        g->bits_masks = (g->bits_masks + 1) / 2; /* on a device, where others may hold the memory, less does too */
        if (samc__session_fewer_prompts(s, g->batch)) g->batch = s->decode_most;
        else if (!fewer) status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for %d points at a time on %d x %d pixels", g->batch, image->width, image->height);
    }
    if (status == SAMC_OK && (g->runs = samc__runs_create(g->o->temporary_folder)) == NULL) status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    if (status == SAMC_OK) status = generate(g, index, callback, context);
    samc_auto_runs_release(g->runs);
    samc__found_clear(&s->exec, &g->found);
    release_buffers(g);
    return status;
}

/* The images from `first` on that are encoded together. None, where that one is bad: it fails in its turn, after those before it. */
static samc__group group_at(const samc_image *images, int first, int count, int most) {
    samc__group group = {.images = images + first};
    while (group.count < most && first + group.count < count && samc__check_image(NULL, &images[first + group.count], 0) == SAMC_OK) group.count++;
    return group;
}

/* Whole images go through the encoder in groups, and where there is memory for two, one group ahead of their masks: the session's
 * embeddings have two parts then, and the group after next waits until masks of this one are done. Several images are two groups at
 * least, so that there is something to do ahead. An image's crops take the session's places one layer after another. */
static samc_status process_images(samc_session *s, const samc_image *images, int count, const samc_auto_options *o,
                                  samc_auto_callback callback, void *context) {
    bool together = o->crop_n_layers == 0, two = together && s->groups > 1 && count > 1;
    int most = !together ? 1 : two && s->encode_most > (count + 1) / 2 ? (count + 1) / 2 : s->encode_most;
    if (together) SAMC__TRY(samc__session_reserve_images(s, two ? 2 * most : most < count ? most : count));
    samc__group now = group_at(images, 0, count, most), next;
    for (int first = 0; first < count; first += now.count, now = next) {
        SAMC__TRY(samc__check_image(&s->error, &images[first], first));
        next = group_at(images, first + now.count, count, most);
        next.place = two ? most - now.place : 0;
        if (together) SAMC__TRY(encode_in_turn(s, &now));
        for (int i = 0; i < now.count; i++) {
            samc__group *ahead = i == 0 && two && s->groups > 1 && next.count > 0 ? &next : NULL;
            samc__generator g = {.s = s, .o = o, .image = &images[first + i], .encoded = together ? now.place + i : -1, .ahead = ahead,
                                 .total = {.encode_seconds = now.seconds / now.count}};
            SAMC__TRY(process_image(&g, first + i, callback, context));
        }
    }
    return SAMC_OK;
}

static samc_status automatic(samc_session *s, const samc_image *images, int count, const samc_auto_options *options,
                             samc_auto_callback callback, void *context) {
    if (images == NULL || count < 1 || callback == NULL)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_auto: no images or no callback");
    samc_auto_options defaults = samc_default_auto_options(s->model);
    const samc_auto_options *o = options ? options : &defaults;
    SAMC__TRY(samc_auto_check(o, &s->error));
    SAMC__TRY(samc__session_enter(s));
    samc_status status = process_images(s, images, count, o, callback, context);
    samc__session_drop_images(s);
    if (status == SAMC_OUT_OF_MEMORY) samc__memory_drop(&s->memory); /* others may need it more */
    return status;
}

samc_status samc_auto(samc_session *s, const samc_image *images, int count, const samc_auto_options *options,
                      samc_auto_callback callback, void *context) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, automatic(s, images, count, options, callback, context));
}
