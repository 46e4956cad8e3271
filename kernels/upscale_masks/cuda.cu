// upscale_masks on the GPU: both conv-transposes, norm, GELUs and the product with the hypernetwork vectors in one
// kernel.
//
// A warp keeps 16 tokens in registers from the first product to their logits: no map between exists in memory. For C =
// 256, 1024 prompts of 4096 tokens: 834 GFLOP with three masks; src is read once (2.1 GB), the logits written once (0.8
// GB): 290 flops a byte, bound by the tensor cores, and next by the 768 GELUs of a token, about 14 instructions each.
//
// The second product's operand is made from the first one's result without shared memory. Columns of the first are
// (channel o, its 2x2 pixel), so lane t of a row's four holds channels 2 j + t / 2 of pixels 2 (t % 2) and the next;
// the second wants every lane to hold a part of each pixel's channels. So neighbours t and t ^ 1 exchange half of what
// they have, and the rows of the second weight are met in the order in which the channels then lie.
#include "kernels/cuda/gemm_step.h"
#include "kernels/cuda/wrapper.h"
#include "kernels/upscale_masks/cuda.h"
#include "kernels/upscale_masks/upscale_masks.h"

namespace samc {

constexpr int kMasks = 4; // at most, of the tensor-core kernel

// Shared memory: the ring of the first product, then the second weight [c4][4 c8] of 16 bits, swizzled; (bias, gain,
// shift) of each first channel; four hypernetwork numbers and the bias of each second channel.
template <class T_, int c_> struct Upscale {
    using T = T_;
    using G = Gemm<T_, T_, 64, c_, 32, 4, 1, 1, 3, true>;
    static constexpr int c = c_, c4 = c_ / 4, c8 = c_ / 8, w2_row = 4 * c8 * 2;
    static constexpr int w2 = G::ring, norm = w2 + c4 * w2_row, hyper = norm + c4 * 16, bias = hyper + c8 * 16,
                         bytes = bias + c8 * 4;
};

// Maps of the prompts' images, or NULL; `each` prompts have one image.
template <class T> struct Maps {
    const T *add1, *add2; // [images, 2 grid * 2 grid, c4], [images, 4 grid * 4 grid, c8]
    int each;
};

// Where a pixel's channels begin in a map: pixel (row, column) of the side x side under a token.
SAMC_DEVICE size_t map_at(int image, int token, int grid, int side, int row, int column, int channels) {
    const int y = token / grid * side + row, x = token % grid * side + column;
    return (static_cast<size_t>(image * grid * side + y) * (grid * side) + x) * channels;
}

// From a token's pixels to those of the eighth token behind it, which is in the same row of the grid or in the next.
SAMC_DEVICE int map_hop(int token, int grid, int side, int channels) {
    const int rows = (token + 8) / grid - token / grid, columns = (token + 8) % grid - token % grid;
    return (rows * side * side * grid + columns * side) * channels;
}

// Which block this is, in a register of its own: what is made of it is made anew each time, and kept nowhere.
SAMC_DEVICE int block_again() { return static_cast<int>(blockIdx.x) + (thread_again() >> 10); }

// Of a block's prompt the first one of the two tokens that a lane has.
template <class G> SAMC_DEVICE int own_token(int block, int tokens) {
    return block * G::m % tokens + thread_again() / 32 * 16 + thread_again() % 32 / 4;
}

// Of eight channels from an even one on, every other: those of parity u.
template <class T> SAMC_DEVICE void load_parity(const T *from, int u, float *to) {
    const f32x4 words = load4(reinterpret_cast<const float *>(from)); // two channels each
    const f32x2 pairs[4] = {unpack2(float_bits(words.x), T()), unpack2(float_bits(words.y), T()),
                            unpack2(float_bits(words.z), T()), unpack2(float_bits(words.w), T())};
    SAMC_UNROLL
    for (int i = 0; i < 4; i++) to[i] = u ? pairs[i].y : pairs[i].x;
}

// src [prompts, tokens, c], w1 [c, c4, 2, 2], w2 [c4, c8, 2, 2], hyper [prompts, masks, c8], y [prompts, masks, 4 grid,
// 4 grid]; tokens = grid * grid, a multiple of 64. One block: 64 tokens; a warp: 16.
// `adds`: with maps.
template <class U, bool adds>
SAMC_KERNEL((U::G::threads), 2)
upscale_cells(const typename U::T *src, const typename U::T *w1, const float *b1, const float *gain, const float *shift,
              float eps, const typename U::T *w2, const float *b2, const float *hyper, float *y, int grid, int masks,
              Maps<typename U::T> maps) {
    using T = typename U::T;
    using G = typename U::G;
    SAMC_SHARED(shared);
    const int thread = static_cast<int>(threadIdx.x), tokens = grid * grid,
              prompt = static_cast<int>(blockIdx.x) / (tokens / G::m);
    src += static_cast<size_t>(blockIdx.x) * (G::m * U::c);
    f32x4 *norm = reinterpret_cast<f32x4 *>(shared + U::norm);
    float *vectors = reinterpret_cast<float *>(shared + U::hyper), *bias = reinterpret_cast<float *>(shared + U::bias);

    // These join the first stage's group and are ordered by its barrier.
    copy_rows<G::threads, U::c4, U::w2_row / 16, U::w2_row>(
        shared + U::w2, w2,
        [&](int, int row, int chunk) -> const void * { return w2 + row * (4 * U::c8) + chunk * 8; });
    for (int i = thread; i < U::c4; i += G::threads) norm[i] = {b1[i], gain[i], shift[i], 0.0f};
    for (int i = thread; i < U::c8; i += G::threads) bias[i] = b2[i];
    for (int i = thread; i < U::c8 * kMasks; i += G::threads)
        vectors[i] = i % kMasks < masks ? hyper[(prompt * masks + i % kMasks) * U::c8 + i / kMasks] : 0.0f;

    float first[1][G::tiles_n][4]; // [n8 tile j]: channel 2 j + u, pixels 2 v, 2 v + 1 of token g, then of token g + 8
    gemm_loop<G>(first, shared, U::c / G::k, [&](char *stage, int index) {
        copy_a<G>(stage, src,
                  [&](int, int row, int chunk) -> const void * { return src + row * U::c + index * G::k + chunk * 8; });
        copy_b<G>(stage, w1, [&](int, int row, int chunk) -> const void * {
            return w1 + (index * G::k + row) * U::c + chunk * 8;
        });
    });

    const int lane = thread_again() % 32, u = lane % 4 / 2, v = lane % 2;
    if (adds) {
        const int block = block_again(), token_g = own_token<G>(block, tokens), hop = map_hop(token_g, grid, 2, U::c4);
        const T *from = maps.add1 + map_at(block / (tokens / G::m) / maps.each, token_g, grid, 2, v, 0, U::c4);
        SAMC_UNROLL
        for (int e = 0; e < 4; e++) {
            SAMC_UNROLL
            for (int j = 0; j < G::tiles_n; j += 4) {
                float x[4];
                load_parity(from + e / 2 * hop + e % 2 * U::c4 + 2 * j, u, x);
                SAMC_UNROLL
                for (int i = 0; i < 4; i++) first[0][j + i][e] += x[i];
            }
        }
    }
    float mean[4] = {}, scale[4] = {}; // of the four (token, pixel); lanes u = 0 and 1 hold half of the channels each
    SAMC_UNROLL
    for (int j = 0; j < G::tiles_n; j++) {
        SAMC_UNROLL
        for (int e = 0; e < 4; e++) {
            first[0][j][e] += norm[2 * j + u].x;
            mean[e] += first[0][j][e];
        }
    }
    SAMC_UNROLL
    for (int e = 0; e < 4; e++) mean[e] = (mean[e] + shuffle_xor(mean[e], 2)) * (1.0f / U::c4);
    SAMC_UNROLL
    for (int j = 0; j < G::tiles_n; j++) {
        SAMC_UNROLL
        for (int e = 0; e < 4; e++) {
            first[0][j][e] -= mean[e];
            scale[e] = fmaf(first[0][j][e], first[0][j][e], scale[e]);
        }
    }
    SAMC_UNROLL
    for (int e = 0; e < 4; e++) scale[e] = 1.0f / sqrtf((scale[e] + shuffle_xor(scale[e], 2)) * (1.0f / U::c4) + eps);

    uint32_t a[4][U::c4 / 16][4]; // [pixel][k16]: the second product's operand
    SAMC_UNROLL
    for (int q = 0; q < U::c4 / 8; q++) { // eight channels, from four n8 tiles
        SAMC_UNROLL
        for (int e = 0; e < 4; e++) {
            float x[4];
            SAMC_UNROLL
            for (int i = 0; i < 4; i++) {
                f32x4 n = norm[2 * (4 * q + i) + u];
                x[i] = gelu(fmaf(first[0][4 * q + i][e] * scale[e], n.y, n.z));
            }
            uint32_t low = pack2(x[0], x[1], T()),
                     high = pack2(x[2], x[3], T()); // channels 8 q + u, + 2 and 8 q + 4 + u, + 2
            uint32_t kept = v ? high : low, got = float_bits(shuffle_xor(bits_float(v ? low : high), 1));
            a[e % 2][q / 2][e / 2 + q % 2 * 2] = v ? got : kept; // of the four lanes: channels 8 q + 4 v + u, + 2
            a[2 + e % 2][q / 2][e / 2 + q % 2 * 2] = v ? kept : got;
        }
    }

    SAMC_NO_UNROLL
    for (int up = 0; up < 2; up++) { // the two upper pixels of the first map, then the lower ones
        // Within eight, product index 4 u + 2 v + i is channel 4 v + 2 i + u.
        const int r = lane % 8, channel = lane / 8 % 2 * 8 + r / 2 % 2 * 4 + r % 2 * 2 + r / 4, low = 4 * grid;
        float logits[kMasks][2][4] = {}; // [mask][token g, g + 8][column], of row 2 up + v of the token's 4x4
        SAMC_UNROLL
        for (int step = 0; step < 2 * U::c8 / 16;
             step++) { // 16 channels of the left pixel, then of the right one: few registers
            const int side = step / (U::c8 / 16), tile0 = step % (U::c8 / 16) * 8;
            float second[8][4]; // [n8 tile tile0 + j]: channel 2 (tile0 + j) + u, pixels 2 v, 2 v + 1 of token g, then
                                // of token g + 8
            SAMC_UNROLL
            for (int j = 0; j < 8; j++) {
                SAMC_UNROLL
                for (int e = 0; e < 4; e++) second[j][e] = bias[2 * (tile0 + j) + u];
            }
            if (adds) sync_warp(); // keeps these loads behind the step before: else ptxas spills
            if (adds) { // row 2 up + v, column 2 side + e % 2 of the 4 x 4; here, where few registers are in use
                const int block = block_again(), token_g = own_token<G>(block, tokens),
                          hop = map_hop(token_g, grid, 4, U::c8);
                const T *from =
                    maps.add2 +
                    map_at(block / (tokens / G::m) / maps.each, token_g, grid, 4, 2 * up + v, 2 * side, U::c8) +
                    2 * tile0;
                SAMC_UNROLL
                for (int e = 0; e < 4; e++) {
                    SAMC_UNROLL
                    for (int j = 0; j < 8; j += 4) {
                        float x[4];
                        load_parity(from + e / 2 * hop + e % 2 * U::c8 + 2 * j, u, x);
                        SAMC_UNROLL
                        for (int i = 0; i < 4; i++) second[j + i][e] += x[i];
                    }
                }
            }
            SAMC_UNROLL
            for (int k = 0; k < U::c4 / 16; k++) {
                SAMC_UNROLL
                for (int j = 0; j < 8; j += 2) {
                    uint32_t b[4];
                    ldmatrix_x4_trans(b, shared + U::w2 + swizzled<U::w2_row>(k * 16 + channel, tile0 + j + lane / 16));
                    mma_16816(second[j], a[side][k], b[0], b[1], second[j], T());
                    mma_16816(second[j + 1], a[side][k], b[2], b[3], second[j + 1], T());
                }
            }
            SAMC_UNROLL
            for (int j = 0; j < 8; j++) {
                f32x4 h = load4(vectors + (2 * (tile0 + j) + u) * kMasks);
                SAMC_UNROLL
                for (int e = 0; e < 4; e++) {
                    const int half = e / 2, column = side * 2 + e % 2;
                    const float feature = gelu(second[j][e]);
                    logits[0][half][column] = fmaf(feature, h.x, logits[0][half][column]);
                    logits[1][half][column] = fmaf(feature, h.y, logits[1][half][column]);
                    logits[2][half][column] = fmaf(feature, h.z, logits[2][half][column]);
                    logits[3][half][column] = fmaf(feature, h.w, logits[3][half][column]);
                }
            }
        }
        // Lanes u = 0 and 1 hold the sums over half of the channels: each adds up two masks and stores them. Four
        // columns of eight tokens side by side are 128 bytes.
        SAMC_UNROLL
        for (int half = 0; half < 2; half++) {
            const int token =
                static_cast<int>(blockIdx.x) * G::m % tokens + thread_again() / 32 * 16 + half * 8 + lane / 4;
            float *to = y + (static_cast<size_t>(prompt * masks) * low + token / grid * 4 + 2 * up + v) * low +
                        token % grid * 4;
            SAMC_UNROLL
            for (int i = 0; i < 2; i++) {
                float total[4];
                SAMC_UNROLL
                for (int column = 0; column < 4; column++) {
                    float own = u ? logits[2 + i][half][column] : logits[i][half][column];
                    total[column] = own + shuffle_xor(u ? logits[i][half][column] : logits[2 + i][half][column], 2);
                }
                if (2 * u + i < masks) store4(to + (2 * u + i) * low * low, {total[0], total[1], total[2], total[3]});
            }
        }
        SAMC_UNROLL
        for (int k = 0; k < U::c4 / 16; k++) {
            SAMC_UNROLL
            for (int i = 0; i < 4; i++) {
                a[0][k][i] = a[2][k][i];
                a[1][k][i] = a[3][k][i];
            }
        }
    }
}

// ---- any shape: eight tokens in a block, all in fp32 --------------------------------------------

constexpr int kAnyTokens = 8, kAnyThreads = 128;
struct AnyShape {
    int c, c4, c8, masks, grid;
    int64_t tokens; // of all prompts
};
SAMC_CONSTEXPR size_t any_floats(const AnyShape &s) {
    return static_cast<size_t>(kAnyTokens) *
           (static_cast<size_t>(s.c) + 4 * static_cast<size_t>(s.c4) + 16 * static_cast<size_t>(s.c8));
}

// Where pixel `i` of the side x side under a token of any prompt begins in a map.
SAMC_DEVICE size_t any_at(const AnyShape &s, int64_t token, int each, int side, int i, int channels) {
    const int64_t tokens = static_cast<int64_t>(s.grid) * s.grid;
    return map_at(static_cast<int>(token / tokens / each), static_cast<int>(token % tokens), s.grid, side, i / side,
                  i % side, channels);
}

template <class T, bool adds>
SAMC_KERNEL(kAnyThreads, 4)
upscale_any(const T *src, const T *w1, const float *b1, const float *gain, const float *shift, float eps, const T *w2,
            const float *b2, const float *hyper, float *y, AnyShape s, Maps<T> maps) {
    SAMC_SHARED(shared);
    float *in = reinterpret_cast<float *>(shared); // [kAnyTokens][c]
    float *first = in + kAnyTokens * s.c;          // [kAnyTokens][4 pixels][c4]
    float *second = first + kAnyTokens * 4 * s.c4; // [kAnyTokens][16 pixels][c8]
    const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
    const int64_t token0 = static_cast<int64_t>(blockIdx.x) * kAnyTokens;
    const int count = s.tokens - token0 < kAnyTokens ? static_cast<int>(s.tokens - token0) : kAnyTokens;
    for (int i = thread; i < kAnyTokens * s.c; i += kAnyThreads)
        in[i] = i < count * s.c ? to_float(src[token0 * s.c + i]) : 0.0f;
    __syncthreads(); // the tokens were read by everyone

    for (int n = thread; n < 4 * s.c4; n += kAnyThreads) { // channel n / 4, pixel n % 4, of all tokens
        float sum[kAnyTokens];
        SAMC_UNROLL
        for (int t = 0; t < kAnyTokens; t++) sum[t] = b1[n / 4];
        for (int k = 0; k < s.c; k++) {
            float w = to_float(w1[static_cast<size_t>(k) * 4 * s.c4 + n]);
            SAMC_UNROLL
            for (int t = 0; t < kAnyTokens; t++) sum[t] = fmaf(in[t * s.c + k], w, sum[t]);
        }
        SAMC_UNROLL
        for (int t = 0; t < kAnyTokens; t++) {
            if (adds && t < count)
                sum[t] += to_float(maps.add1[any_at(s, token0 + t, maps.each, 2, n % 4, s.c4) + n / 4]);
            first[(t * 4 + n % 4) * s.c4 + n / 4] = sum[t];
        }
    }
    __syncthreads(); // every channel of a pixel is there
    for (int pixel = thread / 32; pixel < kAnyTokens * 4; pixel += kAnyThreads / 32) { // a warp each
        float *x = first + pixel * s.c4, sum = 0.0f, squares = 0.0f;
        for (int i = lane; i < s.c4; i += 32) sum += x[i];
        const float mean = warp_sum(sum) / static_cast<float>(s.c4);
        for (int i = lane; i < s.c4; i += 32) squares += (x[i] - mean) * (x[i] - mean);
        const float scale = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(s.c4) + eps);
        for (int i = lane; i < s.c4; i += 32) x[i] = gelu_erf((x[i] - mean) * scale * gain[i] + shift[i]);
    }
    __syncthreads(); // all pixels are normalised
    for (int item = thread; item < 16 * s.c8;
         item += kAnyThreads) { // pixel of the first map, channel n / 4 and pixel n % 4 of the second
        const int pixel = item / (4 * s.c8), n = item % (4 * s.c8);
        float sum[kAnyTokens];
        SAMC_UNROLL
        for (int t = 0; t < kAnyTokens; t++) sum[t] = b2[n / 4];
        for (int k = 0; k < s.c4; k++) {
            float w = to_float(w2[static_cast<size_t>(k) * 4 * s.c8 + n]);
            SAMC_UNROLL
            for (int t = 0; t < kAnyTokens; t++) sum[t] = fmaf(first[(t * 4 + pixel) * s.c4 + k], w, sum[t]);
        }
        SAMC_UNROLL
        for (int t = 0; t < kAnyTokens; t++) {
            const int under = (pixel / 2 * 2 + n % 4 / 2) * 4 + pixel % 2 * 2 + n % 2; // of the 4 x 4
            if (adds && t < count)
                sum[t] += to_float(maps.add2[any_at(s, token0 + t, maps.each, 4, under, s.c8) + n / 4]);
            second[(t * 16 + pixel * 4 + n % 4) * s.c8 + n / 4] = gelu_erf(sum[t]);
        }
    }
    __syncthreads(); // every feature of a pixel is there
    const int tokens = s.grid * s.grid, low = 4 * s.grid;
    for (int item = thread; item < count * 16 * s.masks; item += kAnyThreads) {
        const int mask = item % s.masks, pixel = item / s.masks % 16, t = item / s.masks / 16;
        const int prompt = static_cast<int>((token0 + t) / tokens), token = static_cast<int>((token0 + t) % tokens);
        const float *h = hyper + (static_cast<size_t>(prompt) * s.masks + mask) * s.c8,
                    *x = second + (t * 16 + pixel) * s.c8;
        float sum = 0.0f;
        for (int i = 0; i < s.c8; i++) sum = fmaf(h[i], x[i], sum);
        const int row = token / s.grid * 4 + pixel / 8 * 2 + pixel % 4 / 2,
                  column = token % s.grid * 4 + pixel / 4 % 2 * 2 + pixel % 2;
        y[((static_cast<size_t>(prompt) * s.masks + mask) * low + row) * low + column] = sum;
    }
}

// ---- host ---------------------------------------------------------------------------------------

static const float *floats(samc__view v) { return static_cast<const float *>(v.data); }

template <class T> static Maps<T> maps_of(const samc__upscale_masks_args *a) {
    if (a->add1.rank == 0) return {nullptr, nullptr, 1};
    return {static_cast<const T *>(a->add1.data), static_cast<const T *>(a->add2.data),
            static_cast<int>(a->src.n[0] / a->add1.n[0])};
}

template <class T, int c, bool adds>
static const char *run_cells(const samc__cuda *cuda, const samc__upscale_masks_args *a) {
    using U = Upscale<T, c>;
    unsigned blocks = static_cast<unsigned>(a->src.n[0] * a->src.n[1] / U::G::m);
    return launch("upscale_cells", upscale_cells<U, adds>, Grid{blocks, 1, 1}, U::G::threads, U::bytes, cuda->stream,
                  static_cast<const T *>(a->src.data), static_cast<const T *>(a->up1.w.data), floats(a->up1.b),
                  floats(a->norm.g), floats(a->norm.b), a->norm.eps, static_cast<const T *>(a->up2.w.data),
                  floats(a->up2.b), floats(a->hyper), static_cast<float *>(a->y.data), a->grid,
                  static_cast<int>(a->hyper.n[1]), maps_of<T>(a));
}

template <class T, bool adds>
static const char *run_any_of(const samc__cuda *cuda, const samc__upscale_masks_args *a, const AnyShape &s) {
    unsigned blocks = static_cast<unsigned>((s.tokens + kAnyTokens - 1) / kAnyTokens);
    return launch("upscale_any", upscale_any<T, adds>, Grid{blocks, 1, 1}, kAnyThreads, any_floats(s) * sizeof(float),
                  cuda->stream, static_cast<const T *>(a->src.data), static_cast<const T *>(a->up1.w.data),
                  floats(a->up1.b), floats(a->norm.g), floats(a->norm.b), a->norm.eps,
                  static_cast<const T *>(a->up2.w.data), floats(a->up2.b), floats(a->hyper),
                  static_cast<float *>(a->y.data), s, maps_of<T>(a));
}

template <class T>
static const char *run_any(const samc__cuda *cuda, const samc__upscale_masks_args *a, const AnyShape &s) {
    return a->add1.rank != 0 ? run_any_of<T, true>(cuda, a, s) : run_any_of<T, false>(cuda, a, s);
}

template <class T>
static const char *upscale_run(const samc__cuda *cuda, const samc__upscale_masks_args *a, const AnyShape &s) {
    if (samc__upscale_masks_cuda_kernel(a->src.dtype, s.c, s.c4, s.c8, s.masks, s.grid) == SAMC__UPSCALE_ANY)
        return run_any<T>(cuda, a, s);
    if (a->add1.rank != 0) return s.c == 256 ? run_cells<T, 256, true>(cuda, a) : run_cells<T, 128, true>(cuda, a);
    return s.c == 256 ? run_cells<T, 256, false>(cuda, a) : run_cells<T, 128, false>(cuda, a);
}

} // namespace samc

extern "C" samc__upscale_kernel samc__upscale_masks_cuda_kernel(samc__dtype type, int c, int c4, int c8, int masks,
                                                                int grid) {
    bool cells = type != SAMC__F32 && (c == 256 || c == 128) && c4 == c / 4 && c8 == c / 8 && masks <= samc::kMasks &&
                 grid % 8 == 0;
    return cells ? SAMC__UPSCALE_CELLS : SAMC__UPSCALE_ANY;
}

extern "C" samc_status samc__upscale_masks_cuda(const samc__cuda *cuda, const samc__upscale_masks_args *a) {
    using namespace samc;
    samc__dtype type = a->src.dtype;
    SAMC_REQUIRE("upscale_masks", type == SAMC__F32 || type == SAMC__F16 || type == SAMC__BF16);
    SAMC_REQUIRE("upscale_masks", a->up1.w.dtype == type && a->up2.w.dtype == type && a->y.dtype == SAMC__F32 &&
                                      a->hyper.dtype == SAMC__F32);
    SAMC_REQUIRE("upscale_masks", a->add1.rank != 4); // panels are for hosts
    SAMC_REQUIRE("upscale_masks", a->up1.b.dtype == SAMC__F32 && a->up2.b.dtype == SAMC__F32);
    SAMC_REQUIRE("upscale_masks", a->norm.g.dtype == SAMC__F32 && a->norm.b.dtype == SAMC__F32);
    SAMC_REQUIRE("upscale_masks", aligned16(a->src.data) && aligned16(a->up1.w.data) && aligned16(a->up2.w.data) &&
                                      aligned16(a->y.data) && aligned16(a->add1.data) && aligned16(a->add2.data));
    int64_t tokens = a->src.n[0] * a->src.n[1];
    SAMC_REQUIRE("upscale_masks", tokens <= INT32_MAX && a->src.n[0] * a->hyper.n[1] <= INT32_MAX / 256);
    AnyShape s = {static_cast<int>(a->src.n[2]),
                  static_cast<int>(a->norm.g.n[0]),
                  static_cast<int>(a->hyper.n[2]),
                  static_cast<int>(a->hyper.n[1]),
                  a->grid,
                  tokens};
    SAMC_REQUIRE("upscale_masks", any_floats(s) * sizeof(float) <= 96 << 10);
    const char *problem = type == SAMC__F32   ? run_any<float>(cuda, a, s)
                          : type == SAMC__F16 ? upscale_run<f16>(cuda, a, s)
                                              : upscale_run<bf16>(cuda, a, s);
    return started(cuda, "upscale_masks", problem);
}
