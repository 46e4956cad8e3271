/* Opens a checkpoint by its content, indexes its tensors by SAM's own names, and reads values from strided, unaligned
 * views. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/kind.h"
#include "weights/reader.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "weights are used in place, as little-endian numbers"
#endif

samc__text samc__printable(const char *bytes, size_t length) {
    samc__text result;
    enum { LIMIT = 90 };
    size_t shown = length < LIMIT ? length : LIMIT - 3, used = 0;
    for (; used < shown; used++) result.text[used] = bytes[used] >= ' ' && bytes[used] < 0x7f ? bytes[used] : '?';
    memcpy(result.text + used, "...", 3);
    result.text[length < LIMIT ? used : used + 3] = '\0';
    return result;
}

bool samc__shape_elements(int rank, const int64_t *shape, int64_t *elements) {
    int64_t product = 1;
    bool empty = false;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0) return false;
        if (shape[i] == 0) {
            empty = true; /* the other sides are still checked: an empty tensor must not smuggle in a wild shape */
        } else if (__builtin_mul_overflow(product, shape[i], &product)) {
            return false;
        }
    }
    *elements = empty ? 0 : product;
    return product <= INT64_MAX / 16; /* no element type has more than 16 bytes */
}

/* ---- Building -------------------------------------------------------------------------------- */

/* Makes room for one more element; false when memory is short. */
static bool grow(void **array, size_t count, size_t *capacity, size_t element) {
    if (count < *capacity) return true;
    size_t wanted = *capacity ? *capacity * 2 : 64;
    void *larger = realloc(*array, wanted * element);
    if (larger == NULL) return false;
    *array = larger;
    *capacity = wanted;
    return true;
}

samc_status samc__checkpoint_add(samc__checkpoint *checkpoint, const char *name, size_t name_length,
                                 const samc__tensor *tensor, samc_error *error) {
    if (name_length > SAMC__MAX_NAME)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s: a name of %zu characters", checkpoint->label,
                          samc__printable(name, name_length).text, name_length);
    if (checkpoint->count == SAMC__MAX_TENSORS)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: more than %d tensors", checkpoint->label, SAMC__MAX_TENSORS);
    void *array = checkpoint->tensors;
    bool room = grow(&array, checkpoint->count, &checkpoint->capacity, sizeof *checkpoint->tensors);
    checkpoint->tensors = array;
    char *copy = room ? malloc(name_length + 1) : NULL;
    if (copy == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    memcpy(copy, name, name_length);
    copy[name_length] = '\0';
    samc__tensor *added = &checkpoint->tensors[checkpoint->count++];
    *added = *tensor;
    added->name = copy;
    return SAMC_OK;
}

samc_status samc__checkpoint_add_metadata(samc__checkpoint *checkpoint, const char *key, const char *value,
                                          samc_error *error) {
    void *array = checkpoint->metadata;
    bool room = grow(&array, checkpoint->metadata_count, &checkpoint->metadata_capacity, sizeof *checkpoint->metadata);
    checkpoint->metadata = array;
    samc__metadata added = {room ? strdup(key) : NULL, room ? strdup(value) : NULL};
    if (added.key == NULL || added.value == NULL) {
        free(added.key);
        free(added.value);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    }
    checkpoint->metadata[checkpoint->metadata_count++] = added;
    return SAMC_OK;
}

static int compare_names(const void *a, const void *b) {
    return strcmp(((const samc__tensor *)a)->name, ((const samc__tensor *)b)->name);
}

/* True where both tensors have the same values, as stored. */
static bool same_values(const samc__tensor *a, const samc__tensor *b) {
    enum { CHUNK = 512 };
    uint8_t x[CHUNK * 8], y[CHUNK * 8];
    if (a->dtype != b->dtype || a->dtype == SAMC__OTHER || a->rank != b->rank || a->data == NULL || b->data == NULL ||
        memcmp(a->shape, b->shape, (size_t)a->rank * sizeof *a->shape) != 0)
        return false;
    const int64_t elements = samc__tensor_elements(a);
    for (int64_t first = 0; first < elements; first += CHUNK) {
        int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
        samc__tensor_copy_raw(a, first, now, x);
        samc__tensor_copy_raw(b, first, now, y);
        if (memcmp(x, y, (size_t)now * samc__dtype_size(a->dtype)) != 0) return false;
    }
    return true;
}

/* Sorts by name; no name may occur twice. */
static samc_status order(samc__checkpoint *checkpoint, samc_error *error) {
    size_t left = 0;
    if (checkpoint->count > 1)
        qsort(checkpoint->tensors, checkpoint->count, sizeof *checkpoint->tensors, compare_names);
    for (size_t i = 0; i < checkpoint->count; i++) {
        const samc__tensor *tensor = &checkpoint->tensors[i],
                           *before = left > 0 ? &checkpoint->tensors[left - 1] : NULL;
        if (before != NULL && strcmp(tensor->name, before->name) == 0) {
            /* Hugging Face's layout has one table under two names. */
            if (!checkpoint->huggingface || !same_values(tensor, before))
                return samc__fail(error, SAMC_FORMAT, "%s: tensor %s occurs twice", checkpoint->label,
                                  samc__printable(tensor->name, strlen(tensor->name)).text);
            free((char *)tensor->name);
            checkpoint->tensors[i].name = NULL;
            continue;
        }
        samc__tensor moved = *tensor;
        if (left != i) checkpoint->tensors[i].name = NULL; /* owned once, should this end early */
        checkpoint->tensors[left++] = moved;
    }
    checkpoint->count = left;
    return SAMC_OK;
}

static samc_status finish(samc__checkpoint *checkpoint, samc_error *error) {
    size_t wide = 0;
    SAMC__TRY(order(checkpoint, error));
    if (checkpoint->part) return SAMC_OK;
    SAMC__TRY(samc__checkpoint_fold(checkpoint, error));
    if (checkpoint->folded != NULL) SAMC__TRY(order(checkpoint, error));
    for (size_t i = 0; i < checkpoint->count; i++) wide += checkpoint->tensors[i].dtype == SAMC__F64;
    if (wide > 0)
        samc__checkpoint_add_note(checkpoint, "%zu tensor%s of f64 narrowed to f32", wide, wide > 1 ? "s" : "");
    return SAMC_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static bool starts(const samc__checkpoint *checkpoint, size_t at, const char *magic, size_t length) {
    return checkpoint->size >= at + length && memcmp(checkpoint->bytes + at, magic, length) == 0;
}

/* PyTorch's very first format was a tar of these. */
static bool old_tar(const samc__checkpoint *checkpoint) {
    static const char *const members[] = {"sys_info", "pickle", "tensors", "storages"};
    if (!starts(checkpoint, 257, "ustar", 5)) return false;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (strncmp((const char *)checkpoint->bytes, members[i], 100) == 0) return true;
    return false;
}

/* Tells the container by its first bytes; a file's name says nothing about what a download really holds. */
static samc_status read_any(samc__checkpoint *checkpoint, samc_error *error) {
    const char *label = checkpoint->label, *advice;
    const bool json =
        checkpoint->size >= 8 && checkpoint->bytes[0] == '{' && memchr(checkpoint->bytes, 0, 8) == NULL; /* no length */
    if (starts(checkpoint, 0, "PK\3\4", 4)) return samc__pth_read(checkpoint, error);
    if (starts(checkpoint, 8, "{", 1) && !json) return samc__safetensors_read(checkpoint, error);
    if (json && memmem(checkpoint->bytes, checkpoint->size, "\"weight_map\"", strlen("\"weight_map\"")) != NULL)
        return samc__index_read(checkpoint, error);
    bool pickle =
        checkpoint->size >= 2 && checkpoint->bytes[0] == 0x80 && checkpoint->bytes[1] >= 2 && checkpoint->bytes[1] <= 5;
    if (pickle || old_tar(checkpoint))
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: a checkpoint in PyTorch's old format (before 1.6); re-save it in Python with "
                          "torch.save(torch.load(p), q)",
                          label);
    const char *kind = samc__kind_of(checkpoint->bytes, checkpoint->size, &advice);
    if (kind != NULL)
        return samc__fail(error, SAMC_FORMAT, "%s: %s, and neither safetensors nor a PyTorch checkpoint%s", label, kind,
                          advice);
    if (checkpoint->size < 9) return samc__fail(error, SAMC_FORMAT, "%s: too short to be a model", label);
    return samc__fail(error, SAMC_FORMAT, "%s: neither safetensors nor a PyTorch checkpoint", label);
}

static samc_status new_checkpoint(const char *path, samc__checkpoint **checkpoint, samc_error *error) {
    enum { LABEL = 200 };
    *checkpoint = calloc(1, sizeof **checkpoint);
    char *copy = strdup(path);
    if (*checkpoint == NULL || copy == NULL) {
        free(*checkpoint);
        free(copy);
        *checkpoint = NULL;
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory");
    }
    size_t length = strlen(copy);
    (*checkpoint)->path = copy;
    (*checkpoint)->label = length > LABEL ? copy + length - LABEL : copy;
    return SAMC_OK;
}

static samc_status map_file(samc__checkpoint *checkpoint, samc_error *error) {
    /* O_NONBLOCK: opening a pipe must not wait for its writer before it can be refused. */
    int file = open(checkpoint->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return samc__fail(error, SAMC_IO, "%s: %s", checkpoint->label, strerror(errno));
    struct stat about;
    samc_status status = SAMC_OK;
    if (fstat(file, &about) != 0) {
        status = samc__fail(error, SAMC_IO, "%s: %s", checkpoint->label, strerror(errno));
    } else if (!S_ISREG(about.st_mode)) {
        status = samc__fail(error, SAMC_IO, "%s: not a regular file", checkpoint->label);
    } else if (about.st_size == 0) {
        status = samc__fail(error, SAMC_FORMAT, "%s: the file is empty", checkpoint->label);
    } else {
        void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (bytes == MAP_FAILED) {
            status = samc__fail(error, SAMC_IO, "%s: cannot map: %s", checkpoint->label, strerror(errno));
        } else {
            checkpoint->bytes = bytes;
            checkpoint->size = (size_t)about.st_size;
            checkpoint->mapped = true;
        }
    }
    close(file);
    return status;
}

static samc_status open_with(const char *path, const void *bytes, size_t size, bool part, samc__checkpoint **checkpoint,
                             samc_error *error) {
    *checkpoint = NULL;
    samc__checkpoint *opened = NULL;
    SAMC__TRY(new_checkpoint(path, &opened, error));
    samc_status status = SAMC_OK;
    opened->part = part;
    if (bytes != NULL) {
        opened->bytes = bytes;
        opened->size = size;
    } else {
        status = map_file(opened, error);
    }
    if (status == SAMC_OK) status = read_any(opened, error);
    if (status == SAMC_OK) status = finish(opened, error);
    if (status == SAMC_OK && bytes == NULL && opened->alone) status = samc__beside_read(opened, error);
    if (status == SAMC_OK) {
        *checkpoint = opened;
    } else {
        samc__checkpoint_close(opened);
    }
    return status;
}

samc_status samc__checkpoint_open(const char *path, samc__checkpoint **checkpoint, samc_error *error) {
    char inside[4096];
    struct stat about;
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode)) return open_with(path, NULL, 0, false, checkpoint, error);
    samc__checkpoint *named = NULL; /* for its label */
    *checkpoint = NULL;
    SAMC__TRY(new_checkpoint(path, &named, error));
    samc_status status = samc__folder_find(path, named->label, inside, sizeof inside, error);
    samc__checkpoint_close(named);
    return status == SAMC_OK ? open_with(inside, NULL, 0, false, checkpoint, error) : status;
}

samc_status samc__checkpoint_open_part(const char *path, samc__checkpoint **part, samc_error *error) {
    return open_with(path, NULL, 0, true, part, error);
}

samc_status samc__checkpoint_open_memory(const void *bytes, size_t size, const char *path,
                                         samc__checkpoint **checkpoint, samc_error *error) {
    return open_with(path, bytes, size, false, checkpoint, error);
}

void samc__checkpoint_forget_bytes(samc__checkpoint *checkpoint) {
    if (checkpoint->mapped) munmap((void *)checkpoint->bytes, checkpoint->size);
    checkpoint->bytes = NULL;
    checkpoint->size = 0;
    checkpoint->mapped = false;
}

void samc__checkpoint_close(samc__checkpoint *checkpoint) {
    if (checkpoint == NULL) return;
    for (size_t i = 0; i < checkpoint->count; i++) free((char *)checkpoint->tensors[i].name);
    for (size_t i = 0; i < checkpoint->metadata_count; i++) {
        free(checkpoint->metadata[i].key);
        free(checkpoint->metadata[i].value);
    }
    free(checkpoint->tensors);
    free(checkpoint->folded);
    free(checkpoint->metadata);
    samc__checkpoint_forget_bytes(checkpoint);
    for (size_t i = 0; i < checkpoint->part_count; i++) samc__checkpoint_close(checkpoint->parts[i]);
    for (int i = 0; i < SAMC__BESIDE; i++) free(checkpoint->beside[i]);
    free(checkpoint->parts);
    free(checkpoint->path);
    free(checkpoint);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

const char *samc__checkpoint_note(const samc__checkpoint *checkpoint) { return checkpoint->note; }

bool samc__checkpoint_owns(const samc__checkpoint *checkpoint, const void *at) {
    const float *value = at, *folded = checkpoint->folded;
    return folded != NULL && value >= folded && value < folded + checkpoint->folded_count;
}

const char *samc__checkpoint_path(const samc__checkpoint *checkpoint) { return checkpoint->path; }

size_t samc__checkpoint_bytes(const samc__checkpoint *checkpoint) { return checkpoint->size; }

size_t samc__checkpoint_files(const samc__checkpoint *checkpoint) {
    return checkpoint->part_count > 0 ? checkpoint->part_count : 1;
}

const void *samc__checkpoint_file(const samc__checkpoint *checkpoint, size_t index, size_t *size) {
    const samc__checkpoint *file = checkpoint->part_count > 0 ? checkpoint->parts[index] : checkpoint;
    *size = file->size;
    return file->bytes;
}

size_t samc__checkpoint_count(const samc__checkpoint *checkpoint) { return checkpoint->count; }

const samc__tensor *samc__checkpoint_at(const samc__checkpoint *checkpoint, size_t index) {
    return &checkpoint->tensors[index];
}

const samc__tensor *samc__checkpoint_find(const samc__checkpoint *checkpoint, const char *name) {
    samc__tensor key = {.name = name};
    if (checkpoint->count == 0) return NULL;
    return bsearch(&key, checkpoint->tensors, checkpoint->count, sizeof key, compare_names);
}

const char *samc__checkpoint_metadata(const samc__checkpoint *checkpoint, const char *key) {
    for (size_t i = 0; i < checkpoint->metadata_count; i++)
        if (strcmp(checkpoint->metadata[i].key, key) == 0) return checkpoint->metadata[i].value;
    return NULL;
}

/* ---- Values ---------------------------------------------------------------------------------- */

int64_t samc__tensor_elements(const samc__tensor *tensor) {
    int64_t elements = 1;
    for (int i = 0; i < tensor->rank; i++) elements *= tensor->shape[i];
    return elements;
}

void samc__tensor_drop(const samc__checkpoint *checkpoint, const samc__tensor *tensor) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    int64_t last = 0; /* strides are not negative */
    for (int i = 0; i < tensor->rank; i++) last += (tensor->shape[i] - 1) * tensor->stride[i];
    if ((!checkpoint->mapped && checkpoint->part_count == 0) || samc__tensor_elements(tensor) == 0) return;
    if (samc__checkpoint_owns(checkpoint, tensor->data)) return;
    uintptr_t begin = (uintptr_t)tensor->data, end = begin + (uintptr_t)(last + 1) * samc__dtype_size(tensor->dtype);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

void samc__checkpoint_drop(const samc__checkpoint *checkpoint) {
    if (checkpoint->mapped) madvise((void *)checkpoint->bytes, checkpoint->size, MADV_DONTNEED);
    for (size_t i = 0; i < checkpoint->part_count; i++) samc__checkpoint_drop(checkpoint->parts[i]);
}

static bool row_major(const samc__tensor *tensor) {
    int64_t expected = 1;
    for (int i = tensor->rank; i-- > 0;) {
        if (tensor->shape[i] != 1 && tensor->stride[i] != expected) return false;
        expected *= tensor->shape[i];
    }
    return true;
}

void samc__tensor_copy_raw(const samc__tensor *tensor, int64_t first, int64_t count, void *out) {
    size_t size = samc__dtype_size(tensor->dtype);
    const uint8_t *data = tensor->data;
    uint8_t *to = out;
    if (count <= 0) return;
    if (row_major(tensor)) {
        memcpy(to, data + (size_t)first * size, (size_t)count * size);
        return;
    }
    /* An odometer over the index of the element; `rank` is at least 1 here, as a scalar is row-major. */
    int64_t index[SAMC__MAX_RANK], offset = 0;
    for (int i = tensor->rank; i-- > 0;) {
        index[i] = first % tensor->shape[i];
        first /= tensor->shape[i];
        offset += index[i] * tensor->stride[i];
    }
    for (; count > 0; count--, to += size) {
        memcpy(to, data + (size_t)offset * size, size);
        for (int i = tensor->rank; i-- > 0;) {
            offset += tensor->stride[i];
            if (++index[i] < tensor->shape[i]) break;
            offset -= index[i] * tensor->stride[i];
            index[i] = 0;
        }
    }
}

void samc__tensor_copy_f32(const samc__tensor *tensor, int64_t first, int64_t count, float *out) {
    enum { CHUNK = 1024 };
    uint16_t halves[CHUNK];
    double doubles[CHUNK];
    if (tensor->dtype == SAMC__F32) {
        samc__tensor_copy_raw(tensor, first, count, out);
        return;
    }
    while (count > 0) {
        int64_t now = count < CHUNK ? count : CHUNK;
        samc__tensor_copy_raw(tensor, first, now, tensor->dtype == SAMC__F64 ? (void *)doubles : halves);
        if (tensor->dtype == SAMC__I8) {
            for (int64_t i = 0; i < now; i++) out[i] = ((const int8_t *)halves)[i];
        } else if (tensor->dtype == SAMC__F64) {
            for (int64_t i = 0; i < now; i++) out[i] = (float)doubles[i];
        } else if (tensor->dtype == SAMC__F16) {
            for (int64_t i = 0; i < now; i++) out[i] = samc__f16_to_float(halves[i]);
        } else {
            for (int64_t i = 0; i < now; i++) out[i] = samc__bf16_to_float(halves[i]);
        }
        first += now;
        count -= now;
        out += now;
    }
}

void samc__tensor_read_f32(const samc__tensor *tensor, float *values) {
    samc__tensor_copy_f32(tensor, 0, samc__tensor_elements(tensor), values);
}

bool samc__tensor_fits_f32(const samc__tensor *tensor) {
    enum { CHUNK = 1024 };
    double doubles[CHUNK];
    const int64_t elements = tensor->dtype == SAMC__F64 ? samc__tensor_elements(tensor) : 0;
    for (int64_t first = 0; first < elements; first += CHUNK) {
        int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
        samc__tensor_copy_raw(tensor, first, now, doubles);
        for (int64_t i = 0; i < now; i++)
            if (isfinite(doubles[i]) && !isfinite((float)doubles[i])) return false;
    }
    return true;
}

const float *samc__tensor_direct_f32(const samc__tensor *tensor) {
    bool usable = tensor->dtype == SAMC__F32 && tensor->data != NULL &&
                  (uintptr_t)tensor->data % _Alignof(float) == 0 && row_major(tensor);
    return usable ? tensor->data : NULL;
}
