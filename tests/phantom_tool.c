/* phantom_tool VALUES.nii LABELS.nii [KIND | NOISE SEED CONTRAST]: the phantom (14 0 1), or another one, as NIfTI-1
 * files, with a header of its own: what reads them in tests shall not be what wrote them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/phantom.h"

static float values[PHANTOM_VOXELS];
static uint8_t labels[PHANTOM_VOXELS];

static void put16(uint8_t *to, int value) {
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static void put_float(uint8_t *to, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(bits >> 8 * i);
}

/* The part of a header that says anything: little endian, int16 or uint8, 2 x 2 x 4 mm, sform of a patient on the
 * back: i to the left, j to the back. */
static void make_header(uint8_t header[352], bool wide) {
    static const float spacing[4] = {1, 2, 2, 4}, sform[12] = {-2, 0, 0, 160, 0, -2, 0, 150, 0, 0, 4, -80};
    const int dim[5] = {3, PHANTOM_WIDTH, PHANTOM_HEIGHT, PHANTOM_SLICES, 1};
    memset(header, 0, 352);
    put16(header, 348);
    for (int i = 0; i < 8; i++) put16(header + 40 + 2 * i, i < 5 ? dim[i] : 1);
    put16(header + 70, wide ? 4 : 2);
    put16(header + 72, wide ? 16 : 8);
    for (int i = 0; i < 4; i++) put_float(header + 76 + 4 * i, spacing[i]);
    put_float(header + 108, 352.0f);
    put_float(header + 112, 1.0f);
    header[123] = 2; /* mm */
    put16(header + 254, 1);
    for (int i = 0; i < 12; i++) put_float(header + 280 + 4 * i, sform[i]);
    memcpy(header + 344, "n+1", 4);
}

static bool write_file(const char *path, bool wide) {
    uint8_t header[352];
    FILE *file = fopen(path, "wb");
    if (file == NULL) return false;
    make_header(header, wide);
    bool good = fwrite(header, sizeof header, 1, file) == 1;
    for (int i = 0; good && i < PHANTOM_VOXELS; i++) {
        uint8_t voxel[2];
        put16(voxel, wide ? (int)values[i] : labels[i]);
        good = fwrite(voxel, wide ? 2 : 1, 1, file) == 1;
    }
    return fclose(file) == 0 && good;
}

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    phantom_kind kind = PHANTOM_USUAL;
    if (argc == 4) kind = phantom_kinds[strtoul(argv[3], NULL, 10) % PHANTOM_KINDS];
    if (argc > 5)
        kind = (phantom_kind){strtof(argv[3], NULL), (unsigned)strtoul(argv[4], NULL, 10), strtof(argv[5], NULL), 0, 1};
    phantom_make(values, labels, &kind);
    if (write_file(argv[1], true) && write_file(argv[2], false)) return 0;
    fprintf(stderr, "phantom_tool: cannot write\n");
    return 1;
}
