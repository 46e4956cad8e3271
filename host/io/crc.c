/* CRC-32 byte by byte: what it sums here is small. */
#include "host/io/crc.h"

void samc__crc_table(uint32_t table[256]) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t c = n;
        for (int k = 0; k < 8; k++) c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
        table[n] = c;
    }
}

uint32_t samc__crc(const uint32_t table[256], const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    uint32_t c = 0xffffffffu;
    for (size_t i = 0; i < size; i++) c = table[(c ^ at[i]) & 255] ^ (c >> 8);
    return ~c;
}
