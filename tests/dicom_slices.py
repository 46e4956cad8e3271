"""DICOM series for tests: classic CT and MR slices with the modules that their standard asks for."""

import os

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage, generate_uid

PATIENT = {
    'PatientName': 'Zwölfling^Ölrich',
    'PatientID': 'PID-9381772',
    'PatientBirthDate': '19370604',
    'PatientSex': 'O',
    'PatientAge': '088Y',
    'PatientAddress': 'Quittenweg 77',
    'InstitutionName': 'Spital Xanthippe',
    'ReferringPhysicianName': 'Qvist^Yngve',
    'AccessionNumber': 'ACC5551234',
    'StudyID': 'STUDY8642',
    'StudyDescription': 'Verdacht auf Wurzelholz',
    'PatientComments': 'kommt montags',
}


def make_slice(modality, pixels, position, orientation, spacing, thickness, uids, number):
    """One slice of a series; `uids`: study, series, frame of reference."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SpecificCharacterSet = 'ISO_IR 100'
    for name, value in PATIENT.items():
        setattr(ds, name, value)
    ds.SOPClassUID = CTImageStorage if modality == 'CT' else MRImageStorage
    ds.SOPInstanceUID = generate_uid()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = uids
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = ds.AcquisitionDate = '20200229'
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = ds.AcquisitionTime = '121314'
    ds.Modality = modality
    ds.Manufacturer = 'Maker'
    ds.SeriesNumber = 3
    ds.InstanceNumber = number
    ds.PositionReferenceIndicator = ''
    ds.PatientPosition = 'HFS'
    ds.ImageType = ['ORIGINAL', 'PRIMARY', 'AXIAL'] if modality == 'CT' else ['ORIGINAL', 'PRIMARY', 'OTHER']
    if modality == 'CT':
        ds.KVP = 120
        ds.AcquisitionNumber = 1
        ds.RescaleIntercept = -1024
        ds.RescaleSlope = 1
        ds.RescaleType = 'HU'
    else:
        ds.ScanningSequence = 'SE'
        ds.SequenceVariant = 'NONE'
        ds.ScanOptions = ''
        ds.MRAcquisitionType = '2D'
        ds.EchoTime = 10
        ds.RepetitionTime = 500
        ds.EchoTrainLength = 1
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = 'MONOCHROME2'
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    ds.ImagePositionPatient = [float(f'{x:.9g}') for x in position]
    ds.ImageOrientationPatient = [float(f'{x:.9g}') for x in orientation]
    ds.PixelSpacing = list(spacing)
    ds.SliceThickness = thickness
    ds.PixelData = pixels.astype('<u2').tobytes()
    return ds


def make_series(modality, slices, turn=np.eye(3), between=2.5, origin=(-100.5, 33.25, 7)):
    """slices: [k, rows, columns] of uint16, by position. `turn`'s columns are the directions, in LPS, of a row's
    columns (i), of a column's rows (j), and of k, the normal. Instance numbers run the other way, names of files at
    random."""
    uids = [generate_uid() for _ in range(3)]
    orientation = [*turn[:, 0], *turn[:, 1]]
    spacing = (0.75, 0.625)
    return [
        make_slice(modality, pixels, np.array(origin) + turn[:, 2] * between * k, orientation, spacing, between, uids,
                   len(slices) - k)  # fmt: skip
        for k, pixels in enumerate(slices)
    ]


def save_series(folder, series, seed=1):
    os.makedirs(folder, exist_ok=True)
    names = np.random.default_rng(seed).permutation(len(series))
    for name, ds in zip(names, series):
        ds.save_as(os.path.join(folder, f'{name:04}.dcm'), enforce_file_format=True)
