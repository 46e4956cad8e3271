/* Packing what the list of tensors calls a matrix.
 *
 * A packed weight is not read again in its original layout, so it does not stay in memory twice: pages of the mapped
 * file are dropped (a reader would get them back from the disk), and weights that were converted when the file was read
 * are replaced by their panels. Shared ones are kept: the decoder's are small and its attentions also read them as they
 * are. */
#include "runtime/model/pack.h"

#include <sys/mman.h>
#include <unistd.h>

/* Gives the whole pages of a mapped weight back. */
static void drop_pages(samc__view w) {
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)w.data,
              end = begin + (uintptr_t)samc__elements(w) * sizeof(float);
    begin = (begin + page - 1) / page * page;
    end = end / page * page;
    if (begin < end) madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* The upscaling that was folded from weights of any type is computed, and goes with the activations: rounded where
 * these are, and else as exact as the layers that it stands for. */
static bool pack_fold(const samc__network *net, samc__packed *packed) {
    if (net->up_fold == NULL) return true;
    const samc__view w = net->up_fold->image.w;
    if (net->precision == SAMC__F32) return samc__packed_add(packed, samc__f32(w), w.n[0], w.n[1], true);
    return samc__packed_add_bf16(packed, samc__f32(w), w.n[0], w.n[1]);
}

/* Kernels of 3 x 3, which are floats of whatever type they were, for activations as the model has them. */
static bool pack_convolutions(const samc__network *net, const samc__tensor_list *tensors, samc__packed *packed) {
    bool done = true;
    for (size_t i = 0; i < tensors->count && done; i++) {
        const samc__view w = *tensors->at[i].view;
        if (tensors->at[i].role == SAMC__ROLE_OPERAND && w.rank == 4 && w.n[2] == 3 && w.n[3] == 3)
            done = samc__packed_add_taps(packed, samc__f32(w), w.n[0], w.n[1],
                                         net->precision == SAMC__F32 ? SAMC__F32 : SAMC__BF16);
    }
    return done;
}

samc_status samc__pack_list(const samc__tensor_list *tensors, const samc__checkpoint *file, void *owned,
                            size_t owned_bytes, samc__packed *packed, samc_error *error) {
    bool done = true;
    for (size_t i = 0; i < tensors->count && done; i++) {
        const samc__view w = *tensors->at[i].view;
        const char *at = w.data;
        const bool alone = tensors->at[i].role == SAMC__ROLE_MATRIX,
                   ours = (uintptr_t)at - (uintptr_t)owned < owned_bytes; /* of none, as of a file of f32, nothing */
        if (!alone && tensors->at[i].role != SAMC__ROLE_SHARED) continue;
        done = samc__packed_add(packed, samc__f32(w), w.n[0], w.n[1], ours && alone);
        if (done && alone && !ours && !samc__checkpoint_owns(file, at)) drop_pages(w);
    }
    return done ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to pack the weights");
}

samc_status samc__pack_weights(const samc__network *net, const samc__tensor_list *tensors, const samc__checkpoint *file,
                               void *owned, size_t owned_bytes, samc__packed *packed, samc_error *error) {
    if (!pack_fold(net, packed) || !pack_convolutions(net, tensors, packed))
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory to pack the weights");
    if (net->weight_type != SAMC__F32) return SAMC_OK;
    return samc__pack_list(tensors, file, owned, owned_bytes, packed, error);
}
