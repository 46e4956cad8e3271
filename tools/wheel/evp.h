/* What samc uses of OpenSSL, for wheels: SHA-256 under the same names, so that they need no libcrypto. */
#ifndef SAMC_WHEEL_EVP_H
#define SAMC_WHEEL_EVP_H

#include <stddef.h>

enum { EVP_MAX_MD_SIZE = 64 };

typedef struct EVP_MD_CTX EVP_MD_CTX;
typedef struct EVP_MD EVP_MD;

EVP_MD_CTX *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(EVP_MD_CTX *context);
const EVP_MD *EVP_sha256(void);
int EVP_DigestInit_ex(EVP_MD_CTX *context, const EVP_MD *kind, void *engine);
int EVP_DigestUpdate(EVP_MD_CTX *context, const void *bytes, size_t size);
int EVP_DigestFinal_ex(EVP_MD_CTX *context, unsigned char *digest, unsigned *size);

#endif
