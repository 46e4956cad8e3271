/* Every reader does its work in the process that may compute and nothing else: no threads, no files, and the memory
 * that a picture of this size may take. */
#include <criterion/criterion.h>

#include "host/serve/internal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/file.h"

static uint8_t *read_file(const char *name, int length, size_t *size) {
    char path[1024];
    uint8_t *bytes;
    samc_error error;
    snprintf(path, sizeof path, SAMC_TEST_DATA "/images/%.*s", length, name);
    cr_assert_eq(samc__file_read(path, 1 << 20, &bytes, size, &error), SAMC_OK, "%s", error.message);
    return bytes;
}

Test(decoders, read_every_format) {
    DIR *folder = opendir(SAMC_TEST_DATA "/images");
    samc__decoders *d = NULL;
    samc_error error = {0};
    int compared = 0;
    cr_assert(folder != NULL);
    cr_assert_eq(samc__decoders_start(&d, &error), SAMC_OK);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name), size, expected_size;
        if (length < 5 || strcmp(entry->d_name + length - 4, ".ppm") != 0 || strchr(entry->d_name, '@') != NULL)
            continue;
        uint8_t *bytes = read_file(entry->d_name, (int)length - 4, &size);
        uint8_t *expected = read_file(entry->d_name, (int)length, &expected_size);
        samc_image image = SAMC_INIT(samc_image);
        const samc_image_options how = {.size = sizeof how, .most_pixels = 1 << 20};
        samc_status status = samc__decoders_decode(d, bytes, size, &how, &image, NULL, &error);
        size_t pixels = 3 * (size_t)image.width * (size_t)image.height;
        /* Of what this build does not read, or a TGA that only a name would tell, it says so. */
        if (status != SAMC_UNSUPPORTED || strstr(error.message, "not a supported image format") == NULL) {
            cr_expect_eq(status, SAMC_OK, "%s: %s", entry->d_name, error.message);
            cr_expect(image.pixels != NULL && expected_size > pixels &&
                          memcmp(image.pixels, expected + expected_size - pixels, pixels) == 0,
                      "%s", entry->d_name);
            compared++;
        }
        free((void *)(uintptr_t)image.pixels);
        free(bytes);
        free(expected);
    }
    closedir(folder);
    samc__decoders_stop(d);
    cr_expect_geq(compared, 120, "only %d pictures", compared);
}

/* What is damaged is said to be that, by whichever library, also one that talks about it: no decoder dies of it. */
Test(decoders, say_what_is_damaged) {
    DIR *folder = opendir(SAMC_TEST_DATA "/images");
    samc__decoders *d = NULL;
    samc_error error = {0};
    cr_assert(folder != NULL);
    cr_assert_eq(samc__decoders_start(&d, &error), SAMC_OK);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        size_t length = strlen(entry->d_name), size;
        if (entry->d_name[0] == '.' || (length > 4 && strcmp(entry->d_name + length - 4, ".ppm") == 0)) continue;
        uint8_t *bytes = read_file(entry->d_name, (int)length, &size);
        for (size_t part = 1; part <= 2; part++) {
            samc_image image = SAMC_INIT(samc_image);
            const samc_image_options how = {.size = sizeof how, .most_pixels = 1 << 20};
            if (part == 2) /* of the same length, but not what it was */
                for (size_t i = size / 3; i < size; i++) bytes[i] ^= (uint8_t)(0x5a + i);
            const size_t cut = part == 1 ? size / 2 : size;
            samc_status status = samc__decoders_decode(d, bytes, cut, &how, &image, NULL, &error);
            cr_expect(status == SAMC_OK || strstr(error.message, "was stopped") == NULL, "%s: %s", entry->d_name,
                      error.message);
            free((void *)(uintptr_t)image.pixels);
        }
        free(bytes);
    }
    closedir(folder);
    samc__decoders_stop(d);
}
