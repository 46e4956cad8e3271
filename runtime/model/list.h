/* The list of a model's tensors: each one's name and shape, written once, with its role and the view that operators
 * get.
 *
 * Who lists tensors, an encoder or the decoder, adds them in the order of the original's state_dict(); who checks,
 * loads, packs, uploads, hashes or converts walks the list. */
#ifndef SAMC_RUNTIME_MODEL_LIST_H
#define SAMC_RUNTIME_MODEL_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "runtime/base/view.h"

/* What a tensor is for: the type that it has on a device, the view that operators get of its shape, and what packing
 * may do with it. */
typedef enum samc__role {
    SAMC__ROLE_VECTOR,  /* f32 everywhere; a view of one dimension: biases, gains, single tokens */
    SAMC__ROLE_TABLE,   /* f32 everywhere; [rows, last side]: what is looked up or added */
    SAMC__ROLE_MATRIX,  /* [first side, the rest]; read by `linear` alone, so packing may drop the original */
    SAMC__ROLE_SHARED,  /* [first side, the rest]; packed, but kept: read as it is by other operators too, or small */
    SAMC__ROLE_OPERAND, /* read as it lies in the file: convolutions, but for a kernel of 1 x 1, which is a matrix;
                           tables of relative positions. Kept where kernels of 3 x 3 are packed */
} samc__role;

/* The type of a tensor's elements where activations have the type `precision`. */
static inline samc__dtype samc__role_type(samc__role role, samc__dtype precision) {
    return role == SAMC__ROLE_VECTOR || role == SAMC__ROLE_TABLE ? SAMC__F32 : precision;
}

/* A tensor of the model: its name and shape in files, and the view among the weights that it is bound to. */
typedef struct samc__entry {
    char name[192];
    samc__role role;
    int rank;
    int64_t shape[4];
    samc__view *view; /* f32, its shape as the role says; without data until it is bound */
    /* A matrix that models of int8 keep in 8 bits: most of the encoder's work. Where its input is what a norm gives,
     * and nothing else reads that, the norm: columns may be scaled there and back here (runtime/calibrate.h). */
    bool eight;
    const samc__norm *norm;
} samc__entry;

/* What a host rounds the values of a tensor to where the model's weights are of the type `weights`: the one place that
 * says which are narrowed. A matrix is then kept as panels of that type (kernels/cpu/packed.h); what operators also
 * read as it is, and everything on tables that pack nothing, stays an array of floats that such a type holds. */
static inline samc__dtype samc__weight_type(const samc__entry *e, samc__dtype weights) {
    if (weights == SAMC__I8) return e->eight ? SAMC__I8 : samc__role_type(e->role, SAMC__BF16);
    return samc__role_type(e->role, weights);
}

enum { SAMC__MAX_COPIES = 64 };

/* Fills the values of `to` from those of a table, or of several that lie behind each other as views, on the host. */
typedef void samc__make(const samc__view *of, const samc__view *to, float *values);

typedef struct samc__tensor_list {
    samc__entry *at; /* [count], in the order of the original's state_dict() */
    size_t count, capacity;
    /* Values of others, in no file: `of` again or `p`'s product with it, in the type of activations; or what is made of
     * it. */
    struct {
        samc__view *view;
        const samc__view *of;
        const samc__projection *p; /* NULL: `of` itself */
        samc__make *make;          /* NULL: not that */
        samc__role role;           /* of what is made: its type on a device */
    } copies[SAMC__MAX_COPIES];
    size_t copy_count;
    bool failed; /* there was no memory */
} samc__tensor_list;

/* The shape of a tensor in files. */
typedef struct samc__shape {
    int rank;
    int64_t n[4];
} samc__shape;
#define SAMC__SHAPE1(a) ((samc__shape){1, {a}})
#define SAMC__SHAPE2(a, b) ((samc__shape){2, {a, b}})
#define SAMC__SHAPE4(a, b, c, d) ((samc__shape){4, {a, b, c, d}})

/* Lists BASE.LEAF and gives `view` its shape. */
void samc__list_tensor(samc__tensor_list *list, samc__view *view, samc__role role, const char *base, const char *leaf,
                       samc__shape shape);
/* A view of the values of `of`, in the type of activations. */
void samc__list_copy(samc__tensor_list *list, samc__view *view, const samc__view *of);
/* w x + b of a linear layer and a vector, computed in double when the tensors are loaded. */
void samc__list_product(samc__tensor_list *list, samc__view *view, const samc__projection *p, const samc__view *x);
/* What `make` makes of tables and vectors, for the use that `role` says; the caller has given the view its shape. */
void samc__list_made(samc__tensor_list *list, samc__view *view, samc__role role, const samc__view *of,
                     samc__make *make);
/* A weight [out, in] and a bias [out] under BASE.LEAF. */
void samc__list_linear(samc__tensor_list *list, samc__projection *to, samc__role role, const char *base,
                       const char *leaf, int64_t out, int64_t in);
/* The tensor that was listed last but `back` is one of 8 bits, behind `norm` or NULL. */
void samc__list_eight(samc__tensor_list *list, size_t back, const samc__norm *norm);
/* A convolution's weight under BASE, and its bias [bias]. */
void samc__list_convolution(samc__tensor_list *list, samc__projection *to, samc__role role, const char *base,
                            samc__shape shape, int64_t bias);
void samc__list_norm(samc__tensor_list *list, samc__norm *to, const char *base, const char *leaf, int64_t channels,
                     float eps);

void samc__tensors_free(samc__tensor_list *list);

/* Points every view at `data`, with the types of a model whose activations have the type `precision`. */
void samc__tensors_point(const samc__tensor_list *list, void *data, samc__dtype precision);

int64_t samc__tensors_parameters(const samc__tensor_list *list);

#endif
