/* CIELab through Little CMS, as in Pillow. */
#include <stdlib.h>

#include <lcms2.h>

#include "host/io/image_format.h"
#include "runtime/base/status.h"

samc_status samc__lab_to_rgb(uint8_t *pixels, size_t count, const char *name, samc_error *error) {
    cmsContext context = cmsCreateContext(NULL, NULL); /* of its own, so that nothing is shared */
    cmsHPROFILE lab = cmsCreateLab2ProfileTHR(context, NULL), srgb = cmsCreate_sRGBProfileTHR(context);
    cmsHTRANSFORM transform = NULL;
    if (lab != NULL && srgb != NULL)
        transform = cmsCreateTransformTHR(context, lab, TYPE_Lab_8, srgb, TYPE_RGB_8, INTENT_PERCEPTUAL, 0);
    for (size_t at = 0; at < count && transform != NULL; at += 4096)
        cmsDoTransform(transform, pixels + 3 * at, pixels + 3 * at,
                       (cmsUInt32Number)(count - at < 4096 ? count - at : 4096));
    bool done = transform != NULL;
    if (transform != NULL) cmsDeleteTransform(transform);
    if (lab != NULL) cmsCloseProfile(lab);
    if (srgb != NULL) cmsCloseProfile(srgb);
    if (context != NULL) cmsDeleteContext(context);
    return done ? SAMC_OK : samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
}
