/* Counting by doing: a table of operators that write down what they are asked for. */
#include "bench/forecast/workload.h"
#include "kernels/add_rows/add_rows.h"
#include "kernels/attention_plain/attention_plain.h"
#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/conv3x3/conv3x3.h"
#include "kernels/depthwise/depthwise.h"
#include "kernels/embed_grid/embed_grid.h"
#include "kernels/embed_mask/embed_mask.h"
#include "kernels/embed_prompts/embed_prompts.h"
#include "kernels/finish_masks/finish_masks.h"
#include "kernels/grouped_linear/grouped_linear.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/layernorm/layernorm.h"
#include "kernels/linear_attention/linear_attention.h"
#include "kernels/mask_rle/mask_rle.h"
#include "kernels/max_pool/max_pool.h"
#include "kernels/nms/nms.h"
#include "kernels/preprocess/preprocess.h"
#include "kernels/choose_masks/choose_masks.h"
#include "kernels/select_masks/select_masks.h"
#include "kernels/small_regions/small_regions.h"
#include "kernels/token_attention/token_attention.h"
#include "kernels/token_to_image/token_to_image.h"
#include "kernels/refine_masks/refine_masks.h"
#include "kernels/upscale_bicubic/upscale_bicubic.h"
#include "kernels/upscale_map/upscale_map.h"
#include "kernels/unit_rows/unit_rows.h"
#include "kernels/upscale_masks/upscale_masks.h"

#include "kernels/linear/choice.h"
#include "kernels/decoder_form.h"
#include "runtime/model/automatic.h"
#include "runtime/model/frame.h"
#include "runtime/memory.h"
#include "runtime/rehearse.h"

#include <stdlib.h>
#include <string.h>

struct samc__shapes {
    samc_model model;
};

/* ---- Bytes: every argument once -------------------------------------------------------------- */

static double of(samc__view v) {
    double bytes = v.data ? (double)samc__dtype_size(v.dtype) : 0.0;
    for (int i = 0; i < v.rank; i++) bytes *= (double)v.n[i];
    return bytes;
}
static double of_projection(const samc__projection *p) { return of(p->w) + of(p->b); }
static double of_norm(const samc__norm *n) { return of(n->g) + of(n->b); }
static double of_attention(const samc__attention *a) {
    return of_projection(&a->q) + of_projection(&a->k) + of_projection(&a->v) + of_projection(&a->out);
}
static double of_bits(int64_t masks, int height, int width) {
    return 8.0 * (double)masks * height * ((width + 63) / 64);
}

static double preprocess_bytes(const samc__preprocess_args *a) { return 3.0 * a->height * a->width + of(a->patches); }
static double linear_bytes(const samc__linear_args *a) {
    return of(a->x) + of_projection(&a->p) + of(a->b_of_y) + of(a->residual) + of(a->y);
}
static double layernorm_bytes(const samc__layernorm_args *a) { return of(a->x) + of_norm(&a->norm) + of(a->y); }
static double attention_relpos_bytes(const samc__attention_relpos_args *a) {
    return of(a->qkv) + of(a->q) + of(a->qkv_bias) + of(a->rel_h) + of(a->rel_w) + of(a->table) + of(a->y);
}
static double attention_plain_bytes(const samc__attention_plain_args *a) { return of(a->qkv) + of(a->y); }
static double unit_rows_bytes(const samc__unit_rows_args *a) { return of(a->x) + of(a->y); }
static double conv3x3_bytes(const samc__conv3x3_args *a) {
    return of(a->x) + of(a->w) + of(a->b) + of(a->residual) + of(a->y);
}
static double depthwise_bytes(const samc__depthwise_args *a) { return of(a->x) + of(a->w) + of(a->b) + of(a->y); }
static double grouped_linear_bytes(const samc__grouped_linear_args *a) { return of(a->x) + of(a->w) + of(a->y); }
static double linear_attention_bytes(const samc__linear_attention_args *a) {
    return of(a->qkv[0]) + of(a->qkv[1]) + of(a->y);
}
static double max_pool_bytes(const samc__max_pool_args *a) { return 5 * of(a->y); }
static double upscale_bicubic_bytes(const samc__upscale_bicubic_args *a) { return of(a->x) + of(a->add) + of(a->y); }
static double add_rows_bytes(const samc__add_rows_args *a) { return of(a->x) + of(a->b) + of(a->y); }
static double embed_grid_bytes(const samc__embed_grid_args *a) { return of(a->gaussian) + of(a->y); }
static double embed_prompts_bytes(const samc__embed_prompts_args *a) {
    return 12.0 * (double)(a->queries.n[0] * samc__embed_prompts_sparse(a)) + of(a->gaussian) + of(a->queries) +
           of(a->pe);
}
static double embed_mask_bytes(const samc__embed_mask_args *a) {
    return of(a->mask) + of_projection(&a->conv1) + of_projection(&a->conv2) + of_projection(&a->conv3) + of(a->image) +
           of(a->y);
}
static double token_attention_bytes(const samc__token_attention_args *a) {
    return 2 * of(a->queries) + of(a->pe) + of_attention(&a->attention) + of_norm(&a->norm);
}
static double token_to_image_bytes(const samc__token_to_image_args *a) {
    return 2 * of(a->queries) + of(a->pe) + of(a->keys) + of(a->key_pe) + of_attention(&a->attention) +
           of_norm(&a->norm);
}
static double image_to_token_bytes(const samc__image_to_token_args *a) {
    return of(a->queries) + of(a->pe) + of(a->keys) + of(a->key_pe) + of_attention(&a->attention) + of_norm(&a->norm) +
           of(a->y);
}
static double upscale_masks_bytes(const samc__upscale_masks_args *a) {
    return of(a->src) + of_projection(&a->up1) + of_norm(&a->norm) + of_projection(&a->up2) + of(a->hyper) + of(a->y) +
           of(a->add1) + of(a->add2);
}
static double upscale_map_bytes(const samc__upscale_map_args *a) {
    return of(a->x) + of_projection(&a->up1) + of_norm(&a->norm) + of_projection(&a->up2) + of(a->add) + of(a->y);
}
static double refine_masks_bytes(const samc__refine_masks_args *a) {
    return of(a->map) + of_projection(&a->conv1) + of_norm(&a->norm) + of_projection(&a->conv2) + of(a->image) +
           of(a->refiner) + of(a->hyper) + of(a->iou) + of(a->y) + of(a->y_iou);
}
static double choose_masks_bytes(const samc__choose_masks_args *a) {
    const double masks = (double)a->iou.n[1]; /* the first one is read, and one is copied */
    return of(a->iou) + of(a->y_iou) + 2.0 * of(a->logits) / masks + of(a->y);
}
static double select_masks_bytes(const samc__select_masks_args *a) { return 8.0 * (double)a->count; }
static double finish_masks_bytes(const samc__finish_masks_args *a) {
    int64_t masks = samc__finish_masks_count(a);
    double written = (a->bits ? of_bits(masks, a->height, a->width) : 0.0) + (double)masks * sizeof(samc__mask_stats);
    return 4.0 * (double)masks * (double)a->logits.n[1] * (double)a->logits.n[2] + written;
}
static double mask_rle_bytes(const samc__mask_rle_args *a) {
    return of_bits(a->masks, a->height, a->width) + 8.0 * (double)a->masks;
}
static double nms_bytes(const samc__nms_args *a) { return 21.0 * (double)a->count; }
static double small_regions_bytes(const samc__small_regions_args *a) {
    return 2 * of_bits(a->masks, a->height, a->width) + (double)a->masks;
}

/* ---- Which kernel, and what it does ---------------------------------------------------------- */

enum { GELU_FLOPS = 20 }; /* of kernels/cuda/gelu.h: eight fused multiply-adds, an exponential, the rest */

/* Scores and sums of folded tokens, which go to the tensor cores eight at a time: heads times tokens columns, C deep,
 * both ways. */
static double folded(int64_t prompts, int64_t tokens, int64_t keys, int64_t c, int heads) {
    return 4.0 * (double)prompts * (double)keys * (double)((tokens + 7) / 8 * 8) * heads * (double)c;
}

#define SIMPLE(name, count)                                                                                            \
    static void name##_kernel(const samc__##name##_args *a, samc__work *w) {                                           \
        (void)a, w->plain = w->flops, w->launches = (count);                                                           \
    }
SIMPLE(preprocess, 3)
SIMPLE(layernorm, 1)
SIMPLE(depthwise, 1)
SIMPLE(grouped_linear, 1)
SIMPLE(linear_attention, 1)
SIMPLE(max_pool, 1)
SIMPLE(upscale_bicubic, 1)
SIMPLE(add_rows, 1)
SIMPLE(attention_plain, 1)
SIMPLE(unit_rows, 1)
SIMPLE(embed_grid, 1)
SIMPLE(embed_prompts, 1)
SIMPLE(upscale_map, 1)
SIMPLE(refine_masks, 2)
SIMPLE(choose_masks, 1)
SIMPLE(select_masks, 1)
SIMPLE(finish_masks, 2)
SIMPLE(mask_rle, 3)
SIMPLE(small_regions, 1)

static double tiles(int64_t rows, int64_t of) { return (double)((rows + of - 1) / of); }

static void linear_kernel(const samc__linear_args *a, samc__work *w) {
    static const char *const forms[] = {[SAMC__LINEAR_OWN] = "own",
                                        [SAMC__LINEAR_CUBLASLT] = "cuBLASLt",
                                        [SAMC__LINEAR_CUBLASLT_GELU] = "cuBLASLt + GELU",
                                        [SAMC__LINEAR_WGMMA] = "wgmma"};
    samc__linear_choice choice = samc__linear_cuda_choice(a, w->capability);
    w->form = forms[choice];
    w->tensor = w->flops;
    w->gelu_bytes = a->act == SAMC__ACT_GELU ? 2 * of(a->y) : 0.0;
    if (choice != SAMC__LINEAR_OWN)
        w->blocks = tiles(a->x.n[0], 128) * tiles(a->p.w.n[0], 256); /* what fills a multiprocessor */
    if (choice == SAMC__LINEAR_CUBLASLT_GELU) w->launches = 2, w->pass_bytes = w->gelu_bytes;
    w->plain = a->act == SAMC__ACT_GELU ? GELU_FLOPS * (double)a->x.n[0] * (double)a->p.w.n[0] : 0.0;
}
/* Windows reach over the grid's edge: their pads are keys, and queries whose results are dropped. */
static void attention_relpos_kernel(const samc__attention_relpos_args *a, samc__work *w) {
    int side = a->window ? (a->grid + a->window - 1) / a->window * a->window : a->grid;
    w->form = a->window ? "window" : "global";
    if (a->rel_h.data == NULL && a->table.data == NULL) { /* queries beyond the edge are not computed */
        const int64_t hd = a->y.n[2] / a->heads, keys = (int64_t)(a->window ? a->window * a->window : side * side);
        w->tensor = w->flops * (double)((hd + 15) / 16 * 16) / (double)hd * tiles(keys, 32) * 32 / (double)keys;
        return;
    }
    w->tensor = w->flops * side * side / ((double)a->grid * a->grid);
    if (!a->window) w->blocks = (double)a->qkv.n[0] * a->heads * tiles((int64_t)a->grid * a->grid, 128);
}
static void conv3x3_kernel(const samc__conv3x3_args *a, samc__work *w) { (void)a, w->tensor = w->flops; }
static void embed_mask_kernel(const samc__embed_mask_args *a, samc__work *w) { (void)a, w->tensor = w->flops; }
static void token_attention_kernel(const samc__token_attention_args *a, samc__work *w) {
    (void)a, w->tensor = w->flops, w->launches = 2;
}
static void token_to_image_kernel(const samc__token_to_image_args *a, samc__work *w) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2];
    w->tensor = samc__folds(t) ? folded(p, t, a->keys.n[1], c, a->attention.heads) : w->flops;
    w->launches = 4;
}
static void image_to_token_kernel(const samc__image_to_token_args *a, samc__work *w) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], c = a->queries.n[2];
    w->tensor = samc__folds(t) ? folded(p, t, a->keys.n[1], c, a->attention.heads) : w->flops;
    w->launches = 2;
}
static void upscale_masks_kernel(const samc__upscale_masks_args *a, samc__work *w) {
    double values =
        (double)a->src.n[0] * (double)a->src.n[1] * (4.0 * (double)a->norm.g.n[0] + 16.0 * (double)a->hyper.n[2]);
    w->tensor = w->flops;
    w->plain = GELU_FLOPS * values;
}
static void nms_kernel(const samc__nms_args *a, samc__work *w) {
    w->plain = w->flops;
    w->launches = 2;
    w->steps = (int)((a->count + 31) / 32);
}

/* ---- The table ------------------------------------------------------------------------------- */

typedef struct counter {
    samc__exec exec; /* first: operators find the rest behind it */
    samc__workload *load;
} counter;

static samc_status note(const samc__exec *exec, const samc__work *work) {
    samc__workload *load = ((const counter *)exec)->load;
    for (int i = 0; i < load->rows; i++) {
        samc__work *w = &load->row[i];
        if (strcmp(w->op, work->op) != 0 || strcmp(w->form, work->form) != 0 || w->flops != work->flops ||
            w->tensor != work->tensor || w->plain != work->plain || w->bytes != work->bytes)
            continue; /* pass_bytes follow from these */
        w->calls++;
        return SAMC_OK;
    }
    if (load->rows == SAMC__MOST_WORK)
        return samc__fail(exec->error, SAMC_UNSUPPORTED, "more than %d shapes of operators", SAMC__MOST_WORK);
    load->row[load->rows++] = *work;
    return SAMC_OK;
}

#define SAMC_OP(name, ...)                                                                                             \
    static samc_status count_##name(const samc__exec *exec, const samc__##name##_args *args) {                         \
        samc__work work = {.op = #name,                                                                                \
                           .form = "",                                                                                 \
                           .calls = 1,                                                                                 \
                           .flops = samc__##name##_flops(args),                                                        \
                           .bytes = name##_bytes(args),                                                                \
                           .launches = 1,                                                                              \
                           .capability = ((const counter *)exec)->load->capability};                                   \
        name##_kernel(args, &work);                                                                                    \
        return note(exec, &work);                                                                                      \
    }
#include "kernels/list.h"
#undef SAMC_OP

static const samc__ops counting = {
#define SAMC_OP(name, ...) .name = count_##name,
#include "kernels/list.h"
#undef SAMC_OP
};

/* What a rehearsal runs on; its pointers are to `place` and `host`. */
static counter counter_of(samc__workload *load, const samc__place *place, samc__memory *host, samc_error *error) {
    return (counter){.exec = {.ops = &counting,
                              .error = error,
                              .workers = 1,
                              .memory = host,
                              .allocate = samc__memory_allocate,
                              .release = samc__memory_release,
                              .place = place},
                     .load = load};
}

samc_status samc__count_encode(const samc__shapes *shapes, int images, int width, int height, samc__workload *load,
                               samc_error *error) {
    const samc__place place = samc__place_nowhere(NULL, NULL);
    samc__memory host = {0};
    counter c = counter_of(load, &place, &host, error);
    return samc__rehearse_encode(&c.exec, &shapes->model, images, width, height);
}

samc_status samc__count_decode(const samc__shapes *shapes, int prompts, samc__workload *load, samc_error *error) {
    const samc__place place = samc__place_nowhere(NULL, NULL);
    samc__memory host = {0};
    counter c = counter_of(load, &place, &host, error);
    int batch = samc__decode_batch(&shapes->model.net.config, 0), full = prompts / batch, rest = prompts % batch;
    if (full > 0) SAMC__TRY(samc__rehearse_decode(&c.exec, &shapes->model, 1, batch, full));
    return rest > 0 ? samc__rehearse_decode(&c.exec, &shapes->model, 1, rest, 1) : SAMC_OK;
}

samc_status samc__count_post(const samc__shapes *shapes, int prompts, int width, int height, samc__workload *load,
                             samc_error *error) {
    const samc__config *config = &shapes->model.net.config;
    const samc__place place = samc__place_nowhere(NULL, NULL);
    samc__memory host = {0};
    counter c = counter_of(load, &place, &host, error);
    enum { GROUP = 256 }; /* masks whose bits runtime/auto_masks.c holds at a time of a photograph */
    int64_t low = samc__low_res(config), of_prompt = config->decoder.masks - 1, masks = of_prompt * prompts;
    uint64_t *bits = (uint64_t *)(void *)samc__nowhere;
    const samc__frame frame = samc__frame_of(&config->recipe, width, height);
    samc__finish_masks_args finish = samc__frame_masks(&config->recipe, &frame);
    finish.logits = samc__view3(samc__nowhere, masks, low, low);
    finish.index = (const int32_t *)(void *)samc__nowhere, finish.offset = 1.0f;
    finish.stats = (samc__mask_stats *)(void *)samc__nowhere;
    int64_t batch = of_prompt * samc__decode_batch(config, 0);
    for (int64_t left = masks; left > 0; left -= batch) { /* statistics */
        finish.count = left < batch ? left : batch;
        SAMC__TRY(samc__finish_masks(&c.exec, &finish));
    }
    finish.bits = bits;
    int64_t kept = masks < SAMC__COUNT_KEPT ? masks : SAMC__COUNT_KEPT;
    for (int64_t left = kept; left > 0; left -= GROUP) {
        int64_t now = finish.count = left < GROUP ? left : GROUP;
        SAMC__TRY(samc__finish_masks(&c.exec, &finish));
        SAMC__TRY(samc__mask_rle(&c.exec, &(samc__mask_rle_args){.bits = bits,
                                                                 .masks = now,
                                                                 .height = height,
                                                                 .width = width,
                                                                 .capacity = 131072,
                                                                 .counts = (uint32_t *)(void *)samc__nowhere,
                                                                 .lengths = (int64_t *)(void *)samc__nowhere}));
    }
    return samc__nms(&c.exec, &(samc__nms_args){.boxes = (float *)(void *)samc__nowhere,
                                                .order = (int32_t *)(void *)samc__nowhere,
                                                .count = kept,
                                                .threshold = 0.7,
                                                .keep = (uint8_t *)samc__nowhere});
}

/* ---- Shapes ---------------------------------------------------------------------------------- */

/* The sizes of segment_anything/build_sam.py. */
static bool official(const char *name, samc__config *config) {
    static const struct {
        const char *name;
        int dim, depth, heads, every;
    } sizes[] = {{"vit_b", 768, 12, 12, 3}, {"vit_l", 1024, 24, 16, 6}, {"vit_h", 1280, 32, 16, 8}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (strcmp(name, sizes[i].name) != 0) continue;
        *config = (samc__config){.recipe = {.side = 1024, .frame = 1024},
                                 .grid = 64,
                                 .encoder = {.vit = {.patch_size = 16,
                                                     .embed_dim = sizes[i].dim,
                                                     .depth = sizes[i].depth,
                                                     .num_heads = sizes[i].heads,
                                                     .mlp_dim = 4 * sizes[i].dim,
                                                     .window_size = 14,
                                                     .use_rel_pos = true,
                                                     .use_abs_pos = true,
                                                     .qkv_bias = true}},
                                 .decoder = {.channels = 256,
                                             .mask_in_chans = 16,
                                             .norm_eps = 1e-5f,
                                             .depth = 2,
                                             .heads = 8,
                                             .mlp_dim = 2048,
                                             .inner = 128,
                                             .mask_at = 1,
                                             .hq_at = -1,
                                             .object_at = -1,
                                             .masks = 4,
                                             .iou_depth = 3,
                                             .iou_dim = 256},
                                 .automatic = samc__auto_defaults()};
        for (int block = sizes[i].every - 1; block < sizes[i].depth; block += sizes[i].every)
            config->encoder.vit.global_attn[block] = true;
        return true;
    }
    return false;
}

static samc_status shapes_of(const samc__config *config, const char *name, samc__shapes **shapes, samc_error *error) {
    *shapes = malloc(sizeof **shapes);
    if (*shapes == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for its shapes", name);
    samc_status status = samc__rehearse_model(config, SAMC__BF16, &(*shapes)->model, error);
    if (status == SAMC_OK) return SAMC_OK;
    samc__shapes_close(*shapes);
    *shapes = NULL;
    return status;
}

samc_status samc__shapes_open(const char *name_or_path, samc__shapes **shapes, samc_error *error) {
    samc__config config;
    if (!official(name_or_path, &config)) {
        samc__checkpoint *checkpoint = NULL;
        SAMC__TRY(samc__checkpoint_open(name_or_path, &checkpoint, error));
        samc_status status = samc__config_infer(checkpoint, &config, error);
        samc__checkpoint_close(checkpoint);
        SAMC__TRY(status);
    }
    return shapes_of(&config, name_or_path, shapes, error);
}

void samc__shapes_close(samc__shapes *shapes) { free(shapes); }
const samc__config *samc__shapes_config(const samc__shapes *shapes) { return &shapes->model.net.config; }
