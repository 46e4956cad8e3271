/* CLIP's tokenizer: a phrase in UTF-8 to the numbers that the text tower reads, as `transformers`' CLIPTokenizer gives
 * them.
 *
 * NFC, lower case by character, words of letters, single digits, runs of everything else that is no white space; then
 * byte pairs. Characters are of Unicode 15.0 (libutf8proc 2.8). */
#ifndef SAMC_RUNTIME_MODEL_TOKENIZER_H
#define SAMC_RUNTIME_MODEL_TOKENIZER_H

#include <stdbool.h>

#include "runtime/base/status.h"

enum { SAMC__TOKEN_START = 49406, SAMC__TOKEN_END = 49407, SAMC__TOKENS = 49408 };

typedef struct samc__tokenizer samc__tokenizer; /* read-only once made: any number of threads */

typedef struct samc__tokens {
    int count; /* of numbers, start and end with them: at most the context */
    /* Of the first SAMC__TOKEN_END in `ids`, which the tower gives the phrase's features at. Not the last number where
     * the phrase itself says "<|endoftext|>". */
    int end;
    bool cut; /* the phrase is longer than the context: its rest was left out, the end was not */
} samc__tokens;

samc_status samc__tokenizer_create(samc__tokenizer **tokenizer, samc_error *error);
void samc__tokenizer_free(samc__tokenizer *tokenizer); /* NULL is allowed */

/* Fills ids[context], 0 behind what the phrase has. A phrase without a character that is not white space, and one that
 * is not UTF-8, is SAMC_INVALID_ARGUMENT. context: 3 at least. */
samc_status samc__tokenize(const samc__tokenizer *tokenizer, const char *phrase, int context, int32_t *ids,
                           samc__tokens *tokens, samc_error *error);

#endif
