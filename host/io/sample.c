/* Writing samples: ustar entries, those with long names behind GNU tar's entry for them, which holds any bytes. */
#include "host/io/sample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/png.h"
#include "runtime/base/status.h"

enum { BLOCK = 512, NAME = 100, PIECE = 1 << 16 };

typedef struct header {
    char name[NAME], mode[8], user[8], group[8], size[12], time[12], sum[8], type, link[NAME], magic[6], version[2];
    char rest[247]; /* names of owners, devices, the beginning of a longer name: none */
} header;
_Static_assert(sizeof(header) == BLOCK, "a tar's header is a block");

static samc_status append_header(samc__spool *spool, const char *name, char type, int64_t size, samc_error *error) {
    header h = {.mode = "0000644",
                .user = "0000000",
                .group = "0000000",
                .time = "00000000000",
                .type = type,
                .magic = "ustar",
                .version = {'0', '0'}};
    char sum[8];
    unsigned total = 0;
    if (size > 077777777777)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: %lld bytes are more than a tar has of one file", name,
                          (long long)size);
    memcpy(h.name, name, strnlen(name, NAME));
    snprintf(h.size, sizeof h.size, "%011llo", (unsigned long long)size);
    memset(h.sum, ' ', sizeof h.sum);
    for (size_t i = 0; i < sizeof h; i++) total += ((const uint8_t *)&h)[i];
    snprintf(sum, sizeof sum, "%06o", total);
    memcpy(h.sum, sum, sizeof sum - 1); /* six digits, a zero byte, the blank that is there */
    return samc__spool_append(spool, &h, sizeof h, error);
}

static samc_status fill_block(samc__spool *spool, int64_t size, samc_error *error) {
    static const char zeros[BLOCK];
    return samc__spool_append(spool, zeros, (size_t)(-size & (BLOCK - 1)), error);
}

/* What stands before the bytes of a file. */
static samc_status begin_file(samc__spool *spool, const char *name, int64_t size, samc_error *error) {
    size_t length = strlen(name) + 1;
    if (length > NAME) {
        SAMC__TRY(append_header(spool, "././@LongLink", 'L', (int64_t)length, error));
        SAMC__TRY(samc__spool_append(spool, name, length, error));
        SAMC__TRY(fill_block(spool, (int64_t)length, error));
    }
    return append_header(spool, name, '0', size, error);
}

static samc_status append_file(samc__spool *spool, const char *name, const void *bytes, size_t size,
                               samc_error *error) {
    SAMC__TRY(begin_file(spool, name, (int64_t)size, error));
    SAMC__TRY(samc__spool_append(spool, bytes, size, error));
    return fill_block(spool, (int64_t)size, error);
}

/* The JSON, whose length has to be known before it. */
static samc_status append_records(samc__spool *spool, const char *name, const samc_masks *image, samc_error *error) {
    char *piece = malloc(PIECE);
    samc__spool text = {.folder = spool->folder};
    samc_status status = piece ? samc__masks_spool_sa1b(&text, image, error) : samc__masks_no_memory(image, error);
    if (status == SAMC_OK) status = begin_file(spool, name, text.length, error);
    for (int64_t at = 0, n; status == SAMC_OK && at < text.length; at += n) {
        n = text.length - at < PIECE ? text.length - at : PIECE;
        status = samc__spool_read(&text, at, piece, (size_t)n, error);
        if (status == SAMC_OK) status = samc__spool_append(spool, piece, (size_t)n, error);
    }
    if (status == SAMC_OK) status = fill_block(spool, text.length, error);
    samc__spool_free(&text);
    free(piece);
    return status;
}

static samc_status append_label_map(samc__spool *spool, const char *name, const samc_masks *image, samc_error *error) {
    size_t pixels = (size_t)image->width * (size_t)image->height, size = 0;
    int32_t *labels = malloc(pixels * sizeof *labels);
    uint16_t *grey = malloc(pixels * sizeof *grey);
    uint8_t *png = NULL;
    samc_status status = labels && grey ? SAMC_OK : samc__masks_no_memory(image, error);
    if (image->count > UINT16_MAX)
        status = samc__fail(error, SAMC_UNSUPPORTED, "%s: %d masks are more than a label map tells apart",
                            image->source, image->count);
    if (status == SAMC_OK) status = samc__masks_label(image, labels, error);
    for (size_t i = 0; status == SAMC_OK && i < pixels; i++) grey[i] = (uint16_t)labels[i];
    free(labels);
    if (status == SAMC_OK)
        status = samc__png_encode_grey16(image->source, grey, image->width, image->height, &png, &size, error);
    free(grey);
    if (status == SAMC_OK) status = append_file(spool, name, png, size, error);
    free(png);
    return status;
}

samc_status samc__sample_append(samc__spool *spool, const samc__sample *sample, const samc_masks *image,
                                samc_error *error) {
    size_t stem = samc__name_stem(sample->member), room = stem + sizeof ".labels.png";
    char *name = malloc(room);
    samc_status status = name ? SAMC_OK : samc__masks_no_memory(image, error);
    if (status == SAMC_OK && sample->bytes != NULL)
        status = append_file(spool, sample->member, sample->bytes, sample->size, error);
    if (status == SAMC_OK) {
        snprintf(name, room, "%.*s.json", (int)stem, sample->member);
        status = append_records(spool, name, image, error);
    }
    if (status == SAMC_OK && sample->label_map) {
        snprintf(name, room, "%.*s%s", (int)stem, sample->member, sample->bytes ? ".labels.png" : ".png");
        status = append_label_map(spool, name, image, error);
    }
    free(name);
    return status;
}
