/* Coordinate transforms; computed in double and rounded once, as the original does through NumPy. */
#include "runtime/model/frame.h"

#include <string.h>

/* ResizeLongestSide.get_preprocess_shape. */
static void fit(samc__resize resize, int side, const samc__frame *frame, int *width, int *height) {
    int longest = frame->width > frame->height ? frame->width : frame->height;
    double scale = side * 1.0 / longest;
    *width = resize == SAMC__RESIZE_SQUASH ? side : (int)(frame->width * scale + 0.5);
    *height = resize == SAMC__RESIZE_SQUASH ? side : (int)(frame->height * scale + 0.5);
    if (*width < 1) *width = 1;
    if (*height < 1) *height = 1;
}

samc__frame samc__frame_of(const samc__recipe *recipe, int width, int height) {
    samc__frame frame = {.width = width, .height = height};
    fit(recipe->resize, recipe->side, &frame, &frame.new_width, &frame.new_height);
    fit(recipe->resize, recipe->frame, &frame, &frame.prompt_width, &frame.prompt_height);
    return frame;
}

/* ResizeLongestSide.apply_coords. */
void samc__frame_point(const samc__frame *frame, const float in[2], float out[2]) {
    out[0] = (float)((double)in[0] * ((double)frame->prompt_width / frame->width));
    out[1] = (float)((double)in[1] * ((double)frame->prompt_height / frame->height));
}

samc__preprocess_args samc__frame_input(const samc__recipe *recipe, const samc__frame *frame) {
    samc__preprocess_args args = {
        .height = frame->height,
        .width = frame->width,
        .new_height = frame->new_height,
        .new_width = frame->new_width,
        .filter = recipe->filter,
        .range = recipe->range,
    };
    memcpy(args.mean, recipe->mean, sizeof args.mean);
    memcpy(args.std, recipe->std, sizeof args.std);
    return args;
}

samc__finish_masks_args samc__frame_masks(const samc__recipe *recipe, const samc__frame *frame) {
    return (samc__finish_masks_args){
        .path = recipe->masks,
        .img_size = recipe->frame,
        .new_height = frame->prompt_height,
        .new_width = frame->prompt_width,
        .height = frame->height,
        .width = frame->width,
        .threshold = recipe->threshold,
    };
}
