/* The recipe in the metadata "samc.config": read, written, and held against what encoders are used with. */
#include "runtime/model/recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/decimal.h"
#include "runtime/model/huggingface.h"

static const char *const resizes[SAMC__RESIZES] = {"longest_side", "squash"};
static const char *const filters[SAMC__FILTERS] = {"bilinear_antialias" /* Pillow's, in fixed point */,
                                                   "torch_antialias", "torch_antialias_u8", "bilinear",
                                                   "cubic_antialias"};
static const char *const ranges[SAMC__RANGES] = {"bytes", "unit", "min_max"};
static const char *const paths[SAMC__MASK_PATHS] = {"via_square", "direct", "bicubic"};
static const char *const levels[SAMC__LEVELS] = {"as_they_are", "channel_min_max"};
static const char *const asked[SAMC__ASKED] = {"any", "box"};
/* What follows from the resize; files say it for whoever reads them. */
static const char *const orders[SAMC__RESIZES] = {"resize_normalize_pad", "resize_normalize"};
static const char *const pads[SAMC__RESIZES] = {"zero_bottom_right", "none"};
static const char *const channels[] = {"rgb"};

/* ---- Reading --------------------------------------------------------------------------------- */

/* The number of the name that `key` holds; `otherwise` where it is absent or wrong. */
static int read_name(samc__reading *r, samc__json given, const char *key, const char *const *names, int count,
                     int otherwise) {
    const samc__json field = samc__json_get(given, key);
    if (field.begin == NULL) return otherwise;
    for (int i = 0; i < count; i++)
        if (samc__json_equals(field, names[i])) return i;
    if (!samc__json_is_string(field)) {
        samc__read_malformed(r, key, "a string");
        return otherwise;
    }
    char known[160] = "";
    for (int i = 0, used = 0; i < count; i++)
        used += snprintf(known + used, sizeof known - (size_t)used, "%s\"%s\"", i ? ", " : "", names[i]);
    samc__read_fail(r, SAMC_UNSUPPORTED, "%s%sthe model wants its images with %s %s; samc can only do %s",
                    r->where ? r->where : "", r->where ? ": " : "", key,
                    samc__printable(field.begin, (size_t)(field.end - field.begin)).text, known);
    return otherwise;
}

/* Buffers that some fine-tuned checkpoints carry beside the parameters: [3, 1, 1] in SAM. */
static void read_buffer(const samc__checkpoint *checkpoint, const char *name, bool positive, float values[3]) {
    const samc__tensor *tensor = samc__checkpoint_find(checkpoint, name);
    float found[3];
    if (tensor == NULL || tensor->dtype == SAMC__OTHER || samc__tensor_elements(tensor) != 3 ||
        !samc__tensor_fits_f32(tensor))
        return;
    samc__tensor_read_f32(tensor, found);
    for (int i = 0; i < 3; i++)
        if (!isfinite(found[i]) || (positive && found[i] <= 0)) return;
    memcpy(values, found, sizeof found);
}

void samc__recipe_read(samc__reading *r, const samc__recipe *own, samc__recipe *recipe) {
    const int side = recipe->side;
    const samc__json given = samc__read_field(r, "preprocess"), threshold = samc__read_field(r, "mask_threshold"),
                     frame = samc__json_get(given, "frame"), clamp = samc__json_get(given, "logit_clamp");
    *recipe = *own;
    recipe->side = side;
    if (own->frame == 0) recipe->frame = side;
    samc__huggingface_recipe(r, recipe);
    if (own->range == SAMC__RANGE_255) { /* what they are in units of */
        read_buffer(r->checkpoint, "pixel_mean", false, recipe->mean);
        read_buffer(r->checkpoint, "pixel_std", true, recipe->std);
    }
    samc__merge_triple(r, "pixel_mean", recipe->mean, false);
    samc__merge_triple(r, "pixel_std", recipe->std, true);
    if (threshold.begin != NULL) samc__merge_float(r, "mask_threshold", threshold, &recipe->threshold, false);
    if (given.begin == NULL) return;
    if (!samc__json_is_object(given)) samc__read_malformed(r, "preprocess", "an object");
    recipe->resize = (samc__resize)read_name(r, given, "resize", resizes, SAMC__RESIZES, (int)own->resize);
    recipe->filter = (samc__filter)read_name(r, given, "filter", filters, SAMC__FILTERS, (int)own->filter);
    recipe->range = (samc__range)read_name(r, given, "range", ranges, SAMC__RANGES, (int)own->range);
    recipe->masks = (samc__mask_path)read_name(r, given, "masks", paths, SAMC__MASK_PATHS, (int)own->masks);
    read_name(r, given, "order", orders + recipe->resize, 1, 0);
    read_name(r, given, "pad", pads + recipe->resize, 1, 0);
    read_name(r, given, "channels", channels, 1, 0);
    int64_t number;
    if (frame.begin == NULL) number = recipe->frame;
    else if (!samc__json_integer(frame, &number) || number < 1 || number > 8192)
        samc__read_malformed(r, "frame", "a whole number from 1 to 8192");
    else recipe->frame = (int)number;
    if (clamp.begin != NULL) samc__merge_float(r, "logit_clamp", clamp, &recipe->clamp, true);
    recipe->levels = (samc__levels)read_name(r, given, "levels", levels, SAMC__LEVELS, (int)own->levels);
    recipe->asked = (samc__asked)read_name(r, given, "prompts", asked, SAMC__ASKED, (int)own->asked);
    const char sigmoid = samc__json_kind(samc__json_get(given, "sigmoid"));
    if (sigmoid == 't' || sigmoid == 'f') recipe->sigmoid = sigmoid == 't';
    else if (sigmoid != '\0') samc__read_malformed(r, "sigmoid", "true or false");
}

/* ---- Held against encoders ------------------------------------------------------------------- */

bool samc__recipe_is(const samc__recipe *recipe, const samc__recipe *use) {
    return recipe->resize == use->resize && recipe->filter == use->filter && recipe->range == use->range &&
           recipe->masks == use->masks && recipe->frame == (use->frame ? use->frame : recipe->side) &&
           recipe->clamp == use->clamp && recipe->levels == use->levels && recipe->asked == use->asked &&
           recipe->sigmoid == use->sigmoid;
}

samc_status samc__recipe_check(const samc__recipe *recipe, const samc__recipe *uses, int count, const char *label,
                               samc_error *error) {
    for (int i = 0; i < count; i++)
        if (samc__recipe_is(recipe, &uses[i])) return SAMC_OK;
    char more[120] = "";
    size_t used = 0;
    if (recipe->clamp > 0)
        used += (size_t)samc__print(more + used, sizeof more - used, ", logits within %g", (double)recipe->clamp);
    if (recipe->levels != 0)
        used += (size_t)snprintf(more + used, sizeof more - used, ", levels %s", levels[recipe->levels]);
    if (recipe->asked != 0)
        used += (size_t)snprintf(more + used, sizeof more - used, ", asked by %s", asked[recipe->asked]);
    if (recipe->sigmoid) snprintf(more + used, sizeof more - used, ", sigmoid");
    return samc__fail(error, SAMC_UNSUPPORTED,
                      "%s: no encoder of samc is used with the model's recipe (resize %s to %d, filter %s, range %s, "
                      "prompts in %d, masks %s%s)",
                      label, resizes[recipe->resize], recipe->side, filters[recipe->filter], ranges[recipe->range],
                      recipe->frame, paths[recipe->masks], more);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_name(samc__json_text *text, const char *key, const char *name) {
    samc__json_put_key(text, key);
    samc__json_put_string(text, name);
}

/* What comes before the encoder; `preprocess` is left open. */
static void write_input(const samc__recipe *recipe, bool whole, samc__json_text *text) {
    samc__write_triple(text, "pixel_mean", recipe->mean);
    samc__write_triple(text, "pixel_std", recipe->std);
    if (whole) {
        samc__json_put_key(text, "mask_threshold");
        samc__json_put_float(text, recipe->threshold);
    }
    samc__json_put_key(text, "preprocess");
    samc__json_put(text, "{", 1);
    put_name(text, "resize", resizes[recipe->resize]);
    put_name(text, "filter", filters[recipe->filter]);
    put_name(text, "order", orders[recipe->resize]);
    put_name(text, "pad", pads[recipe->resize]);
    put_name(text, "channels", channels[0]);
    /* What SAM has is not said, as in every file before there was anything else. */
    if (recipe->range != SAMC__RANGE_255) put_name(text, "range", ranges[recipe->range]);
    if (recipe->levels != SAMC__LEVELS_AS_THEY_ARE) put_name(text, "levels", levels[recipe->levels]);
}

void samc__recipe_write(const samc__recipe *recipe, samc__json_text *text) {
    write_input(recipe, true, text);
    if (recipe->masks != SAMC__MASKS_VIA_SQUARE) put_name(text, "masks", paths[recipe->masks]);
    if (recipe->frame != recipe->side) samc__write_count(text, "frame", recipe->frame);
    if (recipe->clamp > 0) {
        samc__json_put_key(text, "logit_clamp");
        samc__json_put_float(text, recipe->clamp);
    }
    if (recipe->asked != SAMC__ASKED_ANY) put_name(text, "prompts", asked[recipe->asked]);
    if (recipe->sigmoid) samc__write_flag(text, "sigmoid", true);
    samc__json_put(text, "}", 1);
}

static char *whole_text(samc__json_text *text, const char *end) {
    samc__json_put(text, end, strlen(end));
    if (!text->failed) return text->data;
    free(text->data);
    return NULL;
}

char *samc__recipe_text(const samc__recipe *recipe) {
    samc__json_text text = {0};
    samc__json_put(&text, "{", 1);
    samc__recipe_write(recipe, &text);
    return whole_text(&text, "}");
}

char *samc__recipe_input_text(const samc__recipe *recipe) {
    samc__json_text text = {0};
    samc__json_put(&text, "{", 1);
    write_input(recipe, false, &text);
    return whole_text(&text, "}}");
}
