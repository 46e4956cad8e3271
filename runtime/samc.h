/* samc: the Segment Anything Model as an inference engine. This header is the whole public interface; of phrases as
 * prompts it is samc_text.h, which this one includes.
 *
 * A complete program: cut out what lies under one pixel of an image.
 *
 *     #include <samc.h>
 *     #include <stdio.h>
 *     #include <stdlib.h>
 *
 *     int main(void) {
 *         static uint8_t pixels[480 * 640 * 3];                     // RGB rows, filled by the caller
 *         samc_error error;
 *         samc_model *model = NULL;
 *         samc_session *session = NULL;
 *         samc_result *result = NULL;
 *         samc_options options = SAMC_INIT(samc_options);
 *         samc_default_options(&options);
 *         if (samc_model_open("samc-tiny.safetensors", &options, &model, &error) != SAMC_OK ||
 *             samc_session_create(model, &session, &error) != SAMC_OK) {
 *             fprintf(stderr, "%s\n", error.message);
 *             return 1;
 *         }
 *         samc_image image = {
 *             .size = sizeof image, .pixels = pixels, .width = 640, .height = 480, .row_bytes = 640 * 3};
 *         float point[2] = {320, 240};
 *         int32_t label = 1;                                        // 1: on the object, 0: not on it
 *         samc_prompt prompt = {.size = sizeof prompt, .points = point, .labels = &label, .point_count = 1};
 *         samc_mask mask = SAMC_INIT(samc_mask);
 *         uint8_t *bytes = malloc(480 * 640);                       // one a pixel, 0 or 1
 *         if (bytes == NULL || samc_set_image(session, &image) != SAMC_OK ||
 *             samc_predict(session, &prompt, 1, true, &result) != SAMC_OK ||
 *             samc_result_mask(session, result, 0, samc_result_best(result, 0), &mask) != SAMC_OK)
 *             fprintf(stderr, "%s\n", samc_last_error(session));
 *         else if (samc_mask_bytes(&mask, bytes, &error) != SAMC_OK)
 *             fprintf(stderr, "%s\n", error.message);
 *         else
 *             printf("%lld pixels, predicted IoU %.3f\n", (long long)mask.area, mask.predicted_iou);
 *         free(bytes);
 *         samc_result_free(result);
 *         samc_session_destroy(session);
 *         samc_model_close(model);
 *     }
 *
 * Ownership: a model is read-only after it was opened and may serve any number of sessions on any threads; it must
 * outlive them. A session is one line of work for one thread at a time, and so is a result: a call while another is at
 * work on it, also from samc_auto()'s callback, fails with SAMC_INVALID_ARGUMENT, "the session is busy" (but
 * samc_session_stop(), samc_last_error(), samc_session_note() and samc_session_memory() may be called at any time).
 * Nothing in the library prints, exits or keeps global state. (Calls on a GPU's model or session leave that GPU as the
 * thread's current device of the CUDA runtime.) Arguments: NULL for an object, an array or a place for a result is
 * SAMC_INVALID_ARGUMENT, and for calls without a status 0, NULL or nothing done; what may be NULL says so. A samc_error
 * may always be NULL. Images have at most 1048576 pixels a side and 2147483647 in all. Numbers: a result that is NaN or
 * infinite is never given out as a mask, an IoU or an embedding. SAMC_NUMERIC says that an image or prompt made it so
 * (f16 overflows beyond 65504), SAMC_DIVERGED that the model does so for any image: its file holds such numbers, or a
 * plain grey image fails too. The low-resolution logits are looked at when a mask is finished. On a GPU, whose work
 * goes on after a call, embeddings are looked at when something made of them was not finite, or when they are read.
 * Coordinates are pixels of the image as given, x to the right and y down, (0, 0) the centre of the top left pixel, as
 * in `SamPredictor` of the original implementation (github.com/facebookresearch/segment-anything).
 */
#ifndef SAMC_H
#define SAMC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SAMC_VERSION "0.2.0"
#define SAMC_ABI 2 /* another number: programs have to be compiled again. The minor version, as long as it is 0.x */

#if defined(__GNUC__)
#define SAMC_API __attribute__((visibility("default")))
#else
#define SAMC_API
#endif

/* ---- Statuses -------------------------------------------------------------------------------- */

/* X(name, text): the only list of statuses; the enum and samc_status_text() come from it. */
#define SAMC_STATUS_LIST(X)                                                                                            \
    X(OK, "ok")                                                                                                        \
    X(INVALID_ARGUMENT, "invalid argument")                                                                            \
    X(OUT_OF_MEMORY, "out of memory")                                                                                  \
    X(IO, "cannot read or write")                                                                                      \
    X(FORMAT, "malformed file")                                                                                        \
    X(UNSUPPORTED, "not supported")                                                                                    \
    X(MISMATCH, "does not fit the model or the image")                                                                 \
    X(NO_IMAGE, "no image was set")                                                                                    \
    X(NO_DEVICE, "no such device")                                                                                     \
    X(INTERNAL, "internal error")                                                                                      \
    X(STOPPED, "stopped on request")                                                                                   \
    X(NUMERIC, "a result is not finite")                                                                               \
    X(DIVERGED, "the model gives no finite results")

typedef enum samc_status {
#define SAMC_STATUS_ENUM(name, text) SAMC_##name,
    SAMC_STATUS_LIST(SAMC_STATUS_ENUM)
#undef SAMC_STATUS_ENUM
} samc_status;

/* One line that says what went wrong and names the file, tensor or argument at fault. It stays as it is. */
typedef struct samc_error {
    samc_status status;
    char message[1024];
} samc_error;

SAMC_API const char *samc_status_text(samc_status status);
SAMC_API const char *samc_version(void);
SAMC_API int samc_abi(void); /* SAMC_ABI of the library, for who does not link it by its name */

/* ---- Structs --------------------------------------------------------------------------------- */

/* A struct that begins with `size` is begun with its size and zeros, by the program also where the library fills it in:
 *     samc_mask mask = SAMC_INIT(samc_mask);
 * Later versions add fields at its end, never elsewhere, and the size says which of them a program was compiled with. A
 * shorter struct is as good: the library takes the defaults of the fields that are not there, and does not write them.
 * A longer one too, where the fields that this library does not know are zero; else that is SAMC_UNSUPPORTED. A size
 * that no version has, 0 above all, is SAMC_INVALID_ARGUMENT. Of an array the first element's size is that of all. */
#ifdef __cplusplus
#define SAMC_INIT(type)                                                                                                \
    ([] {                                                                                                              \
        type samc_own_ = {};                                                                                           \
        samc_own_.size = sizeof(type);                                                                                 \
        return samc_own_;                                                                                              \
    }())
#else
#define SAMC_INIT(type) ((type){.size = sizeof(type)})
#endif

/* ---- Options --------------------------------------------------------------------------------- */

typedef enum samc_backend { SAMC_BACKEND_AUTO, SAMC_BACKEND_REF, SAMC_BACKEND_CPU, SAMC_BACKEND_CUDA } samc_backend;
typedef enum samc_precision {
    SAMC_PRECISION_AUTO,
    SAMC_PRECISION_F32,
    SAMC_PRECISION_F16,
    SAMC_PRECISION_BF16,
    SAMC_PRECISION_INT8
} samc_precision;
typedef enum samc_storage {
    SAMC_STORAGE_KEEP,
    SAMC_STORAGE_F32,
    SAMC_STORAGE_F16,
    SAMC_STORAGE_BF16,
    SAMC_STORAGE_INT8 /* the encoder's large layers; other matrices bf16, the rest f32 */
} samc_storage;

typedef struct samc_options {
    size_t size;
    samc_backend backend;        /* AUTO: the fastest that this machine has */
    samc_precision precision;    /* AUTO: f32 on a CPU, int8 there for a file of 8 bits, bf16 on a GPU; f16 is for GPUs
                                    only, int8 for CPUs. bf16 on a CPU: weights in half the memory, and activations too
                                    where the CPU multiplies bf16 */
    int threads;                 /* 0: one for each processor this process may use; at most 256 */
    int device;                  /* the GPU's number, from 0, where one is used; a model for each where several are */
    bool cudnn;                  /* on a GPU: let cuDNN, where it is installed, compute the neck's 3x3 convolution */
    const char *const *settings; /* NULL, or "NAME=VALUE" and so on, ended by NULL: samc_model_info's settings; of one
                                    name the last counts */
    const char *recipe; /* NULL: what the file says; "sam", "medsam", "micro-sam", or a file (FILE.json, or a path):
                           what lies between an image's pixels and the encoder, and between logits and a mask */
    int image_size; /* 0: what the file says; else the side of the images that the encoder gets, of models whose tensors
                       do not tell it (SAM 2, EfficientViT-SAM) */
} samc_options;

/* The defaults; SAMC_BACKEND and SAMC_THREADS in the environment override them. SAMC_CUDA_LIBRARIES names folders,
 * separated by colons, in which cuBLASLt and cuDNN are looked for where the system's loader does not find them; without
 * cuBLASLt samc's own kernels compute all. */
SAMC_API samc_status samc_default_options(samc_options *options);

/* ---- Models ---------------------------------------------------------------------------------- */

typedef struct samc_model samc_model;

/* What a model is, read from its tensor shapes and metadata. Sizes are in pixels, tokens or channels. */
typedef struct samc_model_info {
    size_t size;
    int image_size;    /* side of the square the longest image side is resized to, 1024 */
    int patch_size;    /* 16 */
    int grid;          /* image_size / patch_size, 64; the embedding is [embed_channels, grid, grid] */
    int encoder_dim;   /* 768 in ViT-B, 1024 in ViT-L, 1280 in ViT-H */
    int encoder_depth; /* blocks */
    int encoder_heads;
    int encoder_mlp_dim;
    int window_size;       /* 14; 0 when every block is global */
    int global_blocks;     /* number of blocks with global attention */
    int embed_channels;    /* channels of the embedding and of the decoder, 256 */
    int decoder_depth;     /* 2 */
    int decoder_heads;     /* 8 */
    int multimask_outputs; /* masks for an ambiguous prompt, 3; 1 where boxes_only */
    int low_res;           /* side of the low-resolution logits, 4 * grid */
    float mask_threshold;  /* logit above which a pixel belongs to the mask, 0 */
    int64_t parameters;
    size_t file_bytes;
    const char *name; /* from the metadata, "" where unknown; these live as long as the model */
    const char *licence;
    const char *card;
    const char *dtype;    /* "f32", "f16", "bf16", "int8" or "mixed", as stored */
    samc_backend backend; /* the one in use */
    samc_precision precision;
    const char *backend_note; /* why AUTO did not take the GPU, or "" */
    const char *file_note;    /* what of the file was ignored, narrowed or chosen, in one line, or "" */
    int threads;
    size_t weight_bytes;       /* in memory; on the GPU with --backend cuda */
    double encode_flops;       /* floating point operations to encode one image, whatever its size; 0 where unknown */
    size_t encode_bytes;       /* working memory to encode one image, beside the weights */
    size_t predict_bytes;      /* working memory for one batch of one-point prompts */
    size_t device_bytes;       /* of the GPU's memory that a session takes when it is created; 0 on a CPU */
    const char *settings;      /* what samc_options can set of such models and what it is here: "NAME=VALUE,..." */
    const char *changed;       /* of these the ones that the file says otherwise, and image_size=N where the caller gave
                                * another than the file's; "" for none: results depend on them */
    const char *arithmetic;    /* "f32 by AVX-512", "bf16 by AMX", "f32 on weights of bf16 by AVX2", ...; "" on a GPU */
    const char *recipe;        /* the name of the recipe in use, "custom" for one without */
    const char *recipe_from;   /* where it is known from, in words */
    const char *recipe_fields; /* all of it, as JSON: results depend on it */
    bool boxes_only;           /* the model takes a box and nothing else, and gives one mask for it */
    const char *family;        /* "SAM", "SAM-HQ", "MobileSAM", ... */
    bool squash; /* the image is stretched to the square, not padded: so the low-resolution logits cover it */
    const char *encoder_fields; /* what no tensor tells of the encoder (windows, heads, global blocks), as JSON: results
                                 * depend on it */
} samc_model_info;

/* Opens a model: safetensors, or a PyTorch .pth checkpoint, with SAM's names or Hugging Face's, whatever it is wrapped
 * in; also the index of one in several files, or the folder that Hugging Face's programs wrote it to. `options` may be
 * NULL. On failure *model is NULL and `error` (which may be NULL) says why. */
SAMC_API samc_status samc_model_open(const char *path, const samc_options *options, samc_model **model,
                                     samc_error *error);
SAMC_API void samc_model_close(samc_model *model); /* NULL is allowed */
SAMC_API samc_status samc_model_get_info(const samc_model *model, samc_model_info *info);

/* SHA-256 over the names, shapes, types and values of the tensors, in hexadecimal: equal for a checkpoint and its
 * converted file of the same type. `hex` has room for 65 characters. */
SAMC_API samc_status samc_model_hash(const samc_model *model, char hex[65], samc_error *error);

/* Writes the checkpoint `input`, anything that samc_model_open() takes, as safetensors with the metadata described in
 * weights/FORMAT.md. On success error->message says what was ignored, narrowed or chosen, as samc_model_info's
 * file_note, or is "". */
SAMC_API samc_status samc_convert(const char *input, const char *output, samc_storage storage, samc_error *error);

typedef struct samc_convert_options {
    size_t size;
    samc_storage storage;
    const char *recipe; /* that of samc_options, for the metadata; NULL: what the input says */
    int image_size;     /* the same; 0: what the input says */
} samc_convert_options;

/* The same with more to say; `options` may be NULL. */
SAMC_API samc_status samc_convert_with(const char *input, const char *output, const samc_convert_options *options,
                                       samc_error *error);

/* ---- Sessions -------------------------------------------------------------------------------- */

typedef struct samc_session samc_session;

SAMC_API samc_status samc_session_create(const samc_model *model, samc_session **session, samc_error *error);
SAMC_API void samc_session_destroy(samc_session *session); /* NULL is allowed; from its own callback nothing is done */

/* The message of the last call on this session that failed; "" before any did. Valid until the next call. */
SAMC_API const char *samc_last_error(const samc_session *session);

/* Makes the samc_auto() that runs on this session, or the next one, return SAMC_STOPPED after the points or the
 * encoding it is at. From any thread. */
SAMC_API void samc_session_stop(samc_session *session);

/* Gives back the memory that the session keeps for its next call (at most 64 MB): for whoever is short of it. NULL is
 * allowed. */
SAMC_API void samc_session_trim(samc_session *session);

typedef struct samc_memory {
    size_t size;
    size_t current; /* bytes held by the session now, beside at most 64 MB that it keeps for its next call */
    size_t peak;    /* the most it ever held */
    size_t device_current, device_peak; /* of the GPU's memory, beside the model's weights; 0 on a CPU */
} samc_memory;
SAMC_API samc_status samc_session_memory(const samc_session *session, samc_memory *memory);

/* What the session had to do differently, in one line ("... memory is not enough for 64 prompts at a time; they go 8 at
 * a time"), or "". */
SAMC_API const char *samc_session_note(const samc_session *session);

/* What one operator cost since samc_profile_begin(). */
typedef struct samc_profile_row {
    size_t size;
    const char *name; /* of the operator; a literal */
    int64_t calls;
    double seconds, flops;    /* a multiply-add counts as two; 0 where bytes are what matters */
    samc_precision precision; /* the model's, or f32 of operators that stay in it */
} samc_profile_row;

/* Counts the operators of this session from now on, from zero. */
SAMC_API samc_status samc_profile_begin(samc_session *session);
/* Ends counting. *count: how many operators ran, of which rows are written, at most `capacity`. `rows` and `count` may
 * be NULL. */
SAMC_API samc_status samc_profile_end(samc_session *session, samc_profile_row *rows, int capacity, int *count);

/* ---- Images ---------------------------------------------------------------------------------- */

/* Interleaved 8-bit RGB. `row_bytes` is the distance between rows, at least 3 * width. */
typedef struct samc_image {
    size_t size;
    const uint8_t *pixels;
    int width, height;
    ptrdiff_t row_bytes;
} samc_image;

/* Runs the image encoder; the session keeps the embeddings, not the pixels. Prompts name an image by its index. */
SAMC_API samc_status samc_set_image(samc_session *session, const samc_image *image);
SAMC_API samc_status samc_set_images(samc_session *session, const samc_image *images, int count);

/* The embedding of image `index` as [embed_channels, grid, grid] floats, the original's layout. */
SAMC_API samc_status samc_get_embedding(samc_session *session, int index, float *embedding);
/* Sets one image by its saved embedding and its size in pixels. */
SAMC_API samc_status samc_set_embedding(samc_session *session, const float *embedding, int width, int height);
/* Some models also look at finer features of an image, as SAM-HQ does: further levels, [channels, side, side] floats
 * each; level 0 is the embedding. What level `level` of a model is, and how it is called in files; each of the three
 * may be NULL; SAMC_INVALID_ARGUMENT: there is none, nor any after it. */
SAMC_API samc_status samc_model_level(const samc_model *model, int level, const char **name, int *channels, int *side);
SAMC_API samc_status samc_get_level(samc_session *session, int index, int level, float *values);
/* As samc_set_embedding(), of all `count` levels that the model has. */
SAMC_API samc_status samc_set_levels(samc_session *session, const float *const *levels, int count, int width,
                                     int height);
/* Writes an embedding, all its levels, as safetensors, with the model's hash and precision and the image's size;
 * loading checks the hash, and takes one of another precision with a samc_session_note(). */
SAMC_API samc_status samc_save_embedding(samc_session *session, int index, const char *path);
SAMC_API samc_status samc_load_embedding(samc_session *session, const char *path);
/* The same with values of SAMC_PRECISION_F32 (or AUTO), or in half the bytes of F16 or BF16, rounded to the nearest,
 * ties to even; SAMC_UNSUPPORTED where one is too large for that type. Loading tells by the file. */
SAMC_API samc_status samc_save_embedding_as(samc_session *session, int index, samc_precision type, const char *path);
/* Such a file in memory, of *size bytes that free() takes back; and from memory, where its header may have 64 KB. */
SAMC_API samc_status samc_pack_embedding(samc_session *session, int index, samc_precision type, uint8_t **bytes,
                                         size_t *size);
SAMC_API samc_status samc_unpack_embedding(samc_session *session, const uint8_t *bytes, size_t size);
/* Size in pixels of an image that was set or loaded; `width` or `height` may be NULL. */
SAMC_API samc_status samc_session_image_size(samc_session *session, int index, int *width, int *height);

/* ---- Embeddings ------------------------------------------------------------------------------ */

/* An encoded image as an object of its own, all levels of it, in the host's memory: any session on the same model can
 * be asked about it, on any thread, also several at a time. It is counted, and nothing of it ever changes. */
typedef struct samc_embedding samc_embedding;

/* That of image `index` of a session, which was set or loaded: a copy; the session keeps its own. */
SAMC_API samc_status samc_embedding_of(samc_session *session, int index, samc_embedding **embedding);
/* One reference more; returns its argument. Both take NULL. */
SAMC_API samc_embedding *samc_embedding_keep(samc_embedding *embedding);
SAMC_API void samc_embedding_release(samc_embedding *embedding);
/* Bytes that it takes, with what the first prediction adds and keeps for the next: 18 MB of SAM in f32. */
SAMC_API size_t samc_embedding_bytes(const samc_embedding *embedding);
/* Makes it the one image of a session, for all that is asked of images that were set. */
SAMC_API samc_status samc_embedding_set(samc_session *session, samc_embedding *embedding);

/* ---- Calibration ----------------------------------------------------------------------------- */

/* samc_convert() in 8 bits with the help of images such as the model will see: how large activations become is weighed
 * against the weights that they meet, so that both keep more of their values. Opens `input` on the CPU in f32, with the
 * threads and the recipe of `options` (which may be NULL); 20 to 50 images are enough. Each call's error may be NULL;
 * after a failed image one may go on with others. */
typedef struct samc_calibration samc_calibration;
SAMC_API samc_status samc_calibration_create(const char *input, const samc_options *options,
                                             samc_calibration **calibration, samc_error *error);
SAMC_API samc_status samc_calibration_add(samc_calibration *calibration, const samc_image *image, samc_error *error);
/* Writes what samc_convert() would as SAMC_STORAGE_INT8; without any image added it fails. */
SAMC_API samc_status samc_calibration_convert(const samc_calibration *calibration, const char *output,
                                              samc_error *error);
SAMC_API void samc_calibration_destroy(samc_calibration *calibration); /* NULL is allowed */

/* ---- Prediction ------------------------------------------------------------------------------ */

/* One prompt: any number of points, at most one box, at most one mask; at least one of them. */
typedef struct samc_prompt {
    size_t size;
    const float *points;   /* [point_count, 2], x and y in pixels of the image */
    const int32_t *labels; /* [point_count], 1 on the object, 0 on the background */
    int point_count;
    const float *box;        /* [4], x0 y0 x1 y1, or NULL */
    const float *mask_input; /* [low_res, low_res] logits, usually an earlier result's, or NULL */
    int image;               /* index into the images that were set */
} samc_prompt;

typedef struct samc_result samc_result;

/* Predicts masks for `count` prompts: three for each (multimask) or the one of the single-mask output. A model that
 * takes boxes only (samc_model_info) refuses other prompts, and always gives the one. */
SAMC_API samc_status samc_predict(samc_session *session, const samc_prompt *prompts, int count, bool multimask,
                                  samc_result **result);
/* The same on embeddings [embedding_count] of the session's model instead of the images that were set, which stay:
 * samc_prompt's `image` is an index into these. Prompts of many images, and of many who ask, go in one call. */
SAMC_API samc_status samc_predict_on(samc_session *session, samc_embedding *const *embeddings, int embedding_count,
                                     const samc_prompt *prompts, int count, bool multimask, samc_result **result);
SAMC_API void samc_result_free(samc_result *result); /* NULL is allowed */

SAMC_API int samc_result_prompts(const samc_result *result);
SAMC_API int samc_result_masks(const samc_result *result); /* for each prompt, in the model's order */
/* Low-resolution logits [prompts, masks, low_res, low_res] of the padded square, before any threshold. */
SAMC_API const float *samc_result_logits(const samc_result *result);
/* Predicted IoU [prompts, masks]. */
SAMC_API const float *samc_result_iou(const samc_result *result);
/* Index of the mask with the highest predicted IoU; -1 where there is no such prompt. */
SAMC_API int samc_result_best(const samc_result *result, int prompt);

/* ---- Masks ----------------------------------------------------------------------------------- */

/* Run lengths of masks. Where those of the process need more than 256 MB, the rest lies in a temporary file that has no
 * name. */
typedef struct samc_runs samc_runs;

/* A mask in the size of its image, as samc_result_mask() and samc_auto() give it: what is known of it, and where its
 * run lengths are. A copy is as good as the mask. */
typedef struct samc_mask {
    size_t size;
    int image;  /* index of the image that was set, or of samc_auto()'s images */
    int prompt; /* index of the prompt; -1 of samc_auto() */
    int index;  /* among the prompt's masks, in the model's order; among the image's masks of samc_auto() */
    float predicted_iou;
    float stability_score; /* |logit > threshold + 1| / |logit > threshold - 1|; 0 for an empty mask */
    float object_score;    /* logit of there being an object; 0 of models that have none */
    const char *label;     /* what it shows, by models that name it; else NULL */
    int64_t area;          /* pixels */
    int bbox[4];     /* x, y of the first, x1 - x0 and y1 - y0 of the inclusive corners, as the original; 0 if empty */
    int crop_box[4]; /* x, y, width, height of what the model saw of the image: all of it, or a crop of samc_auto() */
    double point[2]; /* that samc_auto() tried, in pixels of the image; 0, 0 of samc_predict() */
    int width, height; /* of the image */
    samc_runs *runs;
    int64_t runs_at;     /* where this mask's begin in there */
    size_t rle_length;   /* characters of its COCO string, without the NUL */
    size_t count_length; /* run lengths */
    int phrase;          /* index of `label` among the phrases; of no meaning where there is no label */
    float score;         /* of the label, 0 to 1 */
    float box[4]; /* x0 y0 x1 y1 in pixels, that a phrase was found in and the mask asked for with; 0 where there is
                     none */
} samc_mask;

/* One mask of a result. Its run lengths stay with the result: they are made once, and gone with it unless
 * samc_runs_keep() says otherwise. */
SAMC_API samc_status samc_result_mask(samc_session *session, samc_result *result, int prompt, int index,
                                      samc_mask *mask);

/* The mask as [height, width] bytes, 0 or 1. Like the next two it can be called from any thread, as long as there are
 * its run lengths. Errors: no memory; the temporary file cannot be read. */
SAMC_API samc_status samc_mask_bytes(const samc_mask *mask, uint8_t *bytes, samc_error *error);
/* COCO's compressed run lengths, the string that pycocotools reads and writes. `rle` has room for mask->rle_length + 1
 * characters. */
SAMC_API samc_status samc_mask_rle(const samc_mask *mask, char *rle, samc_error *error);
/* The run lengths as numbers: column-major, background first. `counts` is [mask->count_length]. */
SAMC_API samc_status samc_mask_counts(const samc_mask *mask, uint32_t *counts, samc_error *error);

/* Keeps run lengths beyond the result that they belong to, or the callback of samc_auto(), until as many releases; with
 * them a copy of a mask stays good, on any thread, also after the session is gone. Returns its argument. Both take
 * NULL. */
SAMC_API samc_runs *samc_runs_keep(samc_runs *runs);
SAMC_API void samc_runs_release(samc_runs *runs);

/* Mask `index` of an array that the library gave: its masks are as far apart as the first one's size says. */
static inline const samc_mask *samc_mask_at(const samc_mask *masks, int index) {
    return (const samc_mask *)(const void *)((const char *)masks + (size_t)index * masks->size);
}

/* ---- Every mask of an image ------------------------------------------------------------------ */

/* Points in [0, 1], x then y, that are scaled to each crop; at least one. */
typedef struct samc_point_grid {
    size_t size;
    const double *xy; /* [count, 2] */
    int count;
} samc_point_grid;

/* Sides of an image, bits. */
enum { SAMC_SIDE_LEFT = 1, SAMC_SIDE_TOP = 2, SAMC_SIDE_RIGHT = 4, SAMC_SIDE_BOTTOM = 8, SAMC_SIDE_ALL = 15 };

/* SamAutomaticMaskGenerator's arguments under their own names. A threshold <= 0 turns its filter off, as there. */
typedef struct samc_auto_options {
    size_t size;
    int points_per_side;    /* 32; points_per_side^2 prompts */
    int points_per_batch;   /* 0: as many prompts are decoded together as is good, 64 on a CPU, on a GPU as many as its
                             * memory holds, up to 1024; else at most that many. Speed and memory, never the result */
    double pred_iou_thresh; /* 0.88 */
    double stability_score_thresh;      /* 0.95 */
    double stability_score_offset;      /* 1.0 */
    double box_nms_thresh;              /* 0.7 */
    int crop_n_layers;                  /* 0; layer i cuts the image into 4^i crops */
    double crop_nms_thresh;             /* 0.7 */
    double crop_overlap_ratio;          /* 512 / 1500 of the image's shorter side */
    int crop_n_points_downscale_factor; /* 1; layer i has points_per_side / factor^i points a side */
    const samc_point_grid *point_grids; /* NULL, or [crop_n_layers + 1] grids that replace points_per_side */
    int min_mask_region_area;           /* 0; smaller holes and islands are removed, in pixels */
    const char *temporary_folder;       /* NULL is /var/tmp; for run lengths beyond 256 MB, see samc_runs */
    /* NULL, or called from the thread of samc_auto() when masks of some more points are made: `done` of the `total`
     * points of image `image`, of all its crops. It may wait, so that other work goes first; what it returns other than
     * SAMC_OK ends samc_auto() with that status. */
    samc_status (*progress)(void *context, int image, int64_t done, int64_t total);
    void *progress_context;
    bool multimask_output; /* true; else the one mask of the single-mask output of each point */
    bool use_m2m; /* false; each mask is asked for once more, with itself as the mask input and one mask for answer */
    unsigned cut_sides; /* 0; SAMC_SIDE_... of the images that are no edge of what they show, since they are cut out of
                         * something larger: masks near these are dropped, as those near a crop's own sides are */
} samc_auto_options;

/* The original's defaults, or those that the model's metadata gives instead. `model` may be NULL. */
SAMC_API samc_status samc_default_auto_options(const samc_model *model, samc_auto_options *options);

/* Whether samc_auto() would take these options; the error names what is wrong. */
SAMC_API samc_status samc_auto_check(const samc_auto_options *options, samc_error *error);

/* How many masks were left after each step, and where the time went. */
typedef struct samc_auto_stats {
    size_t size;
    int64_t crops, prompts, masks; /* masks = prompts * multimask_outputs */
    int64_t after_iou, after_stability, after_edge, after_nms, kept;
    double encode_seconds, decode_seconds, post_seconds;
} samc_auto_stats;

/* Called once for each image, in order, with its masks by descending predicted IoU; they are valid during the call, and
 * their run lengths as long as samc_runs_keep() says. What it returns other than SAMC_OK ends samc_auto() with
 * that status. */
typedef samc_status (*samc_auto_callback)(void *context, int image, const samc_mask *masks, int count,
                                          const samc_auto_stats *stats);

/* Every mask of every image: a grid of points, filtered by predicted IoU, stability, crop edges and overlap. Replaces
 * the images of the session, which has none afterwards; `options` may be NULL. On a GPU images are encoded while the
 * masks of those before them are made. */
SAMC_API samc_status samc_auto(samc_session *session, const samc_image *images, int count,
                               const samc_auto_options *options, samc_auto_callback callback, void *context);

/* ---- Machine --------------------------------------------------------------------------------- */

/* What samc could use on this machine, in words: "avx2 fma avx512f ...", and the first CUDA device or why there is
 * none. */
typedef struct samc_machine {
    size_t size;
    int processors; /* that this process may use */
    char cpu[256];
    char cuda[256];
    bool has_cuda;
    bool cuda_driver;        /* the driver's library is installed, though perhaps without a device */
    bool cuda_built;         /* this build can use one */
    int cuda_devices;        /* how many there are for this build to use */
    const char *bf16, *int8; /* what the CPU multiplies these with, for models opened in such a precision */
} samc_machine;
SAMC_API samc_status samc_get_machine(samc_machine *machine);

/* Of NVIDIA's optional libraries, path and version of what the loader or SAMC_CUDA_LIBRARIES has, or why there is
 * nothing; `size` bytes each, 512 are enough; NULL is left out. Opens them, which takes half a gigabyte of address
 * space for as long as the call. */
SAMC_API void samc_get_cuda_libraries(char *cublaslt, char *cudnn, size_t size);

/* f32 GFLOP/s of `threads` threads that do nothing but multiply-adds from registers with the widest vectors of this
 * CPU, by their processor time: the ceiling that every other figure is a share of; of as many as there are processors
 * at most. Takes about half a second; 0 if no thread could be started. */
SAMC_API double samc_measure_peak(int threads);

/* The same for each type of factors that a model can be opened in, with the fastest instruction that this CPU has, the
 * kernel permits and SAMC_CPU_CAPS allows: 1e9 operations a second, a multiply-add counted as two; 0 and "" where there
 * is none for the type. Takes about half a second. */
typedef struct samc_peaks {
    size_t size;
    double f32, bf16, int8;
    const char *f32_by, *bf16_by, *int8_by; /* the instructions' names; literals */
} samc_peaks;
SAMC_API samc_status samc_measure_peaks(int threads, samc_peaks *peaks);

#ifdef __cplusplus
}
#endif

#include "samc_text.h"
#endif
