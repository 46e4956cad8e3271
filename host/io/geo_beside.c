/* Files beside a scene, and what they and the scene name. GDAL opens some by the scene's name alone (overviews, masks,
 * Erdas's .aux), others because a file says so: Erdas Imagine its pixels (.ige), its overviews (.rrd) and the file that
 * it belongs to, Idrisi a reference system. Such names may be of the same folder alone. */
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/io/file.h"
#include "host/io/geo_scene.h"

/* Files beside files; of Imagine files that lead to each other nodes, bytes that may be names, and how many; nodes that
 * are still to be visited; bytes of a header that is text. */
enum { MOST_DEPTH = 4, MOST_NODES = 1 << 20, MOST_NAMES = 1 << 20, MOST_FILES = 16, MOST_WAITING = 4096 };
enum { MOST_TEXT = 16 << 20 };

static samc_status elsewhere(const char *name, const char *path, samc_error *error) {
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: '%.200s' names a file of another folder", name, path);
}

/* ---- Erdas Imagine --------------------------------------------------------------------------- */

/* One of a group of Imagine files. */
typedef struct imagine {
    const char *name; /* of what was asked for, for messages */
    struct {
        dev_t device;
        ino_t inode;
    } seen[MOST_FILES];
    int count, nodes;
    size_t names; /* bytes */
    bool naming;  /* one of them has a node that names others */
} imagine;

static samc_status check_imagine(imagine *all, const char *path, samc_error *error);

/* The path with another extension, path [PATH_MAX]; false where it is too long. */
static bool replace_extension(const char *path, const char *extension, char *replaced) {
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash != NULL ? slash : path, '.');
    const size_t length = dot != NULL ? (size_t)(dot - path) : strlen(path);
    return snprintf(replaced, PATH_MAX, "%.*s%s", (int)length, path, extension) < PATH_MAX;
}

/* A file that may be beside `path`: if it is there, it is no link to elsewhere, and neither does it name what is.
 * *there: whether it is. */
static samc_status check_candidate(imagine *all, const char *path, const char *file, bool *there, samc_error *error) {
    char real[PATH_MAX];
    struct stat information;
    const size_t folder = (size_t)(strrchr(path, '/') - path) + 1;
    *there = lstat(file, &information) == 0 && !S_ISDIR(information.st_mode);
    if (!*there) return SAMC_OK;
    if (realpath(file, real) == NULL || strncmp(real, path, folder) != 0 || strchr(real + folder, '/') != NULL ||
        stat(real, &information) != 0 || !S_ISREG(information.st_mode))
        return elsewhere(all->name, path, error);
    return check_imagine(all, real, error);
}

/* A name that the data of a node of `path` may hold. Where there is no such file GDAL takes that of the file itself,
 * with the name's extension. */
static samc_status check_named(imagine *all, const char *path, const char *named, size_t length, samc_error *error) {
    char file[PATH_MAX];
    const int folder = (int)(strrchr(path, '/') - path) + 1;
    bool there = false;
    if (snprintf(file, sizeof file, "%.*s%.*s", folder, path, (int)length, named) >= PATH_MAX) return SAMC_OK;
    SAMC__TRY(check_candidate(all, path, file, &there, error));
    const char *dot = strrchr(file + folder, '.');
    if (there || dot == NULL) return SAMC_OK;
    char extension[NAME_MAX + 1];
    snprintf(extension, sizeof extension, "%s", dot);
    return replace_extension(path, extension, file) ? check_candidate(all, path, file, &there, error) : SAMC_OK;
}

static bool printable(uint8_t byte) { return byte >= 32 && byte < 127; }

static bool has_path(const uint8_t *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (data[i] == '/' && ((i > 0 && printable(data[i - 1])) || (i + 1 < size && printable(data[i + 1]))))
            return true;
    return false;
}

/* Where in the data a name begins is the file's own matter: all places are looked at. It ends with a zero, or before
 * what is named in the file, "a.rrd(:Layer_1)". */
static samc_status check_names(imagine *all, const char *path, const uint8_t *data, size_t size, samc_error *error) {
    if (has_path(data, size)) return elsewhere(all->name, path, error);
    for (size_t i = 0; i < size; i++) {
        const char *named = (const char *)data + i;
        const size_t whole = strnlen(named, size - i < NAME_MAX + 2 ? size - i : NAME_MAX + 2);
        const char *layer = memmem(named, whole, "(:", 2);
        if (!printable(data[i])) continue;
        if (whole <= NAME_MAX) SAMC__TRY(check_named(all, path, named, whole, error));
        if (layer != NULL && layer > named) SAMC__TRY(check_named(all, path, named, (size_t)(layer - named), error));
    }
    return SAMC_OK;
}

static uint32_t number(const uint8_t *bytes) {
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* `size` bytes that are names' from now on. */
static samc_status charge(imagine *all, const char *path, size_t size, samc_error *error) {
    if (size > MOST_NAMES - all->names)
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: '%.200s' has names of more bytes than are looked at", all->name,
                          path);
    all->names += size;
    return SAMC_OK;
}

static samc_status check_data(imagine *all, const char *path, int file, uint32_t at, size_t size, samc_error *error) {
    SAMC__TRY(charge(all, path, size, error));
    uint8_t *data = malloc(size);
    if (data == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", all->name);
    const ssize_t there = pread(file, data, size, at); /* less: GDAL reads nothing of it */
    const samc_status status = there > 0 ? check_names(all, path, data, (size_t)there, error) : SAMC_OK;
    free(data);
    return status;
}

/* The text that says what nodes are made of. Where a name is said to be one of several words, as "1:e2:a.ige,b.ige," of
 * two, it stands here and not in the node. */
static samc_status check_dictionary(imagine *all, const char *path, int file, uint32_t at, samc_error *error) {
    char *text = malloc(MOST_NAMES + 1);
    if (text == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", all->name);
    const ssize_t there = pread(file, text, MOST_NAMES + 1, at);
    const size_t size = there > 0 ? strnlen(text, (size_t)there) : 0;
    samc_status status = charge(all, path, size, error);
    if (status == SAMC_OK && has_path((const uint8_t *)text, size)) status = elsewhere(all->name, path, error);
    for (size_t i = 1; status == SAMC_OK && i < size; i++) {
        if (text[i - 1] != ',' && text[i - 1] != ':') continue;
        const char *end = memchr(text + i, ',', size - i < NAME_MAX + 1 ? size - i : NAME_MAX + 1);
        if (end != NULL && end > text + i) status = check_named(all, path, text + i, (size_t)(end - text) - i, error);
    }
    free(text);
    return status;
}

/* GDAL finds these by a node's name, and pixels elsewhere by its type, too. Overviews are looked for in the file's own
 * .rrd as well. */
static samc_status check_node(imagine *all, const char *path, int file, const uint8_t *node, samc_error *error) {
    static const char *const naming[] = {"ExternalRasterDMS", "RRDNamesList", "DependentFile"};
    char name[65] = "", type[33] = "", own[PATH_MAX];
    bool names, there;
    memcpy(name, node + 24, 64);
    memcpy(type, node + 88, 32);
    names = strcasecmp(type, "ImgExternalRaster") == 0;
    for (int i = 0; i < 3; i++) names = names || strcasecmp(name, naming[i]) == 0;
    const uint32_t at = number(node + 16), size = number(node + 20);
    if (!names || size == 0) return SAMC_OK;
    all->naming = true;
    if (replace_extension(path, ".rrd", own)) SAMC__TRY(check_candidate(all, path, own, &there, error));
    return check_data(all, path, file, at, size, error);
}

/* All nodes of the tree. */
static samc_status check_tree(imagine *all, const char *path, int file, uint32_t root, samc_error *error) {
    uint32_t *waiting = malloc(MOST_WAITING * sizeof *waiting);
    uint8_t node[128];
    int count = 0;
    samc_status status = SAMC_OK;
    if (waiting == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", all->name);
    waiting[count++] = root;
    while (status == SAMC_OK && count > 0) {
        const uint32_t at = waiting[--count];
        if (at == 0 || pread(file, node, sizeof node, at) != sizeof node) continue;
        if (++all->nodes > MOST_NODES || count + 2 > MOST_WAITING)
            status =
                samc__fail(error, SAMC_UNSUPPORTED, "%s: '%.200s' has more nodes than are looked at", all->name, path);
        else status = check_node(all, path, file, node, error);
        if (status != SAMC_OK) break;
        waiting[count++] = number(node);
        waiting[count++] = number(node + 12);
    }
    free(waiting);
    return status;
}

static samc_status check_imagine(imagine *all, const char *path, samc_error *error) {
    uint8_t head[20], header[18];
    struct stat information;
    samc_status status = SAMC_OK;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &information) != 0 || pread(file, head, sizeof head, 0) != sizeof head ||
        memcmp(head, "EHFA_HEADER_TAG", 15) != 0) {
        if (file >= 0) close(file);
        return SAMC_OK; /* what is wrong with it is said when it is read */
    }
    for (int i = 0; i < all->count; i++)
        if (all->seen[i].device == information.st_dev && all->seen[i].inode == information.st_ino) {
            close(file);
            return SAMC_OK;
        }
    if (all->count == MOST_FILES)
        status = samc__fail(error, SAMC_UNSUPPORTED, "%s: more than %d files that lead to each other", all->name,
                            MOST_FILES);
    if (status == SAMC_OK) {
        all->seen[all->count].device = information.st_dev;
        all->seen[all->count++].inode = information.st_ino;
        const bool whole = pread(file, header, sizeof header, number(head + 16)) == sizeof header;
        if (whole) status = check_tree(all, path, file, number(header + 8), error);
        if (whole && status == SAMC_OK && all->naming)
            status = check_dictionary(all, path, file, number(header + 14), error);
    }
    close(file);
    return status;
}

/* ---- Headers that are text ------------------------------------------------------------------- */

/* No line that begins with the key has a slash: a header's, which is not there if it cannot be read. */
static samc_status check_text(const char *name, const char *path, const char *key, samc_error *error) {
    uint8_t *bytes;
    size_t size;
    samc_status status = SAMC_OK;
    if (access(path, F_OK) != 0) return SAMC_OK;
    SAMC__TRY(samc__file_read(path, MOST_TEXT, &bytes, &size, error));
    const size_t length = strlen(key);
    for (size_t at = 0; status == SAMC_OK && at < size;) {
        size_t end = at;
        while (end < size && bytes[end] != '\n' && bytes[end] != '\r') end++;
        while (at < end && isspace(bytes[at])) at++;
        if (end - at >= length && strncasecmp((const char *)bytes + at, key, length) == 0 &&
            memchr(bytes + at, '/', end - at) != NULL)
            status = elsewhere(name, path, error);
        at = end + 1;
    }
    free(bytes);
    return status;
}

/* Idrisi's documentation names a reference system, a file; R's grids may have a projection of PROJ's, which may. */
static samc_status check_headers(const char *name, const char *path, samc_error *error) {
    static const char *const endings[] = {".rdc", ".RDC"};
    char file[PATH_MAX];
    for (int i = 0; i < 2; i++)
        if (replace_extension(path, endings[i], file)) SAMC__TRY(check_text(name, file, "ref. system", error));
    const size_t length = strlen(path);
    if (length > 4 && strcasecmp(path + length - 4, ".grd") == 0) return check_text(name, path, "projection", error);
    return SAMC_OK;
}

/* ---- Beside a file --------------------------------------------------------------------------- */

/* Erdas's, of any driver's file: GDAL looks for overviews in it. */
static samc_status check_aux(const char *name, const char *path, samc_error *error) {
    static const char *const endings[] = {".aux", ".AUX"};
    char file[PATH_MAX];
    struct stat information;
    for (int i = 0; i < 4; i++) {
        const bool fits = i < 2 ? replace_extension(path, endings[i], file)
                                : snprintf(file, sizeof file, "%s%s", path, endings[i - 2]) < PATH_MAX;
        if (!fits || stat(file, &information) != 0) continue;
        imagine all = {.name = name};
        if (!S_ISREG(information.st_mode)) return elsewhere(name, file, error);
        SAMC__TRY(check_imagine(&all, file, error));
    }
    return SAMC_OK;
}

samc_status samc__geo_check_overviews(const samc__gdal *g, const char *name, const char *path, samc_error *error) {
    GDALDatasetH dataset = g->GDALOpenEx(path, GDAL_OF_RASTER | GDAL_OF_READONLY, samc__gdal_rasters, NULL, NULL);
    if (dataset == NULL) return SAMC_OK; /* what is wrong with it is said when it is read */
    const bool names = g->GDALGetMetadataItem(dataset, "OVERVIEW_FILE", "OVERVIEWS") != NULL;
    g->GDALClose(dataset);
    return names ? samc__fail(error, SAMC_UNSUPPORTED, "%s: '%.200s' names another file as its overviews", name, path)
                 : SAMC_OK;
}

static samc_status check_beside(const samc__gdal *g, const char *name, const char *path, int depth, samc_error *error) {
    static const char *const endings[] = {".ovr", ".OVR", ".msk", ".MSK"};
    char file[PATH_MAX + 8];
    struct stat information;
    imagine all = {.name = name};
    SAMC__TRY(check_imagine(&all, path, error));
    SAMC__TRY(check_aux(name, path, error));
    SAMC__TRY(check_headers(name, path, error));
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        if (snprintf(file, sizeof file, "%s%s", path, endings[i]) >= PATH_MAX || stat(file, &information) != 0)
            continue;
        GDALDriverH driver = S_ISREG(information.st_mode)
                                 ? g->GDALIdentifyDriverEx(file, GDAL_OF_RASTER, samc__gdal_rasters, NULL)
                                 : NULL;
        if (driver == NULL || strcmp(g->GDALGetDriverShortName(driver), "GTiff") != 0 || depth == MOST_DEPTH)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: '%.200s' is no TIFF, as overviews and masks are", name,
                              file);
        SAMC__TRY(samc__geo_check_overviews(g, name, file, error));
        SAMC__TRY(check_beside(g, name, file, depth + 1, error));
    }
    return SAMC_OK;
}

samc_status samc__geo_check_beside(const samc__gdal *g, const char *name, const char *path, samc_error *error) {
    return check_beside(g, name, path, 0, error);
}

/* ---- Reference systems ----------------------------------------------------------------------- */

bool samc__geo_names_file(const char *text) {
    static const struct {
        const char *key, *end;
    } places[] = {{"grids=", " \""}, {"init=", " \""}, {"PARAMETERFILE[", "]"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        for (const char *at = text; (at = strcasestr(at, places[i].key)) != NULL;) {
            at += strlen(places[i].key);
            if (memchr(at, '/', strcspn(at, places[i].end)) != NULL) return true;
        }
    return false;
}

samc_status samc__geo_check_crs(const samc__gdal *g, const char *name, OGRSpatialReferenceH crs, samc_error *error) {
    static const char *const how[] = {"FORMAT=WKT2_2019", NULL};
    char *text = NULL;
    if (crs == NULL || g->OSRGetName(crs) == NULL) return SAMC_OK;
    const bool known = g->OSRExportToWktEx(crs, &text, how) == OGRERR_NONE && text != NULL;
    const bool names = known && samc__geo_names_file(text);
    g->VSIFree(text);
    if (known && !names) return SAMC_OK;
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: its CRS %s", name,
                      names ? "names a file of shifts" : "cannot be written down, and not looked at");
}
