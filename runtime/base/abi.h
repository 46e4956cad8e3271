/* Structs that cross the interface. Each begins with `size`, by which the library knows how much of it the caller
 * knows: fields that came later keep their defaults where they are read, and are not written. */
#ifndef SAMC_RUNTIME_BASE_ABI_H
#define SAMC_RUNTIME_BASE_ABI_H

#include "runtime/samc.h"

/* X(type, last field of its first version): all of them. A field more goes to the end of its struct, not here. */
#define SAMC__ABI_LIST(X)                                                                                              \
    X(samc_options, cudnn)                                                                                             \
    X(samc_model_info, device_bytes)                                                                                   \
    X(samc_convert_options, recipe)                                                                                    \
    X(samc_memory, device_peak)                                                                                        \
    X(samc_profile_row, flops)                                                                                         \
    X(samc_image, row_bytes)                                                                                           \
    X(samc_prompt, image)                                                                                              \
    X(samc_mask, count_length)                                                                                         \
    X(samc_point_grid, count)                                                                                          \
    X(samc_auto_options, temporary_folder)                                                                             \
    X(samc_auto_stats, post_seconds)                                                                                   \
    X(samc_machine, cuda_devices)                                                                                      \
    X(samc_peaks, int8_by)                                                                                             \
    X(samc_detector_info, file_note)                                                                                   \
    X(samc_phrase_options, background)                                                                                 \
    X(samc_text_options, boxes_only)                                                                                   \
    X(samc_detection, point)

/* A struct as this library has it: its bytes up to the end of its first version's last field, and all of them. */
typedef struct samc__abi {
    const char *name;
    size_t first, now;
} samc__abi;
#define SAMC__ABI_ROW(type, last) {#type, offsetof(type, last) + sizeof(((type *)0)->last), sizeof(type)},

enum {
#define SAMC__ABI_ENUM(type, last) SAMC__ABI_NUMBER_##type,
    SAMC__ABI_LIST(SAMC__ABI_ENUM)
#undef SAMC__ABI_ENUM
        SAMC__ABI_COUNT
};
extern const samc__abi samc__abi_rows[SAMC__ABI_COUNT];
#define SAMC__ABI(type) (&samc__abi_rows[SAMC__ABI_NUMBER_##type])

/* SAMC_INVALID_ARGUMENT: NULL, or a size that no version of the struct has. SAMC_UNSUPPORTED: a field that this library
 * does not know is not zero. */
samc_status samc__abi_check(const samc__abi *type, const void *given, samc_error *error);

/* The first of these alone: for a struct that the library fills in, which may hold anything. */
samc_status samc__abi_check_size(const samc__abi *type, const void *given, samc_error *error);

/* The caller's struct over `own`, a whole one that holds the defaults. */
samc_status samc__abi_take(const samc__abi *type, const void *given, void *own, samc_error *error);

/* `own`, a whole one, into the caller's struct, whose size stays: fields that this library does not know become zero.
 */
samc_status samc__abi_give(const samc__abi *type, const void *own, void *out, samc_error *error);

/* An array of the caller's, whose first element's size is that of all: itself where it is as the library knows it, else
 * a whole copy of `count` > 0 elements, in which fields that the caller does not know are zero. Both are given back. */
samc_status samc__abi_array(const samc__abi *type, const void *given, int count, const void **own, samc_error *error);
void samc__abi_array_free(const void *given, const void *own);

/* Rows [count] of the library's into the caller's array, likewise. */
samc_status samc__abi_give_array(const samc__abi *type, const void *rows, int count, void *out, samc_error *error);

#endif
