/* Stand-ins for masks, and for samc_auto() in a program that is linked with --wrap=samc_auto. */
#include "bench/host_side/stand_in.h"

#include <math.h>
#include <stdlib.h>

#include "runtime/base/status.h"
#include "runtime/runs.h"

static double random_unit(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return (double)(*state >> 8) / (1 << 24);
}

/* Run lengths, column by column, background first; how many. counts: [2 width + 1]. */
static size_t blob(int width, int height, uint32_t *state, uint32_t *counts, samc_mask *mask) {
    double share = 0.0005 * pow(300.0, random_unit(state)), aspect = 0.5 + 1.5 * random_unit(state);
    double ry = sqrt(share * width * height / 3.14159265 * aspect), rx = ry / aspect;
    double cx = width * (0.1 + 0.8 * random_unit(state)), cy = height * (0.1 + 0.8 * random_unit(state));
    uint32_t background = 0;
    size_t n = 0;
    int left = width, right = -1, top = height, bottom = -1;
    for (int x = 0; x < width; x++) {
        double u = (x - cx) / rx, half = u * u < 1.0 ? ry * sqrt(1.0 - u * u) * (1.0 + 0.1 * sin(9.0 * u)) : -1.0;
        int from = (int)(cy - half + 3.0 * random_unit(state)), to = (int)(cy + half - 3.0 * random_unit(state));
        from = from < 0 ? 0 : from;
        to = to < height ? to : height - 1;
        if (half < 0.0 || from > to) {
            background += (uint32_t)height;
            continue;
        }
        counts[n++] = background + (uint32_t)from;
        counts[n++] = (uint32_t)(to - from + 1);
        background = (uint32_t)(height - 1 - to);
        mask->area += to - from + 1;
        left = x < left ? x : left, right = x;
        top = from < top ? from : top, bottom = to > bottom ? to : bottom;
    }
    if (background > 0) counts[n++] = background;
    if (right >= 0)
        mask->bbox[0] = left, mask->bbox[1] = top, mask->bbox[2] = right - left, mask->bbox[3] = bottom - top;
    return n;
}

samc_status stand_in_masks(int width, int height, samc_mask masks[STAND_IN_MASKS], samc_error *error) {
    uint32_t state = 1, *counts = malloc((2 * (size_t)width + 1) * sizeof *counts);
    samc_runs *runs = samc__runs_create(NULL);
    samc_status status = counts && runs ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for masks");
    for (int i = 0; i < STAND_IN_MASKS && status == SAMC_OK; i++) {
        masks[i] = (samc_mask){.size = sizeof *masks,
                               .prompt = -1,
                               .index = i,
                               .predicted_iou = 0.99f - 0.001f * (float)i,
                               .stability_score = 0.97f,
                               .crop_box = {0, 0, width, height},
                               .point = {random_unit(&state) * width, random_unit(&state) * height},
                               .width = width,
                               .height = height,
                               .runs = runs};
        samc__run_place place;
        size_t count = blob(width, height, &state, counts, &masks[i]);
        status = samc__runs_add(runs, counts, count, &place, error);
        masks[i].runs_at = place.at, masks[i].rle_length = place.length, masks[i].count_length = place.count;
    }
    free(counts);
    if (status != SAMC_OK) samc_runs_release(runs);
    return status;
}

/* The archive job then reads, decodes, writes and commits as ever, and computes nothing. */
samc_status __wrap_samc_auto(samc_session *session, const samc_image *images, int count,
                             const samc_auto_options *options, samc_auto_callback callback, void *context);
samc_status __wrap_samc_auto(samc_session *session, const samc_image *images, int count,
                             const samc_auto_options *options, samc_auto_callback callback, void *context) {
    (void)session, (void)options;
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) {
        samc_mask masks[STAND_IN_MASKS];
        samc_auto_stats stats = {.size = sizeof stats, .kept = STAND_IN_MASKS};
        samc_error error;
        SAMC__TRY(stand_in_masks(images[i].width, images[i].height, masks, &error));
        status = callback(context, i, masks, STAND_IN_MASKS, &stats);
        samc_runs_release(masks[0].runs);
    }
    return status;
}
