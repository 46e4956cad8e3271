/* A session on the GPU: streams for upload, encoding, decoding, what follows decoding, and download, pinned memory
 * between host and device, and one planned arena for each computing stream.
 *
 * What a stream's operators use comes from that stream's arena, so that memory given back may be taken again at once.
 * Between streams only events order: an upload of an image waits until the one before it in the same buffer has been
 * read, a download until its stream has come that far. */
#include "runtime/cuda_device.h"

#include "kernels/cuda/libraries.h"
#include "kernels/cuda/ops_cuda.h"
#include "runtime/arena.h"
#include "runtime/cuda_plan.h"

#include <stdlib.h>
#include <string.h>

enum {
    SLOTS = 4,
    SLOT_BYTES = 4 << 20, /* large enough that a copy's fixed cost does not matter */
    NOTES = 32, /* slots for small uploads, coordinates and indices, so many that none waits for the one before */
    NOTE_BYTES = 64 << 10,
    IMAGES = 8,              /* as many as are encoded together: the next ones arrive while these are computed */
    PINNED_IMAGE = 32 << 20, /* an image up to this size has pinned memory to itself, a larger one goes by slots */
    GATHER_BYTES = 1 << 20,  /* of one thread's part */
    CHUNKS = 16,
};

/* A computing stream with its memory. */
typedef struct lane {
    samc__cuda cuda; /* first: exec->cuda points here, and place functions come back from there */
    samc__cuda_session *session;
    cudaEvent_t reached;        /* for whoever has to wait for this lane */
    samc__arena chunks[CHUNKS]; /* the first is the planned one, the others came when it was not enough */
    int chunk_count;
} lane;

typedef struct slot {
    char *memory;     /* [SLOT_BYTES] or [NOTE_BYTES], pinned */
    cudaEvent_t done; /* the latest copy from or to it */
} slot;

typedef struct image_buffer {
    uint8_t *memory;
    size_t bytes;
    char *pinned; /* what goes up from here has `arrived` before it is written again */
    size_t pinned_bytes;
    cudaEvent_t arrived, read;
} image_buffer;

/* What was asked down without waiting for it. */
typedef struct box {
    char *memory; /* pinned */
    size_t bytes;
    cudaEvent_t done;
} box;

struct samc__cuda_session {
    samc_error *error;
    int capability; /* of the device */
    bool cudnn;     /* asked for */
    lane encode, decode, post;
    cudaStream_t upload, download;
    slot up[SLOTS], down[SLOTS], notes[NOTES];
    int next_up, next_note;
    image_buffer images[IMAGES];
    int image; /* the latest */
    box boxes[SAMC__BOXES];
    size_t current, peak;
};

static lane *lane_of(const samc__exec *exec) { return (lane *)(void *)exec->cuda; }

/* ---- Memory ---------------------------------------------------------------------------------- */

static cudaError_t device_allocate(samc__cuda_session *s, void **memory, size_t bytes) {
    cudaError_t code = cudaMalloc(memory, bytes);
    if (code != cudaSuccess) {
        *memory = NULL;
        return code;
    }
    s->current += bytes;
    if (s->current > s->peak) s->peak = s->current;
    return cudaSuccess;
}

static void device_free(samc__cuda_session *s, void *memory, size_t bytes) {
    if (memory == NULL) return;
    cudaFree(memory); /* waits for the whole device */
    s->current -= bytes;
}

static bool add_chunk(lane *l, size_t bytes) {
    if (l->chunk_count == CHUNKS) return false;
    void *memory;
    if (device_allocate(l->session, &memory, bytes) != cudaSuccess) {
        cudaGetLastError(); /* the caller does with less, or reports it */
        return false;
    }
    l->chunks[l->chunk_count++] = (samc__arena){.base = memory, .bytes = bytes};
    return true;
}

/* Gives back chunks in which nothing is in use, the planned one excepted. */
static void trim(lane *l) {
    for (int i = l->chunk_count - 1; i > 0; i--) {
        if (l->chunks[i].count > 0) continue;
        device_free(l->session, l->chunks[i].base, l->chunks[i].bytes);
        l->chunks[i] = l->chunks[--l->chunk_count];
    }
}

static void *allocate(const samc__exec *exec, size_t bytes) {
    lane *l = lane_of(exec);
    for (int i = 0; i < l->chunk_count; i++) {
        void *memory = samc__arena_take(&l->chunks[i], bytes);
        if (memory != NULL) return memory;
    }
    size_t rounded = (bytes + SAMC__ARENA_ALIGNMENT - 1) / SAMC__ARENA_ALIGNMENT * SAMC__ARENA_ALIGNMENT;
    if (!add_chunk(l, rounded)) {
        trim(l);
        if (!add_chunk(l, rounded)) return NULL;
    }
    return samc__arena_take(&l->chunks[l->chunk_count - 1], bytes);
}

static void release(const samc__exec *exec, void *tensor) {
    lane *l = lane_of(exec);
    for (int i = 0; tensor != NULL && i < l->chunk_count; i++)
        if (samc__arena_give(&l->chunks[i], tensor)) return;
}

static samc_status reserve(samc__cuda *cuda, size_t bytes) {
    lane *l = (lane *)(void *)cuda;
    if (bytes <= cuda->scratch_bytes) return SAMC_OK;
    device_free(l->session, cuda->scratch, cuda->scratch_bytes); /* waits for the kernels that use it */
    cuda->scratch = NULL;
    cuda->scratch_bytes = 0;
    SAMC__CUDA_TRY(cuda->error, device_allocate(l->session, &cuda->scratch, bytes), "for scratch memory");
    cuda->scratch_bytes = bytes;
    return SAMC_OK;
}

/* ---- Copies ---------------------------------------------------------------------------------- */

/* Bytes [begin, begin + bytes) of the dense sequence of rows of `row` bytes that lie `pitch` apart. */
static void gather(char *to, const char *from, size_t pitch, size_t row, size_t begin, size_t bytes) {
    while (bytes > 0) {
        size_t within = begin % row, now = row - within < bytes ? row - within : bytes;
        memcpy(to, from + begin / row * pitch + within, now);
        to += now, begin += now, bytes -= now;
    }
}

typedef struct gathering {
    char *to;
    const char *from;
    size_t pitch, row, begin, bytes;
} gathering;

static void gather_parts(void *context, int64_t first, int64_t last, int worker) {
    const gathering *g = context;
    (void)worker;
    size_t at = (size_t)first * GATHER_BYTES, end = (size_t)last * GATHER_BYTES;
    if (end > g->bytes) end = g->bytes;
    gather(g->to + at, g->from, g->pitch, g->row, g->begin + at, end - at);
}

/* By all threads of the session: one moves a photograph of 10 MB in a millisecond. */
static void gather_together(const samc__exec *exec, char *to, const char *from, size_t pitch, size_t row, size_t begin,
                            size_t bytes) {
    gathering g = {to, from, pitch, row, begin, bytes};
    int64_t parts = (int64_t)((bytes + GATHER_BYTES - 1) / GATHER_BYTES);
    if (parts > 1 && exec->workers > 1) exec->parallel(exec->pool, parts, 1, gather_parts, &g);
    else gather_parts(&g, 0, parts, 0);
}

static samc_status upload_on(const samc__exec *exec, cudaStream_t stream, char *to, const void *from, size_t pitch,
                             size_t row, size_t rows) {
    samc__cuda_session *s = lane_of(exec)->session;
    for (size_t at = 0, total = row * rows; at < total;) {
        size_t now = total - at < SLOT_BYTES ? total - at : SLOT_BYTES;
        bool small = total <= NOTE_BYTES;
        slot *slot = small ? &s->notes[s->next_note] : &s->up[s->next_up];
        if (small) s->next_note = (s->next_note + 1) % NOTES;
        else s->next_up = (s->next_up + 1) % SLOTS;
        SAMC__CUDA_TRY(s->error, cudaEventSynchronize(slot->done),
                       "during an upload"); /* its last copy has been read */
        gather_together(exec, slot->memory, from, pitch, row, at, now);
        SAMC__CUDA_TRY(s->error, cudaMemcpyAsync(to + at, slot->memory, now, cudaMemcpyHostToDevice, stream),
                       "during an upload");
        SAMC__CUDA_TRY(s->error, cudaEventRecord(slot->done, stream), "during an upload");
        at += now;
    }
    return SAMC_OK;
}

static samc_status upload(const samc__exec *exec, void *tensor, const void *from, size_t pitch, size_t bytes,
                          size_t rows) {
    return upload_on(exec, lane_of(exec)->cuda.stream, tensor, from, pitch, bytes, rows);
}

static samc_status download(const samc__exec *exec, void *to, const void *tensor, size_t pitch, size_t bytes,
                            size_t rows) {
    lane *l = lane_of(exec);
    samc__cuda_session *s = l->session;
    const char *doing = "while results were computed or downloaded";
    SAMC__CUDA_TRY(s->error, cudaEventRecord(l->reached, l->cuda.stream), doing);
    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(s->download, l->reached, 0), doing);
    if (pitch == bytes) bytes *= rows, pitch = bytes, rows = 1;
    if (rows > 1 && bytes > SLOT_BYTES)
        return samc__fail(s->error, SAMC_INTERNAL, "rows of %zu bytes are too long to download", bytes);
    /* Pieces of whole rows, or of one long row; up to SLOTS of them are on their way. */
    size_t together = bytes < SLOT_BYTES ? SLOT_BYTES / bytes : 1,
           pieces = rows > 1 ? (rows + together - 1) / together : (bytes + SLOT_BYTES - 1) / SLOT_BYTES;
    for (size_t i = 0; i < pieces + SLOTS; i++) {
        slot *slot = &s->down[i % SLOTS];
        if (i >= SLOTS) { /* bring home what was started SLOTS turns ago */
            size_t old = i - SLOTS, begin = rows > 1 ? old * together * bytes : old * SLOT_BYTES, total = rows * bytes;
            size_t size = rows > 1 ? together * bytes : SLOT_BYTES;
            if (old >= pieces) continue;
            SAMC__CUDA_TRY(s->error, cudaEventSynchronize(slot->done), doing);
            memcpy((char *)to + begin, slot->memory, total - begin < size ? total - begin : size);
        }
        if (i >= pieces) continue;
        if (rows > 1) {
            size_t first = i * together, count = rows - first < together ? rows - first : together;
            SAMC__CUDA_TRY(s->error,
                           cudaMemcpy2DAsync(slot->memory, bytes, (const char *)tensor + first * pitch, pitch, bytes,
                                             count, cudaMemcpyDeviceToHost, s->download),
                           doing);
        } else {
            size_t begin = i * SLOT_BYTES, size = bytes - begin < SLOT_BYTES ? bytes - begin : SLOT_BYTES;
            SAMC__CUDA_TRY(
                s->error,
                cudaMemcpyAsync(slot->memory, (const char *)tensor + begin, size, cudaMemcpyDeviceToHost, s->download),
                doing);
        }
        SAMC__CUDA_TRY(s->error, cudaEventRecord(slot->done, s->download), doing);
    }
    return SAMC_OK;
}

/* Pinned memory of at least that size; nothing may be on its way to or from what was there. */
static samc_status grow_pinned(samc__cuda_session *s, char **memory, size_t *room, size_t bytes) {
    if (bytes <= *room) return SAMC_OK;
    if (*memory != NULL) cudaFreeHost(*memory);
    *memory = NULL;
    *room = 0;
    void *pinned;
    SAMC__CUDA_TRY(s->error, cudaHostAlloc(&pinned, bytes, cudaHostAllocDefault), "for pinned memory");
    *memory = pinned;
    *room = bytes;
    return SAMC_OK;
}

static samc_status fetch(const samc__exec *exec, int number, const void *tensor, size_t pitch, size_t bytes,
                         size_t rows) {
    lane *l = lane_of(exec);
    samc__cuda_session *s = l->session;
    box *b = &s->boxes[number];
    const char *doing = "while results were computed or downloaded";
    SAMC__TRY(grow_pinned(s, &b->memory, &b->bytes, bytes * rows));
    SAMC__CUDA_TRY(s->error, cudaEventRecord(l->reached, l->cuda.stream), doing);
    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(s->download, l->reached, 0), doing);
    SAMC__CUDA_TRY(
        s->error,
        pitch == bytes || rows == 1
            ? cudaMemcpyAsync(b->memory, tensor, bytes * rows, cudaMemcpyDeviceToHost, s->download)
            : cudaMemcpy2DAsync(b->memory, bytes, tensor, pitch, bytes, rows, cudaMemcpyDeviceToHost, s->download),
        doing);
    return samc__cuda_status(s->error, cudaEventRecord(b->done, s->download), doing);
}

static samc_status fetched(const samc__exec *exec, int number, const void **contents) {
    samc__cuda_session *s = lane_of(exec)->session;
    *contents = s->boxes[number].memory;
    return samc__cuda_status(s->error, cudaEventSynchronize(s->boxes[number].done), "while results were fetched");
}

static samc_status copy(const samc__exec *exec, void *to, size_t to_pitch, const void *from, size_t from_pitch,
                        size_t bytes, size_t rows) {
    const samc__cuda *cuda = exec->cuda;
    bool dense = rows == 1 || (to_pitch == bytes && from_pitch == bytes);
    cudaError_t code =
        dense ? cudaMemcpyAsync(to, from, bytes * rows, cudaMemcpyDeviceToDevice, cuda->stream)
              : cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, bytes, rows, cudaMemcpyDeviceToDevice, cuda->stream);
    return samc__cuda_status(cuda->error, code, "while tensors were copied");
}

/* Room for `bytes` of an image in buffer `b`. Where there is none, the other buffers give theirs up: images then wait
 * for each other. */
static samc_status image_room(samc__cuda_session *s, image_buffer *b, size_t bytes) {
    if (bytes > b->bytes) {
        device_free(s, b->memory, b->bytes);
        b->memory = NULL;
        b->bytes = 0;
        void *memory;
        cudaError_t code = device_allocate(s, &memory, bytes);
        if (code == cudaErrorMemoryAllocation) {
            for (image_buffer *other = s->images; other < s->images + IMAGES; other++) {
                device_free(s, other->memory, other->bytes);
                other->memory = NULL;
                other->bytes = 0;
            }
            cudaGetLastError();
            code = device_allocate(s, &memory, bytes);
        }
        SAMC__CUDA_TRY(s->error, code, "for an image");
        b->memory = memory;
        b->bytes = bytes;
    }
    return SAMC_OK;
}

/* The image goes up on a stream of its own, into the buffer that was read longest ago. */
static samc_status image(const samc__exec *exec, const samc_image *picture, const uint8_t **pixels, ptrdiff_t *pitch) {
    lane *l = lane_of(exec);
    samc__cuda_session *s = l->session;
    const char *doing = "while an image was uploaded";
    size_t row = 3 * (size_t)picture->width, bytes = row * (size_t)picture->height,
           between = (size_t)picture->row_bytes;
    s->image = (s->image + 1) % IMAGES;
    image_buffer *b = &s->images[s->image];
    SAMC__TRY(image_room(s, b, bytes));
    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(s->upload, b->read, 0), doing);
    if (bytes <= PINNED_IMAGE) {
        SAMC__CUDA_TRY(s->error, cudaEventSynchronize(b->arrived),
                       doing); /* what this memory held went up IMAGES images ago */
        SAMC__TRY(grow_pinned(s, &b->pinned, &b->pinned_bytes, bytes));
        gather_together(exec, b->pinned, (const char *)picture->pixels, between, row, 0, bytes);
        SAMC__CUDA_TRY(s->error, cudaMemcpyAsync(b->memory, b->pinned, bytes, cudaMemcpyHostToDevice, s->upload),
                       doing);
    } else {
        SAMC__TRY(
            upload_on(exec, s->upload, (char *)b->memory, picture->pixels, between, row, (size_t)picture->height));
    }
    SAMC__CUDA_TRY(s->error, cudaEventRecord(b->arrived, s->upload), doing);
    SAMC__CUDA_TRY(s->error, cudaStreamWaitEvent(l->cuda.stream, b->arrived, 0), doing);
    *pixels = b->memory;
    *pitch = (ptrdiff_t)row;
    return SAMC_OK;
}

static samc_status image_read(const samc__exec *exec) {
    samc__cuda_session *s = lane_of(exec)->session;
    return samc__cuda_status(s->error, cudaEventRecord(s->images[s->image].read, exec->cuda->stream),
                             "while an image was encoded");
}

static samc_status wait_for(const samc__exec *exec, const samc__exec *earlier) {
    lane *before = lane_of(earlier);
    SAMC__CUDA_TRY(exec->error, cudaEventRecord(before->reached, before->cuda.stream), "between two streams");
    return samc__cuda_status(exec->error, cudaStreamWaitEvent(exec->cuda->stream, before->reached, 0),
                             "between two streams");
}

static const samc__place place_cuda = {false, allocate,   release,  upload, download, copy,
                                       image, image_read, wait_for, fetch,  fetched};

/* ---- Opening and closing --------------------------------------------------------------------- */

static samc_status open_lane(lane *l, samc__cuda_session *s, const samc__lane_plan *plan) {
    l->session = s;
    l->cuda = (samc__cuda){
        .error = s->error, .capability = s->capability, .cudnn = s->cudnn && l == &s->encode, .reserve = reserve};
    SAMC__CUDA_TRY(s->error, cudaStreamCreateWithFlags(&l->cuda.stream, cudaStreamNonBlocking),
                   "when a stream was made");
    SAMC__CUDA_TRY(s->error, cudaEventCreateWithFlags(&l->reached, cudaEventDisableTiming), "when an event was made");
    const samc__libraries_wanted wanted = {samc__options_cuda_libraries(), true, l->cuda.cudnn};
    SAMC__TRY(samc__libraries_open(&l->cuda.libraries, &wanted, s->error));
    SAMC__TRY(reserve(&l->cuda, plan->scratch));
    return add_chunk(l, plan->arena) ? SAMC_OK
                                     : samc__fail(s->error, SAMC_OUT_OF_MEMORY,
                                                  "not enough GPU memory for a session: %zu bytes", plan->arena);
}

static void close_lane(lane *l) {
    if (l->session == NULL) return;
    if (l->cuda.stream) cudaStreamSynchronize(l->cuda.stream);
    samc__libraries_close(l->cuda.libraries);
    for (int i = 0; i < l->chunk_count; i++) device_free(l->session, l->chunks[i].base, l->chunks[i].bytes);
    device_free(l->session, l->cuda.scratch, l->cuda.scratch_bytes);
    if (l->reached) cudaEventDestroy(l->reached);
    if (l->cuda.stream) cudaStreamDestroy(l->cuda.stream);
}

static samc_status open_slots(samc__cuda_session *s, slot *slots, int count, size_t bytes) {
    for (int i = 0; i < count; i++) {
        void *memory;
        SAMC__CUDA_TRY(s->error, cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), "for pinned memory");
        slots[i].memory = memory;
        SAMC__CUDA_TRY(s->error,
                       cudaEventCreateWithFlags(&slots[i].done, cudaEventDisableTiming | cudaEventBlockingSync),
                       "when an event was made");
    }
    return SAMC_OK;
}

static void close_slots(slot *slots, int count) {
    for (int i = 0; i < count; i++) {
        if (slots[i].done) cudaEventDestroy(slots[i].done);
        if (slots[i].memory) cudaFreeHost(slots[i].memory);
    }
}

static samc_status open_all(samc__cuda_session *s, const samc__session_plan *plan) {
    SAMC__CUDA_TRY(s->error, cudaStreamCreateWithFlags(&s->upload, cudaStreamNonBlocking), "when a stream was made");
    SAMC__CUDA_TRY(s->error, cudaStreamCreateWithFlags(&s->download, cudaStreamNonBlocking), "when a stream was made");
    SAMC__TRY(open_slots(s, s->up, SLOTS, SLOT_BYTES));
    SAMC__TRY(open_slots(s, s->down, SLOTS, SLOT_BYTES));
    SAMC__TRY(open_slots(s, s->notes, NOTES, NOTE_BYTES));
    for (int i = 0; i < SAMC__BOXES; i++)
        SAMC__CUDA_TRY(s->error,
                       cudaEventCreateWithFlags(&s->boxes[i].done, cudaEventDisableTiming | cudaEventBlockingSync),
                       "when an event was made");
    for (int i = 0; i < IMAGES; i++) {
        SAMC__CUDA_TRY(s->error,
                       cudaEventCreateWithFlags(&s->images[i].arrived, cudaEventDisableTiming | cudaEventBlockingSync),
                       "when an event was made");
        SAMC__CUDA_TRY(s->error, cudaEventCreateWithFlags(&s->images[i].read, cudaEventDisableTiming),
                       "when an event was made");
    }
    SAMC__TRY(open_lane(&s->encode, s, &plan->encode));
    SAMC__TRY(open_lane(&s->decode, s, &plan->decode));
    return open_lane(&s->post, s, &plan->post);
}

void samc__cuda_session_close(samc__cuda_session *s) {
    if (s == NULL) return;
    if (s->upload) cudaStreamSynchronize(s->upload);
    if (s->download) cudaStreamSynchronize(s->download);
    close_lane(&s->encode);
    close_lane(&s->decode);
    close_lane(&s->post);
    for (int i = 0; i < IMAGES; i++) {
        device_free(s, s->images[i].memory, s->images[i].bytes);
        if (s->images[i].pinned) cudaFreeHost(s->images[i].pinned);
        if (s->images[i].arrived) cudaEventDestroy(s->images[i].arrived);
        if (s->images[i].read) cudaEventDestroy(s->images[i].read);
    }
    for (int i = 0; i < SAMC__BOXES; i++) {
        if (s->boxes[i].done) cudaEventDestroy(s->boxes[i].done);
        if (s->boxes[i].memory) cudaFreeHost(s->boxes[i].memory);
    }
    close_slots(s->up, SLOTS);
    close_slots(s->down, SLOTS);
    close_slots(s->notes, NOTES);
    if (s->upload) cudaStreamDestroy(s->upload);
    if (s->download) cudaStreamDestroy(s->download);
    free(s);
}

samc_status samc__cuda_session_open(samc__cuda_device *device, const samc_model *model, samc__exec *exec,
                                    samc__exec *encoder, samc__exec *post, samc__session_size *size,
                                    samc__cuda_session **out) {
    for (;;) {
        samc__session_plan plan;
        SAMC__TRY(samc__plan_session(model, *size, &plan, exec->error));
        samc__cuda_session *s = calloc(1, sizeof *s);
        if (s == NULL) return samc__fail(exec->error, SAMC_OUT_OF_MEMORY, "no memory for a session");
        s->error = exec->error;
        s->capability = samc__cuda_capability(device);
        s->cudnn = model->cudnn;
        samc_status status = open_all(s, &plan);
        if (status == SAMC_OK) {
            exec->place = encoder->place = post->place = &place_cuda;
            exec->cuda = &s->decode.cuda;
            encoder->cuda = &s->encode.cuda;
            post->cuda = &s->post.cuda;
            *out = s;
            return SAMC_OK;
        }
        samc__cuda_session_close(s);
        if (status != SAMC_OUT_OF_MEMORY || !samc__smaller_size(size)) return status;
    }
}

void samc__cuda_session_memory(const samc__cuda_session *s, samc_memory *memory) {
    if (s == NULL) return;
    memory->device_current = s->current;
    memory->device_peak = s->peak;
}

int samc__cuda_session_prompts(const samc__cuda_session *s, const samc_model *model, int most, int images, int tokens,
                               bool masked, int kept) {
    const samc__lane_plan lane = {s->decode.chunks[0].bytes, s->decode.cuda.scratch_bytes};
    return samc__plan_prompts(model, &lane, most, images, tokens, masked, kept);
}

/* A sixteenth is left to others, and to what CUDA itself takes. */
samc__session_size samc__cuda_fitting_size(const samc_model *model) {
    size_t free_bytes = 0, total = 0;
    if ((model->device == NULL || samc__cuda_enter(model->device, NULL) == SAMC_OK) &&
        cudaMemGetInfo(&free_bytes, &total) == cudaSuccess)
        return samc__fitting_size(model, free_bytes - free_bytes / 16);
    cudaGetLastError();
    return samc__usual_size(model);
}

size_t samc__cuda_planned_bytes(const samc_model *model, samc__session_size size) {
    samc__session_plan plan;
    if (samc__plan_session(model, size, &plan, NULL) != SAMC_OK) return 0;
    return samc__plan_bytes(&plan);
}

size_t samc__cuda_encode_bytes(const samc_model *model) {
    samc__session_plan plan;
    if (samc__plan_session(model, (samc__session_size){1, 1, 1}, &plan, NULL) != SAMC_OK) return 0;
    return plan.encode.arena + plan.encode.scratch;
}
