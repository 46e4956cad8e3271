/* Models that relate text and images: a text tower and an image tower, whose features lie in one space, and what a
 * family puts on top of them. Apart from SAM's network: it shares lists, readers, operators and packing with it, and
 * nothing of its configuration.
 *
 * Names are those of transformers, which files keep; a family holds the towers under a prefix ("clip."). */
#ifndef SAMC_RUNTIME_MODEL_TEXT_IMAGE_H
#define SAMC_RUNTIME_MODEL_TEXT_IMAGE_H

#include "runtime/model/plain.h"
#include "runtime/model/reading.h"
#include "runtime/model/relate.h"
#include "runtime/model/tokenizer.h"

/* ---- Configuration --------------------------------------------------------------------------- */

enum { SAMC__CLIPSEG_INPUTS = 8 };

typedef struct samc__text_spec {
    samc__plain plain;
    int context, vocabulary; /* most tokens of a phrase; rows of the embedding */
} samc__text_spec;

typedef struct samc__vision_spec {
    samc__plain plain;
    int patch;             /* side of one */
    int side;              /* of the square that is looked at */
    int grid, table_grid;  /* patches along it; of the file's positions, which are interpolated where they differ */
    float mean[3], std[3]; /* of pixels from 0 to 1 */
    const char *before;    /* what files call the norm before the blocks; some misspell it */
} samc__vision_spec;

/* What CLIP's pixels were normalised with. */
#define SAMC__CLIP_MEAN                                                                                                \
    { 0.48145466f, 0.4578275f, 0.40821073f }
#define SAMC__CLIP_STD                                                                                                 \
    { 0.26862954f, 0.26130258f, 0.27577711f }

/* CLIPSeg's decoder. */
typedef struct samc__clipseg_spec {
    samc__plain decoder;             /* a norm behind each half of a block, ReLU */
    int after[SAMC__CLIPSEG_INPUTS]; /* the tower's blocks that its inputs come from, ascending; one for each of its own
                                      */
    bool three_steps;                /* to pixels: a convolution and two transposed ones instead of one */
} samc__clipseg_spec;

typedef enum samc__text_image_kind {
    SAMC__TEXT_IMAGE_CLIP,
    SAMC__TEXT_IMAGE_OWLV2,
    SAMC__TEXT_IMAGE_CLIPSEG,
    SAMC__TEXT_IMAGES
} samc__text_image_kind;

typedef struct samc__text_image_config {
    samc__text_image_kind kind;
    char prefix[16]; /* of the towers' names, with its dot; "" */
    samc__text_spec text;
    samc__vision_spec vision;
    int dim; /* of the features that are compared */
    samc__clipseg_spec clipseg;
} samc__text_image_config;

/* ---- Weights --------------------------------------------------------------------------------- */

typedef struct samc__text_weights { /* D = text.plain.dim */
    samc__view tokens, positions;   /* [vocabulary, D], [context, D] */
    samc__plain_block blocks[SAMC__PLAIN_BLOCKS];
    samc__norm after;     /* [D] */
    samc__projection out; /* [dim, D], no bias */
} samc__text_weights;

typedef struct samc__vision_weights { /* D = vision.plain.dim */
    samc__view class_token;           /* [D] */
    samc__projection patch;           /* [D, 3 * patch * patch], no bias */
    samc__view table;                 /* [table_grid^2 + 1, D] as in the file, the class token's first */
    samc__view positions;             /* [grid^2 + 1, D] */
    samc__norm before, after;         /* [D] */
    samc__plain_block blocks[SAMC__PLAIN_BLOCKS];
    samc__projection out; /* [dim, D], no bias */
} samc__vision_weights;

/* Of a patch's features: a box, what is in it, and whether anything is. */
typedef struct samc__owlv2_weights {        /* D = vision.plain.dim */
    samc__projection classes, shift, scale; /* [dim, D], [1, D] each */
    samc__projection box[3], objectness[3]; /* D -> D -> D -> 4, 1 */
    samc__norm merged;                      /* [D] of patches times the class token */
} samc__owlv2_weights;

typedef struct samc__clipseg_weights {              /* R = clipseg.decoder.dim */
    samc__projection film_mul, film_add;            /* [R, dim] */
    samc__projection reduce[SAMC__CLIPSEG_INPUTS];  /* [R, D] */
    samc__plain_block blocks[SAMC__CLIPSEG_INPUTS]; /* of width R */
    samc__projection spread;                        /* [R, R, 3, 3] */
    samc__projection file[2], up[2];                /* transposed convolutions [in, out, k, k]; [k * k * out, in] */
} samc__clipseg_weights;

typedef struct samc__text_image_weights {
    samc__text_weights text;
    samc__vision_weights vision;
    samc__view logit_scale; /* [1] its logarithm */
    samc__owlv2_weights owlv2;
    samc__clipseg_weights clipseg;
} samc__text_image_weights;

/* ---- An opened model ------------------------------------------------------------------------- */

/* Read-only once opened: any number of threads, with an exec each. */
typedef struct samc__text_image {
    samc__text_image_config config;
    samc__text_image_weights weights;
    samc__dtype precision, weight_type; /* of activations; what a host rounds weights to */
    samc__tensor_list tensors;          /* bound to the weights */
    samc__checkpoint *checkpoint;
    samc__tokenizer *tokenizer;
    samc__packed *packed; /* weights in the cpu table's layout; NULL where the references alone compute */
    void *owned;          /* converted weights, or NULL */
    size_t owned_bytes;
    int64_t parameters;
    char arithmetic[80]; /* "f32 by AVX2" */
} samc__text_image;

/* ---- Families -------------------------------------------------------------------------------- */

typedef struct samc__text_image_family {
    const char *name;       /* "CLIP" */
    const char *model_type; /* what config.json calls it */
    const char *prefix;     /* "clip." */
    const char *mark;       /* a tensor that no other family has */
    const char *before;     /* the norm before the blocks of its image tower */
    const samc__relate *relate;
    /* Fills what the towers do not tell, and may change what they told. */
    void (*infer)(samc__reading *reading, samc__text_image_config *config);
    samc_status (*check)(const samc__text_image_config *config, const char *label, samc_error *error);
    /* Lists its own tensors behind the towers'. */
    void (*tensors)(samc__tensor_list *list, const samc__text_image_config *config, samc__text_image_weights *weights);
    void (*write)(const samc__text_image_config *config, samc__json_text *text);
} samc__text_image_family;

extern const samc__text_image_family samc__family_clip, samc__family_owlv2, samc__family_clipseg;
extern const samc__relate samc__relate_clip, samc__relate_owlv2, samc__relate_clipseg;

const samc__text_image_family *samc__text_image_family_of(const samc__text_image_config *config);

bool samc__text_image_is(const samc__checkpoint *checkpoint, samc__text_image_kind *kind);
/* Which of them a file is; SAMC_UNSUPPORTED with a name for what is none. */
samc_status samc__text_image_recognise(const samc__checkpoint *checkpoint, samc__text_image_kind *kind,
                                       samc_error *error);

/* Towers and family from shapes, then from metadata samc.config or what lies beside the file, whose contradictions are
 * named. */
samc_status samc__text_image_read(samc__checkpoint *checkpoint, samc__text_image_kind kind,
                                  samc__text_image_config *config, samc_error *error);
samc_status samc__text_image_list(const samc__text_image_config *config, samc__text_image_weights *weights,
                                  samc__tensor_list *list, samc_error *error);
/* The configuration as "samc.config", which samc__text_image_read() reads again. */
void samc__text_image_write(const samc__text_image_config *config, samc__json_text *text);

/* For a family's `infer`: the image processor that lies beside the file, or absent; how its name has to begin, where it
 * has one; a whole number that it may say and
 * that has to be `expected`; mean and std of pixels, and that these are divided by 255 first. */
samc__json samc__text_image_preprocessor(samc__reading *reading, const char **file);
void samc__preprocessor_kind(samc__reading *reading, const char *file, samc__json json, const char *begins);
void samc__preprocessor_count(samc__reading *reading, const char *file, const char *key, samc__json field,
                              int expected);
void samc__preprocessor_pixels(samc__reading *reading, const char *file, samc__json json, samc__vision_spec *vision);

/* ---- The towers ------------------------------------------------------------------------------ */

void samc__list_text(samc__tensor_list *list, const samc__text_spec *spec, const char *prefix, int dim,
                     samc__text_weights *weights);
void samc__list_vision(samc__tensor_list *list, const samc__vision_spec *spec, const char *prefix, int dim,
                       samc__vision_weights *weights);

/* Features of phrases: ids [count, context] whose end is at ends[count]; what follows that is not read. out [count,
 * dim], the host's, as the projection gives them. Any number: they go in batches. */
samc_status samc__text_features(const samc__exec *exec, const samc__text_image *net, const int32_t *ids,
                                const int *ends, int count, float *out);

/* Rows of `images` images of grid x grid patches (`grid` or `table_grid`), to be given back by samc__plain_end():
 * rows->wide has room for their patches, [images, grid^2, 3 * patch * patch] in the type of activations. `group` is to
 * stay as long as the rows. */
samc_status samc__vision_begin(const samc__exec *exec, const samc__text_image *net, int images, int grid,
                               samc__plain_group *group, samc__plain_rows *rows);
/* Patches in rows->wide become rows->x [images, grid^2 + 1, D]: the class token first, positions, the norm before all
 * blocks. */
samc_status samc__vision_embed(const samc__exec *exec, const samc__text_image *net, const samc__plain_rows *rows);

/* CLIP's: features of images of any size, [count, dim] on the host, as the projection gives them. By the positions of
 * the file, and CLIP's own mean and std, whatever the family on top looks at images with. */
samc_status samc__clip_image(const samc__exec *exec, const samc__text_image *net, const samc_image *images, int count,
                             float *out);

/* As CLIP sees an image: its shorter side becomes `side`, the centre of that [side, side, 3]. */
samc_status samc__clip_prepare(const samc_image *image, int side, uint8_t *out, samc_error *error);

/* For tables of families (runtime/model/relate.h): what all have. */
void samc__text_image_facts(const samc__text_image *net, samc__relate_facts *facts);
samc_status samc__text_image_hash(const void *net, char hex[65], samc_error *error);
void samc__text_image_close(void *net);
const char *samc__text_image_spoilt(const void *net, bool *nan);
samc_status samc__text_image_tokens(const void *net, const char *text, int32_t *ids, int *end, bool *cut,
                                    samc_error *error);
/* CLIP's, of length 1: phrases, and images. */
samc_status samc__clip_relate_text(const samc__exec *exec, const void *net, const int32_t *ids, const int *ends,
                                   int count, float *features);
samc_status samc__clip_relate_image(const samc__exec *exec, const void *net, const samc_image *images, int count,
                                    float *features);

/* Rows over their length, on the host: [count, dim], in place. */
void samc__unit_features(float *features, int count, int dim, float eps);

#endif
