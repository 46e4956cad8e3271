/* Every address of the server, and the ones that say what it is. */
#include "host/serve/internal.h"
#include "host/serve/assets.h"

#include <string.h>
#include <time.h>

const samc__route samc__routes[] = {
    {"GET", "/", samc__handle_root, false, "/", NULL},
    {"GET", "/page/{id}", samc__handle_page_file, false, "/page", NULL},
    {"GET", "/openapi.json", samc__handle_openapi, true, "/openapi.json", NULL},
    {"GET", "/health", samc__handle_health, true, "/health", NULL},
    {"GET", "/metrics", samc__handle_metrics, false, "/metrics", NULL},
    {"GET", "/v1/model", samc__handle_model, false, "/v1/model", NULL},
    {"POST", "/v1/images", samc__handle_upload, false, "/v1/images", NULL},
    {"GET", "/v1/images/{id}", samc__handle_picture, false, "/v1/images/{id}", NULL},
    {"DELETE", "/v1/images/{id}", samc__handle_forget, false, "/v1/images/{id}", NULL},
    {"POST", "/v1/images/{id}/predict", samc__handle_predict, false, "/v1/images/{id}/predict", NULL},
    {"POST", "/v1/images/{id}/auto", samc__handle_auto, false, "/v1/images/{id}/auto", NULL},
    {"POST", "/v1/images/{id}/text", samc__handle_text, false, "/v1/images/{id}/text", NULL},
    {"GET", "/v1/images/{id}/embedding", samc__handle_embedding_get, false, "/v1/images/{id}/embedding", NULL},
    {"GET", "/v1/images/{id}/pixels", samc__handle_pixels, false, "/v1/images/{id}/pixels", NULL},
    {"GET", "/v1/folder", samc__handle_folder, false, "/v1/folder", NULL},
    {"GET", "/v1/folder/classes", samc__handle_classes_get, false, "/v1/folder/classes", NULL},
    {"PUT", "/v1/folder/classes", samc__handle_classes_put, false, "/v1/folder/classes", NULL},
    {"POST", "/v1/folder/images/{id}", samc__handle_folder_open, false, "/v1/folder/images/{id}", NULL},
    {"GET", "/v1/folder/images/{id}/file", samc__handle_folder_file, false, "/v1/folder/images/{id}/file", NULL},
    {"GET", "/v1/folder/images/{id}/annotations", samc__handle_annotations_get, false,
     "/v1/folder/images/{id}/annotations", NULL},
    {"PUT", "/v1/folder/images/{id}/annotations", samc__handle_annotations_put, false,
     "/v1/folder/images/{id}/annotations", NULL},
    {"POST", "/v1/embeddings", samc__handle_embedding_put, false, "/v1/embeddings", NULL},
    /* X-AnyLabeling's remote server */
    {"GET", "/v1/models", samc__handle_anylabeling_models, false, "/v1/models", samc__tell_anylabeling},
    {"POST", "/v1/predict", samc__handle_anylabeling_predict, false, "/v1/predict", samc__tell_anylabeling},
    /* CVAT, to which this is a Nuclio dashboard */
    {"GET", "/api/functions", samc__handle_cvat_functions, SAMC__TRUSTS, "/api/functions", NULL},
    {"GET", "/api/functions/{id}", samc__handle_cvat_function, SAMC__TRUSTS, "/api/functions", NULL},
    {"POST", "/api/function_invocations", samc__handle_cvat_invoke, SAMC__TRUSTS, "/api/function_invocations", NULL},
    {"POST", "/api/generate", samc__handle_osam, false, "/api/generate", NULL},    /* osam */
    {"POST", "/v1/detection", samc__handle_localai, false, "/v1/detection", NULL}, /* LocalAI */
    /* Label Studio's machine learning backend */
    {"POST", "/setup", samc__handle_studio_setup, false, "/setup", NULL},
    {"POST", "/predict", samc__handle_studio_predict, false, "/predict", NULL},
    {"POST", "/train", samc__handle_studio_event, false, "/train", NULL},
    {"POST", "/webhook", samc__handle_studio_event, false, "/webhook", NULL},
    {"GET", "/versions", samc__handle_studio_versions, false, "/versions", NULL},
    /* Open Inference Protocol: KServe, Triton */
    {"GET", "/v2", samc__handle_inference_server, false, "/v2", NULL},
    {"GET", "/v2/health/live", samc__handle_inference_health, true, "/v2/health", NULL},
    {"GET", "/v2/health/ready", samc__handle_inference_health, true, "/v2/health", NULL},
    {"GET", "/v2/models/{id}", samc__handle_inference_model, false, "/v2/models/{id}", NULL},
    {"GET", "/v2/models/{id}/ready", samc__handle_inference_ready, false, "/v2/models/{id}/ready", NULL},
    {"POST", "/v2/models/{id}/infer", samc__handle_inference, SAMC__TYPELESS, "/v2/models/{id}/infer", NULL},
    {"GET", "/v2/models/{id}/versions/1", samc__handle_inference_model, false, "/v2/models/{id}", NULL},
    {"GET", "/v2/models/{id}/versions/1/ready", samc__handle_inference_ready, false, "/v2/models/{id}/ready", NULL},
    {"POST", "/v2/models/{id}/versions/1/infer", samc__handle_inference, SAMC__TYPELESS, "/v2/models/{id}/infer", NULL},
    {0},
};

static json_t *about(const samc__serve *serve) {
    return json_pack("{s:s, s:s, s:s, s:i, s:I}", "status", "UP", "model", serve->info.name, "version", samc_version(),
                     "models_loaded", 1, "timestamp", (json_int_t)time(NULL));
}

/* Browsers get the page, health checks of Label Studio a word. */
void samc__handle_root(samc__request *r) {
    const char *accept = samc__request_header(r, "Accept");
    if (accept != NULL && strstr(accept, "text/html") != NULL) {
        strcpy(r->id, "index.html");
        samc__handle_page_file(r);
    } else samc__reply_json(r, MHD_HTTP_OK, about(r->serve));
}

void samc__handle_page_file(samc__request *r) {
    for (const samc__asset *asset = samc__assets; asset->name != NULL; asset++)
        if (strcmp(asset->name, r->id) == 0 && asset->type != NULL) {
            samc__reply_constant(r, asset->type, asset->bytes, asset->size);
            return;
        }
    samc__reply_error(r, MHD_HTTP_NOT_FOUND, "the page has no file %s", r->id);
}

void samc__handle_openapi(samc__request *r) {
    for (const samc__asset *asset = samc__assets; asset->name != NULL; asset++)
        if (strcmp(asset->name, "openapi.json") == 0)
            samc__reply_constant(r, "application/json", asset->bytes, asset->size);
}

void samc__handle_health(samc__request *r) {
    if (samc__decoders_gone(r->serve->decoders))
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "images cannot be decoded any more: start the server anew");
    else samc__reply_json(r, MHD_HTTP_OK, about(r->serve));
}

/* What phrases are looked for with, null where nothing is. */
static json_t *about_detector(const samc_detector *detector) {
    samc_detector_info info = SAMC_INIT(samc_detector_info);
    samc_text_options options = SAMC_INIT(samc_text_options);
    if (detector == NULL || samc_detector_get_info(detector, &info) != SAMC_OK) return json_null();
    samc_default_text_options(&options);
    const bool maps = info.kind == SAMC_DETECTOR_MAPS;
    return json_pack("{s:s, s:s, s:f, s:f, s:i}", "name", info.name, "kind", maps ? "maps" : "boxes", "threshold",
                     maps ? 0.3 : 0.1, "nms", options.nms, "context", info.context);
}

/* What an image's embedding is made of: its first level, and finer ones of models that have some. */
static json_t *about_levels(const samc_model *model) {
    json_t *levels = json_array();
    const char *name;
    int channels, side;
    for (int i = 0; samc_model_level(model, i, &name, &channels, &side) == SAMC_OK; i++)
        json_array_append_new(levels, json_pack("{s:s, s:i, s:i}", "name", name, "channels", channels, "side", side));
    return levels;
}

void samc__handle_model(samc__request *r) {
    const samc_model_info *info = &r->serve->info;
    json_t *json =
        json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:f, s:b, s:s, s:i}", "name", info->name, "recipe", info->recipe,
                  "image_size", info->image_size, "embed_channels", info->embed_channels, "grid", info->grid, "low_res",
                  info->low_res, "mask_threshold", (double)info->mask_threshold, "boxes_only", info->boxes_only,
                  "precision", info->arithmetic, "masks", info->multimask_outputs);
    if (json != NULL) {
        samc_auto_options automatic = SAMC_INIT(samc_auto_options);
        samc_default_auto_options(r->serve->options.model, &automatic);
        json_object_set_new(json, "automatic",
                            json_pack("{s:i, s:f, s:f}", "points_per_side", automatic.points_per_side,
                                      "pred_iou_thresh", automatic.pred_iou_thresh, "stability_score_thresh",
                                      automatic.stability_score_thresh));
        json_object_set_new(json, "folder", json_boolean(r->serve->options.folder != NULL));
        json_object_set_new(json, "detector", about_detector(r->serve->options.detector));
        json_object_set_new(json, "squash", json_boolean(info->squash));
        json_object_set_new(json, "levels", about_levels(r->serve->options.model));
        json_object_set_new(json, "max_bytes", json_integer((json_int_t)r->serve->options.body_bytes));
        json_object_set_new(json, "max_pixels", json_integer(r->serve->options.max_pixels));
    }
    samc__reply_json(r, MHD_HTTP_OK, json);
}
