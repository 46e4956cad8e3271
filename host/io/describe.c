/* What the results of a run depend on. */
#include "host/io/describe.h"

#include "host/io/text.h"
#include "runtime/base/status.h"

json_t *samc__describe_model(const samc_model *model, samc_error *error) {
    static const char *const backends[] = {"auto", "ref", "cpu", "cuda"};           /* in the order of samc_backend */
    static const char *const precisions[] = {"auto", "f32", "f16", "bf16", "int8"}; /* in the order of samc_precision */
    samc_model_info info = SAMC_INIT(samc_model_info);
    char hash[65] = "none";
    if (model != NULL && samc_model_hash(model, hash, error) != SAMC_OK) return NULL;
    if (model != NULL) samc_model_get_info(model, &info);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "samc", samc_version(), "model", hash, "backend",
                             backends[info.backend], "precision", precisions[info.precision]);
    if (json != NULL && model != NULL) {
        json_object_set_new(json, "recipe", json_loads(info.recipe_fields, JSON_DECODE_ANY, NULL));
        json_object_set_new(json, "encoder", json_loads(info.encoder_fields, JSON_DECODE_ANY, NULL));
        if (json_object_size(json) != 6) { /* neither is written otherwise than as JSON */
            json_decref(json);
            json = NULL;
        }
    }
    if (json != NULL && model != NULL && *info.changed) json_object_set_new(json, "set", samc__text_json(info.changed));
    if (json == NULL) samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    return json;
}

bool samc__describe_phrases(const samc_phrases *phrases, const char *key, json_t *json, samc_error *error) {
    char hash[65];
    json_t *list = json_array();
    if (samc_detector_hash(samc_phrases_detector(phrases), hash, error) != SAMC_OK) {
        json_decref(list);
        return false;
    }
    for (int i = 0; i < samc_phrases_count(phrases); i++)
        json_array_append_new(list, samc__text_json(samc_phrases_text(phrases, i)));
    const bool good = json_array_size(list) == (size_t)samc_phrases_count(phrases);
    json_object_set_new(json, key, list);
    json_object_set_new(json, "detector", json_string(hash));
    if (!good) samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    return good;
}
