/* The outlines of masks of reduced levels at finer ones. */
#include <math.h>
#include <stdlib.h>

#include "host/io/samc_io.h"
#include "host/io/scene_engine.h"
#include "host/io/scene_marks.h"
#include "runtime/base/status.h"

enum { TOGETHER = 64 /* prompts in a call */ };

/* ---- Where -------------------------------------------------------------------------------------- */

/* A record to refine, with the finest level that has a window for it. */
typedef struct target {
    const samc__scene_record *record;
    int level;
    int64_t x0, y0, x1, y1; /* its box with a border, in pixels of that level and inside it */
} target;

static target target_at(const samc__scene_plan *plan, const samc__scene_record *r, int level) {
    const struct samc__scene_level *l = &plan->level[level];
    const int64_t border = plan->tiling.halo / 2 > 24 ? plan->tiling.halo / 2 : 24; /* more than masks are dropped in */
    target t = {.record = r, .level = level};
    t.x0 = (r->x >> level) - border, t.x1 = samc__scene_side(r->x + r->width, level) + border;
    t.y0 = (r->y >> level) - border, t.y1 = samc__scene_side(r->y + r->height, level) + border;
    if (t.x0 < 0) t.x0 = 0;
    if (t.y0 < 0) t.y0 = 0;
    if (t.x1 > l->width) t.x1 = l->width;
    if (t.y1 > l->height) t.y1 = l->height;
    return t;
}

static bool find_target(const samc__scene_plan *plan, const samc__scene_record *r, target *t) {
    const int64_t window = plan->tiling.tile + 2 * (int64_t)plan->tiling.halo;
    for (int level = 0; level < r->level; level++) {
        *t = target_at(plan, r, level);
        if (t->x1 - t->x0 <= window && t->y1 - t->y0 <= window) return true;
    }
    return false;
}

static int by_place(const void *a, const void *b) {
    const target *x = a, *y = b;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    if (x->y0 != y->y0) return x->y0 < y->y0 ? -1 : 1;
    if (x->x0 != y->x0) return x->x0 < y->x0 ? -1 : 1;
    return samc__scene_before(x->record, y->record) ? -1 : 1;
}

/* One side of a window around [from, to). */
static int64_t centre(int64_t from, int64_t to, int64_t window, int64_t side) {
    int64_t at = (from + to - window) / 2;
    if (at > side - window) at = side - window;
    return at > 0 ? at : 0;
}

static samc__scene_refining window_for(const samc__scene_plan *plan, const target *t) {
    const struct samc__scene_level *l = &plan->level[t->level];
    const int64_t most = plan->tiling.tile + 2 * (int64_t)plan->tiling.halo;
    samc__scene_window w = {.level = t->level};
    w.width = (int)(most < l->width ? most : l->width), w.height = (int)(most < l->height ? most : l->height);
    w.x = centre(t->x0, t->x1, w.width, l->width), w.y = centre(t->y0, t->y1, w.height, l->height);
    return (samc__scene_refining){.window = w, .cut = samc__scene_cut(l->width, l->height, &w)};
}

static bool holds(const samc__scene_refining *item, const target *t) {
    const samc__scene_window *w = &item->window;
    return w->level == t->level && t->x0 >= w->x && t->x1 <= w->x + w->width && t->y0 >= w->y &&
           t->y1 <= w->y + w->height;
}

/* Windows for targets [count] in their order: one that there is already, or one around it. `of` [count] gets each
 * target's. */
static void share(samc__scene_refine_plan *plan, const samc__scene_plan *scene, const target *targets, int64_t count,
                  int64_t *of) {
    int64_t first = 0; /* windows before it end above every target to come */
    for (int64_t i = 0; i < count; i++) {
        const target *t = &targets[i];
        while (first < plan->count && (plan->items[first].window.level < t->level ||
                                       plan->items[first].window.y + plan->items[first].window.height <= t->y0))
            first++;
        int64_t item = first;
        while (item < plan->count && !holds(&plan->items[item], t)) item++;
        if (item == plan->count) plan->items[plan->count++] = window_for(scene, t);
        of[i] = item;
        plan->items[item].count++;
    }
}

static int by_window(const void *a, const void *b) {
    const samc__scene_window *x = &((const samc__scene_refining *)a)->window,
                             *y = &((const samc__scene_refining *)b)->window;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    if (x->y != y->y) return x->y < y->y ? -1 : 1;
    return (x->x > y->x) - (x->x < y->x);
}

samc_status samc__scene_refine_plan_make(samc__scene_refine_plan *refine, const samc__scene_plan *plan,
                                         const samc__scene_record *records, int64_t count, const uint8_t *keep,
                                         samc_error *error) {
    const size_t room = (size_t)count + 1;
    target *targets = malloc(room * sizeof *targets);
    int64_t *of = malloc(room * sizeof *of), n = 0;
    *refine = (samc__scene_refine_plan){.items = malloc(room * sizeof *refine->items),
                                        .order = malloc(room * sizeof *refine->order)};
    const bool memory = targets != NULL && of != NULL && refine->items != NULL && refine->order != NULL;
    for (int64_t i = 0; i < count && memory; i++)
        if ((keep == NULL || keep[i]) && records[i].level > 0 && find_target(plan, &records[i], &targets[n])) n++;
    if (memory) {
        qsort(targets, (size_t)n, sizeof *targets, by_place);
        share(refine, plan, targets, n, of);
        for (int64_t i = 0, at = 0; i < refine->count; i++) {
            refine->items[i].order = refine->order + at;
            at += refine->items[i].count;
            refine->items[i].count = 0;
        }
        for (int64_t i = 0; i < n; i++) {
            samc__scene_refining *item = &refine->items[of[i]];
            refine->order[item->order - refine->order + item->count++] = targets[i].record - records;
        }
        qsort(refine->items, (size_t)refine->count, sizeof *refine->items, by_window);
    }
    free(targets);
    free(of);
    if (memory) return SAMC_OK;
    samc__scene_refine_plan_free(refine);
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to refine %lld masks", (long long)count);
}

void samc__scene_refine_plan_free(samc__scene_refine_plan *refine) {
    free(refine->items);
    free(refine->order);
    *refine = (samc__scene_refine_plan){0};
}

/* ---- How ---------------------------------------------------------------------------------------- */

/* One record in the window. */
typedef struct asked {
    samc__scene_record record;
    uint32_t *counts; /* its own, owned */
    samc__spans spans;
    float box[4];
    float *logits; /* [low, low], owned */
} asked;

typedef struct refining {
    const samc__scene_engine *engine;
    const samc__scene_refining *item;
    const samc__scene_masks *masks;
    const uint8_t *valid;
    samc_model_info info;
    samc__marks marks;
    samc__scene_emit emit;
    void *context;
    samc_error *error;
} refining;

static void asked_free(asked *a) {
    free(a->counts);
    free(a->logits);
    samc__spans_free(&a->spans);
}

/* The first of the spans from `at` on whose column is at least x. */
static int64_t column_at(const samc__spans *s, int64_t at, int64_t x) {
    int64_t end = s->count;
    while (at < end) {
        const int64_t middle = at + (end - at) / 2;
        if (s->at[middle].x < x) at = middle + 1;
        else end = middle;
    }
    return at;
}

/* The mask as the logits that a prompt begins with: of a pixel in it 6.9, else -6.9, the logarithms of odds of 1000 to
 * one; of what the model sees, the window padded or stretched to its square. */
static void fill_logits(const refining *r, const samc__spans *spans, float *logits) {
    const samc__scene_window *w = &r->item->window;
    const int low = r->info.low_res, longest = w->width > w->height ? w->width : w->height;
    const double x_step = (double)(r->info.squash ? w->width : longest) / low,
                 y_step = (double)(r->info.squash ? w->height : longest) / low;
    for (int i = 0; i < low * low; i++) logits[i] = -6.9f;
    for (int j = 0; j < low; j++) {
        const double x = (j + 0.5) * x_step; /* the cell's centre, from the window's corner */
        if (x >= w->width) break;
        const int64_t column = (int64_t)((double)((int64_t)1 << w->level) * ((double)w->x + x));
        int64_t at = column_at(spans, 0, column);
        for (int i = 0; i < low && at < spans->count && spans->at[at].x == column; i++) {
            const double y = (i + 0.5) * y_step;
            if (y >= w->height) break;
            const int64_t row = (int64_t)((double)((int64_t)1 << w->level) * ((double)w->y + y));
            while (at < spans->count && spans->at[at].x == column && spans->at[at].y1 <= row) at++;
            if (at < spans->count && spans->at[at].x == column && spans->at[at].y0 <= row) logits[i * low + j] = 6.9f;
        }
    }
}

static samc_status ask(const refining *r, int64_t index, asked *a) {
    const samc__scene_window *w = &r->item->window;
    const double factor = (double)((int64_t)1 << w->level);
    const samc__scene_record *record = &r->masks->records[index];
    const size_t low = (size_t)r->info.low_res;
    a->record = *record;
    a->counts = malloc((size_t)record->count * sizeof *a->counts);
    a->logits = malloc(low * low * sizeof *a->logits);
    if (a->counts == NULL || a->logits == NULL)
        return samc__fail(r->error, SAMC_OUT_OF_MEMORY, "no memory to refine a mask");
    SAMC__TRY(r->masks->read(r->masks->context, index, a->counts, r->error));
    SAMC__TRY(samc__spans_of_record(&a->spans, record, a->counts, r->error));
    a->box[0] = (float)((double)record->x / factor - (double)w->x);
    a->box[1] = (float)((double)record->y / factor - (double)w->y);
    a->box[2] = (float)((double)(record->x + record->width) / factor - (double)w->x - 1.0);
    a->box[3] = (float)((double)(record->y + record->height) / factor - (double)w->y - 1.0);
    fill_logits(r, &a->spans, a->logits);
    return SAMC_OK;
}

/* Whether a mask of the window comes near a side that is cut. */
static bool is_cut(const samc__scene_refining *item, const samc_mask *m) {
    enum { NEAR = 20 };
    const int x1 = m->bbox[0] + m->bbox[2], y1 = m->bbox[1] + m->bbox[3];
    return (item->cut & SAMC_SIDE_LEFT && m->bbox[0] <= NEAR) || (item->cut & SAMC_SIDE_TOP && m->bbox[1] <= NEAR) ||
           (item->cut & SAMC_SIDE_RIGHT && x1 >= item->window.width - NEAR) ||
           (item->cut & SAMC_SIDE_BOTTOM && y1 >= item->window.height - NEAR);
}

/* The better outline, or what there was. Of two outlines of one thing that at the larger scale is the steadier one: its
 * doubt is one of the model's pixels, which are smaller there. One that is less so has left the thing. */
static samc_status answer(refining *r, const asked *a, const samc_mask *mask) {
    samc__scene_record record = a->record;
    bool any = false;
    if (mask->area > 0 && !is_cut(r->item, mask) && mask->stability_score >= a->record.stability)
        SAMC__TRY(samc__marks_set(&r->marks, mask, &r->item->window, r->valid, &any, r->error));
    if (any) {
        const samc__span_overlap o =
            samc__spans_compare(&a->spans, &r->marks.scene, (samc__span_box){0, 0, INT64_MAX, INT64_MAX});
        any = (double)o.both > SAMC__SCENE_SAME_IOU * (double)(o.both + o.a + o.b);
    }
    if (!any) return r->emit(r->context, &record, a->counts, r->error);
    record.refined = r->item->window.level;
    record.iou = mask->predicted_iou;
    record.stability = mask->stability_score;
    record.object = mask->object_score;
    return samc__marks_emit(&r->marks, &record, r->emit, r->context, r->error);
}

/* `count` records of the item from its number `first` on. */
static samc_status refine_some(refining *r, const int64_t *order, int count, asked *some) {
    samc_session *session = r->engine->session;
    samc_prompt prompts[TOGETHER];
    samc_result *result = NULL;
    for (int i = 0; i < count; i++) {
        SAMC__TRY(ask(r, order[i], &some[i]));
        prompts[i] = (samc_prompt){.size = sizeof *prompts, .box = some[i].box, .mask_input = some[i].logits};
    }
    samc_status status =
        samc_session_check(session, samc_predict(session, prompts, count, false, &result), "a window", r->error);
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        samc_mask mask = SAMC_INIT(samc_mask);
        status = samc_session_check(session, samc_result_mask(session, result, i, samc_result_best(result, i), &mask),
                                    "a window", r->error);
        if (status == SAMC_OK) status = answer(r, &some[i], &mask);
    }
    samc_result_free(result);
    return status;
}

samc_status samc__scene_refine(const samc__scene_engine *engine, const samc__scene_refining *item, const uint8_t *rgb,
                               const uint8_t *valid, const samc__scene_masks *masks, samc__scene_emit emit,
                               void *context, samc_error *error) {
    const samc__scene_window *w = &item->window;
    refining r = {.engine = engine,
                  .item = item,
                  .masks = masks,
                  .valid = valid,
                  .info = SAMC_INIT(samc_model_info),
                  .emit = emit,
                  .context = context,
                  .error = error};
    const samc_image image = {.size = sizeof image,
                              .pixels = rgb,
                              .width = w->width,
                              .height = w->height,
                              .row_bytes = 3 * (ptrdiff_t)w->width};
    samc_model_get_info(engine->model, &r.info);
    samc__marks_begin(&r.marks, engine->plan);
    samc_status status =
        samc_session_check(engine->session, samc_set_image(engine->session, &image), "a window", error);
    for (int64_t i = 0; i < item->count && status == SAMC_OK; i += TOGETHER) {
        asked some[TOGETHER] = {0};
        const int now = (int)(item->count - i < TOGETHER ? item->count - i : TOGETHER);
        status = refine_some(&r, item->order + i, now, some);
        for (int j = 0; j < now; j++) asked_free(&some[j]);
    }
    samc__marks_end(&r.marks);
    return status;
}
