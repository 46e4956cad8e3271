/* A family of detectors of the tests' own: it finds what it is told to. */
#ifndef SAMC_TESTS_TEXT_FAMILY_H
#define SAMC_TESTS_TEXT_FAMILY_H

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/detect.h"

/* Phrases are one-hot by their last letter of a to h; 8 boxes in a row; a map that is hot in the phrase's column;
 * images are one-hot by their brightest channel. What it was asked is counted. */
enum { LETTERS = 8, CONTEXT = 6 };
typedef struct double_net {
    int texts, batches, images, seen, classified, mapped, closed;
    bool spoilt;
} double_net;

static void facts_of(const void *net, samc__relate_facts *facts) {
    (void)net;
    *facts = (samc__relate_facts){.image_size = 32,
                                  .context = CONTEXT,
                                  .dim = LETTERS,
                                  .boxes = LETTERS,
                                  .map_side = 64,
                                  .scene_bytes = sizeof(samc_image),
                                  .logit_scale = 2,
                                  .dtype = "f32",
                                  .note = ""};
}
static samc_status hash_of(const void *net, char hex[65], samc_error *error) {
    (void)error;
    strcpy(hex, ((const double_net *)net)->spoilt ? "11" : "00");
    return SAMC_OK;
}
static void close_net(void *net) { ((double_net *)net)->closed++; }
static samc_status tokens_of(const void *net, const char *text, int32_t *ids, int *end, bool *cut, samc_error *error) {
    (void)net, (void)error;
    size_t n = strlen(text), last = n;
    while (last > 0 && (text[last - 1] < 'a' || text[last - 1] >= 'a' + LETTERS)) last--;
    memset(ids, 0, CONTEXT * sizeof *ids);
    for (size_t i = 0; i < n && i < CONTEXT - 1; i++) ids[i] = last > 0 ? text[last - 1] : 'a';
    *end = (int)(n < CONTEXT - 1 ? n : CONTEXT - 1);
    *cut = n > CONTEXT - 1;
    return SAMC_OK;
}
static samc_status text_of(const samc__exec *exec, const void *net, const int32_t *ids, const int *ends, int count,
                           float *features) {
    (void)exec, (void)ends;
    ((double_net *)net)->batches++;
    ((double_net *)net)->texts += count;
    memset(features, 0, (size_t)count * LETTERS * sizeof *features);
    for (int i = 0; i < count; i++) features[i * LETTERS + ids[i * CONTEXT] - 'a'] = 1;
    return SAMC_OK;
}
static samc_status see(const samc__exec *exec, const void *net, const samc_image *image, void **scene) {
    (void)exec;
    ((double_net *)net)->seen++;
    *scene = malloc(sizeof *image);
    memcpy(*scene, image, sizeof *image);
    return SAMC_OK;
}
static samc_status corners_of(const void *net, const void *scene, float *corners) {
    const samc_image *image = scene;
    (void)net;
    for (int i = 0; i < LETTERS; i++) {
        float width = (float)image->width / LETTERS, x = (float)i * width;
        memcpy(corners + 4 * i, (float[4]){x, 4, x + width, (float)image->height - 4}, 4 * sizeof *corners);
    }
    return SAMC_OK;
}
/* Box i is the i-th letter, less sure with every letter. */
static samc_status classify(const samc__exec *exec, const void *net, const void *scene, const float *features,
                            int count, float *logits) {
    (void)exec, (void)scene;
    ((double_net *)net)->classified += count;
    for (int b = 0; b < LETTERS; b++)
        for (int i = 0; i < count; i++)
            logits[b * count + i] = ((const double_net *)net)->spoilt ? NAN
                                    : features[i * LETTERS + b] > 0   ? 2 - 0.1f * (float)b
                                                                      : -8;
    return SAMC_OK;
}
static samc_status map_of(const samc__exec *exec, const void *net, const void *scene, const float *features,
                          float *map) {
    (void)exec, (void)scene;
    ((double_net *)net)->mapped++;
    for (int i = 0; i < 64 * 64; i++) map[i] = features[i % 64 / 8] > 0 ? 1 + (float)(i / 64) * 0.01f : -6;
    return SAMC_OK;
}
static samc_status image_of(const samc__exec *exec, const void *net, const samc_image *images, int count,
                            float *features) {
    (void)exec;
    ((double_net *)net)->images += count;
    memset(features, 0, (size_t)count * LETTERS * sizeof *features);
    for (int i = 0; i < count; i++) {
        int64_t sum[3] = {0};
        for (int p = 0; p < images[i].width * images[i].height; p++)
            for (int c = 0; c < 3; c++) sum[c] += images[i].pixels[3 * p + c];
        features[i * LETTERS + (sum[1] > sum[0] ? sum[2] > sum[1] ? 2 : 1 : sum[2] > sum[0] ? 2 : 0)] = 1;
    }
    return SAMC_OK;
}

__attribute__((unused)) static const samc__relate finds_boxes = {.name = "Boxes",
                                                                 .kind = SAMC_DETECTOR_BOXES,
                                                                 .facts = facts_of,
                                                                 .hash = hash_of,
                                                                 .close = close_net,
                                                                 .tokens = tokens_of,
                                                                 .text = text_of,
                                                                 .see = see,
                                                                 .forget = free,
                                                                 .corners = corners_of,
                                                                 .classify = classify};
__attribute__((unused)) static const samc__relate makes_maps = {.name = "Maps",
                                                                .kind = SAMC_DETECTOR_MAPS,
                                                                .facts = facts_of,
                                                                .hash = hash_of,
                                                                .close = close_net,
                                                                .tokens = tokens_of,
                                                                .text = text_of,
                                                                .see = see,
                                                                .forget = free,
                                                                .map = map_of,
                                                                .image = image_of};

static inline samc_detector *wrap(const samc__relate *family, double_net *net) {
    samc_detector *detector = NULL;
    samc_error error;
    samc__relate_opened opened = {.family = family, .net = net, .threads = 1, .backend = SAMC_BACKEND_CPU};
    samc__ops_ref(&opened.ops);
    cr_assert_eq(samc__detector_wrap(&opened, &detector, &error), SAMC_OK);
    return detector;
}

#endif
