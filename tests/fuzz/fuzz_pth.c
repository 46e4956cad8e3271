/* Fuzzes the .pth reader: inputs that begin like a zip are archives, all others are the pickle of an archive that is
 * right. */
#include "tests/fuzz/weights_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t storage[1024] = {0};
    if (size >= 2 && memcmp(data, "PK", 2) == 0) {
        use_checkpoint(data, size);
        return 0;
    }
    zip_writer z = {0};
    zip_add(&z, "a/data.pkl", data, size);
    for (char key = '0'; key <= '9'; key++) {
        char name[] = {'a', '/', 'd', 'a', 't', 'a', '/', key, '\0'};
        zip_add(&z, name, storage, sizeof storage);
    }
    bytes file = zip_finish(&z);
    use_checkpoint(file.data, file.size);
    clear(&file);
    return 0;
}
