/* A DICOM's frame in colours. */
#ifndef SAMC_HOST_IO_IMAGE_DICOM_H
#define SAMC_HOST_IO_IMAGE_DICOM_H

#include "host/io/dicom.h"

/* Fills rgb [rows, columns, 3]: of more than 8 bits the upper ones. */
void samc__dicom_rgb(const samc__dicom *dicom, const samc__dicom_stored *stored, uint8_t *rgb);

#endif
