// The check of attention_relpos: images, heads, hd, grid, window (0 global), bias (0, 1), type (0 f32, 1 f16, 2 bf16),
// tables (0, 1), kernel (0: the one that is chosen; else by its number).
#include "emu_test.h"
#include "kernels/attention_relpos/attention_relpos.h"
#include "kernels/attention_relpos/cuda.h"

#include <cmath>

namespace emu_test {

namespace {

struct Problem {
    int images, heads, hd, grid, side;                    // side of a window, or of the grid
    const std::vector<float> &qkv, &bias, &rel_h, &rel_w; // bias, tables: empty means zeros
    int sample;                                           // every sample-th query of an image is compared
};

// One query in double, and as a naive kernel in the given precision would do it: probabilities rounded before they meet
// the values, the result rounded, and where tensor cores serve it scores, positions and values summed as these do.
void attend(const Problem &p, samc__dtype type, bool tensor, int image, int head, int y, int x, double *exact,
            float *naive) {
    int d = p.heads * p.hd, side = p.side, top = y / side * side, left = x / side * side, keys = side * side;
    auto part = [&](int ty, int tx, int which, int c) -> float {
        size_t channel = size_t(which * d + head * p.hd + c);
        if (ty >= p.grid || tx >= p.grid) return p.bias.empty() ? 0.0f : p.bias[channel];
        return p.qkv[(size_t(image) * size_t(p.grid * p.grid) + size_t(ty * p.grid + tx)) * size_t(3 * d) + channel];
    };
    // This query times a row of hd elements, in double and on tensor cores.
    struct Both {
        double exact, low;
    };
    std::vector<float> query(static_cast<size_t>(p.hd));
    for (int c = 0; c < p.hd; c++) query[size_t(c)] = part(y, x, 0, c);
    auto meet = [&](const auto &row) {
        Both sum = {0, 0};
        tensor_sum low = naive_sum(true);
        for (int c = 0; c < p.hd; c++) {
            const float other = row(c);
            sum.exact += double(query[size_t(c)]) * double(other);
            if (tensor) tensor_sum_add(&low, query[size_t(c)], other);
        }
        sum.low = tensor ? double(tensor_sum_end(&low)) : sum.exact;
        return sum;
    };
    std::vector<Both> score(static_cast<size_t>(keys)), up(static_cast<size_t>(side)),
        across(static_cast<size_t>(side));
    for (int k = 0; k < side && !p.rel_h.empty(); k++) {
        up[size_t(k)] = meet([&](int c) { return p.rel_h[size_t((y - top - k + side - 1) * p.hd + c)]; });
        across[size_t(k)] = meet([&](int c) { return p.rel_w[size_t((x - left - k + side - 1) * p.hd + c)]; });
    }
    Both most = {-1e300, -1e300}, sum = {0, 0};
    for (int key = 0; key < keys; key++) {
        const Both dot = meet([&](int c) { return part(top + key / side, left + key % side, 1, c); });
        const Both &row = up[size_t(key / side)], &column = across[size_t(key % side)];
        score[size_t(key)] = {dot.exact / std::sqrt(double(p.hd)) + row.exact + column.exact,
                              dot.low / std::sqrt(double(p.hd)) + row.low + column.low};
        most = {std::max(most.exact, score[size_t(key)].exact), std::max(most.low, score[size_t(key)].low)};
    }
    for (Both &s : score) {
        s = {std::exp(s.exact - most.exact), std::exp(s.low - most.low)};
        sum = {sum.exact + s.exact, sum.low + s.low};
    }
    for (int c = 0; c < p.hd; c++) {
        double plain = 0;
        tensor_sum low = naive_sum(true);
        exact[c] = 0;
        for (int key = 0; key < keys; key++) {
            const float value = part(top + key / side, left + key % side, 2, c),
                        e = rounded(type, score[size_t(key)].low);
            exact[c] += score[size_t(key)].exact * value;
            if (tensor) tensor_sum_add(&low, e, value);
            else plain += double(e) * value;
        }
        exact[c] /= sum.exact;
        naive[c] = rounded(type, (tensor ? double(tensor_sum_end(&low)) : plain) / sum.low);
    }
}

// The naive kernel in f32: every product and sum in float, one key after another.
void attend_plain(const Problem &p, int image, int head, int y, int x, float *naive) {
    int d = p.heads * p.hd, side = p.side, top = y / side * side, left = x / side * side, keys = side * side;
    auto part = [&](int ty, int tx, int which) -> const float * { // [hd]; NULL: zeros
        size_t channel = size_t(which * d + head * p.hd);
        if (ty >= p.grid || tx >= p.grid) return p.bias.empty() ? nullptr : &p.bias[channel];
        return &p.qkv[(size_t(image) * size_t(p.grid * p.grid) + size_t(ty * p.grid + tx)) * size_t(3 * d) + channel];
    };
    const float *q = part(y, x, 0);
    auto dot = [&](const float *row) {
        float sum = 0;
        for (int c = 0; c < p.hd && row; c++) sum += q[c] * row[c];
        return sum;
    };
    std::vector<float> score(static_cast<size_t>(keys));
    float most = -INFINITY, sum = 0;
    for (int key = 0; key < keys; key++) {
        float s = dot(part(top + key / side, left + key % side, 1)) / std::sqrt(float(p.hd));
        if (!p.rel_h.empty())
            s += dot(&p.rel_h[size_t((y - top - key / side + side - 1) * p.hd)]) +
                 dot(&p.rel_w[size_t((x - left - key % side + side - 1) * p.hd)]);
        score[size_t(key)] = s, most = std::max(most, s);
    }
    for (int c = 0; c < p.hd; c++) naive[c] = 0;
    for (int key = 0; key < keys; key++) {
        const float *value = part(top + key / side, left + key % side, 2), e = std::exp(score[size_t(key)] - most);
        sum += e;
        for (int c = 0; c < p.hd && value; c++) naive[c] += e * value[c];
    }
    for (int c = 0; c < p.hd; c++) naive[c] /= sum;
}

} // namespace

static void attention_relpos(const Case &c, uint64_t seed) {
    int images = c.p[0], heads = c.p[1], hd = c.p[2], grid = c.p[3], window = c.p[4], side = window ? window : grid,
        d = heads * hd;
    samc__dtype type = samc__dtype(c.p[6]);
    size_t tokens = size_t(images * grid * grid), table = size_t((2 * side - 1) * hd);
    Random random = {seed};
    Tensor qkv(type, tokens * size_t(3 * d), random, 0.0f, 1.5f), bias(type, size_t(3 * d), random, 0.0f, 1.0f);
    Tensor rel_h(type, table, random, 0.0f, 0.35f), rel_w(type, table, random, 0.0f, 0.35f),
        y(type, tokens * size_t(d));
    samc__attention_relpos_args args = {};
    args.qkv = qkv.view(samc__view3(nullptr, images, grid * grid, 3 * d));
    if (c.p[5]) args.qkv_bias = bias.view(samc__view1(nullptr, 3 * d));
    if (c.p[7]) {
        args.rel_h = rel_h.view(samc__view2(nullptr, 2 * side - 1, hd));
        args.rel_w = rel_w.view(samc__view2(nullptr, 2 * side - 1, hd));
    }
    args.y = y.view(samc__view3(nullptr, images, grid * grid, d));
    args.heads = heads;
    args.grid = grid;
    args.window = window;
    work(samc__attention_relpos_flops(&args));
    samc__cuda cuda = device();
    const samc__attention_kernel kernel =
        c.p[8] ? samc__attention_kernel(c.p[8]) : samc__attention_relpos_cuda_kernel(&args);
    samc_status status =
        c.p[8] ? samc__attention_relpos_cuda_by(&cuda, &args, kernel) : samc__attention_relpos_cuda(&cuda, &args);
    if (status != SAMC_OK) failed("not accepted");
    if (emu::now.counters.bank_conflicts)
        failed("%llu bank conflicts of ldmatrix", (unsigned long long)emu::now.counters.bank_conflicts);

    std::vector<float> nothing;
    Problem p = {images,
                 heads,
                 hd,
                 grid,
                 side,
                 qkv.host,
                 c.p[5] ? bias.host : nothing,
                 c.p[7] ? rel_h.host : nothing,
                 c.p[7] ? rel_w.host : nothing,
                 1};
    // A prime step meets every position in a warp and a window in turn; whatever was not written is NaN and is found
    // anyway.
    if (tokens * size_t(side * side * heads) > 100000) p.sample = 13;
    if (tokens * size_t(side * side * heads) > 2000000) p.sample = 127;
    for (size_t i = 0; i < y.count; i++)
        if (std::isnan(y.at(i))) failed("token %zu, channel %zu not written or NaN", i / size_t(d), i % size_t(d));
    std::vector<float> got;
    auto each = [&](const auto &visit) { // the queries that are compared
        for (int image = 0; image < images; image++)
            for (int head = 0; head < heads; head++)
                for (int query = (image + head) % p.sample; query < grid * grid; query += p.sample)
                    visit(image, head, query, size_t(image * grid * grid + query) * size_t(d) + size_t(head * hd));
    };
    each([&](int, int, int, size_t at) {
        for (int i = 0; i < hd; i++) got.push_back(y.at(at + size_t(i)));
    });
    hold(got,
         expected(c,
                  [&] {
                      std::vector<float> naive(static_cast<size_t>(hd));
                      std::vector<double> exact(static_cast<size_t>(hd));
                      const bool tensor = kernel != SAMC__ATTENTION_GENERAL;
                      Expected is;
                      each([&](int image, int head, int query, size_t) {
                          attend(p, type, tensor, image, head, query / grid, query % grid, exact.data(), naive.data());
                          if (type == SAMC__F32) attend_plain(p, image, head, query / grid, query % grid, naive.data());
                          is.exact.insert(is.exact.end(), exact.begin(), exact.end());
                          is.naive.insert(is.naive.end(), naive.begin(), naive.end());
                      });
                      return is;
                  }),
         0);
    for (const Tensor *t : {&qkv, &bias, &rel_h, &rel_w, &y}) t->device->check();
}

enum { ONES = SAMC__ATTENTION_GLOBAL_ONES, W16 = SAMC__ATTENTION_WINDOW_16 };

static const Check check("attention_relpos", "images heads hd grid window bias type tables kernel",
                         {
                             // Windows: whole, ragged by 1 token, by several, smaller than a window; with and without a
                             // bias; batches and heads.
                             {false, {1, 1, 64, 8, 8, 0, 1, 1}},
                             {false, {2, 1, 64, 9, 8, 1, 2, 1}},
                             {false, {1, 2, 64, 5, 14, 1, 1, 1}},
                             {false, {1, 1, 80, 3, 14, 0, 2, 1}},
                             {false, {2, 1, 64, 3, 8, 1, 1, 1}},
                             {false, {1, 1, 64, 15, 14, 1, 2, 1}},
                             {false, {1, 1, 80, 20, 14, 0, 2, 1}},
                             {false, {1, 2, 80, 14, 14, 1, 1, 1}},
                             {false, {1, 1, 64, 32, 0, 1, 2, 1}},
                             // The general kernel: one token, odd sizes, keys that fill no tile, a head dim beyond a
                             // warp's lanes; all three types; no tables.
                             {false, {1, 1, 1, 1, 0, 1, 0, 1}},
                             {false, {2, 3, 5, 3, 2, 1, 0, 1}},
                             {false, {1, 2, 33, 7, 0, 1, 0, 1}},
                             {false, {2, 3, 5, 3, 7, 1, 0, 1}},
                             {false, {1, 2, 33, 5, 11, 0, 0, 1}},
                             {false, {1, 1, 64, 8, 14, 0, 0, 0}},
                             {false, {1, 1, 80, 9, 7, 0, 0, 1}},
                             {false, {1, 2, 64, 15, 14, 1, 0, 1}},
                             {false, {1, 1, 16, 6, 4, 1, 0, 0}},
                             {false, {1, 2, 40, 9, 0, 1, 1, 1}},
                             {false, {2, 1, 96, 6, 5, 0, 2, 1}},
                             // The second kernel for windows.
                             {false, {1, 1, 64, 15, 14, 1, 2, 1, W16}},
                             {false, {1, 2, 64, 5, 14, 0, 2, 1, W16}},
                             {false, {1, 2, 80, 14, 14, 0, 2, 1, W16}},
                             {true, {1, 1, 80, 64, 14, 1, 2, 1, W16}},
                             {true, {1, 1, 80, 64, 0, 1, 2, 1, ONES}},
                             {true, {2, 3, 64, 32, 0, 1, 1, 1}},
                             {true, {1, 3, 64, 32, 8, 1, 2, 1}},
                             {true, {1, 1, 64, 64, 14, 1, 1, 1}},
                             {true, {1, 1, 80, 64, 14, 1, 2, 1}},
                             {true, {1, 1, 64, 64, 0, 1, 2, 1}},
                             {true, {1, 1, 80, 64, 0, 1, 1, 1}},
                             {true, {1, 1, 64, 64, 0, 0, 1, 1}},
                             {true, {1, 1, 80, 64, 0, 0, 2, 1}},
                             {true, {1, 1, 64, 32, 0, 1, 0, 1}},
                             {true, {1, 1, 80, 64, 14, 1, 0, 1}},
                             {true, {1, 1, 128, 64, 14, 1, 2, 1}},
                             // Layers of ViT-B, ViT-L, ViT-H and the default model; batches; f32 for checking.
                             {2, {1, 12, 64, 64, 0, 1, 2, 1}},
                             {2, {1, 16, 64, 64, 0, 1, 2, 1}},
                             {2, {1, 16, 80, 64, 0, 1, 2, 1}},
                             {2, {1, 12, 64, 64, 14, 1, 2, 1}},
                             {2, {1, 16, 64, 64, 14, 1, 2, 1}},
                             {2, {1, 16, 80, 64, 14, 1, 2, 1}},
                             {2, {1, 16, 80, 64, 0, 1, 2, 1, ONES}},
                             {2, {4, 16, 80, 64, 0, 1, 2, 1, ONES}},
                             {2, {1, 12, 64, 64, 14, 1, 2, 1, W16}},
                             {2, {1, 16, 80, 64, 14, 1, 2, 1, W16}},
                             {2, {4, 12, 64, 64, 14, 1, 2, 1, W16}},
                             {2, {4, 16, 80, 64, 14, 1, 2, 1, W16}},
                             {2, {1, 12, 64, 64, 0, 1, 1, 1}},
                             {2, {1, 16, 80, 64, 14, 1, 1, 1}},
                             {2, {4, 12, 64, 64, 0, 1, 2, 1}},
                             {2, {4, 12, 64, 64, 14, 1, 2, 1}},
                             {2, {4, 16, 80, 64, 0, 1, 2, 1}},
                             {2, {4, 16, 80, 64, 14, 1, 2, 1}},
                             {2, {1, 3, 64, 32, 0, 1, 2, 1}},
                             {2, {1, 3, 64, 32, 8, 1, 2, 1}},
                             {2, {16, 3, 64, 32, 0, 1, 2, 1}},
                             {2, {16, 3, 64, 32, 8, 1, 2, 1}},
                             {2, {1, 2, 64, 64, 0, 1, 0, 1}},
                             {2, {1, 12, 64, 64, 14, 1, 0, 1}},
                         },
                         attention_relpos);

} // namespace emu_test
