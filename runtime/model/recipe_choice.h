/* Which recipe a model is used with. */
#ifndef SAMC_RUNTIME_MODEL_RECIPE_CHOICE_H
#define SAMC_RUNTIME_MODEL_RECIPE_CHOICE_H

#include "runtime/model/families.h"

/* Fills config->recipe and where it is from: what `given` says (a name, or a file), else the model's file, what lies
 * beside it, what is known of published files, and at last what its encoder is mostly used with. The side is there
 * already. */
void samc__recipe_choose(samc__reading *r, const samc__encoder *encoder, const char *given, samc__config *config);

/* Notes in the checkpoint which recipe is assumed, where one is. */
void samc__recipe_note(samc__checkpoint *checkpoint, const samc__config *config);

#endif
