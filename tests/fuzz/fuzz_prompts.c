/* Fuzzes the readers of prompts: the JSON list, and --point and --box. */
#include <stdlib.h>
#include <string.h>

#include "host/io/prompts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    samc__prompts prompts;
    samc_error error;
    if (samc__prompts_parse((const char *)data, size, "fuzz.json", &prompts, &error) == SAMC_OK)
        samc__prompts_check(&prompts, "fuzz.json", 640, 480, &error);
    samc__prompts_free(&prompts);

    char *text = malloc(size + 1);
    float numbers[4];
    int32_t label;
    memcpy(text, data, size);
    text[size] = '\0';
    samc__parse_point(text, numbers, &label, &error);
    samc__parse_box(text, numbers, &error);
    free(text);
    return 0;
}
