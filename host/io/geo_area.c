/* Areas on the ellipsoid. Straight edges of pixels are no geodesics; they are gone along in short steps. */
#include <math.h>
#include <stdlib.h>

#include "host/io/geo_out.h"

/* In metres; and in pixels at most, at least. */
static const double step_metres = 2000, most_step = 16, least_step = 0.25;

/* How far apart points on an edge are, in pixels. */
static double choose_step(const samc_geo *geo, OGRSpatialReferenceH crs) {
    const double *t = geo->info.transform;
    const double unit = geo->info.degrees ? 111e3 : geo->g->OSRGetLinearUnits(crs, NULL);
    const double step = step_metres / (fmax(hypot(t[1], t[4]), hypot(t[2], t[5])) * unit);
    return step > most_step ? most_step : step > least_step ? step : least_step;
}

void samc__geo_area_begin(samc__geo_area *a, const samc_geo *geo) {
    const samc__gdal *g = geo->g;
    OGRSpatialReferenceH crs = geo->info.placed ? g->GDALGetSpatialRef(geo->dataset) : NULL;
    const double *t = geo->info.transform;
    *a = (samc__geo_area){.geo = geo, .turns = t[1] * t[5] < t[2] * t[4]};
    if (crs == NULL) return;
    OGRErr wrong;
    a->step = choose_step(geo, crs);
    OGRSpatialReferenceH from = g->OSRClone(crs), degrees = g->OSRCloneGeogCS(crs);
    if (from != NULL && degrees != NULL) {
        const double major = g->OSRGetSemiMajor(degrees, &wrong), flattening = g->OSRGetInvFlattening(degrees, &wrong);
        g->OSRSetAxisMappingStrategy(degrees, OAMS_TRADITIONAL_GIS_ORDER);
        g->OSRSetAxisMappingStrategy(from, OAMS_TRADITIONAL_GIS_ORDER);
        a->to_degrees = g->OCTNewCoordinateTransformation(from, degrees);
        if (a->to_degrees != NULL) g->geod_init(&a->ellipsoid, major, flattening > 0 ? 1 / flattening : 0);
        if (a->to_degrees != NULL) a->unit = 1;
        char *name;
        a->degrees = g->OSRGetAngularUnits(degrees, &name) * 180 / M_PI;
        a->longitudes = g->OSRIsGeographic(crs) && !g->OSRIsDerivedGeographic(crs);
    } else if (from != NULL && !g->OSRIsGeographic(crs)) {
        a->unit = g->OSRGetLinearUnits(crs, NULL); /* of a building site, say */
    }
    if (degrees != NULL) g->OSRRelease(degrees);
    if (from != NULL) g->OSRRelease(from);
}

void samc__geo_area_end(samc__geo_area *a) {
    if (a->to_degrees != NULL) a->geo->g->OCTDestroyCoordinateTransformation(a->to_degrees);
    free(a->x);
    free(a->y);
    free(a->ok);
    *a = (samc__geo_area){0};
}

static bool make_room(samc__geo_area *a, size_t count) {
    if (count <= a->room) return true;
    free(a->x);
    free(a->y);
    free(a->ok);
    a->room = count + count / 2;
    a->x = malloc(a->room * sizeof *a->x);
    a->y = malloc(a->room * sizeof *a->y);
    a->ok = malloc(a->room * sizeof *a->ok);
    if (a->x != NULL && a->y != NULL && a->ok != NULL) return true;
    a->room = 0;
    return false;
}

/* The ring's points on the map, also between corners. Returns how many; 0: no memory, or more than 2^31. */
static size_t walk(samc__geo_area *a, const samc__outlines *o, const samc__ring *ring, int64_t x0, int64_t y0) {
    size_t count = 0;
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && (count > INT32_MAX || !make_room(a, count))) return 0;
        count = 0;
        for (size_t i = 0; i < ring->count; i++) {
            const int32_t *p = o->corners[ring->first + i], *q = o->corners[ring->first + (i + 1) % ring->count];
            const int64_t dx = (int64_t)q[0] - p[0], dy = (int64_t)q[1] - p[1];
            const int64_t pieces = (int64_t)ceil((double)(llabs(dx) + llabs(dy)) / a->step);
            for (int64_t k = 0; k < pieces; k++, count++) {
                if (pass == 0) continue;
                const double pixel[2] = {(double)(x0 + p[0]) + (double)dx * (double)k / (double)pieces,
                                         (double)(y0 + p[1]) + (double)dy * (double)k / (double)pieces};
                double map[2];
                samc_geo_to_map(a->geo, pixel, map, NULL);
                a->x[count] = map[0], a->y[count] = map[1];
            }
        }
    }
    return count;
}

/* About what [count] points enclose, in square metres, where longitudes go on from each to the next: exact on a sphere
 * whose parallels they follow. */
static double cylinder_area(const samc__geo_area *a, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t next = (i + 1) % count;
        sum += (a->x[i] - a->x[next]) * (sin(a->y[i] * M_PI / 180) + sin(a->y[next] * M_PI / 180)) / 2;
    }
    return sum * M_PI / 180 * a->ellipsoid.c2;
}

/* Of a ring that runs around it with what it encloses on the left. More than half of the earth comes as what is outside
 * of it, less than nothing. */
static double enclosed_area(samc__geo_area *a, size_t count, bool left) {
    const double earth = 4 * M_PI * a->ellipsoid.c2, side = left ? 1 : -1;
    double area, length;
    a->geo->g->geod_polygonarea(&a->ellipsoid, a->y, a->x, (int)count, &area, &length);
    area *= side;
    if (a->longitudes) return area + earth * rint((side * cylinder_area(a, count) - area) / earth);
    return area < -1e-6 * earth ? area + earth : fabs(area); /* of nothing at all there is no side */
}

static double ring_area(samc__geo_area *a, const samc__outlines *o, const samc__ring *ring, int64_t x, int64_t y,
                        bool hole) {
    double area = 0;
    const size_t count = walk(a, o, ring, x, y);
    if (count == 0) return NAN;
    if (a->to_degrees == NULL) {
        for (size_t i = 0; i < count; i++) {
            const size_t next = (i + 1) % count;
            area += (a->x[i] - a->x[0]) * (a->y[next] - a->y[0]) - (a->x[next] - a->x[0]) * (a->y[i] - a->y[0]);
        }
        return fabs(area) / 2 * a->unit * a->unit;
    }
    if (!a->geo->g->OCTTransformEx(a->to_degrees, (int)count, a->x, a->y, NULL, a->ok)) return NAN;
    for (size_t i = 0; i < count; i++) a->x[i] *= a->degrees, a->y[i] *= a->degrees;
    return enclosed_area(a, count, a->turns == hole);
}

double samc__geo_area_of(samc__geo_area *a, const samc__outlines *o, int64_t x, int64_t y) {
    double sum = 0;
    if (a->unit == 0) return NAN;
    for (size_t p = 0; p < o->polygon_count; p++)
        for (size_t r = o->polygons[p]; r < o->polygons[p + 1]; r++)
            sum += (r == o->polygons[p] ? 1 : -1) * ring_area(a, o, &o->rings[r], x, y, r > o->polygons[p]);
    return sum;
}
