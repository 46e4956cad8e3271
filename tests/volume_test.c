/* Volumes: NIfTI of every type, version and byte order, slices across every axis, packed files read in any order,
 * labels in the same space, and hostile headers. Against nibabel: nifti_test.py. */
#include "tests/volume_fixture.h"

TestSuite(volume, .init = make_folder, .fini = remove_folder);

static samc__volume *open_good(const char *path, int time) {
    samc__volume *volume;
    samc_error error = {0};
    cr_assert_eq(samc__volume_open(path, time, &volume, &error), SAMC_OK, "%s", error.message);
    return volume;
}

/* All values by slices across k: [k, j, i, channel]; to be freed. */
static float *read_all(samc__volume *volume) {
    const samc__volume_info *info = samc__volume_get_info(volume);
    size_t slice = (size_t)info->extent[0] * (size_t)info->extent[1] * (size_t)info->channels;
    float *values = malloc(slice * (size_t)info->extent[2] * sizeof *values);
    samc_error error = {0};
    for (int k = 0; k < info->extent[2]; k++)
        cr_assert_eq(samc__volume_slice(volume, 2, k, values + (size_t)k * slice, &error), SAMC_OK, "%s",
                     error.message);
    return values;
}

/* The slice across `axis`, picked out of all values. */
static void check_slice(samc__volume *volume, const float *all, int axis, int index) {
    const samc__volume_info *info = samc__volume_get_info(volume);
    const int *n = info->extent, channels = info->channels, a = axis == 0, b = axis == 2 ? 1 : 2;
    size_t size = (size_t)n[a] * (size_t)n[b] * (size_t)channels;
    float *values = malloc(size * sizeof *values);
    samc_error error = {0};
    cr_assert_eq(samc__volume_slice(volume, axis, index, values, &error), SAMC_OK, "%s", error.message);
    for (int y = 0; y < n[b]; y++)
        for (int x = 0; x < n[a]; x++)
            for (int c = 0; c < channels; c++) {
                int at[3];
                at[axis] = index;
                at[a] = x;
                at[b] = y;
                float want = all[(((size_t)at[2] * (size_t)n[1] + (size_t)at[1]) * (size_t)n[0] + (size_t)at[0]) *
                                     (size_t)channels +
                                 (size_t)c];
                float got = values[((size_t)y * (size_t)n[a] + (size_t)x) * (size_t)channels + (size_t)c];
                cr_assert(got == want, "axis %d, slice %d, (%d, %d): %g, not %g", axis, index, x, y, (double)got,
                          (double)want);
            }
    free(values);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static const struct {
    int code, bytes;
    double low, high; /* what the type holds and float keeps */
} kinds[] = {{2, 1, 0, 255},
             {256, 1, -128, 127},
             {512, 2, 0, 65535},
             {4, 2, -32768, 32767},
             {768, 4, 0, 4294967040.0},
             {8, 4, -2147483648.0, 2147483520.0},
             {16, 4, -1e30f, 3.5},
             {64, 8, -1e30f, 0.25},
             {1024, 8, -9007199254740992.0, 1024},
             {1280, 8, 0, 18446742974197923840.0}};

static void put_voxel(const fixture *f, uint8_t *at, double value) {
    float narrow = (float)value;
    uint64_t large = value >= 0 ? (uint64_t)value : (uint64_t)(int64_t)value;
    if (f->type == 16) put_bytes(f, at, &narrow, 4);
    else if (f->type == 64) put_bytes(f, at, &value, 8);
    else put_bytes(f, at, &large, f->bytes);
}

Test(volume, every_type) {
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        for (int way = 0; way < 8; way++) { /* version, byte order, scaled */
            fixture f = plain_fixture();
            const bool scaled = way & 4;
            f.version = 1 + (way & 1);
            f.offset = f.version == 2 ? 544 : 352;
            f.big = way & 2;
            f.type = kinds[kind].code;
            f.bytes = kinds[kind].bytes;
            f.slope = scaled ? -0.5 : 0;
            f.inter = scaled ? 7 : NAN; /* without a slope there is no intercept */
            uint8_t voxels[60 * 8];
            for (int i = 0; i < 60; i++)
                put_voxel(&f, voxels + i * f.bytes, i == 7 ? kinds[kind].low : i == 11 ? kinds[kind].high : i);
            const char *path = in_folder("types.nii");
            save_fixture(&f, path, voxels, (size_t)(60 * f.bytes));
            samc__volume *volume = open_good(path, 0);
            const samc__volume_info *info = samc__volume_get_info(volume);
            cr_assert_str_eq(info->format, f.version == 2 ? "NIfTI-2" : "NIfTI-1");
            cr_assert(info->extent[0] == 5 && info->extent[1] == 4 && info->extent[2] == 3 && info->times == 1);
            cr_assert(info->spacing[0] == 1 && info->spacing[1] == 2 && info->spacing[2] == 3);
            cr_assert(info->affine[1][1] == 2 && info->affine[1][3] == 20 && info->channels == 1);
            float *all = read_all(volume);
            for (int i = 0; i < 60; i++) {
                double stored = i == 7 ? kinds[kind].low : i == 11 ? kinds[kind].high : i;
                float want = (float)(scaled ? stored * -0.5 + 7 : stored);
                cr_assert(all[i] == want, "type %d, way %d, voxel %d: %g, not %g", f.type, way, i, (double)all[i],
                          (double)want);
            }
            for (int axis = 0; axis < 3; axis++)
                for (int i = info->extent[axis]; i-- > 0;) check_slice(volume, all, axis, i);
            free(all);
            samc__volume_close(volume);
        }
}

Test(volume, colours) {
    for (int alpha = 0; alpha < 2; alpha++) {
        fixture f = plain_fixture();
        f.type = alpha ? 2304 : 128;
        f.bytes = alpha ? 4 : 3;
        f.big = alpha;
        f.slope = 5; /* of no meaning there */
        uint8_t voxels[60 * 4];
        for (int i = 0; i < 240; i++) voxels[i] = (uint8_t)i;
        const char *path = in_folder("colours.nii");
        save_fixture(&f, path, voxels, (size_t)(60 * f.bytes));
        samc__volume *volume = open_good(path, 0);
        cr_assert_eq(samc__volume_get_info(volume)->channels, 3);
        float *all = read_all(volume);
        for (int i = 0; i < 180; i++) cr_assert(all[i] == (float)(i / 3 * f.bytes + i % 3));
        for (int axis = 0; axis < 3; axis++)
            for (int i = 0; i < 3; i++) check_slice(volume, all, axis, i);
        free(all);
        samc__volume_close(volume);
    }
}

Test(volume, one_of_several) {
    fixture f = plain_fixture();
    f.rank = 5;
    f.dim[3] = 2;
    f.dim[4] = 3;
    uint8_t voxels[360];
    for (int i = 0; i < 360; i++) voxels[i] = (uint8_t)(i / 60 * 10);
    const char *path = in_folder("several.nii");
    save_fixture(&f, path, voxels, sizeof voxels);
    for (int time = 0; time < 6; time++) {
        samc__volume *volume = open_good(path, time);
        float *all = read_all(volume);
        cr_assert(samc__volume_get_info(volume)->times == 6 && all[0] == (float)(time * 10) && all[59] == all[0]);
        free(all);
        samc__volume_close(volume);
    }
    samc__volume *volume;
    samc_error error = {0};
    cr_assert_eq(samc__volume_open(path, 6, &volume, &error), SAMC_INVALID_ARGUMENT);
    cr_assert(volume == NULL && strstr(error.message, "there is no volume 6: it has 6") != NULL, "%s", error.message);
}

Test(volume, pairs) {
    uint8_t voxels[64] = {0}, head[544];
    for (int i = 0; i < 60; i++) voxels[i + 4] = (uint8_t)(i + 1);
    fixture f = plain_fixture();
    f.pair = true;
    f.offset = 4;
    size_t packed;
    fixture_header(&f, head);
    uint8_t *head_packed = pack(head, 348, &packed);
    save(in_folder("b.hdr.gz"), head_packed, packed);
    uint8_t *voxels_packed = pack(voxels, sizeof voxels, &packed);
    save(in_folder("b.img.gz"), voxels_packed, packed);
    save(in_folder("a.hdr"), head, 348);
    save(in_folder("a.img"), voxels, sizeof voxels);
    save(in_folder("C.HDR"), head, 348);
    save(in_folder("C.IMG"), voxels, sizeof voxels);
    static const char *const names[] = {"a.hdr", "a.img", "b.hdr.gz", "b.img.gz", "C.HDR", "C.IMG"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        samc__volume *volume = open_good(in_folder(names[i]), 0);
        float *all = read_all(volume);
        for (int k = 0; k < 60; k++) cr_assert(all[k] == (float)(k + 1), "%s", names[i]);
        free(all);
        samc__volume_close(volume);
    }
    free(head_packed);
    free(voxels_packed);
    samc__volume *volume;
    samc_error error = {0};
    cr_assert_eq(remove(in_folder("a.img")), 0);
    cr_assert_eq(samc__volume_open(in_folder("a.hdr"), 0, &volume, &error), SAMC_IO);
    cr_assert(strstr(error.message, "a.img: cannot open: No such file") != NULL, "%s", error.message);
}

/* ---- Packed ---------------------------------------------------------------------------------- */

/* 200 x 160 x 140 of i16, 9 MB: noise that deflate cannot make small in places, zeros in others. */
enum { WIDE = 200, HIGH = 160, DEEP = 140, VOXELS = WIDE * HIGH * DEEP };

static uint8_t *noise(size_t *size) {
    fixture f = plain_fixture();
    int16_t *voxels = malloc(VOXELS * sizeof *voxels);
    uint32_t seed = 1;
    for (int i = 0; i < VOXELS; i++) {
        seed = seed * 1664525 + 1013904223;
        voxels[i] = i / 300000 % 3 == 0 ? 0 : (int16_t)(seed >> (i / 300000 % 3 == 1 ? 16 : 26));
    }
    f.dim[0] = WIDE, f.dim[1] = HIGH, f.dim[2] = DEEP;
    f.type = 4, f.bytes = 2;
    uint8_t *bytes = join(&f, voxels, VOXELS * sizeof *voxels, size);
    free(voxels);
    return bytes;
}

Test(volume, packed_in_any_order) {
    size_t size, packed[3], all = 0;
    uint8_t *bytes = noise(&size), *parts[3], *whole = NULL;
    const size_t cut[4] = {0, 200, size / 3 + 1, size};
    save(in_folder("plain.nii"), bytes, size);
    for (int i = 0; i < 3; i++) { /* three members: bgzip and cat make such files */
        parts[i] = pack(bytes + cut[i], cut[i + 1] - cut[i], &packed[i]);
        whole = realloc(whole, all + packed[i]);
        memcpy(whole + all, parts[i], packed[i]);
        all += packed[i];
        free(parts[i]);
    }
    const char *paths[2] = {in_folder("members.nii.gz"), in_folder("one.nii.gz")};
    save(paths[0], whole, all);
    free(whole);
    whole = pack(bytes, size, &all);
    save(paths[1], whole, all);
    free(whole);
    free(bytes);
    samc__volume *plain = open_good(in_folder("plain.nii"), 0);
    float *values = read_all(plain);
    for (int i = 0; i < 2; i++) {
        samc__volume *volume = open_good(paths[i], 0);
        char one[65], other[65];
        samc_error error = {0};
        for (int k = DEEP; k-- > 0;) check_slice(volume, values, 2, k);
        for (int n = 0; n < 60; n++) check_slice(volume, values, 2, n * 89 % DEEP);
        for (int n = 0; n < 4; n++)
            check_slice(volume, values, 1, n * 53), check_slice(volume, values, 0, 199 - n * 60);
        cr_assert_eq(samc__volume_identity(volume, one, &error), SAMC_OK);
        cr_assert_eq(samc__volume_identity(plain, other, &error), SAMC_OK);
        cr_assert_str_eq(one, other);
        cr_assert_eq(strlen(one), 64);
        samc__volume_close(volume);
    }
    samc__volume_close(plain);
    free(values);
}

Test(volume, packed_and_damaged) {
    size_t size, packed;
    uint8_t *bytes = noise(&size), *whole = pack(bytes, size, &packed);
    samc__volume *volume;
    samc_error error = {0};
    const char *path = in_folder("damaged.nii.gz");
    whole[packed - 6] ^= 1; /* of the checksum */
    save(path, whole, packed);
    cr_assert_eq(samc__volume_open(path, 0, &volume, &error), SAMC_FORMAT);
    cr_assert(strstr(error.message, "damaged gzip file: incorrect data check") != NULL, "%s", error.message);
    for (size_t keep = packed - 8; keep > 600; keep /= 2) {
        save(path, whole, keep);
        cr_assert_eq(samc__volume_open(path, 0, &volume, &error), SAMC_FORMAT);
        cr_assert(strstr(error.message, "cut off") != NULL, "%zu: %s", keep, error.message);
    }
    free(whole);
    /* More than fits in: refused before a byte of it is decompressed; and zeros up to the end that are one short. */
    fixture f = plain_fixture();
    f.dim[0] = f.dim[1] = 10000;
    f.dim[2] = 600;
    whole = pack(bytes, fixture_header(&f, bytes) + 1000, &packed);
    save(path, whole, packed);
    cr_assert_eq(samc__volume_open(path, 0, &volume, &error), SAMC_FORMAT);
    cr_assert(strstr(error.message, "cannot hold the 60000000352 that are wanted") != NULL, "%s", error.message);
    free(whole);
    f.dim[0] = f.dim[1] = 100;
    f.dim[2] = 100;
    fixture_header(&f, bytes);
    memset(bytes + 352, 0, 999999);
    whole = pack(bytes, 352 + 999999, &packed);
    save(path, whole, packed);
    cr_assert_eq(samc__volume_open(path, 0, &volume, &error), SAMC_FORMAT);
    cr_assert(strstr(error.message, "cut off: its gzip stream ends after 1000351 of 1000352 bytes") != NULL, "%s",
              error.message);
    free(whole);
    free(bytes);
}

/* ---- Hostile headers ------------------------------------------------------------------------- */

static void refuse(const fixture *f, const char *name, const char *message) {
    const uint8_t voxels[60] = {0};
    samc__volume *volume;
    samc_error error = {0};
    const char *path = in_folder(name);
    save_fixture(f, path, voxels, sizeof voxels);
    cr_assert_neq(samc__volume_open(path, 0, &volume, &error), SAMC_OK, "%s", message);
    cr_assert(volume == NULL && strstr(error.message, message) != NULL, "\"%s\", not \"%s\"", error.message, message);
    cr_assert(strstr(error.message, name) != NULL && strchr(error.message, '\n') == NULL, "%s", error.message);
}

#define REFUSED(message, ...)                                                                                          \
    do {                                                                                                               \
        fixture f = plain_fixture();                                                                                   \
        __VA_ARGS__;                                                                                                   \
        refuse(&f, "bad.nii", message);                                                                                \
    } while (0)

Test(volume, hostile_headers) {
    REFUSED("0 dimensions, not 1 to 7", f.rank = 0);
    REFUSED("8 dimensions, not 1 to 7", f.rank = 8);
    REFUSED("dimension 2 is 0", f.dim[1] = 0);
    REFUSED("dimension 3 is -5", f.dim[2] = -5);
    REFUSED("dimension 4 is 0", f.rank = 4; f.dim[3] = 0);
    REFUSED("cut off: it has 412 bytes, and its header promises 413", f.offset = 353);
    REFUSED("cut off: it has 412 bytes", f.dim[2] = 4);
    REFUSED("more than 68719476736 bytes of voxels", f.rank = 7; for (int i = 0; i < 7; i++) f.dim[i] = 32767);
    REFUSED("slices across k of 32767 x 32767 voxels are too large", f.dim[0] = f.dim[1] = 32767; f.dim[2] = 1);
    REFUSED("slices across i of 32767 x 20000 voxels are too large", f.dim[0] = 1; f.dim[1] = 32767; f.dim[2] = 20000);
    REFUSED("100000 voxels along i, at most 32767", f.version = 2; f.offset = 544; f.dim[0] = 100000);
    REFUSED("type 32 (complex64) are not read", f.type = 32);
    REFUSED("type 1 (binary) are not read", f.type = 1);
    REFUSED("type 12345 (unknown) are not read", f.type = 12345);
    REFUSED("the voxels' offset is 0", f.offset = 0);
    REFUSED("the voxels' offset is 351", f.offset = 351);
    REFUSED("the voxels' offset is nan", f.offset = (double)NAN);
    REFUSED("the voxels' offset is inf", f.offset = (double)INFINITY);
    REFUSED("the voxels' offset is 352.5", f.offset = 352.5);
    REFUSED("the voxels' offset is -1e+20", f.offset = -1e20);
    REFUSED("scl_slope is 2, but scl_inter nan", f.slope = 2; f.inter = (double)NAN);
    REFUSED("the spacing along j is nan", f.sform = 0; f.pixdim[2] = (double)NAN);
    REFUSED("the spacing along k is inf", f.sform = 0; f.qform = 1; f.pixdim[3] = (double)INFINITY);
    REFUSED("the qform's quaternion is no rotation", f.sform = 0; f.qform = 1; f.quatern[0] = 1; f.quatern[1] = 0.1);
    REFUSED("the qform's quaternion is no rotation", f.sform = 0; f.qform = 1; f.quatern[2] = (double)NAN);
    REFUSED("its voxels have no place: spacing nan along i", f.srow[0] = (double)NAN);
    REFUSED("its voxels have no place: spacing 2 along j, origin inf", f.srow[7] = (double)INFINITY);
    REFUSED("its voxels have no place: spacing 0 along k", f.srow[10] = 0);
    REFUSED("its axes lie in one plane", f.srow[8] = 1; f.srow[0] = 0; f.srow[2] = 0);
}

Test(volume, no_nifti) {
    fixture f = plain_fixture();
    uint8_t head[544], voxels[60] = {0};
    samc__volume *volume;
    samc_error error = {0};
    const char *path = in_folder("other.nii");
    static const struct {
        size_t at, size; /* of what is overwritten with zeros, or of the whole file where `at` is 600 */
        const char *message;
    } changes[] = {{344, 4, "Analyze 7.5, which does not say where its voxels are"},
                   {345, 1, "the header has not NIfTI's magic"},
                   {0, 1, "no volume that samc reads"},
                   {600, 347, "no volume that samc reads"},
                   {600, 0, "no volume that samc reads"},
                   {600, 348, "cut off: it has 348 bytes"}};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        fixture_header(&f, head);
        if (changes[i].at < 600) memset(head + changes[i].at, 0, changes[i].size);
        save(path, head, changes[i].at < 600 ? 544 : changes[i].size);
        cr_assert_neq(samc__volume_open(path, 0, &volume, &error), SAMC_OK);
        cr_assert(strstr(error.message, changes[i].message) != NULL, "%s", error.message);
    }
    f.version = 2;
    f.offset = 544;
    fixture_header(&f, head);
    head[8] = '\n'; /* as a transfer of texts does it */
    save(path, head, 544);
    cr_assert_eq(samc__volume_open(path, 0, &volume, &error), SAMC_FORMAT);
    cr_assert(strstr(error.message, "its line ends were changed") != NULL, "%s", error.message);
    cr_assert_eq(samc__volume_open(in_folder("nothing.nii"), 0, &volume, &error), SAMC_IO);
    cr_assert_eq(samc__volume_open(fixture_folder, 0, &volume, &error), SAMC_UNSUPPORTED);
    f = plain_fixture();
    save_fixture(&f, path, voxels, sizeof voxels);
    cr_assert(samc__volume_is(path) && !samc__volume_is(SAMC_TEST_DATA "/images/grey.png"));
}

/* ---- Labels ---------------------------------------------------------------------------------- */

static samc_status fill(void *context, int k, uint16_t *labels, samc_error *error) {
    (void)error;
    for (int i = 0; i < 20; i++) labels[i] = (uint16_t)((k * 20 + i) * *(const int *)context / 59);
    return SAMC_OK;
}

static samc_status fail_at_last(void *context, int k, uint16_t *labels, samc_error *error) {
    if (k < 2) return fill(context, k, labels, error);
    snprintf(error->message, sizeof error->message, "not now");
    return SAMC_STOPPED;
}

Test(volume, labels) {
    for (int way = 0; way < 8; way++) {
        fixture f = plain_fixture();
        uint8_t voxels[60] = {0}, head[544];
        f.version = 1 + (way & 1);
        f.offset = f.version == 2 ? 544 : 352;
        f.big = way & 2;
        f.sform = 2;
        f.qform = 3;
        f.quatern[1] = 0.5;
        f.qoffset[0] = -7;
        f.srow[1] = 0.125;
        const char *from = in_folder("from.nii"), *to = in_folder(way & 4 ? "to.nii.gz" : "to.nii");
        save_fixture(&f, from, voxels, sizeof voxels);
        int most = way < 4 ? 255 : 256;
        samc__volume *volume = open_good(from, 0);
        samc_error error = {0};
        samc__labels labels = {.count = most, .slice = fill, .context = &most};
        cr_assert_eq(samc__labels_write(to, volume, &labels, &error), SAMC_OK, "%s", error.message);
        samc__volume *back = open_good(to, 0);
        const samc__volume_info *a = samc__volume_get_info(volume), *b = samc__volume_get_info(back);
        cr_assert(memcmp(a->affine, b->affine, sizeof a->affine) == 0 && strcmp(a->format, b->format) == 0);
        float *all = read_all(back);
        for (int i = 0; i < 60; i++) cr_assert(all[i] == (float)(i * most / 59), "%d: %g", i, (double)all[i]);
        free(all);
        samc__volume_close(back);
        gzFile file = gzopen(to, "rb"); /* reads also what is not packed */
        const int size = f.version == 2 ? 544 : 352;
        uint8_t got[1000];
        cr_assert_eq(gzread(file, got, sizeof got), size + 60 * (most > 255 ? 2 : 1));
        gzclose(file);
        /* Little-endian, and as the source's but for type, scale, the greatest value and the intent. */
        f.big = false;
        f.type = most > 255 ? 512 : 2;
        f.bytes = most > 255 ? 2 : 1;
        f.slope = 1;
        fixture_header(&f, head);
        put_real(&f, head + (f.version == 2 ? 192 : 124), most);
        put_int(&f, head + (f.version == 2 ? 504 : 68), 1002, f.version == 2 ? 4 : 2);
        memcpy(head + (f.version == 2 ? 508 : 328), "Label", 5);
        for (int i = 0; i < size; i++) cr_assert(got[i] == head[i], "version %d, byte %d", f.version, i);
        labels.count = 1; /* a label above */
        cr_assert_eq(samc__labels_write(to, volume, &labels, &error), SAMC_INTERNAL);
        labels.count = most;
        labels.slice = fail_at_last;
        cr_assert_eq(samc__labels_write(to, volume, &labels, &error), SAMC_STOPPED);
        back = open_good(to, 0); /* what was there stays */
        samc__volume_close(back);
        labels.slice = fill;
        cr_assert_eq(samc__labels_write(in_folder("to.png"), volume, &labels, &error), SAMC_INVALID_ARGUMENT);
        cr_assert_eq(samc__labels_write(in_folder("to.dcm"), volume, &labels, &error), SAMC_UNSUPPORTED);
        cr_assert(strstr(error.message, "a DICOM segmentation is of DICOM images") != NULL, "%s", error.message);
        samc__volume_close(volume);
    }
}

/* What a header says in free text may be a patient's name, and extensions may be anything. */
Test(volume, labels_without_texts) {
    fixture f = plain_fixture();
    f.offset = 352 + 64;
    uint8_t bytes[544] = {0}; /* header, extension, voxels: 476 */
    fixture_header(&f, bytes);
    static const int texts[] = {4, 14, 148, 228, 328}; /* data_type, db_name, descrip, aux_file, intent_name */
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) memcpy(bytes + texts[i], "DOE^JOHN", 8);
    bytes[348] = 1;
    memcpy(bytes + 352, "\x40\0\0\0\2\0\0\0", 8);
    memcpy(bytes + 370, "DOE^JOHN", 8);
    const char *from = in_folder("private.nii"), *to = in_folder("labels.nii");
    save(from, bytes, 352 + 64 + 60);
    int most = 3;
    samc__volume *volume = open_good(from, 0);
    samc_error error = {0};
    const samc__labels labels = {.count = most, .slice = fill, .context = &most};
    cr_assert_eq(samc__labels_write(to, volume, &labels, &error), SAMC_OK, "%s", error.message);
    samc__volume_close(volume);
    uint8_t *got;
    size_t size;
    cr_assert_eq(samc__file_read(to, 10000, &got, &size, &error), SAMC_OK);
    cr_assert_eq(size, 352 + 60);
    cr_assert(memmem(got, size, "DOE", 3) == NULL);
    free(got);
}

Test(volume, identity) {
    fixture f = plain_fixture();
    uint8_t voxels[60] = {0};
    char ids[3][65];
    for (int i = 0; i < 3; i++) { /* as it was, another voxel, another place */
        const char *path = in_folder("identity.nii");
        voxels[59] = i == 1;
        f.srow[3] = i == 2 ? -11 : -10;
        save_fixture(&f, path, voxels, sizeof voxels);
        samc__volume *volume = open_good(path, 0);
        samc_error error = {0};
        cr_assert_eq(samc__volume_identity(volume, ids[i], &error), SAMC_OK);
        samc__volume_close(volume);
        for (int k = 0; k < i; k++) cr_assert_str_neq(ids[k], ids[i]);
    }
}
