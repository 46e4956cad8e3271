"""DICOM against pydicom: its own files, one made of everything that a picture can be, what has to be refused, and
series of slices as volumes.

    dicom_test.py image_pixels volume_tool samc
"""

import copy
import io
import json
import logging
import os
import struct
import subprocess
import sys
import tarfile
import tempfile
import unittest
import warnings
import zipfile

import numpy as np
import pydicom
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import corpus_dicom
import dicom_made

PIXELS, VOLUME, SAMC = sys.argv[1:4]
del sys.argv[1:4]
warnings.simplefilter('ignore')
logging.disable(logging.CRITICAL)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, ds, name='x.dcm'):
        return dicom_made.write(ds, self.path(name))

    def refused(self, command, words):
        """One line that names these words and nothing of the patient."""
        run = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(run.returncode, 1, command)
        self.assertEqual(run.stderr.count('\n'), 1, run.stderr)
        for word in [words] if isinstance(words, str) else words:
            self.assertIn(word, run.stderr)
        for secret in ('Secret', 'Name', '19010101', '1.2.826.0'):
            self.assertNotIn(secret, run.stderr)


class Pictures(Case):
    def compare(self, path, what, windows=(None, (40, 400))):
        for window in windows:
            status, words = corpus_dicom.compare(PIXELS, path, window)
            self.assertEqual(status, 'equal', f'{what}, {window}: {words}')

    def test_pydicom_files(self):
        sys.argv[1:] = ['--program', PIXELS]
        self.assertEqual(corpus_dicom.main(), 0)

    def test_of_everything(self):
        for name, ds in dicom_made.pictures():
            self.compare(
                self.write(ds),
                name,
                (None,) if 'rgb' in name or 'ybr' in name or name == 'palette' else (None, (40, 400)),
            )

    def test_syntaxes(self):
        pictures = dict(dicom_made.pictures())
        for name in (
            'plain',
            'rescaled',
            'padding',
            'rgb',
            'rgb_planar',
            'frames',
            'inverted8',
            'both_tables',
            'one_bit',
        ):
            for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian):
                ds = copy.deepcopy(pictures[name])
                ds.file_meta.TransferSyntaxUID = syntax
                if syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
                    ds.PixelData = np.frombuffer(ds.PixelData, np.uint16).byteswap().tobytes()
                    for sequence in ('ModalityLUTSequence', 'VOILUTSequence'):
                        for item in ds.get(sequence, []):
                            item.LUTData = np.frombuffer(item.LUTData, np.uint16).byteswap().tobytes()
                big = syntax == ExplicitVRBigEndian
                pydicom.dcmwrite(
                    self.path('s.dcm'),
                    ds,
                    implicit_vr=syntax == ImplicitVRLittleEndian,
                    little_endian=not big,
                    force_encoding=True,
                )
                self.compare(self.path('s.dcm'), f'{name}, {syntax.name}', (None,))
            if name in ('one_bit', 'both_tables'):
                continue
            for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
                ds = copy.deepcopy(pictures[name])
                if syntax != RLELossless and (ds.PixelRepresentation == 1 or name == 'rgb_planar'):
                    continue  # pydicom's encoders refuse signed samples, or turn planes
                ds.compress(syntax, generate_instance_uid=False)
                ds.save_as(self.path('c.dcm'), enforce_file_format=True)
                self.compare(self.path('c.dcm'), f'{name}, {syntax.name}', (None,))

    def test_fragments(self):
        """A frame in several fragments, with and without a table of where frames begin."""
        ds = dict(dicom_made.pictures())['frames']
        ds.compress(JPEG2000Lossless, generate_instance_uid=False)
        frames = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=3))
        for table in (True, False):
            ds.PixelData = pydicom.encaps.encapsulate(frames, fragments_per_frame=3 if table else 1, has_bot=table)
            ds['PixelData'].VR = 'OB'
            self.compare(self.write(ds), f'fragments, {table}', (None,))

    def test_bits_above(self):
        """12 bits in the upper end of 16, with others below, signed and not: pydicom does not shift."""
        values = np.random.default_rng(2).integers(0, 4096, (9, 8)).astype(np.uint16)
        for kind in (np.uint16, np.int16):
            ds = dicom_made.made((values << 4 | 5).astype(kind), 12, 15, WindowCenter='0', WindowWidth='4096')
            got = corpus_dicom.samc(PIXELS, self.write(ds), 0, '')[:, :, 0]
            stored = (values.astype(int) + 2048) % 4096 - 2048 if kind == np.int16 else values.astype(int)
            self.assertTrue((got == corpus_dicom.to_bytes(stored, -2048, 2047)).all())

    def test_packed_table(self):
        """Entries of 8 bits, two in a word, which pydicom does not unpack: as they are in words of their own."""
        entries = np.random.default_rng(5).integers(0, 256, 3000)
        values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
        for name in ('VOILUTSequence', 'ModalityLUTSequence'):
            shown = [
                corpus_dicom.samc(PIXELS, self.write(ds), 0, '')
                for ds in (
                    dicom_made.made(values, 12, **{name: dicom_made.table(entries, 500, 8, packed=packed)})
                    for packed in (False, True)
                )
            ]
            want = entries[(values.astype(int) - 500).clip(0, 2999)]
            want = want if name == 'VOILUTSequence' else corpus_dicom.to_bytes(want, want.min(), want.max())
            self.assertTrue((shown[0][:, :, 0] == want).all() and (shown[1] == shown[0]).all(), name)

    def test_names_of_windows(self):
        path = self.write(dict(dicom_made.pictures())['rescaled'])
        for name, (centre, width) in {
            'soft-tissue': (40, 400),
            'lung': (-600, 1500),
            'bone': (400, 1800),
            'brain': (40, 80),
        }.items():
            want = corpus_dicom.expected(pydicom.dcmread(path), 0, (centre, width))
            self.assertTrue((corpus_dicom.samc(PIXELS, path, 0, f'window:{name}') == want).all(), name)

    def test_auto(self):
        """MedSAM's: soft tissue of CT; else between percentiles of what is above 0."""
        values = np.random.default_rng(3).integers(-50, 900, (31, 17)).astype(np.int16)
        ds = dicom_made.made(values, Modality='MR')
        got = corpus_dicom.samc(PIXELS, self.write(ds), 0, 'window:auto')[:, :, 0]
        low, high = np.percentile(values[values > 0].astype(float), [0.5, 99.5])
        self.assertTrue((got == corpus_dicom.to_bytes(values, low, high)).all())
        ds.Modality = 'CT'
        want = corpus_dicom.expected(ds, 0, (40, 400))
        self.assertTrue((corpus_dicom.samc(PIXELS, self.write(ds), 0, 'window:auto') == want).all())


class Fragments(Case):
    """Where frames begin among the fragments of compressed pixels."""

    def values_of(self, path, shape):
        run = subprocess.run([VOLUME, 'values', path, '0', '2'], capture_output=True)
        self.assertEqual(run.returncode, 0, run.stderr)
        return np.frombuffer(run.stdout, np.float32).reshape(shape)

    def test_many_frames(self):
        """A long file, with each kind of table."""
        values = np.random.default_rng(8).integers(0, 4096, (2000, 5, 4)).astype(np.uint16)
        ds = dicom_made.made(values, 12, NumberOfFrames=2000)
        ds.compress(RLELossless, generate_instance_uid=False)
        frames = list(pydicom.encaps.generate_frames(ds.PixelData, number_of_frames=2000))
        for kind in ('none', 'basic', 'extended'):
            ds.PixelData = pydicom.encaps.encapsulate(frames, has_bot=kind == 'basic')
            if kind == 'extended':
                ds.PixelData, *tables = pydicom.encaps.encapsulate_extended(frames)
                ds.ExtendedOffsetTable, ds.ExtendedOffsetTableLengths = tables
            ds['PixelData'].VR = 'OB'
            path = self.write(ds)
            np.testing.assert_array_equal(values, pydicom.dcmread(path).pixel_array, kind)
            np.testing.assert_array_equal(values, self.values_of(path, values.shape), kind)

    def put(self, items, basic=b'', wide=None, long=None):
        """The file of three frames with these items behind a table, and tables of 64 bits."""
        ds = copy.deepcopy(self.file)
        ds.PixelData = b'\xfe\xff\0\xe0' + struct.pack('<I', len(basic)) + basic + items
        ds['PixelData'].VR = 'OB'
        for name, value in (('ExtendedOffsetTable', wide), ('ExtendedOffsetTableLengths', long)):
            if value is not None:
                setattr(ds, name, struct.pack(f'<{len(value)}Q', *value))
        return self.write(ds)

    def test_one_each(self):
        """As many fragments as frames are one each: tables that are wrong (they wrap, or count from elsewhere) are not
        asked."""
        self.file = dict(dicom_made.pictures())['frames']
        want = self.file.pixel_array
        for syntax in (RLELossless, JPEGLSLossless):
            self.file.compress(syntax, generate_instance_uid=False)
            frames = list(pydicom.encaps.generate_frames(self.file.PixelData, number_of_frames=3))
            items = pydicom.encaps.encapsulate(frames, has_bot=False)[8:]
            for basic, wide in ((struct.pack('<3I', 8, 9, 10), None), (b'', (7, 2**63, 1))):
                np.testing.assert_array_equal(self.values_of(self.put(items, basic, wide), want.shape), want, syntax)
            self.file.decompress(generate_instance_uid=False)

    def test_begins_otherwise(self):
        """Without a table a fragment of JPEG-LS that begins as JPEG 2000 does, in a comment here, begins no frame."""
        self.file = dict(dicom_made.pictures())['frames']
        want = self.file.pixel_array
        self.file.compress(JPEGLSLossless, generate_instance_uid=False)
        items = b''
        for frame in pydicom.encaps.generate_frames(self.file.PixelData, number_of_frames=3):
            for part in (frame[:2] + b'\xff\xfe\0\x06', b'\xff\x4f..' + frame[2:]):
                items += b'\xfe\xff\0\xe0' + struct.pack('<I', len(part)) + part
        np.testing.assert_array_equal(self.values_of(self.put(items), want.shape), want)

    def test_tables(self):
        """Frames in three fragments each: tables that count, that say nothing, and such as are wrong."""
        for syntax in (JPEG2000Lossless, JPEGLSLossless):
            self.file = dict(dicom_made.pictures())['frames']
            self.file.compress(syntax, generate_instance_uid=False)
            frames = list(pydicom.encaps.generate_frames(self.file.PixelData, number_of_frames=3))
            split = pydicom.encaps.encapsulate(frames, fragments_per_frame=3)
            table, items = struct.unpack('<3I', split[8:20]), split[20:]
            basic, sizes = split[8:20], [len(frame) + len(frame) % 2 for frame in frames]
            path = self.put(items, basic)
            want = pydicom.dcmread(path).pixel_array
            for arguments in (
                (items, basic),
                (items,),
                (items, bytes(12)),
                (items, basic[:8]),
                (items, b'', table, sizes),
                (items, b'', (0, 0, 0)),
                (items, b'', table, sizes[:2]),
                (items, bytes(10), table),
            ):
                np.testing.assert_array_equal(
                    self.values_of(self.put(*arguments), want.shape), want, f'{syntax.name} {arguments[1:]}'
                )
            begin = 'damaged DICOM: where its frames begin'
            first = 8 + struct.unpack('<I', items[4:8])[0]
            for words, arguments in (
                (begin, (items, struct.pack('<3I', table[0], table[2], table[1]))),
                (begin, (items, struct.pack('<3I', table[0], table[1], table[2] + 1))),
                (begin, (items, struct.pack('<3I', table[0], table[1], table[1]))),
                (begin, (items, struct.pack('<3I', first, table[1], table[2]))),
                (begin, (items, b'', (table[0], table[1], 2**63))),
                (begin, (items[first:],)),
                (begin, (items + items[:first],)),
                (begin, (items[: table[2]],)),
                (begin, (items[:first],)),
                ('damaged DICOM: the length of a frame', (items, b'', table, [2**64 - 1] * 3)),
                ('damaged DICOM: its fragments', (b'',)),
                ('a frame without fragments', ((b'\xfe\xff\0\xe0' + bytes(4)) * 3,)),
            ):
                self.refused([PIXELS, self.put(*arguments)], ['x.dcm: ', words])


class Refused(Case):
    def plain(self, **elements):
        return dicom_made.made(np.arange(400, dtype=np.uint16).reshape(20, 20), 12, **elements)

    def bytes_of(self, ds):
        out = io.BytesIO()
        ds.save_as(out, enforce_file_format=True)
        return out.getvalue()

    def check(self, data, words):
        path = self.path('bad.dcm')
        if isinstance(data, bytes):
            with open(path, 'wb') as file:
                file.write(data)
        else:
            data.save_as(path, enforce_file_format=True)
        self.refused([PIXELS, path], ['bad.dcm: '] + ([words] if isinstance(words, str) else words))

    def test_files(self):
        whole = self.bytes_of(self.plain())
        for cut in (135, 200, 400, len(whole) - 400, len(whole) - 1):
            self.check(whole[:cut], 'truncated DICOM')
        self.check(
            whole.replace(b'1.2.840.10008.1.2.1\0', b'1.2.840.10008.1.2.9\0'),
            ['transfer syntax', '1.2.840.10008.1.2.9'],
        )
        self.check(
            whole.replace(b'1.2.840.10008.1.2.1\0', b'1.2.840.10008.1.2.2\0'), 'says that it is big endian and is not'
        )
        pixels = whole.index(b'\xe0\x7f\x10\0OW')  # in items of a kind that DCMTK reads elements in
        items = b'\xe0\x7f\x10\0UN\0\0\xff\xff\xff\xff\xfe\xff\0\xe0' + (16).to_bytes(4, 'little')
        self.check(whole[:pixels] + items + b'\x08\0\x08\0' + b'\xf0' * 12 + bytes(40), 'another kind than fragments')
        deflated = self.plain()
        deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        packed = self.bytes_of(deflated)
        self.check(packed[:-30], 'truncated DICOM')
        self.check(packed[:400] + b'\xff' * 60 + packed[460:], 'DICOM')

    def test_headers(self):
        self.check(self.plain(Rows=0), 'without pixels (20 x 0)')
        self.check(self.plain(Rows=65535, Columns=65535), 'truncated DICOM: 1 frames of 65535 x 65535')
        self.check(self.plain(NumberOfFrames=2), 'truncated DICOM: 2 frames')
        self.check(self.plain(NumberOfFrames=2**31 - 1), 'truncated DICOM: 2147483647 frames')
        self.check(self.plain(NumberOfFrames='99999999999'), 'DICOM of 99999999999 frames')
        self.check(self.plain(BitsAllocated=12), 'DICOM of 12 bits')
        self.check(self.plain(BitsStored=17), '17 bits')
        self.check(self.plain(HighBit=16), 'up to bit 16')
        self.check(self.plain(PhotometricInterpretation='CMYK'), 'colours that samc does not read')
        self.check(self.plain(SamplesPerPixel=3), 'colours that samc does not read')
        for kind in ('float', 'double'):
            for colours in ('CMYK', 'RGB', 'PALETTE COLOR'):
                floats = dict(dicom_made.pictures())[kind]
                floats.PhotometricInterpretation = colours
                self.check(floats, 'floats that are no grey picture')
        palette = dict(dicom_made.pictures())['palette']
        for colour in ('Red', 'Green', 'Blue'):
            delattr(palette, f'{colour}PaletteColorLookupTableData')
        self.check(palette, 'palette is in segments')
        for name, words in (('RescaleSlope', 'slope'), ('NumberOfFrames', 'number of frames')):
            ds = self.plain(**{name: '7'})
            self.check(self.bytes_of(ds).replace(b'\2\0007 ', b'\2\0x ', 1), words)

    def test_objects(self):
        report = self.plain(Modality='SR')
        del report.PixelData
        self.check(report, 'without pixels, of modality SR')
        directory = self.plain()
        del directory.PixelData
        directory.SOPClassUID = '1.2.840.10008.1.3.10'
        self.check(directory, 'a DICOMDIR')

    def test_absurd(self):
        """A gigapixel in a kilobyte is refused before it is decoded, and a deep nest before DCMTK has it."""
        ds = dict(dicom_made.pictures())['plain']
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.Rows, ds.Columns = 40000, 40000
        self.check(ds, 'larger than the limit')
        head = self.bytes_of(self.plain()).split(b'\x08\0\x16\0UI')[0]
        nest = b'\x09\0\x10\0SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff' * 50000
        self.check(head + nest, 'sequences in more than 32 others')
        self.check(head + b'\x09\0\x10\0LO\0\0' * 1100000, 'more than 1048576 elements')

    def test_as_dcmtk_reads(self):
        """What DCMTK would take for a sequence, for a length or for a kind is looked at as such before it has it."""
        file = self.plain()
        file.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        implicit = self.bytes_of(file).split(b'\x08\0\x16\0')[0]
        sequence, private = b'\x08\0\x40\x11', b'\x09\0\x01\x10'  # 0008,1140 is one by the dictionary alone
        for tag in (sequence, private):
            nest, left = [], 16 * 200000
            while left > 0:  # of lengths that are written
                nest.append(tag + struct.pack('<I', left - 8) + b'\xfe\xff\0\xe0' + struct.pack('<I', left - 16))
                left -= 16
            self.check(implicit + b''.join(nest), 'sequences in more than 32 others')
        many = b''.join(b'\x09\0' + struct.pack('<HI', i & 0xFFFF, 0) for i in range(1100000))
        items = b'\xfe\xff\0\xe0' + struct.pack('<I', len(many)) + many
        self.check(implicit + sequence + struct.pack('<I', len(items)) + items, 'more than 1048576 elements')
        explicit = self.bytes_of(self.plain()).split(b'\x08\0\x16\0UI')[0] + b'\x08\0\x05\0CS\x0a\0ISO_IR 100'
        huge = struct.pack('<I', 0xF0000000) + b'\0' * 20000
        self.check(explicit + b'\xfe\xff\x01\0OB\0\0' + huge, 'truncated DICOM')
        for kind in (b'ox', b'px', b'lt', b'na'):
            self.check(explicit + b'\x09\0\x01\x10' + kind + b'\0\0' + huge, 'a kind that does not exist')

    def test_short_run_lengths(self):
        """A segment that ends early, which DCMTK lets pass with what was in memory before."""
        ds = dict(dicom_made.pictures())['plain']
        ds.compress(RLELossless, generate_instance_uid=False)
        data = ds.PixelData
        ds.PixelData = data[:-200] + b'\x80' * 180 + data[-20:]
        ds['PixelData'].VR = 'OB'
        self.check(ds, 'damaged DICOM: its run lengths')

    def test_encrypted(self):
        """A secure DICOM file is an envelope of CMS around it."""
        self.check(b'\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80' + b'\0' * 200, 'encrypted')


class Series(Case):
    SHAPE = (7, 6, 5)

    def setUp(self):
        super().setUp()
        self.values = np.random.default_rng(4).integers(-1000, 1000, self.SHAPE).astype(np.int16)

    def info(self, path):
        return json.loads(subprocess.run([VOLUME, 'info', path, '0'], check=True, capture_output=True).stdout)

    def read(self, path, shape=SHAPE):
        out = subprocess.run([VOLUME, 'values', path, '0', '2'], check=True, capture_output=True).stdout
        return np.frombuffer(out, np.float32).reshape(shape)

    def folder_of(self, slices, name='series'):
        dicom_made.write_series(slices, self.path(name))
        return self.path(name)

    def check_volume(self, path):
        about = self.info(path)
        self.assertEqual(about['extent'], [5, 6, 7])
        self.assertEqual((about['window'], about['note'], about['format']), ('window:40,400', '', 'DICOM'))
        want = [[-0.8, 0, 0, 100], [0, -0.7, 0, -50], [0, 0, 2.5, 10], [0, 0, 0, 1]]
        np.testing.assert_allclose(about['affine'], want, atol=1e-6)
        np.testing.assert_array_equal(self.read(path), self.values - 10.0)

    def test_folder_zip_tar(self):
        folder = self.folder_of(dicom_made.series(self.values))
        with open(os.path.join(folder, 'README.txt'), 'w') as file:
            file.write('no DICOM')
        report = dicom_made.made(np.zeros((2, 2), np.uint16), Modality='SR')
        del report.PixelData
        dicom_made.write(report, os.path.join(folder, 'A_report'))
        os.symlink('.', os.path.join(folder, 'A_circle'))  # which is gone round once
        self.check_volume(folder)
        os.remove(os.path.join(folder, 'A_circle'))
        with zipfile.ZipFile(self.path('s.zip'), 'w', zipfile.ZIP_DEFLATED) as archive:
            for name in os.listdir(folder):
                archive.write(os.path.join(folder, name), 'deep/' + name)
        self.check_volume(self.path('s.zip'))
        with tarfile.open(self.path('s.tar.gz'), 'w:gz') as archive:
            archive.add(folder, 'deep')
        self.check_volume(self.path('s.tar.gz'))

    def test_oblique(self):
        """Turned about two axes: the affine leads each voxel where pydicom's attributes do."""
        a, b = np.cos(0.3), np.sin(0.3)
        row, column = np.array([a, b, 0]), np.array([-b * 0.8, a * 0.8, 0.6])
        slices = list(dicom_made.series(self.values, row=row, column=column))
        affine = np.array(self.info(self.folder_of(slices))['affine'])
        for k, ds in enumerate(slices):
            position = np.array(ds.ImagePositionPatient, float)
            for i, j in ((0, 0), (4, 0), (0, 5)):
                lps = position + row * i * 0.8 + column * j * 0.7
                np.testing.assert_allclose(affine @ [i, j, k, 1], [-lps[0], -lps[1], lps[2], 1], atol=1e-3)
        np.testing.assert_array_equal(self.read(self.path('series')), self.values - 10.0)

    def test_tilted_gantry(self):
        about = self.info(self.folder_of(dicom_made.series(self.values, shear=0.5)))
        self.assertIn('tilted by 11.3 degrees', about['note'])
        np.testing.assert_allclose(np.array(about['affine'])[:3, 2], [0, -0.5, 2.5], atol=1e-6)

    def test_frames(self):
        order = [3, 1, 6, 0, 2, 5, 4]
        path = self.write(dicom_made.enhanced(self.values, order=order), 'e.dcm')
        np.testing.assert_array_equal(self.read(path), self.values * 2.0 + np.arange(7)[:, None, None])
        np.testing.assert_allclose(np.array(self.info(path)['affine'])[2], [0, 0, 2.5, 10])
        plain = dicom_made.made(self.values)
        path = self.write(plain, 'p.dcm')
        np.testing.assert_array_equal(self.read(path), self.values)
        rgb = np.stack([self.values % 256] * 3, axis=3).astype(np.uint8)
        colours = dicom_made.made(rgb[0], photometric='RGB')
        colours.NumberOfFrames, colours.PixelData = 7, rgb.tobytes()
        path = self.write(colours, 'c.dcm')
        self.assertEqual(self.info(path)['channels'], 3)
        np.testing.assert_array_equal(self.read(path, (*self.SHAPE, 3)), rgb)

    def refuse(self, slices, *words):
        paths = dicom_made.write_series(slices, self.path('bad'))
        self.refused(
            [VOLUME, 'info', self.path('bad'), '0'],
            [w if isinstance(w, str) else os.path.basename(paths[w]) for w in words],
        )

    def test_refused(self):
        def slices():
            return list(dicom_made.series(self.values))

        def changed(index, **elements):
            own = slices()
            for name, value in elements.items():
                setattr(own[index], name, value)
            return own

        few = slices()
        del few[3]
        with self.subTest('missing'):
            self.refuse(few, '1 missing between', 2, 3, '5 mm, and 2.5 mm elsewhere')
        for name, own, words in (
            ('twice', slices() + [copy.deepcopy(slices()[2])], ('at the same place', 2, 7)),
            ('uneven', changed(6, ImagePositionPatient=['-100', '50', '25.9']), ('3.4 mm apart', 5, 6)),
            ('series', changed(4, SeriesInstanceUID='1.2.3'), ('of another series', 4)),
            (
                'size',
                [*slices()[:-1], next(dicom_made.series(self.values[:1, :4], origin=(-100, 50, 25)))],
                ('of another size', 6),
            ),
            (
                'orientation',
                changed(2, ImageOrientationPatient=['0', '1', '0', '0', '0', '-1']),
                ('of another orientation', 2),
            ),
            ('pixels', changed(5, PixelSpacing=['0.7', '0.9']), ('of another spacing of pixels', 5)),
            ('beside', changed(3, ImagePositionPatient=['-90', '50', '17.5']), ('10 mm beside the line', 3)),
            (
                'zero',
                [ds for ds in dicom_made.series(self.values, PixelSpacing=['0', '0'])],
                ('a spacing of 0 x 0 mm',),
            ),
            (
                'nowhere',
                [ds for ds in dicom_made.series(self.values, ImagePositionPatient=None)],
                ('does not say where it is',),
            ),
            ('one nowhere', changed(4, ImagePositionPatient=None), ('without a place', 4)),
        ):
            with self.subTest(name):
                for left in os.listdir(self.path('bad')):
                    os.remove(self.path('bad/' + left))
                if name == 'size':
                    for ds in own[-1:]:
                        ds.SeriesInstanceUID = own[0].SeriesInstanceUID
                self.refuse(own, *words)
        with self.subTest('NaN'):
            folder = self.folder_of(dicom_made.series(self.values, PixelSpacing=['0.125', '0.125']), 'nan')
            for name in os.listdir(folder):
                with open(os.path.join(folder, name), 'rb') as file:
                    data = file.read()
                with open(os.path.join(folder, name), 'wb') as file:
                    file.write(data.replace(b'0.125\\0.125 ', b'NaN  \\NaN   '))
            self.refused([VOLUME, 'info', folder, '0'], 'does not say where it is')
        with self.subTest('empty'):
            os.mkdir(self.path('empty'))
            run = subprocess.run([VOLUME, 'info', self.path('empty'), '0'], capture_output=True, text=True)
            self.assertEqual(run.returncode, 1)

    def test_absurd(self):
        """Slices that no volume has, before memory is taken for one: 4 billion pixels in a kilobyte, a long row."""
        ds = dicom_made.made(np.zeros((8, 8), np.uint16))
        ds.compress(RLELossless, generate_instance_uid=False)
        ds.Rows = ds.Columns = 65535
        wide = dicom_made.made(np.zeros((1, 40000), np.uint8))
        for name, ds, words in (('big', ds, '65535 x 65535 x 1 voxels'), ('wide', wide, '40000 x 1 x 1 voxels')):
            self.refused([VOLUME, 'info', self.write(ds, name + '.dcm'), '0'], [name + '.dcm', words])

    def test_damaged_slice(self):
        folder = self.folder_of(dicom_made.series(self.values))
        name = sorted(os.listdir(folder))[4]
        with open(os.path.join(folder, name), 'r+b') as file:
            file.truncate(os.path.getsize(os.path.join(folder, name)) - 20)
        self.refused([VOLUME, 'info', folder, '0'], [name, 'truncated DICOM'])


class Commands(Case):
    def test_segment(self):
        """A window is recorded as a scale is, and nothing of the patient is anywhere."""
        yy, xx = np.mgrid[:96, :128]
        body = np.where((yy - 48) ** 2 + (xx - 60) ** 2 < 900, 60, -900).astype(np.int16)
        ds = dicom_made.made(body, Modality='CT', WindowCenter='40', WindowWidth='400')
        path = self.write(ds, 'scan.dcm')
        run = subprocess.run(
            [SAMC, 'segment', path, '--point', '60,48', '-o', self.path('out'), '--window', 'bone', '--format', 'png'],
            capture_output=True,
            text=True,
        )
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertIn('"scale": {"name": "window", "low": -500.0, "high": 1299.0, "samples": "f32"}', run.stdout)
        texts = [run.stdout, run.stderr] + os.listdir(self.path('out'))
        for name in os.listdir(self.path('out')):
            with open(os.path.join(self.path('out'), name), 'rb') as file:
                texts.append(file.read().decode('latin-1'))
        for text in texts:
            for secret in ('Secret', '19010101'):
                self.assertNotIn(secret, text)
        run = subprocess.run([SAMC, 'info'], capture_output=True, text=True)
        self.assertIn('DCMTK 3', run.stdout)


if __name__ == '__main__':
    unittest.main()
