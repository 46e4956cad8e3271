/* CLIPSeg: what three blocks of CLIP's image tower gave goes through a narrow decoder, the last block first, whose
 * first input a phrase scales and shifts (FiLM); transposed convolutions make a map of it.
 *
 * T = grid * grid + 1 tokens, D = width of the image tower, R = width of the decoder, dim = features of a phrase. */
#include "runtime/model/detector.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/place.h"
#include "kernels/preprocess/preprocess.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Its tensors ----------------------------------------------------------------------------- */

/* A transposed convolution whose steps are as long as its kernel is a product: the file's weight [c, out, k, k] as
 * [k * k * out, c], and its bias once for each of k * k. */
static void product_of(const samc__view *of, const samc__view *to, float *values) {
    const int64_t c = of->n[0], out = of->n[1], area = of->n[2] * of->n[3];
    const float *from = samc__f32(*of);
    for (int64_t i = 0; i < to->n[0] * c; i++) values[i] = from[(i % c * out + i / c % out) * area + i / (c * out)];
}

static void repeated(const samc__view *of, const samc__view *to, float *values) {
    for (int64_t i = 0; i < to->n[0]; i++) values[i] = samc__f32(*of)[i % of->n[0]];
}

static void list_up(samc__tensor_list *list, samc__clipseg_weights *to, int step, const char *base,
                    const int64_t n[3]) {
    samc__list_convolution(list, &to->file[step], SAMC__ROLE_OPERAND, base, SAMC__SHAPE4(n[0], n[1], n[2], n[2]), n[1]);
    to->up[step].w = samc__view2(NULL, n[2] * n[2] * n[1], n[0]);
    to->up[step].b = samc__view1(NULL, n[2] * n[2] * n[1]);
    samc__list_made(list, &to->up[step].w, SAMC__ROLE_TABLE, &to->file[step].w, product_of);
    samc__list_made(list, &to->up[step].b, SAMC__ROLE_TABLE, &to->file[step].b, repeated);
}

static void list_tensors(samc__tensor_list *list, const samc__text_image_config *config,
                         samc__text_image_weights *weights) {
    const samc__clipseg_spec *s = &config->clipseg;
    const int64_t r = s->decoder.dim, patch = config->vision.patch;
    samc__clipseg_weights *to = &weights->clipseg;
    char base[64];
    samc__list_linear(list, &to->film_mul, SAMC__ROLE_MATRIX, "decoder", "film_mul", r, config->dim);
    samc__list_linear(list, &to->film_add, SAMC__ROLE_MATRIX, "decoder", "film_add", r, config->dim);
    if (s->three_steps) {
        samc__list_convolution(list, &to->spread, SAMC__ROLE_OPERAND, "decoder.transposed_convolution.0",
                               SAMC__SHAPE4(r, r, 3, 3), r);
        list_up(list, to, 0, "decoder.transposed_convolution.2", (const int64_t[]){r, r / 2, patch / 4});
        list_up(list, to, 1, "decoder.transposed_convolution.4", (const int64_t[]){r / 2, 1, patch / 4});
    } else {
        list_up(list, to, 0, "decoder.transposed_convolution", (const int64_t[]){r, 1, patch});
    }
    for (int i = 0; i < s->decoder.depth; i++) {
        snprintf(base, sizeof base, "reduces.%d", i);
        samc__list_linear(list, &to->reduce[i], SAMC__ROLE_MATRIX, "decoder", base, r, config->vision.plain.dim);
    }
    samc__list_plain(list, &s->decoder, "decoder", to->blocks);
}

/* ---- Its configuration ----------------------------------------------------------------------- */

/* transformers' square, which the tables of positions do not tell: these are of CLIP's 224. */
enum { SIDE = 352 };

static void read_inputs(samc__reading *r, samc__clipseg_spec *s) {
    static const int usual[] = {3, 6, 9};
    const samc__json field = samc__read_field(r, "extract_layers");
    const char *cursor = NULL;
    int count = 0;
    memcpy(s->after, usual, sizeof usual);
    if (field.begin == NULL && s->decoder.depth == 3) return;
    for (samc__json item; samc__json_next(field, &cursor, NULL, &item); count++) {
        int64_t block = -1;
        const bool good = count < s->decoder.depth && samc__json_integer(item, &block) && block < SAMC__PLAIN_BLOCKS &&
                          block > (count == 0 ? -1 : s->after[count - 1]);
        if (!good) return samc__read_malformed(r, "extract_layers", "ascending blocks, one for each of the decoder's");
        s->after[count] = (int)block;
    }
    if (count != s->decoder.depth)
        samc__read_malformed(r, "extract_layers", "ascending blocks, one for each of the decoder's");
}

/* What the image processor beside the file says. */
static void read_processor(samc__reading *r, samc__vision_spec *v) {
    const char *file;
    const samc__json json = samc__text_image_preprocessor(r, &file);
    if (json.begin == NULL || r->status != SAMC_OK) return;
    const samc__json size = samc__json_get(json, "size");
    const samc__json height = samc__json_is_object(size) ? samc__json_get(size, "height") : size;
    int64_t side = v->side;
    samc__preprocessor_kind(r, file, json, "ViT");
    if (height.begin != NULL && !(samc__json_integer(height, &side) && side > 0 && side <= 1 << 14))
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s: %s says a size that is no height and width", r->checkpoint->label,
                        file);
    v->side = (int)side;
    samc__preprocessor_count(r, file, "size.width", samc__json_is_object(size) ? samc__json_get(size, "width") : size,
                             v->side);
    samc__preprocessor_count(r, file, "resample", samc__json_get(json, "resample"), 2);
    samc__preprocessor_pixels(r, file, json, v);
}

static void infer(samc__reading *r, samc__text_image_config *config) {
    samc__vision_spec *v = &config->vision;
    samc__clipseg_spec *s = &config->clipseg;
    const samc__tensor *film = samc__read_tensor(r, "decoder.film_mul.weight", 2);
    const samc__tensor *hidden = samc__read_tensor(r, "decoder.layers.0.mlp.fc1.weight", 2);
    int conditional = 0;
    if (r->report.count > 0) return;
    s->decoder = (samc__plain){.dim = samc__read_side(film, 0),
                               .depth = samc__read_layers(r, "decoder.layers."),
                               .heads = 4,
                               .mlp_dim = samc__read_side(hidden, 0),
                               .act = SAMC__ACT_RELU,
                               .eps = v->plain.eps};
    s->three_steps = samc__checkpoint_find(r->checkpoint, "decoder.transposed_convolution.2.weight") != NULL;
    samc__merge_count(r, "decoder_heads", &s->decoder.heads, false);
    samc__read_count(r, "conditional_layer", &conditional);
    if (conditional != 0)
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s says conditional_layer %d; samc lets a phrase act on the first",
                        samc__read_where(r), conditional);
    if (s->decoder.depth > SAMC__CLIPSEG_INPUTS)
        return samc__read_fail(r, SAMC_UNSUPPORTED, "the decoder has %d blocks; samc can do %d", s->decoder.depth,
                               SAMC__CLIPSEG_INPUTS);
    read_inputs(r, s);
    if (r->json.begin != NULL && r->names == NULL) { /* samc's own says it all */
        samc__read_count(r, "img_size", &v->side);
    } else {
        memcpy(v->mean, (float[]){0.485f, 0.456f, 0.406f}, sizeof v->mean);
        memcpy(v->std, (float[]){0.229f, 0.224f, 0.225f}, sizeof v->std);
        v->side = SIDE;
        read_processor(r, v);
    }
    if (v->patch > 0) v->grid = v->side / v->patch;
}

static samc_status check(const samc__text_image_config *config, const char *label, samc_error *error) {
    const samc__clipseg_spec *s = &config->clipseg;
    const samc__bounds bounds[] = {
        {"decoder width", s->decoder.dim, 2, 4096},
        {"decoder depth", s->decoder.depth, 1, SAMC__CLIPSEG_INPUTS},
        {"decoder heads", s->decoder.heads, 1, 256},
        {"decoder MLP width", s->decoder.mlp_dim, 1, 65536},
        {"last of extract_layers", s->after[s->decoder.depth - 1], 0, config->vision.plain.depth - 1},
    };
    const samc__multiple multiples[] = {
        {"decoder width", s->decoder.dim, "decoder heads", s->decoder.heads},
        {"side of an image", config->vision.side, "patch_size", config->vision.patch},
        {"patch_size", config->vision.patch, "steps to pixels", s->three_steps ? 4 : 1},
    };
    SAMC__TRY(samc__check_bounds(label, bounds, sizeof bounds / sizeof *bounds, error));
    return samc__check_multiples(label, multiples, sizeof multiples / sizeof *multiples, error);
}

static void write_config(const samc__text_image_config *config, samc__json_text *text) {
    samc__write_count(text, "decoder_heads", config->clipseg.decoder.heads);
    samc__json_put_key(text, "extract_layers");
    for (int i = 0; i < config->clipseg.decoder.depth; i++) {
        samc__json_put(text, i == 0 ? "[" : ",", 1);
        samc__json_put_integer(text, config->clipseg.after[i]);
    }
    samc__json_put(text, "]", 1);
}

const samc__text_image_family samc__family_clipseg = {.name = "CLIPSeg",
                                                      .model_type = "clipseg",
                                                      .prefix = "clip.",
                                                      .mark = "decoder.film_mul.weight",
                                                      .before = "pre_layrnorm",
                                                      .relate = &samc__relate_clipseg,
                                                      .infer = infer,
                                                      .check = check,
                                                      .tensors = list_tensors,
                                                      .write = write_config};

/* ---- An image -------------------------------------------------------------------------------- */

/* Resized to the square whatever its shape, as transformers' ViTImageProcessorPil does it, to the bit. Its other
 * processor, torchvision's, differs by one in some pixels. */
static samc_status take_patches(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                                const samc__plain_rows *rows) {
    const samc__vision_spec *v = &net->config.vision;
    const int64_t n = (int64_t)v->grid * v->grid, k = 3 * (int64_t)v->patch * v->patch;
    samc__preprocess_args args = {.height = image->height,
                                  .width = image->width,
                                  .new_height = v->side,
                                  .new_width = v->side,
                                  .patch = v->patch,
                                  .grid = v->grid,
                                  .filter = SAMC__FILTER_PILLOW_U8,
                                  .range = SAMC__RANGE_1,
                                  .patches = samc__as(rows->a, samc__view2(rows->wide, n, k))};
    memcpy(args.mean, v->mean, sizeof args.mean);
    memcpy(args.std, v->std, sizeof args.std);
    SAMC__TRY(exec->place->image(exec, image, &args.rgb, &args.row_bytes));
    SAMC__TRY(samc__preprocess(exec, &args));
    return exec->place->image_read(exec);
}

/* Blocks up to the last that is asked for, and of each that is what the decoder takes: out [depth, T, R], a tensor. */
static samc_status run_tower(const samc__exec *exec, const samc__text_image *net, const samc__plain_rows *rows,
                             float *out) {
    const samc__clipseg_spec *s = &net->config.clipseg;
    const samc__plain *p = &net->config.vision.plain;
    const int64_t reduced = rows->rows * s->decoder.dim;
    int done = 0;
    for (int i = s->decoder.depth - 1; i >= 0; i--) { /* the first of the tower is the decoder's last */
        const int end = s->after[s->decoder.depth - 1 - i] + 1;
        samc__view x;
        SAMC__TRY(samc__plain_run(exec, p, net->weights.vision.blocks, done, end, rows));
        SAMC__TRY(samc__plain_narrow(exec, p, rows, &x));
        SAMC__TRY(
            samc__linear(exec, &(samc__linear_args){.x = x,
                                                    .p = net->weights.clipseg.reduce[i],
                                                    .y = samc__view2(out + i * reduced, rows->rows, s->decoder.dim)}));
        done = end;
    }
    return SAMC_OK;
}

static samc_status see_with(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                            const samc__plain_rows *rows, float *values) {
    const size_t bytes =
        (size_t)(net->config.clipseg.decoder.depth * rows->rows * net->config.clipseg.decoder.dim) * sizeof *values;
    SAMC__TRY(take_patches(exec, net, image, rows));
    SAMC__TRY(samc__vision_embed(exec, net, rows));
    float *tensor = samc__tensor_allocate(exec, bytes);
    if (tensor == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the features of an image");
    samc_status status = run_tower(exec, net, rows, tensor);
    if (status == SAMC_OK) status = samc__download(exec, values, tensor, bytes);
    samc__tensor_release(exec, tensor);
    return status;
}

/* Floats of one level of a scene. */
static int64_t reduced_of(const samc__text_image *net) {
    const int64_t tokens = (int64_t)net->config.vision.grid * net->config.vision.grid + 1;
    return tokens * net->config.clipseg.decoder.dim;
}

samc_status samc__clipseg_see(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                              samc__clipseg_scene **scene) {
    const samc__plain *decoder = &net->config.clipseg.decoder;
    const int64_t reduced = reduced_of(net);
    samc__clipseg_scene *s = malloc(sizeof *s + (size_t)(decoder->depth * reduced) * sizeof *s->values);
    if (s == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the features of an image");
    *s = (samc__clipseg_scene){decoder->depth, reduced};
    samc__plain_group group;
    samc__plain_rows rows;
    samc_status status = samc__vision_begin(exec, net, 1, net->config.vision.grid, &group, &rows);
    if (status == SAMC_OK) {
        status = see_with(exec, net, image, &rows, s->values);
        samc__plain_end(exec, &rows);
    }
    if (status == SAMC_OK) *scene = s;
    else free(s);
    return status;
}

/* ---- A phrase -------------------------------------------------------------------------------- */

/* The first input, scaled and shifted by the phrase: x [T, R] on the host. */
static samc_status film(const samc__exec *exec, const samc__text_image *net, const samc__clipseg_scene *scene,
                        const float *features, float *x) {
    const samc__clipseg_weights *w = &net->weights.clipseg;
    const int64_t r = net->config.clipseg.decoder.dim, dim = net->config.dim;
    float *tensor = samc__tensor_allocate(exec, (size_t)(dim + 2 * r) * sizeof *tensor);
    float *host = malloc((size_t)(2 * r) * sizeof *host);
    const samc__view phrase = samc__view2(tensor, 1, dim);
    samc_status status = tensor == NULL || host == NULL
                             ? samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a phrase's map")
                             : samc__upload(exec, tensor, features, (size_t)dim * sizeof *features);
    for (int i = 0; i < 2 && status == SAMC_OK; i++)
        status = samc__linear(exec, &(samc__linear_args){.x = phrase,
                                                         .p = i == 0 ? w->film_mul : w->film_add,
                                                         .y = samc__view2(tensor + dim + i * r, 1, r)});
    if (status == SAMC_OK) status = samc__download(exec, host, tensor + dim, (size_t)(2 * r) * sizeof *host);
    for (int64_t i = 0; i < scene->reduced && status == SAMC_OK; i++)
        x[i] = host[i % r] * scene->values[i] + host[r + i % r];
    free(host);
    samc__tensor_release(exec, tensor);
    return status;
}

/* x += the decoder's input `layer`, which the scene keeps. */
static samc_status add_input(const samc__exec *exec, const samc__clipseg_scene *scene, int layer,
                             const samc__plain_rows *rows) {
    void *tensor;
    float *values = (float *)scene->values + layer * scene->reduced;
    const samc__view x = samc__view2(rows->x, 1, scene->reduced);
    SAMC__TRY(samc__lend(exec, values, (size_t)scene->reduced * sizeof *values, true, &tensor));
    samc_status status =
        samc__add_rows(exec, &(samc__add_rows_args){.x = x, .b = samc__view1(tensor, scene->reduced), .y = x});
    const samc_status given = samc__collect(exec, values, tensor, 0);
    return status == SAMC_OK ? given : status;
}

/* One step up: x [m, c] -> y [m, k * k * out], a cell's pixels beside each other. */
static samc_status step_up(const samc__exec *exec, const samc__projection *p, const float *x, int64_t m, samc__act act,
                           float *y) {
    const samc__view in = samc__view2(x, m, p->w.n[1]), out = samc__view2(y, m, p->w.n[0]);
    return samc__linear(exec, &(samc__linear_args){.x = in, .p = *p, .y = out, .act = act});
}

/* Cells [grid, grid] of k1 x k1 cells of k2 x k2 pixels, to a picture. */
static void place_pixels(const float *cells, int grid, int k1, int k2, float *map) {
    const int side = grid * k1 * k2;
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            const int64_t outer = (int64_t)(y / (k1 * k2)) * grid + x / (k1 * k2);
            const int64_t middle = outer * k1 * k1 + y / k2 % k1 * k1 + x / k2 % k1;
            map[(int64_t)y * side + x] = cells[middle * k2 * k2 + y % k2 * k2 + x % k2];
        }
}

/* The tokens but the first, x [grid * grid, R], to a map. */
static samc_status run_up(const samc__exec *exec, const samc__text_image *net, const float *x, float *map) {
    const samc__clipseg_weights *w = &net->weights.clipseg;
    const int grid = net->config.vision.grid, patch = net->config.vision.patch, side = grid * patch;
    const int64_t r = net->config.clipseg.decoder.dim, cells = (int64_t)grid * grid, pixels = (int64_t)side * side;
    const bool three = net->config.clipseg.three_steps;
    const int64_t fine = three ? cells * w->up[0].w.n[0] : 0;
    float *spread = samc__tensor_allocate(exec, (size_t)(cells * r + fine + pixels) * sizeof *spread);
    float *host = malloc((size_t)pixels * sizeof *host), *finer = spread + cells * r, *out = finer + fine;
    samc_status status = SAMC_OK;
    if (spread == NULL || host == NULL) {
        status = samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a map of %d x %d", side, side);
    } else if (!three) {
        status = step_up(exec, &w->up[0], x, cells, SAMC__ACT_NONE, out);
    } else {
        status = samc__conv3x3(exec, &(samc__conv3x3_args){.x = samc__view4(x, 1, grid, grid, r),
                                                           .w = w->spread.w,
                                                           .b = w->spread.b,
                                                           .y = samc__view4(spread, 1, grid, grid, r),
                                                           .stride = 1,
                                                           .act = SAMC__ACT_RELU});
        if (status == SAMC_OK) status = step_up(exec, &w->up[0], spread, cells, SAMC__ACT_RELU, finer);
        if (status == SAMC_OK) status = step_up(exec, &w->up[1], finer, fine / (r / 2), SAMC__ACT_NONE, out);
    }
    if (status == SAMC_OK) status = samc__download(exec, host, out, (size_t)pixels * sizeof *host);
    if (status == SAMC_OK) place_pixels(host, grid, three ? patch / 4 : 1, three ? patch / 4 : patch, map);
    free(host);
    samc__tensor_release(exec, spread);
    return status;
}

static samc_status map_with(const samc__exec *exec, const samc__text_image *net, const samc__clipseg_scene *scene,
                            const float *features, const samc__plain_rows *rows, float *map) {
    const samc__plain *p = &net->config.clipseg.decoder;
    float *x = malloc((size_t)scene->reduced * sizeof *x);
    if (x == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a phrase's map");
    samc_status status = film(exec, net, scene, features, x);
    if (status == SAMC_OK) status = samc__upload(exec, rows->x, x, (size_t)scene->reduced * sizeof *x);
    free(x);
    SAMC__TRY(status);
    for (int i = 0; i < p->depth; i++) {
        if (i > 0) SAMC__TRY(add_input(exec, scene, i, rows));
        SAMC__TRY(samc__plain_run_after(exec, p, &net->weights.clipseg.blocks[i], rows));
    }
    return run_up(exec, net, rows->x + p->dim, map);
}

samc_status samc__clipseg_map(const samc__exec *exec, const samc__text_image *net, const samc__clipseg_scene *scene,
                              const float *features, float *map) {
    const samc__plain *p = &net->config.clipseg.decoder;
    const samc__plain_group group = {1, scene->reduced / p->dim};
    samc__plain_rows rows;
    SAMC__TRY(samc__plain_begin(exec, p, net->precision, &group, 1, 0, &rows));
    samc_status status = map_with(exec, net, scene, features, &rows, map);
    samc__plain_end(exec, &rows);
    return status;
}

/* ---- Its table ------------------------------------------------------------------------------- */

static void facts(const void *of, samc__relate_facts *to) {
    const samc__text_image *net = of;
    samc__text_image_facts(net, to);
    to->map_side = net->config.vision.side;
    to->scene_bytes =
        sizeof(samc__clipseg_scene) + (size_t)(net->config.clipseg.decoder.depth * reduced_of(net)) * sizeof(float);
}

/* As they are: their length acts on a map. */
static samc_status text(const samc__exec *exec, const void *net, const int32_t *ids, const int *ends, int count,
                        float *features) {
    return samc__text_features(exec, net, ids, ends, count, features);
}

static samc_status see(const samc__exec *exec, const void *net, const samc_image *image, void **scene) {
    samc__clipseg_scene *seen = NULL;
    const samc_status status = samc__clipseg_see(exec, net, image, &seen);
    *scene = seen;
    return status;
}

static samc_status map(const samc__exec *exec, const void *net, const void *scene, const float *features, float *to) {
    return samc__clipseg_map(exec, net, scene, features, to);
}

const samc__relate samc__relate_clipseg = {
    .name = "CLIPSeg",
    .kind = SAMC_DETECTOR_MAPS,
    .facts = facts,
    .hash = samc__text_image_hash,
    .close = samc__text_image_close,
    .spoilt = samc__text_image_spoilt,
    .tokens = samc__text_image_tokens,
    .text = text,
    .see = see,
    .forget = free,
    .map = map,
    .image = samc__clip_relate_image,
};
