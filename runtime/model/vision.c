/* The image tower, up to its blocks: patches, class token, positions and a norm. */
#include "runtime/model/text_image.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/place.h"
#include "runtime/model/cubic.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Positions ------------------------------------------------------------------------------- */

static int side_of(const samc__view *v) { return (int)lround(sqrt((double)(v->n[0] - 1))); }

/* table [in^2 + 1, D] -> [out^2 + 1, D], the class token's as it is. */
static void interpolate(const samc__view *of, const samc__view *to, float *values) {
    const int64_t d = to->n[1];
    memcpy(values, samc__f32(*of), (size_t)d * sizeof *values);
    samc__stretch_cubic(&(samc__cubic_map){samc__f32(*of) + d, side_of(of), d, 1}, d, side_of(to), values + d);
}

void samc__list_vision(samc__tensor_list *list, const samc__vision_spec *spec, const char *prefix, int dim,
                       samc__vision_weights *to) {
    const int64_t D = spec->plain.dim, patch = spec->patch, grid = spec->grid, table = spec->table_grid;
    char base[64];
    snprintf(base, sizeof base, "%svision_model.embeddings", prefix);
    samc__list_tensor(list, &to->class_token, SAMC__ROLE_VECTOR, base, "class_embedding", SAMC__SHAPE1(D));
    samc__list_tensor(list, &to->patch.w, SAMC__ROLE_MATRIX, base, "patch_embedding.weight",
                      SAMC__SHAPE4(D, 3, patch, patch));
    samc__list_tensor(list, &to->table, SAMC__ROLE_TABLE, base, "position_embedding.weight",
                      SAMC__SHAPE2(table * table + 1, D));
    to->positions = samc__view2(NULL, grid * grid + 1, D);
    if (grid != table) samc__list_made(list, &to->positions, SAMC__ROLE_TABLE, &to->table, interpolate);
    snprintf(base, sizeof base, "%svision_model", prefix);
    samc__list_norm(list, &to->before, base, spec->before, D, spec->plain.eps);
    snprintf(base, sizeof base, "%svision_model.encoder", prefix);
    samc__list_plain(list, &spec->plain, base, to->blocks);
    snprintf(base, sizeof base, "%svision_model", prefix);
    samc__list_norm(list, &to->after, base, "post_layernorm", D, spec->plain.eps);
    snprintf(base, sizeof base, "%svisual_projection", prefix);
    samc__list_tensor(list, &to->out.w, SAMC__ROLE_MATRIX, base, "weight", SAMC__SHAPE2(dim, D));
}

/* ---- Running it ------------------------------------------------------------------------------ */

samc_status samc__vision_begin(const samc__exec *exec, const samc__text_image *net, int images, int grid,
                               samc__plain_group *group, samc__plain_rows *rows) {
    const samc__vision_spec *v = &net->config.vision;
    *group = (samc__plain_group){.count = images, .tokens = (int64_t)grid * grid + 1};
    return samc__plain_begin(exec, &v->plain, net->precision, group, 1, 3 * (int64_t)v->patch * v->patch, rows);
}

samc_status samc__vision_embed(const samc__exec *exec, const samc__text_image *net, const samc__plain_rows *r) {
    const samc__vision_spec *v = &net->config.vision;
    const samc__vision_weights *w = &net->weights.vision;
    const int64_t d = v->plain.dim, n = r->groups->tokens - 1, patch = w->patch.w.n[1];
    const size_t size = samc__dtype_size(r->a);
    const float *positions = samc__f32(n + 1 == w->table.n[0] ? w->table : w->positions); /* [n + 1, D] */
    for (int64_t i = 0; i < r->sequences; i++) {
        float *x = r->x + i * (n + 1) * d;
        const samc__view first = samc__view2(x, 1, d);
        SAMC__TRY(samc__add_rows(exec, &(samc__add_rows_args){.x = samc__view2(w->class_token.data, 1, d),
                                                              .b = samc__view1(positions, d),
                                                              .y = first}));
        SAMC__TRY(samc__linear(
            exec, &(samc__linear_args){
                      .x = samc__as(r->a, samc__view2((char *)r->wide + (size_t)(i * n * patch) * size, n, patch)),
                      .p = w->patch,
                      .residual = samc__view2(positions + d, n, d),
                      .y = samc__view2(x + d, n, d)}));
    }
    const samc__view x = samc__view2(r->x, r->rows, d);
    return samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->before, .y = x});
}
