/* Files by their bytes. Hashes and sizes of those that were published, as their publishers and many users give them. */
#include "runtime/model/published.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "runtime/base/status.h"

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

const samc__published samc__published_files[] = {
    {"sam_vit_b_01ec64.pth", 375042383, "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912", "sam",
     NULL},
    {"sam_vit_l_0b3195.pth", 1249524607, "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622", "sam",
     NULL},
    {"sam_vit_h_4b8939.pth", 2564550879, "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e", "sam",
     NULL},
    {"medsam_vit_b.pth", 375049145, "34b34b78c1d18cb8c6bf84cf9c00e135d6d6c965699f3c0e31ef1bc9dcb5be74", "medsam", NULL},
    {"sam_hq_vit_h.pth", 2570940653, "a7ac14a085326d9fa6199c8c698c4f0e7280afdbb974d2c4660ec60877b45e35", "sam", NULL},
    {"mobile_sam.pt", 40728226, "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f", "sam", NULL},
    {"efficientvit_sam_l0.pt", 0, "c4f994b01a16d48bcf2fbbb089448cfbf58fae5811edfa8113c953b8b8cc64b8",
     "efficientvit-sam", "efficientvit"},
    {.name = NULL},
};

const samc__published *samc__published_find(const samc__published *rows, const samc__checkpoint *checkpoint,
                                            const char *encoder) {
    char hex[65] = "";
    for (const samc__published *row = rows; row->name != NULL; row++) {
        if (row->size != 0 ? row->size != samc__checkpoint_bytes(checkpoint) : strcmp(row->encoder, encoder) != 0)
            continue;
        if (hex[0] == '\0' && samc__files_hash(checkpoint, hex, NULL) != SAMC_OK) return NULL;
        if (strcmp(hex, row->sha256) == 0) return row;
    }
    return NULL;
}
