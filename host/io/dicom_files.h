/* The DICOM files of a series, mapped: one file, those of a folder, or those of an archive, which are unpacked into a
 * temporary file without a name. */
#ifndef SAMC_HOST_IO_DICOM_FILES_H
#define SAMC_HOST_IO_DICOM_FILES_H

#include "host/io/dicom.h"

typedef struct samc__dicom_file {
    char *name;           /* owned: the path, or archive:member */
    const uint8_t *bytes; /* of its own map, or of the common one */
    size_t size;
    size_t at;  /* in the common one */
    bool owned; /* a map of its own */
} samc__dicom_file;

typedef struct samc__dicom_files {
    samc__dicom_file *items; /* in the order of their names */
    int count, room;
    int spool; /* descriptor + 1 of the unpacked ones; 0: none */
    size_t spooled;
    void *map; /* [spooled] */
} samc__dicom_files;

/* All files below a path that are DICOM by their first bytes; other files are passed over. SAMC_FORMAT where there is
 * none. samc__dicom_files_close() also after a failure. */
samc_status samc__dicom_files_open(const char *path, samc__dicom_files *files, samc_error *error);
void samc__dicom_files_close(samc__dicom_files *files);
/* Whether the first file of a folder or an archive, hidden ones and texts aside, is DICOM. */
bool samc__dicom_files_are(const char *path, bool folder);

#endif
