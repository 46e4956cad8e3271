/* Tags and their attributes one after another; nothing is nested, and what is not asked for is passed over. */
#include "host/serve/label_config.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { IMAGES = 16 }; /* of a configuration */

typedef struct tag {
    char name[32];
    char own[SAMC__CONFIG_NAME], to[SAMC__CONFIG_NAME], value[SAMC__CONFIG_NAME]; /* name, toName, value; "": none */
} tag;

typedef struct reader {
    const char *at, *end;
    const char *wrong;
} reader;

static bool blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void skip_blanks(reader *r) {
    while (r->at < r->end && blank(*r->at)) r->at++;
}

/* Behind the next `what`; false where there is none. */
static bool skip_past(reader *r, const char *what) {
    const char *found = memmem(r->at, (size_t)(r->end - r->at), what, strlen(what));
    if (found != NULL) r->at = found + strlen(what);
    else r->wrong = "ends within a tag or a comment";
    return found != NULL;
}

static bool begins(const reader *r, const char *what) {
    return (size_t)(r->end - r->at) >= strlen(what) && memcmp(r->at, what, strlen(what)) == 0;
}

/* One of the five entities that XML has itself, at '&'; its length, 0: none of them. */
static size_t entity(const char *at, size_t length, char *c) {
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    for (int i = 0; i < 5; i++)
        if (strlen(names[i]) <= length && memcmp(at, names[i], strlen(names[i])) == 0) {
            *c = "&<>\"'"[i];
            return strlen(names[i]);
        }
    return 0;
}

/* The text of an attribute; false: it is longer than `to`. */
static bool copy(const char *from, size_t length, char to[SAMC__CONFIG_NAME]) {
    size_t used = 0;
    for (size_t i = 0; i < length;) {
        char c = from[i];
        const size_t taken = c == '&' ? entity(from + i, length - i, &c) : 0;
        if (used == SAMC__CONFIG_NAME - 1) return false;
        to[used++] = c;
        i += taken > 0 ? taken : 1;
    }
    to[used] = '\0';
    return true;
}

/* A name up to what ends one. */
static size_t name_length(const reader *r) {
    const char *at = r->at;
    while (at < r->end && !blank(*at) && strchr("=/><\"'", *at) == NULL) at++;
    return (size_t)(at - r->at);
}

static bool read_attribute(reader *r, tag *t) {
    const char *name = r->at;
    const size_t length = name_length(r);
    char *to = length == 4 && memcmp(name, "name", 4) == 0     ? t->own
               : length == 6 && memcmp(name, "toName", 6) == 0 ? t->to
               : length == 5 && memcmp(name, "value", 5) == 0  ? t->value
                                                               : NULL;
    r->wrong = "has a tag whose attributes are not name=\"value\"";
    if (length == 0) return false;
    r->at += length;
    skip_blanks(r);
    if (r->at == r->end || *r->at != '=') return false;
    r->at++;
    skip_blanks(r);
    if (r->at == r->end || (*r->at != '"' && *r->at != '\'')) return false;
    const char quote = *r->at++, *close = memchr(r->at, quote, (size_t)(r->end - r->at));
    if (close == NULL) return false;
    const char *from = r->at;
    r->at = close + 1;
    r->wrong = to != NULL && !copy(from, (size_t)(close - from), to) ? "has a name of more than 127 bytes" : NULL;
    return r->wrong == NULL;
}

/* Behind '<': the tag and its attributes up to '>'. */
static bool read_tag(reader *r, tag *t) {
    const size_t length = name_length(r);
    memset(t, 0, sizeof *t);
    if (length < sizeof t->name) memcpy(t->name, r->at, length); /* longer ones are none of ours */
    r->at += length;
    for (;;) {
        skip_blanks(r);
        if (r->at < r->end && *r->at == '/') r->at++;
        else if (r->at < r->end && *r->at == '>') break;
        else if (r->at == r->end) {
            r->wrong = "ends within a tag or a comment";
            return false;
        } else if (!read_attribute(r, t)) return false;
    }
    r->at++;
    return true;
}

/* The next tag that opens; false: there is none, or *wrong. */
static bool next_tag(reader *r, tag *t) {
    while (r->wrong == NULL && (r->at = memchr(r->at, '<', (size_t)(r->end - r->at))) != NULL) {
        if (begins(r, "<!--")) {
            r->at += 4;
            skip_past(r, "-->");
        } else if (begins(r, "<![CDATA[")) skip_past(r, "]]>");
        else if (begins(r, "<!")) r->wrong = "declares a document type, which is not read";
        else if (begins(r, "<?")) skip_past(r, "?>");
        else if (begins(r, "</")) skip_past(r, ">");
        else {
            r->at++;
            return read_tag(r, t);
        }
    }
    return false;
}

/* The image that the regions are for. */
static const char *settle(samc__label_config *config, const tag *images, int count) {
    if (config->from[0] == '\0') return "has no BrushLabels and no PolygonLabels";
    char *comma = strchr(config->to, ',');
    if (comma != NULL) *comma = '\0';
    for (int i = 0; i < count; i++)
        if (strcmp(images[i].own, config->to) == 0) {
            const char *value = images[i].value;
            memmove(config->value, value + (*value == '$'), strlen(value + (*value == '$')) + 1);
            return config->value[0] != '\0' ? NULL : "has an Image without a value";
        }
    return "has no Image that its regions are for";
}

const char *samc__label_config_read(const char *text, size_t size, samc__label_config *config) {
    reader r = {text, text + size, NULL};
    tag *images = calloc(IMAGES + 1, sizeof *images), *t = images + IMAGES;
    int count = 0;
    bool within = false; /* the tag whose labels are the regions' */
    memset(config, 0, sizeof *config);
    if (images == NULL) return "finds no memory";
    while (size > 0 && next_tag(&r, t)) {
        const bool brush = strcasecmp(t->name, "BrushLabels") == 0, polygon = strcasecmp(t->name, "PolygonLabels") == 0;
        if (strcasecmp(t->name, "Label") == 0) {
            if (within && t->value[strspn(t->value, " \t\r\n\v\f")] != '\0' && config->labels < SAMC__CONFIG_LABELS)
                memcpy(config->label[config->labels++], t->value, sizeof t->value);
            continue;
        }
        within = (brush || polygon) && config->from[0] == '\0';
        if (within) {
            config->brush = brush;
            memcpy(config->from, t->own, sizeof config->from);
            memcpy(config->to, t->to, sizeof config->to);
        } else if (strcasecmp(t->name, "Image") == 0 && count < IMAGES) images[count++] = *t;
    }
    const char *wrong = r.wrong != NULL ? r.wrong : settle(config, images, count);
    free(images);
    return wrong;
}
