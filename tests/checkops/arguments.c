/* Arguments that several operators take: projections, norms, attentions, packed masks, position encodings. */
#include "kernels/decoder_form.h"
#include "tests/checkops/checkops.h"

#include <math.h>

static samc__projection draw_projection(check *c, int64_t out, int64_t in, float scale, float bias) {
    scale /= __builtin_sqrtf((float)in);
    return (samc__projection){.w = samc__view2(input_around(c, out * in, 0, scale), out, in),
                              .b = samc__view1(input_around(c, out, 0, bias), out)};
}

samc__projection projection(check *c, int64_t out, int64_t in) { return draw_projection(c, out, in, 1.2f, 0.1f); }

samc__norm norm(check *c, int64_t n, float eps) {
    return (samc__norm){samc__view1(input_around(c, n, 1, 0.2f), n), samc__view1(input_around(c, n, 0, 0.2f), n), eps};
}

/* The projections of q, k, v and the output; bit i of `unbiased`: the i-th has no bias. Larger weights make scores
 * whose softmax magnifies every rounding before it; biases are such that one left out is seen in 16 bits. */
samc__attention attention(check *c, int64_t inner, int64_t n, int heads, int unbiased) {
    samc__attention a = {.heads = heads};
    samc__projection *all[] = {&a.q, &a.k, &a.v, &a.out};
    for (int i = 0; i < 4; i++) {
        *all[i] = i < 3 ? draw_projection(c, inner, n, 1.0f, 0.5f) : draw_projection(c, n, inner, 1.0f, 0.5f);
        if (unbiased >> i & 1) all[i]->b = (samc__view){0};
    }
    return a;
}

/* The last of `view`'s n[0] entries alone. */
samc__view last_of(samc__view v) {
    int64_t size = 1;
    for (int i = 1; i < v.rank; i++) size *= v.n[i];
    v.data = samc__f32(v) + (v.n[0] - 1) * size;
    v.n[0] = 1;
    return v;
}

/* What image_to_token notes: `made` by input or output. */
samc__key_update key_update(check *c, float *(*made)(check *, int64_t), int64_t prompts, int64_t t, int64_t n,
                            int64_t heads, int64_t inner) {
    int64_t blocks = samc__update_blocks(n), rows = heads * t + 1;
    return (samc__key_update){
        samc__view4(made(c, prompts * blocks * rows * SAMC__UPDATE_KEYS), prompts, blocks, rows, SAMC__UPDATE_KEYS),
        samc__view3(made(c, prompts * t * inner), prompts, t, inner)};
}

samc__view entry_of(const check *c, samc__view v, int64_t entries) {
    const int64_t behind = c->behind / (entries / v.n[0]);
    v.n[0] -= behind;
    return last_of(v);
}

samc__key_update last_update(samc__key_update u) { return (samc__key_update){last_of(u.weights), last_of(u.values)}; }

int64_t words_of(int width) { return (width + 63) / 64; }

bool pixel(const uint64_t *mask, int width, int64_t x, int64_t y) {
    return mask[y * words_of(width) + x / 64] >> (x % 64) & 1;
}

void set_pixel(uint64_t *bits, int width, int64_t x, int64_t y) {
    bits[y * words_of(width) + x / 64] |= UINT64_C(1) << (x % 64);
}

/* Random masks; every pattern is another kind: discs with speckles, mostly set, half set, empty, single pixels and full
 * columns. */
void fill_masks(check *c, uint64_t *bits, int64_t masks, int width, int height) {
    for (int64_t m = 0; m < masks; m++) {
        int64_t cx = random_bits(c) % (uint32_t)width, cy = random_bits(c) % (uint32_t)height,
                radius = 1 + (width < height ? width : height) / 3;
        for (int64_t y = 0; y < height; y++)
            for (int64_t x = 0; x < width; x++) {
                uint32_t noise = random_bits(c) % 1000;
                bool inside = (x - cx) * (x - cx) + (y - cy) * (y - cy) < radius * radius, set = false;
                switch (c->pattern) {
                case PATTERN_MODEL:
                    set = inside != (noise < 15);
                    break;
                case PATTERN_LARGE_MEAN:
                    set = noise < 970;
                    break;
                case PATTERN_LARGE:
                    set = noise < 500;
                    break;
                case PATTERN_DENORMAL:
                    set = noise < 4 || x == cx;
                    break;
                default:
                    break;
                }
                if (set) set_pixel(bits, width, x, m * height + y);
            }
    }
}

/* The encoding of position (x, y) in [0, 1] is `out` to within the rounding of its angle, 2 pi times the sum of two
 * products. */
bool encoding_fits(double x, double y, const float *gaussian, int64_t c, const float *out, const float *added) {
    for (int64_t i = 0; i < c / 2; i++) {
        double u = (2 * x - 1) * gaussian[i], v = (2 * y - 1) * gaussian[c / 2 + i],
               angle = 2 * 3.14159265358979323846 * (u + v);
        double slack =
            2e-6 + 0x1p-21 * 6.3 *
                       (fabs(gaussian[i]) * (fabs(2 * x - 1) + 1) + fabs(gaussian[c / 2 + i]) * (fabs(2 * y - 1) + 1));
        double sine = added ? added[i] : 0, cosine = added ? added[c / 2 + i] : 0;
        slack += 0x1p-22 * (fabs(sine) + fabs(cosine));
        if (!(fabs(sine + sin(angle) - out[i]) <= slack) || !(fabs(cosine + cos(angle) - out[c / 2 + i]) <= slack))
            return false;
    }
    return true;
}
