/* The files that a scene is read from: its own, a VRT's parts, and those beside each that GDAL takes by name. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "host/io/geo_scene.h"

bool samc__geo_files_add(samc__geo_files *f, const char *path) {
    if (f->count == f->room) {
        const size_t room = 2 * f->room + 16;
        void *grown = realloc(f->paths, room * sizeof *f->paths);
        if (grown == NULL) return false;
        f->paths = grown, f->room = room;
    }
    f->paths[f->count] = strdup(path);
    return f->paths[f->count] != NULL && ++f->count > 0;
}

void samc__geo_files_end(samc__geo_files *f) {
    for (size_t i = 0; i < f->count; i++) free(f->paths[i]);
    free(f->paths);
    *f = (samc__geo_files){0};
}

static bool add_if_there(samc__geo_files *f, const char *path) {
    struct stat information;
    return stat(path, &information) != 0 || !S_ISREG(information.st_mode) || samc__geo_files_add(f, path);
}

/* What GDAL says that a dataset is read from: headers, world files, Imagine's other files, overviews. A VRT's list has
 * neither what masks are made of nor what its parts lead to. */
static bool add_listed(const samc__gdal *g, GDALDatasetH dataset, samc__geo_files *f) {
    GDALRasterBandH band = g->GDALGetRasterBand(dataset, 1);
    if (band != NULL) { /* only then it looks for them */
        g->GDALGetOverviewCount(band);
        g->GDALGetMaskFlags(band);
    }
    char **list = g->GDALGetFileList(dataset);
    bool ok = true;
    for (int i = 0; ok && list != NULL && list[i] != NULL; i++) ok = add_if_there(f, list[i]);
    g->CSLDestroy(list);
    return ok;
}

/* Overviews of masks, masks of overviews: also of those that are added here. */
static bool add_beside(samc__geo_files *f) {
    static const char *const endings[] = {".ovr", ".OVR", ".msk", ".MSK"};
    char path[PATH_MAX];
    for (size_t i = 0; i < f->count; i++)
        for (size_t k = 0; k < sizeof endings / sizeof *endings; k++)
            if (snprintf(path, sizeof path, "%s%s", f->paths[i], endings[k]) < PATH_MAX && !add_if_there(f, path))
                return false;
    return true;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

void samc__geo_files_settle(samc__geo_files *f) {
    size_t kept = 0;
    if (f->count > 0) qsort(f->paths, f->count, sizeof *f->paths, compare);
    for (size_t i = 0; i < f->count; i++) {
        if (kept > 0 && strcmp(f->paths[i], f->paths[kept - 1]) == 0) free(f->paths[i]);
        else f->paths[kept++] = f->paths[i];
    }
    f->count = kept;
}

static bool gather(const samc_geo *geo, samc__geo_files *f) {
    const samc__gdal *g = geo->g;
    bool ok = add_listed(g, geo->dataset, f);
    for (size_t i = 0; ok && i < geo->parts.count; i++) { /* opened as when they were checked */
        const char *part = geo->parts.paths[i];
        GDALDatasetH dataset = g->GDALOpenEx(part, GDAL_OF_RASTER | GDAL_OF_READONLY, samc__gdal_rasters, NULL, NULL);
        ok = samc__geo_files_add(f, part) && (dataset == NULL || add_listed(g, dataset, f));
        if (dataset != NULL) g->GDALClose(dataset);
    }
    if (!ok || !add_beside(f)) return false;
    samc__geo_files_settle(f);
    return true;
}

samc_status samc__geo_identity(const samc_geo *geo, char identity[SAMC__IDENTITY], samc_error *error) {
    samc__geo_files files = {0};
    char **before = samc__gdal_enter(geo->g);
    const bool gathered = gather(geo, &files);
    samc__gdal_leave(geo->g, before);
    samc_status status = !gathered || files.count > INT_MAX
                             ? samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", geo->name)
                             : samc__identity((const char *const *)files.paths, (int)files.count, identity, error);
    samc__geo_files_end(&files);
    return status;
}
