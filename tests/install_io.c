/* A program against the installed samc.h and samc_io.h: reads a JPEG, makes automatic masks, writes
 * out/annotations.json. */
#include <samc_io.h>
#include <stdio.h>
#include <string.h>

typedef struct output {
    const char *path;
    const samc_image *image;
    samc_error error;
} output;

static samc_status write_masks(void *context, int index, const samc_mask *masks, int count,
                               const samc_auto_stats *stats) {
    output *out = context;
    const char *slash = strrchr(out->path, '/');
    samc_masks image = {.size = sizeof image,
                        .source = out->path,
                        .name = slash ? slash + 1 : out->path,
                        .width = out->image->width,
                        .height = out->image->height,
                        .masks = masks,
                        .count = count};
    (void)index, (void)stats;
    return samc_masks_write(&image, 1, SAMC_OUTPUT_COCO, "out/annotations.json", &out->error);
}

int main(int argc, char **argv) {
    samc_image image = SAMC_INIT(samc_image);
    output out = {argc > 1 ? argv[1] : "", &image, {0}};
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_status status = samc_image_load(out.path, 0, &image, &out.error);
    if (status == SAMC_OK) status = samc_folder_create("out", &out.error);
    if (status == SAMC_OK) status = samc_model_open("samc-tiny.safetensors", NULL, &model, &out.error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, &out.error);
    if (status == SAMC_OK) status = samc_auto(session, &image, 1, NULL, write_masks, &out);
    if (status != SAMC_OK) fprintf(stderr, "%s %s\n", out.error.message, session ? samc_last_error(session) : "");
    samc_session_destroy(session);
    samc_model_close(model);
    samc_image_free(&image);
    return status != SAMC_OK;
}
