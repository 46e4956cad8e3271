/* DICOM segmentations by DCMTK's dcmseg: the source's slices and what the new object takes over of them, the segments,
 * a frame for each label on each slice, and the file through the writer of all files. */
#include "host/io/dicom_seg.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <sys/random.h>

#include <dcmtk/config/osconfig.h>

#include <dcmtk/dcmdata/dcdeftag.h>
#include <dcmtk/dcmdata/dcfilefo.h>
#include <dcmtk/dcmdata/dcostrmb.h>
#include <dcmtk/dcmfg/fgderimg.h>
#include <dcmtk/dcmfg/fgfracon.h>
#include <dcmtk/dcmfg/fgpixmsr.h>
#include <dcmtk/dcmfg/fgplanor.h>
#include <dcmtk/dcmfg/fgplanpo.h>
#include <dcmtk/dcmiod/iodreferences.h>
#include <dcmtk/dcmseg/segdoc.h>
#include <dcmtk/dcmseg/segment.h>

#include "host/io/dicom.h"
#include "host/io/dicom_series.h"
#include "host/io/samc_io.h"

extern "C" {
#include "runtime/base/decimal.h"
#include "runtime/base/status.h"
#include "runtime/base/writer.h"
}

namespace {

const int64_t MOST_BYTES = INT64_C(1) << 30; /* of frames */
const size_t MOST_NAME = 64;                 /* characters of a segment's label (LO) */

samc_status cannot(const char *path, const char *what, samc_error *error) {
    return samc__fail(error, SAMC_UNSUPPORTED, "%s: cannot make a DICOM segmentation: %s", path, what);
}

/* ---- Numbers and names ----------------------------------------------------------------------- */

/* A UID of its own: "2.25." and a random UUID as one number. */
std::string make_uid() {
    uint8_t random[16] = {0};
    if (getrandom(random, sizeof random, 0) != static_cast<ssize_t>(sizeof random)) throw std::bad_alloc();
    random[6] = static_cast<uint8_t>((random[6] & 15) | 64);
    random[8] = static_cast<uint8_t>((random[8] & 63) | 128);
    std::string digits;
    for (bool left = true; left;) { /* divide by ten until nothing is left */
        unsigned rest = 0;
        left = false;
        for (uint8_t &byte : random) {
            const unsigned all = rest * 256 + byte;
            byte = static_cast<uint8_t>(all / 10);
            rest = all % 10;
            left = left || byte != 0;
        }
        digits.insert(digits.begin(), static_cast<char>('0' + rest));
    }
    return "2.25." + digits;
}

/* A decimal string (DS): of 16 characters at most, as near as they let it be. */
std::string decimal(double value) {
    char text[40];
    for (int digits = 1; digits <= 17; digits++) { /* the fewest that mean the same number */
        samc__print(text, sizeof text, "%.*g", digits, value);
        if (samc__read_double(text, nullptr) == value) break;
    }
    for (int digits = 16; strlen(text) > 16; digits--) samc__print(text, sizeof text, "%.*g", digits, value);
    return text;
}

/* A label's name as LO takes it. */
std::string name_of(const samc__labels *labels, int label, bool utf8) {
    const char *given = labels->names != nullptr ? labels->names[label - 1] : nullptr;
    std::string name;
    size_t characters = 0;
    if (given == nullptr || given[0] == '\0') return "Object " + std::to_string(label);
    for (const char *at = given; *at != '\0'; at++) {
        const unsigned char byte = static_cast<unsigned char>(*at);
        const bool begins = (byte & 0xc0) != 0x80;
        if (begins && ++characters > MOST_NAME) break;
        if (byte < 32 || byte == 127 || byte == '\\') name += ' ';
        else if (byte < 128 || utf8) name += *at;
        else if (begins) name += '?';
    }
    return name;
}

/* ---- The source ------------------------------------------------------------------------------ */

struct slice {
    std::string sop_class, sop;
    int frame; /* from 1; 0: the object has only one */
    double position[3];
};

struct source {
    std::vector<slice> slices;
    Uint16 rows, columns;
    double orientation[6], spacing[2], thickness, between; /* between: 0 of one slice */
    std::string patient, study, series;
    DcmDataset header; /* what stands before the pixels of the first slice */
    bool utf8;         /* its texts are, or are ASCII */
};

std::string text_of(DcmItem &item, const DcmTagKey &key) {
    OFString text;
    return item.findAndGetOFString(key, text).good() ? std::string(text.c_str()) : std::string();
}

/* Patient and study with texts in UTF-8, for names of labels are. */
void take_header(const samc__dicom *d, source &from) {
    from.header = *static_cast<DcmDataset *>(samc__dicom_data(d));
    const bool said = !text_of(from.header, DCM_SpecificCharacterSet).empty();
    from.utf8 = !said || from.header.convertToUTF8().good();
    if (from.utf8) from.header.putAndInsertString(DCM_SpecificCharacterSet, "ISO_IR 192");
    from.patient = text_of(from.header, DCM_PatientID);
    from.study = text_of(from.header, DCM_StudyInstanceUID);
    from.series = d->series;
    if (text_of(from.header, DCM_FrameOfReferenceUID).empty())
        from.header.putAndInsertString(DCM_FrameOfReferenceUID, make_uid().c_str());
}

samc_status take_slice(const samc__dicom *d, int frame, const char *path, source &from, samc_error *error) {
    samc__dicom_place place;
    SAMC__TRY(samc__dicom_place_of(d, frame, &place, error));
    if (d->sop_class[0] == '\0' || d->sop[0] == '\0') return cannot(path, "a slice has no SOP instance UID", error);
    if (!place.has_position || !place.has_orientation || !place.has_spacing)
        return cannot(path, "the source does not say where its pixels are", error);
    slice now = {d->sop_class, d->sop, d->frames > 1 ? frame + 1 : 0, {0, 0, 0}};
    memcpy(now.position, place.position, sizeof now.position);
    if (from.slices.empty()) {
        from.rows = static_cast<Uint16>(d->rows);
        from.columns = static_cast<Uint16>(d->columns);
        memcpy(from.orientation, place.orientation, sizeof from.orientation);
        memcpy(from.spacing, place.spacing, sizeof from.spacing);
        from.thickness = place.thickness;
        take_header(d, from);
    }
    from.slices.push_back(now);
    return SAMC_OK;
}

samc_status read_source(void *state, const char *path, source &from, samc_error *error) {
    samc__dicom d = {};
    const uint8_t *open = nullptr;
    samc_status status = SAMC_OK;
    for (int k = 0; k < samc__dicom_series_slices(state) && status == SAMC_OK; k++) {
        const uint8_t *bytes;
        size_t size;
        int frame;
        status = samc__dicom_series_source(state, k, &bytes, &size, &frame, error);
        if (status == SAMC_OK && bytes != open) {
            if (open != nullptr) samc__dicom_close(&d);
            open = bytes;
            status = samc__dicom_open(bytes, size, path, frame, &d, error);
        }
        if (status == SAMC_OK) status = take_slice(&d, frame, path, from, error);
    }
    if (open != nullptr) samc__dicom_close(&d);
    SAMC__TRY(status);
    if (from.slices.empty()) return cannot(path, "there are no slices", error);
    if (from.study.empty() || from.series.empty()) return cannot(path, "the source has no study or series UID", error);
    const double *a = from.slices.front().position, *b = from.slices.back().position;
    const double all =
        sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]));
    from.between = from.slices.size() > 1 ? all / static_cast<double>(from.slices.size() - 1) : 0;
    if (!(from.thickness > 0)) from.thickness = from.between > 0 ? from.between : 1;
    return SAMC_OK;
}

/* ---- The object ------------------------------------------------------------------------------ */

/* Each step of DCMTK's: the first that is refused ends the rest. */
struct maker {
    const char *path;
    OFCondition condition;
    std::unique_ptr<DcmSegmentation> object;

    bool done(const OFCondition &step) {
        if (condition.good()) condition = step;
        return condition.good();
    }
    samc_status status(samc_error *error) const {
        return condition.good() ? SAMC_OK : cannot(path, condition.text(), error);
    }
};

/* Date (8 digits) and time (6) of now. */
void now_texts(char date[16], char time_of_day[16]) {
    const time_t now = time(nullptr);
    struct tm parts = {};
    localtime_r(&now, &parts);
    strftime(date, 16, "%Y%m%d", &parts);
    strftime(time_of_day, 16, "%H%M%S", &parts);
}

/* The object without segments: whose it is, in which place, what made it. */
void begin(maker &m, source &from) {
    const IODGeneralEquipmentModule::EquipmentInfo equipment("samc", "samc", "0", samc_version());
    ContentIdentificationMacro content;
    DcmSegmentation *made = nullptr;
    char date[16], time_of_day[16];
    now_texts(date, time_of_day);
    m.done(content.setInstanceNumber("1"));
    m.done(content.setContentLabel("SEGMENTATION"));
    m.done(content.setContentDescription("Segmentation by samc"));
    if (!m.done(DcmSegmentation::createBinarySegmentation(made, from.rows, from.columns, equipment, content))) return;
    m.object.reset(made);
    m.done(made->importHierarchy(from.header, OFTrue, OFTrue, OFTrue, OFFalse, OFTrue));
    m.done(made->getSOPCommon().setSOPInstanceUID(make_uid().c_str()));
    m.done(made->getSeries().setSeriesInstanceUID(make_uid().c_str()));
    m.done(made->getSeries().setSeriesNumber("1"));
    m.done(made->getSeries().setSeriesDescription("Segmentation by samc"));
    m.done(made->getSeries().setSeriesDate(date));
    m.done(made->getSeries().setSeriesTime(time_of_day));
    const std::string dimensions = make_uid();
    IODMultiframeDimensionModule &order = made->getDimensions();
    m.done(order.addDimensionIndex(DCM_ReferencedSegmentNumber, dimensions.c_str(), DCM_SegmentIdentificationSequence,
                                   "Segment"));
    m.done(
        order.addDimensionIndex(DCM_ImagePositionPatient, dimensions.c_str(), DCM_PlanePositionSequence, "Position"));
}

/* What all frames share. */
void add_shared(maker &m, const source &from) {
    const double *o = from.orientation;
    std::unique_ptr<FGPlaneOrientationPatient> turned(
        FGPlaneOrientationPatient::createMinimal(decimal(o[0]).c_str(), decimal(o[1]).c_str(), decimal(o[2]).c_str(),
                                                 decimal(o[3]).c_str(), decimal(o[4]).c_str(), decimal(o[5]).c_str()));
    FGPixelMeasures measures;
    m.done(measures.setPixelSpacing((decimal(from.spacing[0]) + "\\" + decimal(from.spacing[1])).c_str()));
    m.done(measures.setSliceThickness(decimal(from.thickness).c_str()));
    if (from.between > 0) m.done(measures.setSpacingBetweenSlices(decimal(from.between).c_str()));
    m.done(turned ? m.object->addForAllFrames(*turned) : EC_MemoryExhausted);
    m.done(m.object->addForAllFrames(measures));
}

void add_segments(maker &m, const samc__labels *labels) {
    const CodeSequenceMacro category("91723000", "SCT", "Anatomical Structure"), type("85756007", "SCT", "Tissue");
    for (int label = 1; label <= labels->count && m.condition.good(); label++) {
        DcmSegment *segment = nullptr;
        Uint16 number = 0;
        const DcmSegTypes::E_SegmentAlgoType by =
            labels->automatic ? DcmSegTypes::SAT_AUTOMATIC : DcmSegTypes::SAT_SEMIAUTOMATIC;
        if (!m.done(DcmSegment::create(segment, "Object", category, type, by, "samc"))) return;
        if (!m.done(m.object->addSegment(segment, number))) delete segment;
    }
}

/* The frame of a label on a slice; `place` counts the slices that have frames, from 1. */
void add_frame(maker &m, const slice &on, int label, Uint32 place, std::vector<Uint8> &pixels) {
    FGFrameContent content;
    std::unique_ptr<FGPlanePosPatient> position(FGPlanePosPatient::createMinimal(
        decimal(on.position[0]).c_str(), decimal(on.position[1]).c_str(), decimal(on.position[2]).c_str()));
    OFVector<ImageSOPInstanceReferenceMacro> sources(1);
    m.done(sources[0].setReferencedSOPClassUID(on.sop_class.c_str()));
    m.done(sources[0].setReferencedSOPInstanceUID(on.sop.c_str()));
    if (on.frame > 0) m.done(sources[0].addReferencedFrameNumber(static_cast<Uint16>(on.frame)));
    std::unique_ptr<FGDerivationImage> derivation(
        DcmSegmentation::createDerivationImageFG(sources, "Segmentation by samc"));
    m.done(content.setDimensionIndexValues(static_cast<Uint32>(label), 0));
    m.done(content.setDimensionIndexValues(place, 1));
    if (!m.done(position && derivation ? EC_Normal : EC_MemoryExhausted)) return;
    OFVector<FGBase *> groups;
    groups.push_back(&content);
    groups.push_back(position.get());
    groups.push_back(derivation.get());
    m.done(m.object->addFrame(pixels.data(), static_cast<Uint16>(label), groups));
}

/* All frames, slice by slice; of no label at all one that is empty, for an object has frames. */
samc_status add_frames(maker &m, const source &from, const samc__labels *labels, samc_error *error) {
    const size_t size = static_cast<size_t>(from.rows) * from.columns;
    std::vector<uint16_t> values(size);
    std::vector<Uint8> pixels(size);
    Uint32 place = 0;
    int64_t bytes = 0;
    for (size_t k = 0; k < from.slices.size(); k++) {
        std::vector<bool> there(static_cast<size_t>(labels->count) + 1);
        SAMC__TRY(labels->slice(labels->context, static_cast<int>(k), values.data(), error));
        bool any = false;
        for (uint16_t value : values) {
            if (value > labels->count)
                return samc__fail(error, SAMC_INTERNAL, "%s: label %d of %d", m.path, value, labels->count);
            there[value] = true;
            any = any || value != 0;
        }
        const bool empty = !any && place == 0 && k + 1 == from.slices.size();
        if (empty) there[1] = true;
        if (any || empty) place++;
        for (int label = 1; label <= labels->count; label++) {
            if (!there[static_cast<size_t>(label)]) continue;
            bytes += static_cast<int64_t>(size / 8 + 1);
            if (bytes > MOST_BYTES) return cannot(m.path, "more than 1 GiB of frames: write .nii.gz", error);
            for (size_t i = 0; i < size; i++) pixels[i] = values[i] == label;
            add_frame(m, from.slices[k], label, place, pixels);
            SAMC__TRY(m.status(error));
        }
    }
    return SAMC_OK;
}

/* The slices, once more, for who looks for all that an object refers to. */
void add_references(maker &m, const source &from) {
    IODReferences all;
    const std::string *last = nullptr;
    for (const slice &on : from.slices) {
        if (last != nullptr && *last == on.sop) continue; /* another frame of the same */
        last = &on.sop;
        /* DCMTK wants a patient's number in a reference, which does not get into the object from there. */
        std::unique_ptr<IODReference> reference(
            new IODImageReference(from.patient.empty() ? "none" : from.patient.c_str(), from.study.c_str(),
                                  from.series.c_str(), on.sop.c_str(), on.sop_class.c_str()));
        if (!m.done(all.add(reference.get()) ? EC_Normal : EC_IllegalParameter)) return;
        (void)reference.release();
    }
    m.object->getCommonInstanceReference().addReferences(all, from.study.c_str());
}

/* The names, which DCMTK's segments take only as ASCII, and that each frame has its pixels where its source has them,
 * which DCMTK's groups have no word for. */
void complete(maker &m, DcmItem &data, const samc__labels *labels, bool utf8) {
    DcmSequenceOfItems *segments = nullptr, *frames = nullptr;
    m.done(data.findAndGetSequence(DCM_SegmentSequence, segments));
    m.done(data.findAndGetSequence(DCM_PerFrameFunctionalGroupsSequence, frames));
    if (m.condition.bad()) return;
    DcmObject *at = nullptr;
    for (int label = 1; m.condition.good() && (at = segments->nextInContainer(at)) != nullptr; label++)
        m.done(static_cast<DcmItem *>(at)->putAndInsertString(DCM_SegmentLabel, name_of(labels, label, utf8).c_str()));
    for (at = nullptr; m.condition.good() && (at = frames->nextInContainer(at)) != nullptr;) {
        DcmItem *derivation = nullptr, *image = nullptr;
        if (m.done(static_cast<DcmItem *>(at)->findAndGetSequenceItem(DCM_DerivationImageSequence, derivation)) &&
            m.done(derivation->findAndGetSequenceItem(DCM_SourceImageSequence, image)))
            m.done(image->putAndInsertString(DCM_SpatialLocationsPreserved, "YES"));
    }
}

/* ---- The file -------------------------------------------------------------------------------- */

/* A file that is given up unless it is committed. */
struct output {
    samc__writer writer;
    ~output() { samc__writer_abandon(&writer); }
};

samc_status write_file(const char *path, DcmFileFormat &file, samc_error *error) {
    std::vector<Uint8> block(1 << 18);
    DcmOutputBufferStream stream(block.data(), static_cast<offile_off_t>(block.size()));
    output to;
    SAMC__TRY(samc__writer_open(&to.writer, path, error));
    file.transferInit();
    for (OFCondition step = EC_StreamNotifyClient; step == EC_StreamNotifyClient;) {
        void *bytes = nullptr;
        offile_off_t size = 0;
        step = file.write(stream, EXS_LittleEndianExplicit, EET_ExplicitLength, nullptr, EGL_recalcGL);
        if (step.bad() && step != EC_StreamNotifyClient) return cannot(path, step.text(), error);
        stream.flushBuffer(bytes, size);
        SAMC__TRY(samc__writer_append(&to.writer, bytes, static_cast<size_t>(size), error));
    }
    file.transferEnd();
    return samc__writer_commit(&to.writer, error);
}

samc_status no_labels(void *size, int k, uint16_t *labels, samc_error *error) {
    (void)k, (void)error;
    memset(labels, 0, *static_cast<size_t *>(size) * sizeof *labels);
    return SAMC_OK;
}

samc_status make(void *state, const char *path, const samc__labels *wanted, samc_error *error) {
    source from = {};
    maker m = {path, EC_Normal, nullptr};
    samc__dicom_prepare();
    SAMC__TRY(read_source(state, path, from, error));
    size_t size = static_cast<size_t>(from.rows) * from.columns;
    samc__labels labels = {1, nullptr, no_labels, &size, false}; /* to see that nothing stands against it */
    if (wanted != nullptr) labels = *wanted;
    if (labels.count < 1) return cannot(path, "there is no label", error);
    begin(m, from);
    SAMC__TRY(m.status(error));
    add_shared(m, from);
    add_segments(m, &labels);
    SAMC__TRY(m.status(error));
    SAMC__TRY(add_frames(m, from, &labels, error));
    add_references(m, from);
    DcmFileFormat file;
    m.object->setCheckFGOnWrite(OFFalse); /* every frame has what add_frame gave it */
    m.done(m.object->writeDataset(*file.getDataset()));
    if (m.condition.good()) complete(m, *file.getDataset(), &labels, from.utf8);
    SAMC__TRY(m.status(error));
    return wanted != nullptr ? write_file(path, file, error) : SAMC_OK;
}

} // namespace

samc_status samc__dicom_segmentation(void *state, const char *path, const samc__labels *labels, samc_error *error) {
    try {
        return make(state, path, labels, error);
    } catch (const std::exception &) {
        return samc__fail(error, SAMC_OUT_OF_MEMORY, "%s: out of memory", path);
    }
}
