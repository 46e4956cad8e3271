/* CLIP: the towers alone, whose features' cosines say how well a text fits an image. */
#include "runtime/model/text_image.h"

#include <stdio.h>
#include <string.h>

/* What lies beside the file says how images are prepared. */
static void infer(samc__reading *r, samc__text_image_config *config) {
    samc__vision_spec *v = &config->vision;
    const char *file;
    samc__merge_count(r, "img_size", &v->side, true);
    const samc__json json = samc__text_image_preprocessor(r, &file);
    if (json.begin == NULL || r->status != SAMC_OK) return;
    samc__preprocessor_kind(r, file, json, "CLIP");
    const samc__json size = samc__json_get(json, "size"), crop = samc__json_get(json, "crop_size");
    const bool longer = samc__json_is_object(size), wider = samc__json_is_object(crop);
    if (samc__json_kind(samc__json_get(json, "do_center_crop")) == 'f')
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s: %s says do_center_crop false, which samc does not do",
                        r->checkpoint->label, file);
    if (longer && samc__json_get(size, "shortest_edge").begin == NULL)
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s: %s says size without shortest_edge, which samc does not do",
                        r->checkpoint->label, file);
    samc__preprocessor_count(r, file, "size.shortest_edge", longer ? samc__json_get(size, "shortest_edge") : size,
                             v->side);
    samc__preprocessor_count(r, file, "crop_size.height", wider ? samc__json_get(crop, "height") : crop, v->side);
    samc__preprocessor_count(r, file, "crop_size.width", wider ? samc__json_get(crop, "width") : crop, v->side);
    samc__preprocessor_count(r, file, "resample", samc__json_get(json, "resample"), 3);
    samc__preprocessor_pixels(r, file, json, v);
}

const samc__text_image_family samc__family_clip = {
    .name = "CLIP",
    .model_type = "clip",
    .prefix = "",
    .mark = "visual_projection.weight",
    .before = "pre_layrnorm",
    .relate = &samc__relate_clip,
    .infer = infer,
};
