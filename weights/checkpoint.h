/* A checkpoint: named tensors of a file on disk, read-only, whatever its container (safetensors or PyTorch .pth).
 *
 * The file is memory-mapped; a tensor is a view into the mapping with a type, a shape and strides. Readers treat the
 * bytes as hostile: every offset is checked against the file's size before it is used, and nothing is allocated in
 * proportion to a number that the file merely claims.
 */
#ifndef SAMC_WEIGHTS_CHECKPOINT_H
#define SAMC_WEIGHTS_CHECKPOINT_H

#include <stdbool.h>

#include "runtime/base/dtype.h"
#include "runtime/base/status.h"

enum { SAMC__MAX_RANK = 8 };

typedef struct samc__tensor {
    const char *name;  /* SAM's own, wrappers and prefixes such as "module." already removed */
    samc__dtype dtype; /* SAMC__OTHER for types that samc does not compute with */
    int rank;
    int64_t shape[SAMC__MAX_RANK];
    int64_t stride[SAMC__MAX_RANK]; /* in elements */
    const void *data; /* first element, inside the mapping; may be unaligned. NULL for what is stored in a way that
                         samc cannot read (sparse, quantised; SAMC__OTHER, rank 0): an error only where needed */
    uint32_t source;  /* the reader's own number for it, while it reads */
} samc__tensor;

typedef struct samc__checkpoint samc__checkpoint;

/* Files beside a model in Hugging Face's layout. */
typedef enum samc__beside {
    SAMC__BESIDE_CONFIG,       /* config.json */
    SAMC__BESIDE_PREPROCESSOR, /* preprocessor_config.json, or what newer versions call processor_config.json */
    SAMC__BESIDE
} samc__beside;

/* A file, a folder with one, or the index of one in several files. */
samc_status samc__checkpoint_open(const char *path, samc__checkpoint **checkpoint, samc_error *error);
void samc__checkpoint_close(samc__checkpoint *checkpoint); /* NULL is allowed */

const char *samc__checkpoint_path(const samc__checkpoint *checkpoint);
size_t samc__checkpoint_bytes(const samc__checkpoint *checkpoint); /* size of the file, or of all of them */
/* Its files, of which an index has several and counts for none: their bytes, in the order of their names. */
size_t samc__checkpoint_files(const samc__checkpoint *checkpoint);
const void *samc__checkpoint_file(const samc__checkpoint *checkpoint, size_t index, size_t *size);
/* A file of less than a megabyte with a NUL behind it, to free(); NULL where it cannot be read, with the reason. */
char *samc__text_of_file(const char *path, bool *absent, const char **wrong);
/* The text of a file that lies beside the model's, where the model is in Hugging Face's layout and there is one; or
 * NULL. `name`: of the file. */
const char *samc__checkpoint_beside(const samc__checkpoint *checkpoint, samc__beside which, const char **name);
/* Whether it lies in memory of the checkpoint's own, not in its file's pages. */
bool samc__checkpoint_owns(const samc__checkpoint *checkpoint, const void *at);
size_t samc__checkpoint_count(const samc__checkpoint *checkpoint);
const samc__tensor *samc__checkpoint_at(const samc__checkpoint *checkpoint, size_t index);
const samc__tensor *samc__checkpoint_find(const samc__checkpoint *checkpoint, const char *name); /* NULL if absent */
/* What was chosen among several models, ignored or narrowed, in one line; "" where nothing was. */
const char *samc__checkpoint_note(const samc__checkpoint *checkpoint);
/* Metadata string of a safetensors file; NULL if absent, always NULL for a .pth. */
const char *samc__checkpoint_metadata(const samc__checkpoint *checkpoint, const char *key);

int64_t samc__tensor_elements(const samc__tensor *tensor);
/* Gives the pages of a mapped file that hold nothing but this tensor back to the system: who reads it again gets them
 * from the disk. */
void samc__tensor_drop(const samc__checkpoint *checkpoint, const samc__tensor *tensor);
void samc__checkpoint_drop(const samc__checkpoint *checkpoint); /* all of them */
/* Copies the tensor in row-major order as floats; f16 and bf16 widen exactly, f64 is rounded, 8 bits are whole numbers
 * without their scale. `values` holds samc__tensor_elements(). */
void samc__tensor_read_f32(const samc__tensor *tensor, float *values);
/* False if a finite value is too large for a float; only f64 can hold one. */
bool samc__tensor_fits_f32(const samc__tensor *tensor);
/* The values in place if they are row-major, aligned f32 already; otherwise NULL. */
const float *samc__tensor_direct_f32(const samc__tensor *tensor);

#endif
