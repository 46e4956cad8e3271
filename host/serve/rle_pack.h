/* Run lengths as Label Studio keeps brush strokes: thi.ng's rle-pack over RGBA. */
#ifndef SAMC_HOST_SERVE_RLE_PACK_H
#define SAMC_HOST_SERVE_RLE_PACK_H

#include <stddef.h>
#include <stdint.h>

/* mask: [count] of 0 and others, row by row. The bytes of the packed form as text of a JSON list, "[0,1,...]", to be
 * freed; NULL: no memory, or more pixels than the form can count. */
char *samc__rle_pack(const uint8_t *mask, size_t count);

#endif
