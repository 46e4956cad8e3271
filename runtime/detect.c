/* Detectors and phrases: opened, encoded, asked about. */
#include "runtime/detect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/abi.h"
#include "runtime/base/json.h"

enum { TEXTS_TOGETHER = 64, MOST_PHRASES = 1000000 };

/* ---- Detectors ------------------------------------------------------------------------------- */

samc_status samc__desk_open(samc__desk *desk, const samc_detector *detector, samc_error *error) {
    const samc__relate_opened *o = &detector->opened;
    *desk = (samc__desk){.pool = samc__pool_create(o->threads)};
    desk->exec = (samc__exec){
        .ops = &o->ops,
        .error = error != NULL ? error : &desk->own,
        .workers = o->threads,
        .pool = desk->pool,
        .parallel = samc__pool_run,
        .memory = &desk->memory,
        .allocate = samc__memory_allocate,
        .release = samc__memory_release,
        .packed = o->packed,
        .place = &samc__place_host,
    };
    return desk->pool != NULL
               ? SAMC_OK
               : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory or no threads for a detector with %d", o->threads);
}

void samc__desk_close(samc__desk *desk) {
    samc__pool_destroy(desk->pool);
    samc__memory_drop(&desk->memory);
}

samc_status samc__detector_wrap(const samc__relate_opened *opened, samc_detector **out, samc_error *error) {
    samc_detector *detector = calloc(1, sizeof *detector);
    *out = detector;
    if (detector == NULL) {
        opened->family->close(opened->net);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for a detector");
    }
    detector->opened = *opened;
    opened->family->facts(opened->net, &detector->facts);
    return SAMC_OK;
}

samc_status samc_detector_open(const char *path, const samc_options *options, samc_detector **out, samc_error *error) {
    samc_options own = SAMC_INIT(samc_options);
    samc__relate_opened opened = {0};
    if (out == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_detector_open: no place for the detector");
    *out = NULL;
    if (path == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_detector_open: no path");
    samc_default_options(&own);
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_options), options, &own, error));
    SAMC__TRY(samc__relate_open(path, &own, &opened, error));
    return samc__detector_wrap(&opened, out, error);
}

void samc_detector_close(samc_detector *detector) {
    if (detector == NULL) return;
    detector->opened.family->close(detector->opened.net);
    free(detector);
}

samc_status samc_detector_get_info(const samc_detector *detector, samc_detector_info *out) {
    if (detector == NULL) return SAMC_INVALID_ARGUMENT;
    const samc__relate_facts *facts = &detector->facts;
    const samc__relate *family = detector->opened.family;
    const samc_detector_info info = {.kind = family->kind,
                                     .labels = family->image != NULL,
                                     .image_size = facts->image_size,
                                     .map_side = facts->map_side,
                                     .context = facts->context,
                                     .parameters = facts->parameters,
                                     .weight_bytes = facts->weight_bytes,
                                     .backend = detector->opened.backend,
                                     .threads = detector->opened.threads,
                                     .name = family->name,
                                     .dtype = facts->dtype,
                                     .backend_note = detector->opened.backend_note,
                                     .file_note = facts->note};
    return samc__abi_give(SAMC__ABI(samc_detector_info), &info, out, NULL);
}

samc_status samc_detector_hash(const samc_detector *detector, char hex[65], samc_error *error) {
    if (detector == NULL || hex == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_detector_hash: no detector or no room");
    return detector->opened.family->hash(detector->opened.net, hex, error);
}

samc_status samc__detector_spoilt(const samc_detector *detector, const char *asked, samc_error *error) {
    const samc__relate *family = detector->opened.family;
    bool nan = false;
    const char *name = family->spoilt != NULL ? family->spoilt(detector->opened.net, &nan) : NULL;
    if (name == NULL)
        return samc__fail(error, SAMC_NUMERIC, "%s makes numbers of %s that are not finite", family->name, asked);
    return samc__fail(error, SAMC_DIVERGED, "%s makes numbers of %s that are not finite; its tensor %s has %s",
                      family->name, asked, name, nan ? "NaN" : "infinite values");
}

/* ---- Phrases --------------------------------------------------------------------------------- */

samc_status samc_default_label_options(samc_phrase_options *options) {
    static const char *const templates[] = {"a photo of a {}.", "a photo of the {}.", "a picture of a {}.",
                                            "a cropped photo of a {}.", NULL};
    const samc_phrase_options own = {.templates = templates, .background = "background"};
    return samc__abi_give(SAMC__ABI(samc_phrase_options), &own, options, NULL);
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* A copy without blanks around it. */
static samc_status take_text(const char *text, int index, char **own, samc_error *error) {
    if (text == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "phrase %d: NULL", index + 1);
    while (is_blank(*text)) text++;
    size_t length = strlen(text);
    while (length > 0 && is_blank(text[length - 1])) length--;
    if (length == 0) return samc__fail(error, SAMC_INVALID_ARGUMENT, "phrase %d is empty", index + 1);
    for (const char *at = text, *end = text + length; at < end;) {
        int n = samc__utf8_length(at, end);
        if (n == 0)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "phrase %d is not UTF-8, from byte %td on", index + 1,
                              at - text + 1);
        at += n;
    }
    *own = strndup(text, length);
    return *own ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for phrases");
}

/* Texts that are encoded together, each for a row of features that it is added to. */
typedef struct texts {
    const samc_detector *detector;
    const samc__exec *exec;
    int32_t *ids; /* [TEXTS_TOGETHER, context] */
    float *rows;  /* [TEXTS_TOGETHER, dim] */
    float *to[TEXTS_TOGETHER];
    int ends[TEXTS_TOGETHER], count;
    bool several; /* templates: a phrase is the direction of the mean of what they say */
} texts;

static void normalise(float *row, int dim) {
    double sum = 0;
    for (int i = 0; i < dim; i++) sum += (double)row[i] * (double)row[i];
    for (int i = 0; i < dim && sum > 0; i++) row[i] = (float)((double)row[i] / sqrt(sum));
}

static samc_status encode(texts *t, samc_error *error) {
    const int dim = t->detector->facts.dim;
    if (t->count == 0) return SAMC_OK;
    SAMC__TRY(t->detector->opened.family->text(t->exec, t->detector->opened.net, t->ids, t->ends, t->count, t->rows));
    for (int i = 0; i < t->count; i++) {
        if (t->several) normalise(t->rows + (int64_t)i * dim, dim);
        for (int j = 0; j < dim; j++) {
            float value = t->rows[(int64_t)i * dim + j];
            if (!isfinite(value))
                return samc__fail(error, SAMC_DIVERGED, "the detector makes numbers of a phrase that are not finite");
            t->to[i][j] += value;
        }
    }
    t->count = 0;
    return SAMC_OK;
}

/* Of phrase `index` of `p`. */
static samc_status add_text(texts *t, const char *text, samc_phrases *p, int index, samc_error *error) {
    const samc_detector *d = t->detector;
    bool shortened = false;
    samc_error why;
    const samc_status status = d->opened.family->tokens(
        d->opened.net, text, t->ids + (int64_t)t->count * d->facts.context, &t->ends[t->count], &shortened, &why);
    if (status != SAMC_OK) return samc__fail(error, status, "phrase %d: %s", index + 1, why.message);
    p->cut[index] = p->cut[index] || shortened;
    t->to[t->count++] = p->features + (int64_t)index * d->facts.dim;
    return t->count == TEXTS_TOGETHER ? encode(t, error) : SAMC_OK;
}

static samc_status encode_all(samc_phrases *p, const char *const *templates, texts *t, samc_error *error) {
    const int dim = p->detector->facts.dim;
    for (int i = 0; i < p->count; i++) {
        if (templates == NULL) SAMC__TRY(add_text(t, p->texts[i], p, i, error));
        for (int k = 0; templates != NULL && templates[k] != NULL; k++) {
            char *text = samc__template_fill(templates[k], p->texts[i]);
            samc_status status =
                text ? add_text(t, text, p, i, error) : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for phrases");
            free(text);
            SAMC__TRY(status);
        }
    }
    SAMC__TRY(encode(t, error));
    for (int i = 0; i < p->count && templates != NULL; i++) normalise(p->features + (int64_t)i * dim, dim);
    return SAMC_OK;
}

static samc_status encode_phrases(samc_phrases *p, const char *const *templates, samc_error *error) {
    samc__desk desk;
    const samc__relate_facts *facts = &p->detector->facts;
    samc_status status = samc__desk_open(&desk, p->detector, error);
    texts t = {.detector = p->detector, .exec = &desk.exec, .several = templates != NULL};
    t.ids = calloc((size_t)TEXTS_TOGETHER * (size_t)facts->context, sizeof *t.ids);
    t.rows = calloc((size_t)TEXTS_TOGETHER * (size_t)facts->dim, sizeof *t.rows);
    if (status == SAMC_OK && (t.ids == NULL || t.rows == NULL))
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for phrases");
    if (status == SAMC_OK) status = encode_all(p, templates, &t, error);
    samc__desk_close(&desk);
    free(t.ids);
    free(t.rows);
    return status;
}

static samc_status take_phrases(samc_phrases *p, const char *const *strings, int count, const char *background,
                                samc_error *error) {
    bool named = false;
    p->texts = calloc((size_t)count + 1, sizeof *p->texts);
    p->cut = calloc((size_t)count + 1, sizeof *p->cut);
    p->features = calloc(((size_t)count + 1) * (size_t)p->detector->facts.dim, sizeof *p->features);
    if (p->texts == NULL || p->cut == NULL || p->features == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for %d phrases", count);
    for (int i = 0; i < count; i++) {
        SAMC__TRY(take_text(strings[i], i, &p->texts[i], error));
        p->count++;
        named = named || (background != NULL && strcmp(p->texts[i], background) == 0);
    }
    if (background == NULL || named) return SAMC_OK;
    SAMC__TRY(take_text(background, count, &p->texts[count], error));
    p->count++;
    p->background = true;
    return SAMC_OK;
}

samc_status samc_phrases_create(const samc_detector *detector, const char *const *strings, int count,
                                const samc_phrase_options *options, samc_phrases **out, samc_error *error) {
    samc_phrase_options own = SAMC_INIT(samc_phrase_options);
    if (out == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_phrases_create: no place for the phrases");
    *out = NULL;
    if (detector == NULL || strings == NULL || count < 1 || count > MOST_PHRASES)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_phrases_create: no detector, or not 1 to %d phrases",
                          MOST_PHRASES);
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_phrase_options), options, &own, error));
    for (int i = 0; own.templates != NULL && own.templates[i] != NULL; i++)
        if (!samc__template_good(own.templates[i]))
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "template '%.60s' does not have {} once", own.templates[i]);
    if (own.templates != NULL && own.templates[0] == NULL) own.templates = NULL;
    samc_phrases *p = calloc(1, sizeof *p);
    if (p == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for phrases");
    p->detector = detector;
    samc_status status = take_phrases(p, strings, count, own.background, error);
    if (status == SAMC_OK) status = encode_phrases(p, own.templates, error);
    if (status == SAMC_OK) *out = p;
    else samc_phrases_free(p);
    return status;
}

static samc_status pick(samc_phrases *p, const samc_phrases *const *from, const int *index, samc_error *error) {
    const size_t dim = (size_t)p->detector->facts.dim;
    p->texts = calloc((size_t)p->count, sizeof *p->texts);
    p->cut = calloc((size_t)p->count, sizeof *p->cut);
    p->features = malloc((size_t)p->count * dim * sizeof *p->features);
    bool memory = p->texts != NULL && p->cut != NULL && p->features != NULL;
    for (int i = 0; i < p->count && memory; i++) {
        p->texts[i] = strdup(from[i]->texts[index[i]]);
        p->cut[i] = from[i]->cut[index[i]];
        memcpy(p->features + (size_t)i * dim, from[i]->features + (size_t)index[i] * dim, dim * sizeof *p->features);
        memory = p->texts[i] != NULL;
    }
    return memory ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for %d phrases", p->count);
}

samc_status samc_phrases_pick(const samc_phrases *const *from, const int *index, int count, samc_phrases **out,
                              samc_error *error) {
    if (out == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_phrases_pick: no place for the phrases");
    *out = NULL;
    if (from == NULL || index == NULL || count < 1 || count > MOST_PHRASES)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_phrases_pick: not 1 to %d phrases", MOST_PHRASES);
    for (int i = 0; i < count; i++) {
        if (from[i] == NULL || index[i] < 0 || index[i] >= from[i]->count)
            return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_phrases_pick: phrase %d is not there", i + 1);
        if (from[i]->detector != from[0]->detector)
            return samc__fail(error, SAMC_MISMATCH, "samc_phrases_pick: phrase %d is of another detector", i + 1);
    }
    samc_phrases *p = calloc(1, sizeof *p);
    if (p == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for phrases");
    p->detector = from[0]->detector;
    p->count = count;
    samc_status status = pick(p, from, index, error);
    if (status == SAMC_OK) *out = p;
    else samc_phrases_free(p);
    return status;
}

void samc_phrases_free(samc_phrases *p) {
    if (p == NULL) return;
    for (int i = 0; p->texts != NULL && i < p->count; i++) free(p->texts[i]);
    free(p->texts);
    free(p->cut);
    free(p->features);
    free(p);
}

int samc_phrases_count(const samc_phrases *p) { return p ? p->count : 0; }
const char *samc_phrases_text(const samc_phrases *p, int index) {
    return p != NULL && index >= 0 && index < p->count ? p->texts[index] : NULL;
}
bool samc_phrases_cut(const samc_phrases *p, int index) {
    return p != NULL && index >= 0 && index < p->count && p->cut[index];
}
const samc_detector *samc_phrases_detector(const samc_phrases *p) { return p ? p->detector : NULL; }
