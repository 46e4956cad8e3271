/* The inside of a checkpoint: what the safetensors and .pth readers fill and checkpoint.c finishes.
 *
 * A reader gets the bytes of the file and adds tensors and metadata; it allocates only in proportion to bytes that are
 * really there. Then it calls samc__checkpoint_select(); afterwards checkpoint.c sorts by name and refuses duplicates.
 */
#ifndef SAMC_WEIGHTS_READER_H
#define SAMC_WEIGHTS_READER_H

#include <stdbool.h>

#include "weights/checkpoint.h"

/* Far above any model's; one string of a pickle may serve as a million names, so names are counted and measured. */
enum { SAMC__MAX_TENSORS = 1 << 16, SAMC__MAX_NAME = 512 };

typedef struct samc__metadata {
    char *key, *value;
} samc__metadata;

/* Bytes from a file made fit for a one-line message: at most 90 characters, anything but plain ASCII replaced. */
typedef struct samc__text {
    char text[96];
} samc__text;
samc__text samc__printable(const char *bytes, size_t length);

struct samc__checkpoint {
    char *path;
    const char *label;    /* the last part of `path`, short enough for every message */
    const uint8_t *bytes; /* [size], the whole file */
    size_t size;
    bool mapped; /* munmap() on close; false when the caller owns the bytes */
    samc__tensor *tensors;
    size_t count, capacity;
    samc__metadata *metadata;
    size_t metadata_count, metadata_capacity;
    char note[640];            /* what was chosen, ignored or narrowed, in one line; "" where nothing was */
    const char *architecture;  /* other than SAM's, by its characteristic tensor; NULL where there is none */
    samc__text characteristic; /* that tensor's name */
    bool huggingface; /* names were those of transformers; one tensor may then stand under two that became the same */
    bool alone;       /* and no wrapper's: what lies beside the file is the model's */
    bool part;        /* one file of several: its tensors are chosen from, and its names changed, with the others' */
    struct samc__checkpoint **parts; /* [part_count] files that the tensors lie in; `bytes` is then NULL */
    size_t part_count;
    char *beside[SAMC__BESIDE]; /* texts of the files that lie beside a model of Hugging Face's, or NULL */
    const char *beside_name[SAMC__BESIDE];
    float *folded; /* [folded_count] what weights/fold.c computed; tensors point into it */
    size_t folded_count;
};

/* Opens bytes that the caller keeps alive, for tests and fuzzers: an exact heap block lets AddressSanitizer see one
 * byte too many. */
samc_status samc__checkpoint_open_memory(const void *bytes, size_t size, const char *path,
                                         samc__checkpoint **checkpoint, samc_error *error);

/* Opens a file as a part of another checkpoint. */
samc_status samc__checkpoint_open_part(const char *path, samc__checkpoint **part, samc_error *error);

samc_status samc__safetensors_read(samc__checkpoint *checkpoint, samc_error *error);
samc_status samc__pth_read(samc__checkpoint *checkpoint, samc_error *error);
/* Reads an index, and the files that it names. */
samc_status samc__index_read(samc__checkpoint *index, samc_error *error);
/* Lets go of the file's bytes, of which nothing is needed any more; `size` becomes 0. */
void samc__checkpoint_forget_bytes(samc__checkpoint *checkpoint);

/* The model's file in a folder, by the names that Hugging Face's programs give it; `path` has room for `room` bytes. */
samc_status samc__folder_find(const char *folder, const char *label, char *path, size_t room, samc_error *error);
/* Reads what lies beside the checkpoint's file into `beside`; what is not there stays NULL. */
samc_status samc__beside_read(samc__checkpoint *checkpoint, samc_error *error);

/* Takes a copy of the name (need not be NUL-terminated); the other fields of `tensor` are copied as they are. */
samc_status samc__checkpoint_add(samc__checkpoint *checkpoint, const char *name, size_t name_length,
                                 const samc__tensor *tensor, samc_error *error);
samc_status samc__checkpoint_add_metadata(samc__checkpoint *checkpoint, const char *key, const char *value,
                                          samc_error *error);

/* Finds the model among the tensors: a prefix shared by SAM's three parts. Removes the prefix, drops what lies outside
 * and notes it, gives names of Hugging Face's layout their original form. A file without any of the parts is left as it
 * is. */
samc_status samc__checkpoint_select(samc__checkpoint *checkpoint, samc_error *error);
/* Drops tensors whose names end so. */
void samc__checkpoint_forget(samc__checkpoint *checkpoint, const char *ending);
/* The steps of it that know names: layouts.c. */
samc_status samc__huggingface_rename(samc__checkpoint *checkpoint, bool second, samc_error *error); /* of SAM 2 */
samc_status samc__sam2_rename(samc__checkpoint *checkpoint, samc_error *error);
/* What only video needs of SAM 2: beside its parts, under its own or Hugging Face's names. */
bool samc__is_sam2_memory(const char *name);
void samc__find_architecture(samc__checkpoint *checkpoint);
/* Tensors that checkpoints carry among the model's and no model uses, under SAM's names. */
bool samc__is_unused(const char *name);
/* Folds batch norms into the convolutions before them. The tensors are sorted by name, and are no longer afterwards; of
 * all that this replaces nothing is left. */
samc_status samc__checkpoint_fold(samc__checkpoint *checkpoint, samc_error *error);
/* Appends to the note, behind a semicolon where there is something already. */
void samc__checkpoint_add_note(samc__checkpoint *checkpoint, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Multiplies the shape up; false if the product or its size in bytes would not fit an int64_t. */
bool samc__shape_elements(int rank, const int64_t *shape, int64_t *elements);

/* Copies elements [first, first + count) of the row-major order as stored (8, 4 or 2 bytes each) to `out`. */
void samc__tensor_copy_raw(const samc__tensor *tensor, int64_t first, int64_t count, void *out);
/* The same as floats. */
void samc__tensor_copy_f32(const samc__tensor *tensor, int64_t first, int64_t count, float *out);

/* Little-endian numbers at any address. */
static inline uint32_t samc__le16(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static inline uint32_t samc__le32(const uint8_t *p) { return samc__le16(p) | samc__le16(p + 2) << 16; }
static inline uint64_t samc__le64(const uint8_t *p) { return samc__le32(p) | (uint64_t)samc__le32(p + 4) << 32; }

#endif
