/* samc volume: objects of a medical image of three dimensions, from prompts on some of its slices. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/cli/volume_run.h"

static const char help[] =
    "Usage: samc volume INPUT PROMPT... -o OUTPUT [OPTIONS]\n"
    "\n"
    "Follows objects through a volume: from the slices where prompts say what is meant to the slices beside them, and\n"
    "on, until the object ends. Between two slices with prompts both are followed to the middle.\n"
    "\n"
    "  INPUT                 NIfTI (.nii, .nii.gz), or DICOM slices: a folder, a .zip, a .tar, a file of many frames\n"
    "  -o, --output FILE     labels in the space of the input: .nii, .nii.gz, or .dcm (a DICOM segmentation, of a "
    "DICOM\n"
    "                        input). Or masks of each slice: .json has run lengths, a folder, DIR/, pictures "
    "beside\n"
    "                        masks.json. Written whole or not at all; FILE.samc-journal keeps what is done until "
    "then\n"
    "      --resume          go on with a run that was interrupted (or begin it); the rest of the line must be the "
    "same\n"
    "      --axis i|j|k      slices lie across it (that of the widest spacing; of equal ones k)\n"
    "      --volume T        of a file of four dimensions, from 0 (0)\n"
    "      --scale SCALE, --window WINDOW  how values become the grey of the model's input, once for all slices and\n"
    "                        before its recipe: see 'samc segment --help'. Default: as the file asks to be shown, "
    "else\n"
    "                        --window auto (of CT soft tissue, else from percentile 0.5 to 99.5 of what is above 0)\n"
    "\n"
    "Prompts. Voxels count from 0, i fastest: as nibabel's array[i, j, k], or DICOM's column, row, slice:\n"
    "      --object NAME     the prompts behind it are of this object; the first is label 1, the next 2, ... Where\n"
    "                        objects overlap, the later one has the voxel. Without any there is one object\n"
    "      --point I,J,K[,L] a point on the object (L = 1, the default) or off it (0)\n"
    "      --box NUMBERS     a box on one slice: five numbers, x0,y0,x1,y1,SLICE, where x and y are the two axes that\n"
    "                        the slice has, in the order i, j, k (across k I0,J0,I1,J1,K; across j I0,K0,I1,K1,J;\n"
    "                        across i J0,K0,J1,K1,I); or six, the corners I0,J0,K0,I1,J1,K1, on one slice\n"
    "      --mask FILE       a volume of the same size; its slices that are not empty are taken as they are. With\n"
    "                        --object all that is not 0 is that object, else each value is an object of its own\n"
    "      --mm              points, and boxes of six numbers, are in millimetres (RAS+, as viewers show them)\n"
    "\n"
    "How they are followed:\n"
    "      --carry LIST      what the next slice is asked with, of box, mask, points (with the box, with box and\n"
    "                        points, with box and mask: the mask counts that looks most like the object)\n"
    "      --box-extension X the box is wider by this part of its sides, on each side (0.01)\n"
    "      --least-iou X     an object ends where a slice's mask has less IoU with the one before (0.5)\n"
    "      --least-likeness X  or looks less like the object by its grey values than this part of how much the\n"
    "                        slice with prompts does, or most of it like what was around; 0: however it looks (0.5)\n"
    "      --most-growth X   or is larger than the largest mask on a slice with prompts this many times; 0: any (4)\n"
    "\n"
    "Prints one JSON object: volume, size, spacing, axis, output, scale, and of each object name, label, first and "
    "last\n"
    "slice, slices, voxels, mm3, predicted_iou (mean), box [i0, j0, k0, i1, j1, k1]. Nothing of a patient is in it.\n"
    "This is not a medical device, and the default model has seen no medical image: see docs/medical.md.\n"
    "Example: samc volume ct.nii.gz --window soft-tissue --object liver --point 120,160,57 \\\n"
    "             --object tumour --box 100,140,118,155,60 -o liver.nii.gz\n";

enum { MOST_PROMPTS = 4096, NUMBERS = 6 };
enum {
    OPTION_AXIS = SAMC__CLI_OWN,
    OPTION_VOLUME,
    OPTION_MM,
    OPTION_OBJECT,
    OPTION_POINT,
    OPTION_BOX,
    OPTION_MASK,
    OPTION_RESUME,
    OPTION_CARRY,
    OPTION_EXTENSION,
    OPTION_IOU,
    OPTION_LIKENESS,
    OPTION_GROWTH
};

/* A prompt as it was written: where it is is known when the volume is open. */
typedef struct prompt {
    int option, object; /* -1: of no named one */
    double numbers[NUMBERS];
    int count;
    const char *text;
} prompt;

typedef struct request {
    samc__cli cli;
    samc__cli_volume v;
    samc_propagate_options options;
    bool mm;
    const char **names; /* [object_count]; owned */
    int object_count;
    prompt *prompts; /* [prompt_count]; owned */
    int prompt_count;
    samc_annotations *annotations;
} request;

/* Decimal numbers with commas between them; how many, or 0. */
static int parse_numbers(const char *text, double numbers[NUMBERS]) {
    if (text[strspn(text, "+-.0123456789eE,")] != '\0') return 0;
    for (int count = 0; count < NUMBERS;) {
        char *end;
        numbers[count] = strtod(text, &end);
        if (end == text || !isfinite(numbers[count++])) return 0;
        if (*end == '\0') return count;
        if (*end != ',') return 0;
        text = end + 1;
    }
    return 0;
}

static int add_prompt(request *r, int option, const char *text) {
    prompt p = {.option = option, .object = r->object_count - 1, .text = text};
    const char *what = option == OPTION_POINT ? "--point is I,J,K or I,J,K,L with L 0 or 1"
                                              : "--box is X0,Y0,X1,Y1,SLICE or I0,J0,K0,I1,J1,K1";
    if (option != OPTION_MASK) {
        p.count = parse_numbers(text, p.numbers);
        bool good = option == OPTION_POINT ? p.count == 3 || (p.count == 4 && (p.numbers[3] == 0 || p.numbers[3] == 1))
                                           : p.count == 5 || p.count == 6;
        if (!good) return samc__cli_usage(&r->cli, "%s, not '%s'", what, text);
    }
    if (r->prompt_count == MOST_PROMPTS) return samc__cli_usage(&r->cli, "more than %d prompts", MOST_PROMPTS);
    r->prompts[r->prompt_count++] = p;
    return SAMC__EXIT_OK;
}

static int add_object(request *r, const char *name) {
    for (int i = 0; i < r->object_count; i++)
        if (strcmp(r->names[i], name) == 0) return samc__cli_usage(&r->cli, "--object '%s' is given twice", name);
    if (r->object_count == 0 && r->prompt_count > 0)
        return samc__cli_usage(&r->cli, "prompts before the first --object are of none");
    if (r->object_count == MOST_PROMPTS) return samc__cli_usage(&r->cli, "more than %d objects", MOST_PROMPTS);
    r->names[r->object_count++] = name;
    return SAMC__EXIT_OK;
}

static int parse_carry(request *r, const char *text) {
    static const struct {
        const char *name;
        unsigned bit;
    } known[] = {{"box", SAMC_CARRY_BOX}, {"mask", SAMC_CARRY_MASK}, {"points", SAMC_CARRY_POINTS}};
    unsigned bits = 0;
    for (const char *at = text; at != NULL;) {
        size_t length = strcspn(at, ","), i = 0;
        while (i < 3 && (strlen(known[i].name) != length || memcmp(known[i].name, at, length) != 0)) i++;
        if (i == 3) return samc__cli_usage(&r->cli, "--carry is a list of box, mask and points, not '%s'", text);
        bits |= known[i].bit;
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    r->options.carry = bits;
    return SAMC__EXIT_OK;
}

static int parse_own(request *r, int option, const char *text) {
    static const struct {
        int option;
        const char *name;
        double least, most;
        size_t at;
    } numbers[] = {
        {OPTION_EXTENSION, "box-extension", 0.0, 1.0, offsetof(samc_propagate_options, box_extension)},
        {OPTION_IOU, "least-iou", 0.0, 1.0, offsetof(samc_propagate_options, least_iou)},
        {OPTION_LIKENESS, "least-likeness", 0.0, 1.0, offsetof(samc_propagate_options, least_likeness)},
        {OPTION_GROWTH, "most-growth", 0.0, 1e6, offsetof(samc_propagate_options, most_growth)},
    };
    double values[NUMBERS];
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (numbers[i].option != option) continue;
        bool good = parse_numbers(text, values) == 1 && *values >= numbers[i].least && *values <= numbers[i].most &&
                    !(option == OPTION_GROWTH && *values > 0.0 && *values < 1.0);
        if (!good)
            return samc__cli_usage(&r->cli, "--%s is a number from %g to %g%s, not '%s'", numbers[i].name,
                                   option == OPTION_GROWTH ? 1.0 : numbers[i].least, numbers[i].most,
                                   option == OPTION_GROWTH ? ", or 0" : "", text);
        *(double *)((char *)&r->options + numbers[i].at) = *values;
    }
    return SAMC__EXIT_OK;
}

/* ---- Placing prompts ------------------------------------------------------------------------- */

static samc_status to_voxel(const request *r, const double at[3], double voxel[3], samc_error *error) {
    if (r->mm) return samc_volume_locate(r->v.volume, at, voxel, error);
    memcpy(voxel, at, 3 * sizeof *voxel);
    return SAMC_OK;
}

/* A voxel as a slice, and x and y on it. What is no whole number of voxels is on the nearest slice. */
static samc_status place(const request *r, const char *text, const double at[3], int *slice, float xy[2],
                         samc_error *error) {
    const int axis = r->v.axis, x = axis == 0 ? 1 : 0, y = axis == 2 ? 1 : 2;
    double voxel[3];
    SAMC__TRY(to_voxel(r, at, voxel, error));
    for (int d = 0; d < 3; d++)
        if (!(voxel[d] >= -0.5 && voxel[d] < r->v.info.extent[d] - 0.5))
            return samc__cli_error(
                error, SAMC_INVALID_ARGUMENT, "%s: %s is outside, at voxel %.1f, %.1f, %.1f of %d x %d x %d", r->v.path,
                text, voxel[0], voxel[1], voxel[2], r->v.info.extent[0], r->v.info.extent[1], r->v.info.extent[2]);
    *slice = (int)floor(voxel[axis] + 0.5);
    xy[0] = (float)voxel[x];
    xy[1] = (float)voxel[y];
    return SAMC_OK;
}

static samc_status place_box(const request *r, const prompt *p, int *slice, float box[4], samc_error *error) {
    const double *n = p->numbers;
    if (p->count == 5) {
        if (r->mm)
            return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "--box %s: with --mm a box has six numbers", p->text);
        if (n[4] != floor(n[4]) || fabs(n[4]) > 1e6)
            return samc__cli_error(error, SAMC_INVALID_ARGUMENT, "--box %s: slice %g is no whole number", p->text,
                                   n[4]);
        *slice = (int)n[4];
        for (int i = 0; i < 4; i++) box[i] = (float)n[i];
        return SAMC_OK;
    }
    int other;
    float corner[2];
    SAMC__TRY(place(r, p->text, n, slice, corner, error));
    SAMC__TRY(place(r, p->text, n + 3, &other, box, error));
    if (other != *slice)
        return samc__cli_error(error, SAMC_INVALID_ARGUMENT,
                               "--box %s: its corners are on slices %d and %d across %c; a box is on one", p->text,
                               *slice, other, "ijk"[r->v.axis]);
    for (int d = 0; d < 2; d++) {
        box[d + 2] = corner[d] > box[d] ? corner[d] : box[d];
        box[d] = corner[d] < box[d] ? corner[d] : box[d];
    }
    return SAMC_OK;
}

/* A slice of a mask, and what is found in it. */
typedef struct labelled {
    float *values; /* [pixels] */
    uint8_t *mask; /* [pixels], of one object */
    size_t pixels;
    int *objects; /* [SAMC_MOST_OBJECTS + 1], of each value: -1, it is not there; at first -2, it is */
    bool any;
} labelled;

/* The values that a slice has. */
static samc_status note_values(const prompt *p, labelled *l, samc_error *error) {
    for (size_t i = 0; i < l->pixels; i++) {
        float value = l->values[i];
        if (!(value >= 0.0f && value <= (float)SAMC_MOST_OBJECTS && value == floorf(value)))
            return samc__cli_error(error, SAMC_FORMAT, "%s: a value of %g is no label", p->text, (double)value);
        if (value > 0.0f) l->objects[(int)value] = -2;
        l->any = l->any || value > 0.0f;
    }
    return SAMC_OK;
}

/* An object for each value, in their order, or the one whose name stands before the mask. */
static samc_status name_values(const request *r, const prompt *p, labelled *l, samc_error *error) {
    char name[32];
    for (int value = 1; value <= SAMC_MOST_OBJECTS; value++) {
        if (l->objects[value] == -1) continue;
        l->objects[value] = p->object;
        snprintf(name, sizeof name, "label %d", value);
        if (p->object < 0) SAMC__TRY(samc_annotations_object(r->annotations, name, l->objects + value, error));
    }
    return SAMC_OK;
}

/* Every value of one slice, one after the other; the values are used up. */
static samc_status add_mask_slice(const request *r, const prompt *p, int slice, labelled *l, samc_error *error) {
    for (size_t i = 0; i < l->pixels; i++) {
        float value = l->values[i];
        if (value == 0.0f) continue;
        const samc_volume_prompt given = {
            .size = sizeof given, .object = l->objects[(int)value], .slice = slice, .mask = l->mask};
        for (size_t j = 0; j < l->pixels; j++) {
            bool in = p->object >= 0 ? l->values[j] != 0.0f : l->values[j] == value;
            l->mask[j] = in;
            if (in) l->values[j] = 0.0f;
        }
        SAMC__TRY(samc_annotations_add(r->annotations, &given, error));
    }
    return SAMC_OK;
}

/* --mask: a volume of labels. */
static samc_status add_mask(const request *r, const prompt *p, samc_error *error) {
    samc_volume *labels = NULL;
    samc_volume_info info = SAMC_INIT(samc_volume_info);
    const samc_volume_info *own = &r->v.info;
    SAMC__TRY(samc__cli_volume_spare(&r->v, p->text, error));
    SAMC__TRY(samc_volume_open(p->text, NULL, &labels, error));
    samc_status status = samc_volume_get_info(labels, &info, error);
    bool same = memcmp(info.extent, own->extent, sizeof info.extent) == 0, there = true;
    for (int i = 0; i < 12; i++)
        there = there && fabs(info.affine[i / 4][i % 4] - own->affine[i / 4][i % 4]) <
                             0.01 * fmin(own->spacing[0], fmin(own->spacing[1], own->spacing[2]));
    if (status == SAMC_OK && !same)
        status = samc__cli_error(error, SAMC_MISMATCH, "%s: it has %d x %d x %d voxels, %s %d x %d x %d", p->text,
                                 info.extent[0], info.extent[1], info.extent[2], r->v.path, own->extent[0],
                                 own->extent[1], own->extent[2]);
    else if (status == SAMC_OK && !there)
        status =
            samc__cli_error(error, SAMC_MISMATCH, "%s: its voxels are elsewhere than those of %s", p->text, r->v.path);
    const int axis = r->v.axis;
    labelled l = {.pixels = (size_t)own->extent[axis == 0 ? 1 : 0] * (size_t)own->extent[axis == 2 ? 1 : 2]};
    l.values = malloc(l.pixels * sizeof *l.values);
    l.mask = malloc(l.pixels);
    l.objects = malloc((SAMC_MOST_OBJECTS + 1) * sizeof *l.objects);
    for (int i = 0; l.objects != NULL && i <= SAMC_MOST_OBJECTS; i++) l.objects[i] = -1;
    if (status == SAMC_OK && (l.values == NULL || l.mask == NULL || l.objects == NULL))
        status = samc__cli_error(error, SAMC_OUT_OF_MEMORY, "%s: no memory for a slice", p->text);
    for (int n = 0; status == SAMC_OK && n < own->extent[axis]; n++) {
        status = samc_volume_values(labels, axis, n, l.values, error);
        if (status == SAMC_OK) status = note_values(p, &l, error);
    }
    if (status == SAMC_OK && !l.any) status = samc__cli_error(error, SAMC_FORMAT, "%s: the mask is empty", p->text);
    if (status == SAMC_OK) status = name_values(r, p, &l, error);
    for (int n = 0; status == SAMC_OK && n < own->extent[axis]; n++) {
        status = samc_volume_values(labels, axis, n, l.values, error);
        if (status == SAMC_OK) status = add_mask_slice(r, p, n, &l, error);
    }
    free(l.objects);
    free(l.mask);
    free(l.values);
    samc_volume_close(labels);
    return status;
}

static samc_status place_prompts(request *r, samc_error *error) {
    bool own = false; /* a prompt has no object, and is no mask of several */
    SAMC__TRY(samc_annotations_create(r->v.volume, r->v.axis, &r->annotations, error));
    for (int i = 0; i < r->prompt_count; i++) own = own || r->prompts[i].option != OPTION_MASK;
    for (int i = 0; i < r->object_count; i++)
        SAMC__TRY(samc_annotations_object(r->annotations, r->names[i], NULL, error));
    if (r->object_count == 0 && own) SAMC__TRY(samc_annotations_object(r->annotations, NULL, NULL, error));
    for (int i = 0; i < r->prompt_count; i++) {
        const prompt *p = r->prompts + i;
        samc_volume_prompt given = {.size = sizeof given, .object = p->object < 0 ? 0 : p->object};
        float xy[4];
        const int32_t label = p->count == 4 ? (int32_t)p->numbers[3] : 1;
        if (p->option == OPTION_MASK) {
            SAMC__TRY(add_mask(r, p, error));
            continue;
        }
        if (p->option == OPTION_POINT) {
            SAMC__TRY(place(r, p->text, p->numbers, &given.slice, xy, error));
            given.points = xy;
            given.labels = &label;
            given.point_count = 1;
        } else {
            SAMC__TRY(place_box(r, p, &given.slice, xy, error));
            given.box = xy;
        }
        SAMC__TRY(samc_annotations_add(r->annotations, &given, error));
    }
    return SAMC_OK;
}

static samc_status run(request *r, samc_error *error) {
    samc_segmentation *result = NULL;
    SAMC__TRY(samc__cli_volume_open(&r->v, error));
    SAMC__TRY(place_prompts(r, error));
    SAMC__TRY(samc__cli_volume_model(&r->v, error));
    r->options.journal = r->v.journal;
    r->options.resume = r->v.resume;
    r->options.progress = samc__cli_volume_progress;
    r->options.progress_context = &r->v;
    samc_status status =
        samc_propagate(r->v.session, r->v.model, r->v.volume, r->annotations, &r->options, &result, error);
    if (status == SAMC_OK) status = samc__cli_volume_finish(&r->v, result, error);
    samc_segmentation_free(result);
    return status;
}

/* Reads the command line. SAMC__EXIT_OK, or the program ends with the code in *end. */
static bool read_options(request *r, int argc, char **argv, int *end) {
    static const struct option table[] = {{"output", required_argument, NULL, 'o'},
                                          {"axis", required_argument, NULL, OPTION_AXIS},
                                          {"volume", required_argument, NULL, OPTION_VOLUME},
                                          {"mm", no_argument, NULL, OPTION_MM},
                                          {"object", required_argument, NULL, OPTION_OBJECT},
                                          {"point", required_argument, NULL, OPTION_POINT},
                                          {"box", required_argument, NULL, OPTION_BOX},
                                          {"mask", required_argument, NULL, OPTION_MASK},
                                          {"resume", no_argument, NULL, OPTION_RESUME},
                                          {"carry", required_argument, NULL, OPTION_CARRY},
                                          {"box-extension", required_argument, NULL, OPTION_EXTENSION},
                                          {"least-iou", required_argument, NULL, OPTION_IOU},
                                          {"least-likeness", required_argument, NULL, OPTION_LIKENESS},
                                          {"most-growth", required_argument, NULL, OPTION_GROWTH},
                                          {"scale", required_argument, NULL, SAMC__CLI_SCALE},
                                          {"window", required_argument, NULL, SAMC__CLI_WINDOW},
                                          SAMC__CLI_COMMON};
    *end = SAMC__EXIT_OK;
    for (int option; *end == SAMC__EXIT_OK && (option = samc__cli_next(&r->cli, argc, argv, "o:", table)) != -1;) {
        if (option == SAMC__CLI_STOP) {
            *end = r->cli.exit_code;
            return false;
        }
        if (option == 'o') r->v.output = optarg;
        if (option == OPTION_AXIS) *end = samc__cli_volume_axis(&r->v, optarg);
        if (option == OPTION_VOLUME && !samc__cli_integer(optarg, 0, SAMC__VOLUME_MOST_TIME, &r->v.time))
            *end = samc__cli_usage(&r->cli, "--volume is a whole number from 0 to %d, not '%s'", SAMC__VOLUME_MOST_TIME,
                                   optarg);
        if (option == OPTION_MM) r->mm = true;
        if (option == OPTION_RESUME) r->v.resume = true;
        if (option == OPTION_OBJECT) *end = add_object(r, optarg);
        if (option >= OPTION_POINT && option <= OPTION_MASK) *end = add_prompt(r, option, optarg);
        if (option == OPTION_CARRY) *end = parse_carry(r, optarg);
        if (option >= OPTION_EXTENSION) *end = parse_own(r, option, optarg);
    }
    if (*end != SAMC__EXIT_OK) return false;
    if (argc - optind != 1) *end = samc__cli_usage(&r->cli, argc > optind ? "more than one INPUT" : "no INPUT given");
    else if (r->v.output == NULL) *end = samc__cli_usage(&r->cli, "-o OUTPUT is missing");
    else if (r->prompt_count == 0)
        *end = samc__cli_usage(&r->cli, "no prompt given: --point, --box or --mask ('samc auto' finds all objects)");
    if (*end != SAMC__EXIT_OK) return false;
    r->v.path = argv[optind];
    return true;
}

int samc__cmd_volume(int argc, char **argv) {
    samc_error error = {0};
    request r = {.cli = samc__cli_begin("volume", help), .options.size = sizeof r.options, .v.axis = -1};
    int code;
    r.v.cli = &r.cli;
    r.names = calloc(MOST_PROMPTS, sizeof *r.names);
    r.prompts = calloc(MOST_PROMPTS, sizeof *r.prompts);
    samc_propagate_default_options(&r.options, NULL);
    if (r.names == NULL || r.prompts == NULL) code = samc__cli_fail("out of memory");
    else if (read_options(&r, argc, argv, &code)) {
        samc_status status = run(&r, &error);
        code = samc__cli_volume_end(&r.v, status, &error);
    }
    samc_annotations_free(r.annotations);
    free(r.names);
    free(r.prompts);
    return code;
}
