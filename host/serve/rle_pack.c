/* A count of 32 bits, then bits as they come: the word's size (5), four sizes of lengths (4 each), and runs: whether
 * one value is repeated (1), which size its length has (2), the length (that many), the value (8). Counts and lengths
 * are those less 1, but for the first. A pixel is four equal values. */
#include "host/serve/rle_pack.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 8, MOST_RUN = 1 << 16 };
static const int sizes[4] = {3, 4, 8, 16};

typedef struct bits {
    char *text; /* "[0,1,..." */
    size_t used, room;
    unsigned held; /* bits that make no byte yet */
    int count;
    bool failed;
} bits;

static void put_byte(bits *b, unsigned byte) {
    enum { LONGEST = 6 }; /* ",255", and "]" with the end of the text */
    if (b->room - b->used < LONGEST) {
        char *grown = realloc(b->text, 2 * b->room + 64);
        if (grown == NULL) {
            b->failed = true;
            return;
        }
        b->text = grown;
        b->room = 2 * b->room + 64;
    }
    b->text[b->used] = b->used == 0 ? '[' : ',';
    b->used++;
    if (byte >= 100) b->text[b->used++] = (char)('0' + byte / 100);
    if (byte >= 10) b->text[b->used++] = (char)('0' + byte / 10 % 10);
    b->text[b->used++] = (char)('0' + byte % 10);
}

static void put(bits *b, unsigned value, int width) {
    for (int i = width - 1; i >= 0 && !b->failed; i--) {
        b->held = b->held << 1 | (value >> i & 1);
        if (++b->count < 8) continue;
        put_byte(b, b->held);
        b->held = 0;
        b->count = 0;
    }
}

static void put_run(bits *b, size_t length, unsigned value) {
    while (length > 0) {
        const unsigned now = (unsigned)(length < MOST_RUN ? length : MOST_RUN), less = now - 1;
        unsigned which = 0;
        while (less >> sizes[which] != 0) which++;
        put(b, 1, 1);
        put(b, which, 2);
        put(b, less, sizes[which]);
        put(b, value, WORD);
        length -= now;
    }
}

char *samc__rle_pack(const uint8_t *mask, size_t count) {
    bits b = {0};
    if (count == 0 || count > UINT32_MAX / 4) return NULL;
    put(&b, (unsigned)(4 * count), 32);
    put(&b, WORD - 1, 5);
    for (int i = 0; i < 4; i++) put(&b, (unsigned)sizes[i] - 1, 4);
    for (size_t first = 0, end; first < count && !b.failed; first = end) {
        end = first + 1;
        while (end < count && (mask[end] != 0) == (mask[first] != 0)) end++;
        put_run(&b, 4 * (end - first), mask[first] != 0 ? 255 : 0);
    }
    if (b.count > 0) put(&b, 0, 8 - b.count);
    if (b.failed) {
        free(b.text);
        return NULL;
    }
    memcpy(b.text + b.used, "]", 2); /* there is room for it behind every byte */
    return b.text;
}
