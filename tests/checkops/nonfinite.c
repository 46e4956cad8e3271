/* Every operator once more, by the book and in double precision: which outputs are finite is all that is taken from it.
 *
 * Sums, softmax and norms are written as their formulas say, with the subtraction of the largest score that every
 * implementation makes; none of the fast versions' folding or tiling. */
#include "tests/checkops/nonfinite.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct book {
    const check *c;
    double **expected;
    double *owned[64]; /* freed at the end */
    int owned_count;
} book;

static double *room(book *b, int64_t count) {
    double *values = calloc((size_t)count + 1, sizeof *values);
    if (values == NULL || b->owned_count == 64) abort();
    return b->owned[b->owned_count++] = values;
}

static int64_t count_of(samc__view v) {
    int64_t n = 1;
    for (int i = 0; i < v.rank; i++) n *= v.n[i];
    return n;
}

/* `count` values of the buffer at `data` before the run; zeros where there is none. */
static double *values_at(book *b, const void *data, int64_t count) {
    double *values = room(b, count);
    const float *from = data ? initial(b->c, data) : NULL;
    for (int64_t i = 0; from && i < count; i++) values[i] = from[i];
    return values;
}
static double *values(book *b, samc__view v) { return values_at(b, v.data, v.data ? count_of(v) : 1); }

/* Where the results of the buffer at `data` are expected. */
static double *result(book *b, samc__view v) {
    for (int i = 0; i < b->c->count; i++)
        if (b->c->buffers[i].data == v.data) return b->expected[i];
    abort();
}

static double gelu(double x) { return 0.5 * x * (1.0 + erf(x * sqrt(0.5))); }

/* y [m, n] = x [m, k] . w^T + b */
static double *project(book *b, const double *x, int64_t m, samc__projection p) {
    int64_t n = p.w.n[0], k = p.w.n[1];
    double *w = values(b, p.w), *bias = values_at(b, p.b.data, n), *y = room(b, m * n);
    for (int64_t i = 0; i < m * n; i++) {
        for (int64_t j = 0; j < k; j++) y[i] += x[i / n * k + j] * w[i % n * k + j];
        y[i] += bias[i % n];
    }
    return y;
}

/* Rows of c channels, in place; 1 / deviation of each goes to `scales` where that is not NULL. */
static void normalise(book *b, double *x, int64_t rows, samc__norm norm, double *scales) {
    int64_t c = norm.g.n[0];
    double *g = values(b, norm.g), *shift = values(b, norm.b);
    for (int64_t row = 0; row < rows; row++, x += c) {
        double mean = 0, square = 0;
        for (int64_t i = 0; i < c; i++) mean += x[i] / (double)c;
        for (int64_t i = 0; i < c; i++) square += (x[i] - mean) * (x[i] - mean) / (double)c;
        double scale = 1.0 / sqrt(square + norm.eps);
        if (scales) scales[row] = scale;
        for (int64_t i = 0; i < c; i++) x[i] = (x[i] - mean) * scale * g[i] + shift[i];
    }
}

static void softmax(double *score, int64_t n) {
    double most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) most = score[i] > most ? score[i] : most;
    for (int64_t i = 0; i < n; i++) sum += score[i] = exp(score[i] - most);
    for (int64_t i = 0; i < n; i++) score[i] /= sum;
}

/* out [entries, tq, inner]; entry e reads entry e / (entries / sharing) of k and v, and of q where `q_shared`. Where
 * `weights` is not NULL, the softmax of query i of entry e for head h and key t goes to weights[((e tq + i) heads + h)
 * tk + t]. */
static double *attend(book *b, const double *q, const double *k, const double *v, int64_t entries, int64_t q_entries,
                      int64_t kv_entries, int64_t tq, int64_t tk, int64_t inner, int64_t heads, double *weights) {
    double *out = room(b, entries * tq * inner), *score = room(b, tk);
    int64_t hd = inner / heads;
    for (int64_t item = 0; item < entries * tq; item++)
        for (int64_t h = 0; h < heads; h++) {
            int64_t entry = item / tq;
            const double *mine = q + ((entry / (entries / q_entries)) * tq + item % tq) * inner + h * hd;
            const double *from = k + entry / (entries / kv_entries) * tk * inner + h * hd,
                         *values_from = v + (from - k);
            for (int64_t t = 0; t < tk; t++) {
                score[t] = 0;
                for (int64_t i = 0; i < hd; i++) score[t] += mine[i] * from[t * inner + i] / sqrt((double)hd);
            }
            softmax(score, tk);
            for (int64_t t = 0; t < tk; t++) {
                if (weights) weights[(item * heads + h) * tk + t] = score[t];
                for (int64_t i = 0; i < hd; i++)
                    out[item * inner + h * hd + i] += score[t] * values_from[t * inner + i];
            }
        }
    return out;
}

static double *sum_of(book *b, const double *x, const double *y, int64_t count, int64_t y_count) {
    double *sum = room(b, count);
    for (int64_t i = 0; i < count; i++) sum[i] = x[i] + y[i % y_count];
    return sum;
}

/* ---- The operators --------------------------------------------------------------------------- */

static void linear(book *b, const samc__linear_args *a) {
    int64_t m = a->x.n[0], k = a->x.n[1], n = a->p.w.n[0], xs = a->x_stride ? a->x_stride : k,
            ys = a->y_stride ? a->y_stride : n;
    double *x = values_at(b, a->x.data, (m - 1) * xs + k), *dense = room(b, m * k), *residual = values(b, a->residual),
           *y = result(b, a->y);
    for (int64_t i = 0; i < m * k; i++) dense[i] = x[i / k * xs + i % k];
    double *product = project(b, dense, m, a->p);
    for (int64_t i = 0; i < m * n; i++) {
        double value = product[i];
        if (a->act == SAMC__ACT_GELU) value = gelu(value);
        if (a->act == SAMC__ACT_RELU && value < 0) value = 0;
        y[i / n * ys + i % n] = value + (a->residual.data ? residual[i % (a->residual.n[0] * n)] : 0);
    }
}

static void layernorm(book *b, const samc__layernorm_args *a) {
    int64_t count = count_of(a->x);
    double *t = values(b, a->x);
    normalise(b, t, a->x.n[0], a->norm, NULL);
    memcpy(result(b, a->y), t, (size_t)count * sizeof *t);
}

static void attention_relpos(book *b, const samc__attention_relpos_args *a) {
    int64_t d = a->y.n[2], hd = d / a->heads, g = a->grid, side = a->window ? a->window : g,
            windows = (g + side - 1) / side;
    double *qkv = values(b, a->qkv), *bias = values_at(b, a->qkv_bias.data, 3 * d), *y = result(b, a->y),
           *score = room(b, side * side);
    double *rel_h = values(b, a->rel_h), *rel_w = values(b, a->rel_w);
    for (int64_t item = 0; item < count_of(a->y) / hd; item++) {
        int64_t h = item % a->heads, token = item / a->heads, image = token / (g * g), row = token / g % g,
                column = token % g;
        int64_t top = row / side % windows * side, left = column / side * side;
        const double *q = qkv + token * 3 * d + h * hd;
        for (int64_t key = 0; key < side * side; key++) {
            int64_t ky = top + key / side, kx = left + key % side;
            const double *k = (ky < g && kx < g ? qkv + ((image * g + ky) * g + kx) * 3 * d : bias) + d + h * hd;
            score[key] = 0;
            for (int64_t i = 0; i < hd; i++) score[key] += q[i] * k[i] / sqrt((double)hd);
            for (int64_t i = 0; i < hd && a->rel_h.data; i++)
                score[key] +=
                    q[i] * rel_h[(row - ky + side - 1) * hd + i] + q[i] * rel_w[(column - kx + side - 1) * hd + i];
        }
        softmax(score, side * side);
        for (int64_t i = 0; i < hd; i++) {
            double sum = 0;
            for (int64_t key = 0; key < side * side; key++) {
                int64_t ky = top + key / side, kx = left + key % side;
                sum += score[key] *
                       (ky < g && kx < g ? qkv + ((image * g + ky) * g + kx) * 3 * d : bias)[2 * d + h * hd + i];
            }
            y[item * hd + i] = sum;
        }
    }
}

static void conv3x3(book *b, const samc__conv3x3_args *a) {
    int64_t in = a->x.n[2], out = a->y.n[2], g = a->grid;
    double *x = values(b, a->x), *w = values(b, a->w), *y = result(b, a->y);
    for (int64_t i = 0; i < count_of(a->y); i++) {
        int64_t pixel = i / out, row = pixel / g % g, column = pixel % g;
        y[i] = 0;
        for (int64_t j = 0; j < 9 * in; j++) {
            int64_t dy = j % 9 / 3 - 1, dx = j % 3 - 1;
            bool inside = row + dy >= 0 && row + dy < g && column + dx >= 0 && column + dx < g;
            y[i] += (inside ? x[(pixel + dy * g + dx) * in + j / 9] : 0) * w[i % out * in * 9 + j];
        }
    }
}

static void add_rows(book *b, const samc__add_rows_args *a) {
    double *sum = sum_of(b, values(b, a->x), values(b, a->b), count_of(a->x), a->b.n[0]);
    memcpy(result(b, a->y), sum, (size_t)count_of(a->x) * sizeof *sum);
}

static void encode(double x, double y, const double *gaussian, int64_t c, double *out) {
    for (int64_t i = 0; i < c / 2; i++) {
        double angle = 6.283185307179586 * ((2 * x - 1) * gaussian[i] + (2 * y - 1) * gaussian[c / 2 + i]);
        out[i] = sin(angle), out[c / 2 + i] = cos(angle);
    }
}

static void embed_grid(book *b, const samc__embed_grid_args *a) {
    double *gaussian = values(b, a->gaussian), *y = result(b, a->y);
    for (int64_t i = 0; i < (int64_t)a->grid * a->grid; i++)
        encode(((double)(i % a->grid) + 0.5) / a->grid, ((double)(i / a->grid) + 0.5) / a->grid, gaussian, a->y.n[1],
               y + i * a->y.n[1]);
}

static void embed_prompts(book *b, const samc__embed_prompts_args *a) {
    int64_t prompts = a->queries.n[0], tokens = a->queries.n[1], c = a->queries.n[2],
            sparse = samc__embed_prompts_sparse(a), own = tokens - sparse;
    double *gaussian = values(b, a->gaussian), *xy = values_at(b, a->xy, 2 * prompts * sparse),
           *queries = result(b, a->queries), *pe = result(b, a->pe);
    double *iou = values(b, a->iou_token), *masks = values(b, a->mask_tokens), *added[5] = {values(b, a->not_a_point)};
    for (int i = 0; i < 4; i++) added[i + 1] = values(b, a->label_embed[i]);
    for (int64_t row = 0; row < prompts * tokens;
         row++) { /* padding has no position: point_embedding[labels == -1] = 0.0 */
        int64_t token = row % tokens, t = row / tokens * sparse + token - own;
        double *y = queries + row * c;
        if (token >= own) encode((xy[2 * t] + 0.5) / a->img_size, (xy[2 * t + 1] + 0.5) / a->img_size, gaussian, c, y);
        for (int64_t i = 0; i < c; i++)
            y[i] = token == 0    ? iou[i]
                   : token < own ? masks[(token - 1) * c + i]
                                 : (a->labels[t] < 0 ? 0 : y[i]) + added[a->labels[t] + 1][i];
    }
    memcpy(pe, queries, (size_t)(prompts * tokens * c) * sizeof *pe);
}

static void embed_mask(book *b, const samc__embed_mask_args *a) {
    int64_t p = a->y.n[0], g = a->grid, c1 = a->norm1.g.n[0], c2 = a->norm2.g.n[0], c = a->y.n[2];
    double *mask = values(b, a->mask), *w1 = values(b, a->conv1.w), *b1 = values(b, a->conv1.b),
           *w2 = values(b, a->conv2.w), *b2 = values(b, a->conv2.b);
    double *image = values(b, a->image), *y = result(b, a->y);
    double *first = room(b, p * 4 * g * g * c1), *second = room(b, p * g * g * c2);
    for (int64_t i = 0; i < p * 4 * g * g * c1; i++) { /* pixels of [2 g, 2 g] */
        int64_t pixel = i / c1, row = pixel / (2 * g) % (2 * g), column = pixel % (2 * g), prompt = pixel / (4 * g * g);
        first[i] = b1[i % c1];
        for (int64_t j = 0; j < 4; j++)
            first[i] += mask[(prompt * 4 * g + 2 * row + j / 2) * 4 * g + 2 * column + j % 2] * w1[i % c1 * 4 + j];
    }
    normalise(b, first, p * 4 * g * g, a->norm1, NULL);
    for (int64_t i = 0; i < p * 4 * g * g * c1; i++) first[i] = gelu(first[i]);
    for (int64_t i = 0; i < p * g * g * c2; i++) {
        int64_t cell = i / c2, row = cell / g % g, column = cell % g, prompt = cell / (g * g);
        second[i] = b2[i % c2];
        for (int64_t j = 0; j < 4 * c1; j++)
            second[i] += first[((prompt * 2 * g + 2 * row + j % 4 / 2) * 2 * g + 2 * column + j % 2) * c1 + j / 4] *
                         w2[(i % c2 * c1 + j / 4) * 4 + j % 4];
    }
    normalise(b, second, p * g * g, a->norm2, NULL);
    for (int64_t i = 0; i < p * g * g * c2; i++) second[i] = gelu(second[i]);
    double *out = project(b, second, p * g * g, a->conv3);
    for (int64_t i = 0; i < p * g * g * c; i++)
        y[i] = out[i] + image[i / (g * g * c) / (p / a->image.n[0]) * g * g * c + i % (g * g * c)];
}

/* queries = norm(queries + out), or without them. */
static void finish_queries(book *b, samc__view queries, double *out, samc__norm norm, bool residual) {
    int64_t count = count_of(queries);
    double *sum = residual ? sum_of(b, values(b, queries), out, count, count) : out;
    normalise(b, sum, count / queries.n[2], norm, NULL);
    memcpy(result(b, queries), sum, (size_t)count * sizeof *sum);
}

static void token_attention(book *b, const samc__token_attention_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], count = count_of(a->queries), inner = a->attention.q.w.n[0];
    double *x = values(b, a->queries), *with_pe = a->pe.data ? sum_of(b, x, values(b, a->pe), count, count) : x;
    double *q = project(b, with_pe, p * t, a->attention.q), *k = project(b, with_pe, p * t, a->attention.k),
           *v = project(b, x, p * t, a->attention.v);
    double *out = attend(b, q, k, v, p, p, p, t, t, inner, a->attention.heads, NULL);
    finish_queries(b, a->queries, project(b, out, p * t, a->attention.out), a->norm, a->pe.data != NULL);
}

static void token_to_image(book *b, const samc__token_to_image_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], count = count_of(a->queries), inner = a->attention.q.w.n[0],
            entries = a->keys.n[0], n = a->keys.n[1];
    double *keys = values(b, a->keys),
           *q = project(b, sum_of(b, values(b, a->queries), values(b, a->pe), count, count), p * t, a->attention.q);
    double *k = a->image_k.data
                    ? values(b, a->image_k)
                    : project(b, sum_of(b, keys, values(b, a->key_pe), count_of(a->keys), count_of(a->key_pe)),
                              entries * n, a->attention.k);
    double *v = a->image_v.data ? values(b, a->image_v) : project(b, keys, entries * n, a->attention.v);
    double *out = attend(b, q, k, v, p, p, entries, t, n, inner, a->attention.heads, NULL);
    finish_queries(b, a->queries, project(b, out, p * t, a->attention.out), a->norm, true);
}

static void image_to_token(book *b, const samc__image_to_token_args *a) {
    int64_t p = a->queries.n[0], t = a->queries.n[1], count = count_of(a->queries), inner = a->attention.q.w.n[0],
            heads = a->attention.heads;
    int64_t entries = a->keys.n[0], n = a->keys.n[1], c = a->keys.n[2];
    double *x = values(b, a->queries), *keys = values(b, a->keys), *weights = room(b, p * n * heads * t),
           *scales = room(b, p * n);
    double *k = project(b, sum_of(b, x, values(b, a->pe), count, count), p * t, a->attention.k),
           *v = project(b, x, p * t, a->attention.v);
    double *q = a->image_q.data
                    ? values(b, a->image_q)
                    : project(b, sum_of(b, keys, values(b, a->key_pe), count_of(a->keys), count_of(a->key_pe)),
                              entries * n, a->attention.q);
    double *y = project(b, attend(b, q, k, v, p, entries, p, n, t, inner, heads, weights), p * n, a->attention.out);
    for (int64_t i = 0; i < p * n * c; i++) y[i] += keys[i / (n * c) / (p / entries) * n * c + i % (n * c)];
    normalise(b, y, p * n, a->norm, scales);
    memcpy(result(b, a->y), y, (size_t)(p * n * c) * sizeof *y);
    if (a->update.weights.data == NULL) return;
    double *noted = result(b, a->update.weights);
    memset(noted, 0, (size_t)count_of(a->update.weights) * sizeof *noted);
    memcpy(result(b, a->update.values), v, (size_t)(p * t * inner) * sizeof *v);
    for (int64_t i = 0; i < p * n; i++) {
        for (int64_t j = 0; j < heads * t; j++)
            noted[samc__update_at(&a->update, i / n, i % n, j)] = weights[i * heads * t + j];
        noted[samc__update_at(&a->update, i / n, i % n, heads * t)] = scales[i];
    }
}

static void upscale_masks(book *b, const samc__upscale_masks_args *a) {
    int64_t p = a->hyper.n[0], masks = a->hyper.n[1], c8 = a->hyper.n[2], c4 = a->norm.g.n[0], c = a->src.n[2],
            g = a->grid, n = g * g;
    double *src = values(b, a->src), *w1 = values(b, a->up1.w), *b1 = values(b, a->up1.b), *w2 = values(b, a->up2.w),
           *b2 = values(b, a->up2.b);
    double *hyper = values(b, a->hyper), *y = result(b, a->y), *first = room(b, p * n * 4 * c4),
           *second = room(b, 4 * c8);
    for (int64_t i = 0; i < p * n * 4 * c4; i++) { /* [token][pixel][c4] */
        int64_t token = i / (4 * c4), pixel = i / c4 % 4, o = i % c4;
        if (a->depth) first[i] = src[(token / n / (p / a->src.n[0]) * n + token % n) * c + i % c];
        else {
            first[i] = b1[o];
            for (int64_t j = 0; j < c; j++) first[i] += src[token * c + j] * w1[(j * c4 + o) * 4 + pixel];
        }
    }
    for (int layer = 0; layer < a->depth; layer++) {
        const samc__up_layer *l = &a->layers[layer];
        int64_t t = l->update.values.n[1], inner = l->update.values.n[2], hd = inner / a->heads;
        double *weights = values(b, l->update.weights), *from = values(b, l->update.values), *fold = values(b, l->fold),
               *add = values(b, l->add);
        for (int64_t token = 0; token < p * n; token++) {
            double *f = first + token * c,
                   scale = weights[samc__update_at(&l->update, token / n, token % n, a->heads * t)];
            for (int64_t i = 0; i < inner; i++) {
                double o = 0;
                for (int64_t j = 0; j < t; j++)
                    o += weights[samc__update_at(&l->update, token / n, token % n, i / hd * t + j)] *
                         from[(token / n * t + j) * inner + i];
                for (int64_t r = 0; r < c; r++) f[r] += o * fold[i * c + r];
            }
            for (int64_t r = 0; r < c; r++) f[r] = f[r] * scale + add[r];
        }
    }
    normalise(b, first, p * n * 4, a->norm, NULL);
    for (int64_t i = 0; i < p * n * 4; i++) {
        for (int64_t o = 0; o < 4 * c8; o++) { /* [pixel][c8] */
            second[o] = b2[o % c8];
            for (int64_t j = 0; j < c4; j++) second[o] += gelu(first[i * c4 + j]) * w2[(j * c8 + o % c8) * 4 + o / c8];
        }
        for (int64_t m = 0; m < masks; m++)
            for (int64_t j = 0; j < 4; j++) {
                int64_t token = i / 4, row = token % n / g * 4 + i % 4 / 2 * 2 + j / 2,
                        column = token % g * 4 + i % 2 * 2 + j % 2;
                double sum = 0;
                for (int64_t o = 0; o < c8; o++)
                    sum += hyper[(token / n * masks + m) * c8 + o] * gelu(second[j * c8 + o]);
                y[((token / n * masks + m) * 4 * g + row) * 4 * g + column] = sum;
            }
    }
}

bool evaluate(const check *c, const char *name, double *expected[MAX_BUFFERS]) {
    static const struct {
        const char *name;
    } by_bytes[] = {{"preprocess"}, {"select_masks"}, {"finish_masks"}, {"mask_rle"}, {"nms"}, {"small_regions"}};
    book b = {.c = c, .expected = expected};
    memset(expected, 0, MAX_BUFFERS * sizeof *expected);
    for (size_t i = 0; i < sizeof by_bytes / sizeof *by_bytes; i++)
        if (strcmp(name, by_bytes[i].name) == 0) return false; /* the reference's bytes are the measure */
    for (int i = 0; i < c->count; i++) {
        const buffer *from = &c->buffers[i];
        if (from->role == IN || !from->floats) continue;
        expected[i] = calloc(from->bytes / 4 + 1, sizeof **expected);
        if (expected[i] == NULL) abort();
        for (size_t j = 0; from->role == INOUT && j < from->bytes / 4; j++)
            expected[i][j] = ((const float *)from->initial)[j];
    }
#define BY_BOOK(op)                                                                                                    \
    if (strcmp(name, #op) == 0) op(&b, &c->args.op);
    BY_BOOK(linear)
    BY_BOOK(layernorm)
    BY_BOOK(attention_relpos)
    BY_BOOK(conv3x3)
    BY_BOOK(add_rows)
    BY_BOOK(embed_grid)
    BY_BOOK(embed_prompts)
    BY_BOOK(embed_mask)
    BY_BOOK(token_attention)
    BY_BOOK(token_to_image)
    BY_BOOK(image_to_token)
    BY_BOOK(upscale_masks)
#undef BY_BOOK
    while (b.owned_count > 0) free(b.owned[--b.owned_count]);
    return true;
}

float *plantable(check *c, const char *name, int index, int64_t *count) {
    buffer *b = &c->buffers[index];
    bool boxes = strcmp(name, "nms") == 0 && b->data == c->args.nms.boxes;
    *count = (int64_t)b->bytes / 4;
    return b->role != OUT && (b->floats || boxes) && *count > 0 ? b->initial : NULL;
}

bool occurs(const check *c, const char *name, int index, float value) {
    const void *data = c->buffers[index].data;
    bool encoding = (strcmp(name, "token_to_image") == 0 && data == c->args.token_to_image.key_pe.data) ||
                    (strcmp(name, "image_to_token") == 0 && data == c->args.image_to_token.key_pe.data);
    return !encoding || isnan(value);
}

bool may_spread(const check *c, const char *name, int planted, float value, int index) {
    const void *data = c->buffers[index].data, *in = c->buffers[planted].data;
    const samc__key_update *u = &c->args.image_to_token.update;
    if (strcmp(name, "image_to_token") != 0) return false;
    if (isinf(value) && (in == c->args.image_to_token.queries.data || in == c->args.image_to_token.pe.data))
        return true;
#ifdef CHECKOPS_CUDA
    if (data == u->values.data) return true; /* not written there */
#endif
    return data == u->weights.data;
}

const shape tensor_shapes[] = {
    {"linear", {48, 64, 64, 2, 1, 0, 1}},
    {"linear", {35, 128, 64, 2, 1, 0, 1}},
    {"linear", {64, 64, 64, 1, 0, 0, 1}},
    {"layernorm", {5, 64, 0}},
    {"attention_relpos", {1, 1, 64, 16, 14, 1, 1}},
    {"attention_relpos", {1, 1, 64, 16, 8, 1, 1}},
    {"attention_relpos", {1, 1, 64, 32, 0, 1, 1}},
    {"conv3x3", {1, 8, 64, 64}},
    {"token_to_image", {2, 7, 128, 64, 8, 72, 0, 2, 0}},
    {"token_to_image", {1, 9, 256, 128, 8, 40, 1, 1, 0}},
    {"image_to_token", {2, 7, 128, 64, 8, 72, 0, 2, 0}},
    {"image_to_token", {1, 9, 256, 128, 8, 33, 1, 1, 0}},
    {"image_to_token", {1, 1, 128, 64, 8, 17, 1, 1, 0}}, /* a token alone */
    {"upscale_masks", {1, 8, 128, 32, 16, 3}},
    {"upscale_masks", {1, 8, 256, 64, 32, 3}},
    {NULL, {0}},
};
