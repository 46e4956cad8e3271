/* mask_rle, reference: transitions are counted by column, placed, and turned into run lengths. */
#include "kernels/ops.h"
#include "kernels/mask_rle/mask_rle.h"

#include <string.h>

samc_status samc__mask_rle_check(const samc__mask_rle_args *a, samc_error *error) {
    SAMC__REQUIRE(error, "mask_rle", a->bits != NULL && a->masks > 0 && a->height > 0 && a->width > 0);
    SAMC__REQUIRE(error, "mask_rle", (int64_t)a->height * a->width <= UINT32_MAX);
    SAMC__REQUIRE(error, "mask_rle", a->counts != NULL && a->capacity > 0 && a->lengths != NULL);
    return SAMC_OK;
}

double samc__mask_rle_flops(const samc__mask_rle_args *a) {
    (void)a;
    return 0.0;
}

typedef struct rle_task {
    const samc__mask_rle_args *args;
    uint32_t *column; /* [workers, width + 1] first transition of each column */
    uint32_t *place;  /* [workers, capacity] rows of the transitions, by column */
} rle_task;

/* Row y of the transitions: bits that differ from the row above; row 0 differs from the foot of the column to its left.
 */
static uint64_t changes(const uint64_t *mask, int64_t words, int height, int y, int64_t word) {
    uint64_t bits = mask[y * words + word];
    if (y > 0) return bits ^ mask[(y - 1) * words + word];
    const uint64_t *foot = mask + (height - 1) * words;
    return bits ^ (foot[word] << 1 | (word > 0 ? foot[word - 1] >> 63 : 0));
}

static void encode_one(const rle_task *t, int64_t index, int worker) {
    const samc__mask_rle_args *a = t->args;
    int64_t words = (a->width + 63) / 64, total = 0;
    const uint64_t *mask = a->bits + index * a->height * words;
    uint32_t *column = t->column + worker * ((int64_t)a->width + 1), *place = t->place + worker * a->capacity;
    uint64_t last = a->width % 64 ? (UINT64_C(1) << a->width % 64) - 1 : ~UINT64_C(0); /* columns that exist */

    memset(column, 0, ((size_t)a->width + 1) * sizeof *column);
    for (int y = 0; y < a->height; y++)
        for (int64_t word = 0; word < words; word++)
            for (uint64_t bits = changes(mask, words, a->height, y, word) & (word == words - 1 ? last : ~UINT64_C(0));
                 bits; bits &= bits - 1) {
                column[word * 64 + __builtin_ctzll(bits) + 1]++;
                total++;
            }
    a->lengths[index] = total + 1;
    if (total + 1 > a->capacity) return;
    for (int x = 0; x < a->width; x++) column[x + 1] += column[x];
    for (int y = 0; y < a->height;
         y++) /* rows ascend within each column because y does; column[x] ends at its next one */
        for (int64_t word = 0; word < words; word++)
            for (uint64_t bits = changes(mask, words, a->height, y, word) & (word == words - 1 ? last : ~UINT64_C(0));
                 bits; bits &= bits - 1)
                place[column[word * 64 + __builtin_ctzll(bits)]++] = (uint32_t)y;
    uint32_t *counts = a->counts + index * a->capacity, previous = 0;
    int64_t next = 0;
    for (int x = 0; x < a->width; x++)
        for (; next < column[x]; next++) {
            uint32_t position = (uint32_t)x * (uint32_t)a->height + place[next];
            counts[next] = position - previous;
            previous = position;
        }
    counts[total] = (uint32_t)a->width * (uint32_t)a->height - previous;
}

static void encode_range(void *context, int64_t begin, int64_t end, int worker) {
    for (int64_t index = begin; index < end; index++) encode_one(context, index, worker);
}

samc_status samc__mask_rle_ref(const samc__exec *exec, const samc__mask_rle_args *a) {
    rle_task task = {.args = a};
    size_t columns = (size_t)exec->workers * ((size_t)a->width + 1),
           places = (size_t)exec->workers * (size_t)a->capacity;
    task.column = exec->allocate(exec->memory, (columns + places) * sizeof *task.column);
    if (task.column == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to encode masks");
    task.place = task.column + columns;
    exec->parallel(exec->pool, a->masks, 1, encode_range, &task);
    exec->release(exec->memory, task.column);
    return SAMC_OK;
}
