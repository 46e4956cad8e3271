/* samc_convert(): any checkpoint that samc can read becomes safetensors with SAM's names and the metadata of FORMAT.md.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runtime/base/abi.h"
#include "runtime/model/published.h"
#include "runtime/model/recipe_choice.h"
#include "runtime/model/tensors.h"
#include "weights/safetensors.h"

enum { CHUNK = 1024 }; /* floats on the stack */

typedef struct conversion {
    const samc__checkpoint *checkpoint;
    samc_storage storage;
    samc_error *error;
    samc__output_tensor *outputs; /* [count] */
    const samc__tensor **inputs;  /* [count] */
    size_t count;
} conversion;

static samc__dtype target_type(samc_storage storage, samc__dtype dtype) {
    if (dtype == SAMC__F64) dtype = SAMC__F32; /* as it is used */
    return storage == SAMC_STORAGE_F32    ? SAMC__F32
           : storage == SAMC_STORAGE_F16  ? SAMC__F16
           : storage == SAMC_STORAGE_BF16 ? SAMC__BF16
                                          : dtype;
}

static samc_status add_output(conversion *c, const samc__entry *e) {
    const samc__tensor *input = samc__checkpoint_find(c->checkpoint, e->name);
    if (!samc__tensor_fits_f32(input))
        return samc__fail(c->error, SAMC_UNSUPPORTED, "%s: tensor %s has values beyond the range of f32",
                          c->checkpoint->label, e->name);
    samc__output_tensor *output = &c->outputs[c->count];
    c->inputs[c->count++] = input;
    *output = (samc__output_tensor){.name = e->name, .dtype = target_type(c->storage, input->dtype), .rank = e->rank};
    memcpy(output->shape, e->shape, (size_t)e->rank * sizeof *e->shape);
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

static samc_status produce(void *context, size_t index, int64_t first, int64_t count, void *bytes, samc_error *error) {
    const conversion *c = context;
    const samc__tensor *input = c->inputs[index];
    const samc__dtype dtype = c->outputs[index].dtype;
    float values[CHUNK];
    if (dtype == input->dtype) {
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

/* The configuration as text, over what the input's own metadata said; free() it. */
static samc_status describe(const samc__checkpoint *checkpoint, const samc__config *config, char **text,
                            samc_error *error) {
    samc__json json;
    samc__json_text written = {0};
    SAMC__TRY(samc__read_metadata(checkpoint, &json, error));
    samc__config_write(config, json, &written);
    if (written.failed) {
        free(written.data);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    }
    *text = written.data;
    return SAMC_OK;
}

static samc_status write_output(const conversion *c, const samc__config *config, const char *output,
                                samc_error *error) {
    static const char *const kept[] = {"samc.name", "samc.licence", "samc.card"};
    char source[65], *text = NULL;
    SAMC__TRY(samc__files_hash(c->checkpoint, source, error));
    SAMC__TRY(describe(c->checkpoint, config, &text, error));
    /* The writer only reads these strings; samc__metadata owns its own elsewhere. */
    samc__metadata metadata[8] = {
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
    samc_status status =
        samc__safetensors_write(output, c->outputs, c->count, metadata, count, produce, (void *)c, error);
    free(text);
    return status;
}

/* The input is mapped while the output is written; and a mistyped command must not cost the only copy. */
static samc_status refuse_same_file(const char *input, const char *output, samc_error *error) {
    struct stat a, b;
    if (stat(input, &a) == 0 && stat(output, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "%s: input and output are the same file", output);
    return SAMC_OK;
}

static samc_status convert_tensors(const samc__checkpoint *checkpoint, const samc__config *config,
                                   const samc__tensor_list *tensors, const char *output, samc_storage storage,
                                   samc_error *error) {
    conversion c = {.checkpoint = checkpoint, .storage = storage, .error = error};
    SAMC__TRY(samc__tensors_check(tensors, checkpoint, error));
    c.outputs = calloc(tensors->count, sizeof *c.outputs);
    c.inputs = calloc(tensors->count, sizeof *c.inputs);
    samc_status status = c.outputs != NULL && c.inputs != NULL
                             ? SAMC_OK
                             : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    for (size_t i = 0; i < tensors->count && status == SAMC_OK; i++) status = add_output(&c, &tensors->at[i]);
    if (status == SAMC_OK) status = write_output(&c, config, output, error);
    free(c.outputs);
    free(c.inputs);
    return status;
}

static samc_status convert(samc__checkpoint *checkpoint, const char *output, const samc_convert_options *o,
                           samc_error *error) {
    samc__config config;
    samc__weights unbound;
    samc__tensor_list tensors;
    SAMC__TRY(samc__config_read(checkpoint, o->recipe, &config, error));
    SAMC__TRY(samc__tensors_list(&config, &unbound, &tensors, error));
    samc_status status = convert_tensors(checkpoint, &config, &tensors, output, o->storage, error);
    samc__tensors_free(&tensors);
    if (status == SAMC_OK) samc__recipe_note(checkpoint, &config);
    return status;
}

samc_status samc_convert(const char *input, const char *output, samc_storage storage, samc_error *error) {
    return samc_convert_with(input, output, &(samc_convert_options){sizeof(samc_convert_options), storage, NULL},
                             error);
}

samc_status samc_convert_with(const char *input, const char *output, const samc_convert_options *options,
                              samc_error *error) {
    samc_convert_options own = SAMC_INIT(samc_convert_options);
    if (error != NULL) *error = (samc_error){.status = SAMC_OK};
    if (options != NULL) SAMC__TRY(samc__abi_take(SAMC__ABI(samc_convert_options), options, &own, error));
    if (input == NULL || output == NULL || *output == '\0' || (unsigned)own.storage > SAMC_STORAGE_BF16)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_convert: no path, or an unknown storage type");
    SAMC__TRY(refuse_same_file(input, output, error));
    samc__checkpoint *checkpoint = NULL;
    SAMC__TRY(samc__checkpoint_open(input, &checkpoint, error));
    samc_status status = convert(checkpoint, output, &own, error);
    if (status == SAMC_OK && error != NULL)
        snprintf(error->message, sizeof error->message, "%s", samc__checkpoint_note(checkpoint));
    samc__checkpoint_close(checkpoint);
    return status;
}
