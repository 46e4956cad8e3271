/* Prompts are cheap beside the encoder: an object is asked about in several ways, and of all masks that come back the
 * picture decides, not the model's own guess of its quality, which does not know what the object looked like. */
#include "host/io/ask.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/base/status.h"

enum { BATCH = 64 /* prompts at a time, which bounds the memory for logits */ };

static samc_status no_memory(samc_error *error) {
    return samc__fail(error, SAMC_OUT_OF_MEMORY, "no memory for masks of a slice");
}

/* ---- Grey values ----------------------------------------------------------------------------- */

static const uint8_t *find_grey(const samc__asker *a, int slice) {
    for (int i = 0; i < SAMC__ASK_GREYS; i++)
        if (a->greys[i].pixels != NULL && a->greys[i].slice == slice) return a->greys[i].pixels;
    return NULL;
}

samc_status samc__ask_keep_grey(samc__asker *a, int slice, const samc_image *image, samc_error *error) {
    if (image->width != a->frame.width || image->height != a->frame.height)
        return samc__fail(error, SAMC_MISMATCH, "%s: slice %d is %d x %d, not %d x %d", a->slices->name, slice,
                          image->width, image->height, a->frame.width, a->frame.height);
    if (find_grey(a, slice) != NULL) return SAMC_OK;
    struct samc__grey *to = a->greys + a->next_grey;
    a->next_grey = (a->next_grey + 1) % SAMC__ASK_GREYS;
    size_t width = (size_t)image->width, height = (size_t)image->height;
    if (to->pixels == NULL) to->pixels = malloc(width * height);
    if (to->pixels == NULL) return no_memory(error);
    to->slice = slice;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            const uint8_t *rgb = image->pixels + (ptrdiff_t)y * image->row_bytes + 3 * x;
            to->pixels[y * width + x] = (uint8_t)((rgb[0] + rgb[1] + rgb[2]) / 3);
        }
    return SAMC_OK;
}

samc_status samc__ask_grey(samc__asker *a, int slice, const uint8_t **grey, samc_error *error) {
    samc_image image = SAMC_INIT(samc_image);
    if ((*grey = find_grey(a, slice)) != NULL) return SAMC_OK;
    SAMC__TRY(a->slices->read(a->slices->context, slice, &image, error));
    samc_status status = samc__ask_keep_grey(a, slice, &image, error);
    samc_image_free(&image);
    *grey = find_grey(a, slice);
    return status;
}

void samc__ask_end(samc__asker *a) {
    for (int i = 0; i < SAMC__ASK_GREYS; i++) free(a->greys[i].pixels);
    free(a->logits);
    memset(a->greys, 0, sizeof a->greys);
    a->logits = NULL;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* A question on its way. */
typedef struct asked {
    samc__question *question;
    samc__carried carried;
    int around[4];  /* where it is looked for */
    bool continues; /* the answer so far has the least IoU */
} asked;

static bool is_ambiguous(const samc__question *q) { return !q->given->boxed && q->given->point_count == 1; }

static samc_status take_mask(samc__asker *a, samc_result *result, int prompt, int index, samc_rle *rle, float *iou,
                             samc_error *error) {
    samc_mask mask = SAMC_INIT(samc_mask);
    SAMC__TRY(samc_session_check(a->session, samc_result_mask(a->session, result, prompt, index, &mask),
                                 a->slices->name, error));
    *rle = (samc_rle){sizeof *rle, mask.width, mask.height, mask.count_length, NULL};
    rle->counts = malloc(mask.count_length * sizeof *rle->counts);
    if (rle->counts == NULL) return no_memory(error);
    *iou = mask.predicted_iou;
    samc_status status = samc_mask_counts(&mask, rle->counts, error);
    if (status != SAMC_OK) free(rle->counts);
    return status;
}

/* A mask comes before the answer so far where it goes on from the slice before and that does not, and else where more
 * speaks for it. */
static bool is_better(const asked *to, bool continues, const samc__match *match) {
    if (to->question->answer.counts == NULL) return true;
    return continues != to->continues ? continues : match->evidence > to->question->match.evidence;
}

/* The masks of one prompt, and the question's answer so far: the best stays. Of what is annotated the one that the
 * model trusts most. */
static samc_status choose(samc__asker *a, samc_result *result, int prompt, asked *to, const uint8_t *grey,
                          samc_error *error) {
    samc__question *q = to->question;
    const int masks = samc_result_masks(result), best = samc_result_best(result, prompt);
    for (int m = 0; m < masks; m++) {
        samc_rle mask;
        samc__match match = {0};
        float iou = 0.0f;
        if (q->given != NULL && m != best) continue;
        SAMC__TRY(take_mask(a, result, prompt, m, &mask, &iou, error));
        bool continues = q->given != NULL /* nothing goes on as nothing, whatever is asked for */
                         || (samc__mask_area(&mask) > 0 && samc__mask_iou(q->before, &mask) >= a->least_iou);
        if (q->given == NULL) match = samc__likeness_of(q->model, to->around, &mask, grey);
        if (!is_better(to, continues, &match)) {
            free(mask.counts);
            continue;
        }
        free(q->answer.counts);
        q->answer = mask;
        q->iou = iou;
        q->match = match;
        to->continues = continues;
    }
    return SAMC_OK;
}

/* Asks once for each of `list`, all with one mask or all with three. */
static samc_status predict(samc__asker *a, int slice, asked **list, int count, bool three, samc_error *error) {
    samc_prompt prompts[BATCH];
    samc_result *result = NULL;
    const uint8_t *grey;
    if (count == 0) return SAMC_OK;
    SAMC__TRY(samc__ask_grey(a, slice, &grey, error));
    for (int i = 0; i < count; i++) prompts[i] = list[i]->carried.prompt;
    samc_status status = samc_session_check(
        a->session, samc_predict(a->session, prompts, count, three && !a->single, &result), a->slices->name, error);
    for (int i = 0; status == SAMC_OK && i < count; i++) status = choose(a, result, i, list[i], grey, error);
    samc_result_free(result);
    return status;
}

static float *logits_of(samc__asker *a, int index) {
    size_t each = (size_t)a->frame.low_res * (size_t)a->frame.low_res;
    if (a->logits == NULL) a->logits = malloc(BATCH * each * sizeof *a->logits);
    return a->logits != NULL ? a->logits + (size_t)index * each : NULL;
}

/* Questions about what is annotated, with one mask each or with three. */
static samc_status ask_given(samc__asker *a, int slice, asked *batch, int count, bool three, samc_error *error) {
    asked *list[BATCH];
    int listed = 0;
    for (int i = 0; i < count; i++) {
        const samc__annotation *given = batch[i].question->given;
        if (given == NULL || is_ambiguous(batch[i].question) != three) continue;
        batch[i].carried.prompt = (samc_prompt){.size = sizeof(samc_prompt),
                                                .points = given->points,
                                                .labels = given->labels,
                                                .point_count = given->point_count,
                                                .box = given->boxed ? given->box : NULL};
        list[listed++] = batch + i;
    }
    return predict(a, slice, list, listed, three, error);
}

/* Questions that a mask asks: the one of the slice beside it with `carry`, or, carry 0, the answer so far by its box.
 */
static samc_status ask_carried(samc__asker *a, int slice, asked *batch, int count, unsigned carry, samc_error *error) {
    asked *list[BATCH];
    int listed = 0;
    for (int i = 0; i < count; i++) {
        samc__question *q = batch[i].question;
        float *logits = NULL;
        bool again = carry == 0;
        if (q->given != NULL || (again && (q->answer.counts == NULL || samc__mask_area(&q->answer) == 0))) continue;
        if (carry & SAMC_CARRY_MASK && (logits = logits_of(a, i)) == NULL) return no_memory(error);
        SAMC__TRY(samc__carry(again ? &q->answer : q->before, &a->frame, again ? SAMC_CARRY_BOX : carry,
                              again ? 0.0 : a->box_extension, logits, &batch[i].carried, error));
        list[listed++] = batch + i;
    }
    return predict(a, slice, list, listed, true, error);
}

static samc_status ask_batch(samc__asker *a, int slice, asked *batch, int count, samc_error *error) {
    for (int i = 0; i < count; i++)
        if (batch[i].question->given == NULL)
            SAMC__TRY(samc__likeness_around(batch[i].question->before, batch[i].around, error));
    SAMC__TRY(ask_given(a, slice, batch, count, false, error));
    SAMC__TRY(ask_given(a, slice, batch, count, true, error));
    for (int c = 0; c < SAMC__ASK_CARRIES; c++)
        if (a->carry[c] != 0) SAMC__TRY(ask_carried(a, slice, batch, count, a->carry[c], error));
    return a->twice ? ask_carried(a, slice, batch, count, 0, error) : SAMC_OK;
}

samc_status samc__ask(samc__asker *a, int slice, samc__question *questions, int count, samc_error *error) {
    asked *batch = malloc(BATCH * sizeof *batch); /* a prompt points into it: it stays where it is */
    samc_status status = batch ? SAMC_OK : no_memory(error);
    for (int i = 0; status == SAMC_OK && i < count;) {
        int here = 0;
        for (; i < count && here < BATCH; i++)
            if (questions[i].answer.counts == NULL) batch[here++] = (asked){.question = questions + i};
        status = ask_batch(a, slice, batch, here, error);
    }
    free(batch);
    return status;
}
