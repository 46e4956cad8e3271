/* A series of DICOM slices, or the frames of one file, as a source of volumes (volume.h). */
#ifndef SAMC_HOST_IO_DICOM_SERIES_H
#define SAMC_HOST_IO_DICOM_SERIES_H

#ifdef __cplusplus
extern "C" {
#endif

#include "host/io/dicom.h"

/* Of the state of an opened samc__volume_dicom: how many slices there are, and of slice k the bytes of its file, which
 * stay until the volume is closed, and the frame in it, from 0. Frames of one file have the same bytes. */
int samc__dicom_series_slices(const void *state);
samc_status samc__dicom_series_source(const void *state, int k, const uint8_t **bytes, size_t *size, int *frame,
                                      samc_error *error);

#ifdef __cplusplus
}
#endif

#endif
