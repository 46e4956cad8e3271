/* A digest of files that is faster than a disk. */
#include "host/io/identity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/file.h"
#include "runtime/base/status.h"

enum { LANES = 4, PIECE = 1 << 20 };

/* Four sums, each of every fourth word. A step can be undone by who knows the word, and gives another sum for another
 * word: one word that differs is never lost. Words are multiplied too: a word's highest bit, which no product carries
 * on, would else be another single bit of the sum, and the next word with that bit changed would take it back. */
typedef struct digest {
    uint64_t lane[LANES];
    int64_t size;
} digest;

static const uint64_t odd[LANES] = {UINT64_C(0x9E3779B97F4A7C15), UINT64_C(0xC2B2AE3D27D4EB4F),
                                    UINT64_C(0x165667B19E3779F9), UINT64_C(0xD6E8FEB86659FD93)};

static uint64_t step(uint64_t sum, uint64_t word, uint64_t factor) {
    sum ^= word * factor;
    return (sum << 29 | sum >> 35) * factor;
}

/* Whole blocks, but at the end of a file. */
static void add(digest *d, const uint8_t *bytes, size_t size) {
    d->size += (int64_t)size;
    for (; size > 0;) {
        uint64_t words[LANES] = {0};
        const size_t now = size < sizeof words ? size : sizeof words;
        memcpy(words, bytes, now);
        for (int i = 0; i < LANES; i++) d->lane[i] = step(d->lane[i], words[i], odd[i]);
        bytes += now, size -= now;
    }
}

static samc_status add_file(digest *d, const char *path, uint8_t *piece, samc_error *error) {
    struct stat information;
    int handle, code;
    SAMC__TRY(samc__file_open(path, &handle, &information, &code, error));
    const int64_t before = d->size;
    size_t held = 0;
    for (bool over = false; !over;) {
        const ssize_t now = read(handle, piece + held, PIECE - held);
        if (now < 0 && errno == EINTR) continue;
        if (now < 0) {
            samc__fail(error, SAMC_IO, "%s: cannot read: %s", path, strerror(errno));
            close(handle);
            return SAMC_IO;
        }
        held += (size_t)now;
        over = now == 0;
        if (held == PIECE || over) add(d, piece, held), held = 0;
    }
    close(handle);
    const uint64_t length = (uint64_t)(d->size - before); /* where one file ends and the next begins */
    for (int i = 0; i < LANES; i++) d->lane[i] = step(d->lane[i], length, odd[i]);
    return SAMC_OK;
}

/* Both halves of what is printed depend on all lanes. */
static uint64_t fold(const digest *d, int first) {
    uint64_t sum = (uint64_t)first;
    for (int i = 0; i < LANES; i++) sum = step(sum, d->lane[(first + i) % LANES], odd[(first + 3 * i) % LANES]);
    sum ^= sum >> 32;
    sum *= odd[first];
    return sum ^ sum >> 29;
}

samc_status samc__identity(const char *const *paths, int count, char out[SAMC__IDENTITY], samc_error *error) {
    digest d = {{0}, 0};
    uint8_t *piece = malloc(PIECE);
    if (piece == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to read %d files", count);
    samc_status status = SAMC_OK;
    for (int i = 0; i < count && status == SAMC_OK; i++) status = add_file(&d, paths[i], piece, error);
    free(piece);
    snprintf(out, SAMC__IDENTITY, "%" PRId64 " bytes, %016" PRIx64 "%016" PRIx64, d.size, fold(&d, 0), fold(&d, 1));
    return status;
}
