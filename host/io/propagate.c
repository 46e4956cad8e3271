/* Two sweeps over the slices, forward and then back, and on each slice all objects together: of a slice that both need,
 * the embedding is kept. The order and the rules for annotated slices are micro-sam's, the code is not. */
#include "host/io/propagate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/crc.h"
#include "host/io/encodings.h"
#include "host/io/visits.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

/* ---- Rules ----------------------------------------------------------------------------------- */

samc__step samc__step_of(const samc_annotations *a, int object, int slice) {
    int before = samc__annotations_before(a, object, slice), behind = samc__annotations_after(a, object, slice);
    if (before == slice) return (samc__step){SAMC__STEP_GIVEN, slice, false};
    if (before < 0 && behind < 0) return (samc__step){SAMC__STEP_NONE, -1, false};
    if (behind < 0) return (samc__step){SAMC__STEP_FORWARD, before, false};
    if (before < 0) return (samc__step){SAMC__STEP_BACKWARD, behind, false};
    int half = (behind - before - 1) / 2;
    if (slice - before <= half) return (samc__step){SAMC__STEP_FORWARD, before, true};
    if (behind - slice <= half) return (samc__step){SAMC__STEP_BACKWARD, behind, true};
    return (samc__step){SAMC__STEP_MIDDLE, before, true};
}

bool samc__goes_on(const samc__ending *e, const samc_rle *before, const samc_rle *now, const samc__match *match,
                   double own) {
    int64_t area = samc__mask_area(now);
    if (area == 0) return false;
    if (samc__mask_iou(before, now) < e->least_iou) return false;
    if (e->least_likeness > 0.0 && (match->evidence <= 0.0 || match->iou < e->least_likeness * own)) return false;
    if (e->most_growth <= 0.0 || e->most_area == 0) return true;
    return (double)area <= e->most_growth * (double)e->most_area;
}

/* ---- The run --------------------------------------------------------------------------------- */

/* What is asked on one slice. */
typedef struct task {
    samc__step step;
    samc_rle both; /* owned: `before` of a middle */
} task;

typedef struct run {
    samc__asker asker;
    const samc_annotations *annotations;
    samc_propagate_options options;
    struct model {
        int origin; /* the annotated slice that it was learned from; -1: none */
        samc__likeness likeness;
    } * models;            /* [objects]; owned */
    samc__ending *endings; /* [objects]; owned */
    samc_segmentation *result;
    samc__encodings encodings;
    samc__visits visits;
    task *tasks;               /* [objects]; owned */
    samc__question *questions; /* [objects], of the same; owned */
    int count;                 /* of tasks and questions */
    samc_error *error;
} run;

/* Whether a sweep has to do with a role. What is given, and what comes from it going up, is of the first. */
static bool is_of(samc__step_role role, bool back) {
    if (role == SAMC__STEP_NONE) return false;
    return back == (role == SAMC__STEP_BACKWARD || role == SAMC__STEP_MIDDLE);
}

static bool is_asked(const run *r, int slice, bool back) {
    for (int o = 0; o < r->annotations->objects; o++)
        if (is_of(samc__step_of(r->annotations, o, slice).role, back)) return true;
    return false;
}

/* The mask of an object on a slice, or NULL. */
static const samc_rle *mask_at(const run *r, int object, int slice) {
    if (slice < 0 || slice >= r->annotations->space.slices) return NULL;
    const samc_rle *mask = samc__segmentation_at(r->result, object, slice);
    return mask->counts != NULL ? mask : NULL;
}

/* What a step goes on from; q->before NULL: nothing is there any more. */
static samc_status find_before(run *r, int slice, task *t, samc__question *q) {
    const samc_rle *low = mask_at(r, q->object, slice - 1), *high = mask_at(r, q->object, slice + 1);
    bool from_high = t->step.role == SAMC__STEP_BACKWARD || (t->step.role == SAMC__STEP_MIDDLE && low == NULL);
    q->before = from_high ? high : low;
    if (t->step.role != SAMC__STEP_MIDDLE || low == NULL || high == NULL) return SAMC_OK;
    SAMC__TRY(samc__mask_both(low, high, true, &t->both, r->error));
    q->before = &t->both;
    return SAMC_OK;
}

/* What the object looks like on the annotated slice that a step comes from. Not on the slice before: an error there
 * would be what the next mask should look like, and grow from slice to slice. */
static samc_status find_model(run *r, int slice, const samc__step *step, samc__question *q) {
    struct model *m = r->models + q->object;
    int origin = step->origin;
    const uint8_t *grey;
    if (mask_at(r, q->object, origin) == NULL) /* a middle whose lower one came to nothing */
        origin = samc__annotations_after(r->annotations, q->object, slice);
    q->model = &m->likeness;
    if (m->origin == origin) return SAMC_OK;
    SAMC__TRY(samc__ask_grey(&r->asker, origin, &grey, r->error));
    SAMC__TRY(samc__likeness_learn(&m->likeness, mask_at(r, q->object, origin), grey, r->error));
    m->origin = origin;
    return SAMC_OK;
}

static samc_status copy_mask(const samc_rle *from, samc_rle *to, samc_error *error) {
    *to = *from;
    to->counts = malloc(from->count * sizeof *to->counts);
    if (to->counts == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a mask");
    memcpy(to->counts, from->counts, from->count * sizeof *to->counts);
    return SAMC_OK;
}

/* The questions of a slice in a sweep; masks that were given are answers. */
static samc_status collect(run *r, int slice, bool back) {
    for (int o = 0; o < r->annotations->objects; o++) {
        task *t = r->tasks + r->count;
        samc__question *q = r->questions + r->count;
        *t = (task){.step = samc__step_of(r->annotations, o, slice)};
        *q = (samc__question){.object = o};
        if (!is_of(t->step.role, back)) continue;
        if (t->step.role == SAMC__STEP_GIVEN) {
            q->given = samc__annotations_find(r->annotations, o, slice);
            r->count++;
            if (q->given->mask.counts != NULL) SAMC__TRY(copy_mask(&q->given->mask, &q->answer, r->error));
        } else {
            SAMC__TRY(find_before(r, slice, t, q));
            if (q->before == NULL) continue;
            r->count++;
            SAMC__TRY(find_model(r, slice, &t->step, q));
        }
    }
    return SAMC_OK;
}

static void clear(run *r) {
    for (int i = 0; i < r->count; i++) {
        free(r->tasks[i].both.counts);
        free(r->questions[i].answer.counts);
    }
    r->count = 0;
}

static samc_status encode(run *r, int slice, bool back) {
    bool there;
    samc_session *session = r->asker.session;
    samc_image image = SAMC_INIT(samc_image);
    SAMC__TRY(samc__encodings_set(&r->encodings, session, slice, &there, r->error));
    if (there) return SAMC_OK;
    SAMC__TRY(r->asker.slices->read(r->asker.slices->context, slice, &image, r->error));
    samc_status status = samc__ask_keep_grey(&r->asker, slice, &image, r->error);
    if (status == SAMC_OK)
        status = samc_session_check(session, samc_set_image(session, &image), r->asker.slices->name, r->error);
    samc_image_free(&image);
    if (status == SAMC_OK && !back && is_asked(r, slice, true)) samc__encodings_keep(&r->encodings, session, slice);
    return status;
}

/* Keeps an answer, by which the areas of annotated slices are known too. */
static void put(run *r, int slice, int object, bool given, samc_rle *mask, float iou) {
    samc__ending *e = r->endings + object;
    int64_t area = samc__mask_area(mask);
    if (given && area > e->most_area) e->most_area = area;
    samc__segmentation_put(r->result, object, slice, mask, iou);
}

static samc_status replay(run *r, int slice, bool back) {
    for (;;) {
        samc__visited at;
        bool there;
        SAMC__TRY(samc__visits_mask(&r->visits, r->annotations->space.width, r->annotations->space.height, &at, &there,
                                    r->error));
        if (!there) return SAMC_OK;
        samc__step step = {0};
        bool fits = at.object >= 0 && at.object < r->annotations->objects && at.slice == slice;
        if (fits) step = samc__step_of(r->annotations, at.object, slice);
        if (!fits || !is_of(step.role, back)) {
            samc_rle_free(&at.mask);
            return samc__fail(r->error, SAMC_FORMAT, "%s: slice %d is another run's; remove it to begin anew",
                              r->visits.path, slice);
        }
        put(r, slice, at.object, step.role == SAMC__STEP_GIVEN, &at.mask, at.iou);
    }
}

/* Whether an answer counts: outwards by the rules, between two annotated slices wherever there is one. */
static bool goes_on(const run *r, const samc__step *step, const samc__question *q) {
    if (q->given != NULL || step->between) return samc__mask_area(&q->answer) > 0;
    return samc__goes_on(r->endings + q->object, q->before, &q->answer, &q->match, q->model->own);
}

static samc_status visit(run *r, int slice, bool back) {
    if (samc__visits_replay(&r->visits)) return replay(r, slice, back);
    samc_status status = collect(r, slice, back);
    bool asks = false;
    for (int i = 0; i < r->count; i++) asks = asks || r->questions[i].answer.counts == NULL;
    if (status == SAMC_OK && asks) status = encode(r, slice, back);
    if (status == SAMC_OK && asks) status = samc__ask(&r->asker, slice, r->questions, r->count, r->error);
    for (int i = 0; status == SAMC_OK && i < r->count; i++) {
        samc__question *q = r->questions + i;
        if (!goes_on(r, &r->tasks[i].step, q)) continue;
        status = samc__visits_add(&r->visits, q->object, slice, &q->answer, q->iou, r->error);
        if (status == SAMC_OK) put(r, slice, q->object, q->given != NULL, &q->answer, q->iou);
    }
    clear(r);
    return status == SAMC_OK ? samc__visits_end(&r->visits, r->error) : status;
}

static samc_status sweep(run *r) {
    const int slices = r->annotations->space.slices;
    int64_t done = 0, total = 0;
    for (int i = 0; i < 2 * slices; i++) total += is_asked(r, i % slices, i >= slices);
    for (int i = 0; i < 2 * slices; i++) {
        bool back = i >= slices;
        int slice = back ? 2 * slices - 1 - i : i;
        if (!is_asked(r, slice, back)) continue;
        SAMC__TRY(visit(r, slice, back));
        done++;
        if (r->options.progress == NULL) continue;
        samc_status status = r->options.progress(r->options.progress_context, done, total);
        if (status != SAMC_OK)
            return samc__fail(r->error, status, "%s: stopped after %lld of %lld slices", r->asker.slices->name,
                              (long long)done, (long long)total);
    }
    return SAMC_OK;
}

/* ---- Options --------------------------------------------------------------------------------- */

static samc_status check_annotations(const run *r) {
    const samc_annotations *a = r->annotations;
    const char *name = r->asker.slices->name;
    if (a->objects == 0) return samc__fail(r->error, SAMC_INVALID_ARGUMENT, "%s: no object is annotated", name);
    for (int i = 0; i < a->objects; i++)
        if (samc__annotations_after(a, i, 0) < 0)
            return samc__fail(r->error, SAMC_INVALID_ARGUMENT, "%s: object '%s' has no prompt on any slice", name,
                              a->names[i]);
    for (int i = 0; r->asker.single && i < a->count; i++)
        if (a->items[i].point_count > 0)
            return samc__fail(r->error, SAMC_UNSUPPORTED, "%s: the model takes boxes alone, and no points", name);
    return SAMC_OK;
}

/* NaN is within no bounds. */
static samc_status check_number(const char *name, double value, double least, double most, samc_error *error) {
    if (value >= least && value <= most) return SAMC_OK;
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_propagate_options.%s is %g, not from %g to %g", name, value,
                      least, most);
}

static samc_status check_options(const run *r) {
    const samc_propagate_options *o = &r->options;
    const char *name = r->asker.slices->name;
    if (o->carry & ~(unsigned)(SAMC_CARRY_BOX | SAMC_CARRY_MASK | SAMC_CARRY_POINTS))
        return samc__fail(r->error, SAMC_INVALID_ARGUMENT, "samc_propagate_options.carry: unknown bits in %u",
                          o->carry);
    if (r->asker.single && r->asker.carry[0] != SAMC_CARRY_BOX)
        return samc__fail(r->error, SAMC_UNSUPPORTED, "%s: the model takes boxes alone, and no %s", name,
                          o->carry & SAMC_CARRY_MASK ? "masks" : "points");
    SAMC__TRY(check_number("box_extension", o->box_extension, 0.0, 1.0, r->error));
    SAMC__TRY(check_number("least_iou", o->least_iou, 0.0, 1.0, r->error));
    SAMC__TRY(check_number("least_likeness", o->least_likeness, 0.0, 1.0, r->error));
    return o->most_growth == 0.0 ? SAMC_OK : check_number("most_growth", o->most_growth, 1.0, 1e6, r->error);
}

static const samc_propagate_options defaults = {
    .size = sizeof defaults, .box_extension = 0.01, .least_iou = 0.5, .least_likeness = 0.5, .most_growth = 4.0};

samc_status samc_propagate_default_options(samc_propagate_options *options, samc_error *error) {
    return samc__abi_give(SAMC__IO(samc_propagate_options), &defaults, options, error);
}

samc_status samc__propagate_said(const samc_annotations *a, const samc_propagate_options *o, char **said,
                                 samc_error *error) {
    size_t size = 0;
    uint32_t table[256];
    *said = NULL;
    FILE *text = open_memstream(said, &size);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a journal");
    samc__crc_table(table);
    samc__print_file(text, "rules=2 axis=%d carry=%u,%a,%a,%a,%a objects=%d", a->space.axis, o->carry, o->box_extension,
                     o->least_iou, o->least_likeness, o->most_growth, a->objects);
    for (int i = 0; i < a->count; i++) {
        const samc__annotation *item = a->items + i;
        fprintf(text, " %d@%d", item->object, item->slice);
        for (int p = 0; p < item->point_count; p++)
            samc__print_file(text, ",%a,%a,%d", (double)item->points[2 * p], (double)item->points[2 * p + 1],
                             (int)item->labels[p]);
        for (int b = 0; item->boxed && b < 4; b++) samc__print_file(text, ",b%a", (double)item->box[b]);
        if (item->mask.counts != NULL)
            fprintf(text, ",m%08x", samc__crc(table, item->mask.counts, item->mask.count * sizeof *item->mask.counts));
    }
    bool bad = ferror(text) != 0;
    bad = fclose(text) != 0 || bad;
    if (!bad && *said != NULL) return SAMC_OK;
    free(*said);
    *said = NULL;
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a journal");
}

static samc_status begin(run *r, const samc_model *model, const char *identity) {
    const samc__space *space = &r->annotations->space;
    const size_t objects = (size_t)r->annotations->objects;
    samc_model_info info = SAMC_INIT(samc_model_info);
    SAMC__TRY(samc_model_get_info(model, &info));
    r->asker.single = info.boxes_only;
    r->asker.frame = (samc__carry_frame){space->width, space->height, info.low_res, info.squash};
    r->asker.carry[0] = r->options.carry != 0 ? r->options.carry : SAMC_CARRY_BOX;
    if (r->options.carry == 0 && !info.boxes_only) {
        r->asker.carry[1] = SAMC_CARRY_BOX | SAMC_CARRY_POINTS;
        r->asker.carry[2] = SAMC_CARRY_BOX | SAMC_CARRY_MASK;
    }
    r->asker.box_extension = r->options.box_extension;
    r->asker.least_iou = r->options.least_iou;
    r->asker.twice = (r->asker.carry[0] & SAMC_CARRY_BOX) != 0;
    SAMC__TRY(check_annotations(r));
    SAMC__TRY(check_options(r));
    r->endings = calloc(objects, sizeof *r->endings);
    r->models = calloc(objects, sizeof *r->models);
    r->tasks = calloc(objects, sizeof *r->tasks);
    r->questions = calloc(objects, sizeof *r->questions);
    if (!r->endings || !r->models || !r->tasks || !r->questions)
        return samc__fail(r->error, SAMC_OUT_OF_MEMORY, "no memory for objects");
    for (size_t i = 0; i < objects; i++) {
        r->models[i].origin = -1;
        r->endings[i] = (samc__ending){.least_iou = r->options.least_iou,
                                       .most_growth = r->options.most_growth,
                                       .least_likeness = r->options.least_likeness};
    }
    SAMC__TRY(samc__encodings_begin(&r->encodings, space->slices, r->error));
    SAMC__TRY(samc__segmentation_create(space, (int)objects, r->annotations->names, &r->result, r->error));
    return samc__visits_open(&r->visits, r->options.journal, r->options.resume, identity ? identity : "", r->error);
}

samc_status samc__propagate(samc_session *session, const samc_model *model, const samc__slices *slices,
                            const samc_annotations *annotations, const samc_propagate_options *options,
                            const char *identity, samc_segmentation **segmentation, samc_error *error) {
    run r = {.asker = {.session = session, .slices = slices},
             .annotations = annotations,
             .options = defaults,
             .visits.file = -1,
             .error = error};
    *segmentation = NULL;
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_propagate_options), options, &r.options, error));
    samc_status status = begin(&r, model, identity);
    if (status == SAMC_OK) status = sweep(&r);
    if (status == SAMC_OK) status = samc__segmentation_finish(r.result, error);
    samc__visits_close(&r.visits);
    samc__encodings_end(&r.encodings);
    samc__ask_end(&r.asker);
    free(r.endings);
    free(r.models);
    free(r.tasks);
    free(r.questions);
    if (status == SAMC_OK) *segmentation = r.result;
    else samc_segmentation_free(r.result);
    return status;
}
