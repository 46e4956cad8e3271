/* Fuzzes the .npy reader. */
#include "host/io/npy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    samc__array array;
    samc_error error;
    if (samc__npy_decode(data, size, "fuzz.npy", &array, &error) == SAMC_OK) {
        size_t count = 1;
        for (int i = 0; i < array.rank; i++) count *= array.shape[i];
        volatile float last = array.values[count - 1];
        (void)last;
    }
    samc__array_free(&array);
    return 0;
}
