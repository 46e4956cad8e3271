/* Names of what masks are written as, and JSON strings. */
#include "host/io/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const outputs[] = {"rle", "png",  "overlay",    "jsonl", "coco",    "cutout",
                                      "npy", "sa1b", "webdataset", "gpkg",  "geojson", "cog"}; /* by their bits */
enum { OUTPUTS = sizeof outputs / sizeof *outputs };

unsigned samc_outputs_parse(const char *list, unsigned allowed) {
    unsigned bits = 0;
    if (list == NULL) return 0;
    for (;;) {
        size_t length = strcspn(list, ",");
        unsigned bit = 0;
        for (int i = 0; i < OUTPUTS; i++)
            if (strlen(outputs[i]) == length && memcmp(outputs[i], list, length) == 0) bit = 1u << i & allowed;
        if (bit == 0) return 0;
        bits |= bit;
        list += length;
        if (*list++ == '\0') return bits;
    }
}

void samc__outputs_print(unsigned bits, char *text) {
    *text = '\0';
    for (int i = 0; i < OUTPUTS; i++)
        if (bits & 1u << i) strcat(strcat(text, *text ? "," : ""), outputs[i]);
}

char *samc_text_utf8(const char *text) {
    if (text == NULL) return NULL;
    size_t length = strlen(text);
    char *clean = malloc(length * 3 + 1), *to = clean;
    if (clean == NULL) return NULL;
    for (size_t i = 0; i < length;) {
        /* The longest piece of up to four bytes that Jansson takes as UTF-8. */
        size_t piece = 0;
        for (size_t n = 1; n <= 4 && i + n <= length && piece == 0; n++) {
            json_t *one = json_stringn(text + i, n);
            if (one != NULL) piece = n;
            json_decref(one);
        }
        memcpy(to, piece == 0 ? "\xef\xbf\xbd" : text + i, piece == 0 ? 3 : piece);
        to += piece == 0 ? 3 : piece;
        i += piece == 0 ? 1 : piece;
    }
    *to = '\0';
    return clean;
}

json_t *samc__text_json(const char *text) {
    json_t *string = json_string(text);
    if (string != NULL) return string;
    char *clean = samc_text_utf8(text);
    string = clean ? json_string(clean) : NULL;
    free(clean);
    return string;
}

json_t *samc__text_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
