/* Text as a prompt without a trained model: the public calls over a family of the tests' own, which finds what it
 * is told to. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "runtime/session.h"
#include "tests/engine.h"
#include "tests/text_family.h"

static samc_phrases *encode(const samc_detector *detector, const char *const *strings, int count,
                            const samc_phrase_options *options) {
    samc_phrases *phrases = NULL;
    samc_error error;
    cr_assert_eq(samc_phrases_create(detector, strings, count, options, &phrases, &error), SAMC_OK, "%s",
                 error.message);
    return phrases;
}

static uint8_t pixels[48 * 64 * 3];
static const samc_image picture = {sizeof picture, pixels, 64, 48, 64 * 3};

Test(text, phrases_are_checked_and_encoded_in_batches) {
    double_net net = {0};
    samc_detector *detector = wrap(&finds_boxes, &net);
    samc_phrases *phrases = NULL;
    samc_error error;
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "phrase 2 is empty"},
               {" \t\n", "phrase 2 is empty"},
               {"caf\xe9", "phrase 2 is not UTF-8, from byte 4 on"},
               {"\xed\xa0\x80", "not UTF-8"},
               {NULL, "phrase 2: NULL"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(samc_phrases_create(detector, (const char *[]){"a", bad[i].text}, 2, NULL, &phrases, &error),
                     SAMC_INVALID_ARGUMENT);
        cr_expect(strstr(error.message, bad[i].why) != NULL, "%s", error.message);
        cr_expect_null(phrases);
    }
    cr_expect_eq(net.texts, 0);
    static const char *many[10000];
    for (int i = 0; i < 10000; i++) many[i] = i % 2 ? "a" : " a long one h ";
    phrases = encode(detector, many, 10000, NULL);
    cr_expect_eq(samc_phrases_count(phrases), 10000);
    cr_expect_str_eq(samc_phrases_text(phrases, 0), "a long one h");
    cr_expect(samc_phrases_cut(phrases, 0) && !samc_phrases_cut(phrases, 1) && !samc_phrases_cut(phrases, 10000));
    cr_expect_eq(phrases->features[LETTERS - 1], 1);
    cr_expect_eq(phrases->features[LETTERS * 9999], 1);
    cr_expect_eq(net.texts, 10000);
    cr_expect_eq(net.batches, (10000 + 63) / 64);
    /* Those that were encoded go on without being encoded again. */
    samc_phrases *picked = NULL, *of_other = NULL;
    const samc_phrases *from[2] = {phrases, phrases};
    cr_assert_eq(samc_phrases_pick(from, (const int[]){9999, 0}, 2, &picked, &error), SAMC_OK);
    cr_expect(samc_phrases_count(picked) == 2 && net.texts == 10000);
    cr_expect_str_eq(samc_phrases_text(picked, 0), "a");
    cr_expect_str_eq(samc_phrases_text(picked, 1), "a long one h");
    cr_expect(!samc_phrases_cut(picked, 0) && samc_phrases_cut(picked, 1));
    cr_expect(picked->features[0] == 1 && picked->features[2 * LETTERS - 1] == 1);
    samc_phrases_free(picked);
    cr_expect_eq(samc_phrases_pick(from, (const int[]){0, 10000}, 2, &picked, &error), SAMC_INVALID_ARGUMENT);
    double_net second = {0};
    samc_detector *other = wrap(&finds_boxes, &second);
    from[1] = of_other = encode(other, (const char *[]){"b"}, 1, NULL);
    cr_expect_eq(samc_phrases_pick(from, (const int[]){0, 0}, 2, &picked, &error), SAMC_MISMATCH);
    samc_phrases_free(of_other);
    samc_detector_close(other);
    samc_phrases_free(phrases);
    samc_detector_close(detector);
    cr_expect_eq(net.closed, 1);
}

Test(text, a_scene_serves_any_number_of_phrases) {
    double_net net = {0};
    samc_detector *detector = wrap(&finds_boxes, &net);
    samc_error error;
    samc_scene *scene = NULL;
    cr_assert_eq(samc_scene_create(detector, &picture, &scene, &error), SAMC_OK);
    static const char *many[10000];
    for (int i = 0; i < 10000; i++) many[i] = "h";
    many[7777] = "c";
    samc_phrases *phrases = encode(detector, many, 10000, NULL),
                 *few = encode(detector, (const char *[]){"b"}, 1, NULL);
    samc_detection found[3] = {SAMC_INIT(samc_detection)};
    int count;
    cr_assert_eq(samc_scene_detect(scene, phrases, NULL, found, 3, &count, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(count, 2);
    cr_expect_eq(found[0].phrase, 7777);
    cr_expect_eq(found[1].phrase, 0);
    cr_expect_eq(found[0].box[0], 16);
    cr_expect_eq(net.classified, 10000);
    cr_assert_eq(samc_scene_detect(scene, few, NULL, NULL, 0, &count, &error), SAMC_OK);
    cr_expect_eq(count, 1);
    const samc_text_options strict = {.size = sizeof strict, .threshold = 0.95, .nms = 0.3};
    cr_assert_eq(samc_scene_detect(scene, few, &strict, NULL, 0, &count, &error), SAMC_OK);
    cr_expect_eq(count, 0);
    cr_expect_eq(net.seen, 1);
    float map[4];
    cr_expect_eq(samc_scene_map(scene, few, 0, map, &error), SAMC_UNSUPPORTED);
    net.spoilt = true;
    cr_expect_eq(samc_scene_detect(scene, few, NULL, NULL, 0, &count, &error), SAMC_NUMERIC);
    samc_phrases_free(phrases);
    samc_phrases_free(few);
    samc_scene_free(scene);
    samc_detector_close(detector);
}

/* Masks of two images, checked against prompts of one's own. */
typedef struct taken {
    int calls, count[2];
    samc_mask masks[2][LETTERS];
    samc_status answer;
} taken;
static samc_status take(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    taken *t = context;
    cr_assert(count <= LETTERS && stats->kept == count);
    t->calls++;
    t->count[image] = count;
    for (int i = 0; i < count; i++) t->masks[image][i] = *samc_mask_at(masks, i);
    if (count > 0) samc_runs_keep(masks[0].runs);
    return t->answer;
}

static void expect_like(samc_session *session, const samc_prompt *prompt, const samc_mask *mask) {
    samc_result *result = NULL;
    samc_mask own = SAMC_INIT(samc_mask);
    cr_assert_eq(samc_predict(session, prompt, 1, false, &result), SAMC_OK, "%s", samc_last_error(session));
    cr_assert_eq(samc_result_mask(session, result, 0, 0, &own), SAMC_OK);
    cr_assert_eq(own.rle_length, mask->rle_length);
    char *mine = calloc(1, own.rle_length + 1), *theirs = calloc(1, own.rle_length + 1);
    cr_assert(samc_mask_rle(&own, mine, NULL) == SAMC_OK && samc_mask_rle(mask, theirs, NULL) == SAMC_OK);
    cr_expect_str_eq(mine, theirs);
    cr_expect_eq(own.predicted_iou, mask->predicted_iou);
    free(mine);
    free(theirs);
    samc_result_free(result);
}

static void draw(void) {
    for (int i = 0; i < 48 * 64; i++)
        for (int c = 0; c < 3; c++) pixels[3 * i + c] = (uint8_t)((i * 7 + c * 50 + i / 64 * 3) % 256);
}

typedef struct hearing {
    int lasts, calls; /* calls before it has enough */
    int64_t done, total;
} hearing;

static samc_status hear(void *context, int image, int64_t done, int64_t total) {
    hearing *h = context;
    (void)image;
    h->done = done, h->total = total;
    return h->calls++ < h->lasts ? SAMC_OK : SAMC_STOPPED;
}

Test(text, masks_of_boxes_are_those_of_their_prompts) {
    double_net net = {0};
    samc_detector *detector = wrap(&finds_boxes, &net);
    samc_phrases *phrases = encode(detector, (const char *[]){"a red f", "a"}, 2, NULL);
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    samc_error error;
    taken t = {0};
    draw();
    const samc_image two[2] = {picture, {sizeof picture, pixels, 32, 48, 64 * 3}};
    cr_assert_eq(samc_text(session, phrases, two, 2, NULL, take, &t, &error), SAMC_OK, "%s", error.message);
    cr_assert(t.calls == 2 && t.count[0] == 2 && t.count[1] == 2);
    cr_expect_eq(net.seen, 2);
    cr_expect_eq(net.texts, 2); /* once for all images */
    const samc_mask *first = &t.masks[0][0], *second = &t.masks[0][1];
    cr_expect_str_eq(first->label, "a");
    cr_expect_str_eq(second->label, "a red f");
    cr_expect(first->phrase == 1 && second->phrase == 0 && second->prompt == 1 && second->index == 1);
    cr_expect_float_eq(first->score, 1 / (1 + expf(-2)), 1e-6);
    const float box[4] = {40, 4, 48, 44};
    cr_expect_arr_eq(second->box, box, sizeof box);
    cr_expect(first->width == 64 && first->height == 48 && t.masks[1][0].width == 32);
    cr_assert_eq(samc_set_image(session, &picture), SAMC_OK);
    expect_like(session, &(samc_prompt){.size = sizeof(samc_prompt), .box = second->box}, second);
    /* From an embedding and a scene that are there: the same, and nothing is encoded. */
    samc_embedding *embedding = NULL;
    samc_scene *scene = NULL;
    cr_assert_eq(samc_embedding_of(session, 0, &embedding), SAMC_OK);
    cr_assert_eq(samc_scene_create(detector, &picture, &scene, &error), SAMC_OK);
    cr_expect(samc_scene_bytes(scene) > sizeof picture && samc_scene_bytes(NULL) == 0);
    taken again = {0};
    cr_assert_eq(samc_text_on(session, embedding, scene, phrases, NULL, take, &again, &error), SAMC_OK, "%s",
                 error.message);
    cr_expect_eq(net.seen, 3);
    cr_assert_eq(again.count[0], 2);
    for (int i = 0; i < 2; i++) {
        const samc_mask *mask = &again.masks[0][i];
        cr_expect(strcmp(mask->label, t.masks[0][i].label) == 0 && mask->score == t.masks[0][i].score);
        expect_like(session, &(samc_prompt){.size = sizeof(samc_prompt), .box = mask->box}, &t.masks[0][i]);
        cr_expect_eq(mask->area, t.masks[0][i].area);
    }
    samc_runs_release(again.masks[0][0].runs);
    /* Whoever hears of the progress may end it, before the masks or behind them. */
    samc_text_options heard = SAMC_INIT(samc_text_options);
    cr_assert_eq(samc_default_text_options(&heard), SAMC_OK);
    for (int lasts = 0; lasts < 3; lasts++) {
        hearing h = {.lasts = lasts};
        taken ended = {0};
        heard.progress = hear, heard.progress_context = &h;
        cr_expect_eq(samc_text_on(session, embedding, scene, phrases, &heard, take, &ended, &error),
                     lasts < 2 ? SAMC_STOPPED : SAMC_OK);
        cr_expect(ended.calls == (lasts == 2) && h.calls == (lasts < 2 ? lasts + 1 : 2) && h.total == 2);
        cr_expect_eq(h.done, lasts == 0 ? 0 : 2);
        if (lasts == 2) samc_runs_release(ended.masks[0][0].runs);
    }
    samc_scene *other = NULL;
    cr_assert_eq(samc_scene_create(detector, &two[1], &other, &error), SAMC_OK);
    cr_expect_eq(samc_text_on(session, embedding, other, phrases, NULL, take, &again, &error), SAMC_MISMATCH);
    cr_expect_eq(samc_text_on(session, NULL, scene, phrases, NULL, take, &again, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_text_on(NULL, embedding, scene, phrases, NULL, take, &again, &error), SAMC_INVALID_ARGUMENT);
    samc_scene_free(other);
    samc_scene_free(scene);
    samc_embedding_release(embedding);
    for (int i = 0; i < 2; i++) samc_runs_release(t.masks[i][0].runs);
    /* Boxes alone take no session. */
    const samc_text_options boxes = {.size = sizeof boxes, .nms = 0.3, .top = 1, .boxes_only = true};
    t = (taken){0};
    cr_assert_eq(samc_text(NULL, phrases, &picture, 1, &boxes, take, &t, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(t.count[0], 1);
    cr_expect(t.masks[0][0].runs == NULL && t.masks[0][0].area == 0 && t.masks[0][0].score > 0);
    cr_expect_eq(samc_text(NULL, phrases, &picture, 1, NULL, take, &t, &error), SAMC_INVALID_ARGUMENT);
    /* A stop is taken once. */
    samc_session_stop(session);
    cr_expect_eq(samc_text(session, phrases, &picture, 1, NULL, take, &t, &error), SAMC_STOPPED);
    t = (taken){.answer = SAMC_IO};
    cr_expect_eq(samc_text(session, phrases, two, 2, NULL, take, &t, &error), SAMC_IO);
    cr_expect_eq(t.calls, 1);
    samc_runs_release(t.masks[0][0].runs);
    samc_session_destroy(session);
    samc_model_close(model);
    samc_phrases_free(phrases);
    samc_detector_close(detector);
}

Test(text, masks_of_maps_are_asked_by_peak_box_and_part) {
    double_net net = {0};
    samc_detector *detector = wrap(&makes_maps, &net);
    samc_phrases *phrases = encode(detector, (const char *[]){"c", "e"}, 2, NULL);
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    samc_error error;
    taken t = {0};
    draw();
    cr_assert_eq(samc_text(session, phrases, &picture, 1, NULL, take, &t, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(t.count[0], 2);
    const samc_mask *mask = &t.masks[0][1];
    const float box[4] = {32, 0, 40, 48};
    cr_expect_arr_eq(mask->box, box, sizeof box);
    cr_expect_eq(mask->phrase, 1);
    cr_expect_float_eq((float)mask->point[1], 47.125f, 1e-3); /* the lowest row is the hottest */
    const int low = samc__low_res(&model->net.config);
    static float map[64 * 64];
    static int scratch[2 * 64 * 64];
    float *part = malloc((size_t)(low * low) * sizeof *part), point[2] = {(float)mask->point[0], (float)mask->point[1]};
    samc_scene *scene = NULL;
    cr_assert_eq(samc_scene_create(detector, &picture, &scene, &error), SAMC_OK);
    cr_assert_eq(samc_scene_map(scene, phrases, 1, map, &error), SAMC_OK);
    cr_expect(map[35] > 0 && map[20] < 0);
    const samc__frame frame = samc__frame_of(&model->net.config.recipe, 64, 48);
    samc__map_prompt(&(samc__heat){map, 64, 0.3, scratch}, point, &frame, model->net.config.recipe.frame, low, part);
    cr_assert_eq(samc_set_image(session, &picture), SAMC_OK);
    const int32_t on = 1;
    expect_like(session,
                &(samc_prompt){.size = sizeof(samc_prompt),
                               .points = point,
                               .labels = &on,
                               .point_count = 1,
                               .box = mask->box,
                               .mask_input = part},
                mask);
    samc_runs_release(t.masks[0][0].runs);
    free(part);
    samc_scene_free(scene);
    samc_session_destroy(session);
    samc_model_close(model);
    samc_phrases_free(phrases);
    samc_detector_close(detector);
}

Test(text, labels_are_of_the_masks_own_pixels) {
    double_net net = {0};
    samc_detector *detector = wrap(&makes_maps, &net);
    samc_phrase_options options = SAMC_INIT(samc_phrase_options);
    samc_default_label_options(&options);
    const char *const templates[] = {"one {}", "two {}", NULL};
    options.templates = templates;
    options.background = "d";
    samc_phrases *labels = encode(detector, (const char *[]){"red a", "green b", "blue c"}, 3, &options);
    cr_assert_eq(samc_phrases_count(labels), 4);
    cr_expect_str_eq(samc_phrases_text(labels, 3), "d");
    cr_expect_eq(net.texts, 8);
    cr_expect_float_eq(labels->features[0], 1, 1e-6); /* the mean, of length 1 */
    /* Halves of an image, 3 colours: all of it is blue but the left half, which is green. */
    for (int i = 0; i < 48 * 64; i++) memcpy(pixels + 3 * i, i % 64 < 32 ? "\0\310\0" : "\0\0\310", 3);
    samc_model *model = open_model(SAMC_BACKEND_CPU, 1);
    samc_session *session = open_session(model);
    samc_result *result = NULL;
    samc_error error;
    cr_assert_eq(samc_set_image(session, &picture), SAMC_OK);
    /* Masks by run lengths of one's own: columns. */
    samc_runs *runs = samc__runs_create(NULL);
    samc_mask masks[2] = {SAMC_INIT(samc_mask), SAMC_INIT(samc_mask)};
    const uint32_t counts[2][3] = {{48 * 4, 48 * 20, 48 * 40}, {48 * 40, 48 * 20, 48 * 4}};
    for (int i = 0; i < 2; i++) {
        samc__run_place place;
        cr_assert_eq(samc__runs_add(runs, counts[i], 3, &place, &error), SAMC_OK);
        masks[i].width = 64, masks[i].height = 48, masks[i].area = 48 * 20;
        masks[i].bbox[0] = (int)counts[i][0] / 48, masks[i].bbox[2] = 19, masks[i].bbox[3] = 47;
        masks[i].runs = runs, masks[i].runs_at = place.at, masks[i].rle_length = place.length;
        masks[i].count_length = 3;
    }
    cr_assert_eq(samc_label_masks(labels, &picture, masks, 2, &error), SAMC_OK, "%s", error.message);
    cr_expect_eq(net.images, 2);
    cr_expect_str_eq(masks[0].label, "green b");
    cr_expect_str_eq(masks[1].label, "blue c");
    cr_expect(masks[0].phrase == 1 && masks[1].phrase == 2);
    cr_expect_float_eq(masks[0].score, (float)(exp(2) / (exp(2) + 3)), 1e-5);
    /* A family without such a network; masks that are boxes. */
    samc_detector *other = wrap(&finds_boxes, &net);
    samc_phrases *phrases = encode(other, (const char *[]){"a"}, 1, NULL);
    cr_expect_eq(samc_label_masks(phrases, &picture, masks, 2, &error), SAMC_UNSUPPORTED);
    masks[0].runs = NULL;
    cr_expect_eq(samc_label_masks(labels, &picture, masks, 1, &error), SAMC_INVALID_ARGUMENT);
    samc_phrases_free(phrases);
    samc_detector_close(other);
    samc_runs_release(runs);
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
    samc_phrases_free(labels);
    samc_detector_close(detector);
}

Test(text, what_does_not_fit_is_refused) {
    double_net net = {0};
    samc_detector *detector = wrap(&finds_boxes, &net), *other = wrap(&makes_maps, &net);
    samc_phrases *phrases = encode(detector, (const char *[]){"a"}, 1, NULL);
    samc_scene *scene = NULL;
    samc_error error;
    int count;
    cr_assert_eq(samc_scene_create(other, &picture, &scene, &error), SAMC_OK);
    cr_expect_eq(samc_scene_detect(scene, phrases, NULL, NULL, 0, &count, &error), SAMC_MISMATCH);
    samc_text_options options = SAMC_INIT(samc_text_options);
    taken t = {0};
    const struct {
        double threshold, nms;
        int top;
    } bad[] = {{1, 0.3, 0}, {-0.1, 0.3, 0}, {NAN, 0.3, 0}, {0, -1, 0}, {0, NAN, 0}, {0, 0.3, -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        options.threshold = bad[i].threshold, options.nms = bad[i].nms, options.top = bad[i].top;
        options.boxes_only = true;
        cr_expect_eq(samc_text(NULL, phrases, &picture, 1, &options, take, &t, &error), SAMC_INVALID_ARGUMENT, "%zu",
                     i);
    }
    const char *const bad_templates[] = {"a photo", NULL};
    const samc_phrase_options wrong = {.size = sizeof wrong, .templates = bad_templates};
    samc_phrases *none;
    cr_expect_eq(samc_phrases_create(detector, (const char *[]){"a"}, 1, &wrong, &none, &error), SAMC_INVALID_ARGUMENT);
    samc_detector *nothing;
    cr_expect_neq(samc_detector_open(model_path, NULL, &nothing, &error), SAMC_OK); /* a SAM */
    cr_expect_null(nothing);
    cr_expect(strstr(error.message, model_path) != NULL, "%s", error.message);
    samc_scene_free(scene);
    samc_phrases_free(phrases);
    samc_detector_close(detector);
    samc_detector_close(other);
}
