/* Planning by doing: a rehearsal of encoder and decoder over an arena with a made-up address. */
#include "runtime/cuda_plan.h"

#include "kernels/cuda/cuda_ops.h"
#include "kernels/cuda/ops_cuda.h"
#include "runtime/arena.h"
#include "runtime/cuda_device.h"
#include "runtime/memory.h"
#include "runtime/rehearse.h"

typedef struct planner {
    samc__cuda cuda; /* first */
    samc__arena arena;
    samc__memory host;
} planner;

static planner *planner_of(const samc__exec *exec) { return (planner *)(void *)exec->cuda; }
static void *allocate(const samc__exec *exec, size_t bytes) { return samc__arena_take(&planner_of(exec)->arena, bytes); }
static void release(const samc__exec *exec, void *tensor) { samc__arena_give(&planner_of(exec)->arena, tensor); }

static samc_status reserve(samc__cuda *cuda, size_t bytes) {
    if (bytes > cuda->scratch_bytes) cuda->scratch_bytes = bytes;
    return SAMC_OK;
}

samc_status samc__plan_session(const samc_model *model, samc__session_size size, samc__session_plan *plan, samc_error *error) {
    samc__ops ops;
    samc__ops_cuda_plan(&ops);
    int images = samc__encode_batch(&model->config), side = model->config.img_size;
    const samc__place place = samc__place_nowhere(allocate, release);
    samc__lane_plan *lanes[2] = {&plan->encode, &plan->decode};
    for (int i = 0; i < 2; i++) {
        planner p = {.cuda = {.error = error, .capability = samc__cuda_capability(model->device), .cudnn = model->cudnn, .reserve = reserve}, .arena = {.base = samc__nowhere, .bytes = SIZE_MAX / 4}};
        samc__exec exec = {.ops = &ops, .error = error, .workers = 1, .memory = &p.host, .allocate = samc__memory_allocate,
                           .release = samc__memory_release, .place = &place, .cuda = &p.cuda};
        SAMC__TRY(i == 0 ? samc__rehearse_encode(&exec, model, images, side, side) : samc__rehearse_decode(&exec, model, size.groups * images, size.prompts, 1));
        *lanes[i] = (samc__lane_plan){p.arena.peak, p.cuda.scratch_bytes};
    }
    return SAMC_OK;
}
