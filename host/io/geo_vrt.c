/* VRT: XML that names other files, and functions to compute with. Of all that it can say only what places parts of
 * files beside each other is let through. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "host/io/file.h"
#include "host/io/geo_scene.h"

enum { MOST_VRT = 64 << 20, MOST_DEPTH = 4 };

static const char *const elements[] = {"VRTDataset",
                                       "SRS",
                                       "GeoTransform",
                                       "GCPList",
                                       "GCP",
                                       "Metadata",
                                       "MDI",
                                       "VRTRasterBand",
                                       "ColorInterp",
                                       "NoDataValue",
                                       "HideNoDataValue",
                                       "ColorTable",
                                       "Entry",
                                       "Description",
                                       "UnitType",
                                       "Offset",
                                       "Scale",
                                       "CategoryNames",
                                       "Category",
                                       "MaskBand",
                                       "SimpleSource",
                                       "ComplexSource",
                                       "AveragedSource",
                                       "KernelFilteredSource",
                                       "NoDataFromMaskSource",
                                       "SourceFilename",
                                       "SourceBand",
                                       "SourceProperties",
                                       "SrcRect",
                                       "DstRect",
                                       "NODATA",
                                       "UseMaskBand",
                                       "ScaleOffset",
                                       "ScaleRatio",
                                       "Exponent",
                                       "SrcMin",
                                       "SrcMax",
                                       "DstMin",
                                       "DstMax",
                                       "Clamp",
                                       "LUT",
                                       "ColorTableComponent",
                                       "Kernel",
                                       "Size",
                                       "Coefs",
                                       "Overview",
                                       "OverviewList",
                                       "BlockXSize",
                                       "BlockYSize",
                                       "MaskValueThreshold",
                                       "RemappedValue",
                                       NULL};

typedef struct vrt {
    const samc__gdal *g;
    const char *name; /* of what was asked for, for messages */
    char folder[PATH_MAX];
    int depth;
    samc__geo_files *parts;
} vrt;

static samc_status check_file(const vrt *v, const char *path, samc_error *error);

static bool listed(const char *name) {
    for (int i = 0; elements[i] != NULL; i++)
        if (strcasecmp(name, elements[i]) == 0) return true;
    return false;
}

static const char *text_of(const CPLXMLNode *node) {
    for (const CPLXMLNode *at = node->psChild; at != NULL; at = at->psNext)
        if (at->eType == CXT_Text) return at->pszValue;
    return "";
}

/* "tiles/a.tif", of the folder and in it, whatever links are on the way. */
static samc_status check_source(const vrt *v, const CPLXMLNode *node, samc_error *error) {
    char path[2 * PATH_MAX], real[PATH_MAX];
    const char *file = text_of(node);
    bool relative = false;
    for (const CPLXMLNode *at = node->psChild; at != NULL; at = at->psNext)
        if (at->eType == CXT_Attribute && strcasecmp(at->pszValue, "relativeToVRT") == 0) {
            relative = strcmp(text_of(at), "1") == 0;
            if (!relative) break; /* of several GDAL takes the first */
        }
    const size_t folder = strlen(v->folder);
    snprintf(path, sizeof path, "%s/%s", v->folder, file);
    if (!relative || *file == '/' || strchr(file, ':') != NULL || strlen(file) >= PATH_MAX ||
        realpath(path, real) == NULL || strncmp(real, v->folder, folder) != 0 || (folder > 1 && real[folder] != '/'))
        return samc__fail(error, SAMC_UNSUPPORTED,
                          "%s: a VRT may lead to files in its own folder alone, not to '%.200s'", v->name, file);
    return check_file(v, real, error);
}

static samc_status check_node(const vrt *v, const CPLXMLNode *node, samc_error *error) {
    for (; node != NULL; node = node->psNext) {
        if (node->eType == CXT_Attribute && strcasecmp(node->pszValue, "subClass") == 0) {
            const char *kind = text_of(node);
            if (strcasecmp(kind, "VRTSourcedRasterBand") != 0)
                return samc__fail(error, SAMC_UNSUPPORTED, "%s: a VRT of the kind '%.60s' is not opened", v->name,
                                  kind);
        }
        if (node->eType == CXT_Attribute && samc__geo_names_file(text_of(node)))
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: a VRT whose CRS names a file is not opened", v->name);
        if (node->eType != CXT_Element || node->pszValue[0] == '?') continue;
        if (!listed(node->pszValue))
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: a VRT with '%.60s' is not opened", v->name, node->pszValue);
        /* of the dataset as an element, of its control points as an attribute */
        if (strcasecmp(node->pszValue, "SRS") == 0 && samc__geo_names_file(text_of(node)))
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: a VRT whose CRS names a file is not opened", v->name);
        if (strcasecmp(node->pszValue, "SourceFilename") == 0) SAMC__TRY(check_source(v, node, error));
        else SAMC__TRY(check_node(v, node->psChild, error));
    }
    return SAMC_OK;
}

static samc_status check_xml(const samc__gdal *g, const char *name, const char *path, int depth, samc__geo_files *parts,
                             samc_error *error) {
    uint8_t *bytes;
    size_t size;
    vrt v = {.g = g, .name = name, .depth = depth, .parts = parts};
    if (strlen(path) >= sizeof v.folder) return samc__fail(error, SAMC_UNSUPPORTED, "%s: the path is too long", name);
    strcpy(v.folder, path);
    char *slash = strrchr(v.folder, '/');
    slash[slash == v.folder] = '\0';
    SAMC__TRY(samc__file_read(path, MOST_VRT, &bytes, &size, error));
    char *text = realloc(bytes, size + 1);
    if (text == NULL) {
        free(bytes);
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    }
    text[size] = '\0';
    CPLXMLNode *tree = strlen(text) == size ? g->CPLParseXMLString(text) : NULL;
    samc_status status = tree == NULL ? samc__gdal_fail(g, error, SAMC_FORMAT, name, "a VRT that is no XML")
                                      : check_node(&v, tree, error);
    if (tree != NULL) g->CPLDestroyXMLNode(tree);
    free(text);
    return status;
}

/* A file that a VRT names, by its real path. */
static samc_status check_file(const vrt *v, const char *path, samc_error *error) {
    struct stat information;
    if (stat(path, &information) != 0 || !S_ISREG(information.st_mode))
        return samc__fail(error, SAMC_UNSUPPORTED, "%s: '%.200s' is no file", v->name, path);
    GDALDriverH driver = v->g->GDALIdentifyDriverEx(path, GDAL_OF_RASTER, samc__gdal_rasters, NULL);
    if (driver == NULL)
        return samc__fail(error, SAMC_FORMAT, "%s: '%.200s' is none of the rasters that are opened", v->name, path);
    if (!samc__geo_files_add(v->parts, path))
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", v->name);
    SAMC__TRY(samc__geo_check_beside(v->g, v->name, path, error));
    if (strcmp(v->g->GDALGetDriverShortName(driver), "VRT") == 0) {
        if (v->depth == MOST_DEPTH)
            return samc__fail(error, SAMC_UNSUPPORTED, "%s: VRTs of VRTs, more than %d deep", v->name, MOST_DEPTH);
        SAMC__TRY(check_xml(v->g, v->name, path, v->depth + 1, v->parts, error));
    }
    return samc__geo_check_overviews(v->g, v->name, path, error); /* after what it leads to: opening it may open that */
}

samc_status samc__geo_check_vrt(const samc__gdal *g, const char *name, const char *path, samc__geo_files *parts,
                                samc_error *error) {
    SAMC__TRY(check_xml(g, name, path, 0, parts, error));
    samc__geo_files_settle(parts);
    return SAMC_OK;
}
