/* Labels for masks that are there: crops against phrases. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/abi.h"
#include "runtime/detect.h"
#include "runtime/session.h"

enum { TOGETHER = 8, MOST_BYTES = 64 << 20 }; /* crops that go through the network together, and what they hold */

/* Crops on their way, and the masks that they are of. */
typedef struct crops {
    const samc_phrases *labels;
    const samc__desk *desk;
    samc_image images[TOGETHER]; /* pixels owned */
    samc_mask *of[TOGETHER];
    float *features; /* [TOGETHER, dim] */
    int count;
    size_t bytes;
} crops;

static void clear(crops *c) {
    for (int i = 0; i < c->count; i++) free((void *)c->images[i].pixels);
    c->count = 0;
    c->bytes = 0;
}

static samc_status flush(crops *c) {
    const samc_phrases *labels = c->labels;
    const samc__relate_opened *opened = &labels->detector->opened;
    const samc__relate_facts *facts = &labels->detector->facts;
    if (c->count == 0) return SAMC_OK;
    SAMC__TRY(opened->family->image(&c->desk->exec, opened->net, c->images, c->count, c->features));
    for (int i = 0; i < c->count; i++) {
        samc_mask mask = SAMC_INIT(samc_mask);
        float score;
        int best = samc__label_best(c->features + (int64_t)i * facts->dim, labels->features, labels->count, facts->dim,
                                    facts->logit_scale, &score);
        if (!isfinite(score)) return samc__detector_spoilt(labels->detector, "a mask", c->desk->exec.error);
        SAMC__TRY(samc__abi_take(SAMC__ABI(samc_mask), c->of[i], &mask, c->desk->exec.error));
        mask.label = labels->texts[best];
        mask.phrase = best;
        mask.score = score;
        SAMC__TRY(samc__abi_give(SAMC__ABI(samc_mask), &mask, c->of[i], c->desk->exec.error));
    }
    clear(c);
    return SAMC_OK;
}

static samc_status add(crops *c, const samc_image *image, samc_mask *mask, uint8_t *bytes) {
    samc_mask own = {0};
    int square[3];
    samc_error *error = c->desk->exec.error;
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_mask), mask, &own, error));
    if (own.width != image->width || own.height != image->height)
        return samc__fail(error, SAMC_MISMATCH, "a mask of %d x %d pixels for an image of %d x %d", own.width,
                          own.height, image->width, image->height);
    SAMC__TRY(samc_mask_bytes(&own, bytes, error));
    samc__label_square(own.bbox, square);
    const size_t side = (size_t)square[2], size = side * side * 3;
    if (c->count > 0 && (c->count == TOGETHER || c->bytes + size > MOST_BYTES)) SAMC__TRY(flush(c));
    uint8_t *rgb = malloc(size);
    if (rgb == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a crop of %zu x %zu", side, side);
    samc__label_crop(image, bytes, square, rgb);
    c->images[c->count] = (samc_image){sizeof(samc_image), rgb, square[2], square[2], (ptrdiff_t)side * 3};
    c->of[c->count++] = mask;
    c->bytes += size;
    return SAMC_OK;
}

static samc_status label(const samc_phrases *labels, const samc_image *image, samc_mask *masks, int count,
                         const samc__desk *desk) {
    crops c = {.labels = labels, .desk = desk};
    uint8_t *bytes = malloc((size_t)image->width * (size_t)image->height);
    c.features = malloc((size_t)TOGETHER * (size_t)labels->detector->facts.dim * sizeof *c.features);
    samc_status status =
        bytes && c.features ? SAMC_OK : samc__fail(desk->exec.error, SAMC_OUT_OF_MEMORY, "no memory for labels");
    for (int i = 0; i < count && status == SAMC_OK; i++)
        status = add(&c, image, (samc_mask *)samc_mask_at(masks, i), bytes);
    if (status == SAMC_OK) status = flush(&c);
    clear(&c);
    free(bytes);
    free(c.features);
    return status;
}

samc_status samc_label_masks(const samc_phrases *labels, const samc_image *given, samc_mask *masks, int count,
                             samc_error *error) {
    samc_image image = SAMC_INIT(samc_image);
    samc__desk desk;
    if (labels == NULL || count < 0 || (masks == NULL && count > 0))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_label_masks: no labels or no masks");
    const samc__relate *family = labels->detector->opened.family;
    if (family->image == NULL)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s finds things and labels no masks; that takes CLIP, or CLIPSeg's",
                          family->name);
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_image), given, &image, error));
    SAMC__TRY(samc__check_image(error, &image, 0));
    if (count == 0) return SAMC_OK;
    samc_status status = samc__desk_open(&desk, labels->detector, error);
    if (status == SAMC_OK) status = label(labels, &image, masks, count, &desk);
    samc__desk_close(&desk);
    return status;
}
