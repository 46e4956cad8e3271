/* Finds the model among the tensors of a checkpoint, whatever it is wrapped in, and gives its tensors SAM's own names.
 *
 * Nested dictionaries have become names with dots, so that one rule serves every container: what stands before the
 * model's parts
 * ("image_encoder." and so on) is a wrapper's prefix, and tensors with the same prefix belong to one model. A file may
 * hold several.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/base/decimal.h"
#include "weights/reader.h"

/* Parts of a model, a bit each; SHARED is a lone table of Hugging Face's layout. */
enum { IMAGE = 1, VISION = 2, PROMPT = 4, DECODER = 8, SHARED = 16, PATCHES = 32, TOKENS = 64, SAM2 = 128 };

/* A tensor that lies in one of the parts. */
typedef struct member {
    const char *name; /* the first `prefix` characters are a wrapper's */
    size_t prefix, tensor;
    unsigned part;
} member;

/* The tensors of one prefix: members[first..first + count). */
typedef struct group {
    size_t first, count;
    unsigned parts; /* and PATCHES, TOKENS: the tensors that tell a model from what merely has its names, as optimizers
                       have */
} group;

enum { MOST_COMPLETE = 8 };

/* What becomes of a tensor; those of another complete model are told of by that model's name. */
enum { OUTSIDE, KEPT, ANOTHER_MODELS };

void samc__checkpoint_add_note(samc__checkpoint *checkpoint, const char *format, ...) {
    size_t used = strlen(checkpoint->note), room = sizeof checkpoint->note;
    va_list arguments;
    if (used > 0) used += (size_t)snprintf(checkpoint->note + used, room - used, "; ");
    if (used >= room) return;
    va_start(arguments, format);
    samc__print_list(checkpoint->note + used, room - used, format, arguments);
    va_end(arguments);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

/* Where the first of the parts begins in a name, always behind a dot or at its start. False if it lies in none. */
static bool find_part(const char *name, size_t *prefix, unsigned *part) {
    static const struct {
        const char *name;
        unsigned part;
    } parts[] = {{"image_encoder.", IMAGE},          {"vision_encoder.", VISION},     {"prompt_encoder.", PROMPT},
                 {"mask_decoder.", DECODER},         {"sam_prompt_encoder.", PROMPT}, {"sam_mask_decoder.", DECODER},
                 {"shared_image_embedding.", SHARED}};
    for (const char *at = name; at != NULL; at = strchr(at, '.') ? strchr(at, '.') + 1 : NULL)
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (strncmp(at, parts[i].name, strlen(parts[i].name)) == 0) {
                *prefix = (size_t)(at - name);
                *part = parts[i].part;
                return true;
            }
    return false;
}

/* By prefix, then by the name behind it. */
static int compare_members(const void *a, const void *b) {
    const member *x = a, *y = b;
    size_t shorter = x->prefix < y->prefix ? x->prefix : y->prefix;
    int order = strncmp(x->name, y->name, shorter);
    if (order == 0) order = (x->prefix > y->prefix) - (x->prefix < y->prefix);
    return order ? order : strcmp(x->name + x->prefix, y->name + y->prefix);
}

static bool same_prefix(const member *a, const member *b) {
    return a->prefix == b->prefix && strncmp(a->name, b->name, a->prefix) == 0;
}

static bool complete(const group *g) {
    unsigned least = PROMPT | DECODER | PATCHES | TOKENS;
    return (g->parts & least) == least && (g->parts & (IMAGE | VISION)) != 0;
}

/* How much of a model it is: the number of its three parts. */
static int parts_of(const group *g) {
    return ((g->parts & (IMAGE | VISION)) != 0) + ((g->parts & PROMPT) != 0) + ((g->parts & DECODER) != 0);
}

/* "the top level", or the prefix without its last dot. */
static samc__text group_name(const member *members, const group *g) {
    const member *first = &members[g->first];
    if (first->prefix == 0) return samc__printable("the top level", strlen("the top level"));
    return samc__printable(first->name, first->prefix - 1);
}

/* A running average of the weights that lie beside it, by the words of its prefix. */
static bool is_average(const member *members, const group *g) {
    static const char *const words[] = {"ema", "avg", "average", "averaged", "swa", "shadow"};
    const char *at = members[g->first].name, *end = at + members[g->first].prefix;
    while (at < end) {
        size_t length = 0;
        while (at + length < end && isalnum((unsigned char)at[length])) length++;
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (length == strlen(words[i]) && strncasecmp(at, words[i], length) == 0) return true;
        at += length + 1;
    }
    return false;
}

/* Two names for the same tensors, as where a module holds the model twice. */
static bool same_tensors(const samc__checkpoint *c, const member *members, const group *a, const group *b) {
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const member *x = &members[a->first + i], *y = &members[b->first + i];
        const samc__tensor *p = &c->tensors[x->tensor], *q = &c->tensors[y->tensor];
        if (strcmp(x->name + x->prefix, y->name + y->prefix) != 0 || p->data == NULL || p->data != q->data ||
            p->dtype != q->dtype || p->rank != q->rank ||
            memcmp(p->shape, q->shape, (size_t)p->rank * sizeof *p->shape) != 0 ||
            memcmp(p->stride, q->stride, (size_t)p->rank * sizeof *p->stride) != 0)
            return false;
    }
    return true;
}

/* ---- The choice ------------------------------------------------------------------------------ */

/* One of several complete models: the one that is no average of another's weights; else nobody knows which one is
 * meant. */
static samc_status choose_complete(samc__checkpoint *c, const member *members, const group *found, int count,
                                   const group **chosen, samc_error *error) {
    int plain = 0;
    for (int i = 0; i < count; i++) {
        if (is_average(members, &found[i])) continue;
        plain++;
        *chosen = &found[i];
    }
    if (count == 1) {
        *chosen = &found[0];
    } else if (plain == 1) {
        const group *other = *chosen == &found[0] ? &found[1] : &found[0];
        samc__checkpoint_add_note(c, "the model under %s is used, not its average under %s",
                                  group_name(members, *chosen).text, group_name(members, other).text);
    } else {
        return samc__fail(
            error, SAMC_UNSUPPORTED,
            "%s: holds %s%d models, under %s and %s; save the state_dict() of the one that is meant by itself",
            c->label, count == MOST_COMPLETE ? "at least " : "", count, group_name(members, &found[0]).text,
            group_name(members, &found[1]).text);
    }
    return SAMC_OK;
}

/* *chosen: the model, or where none is complete what comes nearest, so that what it lacks can be said; NULL where
 * nothing does. */
static samc_status choose(samc__checkpoint *c, const member *members, size_t count, group *found, const group **chosen,
                          uint8_t *fate, samc_error *error) {
    group *best = &found[MOST_COMPLETE];
    int complete_count = 0;
    bool tie = false;
    *best = (group){0};
    for (size_t first = 0; first < count;) {
        group g = {.first = first};
        for (; first < count && same_prefix(&members[g.first], &members[first]); first++, g.count++) {
            const char *own = members[first].name + members[first].prefix;
            g.parts |= members[first].part;
            if (strcmp(own, "image_encoder.patch_embed.proj.weight") == 0) g.parts |= PATCHES;
            if (strcmp(own, "vision_encoder.patch_embed.projection.weight") == 0) g.parts |= PATCHES;
            if (strcmp(own, "image_encoder.patch_embed.seq.0.c.weight") == 0) g.parts |= PATCHES;
            if (strcmp(own, "image_encoder.patch_embed.seq.0.weight") == 0) g.parts |= PATCHES; /* folded */
            if (strcmp(own, "image_encoder.trunk.patch_embed.proj.weight") == 0) g.parts |= PATCHES | SAM2;
            if (strcmp(own, "vision_encoder.backbone.patch_embed.projection.weight") == 0) g.parts |= PATCHES | SAM2;
            if (strcmp(own, "mask_decoder.mask_tokens.weight") == 0) g.parts |= TOKENS;
            if (strcmp(own, "sam_mask_decoder.mask_tokens.weight") == 0) g.parts |= TOKENS;
        }
        bool known = !complete(&g);
        for (size_t i = g.first; i < first && !known; i++) fate[members[i].tensor] = ANOTHER_MODELS;
        for (int i = 0; i < complete_count && !known; i++) known = same_tensors(c, members, &found[i], &g);
        if (!known && complete_count < MOST_COMPLETE) found[complete_count++] = g;
        int order = parts_of(&g) - parts_of(best);
        if (order == 0) order = (g.count > best->count) - (g.count < best->count);
        if (order == 0) tie = true;
        if (order <= 0) continue;
        *best = g;
        tie = false;
    }
    *chosen = tie ? NULL : best;
    return complete_count > 0 ? choose_complete(c, members, found, complete_count, chosen, error) : SAMC_OK;
}

/* ---- Applying it ----------------------------------------------------------------------------- */

/* Of the buffers beside the parts only these are the model's. */
static bool is_buffer(const group *g, const char *own) {
    if (g->parts & SAM2) return strcmp(own, "no_mem_embed") == 0 || strcmp(own, "no_memory_embedding") == 0;
    return strcmp(own, "pixel_mean") == 0 || strcmp(own, "pixel_std") == 0;
}

/* Keeps the tensors of the group under their own names and drops all others; says how many those are. `fate` is
 * [c->count]. */
static samc_status keep(samc__checkpoint *c, const member *members, const group *chosen, uint8_t *fate,
                        samc_error *error) {
    const member *first = &members[chosen->first];
    const size_t prefix = first->prefix;
    const bool renamed = (chosen->parts & (VISION | IMAGE)) == VISION;
    char *wrapper = strndup(first->name, prefix); /* the names change below */
    char ignored[256] = "";
    size_t outside = 0, left = 0, used = 0, memory = 0;
    enum { NAMED = 3 };
    if (wrapper == NULL) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", c->label);
    for (size_t i = 0; i < chosen->count; i++) {
        const member *m = &members[chosen->first + i];
        fate[m->tensor] = samc__is_unused(m->name + prefix) ? OUTSIDE : KEPT;
    }
    for (size_t i = 0; i < c->count; i++)
        if (strncmp(c->tensors[i].name, wrapper, prefix) == 0 && is_buffer(chosen, c->tensors[i].name + prefix))
            fate[i] = KEPT;
    for (size_t i = 0; i < c->count; i++) {
        char *name = (char *)c->tensors[i].name; /* allocated by samc__checkpoint_add() */
        if (fate[i] == KEPT) {
            memmove(name, name + prefix, strlen(name + prefix) + 1);
            c->tensors[left++] = c->tensors[i];
            continue;
        }
        if ((chosen->parts & SAM2) && strncmp(name, wrapper, prefix) == 0 && samc__is_sam2_memory(name + prefix)) {
            memory++;
        } else if (c->tensors[i].data != NULL && fate[i] == OUTSIDE) {
            outside++;
            if (outside <= NAMED && used < sizeof ignored)
                used += (size_t)snprintf(ignored + used, sizeof ignored - used, "%s%s", outside > 1 ? ", " : "",
                                         samc__printable(name, strlen(name)).text);
        }
        free(name);
    }
    c->count = left;
    free(wrapper);
    if (memory > 0)
        samc__checkpoint_add_note(c, "SAM 2's memory for video (%zu tensors) is passed over: samc does images", memory);
    if (outside > NAMED)
        samc__checkpoint_add_note(c, "%zu tensors outside the model are ignored: %s, ...", outside, ignored);
    else if (outside > 0)
        samc__checkpoint_add_note(c, "%zu tensor%s outside the model %s ignored: %s", outside, outside > 1 ? "s" : "",
                                  outside > 1 ? "are" : "is", ignored);
    c->alone = renamed && prefix == 0;
    if (renamed) return samc__huggingface_rename(c, (chosen->parts & SAM2) != 0, error);
    return chosen->parts & SAM2 ? samc__sam2_rename(c, error) : SAMC_OK;
}

samc_status samc__checkpoint_select(samc__checkpoint *checkpoint, samc_error *error) {
    const size_t count = checkpoint->count;
    group found[MOST_COMPLETE + 1];
    const group *chosen = NULL;
    member *members = malloc((count + 1) * sizeof *members);
    uint8_t *fate = calloc(count + 1, sizeof *fate);
    samc_status status = SAMC_OK;
    size_t inside = 0;
    if (members == NULL || fate == NULL) {
        status = samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", checkpoint->label);
    } else {
        samc__find_architecture(checkpoint);
        for (size_t i = 0; i < count; i++) {
            member *m = &members[inside];
            *m = (member){.name = checkpoint->tensors[i].name, .tensor = i};
            inside += find_part(m->name, &m->prefix, &m->part);
        }
        if (inside > 1) qsort(members, inside, sizeof *members, compare_members);
        if (inside > 0) status = choose(checkpoint, members, inside, found, &chosen, fate, error);
        /* What is none of SAM's may be a model of text and images, with its files beside it. */
        for (size_t i = 0; i < count && inside == 0 && !checkpoint->alone; i++)
            checkpoint->alone = strstr(checkpoint->tensors[i].name, "text_model.embeddings.") != NULL;
        if (status == SAMC_OK && chosen != NULL) status = keep(checkpoint, members, chosen, fate, error);
    }
    free(members);
    free(fate);
    return status;
}

void samc__checkpoint_forget(samc__checkpoint *c, const char *ending) {
    const size_t tail = strlen(ending);
    size_t left = 0;
    for (size_t i = 0; i < c->count; i++) {
        const char *name = c->tensors[i].name;
        const size_t length = strlen(name);
        if (length > tail && strcmp(name + length - tail, ending) == 0) free((char *)name);
        else c->tensors[left++] = c->tensors[i];
    }
    c->count = left;
}
