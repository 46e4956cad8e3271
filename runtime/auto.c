/* Every mask of an image: SamAutomaticMaskGenerator to the letter, with its filters in the order that costs least.
 *
 * crops -> encode -> points in batches -> predicted IoU -> full-size statistics of the survivors -> stability -> crop
 * edge -> bits of those that are left -> run lengths -> suppression within the crop, then between crops -> small
 * regions. Full-size logits never exist; bits live for a few masks at a time, run lengths for all. On a device only
 * IoU, statistics and run lengths leave it. Points go through all that in rounds, runtime/auto_rounds.c. */
#include "runtime/auto_masks.h"
#include "runtime/base/abi.h"
#include "runtime/model/automatic.h"
#include "runtime/numeric.h"
#include "kernels/place.h"

#include <math.h>

enum {
    MAX_LAYERS = 6, /* 4^6 crops in the last */
    MAX_POINTS_PER_SIDE = 1024,
    MAX_BATCH = 4096,
};

static samc_auto_options defaults_of(const samc_model *model) {
    samc_auto_options options = model ? model->net.config.automatic : samc__auto_defaults();
    options.size = sizeof options;
    return options;
}

samc_status samc_default_auto_options(const samc_model *model, samc_auto_options *options) {
    samc_auto_options own = defaults_of(model);
    return samc__abi_give(SAMC__ABI(samc_auto_options), &own, options, NULL);
}

static samc_status check_numbers(const samc_auto_options *o, samc_error *e) {
    if (o->point_grids == NULL && (o->points_per_side < 1 || o->points_per_side > MAX_POINTS_PER_SIDE))
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "points_per_side must be 1 to %d, not %d", MAX_POINTS_PER_SIDE,
                          o->points_per_side);
    if (o->points_per_batch < 0 || o->points_per_batch > MAX_BATCH)
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "points_per_batch must be 0 (automatic) or 1 to %d, not %d",
                          MAX_BATCH, o->points_per_batch);
    if (o->crop_n_layers < 0 || o->crop_n_layers > MAX_LAYERS)
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "crop_n_layers must be 0 to %d, not %d", MAX_LAYERS,
                          o->crop_n_layers);
    if (o->crop_n_points_downscale_factor < 1)
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "crop_n_points_downscale_factor must be at least 1, not %d",
                          o->crop_n_points_downscale_factor);
    if (!(o->crop_overlap_ratio >= 0.0 && o->crop_overlap_ratio < 1.0))
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "crop_overlap_ratio must be at least 0 and below 1, not %g",
                          o->crop_overlap_ratio);
    if (o->cut_sides > SAMC_SIDE_ALL)
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "cut_sides must be SAMC_SIDE_ bits, not %u", o->cut_sides);
    if (!(o->stability_score_offset >= 0.0) || !isfinite(o->stability_score_offset) || o->min_mask_region_area < 0 ||
        isnan(o->pred_iou_thresh) || isnan(o->stability_score_thresh) || isnan(o->box_nms_thresh) ||
        isnan(o->crop_nms_thresh))
        return samc__fail(e, SAMC_INVALID_ARGUMENT, "an automatic-mask option is negative or not a number");
    return SAMC_OK;
}

static samc_status check_grids(const samc_auto_options *o, samc_error *e) {
    for (int layer = 0; layer <= o->crop_n_layers; layer++) {
        const samc_point_grid *grid = &o->point_grids[layer];
        if (grid->xy == NULL || grid->count < 1)
            return samc__fail(e, SAMC_INVALID_ARGUMENT, "point grid %d has no points", layer);
        for (int64_t i = 0; i < 2 * (int64_t)grid->count; i++)
            if (!(grid->xy[i] >= 0.0 && grid->xy[i] <= 1.0))
                return samc__fail(e, SAMC_INVALID_ARGUMENT, "point %lld of grid %d is not within 0 and 1",
                                  (long long)i / 2, layer);
    }
    return SAMC_OK;
}

/* The caller's options and grids, checked, over the defaults that `own` holds. *grids: the caller's, own->point_grids
 * is given back beside it whatever is returned. */
static samc_status take_options(const samc_auto_options *given, samc_auto_options *own, const samc_point_grid **grids,
                                samc_error *e) {
    const void *array = NULL;
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_auto_options), given, own, e));
    *grids = own->point_grids;
    samc_status status = check_numbers(own, e);
    if (status == SAMC_OK && *grids != NULL)
        status = samc__abi_array(SAMC__ABI(samc_point_grid), *grids, own->crop_n_layers + 1, &array, e);
    own->point_grids = array;
    return status == SAMC_OK && array != NULL ? check_grids(own, e) : status;
}

samc_status samc_auto_check(const samc_auto_options *options, samc_error *e) {
    samc_auto_options own = defaults_of(NULL);
    const samc_point_grid *grids = NULL;
    samc_status status = take_options(options, &own, &grids, e);
    samc__abi_array_free(grids, own.point_grids);
    return status;
}

/* generate_crop_boxes: crop number `index` of `layer` (0: the whole image), columns outermost. */
static samc__crop crop_box(const samc__generator *g, int layer, int index) {
    int w = g->image->width, h = g->image->height, side = 1 << layer;
    if (layer == 0) return (samc__crop){0, 0, w, h, 0};
    int overlap = (int)(g->o->crop_overlap_ratio * (w < h ? w : h) * (2.0 / side));
    int crop_w = (int)ceil((double)((int64_t)overlap * (side - 1) + w) / side),
        crop_h = (int)ceil((double)((int64_t)overlap * (side - 1) + h) / side);
    int x0 = (crop_w - overlap) * (index / side), y0 = (crop_h - overlap) * (index % side);
    int x1 = x0 + crop_w < w ? x0 + crop_w : w, y1 = y0 + crop_h < h ? y0 + crop_h : h;
    return (samc__crop){x0, y0, x1, y1, layer};
}

/* Whether no pixel is in it: the last rows and columns of many layers begin beyond the edge of a small or narrow image.
 */
static bool is_empty(const samc__crop *c) { return c->x0 >= c->x1 || c->y0 >= c->y1; }

/* Images that go through the encoder together. */
typedef struct samc__group {
    const samc_image *images; /* [count], at most the session's encode_most */
    int count;
    int place;  /* of the first one's embedding among the session's */
    bool crops; /* of one image, whose levels are as the recipe wants them */
    bool encoded;
    double seconds; /* that encoding took; on a device, that starting it took */
} samc__group;

static samc_status encode_group(samc_session *s, samc__group *group) {
    double start = samc__seconds();
    SAMC__TRY(group->crops ? samc__session_encode(s, group->images, group->count, group->place)
                           : samc__session_encode_levelled(s, group->images, group->count, group->place));
    group->encoded = true;
    group->seconds = samc__seconds() - start;
    return SAMC_OK;
}

/* Encodes a group in its turn, unless that was done ahead, and lets prompts have it. */
static samc_status encode_in_turn(samc_session *s, samc__group *group) {
    if (!group->encoded) {
        SAMC__TRY(samc__session_synchronize(s));
        SAMC__TRY(encode_group(s, group));
    }
    return samc__session_synchronize(s);
}

/* Once points are on their way the host would only wait for their masks: it starts the images after this one. Where
 * that fails it is tried again, and told of, in their turn. Returns the seconds that it took. */
double samc__encode_ahead(samc__generator *g) {
    samc__group *next = g->ahead;
    double start = samc__seconds();
    if (next == NULL) return 0.0;
    g->ahead = NULL;
    samc_status status = encode_group(g->s, next);
    if (status == SAMC_OUT_OF_MEMORY) samc__session_one_group(g->s);
    if (status != SAMC_OK) g->s->error = (samc_error){0};
    return samc__seconds() - start;
}

/* Suppression within a crop by predicted IoU. */
samc_status samc__crop_end(samc__generator *g) {
    const samc__exec *exec = &g->s->post;
    int64_t first = g->crop_first, n = g->found.count - first;
    if (n == 0) return SAMC_OK;
    float *score = exec->allocate(exec->memory, (size_t)n * sizeof *score);
    if (score == NULL) return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory to compare masks");
    for (int64_t i = 0; i < n; i++) score[i] = g->found.items[first + i].iou;
    samc_status status = samc__found_nms(exec, &g->found, first, score, g->o->box_nms_thresh);
    exec->release(exec->memory, score);
    g->crop_first = g->found.count;
    return status;
}

/* Points of a crop in a layer, and how many a side where they are no grid of the caller's. */
static int64_t points_in(const samc_auto_options *o, int layer, int *side) {
    *side = o->points_per_side;
    for (int i = 0; i < layer; i++) *side /= o->crop_n_points_downscale_factor;
    return o->point_grids ? o->point_grids[layer].count : (int64_t)*side * *side;
}

static int64_t points_of_image(const samc__generator *g) {
    int64_t points = 0;
    for (int layer = 0, side; layer <= g->o->crop_n_layers; layer++) {
        const int64_t each = points_in(g->o, layer, &side);
        for (int i = 0; i < 1 << 2 * layer; i++) {
            const samc__crop c = crop_box(g, layer, i);
            points += is_empty(&c) ? 0 : each;
        }
    }
    return points;
}

/* All points of one crop, in rounds. */
static samc_status process_crop(samc__generator *g, const samc__crop *c, int image) {
    samc__frame frame = samc__frame_of(&g->s->model->net.config.recipe, c->x1 - c->x0, c->y1 - c->y0);
    int64_t batch = g->run->batch;
    int side;
    const samc_point_grid *grid = g->o->point_grids ? &g->o->point_grids[c->layer] : NULL;
    const int64_t points = points_in(g->o, c->layer, &side);
    for (int64_t i = 0; i < points; i += batch) {
        samc__round *r = samc__round_next(g->run);
        int n = (int)(points - i < batch ? points - i : batch);
        r->g = g, r->crop = *c, r->frame = frame, r->image = image, r->n = n;
        r->ends_crop = i + n == points, r->ends_image = false;
        for (int j = 0; j < n; j++) { /* build_point_grid: (k + 1/2) / n, rows outermost */
            double x = grid ? grid->xy[2 * (i + j)] : ((i + j) % side + 0.5) / side;
            double y = grid ? grid->xy[2 * (i + j) + 1] : ((i + j) / side + 0.5) / side;
            r->xy[2 * j] = x * frame.width;
            r->xy[2 * j + 1] = y * frame.height;
        }
        SAMC__TRY(samc__round_push(r));
    }
    return SAMC_OK;
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
            images[n++] = (samc_image){.pixels = g->image->pixels + c.y0 * g->image->row_bytes + 3 * (ptrdiff_t)c.x0,
                                       .width = c.x1 - c.x0,
                                       .height = c.y1 - c.y0,
                                       .row_bytes = g->image->row_bytes};
        }
        if (n == 0) break;
        samc__group group = {.images = images, .count = n, .crops = true};
        SAMC__TRY(encode_in_turn(s, &group));
        g->total.encode_seconds += group.seconds;
        g->total.crops += n;
        for (int j = 0; j < n; j++) SAMC__TRY(process_crop(g, &boxes[j], j));
    }
    return SAMC_OK;
}

/* Suppression between crops: smaller crops first, because they see more. */
static samc_status suppress_across_crops(samc__generator *g) {
    const samc__exec *exec = &g->s->post;
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

static samc_status report(samc__generator *g) {
    const samc__exec *exec = &g->s->exec;
    int64_t count = g->found.count;
    samc_mask *masks = exec->allocate(exec->memory, (size_t)(count + 1) * sizeof *masks);
    if (masks == NULL)
        return samc__fail(&g->s->error, SAMC_OUT_OF_MEMORY, "no memory for the records of %lld masks",
                          (long long)count);
    for (int64_t i = 0; i < count; i++) {
        const samc__found *f = &g->found.items[i];
        masks[i] = (samc_mask){
            .size = sizeof *masks,
            .image = g->index,
            .prompt = -1,
            .index = (int)i,
            .predicted_iou = f->iou,
            .stability_score = f->stability,
            .object_score = f->object,
            .area = f->area,
            .bbox = {(int)f->x0, (int)f->y0, (int)(f->x1 - f->x0), (int)(f->y1 - f->y0)},
            .crop_box = {f->crop[0], f->crop[1], f->crop[2] - f->crop[0], f->crop[3] - f->crop[1]},
            .point = {f->point[0], f->point[1]},
            .width = g->image->width,
            .height = g->image->height,
            .runs = g->runs,
            .runs_at = f->runs.at,
            .rle_length = f->runs.length,
            .count_length = f->runs.count,
        };
    }
    samc_status status = g->callback(g->context, g->index, masks, (int)count, &g->total);
    if (status != SAMC_OK)
        samc__fail(&g->s->error, status, "the callback stopped automatic masks at image %d", g->index);
    exec->release(exec->memory, masks);
    return status;
}

static void clear(samc__generator *g) {
    if (g->s == NULL) return;
    samc_runs_release(g->runs);
    samc__found_clear(&g->s->exec, &g->found);
    *g = (samc__generator){0};
}

samc_status samc__image_end(samc__generator *g) {
    g->total.after_nms = g->found.count;
    double start = samc__seconds();
    if (g->o->crop_n_layers > 0) SAMC__TRY(suppress_across_crops(g));
    if (g->o->min_mask_region_area > 0 && !samc__fills(g)) SAMC__TRY(samc__auto_small_regions(g));
    g->total.post_seconds += samc__seconds() - start;
    g->total.kept = g->found.count;
    samc_status status = report(g);
    clear(g);
    return status;
}

/* One image, of which `g` knows what and how; the rest of it is filled in here. */
static samc_status process_image(samc__generator *g) {
    samc_session *s = g->s;
    samc__auto_run *run = g->run;
    samc_image levelled = *g->image;
    const samc_image *given = g->image;
    g->points = points_of_image(g);
    samc_status status = samc__run_open(run, g->image, &g->bits_masks);
    if (status == SAMC_OK && g->encoded < 0) status = samc__levels_make(s, given, &levelled);
    g->image = &levelled; /* of which only the size is asked for later */
    if (status == SAMC_OK && (g->runs = samc__runs_create(g->o->temporary_folder)) == NULL)
        status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for run lengths");
    for (int layer = 0; layer <= run->o->crop_n_layers && status == SAMC_OK; layer++) status = process_layer(g, layer);
    if (status == SAMC_OK) status = samc__rounds_end_image(g);
    if (g->s != NULL) g->image = given; /* its last round may not be finished */
    samc__prepared_free(s, given, &levelled);
    if (s->exec.place->host) samc__run_close(run); /* the next images are encoded in this memory */
    return status;
}

/* The images from `first` on that are encoded together. None, where that one is bad: it fails in its turn, after those
 * before it. */
static samc__group group_at(const samc_image *images, int first, int count, int most) {
    samc__group group = {.images = images + first};
    while (group.count < most && first + group.count < count &&
           samc__check_image(NULL, &images[first + group.count], 0) == SAMC_OK)
        group.count++;
    return group;
}

/* Whole images go through the encoder in groups, and where there is memory for two, one group ahead of their masks: the
 * session's embeddings have two parts then, and the group after next waits until masks of this one are done. Several
 * images are two groups at least, so that there is something to do ahead. An image's crops take the session's places
 * one layer after another. */
static samc_status process_images(samc__auto_run *run, const samc_image *images, int count, samc_auto_callback callback,
                                  void *context) {
    samc_session *s = run->s;
    bool together = run->o->crop_n_layers == 0, two = together && s->groups > 1 && count > 1;
    int most = !together ? 1 : two && s->encode_most > (count + 1) / 2 ? (count + 1) / 2 : s->encode_most;
    if (together) SAMC__TRY(samc__session_reserve_images(s, two ? 2 * most : most < count ? most : count));
    samc__group now = group_at(images, 0, count, most), next;
    for (int first = 0; first < count; first += now.count, now = next) {
        SAMC__TRY(samc__check_image(&s->error, &images[first], first));
        next = group_at(images, first + now.count, count, most);
        next.place = two ? most - now.place : 0;
        if (together) SAMC__TRY(encode_in_turn(s, &now));
        for (int i = 0; i < now.count; i++) {
            samc__generator *g = &run->images[(first + i) % 2]; /* the other one's last round may not be finished */
            *g = (samc__generator){
                .run = run,
                .s = s,
                .o = run->o,
                .image = &images[first + i],
                .index = first + i,
                .callback = callback,
                .context = context,
                .encoded = together ? now.place + i : -1,
                .ahead = i == 0 && two && s->groups > 1 && next.count > 0 ? &next : NULL,
                .total = {.size = sizeof(samc_auto_stats), .encode_seconds = now.seconds / now.count}};
            SAMC__TRY(process_image(g));
        }
    }
    return SAMC_OK;
}

/* All images, also the one before an image that failed, whose masks are on their way. */
static samc_status run_all(samc__auto_run *run, const samc_image *images, int count, samc_auto_callback callback,
                           void *context) {
    samc_status status = process_images(run, images, count, callback, context);
    samc_error first = run->s->error;
    samc_status last = status == SAMC_STOPPED ? SAMC_OK : samc__rounds_finish(run);
    if (status != SAMC_OK) run->s->error = first;
    samc__run_close(run);
    for (int i = 0; i < 2; i++) clear(&run->images[i]);
    return status != SAMC_OK ? status : last;
}

static samc_status automatic(samc_session *s, const samc_image *images, int count, const samc_auto_options *o,
                             samc_auto_callback callback, void *context) {
    const samc__recipe *recipe = &s->model->net.config.recipe;
    if (recipe->asked == SAMC__ASKED_BOX || recipe->sigmoid)
        return samc__fail(&s->error, SAMC_UNSUPPORTED,
                          "automatic masks ask with points and are made of logits, not so the model's recipe, %s",
                          recipe->name);
    SAMC__TRY(samc__session_enter(s));
    samc__generator generators[2] = {0};
    samc__auto_run run = {.s = s,
                          .o = o,
                          .masks = samc__given_masks(&s->model->net.config.decoder, o->multimask_output),
                          .low = samc__low_res(&s->model->net.config),
                          .images = generators};
    samc_status status = run_all(&run, images, count, callback, context);
    samc__session_drop_images(s);
    if (status == SAMC_OUT_OF_MEMORY) samc__memory_drop(&s->memory); /* others may need it more */
    return status;
}

samc_status samc_auto(samc_session *s, const samc_image *images, int count, const samc_auto_options *options,
                      samc_auto_callback callback, void *context) {
    SAMC__TRY(samc__session_begin(s));
    samc_auto_options own = defaults_of(s->model);
    const samc_point_grid *grids = NULL;
    const void *pictures = images;
    samc_status status = images == NULL || count < 1 || callback == NULL
                             ? samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_auto: no images or no callback")
                             : samc__abi_array(SAMC__ABI(samc_image), images, count, &pictures, &s->error);
    if (status == SAMC_OK && options != NULL) status = take_options(options, &own, &grids, &s->error);
    if (status == SAMC_OK) status = automatic(s, pictures, count, &own, callback, context);
    samc__abi_array_free(grids, own.point_grids);
    samc__abi_array_free(images, pictures);
    return samc__session_end(s, status);
}
