/* The folder that is labelled: its images, their annotations, the classes. All of it waits for disks and is done in a
 * stage of its own, one request after another. */
#include "host/serve/folder.h"
#include "host/serve/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Hands the request on; 404 where no folder is served. */
static void submit(samc__request *r, samc__work work) {
    if (r->serve->options.folder == NULL)
        samc__reply_error(r, MHD_HTTP_NOT_FOUND, "no folder is served (samc serve DIR)");
    else samc__stage_submit(r, SAMC__FILES, work);
}

/* The name of the image in the path; NULL and the reply given. */
static const char *image_name(samc__request *r) {
    const char *name = samc__folder_name(r->serve->options.folder, r->id);
    if (name == NULL) samc__reply_error(r, MHD_HTTP_NOT_FOUND, "the folder has no image %s", r->id);
    return name;
}

static void reply_failure(samc__request *r, const samc_error *error) {
    const unsigned status = error->status == SAMC_MISMATCH      ? MHD_HTTP_PRECONDITION_FAILED
                            : error->status == SAMC_UNSUPPORTED ? MHD_HTTP_CONFLICT
                                                                : samc__status_of(error->status);
    samc__reply_error(r, status, "%s", error->message);
}

/* JSON that has an "etag", which becomes a header too. */
static void reply_tagged(samc__request *r, json_t *json) {
    samc__reply_header(r, "ETag", "\"%s\"", json_string_value(json_object_get(json, "etag")));
    samc__reply_json(r, MHD_HTTP_OK, json);
}

/* If-Match of what changes something; false and the reply given. */
static bool read_etag(samc__request *r, char etag[SAMC__ETAG]) {
    const char *header = samc__request_header(r, "If-Match");
    if (header == NULL || strlen(header) != SAMC__ETAG + 1 || header[0] != '"' || header[SAMC__ETAG] != '"') {
        samc__reply_error(r, MHD_HTTP_PRECONDITION_REQUIRED, "If-Match is to be the ETag of what is changed");
        return false;
    }
    if (!r->serve->options.folder->writable) {
        samc__reply_error(r, MHD_HTTP_FORBIDDEN, "annotations cannot be saved: %s cannot be written",
                          r->serve->options.folder->annotations_path);
        return false;
    }
    memcpy(etag, header + 1, SAMC__ETAG - 1);
    etag[SAMC__ETAG - 1] = '\0';
    return true;
}

/* ---- The list -------------------------------------------------------------------------------- */

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static json_t *list_of(const samc__folder *f, const int *annotations, const bool *done) {
    json_t *images = json_array();
    for (size_t i = 0; i < f->count; i++)
        json_array_append_new(images, json_pack("{s:s, s:s, s:s, s:i}", "id", f->id[i], "name", f->name[i], "state",
                                                done[i]              ? "done"
                                                : annotations[i] > 0 ? "begun"
                                                                     : "untouched",
                                                "annotations", annotations[i]));
    return images;
}

static void give_list(samc__request *r, samc_session *session) {
    const samc__folder *f = r->serve->options.folder;
    int *annotations = malloc((f->count + 1) * sizeof *annotations);
    bool *done = malloc((f->count + 1) * sizeof *done);
    char *name = samc_text_utf8(last_part(f->path)), *file = samc_text_utf8(last_part(f->annotations_path));
    json_t *classes = NULL;
    samc_error error = {SAMC_OUT_OF_MEMORY, "no memory for the list"};
    samc_status status = annotations != NULL && done != NULL ? SAMC_OK : SAMC_OUT_OF_MEMORY;
    (void)session;
    if (status == SAMC_OK) status = samc__coco_states(f->annotations, f->name, f->count, annotations, done, &error);
    if (status == SAMC_OK) status = samc__coco_classes(f->annotations, &classes, &error);
    if (status != SAMC_OK) reply_failure(r, &error);
    else
        samc__reply_json(r, MHD_HTTP_OK,
                         json_pack("{s:s, s:s, s:s, s:b, s:O, s:O, s:o}", "name", name, "key", f->key, "annotations",
                                   file, "writable", f->writable, "classes", json_object_get(classes, "classes"),
                                   "classes_etag", json_object_get(classes, "etag"), "images",
                                   list_of(f, annotations, done)));
    json_decref(classes);
    samc_io_free(name);
    samc_io_free(file);
    free(annotations);
    free(done);
    samc__request_finish(r);
}

void samc__handle_folder(samc__request *r) { submit(r, give_list); }

/* ---- Images ---------------------------------------------------------------------------------- */

/* The file becomes the request's body; false and the reply given. */
static bool read_image(samc__request *r) {
    const samc__serve *serve = r->serve;
    const char *name = image_name(r);
    samc_error error;
    if (name == NULL) return false;
    free(r->body);
    const samc_status status =
        samc__folder_read(serve->options.folder, name, serve->options.body_bytes, &r->body, &r->size, &error);
    if (status == SAMC_OK) return samc__request_hold(r, r->size);
    /* What is wrong with the file is not the server's failure. */
    samc__reply_error(r, status == SAMC_OUT_OF_MEMORY ? MHD_HTTP_SERVICE_UNAVAILABLE : MHD_HTTP_UNPROCESSABLE_CONTENT,
                      "%s", error.message);
    return false;
}

static void open_image(samc__request *r, samc_session *session) {
    (void)session;
    if (!read_image(r) || !samc__picture_make(r)) samc__request_finish(r);
}

static void give_file(samc__request *r, samc_session *session) {
    (void)session;
    if (read_image(r)) {
        samc__reply_bytes(r, MHD_HTTP_OK, "application/octet-stream", r->body, r->size);
        r->body = NULL;
    }
    samc__request_finish(r);
}

void samc__handle_folder_open(samc__request *r) { submit(r, open_image); }
void samc__handle_folder_file(samc__request *r) { submit(r, give_file); }

/* ---- Annotations ----------------------------------------------------------------------------- */

static void give_annotations(samc__request *r, samc_session *session) {
    const char *name = image_name(r);
    json_t *json = NULL;
    samc_error error;
    (void)session;
    if (name != NULL && samc__coco_image(r->serve->options.folder->annotations, name, &json, &error) != SAMC_OK)
        reply_failure(r, &error);
    if (json != NULL) reply_tagged(r, json);
    samc__request_finish(r);
}

static void take_annotations(samc__request *r, samc_session *session) {
    static const char *const keys[] = {"width", "height", "done", "objects", NULL};
    const char *name = image_name(r);
    char etag[SAMC__ETAG];
    json_t *wanted = name != NULL && read_etag(r, etag) ? samc__request_json(r, keys) : NULL, *saved = NULL;
    samc_error error;
    (void)session;
    if (wanted != NULL &&
        samc__coco_set_image(r->serve->options.folder->annotations, name, etag, wanted, &saved, &error) != SAMC_OK)
        reply_failure(r, &error);
    if (saved != NULL) reply_tagged(r, saved);
    json_decref(wanted);
    samc__request_finish(r);
}

void samc__handle_annotations_get(samc__request *r) { submit(r, give_annotations); }
void samc__handle_annotations_put(samc__request *r) { submit(r, take_annotations); }

/* ---- Classes --------------------------------------------------------------------------------- */

static void give_classes(samc__request *r, samc_session *session) {
    json_t *classes = NULL;
    samc_error error;
    (void)session;
    if (samc__coco_classes(r->serve->options.folder->annotations, &classes, &error) != SAMC_OK)
        reply_failure(r, &error);
    else reply_tagged(r, classes);
    samc__request_finish(r);
}

static void take_classes(samc__request *r, samc_session *session) {
    static const char *const keys[] = {"classes", NULL};
    char etag[SAMC__ETAG];
    json_t *wanted = read_etag(r, etag) ? samc__request_json(r, keys) : NULL, *classes = NULL;
    samc_error error;
    (void)session;
    if (wanted != NULL && samc__coco_set_classes(r->serve->options.folder->annotations, etag,
                                                 json_object_get(wanted, "classes"), &classes, &error) != SAMC_OK)
        reply_failure(r, &error);
    if (classes != NULL) reply_tagged(r, classes);
    json_decref(wanted);
    samc__request_finish(r);
}

void samc__handle_classes_get(samc__request *r) { submit(r, give_classes); }
void samc__handle_classes_put(samc__request *r) { submit(r, take_classes); }
