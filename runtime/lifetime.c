/* Sessions: how they begin and end, what they do at a time, and what may be asked of them. */
#include "runtime/session.h"
#include "kernels/embed_grid/embed_grid.h"

#include "runtime/base/abi.h"
#include "runtime/cuda_plan.h"

#include <stdio.h>
#include <stdlib.h>

enum { FEWEST_UNNOTED = 64 };    /* prompts at a time: with fewer, launches take as long as the work */
enum { SPARE_BYTES = 64 << 20 }; /* a batch of prompts in SAM and its operators' scratch memory: 40 MB on one thread */

static void note_fewer_prompts(samc_session *s) {
    snprintf(s->note, sizeof s->note, "the GPU's memory is not enough for %d prompts at a time; they go %d at a time",
             FEWEST_UNNOTED, s->decode_most);
}

/* The position encoding of the grid, which all prompts share. */
static samc_status embed_grid(samc_session *s) {
    const samc__config *config = &s->model->net.config;
    int64_t n = (int64_t)config->grid * config->grid;
    s->key_pe = samc__tensor_allocate(&s->exec, samc__grid_bytes(s->model));
    if (s->key_pe == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for a session");
    samc__embed_grid_args args = {
        .gaussian = s->model->net.weights.pe_gaussian,
        .y = samc__as(s->model->net.precision, samc__view2(s->key_pe, n, config->decoder.channels)),
        .grid = config->grid,
    };
    return samc__embed_grid(&s->exec, &args);
}

samc_status samc__session_begin(samc_session *s) {
    if (s == NULL) return SAMC_INVALID_ARGUMENT;
    if (atomic_exchange(&s->busy, true))
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "the session is busy with another call");
    return SAMC_OK;
}

samc_status samc__session_end(samc_session *s, samc_status status) {
    atomic_store(&s->busy, false);
    return status;
}

samc_status samc__session_enter(samc_session *s) {
    return s->model->device ? samc__cuda_enter(s->model->device, &s->error) : SAMC_OK;
}

static samc_status open_device_session(samc_session *s) {
    SAMC__TRY(samc__session_enter(s));
    samc__session_size size = samc__cuda_fitting_size(s->model);
    SAMC__TRY(samc__cuda_session_open(s->model->device, s->model, &s->exec, &s->encoder, &s->post, &size, &s->cuda));
    s->decode_most = size.prompts;
    s->encode_most = size.images;
    s->groups = size.groups;
    if (size.groups == 1) samc__session_one_group(s);
    if (size.prompts < FEWEST_UNNOTED) note_fewer_prompts(s);
    return SAMC_OK;
}

samc_status samc_session_create(const samc_model *model, samc_session **out, samc_error *error) {
    if (out == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_session_create: no place for the session");
    *out = NULL;
    if (model == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_session_create: no model");
    samc_session *s = calloc(1, sizeof *s);
    if (s == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a session");
    s->model = model;
    s->memory.keep = SPARE_BYTES;
    s->pool = samc__pool_create(model->threads);
    s->exec = (samc__exec){
        .ops = &model->net.ops,
        .error = &s->error,
        .workers = model->threads,
        .pool = s->pool,
        .parallel = samc__pool_run,
        .memory = &s->memory,
        .allocate = samc__memory_allocate,
        .release = samc__memory_release,
        .packed = model->packed,
        .place = &samc__place_host,
    };
    s->encoder = s->post = s->exec;
    s->encode_most = samc__encode_batch(&model->net.config);
    s->decode_most = samc__decode_batch(&model->net.config, model->device ? 0 : model->threads);
    s->groups = 1;
    samc_status status = SAMC_OK;
    if (s->pool == NULL)
        status = samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory or no threads for a session with %d threads",
                            model->threads);
    else if (model->device != NULL) status = open_device_session(s);
    if (status == SAMC_OK) status = embed_grid(s);
    if (status != SAMC_OK) {
        if (error != NULL) *error = s->error;
        samc_session_destroy(s);
        return status;
    }
    *out = s;
    return SAMC_OK;
}

void samc_session_destroy(samc_session *s) {
    if (s == NULL || atomic_load(&s->busy)) return;
    samc__session_enter(s);
    samc__session_drop_images(s);
    samc__session_drop_embedding(s);
    samc__tensor_release(&s->exec, s->key_pe);
    samc__cuda_session_close(s->cuda);
    samc__pool_destroy(s->pool);
    samc__memory_drop(&s->memory);
    free(s);
}

const char *samc_last_error(const samc_session *session) { return session ? session->error.message : "no session"; }

void samc_session_stop(samc_session *session) {
    if (session != NULL) atomic_store(&session->stop, true);
}

void samc_session_trim(samc_session *session) {
    if (samc__session_begin(session) != SAMC_OK) return;
    samc__memory_drop(&session->memory);
    samc__session_end(session, SAMC_OK);
}

const char *samc_session_note(const samc_session *session) { return session ? session->note : ""; }

samc_status samc_session_memory(const samc_session *session, samc_memory *out) {
    if (session == NULL) return SAMC_INVALID_ARGUMENT;
    samc_memory memory = {.current = session->memory.current, .peak = session->memory.peak};
    samc__cuda_session_memory(session->cuda, &memory);
    return samc__abi_give(SAMC__ABI(samc_memory), &memory, out, NULL);
}

bool samc__session_fewer_prompts(samc_session *s, int prompts) {
    if (s->exec.place->host || prompts < 2) return false;
    s->decode_most = prompts / 2;
    if (s->decode_most < FEWEST_UNNOTED) note_fewer_prompts(s);
    s->error = (samc_error){0};
    return true;
}

void samc__session_one_group(samc_session *s) {
    s->groups = 1;
    snprintf(s->note, sizeof s->note,
             "the GPU's memory is not enough to encode images while masks of others are made; they take turns");
}

samc_status samc__session_synchronize(samc_session *s) {
    SAMC__TRY(s->exec.place->wait(&s->exec, &s->encoder));
    return s->encoder.place->wait(&s->encoder, &s->exec);
}
