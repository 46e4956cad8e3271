/* Reading tensors; every length is checked before it is followed. */
#include "host/serve/tensors.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes; /* of an element; 0: they differ */
} types[SAMC__TENSOR_TYPES] = {{"BOOL", 1}, {"UINT8", 1}, {"INT32", 4}, {"INT64", 8}, {"FP32", 4}, {"BYTES", 0}};

enum { MOST_ELEMENTS = 1 << 30 };

const char *samc__oip_name(samc__oip_type type) { return types[type].name; }

void samc__oip_free(samc__oip *t) {
    json_decref(t->json);
    *t = (samc__oip){0};
}

const samc__oip_input *samc__oip_find(const samc__oip *all, const char *name) {
    for (int i = 0; i < all->count; i++)
        if (strcmp(all->tensor[i].name, name) == 0) return &all->tensor[i];
    return NULL;
}

static const char *read_shape(const json_t *shape, samc__oip_input *t) {
    const size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > SAMC__TENSOR_RANK) return "an input has no shape of at most four numbers";
    t->rank = (int)rank;
    t->count = 1;
    for (size_t i = 0; i < rank; i++) {
        const json_t *side = json_array_get(shape, i);
        const json_int_t n = json_is_integer(side) ? json_integer_value(side) : -1;
        if (n < 0 || n > MOST_ELEMENTS || t->count * n > MOST_ELEMENTS) return "an input's shape is too large, or none";
        t->shape[i] = n;
        t->count *= n;
    }
    return NULL;
}

/* The bytes behind the JSON that are this tensor's; they are taken in the order of the inputs. */
static const char *read_binary(const json_t *size, const char **at, const char *end, samc__oip_input *t) {
    const json_int_t bytes = json_is_integer(size) ? json_integer_value(size) : -1;
    if (bytes < 0 || bytes > end - *at) return "an input's binary_data_size is more than what follows the JSON";
    if (types[t->type].bytes != 0 && (json_int_t)types[t->type].bytes * t->count != bytes)
        return "an input's binary_data_size is not that of its shape";
    t->bytes = (const unsigned char *)*at;
    t->size = (size_t)bytes;
    *at += bytes;
    return NULL;
}

static const char *read_input(const json_t *input, const char **at, const char *end, samc__oip_input *t) {
    const json_t *size = json_object_get(json_object_get(input, "parameters"), "binary_data_size");
    const char *type = json_string_value(json_object_get(input, "datatype")), *wrong;
    t->name = json_string_value(json_object_get(input, "name"));
    if (t->name == NULL || type == NULL) return "an input has no name or no datatype";
    int i = 0;
    while (i < SAMC__TENSOR_TYPES && strcmp(types[i].name, type) != 0) i++;
    if (i == SAMC__TENSOR_TYPES) return "an input's datatype is not BOOL, UINT8, INT32, INT64, FP32 or BYTES";
    t->type = (samc__oip_type)i;
    if ((wrong = read_shape(json_object_get(input, "shape"), t)) != NULL) return wrong;
    if (size != NULL) return read_binary(size, at, end, t);
    t->data = json_object_get(input, "data");
    return json_is_array(t->data) ? NULL : "an input has neither data nor binary_data_size";
}

const char *samc__oip_read(const char *body, size_t size, size_t header, samc__oip *all) {
    *all = (samc__oip){0};
    if (header > size) return "Inference-Header-Content-Length is more than the body";
    if (header == 0) return "there is no JSON"; /* and perhaps no body at all */
    const char *at = body + header, *end = body + size, *wrong = NULL;
    json_error_t error;
    all->json = json_loadb(body, header, JSON_REJECT_DUPLICATES, &error);
    const json_t *inputs = json_object_get(all->json, "inputs");
    if (all->json == NULL) return "the JSON cannot be read";
    if (!json_is_array(inputs) || json_array_size(inputs) > SAMC__TENSORS)
        return "'inputs' is not a list of at most 16";
    for (size_t i = 0; i < json_array_size(inputs) && wrong == NULL; i++)
        wrong = read_input(json_array_get(inputs, i), &at, end, &all->tensor[all->count++]);
    if (wrong == NULL && at != end) wrong = "there are more bytes than the inputs say";
    return wrong;
}

/* ---- Elements -------------------------------------------------------------------------------- */

/* The next scalar of lists in lists, no deeper than a shape is: `where` counts through each level. */
typedef struct walk {
    const json_t *list[SAMC__TENSOR_RANK + 1];
    size_t next[SAMC__TENSOR_RANK + 1];
    int depth;
    bool failed;
} walk;

static const json_t *next_scalar(walk *w) {
    while (w->depth >= 0) {
        const json_t *list = w->list[w->depth];
        if (w->next[w->depth] == json_array_size(list)) {
            w->depth--;
            continue;
        }
        const json_t *element = json_array_get(list, w->next[w->depth]++);
        if (!json_is_array(element)) return element;
        if (w->depth == SAMC__TENSOR_RANK) break;
        w->list[++w->depth] = element;
        w->next[w->depth] = 0;
    }
    w->failed = w->depth >= 0;
    return NULL;
}

static bool number_of(const json_t *json, double *value) {
    *value = json_is_boolean(json) ? (double)json_is_true(json) : json_number_value(json);
    return json_is_boolean(json) || json_is_number(json);
}

static double element_at(const samc__oip_input *t, int64_t i) {
    const unsigned char *from = t->bytes + (size_t)i * types[t->type].bytes;
    int32_t small;
    int64_t large;
    float real;
    switch (t->type) {
    case SAMC__TENSOR_INT32:
        memcpy(&small, from, sizeof small);
        return small;
    case SAMC__TENSOR_INT64:
        memcpy(&large, from, sizeof large);
        return (double)large;
    case SAMC__TENSOR_FP32:
        memcpy(&real, from, sizeof real);
        return (double)real;
    default:
        return *from;
    }
}

bool samc__oip_numbers(const samc__oip_input *t, float *to, int64_t most) {
    walk w = {.list = {t->data}};
    if (t->count > most || t->type == SAMC__TENSOR_BYTES) return false;
    for (int64_t i = 0; i < t->count; i++) {
        double value = 0;
        if (t->bytes != NULL) value = element_at(t, i);
        else if (!number_of(next_scalar(&w), &value)) return false;
        if (!isfinite(value) || fabs(value) > 1e7) return false;
        to[i] = (float)value;
    }
    return t->bytes != NULL || (next_scalar(&w) == NULL && !w.failed);
}

bool samc__oip_octets(const samc__oip_input *t, unsigned char *to) {
    walk w = {.list = {t->data}};
    if (t->type != SAMC__TENSOR_UINT8) return false;
    if (t->bytes != NULL) {
        memcpy(to, t->bytes, (size_t)t->count);
        return true;
    }
    for (int64_t i = 0; i < t->count; i++) {
        const json_t *json = next_scalar(&w);
        if (!json_is_integer(json) || json_integer_value(json) < 0 || json_integer_value(json) > 255) return false;
        to[i] = (unsigned char)json_integer_value(json);
    }
    return next_scalar(&w) == NULL && !w.failed;
}

bool samc__oip_string(const samc__oip_input *t, const unsigned char **bytes, size_t *size) {
    enum { LENGTH = 4 };
    if (t->type != SAMC__TENSOR_BYTES || t->count != 1 || t->bytes == NULL || t->size < LENGTH) return false;
    const unsigned char *b = t->bytes;
    *bytes = b + LENGTH;
    *size = (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
    return *size == t->size - LENGTH;
}
