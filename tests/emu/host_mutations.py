#!/usr/bin/env python3
"""Seeded bugs of the CUDA backend's host side (bugs_host.py): each must make its test fail on the emulated device,
under some order of the streams; the sources as they are pass.

    host_mutations.py --build BUILD [--only NAME]

BUILD is a configured and built tree of samc. Only the file with the bug is compiled; the test is linked as BUILD links
it.
"""

import argparse
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def run(command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


def commands(build, target):
    """The compile and link commands that lead to a target, as lists of words."""
    done = run(["ninja", "-C", build, "-t", "commands", target])
    if done.returncode:
        sys.exit(f"{target}: {done.stderr}")
    # Linking is wrapped as ": && COMMAND && :".
    return [shlex.split(re.sub(r"^: && | && :$", "", line)) for line in done.stdout.splitlines() if " -o " in line]


def build_with(build, folder, program, source, text):
    """The program with `source` as `text`; the object comes first, so that an archive's member of the same symbols
    stays out.
    """
    lines = commands(build, program)
    # The file is compiled for the program itself (emu_cuda), or for the library.
    compiles = [c for c in lines if "-c" in c and c[c.index("-c") + 1] == str(ROOT / source)]
    compile_command = next(
        (c for c in compiles if "emu_cuda" in c[c.index("-o") + 1]), compiles[0] if compiles else None
    )
    if compile_command is None:
        sys.exit(f"{source} is not compiled for {program}")
    mutated, target = folder / Path(source).name, folder / "mutated.o"
    mutated.write_text(text)
    original = compile_command[compile_command.index("-o") + 1]
    words = list(compile_command)
    words[words.index("-c") + 1] = mutated
    words[words.index("-o") + 1] = target
    for flag in ("-MD", "-MT", "-MF"):
        if flag in words:
            at = words.index(flag)
            del words[at : at + (1 if flag == "-MD" else 2)]
    done = run([*words, f"-I{(ROOT / source).parent}", "-Wno-error"], cwd=build)
    if done.returncode:
        sys.exit(f"{source} does not compile:\n{done.stderr[:2000]}")
    link = [target if word == original else word for word in lines[-1]]
    if target not in link:
        link.insert(1, target)
    link[link.index("-o") + 1] = folder / "program"
    done = run(link, cwd=build)
    if done.returncode:
        sys.exit(f"{program} does not link:\n{done.stderr[:2000]}")
    return folder / "program"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--only", help="bugs whose name contains this")
    options = parser.parse_args()
    build = options.build.resolve()
    if not shutil.which("ninja") or not (build / "build.ninja").exists():
        print("skipped: needs a build by ninja")
        return 77
    failures = 0
    for name, (source, text, replacement, program) in runpy.run_path(str(HERE / "bugs_host.py"))["BUGS"].items():
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
                done = run([program_file], timeout=900)
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
