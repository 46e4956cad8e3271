/* Files of masks on maps, written by GDAL at a path that is nothing yet. */
#ifndef SAMC_HOST_IO_GEO_OUT_H
#define SAMC_HOST_IO_GEO_OUT_H

#include "host/io/geo_scene.h"
#include "host/io/geo_wgs84.h"
#include "host/io/label_raster.h"
#include "host/io/outline.h"

/* A format's calls, all between samc__gdal_enter() and _leave(). */
typedef struct samc__geo_out samc__geo_out;
typedef struct samc__geo_kind {
    const char *extension; /* ".gpkg" */
    samc_status (*open)(samc__geo_out *out, samc_error *error);
    samc_status (*add)(samc__geo_out *out, const samc_geo_mask *mask, samc_error *error);
    samc_status (*close)(samc__geo_out *out, samc_error *error); /* the file is complete */
    void (*free)(samc__geo_out *out);                            /* also of one that could not be opened, or closed */
} samc__geo_kind;

/* Square metres of outlines on the ellipsoid of a CRS. */
typedef struct samc__geo_area {
    const samc_geo *geo;
    OGRCoordinateTransformationH to_degrees; /* NULL: areas are of the map's plane, in units of `unit` metres */
    struct geod_geodesic ellipsoid;
    double step;     /* between points of an edge, in pixels */
    double unit;     /* 0: there are no areas */
    double degrees;  /* of a unit of what to_degrees gives */
    bool longitudes; /* those of the map itself, which go on beyond 180 degrees */
    bool turns;      /* a ring that runs clockwise in the scene runs clockwise on the map */
    double *x, *y;   /* [room], owned */
    int *ok;         /* [room], owned */
    size_t room;
} samc__geo_area;

void samc__geo_area_begin(samc__geo_area *area, const samc_geo *geo);
/* NAN where there is none. */
double samc__geo_area_of(samc__geo_area *area, const samc__outlines *outlines, int64_t x, int64_t y);
void samc__geo_area_end(samc__geo_area *area);

struct samc__geo_out {
    const samc__geo_kind *kind;
    const samc_geo *geo;
    samc_geo_format format;
    samc_geo_writer_options options;
    char *path; /* owned */
    bool failed;
    GDALDatasetH dataset;
    OGRLayerH layer;
    samc__geo_area area;
    samc__geo_wgs84 wgs84;     /* where GeoJSON has degrees */
    samc__label_raster labels; /* the raster that grows */
    char *raw, *header;        /* its name and its header's; owned */
};

extern const samc__geo_kind samc__geo_vector_kind, samc__geo_label_kind;

/* Opens one; gone after a failure. The geo has to stay. */
samc_status samc__geo_out_open(const samc_geo *geo, const char *path, samc_geo_format format,
                               const samc_geo_writer_options *options, samc__geo_out **out, samc_error *error);
samc_status samc__geo_out_add(samc__geo_out *out, const samc_geo_mask *mask, samc_error *error);
/* It is gone in any case; after a failure, as after abandoning it, nothing is left of its file. */
samc_status samc__geo_out_close(samc__geo_out *out, samc_error *error);
void samc__geo_out_abandon(samc__geo_out *out);

#endif
