"""DICOM segmentations of CT, MR and multi-frame sources: checked by dciodvfy, read by pydicom and highdicom onto the
source, every voxel where it was; and NIfTI labels of DICOM, where nibabel finds them.

    dicom_seg_test.py volume_tool
"""

import os
import subprocess
import sys
import tempfile
import unittest

import highdicom
import nibabel
import numpy as np
import pydicom
from nibabel.eulerangles import euler2mat

import dicom_slices

TOOL = sys.argv.pop(1)
TURNS = {
    'axial': np.eye(3),
    'oblique': euler2mat(0.4, -0.3, 0.2),
    'sagittal': np.array([[0, 0, -1], [1, 0, 0], [0, -1, 0]], float),
    'coronal': np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float),
}


def draw(shape, count, seed):
    """[k, j, i]: boxes of each label, none on the first slice, the last label on one slice alone."""
    random = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint16)
    for label in range(1, count + 1):
        k = random.integers(1, shape[0]) if label == count else slice(1, 1 + random.integers(2, shape[0]))
        j, i = random.integers(0, shape[1] - 4), random.integers(0, shape[2] - 4)
        labels[k, j : j + 4, i : i + 3] = label
    return labels


def write(source, to, labels, *names):
    return subprocess.run(
        [TOOL, 'labels', source, '0', to, str(len(names) or labels.max()), *names],
        input=labels.astype('<u2').tobytes(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


class Segmentations(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.to = os.path.join(self.folder, 'seg.dcm')

    def written(self, source, labels, *names):
        done = write(source, self.to, labels, *names)
        self.assertEqual((done.returncode, done.stderr, done.stdout), (0, b'', b''))
        self.valid(self.to)
        return highdicom.seg.segread(self.to)

    def valid(self, path):
        """No error and no warning of dciodvfy's but those that are explained here."""
        said = subprocess.run(['dciodvfy', path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        lines = [line for line in said.splitlines() if line.startswith(('Error', 'Warning'))]
        self.assertEqual([line for line in lines if not any(known in line for known in EXPLAINED)], [], said)
        self.assertIn('Segmentation', said)

    def about(self, seg, series):
        """What the object says besides its pixels."""
        first = series[0]
        for name, value in dicom_slices.PATIENT.items():
            if name in ('PatientComments', 'InstitutionName', 'PatientAddress'):
                continue  # no part of the modules that a segmentation has of the patient and the study
            self.assertEqual(str(seg.get(name)), value, name)
        self.assertEqual(seg.StudyInstanceUID, first.StudyInstanceUID)
        self.assertEqual(seg.FrameOfReferenceUID, first.FrameOfReferenceUID)
        self.assertEqual(seg.Modality, 'SEG')
        self.assertEqual(seg.SegmentationType, 'BINARY')
        new = [seg.SOPInstanceUID, seg.SeriesInstanceUID]
        new.append(seg.DimensionOrganizationSequence[0].DimensionOrganizationUID)
        self.assertEqual(len(set(new)), 3)
        for uid in new:
            self.assertRegex(uid, r'^2\.25\.[1-9]\d{20,38}$')
        for segment in seg.SegmentSequence:
            self.assertEqual(segment.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning, 'Anatomical Structure')
            self.assertEqual(segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning, 'Tissue')
            self.assertEqual(segment.SegmentAlgorithmType, 'SEMIAUTOMATIC')
        referenced = seg.ReferencedSeriesSequence
        self.assertEqual(len(referenced), 1)
        self.assertEqual(referenced[0].SeriesInstanceUID, first.SeriesInstanceUID)
        referenced = [item.ReferencedSOPInstanceUID for item in referenced[0].ReferencedInstanceSequence]
        self.assertEqual(sorted(referenced), sorted({ds.SOPInstanceUID for ds in series}))

    def in_place(self, seg, series):
        """Frames lie where the slices that they refer to lie."""
        sources = {ds.SOPInstanceUID: ds for ds in series}
        shared = seg.SharedFunctionalGroupsSequence[0]
        self.assertEqual(shared.PlaneOrientationSequence[0].ImageOrientationPatient, series[0].ImageOrientationPatient)
        self.assertEqual(shared.PixelMeasuresSequence[0].PixelSpacing, series[0].PixelSpacing)
        self.assertEqual(shared.PixelMeasuresSequence[0].SliceThickness, series[0].SliceThickness)
        for frame in seg.PerFrameFunctionalGroupsSequence:
            image = frame.DerivationImageSequence[0].SourceImageSequence[0]
            source = sources[image.ReferencedSOPInstanceUID]
            self.assertEqual(image.ReferencedSOPClassUID, source.SOPClassUID)
            self.assertEqual(frame.PlanePositionSequence[0].ImagePositionPatient, source.ImagePositionPatient)

    def test_series(self):
        for n, (modality, turn) in enumerate((m, t) for m in ('CT', 'MR') for t in TURNS):
            with self.subTest(modality=modality, turn=turn):
                slices = np.random.default_rng(n).integers(0, 2000, (6, 20, 23))
                series = dicom_slices.make_series(modality, slices, TURNS[turn])
                folder = os.path.join(self.folder, f'in{n}')
                dicom_slices.save_series(folder, series)
                labels = draw(slices.shape, 3, n)
                seg = self.written(folder, labels, 'Liver', 'Tumör \\ edge', '')
                self.assertEqual([s.SegmentLabel for s in seg.SegmentSequence], ['Liver', 'Tumör   edge', 'Object 3'])
                self.about(seg, series)
                self.in_place(seg, series)
                read = seg.get_pixels_by_source_instance(
                    [ds.SOPInstanceUID for ds in series], combine_segments=True, assert_missing_frames_are_empty=True
                )
                np.testing.assert_array_equal(read, labels)
                frames = sum(len(np.unique(plane)) - (0 in plane) for plane in labels)
                self.assertEqual(seg.NumberOfFrames, frames)

    def test_multi_frame(self):
        slices = np.random.default_rng(5).integers(0, 2000, (6, 20, 23))
        series = dicom_slices.make_series('CT', slices, TURNS['oblique'])
        uid = pydicom.uid.generate_uid
        whole = highdicom.legacy.LegacyConvertedEnhancedCTImage(series, uid(), 1, uid(), 1)
        path = os.path.join(self.folder, 'enhanced.dcm')
        whole.save_as(path)
        labels = draw(slices.shape, 4, 2)
        # Its frames are in the order of the instance numbers, the other way round.
        seg = self.written(path, labels)
        read = seg.get_pixels_by_source_frame(
            whole.SOPInstanceUID, list(range(6, 0, -1)), combine_segments=True, assert_missing_frames_are_empty=True
        )
        np.testing.assert_array_equal(read, labels)

    def test_real_files(self):
        """pydicom's CT and MR, one slice each."""
        folder = os.path.join(os.path.dirname(pydicom.__file__), 'data', 'test_files')
        for name in ('CT_small.dcm', 'MR_small.dcm', 'MR_small_bigendian.dcm', 'MR_small_RLE.dcm'):
            source = pydicom.dcmread(os.path.join(folder, name))
            labels = np.zeros((1, source.Rows, source.Columns), np.uint16)
            labels[0, 10:20, 5:50] = 1
            labels[0, 30, 2] = 2
            seg = self.written(os.path.join(folder, name), labels)
            read = seg.get_pixels_by_source_instance([source.SOPInstanceUID], combine_segments=True)
            np.testing.assert_array_equal(read, labels)
            self.assertEqual(str(seg.PatientName), str(source.PatientName))

    def test_nothing_labelled(self):
        series = dicom_slices.make_series('CT', np.zeros((3, 16, 16)))
        dicom_slices.save_series(os.path.join(self.folder, 'in'), series)
        labels = np.zeros((3, 16, 16), np.uint16)
        seg = self.written(os.path.join(self.folder, 'in'), labels, 'Liver')
        self.assertEqual(seg.NumberOfFrames, 1)
        self.assertEqual(int(seg.pixel_array.sum()), 0)

    def test_anonymous(self):
        """A source without a patient has references all the same."""
        series = dicom_slices.make_series('MR', np.zeros((3, 16, 16)))
        for ds in series:
            for name in dicom_slices.PATIENT:
                delattr(ds, name)
        dicom_slices.save_series(os.path.join(self.folder, 'in'), series)
        seg = self.written(os.path.join(self.folder, 'in'), draw((3, 16, 16), 1, 1))
        self.assertEqual((seg.PatientID, seg.PatientName), ('', ''))
        self.assertEqual(len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence), 3)

    def test_what_is_missing(self):
        """Named before anything is segmented, and nothing is left."""
        for name in ('SOPInstanceUID', 'StudyInstanceUID'):
            series = dicom_slices.make_series('CT', np.zeros((3, 16, 16)))
            for ds in series:
                delattr(ds, name)
                ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
            folder = os.path.join(self.folder, name)
            dicom_slices.save_series(folder, series)
            done = write(folder, self.to, np.ones((3, 16, 16)))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertEqual(done.stderr.count(b'\n'), 1, done.stderr)
            self.assertFalse(os.path.exists(self.to))

    def test_nifti_of_dicom(self):
        """Labels of a series as NIfTI: nibabel finds each voxel at the place that DICOM gave it."""
        for turn in TURNS:
            slices = np.random.default_rng(9).integers(0, 2000, (6, 20, 23))
            series = dicom_slices.make_series('CT', slices, TURNS[turn])
            folder = os.path.join(self.folder, turn)
            dicom_slices.save_series(folder, series)
            labels = draw(slices.shape, 2, 3)
            to = os.path.join(self.folder, f'{turn}.nii.gz')
            done = write(folder, to, labels)
            self.assertEqual((done.returncode, done.stderr), (0, b''))
            image = nibabel.load(to)
            np.testing.assert_array_equal(np.asanyarray(image.dataobj).transpose(2, 1, 0), labels)
            self.assertEqual((image.header['sform_code'], image.header['qform_code']), (1, 1))
            for k, j, i in np.argwhere(labels > 0)[::7]:
                ds = series[k]
                x = np.array(ds.ImageOrientationPatient[:3], float)
                y = np.array(ds.ImageOrientationPatient[3:], float)
                place = np.array(ds.ImagePositionPatient, float)
                place = (place + x * i * ds.PixelSpacing[1] + y * j * ds.PixelSpacing[0]) * [-1, -1, 1]
                for affine in (image.get_sform(), image.get_qform()):
                    np.testing.assert_allclose(affine @ [i, j, k, 1], [*place, 1], atol=1e-3)


# What dciodvfy says of objects whose source is odd, for the patient's and the study's modules are copies:
EXPLAINED = (
    "<Patient's Weight>",  # 0 in pydicom's CT_small
    'needed to build DICOMDIR - Patient ID',  # without one
    'needed to build DICOMDIR - Study ID',
)

if __name__ == '__main__':
    unittest.main()
