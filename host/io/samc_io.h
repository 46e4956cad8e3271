/* samc_io: what a program around samc needs: images in, prompts in, masks out, and whole archives of images.
 *
 * A complete program: every mask of one photograph, as a COCO data set.
 *
 *     #include <samc_io.h>
 *     #include <stdio.h>
 *
 *     int main(int argc, char **argv) {
 *         samc_error error = {0};
 *         samc_model *model = NULL;
 *         samc_session *session = NULL;
 *         samc_archive *archive = NULL;
 *         samc_archive_options options = SAMC_INIT(samc_archive_options);
 *         const char *inputs[1] = {argc > 1 ? argv[1] : "photo.jpg"}; // or folders, tar files, lists
 *         samc_status status = samc_archive_default_options(&options, &error);
 *         options.inputs = inputs;
 *         options.input_count = 1;
 *         options.output = "out"; // gets annotations.json
 *         options.formats = SAMC_OUTPUT_COCO;
 *         if (status == SAMC_OK) status = samc_archive_open(&options, &archive, &error);
 *         if (status == SAMC_OK) status = samc_model_open("samc-tiny.safetensors", NULL, &model, &error);
 *         if (status == SAMC_OK) status = samc_archive_begin(archive, model, NULL, &error);
 *         if (status == SAMC_OK) status = samc_session_create(model, &session, &error);
 *         if (status == SAMC_OK) status = samc_archive_run(archive, &session, 1, NULL, &error);
 *         if (status != SAMC_OK) fprintf(stderr, "%s\n", error.message);
 *         samc_archive_close(archive);
 *         samc_session_destroy(session);
 *         samc_model_close(model);
 *         return status != SAMC_OK;
 *     }
 *
 * As in samc.h nothing here prints, exits or keeps global state, NULL for an object, an array or a place for a result
 * is SAMC_INVALID_ARGUMENT, a samc_error may always be NULL, and a struct that begins with `size` is begun by the
 * program with its size and zeros, also where the library fills it in. Errors name the file and the reason. Calls can
 * be made from any thread, on one object from one thread at a time, but where it says otherwise. Memory that a call
 * gives to be freed goes back by samc_io_free(), or by free(). Bytes from outside are taken for hostile: whatever they
 * are, the answer is a result or an error. libsamc_io needs libsamc, libjpeg, giflib, zlib, jansson and libarchive.
 * Text beyond 256 MB of the process goes to temporary files without names, as run lengths do in libsamc; where the
 * libraries are shared ones, each counts its own. */
#ifndef SAMC_IO_H
#define SAMC_IO_H

#include <samc.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Frees what a call of this header gave. NULL is allowed. */
SAMC_API void samc_io_free(void *memory);

/* ---- Images ---------------------------------------------------------------------------------- */

/* The most pixels that an image may have here: 2^29 bytes of RGB. A file has at most 2^29 bytes. */
#define SAMC_IMAGE_MOST_PIXELS ((int64_t)178956970)

/* An image as 8-bit RGB, upright (EXIF orientation is applied): the pixels that Pillow (below 12.2) decodes. The
 * formats of samc_image_format() are found by their bytes, TGA by `name` or its footer. Grey and
 * palettes become RGB, alpha is dropped, CMYK converts as Pillow does; 16-bit values and floats are scaled, see
 * samc_samples_scale(). An image that is cut off is an error. `most_pixels` bounds what the header may ask for before
 * anything is decoded; 0: SAMC_IMAGE_MOST_PIXELS, which is also the most. The pixels go back by samc_image_free();
 * after a failure there are none. `path`: a regular file, or "-", the standard input. */
SAMC_API samc_status samc_image_load(const char *path, int64_t most_pixels, samc_image *image, samc_error *error);
/* The same from a file descriptor, which is read to its end from where it stands, and left open; it may be a pipe or a
 * socket. `name` stands in messages. */
SAMC_API samc_status samc_image_read(int descriptor, const char *name, int64_t most_pixels, samc_image *image,
                                     samc_error *error);
/* The same from memory. */
SAMC_API samc_status samc_image_decode(const void *bytes, size_t size, const char *name, int64_t most_pixels,
                                       samc_image *image, samc_error *error);
SAMC_API void samc_image_free(samc_image *image); /* one of these calls' own; NULL is allowed */
/* Reads what the libraries want to have from files, else read when the first image wants it (DICOM's dictionary): for a
 * process that gives up the right to open files. */
SAMC_API void samc_image_prepare(void);

/* Samples of more than 8 bits become the 8 bits that models take by a scale, once for a whole image and before anything
 * that a model's recipe does with pixels:
 *   "minmax"      from the least to the greatest sample
 *   "P0.5-99.5"   from one percentile to another, as numpy.percentile(values as float64, [0.5, 99.5]) has them
 *   "A,B"         from A to B, which are samples' values, A < B
 *   "high-byte"   the upper 8 of the bits that count; of whole numbers alone
 *   "window:C,W"  DICOM's window of centre C and width W (PS3.3, C.11.2.1.2), W at least 1; "window-exact:C,W" and
 *                 "window-sigmoid:C,W" are LINEAR_EXACT and SIGMOID; "window:soft-tissue" (40,400), "window:lung"
 *                 (-600,1500), "window:bone" (400,1800), "window:brain" (40,80)
 *   "window:auto" of CT in DICOM 40,400, else percentiles 0.5 and 99.5 of the samples above 0, as MedSAM was trained
 *   NULL or ""    what a DICOM asks for (its first window, or a table), else high-byte of colours of 16 bits and minmax
 * All channels count together, so that colours keep their proportions. All but high-byte and windows is, in double
 * precision, floor((sample - low) * 255 / (high - low) + 0.5), held within 0 to 255; where low is high, every byte is
 * 0. A sample that is NaN or infinite counts for nothing, and becomes 0. Samples of 8 bits are what they are, whatever
 * the scale.
 */
typedef enum samc_sample { SAMC_SAMPLE_U8, SAMC_SAMPLE_U16, SAMC_SAMPLE_F32 } samc_sample;

/* A scale that was applied. */
typedef struct samc_scale {
    size_t size;
    const char *name; /* "minmax", "percentiles", "range", "high-byte", "window", "window-exact", "window-sigmoid",
                         "table" (of a DICOM) or "auto", a literal; NULL: samples of 8 bits */
    double low, high; /* the values that became 0 and 255; low is above high where a DICOM's greatest value is black */
    int sample;       /* samc_sample */
} samc_scale;

/* Whether a scale's text is one of these; the error says what is. */
SAMC_API samc_status samc_scale_check(const char *scale, samc_error *error);
/* As JSON, for records of what was done: {"name": "minmax", "low": 3.0, "high": 4095.0, "samples": "u16"}. */
SAMC_API samc_status samc_scale_json(const samc_scale *scale, char json[160], samc_error *error);

/* An image in memory whose samples are wider than samc_image's. */
typedef struct samc_samples {
    size_t size;
    const void *values; /* [height, width, channels] of the machine's byte order */
    int width, height;
    int channels;        /* 1 or 3 */
    ptrdiff_t row_bytes; /* from a row to the next */
    int sample;          /* samc_sample */
    int bits;            /* of SAMC_SAMPLE_U16: how many count, 9 to 16; 0: 16 */
} samc_samples;

/* Fills rgb [height, width, 3]. `applied`: what was done, or NULL. */
SAMC_API samc_status samc_samples_scale(const samc_samples *samples, const char *scale, uint8_t *rgb,
                                        samc_scale *applied, samc_error *error);

/* How an image file is read. */
typedef struct samc_image_options {
    size_t size;
    int64_t most_pixels; /* 0: SAMC_IMAGE_MOST_PIXELS */
    const char *scale;   /* as above */
    int page;            /* of a document, or frame of an animation, from 0 */
} samc_image_options;

/* As the three above, with more to say; `options` and `applied` may be NULL. */
SAMC_API samc_status samc_image_load_with(const char *path, const samc_image_options *options, samc_image *image,
                                          samc_scale *applied, samc_error *error);
SAMC_API samc_status samc_image_read_with(int descriptor, const char *name, const samc_image_options *options,
                                          samc_image *image, samc_scale *applied, samc_error *error);
SAMC_API samc_status samc_image_decode_with(const void *bytes, size_t size, const char *name,
                                            const samc_image_options *options, samc_image *image, samc_scale *applied,
                                            samc_error *error);

/* What a file's header promises. */
typedef struct samc_image_header {
    size_t size;
    int64_t width, height; /* as stored: turning the image upright may swap them */
    int64_t peak_bytes;    /* the most that is allocated while it is decoded, the pixels included */
    const char *format;    /* "JPEG", ...; a literal */
    int pages;             /* of a document, or frames of an animation, that can be asked for; at least 1 */
} samc_image_header;

/* Reads the header alone: nothing is decoded and no limit applies, but both sides are positive. */
SAMC_API samc_status samc_image_read_header(const void *bytes, size_t size, const char *name, samc_image_header *header,
                                            samc_error *error);

/* The formats in the order in which they are tried: "JPEG", "PNG", ...; NULL from the end of the list on. */
SAMC_API const char *samc_image_format(int index);
/* The library that decodes a format, "libjpeg-turbo 2.1.5", or "" where it is samc's own code. */
SAMC_API const char *samc_image_decoder(int index);

/* ---- Run lengths ----------------------------------------------------------------------------- */

/* A mask as COCO has it: runs of zeros and ones in turn, down the columns, beginning with (possibly no) zeros. */
typedef struct samc_rle {
    size_t size;
    int width, height;
    size_t count;
    uint32_t *counts; /* [count], which add up to width * height; samc_rle_free()'s where the library made them */
} samc_rle;

/* mask: [height, width] bytes, 0 or not 0; fewer than 2^32 pixels. */
SAMC_API samc_status samc_rle_from_bytes(const uint8_t *mask, int width, int height, samc_rle *rle, samc_error *error);
/* bits: [height, (width + 7) / 8] bytes, each eight pixels from its highest bit down, as numpy.packbits() and PBM files
 * have them. What lies beyond the width is not looked at. */
SAMC_API samc_status samc_rle_from_bits(const uint8_t *bits, int width, int height, samc_rle *rle, samc_error *error);
/* pycocotools' compressed string, 0-terminated. SAMC_FORMAT: it is malformed, or not a mask of this size. */
SAMC_API samc_status samc_rle_from_string(const char *string, int width, int height, samc_rle *rle, samc_error *error);
/* Fills mask [height, width] with 0 and 1. SAMC_FORMAT: the counts do not add up to the size; also of what follows. */
SAMC_API samc_status samc_rle_to_bytes(const samc_rle *rle, uint8_t *mask, samc_error *error);
/* Fills bits [height, (width + 7) / 8]; those beyond the width are 0. */
SAMC_API samc_status samc_rle_to_bits(const samc_rle *rle, uint8_t *bits, samc_error *error);
/* *string is 0-terminated and to be freed. */
SAMC_API samc_status samc_rle_to_string(const samc_rle *rle, char **string, samc_error *error);
/* Pixels of the mask, and x, y of the first, x1 - x0 and y1 - y0 of the inclusive corners, as samc_mask has them; all 0
 * of an empty mask. `area` or `bbox` may be NULL. */
SAMC_API samc_status samc_rle_measure(const samc_rle *rle, int64_t *area, int bbox[4], samc_error *error);
SAMC_API void samc_rle_free(samc_rle *rle); /* NULL is allowed */

/* ---- Prompts --------------------------------------------------------------------------------- */

/* A list of prompts that owns its points and boxes. */
typedef struct samc_prompts samc_prompts;

enum { SAMC_MOST_PROMPTS = 65536, SAMC_MOST_POINTS = 4096 /* in one prompt */ };

/* An empty list. */
SAMC_API samc_status samc_prompts_create(samc_prompts **prompts, samc_error *error);
/* A JSON list of {"points": [[x, y], ...], "labels": [1, 0, ...], "box": [x0, y0, x1, y1]}, in pixels. Each entry has
 * points or a box or both; labels default to 1; any other key is an error. At most 64 MiB; "-" is the standard input.
 */
SAMC_API samc_status samc_prompts_read(const char *path, samc_prompts **prompts, samc_error *error);
/* The same from memory; errors name `name`, the entry (from 0) and the reason. */
SAMC_API samc_status samc_prompts_parse(const void *json, size_t size, const char *name, samc_prompts **prompts,
                                        samc_error *error);
SAMC_API void samc_prompts_free(samc_prompts *prompts); /* NULL is allowed */

/* Adds a copy of a prompt. Labels may be NULL for points on the object; a prompt may be a mask alone, whose mask_input
 * is not copied, or nothing at all, whose mask is set later. */
SAMC_API samc_status samc_prompts_add(samc_prompts *prompts, const samc_prompt *prompt, samc_error *error);
/* The [low_res, low_res] logits that prompt `index` begins with; the caller's, for as long as the prompt is used. */
SAMC_API samc_status samc_prompts_set_mask(samc_prompts *prompts, int index, const float *mask_input,
                                           samc_error *error);
/* How many there are, and prompt `index` with those behind it, for samc_predict(); NULL where there is none. Valid
 * until one is added. */
SAMC_API int samc_prompts_count(const samc_prompts *prompts);
SAMC_API const samc_prompt *samc_prompts_at(const samc_prompts *prompts, int index);

/* Refuses points outside an image of this size, which are nearly always a mistake (another scale, x and y swapped), and
 * boxes that do not touch it. Boxes may reach over its edge, as those of detectors do, and are not clipped. */
SAMC_API samc_status samc_prompts_check(const samc_prompts *prompts, const char *name, int width, int height,
                                        samc_error *error);

/* "X,Y" or "X,Y,LABEL" with a label of 0 or 1, which it is without one; "X0,Y0,X1,Y1" with X0 <= X1 and Y0 <= Y1.
 * Decimal numbers and nothing else. */
SAMC_API samc_status samc_parse_point(const char *text, float point[2], int32_t *label, samc_error *error);
SAMC_API samc_status samc_parse_box(const char *text, float box[4], samc_error *error);

/* ---- Files ----------------------------------------------------------------------------------- */

/* A file that is being written: whoever reads it sees it as it was before, or the complete new one. A symbolic link is
 * followed; a pipe, a device and a standard stream are written into as the bytes come. */
typedef struct samc_writer samc_writer;

SAMC_API samc_status samc_writer_open(const char *path, samc_writer **writer, samc_error *error);
/* After a failure nothing of the file is left, and further calls fail. */
SAMC_API samc_status samc_writer_append(samc_writer *writer, const void *bytes, size_t size, samc_error *error);
/* The file gets its name. The writer is gone in any case. */
SAMC_API samc_status samc_writer_commit(samc_writer *writer, samc_error *error);
/* The file never was. NULL is allowed. */
SAMC_API void samc_writer_abandon(samc_writer *writer);
/* Committing waits until the file and its name are on the disk, and what a crash or a power loss leaves is one of the
 * two. */
SAMC_API samc_status samc_writer_sync(samc_writer *writer, samc_error *error);

/* Makes a folder and its parents; existing ones are fine. */
SAMC_API samc_status samc_folder_create(const char *path, samc_error *error);
/* The images in a folder and the folders below it, by the rules of samc_archive (names of image files, hidden ones and
 * archives passed over): *names holds their paths below it, *count texts one behind the other, each 0-terminated, in
 * the order of their bytes; to be freed. */
SAMC_API samc_status samc_folder_list(const char *path, char **names, size_t *count, samc_error *error);

/* Text that is valid UTF-8, for JSON: what is not in `text` (names of files may hold any bytes) becomes U+FFFD. To be
 * freed; NULL without memory. */
SAMC_API char *samc_text_utf8(const char *text);

/* 8-bit PNG: pixels [height, width, channels] of 1 (grey), 3 (RGB) or 4 (RGBA, colour not multiplied by alpha). */
SAMC_API samc_status samc_png_write(const char *path, const uint8_t *pixels, int width, int height, int channels,
                                    samc_error *error);
/* The same to memory: *png [*size], to be freed. */
SAMC_API samc_status samc_png_encode(const uint8_t *pixels, int width, int height, int channels, uint8_t **png,
                                     size_t *size, samc_error *error);

/* NumPy's .npy files. */
typedef struct samc_array {
    size_t size;
    int rank; /* 1 to 4 */
    size_t shape[4];
    float *values; /* [shape[0], ...], row-major; samc_array_free()'s */
} samc_array;

/* Little-endian float16, float32 or float64 in C order, rank 1 to 4, no side zero, at most 1 GiB; "-" is the standard
 * input. */
SAMC_API samc_status samc_npy_read(const char *path, samc_array *array, samc_error *error);
SAMC_API samc_status samc_npy_decode(const void *bytes, size_t size, const char *name, samc_array *array,
                                     samc_error *error);
SAMC_API void samc_array_free(samc_array *array); /* NULL is allowed */

typedef enum samc_npy_type { SAMC_NPY_F32, SAMC_NPY_BOOL } samc_npy_type;

/* A whole file: floats, or bytes 0 and 1 for booleans, [shape[0], ..., shape[rank - 1]], rank 1 to 4. */
SAMC_API samc_status samc_npy_write(const char *path, samc_npy_type type, int rank, const size_t *shape,
                                    const void *values, samc_error *error);
/* Begins such a file; the values follow with samc_writer_append(), which does not count them. */
SAMC_API samc_status samc_npy_begin(const char *path, samc_npy_type type, int rank, const size_t *shape,
                                    samc_writer **writer, samc_error *error);

/* ---- Sessions -------------------------------------------------------------------------------- */

/* Passes SAMC_OK on; else moves the message of the session's failed call to `error`, with `name` (an image's, a file's)
 * in front unless it is there already, and returns `status`. */
SAMC_API samc_status samc_session_check(const samc_session *session, samc_status status, const char *name,
                                        samc_error *error);

/* Saved embeddings, so that an image is encoded once and prompted often: "*.safetensors" holds the model's hash and the
 * image's size, "*.npy" the bare [1, channels, grid, grid] floats. */
typedef enum samc_embedding_format {
    SAMC_EMBEDDING_UNKNOWN,
    SAMC_EMBEDDING_SAFETENSORS,
    SAMC_EMBEDDING_NPY
} samc_embedding_format;
/* By the name's ending. */
SAMC_API samc_embedding_format samc_embedding_format_of(const char *path);
/* Writes the embedding of image 0 of a session on `model`. */
SAMC_API samc_status samc_embedding_save(samc_session *session, const samc_model *model, const char *path,
                                         samc_error *error);
/* The same with values of a type that samc_save_embedding_as() takes; .npy is float32 alone. */
SAMC_API samc_status samc_embedding_save_as(samc_session *session, const samc_model *model, const char *path,
                                            samc_precision type, samc_error *error);
/* Sets image 0 from a file, as that of `image` (its name, for messages) of width x height pixels. What a .safetensors
 * file says of model and size has to fit; of a .npy file the shape alone. */
SAMC_API samc_status samc_embedding_load(samc_session *session, const samc_model *model, const char *path,
                                         const char *image, int width, int height, samc_error *error);

/* ---- Masks ----------------------------------------------------------------------------------- */

/* What masks are written as. Bits, to be combined. */
typedef enum samc_output {
    SAMC_OUTPUT_RLE = 1, /* <name>.json: a bare list of records with the seven keys of amg.py */
    SAMC_OUTPUT_PNG = 2, /* <name>/<i>.png, one picture a mask, with metadata.csv beside them, as amg.py writes them */
    SAMC_OUTPUT_OVERLAY = 4, /* <name>.overlay.png, every mask in its colour */
    SAMC_OUTPUT_JSONL = 8,   /* masks.jsonl, a line an image: {"image", "size", "masks"} */
    SAMC_OUTPUT_COCO = 16,   /* annotations.json, a COCO data set */
    SAMC_OUTPUT_CUTOUT = 32, /* RGBA, the background removed; not of archives */
    SAMC_OUTPUT_NPY = 64,    /* NumPy bool [height, width]; not of archives */
    SAMC_OUTPUT_SA1B = 128,  /* SA-1B's JSON of an image, {"image", "annotations"}: <name without its extension>.json */
    SAMC_OUTPUT_WEBDATASET = 256, /* of archives alone: a tar for each archive, with SA-1B's JSON of each image */
    SAMC_OUTPUT_GPKG = 512,       /* of scenes alone, as the next two: see samc_geo.h */
    SAMC_OUTPUT_GEOJSON = 1024,
    SAMC_OUTPUT_COG = 2048
} samc_output;
enum { SAMC_OUTPUT_ARCHIVE = 31 | SAMC_OUTPUT_SA1B | SAMC_OUTPUT_WEBDATASET }; /* those of archives */

/* A list such as "rle,overlay" as bits; 0 where it is empty or names what is unknown or not `allowed`. */
SAMC_API unsigned samc_outputs_parse(const char *list, unsigned allowed);

/* The masks of an image, of samc_auto(), of prompts or of both. */
typedef struct samc_masks {
    size_t size;
    const char *source;      /* where the image came from: "image" in JSON lines */
    const char *name;        /* "file_name" in COCO; NULL: as the source */
    int width, height;       /* of the image, and of its masks */
    const samc_image *image; /* its pixels, for OVERLAY; else it may be NULL */
    const samc_mask *masks;  /* [count], as far apart as the first one's size says, all of this size */
    int count;
    const samc_phrases *phrases; /* COCO's categories, in this order, where masks have labels; NULL: one, "object". Of
                                    several images the first one's */
    const samc_scale *scale;     /* that the image's samples were brought to 8 bits by, for JSONL, COCO and SA1B; NULL,
                                    or one without a name: they were 8 bits, and nothing is said */
} samc_masks;

/* Writes them to a file, whole or not at all, with the bytes that an archive has of the same images:
 *   SAMC_OUTPUT_JSONL, SAMC_OUTPUT_COCO   `count` images
 *   SAMC_OUTPUT_RLE, SAMC_OUTPUT_OVERLAY, SAMC_OUTPUT_SA1B  one image
 *   SAMC_OUTPUT_PNG                       one image; `path` is a folder, which is made, and none of its files may exist
 */
SAMC_API samc_status samc_masks_write(const samc_masks *images, int count, samc_output output, const char *path,
                                      samc_error *error);
/* The text of RLE, JSONL, COCO or SA1B: *text is 0-terminated and to be freed, *size its length. */
SAMC_API samc_status samc_masks_text(const samc_masks *images, int count, samc_output output, char **text, size_t *size,
                                     samc_error *error);
/* Draws them as OVERLAY does, every mask in its colour, on rgb [height, width, 3]; `image` is not looked at. */
SAMC_API samc_status samc_masks_draw(const samc_masks *masks, uint8_t *rgb, samc_error *error);
/* One mask as one file: SAMC_OUTPUT_PNG (8 bits, 0 and 255), SAMC_OUTPUT_NPY, and with `image` (else NULL is as good)
 * SAMC_OUTPUT_CUTOUT and SAMC_OUTPUT_OVERLAY: tinted and outlined on its image in the `colour`-th of a list of distinct
 * colours, with the prompt that asked for it drawn in unless that is NULL. */
SAMC_API samc_status samc_mask_write(const samc_mask *mask, samc_output output, const samc_image *image,
                                     const samc_prompt *prompt, int colour, const char *path, samc_error *error);

/* ---- Archives of images ---------------------------------------------------------------------- */

/* The options of automatic masks by the names that they have on the command line, "points-per-side" and so on; NULL
 * from the end of the list on. */
SAMC_API const char *samc_auto_option(int index);
/* Sets one from text: a decimal number within its bounds, else SAMC_INVALID_ARGUMENT with what it should be. "_" in the
 * name counts as "-". */
SAMC_API samc_status samc_auto_set(samc_auto_options *options, const char *name, const char *text, samc_error *error);

/* Automatic masks of any number of images, from files, folders, archives and lists of them to files that survive
 * whatever happens: a run that was interrupted goes on where it was, and what was done is neither lost nor done again.
 * Results do not depend on threads, batches, devices, shards or interruptions. Five steps: samc_archive_open()   finds
 * the images; nothing is written samc_archive_begin()  begins the run in the output folder, or goes on with it
 *   samc_archive_run()    works, to the end or until samc_archive_stop()
 *   samc_archive_get_counts(), samc_archive_get_stage()  how far it is; what it took
 *   samc_archive_close()
 */
typedef struct samc_archive samc_archive;

/* What a run is made of. BY_IMAGE: all images are listed first, and links in archives lead to their files. BY_INPUT: an
 * archive is one unit of work, read once as it comes, with no list of its members before it, so that neither the start
 * nor the memory grows with them; failed images cannot be tried again. AUTO: by input where the format or an input
 * needs it (WEBDATASET, a command, the standard input), else by image. */
typedef enum samc_shard_by { SAMC_SHARD_BY_AUTO, SAMC_SHARD_BY_IMAGE, SAMC_SHARD_BY_INPUT } samc_shard_by;

typedef struct samc_archive_options {
    size_t size;
    const char *const *inputs; /* [input_count] files, folders, archives (.tar, .tar.gz, .xz, .bz2, .zst, .zip), "@list"
                                  files, "-": a list, or a tar, on the standard input; "pipe:COMMAND": the tar that a
                                  shell's command writes. "{000..099}.tar" are a hundred inputs */
    int input_count;
    const char *const *globs; /* [glob_count] patterns that take files by name, not by extension */
    int glob_count;
    const char *flat;   /* the one of `inputs`, this very pointer, below which no folder is entered; NULL: none */
    const char *output; /* the folder for results, made where it is missing */
    unsigned formats;   /* samc_output bits; 0: RLE, and OVERLAY too where at most 8 files and nothing else are named */
    int shard, shards;  /* this run takes the images i with i % shards == shard; 0 of 1 */
    int64_t lines_per_file; /* images in one file of JSON lines, 10000; more make masks-00000.jsonl, ... */
    int64_t max_pixels;     /* larger images are refused by their header; SAMC_IMAGE_MOST_PIXELS, which is the most */
    int64_t memory;   /* bytes that decoded pictures and members of archives may hold at a time; a quarter of the memory
                         of   the machine or of the control group. One picture always passes */
    int batch_images; /* images computed together, up to 256; 0: 4, on a GPU 16 */
    int load_threads, write_threads; /* up to 64; 0: 2, on a GPU 2 to 8 and 2 to 4 for each, by the processors */
    int queue;                       /* images that may wait between two stages, up to 10000; 4 */
    bool resume;                     /* go on with a run that is there; else one that is there is an error */
    bool retry_failed;               /* images that are recorded as failed are tried again, behind all others */
    bool no_sync; /* leave it to the system when results reach the disk: what is done survives the end of the process,
                     not a loss of power */
    const char *stats;            /* a file for seconds and counts of each image, or NULL */
    int shard_by;                 /* samc_shard_by: what `shard` and `shards` count, and whether archives are listed */
    bool copy_images, label_maps; /* WEBDATASET: with the images, with a picture of each image's masks */
    const char *scale; /* of images of more than 8 bits, see samc_samples_scale(); NULL: each kind's default */
    int page;          /* of each image's pages, or frames, from 0; an image that has fewer fails */
} samc_archive_options;

/* Whether a name ends as those of archives do: .tar, .tar.gz, .tgz, ..., .zip. */
SAMC_API bool samc_archive_is(const char *path);

/* The defaults, as they stand above; inputs and output are to be set. */
SAMC_API samc_status samc_archive_default_options(samc_archive_options *options, samc_error *error);

/* Lists the images of the inputs, in an order that depends on nothing but names. SAMC_INVALID_ARGUMENT where the
 * options or the names are at fault: two images whose results would have the same names, the output as an input. */
SAMC_API samc_status samc_archive_open(const samc_archive_options *options, samc_archive **archive, samc_error *error);

/* What text has to do with the masks of an archive. Everything is the caller's, for as long as the archive. */
typedef struct samc_archive_text {
    size_t size;
    const samc_phrases *phrases;      /* samc_text() takes the place of samc_auto(); or NULL */
    const samc_text_options *options; /* of samc_text(), NULL: the defaults. With boxes_only there are no pictures of
                                         masks, and samc_archive_begin() and samc_archive_run() take NULL for the model
                                         and for each session */
    const samc_phrases *labels;       /* samc_label_masks() of each image's automatic masks; or NULL. Not both */
} samc_archive_text;

/* Before samc_archive_begin(), whose check of a run to go on with then also compares the phrases and their detector. */
SAMC_API samc_status samc_archive_set_text(samc_archive *archive, const samc_archive_text *text, samc_error *error);

/* Opens the journal of the output folder, having looked at all that is there; `automatic` NULL: the model's defaults.
 * SAMC_MISMATCH: there is a run already and `resume` was not given, or it was begun with other options, another model
 * or other inputs. */
SAMC_API samc_status samc_archive_begin(samc_archive *archive, const samc_model *model,
                                        const samc_auto_options *automatic, samc_error *error);

/* An image that is done, safely. */
typedef struct samc_archive_image {
    size_t size;
    const char *source; /* where it came from: its path, or <archive>/<member> */
    const char *name;   /* what its results are called */
    const char *error;  /* why it failed, or NULL; errors.jsonl has it too */
    int width, height;  /* 0 where it failed before it was decoded */
    int masks;
} samc_archive_image;

/* What a program wants to hear of a run. Each may be NULL. */
typedef struct samc_archive_events {
    size_t size;
    void *context;
    /* From a thread of the run, in the order of the images. What it returns other than SAMC_OK ends the run, with the
     * error that it fills in. */
    samc_status (*image)(void *context, const samc_archive_image *image, samc_error *error);
    /* From the thread that called samc_archive_run(): about five times a second, and at once when the file descriptor
     * `wake` can be read (a signalfd, a pipe; 0: none), which the program then reads from. */
    void (*tick)(void *context);
    int wake;
} samc_archive_events;

/* Works until everything is done, with one session for each device, up to 64, which are the caller's: they run on the
 * model of samc_archive_begin() or on copies of it for other devices. Images that fail are recorded in errors.jsonl and
 * are no failure of the run. SAMC_STOPPED: samc_archive_stop() came before the end; what was computed is written, and
 * the next run with `resume` goes on. An archive runs once. `events` may be NULL. */
SAMC_API samc_status samc_archive_run(samc_archive *archive, samc_session *const *sessions, int session_count,
                                      const samc_archive_events *events, samc_error *error);

/* Ends the run, or the one to come, as soon as possible without losing what is computed. From any thread, also from
 * events, at any time before samc_archive_close(); not from a signal handler. NULL is allowed. */
SAMC_API void samc_archive_stop(samc_archive *archive);

typedef struct samc_archive_counts {
    size_t size;
    int64_t inputs;  /* images that were found, of all shards; by input, the inputs */
    int64_t skipped; /* files that were passed over because their names are not those of images */
    int64_t images;  /* of this shard */
    int64_t
        total;    /* to be done: these, and failed ones that are tried again; as `images` before samc_archive_begin() */
    int64_t done; /* of `total`, by this run and those before it */
    int64_t before;   /* of these, by those before */
    int64_t failures; /* of `images`, so far */
    int64_t masks;    /* of this run */
    double seconds;   /* that samc_archive_run() took, 0 before its end */
    bool by_input;    /* archives are read as they come: `images` and `total` are those found so far */
} samc_archive_counts;
/* At any time, from any thread. */
SAMC_API samc_status samc_archive_get_counts(const samc_archive *archive, samc_archive_counts *counts,
                                             samc_error *error);

/* What a part of the run took, when it is over: a stage that stands behind a full queue and before an empty one is the
 * slowest. */
typedef struct samc_archive_stage {
    size_t size;
    const char *name; /* "load", "compute", "write", "commit", and of compute "encode", "decode", "post"; a literal */
    int threads;
    double seconds; /* of all its threads */
    double waiting; /* images that waited before it, on average; 0 of the parts of compute, as room */
    int room;       /* how many could */
} samc_archive_stage;
/* SAMC_INVALID_ARGUMENT from the end of the list on. */
SAMC_API samc_status samc_archive_get_stage(const samc_archive *archive, int index, samc_archive_stage *stage,
                                            samc_error *error);

SAMC_API void samc_archive_close(samc_archive *archive); /* NULL is allowed; never while it runs */

#ifdef __cplusplus
}
#endif

#include "samc_geo.h"
#include "samc_stream.h"
#include "samc_tiles.h"
#include "samc_volume.h"
#endif
