/* linear through oneDNN's sgemm, one block of rows for each worker.
 *
 * oneDNN stays single-threaded: the caller of each block asks OpenMP for one thread, so that its pool is never started
 * and samc's own threads are the only ones.
 *
 * A row's bits must not depend on the rows beside it, or a prompt would give another mask alone than in a batch.
 * oneDNN's kernels sum in another order where rows are left over from their own tiles (seen with 2.6.3: below 16 rows
 * with AVX-512, below a multiple of 6 with AVX2), so it only ever gets multiples of ROW_STEP rows; the last few are
 * filled up with zeros. */
#include "kernels/cpu/cpu.h"
#include "kernels/ref/math.h"
#include "kernels/scratch.h"
#include "kernels/linear/linear.h"

#include <dnnl.h>
#include <stdatomic.h>
#include <string.h>

/* Of libgomp, which oneDNN uses; declared here because not every compiler brings omp.h. */
void omp_set_num_threads(int threads);

enum { ROW_STEP = 24, BLOCK_ROWS = 6 * ROW_STEP };

typedef struct linear_task {
    const samc__linear_args *args;
    float *spare; /* [ROW_STEP, k] then [ROW_STEP, n]: the rows left over at the end; NULL if there are none */
    atomic_int failed;
} linear_task;

/* y = x . w^T + beta * y, all rows full steps but for the last few. */
static bool multiply(const linear_task *task, int64_t rows, const float *x, int64_t x_stride, float *y,
                     int64_t y_stride, float beta) {
    const float *w = samc__f32(task->args->p.w);
    int64_t k = task->args->x.n[1], n = task->args->p.w.n[0], full = rows / ROW_STEP * ROW_STEP, rest = rows - full;
    if (full && dnnl_sgemm('N', 'T', full, n, k, 1.0f, x, x_stride, w, k, beta, y, y_stride) != dnnl_success)
        return false;
    if (rest == 0) return true;
    float *rest_x = task->spare, *rest_y = task->spare + ROW_STEP * k;
    memset(task->spare, 0, (size_t)(ROW_STEP * (k + n)) * sizeof(float));
    for (int64_t row = 0; row < rest; row++) {
        memcpy(rest_x + row * k, x + (full + row) * x_stride, (size_t)k * sizeof(float));
        if (beta != 0.0f) memcpy(rest_y + row * n, y + (full + row) * y_stride, (size_t)n * sizeof(float));
    }
    if (dnnl_sgemm('N', 'T', ROW_STEP, n, k, 1.0f, rest_x, k, w, k, beta, rest_y, n) != dnnl_success) return false;
    for (int64_t row = 0; row < rest; row++)
        memcpy(y + (full + row) * y_stride, rest_y + row * n, (size_t)n * sizeof(float));
    return true;
}

static void linear_block(void *context, int64_t begin, int64_t end, int worker) {
    linear_task *task = context;
    const samc__linear_args *a = task->args;
    (void)worker;
    int64_t k = a->x.n[1], n = a->p.w.n[0];
    int64_t x_stride = a->x_stride ? a->x_stride : k, y_stride = a->y_stride ? a->y_stride : n;
    float *y = samc__f32(a->y) + begin * y_stride;
    const float *bias = samc__f32(a->p.b), *residual = samc__f32(a->residual);
    bool added = residual != NULL && a->act == SAMC__ACT_NONE; /* the GEMM itself adds what y already holds */
    if (added)
        for (int64_t row = begin; row < end; row++) {
            const float *in = residual + row % a->residual.n[0] * n;
            float *out = y + (row - begin) * y_stride;
            if (in != out)
                for (int64_t i = 0; i < n; i++) out[i] = in[i];
        }
    omp_set_num_threads(1);
    if (!multiply(task, end - begin, samc__f32(a->x) + begin * x_stride, x_stride, y, y_stride, added ? 1.0f : 0.0f)) {
        atomic_store(&task->failed, 1);
        return;
    }
    if (bias == NULL && a->act == SAMC__ACT_NONE) return;
    for (int64_t row = begin; row < end; row++) {
        float *out = y + (row - begin) * y_stride;
        const float *in = residual && !added ? residual + row % a->residual.n[0] * n : NULL;
        for (int64_t i = 0; i < n; i++) {
            float value = out[i] + (bias ? bias[i] : 0.0f);
            if (a->act == SAMC__ACT_GELU) value = samc__gelu_ref(value);
            if (a->act == SAMC__ACT_RELU) value = value < 0.0f ? 0.0f : value; /* NaN stays */
            out[i] = value + (in ? in[i] : 0.0f);
        }
    }
}

static size_t spare_bytes(const samc__linear_args *a) {
    return a->x.n[0] % ROW_STEP ? (size_t)(ROW_STEP * (a->x.n[1] + a->p.w.n[0])) * sizeof(float) : 0;
}

size_t samc__linear_scratch_onednn(const samc__scratch *s, const samc__linear_args *a) {
    return (void)s, samc__block_bytes(spare_bytes(a));
}

samc_status samc__linear_onednn(const samc__exec *exec, const samc__linear_args *a) {
    /* y in place of a residual is only safe where the epilogue reads it before the GEMM overwrites it. */
    if (a->act != SAMC__ACT_NONE && a->residual.data != NULL && a->residual.data == a->y.data)
        return samc__linear_ref(exec, a);
    linear_task task = {.args = a, .failed = 0};
    if (a->x.n[0] % ROW_STEP != 0) {
        task.spare = exec->allocate(exec->memory, spare_bytes(a));
        if (task.spare == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a matrix product");
    }
    exec->parallel(exec->pool, a->x.n[0], BLOCK_ROWS, linear_block, &task);
    exec->release(exec->memory, task.spare);
    if (atomic_load(&task.failed)) return samc__fail(exec->error, SAMC_INTERNAL, "oneDNN refused a matrix product");
    return SAMC_OK;
}
