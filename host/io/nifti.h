/* NIfTI-1 and NIfTI-2: headers as bytes, checked, and what they say about the space. By hand, for libniftiio prints to
 * the standard streams, keeps its options in globals and reads a volume whole, while the header is a table of offsets.
 * What is right and what it means is as nibabel has it, so that both put a voxel at the same place. */
#ifndef SAMC_HOST_IO_NIFTI_H
#define SAMC_HOST_IO_NIFTI_H

#include "host/io/volume.h"

enum { SAMC__NIFTI_1 = 348, SAMC__NIFTI_2 = 540 }; /* bytes of a header, which also begin it as a number */

typedef enum samc__nifti_type { /* NIfTI's codes */
                                SAMC__NIFTI_U8 = 2,
                                SAMC__NIFTI_I16 = 4,
                                SAMC__NIFTI_I32 = 8,
                                SAMC__NIFTI_F32 = 16,
                                SAMC__NIFTI_F64 = 64,
                                SAMC__NIFTI_RGB24 = 128,
                                SAMC__NIFTI_I8 = 256,
                                SAMC__NIFTI_U16 = 512,
                                SAMC__NIFTI_U32 = 768,
                                SAMC__NIFTI_I64 = 1024,
                                SAMC__NIFTI_U64 = 1280,
                                SAMC__NIFTI_RGBA32 = 2304
} samc__nifti_type;

/* A header's numbers. What NIfTI-1 has as float and NIfTI-2 as double is double. */
typedef struct samc__nifti {
    int version;         /* 1 or 2 */
    bool single, swap;   /* "n+1": the voxels are in the same file; the other byte order than the machine's */
    int rank;            /* of the file, dim[0]: 1 to 7 */
    int extent[3];       /* the first three of dim, 1 where there are fewer */
    int times;           /* the product of the others */
    int type;            /* samc__nifti_type */
    int bytes;           /* of a voxel: of each sample, of RGB of the three or four */
    int64_t offset;      /* of the voxels */
    double slope, inter; /* of values; 1 and 0 where the header asks for none */
    double pixdim[4];    /* [0]: the quaternion's sign, 1 or -1; then along i, j, k, positive */
    int qform, sform;    /* codes; 0: there is none */
    double quatern[3], qoffset[3];
    double srow[3][4];
    int units;           /* xyzt_units' spatial part: 0 unknown, 1 metres, 2 millimetres, 3 micrometres */
    double affine[3][4]; /* sform, else qform, else pixdim around the centre with x mirrored */
} samc__nifti;

/* Whether bytes begin as a header of either version, byte order and kind of file, or of Analyze 7.5. */
bool samc__nifti_is(const uint8_t *head, size_t size);
/* Of the first bytes of a file, whose name stands in messages. */
samc_status samc__nifti_parse(const uint8_t *head, size_t size, const char *name, samc__nifti *nifti,
                              samc_error *error);
/* A header of labels in the space of `nifti` (zero but for what is said there: extent, rank, pixdim, forms): its
 * version, one volume, `type` U8 or U16, values from 0 to `most`. Every text of it is empty but the intent's. Returns
 * how many bytes of `head` it has, the voxels' offset in a single file. */
size_t samc__nifti_label_header(const samc__nifti *nifti, int type, int most, uint8_t head[SAMC__NIFTI_2 + 4]);

/* The header of an open volume whose source is samc__volume_nifti. */
const samc__nifti *samc__nifti_of(const void *state);

#endif
