/* Fuzzes the .npy reader. */
#include "host/io/samc_io.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    samc_array array = {.size = sizeof array};
    samc_error error;
    if (samc_npy_decode(data, size, "fuzz.npy", &array, &error) == SAMC_OK) {
        size_t count = 1;
        for (int i = 0; i < array.rank; i++) count *= array.shape[i];
        volatile float last = array.values[count - 1];
        (void)last;
    }
    samc_array_free(&array);
    return 0;
}
