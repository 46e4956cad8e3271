/* The list of tensors against a file: checking, loading and hashing. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/tensors.h"
#include "weights/safetensors.h"

/* ---- Checking -------------------------------------------------------------------------------- */

static void report_missing(const samc__tensor_list *list, const samc__checkpoint *checkpoint, samc__report *report) {
    for (size_t i = 0; i < list->count; i++)
        if (samc__checkpoint_find(checkpoint, list->at[i].name) == NULL)
            samc__report_add(report, "missing", "%s", list->at[i].name);
}

/* Misshapen and unreadable tensors. used: [count of the file's], which of them belong to the model. Returns how many
 * elements these have. */
static int64_t report_misshapen(const samc__tensor_list *list, const samc__checkpoint *checkpoint, bool *used,
                                samc__report *report) {
    int64_t elements = 0;
    for (size_t i = 0; i < list->count; i++) {
        const samc__entry *e = &list->at[i];
        const samc__tensor *found = samc__checkpoint_find(checkpoint, e->name);
        if (found == NULL) continue;
        used[found - samc__checkpoint_at(checkpoint, 0)] = true;
        if (found->dtype == SAMC__OTHER) {
            samc__report_add(report, "not stored as f32, f16, bf16 or f64:", "%s", e->name);
        } else if (found->rank != e->rank || memcmp(found->shape, e->shape, (size_t)e->rank * sizeof *e->shape) != 0) {
            samc__report_add(report, "misshapen", "%s %s instead of %s", e->name,
                             samc__shape_text(found->rank, found->shape).text,
                             samc__shape_text(e->rank, e->shape).text);
        } else {
            elements += samc__tensor_elements(found);
        }
    }
    return elements;
}

static bool carried(const char *name) { return strcmp(name, "pixel_mean") == 0 || strcmp(name, "pixel_std") == 0; }

samc_status samc__tensors_check(const samc__tensor_list *list, const samc__checkpoint *checkpoint, samc_error *error) {
    const size_t count = samc__checkpoint_count(checkpoint);
    samc__report report = {0};
    bool *used = calloc(count + 1, sizeof *used);
    if (used == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    report_missing(list, checkpoint, &report);
    int64_t elements = report_misshapen(list, checkpoint, used, &report);
    for (size_t i = 0; i < count; i++) {
        const samc__tensor *extra = samc__checkpoint_at(checkpoint, i);
        /* Without data: something else in the dictionary, such as a step counter; it is no tensor. */
        if (!used[i] && !carried(extra->name) && extra->data != NULL)
            samc__report_add(&report, "unexpected", "%s", samc__printable(extra->name, strlen(extra->name)).text);
    }
    free(used);
    SAMC__TRY(samc__report_finish(&report, checkpoint, error));
    /* Views may share bytes (strides of 0, one storage for all): such a file could unfold into any amount of memory. */
    if ((uint64_t)elements > checkpoint->size / 2)
        return samc__fail(error, SAMC_MISMATCH,
                          "%s: the file has %zu bytes, too few for the %lld values of its tensors", checkpoint->label,
                          checkpoint->size, (long long)elements);
    return SAMC_OK;
}

/* ---- Loading --------------------------------------------------------------------------------- */

enum { ALIGNMENT = 64 }; /* of each converted tensor, for the widest vector loads */

/* Binds what can be used where it is, and converts the rest into `block`; *floats: how many that takes. Without a block
 * it only counts, and refuses values that no float holds. */
static samc_status bind(const samc__tensor_list *list, const samc__checkpoint *checkpoint, float *block, size_t *floats,
                        samc_error *error) {
    const size_t step = ALIGNMENT / sizeof(float);
    *floats = 0;
    for (size_t i = 0; i < list->count; i++) {
        const samc__entry *e = &list->at[i];
        const samc__tensor *found = samc__checkpoint_find(checkpoint, e->name);
        e->view->data = (void *)samc__tensor_direct_f32(found);
        if (e->view->data != NULL) continue;
        if (block == NULL && !samc__tensor_fits_f32(found))
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s has values beyond the range of f32",
                              checkpoint->label, e->name);
        if (block != NULL) {
            samc__tensor_read_f32(found, block + *floats);
            e->view->data = block + *floats;
        }
        *floats += ((size_t)samc__tensor_elements(found) + step - 1) / step * step;
    }
    for (size_t i = 0; i < list->copy_count; i++) list->copies[i].view->data = list->copies[i].of->data;
    return SAMC_OK;
}

samc_status samc__tensors_load(const samc__tensor_list *list, const samc__checkpoint *checkpoint, void **owned,
                               size_t *owned_bytes, samc_error *error) {
    size_t floats;
    *owned = NULL;
    *owned_bytes = 0;
    SAMC__TRY(samc__tensors_check(list, checkpoint, error));
    SAMC__TRY(bind(list, checkpoint, NULL, &floats, error));
    if (floats == 0) return SAMC_OK;
    size_t bytes = floats * sizeof(float);
    float *block = aligned_alloc(ALIGNMENT, bytes);
    if (block == NULL)
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for %zu bytes of weights", checkpoint->label,
                          bytes);
    *owned = block;
    *owned_bytes = bytes;
    return bind(list, checkpoint, block, &floats, error);
}

/* ---- Hashing --------------------------------------------------------------------------------- */

enum { CHUNK = 1 << 11 }; /* elements */

static bool hash_entry(EVP_MD_CTX *digest, const samc__entry *e, const samc__tensor *found, uint8_t *buffer) {
    const bool wide = found->dtype == SAMC__F64; /* counts as the f32 that it becomes */
    const char *type = samc__dtype_name(wide ? SAMC__F32 : found->dtype);
    const int64_t sides = e->rank, elements = samc__tensor_elements(found);
    /* Each part is delimited, so that no two models have the same bytes: name NUL type NUL rank sides values. */
    int ok = EVP_DigestUpdate(digest, e->name, strlen(e->name) + 1) &&
             EVP_DigestUpdate(digest, type, strlen(type) + 1) && EVP_DigestUpdate(digest, &sides, sizeof sides) &&
             EVP_DigestUpdate(digest, e->shape, (size_t)e->rank * sizeof *e->shape);
    for (int64_t first = 0; first < elements && ok; first += CHUNK) {
        int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
        if (wide) samc__tensor_copy_f32(found, first, now, (float *)(void *)buffer);
        else samc__tensor_copy_raw(found, first, now, buffer);
        ok = EVP_DigestUpdate(digest, buffer, (size_t)now * (wide ? sizeof(float) : samc__dtype_size(found->dtype)));
    }
    return ok;
}

samc_status samc__tensors_hash(const samc__tensor_list *list, const samc__checkpoint *checkpoint, char hex[65],
                               samc_error *error) {
    unsigned char bytes[32];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint8_t *buffer = malloc(CHUNK * sizeof(float));
    bool ok = digest != NULL && buffer != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    for (size_t i = 0; i < list->count && ok; i++)
        ok = hash_entry(digest, &list->at[i], samc__checkpoint_find(checkpoint, list->at[i].name), buffer);
    ok = ok && EVP_DigestFinal_ex(digest, bytes, NULL);
    EVP_MD_CTX_free(digest);
    free(buffer);
    hex[0] = '\0';
    if (!ok) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: SHA-256 failed", checkpoint->label);
    for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", bytes[i]);
    return SAMC_OK;
}
