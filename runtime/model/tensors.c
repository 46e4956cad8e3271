/* Every tensor of a SAM model in one list, and what walks it: checking, loading and hashing.
 *
 * Names, shapes and order are those of the state_dict() of segment_anything.modeling.Sam; D = embed_dim, C = out_chans.
 */
#include "runtime/model/tensors.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/config.h"
#include "weights/safetensors.h"

/* ---- The list -------------------------------------------------------------------------------- */

typedef struct walk {
    samc__manifest_visitor *visitor;
    void *context;
    samc_status status; /* the first that was not SAMC_OK; nothing is visited after it */
} walk;

/* Visits BASE.LEAF with the shape [a, b, c, d], of which the first `rank` sides count. */
static void tensor(walk *w, const float **slot, const char *base, const char *leaf, int rank, int64_t a, int64_t b,
                   int64_t c, int64_t d) {
    char name[192];
    const int64_t shape[4] = {a, b, c, d};
    if (w->status != SAMC_OK) return;
    snprintf(name, sizeof name, "%s.%s", base, leaf);
    w->status = w->visitor(w->context, slot, name, rank, shape);
}

static void tensor1(walk *w, const float **slot, const char *base, const char *leaf, int64_t a) {
    tensor(w, slot, base, leaf, 1, a, 0, 0, 0);
}

static void tensor2(walk *w, const float **slot, const char *base, const char *leaf, int64_t a, int64_t b) {
    tensor(w, slot, base, leaf, 2, a, b, 0, 0);
}

/* A weight [a, b] and a bias [a] under BASE.LEAF. */
static void linear(walk *w, samc__linear_weights *to, const char *base, const char *leaf, int64_t a, int64_t b,
                   bool bias) {
    char full[160];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    tensor2(w, &to->w, full, "weight", a, b);
    if (bias) tensor1(w, &to->b, full, "bias", a);
}

/* A convolution's weight [a, b, c, c] and its bias, [a], or [b] for a transposed one. */
static void convolution(walk *w, samc__linear_weights *to, const char *base, int64_t a, int64_t b, int64_t c,
                        int64_t bias) {
    tensor(w, &to->w, base, "weight", 4, a, b, c, c);
    tensor1(w, &to->b, base, "bias", bias);
}

static void norm(walk *w, samc__norm_weights *to, const char *base, const char *leaf, int64_t channels) {
    char full[160];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    tensor1(w, &to->g, full, "weight", channels);
    tensor1(w, &to->b, full, "bias", channels);
}

static void attention(walk *w, samc__attention_weights *to, const char *base, const char *leaf, int64_t channels,
                      int64_t inner) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    linear(w, &to->q, full, "q_proj", inner, channels, true);
    linear(w, &to->k, full, "k_proj", inner, channels, true);
    linear(w, &to->v, full, "v_proj", inner, channels, true);
    linear(w, &to->out, full, "out_proj", channels, inner, true);
}

static void image_encoder(walk *w, const samc__config *config, samc__weights *to) {
    const int64_t D = config->embed_dim, C = config->out_chans, grid = config->grid;
    char base[64];
    if (config->use_abs_pos) tensor(w, &to->pos_embed, "image_encoder", "pos_embed", 4, 1, grid, grid, D);
    convolution(w, &to->patch, "image_encoder.patch_embed.proj", D, 3, config->patch_size, D);
    for (int i = 0; i < config->depth; i++) {
        samc__block_weights *block = &to->blocks[i];
        int64_t table = 2 * (int64_t)(config->global_attn[i] ? config->grid : config->window_size) - 1;
        snprintf(base, sizeof base, "image_encoder.blocks.%d", i);
        norm(w, &block->norm1, base, "norm1", D);
        if (config->use_rel_pos) {
            tensor2(w, &block->rel_pos_h, base, "attn.rel_pos_h", table, D / config->num_heads);
            tensor2(w, &block->rel_pos_w, base, "attn.rel_pos_w", table, D / config->num_heads);
        }
        linear(w, &block->qkv, base, "attn.qkv", 3 * D, D, config->qkv_bias);
        linear(w, &block->proj, base, "attn.proj", D, D, true);
        norm(w, &block->norm2, base, "norm2", D);
        linear(w, &block->lin1, base, "mlp.lin1", config->mlp_dim, D, true);
        linear(w, &block->lin2, base, "mlp.lin2", D, config->mlp_dim, true);
    }
    tensor(w, &to->neck_conv1, "image_encoder.neck.0", "weight", 4, C, D, 1, 1);
    norm(w, &to->neck_norm1, "image_encoder.neck", "1", C);
    tensor(w, &to->neck_conv2, "image_encoder.neck.2", "weight", 4, C, C, 3, 3);
    norm(w, &to->neck_norm2, "image_encoder.neck", "3", C);
}

static void prompt_encoder(walk *w, const samc__config *config, samc__weights *to) {
    static const char prompt[] = "prompt_encoder", mask[] = "prompt_encoder.mask_downscaling";
    const int64_t C = config->out_chans, M = config->mask_in_chans;
    char base[64];
    tensor2(w, &to->pe_gaussian, prompt, "pe_layer.positional_encoding_gaussian_matrix", 2, C / 2);
    for (int i = 0; i < 4; i++) {
        snprintf(base, sizeof base, "prompt_encoder.point_embeddings.%d", i);
        tensor2(w, &to->point_embed[i], base, "weight", 1, C);
    }
    tensor2(w, &to->not_a_point_embed, prompt, "not_a_point_embed.weight", 1, C);
    convolution(w, &to->mask_conv1, "prompt_encoder.mask_downscaling.0", M / 4, 1, 2, M / 4);
    norm(w, &to->mask_norm1, mask, "1", M / 4);
    convolution(w, &to->mask_conv2, "prompt_encoder.mask_downscaling.3", M, M / 4, 2, M);
    norm(w, &to->mask_norm2, mask, "4", M);
    convolution(w, &to->mask_conv3, "prompt_encoder.mask_downscaling.6", C, M, 1, C);
    tensor2(w, &to->no_mask_embed, prompt, "no_mask_embed.weight", 1, C);
}

static void mask_decoder(walk *w, const samc__config *config, samc__weights *to) {
    static const char transformer[] = "mask_decoder.transformer";
    const int64_t C = config->out_chans, inner = config->decoder_attention_dim, tokens = config->mask_tokens;
    char base[80];
    for (int i = 0; i < config->decoder_depth; i++) {
        samc__decoder_layer_weights *layer = &to->layers[i];
        snprintf(base, sizeof base, "mask_decoder.transformer.layers.%d", i);
        attention(w, &layer->self_attn, base, "self_attn", C, C);
        norm(w, &layer->norm1, base, "norm1", C);
        attention(w, &layer->cross_token_to_image, base, "cross_attn_token_to_image", C, inner);
        norm(w, &layer->norm2, base, "norm2", C);
        linear(w, &layer->lin1, base, "mlp.lin1", config->decoder_mlp_dim, C, true);
        linear(w, &layer->lin2, base, "mlp.lin2", C, config->decoder_mlp_dim, true);
        norm(w, &layer->norm3, base, "norm3", C);
        norm(w, &layer->norm4, base, "norm4", C);
        attention(w, &layer->cross_image_to_token, base, "cross_attn_image_to_token", C, inner);
    }
    attention(w, &to->final_attn, transformer, "final_attn_token_to_image", C, inner);
    norm(w, &to->norm_final, transformer, "norm_final_attn", C);
    tensor2(w, &to->iou_token, "mask_decoder", "iou_token.weight", 1, C);
    tensor2(w, &to->mask_tokens, "mask_decoder", "mask_tokens.weight", tokens, C);
    convolution(w, &to->up1, "mask_decoder.output_upscaling.0", C, C / 4, 2, C / 4);
    norm(w, &to->up_norm, "mask_decoder.output_upscaling", "1", C / 4);
    convolution(w, &to->up2, "mask_decoder.output_upscaling.3", C / 4, C / 8, 2, C / 8);
    for (int i = 0; i < config->mask_tokens; i++) {
        snprintf(base, sizeof base, "mask_decoder.output_hypernetworks_mlps.%d", i);
        linear(w, &to->hyper[i][0], base, "layers.0", C, C, true);
        linear(w, &to->hyper[i][1], base, "layers.1", C, C, true);
        linear(w, &to->hyper[i][2], base, "layers.2", C / 8, C, true);
    }
    for (int i = 0; i < config->iou_head_depth; i++) {
        int64_t in = i == 0 ? C : config->iou_head_hidden_dim;
        int64_t out = i == config->iou_head_depth - 1 ? tokens : config->iou_head_hidden_dim;
        snprintf(base, sizeof base, "layers.%d", i);
        linear(w, &to->iou_head[i], "mask_decoder.iou_prediction_head", base, out, in, true);
    }
}

samc_status samc__manifest_visit(const samc__config *config, samc__weights *weights, samc__manifest_visitor *visitor,
                                 void *context) {
    walk w = {.visitor = visitor, .context = context, .status = SAMC_OK};
    image_encoder(&w, config, weights);
    prompt_encoder(&w, config, weights);
    mask_decoder(&w, config, weights);
    return w.status;
}

/* ---- Checking -------------------------------------------------------------------------------- */

typedef struct check {
    const samc__checkpoint *checkpoint;
    bool *used; /* [count], tensors of the file that belong to the model */
    samc__report *report;
    int pass; /* 0: missing tensors, 1: misshapen and unreadable ones; so that each kind stands together */
    int64_t elements;
} check;

static samc_status check_tensor(void *context, const float **slot, const char *name, int rank, const int64_t *shape) {
    check *c = context;
    (void)slot;
    const samc__tensor *found = samc__checkpoint_find(c->checkpoint, name);
    if (found == NULL) {
        if (c->pass == 0) samc__report_add(c->report, "missing", "%s", name);
        return SAMC_OK;
    }
    c->used[found - samc__checkpoint_at(c->checkpoint, 0)] = true;
    if (c->pass == 0) return SAMC_OK;
    if (found->dtype == SAMC__OTHER) {
        samc__report_add(c->report, "not stored as f32, f16, bf16 or f64:", "%s", name);
    } else if (found->rank != rank || memcmp(found->shape, shape, (size_t)rank * sizeof *shape) != 0) {
        samc__report_add(c->report, "misshapen", "%s %s instead of %s", name,
                         samc__shape_text(found->rank, found->shape).text, samc__shape_text(rank, shape).text);
    } else {
        c->elements += samc__tensor_elements(found);
    }
    return SAMC_OK;
}

static bool carried(const char *name) { return strcmp(name, "pixel_mean") == 0 || strcmp(name, "pixel_std") == 0; }

samc_status samc__manifest_check(const samc__config *config, const samc__checkpoint *checkpoint, samc_error *error) {
    const size_t count = samc__checkpoint_count(checkpoint);
    samc__weights scratch;
    samc__report report = {0};
    check c = {.checkpoint = checkpoint, .report = &report};
    c.used = calloc(count + 1, sizeof *c.used);
    if (c.used == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    for (c.pass = 0; c.pass < 2; c.pass++) (void)samc__manifest_visit(config, &scratch, check_tensor, &c);
    for (size_t i = 0; i < count; i++) {
        const samc__tensor *extra = samc__checkpoint_at(checkpoint, i);
        /* Without data: something else in the dictionary, such as a step counter; it is no tensor. */
        if (!c.used[i] && !carried(extra->name) && extra->data != NULL)
            samc__report_add(&report, "unexpected", "%s", samc__printable(extra->name, strlen(extra->name)).text);
    }
    free(c.used);
    SAMC__TRY(samc__report_finish(&report, checkpoint, error));
    /* Views may share bytes (strides of 0, one storage for all): such a file could unfold into any amount of memory. */
    if ((uint64_t)c.elements > checkpoint->size / 2)
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: the file has %zu bytes, too few for the %lld values of its tensors", checkpoint->label,
                          checkpoint->size, (long long)c.elements);
    return SAMC_OK;
}

/* ---- Loading --------------------------------------------------------------------------------- */

enum { ALIGNMENT = 64 }; /* of each converted tensor, for the widest vector loads */

typedef struct load {
    const samc__checkpoint *checkpoint;
    float *block; /* NULL in the first pass, which only measures */
    samc_error *error;
    size_t used; /* floats */
} load;

static samc_status load_tensor(void *context, const float **slot, const char *name, int rank, const int64_t *shape) {
    load *l = context;
    (void)rank;
    (void)shape; /* samc__manifest_check() has compared it */
    const samc__tensor *found = samc__checkpoint_find(l->checkpoint, name);
    *slot = samc__tensor_direct_f32(found);
    if (*slot != NULL) return SAMC_OK;
    if (l->block == NULL && !samc__tensor_fits_f32(found))
        return samc__fail(l->error, SAMC_UNSUPPORTED, "%s: tensor %s has values beyond the range of f32",
                          l->checkpoint->label, name);
    if (l->block != NULL) {
        samc__tensor_read_f32(found, l->block + l->used);
        *slot = l->block + l->used;
    }
    const size_t step = ALIGNMENT / sizeof(float);
    l->used += ((size_t)samc__tensor_elements(found) + step - 1) / step * step;
    return SAMC_OK;
}

static void share_biases(const samc__config *config, samc__weights *weights) {
    for (int i = 0; i < config->depth; i++) weights->blocks[i].pad_qkv = weights->blocks[i].qkv.b;
}

samc_status samc__weights_load(const samc__config *config, const samc__checkpoint *checkpoint, samc__weights *weights,
                               void **owned, size_t *owned_bytes, samc_error *error) {
    load l = {.checkpoint = checkpoint, .error = error};
    *owned = NULL;
    *owned_bytes = 0;
    memset(weights, 0, sizeof *weights);
    SAMC__TRY(samc__manifest_check(config, checkpoint, error));
    SAMC__TRY(samc__manifest_visit(config, weights, load_tensor, &l));
    share_biases(config, weights);
    if (l.used == 0) return SAMC_OK;
    size_t bytes = l.used * sizeof(float);
    l = (load){.checkpoint = checkpoint, .block = aligned_alloc(ALIGNMENT, bytes)};
    if (l.block == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for %zu bytes of weights", checkpoint->label,
                          bytes);
    (void)samc__manifest_visit(config, weights, load_tensor, &l);
    share_biases(config, weights);
    *owned = l.block;
    *owned_bytes = bytes;
    return SAMC_OK;
}

/* ---- Hashing --------------------------------------------------------------------------------- */

typedef struct hash {
    const samc__checkpoint *checkpoint;
    EVP_MD_CTX *digest;
    uint8_t *buffer; /* [CHUNK] elements */
} hash;

enum { CHUNK = 1 << 11 };

static samc_status hash_tensor(void *context, const float **slot, const char *name, int rank, const int64_t *shape) {
    hash *h = context;
    (void)slot;
    const samc__tensor *found = samc__checkpoint_find(h->checkpoint, name);
    const bool wide = found->dtype == SAMC__F64; /* counts as the f32 that it becomes */
    const char *type = samc__dtype_name(wide ? SAMC__F32 : found->dtype);
    const int64_t sides = rank, elements = samc__tensor_elements(found);
    /* Each part is delimited, so that no two models have the same bytes: name NUL type NUL rank sides values. */
    int ok = EVP_DigestUpdate(h->digest, name, strlen(name) + 1) &&
             EVP_DigestUpdate(h->digest, type, strlen(type) + 1) && EVP_DigestUpdate(h->digest, &sides, sizeof sides) &&
             EVP_DigestUpdate(h->digest, shape, (size_t)rank * sizeof *shape);
    for (int64_t first = 0; first < elements && ok; first += CHUNK) {
        int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
        if (wide) samc__tensor_copy_f32(found, first, now, (float *)(void *)h->buffer);
        else samc__tensor_copy_raw(found, first, now, h->buffer);
        ok = EVP_DigestUpdate(h->digest, h->buffer,
                              (size_t)now * (wide ? sizeof(float) : samc__dtype_size(found->dtype)));
    }
    return ok ? SAMC_OK : SAMC_OUT_OF_MEMORY;
}

samc_status samc__manifest_hash(const samc__config *config, const samc__checkpoint *checkpoint, char hex[65],
                                samc_error *error) {
    samc__weights scratch;
    unsigned char digest[32];
    hex[0] = '\0';
    SAMC__TRY(samc__manifest_check(config, checkpoint, error));
    hash h = {.checkpoint = checkpoint, .digest = EVP_MD_CTX_new(), .buffer = malloc(CHUNK * sizeof(float))};
    bool ok = h.digest != NULL && h.buffer != NULL && EVP_DigestInit_ex(h.digest, EVP_sha256(), NULL) &&
              samc__manifest_visit(config, &scratch, hash_tensor, &h) == SAMC_OK &&
              EVP_DigestFinal_ex(h.digest, digest, NULL);
    EVP_MD_CTX_free(h.digest);
    free(h.buffer);
    if (!ok) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: SHA-256 failed", checkpoint->label);
    for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", digest[i]);
    return SAMC_OK;
}
