/* Strict parsing of prompts. Detectors pipe their boxes in here: a wrong key or a swapped coordinate must not pass
 * silently. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "host/io/file.h"
#include "host/io/samc_io.h"
#include "runtime/base/abi.h"
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"

static const size_t max_file = (size_t)64 << 20;

/* ---- The list -------------------------------------------------------------------------------- */

struct samc_prompts {
    samc_prompt *items; /* [count]; what they point to but the masks is owned */
    int count, room;
};

samc_status samc_prompts_create(samc_prompts **prompts, samc_error *error) {
    if (prompts == NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "no place for a list of prompts");
    *prompts = calloc(1, sizeof **prompts);
    return *prompts ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for prompts");
}

void samc_prompts_free(samc_prompts *prompts) {
    if (prompts == NULL) return;
    for (int i = 0; i < prompts->count; i++) {
        free((void *)prompts->items[i].points);
        free((void *)prompts->items[i].labels);
        free((void *)prompts->items[i].box);
    }
    free(prompts->items);
    free(prompts);
}

static bool grow(samc_prompts *prompts) {
    if (prompts->count < prompts->room) return true;
    int room = prompts->room == 0 ? 16 : prompts->room * 2;
    samc_prompt *grown = realloc(prompts->items, (size_t)room * sizeof *grown);
    if (grown == NULL) return false;
    prompts->items = grown;
    prompts->room = room;
    return true;
}

samc_status samc_prompts_add(samc_prompts *prompts, const samc_prompt *given, samc_error *error) {
    samc_prompt own = SAMC_INIT(samc_prompt);
    SAMC__TRY(samc__abi_take(SAMC__ABI(samc_prompt), given, &own, error));
    given = &own;
    if (prompts == NULL || own.point_count < 0 || (own.point_count > 0 && own.points == NULL))
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_prompts_add: no list, no prompt or no points");
    if (prompts->count == SAMC_MOST_PROMPTS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "more than %d prompts", SAMC_MOST_PROMPTS);
    if (given->point_count > SAMC_MOST_POINTS)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "more than %d points", SAMC_MOST_POINTS);
    size_t count = (size_t)given->point_count;
    float *points = count == 0 ? NULL : malloc(count * 2 * sizeof *points);
    int32_t *labels = count == 0 ? NULL : malloc(count * sizeof *labels);
    float *box = given->box == NULL ? NULL : malloc(4 * sizeof *box);
    if (!grow(prompts) || (count > 0 && (points == NULL || labels == NULL)) || (given->box != NULL && box == NULL)) {
        free(points);
        free(labels);
        free(box);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "out of memory for prompts");
    }
    if (count > 0) memcpy(points, given->points, count * 2 * sizeof *points);
    for (size_t i = 0; i < count; i++) labels[i] = given->labels == NULL ? 1 : given->labels[i];
    if (box != NULL) memcpy(box, given->box, 4 * sizeof *box);
    samc_prompt *prompt = &prompts->items[prompts->count++];
    *prompt = *given;
    prompt->points = points;
    prompt->labels = labels;
    prompt->box = box;
    return SAMC_OK;
}

samc_status samc_prompts_set_mask(samc_prompts *prompts, int index, const float *mask_input, samc_error *error) {
    if (prompts == NULL || index < 0 || index >= prompts->count)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "there is no prompt %d", index);
    prompts->items[index].mask_input = mask_input;
    return SAMC_OK;
}

int samc_prompts_count(const samc_prompts *prompts) { return prompts == NULL ? 0 : prompts->count; }

const samc_prompt *samc_prompts_at(const samc_prompts *prompts, int index) {
    return prompts == NULL || index < 0 || index >= prompts->count ? NULL : &prompts->items[index];
}

samc_status samc_prompts_check(const samc_prompts *prompts, const char *name, int width, int height,
                               samc_error *error) {
    if (prompts == NULL || name == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_prompts_check: no list or no name");
    for (int p = 0; p < prompts->count; p++) {
        const samc_prompt *prompt = &prompts->items[p];
        for (int i = 0; i < prompt->point_count; i++) {
            float x = prompt->points[2 * i], y = prompt->points[2 * i + 1];
            if (!(x >= 0 && x < (float)width && y >= 0 && y < (float)height))
                return samc__fail(error, SAMC_INVALID_ARGUMENT,
                                  "%s: prompt %d: point %g,%g is outside the image of %d x %d pixels", name, p,
                                  (double)x, (double)y, width, height);
        }
        const float *box = prompt->box;
        if (box != NULL && !(box[2] >= 0 && box[0] < (float)width && box[3] >= 0 && box[1] < (float)height))
            return samc__fail(error, SAMC_INVALID_ARGUMENT,
                              "%s: prompt %d: box %g,%g,%g,%g does not touch the image of %d x %d pixels", name, p,
                              (double)box[0], (double)box[1], (double)box[2], (double)box[3], width, height);
    }
    return SAMC_OK;
}

/* NULL, or what is wrong with a box. */
static const char *box_fault(const float box[4]) {
    if (box[0] <= box[2] && box[1] <= box[3]) return NULL;
    return "box corners are not in the order x0,y0,x1,y1 with x0 <= x1 and y0 <= y1 (is it x,y,width,height?)";
}

/* ---- Command line ---------------------------------------------------------------------------- */

/* Reads up to `most` numbers between commas; returns how many, or -1 where the text is anything else. */
static int parse_numbers(const char *text, float *numbers, int most) {
    for (int count = 0;; text++) {
        /* strtof() would also take blanks, hexadecimal, infinity and NaN. */
        size_t length = strspn(text, "+-.0123456789eE");
        char *end;
        if (length == 0 || count == most) return -1;
        numbers[count++] = samc__read_float(text, &end);
        if (end != text + length || !isfinite(numbers[count - 1])) return -1;
        text = end;
        if (*text == '\0') return count;
        if (*text != ',') return -1;
    }
}

samc_status samc_parse_point(const char *text, float point[2], int32_t *label, samc_error *error) {
    if (text == NULL || point == NULL || label == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_parse_point: no text or no place for the point");
    float numbers[3] = {0, 0, 1};
    int count = parse_numbers(text, numbers, 3);
    if (count < 2) return samc__fail(error, SAMC_INVALID_ARGUMENT, "--point takes X,Y or X,Y,LABEL, not '%s'", text);
    if (numbers[2] != 0 && numbers[2] != 1)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "--point %s: the label is 1 (on the object) or 0 (not on it)",
                          text);
    point[0] = numbers[0];
    point[1] = numbers[1];
    *label = numbers[2] == 1;
    return SAMC_OK;
}

samc_status samc_parse_box(const char *text, float box[4], samc_error *error) {
    if (text == NULL || box == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_parse_box: no text or no place for the box");
    if (parse_numbers(text, box, 4) != 4)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "--box takes X0,Y0,X1,Y1, not '%s'", text);
    const char *fault = box_fault(box);
    if (fault != NULL) return samc__fail(error, SAMC_INVALID_ARGUMENT, "--box %s: %s", text, fault);
    return SAMC_OK;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* A JSON array of exactly `count` finite numbers. */
static bool numbers_of(const json_t *array, size_t count, float *numbers) {
    if (!json_is_array(array) || json_array_size(array) != count) return false;
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_number(value)) return false;
        double number = json_number_value(value);
        if (!(fabs(number) <= 1e9)) return false; /* also keeps the conversion to float finite */
        numbers[i] = (float)number;
    }
    return true;
}

/* Fills points [count, 2] and labels [count], which have room. Returns NULL, or what is wrong. */
static const char *parse_points(const json_t *list, const json_t *marks, size_t count, float *points, int32_t *labels) {
    if (marks != NULL && (!json_is_array(marks) || json_array_size(marks) != count))
        return "\"labels\" is not a list with one label for each point";
    for (size_t i = 0; i < count; i++) {
        if (!numbers_of(json_array_get(list, i), 2, points + 2 * i))
            return "\"points\" is not a list of [x, y] numbers";
        const json_t *mark = marks == NULL ? NULL : json_array_get(marks, i);
        json_int_t label = mark == NULL ? 1 : json_is_integer(mark) ? json_integer_value(mark) : -1;
        if (label != 0 && label != 1) return "a label is not 1 (on the object) or 0 (not on it)";
        labels[i] = (int32_t)label;
    }
    return NULL;
}

static samc_status parse_entry(json_t *entry, const char *name, size_t index, samc_prompts *prompts,
                               samc_error *error) {
    const char *key, *fault = NULL;
    json_t *value;
    if (!json_is_object(entry))
        return samc__fail(error, SAMC_FORMAT,
                          "%s: prompt %zu: not an object {\"points\": ..., \"labels\": ..., \"box\": ...}", name,
                          index);
    json_object_foreach(
        entry, key,
        value) if (strcmp(key, "points") != 0 && strcmp(key, "labels") != 0 &&
                   strcmp(key, "box") !=
                       0) return samc__fail(error, SAMC_FORMAT,
                                            "%s: prompt %zu: unknown key \"%.60s\" (known: points, labels, box)", name,
                                            index, key);

    const json_t *list = json_object_get(entry, "points"), *marks = json_object_get(entry, "labels");
    const json_t *corners = json_object_get(entry, "box");
    size_t count = json_array_size(list); /* 0 if absent or not a list */
    float box[4], *points = NULL;
    int32_t *labels = NULL;
    if (list != NULL && !json_is_array(list)) fault = "\"points\" is not a list of [x, y] numbers";
    else if (list != NULL && count == 0) fault = "\"points\" is empty";
    else if (count > SAMC_MOST_POINTS) fault = "more than 4096 points";
    else if (list == NULL && marks != NULL) fault = "\"labels\" without \"points\"";
    else if (list == NULL && corners == NULL) fault = "neither \"points\" nor \"box\"";
    else if (corners != NULL && !numbers_of(corners, 4, box))
        fault = "\"box\" is not a list of four numbers [x0, y0, x1, y1]";
    else if (corners != NULL) fault = box_fault(box);
    if (fault == NULL && count > 0) {
        points = malloc(count * 2 * sizeof *points);
        labels = malloc(count * sizeof *labels);
        fault = points == NULL || labels == NULL ? "out of memory" : parse_points(list, marks, count, points, labels);
    }
    samc_status status = fault != NULL ? samc__fail(error, SAMC_FORMAT, "%s: prompt %zu: %s", name, index, fault)
                                       : samc_prompts_add(prompts,
                                                          &(samc_prompt){.size = sizeof(samc_prompt),
                                                                         .points = points,
                                                                         .labels = labels,
                                                                         .point_count = (int)count,
                                                                         .box = corners == NULL ? NULL : box},
                                                          error);
    free(points);
    free(labels);
    return status;
}

samc_status samc_prompts_parse(const void *json, size_t size, const char *name, samc_prompts **prompts,
                               samc_error *error) {
    json_error_t where;
    SAMC__TRY(samc_prompts_create(prompts, error));
    samc_prompts *list = *prompts;
    *prompts = NULL;
    if (json == NULL || name == NULL) {
        samc_prompts_free(list);
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_prompts_parse: no text or no name");
    }
    size_t mark = samc__file_mark(json, size);
    json_t *root = json_loadb((const char *)json + mark, size - mark, JSON_REJECT_DUPLICATES, &where);
    size_t count = json_array_size(root);
    samc_status status = SAMC_OK;
    if (root == NULL)
        status = samc__fail(error, SAMC_FORMAT, "%s: not JSON: line %d, column %d: %s", name, where.line, where.column,
                            where.text);
    else if (!json_is_array(root)) status = samc__fail(error, SAMC_FORMAT, "%s: not a JSON list of prompts", name);
    else if (count == 0) status = samc__fail(error, SAMC_FORMAT, "%s: the list of prompts is empty", name);
    else if (count > SAMC_MOST_PROMPTS)
        status = samc__fail(error, SAMC_FORMAT, "%s: more than %d prompts", name, SAMC_MOST_PROMPTS);
    for (size_t i = 0; status == SAMC_OK && i < count; i++)
        status = parse_entry(json_array_get(root, i), name, i, list, error);
    json_decref(root);
    if (status == SAMC_OK) *prompts = list;
    else samc_prompts_free(list);
    return status;
}

samc_status samc_prompts_read(const char *path, samc_prompts **prompts, samc_error *error) {
    uint8_t *bytes;
    size_t size;
    if (path == NULL || prompts == NULL)
        return samc__fail(error, SAMC_INVALID_ARGUMENT, "samc_prompts_read: no path or no place for the list");
    *prompts = NULL;
    SAMC__TRY(samc__file_read(path, max_file, &bytes, &size, error));
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    samc_status status = samc_prompts_parse(bytes, size, name, prompts, error);
    free(bytes);
    return status;
}
