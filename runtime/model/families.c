/* The table of encoders. */
#include "runtime/model/families.h"

static const samc__encoder *const encoders[SAMC__ENCODERS] = {
    [SAMC__ENCODER_VIT] = &samc__encoder_vit,
    [SAMC__ENCODER_TINYVIT] = &samc__encoder_tinyvit,
    [SAMC__ENCODER_EFFICIENTVIT] = &samc__encoder_efficientvit,
    [SAMC__ENCODER_HIERA] = &samc__encoder_hiera,
};

const samc__encoder *samc__encoder_of(const samc__config *config) { return encoders[config->encoder.kind]; }

samc__encoder_kind samc__encoder_recognise(const samc__checkpoint *checkpoint) {
    for (int kind = 0; kind < SAMC__ENCODERS; kind++)
        if (encoders[kind]->recognise(checkpoint)) return (samc__encoder_kind)kind;
    return (samc__encoder_kind)0;
}
