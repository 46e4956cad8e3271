/* GDAL, loaded when it is first wanted: with the libraries that it needs it would more than double the time of every
 * start. Only files of this machine are read and written through it, and the process's GDAL is left as it is: settings
 * are those of the calling thread, and drivers are registered where nobody has registered any. */
#ifndef SAMC_HOST_IO_GDAL_H
#define SAMC_HOST_IO_GDAL_H

#include <cpl_conv.h>
#include <cpl_error.h>
#include <cpl_http.h>
#include <cpl_minixml.h>
#include <cpl_string.h>
#include <gdal.h>
#include <geodesic.h>
#include <ogr_api.h>
#include <ogr_srs_api.h>

#include "runtime/base/status.h"

/* X(function): all that are called. */
#define SAMC__GDAL_FUNCTIONS(X)                                                                                        \
    X(CPLCalloc)                                                                                                       \
    X(CPLStrdup)                                                                                                       \
    X(CPLHTTPPushFetchCallback)                                                                                        \
    X(CPLHTTPPopFetchCallback)                                                                                         \
    X(CPLSetThreadLocalConfigOption)                                                                                   \
    X(CPLGetThreadLocalConfigOptions)                                                                                  \
    X(CPLSetThreadLocalConfigOptions)                                                                                  \
    X(CPLPushErrorHandler)                                                                                             \
    X(CPLPopErrorHandler)                                                                                              \
    X(CPLQuietErrorHandler)                                                                                            \
    X(CPLErrorReset)                                                                                                   \
    X(CPLGetLastErrorType)                                                                                             \
    X(CPLGetLastErrorMsg)                                                                                              \
    X(CPLParseXMLString)                                                                                               \
    X(CPLDestroyXMLNode)                                                                                               \
    X(CSLSetNameValue)                                                                                                 \
    X(CSLDestroy)                                                                                                      \
    X(GDALGetDriverCount)                                                                                              \
    X(GDALGetDriverByName)                                                                                             \
    X(GDALGetDriverShortName)                                                                                          \
    X(GDALIdentifyDriverEx)                                                                                            \
    X(GDALOpenEx)                                                                                                      \
    X(GDALClose)                                                                                                       \
    X(GDALGetFileList)                                                                                                 \
    X(GDALGetDatasetDriver)                                                                                            \
    X(GDALGetMetadataItem)                                                                                             \
    X(GDALGetRasterXSize)                                                                                              \
    X(GDALGetRasterYSize)                                                                                              \
    X(GDALGetRasterCount)                                                                                              \
    X(GDALGetRasterBand)                                                                                               \
    X(GDALGetRasterBandXSize)                                                                                          \
    X(GDALGetRasterBandYSize)                                                                                          \
    X(GDALGetRasterDataType)                                                                                           \
    X(GDALGetDataTypeName)                                                                                             \
    X(GDALDataTypeIsComplex)                                                                                           \
    X(GDALGetRasterColorInterpretation)                                                                                \
    X(GDALGetRasterColorTable)                                                                                         \
    X(GDALGetColorEntryCount)                                                                                          \
    X(GDALGetColorEntryAsRGB)                                                                                          \
    X(GDALGetBlockSize)                                                                                                \
    X(GDALGetMaskFlags)                                                                                                \
    X(GDALGetMaskBand)                                                                                                 \
    X(GDALGetOverviewCount)                                                                                            \
    X(GDALGetOverview)                                                                                                 \
    X(GDALRasterIO)                                                                                                    \
    X(GDALGetGeoTransform)                                                                                             \
    X(GDALSetGeoTransform)                                                                                             \
    X(GDALGetSpatialRef)                                                                                               \
    X(GDALSetSpatialRef)                                                                                               \
    X(GDALSetRasterNoDataValue)                                                                                        \
    X(GDALCreate)                                                                                                      \
    X(GDALCreateCopy)                                                                                                  \
    X(GDALDatasetCreateLayer)                                                                                          \
    X(GDALDatasetGetLayer)                                                                                             \
    X(GDALDatasetGetLayerCount)                                                                                        \
    X(GDALDatasetStartTransaction)                                                                                     \
    X(GDALDatasetCommitTransaction)                                                                                    \
    X(OGR_Fld_Create)                                                                                                  \
    X(OGR_Fld_Destroy)                                                                                                 \
    X(OGR_L_CreateField)                                                                                               \
    X(OGR_L_GetLayerDefn)                                                                                              \
    X(OGR_L_CreateFeature)                                                                                             \
    X(OGR_L_ResetReading)                                                                                              \
    X(OGR_L_GetNextFeature)                                                                                            \
    X(OGR_L_GetSpatialRef)                                                                                             \
    X(OGR_F_Create)                                                                                                    \
    X(OGR_F_Destroy)                                                                                                   \
    X(OGR_F_SetFieldInteger64)                                                                                         \
    X(OGR_F_SetFieldInteger)                                                                                           \
    X(OGR_F_SetFieldDouble)                                                                                            \
    X(OGR_F_SetFieldNull)                                                                                              \
    X(OGR_F_SetFieldString)                                                                                            \
    X(OGR_F_SetGeometryDirectly)                                                                                       \
    X(OGR_F_GetGeometryRef)                                                                                            \
    X(OGR_G_CreateGeometry)                                                                                            \
    X(OGR_G_DestroyGeometry)                                                                                           \
    X(OGR_G_AddPoint_2D)                                                                                               \
    X(OGR_G_SetPoint_2D)                                                                                               \
    X(OGR_G_SetPointCount)                                                                                             \
    X(OGR_G_AddGeometryDirectly)                                                                                       \
    X(OGR_G_GetGeometryType)                                                                                           \
    X(OGR_G_SimplifyPreserveTopology)                                                                                  \
    X(OGR_G_IsValid)                                                                                                   \
    X(OGR_G_IsEmpty)                                                                                                   \
    X(OGR_G_Clone)                                                                                                     \
    X(OGR_G_Transform)                                                                                                 \
    X(OGR_G_Intersection)                                                                                              \
    X(OGR_G_Union)                                                                                                     \
    X(OGR_G_Difference)                                                                                                \
    X(OGR_G_GetEnvelope)                                                                                               \
    X(OGR_G_GetGeometryCount)                                                                                          \
    X(OGR_G_GetGeometryRef)                                                                                            \
    X(OGR_G_GetPointCount)                                                                                             \
    X(OGR_G_GetX)                                                                                                      \
    X(OGR_G_GetY)                                                                                                      \
    X(OSRNewSpatialReference)                                                                                          \
    X(OSRClone)                                                                                                        \
    X(OSRCloneGeogCS)                                                                                                  \
    X(OSRRelease)                                                                                                      \
    X(VSIFree)                                                                                                         \
    X(OSRExportToWktEx)                                                                                                \
    X(OSRIsGeographic)                                                                                                 \
    X(OSRIsDerivedGeographic)                                                                                          \
    X(OSRGetAngularUnits)                                                                                              \
    X(OSRSetAxisMappingStrategy)                                                                                       \
    X(OSRImportFromEPSG)                                                                                               \
    X(OSRGetSemiMajor)                                                                                                 \
    X(OSRGetInvFlattening)                                                                                             \
    X(OSRGetLinearUnits)                                                                                               \
    X(OSRGetAuthorityName)                                                                                             \
    X(OSRGetAuthorityCode)                                                                                             \
    X(OSRGetName)                                                                                                      \
    X(OSRSetPROJEnableNetwork)                                                                                         \
    X(OCTNewCoordinateTransformation)                                                                                  \
    X(OCTDestroyCoordinateTransformation)                                                                              \
    X(OCTTransformEx)                                                                                                  \
    X(geod_init)                                                                                                       \
    X(geod_polygonarea)

typedef struct samc__gdal {
#define SAMC__GDAL_FIELD(name) __typeof__(name) *name;
    SAMC__GDAL_FUNCTIONS(SAMC__GDAL_FIELD)
#undef SAMC__GDAL_FIELD
} samc__gdal;

/* Loads it where it is not yet. NULL with an error: it is not there, or lacks something. */
const samc__gdal *samc__gdal_load(samc_error *error);

/* Around every use: the thread's settings, by which nothing is fetched or executed, and messages that go nowhere. What
 * asks for an address all the same (the CRS of a GeoJSON may be a link) is told that it cannot be had. What enter
 * gives, the settings before, leave takes. */
char **samc__gdal_enter(const samc__gdal *g);
void samc__gdal_leave(const samc__gdal *g, char **before);

/* The drivers that may open files, for GDALOpenEx(): all others, among them those that go to a network, may not. */
extern const char *const samc__gdal_rasters[], *const samc__gdal_vectors[];

/* GDALClose(), which completes what was written, and says in messages alone that it could not. */
samc_status samc__gdal_close(const samc__gdal *g, GDALDatasetH dataset, const char *name, samc_error *error);

/* Fills `error` with what GDAL said last, one line of it, or `otherwise`; "<name>: <what it said>". */
samc_status samc__gdal_fail(const samc__gdal *g, samc_error *error, samc_status status, const char *name,
                            const char *otherwise);

#endif
