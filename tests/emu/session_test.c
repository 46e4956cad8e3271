/* The CUDA session (runtime/cuda_session.c) on the emulated device: copies, images, memory and failures, whatever the
 * order of the streams. Prints what was wrong and ends with 1; misuse of CUDA ends it with the twins' own report.
 *
 *     session_test [SEEDS] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "emu_control.h"
#include "kernels/conv3x3/choice.h"
#include "runtime/cuda.h"
#include "runtime/cuda_plan.h"
#include "runtime/memory.h"

enum { MEGABYTE = 1 << 20 };

static samc_model *model;
static uint64_t seed;

#define EXPECT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("FAILED session_test.c:%d, seed %llu: %s\n", __LINE__, (unsigned long long)seed, #condition);       \
            fflush(stdout);                                                                                            \
            _Exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

typedef struct fixture {
    samc_error error;
    samc__memory memory;
    samc__exec exec, encoder, post;
    samc__cuda_session *session;
    samc__session_size size;
} fixture;

static samc_status open_fixture(fixture *f) {
    *f = (fixture){.size = {.prompts = 4, .groups = 2, .images = 1}};
    f->exec = (samc__exec){.error = &f->error,
                           .workers = 1,
                           .memory = &f->memory,
                           .allocate = samc__memory_allocate,
                           .release = samc__memory_release,
                           .place = &samc__place_host};
    f->encoder = f->post = f->exec;
    return samc__cuda_session_open(NULL, model, &f->exec, &f->encoder, &f->post, &f->size, &f->session);
}

static void fill(unsigned char *bytes, size_t count, unsigned first) {
    for (size_t i = 0; i < count; i++) bytes[i] = (unsigned char)(first + i * 7 + i / 251);
}

static unsigned char *host_bytes(size_t count, unsigned first) {
    unsigned char *bytes = malloc(count);
    if (bytes == NULL) abort();
    fill(bytes, count, first);
    return bytes;
}

/* Up, over to a second tensor, down: `rows` rows of `bytes`, `pitch` apart on the host and in the second tensor. The
 * host's memory is scribbled over as soon as the upload returns, and the first tensor's memory goes to somebody else at
 * once. */
static void round_trip(fixture *f, size_t bytes, size_t pitch, size_t rows) {
    unsigned char *from = host_bytes(pitch * rows, (unsigned)(bytes + rows)), *expected = malloc(bytes * rows),
                  *to = malloc(bytes * rows);
    if (expected == NULL || to == NULL) abort();
    for (size_t row = 0; row < rows; row++) memcpy(expected + row * bytes, from + row * pitch, bytes);
    char *dense = samc__tensor_allocate(&f->exec, bytes * rows), *wide = samc__tensor_allocate(&f->exec, pitch * rows);
    EXPECT(dense != NULL && wide != NULL);
    EXPECT(f->exec.place->upload(&f->exec, dense, from, pitch, bytes, rows) == SAMC_OK);
    memset(from, 0x11, pitch * rows);
    EXPECT(samc__copy_rows(&f->exec, wide, pitch, dense, bytes, bytes, rows) == SAMC_OK);
    samc__tensor_release(&f->exec, dense);
    char *next = samc__tensor_allocate(&f->exec, bytes * rows);
    EXPECT(next == dense && samc__upload(&f->exec, next, from, bytes * rows) == SAMC_OK);
    EXPECT(f->exec.place->download(&f->exec, to, wide, pitch, bytes, rows) == SAMC_OK);
    EXPECT(memcmp(to, expected, bytes * rows) == 0);
    samc__tensor_release(&f->exec, wide);
    samc__tensor_release(&f->exec, next);
    free(from), free(expected), free(to);
}

/* Images of several sizes, more than twice as many as have buffers, come faster than they are read; each is read into
 * its part of a tensor on the encoder's stream. */
static void images(fixture *f) {
    enum { IMAGES = 20, ROOM = 200 * 100 * 3 };
    unsigned char *all = malloc((size_t)IMAGES * ROOM), *expected = calloc(IMAGES, ROOM),
                  *picture = malloc((size_t)ROOM * 2);
    char *tensor = samc__tensor_allocate(&f->exec, (size_t)IMAGES * ROOM);
    if (all == NULL || expected == NULL || picture == NULL || tensor == NULL) abort();
    EXPECT(samc__upload(&f->exec, tensor, expected, (size_t)IMAGES * ROOM) == SAMC_OK);
    EXPECT(f->encoder.place->wait(&f->encoder, &f->exec) == SAMC_OK);
    for (int i = 0; i < IMAGES; i++) {
        int width = 20 + 30 * (i % 4), height = 90 - 11 * (i % 7), stride = 3 * width + 5;
        fill(picture, (size_t)(stride * height), (unsigned)i);
        for (int y = 0; y < height; y++)
            memcpy(expected + (size_t)i * ROOM + y * 3 * width, picture + y * stride, (size_t)(3 * width));
        const uint8_t *pixels;
        ptrdiff_t pitch;
        EXPECT(f->encoder.place->image(&f->encoder, &(samc_image){sizeof(samc_image), picture, width, height, stride},
                                       &pixels, &pitch) == SAMC_OK);
        memset(picture, 0x22, (size_t)(stride * height));
        EXPECT(samc__copy_rows(&f->encoder, tensor + (size_t)i * ROOM, (size_t)(3 * width), pixels, (size_t)pitch,
                               (size_t)(3 * width), (size_t)height) == SAMC_OK);
        EXPECT(f->encoder.place->image_read(&f->encoder) == SAMC_OK);
    }
    EXPECT(f->exec.place->wait(&f->exec, &f->encoder) == SAMC_OK);
    EXPECT(samc__download(&f->exec, all, tensor, (size_t)IMAGES * ROOM) == SAMC_OK);
    EXPECT(memcmp(all, expected, (size_t)IMAGES * ROOM) == 0);
    samc__tensor_release(&f->exec, tensor);
    free(all), free(expected), free(picture);
}

/* A tensor that the encoder writes and the decoder reads, again and again: each waits for the other. */
static void streams_follow(fixture *f) {
    enum { BYTES = 3000 };
    unsigned char now[BYTES], back[BYTES];
    char *shared = samc__tensor_allocate(&f->exec, BYTES), *own = samc__tensor_allocate(&f->exec, 5 * BYTES);
    EXPECT(shared != NULL && own != NULL);
    for (unsigned i = 0; i < 5; i++) {
        fill(now, BYTES, i);
        EXPECT(f->encoder.place->wait(&f->encoder, &f->exec) == SAMC_OK);
        EXPECT(samc__upload(&f->encoder, shared, now, BYTES) == SAMC_OK);
        EXPECT(f->exec.place->wait(&f->exec, &f->encoder) == SAMC_OK);
        EXPECT(samc__copy_rows(&f->exec, own + i * BYTES, BYTES, shared, BYTES, BYTES, 1) == SAMC_OK);
    }
    for (unsigned i = 0; i < 5; i++) {
        fill(now, BYTES, i);
        EXPECT(samc__download(&f->exec, back, own + i * BYTES, BYTES) == SAMC_OK);
        EXPECT(memcmp(now, back, BYTES) == 0);
    }
    samc__tensor_release(&f->exec, own);
    samc__tensor_release(&f->exec, shared);
}

/* A session takes what was planned and not a byte more; what does not fit gets memory of its own, which goes when it is
 * needed. */
static void memory_is_planned(fixture *f) {
    samc_memory before = {0}, after = {0};
    samc__session_plan plan;
    EXPECT(samc__plan_session(model, f->size, &plan, NULL) == SAMC_OK);
    samc__cuda_session_memory(f->session, &before);
    EXPECT(before.device_current == samc__cuda_planned_bytes(model, f->size));
    void *all = samc__tensor_allocate(&f->exec, plan.decode.arena);
    samc__cuda_session_memory(f->session, &after);
    EXPECT(all != NULL && after.device_current == before.device_current);
    void *more = samc__tensor_allocate(&f->exec, 3 * MEGABYTE);
    samc__cuda_session_memory(f->session, &after);
    EXPECT(more != NULL && after.device_current == before.device_current + 3 * MEGABYTE);
    samc__tensor_release(&f->exec, more);
    EXPECT(samc__tensor_allocate(&f->exec, (size_t)1 << 40) == NULL); /* and what was free has been given back for it */
    samc__cuda_session_memory(f->session, &after);
    EXPECT(after.device_current == before.device_current && after.device_peak == before.device_current + 3 * MEGABYTE);
    samc__tensor_release(&f->exec, all);
}

/* Every allocation of opening a session fails in turn: one group of images; then there is less and less memory: fewer
 * prompts, and at last a status; nothing is left behind. */
static void allocations_fail(const samc_emu_settings *as_new) {
    fixture f;
    samc_emu_begin(as_new);
    EXPECT(open_fixture(&f) == SAMC_OK);
    uint64_t allocations = samc_emu_allocations();
    samc__cuda_session_close(f.session);
    for (uint64_t i = 1; i <= allocations; i++) {
        samc_emu_settings settings = *as_new;
        settings.refuse = i;
        samc_emu_begin(&settings);
        EXPECT(open_fixture(&f) == SAMC_OK && f.size.prompts == 4 && f.size.groups == 1);
        samc__cuda_session_close(f.session);
    }
    samc_emu_settings small = *as_new;
    size_t two = samc__cuda_planned_bytes(model, (samc__session_size){4, 2, 1}),
           one = samc__cuda_planned_bytes(model, (samc__session_size){4, 1, 1});
    EXPECT(two - one + 256 >=
           (size_t)(model->net.config.grid * model->net.config.grid * model->net.config.decoder.channels) *
               sizeof(float));
    for (int i = 0; i < 3; i++) {
        small.memory = i == 0 ? two : i == 1 ? two - 1 : one - 1;
        samc_emu_begin(&small);
        EXPECT(open_fixture(&f) == SAMC_OK && f.size.groups == (i == 0 ? 2 : 1) && f.size.prompts == (i == 2 ? 2 : 4));
        samc__cuda_session_close(f.session);
    }
    small.memory = MEGABYTE / 16;
    samc_emu_begin(&small);
    EXPECT(open_fixture(&f) == SAMC_OUT_OF_MEMORY && f.session == NULL &&
           strstr(f.error.message, "GPU memory") != NULL);
}

/* The device fails at some piece of work: the download that waits for it says so in one line, and closing still works.
 */
static void device_is_lost(const samc_emu_settings *as_new) {
    fixture f;
    unsigned char bytes[1000] = {0};
    samc_emu_settings settings = *as_new;
    settings.lose = 2;
    samc_emu_begin(&settings);
    EXPECT(open_fixture(&f) == SAMC_OK);
    char *tensor = samc__tensor_allocate(&f.exec, sizeof bytes);
    samc_status status = samc__upload(&f.exec, tensor, bytes, sizeof bytes);
    for (int i = 0; i < 3 && status == SAMC_OK; i++) status = samc__download(&f.exec, bytes, tensor, sizeof bytes);
    EXPECT(status == SAMC_NO_DEVICE && strstr(f.error.message, "unspecified launch failure") != NULL &&
           strchr(f.error.message, '\n') == NULL);
    samc__cuda_session_close(f.session);
}

static samc__conv3x3_choice choice(samc__dtype x, samc__dtype w, samc__dtype y, int64_t side, int64_t c_in,
                                   int64_t c_out, uintptr_t address) {
    char *memory = (char *)(uintptr_t)4096; /* nothing reads it */
    samc__conv3x3_args args = {.stride = 1};
    args.x = samc__view4(memory + address, 1, side, side, c_in);
    args.w = samc__view4(memory, c_out, c_in, 3, 3);
    args.y = samc__view4(memory, 1, side, side, c_out);
    args.x.dtype = x, args.w.dtype = w, args.y.dtype = y;
    return samc__conv3x3_cuda_choice(&args);
}

/* The neck of every SAM is cuDNN's, in every precision; what cuDNN might refuse is samc's own kernel's. */
static void convolution_is_chosen(void) {
    for (samc__dtype a = SAMC__F32; a <= SAMC__BF16; a++) {
        EXPECT(choice(a, a, a, 64, 256, 256, 0) == SAMC__CONV3X3_CUDNN); /* SAM */
        EXPECT(choice(a, a, a, 32, 128, 128, 256) ==
               SAMC__CONV3X3_CUDNN); /* samc-tiny, the second image of a batch or so */
        EXPECT(choice(a, a, a, 64, 256, 256, 8) == SAMC__CONV3X3_OWN);
        EXPECT(choice(a, a, a, 64, 254, 256, 0) == SAMC__CONV3X3_OWN);
        EXPECT(choice(a, a, a, 64, 256, 254, 0) == SAMC__CONV3X3_OWN);
        EXPECT(choice(a, a, a, 4096, 128, 64, 0) == SAMC__CONV3X3_OWN); /* 2^31 elements of x */
        EXPECT(choice(a, a, a, 4096, 64, 128, 0) == SAMC__CONV3X3_OWN); /* and of y */
        EXPECT(choice(a, a, a, 4096, 64, 64, 0) == SAMC__CONV3X3_CUDNN);
    }
    samc__conv3x3_args more = {.x = samc__view4((void *)(uintptr_t)4096, 1, 64, 64, 256), .stride = 1};
    more.w = samc__view4(more.x.data, 256, 256, 3, 3), more.y = more.x;
    EXPECT(samc__conv3x3_cuda_choice(&more) == SAMC__CONV3X3_CUDNN);
    more.act = SAMC__ACT_GELU;
    EXPECT(samc__conv3x3_cuda_choice(&more) == SAMC__CONV3X3_OWN);
    more.act = SAMC__ACT_NONE, more.b = samc__view1(more.x.data, 256);
    EXPECT(samc__conv3x3_cuda_choice(&more) == SAMC__CONV3X3_OWN);
    more.b.data = NULL, more.stride = 2, more.y.n[1] = more.y.n[2] = 32;
    EXPECT(samc__conv3x3_cuda_choice(&more) == SAMC__CONV3X3_OWN);
    EXPECT(choice(SAMC__BF16, SAMC__BF16, SAMC__F32, 64, 256, 256, 0) == SAMC__CONV3X3_OWN);
    EXPECT(choice(SAMC__F32, SAMC__BF16, SAMC__F32, 64, 256, 256, 0) == SAMC__CONV3X3_OWN);
    EXPECT(choice(SAMC__F32, SAMC__F32, SAMC__F32, 64, 252, 260, 0) == SAMC__CONV3X3_CUDNN);
    EXPECT(choice(SAMC__F16, SAMC__F16, SAMC__F16, 64, 252, 264, 0) == SAMC__CONV3X3_OWN);
}

int main(int argc, char **argv) {
    uint64_t seeds = argc > 1 ? strtoull(argv[1], NULL, 10) : 10;
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_REF, .precision = SAMC_PRECISION_AUTO, .threads = 1};
    samc_error error;
    if (samc_model_open(SAMC_TEST_DATA "/golden/tiny.safetensors", &options, &model, &error) != SAMC_OK) {
        printf("%s\n", error.message);
        return 1;
    }
    convolution_is_chosen();
    for (seed = 0; seed < seeds; seed++) {
        samc_emu_settings settings = {.seed = seed, .memory = (uint64_t)4 << 30};
        fixture f;
        samc_emu_begin(&settings);
        EXPECT(open_fixture(&f) == SAMC_OK);
        memory_is_planned(&f);
        round_trip(&f, 1, 1, 1);
        round_trip(&f, 1000, 1000, 1);
        round_trip(&f, 700, 1024, 9);
        round_trip(&f, 23 * MEGABYTE / 10, 23 * MEGABYTE / 10 + 3,
                   9); /* rows that fill a slot badly, and come round to the first again */
        round_trip(&f, 27 * MEGABYTE + 5, 27 * MEGABYTE + 5, 1);
        images(&f);
        streams_follow(&f);
        samc__cuda_session_close(f.session);
        if (seed < 2) allocations_fail(&settings);
        device_is_lost(&settings);
    }
    samc_model_close(model);
    printf("session_test: %llu seeds passed\n", (unsigned long long)seeds);
    return 0;
}
