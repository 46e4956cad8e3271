/* Prompts on maps: from coordinates to windows of a scene, and from masks of windows to polygons. */
#include "host/cli/segment_map.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A prompt in the scene's pixels, corners being whole numbers. */
typedef struct place {
    double box[4], reach[4]; /* its own, where has_box; what it and its points lie in, of the scene */
    bool has_box;
    int first, count; /* of the points */
    bool done;
} place;

struct samc__map {
    samc_geo *geo;
    samc_geo_info info;
    const char *path;
    place *places; /* [count]; owned */
    int count, next;
    double (*points)[2];         /* owned */
    int32_t *labels;             /* owned */
    samc_geo_writer *writers[2]; /* GeoPackage, GeoJSON */
    double simplify;
    int64_t id; /* of the last mask */
};

/* Decimal numbers with commas between them, and nothing else; false where they are not `count`. */
static bool parse_numbers(const char *text, int count, double *numbers) {
    for (int i = 0; i < count; i++) {
        const size_t length = strspn(text, "0123456789+-.eE");
        char *end;
        numbers[i] = length > 0 ? strtod(text, &end) : NAN;
        if (!isfinite(numbers[i]) || end != text + length || *end != (i + 1 < count ? ',' : '\0')) return false;
        text = end + 1;
    }
    return true;
}

int samc__map_option(samc__map_request *r, const samc__cli *cli, int option, const char *text) {
    if (option == SAMC__MAP_BOXES) r->boxes = text;
    if (option == SAMC__MAP_BANDS) r->bands = text;
    if (option == SAMC__MAP_CRS) {
        r->crs = strcmp(text, "map") == 0     ? SAMC__CRS_MAP
                 : strcmp(text, "pixel") == 0 ? SAMC__CRS_PIXEL
                                              : SAMC__CRS_NONE;
        if (r->crs == SAMC__CRS_NONE) return samc__cli_usage(cli, "--crs is map or pixel, not '%s'", text);
    }
    if (option == SAMC__MAP_SIMPLIFY && !(parse_numbers(text, 1, &r->simplify) && r->simplify >= 0))
        return samc__cli_usage(cli, "--simplify is a distance on the map, 0 or more, not '%s'", text);
    return SAMC__EXIT_OK;
}

int samc__map_check(const samc__map_request *r, const samc__cli *cli, unsigned formats, bool others) {
    const int given = r->point_count + r->box_count;
    if (r->crs == SAMC__CRS_NONE) {
        if (r->bands != NULL || r->simplify > 0 || formats & SAMC__MAP_FORMATS)
            return samc__cli_usage(cli,
                                   "--bands, --simplify and the formats gpkg and geojson go with --crs or --boxes");
        return SAMC__EXIT_OK;
    }
    if (others)
        return samc__cli_usage(cli, "--crs and --boxes go without --prompts, --mask-input, --embedding, --logits, "
                                    "--text and --page");
    if (r->boxes != NULL && (given > 0 || r->crs == SAMC__CRS_PIXEL))
        return samc__cli_usage(cli, "--boxes goes without --point, --box and --crs pixel");
    if (r->boxes == NULL && given == 0) return samc__cli_usage(cli, "no prompt: give --point, --box or --boxes");
    if (r->point_count > 0 && r->box_count > 1)
        return samc__cli_usage(cli, "points with %d boxes: give one box", r->box_count);
    return SAMC__EXIT_OK;
}

static samc_status no_memory(const char *path, samc_error *error) {
    return samc__cli_error(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
}

/* ---- Prompts --------------------------------------------------------------------------------- */

/* To the scene's pixels, from its map or from pixels as all commands count them: whole numbers are centres. */
static samc_status to_pixel(const samc__map *m, const samc__map_request *r, const double at[2], double pixel[2],
                            samc_error *error) {
    if (r->crs == SAMC__CRS_MAP) return samc_geo_to_pixel(m->geo, at, pixel, error);
    pixel[0] = at[0] + 0.5, pixel[1] = at[1] + 0.5;
    return SAMC_OK;
}

/* What a map covers, for messages. */
static void print_extent(const samc__map *m, const samc__map_request *r, char text[160]) {
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    for (int corner = 0; corner < 4; corner++) {
        const double pixel[2] = {corner % 2 ? (double)m->info.width : 0, corner / 2 ? (double)m->info.height : 0};
        double map[2] = {pixel[0] - 0.5, pixel[1] - 0.5};
        if (r->crs == SAMC__CRS_MAP) samc_geo_to_map(m->geo, pixel, map, NULL);
        for (int c = 0; c < 2; c++) low[c] = fmin(low[c], map[c]), high[c] = fmax(high[c], map[c]);
    }
    snprintf(text, 160, "x from %.10g to %.10g and y from %.10g to %.10g", low[0], high[0], low[1], high[1]);
}

static samc_status read_points(samc__map *m, const samc__map_request *r, bool *usage, samc_error *error) {
    char extent[160];
    for (int i = 0; i < r->point_count; i++) {
        double numbers[3] = {0, 0, 1};
        *usage = true;
        if (!(parse_numbers(r->points[i], 2, numbers) || parse_numbers(r->points[i], 3, numbers)) ||
            (numbers[2] != 0 && numbers[2] != 1))
            return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "--point is X,Y or X,Y,LABEL, not '%s'", r->points[i]);
        *usage = false;
        SAMC__TRY(to_pixel(m, r, numbers, m->points[i], error));
        const double *p = m->points[i];
        if (!(p[0] >= 0 && p[1] >= 0 && p[0] <= (double)m->info.width && p[1] <= (double)m->info.height)) {
            *usage = true;
            print_extent(m, r, extent);
            return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "the point %s lies outside the scene: %s",
                                   r->points[i], extent);
        }
        m->labels[i] = (int32_t)numbers[2];
    }
    return SAMC_OK;
}

static bool touches(const samc__map *m, const double b[4]) {
    return b[2] > 0 && b[3] > 0 && b[0] < (double)m->info.width && b[1] < (double)m->info.height;
}

/* Any two opposite corners: rows may run up or down the map, or across it. */
static samc_status read_box(const samc__map *m, const samc__map_request *r, const char *text, double box[4],
                            bool *usage, samc_error *error) {
    double numbers[4];
    char extent[160];
    *usage = true;
    if (!parse_numbers(text, 4, numbers))
        return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "--box is X0,Y0,X1,Y1, not '%s'", text);
    *usage = false;
    memcpy(box, (double[4]){INFINITY, INFINITY, -INFINITY, -INFINITY}, 4 * sizeof *box);
    for (int corner = 0; corner < 4; corner++) {
        const double at[2] = {numbers[corner % 2 * 2], numbers[corner / 2 * 2 + 1]};
        double pixel[2];
        SAMC__TRY(to_pixel(m, r, at, pixel, error));
        for (int c = 0; c < 2; c++) {
            box[c] = fmin(box[c], pixel[c]);
            box[2 + c] = fmax(box[2 + c], pixel[c]);
        }
    }
    if (touches(m, box)) return SAMC_OK;
    *usage = true;
    print_extent(m, r, extent);
    return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "the box %s lies outside the scene: %s", text, extent);
}

/* What of the scene a prompt lies in. Boxes are cut to the scene: features may go on far beyond it, and a model is as
 * good at a box of a part of a picture as it is bad at one of which most is not there. */
static void find_reach(const samc__map *m, place *p) {
    for (int i = 0; i < 4; i++) p->box[i] = fmin(fmax(p->box[i], 0), (double)(i % 2 ? m->info.height : m->info.width));
    memcpy(p->reach, p->has_box ? p->box : (double[4]){INFINITY, INFINITY, -INFINITY, -INFINITY}, sizeof p->reach);
    for (int i = p->first; i < p->first + p->count; i++)
        for (int c = 0; c < 2; c++) {
            p->reach[c] = fmin(p->reach[c], m->points[i][c]);
            p->reach[2 + c] = fmax(p->reach[2 + c], m->points[i][c]);
        }
}

/* All points with at most one box are a prompt; else each box is one. */
static samc_status make_places(samc__map *m, const samc__map_request *r, bool *usage, samc_error *error) {
    const int most = r->box_count + 1;
    m->places = calloc((size_t)most, sizeof *m->places);
    m->points = calloc((size_t)r->point_count + 1, sizeof *m->points);
    m->labels = calloc((size_t)r->point_count + 1, sizeof *m->labels);
    if (m->places == NULL || m->points == NULL || m->labels == NULL) return no_memory(m->path, error);
    SAMC__TRY(read_points(m, r, usage, error));
    for (int i = 0; i < r->box_count; i++) {
        m->places[i].has_box = true;
        SAMC__TRY(read_box(m, r, r->box[i], m->places[i].box, usage, error));
    }
    m->count = r->point_count > 0 ? 1 : r->box_count;
    m->places[0].count = r->point_count;
    for (int i = 0; i < m->count; i++) find_reach(m, &m->places[i]);
    return SAMC_OK;
}

static samc_status read_file(samc__map *m, const samc__cli *cli, const char *path, samc_error *error) {
    double *boxes;
    int count, passed_over;
    SAMC__TRY(samc_geo_boxes(m->geo, path, &boxes, &count, &passed_over, error));
    if (passed_over > 0) samc__cli_note(cli, "%s: %d features without an area in the scene", path, passed_over);
    m->places = calloc((size_t)count + 1, sizeof *m->places);
    for (int i = 0; i < count && m->places != NULL; i++) {
        m->places[i].has_box = true;
        memcpy(m->places[i].box, boxes + 4 * i, sizeof m->places[i].box);
        find_reach(m, &m->places[i]);
    }
    m->count = count;
    samc_io_free(boxes);
    if (m->places == NULL) return no_memory(m->path, error);
    return count > 0 ? SAMC_OK
                     : samc__cli_error(error, SAMC_INVALID_ARGUMENT, "%s: none of its features has an area in %s", path,
                                       m->path);
}

samc_status samc__map_open(const samc__map_request *r, const samc__cli *cli, const char *path, samc__map **map,
                           bool *usage, samc_error *error) {
    const samc_geo_options options = {.size = sizeof options, .bands = r->bands, .scale = cli->scale};
    samc__map *m = calloc(1, sizeof *m);
    *usage = false;
    *map = m;
    if (m == NULL) return no_memory(path, error);
    m->path = path;
    m->simplify = r->simplify;
    m->info.size = sizeof m->info;
    SAMC__TRY(samc_geo_open(path, &options, &m->geo, error));
    SAMC__TRY(samc_geo_get_info(m->geo, &m->info, error));
    return r->boxes != NULL ? read_file(m, cli, r->boxes, error) : make_places(m, r, usage, error);
}

int samc__map_prompts(const samc__map *m) { return m->count; }

const samc_geo_info *samc__map_info(const samc__map *m) { return &m->info; }

samc_status samc__map_scale(const samc__map *m, samc_scale *scale, samc_error *error) {
    return samc_geo_get_scale(m->geo, scale, error);
}

/* ---- Windows --------------------------------------------------------------------------------- */

/* Where a window of this side along an axis begins, so that it has [low, high] in its middle and stays in the scene. */
static int64_t settle(double low, double high, int64_t side, int64_t whole) {
    const int64_t at = (int64_t)floor((low + high) / 2) - side / 2, most = whole - side;
    return at < 0 ? 0 : at < most ? at : most;
}

/* How long a window has to be for a prompt: twice as long as it, in steps, and `side` at least. */
static int64_t side_for(const samc__map *m, const place *p, int axis, int side) {
    const int64_t whole = axis == 0 ? m->info.width : m->info.height;
    const double length = p->reach[2 + axis] - p->reach[axis];
    int64_t wanted = side;
    while ((double)wanted < 2 * length && wanted < whole) wanted += side / 4;
    return wanted < whole ? wanted : whole;
}

/* Whether a prompt may share the window: it is in there with half of itself around it, or as far as the scene goes. */
static bool shares(const samc__map *m, const place *p, const double window[4]) {
    for (int axis = 0; axis < 2; axis++) {
        const double whole = (double)(axis == 0 ? m->info.width : m->info.height);
        const double half = (p->reach[2 + axis] - p->reach[axis]) / 2;
        if (fmax(p->reach[axis] - half, 0) < window[axis] || fmin(p->reach[2 + axis] + half, whole) > window[2 + axis])
            return false;
    }
    return true;
}

/* Adds a prompt in pixels of the window, where whole numbers are centres. */
static samc_status add_prompt(const samc__map *m, const place *p, samc__map_view *view, samc_error *error) {
    float box[4], *points = calloc(2 * (size_t)p->count + 1, sizeof *points);
    if (points == NULL) return no_memory(m->path, error);
    for (int i = 0; i < 4; i++) box[i] = (float)(p->box[i] - (double)(i % 2 ? view->y : view->x) - 0.5);
    for (int i = 0; i < p->count; i++) {
        const double *at = m->points[p->first + i];
        const double most[2] = {view->image.width - 1, view->image.height - 1};
        const double within[2] = {at[0] - (double)view->x - 0.5, at[1] - (double)view->y - 0.5};
        for (int c = 0; c < 2; c++) points[2 * i + c] = (float)fmin(fmax(within[c], 0), most[c]);
    }
    const samc_prompt prompt = {.size = sizeof prompt,
                                .points = p->count > 0 ? points : NULL,
                                .labels = p->count > 0 ? m->labels + p->first : NULL,
                                .point_count = p->count,
                                .box = p->has_box ? box : NULL};
    const samc_status status = samc_prompts_add(view->prompts, &prompt, error);
    free(points);
    return status;
}

samc_status samc__map_next(samc__map *m, int side, samc__map_view *view, bool *more, samc_error *error) {
    *view = (samc__map_view){.image.size = sizeof view->image};
    while (m->next < m->count && m->places[m->next].done) m->next++;
    *more = m->next < m->count;
    if (!*more) return SAMC_OK;
    const place *first = &m->places[m->next];
    const int64_t width = side_for(m, first, 0, side), height = side_for(m, first, 1, side);
    view->x = settle(first->reach[0], first->reach[2], width, m->info.width);
    view->y = settle(first->reach[1], first->reach[3], height, m->info.height);
    if (width * height > SAMC_IMAGE_MOST_PIXELS)
        return samc__cli_error(
            error, SAMC_UNSUPPORTED,
            "%s: a prompt that takes a window of %lld x %lld pixels; take an overview or a smaller scene", m->path,
            (long long)width, (long long)height);
    SAMC__TRY(samc_geo_read(m->geo, view->x, view->y, (int)width, (int)height, &view->image, error));
    SAMC__TRY(samc_prompts_create(&view->prompts, error));
    view->numbers = malloc((size_t)(m->count - m->next) * sizeof *view->numbers);
    if (view->numbers == NULL) return no_memory(m->path, error);
    const double window[4] = {(double)view->x, (double)view->y, (double)(view->x + width), (double)(view->y + height)};
    for (int i = m->next; i < m->count; i++) {
        place *p = &m->places[i];
        if (p->done || (i > m->next && !shares(m, p, window))) continue;
        view->numbers[samc_prompts_count(view->prompts)] = i;
        SAMC__TRY(add_prompt(m, p, view, error));
        p->done = true;
    }
    return SAMC_OK;
}

/* ---- Polygons -------------------------------------------------------------------------------- */

samc_status samc__map_begin(samc__map *m, unsigned formats, const char *output, const char *stem, samc_error *error) {
    static const struct {
        unsigned bit;
        samc_geo_format format;
        const char *extension;
    } kinds[] = {{SAMC_OUTPUT_GPKG, SAMC_GEO_GPKG, "gpkg"}, {SAMC_OUTPUT_GEOJSON, SAMC_GEO_GEOJSON, "geojson"}};
    const samc_geo_writer_options options = {.size = sizeof options, .simplify = m->simplify, .scratch = output};
    samc_status status = SAMC_OK;
    for (int i = 0; i < 2 && status == SAMC_OK; i++) {
        char *path;
        if (!(formats & kinds[i].bit)) continue;
        if (asprintf(&path, "%s/%s.%s", output, stem, kinds[i].extension) < 0) return no_memory(m->path, error);
        status = samc_geo_writer_open(m->geo, path, kinds[i].format, &options, &m->writers[i], error);
        free(path);
    }
    return status;
}

samc_status samc__map_add(samc__map *m, const samc__map_view *view, const samc_mask *mask, int64_t *id,
                          samc_error *error) {
    *id = 0;
    if (mask->area == 0) return SAMC_OK;
    *id = ++m->id;
    if (m->writers[0] == NULL && m->writers[1] == NULL) return SAMC_OK;
    samc_rle rle = {.size = sizeof rle};
    char *text = malloc(mask->rle_length + 1);
    samc_status status = text ? samc_mask_rle(mask, text, error) : no_memory(m->path, error);
    if (status == SAMC_OK) status = samc_rle_from_string(text, mask->width, mask->height, &rle, error);
    const samc_geo_mask record = {.size = sizeof record,
                                  .id = *id,
                                  .x = view->x,
                                  .y = view->y,
                                  .width = mask->width,
                                  .height = mask->height,
                                  .counts = rle.counts,
                                  .count = rle.count,
                                  .predicted_iou = mask->predicted_iou,
                                  .stability_score = mask->stability_score};
    for (int i = 0; i < 2 && status == SAMC_OK; i++)
        if (m->writers[i] != NULL) status = samc_geo_writer_add(m->writers[i], &record, error);
    samc_rle_free(&rle);
    free(text);
    return status;
}

samc_status samc__map_commit(samc__map *m, samc_error *error) {
    samc_status status = SAMC_OK;
    for (int i = 0; i < 2; i++) {
        samc_geo_writer *writer = m->writers[i];
        m->writers[i] = NULL;
        if (writer != NULL && status == SAMC_OK) status = samc_geo_writer_commit(writer, error);
        else samc_geo_writer_abandon(writer);
    }
    return status;
}

void samc__map_close(samc__map *m) {
    if (m == NULL) return;
    for (int i = 0; i < 2; i++) samc_geo_writer_abandon(m->writers[i]);
    samc_geo_close(m->geo);
    free(m->places);
    free(m->points);
    free(m->labels);
    free(m);
}
