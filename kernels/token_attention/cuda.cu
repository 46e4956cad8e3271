// token_attention on the GPU: self-attention of every prompt's tokens, residual and norm, in two launches of 16 rows of
// tokens a block.
//
// project: q, k and v of each row into scratch, in fp32. attend: a warp for each row and head, then output projection
// and norm for the block's rows. For C = 256 and 7 tokens a prompt takes 1.9 M multiply-adds; 16 rows share the 512 KiB
// of weights that come from L2.
#include "kernels/cuda/token_rows.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/token_attention/token_attention.h"

namespace samc {

// queries, pe [rows, C], pe NULL in the first layer; wq, wk, wv [inner, C]; biases [inner] or NULL. q, k, v [rows,
// inner]; q is scaled for powers of two.
template <class T>
SAMC_KERNEL(kTokenThreads, 2)
token_attention_project(const float *queries, const float *pe, const T *wq, const float *bq, const T *wk,
                        const float *bk, const T *wv, const float *bv, float *q, float *k, float *v, int64_t rows,
                        int c, int inner, float scale) {
    SAMC_SHARED(shared);
    float *x = reinterpret_cast<float *>(shared); // [16][C]
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kTokenRows;
    load_rows(x, queries, pe, first, rows, c);
    __syncthreads(); // the rows are there
    project(x, c, wq, bq, inner, [&](int row, int i, float value) {
        if (first + row < rows) q[(first + row) * inner + i] = value * scale;
    });
    project(x, c, wk, bk, inner, [&](int row, int i, float value) {
        if (first + row < rows) k[(first + row) * inner + i] = value;
    });
    if (pe != nullptr) {
        __syncthreads(); // everyone has read them
        load_rows(x, queries, nullptr, first, rows, c);
        __syncthreads(); // the rows without positions are there
    }
    project(x, c, wv, bv, inner, [&](int row, int i, float value) {
        if (first + row < rows) v[(first + row) * inner + i] = value;
    });
}

// q, k, v: of project; wout [C, inner], bout [C] or NULL; queries [rows, C] in and out; residual: whether they are
// added.
template <class T>
SAMC_KERNEL(kTokenThreads, 2)
token_attention_attend(const float *q, const float *k, const float *v, const T *wout, const float *bout,
                       const float *gain, const float *bias, float eps, float *queries, bool residual, int64_t rows,
                       int tokens, int c, int inner, int heads) {
    SAMC_SHARED(shared);
    float *x = reinterpret_cast<float *>(shared), *y = x + kTokenRows * row_floats(inner); // [16][inner], [16][C]
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32, hd = inner / heads;
    float *p = y + kTokenRows * row_floats(c) + warp * tokens; // [T], of this warp
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kTokenRows;
    for (int item = warp; item < kTokenRows * heads; item += kTokenThreads / 32) {
        const int row = item / heads, head = item % heads;
        float *out = x + row * row_floats(inner) + head * hd;
        if (first + row >= rows) { // the rows beyond the last are multiplied too
            for (int i = lane; i < hd; i += 32) out[i] = 0.0f;
            continue;
        }
        const int64_t keys = (first + row) / tokens * tokens; // the prompt's first row
        const float *my_q = q + (first + row) * inner + head * hd;
        float most = -INFINITY, sum = 0.0f;
        for (int token0 = 0; token0 < tokens; token0 += 8) { // four lanes share a token
            const int token = token0 + lane / 4;
            float score = 0.0f;
            if (token < tokens) {
                const float *key = k + (keys + token) * inner + head * hd;
                for (int i = lane % 4; i < hd; i += 4) score = fmaf(my_q[i], key[i], score);
            }
            score += shuffle_xor(score, 1);
            score += shuffle_xor(score, 2);
            if (token >= tokens) continue;
            most = fmaxf(most, score);
            if (lane % 4 == 0) p[token] = score;
        }
        sync_warp(); // the scores were written by the whole warp
        most = warp_max(most);
        for (int token = lane; token < tokens; token += 32) {
            p[token] = exp2_fast(p[token] - most);
            sum += p[token];
        }
        const float factor = 1.0f / warp_sum(sum);
        sync_warp(); // and so were the probabilities
        for (int i = lane; i < hd; i += 32) {
            float value = 0.0f;
            for (int token = 0; token < tokens; token++)
                value = fmaf(p[token], v[(keys + token) * inner + head * hd + i], value);
            out[i] = value * factor;
        }
        sync_warp(); // they have been read before the next item's scores overwrite them
    }
    __syncthreads(); // the heads' outputs are there
    project(x, inner, wout, bout, c, [&](int row, int i, float value) {
        y[row * row_floats(c) + i] = value + (residual && first + row < rows ? queries[(first + row) * c + i] : 0.0f);
    });
    __syncthreads(); // so are the sums
    for (int row = warp; row < kTokenRows; row += kTokenThreads / 32)
        if (first + row < rows)
            normalise_row(y + row * row_floats(c), c, gain, bias, eps,
                          [&](int i, float value) { queries[(first + row) * c + i] = value; });
}

namespace {

size_t project_shared(const samc__token_attention_args *a) {
    return sizeof(float) * static_cast<size_t>(kTokenRows * row_floats(static_cast<int>(a->queries.n[2])));
}
size_t attend_shared(const samc__token_attention_args *a) {
    return project_shared(a) +
           sizeof(float) * static_cast<size_t>(kTokenRows * row_floats(static_cast<int>(a->attention.q.w.n[0])) +
                                               kTokenThreads / 32 * a->queries.n[1]);
}

template <class T> const char *run(const samc__cuda *cuda, const samc__token_attention_args *a) {
    const int64_t rows = a->queries.n[0] * a->queries.n[1];
    const int tokens = static_cast<int>(a->queries.n[1]), c = static_cast<int>(a->queries.n[2]),
              inner = static_cast<int>(a->attention.q.w.n[0]);
    const int heads = a->attention.heads;
    const samc__attention &w = a->attention;
    auto weights = [](const samc__projection &of) { return static_cast<const T *>(of.w.data); };
    auto floats = [](const samc__view &of) { return static_cast<const float *>(of.data); };
    float *queries = static_cast<float *>(a->queries.data), *q = static_cast<float *>(cuda->scratch),
          *k = q + rows * inner, *v = k + rows * inner;
    const Grid blocks = {static_cast<unsigned>((rows + kTokenRows - 1) / kTokenRows), 1, 1};
    const char *problem = launch("token_attention_project", token_attention_project<T>, blocks, kTokenThreads,
                                 project_shared(a), cuda->stream, static_cast<const float *>(queries), floats(a->pe),
                                 weights(w.q), floats(w.q.b), weights(w.k), floats(w.k.b), weights(w.v), floats(w.v.b),
                                 q, k, v, rows, c, inner, scale_log2e(inner / heads));
    if (problem != nullptr) return problem;
    return launch("token_attention_attend", token_attention_attend<T>, blocks, kTokenThreads, attend_shared(a),
                  cuda->stream, static_cast<const float *>(q), static_cast<const float *>(k),
                  static_cast<const float *>(v), weights(w.out), floats(w.out.b), floats(a->norm.g), floats(a->norm.b),
                  a->norm.eps, queries, a->pe.data != nullptr, rows, tokens, c, inner, heads);
}

} // namespace

} // namespace samc

extern "C" size_t samc__token_attention_cuda_scratch(const samc__token_attention_args *a) {
    return static_cast<size_t>(3 * a->queries.n[0] * a->queries.n[1] * a->attention.q.w.n[0]) * sizeof(float);
}

// queries, pe, biases and gains f32; the weights of matrices all f32, all f16 or all bf16; softmax, accumulation and
// norm fp32.
extern "C" samc_status samc__token_attention_cuda(const samc__cuda *cuda, const samc__token_attention_args *a) {
    using namespace samc;
    const samc__dtype type = a->attention.q.w.dtype;
    SAMC_REQUIRE("token_attention",
                 a->queries.dtype == SAMC__F32 && (a->pe.data == nullptr || a->pe.dtype == SAMC__F32));
    SAMC_REQUIRE("token_attention", attention_has(a->attention, type) && norm_is_float(a->norm));
    SAMC_REQUIRE("token_attention",
                 cuda->scratch != nullptr && cuda->scratch_bytes >= samc__token_attention_cuda_scratch(a));
    SAMC_REQUIRE("token_attention", a->queries.n[0] * a->queries.n[1] <= INT32_MAX &&
                                        attend_shared(a) <= samc__shared_limit(cuda->capability));
    const char *problem = type == SAMC__F32   ? run<float>(cuda, a)
                          : type == SAMC__F16 ? run<f16>(cuda, a)
                                              : run<bf16>(cuda, a);
    return started(cuda, "token_attention", problem);
}
