/* phantom_eval WEIGHTS [KIND...]: how well organs of phantoms are followed. Without kinds those to tune on (even);
 * "held" stands for those that are held out (odd). A line for each organ: Dice over the volume from one box (of it the
 * slices above and below), from two (of it what lies between), of the one box on each slice, and of the organ's own box
 * on each; the slices where the organ is, those that one box found; and the first slices, below and above the
 * annotated one, whose Dice is below 0.5: where the chain left it, or it ended too early or too late. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/phantom_run.h"

enum { N = PHANTOM_SLICES, MOST = 64 };

static phantom_run run;
static double sums[PHANTOM_WAYS][MOST * PHANTOM_ORGANS];
static int count;

static int leaves(int organ, int step) {
    for (int z = run.marks[organ].one; z >= 0 && z < N; z += step)
        if (phantom_run_dice(&run, PHANTOM_ONE, organ, z, z + 1) < 0.5) return z;
    return -1;
}

static void show(int kind) {
    for (int organ = 1; organ <= PHANTOM_ORGANS; organ++, count++) {
        const phantom_marks *m = run.marks + organ;
        double all[PHANTOM_WAYS];
        int first, last, from, to;
        for (int way = 0; way < PHANTOM_WAYS; way++)
            sums[way][count] = all[way] = phantom_run_dice(&run, way, organ, 0, N);
        phantom_run_extent(run.truth, organ, &first, &last);
        phantom_run_extent(run.found[PHANTOM_ONE], organ, &from, &to);
        printf("%2d %-6s  one %.3f (below %.3f above %.3f)  two %.3f (between %.3f)  alone %.3f  own boxes %.3f  "
               "is %d-%d found %d-%d at %d left %d %d\n",
               kind, phantom_names[organ], all[PHANTOM_ONE], phantom_run_dice(&run, PHANTOM_ONE, organ, 0, m->one),
               phantom_run_dice(&run, PHANTOM_ONE, organ, m->one + 1, N), all[PHANTOM_TWO],
               phantom_run_dice(&run, PHANTOM_TWO, organ, m->low + 1, m->high), all[PHANTOM_ALONE], all[PHANTOM_ORACLE],
               first, last, from, to, m->one, leaves(organ, -1), leaves(organ, 1));
    }
    fflush(stdout);
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Means and medians, of all and of organs that one box on each slice finds. */
static void summary(void) {
    static const char *const names[PHANTOM_WAYS] = {"one", "two", "alone", "own boxes"};
    static double part[MOST * PHANTOM_ORGANS];
    for (int easy = 0; easy < 2; easy++)
        for (int way = 0; way < PHANTOM_WAYS; way++) {
            int n = 0;
            double sum = 0.0;
            for (int i = 0; i < count; i++)
                if (!easy || sums[PHANTOM_ALONE][i] >= 0.9) sum += part[n++] = sums[way][i];
            if (n == 0) continue;
            qsort(part, (size_t)n, sizeof *part, compare);
            printf("%s, %d: %-9s mean %.4f median %.4f least %.4f\n", easy ? "alone at least 0.9" : "all", n,
                   names[way], sum / n, (part[n / 2] + part[(n - 1) / 2]) / 2, part[0]);
        }
}

int main(int argc, char **argv) {
    int kinds[MOST], chosen = 0;
    if (argc < 2) return 2;
    for (int i = 2; i < argc && chosen < MOST; i++)
        if (strcmp(argv[i], "held") != 0) kinds[chosen++] = atoi(argv[i]);
    if (chosen == 0)
        for (int i = argc > 2; i < PHANTOM_KINDS; i += 2) kinds[chosen++] = i;
    for (int i = 0; i < chosen; i++) {
        samc_error error = {0};
        const phantom_kind usual = PHANTOM_USUAL;
        phantom_run_make(&run, kinds[i] < 0 ? &usual : phantom_kinds + kinds[i]);
        if (phantom_run_follow(&run, argv[1], (1 << PHANTOM_WAYS) - 1, NULL, &error) != SAMC_OK) {
            fprintf(stderr, "phantom_eval: %s\n", error.message);
            return 1;
        }
        show(kinds[i]);
    }
    summary();
    return 0;
}
