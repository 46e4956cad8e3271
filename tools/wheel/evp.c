/* SHA-256 (FIPS 180-4), by the processor's own instructions where it has them. */
#include "evp.h"

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 };

struct EVP_MD_CTX {
    uint32_t state[8];
    uint64_t bytes;
    size_t waiting; /* in `block` */
    uint8_t block[BLOCK];
};

struct EVP_MD {
    uint32_t initial[8];
};

static const EVP_MD sha256 = {
    {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};

static const uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void mix_plain(uint32_t state[8], const uint8_t *bytes, size_t blocks) {
    for (; blocks > 0; blocks--, bytes += BLOCK) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)bytes[4 * i] << 24 | (uint32_t)bytes[4 * i + 1] << 16 | (uint32_t)bytes[4 * i + 2] << 8 |
                   bytes[4 * i + 3];
        for (int i = 16; i < 64; i++)
            w[i] = w[i - 16] + (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 7] +
                   (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10);
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i++) {
            uint32_t first = s[7] + (turn(s[4], 6) ^ turn(s[4], 11) ^ turn(s[4], 25)) +
                             ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + w[i];
            uint32_t second =
                (turn(s[0], 2) ^ turn(s[0], 13) ^ turn(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            memmove(s + 1, s, 7 * sizeof *s);
            s[4] += first;
            s[0] = first + second;
        }
        for (int i = 0; i < 8; i++) state[i] += s[i];
    }
}

/* The instructions keep the state as (a, b, e, f) and (c, d, g, h), the first in the highest lane, and do two rounds.
 */
__attribute__((target("sha,sse4.1"))) static void mix_sha(uint32_t state[8], const uint8_t *bytes, size_t blocks) {
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i abef = _mm_set_epi32((int)state[0], (int)state[1], (int)state[4], (int)state[5]);
    __m128i cdgh = _mm_set_epi32((int)state[2], (int)state[3], (int)state[6], (int)state[7]);
    for (; blocks > 0; blocks--, bytes += BLOCK) {
        __m128i w[16], before[2] = {abef, cdgh};
        for (int i = 0; i < 16; i++) {
            if (i < 4) {
                w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(bytes + 16 * i)), swap);
            } else {
                __m128i sum = _mm_sha256msg1_epu32(w[i - 4], w[i - 3]);
                sum = _mm_add_epi32(sum, _mm_alignr_epi8(w[i - 1], w[i - 2], 4));
                w[i] = _mm_sha256msg2_epu32(sum, w[i - 1]);
            }
            __m128i k = _mm_add_epi32(w[i], _mm_loadu_si128((const __m128i *)(const void *)(constants + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, k);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(k, 0x0e));
        }
        abef = _mm_add_epi32(abef, before[0]);
        cdgh = _mm_add_epi32(cdgh, before[1]);
    }
    uint32_t ours[8];
    _mm_storeu_si128((__m128i *)(void *)ours, abef);
    _mm_storeu_si128((__m128i *)(void *)(ours + 4), cdgh);
    const int places[8] = {3, 2, 7, 6, 1, 0, 5, 4};
    for (int i = 0; i < 8; i++) state[i] = ours[places[i]];
}

static bool has_sha(void) {
    uint32_t a = 7, b = 0, c = 0, d = 0;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return b >> 29 & 1;
}

static void mix(uint32_t state[8], const uint8_t *bytes, size_t blocks) {
    if (blocks > 0) (has_sha() ? mix_sha : mix_plain)(state, bytes, blocks);
}

EVP_MD_CTX *EVP_MD_CTX_new(void) { return calloc(1, sizeof(EVP_MD_CTX)); }
void EVP_MD_CTX_free(EVP_MD_CTX *context) { free(context); }
const EVP_MD *EVP_sha256(void) { return &sha256; }

int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *kind, void *engine) {
    (void)engine;
    memcpy(context->state, kind->initial, sizeof context->state);
    context->bytes = context->waiting = 0;
    return 1;
}

int EVP_DigestUpdate(EVP_MD_CTX *context, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    context->bytes += size;
    if (context->waiting > 0) {
        size_t part = size < BLOCK - context->waiting ? size : BLOCK - context->waiting;
        memcpy(context->block + context->waiting, at, part);
        context->waiting += part, at += part, size -= part;
        if (context->waiting < BLOCK) return 1;
        mix(context->state, context->block, 1);
        context->waiting = 0;
    }
    mix(context->state, at, size / BLOCK);
    context->waiting = size % BLOCK;
    if (context->waiting > 0) memcpy(context->block, at + size - context->waiting, context->waiting);
    return 1;
}

int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *digest, unsigned *size) {
    uint8_t end[2 * BLOCK] = {0x80};
    uint64_t bits = context->bytes * 8;
    size_t padding = (context->waiting < BLOCK - 8 ? BLOCK : 2 * BLOCK) - context->waiting;
    for (int i = 0; i < 8; i++) end[padding - 1 - (size_t)i] = (uint8_t)(bits >> 8 * i);
    EVP_DigestUpdate(context, end, padding);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(context->state[i / 4] >> (24 - i % 4 * 8));
    if (size != NULL) *size = 32;
    return 1;
}
