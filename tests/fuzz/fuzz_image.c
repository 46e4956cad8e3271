/* Fuzzes image decoding. Build with -DSAMC__IMAGE_MAX_PIXELS=65536, so that time goes into parsing and not into pixels.
 */
#include <stdlib.h>
#include <string.h>

#include "host/io/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was on the stack before must not show in a picture. */
static void __attribute__((noinline)) dirty_stack(int with) {
    uint8_t bytes[1 << 13];
    memset(bytes, with, sizeof bytes);
    __asm__ volatile("" : : "r"(bytes) : "memory");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    /* The name decides only whether bytes without a signature are taken as TGA. */
    samc_image picture = SAMC_INIT(samc_image), again = SAMC_INIT(samc_image);
    samc__image_extent extent;
    samc_error error;
    samc_status header = samc__image_size(data, size, "fuzz.tga", 0, &extent, &error);
    dirty_stack(1);
    samc_status status = samc_image_decode(data, size, "fuzz.tga", 0, &picture, &error);
    if (status != SAMC_OK) return 0;
    /* The header had promised just this. */
    int64_t bytes = (int64_t)picture.width * picture.height * 3;
    if (header != SAMC_OK || extent.bytes != bytes || extent.peak < bytes ||
        (extent.width != picture.width && extent.width != picture.height))
        abort();
    dirty_stack(2);
    if (samc_image_decode(data, size, "fuzz.tga", 0, &again, &error) != SAMC_OK) abort();
    if (picture.width != again.width || memcmp(picture.pixels, again.pixels, (size_t)bytes) != 0) abort();
    samc_image_free(&picture);
    samc_image_free(&again);
    return 0;
}
