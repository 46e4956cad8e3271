/* DICOM by DCMTK: the elements of a data set and the codecs of its pixels, one frame at a time. What
 * comes here has passed dicom_guard.c. Nothing of DCMTK, nor an exception, leaves this file; it prints nothing. */
#include "host/io/dicom.h"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcdatset.h>
#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcdict.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcpixel.h>
#include <dcmtk/dcmdata/dcpixseq.h>
#include <dcmtk/dcmdata/dcpxitem.h>
#include <dcmtk/dcmdata/dcrleccd.h>
#include <dcmtk/dcmdata/dcrlecp.h>
#include <dcmtk/dcmdata/dcsequen.h>
#include <dcmtk/dcmdata/dcvrcs.h>
#include <dcmtk/dcmdata/dcvrus.h>
#include <dcmtk/dcmjpeg/djcparam.h>
#include <dcmtk/dcmjpeg/djdijg12.h>
#include <dcmtk/dcmjpeg/djdijg16.h>
#include <dcmtk/dcmjpeg/djdijg8.h>
#include <dcmtk/dcmjpls/djcodecd.h>
#include <dcmtk/dcmjpls/djcparam.h>
#include <dcmtk/oflog/oflog.h>

extern "C" {
#include "runtime/base/status.h"
}

namespace {

/* DCMTK prints what it thinks of a file, and parts of the file with it. Once, whichever thread comes first. */
void hush() {
    static const bool done = [] {
        OFLog::getLogger("dcmtk").setLogLevel(OFLogger::OFF_LOG_LEVEL);
        return true;
    }();
    (void)done;
}

/* The elements, and what an enhanced object says of each frame: DCMTK walks from the first to the one that is wanted.
 */
struct elements {
    DcmDataset data;
    std::vector<DcmItem *> frames; /* `data`'s */
};

elements *elements_of(const samc__dicom *d) { return static_cast<elements *>(d->held); }

samc_status damaged(const char *name, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_FORMAT, "%s: damaged DICOM%s%s", name, what[0] != '\0' ? ": " : "", what);
}

/* One of the syntaxes that elements are written alike in, which is all that parsing asks for. */
E_TransferSyntax syntax_of(const samc__dicom_outline &o) {
    static const E_TransferSyntax packed[] = {EXS_LittleEndianExplicit, EXS_RLELossless, EXS_JPEGProcess1,
                                              EXS_JPEGLSLossless, EXS_JPEG2000LosslessOnly};
    if (o.implicit) return o.big ? EXS_BigEndianImplicit : EXS_LittleEndianImplicit;
    return o.big ? EXS_BigEndianExplicit : packed[o.coding];
}

/* What of the data set stands before the element `until` into `data`: the bytes that the guard walked over, as it read
 * them. DCMTK is not asked where they begin, how they are written or to inflate them. */
bool parse(const samc__dicom_outline &o, const DcmTagKey &until, DcmDataset &data) {
    DcmInputBufferStream stream;
    stream.setBuffer(o.bytes + o.begin, static_cast<offile_off_t>(o.size - o.begin));
    stream.setEos();
    data.transferInit();
    const OFCondition condition = data.readUntilTag(stream, syntax_of(o), EGL_noChange, DCM_MaxReadLength, until);
    data.transferEnd();
    return condition.good();
}

/* ---- Elements -------------------------------------------------------------------------------- */

/* The first of 16 bits, whichever sign they are written with. */
bool take_short(DcmItem &item, const DcmTagKey &key, unsigned long place, uint16_t &value, bool &is_signed) {
    DcmElement *element = nullptr;
    Sint16 number = 0;
    if (item.findAndGetElement(key, element).bad() || element == nullptr) return false;
    is_signed = element->getVR() == EVR_SS;
    if (is_signed ? element->getSint16(number, place).good() : element->getUint16(value, place).good()) {
        if (is_signed) value = static_cast<uint16_t>(number);
        return true;
    }
    return false;
}

void take_int(DcmItem &item, const DcmTagKey &key, int &to) {
    uint16_t value = 0;
    bool is_signed;
    if (take_short(item, key, 0, value, is_signed)) to = value;
}

void take_text(DcmItem &item, const DcmTagKey &key, char *to, size_t room) {
    OFString text;
    if (item.findAndGetOFString(key, text).bad()) return;
    const size_t length = text.length() < room - 1 ? text.length() : room - 1;
    memcpy(to, text.c_str(), length);
    to[length] = '\0';
}

/* So many decimals; false where there are fewer, `bad` too where one is no number. */
bool take_decimals(DcmItem &item, const DcmTagKey &key, double *to, int count, bool &bad) {
    OFString text;
    double own[6];
    if (item.findAndGetOFStringArray(key, text).bad() || text.empty()) return false;
    const int got = samc__dicom_decimals(text.c_str(), own, count);
    bad = bad || got < 0;
    if (got != count) return false;
    memcpy(to, own, static_cast<size_t>(count) * sizeof *own);
    return true;
}

bool take_decimals(DcmItem &item, const DcmTagKey &key, double *to, int count) {
    bool bad = false;
    return take_decimals(item, key, to, count, bad);
}

void take_table(DcmItem &item, const DcmTagKey &descriptor, const DcmTagKey &data, bool is_signed,
                samc__dicom_table &table) {
    uint16_t numbers[3] = {0, 0, 0};
    bool written[3] = {};
    const Uint16 *words = nullptr;
    unsigned long count = 0;
    DcmElement *element = nullptr;
    for (unsigned long i = 0; i < 3; i++)
        if (!take_short(item, descriptor, i, numbers[i], written[i])) return;
    /* A sign that is written counts; where none is, `is_signed` says what the table's values are. */
    if (item.findAndGetElement(descriptor, element).good() && element->getVR() != EVR_US && element->getVR() != EVR_SS)
        written[1] = is_signed;
    if (item.findAndGetUint16Array(data, words, &count).bad()) words = nullptr;
    table.words = words;
    table.size = words != nullptr ? count : 0;
    table.entries = numbers[0] == 0 ? 65536 : numbers[0];
    table.first = written[1] ? static_cast<int16_t>(numbers[1]) : numbers[1];
    table.bits = numbers[2];
}

/* The first item of a sequence. */
DcmItem *item_of(DcmItem &item, const DcmTagKey &key) {
    DcmSequenceOfItems *sequence = nullptr;
    if (item.findAndGetSequence(key, sequence).bad() || sequence == nullptr || sequence->card() == 0) return nullptr;
    return sequence->getItem(0);
}

void take_frame_items(elements &all) {
    DcmSequenceOfItems *sequence = nullptr;
    if (all.data.findAndGetSequence(DCM_PerFrameFunctionalGroupsSequence, sequence).bad() || sequence == nullptr)
        return;
    all.frames.reserve(sequence->card());
    for (DcmObject *at = nullptr; (at = sequence->nextInContainer(at)) != nullptr;)
        all.frames.push_back(static_cast<DcmItem *>(at));
}

/* What an item says of a frame's place, window and values. False: a number of its values is none. */
bool take_place(DcmItem &item, bool is_signed, samc__dicom_place &p) {
    bool bad = false;
    OFString function;
    if (take_decimals(item, DCM_ImagePositionPatient, p.position, 3)) p.has_position = true;
    if (take_decimals(item, DCM_ImageOrientationPatient, p.orientation, 6)) p.has_orientation = true;
    if (take_decimals(item, DCM_PixelSpacing, p.spacing, 2)) p.has_spacing = true;
    take_decimals(item, DCM_SliceThickness, &p.thickness, 1);
    take_decimals(item, DCM_GantryDetectorTilt, &p.tilt, 1);
    take_decimals(item, DCM_RescaleIntercept, &p.intercept, 1, bad);
    take_decimals(item, DCM_RescaleSlope, &p.slope, 1, bad);
    if (take_decimals(item, DCM_WindowCenter, &p.window.low, 1) &&
        take_decimals(item, DCM_WindowWidth, &p.window.high, 1)) {
        p.has_window = true;
        p.window.kind = SAMC__SCALE_WINDOW;
        if (item.findAndGetOFString(DCM_VOILUTFunction, function).good()) {
            if (function == "LINEAR_EXACT") p.window.kind = SAMC__SCALE_WINDOW_EXACT;
            if (function == "SIGMOID") p.window.kind = SAMC__SCALE_SIGMOID;
        }
    }
    if (DcmItem *table = item_of(item, DCM_ModalityLUTSequence))
        take_table(*table, DCM_LUTDescriptor, DCM_LUTData, is_signed, p.modality);
    if (DcmItem *table = item_of(item, DCM_VOILUTSequence))
        take_table(*table, DCM_LUTDescriptor, DCM_LUTData, is_signed || p.intercept < 0, p.voi);
    return !bad;
}

/* An item of an enhanced object's functional groups. */
bool take_groups(DcmItem *group, bool is_signed, samc__dicom_place &p) {
    static const DcmTagKey macros[] = {DCM_PixelMeasuresSequence, DCM_PlanePositionSequence,
                                       DCM_PlaneOrientationSequence, DCM_FrameVOILUTSequence,
                                       DCM_PixelValueTransformationSequence};
    bool good = true;
    for (const DcmTagKey &macro : macros)
        if (DcmItem *item = group != nullptr ? item_of(*group, macro) : nullptr)
            good = take_place(*item, is_signed, p) && good;
    return good;
}

samc_status place_of(const samc__dicom *d, int64_t frame, samc__dicom_place *p, samc_error *error) {
    elements &all = *elements_of(d);
    DcmDataset &data = all.data;
    const size_t index = static_cast<size_t>(frame);
    *p = samc__dicom_place{};
    p->slope = 1;
    bool good = take_place(data, d->is_signed, *p);
    good = take_groups(item_of(data, DCM_SharedFunctionalGroupsSequence), d->is_signed, *p) && good;
    good = take_groups(index < all.frames.size() ? all.frames[index] : nullptr, d->is_signed, *p) && good;
    return good ? SAMC_OK : damaged(d->name, "a rescale slope or intercept that is no number", error);
}

samc_status take_frames(DcmItem &data, samc__dicom *d, samc_error *error) {
    double frames = 1;
    bool bad = false;
    take_decimals(data, DCM_NumberOfFrames, &frames, 1, bad);
    if (bad || frames < 0 || frames != static_cast<double>(static_cast<int64_t>(frames < 1e15 ? frames : 0.5)))
        return damaged(d->name, "a number of frames that is none", error);
    if (frames > INT32_MAX) return samc__fail(error, SAMC_UNSUPPORTED, "%s: DICOM of %.0f frames", d->name, frames);
    d->frames = frames > 0 ? static_cast<int64_t>(frames) : 1;
    return SAMC_OK;
}

void take_padding(DcmItem &data, samc__dicom *d) {
    uint16_t ends[2];
    bool written;
    if (!take_short(data, DCM_PixelPaddingValue, 0, ends[0], written)) return;
    if (!take_short(data, DCM_PixelPaddingRangeLimit, 0, ends[1], written)) ends[1] = ends[0];
    for (int i = 0; i < 2; i++) /* whatever sign they are written with, they are stored values */
        d->padding[i] = d->is_signed ? static_cast<int16_t>(ends[i]) : ends[i];
    if (d->padding[0] > d->padding[1]) std::swap(d->padding[0], d->padding[1]);
    d->has_padding = true;
}

samc_status take_elements(samc__dicom *d, int64_t frame, samc_error *error) {
    static const DcmTagKey palette[2][3] = {{DCM_RedPaletteColorLookupTableDescriptor,
                                             DCM_GreenPaletteColorLookupTableDescriptor,
                                             DCM_BluePaletteColorLookupTableDescriptor},
                                            {DCM_RedPaletteColorLookupTableData, DCM_GreenPaletteColorLookupTableData,
                                             DCM_BluePaletteColorLookupTableData}};
    DcmDataset &data = elements_of(d)->data;
    int rows = 0, columns = 0, is_signed = 0;
    char colours[17] = "";
    take_text(data, DCM_Modality, d->modality, sizeof d->modality);
    take_text(data, DCM_SOPClassUID, d->sop_class, sizeof d->sop_class);
    if (d->sop_class[0] == '\0') memcpy(d->sop_class, d->outline.sop_class, sizeof d->sop_class);
    take_text(data, DCM_SOPInstanceUID, d->sop, sizeof d->sop);
    take_text(data, DCM_SeriesInstanceUID, d->series, sizeof d->series);
    take_text(data, DCM_FrameOfReferenceUID, d->reference, sizeof d->reference);
    take_text(data, DCM_PhotometricInterpretation, colours, sizeof colours);
    d->colours = samc__dicom_colours_of(colours);
    take_int(data, DCM_Rows, rows);
    take_int(data, DCM_Columns, columns);
    take_int(data, DCM_SamplesPerPixel, d->samples);
    take_int(data, DCM_PlanarConfiguration, d->planar);
    take_int(data, DCM_BitsAllocated, d->allocated);
    take_int(data, DCM_BitsStored, d->stored);
    take_int(data, DCM_HighBit, d->high);
    take_int(data, DCM_PixelRepresentation, is_signed);
    d->rows = rows, d->columns = columns, d->is_signed = is_signed == 1;
    take_padding(data, d);
    for (int i = 0; i < 3 && d->colours == SAMC__DICOM_PALETTE; i++)
        take_table(data, palette[0][i], palette[1][i], d->is_signed, d->palette[i]);
    SAMC__TRY(take_frames(data, d, error));
    return place_of(d, frame, &d->place, error);
}

samc_status open(int64_t frame, samc__dicom *d, samc_error *error) {
    const uint32_t tag = d->outline.pixels != 0 ? d->outline.tag : 0xffffffff;
    std::unique_ptr<elements> all(new elements);
    if (!parse(d->outline, DcmTagKey(static_cast<Uint16>(tag >> 16), static_cast<Uint16>(tag)), all->data))
        return damaged(d->name, "", error);
    take_frame_items(*all);
    d->held = all.release();
    d->floats = tag == 0x7fe00008 ? 4 : tag == 0x7fe00009 ? 8 : 0;
    return take_elements(d, frame, error);
}

/* ---- Codecs ---------------------------------------------------------------------------------- */

void put(DcmItem &item, const DcmTagKey &key, int value) {
    std::unique_ptr<DcmUnsignedShort> element(new DcmUnsignedShort(DcmTag(key, EVR_US)));
    if (element->putUint16(static_cast<Uint16>(value), 0).good() && item.insert(element.get(), OFTrue).good())
        element.release();
}

bool add(DcmPixelSequence &sequence, const void *data, size_t size) {
    std::unique_ptr<DcmPixelItem> item(new DcmPixelItem(DcmTag(DCM_PixelItemTag, EVR_OB)));
    if (size > 0 && item->putUint8Array(static_cast<const Uint8 *>(data), static_cast<unsigned long>(size)).bad())
        return false;
    if (sequence.insert(item.get()).bad()) return false;
    item.release();
    return true;
}

/* A codec that wants a data set gets one of a single frame. */
bool decode(const DcmCodec &codec, const DcmCodecParameter &parameter, const samc__dicom_stream &s, bool planar,
            int allocated, void *out, size_t room) {
    DcmItem item;
    std::unique_ptr<DcmCodeString> colours(new DcmCodeString(DcmTag(DCM_PhotometricInterpretation, EVR_CS)));
    if (colours->putString(s.samples == 3 ? "RGB" : "MONOCHROME2").bad() || item.insert(colours.get(), OFTrue).bad())
        return false;
    colours.release();
    put(item, DCM_SamplesPerPixel, s.samples);
    if (s.samples == 3) put(item, DCM_PlanarConfiguration, planar);
    put(item, DCM_Rows, s.height);
    put(item, DCM_Columns, s.width);
    put(item, DCM_BitsAllocated, allocated);
    put(item, DCM_BitsStored, s.bits);
    put(item, DCM_HighBit, s.bits - 1);
    put(item, DCM_PixelRepresentation, 0);
    DcmPixelSequence sequence(DcmTag(DCM_PixelData, EVR_OB));
    OFString model;
    Uint32 first = 1;
    return add(sequence, nullptr, 0) && add(sequence, s.data, s.size) &&
           codec.decodeFrame(nullptr, &sequence, &parameter, &item, 0, first, out, static_cast<Uint32>(room), model)
               .good();
}

bool decode_jpeg(DJDecoder &&decoder, const samc__dicom_stream &s, void *out, size_t room) {
    Uint8 *bytes = const_cast<Uint8 *>(s.data); /* which is only read, whatever its type says */
    return decoder.init().good() && decoder
                                        .decode(bytes, static_cast<Uint32>(s.size), static_cast<Uint8 *>(out),
                                                static_cast<Uint32>(room), OFFalse)
                                        .good();
}

/* Runs what may throw; `otherwise` is what has become of it then. */
template <typename Result, typename Body> Result guarded(Result otherwise, Body body) {
    try {
        hush();
        return body();
    } catch (...) {
        return otherwise;
    }
}

} // namespace

samc_status samc__dicom_open(const uint8_t *bytes, size_t size, const char *name, int64_t frame, samc__dicom *d,
                             samc_error *error) {
    *d = samc__dicom{};
    d->name = name;
    d->samples = 1;
    d->high = -1;
    d->frames = 1;
    SAMC__TRY(samc__dicom_guard(bytes, size, name, &d->outline, error));
    const samc_status status = guarded(SAMC_OUT_OF_MEMORY, [&] { return open(frame, d, error); });
    if (status == SAMC_OUT_OF_MEMORY) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", name);
    SAMC__TRY(status);
    SAMC__TRY(samc__dicom_check(d, error));
    return d->outline.coding == SAMC__DICOM_NATIVE ? SAMC_OK : samc__dicom_find_frames(d, error);
}

samc_status samc__dicom_place_of(const samc__dicom *d, int64_t frame, samc__dicom_place *place, samc_error *error) {
    const samc_status status = guarded(SAMC_OUT_OF_MEMORY, [&] { return place_of(d, frame, place, error); });
    if (status == SAMC_OUT_OF_MEMORY) return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", d->name);
    return status == SAMC_OK ? samc__dicom_check_place(d, place, error) : status;
}

void samc__dicom_close(samc__dicom *d) {
    delete elements_of(d);
    free(d->outline.inflated);
    free(d->starts);
    *d = samc__dicom{};
}

void *samc__dicom_data(const samc__dicom *d) { return d->held != nullptr ? &elements_of(d)->data : nullptr; }

void samc__dicom_prepare(void) {
    guarded(false, [] { return static_cast<bool>(dcmDataDict.isDictionaryLoaded()); });
}

bool samc__dicom_is_sequence(uint32_t tag) {
    return guarded(false,
                   [&] { return DcmTag(static_cast<Uint16>(tag >> 16), static_cast<Uint16>(tag)).getEVR() == EVR_SQ; });
}

const char *samc__dicom_library(void) { return "DCMTK " PACKAGE_VERSION; }

bool samc__dicom_rle(const samc__dicom *d, const uint8_t *bytes, size_t size, void *out, size_t room) {
    const samc__dicom_stream stream = {bytes,      size,        static_cast<int>(d->columns), static_cast<int>(d->rows),
                                       d->samples, d->allocated};
    return guarded(false, [&] {
        return decode(DcmRLECodecDecoder(), DcmRLECodecParameter(), stream, true, d->allocated, out, room);
    });
}

bool samc__dicom_jpeg(const samc__dicom_stream *s, void *out, size_t room) {
    if (s->size > UINT32_MAX || room > UINT32_MAX) return false;
    return guarded(false, [&] {
        const DJCodecParameter parameter(ECC_lossyYCbCr, EDC_never, EUC_never, EPC_colorByPixel);
        if (s->bits <= 8) return decode_jpeg(DJDecompressIJG8Bit(parameter, OFFalse), *s, out, room);
        if (s->bits <= 12) return decode_jpeg(DJDecompressIJG12Bit(parameter, OFFalse), *s, out, room);
        return decode_jpeg(DJDecompressIJG16Bit(parameter, OFFalse), *s, out, room);
    });
}

bool samc__dicom_jpeg_ls(const samc__dicom_stream *s, void *out, size_t room) {
    if (s->size > UINT32_MAX - 1 || room > UINT32_MAX) return false;
    return guarded(false, [&] {
        return decode(DJLSNearLosslessDecoder(), DJLSCodecParameter(EJLSUC_default, EJLSPC_colorByPixel), *s, false,
                      s->bits > 8 ? 16 : 8, out, room);
    });
}
