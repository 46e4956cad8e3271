/* Pictures that were sent, with their embeddings: the least recently used go when the budget is used up. */
#include "host/serve/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void samc__pictures_init(samc__pictures *p, size_t most) {
    pthread_mutex_init(&p->lock, NULL);
    p->most = most;
}

void samc__picture_release(samc__picture *p) {
    if (p == NULL || atomic_fetch_sub(&p->references, 1) > 1) return;
    for (int i = 0; i < SAMC__ANSWERS; i++) free(p->answers[i].logits);
    samc_embedding_release(p->embedding);
    samc_scene_free(p->scene);
    pthread_mutex_destroy(&p->lock);
    free(p->pixels);
    free(p);
}

/* With the lock held, as what follows. */
static void unlink_picture(samc__pictures *all, samc__picture *p) {
    *(p->newer != NULL ? &p->newer->older : &all->newest) = p->older;
    *(p->older != NULL ? &p->older->newer : &all->oldest) = p->newer;
    p->newer = p->older = NULL;
}

static void link_newest(samc__pictures *all, samc__picture *p) {
    p->older = all->newest;
    *(all->newest != NULL ? &all->newest->newer : &all->oldest) = p;
    all->newest = p;
}

static samc__picture *find(samc__pictures *all, const char *id) {
    samc__picture *p = all->newest;
    while (p != NULL && strcmp(p->id, id) != 0) p = p->older;
    return p;
}

static void drop(samc__pictures *all, samc__picture *p) {
    unlink_picture(all, p);
    all->bytes -= p->bytes;
    all->count--;
    samc__picture_release(p);
}

samc__picture *samc__pictures_find(samc__pictures *all, const char *id) {
    pthread_mutex_lock(&all->lock);
    samc__picture *p = find(all, id);
    if (p != NULL) {
        unlink_picture(all, p);
        link_newest(all, p);
        atomic_fetch_add(&p->references, 1);
        all->hits++;
    } else all->misses++;
    pthread_mutex_unlock(&all->lock);
    return p;
}

bool samc__pictures_has(samc__pictures *all, const char *id) {
    pthread_mutex_lock(&all->lock);
    const bool has = find(all, id) != NULL;
    pthread_mutex_unlock(&all->lock);
    return has;
}

bool samc__pictures_drop(samc__pictures *all, const char *id) {
    pthread_mutex_lock(&all->lock);
    samc__picture *p = find(all, id);
    if (p != NULL) drop(all, p);
    pthread_mutex_unlock(&all->lock);
    return p != NULL;
}

/* For all but one of them. */
static void make_room(samc__pictures *all, const samc__picture *stays) {
    while (all->bytes > all->most && all->oldest != stays) {
        drop(all, all->oldest);
        all->evicted++;
    }
}

samc__picture *samc__pictures_add(samc__pictures *all, const char *id, samc_image *image, const char *scaled,
                                  samc_embedding *embedding) {
    samc__picture *p = calloc(1, sizeof *p);
    if (p == NULL) {
        samc_image_free(image);
        samc_embedding_release(embedding);
        return NULL;
    }
    atomic_init(&p->references, 2); /* the store's and the caller's */
    memcpy(p->id, id, sizeof p->id);
    p->width = image->width, p->height = image->height;
    snprintf(p->scaled, sizeof p->scaled, "%s", scaled);
    p->pixels = (uint8_t *)(uintptr_t)image->pixels;
    p->embedding = embedding;
    p->bytes = samc_embedding_bytes(embedding) + (p->pixels ? 3 * (size_t)p->width * (size_t)p->height : 0);
    pthread_mutex_init(&p->lock, NULL);
    image->pixels = NULL;
    pthread_mutex_lock(&all->lock);
    samc__picture *there = find(all, id);
    if (there != NULL && there->pixels == NULL && p->pixels != NULL) {
        drop(all, there);
        there = NULL;
    }
    if (there != NULL) {
        atomic_fetch_add(&there->references, 1);
    } else {
        link_newest(all, p);
        all->bytes += p->bytes;
        all->count++;
        make_room(all, p);
    }
    pthread_mutex_unlock(&all->lock);
    if (there == NULL) return p;
    samc__picture_release(p);
    samc__picture_release(p);
    return there;
}

void samc__pictures_give(samc__pictures *all, samc__picture *p, samc_scene *scene) {
    const size_t bytes = samc_scene_bytes(scene);
    pthread_mutex_lock(&all->lock);
    p->scene = scene;
    p->bytes += bytes;
    if (find(all, p->id) == p) { /* it may have left meanwhile */
        unlink_picture(all, p);
        link_newest(all, p);
        all->bytes += bytes;
        make_room(all, p);
    }
    pthread_mutex_unlock(&all->lock);
}

void samc__pictures_clear(samc__pictures *all) {
    pthread_mutex_lock(&all->lock);
    while (all->newest != NULL) drop(all, all->newest);
    pthread_mutex_unlock(&all->lock);
}

/* Outside the budget: at most SAMC__ANSWERS of three masks, 6 MB of SAM, for pictures that are being refined. */
int64_t samc__picture_remember(samc__picture *p, const float *logits, int masks, int low_res) {
    const size_t bytes = (size_t)masks * (size_t)low_res * (size_t)low_res * sizeof(float);
    float *copy = malloc(bytes);
    if (copy == NULL) return 0;
    memcpy(copy, logits, bytes);
    pthread_mutex_lock(&p->lock);
    const int64_t number = ++p->numbers;
    samc__answer *answer = &p->answers[number % SAMC__ANSWERS];
    free(answer->logits);
    *answer = (samc__answer){.number = number, .masks = masks, .logits = copy};
    pthread_mutex_unlock(&p->lock);
    return number;
}

float *samc__picture_recall(samc__picture *p, int64_t number, int mask, int low_res) {
    const size_t each = (size_t)low_res * (size_t)low_res;
    float *copy = NULL;
    if (number < 1 || mask < 0) return NULL;
    pthread_mutex_lock(&p->lock);
    const samc__answer *answer = &p->answers[number % SAMC__ANSWERS];
    if (answer->number == number && mask < answer->masks) copy = malloc(each * sizeof *copy);
    if (copy != NULL) memcpy(copy, answer->logits + (size_t)mask * each, each * sizeof *copy);
    pthread_mutex_unlock(&p->lock);
    return copy;
}
