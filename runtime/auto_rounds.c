/* Rounds of points in automatic masks: decoded, filtered by predicted IoU, measured, and then finished by
 * runtime/auto_masks.c.
 *
 * On a device a round is three streams' work. Decoding goes on with the next round while the host waits for this one's
 * numbers, decides, and has masks made of it: the GPU does both at once and is never out of work in between. Two sets
 * of logits take turns. What follows decoding on a set has been waited for by the host when the set is decoded into
 * again, so that no stream has to wait for that. */
#include "runtime/auto_masks.h"
#include "runtime/model/decoder.h"
#include "runtime/numeric.h"
#include "kernels/finish_masks/finish_masks.h"
#include "kernels/place.h"
#include "kernels/select_masks/select_masks.h"

#include <string.h>

enum {
    HOST_TOGETHER = 64,   /* points; more would only cost memory */
    HOST_MASKS = 64,      /* whose bits are held at a time */
    HOST_BITS = 64 << 20, /* bytes of these */
    DEVICE_MASKS = 512,
    DEVICE_BITS = 128 << 20,
    HEAD_ALIGNMENT = 64,
};

/* ---- Room ------------------------------------------------------------------------------------ */

void samc__everyday_size(const samc__config *c, int *width, int *height) {
    *width = c->recipe.side * 11 / 5;
    *height = c->recipe.side * 3 / 2;
}

static size_t mask_bytes(int width, int height) {
    return (size_t)height * (size_t)((width + 63) / 64) * sizeof(uint64_t);
}

samc__room samc__device_room(const samc__config *c, int prompts) {
    int64_t masks = (int64_t)prompts * samc__given_masks(&c->decoder, true);
    int width, height;
    if (masks > DEVICE_MASKS) masks = DEVICE_MASKS;
    samc__everyday_size(c, &width, &height);
    size_t bits = (size_t)masks * mask_bytes(width, height);
    return (samc__room){.bits = bits < DEVICE_BITS ? bits : DEVICE_BITS, .masks = masks, .runs = SAMC__DEVICE_RUNS};
}

static samc__room host_room(const samc_image *image) {
    size_t bytes = mask_bytes(image->width, image->height), masks = HOST_BITS / bytes;
    masks = masks < 1 ? 1 : masks > HOST_MASKS ? HOST_MASKS : masks;
    return (samc__room){.bits = masks * bytes, .masks = (int64_t)masks, .runs = SAMC__RUNS};
}

bool samc__finisher_allocate(const samc__exec *exec, samc__room room, samc__finisher *f) {
    f->room = room;
    f->bits = samc__tensor_allocate(exec, room.bits);
    f->counts = samc__tensor_allocate(exec, (size_t)(room.masks * room.runs) * sizeof *f->counts);
    f->lengths = samc__tensor_allocate(exec, (size_t)room.masks * sizeof *f->lengths);
    if (f->bits != NULL && f->counts != NULL && f->lengths != NULL) return true;
    samc__finisher_release(exec, f);
    return false;
}

void samc__finisher_release(const samc__exec *exec, samc__finisher *f) {
    samc__tensor_release(exec, f->lengths);
    samc__tensor_release(exec, f->counts);
    samc__tensor_release(exec, f->bits);
    *f = (samc__finisher){.room = f->room};
}

/* Where the parts of a head begin, behind the count. */
typedef struct head_parts {
    size_t iou, object, index, stats, end;
} head_parts;
static head_parts parts_of(size_t masks) {
    head_parts p = {.iou = HEAD_ALIGNMENT};
    p.object = p.iou + masks * sizeof(float);
    p.index = p.object + masks * sizeof(float);
    p.stats = (p.index + masks * sizeof(int32_t) + 7) / 8 * 8;
    p.end = p.stats + masks * sizeof(samc__mask_stats);
    return p;
}

void samc__round_at(const samc_model *model, int batch, void *logits, void *head, samc__round *r) {
    head_parts p = parts_of((size_t)batch * (size_t)samc__given_masks(&model->net.config.decoder, true));
    r->logits = logits;
    r->head = head;
    r->picked = head;
    r->iou = (float *)(void *)(r->head + p.iou);
    r->object = (float *)(void *)(r->head + p.object);
    r->index = (int32_t *)(void *)(r->head + p.index);
    r->stats = (samc__mask_stats *)(void *)(r->head + p.stats);
    r->head_bytes = p.end;
}

bool samc__round_allocate(const samc__exec *exec, const samc_model *model, int batch, samc__round *r) {
    size_t masks = (size_t)batch * (size_t)samc__given_masks(&model->net.config.decoder, true),
           low = samc__low_res(&model->net.config);
    void *logits = samc__tensor_allocate(exec, masks * low * low * sizeof *r->logits),
         *head = samc__tensor_allocate(exec, parts_of(masks).end);
    if (logits != NULL && head != NULL) {
        samc__round_at(model, batch, logits, head, r);
        return true;
    }
    samc__tensor_release(exec, head);
    samc__tensor_release(exec, logits);
    r->logits = NULL;
    r->head = NULL;
    return false;
}

void samc__round_release(const samc__exec *exec, samc__round *r) {
    samc__tensor_release(exec, r->head);
    samc__tensor_release(exec, r->logits);
    r->head = NULL;
    r->logits = NULL;
}

/* The host's side of a round. */
static bool allocate_points(const samc__auto_run *run, samc__round *r) {
    const samc__exec *exec = &run->s->exec;
    size_t batch = (size_t)run->batch, masks = (size_t)run->masks;
    size_t each = 2 * sizeof *r->xy + masks * sizeof *r->found + sizeof *r->prompts + sizeof *r->pointers +
                  2 * sizeof *r->points + masks * sizeof *r->own_index;
    r->xy = exec->allocate(exec->memory, batch * each);
    if (r->xy == NULL) return false;
    r->found = (samc__found *)(r->xy + 2 * batch);
    r->prompts = (samc_prompt *)(r->found + batch * masks);
    r->pointers = (const samc_prompt **)(r->prompts + batch);
    r->points = (float *)(r->pointers + batch);
    r->own_index = (int32_t *)(r->points + 2 * batch);
    return true;
}

static bool allocate_all(samc__auto_run *run, samc__room room) {
    samc_session *s = run->s;
    bool there = samc__finisher_allocate(&s->post, room, &run->finisher);
    for (int i = 0; i < 2 && there; i++) {
        run->rounds[i].box = i;
        there =
            (i > 0 && s->exec.place->host) || (samc__round_allocate(&s->exec, s->model, run->batch, &run->rounds[i]) &&
                                               allocate_points(run, &run->rounds[i]));
    }
    run->open = true;
    if (!there) samc__run_close(run);
    return there;
}

void samc__run_close(samc__auto_run *run) {
    samc_session *s = run->s;
    samc__exec exec = s->exec;
    if (!run->open) return;
    exec.error = NULL;                 /* a device that was lost has been told of */
    exec.place->wait(&exec, &s->post); /* which may still read the logits */
    for (int i = 0; i < 2; i++) {
        samc__round_release(&s->exec, &run->rounds[i]);
        s->exec.release(s->exec.memory, run->rounds[i].xy);
        run->rounds[i] = (samc__round){0};
    }
    samc__finisher_release(&s->post, &run->finisher);
    run->pending = NULL;
    run->open = false;
}

samc_status samc__run_open(samc__auto_run *run, const samc_image *image, int64_t *bits_masks) {
    samc_session *s = run->s;
    bool host = s->exec.place->host;
    size_t bytes = mask_bytes(image->width, image->height);
    if (run->open && run->finisher.room.bits < bytes) {
        SAMC__TRY(samc__rounds_finish(run));
        samc__run_close(run);
    }
    if (!run->open) {
        int most = host ? HOST_TOGETHER : s->decode_most;
        run->batch = run->o->points_per_batch > 0 && run->o->points_per_batch < most ? run->o->points_per_batch : most;
        samc__room room = host ? host_room(image) : samc__device_room(&s->model->net.config, run->batch);
        if (room.bits < bytes) room.bits = bytes;
        while (!allocate_all(run, room)) {
            bool fewer = room.bits > bytes; /* on a device, where others may hold the memory, less does too */
            if (fewer) room.bits = room.bits / 2 > bytes ? room.bits / 2 : bytes, room.masks = (room.masks + 1) / 2;
            if (samc__session_fewer_prompts(s, run->batch)) run->batch = s->decode_most;
            else if (!fewer)
                return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for %d points at a time on %d x %d pixels",
                                  run->batch, image->width, image->height);
        }
    }
    int64_t hold = (int64_t)(run->finisher.room.bits / bytes);
    *bits_masks = hold < run->finisher.room.masks ? hold : run->finisher.room.masks;
    return SAMC_OK;
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

/* Logits and predicted IoU of a round's points. */
static samc_status decode_points(samc__round *r) {
    static const int32_t foreground = 1;
    const samc__auto_run *run = r->g->run;
    samc_session *s = run->s;
    int64_t mask_floats = (int64_t)run->low * run->low;
    for (int i = 0; i < r->n; i++) {
        r->points[2 * i] = (float)r->xy[2 * i];
        r->points[2 * i + 1] = (float)r->xy[2 * i + 1];
        r->prompts[i] = (samc_prompt){.points = r->points + 2 * i, .labels = &foreground, .point_count = 1};
        r->pointers[i] = &r->prompts[i];
    }
    samc__image_cache cache;
    SAMC__TRY(samc__session_cache(s, r->image, 1, &cache));
    for (int i = 0, now; i < r->n; i += now) {
        now = r->n - i < s->decode_most ? r->n - i : s->decode_most;
        samc__prompt_batch args = {.prompts = r->pointers + i,
                                   .count = now,
                                   .images = 1,
                                   .tokens = 2,
                                   .frame = &r->frame,
                                   .features = samc__session_features(s, r->image, 1),
                                   .cache = cache,
                                   .key_pe = s->key_pe};
        const samc__decoded to = {r->logits + i * run->masks * mask_floats, r->iou + i * run->masks, r->object + i};
        samc_status status = samc__decode(&s->exec, &s->model->net, &args, run->o->multimask_output, &to);
        if (status == SAMC_OUT_OF_MEMORY && samc__session_fewer_prompts(s, now)) now = 0;
        else SAMC__TRY(status);
    }
    return SAMC_OK;
}

/* Decodes, and on a device measures what passes the predicted IoU and asks for the numbers. */
static samc_status start(samc__round *r) {
    samc__generator *g = r->g;
    samc_session *s = g->s;
    double began = samc__seconds();
    int64_t count = (int64_t)r->n * g->run->masks;
    if (atomic_exchange(&s->stop, false))
        return samc__fail(&s->error, SAMC_STOPPED, "automatic masks were stopped on request");
    SAMC__TRY(decode_points(r));
    if (g->o->use_m2m) SAMC__TRY(samc__ask_again(r));
    if (samc__fills(g)) SAMC__TRY(samc__fill_regions(r));
    SAMC__TRY(s->post.place->wait(&s->post, &s->exec));
    SAMC__TRY(samc__select_masks(&s->post, &(samc__select_masks_args){.iou = r->iou,
                                                                      .count = count,
                                                                      .threshold = (float)g->o->pred_iou_thresh,
                                                                      .all = !(g->o->pred_iou_thresh > 0.0),
                                                                      .index = r->index,
                                                                      .picked = r->picked}));
    if (!s->post.place->host) {
        SAMC__TRY(samc__round_statistics(r));
        SAMC__TRY(s->post.place->fetch(&s->post, r->box, r->head, r->head_bytes, r->head_bytes, 1));
    }
    began += samc__encode_ahead(g);
    g->total.decode_seconds += samc__seconds() - began;
    return SAMC_OK;
}

/* Makes masks of what was started, and ends the crop and the image where it was the last of them. */
static samc_status finish(samc__round *r) {
    samc__generator *g = r->g;
    const samc__auto_run *run = g->run;
    double began = samc__seconds();
    const void *contents = r->head;
    if (!g->s->post.place->host) SAMC__TRY(g->s->post.place->fetched(&g->s->post, r->box, &contents));
    samc__round head;
    samc__round_at(g->s->model, run->batch, NULL, (void *)contents, &head); /* only read */
    if (samc__numeric_spoilt(head.iou, (int64_t)r->n * run->masks))
        return samc__numeric_fail(g->s, r->image, "a predicted IoU");
    const bool scored = run->s->model->net.config.decoder.object_at >= 0;
    if (scored && samc__numeric_spoilt(head.object, g->o->use_m2m ? (int64_t)r->n * run->masks : r->n))
        return samc__numeric_fail(g->s, r->image, "an object score");
    double there = samc__seconds();
    int64_t kept = *head.picked;
    g->total.decode_seconds += there - began;
    g->total.prompts += r->n;
    g->total.masks += (int64_t)r->n * run->masks;
    g->total.after_iou += kept;
    for (int64_t i = 0; i < kept; i++) {
        const samc__crop *c = &r->crop;
        int32_t mask = head.index[i];
        const double *point = r->xy + 2 * (mask / run->masks);
        double own[2] = {point[0] + c->x0, point[1] + c->y0};
        if (run->s->model->net.config.decoder.box_points) /* which keeps them as floats, as the original does */
            for (int j = 0; j < 2; j++) own[j] = (double)((float)point[j] + (float)(j ? c->y0 : c->x0));
        r->found[i] = (samc__found){.iou = head.iou[mask],
                                    .object = !scored         ? 0.0f
                                              : g->o->use_m2m ? head.object[mask]
                                                              : head.object[mask / run->masks],
                                    .point = {own[0], own[1]},
                                    .crop = {c->x0, c->y0, c->x1, c->y1}};
        r->own_index[i] = mask;
    }
    SAMC__TRY(samc__auto_masks(r, kept, head.stats));
    g->total.post_seconds += samc__seconds() - there;
    if (r->ends_crop) SAMC__TRY(samc__crop_end(g));
    if (g->o->progress != NULL) {
        samc_status status = g->o->progress(g->o->progress_context, g->index, g->total.prompts, g->points);
        if (status != SAMC_OK)
            return samc__fail(&g->s->error, status, "the callback stopped automatic masks at image %d", g->index);
    }
    return r->ends_image ? samc__image_end(g) : SAMC_OK;
}

samc__round *samc__round_next(samc__auto_run *run) { return &run->rounds[run->next]; }

samc_status samc__rounds_finish(samc__auto_run *run) {
    samc__round *r = run->pending;
    run->pending = NULL;
    return r == NULL ? SAMC_OK : finish(r);
}

samc_status samc__round_push(samc__round *r) {
    samc__auto_run *run = r->g->run;
    SAMC__TRY(start(r));
    if (run->s->exec.place->host) return finish(r);
    SAMC__TRY(samc__rounds_finish(run));
    run->pending = r;
    run->next = 1 - run->next;
    return SAMC_OK;
}

samc_status samc__rounds_end_image(samc__generator *g) {
    samc__round *last = g->run->pending;
    if (last == NULL || last->g != g) return samc__image_end(g);
    last->ends_image = true;
    return SAMC_OK;
}
