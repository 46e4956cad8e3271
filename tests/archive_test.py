#!/usr/bin/env python3
"""Archives from outside: what goes in, what comes out, and that nothing is lost when a run is killed, refused or out of
space.

    SAMC=build/release/bin/samc python3 tests/archive_test.py quick|full|all [faults|again|units|many] [-k NAME]

"quick" takes seconds; "full" has the thousand images that are killed ten times, every operation of a run struck in
turn, ten thousand images within the memory of a few, a run that meets kills, outages and a hostile folder, and
pycocotools; it has parts, to run them side by side. SAMC_FAULTS names the layer of archive_faults.c; without it what
needs it is skipped.
"""

import sys
import unittest

from archive_formats import Bad, Formats, Inputs
from archive_shards import AllUnitFaults, UnitFaults, UnitFileFaults, UnitMemory, Units
from archive_survival import Again, AllAgain, AllFaults, Faults, Few, Memory, Mixed, Resume, Retry, Thousand

QUICK = (Inputs, Formats, Bad, Resume, Retry, Faults, Again, Few, Units, UnitFaults, UnitFileFaults)
PARTS = {
    "faults": (AllFaults,),
    "again": (AllAgain,),
    "units": (AllUnitFaults, UnitMemory),
    "many": (Thousand, Mixed, Memory),
}
FULL = sum(PARTS.values(), ())
SLOW = ("Formats.test_pycocotools",)  # of the quick ones, which only the full tier runs


def suite(tier, part=None):
    loader, chosen = unittest.TestLoader(), unittest.TestSuite()
    for case in {"quick": QUICK, "full": PARTS.get(part, FULL), "all": QUICK + FULL}[tier]:
        for test in loader.loadTestsFromTestCase(case):
            if tier != "quick" or test.id().split(".", 1)[1] not in SLOW:
                chosen.addTest(test)
    if tier == "full" and part in (None, "many"):
        chosen.addTest(Formats("test_pycocotools"))
    return chosen


if __name__ == "__main__":
    tier = sys.argv[1] if len(sys.argv) > 1 and sys.argv[1] in ("quick", "full", "all") else "all"
    part = sys.argv[2] if tier == "full" and len(sys.argv) > 2 and sys.argv[2] in PARTS else None
    wanted = sys.argv[sys.argv.index("-k") + 1] if "-k" in sys.argv else ""
    tests = unittest.TestSuite(test for test in suite(tier, part) if wanted in test.id())
    result = unittest.TextTestRunner(verbosity=2 if "-v" in sys.argv else 1).run(tests)
    sys.exit(not result.wasSuccessful() or result.testsRun == 0)
