/* From the map to longitude and latitude. A ring's longitudes are followed from corner to corner, so that they go on
 * beyond 180 degrees, or around: then what it encloses is cut where a turn of the earth ends, and turned back. */
#include "host/io/geo_wgs84.h"

#include <math.h>
#include <stdlib.h>

/* Halvings of an edge at most; degrees that an edge goes around at most, as half a turn has two ways. */
enum { ROUNDS = 12, MOST_STEP = 90, QUARTERS = 4 };
/* Of a pixel: by how much an edge in degrees may be beside that on the map. And what is the pole, in degrees. */
static const double tolerance = 0.02, at_pole = 90 - 1e-9;

typedef struct samc__geo_point {
    double x, y, longitude, latitude;
    bool straight; /* the edge from here is, as far as need be */
} point;

typedef struct ring {
    const point *points; /* [count], the last one is not the first again */
    size_t count;
    double turn;                     /* degrees that longitudes go around in all: 0, or 360 of a ring around a pole */
    double west, east, south, north; /* what it covers */
} ring;

static void find_poles(samc__geo_wgs84 *w, OGRSpatialReferenceH map) {
    OGRCoordinateTransformationH back = w->degrees == 0 ? w->g->OCTNewCoordinateTransformation(w->crs, map) : NULL;
    for (int i = 0; i < 2; i++) {
        double x = 0, y = i == 0 ? 90 : -90;
        int ok = 0;
        if (back != NULL) w->g->OCTTransformEx(back, 1, &x, &y, NULL, &ok);
        w->poles[i][0] = ok ? x : INFINITY, w->poles[i][1] = ok ? y : INFINITY;
    }
    if (back != NULL) w->g->OCTDestroyCoordinateTransformation(back);
}

samc_status samc__geo_wgs84_begin(samc__geo_wgs84 *w, const samc_geo *geo, samc_error *error) {
    const samc__gdal *g = geo->g;
    const double *t = geo->info.transform;
    char *unit;
    *w = (samc__geo_wgs84){.g = g, .pixel = fmin(hypot(t[1], t[4]), hypot(t[2], t[5]))};
    OGRSpatialReferenceH from = g->OSRClone(g->GDALGetSpatialRef(geo->dataset));
    w->crs = g->OSRNewSpatialReference(NULL);
    if (from != NULL && w->crs != NULL && g->OSRImportFromEPSG(w->crs, 4326) == OGRERR_NONE) {
        g->OSRSetAxisMappingStrategy(w->crs, OAMS_TRADITIONAL_GIS_ORDER);
        g->OSRSetAxisMappingStrategy(from, OAMS_TRADITIONAL_GIS_ORDER);
        w->change = g->OCTNewCoordinateTransformation(from, w->crs);
        if (g->OSRIsGeographic(from) && !g->OSRIsDerivedGeographic(from))
            w->degrees = g->OSRGetAngularUnits(from, &unit) * 180 / M_PI;
    }
    if (w->change != NULL) find_poles(w, from);
    if (from != NULL) g->OSRRelease(from);
    if (w->change != NULL) return SAMC_OK;
    samc__geo_wgs84_end(w);
    return samc__gdal_fail(g, error, SAMC_UNSUPPORTED, geo->name, "its CRS cannot be brought to WGS 84");
}

void samc__geo_wgs84_end(samc__geo_wgs84 *w) {
    if (w->change != NULL) w->g->OCTDestroyCoordinateTransformation(w->change);
    if (w->crs != NULL) w->g->OSRRelease(w->crs);
    free(w->points);
    *w = (samc__geo_wgs84){0};
}

/* ---- Rings in degrees ------------------------------------------------------------------------ */

static bool to_degrees(const samc__geo_wgs84 *w, point *p) {
    int ok = 0;
    p->longitude = p->x, p->latitude = p->y;
    if (!w->g->OCTTransformEx(w->change, 1, &p->longitude, &p->latitude, NULL, &ok) || !ok) return false;
    if (!isfinite(p->longitude) || !isfinite(p->latitude)) return false;
    /* degrees go on beyond 180 where the map's do */
    if (w->degrees > 0) p->longitude = p->x * w->degrees + remainder(p->longitude - p->x * w->degrees, 360);
    return true;
}

/* From a to b, the shorter way around unless the map says which. */
static double step(const samc__geo_wgs84 *w, const point *a, const point *b) {
    const double way = b->longitude - a->longitude;
    return w->degrees > 0 ? way : remainder(way, 360);
}

/* Degrees to the east, less than a whole turn. */
static double turned(double degrees) { return degrees - 360 * floor(degrees / 360); }

/* Whether the edge is straight, given what is really in its middle. */
static bool is_straight(const samc__geo_wgs84 *w, const point *a, const point *b, const point *middle) {
    const double way = step(w, a, b), around = cos(middle->latitude * M_PI / 180);
    const double beside = remainder(middle->longitude - (a->longitude + way / 2), 360) * around,
                 above = middle->latitude - (a->latitude + b->latitude) / 2;
    const double length = hypot(way * around, b->latitude - a->latitude),
                 pixels = hypot(b->x - a->x, b->y - a->y) / w->pixel;
    return fabs(way) <= MOST_STEP && hypot(beside, above) * pixels <= tolerance * length;
}

static bool make_room(samc__geo_wgs84 *w, size_t count) {
    if (count <= w->room) return true;
    void *grown = realloc(w->points, (w->room = 2 * count) * sizeof *w->points);
    if (grown == NULL) return false;
    w->points = grown;
    return true;
}

/* Whether a pole lies on the edge from a to b, and it there. */
static bool find_pole(const samc__geo_wgs84 *w, const point *a, const point *b, point *found) {
    const double dx = b->x - a->x, dy = b->y - a->y, length = hypot(dx, dy), near = 1e-6 * w->pixel;
    for (int i = 0; i < 2; i++) {
        const double *p = w->poles[i], along = ((p[0] - a->x) * dx + (p[1] - a->y) * dy) / length,
                     beside = ((p[0] - a->x) * dy - (p[1] - a->y) * dx) / length;
        if (!(fabs(beside) < near && along > near && along < length - near)) continue;
        *found = (point){.x = p[0], .y = p[1], .latitude = i == 0 ? 90 : -90};
        return true;
    }
    return false;
}

/* Halves the edges that are not straight, all of them once, at a pole if it is on them; *done: there was none. */
static bool halve(samc__geo_wgs84 *w, size_t *count, bool *done) {
    const size_t had = *count;
    if (!make_room(w, 3 * had)) return false;
    point *p = w->points, *halved = p + 2 * had; /* the old ones are moved behind the room of the new ones */
    for (size_t i = had; i-- > 0;) halved[i] = p[i];
    size_t n = 0;
    *done = true;
    for (size_t i = 0; i < had; i++) {
        const point b = halved[(i + 1) % had];
        point *a = &p[n++];
        *a = halved[i];
        if (a->straight) continue;
        point middle = {.x = (a->x + b.x) / 2, .y = (a->y + b.y) / 2};
        if (!find_pole(w, a, &b, &middle)) {
            if (!to_degrees(w, &middle)) return false;
            a->straight = is_straight(w, a, &b, &middle);
            if (a->straight) continue;
        }
        p[n++] = middle;
        *done = false;
    }
    *count = n;
    return true;
}

static bool is_pole(const samc__geo_wgs84 *w, const point *p) { return w->degrees == 0 && fabs(p->latitude) > at_pole; }

/* Longitudes that go on from corner to corner; *turn: how far the last one is from the first. A corner at a pole has
 * all longitudes between those of its neighbours, on the side of what the ring encloses. */
static bool go_on(samc__geo_wgs84 *w, size_t *count, double *turn) {
    const size_t had = *count;
    size_t poles = 0, first = 0, n = 0;
    for (size_t i = 0; i < had; i++) poles += is_pole(w, &w->points[i]);
    while (first < had && is_pole(w, &w->points[first])) first++;
    if (first == had || !make_room(w, 2 * had + (QUARTERS + 1) * poles)) return false;
    point *p = w->points, *old = p + had + (QUARTERS + 1) * poles;
    for (size_t i = had; i-- > 0;) old[i] = p[i];
    for (size_t i = 0; i < had; i++) {
        const point *now = &old[(first + i) % had], *next = &old[(first + i + 1) % had];
        const double before = n > 0 ? p[n - 1].longitude : now->longitude;
        if (!is_pole(w, now)) {
            p[n] = *now;
            p[n].longitude = n > 0 ? before + step(w, &p[n - 1], now) : before;
            n++;
            continue;
        }
        const double way = now->latitude > 0 ? -turned(before - next->longitude) : turned(next->longitude - before);
        for (int k = 0; k <= QUARTERS; k++) {
            p[n] = *now;
            p[n++].longitude = before + way * k / QUARTERS;
        }
    }
    /* Binary fractions to which whole turns are added without rounding: a ring's two ends meet. 1e-10 degrees. */
    for (size_t i = 0; i < n; i++) p[i].longitude = rint(p[i].longitude * 0x1p32) * 0x1p-32;
    *turn = rint((p[n - 1].longitude + step(w, &p[n - 1], &p[0]) - p[0].longitude) / 360) * 360;
    *count = n;
    return true;
}

/* A ring of the map as one in degrees, in w->points, what it encloses on its left. */
static bool follow(samc__geo_wgs84 *w, OGRGeometryH from, ring *r) {
    const samc__gdal *g = w->g;
    const int corners = g->OGR_G_GetPointCount(from) - 1;
    bool done = false;
    double area = 0;
    if (corners < 3 || !make_room(w, (size_t)corners)) return false;
    for (int i = 0; i < corners; i++)
        area +=
            (g->OGR_G_GetX(from, i) - g->OGR_G_GetX(from, 0)) * (g->OGR_G_GetY(from, i + 1) - g->OGR_G_GetY(from, 0)) -
            (g->OGR_G_GetX(from, i + 1) - g->OGR_G_GetX(from, 0)) * (g->OGR_G_GetY(from, i) - g->OGR_G_GetY(from, 0));
    for (int i = 0; i < corners; i++) {
        const int at = area > 0 ? i : corners - i;
        w->points[i] = (point){.x = g->OGR_G_GetX(from, at), .y = g->OGR_G_GetY(from, at)};
        if (!to_degrees(w, &w->points[i])) return false;
    }
    size_t count = (size_t)corners;
    for (int i = 0; i < ROUNDS && !done; i++)
        if (!halve(w, &count, &done)) return false;
    double turn;
    if (!go_on(w, &count, &turn)) return false;
    const point *p = w->points;
    *r = (ring){p, count, turn, INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (size_t i = 0; i < count; i++) {
        r->west = fmin(r->west, p[i].longitude), r->east = fmax(r->east, p[i].longitude);
        r->south = fmin(r->south, p[i].latitude), r->north = fmax(r->north, p[i].latitude);
    }
    return true;
}

/* ---- Polygons -------------------------------------------------------------------------------- */

static void add_point(const samc__gdal *g, OGRGeometryH ring, double longitude, double latitude) {
    g->OGR_G_AddPoint_2D(ring, longitude, latitude);
}

/* The ring, turned by `turn` degrees; of one around a pole with the way there and back. */
static OGRGeometryH make_ring(const samc__geo_wgs84 *w, const ring *r, double turn) {
    const samc__gdal *g = w->g;
    OGRGeometryH made = g->OGR_G_CreateGeometry(wkbLinearRing);
    const double first = r->points[0].longitude + turn, last = first + r->turn, pole = r->turn > 0 ? 90 : -90;
    for (size_t i = 0; i < r->count; i++) add_point(g, made, r->points[i].longitude + turn, r->points[i].latitude);
    if (r->turn != 0) {
        add_point(g, made, last, r->points[0].latitude);
        for (int i = 0; i <= QUARTERS; i++) add_point(g, made, last - r->turn * i / QUARTERS, pole);
    }
    add_point(g, made, first, r->points[0].latitude);
    return made;
}

/* How the ring is turned to be within 180 degrees; NAN: it is not so. */
static double fitting_turn(const ring *r) {
    const double turn = -360 * rint((r->west + r->east) / 720);
    return r->turn == 0 && r->west + turn >= -180 && r->east + turn <= 180 && r->south >= -90 && r->north <= 90 ? turn
                                                                                                                : NAN;
}

/* Takes both; NULL of either is NULL. */
static OGRGeometryH combine(const samc__geo_wgs84 *w, OGRGeometryH a, OGRGeometryH b,
                            OGRGeometryH (*how)(OGRGeometryH, OGRGeometryH)) {
    OGRGeometryH made = a != NULL && b != NULL ? how(a, b) : NULL;
    if (a != NULL) w->g->OGR_G_DestroyGeometry(a);
    if (b != NULL) w->g->OGR_G_DestroyGeometry(b);
    return made;
}

/* A turn of the earth, whose edges have a corner at each quarter: half a turn has two ways. */
static OGRGeometryH make_earth(const samc__gdal *g) {
    OGRGeometryH earth = g->OGR_G_CreateGeometry(wkbPolygon), edge = g->OGR_G_CreateGeometry(wkbLinearRing);
    for (int i = 0; i <= QUARTERS; i++) add_point(g, edge, -180 + 90 * i, -90);
    for (int i = QUARTERS; i >= 0; i--) add_point(g, edge, -180 + 90 * i, 90);
    add_point(g, edge, -180, -90);
    g->OGR_G_AddGeometryDirectly(earth, edge);
    return earth;
}

/* What the ring encloses, cut at the antimeridian. */
static OGRGeometryH cut_ring(const samc__geo_wgs84 *w, const ring *r) {
    const samc__gdal *g = w->g;
    const double west = fmin(r->west, r->points[0].longitude + r->turn),
                 east = fmax(r->east, r->points[0].longitude + r->turn);
    OGRGeometryH all = g->OGR_G_CreateGeometry(wkbMultiPolygon);
    for (double turn = -360 * floor((east + 180) / 360); all != NULL && west + turn < 180; turn += 360) {
        OGRGeometryH turned = g->OGR_G_CreateGeometry(wkbPolygon);
        g->OGR_G_AddGeometryDirectly(turned, make_ring(w, r, turn));
        all = combine(w, all, combine(w, turned, make_earth(g), g->OGR_G_Intersection), g->OGR_G_Union);
    }
    return all;
}

/* Moves the polygons among parts of whatever kind to `all`: cuts leave lines where they touch. */
static void collect(const samc__geo_wgs84 *w, OGRGeometryH from, OGRGeometryH all) {
    const samc__gdal *g = w->g;
    const OGRwkbGeometryType type = g->OGR_G_GetGeometryType(from);
    if (type == wkbPolygon && !g->OGR_G_IsEmpty(from)) g->OGR_G_AddGeometryDirectly(all, g->OGR_G_Clone(from));
    for (int i = 0; (type == wkbMultiPolygon || type == wkbGeometryCollection) && i < g->OGR_G_GetGeometryCount(from);
         i++)
        collect(w, g->OGR_G_GetGeometryRef(from, i), all);
}

/* The polygon as one, where none of its rings is to be cut; *cut: one is. NULL: neither. */
static OGRGeometryH turn_polygon(samc__geo_wgs84 *w, OGRGeometryH polygon, bool *cut) {
    const samc__gdal *g = w->g;
    OGRGeometryH made = g->OGR_G_CreateGeometry(wkbPolygon);
    bool ok = true;
    double outer = 0;
    *cut = false;
    for (int i = 0; ok && i < g->OGR_G_GetGeometryCount(polygon); i++) {
        ring r;
        ok = follow(w, g->OGR_G_GetGeometryRef(polygon, i), &r);
        if (!ok) break;
        if (i == 0) outer = fitting_turn(&r);
        /* holes are where the outer ring is, which has no longitudes of another turn */
        const double turn = fitting_turn(&r);
        *cut = isnan(outer) || isnan(turn);
        ok = !*cut;
        if (ok) g->OGR_G_AddGeometryDirectly(made, make_ring(w, &r, turn));
    }
    if (ok) return made;
    g->OGR_G_DestroyGeometry(made);
    return NULL;
}

static OGRGeometryH cut_polygon(samc__geo_wgs84 *w, OGRGeometryH polygon) {
    const samc__gdal *g = w->g;
    OGRGeometryH made = NULL;
    for (int i = 0; i < g->OGR_G_GetGeometryCount(polygon) && (i == 0 || made != NULL); i++) {
        ring r;
        OGRGeometryH part = follow(w, g->OGR_G_GetGeometryRef(polygon, i), &r) ? cut_ring(w, &r) : NULL;
        made = i == 0 ? part : combine(w, made, part, g->OGR_G_Difference);
    }
    return made;
}

static bool add_polygon(samc__geo_wgs84 *w, OGRGeometryH polygon, OGRGeometryH all) {
    const samc__gdal *g = w->g;
    bool cut;
    OGRGeometryH made = turn_polygon(w, polygon, &cut);
    if (made == NULL && cut) made = cut_polygon(w, polygon);
    if (made == NULL) return false;
    collect(w, made, all);
    g->OGR_G_DestroyGeometry(made);
    return true;
}

OGRGeometryH samc__geo_wgs84_of(samc__geo_wgs84 *w, OGRGeometryH geometry) {
    const samc__gdal *g = w->g;
    OGRGeometryH all = g->OGR_G_CreateGeometry(wkbMultiPolygon);
    const bool many = g->OGR_G_GetGeometryType(geometry) == wkbMultiPolygon;
    bool ok = true;
    for (int i = 0; ok && i < (many ? g->OGR_G_GetGeometryCount(geometry) : 1); i++)
        ok = add_polygon(w, many ? g->OGR_G_GetGeometryRef(geometry, i) : geometry, all);
    if (ok && !g->OGR_G_IsEmpty(all)) return all;
    g->OGR_G_DestroyGeometry(all);
    return NULL;
}
