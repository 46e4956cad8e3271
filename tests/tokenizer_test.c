/* The tokenizer against `transformers`: tests/data/tokenizer.json, written by tests/parity/tokenizer_parity.py
 * --golden, and what it refuses. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/json.h"
#include "runtime/model/tokenizer.h"
#include "weights/checkpoint.h"

static samc__tokenizer *open_tokenizer(void) {
    samc__tokenizer *tokenizer;
    cr_assert_eq(samc__tokenizer_create(&tokenizer, NULL), SAMC_OK);
    return tokenizer;
}

/* Each entry: [phrase, context, cut, [tokens]]. */
Test(tokenizer, golden) {
    samc__tokenizer *tokenizer = open_tokenizer();
    const char *wrong;
    bool absent;
    char *text = samc__text_of_file(SAMC_TEST_DATA "/tokenizer.json", &absent, &wrong);
    cr_assert_not_null(text);
    samc__json list, entry;
    size_t at;
    cr_assert_null(samc__json_check(text, strlen(text), &list, &at));
    int count = 0, cuts = 0;
    for (const char *cursor = NULL; samc__json_next(list, &cursor, NULL, &entry); count++) {
        samc__json phrase, item[3], id;
        const char *inside = NULL, *in_ids = NULL;
        cr_assert(samc__json_next(entry, &inside, NULL, &phrase));
        for (int i = 0; i < 3; i++) cr_assert(samc__json_next(entry, &inside, NULL, &item[i]));
        char *string = malloc((size_t)(phrase.end - phrase.begin));
        cr_assert(samc__json_string(phrase, string, (size_t)(phrase.end - phrase.begin)));
        int64_t context, expected;
        cr_assert(samc__json_integer(item[0], &context));
        int32_t ids[77];
        samc__tokens tokens;
        cr_assert_eq(samc__tokenize(tokenizer, string, (int)context, ids, &tokens, NULL), SAMC_OK, "%s", string);
        cr_assert_eq(tokens.cut, *item[1].begin == 't', "%s", string);
        int n = 0;
        for (; samc__json_next(item[2], &in_ids, NULL, &id); n++) {
            cr_assert(samc__json_integer(id, &expected));
            cr_assert(n < tokens.count && ids[n] == expected, "'%s', number %d: %d, not %d", string, n, (int)ids[n],
                      (int)expected);
        }
        cr_assert_eq(n, tokens.count, "%s", string);
        for (; n < context; n++) cr_assert_eq(ids[n], 0);
        for (n = 0; ids[n] != SAMC__TOKEN_END;) n++;
        cr_assert_eq(tokens.end, n);
        cuts += tokens.cut;
        free(string);
    }
    cr_assert_geq(count, 300);
    cr_assert_geq(cuts, 10);
    free(text);
    samc__tokenizer_free(tokenizer);
}

Test(tokenizer, refused) {
    samc__tokenizer *tokenizer = open_tokenizer();
    static const struct {
        const char *phrase, *says;
    } cases[] = {
        {"", "empty"},
        {" \t\r\n\xc2\x85\xc2\xa0\xe2\x80\xa8\xe3\x80\x80", "empty"},
        {"caf\xe9", "UTF-8"},
        {"\xc0\xaf", "UTF-8"},
        {"\xed\xa0\x80", "UTF-8"}, /* half of a pair */
        {"\xf4\x90\x80\x80", "UTF-8"},
        {"cut \xe2\x82", "UTF-8"},
        {"<|endoftext|>\xff", "UTF-8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int32_t ids[16];
        samc__tokens tokens;
        samc_error error = {0};
        cr_assert_eq(samc__tokenize(tokenizer, cases[i].phrase, 16, ids, &tokens, &error), SAMC_INVALID_ARGUMENT);
        cr_assert_not_null(strstr(error.message, cases[i].says), "%s", error.message);
    }
    samc__tokenizer_free(tokenizer);
}

/* One word of a million letters takes as long as a million words of one, not its square. */
Test(tokenizer, long_words, .timeout = 60) {
    samc__tokenizer *tokenizer = open_tokenizer();
    const size_t length = 1 << 20;
    char *phrase = malloc(length + 2);
    int32_t *ids = malloc(sizeof *ids * (length + 2));
    samc__tokens tokens;
    for (size_t i = 0; i < length; i++) phrase[i] = "abcdefghij"[i * i % 7 % 10];
    phrase[length] = '\0';
    cr_assert_eq(samc__tokenize(tokenizer, phrase, (int)length + 2, ids, &tokens, NULL), SAMC_OK);
    cr_assert(!tokens.cut && tokens.count > 1000 && ids[tokens.count - 1] == SAMC__TOKEN_END);
    cr_assert_eq(samc__tokenize(tokenizer, phrase, 16, ids, &tokens, NULL), SAMC_OK);
    cr_assert(tokens.cut && tokens.count == 16 && tokens.end == 15 && ids[15] == SAMC__TOKEN_END);
    phrase[length] = 'a';
    phrase[length + 1] = '\0';
    cr_assert_eq(samc__tokenize(tokenizer, phrase, 16, ids, &tokens, NULL), SAMC_INVALID_ARGUMENT);
    free(ids);
    free(phrase);
    samc__tokenizer_free(tokenizer);
}
