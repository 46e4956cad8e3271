/* Planned memory against counted memory: what an encoding and a prediction take beside embeddings and results, on every
 * table, to the byte. */
#include <stdlib.h>

#include "runtime/host_plan.h"
#include "runtime/session.h"
#include "tests/engine.h"
#include "tests/rungs.h"

enum { MOST = 64, POINTS = 40 };

/* Predicts one batch of `prompts` prompts with `points` points each on `images` images; returns peak bytes above those
 * before. */
static size_t counted(const samc_model *model, int prompts, int images, int points, bool masked) {
    static float xy[2 * POINTS], mask[256 * 256];
    static int32_t labels[POINTS];
    static uint8_t pixels[8 * 8 * 3];
    samc_session *session = open_session(model);
    samc_image pictures[MOST];
    samc_prompt batch[MOST];
    for (int i = 0; i < images; i++) pictures[i] = (samc_image){sizeof(samc_image), pixels, 8, 8, 24};
    for (int i = 0; i < prompts; i++)
        batch[i] = (samc_prompt){.size = sizeof(samc_prompt),
                                 .points = xy,
                                 .labels = labels,
                                 .point_count = points,
                                 .mask_input = masked ? mask : NULL,
                                 .image = i / (prompts / images)};
    cr_assert_eq(samc_set_images(session, pictures, images), SAMC_OK);
    size_t before = session->memory.peak = session->memory.current;
    samc_result *result = NULL;
    cr_assert_eq(samc_predict(session, batch, prompts, true, &result), SAMC_OK);
    size_t peak = session->memory.peak - before;
    samc_result_free(result);
    samc_session_destroy(session);
    return peak;
}

Test(predict, takes_what_was_planned) {
    static const struct {
        int prompts, images, points;
    } cases[] = {{1, 1, 1}, {16, 1, 1}, {12, 4, 1}, {3, 3, 1}, {5, 1, 13}, {4, 2, 14}, {2, 1, POINTS}};
    for (int index = 0; index < TABLES; index++)
        for (int threads = index < 2 * (1 + RUNGS) ? 1 : 3; threads <= 3; threads += 2) {
            const table t = table_of(index);
            cr_assert(allow(&t));
            samc_model *model = open_model_in(t.backend, t.precision, threads);
            for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
                for (int masked = 0; masked < 2; masked++) {
                    int prompts = cases[i].prompts, images = cases[i].images, points = cases[i].points;
                    size_t planned = 0, peak = counted(model, prompts, images, points, masked);
                    cr_assert_eq(samc__predict_bytes(model, prompts, images, points + 1, masked, &planned, NULL), 0);
                    cr_expect_eq(
                        peak, planned,
                        "%s, %s, %d threads, %d prompts of %d points on %d images, masked %d: %zu, planned %zu", t.caps,
                        t.name, threads, prompts, points, images, masked, peak, planned);
                }
            samc_model_close(model);
        }
}

/* Images of a size that is kept, made smaller and made larger; the second encoding finds its embeddings' room. */
Test(encode, takes_what_was_planned) {
    enum { SIDE = 300 };
    static const int sizes[][2] = {{32, 32}, {8, 8}, {SIDE, 200}, {3, SIDE}};
    static uint8_t pixels[SIDE * SIDE * 3];
    for (int index = 0; index < TABLES; index++)
        for (int threads = index < 2 * (1 + RUNGS) ? 1 : 3; threads <= 3; threads += 2) {
            const table t = table_of(index);
            cr_assert(allow(&t));
            samc_model *model = open_model_in(t.backend, t.precision, threads);
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                for (int images = 1; images <= 3; images += 2) {
                    samc_session *session = open_session(model);
                    samc_image picture = {sizeof picture, pixels, sizes[i][0], sizes[i][1], 3 * (ptrdiff_t)sizes[i][0]};
                    samc_image pictures[3] = {picture, picture, picture};
                    size_t planned = 0;
                    cr_assert_eq(samc_set_images(session, pictures, images), SAMC_OK);
                    size_t before = session->memory.peak = session->memory.current;
                    cr_assert_eq(samc_set_images(session, pictures, images), SAMC_OK);
                    cr_assert_eq(samc__encode_bytes(model, images, picture.width, picture.height, &planned, NULL), 0);
                    cr_expect_eq(session->memory.peak - before, planned,
                                 "%s, %s, %d threads, %d images of %d x %d: %zu, planned %zu", t.caps, t.name, threads,
                                 images, picture.width, picture.height, session->memory.peak - before, planned);
                    samc_session_destroy(session);
                }
            samc_model_close(model);
        }
}
