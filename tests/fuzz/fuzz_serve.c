/* Fuzzes what the server takes apart itself: configurations of Label Studio, tensors, base 64, its own runs, rules. */
#include <stdlib.h>
#include <string.h>

#include "host/serve/base64.h"
#include "host/serve/label_config.h"
#include "host/serve/rle_pack.h"
#include "host/serve/serve.h"
#include "host/serve/tensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void configuration(const char *text, size_t size) {
    samc__label_config config;
    if (samc__label_config_read(text, size, &config) != NULL) return;
    if (config.from[0] == '\0' && memmem(text, size, "name", 4) != NULL && config.to[0] == '\0' &&
        config.value[0] == '\0')
        abort(); /* what was found has a value */
    if (strlen(config.from) >= SAMC__CONFIG_NAME || strlen(config.value) >= SAMC__CONFIG_NAME) abort();
}

static void tensors(const char *body, size_t size) {
    samc__oip all;
    if (size < 2) return;
    const size_t header = (size_t)(unsigned char)body[0] << 8 | (size_t)(unsigned char)body[1];
    if (samc__oip_read(body + 2, size - 2, header, &all) == NULL)
        for (int i = 0; i < all.count; i++) {
            const samc__oip_input *t = &all.tensor[i];
            enum { MOST = 4096 };
            float *numbers = malloc(MOST * sizeof *numbers);
            const unsigned char *bytes = NULL;
            size_t length = 0;
            if (samc__oip_numbers(t, numbers, MOST) && t->count > 0 && numbers[t->count - 1] > 1e7f) abort();
            if (samc__oip_string(t, &bytes, &length) && length > 0 && bytes[length - 1] == 0xa5) numbers[0] = 1;
            free(numbers);
            if (t->count > MOST || t->type != SAMC__TENSOR_UINT8) continue;
            unsigned char *octets = malloc((size_t)t->count + 1);
            if (samc__oip_octets(t, octets) && t->count > 0 && octets[t->count - 1] == 0xa5) octets[0] = 1;
            free(octets);
        }
    samc__oip_free(&all);
}

/* What is written in base 64 is read again; what is read fits where it goes. */
static void base64(const uint8_t *data, size_t size) {
    char *text = samc__base64(data, size);
    uint8_t *back = malloc(size + 3);
    if (samc__base64_read(text, strlen(text), back, size + 3) != (long)size || memcmp(back, data, size) != 0) abort();
    if (samc__base64_read((const char *)data, size, back, size / 2) > (long)(size / 2)) abort();
    free(back);
    free(text);
}

/* Bits of packed runs, as who unpacks them reads. */
static unsigned next(const uint8_t *bytes, size_t *at, int width) {
    unsigned value = 0;
    for (int i = 0; i < width; i++, ++*at) value = value << 1 | (bytes[*at / 8] >> (7 - *at % 8) & 1u);
    return value;
}

static void runs(const uint8_t *mask, size_t count) {
    char *text = samc__rle_pack(mask, count);
    if (text == NULL) {
        if (count != 0) abort();
        return;
    }
    uint8_t *bytes = malloc(strlen(text));
    size_t used = 0, at = 0, done = 0;
    for (const char *c = text; *c != ']'; c += strcspn(c + 1, ",]") + 1) bytes[used++] = (uint8_t)atoi(c + 1);
    if (next(bytes, &at, 32) != 4 * count || next(bytes, &at, 5) != 7) abort();
    int sizes[4];
    for (int i = 0; i < 4; i++) sizes[i] = (int)next(bytes, &at, 4) + 1;
    while (done < 4 * count) {
        if (at / 8 >= used || next(bytes, &at, 1) != 1) abort();
        const size_t length = next(bytes, &at, sizes[next(bytes, &at, 2)]) + 1;
        const unsigned value = next(bytes, &at, 8);
        if (length > 4 * count - done) abort();
        for (size_t i = done; i < done + length; i++)
            if (value != (mask[i / 4] ? 255u : 0u)) abort();
        done += length;
    }
    if ((at + 7) / 8 != used) abort();
    free(bytes);
    free(text);
}

static void rules(const uint8_t *data, size_t size) {
    samc__network network;
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    text[size] = '\0';
    if (samc__network_read(text, &network) && (network.bits < 0 || network.bits > 128)) abort();
    if (samc__fetch_host_valid(text) && strpbrk(text, "/@?#% ") != NULL) abort();
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    char *body = malloc(size); /* no byte more than there is */
    memcpy(body, data + 1, size - 1);
    if (data[0] % 4 == 0) configuration(body, size - 1);
    else if (data[0] % 4 == 1) tensors(body, size - 1);
    else if (data[0] % 4 == 2) rules(data + 1, size - 1);
    else base64(data + 1, size - 1), runs(data + 1, size - 1);
    free(body);
    return 0;
}
