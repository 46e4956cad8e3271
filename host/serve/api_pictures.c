/* Pictures: sent as bytes, known by their SHA-256, with their embedding in and out. */
#include "host/serve/internal.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

samc__picture *samc__request_picture(samc__request *r) {
    samc__picture *p = samc__pictures_find(&r->serve->pictures, r->id);
    if (p == NULL) samc__reply_error(r, MHD_HTTP_NOT_FOUND, "there is no image %s (any more); send it again", r->id);
    return p;
}

static json_t *describe(const samc__picture *p) {
    json_t *json = json_pack("{s:s, s:i, s:i}", "id", p->id, "width", p->width, "height", p->height);
    if (json != NULL && p->scaled[0] != '\0') json_object_set_new(json, "scale", json_loads(p->scaled, 0, NULL));
    return json;
}

static void reply_picture(samc__request *r, samc__picture *p, bool created) {
    json_t *json = describe(p);
    if (json != NULL) json_object_set_new(json, "created", json_boolean(created));
    samc__reply_header(r, "Location", "v1/images/%s", p->id);
    samc__reply_json(r, created ? MHD_HTTP_CREATED : MHD_HTTP_OK, json);
    samc__picture_release(p);
}

/* Of the body, and of what else makes the picture, "" for nothing. */
static bool make_id(samc__request *r, const char *more) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    const bool made = hash != NULL && EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1 &&
                      EVP_DigestUpdate(hash, r->body, r->size) == 1 &&
                      EVP_DigestUpdate(hash, more, strlen(more)) == 1 &&
                      EVP_DigestFinal_ex(hash, digest, &length) == 1 && 2 * length + 1 == SAMC__ID;
    EVP_MD_CTX_free(hash);
    for (unsigned i = 0; made && i < length; i++) snprintf(r->id + 2 * i, 3, "%02x", digest[i]);
    return made;
}

/* The end of an upload, or the picture that a request brought along. */
static void have_picture(samc__request *r, samc__picture *p, bool created) {
    if (r->then != NULL) {
        r->picture = p;
        r->then(r, NULL);
    } else {
        reply_picture(r, p, created);
        samc__request_finish(r);
    }
}

/* The embedding of r->image, from the picture without pixels that was there, from the disk, or computed; NULL and the
 * reply given. */
static samc_embedding *embedding_for(samc__request *r, samc_session *session, const samc__picture *known) {
    int width, height;
    samc__serve *serve = r->serve;
    samc_embedding *embedding =
        known != NULL ? samc_embedding_keep(known->embedding) : samc__disk_read(serve, session, r->id, &width, &height);
    if (embedding != NULL) return embedding;
    samc_status status = samc_set_image(session, &r->image);
    if (status == SAMC_OK) status = samc_embedding_of(session, 0, &embedding);
    if (status == SAMC_OK) {
        samc__metrics_add(serve, &serve->metrics.images, 1);
        samc__disk_write(serve, session, r->id, r->image.width, r->image.height);
        return embedding;
    }
    samc__reply_error(r, samc__status_of(status), "%s", samc_last_error(session));
    return NULL;
}

/* In the encode stage: pixels -> picture. */
static void encode(samc__request *r, samc_session *session) {
    samc__picture *p = samc__pictures_find(&r->serve->pictures, r->id); /* two sent it at a time */
    const bool there = p != NULL && p->pixels != NULL;
    if (!there) {
        samc__picture *known = p;
        samc_embedding *embedding = embedding_for(r, session, known);
        p = embedding != NULL ? samc__pictures_add(&r->serve->pictures, r->id, &r->image, r->scaled, embedding) : NULL;
        if (p == NULL) samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the image");
        samc__picture_release(known);
    }
    samc_image_free(&r->image);
    samc__request_hold_pixels(r, 0); /* they are the picture's now */
    samc__metrics_seconds(r->serve, SAMC__ENCODE, samc__serve_seconds() - r->began);
    if (p != NULL) have_picture(r, p, !there);
    else samc__request_finish(r);
}

/* In the decode stage: bytes -> pixels. */
static void decode(samc__request *r, samc_session *session) {
    samc_error error = {0};
    const samc_image_options how = {
        .size = sizeof how, .most_pixels = r->serve->options.max_pixels, .scale = r->scale, .page = r->page};
    char more[SAMC__SCALE + 16]; /* by another scale it is another picture, and so is another page */
    (void)session;
    snprintf(more, sizeof more, r->page > 0 ? "%s#%d" : "%s", r->scale, r->page);
    if (!make_id(r, more)) {
        samc__reply_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "SHA-256 cannot be computed");
        samc__request_finish(r);
        return;
    }
    samc__picture *p = samc__pictures_find(&r->serve->pictures, r->id);
    if (p != NULL && (p->pixels != NULL || (r->then != NULL && r->search == NULL))) { /* prompts need no pixels */
        have_picture(r, p, false);
        return;
    }
    samc__picture_release(p);
    if (samc__decoders_decode(r->serve->decoders, r->body, r->size, &how, &r->image, r->scaled, &error) != SAMC_OK) {
        if (strstr(error.message, "decoder was stopped")) samc__metrics_add(r->serve, &r->serve->metrics.killed, 1);
        samc__reply_failure(r, &error);
    } else {
        free(r->body);
        r->body = NULL;
        r->size = 0;
        samc__request_hold(r, 0);
        samc__request_hold_pixels(r, 3 * (size_t)r->image.width * (size_t)r->image.height);
        samc__metrics_seconds(r->serve, SAMC__DECODE, samc__serve_seconds() - r->began);
        if (samc__stage_submit(r, SAMC__ENCODE, encode)) return;
    }
    samc__request_finish(r);
}

/* In the decode stage: the body is pixels already. */
static void take_pixels(samc__request *r, samc_session *session) {
    char size[48];
    samc__picture *p = NULL;
    (void)session;
    snprintf(size, sizeof size, "pixels %dx%d", r->image.width, r->image.height);
    if (!make_id(r, size)) samc__reply_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "SHA-256 cannot be computed");
    else if ((p = samc__pictures_find(&r->serve->pictures, r->id)) != NULL) {
        have_picture(r, p, false);
        return;
    } else {
        r->image.pixels = (uint8_t *)r->body;
        r->image.row_bytes = 3 * (ptrdiff_t)r->image.width;
        r->body = NULL;
        r->size = r->room = 0;
        samc__request_hold(r, 0);
        samc__request_hold_pixels(r, 3 * (size_t)r->image.width * (size_t)r->image.height);
        if (samc__stage_submit(r, SAMC__ENCODE, encode)) return;
    }
    samc__request_finish(r);
}

bool samc__picture_take(samc__request *r, int width, int height) {
    if ((int64_t)width * height > r->serve->options.max_pixels) {
        samc__reply_error(r, MHD_HTTP_UNPROCESSABLE_CONTENT, "the image has %d x %d pixels; at most %lld are taken",
                          width, height, (long long)r->serve->options.max_pixels);
        return false;
    }
    r->image.width = width, r->image.height = height;
    return samc__stage_submit(r, SAMC__DECODE, take_pixels);
}

bool samc__picture_make(samc__request *r) { return samc__stage_submit(r, SAMC__DECODE, decode); }

/* In the predict stage, as whoever clicks waits for it. */
static void recall(samc__request *r, samc_session *session) {
    samc_image none = {.size = sizeof none};
    samc_embedding *embedding = samc__disk_read(r->serve, session, r->id, &none.width, &none.height);
    if (embedding != NULL) samc__picture_release(samc__pictures_add(&r->serve->pictures, r->id, &none, "", embedding));
    r->recalled = true; /* if only now and then, as under a tiny budget */
    samc__request_go_on(r);
}

bool samc__picture_recall_first(samc__request *r) {
    if (r->recalled || r->serve->options.cache_dir == NULL || strcmp(r->route->method, "DELETE") == 0 ||
        samc__pictures_has(&r->serve->pictures, r->id) || !samc__disk_has(r->serve, r->id))
        return false;
    return samc__stage_submit(r, SAMC__PREDICT, recall);
}

/* ?scale= or ?window=; false with the answer given. */
static bool take_scale(samc__request *r) {
    samc_error error = {0};
    const char *scale = samc__request_query(r, "scale"), *window = samc__request_query(r, "window");
    char text[2 * SAMC__SCALE];
    if (scale != NULL && window != NULL) {
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "scale and window say the same thing: one of them");
        return false;
    }
    if (window != NULL) {
        snprintf(text, sizeof text, "window:%s", window);
        scale = text;
    }
    if (scale == NULL) return true;
    if (strlen(scale) < sizeof r->scale && samc_scale_check(scale, &error) == SAMC_OK) {
        strcpy(r->scale, scale);
        return true;
    }
    samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "%s", error.message[0] ? error.message : "a scale of that length");
    return false;
}

/* ?page= */
static bool take_page(samc__request *r) {
    const char *page = samc__request_query(r, "page");
    const size_t length = page == NULL ? 0 : strlen(page);
    if (page == NULL) return true;
    if (length > 0 && length < 7 && strspn(page, "0123456789") == length) {
        r->page = atoi(page);
        return true;
    }
    samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "page is a whole number from 0 to 999999");
    return false;
}

void samc__handle_upload(samc__request *r) {
    if (r->size == 0) samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "the body is to be the bytes of an image");
    else if (take_scale(r) && take_page(r)) samc__picture_make(r);
}

void samc__handle_picture(samc__request *r) {
    samc__picture *p = samc__request_picture(r);
    if (p != NULL) samc__reply_json(r, MHD_HTTP_OK, describe(p));
    samc__picture_release(p);
}

void samc__handle_forget(samc__request *r) {
    const bool on_disk = samc__disk_drop(r->serve, r->id);
    if (samc__pictures_drop(&r->serve->pictures, r->id) || on_disk)
        samc__reply_json(r, MHD_HTTP_OK, json_pack("{s:b}", "forgotten", 1));
    else samc__reply_error(r, MHD_HTTP_NOT_FOUND, "there is no image %s (any more)", r->id);
}

/* In the decode stage: the picture as samc sees it, for pages whose browser cannot read its file. */
static void give_pixels(samc__request *r, samc_session *session) {
    uint8_t *png = NULL;
    size_t size = 0;
    samc_error error;
    (void)session;
    const samc__picture *p = r->picture;
    if (samc_png_encode(p->pixels, p->width, p->height, 3, &png, &size, &error) == SAMC_OK)
        samc__reply_bytes(r, MHD_HTTP_OK, "image/png", png, size);
    else samc__reply_failure(r, &error);
    samc__request_finish(r);
}

void samc__handle_pixels(samc__request *r) {
    r->picture = samc__request_picture(r);
    if (r->picture == NULL) return;
    if (r->picture->pixels != NULL) samc__stage_submit(r, SAMC__DECODE, give_pixels);
    else samc__reply_error(r, MHD_HTTP_CONFLICT, "of this image only the embedding is here; send the image itself");
}

/* ---- Embeddings ------------------------------------------------------------------------------ */

static bool one_level(const samc__request *r) {
    return samc_model_level(r->serve->options.model, 1, NULL, NULL, NULL) != SAMC_OK;
}

/* NumPy's .npy of [1, channels, grid, grid] floats, as `samc embed -o x.npy` writes it and the web demo of
 * segment-anything reads it; to be freed. */
static samc_status npy_of(samc_session *session, const samc_model_info *info, uint8_t **file, size_t *size) {
    enum { HEAD = 128 };
    const size_t count = (size_t)info->embed_channels * (size_t)info->grid * (size_t)info->grid;
    char *body = malloc(HEAD + count * sizeof(float));
    if (body == NULL) return SAMC_OUT_OF_MEMORY;
    memset(body, ' ', HEAD);
    memcpy(body, "\x93NUMPY\x01\x00\x76\x00", 10);
    const int length =
        snprintf(body + 10, HEAD - 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (1, %d, %d, %d), }",
                 info->embed_channels, info->grid, info->grid);
    body[10 + length] = ' ';
    body[HEAD - 1] = '\n';
    *file = (uint8_t *)body;
    *size = HEAD + count * sizeof(float);
    return samc_get_embedding(session, 0, (float *)(void *)(body + HEAD));
}

/* What ?format= and ?dtype= ask for: a type, or AUTO for .npy; false with the answer given. */
static bool wanted_file(samc__request *r, samc_precision *type) {
    static const char *const types[] = {"f32", "f16", "bf16"}; /* in the order of samc_precision, from F32 on */
    const char *format = samc__request_query(r, "format"), *dtype = samc__request_query(r, "dtype");
    if (format == NULL) format = one_level(r) && dtype == NULL ? "npy" : "safetensors";
    *type = SAMC_PRECISION_AUTO;
    if (strcmp(format, "npy") == 0) {
        if (one_level(r) && dtype == NULL) return true;
        if (dtype != NULL)
            samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "dtype is for format=safetensors; .npy is float32");
        else
            samc__reply_error(r, MHD_HTTP_NOT_IMPLEMENTED,
                              "this model's embeddings have several levels, which do not fit in .npy");
        return false;
    }
    for (int i = 0; i < 3; i++)
        if (strcmp(dtype != NULL ? dtype : "f32", types[i]) == 0) *type = (samc_precision)(SAMC_PRECISION_F32 + i);
    if (strcmp(format, "safetensors") == 0 && *type != SAMC_PRECISION_AUTO) return true;
    samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "format is npy or safetensors, dtype f32, f16 or bf16");
    return false;
}

static void embedding_out(samc__request *r, samc_session *session) {
    uint8_t *body = NULL;
    size_t size = 0;
    samc_precision type;
    samc_status status = SAMC_OK;
    if (wanted_file(r, &type)) {
        status = samc_embedding_set(session, r->picture->embedding);
        if (status == SAMC_OK)
            status = type == SAMC_PRECISION_AUTO ? npy_of(session, &r->serve->info, &body, &size)
                                                 : samc_pack_embedding(session, 0, type, &body, &size);
        if (status == SAMC_OK) samc__reply_bytes(r, MHD_HTTP_OK, "application/octet-stream", body, size);
        else {
            const char *why = samc_last_error(session);
            samc__reply_error(r, samc__status_of(status), "%s", why[0] != '\0' ? why : samc_status_text(status));
            free(body);
        }
    }
    samc__request_finish(r);
}

void samc__handle_embedding_get(samc__request *r) {
    samc_precision ignored;
    if (!wanted_file(r, &ignored)) return;
    r->picture = samc__request_picture(r);
    if (r->picture != NULL) samc__stage_submit(r, SAMC__ENCODE, embedding_out);
}

static bool side(const char *text, int *value) {
    const size_t length = text == NULL ? 0 : strlen(text);
    if (length == 0 || length > 7 || strspn(text, "0123456789") != length) return false;
    *value = atoi(text);
    return *value > 0;
}

/* ?width=&height=; what of them is not given stays. */
static bool sides(const samc__request *r, int *width, int *height) {
    const char *w = samc__request_query(r, "width"), *h = samc__request_query(r, "height");
    return (w == NULL || side(w, width)) && (h == NULL || side(h, height));
}

static bool is_npy(const samc__request *r) { return r->size < 6 || memcmp(r->body, "\x93NUMPY", 6) == 0; }

static samc_status set_npy(samc__request *r, samc_session *session, int width, int height, samc_error *error) {
    const samc_model_info *info = &r->serve->info;
    samc_array array = SAMC_INIT(samc_array);
    samc_status status = samc_npy_decode(r->body, r->size, "the embedding", &array, error);
    const size_t *n = array.shape, grid = (size_t)info->grid;
    if (status == SAMC_OK &&
        (array.rank != 4 || n[0] != 1 || n[1] != (size_t)info->embed_channels || n[2] != grid || n[3] != grid)) {
        status = error->status = SAMC_MISMATCH;
        snprintf(error->message, sizeof error->message, "the embedding is not [1, %d, %d, %d], as the model's are",
                 info->embed_channels, info->grid, info->grid);
    }
    if (status == SAMC_OK)
        status = samc_session_check(session, samc_set_embedding(session, array.values, width, height), "the embedding",
                                    error);
    samc_array_free(&array);
    return status;
}

/* The file of `samc embed -o x.safetensors`, which says model, recipe and the image's size; another size in the
 * address is a mistake. */
static samc_status set_file(samc__request *r, samc_session *session, int *width, int *height, samc_error *error) {
    int w = 0, h = 0;
    samc_status status = samc_unpack_embedding(session, (const uint8_t *)r->body, r->size);
    if (status == SAMC_OK) status = samc_session_image_size(session, 0, &w, &h);
    status = samc_session_check(session, status, "the embedding", error);
    if (status == SAMC_OK && ((*width != 0 && *width != w) || (*height != 0 && *height != h))) {
        status = error->status = SAMC_MISMATCH;
        snprintf(error->message, sizeof error->message, "the embedding is of an image of %d x %d pixels", w, h);
    }
    *width = w, *height = h;
    return status;
}

static void embedding_in(samc__request *r, samc_session *session) {
    samc_error error = {0};
    samc_embedding *embedding = NULL;
    samc_image none = {.size = sizeof none};
    char size[32];
    sides(r, &none.width, &none.height);
    samc_status status = is_npy(r) ? set_npy(r, session, none.width, none.height, &error)
                                   : set_file(r, session, &none.width, &none.height, &error);
    if (status == SAMC_OK && (int64_t)none.width * none.height > r->serve->options.max_pixels) {
        status = error.status = SAMC_UNSUPPORTED; /* its masks would be as large */
        snprintf(error.message, sizeof error.message, "the image has %d x %d pixels; at most %lld are taken",
                 none.width, none.height, (long long)r->serve->options.max_pixels);
    }
    if (status == SAMC_OK)
        status = samc_session_check(session, samc_embedding_of(session, 0, &embedding), "the embedding", &error);
    samc__picture *p = NULL;
    snprintf(size, sizeof size, "%dx%d", none.width, none.height);
    if (status != SAMC_OK) samc__reply_failure(r, &error);
    else if (!make_id(r, size) || (p = samc__pictures_add(&r->serve->pictures, r->id, &none, "", embedding)) == NULL)
        samc__reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, "no memory for the embedding");
    if (p != NULL) reply_picture(r, p, true);
    samc__request_finish(r);
}

void samc__handle_embedding_put(samc__request *r) {
    enum { HEADER = 64 << 10 }; /* what a file may say before its values, at most */
    const bool npy = is_npy(r);
    size_t values = 0;
    int width = 0, height = 0;
    for (int i = 0, channels, across; samc_model_level(r->serve->options.model, i, NULL, &channels, &across) == SAMC_OK;
         i++)
        values += (size_t)channels * (size_t)across * (size_t)across;
    if (npy && !one_level(r))
        samc__reply_error(r, MHD_HTTP_NOT_IMPLEMENTED,
                          "this model's embeddings have several levels, which do not fit in .npy: send .safetensors");
    else if (r->size > HEADER + values * (npy ? sizeof(double) : sizeof(float)))
        samc__reply_error(r, MHD_HTTP_CONTENT_TOO_LARGE, "an embedding has %zu values; these are more", values);
    else if (!sides(r, &width, &height) || (npy && (width == 0 || height == 0)))
        samc__reply_error(r, MHD_HTTP_BAD_REQUEST, "?width=W&height=H is to say the size of the image in pixels");
    else samc__stage_submit(r, SAMC__ENCODE, embedding_in);
}
