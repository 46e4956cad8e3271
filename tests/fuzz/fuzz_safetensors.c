/* Fuzzes the safetensors reader: each input once as a whole file, once as the header of a file that is otherwise right.
 */
#include "tests/fuzz/weights_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t zeros[4096] = {0};
    use_checkpoint(data, size);
    if (size > 8) { /* seeds are whole files, so the header begins at byte 8 */
        bytes file = {0};
        put_number(&file, size - 8, 8);
        put(&file, data + 8, size - 8);
        put(&file, zeros, sizeof zeros);
        use_checkpoint(file.data, file.size);
        clear(&file);
    }
    return 0;
}
