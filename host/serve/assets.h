/* Files that are compiled into the program (assets.cmake): the page and the OpenAPI document. */
#ifndef SAMC_HOST_SERVE_ASSETS_H
#define SAMC_HOST_SERVE_ASSETS_H

#include <stddef.h>

typedef struct samc__asset {
    const char *name, *type;
    const unsigned char *bytes;
    size_t size;
} samc__asset;

extern const samc__asset samc__assets[]; /* ended by one without a name */

#endif
