"""samc volume on a DICOM series, a folder of slices and a zip of it: the DICOM segmentation is read back by highdicom
and checked by dciodvfy, the NIfTI labels by nibabel, and both lie where those of the same volume as NIfTI do.

    volume_series_test.py samc phantom_tool
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile

import highdicom
import nibabel
import numpy as np
from pydicom.uid import generate_uid

import dicom_slices

SAMC, PHANTOM = sys.argv.pop(1), sys.argv.pop(1)
FIRST, COUNT = 17, 7  # slices of the phantom
PROMPTS = ['--object', 'liver', '--box', '29,38,86,104,3', '--object', 'kidney', '--box', '99,82,124,115,3']


class Series(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.dir = cls.folder.name
        whole, truth = cls.path('whole.nii'), cls.path('truth.nii')
        subprocess.run([PHANTOM, whole, truth], check=True)
        cut = nibabel.load(whole).slicer[:, :, FIRST : FIRST + COUNT]
        nibabel.save(cut, cls.path('ct.nii'))
        cls.truth = np.asarray(nibabel.load(truth).dataobj)[:, :, FIRST : FIRST + COUNT]
        cls.affine, values = cut.affine, np.asarray(cut.dataobj)
        uids = [generate_uid() for _ in range(3)]
        os.mkdir(cls.path('series'))
        with zipfile.ZipFile(cls.path('series.zip'), 'w') as archive:
            for name, k in enumerate(np.random.default_rng(1).permutation(COUNT)):
                # In LPS, x and y are the negative.
                x, y, z = (cls.affine @ [0, 0, k, 1])[:3] * [-1, -1, 1]
                pixels = (values[:, :, k].T + 1024).astype(np.uint16)
                orientation, spacing = [1, 0, 0, 0, 1, 0], [2, 2]
                ds = dicom_slices.make_slice('CT', pixels, [x, y, z], orientation, spacing, 4, uids, int(k) + 1)
                file = cls.path('series', f'{name:04}.dcm')
                ds.save_as(file, enforce_file_format=True)
                archive.write(file, f'one/{name:04}.dcm')

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.dir, *names)

    def follow(self, source, output):
        done = subprocess.run(
            [SAMC, 'volume', self.path(source), '--window', 'soft-tissue', *PROMPTS, '-o', self.path(output), '-q'],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        return json.loads(done.stdout)['objects']

    def labels(self, name):
        """NIfTI labels, which have to lie where the volume does."""
        image = nibabel.load(self.path(name))
        np.testing.assert_allclose(image.affine, self.affine, atol=1e-5)
        return np.asarray(image.dataobj)

    def segmented(self, name):
        """Labels of a DICOM segmentation, as array[i, j, k] of the volume, placed by what the file says."""
        done = subprocess.run(['dciodvfy', self.path(name)], capture_output=True, text=True, check=False)
        self.assertNotIn('Error', done.stdout + done.stderr)
        seg = highdicom.seg.segread(self.path(name))
        self.assertEqual([seg.get_segment_description(n).segment_label for n in seg.segment_numbers],
                         ['liver', 'kidney'])  # fmt: skip
        volume = seg.get_volume(combine_segments=True)
        placed, back = np.zeros_like(self.truth), np.linalg.inv(np.diag([-1, -1, 1, 1]) @ self.affine)
        for at in np.argwhere(volume.array > 0):
            voxel = (back @ volume.affine @ [*at, 1])[:3]
            np.testing.assert_allclose(voxel, np.rint(voxel), atol=1e-4)
            placed[tuple(np.rint(voxel).astype(int))] = volume.array[tuple(at)]
        return placed

    def test_in_place(self):
        objects = self.follow('ct.nii', 'ct_labels.nii.gz')
        wanted = self.labels('ct_labels.nii.gz')
        for label, least in ((1, 0.8), (2, 0.9)):  # the cyst in the liver was not asked for
            both = ((wanted == label) & (self.truth == label)).sum()
            self.assertGreater(2 * both / ((wanted == label).sum() + (self.truth == label).sum()), least, label)
        self.assertEqual(self.follow('series', 'a.dcm'), objects)
        np.testing.assert_array_equal(self.segmented('a.dcm'), wanted)
        self.assertEqual(self.follow('series.zip', 'b.dcm'), objects)
        np.testing.assert_array_equal(self.segmented('b.dcm'), wanted)
        self.assertEqual(self.follow('series', 'c.nii.gz'), objects)
        np.testing.assert_array_equal(self.labels('c.nii.gz'), wanted)

    def test_beside_the_slices(self):
        """A segmentation that is put into the series' own folder is no slice of it the next time."""
        inside = os.path.join('series', 'seg.dcm')
        objects = self.follow('series', inside)
        self.assertEqual(self.follow('series', 'd.nii'), objects)


if __name__ == '__main__':
    unittest.main()
