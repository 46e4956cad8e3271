/* The configuration of a model: what its file says, in its tensors' shapes and in the metadata "samc.config" (see
 * FORMAT.md). */
#ifndef SAMC_RUNTIME_MODEL_CONFIG_H
#define SAMC_RUNTIME_MODEL_CONFIG_H

#include "runtime/base/json.h"
#include "runtime/model/recipe.h"
#include "runtime/model/encoders.h"
#include "weights/checkpoint.h"

/* Bounds that keep every later size computation far from overflow. */
enum { SAMC__MAX_DECODER_LAYERS = 8, SAMC__MAX_MASK_TOKENS = 16, SAMC__MAX_MLP_LAYERS = 8 };

typedef enum samc__encoder_kind {
    SAMC__ENCODER_VIT,
    SAMC__ENCODER_TINYVIT,
    SAMC__ENCODER_EFFICIENTVIT,
    SAMC__ENCODER_HIERA,
    SAMC__ENCODERS
} samc__encoder_kind;

/* Prompt encoder and mask decoder. */
typedef struct samc__decoder_spec {
    int channels;           /* C, of the embedding and of tokens: out_chans and transformer_dim */
    int depth, heads;       /* layers, and heads of every attention */
    int inner;              /* width of the cross attentions, C / 2 */
    int mlp_dim;            /* of a layer's hidden tokens */
    int mask_in_chans;      /* of the mask prompt's convolutions, 16 */
    int iou_at, mask_at;    /* rows of the IoU token and of the first mask token in the sequence */
    int masks;              /* mask tokens: num_multimask_outputs + 1 */
    int hq_at, object_at;   /* rows of further tokens; -1: absent */
    int iou_depth, iou_dim; /* layers of the IoU head and their width */
    float norm_eps;         /* of layers, 1e-5 but for encoders that say another */
    bool high_res;          /* takes further levels of the encoder's features */
    bool box_points;        /* a box is two points before all others, and the padding point follows even so */
    bool iou_sigmoid;       /* behind the IoU head */
    bool gelu;              /* in the MLPs of layers and heads, instead of ReLU */
    /* Where not 0, a single mask whose stability at +-delta is below the threshold gives way to the best of several. */
    float dynamic, stability_delta, stability_thresh;
} samc__decoder_spec;

typedef struct samc__config {
    samc__recipe recipe;
    char recipe_from[96]; /* where it is known from, in words */
    bool recipe_assumed;  /* it is not: the encoder's first of several */
    bool recipe_said;     /* by the caller, or by its name in the file: files made of this one say it too */
    bool recipe_free;     /* somebody said it who knows; it need not be one that the encoder is used with */
    int grid;             /* side of the embedding [grid * grid, channels] */
    struct {
        samc__encoder_kind kind;
        union {
            samc__vit vit;
            samc__tinyvit tinyvit;
            samc__efficientvit efficientvit;
            samc__hiera hiera;
        };
    } encoder;
    samc__decoder_spec decoder;
    float hq_token_only;                     /* not 0: the mask of the token at hq_at alone */
    samc_auto_options automatic;             /* the model's defaults for automatic masks */
    char name[128], licence[128], card[256]; /* "" where unknown */
} samc__config;

/* Side of the low-resolution logits: the decoder makes 4 x 4 of each cell. */
static inline int samc__low_res(const samc__config *config) { return 4 * config->grid; }

/* Masks that a prompt is given: of those that its tokens have, one that is made of finer features takes the best. */
static inline int samc__given_masks(const samc__decoder_spec *d, bool multimask) {
    return multimask && d->hq_at < 0 ? d->masks - 1 : 1;
}

/* Rows of a prompt's sequence that are the model's own; its points and corners follow. */
static inline int samc__own_tokens(const samc__decoder_spec *d) {
    return (d->iou_at >= 0) + d->masks + (d->hq_at >= 0) + (d->object_at >= 0);
}

/* What a caller says of a model: a recipe by its name or file, or NULL; the side of its images, or 0. */
typedef struct samc__given {
    const char *recipe;
    int image_size;
} samc__given;

/* Reads the configuration from shapes and, where present, the metadata "samc.config"; checks that it is consistent. */
samc_status samc__config_read(const samc__checkpoint *checkpoint, const samc__given *given, samc__config *config,
                              samc_error *error);
static inline samc_status samc__config_infer(const samc__checkpoint *checkpoint, samc__config *config,
                                             samc_error *error) {
    return samc__config_read(checkpoint, &(samc__given){0}, config, error);
}

/* Checks ranges and divisibility, so that no later size computation can overflow. */
samc_status samc__config_check(const samc__config *config, const char *label, samc_error *error);

/* Writes the configuration as an object, followed by the fields of `json` (may be absent) that samc does not know. */
void samc__config_write(const samc__config *config, samc__json json, samc__json_text *text);
/* What of it masks depend on beside tensors and recipe: the encoder, and how the decoder chooses. free() it; NULL
 * without memory. */
char *samc__config_text(const samc__config *config);

#endif
