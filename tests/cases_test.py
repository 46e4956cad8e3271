#!/usr/bin/env python3
"""Faults that were found from outside, each as a kind: files that the tests make themselves, and the right answer to
each.

    SAMC=build/release/bin/samc python3 tests/cases_test.py [-k NAME] [-v]

Every tests/cases/cases_*.py is a part: its unittest classes are run, and nothing else has to be registered.
"""

import glob
import importlib
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def suite(wanted):
    sys.path[:0] = [HERE, os.path.join(HERE, "cases")]
    chosen = unittest.TestSuite()
    for path in sorted(glob.glob(os.path.join(HERE, "cases", "cases_*.py"))):
        module = importlib.import_module(os.path.splitext(os.path.basename(path))[0])
        for name, case in sorted(vars(module).items()):
            if isinstance(case, type) and issubclass(case, unittest.TestCase) and case.__module__ == module.__name__:
                for test in unittest.TestLoader().loadTestsFromTestCase(case):
                    if wanted in test.id():
                        chosen.addTest(test)
    return chosen


if __name__ == "__main__":
    wanted = sys.argv[sys.argv.index("-k") + 1] if "-k" in sys.argv else ""
    result = unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(suite(wanted))
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)
