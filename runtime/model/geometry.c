/* Coordinate transforms; computed in double and rounded once, as the original does through NumPy. */
#include "runtime/model/geometry.h"

samc__geometry samc__geometry_of(int img_size, int width, int height) {
    double scale = img_size * 1.0 / (width > height ? width : height);
    samc__geometry g = {img_size, width, height, (int)(width * scale + 0.5), (int)(height * scale + 0.5)};
    if (g.new_width < 1) g.new_width = 1;
    if (g.new_height < 1) g.new_height = 1;
    return g;
}

void samc__geometry_apply(const samc__geometry *g, const float in[2], float out[2]) {
    out[0] = (float)((double)in[0] * ((double)g->new_width / g->width));
    out[1] = (float)((double)in[1] * ((double)g->new_height / g->height));
}
