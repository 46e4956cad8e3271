/* Reads PyTorch's zip checkpoints: finds the state dictionary in the pickle and makes each tensor a view into its
 * stored bytes.
 *
 * Layout of the archive: NAME/data.pkl (the object graph), NAME/byteorder, NAME/data/KEY (one storage each). A tensor
 * in the graph is a call of torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...), where `storage` is the
 * persistent identifier ('storage', torch.FloatStorage, KEY, device, number of elements).
 */
#include <stdio.h>
#include <string.h>

#include "weights/pickle.h"
#include "weights/zip.h"

enum { MAX_FOLDER = 255 }; /* PyTorch takes the file's name without its suffix */

typedef struct reader {
    samc__checkpoint *checkpoint;
    samc_error *error;
    samc__zip zip;
    samc__pickle pickle;
    const char *folder; /* [folder_length] NAME, as in the entries' names */
    size_t folder_length;
} reader;

typedef struct element_type {
    const char *storage; /* class of typed storages, NULL where there is none */
    const char *name;    /* torch.NAME, given beside untyped storages */
    int size;
    samc__dtype dtype;
} element_type;

static const element_type element_types[] = {
    {"FloatStorage", "float32", 4, SAMC__F32},
    {"HalfStorage", "float16", 2, SAMC__F16},
    {"BFloat16Storage", "bfloat16", 2, SAMC__BF16},
    {"DoubleStorage", "float64", 8, SAMC__F64},
    {"LongStorage", "int64", 8, SAMC__OTHER},
    {"IntStorage", "int32", 4, SAMC__OTHER},
    {"ShortStorage", "int16", 2, SAMC__OTHER},
    {"CharStorage", "int8", 1, SAMC__OTHER},
    {"ByteStorage", "uint8", 1, SAMC__OTHER},
    {"BoolStorage", "bool", 1, SAMC__OTHER},
    {"ComplexFloatStorage", "complex64", 8, SAMC__OTHER},
    {"ComplexDoubleStorage", "complex128", 16, SAMC__OTHER},
    {NULL, "uint16", 2, SAMC__OTHER},
    {NULL, "uint32", 4, SAMC__OTHER},
    {NULL, "uint64", 8, SAMC__OTHER},
    {NULL, "float8_e4m3fn", 1, SAMC__OTHER},
    {NULL, "float8_e5m2", 1, SAMC__OTHER},
};

static samc_status tensor_error(const reader *r, const samc__text *name, const char *what) {
    return samc__fail(r->error, SAMC_FORMAT, "%s: tensor %s: %s", r->checkpoint->label, name->text, what);
}

static bool read_integer(const reader *r, uint32_t object, int64_t *value) {
    *value = r->pickle.objects[object].integer;
    return samc__pickle_is(&r->pickle, object) == SAMC__PICKLE_INTEGER;
}

/* ---- Tensors --------------------------------------------------------------------------------- */

/* Undoes wrappers around a tensor: Parameter(tensor, ...) and subclasses built by func(*args). Fills the arguments of
 * the rebuild call and returns how many there are; 0 if this is no call that samc knows to make a tensor. *v3: with
 * dtype. */
enum { REBUILD_ARGUMENTS = 8 };
static int rebuild_arguments(const reader *r, uint32_t object, uint32_t *arguments, bool *v3) {
    const samc__pickle *p = &r->pickle;
    static const char utils[] = "torch._utils";
    uint32_t function = 0, tuple = object;
    for (int depth = 0; depth < 4; depth++) {
        if (samc__pickle_is(p, object) == SAMC__PICKLE_CALL) {
            function = p->objects[object].a;
            tuple = p->objects[object].b;
            object = 0; /* object 0 is opaque */
        }
        if (samc__pickle_is(p, tuple) != SAMC__PICKLE_TUPLE) return 0;
        int count = samc__pickle_items(p, tuple, arguments, REBUILD_ARGUMENTS);
        if (count == 0 || count > REBUILD_ARGUMENTS) return 0;
        *v3 = samc__pickle_global_equals(p, function, utils, "_rebuild_tensor_v3");
        if (*v3 || samc__pickle_global_equals(p, function, utils, "_rebuild_tensor_v2") ||
            samc__pickle_global_equals(p, function, utils, "_rebuild_tensor"))
            return count;
        if (samc__pickle_global_equals(p, function, utils, "_rebuild_parameter") ||
            samc__pickle_global_equals(p, function, utils, "_rebuild_parameter_with_state")) {
            object = arguments[0];
            if (samc__pickle_is(p, object) != SAMC__PICKLE_CALL) return 0;
        } else if (samc__pickle_global_equals(p, function, "torch._tensor", "_rebuild_from_type_v2") && count >= 3) {
            function = arguments[0];
            tuple = arguments[2];
        } else {
            return 0;
        }
    }
    return 0;
}

static bool is_tensor(const reader *r, uint32_t object) {
    uint32_t arguments[REBUILD_ARGUMENTS];
    bool v3;
    return samc__pickle_is(&r->pickle, object) == SAMC__PICKLE_CALL && rebuild_arguments(r, object, arguments, &v3) > 0;
}

/* Finds the bytes of a storage. *type: NULL for an untyped storage. */
static samc_status read_storage(const reader *r, const samc__text *name, uint32_t object, const element_type **type,
                                const uint8_t **data, uint64_t *bytes) {
    const samc__pickle *p = &r->pickle;
    uint32_t part[5];
    int64_t elements;
    if (samc__pickle_is(p, object) != SAMC__PICKLE_PERSISTENT ||
        samc__pickle_items(p, p->objects[object].a, part, 5) != 5 ||
        !samc__pickle_string_equals(p, part[0], "storage") || samc__pickle_is(p, part[1]) != SAMC__PICKLE_GLOBAL ||
        samc__pickle_is(p, part[2]) != SAMC__PICKLE_STRING || !read_integer(r, part[4], &elements) || elements < 0)
        return tensor_error(r, name, "its storage is not described as PyTorch does");
    *type = NULL;
    for (size_t i = 0; i < sizeof element_types / sizeof *element_types; i++)
        if (element_types[i].storage != NULL &&
            samc__pickle_global_equals(p, part[1], "torch", element_types[i].storage))
            *type = &element_types[i];
    bool untyped = samc__pickle_global_equals(p, part[1], "torch", "UntypedStorage") ||
                   samc__pickle_global_equals(p, part[1], "torch.storage", "UntypedStorage");
    if (*type == NULL && !untyped) return tensor_error(r, name, "an unknown type of storage");

    const samc__pickle_object *key = &p->objects[part[2]];
    char entry_name[400];
    int length = snprintf(entry_name, sizeof entry_name, "%.*s/data/%.*s", (int)r->folder_length, r->folder,
                          key->length > 64 ? 64 : (int)key->length, (const char *)p->bytes + key->offset);
    const samc__zip_entry *entry = length > 0 && (size_t)length < sizeof entry_name && key->length <= 64
                                       ? samc__zip_find(&r->zip, entry_name, (size_t)length)
                                       : NULL;
    if (entry == NULL) return tensor_error(r, name, "its storage is not in the archive");
    SAMC__TRY(samc__zip_data(&r->zip, entry, data, r->error));
    uint64_t size = *type ? (uint64_t)(*type)->size : 1;
    if ((uint64_t)elements > entry->size / size) return tensor_error(r, name, "its storage is shorter than announced");
    *bytes = (uint64_t)elements * size;
    return SAMC_OK;
}

/* Reads shape and strides and makes sure that the last element lies inside the storage. */
static samc_status read_view(const reader *r, const samc__text *name, const uint32_t *arguments, int64_t available,
                             samc__tensor *tensor, int64_t *offset) {
    const samc__pickle *p = &r->pickle;
    uint32_t sides[SAMC__MAX_RANK], strides[SAMC__MAX_RANK];
    int rank = samc__pickle_items(p, arguments[2], sides, SAMC__MAX_RANK);
    if (samc__pickle_is(p, arguments[2]) != SAMC__PICKLE_TUPLE ||
        samc__pickle_is(p, arguments[3]) != SAMC__PICKLE_TUPLE ||
        samc__pickle_items(p, arguments[3], strides, SAMC__MAX_RANK) != rank || !read_integer(r, arguments[1], offset))
        return tensor_error(r, name, "its shape and strides are not two tuples");
    if (rank > SAMC__MAX_RANK) return tensor_error(r, name, "too many dimensions");
    tensor->rank = rank;
    int64_t last = *offset, elements;
    bool inside = *offset >= 0;
    for (int i = 0; i < rank && inside; i++) {
        int64_t reach;
        inside = read_integer(r, sides[i], &tensor->shape[i]) && read_integer(r, strides[i], &tensor->stride[i]) &&
                 tensor->shape[i] >= 0 && tensor->stride[i] >= 0 &&
                 !__builtin_mul_overflow(tensor->shape[i] - 1, tensor->stride[i], &reach) &&
                 !__builtin_add_overflow(last, tensor->shape[i] > 0 ? reach : 0, &last);
    }
    if (!inside || !samc__shape_elements(rank, tensor->shape, &elements))
        return tensor_error(r, name, "impossible shape, strides or offset");
    if (elements == 0 ? *offset > available : last >= available)
        return tensor_error(r, name, "reaches beyond its storage");
    return SAMC_OK;
}

static samc_status read_tensor(const reader *r, const samc__text *name, uint32_t object, samc__tensor *tensor) {
    uint32_t arguments[REBUILD_ARGUMENTS];
    bool v3 = false;
    int count = rebuild_arguments(r, object, arguments, &v3);
    if (count < (v3 ? 7 : 4)) return tensor_error(r, name, "too few arguments to rebuild it");
    const element_type *type = NULL;
    const uint8_t *data = NULL;
    uint64_t bytes = 0;
    SAMC__TRY(read_storage(r, name, arguments[0], &type, &data, &bytes));
    if (v3) {
        type = NULL;
        for (size_t i = 0; i < sizeof element_types / sizeof *element_types; i++)
            if (samc__pickle_global_equals(&r->pickle, arguments[6], "torch", element_types[i].name))
                type = &element_types[i];
    }
    if (type == NULL) return tensor_error(r, name, "an unknown element type");
    int64_t offset = 0;
    SAMC__TRY(read_view(r, name, arguments, (int64_t)(bytes / (uint64_t)type->size), tensor, &offset));
    tensor->dtype = type->dtype;
    tensor->data = data + (size_t)offset * (size_t)type->size;
    return SAMC_OK;
}

/* ---- The dictionaries ------------------------------------------------------------------------ */

/* Bounds of the walk through nested dictionaries: far above what training scripts write, and an object of the pickle
 * may be reached over many paths. */
enum { MAX_DEPTH = 8, MAX_KEYS = 1 << 20 };

/* A walk from the root down: tensors are added under the keys that lead to them, with dots between. */
typedef struct walk {
    char path[SAMC__MAX_NAME + 1]; /* of the dictionary that is being read, with a dot at its end; "" for the root */
    size_t length;
    size_t keys; /* seen so far, in all dictionaries */
} walk;

/* The path and the key have SAMC__MAX_NAME characters at most. */
static samc_status add_tensor(reader *r, const walk *w, const char *key, size_t length, uint32_t value) {
    char name[SAMC__MAX_NAME];
    memcpy(name, w->path, w->length);
    memcpy(name + w->length, key, length);
    const samc__text shown = samc__printable(name, w->length + length);
    if (memchr(key, '\0', length) != NULL) return tensor_error(r, &shown, "a zero byte in its name");
    /* A call that makes no tensor samc knows stays without data: an error only if the model needs it. What is wrong
     * with a tensor is asked again once the model is known, and does not matter outside it. */
    samc__tensor tensor = {.dtype = SAMC__OTHER, .source = value};
    const reader quiet = {.checkpoint = r->checkpoint,
                          .zip = r->zip,
                          .pickle = r->pickle,
                          .folder = r->folder,
                          .folder_length = r->folder_length};
    if (is_tensor(r, value) && read_tensor(&quiet, &shown, value, &tensor) != SAMC_OK)
        tensor = (samc__tensor){.dtype = SAMC__OTHER, .source = value};
    return samc__checkpoint_add(r->checkpoint, name, w->length + length, &tensor, r->error);
}

static samc_status walk_dictionary(reader *r, walk *w, uint32_t dictionary, int depth) {
    const samc__pickle *p = &r->pickle;
    const size_t own = w->length;
    for (uint32_t cell = p->objects[dictionary].first; cell != 0;) {
        const samc__pickle_object *key = &p->objects[p->cells[cell].object];
        uint32_t value_cell = p->cells[cell].next, value = p->cells[value_cell].object;
        cell = p->cells[value_cell].next;
        if (++w->keys > MAX_KEYS)
            return samc__fail(r->error, SAMC_UNSUPPORTED,
                              "%s: more than %d keys in nested dictionaries; save the model's state_dict() alone",
                              r->checkpoint->label, MAX_KEYS);
        if (key->kind != SAMC__PICKLE_STRING || key->length > SAMC__MAX_NAME - own)
            continue; /* no name of the model's */
        const char *text = (const char *)p->bytes + key->offset;
        if (samc__pickle_is(p, value) == SAMC__PICKLE_CALL) {
            SAMC__TRY(add_tensor(r, w, text, key->length, value));
        } else if (samc__pickle_is(p, value) == SAMC__PICKLE_DICT && depth < MAX_DEPTH &&
                   key->length < SAMC__MAX_NAME - own && memchr(text, '\0', key->length) == NULL) {
            memcpy(w->path + own, text, key->length);
            w->path[own + key->length] = '.';
            w->length = own + key->length + 1;
            SAMC__TRY(walk_dictionary(r, w, value, depth + 1));
            w->length = own;
        }
    }
    return SAMC_OK;
}

/* Asks again for every tensor of the model that could not be read, this time for the reason. */
static samc_status require_tensors(const reader *r) {
    for (size_t i = 0; i < r->checkpoint->count; i++) {
        samc__tensor *tensor = &r->checkpoint->tensors[i];
        if (tensor->data != NULL || !is_tensor(r, tensor->source)) continue;
        const samc__text shown = samc__printable(tensor->name, strlen(tensor->name));
        SAMC__TRY(read_tensor(r, &shown, tensor->source, tensor));
    }
    return SAMC_OK;
}

static samc_status read_pickle(reader *r, const samc__zip_entry *entry) {
    const uint8_t *bytes;
    SAMC__TRY(samc__zip_data(&r->zip, entry, &bytes, r->error));
    SAMC__TRY(samc__pickle_parse(bytes, (size_t)entry->size, r->checkpoint->label, &r->pickle, r->error));
    const bool dictionary = samc__pickle_is(&r->pickle, r->pickle.root) == SAMC__PICKLE_DICT;
    walk w = {.length = 0};
    if (dictionary) SAMC__TRY(walk_dictionary(r, &w, r->pickle.root, 0));
    bool any = false;
    for (size_t i = 0; i < r->checkpoint->count && !any; i++) any = is_tensor(r, r->checkpoint->tensors[i].source);
    if (!any) {
        /* What YOLO's and FastSAM's files hold is an object of their own program. */
        bool ultralytics = memmem(bytes, (size_t)entry->size, "ultralytics", strlen("ultralytics")) != NULL;
        return samc__fail(
            r->error, SAMC_FORMAT, "%s: holds %s%s; save the model's state_dict(), alone or in a dictionary",
            r->checkpoint->label, dictionary ? "no tensors by name" : "a Python object instead of tensors by name",
            ultralytics ? " but a model of Ultralytics (YOLO or FastSAM), another architecture" : "");
    }
    if (r->checkpoint->part) return SAMC_OK;
    SAMC__TRY(samc__checkpoint_select(r->checkpoint, r->error));
    return require_tensors(r);
}

/* ---- The archive ----------------------------------------------------------------------------- */

static bool ends(const samc__zip_entry *entry, const char *tail) {
    size_t length = strlen(tail);
    return entry->name_length >= length && memcmp(entry->name + entry->name_length - length, tail, length) == 0;
}

/* Says what the archive is instead, by the names in it. */
static samc_status no_checkpoint(const reader *r) {
    static const struct {
        const char *tail, *what;
    } kinds[] = {{".npy", "a NumPy archive (.npz)"},
                 {"exported_program.json", "a program of torch.export"},
                 {"archive_format", "a program of torch.export"},
                 {"model.weights.h5", "a Keras model"},
                 {"[Content_Types].xml", "an office document"}};
    static const char *const models[] = {".pth", ".pt", ".ckpt", ".safetensors", ".bin", ".onnx"};
    for (size_t i = 0; i < r->zip.count; i++) {
        const samc__zip_entry *entry = &r->zip.entries[i];
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            if (ends(entry, kinds[k].tail))
                return samc__fail(r->error, SAMC_FORMAT, "%s: %s, and no PyTorch checkpoint (no data.pkl in it)",
                                  r->checkpoint->label, kinds[k].what);
        for (size_t k = 0; k < sizeof models / sizeof *models; k++)
            if (ends(entry, models[k]))
                return samc__fail(r->error, SAMC_FORMAT, "%s: a zip archive with %s in it; unpack it first",
                                  r->checkpoint->label, samc__printable(entry->name, entry->name_length).text);
    }
    return samc__fail(r->error, SAMC_FORMAT, "%s: a zip archive, but no PyTorch checkpoint (no data.pkl in it)",
                      r->checkpoint->label);
}

/* The one entry NAME/data.pkl gives the folder of all others. */
static samc_status find_pickle(reader *r, const samc__zip_entry **found) {
    static const char tail[] = "/data.pkl";
    bool script = false;
    *found = NULL;
    for (size_t i = 0; i < r->zip.count; i++) {
        const samc__zip_entry *entry = &r->zip.entries[i];
        const char *slash = memchr(entry->name, '/', entry->name_length);
        if (slash == NULL) continue;
        size_t folder = (size_t)(slash - entry->name), rest = entry->name_length - folder;
        if (rest == strlen("/constants.pkl") && memcmp(slash, "/constants.pkl", rest) == 0) script = true;
        if (rest != strlen(tail) || memcmp(slash, tail, rest) != 0) continue;
        if (*found != NULL)
            return samc__fail(r->error, SAMC_FORMAT, "%s: two data.pkl in one archive", r->checkpoint->label);
        *found = entry;
        r->folder = entry->name;
        r->folder_length = folder;
    }
    if (script)
        return samc__fail(r->error, SAMC_UNSUPPORTED,
                          "%s: a TorchScript program; save the model's state_dict() instead", r->checkpoint->label);
    if (*found == NULL || r->folder_length > MAX_FOLDER) return no_checkpoint(r);
    return SAMC_OK;
}

static samc_status check_byte_order(const reader *r) {
    char name[320];
    int length = snprintf(name, sizeof name, "%.*s/byteorder", (int)r->folder_length, r->folder);
    const samc__zip_entry *entry = samc__zip_find(&r->zip, name, (size_t)length);
    const uint8_t *text;
    if (entry == NULL) return SAMC_OK; /* before PyTorch 2.1; always little-endian in practice */
    SAMC__TRY(samc__zip_data(&r->zip, entry, &text, r->error));
    if (entry->size == 6 && memcmp(text, "little", 6) == 0) return SAMC_OK;
    return samc__fail(r->error, SAMC_UNSUPPORTED, "%s: its numbers are not little-endian; re-save it on such a machine",
                      r->checkpoint->label);
}

samc_status samc__pth_read(samc__checkpoint *checkpoint, samc_error *error) {
    reader r = {.checkpoint = checkpoint, .error = error};
    const samc__zip_entry *pickle = NULL;
    SAMC__TRY(samc__zip_open(checkpoint->bytes, checkpoint->size, checkpoint->label, &r.zip, error));
    samc_status status = find_pickle(&r, &pickle);
    if (status == SAMC_OK) status = check_byte_order(&r);
    if (status == SAMC_OK) status = read_pickle(&r, pickle);
    samc__pickle_free(&r.pickle);
    samc__zip_close(&r.zip);
    return status;
}
