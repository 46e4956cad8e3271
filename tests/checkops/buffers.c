/* Buffers of the operator checks: random inputs, outputs full of NaN, all between guard pages. */
#include "tests/checkops/checkops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *add_buffer(check *c, size_t bytes, role role, bool floats) {
    static const char *const roles[] = {[IN] = "input", [OUT] = "output", [INOUT] = "input and output"};
    if (c->count == MAX_BUFFERS) abort();
    buffer *b = &c->buffers[c->count++];
    char name[40];
    snprintf(name, sizeof name, "%s (buffer %d)", roles[role], c->count);
    /* At the end of a page floats are 4-byte aligned and no more, so that a kernel that assumes more is found out. */
    *b = (buffer){.data = guard_allocate(bytes, floats ? 4 : 1, c->place, name),
                  .bytes = bytes,
                  .role = role,
                  .floats = floats,
                  .initial = malloc(bytes + 1)};
    if (b->initial == NULL) abort();
    return memset(b->data, 0, bytes);
}

uint32_t random_bits(check *c) {
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return (uint32_t)(c->random >> 24);
}
float random_uniform(check *c) { return (float)(random_bits(c) >> 8) * 0x1p-24f; }
float random_normal(check *c) { /* sum of four uniforms */
    return (random_uniform(c) + random_uniform(c) + random_uniform(c) + random_uniform(c) - 2.0f) * 1.7320508f;
}

int random_below(check *c, int n) { return (int)(random_bits(c) % (uint32_t)n); }
int random_size(check *c, int most) {
    static const int units[] = {1, 8, 16, 32, 64};
    int unit = units[random_below(c, 5)], size = most;
    if (unit == 1) size = 1 + random_below(c, most < 12 ? most : 12);
    else if (unit < most && random_below(c, 4) != 0)
        size = unit * (1 + random_below(c, most / unit)) + random_below(c, 3) - 1;
    else size = 1 + random_below(c, most);
    return size < most ? size : most;
}

static float *fill(check *c, float *data, int64_t count, float scale) {
    for (int64_t i = 0; i < count; i++) {
        float x = random_normal(c) * scale;
        switch (c->pattern) {
        case PATTERN_LARGE_MEAN:
            x += 50.0f * scale;
            break;
        case PATTERN_LARGE:
            x *= 12.0f;
            break;
        case PATTERN_ZERO:
            x = 0.0f;
            break;
        case PATTERN_DENORMAL:
            x *= 1e-39f;
            break;
        default:
            break;
        }
        data[i] = x;
    }
    return data;
}

float *input(check *c, int64_t count, float scale) {
    return fill(c, add_buffer(c, (size_t)count * 4, IN, true), count, scale);
}
float *in_out(check *c, int64_t count, float scale) {
    return fill(c, add_buffer(c, (size_t)count * 4, INOUT, true), count, scale);
}
float *output(check *c, int64_t count) { return add_buffer(c, (size_t)count * 4, OUT, true); }
void *raw_input(check *c, size_t bytes) { return add_buffer(c, bytes, IN, false); }
void *raw_output(check *c, size_t bytes) { return add_buffer(c, bytes, OUT, false); }
void *raw_in_out(check *c, size_t bytes) { return add_buffer(c, bytes, INOUT, false); }
int buffer_of(const check *c, const void *data, size_t *at) {
    for (int i = 0; i < c->count; i++) {
        *at = (size_t)((uintptr_t)data - (uintptr_t)c->buffers[i].data);
        if ((uintptr_t)data >= (uintptr_t)c->buffers[i].data && *at < c->buffers[i].bytes + !c->buffers[i].bytes)
            return i;
    }
    abort();
}
const void *initial(const check *c, const void *data) {
    size_t at;
    const int i = buffer_of(c, data, &at);
    return (const char *)c->buffers[i].initial + at;
}
float *input_around(check *c, int64_t count, float mean, float scale) {
    float *data = add_buffer(c, (size_t)count * 4, IN, true);
    for (int64_t i = 0; i < count; i++) data[i] = mean + scale * random_normal(c);
    return data;
}

void keep_initial(check *c) {
    for (int i = 0; i < c->count; i++) memcpy(c->buffers[i].initial, c->buffers[i].data, c->buffers[i].bytes);
}

void protect_inputs(check *c, bool on) {
    for (int i = 0; i < c->count; i++)
        if (c->buffers[i].role == IN) guard_read_only(c->buffers[i].data, on);
}

void reset(check *c) {
    protect_inputs(c, false);
    for (int i = 0; i < c->count; i++) {
        buffer *b = &c->buffers[i];
        if (b->role == OUT) memset(b->data, 0xff, b->bytes); /* NaN */
        else memcpy(b->data, b->initial, b->bytes);
    }
}

void free_buffers(check *c) {
    for (int i = 0; i < c->count; i++) {
        guard_free(c->buffers[i].data);
        free(c->buffers[i].initial);
    }
    c->count = 0;
}

void snapshot_size(const check *c, size_t *size) {
    *size = 0;
    for (int i = 0; i < c->count; i++)
        if (c->buffers[i].role != IN) *size += c->buffers[i].bytes;
}
unsigned char *snapshot(const check *c, size_t *size) {
    snapshot_size(c, size);
    unsigned char *copy = malloc(*size + 1), *at = copy;
    if (copy == NULL) abort();
    for (int i = 0; i < c->count; i++)
        if (c->buffers[i].role != IN) {
            memcpy(at, c->buffers[i].data, c->buffers[i].bytes);
            at += c->buffers[i].bytes;
        }
    return copy;
}
