/* Sessions: lifetime, images and their embeddings. */
#include "runtime/session.h"

#include "runtime/encoder.h"

#include <math.h>
#include <stdlib.h>

static int64_t embedding_floats(const samc_model *model) {
    return (int64_t)model->config.grid * model->config.grid * model->config.out_chans;
}

samc_status samc_session_create(const samc_model *model, samc_session **out, samc_error *error) {
    if (out == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_session_create: no place for the session");
    *out = NULL;
    if (model == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_session_create: no model");
    samc_session *s = calloc(1, sizeof *s);
    if (s == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a session");
    s->model = model;
    s->pool = samc__pool_create(model->threads);
    s->exec = (samc__exec){
        .ops = &model->ops,
        .error = &s->error,
        .workers = model->threads,
        .pool = s->pool,
        .parallel = samc__pool_run,
        .memory = &s->memory,
        .allocate = samc__memory_allocate,
        .release = samc__memory_release,
        .packed = model->packed,
    };
    samc_status status = SAMC_OK;
    s->key_pe = samc__memory_allocate(&s->memory, (size_t)embedding_floats(model) * sizeof(float));
    if (s->pool == NULL || s->key_pe == NULL) {
        status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory or no threads for a session with %d threads", model->threads);
    } else {
        samc__embed_grid_args args = {
            .gaussian = samc__view2(model->weights.pe_gaussian, 2, model->config.out_chans / 2),
            .y = samc__view2(s->key_pe, (int64_t)model->config.grid * model->config.grid, model->config.out_chans),
            .grid = model->config.grid,
        };
        status = samc__embed_grid(&s->exec, &args);
    }
    if (status != SAMC_OK) {
        if (error != NULL) *error = s->error;
        samc_session_destroy(s);
        return status;
    }
    *out = s;
    return SAMC_OK;
}

static void drop_side(samc_session *s) {
    samc__memory_release(&s->memory, s->side_floats);
    s->side_floats = NULL;
    s->side_room = s->side_images = 0;
}

static void drop_images(samc_session *s) {
    drop_side(s);
    samc__memory_release(&s->memory, s->embeddings);
    samc__memory_release(&s->memory, s->images);
    s->embeddings = NULL;
    s->images = NULL;
    s->image_count = 0;
}

void samc_session_destroy(samc_session *s) {
    if (s == NULL) return;
    drop_images(s);
    samc__memory_release(&s->memory, s->key_pe);
    samc__pool_destroy(s->pool);
    free(s);
}

const char *samc_last_error(const samc_session *session) { return session ? session->error.message : "no session"; }

void samc_session_stop(samc_session *session) { atomic_store(&session->stop, true); }

samc_memory samc_session_memory(const samc_session *session) {
    return (samc_memory){session->memory.current, session->memory.peak};
}

samc_status samc__session_reserve_images(samc_session *s, int count) {
    drop_images(s);
    size_t floats = (size_t)embedding_floats(s->model);
    s->embeddings = samc__memory_allocate(&s->memory, (size_t)count * floats * sizeof(float));
    s->images = samc__memory_allocate(&s->memory, (size_t)count * sizeof *s->images);
    if (s->embeddings == NULL || s->images == NULL) {
        drop_images(s);
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the embeddings of %d image(s)", count);
    }
    for (int i = 0; i < count; i++) s->images[i].embedding = s->embeddings + (size_t)i * floats;
    s->image_count = count;
    return SAMC_OK;
}

samc_status samc__session_side(samc_session *s, int first, int count, samc__image_side *side) {
    const samc__config *config = &s->model->config;
    if (first < s->side_first || first + count > s->side_first + s->side_images) {
        s->side_images = 0;
        if (s->side_room != count) {
            drop_side(s);
            s->side_floats = samc__memory_allocate(&s->memory, (size_t)samc__image_side_floats(config, count) * sizeof(float));
            if (s->side_floats == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the image side of %d image(s)", count);
            s->side_room = count;
        }
        samc__image_side all = samc__image_side_at(config, count, s->side_floats);
        SAMC__TRY(samc__image_side_make(&s->exec, s->model, s->images[first].embedding, s->key_pe, count, &all));
        s->side_first = first;
        s->side_images = count;
    }
    *side = samc__image_side_at(config, s->side_room, s->side_floats);
    int64_t n = (int64_t)config->grid * config->grid * (first - s->side_first), inner = config->decoder_attention_dim;
    side->keys += n * config->out_chans, side->k += n * inner, side->v += n * inner, side->q += n * inner;
    return SAMC_OK;
}

samc_status samc__check_image(samc_error *error, const samc_image *image, int index) {
    bool rows_fit = image->row_bytes >= (ptrdiff_t)3 * image->width;
    if (image->pixels != NULL && image->width > 0 && image->height > 0 && rows_fit) return SAMC_OK;
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "image %d is empty or its rows are shorter than its width", index);
}

samc_status samc_set_images(samc_session *s, const samc_image *images, int count) {
    if (s == NULL) return SAMC_INVALID_ARGUMENT;
    if (images == NULL || count < 1) return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_set_images: no images");
    for (int i = 0; i < count; i++) SAMC__TRY(samc__check_image(&s->error, &images[i], i));
    SAMC__TRY(samc__session_reserve_images(s, count));
    const samc__config *config = &s->model->config;
    int batch = samc__encode_batch(config);
    for (int i = 0; i < count; i += batch) {
        int n = count - i < batch ? count - i : batch;
        samc_status status = samc__encode(&s->exec, s->model, images + i, n, s->images[i].embedding);
        if (status != SAMC_OK) {
            drop_images(s);
            return status;
        }
    }
    for (int i = 0; i < count; i++) s->images[i].geometry = samc__geometry_of(config->img_size, images[i].width, images[i].height);
    return SAMC_OK;
}

samc_status samc_set_image(samc_session *session, const samc_image *image) { return samc_set_images(session, image, 1); }

samc_status samc_session_image_size(samc_session *s, int index, int *width, int *height) {
    if (s == NULL) return SAMC_INVALID_ARGUMENT;
    if (index < 0 || index >= s->image_count) return samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index);
    *width = s->images[index].geometry.width;
    *height = s->images[index].geometry.height;
    return SAMC_OK;
}

/* Inside, embeddings are [N, C]; outside, as in the original, [C, grid, grid]. */
samc_status samc_get_embedding(samc_session *s, int index, float *embedding) {
    if (s == NULL) return SAMC_INVALID_ARGUMENT;
    if (embedding == NULL) return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_get_embedding: no room for the embedding");
    if (index < 0 || index >= s->image_count) return samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index);
    int64_t n = (int64_t)s->model->config.grid * s->model->config.grid, c = s->model->config.out_chans;
    for (int64_t token = 0; token < n; token++)
        for (int64_t i = 0; i < c; i++) embedding[i * n + token] = s->images[index].embedding[token * c + i];
    return SAMC_OK;
}

samc_status samc_set_embedding(samc_session *s, const float *embedding, int width, int height) {
    if (s == NULL) return SAMC_INVALID_ARGUMENT;
    if (embedding == NULL || width < 1 || height < 1)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_set_embedding: no embedding, or an image of %d x %d pixels", width, height);
    int64_t n = (int64_t)s->model->config.grid * s->model->config.grid, c = s->model->config.out_chans;
    for (int64_t i = 0; i < n * c; i++)
        if (!isfinite(embedding[i])) return samc__fail(&s->error, SAMC_FORMAT, "the embedding has a value that is not finite");
    SAMC__TRY(samc__session_reserve_images(s, 1));
    for (int64_t token = 0; token < n; token++)
        for (int64_t i = 0; i < c; i++) s->images[0].embedding[token * c + i] = embedding[i * n + token];
    s->images[0].geometry = samc__geometry_of(s->model->config.img_size, width, height);
    return SAMC_OK;
}
