/* All organs in all ways are objects of one run: the encoder, which is half of the cost, sees each slice once. */
#include "tests/phantom_run.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

enum { W = PHANTOM_WIDTH, H = PHANTOM_HEIGHT, N = PHANTOM_SLICES };

/* Soft tissue, 40 / 400. */
static samc_status read_slice(void *context, int slice, samc_image *image, samc_error *error) {
    const float *values = context;
    uint8_t *rgb = malloc(3 * W * H);
    if (rgb == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a slice");
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
static bool find_box(const uint8_t *truth, int organ, int slice, float box[4]) {
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

void phantom_run_extent(const uint8_t *labels, int organ, int *first, int *last) {
    *first = *last = -1;
    for (int i = 0; i < PHANTOM_VOXELS; i++)
        if (labels[i] == organ) {
            if (*first < 0) *first = i / (W * H);
            *last = i / (W * H);
        }
}

void phantom_run_make(phantom_run *run, const phantom_kind *kind) {
    phantom_make(run->values, run->truth, kind);
    for (int organ = 1; organ <= PHANTOM_ORGANS; organ++) {
        int first, last;
        phantom_run_extent(run->truth, organ, &first, &last);
        int part = (last - first + 1) / 5;
        run->marks[organ] = (phantom_marks){(first + last) / 2, first + part, last - part};
    }
}

static samc_status add_box(samc_annotations *a, int object, int slice, const float box[4], samc_error *error) {
    const samc_volume_prompt p = {.size = sizeof p, .object = object, .slice = slice, .box = box};
    return samc_annotations_add(a, &p, error);
}

static samc_status annotate(const phantom_run *run, phantom_way way, int organ, samc_annotations *a,
                            samc_error *error) {
    const phantom_marks *marks = run->marks + organ;
    const int object = way * PHANTOM_ORGANS + organ - 1, first = way == PHANTOM_TWO ? marks->low : marks->one;
    float box[4], here[4];
    find_box(run->truth, organ, first, box);
    if (way == PHANTOM_ONE || way == PHANTOM_TWO) SAMC__TRY(add_box(a, object, first, box, error));
    for (int z = 0; (way == PHANTOM_ALONE || way == PHANTOM_ORACLE) && z < N; z++)
        if (find_box(run->truth, organ, z, here))
            SAMC__TRY(add_box(a, object, z, way == PHANTOM_ALONE ? box : here, error));
    if (way == PHANTOM_TWO && find_box(run->truth, organ, marks->high, box))
        SAMC__TRY(add_box(a, object, marks->high, box, error));
    return SAMC_OK;
}

/* Later organs have what they share with earlier ones, as labels have it. */
static samc_status paint(phantom_run *run, unsigned ways, const samc_segmentation *result, samc_error *error) {
    static uint8_t bytes[W * H];
    for (int object = 0; object < PHANTOM_WAYS * PHANTOM_ORGANS; object++) {
        int way = object / PHANTOM_ORGANS, organ = object % PHANTOM_ORGANS + 1;
        samc_object about = SAMC_INIT(samc_object);
        if (!(ways >> way & 1)) continue;
        SAMC__TRY(samc_segmentation_get_object(result, object, &about, error));
        run->predicted[way][organ] = about.predicted_iou;
        for (int z = 0; z < N; z++) {
            samc_rle mask;
            float box[4];
            /* By themselves slices say nothing of those beside them. */
            if (way >= PHANTOM_ALONE && !find_box(run->truth, organ, z, box)) continue;
            SAMC__TRY(samc_segmentation_mask(result, object, z, &mask, error));
            samc_status status = samc_rle_to_bytes(&mask, bytes, error);
            samc_rle_free(&mask);
            if (status != SAMC_OK) return status;
            for (int i = 0; i < W * H; i++)
                if (bytes[i]) run->found[way][z * W * H + i] = (uint8_t)organ;
        }
    }
    return SAMC_OK;
}

static samc_status follow(phantom_run *run, samc_session *session, const samc_model *model, samc_annotations *a,
                          unsigned ways, const samc_propagate_options *options, samc_error *error) {
    const samc__slices slices = {run->values, "phantom", read_slice};
    samc_segmentation *result = NULL;
    for (int object = 0; object < PHANTOM_WAYS * PHANTOM_ORGANS; object++) {
        int way = object / PHANTOM_ORGANS;
        SAMC__TRY(samc_annotations_object(a, NULL, NULL, error));
        /* A way that is not wanted: a corner, given as it is. */
        static const uint8_t corner[W * H] = {1};
        const samc_volume_prompt none = {.size = sizeof none, .object = object, .slice = 0, .mask = corner};
        if (ways >> way & 1) SAMC__TRY(annotate(run, way, object % PHANTOM_ORGANS + 1, a, error));
        else SAMC__TRY(samc_annotations_add(a, &none, error));
    }
    SAMC__TRY(samc__propagate(session, model, &slices, a, options, NULL, &result, error));
    samc_status status = paint(run, ways, result, error);
    samc_segmentation_free(result);
    return status;
}

samc_status phantom_run_follow(phantom_run *run, const char *weights, unsigned ways,
                               const samc_propagate_options *options, samc_error *error) {
    const samc__space space = samc__space_of((const int[3]){W, H, N}, (const double[3]){2, 2, 4}, 2);
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_annotations *a = NULL;
    memset(run->found, 0, sizeof run->found);
    samc_status status = samc_model_open(weights, NULL, &model, error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, error);
    if (status == SAMC_OK) status = samc__annotations_create(&space, &a, error);
    if (status == SAMC_OK) status = follow(run, session, model, a, ways, options, error);
    samc_annotations_free(a);
    samc_session_destroy(session);
    samc_model_close(model);
    return status;
}

double phantom_run_dice(const phantom_run *run, phantom_way way, int organ, int from, int to) {
    int64_t of = 0, both = 0;
    for (int i = from * W * H; i < to * W * H; i++) {
        bool is = run->truth[i] == organ, was = run->found[way][i] == organ;
        of += is + was;
        both += is && was;
    }
    return of > 0 ? 2.0 * (double)both / (double)of : 1.0;
}
