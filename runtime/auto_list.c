/* A growing list of found masks, and box suppression over a part of it. */
#include "runtime/auto_list.h"
#include "kernels/nms/nms.h"

#include "kernels/place.h"

#include <stdlib.h>
#include <string.h>

samc_status samc__found_add(const samc__exec *exec, samc__found_list *list, const samc__found *item) {
    if (list->count == list->capacity) {
        int64_t capacity = list->capacity ? 2 * list->capacity : 256;
        samc__found *items = exec->allocate(exec->memory, (size_t)capacity * sizeof *items);
        if (items == NULL)
            return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for %lld masks", (long long)capacity);
        if (list->count) memcpy(items, list->items, (size_t)list->count * sizeof *items);
        exec->release(exec->memory, list->items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *item;
    return SAMC_OK;
}

void samc__found_clear(const samc__exec *exec, samc__found_list *list) {
    exec->release(exec->memory, list->items);
    *list = (samc__found_list){0};
}

typedef struct ranked {
    float score;
    int32_t index;
} ranked;

static int by_rank(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

enum {
    FEWEST_ON_DEVICE = 1025
}; /* below: a host compares them in about a millisecond, beside the GPU's work and without waiting for it */

/* The operator on arrays of the host's: boxes [n, 4], order [n], keep [n]. */
static samc_status suppress(const samc__exec *exec, float *boxes, int32_t *order, int64_t n, double threshold,
                            uint8_t *keep) {
    void *tensors[3] = {NULL, NULL, NULL};
    size_t count = (size_t)n;
    if (!exec->place->host && n < FEWEST_ON_DEVICE)
        return samc__nms_ref(
            exec, &(samc__nms_args){.boxes = boxes, .order = order, .count = n, .threshold = threshold, .keep = keep});
    samc_status status = samc__lend(exec, boxes, 4 * count * sizeof *boxes, true, &tensors[0]);
    if (status == SAMC_OK) status = samc__lend(exec, order, count * sizeof *order, true, &tensors[1]);
    if (status == SAMC_OK) status = samc__lend(exec, keep, count, false, &tensors[2]);
    if (status == SAMC_OK)
        status = samc__nms(
            exec,
            &(samc__nms_args){
                .boxes = tensors[0], .order = tensors[1], .count = n, .threshold = threshold, .keep = tensors[2]});
    samc__collect(exec, boxes, tensors[0], 0);
    samc__collect(exec, order, tensors[1], 0);
    samc_status last = samc__collect(exec, keep, tensors[2], status == SAMC_OK ? count : 0);
    return status != SAMC_OK ? status : last;
}

samc_status samc__found_nms(const samc__exec *exec, samc__found_list *list, int64_t first, const float *score,
                            double threshold) {
    int64_t n = list->count - first;
    if (n < 1) return SAMC_OK;
    size_t size = (size_t)n;
    char *block = exec->allocate(
        exec->memory, size * (sizeof(samc__found) + sizeof(ranked) + 4 * sizeof(float) + sizeof(int32_t) + 1));
    if (block == NULL)
        return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to compare %lld masks", (long long)n);
    samc__found *kept = (samc__found *)block, *items = list->items + first;
    ranked *rank = (ranked *)(kept + size);
    float *boxes = (float *)(rank + size);
    int32_t *order = (int32_t *)(boxes + 4 * size);
    uint8_t *keep = (uint8_t *)(order + size);
    for (int64_t i = 0; i < n; i++) {
        rank[i] = (ranked){score[i], (int32_t)i};
        memcpy(boxes + 4 * i, (float[4]){items[i].x0, items[i].y0, items[i].x1, items[i].y1}, 4 * sizeof(float));
    }
    qsort(rank, size, sizeof *rank, by_rank);
    for (int64_t i = 0; i < n; i++) order[i] = rank[i].index;
    samc_status status = suppress(exec, boxes, order, n, threshold, keep);
    if (status == SAMC_OK) {
        int64_t count = 0;
        for (int64_t i = 0; i < n; i++)
            if (keep[order[i]]) kept[count++] = items[order[i]];
        memcpy(items, kept, (size_t)count * sizeof *kept);
        list->count = first + count;
    }
    exec->release(exec->memory, block);
    return status;
}
