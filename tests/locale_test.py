"""The library in a program that calls setlocale(): what it prints and writes in German, where numbers have commas, is
what it does in "C". The locale is compiled here, from Debian's package `locales`.

    locale_test.py locale_run ROOT
"""

import os
import subprocess
import sys
import tempfile
import unittest

import dicom_bytes

RUN, ROOT = sys.argv.pop(1), sys.argv.pop(1)
TINY = os.path.join(ROOT, 'tests/data/golden/tiny.safetensors')


class Locale(unittest.TestCase):
    def files_of(self, folder):
        found = {}
        for path, _, names in os.walk(folder):
            for name in names:
                with open(os.path.join(path, name), 'rb') as file:
                    found[os.path.relpath(os.path.join(path, name), folder)] = file.read()
        return found

    def test_numbers(self):
        with tempfile.TemporaryDirectory() as folder:
            locales, series = os.path.join(folder, 'locales'), os.path.join(folder, 'series')
            os.mkdir(locales)
            os.mkdir(series)
            german = os.path.join(locales, 'de_DE.UTF-8')
            subprocess.run(['localedef', '--no-archive', '-i', 'de_DE', '-f', 'UTF-8', german], check=True)
            for k in range(3):
                place = f'-10.25\\7.125\\{20.5 + 2.75 * k}', '1\\0\\0\\0\\0.9848\\0.1736', '0.8125\\0.6875'
                with open(os.path.join(series, f'{k}.dcm'), 'wb') as file:
                    file.write(dicom_bytes.dicom(window=('40.5', '400.25'), place=place, number=10 + k))
            said, written = [], []
            for locale, half in (('C', '0.5'), ('de_DE.UTF-8', '0,5')):
                out = os.path.join(folder, locale)
                os.mkdir(out)
                done = subprocess.run(
                    [RUN, locale, TINY, series, out],
                    env={**os.environ, 'LOCPATH': locales},
                    capture_output=True,
                    check=False,
                )
                self.assertEqual((done.returncode, done.stderr), (0, half.encode() + b'\n'), done.stdout)
                said.append(done.stdout.decode())
                written.append(self.files_of(out))
            self.assertEqual(said[0].splitlines(), said[1].splitlines())
            names = set(written[0])
            self.assertEqual(names, set(written[1]))
            whole = {'journal', 'masks.json', 'labels.nii', 'x.safetensors', 'pictures/metadata.csv'}
            self.assertLessEqual(whole, names)
            for name in names - {'labels.dcm'}:  # which has numbers of its own and the time
                self.assertEqual(written[0][name], written[1][name], name)
            for files in written:
                self.assertIn(b'0.8125\\0.6875', files['labels.dcm'])
                self.assertIn(b'7.125', files['labels.dcm'])
            for shown in ('"low": 0.5, "high": 2.25', '7.5', '99.5,1.25'):
                self.assertIn(shown, said[1])


if __name__ == '__main__':
    unittest.main()
