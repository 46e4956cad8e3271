/* Fuzzes the reader of lists of inputs and the names that results get from them. */
#include <stdlib.h>
#include <string.h>

#include "host/io/inputs.h"
#include "host/io/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static samc_status line(void *context, const char *text) {
    char *key = malloc(strlen(text) + 1);
    (void)context;
    samc__key_of_path(text, key);
    /* Below the output folder, whatever the line was. */
    if (key[0] == '/' || strstr(key, "//") != NULL || strcmp(key, "..") == 0 || strncmp(key, "../", 3) == 0 ||
        strstr(key, "/../") != NULL)
        abort();
    size_t length = strlen(key);
    if (length >= 3 && strcmp(key + length - 3, "/..") == 0) abort();
    if (length > 0 && key[length - 1] == '/') abort();
    free(key);
    return SAMC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    samc_error error;
    samc__list_lines(data, size, line, NULL, &error);
    return 0;
}
