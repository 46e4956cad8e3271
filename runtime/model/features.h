/* An image's features: which levels a model's decoder looks at, what each is called outside, and how many bytes they
 * take. This is the one place that says so. */
#ifndef SAMC_RUNTIME_MODEL_FEATURES_H
#define SAMC_RUNTIME_MODEL_FEATURES_H

#include "runtime/base/view.h"
#include "runtime/model/config.h"

enum { SAMC__MOST_LEVELS = 3 };

/* [images, side * side, channels] each, in the model's precision; [0] is the embedding, of others only those are there
 * that the configuration has. */
typedef struct samc__features {
    samc__view level[SAMC__MOST_LEVELS];
    /* f32 [images, grid * grid, early_channels()] of the encoder, filled on the way where it has data; kept by nobody.
     */
    samc__view early;
} samc__features;

typedef struct samc__level {
    const char *name; /* of its tensor in embedding files; NULL: the model has no such level, nor any after it */
    int side, channels;
} samc__level;

static inline samc__level samc__level_of(const samc__config *config, int level) {
    if (level == 0) return (samc__level){"image_embedding", config->grid, config->decoder.channels};
    if (level == 1 && config->decoder.hq_at >= 0)
        return (samc__level){"hq_features", 4 * config->grid, config->decoder.channels / 8};
    if (level == 1 && config->decoder.high_res)
        return (samc__level){"high_res_s0", 4 * config->grid, config->decoder.channels / 8};
    if (level == 2 && config->decoder.high_res)
        return (samc__level){"high_res_s1", 2 * config->grid, config->decoder.channels / 4};
    return (samc__level){0};
}

static inline int64_t samc__level_elements(const samc__level *level) {
    return (int64_t)level->side * level->side * level->channels;
}

/* Where level `level` of `images` images begins: levels lie one after another, each with all images; SAMC__MOST_LEVELS:
 * their end, the bytes of all. */
static inline size_t samc__features_offset(const samc__config *config, samc__dtype precision, int images, int level) {
    size_t at = 0;
    for (int i = 0; i < level; i++) {
        const samc__level l = samc__level_of(config, i);
        if (l.name == NULL) break;
        at = (at + 63) / 64 * 64 + (size_t)images * (size_t)samc__level_elements(&l) * samc__dtype_size(precision);
    }
    return level < SAMC__MOST_LEVELS ? (at + 63) / 64 * 64 : at;
}

static inline size_t samc__features_bytes(const samc__config *config, samc__dtype precision, int images) {
    return samc__features_offset(config, precision, images, SAMC__MOST_LEVELS);
}

/* Those of images [first, first + images) in a block that holds `room` images. */
static inline samc__features samc__features_at(const samc__config *config, samc__dtype precision, void *block, int room,
                                               int first, int images) {
    samc__features features = {0};
    for (int i = 0; i < SAMC__MOST_LEVELS; i++) {
        const samc__level l = samc__level_of(config, i);
        if (l.name == NULL) break;
        char *data = (char *)block + samc__features_offset(config, precision, room, i) +
                     (size_t)first * (size_t)samc__level_elements(&l) * samc__dtype_size(precision);
        features.level[i] = samc__as(precision, samc__view3(data, images, (int64_t)l.side * l.side, l.channels));
    }
    return features;
}

#endif
