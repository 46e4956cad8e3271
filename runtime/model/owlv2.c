/* OWLv2: each patch of CLIP's image tower is a box, and what is in it a vector that phrases are compared with.
 *
 * N = grid * grid patches, D = width of the image tower, dim = features of a phrase. */
#include "runtime/model/detector.h"

#include "kernels/add_rows/add_rows.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/place.h"
#include "kernels/unit_rows/unit_rows.h"
#include "runtime/model/owlv2_input.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_TO_NOTHING 1e-6f /* what lengths are made larger by before they divide */

/* ---- Its tensors ----------------------------------------------------------------------------- */

static void list_head(samc__tensor_list *list, samc__projection *to, const char *base, int64_t d, int64_t out) {
    samc__list_linear(list, &to[0], SAMC__ROLE_MATRIX, base, "dense0", d, d);
    samc__list_linear(list, &to[1], SAMC__ROLE_MATRIX, base, "dense1", d, d);
    samc__list_linear(list, &to[2], SAMC__ROLE_MATRIX, base, "dense2", out, d);
}

static void list_tensors(samc__tensor_list *list, const samc__text_image_config *config,
                         samc__text_image_weights *weights) {
    const int64_t d = config->vision.plain.dim;
    samc__owlv2_weights *to = &weights->owlv2;
    samc__list_linear(list, &to->classes, SAMC__ROLE_MATRIX, "class_head", "dense0", config->dim, d);
    samc__list_linear(list, &to->shift, SAMC__ROLE_MATRIX, "class_head", "logit_shift", 1, d);
    samc__list_linear(list, &to->scale, SAMC__ROLE_MATRIX, "class_head", "logit_scale", 1, d);
    list_head(list, to->box, "box_head", d, 4);
    list_head(list, to->objectness, "objectness_head", d, 1);
    samc__list_tensor(list, &to->merged.g, SAMC__ROLE_VECTOR, "layer_norm", "weight", SAMC__SHAPE1(d));
    samc__list_tensor(list, &to->merged.b, SAMC__ROLE_VECTOR, "layer_norm", "bias", SAMC__SHAPE1(d));
    to->merged.eps = config->vision.plain.eps;
}

/* ---- Its configuration ----------------------------------------------------------------------- */

static void infer(samc__reading *r, samc__text_image_config *config) {
    samc__vision_spec *v = &config->vision;
    const char *file;
    samc__merge_count(r, "img_size", &v->side, true);
    const samc__json json = samc__text_image_preprocessor(r, &file);
    if (json.begin == NULL || r->status != SAMC_OK) return;
    const samc__json size = samc__json_get(json, "size");
    samc__preprocessor_kind(r, file, json, "Owlv2");
    if (samc__json_kind(samc__json_get(json, "do_pad")) == 'f')
        samc__read_fail(r, SAMC_UNSUPPORTED, "%s: %s says do_pad false; samc pads images to squares",
                        r->checkpoint->label, file);
    samc__preprocessor_count(r, file, "size.height", samc__json_get(size, "height"), v->side);
    samc__preprocessor_count(r, file, "size.width", samc__json_get(size, "width"), v->side);
    samc__preprocessor_count(r, file, "resample", samc__json_get(json, "resample"), 2);
    samc__preprocessor_pixels(r, file, json, v);
}

const samc__text_image_family samc__family_owlv2 = {.name = "OWLv2",
                                                    .model_type = "owlv2",
                                                    .prefix = "owlv2.",
                                                    .mark = "objectness_head.dense0.weight",
                                                    .before = "pre_layernorm",
                                                    .relate = &samc__relate_owlv2,
                                                    .infer = infer,
                                                    .tensors = list_tensors};

/* ---- An image -------------------------------------------------------------------------------- */

/* Pixels into the rows' patches. */
static samc_status take_patches(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                                const samc__plain_rows *rows) {
    const samc__vision_spec *v = &net->config.vision;
    samc__owlv2_input input = {.side = v->side, .patch = v->patch, .scale = 1.0f / 255};
    memcpy(input.mean, v->mean, sizeof input.mean);
    memcpy(input.std, v->std, sizeof input.std);
    const int64_t n = (int64_t)v->grid * v->grid, k = 3 * (int64_t)v->patch * v->patch;
    const size_t bytes = (size_t)(n * k) * sizeof(float);
    float *patches = exec->allocate(exec->memory, bytes);
    void *tensor = NULL;
    if (patches == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for an image's patches");
    samc_status status = samc__owlv2_patches(exec, &input, image, patches);
    if (status == SAMC_OK && rows->a == SAMC__F32) {
        status = samc__upload(exec, rows->wide, patches, bytes);
    } else if (status == SAMC_OK) {
        status = samc__lend(exec, patches, bytes, true, &tensor);
        const samc__view x = samc__view2(tensor, n, k), y = samc__as(rows->a, samc__view2(rows->wide, n, k));
        if (status == SAMC_OK) {
            status = samc__add_rows(exec, &(samc__add_rows_args){.x = x, .y = y});
            const samc_status given = samc__collect(exec, patches, tensor, 0);
            if (status == SAMC_OK) status = given;
        }
    }
    exec->release(exec->memory, patches);
    return status;
}

/* What the patches' norm has to be so that what follows it, the product with the class token behind the same norm, is
 * made by it too: gain and bias times that token. `merge` [3, D] is a tensor: the token, then that gain and bias. */
static samc_status merge_norm(const samc__exec *exec, const samc__norm *norm, samc__view token, float *merge) {
    const int64_t d = token.n[1];
    const size_t bytes = (size_t)d * sizeof(float);
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = token, .norm = *norm, .y = samc__view2(merge, 1, d)}));
    float *host = malloc(5 * bytes);
    if (host == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a class token");
    samc_status status = samc__download(exec, host, merge, bytes);
    if (status == SAMC_OK) status = samc__download(exec, host + 3 * d, norm->g.data, bytes);
    if (status == SAMC_OK) status = samc__download(exec, host + 4 * d, norm->b.data, bytes);
    for (int64_t i = 0; i < 2 * d && status == SAMC_OK; i++) host[d + i] = host[3 * d + i] * host[i % d];
    if (status == SAMC_OK) status = samc__upload(exec, merge + d, host + d, 2 * bytes);
    free(host);
    return status;
}

/* Where a scene's values come from: one tensor. */
typedef struct outputs {
    int64_t n, dim;
    float *box, *classes, *shift, *scale, *objectness; /* [N, 4], [N, dim], [N, 1] each */
} outputs;

static int64_t scene_values(int64_t n, int64_t dim) { return n * (dim + 7); }

static outputs outputs_at(float *values, int64_t n, int64_t dim) {
    return (outputs){.n = n,
                     .dim = dim,
                     .box = values,
                     .classes = values + 4 * n,
                     .shift = values + (4 + dim) * n,
                     .scale = values + (5 + dim) * n,
                     .objectness = values + (6 + dim) * n};
}

/* Three layers, of whose hidden ones the first two thirds of `wide` hold two. */
static samc_status run_head(const samc__exec *exec, const samc__projection *w, samc__view y, void *wide, float *out) {
    const int64_t n = y.n[0], d = y.n[1];
    const samc__view one = samc__as(y.dtype, samc__view2(wide, n, d));
    const samc__view two =
        samc__as(y.dtype, samc__view2((char *)wide + (size_t)(n * d) * samc__dtype_size(y.dtype), n, d));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w[0], .y = one, .act = SAMC__ACT_GELU}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = one, .p = w[1], .y = two, .act = SAMC__ACT_GELU}));
    return samc__linear(exec, &(samc__linear_args){.x = two, .p = w[2], .y = samc__view2(out, n, w[2].w.n[0])});
}

/* The tower's rows to its heads' outputs. */
static samc_status run_heads(const samc__exec *exec, const samc__text_image *net, const samc__plain_rows *r,
                             float *merge, const outputs *out) {
    const samc__owlv2_weights *w = &net->weights.owlv2;
    const int64_t n = out->n, d = net->config.vision.plain.dim;
    const samc__view token = samc__view2(r->x, 1, d), x = samc__view2(r->x + d, n, d);
    const samc__view y = samc__as(r->a, samc__view2(r->y, n, d)), classes = samc__view2(out->classes, n, out->dim);
    SAMC__TRY(merge_norm(exec, &net->weights.vision.after, token, merge));
    const samc__norm norm = {samc__view1(merge + d, d), samc__view1(merge + 2 * d, d), net->weights.vision.after.eps};
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = norm, .y = x}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = x, .norm = w->merged, .y = y}));
    SAMC__TRY(run_head(exec, w->box, y, r->wide, out->box));
    SAMC__TRY(run_head(exec, w->objectness, y, r->wide, out->objectness));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->shift, .y = samc__view2(out->shift, n, 1)}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->scale, .y = samc__view2(out->scale, n, 1)}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = y, .p = w->classes, .y = classes}));
    return samc__unit_rows(exec, &(samc__unit_rows_args){.x = classes, .y = classes, .eps = CLOSE_TO_NOTHING});
}

static float log_odds(float x) { return logf(x + 1e-4f) - log1pf(-x + 1e-4f); }

/* What the heads gave, in place: a box's centre is told relative to its patch's lower right corner, its size to the
 * patch's. */
static void finish_scene(const outputs *o, int grid) {
    const float size = log_odds(1.0f / (float)grid);
    for (int64_t i = 0; i < o->n; i++) {
        const float bias[4] = {log_odds((float)(i % grid + 1) / (float)grid),
                               log_odds((float)(i / grid + 1) / (float)grid), size, size};
        for (int k = 0; k < 4; k++) o->box[4 * i + k] = 1 / (1 + expf(-(o->box[4 * i + k] + bias[k])));
        o->scale[i] = (o->scale[i] > 0 ? o->scale[i] : expm1f(o->scale[i])) + 1;
    }
}

static samc_status see_with(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                            samc__plain_rows *rows, float *scene) {
    const samc__plain *p = &net->config.vision.plain;
    const int64_t n = rows->rows - 1, values = scene_values(n, net->config.dim);
    SAMC__TRY(take_patches(exec, net, image, rows));
    SAMC__TRY(samc__vision_embed(exec, net, rows));
    SAMC__TRY(samc__plain_run(exec, p, net->weights.vision.blocks, 0, p->depth, rows));
    float *tensor = samc__tensor_allocate(exec, (size_t)(values + 3 * (int64_t)p->dim) * sizeof *tensor);
    if (tensor == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the boxes of an image");
    const outputs out = outputs_at(tensor, n, net->config.dim);
    samc_status status = run_heads(exec, net, rows, tensor + values, &out);
    if (status == SAMC_OK) status = samc__download(exec, scene, tensor, (size_t)values * sizeof *scene);
    samc__tensor_release(exec, tensor);
    return status;
}

samc_status samc__owlv2_see(const samc__exec *exec, const samc__text_image *net, const samc_image *image,
                            samc__owlv2_scene **scene) {
    const int64_t n = (int64_t)net->config.vision.grid * net->config.vision.grid, dim = net->config.dim;
    samc__owlv2_scene *s = malloc(sizeof *s + (size_t)scene_values(n, dim) * sizeof *s->values);
    if (s == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the boxes of an image");
    const outputs o = outputs_at(s->values, n, dim);
    *s = (samc__owlv2_scene){image->width, image->height, (int)n,  (int)dim,    o.box,
                             o.classes,    o.shift,       o.scale, o.objectness};
    samc__plain_group group;
    samc__plain_rows rows;
    samc_status status = samc__vision_begin(exec, net, 1, net->config.vision.grid, &group, &rows);
    if (status == SAMC_OK) {
        status = see_with(exec, net, image, &rows, s->values);
        samc__plain_end(exec, &rows);
    }
    if (status != SAMC_OK) {
        free(s);
        return status;
    }
    finish_scene(&o, net->config.vision.grid);
    *scene = s;
    return SAMC_OK;
}

/* ---- Boxes and phrases ----------------------------------------------------------------------- */

void samc__owlv2_corners(const samc__owlv2_scene *scene, float *corners) {
    const float side = (float)(scene->width > scene->height ? scene->width : scene->height);
    for (int i = 0; i < scene->boxes; i++) {
        const float *b = scene->box + 4 * (int64_t)i;
        float *c = corners + 4 * (int64_t)i;
        c[0] = (b[0] - 0.5f * b[2]) * side, c[1] = (b[1] - 0.5f * b[3]) * side;
        c[2] = (b[0] + 0.5f * b[2]) * side, c[3] = (b[1] + 0.5f * b[3]) * side;
    }
}

samc_status samc__owlv2_text(const samc__exec *exec, const samc__text_image *net, const int32_t *ids, const int *ends,
                             int count, float *features) {
    SAMC__TRY(samc__text_features(exec, net, ids, ends, count, features));
    samc__unit_features(features, count, net->config.dim, 0); /* the tower does, and the head again */
    samc__unit_features(features, count, net->config.dim, CLOSE_TO_NOTHING);
    return SAMC_OK;
}

samc_status samc__owlv2_classify(const samc__exec *exec, const samc__owlv2_scene *scene, const float *features,
                                 int count, float *logits) {
    const int64_t n = scene->boxes, dim = scene->dim;
    const size_t bytes[3] = {(size_t)(n * dim) * sizeof(float), (size_t)(count * dim) * sizeof(float),
                             (size_t)(n * count) * sizeof(float)};
    void *classes = NULL, *phrases = NULL, *cosines = NULL;
    samc_status status = samc__lend(exec, scene->classes, bytes[0], true, &classes);
    if (status == SAMC_OK) status = samc__lend(exec, (void *)features, bytes[1], true, &phrases);
    if (status == SAMC_OK) status = samc__lend(exec, logits, bytes[2], false, &cosines);
    if (status == SAMC_OK)
        status = samc__linear(exec, &(samc__linear_args){.x = samc__view2(classes, n, dim),
                                                         .p.w = samc__view2(phrases, count, dim),
                                                         .y = samc__view2(cosines, n, count)});
    const samc_status given = samc__collect(exec, logits, cosines, status == SAMC_OK ? bytes[2] : 0);
    if (status == SAMC_OK) status = given;
    samc__collect(exec, NULL, phrases, 0);
    samc__collect(exec, NULL, classes, 0);
    SAMC__TRY(status);
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < count; k++)
            logits[i * count + k] = (logits[i * count + k] + scene->shift[i]) * scene->scale[i];
    return SAMC_OK;
}

/* ---- Its table ------------------------------------------------------------------------------- */

static void facts(const void *of, samc__relate_facts *to) {
    const samc__text_image *net = of;
    samc__text_image_facts(net, to);
    to->boxes = net->config.vision.grid * net->config.vision.grid;
    to->scene_bytes = sizeof(samc__owlv2_scene) + (size_t)scene_values(to->boxes, net->config.dim) * sizeof(float);
}

static samc_status text(const samc__exec *exec, const void *net, const int32_t *ids, const int *ends, int count,
                        float *features) {
    return samc__owlv2_text(exec, net, ids, ends, count, features);
}

static samc_status see(const samc__exec *exec, const void *net, const samc_image *image, void **scene) {
    samc__owlv2_scene *seen = NULL;
    const samc_status status = samc__owlv2_see(exec, net, image, &seen);
    *scene = seen;
    return status;
}

static samc_status corners(const void *net, const void *scene, float *to) {
    (void)net;
    samc__owlv2_corners(scene, to);
    return SAMC_OK;
}

static samc_status classify(const samc__exec *exec, const void *net, const void *scene, const float *features,
                            int count, float *logits) {
    (void)net;
    return samc__owlv2_classify(exec, scene, features, count, logits);
}

const samc__relate samc__relate_owlv2 = {
    .name = "OWLv2",
    .kind = SAMC_DETECTOR_BOXES,
    .facts = facts,
    .hash = samc__text_image_hash,
    .close = samc__text_image_close,
    .spoilt = samc__text_image_spoilt,
    .tokens = samc__text_image_tokens,
    .text = text,
    .see = see,
    .forget = free,
    .corners = corners,
    .classify = classify,
};
