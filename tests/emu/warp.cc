// warp.cc - what the warp operations compute: tensor-core products, ldmatrix, shuffles and votes.
//
// The fragments are those of the PTX manual (mma.m16n8k16, ldmatrix .m8n8.x4). How products are added is in
// tensor_core.cc.
#include "emu.h"

#include "runtime/base/dtype.h"

namespace emu {

namespace {

template <float convert(uint32_t)> void multiply(Thread *warp, bool bf16) {
    alignas(32) float a[16][16], b[16][8], c[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const uint32_t *u = warp[lane].in.u; // a in 0..3, b in 4..5, c in 6..9
        const float *f = warp[lane].in.f;
        int g = lane / 4, t = lane % 4 * 2;
        for (int i = 0; i < 4; i++) {
            float *at = &a[g + i % 2 * 8][t + i / 2 * 8];
            at[0] = convert(u[i] & 0xffff);
            at[1] = convert(u[i] >> 16);
        }
        for (int i = 0; i < 2; i++) {
            b[t + i * 8][g] = convert(u[4 + i] & 0xffff);
            b[t + i * 8 + 1][g] = convert(u[4 + i] >> 16);
        }
        c[g][t] = f[6];
        c[g][t + 1] = f[7];
        c[g + 8][t] = f[8];
        c[g + 8][t + 1] = f[9];
    }
    tensor_tile(c[0], a[0], b[0], 16, 8, bf16);
    for (int lane = 0; lane < 32; lane++) {
        float *f = warp[lane].out.f;
        int g = lane / 4, t = lane % 4 * 2;
        f[0] = c[g][t];
        f[1] = c[g][t + 1];
        f[2] = c[g + 8][t];
        f[3] = c[g + 8][t + 1];
    }
}

} // namespace

uint16_t to_f16(float value) { return samc__float_to_f16(value); }
uint16_t to_bf16(float value) { return samc__float_to_bf16(value); }

void compute_mma(Thread *warp, bool bf16) { bf16 ? multiply<from_bf16>(warp, true) : multiply<from_f16>(warp, false); }

void compute_ldmatrix(Thread *warp, bool trans) {
    for (int matrix = 0; matrix < 4; matrix++) { // lanes 8 m .. 8 m + 7 hold the addresses of the rows of matrix m
        uint16_t rows[8][8];
        uint32_t banks = 0; // a row covers 4 of the 32 banks; the 8 rows of a matrix are read at once
        for (int r = 0; r < 8; r++) {
            const Thread &lane = warp[matrix * 8 + r];
            size_t offset = size_t(static_cast<const char *>(lane.in.address) - now.shared);
            if (offset % 16 || offset + 16 > now.shared_bytes)
                fail("ldmatrix: lane %d reads shared offset %zd, misaligned or outside the %zu bytes", lane.lane,
                     ssize_t(offset), now.shared_bytes);
            uint32_t bank = 1u << (offset / 16 % 8);
            now.counters.bank_conflicts += (banks & bank) != 0;
            banks |= bank;
            std::memcpy(rows[r], lane.in.address, 16);
        }
        for (int lane = 0; lane < 32; lane++) {
            int g = lane / 4, t = lane % 4 * 2;
            uint32_t low = trans ? rows[t][g] : rows[g][t], high = trans ? rows[t + 1][g] : rows[g][t + 1];
            warp[lane].out.u[matrix] = low | high << 16;
        }
    }
}

// The descriptor's fields are those of the PTX manual's "matrix descriptor": address, leading and stride offsets, all
// in 16 bytes, and the swizzle: here always 128 bytes, which exchanges bits 4 to 6 of an address with their sum with
// bits 7 to 9.
const char *group_chunk(uint64_t operand, int row, int half) {
    size_t start = size_t(operand & 0x3fff) << 4, stride = size_t(operand >> 32 & 0x3fff) << 4;
    if (operand >> 62 != 1 || (operand >> 49 & 7) != 0 || stride != 1024)
        fail("wgmma: descriptor %016llx is not of swizzled rows of 128 bytes", (unsigned long long)operand);
    if (start % 1024 > 96) fail("wgmma: rows start at shared offset %zu, not at a multiple of 1024", start);
    size_t at = start + size_t(row / 8) * stride + size_t(row % 8) * 128 + size_t(half) * 16;
    at ^= (at >> 7 & 7) << 4;
    if (at + 16 > now.shared_bytes) fail("wgmma: reads shared offset %zu of %zu", at, now.shared_bytes);
    return now.shared + at;
}

uint64_t group_bytes(const Product &p, int warp) {
    uint64_t hash = 1;
    auto add = [&](const char *chunk) {
        uint64_t words[2];
        std::memcpy(words, chunk, 16);
        for (uint64_t word : words) hash = (hash ^ word) * 0x9e3779b97f4a7c15u, hash ^= hash >> 29;
    };
    for (int half = 0; half < 2; half++) {
        for (int row = 0; row < 16; row++) add(group_chunk(p.a, warp % 4 * 16 + row, half));
        for (int row = 0; row < 256; row++) add(group_chunk(p.b, row, half));
    }
    return hash;
}

void compute_group(Thread *warp, bool bf16) {
    static float a[16][16], b[16][256], c[16][256]; // b by columns
    const Product first = *static_cast<const Product *>(warp[0].in.address);
    auto read = [&](float *to, size_t apart, const char *chunk) {
        if (unpublished[size_t(chunk - now.shared) / 16])
            fail("wgmma: reads a copy that no fence.proxy.async has published");
        uint16_t half[8];
        std::memcpy(half, chunk, 16);
        for (int i = 0; i < 8; i++) to[size_t(i) * apart] = bf16 ? from_bf16(half[i]) : from_f16(half[i]);
    };
    for (int part = 0; part < 2; part++) {
        for (int row = 0; row < 16; row++)
            read(&a[row][part * 8], 1, group_chunk(first.a, warp[0].warp % 4 * 16 + row, part));
        for (int row = 0; row < 256; row++) read(&b[part * 8][row], 256, group_chunk(first.b, row, part));
    }
    for (int lane = 0; lane < 32; lane++) {
        const Product *p = static_cast<const Product *>(warp[lane].in.address);
        if (p->a != first.a || p->b != first.b) fail("wgmma: lane %d has other operands than lane 0", lane);
    }
    // Register 4 j + i of a lane: row lane / 4 + i / 2 * 8, column 8 j + lane % 4 * 2 + i % 2.
    auto sum_at = [&](int row, int column) -> float & {
        const Product *p = static_cast<const Product *>(warp[row % 8 * 4 + column % 8 / 2].in.address);
        return p->sums[column / 8 * 4 + row / 8 * 2 + column % 2];
    };
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < 256; i++) c[row][i] = sum_at(row, i);
    tensor_tile(c[0], a[0], b[0], 16, 256, bf16);
    for (int row = 0; row < 16; row++)
        for (int i = 0; i < 256; i++) sum_at(row, i) = c[row][i];
}

uint32_t shuffle(uint32_t mask, uint32_t value, int from_lane, Site site) {
    Thread *me = now.self;
    me->in.u[0] = value;
    me->in.u[1] = uint32_t(from_lane);
    warp_op(Op::shuffle, mask, site);
    return me->out.u[0];
}

uint32_t ballot(uint32_t mask, bool vote, Site site) {
    Thread *me = now.self;
    me->in.u[0] = vote;
    warp_op(Op::ballot, mask, site);
    return me->out.u[0];
}

void ldmatrix(Op op, uint32_t (&to)[4], const void *row, Site site) {
    Thread *me = now.self;
    me->in.address = row;
    warp_op(op, ~0u, site);
    std::memcpy(to, me->out.u, sizeof to);
}

void mma(Op op, float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const float (&c)[4], Site site) {
    Thread *me = now.self;
    std::memcpy(me->in.u, a, sizeof a);
    me->in.u[4] = b0;
    me->in.u[5] = b1;
    std::memcpy(me->in.f + 6, c, sizeof c);
    warp_op(op, ~0u, site);
    std::memcpy(d, me->out.f, sizeof d);
}

} // namespace emu
