"""DICOM made by pydicom for dicom_test.py: one of everything that a picture can be, and a CT series as a folder."""

import os

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

CT = "1.2.840.10008.5.1.4.1.1.2"
PATIENT = "Secret^Name"  # never to be seen again


def made(array, bits=None, high=None, photometric="MONOCHROME2", planar=None, **elements):
    """A data set of the array [rows, columns] or [frames, rows, columns] or [rows, columns, 3]; elements by keyword."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CT
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[repr(sorted(elements.items()))])
    ds = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    colours = photometric in ("RGB", "YBR_FULL")
    allocated = array.dtype.itemsize * 8
    ds.SOPClassUID, ds.SOPInstanceUID = CT, meta.MediaStorageSOPInstanceUID
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = PATIENT, PATIENT, "19010101"
    ds.Modality = "OT"
    ds.SamplesPerPixel = 3 if colours else 1
    ds.PhotometricInterpretation = photometric
    ds.Rows, ds.Columns = array.shape[-3:-1] if colours else array.shape[-2:]
    if colours:
        ds.PlanarConfiguration = planar or 0
    elif array.ndim == 3:
        ds.NumberOfFrames = array.shape[0]
    ds.BitsAllocated = allocated
    ds.BitsStored = bits or allocated
    ds.HighBit = ds.BitsStored - 1 if high is None else high
    ds.PixelRepresentation = int(array.dtype.kind == "i")
    ds.PixelData = (array.transpose(2, 0, 1) if planar else array).astype(array.dtype).tobytes()
    if len(ds.PixelData) % 2:
        ds.PixelData += b"\0"
    ds["PixelData"].VR = "OW" if allocated > 8 else "OB"
    for name, value in elements.items():
        setattr(ds, name, value)
    return ds


def table(entries, first, bits, signed=False, packed=False):
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item["LUTDescriptor"].VR = "SS" if signed else "US"
    item.LUTData = np.asarray(entries, np.uint8 if packed else np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    item.LUTExplanation = PATIENT
    return [item]


def pictures():
    """(name, data set) of everything that pydicom can show, too."""
    dice = np.random.default_rng(1)
    u16 = dice.integers(0, 4096, (67, 71)).astype(np.uint16)
    i16 = dice.integers(-1024, 3072, (67, 71)).astype(np.int16)
    u8 = (dice.integers(0, 16, (67, 70)) * 16).astype(np.uint8)  # which JPEG-LS makes smaller
    rgb = (dice.integers(0, 16, (67, 70, 3)) * 17).astype(np.uint8)
    yield "plain", made(u16, 12)
    yield "rescaled", made(i16, RescaleSlope="1.5", RescaleIntercept="-1024")
    yield "window", made(
        i16, WindowCenter=["40", "400"], WindowWidth=["400", "1800"], RescaleSlope=1, RescaleIntercept=-24
    )
    yield "exact", made(i16, WindowCenter="40.5", WindowWidth="350", VOILUTFunction="LINEAR_EXACT")
    yield "sigmoid", made(i16, WindowCenter="40", WindowWidth="350", VOILUTFunction="SIGMOID")
    yield "narrow", made(i16, WindowCenter="40", WindowWidth="1")
    yield "inverted", made(u16, 12, photometric="MONOCHROME1", WindowCenter="2000", WindowWidth="3000")
    yield "inverted8", made(u8, photometric="MONOCHROME1")
    yield "padding", made(i16, PixelPaddingValue=-1000, PixelPaddingRangeLimit=-200)
    yield "padding_inverted", made(
        u16, 12, photometric="MONOCHROME1", PixelPaddingValue=4000, PixelPaddingRangeLimit=4095
    )
    ramp = (np.arange(4096) ** 2 // 256).clip(0, 65535)
    yield "modality_table", made(u16, 12, ModalityLUTSequence=table(ramp, 0, 16))
    yield "voi_table", made(u16, 12, VOILUTSequence=table(ramp[:4000:16] // 256, 500, 8))
    yield "both_tables", made(
        u16, 12, ModalityLUTSequence=table(ramp[:2000] // 16, 1000, 16), VOILUTSequence=table(ramp[::-1] // 4, 0, 14)
    )
    yield "voi_signed", made(i16, VOILUTSequence=table(ramp // 4, -1024, 14, signed=True))
    yield "voi_below_zero", made(  # of unsigned values that the line makes negative
        u16, 12, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=table(ramp // 4, -1024, 14, signed=True)
    )
    yield "voi_before_window", made(
        u16, 12, VOILUTSequence=table(ramp // 4, 0, 14), WindowCenter="2000", WindowWidth="100"
    )
    yield "one_bit", made_bits(dice.integers(0, 2, (3, 5, 7)))
    yield "float", made_float(dice.normal(size=(9, 11)).astype(np.float32))
    yield "double", made_float(dice.normal(size=(9, 11)))
    yield "frames", made(np.stack([u16, u16 // 2, u16 // 3]), 12)
    yield "rgb", made(rgb, photometric="RGB")
    yield "rgb_planar", made(rgb, photometric="RGB", planar=1)
    yield "ybr", made(rgb, photometric="YBR_FULL")
    yield "ybr_planar", made(rgb, photometric="YBR_FULL", planar=1)
    yield "palette", made_palette(u8)


def made_bits(array):
    ds = made(array.astype(np.uint8))
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = 0
    ds.PixelData = np.packbits(array.ravel(), bitorder="little").tobytes()
    ds.PixelData += b"\0" * (len(ds.PixelData) % 2)
    return ds


def made_float(array):
    ds = made(np.zeros(array.shape, np.uint16))
    del ds.PixelData, ds.PixelRepresentation, ds.BitsStored, ds.HighBit
    ds.BitsAllocated = array.dtype.itemsize * 8
    if array.dtype.itemsize == 4:
        ds.FloatPixelData = array.tobytes()
    else:
        ds.DoubleFloatPixelData = array.tobytes()
    return ds


def made_palette(array):
    ds = made(array, photometric="PALETTE COLOR")
    for i, colour in enumerate(("Red", "Green", "Blue")):
        setattr(ds, f"{colour}PaletteColorLookupTableDescriptor", [200, 20, 16])
        ds[f"{colour}PaletteColorLookupTableDescriptor"].VR = "US"
        entries = (np.arange(200) * (i + 1) * 97 % 65536).astype(np.uint16)
        setattr(ds, f"{colour}PaletteColorLookupTableData", entries.tobytes())
        ds[f"{colour}PaletteColorLookupTableData"].VR = "OW"
    return ds


def series(
    volume, spacing=(2.5, 0.7, 0.8), row=(1, 0, 0), column=(0, 1, 0), origin=(-100, 50, 10), shear=0.0, **elements
):
    """Slices [k, j, i] of int16, k along the normal; spacing along k, j, i. shear: mm along j for each k."""
    row, column = np.array(row, float), np.array(column, float)
    normal = np.cross(row, column)
    uids = [generate_uid(entropy_srcs=[text]) for text in ("study", "series", "frame")]
    for k, array in enumerate(volume):
        position = np.array(origin) + normal * spacing[0] * k + column * shear * k
        ds = made(array, Modality="CT", RescaleSlope="1", RescaleIntercept="-10", WindowCenter="40", WindowWidth="400")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["slice", str(k)])
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uids
        ds.ImagePositionPatient = [f"{value:.6g}" for value in position]
        ds.ImageOrientationPatient = [f"{value:.9g}" for value in (*row, *column)]
        ds.PixelSpacing = [str(spacing[1]), str(spacing[2])]
        ds.SliceThickness = str(spacing[0])
        ds.InstanceNumber = len(volume) - k
        for name, value in elements.items():
            setattr(ds, name, value)
        yield ds


def enhanced(volume, spacing=(2.5, 0.7, 0.8), order=None):
    """All slices as the frames of one file, in the order given."""
    order = list(range(len(volume))) if order is None else order
    ds = made(np.stack([volume[k] for k in order]), Modality="CT")
    shared, measures, orientation = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [str(spacing[1]), str(spacing[2])], str(spacing[0])
    orientation.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    ds.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in order:
        item, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = ["-100", "50", str(10 + spacing[0] * k)]
        values.RescaleSlope, values.RescaleIntercept = "2", str(k)
        item.PlanePositionSequence, item.PixelValueTransformationSequence = [position], [values]
        frames.append(item)
    ds.PerFrameFunctionalGroupsSequence = frames
    return ds


def write(ds, path):
    ds.save_as(path, enforce_file_format=True)
    return path


def write_series(slices, folder):
    """Names that have nothing to do with the order."""
    os.makedirs(folder, exist_ok=True)
    paths = []
    for i, ds in enumerate(slices):
        paths.append(write(ds, os.path.join(folder, f"IM{(i * 7919) % 1000:04d}")))
    return paths
