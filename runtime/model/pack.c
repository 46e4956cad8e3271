/* Packing what the list of tensors calls a matrix.
 *
 * A packed weight is not read again in its original layout, so it does not stay in memory twice: pages of the mapped
 * file are dropped (a reader would get them back from the disk), and weights that were converted when the file was read
 * are replaced by their panels. Shared ones are kept: the decoder's are small and its attentions also read them as they
 * are. */
#include "runtime/model/pack.h"

#include <sys/mman.h>
#include <unistd.h>

static bool is_owned(const samc_model *model, samc__view w) {
    const char *begin = model->owned, *at = w.data;
    return begin != NULL && at >= begin && at < begin + model->owned_bytes;
}

/* Gives the whole pages of a mapped weight back. */
static void drop_pages(samc__view w) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)w.data,
              end = begin + (uintptr_t)samc__elements(w) * sizeof(float);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* w [n, k]; `alone`: nothing but `linear` reads it. */
static bool pack(samc_model *model, samc__view w, bool alone) {
    bool owned = is_owned(model, w);
    if (!samc__packed_add(model->packed, samc__f32(w), w.n[0], w.n[1], owned && alone)) return false;
    if (!owned && alone) drop_pages(w);
    return true;
}

samc_status samc__pack_weights(samc_model *model, samc_error *error) {
    const samc__up_fold *up = model->up_fold;
    model->packed = samc__packed_create();
    bool packed =
        model->packed != NULL && samc__packed_add(model->packed, up->image_w, up->rows, model->config.out_chans, true);
    for (size_t i = 0; i < model->tensors.count && packed; i++) {
        const samc__entry *e = &model->tensors.at[i];
        if (e->role == SAMC__ROLE_MATRIX || e->role == SAMC__ROLE_SHARED)
            packed = pack(model, *e->view, e->role == SAMC__ROLE_MATRIX);
    }
    return packed ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to pack the weights");
}
