/* samc convert: a PyTorch checkpoint to a safetensors model. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/cli/cli.h"

static const char help[] =
    "Usage: samc convert CHECKPOINT -o MODEL.safetensors [--dtype f32|f16|bf16|int8] [--calibrate FOLDER]\n"
    "                    [--recipe NAME|FILE.json] [--image-size N]\n"
    "\n"
    "Writes a SAM checkpoint as safetensors: the original tensor names, with the architecture and the\n"
    "preprocessing recipe in the metadata. Nothing in the checkpoint is executed. The output appears only\n"
    "when it is complete.\n"
    "\n"
    "  CHECKPOINT            PyTorch .pth (zip container) or safetensors, with the names of segment_anything or\n"
    "                        Hugging Face's SamModel, in any nesting of dictionaries and under any prefix;\n"
    "                        also an index of several files, or a folder of Hugging Face's\n"
    "  -o, --output FILE     the file to write; required\n"
    "      --dtype TYPE      f32, f16, bf16 or int8 (default: as stored); 16 bits round to nearest even. int8: the\n"
    "                        encoder's large layers in 8 bits, for CPUs; other matrices in bf16\n"
    "      --calibrate FOLDER  with int8: images such as the model will see (20 to 50), run through the encoder in f32 "
    "to\n"
    "                        weigh activations against weights; files in it that are no images are named and skipped\n"
    "\n"
    "Example: samc convert sam_vit_b_01ec64.pth -o sam_vit_b.safetensors --dtype f16\n";

static int visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* Adds the images of the folder, by name; what cannot be read is named. How many were, or -1 with a message. */
static int add_folder(const samc__cli *cli, samc_calibration *calibration, const char *folder, samc_error *error) {
    struct dirent **entries;
    const int count = scandir(folder, &entries, visible, alphasort);
    int used = 0, skipped = 0;
    if (count < 0) {
        snprintf(error->message, sizeof error->message, "%.200s: cannot be read: %s", folder, strerror(errno));
        return -1;
    }
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX];
        samc_image image = SAMC_INIT(samc_image);
        snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
        free(entries[i]);
        samc_status status = samc_image_load(path, 0, &image, error);
        if (status == SAMC_OK) {
            status = samc_calibration_add(calibration, &image, error);
            samc_image_free(&image);
        }
        if (status == SAMC_OK) used++;
        else samc__cli_note(cli, "skipped: %s", error->message), skipped++;
    }
    free(entries);
    if (used > 0)
        samc__cli_note(cli, "%s: calibrated with %d image%s, %d file%s skipped", folder, used, used == 1 ? "" : "s",
                       skipped, skipped == 1 ? "" : "s");
    else if (count == 0) snprintf(error->message, sizeof error->message, "%.200s: no images in it", folder);
    else
        snprintf(error->message, sizeof error->message, "%.200s: none of its %d file%s is an image that could be used",
                 folder, count, count == 1 ? "" : "s");
    return used > 0 ? used : -1;
}

static samc_status convert_calibrated(const samc__cli *cli, const char *input, const char *output, const char *folder,
                                      samc_error *error) {
    samc_calibration *calibration;
    samc_status status = samc_calibration_create(input, &cli->options, &calibration, error);
    if (status == SAMC_OK && add_folder(cli, calibration, folder, error) < 0) status = SAMC_IO;
    if (status == SAMC_OK) status = samc_calibration_convert(calibration, output, error);
    samc_calibration_destroy(calibration);
    return status;
}

int samc__cmd_convert(int argc, char **argv) {
    enum { DTYPE = SAMC__CLI_OWN, CALIBRATE };
    static const struct option table[] = {{"output", required_argument, NULL, 'o'},
                                          {"dtype", required_argument, NULL, DTYPE},
                                          {"calibrate", required_argument, NULL, CALIBRATE},
                                          SAMC__CLI_COMMON};
    static const char *const types[] = {"f32", "f16", "bf16", "int8"}; /* in the order of samc_storage */
    samc__cli cli = samc__cli_begin("convert", help);
    const char *output = NULL, *folder = NULL;
    samc_storage storage = SAMC_STORAGE_KEEP;
    for (int option; (option = samc__cli_next(&cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) return cli.exit_code;
        if (option == 'o') output = optarg;
        if (option == CALIBRATE) folder = optarg;
        if (option == DTYPE) {
            storage = SAMC_STORAGE_KEEP;
            for (int i = 0; i < 4; i++)
                if (strcmp(optarg, types[i]) == 0) storage = (samc_storage)(SAMC_STORAGE_F32 + i);
            if (storage == SAMC_STORAGE_KEEP)
                return samc__cli_usage(&cli, "--dtype is f32, f16, bf16 or int8, not '%s'", optarg);
        }
    }
    if (cli.setting_count > 0) return samc__cli_usage(&cli, "--set has no meaning here: it is for who opens a model");
    if (cli.model != NULL) return samc__cli_usage(&cli, "--model has no meaning here: the checkpoint is an argument");
    if (argc - optind != 1) return samc__cli_usage(&cli, "give one CHECKPOINT, not %d", argc - optind);
    if (folder != NULL && storage != SAMC_STORAGE_INT8) return samc__cli_usage(&cli, "--calibrate is for --dtype int8");
    if (output == NULL) return samc__cli_usage(&cli, "-o MODEL.safetensors is missing");
    const char *input = argv[optind];
    if (samc__cli_same_file(input, output))
        return samc__cli_usage(&cli, "%s would overwrite the checkpoint itself", output);

    samc_error error;
    samc_convert_options options = {sizeof options, storage, cli.options.recipe, cli.options.image_size};
    const samc_status status = folder ? convert_calibrated(&cli, input, output, folder, &error)
                                      : samc_convert_with(input, output, &options, &error);
    if (status != SAMC_OK) return samc__cli_fail(error.message);
    if (error.message[0] != '\0') samc__cli_note(&cli, "%s: %s", input, error.message);
    struct stat information;
    if (stat(output, &information) == 0) samc__cli_note(&cli, "%s: %.1f MB", output, (double)information.st_size / 1e6);
    return SAMC__EXIT_OK;
}
