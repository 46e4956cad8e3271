/* Arithmetic by the book (book.h). */
#include "tests/checkops/book.h"
#include "tests/emu/tensor_core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double *room(book *b, int64_t count) {
    double *values = calloc((size_t)count + 1, sizeof *values);
    if (values == NULL || b->owned_count == 64) abort();
    return b->owned[b->owned_count++] = values;
}

int64_t count_of(samc__view v) {
    int64_t n = 1;
    for (int i = 0; i < v.rank; i++) n *= v.n[i];
    return n;
}

/* `count` values of the buffer at `data` before the run; zeros where there is none. */
double *values_at(book *b, const void *data, int64_t count) {
    double *values = room(b, count);
    const float *from = data ? initial(b->c, data) : NULL;
    for (int64_t i = 0; from && i < count; i++) values[i] = from[i];
    return values;
}
double *values(book *b, samc__view v) { return values_at(b, v.data, v.data ? count_of(v) : 1); }

/* Where the results of the buffer that v lies in are expected. */
double *result(book *b, samc__view v) {
    size_t at;
    const int i = buffer_of(b->c, v.data, &at);
    return b->expected[i] + at / 4;
}

double lower(const book *b, double x) {
    float low; /* room for any type */
    if (b->low == SAMC__F32) return x;
    samc__store_element(b->low, &low, 0, (float)x);
    return samc__load_element(b->low, &low, 0);
}

/* `count` values as they are read in 16 bits. */
static const double *lowered(book *b, const double *x, int64_t count) {
    if (b->low == SAMC__F32) return x;
    double *y = room(b, count);
    for (int64_t i = 0; i < count; i++) y[i] = lower(b, x[i]);
    return y;
}

/* x . y of n elements each, those of y `apart`. */
static double dot(const double *x, const double *y, int64_t n, int64_t apart, bool tensor) {
    double sum = 0;
    for (int64_t i = 0; i < n && !tensor; i++) sum += x[i] * y[i * apart];
    if (!tensor) return sum;
    tensor_sum low = tensor_sum_of(TENSOR_SM80);
    for (int64_t i = 0; i < n; i++) tensor_sum_add(&low, (float)x[i], (float)y[i * apart]);
    return tensor_sum_end(&low);
}

float rounded_to(int type, float value) {
    uint32_t element; /* of either size */
    samc__store_element((samc__dtype)type, &element, 0, value);
    return samc__load_element((samc__dtype)type, &element, 0);
}

double gelu(double x) { return 0.5 * x * (1.0 + erf(x * sqrt(0.5))); }

double finished(double sum, samc__act act, bool last, const double *added) {
    double x = added != NULL && last ? sum + *added : sum;
    switch (act) {
    case SAMC__ACT_GELU:
        x = gelu(x);
        break;
    case SAMC__ACT_RELU:
        x = x < 0 ? 0 : x;
        break;
    case SAMC__ACT_GELU_TANH:
        x = 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
        break;
    case SAMC__ACT_GELU_QUICK:
        x = x / (1 + exp(-1.702 * x));
        break;
    case SAMC__ACT_ELU:
        x = x > 0 ? x : expm1(x);
        break;
    case SAMC__ACT_HARDSWISH:
        x = x * (x < -3 ? 0 : x > 3 ? 6 : x + 3) / 6;
        break;
    default:
        break;
    }
    return added != NULL && !last ? x + *added : x;
}

/* y [m, n] = x [m, k] . w^T + b */
double *project(book *b, const double *x, int64_t m, samc__projection p) {
    int64_t n = p.w.n[0], k = p.w.n[1];
    double *w = values(b, p.w), *bias = values_at(b, p.b.data, n), *y = room(b, m * n);
    const bool tensor = b->low != SAMC__F32 && k % 32 == 0 && n % 16 == 0;
    x = lowered(b, x, m * k);
    for (int64_t i = 0; i < m * n; i++) y[i] = dot(x + i / n * k, w + i % n * k, k, 1, tensor) + bias[i % n];
    return y;
}

/* Rows of c channels, in place; 1 / deviation of each goes to `scales` where that is not NULL. */
void normalise(book *b, double *x, int64_t rows, samc__norm norm, double *scales) {
    int64_t c = norm.g.n[0];
    double *g = values(b, norm.g), *shift = values(b, norm.b);
    for (int64_t row = 0; row < rows; row++, x += c) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < c && b->low != SAMC__F32; i++) x[i] = (float)x[i];
        for (int64_t i = 0; i < c; i++) mean += x[i] / (double)c;
        for (int64_t i = 0; i < c; i++) square += (x[i] - mean) * (x[i] - mean) / (double)c;
        double scale = 1.0 / sqrt(square + norm.eps);
        if (scales) scales[row] = scale;
        for (int64_t i = 0; i < c; i++) x[i] = (x[i] - mean) * scale * g[i] + shift[i];
    }
}

void softmax(double *score, int64_t n) {
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) most = score[i] > most ? score[i] : most;
    for (int64_t i = 0; i < n; i++) sum += score[i] = exp(score[i] - most);
    for (int64_t i = 0; i < n; i++) score[i] /= sum;
}

/* out [entries, tq, inner]; entry e reads entry e / (entries / sharing) of k and v, and of q where `q_shared`. Where
 * `weights` is not NULL, the softmax of query i of entry e for head h and key t goes to weights[((e tq + i) heads + h)
 * tk + t]. */
double *attend(book *b, const double *q, const double *k, const double *v, int64_t entries, int64_t q_entries,
               int64_t kv_entries, int64_t tq, int64_t tk, int64_t inner, int64_t heads, double *weights) {
    double *out = room(b, entries * tq * inner), *score = room(b, tk);
    int64_t hd = inner / heads;
    const bool low = b->low != SAMC__F32, tensor = low && b->tensor;
    q = lowered(b, q, q_entries * tq * inner);
    k = lowered(b, k, kv_entries * tk * inner);
    v = lowered(b, v, kv_entries * tk * inner);
    for (int64_t item = 0; item < entries * tq; item++)
        for (int64_t h = 0; h < heads; h++) {
            int64_t entry = item / tq;
            const double *mine = q + ((entry / (entries / q_entries)) * tq + item % tq) * inner + h * hd;
            const double *from = k + entry / (entries / kv_entries) * tk * inner + h * hd,
                         *values_from = v + (from - k);
            for (int64_t t = 0; t < tk; t++) {
                score[t] = dot(mine, from + t * inner, hd, 1, tensor) / sqrt((double)hd);
                if (low) score[t] = (float)score[t];
            }
            softmax(score, tk);
            for (int64_t t = 0; t < tk; t++) {
                score[t] = lower(b, score[t]);
                if (weights) weights[(item * heads + h) * tk + t] = score[t];
            }
            for (int64_t i = 0; i < hd; i++)
                out[item * inner + h * hd + i] = dot(score, values_from + i, tk, inner, tensor);
        }
    return out;
}

double *sum_of(book *b, const double *x, const double *y, int64_t count, int64_t y_count) {
    double *sum = room(b, count);
    for (int64_t i = 0; i < count; i++) sum[i] = x[i] + y[i % y_count];
    return sum;
}

void encode(double x, double y, const double *gaussian, int64_t c, double *out) {
    for (int64_t i = 0; i < c / 2; i++) {
        double angle = 6.283185307179586 * ((2 * x - 1) * gaussian[i] + (2 * y - 1) * gaussian[c / 2 + i]);
        out[i] = sin(angle), out[c / 2 + i] = cos(angle);
    }
}

/* queries = norm(queries + out), or without them. */
void finish_queries(book *b, samc__view queries, double *out, samc__norm norm, bool residual) {
    int64_t count = count_of(queries);
    double *sum = residual ? sum_of(b, values(b, queries), out, count, count) : out;
    normalise(b, sum, count / queries.n[2], norm, NULL);
    memcpy(result(b, queries), sum, (size_t)count * sizeof *sum);
}

/* Room for the results: as they were before the run, or NaN. */
static void open_book(book *b, bool as_before) {
    memset(b->expected, 0, MAX_BUFFERS * sizeof *b->expected);
    for (int i = 0; i < b->c->count; i++) {
        const buffer *from = &b->c->buffers[i];
        if (from->role == IN || !from->floats) continue;
        double *room = b->expected[i] = calloc(from->bytes / 4 + 1, sizeof *room);
        if (room == NULL) abort();
        for (size_t j = 0; j < from->bytes / 4; j++)
            if (!as_before) room[j] = NAN;
            else if (from->role == INOUT) room[j] = ((const float *)from->initial)[j];
    }
}

static bool close_book(book *b) {
    while (b->owned_count > 0) free(b->owned[--b->owned_count]);
    return true;
}

static bool by_the_book(const row *r, book b) {
    memset(b.expected, 0, MAX_BUFFERS * sizeof *b.expected);
    if (r->book == NULL) return false;
    open_book(&b, true);
    r->book(&b, b.c);
    return close_book(&b);
}

bool evaluate(const row *r, const check *c, double *expected[MAX_BUFFERS]) { return evaluate_every(r, c, 1, expected); }

bool evaluate_low(const row *r, const check *c, samc__dtype low, bool tensor, double *expected[MAX_BUFFERS]) {
    return by_the_book(r, (book){.c = c, .expected = expected, .low = low, .tensor = tensor, .every = 1});
}

bool evaluate_every(const row *r, const check *c, int every, double *expected[MAX_BUFFERS]) {
    return by_the_book(r, (book){.c = c, .expected = expected, .low = SAMC__F32, .every = every});
}

bool evaluate_naive(const row *r, const check *c, const int *p, int every, double *expected[MAX_BUFFERS]) {
    book b = {.c = c, .expected = expected, .low = SAMC__F32, .every = every};
    memset(expected, 0, MAX_BUFFERS * sizeof *expected);
    if (r->naive == NULL) return false;
    open_book(&b, false);
    r->naive(&b, c, p);
    return close_book(&b);
}
