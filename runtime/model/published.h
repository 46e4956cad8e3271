/* Files by their bytes: their hash, and those of them that were published. */
#ifndef SAMC_RUNTIME_MODEL_PUBLISHED_H
#define SAMC_RUNTIME_MODEL_PUBLISHED_H

#include "weights/checkpoint.h"

/* SHA-256 of the checkpoint's file, or of its files one after another; 64 hexadecimal digits and a NUL. */
samc_status samc__files_hash(const samc__checkpoint *checkpoint, char hex[65], samc_error *error);

#endif
