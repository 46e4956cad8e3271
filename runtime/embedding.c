/* Embeddings as objects: counted, shared by sessions, in the host's memory. */
#include "runtime/numeric.h"
#include "runtime/session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct samc_embedding {
    atomic_int references;
    const samc_model *model;
    samc__frame frame;
    samc__memory memory;
    void *features; /* of one image, samc__features_at() */
    /* What the first prediction without a mask input adds on a host; a device makes its own. */
    pthread_mutex_t caching; /* is held while it is made */
    void *cache;
    bool cached;
};

const samc__frame *samc__embedding_frame(const samc_embedding *e) { return &e->frame; }
const samc_model *samc__embedding_model(const samc_embedding *e) { return e->model; }

static size_t features_bytes(const samc_model *model) {
    return samc__features_bytes(&model->net.config, model->net.precision, 1);
}

static samc__features features_in(const samc_model *model, void *block) {
    return samc__features_at(&model->net.config, model->net.precision, block, 1, 0, 1);
}

static size_t level_bytes(const samc__view *level) {
    return (size_t)(level->n[1] * level->n[2]) * samc__dtype_size(level->dtype);
}

samc_embedding *samc_embedding_keep(samc_embedding *e) {
    if (e != NULL) atomic_fetch_add(&e->references, 1);
    return e;
}

void samc_embedding_release(samc_embedding *e) {
    if (e == NULL || atomic_fetch_sub(&e->references, 1) > 1) return;
    samc__memory_release(&e->memory, e->features);
    samc__memory_release(&e->memory, e->cache);
    pthread_mutex_destroy(&e->caching);
    free(e);
}

size_t samc_embedding_bytes(const samc_embedding *e) {
    if (e == NULL) return 0;
    const bool host = e->model->device == NULL;
    return sizeof *e + features_bytes(e->model) + (host ? samc__image_cache_bytes(&e->model->net, 1) : 0);
}

static samc_status embedding_of(samc_session *s, int index, samc_embedding **out) {
    if (out == NULL)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_embedding_of: no place for the embedding");
    *out = NULL;
    if (index < 0 || index >= s->image_count)
        return samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index);
    SAMC__TRY(samc__session_enter(s));
    samc_embedding *e = calloc(1, sizeof *e);
    if (e != NULL) e->features = samc__memory_allocate(&e->memory, features_bytes(s->model));
    if (e == NULL || e->features == NULL || pthread_mutex_init(&e->caching, NULL) != 0) {
        if (e != NULL) samc__memory_release(&e->memory, e->features);
        free(e);
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for an embedding");
    }
    atomic_init(&e->references, 1);
    e->model = s->model;
    e->frame = s->images[index].frame;
    const samc__features from = samc__session_features(s, index, 1), to = features_in(s->model, e->features);
    samc_status status = SAMC_OK;
    for (int i = 0; i < SAMC__MOST_LEVELS && to.level[i].data != NULL && status == SAMC_OK; i++) {
        const samc__view *level = &to.level[i];
        status = samc__download(&s->exec, level->data, from.level[i].data, level_bytes(level));
        if (status == SAMC_OK && samc__numeric_any_spoilt(level->dtype, level->data, samc__elements(*level)))
            status = samc__numeric_fail(s, index, "embedding");
    }
    if (status != SAMC_OK) {
        samc_embedding_release(e);
        return status;
    }
    *out = e;
    return SAMC_OK;
}

samc_status samc_embedding_of(samc_session *s, int index, samc_embedding **embedding) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, embedding_of(s, index, embedding));
}

static samc_status upload_features(samc_session *s, const samc_embedding *e, const samc__features *to) {
    const samc__features from = features_in(e->model, e->features);
    for (int i = 0; i < SAMC__MOST_LEVELS && from.level[i].data != NULL; i++)
        SAMC__TRY(samc__upload(&s->exec, to->level[i].data, from.level[i].data, level_bytes(&from.level[i])));
    return SAMC_OK;
}

static samc_status embedding_set(samc_session *s, const samc_embedding *e) {
    if (e == NULL) return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_embedding_set: no embedding");
    if (e->model != s->model)
        return samc__fail(&s->error, SAMC_MISMATCH, "the embedding is of another model than the session");
    SAMC__TRY(samc__session_enter(s));
    SAMC__TRY(samc__session_reserve_images(s, 1));
    const samc__features features = samc__session_features(s, 0, 1);
    samc_status status = upload_features(s, e, &features);
    if (status != SAMC_OK) {
        samc__session_drop_images(s);
        return status;
    }
    s->images[0].frame = e->frame;
    return SAMC_OK;
}

samc_status samc_embedding_set(samc_session *s, samc_embedding *embedding) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, embedding_set(s, embedding));
}

/* The cache of an embedding on a host, which whoever needs it first makes; others wait for it. */
static samc_status host_cache(samc_session *s, samc_embedding *e, samc__image_cache *cache) {
    pthread_mutex_lock(&e->caching);
    samc_status status = SAMC_OK;
    if (e->cache == NULL) e->cache = samc__memory_allocate(&e->memory, samc__image_cache_bytes(&s->model->net, 1));
    if (e->cache == NULL) status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the image cache");
    if (status == SAMC_OK) *cache = samc__image_cache_at(&s->model->net, 1, e->cache, 0);
    if (status == SAMC_OK && !e->cached) {
        const samc__features features = features_in(s->model, e->features);
        status = samc__image_cache_make(&s->exec, &s->model->net, &features, s->key_pe, 1, cache);
        e->cached = status == SAMC_OK;
    }
    pthread_mutex_unlock(&e->caching);
    return status;
}

void samc__session_drop_embedding(samc_session *s) {
    samc__tensor_release(&s->exec, s->guest.features);
    samc__tensor_release(&s->exec, s->guest.cache);
    samc_embedding_release(s->guest.embedding);
    memset(&s->guest, 0, sizeof s->guest);
}

/* Brings an embedding to the session's device, unless it is there. */
static samc_status bring(samc_session *s, samc_embedding *e) {
    if (s->guest.embedding == e) return SAMC_OK;
    if (s->guest.features == NULL) s->guest.features = samc__tensor_allocate(&s->exec, features_bytes(s->model));
    if (s->guest.features == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for an embedding");
    samc_embedding_release(s->guest.embedding);
    s->guest.embedding = NULL;
    s->guest.cached = false;
    const samc__features features = features_in(s->model, s->guest.features);
    SAMC__TRY(upload_features(s, e, &features));
    s->guest.embedding = samc_embedding_keep(e);
    return SAMC_OK;
}

static samc_status device_cache(samc_session *s, samc__image_cache *cache) {
    const samc__network *net = &s->model->net;
    if (s->guest.cache == NULL) s->guest.cache = samc__tensor_allocate(&s->exec, samc__image_cache_bytes(net, 1));
    if (s->guest.cache == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for the image cache");
    *cache = samc__image_cache_at(net, 1, s->guest.cache, 0);
    if (s->guest.cached) return SAMC_OK;
    const samc__features features = features_in(s->model, s->guest.features);
    SAMC__TRY(samc__image_cache_make(&s->exec, net, &features, s->key_pe, 1, cache));
    s->guest.cached = true;
    return SAMC_OK;
}

samc_status samc__embedding_read(samc_session *s, samc_embedding *e, samc__features *features,
                                 samc__image_cache *cache) {
    const bool host = s->exec.place->host;
    if (!host) SAMC__TRY(bring(s, e));
    *features = features_in(s->model, host ? e->features : s->guest.features);
    if (cache == NULL) return SAMC_OK;
    return host ? host_cache(s, e, cache) : device_cache(s, cache);
}
