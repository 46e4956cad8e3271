/* Fuzzes the readers of prompts: the JSON list, and --point and --box. */
#include <stdlib.h>
#include <string.h>

#include "host/io/samc_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    samc_prompts *prompts;
    samc_error error;
    if (samc_prompts_parse(data, size, "fuzz.json", &prompts, &error) == SAMC_OK)
        samc_prompts_check(prompts, "fuzz.json", 640, 480, &error);
    samc_prompts_free(prompts);

    char *text = malloc(size + 1);
    float numbers[4];
    int32_t label;
    memcpy(text, data, size);
    text[size] = '\0';
    samc_parse_point(text, numbers, &label, &error);
    samc_parse_box(text, numbers, &error);
    free(text);
    return 0;
}
