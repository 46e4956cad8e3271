/* Files of tests/data/images, and what their readers must refuse. */
#ifndef SAMC_TESTS_IMAGE_FIXTURE_H
#define SAMC_TESTS_IMAGE_FIXTURE_H

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/file.h"
#include "host/io/image.h"

#ifndef SAMC_TEST_DATA
#define SAMC_TEST_DATA "tests/data"
#endif

/* The bytes of a fixture; the caller frees them. */
static inline uint8_t *fixture(const char *name, size_t *size) {
    char path[1024];
    uint8_t *bytes;
    samc_error error;
    snprintf(path, sizeof path, SAMC_TEST_DATA "/images/%s", name);
    cr_assert_eq(samc__file_read(path, 1 << 20, &bytes, size, &error), SAMC_OK, "%s", error.message);
    return bytes;
}

/* Whether this build is meant to be without a format. One that only lacks the library fails. */
static inline bool is_off(const char *format) {
    char name[300];
    snprintf(name, sizeof name, " %s ", format);
    return strcasestr(" " SAMC_TEST_FORMATS_OFF " ", name) != NULL;
}

static inline samc_status decode(const uint8_t *bytes, size_t size, const char *name, samc_image *picture,
                                 samc_error *error) {
    /* A copy of exactly this size, so that AddressSanitizer sees a read past the end. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    samc_status status = samc_image_decode(copy, size, name, 0, picture, error);
    free(copy);
    return status;
}

/* Whatever the place where a file was cut, it is refused. `spare` bytes at its end carry no pixels. */
static inline void check_truncated(const char *name, size_t spare) {
    char format[256];
    size_t size;
    snprintf(format, sizeof format, "%.*s", (int)strcspn(name, "_."), name);
    if (is_off(format)) return;
    uint8_t *bytes = fixture(name, &size);
    for (size_t cut = 0; cut + spare < size; cut++) {
        samc_image picture = SAMC_INIT(samc_image);
        samc_error error = {0};
        cr_assert_neq(decode(bytes, cut, name, &picture, &error), SAMC_OK, "%s cut to %zu of %zu bytes was accepted",
                      name, cut, size);
        cr_assert(picture.pixels == NULL);
        cr_assert(strncmp(error.message, name, strlen(name)) == 0, "the message '%s' does not name the file",
                  error.message);
        cr_assert(strchr(error.message, '\n') == NULL);
    }
    free(bytes);
}

static inline void check_refused(const char *bytes, size_t size, const char *name, samc_status status,
                                 const char *message) {
    samc_image picture = SAMC_INIT(samc_image);
    samc_error error = {0};
    samc_status got = decode((const uint8_t *)bytes, size, name, &picture, &error);
    cr_assert_eq(got, status, "%s: status '%s'", name, samc_status_text(got));
    cr_assert(strstr(error.message, message) != NULL, "'%s' does not say '%s'", error.message, message);
    cr_assert(picture.pixels == NULL);
}

#endif
