/* Detection and names of CPU capabilities. */
#include "kernels/cpu/caps.h"

#include <string.h>

#if defined(__x86_64__)
#define VEC16 "sse2"
#define OTHERS ",avx2,avx512"
#else
#define VEC16 "neon"
#define OTHERS ""
#endif
const char samc__caps_names[] = "none," VEC16 OTHERS;

unsigned samc__caps_detect(void) {
    unsigned caps = 0;
#if defined(__x86_64__) || defined(__aarch64__)
    caps |= SAMC__CAP_VEC16;
#endif
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) caps |= SAMC__CAP_AVX2;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl"))
        caps |= SAMC__CAP_AVX512;
#endif
    return caps;
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
        {"avx512", SAMC__CAP_AVX512}
#endif
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
