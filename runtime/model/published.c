/* Files by their bytes. */
#include "runtime/model/published.h"

#include <openssl/evp.h>
#include <stdio.h>

samc_status samc__files_hash(const samc__checkpoint *checkpoint, char hex[65], samc_error *error) {
    unsigned char digest[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    for (size_t i = 0; good && i < samc__checkpoint_files(checkpoint); i++) {
        size_t size;
        const void *bytes = samc__checkpoint_file(checkpoint, i, &size);
        good = EVP_DigestUpdate(context, bytes, size);
    }
    good = good && EVP_DigestFinal_ex(context, digest, NULL);
    EVP_MD_CTX_free(context);
    if (!good) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: SHA-256 failed", samc__checkpoint_path(checkpoint));
    for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", digest[i]);
    return SAMC_OK;
}
