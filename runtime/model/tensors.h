/* The weights of a SAM model as operators take them, and what is done with all of its tensors.
 *
 * Layouts are those of the original implementation (segment_anything.modeling), linear weights [out, in]. */
#ifndef SAMC_RUNTIME_MODEL_TENSORS_H
#define SAMC_RUNTIME_MODEL_TENSORS_H

#include "kernels/cpu/packed.h"
#include "runtime/model/families.h"
#include "runtime/model/hq.h"

/* C = channels. */
typedef struct samc__decoder_layer {
    samc__attention self_attn;            /* inner width C */
    samc__attention cross_token_to_image; /* inner width inner */
    samc__attention cross_image_to_token;
    samc__norm norm1, norm2, norm3, norm4; /* [C] */
    samc__projection lin1, lin2;           /* [mlp_dim, C], [C, mlp_dim] */
} samc__decoder_layer;

typedef struct samc__weights {
    samc__encoder_weights encoder;
    /* prompt encoder */
    samc__view pe_gaussian;       /* [2, C / 2] */
    samc__view point_embed[4];    /* [C] each: background, foreground, box corner 0, box corner 1 */
    samc__view not_a_point_embed; /* [C] */
    samc__view no_mask_embed;     /* [C] */
    samc__projection mask_conv1;  /* [mask_in_chans / 4, 1, 2, 2] */
    samc__norm mask_norm1;
    samc__projection mask_conv2; /* [mask_in_chans, mask_in_chans / 4, 2, 2] */
    samc__norm mask_norm2;
    samc__projection mask_conv3; /* [C, mask_in_chans] */
    /* mask decoder */
    samc__view iou_token;   /* [C] */
    samc__view mask_tokens; /* [masks, C] */
    samc__decoder_layer layers[SAMC__MAX_DECODER_LAYERS];
    samc__attention final_attn; /* token to image */
    samc__norm norm_final;
    samc__projection up1;                             /* conv-transpose [C, C / 4, 2, 2] */
    samc__norm up_norm;                               /* [C / 4] */
    samc__projection up2;                             /* conv-transpose [C / 4, C / 8, 2, 2] */
    samc__projection hyper[SAMC__MAX_MASK_TOKENS][3]; /* C -> C -> C -> C / 8 */
    samc__projection iou_head[SAMC__MAX_MLP_LAYERS];  /* C -> hidden ... -> masks */
    samc__hq_weights hq;                              /* absent without its token */
    samc__view object_token;                          /* [C] or absent, as the next */
    samc__projection object_head[3];                  /* C -> C -> C -> 1 */
} samc__weights;

/* Lists the model's tensors and gives the views in `weights` their shapes; checking, loading, packing, uploading,
 * hashing and converting walk this list. `weights` has to stay where it is as long as the list is used. */
samc_status samc__tensors_list(const samc__config *config, samc__weights *weights, samc__tensor_list *list,
                               samc_error *error);
/* Reports all missing, misshapen and unexpected tensors in one message. Tensors that SAM checkpoints may carry without
 * being part of the model (pixel_mean, pixel_std) are not unexpected. */
samc_status samc__tensors_check(const samc__tensor_list *list, const samc__checkpoint *checkpoint, samc_error *error);

/* What a host keeps weights in, where not in f32. */
typedef struct samc__narrowing {
    samc__dtype weights;  /* samc__weight_type() says which that concerns */
    samc__packed *packed; /* takes their panels; NULL: they stay arrays of floats, of rounded values */
} samc__narrowing;

/* Checks, then binds every tensor as f32: in place where the file has aligned f32, else converted into one block that
 * the caller frees with free(*owned). The checkpoint must stay open as long as the weights are used. *owned_bytes: size
 * of that block. With `narrow` (or NULL) matrices go to panels one after another, and their views point there; others
 * that are narrowed are converted, the shared ones being packed too. Pages of the file that were converted are given
 * back to the system (a reader would get them back from the disk). */
samc_status samc__tensors_load(const samc__tensor_list *list, const samc__checkpoint *checkpoint,
                               const samc__narrowing *narrow, void **owned, size_t *owned_bytes, samc_error *error);

/* What the tensors of a list that was loaded so take. */
size_t samc__tensors_bytes(const samc__tensor_list *list, const samc__narrowing *narrow);

/* SHA-256 over name, shape, type and row-major bytes of each tensor, in the list's order, and over a text behind them,
 * NULL: none; 64 hexadecimal digits and a NUL. The checkpoint has been checked. */
samc_status samc__tensors_hash(const samc__tensor_list *list, const samc__checkpoint *checkpoint, const char *besides,
                               char hex[65], samc_error *error);

/* The first tensor of a list with values in the file that are not finite, NULL: none; *nan: some are no numbers. The
 * file is read again, because weights may have been packed or moved to a device. */
const char *samc__tensors_spoilt(const samc__tensor_list *list, const samc__checkpoint *checkpoint, bool *nan);

#endif
