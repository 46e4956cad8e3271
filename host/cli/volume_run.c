/* A run over a volume, around the library's calls. */
#include "host/cli/volume_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

samc__cli_volume samc__cli_volume_begin(void) {
    samc__cli_volume v = {.axis = -1, .link.size = sizeof v.link};
    samc_link_default_options(&v.link, NULL);
    return v;
}

int samc__cli_volume_option(samc__cli_volume *v, const samc__cli *cli, int option, const char *text) {
    static const char *const names[] = {"volume", "max-gap", "min-length"};
    int *const places[] = {&v->time, &v->link.most_gap, &v->link.least_slices};
    v->cli = cli;
    v->asked = true;
    if (option == SAMC__VOLUME_AXIS) return samc__cli_volume_axis(v, text);
    if (option == SAMC__VOLUME_IOU) {
        char *end;
        v->link.least_iou = strtod(text, &end);
        bool good = end != text && *end == '\0' && v->link.least_iou >= 0.0 && v->link.least_iou <= 1.0;
        return good ? SAMC__EXIT_OK : samc__cli_usage(cli, "--link-iou is a number from 0 to 1, not '%s'", text);
    }
    const int which = option == SAMC__VOLUME_TIME ? 0 : option == SAMC__VOLUME_GAP ? 1 : 2;
    const int most = option == SAMC__VOLUME_TIME ? SAMC__VOLUME_MOST_TIME : 1000;
    if (samc__cli_integer(text, 0, most, places[which])) return SAMC__EXIT_OK;
    return samc__cli_usage(cli, "--%s is a whole number from 0 to %d, not '%s'", names[which], most, text);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcasecmp(text + n - m, end) == 0;
}

bool samc__cli_volume_wanted(const samc__cli_volume *v, char **inputs, int count) {
    bool nifti = count == 1 && (ends_with(inputs[0], ".nii") || ends_with(inputs[0], ".nii.gz"));
    return v->asked || (nifti && samc_volume_is(inputs[0]));
}

int samc__cli_volume_axis(samc__cli_volume *v, const char *text) {
    static const char names[] = "ijk012";
    const char *at = strlen(text) == 1 ? strchr(names, *text) : NULL;
    if (at == NULL) return samc__cli_usage(v->cli, "--axis is i, j or k (or 0, 1, 2), not '%s'", text);
    int axis = (int)(at - names) % 3;
    if (v->axis >= 0 && v->axis != axis)
        return samc__cli_usage(v->cli, "--axis is given twice, as %c and %c", names[v->axis], names[axis]);
    v->axis = axis;
    return SAMC__EXIT_OK;
}

samc_status samc__cli_volume_spare(const samc__cli_volume *v, const char *path, samc_error *error) {
    if (!samc__cli_same_file(v->output, path)) return SAMC_OK;
    return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "%s is read from: labels would overwrite it", v->output);
}

/* Of an output of this length without its last slashes: nothing is computed for a place that is none. */
static samc_status check_parent(const samc__cli_volume *v, size_t length, samc_error *error) {
    struct stat information;
    while (length > 0 && v->output[length - 1] != '/') length--;
    char *parent = length > 0 ? strndup(v->output, length) : strdup("./");
    if (parent == NULL) return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory");
    samc_status status = SAMC_OK;
    if (stat(parent, &information) != 0 && (errno == ENOENT || errno == ENOTDIR))
        status = samc__cli_error(error, SAMC_IO, "%s: there is no folder %s to write it in", v->output, parent);
    free(parent);
    return status;
}

samc_status samc__cli_volume_open(samc__cli_volume *v, samc_error *error) {
    struct stat information;
    const samc_volume_options options = {.size = sizeof options, .time = v->time, .scale = v->cli->scale};
    v->info = SAMC_INIT(samc_volume_info);
    size_t length = strlen(v->output); /* without the slashes of a folder, which the journal lies beside */
    const bool folder = length > 0 && v->output[length - 1] == '/';
    while (length > 1 && v->output[length - 1] == '/') length--;
    if (asprintf(&v->journal, "%.*s.samc-journal", (int)length, v->output) < 0) {
        v->journal = NULL;
        return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory");
    }
    SAMC__TRY(samc__cli_volume_spare(v, v->path, error));
    SAMC__TRY(check_parent(v, length, error));
    const bool there = stat(v->output, &information) == 0;
    if (there && S_ISDIR(information.st_mode) && !folder)
        return samc__cli_error(error, SAMC_IO,
                               "%s: is a folder, and labels are a file; for masks as pictures in it: %s/", v->output,
                               v->output);
    if (folder && !there && errno == ENOTDIR) return samc__cli_error(error, SAMC_IO, "%s: is no folder", v->output);
    SAMC__TRY(samc_volume_open(v->path, &options, &v->volume, error));
    SAMC__TRY(samc_volume_get_info(v->volume, &v->info, error));
    if (v->axis < 0) v->axis = v->info.axis;
    SAMC__TRY(samc_segmentation_check(v->volume, v->output, error));
    if (!v->resume && access(v->journal, F_OK) == 0)
        return samc__cli_error(error, SAMC_MISMATCH,
                               "%s: a run that did not come to its end is there; --resume goes on with it, without "
                               "that file one begins anew",
                               v->journal);
    return SAMC_OK;
}

bool samc__cli_volume_looks(const char *path) {
    struct stat information;
    const bool folder = stat(path, &information) == 0 && S_ISDIR(information.st_mode);
    return (folder || ends_with(path, ".nii") || ends_with(path, ".nii.gz")) && samc_volume_is(path);
}

static samc_status take_picture(samc__cli_volume *v, int slice, samc_image *image, samc_scale *scale,
                                samc_error *error) {
    SAMC__TRY(samc_volume_get_info(v->volume, &v->info, error));
    if (v->axis < 0) v->axis = v->info.axis;
    if (slice >= v->info.extent[v->axis])
        return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "%s: slice %d is wanted, but the last across %c is %d",
                               v->path, slice, "ijk"[v->axis], v -> info.extent[v->axis] - 1);
    SAMC__TRY(samc_volume_slice(v->volume, v->axis, slice, image, error));
    return samc_volume_get_scale(v->volume, scale, error);
}

samc_status samc__cli_volume_picture(samc__cli_volume *v, int slice, samc_image *image, samc_scale *scale,
                                     samc_error *error) {
    const samc_volume_options options = {.size = sizeof options, .time = v->time, .scale = v->cli->scale};
    v->info = SAMC_INIT(samc_volume_info);
    SAMC__TRY(samc_volume_open(v->path, &options, &v->volume, error));
    const samc_status status = take_picture(v, slice, image, scale, error);
    samc_volume_close(v->volume);
    v->volume = NULL;
    return status;
}

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

char *samc__cli_volume_stem(const samc__cli_volume *v, int slice) {
    char *stem;
    struct stat information;
    const bool folder = stat(v->path, &information) == 0 && S_ISDIR(information.st_mode);
    char *path = strdup(v->path);
    if (path == NULL) return NULL;
    for (size_t end = strlen(path); end > 1 && path[end - 1] == '/'; end--) path[end - 1] = '\0';
    const char *name = name_of(path);
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) { /* which have a name, too */
        free(path);
        path = realpath(v->path, NULL);
        if (path == NULL) return NULL;
        name = name_of(path);
    }
    const size_t whole = strlen(name);
    size_t length = whole;
    if (ends_with(name, ".nii.gz")) length -= 7;
    for (size_t i = whole; i > 1 && length == whole && !folder; i--) /* a folder's name, often a UID, has no ending */
        if (name[i - 1] == '.') length = i - 1;
    if (asprintf(&stem, "%.*s_%c%04d", (int)length, name, "ijk"[v->axis], slice) < 0) stem = NULL;
    free(path);
    return stem;
}

samc_status samc__cli_volume_model(samc__cli_volume *v, samc_error *error) {
    char path[4096];
    if (!samc__cli_find_model(v->cli, path, error)) return SAMC_IO;
    SAMC__TRY(samc__cli_open_model(v->cli, path, &v->model, error));
    samc__cli_note(v->cli, "%s: %s, %d x %d x %d voxels of %g x %g x %g mm, slices across %c", v->path, v->info.format,
                   v->info.extent[0], v->info.extent[1], v->info.extent[2], v->info.spacing[0], v->info.spacing[1],
                   v->info.spacing[2], "ijk"[v->axis]);
    if (v->info.note[0] != '\0') samc__cli_note(v->cli, "%s: %s", v->path, v->info.note);
    return samc_session_create(v->model, &v->session, error);
}

samc_status samc__cli_volume_progress(void *context, int64_t done, int64_t total) {
    samc__cli_volume *v = context;
    struct timespec now;
    v->begun = true;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    bool terminal = isatty(STDERR_FILENO);
    if (v->cli->quiet || (done < total && seconds - v->printed < (terminal ? 0.2 : 10.0))) return SAMC_OK;
    v->printed = seconds;
    fprintf(stderr, "%sslice %lld of %lld%s", terminal ? "\r\033[K" : "", (long long)done, (long long)total,
            terminal && done < total ? "" : "\n");
    return SAMC_OK;
}

static json_t *describe(const samc_object *o) {
    json_t *box = json_array();
    for (int i = 0; i < 6; i++) json_array_append_new(box, json_integer(o->box[i]));
    return json_pack("{s:o, s:i, s:i, s:i, s:i, s:I, s:o, s:o, s:o}", "name", samc__cli_text(o->name), "label",
                     o->label, "first", o->first, "last", o->last, "slices", o->slices, "voxels", (json_int_t)o->voxels,
                     "mm3", samc__cli_number(o->volume_mm3), "predicted_iou",
                     samc__cli_number((double)o->predicted_iou), "box", box);
}

samc_status samc__cli_volume_finish(samc__cli_volume *v, const samc_segmentation *result, samc_error *error) {
    samc_scale scale = SAMC_INIT(samc_scale);
    const char axis[2] = {"ijk"[v->axis], '\0'};
    SAMC__TRY(samc_segmentation_write(result, v->volume, v->output, error));
    unlink(v->journal);
    json_t *objects = json_array();
    for (int i = 0; i < samc_segmentation_objects(result); i++) {
        samc_object object = SAMC_INIT(samc_object);
        samc_segmentation_get_object(result, i, &object, NULL);
        json_array_append_new(objects, describe(&object));
    }
    json_t *line = json_pack("{s:o, s:[i, i, i], s:[f, f, f], s:s, s:o, s:o}", "volume", samc__cli_text(v->path),
                             "size", v->info.extent[0], v->info.extent[1], v->info.extent[2], "spacing",
                             v->info.spacing[0], v->info.spacing[1], v->info.spacing[2], "axis", axis, "output",
                             samc__cli_text(v->output), "objects", objects);
    if (line != NULL && samc_volume_get_scale(v->volume, &scale, NULL) == SAMC_OK) samc__cli_add_scale(line, &scale);
    return samc__cli_print_json(line) == SAMC__EXIT_OK ? SAMC_OK : SAMC_STOPPED; /* told already */
}

int samc__cli_volume_end(samc__cli_volume *v, samc_status status, const samc_error *error) {
    char message[1400];
    int code = SAMC__EXIT_OK;
    if (status != SAMC_OK && status != SAMC_STOPPED) {
        bool kept = v->begun && v->journal != NULL && access(v->journal, F_OK) == 0;
        snprintf(message, sizeof message, "%s%s", error->message,
                 kept ? " (what is done is kept; --resume goes on)" : "");
        code = samc__cli_fail(message);
    }
    if (status == SAMC_STOPPED) code = SAMC__EXIT_FAILURE;
    samc_session_destroy(v->session);
    samc_model_close(v->model);
    samc_volume_close(v->volume);
    free(v->journal);
    return code;
}
