"""The command line of the installed package: python -m samc, and the script samc."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from ._native import PACKAGE, library_folder


def main() -> NoReturn:
    """Becomes the C program."""
    for program in (PACKAGE / "native" / "bin" / "samc", library_folder() / "bin" / "samc"):
        if program.exists():
            os.execv(str(program), ["samc", *sys.argv[1:]])
    sys.exit(f"samc: {PACKAGE / 'native' / 'bin' / 'samc'} is missing")


if __name__ == "__main__":
    main()
