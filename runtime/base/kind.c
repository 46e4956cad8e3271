/* Signatures of files that people have beside models and images, or in their place. */
#include "runtime/base/kind.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

static const struct {
    size_t at;
    const char *bytes;
    size_t length;
    const char *kind;
} signatures[] = {
#define AT(at, bytes, kind)                                                                                            \
    { at, bytes, sizeof bytes - 1, kind }
    /* Models of other programs */
    AT(0, "GGUF", "a GGUF model (llama.cpp)"),
    AT(0, "lmgg", "a ggml model"),
    AT(0, "tjgg", "a ggml model"),
    AT(0, "fmgg", "a ggml model"),
    AT(0, "ftrt", "a TensorRT engine"),
    AT(0, "ptrt", "a TensorRT engine"),
    AT(4, "TFL3", "a TensorFlow Lite model"),
    AT(4, "ORTM", "an ONNX Runtime model"),
    AT(4, "ET12", "an ExecuTorch program"),
    AT(0, "\x93NUMPY", "a NumPy array"),
    AT(0, "\x89HDF\r\n\x1a\n", "an HDF5 file (Keras)"),
    AT(0, "PK\3\4", "a zip archive"),
    AT(0, "PK\5\6", "an empty zip archive"),
    AT(257, "ustar", "a tar archive"),
    /* Text that servers and version control leave in a file's place */
    AT(0, "version https://git-lfs", "a Git LFS pointer"),
    /* Images */
    AT(0, "\xff\xd8\xff", "a JPEG image"),
    AT(0, "\x89PNG\r\n\x1a\n", "a PNG image"),
    AT(0, "GIF8", "a GIF image"),
    AT(0, "8BPS", "a PSD image"),
    AT(0, "II*\0", "a TIFF image"),
    AT(0, "MM\0*", "a TIFF image"),
    AT(0, "II+\0", "a BigTIFF image"),
    AT(0, "MM\0+", "a BigTIFF image"),
    AT(8, "WEBP", "a WebP image"),
    AT(4, "ftypavi", "an AVIF image"),
    AT(4, "ftyphe", "a HEIC image"),
    AT(4, "ftypmif", "a HEIC image"),
    AT(4, "ftypisom", "an MP4 video"),
    AT(4, "ftypmp4", "an MP4 video"),
    AT(4, "jP  \r\n", "a JPEG 2000 image"),
    AT(4, "JXL \r\n", "a JPEG XL image"),
    AT(0, "\xff\x0a", "a JPEG XL image"),
    AT(0, "\x76\x2f\x31\x01", "an OpenEXR image"),
    AT(128, "DICM", "a DICOM image"),
    AT(2, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", "an encrypted file (CMS)"), /* such as secure DICOM */
    AT(4, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", "an encrypted file (CMS)"),
    AT(5, "\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03", "an encrypted file (CMS)"),
    /* Others */
    AT(0, "%PDF", "a PDF document"),
    AT(0, "\x1f\x8b", "a gzip archive"),
    AT(0,
       "\xfd"
       "7zXZ",
       "an xz archive"),
    AT(0, "BZh", "a bzip2 archive"),
    AT(0, "\x28\xb5\x2f\xfd", "a zstd archive"),
    AT(0, "7z\xbc\xaf\x27\x1c", "a 7z archive"),
    AT(0, "Rar!", "a RAR archive"),
    AT(0,
       "\x7f"
       "ELF",
       "a program or library"),
#undef AT
};

static uint64_t number(const uint8_t *bytes, int width) {
    uint64_t value = 0;
    for (int i = width; i-- > 0;) value = value << 8 | bytes[i];
    return value;
}

/* A length and a JSON object of that length, as safetensors begins. */
static bool is_safetensors(const uint8_t *bytes, size_t size) {
    return size >= 10 && bytes[8] == '{' && number(bytes, 8) >= 2 && number(bytes, 8) < UINT64_C(1) << 32;
}

/* A pickle of protocol 2 to 5, as PyTorch wrote before its zip archives. */
static bool is_pickle(const uint8_t *bytes, size_t size) {
    return size >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5;
}

/* ONNX is a protocol buffer without a signature: field 1 (ir_version, small), then strings (producer and domain, fields
 * 2 to 4 and 6) or the graph (field 7) or operator sets (field 8), each of which ends inside the file. */
static bool is_onnx(const uint8_t *bytes, size_t size) {
    if (size < 16 || bytes[0] != 0x08 || bytes[1] < 1 || bytes[1] > 20) return false;
    size_t at = 2;
    for (int field = 0; field < 6 && at + 6 < size; field++) {
        const uint8_t tag = bytes[at++];
        if (tag == 0x28) { /* model_version, a number */
            while (at < size && bytes[at] & 0x80) at++;
            at++;
            continue;
        }
        if (tag != 0x12 && tag != 0x1a && tag != 0x22 && tag != 0x32 && tag != 0x3a && tag != 0x42 && tag != 0x72)
            return false;
        uint64_t length = 0;
        for (int shift = 0; at < size && shift < 35; shift += 7) {
            length |= (uint64_t)(bytes[at] & 0x7f) << shift;
            if ((bytes[at++] & 0x80) == 0) break;
        }
        if (tag == 0x3a) return length > 0; /* the graph, which may be cut off */
        if (length > size - at) return false;
        at += (size_t)length;
    }
    return at == size || at > 2;
}

/* Ultralytics writes four bytes of length and JSON before the engine. */
static bool is_wrapped_engine(const uint8_t *bytes, size_t size) {
    if (size < 16 || bytes[4] != '{') return false;
    uint64_t length = number(bytes, 4);
    return length < size - 8 && memcmp(bytes + 4 + length, "ftrt", 4) == 0;
}

static bool begins(const uint8_t *bytes, size_t size, const char *word) {
    return size >= strlen(word) && strncasecmp((const char *)bytes, word, strlen(word)) == 0;
}

/* Text of some kind, by its first characters; NULL for anything that is no text. */
static const char *kind_of_text(const uint8_t *bytes, size_t size) {
    enum { LOOKED_AT = 512 };
    const uint8_t *end = bytes + (size < LOOKED_AT ? size : LOOKED_AT);
    if (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) bytes += 3;
    for (const uint8_t *at = bytes; at < end; at++)
        if (*at < ' ' && *at != '\n' && *at != '\r' && *at != '\t' && *at != '\f') return NULL;
    while (bytes < end && (*bytes == ' ' || (*bytes >= '\t' && *bytes <= '\r'))) bytes++;
    size_t left = (size_t)(end - bytes);
    if (begins(bytes, left, "<!doctype html") || begins(bytes, left, "<html") || begins(bytes, left, "<head"))
        return "an HTML page (of a failed download?)";
    if (begins(bytes, left, "<svg")) return "an SVG drawing";
    if (begins(bytes, left, "<?xml") || begins(bytes, left, "<error")) return "an XML text (of a failed download?)";
    if (left > 0 && *bytes == '{') return "a JSON text";
    return left >= 4 ? "a text file" : NULL;
}

/* A zip archive whose first entry is NAME/data.pkl, as torch.save() writes it. */
static bool is_checkpoint(const uint8_t *bytes, size_t size) {
    if (size < 30 || memcmp(bytes, "PK\3\4", 4) != 0) return false;
    size_t length = number(bytes + 26, 2);
    return length >= 9 && length <= size - 30 && memcmp(bytes + 30 + length - 9, "/data.pkl", 9) == 0;
}

static const char *find_kind(const uint8_t *bytes, size_t size) {
    if (is_checkpoint(bytes, size)) return "a PyTorch checkpoint";
    for (size_t i = 0; i < sizeof signatures / sizeof *signatures; i++)
        if (size >= signatures[i].at + signatures[i].length &&
            memcmp(bytes + signatures[i].at, signatures[i].bytes, signatures[i].length) == 0)
            return signatures[i].kind;
    if (size >= 26 && memcmp(bytes, "BM", 2) == 0 && number(bytes + 14, 4) >= 12 && number(bytes + 14, 4) <= 256)
        return "a BMP image";
    if (size >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '7' && strchr("\n\r ", bytes[2]) != NULL &&
        bytes[2] != '\0')
        return "a PNM image";
    if (is_safetensors(bytes, size)) return "a safetensors file";
    if (is_pickle(bytes, size)) return "a Python pickle";
    if (is_wrapped_engine(bytes, size)) return "a TensorRT engine";
    if (is_onnx(bytes, size)) return "an ONNX model";
    return kind_of_text(bytes, size);
}

const char *samc__kind_of(const uint8_t *bytes, size_t size, const char **advice) {
    const char *kind = find_kind(bytes, size);
    *advice = "";
    if (kind == NULL) return NULL;
    if (strstr(kind, "LFS") != NULL) *advice = "; run git lfs pull for the file itself";
    if (strstr(kind, " archive") != NULL && strstr(kind, "empty") == NULL) *advice = "; unpack it first";
    return kind;
}
