/* What a file is, by its first bytes: for messages that say what was given instead of a model or an image. */
#ifndef SAMC_RUNTIME_BASE_KIND_H
#define SAMC_RUNTIME_BASE_KIND_H

#include <stddef.h>
#include <stdint.h>

/* "an ONNX model", "a PNG image", "an HTML page (of a failed download?)", ... ; NULL where nothing is recognised. What
 * samc can read is named too. *advice: what to do about it, "; unpack it first", or "". */
const char *samc__kind_of(const uint8_t *bytes, size_t size, const char **advice);

#endif
