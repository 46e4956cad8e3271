"""NIfTI against nibabel: what it writes is read with its values and its affine, and the labels that are written come
back to nibabel in place, whichever of the 48 ways the axes lie, in both versions and byte orders, of every type.

    nifti_test.py volume_tool
"""

import gzip
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import unittest

import nibabel
import numpy as np
from nibabel.eulerangles import euler2mat
from nibabel.orientations import aff2axcodes

TOOL = sys.argv.pop(1)
SHAPE = (5, 4, 3)
IMAGES = {1: nibabel.Nifti1Image, 2: nibabel.Nifti2Image}
PAIRS = {1: nibabel.Nifti1Pair, 2: nibabel.Nifti2Pair}


def ask(*arguments, given=b''):
    return subprocess.run([TOOL, *map(str, arguments)], input=given, stdout=subprocess.PIPE, check=True).stdout


def info(path, time=0):
    return json.loads(ask('info', path, time))


def values(path, time=0, axis=2):
    """As nibabel has them: [i, j, k], and channels behind."""
    about = info(path, time)
    n = about['extent']
    height, width = [n[a] for a in (2, 1, 0) if a != axis]
    flat = np.frombuffer(ask('values', path, time, axis), np.float32)
    planes = (
        flat.reshape(n[axis], height, width, -1).squeeze(-1)
        if about['channels'] == 1
        else flat.reshape(n[axis], height, width, 3)
    )
    # [slice, height, width] are [axis, higher, lower] of the other two
    order = [axis, *[a for a in (2, 1, 0) if a != axis]]
    back = [order.index(a) for a in range(3)]
    return planes.transpose(*back, *range(3, planes.ndim))


def write_labels(path, to, labels, *names, time=0):
    count = int(labels.max())
    ask('labels', path, time, to, count, *names, given=labels.astype('<u2').transpose(2, 1, 0).tobytes())


def axis_codes():
    """All 48: RAS, LAS, ..., SPL."""
    for order in itertools.permutations(['LR', 'PA', 'IS']):
        yield from itertools.product(*order)


class Nifti(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def same_place(self, path, image):
        """samc's affine is nibabel's, but for the last bits of the quaternion's arithmetic."""
        np.testing.assert_allclose(np.array(info(path)['affine']), image.affine, rtol=1e-12, atol=1e-12)

    def check(self, path, time=0):
        """Values of every axis, and the place."""
        image = nibabel.load(path)
        data = image.get_fdata(dtype=np.float64) if image.get_data_dtype().names is None else None
        self.same_place(path, image)
        if data is None:  # colours
            raw = np.asanyarray(image.dataobj)
            data = np.stack([raw[c] for c in 'RGB'], axis=-1).astype(np.float64)
        elif data.ndim > 3:
            data = data.reshape(*data.shape[:3], -1, order='F')[..., time]
        while data.ndim < 3:
            data = data[..., None]
        for axis in range(3):
            np.testing.assert_array_equal(values(path, time, axis), data.astype(np.float32))
        return image

    def place_of_labels(self, path, to):
        """Marks voxels and finds them where they were, in millimetres."""
        source = nibabel.load(path)
        shape = (source.shape + (1, 1, 1))[:3]
        labels = np.zeros(shape, np.uint16)
        marks = {(0, 0, 0): 1, (shape[0] - 1, 0, 0): 2, (0, shape[1] - 1, 0): 3, (0, 0, shape[2] - 1): 4}
        for at, label in marks.items():
            labels[at] = label
        write_labels(path, to, labels)
        back = nibabel.load(to)
        read = np.asanyarray(back.dataobj).reshape(shape)
        np.testing.assert_array_equal(read, labels)
        np.testing.assert_array_equal(back.affine, source.affine)
        for at, label in marks.items():
            found = np.argwhere(read == label)
            np.testing.assert_array_equal(found, [at])
            np.testing.assert_array_equal(
                nibabel.affines.apply_affine(back.affine, found[0]), nibabel.affines.apply_affine(source.affine, at)
            )
        for code in ('sform_code', 'qform_code', 'quatern_b', 'quatern_c', 'quatern_d', 'qoffset_x'):
            self.assertEqual(back.header[code], source.header[code], code)
        np.testing.assert_array_equal(back.header['pixdim'][:4], source.header['pixdim'][:4])
        self.assertEqual(back.header['xyzt_units'] & 7, source.header['xyzt_units'] & 7)
        self.assertEqual(back.shape, source.shape[:3])
        self.assertEqual(type(back), IMAGES[1 if source.header.sizeof_hdr == 348 else 2])
        self.assertEqual(back.header['cal_max'], 4)
        self.assertEqual(back.get_data_dtype(), np.uint8)

    def test_all_48_ways(self):
        """With sform, with qform, packed or not, in both versions: the oblique affine turned and mirrored 48 ways."""
        turn = euler2mat(0.3, -0.2, 0.1)
        data = np.arange(60, dtype=np.int16).reshape(SHAPE)
        seen = set()
        for n, codes in enumerate(axis_codes()):
            affine = np.eye(4)
            affine[:3, 3] = [-31, 12.5, 7]
            for axis, code in enumerate(codes):
                affine[:3, axis] = turn[:, 'LPIRAS'.index(code) % 3] * (1 if code in 'RAS' else -1) * (axis + 0.7)
            self.assertEqual(aff2axcodes(affine), codes)
            seen.add(codes)
            version = 1 + n % 2
            image = IMAGES[version](data, affine)
            image.header.set_xyzt_units('mm', 'sec')
            for form in ('sform', 'qform', 'both'):
                image.set_sform(affine, code=0 if form == 'qform' else 2)
                image.set_qform(affine, code=0 if form == 'sform' else 1)
                path = self.path('in.nii' + ('.gz' if (n + len(form)) % 3 == 0 else ''))
                image.to_filename(path)
                self.assertEqual(aff2axcodes(np.array(info(path)['affine'])), codes)
                loaded = self.check(path)
                forms = {'sform': (2, 0), 'qform': (0, 1), 'both': (2, 1)}[form]
                self.assertEqual((loaded.header['sform_code'], loaded.header['qform_code']), forms)
                to = self.path('out.nii' + ('.gz' if n % 3 else ''))
                self.place_of_labels(path, to)
                self.assertEqual(aff2axcodes(nibabel.load(to).affine), codes)
                os.remove(path)
        self.assertEqual(len(seen), 48)

    def test_every_type(self):
        types = ['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'u8', 'i8', 'f4', 'f8']
        random = np.random.default_rng(1)
        for version, order, name in itertools.product((1, 2), '<>', types):
            kind = np.dtype(order + name)
            if kind.kind == 'f':
                data = random.normal(0, 1e4, SHAPE).astype(kind)
                data[0, 0, 0] = np.nan
                data[0, 1, 0] = np.inf
            else:
                most = np.iinfo(kind)
                data = random.integers(most.min, most.max, SHAPE, dtype=kind.newbyteorder('='), endpoint=True)
                data = data.astype(kind)
            header = IMAGES[version].header_class(endianness=order)
            header.set_data_dtype(kind)
            for slope, inter in ((None, None), (0.37, -1024.0)):
                image = IMAGES[version](data, np.diag([1.5, 2, 3, 1]), header)
                # The voxels as they are, and a scale that is for who reads them.
                block = image.header.copy()
                block['vox_offset'] = header.sizeof_hdr + 4
                block.set_slope_inter(slope, inter)
                self.assertEqual(block.endianness, order)
                path = self.path('typed.nii')
                with open(path, 'wb') as file:
                    file.write(block.binaryblock + bytes(4) + data.tobytes(order='F'))
                self.check(path)
                self.place_of_labels(path, self.path('typed_labels.nii.gz'))

    def test_scaled_by_nibabel(self):
        data = np.linspace(-1000, 3000, 60).reshape(SHAPE)
        for name in ('in.nii', 'in.nii.gz'):
            image = nibabel.Nifti1Image(data, np.eye(4))
            image.set_data_dtype(np.int16)
            image.to_filename(self.path(name))
            self.assertNotEqual(nibabel.load(self.path(name)).dataobj.slope, 1)
            self.check(self.path(name))

    def test_colours(self):
        for fields in ('RGB', 'RGBA'):
            kind = np.dtype([(c, 'u1') for c in fields])
            data = np.random.default_rng(2).integers(0, 256, (*SHAPE, len(fields)), dtype=np.uint8)
            image = nibabel.Nifti1Image(data.view(kind)[..., 0], np.eye(4))
            image.to_filename(self.path('colours.nii'))
            self.check(self.path('colours.nii'))

    def test_dimensions(self):
        """Of one to seven, and volumes counted as nibabel lays them out."""
        for shape in ((6,), (6, 5), (6, 5, 4), (6, 5, 4, 3), (6, 5, 4, 1, 3), (3, 4, 5, 2, 3), (2, 3, 4, 1, 1, 2, 2)):
            data = np.arange(np.prod(shape), dtype=np.int16).reshape(shape, order='F')
            path = self.path('shaped.nii.gz')
            nibabel.Nifti1Image(data, np.diag([2, 3, 4, 1])).to_filename(path)
            times = int(np.prod(shape[3:]))
            self.assertEqual(info(path)['times'], times)
            for time in range(times):
                self.check(path, time)
            if len(shape) >= 3:
                self.place_of_labels(path, self.path('labels.nii'))

    def test_pairs(self):
        for version, ends in itertools.product((1, 2), ('', '.gz')):
            data = np.arange(60, dtype=np.float32).reshape(SHAPE)
            path = self.path('pair.img' + ends)
            PAIRS[version](data, np.diag([1, 2, -3, 1])).to_filename(path)
            for name in ('pair.img', 'pair.hdr'):
                self.check(self.path(name + ends))

    def test_without_forms(self):
        """Neither sform nor qform: pixdim, x mirrored, the middle at 0; and pixdims that are zero or negative."""
        for pixdim in ([1.5, 2, 3], [0, 2, 3], [1, -2, 3], [0, 0, 0]):
            image = nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), None)
            path = self.path('bare.nii')
            image.to_filename(path)
            with open(path, 'r+b') as file:
                file.seek(80)
                file.write(np.array(pixdim, '<f4').tobytes())
            with self.assertLogs('nibabel.global', 'INFO'):
                logging.getLogger('nibabel.global').info('it says what it repairs')
                self.check(path)
                self.place_of_labels(path, self.path('labels.nii'))

    def test_nibabels_own_files(self):
        """The real ones in its wheel."""
        folder = os.path.join(os.path.dirname(nibabel.__file__), 'tests', 'data')
        read = 0
        for name in sorted(os.listdir(folder)):
            if not name.endswith(('.nii', '.nii.gz', '.img')):
                continue
            path = os.path.join(folder, name)
            try:
                image = nibabel.load(path)
            except nibabel.filebasedimages.ImageFileError:
                continue
            if not isinstance(image, nibabel.nifti1.Nifti1Pair) or len(image.shape) < 2:
                continue
            if image.header['magic'] == b'' or image.header['datatype'] in (32, 1792):
                continue
            self.check(path)
            read += 1
        self.assertGreaterEqual(read, 3)

    def test_more_than_255_labels(self):
        nibabel.Nifti1Image(np.zeros((20, 20, 2), np.uint8), np.eye(4)).to_filename(self.path('in.nii'))
        labels = np.arange(800, dtype=np.uint16).reshape(20, 20, 2)
        write_labels(self.path('in.nii'), self.path('out.nii.gz'), labels)
        back = nibabel.load(self.path('out.nii.gz'))
        self.assertEqual(back.get_data_dtype(), np.uint16)
        np.testing.assert_array_equal(np.asanyarray(back.dataobj), labels)
        with gzip.open(self.path('out.nii.gz')) as file:
            self.assertEqual(len(file.read()), 352 + 1600)


if __name__ == '__main__':
    unittest.main()
