/* Prompt encoder and mask decoder in a straight line. Mirrors PromptEncoder, TwoWayTransformer and MaskDecoder.
 *
 * P prompts on B images, T tokens each (IoU token, mask tokens, then the sparse ones), N = grid * grid, C = channels;
 * "A" is the model's precision, everything else is f32. */
#include "runtime/model/decoder.h"
#include "kernels/add_rows/add_rows.h"
#include "kernels/choose_masks/choose_masks.h"
#include "kernels/embed_mask/embed_mask.h"
#include "kernels/embed_prompts/embed_prompts.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear/linear.h"
#include "kernels/refine_masks/refine_masks.h"
#include "kernels/token_attention/token_attention.h"
#include "kernels/token_to_image/token_to_image.h"
#include "kernels/upscale_map/upscale_map.h"
#include "kernels/upscale_masks/upscale_masks.h"

#include "kernels/decoder_form.h"
#include "kernels/place.h"

int samc__prompt_tokens(const samc__decoder_spec *d, const samc_prompt *prompt) {
    int padding = d->box_points ? prompt->point_count > 0 || prompt->box : prompt->point_count > 0 && !prompt->box;
    return prompt->point_count + padding + (prompt->box ? 2 : 0);
}

typedef struct decoder_buffers {
    int64_t p, t, n, c;
    float *queries, *pe;                             /* [P, T, C] */
    float *hidden;                                   /* [P * T, mlp_dim] */
    void *keys;                                      /* [P, N, C] A */
    float *hyper;                                    /* [P, masks, C / 8] */
    float *mlp;                                      /* 2 x [P, largest MLP width] */
    float *iou;                                      /* [P, masks] */
    float *xy;                                       /* [P, sparse, 2], and behind it the labels */
    float *masks;                                    /* [P, 4 grid, 4 grid] mask prompts, or NULL */
    int32_t *labels;                                 /* [P, sparse] */
    void *map;                                       /* [P, 16 N, C / 8] A of the keys, or NULL: it has no use for it */
    float *refiner, *choice;                         /* [P, C / 8], [P, masks]: the IoU of those to choose from */
    float *all;                                      /* [P, masks, 4 grid, 4 grid] to choose from, or NULL */
    samc__up_layer layers[SAMC__MAX_DECODER_LAYERS]; /* what each layer does to the keys, where upscale_masks takes
                                                        that, or absent */
} decoder_buffers;

static int64_t mlp_width(const samc__config *c) {
    return c->decoder.iou_dim > c->decoder.channels ? c->decoder.iou_dim : c->decoder.channels;
}

/* Whether a prompt's one mask is chosen among all. */
static bool chooses(const samc__decoder_spec *d, bool multimask) { return !multimask && d->dynamic != 0.0f; }

/* Lays the buffers out from `base` on and returns the bytes needed; with base == NULL it only counts. */
static size_t place(const samc__network *net, const samc__prompt_batch *batch, bool multimask, char *base,
                    decoder_buffers *b) {
    const samc__config *c = &net->config;
    const samc__dtype a = net->precision;
    const int64_t p = batch->count, sparse = batch->tokens;
    const bool masked = batch->masked;
    int64_t at = 0, f32 = 4, size = (int64_t)samc__dtype_size(a), t = samc__own_tokens(&c->decoder) + sparse,
            n = (int64_t)c->grid * c->grid, channels = c->decoder.channels;
    *b = (decoder_buffers){.p = p, .t = t, .n = n, .c = channels};
#define PLACE_AT(to, bytes) ((to) = base ? (void *)(base + at) : NULL, at += ((bytes) + 63) / 64 * 64)
#define PLACE(field, bytes) PLACE_AT(b->field, bytes)
    PLACE(queries, p * t * channels * f32);
    PLACE(pe, p * t * channels * f32);
    PLACE(hidden, p * t * c->decoder.mlp_dim * f32);
    PLACE(keys, p * n * channels * size);
    PLACE(hyper, p * c->decoder.masks * (channels / 8) * f32);
    PLACE(mlp, 2 * p * mlp_width(c) * f32);
    PLACE(iou, p * c->decoder.masks * f32);
    PLACE(xy, 3 * p * sparse * f32);
    if (masked) PLACE(masks, 16 * p * n * f32);
    if (samc__has_hq(c)) {
        PLACE(map, 16 * p * n * (channels / 8) * size);
        PLACE(refiner, p * (channels / 8) * f32);
        PLACE(choice, p * c->decoder.masks * f32);
    }
    if (chooses(&c->decoder, multimask)) PLACE(all, p * c->decoder.masks * 16 * n * f32);
    for (int i = 0; i < c->decoder.depth && net->up_fold && !masked && samc__folds(t); i++) {
        int64_t inner = c->decoder.inner, rows = c->decoder.heads * t + 1, blocks = samc__update_blocks(n);
        float *weights, *values;
        PLACE_AT(weights, p * blocks * rows * SAMC__UPDATE_KEYS * f32);
        PLACE_AT(values, p * t * inner * f32);
        b->layers[i] = (samc__up_layer){
            .update = {samc__view4(weights, p, blocks, rows, SAMC__UPDATE_KEYS), samc__view3(values, p, t, inner)},
            .fold = net->up_fold->fold[i],
            .add = net->up_fold->add[i]};
    }
#undef PLACE
#undef PLACE_AT
    if (base) b->labels = (int32_t *)(b->xy + 2 * p * sparse);
    return (size_t)at;
}

/* Whether the finer features are kept by panels: where they are on a host. */
static bool has_panels(const samc__network *net) { return net->ops.projects_image && net->config.decoder.high_res; }

/* Elements of the panels of an image: [0] of add1 with 4 places of C / 4, [1] of add2 with 16 of C / 8. */
static int64_t panel_elements(const samc__config *c, int which) {
    return samc__update_blocks((int64_t)c->grid * c->grid) * SAMC__UPDATE_KEYS * c->decoder.channels * (1 + which);
}

static samc__view panels_of(const samc__network *net, int images, const samc__image_cache *cache, int which) {
    const samc__config *c = &net->config;
    const int64_t blocks = samc__update_blocks((int64_t)c->grid * c->grid);
    return samc__as(net->precision, samc__view4(cache->finer[which], images, blocks, c->decoder.channels * (1 + which),
                                                SAMC__UPDATE_KEYS));
}

size_t samc__image_cache_bytes(const samc__network *net, int images) {
    const samc__config *c = &net->config;
    int64_t projections =
        net->ops.projects_image ? 3 * (int64_t)c->decoder.inner + (net->up_fold ? net->up_fold->rows : 0) : 0;
    int64_t finer = has_panels(net) ? panel_elements(c, 0) + panel_elements(c, 1) : 0;
    return (size_t)(images * ((int64_t)c->grid * c->grid * (c->decoder.channels + projections) + finer)) *
           samc__dtype_size(net->precision);
}

samc__image_cache samc__image_cache_at(const samc__network *net, int images, void *base, int first) {
    const samc__config *c = &net->config;
    int64_t size = (int64_t)samc__dtype_size(net->precision), n = (int64_t)c->grid * c->grid * size,
            inner = c->decoder.inner, channels = c->decoder.channels;
    char *keys = (char *)base + first * n * channels;
    if (!net->ops.projects_image) return (samc__image_cache){.keys = keys};
    char *k = (char *)base + images * n * channels + first * n * inner, *up = NULL;
    if (net->up_fold) up = (char *)base + images * n * (channels + 3 * inner) + first * n * net->up_fold->rows;
    samc__image_cache cache = {
        .keys = keys, .k = k, .v = k + images * n * inner, .q = k + 2 * images * n * inner, .up = up};
    char *end = (char *)base + images * n * (channels + 3 * inner + (net->up_fold ? net->up_fold->rows : 0));
    for (int i = 0; i < 2 && has_panels(net); i++) {
        cache.finer[i] = end + first * panel_elements(c, i) * size;
        end += images * panel_elements(c, i) * size;
    }
    return cache;
}

/* Keys and values of the first layer's token_to_image, queries of its image_to_token, and what the upscaling starts
 * from; on a host. */
static samc_status project_cache(const samc__exec *exec, const samc__network *net, const void *key_pe, int images,
                                 const samc__image_cache *cache) {
    const samc__config *config = &net->config;
    const samc__decoder_layer *w = &net->weights.layers[0];
    const samc__dtype a = net->precision;
    int64_t c = config->decoder.channels, n = (int64_t)config->grid * config->grid, rows = images * n,
            inner = config->decoder.inner;
    void *sums =
        exec->allocate(exec->memory, (size_t)(rows * c) * samc__dtype_size(a)); /* [images, N, C] A keys + key_pe */
    if (sums == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for the image cache of %d image(s)", images);
    samc__view keys = samc__as(a, samc__view2(cache->keys, rows, c)), with_pe = samc__as(a, samc__view2(sums, rows, c));
    samc_status status =
        samc__add_rows(exec, &(samc__add_rows_args){/* an image is one row here */
                                                    .x = samc__as(a, samc__view2(cache->keys, images, n * c)),
                                                    .b = samc__as(a, samc__view1(key_pe, n * c)),
                                                    .y = samc__as(a, samc__view2(sums, images, n * c))});
    const struct {
        samc__view x;
        samc__projection p;
        void *y;
    } projections[3] = {{with_pe, w->cross_token_to_image.k, cache->k},
                        {keys, w->cross_token_to_image.v, cache->v},
                        {with_pe, w->cross_image_to_token.q, cache->q}};
    for (int i = 0; i < 3 && status == SAMC_OK; i++)
        status = samc__linear(exec, &(samc__linear_args){.x = projections[i].x,
                                                         .p = projections[i].p,
                                                         .y = samc__as(a, samc__view2(projections[i].y, rows, inner))});
    exec->release(exec->memory, sums);
    const samc__up_fold *up = net->up_fold;
    if (status != SAMC_OK || up == NULL) return status;
    return samc__linear(exec, &(samc__linear_args){
                                  .x = keys, .p = up->image, .y = samc__as(a, samc__view2(cache->up, rows, up->rows))});
}

samc_status samc__image_cache_make(const samc__exec *exec, const samc__network *net, const samc__features *features,
                                   const void *key_pe, int images, const samc__image_cache *cache) {
    const samc__config *config = &net->config;
    int64_t c = config->decoder.channels, rows = images * (int64_t)config->grid * config->grid;
    const void *embeddings = features->level[0].data;
    for (int i = 0; i < 2 && has_panels(net) && !exec->rehearsal; i++)
        samc__upscale_panels(exec, features->level[2 - i], config->grid, 2 + 2 * i, panels_of(net, images, cache, i));
    SAMC__TRY(
        samc__add_rows(exec, &(samc__add_rows_args){.x = samc__as(net->precision, samc__view2(embeddings, rows, c)),
                                                    .b = net->weights.no_mask_embed,
                                                    .y = samc__as(net->precision, samc__view2(cache->keys, rows, c))}));
    return cache->k ? project_cache(exec, net, key_pe, images, cache) : SAMC_OK;
}

/* Coordinates and labels of every prompt, gathered in `own` (laid out as b->xy) and brought to where the tensors live.
 */
static samc_status place_prompts(const samc__exec *exec, const samc__prompt_batch *batch, bool box_points,
                                 const decoder_buffers *b, float *own) {
    int64_t sparse = batch->tokens;
    for (int i = 0; i < batch->count; i++) {
        const samc_prompt *prompt = batch->prompts[i];
        const samc__frame *frame = &batch->frame[i / (batch->count / batch->images)];
        float *xy = own + 2 * sparse * i;
        int32_t *label = (int32_t *)(own + 2 * sparse * batch->count) + sparse * i;
        const int corners = prompt->box ? 2 : 0, all = corners + prompt->point_count,
                  first = box_points ? 0 : all - corners;
        for (int j = 0; j < all; j++, xy += 2) { /* points, and from `first` on a box's corners */
            const int corner = j - first, point = j < first ? j : j - corners;
            const bool of_box = corner >= 0 && corner < corners;
            samc__frame_point(frame, of_box ? prompt->box + 2 * corner : prompt->points + 2 * point, xy);
            *label++ = of_box ? 2 + corner : prompt->labels[point];
        }
        if (sparse > all) { /* padding: at (0, 0) minus the half pixel added later; its position is dropped */
            xy[0] = xy[1] = 0.0f;
            *label = -1;
        }
    }
    return samc__upload(exec, b->xy, own, (size_t)(3 * sparse * batch->count) * sizeof(float));
}

/* The model's own tokens in the order of the sequence. */
static void order_own(const samc__decoder_spec *d, const samc__weights *w, samc__view own[SAMC__OWN_TOKENS]) {
    const struct {
        int at;
        samc__view rows;
    } kinds[] = {{d->iou_at, samc__view2(w->iou_token.data, 1, d->channels)},
                 {d->mask_at, w->mask_tokens},
                 {d->hq_at, samc__view2(w->hq.token.data, 1, d->channels)},
                 {d->object_at, samc__view2(w->object_token.data, 1, d->channels)}};
    enum { KINDS = sizeof kinds / sizeof *kinds };
    for (int i = 0; i < KINDS; i++) {
        int before = 0;
        for (int j = 0; j < KINDS; j++) before += kinds[j].at >= 0 && kinds[j].at < kinds[i].at;
        if (kinds[i].at >= 0) own[before] = kinds[i].rows;
    }
}

/* Fills queries and pe with the tokens of every prompt: the model's own, then points, padding and box corners. */
static samc_status embed_prompts(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                                 const decoder_buffers *b) {
    const samc__weights *w = &net->weights;
    int64_t c = b->c, sparse = batch->tokens;
    samc__embed_prompts_args args = {
        .xy = b->xy,
        .labels = b->labels,
        .img_size = net->config.recipe.frame,
        .gaussian = w->pe_gaussian,
        .not_a_point = w->not_a_point_embed,
        .queries = samc__view3(b->queries, b->p, b->t, c),
        .pe = samc__view3(b->pe, b->p, b->t, c),
    };
    for (int i = 0; i < 4; i++) args.label_embed[i] = w->point_embed[i];
    order_own(&net->config.decoder, w, args.own);
    if (sparse > 0) {
        float gathered[3 * 64], *more = NULL; /* room for the usual batch, or a block of its own */
        size_t bytes = (size_t)(3 * sparse * batch->count) * sizeof(float);
        if (bytes > sizeof gathered && (more = exec->allocate(exec->memory, bytes)) == NULL)
            return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %d prompt(s): %zu bytes", batch->count,
                              bytes);
        samc_status status =
            exec->rehearsal ? SAMC_OK
                            : place_prompts(exec, batch, net->config.decoder.box_points, b, more ? more : gathered);
        exec->release(exec->memory, more);
        SAMC__TRY(status);
    }
    return samc__embed_prompts(exec, &args);
}

/* The image cache of the first layer: [B, N, C], one for the prompts of an image, or with mask inputs [P, N, C]. */
static samc_status embed_image(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                               const decoder_buffers *b, samc__view *keys) {
    const samc__weights *w = &net->weights;
    const samc__config *config = &net->config;
    const samc__dtype a = net->precision;
    int64_t c = b->c, low = samc__low_res(config);
    if (!batch->masked) {
        *keys = samc__as(a, samc__view3(batch->cache.keys, batch->images, b->n, c));
        return SAMC_OK;
    }
    for (int i = 0; i < batch->count; i++)
        SAMC__TRY(samc__upload(exec, b->masks + i * low * low, batch->prompts[i]->mask_input,
                               (size_t)(low * low) * sizeof(float)));
    *keys = samc__as(a, samc__view3(b->keys, b->p, b->n, c));
    samc__embed_mask_args args = {
        .mask = samc__view3(b->masks, b->p, low, low),
        .conv1 = w->mask_conv1,
        .norm1 = w->mask_norm1,
        .conv2 = w->mask_conv2,
        .norm2 = w->mask_norm2,
        .conv3 = w->mask_conv3,
        .image = batch->features.level[0],
        .y = *keys,
        .grid = config->grid,
    };
    return samc__embed_mask(exec, &args);
}

static samc__act hidden_act(const samc__decoder_spec *d) { return d->gelu ? SAMC__ACT_GELU : SAMC__ACT_RELU; }

/* One layer of the two-way transformer; `keys` becomes [P, N, C]. */
static samc_status run_layer(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                             const decoder_buffers *b, int index, samc__view *keys) {
    const samc__decoder_spec *d = &net->config.decoder;
    const samc__decoder_layer *w = &net->weights.layers[index];
    const samc__dtype a = net->precision;
    int64_t c = b->c;
    samc__view queries = samc__view3(b->queries, b->p, b->t, c), pe = samc__view3(b->pe, b->p, b->t, c);
    samc__view rows = samc__view2(b->queries, b->p * b->t, c), hidden = samc__view2(b->hidden, b->p * b->t, d->mlp_dim);
    samc__view key_pe = samc__as(a, samc__view2(batch->key_pe, b->n, c)), absent = {0},
               updated = samc__as(a, samc__view3(b->keys, b->p, b->n, c));
    bool shared = index == 0 && !batch->masked, projected = shared && batch->cache.k != NULL;
    samc__view made = samc__as(a, samc__view3(NULL, batch->images, b->n, d->inner)), k = made, v = made, q = made;
    if (projected) k.data = batch->cache.k, v.data = batch->cache.v, q.data = batch->cache.q;
    SAMC__TRY(samc__token_attention(
        exec, &(samc__token_attention_args){
                  .queries = queries, .pe = index == 0 ? absent : pe, .attention = w->self_attn, .norm = w->norm1}));
    SAMC__TRY(samc__token_to_image(exec, &(samc__token_to_image_args){.queries = queries,
                                                                      .pe = pe,
                                                                      .keys = *keys,
                                                                      .key_pe = key_pe,
                                                                      .shared = shared,
                                                                      .image_k = k,
                                                                      .image_v = v,
                                                                      .attention = w->cross_token_to_image,
                                                                      .norm = w->norm2}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = rows, .p = w->lin1, .y = hidden, .act = hidden_act(d)}));
    SAMC__TRY(samc__linear(exec, &(samc__linear_args){.x = hidden, .p = w->lin2, .residual = rows, .y = rows}));
    SAMC__TRY(samc__layernorm(exec, &(samc__layernorm_args){.x = rows, .norm = w->norm3, .y = rows}));
    SAMC__TRY(samc__image_to_token(exec, &(samc__image_to_token_args){.queries = queries,
                                                                      .pe = pe,
                                                                      .keys = *keys,
                                                                      .key_pe = key_pe,
                                                                      .shared = shared,
                                                                      .image_q = q,
                                                                      .attention = w->cross_image_to_token,
                                                                      .norm = w->norm4,
                                                                      .y = updated,
                                                                      .update = b->layers[index].update}));
    *keys = updated;
    return SAMC_OK;
}

/* The two-way transformer. On return `keys` is [P, N, C] (there is at least one layer). */
static samc_status transform(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                             const decoder_buffers *b, samc__view *keys) {
    for (int i = 0; i < net->config.decoder.depth; i++) SAMC__TRY(run_layer(exec, net, batch, b, i, keys));
    return samc__token_to_image(
        exec, &(samc__token_to_image_args){.queries = samc__view3(b->queries, b->p, b->t, b->c),
                                           .pe = samc__view3(b->pe, b->p, b->t, b->c),
                                           .keys = *keys,
                                           .key_pe = samc__as(net->precision, samc__view2(batch->key_pe, b->n, b->c)),
                                           .attention = net->weights.final_attn,
                                           .norm = net->weights.norm_final});
}

/* An MLP on one token of every prompt: x rows are x_stride apart, y rows y_stride. */
typedef struct mlp {
    const samc__projection *layers;
    int depth;
    samc__act act; /* between its layers */
} mlp;
static samc_status run_mlp(const samc__exec *exec, mlp m, const decoder_buffers *b, const float *x, int64_t x_stride,
                           float *y, int64_t y_stride) {
    float *buffers[2] = {b->mlp, b->mlp + b->p * m.layers[0].w.n[0]};
    for (int i = 0; i < m.depth; i++) {
        const samc__projection *p = &m.layers[i];
        bool last = i == m.depth - 1;
        samc__linear_args args = {
            .x = samc__view2(x, b->p, p->w.n[1]),
            .p = *p,
            .x_stride = x_stride,
            .y = samc__view2(last ? y : buffers[i % 2], b->p, p->w.n[0]),
            .y_stride = last ? y_stride : 0,
            .act = last ? SAMC__ACT_NONE : m.act,
        };
        SAMC__TRY(samc__linear(exec, &args));
        x = buffers[i % 2];
        x_stride = 0;
    }
    return SAMC_OK;
}

/* The mask of the token at hq_at, with the best of `masks` others: the mask tokens from `first` on, whose vectors and
 * IoU are there. */
static samc_status refine(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                          const decoder_buffers *b, bool multimask, samc__view keys, float *logits, float *iou) {
    const samc__decoder_spec *d = &net->config.decoder;
    const samc__weights *w = &net->weights;
    const samc__dtype a = net->precision;
    const int first = multimask ? 1 : 0, masks = multimask ? d->masks - 1 : 1;
    const int64_t c8 = b->c / 8, low = samc__low_res(&net->config);
    const size_t row = (size_t)masks * sizeof(float);
    samc__view map = samc__as(a, samc__view3(b->map, b->p, 16 * b->n, c8));
    SAMC__TRY(
        run_mlp(exec, (mlp){w->hq.mlp, 3, hidden_act(d)}, b, b->queries + d->hq_at * b->c, b->t * b->c, b->refiner, 0));
    SAMC__TRY(
        samc__copy_rows(exec, b->choice, row, b->iou + first, (size_t)d->masks * sizeof(float), row, (size_t)b->p));
    SAMC__TRY(samc__upscale_map(exec, &(samc__upscale_map_args){.x = keys,
                                                                .up1 = w->up1,
                                                                .norm = w->up_norm,
                                                                .up2 = w->up2,
                                                                .y = map,
                                                                .grid = net->config.grid,
                                                                .gelu = true}));
    return samc__refine_masks(exec, &(samc__refine_masks_args){.map = map,
                                                               .conv1 = w->hq.conv1,
                                                               .norm = w->hq.norm,
                                                               .conv2 = w->hq.conv2,
                                                               .image = batch->features.level[1],
                                                               .refiner = samc__view2(b->refiner, b->p, c8),
                                                               .hyper = samc__view3(b->hyper, b->p, masks, c8),
                                                               .iou = samc__view2(b->choice, b->p, masks),
                                                               .y = samc__view3(logits, b->p, low, low),
                                                               .y_iou = samc__view1(iou, b->p),
                                                               .grid = net->config.grid,
                                                               .alone = net->config.hq_token_only != 0.0f});
}

/* IoU as probabilities, and the one mask of each prompt among all of `logits` where it is chosen. */
static samc_status choose(const samc__exec *exec, const samc__decoder_spec *d, const decoder_buffers *b, bool multimask,
                          samc__view logits, const samc__decoded *to) {
    samc__choose_masks_args args = {.iou = samc__view2(b->iou, b->p, d->masks),
                                    .y_iou = samc__view2(to->iou, b->p, samc__given_masks(d, multimask)),
                                    .first = multimask ? 1 : 0,
                                    .delta = d->stability_delta,
                                    .threshold = d->stability_thresh};
    if (chooses(d, multimask)) args.logits = logits, args.y = samc__view3(to->logits, b->p, logits.n[2], logits.n[3]);
    return samc__choose_masks(exec, &args);
}

static samc_status decode_with(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                               bool multimask, const decoder_buffers *b, const samc__decoded *to) {
    const samc__config *config = &net->config;
    const samc__decoder_spec *d = &config->decoder;
    const samc__weights *w = &net->weights;
    int64_t c = b->c, c8 = c / 8, low = samc__low_res(config);
    samc__view keys;
    SAMC__TRY(embed_prompts(exec, net, batch, b));
    SAMC__TRY(embed_image(exec, net, batch, b, &keys));
    SAMC__TRY(transform(exec, net, batch, b, &keys));

    /* Mask token 0 serves a single mask, the others the ambiguous ones; to choose from are all. */
    const bool choice = chooses(d, multimask);
    const int first = multimask ? 1 : 0, masks = choice ? d->masks : multimask ? d->masks - 1 : 1;
    for (int i = 0; i < masks; i++)
        SAMC__TRY(run_mlp(exec, (mlp){w->hyper[first + i], 3, hidden_act(d)}, b,
                          b->queries + (d->mask_at + first + i) * c, b->t * c, b->hyper + i * c8, masks * c8));
    SAMC__TRY(run_mlp(exec, (mlp){w->iou_head, d->iou_depth, hidden_act(d)}, b, b->queries + d->iou_at * c, b->t * c,
                      b->iou, 0));
    if (d->object_at >= 0 && to->object != NULL)
        SAMC__TRY(run_mlp(exec, (mlp){w->object_head, 3, hidden_act(d)}, b, b->queries + d->object_at * c, b->t * c,
                          to->object, 0));
    if (samc__has_hq(config)) return refine(exec, net, batch, b, multimask, keys, to->logits, to->iou);
    bool folded = b->layers[0].update.weights.data != NULL;
    samc__upscale_masks_args up = {
        .src = folded ? samc__as(net->precision, samc__view3(batch->cache.up, batch->images, b->n, net->up_fold->rows))
                      : keys,
        .layers = folded ? b->layers : NULL,
        .depth = folded ? d->depth : 0,
        .heads = d->heads,
        .up1 = w->up1,
        .norm = w->up_norm,
        .up2 = w->up2,
        .hyper = samc__view3(b->hyper, b->p, masks, c8),
        .y = samc__view4(choice ? b->all : to->logits, b->p, masks, low, low),
        .grid = config->grid,
    };
    if (d->high_res) up.add1 = batch->features.level[2], up.add2 = batch->features.level[1];
    if (d->high_res && batch->cache.finer[0]) {
        up.add1 = panels_of(net, batch->images, &batch->cache, 0);
        up.add2 = panels_of(net, batch->images, &batch->cache, 1);
    }
    SAMC__TRY(samc__upscale_masks(exec, &up));
    if (d->iou_sigmoid) return choose(exec, d, b, multimask, up.y, to);
    size_t row = (size_t)masks * sizeof(float);
    return samc__copy_rows(exec, to->iou, row, b->iou + first, (size_t)d->masks * sizeof(float), row, (size_t)b->p);
}

samc_status samc__decode(const samc__exec *exec, const samc__network *net, const samc__prompt_batch *batch,
                         bool multimask, const samc__decoded *to) {
    decoder_buffers b;
    size_t bytes = place(net, batch, multimask, NULL, &b);
    char *base = samc__tensor_allocate(exec, bytes);
    if (base == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to decode %d prompt(s): %zu bytes", batch->count,
                          bytes);
    place(net, batch, multimask, base, &b);
    samc_status status = decode_with(exec, net, batch, multimask, &b, to);
    samc__tensor_release(exec, base);
    return status;
}
