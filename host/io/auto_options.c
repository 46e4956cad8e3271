/* The options of automatic masks by the names that scripts/amg.py of the original gives them. */
#include "host/io/auto_options.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/abi.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

/* Each sets one number, with what samc_auto_check() takes. A threshold beyond 0 to 1 turns its filter off, one way or
 * the other, as in amg.py. */
typedef enum kind { WHOLE, REAL, FLAG /* 0 or 1 */ } kind;
static const struct {
    const char *name;
    kind kind;
    size_t offset; /* in samc_auto_options */
    double least, most;
} numbers[] = {
    {"points-per-side", WHOLE, offsetof(samc_auto_options, points_per_side), 1, 1024},
    {"points-per-batch", WHOLE, offsetof(samc_auto_options, points_per_batch), 1, 4096},
    {"pred-iou-thresh", REAL, offsetof(samc_auto_options, pred_iou_thresh), -1000, 1000},
    {"stability-score-thresh", REAL, offsetof(samc_auto_options, stability_score_thresh), -1000, 1000},
    {"stability-score-offset", REAL, offsetof(samc_auto_options, stability_score_offset), 0, 1e6},
    {"box-nms-thresh", REAL, offsetof(samc_auto_options, box_nms_thresh), -1000, 1000},
    {"crop-n-layers", WHOLE, offsetof(samc_auto_options, crop_n_layers), 0, 6},
    {"crop-nms-thresh", REAL, offsetof(samc_auto_options, crop_nms_thresh), -1000, 1000},
    {"crop-overlap-ratio", REAL, offsetof(samc_auto_options, crop_overlap_ratio), 0, 0.999},
    {"crop-n-points-downscale-factor", WHOLE, offsetof(samc_auto_options, crop_n_points_downscale_factor), 1, 1024},
    {"min-mask-region-area", WHOLE, offsetof(samc_auto_options, min_mask_region_area), 0, 999999999},
    {"multimask-output", FLAG, offsetof(samc_auto_options, multimask_output), 0, 1},
    {"use-m2m", FLAG, offsetof(samc_auto_options, use_m2m), 0, 1},
};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

const char *samc_auto_option(int index) { return index >= 0 && index < NUMBERS ? numbers[index].name : NULL; }

/* A decimal number and nothing else: digits, or what strtod() takes of a number without blanks, names and hexadecimal.
 */
static bool parse(const char *text, kind kind, double *value) {
    char *end;
    size_t length = strlen(text);
    if (length == 0 || strspn(text, kind == REAL ? "0123456789.eE+-" : "0123456789") != length) return false;
    if (kind != REAL && length > 9) return false;
    *value = samc__read_double(text, &end);
    return *end == '\0';
}

static bool same_name(const char *a, const char *b) {
    for (; *a != '\0' && *a == (*b == '_' ? '-' : *b); a++) b++;
    return *a == '\0' && *b == '\0';
}

samc_status samc_auto_set(samc_auto_options *options, const char *name, const char *text, samc_error *error) {
    int i = 0;
    double value;
    SAMC__TRY(samc__abi_check_size(SAMC__ABI(samc_auto_options), options, error));
    if (name == NULL || text == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_auto_set: no name or no number");
    while (i < NUMBERS && !same_name(numbers[i].name, name)) i++;
    if (i == NUMBERS) return samc__fail(error, SAMC_INVALID_ARGUMENT, "automatic masks have no option '%.60s'", name);
    if (!parse(text, numbers[i].kind, &value) || !(value >= numbers[i].least && value <= numbers[i].most))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s is a %snumber from %.9g to %.9g, not '%.200s'",
                          numbers[i].name, numbers[i].kind == REAL ? "" : "whole ", numbers[i].least, numbers[i].most,
                          text);
    void *field = (char *)options + numbers[i].offset;
    if (numbers[i].kind == WHOLE) *(int *)field = (int)value;
    else if (numbers[i].kind == FLAG) *(bool *)field = value != 0;
    else *(double *)field = value;
    return SAMC_OK;
}

void samc__auto_options_describe(const samc_auto_options *options, json_t *object) {
    for (int i = 0; i < NUMBERS; i++) {
        const char *field = (const char *)options + numbers[i].offset;
        if (numbers[i].offset == offsetof(samc_auto_options, points_per_batch)) continue; /* never changes the result */
        /* What no model but SAM 2 is asked for is said where it is asked for: runs from before there was that go on. */
        if (numbers[i].kind == FLAG &&
            *(const bool *)field == (numbers[i].offset == offsetof(samc_auto_options, multimask_output)))
            continue;
        json_object_set_new(object, numbers[i].name,
                            numbers[i].kind == FLAG    ? json_boolean(*(const bool *)field)
                            : numbers[i].kind == WHOLE ? json_integer(*(const int *)field)
                                                       : json_real(*(const double *)field));
    }
}
