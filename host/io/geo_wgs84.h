/* Polygons of a scene's map as GeoJSON has them (RFC 7946): longitude and latitude of WGS 84, none beyond 180 degrees.
 */
#ifndef SAMC_HOST_IO_GEO_WGS84_H
#define SAMC_HOST_IO_GEO_WGS84_H

#include "host/io/geo_scene.h"

typedef struct samc__geo_wgs84 {
    const samc__gdal *g;
    OGRCoordinateTransformationH change; /* NULL: there is none */
    OGRSpatialReferenceH crs;            /* WGS 84, longitude first */
    double degrees;                      /* of a unit of the map's x, where it is a longitude; 0: it is not */
    double pixel;                        /* the shorter side of one, in units of the map */
    double poles[2][2];                  /* on the map, north and south; infinite: not there */
    struct samc__geo_point *points;      /* [room], owned */
    size_t room;
} samc__geo_wgs84;

/* Of a scene with a place and a CRS. SAMC_UNSUPPORTED: GDAL knows no way from that. */
samc_status samc__geo_wgs84_begin(samc__geo_wgs84 *w, const samc_geo *geo, samc_error *error);
/* A polygon, or several, of the map, which stays the caller's. Edges get corners where they would not be straight in
 * degrees, by more than a fiftieth of a pixel; what goes over the antimeridian is split there, what goes around a pole
 * ends at it. NULL: some of it is beyond the earth's edge, or this GDAL has no GEOS and it had to be split. */
OGRGeometryH samc__geo_wgs84_of(samc__geo_wgs84 *w, OGRGeometryH geometry);
void samc__geo_wgs84_end(samc__geo_wgs84 *w);

#endif
