/* Reads the central directory of a zip archive, with zip64, against hostile bytes (APPNOTE.TXT 6.3, sections 4.3
 * and 4.5). */
#include "weights/zip.h"

#include <stdlib.h>
#include <string.h>

enum {
    END_SIZE = 22,     /* end of central directory, without its comment */
    END64_SIZE = 56,   /* zip64 end of central directory */
    LOCATOR_SIZE = 20, /* zip64 locator, right before the end record */
    CENTRAL_SIZE = 46, /* directory entry, without name, extra field and comment */
    LOCAL_SIZE = 30,   /* local header, without name and extra field */
    MAX_COMMENT = 65535,
};

static int compare_text(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t shorter = a_length < b_length ? a_length : b_length;
    int order = shorter ? memcmp(a, b, shorter) : 0;
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_entries(const void *a, const void *b) {
    const samc__zip_entry *x = a, *y = b;
    return compare_text(x->name, x->name_length, y->name, y->name_length);
}

static samc_status damaged(const samc__zip *zip, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged zip archive: %s", zip->label, what);
}

typedef struct directory {
    uint64_t at, size, entries;
} directory;

/* Finds the central directory from the end of the file. */
static samc_status find_directory(const samc__zip *zip, directory *found, samc_error *error) {
    const uint8_t *bytes = zip->bytes;
    if (zip->size < END_SIZE) return damaged(zip, "too short", error);
    size_t at = zip->size - END_SIZE, lowest = at > MAX_COMMENT ? at - MAX_COMMENT : 0;
    /* The record is the one whose comment reaches exactly to the end of the file. */
    while (samc__le32(bytes + at) != 0x06054b50 || samc__le16(bytes + at + 20) != zip->size - at - END_SIZE) {
        if (at == lowest) return damaged(zip, "its directory is missing (is the file complete?)", error);
        at--;
    }
    *found = (directory){samc__le32(bytes + at + 16), samc__le32(bytes + at + 12), samc__le16(bytes + at + 10)};
    bool large = found->at == 0xffffffff || found->size == 0xffffffff || found->entries == 0xffff;
    size_t limit = at;
    if (large && at >= LOCATOR_SIZE && samc__le32(bytes + at - LOCATOR_SIZE) == 0x07064b50) {
        uint64_t end64 = samc__le64(bytes + at - LOCATOR_SIZE + 8);
        limit = at - LOCATOR_SIZE;
        if (limit < END64_SIZE || end64 > limit - END64_SIZE || samc__le32(bytes + end64) != 0x06064b50)
            return damaged(zip, "its zip64 record is not where it should be", error);
        *found =
            (directory){samc__le64(bytes + end64 + 48), samc__le64(bytes + end64 + 40), samc__le64(bytes + end64 + 32)};
        limit = (size_t)end64;
    }
    if (found->at > limit || found->size > limit - found->at)
        return damaged(zip, "its directory lies outside the file", error);
    if (found->entries > found->size / CENTRAL_SIZE)
        return damaged(zip, "more entries than its directory holds", error);
    return SAMC_OK;
}

/* Replaces sizes and offset that do not fit 32 bits by those of the zip64 extra field. */
static bool read_zip64(samc__zip_entry *entry, const uint8_t *extra, size_t length) {
    uint64_t *wide[3] = {&entry->size, &entry->packed_size, &entry->header_at};
    bool needed = entry->size == 0xffffffff || entry->packed_size == 0xffffffff || entry->header_at == 0xffffffff;
    while (needed && length >= 4) {
        size_t field = samc__le16(extra + 2);
        if (field > length - 4) return false;
        if (samc__le16(extra) == 1) {
            const uint8_t *value = extra + 4, *end = value + field;
            for (int i = 0; i < 3; i++) {
                if (*wide[i] != 0xffffffff) continue;
                if (end - value < 8) return false;
                *wide[i] = samc__le64(value);
                value += 8;
            }
            return true;
        }
        extra += 4 + field;
        length -= 4 + field;
    }
    return !needed; /* needed and not found: the 32-bit values stand for nothing */
}

static samc_status read_entries(samc__zip *zip, const directory *found, samc_error *error) {
    const uint8_t *at = zip->bytes + found->at, *end = at + found->size;
    for (uint64_t i = 0; i < found->entries; i++) {
        if (end - at < CENTRAL_SIZE || samc__le32(at) != 0x02014b50)
            return damaged(zip, "an entry of its directory is not one", error);
        size_t name = samc__le16(at + 28), extra = samc__le16(at + 30), comment = samc__le16(at + 32);
        if ((size_t)(end - at) < CENTRAL_SIZE + name + extra + comment)
            return damaged(zip, "an entry of its directory is cut off", error);
        samc__zip_entry *entry = &zip->entries[i];
        *entry = (samc__zip_entry){
            .name = (const char *)at + CENTRAL_SIZE,
            .name_length = (uint32_t)name,
            .flags = samc__le16(at + 8),
            .method = samc__le16(at + 10),
            .packed_size = samc__le32(at + 20),
            .size = samc__le32(at + 24),
            .header_at = samc__le32(at + 42),
        };
        if (!read_zip64(entry, at + CENTRAL_SIZE + name, extra))
            return damaged(zip, "an entry lacks its zip64 sizes", error);
        at += CENTRAL_SIZE + name + extra + comment;
        zip->count++;
    }
    if (zip->count > 1) qsort(zip->entries, zip->count, sizeof *zip->entries, compare_entries);
    for (size_t i = 1; i < zip->count; i++)
        if (compare_entries(&zip->entries[i - 1], &zip->entries[i]) == 0)
            return samc__fail(error, SAMC_FORMAT, "%s: damaged zip archive: two entries named %s", zip->label,
                              samc__printable(zip->entries[i].name, zip->entries[i].name_length).text);
    return SAMC_OK;
}

samc_status samc__zip_open(const uint8_t *bytes, size_t size, const char *label, samc__zip *zip, samc_error *error) {
    *zip = (samc__zip){.bytes = bytes, .size = size, .label = label};
    directory found = {0};
    SAMC__TRY(find_directory(zip, &found, error));
    /* At most the size of the directory itself, which is bytes of the file. */
    zip->entries = malloc((size_t)(found.entries + 1) * sizeof *zip->entries);
    if (zip->entries == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", label);
    samc_status status = read_entries(zip, &found, error);
    if (status != SAMC_OK) samc__zip_close(zip);
    return status;
}

void samc__zip_close(samc__zip *zip) {
    free(zip->entries);
    zip->entries = NULL;
    zip->count = 0;
}

const samc__zip_entry *samc__zip_find(const samc__zip *zip, const char *name, size_t length) {
    size_t low = 0, high = zip->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const samc__zip_entry *entry = &zip->entries[middle];
        int order = compare_text(name, length, entry->name, entry->name_length);
        if (order == 0) return entry;
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

samc_status samc__zip_data(const samc__zip *zip, const samc__zip_entry *entry, const uint8_t **data,
                           samc_error *error) {
    const samc__text name = samc__printable(entry->name, entry->name_length);
    if (entry->flags & 1)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: entry %s is encrypted", zip->label, name.text);
    if (entry->method != 0)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: entry %s is compressed, so it cannot be used in place; re-save the checkpoint in Python "
                          "with torch.save(torch.load(p), q)",
                          zip->label, name.text);
    const char *defect = NULL;
    if (entry->packed_size != entry->size) {
        defect = "has two different sizes";
    } else if (entry->header_at > zip->size || zip->size - entry->header_at < LOCAL_SIZE) {
        defect = "lies outside the file";
    } else {
        const uint8_t *local = zip->bytes + entry->header_at;
        size_t left = zip->size - (size_t)entry->header_at - LOCAL_SIZE;
        size_t name_length = samc__le16(local + 26), extra_length = samc__le16(local + 28);
        if (samc__le32(local) != 0x04034b50 || name_length != entry->name_length || name_length + extra_length > left ||
            memcmp(local + LOCAL_SIZE, entry->name, name_length) != 0 || samc__le16(local + 8) != entry->method) {
            defect = "is not where the directory says";
        } else if (entry->size > left - name_length - extra_length) {
            defect = "reaches beyond the end of the file";
        } else {
            *data = local + LOCAL_SIZE + name_length + extra_length;
        }
    }
    if (defect != NULL)
        return samc__fail(error, SAMC_FORMAT, "%s: damaged zip archive: entry %s %s", zip->label, name.text, defect);
    return SAMC_OK;
}
