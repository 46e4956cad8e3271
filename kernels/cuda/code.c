/* The list of architectures that a build was made for against a device. */
#include "kernels/cuda/code.h"

#include <stdlib.h>
#include <string.h>

/* One word of the list: a number, perhaps "a" or "f", perhaps "-real" or "-virtual". */
static bool word_fits(const char *word, size_t length, int capability) {
    char *end;
    int number = (int)strtol(word, &end, 10);
    bool alone = *end == 'a', family = *end == 'f';
    const char *kind = end + (alone || family);
    size_t left = length - (size_t)(kind - word);
    bool real = left == 0 || (left == 5 && memcmp(kind, "-real", 5) == 0),
         any = left == 0 || (left == 8 && memcmp(kind, "-virtual", 8) == 0);
    if (alone) return capability == number;
    bool same_major = capability / 10 == number / 10 && capability >= number;
    if (family) return same_major;
    return (real && same_major) || (any && capability >= number);
}

bool samc__cuda_code_fits(const char *code, int capability) {
    while (*code != '\0') {
        size_t length = strcspn(code, " ");
        if (length > 0 && word_fits(code, length, capability)) return true;
        code += length + (code[length] == ' ');
    }
    return false;
}
