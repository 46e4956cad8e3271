/* The function tables and the checked, traced entry of every operator, all generated from the one list. */
#include "kernels/ops.h"

#include <time.h>

samc_status samc__bad_argument(samc_error *error, const char *op, const char *what) {
#ifdef NDEBUG
    (void)what; /* C's own words help nobody who runs the program */
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "internal error: operator %s refuses its arguments", op);
#else
    return samc__fail(error, SAMC_INVALID_ARGUMENT,
                      "internal error: operator %s refuses its arguments: %s does not hold", op, what);
#endif
}

void samc__ops_ref(samc__ops *ops) {
#define SAMC_OP(name, ...) ops->name = samc__##name##_ref;
#include "kernels/list.h"
#undef SAMC_OP
    ops->linear8 = samc__linear8_ref, ops->linear8_by = "plain C";
    ops->projects_image = true;
}

double samc__seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#define SAMC_OP(name, ...)                                                                                             \
    samc_status samc__##name(const samc__exec *exec, const samc__##name##_args *args) {                                \
        SAMC__TRY(samc__##name##_check(args, exec->error));                                                            \
        if (exec->trace == NULL) return exec->ops->name(exec, args);                                                   \
        double start = samc__seconds();                                                                                \
        samc_status status = exec->ops->name(exec, args);                                                              \
        exec->record(exec->trace, #name, samc__##name##_flops(args), samc__seconds() - start);                         \
        return status;                                                                                                 \
    }
#include "kernels/list.h"
#undef SAMC_OP
