/* Labels of a volume's voxels, written where the volume is: NIfTI with the header's space kept, or DICOM SEG with
 * references to the slices that it came from. */
#ifndef SAMC_HOST_IO_LABELS_H
#define SAMC_HOST_IO_LABELS_H

#include "host/io/volume.h"

enum { SAMC__LABELS_MOST = 65535 };

/* "*.nii", "*.nii.gz" or "*.dcm"; SAMC_INVALID_ARGUMENT for another name, and SAMC_UNSUPPORTED for a segmentation of
 * what is no DICOM. Memory is that of a slice or two. `volume` is the one that was segmented. */
samc_status samc__labels_write(const char *path, samc__volume *volume, const samc__labels *labels, samc_error *error);
/* Whether samc__labels_write() would take the name for that volume, before there is anything to write. */
samc_status samc__labels_check(const char *path, const samc__volume *volume, samc_error *error);

#endif
