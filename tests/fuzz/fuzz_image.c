/* Fuzzes image decoding. Build with -DSAMC__IMAGE_MAX_PIXELS=65536, so that time goes into parsing and not into pixels.
 */
#include <stdlib.h>

#include "host/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* The name decides only whether bytes without a signature are taken as TGA. */
    samc__picture picture;
    samc_error error;
    if (samc__image_decode(data, size, "fuzz.tga", &picture, &error) != SAMC_OK) return 0;
    unsigned sum = 0; /* touches every pixel: uninitialised or missing ones show under a sanitizer */
    for (size_t i = 0; i < (size_t)picture.width * (size_t)picture.height * 3; i++) sum += picture.pixels[i];
    samc__picture_free(&picture);
    return sum == 1 ? -1 : 0; /* so that the loop stays */
}
