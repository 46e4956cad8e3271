/* Lists of names and JSON strings. */
#include "host/io/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

unsigned samc__text_list(const char *text, const char *const *names, int count) {
    unsigned bits = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        unsigned bit = 0;
        for (int i = 0; i < count; i++)
            if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) bit = 1u << i;
        if (bit == 0) return 0;
        bits |= bit;
        text += length;
        if (*text++ == '\0') return bits;
    }
}

json_t *samc__text_json(const char *text) {
    json_t *string = json_string(text);
    if (string != NULL) return string;
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
    string = json_stringn(clean, (size_t)(to - clean));
    free(clean);
    return string;
}

json_t *samc__text_number(double value) { return isfinite(value) ? json_real(value) : json_null(); }
