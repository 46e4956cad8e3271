// emu_attention.h - what the checks of the decoder's attentions share: their weights, and the attention in double or,
// with every intermediate rounded, as a naive kernel of a precision would do it.
#ifndef SAMC_TESTS_EMU_EMU_ATTENTION_H
#define SAMC_TESTS_EMU_EMU_ATTENTION_H

#include "emu_test.h"

#include <algorithm>
#include <cmath>

namespace emu_test {

using Numbers = std::vector<double>;

struct Rounding {
    bool on; // off: double throughout
    samc__dtype type;
    bool cross; // scores and values meet on tensor cores; projections do so by their shape
    double operator()(double x) const { return on ? double(rounded(type, x)) : x; }
    double to_float(double x) const { return on ? double(float(x)) : x; } // what stays fp32 in every precision
};

inline Numbers numbers(const Tensor &t) { return Numbers(t.host.begin(), t.host.end()); }

// a . b of n elements each, `apart` elements of b from each other: in double, or as tensor cores add.
template <class B> double dot(const double *a, const B *b, size_t n, size_t apart, bool tensor) {
    double sum = 0;
    tensor_sum low = naive_sum(true);
    for (size_t i = 0; i < n; i++) {
        if (tensor) tensor_sum_add(&low, float(a[i]), float(b[i * apart]));
        else sum += a[i] * double(b[i * apart]);
    }
    return tensor ? double(tensor_sum_end(&low)) : sum;
}

// x [rows, k] -> x . w^T + b [rows, n]; `keep`: the result stays fp32.
inline Numbers project(const Numbers &x, const Tensor &w, const Tensor *b, int n, const Rounding &round,
                       bool keep = false) {
    size_t k = w.count / size_t(n), rows = x.size() / k;
    const bool tensor = round.on && round.type != SAMC__F32 && k % 32 == 0 && n % 16 == 0;
    Numbers y(rows * size_t(n)), in(k);
    for (size_t r = 0; r < rows; r++) {
        for (size_t i = 0; i < k; i++) in[i] = round(x[r * k + i]);
        for (size_t j = 0; j < size_t(n); j++) {
            double sum = dot(in.data(), &w.host[j * k], k, 1, tensor) + (b ? b->host[j] : 0.0);
            y[r * size_t(n) + j] = keep ? sum : round(sum);
        }
    }
    return y;
}

// The fp32 values of an input, for the reference operators.
inline samc__view on_host(samc__view shape, const Tensor &t) {
    shape.data = const_cast<float *>(t.host.data());
    shape.dtype = SAMC__F32;
    return shape;
}

// The weights of an attention and the norm behind it.
struct Layer {
    int c, inner, heads;
    bool biases;
    Tensor q, k, v, out, qb, kb, vb, outb, gain, bias;
    Layer(samc__dtype type, int c_, int inner_, int heads_, bool biases_, Random &random)
        : c(c_), inner(inner_), heads(heads_), biases(biases_),
          q(type, size_t(c * inner), random, 0, 1 / std::sqrt(float(c))),
          k(type, size_t(c * inner), random, 0, 1 / std::sqrt(float(c))),
          v(type, size_t(c * inner), random, 0, 1 / std::sqrt(float(c))),
          out(type, size_t(c * inner), random, 0, 1 / std::sqrt(float(inner))),
          qb(SAMC__F32, size_t(inner), random, 0, 0.5f), kb(SAMC__F32, size_t(inner), random, 0, 0.5f),
          vb(SAMC__F32, size_t(inner), random, 0, 0.5f), outb(SAMC__F32, size_t(c), random, 0, 0.5f),
          gain(SAMC__F32, size_t(c), random, 1.0f, 0.3f), bias(SAMC__F32, size_t(c), random, 0, 0.3f) {}

    const Tensor *bias_of(const Tensor &b) const { return biases ? &b : nullptr; }
    static samc__view shaped(const Tensor &t, samc__view shape, bool host) {
        return host ? on_host(shape, t) : t.view(shape);
    }
    samc__attention attention(bool host) const {
        samc__attention a = {};
        const Tensor *w[3] = {&q, &k, &v}, *b[3] = {&qb, &kb, &vb};
        samc__projection *to[3] = {&a.q, &a.k, &a.v};
        for (int i = 0; i < 3; i++) {
            to[i]->w = shaped(*w[i], samc__view2(nullptr, inner, c), host);
            if (biases) to[i]->b = shaped(*b[i], samc__view1(nullptr, inner), host);
        }
        a.out.w = shaped(out, samc__view2(nullptr, c, inner), host);
        if (biases) a.out.b = shaped(outb, samc__view1(nullptr, c), host);
        a.heads = heads;
        return a;
    }
    samc__norm norm(bool host) const {
        return {shaped(gain, samc__view1(nullptr, c), host), shaped(bias, samc__view1(nullptr, c), host), 1e-5f};
    }

    // norm(residual + attention) of `batches` sequences: x_q, x_k, x_v [batches, tq or tk, C] are what q, k and v
    // project; residual as x_q, or empty.
    Numbers run(const Numbers &x_q, const Numbers &x_k, const Numbers &x_v, const Numbers &residual, int batches,
                const Rounding &round) const {
        Numbers queries = project(x_q, q, bias_of(qb), inner, round), keys = project(x_k, k, bias_of(kb), inner, round);
        Numbers values = project(x_v, v, bias_of(vb), inner, round), heads_out(queries.size());
        size_t width = size_t(inner), hd = width / size_t(heads), tq = queries.size() / width / size_t(batches),
               tk = keys.size() / width / size_t(batches);
        Numbers p(tk);
        for (size_t row = 0; row < tq * size_t(batches); row++)
            for (size_t head = 0; head < size_t(heads); head++) {
                const double *query = &queries[row * width + head * hd],
                             *first = &keys[row / tq * tk * width + head * hd];
                const double *value = &values[row / tq * tk * width + head * hd];
                double most = -1e300, sum = 0;
                for (size_t key = 0; key < tk; key++) {
                    double score = dot(query, first + key * width, hd, 1, round.cross);
                    p[key] = round.to_float(score / std::sqrt(double(hd)));
                    most = std::max(most, p[key]);
                }
                for (double &e : p) sum += e = std::exp(e - most);
                for (double &e : p) e = round(e / sum);
                for (size_t i = 0; i < hd; i++)
                    heads_out[row * width + head * hd + i] = dot(p.data(), value + i, tk, width, round.cross);
            }
        Numbers y = project(heads_out, out, bias_of(outb), c, round, true);
        size_t channels = size_t(c);
        for (size_t row = 0; row < y.size() / channels; row++) {
            double mean = 0, squares = 0, *at = &y[row * channels];
            for (size_t i = 0; i < channels; i++)
                at[i] = round.to_float(at[i] + (residual.empty() ? 0.0 : residual[row * channels + i]));
            for (size_t i = 0; i < channels; i++) mean += at[i] / double(c);
            for (size_t i = 0; i < channels; i++) squares += std::pow(at[i] - mean, 2) / double(c);
            for (size_t i = 0; i < channels; i++)
                at[i] = (at[i] - mean) / std::sqrt(squares + double(1e-5f)) * gain.host[i] + bias.host[i];
        }
        return y;
    }
    void check() const {
        for (const Tensor *t : {&q, &k, &v, &out, &qb, &kb, &vb, &outb, &gain, &bias}) t->device->check();
    }
};

inline Numbers sum_of(const Numbers &a, const Numbers &b) { // b may be shorter: it repeats
    Numbers y(a);
    for (size_t i = 0; i < y.size(); i++) y[i] += b[i % b.size()];
    return y;
}

// Every one of `times` blocks of `from`, each said `each` times.
inline Numbers repeated(const Numbers &from, size_t blocks, size_t each) {
    Numbers y;
    size_t size = from.size() / blocks;
    for (size_t i = 0; i < blocks * each; i++)
        y.insert(y.end(), from.begin() + long(i / each * size), from.begin() + long((i / each + 1) * size));
    return y;
}

// The reference operators, with the table that some of them call.
struct Reference {
    samc__ops ops;
    samc__exec exec;
    Reference() : exec(reference) {
        samc__ops_ref(&ops);
        exec.ops = &ops;
    }
};

// Runs an operator with the scratch it asks for.
template <class Args>
void run_with_scratch(samc_status (*op)(const samc__cuda *, const Args *), size_t (*scratch)(const Args *),
                      const Args &args) {
    emu::Buffer block(std::max<size_t>(scratch(&args), 16));
    samc__cuda cuda = device(block);
    if (op(&cuda, &args) != SAMC_OK) failed("not accepted");
    block.check();
}

// The list, and in tier 1 every number of tokens that prompts lead to, 5 to 64 (p[1]), each with two of `like`: shared
// memory goes by it.
inline std::vector<Case> with_every_count(std::vector<Case> list, const std::vector<Case> &like) {
    for (int t = 5; t <= 64; t++)
        for (size_t turn = 0; turn < 2; turn++) {
            Case c = like[(size_t(t) + turn * (like.size() / 2)) % like.size()];
            c.p[1] = t;
            list.push_back(c);
        }
    return list;
}

// The prompts whose results are compared: all of them, or of large cases the first, the middle and the last. The others
// must be numbers.
inline std::vector<size_t> compared(int prompts, size_t elements) {
    std::vector<size_t> all;
    for (size_t i = 0; i < size_t(prompts); i++)
        if (prompts <= 3 || elements < 1u << 18 || i == 0 || i == size_t(prompts) / 2 || i + 1 == size_t(prompts))
            all.push_back(i);
    return all;
}
template <class T> T only(const T &from, int prompts, const std::vector<size_t> &which) {
    T y;
    size_t size = from.size() / size_t(prompts);
    for (size_t i : which) y.insert(y.end(), from.begin() + long(i * size), from.begin() + long((i + 1) * size));
    return y;
}

inline void judge(const Tensor &y, int prompts, const std::vector<size_t> &which, const Expected &is) {
    std::vector<float> got(y.count);
    for (size_t i = 0; i < y.count; i++) {
        got[i] = y.at(i);
        if (std::isnan(got[i])) failed("element %zu of %zu not written or NaN", i, y.count);
    }
    hold(only(got, prompts, which), is, y.dtype == SAMC__F32 ? 0x1p-21 : 0.0); // a few elements may be exact by chance
}

} // namespace emu_test

#endif
