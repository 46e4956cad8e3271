/* embed_grid to bf16: the reference's positions, rounded. Made once when a model is opened. */
#include "kernels/embed_grid/embed_grid.h"
#include "kernels/ref/fourier.h"

#include "kernels/cpu/linear.h"
#include "kernels/cpu/low.h"

samc_status SAMC__RUNG(samc__embed_grid)(const samc__exec *exec, const samc__embed_grid_args *a) {
    const int64_t g = a->grid, c = a->y.n[1];
    if (a->y.dtype == SAMC__F32) return samc__embed_grid_ref(exec, a);
    float *row = exec->allocate(exec->memory, (size_t)c * sizeof(float)); /* one cell's */
    if (row == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the positions of the grid");
    for (int64_t cell = 0; cell < g * g && !exec->rehearsal; cell++) {
        samc__fourier_ref(((float)(cell % g) + 0.5f) / (float)g, ((float)(cell / g) + 0.5f) / (float)g,
                          samc__f32(a->gaussian), c, row);
        for (int64_t i = 0; i < c; i++) ((uint16_t *)a->y.data)[cell * c + i] = samc__float_to_bf16(row[i]);
    }
    exec->release(exec->memory, row);
    return SAMC_OK;
}
