/* What phrases name in a picture: in a stage of its own, with what the detector made of the picture kept beside its
 * embedding and the features of phrases kept by their text. */
#ifndef SAMC_HOST_SERVE_SEARCH_H
#define SAMC_HOST_SERVE_SEARCH_H

#include "host/serve/question.h"

enum { SAMC__SEARCH_PHRASES = 256, SAMC__SEARCH_LENGTH = 1000 }; /* of a request; bytes of one */

/* What is looked for. Freed whole, by free(). */
struct samc__search {
    samc_text_options options;
    samc__shape shape;
    float fineness; /* as a question's */
    int count, room;
    char text[][SAMC__SEARCH_LENGTH + 1]; /* [room] */
};

/* Room for `count` phrases, with the default options, in request->search; NULL and the reply given: there is no
 * detector, or no memory. */
samc__search *samc__search_new(samc__request *request, int count);
/* Adds a phrase; false and the reply given: it is too long, or more than there is room for. */
bool samc__search_add(samc__request *request, const char *text, size_t length);
/* A list of strings; false and the reply given. `key` names it. */
bool samc__search_read(samc__request *request, const json_t *phrases, const char *key);

/* Looks for request->search in request->picture; request->found makes the reply. False: the reply is given. */
bool samc__search_submit(samc__request *request);

#endif
