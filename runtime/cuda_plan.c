/* Planning by doing: samc__encode() and samc__decode() over an arena with a made-up address. */
#include "runtime/cuda_plan.h"

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/ops_cuda.h"
#include "runtime/arena.h"
#include "runtime/decoder.h"
#include "runtime/encoder.h"
#include "runtime/memory.h"
#include "runtime/place.h"

static char *const nowhere = (char *)((uintptr_t)1 << 40);

typedef struct planner {
    samc__cuda cuda; /* first */
    samc__arena arena;
    samc__memory host;
} planner;

static planner *planner_of(const samc__exec *exec) { return (planner *)(void *)exec->cuda; }
static void *allocate(const samc__exec *exec, size_t bytes) { return samc__arena_take(&planner_of(exec)->arena, bytes); }
static void release(const samc__exec *exec, void *tensor) { samc__arena_give(&planner_of(exec)->arena, tensor); }

static samc_status move(const samc__exec *exec, void *to, const void *from, size_t pitch, size_t bytes, size_t rows) {
    (void)exec, (void)to, (void)from, (void)pitch, (void)bytes, (void)rows;
    return SAMC_OK;
}
static samc_status copy(const samc__exec *exec, void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t bytes, size_t rows) {
    (void)exec, (void)to, (void)to_pitch, (void)from, (void)from_pitch, (void)bytes, (void)rows;
    return SAMC_OK;
}
static samc_status image(const samc__exec *exec, const samc_image *picture, const uint8_t **pixels, ptrdiff_t *pitch) {
    (void)exec;
    *pixels = (const uint8_t *)nowhere;
    *pitch = 3 * (ptrdiff_t)picture->width;
    return SAMC_OK;
}
static samc_status image_read(const samc__exec *exec) {
    (void)exec;
    return SAMC_OK;
}
static samc_status follow(const samc__exec *exec, const samc__exec *earlier) {
    (void)exec, (void)earlier;
    return SAMC_OK;
}
static const samc__place place_plan = {false, allocate, release, move, move, copy, image, image_read, follow};

static samc_status reserve(samc__cuda *cuda, size_t bytes) {
    if (bytes > cuda->scratch_bytes) cuda->scratch_bytes = bytes;
    return SAMC_OK;
}

static samc_status plan_encode(const samc__exec *exec, const samc_model *model, const samc_image *images, int count) {
    return samc__encode(exec, model, images, count, nowhere);
}

/* What a session keeps, and a batch of prompts with its results, as runtime/predict.c asks for them. */
static samc_status plan_decode(const samc__exec *exec, const samc_model *model, int images, int prompts) {
    enum { MOST = 64 };
    static const float point[2] = {0.0f, 0.0f};
    static const int32_t label = 1;
    const samc__config *c = &model->config;
    size_t embedding = (size_t)c->grid * (size_t)c->grid * (size_t)c->out_chans * samc__dtype_size(model->precision);
    size_t masks = (size_t)c->mask_tokens - 1, of_mask = 16 * (size_t)c->grid * (size_t)c->grid * sizeof(float);
    void *key_pe = allocate(exec, embedding), *embeddings = allocate(exec, (size_t)images * embedding);
    samc__image_side side = samc__image_side_at(model, 1, allocate(exec, samc__image_side_bytes(model, 1)), 0);
    SAMC__TRY(samc__image_side_make(exec, model, embeddings, key_pe, 1, &side));
    void *logits = allocate(exec, (size_t)prompts * masks * of_mask), *iou = allocate(exec, (size_t)prompts * masks * sizeof(float));
    samc_prompt prompt = {.points = point, .labels = &label, .point_count = 1};
    const samc_prompt *batch[MOST];
    for (int i = 0; i < prompts; i++) batch[i] = &prompt;
    samc__geometry geometry = samc__geometry_of(c->img_size, c->img_size, c->img_size);
    samc__prompt_batch args = {.prompts = batch, .count = prompts, .images = 1, .tokens = samc__prompt_tokens(&prompt), .geometry = &geometry,
                               .embeddings = embeddings, .side = side, .key_pe = key_pe};
    return samc__decode(exec, model, &args, true, logits, iou);
}

samc_status samc__plan_session(const samc_model *model, int prompts, samc__session_plan *plan, samc_error *error) {
    samc__ops ops;
    samc__ops_cuda_plan(&ops);
    int images = samc__encode_batch(&model->config), side = model->config.img_size;
    samc_image inputs[16]; /* samc__encode_batch() is at most that */
    for (int i = 0; i < images; i++) inputs[i] = (samc_image){(const uint8_t *)nowhere, side, side, 3 * (ptrdiff_t)side};
    samc__lane_plan *lanes[2] = {&plan->encode, &plan->decode};
    for (int i = 0; i < 2; i++) {
        planner p = {.cuda = {.error = error, .reserve = reserve}, .arena = {.base = nowhere, .bytes = SIZE_MAX / 4}};
        samc__exec exec = {.ops = &ops, .error = error, .workers = 1, .memory = &p.host, .allocate = samc__memory_allocate,
                           .release = samc__memory_release, .place = &place_plan, .cuda = &p.cuda};
        SAMC__TRY(i == 0 ? plan_encode(&exec, model, inputs, images) : plan_decode(&exec, model, images, prompts));
        *lanes[i] = (samc__lane_plan){p.arena.peak, p.cuda.scratch_bytes};
    }
    return SAMC_OK;
}
