/* Detection and names of CPU capabilities. */
#include "kernels/cpu/caps.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
#define VEC16 "sse2"
#define OTHERS ",avx2,avx512,avxvnni,avx512vnni,avx512bf16,amx,avx512bf16-soft,amx-soft"
#else
#define VEC16 "neon"
#define OTHERS ",dotprod,i8mm,bf16,avx512bf16-soft,amx-soft"
#endif
const char samc__caps_names[] = "none," VEC16 OTHERS;

bool samc__caps_tiles(void) {
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 24 & 1) && (d >> 22 & 1) &&
           (d >> 25 & 1); /* tiles, bf16, int8 */
#else
    return false;
#endif
}

#if defined(__x86_64__)
/* Whether the kernel lets this process use tiles: Linux saves their 8 KB from the first asking on. Without that the
 * first tile instruction ends the process. */
static bool tiles_granted(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

/* Which parts of the vector registers the system saves: 2 SSE, 4 AVX, 0xe0 AVX-512; 0 where it does not say. */
static unsigned saved_state(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
    __asm__ volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

/* By CPUID, not by __builtin_cpu_supports(): its table is empty in programs that zig links, and gcc 12's lacks names.
 */
bool samc__caps_cpu_has(const char *name) {
    enum { A, B, C, D, AVX = 0x6, AVX512 = 0xe6 };
    static const struct {
        const char *name;
        unsigned leaf, sub, reg, bit, state;
    } features[] = {
        {"sse2", 1, 0, D, 26, 0},           {"sse4.2", 1, 0, C, 20, 0},
        {"avx", 1, 0, C, 28, AVX},          {"fma", 1, 0, C, 12, AVX},
        {"avx2", 7, 0, B, 5, AVX},          {"avx512f", 7, 0, B, 16, AVX512},
        {"avx512dq", 7, 0, B, 17, AVX512},  {"avx512bw", 7, 0, B, 30, AVX512},
        {"avx512vl", 7, 0, B, 31, AVX512},  {"avx512vnni", 7, 0, C, 11, AVX512},
        {"avx512bf16", 7, 1, A, 5, AVX512}, {"avxvnni", 7, 1, A, 4, AVX},
    };
    const unsigned state = saved_state();
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        unsigned r[4], most;
        if (strcmp(features[i].name, name) != 0) continue;
        if (features[i].sub > 0 && (!__get_cpuid_count(7, 0, &most, &r[B], &r[C], &r[D]) || most < features[i].sub))
            return false;
        return __get_cpuid_count(features[i].leaf, features[i].sub, &r[A], &r[B], &r[C], &r[D]) &&
               (r[features[i].reg] >> features[i].bit & 1) && (state & features[i].state) == features[i].state;
    }
    return false;
}

/* What a rung for 16 or 8 bits asks for beside its vectors. */
static unsigned detect_low(void) {
    unsigned caps = 0;
    const bool vnni = samc__caps_cpu_has("avx512vnni"), bf16 = samc__caps_cpu_has("avx512bf16");
    if (samc__caps_cpu_has("avxvnni")) caps |= SAMC__CAP_AVXVNNI;
    if (vnni) caps |= SAMC__CAP_AVX512VNNI;
    if (bf16) caps |= SAMC__CAP_AVX512BF16;
    if (bf16 && vnni && samc__caps_tiles() && tiles_granted()) caps |= SAMC__CAP_AMX;
    return caps;
}
#else
bool samc__caps_cpu_has(const char *name) { return (void)name, false; }
#endif

unsigned samc__caps_detect(void) {
    unsigned caps = 0;
#if defined(__x86_64__) || defined(__aarch64__)
    caps |= SAMC__CAP_VEC16;
#endif
#if defined(__x86_64__)
    unsigned low = detect_low();
    if (samc__caps_cpu_has("avx2") && samc__caps_cpu_has("fma")) caps |= SAMC__CAP_AVX2;
    if (samc__caps_cpu_has("avx512f") && samc__caps_cpu_has("avx512bw") && samc__caps_cpu_has("avx512dq") &&
        samc__caps_cpu_has("avx512vl"))
        caps |= SAMC__CAP_AVX512;
    if (!(caps & SAMC__CAP_AVX512)) low &= SAMC__CAP_AVXVNNI; /* the system may keep its state from us */
    if (caps & SAMC__CAP_AVX2) caps |= low;
#elif defined(__aarch64__)
    const unsigned long has = getauxval(AT_HWCAP), has2 = getauxval(AT_HWCAP2);
    if (has & HWCAP_ASIMDDP) caps |= SAMC__CAP_NEON_DOTPROD;
    if (has2 & HWCAP2_I8MM) caps |= SAMC__CAP_NEON_I8MM;
    if (has2 & HWCAP2_BF16) caps |= SAMC__CAP_NEON_BF16;
#endif
    return caps;
}

unsigned samc__caps_soft(unsigned detected) {
#if defined(__x86_64__)
    if (!(detected & SAMC__CAP_AVX2)) return 0;
#endif
    return (void)detected, SAMC__CAP_SOFT;
}

#define DENIED " (AMX is there, but the kernel does not grant its tiles)"

const char *samc__caps_bf16(unsigned caps, bool tiles) {
    if (caps & SAMC__CAP_AMX) return "AMX";
    if (caps & SAMC__CAP_AVX512BF16) return tiles ? "AVX512-BF16" DENIED : "AVX512-BF16";
    if (caps & SAMC__CAP_NEON_BF16) return "NEON with BF16";
    return "nothing; models take half the memory and compute in f32";
}

const char *samc__caps_int8(unsigned caps, bool tiles) {
    if (caps & SAMC__CAP_AMX) return "AMX";
    if (caps & SAMC__CAP_AVX512VNNI) return tiles ? "AVX512-VNNI" DENIED : "AVX512-VNNI";
    if (caps & SAMC__CAP_NEON_I8MM) return "NEON with I8MM";
    if (caps & SAMC__CAP_NEON_DOTPROD) return "NEON with dot products";
    return caps & SAMC__CAP_AVXVNNI ? "AVX-VNNI" : "nothing";
}

int samc__caps_parse(const char *text) {
    static const struct {
        const char *name;
        int bit;
    } names[] = {
        {"none", 0},
        {VEC16, SAMC__CAP_VEC16},
#if defined(__x86_64__)
        {"avx2", SAMC__CAP_AVX2},
        {"avx512", SAMC__CAP_AVX512},
        {"avxvnni", SAMC__CAP_AVXVNNI},
        {"avx512vnni", SAMC__CAP_AVX512VNNI},
        {"avx512bf16", SAMC__CAP_AVX512BF16},
        {"amx", SAMC__CAP_AMX},
#else
        {"dotprod", SAMC__CAP_NEON_DOTPROD},
        {"i8mm", SAMC__CAP_NEON_I8MM},
        {"bf16", SAMC__CAP_NEON_BF16},
#endif
        {"avx512bf16-soft", SAMC__CAP_BF16_SOFT},
        {"amx-soft", SAMC__CAP_AMX_SOFT},
    };
    enum { COUNT = sizeof names / sizeof *names };
    int caps = 0;
    while (*text) {
        size_t length = strcspn(text, ","), i = 0;
        while (i < COUNT && (strlen(names[i].name) != length || strncmp(names[i].name, text, length) != 0)) i++;
        if (i == COUNT) return -1;
        caps |= names[i].bit;
        text += length + (text[length] == ',');
    }
    return caps;
}
