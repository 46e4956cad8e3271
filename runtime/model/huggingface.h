/* What Hugging Face's files beside a model say of it. */
#ifndef SAMC_RUNTIME_MODEL_HUGGINGFACE_H
#define SAMC_RUNTIME_MODEL_HUGGINGFACE_H

#include "runtime/model/reading.h"
#include "runtime/model/recipe.h"

/* Has config.json read in place of "samc.config", where the model has it beside it. What it says that samc does not
 * compute is refused. */
samc_status samc__huggingface_config(samc__reading *r);

/* Takes what preprocessor_config.json says into the recipe, which holds the encoder's own and its side; false where
 * there is none. What it says that the recipe cannot hold is refused. */
bool samc__huggingface_recipe(samc__reading *r, samc__recipe *recipe);

#endif
