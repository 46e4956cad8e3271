/* Saved embeddings: a safetensors file with a tensor for each level, the hash of the model that made it and the size of
 * its image. */
#include "runtime/session.h"
#include "weights/reader.h"
#include "weights/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The levels of one image outside, [1, channels, side, side] each. */
typedef struct levels {
    int count;
    float *values[SAMC__MOST_LEVELS];
    int64_t elements[SAMC__MOST_LEVELS];
    samc__output_tensor tensor[SAMC__MOST_LEVELS];
} levels;

static void release_levels(samc_session *s, levels *l) {
    for (int i = 0; i < l->count; i++) samc__memory_release(&s->memory, l->values[i]);
}

/* Room for those of the model. */
static samc_status make_levels(samc_session *s, const char *path, const char *what, levels *l) {
    *l = (levels){0};
    for (int i = 0; i < SAMC__MOST_LEVELS; i++) {
        const samc__level level = samc__level_of(&s->model->net.config, i);
        if (level.name == NULL) break;
        l->tensor[i] = (samc__output_tensor){
            .name = level.name, .dtype = SAMC__F32, .rank = 4, .shape = {1, level.channels, level.side, level.side}};
        l->elements[i] = samc__level_elements(&level);
        l->values[i] = samc__memory_allocate(&s->memory, (size_t)l->elements[i] * sizeof(float));
        if (l->values[i] != NULL) {
            l->count++;
            continue;
        }
        release_levels(s, l);
        l->count = 0;
        return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "%s: no memory to %s an embedding", path, what);
    }
    return SAMC_OK;
}

/* samc__tensor_source of `levels`. */
static samc_status level_source(void *context, size_t index, int64_t first, int64_t count, void *bytes,
                                samc_error *error) {
    const levels *l = context;
    const float *values = l->values[index] + first;
    (void)error;
    for (int64_t i = 0; i < count; i++) samc__store_element(l->tensor[index].dtype, bytes, i, values[i]);
    return SAMC_OK;
}

/* Makes them to be stored in `type`, unless one of the values would become infinite; nothing is written by then. */
static samc_status narrow(samc_session *s, const char *path, samc__dtype type, levels *l) {
    for (int i = 0; i < l->count && type != SAMC__F32; i++) {
        for (int64_t j = 0; j < l->elements[i]; j++) {
            uint16_t half;
            samc__store_element(type, &half, 0, l->values[i][j]);
            if (!isfinite(samc__load_element(type, &half, 0)))
                return samc__fail(&s->error, SAMC_UNSUPPORTED, "%s: a value of %s is %g, which %s cannot hold", path,
                                  l->tensor[i].name, (double)l->values[i][j], samc__dtype_name(type));
        }
        l->tensor[i].dtype = type;
    }
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

/* What the encoder is told beside tensors and recipe, as samc.config has it: windows, heads, global blocks. free() it.
 */
static samc_status encoder_of(samc_session *s, char **text) {
    const samc__config *config = &s->model->net.config;
    samc__json_text written = {0};
    samc__json_put(&written, "{", 1);
    samc__write_count(&written, "img_size", config->recipe.side);
    samc__encoder_of(config)->write(config, &written);
    samc__json_put(&written, "}", 1);
    *text = written.data;
    if (!written.failed) return SAMC_OK;
    free(written.data);
    *text = NULL;
    return samc__fail(&s->error, SAMC_OUT_OF_MEMORY, "no memory for a configuration");
}

/* Where a file goes. */
typedef struct target {
    const char *path; /* NULL: into memory */
    samc__bytes bytes;
} target;

static samc_status store(samc_session *s, int index, samc_precision type, target *to) {
    static const samc__dtype types[] = {SAMC__F32, SAMC__F32, SAMC__F16, SAMC__BF16}; /* in the order of the enum */
    const char *name = to->path != NULL ? to->path : "the embedding";
    if ((unsigned)type >= sizeof types / sizeof *types)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "%s: embeddings are kept in f32, f16 or bf16", name);
    if (index < 0 || index >= s->image_count)
        return samc__fail(&s->error, SAMC_NO_IMAGE, "image %d was not set", index);
    levels all;
    char hash[65], size[32], *recipe, *encoder = NULL;
    SAMC__TRY(samc_model_hash(s->model, hash, &s->error));
    SAMC__TRY(recipe_of(s, &recipe));
    snprintf(size, sizeof size, "%d,%d", s->images[index].frame.height, s->images[index].frame.width);
    samc_status status = encoder_of(s, &encoder);
    if (status == SAMC_OK) status = make_levels(s, name, "save", &all);
    else all.count = 0;
    for (int i = 0; i < all.count && status == SAMC_OK; i++) status = samc__get_level(s, index, i, all.values[i]);
    if (status == SAMC_OK) status = narrow(s, name, types[type], &all);
    samc__metadata metadata[] = {
        {"samc.model_hash", hash},
        {"samc.image_size", size},
        {"samc.precision", (char *)samc__precision_name(samc__precision_of(s->model->net.weight_type))},
        {"samc.version", SAMC_VERSION},
        {"samc.encoder", encoder},
        {"samc.recipe", recipe},
    };
    const size_t count = (size_t)all.count, texts = recipe ? 6 : 5;
    if (status == SAMC_OK)
        status =
            to->path != NULL
                ? samc__safetensors_write(to->path, all.tensor, count, metadata, texts, level_source, &all, &s->error)
                : samc__safetensors_make(&to->bytes, all.tensor, count, metadata, texts, level_source, &all, &s->error);
    release_levels(s, &all);
    free(encoder);
    free(recipe);
    return status;
}

static samc_status save_embedding(samc_session *s, int index, samc_precision type, const char *path) {
    if (path == NULL) return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_save_embedding: no path");
    target to = {.path = path};
    return store(s, index, type, &to);
}

samc_status samc_save_embedding_as(samc_session *s, int index, samc_precision type, const char *path) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, save_embedding(s, index, type, path));
}

samc_status samc_save_embedding(samc_session *s, int index, const char *path) {
    return samc_save_embedding_as(s, index, SAMC_PRECISION_F32, path);
}

static samc_status pack_embedding(samc_session *s, int index, samc_precision type, uint8_t **bytes, size_t *size) {
    if (bytes == NULL || size == NULL)
        return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_pack_embedding: no place for the file");
    target to = {0};
    samc_status status = store(s, index, type, &to);
    *bytes = to.bytes.data;
    *size = to.bytes.size;
    return status;
}

samc_status samc_pack_embedding(samc_session *s, int index, samc_precision type, uint8_t **bytes, size_t *size) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, pack_embedding(s, index, type, bytes, size));
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

/* Refuses an embedding of the same tensors in an encoder that is told something else; files of before do not say it. */
static samc_status check_encoder(samc_session *s, const samc__checkpoint *file, const char *path) {
    const char *says = samc__checkpoint_metadata(file, "samc.encoder");
    char *own;
    SAMC__TRY(encoder_of(s, &own));
    samc_status status = SAMC_OK;
    if (says != NULL && strcmp(says, own) != 0) {
        size_t at = 0; /* of the first entry that differs */
        while (says[at] != '\0' && says[at] == own[at]) at++;
        while (at > 0 && !(own[at] == '"' && own[at - 1] == ',')) at--;
        status = samc__fail(
            &s->error, SAMC_MISMATCH, "%s: made by the same tensors in another encoder, of %s, where this one has %s",
            path, samc__printable(says + at, strlen(says + at)).text, samc__printable(own + at, strlen(own + at)).text);
    }
    free(own);
    return status;
}

/* The file's tensors of the model's levels, in their shapes. */
static samc_status find_levels(samc_session *s, const samc__checkpoint *file, const char *path,
                               const samc__tensor *found[SAMC__MOST_LEVELS]) {
    for (int i = 0; i < SAMC__MOST_LEVELS; i++) {
        const samc__level level = samc__level_of(&s->model->net.config, i);
        found[i] = level.name ? samc__checkpoint_find(file, level.name) : NULL;
        if (level.name == NULL) continue;
        if (found[i] == NULL)
            return samc__fail(&s->error, SAMC_FORMAT, "%s: not an embedding file%s: it lacks the tensor %s", path,
                              i > 0 ? " of this model" : "", level.name);
        const int64_t shape[4] = {1, level.channels, level.side, level.side};
        const samc__dtype type = found[i]->dtype;
        if ((type != SAMC__F32 && type != SAMC__F16 && type != SAMC__BF16) || found[i]->rank != 4 ||
            memcmp(found[i]->shape, shape, sizeof shape) != 0)
            return samc__fail(&s->error, SAMC_MISMATCH,
                              "%s: the %s is not f32, f16 or bf16 [1, %d, %d, %d] as this model's are", path,
                              i > 0 ? level.name : "embedding", level.channels, level.side, level.side);
    }
    return SAMC_OK;
}

static samc_status load_from(samc_session *s, const samc__checkpoint *file, const char *path) {
    const samc__tensor *found[SAMC__MOST_LEVELS];
    const char *hash = samc__checkpoint_metadata(file, "samc.model_hash"),
               *size = samc__checkpoint_metadata(file, "samc.image_size");
    SAMC__TRY(find_levels(s, file, path, found));
    if (hash == NULL || size == NULL)
        return samc__fail(&s->error, SAMC_FORMAT, "%s: not an embedding file: it lacks %s", path,
                          hash == NULL ? "samc.model_hash" : "samc.image_size");
    char own[65];
    SAMC__TRY(samc_model_hash(s->model, own, &s->error));
    if (strcmp(own, hash) != 0)
        return samc__fail(&s->error, SAMC_MISMATCH, "%s: made by another model (hash %.12s..., this one is %.12s...)",
                          path, hash, own);
    SAMC__TRY(check_recipe(s, file, path));
    SAMC__TRY(check_encoder(s, file, path));
    int width, height, used = 0;
    if (sscanf(size, "%d,%d%n", &height, &width, &used) != 2 || size[used] != 0 || width < 1 || height < 1)
        return samc__fail(&s->error, SAMC_FORMAT, "%s: samc.image_size is not \"height,width\"", path);
    levels all;
    SAMC__TRY(make_levels(s, path, "load", &all));
    for (int i = 0; i < all.count; i++) samc__tensor_read_f32(found[i], all.values[i]);
    samc_status status = samc__set_levels(s, (const float *const *)all.values, all.count, width, height);
    if (status == SAMC_OK) note_precision(s, samc__checkpoint_metadata(file, "samc.precision"));
    release_levels(s, &all);
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

/* Nothing but safetensors is looked into, and no header that costs more than the values. */
static samc_status unpack_embedding(samc_session *s, const uint8_t *bytes, size_t size) {
    enum { MOST_HEADER = 64 << 10 };
    static const char name[] = "the embedding";
    samc__checkpoint *file = NULL;
    if (bytes == NULL) return samc__fail(&s->error, SAMC_INVALID_ARGUMENT, "samc_unpack_embedding: no bytes");
    if (size < 9 || samc__le64(bytes) > MOST_HEADER || bytes[8] != '{')
        return samc__fail(&s->error, SAMC_FORMAT, "%s: not a safetensors file with a header of at most 64 KB", name);
    SAMC__TRY(samc__checkpoint_open_memory(bytes, size, name, &file, &s->error));
    samc_status status = load_from(s, file, name);
    samc__checkpoint_close(file);
    return status;
}

samc_status samc_unpack_embedding(samc_session *s, const uint8_t *bytes, size_t size) {
    SAMC__TRY(samc__session_begin(s));
    return samc__session_end(s, unpack_embedding(s, bytes, size));
}
