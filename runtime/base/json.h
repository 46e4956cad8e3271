/* JSON read in place and written to a growing text, for safetensors headers and samc.config.
 *
 * Why not Jansson, which the host uses for prompts and results: when memory is short, version 2.14 drops characters
 * from tokens or fails an assertion (lex_save() and lex_scan_string() in load.c), and a hostile header takes 60 times
 * its size in memory. Reading here allocates nothing: a value is a slice of a text that samc__json_check() has found to
 * be right.
 */
#ifndef SAMC_RUNTIME_BASE_JSON_H
#define SAMC_RUNTIME_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Length of the UTF-8 sequence at `at` < `end`, 0 if it is none: overlong forms, surrogates and numbers above U+10FFFF
 * are not. */
int samc__utf8_length(const char *at, const char *end);

/* ---- Reading ---- */

typedef struct samc__json {
    const char *begin, *end; /* without surrounding space; begin == NULL: absent */
} samc__json;

enum { SAMC__JSON_DEPTH = 64 };

/* Checks a whole text: grammar of RFC 8259, UTF-8, no "\u0000", at most SAMC__JSON_DEPTH levels. Fills *value; on
 * failure returns what is wrong, and where in *at. */
const char *samc__json_check(const char *text, size_t length, samc__json *value, size_t *at);

/* The first character tells the kind: { [ " t f n, or - and digits for numbers. '\0' if absent. */
static inline char samc__json_kind(samc__json value) { return value.begin == NULL ? '\0' : *value.begin; }
static inline bool samc__json_is_object(samc__json value) { return samc__json_kind(value) == '{'; }
static inline bool samc__json_is_array(samc__json value) { return samc__json_kind(value) == '['; }
static inline bool samc__json_is_string(samc__json value) { return samc__json_kind(value) == '"'; }

/* Steps through an array or an object, starting with *cursor == NULL; `key` (may be NULL) is absent in
 * arrays. False at the end, and at once for values of another kind. */
bool samc__json_next(samc__json container, const char **cursor, samc__json *key, samc__json *item);
/* The value under `key`; absent if there is none or this is no object. */
samc__json samc__json_get(samc__json object, const char *key);

/* Decodes a string with its NUL into `out`, which has `room` >= 1 bytes; false if it does not fit or is no string. A
 * string never gets longer by decoding, so end - begin is room enough. */
bool samc__json_string(samc__json value, char *out, size_t room);
bool samc__json_equals(samc__json value, const char *text); /* texts below 64 characters */
/* Whole numbers that an int64_t holds, written without point and exponent. */
bool samc__json_integer(samc__json value, int64_t *integer);
bool samc__json_number(samc__json value, double *number);

/* ---- Writing ---- */

/* A text that grows; once memory was short, `failed` stays set and nothing is added. */
typedef struct samc__json_text {
    char *data; /* [used] and a NUL; the caller frees it */
    size_t used, room;
    bool failed;
} samc__json_text;

void samc__json_put(samc__json_text *text, const char *bytes, size_t length); /* as it is */
void samc__json_put_string(samc__json_text *text, const char *string);        /* in quotes, escaped */
void samc__json_put_integer(samc__json_text *text, int64_t integer);
/* The shortest decimals that read back as the same float or double. */
void samc__json_put_float(samc__json_text *text, float number);
void samc__json_put_double(samc__json_text *text, double number);
/* "key": and before it a comma unless this is the first of its object. */
void samc__json_put_key(samc__json_text *text, const char *key);

#endif
