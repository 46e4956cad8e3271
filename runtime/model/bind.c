/* The list of tensors against a file: checking, loading and hashing. */
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/model/eight.h"
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
        } else if (found->dtype == SAMC__I8) {
            const samc__tensor *scales = samc__eight_check(checkpoint, e, report);
            if (scales != NULL) used[scales - samc__checkpoint_at(checkpoint, 0)] = true;
            elements += samc__tensor_elements(found) / 2; /* as many bytes as so many of others */
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

typedef struct binding {
    const samc__tensor_list *list;
    const samc__checkpoint *checkpoint;
    samc__narrowing narrow;
    bool counts;   /* only counts, and refuses values that no float holds */
    float *block;  /* takes what is not used where it is */
    size_t floats; /* of it */
    samc_error *error;
} binding;

/* Whether a tensor is kept as panels alone, or as panels too. */
static bool is_packed(const samc__entry *e, const samc__narrowing *narrow, samc__role role) {
    return e->role == role && narrow->packed != NULL && samc__weight_type(e, narrow->weights) != SAMC__F32;
}

size_t samc__tensors_bytes(const samc__tensor_list *list, const samc__narrowing *narrow) {
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) {
        const samc__entry *e = &list->at[i];
        const bool packs = is_packed(e, narrow, SAMC__ROLE_MATRIX), shares = is_packed(e, narrow, SAMC__ROLE_SHARED);
        if (!packs) bytes += (size_t)samc__elements(*e->view) * sizeof(float);
        if (packs && samc__weight_type(e, narrow->weights) == SAMC__I8)
            bytes += samc__packed_bytes8(e->view->n[0], e->view->n[1]);
        else if (packs || shares) bytes += samc__packed_halves(e->view->n[0], e->view->n[1]) * sizeof(uint16_t);
    }
    return bytes;
}

static samc_status no_memory(const binding *b, const samc__entry *e) {
    return samc__fail(b->error, SAMC_OUT_OF_MEMORY, "%s: no memory for the weight %s", b->checkpoint->label, e->name);
}

/* Straight from the file into panels, whose columns are the rows that are read at a time; they are their own key. */
static samc_status pack_bf16(const binding *b, const samc__entry *e) {
    const int64_t n = e->view->n[0], k = e->view->n[1];
    uint16_t *panels = samc__packed_room_bf16(b->narrow.packed, n, k);
    float *rows = malloc((size_t)(SAMC__PANEL * k) * sizeof *rows);
    for (int64_t panel = 0; panel < samc__panels(n) && panels && rows; panel++) {
        const int64_t first = panel * SAMC__PANEL, count = n - first < SAMC__PANEL ? n - first : SAMC__PANEL;
        samc__eight_floats(b->checkpoint, e, first, count, rows);
        samc__pack_panel_bf16(rows, count, k, k, 1, 0, panels + first * samc__packed_k(k));
    }
    free(rows);
    if (panels == NULL || rows == NULL) return no_memory(b, e);
    e->view->data = panels;
    e->view->dtype = SAMC__BF16;
    return SAMC_OK;
}

/* The same in 8 bits. */
static samc_status pack_int8(const binding *b, const samc__entry *e) {
    const int64_t n = e->view->n[0], k = e->view->n[1];
    void *block = samc__packed_room_int8(b->narrow.packed, n, k);
    float *rows = malloc((size_t)(SAMC__PANEL * k) * sizeof *rows), scales[SAMC__PANEL];
    int8_t *q = malloc((size_t)(SAMC__PANEL * k));
    samc_status status = block && rows && q ? SAMC_OK : no_memory(b, e);
    for (int64_t panel = 0; panel < samc__panels(n) && status == SAMC_OK; panel++) {
        const int64_t first = panel * SAMC__PANEL, count = n - first < SAMC__PANEL ? n - first : SAMC__PANEL;
        status = samc__eight_rows(b->checkpoint, e, first, count, rows, q, scales, b->error);
        if (status == SAMC_OK) samc__pack_panel_int8(q, scales, n, k, panel, block);
    }
    free(rows);
    free(q);
    if (status != SAMC_OK) return status;
    e->view->data = block;
    e->view->dtype = SAMC__I8;
    e->view->scale = samc__panels8_of(block, n, k).scales;
    return SAMC_OK;
}

/* As floats, for tables that pack nothing: what 8 bits would hold of it. */
static samc_status round_to_int8(const binding *b, const samc__entry *e, float *to) {
    const int64_t n = e->view->n[0], k = e->view->n[1];
    int8_t *q = malloc((size_t)k);
    samc_status status = q ? SAMC_OK : no_memory(b, e);
    for (int64_t row = 0; row < n && status == SAMC_OK; row++, to += k) {
        float scale;
        status = samc__eight_rows(b->checkpoint, e, row, 1, to, q, &scale, b->error);
        for (int64_t i = 0; i < k && status == SAMC_OK; i++) to[i] = scale * q[i];
    }
    free(q);
    return status;
}

static void round_to(samc__dtype type, float *values, int64_t count) {
    for (int64_t i = 0; type == SAMC__BF16 && i < count; i++)
        values[i] = samc__bf16_to_float(samc__float_to_bf16(values[i]));
}

static samc_status bind(binding *b, const samc__entry *e) {
    const size_t step = ALIGNMENT / sizeof(float);
    const samc__tensor *found = samc__checkpoint_find(b->checkpoint, e->name);
    const samc__dtype type = samc__weight_type(e, b->narrow.weights);
    const bool packs = is_packed(e, &b->narrow, SAMC__ROLE_MATRIX),
               shares = is_packed(e, &b->narrow, SAMC__ROLE_SHARED);
    const int64_t elements = samc__tensor_elements(found);
    float *to = b->block ? b->block + b->floats : NULL; /* none: counted, or all are panels or read where they lie */
    e->view->data = type == SAMC__F32 ? (void *)samc__tensor_direct_f32(found) : NULL;
    if (e->view->data != NULL) return SAMC_OK;
    if (!packs) b->floats += ((size_t)elements + step - 1) / step * step;
    if (b->counts)
        return samc__tensor_fits_f32(found)
                   ? SAMC_OK
                   : samc__fail(b->error, SAMC_UNSUPPORTED, "%s: tensor %s has values beyond the range of f32",
                                b->checkpoint->label, e->name);
    if (packs && type == SAMC__I8) {
        SAMC__TRY(pack_int8(b, e));
    } else if (packs) {
        SAMC__TRY(pack_bf16(b, e));
    } else {
        if (type == SAMC__I8) SAMC__TRY(round_to_int8(b, e, to));
        else if (found->dtype == SAMC__I8) samc__eight_floats(b->checkpoint, e, 0, e->view->n[0], to);
        else samc__tensor_read_f32(found, to);
        round_to(type, to, elements);
        e->view->data = to;
        if (shares && !samc__packed_add_bf16(b->narrow.packed, to, e->view->n[0], e->view->n[1]))
            return no_memory(b, e);
    }
    samc__tensor_drop(b->checkpoint, found);
    return SAMC_OK;
}

/* y = w x + b, w as the file has it: what it is bound to may be panels. */
static samc_status multiply(const binding *b, const samc__projection *p, const float *x, float *y) {
    const samc__entry *e = b->list->at;
    while (e->view != &p->w) e++;
    const samc__tensor *w = samc__checkpoint_find(b->checkpoint, e->name);
    const int64_t n = p->w.n[0], k = p->w.n[1];
    float *row = malloc((size_t)k * sizeof *row);
    if (row == NULL) return no_memory(b, e);
    for (int64_t i = 0; i < n; i++) {
        double sum = (double)samc__f32(p->b)[i];
        samc__tensor_copy_f32(w, i * k, k, row);
        for (int64_t j = 0; j < k; j++) sum += (double)row[j] * (double)x[j];
        y[i] = (float)sum;
    }
    free(row);
    return SAMC_OK;
}

static samc_status bind_all(binding *b, bool counts) {
    const size_t step = ALIGNMENT / sizeof(float);
    b->counts = counts;
    b->floats = 0;
    for (size_t i = 0; i < b->list->count; i++) SAMC__TRY(bind(b, &b->list->at[i]));
    for (size_t i = 0; i < b->list->copy_count; i++) {
        samc__view *view = b->list->copies[i].view;
        if (b->list->copies[i].p == NULL && b->list->copies[i].make == NULL) {
            view->data = b->list->copies[i].of->data;
            continue;
        }
        if (!counts) {
            view->data = b->block + b->floats;
            if (b->list->copies[i].make != NULL) b->list->copies[i].make(b->list->copies[i].of, view, view->data);
            else SAMC__TRY(multiply(b, b->list->copies[i].p, samc__f32(*b->list->copies[i].of), view->data));
        }
        b->floats += ((size_t)samc__elements(*view) + step - 1) / step * step;
    }
    return SAMC_OK;
}

samc_status samc__tensors_load(const samc__tensor_list *list, const samc__checkpoint *checkpoint,
                               const samc__narrowing *narrow, void **owned, size_t *owned_bytes, samc_error *error) {
    binding b = {.list = list, .checkpoint = checkpoint, .error = error};
    if (narrow != NULL) b.narrow = *narrow;
    *owned = NULL;
    *owned_bytes = 0;
    SAMC__TRY(samc__tensors_check(list, checkpoint, error));
    SAMC__TRY(bind_all(&b, true));
    if (b.floats > 0) {
        const size_t bytes = b.floats * sizeof(float);
        *owned = b.block = aligned_alloc(ALIGNMENT, bytes);
        if (b.block == NULL)
            return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: no memory for %zu bytes of weights", checkpoint->label,
                              bytes);
        *owned_bytes = bytes;
    }
    SAMC__TRY(bind_all(&b, false));
    if (narrow != NULL) samc__checkpoint_drop(checkpoint);
    return SAMC_OK;
}

/* ---- Hashing --------------------------------------------------------------------------------- */

enum { CHUNK = 1 << 11 }; /* elements */

static bool hash_tensor(EVP_MD_CTX *digest, const char *name, const samc__tensor *found, uint8_t *buffer) {
    const bool wide = found->dtype == SAMC__F64; /* counts as the f32 that it becomes */
    const char *type = samc__dtype_name(wide ? SAMC__F32 : found->dtype);
    const int64_t sides = found->rank, elements = samc__tensor_elements(found);
    /* Each part is delimited, so that no two models have the same bytes: name NUL type NUL rank sides values. */
    int ok = EVP_DigestUpdate(digest, name, strlen(name) + 1) && EVP_DigestUpdate(digest, type, strlen(type) + 1) &&
             EVP_DigestUpdate(digest, &sides, sizeof sides) &&
             EVP_DigestUpdate(digest, found->shape, (size_t)found->rank * sizeof *found->shape);
    for (int64_t first = 0; first < elements && ok; first += CHUNK) {
        int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
        if (wide) samc__tensor_copy_f32(found, first, now, (float *)(void *)buffer);
        else samc__tensor_copy_raw(found, first, now, buffer);
        ok = EVP_DigestUpdate(digest, buffer, (size_t)now * (wide ? sizeof(float) : samc__dtype_size(found->dtype)));
    }
    return ok;
}

samc_status samc__tensors_hash(const samc__tensor_list *list, const samc__checkpoint *checkpoint, const char *besides,
                               char hex[65], samc_error *error) {
    unsigned char bytes[32];
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    uint8_t *buffer = malloc(CHUNK * sizeof(float));
    bool ok = digest != NULL && buffer != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    for (size_t i = 0; i < list->count && ok; i++) {
        const samc__entry *e = &list->at[i];
        const samc__tensor *found = samc__checkpoint_find(checkpoint, e->name), *scales = NULL;
        ok = hash_tensor(digest, e->name, found, buffer);
        if (found->dtype == SAMC__I8) scales = samc__eight_scales(checkpoint, e);
        if (scales != NULL) ok = ok && hash_tensor(digest, scales->name, scales, buffer);
    }
    if (besides != NULL) ok = ok && EVP_DigestUpdate(digest, besides, strlen(besides));
    ok = ok && EVP_DigestFinal_ex(digest, bytes, NULL);
    EVP_MD_CTX_free(digest);
    free(buffer);
    hex[0] = '\0';
    if (!ok) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: SHA-256 failed", checkpoint->label);
    for (int i = 0; i < 32; i++) sprintf(hex + 2 * i, "%02x", bytes[i]);
    return SAMC_OK;
}

const char *samc__tensors_spoilt(const samc__tensor_list *list, const samc__checkpoint *checkpoint, bool *nan) {
    *nan = false;
    for (size_t i = 0; i < list->count; i++) {
        const samc__tensor *tensor = samc__checkpoint_find(checkpoint, list->at[i].name);
        int64_t count = samc__tensor_elements(tensor);
        float *values = malloc((size_t)count * sizeof *values);
        if (values == NULL) continue; /* then it is not found out */
        samc__tensor_read_f32(tensor, values);
        bool spoilt = false;
        for (int64_t j = 0; j < count; j++) {
            spoilt = spoilt || !isfinite(values[j]);
            *nan = *nan || isnan(values[j]);
        }
        free(values);
        if (spoilt) return list->at[i].name;
    }
    return NULL;
}
