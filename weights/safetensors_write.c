/* Writes safetensors in one pass, atomically: readers never meet half a file, and a full disk costs nothing that was there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "weights/json.h"
#include "weights/safetensors.h"

enum { ALIGNMENT = 64, CHUNK = 1 << 18 /* elements */ };

/* Visits four-byte tensors before two-byte ones; pass 0 or 1. */
static bool in_pass(const samc__output_tensor *tensor, int pass) {
    return (samc__dtype_size(tensor->dtype) == 4) == (pass == 0);
}

/* The JSON header without its length, padded with spaces so that the data begins at a multiple of 64; NULL without memory. */
static char *make_header(const samc__output_tensor *tensors, size_t count, const samc__metadata *metadata,
                         size_t metadata_count, size_t *length) {
    samc__json_text text = {0};
    int64_t offset = 0;
    samc__json_put(&text, "{", 1);
    samc__json_put_key(&text, "__metadata__");
    samc__json_put(&text, "{", 1);
    for (size_t i = 0; i < metadata_count; i++) {
        samc__json_put_key(&text, metadata[i].key);
        samc__json_put_string(&text, metadata[i].value);
    }
    samc__json_put(&text, "}", 1);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            const samc__output_tensor *tensor = &tensors[i];
            if (!in_pass(tensor, pass)) continue;
            int64_t bytes = (int64_t)samc__dtype_size(tensor->dtype);
            samc__json_put_key(&text, tensor->name);
            samc__json_put(&text, "{", 1);
            samc__json_put_key(&text, "dtype");
            samc__json_put_string(&text, samc__dtype_name(tensor->dtype));
            samc__json_put_key(&text, "shape");
            for (int axis = 0; axis < tensor->rank; axis++) {
                samc__json_put(&text, axis == 0 ? "[" : ",", 1);
                samc__json_put_integer(&text, tensor->shape[axis]);
                bytes *= tensor->shape[axis];
            }
            samc__json_put(&text, tensor->rank == 0 ? "[]" : "]", tensor->rank == 0 ? 2 : 1);
            samc__json_put_key(&text, "data_offsets");
            samc__json_put(&text, "[", 1);
            samc__json_put_integer(&text, offset);
            samc__json_put(&text, ",", 1);
            samc__json_put_integer(&text, offset + bytes);
            samc__json_put(&text, "]}", 2);
            offset += bytes;
        }
    }
    samc__json_put(&text, "}", 1);
    while (!text.failed && (8 + text.used) % ALIGNMENT != 0) samc__json_put(&text, " ", 1);
    if (text.failed) {
        free(text.data);
        return NULL;
    }
    *length = text.used;
    return text.data;
}

/* True when all bytes were written; otherwise errno says why. */
static bool write_all(int file, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    while (size > 0) {
        ssize_t written = write(file, at, size);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        at += written;
        size -= (size_t)written;
    }
    return true;
}

static samc_status write_failed(const char *path, samc_error *error) {
    return samc__fail(error, SAMC_IO, "%s: cannot write: %s", path, strerror(errno));
}

static samc_status write_tensors(int file, const char *path, const samc__output_tensor *tensors, size_t count,
                                 samc__tensor_source *source, void *context, void *buffer, samc_error *error) {
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < count; i++) {
            if (!in_pass(&tensors[i], pass)) continue;
            int64_t elements = 1;
            for (int axis = 0; axis < tensors[i].rank; axis++) elements *= tensors[i].shape[axis];
            for (int64_t first = 0; first < elements; first += CHUNK) {
                int64_t now = elements - first < CHUNK ? elements - first : CHUNK;
                SAMC__TRY(source(context, i, first, now, buffer, error));
                if (!write_all(file, buffer, (size_t)now * samc__dtype_size(tensors[i].dtype)))
                    return write_failed(path, error);
            }
        }
    }
    return SAMC_OK;
}

/* Creates a new file beside `path`; its name goes to `temporary`, which has room for strlen(path) + 40. */
static int create_beside(const char *path, char *temporary) {
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        sprintf(temporary, "%s.%ld-%u.tmp", path, (long)getpid(), attempt);
        int file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (file >= 0 || errno != EEXIST) return file;
    }
    return -1;
}

/* A rename is only on disk when its folder is; file systems that cannot do this are no reason to fail. */
static void sync_folder(const char *path, char *scratch) {
    strcpy(scratch, path);
    char *slash = strrchr(scratch, '/');
    if (slash == NULL) {
        strcpy(scratch, ".");
    } else {
        slash[slash == scratch] = '\0';
    }
    int folder = open(scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return;
    (void)fsync(folder);
    close(folder);
}

samc_status samc__safetensors_write(const char *path, const samc__output_tensor *tensors, size_t count,
                                    const samc__metadata *metadata, size_t metadata_count, samc__tensor_source *source,
                                    void *context, samc_error *error) {
    /* Renaming over a device or a pipe would replace it. */
    struct stat about;
    if (stat(path, &about) == 0 && !S_ISREG(about.st_mode))
        return samc__fail(error, SAMC_IO, "%s: exists and is not a regular file", path);

    size_t header_length = 0;
    char *header = make_header(tensors, count, metadata, metadata_count, &header_length);
    char *temporary = malloc(strlen(path) + 40);
    void *buffer = malloc(CHUNK * sizeof(float));
    int file = -1;
    samc_status status;
    if (header == NULL || temporary == NULL || buffer == NULL) {
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
        goto done;
    }
    file = create_beside(path, temporary);
    if (file < 0) {
        status = samc__fail(error, SAMC_IO, "%s: cannot create: %s", path, strerror(errno));
        goto done;
    }
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header_length >> (8 * i));
    if (!write_all(file, length, sizeof length) || !write_all(file, header, header_length)) {
        status = write_failed(path, error);
    } else {
        status = write_tensors(file, path, tensors, count, source, context, buffer, error);
    }
    if (status == SAMC_OK && fsync(file) != 0) status = write_failed(path, error);
    if (close(file) != 0 && status == SAMC_OK) status = write_failed(path, error);
    if (status == SAMC_OK && rename(temporary, path) != 0) status = write_failed(path, error);
    if (status == SAMC_OK) {
        sync_folder(path, temporary);
    } else {
        unlink(temporary);
    }
done:
    free(header);
    free(temporary);
    free(buffer);
    return status;
}
