/* Ranges in braces. */
#include "host/io/braces.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

enum { MOST_NAMES = 10000000, MOST_DIGITS = 9 };

typedef struct range {
    const char *begin, *end; /* the text of it, "{00..99}" */
    long from, to;
    int digits;
} range;

/* The first range in a text. */
static bool find(const char *text, range *r) {
    for (const char *at = strchr(text, '{'); at != NULL; at = strchr(at + 1, '{')) {
        size_t first = strspn(at + 1, "0123456789"), second;
        const char *dots = at + 1 + first;
        if (first == 0 || first > MOST_DIGITS || strncmp(dots, "..", 2) != 0) continue;
        second = strspn(dots + 2, "0123456789");
        if (second == 0 || second > MOST_DIGITS || dots[2 + second] != '}') continue;
        bool padded = (first > 1 && at[1] == '0') || (second > 1 && dots[2] == '0');
        *r = (range){at, dots + 2 + second + 1, atol(at + 1), atol(dots + 2),
                     padded ? (int)(first > second ? first : second) : 0};
        return true;
    }
    return false;
}

typedef struct expansion {
    samc_status (*name)(void *context, const char *text);
    void *context;
    int64_t count;
    samc_error *error;
} expansion;

/* `done` is what stands before `rest`, with its numbers. */
static samc_status expand(expansion *e, const char *done, const char *rest) {
    range r;
    bool more = find(rest, &r);
    char *text = NULL;
    if (!more && e->count++ == MOST_NAMES)
        return samc__fail(e->error, SAMC_INVALID_ARGUMENT, "the ranges stand for more than %d names", MOST_NAMES);
    long step = more && r.from > r.to ? -1 : 1;
    for (long i = more ? r.from : 0, last = more ? r.to : 0;; i += step) {
        int n = more ? asprintf(&text, "%s%.*s%0*ld", done, (int)(r.begin - rest), rest, r.digits, i)
                     : asprintf(&text, "%s%s", done, rest);
        if (n < 0) return samc__fail(e->error, SAMC_OUT_OF_MEMORY, "out of memory for the list of inputs");
        samc_status status = more ? expand(e, text, r.end) : e->name(e->context, text);
        free(text);
        SAMC__TRY(status);
        if (i == last) return SAMC_OK;
    }
}

samc_status samc__braces_each(const char *text, samc_status (*name)(void *, const char *), void *context,
                              samc_error *error) {
    expansion e = {name, context, 0, error};
    return expand(&e, "", text);
}
