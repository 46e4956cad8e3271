/* samc_convert(): any checkpoint that samc can read becomes safetensors with SAM's names and the metadata of FORMAT.md.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/abi.h"
#include "runtime/base/eight_bits.h"
#include "runtime/calibrate.h"
#include "runtime/model/eight.h"
#include "runtime/model/published.h"
#include "runtime/model/recipe_choice.h"
#include "runtime/model/tensors.h"
#include "runtime/model/text_image.h"
#include "weights/safetensors.h"

enum { CHUNK = 1024 }; /* floats on the stack */

/* Where an output comes from. */
typedef struct source {
    const samc__tensor *input;
    const samc__eight *eight; /* of a weight in 8 bits, or of the norm before one; NULL: as the input is */
    enum { VALUES, WEIGHT, SCALES, NORM } part; /* of that */
} source;

typedef struct conversion {
    samc__checkpoint *checkpoint;
    samc_storage storage;
    samc_error *error;
    samc__output_tensor *outputs; /* [count] */
    source *sources;              /* [count] */
    size_t count;
    samc__eight *eights; /* one for each entry of the list; NULL: nothing becomes 8 bits */
    int images;          /* that they were calibrated with */
} conversion;

static samc__dtype target_type(samc_storage storage, const samc__entry *e, samc__dtype dtype) {
    if (dtype == SAMC__F64) dtype = SAMC__F32; /* as it is used */
    return storage == SAMC_STORAGE_F32    ? SAMC__F32
           : storage == SAMC_STORAGE_F16  ? SAMC__F16
           : storage == SAMC_STORAGE_BF16 ? SAMC__BF16
           : storage == SAMC_STORAGE_INT8 ? samc__weight_type(e, SAMC__I8)
                                          : dtype;
}

static void add_output(conversion *c, samc__output_tensor output, source from) {
    c->outputs[c->count] = output;
    c->sources[c->count++] = from;
}

static samc_status add_entry(conversion *c, const samc__tensor_list *list, size_t index) {
    const samc__entry *e = &list->at[index];
    const samc__tensor *input = samc__checkpoint_find(c->checkpoint, e->name);
    if (!samc__tensor_fits_f32(input))
        return samc__fail(c->error, SAMC_UNSUPPORTED, "%s: tensor %s has values beyond the range of f32",
                          c->checkpoint->label, e->name);
    if (input->dtype == SAMC__I8)
        return samc__fail(c->error, SAMC_UNSUPPORTED,
                          "%s: tensor %s is in 8 bits already; convert the file that it was made from",
                          c->checkpoint->label, e->name);
    samc__output_tensor output = {.name = e->name, .dtype = target_type(c->storage, e, input->dtype), .rank = e->rank};
    source from = {input, NULL, VALUES};
    memcpy(output.shape, e->shape, (size_t)e->rank * sizeof *e->shape);
    for (size_t i = 0; i < list->count && c->eights; i++) {
        const samc__norm *norm = list->at[i].norm;
        if (norm != NULL && c->eights[i].factors != NULL && (e->view == &norm->g || e->view == &norm->b))
            from = (source){input, &c->eights[i], NORM};
    }
    if (output.dtype == SAMC__I8) from = (source){input, &c->eights[index], WEIGHT};
    add_output(c, output, from);
    if (output.dtype == SAMC__I8)
        add_output(c,
                   (samc__output_tensor){
                       .name = from.eight->scale_name, .dtype = SAMC__F32, .rank = 1, .shape = {e->shape[0]}},
                   (source){input, from.eight, SCALES});
    return SAMC_OK;
}

/* Rounds floats to 16 bits. False if a finite value is beyond the type's range. */
static bool narrow(const float *values, int64_t count, samc__dtype dtype, uint16_t *halves) {
    bool fits = true;
    for (int64_t i = 0; i < count; i++) {
        bool f16 = dtype == SAMC__F16;
        halves[i] = f16 ? samc__float_to_f16(values[i]) : samc__float_to_bf16(values[i]);
        float back = f16 ? samc__f16_to_float(halves[i]) : samc__bf16_to_float(halves[i]);
        fits = fits && isfinite(back) == isfinite(values[i]);
    }
    return fits;
}

/* Values [first, first + count) of a tensor that becomes 8 bits, or of the norm before one. */
static void make_eight(const source *from, int64_t first, int64_t count, float *values, int8_t *q) {
    const samc__eight *eight = from->eight;
    const int64_t k = samc__tensor_elements(from->input) / from->input->shape[0];
    samc__tensor_copy_f32(from->input, first, count, values);
    for (int64_t i = 0; i < count; i++) {
        if (from->part == NORM) {
            values[i] /= eight->factors[first + i];
        } else {
            if (eight->factors != NULL) values[i] *= eight->factors[(first + i) % k];
            q[i] = samc__int8_steps(values[i], eight->scales[(first + i) / k]);
        }
    }
}

static samc_status produce(void *context, size_t index, int64_t first, int64_t count, void *bytes, samc_error *error) {
    const conversion *c = context;
    const source *from = &c->sources[index];
    const samc__tensor *input = from->input;
    const samc__dtype dtype = c->outputs[index].dtype;
    float values[CHUNK];
    if (from->part == SCALES) {
        memcpy(bytes, from->eight->scales + first, (size_t)count * sizeof(float));
    } else if (from->part == NORM) {
        make_eight(from, first, count, bytes, NULL);
    } else if (from->part == WEIGHT) {
        for (int64_t done = 0; done < count; done += CHUNK)
            make_eight(from, first + done, count - done < CHUNK ? count - done : CHUNK, values, (int8_t *)bytes + done);
    } else if (dtype == input->dtype) {
        samc__tensor_copy_raw(input, first, count, bytes);
    } else if (dtype == SAMC__F32) {
        samc__tensor_copy_f32(input, first, count, bytes);
    } else {
        uint16_t *halves = bytes;
        for (int64_t done = 0; done < count; done += CHUNK) {
            int64_t now = count - done < CHUNK ? count - done : CHUNK;
            samc__tensor_copy_f32(input, first + done, now, values);
            if (!narrow(values, now, dtype, halves + done))
                return samc__fail(error, SAMC_UNSUPPORTED, "%s: tensor %s has values beyond the range of %s",
                                  c->checkpoint->label, input->name, dtype == SAMC__F16 ? "f16" : "bf16");
        }
    }
    return SAMC_OK;
}

/* The configuration as text, over what the input's own metadata said; free() it. Of SAM's, or where that is NULL of a
 * model of text and images. */
static samc_status describe(const samc__checkpoint *checkpoint, const samc__config *config,
                            const samc__text_image_config *towers, char **text, samc_error *error) {
    samc__json json;
    samc__json_text written = {0};
    SAMC__TRY(samc__read_metadata(checkpoint, &json, error));
    if (config != NULL) samc__config_write(config, json, &written);
    else samc__text_image_write(towers, &written);
    if (written.failed) {
        free(written.data);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    }
    *text = written.data;
    return SAMC_OK;
}

static samc_status write_output(const conversion *c, char *text, const char *output, samc_error *error) {
    static const char *const kept[] = {"samc.name", "samc.licence", "samc.card"};
    char source[65];
    SAMC__TRY(samc__files_hash(c->checkpoint, source, error));
    /* The writer only reads these strings; samc__metadata owns its own elsewhere. */
    samc__metadata metadata[9] = {
        {(char *)"format", (char *)"pt"}, /* what Python's loaders of PyTorch models ask for */
        {(char *)"samc.config", text},
        {(char *)"samc.source_sha256", source},
        {(char *)"samc.converter_version", (char *)SAMC_VERSION},
    };
    size_t count = 4;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        const char *value = samc__checkpoint_metadata(c->checkpoint, kept[i]);
        if (value != NULL) metadata[count++] = (samc__metadata){(char *)kept[i], (char *)value};
    }
    char calibration[64];
    if (c->images > 0) {
        snprintf(calibration, sizeof calibration, "{\"images\":%d,\"alpha\":0.5}", c->images);
        metadata[count++] = (samc__metadata){(char *)"samc.calibration", calibration};
    }
    return samc__safetensors_write(output, c->outputs, c->count, metadata, count, produce, (void *)c, error);
}

static bool same_file(const char *input, const char *output) {
    struct stat a, b;
    return stat(input, &a) == 0 && stat(output, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* The input is mapped while the output is written; and a mistyped command must not cost the only copy. */
static samc_status refuse_same_file(const samc__checkpoint *input, const char *output, samc_error *error) {
    bool same = same_file(samc__checkpoint_path(input), output);
    for (size_t i = 0; i < input->part_count; i++) same = same || same_file(input->parts[i]->path, output);
    if (!same) return SAMC_OK;
    return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: input and output are the same file", output);
}

static samc_status make_eights(conversion *c, const samc__tensor_list *tensors, const samc__maxima *maxima) {
    SAMC__TRY(samc__eight_possible(tensors, c->checkpoint, c->error));
    c->eights = calloc(tensors->count, sizeof *c->eights);
    if (c->eights == NULL) return samc__fail(c->error, SAMC_OUT_OF_MEMORY, "%s: out of memory", c->checkpoint->label);
    for (size_t i = 0; i < tensors->count; i++) {
        const samc__entry *e = &tensors->at[i];
        if (!e->eight || samc__checkpoint_find(c->checkpoint, e->name)->dtype == SAMC__I8) continue; /* refused later */
        SAMC__TRY(samc__eight_make(&c->eights[i], c->checkpoint, e, maxima ? maxima->of[i] : NULL, c->error));
    }
    c->images = maxima ? maxima->images : 0;
    return SAMC_OK;
}

/* `text`: the configuration. */
static samc_status convert_tensors(conversion *c, char *text, const samc__tensor_list *tensors,
                                   const samc__maxima *maxima, const char *output) {
    samc_status status = SAMC_OK;
    SAMC__TRY(samc__tensors_check(tensors, c->checkpoint, c->error));
    c->outputs = calloc(2 * tensors->count, sizeof *c->outputs); /* scales beside each at most */
    c->sources = calloc(2 * tensors->count, sizeof *c->sources);
    if (c->outputs == NULL || c->sources == NULL)
        status = samc__fail(c->error, SAMC_OUT_OF_MEMORY, "%s: out of memory", c->checkpoint->label);
    if (status == SAMC_OK && c->storage == SAMC_STORAGE_INT8) status = make_eights(c, tensors, maxima);
    for (size_t i = 0; i < tensors->count && status == SAMC_OK; i++) status = add_entry(c, tensors, i);
    if (status == SAMC_OK) status = write_output(c, text, output, c->error);
    for (size_t i = 0; c->eights != NULL && i < tensors->count; i++) samc__eight_free(&c->eights[i]);
    free(c->eights);
    free(c->outputs);
    free(c->sources);
    return status;
}

static samc_status convert_towers(conversion *c, samc__text_image_kind kind, const char *output) {
    samc__text_image_config config;
    samc__tensor_list tensors;
    char *text = NULL;
    if (c->storage == SAMC_STORAGE_INT8)
        return samc__fail(c->error, SAMC_UNSUPPORTED,
                          "%s: a model of text and images, which samc keeps in 16 bits at "
                          "least",
                          c->checkpoint->label);
    samc__text_image_weights *unbound = malloc(sizeof *unbound);
    if (unbound == NULL) return samc__fail(c->error, SAMC_OUT_OF_MEMORY, "%s: out of memory", c->checkpoint->label);
    samc_status status = samc__text_image_read(c->checkpoint, kind, &config, c->error);
    if (status == SAMC_OK) status = samc__text_image_list(&config, unbound, &tensors, c->error);
    if (status == SAMC_OK) {
        status = describe(c->checkpoint, NULL, &config, &text, c->error);
        if (status == SAMC_OK) status = convert_tensors(c, text, &tensors, NULL, output);
        samc__tensors_free(&tensors);
    }
    free(text);
    free(unbound);
    return status;
}

static samc_status convert_sam(conversion *c, const samc__given *given, const samc__maxima *maxima,
                               const char *output) {
    samc__checkpoint *checkpoint = c->checkpoint;
    samc__config config;
    samc__weights unbound;
    samc__tensor_list tensors;
    char *text = NULL;
    SAMC__TRY(samc__config_read(checkpoint, given, &config, c->error));
    SAMC__TRY(samc__tensors_list(&config, &unbound, &tensors, c->error));
    samc_status status = describe(checkpoint, &config, NULL, &text, c->error);
    if (status == SAMC_OK) status = convert_tensors(c, text, &tensors, maxima, output);
    free(text);
    samc__tensors_free(&tensors);
    if (status == SAMC_OK && maxima == NULL) /* else it was noted as the model was opened */
        samc__recipe_note(checkpoint, &config);
    return status;
}

samc_status samc__convert(samc__checkpoint *checkpoint, const char *output, const samc_convert_options *o,
                          const samc__maxima *maxima, samc_error *error) {
    conversion c = {.checkpoint = checkpoint, .storage = o->storage, .error = error};
    samc__text_image_kind kind;
    SAMC__TRY(refuse_same_file(checkpoint, output, error));
    if (samc__text_image_is(checkpoint, &kind)) SAMC__TRY(convert_towers(&c, kind, output));
    else SAMC__TRY(convert_sam(&c, &(samc__given){o->recipe, o->image_size}, maxima, output));
    if (error != NULL) snprintf(error->message, sizeof error->message, "%s", samc__checkpoint_note(checkpoint));
    return SAMC_OK;
}

samc_status samc_convert(const char *input, const char *output, samc_storage storage, samc_error *error) {
    return samc_convert_with(input, output, &(samc_convert_options){sizeof(samc_convert_options), storage, NULL, 0},
                             error);
}

samc_status samc_convert_with(const char *input, const char *output, const samc_convert_options *options,
                              samc_error *error) {
    samc_convert_options own = SAMC_INIT(samc_convert_options);
    if (error != NULL) *error = (samc_error){.status = SAMC_OK};
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_convert_options), options, &own, error));
    if (input == NULL || output == NULL || *output == '\0' || (unsigned)own.storage > SAMC_STORAGE_INT8)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_convert: no path, or an unknown storage type");
    samc__checkpoint *checkpoint = NULL;
    SAMC__TRY(samc__checkpoint_open(input, &checkpoint, error));
    samc_status status = samc__convert(checkpoint, output, &own, NULL, error);
    samc__checkpoint_close(checkpoint);
    return status;
}
