/* Thresholds and grids of automatic masks: the original's, and the model's own where its metadata has them. */
#include "runtime/model/automatic.h"

#include <math.h>
#include <stddef.h>

/* Defaults of SamAutomaticMaskGenerator, and where each lives in samc_auto_options. Not points_per_batch, which files
 * may also hold: it speaks of a machine's memory. */
static const struct {
    const char *name;
    double value;
    bool integer;
    size_t offset;
} automatic[] = {
    {"points_per_side", 32, true, offsetof(samc_auto_options, points_per_side)},
    {"pred_iou_thresh", 0.88, false, offsetof(samc_auto_options, pred_iou_thresh)},
    {"stability_score_thresh", 0.95, false, offsetof(samc_auto_options, stability_score_thresh)},
    {"stability_score_offset", 1.0, false, offsetof(samc_auto_options, stability_score_offset)},
    {"box_nms_thresh", 0.7, false, offsetof(samc_auto_options, box_nms_thresh)},
    {"crop_n_layers", 0, true, offsetof(samc_auto_options, crop_n_layers)},
    {"crop_nms_thresh", 0.7, false, offsetof(samc_auto_options, crop_nms_thresh)},
    {"crop_overlap_ratio", 512.0 / 1500.0, false, offsetof(samc_auto_options, crop_overlap_ratio)},
    {"crop_n_points_downscale_factor", 1, true, offsetof(samc_auto_options, crop_n_points_downscale_factor)},
    {"min_mask_region_area", 0, true, offsetof(samc_auto_options, min_mask_region_area)},
};
enum { AUTOMATIC = sizeof automatic / sizeof *automatic };

static void set_automatic(samc_auto_options *options, size_t i, double value) {
    void *field = (char *)options + automatic[i].offset;
    if (automatic[i].integer) *(int *)field = (int)value;
    else *(double *)field = value;
}

samc_auto_options samc__auto_defaults(void) {
    samc_auto_options options = {.multimask_output = true};
    for (size_t i = 0; i < AUTOMATIC; i++) set_automatic(&options, i, automatic[i].value);
    return options;
}

void samc__automatic_read(samc__reading *r, double pred_iou_thresh, samc_auto_options *options) {
    const samc__json given = samc__read_field(r, "automatic");
    *options = samc__auto_defaults();
    if (pred_iou_thresh > 0) options->pred_iou_thresh = pred_iou_thresh;
    for (size_t i = 0; i < AUTOMATIC; i++) {
        const samc__json own = samc__json_get(given, automatic[i].name);
        double value;
        if (own.begin == NULL) continue;
        if (!samc__json_number(own, &value) || !isfinite(value) || fabs(value) > 1e9)
            samc__read_malformed(r, automatic[i].name, "a number");
        else set_automatic(options, i, value);
    }
}

void samc__automatic_write(samc__json_text *text, double pred_iou_thresh, samc__json given) {
    const char *names[AUTOMATIC];
    samc__json_put_key(text, "automatic");
    samc__json_put(text, "{", 1);
    for (size_t i = 0; i < AUTOMATIC; i++) {
        const samc__json own = samc__json_get(given, automatic[i].name);
        names[i] = automatic[i].name;
        samc__json_put_key(text, automatic[i].name);
        if (own.begin != NULL) {
            samc__json_put(text, own.begin, (size_t)(own.end - own.begin));
        } else if (pred_iou_thresh > 0 && automatic[i].offset == offsetof(samc_auto_options, pred_iou_thresh)) {
            samc__json_put_double(text, pred_iou_thresh);
        } else if (automatic[i].integer) {
            samc__json_put_integer(text, (int64_t)automatic[i].value);
        } else {
            samc__json_put_double(text, automatic[i].value);
        }
    }
    if (samc__json_is_object(given)) samc__write_others(text, given, names, AUTOMATIC);
    samc__json_put(text, "}", 1);
}
