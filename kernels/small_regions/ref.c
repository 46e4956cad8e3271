/* small_regions, reference: connected components by union-find over runs of pixels, row by row, on the whole image. */
#include "kernels/ops.h"
#include "kernels/small_regions/small_regions.h"

samc_status samc__small_regions_check(const samc__small_regions_args *a, samc_error *error) {
    SAMC__REQUIRE(error, "small_regions", a->bits != NULL && a->masks > 0 && a->height > 0 && a->width > 0);
    SAMC__REQUIRE(error, "small_regions", (int64_t)a->height * a->width < INT32_MAX && a->changed != NULL);
    return SAMC_OK;
}

double samc__small_regions_flops(const samc__small_regions_args *a) {
    (void)a;
    return 0.0;
}

typedef struct run { /* pixels x0 <= x < x1 of row y, all set or all clear */
    int32_t y, x0, x1;
    int32_t parent; /* union-find; the root of a component is its first run */
    int32_t area;   /* of the whole component, in its root */
} run;

static bool pixel(const uint64_t *row, int x) { return row[x / 64] >> (x % 64) & 1; }

/* First x >= `x` whose pixel differs from `value`, at most `width`; skips whole words. */
static int run_end(const uint64_t *row, int x, int width, bool value) {
    while (x < width) {
        uint64_t differs = (value ? ~row[x / 64] : row[x / 64]) >> (x % 64);
        if (differs) {
            int end = x + __builtin_ctzll(differs);
            return end < width ? end : width;
        }
        x = (x / 64 + 1) * 64;
    }
    return width;
}

static int64_t count_runs(const uint64_t *mask, int64_t words, int height, int width, bool value) {
    int64_t runs = 0;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width;) {
            const uint64_t *row = mask + y * words;
            bool set = pixel(row, x);
            runs += set == value;
            x = run_end(row, x, width, set);
        }
    return runs;
}

static int32_t find(run *runs, int32_t i) {
    while (runs[i].parent != i) i = runs[i].parent = runs[runs[i].parent].parent;
    return i;
}

/* Lists the runs of `value` and joins those that touch, corners included, to the row above. */
static int32_t label(const uint64_t *mask, int64_t words, int height, int width, bool value, run *runs) {
    int32_t count = 0, above = 0, row_start = 0;
    for (int y = 0; y < height; y++) {
        const uint64_t *row = mask + y * words;
        int32_t above_end = row_start = count;
        for (int x = 0; x < width;) {
            bool set = pixel(row, x);
            int end = run_end(row, x, width, set);
            if (set == value) {
                runs[count] = (run){y, x, end, count, end - x};
                while (above < above_end && runs[above].x1 < x) above++; /* ends left of the corner */
                for (int32_t i = above; i < above_end && runs[i].x0 <= end; i++) {
                    int32_t a = find(runs, i), b = find(runs, count);
                    if (a == b) continue;
                    int32_t root = a < b ? a : b, other = a < b ? b : a;
                    runs[other].parent = root;
                    runs[root].area += runs[other].area;
                }
                count++;
            }
            x = end;
        }
        above = row_start;
    }
    return count;
}

static void flip(uint64_t *mask, int64_t words, const run *r) {
    for (int x = r->x0; x < r->x1; x++) mask[r->y * words + x / 64] ^= UINT64_C(1) << (x % 64);
}

/* Removes the components of `value` below min_area. keep_largest: unless all are, then the largest stays (the first of
 * equals, which is where cv2 numbers the lowest label). Returns whether anything changed, or -1 without memory. */
static int remove_small(const samc__exec *exec, const samc__small_regions_args *a, uint64_t *mask, bool value) {
    int64_t words = (a->width + 63) / 64, capacity = count_runs(mask, words, a->height, a->width, value);
    if (capacity == 0) return 0;
    run *runs = exec->allocate(exec->memory, (size_t)capacity * sizeof *runs);
    if (runs == NULL) return -1;
    int32_t count = label(mask, words, a->height, a->width, value, runs), largest = -1, small = 0, big = 0;
    for (int32_t i = 0; i < count; i++) {
        if (runs[i].parent != i) continue;
        if (runs[i].area < a->min_area) small++;
        else big++;
        if (largest < 0 || runs[i].area > runs[largest].area) largest = i;
    }
    bool spare = value && big == 0; /* an island always remains; a hole need not */
    for (int32_t i = 0; i < count && small > 0; i++) {
        int32_t root = find(runs, i);
        if (runs[root].area < a->min_area && !(spare && root == largest)) flip(mask, words, &runs[i]);
    }
    exec->release(exec->memory, runs);
    return small > 0;
}

samc_status samc__small_regions_ref(const samc__exec *exec, const samc__small_regions_args *a) {
    int64_t size = (int64_t)a->height * ((a->width + 63) / 64);
    for (int64_t i = 0; i < a->masks; i++) {
        int holes = remove_small(exec, a, a->bits + i * size, false);
        int islands = holes < 0 ? -1 : remove_small(exec, a, a->bits + i * size, true);
        if (islands < 0) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory to find small regions");
        a->changed[i] = holes > 0 || islands > 0;
    }
    return SAMC_OK;
}
