/* What both weights fuzzers do with a checkpoint once it is open: everything the library would. */
#ifndef SAMC_TESTS_WEIGHTS_FUZZ_H
#define SAMC_TESTS_WEIGHTS_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "tests/weights_build.h"
#include "runtime/model/tensors.h"

/* A message must be one line of plain characters: it is shown on terminals. */
static void check_message(const samc_error *error) {
    if (error->status == SAMC_OK || error->message[0] == '\0') abort();
    for (const char *at = error->message; *at != '\0'; at++)
        if (*at < ' ' || *at > '~') abort();
}

static void use_checkpoint(const uint8_t *data, size_t size) {
    samc_error error = {0};
    samc__checkpoint *checkpoint = NULL;
    uint8_t *exact = malloc(size + (size == 0)); /* AddressSanitizer guards its end */
    if (exact == NULL) return;
    if (size > 0) memcpy(exact, data, size);
    if (samc__checkpoint_open_memory(exact, size, "fuzz", &checkpoint, &error) != SAMC_OK) {
        check_message(&error);
        free(exact);
        return;
    }
    double sum = 0;
    for (size_t i = 0; i < samc__checkpoint_count(checkpoint); i++) {
        const samc__tensor *tensor = samc__checkpoint_at(checkpoint, i);
        if (samc__checkpoint_find(checkpoint, tensor->name) != tensor) abort();
        if (tensor->dtype == SAMC__OTHER) continue;
        int64_t elements = samc__tensor_elements(tensor), shown = elements < 1000 ? elements : 1000;
        float values[1000];
        samc__tensor_copy_f32(tensor, 0, shown, values);
        samc__tensor_copy_f32(tensor, elements - shown, shown, values); /* the far end, where a bad view would show */
        for (int64_t j = 0; j < shown; j++) sum += values[j];
        if (samc__tensor_direct_f32(tensor) != NULL && elements > 0)
            sum += samc__tensor_direct_f32(tensor)[elements - 1];
    }
    samc__config config;
    static samc__weights weights;
    samc__tensor_list list = {0};
    void *owned = NULL;
    size_t owned_bytes;
    char hex[65];
    samc_status status = samc__config_infer(checkpoint, &config, &error);
    if (status == SAMC_OK) status = samc__tensors_list(&config, &weights, &list, &error);
    if (status == SAMC_OK) status = samc__tensors_load(&list, checkpoint, NULL, &owned, &owned_bytes, &error);
    if (status == SAMC_OK) status = samc__tensors_hash(&list, checkpoint, NULL, hex, &error);
    if (status != SAMC_OK) check_message(&error);
    free(owned);
    samc__tensors_free(&list);
    samc__checkpoint_close(checkpoint);
    free(exact);
    volatile double sink = sum; /* the reads must happen */
    (void)sink;
}

#endif
