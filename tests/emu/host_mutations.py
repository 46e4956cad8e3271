#!/usr/bin/env python3
"""Seeded bugs of the CUDA backend's host side (bugs_host.py): each must make its test fail on the emulated device,
under some order of the streams; the sources as they are pass.

    host_mutations.py --build BUILD [--only NAME]

BUILD is a configured and built tree of samc. Only the file with the bug is compiled; the test is linked as BUILD links
it.
"""

import argparse
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from seeded import Build, run


def build_with(build, folder, program, source, text):
    mutated, target = folder / Path(source).name, folder / "mutated.o"
    mutated.write_text(text)
    beside = [f"-I{(ROOT / source).parent}"]
    # The file is compiled for the program itself (emu_cuda), or for the library.
    original = build.compile(program, ROOT / source, target, mutated, last=beside, for_object="emu_cuda")
    return build.link(program, folder / "program", {original: target})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--only", help="bugs whose name contains this")
    options = parser.parse_args()
    build = Build(options.build)
    if not build.usable:
        print("skipped: needs a build by ninja")
        return 77
    failures = 0
    bugs = runpy.run_path(str(HERE / "bugs_host.py"))["BUGS"]
    for name, (source, text, replacement, program, *arguments) in bugs.items():
        if options.only and options.only not in name:
            continue
        content = (ROOT / source).read_text()
        if content.count(text) == 0:
            print(f"FAIL {name}: its text is no longer in {source}")
            failures += 1
            continue
        with tempfile.TemporaryDirectory() as temporary:
            program_file = build_with(build, Path(temporary), program, source, content.replace(text, replacement))
            try:
                done = run([program_file, *arguments], timeout=900)
                said = (done.stdout + done.stderr).strip().splitlines()
                found = done.returncode != 0
                what = next(
                    (line for line in said if "FAILED" in line or "ERROR" in line),
                    said[0] if said else f"exit code {done.returncode}",
                )
            except subprocess.TimeoutExpired:
                found, what = True, "does not end"
        failures += not found
        print(f"{'ok  ' if found else 'FAIL'} {name}: {what if found else 'not found by ' + program}", flush=True)
    print(f"{failures} failures" if failures else "every bug was caught")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
