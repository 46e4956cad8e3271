/* Weights of 8 bits: a tensor NAME of type I8 whose first side's scales are the tensor NAME.scale (weights/FORMAT.md),
 * or made of any other type when a model is opened in int8. */
#ifndef SAMC_RUNTIME_MODEL_EIGHT_H
#define SAMC_RUNTIME_MODEL_EIGHT_H

#include "runtime/model/list.h"
#include "runtime/model/reading.h"

/* The scales of a tensor that the file keeps in 8 bits; NULL: there are none. */
const samc__tensor *samc__eight_scales(const samc__checkpoint *checkpoint, const samc__entry *e);

/* Reports what is wrong with the scales of such a tensor. They, or NULL where something is. */
const samc__tensor *samc__eight_check(const samc__checkpoint *checkpoint, const samc__entry *e, samc__report *report);

/* Rows [first, first + count) of the entry, [count, k]: as floats, whatever type the file has; in 8 bits, with a scale
 * each, as they are stored or rounded here. `values` has room for the floats. */
void samc__eight_floats(const samc__checkpoint *checkpoint, const samc__entry *e, int64_t first, int64_t count,
                        float *values);
samc_status samc__eight_rows(const samc__checkpoint *checkpoint, const samc__entry *e, int64_t first, int64_t count,
                             float *values, int8_t *q, float *scales, samc_error *error);

/* Whether the file keeps any of the list's tensors so. Fails where the list has none that may be. */
bool samc__eight_stored(const samc__tensor_list *list, const samc__checkpoint *checkpoint);
samc_status samc__eight_possible(const samc__tensor_list *list, const samc__checkpoint *checkpoint, samc_error *error);

#endif
