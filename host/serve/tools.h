/* What labelling tools have in common: an image that comes with the question, prompts in their own words, the best mask
 * as the answer. */
#ifndef SAMC_HOST_SERVE_TOOLS_H
#define SAMC_HOST_SERVE_TOOLS_H

#include "host/serve/search.h"

typedef void (*samc__give)(samc__request *request, samc_session *session, samc_result *result, int prompt);
typedef void (*samc__found)(samc__request *request, const samc_mask *masks, int count);

/* Decodes and encodes the image, which `key` of the request is, then asks request->question; `give` makes the reply. */
void samc__tool_begin(samc__request *request, const json_t *image, const char *key, samc__give give);
/* The same for request->search. */
void samc__tool_look(samc__request *request, const json_t *image, const char *key, samc__found found);

/* An empty question; NULL and the reply given. */
samc__question *samc__tool_question(samc__request *request);
bool samc__tool_number(const json_t *list, size_t i, float *value);
bool samc__tool_point(samc__question *question, const json_t *point, int32_t label);
/* From two corners, in any order. */
void samc__tool_box(samc__question *question, const float corners[4]);
/* As SAM advises: of one point the best of three masks, of more the one. False and the reply given: nothing is asked.
 */
bool samc__tool_settle(samc__request *request);

/* The best mask of an answer; false and the reply given. */
bool samc__tool_best(samc__request *request, samc_session *session, samc_result *result, int prompt, samc_mask *mask);
/* Its outline as a list of [x, y], each times the factor; empty where there is no area. Corners may move by a share of
 * the outline's length, for which the box's stands. NULL with *error set. */
json_t *samc__tool_outline(const samc_mask *mask, double share, double times_x, double times_y, samc_error *error);
/* The mask within its box, both ends included, as an 8-bit PNG in base 64, to be freed; NULL with *error set or no
 * memory. */
char *samc__tool_cropped_png(const samc_mask *mask, samc_error *error);

#endif
