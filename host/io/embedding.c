/* Embedding files. The safetensors ones are the library's, which knows the model's hash; .npy is for people who compute
 * on. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "host/io/samc_io.h"
#include "runtime/base/status.h"

samc_embedding_format samc_embedding_format_of(const char *path) {
    const char *dot = path == NULL ? NULL : strrchr(path, '.');
    if (dot == NULL) return SAMC_EMBEDDING_UNKNOWN;
    return strcasecmp(dot, ".npy") == 0           ? SAMC_EMBEDDING_NPY
           : strcasecmp(dot, ".safetensors") == 0 ? SAMC_EMBEDDING_SAFETENSORS
                                                  : SAMC_EMBEDDING_UNKNOWN;
}

samc_status samc_session_check(const samc_session *session, samc_status status, const char *name, samc_error *error) {
    if (status == SAMC_OK) return SAMC_OK;
    if (name == NULL) name = "";
    const char *message = samc_last_error(session);
    if (message[0] == '\0') message = samc_status_text(status); /* without a session there is none */
    bool named = strncmp(message, name, strlen(name)) == 0;     /* the library names files that it opened itself */
    return samc__fail(error, status, "%s%s%s", named ? "" : name, named ? "" : ": ", message);
}

/* Which file it is to be, of which model; the model's shape. */
static samc_status begin(const samc_session *session, const samc_model *model, const char *path, samc_model_info *info,
                         samc_error *error) {
    if (session == NULL || model == NULL || path == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "an embedding without a session, a model or a path");
    if (samc_embedding_format_of(path) == SAMC_EMBEDDING_UNKNOWN)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: ends in neither .safetensors nor .npy", path);
    return samc_model_get_info(model, info);
}

samc_status samc_embedding_save_as(samc_session *session, const samc_model *model, const char *path,
                                   samc_precision type, samc_error *error) {
    samc_model_info info = SAMC_INIT(samc_model_info);
    SAMC__TRY(begin(session, model, path, &info, error));
    if (samc_embedding_format_of(path) == SAMC_EMBEDDING_SAFETENSORS)
        return samc_session_check(session, samc_save_embedding_as(session, 0, type, path), path, error);
    if (type != SAMC_PRECISION_F32 && type != SAMC_PRECISION_AUTO)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: .npy is float32: save .safetensors", path);
    if (samc_model_level(model, 1, NULL, NULL, NULL) == SAMC_OK)
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: .npy holds the embedding alone, this model's have further levels: save .safetensors",
                          path);
    size_t side = (size_t)info.grid, shape[4] = {1, (size_t)info.embed_channels, side, side};
    float *values = malloc(shape[1] * side * side * sizeof *values); /* [channels, grid, grid] */
    if (values == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    samc_status status = samc_session_check(session, samc_get_embedding(session, 0, values), path, error);
    if (status == SAMC_OK) status = samc_npy_write(path, SAMC_NPY_F32, 4, shape, values, error);
    free(values);
    return status;
}

samc_status samc_embedding_save(samc_session *session, const samc_model *model, const char *path, samc_error *error) {
    return samc_embedding_save_as(session, model, path, SAMC_PRECISION_F32, error);
}

static samc_status load_npy(samc_session *session, const samc_model_info *model, const char *path, int width,
                            int height, samc_error *error) {
    samc_array array = {.size = sizeof array};
    SAMC__TRY(samc_npy_read(path, &array, error));
    size_t channels = (size_t)model->embed_channels, side = (size_t)model->grid;
    const size_t *shape = array.shape + (array.rank == 4 ? 1 : 0); /* [1, channels, grid, grid], or without the 1 */
    bool fits = (array.rank == 3 || (array.rank == 4 && array.shape[0] == 1)) && shape[0] == channels &&
                shape[1] == side && shape[2] == side;
    samc_status status =
        fits ? samc_session_check(session, samc_set_embedding(session, array.values, width, height), path, error)
             : samc__fail(error, SAMC_MISMATCH, "%s: embedding is not of shape [1, %zu, %zu, %zu], that of this model",
                          path, channels, side, side);
    samc_array_free(&array);
    return status;
}

samc_status samc_embedding_load(samc_session *session, const samc_model *model, const char *path, const char *image,
                                int width, int height, samc_error *error) {
    int stored_width, stored_height;
    samc_model_info info = SAMC_INIT(samc_model_info);
    SAMC__TRY(begin(session, model, path, &info, error));
    if (image == NULL) image = "the image";
    if (samc_embedding_format_of(path) == SAMC_EMBEDDING_NPY)
        return load_npy(session, &info, path, width, height, error);
    SAMC__TRY(samc_session_check(session, samc_load_embedding(session, path), path, error));
    SAMC__TRY(
        samc_session_check(session, samc_session_image_size(session, 0, &stored_width, &stored_height), path, error));
    if (stored_width == width && stored_height == height) return SAMC_OK;
    return samc__fail(error, SAMC_MISMATCH, "%s: embedding of an image of %d x %d pixels, but %s has %d x %d", path,
                      stored_width, stored_height, image, width, height);
}
