"""No tag of a patient leaves samc: DICOM files with a name, a number, dates, places and texts that can be told again go
through every command, good ones and damaged ones, and none of it is in what is printed, written or served, nor in the
names of files. The one exception is a DICOM segmentation, which has the patient inside, as its standard wants it.

    privacy_test.py SAMC ROOT
"""

import gzip
import json
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

import nibabel
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

import dicom_slices

SAMC, ROOT = Path(sys.argv.pop(1)).resolve(), Path(sys.argv.pop(1)).resolve()
sys.path.insert(0, str(ROOT / 'tests/serve'))
from harness import Server  # noqa: E402

TINY = ROOT / 'tests/data/golden/tiny.safetensors'
PRIVATE = 'privately held 4711'


def plants():
    """What must not be seen, as bytes in small letters."""
    texts = {PRIVATE, 'nested only 0815'}
    for name, value in dicom_slices.PATIENT.items():
        if name not in ('PatientSex', 'PatientAge'):
            texts.update([value, *value.split('^')])
    texts.update(['1937-06-04', 'Zwölfling Ölrich'])
    both = [text.lower().encode(code) for text in texts for code in ('utf-8', 'latin-1')]
    # A letter that an encoder may have replaced does not hide the rest.
    return sorted(set(both) | {b'lfling', b'lrich'})


PLANTS = plants()


def found(data):
    low = data.lower() if data.isascii() else data.lower() + data.decode('utf-8', 'replace').lower().encode()
    return [plant for plant in PLANTS if plant in low]


def planted(modality='CT', count=3):
    random = np.random.default_rng(4)
    series = dicom_slices.make_series(modality, random.integers(0, 2000, (count, 24, 32)))
    for ds in series:
        block = ds.private_block(0x0011, 'samc test', create=True)
        block.add_new(1, 'LO', PRIVATE)
        nested = Dataset()
        nested.ScheduledProcedureStepDescription = 'nested only 0815'
        ds.RequestAttributesSequence = [nested]
        ds.InstitutionAddress = dicom_slices.PATIENT['PatientAddress']
        ds.OperatorsName = dicom_slices.PATIENT['PatientName']
        ds.ImageComments = dicom_slices.PATIENT['PatientComments']
    return series


def damage(whole):
    """Names and bytes of files that are wrong in ways of their own, all behind the patient's tags or within them."""
    patient = whole.index(b'PID-9381772')
    rows = whole.index(struct.pack('<HH', 0x28, 0x10) + b'US')
    pixels = whole.index(struct.pack('<HH', 0x7FE0, 0x10) + b'OW')

    def put(at, data):
        return whole[:at] + data + whole[at + len(data) :]

    yield 'cut_in_patient', whole[: patient + 4]
    yield 'cut_in_pixels', whole[: pixels + 100]
    yield 'cut_before_pixels', whole[:pixels]
    yield 'long_patient', put(patient - 2, b'\xff\xff')
    yield 'bad_representation', put(patient - 4, b'??')
    yield 'no_rows', put(rows + 8, b'\0\0')
    yield 'many_rows', put(rows + 8, b'\xff\xff')
    yield 'syntax', whole.replace(b'1.2.840.10008.1.2.1\0', b'1.2.840.10008.1.2.9\0')
    yield 'big_endian', whole.replace(b'1.2.840.10008.1.2.1\0', b'1.2.840.10008.1.2.2\0')
    yield 'implicit', whole.replace(b'1.2.840.10008.1.2.1\0', b'1.2.840.10008.1.2\0\0\0')


class Privacy(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.made = tempfile.TemporaryDirectory()
        cls.input = Path(cls.made.name, 'in')
        cls.series = planted()
        dicom_slices.save_series(cls.input, cls.series)
        whole = sorted(cls.input.iterdir())[0].read_bytes()
        cls.damaged = {}
        for name, data in damage(whole):
            cls.damaged[name] = Path(cls.made.name, f'{name}.dcm')
            cls.damaged[name].write_bytes(data)
        jpeg = cls.series[0].copy()
        jpeg.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
        jpeg.PixelData = encapsulate([b'\xff\xd8' + dicom_slices.PATIENT['PatientName'].encode() + b'\xff\xd9'])
        jpeg['PixelData'].VR = 'OB'
        cls.damaged['jpeg'] = Path(cls.made.name, 'jpeg.dcm')
        jpeg.save_as(cls.damaged['jpeg'], enforce_file_format=True)
        nameless = cls.series[0].copy()
        del nameless.PixelData
        cls.damaged['no_pixels'] = Path(cls.made.name, 'no_pixels.dcm')
        nameless.save_as(cls.damaged['no_pixels'], enforce_file_format=True)

    @classmethod
    def tearDownClass(cls):
        cls.made.cleanup()

    def setUp(self):
        self.out = Path(tempfile.mkdtemp(dir=self.made.name))
        self.said = []

    def run_samc(self, *arguments, codes=(0,)):
        done = subprocess.run(
            [SAMC, *map(str, arguments)], cwd=self.out, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.said += [done.stdout, done.stderr]
        self.assertIn(done.returncode, codes, done.stderr.decode(errors='replace'))
        return done

    def clean(self, *but):
        """Nothing in what was said, in names and contents of files; returns how many files were looked at."""
        looked = 0
        for text in self.said:
            self.assertEqual(found(text), [], text[-2000:])
        for folder, _, names in os.walk(self.out):
            self.assertEqual(found(os.fsencode(folder)), [])
            for name in names:
                path = Path(folder, name)
                data = path.read_bytes()
                if data[:2] == b'\x1f\x8b':
                    data = gzip.decompress(data)
                self.assertEqual(found(os.fsencode(name)), [])
                if path not in but:
                    self.assertEqual(found(data), [], path)
                looked += 1
        return looked

    def test_the_test(self):
        """What is looked for is there to be found."""
        data = sorted(self.input.iterdir())[0].read_bytes()
        self.assertGreaterEqual(len(found(data)), 14)
        self.assertEqual(found(json.dumps({'image': 'Verdacht auf Wurzelholz'}).encode()), [b'verdacht auf wurzelholz'])
        self.assertEqual(found('ZWÖLFLING'.encode()), ['zwölfling'.encode(), b'lfling'][::-1])

    def test_segment(self):
        path = sorted(self.input.iterdir())[0]
        for window in ([], ['--window', 'lung']):
            self.run_samc('segment', path, '--model', TINY, '--point', '9,9', '--format', 'png,overlay,cutout,npy,rle',
                          '-o', 'segment', '--logits', 'logits.npy', *window)  # fmt: skip
            self.run_samc('embed', path, '--model', TINY, '-o', 'embedding.safetensors', codes=(0, 2))
        self.assertGreaterEqual(self.clean(), 5)

    def test_auto(self):
        archive = Path(self.made.name, 'in.zip')
        with zipfile.ZipFile(archive, 'w') as file:
            for n, path in enumerate(sorted(self.input.iterdir())):
                file.write(path, f'{n}.dcm')
        grid = ['--points-per-side', '2', '--model', TINY, '--pred-iou-thresh', '0', '--stability-score-thresh', '0']
        for n, source in enumerate((self.input, archive)):
            self.run_samc('auto', source, *grid, '-o', f'out{n}', '--format', 'rle,png,overlay,jsonl,coco', '--stats',
                          f'stats{n}.json')  # fmt: skip
        self.assertGreaterEqual(self.clean(), 10)

    def test_damaged(self):
        refused = 0
        for path in self.damaged.values():
            done = self.run_samc('segment', path, '--model', TINY, '--point', '9,9', '-o', 'out', codes=(0, 1, 2))
            refused += done.returncode != 0
            if done.returncode != 0:
                self.assertLessEqual(done.stderr.count(b'\n'), 1, done.stderr)
        self.assertGreaterEqual(refused, 8)
        folder = Path(self.made.name, 'damaged')
        folder.mkdir(exist_ok=True)
        for path in self.damaged.values():
            shutil.copy(path, folder)
        self.run_samc('auto', folder, '--points-per-side', '1', '--model', TINY, '-o', 'auto', codes=(0, 3))
        self.assertIn('errors.jsonl', os.listdir(self.out / 'auto'))
        self.clean()

    def test_volume(self):
        archive = Path(self.made.name, 'volume.zip')
        with zipfile.ZipFile(archive, 'w') as file:
            for n, path in enumerate(sorted(self.input.iterdir())):
                file.write(path, f'{n}.dcm')
        how = ['--model', TINY, '--object', 'thing', '--point', '9,9,1']
        for n, source in enumerate((self.input, archive)):
            self.run_samc('volume', source, *how, '-o', f'{n}.nii.gz')
            self.run_samc('volume', source, *how, '--mm', '-o', 'no.nii', codes=(1, 2))  # the point is outside
        self.run_samc('volume', self.input, *how, '-o', 'seg.dcm')
        segmentation = self.out / 'seg.dcm'
        self.assertIn(b'pid-9381772', found(segmentation.read_bytes()))
        self.assertEqual(self.clean(segmentation), 3)

    def test_killed_volume(self):
        """What a run leaves that is killed in the middle, by a limit on the size of files that its journal comes to:
        the journal, and whatever it wrote beside it or into TMPDIR."""
        many = Path(self.made.name, 'many')
        dicom_slices.save_series(many, planted(count=40))
        how = ['volume', many, '--model', TINY, '--object', 'thing', '--point', '9,9,20', '--least-iou', '0']
        how += ['--least-likeness', '0', '--most-growth', '0', '--resume', '-o', 'killed.nii.gz']
        journal = self.out / 'killed.nii.gz.samc-journal'

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # which would be a file here, where cores are kept

        done = subprocess.run(
            [SAMC, *map(str, how)], cwd=self.out, env={**os.environ, 'TMPDIR': str(self.out)}, capture_output=True,
            preexec_fn=limit,
        )  # fmt: skip
        self.said += [done.stdout, done.stderr]
        self.assertNotEqual(done.returncode, 0)
        self.assertGreaterEqual(journal.read_bytes().count(b'\n'), 3)
        self.assertGreaterEqual(self.clean(), 1)
        self.run_samc(*how)
        self.assertEqual(os.listdir(self.out), ['killed.nii.gz'])
        self.assertEqual(self.clean(), 1)

    def test_damaged_volumes(self):
        mixed, gap = Path(self.made.name, 'mixed'), Path(self.made.name, 'gap')
        dicom_slices.save_series(mixed, planted('CT') + planted('MR'))
        dicom_slices.save_series(mixed, planted('MR', 4)[1:])  # over some of them
        series = planted('CT', 7)
        dicom_slices.save_series(gap, series[:3] + series[5:])
        everything = Path(self.made.name, 'everything')
        dicom_slices.save_series(everything, self.series)
        for path in self.damaged.values():
            shutil.copy(path, everything)
        failed = 0
        for path in (mixed, gap, everything, *self.damaged.values()):
            done = self.run_samc('volume', path, '--model', TINY, '--point', '9,9,0', '-o', 'x.nii', codes=(0, 1, 2))
            failed += done.returncode != 0
            errors = [line for line in done.stderr.splitlines() if line.startswith(b'samc: ')]
            self.assertEqual(len(errors), int(done.returncode != 0), done.stderr)
        self.assertGreaterEqual(failed, 10)
        self.clean()

    def test_nifti(self):
        """Texts of a header, and DICOM within an extension of it."""
        image = nibabel.Nifti1Image(np.random.default_rng(1).integers(0, 99, (32, 24, 3), np.uint8), np.eye(4))
        for field in ('descrip', 'aux_file', 'db_name', 'intent_name'):
            image.header[field] = dicom_slices.PATIENT['PatientID']
        nested = Dataset()
        nested.PatientName = 'Qvist^Yngve'
        image.header.extensions.append(nibabel.nifti1.Nifti1DicomExtension(2, nested))
        for name in ('header.nii', 'header.nii.gz'):
            path = Path(self.made.name, name)
            image.to_filename(path)
            whole = path.read_bytes()
            if name.endswith('.nii'):
                self.assertEqual(found(whole), [b'pid-9381772', b'qvist', b'qvist^yngve', b'yngve'])
            cut = Path(self.made.name, 'cut_' + name)
            cut.write_bytes(whole[: len(whole) * 2 // 3])
            self.run_samc('volume', path, '--model', TINY, '--point', '9,9,1', '-o', 'labels_' + name)
            self.run_samc('volume', cut, '--model', TINY, '--point', '9,9,1', '-o', 'none.nii', codes=(1,))
        self.assertEqual(self.clean(), 2)

    def test_serve(self):
        with Server(SAMC, model=TINY) as server:
            ids = []
            for path in (*sorted(self.input.iterdir()), *self.damaged.values()):
                status, headers, answer = server.ask('POST', '/v1/images', path.read_bytes())
                self.said += [str(headers).encode(), json.dumps(answer, ensure_ascii=False).encode()]
                if status == 201:
                    ids.append(answer['id'])
            self.assertGreaterEqual(len(ids), 3)
            for image in ids:
                for question in ({'points': [[5, 5]], 'labels': [1]}, {'points': []}):
                    question['format'] = 'rle'
                    answer = server.ask('POST', f'/v1/images/{image}/predict', question)
                    self.said.append(json.dumps(answer[2], ensure_ascii=False, default=repr).encode())
                for path in (f'/v1/images/{image}', f'/v1/images/{image}/pixels'):
                    answer = server.ask('GET', path)
                    self.said.append(answer[2] if isinstance(answer[2], bytes) else json.dumps(answer[2]).encode())
            for path in ('/metrics', '/v1/model', '/v1/images', '/'):
                answer = server.ask('GET', path)
                self.said.append(answer[2] if isinstance(answer[2], bytes) else json.dumps(answer[2]).encode())
            server.process.terminate()
            self.said += [text.encode() for text in server.process.communicate(timeout=300)]
            self.said += [note.encode() for note in server.notes]
        self.clean()


if __name__ == '__main__':
    unittest.main()
