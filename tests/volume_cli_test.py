"""samc volume, and samc auto on a volume, from the command line: labels of the phantom in place, what is wrong said in
one line with nothing written, and a run that is killed goes on to the same bytes."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

SAMC, PHANTOM = os.environ['SAMC'], os.environ['PHANTOM_TOOL']
HEADER = 352
OBJECTS = ['--object', 'liver', '--box', '29,38,86,104,20', '--object', 'kidney', '--box', '99,82,124,115,20']


class Volume(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.dir = cls.folder.name
        cls.ct, cls.truth = os.path.join(cls.dir, 'ct.nii'), os.path.join(cls.dir, 'truth.nii')
        subprocess.run([PHANTOM, cls.ct, cls.truth], check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_samc(self, *arguments, command='volume'):
        return subprocess.run([SAMC, command, *arguments], capture_output=True, text=True, check=False)

    def path(self, name):
        return os.path.join(self.dir, name)

    def test_wrong(self):
        point = ['--point', '54,72,20']
        small = self.path('small.nii')
        with open(self.ct, 'rb') as file:
            header = bytearray(file.read(HEADER))
        header[42:44] = (80).to_bytes(2, 'little')
        with open(small, 'wb') as file:
            file.write(header + bytes(80 * 160 * 40 * 2))
        for code, says, arguments in (
            (2, 'no prompt given', []),
            (2, "not '1,2'", ['--point', '1,2']),
            (2, '--axis is given twice', ['--axis', 'i', '--axis', 'j', *point]),
            (2, 'given twice', ['--object', 'a', *point, '--object', 'a', *point]),
            (2, 'prompts before the first --object', [*point, '--object', 'a', *point]),
            (1, 'is outside', ['--point', '500,1,1']),
            (1, 'is outside the volume', ['--box', '1,1,5,5,99']),
            (1, 'has no inside', ['--box', '9,9,5,5,3']),
            (1, 'its corners are on slices 3 and 5', ['--box', '1,1,3,5,5,5']),
            (1, "'b' has no prompt on any slice", ['--object', 'a', *point, '--object', 'b']),
            (1, 'it has 80 x 160 x 40 voxels', ['--mask', small]),
            (2, "not '0x36,72,20'", ['--point', '0x36,72,20']),
            (1, 'is no UTF-8', ['--object', b'\xff', *point]),
            (1, 'there is no volume 1', ['--volume', '1', *point]),
        ):
            with self.subTest(says=says):
                output = self.path('wrong.nii')
                done = self.run_samc(self.ct, *arguments, '-o', output, '-q')
                self.assertEqual((done.returncode, done.stderr.count('\n')), (code, 1), done.stderr)
                self.assertIn(says, done.stderr)
                self.assertEqual([n for n in os.listdir(self.dir) if n.startswith('wrong')], [])
        done = self.run_samc(self.ct, *point, '-o', self.path('wrong.png'), '-q')
        self.assertEqual((done.returncode, done.stderr.count('\n')), (1, 1), done.stderr)

    def test_what_is_read_is_not_overwritten(self):
        point = ['--point', '54,72,20']
        own, link, folder = self.path('own.nii'), self.path('link.nii'), self.path('folder.nii')
        shutil.copy(self.truth, own)
        os.symlink(own, link)
        os.mkdir(folder)
        for says, arguments in (
            ('labels would overwrite it', [own, *point, '-o', own]),
            ('labels would overwrite it', [own, *point, '-o', link]),
            ('labels would overwrite it', [self.ct, '--mask', own, '-o', own]),
            ('is a folder', [self.ct, *point, '-o', folder]),
        ):
            with self.subTest(arguments=arguments):
                done = self.run_samc(*arguments, '-q')
                self.assertEqual((done.returncode, done.stderr.count('\n')), (1, 1), done.stderr)
                self.assertIn(says, done.stderr)
        with open(own, 'rb') as ours, open(self.truth, 'rb') as theirs:
            self.assertEqual(ours.read(), theirs.read())
        self.assertEqual([n for n in os.listdir(self.dir) if n.endswith('journal')], [])

    def test_masks_stay_as_they_are(self):
        output = self.path('same.nii')
        done = self.run_samc(self.ct, '--mask', self.truth, '-o', output, '-q')
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(output, 'rb') as ours, open(self.truth, 'rb') as theirs:
            truth = theirs.read()[HEADER:]
            self.assertEqual(ours.read()[-len(truth) :], truth)
        self.assertEqual([o['name'] for o in json.loads(done.stdout)['objects']], [f'label {n}' for n in range(1, 6)])

    def test_millimetres(self):
        """The phantom's affine: x = 160 - 2 i, y = 150 - 2 j, z = 4 k - 80."""
        reports = []
        boxes = ['--box', '99,82,20,124,115,20'], ['--mm', '--box=-38,-14,0,-88,-80,0']
        for name, box in zip(('voxel.nii', 'mm.nii'), boxes):
            done = self.run_samc(self.ct, *box, '-o', self.path(name), '-q')
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(self.path(name), 'rb') as file:
                reports.append((json.loads(done.stdout)['objects'], file.read()))
        self.assertEqual(*reports)

    def test_killed_and_resumed(self):
        """Killed when a few slices are done, or, where it was faster than that, at its end: the same bytes."""
        whole, part = self.path('whole.nii'), self.path('part.nii')
        journal = part + '.samc-journal'
        self.assertEqual(self.run_samc(self.ct, *OBJECTS, '-o', whole, '-q').returncode, 0)
        for lines in (1, 12):
            line = [SAMC, 'volume', self.ct, *OBJECTS, '-o', part, '-q', '--resume']
            with subprocess.Popen(line, stdout=subprocess.DEVNULL) as run:
                while run.poll() is None:
                    try:
                        with open(journal, 'rb') as file:
                            if file.read().count(b'\n') > lines:
                                run.send_signal(signal.SIGKILL)
                    except FileNotFoundError:
                        pass
        if os.path.exists(journal):
            refused = self.run_samc(self.ct, *OBJECTS, '-o', part, '-q')
            self.assertEqual(refused.returncode, 1)
            self.assertIn('--resume goes on with it', refused.stderr)
            other = self.run_samc(self.ct, '--point', '54,72,20', '-o', part, '-q', '--resume')
            self.assertIn('another volume, model, prompts or options', other.stderr)
            self.assertNotIn('--resume goes on', other.stderr)
        self.assertEqual(self.run_samc(self.ct, *OBJECTS, '-o', part, '-q', '--resume').returncode, 0)
        with open(whole, 'rb') as one, open(part, 'rb') as two:
            self.assertEqual(one.read(), two.read())
        self.assertFalse(os.path.exists(journal))

    def test_auto(self):
        output = self.path('all.nii.gz')
        arguments = ['--axis', 'k', '--points-per-side', '8', '--min-length', '4', '-o', output, '-q']
        done = self.run_samc(self.ct, *arguments, command='auto')
        self.assertEqual(done.returncode, 0, done.stderr)
        objects = json.loads(done.stdout)['objects']
        self.assertGreater(len(objects), 1)
        self.assertTrue(all(o['last'] - o['first'] >= 3 for o in objects))
        self.assertTrue(os.path.exists(output))
        wrong = self.run_samc(self.ct, *arguments, '--format', 'coco', command='auto')
        self.assertEqual((wrong.returncode, wrong.stderr.count('\n')), (2, 1), wrong.stderr)


if __name__ == '__main__':
    unittest.main()
