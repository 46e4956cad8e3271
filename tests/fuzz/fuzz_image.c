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
    /* The name decides only whether bytes without a signature are taken as TGA. The last byte chooses the page, now and
     * then, which is none of the formats' business. */
    const samc_image_options options = {.size = sizeof options, .page = size > 0 && data[size - 1] % 8 == 7};
    samc_image picture = SAMC_INIT(samc_image), again = SAMC_INIT(samc_image);
    samc__image_extent extent;
    samc_error error;
    samc_status header = samc__image_size(data, size, "fuzz.tga", options.page, &extent, &error);
    dirty_stack(1);
    samc_status status = samc_image_decode_with(data, size, "fuzz.tga", &options, &picture, NULL, &error);
    if (status != SAMC_OK) return 0;
    /* The header had promised just this. */
    int64_t bytes = (int64_t)picture.width * picture.height * 3;
    if (header != SAMC_OK || extent.bytes != bytes || extent.peak < bytes ||
        (extent.width != picture.width && extent.width != picture.height))
        abort();
    dirty_stack(2);
    if (samc_image_decode_with(data, size, "fuzz.tga", &options, &again, NULL, &error) != SAMC_OK) abort();
    if (picture.width != again.width || memcmp(picture.pixels, again.pixels, (size_t)bytes) != 0) abort();
    samc_image_free(&picture);
    samc_image_free(&again);
    return 0;
}
