// attention_plain on the GPU by plain fp32 multiply-adds: any head width, any number of keys, causal or not.
//
// Flash style, as cuda/attention_general.h: a block is 16 queries of one head, keys pass by in tiles of 32 through
// shared memory, one key for each lane. Scores, softmax and sums are fp32 with the accurate exp, rounded once, when y
// is stored.
#include "kernels/attention_plain/attention_plain.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/wrapper.h"

namespace samc {

constexpr int kPlainWarps = 4, kPlainThreads = kPlainWarps * 32, kPlainKeys = 32;
constexpr int kPlainWarpQueries = 4, kPlainQueries = kPlainWarps * kPlainWarpQueries;

// Shared memory, in floats. Rows of keys are an odd number apart: lanes then read different banks.
struct PlainMemory {
    int key_stride, k, v, out, p, end;
};
SAMC_CONSTEXPR PlainMemory plain_memory(int hd) {
    PlainMemory m = {};
    m.key_stride = hd | 1;
    m.k = kPlainQueries * hd;              // after q [queries][hd]
    m.v = m.k + kPlainKeys * m.key_stride; // [keys][hd]
    m.out = m.v + kPlainKeys * hd;         // [queries][hd]
    m.p = m.out + kPlainQueries * hd;      // [queries][keys]
    m.end = m.p + kPlainQueries * kPlainKeys;
    return m;
}
constexpr size_t plain_bytes(int hd) { return static_cast<size_t>(plain_memory(hd).end) * sizeof(float); }
constexpr size_t kPlainMost = 99 << 10; // of one block, on every architecture from sm_80 on: hd 256

// qkv [batch, n, 3, heads, hd], y [batch, queries, heads, hd], of tokens `first` on. grid.x: blocks of queries, grid.y:
// heads, grid.z: sequences.
template <class T>
SAMC_KERNEL(kPlainThreads, 2)
attention_plain(const T *qkv, T *y, int heads, int hd, int n, int first, int queries, bool causal) {
    SAMC_SHARED(shared);
    const PlainMemory m = plain_memory(hd);
    const float scale = 1.0f / sqrtf(static_cast<float>(hd));
    float *q = reinterpret_cast<float *>(shared), *k = q + m.k, *v = q + m.v, *out = q + m.out;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    const int block_query = static_cast<int>(blockIdx.x) * kPlainQueries, own = warp * kPlainWarpQueries;
    const int64_t row = static_cast<int64_t>(heads) * hd, head = static_cast<int64_t>(blockIdx.y) * hd; // of y
    const T *tokens = qkv + static_cast<int64_t>(blockIdx.z) * n * 3 * row + head;
    for (int i = thread; i < kPlainQueries * hd; i += kPlainThreads) { // beyond the last: the last one, not stored
        const int query = min_of(block_query + i / hd, queries - 1);
        q[i] = to_float(tokens[(first + query) * 3 * row + i % hd]);
        out[i] = 0.0f;
    }

    float *p = q + m.p + own * kPlainKeys;
    float max[kPlainWarpQueries], sum[kPlainWarpQueries]; // sum: over this lane's keys only
    SAMC_UNROLL
    for (int i = 0; i < kPlainWarpQueries; i++) {
        max[i] = kNever;
        sum[i] = 0.0f;
    }
    const int end = causal ? min_of(n, first + block_query + kPlainQueries) : n; // keys that the block meets
    for (int tile = 0; tile < end; tile += kPlainKeys) {
        __syncthreads(); // everyone has left the previous tile; the first time: q is there
        for (int i = thread; i < kPlainKeys * hd; i += kPlainThreads) {
            // Beyond the last key: zeros, and its p is 0.
            const int key = tile + i / hd, c = i % hd;
            const T *token = tokens + key * 3 * row + c;
            k[i / hd * m.key_stride + c] = key < end ? to_float(token[row]) : 0.0f;
            v[i] = key < end ? to_float(token[2 * row]) : 0.0f;
        }
        __syncthreads(); // the tile has arrived for everyone

        float s[kPlainWarpQueries];
        SAMC_UNROLL
        for (int i = 0; i < kPlainWarpQueries; i++) s[i] = 0.0f;
        for (int c0 = 0; c0 < hd; c0 += 8) { // sums of 8 products each, added up: rounds less than one long sum
            float part[kPlainWarpQueries] = {};
            for (int c = c0; c < min_of(c0 + 8, hd); c++) {
                const float key = k[lane * m.key_stride + c];
                SAMC_UNROLL
                for (int i = 0; i < kPlainWarpQueries; i++) part[i] = fmaf(q[(own + i) * hd + c], key, part[i]);
            }
            SAMC_UNROLL
            for (int i = 0; i < kPlainWarpQueries; i++) s[i] += part[i];
        }
        float shrink[kPlainWarpQueries];
        SAMC_UNROLL
        for (int i = 0; i < kPlainWarpQueries; i++) {
            const int keys = causal ? min_of(end, first + block_query + own + i + 1) : n;
            s[i] = tile + lane < keys ? s[i] * scale : -INFINITY;
            shrink[i] = 1.0f;
            if (any(s[i] > max[i])) { // the same answer in every lane
                float most = fmaxf(max[i], s[i]);
                SAMC_UNROLL
                for (int lanes = 16; lanes > 0; lanes /= 2) most = fmaxf(most, shuffle_xor(most, lanes));
                shrink[i] = expf(max[i] - most);
                sum[i] *= shrink[i];
                max[i] = most;
            }
            const float e = expf(s[i] - max[i]);
            sum[i] += e;
            p[i * kPlainKeys + lane] = e;
        }
        sync_warp(); // p was written by the whole warp
        for (int c = lane; c < hd; c += 32) {
            float add[kPlainWarpQueries];
            SAMC_UNROLL
            for (int i = 0; i < kPlainWarpQueries; i++) add[i] = 0.0f;
            for (int key = 0; key < kPlainKeys; key++) {
                const float value = v[key * hd + c];
                SAMC_UNROLL
                for (int i = 0; i < kPlainWarpQueries; i++) {
                    // What a query does not meet must not touch it, NaN and infinities included.
                    const float weight = p[i * kPlainKeys + key];
                    if (!causal || tile + key <= first + block_query + own + i) add[i] = fmaf(weight, value, add[i]);
                }
            }
            SAMC_UNROLL
            for (int i = 0; i < kPlainWarpQueries; i++)
                out[(own + i) * hd + c] = fmaf(out[(own + i) * hd + c], shrink[i], add[i]);
        }
    }
    SAMC_UNROLL
    for (int i = 0; i < kPlainWarpQueries; i++) {
        const int query = block_query + own + i;
        const float total = warp_sum(sum[i]);
        if (query >= queries) continue;
        T *to = y + (static_cast<int64_t>(blockIdx.z) * queries + query) * row + head;
        for (int c = lane; c < hd; c += 32) store(to + c, out[(own + i) * hd + c] / total); // its own columns
    }
}

template <class T> static const char *run_plain(const samc__cuda *cuda, const samc__attention_plain_args *a, int hd) {
    const int queries = static_cast<int>(a->y.n[1]);
    const Grid blocks = {static_cast<unsigned>((queries + kPlainQueries - 1) / kPlainQueries),
                         static_cast<unsigned>(a->heads), static_cast<unsigned>(a->qkv.n[0])};
    return launch("attention_plain", attention_plain<T>, blocks, kPlainThreads, plain_bytes(hd), cuda->stream,
                  static_cast<const T *>(a->qkv.data), static_cast<T *>(a->y.data), a->heads, hd,
                  static_cast<int>(a->qkv.n[1]), static_cast<int>(a->first), queries, a->causal);
}

} // namespace samc

// qkv and y both f32, both f16 or both bf16; softmax and accumulation fp32. Heads up to 256 wide.
extern "C" samc_status samc__attention_plain_cuda(const samc__cuda *cuda, const samc__attention_plain_args *a) {
    using namespace samc;
    const int64_t hd = a->y.n[2] / a->heads;
    SAMC_REQUIRE("attention_plain", a->heads <= 65535 && a->qkv.n[0] <= 65535 && a->qkv.n[1] <= 1 << 20);
    SAMC_REQUIRE("attention_plain", hd <= 1024 && plain_bytes(static_cast<int>(hd)) <= kPlainMost);
    const samc__dtype type = a->qkv.dtype;
    SAMC_REQUIRE("attention_plain", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("attention_plain", a->y.dtype == type);
    const int width = static_cast<int>(hd);
    return started(cuda, "attention_plain",
                   type == SAMC__F32   ? run_plain<float>(cuda, a, width)
                   : type == SAMC__F16 ? run_plain<f16>(cuda, a, width)
                                       : run_plain<bf16>(cuda, a, width));
}
