// device.h - everything a kernel needs that is not plain C++: instructions, launches, shared memory. Two compilers read
// it.
//
// nvcc sees the real instructions. A host compiler (tests/emu) sees the same names done by the emulation, so that a
// kernel runs on a CPU. No other file holds inline assembly, a launch or a shared-memory declaration, and kernels use
// nothing else of CUDA but threadIdx, blockIdx, blockDim, gridDim and __syncthreads, and none of the types of CUDA's
// headers: a kernel's name is then the same for both compilers, which is how translated PTX is found.
#ifndef SAMC_KERNELS_CUDA_DEVICE_H
#define SAMC_KERNELS_CUDA_DEVICE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

namespace samc {

// 16-bit floats are bit patterns; arithmetic is in fp32.
struct f16 {
    uint16_t bits;
};
struct bf16 {
    uint16_t bits;
};
struct alignas(8) u32x2 {
    uint32_t x, y;
};
struct alignas(8) f32x2 {
    float x, y;
};
struct alignas(16) f32x4 {
    float x, y, z, w;
};
struct alignas(16) u32x4 { // eight 16-bit floats, or four registers of a fragment
    uint32_t at[4];
};
struct Grid {
    unsigned x, y, z;
};

} // namespace samc

#ifdef SAMC_GPU_CHECK
#include <around_launch.h> // of tests/gpu: gives each launch the device's copies of a check's memory, and times it
#else
namespace samc {
// Runs start(parameters); the parameters are addresses, as cudaLaunchKernel takes them.
template <class Start>
static inline const char *around_launch(const char *, void **parameters, const size_t *, int, const Start &start) {
    return start(parameters);
}
} // namespace samc
#endif

#ifdef __CUDACC__

#include <cuda_runtime.h>

#define SAMC_DEVICE static __device__ __forceinline__
#define SAMC_CONSTEXPR static __host__ __device__ constexpr // for sizes that host and kernel both need
// threads: of a block; blocks: at least this many on one multiprocessor, which bounds the registers.
#define SAMC_KERNEL(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
// All shared memory is dynamic: one declaration, and the emulation can poison and check it.
#define SAMC_SHARED(name)                                                                                              \
    extern __shared__ __align__(128) unsigned char samc_shared_[];                                                     \
    char *name = reinterpret_cast<char *>(samc_shared_)
// The same memory for operands of group_product.
#define SAMC_SHARED_1024(name)                                                                                         \
    extern __shared__ __align__(1024) unsigned char samc_shared_1024_[];                                               \
    char *name = reinterpret_cast<char *>(samc_shared_1024_)
#define SAMC_UNROLL _Pragma("unroll")
#define SAMC_NO_UNROLL _Pragma("unroll 1")
#define SAMC_UNROLL_BY(n) SAMC_PRAGMA_(unroll n)
#define SAMC_PRAGMA_(text) _Pragma(#text)

namespace samc {

SAMC_DEVICE uint32_t float_bits(float x) { return __float_as_uint(x); }
SAMC_DEVICE float bits_float(uint32_t x) { return __uint_as_float(x); }
SAMC_DEVICE float to_float(f16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}
// Two floats rounded to nearest even into one register, `low` in the low half.
SAMC_DEVICE uint32_t pack2(float low, float high, f16) {
    uint32_t y;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
SAMC_DEVICE uint32_t pack2(float low, float high, bf16) {
    uint32_t y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}
// Two pairs of 16-bit floats added, each sum rounded once. (A sum of bf16 has an instruction of its own only from sm_90
// on.)
SAMC_DEVICE uint32_t add2(uint32_t x, uint32_t y, f16) {
    uint32_t z;
    asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(z) : "r"(x), "r"(0x3c003c00u), "r"(y)); // times one
    return z;
}
SAMC_DEVICE uint32_t add2(uint32_t x, uint32_t y, bf16) {
    uint32_t z;
    asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(z) : "r"(x), "r"(0x3f803f80u), "r"(y));
    return z;
}
SAMC_DEVICE float exp2_fast(float x) { // 2 ulp; subnormal results are zero
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
SAMC_DEVICE float reciprocal_fast(float x) { // 1 ulp
    float y;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
// Separately rounded product, sum and quotient: no contraction, for results that must equal the reference's to the bit.
SAMC_DEVICE float mul_exact(float x, float y) { return __fmul_rn(x, y); }
SAMC_DEVICE float add_exact(float x, float y) { return __fadd_rn(x, y); }
SAMC_DEVICE float sub_exact(float x, float y) { return __fsub_rn(x, y); }
SAMC_DEVICE float div_exact(float x, float y) { return __fdiv_rn(x, y); }
SAMC_DEVICE double mul_exact(double x, double y) { return __dmul_rn(x, y); }
SAMC_DEVICE double add_exact(double x, double y) { return __dadd_rn(x, y); }
SAMC_DEVICE double sub_exact(double x, double y) { return __dsub_rn(x, y); }
SAMC_DEVICE double div_exact(double x, double y) { return __ddiv_rn(x, y); }

// threadIdx.x read anew: what is computed from it needs no register in between.
SAMC_DEVICE int thread_again() {
    int x;
    asm volatile("mov.u32 %0, %%tid.x;" : "=r"(x));
    return x;
}
SAMC_DEVICE void sync_warp() { __syncwarp(); }
SAMC_DEVICE float shuffle_xor(float x, int lanes) { return __shfl_xor_sync(0xffffffffu, x, lanes); }
SAMC_DEVICE uint32_t shuffle(uint32_t x, int from) { return __shfl_sync(0xffffffffu, x, from); }
SAMC_DEVICE uint32_t ballot(bool vote) { return __ballot_sync(0xffffffffu, vote); }
SAMC_DEVICE bool any(bool vote) { return __any_sync(0xffffffffu, vote); }
SAMC_DEVICE int count_bits(uint32_t x) { return __popc(x); }
SAMC_DEVICE int count_bits(uint64_t x) { return __popcll(x); }
SAMC_DEVICE int first_bit(uint32_t x) { return __ffs(static_cast<int>(x)) - 1; } // x != 0
SAMC_DEVICE int first_bit(uint64_t x) { return __ffsll(static_cast<long long>(x)) - 1; }
SAMC_DEVICE int last_bit(uint32_t x) { return 31 - __clz(static_cast<int>(x)); }
SAMC_DEVICE int last_bit(uint64_t x) { return 63 - __clzll(static_cast<long long>(x)); }
SAMC_DEVICE void atomic_add(int64_t *to, int64_t x) {
    atomicAdd(reinterpret_cast<unsigned long long *>(to), static_cast<unsigned long long>(x));
}
SAMC_DEVICE int atomic_add(int *to, int x) { return atomicAdd(to, x); } // returns what was there before
SAMC_DEVICE int atomic_min(int *to, int x) { return atomicMin(to, x); } // likewise
SAMC_DEVICE void atomic_max(int *to, int x) { atomicMax(to, x); }
SAMC_DEVICE void atomic_max(uint64_t *to, uint64_t x) {
    atomicMax(reinterpret_cast<unsigned long long *>(to), static_cast<unsigned long long>(x));
}
SAMC_DEVICE void atomic_xor(uint64_t *to, uint64_t x) {
    atomicXor(reinterpret_cast<unsigned long long *>(to), static_cast<unsigned long long>(x));
}
// What other threads change meanwhile: read from and written to memory, never kept in a register.
SAMC_DEVICE int load_current(const int *from) { return *static_cast<const volatile int *>(from); }
SAMC_DEVICE void store_current(int *to, int x) { *static_cast<volatile int *>(to) = x; }

SAMC_DEVICE uint32_t shared_address(const void *p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

// Four 8 x 8 matrices of 16-bit elements; lane 8 i + r holds the address of row r of matrix i, 16-byte aligned.
SAMC_DEVICE void ldmatrix_x4(uint32_t (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}
SAMC_DEVICE void ldmatrix_x4_trans(uint32_t (&to)[4], const void *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// d = a b + c with fp32 accumulation: a 16 x 16, b 16 x 8. Four register operands: starting from a c of one's own costs
// nothing. Not volatile, so that the compiler may schedule it.
SAMC_DEVICE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float (&c)[4], f16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}
SAMC_DEVICE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float (&c)[4], bf16) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%11,%12,%13};"
        : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}

// 16 bytes from global to shared memory, past the registers; zeros where `real` is false (then `from` is not read).
SAMC_DEVICE void copy_async16(void *to, const void *from, bool real) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(real ? 16 : 0)
                 : "memory");
}
SAMC_DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int groups> SAMC_DEVICE void copy_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory"); }

// ---- Hopper's products (sm_90a alone) ----
// A warpgroup, four warps, multiplies 64 rows of a by 256 of b, 16 columns of each, out of shared memory, while its
// warps go on. Sums stay spread over the registers: warp i has rows 16 i .. 16 i + 15 as 32 m16n8 tiles side by side,
// laid out as those of mma_16816. Between group_begin and a group_wait that covers them neither the sums nor the
// operands may be touched.
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define SAMC_FOUR(i) "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])
#define SAMC_SIXTEEN(i) SAMC_FOUR(i), SAMC_FOUR(i + 1), SAMC_FOUR(i + 2), SAMC_FOUR(i + 3)
#define SAMC_GROUP_PRODUCT(type)                                                                                       \
    asm volatile("wgmma.mma_async.sync.aligned.m64n256k16.f32." type "." type " {"                                     \
                 "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "                              \
                 "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "                    \
                 "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "                    \
                 "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "                    \
                 "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "                    \
                 "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "                    \
                 "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "        \
                 "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "   \
                 "%128, %129, 1, 1, 1, 0, 0;"                                                                          \
                 : SAMC_SIXTEEN(0), SAMC_SIXTEEN(4), SAMC_SIXTEEN(8), SAMC_SIXTEEN(12), SAMC_SIXTEEN(16),              \
                   SAMC_SIXTEEN(20), SAMC_SIXTEEN(24), SAMC_SIXTEEN(28)                                                \
                 : "l"(a), "l"(b))
SAMC_DEVICE void group_product(float (&d)[32][4], uint64_t a, uint64_t b, f16) { SAMC_GROUP_PRODUCT("f16"); }
SAMC_DEVICE void group_product(float (&d)[32][4], uint64_t a, uint64_t b, bf16) { SAMC_GROUP_PRODUCT("bf16"); }
SAMC_DEVICE void group_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
SAMC_DEVICE void group_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int groups> SAMC_DEVICE void group_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups) : "memory");
}
SAMC_DEVICE void publish_copies() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
#else // compiled for other GPUs too, but nobody launches it there
template <class T> SAMC_DEVICE void group_product(float (&)[32][4], uint64_t, uint64_t, T) { __trap(); }
SAMC_DEVICE void group_begin() {}
SAMC_DEVICE void group_commit() {}
template <int groups> SAMC_DEVICE void group_wait() {}
SAMC_DEVICE void publish_copies() {}
#endif
// The compiler may not move what reads a sum to before this.
SAMC_DEVICE void keep_behind(float &x) { asm volatile("" : "+f"(x)::"memory"); }

// Starts a kernel; NULL, or why it could not start. Argument types are checked against the kernel's.
template <class... P, class... A>
static inline const char *launch(const char *name, void (*kernel)(P...), Grid grid, unsigned threads, size_t shared,
                                 cudaStream_t stream, A... args) {
    cudaError_t error = cudaSuccess;
    if (shared > 48 << 10)
        error = cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel),
                                     cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    if (error != cudaSuccess) return cudaGetErrorString(error);
    auto start = [&](void **parameters) -> const char * {
        cudaError_t problem = cudaLaunchKernel(reinterpret_cast<const void *>(kernel), dim3(grid.x, grid.y, grid.z),
                                               dim3(threads), parameters, shared, stream);
        return problem == cudaSuccess ? nullptr : cudaGetErrorString(problem);
    };
    auto run = [&](P... p) {
        void *list[] = {const_cast<void *>(static_cast<const void *>(&p))...};
        const size_t sizes[] = {sizeof(P)...};
        return around_launch(name, list, sizes, sizeof...(P), start);
    };
    return run(args...);
}

// Whether work that was started earlier has failed: an error that stays, unlike that of a launch with wrong arguments.
static inline bool device_lost(cudaStream_t stream) {
    cudaError_t state = cudaStreamQuery(stream);
    return state != cudaSuccess && state != cudaErrorNotReady;
}

} // namespace samc

#else

#include <emu.h> // of tests/emu: only test builds find it
#include <tuple>
#ifdef SAMC_EMU_PTX
#include <ptx.h>
#endif

typedef struct CUstream_st *cudaStream_t;

#define __device__
#define SAMC_DEVICE static inline
#define SAMC_CONSTEXPR static constexpr
#define SAMC_KERNEL(threads, blocks) void
#define SAMC_SHARED(name) char *name = emu::now.shared
#define SAMC_SHARED_1024(name) SAMC_SHARED(name)
#define SAMC_UNROLL
#define SAMC_NO_UNROLL
#define SAMC_UNROLL_BY(n)
#define threadIdx (emu::now.self->index)
#define blockIdx (emu::now.block)
#define blockDim (emu::now.block_size)
#define gridDim (emu::now.grid_size)
#define __syncthreads() emu::barrier(emu::Site::here())

namespace samc {

using emu::Site;

SAMC_DEVICE uint32_t float_bits(float x) { return emu::bits<uint32_t>(x); }
SAMC_DEVICE float bits_float(uint32_t x) { return emu::bits<float>(x); }
SAMC_DEVICE float to_float(f16 x) { return emu::from_f16(x.bits); }
SAMC_DEVICE uint32_t pack2(float low, float high, f16) {
    return emu::to_f16(low) | static_cast<uint32_t>(emu::to_f16(high)) << 16;
}
SAMC_DEVICE uint32_t pack2(float low, float high, bf16) {
    return emu::to_bf16(low) | static_cast<uint32_t>(emu::to_bf16(high)) << 16;
}
SAMC_DEVICE uint32_t add2(uint32_t x, uint32_t y, f16) {
    return emu::fma2<emu::from_f16, emu::to_f16>(x, 0x3c003c00u, y);
}
SAMC_DEVICE uint32_t add2(uint32_t x, uint32_t y, bf16) {
    return emu::fma2<emu::from_bf16, emu::to_bf16>(x, 0x3f803f80u, y);
}
SAMC_DEVICE float exp2_fast(float x) { return exp2f(x); }
SAMC_DEVICE float reciprocal_fast(float x) { return 1.0f / x; }
SAMC_DEVICE float mul_exact(float x, float y) { return x * y; } // compiled with -ffp-contract=off
SAMC_DEVICE float add_exact(float x, float y) { return x + y; }
SAMC_DEVICE float sub_exact(float x, float y) { return x - y; }
SAMC_DEVICE float div_exact(float x, float y) { return x / y; }
SAMC_DEVICE double mul_exact(double x, double y) { return x * y; }
SAMC_DEVICE double add_exact(double x, double y) { return x + y; }
SAMC_DEVICE double sub_exact(double x, double y) { return x - y; }
SAMC_DEVICE double div_exact(double x, double y) { return x / y; }

SAMC_DEVICE int thread_again() { return static_cast<int>(threadIdx.x); }
SAMC_DEVICE void sync_warp(Site at = Site::here()) { emu::warp_op(emu::Op::syncwarp, ~0u, at); }
SAMC_DEVICE float shuffle_xor(float x, int lanes, Site at = Site::here()) {
    return bits_float(emu::shuffle(~0u, float_bits(x), emu::now.self->lane ^ lanes, at));
}
SAMC_DEVICE uint32_t ballot(bool vote, Site at = Site::here()) { return emu::ballot(~0u, vote, at); }
SAMC_DEVICE bool any(bool vote, Site at = Site::here()) { return emu::ballot(~0u, vote, at) != 0; }
SAMC_DEVICE uint32_t shuffle(uint32_t x, int from, Site at = Site::here()) {
    return emu::shuffle(~0u, x, from & 31, at);
}
SAMC_DEVICE int count_bits(uint32_t x) { return __builtin_popcount(x); }
SAMC_DEVICE int count_bits(uint64_t x) { return __builtin_popcountll(x); }
SAMC_DEVICE int first_bit(uint32_t x) { return __builtin_ctz(x); }
SAMC_DEVICE int first_bit(uint64_t x) { return __builtin_ctzll(x); }
SAMC_DEVICE int last_bit(uint32_t x) { return 31 - __builtin_clz(x); }
SAMC_DEVICE int last_bit(uint64_t x) { return 63 - __builtin_clzll(x); }
SAMC_DEVICE void atomic_add(int64_t *to, int64_t x) { __atomic_fetch_add(to, x, __ATOMIC_RELAXED); }
SAMC_DEVICE int atomic_add(int *to, int x) { return __atomic_fetch_add(to, x, __ATOMIC_RELAXED); }
SAMC_DEVICE int atomic_min(int *to, int x) { // fibers never preempt each other; atomic for the race detector's sake
    int old = __atomic_load_n(to, __ATOMIC_RELAXED);
    if (x < old) __atomic_store_n(to, x, __ATOMIC_RELAXED);
    return old;
}
SAMC_DEVICE void atomic_max(int *to, int x) {
    if (x > __atomic_load_n(to, __ATOMIC_RELAXED)) __atomic_store_n(to, x, __ATOMIC_RELAXED);
}
SAMC_DEVICE void atomic_max(uint64_t *to, uint64_t x) {
    if (x > __atomic_load_n(to, __ATOMIC_RELAXED)) __atomic_store_n(to, x, __ATOMIC_RELAXED);
}
SAMC_DEVICE void atomic_xor(uint64_t *to, uint64_t x) { __atomic_fetch_xor(to, x, __ATOMIC_RELAXED); }
SAMC_DEVICE int load_current(const int *from) {
    emu::yield();
    return __atomic_load_n(from, __ATOMIC_RELAXED);
}
SAMC_DEVICE void store_current(int *to, int x) {
    emu::yield();
    __atomic_store_n(to, x, __ATOMIC_RELAXED);
}
SAMC_DEVICE void ldmatrix_x4(uint32_t (&to)[4], const void *row, Site at = Site::here()) {
    emu::ldmatrix(emu::Op::ldmatrix, to, row, at);
}
SAMC_DEVICE void ldmatrix_x4_trans(uint32_t (&to)[4], const void *row, Site at = Site::here()) {
    emu::ldmatrix(emu::Op::ldmatrix_trans, to, row, at);
}
SAMC_DEVICE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float (&c)[4], f16,
                           Site at = Site::here()) {
    emu::mma(emu::Op::mma_f16, d, a, b0, b1, c, at);
}
SAMC_DEVICE void mma_16816(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float (&c)[4], bf16,
                           Site at = Site::here()) {
    emu::mma(emu::Op::mma_bf16, d, a, b0, b1, c, at);
}
SAMC_DEVICE void copy_async16(void *to, const void *from, bool real, Site at = Site::here()) {
    emu::copy_async(to, from, real ? 16 : 0, at);
}
SAMC_DEVICE void copy_commit() { emu::copy_commit(); }
template <int groups> SAMC_DEVICE void copy_wait() { emu::copy_wait(groups); }

SAMC_DEVICE uint32_t shared_address(const void *p) {
    return static_cast<uint32_t>(static_cast<const char *>(p) - emu::now.shared);
}
SAMC_DEVICE void group_product(float (&d)[32][4], uint64_t a, uint64_t b, f16, Site at = Site::here()) {
    emu::group_product(emu::Op::group_f16, &d[0][0], a, b, at);
}
SAMC_DEVICE void group_product(float (&d)[32][4], uint64_t a, uint64_t b, bf16, Site at = Site::here()) {
    emu::group_product(emu::Op::group_bf16, &d[0][0], a, b, at);
}
SAMC_DEVICE void group_begin() { emu::group_begin(); }
SAMC_DEVICE void group_commit() { emu::group_commit(); }
template <int groups> SAMC_DEVICE void group_wait() { emu::group_wait(groups); }
SAMC_DEVICE void publish_copies() {
    emu::publish_copies();
} // what this thread's finished copies wrote, to the tensor cores
SAMC_DEVICE void keep_behind(float &) {}

template <class P> static inline P next_parameter(void **&at) { return *static_cast<P *>(*at++); }

template <class... P, class... A>
static inline const char *launch(const char *name, void (*kernel)(P...), Grid grid, unsigned threads, size_t shared,
                                 cudaStream_t stream, A... args) {
    emu::Index blocks = {grid.x, grid.y, grid.z}, block = {threads, 1, 1};
    auto run = [=](std::tuple<P...> values) {
#ifdef SAMC_EMU_PTX
        auto start = [&](P &...p) {
            char *const list[] = {reinterpret_cast<char *>(&p)...};
            emu::launch_ptx(name, reinterpret_cast<const void *>(kernel), blocks, block, shared, list);
        };
        std::apply(start, values);
#else
        emu::launch(name, blocks, block, shared, [&] { std::apply(kernel, values); });
#endif
    };
    auto put = [&](void **parameters) -> const char * {
        std::tuple<P...> values{next_parameter<P>(parameters)...}; // braces: from left to right
        return emu::on_stream(stream, name, [=] { run(values); });
    };
    auto with = [&](P... p) {
        void *list[] = {const_cast<void *>(static_cast<const void *>(&p))...};
        const size_t sizes[] = {sizeof(P)...};
        return around_launch(name, list, sizes, sizeof...(P), put);
    };
    return with(args...);
}
static inline bool device_lost(cudaStream_t stream) { return emu::stream_lost != nullptr && emu::stream_lost(stream); }

} // namespace samc

#endif

namespace samc {

// ---- the same for both compilers ----

SAMC_DEVICE float to_float(bf16 x) { return bits_float(static_cast<uint32_t>(x.bits) << 16); }
SAMC_DEVICE float to_float(float x) { return x; }
SAMC_DEVICE void store(float *to, float x) { *to = x; }
SAMC_DEVICE void store(f16 *to, float x) { to->bits = static_cast<uint16_t>(pack2(x, 0.0f, f16())); }
SAMC_DEVICE void store(bf16 *to, float x) { to->bits = static_cast<uint16_t>(pack2(x, 0.0f, bf16())); }

// The two 16-bit floats of a register.
template <class T> SAMC_DEVICE f32x2 unpack2(uint32_t x, T) {
    T low = {static_cast<uint16_t>(x)}, high = {static_cast<uint16_t>(x >> 16)};
    return {to_float(low), to_float(high)};
}

// Two or four neighbours in one access; `from` and `to` aligned to as many elements.
SAMC_DEVICE f32x2 load2(const float *from) { return *reinterpret_cast<const f32x2 *>(from); }
template <class T> SAMC_DEVICE f32x2 load2(const T *from) {
    return unpack2(*reinterpret_cast<const uint32_t *>(from), T());
}
SAMC_DEVICE void store2(float *to, f32x2 v) { *reinterpret_cast<f32x2 *>(to) = v; }
template <class T> SAMC_DEVICE void store2(T *to, f32x2 v) { *reinterpret_cast<uint32_t *>(to) = pack2(v.x, v.y, T()); }
SAMC_DEVICE f32x4 load4(const float *from) { return *reinterpret_cast<const f32x4 *>(from); }
template <class T> SAMC_DEVICE f32x4 load4(const T *from) {
    u32x2 v = *reinterpret_cast<const u32x2 *>(from);
    T a = {static_cast<uint16_t>(v.x)}, b = {static_cast<uint16_t>(v.x >> 16)}, c = {static_cast<uint16_t>(v.y)},
      d = {static_cast<uint16_t>(v.y >> 16)};
    return {to_float(a), to_float(b), to_float(c), to_float(d)};
}
SAMC_DEVICE void store4(float *to, f32x4 v) { *reinterpret_cast<f32x4 *>(to) = v; }
template <class T> SAMC_DEVICE void store4(T *to, f32x4 v) {
    *reinterpret_cast<u32x2 *>(to) = u32x2{pack2(v.x, v.y, T()), pack2(v.z, v.w, T())};
}

// Where a running maximum starts: below every score, and finite, so that a score of -infinity has a weight of 0 beside
// it, and so have keys that do not exist, whose score that is. Where every score is that, the weights' sum is 0 and the
// result NaN, as it should.
constexpr float kNever = -1e30f;

SAMC_DEVICE float warp_sum(float x) { // over the 32 lanes, the same in every lane
    SAMC_UNROLL
    for (int lanes = 16; lanes > 0; lanes /= 2) x += shuffle_xor(x, lanes);
    return x;
}
SAMC_DEVICE float warp_max(float x) {
    SAMC_UNROLL
    for (int lanes = 16; lanes > 0; lanes /= 2) x = fmaxf(x, shuffle_xor(x, lanes));
    return x;
}
// An operand of group_product: rows of 128 bytes one after another from `rows` on, a multiple of 1024 bytes, 16-byte
// chunk c of row r at c ^ r % 8. 32 bytes further along the rows, 16 columns, is two more.
SAMC_DEVICE uint64_t group_operand(const void *rows) {
    const uint64_t swizzled128 = 1, eight_rows = 1024;
    return static_cast<uint64_t>((shared_address(rows) & 0x3ffffu) >> 4) | uint64_t{1} << 16 | eight_rows >> 4 << 32 |
           swizzled128 << 62;
}

SAMC_DEVICE int min_of(int a, int b) { return a < b ? a : b; }
SAMC_DEVICE int max_of(int a, int b) { return a > b ? a : b; }

} // namespace samc

#endif
