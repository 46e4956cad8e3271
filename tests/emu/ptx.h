// ptx.h - what translated PTX (ptx_to_cpp.py) is written in: the odd instructions as functions, checked memory
// accesses, and the table that leads from a kernel's host symbol to its translation.
#ifndef SAMC_TESTS_EMU_PTX_H
#define SAMC_TESTS_EMU_PTX_H

#include "emu.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

namespace emu {

using PtxKernel = void(char *const *parameters);

// Registers a translation under the address of the host compiler's kernel of the same name.
struct PtxEntry {
    PtxEntry(const void *host_symbol, PtxKernel *kernel, const char *symbol);
};
void launch_ptx(const char *name, const void *host_symbol, Index grid, Index block, size_t shared_bytes,
                char *const *parameters);

namespace ptx {

inline void at(Site site) { now.self->site = site; }

// Reads a register, whose type says only its size, as T; writes the other way round. Integers widen by their own sign.
template <class T, class From> inline T as(From from) {
    if constexpr (std::is_same<T, From>::value) return from;
    else {
        T to{};
        std::memcpy(&to, &from, sizeof(T) < sizeof(From) ? sizeof(T) : sizeof(From));
        return to;
    }
}
template <class Register, class T> inline void put(Register &to, T value) {
    if constexpr (std::is_integral<T>::value && std::is_integral<Register>::value) to = static_cast<Register>(value);
    else to = as<Register>(value);
}

inline char *shared(int64_t offset, size_t bytes, Site site) {
    if (offset < 0 || size_t(offset) + bytes > now.shared_bytes) {
        at(site);
        fail("shared memory: %zu bytes at offset %lld of %zu", bytes, (long long)offset, now.shared_bytes);
    }
    return now.shared + offset;
}
// `count` elements side by side in one access, aligned to all of it.
template <class T, int count> inline T *access(char *p, Site site) {
    if (reinterpret_cast<uintptr_t>(p) % (sizeof(T) * count)) {
        at(site);
        fail("misaligned access of %zu bytes at %p", sizeof(T) * count, static_cast<void *>(p));
    }
    return reinterpret_cast<T *>(p);
}

template <class T> inline T shift_left(T a, uint32_t n) { return n >= sizeof(T) * 8 ? T(0) : T(a << n); }
template <class T> inline T shift_right(T a, uint32_t n) { return n >= sizeof(T) * 8 ? T(a < 0 ? -1 : 0) : T(a >> n); }
template <class T> inline T mul_high(T a, T b) { return T((__int128(a) * __int128(b)) >> (8 * sizeof(T))); }
template <class T> inline T to_integer(double x) { // conversions saturate; NaN becomes 0
    if (x != x) return 0;
    if (x <= double(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
    if (x >= double(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
    return T(x);
}
template <class T> inline T insert_bits(T from, T into, uint32_t position, uint32_t length) {
    position &= 255;
    length &= 255;
    if (position >= 8 * sizeof(T)) return into;
    T mask = T((length >= 8 * sizeof(T) ? ~T(0) : (T(1) << length) - 1) << position);
    return T((into & ~mask) | (shift_left(from, position) & mask));
}
template <class T> inline T extract_bits(T from, uint32_t position, uint32_t length) { // unsigned
    position &= 255;
    length &= 255;
    T shifted = shift_right(from, position);
    return length >= 8 * sizeof(T) ? shifted : T(shifted & ((T(1) << length) - 1));
}
inline uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) { // prmt, default mode
    uint64_t both = uint64_t(b) << 32 | a;
    uint32_t result = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t pick = selector >> (4 * i) & 15, byte = uint32_t(both >> (8 * (pick & 7))) & 255;
        if (pick & 8) byte = byte & 128 ? 255 : 0;
        result |= byte << (8 * i);
    }
    return result;
}
inline uint32_t funnel_left(uint32_t low, uint32_t high, uint32_t n) { // shf.l.wrap
    n &= 31;
    return n ? high << n | low >> (32 - n) : high;
}
inline uint32_t reverse_bits(uint32_t x) {
    uint32_t y = 0;
    for (int i = 0; i < 32; i++) y |= (x >> i & 1) << (31 - i);
    return y;
}

// shfl.sync: `c` packs the clamp lane and the segment mask; lanes whose source lies outside keep their own value.
enum class Shuffle { up, down, bfly, idx };
inline uint32_t shuffle_sync(Shuffle mode, uint32_t value, uint32_t b, uint32_t c, uint32_t mask, bool &found,
                             Site site) {
    int lane = now.self->lane, segment = int(c >> 8 & 31), clamp = int(c & 31),
        limit = (lane & segment) | (clamp & ~segment);
    int step = int(b & 31), from = 0;
    switch (mode) {
    case Shuffle::up:
        from = lane - step;
        break;
    case Shuffle::down:
        from = lane + step;
        break;
    case Shuffle::bfly:
        from = lane ^ step;
        break;
    case Shuffle::idx:
        from = (lane & segment) | (step & ~segment);
        break;
    }
    found = mode == Shuffle::up ? from >= limit : from <= limit;
    return shuffle(mask, value, found ? from : lane, site);
}

[[noreturn]] inline void unsupported(const char *instruction, Site site) {
    at(site);
    fail("PTX instruction without a translation: %s", instruction);
}

} // namespace ptx
} // namespace emu

#endif
