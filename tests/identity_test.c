/* Identity: what differs in one bit, or in two that lie where they could undo each other, is another file. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/io/identity.h"

enum { PIECE = 1 << 20 }; /* that files are read by */

typedef char path[32];

static void name_of(int handle, path name) { snprintf(name, sizeof(path), "/proc/self/fd/%d", handle); }

/* A file in memory: 3000 that are emptied and written would wait for a disk. */
static int hold(const void *bytes, size_t size, path name) {
    const int handle = memfd_create("identity", MFD_CLOEXEC);
    cr_assert(handle >= 0 && write(handle, bytes, size) == (ssize_t)size);
    name_of(handle, name);
    return handle;
}

static void identify(const char *const *paths, int count, char out[SAMC__IDENTITY]) {
    samc_error error = {0};
    cr_assert(samc__identity(paths, count, out, &error) == SAMC_OK, "%s", error.message);
}

static void identify_one(const void *bytes, size_t size, char out[SAMC__IDENTITY]) {
    path name;
    const int handle = hold(bytes, size, name);
    identify((const char *const[]){name}, 1, out);
    close(handle);
}

/* Every bit of a file of ten blocks and three bytes, and the pairs of a word's highest bit with each bit of the word
 * that meets the same sum next, or the next sum. */
Test(identity, bits) {
    enum { SIZE = 323, WORD = 64 };
    static uint8_t bytes[SIZE];
    char one[SAMC__IDENTITY], other[SAMC__IDENTITY];
    for (int i = 0; i < SIZE; i++) bytes[i] = (uint8_t)(i * 37 + (i >> 3));
    identify_one(bytes, SIZE, one);
    for (int bit = 0; bit < 8 * SIZE; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        identify_one(bytes, SIZE, other);
        cr_assert_str_neq(one, other, "bit %d", bit);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (int word = 1; word <= 4; word += 3)
        for (int bit = 0; bit < WORD; bit++) {
            const int second = word * WORD + bit;
            bytes[7] ^= 0x80, bytes[second / 8] ^= (uint8_t)(1 << second % 8);
            identify_one(bytes, SIZE, other);
            cr_assert_str_neq(one, other, "the first word's highest bit, and bit %d of word %d", bit, word);
            bytes[7] ^= 0x80, bytes[second / 8] ^= (uint8_t)(1 << second % 8);
        }
}

/* Zeros at the end count, also where pieces end; and so does where one file ends and the next begins. */
Test(identity, ends) {
    static const size_t sizes[] = {0, 1, 31, 32, 33, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE};
    enum { SIZES = sizeof sizes / sizeof *sizes };
    static const uint8_t zeros[2 * PIECE];
    char found[SIZES][SAMC__IDENTITY], one[SAMC__IDENTITY], other[SAMC__IDENTITY], head[SAMC__IDENTITY];
    for (int i = 0; i < SIZES; i++) {
        identify_one(zeros, sizes[i], found[i]);
        snprintf(head, sizeof head, "%zu bytes, ", sizes[i]);
        cr_assert(strncmp(found[i], head, strlen(head)) == 0 && strlen(found[i]) == strlen(head) + 32, "%s", found[i]);
        for (int k = 0; k < i; k++)
            cr_assert_str_neq(strchr(found[i], ','), strchr(found[k], ','), "%zu, %zu", sizes[i], sizes[k]);
    }
    path small, large;
    const int handles[] = {hold(zeros, 32, small), hold(zeros, 64, large)};
    identify((const char *const[]){small, large}, 2, one);
    identify((const char *const[]){large, small}, 2, other);
    cr_assert_str_neq(one, other);
    for (int i = 0; i < 2; i++) close(handles[i]);
}

/* Not waited for, and not read. */
Test(identity, what_is_no_file) {
    char out[SAMC__IDENTITY];
    samc_error error = {0};
    int ends[2];
    path name;
    cr_assert_eq(pipe(ends), 0);
    name_of(ends[0], name);
    cr_assert_eq(samc__identity((const char *const[]){name}, 1, out, &error), SAMC_IO);
    cr_assert(strstr(error.message, "not a regular file but a pipe") != NULL, "%s", error.message);
    close(ends[0]), close(ends[1]);
    cr_assert_eq(samc__identity((const char *const[]){name}, 1, out, &error), SAMC_IO);
    cr_assert(strstr(error.message, "cannot open") != NULL, "%s", error.message);
}
