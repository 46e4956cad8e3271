/* Base 64 (RFC 4648, section 4). */
#ifndef SAMC_HOST_SERVE_BASE64_H
#define SAMC_HOST_SERVE_BASE64_H

#include <stddef.h>

/* To be freed; NULL without memory. */
char *samc__base64(const void *bytes, size_t size);
/* Decodes up to the end or "=" into `out`; the bytes, or -1: another character, or more than `room`. */
long samc__base64_read(const char *text, size_t length, void *out, size_t room);

#endif
