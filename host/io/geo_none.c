/* Scenes and maps in a build without GDAL. */
#include "host/io/geo.h"
#include "runtime/base/status.h"

static samc_status none(samc_error *error) {
    return samc__fail(error, SAMC_UNSUPPORTED, "this samc was built without GDAL, which reads and writes maps");
}

const char *samc_geo_library(void) { return NULL; }

bool samc__geo_is(const char *path) {
    (void)path;
    return false;
}

samc_status samc__geo_identity(const samc_geo *geo, char identity[SAMC__IDENTITY], samc_error *error) {
    (void)geo;
    identity[0] = '\0';
    return none(error);
}

void samc__geo_source(samc_geo *geo, samc__scene_source *source) {
    (void)geo;
    *source = (samc__scene_source){0};
}

samc_status samc_geo_open(const char *path, const samc_geo_options *options, samc_geo **geo, samc_error *error) {
    (void)path, (void)options;
    if (geo != NULL) *geo = NULL;
    return none(error);
}

samc_status samc_geo_get_info(const samc_geo *geo, samc_geo_info *info, samc_error *error) {
    (void)geo, (void)info;
    return none(error);
}

samc_status samc_geo_get_scale(const samc_geo *geo, samc_scale *scale, samc_error *error) {
    (void)geo, (void)scale;
    return none(error);
}

samc_status samc_geo_read(samc_geo *geo, int64_t x, int64_t y, int width, int height, samc_image *image,
                          samc_error *error) {
    (void)geo, (void)x, (void)y, (void)width, (void)height, (void)image;
    return none(error);
}

samc_status samc_geo_to_pixel(const samc_geo *geo, const double map[2], double pixel[2], samc_error *error) {
    (void)geo, (void)map, (void)pixel;
    return none(error);
}

samc_status samc_geo_to_map(const samc_geo *geo, const double pixel[2], double map[2], samc_error *error) {
    (void)geo, (void)pixel, (void)map;
    return none(error);
}

samc_status samc_geo_boxes(const samc_geo *geo, const char *path, double **boxes, int *count, int *passed_over,
                           samc_error *error) {
    (void)geo, (void)path, (void)passed_over;
    if (boxes != NULL) *boxes = NULL;
    if (count != NULL) *count = 0;
    return none(error);
}

void samc_geo_close(samc_geo *geo) { (void)geo; }

samc_status samc_geo_writer_open(const samc_geo *geo, const char *path, samc_geo_format format,
                                 const samc_geo_writer_options *options, samc_geo_writer **writer, samc_error *error) {
    (void)geo, (void)path, (void)format, (void)options;
    if (writer != NULL) *writer = NULL;
    return none(error);
}

samc_status samc_geo_writer_add(samc_geo_writer *writer, const samc_geo_mask *mask, samc_error *error) {
    (void)writer, (void)mask;
    return none(error);
}

samc_status samc_geo_writer_commit(samc_geo_writer *writer, samc_error *error) {
    (void)writer;
    return none(error);
}

void samc_geo_writer_abandon(samc_geo_writer *writer) { (void)writer; }

samc_status samc__geo_sink(const samc_geo *geo, samc_geo_format format, const samc_geo_writer_options *options,
                           const char *const *labels, int label_count, samc__scene_sink *sink, samc_error *error) {
    (void)geo, (void)format, (void)options, (void)labels, (void)label_count;
    *sink = (samc__scene_sink){0};
    return none(error);
}

void samc__geo_sink_end(samc__scene_sink *sink) { (void)sink; }
