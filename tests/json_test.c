/* The JSON of safetensors headers and samc.config: its grammar, its values, and texts made to break the reader. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"

/* Checks a text without a byte behind it, so that AddressSanitizer sees any look ahead. */
static const char *json_wrong(const char *text, size_t length, samc__json *value) {
    static char *copy; /* values are slices of it; one text at a time */
    size_t at;
    free(copy);
    copy = malloc(length ? length : 1);
    memcpy(copy, text, length);
    return samc__json_check(copy, length, value, &at);
}

Test(json, grammar) {
    static const char *const good[] = {
        "{}",
        " [ ] ",
        "[1,-0,0.5,1e9,-1E-9,1.25e+3]",
        "{\"a\":{\"b\":[true,false,null]},\"c\":\"\"}",
        "\"\\ud83d\\ude00\\n\\/\"",
        "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "12",
        "null",
    };
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "[1 2]",
        "]",
        "{]",
        "[}",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1e",
        "1e+",
        "0x1",
        "nul",
        "True",
        "NaN",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u0000\"",
        "\"\\ud83d\"",
        "\"\\ud83d\\u0041\"",
        "\"\\ude00\"",
        "\"\n\"",
        "\"\x80\"",
        "\"\xc0\xaf\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "1 1",
        "{} {}",
        "\"a\"b",
    };
    samc__json value;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_assert_null(json_wrong(good[i], strlen(good[i]), &value), "%s", good[i]);
        cr_assert_not_null(value.begin);
        /* No proper beginning of a container or a string is a whole text. */
        if (strchr("{[\"", good[i][0]) != NULL)
            for (size_t length = 0; length < strlen(good[i]); length++)
                cr_assert_not_null(json_wrong(good[i], length, &value), "%.*s", (int)length, good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_not_null(json_wrong(bad[i], strlen(bad[i]), &value), "%s", bad[i]);
        cr_assert_null(value.begin);
    }
    char deep[2 * SAMC__JSON_DEPTH + 3];
    for (int extra = 0; extra < 2; extra++) {
        int depth = SAMC__JSON_DEPTH + extra;
        memset(deep, '[', (size_t)depth);
        memset(deep + depth, ']', (size_t)depth);
        cr_assert_eq(json_wrong(deep, 2 * (size_t)depth, &value) == NULL, extra == 0);
    }
}

Test(json, values) {
    static const char text[] =
        "{\"k\\u00e9\\\\\":[1,[2,{\"]\":\"}\"}],3],\"s\":\"a\\\"\\t\\ud83d\\ude00\",\"n\":-0.125}";
    samc__json root, key, item;
    cr_assert_null(json_wrong(text, strlen(text), &root));
    const char *cursor = NULL;
    char decoded[16];
    cr_assert(samc__json_next(root, &cursor, &key, &item) && samc__json_equals(key, "k\xc3\xa9\\"));
    int64_t integer, sum = 0;
    const char *inner = NULL;
    int items = 0;
    for (samc__json x; samc__json_next(item, &inner, NULL, &x); items++)
        if (samc__json_integer(x, &integer)) sum += integer;
    cr_assert(items == 3 && sum == 4);
    cr_assert(samc__json_string(samc__json_get(root, "s"), decoded, 8 + 0) &&
              strcmp(decoded, "a\"\t\xf0\x9f\x98\x80") == 0);
    cr_assert(!samc__json_string(samc__json_get(root, "s"), decoded, 7), "the NUL needs room as well");
    double number;
    cr_assert(samc__json_number(samc__json_get(root, "n"), &number) && number == -0.125);
    cr_assert_null(samc__json_get(root, "x").begin);
    cr_assert_null(samc__json_get(item, "s").begin);

    static const struct {
        const char *text;
        bool whole;
        int64_t value;
    } integers[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"1.0", false, 0},
        {"1e2", false, 0},
        {"99999999999999999999999999", false, 0},
        {"\"1\"", false, 0},
        {"true", false, 0},
    };
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        cr_assert_null(json_wrong(integers[i].text, strlen(integers[i].text), &root));
        cr_assert_eq(samc__json_integer(root, &integer), integers[i].whole, "%s", integers[i].text);
        if (integers[i].whole) cr_assert_eq(integer, integers[i].value, "%s", integers[i].text);
    }
    static const char *const numbers[] = {"0",
                                          "0.0",
                                          "1e400",
                                          "-1e99999999",
                                          "1e-400",
                                          "0e999999",
                                          "123.675",
                                          "0.341333333333333",
                                          "3.4028234663852886e38",
                                          "1.17549435e-38",
                                          "123456789012345678901234567890",
                                          "0.00000000000000000000000001",
                                          "1e22"};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        cr_assert_null(json_wrong(numbers[i], strlen(numbers[i]), &root));
        cr_assert(samc__json_number(root, &number));
        cr_assert_eq((float)number, (float)strtod(numbers[i], NULL), "%s is read as %g", numbers[i], number);
    }
    samc__json_text out = {0}; /* what is written reads back bit by bit */
    uint32_t random = 7;
    for (int i = 0; i < 20000; i++) {
        float value;
        random = random * 1664525u + 1013904223u;
        memcpy(&value, &random, sizeof value);
        if (!isfinite(value)) continue;
        out.used = 0;
        samc__json_put_float(&out, value);
        cr_assert_null(json_wrong(out.data, out.used, &root), "%s", out.data);
        cr_assert(samc__json_number(root, &number) && (float)number == value, "%s for %.9g", out.data, (double)value);
    }
    free(out.data);
}
