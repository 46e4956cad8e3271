/* Packing in a straight line over the linear layers.
 *
 * A packed weight is not read again in its original layout, so it does not stay in memory twice: pages of the mapped
 * file are dropped (a reader would get them back from the disk), and weights that were converted when the file was read
 * are replaced by their panels. The decoder's weights are small and its attentions also read them as they are: those
 * are kept. */
#include "runtime/model/pack.h"

#include <sys/mman.h>
#include <unistd.h>

typedef struct packing {
    samc_model *model;
    bool failed;
} packing;

static bool is_owned(const samc_model *model, const float *w) {
    const char *begin = model->owned, *at = (const char *)w;
    return begin != NULL && at >= begin && at < begin + model->owned_bytes;
}

/* Gives the whole pages of a mapped weight back. */
static void drop_pages(const float *w, int64_t floats) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)w,
              end = begin + (uintptr_t)floats * sizeof(float);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* w [n, k]; `alone`: nothing but `linear` reads it. */
static void pack(packing *p, const float *w, int64_t n, int64_t k, bool alone) {
    if (w == NULL || p->failed) return;
    bool owned = is_owned(p->model, w);
    if (!samc__packed_add(p->model->packed, w, n, k, owned && alone)) p->failed = true;
    else if (!owned && alone) drop_pages(w, n * k);
}

static void pack_attention(packing *p, const samc__attention_weights *w, int64_t inner, int64_t c) {
    pack(p, w->q.w, inner, c, false);
    pack(p, w->k.w, inner, c, false);
    pack(p, w->v.w, inner, c, false);
    pack(p, w->out.w, c, inner, false);
}

samc_status samc__pack_weights(samc_model *model, samc_error *error) {
    const samc__config *c = &model->config;
    const samc__weights *w = &model->weights;
    int64_t d = c->embed_dim, channels = c->out_chans, inner = c->decoder_attention_dim,
            patch = 3 * (int64_t)c->patch_size * c->patch_size;
    packing p = {model, false};
    model->packed = samc__packed_create();
    if (model->packed == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to pack the weights");
    pack(&p, w->patch.w, d, patch, true);
    for (int i = 0; i < c->depth; i++) {
        const samc__block_weights *b = &w->blocks[i];
        pack(&p, b->qkv.w, 3 * d, d, true);
        pack(&p, b->proj.w, d, d, true);
        pack(&p, b->lin1.w, c->mlp_dim, d, true);
        pack(&p, b->lin2.w, d, c->mlp_dim, true);
    }
    pack(&p, w->neck_conv1, channels, d, true);
    for (int i = 0; i < c->decoder_depth; i++) {
        const samc__decoder_layer_weights *l = &w->layers[i];
        pack_attention(&p, &l->self_attn, channels, channels);
        pack_attention(&p, &l->cross_token_to_image, inner, channels);
        pack_attention(&p, &l->cross_image_to_token, inner, channels);
        pack(&p, l->lin1.w, c->decoder_mlp_dim, channels, true);
        pack(&p, l->lin2.w, channels, c->decoder_mlp_dim, true);
    }
    pack_attention(&p, &w->final_attn, inner, channels);
    if (!samc__packed_add(model->packed, model->up_fold->image_w, model->up_fold->rows, channels, true))
        p.failed = true;
    for (int i = 0; i < c->mask_tokens; i++)
        for (int j = 0; j < 3; j++) pack(&p, w->hyper[i][j].w, j == 2 ? channels / 8 : channels, channels, false);
    for (int i = 0; i < c->iou_head_depth; i++) {
        int64_t in = i == 0 ? channels : c->iou_head_hidden_dim,
                out = i == c->iou_head_depth - 1 ? c->mask_tokens : c->iou_head_hidden_dim;
        pack(&p, w->iou_head[i].w, out, in, false);
    }
    return p.failed ? samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to pack the weights") : SAMC_OK;
}
