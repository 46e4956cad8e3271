/* The default model follows organs of the phantom (phantom.h) from a box on one slice, or on two: Dice of each organ
 * over the whole volume, and that it is more than what the same box gives on each slice by itself. Nothing here says
 * how well it does on patients.
 *
 * The table in docs/medical.md has what was measured: 0.910 and more. */
#include <stdlib.h>
#include <string.h>

#include "host/io/propagate.h"
#include "tests/phantom.h"

#include <criterion/criterion.h>

enum { W = PHANTOM_WIDTH, H = PHANTOM_HEIGHT, N = PHANTOM_SLICES };

static float values[PHANTOM_VOXELS];
static uint8_t truth[PHANTOM_VOXELS];

/* Soft tissue, 40 / 400. */
static samc_status read_slice(void *context, int slice, samc_image *image, samc_error *error) {
    uint8_t *rgb = malloc(3 * W * H);
    (void)context, (void)error;
    for (int i = 0; i < W * H; i++) {
        float v = (values[slice * W * H + i] + 160.0f) * (255.0f / 400.0f);
        memset(rgb + 3 * i, v < 0.0f ? 0 : v > 255.0f ? 255 : (int)(v + 0.5f), 3);
    }
    image->pixels = rgb;
    image->width = W;
    image->height = H;
    image->row_bytes = 3 * W;
    return SAMC_OK;
}

/* The box of an organ on a slice; false where it is not. */
static bool find_box(int organ, int slice, float box[4]) {
    box[0] = W, box[1] = H, box[2] = box[3] = -1.0f;
    for (int i = 0; i < W * H; i++) {
        if (truth[slice * W * H + i] != organ) continue;
        float x = (float)(i % W), y = (float)(i / W);
        if (x < box[0]) box[0] = x;
        if (y < box[1]) box[1] = y;
        if (x > box[2]) box[2] = x;
        if (y > box[3]) box[3] = y;
    }
    return box[2] >= 0.0f;
}

static void add_box(samc_annotations *a, int organ, int slice, const float box[4]) {
    const samc_volume_prompt p = {.size = sizeof p, .object = organ - 1, .slice = slice, .box = box};
    samc_error error;
    cr_assert_eq(samc_annotations_add(a, &p, &error), SAMC_OK, "%s", error.message);
}

/* Where each organ is annotated, one or two slices. */
static const int one[PHANTOM_ORGANS + 1] = {0, 20, 20, 6, 18, 20}, low[PHANTOM_ORGANS + 1] = {0, 9, 10, 1, 13, 5},
                                      high[PHANTOM_ORGANS + 1] = {0, 32, 32, 12, 22, 32};

typedef enum way { FROM_ONE, FROM_TWO, ALONE } way;

static void follow(way how, double dice[PHANTOM_ORGANS + 1]) {
    const samc__space space = samc__space_of((const int[3]){W, H, N}, (const double[3]){2, 2, 4}, 2);
    const samc__slices slices = {NULL, "phantom", read_slice};
    samc_error error = {0};
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_annotations *a = NULL;
    samc_segmentation *result = NULL;
    phantom_make(values, truth, &PHANTOM_USUAL);
    cr_assert_eq(samc_model_open(SAMC_TEST_WEIGHTS "/samc-tiny.safetensors", NULL, &model, &error), SAMC_OK, "%s",
                 error.message);
    cr_assert_eq(samc_session_create(model, &session, &error), SAMC_OK);
    cr_assert_eq(samc__annotations_create(&space, &a, &error), SAMC_OK);
    for (int organ = 1; organ <= PHANTOM_ORGANS; organ++) {
        float box[4], here[4];
        cr_assert_eq(samc_annotations_object(a, phantom_names[organ], NULL, &error), SAMC_OK);
        cr_assert(find_box(organ, how == FROM_TWO ? low[organ] : one[organ], box));
        if (how != ALONE) add_box(a, organ, how == FROM_TWO ? low[organ] : one[organ], box);
        for (int z = 0; how == ALONE && z < N; z++) /* told on which slices the organ is */
            if (find_box(organ, z, here)) add_box(a, organ, z, box);
        if (how == FROM_TWO && find_box(organ, high[organ], box)) add_box(a, organ, high[organ], box);
    }
    cr_assert_eq(samc__propagate(session, model, &slices, a, NULL, NULL, &result, &error), SAMC_OK, "%s",
                 error.message);
    int64_t of[2][PHANTOM_ORGANS + 1] = {{0}}, both[PHANTOM_ORGANS + 1] = {0};
    for (int z = 0; z < N; z++) {
        static uint16_t labels[W * H];
        cr_assert_eq(samc_segmentation_labels(result, z, labels, &error), SAMC_OK);
        for (int i = 0; i < W * H; i++) {
            of[0][truth[z * W * H + i]]++, of[1][labels[i]]++;
            if (labels[i] == truth[z * W * H + i]) both[labels[i]]++;
        }
    }
    for (int organ = 1; organ <= PHANTOM_ORGANS; organ++) {
        dice[organ] = 2.0 * (double)both[organ] / (double)(of[0][organ] + of[1][organ]);
        cr_log_info("way %d, %s: %.4f", (int)how, phantom_names[organ], dice[organ]);
    }
    samc_segmentation_free(result);
    samc_annotations_free(a);
    samc_session_destroy(session);
    samc_model_close(model);
}

Test(phantom, from_one_slice_and_alone) {
    double dice[PHANTOM_ORGANS + 1], alone[PHANTOM_ORGANS + 1];
    double sum = 0.0, sum_alone = 0.0;
    follow(FROM_ONE, dice);
    follow(ALONE, alone);
    for (int organ = 1; organ <= PHANTOM_ORGANS; organ++) {
        cr_expect_geq(dice[organ], 0.9, "%s: %.4f", phantom_names[organ], dice[organ]);
        cr_expect_gt(dice[organ], alone[organ], "%s: %.4f, alone %.4f", phantom_names[organ], dice[organ],
                     alone[organ]);
        sum += dice[organ], sum_alone += alone[organ];
    }
    cr_expect_geq(sum / PHANTOM_ORGANS, sum_alone / PHANTOM_ORGANS + 0.05);
}

Test(phantom, between_two_slices) {
    double dice[PHANTOM_ORGANS + 1];
    follow(FROM_TWO, dice);
    for (int organ = 1; organ <= PHANTOM_ORGANS; organ++)
        cr_expect_geq(dice[organ], 0.9, "%s: %.4f", phantom_names[organ], dice[organ]);
}
