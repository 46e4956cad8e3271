/* Checkpoints that nobody should have: cut off, altered, and made to break the readers. Each ends in a clear error,
 * without a crash and without much memory. Run under sanitizers too; every input lies in a heap block of its exact
 * size. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/weights_build.h"
#include "runtime/model/tensors.h"

#define DATA SAMC_TEST_DATA "/weights/"

#ifndef __has_feature
#define __has_feature(feature) 0 /* clang's question; GCC answers with macros */
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

/* Caps the address space of this test's process, so that a large allocation fails and gives the wrong status;
 * sanitizers reserve terabytes and cannot live with that. */
static void cap_memory(void) {
    const struct rlimit limit = {512u << 20, 512u << 20};
    if (!SANITIZED) cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

static long peak_kilobytes(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

/* One line of printable characters, whatever the file held. */
static void expect_message(const samc_error *error) {
    cr_assert_gt(strlen(error->message), 0);
    for (const char *at = error->message; *at != '\0'; at++)
        cr_assert(*at >= ' ' && *at <= '~', "byte 0x%02x in a message", (unsigned char)*at);
}

/* Opens a copy and does everything that can be done with it. */
static samc_status use(const void *data, size_t size, samc_error *error) {
    samc__checkpoint *c = NULL;
    samc__config config;
    static samc__weights weights;
    samc__tensor_list list = {0};
    void *owned = NULL, *copy = malloc(size ? size : 1);
    size_t owned_bytes;
    char hex[65];
    memcpy(copy, data, size);
    *error = (samc_error){.status = SAMC_OK};
    samc_status status = samc__checkpoint_open_memory(copy, size, "file", &c, error);
    cr_assert_eq(status == SAMC_OK, c != NULL);
    if (status == SAMC_OK) {
        for (size_t i = 0; i < samc__checkpoint_count(c); i++) {
            const samc__tensor *t = samc__checkpoint_at(c, i);
            int64_t elements = samc__tensor_elements(t), some = elements < 64 ? elements : 64;
            float values[64];
            if (t->dtype == SAMC__OTHER) continue;
            samc__tensor_copy_f32(t, 0, some, values);
            samc__tensor_copy_f32(t, elements - some, some, values);
        }
        status = samc__config_infer(c, &config, error);
        if (status == SAMC_OK) status = samc__tensors_list(&config, &weights, &list, error);
        if (status == SAMC_OK) status = samc__tensors_load(&list, c, NULL, &owned, &owned_bytes, error);
        if (status == SAMC_OK) status = samc__tensors_hash(&list, c, NULL, hex, error);
        free(owned);
        samc__tensors_free(&list);
        samc__checkpoint_close(c);
    }
    if (status != SAMC_OK) expect_message(error);
    free(copy);
    return status;
}

static void expect(bytes b, samc_status expected, const char *part) {
    samc_error error;
    samc_status status = use(b.data, b.size, &error);
    cr_assert_eq(status, expected, "status %d instead of %d: %s", status, expected, error.message);
    cr_assert_not_null(strstr(error.message, part), "\"%s\" is not in: %s", part, error.message);
    clear(&b);
}

/* ---- Cut off and altered --------------------------------------------------------------------- */

Test(weights_hostile, every_truncation_is_an_error) {
    static const char *const files[] = {DATA "model_f32.pth", DATA "model_bf16.safetensors", DATA "zip64.pth"};
    for (int i = 0; i < 3; i++) {
        bytes b = read_file(files[i]);
        samc_error error;
        cr_assert_gt(b.size, 1000);
        samc_status complete = use(b.data, b.size, &error);
        cr_assert_eq(complete, i < 2 ? SAMC_OK : SAMC_MISMATCH, "%s", error.message); /* zip64.pth is no whole model */
        for (size_t length = 0; length < 1024; length++)
            cr_assert_eq(use(b.data, length, &error), SAMC_FORMAT, "%zu bytes: %s", length, error.message);
        for (size_t part = 1; part < 64; part++)
            cr_assert_eq(use(b.data, b.size * part / 64, &error), SAMC_FORMAT, "%zu/64: %s", part, error.message);
        for (size_t cut = 1; cut < 300; cut++)
            cr_assert_eq(use(b.data, b.size - cut, &error), SAMC_FORMAT, "%zu cut off: %s", cut, error.message);
        clear(&b);
    }
}

Test(weights_hostile, bit_flips_never_crash, .timeout = 120) {
    static const char *const files[] = {DATA "views.pth", DATA "zip64.pth", DATA "model_bf16.safetensors",
                                        DATA "model_wrapped_f16.pth"};
    uint64_t random = 20240607; /* xorshift, so that a failure repeats */
    for (int i = 0; i < 4; i++) {
        bytes b = read_file(files[i]);
        size_t errors = 0, rounds = i < 2 ? 6000 : 800;
        for (size_t round = 0; round < rounds; round++) {
            uint8_t saved[4];
            size_t places[4];
            samc_error error;
            int flips = 1 + (int)(round % 4);
            for (int j = 0; j < flips; j++) {
                random ^= random << 13, random ^= random >> 7, random ^= random << 17;
                /* Half of them where the structure is: in the first 16 kB, and in the directory at the end. */
                size_t range = random & 1 || b.size < 16384 ? b.size : 16384;
                places[j] = (size_t)(random >> 8) % range;
                if ((random & 6) == 6) places[j] = b.size - 1 - places[j];
                saved[j] = b.data[places[j]];
                b.data[places[j]] ^= (uint8_t)(1u << (random >> 60 & 7));
            }
            errors += use(b.data, b.size, &error) != SAMC_OK;
            for (int j = flips; j-- > 0;) b.data[places[j]] = saved[j];
        }
        cr_assert_gt(errors, 100, "%s: flips are noticed where they break the structure", files[i]);
        clear(&b);
    }
}

/* ---- safetensors ----------------------------------------------------------------------------- */

static bytes with_length(const char *header, uint64_t length) {
    bytes b = safetensors_of(header, 16);
    memcpy(b.data, &length, 8);
    return b;
}

Test(weights_hostile, safetensors_lies) {
    cap_memory();
    expect(with_length("{}", UINT64_C(1) << 63), SAMC_FORMAT, "claims 9223372036854775808 bytes");
    expect(with_length("{}", UINT64_MAX), SAMC_FORMAT, "claims");
    expect(with_length("{}", UINT64_MAX - 7), SAMC_FORMAT, "claims");
    expect(with_length("{}", 19), SAMC_FORMAT, "claims 19 bytes");
    expect(with_length("{}", 0), SAMC_FORMAT, "not valid JSON");
    static const struct {
        const char *header;
        samc_status status;
        const char *part;
    } cases[] = {
        {"{}", SAMC_FORMAT, "16 bytes after the last tensor"},
        {"{\"a\":", SAMC_FORMAT, "not valid JSON"},
        {"{} x", SAMC_FORMAT, "not valid JSON"},
        {"{\"a\":1}", SAMC_FORMAT, "tensor a: its entry is not"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4]}}", SAMC_FORMAT, "tensor a: its entry is not"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16],\"x\":1}}", SAMC_FORMAT, "its entry is not"},
        {"{\"a\":{\"dtype\":\"F33\",\"shape\":[4],\"data_offsets\":[0,16]}}", SAMC_UNSUPPORTED, "unknown dtype F33"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,16]}}", SAMC_FORMAT,
         "16 bytes, but its shape and dtype need 20"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}", SAMC_FORMAT, "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4.0],\"data_offsets\":[0,16]}}", SAMC_FORMAT, "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,16]}}", SAMC_FORMAT,
         "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,16]}}", SAMC_FORMAT,
         "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0,4294967296,4294967296],\"data_offsets\":[0,0]}}", SAMC_FORMAT,
         "impossible shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,4],\"data_offsets\":[0,16]}}", SAMC_UNSUPPORTED,
         "more than 8 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}", SAMC_FORMAT,
         "bytes 0 to 20 lie outside the 16"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}", SAMC_FORMAT, "lie outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[-16,0]}}", SAMC_FORMAT, "lie outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[9223372036854775807,9223372036854775807]}}",
         SAMC_FORMAT, "lie outside"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],"
         "\"data_offsets\":[8,16]}}",
         SAMC_FORMAT, "tensor b overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"b\":{\"dtype\":\"F32\",\"shape\":[4],"
         "\"data_offsets\":[0,16]}}",
         SAMC_FORMAT, "overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"b\":{\"dtype\":\"F32\",\"shape\":[2],"
         "\"data_offsets\":[8,16]}}",
         SAMC_FORMAT, "tensor b follows a hole"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", SAMC_FORMAT,
         "8 bytes after the last tensor"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"a\":{\"dtype\":\"F32\",\"shape\":[4],"
         "\"data_offsets\":[0,16]}}",
         SAMC_FORMAT, "tensor a overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]},\"a\":{\"dtype\":\"F32\",\"shape\":[4],"
         "\"data_offsets\":[0,16]}}",
         SAMC_FORMAT, "tensor a occurs twice"},
        {"{\"model.image_encoder.a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"image_encoder.a\":{"
         "\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[16,16]}}",
         SAMC_MISMATCH, "missing"},
        {"{\"module.image_encoder.a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},\"module.image_encoder."
         "b\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[16,16]},\"module.image_encoder.b\":{\"dtype\":\"F32\","
         "\"shape\":[0],\"data_offsets\":[16,16]}}",
         SAMC_FORMAT, "tensor image_encoder.b occurs twice"},
        {"{\"__metadata__\":[],\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", SAMC_FORMAT,
         "__metadata__ is not an object"},
        {"{\"__metadata__\":{\"k\":1},\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", SAMC_FORMAT,
         "metadata k is not a string"},
        {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"},\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}",
         SAMC_FORMAT, "metadata k occurs twice"},
        {"{\"\x1b[31m\u00e9\":{}}", SAMC_FORMAT, "not valid JSON"},
        {"{\"\\u001b[31m\\u009b\":{}}", SAMC_FORMAT, "tensor \\u001b[31m\\u009b: its"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(safetensors_of(cases[i].header, 16), cases[i].status, cases[i].part);
}

Test(weights_hostile, safetensors_bombs) {
    cap_memory();
    bytes nested = {0};
    put_text(&nested, "{\"a\":");
    for (int i = 0; i < 100000; i++) put_text(&nested, "[");
    put(&nested, "", 1);
    expect(safetensors_of((char *)nested.data, 0), SAMC_FORMAT, "nested too deeply");
    clear(&nested);
    bytes wide = {0}; /* the largest header that is read at all: no memory beside the file itself */
    put_text(&wide, "{\"a\":[[]");
    while (wide.size < (16 << 20) - 8) put_text(&wide, ",[]");
    put(&wide, "]}", 3);
    bytes file = safetensors_of((char *)wide.data, 0);
    samc__checkpoint *c;
    samc_error error;
    long before = peak_kilobytes();
    cr_assert_eq(samc__checkpoint_open_memory(file.data, file.size, "file", &c, &error), SAMC_FORMAT);
    cr_assert_not_null(strstr(error.message, "tensor a: its entry is not"), "%s", error.message);
    if (!SANITIZED) cr_assert_lt(peak_kilobytes() - before, 1024);
    clear(&file);
    wide.size--; /* the NUL */
    put(&wide, "         ", 10);
    expect(safetensors_of((char *)wide.data, 0), SAMC_UNSUPPORTED, "at most 16777216");
    clear(&wide);
    char name[700], header[1000];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    snprintf(header, sizeof header, "{\"%s\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", name);
    expect(safetensors_of(header, 0), SAMC_UNSUPPORTED, "a name of more than 512 bytes");
}

/* ---- pickle ---------------------------------------------------------------------------------- */

/* An archive around these opcodes, with a storage of 64 bytes. */
static bytes pickle_of(const char *opcodes, size_t size) {
    bytes b = {0};
    put(&b, opcodes, size);
    return pth_of(&b, 64);
}
#define PICKLE(text) pickle_of(text, sizeof(text) - 1)

Test(weights_hostile, pickle_nonsense) {
    cap_memory();
    expect(PICKLE(""), SAMC_FORMAT, "cut off at byte 0");
    expect(PICKLE("\x80\x02}"), SAMC_FORMAT, "cut off at byte 3");
    expect(PICKLE("\x80\x02."), SAMC_FORMAT, "stack underflow");
    expect(PICKLE("\x80\x01}."), SAMC_FORMAT, "unknown protocol");
    expect(PICKLE("\x80\x02}(I1\n."), SAMC_UNSUPPORTED, "unknown pickle opcode 0x49 at byte 4");
    expect(PICKLE("(t."), SAMC_FORMAT, "a Python object");
    expect(PICKLE("}."), SAMC_FORMAT, "no tensors by name");
    expect(PICKLE("t."), SAMC_FORMAT, "no mark");
    expect(PICKLE("0."), SAMC_FORMAT, "stack underflow");
    expect(PICKLE("R."), SAMC_FORMAT, "stack underflow");
    expect(PICKLE("N}(0."), SAMC_FORMAT, "stack underflow"); /* below a mark */
    expect(PICKLE("]}(a."), SAMC_FORMAT, "stack underflow");
    expect(PICKLE("]N(at."), SAMC_FORMAT, "stack underflow");
    expect(PICKLE("N(\x86."), SAMC_FORMAT, "stack underflow");
    expect(PICKLE("}(Nu."), SAMC_FORMAT, "a key without a value");
    expect(PICKLE("(Nd."), SAMC_FORMAT, "a key without a value");
    expect(PICKLE("N(NNu."), SAMC_FORMAT, "no container");
    expect(PICKLE("}(NNe."), SAMC_FORMAT, "no container");
    expect(PICKLE("(NNu."), SAMC_FORMAT, "stack underflow");
    expect(PICKLE("h\0."), SAMC_FORMAT, "unknown memo index");
    expect(PICKLE("}q\1h\0."), SAMC_FORMAT, "unknown memo index");
    expect(PICKLE("cos\nsystem"), SAMC_FORMAT, "cut off");
    expect(PICKLE("cos\nsystem\nX\4\0\0\0true\x85R."), SAMC_FORMAT, "a Python object"); /* recorded, never called */
    expect(PICKLE("X\xff\xff\xff\xff."), SAMC_FORMAT, "a string longer than the file");
    expect(PICKLE("\x8d\xff\xff\xff\xff\xff\xff\xff\xff."), SAMC_FORMAT, "a string longer than the file");
    expect(PICKLE("\x8b\xff\xff\xff\x7f."), SAMC_FORMAT, "a number longer than the file");
    expect(PICKLE("\x8b\xff\xff\xff\xff."), SAMC_FORMAT, "a number longer than the file");
}

Test(weights_hostile, pickle_bombs) {
    cap_memory();
    long before = peak_kilobytes();
    expect(PICKLE("}r\xff\xff\xff\xff."), SAMC_UNSUPPORTED, "too many objects"); /* a memo of 4 G entries */
    expect(PICKLE("}r\xff\xff\x3f\0."), SAMC_FORMAT, "impossible memo index");
    cr_assert_lt(peak_kilobytes() - before, SANITIZED ? 200 << 10 : 8 << 10);

    bytes b = {0}; /* a million nested tuples: nothing recurses */
    put_text(&b, "}");
    for (int i = 0; i < 1000000; i++) put_text(&b, "\x85");
    put_text(&b, ".");
    expect(pth_of(&b, 0), SAMC_FORMAT, "a Python object");
    for (int i = 0; i < 1000000; i++) put_text(&b, "(");
    put_text(&b, "N.");
    expect(pth_of(&b, 0), SAMC_FORMAT, "a Python object");
    for (int i = 0; i < 5000000; i++) put_text(&b, "N");
    put_text(&b, ".");
    expect(pth_of(&b, 0), SAMC_UNSUPPORTED, "too many objects");
    put_text(&b, "]");
    for (int i = 0; i < 5000000; i++) put_text(&b, "2");
    put_text(&b, ".");
    expect(pth_of(&b, 0), SAMC_UNSUPPORTED, "too many objects");
    /* {"model": {"model": itself}}: the search for the state dictionary ends. */
    put_text(&b, "}q");
    put_number(&b, 0, 1);
    pickle_string(&b, "model");
    put(&b, "h\0s.", 4);
    expect(pth_of(&b, 0), SAMC_FORMAT, "no tensors by name");
    /* A dictionary whose million keys are one long string: no million copies, no million comparisons of it. */
    const int64_t side = 1;
    bytes pickle = {0};
    pickle_tensor(&pickle, 16, 0, 1, &side, &side);
    put(&pickle, "q\1", 2);
    put_text(&pickle, "}(X");
    put_number(&pickle, 3 << 20, 4);
    for (int i = 0; i < 3 << 20; i++) put_text(&pickle, "k");
    put(&pickle, "q\2h\1", 4);
    for (int i = 0; i < 500000; i++) put(&pickle, "h\2h\1", 4);
    put_text(&pickle, "u.");
    expect(pth_of(&pickle, 64), SAMC_FORMAT, "no tensors by name");
    pickle_tensor(&pickle, 16, 0, 1, &side, &side);
    put(&pickle, "q\1}(", 4);
    for (int i = 0; i < 70000; i++) {
        char name[32];
        snprintf(name, sizeof name, "t%d", i);
        pickle_string(&pickle, name);
        put(&pickle, "h\1", 2);
    }
    put_text(&pickle, "u.");
    expect(pth_of(&pickle, 64), SAMC_UNSUPPORTED, "more than 65536 tensors");
}

/* Sizes may be numbers of any width, with a sign. */
Test(weights_hostile, pickle_integers) {
    static const struct {
        const char *opcode;
        size_t size;
        const char *part;
    } offsets[] = {
        {"\x8a\x01\x0f", 3, "missing"},
        {"\x8a\x01\xff", 3, "impossible"},
        {"\x8a\x02\xff\x00", 4, "beyond"},
        {"\x8b\x01\0\0\0\x10", 6, "beyond"},
        {"\x8a\0", 2, "missing"},
        {"J\x0f\0\0\0", 5, "missing"},
        {"J\xff\xff\xff\xff", 5, "impossible"},
        {"K\xff", 2, "beyond"},
        {"M\xff\xff", 3, "beyond"},
        {"M\x0f\0", 3, "missing"},
        {"\x8a\x09\1\0\0\0\0\0\0\0\0", 11, "two tuples"},
        {"\x88", 1, "missing"},
        {"N", 1, "two tuples"},
    };
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        bytes b = {0};
        put_text(&b, "}");
        pickle_string(&b, "image_encoder.x");
        put_text(&b, "ctorch._utils\n_rebuild_tensor_v2\n((");
        pickle_string(&b, "storage");
        put_text(&b, "ctorch\nFloatStorage\n");
        pickle_string(&b, "0");
        put(&b, "NK\x10tQ", 5);
        put(&b, offsets[i].opcode, offsets[i].size);
        put_text(&b, "))tRs.");
        expect(pth_of(&b, 64), strcmp(offsets[i].part, "missing") == 0 ? SAMC_MISMATCH : SAMC_FORMAT, offsets[i].part);
    }
}

/* {"image_encoder.x": tensor} over a storage of 64 bytes, 16 floats. */
static bytes view_of(int64_t numel, int64_t offset, int rank, const int64_t *shape, const int64_t *stride) {
    bytes b = {0};
    put_text(&b, "}(");
    pickle_string(&b, "image_encoder.x");
    pickle_tensor(&b, numel, offset, rank, shape, stride);
    put_text(&b, "u.");
    return pth_of(&b, 64);
}

Test(weights_hostile, views_outside_their_storage) {
    cap_memory();
    const int64_t large = INT64_MAX, half = INT64_C(1) << 62;
    static const char inside[] = "missing", beyond[] = "tensor image_encoder.x: reaches beyond its storage",
                      impossible[] = "tensor image_encoder.x: impossible shape, strides or offset";
    const struct {
        int64_t numel, offset;
        int rank;
        int64_t shape[9], stride[9];
        const char *part;
    } cases[] = {
        {16, 0, 1, {16}, {1}, inside},
        {16, 15, 0, {0}, {0}, inside},
        {16, 16, 1, {0}, {1}, inside},
        {16, 1, 2, {3, 5}, {5, 1}, inside},
        {16, 0, 2, {1000, 1}, {0, 1}, inside}, /* expanded: allowed, and bounded where it is used */
        {16, 0, 1, {17}, {1}, beyond},
        {16, 1, 1, {16}, {1}, beyond},
        {16, 16, 0, {0}, {0}, beyond},
        {16, 17, 1, {0}, {1}, beyond},
        {8, 0, 1, {9}, {1}, beyond},
        {16, 2, 2, {3, 5}, {5, 1}, beyond},
        {16, 0, 2, {2, 2}, {15, 1}, beyond},
        {16, 0, 1, {2}, {large}, beyond},
        {16, large, 1, {1}, {1}, beyond},
        {16, large, 1, {2}, {large}, impossible},
        {16, 0, 2, {2, 3}, {large, large}, impossible},
        {16, -1, 1, {2}, {1}, impossible},
        {16, 15, 1, {16}, {-1}, impossible},
        {16, 0, 1, {-1}, {1}, impossible},
        {16, 0, 1, {large}, {0}, impossible},
        {16, 0, 2, {half, half}, {0, 0}, impossible},
        {16, 0, 2, {0, large}, {1, 1}, impossible},
        {17, 0, 1, {16}, {1}, "its storage is shorter than announced"},
        {large, 0, 1, {16}, {1}, "its storage is shorter than announced"},
        {-1, 0, 1, {16}, {1}, "its storage is not described"},
        {16, 0, 9, {1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "too many dimensions"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(view_of(cases[i].numel, cases[i].offset, cases[i].rank, cases[i].shape, cases[i].stride),
               cases[i].part == inside ? SAMC_MISMATCH : SAMC_FORMAT, cases[i].part);
}

/* Every tensor of ViT-H as a view of one single number: right in each shape, and 20 000 times what the file holds. */
static void put_zero_stride(bytes *b, const samc__entry *e) {
    static const int64_t strides[4] = {0, 0, 0, 0};
    pickle_string(b, e->name);
    pickle_tensor(b, 1, 0, e->rank, e->shape, strides);
}

Test(weights_hostile, a_small_file_cannot_unfold_into_a_large_model) {
    cap_memory();
    samc__config config = {.recipe = {.side = 1024, .frame = 1024},
                           .grid = 64,
                           .encoder = {.vit = {.patch_size = 16,
                                               .embed_dim = 1280,
                                               .depth = 32,
                                               .num_heads = 16,
                                               .mlp_dim = 5120,
                                               .window_size = 14,
                                               .use_rel_pos = true,
                                               .use_abs_pos = true,
                                               .qkv_bias = true}},
                           .decoder = {.channels = 256,
                                       .mask_in_chans = 16,
                                       .norm_eps = 1e-5f,
                                       .depth = 2,
                                       .heads = 8,
                                       .mlp_dim = 2048,
                                       .inner = 128,
                                       .mask_at = 1,
                                       .hq_at = -1,
                                       .object_at = -1,
                                       .masks = 4,
                                       .iou_depth = 3,
                                       .iou_dim = 256}};
    for (int block = 7; block < 32; block += 8) config.encoder.vit.global_attn[block] = true;
    static samc__weights views;
    samc__tensor_list list;
    samc_error error;
    bytes b = {0};
    put_text(&b, "}(");
    cr_assert_eq(samc__tensors_list(&config, &views, &list, &error), SAMC_OK);
    for (size_t i = 0; i < list.count; i++) put_zero_stride(&b, &list.at[i]);
    samc__tensors_free(&list);
    put_text(&b, "u.");
    expect(pth_of(&b, 64), SAMC_MISMATCH, "too few for the 641090864 values"); /* ViT-H's parameters and pe_gaussian */
}

/* Batch norms of so many shared values that the sum of all begins again at nothing. */
Test(weights_hostile, norms_that_fold_to_more_than_a_number_counts) {
    cap_memory();
    static const char *const parts[] = {"c.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"};
    const int64_t shape[4] = {INT64_C(1) << 58, 1, 1, 1}, strides[4] = {0};
    bytes b = {0};
    put_text(&b, "}(");
    for (int i = 0; i < 32; i++)
        for (int part = 0; part < 5; part++) {
            char name[64];
            snprintf(name, sizeof name, "image_encoder.%d.%s", i, parts[part]);
            pickle_string(&b, name);
            pickle_tensor(&b, 1, 0, part == 0 ? 4 : 1, shape, strides);
        }
    put_text(&b, "u.");
    expect(pth_of(&b, 64), SAMC_MISMATCH, "too few for the values of its tensors");
}

/* Without their scales they are no weights of a convolution, and nothing that a norm could be folded into. */
Test(weights_hostile, numbers_of_8_bits) {
    bytes b = safetensors_of("{\"a.c.weight\":{\"dtype\":\"I8\",\"shape\":[3,1,1,1],\"data_offsets\":[48,51]},"
                             "\"a.bn.weight\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,12]},"
                             "\"a.bn.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[12,24]},"
                             "\"a.bn.running_mean\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]},"
                             "\"a.bn.running_var\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[36,48]}}",
                             51);
    samc__checkpoint *c;
    samc_error error;
    float values[3];
    memcpy(b.data + b.size - 3, "\x80\xff\x7f", 3); /* as bf16 a NaN, and one byte that is not there */
    cr_assert_eq(samc__checkpoint_open_memory(b.data, b.size, "file", &c, &error), SAMC_OK, "%s", error.message);
    cr_assert_eq(samc__checkpoint_count(c), 5);
    samc__tensor_read_f32(samc__checkpoint_find(c, "a.c.weight"), values);
    cr_expect(values[0] == -128 && values[1] == -1 && values[2] == 127);
    samc__checkpoint_close(c);
    clear(&b);
}

/* ---- zip and files --------------------------------------------------------------------------- */

/* Overwrites `size` bytes at `at` counted from the end record (negative: before it) of plain.pth. */
static bytes patched(const char *magic, long at, const void *data, size_t size) {
    bytes b = read_file(DATA "plain.pth");
    uint8_t *found = b.size > 0 ? memmem(b.data, b.size, magic, 4) : NULL;
    cr_assert_not_null(found);
    memcpy(found + at, data, size);
    return b;
}

Test(weights_hostile, zip_lies) {
    cap_memory();
    expect(patched("PK\5\6", 0, "XX", 2), SAMC_FORMAT, "its directory is missing");
    expect(patched("PK\5\6", 10, "\xff\x7f", 2), SAMC_FORMAT, "more entries than its directory holds");
    expect(patched("PK\5\6", 12, "\xff\xff\xff\x7f", 4), SAMC_FORMAT, "its directory lies outside the file");
    expect(patched("PK\5\6", 16, "\xff\xff\xff\x7f", 4), SAMC_FORMAT, "its directory lies outside the file");
    expect(patched("PK\1\2", 0, "XX", 2), SAMC_FORMAT, "an entry of its directory is not one");
    expect(patched("PK\1\2", 28, "\xff\xff", 2), SAMC_FORMAT, "an entry of its directory is cut off");
    expect(patched("PK\1\2", 24, "\xff\xff\xff\xff", 4), SAMC_FORMAT, "lacks its zip64 sizes");
    expect(patched("PK\1\2", 8, "\1", 1), SAMC_UNSUPPORTED, "is encrypted");
    expect(patched("PK\1\2", 10, "\x08", 1), SAMC_UNSUPPORTED, "is compressed");
    expect(patched("PK\1\2", 20, "\xff\xff\0\0", 4), SAMC_FORMAT, "has two different sizes");
    expect(patched("PK\1\2", 20, "\xff\xff\0\0\xff\xff\0\0", 8), SAMC_FORMAT, "reaches beyond the end of the file");
    expect(patched("PK\1\2", 42, "\xff\xff\xff\x7f", 4), SAMC_FORMAT, "lies outside the file");
    expect(patched("PK\1\2", 42, "\1\0\0\0", 4), SAMC_FORMAT, "is not where the directory says");
    expect(patched("PK\3\4", 8, "\x08", 1), SAMC_FORMAT, "is not where the directory says");
    expect(patched("PK\3\4", 30, "X", 1), SAMC_FORMAT, "is not where the directory says");
    zip_writer twice = {0};
    zip_add(&twice, "a/data.pkl", "}.", 2);
    zip_add(&twice, "a/data.pkl", "}.", 2);
    expect(zip_finish(&twice), SAMC_FORMAT, "two entries named a/data.pkl");
    zip_writer both = {0};
    zip_add(&both, "a/data.pkl", "}.", 2);
    zip_add(&both, "b/data.pkl", "}.", 2);
    expect(zip_finish(&both), SAMC_FORMAT, "two data.pkl");
    zip_writer none = {0};
    const int64_t side = 16, stride = 1;
    bytes pickle = {0};
    put_text(&pickle, "}(");
    pickle_string(&pickle, "image_encoder.x");
    pickle_tensor(&pickle, 16, 0, 1, &side, &stride);
    put_text(&pickle, "u.");
    zip_add(&none, "a/data.pkl", pickle.data, pickle.size);
    clear(&pickle);
    expect(zip_finish(&none), SAMC_FORMAT, "tensor image_encoder.x: its storage is not in the archive");
}

Test(weights_hostile, files_that_are_no_files) {
    char folder[] = "/tmp/samc_hostile_XXXXXX", path[64], command[64];
    samc__checkpoint *c;
    samc_error e;
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/pipe", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_assert_eq(samc__checkpoint_open(path, &c, &e), SAMC_IO); /* and does not wait for a writer */
    cr_assert_not_null(strstr(e.message, "not a regular file"), "%s", e.message);
    snprintf(path, sizeof path, "%s/empty", folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(samc__checkpoint_open(path, &c, &e), SAMC_FORMAT);
    cr_assert_not_null(strstr(e.message, "empty"), "%s", e.message);
    char long_path[3000];
    memset(long_path, 'd', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    cr_assert_eq(samc__checkpoint_open(long_path, &c, &e), SAMC_IO);
    cr_assert_not_null(strstr(e.message, "too long"), "%s", e.message); /* the reason, not only a path */
    cr_assert_eq(samc__checkpoint_open(path, &c, NULL), SAMC_FORMAT);   /* no error wanted */
    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}
