/* Fuzzes the tokenizer: any bytes as a phrase, and what holds of every result. */
#include <stdlib.h>
#include <string.h>

#include "runtime/model/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static samc__tokenizer *tokenizer;
    if (tokenizer == NULL && samc__tokenizer_create(&tokenizer, NULL) != SAMC_OK) abort();
    if (size == 0) return 0;
    const int context = data[0] % 2 ? 77 : 3 + data[0] / 8;
    int32_t *ids = malloc((size_t)context * sizeof *ids);
    char *phrase = malloc(size);
    memcpy(phrase, data + 1, size - 1);
    phrase[size - 1] = '\0';
    samc__tokens tokens;
    samc_error error;
    samc_status status = samc__tokenize(tokenizer, phrase, context, ids, &tokens, &error);
    if (status == SAMC_OK) {
        if (tokens.count < 3 || tokens.count > context || tokens.end >= tokens.count) abort();
        if (ids[0] != SAMC__TOKEN_START || ids[tokens.end] != SAMC__TOKEN_END) abort();
        if (ids[tokens.count - 1] != SAMC__TOKEN_END || (tokens.cut && tokens.count != context)) abort();
        for (int i = 0; i < context; i++)
            if (ids[i] < 0 || ids[i] >= SAMC__TOKENS) abort();
    }
    free(phrase);
    free(ids);
    return 0;
}
