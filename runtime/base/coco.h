/* Run lengths as COCO's compressed text. */
#ifndef SAMC_RUNTIME_BASE_COCO_H
#define SAMC_RUNTIME_BASE_COCO_H

#include "runtime/samc.h"

enum { SAMC__RUN_CHARACTERS = 7 }; /* of one count at most: 33 bits with the sign, five in each */

/* counts [count] -> text without a NUL; returns its length. */
size_t samc__runs_pack(const uint32_t *counts, size_t count, char *text);
/* How many counts text that is well formed holds. */
size_t samc__runs_count(const char *text, size_t length);
/* text -> counts [samc__runs_count()]; false where it is malformed. */
bool samc__runs_unpack(const char *text, size_t length, uint32_t *counts);

#endif
