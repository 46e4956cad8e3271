/* Planning a host's memory by doing: blocks are counted, nothing is read, written or computed. */
#include "runtime/host_plan.h"

#include "kernels/place.h"
#include "runtime/memory.h"
#include "runtime/rehearse.h"
#include "runtime/session.h"

enum { MOST_BLOCKS = 32 }; /* at one time; an operator and what it calls take two or three */

typedef struct planner {
    size_t current, peak, next; /* next: address of a block, beyond the last one's */
    struct {
        char *at;
        size_t bytes;
    } block[MOST_BLOCKS];
    int blocks;
} planner;

static void *allocate(void *memory, size_t bytes) {
    planner *p = memory;
    if (p->blocks == MOST_BLOCKS || bytes > SIZE_MAX / 4) return NULL;
    size_t counted = samc__memory_counted(bytes);
    char *at = samc__nowhere + p->next;
    p->block[p->blocks].at = at, p->block[p->blocks].bytes = counted, p->blocks++;
    p->next += counted;
    p->current += counted;
    if (p->current > p->peak) p->peak = p->current;
    return at;
}

static void release(void *memory, void *block) {
    planner *p = memory;
    for (int i = 0; i < p->blocks; i++)
        if (p->block[i].at == block) {
            p->current -= p->block[i].bytes;
            p->block[i] = p->block[--p->blocks];
            return;
        }
}

static void *allocate_tensor(const samc__exec *exec, size_t bytes) { return exec->allocate(exec->memory, bytes); }
static void release_tensor(const samc__exec *exec, void *tensor) { exec->release(exec->memory, tensor); }

static void run_nothing(void *pool, int64_t n, int64_t grain, samc__task *task, void *context) {
    (void)pool, (void)n, (void)grain, (void)task, (void)context;
}

static samc__exec rehearsing(const samc_model *model, planner *p, const samc__place *place, samc_error *error) {
    return (samc__exec){.ops = &model->net.ops,
                        .error = error,
                        .workers = model->threads,
                        .parallel = run_nothing,
                        .memory = p,
                        .allocate = allocate,
                        .release = release,
                        .rehearsal = true,
                        .place = place,
                        .packed = model->packed};
}

static samc__place host_nowhere(void) {
    samc__place place = samc__place_nowhere(allocate_tensor, release_tensor);
    place.host = true;
    return place;
}

samc_status samc__encode_bytes(const samc_model *model, int images, int width, int height, size_t *bytes,
                               samc_error *error) {
    planner p = {0};
    samc__place place = host_nowhere();
    samc__exec exec = rehearsing(model, &p, &place, error);
    SAMC__TRY(samc__rehearse_encode(&exec, model, images, width, height));
    *bytes = samc__prepare_bytes(&model->net.config.recipe, images, width, height, p.peak);
    return SAMC_OK;
}

samc_status samc__predict_bytes(const samc_model *model, int prompts, int images, int tokens, bool masked,
                                size_t *bytes, samc_error *error) {
    planner p = {0};
    samc__place place = host_nowhere();
    samc__exec exec = rehearsing(model, &p, &place, error);
    SAMC__TRY(samc__rehearse_predict(&exec, model, prompts, images, tokens, masked));
    *bytes = p.peak;
    return SAMC_OK;
}

/* Operators that stand in for the table's where these are to be looked at alone: one that would read 16 bits as floats
 * (kernels/list.h) fails. */
__attribute__((unused)) static samc_status lacks(const samc__exec *exec, const char *name) {
    return samc__fail(exec->error, SAMC_UNSUPPORTED, "%s has no version for activations of 16 bits yet: they are f32",
                      name);
}
#define SERVES_F32(name) return SAMC_OK
#define SERVES_LOW(name) return SAMC_OK
#define SERVES_WIDE(name) return lacks(exec, name)
#define SAMC_OP(name, cpu, cuda, low)                                                                                  \
    static samc_status serve_##name(const samc__exec *exec, const samc__##name##_args *args) {                         \
        (void)exec, (void)args;                                                                                        \
        SERVES_##low(#name);                                                                                           \
    }
#include "kernels/list.h"
#undef SAMC_OP

static const samc__ops serving = {
#define SAMC_OP(name, ...) .name = serve_##name,
#include "kernels/list.h"
#undef SAMC_OP
};

samc_status samc__host_serves(const samc_model *model, samc_error *error) {
    const int side = model->net.config.recipe.side;
    planner p = {0};
    samc__place place = host_nowhere();
    samc__exec exec = rehearsing(model, &p, &place, error);
    exec.ops = &serving;
    samc__tensors_point(&model->tensors, samc__nowhere, SAMC__F32);
    SAMC__TRY(samc__rehearse_encode(&exec, model, 1, side, side));
    SAMC__TRY(samc__rehearse_predict(&exec, model, 1, 1, 2, true));
    return samc__rehearse_predict(&exec, model, 1, 1, 2, false);
}
