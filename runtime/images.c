/* The images of a session and their embeddings. */
#include "runtime/session.h"

#include "runtime/base/abi.h"
#include "runtime/numeric.h"

#include <math.h>

static void drop_side(samc_session *s) {
    samc__tensor_release(&s->exec, s->cache);
    s->cache = NULL;
    s->cache_room = s->cached_images = 0;
}

void samc__session_drop_images(samc_session *s) {
    samc__exec exec = s->exec;
    exec.error = NULL;                       /* a device that was lost has been told of */
    s->exec.place->wait(&exec, &s->encoder); /* it may still write there */
    drop_side(s);
    samc__tensor_release(&s->exec, s->embeddings);
    samc__memory_release(&s->memory, s->images);
    s->embeddings = NULL;
    s->images = NULL;
    s->image_count = 0;
}

samc_status samc__session_reserve_images(samc_session *s, int count) {
    samc__session_drop_images(s);
    size_t bytes = samc__embedding_bytes(s->model);
    s->embeddings = samc__tensor_allocate(&s->exec, (size_t)count * bytes);
    s->images = samc__memory_allocate(&s->memory, (size_t)count * sizeof *s->images);
    if (s->embeddings == NULL || s->images == NULL) {
        samc__session_drop_images(s);
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the embeddings of %d image(s)", count);
    }
    for (int i = 0; i < count; i++) s->images[i].embedding = (char *)s->embeddings + (size_t)i * bytes;
    s->image_count = count;
    return SAMC_OK;
}

samc_status samc__session_cache(samc_session *s, int first, int count, samc__image_cache *cache) {
    if (first < s->cached_first || first + count > s->cached_first + s->cached_images) {
        s->cached_images = 0;
        if (s->cache_room != count) {
            drop_side(s);
            s->cache = samc__tensor_allocate(&s->exec, samc__image_cache_bytes(&s->model->net, count));
            if (s->cache == NULL)
                return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the image cache of %d image(s)", count);
            s->cache_room = count;
        }
        samc__image_cache all = samc__image_cache_at(&s->model->net, count, s->cache, 0);
        SAMC__TRY(samc__image_cache_make(&s->exec, &s->model->net, s->images[first].embedding, s->key_pe, count, &all));
        s->cached_first = first;
        s->cached_images = count;
    }
    *cache = samc__image_cache_at(&s->model->net, s->cache_room, s->cache, first - s->cached_first);
    return SAMC_OK;
}

bool samc__size_fits(int width, int height) {
    enum { MOST_SIDE = 1 << 20 };
    return width > 0 && height > 0 && width <= MOST_SIDE && height <= MOST_SIDE && (int64_t)width * height <= INT32_MAX;
}

samc_status samc__check_image(samc_error *error, const samc_image *image, int index) {
    bool rows_fit = image->row_bytes >= (ptrdiff_t)3 * image->width;
    if (image->pixels != NULL && image->width > 0 && image->height > 0 && rows_fit) {
        if (samc__size_fits(image->width, image->height) && image->row_bytes <= PTRDIFF_MAX / image->height)
            return SAMC_OK;
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "image %d has %d x %d pixels, or rows of %td bytes; that is too large", index, image->width,
                          image->height, image->row_bytes);
    }
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "image %d is empty or its rows are shorter than its width", index);
}

samc_status samc__session_encode_resized(samc_session *s, const samc_image *images, int count, int first) {
    if (first < s->cached_first + s->cached_images && s->cached_first < first + count)
        s->cached_images = 0; /* of what was there */
    samc__features features = samc__features_at(&s->model->net, s->images[first].embedding, count);
    SAMC__TRY(samc__encode(&s->encoder, &s->model->net, images, count, &features));
    return s->exec.place->host ? samc__numeric_embeddings(s, first, count) : SAMC_OK;
}

static samc_status set_images(samc_session *s, const samc_image *images, int count) {
    for (int i = 0; i < count; i++) SAMC__TRY(samc__check_image(&s->error, &images[i], i));
    SAMC__TRY(samc__session_enter(s));
    SAMC__TRY(samc__session_reserve_images(s, count));
    samc_status status = samc__session_synchronize(s);
    for (int i = 0; i < count && status == SAMC_OK; i += s->encode_most)
        status =
            samc__session_encode_levelled(s, images + i, count - i < s->encode_most ? count - i : s->encode_most, i);
    if (status == SAMC_OK) status = samc__session_synchronize(s);
    if (status != SAMC_OK) samc__session_drop_images(s);
    return status;
}

samc_status samc_set_images(samc_session *s, const samc_image *images, int count) {
    const void *own = images;
    SAMC__TRY(samc__session_begin(s));
    samc_status status = images == NULL || count < 1
                             ? samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_set_images: no images")
                             : samc__abi_array(SAMC__ABI(samc_image), images, count, &own, &s->error);
    if (status == SAMC_OK) status = set_images(s, own, count);
    samc__abi_array_free(images, own);
    return samc__session_end(s, status);
}

samc_status samc_set_image(samc_session *session, const samc_image *image) {
    return samc_set_images(session, image, 1);
}

samc_status samc_session_image_size(samc_session *s, int index, int *width, int *height) {
    SAMC__TRY(samc__session_begin(s));
    if (index < 0 || index >= s->image_count)
        return samc__session_end(s, samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index));
    if (width != NULL) *width = s->images[index].frame.width;
    if (height != NULL) *height = s->images[index].frame.height;
    return samc__session_end(s, SAMC_OK);
}

/* Inside, embeddings are [N, C]; outside, as in the original, [C, grid, grid]. */
samc_status samc__get_embedding(samc_session *s, int index, float *embedding) {
    if (embedding == NULL)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_get_embedding: no room for the embedding");
    if (index < 0 || index >= s->image_count)
        return samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index);
    SAMC__TRY(samc__session_enter(s));
    int64_t n = (int64_t)s->model->net.config.grid * s->model->net.config.grid,
            c = s->model->net.config.decoder.channels;
    const void *tensor = s->images[index].embedding,
               *own = samc__read(&s->exec, tensor, samc__embedding_bytes(s->model));
    if (own == NULL) return s->error.status;
    for (int64_t token = 0; token < n; token++)
        for (int64_t i = 0; i < c; i++)
            embedding[i * n + token] = samc__load_element(s->model->net.precision, own, token * c + i);
    samc__read_end(&s->exec, tensor, own);
    return samc__numeric_spoilt(embedding, n * c) ? samc__numeric_fail(s, index, "embedding") : SAMC_OK;
}

samc_status samc_get_embedding(samc_session *s, int index, float *embedding) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, samc__get_embedding(s, index, embedding));
}

samc_status samc__set_embedding(samc_session *s, const float *embedding, int width, int height) {
    if (embedding == NULL || !samc__size_fits(width, height))
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT,
                          "samc_set_embedding: no embedding, or an image of %d x %d pixels", width, height);
    int64_t n = (int64_t)s->model->net.config.grid * s->model->net.config.grid,
            c = s->model->net.config.decoder.channels;
    for (int64_t i = 0; i < n * c; i++)
        if (!isfinite(embedding[i]))
            return samc__fail(&s->error, SAMC_FORMAT, "the embedding has a value that is not finite");
    SAMC__TRY(samc__session_enter(s));
    SAMC__TRY(samc__session_reserve_images(s, 1));
    void *own = samc__memory_allocate(&s->memory, samc__embedding_bytes(s->model));
    if (own == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory to set an embedding");
    for (int64_t token = 0; token < n; token++)
        for (int64_t i = 0; i < c; i++)
            samc__store_element(s->model->net.precision, own, token * c + i, embedding[i * n + token]);
    samc_status status = samc__upload(&s->exec, s->images[0].embedding, own, samc__embedding_bytes(s->model));
    samc__memory_release(&s->memory, own);
    if (status != SAMC_OK) {
        samc__session_drop_images(s);
        return status;
    }
    s->images[0].frame = samc__frame_of(&s->model->net.config.recipe, width, height);
    return SAMC_OK;
}

samc_status samc_set_embedding(samc_session *s, const float *embedding, int width, int height) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, samc__set_embedding(s, embedding, width, height));
}
