/* GDAL through the loader. */
#include "host/io/gdal.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

const char *const samc__gdal_rasters[] = {"GTiff",   "COG",  "JP2OpenJPEG", "VRT",     "PNG",     "JPEG", "WEBP",
                                          "BMP",     "HFA",  "ENVI",        "EHdr",    "SAGA",    "RST",  "AAIGrid",
                                          "SRTMHGT", "DTED", "NITF",        "USGSDEM", "RRASTER", NULL};
const char *const samc__gdal_vectors[] = {"GPKG", "GeoJSON", NULL};

/* What registers these drivers, those for writing and in memory too, one by one: registering all would also load
 * plug-ins from folders that the environment names. What a build of GDAL has not, it has not. */
static const char *const registering[] = {
    "GDALRegister_VRT",     "GDALRegister_GTiff",   "GDALRegister_COG",     "GDALRegister_JP2OpenJPEG",
    "GDALRegister_PNG",     "GDALRegister_JPEG",    "GDALRegister_WEBP",    "GDALRegister_BMP",
    "GDALRegister_HFA",     "GDALRegister_ENVI",    "GDALRegister_EHdr",    "GDALRegister_AAIGrid",
    "GDALRegister_SRTMHGT", "GDALRegister_DTED",    "GDALRegister_NITF",    "GDALRegister_USGSDEM",
    "GDALRegister_SAGA",    "GDALRegister_IDRISI",  "GDALRegister_RRASTER", "GDALRegister_MEM",
    "RegisterOGRGeoJSON",   "RegisterOGRGeoPackage"};

/* What is asked of GDAL beside a file's pixels: nothing of a network, no code of a file's, no file beside it that says
 * where others are. */
static const char *const settings[][2] = {
    {"GDAL_PAM_ENABLED", "NO"},                     /* .aux.xml may name any file as overviews */
    {"GDAL_VRT_ENABLE_PYTHON", "NO"},               /* pixel functions */
    {"CPL_VSIL_CURL_ALLOWED_FILENAME", "/nothing"}, /* of virtual files of networks; see refuse() for the rest */
    {"CPL_VSIL_CURL_ALLOWED_EXTENSIONS", ".nothing"},
    {"OGR_SQLITE_LOAD_EXTENSIONS", ""},
    {"OGR_SQLITE_PRAGMA", ""},
    {"OGR_SQLITE_LIST_VIRTUAL_OGR", "NO"},
    {"GDAL_DISABLE_READDIR_ON_OPEN", "TRUE"},         /* files beside it are asked for by name: folders may be large */
    {"OGR_CURRENT_DATE", "2000-01-01T00:00:00.000Z"}, /* in GeoPackages: the same masks are the same bytes */
    {"OGR_SQLITE_SYNCHRONOUS", "OFF"},                /* who renames what is complete syncs it */
    {"OGR_SQLITE_JOURNAL", "OFF"},
    {"GDAL_NUM_THREADS", "1"},
    {"GDAL_CACHEMAX", "64"}, /* MB; it is read once */
    {"CPL_DEBUG", "OFF"}};

static struct {
    pthread_once_t once;
    samc__gdal calls;
    bool loaded;
    char reason[300];
} state = {.once = PTHREAD_ONCE_INIT};

static const struct {
    const char *name;
    size_t at;
} functions[] = {
#define ROW(name) {#name, offsetof(samc__gdal, name)},
    SAMC__GDAL_FUNCTIONS(ROW)
#undef ROW
};

static void load(void) {
    void *library = dlopen(SAMC_GDAL_LIBRARY, RTLD_LAZY | RTLD_LOCAL);
    if (library == NULL) {
        snprintf(state.reason, sizeof state.reason, "%s", dlerror());
        return;
    }
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        void *function = dlsym(library, functions[i].name); /* PROJ's are found among what it needs */
        if (function == NULL) {
            snprintf(state.reason, sizeof state.reason, "%s has no %s", SAMC_GDAL_LIBRARY, functions[i].name);
            return;
        }
        memcpy((char *)&state.calls + functions[i].at, &function, sizeof function);
    }
    if (state.calls.GDALGetDriverCount() > 0) {
        state.loaded = true; /* somebody's own */
        return;
    }
    state.calls.OSRSetPROJEnableNetwork(0);
    for (size_t i = 0; i < sizeof registering / sizeof *registering; i++) {
        void *function = dlsym(library, registering[i]);
        void (*registers)(void);
        memcpy(&registers, &function, sizeof function);
        if (function != NULL) registers();
    }
    state.loaded = true;
}

const samc__gdal *samc__gdal_load(samc_error *error) {
    pthread_once(&state.once, load);
    if (state.loaded) return &state.calls;
    samc__fail(error, SAMC_UNSUPPORTED, "GDAL cannot be loaded: %s", state.reason);
    return NULL;
}

/* In place of fetching; NULL would let GDAL do it. */
static CPLHTTPResult *refuse(const char *url, CSLConstList options, GDALProgressFunc progress, void *progress_arg,
                             CPLHTTPFetchWriteFunc write, void *write_arg, void *context) {
    const samc__gdal *g = context;
    (void)url, (void)options, (void)progress, (void)progress_arg, (void)write, (void)write_arg;
    CPLHTTPResult *result = g->CPLCalloc(1, sizeof *result);
    result->nStatus = 1;
    result->pszErrBuf = g->CPLStrdup("nothing is fetched from a network");
    return result;
}

char **samc__gdal_enter(const samc__gdal *g) {
    char **before = g->CPLGetThreadLocalConfigOptions();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        g->CPLSetThreadLocalConfigOption(settings[i][0], settings[i][1]);
    g->CPLHTTPPushFetchCallback(refuse, (void *)(uintptr_t)g);
    g->CPLPushErrorHandler(*g->CPLQuietErrorHandler);
    g->CPLErrorReset();
    return before;
}

void samc__gdal_leave(const samc__gdal *g, char **before) {
    g->CPLPopErrorHandler();
    g->CPLHTTPPopFetchCallback();
    g->CPLSetThreadLocalConfigOptions((const char *const *)before);
    g->CSLDestroy(before);
}

samc_status samc__gdal_fail(const samc__gdal *g, samc_error *error, samc_status status, const char *name,
                            const char *otherwise) {
    const char *said = g->CPLGetLastErrorMsg();
    if (said == NULL || *said == '\0') said = otherwise;
    return samc__fail(error, status, "%s: %.*s", name, (int)strcspn(said, "\n"), said);
}

samc_status samc__gdal_close(const samc__gdal *g, GDALDatasetH dataset, const char *name, samc_error *error) {
    g->CPLErrorReset();
    g->GDALClose(dataset);
    return g->CPLGetLastErrorType() < CE_Failure ? SAMC_OK
                                                 : samc__gdal_fail(g, error, SAMC_IO, name, "it cannot be completed");
}
