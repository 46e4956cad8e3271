/* Every allocation of opening a model, encoding and predicting fails once, and then all those that would hold more than
 * a limit together, for limits up to what the work needs: each time a status comes back, nothing crashes or leaks, and
 * the next try with memory works. The second way is what a machine does; it meets code that tries again with less.
 *
 * samc's own calls are intercepted by the linker (--wrap), OpenSSL's through its hook. A plain program, because
 * Criterion allocates too. */
#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/samc.h"
#include "tests/rungs.h"
#include "weights/reader.h"

static long allocations;                   /* since the last reset */
static long failing;                       /* the number of the one that fails; 0: none */
static long live;                          /* blocks of samc that were not freed */
static size_t held, peak, most = SIZE_MAX; /* bytes in them, the most so far, and the limit */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t size);
void __real_free(void *block);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument);

static bool fails(void) { return ++allocations == failing; }
static void uncounted(void *block) {
    live -= block != NULL;
    held -= block ? malloc_usable_size(block) : 0;
}
static void *counted(void *block) {
    live += block != NULL;
    held += block ? malloc_usable_size(block) : 0;
    if (held <= most) {
        if (held > peak) peak = held;
        return block;
    }
    uncounted(block);
    __real_free(block);
    return NULL;
}

void *__wrap_malloc(size_t size) { return fails() ? NULL : counted(__real_malloc(size)); }
void *__wrap_calloc(size_t count, size_t size) { return fails() ? NULL : counted(__real_calloc(count, size)); }
void *__wrap_realloc(void *block, size_t size) {
    if (fails() || (size > (block ? malloc_usable_size(block) : 0) && held + size > most)) return NULL;
    uncounted(block);
    return counted(__real_realloc(block, size));
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    return fails() ? NULL : counted(__real_aligned_alloc(alignment, size));
}
int __wrap_posix_memalign(void **block, size_t alignment, size_t size) {
    void *own = NULL;
    if (fails() || __real_posix_memalign(&own, alignment, size) != 0 || counted(own) == NULL) return ENOMEM;
    *block = own;
    return 0;
}
char *__wrap_strdup(const char *text) { return fails() ? NULL : counted(__real_strdup(text)); }
char *__wrap_strndup(const char *text, size_t size) { return fails() ? NULL : counted(__real_strndup(text, size)); }
void __wrap_free(void *block) {
    uncounted(block);
    __real_free(block);
}
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    return fails() ? 11 /* EAGAIN */ : __real_pthread_create(thread, attributes, start, argument);
}

static void *crypto_malloc(size_t size, const char *file, int line) {
    return (void)file, (void)line, fails() ? NULL : __real_malloc(size);
}
static void *crypto_realloc(void *block, size_t size, const char *file, int line) {
    return (void)file, (void)line, fails() ? NULL : __real_realloc(block, size);
}
static void crypto_free(void *block, const char *file, int line) { (void)file, (void)line, __real_free(block); }

static samc_status take_all(void *context, int image, const samc_mask *masks, int count, const samc_auto_stats *stats) {
    (void)context, (void)image, (void)stats;
    for (int i = 0; i < count; i++) {
        samc_error error;
        char *rle = malloc(masks[i].rle_length + 1);
        samc_status status = rle ? samc_mask_rle(&masks[i], rle, &error) : SAMC_OUT_OF_MEMORY;
        free(rle);
        if (status != SAMC_OK) return status;
    }
    return SAMC_OK;
}

/* Opens, hashes, encodes, predicts with every kind of prompt, finishes a mask, saves and loads the embedding (a file,
 * memory), makes automatic masks. */
static samc_status work(const char *model_path, const char *scratch, char message[1024]) {
    enum { WIDTH = 40, HEIGHT = 30 };
    static uint8_t pixels[WIDTH * HEIGHT * 3], mask[WIDTH * HEIGHT];
    static float mask_input[256 * 256];
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_REF, .precision = SAMC_PRECISION_F32, .threads = 2};
    samc_error error = {0};
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_result *result = NULL;
    char hex[65];
    uint8_t *packed = NULL;
    size_t packed_size = 0;
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 37);
    samc_image image = {sizeof(samc_image), pixels, WIDTH, HEIGHT, WIDTH * 3};
    float points[4] = {10, 10, 20, 20}, box[4] = {5, 5, 30, 25};
    int32_t labels[2] = {1, 0};
    struct {
        samc_prompt own;
        int64_t later; /* as of a newer header: the library makes an array of its own of them */
    } prompts[3] = {{{.size = sizeof *prompts, .points = points, .labels = labels, .point_count = 2}, 0},
                    {{.box = box}, 0},
                    {{.box = box, .mask_input = mask_input}, 0}};
    samc_status status = samc_model_open(model_path, &options, &model, &error);
    if (status == SAMC_OK) status = samc_model_hash(model, hex, &error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, &error);
    if (session != NULL) {
        status = samc_set_image(session, &image);
        if (status == SAMC_OK) status = samc_predict(session, &prompts[0].own, 3, true, &result);
        samc_mask found = SAMC_INIT(samc_mask);
        if (status == SAMC_OK) status = samc_result_mask(session, result, 2, 1, &found);
        if (status == SAMC_OK) status = samc_mask_bytes(&found, mask, &error);
        if (status == SAMC_OK) status = samc_save_embedding(session, 0, scratch);
        if (status == SAMC_OK) status = samc_load_embedding(session, scratch);
        if (status == SAMC_OK) status = samc_pack_embedding(session, 0, SAMC_PRECISION_F16, &packed, &packed_size);
        if (status == SAMC_OK) status = samc_unpack_embedding(session, packed, packed_size);
        free(packed);
        samc_auto_options few = SAMC_INIT(samc_auto_options);
        samc_default_auto_options(NULL, &few);
        few.points_per_side = 1;
        few.crop_n_layers = 1;
        few.min_mask_region_area = 20;
        few.pred_iou_thresh = few.stability_score_thresh = 0.0;
        if (status == SAMC_OK) status = samc_auto(session, &image, 1, &few, take_all, NULL);
    }
    snprintf(message, 1024, "%s",
             session && status != SAMC_OK && error.status == SAMC_OK ? samc_last_error(session) : error.message);
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
    return status;
}

/* Opens the model in bf16 on a rung of 16 bits, encodes and predicts. */
static samc_status work_low(const char *model_path, const char *scratch, char message[1024]) {
    static uint8_t pixels[8 * 8 * 3];
    samc_options options = {
        .size = sizeof(samc_options), .backend = SAMC_BACKEND_CPU, .precision = SAMC_PRECISION_BF16, .threads = 1};
    samc_error error = {0};
    samc_model *model = NULL;
    samc_session *session = NULL;
    samc_result *result = NULL;
    const samc_image image = {sizeof(samc_image), pixels, 8, 8, 24};
    float box[4] = {1, 1, 6, 7};
    const samc_prompt prompt = {.size = sizeof prompt, .box = box};
    (void)scratch;
    samc_status status = samc_model_open(model_path, &options, &model, &error);
    if (status == SAMC_OK) status = samc_session_create(model, &session, &error);
    if (status == SAMC_OK) status = samc_set_image(session, &image);
    if (status == SAMC_OK) status = samc_predict(session, &prompt, 1, true, &result);
    snprintf(message, 1024, "%s", session && status != SAMC_OK ? samc_last_error(session) : error.message);
    samc_result_free(result);
    samc_session_destroy(session);
    samc_model_close(model);
    return status;
}

/* Opens a file in Hugging Face's layout under a prefix, with an average and tensors beside it: names change, tensors
     are dropped. */
static samc_status open_wrapped(const char *model_path, const char *scratch, char message[1024]) {
    static const char *const names[] = {"a.vision_encoder.patch_embed.projection.weight",
                                        "a.shared_image_embedding.positional_embedding",
                                        "a.prompt_encoder.point_embed.0.weight",
                                        "a.mask_decoder.mask_tokens.weight",
                                        "a.mask_decoder.iou_prediction_head.proj_out.bias",
                                        "ema.image_encoder.patch_embed.proj.weight",
                                        "ema.prompt_encoder.no_mask_embed.weight",
                                        "ema.mask_decoder.mask_tokens.weight",
                                        "head.weight"};
    char file[4096] = "", *at = file + 8;
    samc_error error = {0};
    samc__checkpoint *checkpoint = NULL;
    (void)model_path, (void)scratch;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        at += sprintf(at, "%c\"%s\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":[%zu,%zu]}", i ? ',' : '{',
                      names[i], 8 * i, 8 * i + 8);
    at += sprintf(at, "}");
    uint64_t length = (uint64_t)(at - file - 8);
    memcpy(file, &length, sizeof length);
    size_t size = (size_t)(at - file) + 8 * sizeof names / sizeof *names;
    samc_status status = samc__checkpoint_open_memory(file, size, "wrapped", &checkpoint, &error);
    if (status == SAMC_OK &&
        (samc__checkpoint_count(checkpoint) != 5 ||
         samc__checkpoint_find(checkpoint, "mask_decoder.iou_prediction_head.layers.1.bias") == NULL ||
         strcmp(samc__checkpoint_note(checkpoint),
                "the model under a is used, not its average under ema; "
                "1 tensor outside the model is ignored: head.weight; 5 tensors of f64 narrowed to f32") != 0))
        status =
            samc__fail(&error, SAMC_MISMATCH, "other tensors or another note: %s", samc__checkpoint_note(checkpoint));
    samc__checkpoint_close(checkpoint);
    snprintf(message, 1024, "%s", error.message);
    return status;
}

typedef samc_status work_function(const char *model_path, const char *scratch, char message[1024]);

/* Lets each allocation of the work fail in turn. Returns how many answers were wrong. */
static long fail_each(work_function *work, const char *what, const char *model, const char *scratch, long least) {
    char message[1024];

    /* Twice: libraries keep what they set up on first use. */
    samc_status status = work(model, scratch, message);
    live = allocations = 0;
    held = peak = 0;
    if (status == SAMC_OK) status = work(model, scratch, message);
    enum { LIMITS = 150 };
    long total = allocations, failed = 0, short_of = 0;
    if (status != SAMC_OK || live != 0) {
        printf("without faults: %s (%s), %ld blocks left\n", samc_status_text(status), message, live);
        return 1;
    }
    size_t needed = peak;
    for (long n = 1; n <= total + LIMITS && failed < 10; n++) {
        live = allocations = 0;
        failing = n <= total ? n : 0;
        held = 0;
        most = n <= total ? SIZE_MAX : needed * (size_t)(n - total) / LIMITS - 1;
        message[0] = 0;
        status = work(model, scratch, message);
        failing = 0;
        most = SIZE_MAX;
        /* OpenSSL survives some failures of its own allocations; then the work must have been done. */
        if (status != SAMC_OK && message[0] == 0) printf("allocation %ld: status without a message\n", n), failed++;
        if (live != 0) printf("allocation %ld: %ld blocks leaked (%s)\n", n, live, message), failed++;
        if (status != SAMC_OK && status != SAMC_OUT_OF_MEMORY)
            printf("allocation %ld: %s instead of out of memory (%s)\n", n, samc_status_text(status), message),
                failed++;
        if (n > total && status != SAMC_OK) short_of++;
    }
    live = allocations = 0;
    if (work(model, scratch, message) != SAMC_OK) printf("after the faults: %s\n", message), failed++;
    printf("%s: %ld allocations failed in turn, %ld of %d limits were too low, %ld wrong answers\n", what, total,
           short_of, LIMITS, failed);
    return failed + (total < least) + (short_of < LIMITS / 5);
}

int main(void) {
    char scratch[] = "fault_test.XXXXXX";
    int file = mkstemp(scratch);
    if (file < 0 || !CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free)) return 1;
    if (setenv("SAMC_CPU_CAPS", low_rungs[0], 1) != 0) return 1;
    long wrong = fail_each(work, "a model", SAMC_TEST_DATA "/golden/tiny.safetensors", scratch, 20) +
                 fail_each(work_low, "a model in bf16", SAMC_TEST_DATA "/golden/tiny.safetensors", scratch, 20) +
                 fail_each(open_wrapped, "wrappers", "", scratch, 10);
    remove(scratch);
    return wrong != 0;
}
