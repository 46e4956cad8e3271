/* Writes the pixels that samc decodes from an image file as a PPM, for corpus_pillow.py and corpus_dicom.py:
 *     image_pixels FILE [PAGE [SCALE]] >pixels.ppm
 * Ends with 1 and the error where the file is refused, with 3 where the header had promised other sizes than the
 * picture has. `image_pixels -` answers requests of three lines each (FILE, PAGE, SCALE) until there are none: with a
 * PPM, or "ERROR" and what is the matter on a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/file.h"
#include "host/io/image.h"

static int write_pixels(const char *path, int page, const char *scale, char message[1200]) {
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error;
    uint8_t *bytes;
    size_t size;
    samc__image_extent extent = {0};
    samc_image_options options = SAMC_INIT(samc_image_options);
    options.page = page;
    if (samc__file_read(path, SAMC__IMAGE_MAX_FILE, &bytes, &size, &error) == SAMC_OK) {
        samc__image_size(bytes, size, path, options.page, &extent, &error);
        free(bytes);
    }
    if (extent.sample == SAMC_SAMPLE_U16) options.scale = "high-byte"; /* Pillow's, and OpenCV's */
    if (scale != NULL && *scale != '\0') options.scale = scale;
    if (samc_image_load_with(path, &options, &picture, NULL, &error) != SAMC_OK)
        return snprintf(message, 1200, "%s", error.message), 1;
    int64_t pixels = (int64_t)picture.width * picture.height;
    if (samc__file_read(path, SAMC__IMAGE_MAX_FILE, &bytes, &size, &error) != SAMC_OK ||
        samc__image_size(bytes, size, path, options.page, &extent, &error) != SAMC_OK || extent.bytes != pixels * 3 ||
        extent.peak < extent.bytes || (extent.width != picture.width && extent.width != picture.height))
        return snprintf(message, 1200, "%s: the header promised another picture", path), 3;
    free(bytes);
    printf("P6 %d %d 255\n", picture.width, picture.height);
    fwrite(picture.pixels, 3, (size_t)picture.width * (size_t)picture.height, stdout);
    samc_image_free(&picture);
    return fflush(stdout) == 0 ? 0 : 2;
}

static bool read_line(char line[4096]) {
    if (fgets(line, 4096, stdin) == NULL) return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

int main(int count, char **arguments) {
    char message[1200] = "", path[4096], page[4096], scale[4096];
    if (count < 2 || count > 4) return fprintf(stderr, "usage: image_pixels FILE [PAGE [SCALE]]\n"), 2;
    if (strcmp(arguments[1], "-") != 0) {
        const int code =
            write_pixels(arguments[1], count >= 3 ? atoi(arguments[2]) : 0, count == 4 ? arguments[3] : NULL, message);
        if (code != 0) fprintf(stderr, "%s\n", message);
        return code;
    }
    while (read_line(path) && read_line(page) && read_line(scale)) {
        const int code = write_pixels(path, atoi(page), scale, message);
        if (code != 0 && code != 1) return fprintf(stderr, "%s\n", message), code;
        if (code == 1) printf("ERROR %s\n", message);
        if (fflush(stdout) != 0) return 2;
    }
    return 0;
}
