/* Samples of 16 bits and floats to 8 bits: against sorting and plain arithmetic, from memory and from files. */
#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/io/abi.h"
#include "host/io/scale.h"

static uint32_t state = 1;
static uint32_t dice(void) {
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* numpy.percentile(): linear between the neighbours, from the nearer one. */
static double percentile(const double *sorted, size_t count, double percent) {
    double at = percent / 100 * (double)(count - 1), part = at - floor(at);
    size_t i = (size_t)at, next = i + 1 < count ? i + 1 : i;
    double step = sorted[next] - sorted[i];
    return part >= 0.5 ? sorted[next] - step * (1 - part) : sorted[i] + step * part;
}

/* What the header promises, by sorting all finite values. `low` and `high`: of the scale, and then what it became. */
static void expect(const double *values, size_t count, const char *scale, double *low, double *high, uint8_t *bytes) {
    double *sorted = malloc((count + 1) * sizeof *sorted);
    size_t finite = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(values[i])) sorted[finite++] = values[i];
    qsort(sorted, finite, sizeof *sorted, by_value);
    double first = *low, last = *high;
    if (*scale != 'r') *low = *high = 0;
    if (*scale == 'm' && finite > 0) *low = sorted[0], *high = sorted[finite - 1];
    if (*scale == 'P' && finite > 0) *low = percentile(sorted, finite, first), *high = percentile(sorted, finite, last);
    for (size_t i = 0; i < count; i++) {
        double value = *high > *low ? floor((values[i] - *low) * 255 / (*high - *low) + 0.5) : 0;
        bytes[i] = (uint8_t)(!isfinite(values[i]) || value <= 0 ? 0 : value >= 255 ? 255 : value);
    }
    free(sorted);
}

enum { WIDTH = 61, HEIGHT = 37, MOST = WIDTH * HEIGHT * 3, GAP = 5 /* samples between rows */ };

/* Samples of a kind, as they are and as doubles. */
static void make(int kind, int channels, uint16_t *wide, float *floats) {
    static const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 1e-42f, -3e38f, 3e38f, 1.0f, -1.0f};
    for (int i = 0, at = 0; i < HEIGHT; i++, at += GAP)
        for (int x = 0; x < WIDTH * channels; x++, at++) {
            int v = i * WIDTH * channels + x;
            wide[at] = (uint16_t)(kind == 0 ? dice() : kind == 1 ? 100 + dice() % 3996 : kind == 2 ? 777 : dice() % 2);
            float value = (float)(int32_t)(dice() << 8) * ldexpf(1, kind == 0 ? -20 : -40);
            if (kind == 1 && v % 7 == 0) value = odd[dice() % 10];
            if (kind == 2) value = odd[dice() % 3]; /* nothing finite */
            if (kind == 3) value = (float)(dice() % 3) + 1e5f;
            floats[at] = value;
        }
}

static void compare(samc_sample type, int kind, int channels, const char *scale, double low, double high) {
    static uint16_t wide[MOST + HEIGHT * GAP];
    static float floats[MOST + HEIGHT * GAP];
    static double values[MOST];
    static uint8_t expected[MOST], got[MOST];
    make(kind, channels, wide, floats);
    size_t row = (size_t)WIDTH * (size_t)channels, count = row * HEIGHT;
    for (size_t i = 0; i < count; i++) {
        size_t at = i / row * (row + GAP) + i % row;
        values[i] = type == SAMC_SAMPLE_U16 ? (double)wide[at] : (double)floats[at];
    }
    char text[64];
    snprintf(text, sizeof text, *scale == 'm' ? "minmax" : *scale == 'P' ? "P%.17g-%.17g" : "%.17g,%.17g", low, high);
    expect(values, count, scale, &low, &high, expected);
    samc_samples samples = {.size = sizeof samples,
                            .values = type == SAMC_SAMPLE_U16 ? (void *)wide : (void *)floats,
                            .width = WIDTH,
                            .height = HEIGHT,
                            .channels = channels,
                            .row_bytes = (ptrdiff_t)((row + GAP) * samc__sample_bytes(type)),
                            .sample = type};
    samc_scale applied = SAMC_INIT(samc_scale);
    samc_error error = {0};
    cr_assert_eq(samc_samples_scale(&samples, text, got, &applied, &error), SAMC_OK, "%s", error.message);
    cr_expect(applied.low == low && applied.high == high && applied.sample == (int)type,
              "%s of %d: %.17g to %.17g, not %.17g to %.17g", text, kind, applied.low, applied.high, low, high);
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT * 3; i++)
        cr_assert_eq(got[i], expected[channels == 1 ? i / 3 : i], "%s of %d: sample %zu is %d, not %d", text, kind, i,
                     got[i], expected[channels == 1 ? i / 3 : i]);
}

Test(scale, as_by_sorting) {
    static const double percents[][2] = {{0.5, 99.5}, {0, 100}, {0, 1e-9}, {12.345, 12.346}, {50, 51}, {99.9, 100}};
    for (int kind = 0; kind < 4; kind++)
        for (int channels = 1; channels <= 3; channels += 2)
            for (samc_sample type = SAMC_SAMPLE_U16; type <= SAMC_SAMPLE_F32; type++) {
                compare(type, kind, channels, "minmax", 0, 0);
                compare(type, kind, channels, "range", -1.5, 4000.25);
                compare(type, kind, channels, "range", 0, 65535);
                for (size_t i = 0; i < sizeof percents / sizeof *percents; i++)
                    compare(type, kind, channels, "P", percents[i][0], percents[i][1]);
            }
}

/* One sample is all there is: no percentile has a neighbour. */
Test(scale, of_one_sample) {
    const uint16_t wide = 4711;
    const float number = -2.5f;
    samc_samples samples = {.size = sizeof samples,
                            .values = &wide,
                            .width = 1,
                            .height = 1,
                            .channels = 1,
                            .row_bytes = 2,
                            .sample = SAMC_SAMPLE_U16};
    samc_scale applied = SAMC_INIT(samc_scale);
    uint8_t rgb[3];
    cr_assert_eq(samc_samples_scale(&samples, "P1-99", rgb, &applied, NULL), SAMC_OK);
    cr_expect(applied.low == 4711 && applied.high == 4711 && rgb[0] == 0);
    samples.values = &number, samples.sample = SAMC_SAMPLE_F32, samples.row_bytes = 4;
    cr_assert_eq(samc_samples_scale(&samples, "P1-99", rgb, &applied, NULL), SAMC_OK);
    cr_expect(applied.low == -2.5 && applied.high == -2.5);
}

Test(scale, defaults_and_high_byte) {
    const uint16_t grey[4] = {1000, 2000, 3000, 1500}, colour[6] = {0, 255, 256, 65535, 4095, 4096};
    uint8_t rgb[12];
    samc_scale applied = SAMC_INIT(samc_scale);
    samc_samples samples = {.size = sizeof samples,
                            .values = grey,
                            .width = 2,
                            .height = 2,
                            .channels = 1,
                            .row_bytes = 4,
                            .sample = SAMC_SAMPLE_U16};
    cr_assert_eq(samc_samples_scale(&samples, NULL, rgb, &applied, NULL), SAMC_OK);
    cr_expect(strcmp(applied.name, "minmax") == 0 && rgb[0] == 0 && rgb[3] == 128 && rgb[6] == 255 && rgb[9] == 64);
    cr_assert_eq(samc_samples_scale(&samples, "high-byte", rgb, &applied, NULL), SAMC_OK);
    cr_expect(strcmp(applied.name, "high-byte") == 0 && rgb[0] == 3 && rgb[3] == 7 && rgb[6] == 11);
    samples = (samc_samples){.size = sizeof samples,
                             .values = colour,
                             .width = 1,
                             .height = 2,
                             .channels = 3,
                             .row_bytes = 6,
                             .sample = SAMC_SAMPLE_U16};
    cr_assert_eq(samc_samples_scale(&samples, "", rgb, &applied, NULL), SAMC_OK);
    cr_expect(strcmp(applied.name, "high-byte") == 0 && memcmp(rgb, "\0\0\1\377\17\20", 6) == 0);
    cr_expect(applied.low == 0 && applied.high == 65535);
    samples.bits = 12; /* 65535 has bits that do not count */
    cr_assert_eq(samc_samples_scale(&samples, "", rgb, &applied, NULL), SAMC_OK);
    cr_expect(memcmp(rgb, "\0\17\20\377\377\377", 6) == 0 && applied.high == 4095);
    char json[160];
    cr_assert_eq(samc_scale_json(&applied, json, NULL), SAMC_OK);
    cr_expect_str_eq(json, "{\"name\": \"high-byte\", \"low\": 0.0, \"high\": 4095.0, \"samples\": \"u16\"}");
}

/* 8 bits are not scaled, whatever is asked. */
Test(scale, eight_bits) {
    const uint8_t grey[2] = {7, 9};
    uint8_t rgb[6];
    samc_scale applied = SAMC_INIT(samc_scale);
    samc_samples samples = {
        .size = sizeof samples, .values = grey, .width = 2, .height = 1, .channels = 1, .row_bytes = 2};
    cr_assert_eq(samc_samples_scale(&samples, "minmax", rgb, &applied, NULL), SAMC_OK);
    cr_expect(memcmp(rgb, "\7\7\7\11\11\11", 6) == 0 && applied.name == NULL);
    cr_expect_eq(samc_scale_json(&applied, (char[160]){0}, NULL), SAMC_INVALID_ARGUMENT);
}

Test(scale, text) {
    static const char *const good[] = {"minmax", "high-byte", "P0-100",  "P0.5-99.5", "P1e1-9e1",
                                       "0,255",  "-1.5,2e3",  "-20,-10", ""};
    static const char *const bad[] = {"min",  "P",    "P5",    "P5-",     "P99-1",   "P5-5",  "P-1-50", "P0-100.1",
                                      "5",    "5,",   "5,5",   "6,5",     "nan,1",   "0,inf", "0,1,2",  "0x1,2",
                                      " 0,1", "0,1 ", "p1-99", "1e999,2", "-1e39,0", "MINMAX"};
    samc_error error;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        cr_expect_eq(samc_scale_check(good[i], &error), SAMC_OK, "%s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_eq(samc_scale_check(bad[i], &error), SAMC_INVALID_ARGUMENT, "%s", bad[i]);
        cr_expect(strstr(error.message, bad[i]) != NULL && strstr(error.message, "minmax") != NULL);
    }
    cr_expect_eq(samc_scale_check(NULL, &error), SAMC_OK);
}

Test(scale, refused) {
    const float number = 1;
    uint8_t rgb[3];
    samc_error error = {0};
    samc_scale applied = SAMC_INIT(samc_scale);
    const samc_samples good = {.size = sizeof good,
                               .values = &number,
                               .width = 1,
                               .height = 1,
                               .channels = 1,
                               .row_bytes = 4,
                               .sample = SAMC_SAMPLE_F32};
    cr_expect_eq(samc_samples_scale(&good, "high-byte", rgb, &applied, &error), SAMC_UNSUPPORTED);
    cr_expect(strstr(error.message, "floats") != NULL && applied.name == NULL);
    cr_expect_eq(samc_samples_scale(&good, "minmax", rgb, NULL, NULL), SAMC_OK);
#define REFUSED(field, value)                                                                                          \
    do {                                                                                                               \
        samc_samples own = good;                                                                                       \
        own.field = value;                                                                                             \
        cr_expect_eq(samc_samples_scale(&own, NULL, rgb, NULL, &error), SAMC_INVALID_ARGUMENT, #field);                \
    } while (0)
    REFUSED(size, 0);
    REFUSED(values, NULL);
    REFUSED(values, (const char *)&number + 1);
    REFUSED(width, 0);
    REFUSED(height, -1);
    REFUSED(width, 1 << 30);
    REFUSED(channels, 2);
    REFUSED(channels, 4);
    REFUSED(sample, 3);
    REFUSED(sample, -1);
    REFUSED(row_bytes, 5);
    cr_expect_eq(samc_samples_scale(NULL, NULL, rgb, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_samples_scale(&good, NULL, NULL, NULL, &error), SAMC_INVALID_ARGUMENT);
    cr_expect_eq(samc_samples_scale(&good, "x", rgb, NULL, &error), SAMC_INVALID_ARGUMENT);
}

/* PS3.3, C.11.2.1.2 and .3, in its own words. */
static double window_of(const char *kind, double x, double c, double w) {
    const double low = 0, high = 255;
    if (*kind == 's') return (high - low) / (1 + exp(-4 * (x - c) / w)) + low;
    if (*kind == 'e') return x <= c - w / 2 ? low : x > c + w / 2 ? high : ((x - c) / w + 0.5) * (high - low) + low;
    if (x <= c - 0.5 - (w - 1) / 2) return low;
    if (x > c - 0.5 + (w - 1) / 2) return high;
    return ((x - (c - 0.5)) / (w - 1) + 0.5) * (high - low) + low;
}

static void compare_window(const char *text, const char *kind, double c, double w, const float *values, int count) {
    uint8_t got[3 * 64];
    samc_scale applied = SAMC_INIT(samc_scale);
    samc_error error = {0};
    const samc_samples samples = {.size = sizeof samples,
                                  .values = values,
                                  .width = count,
                                  .height = 1,
                                  .channels = 1,
                                  .row_bytes = count * 4,
                                  .sample = SAMC_SAMPLE_F32};
    cr_assert_eq(samc_samples_scale(&samples, text, got, &applied, &error), SAMC_OK, "%s: %s", text, error.message);
    cr_expect_str_eq(applied.name, *kind == 's' ? "window-sigmoid" : *kind == 'e' ? "window-exact" : "window");
    for (int i = 0; i < count; i++)
        cr_expect_eq(got[3 * i], isfinite(values[i]) ? (int)floor(window_of(kind, values[i], c, w) + 0.5) : 0,
                     "%s: %g is %d", text, (double)values[i], got[3 * i]);
}

Test(scale, windows) {
    static const float values[] = {-3000, -1024, -161,    -160.5f, -160, -159, -100, 0,    1,   39.5f,    40,    40.5f,
                                   41,    239,   239.25f, 239.5f,  240,  241,  1000, 4095, NAN, INFINITY, 0.25f, 1e30f};
    const int count = sizeof values / sizeof *values;
    compare_window("window:40,400", "l", 40, 400, values, count);
    compare_window("window:soft-tissue", "l", 40, 400, values, count);
    compare_window("window:lung", "l", -600, 1500, values, count);
    compare_window("window:bone", "l", 400, 1800, values, count);
    compare_window("window:brain", "l", 40, 80, values, count);
    compare_window("window:40,1", "l", 40, 1, values, count);
    compare_window("window:40.25,2.5", "l", 40.25, 2.5, values, count);
    compare_window("window-exact:40,400", "e", 40, 400, values, count);
    compare_window("window-exact:40,0.5", "e", 40, 0.5, values, count);
    compare_window("window-sigmoid:40,400", "s", 40, 400, values, count);
    static const char *const refused[] = {"window:",          "window:40",         "window:40,0.5",
                                          "window:40,400,3",  "window:liver",      "window:40,nan",
                                          "window-exact:4,0", "window-exact:auto", "window-cubic:1,2"};
    samc_error error;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        cr_expect_eq(samc_scale_check(refused[i], &error), SAMC_INVALID_ARGUMENT, "%s", refused[i]);
}

/* MedSAM's: what is 0 or below counts for nothing and becomes black; of a CT it is a window. What a file asks for holds
 * where nobody asks for more, and a file whose greatest value is black is turned. */
Test(scale, of_a_file) {
    float values[1000];
    double above[700];
    uint8_t got[3000];
    samc_scale applied;
    samc_error error = {0};
    for (int i = 0; i < 1000; i++) values[i] = i < 300 ? (float)-i : (float)(dice() % 5000 + 1);
    for (int i = 0; i < 700; i++) above[i] = values[300 + i];
    qsort(above, 700, sizeof *above, by_value);
    const samc_samples samples = {
        .values = values, .width = 1000, .height = 1, .channels = 1, .row_bytes = 4000, .sample = SAMC_SAMPLE_F32};
    samc__sampling type = {.sample = SAMC_SAMPLE_F32, .channels = 1, .bits = 16};
    samc__scale asked;
    cr_assert_eq(samc__scale_parse("window:auto", &asked, &error), SAMC_OK);
    cr_assert_eq(samc__scale_picture(asked, type, &samples, "x", got, &applied, &error), SAMC_OK);
    cr_expect(applied.low == percentile(above, 700, 0.5) && applied.high == percentile(above, 700, 99.5), "%g %g",
              applied.low, applied.high);
    cr_expect_str_eq(applied.name, "auto");
    for (int i = 0; i < 300; i++) cr_expect_eq(got[3 * i], 0);
    type.ct = true;
    cr_assert_eq(samc__scale_picture(asked, type, &samples, "x", got, &applied, &error), SAMC_OK);
    cr_expect_str_eq(applied.name, "window");
    cr_expect(applied.low == -160 && applied.high == 239, "%g %g", applied.low, applied.high);
    type.own = (samc__scale){SAMC__SCALE_WINDOW_EXACT, 100, 50};
    type.inverted = true;
    cr_assert_eq(samc__scale_picture((samc__scale){0}, type, &samples, "x", got, &applied, &error), SAMC_OK);
    cr_expect_str_eq(applied.name, "window-exact");
    cr_expect(applied.low == 125 && applied.high == 75, "%g %g", applied.low, applied.high);
    for (int i = 0; i < 1000; i++)
        cr_expect_eq(got[3 * i], 255 - (int)floor(window_of("e", values[i], 100, 50) + 0.5), "%g is %d",
                     (double)values[i], got[3 * i]);
}

/* Less than half a percent of it is anything: percentiles alone would make all of it black. */
Test(scale, of_a_small_thing) {
    float values[1000];
    uint8_t got[3000];
    samc_scale applied;
    samc_error error = {0};
    for (int i = 0; i < 1000; i++) values[i] = i == 700 ? 220 : 20;
    const samc_samples samples = {
        .values = values, .width = 1000, .height = 1, .channels = 1, .row_bytes = 4000, .sample = SAMC_SAMPLE_F32};
    const samc__sampling type = {.sample = SAMC_SAMPLE_F32, .channels = 1, .bits = 16};
    samc__scale asked;
    values[701] = 120;
    cr_assert_eq(samc__scale_parse("window:auto", &asked, &error), SAMC_OK);
    cr_assert_eq(samc__scale_picture(asked, type, &samples, "x", got, &applied, &error), SAMC_OK);
    cr_expect(applied.low == 20 && applied.high == 220, "%g %g", applied.low, applied.high);
    cr_expect(got[0] == 0 && got[2100] == 255 && got[2103] == 128, "%d %d %d", got[0], got[2100], got[2103]);
    for (int i = 0; i < 1000; i++) values[i] = i < 500 ? 0 : 1; /* a volume of labels */
    cr_assert_eq(samc__scale_picture(asked, type, &samples, "x", got, &applied, &error), SAMC_OK);
    cr_expect(applied.low == 0 && applied.high == 1, "%g %g", applied.low, applied.high);
    cr_expect(got[0] == 0 && got[1500] == 255, "%d %d", got[0], got[1500]);
}
