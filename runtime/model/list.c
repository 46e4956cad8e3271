/* Adding to the list of tensors. */
#include "runtime/model/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* [rows, last]: `last` sides are multiplied up for the last dimension, the others for the first. */
static samc__view folded(const samc__entry *e, int last) {
    int64_t n[2] = {1, 1};
    for (int i = 0; i < e->rank; i++) n[i >= e->rank - last] *= e->shape[i];
    return samc__view2(NULL, n[0], n[1]);
}

static samc__view view_of(const samc__entry *e) {
    if (e->role == SAMC__ROLE_VECTOR) return samc__view1(NULL, folded(e, 0).n[0]);
    if (e->role == SAMC__ROLE_TABLE) return folded(e, 1);
    bool point = e->rank == 4 && e->shape[2] == 1 && e->shape[3] == 1;
    if (e->role != SAMC__ROLE_OPERAND || point) return folded(e, e->rank - 1);
    return (samc__view){.dtype = SAMC__F32, .rank = e->rank, .n = {e->shape[0], e->shape[1], e->shape[2], e->shape[3]}};
}

void samc__list_tensor(samc__tensor_list *list, samc__view *view, samc__role role, const char *base, const char *leaf,
                       samc__shape s) {
    if (list->count == list->capacity && !list->failed) {
        size_t capacity = list->capacity ? 2 * list->capacity : 256;
        samc__entry *more = realloc(list->at, capacity * sizeof *more);
        list->failed = more == NULL;
        if (more != NULL) list->at = more, list->capacity = capacity;
    }
    if (list->failed) return;
    samc__entry *e = &list->at[list->count++];
    *e = (samc__entry){.role = role, .rank = s.rank, .view = view};
    memcpy(e->shape, s.n, sizeof s.n);
    snprintf(e->name, sizeof e->name, "%s%s%s", base, *base ? "." : "", leaf);
    *view = view_of(e);
}

void samc__list_copy(samc__tensor_list *list, samc__view *view, const samc__view *of) {
    *view = *of;
    list->copies[list->copy_count].view = view;
    list->copies[list->copy_count].p = NULL;
    list->copies[list->copy_count].make = NULL;
    list->copies[list->copy_count++].of = of;
}

void samc__list_product(samc__tensor_list *list, samc__view *view, const samc__projection *p, const samc__view *x) {
    samc__list_copy(list, view, x);
    list->copies[list->copy_count - 1].p = p;
    *view = p->b;
}

void samc__list_made(samc__tensor_list *list, samc__view *view, samc__role role, const samc__view *of,
                     samc__make *make) {
    const samc__view shape = *view;
    samc__list_copy(list, view, of);
    list->copies[list->copy_count - 1].make = make;
    list->copies[list->copy_count - 1].role = role;
    *view = shape;
}

void samc__list_linear(samc__tensor_list *list, samc__projection *to, samc__role role, const char *base,
                       const char *leaf, int64_t out, int64_t in) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    samc__list_tensor(list, &to->w, role, full, "weight", SAMC__SHAPE2(out, in));
    samc__list_tensor(list, &to->b, SAMC__ROLE_VECTOR, full, "bias", SAMC__SHAPE1(out));
}

void samc__list_eight(samc__tensor_list *list, size_t back, const samc__norm *norm) {
    if (list->failed) return;
    samc__entry *e = &list->at[list->count - 1 - back];
    e->eight = true;
    e->norm = norm;
}

void samc__list_convolution(samc__tensor_list *list, samc__projection *to, samc__role role, const char *base,
                            samc__shape s, int64_t bias) {
    samc__list_tensor(list, &to->w, role, base, "weight", s);
    samc__list_tensor(list, &to->b, SAMC__ROLE_VECTOR, base, "bias", SAMC__SHAPE1(bias));
}

void samc__list_norm(samc__tensor_list *list, samc__norm *to, const char *base, const char *leaf, int64_t channels,
                     float eps) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", base, leaf);
    samc__list_tensor(list, &to->g, SAMC__ROLE_VECTOR, full, "weight", SAMC__SHAPE1(channels));
    samc__list_tensor(list, &to->b, SAMC__ROLE_VECTOR, full, "bias", SAMC__SHAPE1(channels));
    to->eps = eps;
}

void samc__tensors_free(samc__tensor_list *list) {
    free(list->at);
    *list = (samc__tensor_list){0};
}

void samc__tensors_point(const samc__tensor_list *list, void *data, samc__dtype precision) {
    for (size_t i = 0; i < list->count; i++) {
        list->at[i].view->data = data;
        list->at[i].view->dtype = samc__role_type(list->at[i].role, precision);
    }
    for (size_t i = 0; i < list->copy_count; i++) {
        list->copies[i].view->data = data;
        list->copies[i].view->dtype =
            list->copies[i].make ? samc__role_type(list->copies[i].role, precision) : precision;
    }
}

int64_t samc__tensors_parameters(const samc__tensor_list *list) {
    int64_t parameters = 0;
    for (size_t i = 0; i < list->count; i++) parameters += samc__elements(*list->at[i].view);
    return parameters;
}
