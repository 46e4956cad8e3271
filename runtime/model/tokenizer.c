/* CLIP's byte-pair encoding: one pass of Unicode, words, and merges by rank. */
#include "runtime/model/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum {
    PAIRS = 48894,
    FIRST = 512,         /* the token of the first pair, behind those of bytes */
    LAST_BYTE = 256,     /* what the token of a byte at a word's end is larger by */
    SLOTS = 1 << 17,     /* of the table of pairs: 37 % are taken */
    LONGEST = 1 << 20,   /* bytes of a phrase */
    DIGITS_OF_PAIR = 6,  /* in the generated text */
    DOTTED_I = 0x130,    /* the one letter whose small form is two: i and */
    DOT_ABOVE = 0x307,   /* this */
    NEXT_LINE = 0x85,    /* white space that is a control character, with 9 to 13 */
    REPLACED_BYTES = 68, /* bytes that are no plain character of Latin-1 and are numbered behind these */
};

static const char merges[] =
#include "runtime/model/tokenizer_merges.inc"
    ;
_Static_assert(sizeof merges == (size_t)PAIRS * DIGITS_OF_PAIR + 1, "the table has all pairs");

static const char start_text[] = "<|startoftext|>", end_text[] = "<|endoftext|>";

struct samc__tokenizer {
    uint32_t pairs[PAIRS]; /* left << 16 | right */
    uint16_t slots[SLOTS]; /* 1 + number of the pair that lies there, 0: none */
    uint16_t bytes[256];   /* token of each */
};

/* ---- The table of pairs ---------------------------------------------------------------------- */

static uint32_t digit(char c) {
    if (c <= '9') return c == '+' ? 62 : c == '-' ? 63 : (uint32_t)(c - '0');
    return c <= 'Z' ? (uint32_t)(c - 'A') + 10 : (uint32_t)(c - 'a') + 36;
}

static uint32_t number(const char *text) { return digit(text[0]) << 12 | digit(text[1]) << 6 | digit(text[2]); }

static uint32_t slot_of(uint32_t pair) { return (pair * 2654435761u) >> 15; }

samc_status samc__tokenizer_create(samc__tokenizer **tokenizer, samc_error *error) {
    samc__tokenizer *t = *tokenizer = calloc(1, sizeof *t);
    if (t == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a tokenizer: %zu bytes", sizeof *t);
    for (uint32_t i = 0; i < PAIRS; i++) {
        const char *text = merges + i * DIGITS_OF_PAIR;
        uint32_t pair = t->pairs[i] = number(text) << 16 | number(text + 3), slot = slot_of(pair);
        while (t->slots[slot] != 0) slot = (slot + 1) % SLOTS;
        t->slots[slot] = (uint16_t)(i + 1);
    }
    /* The vocabulary numbers what prints in Latin-1 first, then the rest. */
    for (uint32_t b = 0, plain = 0, rest = 256 - REPLACED_BYTES; b < 256; b++) {
        bool prints = (b > 0x20 && b < 0x7f) || (b > 0xa0 && b != 0xad);
        t->bytes[b] = (uint16_t)(prints ? plain++ : rest++);
    }
    return SAMC_OK;
}

void samc__tokenizer_free(samc__tokenizer *tokenizer) { free(tokenizer); }

/* The token that two are merged to, 0 where they are not: no pair makes that of a byte. */
static uint32_t merged(const samc__tokenizer *t, uint32_t left, uint32_t right) {
    uint32_t pair = left << 16 | right;
    for (uint32_t slot = slot_of(pair); t->slots[slot] != 0; slot = (slot + 1) % SLOTS)
        if (t->pairs[t->slots[slot] - 1] == pair) return FIRST + t->slots[slot] - 1u;
    return 0;
}

/* ---- Merging a word -------------------------------------------------------------------------- */

/* A part of the word; `next` and `last` are indices of its neighbours, -1: none. Token 0 is '!', so that a part which
 * has become one with its left neighbour is `gone`. */
typedef struct part {
    uint32_t token;
    int32_t last, next;
    bool gone;
} part;

/* What may be merged: the token that this makes, and the left part's index. Lower tokens come first, then those
 * further left: one number says both. */
typedef uint64_t merge;

typedef struct work {
    const samc__tokenizer *t;
    int32_t *points;     /* [room] a segment's characters, composed and in lower case */
    uint8_t *characters; /* [room] their kinds */
    part *parts;         /* [4 room] */
    merge *heap;         /* [12 room] */
    int32_t heaped;
    int32_t *ids; /* [context] */
    int context, count, end;
    bool cut;
} work;

static void push(work *w, merge value) {
    int32_t at = w->heaped++;
    for (; at > 0 && w->heap[(at - 1) / 2] > value; at = (at - 1) / 2) w->heap[at] = w->heap[(at - 1) / 2];
    w->heap[at] = value;
}

static merge pop(work *w) {
    merge top = w->heap[0], value = w->heap[--w->heaped];
    int32_t at = 0;
    for (int32_t child; (child = 2 * at + 1) < w->heaped; at = child) {
        if (child + 1 < w->heaped && w->heap[child + 1] < w->heap[child]) child++;
        if (w->heap[child] >= value) break;
        w->heap[at] = w->heap[child];
    }
    w->heap[at] = value;
    return top;
}

static void propose(work *w, int32_t left) {
    if (left < 0 || w->parts[left].next < 0) return;
    uint32_t token = merged(w->t, w->parts[left].token, w->parts[w->parts[left].next].token);
    if (token != 0) push(w, (merge)token << 32 | (uint32_t)left);
}

/* A token for the tower; the last place is the end's. */
static void emit(work *w, uint32_t token) {
    if (w->count == w->context - 1) {
        w->cut = true;
        return;
    }
    if (token == SAMC__TOKEN_END && w->end < 0) w->end = w->count;
    w->ids[w->count++] = (int32_t)token;
}

/* A word of `count` characters. Each merge takes the lowest token that two neighbours make, the leftmost of these. */
static void merge_word(work *w, const int32_t *points, int32_t count) {
    const samc__tokenizer *t = w->t;
    part *parts = w->parts;
    int32_t length = 0;
    for (int32_t i = 0; i < count; i++) {
        uint8_t bytes[4];
        int n = (int)utf8proc_encode_char(points[i], bytes);
        for (int b = 0; b < n; b++, length++)
            parts[length] = (part){.token = t->bytes[bytes[b]], .last = length - 1, .next = length + 1};
    }
    parts[length - 1].next = -1;
    parts[length - 1].token += LAST_BYTE;
    w->heaped = 0;
    for (int32_t i = 0; i + 1 < length; i++) propose(w, i);
    while (w->heaped > 0) {
        merge top = pop(w);
        part *left = &parts[(uint32_t)top];
        if (left->gone || left->next < 0) continue;
        part *right = &parts[left->next];
        if (merged(t, left->token, right->token) != top >> 32) continue; /* one of them has become another since */
        left->token = (uint32_t)(top >> 32);
        left->next = right->next;
        right->gone = true;
        if (left->next >= 0) parts[left->next].last = (int32_t)(uint32_t)top;
        propose(w, left->last);
        propose(w, (int32_t)(uint32_t)top);
    }
    for (int32_t i = 0; i >= 0 && !w->cut; i = parts[i].next) emit(w, parts[i].token);
}

/* ---- Words ----------------------------------------------------------------------------------- */

enum { SPACE, LETTER, NUMBER, OTHER };

static uint8_t kind_of(int32_t point) {
    switch (utf8proc_category(point)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return SPACE;
    default:
        return (point >= '\t' && point <= '\r') || point == NEXT_LINE ? SPACE : OTHER;
    }
}

static bool begins(const int32_t *points, int32_t count, const char *text) {
    int32_t i = 0;
    for (; text[i] != '\0'; i++)
        if (i == count || points[i] != text[i]) return false;
    return true;
}

/* Length of the English ending that the characters begin with, 0: none. */
static int32_t ending(const int32_t *points, int32_t count) {
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    for (size_t i = 0; points[0] == '\'' && i < sizeof endings / sizeof *endings; i++)
        if (begins(points, count, endings[i])) return (int32_t)strlen(endings[i]);
    return 0;
}

/* Takes the words out of a segment's characters, in the order of the pattern
 * <|startoftext|> | <|endoftext|> | 's | 't | 're | 've | 'm | 'll | 'd | letters | number | anything else but space.
 * The first two are what was in capitals, not the special tokens, and fall to three words: <| and letters and |>. */
static void take_words(work *w, int32_t count) {
    const int32_t *points = w->points;
    const uint8_t *kinds = w->characters;
    for (int32_t i = 0, n; i < count && !w->cut; i += n) {
        n = ending(points + i, count - i);
        if (n == 0 && (begins(points + i, count - i, start_text) || begins(points + i, count - i, end_text))) {
            int32_t letters = points[i + 2] == 's' ? 11 : 9;
            merge_word(w, points + i, 2);
            merge_word(w, points + i + 2, letters);
            merge_word(w, points + i + 2 + letters, 2);
            n = letters + 4;
            continue;
        }
        if (n == 0) do
                n++;
            while (kinds[i] != NUMBER && i + n < count && kinds[i + n] == kinds[i]);
        if (kinds[i] != SPACE) merge_word(w, points + i, n);
    }
}

/* ---- A phrase -------------------------------------------------------------------------------- */

/* Composed (NFC) and in lower case, each character by itself; then its words. Text [length] has no special token. */
static samc_status take_segment(work *w, const char *text, size_t length, samc_error *error) {
    utf8proc_uint8_t *composed = NULL;
    utf8proc_ssize_t bytes = utf8proc_map((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, &composed,
                                          UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (bytes == UTF8PROC_ERROR_NOMEM) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to read a phrase");
    if (bytes < 0) return samc__fail(error, SAMC_INVALID_ARGUMENT, "the phrase is not UTF-8");
    int32_t count = 0, point;
    for (utf8proc_ssize_t at = 0, n; at < bytes; at += n) {
        n = utf8proc_iterate(composed + at, bytes - at, &point);
        w->points[count++] = point == DOTTED_I ? 'i' : utf8proc_tolower(point);
        if (point == DOTTED_I) w->points[count++] = DOT_ABOVE;
    }
    free(composed);
    for (int32_t i = 0; i < count; i++) w->characters[i] = kind_of(w->points[i]);
    take_words(w, count);
    return SAMC_OK;
}

static samc_status take_phrase(work *w, const char *phrase, size_t length, samc_error *error) {
    /* Special tokens are found first, in the phrase as it is. */
    size_t begin = 0;
    for (size_t i = 0; i < length; i++) {
        bool start = strncmp(phrase + i, start_text, sizeof start_text - 1) == 0;
        if (!start && strncmp(phrase + i, end_text, sizeof end_text - 1) != 0) continue;
        SAMC__TRY(take_segment(w, phrase + begin, i - begin, error));
        emit(w, start ? SAMC__TOKEN_START : SAMC__TOKEN_END);
        begin = i + (start ? sizeof start_text : sizeof end_text) - 1;
        i = begin - 1;
    }
    return take_segment(w, phrase + begin, length - begin, error);
}

samc_status samc__tokenize(const samc__tokenizer *tokenizer, const char *phrase, int context, int32_t *ids,
                           samc__tokens *tokens, samc_error *error) {
    size_t length = strlen(phrase);
    if (length > LONGEST)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "a phrase of %zu bytes: at most %d", length, LONGEST);
    /* Composing makes at most three characters of one, and of none more than it has bytes; of the capital I with a dot,
     * which has two, two are made here. A character has at most four bytes, a part each. Of a word of n parts n - 1
     * merges are proposed at first, and two after each of at most n - 1. */
    const size_t room = length + 1;
    work w = {.t = tokenizer, .ids = ids, .context = context, .count = 1, .end = -1};
    char *memory = malloc(room * (12 * sizeof(merge) + 4 * sizeof(part) + sizeof(int32_t) + 1));
    if (memory == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to read a phrase of %zu bytes", length);
    w.heap = (merge *)memory;
    w.parts = (part *)(w.heap + 12 * room);
    w.points = (int32_t *)(w.parts + 4 * room);
    w.characters = (uint8_t *)(w.points + room);
    memset(ids, 0, (size_t)context * sizeof *ids);
    ids[0] = SAMC__TOKEN_START;
    samc_status status = take_phrase(&w, phrase, length, error);
    free(memory);
    SAMC__TRY(status);
    if (w.count == 1) return samc__fail(error, SAMC_INVALID_ARGUMENT, "the phrase is empty");
    ids[w.count] = SAMC__TOKEN_END;
    *tokens = (samc__tokens){.count = w.count + 1, .end = w.end < 0 ? w.count : w.end, .cut = w.cut};
    return SAMC_OK;
}
