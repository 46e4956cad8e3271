/* Shapes are given in voxels by a signed distance, or nearly one; the value is mixed by how much of a blurred voxel
 * lies inside. Numbers without a library's randomness: the same everywhere but for the last place of a square root. */
#include "tests/phantom.h"

#include <math.h>
#include <string.h>

const char *const phantom_names[PHANTOM_ORGANS + 1] = {"", "liver", "kidney", "spleen", "cyst", "aorta"};

static unsigned other; /* of a phantom_kind: another phantom's randomness */
static float shape;    /* of a phantom_kind */

/* Half of them, even and odd ones, differ from the usual one in all that differs. */
const phantom_kind phantom_kinds[PHANTOM_KINDS] = {
    {14, 1, 1.0f, 0.0f, 1.0f},  {14, 2, 1.0f, 0.0f, 1.0f},  {20, 3, 1.0f, 0.0f, 1.0f},  {20, 4, 1.0f, 0.0f, 1.0f},
    {14, 5, 0.8f, 0.0f, 1.0f},  {14, 6, 0.8f, 0.0f, 1.0f},  {20, 7, 0.8f, 0.0f, 1.0f},  {20, 8, 0.8f, 0.0f, 1.0f},
    {14, 9, 1.0f, 1.0f, 1.0f},  {14, 10, 1.0f, 1.0f, 1.0f}, {14, 11, 1.0f, 0.5f, 1.6f}, {14, 12, 1.0f, 0.5f, 1.6f},
    {10, 13, 0.9f, 1.0f, 0.6f}, {10, 14, 0.9f, 1.0f, 0.6f}, {17, 15, 0.9f, 1.0f, 1.3f}, {17, 16, 0.9f, 1.0f, 1.3f},
    {20, 17, 0.9f, 1.0f, 0.8f}, {20, 18, 0.9f, 1.0f, 0.8f}, {12, 19, 0.7f, 1.0f, 1.0f}, {12, 20, 0.7f, 1.0f, 1.0f},
    {24, 21, 1.0f, 1.0f, 1.0f}, {24, 22, 1.0f, 1.0f, 1.0f}, {20, 23, 0.8f, 1.0f, 1.5f}, {20, 24, 0.8f, 1.0f, 1.5f},
};

/* -1 to 1, nearly even, by a place and a seed. */
static float hash(int x, int y, int z, unsigned seed) {
    seed += other;
    uint32_t h = (uint32_t)x * 0x8da6b343u ^ (uint32_t)y * 0xd8163841u ^ (uint32_t)z * 0xcb1ab31fu ^ seed * 0x9e3779b9u;
    h ^= h >> 16, h *= 0x7feb352du, h ^= h >> 15, h *= 0x846ca68bu, h ^= h >> 16;
    return (float)(h >> 8) * (2.0f / 16777216.0f) - 1.0f;
}

/* Smooth texture of a grain size in voxels. */
static float texture(float x, float y, float z, float grain, unsigned seed) {
    float at[3] = {x / grain, y / grain, z * 2.5f / grain}, sum = 0.0f;
    int base[3];
    for (int d = 0; d < 3; d++) base[d] = (int)floorf(at[d]), at[d] -= (float)base[d];
    for (int c = 0; c < 8; c++) {
        float weight = (c & 1 ? at[0] : 1 - at[0]) * (c & 2 ? at[1] : 1 - at[1]) * (c & 4 ? at[2] : 1 - at[2]);
        sum += weight * hash(base[0] + (c & 1), base[1] + (c >> 1 & 1), base[2] + (c >> 2), seed);
    }
    return sum;
}

/* Distance beyond an ellipsoid's surface, by its radii; negative inside. */
static float ellipsoid(float x, float y, float z, const float c[3], const float r[3]) {
    float dx = (x - c[0]) / r[0], dy = (y - c[1]) / r[1], dz = (z - c[2]) / r[2];
    float q = sqrtf(dx * dx + dy * dy + dz * dz), least = r[0] < r[1] ? r[0] : r[1];
    return (q - 1.0f) * least;
}

/* An organ of another shape: where it would be if it were the usual one. What a distance is times is left out. */
static void reshape(int organ, const float c[3], float *x, float *y, float *z) {
    if (shape == 0.0f) return;
    float *at[3] = {x, y, z};
    for (int d = 0; d < 3; d++) {
        float wide = 1.0f + 0.25f * shape * hash(organ, d, 1, 17), moved = 4.0f * shape * hash(organ, d, 2, 17);
        *at[d] = c[d] + (*at[d] - c[d] - moved) / wide;
    }
}

static float least(float a, float b) { return a < b ? a : b; }
static float most(float a, float b) { return a > b ? a : b; }

static float disc(float x, float y, float cx, float cy, float radius) {
    return sqrtf((x - cx) * (x - cx) + (y - cy) * (y - cy)) - radius;
}

/* Two lobes, and an edge that is not smooth. */
static float liver(float x, float y, float z) {
    reshape(PHANTOM_LIVER, (const float[3]){54, 72, 20}, &x, &y, &z);
    float right = ellipsoid(x, y, z, (const float[3]){54, 72, 20}, (const float[3]){28, 34, 17});
    float left = ellipsoid(x, y, z, (const float[3]){82, 58, 17}, (const float[3]){24, 15, 11});
    return least(right, left) + 1.2f * texture(x, y, z, 14.0f, 5);
}

/* A bean: an ellipsoid without another one. */
static float kidney(float x, float y, float z) {
    reshape(PHANTOM_KIDNEY, (const float[3]){111, 98, 21}, &x, &y, &z);
    float whole = ellipsoid(x, y, z, (const float[3]){106 + 0.25f * z, 98, 21}, (const float[3]){13, 17, 16});
    float hilum = ellipsoid(x, y, z, (const float[3]){94 + 0.25f * z, 95, 21}, (const float[3]){7, 7, 7});
    return most(whole, -hilum);
}

static float spleen(float x, float y, float z) {
    reshape(PHANTOM_SPLEEN, (const float[3]){123, 70, 5}, &x, &y, &z);
    return ellipsoid(x, y, z, (const float[3]){123, 70, 5}, (const float[3]){11, 20, 12}) +
           0.8f * texture(x, y, z, 11.0f, 7);
}

static float cyst(float x, float y, float z) {
    reshape(PHANTOM_CYST, (const float[3]){52, 74, 18}, &x, &y, &z);
    return ellipsoid(x, y, z, (const float[3]){52, 74, 18}, (const float[3]){14, 14, 7});
}

/* One tube, that wanders a little; from slice 32 on two, that part. */
static float aorta(float x, float y, float z) {
    reshape(PHANTOM_AORTA, (const float[3]){78, 100, 20}, &x, &y, &z);
    float apart = most(z - 32.0f, 0.0f) * 0.9f, cx = 78.0f + 2.0f * sinf(z * 0.2f), cy = 103.0f - 0.15f * z;
    float radius = apart > 0.0f ? 5.6f : 7.5f;
    return least(disc(x, y, cx - apart, cy, radius), disc(x, y, cx + apart, cy, radius));
}

static float spine(float x, float y, float z) {
    float body = disc(x, y, 78, 127, 11.0f + 0.8f * sinf(z * 1.3f));
    return least(body, ellipsoid(x, y, z, (const float[3]){78, 141, 20}, (const float[3]){4, 7, 60}));
}

/* How much of a blurred voxel is inside. */
static float inside(float distance) {
    return distance < -1.0f ? 1.0f : distance > 1.0f ? 0.0f : 0.5f - 0.5f * distance;
}

static float mix(float value, float other, float part) { return value + part * (other - value); }

static float value_at(float x, float y, float z) {
    float body = ellipsoid(x, y, 0, (const float[3]){78, 84, 0}, (const float[3]){72, 62, 1});
    float fine = texture(x, y, z, 3.0f, 1), coarse = texture(x, y, z, 20.0f, 2);
    float v = mix(-1000.0f, -95.0f + 12.0f * fine, inside(body));
    v = mix(v, 48.0f + 14.0f * texture(x, y, z, 5.0f, 3), inside(body + 7.0f + 2.0f * coarse)); /* muscle */
    float cavity = ellipsoid(x, y, 0, (const float[3]){80, 82, 0}, (const float[3]){58, 46, 1});
    v = mix(v, -70.0f + 35.0f * texture(x, y, z, 8.0f, 4), inside(cavity + 2.0f * coarse)); /* fat and gut */
    float gut = ellipsoid(x, y, z, (const float[3]){84, 62, 34}, (const float[3]){20, 16, 9});
    v = mix(v, 20.0f + 25.0f * fine, inside(gut));
    v = mix(v, 118.0f + 12.0f * coarse + 9.0f * fine, inside(liver(x, y, z)));
    v = mix(v, 18.0f + 5.0f * fine, inside(cyst(x, y, z)));
    v = mix(v, 178.0f + 22.0f * texture(x, y, z, 6.0f, 6), inside(kidney(x, y, z)));
    v = mix(v, 132.0f + 10.0f * fine, inside(spleen(x, y, z)));
    v = mix(v, 205.0f + 8.0f * fine, inside(aorta(x, y, z)));
    return mix(v, 420.0f + 120.0f * texture(x, y, z, 4.0f, 8), inside(spine(x, y, z)));
}

/* Later ones are in front, as in value_at(). */
static uint8_t label_at(float x, float y, float z) {
    if (spine(x, y, z) <= 0.0f) return 0;
    if (aorta(x, y, z) <= 0.0f) return PHANTOM_AORTA;
    if (spleen(x, y, z) <= 0.0f) return PHANTOM_SPLEEN;
    if (kidney(x, y, z) <= 0.0f) return PHANTOM_KIDNEY;
    if (cyst(x, y, z) <= 0.0f) return PHANTOM_CYST;
    return liver(x, y, z) <= 0.0f ? PHANTOM_LIVER : 0;
}

/* Sums of even numbers are nearly normal; neighbours share some, as reconstructed noise does. */
static float noise_at(int x, int y, int z) {
    float sum = 0.0f;
    for (int dy = -1; dy <= 1; dy++)
        for (int dx = -1; dx <= 1; dx++)
            sum += (dx == 0 && dy == 0 ? 2.0f : dx == 0 || dy == 0 ? 1.0f : 0.5f) * hash(x + dx, y + dy, z, 99);
    return sum * (1.7320508f / 3.0f); /* variance of an even number: 1/3; the weights' squares: 4 + 4 + 1 */
}

void phantom_make(float *values, uint8_t *labels, const phantom_kind *kind) {
    other = 1000 * kind->seed;
    shape = kind->shape;
    for (int z = 0; z < PHANTOM_SLICES; z++)
        for (int y = 0; y < PHANTOM_HEIGHT; y++)
            for (int x = 0; x < PHANTOM_WIDTH; x++) {
                int at = (z * PHANTOM_HEIGHT + y) * PHANTOM_WIDTH + x;
                float k = 20.0f + ((float)z - 20.0f) * kind->step, v = value_at((float)x, (float)y, k);
                if (kind->contrast != 1.0f && v > -200.0f) v = 48.0f + kind->contrast * (v - 48.0f);
                v += kind->noise * noise_at(x, y, z);
                values[at] = floorf((v < -1024.0f ? -1024.0f : v) + 0.5f);
                labels[at] = label_at((float)x, (float)y, k);
            }
}
