// image_to_token on the GPU: every key of the image attends to its prompt's tokens, in one pass from keys to the normed
// sum.
//
//     scores = (keys + key_pe) . f + bq . k,   f[token, head] = Wq_h^T k_h
//     y = norm(keys + P . u + bout),            u[token, head] = Wout_h v_h
// Two launches: fold (16 rows of tokens a block) and attend. A warp takes 16 keys straight from global memory into
// registers, in the order of the tensor cores' fragments, and they stay there until y is stored: they are the A operand
// of the scores, then the residual that the second product is added to. Only f and u are in shared memory, once for a
// block. An n8 tile of scores is one token and its columns are the heads: the softmax over tokens runs inside each
// lane. For C = 256, N = 4096, T <= 8 a prompt reads 2 MiB of keys and writes 2 MiB (key_pe and shared keys stay in
// L2), and makes 64 x 4096 x 2 x 256 = 134 M multiply-adds on tensor cores.
#include "kernels/cuda/attention_step.h"
#include "kernels/cuda/token_rows.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/image_to_token/image_to_token.h"
#include "kernels/token_to_image/cuda.h"

namespace samc {

constexpr int kKeyThreads = 128, kKeyRows = 16, kFewTokens = 8,
              kManyTokens = 16; // a warp's keys; tokens of the two tensor-core kernels
constexpr int kWaveBlocks =
    528; // about two waves of blocks on the largest GPUs: fewer prompts than that share the keys of one

// ---- tokens: keys and values and what they fold to ----------------------------------------------

// Where f[token, head, c] lies: [T][C / 32][8 heads][32]. A lane's B fragments of two k16 steps are 8 neighbours.
SAMC_DEVICE int64_t score_index(int64_t row, int head, int c, int channels) {
    return ((row * (channels / 32) + c / 32) * 8 + head) * 32 + c % 32;
}

// Where u[token, head, c] lies: [(T + 1) / 2][C / 32][2][32 lanes][8]. k is the heads of two tokens; tile i of 32
// channels has in column g channel 8 (g / 2) + 2 i + g % 2, so that lane t of a row ends up with channels 8 t .. 8 t
// + 7.
SAMC_DEVICE int64_t output_index(int64_t prompt, int64_t token, int64_t pairs, int head, int c, int channels) {
    const int tile = c % 8 / 2, lane = (c % 32 / 8 * 2 + c % 2) * 4 + head / 2;
    return ((((prompt * pairs + token / 2) * (channels / 32) + c / 32) * 2 + tile / 2) * 32 + lane) * 8 + tile % 2 * 4 +
           token % 2 * 2 + head % 2;
}

// queries, pe [rows, C]; wq, wk, wv [inner, C], wout [C, inner]; bq, bk, bv [inner] or NULL. start [rows, heads] = bq .
// k; f and u as above for tensor cores, otherwise [rows, heads, C] in fp32. f and start are scaled for powers of two.
template <class T, bool tensor>
SAMC_KERNEL(kTokenThreads, 2)
image_to_token_fold(const float *queries, const float *pe, const T *wq, const float *bq, const T *wk, const float *bk,
                    const T *wv, const float *bv, const T *wout, void *f, void *u, float *start, int64_t rows,
                    int tokens, int c, int inner, int heads, float scale) {
    SAMC_SHARED(shared);
    float *x = reinterpret_cast<float *>(shared), *k = x + kTokenRows * row_floats(c),
          *v = k + inner * kColumnFloats; // [16][C], 2 x [inner][16]
    const int64_t first = static_cast<int64_t>(blockIdx.x) * kTokenRows, pairs = (tokens + 1) / 2;
    const int hd = inner / heads;
    load_rows(x, queries, pe, first, rows, c);
    __syncthreads(); // the rows are there
    project(x, c, wk, bk, inner, [&](int row, int i, float value) { k[i * kColumnFloats + row] = value * scale; });
    __syncthreads(); // everyone has read them
    load_rows(x, queries, nullptr, first, rows, c);
    __syncthreads(); // the rows without positions, and k, are there
    project(x, c, wv, bv, inner, [&](int row, int i, float value) { v[i * kColumnFloats + row] = value; });
    for (int i = static_cast<int>(threadIdx.x); i < kTokenRows * heads; i += kTokenThreads) {
        const int row = i / heads, head = i % heads;
        float sum = 0.0f;
        for (int j = head * hd; bq != nullptr && j < (head + 1) * hd; j++)
            sum = fmaf(bq[j], k[j * kColumnFloats + row], sum);
        if (first + row < rows) start[(first + row) * heads + head] = sum;
    }
    fold_rows(
        k, heads, hd, c, [&](int i, int channel) { return load2(wq + static_cast<int64_t>(i) * c + channel); },
        [&](int head, int row, int channel, float y0, float y1) {
            const int64_t index = first + row;
            if (index >= rows) return;
            if constexpr (tensor) store2(static_cast<T *>(f) + score_index(index, head, channel, c), {y0, y1});
            else store2(static_cast<float *>(f) + (index * heads + head) * c + channel, {y0, y1});
        });
    __syncthreads(); // v is there
    fold_rows(
        v, heads, hd, c,
        [&](int i, int channel) {
            const T *w = wout + static_cast<int64_t>(channel) * inner + i;
            return f32x2{to_float(w[0]), to_float(w[inner])};
        },
        [&](int head, int row, int channel, float y0, float y1) {
            const int64_t index = first + row, prompt = index / tokens, token = index % tokens;
            if (index >= rows) return;
            if constexpr (tensor) {
                store(static_cast<T *>(u) + output_index(prompt, token, pairs, head, channel, c), y0);
                store(static_cast<T *>(u) + output_index(prompt, token, pairs, head, channel + 1, c), y1);
            } else {
                store2(static_cast<float *>(u) + (index * heads + head) * c + channel, {y0, y1});
            }
        });
}

// ---- attention on tensor cores ------------------------------------------------------------------

// Shared memory: f and u of `slots` tokens, the scores' start [slots][8], bout, gain and bias [C].
template <int C, int slots> struct KeyMemory {
    static constexpr int part = slots * 8 * C * 2, start = 2 * part, channels = start + slots * 8 * 4,
                         bytes = channels + 3 * C * 4;
};

// grid.x: prompts, grid.y: blocks that share a prompt's keys. keys [B, N, C], a prompt reads entry prompt /
// prompts_per_entry; y [prompts, N, C], which may be keys where B is the number of prompts; f, u, starts: of fold; bout
// [C] or NULL.
template <class T, int C, int slots>
SAMC_KERNEL(kKeyThreads, 2)
image_to_token_attend(const T *f, const T *u, const float *starts, const T *keys, const T *key_pe, const float *bout,
                      const float *gain, const float *bias, float eps, T *y, int tokens, int n, int prompts_per_entry) {
    using M = KeyMemory<C, slots>;
    SAMC_SHARED(shared);
    const int64_t prompt = blockIdx.x;
    float *start = reinterpret_cast<float *>(shared + M::start),
          *channels = reinterpret_cast<float *>(shared + M::channels);
    {
        const int thread = static_cast<int>(threadIdx.x);
        constexpr int token_chunks = C; // 16-byte chunks of one token: 8 heads of C channels
        const char *from_f = reinterpret_cast<const char *>(f) + prompt * tokens * token_chunks * 16;
        const char *from_u = reinterpret_cast<const char *>(u) + prompt * ((tokens + 1) / 2) * 2 * token_chunks * 16;
        for (int i = thread; i < slots * token_chunks; i += kKeyThreads) { // tokens that do not exist are zeros
            copy_async16(shared + i * 16, from_f + i * 16, i < tokens * token_chunks);
            copy_async16(shared + M::part + i * 16, from_u + i * 16, i < (tokens + 1) / 2 * 2 * token_chunks);
        }
        copy_commit();
        for (int i = thread; i < slots * 8; i += kKeyThreads)
            start[i] = i < tokens * 8 ? starts[prompt * tokens * 8 + i] : -INFINITY;
        for (int i = thread; i < C; i += kKeyThreads) {
            channels[i] = bout == nullptr ? 0.0f : bout[i];
            channels[C + i] = gain[i];
            channels[2 * C + i] = bias[i];
        }
        copy_wait<0>();
        __syncthreads();  // tokens and channels have arrived for everyone; nobody writes them any more
        if (tokens % 2) { // of the last pair of tokens only the first exists: fold has not written the other
            T *last = reinterpret_cast<T *>(shared + M::part) + tokens / 2 * 16 * C;
            for (int i = thread; i < 16 * C; i += kKeyThreads)
                if (i % 4 >= 2) last[i] = T{0};
            __syncthreads(); // it is zeros
        }
    }
    SAMC_NO_UNROLL
    for (int tile = static_cast<int>(blockIdx.y) * 4; tile * kKeyRows < n; tile += static_cast<int>(gridDim.y) * 4) {
        const int again = thread_again(), lane = again % 32, g = lane / 4,
                  t = lane % 4; // not kept: no register to spare
        const int row0 = (tile + again / 32) * kKeyRows;
        if (row0 >= n) break;
        const T *entry = keys + prompt / prompts_per_entry * n * C + 8 * t;
        // Rows g and g + 8; lane t has channels 8 t .. 8 t + 7 of every 32. Beyond the last key: that key again, not
        // stored.
        const int key[2] = {min_of(row0 + g, n - 1), min_of(row0 + g + 8, n - 1)};
        uint32_t x[C / 32][2][4];
        float s[slots][4];
        SAMC_UNROLL
        for (int q = 0; q < C / 32; q++) {
            SAMC_UNROLL
            for (int r = 0; r < 2; r++) {
                u32x4 v = *reinterpret_cast<const u32x4 *>(entry + static_cast<int64_t>(key[r]) * C + 32 * q);
                SAMC_UNROLL
                for (int i = 0; i < 4; i++) x[q][r][i] = v.at[i];
            }
        }
        SAMC_UNROLL
        for (int i = 0; i < slots; i++) {
            f32x2 first = load2(start + i * 8 + 2 * t);
            s[i][0] = s[i][2] = first.x;
            s[i][1] = s[i][3] = first.y;
        }
        SAMC_UNROLL
        for (int q = 0; q < C / 32; q++) {
            uint32_t a[2][4]; // two k16 steps
            SAMC_UNROLL
            for (int r = 0; r < 2; r++) {
                u32x4 v = *reinterpret_cast<const u32x4 *>(key_pe + static_cast<int64_t>(key[r]) * C + 32 * q + 8 * t);
                a[0][r] = add2(x[q][r][0], v.at[0], T());
                a[0][r + 2] = add2(x[q][r][1], v.at[1], T());
                a[1][r] = add2(x[q][r][2], v.at[2], T());
                a[1][r + 2] = add2(x[q][r][3], v.at[3], T());
            }
            SAMC_UNROLL
            for (int i = 0; i < slots; i++) {
                u32x4 b = *reinterpret_cast<const u32x4 *>(shared + ((i * (C / 32) + q) * 32 + lane) * 16);
                mma_16816(s[i], a[0], b.at[0], b.at[1], s[i], T());
                mma_16816(s[i], a[1], b.at[2], b.at[3], s[i], T());
            }
        }
        SAMC_UNROLL
        for (int e = 0; e < 4; e++) { // a row and a head
            float most = s[0][e], sum = 0.0f;
            SAMC_UNROLL
            for (int i = 1; i < slots; i++) most = fmaxf(most, s[i][e]);
            SAMC_UNROLL
            for (int i = 0; i < slots; i++) {
                s[i][e] = exp2_fast(s[i][e] - most);
                sum += s[i][e];
            }
            const float factor = reciprocal_fast(sum);
            SAMC_UNROLL
            for (int i = 0; i < slots; i++) s[i][e] *= factor;
        }
        uint32_t p[slots][2]; // of rows g and g + 8
        SAMC_UNROLL
        for (int i = 0; i < slots; i++) {
            p[i][0] = pack2(s[i][0], s[i][1], T());
            p[i][1] = pack2(s[i][2], s[i][3], T());
        }

        float out[C / 8][4]; // starts from the residual
        SAMC_UNROLL
        for (int q = 0; q < C / 32; q++) {
            SAMC_UNROLL
            for (int i = 0; i < 4; i++) {
                f32x2 low = unpack2(x[q][0][i], T()), high = unpack2(x[q][1][i], T());
                out[4 * q + i][0] = low.x;
                out[4 * q + i][1] = low.y;
                out[4 * q + i][2] = high.x;
                out[4 * q + i][3] = high.y;
            }
        }
        SAMC_UNROLL
        for (int kk = 0; kk < slots / 2; kk++) { // the heads of two tokens are one k16 step
            const uint32_t a[4] = {p[2 * kk][0], p[2 * kk][1], p[2 * kk + 1][0], p[2 * kk + 1][1]};
            SAMC_UNROLL
            for (int i = 0; i < C / 8; i += 2) {
                u32x4 b =
                    *reinterpret_cast<const u32x4 *>(shared + M::part + ((kk * (C / 16) + i / 2) * 32 + lane) * 16);
                mma_16816(out[i], a, b.at[0], b.at[1], out[i], T());
                mma_16816(out[i + 1], a, b.at[2], b.at[3], out[i + 1], T());
            }
        }

        float mean[2] = {0.0f, 0.0f}, scale[2] = {0.0f, 0.0f};
        SAMC_UNROLL
        for (int q = 0; q < C / 32; q++) {
            SAMC_UNROLL
            for (int i = 0; i < 4; i++) {
                f32x2 added = load2(channels + 32 * q + 8 * t + 2 * i);
                float *o = out[4 * q + i];
                o[0] += added.x;
                o[1] += added.y;
                o[2] += added.x;
                o[3] += added.y;
                mean[0] += o[0] + o[1];
                mean[1] += o[2] + o[3];
            }
        }
        SAMC_UNROLL
        for (int r = 0; r < 2; r++) { // the four lanes of a row hold it in parts
            mean[r] += shuffle_xor(mean[r], 1);
            mean[r] += shuffle_xor(mean[r], 2);
            mean[r] *= 1.0f / C;
            SAMC_UNROLL
            for (int i = 0; i < C / 8; i++) {
                out[i][2 * r] -= mean[r];
                out[i][2 * r + 1] -= mean[r];
                scale[r] = fmaf(out[i][2 * r], out[i][2 * r], fmaf(out[i][2 * r + 1], out[i][2 * r + 1], scale[r]));
            }
            scale[r] += shuffle_xor(scale[r], 1);
            scale[r] += shuffle_xor(scale[r], 2);
            scale[r] = 1.0f / sqrtf(scale[r] * (1.0f / C) + eps);
        }
        SAMC_UNROLL
        for (int q = 0; q < C / 32; q++) {
            u32x4 v[2];
            SAMC_UNROLL
            for (int i = 0; i < 4; i++) {
                const int at = 32 * q + 8 * t + 2 * i;
                f32x2 by = load2(channels + C + at), added = load2(channels + 2 * C + at);
                const float *o = out[4 * q + i];
                v[0].at[i] = pack2(o[0] * scale[0] * by.x + added.x, o[1] * scale[0] * by.y + added.y, T());
                v[1].at[i] = pack2(o[2] * scale[1] * by.x + added.x, o[3] * scale[1] * by.y + added.y, T());
            }
            SAMC_UNROLL
            for (int r = 0; r < 2; r++)
                if (row0 + g + 8 * r < n)
                    *reinterpret_cast<u32x4 *>(y + (prompt * n + row0 + g + 8 * r) * C + 32 * q + 8 * t) = v[r];
        }
    }
}

// ---- attention with plain products: f32, and any other shape ------------------------------------

// One warp is one key of one prompt. grid.x: prompts times blocks of 4 keys. f, u [prompts, T, heads, C], starts
// [prompts, T, heads].
template <class T>
SAMC_KERNEL(kKeyThreads, 2)
image_to_token_plain(const float *f, const float *u, const float *starts, const T *keys, const T *key_pe,
                     const float *bout, const float *gain, const float *bias, float eps, T *y, int tokens, int heads,
                     int n, int c, int prompts_per_entry) {
    SAMC_SHARED(shared);
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32,
              blocks = (n + 3) / 4;
    const int64_t prompt = blockIdx.x / blocks;
    const int key = static_cast<int>(blockIdx.x) % blocks * 4 + warp, all = tokens * heads;
    float *x = reinterpret_cast<float *>(shared) + warp * (c + all),
          *p = x + c; // [C], a lane its own channels only; [T][heads]
    if (key >= n) return;
    const T *from = keys + (prompt / prompts_per_entry * n + key) * c, *pe = key_pe + static_cast<int64_t>(key) * c;
    f += prompt * all * c;
    u += prompt * all * c;
    for (int i = lane; i < c; i += 32) x[i] = to_float(from[i]) + to_float(pe[i]);
    for (int j = 0; j < all; j++) {
        float score = 0.0f;
        for (int i = lane; i < c; i += 32) score = fmaf(x[i], f[static_cast<int64_t>(j) * c + i], score);
        score = warp_sum(score);
        if (lane == 0) p[j] = score + starts[prompt * all + j];
    }
    sync_warp(); // the scores were written by one lane
    for (int head = lane; head < heads; head += 32) {
        float most = -INFINITY, sum = 0.0f;
        for (int i = 0; i < tokens; i++) most = fmaxf(most, p[i * heads + head]);
        for (int i = 0; i < tokens; i++) {
            p[i * heads + head] = exp2_fast(p[i * heads + head] - most);
            sum += p[i * heads + head];
        }
        for (int i = 0; i < tokens; i++) p[i * heads + head] /= sum;
    }
    sync_warp(); // the probabilities by a few
    for (int i = lane; i < c; i += 32) {
        float sum = 0.0f;
        for (int j = 0; j < all; j++) sum = fmaf(p[j], u[static_cast<int64_t>(j) * c + i], sum);
        x[i] = to_float(from[i]) + (bout == nullptr ? 0.0f : bout[i]) + sum;
    }
    normalise_row(x, c, gain, bias, eps, [&](int i, float v) { store(y + (prompt * n + key) * c + i, v); });
}

// ---- host ---------------------------------------------------------------------------------------

namespace {

struct KeyPlan {
    bool tensor;
    int64_t prompts, tokens, c, n, inner, heads, rows;
    size_t u, start, bytes; // offsets in scratch, and its size
};

KeyPlan plan_of(const samc__image_to_token_args *a, samc__cross_kernel kernel) {
    KeyPlan p = {};
    p.tensor = kernel == SAMC__CROSS_TENSOR;
    p.prompts = a->queries.n[0], p.tokens = a->queries.n[1], p.c = a->queries.n[2], p.n = a->keys.n[1];
    p.inner = a->attention.q.w.n[0], p.heads = a->attention.heads, p.rows = p.prompts * p.tokens;
    const size_t element = p.tensor ? samc__dtype_size(a->keys.dtype) : sizeof(float);
    p.u = scratch_part(p.rows * p.heads * p.c, element);
    p.start = p.u + scratch_part(p.prompts * ((p.tokens + 1) / 2) * 2 * p.heads * p.c, element);
    p.bytes = p.start + scratch_part(p.rows * p.heads, sizeof(float));
    return p;
}

size_t fold_shared(const KeyPlan &p) {
    return sizeof(float) *
           static_cast<size_t>(kTokenRows * row_floats(static_cast<int>(p.c)) + 2 * p.inner * kColumnFloats);
}
size_t plain_shared(const KeyPlan &p) { return sizeof(float) * static_cast<size_t>(4 * (p.c + p.tokens * p.heads)); }

template <class T, int C, int slots>
const char *run_attend(const samc__cuda *cuda, const samc__image_to_token_args *a, const KeyPlan &p, const T *u,
                       const float *start) {
    const int64_t tiles = (p.n + 4 * kKeyRows - 1) / (4 * kKeyRows), wanted = (kWaveBlocks + p.prompts - 1) / p.prompts;
    Grid blocks = {static_cast<unsigned>(p.prompts), static_cast<unsigned>(wanted < tiles ? wanted : tiles), 1};
    auto floats = [](const samc__view &of) { return static_cast<const float *>(of.data); };
    return launch("image_to_token_attend", image_to_token_attend<T, C, slots>, blocks, kKeyThreads,
                  KeyMemory<C, slots>::bytes, cuda->stream, static_cast<const T *>(cuda->scratch), u, start,
                  static_cast<const T *>(a->keys.data), static_cast<const T *>(a->key_pe.data),
                  floats(a->attention.out.b), floats(a->norm.g), floats(a->norm.b), a->norm.eps,
                  static_cast<T *>(a->y.data), static_cast<int>(p.tokens), static_cast<int>(p.n),
                  static_cast<int>(p.prompts / a->keys.n[0]));
}

template <class T> const char *run(const samc__cuda *cuda, const samc__image_to_token_args *a, const KeyPlan &p) {
    char *scratch = static_cast<char *>(cuda->scratch);
    float *start = reinterpret_cast<float *>(scratch + p.start);
    const samc__attention &w = a->attention;
    auto weights = [](const samc__projection &of) { return static_cast<const T *>(of.w.data); };
    auto floats = [](const samc__view &of) { return static_cast<const float *>(of.data); };
    const int c = static_cast<int>(p.c), inner = static_cast<int>(p.inner), heads = static_cast<int>(p.heads),
              tokens = static_cast<int>(p.tokens);
    const char *problem =
        launch("image_to_token_fold", p.tensor ? image_to_token_fold<T, sizeof(T) == 2> : image_to_token_fold<T, false>,
               Grid{static_cast<unsigned>((p.rows + kTokenRows - 1) / kTokenRows), 1, 1}, kTokenThreads, fold_shared(p),
               cuda->stream, floats(a->queries), floats(a->pe), weights(w.q), floats(w.q.b), weights(w.k),
               floats(w.k.b), weights(w.v), floats(w.v.b), weights(w.out), cuda->scratch,
               static_cast<void *>(scratch + p.u), start, p.rows, tokens, c, inner, heads, scale_log2e(inner / heads));
    if (problem != nullptr) return problem;
    if constexpr (sizeof(T) == 2) {
        const T *u = reinterpret_cast<const T *>(scratch + p.u);
        const bool few = p.tokens <= kFewTokens;
        if (p.tensor && c == 256)
            return few ? run_attend<T, 256, kFewTokens>(cuda, a, p, u, start)
                       : run_attend<T, 256, kManyTokens>(cuda, a, p, u, start);
        if (p.tensor)
            return few ? run_attend<T, 128, kFewTokens>(cuda, a, p, u, start)
                       : run_attend<T, 128, kManyTokens>(cuda, a, p, u, start);
    }
    return launch("image_to_token_plain", image_to_token_plain<T>,
                  Grid{static_cast<unsigned>(p.prompts * ((p.n + 3) / 4)), 1, 1}, kKeyThreads, plain_shared(p),
                  cuda->stream, static_cast<const float *>(cuda->scratch),
                  reinterpret_cast<const float *>(scratch + p.u), static_cast<const float *>(start),
                  static_cast<const T *>(a->keys.data), static_cast<const T *>(a->key_pe.data), floats(w.out.b),
                  floats(a->norm.g), floats(a->norm.b), a->norm.eps, static_cast<T *>(a->y.data), tokens, heads,
                  static_cast<int>(p.n), c, static_cast<int>(p.prompts / a->keys.n[0]));
}

} // namespace

} // namespace samc

extern "C" samc__cross_kernel samc__image_to_token_cuda_kernel(const samc__image_to_token_args *a, int capability) {
    using namespace samc;
    const int64_t c = a->queries.n[2], inner = a->attention.q.w.n[0], tokens = a->queries.n[1];
    const bool fits = a->attention.heads == 8 && ((c == 256 && inner == 128) || (c == 128 && inner == 64));
    // What 9 to 16 tokens fold to fills 131 KB with 256 channels: more than 8.6, 8.9 and 12.0 have.
    const bool large =
        c == 256 && tokens > kFewTokens && KeyMemory<256, kManyTokens>::bytes > samc__shared_limit(capability);
    return a->keys.dtype != SAMC__F32 && fits && tokens <= kManyTokens && !large ? SAMC__CROSS_TENSOR
                                                                                 : SAMC__CROSS_GENERAL;
}

extern "C" size_t samc__image_to_token_cuda_scratch(const samc__image_to_token_args *a) {
    return samc::plan_of(a, samc__image_to_token_cuda_kernel(a, 0))
        .bytes; // of any device: the general kernel takes more
}

extern "C" samc_status samc__image_to_token_cuda(const samc__cuda *cuda, const samc__image_to_token_args *a) {
    using namespace samc;
    const samc__dtype type = a->keys.dtype;
    SAMC_REQUIRE("image_to_token", a->queries.dtype == SAMC__F32 && a->pe.dtype == SAMC__F32 &&
                                       a->key_pe.dtype == type && a->y.dtype == type);
    SAMC_REQUIRE("image_to_token", attention_has(a->attention, type) && norm_is_float(a->norm));
    SAMC_REQUIRE("image_to_token", a->queries.n[2] % 4 == 0 && a->queries.n[0] % a->keys.n[0] == 0);
    SAMC_REQUIRE("image_to_token", a->y.data != a->keys.data || a->keys.n[0] == a->queries.n[0]);
    SAMC_REQUIRE("image_to_token", aligned16(a->keys.data) && aligned16(a->key_pe.data) && aligned16(a->y.data) &&
                                       aligned16(cuda->scratch));
    const KeyPlan p = plan_of(a, samc__image_to_token_cuda_kernel(a, cuda->capability));
    SAMC_REQUIRE("image_to_token", cuda->scratch != nullptr && cuda->scratch_bytes >= p.bytes);
    SAMC_REQUIRE("image_to_token", p.prompts * ((p.n + 3) / 4) <= INT32_MAX && p.n * p.c <= INT32_MAX);
    SAMC_REQUIRE("image_to_token", fold_shared(p) <= samc__shared_limit(cuda->capability));
    SAMC_REQUIRE("image_to_token", p.tensor || plain_shared(p) <= samc__shared_limit(cuda->capability));
    const char *problem = type == SAMC__F32   ? run<float>(cuda, a, p)
                          : type == SAMC__F16 ? run<f16>(cuda, a, p)
                                              : run<bf16>(cuda, a, p);
    return started(cuda, "image_to_token", problem);
}
