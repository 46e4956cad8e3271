/* What is read of a COCO data set and changed in it, an image at a time. Annotations that were made here have a "uid",
 * which the client gave: who does not hear that something was saved may save it again. */
#include "host/serve/coco.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char done_key[] = "samc_done"; /* of an image */

static samc_status no_memory(samc_error *error) {
    return samc__coco_fail(error, SAMC_OUT_OF_MEMORY, "no memory for annotations");
}

/* ---- What something is ----------------------------------------------------------------------- */

/* Adds JSON's text to a hash; NULL counts too. */
static void add(EVP_MD_CTX *hash, const json_t *json) {
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY) : NULL;
    if (text != NULL) EVP_DigestUpdate(hash, text, strlen(text));
    EVP_DigestUpdate(hash, "", 1);
    free(text);
}

static bool finish(EVP_MD_CTX *hash, char etag[SAMC__ETAG]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    const bool good = EVP_DigestFinal_ex(hash, digest, NULL) == 1;
    for (int i = 0; i < (SAMC__ETAG - 1) / 2; i++) snprintf(etag + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(hash);
    return good;
}

static EVP_MD_CTX *begin_hash(void) {
    EVP_MD_CTX *hash = EVP_MD_CTX_new();
    if (hash == NULL || EVP_DigestInit_ex(hash, EVP_sha256(), NULL) == 1) return hash;
    EVP_MD_CTX_free(hash);
    return NULL;
}

static const json_t *category_of(const json_t *root, const json_t *annotation) {
    const json_t *id = json_object_get(annotation, "category_id");
    return json_is_integer(id) ? samc__coco_find(samc__coco_list(root, "categories"), json_integer_value(id)) : NULL;
}

/* Of an image: its entry, its annotations, and what their classes are called. */
static bool etag_of_image(const json_t *root, const json_t *image, char etag[SAMC__ETAG]) {
    const json_t *list = samc__coco_list(root, "annotations");
    EVP_MD_CTX *hash = begin_hash();
    if (hash == NULL) return false;
    add(hash, image);
    for (size_t i = 0; image != NULL && i < json_array_size(list); i++) {
        const json_t *annotation = json_array_get(list, i);
        if (samc__coco_int(annotation, "image_id") != samc__coco_int(image, "id")) continue;
        add(hash, annotation);
        add(hash, json_object_get(category_of(root, annotation), "name"));
    }
    return finish(hash, etag);
}

static bool etag_of_classes(const json_t *root, char etag[SAMC__ETAG]) {
    EVP_MD_CTX *hash = begin_hash();
    if (hash == NULL) return false;
    add(hash, samc__coco_list(root, "categories"));
    return finish(hash, etag);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static samc_status classes_of(const json_t *root, json_t **classes, samc_error *error) {
    const json_t *list = samc__coco_list(root, "categories");
    char etag[SAMC__ETAG];
    json_t *names = json_array();
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *entry = json_array_get(list, i);
        json_array_append_new(
            names, json_pack("{s:I, s:O}", "id", samc__coco_int(entry, "id"), "name", json_object_get(entry, "name")));
    }
    *classes = etag_of_classes(root, etag) ? json_pack("{s:o, s:s}", "classes", names, "etag", etag) : NULL;
    return *classes != NULL ? SAMC_OK : no_memory(error);
}

samc_status samc__coco_classes(samc__coco *c, json_t **classes, samc_error *error) {
    samc_status status = samc__coco_begin(c, false, error);
    if (status == SAMC_OK) status = classes_of(c->root, classes, error);
    samc__coco_end(c);
    return status;
}

samc_status samc__coco_add_classes(samc__coco *c, const char *list, samc_error *error) {
    samc_status status = samc__coco_begin(c, false, error);
    if (status == SAMC_OK && (c->classes = strdup(list)) == NULL) status = no_memory(error);
    if (status == SAMC_OK) status = samc__coco_want(c->root, list, error);
    samc__coco_end(c);
    return status;
}

/* An image of a list, for looking many up. */
typedef struct known {
    json_int_t id;
    const char *name;
    int annotations;
    bool done;
} known;

static int by_id(const void *a, const void *b) {
    const known *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static int by_name(const void *a, const void *b) { return strcmp(((const known *)a)->name, ((const known *)b)->name); }

samc_status samc__coco_states(samc__coco *c, const char *const *names, size_t count, int *annotations, bool *done,
                              samc_error *error) {
    samc_status status = samc__coco_begin(c, false, error);
    const json_t *images = samc__coco_list(c->root, "images"), *list = samc__coco_list(c->root, "annotations");
    const size_t size = json_array_size(images);
    known *all = status == SAMC_OK ? calloc(size + 1, sizeof *all) : NULL;
    if (status == SAMC_OK && all == NULL) status = no_memory(error);
    for (size_t i = 0; i < size && all != NULL; i++) {
        const json_t *entry = json_array_get(images, i);
        all[i].id = samc__coco_int(entry, "id");
        all[i].name = json_string_value(json_object_get(entry, "file_name"));
        all[i].done = json_is_true(json_object_get(entry, done_key));
    }
    if (all != NULL) qsort(all, size, sizeof *all, by_id);
    for (size_t i = 0; i < json_array_size(list) && all != NULL; i++) {
        const known wanted = {.id = samc__coco_int(json_array_get(list, i), "image_id")};
        known *found = bsearch(&wanted, all, size, sizeof *all, by_id);
        if (found != NULL) found->annotations++;
    }
    if (all != NULL) qsort(all, size, sizeof *all, by_name);
    for (size_t i = 0; i < count && all != NULL; i++) {
        const known wanted = {.name = names[i]}, *found = bsearch(&wanted, all, size, sizeof *all, by_name);
        annotations[i] = found != NULL ? found->annotations : 0;
        done[i] = found != NULL && found->done;
    }
    free(all);
    samc__coco_end(c);
    return status;
}

static samc_status image_of(const json_t *root, const char *name, json_t **answer, samc_error *error) {
    static const char *const shown[] = {"id",    "uid",           "segmentation",    "area", "bbox", "iscrowd",
                                        "score", "predicted_iou", "stability_score", NULL};
    const json_t *image = samc__coco_named(samc__coco_list(root, "images"), "file_name", name),
                 *list = samc__coco_list(root, "annotations");
    char etag[SAMC__ETAG];
    json_t *objects = json_array();
    for (size_t i = 0; image != NULL && i < json_array_size(list); i++) {
        const json_t *annotation = json_array_get(list, i), *category = category_of(root, annotation);
        if (samc__coco_int(annotation, "image_id") != samc__coco_int(image, "id")) continue;
        json_t *object = json_object();
        for (int k = 0; shown[k] != NULL; k++)
            if (json_object_get(annotation, shown[k]) != NULL)
                json_object_set(object, shown[k], json_object_get(annotation, shown[k]));
        json_object_set(object, "class", category != NULL ? json_object_get(category, "name") : json_null());
        json_array_append_new(objects, object);
    }
    json_t *width = json_object_get(image, "width"), *height = json_object_get(image, "height");
    *answer = etag_of_image(root, image, etag) ? json_pack("{s:s, s:b, s:O?, s:O?, s:o}", "etag", etag, "done",
                                                           json_is_true(json_object_get(image, done_key)), "width",
                                                           width != NULL ? width : json_null(), "height",
                                                           height != NULL ? height : json_null(), "objects", objects)
                                               : NULL;
    return *answer != NULL ? SAMC_OK : no_memory(error);
}

samc_status samc__coco_image(samc__coco *c, const char *name, json_t **image, samc_error *error) {
    samc_status status = samc__coco_begin(c, false, error);
    if (status == SAMC_OK) status = image_of(c->root, name, image, error);
    samc__coco_end(c);
    return status;
}

/* ---- Changing -------------------------------------------------------------------------------- */

/* A copy whose lists may be added to; their entries are the same ones. */
static json_t *draft_of(const json_t *root) {
    static const char *const lists[] = {"images", "annotations", "categories"};
    json_t *draft = json_copy((json_t *)(uintptr_t)root);
    for (int i = 0; i < 3 && draft != NULL; i++)
        json_object_set_new(draft, lists[i], json_copy(samc__coco_list(root, lists[i])));
    return draft;
}

/* Text that may be a class: not empty, no more than a line of it. */
static const char *class_name(const json_t *json) {
    const char *name = json_string_value(json);
    const size_t length = name != NULL ? strlen(name) : 0;
    return length > 0 && length <= 200 && strpbrk(name, "\r\n") == NULL ? name : NULL;
}

static samc_status bad(samc_error *error, size_t index, const char *what) {
    return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "objects[%zu]: %s", index, what);
}

/* The class of that name: the annotation's own first, since two may be called the same; a new one if there is none. */
static samc_status set_class(json_t *draft, json_t *annotation, const char *name, samc_error *error) {
    json_t *list = samc__coco_list(draft, "categories");
    const json_t *own = category_of(draft, annotation);
    if (own != NULL && strcmp(json_string_value(json_object_get(own, "name")), name) == 0) return SAMC_OK;
    json_t *entry = samc__coco_named(list, "name", name);
    if (entry == NULL) {
        entry = json_pack("{s:I, s:s}", "id", samc__coco_free_id(list), "name", name);
        if (entry == NULL || json_array_append_new(list, entry) != 0) return no_memory(error);
    }
    return json_object_set(annotation, "category_id", json_object_get(entry, "id")) == 0 ? SAMC_OK : no_memory(error);
}

/* Run lengths, {"size": [h, w], "counts": "..."}, with the area and the box that pycocotools gives them. */
static samc_status set_mask(json_t *annotation, const json_t *segmentation, int width, int height, size_t index,
                            samc_error *error) {
    const json_t *size = json_object_get(segmentation, "size");
    const char *counts = json_string_value(json_object_get(segmentation, "counts"));
    samc_rle rle = SAMC_INIT(samc_rle);
    samc_error why;
    int64_t area;
    int box[4];
    if (counts == NULL || json_array_size(size) != 2)
        return bad(error, index, "'segmentation' is {\"size\": [height, width], \"counts\": \"...\"}");
    if (json_integer_value(json_array_get(size, 0)) != height || json_integer_value(json_array_get(size, 1)) != width)
        return bad(error, index, "'segmentation' is not of the image's size");
    if (samc_rle_from_string(counts, width, height, &rle, &why) != SAMC_OK) return bad(error, index, why.message);
    const samc_status status = samc_rle_measure(&rle, &area, box, &why);
    samc_rle_free(&rle);
    if (status != SAMC_OK) return bad(error, index, why.message);
    const int grow = area > 0; /* pycocotools' boxes hold their last pixels */
    json_object_set_new(annotation, "segmentation",
                        json_pack("{s:[i, i], s:s}", "size", height, width, "counts", counts));
    json_object_set_new(annotation, "area", json_integer((json_int_t)area));
    json_object_set_new(annotation, "bbox", json_pack("[i, i, i, i]", box[0], box[1], box[2] + grow, box[3] + grow));
    return json_object_set_new(annotation, "iscrowd", json_integer(0)) == 0 ? SAMC_OK : no_memory(error);
}

typedef struct change {
    json_t *draft, *kept; /* kept: annotations of the image by "id" as text, while they are not asked for */
    json_int_t image, next;
    int width, height;
} change;

/* The annotation that an object was: by its id, or by its uid, where it was saved and its author did not hear of it. */
static json_t *earlier(const change *c, const json_t *id, const char *uid) {
    const char *key;
    json_t *entry;
    char text[24];
    if (json_is_integer(id)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(id));
        return json_object_get(c->kept, text);
    }
    json_object_foreach(c->kept, key, entry) {
        const char *other = json_string_value(json_object_get(entry, "uid"));
        if (uid != NULL && other != NULL && strcmp(uid, other) == 0) return entry;
    }
    return NULL;
}

/* One object: what it was with what it is to be, or a new annotation. */
static samc_status one(change *c, const json_t *object, size_t index, json_t **made, samc_error *error) {
    static const char *const keys[] = {"id",    "uid",           "class",           "segmentation",
                                       "score", "predicted_iou", "stability_score", NULL};
    static const char *const numbers[] = {"score", "predicted_iou", "stability_score", NULL};
    const char *key, *name = class_name(json_object_get(object, "class"));
    const json_t *segmentation = json_object_get(object, "segmentation"), *uid = json_object_get(object, "uid");
    json_t *value;
    if (!json_is_object(object)) return bad(error, index, "not an object");
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        int i = 0;
        while (keys[i] != NULL && strcmp(keys[i], key) != 0) i++;
        if (keys[i] == NULL) return bad(error, index, "it has a key that is not known");
    }
    if (uid != NULL && (!json_is_string(uid) || json_string_length(uid) > 64))
        return bad(error, index, "'uid' is a text of up to 64 bytes");
    const json_t *id = json_object_get(object, "id"), *before = earlier(c, id, json_string_value(uid));
    if (id != NULL && before == NULL) return bad(error, index, "its 'id' is none of this image");
    if (before == NULL && segmentation == NULL) return bad(error, index, "a new one has a 'segmentation'");
    *made = before != NULL ? json_copy((json_t *)(uintptr_t)before)
                           : json_pack("{s:I, s:I}", "id", c->next, "image_id", c->image);
    if (*made == NULL) return no_memory(error);
    if (name == NULL && (before == NULL || !json_is_null(json_object_get(object, "class"))))
        return bad(error, index, "'class' is a line of text");
    samc_status status = name != NULL ? set_class(c->draft, *made, name, error) : SAMC_OK;
    if (status == SAMC_OK && segmentation != NULL)
        status = set_mask(*made, segmentation, c->width, c->height, index, error);
    for (int i = 0; numbers[i] != NULL && status == SAMC_OK; i++) {
        json_t *number = json_object_get(object, numbers[i]);
        if (number != NULL && !json_is_number(number)) return bad(error, index, "a score is a number");
        if (number != NULL) json_object_set(*made, numbers[i], number);
    }
    if (uid != NULL) json_object_set(*made, "uid", (json_t *)(uintptr_t)uid);
    if (before == NULL) c->next++;
    return status;
}

/* The image's entry in a draft, as a copy; made where there is none. */
static json_t *entry_of(json_t *draft, const char *name) {
    json_t *images = samc__coco_list(draft, "images"), *entry = samc__coco_named(images, "file_name", name), *own;
    if (entry == NULL) {
        own = json_pack("{s:I, s:s}", "id", samc__coco_free_id(images), "file_name", name);
        return own != NULL && json_array_append_new(images, own) == 0 ? own : NULL;
    }
    for (size_t i = 0; i < json_array_size(images); i++) {
        if (json_array_get(images, i) != entry) continue;
        own = json_copy(entry);
        return own != NULL && json_array_set_new(images, i, own) == 0 ? own : NULL;
    }
    return NULL;
}

/* Puts the objects where the image's annotations were, each in its old place, new ones at the end. */
static samc_status replace(change *c, const json_t *objects, json_t *ids, samc_error *error) {
    json_t *old = samc__coco_list(c->draft, "annotations"), *list = json_array(), *made = json_object(), *added;
    samc_status status = SAMC_OK;
    char key[24];
    c->next = samc__coco_free_id(old);
    const json_int_t first_new = c->next;
    for (size_t i = 0; i < json_array_size(old); i++) {
        json_t *entry = json_array_get(old, i);
        if (samc__coco_int(entry, "image_id") != c->image) continue;
        snprintf(key, sizeof key, "%lld", (long long)samc__coco_int(entry, "id"));
        json_object_set(c->kept, key, entry);
    }
    for (size_t i = 0; i < json_array_size(objects) && status == SAMC_OK; i++) {
        added = NULL;
        status = one(c, json_array_get(objects, i), i, &added, error);
        if (status == SAMC_OK) {
            json_array_append(ids, json_object_get(added, "id"));
            snprintf(key, sizeof key, "%lld", (long long)samc__coco_int(added, "id"));
            if (json_object_get(made, key) != NULL) status = bad(error, i, "it is there twice");
            json_object_set(made, key, added);
        }
        json_decref(added);
    }
    for (size_t i = 0; i < json_array_size(old) && status == SAMC_OK; i++) {
        json_t *entry = json_array_get(old, i);
        snprintf(key, sizeof key, "%lld", (long long)samc__coco_int(entry, "id"));
        if (samc__coco_int(entry, "image_id") == c->image) entry = json_object_get(made, key);
        if (entry != NULL) json_array_append(list, entry);
    }
    for (size_t i = 0; i < json_array_size(ids) && status == SAMC_OK; i++) {
        const json_int_t id = json_integer_value(json_array_get(ids, i));
        snprintf(key, sizeof key, "%lld", (long long)id);
        if (id >= first_new) json_array_append(list, json_object_get(made, key));
    }
    json_decref(made);
    if (json_object_set_new(c->draft, "annotations", list) != 0 && status == SAMC_OK) status = no_memory(error);
    return status;
}

static samc_status draft_image(change *c, const char *name, const json_t *wanted, json_t *ids, samc_error *error) {
    const json_t *objects = json_object_get(wanted, "objects"), *done = json_object_get(wanted, "done");
    const json_int_t width = samc__coco_int(wanted, "width"), height = samc__coco_int(wanted, "height");
    if (width < 1 || height < 1 || width > 1 << 20 || height > 1 << 20 || width * height >= (json_int_t)1 << 32)
        return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "'width' and 'height' are those of the image");
    if (!json_is_array(objects) || !json_is_boolean(done))
        return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "'objects' is a list, 'done' true or false");
    json_t *entry = c->draft != NULL ? entry_of(c->draft, name) : NULL;
    if (entry == NULL || c->kept == NULL || ids == NULL) return no_memory(error);
    c->image = samc__coco_int(entry, "id");
    c->width = (int)width, c->height = (int)height;
    json_object_set_new(entry, "width", json_integer(width));
    json_object_set_new(entry, "height", json_integer(height));
    if (json_is_true(done)) json_object_set_new(entry, done_key, json_true());
    else json_object_del(entry, done_key);
    return replace(c, objects, ids, error);
}

samc_status samc__coco_set_image(samc__coco *coco, const char *name, const char *etag, const json_t *wanted,
                                 json_t **saved, samc_error *error) {
    char now[SAMC__ETAG];
    samc_status status = samc__coco_begin(coco, true, error);
    change c = {.draft = status == SAMC_OK ? draft_of(coco->root) : NULL, .kept = json_object()};
    json_t *ids = json_array();
    *saved = NULL;
    if (status == SAMC_OK) {
        const json_t *images = samc__coco_list(coco->root, "images");
        if (!etag_of_image(coco->root, samc__coco_named(images, "file_name", name), now)) status = no_memory(error);
        else if (strcmp(now, etag) != 0)
            status = samc__coco_fail(error, SAMC_MISMATCH, "somebody else changed the annotations of %s", name);
    }
    if (status == SAMC_OK) status = draft_image(&c, name, wanted, ids, error);
    if (status == SAMC_OK) {
        status = samc__coco_write(coco, json_incref(c.draft), error);
        const json_t *images = samc__coco_list(coco->root, "images");
        if (status == SAMC_OK && (!etag_of_image(coco->root, samc__coco_named(images, "file_name", name), now) ||
                                  (*saved = json_pack("{s:s, s:O}", "etag", now, "ids", ids)) == NULL))
            status = no_memory(error);
    }
    samc__coco_end(coco);
    json_decref(c.draft);
    json_decref(c.kept);
    json_decref(ids);
    return status;
}

/* ---- Classes --------------------------------------------------------------------------------- */

/* The wanted classes as categories, those that were there with what else they hold. */
static samc_status draft_classes(const json_t *root, const json_t *wanted, json_t *list, samc_error *error) {
    const json_t *old = samc__coco_list(root, "categories"), *annotations = samc__coco_list(root, "annotations");
    json_int_t next = samc__coco_free_id(old);
    if (!json_is_array(wanted)) return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "'classes' is a list");
    for (size_t i = 0; i < json_array_size(wanted); i++) {
        const json_t *one = json_array_get(wanted, i), *id = json_object_get(one, "id");
        const char *name = class_name(json_object_get(one, "name"));
        json_t *before = json_is_integer(id) ? samc__coco_find(old, json_integer_value(id)) : NULL;
        if (name == NULL || (id != NULL && before == NULL))
            return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "classes[%zu] has no 'name', or an unknown 'id'", i);
        if ((before == NULL && samc__coco_named(list, "name", name) != NULL) ||
            (before != NULL && samc__coco_find(list, json_integer_value(id)) != NULL))
            return samc__coco_fail(error, SAMC_INVALID_ARGUMENT, "the class '%s' is there twice", name);
        json_t *entry = before != NULL ? json_copy(before) : json_pack("{s:I}", "id", next++);
        if (entry == NULL || json_object_set_new(entry, "name", json_string(name)) != 0 ||
            json_array_append_new(list, entry) != 0)
            return no_memory(error);
    }
    for (size_t i = 0; i < json_array_size(annotations); i++) {
        const json_t *category = category_of(root, json_array_get(annotations, i));
        if (category != NULL && samc__coco_find(list, samc__coco_int(category, "id")) == NULL)
            return samc__coco_fail(error, SAMC_UNSUPPORTED, "the class '%s' is used",
                                   json_string_value(json_object_get(category, "name")));
    }
    return SAMC_OK;
}

samc_status samc__coco_set_classes(samc__coco *c, const char *etag, const json_t *wanted, json_t **classes,
                                   samc_error *error) {
    char now[SAMC__ETAG];
    samc_status status = samc__coco_begin(c, true, error);
    json_t *draft = status == SAMC_OK ? draft_of(c->root) : NULL, *list = json_array();
    if (status == SAMC_OK && (draft == NULL || list == NULL || !etag_of_classes(c->root, now)))
        status = no_memory(error);
    if (status == SAMC_OK && strcmp(now, etag) != 0)
        status = samc__coco_fail(error, SAMC_MISMATCH, "somebody else changed the classes");
    if (status == SAMC_OK) status = draft_classes(c->root, wanted, list, error);
    if (status == SAMC_OK) {
        json_object_set(draft, "categories", list);
        /* What was taken away stays away, although --classes asked for it. */
        free(c->classes);
        c->classes = NULL;
        status = samc__coco_write(c, json_incref(draft), error);
    }
    if (status == SAMC_OK) status = classes_of(c->root, classes, error);
    samc__coco_end(c);
    json_decref(draft);
    json_decref(list);
    return status;
}
