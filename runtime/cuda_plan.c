/* Planning by doing: a rehearsal of encoder and decoder over an arena with a made-up address. */
#include "runtime/cuda_plan.h"

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/ops_cuda.h"
#include "runtime/arena.h"
#include "runtime/auto_masks.h"
#include "runtime/cuda_device.h"
#include "runtime/memory.h"
#include "runtime/rehearse.h"

typedef struct planner {
    samc__cuda cuda; /* first */
    samc__arena arena;
    samc__memory host;
} planner;

static planner *planner_of(const samc__exec *exec) { return (planner *)(void *)exec->cuda; }
static void *allocate(const samc__exec *exec, size_t bytes) {
    return samc__arena_take(&planner_of(exec)->arena, bytes);
}
static void release(const samc__exec *exec, void *tensor) { samc__arena_give(&planner_of(exec)->arena, tensor); }

static samc_status reserve(samc__cuda *cuda, size_t bytes) {
    if (bytes > cuda->scratch_bytes) cuda->scratch_bytes = bytes;
    return SAMC_OK;
}

enum { FEWEST_FILLING = 256, /* prompts: with 7 tokens each, 112 blocks of 16 rows */ MOST_IMAGES = 8 };

samc__session_size samc__usual_size(const samc_model *model) {
    return (samc__session_size){
        .prompts = samc__decode_batch(&model->net.config, 0), .groups = 2, .images = MOST_IMAGES};
}

bool samc__smaller_size(samc__session_size *size) {
    if (size->prompts > FEWEST_FILLING)
        size->prompts = size->prompts / 2 > FEWEST_FILLING ? size->prompts / 2 : FEWEST_FILLING;
    else if (size->images > 1) size->images /= 2;
    else if (size->groups > 1) size->groups = 1;
    else if (size->prompts > 1) size->prompts /= 2;
    else return false;
    return true;
}

samc__session_size samc__fitting_size(const samc_model *model, size_t free_bytes) {
    samc__session_size size = samc__usual_size(model);
    samc__session_plan plan;
    int width, height;
    samc__everyday_size(&model->net.config, &width, &height);
    size_t picture = 3 * (size_t)width * (size_t)height;
    while (samc__plan_session(model, size, &plan, NULL) == SAMC_OK &&
           samc__plan_bytes(&plan) + (size_t)size.images * picture > free_bytes && samc__smaller_size(&size)) {}
    return size;
}

size_t samc__plan_bytes(const samc__session_plan *plan) {
    return plan->encode.arena + plan->encode.scratch + plan->decode.arena + plan->decode.scratch + plan->post.arena +
           plan->post.scratch;
}

/* An exec on the planner's arena; the planner, the table and the place outlive it. */
static samc__exec planning(planner *p, const samc_model *model, const samc__ops *ops, const samc__place *place,
                           samc_error *error) {
    *p = (planner){.cuda = {.error = error,
                            .capability = samc__cuda_capability(model->device),
                            .cudnn = model->cudnn,
                            .reserve = reserve},
                   .arena = {.base = samc__nowhere, .bytes = SIZE_MAX / 4}};
    return (samc__exec){.ops = ops,
                        .error = error,
                        .workers = 1,
                        .memory = &p->host,
                        .allocate = samc__memory_allocate,
                        .release = samc__memory_release,
                        .place = place,
                        .cuda = &p->cuda};
}

int samc__plan_prompts(const samc_model *model, const samc__lane_plan *lane, int most, int images, int tokens,
                       bool masked, int kept) {
    enum { FEWEST = 64 };
    const samc__config *c = &model->net.config;
    const samc__place place = samc__place_nowhere(allocate, release);
    size_t low = (size_t)samc__low_res(c), masks = (size_t)samc__given_masks(&c->decoder, true);
    samc__ops ops;
    samc__ops_cuda_plan(&ops);
    for (; most > FEWEST; most = most / 2 > FEWEST ? most / 2 : FEWEST) {
        planner p;
        samc_error error;
        samc__exec exec = planning(&p, model, &ops, &place, &error);
        samc__tensor_allocate(&exec, samc__grid_bytes(model));
        samc__tensor_allocate(&exec, samc__features_bytes(c, model->net.precision, kept));
        samc__tensor_allocate(&exec, (size_t)most * masks * low * low * sizeof(float)); /* results on their way */
        samc__tensor_allocate(&exec, (size_t)most * masks * sizeof(float));
        samc_status status = samc__rehearse_predict(&exec, model, most, images < most ? images : most, tokens, masked);
        if (status == SAMC_OK && p.arena.peak <= lane->arena && p.cuda.scratch_bytes <= lane->scratch) break;
    }
    return most;
}

samc_status samc__plan_session(const samc_model *model, samc__session_size size, samc__session_plan *plan,
                               samc_error *error) {
    enum { ENCODE, DECODE, POST, LANES };
    samc__ops ops;
    samc__ops_cuda_plan(&ops);
    int side = model->net.config.recipe.side;
    const samc__place place = samc__place_nowhere(allocate, release);
    samc__lane_plan *lanes[LANES] = {&plan->encode, &plan->decode, &plan->post};
    for (int i = 0; i < LANES; i++) {
        planner p;
        samc__exec exec = planning(&p, model, &ops, &place, error);
        if (i == ENCODE) SAMC__TRY(samc__rehearse_encode(&exec, model, size.images, side, side));
        if (i == DECODE) SAMC__TRY(samc__rehearse_decode(&exec, model, size.groups * size.images, size.prompts, 1));
        if (i == POST) SAMC__TRY(samc__rehearse_post(&exec, model, size.prompts));
        *lanes[i] = (samc__lane_plan){p.arena.peak, p.cuda.scratch_bytes};
    }
    return SAMC_OK;
}
