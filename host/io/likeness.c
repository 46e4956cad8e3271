/* Two histograms, of the object and of what is around it, smoothed over neighbouring values: of a few hundred pixels
 * with noise many values do not occur. Sums of whole numbers, so that the result does not depend on their order. */
#include "host/io/likeness.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

enum { REACH = 12 /* grey values to either side that a pixel counts for, less with their distance */ };

samc_status samc__likeness_around(const samc_rle *mask, int around[4], samc_error *error) {
    int bbox[4];
    SAMC__TRY(samc_rle_measure(mask, NULL, bbox, error));
    const int dx = bbox[2] / 4 + 3, dy = bbox[3] / 4 + 3;
    around[0] = bbox[0] > dx ? bbox[0] - dx : 0;
    around[1] = bbox[1] > dy ? bbox[1] - dy : 0;
    around[2] = bbox[0] + bbox[2] + 1 + dx < mask->width ? bbox[0] + bbox[2] + 1 + dx : mask->width;
    around[3] = bbox[1] + bbox[3] + 1 + dy < mask->height ? bbox[1] + bbox[3] + 1 + dy : mask->height;
    return SAMC_OK;
}

samc_status samc__likeness_learn(samc__likeness *l, const samc_rle *mask, const uint8_t *grey, samc_error *error) {
    int64_t seen[2][256] = {{0}}, smooth[2][256] = {{0}}, sums[2] = {0, 0};
    int around[4];
    const size_t width = (size_t)mask->width;
    SAMC__TRY(samc__likeness_around(mask, around, error));
    uint8_t *bytes = malloc(width * (size_t)mask->height);
    if (bytes == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a mask");
    samc_status status = samc_rle_to_bytes(mask, bytes, error);
    for (size_t y = (size_t)around[1]; status == SAMC_OK && y < (size_t)around[3]; y++)
        for (size_t x = (size_t)around[0]; x < (size_t)around[2]; x++)
            seen[bytes[y * width + x]][grey[y * width + x]]++;
    free(bytes);
    for (int in = 0; in < 2; in++)
        for (int value = 0; value < 256; value++) {
            for (int step = -REACH; step <= REACH; step++) {
                int at = value + step < 0 ? 0 : value + step > 255 ? 255 : value + step;
                smooth[in][at] += seen[in][value] * (REACH + 1 - abs(step));
            }
        }
    for (int in = 0; in < 2; in++)
        for (int value = 0; value < 256; value++) sums[in] += smooth[in][value];
    for (int value = 0; value < 256; value++) { /* a value that nobody has is nobody's: half */
        double on = ((double)smooth[1][value] + 0.01) / ((double)sums[1] + 2.56),
               off = ((double)smooth[0][value] + 0.01) / ((double)sums[0] + 2.56);
        l->part[value] = (float)(on / (on + off));
    }
    if (status == SAMC_OK) l->own = samc__likeness_of(l, around, mask, grey).iou;
    return status;
}

samc__match samc__likeness_of(const samc__likeness *l, const int around[4], const samc_rle *mask, const uint8_t *grey) {
    const size_t width = (size_t)mask->width, height = (size_t)mask->height;
    const size_t x0 = (size_t)around[0], y0 = (size_t)around[1], x1 = (size_t)around[2], y1 = (size_t)around[3];
    double on = 0.0, all = 0.0;
    int64_t area = 0;
    for (size_t y = y0; y < y1; y++)
        for (size_t x = x0; x < x1; x++) all += (double)l->part[grey[y * width + x]];
    for (size_t i = 0, at = 0; i < mask->count; at += mask->counts[i++])
        for (size_t p = at; i % 2 == 1 && p < at + mask->counts[i]; p++) {
            size_t x = p / height, y = p % height;
            if (x >= x0 && x < x1 && y >= y0 && y < y1) on += (double)l->part[grey[y * width + x]];
            area++;
        }
    if (area == 0) return (samc__match){0.0, 0.0};
    return (samc__match){on / ((double)area + all - on), 2.0 * on - (double)area};
}
