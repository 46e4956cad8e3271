/* Writing the results of one image. */
#include "host/io/results.h"

#include <unistd.h>

#include "host/io/resume.h"
#include "host/io/sample.h"
#include "runtime/base/status.h"

/* A folder of pictures, every file in it synced, then the folder itself. */
static samc_status write_pictures(const samc__store *store, const char *scratch, const samc_masks *image,
                                  samc_error *error) {
    int folder;
    SAMC__TRY(samc__store_create_folder(store, scratch, &folder, error));
    samc_status status = samc__masks_write_pictures(folder, store->scratch, store->sync, image, error);
    if (status == SAMC_OK) status = samc__store_sync_folder(store, folder, error);
    close(folder);
    return status;
}

/* One format of one image, into the scratch folder. */
static samc_status write_format(const samc_archive_options *o, const samc__store *store, const samc__job *job,
                                const samc_masks *image, const samc__result_file *file, samc_error *error) {
    char scratch[SAMC__STORE_NAME];
    samc__writer writer;
    if (!(o->formats & file->format)) return SAMC_OK;
    samc__store_scratch(job->number, file->mark, scratch);
    if (file->format == SAMC_OUTPUT_PNG) return write_pictures(store, scratch, image, error);
    SAMC__TRY(samc__store_create(store, scratch, &writer, error));
    samc_status status = file->format == SAMC_OUTPUT_OVERLAY ? samc__masks_write_overlay(&writer, image, error)
                         : file->format == SAMC_OUTPUT_SA1B  ? samc__masks_write_sa1b(&writer, image, error)
                                                             : samc__masks_write_records(&writer, image, error);
    if (status == SAMC_OK) return samc__writer_commit(&writer, error);
    samc__writer_abandon(&writer);
    return status;
}

samc_status samc__results_write(const samc_archive_options *o, const samc__store *store, samc__job *job,
                                samc_error *error) {
    const samc__picture *picture = &job->picture;
    const samc_image pixels = {sizeof pixels, picture->pixels, picture->width, picture->height,
                               (ptrdiff_t)picture->width * 3};
    const samc_masks image = {.size = sizeof image,
                              .source = job->source,
                              .name = job->key,
                              .width = picture->width,
                              .height = picture->height,
                              .image = &pixels,
                              .masks = job->masks,
                              .count = job->count,
                              .scale = &picture->scale};
    const samc__sample sample = {job->member_name, o->copy_images ? job->bytes : NULL, job->size, o->label_maps};
    int64_t id = job->image * o->shards + o->shard + 1; /* of COCO */
    SAMC__TRY(samc__masks_text_make(&job->text, &image, o->formats, id, store->spill, error));
    job->text.sample.folder = store->spill;
    if (o->formats & SAMC_OUTPUT_WEBDATASET) SAMC__TRY(samc__sample_append(&job->text.sample, &sample, &image, error));
    for (int i = 0; i < SAMC__RESULT_FILES; i++)
        SAMC__TRY(write_format(o, store, job, &image, &samc__result_files[i], error));
    return SAMC_OK;
}

void samc__results_discard(const samc__store *store, const samc__job *job) {
    for (int i = 0; i < SAMC__RESULT_FILES; i++) {
        char scratch[SAMC__STORE_NAME];
        samc__store_scratch(job->number, samc__result_files[i].mark, scratch);
        samc__store_discard(store, scratch);
    }
}
