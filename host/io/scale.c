/* Scaling samples to bytes. Order statistics are counted and not sorted: a sample's key is a whole number with the
 * order of the samples, and 65536 bins hold its upper half, in a second pass its lower one. */
#include "host/io/scale.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "host/io/abi.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

enum { BINS = 65536 };

/* ---- What was asked for ---------------------------------------------------------------------- */

/* A decimal number at *at, and on to what follows it. */
static bool number(const char **at, double *value) {
    char *end;
    size_t length = strspn(*at, "0123456789.eE+-");
    char text[64];
    if (length == 0 || length >= sizeof text) return false;
    memcpy(text, *at, length);
    text[length] = '\0';
    *value = samc__read_double(text, &end);
    if (end == text || !isfinite(*value)) return false;
    *at += end - text;
    return true;
}

static bool percentiles(const char *text, samc__scale *scale) {
    const char *at = text;
    return number(&at, &scale->low) && *at++ == '-' && number(&at, &scale->high) && *at == '\0' && scale->low >= 0 &&
           scale->low < scale->high && scale->high <= 100;
}

static bool range(const char *text, samc__scale *scale) {
    const char *at = text;
    return number(&at, &scale->low) && *at++ == ',' && number(&at, &scale->high) && *at == '\0' &&
           scale->low < scale->high && scale->low >= -3.4e38 && scale->high <= 3.4e38;
}

/* "40,400" or a name, behind "window:" and the like. */
static bool window(const char *text, samc__scale *scale) {
    static const struct {
        const char *name;
        double centre, width;
    } names[] = {{"soft-tissue", 40, 400}, {"lung", -600, 1500}, {"bone", 400, 1800}, {"brain", 40, 80}};
    const char *at = strchr(text, ':') + 1;
    bool exact = strncmp(text, "window-exact:", 13) == 0, linear = strncmp(text, "window:", 7) == 0;
    if (!exact && !linear && strncmp(text, "window-sigmoid:", 15) != 0) return false;
    scale->kind = linear ? SAMC__SCALE_WINDOW : exact ? SAMC__SCALE_WINDOW_EXACT : SAMC__SCALE_SIGMOID;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(at, names[i].name) == 0) {
            scale->low = names[i].centre, scale->high = names[i].width;
            return true;
        }
    if (linear && strcmp(at, "auto") == 0) {
        *scale = (samc__scale){.kind = SAMC__SCALE_AUTO, .low = 0.5, .high = 99.5};
        return true;
    }
    return number(&at, &scale->low) && *at++ == ',' && number(&at, &scale->high) && *at == '\0' &&
           samc__window_is_sane(*scale);
}

bool samc__window_is_sane(samc__scale scale) {
    return fabs(scale.low) <= 1e30 && scale.high <= 1e30 &&
           (scale.kind == SAMC__SCALE_WINDOW ? scale.high >= 1 : scale.high > 0);
}

samc_status samc__scale_parse(const char *text, samc__scale *scale, samc_error *error) {
    *scale = (samc__scale){0};
    if (text == NULL || *text == '\0') return SAMC_OK;
    if (strcmp(text, "minmax") == 0) scale->kind = SAMC__SCALE_MINMAX;
    else if (strcmp(text, "high-byte") == 0) scale->kind = SAMC__SCALE_HIGH_BYTE;
    else if (*text == 'P' && percentiles(text + 1, scale)) scale->kind = SAMC__SCALE_PERCENTILES;
    else if (strncmp(text, "window", 6) == 0 && strchr(text, ':') != NULL) {
        if (!window(text, scale))
            return samc__fail(error, SAMC_INVALID_ARGUMENT,
                              "a window is C,W (centre and width, a width of at least 1), soft-tissue, lung, bone, "
                              "brain or auto, not '%.100s'",
                              strchr(text, ':') + 1);
    } else if (range(text, scale)) scale->kind = SAMC__SCALE_RANGE;
    else
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "a scale is minmax, P0.5-99.5 (per cent, from 0 to 100), A,B (values with A < B), "
                          "window:C,W or high-byte, not '%.100s'",
                          text);
    return SAMC_OK;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

/* A float's bits turned so that they have its order; -0 comes before 0, and both are 0. */
static uint32_t key_of_float(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

static double value_of(const samc__scaler *s, uint32_t key) {
    float value;
    if (s->type.sample == SAMC_SAMPLE_U16) return key;
    uint32_t bits = key >> 31 ? key & 0x7fffffffu : ~key;
    memcpy(&value, &bits, 4);
    return value;
}

size_t samc__sample_bytes(samc_sample sample) {
    return sample == SAMC_SAMPLE_U8 ? 1 : sample == SAMC_SAMPLE_U16 ? 2 : 4;
}

/* ---- Passes ---------------------------------------------------------------------------------- */

static bool by_percentiles(const samc__scaler *s) {
    return s->scale.kind == SAMC__SCALE_PERCENTILES || s->scale.kind == SAMC__SCALE_AUTO;
}

/* What becomes 0 and 255 where that needs no sample; of a sigmoid, the straight line's that touches its middle. */
static void set_window(samc__scaler *s) {
    const samc__scale *scale = &s->scale;
    switch (scale->kind) {
    case SAMC__SCALE_RANGE:
    case SAMC__SCALE_TABLE:
        s->low = scale->low, s->high = scale->high;
        break;
    case SAMC__SCALE_WINDOW:
        s->low = scale->low - 0.5 - (scale->high - 1) / 2, s->high = scale->low - 0.5 + (scale->high - 1) / 2;
        break;
    case SAMC__SCALE_WINDOW_EXACT:
    case SAMC__SCALE_SIGMOID:
        s->low = scale->low - scale->high / 2, s->high = scale->low + scale->high / 2;
        break;
    default:
        break;
    }
}

samc_status samc__scaler_begin(samc__scaler *s, samc__scale scale, samc__sampling type, const char *name,
                               samc_error *error) {
    bool wide = type.sample == SAMC_SAMPLE_U16;
    if (scale.kind == SAMC__SCALE_DEFAULT) scale = type.own;
    if (scale.kind == SAMC__SCALE_DEFAULT)
        scale.kind = wide && type.channels == 3 ? SAMC__SCALE_HIGH_BYTE : SAMC__SCALE_MINMAX;
    if (scale.kind == SAMC__SCALE_AUTO && type.ct) scale = (samc__scale){SAMC__SCALE_WINDOW, 40, 400};
    *s = (samc__scaler){.type = type, .scale = scale, .least = UINT32_MAX};
    if (scale.kind == SAMC__SCALE_HIGH_BYTE && !wide)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: the scale high-byte is of 16-bit samples, and these are floats",
                          name);
    bool counts = by_percentiles(s);
    if (counts) s->passes = wide ? 1 : 2;
    if (s->scale.kind == SAMC__SCALE_MINMAX) s->passes = 1;
    set_window(s);
    if (s->scale.kind == SAMC__SCALE_HIGH_BYTE) s->low = 0, s->high = (double)((1 << type.bits) - 1);
    if (counts) s->bins = calloc((size_t)(wide ? 1 : 4) * BINS, sizeof *s->bins);
    if (wide) s->bytes = malloc(BINS);
    if ((counts && s->bins == NULL) || (wide && s->bytes == NULL)) {
        samc__scaler_end(s);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    }
    if (s->passes == 0) samc__scaler_end_pass(s);
    return SAMC_OK;
}

/* The bins of a key: by its upper half, of 16 bits by all of it; then by the lower half, where the upper is one of
 * those looked for. */
static void count(samc__scaler *s, uint32_t key) {
    bool wide = s->type.sample == SAMC_SAMPLE_U16;
    if (wide || s->passes == 2) {
        s->bins[wide ? key : key >> 16]++;
        return;
    }
    for (int i = 0; i < 4; i++)
        if (s->bin[i] == (uint32_t)i && key >> 16 == s->key[i] >> 16) s->bins[(uint32_t)i * BINS + (key & 0xffff)]++;
}

void samc__scaler_look(samc__scaler *s, const void *samples, size_t size) {
    const uint16_t *wide = samples;
    const float *floats = samples;
    bool first = !by_percentiles(s) || s->type.sample == SAMC_SAMPLE_U16 || s->passes == 2;
    bool above = s->scale.kind == SAMC__SCALE_AUTO; /* what is 0 or below counts for nothing */
    for (size_t i = 0; i < size; i++) {
        if (s->type.sample == SAMC_SAMPLE_F32 && !isfinite(floats[i])) continue;
        if (above && !(s->type.sample == SAMC_SAMPLE_U16 ? wide[i] > 0 : floats[i] > 0)) continue;
        uint32_t key = s->type.sample == SAMC_SAMPLE_U16 ? wide[i] : key_of_float(floats[i]);
        if (first) {
            s->count++;
            if (key < s->least) s->least = key;
            if (key > s->most) s->most = key;
        }
        if (s->bins != NULL) count(s, key);
    }
}

/* The bin that sample `place` of the sorted ones is in, from bin `from` on that `below` samples stand before. */
static uint32_t find(const uint64_t *bins, uint64_t place, uint64_t *below) {
    uint32_t bin = 0;
    while (bin < BINS - 1 && *below + bins[bin] <= place) *below += bins[bin++];
    return bin;
}

/* The percentile between its two neighbours, as numpy.percentile() has it. */
static double between(const samc__scaler *s, int i, double percent) {
    double at = percent / 100 * (double)(s->count - 1), part = at - floor(at);
    double a = value_of(s, s->key[i]), b = value_of(s, s->key[i + 1]), step = b - a;
    return part >= 0.5 ? b - step * (1 - part) : a + step * part;
}

static void find_percentiles(samc__scaler *s) {
    const double percent[2] = {s->scale.low, s->scale.high};
    bool wide = s->type.sample == SAMC_SAMPLE_U16, first = wide || s->passes == 2;
    for (int i = 0; i < 4 && first; i++) {
        uint64_t at = (uint64_t)floor(percent[i / 2] / 100 * (double)(s->count - 1)) + (uint64_t)(i % 2);
        s->place[i] = at < s->count ? at : s->count - 1;
        s->below[i] = 0;
        s->key[i] = find(s->bins, s->place[i], &s->below[i]);
        if (!wide) s->key[i] <<= 16;
        for (s->bin[i] = 0; s->bin[i] < (uint32_t)i && s->key[s->bin[i]] != s->key[i];) s->bin[i]++;
    }
    for (int i = 0; i < 4 && !first; i++)
        s->key[i] |= find(s->bins + (size_t)s->bin[i] * BINS, s->place[i], &s->below[i]);
    if (first && !wide) memset(s->bins, 0, 4 * BINS * sizeof *s->bins);
    s->low = between(s, 0, percent[0]);
    s->high = between(s, 2, percent[1]);
    if (s->scale.kind != SAMC__SCALE_AUTO || s->low != s->high) return;
    /* Where less than half a percent differs (a lesion, a label) the rest alone would count, and all become 0. Of 0 and
     * 1 there is but one value that counts, which is above 0. */
    s->low = s->least < s->most ? value_of(s, s->least) : 0;
    s->high = value_of(s, s->most);
}

static double scaled_of(const samc__scaler *s, double value) {
    double centre = s->scale.low, width = s->scale.high;
    switch (s->scale.kind) {
    case SAMC__SCALE_WINDOW:
        if (width <= 1) return value > centre - 0.5 ? 255 : 0;
        return ((value - (centre - 0.5)) / (width - 1) + 0.5) * 255;
    case SAMC__SCALE_WINDOW_EXACT:
        return ((value - centre) / width + 0.5) * 255;
    case SAMC__SCALE_SIGMOID:
        return 255 / (1 + exp(-4 * (value - centre) / width));
    default:
        return s->high > s->low ? (value - s->low) * 255 / (s->high - s->low) : 0;
    }
}

static uint8_t byte_of(const samc__scaler *s, double value) {
    double scaled = floor(scaled_of(s, value) + 0.5);
    uint8_t byte = (uint8_t)(scaled <= 0 ? 0 : scaled >= 255 ? 255 : scaled);
    return s->type.inverted ? (uint8_t)(255 - byte) : byte;
}

void samc__scaler_end_pass(samc__scaler *s) {
    if (s->count > 0 && s->scale.kind == SAMC__SCALE_MINMAX)
        s->low = value_of(s, s->least), s->high = value_of(s, s->most);
    if (s->count > 0 && by_percentiles(s)) find_percentiles(s);
    if (s->passes > 0) s->passes--;
    if (s->passes > 0 || s->bytes == NULL) return;
    for (uint32_t i = 0; i < BINS; i++) {
        uint32_t high = i >> (s->type.bits - 8);
        s->bytes[i] = s->scale.kind == SAMC__SCALE_HIGH_BYTE ? (uint8_t)(high < 255 ? high : 255) : byte_of(s, i);
    }
}

void samc__scaler_apply(const samc__scaler *s, const void *samples, size_t pixels, uint8_t *rgb) {
    const uint16_t *wide = samples;
    const float *floats = samples;
    size_t copies = s->type.channels == 1 ? 3 : 1, size = pixels * (size_t)s->type.channels;
    for (size_t i = 0; i < size; i++) {
        int value = s->type.sample == SAMC_SAMPLE_U16 ? s->bytes[wide[i]]
                    : isfinite(floats[i])             ? byte_of(s, floats[i])
                                                      : 0;
        memset(rgb + i * copies, value, copies);
    }
}

samc_scale samc__scaler_report(const samc__scaler *s) {
    static const char *const names[] = {NULL,     "minmax",       "percentiles",    "range", "high-byte",
                                        "window", "window-exact", "window-sigmoid", "table", "auto"};
    bool inverted = s->type.inverted;
    return (samc_scale){sizeof(samc_scale), names[s->scale.kind], inverted ? s->high : s->low,
                        inverted ? s->low : s->high, s->type.sample};
}

void samc__scaler_end(samc__scaler *s) {
    free(s->bins);
    free(s->bytes);
    s->bins = NULL;
    s->bytes = NULL;
}

samc_status samc__scale_picture(samc__scale scale, samc__sampling type, const samc_samples *p, const char *name,
                                uint8_t *rgb, samc_scale *report, samc_error *error) {
    samc__scaler s;
    size_t width = (size_t)p->width;
    SAMC__TRY(samc__scaler_begin(&s, scale, type, name, error));
    while (s.passes > 0) {
        for (int y = 0; y < p->height; y++)
            samc__scaler_look(&s, (const char *)p->values + y * p->row_bytes, width * (size_t)p->channels);
        samc__scaler_end_pass(&s);
    }
    for (int y = 0; y < p->height; y++)
        samc__scaler_apply(&s, (const char *)p->values + y * p->row_bytes, width, rgb + (size_t)y * width * 3);
    *report = samc__scaler_report(&s);
    samc__scaler_end(&s);
    return SAMC_OK;
}

/* ---- Public ---------------------------------------------------------------------------------- */

samc_status samc_scale_check(const char *scale, samc_error *error) {
    samc__scale parsed;
    return samc__scale_parse(scale, &parsed, error);
}

samc_status samc_scale_json(const samc_scale *given, char json[160], samc_error *error) {
    static const char *const types[] = {"u8", "u16", "f32"};
    samc_scale scale;
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_scale), given, &scale, error));
    if (scale.name == NULL || json == NULL || scale.sample < 0 || scale.sample > SAMC_SAMPLE_F32 ||
        !isfinite(scale.low) || !isfinite(scale.high))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_scale_json: nothing was scaled");
    json_t *object = json_pack("{s:s, s:f, s:f, s:s}", "name", scale.name, "low", scale.low, "high", scale.high,
                               "samples", types[scale.sample]);
    char *text = object ? json_dumps(object, 0) : NULL; /* whose numbers have points in every language */
    if (text != NULL) snprintf(json, 160, "%s", text);
    json_decref(object);
    free(text);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    return SAMC_OK;
}

static samc_status check(const samc_samples *p, samc_error *error) {
    bool type = p->sample == SAMC_SAMPLE_U8 || p->sample == SAMC_SAMPLE_U16 || p->sample == SAMC_SAMPLE_F32;
    if (p->values == NULL || !type || (p->channels != 1 && p->channels != 3) || p->width < 1 || p->height < 1 ||
        (p->sample == SAMC_SAMPLE_U16 && p->bits != 0 && (p->bits < 9 || p->bits > 16)))
        return samc__fail(error, SAMC_INVALID_ARGUMENT,
                          "samples are [height, width, 1 or 3] of 8 bits, 9 to 16 bits or floats");
    if (p->width > SAMC_IMAGE_MOST_PIXELS / p->height)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "an image of %d x %d pixels is larger than the limit of %lld",
                          p->width, p->height, (long long)SAMC_IMAGE_MOST_PIXELS);
    size_t bytes = samc__sample_bytes(p->sample);
    if (p->row_bytes % (ptrdiff_t)bytes != 0 || (uintptr_t)p->values % bytes != 0)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samples that are not aligned");
    return SAMC_OK;
}

/* 8 bits are as they are. */
static void copy(const samc_samples *p, uint8_t *rgb) {
    for (int y = 0; y < p->height; y++) {
        const uint8_t *row = (const uint8_t *)p->values + y * p->row_bytes;
        if (p->channels == 3) memcpy(rgb, row, (size_t)p->width * 3);
        for (int x = 0; x < p->width; x++, rgb += 3)
            if (p->channels == 1) memset(rgb, row[x], 3);
    }
}

samc_status samc_samples_scale(const samc_samples *samples, const char *scale, uint8_t *rgb, samc_scale *applied,
                               samc_error *error) {
    samc_samples own;
    samc__scale parsed;
    samc_scale report = {0};
    if (applied != NULL) SAMC__TRY(samc__abi_give(SAMC__IO(samc_scale), &report, applied, error));
    SAMC__TRY(samc__abi_take(SAMC__IO(samc_samples), samples, &own, error));
    SAMC__TRY(check(&own, error));
    if (rgb == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_samples_scale: no place for the pixels");
    SAMC__TRY(samc__scale_parse(scale, &parsed, error));
    if (own.sample == SAMC_SAMPLE_U8) copy(&own, rgb);
    else {
        samc__sampling type = {.sample = own.sample, .channels = own.channels, .bits = own.bits > 0 ? own.bits : 16};
        SAMC__TRY(samc__scale_picture(parsed, type, &own, "samples", rgb, &report, error));
    }
    return applied == NULL ? SAMC_OK : samc__abi_give(SAMC__IO(samc_scale), &report, applied, error);
}
