/* What SAM 2's automatic masks do between decoding and filtering: each mask is asked for once more (refine_with_m2m of
 * SAM2AutomaticMaskGenerator), and small regions are filled in the logits (SAM2Transforms.postprocess_masks). */
#include "runtime/auto_masks.h"
#include "runtime/model/decoder.h"
#include "kernels/place.h"

#include <string.h>

/* ---- Once more ------------------------------------------------------------------------------- */

/* Masks that are asked for together. */
typedef struct again {
    samc_prompt *prompts;         /* [room] */
    const samc_prompt **pointers; /* [room] */
    float *inputs;                /* [room, low, low] on the host */
    float *logits, *iou, *object; /* tensors: [room, low, low], [room], [room] */
    int room;
} again;

static void free_room(samc_session *s, again *a) {
    s->exec.release(s->exec.memory, a->prompts);
    s->exec.release(s->exec.memory, a->inputs);
    samc__tensor_release(&s->exec, a->logits);
}

static bool make_room(samc_session *s, int64_t low2, int room, again *a) {
    const size_t n = (size_t)room;
    *a = (again){.room = room};
    a->prompts = s->exec.allocate(s->exec.memory, n * (sizeof *a->prompts + sizeof *a->pointers));
    a->inputs = s->exec.allocate(s->exec.memory, n * (size_t)low2 * sizeof(float));
    a->logits = samc__tensor_allocate(&s->exec, n * ((size_t)low2 + 2) * sizeof(float));
    if (a->prompts == NULL || a->inputs == NULL || a->logits == NULL) {
        free_room(s, a);
        return false;
    }
    a->pointers = (const samc_prompt **)(a->prompts + n);
    a->iou = a->logits + n * (size_t)low2;
    a->object = a->iou + n;
    return true;
}

/* Masks [first, first + n) of a round, whose logits and numbers are replaced. */
static samc_status ask(samc__round *r, again *a, int64_t first, int n) {
    static const int32_t foreground = 1;
    const samc__auto_run *run = r->g->run;
    samc_session *s = run->s;
    const int64_t low2 = (int64_t)run->low * run->low;
    const float most = s->model->net.config.recipe.clamp;
    float *logits = r->logits + first * low2;
    const size_t bytes = (size_t)(n * low2) * sizeof *logits, row = (size_t)n * sizeof *logits;
    const float *own = samc__read(&s->exec, logits, bytes);
    if (own == NULL) return s->error.status;
    for (int64_t i = 0; i < n * low2; i++)
        a->inputs[i] = most > 0 && own[i] > most ? most : most > 0 && own[i] < -most ? -most : own[i];
    samc__read_end(&s->exec, logits, own);
    for (int i = 0; i < n; i++) {
        const int64_t point = (first + i) / run->masks;
        a->prompts[i] = (samc_prompt){.points = r->points + 2 * point,
                                      .labels = &foreground,
                                      .point_count = 1,
                                      .mask_input = a->inputs + i * low2};
        a->pointers[i] = &a->prompts[i];
    }
    const samc__prompt_batch batch = {.prompts = a->pointers,
                                      .count = n,
                                      .images = 1,
                                      .tokens = samc__prompt_tokens(&s->model->net.config.decoder, a->prompts),
                                      .masked = true,
                                      .frame = &r->frame,
                                      .features = samc__session_features(s, r->image, 1),
                                      .key_pe = s->key_pe};
    SAMC__TRY(samc__decode(&s->exec, &s->model->net, &batch, false, &(samc__decoded){a->logits, a->iou, a->object}));
    SAMC__TRY(samc__copy_rows(&s->exec, logits, bytes, a->logits, bytes, bytes, 1));
    SAMC__TRY(samc__copy_rows(&s->exec, r->iou + first, row, a->iou, row, row, 1));
    return samc__copy_rows(&s->exec, r->object + first, row, a->object, row, row, 1);
}

samc_status samc__ask_again(samc__round *r) {
    const samc__auto_run *run = r->g->run;
    samc_session *s = run->s;
    const int64_t masks = (int64_t)r->n * run->masks;
    again a;
    int room = masks < s->decode_most ? (int)masks : s->decode_most;
    for (int64_t i = 0, now; i < masks; i += now) {
        now = masks - i < room ? masks - i : room;
        samc_status status = SAMC_OK;
        if (make_room(s, (int64_t)run->low * run->low, (int)now, &a)) {
            status = ask(r, &a, i, (int)now);
            free_room(s, &a);
        } else {
            status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory to ask for %d mask(s) again", (int)now);
        }
        if (status == SAMC_OUT_OF_MEMORY && samc__session_fewer_prompts(s, (int)now)) {
            room = s->decode_most < room ? s->decode_most : room;
            now = 0;
        } else {
            SAMC__TRY(status);
        }
    }
    return SAMC_OK;
}

/* ---- Small regions --------------------------------------------------------------------------- */

/* One mask's logits [side, side], and what looking for components takes: which pixels were met, and those to look at.
 */
typedef struct regions {
    float *logits;
    uint8_t *inside; /* [side * side] of the mask before anything was filled */
    int32_t *next;   /* [side * side] */
    int side, most;  /* pixels of a component that goes */
    float threshold;
} regions;

enum { OUTSIDE, INSIDE, NEITHER, MET };

/* The component of a pixel, 8-connected, into next[0 ..]; returns its pixels. */
static int64_t gather(regions *r, int32_t start, uint8_t kind) {
    int64_t count = 1;
    r->next[0] = start;
    r->inside[start] = MET;
    for (int64_t at = 0; at < count; at++) {
        const int y = r->next[at] / r->side, x = r->next[at] % r->side;
        for (int dy = -1; dy <= 1; dy++)
            for (int dx = -1; dx <= 1; dx++) {
                const int32_t other = r->next[at] + dy * r->side + dx;
                if (y + dy < 0 || y + dy >= r->side || x + dx < 0 || x + dx >= r->side || r->inside[other] != kind)
                    continue;
                r->inside[other] = MET;
                r->next[count++] = other;
            }
    }
    return count;
}

/* Holes become a little above the threshold, islands a little below, both as they were before either was. A logit that
 * is no number is in neither. */
static void fill(regions *r) {
    enum { LITTLE = 10 };
    const int32_t n = r->side * r->side;
    for (int32_t i = 0; i < n; i++)
        r->inside[i] = r->logits[i] > r->threshold ? INSIDE : r->logits[i] <= r->threshold ? OUTSIDE : NEITHER;
    for (int32_t i = 0; i < n; i++) {
        const uint8_t kind = r->inside[i];
        if (kind != OUTSIDE && kind != INSIDE) continue;
        const int64_t count = gather(r, i, kind);
        for (int64_t j = 0; j < count && count <= r->most; j++)
            r->logits[r->next[j]] = r->threshold + (kind == OUTSIDE ? LITTLE : -LITTLE);
    }
}

/* Each thread has its own share of what a component takes. */
typedef struct fill_task {
    regions like;
    const float *iou;
    float least;
    bool all;
} fill_task;

static void fill_masks(void *context, int64_t begin, int64_t end, int worker) {
    const fill_task *t = context;
    const int64_t size = (int64_t)t->like.side * t->like.side;
    regions own = t->like;
    own.inside += worker * size;
    own.next += worker * size;
    for (int64_t i = begin; i < end; i++) {
        if (!t->all && !(t->iou[i] > t->least)) continue; /* which is left out afterwards */
        own.logits = t->like.logits + i * size;
        fill(&own);
    }
}

samc_status samc__fill_regions(samc__round *r) {
    const samc__auto_run *run = r->g->run;
    samc_session *s = run->s;
    const samc__exec *exec = &s->exec;
    const bool host = exec->place->host;
    const int64_t masks = (int64_t)r->n * run->masks, size = (int64_t)run->low * run->low;
    const size_t bytes = (size_t)(masks * size) * sizeof(float), scratch = (size_t)(exec->workers * size);
    int32_t *room = exec->allocate(exec->memory, scratch * (sizeof(int32_t) + 1));
    float *logits = host ? r->logits : exec->allocate(exec->memory, bytes);
    samc_status status = SAMC_OK;
    if (room == NULL || logits == NULL) status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory to fill regions");
    if (status == SAMC_OK && !host) {
        const float *there = samc__read(exec, r->logits, bytes);
        if (there != NULL) memcpy(logits, there, bytes);
        else status = s->error.status;
        samc__read_end(exec, r->logits, there);
    }
    fill_task task = {.like = {.logits = logits,
                               .inside = (uint8_t *)(room + scratch),
                               .next = room,
                               .side = run->low,
                               .most = run->o->min_mask_region_area,
                               .threshold = s->model->net.config.recipe.threshold},
                      .iou = r->iou,
                      .least = (float)run->o->pred_iou_thresh,
                      .all = !host || !(run->o->pred_iou_thresh > 0.0)};
    if (status == SAMC_OK) exec->parallel(exec->pool, masks, 1, fill_masks, &task);
    if (status == SAMC_OK && !host) status = samc__upload(exec, r->logits, logits, bytes);
    if (!host) exec->release(exec->memory, logits);
    exec->release(exec->memory, room);
    return status;
}
