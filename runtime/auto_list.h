/* The masks that automatic generation has found so far, and the two suppressions that thin them out. */
#ifndef SAMC_RUNTIME_AUTO_LIST_H
#define SAMC_RUNTIME_AUTO_LIST_H

#include "kernels/ops.h"
#include "runtime/runs.h"

/* A mask on its way through the filters. Corners are inclusive, in pixels of the image. */
typedef struct samc__found {
    samc__run_place runs; /* run lengths of the whole image */
    int64_t area;
    float x0, y0, x1, y1;
    float iou, stability, object;
    double point[2];
    int crop[4]; /* x0, y0, x1, y1, the last two exclusive */
} samc__found;

typedef struct samc__found_list {
    samc__found *items;
    int64_t count, capacity;
} samc__found_list;

samc_status samc__found_add(const samc__exec *exec, samc__found_list *list, const samc__found *item);
void samc__found_clear(const samc__exec *exec, samc__found_list *list);

/* Greedy suppression of items [first, count) by box. `score` [count - first] ranks them, ties go to the lower index.
 * What is kept stays in order of rank. */
samc_status samc__found_nms(const samc__exec *exec, samc__found_list *list, int64_t first, const float *score,
                            double threshold);

#endif
