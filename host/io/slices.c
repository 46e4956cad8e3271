/* The public volume: its file, and the scale that its values become grey by. */
#include "host/io/slices.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/labels.h"
#include "host/io/link.h"
#include "host/io/propagate.h"
#include "host/io/volume_masks.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

bool samc_volume_is(const char *path) { return path != NULL && samc__volume_is(path); }

samc_status samc_volume_open(const char *path, const samc_volume_options *options, samc_volume **volume,
                             samc_error *error) {
    samc_volume_options own = {0};
    if (path == NULL || volume == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_volume_open: no path, or no place for the volume");
    *volume = NULL;
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_volume_options), options, &own, error));
    samc_volume *v = calloc(1, sizeof *v);
    if (v == NULL || (v->path = strdup(path)) == NULL) {
        free(v);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for a volume", path);
    }
    samc_status status = samc__scale_parse(own.scale, &v->scale, error);
    if (status == SAMC_OK) status = samc__volume_open(path, own.time, &v->file, error);
    if (status == SAMC_OK) {
        v->info = samc__volume_get_info(v->file);
        *volume = v;
        return SAMC_OK;
    }
    samc_volume_close(v);
    return status;
}

void samc_volume_close(samc_volume *v) {
    if (v == NULL) return;
    samc__volume_close(v->file);
    samc__scaler_end(&v->scaler);
    free(v->path);
    free(v);
}

samc_status samc_volume_get_info(const samc_volume *v, samc_volume_info *info, samc_error *error) {
    samc_volume_info own = {0};
    if (v == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_volume_get_info: no volume");
    memcpy(own.extent, v->info->extent, sizeof own.extent);
    memcpy(own.spacing, v->info->spacing, sizeof own.spacing);
    memcpy(own.affine, v->info->affine, sizeof own.affine);
    own.times = v->info->times;
    own.format = v->info->format;
    own.note = v->info->note;
    own.axis = samc__space_axis(v->info->spacing);
    return samc__abi_give(SAMC__IO(samc_volume_info), &own, info, error);
}

/* Cramer's rule: a volume whose axes lie in one plane has no inside. */
samc_status samc_volume_locate(const samc_volume *v, const double mm[3], double voxel[3], samc_error *error) {
    if (v == NULL || mm == NULL || voxel == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_volume_locate: no volume, or no place");
    const double(*a)[4] = v->info->affine;
    double from[3], inverse[3][3], determinant = 0.0;
    for (int r = 0; r < 3; r++) {
        from[r] = mm[r] - a[r][3];
        for (int c = 0; c < 3; c++) {
            int r1 = (r + 1) % 3, r2 = (r + 2) % 3, c1 = (c + 1) % 3, c2 = (c + 2) % 3;
            inverse[c][r] = a[r1][c1] * a[r2][c2] - a[r1][c2] * a[r2][c1];
        }
    }
    for (int c = 0; c < 3; c++) determinant += a[0][c] * inverse[c][0];
    if (!isfinite(determinant) || fabs(determinant) < 1e-12)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: its axes do not span a space; millimetres mean nothing",
                          v->path);
    for (int c = 0; c < 3; c++)
        voxel[c] = (inverse[c][0] * from[0] + inverse[c][1] * from[1] + inverse[c][2] * from[2]) / determinant;
    return SAMC_OK;
}

/* ---- Grey values ----------------------------------------------------------------------------- */

/* One scale for all slices: what is asked for, else what the file asks for, else MedSAM's. */
static samc_status find_scale(samc_volume *v, samc_error *error) {
    const samc__volume_info *i = v->info;
    samc__scale own;
    if (v->scaled) return SAMC_OK;
    SAMC__TRY(samc__scale_parse(i->window[0] != '\0' ? i->window : "window:auto", &own, error));
    const samc__sampling type = {
        .sample = SAMC_SAMPLE_F32, .channels = i->channels, .own = own, .inverted = i->inverted, .ct = i->ct};
    samc__scaler_end(&v->scaler);
    SAMC__TRY(samc__scaler_begin(&v->scaler, v->scale, type, v->path, error));
    size_t count = (size_t)i->extent[0] * (size_t)i->extent[1] * (size_t)i->channels;
    float *values = malloc(count * sizeof *values);
    samc_status status = values ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for a slice", v->path);
    while (status == SAMC_OK && v->scaler.passes > 0) {
        for (int k = 0; status == SAMC_OK && k < i->extent[2]; k++) {
            status = samc__volume_slice(v->file, 2, k, values, error);
            if (status == SAMC_OK) samc__scaler_look(&v->scaler, values, count);
        }
        if (status == SAMC_OK) samc__scaler_end_pass(&v->scaler);
    }
    free(values);
    v->scaled = status == SAMC_OK;
    return status;
}

samc_status samc_volume_get_scale(samc_volume *v, samc_scale *scale, samc_error *error) {
    if (v == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_volume_get_scale: no volume");
    SAMC__TRY(find_scale(v, error));
    const samc_scale own = samc__scaler_report(&v->scaler);
    return samc__abi_give(SAMC__IO(samc_scale), &own, scale, error);
}

samc_status samc_volume_slice(samc_volume *v, int axis, int index, samc_image *image, samc_error *error) {
    SAMC__TRY(samc__abi_check_size(SAMC__ABI(samc_image), image, error));
    if (v == NULL || axis < 0 || axis > 2 || index < 0 || index >= v->info->extent[axis])
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_volume_slice: there is no slice %d across axis %d", index,
                          axis);
    SAMC__TRY(find_scale(v, error));
    samc__space space = samc__space_of(v->info->extent, v->info->spacing, axis);
    size_t pixels = (size_t)space.width * (size_t)space.height;
    float *values = malloc(pixels * (size_t)v->info->channels * sizeof *values);
    uint8_t *rgb = malloc(3 * pixels);
    samc_status status = values != NULL && rgb != NULL
                             ? samc__volume_slice(v->file, axis, index, values, error)
                             : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for a slice", v->path);
    if (status == SAMC_OK) samc__scaler_apply(&v->scaler, values, pixels, rgb);
    free(values);
    if (status != SAMC_OK) {
        free(rgb);
        return status;
    }
    image->pixels = rgb;
    image->width = space.width;
    image->height = space.height;
    image->row_bytes = 3 * (ptrdiff_t)space.width;
    return SAMC_OK;
}

samc_status samc_volume_values(samc_volume *v, int axis, int index, float *values, samc_error *error) {
    if (v == NULL || values == NULL || axis < 0 || axis > 2 || index < 0 || index >= v->info->extent[axis])
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_volume_values: there is no slice %d across axis %d",
                          index, axis);
    if (v->info->channels != 1) return samc__fail(error, SAMC_UNSUPPORTED, "%s: its voxels are colours", v->path);
    return samc__volume_slice(v->file, axis, index, values, error);
}

static samc_status read_slice(void *context, int slice, samc_image *image, samc_error *error) {
    const samc__across *across = context;
    return samc_volume_slice(across->volume, across->axis, slice, image, error);
}

samc__slices samc__slices_of(samc__across *across) {
    return (samc__slices){.context = across, .name = across->volume->path, .read = read_slice};
}

/* ---- Runs ------------------------------------------------------------------------------------ */

samc_status samc__slices_identity(samc_volume *v, const samc_model *model, const char *more, char **identity,
                                  samc_error *error) {
    char voxels[65], hash[65];
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_scale scale = SAMC_INIT(samc_scale);
    *identity = NULL;
    SAMC__TRY(samc_model_get_info(model, &info));
    SAMC__TRY(samc_model_hash(model, hash, error));
    SAMC__TRY(samc__volume_identity(v->file, voxels, error));
    SAMC__TRY(samc_volume_get_scale(v, &scale, error));
    if (samc__print_new(identity,
                        "model=%s backend=%d precision=%d changed=%s recipe=%s encoder=%s volume=%s scale=%s,%a,%a %s",
                        hash, (int)info.backend, (int)info.precision, info.changed, info.recipe_fields,
                        info.encoder_fields, voxels, scale.name ? scale.name : "", scale.low, scale.high, more) < 0) {
        *identity = NULL;
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for a journal", v->path);
    }
    for (char *c = *identity; *c != '\0'; c++)
        if (*c == '\n') *c = ' ';
    return SAMC_OK;
}

samc_status samc_annotations_create(const samc_volume *v, int axis, samc_annotations **annotations, samc_error *error) {
    if (v == NULL || annotations == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_annotations_create: no volume, or no place");
    *annotations = NULL;
    if (axis < -1 || axis > 2)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_annotations_create: axis %d is none of -1 to 2", axis);
    samc__space space =
        samc__space_of(v->info->extent, v->info->spacing, axis < 0 ? samc__space_axis(v->info->spacing) : axis);
    return samc__annotations_create(&space, annotations, error);
}

samc_status samc_propagate(samc_session *session, const samc_model *model, samc_volume *v,
                           const samc_annotations *annotations, const samc_propagate_options *options,
                           samc_segmentation **segmentation, samc_error *error) {
    samc_propagate_options own = SAMC_INIT(samc_propagate_options);
    if (session == NULL || model == NULL || v == NULL || annotations == NULL || segmentation == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_propagate: NULL for an object or a place");
    *segmentation = NULL;
    if (memcmp(annotations->space.extent, v->info->extent, sizeof v->info->extent) != 0)
        return samc__fail(error, SAMC_MISMATCH, "%s: the annotations are of a volume of another size", v->path);
    SAMC__TRY(samc_propagate_default_options(&own, error));
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_propagate_options), options, &own, error));
    samc__across across = {v, annotations->space.axis};
    const samc__slices slices = samc__slices_of(&across);
    char *said = NULL, *identity = NULL;
    samc_status status = SAMC_OK;
    if (own.journal != NULL) status = samc__propagate_said(annotations, &own, &said, error);
    if (status == SAMC_OK && said != NULL) status = samc__slices_identity(v, model, said, &identity, error);
    if (status == SAMC_OK)
        status = samc__propagate(session, model, &slices, annotations, &own, identity, segmentation, error);
    free(said);
    free(identity);
    return status;
}

static samc_status give_labels(void *context, int k, uint16_t *labels, samc_error *error) {
    return samc_segmentation_labels(context, k, labels, error);
}

samc_status samc_segmentation_write(const samc_segmentation *s, samc_volume *v, const char *path, samc_error *error) {
    if (s == NULL || v == NULL || path == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_segmentation_write: NULL for an object or a path");
    if (memcmp(s->space.extent, v->info->extent, sizeof v->info->extent) != 0)
        return samc__fail(error, SAMC_MISMATCH, "%s: the segmentation is of a volume of another size", path);
    if (samc__volume_masks_are(path)) return samc__volume_masks_write(s, path, error);
    const samc__labels labels = {.count = s->objects,
                                 .names = (const char *const *)s->names,
                                 .automatic = s->automatic,
                                 .slice = give_labels,
                                 .context = (void *)s};
    return samc__labels_write(path, v->file, &labels, error);
}

samc_status samc_segmentation_check(const samc_volume *v, const char *path, samc_error *error) {
    if (v == NULL || path == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_segmentation_check: no volume, or no path");
    return samc__volume_masks_are(path) ? SAMC_OK : samc__labels_check(path, v->file, error);
}

/* Automatic options and those of linking as text: what results depend on. */
static samc_status say_auto(const samc_auto_options *a, const samc_link_options *o, int axis, char **said,
                            samc_error *error) {
    if (a->point_grids != NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "samc_volume_auto: a journal of grids of one's own is not kept");
    if (samc__print_new(said, "axis=%d link=%a,%d,%d,%lld,%a auto=%d,%a,%a,%a,%a,%d,%a,%a,%d,%d,%d,%d", axis,
                        o->least_iou, o->most_gap, o->least_slices, (long long)o->least_area, o->most_part,
                        a->points_per_side, a->pred_iou_thresh, a->stability_score_thresh, a->stability_score_offset,
                        a->box_nms_thresh, a->crop_n_layers, a->crop_nms_thresh, a->crop_overlap_ratio,
                        a->crop_n_points_downscale_factor, a->min_mask_region_area, a->multimask_output,
                        a->use_m2m) >= 0)
        return SAMC_OK;
    *said = NULL;
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a journal");
}

samc_status samc_volume_auto(samc_session *session, const samc_model *model, samc_volume *v, int axis,
                             const samc_auto_options *automatic, const samc_link_options *options,
                             samc_segmentation **segmentation, samc_error *error) {
    samc_link_options own = SAMC_INIT(samc_link_options);
    samc_auto_options masks = SAMC_INIT(samc_auto_options);
    if (session == NULL || model == NULL || v == NULL || segmentation == NULL || axis < -1 || axis > 2)
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "samc_volume_auto: NULL for an object or a place, or an axis that is none");
    *segmentation = NULL;
    SAMC__TRY(samc_link_default_options(&own, error));
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__IO(samc_link_options), options, &own, error));
    SAMC__TRY(samc__links_check(&own, error));
    SAMC__TRY(samc_default_auto_options(model, &masks));
    if (automatic != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_auto_options), automatic, &masks, error));
    SAMC__TRY(samc_auto_check(&masks, error));
    samc__across across = {v, axis < 0 ? samc__space_axis(v->info->spacing) : axis};
    const samc__slices slices = samc__slices_of(&across);
    const samc__space space = samc__space_of(v->info->extent, v->info->spacing, across.axis);
    char *said = NULL, *identity = NULL;
    samc_status status = SAMC_OK;
    if (own.journal != NULL) status = say_auto(&masks, &own, across.axis, &said, error);
    if (status == SAMC_OK && said != NULL) status = samc__slices_identity(v, model, said, &identity, error);
    if (status == SAMC_OK)
        status =
            samc__link_slices(session, &slices, &space, &masks, &own, identity ? identity : "", segmentation, error);
    free(said);
    free(identity);
    return status;
}
