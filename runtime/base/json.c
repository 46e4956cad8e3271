/* A JSON checker, a reader of checked text, and a writer; see json.h. The checker is the only part that meets hostile
 * bytes. */
#include "runtime/base/decimal.h"
#include "runtime/base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Checking -------------------------------------------------------------------------------- */

typedef struct scanner {
    const char *at, *end;
    const char *wrong; /* NULL while all is well */
} scanner;

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void skip_space(scanner *s) {
    while (s->at < s->end && is_space(*s->at)) s->at++;
}

static bool fail(scanner *s, const char *wrong) {
    s->wrong = wrong;
    return false;
}

static bool accept(scanner *s, char c) {
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

/* Four hexadecimal digits; -1 if they are not. */
static int hex4(const char *at, const char *end) {
    int value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        int digit = is_digit(c)            ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

int samc__utf8_length(const char *at, const char *end) {
    const unsigned char *b = (const unsigned char *)at;
    int length = b[0] < 0x80 ? 1 : b[0] < 0xc2 ? 0 : b[0] < 0xe0 ? 2 : b[0] < 0xf0 ? 3 : b[0] < 0xf5 ? 4 : 0;
    if (length == 0 || end - at < length) return 0;
    for (int i = 1; i < length; i++)
        if ((b[i] & 0xc0) != 0x80) return 0;
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f) || (b[0] == 0xf0 && b[1] < 0x90) ||
        (b[0] == 0xf4 && b[1] > 0x8f))
        return 0;
    return length;
}

static bool check_escape(scanner *s) {
    if (s->at == s->end) return fail(s, "a string without end");
    char c = *s->at++;
    if (c != 'u') return strchr("\"\\/bfnrt", c) != NULL && c != '\0' ? true : fail(s, "an unknown escape");
    int code = hex4(s->at, s->end);
    if (code <= 0 || (code >= 0xdc00 && code <= 0xdfff)) return fail(s, "an unusable \\u escape");
    s->at += 4;
    if (code < 0xd800 || code > 0xdbff) return true;
    int low = accept(s, '\\') && accept(s, 'u') ? hex4(s->at, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff) return fail(s, "half a surrogate pair");
    s->at += 4;
    return true;
}

static bool check_string(scanner *s) {
    if (!accept(s, '"')) return fail(s, "a string expected");
    while (s->at < s->end) {
        if (*s->at == '"') return s->at++, true;
        if ((unsigned char)*s->at < 0x20) return fail(s, "a control character in a string");
        if (accept(s, '\\')) {
            if (!check_escape(s)) return false;
            continue;
        }
        int length = samc__utf8_length(s->at, s->end);
        if (length == 0) return fail(s, "bytes that are not UTF-8");
        s->at += length;
    }
    return fail(s, "a string without end");
}

static bool check_digits(scanner *s) {
    const char *start = s->at;
    while (s->at < s->end && is_digit(*s->at)) s->at++;
    return s->at > start || fail(s, "a digit expected");
}

static bool check_number(scanner *s) {
    accept(s, '-');
    if (!accept(s, '0') && !check_digits(s)) return false;
    if (accept(s, '.') && !check_digits(s)) return false;
    if (accept(s, 'e') || accept(s, 'E')) {
        if (!accept(s, '+')) accept(s, '-');
        return check_digits(s);
    }
    return true;
}

static bool check_word(scanner *s, const char *word) {
    size_t length = strlen(word);
    if ((size_t)(s->end - s->at) < length || memcmp(s->at, word, length) != 0) return fail(s, "a value expected");
    s->at += length;
    return true;
}

/* Recursion is bounded by SAMC__JSON_DEPTH. */
static bool check_value(scanner *s, int depth) {
    if (s->at == s->end) return fail(s, "the text ends too early");
    switch (*s->at) {
    case '"':
        return check_string(s);
    case 't':
        return check_word(s, "true");
    case 'f':
        return check_word(s, "false");
    case 'n':
        return check_word(s, "null");
    case '{':
    case '[':
        break;
    default:
        return *s->at == '-' || is_digit(*s->at) ? check_number(s) : fail(s, "a value expected");
    }
    const bool object = *s->at++ == '{';
    const char close = object ? '}' : ']';
    if (depth == SAMC__JSON_DEPTH) return fail(s, "nested too deeply");
    skip_space(s);
    if (accept(s, close)) return true;
    for (;;) {
        if (object) {
            if (!check_string(s)) return false;
            skip_space(s);
            if (!accept(s, ':')) return fail(s, "a colon expected");
            skip_space(s);
        }
        if (!check_value(s, depth + 1)) return false;
        skip_space(s);
        if (accept(s, close)) return true;
        if (!accept(s, ',')) return fail(s, object ? "a comma or } expected" : "a comma or ] expected");
        skip_space(s);
    }
}

const char *samc__json_check(const char *text, size_t length, samc__json *value, size_t *at) {
    scanner s = {.at = text, .end = text + length};
    skip_space(&s);
    value->begin = s.at;
    bool right = check_value(&s, 0);
    value->end = s.at;
    skip_space(&s);
    if (right && s.at < s.end) right = fail(&s, "more text after the value");
    *at = (size_t)(s.at - text);
    if (!right) *value = (samc__json){NULL, NULL};
    return s.wrong;
}

/* ---- Reading checked text -------------------------------------------------------------------- */

static const char *after_string(const char *at) {
    for (at++; *at != '"'; at++)
        if (*at == '\\') at++; /* the escaped character may be a quote */
    return at + 1;
}

static const char *after_space(const char *at) {
    while (is_space(*at)) at++;
    return at;
}

/* The end of the value at `at`, somewhere inside a container: a bracket or a comma follows every other value. */
static const char *after_value(const char *at) {
    if (*at == '"') return after_string(at);
    if (*at != '{' && *at != '[') {
        while (*at != ',' && *at != '}' && *at != ']' && !is_space(*at)) at++;
        return at;
    }
    for (int depth = 0;;) {
        if (*at == '"') {
            at = after_string(at);
            continue;
        }
        if (*at == '{' || *at == '[') depth++;
        if (*at == '}' || *at == ']') depth--;
        at++;
        if (depth == 0) return at;
    }
}

bool samc__json_next(samc__json container, const char **cursor, samc__json *key, samc__json *item) {
    const bool object = samc__json_is_object(container);
    if (key != NULL) *key = (samc__json){NULL, NULL};
    if (!object && !samc__json_is_array(container)) return false;
    const char *at = after_space(*cursor ? *cursor : container.begin + 1);
    if (*at == '}' || *at == ']') return false;
    if (*at == ',') at = after_space(at + 1);
    if (object) {
        samc__json name = {at, after_string(at)};
        if (key != NULL) *key = name;
        at = after_space(after_space(name.end) + 1); /* the colon */
    }
    *item = (samc__json){at, after_value(at)};
    *cursor = item->end;
    return true;
}

samc__json samc__json_get(samc__json object, const char *key) {
    const char *cursor = NULL;
    samc__json name, item;
    if (samc__json_is_object(object))
        while (samc__json_next(object, &cursor, &name, &item))
            if (samc__json_equals(name, key)) return item;
    return (samc__json){NULL, NULL};
}

/* Writes a code point as UTF-8; returns its length. */
static size_t put_utf8(char *out, unsigned code) {
    if (code < 0x80) return out[0] = (char)code, 1;
    size_t length = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = length; i-- > 1; code >>= 6) out[i] = (char)(0x80 | (code & 0x3f));
    out[0] = (char)(marks[length] | code);
    return length;
}

bool samc__json_string(samc__json value, char *out, size_t room) {
    if (!samc__json_is_string(value)) return false;
    size_t used = 0;
    for (const char *at = value.begin + 1; *at != '"';) {
        char piece[4] = {*at++};
        size_t length = 1;
        if (piece[0] == '\\') {
            static const char names[] = "bfnrt", codes[] = "\b\f\n\r\t";
            char c = *at++;
            const char *known = strchr(names, c);
            piece[0] = known != NULL ? codes[known - names] : c;
            if (c == 'u') {
                unsigned code = (unsigned)hex4(at, value.end);
                at += 4;
                if (code >= 0xd800 && code <= 0xdbff) {
                    code = 0x10000 + ((code - 0xd800) << 10) + ((unsigned)hex4(at + 2, value.end) - 0xdc00);
                    at += 6;
                }
                length = put_utf8(piece, code);
            }
        }
        if (used + length >= room) return false;
        memcpy(out + used, piece, length);
        used += length;
    }
    out[used] = '\0';
    return true;
}

bool samc__json_equals(samc__json value, const char *text) {
    char decoded[64];
    return samc__json_string(value, decoded, sizeof decoded) && strcmp(decoded, text) == 0;
}

bool samc__json_integer(samc__json value, int64_t *integer) {
    const char *at = value.begin;
    if (at == NULL || (*at != '-' && !is_digit(*at))) return false;
    const bool negative = *at == '-';
    int64_t result = 0; /* built downwards, as the least number has no positive twin */
    for (at += negative; at < value.end; at++)
        if (!is_digit(*at) || __builtin_mul_overflow(result, 10, &result) ||
            __builtin_sub_overflow(result, *at - '0', &result))
            return false;
    if (!negative && result == INT64_MIN) return false;
    *integer = negative ? result : -result;
    return true;
}

/* Not strtod(), which asks the process' locale what a decimal point is. Exact for up to 15 digits with moderate
 * exponents. */
bool samc__json_number(samc__json value, double *number) {
    const char *at = value.begin;
    if (at == NULL || (*at != '-' && !is_digit(*at))) return false;
    const bool negative = *at == '-';
    bool fraction = false;
    uint64_t digits = 0;
    int scale = 0;
    for (at += negative; at < value.end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            fraction = true;
        } else if (digits < UINT64_MAX / 10 - 1) {
            digits = digits * 10 + (uint64_t)(*at - '0');
            if (fraction && scale > -1000) scale--;
        } else if (!fraction && scale < 1000) {
            scale++;
        }
    }
    if (at < value.end) {
        const bool down = at[1] == '-';
        int exponent = 0;
        for (at += 1 + (down || at[1] == '+'); at < value.end; at++)
            if (exponent < 10000) exponent = exponent * 10 + (*at - '0');
        scale += down ? -exponent : exponent;
    }
    long double result = (long double)digits, power = 1;
    int steps = scale < 0 ? -scale : scale;
    for (int i = 0; i < steps && i < 5000; i++) power *= 10;
    result = digits == 0 ? 0 : scale < 0 ? result / power : result * power;
    *number = (double)(negative ? -result : result);
    return true;
}

/* ---- Writing --------------------------------------------------------------------------------- */

void samc__json_put(samc__json_text *text, const char *bytes, size_t length) {
    if (text->failed) return;
    if (text->used + length + 1 > text->room) {
        size_t room = (text->used + length + 1) * 2;
        char *larger = realloc(text->data, room);
        if (larger == NULL) {
            text->failed = true;
            return;
        }
        text->data = larger;
        text->room = room;
    }
    memcpy(text->data + text->used, bytes, length);
    text->used += length;
    text->data[text->used] = '\0';
}

void samc__json_put_string(samc__json_text *text, const char *string) {
    samc__json_put(text, "\"", 1);
    for (const char *at = string; *at != '\0'; at++) {
        char escape[8];
        if (*at == '"' || *at == '\\') {
            snprintf(escape, sizeof escape, "\\%c", *at);
        } else if ((unsigned char)*at < 0x20) {
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*at);
        } else {
            escape[0] = *at, escape[1] = '\0';
        }
        samc__json_put(text, escape, strlen(escape));
    }
    samc__json_put(text, "\"", 1);
}

void samc__json_put_integer(samc__json_text *text, int64_t integer) {
    char digits[32];
    samc__json_put(text, digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)integer));
}

/* Writes a number as snprintf() made it, with a point whatever the locale's is, and ".0" behind a whole number. */
static void put_decimal(samc__json_text *text, const char *decimal) {
    bool whole = true;
    for (const char *at = decimal; *at != '\0'; at++) {
        const bool plain = is_digit(*at) || strchr("+-e", *at) != NULL;
        whole = whole && (is_digit(*at) || *at == '-');
        samc__json_put(text, plain ? at : ".", 1);
    }
    if (whole) samc__json_put(text, ".0", 2);
}

void samc__json_put_float(samc__json_text *text, float number) {
    char decimal[40];
    for (int digits = 6; digits <= 9; digits++) {
        samc__print(decimal, sizeof decimal, "%.*g", digits, (double)number);
        if (samc__read_float(decimal, NULL) == number) break;
    }
    put_decimal(text, decimal);
}

void samc__json_put_double(samc__json_text *text, double number) {
    char decimal[40];
    for (int digits = 15; digits <= 17; digits++) {
        samc__print(decimal, sizeof decimal, "%.*g", digits, number);
        if (samc__read_double(decimal, NULL) == number) break;
    }
    put_decimal(text, decimal);
}

void samc__json_put_key(samc__json_text *text, const char *key) {
    if (text->used > 0 && text->data[text->used - 1] != '{') samc__json_put(text, ",", 1);
    samc__json_put_string(text, key);
    samc__json_put(text, ":", 1);
}
