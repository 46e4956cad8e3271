/* Phrases on standard input, a NUL behind each, to a line of tokens each: for tests/parity/tokenizer_parity.py.
 *
 *     tokenize_lines CONTEXT
 *
 * "cut " before the numbers of a phrase that was cut; "error" for one that is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/tokenizer.h"

int main(int argc, char **argv) {
    static int32_t ids[1 << 20];
    const int context = argc == 2 ? atoi(argv[1]) : 0;
    samc__tokenizer *tokenizer;
    char *phrase = NULL;
    size_t room = 0;
    if (context < 3 || context > 1 << 20 || samc__tokenizer_create(&tokenizer, NULL) != SAMC_OK) return 2;
    while (getdelim(&phrase, &room, '\0', stdin) > 0) {
        samc__tokens tokens;
        samc_error error;
        if (samc__tokenize(tokenizer, phrase, context, ids, &tokens, &error) != SAMC_OK) {
            printf("error: %s\n", error.message);
            continue;
        }
        if (tokens.cut) printf("cut ");
        for (int i = 0; i < tokens.count; i++) printf("%d%c", (int)ids[i], i + 1 < tokens.count ? ' ' : '\n');
    }
    free(phrase);
    samc__tokenizer_free(tokenizer);
    return 0;
}
