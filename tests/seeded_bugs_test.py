#!/usr/bin/env python3
"""Every seeded bug still fits the sources: its texts occur in its files (those of parity and checkops exactly once,
edit after edit).

The bugs themselves are built and run by parity/mutations.py, checkops/mutations.py, emu/mutations.py,
emu/host_mutations.py and scene_mutations.py, which takes minutes; this takes a blink, so an edit that moves a text is
noticed where it is made.
"""

import runpy
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.dont_write_bytecode = True


class SeededBugs(unittest.TestCase):
    def fits(self, name, edits, once):
        texts = {}
        for file, old, new in edits:
            text = texts.setdefault(file, (ROOT / file).read_text())
            with self.subTest(bug=name, file=file, text=old):
                self.assertTrue(old in text, "it does not occur")
                self.assertTrue(not once or text.count(old) == 1, "it occurs more than once")
                self.assertNotEqual(old, new)
            texts[file] = text.replace(old, new)

    def test_parity(self):
        for name, edits in runpy.run_path(str(HERE / "parity" / "mutations.py"))["MUTATIONS"].items():
            self.fits(name, edits, once=True)

    def test_checkops(self):
        lists = runpy.run_path(str(HERE / "checkops" / "mutations.py"))
        for name, (*_, edits) in [*lists["BUGS"].items(), *lists["INT8_BUGS"].items()]:
            self.fits(name, edits, once=True)

    def test_scenes(self):
        for name, (_, *edit) in runpy.run_path(str(HERE / "scene_mutations.py"))["BUGS"].items():
            self.fits(name, [edit], once=True)

    def test_emulation(self):
        lists = [HERE / "emu" / "bugs_host.py", *sorted((ROOT / "kernels").glob("*/bugs.py"))]
        self.assertGreater(len(lists), 10)
        for path in lists:
            for name, bug in runpy.run_path(str(path))["BUGS"].items():
                self.fits(f"{path.relative_to(ROOT)}: {name}", [bug[:3]], once=False)


if __name__ == "__main__":
    unittest.main()
