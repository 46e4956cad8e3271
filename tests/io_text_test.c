/* Archives by text: a run of what phrases name, labels of automatic masks, and what a run is continued with. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/io/samc_io.h"
#include "tests/engine.h"
#include "tests/text_family.h"

enum { IMAGES = 5, WIDTH = 64, HEIGHT = 48 };

/* A scratch folder with in/0.png, ...: noise, each image another. */
typedef struct bed {
    char folder[64], in[80], out[80];
    samc_model *model;
    samc_session *session;
    double_net net;
    samc_detector *detector;
} bed;

static bed make_bed(void) {
    bed b = {.folder = "/tmp/samc-text-XXXXXX"};
    static uint8_t pixels[HEIGHT * WIDTH * 3];
    cr_assert_not_null(mkdtemp(b.folder));
    snprintf(b.in, sizeof b.in, "%s/in", b.folder);
    snprintf(b.out, sizeof b.out, "%s/out", b.folder);
    cr_assert_eq(samc_folder_create(b.in, NULL), SAMC_OK);
    for (int i = 0; i < IMAGES; i++) {
        char path[120];
        for (size_t p = 0; p < sizeof pixels; p++) pixels[p] = (uint8_t)((p * 2654435761u >> 7) + (size_t)(i * 40));
        snprintf(path, sizeof path, "%s/%d.png", b.in, i);
        cr_assert_eq(samc_png_write(path, pixels, WIDTH, HEIGHT, 3, NULL), SAMC_OK);
    }
    b.model = open_model(SAMC_BACKEND_CPU, 1);
    b.session = open_session(b.model);
    return b; /* its detector is wrapped where it stays */
}

static void end_bed(bed *b) {
    char command[128];
    samc_session_destroy(b->session);
    samc_model_close(b->model);
    samc_detector_close(b->detector);
    snprintf(command, sizeof command, "rm -rf %s", b->folder);
    cr_assert_eq(system(command), 0);
}

static samc_phrases *phrases_of(const bed *b, const char *const *strings, int count,
                                const samc_phrase_options *options) {
    samc_phrases *phrases = NULL;
    samc_error error;
    cr_assert_eq(samc_phrases_create(b->detector, strings, count, options, &phrases, &error), SAMC_OK, "%s",
                 error.message);
    return phrases;
}

/* Ends a run after some images. */
typedef struct stopper {
    samc_archive *archive;
    int left;
} stopper;
static samc_status count_down(void *context, const samc_archive_image *image, samc_error *error) {
    stopper *s = context;
    (void)error;
    cr_expect_null(image->error, "%s", image->error);
    if (--s->left == 0) samc_archive_stop(s->archive);
    return SAMC_OK;
}

/* A run; `after` > 0: it is stopped then. */
static samc_status run(bed *b, const samc_archive_text *text, unsigned formats, bool resume, int after,
                       samc_error *error) {
    samc_archive_options options = SAMC_INIT(samc_archive_options);
    samc_archive *archive = NULL;
    const char *inputs[1] = {b->in};
    const bool no_model = text->options != NULL && text->options->boxes_only;
    samc_session *session = no_model ? NULL : b->session; /* also the one that an archive before was stopped with */
    samc_auto_options automatic = SAMC_INIT(samc_auto_options);
    samc_default_auto_options(b->model, &automatic);
    automatic.points_per_side = 4;
    automatic.pred_iou_thresh = automatic.stability_score_thresh = 0;
    samc_archive_default_options(&options, NULL);
    options.inputs = inputs, options.input_count = 1, options.output = b->out, options.formats = formats;
    options.resume = resume, options.no_sync = true, options.batch_images = 1, options.queue = 1;
    options.load_threads = options.write_threads = 1;
    samc_status status = samc_archive_open(&options, &archive, error);
    if (status == SAMC_OK) status = samc_archive_set_text(archive, text, error);
    if (status == SAMC_OK) status = samc_archive_begin(archive, no_model ? NULL : b->model, &automatic, error);
    stopper s = {archive, after};
    const samc_archive_events events = {.size = sizeof events, .context = &s, .image = count_down};
    if (status == SAMC_OK) status = samc_archive_run(archive, &session, 1, &events, error);
    samc_archive_close(archive);
    return status;
}

static char *slurp(const bed *b, const char *name) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", b->out, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    char *text = calloc(1, 1 << 22);
    cr_assert(fread(text, 1, (1 << 22) - 1, file) > 0);
    fclose(file);
    return text;
}

static json_t *parse(const char *text) {
    json_error_t why;
    json_t *json = json_loads(text, 0, &why);
    cr_assert_not_null(json, "%s at %d", why.text, why.position);
    return json;
}

static const char *text_at(const json_t *object, const char *key) {
    return json_string_value(json_object_get(object, key));
}

Test(io_text, a_run_of_phrases_survives_a_stop_and_has_their_categories) {
    bed b = make_bed();
    b.detector = wrap(&finds_boxes, &b.net);
    samc_phrases *phrases = phrases_of(&b, (const char *[]){"the \"b\" c", "a"}, 2, NULL);
    const samc_archive_text text = {.size = sizeof text, .phrases = phrases};
    const unsigned formats = SAMC_OUTPUT_COCO | SAMC_OUTPUT_JSONL | SAMC_OUTPUT_PNG;
    samc_error error;
    cr_assert_eq(run(&b, &text, formats, false, 0, &error), SAMC_OK, "%s", error.message);
    char *whole = slurp(&b, "annotations.json"), *lines = slurp(&b, "masks.jsonl");
    json_t *coco = parse(whole), *categories = json_object_get(coco, "categories"),
           *annotations = json_object_get(coco, "annotations");
    cr_assert_eq(json_array_size(categories), 2);
    cr_expect_str_eq(text_at(json_array_get(categories, 0), "name"), "the \"b\" c");
    cr_expect_str_eq(text_at(json_array_get(categories, 1), "name"), "a");
    cr_expect_eq(json_integer_value(json_object_get(json_array_get(categories, 1), "id")), 2);
    cr_assert_eq(json_array_size(annotations), 2 * IMAGES);
    for (size_t i = 0; i < 2 * IMAGES; i++) { /* "a" is surer */
        const json_t *a = json_array_get(annotations, i);
        cr_expect_eq(json_integer_value(json_object_get(a, "category_id")), i % 2 ? 1 : 2);
        cr_expect_str_eq(text_at(a, "label"), i % 2 ? "the \"b\" c" : "a");
        cr_expect_eq(json_real_value(json_array_get(json_object_get(a, "box"), 0)), i % 2 ? 16 : 0);
        cr_expect(json_real_value(json_object_get(a, "score")) > 0.85);
        cr_expect(json_is_object(json_object_get(a, "segmentation")));
    }
    json_decref(coco);
    char *table = slurp(&b, "0.png/metadata.csv");
    cr_expect(strstr(table, "crop_box_h,label,score\n0,") != NULL, "%s", table);
    cr_expect(strstr(table, ",\"the \"\"b\"\" c\",0.8") != NULL, "%s", table);
    free(table);
    /* The same in two pieces, into another folder. */
    strcat(b.out, "2");
    samc_status status = run(&b, &text, formats, false, 2, &error);
    cr_assert(status == SAMC_STOPPED || status == SAMC_OK);
    /* With other phrases, another order, another detector, another threshold it is another run. */
    samc_phrases *others[2] = {phrases_of(&b, (const char *[]){"a", "the \"b\" c"}, 2, NULL),
                               phrases_of(&b, (const char *[]){"a"}, 1, NULL)};
    for (int i = 0; i < 2; i++) {
        const samc_archive_text other = {.size = sizeof other, .phrases = others[i]};
        cr_expect_eq(run(&b, &other, formats, true, 0, &error), SAMC_MISMATCH);
        cr_expect(strstr(error.message, "phrases is [") != NULL, "%s", error.message);
        samc_phrases_free(others[i]);
    }
    samc_text_options strict = SAMC_INIT(samc_text_options);
    samc_default_text_options(&strict);
    strict.threshold = 0.2;
    const samc_archive_text stricter = {.size = sizeof stricter, .phrases = phrases, .options = &strict};
    cr_expect_eq(run(&b, &stricter, formats, true, 0, &error), SAMC_MISMATCH);
    cr_expect(strstr(error.message, "threshold is 0.2") != NULL, "%s", error.message);
    b.net.spoilt = true; /* its hash is another */
    cr_expect_eq(run(&b, &text, formats, true, 0, &error), SAMC_MISMATCH);
    cr_expect(strstr(error.message, "detector is \"11\"") != NULL, "%s", error.message);
    b.net.spoilt = false;
    const samc_archive_text none = {.size = sizeof none};
    cr_expect_eq(run(&b, &none, formats, true, 0, &error), SAMC_MISMATCH); /* samc auto */
    cr_assert_eq(run(&b, &text, formats, true, 0, &error), SAMC_OK, "%s", error.message);
    char *again = slurp(&b, "annotations.json"), *lines_again = slurp(&b, "masks.jsonl");
    cr_expect_str_eq(again, whole);
    cr_expect_str_eq(lines_again, lines);
    free(again);
    free(lines_again);
    free(whole);
    free(lines);
    samc_phrases_free(phrases);
    end_bed(&b);
}

Test(io_text, boxes_alone_need_no_model_of_masks) {
    bed b = make_bed();
    b.detector = wrap(&finds_boxes, &b.net);
    samc_phrases *phrases = phrases_of(&b, (const char *[]){"b", "c"}, 2, NULL);
    samc_text_options boxes = SAMC_INIT(samc_text_options);
    samc_default_text_options(&boxes);
    boxes.boxes_only = true, boxes.top = 1;
    const samc_archive_text text = {.size = sizeof text, .phrases = phrases, .options = &boxes};
    samc_error error;
    cr_expect_eq(run(&b, &text, SAMC_OUTPUT_PNG, false, 0, &error), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(run(&b, &text, SAMC_OUTPUT_COCO | SAMC_OUTPUT_RLE, false, 0, &error), SAMC_OK, "%s", error.message);
    char *whole = slurp(&b, "annotations.json"), *list = slurp(&b, "3.png.json");
    json_t *coco = parse(whole), *annotations = json_object_get(coco, "annotations"), *records = parse(list);
    cr_assert_eq(json_array_size(annotations), IMAGES);
    const json_t *first = json_array_get(annotations, 0), *bbox = json_object_get(first, "bbox");
    const double expected[4] = {8, 4, 8, 40};
    for (size_t i = 0; i < 4; i++) cr_expect_eq(json_number_value(json_array_get(bbox, i)), expected[i]);
    cr_expect_eq(json_number_value(json_object_get(first, "area")), 320);
    cr_expect_eq(json_array_size(json_object_get(first, "segmentation")), 0);
    cr_assert_eq(json_array_size(records), 1);
    cr_expect_str_eq(text_at(json_array_get(records, 0), "label"), "b");
    cr_expect_null(json_object_get(json_array_get(records, 0), "segmentation"));
    json_decref(coco);
    json_decref(records);
    free(whole);
    free(list);
    samc_phrases_free(phrases);
    end_bed(&b);
}

Test(io_text, automatic_masks_get_labels) {
    bed b = make_bed();
    b.detector = wrap(&makes_maps, &b.net);
    samc_phrase_options options = SAMC_INIT(samc_phrase_options);
    samc_default_label_options(&options);
    samc_phrases *labels = phrases_of(&b, (const char *[]){"red a", "green b", "blue c"}, 3, &options);
    const samc_archive_text text = {.size = sizeof text, .labels = labels}, none = {.size = sizeof none},
                            both = {.size = sizeof both, .labels = labels, .phrases = labels};
    const unsigned formats = SAMC_OUTPUT_COCO;
    samc_error error;
    cr_expect_eq(run(&b, &both, formats, false, 0, &error), SAMC_INVALID_ARGUMENT);
    cr_assert_eq(run(&b, &text, formats, false, 0, &error), SAMC_OK, "%s", error.message);
    char *labelled = slurp(&b, "annotations.json");
    strcat(b.out, "2");
    cr_assert_eq(run(&b, &none, formats, false, 0, &error), SAMC_OK, "%s", error.message);
    char *plain = slurp(&b, "annotations.json");
    json_t *with = parse(labelled), *without = parse(plain), *annotations = json_object_get(with, "annotations"),
           *others = json_object_get(without, "annotations");
    cr_assert(json_array_size(annotations) > 0);
    cr_assert_eq(json_array_size(annotations), json_array_size(others));
    cr_expect_eq(json_array_size(json_object_get(with, "categories")), 4); /* background is the last */
    cr_expect_eq(b.net.images, (int)json_array_size(annotations));
    cr_expect_eq(b.net.texts, 4 * 4); /* once a run */
    for (size_t i = 0; i < json_array_size(annotations); i++) {
        json_t *a = json_array_get(annotations, i);
        json_int_t category = json_integer_value(json_object_get(a, "category_id"));
        cr_assert(category >= 1 && category <= 4);
        cr_expect_str_eq(text_at(a, "label"), samc_phrases_text(labels, (int)category - 1));
        cr_expect(json_real_value(json_object_get(a, "score")) > 0.25);
        json_object_del(a, "label"), json_object_del(a, "score");
        json_object_set_new(a, "category_id", json_integer(1));
    }
    cr_expect(json_equal(annotations, others)); /* nothing else has changed */
    json_decref(with);
    json_decref(without);
    free(labelled);
    free(plain);
    samc_phrases_free(labels);
    end_bed(&b);
}
