/* samc convert: a PyTorch checkpoint to a safetensors model. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "host/cli/cli.h"

static const char help[] =
    "Usage: samc convert CHECKPOINT -o MODEL.safetensors [--dtype f32|f16|bf16] [--recipe NAME|FILE.json]\n"
    "\n"
    "Writes a SAM checkpoint as safetensors: the original tensor names, with the architecture and the\n"
    "preprocessing recipe in the metadata. Nothing in the checkpoint is executed. The output appears only\n"
    "when it is complete.\n"
    "\n"
    "  CHECKPOINT            PyTorch .pth (zip container) or safetensors, with the names of segment_anything or\n"
    "                        Hugging Face's SamModel, in any nesting of dictionaries and under any prefix;\n"
    "                        also an index of several files, or a folder of Hugging Face's\n"
    "  -o, --output FILE     the file to write; required\n"
    "      --dtype TYPE      f32, f16 or bf16 (default: as stored); 16 bits round to nearest even\n"
    "\n"
    "Example: samc convert sam_vit_b_01ec64.pth -o sam_vit_b.safetensors --dtype f16\n";

/* True where both names lead to the same file. */
static bool same_file(const char *a, const char *b) {
    struct stat first, second;
    return stat(a, &first) == 0 && stat(b, &second) == 0 && first.st_dev == second.st_dev &&
           first.st_ino == second.st_ino;
}

int samc__cmd_convert(int argc, char **argv) {
    enum { DTYPE = SAMC__CLI_OWN };
    static const struct option table[] = {
        {"output", required_argument, NULL, 'o'}, {"dtype", required_argument, NULL, DTYPE}, SAMC__CLI_COMMON};
    static const char *const types[] = {"f32", "f16", "bf16"};
    samc__cli cli = samc__cli_begin("convert", help);
    const char *output = NULL;
    samc_storage storage = SAMC_STORAGE_KEEP;
    for (int option; (option = samc__cli_next(&cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return cli.exit_code;
        if (option == 'o') output = optarg;
        if (option == DTYPE) {
            storage = SAMC_STORAGE_KEEP;
            for (int i = 0; i < 3; i++)
                if (strcmp(optarg, types[i]) == 0) storage = (samc_storage)(SAMC_STORAGE_F32 + i);
            if (storage == SAMC_STORAGE_KEEP)
                return samc__cli_usage(&cli, "--dtype is f32, f16 or bf16, not '%s'", optarg);
        }
    }
    if (cli.setting_count > 0) return samc__cli_usage(&cli, "--set has no meaning here: it is for who opens a model");
    if (cli.model != NULL) return samc__cli_usage(&cli, "--model has no meaning here: the checkpoint is an argument");
    if (argc - optind != 1) return samc__cli_usage(&cli, "give one CHECKPOINT, not %d", argc - optind);
    if (output == NULL) return samc__cli_usage(&cli, "-o MODEL.safetensors is missing");
    const char *input = argv[optind];
    if (same_file(input, output)) return samc__cli_usage(&cli, "%s would overwrite the checkpoint itself", output);

    samc_error error;
    samc_convert_options options = {sizeof options, storage, cli.options.recipe};
    if (samc_convert_with(input, output, &options, &error) != SAMC_OK) return samc__cli_fail(error.message);
    if (error.message[0] != '\0') samc__cli_note(&cli, "%s: %s", input, error.message);
    struct stat information;
    if (stat(output, &information) == 0) samc__cli_note(&cli, "%s: %.1f MB", output, (double)information.st_size / 1e6);
    return SAMC__EXIT_OK;
}
