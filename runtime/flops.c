/* A table of operators that look at their arguments and add up what they would do. */
#include "runtime/flops.h"

#include "runtime/memory.h"
#include "runtime/rehearse.h"

#include <stdlib.h>

typedef struct counter {
    samc__exec exec; /* first: operators find the rest behind it */
    double *flops;
} counter;

#define SAMC_OP(name, ...)                                                                                             \
    static samc_status count_##name(const samc__exec *exec, const samc__##name##_args *args) {                         \
        *((const counter *)exec)->flops += samc__##name##_flops(args);                                                 \
        return SAMC_OK;                                                                                                \
    }
#include "kernels/list.h"
#undef SAMC_OP

static const samc__ops counting = {
#define SAMC_OP(name, ...) .name = count_##name,
#include "kernels/list.h"
#undef SAMC_OP
};

samc_status samc__encode_flops(const samc__config *config, double *flops, samc_error *error) {
    const samc__place place = samc__place_nowhere(NULL, NULL);
    samc__memory host = {0};
    counter c = {.exec = {.ops = &counting,
                          .error = error,
                          .workers = 1,
                          .memory = &host,
                          .allocate = samc__memory_allocate,
                          .release = samc__memory_release,
                          .place = &place},
                 .flops = flops};
    samc_model *model = malloc(sizeof *model);
    if (model == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to count operations");
    *flops = 0.0;
    samc_status status = samc__rehearse_model(config, SAMC__F32, model, error);
    if (status == SAMC_OK) status = samc__rehearse_encode(&c.exec, model, 1, config->recipe.side, config->recipe.side);
    free(model);
    return status;
}
