/* Base 64 (RFC 4648, section 4). */
#include "host/serve/base64.h"

#include <stdlib.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *samc__base64(const void *bytes, size_t size) {
    const unsigned char *from = bytes;
    char *text = malloc((size + 2) / 3 * 4 + 1), *to = text;
    for (size_t i = 0; text != NULL && i < size; i += 3) {
        const unsigned second = i + 1 < size ? from[i + 1] : 0, third = i + 2 < size ? from[i + 2] : 0;
        const unsigned group = (unsigned)from[i] << 16 | second << 8 | third;
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = i + 1 < size ? digits[group >> 6 & 63] : '=';
        *to++ = i + 2 < size ? digits[group & 63] : '=';
    }
    if (text != NULL) *to = '\0';
    return text;
}

static int value_of(char c) {
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

long samc__base64_read(const char *text, size_t length, void *out, size_t room) {
    unsigned char *to = out;
    size_t used = 0;
    unsigned bits = 0;
    int held = 0;
    for (size_t i = 0; i < length && text[i] != '='; i++) {
        const int value = value_of(text[i]);
        if (value < 0) return -1;
        bits = bits << 6 | (unsigned)value;
        held += 6;
        if (held < 8) continue;
        held -= 8;
        if (used == room) return -1;
        to[used++] = (unsigned char)(bits >> held & 0xff);
    }
    return (long)used;
}
