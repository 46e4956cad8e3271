/* Where a picture says how it is to be turned: EXIF blocks, XMP packets, and EXIF in the hexadecimal of ImageMagick's
 * raw profiles. Each is read as far as Pillow reads it, and nothing in them is an error: a camera's odd block must not
 * cost the picture. */
#include <stdlib.h>
#include <string.h>

#include "host/io/image_format.h"

enum { ORIENTATION = 0x0112 };

/* Bytes of one value of a TIFF type; 0 for types that there are not. */
static size_t type_size(uint32_t type) {
    static const uint8_t sizes[] = {0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4};
    return type < sizeof sizes ? sizes[type] : 0;
}

int samc__exif_orientation(const uint8_t *block, size_t size) {
    while (size >= 6 && memcmp(block, "Exif\0\0", 6) == 0) {
        block += 6;
        size -= 6;
    }
    if (size < 8 || (memcmp(block, "II*\0", 4) != 0 && memcmp(block, "MM\0*", 4) != 0)) return 0;
    bool little = block[0] == 'I';
    uint32_t (*read16)(const uint8_t *) = little ? samc__little16 : samc__big16;
    uint32_t (*read32)(const uint8_t *) = little ? samc__little32 : samc__big32;
    size_t directory = read32(block + 4);
    if (directory > size - 2) return 0;
    size_t entries = read16(block + directory);
    size_t total = 0; /* bytes of values so far that lie elsewhere */
    for (size_t i = 0; i < entries; i++) {
        size_t at = directory + 2 + 12 * i;
        if (at + 12 > size) break;
        uint32_t type = read16(block + at + 2);
        size_t bytes = type_size(type), count = read32(block + at + 4);
        if (bytes == 0 || count == 0) continue;
        const uint8_t *value = block + at + 8; /* or where the value lies, if it is longer than four bytes */
        if (bytes * count > 4) {
            size_t offset = read32(value);
            /* As Pillow, which passes over what cannot be in the block, and reads no further where it merely is not. */
            if ((total += bytes * count) > size) continue;
            if (offset > size || count > (size - offset) / bytes) break;
            value = block + offset;
        }
        if (read16(block + at) != ORIENTATION) continue;
        uint32_t number = 0; /* bytes, texts and fractions say nothing to Pillow */
        if (type == 3 || type == 8) number = read16(value);
        if (type == 4 || type == 9 || type == 13) number = read32(value);
        if (type == 6) number = *value;
        return number >= 1 && number <= 8 ? (int)number : 1; /* the first of several */
    }
    return 0;
}

int samc__xmp_orientation(const uint8_t *packet, size_t size) {
    static const char name[] = "tiff:Orientation";
    if (size == 0) return 0; /* and perhaps no packet */
    const uint8_t *end = packet + size;
    for (const uint8_t *at = packet; (at = memmem(at, (size_t)(end - at), name, sizeof name - 1)) != NULL;) {
        at += sizeof name - 1;
        size_t left = (size_t)(end - at), skip = left >= 3 && memcmp(at, "=\"", 2) == 0 ? 2
                                                 : left >= 2 && *at == '>'              ? 1
                                                                                        : 0;
        if (skip == 0 || at[skip] < '0' || at[skip] > '9') continue;
        return at[skip] >= '1' && at[skip] <= '8' ? at[skip] - '0' : 1;
    }
    return 0;
}

int samc__raw_profile_orientation(const uint8_t *text, size_t size) {
    size_t at = 0, used = 0;
    for (int lines = 0; lines < 3; at++) {
        if (at == size) return 0;
        lines += text[at] == '\n';
    }
    uint8_t *block = malloc((size - at) / 2 + 1);
    if (block == NULL) return 0;
    int high = -1;
    for (; at < size; at++) {
        uint8_t c = text[at];
        int digit = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (digit < 0) continue;
        if (high < 0) {
            high = digit;
        } else {
            block[used++] = (uint8_t)(high << 4 | digit);
            high = -1;
        }
    }
    int found = samc__exif_orientation(block, used);
    free(block);
    return found;
}
