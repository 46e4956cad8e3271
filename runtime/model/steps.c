/* Steps that encoders share. */
#include "runtime/model/steps.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/place.h"
#include "kernels/preprocess/preprocess.h"
#include "runtime/model/frame.h"

samc_status samc__make_patches(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                               int side, void *patches) {
    const samc__config *c = &net->config;
    const samc__dtype a = net->precision;
    const int grid = c->recipe.side / side;
    int64_t n = (int64_t)grid * grid, patch = 3 * (int64_t)side * side;
    for (int i = 0; i < images; i++) {
        const samc__frame frame = samc__frame_of(&c->recipe, inputs[i].width, inputs[i].height);
        samc__preprocess_args args = samc__frame_input(&c->recipe, &frame);
        SAMC__TRY(exec->place->image(exec, &inputs[i], &args.rgb, &args.row_bytes));
        args.patch = side, args.grid = grid;
        args.patches =
            samc__as(a, samc__view2((char *)patches + (size_t)(i * n * patch) * samc__dtype_size(a), n, patch));
        SAMC__TRY(samc__preprocess(exec, &args));
        SAMC__TRY(exec->place->image_read(exec));
    }
    return SAMC_OK;
}

samc__view samc__rows_of(samc__view v, int64_t begin, int64_t end) {
    v.data = (char *)v.data + (size_t)(begin * v.n[1]) * samc__dtype_size(v.dtype);
    v.n[0] = end - begin;
    return v;
}

int64_t samc__band_of(const samc__exec *exec, int64_t all, int64_t elements, int64_t unit) {
    enum { NEAR = 1 << 18 }; /* elements of a worker, 1 MiB of floats: a part of the second and the third cache */
    if (!exec->ops->in_bands) return all;
    const int64_t rows = (NEAR * exec->workers / elements + unit - 1) / unit * unit;
    return rows < unit ? unit : rows > all ? all : rows;
}

void samc__list_neck(samc__tensor_list *list, samc__neck *neck, int64_t in, int64_t channels) {
    const int64_t C = channels;
    samc__list_tensor(list, &neck->conv1.w, SAMC__ROLE_MATRIX, "image_encoder.neck.0", "weight",
                      SAMC__SHAPE4(C, in, 1, 1));
    samc__list_norm(list, &neck->norm1, "image_encoder.neck", "1", C, 1e-6f);
    samc__list_tensor(list, &neck->conv2, SAMC__ROLE_OPERAND, "image_encoder.neck.2", "weight",
                      SAMC__SHAPE4(C, C, 3, 3));
    samc__list_norm(list, &neck->norm2, "image_encoder.neck", "3", C, 1e-6f);
}

samc_status samc__keep_early(const samc__exec *exec, samc__view x, const samc__features *to) {
    const size_t row = (size_t)x.n[1] * sizeof(float);
    return samc__copy_rows(exec, to->early.data, row, x.data, row, row, (size_t)x.n[0]);
}

samc_status samc__run_neck(const samc__exec *exec, const samc__network *net, const samc__neck *neck, samc__view x,
                           void *rounded, void *narrow, int images, void *out) {
    const samc__config *config = &net->config;
    const int64_t rows = x.n[0], c = config->decoder.channels, g = config->grid;
    const samc__dtype a = net->precision;
    samc__view between = samc__as(a, samc__view2(narrow, rows, c)), result = samc__as(a, samc__view2(out, rows, c));
    if (a != SAMC__F32) { /* a product reads x in the type of its weight without a conversion for each of its tiles */
        samc__view low = samc__as(a, samc__view2(rounded, rows, x.n[1]));
        SAMC__TRY(samc__add_rows(exec, &(samc__add_rows_args){.x = x, .y = low}));
        x = low;
    }
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = x, .p = neck->conv1, .y = between}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = between, .norm = neck->norm1, .y = between}));
    SAMC__TRY(samc__conv3x3(exec, &(samc__conv3x3_args){.x = samc__as(a, samc__view4(narrow, images, g, g, c)),
                                                        .w = neck->conv2,
                                                        .y = samc__as(a, samc__view4(out, images, g, g, c)),
                                                        .stride = 1}));
    return samc__layernorm(exec, &(samc__layernorm_args){.x = result, .norm = neck->norm2, .y = result});
}
