/* The images of a session and their embeddings. */
#include "runtime/session.h"

#include "runtime/base/abi.h"
#include "runtime/model/encode.h"
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
    samc__tensor_release(&s->exec, s->features);
    samc__memory_release(&s->memory, s->images);
    s->features = NULL;
    s->images = NULL;
    s->image_count = 0;
}

samc_status samc__session_reserve_images(samc_session *s, int count) {
    samc__session_drop_images(s);
    const samc__network *net = &s->model->net;
    s->features = samc__tensor_allocate(&s->exec, samc__features_bytes(&net->config, net->precision, count));
    s->images = samc__memory_allocate(&s->memory, (size_t)count * sizeof *s->images);
    if (s->features == NULL || s->images == NULL) {
        samc__session_drop_images(s);
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the embeddings of %d image(s)", count);
    }
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
        const samc__features features = samc__session_features(s, first, count);
        SAMC__TRY(samc__image_cache_make(&s->exec, &s->model->net, &features, s->key_pe, count, &all));
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
    const samc__features features = samc__session_features(s, first, count);
    SAMC__TRY(samc__encode(&s->encoder, &s->model->net, images, count, &features));
    return s->exec.place->host ? samc__numeric_embeddings(s, first, count) : SAMC_OK;
}

samc_status samc__set_images(samc_session *s, const samc_image *images, int count) {
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
    if (status == SAMC_OK) status = samc__set_images(s, own, count);
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

static samc_status check_level(samc_session *s, int level) {
    if (level >= 0 && level < SAMC__MOST_LEVELS && samc__level_of(&s->model->net.config, level).name != NULL)
        return SAMC_OK;
    return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "level %d is not one that the model's embeddings have", level);
}

/* Inside, levels are [cells, channels]; outside, as in the original, [channels, side, side]. */
samc_status samc__get_level(samc_session *s, int index, int level, float *values) {
    const samc__network *net = &s->model->net;
    if (values == NULL)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_get_embedding: no room for the embedding");
    if (index < 0 || index >= s->image_count)
        return samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index);
    SAMC__TRY(check_level(s, level));
    SAMC__TRY(samc__session_enter(s));
    const samc__view tensor = samc__session_features(s, index, 1).level[level];
    const int64_t n = tensor.n[1], c = tensor.n[2];
    const void *own = samc__read(&s->exec, tensor.data, (size_t)(n * c) * samc__dtype_size(net->precision));
    if (own == NULL) return s->error.status;
    for (int64_t cell = 0; cell < n; cell++)
        for (int64_t i = 0; i < c; i++) values[i * n + cell] = samc__load_element(net->precision, own, cell * c + i);
    samc__read_end(&s->exec, tensor.data, own);
    return samc__numeric_spoilt(values, n * c) ? samc__numeric_fail(s, index, "embedding") : SAMC_OK;
}

samc_status samc_get_embedding(samc_session *s, int index, float *embedding) {
    return samc_get_level(s, index, 0, embedding);
}

samc_status samc_get_level(samc_session *s, int index, int level, float *values) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, samc__get_level(s, index, level, values));
}

static samc_status set_level(samc_session *s, const float *values, const samc__view *to) {
    const samc__dtype a = s->model->net.precision;
    const int64_t n = to->n[1], c = to->n[2];
    const size_t bytes = (size_t)(n * c) * samc__dtype_size(a);
    void *own = samc__memory_allocate(&s->memory, bytes);
    if (own == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory to set an embedding");
    for (int64_t cell = 0; cell < n; cell++)
        for (int64_t i = 0; i < c; i++) samc__store_element(a, own, cell * c + i, values[i * n + cell]);
    samc_status status = samc__upload(&s->exec, to->data, own, bytes);
    samc__memory_release(&s->memory, own);
    return status;
}

/* Whether these are all levels that the model has, and finite. */
static samc_status check_levels(samc_session *s, const float *const *levels, int count) {
    const samc__config *c = &s->model->net.config;
    for (int i = 0; i < count; i++) {
        SAMC__TRY(check_level(s, i));
        const samc__level level = samc__level_of(c, i);
        for (int64_t at = 0; at < samc__level_elements(&level); at++)
            if (!isfinite(levels[i][at]))
                return samc__fail(&s->error, SAMC_FORMAT, "the embedding has a value that is not finite");
    }
    const samc__level lacks = count < SAMC__MOST_LEVELS ? samc__level_of(c, count) : (samc__level){0};
    if (lacks.name == NULL) return SAMC_OK;
    return samc__fail(&s->error, SAMC_MISMATCH, "the embedding alone is not enough: this model also looks at its %s",
                      lacks.name);
}

samc_status samc__set_levels(samc_session *s, const float *const *levels, int count, int width, int height) {
    bool given = levels != NULL && count > 0 && count <= SAMC__MOST_LEVELS;
    for (int i = 0; given && i < count; i++) given = levels[i] != NULL;
    if (!given || !samc__size_fits(width, height))
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT,
                          "samc_set_embedding: no embedding, or an image of %d x %d pixels", width, height);
    SAMC__TRY(check_levels(s, levels, count));
    SAMC__TRY(samc__session_enter(s));
    SAMC__TRY(samc__session_reserve_images(s, 1));
    const samc__features features = samc__session_features(s, 0, 1);
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) status = set_level(s, levels[i], &features.level[i]);
    if (status != SAMC_OK) {
        samc__session_drop_images(s);
        return status;
    }
    s->images[0].frame = samc__frame_of(&s->model->net.config.recipe, width, height);
    return SAMC_OK;
}

samc_status samc_set_levels(samc_session *s, const float *const *levels, int count, int width, int height) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, samc__set_levels(s, levels, count, width, height));
}

samc_status samc_set_embedding(samc_session *s, const float *embedding, int width, int height) {
    return samc_set_levels(s, &embedding, 1, width, height);
}

samc_status samc_model_level(const samc_model *model, int level, const char **name, int *channels, int *side) {
    if (model == NULL || level < 0 || level >= SAMC__MOST_LEVELS) return SAMC_INVALID_ARGUMENT;
    const samc__level l = samc__level_of(&model->net.config, level);
    if (l.name == NULL) return SAMC_INVALID_ARGUMENT;
    if (name != NULL) *name = l.name;
    if (channels != NULL) *channels = l.channels;
    if (side != NULL) *side = l.side;
    return SAMC_OK;
}
