/* Annotations are few (a click, a box, the slices of a drawn mask), and looked up by slice and object. */
#include "host/io/annotations.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "runtime/base/status.h"

static const char axis_names[] = "ijk";

samc__space samc__space_of(const int extent[3], const double spacing[3], int axis) {
    samc__space s = {.axis = axis, .slices = extent[axis]};
    memcpy(s.extent, extent, sizeof s.extent);
    memcpy(s.spacing, spacing, sizeof s.spacing);
    s.width = extent[axis == 0 ? 1 : 0];
    s.height = extent[axis == 2 ? 1 : 2];
    return s;
}

int samc__space_axis(const double spacing[3]) {
    int widest = 0;
    for (int i = 1; i < 3; i++)
        if (spacing[i] > spacing[widest]) widest = i;
    for (int i = widest + 1; i < 3; i++)
        if (spacing[i] > spacing[widest] / 1.01) return i == 1 && spacing[2] > spacing[widest] / 1.01 ? 2 : i;
    return widest;
}

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for annotations");
}

samc_status samc__annotations_create(const samc__space *space, samc_annotations **annotations, samc_error *error) {
    *annotations = calloc(1, sizeof **annotations);
    if (*annotations == NULL) return no_memory(error);
    (*annotations)->space = *space;
    return SAMC_OK;
}

static void free_item(samc__annotation *item) {
    free(item->points);
    free(item->labels);
    free(item->mask.counts);
}

void samc_annotations_free(samc_annotations *a) {
    if (a == NULL) return;
    for (int i = 0; i < a->count; i++) free_item(a->items + i);
    for (int i = 0; i < a->objects; i++) free(a->names[i]);
    free(a->items);
    free(a->names);
    free(a);
}

samc_status samc_annotations_object(samc_annotations *a, const char *name, int *index, samc_error *error) {
    char number[32];
    if (a == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_annotations_object: no annotations");
    if (a->objects == SAMC_MOST_OBJECTS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "more than %d objects", SAMC_MOST_OBJECTS);
    snprintf(number, sizeof number, "object %d", a->objects + 1);
    const char *given = name != NULL ? name : number;
    if (*given == '\0') return samc__fail(error, SAMC_INVALID_ARGUMENT, "an object's name is empty");
    char *text = samc_text_utf8(given);
    bool utf8 = text != NULL && strcmp(text, given) == 0;
    samc_io_free(text);
    if (text == NULL) return no_memory(error);
    if (!utf8) return samc__fail(error, SAMC_INVALID_ARGUMENT, "an object's name is no UTF-8");
    for (int i = 0; i < a->objects; i++)
        if (strcmp(a->names[i], given) == 0)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "object '%s' is named twice", given);
    char **grown = realloc(a->names, ((size_t)a->objects + 1) * sizeof *grown), *copy = strdup(given);
    if (grown != NULL) a->names = grown;
    if (grown == NULL || copy == NULL) {
        free(copy);
        return no_memory(error);
    }
    a->names[a->objects] = copy;
    if (index != NULL) *index = a->objects;
    a->objects++;
    return SAMC_OK;
}

/* Where item (slice, object) is, or would be. */
static int place_of(const samc_annotations *a, int object, int slice) {
    int low = 0, high = a->count;
    while (low < high) {
        int middle = (low + high) / 2;
        const samc__annotation *item = a->items + middle;
        if (item->slice < slice || (item->slice == slice && item->object < object)) low = middle + 1;
        else high = middle;
    }
    return low;
}

const samc__annotation *samc__annotations_find(const samc_annotations *a, int object, int slice) {
    int at = place_of(a, object, slice);
    return at < a->count && a->items[at].object == object && a->items[at].slice == slice ? a->items + at : NULL;
}

int samc__annotations_before(const samc_annotations *a, int object, int slice) {
    for (int i = place_of(a, object, slice + 1) - 1; i >= 0; i--)
        if (a->items[i].object == object && a->items[i].slice <= slice) return a->items[i].slice;
    return -1;
}

int samc__annotations_after(const samc_annotations *a, int object, int slice) {
    for (int i = place_of(a, object, slice); i < a->count; i++)
        if (a->items[i].object == object) return a->items[i].slice;
    return -1;
}

/* What is wrong with a prompt by itself. */
static samc_status check(const samc_annotations *a, const samc_volume_prompt *p, samc_error *error) {
    const samc__space *s = &a->space;
    if (p->object < 0 || p->object >= a->objects)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "a prompt for object %d of %d", p->object, a->objects);
    const char *name = a->names[p->object];
    if (p->slice < 0 || p->slice >= s->slices)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: slice %d is outside the volume, which has %d across %c",
                          name, p->slice, s->slices, axis_names[s->axis]);
    if (p->point_count < 0 || (p->point_count > 0 && p->points == NULL) || p->point_count > SAMC_MOST_POINTS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: %d points", name, p->point_count);
    if (p->point_count == 0 && p->box == NULL && p->mask == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a prompt without points, box and mask", name);
    if (p->mask != NULL && (p->point_count > 0 || p->box != NULL))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a mask beside points or a box on slice %d", name,
                          p->slice);
    for (int i = 0; i < p->point_count; i++) {
        float x = p->points[2 * i], y = p->points[2 * i + 1];
        if (!(x >= -0.5f && y >= -0.5f && x <= (float)s->width - 0.5f && y <= (float)s->height - 0.5f))
            return samc__fail(error, SAMC_INVALID_ARGUMENT,
                              "%s: point %g,%g is outside the slices, which are %d x %d voxels", name, (double)x,
                              (double)y, s->width, s->height);
        if (p->labels != NULL && p->labels[i] != 0 && p->labels[i] != 1)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a point's label is 0 or 1, not %d", name,
                              (int)p->labels[i]);
    }
    if (p->box == NULL) return SAMC_OK;
    const float *b = p->box;
    if (!(b[0] <= b[2] && b[1] <= b[3] && isfinite(b[0]) && isfinite(b[1]) && isfinite(b[2]) && isfinite(b[3])))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: box %g,%g,%g,%g has no inside", name, (double)b[0],
                          (double)b[1], (double)b[2], (double)b[3]);
    if (b[2] < 0.0f || b[3] < 0.0f || b[0] > (float)(s->width - 1) || b[1] > (float)(s->height - 1))
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "%s: box %g,%g,%g,%g is outside the slices, which are %d x %d voxels", name, (double)b[0],
                          (double)b[1], (double)b[2], (double)b[3], s->width, s->height);
    return SAMC_OK;
}

/* What is wrong with it beside one that is there. */
static samc_status check_beside(const samc_annotations *a, const samc_volume_prompt *p, const samc__annotation *item,
                                samc_error *error) {
    const char *name = a->names[p->object];
    if (p->box != NULL && item->boxed)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: two boxes on slice %d", name, p->slice);
    if (p->mask != NULL || item->mask.counts != NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: a mask beside another prompt on slice %d", name, p->slice);
    if (p->point_count > SAMC_MOST_POINTS - item->point_count)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: more than %d points on slice %d", name, SAMC_MOST_POINTS,
                          p->slice);
    return SAMC_OK;
}

static samc_status add_points(samc__annotation *item, const samc_volume_prompt *p, samc_error *error) {
    size_t had = (size_t)item->point_count, more = (size_t)p->point_count;
    if (more == 0) return SAMC_OK;
    float *points = realloc(item->points, 2 * (had + more) * sizeof *points);
    if (points != NULL) item->points = points;
    int32_t *labels = realloc(item->labels, (had + more) * sizeof *labels);
    if (labels != NULL) item->labels = labels;
    if (points == NULL || labels == NULL) return no_memory(error);
    memcpy(points + 2 * had, p->points, 2 * more * sizeof *points);
    for (size_t i = 0; i < more; i++) labels[had + i] = p->labels ? p->labels[i] : 1;
    item->point_count += p->point_count;
    return SAMC_OK;
}

/* A place for a new item, empty but for its slice and object. */
static samc__annotation *insert(samc_annotations *a, const samc_volume_prompt *p) {
    int at = place_of(a, p->object, p->slice);
    if (a->count == a->room) {
        int room = 2 * a->room + 16;
        samc__annotation *grown = realloc(a->items, (size_t)room * sizeof *grown);
        if (grown == NULL) return NULL;
        a->items = grown;
        a->room = room;
    }
    memmove(a->items + at + 1, a->items + at, (size_t)(a->count - at) * sizeof *a->items);
    a->items[at] = (samc__annotation){.object = p->object, .slice = p->slice};
    a->count++;
    return a->items + at;
}

samc_status samc_annotations_add(samc_annotations *a, const samc_volume_prompt *prompt, samc_error *error) {
    samc_volume_prompt p = {0};
    samc_rle mask = SAMC_INIT(samc_rle);
    if (a == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_annotations_add: no annotations");
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_volume_prompt), prompt, &p, error));
    SAMC__TRY(check(a, &p, error));
    samc__annotation *item = (samc__annotation *)samc__annotations_find(a, p.object, p.slice);
    if (item != NULL) SAMC__TRY(check_beside(a, &p, item, error));
    if (p.mask != NULL) {
        SAMC__TRY(samc_rle_from_bytes(p.mask, a->space.width, a->space.height, &mask, error));
        if (mask.count < 2) {
            samc_rle_free(&mask);
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: an empty mask on slice %d", a->names[p.object],
                              p.slice);
        }
    }
    if (item == NULL && (item = insert(a, &p)) == NULL) {
        samc_rle_free(&mask);
        return no_memory(error);
    }
    if (mask.counts != NULL) item->mask = mask;
    samc_status status = add_points(item, &p, error);
    if (status == SAMC_OK && p.box != NULL) {
        memcpy(item->box, p.box, sizeof item->box);
        item->boxed = true;
    }
    if (status != SAMC_OK && item->point_count == 0 && !item->boxed) { /* a place that got nothing */
        free_item(item);
        memmove(item, item + 1, (size_t)(a->items + a->count - item - 1) * sizeof *item);
        a->count--;
    }
    return status;
}
