/* Everything of the library that reads or writes numbers as text, in a process whose locale is another one: for
 * locale_test.py, which holds what is printed and written in de_DE against the same in "C".
 *
 *     locale_run LOCALE MODEL SERIES OUT      OUT: a folder that is there */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/samc_io.h"

static samc_error error;
static const char *out;

static void check(samc_status status, const char *what) {
    if (status == SAMC_OK) return;
    printf("%s: %s\n", what, error.message);
    exit(1);
}

static void refuse(samc_status status, const char *what) {
    printf("%s: %s\n", what, status == SAMC_OK ? "taken" : error.message);
}

/* By its bits, which no locale turns. */
static void show(const char *what, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    printf("%s %016llx\n", what, (unsigned long long)bits);
}

static const char *at(const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", out, name);
    return path;
}

static void texts(void) {
    static const char *const scales[] = {"0.5,2.25", "P0.5-99.5", "window:40.5,400.25", "minmax"};
    float point[2], box[4], values[64];
    int32_t label;
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    check(samc_parse_point("1.5,-2.25,1", point, &label, &error), "point");
    check(samc_parse_box("0.125,1.5,7.75,8e0", box, &error), "box");
    for (int i = 0; i < 2; i++) show("point", (double)point[i]);
    for (int i = 0; i < 4; i++) show("box", (double)box[i]);
    check(samc_auto_set(&automatic, "pred-iou-thresh", "0.875", &error), "option");
    show("option", automatic.pred_iou_thresh);
    refuse(samc_auto_set(&automatic, "box-nms-thresh", "7.5", &error), "option");
    for (int i = 0; i < 64; i++) values[i] = (float)i * 0.375f;
    const samc_samples samples = {sizeof samples, values, 8, 8, 1, 32, SAMC_SAMPLE_F32, 0};
    for (int i = 0; i < 4; i++) {
        uint8_t rgb[192];
        char json[160];
        samc_scale applied = SAMC_INIT(samc_scale);
        check(samc_samples_scale(&samples, scales[i], rgb, &applied, &error), scales[i]);
        check(samc_scale_json(&applied, json, &error), "json");
        printf("%s %d %d\n", json, rgb[30], rgb[99]);
    }
    refuse(samc_scale_check("3.5,1.25", &error), "scale");
}

static void write_masks(const samc_masks *masks) {
    static const samc_output outputs[] = {SAMC_OUTPUT_RLE, SAMC_OUTPUT_JSONL, SAMC_OUTPUT_COCO, SAMC_OUTPUT_SA1B};
    check(samc_masks_write(masks, 1, SAMC_OUTPUT_PNG, at("pictures"), &error), "pictures");
    for (int i = 0; i < 4; i++) {
        char *text;
        size_t size;
        check(samc_masks_text(masks, 1, outputs[i], &text, &size, &error), "text");
        printf("%s\n", text);
        samc_io_free(text);
    }
}

static void pictures(samc_session *session, const samc_model *model) {
    static uint8_t pixels[32 * 40 * 3];
    const char json[] = "[{\"points\": [[10.5, 12.25], [3.5, 4]], \"labels\": [1, 0], \"box\": [1.5, 2, 30.25, 29.5]}]";
    samc_prompts *prompts = NULL;
    samc_result *result = NULL;
    samc_mask mask = SAMC_INIT(samc_mask);
    samc_scale scale = {sizeof scale, "range", 0.5, 2.25, SAMC_SAMPLE_F32};
    for (int i = 0; i < 32 * 40 * 3; i++) pixels[i] = (uint8_t)(i * i / 97);
    const samc_image image = {
        .size = sizeof image, .pixels = pixels, .width = 40, .height = 32, .row_bytes = (ptrdiff_t)120};
    check(samc_prompts_parse(json, strlen(json), "prompts", &prompts, &error), "prompts");
    check(samc_session_check(session, samc_set_image(session, &image), "image", &error), "image");
    check(samc_session_check(session, samc_predict(session, samc_prompts_at(prompts, 0), 1, true, &result), "prompt",
                             &error),
          "prompt");
    check(samc_session_check(session, samc_result_mask(session, result, 0, 1, &mask), "mask", &error), "mask");
    show("iou", (double)mask.predicted_iou);
    const samc_masks masks = {.size = sizeof masks,
                              .source = "a.png",
                              .width = 40,
                              .height = 32,
                              .image = &image,
                              .masks = &mask,
                              .count = 1,
                              .scale = &scale};
    write_masks(&masks);
    check(samc_embedding_save(session, model, at("x.safetensors"), &error), "embedding");
    refuse(samc_prompts_check(prompts, "prompts", 5, 5, &error), "prompts");
    samc_result_free(result);
    samc_prompts_free(prompts);
}

static void volumes(samc_session *session, const samc_model *model, const char *path) {
    samc_volume *volume = NULL;
    samc_annotations *marks = NULL;
    samc_segmentation *result = NULL;
    samc_volume_info info = SAMC_INIT(samc_volume_info);
    samc_scale scale = SAMC_INIT(samc_scale);
    samc_propagate_options options = SAMC_INIT(samc_propagate_options);
    const float point[2] = {20.5f, 16.25f}, outside[2] = {99.5f, 1.25f};
    samc_volume_prompt prompt = {.size = sizeof prompt, .slice = 1, .points = point, .point_count = 1};
    check(samc_volume_open(path, NULL, &volume, &error), "volume");
    check(samc_volume_get_info(volume, &info, &error), "info");
    check(samc_volume_get_scale(volume, &scale, &error), "scale");
    for (int i = 0; i < 12; i++) show("affine", info.affine[i / 4][i % 4]);
    printf("note %s\nscale %s\n", info.note, scale.name);
    show("low", scale.low);
    show("high", scale.high);
    check(samc_annotations_create(volume, 2, &marks, &error), "annotations");
    check(samc_annotations_object(marks, "one", NULL, &error), "object");
    check(samc_annotations_add(marks, &prompt, &error), "prompt");
    prompt.points = outside;
    refuse(samc_annotations_add(marks, &prompt, &error), "prompt");
    check(samc_propagate_default_options(&options, &error), "options");
    options.least_iou = 7.5;
    refuse(samc_propagate(session, model, volume, marks, &options, &result, &error), "option");
    options.least_iou = 0.125;
    options.journal = at("journal");
    check(samc_propagate(session, model, volume, marks, &options, &result, &error), "propagate");
    check(samc_segmentation_write(result, volume, at("masks.json"), &error), "masks");
    check(samc_segmentation_write(result, volume, at("labels.nii"), &error), "labels");
    check(samc_segmentation_write(result, volume, at("labels.dcm"), &error), "segmentation");
    samc_segmentation_free(result);
    samc_annotations_free(marks);
    samc_volume_close(volume);
}

int main(int argc, char **argv) {
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_model_info info = SAMC_INIT(samc_model_info);
    if (argc != 5 || setlocale(LC_ALL, argv[1]) == NULL) {
        fprintf(stderr, "locale_run: no locale %s\n", argc > 1 ? argv[1] : "");
        return 1;
    }
    fprintf(stderr, "%.1f\n", 0.5); /* what the test sees that it is another one by */
    out = argv[4];
    texts();
    const char *const settings[] = {"mask_threshold=1e300", NULL};
    const samc_options wrong = {.size = sizeof wrong, .settings = settings};
    refuse(samc_model_open(argv[2], &wrong, &model, &error), "settings");
    check(samc_model_open(argv[2], NULL, &model, &error), "model");
    samc_model_get_info(model, &info);
    printf("%s\n%s\n%s\n", info.recipe, info.recipe_fields, info.settings ? info.settings : "");
    check(samc_session_create(model, &session, &error), "session");
    pictures(session, model);
    volumes(session, model, argv[3]);
    samc_session_destroy(session);
    samc_model_close(model);
    return 0;
}
