/* samc embed: encodes an image and saves the embedding. */
#include <string.h>

#include "host/cli/cli.h"

static const char help[] =
    "Usage: samc embed IMAGE -o EMB.safetensors|EMB.npy [--dtype f32|f16|bf16]\n"
    "\n"
    "Encodes an image and saves its embedding for 'samc segment IMAGE --embedding EMB', which then skips\n"
    "the encoder.\n"
    "\n"
    "  IMAGE                 JPEG, PNG, WebP, TIFF, ... ('samc info' lists them), or - for standard\n"
    "                        input; EXIF orientation is applied\n"
    "  -o, --output FILE     .safetensors: tensor image_embedding [1, C, g, g] f32, with the model's hash\n"
    "                        and the image's size, which --embedding checks; or .npy: float32\n"
    "                        [1, C, g, g] alone. Models that look at finer features have a tensor for\n"
    "                        each in .safetensors, and no .npy. Required\n"
    "      --dtype TYPE      f32 (default), or in half the bytes f16 or bf16, rounded to the nearest even; of\n"
    "                        .safetensors alone. A value that is too large for f16 is an error\n" SAMC__CLI_SCALE_HELP
    "\n"
    "Example: samc embed photo.jpg -o photo.safetensors && samc segment photo.jpg \\\n"
    "             --embedding photo.safetensors --point 320,240 -o out\n";

static samc_status embed(const samc__cli *cli, const char *path, const char *output, samc_precision type,
                         samc_error *error) {
    char model_path[4096];
    samc_image image = SAMC_INIT(samc_image);
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_model_info info = SAMC_INIT(samc_model_info);
    samc_status status = SAMC_IO;
    if (!samc__cli_find_model(cli, model_path, error)) return status;
    status = samc__cli_load_image(cli, path, 0, &image, NULL, error);
    if (status == SAMC_OK) status = samc__cli_open_model(cli, model_path, &model, error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, error);
    if (status == SAMC_OK) {
        samc_model_get_info(model, &info);
        samc__cli_note(cli, "encoding %s (%d x %d)", path, image.width, image.height);
        status = samc_session_check(session, samc_set_image(session, &image), path, error);
    }
    if (status == SAMC_OK) status = samc_embedding_save_as(session, model, output, type, error);
    if (status == SAMC_OK)
        samc__cli_note(cli, "%s: [1, %d, %d, %d] %s", output, info.embed_channels, info.grid, info.grid,
                       samc__cli_precision(type));
    samc_session_destroy(session);
    samc_model_close(model);
    samc_image_free(&image);
    return status;
}

int samc__cmd_embed(int argc, char **argv) {
    enum { DTYPE = SAMC__CLI_OWN };
    static const struct option table[] = {{"output", required_argument, NULL, 'o'},
                                          {"dtype", required_argument, NULL, DTYPE},
                                          SAMC__CLI_IMAGE,
                                          SAMC__CLI_COMMON};
    samc_precision type = SAMC_PRECISION_F32;
    samc__cli cli = samc__cli_begin("embed", help);
    const char *output = NULL;
    for (int option; (option = samc__cli_next(&cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return cli.exit_code;
        if (option == 'o') output = optarg;
        if (option == DTYPE) {
            for (type = SAMC_PRECISION_F32; type <= SAMC_PRECISION_BF16; type++)
                if (strcmp(optarg, samc__cli_precision(type)) == 0) break;
            if (type > SAMC_PRECISION_BF16)
                return samc__cli_usage(&cli, "--dtype is f32, f16 or bf16, not '%s'", optarg);
        }
    }
    if (argc - optind != 1) return samc__cli_usage(&cli, "give one IMAGE, not %d", argc - optind);
    if (output == NULL) return samc__cli_usage(&cli, "-o EMB.safetensors or EMB.npy is missing");
    if (samc_embedding_format_of(output) == SAMC_EMBEDDING_UNKNOWN)
        return samc__cli_usage(&cli, "the output '%s' ends in neither .safetensors nor .npy", output);
    if (type != SAMC_PRECISION_F32 && samc_embedding_format_of(output) == SAMC_EMBEDDING_NPY)
        return samc__cli_usage(&cli, "--dtype %s is for .safetensors; .npy is float32", samc__cli_precision(type));
    samc_error error;
    if (embed(&cli, argv[optind], output, type, &error) != SAMC_OK) return samc__cli_fail(error.message);
    return SAMC__EXIT_OK;
}
