/* Saved embeddings: a safetensors file with one tensor, the hash of the model that made it and the size of its image.
 */
#include "runtime/session.h"
#include "weights/reader.h"
#include "weights/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char tensor_name[] = "image_embedding";

/* samc__tensor_source: elements of the [1, C, grid, grid] floats that `context` holds. */
static samc_status embedding_source(void *context, size_t index, int64_t first, int64_t count, void *bytes,
                                    samc_error *error) {
    (void)index, (void)error;
    memcpy(bytes, (const float *)context + first, (size_t)count * sizeof(float));
    return SAMC_OK;
}

/* What the embedding depends on beside the tensors: NULL where that is what the encoder is mostly used with, as in
 * every file before there was anything else. free() it. */
static samc_status recipe_of(samc_session *s, char **text) {
    const samc__recipe *own = &s->model->net.config.recipe;
    samc__recipe usual = *samc__encoder_of(&s->model->net.config)->recipes;
    usual.side = own->side;
    *text = samc__recipe_input_text(own);
    char *other = samc__recipe_input_text(&usual);
    bool good = *text != NULL && other != NULL;
    if (!good || strcmp(*text, other) == 0) {
        free(*text);
        *text = NULL;
    }
    free(other);
    return good ? SAMC_OK : samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for a recipe");
}

static samc_status save_embedding(samc_session *s, int index, const char *path) {
    if (path == NULL) return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_save_embedding: no path");
    if (index < 0 || index >= s->image_count)
        return samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index);
    int64_t c = s->model->net.config.decoder.channels, g = s->model->net.config.grid;
    char hash[65], size[32], *recipe;
    SAMC__TRY(samc_model_hash(s->model, hash, &s->error));
    SAMC__TRY(recipe_of(s, &recipe));
    snprintf(size, sizeof size, "%d,%d", s->images[index].frame.height, s->images[index].frame.width);
    float *values = samc__memory_allocate(&s->memory, (size_t)(c * g * g) * sizeof(float));
    samc_status status = values == NULL
                             ? samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "%s: no memory to save an embedding", path)
                             : samc__get_embedding(s, index, values);
    samc__output_tensor tensor = {.name = tensor_name, .dtype = SAMC__F32, .rank = 4, .shape = {1, c, g, g}};
    samc__metadata metadata[] = {
        {"samc.model_hash", hash},
        {"samc.image_size", size},
        {"samc.precision", (char *)samc__precision_name(samc__precision_of(s->model->net.weight_type))},
        {"samc.version", SAMC_VERSION},
        {"samc.recipe", recipe},
    };
    if (status == SAMC_OK)
        status =
            samc__safetensors_write(path, &tensor, 1, metadata, recipe ? 5 : 4, embedding_source, values, &s->error);
    samc__memory_release(&s->memory, values);
    free(recipe);
    return status;
}

samc_status samc_save_embedding(samc_session *s, int index, const char *path) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, save_embedding(s, index, path));
}

/* One of another precision is as good, and noted; files of older versions do not say theirs. */
static void note_precision(samc_session *s, const char *precision) {
    const char *own = samc__precision_name(samc__precision_of(s->model->net.weight_type));
    const size_t used = strlen(s->note);
    if (precision == NULL || strcmp(precision, own) == 0 || strstr(s->note, "embedding") != NULL) return;
    snprintf(s->note + used, sizeof s->note - used, "%san embedding was made in %.8s, the model is open in %s",
             used ? "; " : "", samc__printable(precision, strlen(precision)).text, own);
}

/* Refuses an embedding that was made with another recipe. */
static samc_status check_recipe(samc_session *s, const samc__checkpoint *file, const char *path) {
    const char *says = samc__checkpoint_metadata(file, "samc.recipe");
    char *own;
    SAMC__TRY(recipe_of(s, &own));
    bool same = (says == NULL) == (own == NULL) && (says == NULL || strcmp(says, own) == 0);
    free(own);
    if (same) return SAMC_OK;
    return samc__fail(&s->error, SAMC_MISMATCH, "%s: made with another recipe than this model's, which is %s", path,
                      s->model->net.config.recipe.name);
}

static samc_status load_from(samc_session *s, const samc__checkpoint *file, const char *path) {
    int64_t c = s->model->net.config.decoder.channels, g = s->model->net.config.grid;
    const samc__tensor *tensor = samc__checkpoint_find(file, tensor_name);
    const char *hash = samc__checkpoint_metadata(file, "samc.model_hash"),
               *size = samc__checkpoint_metadata(file, "samc.image_size");
    if (tensor == NULL || hash == NULL || size == NULL)
        return samc__fail(&s->error, SAMC_FORMAT, "%s: not an embedding file: it lacks %s", path,
                          tensor == NULL ? "the tensor image_embedding"
                          : hash == NULL ? "samc.model_hash"
                                         : "samc.image_size");
    if (tensor->dtype != SAMC__F32 || tensor->rank != 4 || tensor->shape[0] != 1 || tensor->shape[1] != c ||
        tensor->shape[2] != g || tensor->shape[3] != g)
        return samc__fail(&s->error, SAMC_MISMATCH,
                          "%s: the embedding is not f32 [1, %lld, %lld, %lld] as this model's are", path, (long long)c,
                          (long long)g, (long long)g);
    char own[65];
    SAMC__TRY(samc_model_hash(s->model, own, &s->error));
    if (strcmp(own, hash) != 0)
        return samc__fail(&s->error, SAMC_MISMATCH, "%s: made by another model (hash %.12s..., this one is %.12s...)",
                          path, hash, own);
    SAMC__TRY(check_recipe(s, file, path));
    int width, height, used = 0;
    if (sscanf(size, "%d,%d%n", &height, &width, &used) != 2 || size[used] != 0 || width < 1 || height < 1)
        return samc__fail(&s->error, SAMC_FORMAT, "%s: samc.image_size is not \"height,width\"", path);
    float *values = samc__memory_allocate(&s->memory, (size_t)(c * g * g) * sizeof(float));
    if (values == NULL) return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "%s: no memory to load an embedding", path);
    samc__tensor_read_f32(tensor, values);
    samc_status status = samc__set_embedding(s, values, width, height);
    if (status == SAMC_OK) note_precision(s, samc__checkpoint_metadata(file, "samc.precision"));
    samc__memory_release(&s->memory, values);
    return status;
}

static samc_status load_embedding(samc_session *s, const char *path) {
    if (path == NULL) return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_load_embedding: no path");
    samc__checkpoint *file = NULL;
    SAMC__TRY(samc__checkpoint_open(path, &file, &s->error));
    samc_status status = load_from(s, file, path);
    samc__checkpoint_close(file);
    return status;
}

samc_status samc_load_embedding(samc_session *s, const char *path) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, load_embedding(s, path));
}
