/* NIfTI files for tests, field by field as nifti1.h and nifti2.h have them, and a folder to put them in. */
#ifndef SAMC_TESTS_VOLUME_FIXTURE_H
#define SAMC_TESTS_VOLUME_FIXTURE_H

#include <criterion/criterion.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <zlib.h>

#include "host/io/labels.h"

typedef struct fixture {
    int version, rank, dim[7], type, bytes;
    bool big, pair;
    double offset, slope, inter, pixdim[8], quatern[3], qoffset[3], srow[12];
    int qform, sform;
} fixture;

/* 5 x 4 x 3 voxels of u8, 1 x 2 x 3 mm, sform. */
static inline fixture plain_fixture(void) {
    return (fixture){.version = 1,
                     .rank = 3,
                     .dim = {5, 4, 3, 1, 1, 1, 1},
                     .type = 2,
                     .bytes = 1,
                     .offset = 352,
                     .pixdim = {1, 1, 2, 3, 1, 1, 1, 1},
                     .srow = {1, 0, 0, -10, 0, 2, 0, 20, 0, 0, 3, 30},
                     .sform = 1};
}

static inline void put_bytes(const fixture *f, uint8_t *at, const void *value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = ((const uint8_t *)value)[f->big ? bytes - 1 - i : i];
}

static inline void put_int(const fixture *f, uint8_t *at, int64_t value, int bytes) {
    put_bytes(f, at, &value, bytes); /* the machine is little-endian */
}

static inline void put_real(const fixture *f, uint8_t *at, double value) {
    float narrow = (float)value;
    if (f->version == 2) put_bytes(f, at, &value, 8);
    else put_bytes(f, at, &narrow, 4);
}

/* The header [544]: returns its length with the extension's four bytes. */
static inline size_t fixture_header(const fixture *f, uint8_t head[544]) {
    const bool two = f->version == 2;
    const int real = two ? 8 : 4;
    memset(head, 0, 544);
    put_int(f, head, two ? 540 : 348, 4);
    if (two) memcpy(head + 4, f->pair ? "ni2\0\r\n\032\n" : "n+2\0\r\n\032\n", 8);
    else memcpy(head + 344, f->pair ? "ni1" : "n+1", 4);
    put_int(f, head + (two ? 16 : 40), f->rank, two ? 8 : 2);
    for (int i = 0; i < 7; i++) put_int(f, head + (two ? 24 + i * 8 : 42 + i * 2), f->dim[i], two ? 8 : 2);
    put_int(f, head + (two ? 12 : 70), f->type, 2);
    put_int(f, head + (two ? 14 : 72), f->bytes * 8, 2);
    for (int i = 0; i < 8; i++) put_real(f, head + (two ? 104 : 76) + i * real, f->pixdim[i]);
    if (two) put_int(f, head + 168, (int64_t)f->offset, 8);
    else put_real(f, head + 108, f->offset);
    put_real(f, head + (two ? 176 : 112), f->slope);
    put_real(f, head + (two ? 184 : 116), f->inter);
    put_int(f, head + (two ? 344 : 252), f->qform, two ? 4 : 2);
    put_int(f, head + (two ? 348 : 254), f->sform, two ? 4 : 2);
    for (int i = 0; i < 3; i++) put_real(f, head + (two ? 352 : 256) + i * real, f->quatern[i]);
    for (int i = 0; i < 3; i++) put_real(f, head + (two ? 376 : 268) + i * real, f->qoffset[i]);
    for (int i = 0; i < 12; i++) put_real(f, head + (two ? 400 : 280) + i * real, f->srow[i]);
    return two ? 544 : 352;
}

static char fixture_folder[] = "/tmp/samc-volume-XXXXXX", fixture_path[4][96];

static inline void make_folder(void) { cr_assert(mkdtemp(fixture_folder) != NULL); }
static inline void remove_folder(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", fixture_folder);
    cr_assert_eq(system(command), 0);
}

/* A path in the folder; four at a time. */
static inline const char *in_folder(const char *name) {
    static int turn;
    char *path = fixture_path[turn++ % 4];
    snprintf(path, sizeof fixture_path[0], "%s/%s", fixture_folder, name);
    return path;
}

/* gzip of one member. */
static inline uint8_t *pack(const uint8_t *bytes, size_t size, size_t *packed) {
    z_stream zlib = {.next_in = (uint8_t *)bytes, .avail_in = (uInt)size};
    cr_assert_eq(deflateInit2(&zlib, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&zlib, size);
    uint8_t *out = malloc(room);
    zlib.next_out = out;
    zlib.avail_out = (uInt)room;
    cr_assert_eq(deflate(&zlib, Z_FINISH), Z_STREAM_END);
    *packed = room - zlib.avail_out;
    deflateEnd(&zlib);
    return out;
}

static inline void save(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    cr_assert(file != NULL && fwrite(bytes, 1, size, file) == size && fclose(file) == 0);
}

/* Header and voxels as one file in memory; to be freed. */
static inline uint8_t *join(const fixture *f, const void *voxels, size_t size, size_t *all) {
    uint8_t head[544];
    size_t length = fixture_header(f, head);
    *all = length + size;
    uint8_t *bytes = malloc(*all);
    memcpy(bytes, head, length);
    memcpy(bytes + length, voxels, size);
    return bytes;
}

static inline void save_fixture(const fixture *f, const char *path, const void *voxels, size_t size) {
    size_t all;
    uint8_t *bytes = join(f, voxels, size, &all);
    save(path, bytes, all);
    free(bytes);
}

#endif
