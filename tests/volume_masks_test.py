"""One slice of a volume as the image of samc segment, and masks of whole volumes as run lengths and pictures, against
nibabel's voxels.

    volume_masks_test.py samc phantom_tool ROOT
"""

import json
import os
import subprocess
import sys
import tempfile
import unittest

import nibabel
import numpy as np
from PIL import Image

import dicom_made

SAMC, PHANTOM, ROOT = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
TINY = os.path.join(ROOT, 'tests/data/golden/tiny.safetensors')


def unpack(rle):
    """A mask [h, w] of COCO's compressed run lengths."""
    (height, width), runs, at = rle['size'], [], 0
    text = rle['counts'].encode()
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = text[at] - 48
            value |= (code & 31) << shift
            shift, more, at = shift + 5, code & 32, at + 1
        value -= 1 << shift if code & 16 else 0
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return np.repeat(np.arange(len(runs)) % 2, runs).reshape(width, height).T.astype(bool)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.dir = cls.folder.name
        cls.ct, cls.truth = cls.path('ct.nii'), cls.path('truth.nii')
        subprocess.run([PHANTOM, cls.ct, cls.truth], check=True)
        cls.values = np.asarray(nibabel.load(cls.ct).dataobj).astype(float)
        cls.labels = np.asarray(nibabel.load(cls.truth).dataobj)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def path(cls, *names):
        return os.path.join(cls.dir, *names)

    def samc(self, *arguments):
        done = subprocess.run([SAMC, *map(str, arguments), '-q'], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ''), arguments)
        return json.loads(done.stdout)

    def refused(self, code, says, *arguments):
        done = subprocess.run([SAMC, *map(str, arguments), '-q'], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr.count('\n'), done.stdout), (code, 1, ''), done.stderr)
        self.assertIn(says, done.stderr)


class Slices(Case):
    def segment(self, image, *arguments, out='out'):
        more = ['--model', TINY, '--point', '31,21', '--format', 'png,rle', '-o', self.path(out)]
        return self.samc('segment', image, *more, *arguments)

    def test_every_axis(self):
        """The masks of the picture that the window makes of nibabel's slice."""
        for axis, index in (('k', 20), ('j', 71), ('i', 140), (None, 0)):
            at = 'ijk'.index(axis or 'k')
            values = np.take(self.values, index, at).T  # of what is left the first axis is x
            grey = np.floor(((values - 39.5) / 399 + 0.5) * 255 + 0.5).clip(0, 255).astype(np.uint8)
            Image.fromarray(grey).save(self.path('slice.png'))
            want = self.segment(self.path('slice.png'), out='picture')
            options = ['--axis', axis] if axis else []
            got = self.segment(self.ct, '--slice', index, '--window', 'soft-tissue', *options)
            self.assertEqual((got['axis'], got['slice'], got['size']), (axis or 'k', index, list(grey.shape)))
            self.assertEqual(got['scale']['name'], 'window')
            for number, (one, other) in enumerate(zip(got['masks'], want['masks'])):
                name = self.path('out', f'ct_{axis or "k"}{index:04}_0_{number}.png')
                self.assertEqual(one['files'], {'png': name})
                with open(name, 'rb') as ours, open(other['files']['png'], 'rb') as theirs:
                    self.assertEqual(ours.read(), theirs.read())
                mask = unpack(one['rle'])
                self.assertTrue((mask == (np.asarray(Image.open(name)) == 255)).all())
                self.assertEqual({**one, 'files': 0}, {**other, 'files': 0})

    def test_scale_of_the_volume(self):
        """Without a window: percentiles of what is above 0 in all slices, and not from one number to itself."""
        low, high = np.percentile(self.values[self.values > 0], [0.5, 99.5])
        self.assertLess(low, high)
        for said in (self.segment(self.ct, '--slice', 3), self.segment(self.ct, '--slice', 3, '--window', 'auto')):
            self.assertEqual((said['scale']['low'], said['scale']['high']), (low, high))
        said = self.samc('volume', self.ct, '--mask', self.truth, '-o', self.path('scaled.nii'))
        self.assertEqual((said['scale']['low'], said['scale']['high']), (low, high))

    def test_dicom(self):
        """A slice of a series, in the order of the places, is the file that lies there."""
        values = np.random.default_rng(6).integers(-300, 300, (6, 40, 48)).astype(np.int16)
        series = list(dicom_made.series(values))
        dicom_made.write_series(series, self.path('series'))
        for index in (0, 4):
            one = dicom_made.write(series[index], self.path('one.dcm'))
            want = self.segment(one, '--window', '0,500')
            got = self.segment(self.path('series') + '/', '--slice', index, '--window', '0,500')
            self.assertEqual([m['rle'] for m in got['masks']], [m['rle'] for m in want['masks']])
            self.assertTrue(os.path.exists(self.path('out', f'series_k{index:04}_0_0.png')))
        for name, other in (('1.2.3', '1.2.3'), ('.ct', '.ct'), ('1.2.3//', '1.2.3'), ('1.2.3/.', '1.2.3')):
            if not os.path.exists(self.path(name)):
                dicom_made.write_series(series, self.path(name))
            said = self.segment(self.path(name), '--slice', 0, out='named')
            self.assertEqual(said['masks'][0]['files']['png'], self.path('named', f'{other}_k0000_0_0.png'))
        self.refused(1, 'the last across k is 5', 'segment', self.path('series'), '--slice', 6, '--point', '1,1',
                     '-o', self.path('out'), '--model', TINY)  # fmt: skip

    def test_wrong(self):
        more = ['--point', '31,21', '-o', self.path('none'), '--model', TINY]
        for code, says, image, options in (
            (1, 'the last across k is 39', self.ct, ['--slice', 40]),
            (1, 'the last across i is 159', self.ct, ['--slice', 160, '--axis', 'i']),
            (1, 'there is no volume 1', self.ct, ['--slice', 1, '--volume', 1]),
            (1, 'there is no volume 1200', self.ct, ['--slice', 1, '--volume', 1200]),
            (1, '--slice N takes one of its slices', self.ct, []),
            (1, 'no volume that samc reads', os.path.join(ROOT, 'tools/examples/coffee.jpg'), ['--slice', 0]),
            (2, "not '-1'", self.ct, ['--slice=-1']),
            (2, "not '1.5'", self.ct, ['--slice', '1.5']),
            (2, '--axis and --volume go with --slice', self.ct, ['--axis', 'k']),
            (2, '--slice goes without', self.ct, ['--slice', 1, '--frame', 2]),
            (2, 'is outside the image', self.ct, ['--slice', 1, '--point', '200,3']),
            (2, 'i, j or k', self.ct, ['--slice', 1, '--axis', 'x']),
        ):
            with self.subTest(says=says):
                self.refused(code, says, 'segment', image, *options, *more)
        self.assertFalse(os.path.exists(self.path('none')))


class Masks(Case):
    def check(self, said, axis, pictures=None):
        """What a JSON's masks paint, one over the other, is the labels."""
        at = 'ijk'.index(axis)
        self.assertEqual((said['size'], said['spacing'], said['axis']), ([160, 160, 40], [2, 2, 4], axis))
        painted = np.zeros_like(self.labels)
        for label, one in enumerate(said['objects'], 1):
            self.assertEqual((one['name'], one['label']), (f'label {label}', label))
            slices = [m['slice'] for m in one['masks']]
            there = np.moveaxis(self.labels == label, at, 0).any((1, 2)).nonzero()[0]
            self.assertEqual(slices, there.tolist())
            for mask in one['masks']:
                shape = unpack(mask['rle'])
                y, x = shape.nonzero()
                self.assertEqual(mask['area'], len(x))
                box = [x.min(), y.min(), x.max() - x.min(), y.max() - y.min()]
                self.assertEqual(mask['bbox'], [int(n) for n in box])
                view = np.moveaxis(painted, at, 0)[mask['slice']]
                view[shape.T] = label
                if pictures is not None:
                    self.assertEqual(mask['file'], f'{mask["slice"]:04}_{label}.png')
                    png = np.asarray(Image.open(os.path.join(pictures, mask['file'])))
                    self.assertTrue((png == np.where(shape, 255, 0)).all())
        self.assertTrue((painted == self.labels).all())

    def test_json_and_pictures(self):
        for axis in 'kji':
            line = ['volume', self.ct, '--mask', self.truth, '--axis', axis, '--window', 'soft-tissue', '-o']
            out, folder = self.path(f'{axis}.json'), self.path(f'masks_{axis}') + '/'
            self.assertEqual(self.samc(*line, out)['output'], out)
            with open(out, encoding='utf-8') as file:
                self.check(json.load(file), axis)
            self.samc(*line, folder)
            with open(folder + 'masks.json', encoding='utf-8') as file:
                said = json.load(file)
            self.check(said, axis, folder)
            files = {mask['file'] for one in said['objects'] for mask in one['masks']}
            self.assertEqual(set(os.listdir(folder)), files | {'masks.json'})
        self.assertEqual([n for n in os.listdir(self.dir) if 'journal' in n], [])

    def test_objects(self):
        """A mask is an object's own, also where a later one has the voxel; names are as they were given."""
        out = self.path('two.json')
        whole = ['--object', 'Körper "1"', '--mask', self.truth, '--object', 'b', '--mask', self.truth]
        said = self.samc('volume', self.ct, *whole, '-o', out)
        self.assertEqual([o['voxels'] for o in said['objects']], [0, int((self.labels > 0).sum())])
        with open(out, encoding='utf-8') as file:
            both = json.load(file)['objects']
        self.assertEqual([o['name'] for o in both], ['Körper "1"', 'b'])
        self.assertEqual(both[0]['masks'], both[1]['masks'])

    def test_again(self):
        """Of an earlier run's pictures none stays among the new ones; what is somebody else's does."""
        folder, others = self.path('again') + '/', {'0001_x.png', 'notes.txt', '9999_1.png', '001_1.png'}
        line = ['volume', self.ct, '--window', 'soft-tissue', '-o', folder, '--mask', self.truth]
        self.samc(*line)
        for name in others:
            with open(folder + name, 'wb'):
                pass
        with open(self.path('0001_1.png'), 'wb'):
            pass
        with open(folder + 'masks.json', encoding='utf-8') as file:
            said = json.load(file)
        for name in ('0001_x.png', 'notes.txt', '001_1.png', '../0001_1.png', self.path('0001_1.png'), 5, None):
            said['objects'][0]['masks'].append({'file': name})
        with open(folder + 'masks.json', 'w', encoding='utf-8') as file:
            json.dump(said, file)
        self.samc('volume', self.ct, '--mask', self.truth, '--axis', 'j', '-o', folder)
        with open(folder + 'masks.json', encoding='utf-8') as file:
            files = {mask['file'] for one in json.load(file)['objects'] for mask in one['masks']}
        self.assertEqual(set(os.listdir(folder)), files | {'masks.json'} | others)
        self.assertTrue(os.path.exists(self.path('0001_1.png')))
        for damaged in (b'{"objects": [{"masks": [{"file": "', b'[[]]'):
            with open(folder + 'masks.json', 'wb') as file:
                file.write(damaged)
            self.samc(*line)
            with open(folder + 'masks.json', encoding='utf-8') as file:
                self.check(json.load(file), 'k', folder)

    def test_auto(self):
        """samc auto links masks, and writes them so, too: those of its labels."""
        line = ['auto', self.ct, '--points-per-side', 4, '--model', TINY, '--window', 'soft-tissue', '--axis', 'k']
        line += ['--pred-iou-thresh', 0, '--stability-score-thresh', 0, '-o']
        self.samc(*line, self.path('all.nii'))
        self.samc(*line, self.path('all.json'))
        labels = np.asarray(nibabel.load(self.path('all.nii')).dataobj)
        painted = np.zeros_like(labels)
        with open(self.path('all.json'), encoding='utf-8') as file:
            for one in json.load(file)['objects']:
                for mask in one['masks']:
                    painted[:, :, mask['slice']][unpack(mask['rle']).T] = one['label']
        self.assertTrue((painted == labels).all())
        self.assertGreater(labels.max(), 0)

    def test_wrong(self):
        line = ['volume', self.ct, '--mask', self.truth, '-o']
        os.mkdir(self.path('there'))
        with open(self.path('file'), 'w', encoding='utf-8'):
            pass
        self.refused(1, 'for masks as pictures in it', *line, self.path('there'))
        self.refused(1, 'is no folder', *line, self.path('file') + '/')
        for out in ('x/y/', 'x/y.json', 'x/y.nii', 'file/y/', 'file/y.json'):
            self.refused(1, f'there is no folder {self.path(out[:out.index("/")])}/', *line, self.path(out))
            self.refused(1, 'there is no folder', 'auto', self.ct, '-o', self.path(out))
        self.assertFalse(os.path.exists(self.path('x')))
        self.refused(1, 'masks as .json or into a folder', *line, self.path('x.png'))
        self.assertEqual(os.listdir(self.path('there')), [])


if __name__ == '__main__':
    unittest.main()
