/* Stretching tables of positions. */
#include "runtime/model/cubic.h"

#include <math.h>

/* The weights of the four samples about a place `t` behind the second. */
static void cubic(double t, double weight[4]) {
    const double a = -0.75;
    const double x[4] = {t + 1, t, 1 - t, 2 - t};
    for (int i = 0; i < 4; i++)
        weight[i] = i == 1 || i == 2 ? ((a + 2) * x[i] - (a + 3)) * x[i] * x[i] + 1
                                     : ((a * x[i] - 5 * a) * x[i] + 8 * a) * x[i] - 4 * a;
}

void samc__stretch_cubic(const samc__cubic_map *from, int64_t channels, int out, float *to) {
    const int in = from->side;
    for (int64_t cell = 0; cell < (int64_t)out * out; cell++, to += channels) {
        double place[2] = {(double)in / out * ((double)(cell / out) + 0.5) - 0.5,
                           (double)in / out * ((double)(cell % out) + 0.5) - 0.5},
               weight[2][4], product[16];
        const float *sample[16];
        for (int axis = 0; axis < 2; axis++) cubic(place[axis] - floor(place[axis]), weight[axis]);
        for (int i = 0; i < 16; i++) {
            int y = (int)floor(place[0]) - 1 + i / 4, x = (int)floor(place[1]) - 1 + i % 4;
            y = y < 0 ? 0 : y >= in ? in - 1 : y, x = x < 0 ? 0 : x >= in ? in - 1 : x;
            product[i] = weight[0][i / 4] * weight[1][i % 4];
            sample[i] = from->values + ((int64_t)y * in + x) * from->cell;
        }
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0;
            for (int i = 0; i < 16; i++) sum += product[i] * (double)sample[i][c * from->channel];
            to[c] = (float)sum;
        }
    }
}
