// cute_check - the emulation's fragments of mma, wgmma and ldmatrix (warp.cc) against the layouts in NVIDIA's CuTe. A
// developer's test, not built by CMake: both routes of the emulation share those tables, and this is the one look at
// them from outside.
//
//     python3 -m pip install --no-deps --target build/cutlass nvidia-cutlass==4.2.0.0
//     g++ -std=c++17 -w -I. -Iruntime -Itests/emu -isystem build/cutlass/cutlass_library/source/include -isystem
//     CUDA/include -isystem CUDA/include/cccl
//         tests/emu/cute_check.cc tests/emu/emu.cc tests/emu/tensor_core.cc tests/emu/warp.cc -o build/cute_check &&
//         build/cute_check
//
// (CUDA: /usr/local/cuda, or build/cuda/nvidia/cu13 of tools/cuda_toolkit.sh.) Random matrices of small integers are
// laid out as CuTe says, multiplied by the emulation and read back as CuTe says: any swapped register or lane changes
// the product.
#include "emu.h"

#include <cstdio>
#include <cstdlib>
#include <cute/tensor.hpp>
#include <cute/atom/copy_traits_sm75.hpp>
#include <cute/atom/mma_traits_sm80.hpp>
#include <cute/atom/mma_traits_sm90_gmma.hpp>

static int failures;
static void expect(bool condition, const char *what) {
    std::printf("%s %s\n", condition ? "ok  " : "FAIL", what);
    failures += !condition;
}

// One m16n8k16 product with CuTe's traits: A (m, k), B (n, k), C (m, n), each numbered with its first index fastest.
template <class Operation> static void check_product(bool bf16, const char *what) {
    using Traits = cute::MMA_Traits<Operation>;
    typename Traits::ALayout a_layout;
    typename Traits::BLayout b_layout;
    typename Traits::CLayout c_layout;
    int a[16 * 16], b[8 * 16], c[16 * 8];
    for (int &x : a) x = std::rand() % 17 - 8;
    for (int &x : b) x = std::rand() % 17 - 8;
    for (int &x : c) x = std::rand() % 17 - 8;
    auto half = [&](int x) { return uint32_t(bf16 ? emu::to_bf16(float(x)) : emu::to_f16(float(x))); };
    emu::Thread warp[32] = {};
    for (int lane = 0; lane < 32; lane++) {
        for (int v = 0; v < 8; v++) warp[lane].in.u[v / 2] |= half(a[a_layout(lane, v)]) << (v % 2 * 16);
        for (int v = 0; v < 4; v++) warp[lane].in.u[4 + v / 2] |= half(b[b_layout(lane, v)]) << (v % 2 * 16);
        for (int v = 0; v < 4; v++) warp[lane].in.f[6 + v] = float(c[c_layout(lane, v)]);
    }
    emu::compute_mma(warp, bf16);
    bool same = true;
    for (int lane = 0; lane < 32; lane++)
        for (int v = 0; v < 4; v++) {
            int at = int(c_layout(lane, v)), m = at % 16, n = at / 16, sum = c[at];
            for (int k = 0; k < 16; k++) sum += a[m + 16 * k] * b[n + 8 * k];
            same &= warp[lane].out.f[v] == float(sum);
        }
    expect(same, what);
}

// A warpgroup's product: operands laid out by CuTe's K-major atom with a swizzle of 128 bytes, the descriptor's fields
// but for the address from CuTe too, sums read by CuTe's layout of C. Step `kk` of 16 columns starts 32 bytes further
// along, as CuTe's iterator does.
static void check_group() {
    namespace gmma = cute::SM90::GMMA;
    static cute::half_t unused[256 * 64];
    auto layout = cute::tile_to_shape(gmma::Layout_K_SW128_Atom<cute::half_t>{}, cute::Shape<cute::_256, cute::_64>{});
    auto tensor = cute::local_tile(cute::make_tensor(cute::make_smem_ptr(unused), layout),
                                   cute::Shape<cute::_256, cute::_16>{}, cute::make_coord(0, 0));
    auto place = cute::as_position_independent_swizzle_layout(layout);
    const uint64_t fields = gmma::make_gmma_desc<gmma::Major::K>(tensor).desc_ & ~uint64_t(0x3fff);
    alignas(1024) static uint16_t shared[(64 + 256) * 64];
    static int a[64][64], b[256][64];
    static float sums[128][128];
    for (auto &row : a)
        for (int &x : row) x = std::rand() % 17 - 8;
    for (auto &row : b)
        for (int &x : row) x = std::rand() % 17 - 8;
    for (int row = 0; row < 64; row++)
        for (int k = 0; k < 64; k++) shared[place(row, k)] = emu::to_f16(float(a[row][k]));
    for (int row = 0; row < 256; row++)
        for (int k = 0; k < 64; k++) shared[64 * 64 + place(row, k)] = emu::to_f16(float(b[row][k]));
    emu::now.shared = reinterpret_cast<char *>(shared);
    emu::now.shared_bytes = sizeof shared;
    emu::unpublished.assign(sizeof shared / 16, false);
    for (int warp = 0; warp < 4; warp++)
        for (int kk = 0; kk < 4; kk++) {
            emu::Thread threads[32] = {};
            emu::Product products[32];
            for (int lane = 0; lane < 32; lane++) {
                products[lane] = {sums[warp * 32 + lane],
                                  fields | uint64_t(2 * kk),
                                  fields | uint64_t(64 * 128 / 16 + 2 * kk),
                                  0,
                                  {}};
                threads[lane].lane = lane;
                threads[lane].warp = warp;
                threads[lane].in.address = &products[lane];
            }
            emu::compute_group(threads, false);
        }
    gmma::CLayout_64x256 c;
    bool same = true;
    for (int thread = 0; thread < 128; thread++)
        for (int v = 0; v < 128; v++) {
            int at = int(c(thread, v)), m = at % 64, n = at / 64, sum = 0;
            for (int k = 0; k < 64; k++) sum += a[m][k] * b[n][k];
            same &= sums[thread][v] == float(sum);
        }
    expect(same, "wgmma.m64n256k16");
}

// One ldmatrix of four 8 x 8 matrices. CuTe numbers bits: the source's by (lane, bit of its 16-byte row), the result's
// by (lane, bit).
template <class Operation> static void check_ldmatrix(bool trans, const char *what) {
    using Traits = cute::Copy_Traits<Operation>;
    typename Traits::SrcLayout source;
    typename Traits::DstLayout result;
    alignas(16) static uint16_t shared[32 * 8];
    for (int i = 0; i < 32 * 8; i++) shared[i] = uint16_t(i * 257 + 3);
    emu::now.shared = reinterpret_cast<char *>(shared);
    emu::now.shared_bytes = sizeof shared;
    emu::Thread warp[32] = {};
    for (int lane = 0; lane < 32; lane++) {
        warp[lane].lane = lane;
        warp[lane].in.address = shared + source(lane, 0) / 16;
    }
    emu::compute_ldmatrix(warp, trans);
    bool same = true;
    for (int lane = 0; lane < 32; lane++)
        for (int bit = 0; bit < 128; bit += 16)
            same &= (warp[lane].out.u[bit / 32] >> (bit % 32) & 0xffff) == shared[result(lane, bit) / 16];
    expect(same, what);
}

int main() {
    check_product<cute::SM80_16x8x16_F32F16F16F32_TN>(false, "mma.m16n8k16 f16");
    check_product<cute::SM80_16x8x16_F32BF16BF16F32_TN>(true, "mma.m16n8k16 bf16");
    check_ldmatrix<cute::SM75_U32x4_LDSM_N>(false, "ldmatrix.x4");
    check_ldmatrix<cute::SM75_U16x8_LDSM_T>(true, "ldmatrix.x4.trans");
    check_group();
    return failures != 0;
}
