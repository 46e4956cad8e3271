/* Writes the pixels that samc decodes from an image file as a PPM, for corpus_pillow.py and corpus_dicom.py:
 *     image_pixels FILE [PAGE [SCALE]] >pixels.ppm
 * Ends with 1 and the error where the file is refused, with 3 where the header had promised other sizes than the
 * picture has. */
#include <stdio.h>
#include <stdlib.h>

#include "host/io/file.h"
#include "host/io/image.h"

int main(int count, char **arguments) {
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error;
    if (count < 2 || count > 4) return fprintf(stderr, "usage: image_pixels FILE [PAGE [SCALE]]\n"), 2;
    uint8_t *bytes;
    size_t size;
    samc__image_extent extent = {0};
    samc_image_options options = SAMC_INIT(samc_image_options);
    if (count >= 3) options.page = atoi(arguments[2]);
    if (samc__file_read(arguments[1], SAMC__IMAGE_MAX_FILE, &bytes, &size, &error) == SAMC_OK) {
        samc__image_size(bytes, size, arguments[1], options.page, &extent, &error);
        free(bytes);
    }
    if (extent.sample == SAMC_SAMPLE_U16) options.scale = "high-byte"; /* Pillow's, and OpenCV's */
    if (count == 4) options.scale = arguments[3];
    if (samc_image_load_with(arguments[1], &options, &picture, NULL, &error) != SAMC_OK)
        return fprintf(stderr, "%s\n", error.message), 1;
    int64_t pixels = (int64_t)picture.width * picture.height;
    if (samc__file_read(arguments[1], SAMC__IMAGE_MAX_FILE, &bytes, &size, &error) != SAMC_OK ||
        samc__image_size(bytes, size, arguments[1], options.page, &extent, &error) != SAMC_OK ||
        extent.bytes != pixels * 3 || extent.peak < extent.bytes ||
        (extent.width != picture.width && extent.width != picture.height))
        return fprintf(stderr, "%s: the header promised another picture\n", arguments[1]), 3;
    free(bytes);
    printf("P6 %d %d 255\n", picture.width, picture.height);
    fwrite(picture.pixels, 3, (size_t)picture.width * (size_t)picture.height, stdout);
    samc_image_free(&picture);
    return fflush(stdout) == 0 ? 0 : 2;
}
