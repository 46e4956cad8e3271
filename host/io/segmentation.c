/* Labels from masks by slices across any axis, and back to slices across k, which files hold. Later objects cover
 * earlier ones: whoever names an organ first and a lesion in it second gets both. */
#include "host/io/segmentation.h"

#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "runtime/base/status.h"

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a segmentation");
}

samc_status samc__segmentation_create(const samc__space *space, int objects, char *const *names,
                                      samc_segmentation **segmentation, samc_error *error) {
    samc_segmentation *s = calloc(1, sizeof *s);
    *segmentation = NULL;
    if (s == NULL) return no_memory(error);
    size_t places = (size_t)objects * (size_t)space->slices;
    s->space = *space;
    s->objects = objects;
    s->names = calloc((size_t)objects + 1, sizeof *s->names);
    s->masks = calloc(places + 1, sizeof *s->masks);
    s->iou = calloc(places + 1, sizeof *s->iou);
    bool ok = s->names && s->masks && s->iou;
    for (int i = 0; ok && i < objects; i++) ok = (s->names[i] = strdup(names[i])) != NULL;
    if (!ok) {
        samc_segmentation_free(s);
        return no_memory(error);
    }
    *segmentation = s;
    return SAMC_OK;
}

void samc_segmentation_free(samc_segmentation *s) {
    if (s == NULL) return;
    for (int i = 0; s->names != NULL && i < s->objects; i++) free(s->names[i]);
    for (size_t i = 0; s->masks != NULL && i < (size_t)s->objects * (size_t)s->space.slices; i++)
        free(s->masks[i].counts);
    free(s->names);
    free(s->masks);
    free(s->iou);
    free(s->result);
    free(s);
}

samc_rle *samc__segmentation_at(const samc_segmentation *s, int object, int slice) {
    return s->masks + (size_t)object * (size_t)s->space.slices + (size_t)slice;
}

void samc__segmentation_put(samc_segmentation *s, int object, int slice, samc_rle *mask, float iou) {
    samc_rle *at = samc__segmentation_at(s, object, slice);
    free(at->counts);
    *at = *mask;
    *mask = (samc_rle){.size = sizeof *mask};
    s->iou[(size_t)object * (size_t)s->space.slices + (size_t)slice] = iou;
}

/* ---- Labels ---------------------------------------------------------------------------------- */

/* The pixels of a mask on its own slice, [height, width]. */
static void paint(const samc_rle *mask, uint16_t label, uint16_t *labels) {
    size_t width = (size_t)mask->width, height = (size_t)mask->height, at = 0;
    for (size_t i = 0; i < mask->count; at += mask->counts[i++])
        for (size_t p = at; i % 2 == 1 && p < at + mask->counts[i]; p++)
            labels[p % height * width + p / height] = label;
}

/* The pixels of row y, [width] that are `step` apart. */
static void paint_row(const samc_rle *mask, int y, uint16_t label, uint16_t *labels, size_t step) {
    size_t height = (size_t)mask->height, at = 0;
    for (size_t i = 0; i < mask->count; at += mask->counts[i++]) {
        if (i % 2 == 0) continue;
        size_t first = at + ((size_t)y + height - at % height) % height;
        for (size_t p = first; p < at + mask->counts[i]; p += height) labels[p / height * step] = label;
    }
}

samc_status samc_segmentation_labels(const samc_segmentation *s, int k, uint16_t *labels, samc_error *error) {
    if (s == NULL || labels == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_segmentation_labels: no segmentation, or no room");
    const int *extent = s->space.extent, axis = s->space.axis;
    if (k < 0 || k >= extent[2])
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "slice %d of a segmentation that has %d", k, extent[2]);
    size_t wide = (size_t)extent[0];
    memset(labels, 0, wide * (size_t)extent[1] * sizeof *labels);
    for (int o = 0; o < s->objects; o++)
        for (int n = axis == 2 ? k : 0; n < (axis == 2 ? k + 1 : s->space.slices); n++) {
            const samc_rle *mask = samc__segmentation_at(s, o, n);
            if (mask->counts == NULL) continue;
            if (axis == 2) paint(mask, (uint16_t)(o + 1), labels);
            if (axis == 1) paint_row(mask, k, (uint16_t)(o + 1), labels + (size_t)n * wide, 1);
            if (axis == 0) paint_row(mask, k, (uint16_t)(o + 1), labels + n, wide);
        }
    return SAMC_OK;
}

/* Adds voxel `at` (i, j, k) to an object's count and box. */
static void count_voxel(samc_object *o, const int at[3]) {
    for (int d = 0; d < 3; d++) {
        if (o->voxels == 0 || at[d] < o->box[d]) o->box[d] = at[d];
        if (o->voxels == 0 || at[d] > o->box[d + 3]) o->box[d + 3] = at[d];
    }
    o->voxels++;
}

samc_status samc__segmentation_finish(samc_segmentation *s, samc_error *error) {
    const samc__space *space = &s->space;
    const int across = space->axis, x_axis = across == 0 ? 1 : 0, y_axis = across == 2 ? 1 : 2;
    size_t pixels = (size_t)space->width * (size_t)space->height;
    uint16_t *labels = malloc(pixels * sizeof *labels);
    bool *seen = calloc((size_t)s->objects + 1, sizeof *seen);
    float *sums = calloc((size_t)s->objects + 1, sizeof *sums);
    int *asked = calloc((size_t)s->objects + 1, sizeof *asked);
    free(s->result);
    s->result = calloc((size_t)s->objects + 1, sizeof *s->result);
    bool ok = labels && seen && sums && asked && s->result;
    for (int o = 0; ok && o < s->objects; o++)
        s->result[o] =
            (samc_object){.size = sizeof(samc_object), .name = s->names[o], .label = o + 1, .first = -1, .last = -1};
    for (int n = 0; ok && n < space->slices; n++) {
        memset(labels, 0, pixels * sizeof *labels);
        for (int o = 0; o < s->objects; o++) {
            const samc_rle *mask = samc__segmentation_at(s, o, n);
            float iou = s->iou[(size_t)o * (size_t)space->slices + (size_t)n];
            seen[o] = false;
            if (mask->counts == NULL) continue;
            paint(mask, (uint16_t)(o + 1), labels);
            if (iou > 0.0f) sums[o] += iou, asked[o]++;
        }
        for (size_t p = 0; p < pixels; p++) {
            if (labels[p] == 0) continue;
            int at[3];
            samc_object *o = s->result + labels[p] - 1;
            at[across] = n;
            at[x_axis] = (int)(p % (size_t)space->width);
            at[y_axis] = (int)(p / (size_t)space->width);
            count_voxel(o, at);
            if (seen[o->label - 1]) continue;
            seen[o->label - 1] = true;
            if (o->first < 0) o->first = n;
            o->last = n;
            o->slices++;
        }
    }
    for (int o = 0; ok && o < s->objects; o++) {
        samc_object *r = s->result + o;
        r->volume_mm3 = (double)r->voxels * space->spacing[0] * space->spacing[1] * space->spacing[2];
        r->predicted_iou = asked[o] > 0 ? sums[o] / (float)asked[o] : 0.0f;
    }
    free(labels);
    free(seen);
    free(sums);
    free(asked);
    return ok ? SAMC_OK : no_memory(error);
}

int samc_segmentation_objects(const samc_segmentation *s) { return s != NULL ? s->objects : 0; }

samc_status samc_segmentation_get_object(const samc_segmentation *s, int index, samc_object *object,
                                         samc_error *error) {
    if (s == NULL || index < 0 || index >= s->objects)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "object %d of a segmentation of %d", index,
                          samc_segmentation_objects(s));
    return samc__abi_give(SAMC__IO(samc_object), s->result + index, object, error);
}

samc_status samc_segmentation_mask(const samc_segmentation *s, int index, int slice, samc_rle *rle, samc_error *error) {
    if (s == NULL || index < 0 || index >= s->objects || slice < 0 || slice >= s->space.slices)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "slice %d of object %d of a segmentation of %d", slice, index,
                          samc_segmentation_objects(s));
    const samc_rle *mask = samc__segmentation_at(s, index, slice);
    samc_rle copy = {sizeof copy, s->space.width, s->space.height, mask->counts ? mask->count : 1, NULL};
    SAMC__TRY(samc__abi_give(SAMC__IO(samc_rle), &(samc_rle){0}, rle, error));
    copy.counts = malloc(copy.count * sizeof *copy.counts);
    if (copy.counts == NULL) return no_memory(error);
    if (mask->counts != NULL) memcpy(copy.counts, mask->counts, copy.count * sizeof *copy.counts);
    else copy.counts[0] = (uint32_t)s->space.width * (uint32_t)s->space.height;
    return samc__abi_give(SAMC__IO(samc_rle), &copy, rle, error);
}
