/* OpenSSL's header for machines without it: model files then have no hash, which nothing in tests/gpu asks for. */
#ifndef SAMC_TESTS_GPU_BARE_EVP_H
#define SAMC_TESTS_GPU_BARE_EVP_H

#include <stddef.h>

typedef struct {
    int unused;
} EVP_MD_CTX;

static inline EVP_MD_CTX *EVP_MD_CTX_new(void) { return NULL; } /* callers report that as a failure */
static inline void EVP_MD_CTX_free(EVP_MD_CTX *context) { (void)context; }
static inline const void *EVP_sha256(void) { return NULL; }
static inline int EVP_DigestInit_ex(EVP_MD_CTX *context, const void *type, void *engine) {
    return (void)context, (void)type, (void)engine, 0;
}
static inline int EVP_Digest(const void *data, size_t size, unsigned char *digest, unsigned *length, const void *type,
                             void *engine) {
    return (void)data, (void)size, (void)digest, (void)length, (void)type, (void)engine, 0;
}
static inline int EVP_DigestUpdate(EVP_MD_CTX *context, const void *data, size_t size) {
    return (void)context, (void)data, (void)size, 0;
}
static inline int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *digest, unsigned *size) {
    return (void)context, (void)digest, (void)size, 0;
}

#endif
