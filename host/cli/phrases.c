/* Phrases from the command line and from files, and the detector that they are for. */
#include "host/cli/phrases.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

samc__cli_phrases samc__cli_phrases_begin(void) {
    samc__cli_phrases text = {.options.size = sizeof text.options};
    samc_default_text_options(&text.options);
    return text;
}

void samc__cli_phrases_end(samc__cli_phrases *text) {
    samc_phrases_free(text->phrases);
    samc_detector_close(text->open);
    for (int i = 0; i < text->owned_count; i++) free(text->owned[i]);
    free(text->owned);
    free(text->strings);
    *text = (samc__cli_phrases){0};
}

bool samc__cli_phrases_add(samc__cli_phrases *text, const char *phrase) {
    if (text->count == text->room) {
        int room = text->room ? 2 * text->room : 16;
        const char **strings = realloc(text->strings, (size_t)room * sizeof *strings);
        if (strings != NULL) text->strings = strings;
        char **owned = strings ? realloc(text->owned, (size_t)room * sizeof *owned) : NULL;
        if (owned == NULL) return false;
        text->owned = owned;
        text->room = room;
    }
    text->strings[text->count++] = phrase;
    return true;
}

/* The same of a piece of text, copied. */
static bool add_copy(samc__cli_phrases *text, const char *from, size_t length) {
    char *copy = strndup(from, length);
    if (copy == NULL || !samc__cli_phrases_add(text, copy)) {
        free(copy);
        return false;
    }
    text->owned[text->owned_count++] = copy; /* at most as many as there are strings */
    return true;
}

/* A phrase a line; lines of blanks are passed over. NULL, or what is wrong. */
static const char *read_lines(samc__cli_phrases *text, const char *path) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    const char *fault = NULL;
    if (file == NULL) return strerror(errno);
    for (ssize_t length; fault == NULL && (length = getline(&line, &room, file)) >= 0;) {
        const char *from = text->count == 0 && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
        if (strlen(line) != (size_t)length) fault = "holds zero bytes; a phrase a line";
        else if (from[strspn(from, " \t\r\n\v\f")] != '\0' && !add_copy(text, from, strcspn(from, "\r\n")))
            fault = "out of memory";
    }
    if (fault == NULL && ferror(file)) fault = strerror(errno);
    if (fault == NULL && text->count == 0) fault = "holds no phrase";
    free(line);
    if (file != stdin) fclose(file);
    return fault;
}

/* "car,person" or @FILE. */
static const char *read_labels(samc__cli_phrases *text, const char *list) {
    if (*list == '@') return read_lines(text, list + 1);
    for (;; list++) {
        size_t length = strcspn(list, ",");
        if (strspn(list, " \t") >= length) return "a label is empty";
        if (!add_copy(text, list, length)) return "out of memory";
        list += length;
        if (*list == '\0') return NULL;
    }
}

static bool parse_number(const char *text, double least, double most, double *value) {
    char *end;
    if (strspn(text, "0123456789.eE+-") != strlen(text)) return false;
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= least && *value <= most;
}

int samc__cli_phrases_option(samc__cli_phrases *t, const samc__cli *cli, int option, const char *argument) {
    const char *fault = NULL;
    if (option == SAMC__TEXT_DETECTOR || option == SAMC__TEXT_CLIP) t->detector = argument;
    else if (option == SAMC__TEXT_PHRASE) fault = samc__cli_phrases_add(t, argument) ? NULL : "out of memory";
    else if (option == SAMC__TEXT_BOXES) t->options.boxes_only = true;
    else if (option == SAMC__TEXT_HEAT) t->heat = true;
    t->given = true;
    if (fault != NULL) return samc__cli_fail(fault);
    if (option == SAMC__TEXT_THRESHOLD &&
        (!parse_number(argument, 0, 0.999999, &t->options.threshold) || t->options.threshold == 0))
        return samc__cli_usage(cli, "--threshold is a number above 0 and below 1, not '%s'", argument);
    if (option == SAMC__TEXT_NMS && !parse_number(argument, 0, 1000, &t->options.nms))
        return samc__cli_usage(cli, "--nms is a number from 0 on, not '%s'", argument);
    if (option == SAMC__TEXT_TOP && !samc__cli_integer(argument, 1, 999999999, &t->options.top))
        return samc__cli_usage(cli, "--top is a whole number from 1 on, not '%s'", argument);
    if (option == SAMC__TEXT_FILE && (fault = read_lines(t, argument)) != NULL)
        return samc__cli_usage(cli, "--phrases %s: %s", argument, fault);
    if (option == SAMC__TEXT_LABELS) {
        t->labels = argument;
        if ((fault = read_labels(t, argument)) != NULL) return samc__cli_usage(cli, "--labels %s: %s", argument, fault);
    }
    return SAMC__EXIT_OK;
}

/* What there is to be had, and under which names. */
static const char no_detector[] =
    "no --detector FILE given. These fit, from huggingface.co, with config.json and preprocessor_config.json beside "
    "model.safetensors: google/owlv2-base-patch16-ensemble (620 MB, Apache-2.0) for things, "
    "CIDAS/clipseg-rd64-refined (603 MB, Apache-2.0) for regions";
static const char no_clip[] =
    "no --clip FILE given. These fit, from huggingface.co, with config.json and preprocessor_config.json beside "
    "model.safetensors: openai/clip-vit-base-patch32 (605 MB, MIT), CIDAS/clipseg-rd64-refined (603 MB, Apache-2.0)";

samc_status samc__cli_detector_open(const samc__cli *cli, const char *path, samc_detector **detector,
                                    samc_detector_info *info, samc_error *error) {
    samc_options how = samc__cli_options(cli);
    if (how.backend == SAMC_BACKEND_CUDA) {
        how.backend = SAMC_BACKEND_CPU; /* masks are made on the GPU all the same */
        samc__cli_note(cli, "%s: models of text and images run on the CPU", path);
    }
    if (how.precision == SAMC_PRECISION_F16 || how.precision == SAMC_PRECISION_INT8)
        how.precision = SAMC_PRECISION_AUTO; /* they compute in f32 and bf16 */
    SAMC__TRY(samc_detector_open(path, &how, detector, error));
    samc_detector_get_info(*detector, info);
    if (info->file_note[0] != '\0') samc__cli_note(cli, "%s: %s", path, info->file_note);
    if (info->backend_note[0] != '\0') samc__cli_note(cli, "%s: %s", path, info->backend_note);
    return SAMC_OK;
}

samc_status samc__cli_detector_finds(const char *path, const samc_detector_info *info, samc_error *error) {
    if (info->kind != SAMC_DETECTOR_LABELS) return SAMC_OK;
    return samc__cli_error(error, SAMC_UNSUPPORTED,
                           "%s: is %s, which labels masks that are there ('samc auto --labels'); to find what phrases "
                           "name takes an OWLv2 or a CLIPSeg",
                           path, info->name);
}

samc_status samc__cli_phrases_open(samc__cli_phrases *t, const samc__cli *cli, bool *usage, samc_error *error) {
    const bool labels = t->labels != NULL;
    samc_detector_info info = SAMC_INIT(samc_detector_info);
    samc_phrase_options options = SAMC_INIT(samc_phrase_options);
    *usage = t->detector == NULL;
    if (*usage) return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "%s", labels ? no_clip : no_detector);
    SAMC__TRY(samc__cli_detector_open(cli, t->detector, &t->open, &info, error));
    if (labels && !info.labels)
        return samc__cli_error(error, SAMC_UNSUPPORTED,
                               "%s: is %s, which finds what phrases name and labels no masks; --labels takes a CLIP or "
                               "a CLIPSeg",
                               t->detector, info.name);
    if (!labels) SAMC__TRY(samc__cli_detector_finds(t->detector, &info, error));
    if (labels) samc_default_label_options(&options);
    samc_status status =
        samc_phrases_create(t->open, t->strings, t->count, labels ? &options : NULL, &t->phrases, error);
    *usage = status == SAMC_INVALID_ARGUMENT;
    for (int i = 0, cut = 0; status == SAMC_OK && i < t->count; i++) {
        if (!samc_phrases_cut(t->phrases, i)) continue;
        if (++cut <= 3)
            samc__cli_note(cli, "'%.60s' is longer than the %d tokens that %s reads, and was cut",
                           samc_phrases_text(t->phrases, i), info.context, info.name);
        else if (cut == 4) samc__cli_note(cli, "further phrases were cut");
    }
    return status;
}

/* A map [side, side] of logits as probabilities 0 to 255 in the size of its image. */
static void draw_map(const float *map, int side, const samc_image *image, uint8_t *grey) {
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            double u = (x + 0.5) * side / image->width - 0.5, v = (y + 0.5) * side / image->height - 0.5;
            u = fmin(fmax(u, 0), side - 1), v = fmin(fmax(v, 0), side - 1);
            int x0 = (int)u, y0 = (int)v, x1 = x0 + (x0 + 1 < side), y1 = y0 + (y0 + 1 < side);
            double top = (double)map[y0 * side + x0] * (x0 + 1 - u) + (double)map[y0 * side + x1] * (u - x0);
            double foot = (double)map[y1 * side + x0] * (x0 + 1 - u) + (double)map[y1 * side + x1] * (u - x0);
            double logit = top * (y0 + 1 - v) + foot * (v - y0);
            grey[(size_t)y * (size_t)image->width + (size_t)x] = (uint8_t)(255 / (1 + exp(-logit)) + 0.5);
        }
}

samc_status samc__cli_phrases_heat(const samc__cli_phrases *t, const samc_image *image, const char *folder,
                                   const char *stem, samc_error *error) {
    samc_detector_info info = SAMC_INIT(samc_detector_info);
    samc_scene *scene = NULL;
    samc_detector_get_info(t->open, &info);
    if (info.kind != SAMC_DETECTOR_MAPS)
        return samc__cli_error(error, SAMC_UNSUPPORTED, "%s: is %s, which makes no heat maps; --heat takes a CLIPSeg",
                               t->detector, info.name);
    SAMC__TRY(samc_scene_create(t->open, image, &scene, error));
    float *map = malloc((size_t)info.map_side * (size_t)info.map_side * sizeof *map);
    uint8_t *grey = malloc((size_t)image->width * (size_t)image->height);
    samc_status status = map && grey ? SAMC_OK : samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for a map");
    for (int i = 0; i < samc_phrases_count(t->phrases) && status == SAMC_OK; i++) {
        char *path;
        status = samc_scene_map(scene, t->phrases, i, map, error);
        if (status != SAMC_OK) break;
        draw_map(map, info.map_side, image, grey);
        if (asprintf(&path, "%s/%s_heat_%d.png", folder, stem, i) < 0)
            status = samc__cli_error(error, SAMC_OUT_OF_MEMORY, "out of memory for a map");
        else {
            status = samc_png_write(path, grey, image->width, image->height, 1, error);
            free(path);
        }
    }
    free(map);
    free(grey);
    samc_scene_free(scene);
    return status;
}
