/* The default model follows organs of phantoms (phantom.h) from a box on one slice, and on two: Dice of each organ over
 * the whole volume, and that it is more than what the same box gives on each slice by itself. Nothing here says how
 * well it does on patients.
 *
 * The tables in docs/medical.md have what was measured. */
#include <string.h>

#include "tests/phantom_run.h"

#include <criterion/criterion.h>

static phantom_run run;

static void follow(unsigned ways) {
    samc_error error = {0};
    cr_assert_eq(phantom_run_follow(&run, SAMC_TEST_WEIGHTS "/samc-tiny.safetensors", ways, NULL, &error), SAMC_OK,
                 "%s", error.message);
}

static double dice(phantom_way way, int organ) { return phantom_run_dice(&run, way, organ, 0, PHANTOM_SLICES); }

/* Each organ, from one box and from two; *more: by how much one box is better than the slices alone, mean. */
static void expect_organs(double least, double *more) {
    *more = 0.0;
    for (int organ = 1; organ <= PHANTOM_ORGANS; organ++) {
        double one = dice(PHANTOM_ONE, organ), two = dice(PHANTOM_TWO, organ), alone = dice(PHANTOM_ALONE, organ);
        cr_log_info("%s: one %.4f, two %.4f, alone %.4f", phantom_names[organ], one, two, alone);
        cr_expect_geq(one, least, "%s: %.4f", phantom_names[organ], one);
        cr_expect_geq(two, least, "%s: %.4f", phantom_names[organ], two);
        cr_expect_gt(one, alone, "%s: %.4f, alone %.4f", phantom_names[organ], one, alone);
        *more += (one - alone) / PHANTOM_ORGANS;
    }
}

enum { WAYS = 1 << PHANTOM_ONE | 1 << PHANTOM_TWO | 1 << PHANTOM_ALONE };

Test(phantom, usual) {
    /* 20 is where the kidney's hilum begins to show, and 32 where the vessel divides: not the easiest. */
    static const phantom_marks marks[PHANTOM_ORGANS + 1] = {{0, 0, 0},  {20, 9, 32},  {20, 10, 32},
                                                            {6, 1, 12}, {18, 13, 22}, {20, 5, 32}};
    const phantom_kind usual = PHANTOM_USUAL;
    double more;
    phantom_run_make(&run, &usual);
    memcpy(run.marks, marks, sizeof marks);
    follow(WAYS);
    expect_organs(0.9, &more);
    cr_expect_geq(more, 0.05, "%g", more);
}

/* One that nothing was chosen by: another seed, 20 HU of noise and less contrast, where what goes by the slice before
 * leaves the organs (the liver's Dice was 0.63, the cyst's 0.72). */
Test(phantom, held_out) {
    double more;
    phantom_run_make(&run, phantom_kinds + 7);
    follow(WAYS);
    expect_organs(0.84, &more);
    cr_expect_geq(more, 0.05, "%g", more);
}
