/* samc info: the machine, the decoders and a model, for people or as JSON. */
#include <stdio.h>
#include <string.h>

#include "host/cli/cli.h"

static const char help[] =
    "Usage: samc info [MODEL] [--json]\n"
    "\n"
    "Prints the version, the backends, what the CPU and the GPU can do, the image decoders, what reads and\n"
    "writes maps, and of a model its architecture, parameters, hash and the memory it needs.\n"
    "\n"
    "  MODEL                 safetensors or .pth (default: --model, then the default model if there is one)\n"
    "      --json            one JSON object on standard output\n"
    "\n"
    "Example: samc info sam_vit_b.safetensors --json\n";

/* All that is printed, gathered first. */
typedef struct facts {
    samc_machine machine;
    char cublaslt[512], cudnn[512];
    const char *path; /* NULL where there is no model */
    samc_model_info model;
    char hash[65];
} facts;

static const char *backend_name(samc_backend backend) {
    static const char *const names[] = {"auto", "ref", "cpu", "cuda"};
    return names[backend];
}

/* What the user should know of the model: of its file, of the backend, of its cost. */
static json_t *notes_json(const samc_model_info *m) {
    json_t *notes = json_array();
    char slow[160];
    if (m->file_note[0] != '\0') json_array_append_new(notes, samc__cli_text(m->file_note));
    if (m->backend_note[0] != '\0') json_array_append_new(notes, samc__cli_text(m->backend_note));
    if (samc__cli_slow(m, slow)) json_array_append_new(notes, json_string(slow));
    return notes;
}

/* "a=1,b=2" -> {"a": 1, "b": 2}, as the library writes it. */
static json_t *settings_json(const samc_model_info *m) {
    json_t *settings = json_object();
    char name[64];
    double value;
    for (const char *at = m->settings; sscanf(at, "%63[^=]=%lf", name, &value) == 2; at++) {
        json_object_set_new(settings, name, json_real(value));
        at += strcspn(at, ",");
        if (*at == '\0') break;
    }
    return settings;
}

static json_t *recipe_json(const samc_model_info *m) {
    json_t *recipe = json_loads(m->recipe_fields, 0, NULL);
    json_object_set_new(recipe, "name", samc__cli_text(m->recipe));
    json_object_set_new(recipe, "from", samc__cli_text(m->recipe_from));
    return recipe;
}

static int print_json(const facts *f) {
    const samc_model_info *m = &f->model;
    json_t *model = json_null();
    if (f->path != NULL) {
        model = json_pack("{s:o, s:s, s:o, s:o, s:o, s:s, s:I, s:I}", "path", samc__cli_text(f->path), "hash", f->hash,
                          "name", samc__cli_text(m->name), "licence", samc__cli_text(m->licence), "card",
                          samc__cli_text(m->card), "dtype", m->dtype, "parameters", (json_int_t)m->parameters,
                          "file_bytes", (json_int_t)m->file_bytes);
        json_t *shape = json_pack(
            "{s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f}", "image_size", m->image_size,
            "patch_size", m->patch_size, "grid", m->grid, "encoder_dim", m->encoder_dim, "encoder_depth",
            m->encoder_depth, "encoder_heads", m->encoder_heads, "encoder_mlp_dim", m->encoder_mlp_dim, "window_size",
            m->window_size, "global_blocks", m->global_blocks, "embed_channels", m->embed_channels, "decoder_depth",
            m->decoder_depth, "decoder_heads", m->decoder_heads, "multimask_outputs", m->multimask_outputs, "low_res",
            m->low_res, "mask_threshold", (double)m->mask_threshold);
        json_object_set_new(model, "family", json_string(m->family));
        json_object_set_new(model, "architecture", shape);
        json_object_set_new(model, "backend", json_string(backend_name(m->backend)));
        json_object_set_new(model, "precision", json_string(samc__cli_precision(m->precision)));
        json_object_set_new(model, "arithmetic", json_string(m->arithmetic));
        json_object_set_new(model, "threads", json_integer(m->threads));
        json_object_set_new(model, "settings", settings_json(m));
        json_object_set_new(model, "recipe", recipe_json(m));
        json_object_set_new(model, "notes", notes_json(m));
        json_object_set_new(
            model, "encode",
            json_pack("{s:f, s:f}", "flops", m->encode_flops, "seconds_about", samc__cli_encode_seconds(m)));
        json_object_set_new(model, "memory",
                            json_pack("{s:I, s:I, s:I, s:I}", "weight_bytes", (json_int_t)m->weight_bytes,
                                      "encode_bytes", (json_int_t)m->encode_bytes, "predict_bytes",
                                      (json_int_t)m->predict_bytes, "device_bytes", (json_int_t)m->device_bytes));
    }
    json_t *backends = json_pack("[s, s]", "ref", "cpu");
    if (f->machine.has_cuda) json_array_append_new(backends, json_string("cuda"));
    json_t *decoders = json_array(), *formats = json_array();
    for (int i = 0; samc_image_format(i) != NULL; i++)
        json_array_append_new(formats, json_string(samc_image_format(i)));
    for (int i = 0; samc_image_decoder(i) != NULL; i++)
        if (samc_image_decoder(i)[0] != '\0') json_array_append_new(decoders, json_string(samc_image_decoder(i)));
    return samc__cli_print_json(
        json_pack("{s:s, s:o, s:i, s:s, s:s, s:s, s:{s:b, s:s, s:s, s:s}, s:o, s:o, s:s?, s:o}", "version",
                  samc_version(), "backends", backends, "processors", f->machine.processors, "cpu", f->machine.cpu,
                  "bf16", f->machine.bf16, "int8", f->machine.int8, "cuda", "available", (int)f->machine.has_cuda,
                  "description", f->machine.cuda, "cublaslt", f->cublaslt, "cudnn", f->cudnn, "image_formats", formats,
                  "image_decoders", decoders, "maps", samc_geo_library(), "model", model));
}

static int print_text(const facts *f, const char *why_no_model) {
    const samc_model_info *m = &f->model;
    char slow[160];
    printf("samc %s\n", samc_version());
    printf("backends        ref, cpu%s\n", f->machine.has_cuda ? ", cuda" : "");
    printf("cpu             %d processors, %s\n", f->machine.processors, f->machine.cpu);
    printf("  bf16          %s\n  int8          %s\n", f->machine.bf16, f->machine.int8);
    printf("cuda            %s\n", f->machine.cuda);
    printf("  cuBLASLt      %s\n  cuDNN         %s\n", f->cublaslt, f->cudnn);
    printf("image formats ");
    for (int i = 0; samc_image_format(i) != NULL; i++) printf("%s%s", i == 0 ? "  " : ", ", samc_image_format(i));
    printf("\nimage decoders");
    for (int i = 0, told = 0; samc_image_decoder(i) != NULL; i++)
        if (samc_image_decoder(i)[0] != '\0') printf("%s%s", told++ == 0 ? "  " : "; ", samc_image_decoder(i));
    printf("\nmaps            %s\n", samc_geo_library() ? samc_geo_library() : "no GDAL in this build");
    if (f->path == NULL) {
        printf("model           none (%s)\n", why_no_model);
    } else {
        printf("model           %s\n", f->path);
        if (m->name[0] != '\0') printf("  name          %s\n", m->name);
        if (m->licence[0] != '\0') printf("  licence       %s\n", m->licence);
        if (m->card[0] != '\0') printf("  card          %s\n", m->card);
        if (m->file_note[0] != '\0') printf("  note          %s\n", m->file_note);
        if (samc__cli_slow(m, slow)) printf("  note          %s\n", slow);
        printf("  hash          %s\n", f->hash);
        printf("  family        %s, %.2f M parameters, %s, file %.1f MB\n", m->family, (double)m->parameters / 1e6,
               m->dtype, (double)m->file_bytes / 1e6);
        printf("  image         %d x %d, patches of %d, grid %d x %d\n", m->image_size, m->image_size, m->patch_size,
               m->grid, m->grid);
        printf("  encoder       %d blocks (%d global, windows of %d), %d channels, %d heads, MLP %d\n",
               m->encoder_depth, m->global_blocks, m->window_size, m->encoder_dim, m->encoder_heads,
               m->encoder_mlp_dim);
        printf("  recipe        %s (%s)\n", m->recipe, m->recipe_from);
        printf("  decoder       %d blocks, %d channels, %d heads, %d mask%s, low-res %d x %d, threshold %g\n",
               m->decoder_depth, m->embed_channels, m->decoder_heads, m->multimask_outputs,
               m->multimask_outputs == 1 ? "" : "s", m->low_res, m->low_res, (double)m->mask_threshold);
        printf("  runs on       %s in %s, %d threads\n", backend_name(m->backend), samc__cli_precision(m->precision),
               m->threads);
        if (m->arithmetic[0] != '\0') printf("                %s\n", m->arithmetic);
        if (m->backend_note[0] != '\0') printf("                %s\n", m->backend_note);
        printf("  --set         %s\n", m->settings);
        printf("  encode        %.3g GFLOP for one image, about %.2g s here\n", m->encode_flops * 1e-9,
               samc__cli_encode_seconds(m));
        if (m->backend == SAMC_BACKEND_CUDA)
            printf("  GPU memory    weights %.1f MB, a session %.1f MB\n", (double)m->weight_bytes / 1e6,
                   (double)m->device_bytes / 1e6);
        else
            printf("  memory        weights %.1f MB, to encode %.1f MB, to predict %.1f MB\n",
                   (double)m->weight_bytes / 1e6, (double)m->encode_bytes / 1e6, (double)m->predict_bytes / 1e6);
    }
    return fflush(stdout) == 0 ? SAMC__EXIT_OK : samc__cli_fail("cannot write to standard output");
}

int samc__cmd_info(int argc, char **argv) {
    enum { JSON = SAMC__CLI_OWN };
    static const struct option table[] = {{"json", no_argument, NULL, JSON}, SAMC__CLI_COMMON};
    samc__cli cli = samc__cli_begin("info", help);
    bool json = false;
    for (int option; (option = samc__cli_next(&cli, argc, argv, "", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return cli.exit_code;
        if (option == JSON) json = true;
    }
    if (argc - optind > 1) return samc__cli_usage(&cli, "give one MODEL, not %d", argc - optind);
    if (argc - optind == 1 && cli.model != NULL)
        return samc__cli_usage(&cli, "MODEL and --model are the same thing; give one");
    if (argc - optind == 1) cli.model = argv[optind];

    facts gathered = {.machine.size = sizeof gathered.machine, .model.size = sizeof gathered.model};
    samc_error error = {0};
    samc_model *model = NULL;
    char path[4096];
    samc_get_machine(&gathered.machine);
    samc_get_cuda_libraries(gathered.cublaslt, gathered.cudnn, sizeof gathered.cublaslt);
    if (samc__cli_find_model(&cli, path, &error)) {
        samc_options options = samc__cli_options(&cli);
        /* A model that was asked for, or that is installed, has to open. */
        if (samc_model_open(path, &options, &model, &error) != SAMC_OK) return samc__cli_fail(error.message);
        if (samc_model_hash(model, gathered.hash, &error) != SAMC_OK) {
            samc_model_close(model);
            return samc__cli_fail(error.message);
        }
        gathered.path = path;
        samc_model_get_info(model, &gathered.model);
    } else if (cli.model != NULL) {
        return samc__cli_fail(error.message);
    }
    int code = json ? print_json(&gathered) : print_text(&gathered, error.message);
    samc_model_close(model);
    return code;
}
