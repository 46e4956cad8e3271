#!/usr/bin/env python3
"""Writes corpus_dicom, which fuzz_dicom begins with: small pictures of every kind and transfer syntax.

build/python/venv/bin/python tests/fuzz/make_corpus_dicom.py    (and dcmtk's dcmcjpeg and dcmcjpls)
"""

import copy
import os
import subprocess
import sys
import warnings

import numpy as np
import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import dicom_made

warnings.simplefilter('ignore')
TO = os.path.join(HERE, 'corpus_dicom')


def small(ds):
    """The first eight rows and columns, and no table longer than 64."""
    for sequence in ('ModalityLUTSequence', 'VOILUTSequence'):
        for item in ds.get(sequence, []):
            item.LUTDescriptor = [64, *item.LUTDescriptor[1:]]
            item['LUTDescriptor'].VR = 'SS' if item.LUTDescriptor[1] < 0 else 'US'
            item.LUTData = item.LUTData[:128]
    if 'PixelData' not in ds or ds.BitsAllocated == 1 or ds.SamplesPerPixel == 3:
        return ds
    frames = int(ds.get('NumberOfFrames', 1))
    kind = f"<{'ui'[ds.PixelRepresentation]}{ds.BitsAllocated // 8}"
    size = frames * ds.Rows * ds.Columns * ds.BitsAllocated // 8
    pixels = np.frombuffer(ds.PixelData[:size], kind).reshape(frames, ds.Rows, ds.Columns)[:, :8, :8]
    ds.Rows, ds.Columns, ds.PixelData = 8, 8, pixels.tobytes()
    return ds


def main():
    os.makedirs(TO, exist_ok=True)
    made = {}
    for name, ds in dicom_made.pictures():
        made[name] = small(ds)
        if ds.SamplesPerPixel == 3:
            ds.Rows, ds.Columns, ds.PixelData = 4, 6, ds.PixelData[:72]
        dicom_made.write(ds, os.path.join(TO, name))
    volume = np.arange(4 * 3 * 4, dtype=np.int16).reshape(4, 3, 4)
    dicom_made.write(dicom_made.enhanced(volume), os.path.join(TO, 'enhanced'))
    dicom_made.write(next(dicom_made.series(volume)), os.path.join(TO, 'slice'))
    for name, syntax in (
        ('implicit', ImplicitVRLittleEndian),
        ('big', ExplicitVRBigEndian),
        ('deflated', DeflatedExplicitVRLittleEndian),
    ):
        ds = copy.deepcopy(made['both_tables'])
        ds.file_meta.TransferSyntaxUID = syntax
        big, implicit = syntax == ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
        pydicom.dcmwrite(os.path.join(TO, name), ds, implicit_vr=implicit, little_endian=not big, force_encoding=True)
    bare = open(os.path.join(TO, 'plain'), 'rb').read()
    with open(os.path.join(TO, 'bare'), 'wb') as file:
        file.write(bare[bare.index(b'\x08\0\x16\0UI') :])
    ramp = (np.arange(70 * 66).reshape(70, 66) // 7 % 256).astype(np.uint8)
    for name, ds in (
        ('8', dicom_made.made(ramp)),
        ('12', dicom_made.made(ramp.astype(np.uint16) * 16, 12)),
        ('16', dicom_made.made(ramp.astype(np.uint16) * 256)),
        ('rgb', dicom_made.made(np.stack([ramp, ramp[::-1], ramp], axis=2), photometric='RGB')),
        ('frames', dicom_made.made(np.stack([ramp, ramp[::-1]]))),
    ):
        path = dicom_made.write(ds, os.path.join(TO, 'native'))
        for suffix, syntax in (('rle', RLELossless), ('ls', JPEGLSLossless), ('2000', JPEG2000Lossless)):
            packed = copy.deepcopy(ds)
            packed.compress(syntax, generate_instance_uid=False)
            dicom_made.write(packed, os.path.join(TO, f'{name}_{suffix}'))
        for suffix, command in (
            ('lossless', ['dcmcjpeg', '+e1']),
            ('sv6', ['dcmcjpeg', '+el', '+sv', '6']),
            ('baseline', ['dcmcjpeg', '+eb']),
            ('extended', ['dcmcjpeg', '+ee']),
            ('progressive', ['dcmcjpeg', '+ep']),
            ('near', ['dcmcjpls', '+en']),
        ):
            subprocess.run([*command, path, os.path.join(TO, f'{name}_{suffix}')], stderr=subprocess.DEVNULL)
        os.remove(path)
    kept = [os.path.join(TO, name) for name in os.listdir(TO)]
    for path in kept:
        if os.path.getsize(path) > 8192:
            os.remove(path)


if __name__ == '__main__':
    main()
