/* samc text: what phrases name, in one image or in many. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "host/cli/phrases.h"

static const char help[] =
    "Usage: samc text INPUT PHRASE... --detector FILE -o OUTDIR [OPTIONS]\n"
    "       samc text INPUT... --phrase PHRASE... --detector FILE -o OUTDIR [OPTIONS]\n"
    "\n"
    "Finds what phrases name and cuts it out: a detector gives boxes (OWLv2) or heat maps (CLIPSeg), samc's model a "
    "mask "
    "for each.\n"
    "\n"
    "  INPUT                                  an image, or what 'samc auto' takes: a folder, an archive, @FILE, -\n"
    "  PHRASE                                 what to look for. Without --phrase and --phrases the first argument is "
    "the INPUT and all\n"
    "                                         others are phrases; with one of them all arguments are inputs\n"
    "      --phrase PHRASE                    a phrase; may be given several times\n"
    "      --phrases FILE                     a phrase a line, - for standard input; any number of them\n"
    "      --detector FILE                    OWLv2 or CLIPSeg as Hugging Face has them: the folder, or "
    "model.safetensors "
    "with its\n"
    "                                         config.json and preprocessor_config.json beside it. Required\n"
    "      --threshold X                      least score of a box (0.1), least probability of a pixel of a heat map "
    "(0.3)\n"
    "      --nms X                            IoU above which the worse of two boxes of one phrase goes; above 1: none "
    "(0.3)\n"
    "      --top N                            most things in an image, those with the best scores (all)\n"
    "      --boxes-only                       no masks, and no model for them\n"
    "      --heat                             of one image and a CLIPSeg: <stem>_heat_<phrase>.png too, each phrase's "
    "map\n"
    "  -o, --output DIR                       where the results go; created if missing\n"
    "      --format LIST                      of one image as 'samc segment' has them, any of png, overlay, cutout, "
    "npy, "
    "rle (png,overlay);\n"
    "                                         of many, and of one with jsonl, coco or sa1b, as 'samc auto' has "
    "them\n"
    "\n"
    "One image is treated like 'samc segment': files <stem>_<n>_0.png, one JSON object on standard output, in which "
    "each "
    "mask has\n"
    "\"label\", \"score\" and \"box\" [x0, y0, x1, y1] too. Everything else goes like 'samc auto', with its journal "
    "and "
    "options:\n"
    "--resume --retry-failed --shard --glob --lines-per-file --max-pixels --scale --page --no-sync --stats "
    "--batch-images --load-threads\n"
    "--write-threads --queue --memory. COCO's categories are the phrases, in their order. A run is continued with the "
    "same phrases,\n"
    "detector and thresholds alone. A phrase that is longer than the detector reads is cut, and said so.\n"
    "Examples: samc text photo.jpg \"red car\" person --detector owlv2 -o out\n"
    "          samc text photos more.tar --phrases things.txt --detector owlv2 -o out --format coco\n";

/* A word that is a file as well is most likely an input that was meant. */
static bool is_there(const char *path) {
    struct stat s;
    return stat(path, &s) == 0;
}

int samc__text_split(samc__cli_phrases *text, const samc__cli *cli, char **arguments, int *inputs) {
    if (text->count == 0) {
        for (int i = 1; i < *inputs; i++) {
            if (is_there(arguments[i]))
                return samc__cli_usage(
                    cli,
                    "'%s' stands where a phrase does, and is a file; with several inputs give phrases "
                    "by --phrase, and so a phrase that is called like a file",
                    arguments[i]);
            if (!samc__cli_phrases_add(text, arguments[i])) return samc__cli_fail("out of memory");
        }
        if (*inputs > 1) *inputs = 1;
    }
    return text->count > 0 || *inputs == 0 ? SAMC__EXIT_OK
                                           : samc__cli_usage(cli, "no PHRASE given: nothing to look for");
}

bool samc__text_is_one(const char *input, unsigned formats) {
    struct stat s;
    return !(formats & ~(unsigned)SAMC__SEGMENT_FORMATS) && *input != '@' && stat(input, &s) == 0 &&
           S_ISREG(s.st_mode) && !samc_archive_is(input);
}

int samc__text_of_one(const samc__cli *cli, samc__cli_phrases *text, const char *image, const char *output,
                      unsigned formats) {
    const bool boxes = text->options.boxes_only;
    if (boxes && formats & ~(unsigned)SAMC_OUTPUT_RLE)
        return samc__cli_usage(cli, "boxes alone are no pictures; leave out --format");
    if (output == NULL && (text->heat || (!boxes && formats != SAMC_OUTPUT_RLE)))
        return samc__cli_usage(cli, "-o OUTDIR is missing");
    return samc__segment_phrases(cli, text, image, boxes && !text->heat ? NULL : output, formats);
}

int samc__text_of_many(const samc__cli *cli, const samc__cli_phrases *text, unsigned *formats) {
    if (text->heat) return samc__cli_usage(cli, "--heat is of one image");
    if (*formats & ~(unsigned)SAMC_OUTPUT_ARCHIVE)
        return samc__cli_usage(cli, "cutout and npy are formats of one image");
    if (*formats == 0 && text->options.boxes_only) *formats = SAMC_OUTPUT_RLE;
    return SAMC__EXIT_OK;
}

int samc__cmd_text(int argc, char **argv) { return samc__text_command(help, argc, argv); }
