/* The encoders that samc knows, a row each; and what every encoder gives.
 *
 * A new one brings its own file: a configuration and weights beside the others' in the unions, and a row. */
#ifndef SAMC_RUNTIME_MODEL_FAMILIES_H
#define SAMC_RUNTIME_MODEL_FAMILIES_H

#include "kernels/ops.h"
#include "runtime/model/features.h"
#include "runtime/model/list.h"
#include "runtime/model/reading.h"
#include "runtime/model/settings.h"

typedef struct samc__network samc__network; /* runtime/model/network.h */

typedef union samc__encoder_weights {
    samc__vit_weights vit;
    samc__tinyvit_weights tinyvit;
    samc__efficientvit_weights efficientvit;
    samc__hiera_weights hiera;
} samc__encoder_weights;

typedef struct samc__encoder {
    const char *name;
    /* Whether the checkpoint is of this kind, by a tensor that no other kind has. */
    bool (*recognise)(const samc__checkpoint *checkpoint);
    /* Fills the encoder's part of the configuration, the input's side, the grid and the embedding's channels: from
     * shapes, then from metadata. */
    void (*infer)(samc__reading *reading, samc__config *config);
    samc_status (*check)(const samc__config *config, const char *label, samc_error *error);
    /* Writes its part of "samc.config", after the input's side. */
    void (*write)(const samc__config *config, samc__json_text *text);
    void (*tensors)(samc__tensor_list *list, const samc__config *config, samc__encoder_weights *weights);
    /* Its part of what samc_model_get_info() tells. */
    void (*describe)(const samc__config *config, samc_model_info *info);
    /* Width of the feature that it has early on, for each cell of the embedding; 0: none. */
    int (*early_channels)(const samc__config *config);
    /* Encodes `images` images into `features`, the embedding and the early feature. */
    samc_status (*encode)(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                          const samc__features *features);
    const samc__setting *settings; /* what a caller may set */
    /* What its models were trained with; a file that says anything else is refused, as it would silently give wrong
     * masks. The first is what a file has that says nothing. */
    const samc__recipe *recipes;
    int recipe_count;
    double pred_iou_thresh; /* default of automatic masks; 0: SAM's */
} samc__encoder;

extern const samc__encoder samc__encoder_vit, samc__encoder_tinyvit, samc__encoder_efficientvit, samc__encoder_hiera;

/* SAM's own, which others' encoders have too. */
extern const samc__setting samc__sam_settings[];

const samc__encoder *samc__encoder_of(const samc__config *config);

/* Which kind the checkpoint is of. One of none is taken for the first kind, so that what it lacks can be said. */
samc__encoder_kind samc__encoder_recognise(const samc__checkpoint *checkpoint);

#endif
