/* Text as a prompt: phrases find boxes or heat maps in an image, which become masks, and labels are given to masks that
 * are there. A part of samc.h, which includes it; what holds there holds here.
 *
 *     samc_detector_open("owlv2/", NULL, &detector, &error);
 *     samc_phrases_create(detector, (const char *[]){"a red car", "a person"}, 2, NULL, &phrases, &error);
 *     samc_text(session, phrases, &image, 1, NULL, callback, context, &error);   // masks, each with label, score, box
 */
#ifndef SAMC_TEXT_H
#define SAMC_TEXT_H

#include "samc.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model that relates text and images, of the files that Hugging Face publishes: OWLv2 finds a box for each thing that
 * phrases name, CLIPSeg gives a heat map for each phrase, CLIP says which of several labels fits a mask best (so does
 * the CLIP inside CLIPSeg). Read-only once open; any number of threads. */
typedef struct samc_detector samc_detector;
typedef enum samc_detector_kind { SAMC_DETECTOR_BOXES, SAMC_DETECTOR_MAPS, SAMC_DETECTOR_LABELS } samc_detector_kind;

typedef struct samc_detector_info {
    size_t size;
    samc_detector_kind kind;
    bool labels;    /* samc_label_masks() takes its phrases */
    int image_size; /* side of the square that it sees, pixels */
    int map_side;   /* of a heat map; 0 where it makes none */
    int context;    /* tokens of a phrase, its beginning and end among them; what is more is cut */
    int64_t parameters;
    size_t weight_bytes; /* in memory */
    samc_backend backend;
    int threads;
    const char *name;         /* "OWLv2", "CLIPSeg", "CLIP"; these live as long as the detector */
    const char *dtype;        /* as stored */
    const char *backend_note; /* why it does not compute where that was asked for, or "" */
    const char *file_note;    /* what of the file was ignored or chosen, or "" */
} samc_detector_info;

/* A folder as Hugging Face lays it out, its model.safetensors, or one file. `options` may be NULL; settings and recipes
 * are SAM's and not looked at. SAMC_UNSUPPORTED: another model, which the error names. */
SAMC_API samc_status samc_detector_open(const char *path, const samc_options *options, samc_detector **detector,
                                        samc_error *error);
SAMC_API void samc_detector_close(samc_detector *detector); /* NULL is allowed; after its phrases and scenes */
SAMC_API samc_status samc_detector_get_info(const samc_detector *detector, samc_detector_info *info);
SAMC_API samc_status samc_detector_hash(const samc_detector *detector, char hex[65], samc_error *error);

/* Phrases, encoded once for any number of images and threads. */
typedef struct samc_phrases samc_phrases;

typedef struct samc_phrase_options {
    size_t size;
    const char *const *templates; /* NULL, or "a photo of a {}." and so on, ended by NULL: each phrase is the mean of
                                     what these say with it in the place of {} */
    const char *background;       /* NULL, or one more label, behind the phrases, for masks that show none of them */
} samc_phrase_options;
/* For labels of masks: the templates that CLIP's authors name for things in general, and "background". */
SAMC_API samc_status samc_default_label_options(samc_phrase_options *options);

/* strings: [count] UTF-8. Blanks at both ends do not count; a phrase of nothing else, or bytes that are no UTF-8, are
 * SAMC_INVALID_ARGUMENT and the error says which. `options` may be NULL: each as it is. */
SAMC_API samc_status samc_phrases_create(const samc_detector *detector, const char *const *strings, int count,
                                         const samc_phrase_options *options, samc_phrases **phrases, samc_error *error);
/* Phrases that were encoded before, without encoding them again: phrase index[i] of from[i], i < count. Of one
 * detector; `from` is not needed afterwards. */
SAMC_API samc_status samc_phrases_pick(const samc_phrases *const *from, const int *index, int count,
                                       samc_phrases **phrases, samc_error *error);
SAMC_API void samc_phrases_free(samc_phrases *phrases); /* NULL is allowed; after masks that name them */
/* Those that were given, and the background behind them; text: NULL where there is none. */
SAMC_API int samc_phrases_count(const samc_phrases *phrases);
SAMC_API const char *samc_phrases_text(const samc_phrases *phrases, int index);
SAMC_API bool samc_phrases_cut(const samc_phrases *phrases, int index); /* longer than the context */
SAMC_API const samc_detector *samc_phrases_detector(const samc_phrases *phrases);

typedef struct samc_text_options {
    size_t size;
    double threshold; /* least score, of a heat map least probability of a pixel; 0: 0.1 for boxes, 0.3 for maps */
    double nms;       /* 0.3: IoU above which the worse of two boxes of one phrase goes; above 1: none */
    int top;          /* most detections of an image, those with the best scores; 0: all */
    bool boxes_only;  /* detections without masks; the session may be NULL */
    /* NULL, or called from the thread of samc_text() or samc_text_on() before each group of masks and at the end:
     * `done` of the `total` detections of image `image` have theirs. As that of samc_auto_options: it may wait, and
     * what it returns other than SAMC_OK ends the call with that status. */
    samc_status (*progress)(void *context, int image, int64_t done, int64_t total);
    void *progress_context;
} samc_text_options;
SAMC_API samc_status samc_default_text_options(samc_text_options *options);

/* What a detector makes of one image, for any number of phrases. Like phrases any thread may read it. */
typedef struct samc_scene samc_scene;
SAMC_API samc_status samc_scene_create(const samc_detector *detector, const samc_image *image, samc_scene **scene,
                                       samc_error *error);
SAMC_API void samc_scene_free(samc_scene *scene);          /* NULL is allowed */
SAMC_API size_t samc_scene_bytes(const samc_scene *scene); /* in memory */
/* MAPS: logits [map_side, map_side] of phrase `index`; the map covers the whole image. */
SAMC_API samc_status samc_scene_map(const samc_scene *scene, const samc_phrases *phrases, int index, float *map,
                                    samc_error *error);

/* One thing that a phrase was found in. */
typedef struct samc_detection {
    size_t size;
    int phrase;
    float score;    /* of the best phrase of a box; the largest probability of a part of a map */
    float box[4];   /* x0 y0 x1 y1, pixels, within the image */
    float point[2]; /* of a map its peak there, else the box's middle */
} samc_detection;
/* By descending score. *count: how many there are, of which the first `capacity` are written; NULL and 0 to ask. */
SAMC_API samc_status samc_scene_detect(const samc_scene *scene, const samc_phrases *phrases,
                                       const samc_text_options *options, samc_detection *detections, int capacity,
                                       int *count, samc_error *error);

/* A mask for each detection in each image, as samc_auto() gives them, by descending score, with label, phrase, score
 * and box; `prompt` and `index` count detections, `point` is theirs. With boxes_only area and run lengths are none
 * (`runs` NULL). Replaces the session's images. */
SAMC_API samc_status samc_text(samc_session *session, const samc_phrases *phrases, const samc_image *images, int count,
                               const samc_text_options *options, samc_auto_callback callback, void *context,
                               samc_error *error);

/* The same of one image from what was made of it before, its embedding (of the session's model) and its scene: neither
 * is made again, and the session's images stay. */
SAMC_API samc_status samc_text_on(samc_session *session, samc_embedding *embedding, const samc_scene *scene,
                                  const samc_phrases *phrases, const samc_text_options *options,
                                  samc_auto_callback callback, void *context, samc_error *error);

/* Writes label, phrase and score of `count` masks of `image`: of each a crop of its surroundings, white outside the
 * mask, against all labels; scores are a softmax. */
SAMC_API samc_status samc_label_masks(const samc_phrases *labels, const samc_image *image, samc_mask *masks, int count,
                                      samc_error *error);

#ifdef __cplusplus
}
#endif
#endif
