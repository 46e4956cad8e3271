/* The structs of samc_io.h that cross the interface, as runtime/base/abi.h has those of samc.h. */
#ifndef SAMC_HOST_IO_ABI_H
#define SAMC_HOST_IO_ABI_H

#include "host/io/samc_geo.h"
#include "host/io/samc_io.h"
#include "host/io/samc_tiles.h"
#include "runtime/base/abi.h"

/* X(type, last field of its first version): all of them. A field more goes to the end of its struct, not here. */
#define SAMC__IO_LIST(X)                                                                                               \
    X(samc_image_header, format)                                                                                       \
    X(samc_image_options, page)                                                                                        \
    X(samc_samples, bits)                                                                                              \
    X(samc_scale, sample)                                                                                              \
    X(samc_rle, counts)                                                                                                \
    X(samc_array, values)                                                                                              \
    X(samc_masks, count)                                                                                               \
    X(samc_archive_options, stats)                                                                                     \
    X(samc_archive_image, masks)                                                                                       \
    X(samc_archive_events, wake)                                                                                       \
    X(samc_archive_counts, seconds)                                                                                    \
    X(samc_archive_stage, room)                                                                                        \
    X(samc_archive_text, labels)                                                                                       \
    X(samc_stream_options, clock_context)                                                                              \
    X(samc_stream_frame, latency)                                                                                      \
    X(samc_stream_counts, p99)                                                                                         \
    X(samc_video_format, full_range)                                                                                   \
    X(samc_geo_options, scale)                                                                                         \
    X(samc_geo_info, crs)                                                                                              \
    X(samc_geo_mask, score)                                                                                            \
    X(samc_geo_writer_options, scratch)                                                                                \
    X(samc_tiles_options, most_pixels)                                                                                 \
    X(samc_tiles_counts, seconds)                                                                                      \
    X(samc_tiles_events, tick)                                                                                         \
    X(samc_volume_options, scale)                                                                                      \
    X(samc_volume_info, note)                                                                                          \
    X(samc_volume_prompt, mask)                                                                                        \
    X(samc_propagate_options, progress_context)                                                                        \
    X(samc_link_options, progress_context)                                                                             \
    X(samc_object, box)

enum {
#define SAMC__IO_ENUM(type, last) SAMC__IO_NUMBER_##type,
    SAMC__IO_LIST(SAMC__IO_ENUM)
#undef SAMC__IO_ENUM
        SAMC__IO_COUNT
};
extern const samc__abi samc__io_rows[SAMC__IO_COUNT];
#define SAMC__IO(type) (&samc__io_rows[SAMC__IO_NUMBER_##type])

#endif
