/* Embedding files. The safetensors ones are the library's, which knows the model's hash; .npy is for people who compute
 * on. */
#include "host/io/embedding.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/io/npy.h"
#include "runtime/base/status.h"

bool samc__embedding_is_npy(const char *path, bool *known) {
    const char *dot = strrchr(path, '.');
    bool npy = dot != NULL && strcasecmp(dot, ".npy") == 0;
    *known = npy || (dot != NULL && strcasecmp(dot, ".safetensors") == 0);
    return npy;
}

samc_status samc__session_check(const samc_session *session, samc_status status, const char *path, samc_error *error) {
    if (status == SAMC_OK) return SAMC_OK;
    const char *message = samc_last_error(session);
    bool named = strncmp(message, path, strlen(path)) == 0; /* the library names files that it opened itself */
    return samc__fail(error, status, "%s%s%s", named ? "" : path, named ? "" : ": ", message);
}

samc_status samc__embedding_save(samc_session *session, const samc_model_info *model, const char *path,
                                 samc_error *error) {
    bool known;
    if (!samc__embedding_is_npy(path, &known))
        return samc__session_check(session, samc_save_embedding(session, 0, path), path, error);
    size_t side = (size_t)model->grid, shape[4] = {1, (size_t)model->embed_channels, side, side};
    float *values = malloc(shape[1] * side * side * sizeof *values); /* [channels, grid, grid] */
    if (values == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    samc_status status = samc__session_check(session, samc_get_embedding(session, 0, values), path, error);
    if (status == SAMC_OK) status = samc__npy_write(path, SAMC__NPY_F32, 4, shape, values, error);
    free(values);
    return status;
}

static samc_status load_npy(samc_session *session, const samc_model_info *model, const char *path, int width,
                            int height, samc_error *error) {
    samc__array array;
    SAMC__TRY(samc__npy_read(path, &array, error));
    size_t channels = (size_t)model->embed_channels, side = (size_t)model->grid;
    const size_t *shape = array.shape + (array.rank == 4 ? 1 : 0); /* [1, channels, grid, grid], or without the 1 */
    bool fits = (array.rank == 3 || (array.rank == 4 && array.shape[0] == 1)) && shape[0] == channels &&
                shape[1] == side && shape[2] == side;
    samc_status status =
        fits ? samc__session_check(session, samc_set_embedding(session, array.values, width, height), path, error)
             : samc__fail(error, SAMC_MISMATCH, "%s: embedding is not of shape [1, %zu, %zu, %zu], that of this model",
                          path, channels, side, side);
    samc__array_free(&array);
    return status;
}

samc_status samc__embedding_load(samc_session *session, const samc_model_info *model, const char *path,
                                 const char *image, int width, int height, samc_error *error) {
    bool known;
    int stored_width, stored_height;
    if (samc__embedding_is_npy(path, &known)) return load_npy(session, model, path, width, height, error);
    SAMC__TRY(samc__session_check(session, samc_load_embedding(session, path), path, error));
    SAMC__TRY(
        samc__session_check(session, samc_session_image_size(session, 0, &stored_width, &stored_height), path, error));
    if (stored_width == width && stored_height == height) return SAMC_OK;
    return samc__fail(error, SAMC_MISMATCH, "%s: embedding of an image of %d x %d pixels, but %s has %d x %d", path,
                      stored_width, stored_height, image, width, height);
}
