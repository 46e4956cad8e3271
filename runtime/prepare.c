/* What the recipe does to an image on the host, before operators see it: levels, and scikit-image's resize. */
#include "runtime/session.h"

#include "runtime/model/skimage.h"

#include <string.h>

/* micro-sam's _to_image: each channel in f32 less its least value, by what its largest then is and 1e-7, times 255, cut
 * to bytes. A byte has 256 values, so that this is a table. */
static void make_table(uint8_t least, uint8_t most, uint8_t table[256]) {
    const float span = (float)(most - least) + 1e-7f;
    memset(table, 0, 256); /* what no pixel has, too: beyond the largest there is no byte for it */
    for (int i = least; i <= most; i++) table[i] = (uint8_t)((float)(i - least) / span * 255.0f);
}

samc_status samc__levels_make(samc_session *s, const samc_image *image, samc_image *levelled) {
    *levelled = *image;
    if (s->model->net.config.recipe.levels == SAMC__LEVELS_AS_THEY_ARE) return SAMC_OK;
    const size_t row = 3 * (size_t)image->width;
    uint8_t least[3] = {255, 255, 255}, most[3] = {0, 0, 0}, table[3][256];
    uint8_t *pixels = samc__memory_allocate(&s->memory, row * (size_t)image->height);
    levelled->pixels = NULL;
    if (pixels == NULL)
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the levels of an image of %d x %d pixels",
                          image->width, image->height);
    for (int y = 0; y < image->height; y++) {
        const uint8_t *in = image->pixels + (ptrdiff_t)y * image->row_bytes;
        for (size_t i = 0; i < row; i += 3)
            for (int c = 0; c < 3; c++) {
                least[c] = in[i + c] < least[c] ? in[i + c] : least[c];
                most[c] = in[i + c] > most[c] ? in[i + c] : most[c];
            }
    }
    for (int c = 0; c < 3; c++) make_table(least[c], most[c], table[c]);
    for (int y = 0; y < image->height; y++) {
        const uint8_t *in = image->pixels + (ptrdiff_t)y * image->row_bytes;
        uint8_t *out = pixels + (size_t)y * row;
        for (size_t i = 0; i < row; i += 3)
            for (int c = 0; c < 3; c++) out[i + c] = table[c][in[i + c]];
    }
    levelled->pixels = pixels;
    levelled->row_bytes = (ptrdiff_t)row;
    return SAMC_OK;
}

samc_status samc__resize_make(samc_session *s, const samc_image *image, samc_image *resized) {
    const samc__recipe *recipe = &s->model->net.config.recipe;
    *resized = *image;
    if (recipe->filter != SAMC__FILTER_CUBIC_AA) return SAMC_OK;
    const samc__frame frame = samc__frame_of(recipe, image->width, image->height);
    uint8_t *pixels = samc__memory_allocate(&s->memory, 3 * (size_t)frame.new_width * (size_t)frame.new_height);
    resized->pixels = pixels;
    resized->width = frame.new_width, resized->height = frame.new_height;
    resized->row_bytes = 3 * (ptrdiff_t)frame.new_width;
    if (pixels == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory to resize an image");
    return samc__skimage_resize(&s->exec, image, frame.new_width, frame.new_height, pixels);
}

void samc__prepared_free(samc_session *s, const samc_image *image, samc_image *prepared) {
    if (prepared->pixels != image->pixels) samc__memory_release(&s->memory, (void *)(uintptr_t)prepared->pixels);
    *prepared = *image;
}

/* Encodes what `make` makes of the images. */
static samc_status encode_made(samc_session *s, const samc_image *images, int count, int first,
                               samc_status (*make)(samc_session *, const samc_image *, samc_image *),
                               samc_status (*encode)(samc_session *, const samc_image *, int, int)) {
    samc_image *own = samc__memory_allocate(&s->memory, (size_t)count * sizeof *own);
    if (own == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for %d image(s)", count);
    samc_status status = SAMC_OK;
    int made = 0;
    for (; made < count && status == SAMC_OK; made++) status = make(s, &images[made], &own[made]);
    if (status == SAMC_OK) status = encode(s, own, count, first);
    for (int i = 0; i < made; i++) samc__prepared_free(s, &images[i], &own[i]); /* on a device they are there already */
    samc__memory_release(&s->memory, own);
    return status;
}

samc_status samc__session_encode(samc_session *s, const samc_image *images, int count, int first) {
    const samc__recipe *recipe = &s->model->net.config.recipe;
    if (recipe->filter != SAMC__FILTER_CUBIC_AA) {
        SAMC__TRY(samc__session_encode_resized(s, images, count, first));
    } else {
        SAMC__TRY(encode_made(s, images, count, first, samc__resize_make, samc__session_encode_resized));
    }
    for (int i = 0; i < count; i++)
        s->images[first + i].frame = samc__frame_of(recipe, images[i].width, images[i].height);
    return SAMC_OK;
}

samc_status samc__session_encode_levelled(samc_session *s, const samc_image *images, int count, int first) {
    if (s->model->net.config.recipe.levels == SAMC__LEVELS_AS_THEY_ARE)
        return samc__session_encode(s, images, count, first);
    return encode_made(s, images, count, first, samc__levels_make, samc__session_encode);
}

size_t samc__prepare_bytes(const samc__recipe *recipe, int images, int width, int height, size_t encode) {
    const size_t pixels = (size_t)width * (size_t)height;
    size_t all = encode;
    if (recipe->filter == SAMC__FILTER_CUBIC_AA) {
        const samc__frame frame = samc__frame_of(recipe, width, height);
        const size_t resize = samc__memory_counted(3 * pixels * sizeof(double));
        all = (size_t)images * samc__memory_counted(3 * (size_t)frame.new_width * (size_t)frame.new_height) +
              (resize > encode ? resize : encode);
    }
    if (recipe->levels != SAMC__LEVELS_AS_THEY_ARE) all += (size_t)images * samc__memory_counted(3 * pixels);
    return all;
}
