/* Fuzzes DICOM: as an image, whichever frame and window, and as a volume of its frames. make_corpus_dicom.py made the
 * corpus. Build with -DSAMC__IMAGE_MAX_PIXELS=65536, so that time goes into parsing and not into pixels. */
#include <stdlib.h>
#include <string.h>

#include "host/io/dicom.h"
#include "host/io/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_places(const uint8_t *data, size_t size) {
    samc__dicom dicom;
    samc__dicom_place place;
    samc_error error;
    if (samc__dicom_open(data, size, "fuzz", 0, &dicom, &error) == SAMC_OK)
        for (int64_t frame = 0; frame < dicom.frames && frame < 3; frame++)
            samc__dicom_place_of(&dicom, frame, &place, &error);
    samc__dicom_close(&dicom);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const scales[] = {NULL, "window:40,400", "window:auto", "P1-99"};
    if (!samc__dicom_is(data, size)) return -1;
    const samc_image_options options = {.size = sizeof options,
                                        .page = data[size - 1] % 4 == 3,
                                        .scale = scales[data[size / 2] % (sizeof scales / sizeof *scales)]};
    samc_image picture = SAMC_INIT(samc_image), again = SAMC_INIT(samc_image);
    samc__image_extent extent;
    samc_error error;
    read_places(data, size);
    samc_status header = samc__image_size(data, size, "fuzz", options.page, &extent, &error);
    if (samc_image_decode_with(data, size, "fuzz", &options, &picture, NULL, &error) != SAMC_OK) return 0;
    const size_t bytes = (size_t)picture.width * (size_t)picture.height * 3;
    if (header != SAMC_OK || extent.bytes != (int64_t)bytes || extent.peak < extent.bytes) abort();
    if (samc_image_decode_with(data, size, "fuzz", &options, &again, NULL, &error) != SAMC_OK) abort();
    if (memcmp(picture.pixels, again.pixels, bytes) != 0) abort();
    samc_image_free(&picture);
    samc_image_free(&again);
    return 0;
}
