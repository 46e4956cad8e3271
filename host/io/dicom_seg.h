/* DICOM segmentations: labels as binary segments that refer to the slices which they were drawn on (PS3.3 A.51). */
#ifndef SAMC_HOST_IO_DICOM_SEG_H
#define SAMC_HOST_IO_DICOM_SEG_H

#ifdef __cplusplus
extern "C" {
#endif

#include "host/io/volume.h"

/* Of the state of a volume whose source is samc__volume_dicom. Patient, study and frame of reference are those of the
 * source, as the standard wants them; series and instance are new, with UIDs made of random UUIDs (2.25). Every slice
 * that a label is on makes a frame, which is held as bits until the file is written: at most 1 GiB of them. `labels`
 * NULL: only says whether the source has what a segmentation of it needs. */
samc_status samc__dicom_segmentation(void *state, const char *path, const samc__labels *labels, samc_error *error);

#ifdef __cplusplus
}
#endif

#endif
