/* Hiera's two halves: what its files say (hiera_config.c), and its tensors and encoding (hiera.c). */
#ifndef SAMC_RUNTIME_MODEL_HIERA_H
#define SAMC_RUNTIME_MODEL_HIERA_H

#include "runtime/model/families.h"

void samc__hiera_tensors(samc__tensor_list *list, const samc__config *config, samc__encoder_weights *weights);

/* Fills the levels that samc__level_of() names: the embedding with no_mem_embed, and both finer ones as the decoder's
 * conv_s0 and conv_s1 give them. */
samc_status samc__hiera_encode(const samc__exec *exec, const samc__network *net, const samc_image *inputs, int images,
                               const samc__features *features);

#endif
