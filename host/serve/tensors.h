/* Tensors of the Open Inference Protocol: JSON, and the binary extension, where their bytes follow the JSON. */
#ifndef SAMC_HOST_SERVE_TENSORS_H
#define SAMC_HOST_SERVE_TENSORS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SAMC__TENSORS = 16, SAMC__TENSOR_RANK = 4 };

typedef enum samc__oip_type {
    SAMC__TENSOR_BOOL,
    SAMC__TENSOR_UINT8,
    SAMC__TENSOR_INT32,
    SAMC__TENSOR_INT64,
    SAMC__TENSOR_FP32,
    SAMC__TENSOR_BYTES,
    SAMC__TENSOR_TYPES
} samc__oip_type;

/* One input. Its elements are in `bytes` (`size` of them; of BYTES, each with a length of 4 bytes before it), or in
 * `data`, lists in lists. */
typedef struct samc__oip_input {
    const char *name;
    samc__oip_type type;
    int rank;
    int64_t shape[SAMC__TENSOR_RANK], count; /* of elements */
    const unsigned char *bytes;
    size_t size;
    const json_t *data;
} samc__oip_input;

typedef struct samc__oip {
    json_t *json; /* the request; names and data are its */
    samc__oip_input tensor[SAMC__TENSORS];
    int count;
} samc__oip;

/* A request: `body` of `size` bytes, the first `header` of which are JSON. NULL, or what is wrong, in one line;
 * released by samc__oip_free() in either case. */
const char *samc__oip_read(const char *body, size_t size, size_t header, samc__oip *tensors);
void samc__oip_free(samc__oip *tensors);
/* NULL: there is none of that name. */
const samc__oip_input *samc__oip_find(const samc__oip *tensors, const char *name);
/* All elements as numbers, [count] with count <= most; false: there are more, or they are none. */
bool samc__oip_numbers(const samc__oip_input *tensor, float *to, int64_t most);
/* All elements of a UINT8 tensor, [count]. */
bool samc__oip_octets(const samc__oip_input *tensor, unsigned char *to);
/* The first element of a BYTES tensor of one, in binary; false: it is none such. */
bool samc__oip_string(const samc__oip_input *tensor, const unsigned char **bytes, size_t *size);

const char *samc__oip_name(samc__oip_type type); /* "FP32" */

#endif
