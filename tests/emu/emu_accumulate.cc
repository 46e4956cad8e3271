// emu_accumulate - how the emulation's tensor cores add (tests/emu/tensor_core.h, tensor_core.cc): what experiments on
// hardware have shown must be so here, the vectors must give the definition's bits, and the closed form that gates rest
// on must be that of real sums.
#include "emu_test.h"

#include <cmath>
#include <cstdio>

static int failures;

static void expect(bool good, const char *what, const char *core) {
    if (!good) std::printf("FAIL %s: %s\n", core, what);
    failures += !good;
}

// sum + the products of pairs, in their places along a tile's 16; the rest is zero.
struct Pair {
    int k;
    float a, b;
};
static float one_sum(float sum, const std::vector<Pair> &pairs) {
    float a[16] = {}, b[16 * 8] = {}, c[8] = {sum, 0, 0, 0, 0, 0, 0, 0};
    for (const Pair &p : pairs) a[p.k] = p.a, b[p.k * 8] = p.b;
    emu::tensor_tile(c, a, b, 1, 8, true);
    return c[0];
}

// The experiments of the papers that tests/emu/tensor_core.h names, in bf16, whose range holds the small products.
static void published(int core) {
    const bool sm90 = core == TENSOR_SM90;
    const char *name = tensor_cores[core].name;
    emu::config.core = core;
    const float ulp = 0x1p-23f;
    expect(one_sum(1, {{0, 0x1p-12f, 0x1p-12f}, {1, 0x1p-12f, 0x1p-12f}}) == 1 + ulp,
           "two halves of a place are one: a guard bit", name);
    std::vector<Pair> quarters;
    for (int k = 0; k < 4; k++) quarters.push_back({k, 0x1p-12f, 0x1p-13f});
    expect(one_sum(1, quarters) == (sm90 ? 1 + ulp : 1),
           "four quarters of a place are one with two guard bits, nothing with one", name);
    std::vector<Pair> eighths;
    for (int k = 0; k < 8; k++) eighths.push_back({k, 0x1p-13f, 0x1p-13f});
    expect(one_sum(1, eighths) == 1, "eighths are lost", name);
    expect(one_sum(1, {{0, 0x1.8p-12f, 0x1p-12f}}) == 1 && one_sum(-1, {{0, -0x1.8p-12f, 0x1p-12f}}) == -1,
           "three quarters of a place are cut off, both ways", name);
    expect(one_sum(1, {{0, -0x1p-12f, 0x1p-12f}}) == 1 - ulp / 2, "half a place less is an exact result below 1", name);
    expect(one_sum(1, {{0, -0x1p-13f, 0x1p-12f}}) == (sm90 ? 1 - ulp / 2 : 1),
           "a quarter less is kept by two guard bits and cut off to a half", name);
    // Aligned to the largest, which then leaves: what was cut off is gone. In the second block it never met the large
    // one.
    expect(one_sum(0x1p30f, {{0, -0x1p15f, 0x1p15f}, {1, 1, 1}}) == 0, "1 is lost beside 2^30, though that cancels",
           name);
    expect(one_sum(0x1p30f, {{0, -0x1p15f, 0x1p15f}, {8, 1, 1}}) == (sm90 ? 0 : 1),
           "products 0 to 7 are a block of their own on sm_80, not on sm_90", name);
    // 1.5 * 1.5 = 2.25 counts as 2^0: nothing is normalised before the alignment.
    expect(one_sum(0, {{0, 1.5f, 1.5f}, {1, 0x1p-12f, 0x1p-12f}}) == 2.25f &&
               one_sum(0, {{0, 1.5f, 1.5f},
                           {1, 0x1p-12f, 0x1p-12f},
                           {2, 0x1p-12f, 0x1p-12f},
                           {3, 0x1p-12f, 0x1p-12f},
                           {4, 0x1p-12f, 0x1p-12f}}) == 2.25f + 2 * ulp,
           "a product's exponent is the sum of its factors'", name);
    expect(one_sum(INFINITY, {{0, 1, 1}}) == INFINITY && std::isnan(one_sum(0, {{0, INFINITY, 0}})) &&
               std::isnan(one_sum(NAN, {{3, 1, 1}})) && one_sum(0, {{0, 0x1p100f, 0x1p100f}}) == INFINITY,
           "what is not finite", name);
    expect(one_sum(0, {}) == 0 && one_sum(0x1p-149f, {}) == 0x1p-149f, "zero and the least number", name);
}

// Values of every size, zeros, infinities and NaN among them where `wild`.
static float any_value(emu_test::Random &random, bool bf16, bool wild) {
    uint16_t half = uint16_t(random.bits());
    if (!wild) half = bf16 ? emu::to_bf16(random.normal()) : emu::to_f16(random.normal());
    if (random.bits() % 8 == 0) half = 0;
    return bf16 ? emu::from_bf16(half) : emu::from_f16(half);
}

static void vectors(int core) {
    const tensor_core &how = tensor_cores[core];
    emu_test::Random random = {5};
    emu::config.core = core;
    long different = 0;
    for (int turn = 0; turn < 400; turn++) {
        const bool bf16 = turn & 1, wild = turn & 2;
        float a[16 * 16], b[16 * 8], c[16 * 8], before[16 * 8], column[16];
        for (float &v : a) v = any_value(random, bf16, wild);
        for (float &v : b) v = any_value(random, bf16, wild);
        for (float &v : c) v = wild && turn & 4 ? emu::bits<float>(random.bits()) : 4 * random.normal();
        std::memcpy(before, c, sizeof c);
        emu::tensor_tile(c, a, b, 16, 8, bf16);
        for (int i = 0; i < 16 * 8; i++) {
            float sum = before[i];
            for (int k = 0; k < 16; k += how.block) {
                for (int j = 0; j < how.block; j++) column[j] = b[(k + j) * 8 + i % 8];
                sum = tensor_core_add(&how, sum, a + i / 8 * 16 + k, column, how.block, bf16 ? -126 : -14);
            }
            different += !(sum == c[i] || (std::isnan(sum) && std::isnan(c[i])));
        }
    }
    expect(different == 0, "vectors and definition differ", how.name);
    // Matrices of ragged sizes, as the libraries' twins multiply.
    const size_t m = 19, n = 261, k = 37;
    std::vector<float> x(m * k), w(n * k), y(m * n);
    for (float &v : x) v = any_value(random, true, false);
    for (float &v : w) v = any_value(random, true, false);
    emu::tensor_matrix(y.data(), x.data(), w.data(), m, n, k, true);
    for (size_t i = 0; i < m * n; i++) {
        tensor_sum sum = tensor_sum_of(core);
        for (size_t j = 0; j < k; j++) tensor_sum_add(&sum, x[i / n * k + j], w[i % n * k + j]);
        different += tensor_sum_end(&sum) != y[i];
    }
    expect(different == 0, "a ragged matrix differs", how.name);
}

// tensor_core_loss() is twice what sm_80 is expected to lose: neither core may lose more, and sm_80 must come near in
// long sums (a fifth: bf16 products of 16 bits are not cut off, and their short sums often exact). fp32_loss() likewise
// for sums rounded to nearest.
static void closed_form(int k, bool bf16) {
    double rms[TENSOR_CORES] = {};
    for (int core = 0; core < TENSOR_CORES; core++) {
        emu_test::Random random = {9};
        double errors = 0, sizes = 0;
        for (int turn = 0; turn < 2000; turn++) {
            tensor_sum sum = tensor_sum_of(core);
            double exact = 0;
            for (int i = 0; i < k; i++) {
                float a = emu_test::rounded(bf16 ? SAMC__BF16 : SAMC__F16, random.normal()),
                      b = emu_test::rounded(bf16 ? SAMC__BF16 : SAMC__F16, random.normal());
                exact += double(a) * double(b);
                tensor_sum_add(&sum, a, b);
            }
            errors += std::pow(tensor_sum_end(&sum) - exact, 2);
            sizes += exact * exact;
        }
        rms[core] = std::sqrt(errors / sizes);
    }
    double most = tensor_core_loss(k);
    std::printf("k %4d %-4s rms error: nearest %.1e (allowed %.1e), sm80 %.1e, sm90 %.1e (allowed %.1e)\n", k,
                bf16 ? "bf16" : "f16", rms[0], fp32_loss(k), rms[1], rms[2], most);
    expect(rms[TENSOR_NEAREST] < fp32_loss(k) && rms[TENSOR_NEAREST] > fp32_loss(k) / 10, "sums rounded to nearest",
           "nearest");
    expect(rms[TENSOR_SM80] < most && rms[TENSOR_SM90] < most, "sums lose more than the closed form says", "all");
    if (k >= 512)
        expect(rms[TENSOR_SM80] > most / 5 && rms[TENSOR_SM80] > 2.5 * rms[TENSOR_NEAREST],
               "the closed form is far from the sums", "sm80");
}

int main() {
    for (int core : {TENSOR_SM80, TENSOR_SM90}) published(core), vectors(core);
    for (int k : {16, 64, 256, 768, 3072}) closed_form(k, true), closed_form(k, false);
    std::printf("%d failures\n", failures);
    return failures != 0;
}
