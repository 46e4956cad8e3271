/* Results that are not finite: found where they are read anyway, told of with the stage and whose fault it is. */
#ifndef SAMC_RUNTIME_NUMERIC_H
#define SAMC_RUNTIME_NUMERIC_H

#include "runtime/session.h"

/* Whether one of the values is NaN or infinite. */
bool samc__numeric_spoilt(const float *values, int64_t count);
/* The same of values of any type that activations have. */
bool samc__numeric_any_spoilt(samc__dtype type, const void *values, int64_t count);

/* Fails where an embedding of the images [first, first + count), in the host's memory, has such a value. */
samc_status samc__numeric_embeddings(samc_session *session, int first, int count);

/* The error for a result (`what`: "predicted IoU", ...) of the session's image `image` (-1: not known) that is not
 * finite: SAMC_NUMERIC, or SAMC_DIVERGED where the model itself is at fault. Where it has embeddings of that image,
 * they are looked at first: the encoder may have made what the decoder is blamed for. Takes its time, once for each
 * session. */
samc_status samc__numeric_fail(samc_session *session, int image, const char *what);

#endif
