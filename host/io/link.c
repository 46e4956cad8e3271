/* Automatic masks of a volume's slices, and the objects that they are of. */
#include "host/io/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/visits.h"
#include "runtime/base/status.h"

/* ---- Linking --------------------------------------------------------------------------------- */

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for masks of slices");
}

samc_status samc__links_add(samc__links *l, int slice, samc_rle *mask, float iou, samc_error *error) {
    if (l->count == l->room) {
        int room = 2 * l->room + 64;
        samc__link *grown = realloc(l->items, (size_t)room * sizeof *grown);
        if (grown == NULL) return no_memory(error);
        l->items = grown;
        l->room = room;
    }
    l->items[l->count++] = (samc__link){slice, *mask, iou, -1};
    *mask = SAMC_INIT(samc_rle);
    return SAMC_OK;
}

void samc__links_free(samc__links *l) {
    for (int i = 0; i < l->count; i++) free(l->items[i].mask.counts);
    free(l->items);
    *l = (samc__links){0};
}

/* Two masks that could be one object. */
typedef struct pair {
    double iou;
    int from, to; /* items; `from` on the slice before, or one of those before that */
} pair;

/* The highest IoU first; of equal ones the nearer slice, then the order of the masks. */
static int compare(const void *a, const void *b) {
    const pair *p = a, *q = b;
    if (p->iou != q->iou) return p->iou < q->iou ? 1 : -1;
    if (p->from != q->from) return p->from < q->from ? 1 : -1;
    return (p->to > q->to) - (p->to < q->to);
}

/* Joins the masks [first, end) of one slice to those before; `open` [count]: it is an object's last mask so far. */
static bool join_slice(samc__links *l, int first, int end, double least_iou, int most_gap, bool *open) {
    const int slice = l->items[first].slice;
    int begin = first, count = 0;
    while (begin > 0 && l->items[begin - 1].slice >= slice - 1 - most_gap) begin--;
    pair *pairs = malloc(((size_t)(first - begin) * (size_t)(end - first) + 1) * sizeof *pairs);
    if (pairs == NULL) return false;
    for (int from = begin; from < first; from++)
        for (int to = first; open[from] && to < end; to++) {
            double iou = samc__mask_iou(&l->items[from].mask, &l->items[to].mask);
            if (iou > 0.0 && iou >= least_iou) pairs[count++] = (pair){iou, from, to};
        }
    qsort(pairs, (size_t)count, sizeof *pairs, compare);
    for (int i = 0; i < count; i++) {
        if (!open[pairs[i].from] || l->items[pairs[i].to].object >= 0) continue;
        l->items[pairs[i].to].object = l->items[pairs[i].from].object;
        open[pairs[i].from] = false;
    }
    free(pairs);
    return true;
}

int samc__links_join(samc__links *l, double least_iou, int most_gap) {
    int objects = 0;
    bool good = true, *open = calloc((size_t)l->count + 1, sizeof *open);
    if (open == NULL) return -1;
    for (int first = 0, end; good && first < l->count; first = end) {
        for (end = first; end < l->count && l->items[end].slice == l->items[first].slice;) end++;
        for (int i = first; i < end; i++) l->items[i].object = -1;
        good = join_slice(l, first, end, least_iou, most_gap, open);
        for (int i = first; i < end; i++) {
            if (l->items[i].object < 0) l->items[i].object = objects++;
            open[i] = true;
        }
    }
    free(open);
    return good ? objects : -1;
}

/* An object while it is decided on. */
typedef struct candidate {
    int object, slices;
    int64_t voxels;
} candidate;

static int larger_first(const void *a, const void *b) {
    const candidate *p = a, *q = b;
    if (p->voxels != q->voxels) return p->voxels < q->voxels ? 1 : -1;
    return (p->object > q->object) - (p->object < q->object);
}

static samc_status fill_gap(samc_segmentation *s, int object, const samc__link *before, const samc__link *now,
                            samc_error *error) {
    for (int n = before->slice + 1; n < now->slice; n++) {
        samc_rle mask;
        SAMC__TRY(samc__mask_both(&before->mask, &now->mask, false, &mask, error));
        if (samc__mask_area(&mask) > 0) samc__segmentation_put(s, object, n, &mask, 0.0f);
        else free(mask.counts);
    }
    return SAMC_OK;
}

static samc_status put_links(const samc__links *l, const int *numbers, const samc__link **last, samc_segmentation *s,
                             samc_error *error) {
    for (int i = 0; i < l->count; i++) {
        const samc__link *now = l->items + i;
        const int number = numbers[now->object];
        if (number < 0) continue;
        samc_rle mask = now->mask;
        mask.counts = malloc(mask.count * sizeof *mask.counts);
        if (mask.counts == NULL) return no_memory(error);
        memcpy(mask.counts, now->mask.counts, mask.count * sizeof *mask.counts);
        samc__segmentation_put(s, number, now->slice, &mask, now->iou);
        if (last[number] != NULL) SAMC__TRY(fill_gap(s, number, last[number], now, error));
        last[number] = now;
    }
    return samc__segmentation_finish(s, error);
}

samc_status samc__links_segment(const samc__links *l, int objects, const samc__space *space, int least_slices,
                                samc_segmentation **segmentation, samc_error *error) {
    int kept = 0;
    samc_status status = SAMC_OK;
    candidate *list = calloc((size_t)objects + 1, sizeof *list);
    int *numbers = calloc((size_t)objects + 1, sizeof *numbers);
    const samc__link **last = calloc((size_t)objects + 1, sizeof *last);
    char **names = calloc((size_t)objects + 1, sizeof *names);
    *segmentation = NULL;
    if (!list || !numbers || !last || !names) status = no_memory(error);
    for (int o = 0; status == SAMC_OK && o < objects; o++) list[o].object = o, numbers[o] = -1;
    for (int i = 0; status == SAMC_OK && i < l->count; i++) {
        list[l->items[i].object].slices++;
        list[l->items[i].object].voxels += samc__mask_area(&l->items[i].mask);
    }
    if (status == SAMC_OK) qsort(list, (size_t)objects, sizeof *list, larger_first);
    for (int i = 0; status == SAMC_OK && i < objects; i++) {
        if (list[i].slices < least_slices) continue;
        if (kept == SAMC_MOST_OBJECTS || asprintf(&names[kept], "object %d", kept + 1) < 0) {
            names[kept] = NULL;
            status = kept == SAMC_MOST_OBJECTS
                         ? samc__fail(error, SAMC_UNSUPPORTED, "more than %d objects", SAMC_MOST_OBJECTS)
                         : no_memory(error);
        } else {
            numbers[list[i].object] = kept++;
        }
    }
    if (status == SAMC_OK) status = samc__segmentation_create(space, kept, names, segmentation, error);
    if (status == SAMC_OK) {
        (*segmentation)->automatic = true;
        status = put_links(l, numbers, last, *segmentation, error);
    }
    for (int i = 0; names != NULL && i < kept; i++) free(names[i]);
    free(list);
    free(numbers);
    free(last);
    free(names);
    if (status == SAMC_OK) return SAMC_OK;
    samc_segmentation_free(*segmentation);
    *segmentation = NULL;
    return status;
}

/* ---- The run --------------------------------------------------------------------------------- */

typedef struct run {
    const samc__slices *slices;
    const samc_link_options *options;
    const samc__space *space;
    int slice;
    samc__links links;
    samc__visits visits;
    samc_error *error;
} run;

/* samc_auto()'s callback: masks of a size that an object can have. */
static samc_status take(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    run *r = context;
    const double most = r->options->most_part * (double)r->space->width * (double)r->space->height;
    (void)image, (void)stats;
    for (int i = 0; i < count; i++) {
        const samc_mask *mask = samc_mask_at(masks, i);
        if (mask->area < 1 || mask->area < r->options->least_area || (double)mask->area > most) continue;
        samc_rle rle = {sizeof rle, mask->width, mask->height, mask->count_length, NULL};
        rle.counts = malloc(rle.count * sizeof *rle.counts);
        if (rle.counts == NULL) return no_memory(r->error);
        samc_status status = samc_mask_counts(mask, rle.counts, r->error);
        if (status == SAMC_OK) status = samc__visits_add(&r->visits, 0, r->slice, &rle, mask->predicted_iou, r->error);
        if (status == SAMC_OK) status = samc__links_add(&r->links, r->slice, &rle, mask->predicted_iou, r->error);
        free(rle.counts);
        if (status != SAMC_OK) return status;
    }
    return SAMC_OK;
}

static samc_status replay(run *r) {
    for (;;) {
        samc__visited at;
        bool there;
        SAMC__TRY(samc__visits_mask(&r->visits, r->space->width, r->space->height, &at, &there, r->error));
        if (!there) return SAMC_OK;
        samc_status status = at.slice == r->slice ? samc__links_add(&r->links, r->slice, &at.mask, at.iou, r->error)
                                                  : samc__fail(r->error, SAMC_FORMAT,
                                                               "%s: slice %d is another run's; remove it to begin anew",
                                                               r->visits.path, r->slice);
        samc_rle_free(&at.mask);
        if (status != SAMC_OK) return status;
    }
}

static samc_status visit(run *r, samc_session *session, const samc_auto_options *automatic) {
    if (samc__visits_replay(&r->visits)) return replay(r);
    samc_image image = SAMC_INIT(samc_image);
    SAMC__TRY(r->slices->read(r->slices->context, r->slice, &image, r->error));
    if (r->error != NULL) r->error->message[0] = '\0';
    samc_status status = samc_auto(session, &image, 1, automatic, take, r);
    samc_image_free(&image);
    if (status != SAMC_OK && r->error != NULL && r->error->message[0] != '\0') return status; /* the callback's own */
    SAMC__TRY(samc_session_check(session, status, r->slices->name, r->error));
    return samc__visits_end(&r->visits, r->error);
}

samc_status samc__link_slices(samc_session *session, const samc__slices *slices, const samc__space *space,
                              const samc_auto_options *automatic, const samc_link_options *options,
                              const char *identity, samc_segmentation **segmentation, samc_error *error) {
    run r = {.slices = slices, .options = options, .space = space, .visits.file = -1, .error = error};
    *segmentation = NULL;
    samc_status status = samc__visits_open(&r.visits, options->journal, options->resume, identity, error);
    for (; status == SAMC_OK && r.slice < space->slices; r.slice++) {
        status = visit(&r, session, automatic);
        if (status == SAMC_OK && options->progress != NULL) {
            status = options->progress(options->progress_context, r.slice + 1, space->slices);
            if (status != SAMC_OK) samc__fail(error, status, "%s: stopped", slices->name);
        }
    }
    int objects = status == SAMC_OK ? samc__links_join(&r.links, options->least_iou, options->most_gap) : 0;
    if (objects < 0) status = no_memory(error);
    if (status == SAMC_OK)
        status = samc__links_segment(&r.links, objects, space, options->least_slices, segmentation, error);
    samc__visits_close(&r.visits);
    samc__links_free(&r.links);
    return status;
}

/* ---- The interface --------------------------------------------------------------------------- */

static const samc_link_options defaults = {
    .size = sizeof defaults, .least_iou = 0.5, .most_gap = 1, .least_slices = 1, .most_part = 0.5};

samc_status samc_link_default_options(samc_link_options *options, samc_error *error) {
    return samc__abi_give(SAMC__IO(samc_link_options), &defaults, options, error);
}

samc_status samc__links_check(const samc_link_options *o, samc_error *error) {
    if (!(o->least_iou >= 0.0 && o->least_iou <= 1.0))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_link_options.least_iou is %g, not from 0 to 1",
                          o->least_iou);
    if (!(o->most_part > 0.0 && o->most_part <= 1.0))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_link_options.most_part is %g, not above 0 to 1",
                          o->most_part);
    if (o->most_gap < 0 || o->most_gap > 1000 || o->least_slices < 0 || o->least_area < 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "samc_link_options: most_gap %d is not from 0 to 1000, or least_slices or least_area is "
                          "below 0",
                          o->most_gap);
    return SAMC_OK;
}
