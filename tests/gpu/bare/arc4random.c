/* glibc's function that static parts of libstdc++ name, for machines whose glibc is older than 2.36. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

uint32_t arc4random(void);
uint32_t arc4random(void) {
    uint32_t value = 0;
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value) abort();
    return value;
}
