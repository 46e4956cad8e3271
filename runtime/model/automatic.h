/* A model's defaults for automatic masks. */
#ifndef SAMC_RUNTIME_MODEL_AUTOMATIC_H
#define SAMC_RUNTIME_MODEL_AUTOMATIC_H

#include "runtime/model/reading.h"

/* The original's. */
samc_auto_options samc__auto_defaults(void);

/* The same, but for an encoder's own threshold, 0: none, and what the metadata says; bounds are checked where they are
 * used. */
void samc__automatic_read(samc__reading *reading, double pred_iou_thresh, samc_auto_options *options);

/* Writes them under "automatic". What `given` states stays, as a model may come with thresholds of its own; the
 * original's complete it, and the encoder's. */
void samc__automatic_write(samc__json_text *text, double pred_iou_thresh, samc__json given);

#endif
