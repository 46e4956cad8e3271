/* Detectors, phrases and scenes, as the public calls on them share them. */
#ifndef SAMC_RUNTIME_DETECT_H
#define SAMC_RUNTIME_DETECT_H

#include "kernels/place.h"
#include "runtime/memory.h"
#include "runtime/model/relate.h"
#include "runtime/text_rules.h"
#include "runtime/threads.h"

struct samc_detector {
    samc__relate_opened opened;
    samc__relate_facts facts;
};

struct samc_phrases {
    const samc_detector *detector;
    int count;       /* the background included */
    bool background; /* the last one is it */
    char **texts;    /* [count] */
    bool *cut;       /* [count] */
    float *features; /* [count, dim] */
};

struct samc_scene {
    const samc_detector *detector;
    void *scene;
    int width, height;
};

/* What one call computes on: threads and memory of its own, so that any thread may call. */
typedef struct samc__desk {
    samc__exec exec;
    samc__memory memory;
    samc__pool *pool;
    samc_error own; /* where the caller wants no error */
} samc__desk;

samc_status samc__desk_open(samc__desk *desk, const samc_detector *detector, samc_error *error);
void samc__desk_close(samc__desk *desk);

/* A detector of an opened network, which it owns from then on, also after a failure. */
samc_status samc__detector_wrap(const samc__relate_opened *opened, samc_detector **detector, samc_error *error);

/* Who is at fault for numbers that are not finite: the file (SAMC_DIVERGED, which ends a run over images), else what
 * the detector was asked about. */
samc_status samc__detector_spoilt(const samc_detector *detector, const char *asked, samc_error *error);

/* The caller's options over the defaults, checked; a threshold of 0 is that of the kind. */
samc_status samc__text_options_take(const samc_text_options *given, const samc_detector *detector,
                                    samc_text_options *own, samc_error *error);
/* What samc_scene_detect() finds; `options` are taken. */
samc_status samc__scene_find(const samc__desk *desk, const samc_scene *scene, const samc_phrases *phrases,
                             const samc_text_options *options, samc__detections *list);
/* The map of a phrase, looked through for what is not finite. */
samc_status samc__scene_map(const samc__desk *desk, const samc_scene *scene, const float *features, float *map);

#endif
