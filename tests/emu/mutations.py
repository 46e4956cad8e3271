#!/usr/bin/env python3
"""Seeded bugs: each must be caught by at least one mode of the emulation, and the kernels as they are must pass in all
of them.

    mutations.py --build BUILD [--kernel X] [--only NAME] [--few N] [--accumulate CORE] [--sanitizers]

BUILD is a configured and built tree of samc; objects and libraries that a bug does not touch are taken from it. Modes:
the host route under forward and reverse order with late and early copies, on tensor cores that add in each way of
tensor_core.h in turn, or in one way with --accumulate nearest, sm80 or sm90; the translated PTX (where nvcc is) for the
bug that only it can show; ThreadSanitizer and AddressSanitizer with --sanitizers. Prints by which mode each bug was
caught, and by how much it went beyond the gate where that is what caught it.

The bugs of kernels/x/cuda.cu are in kernels/x/bugs.py: name -> (file, text, replacement[, only]), where `only` names
what alone can show it: "ptx" (the translated PTX), "full" (SAM's own shapes), "random" (threads in random order),
"sanitizer" (ThreadSanitizer).
"""

import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INCLUDE = [f"-I{ROOT}", f"-I{ROOT / 'runtime'}", f"-I{HERE}"]
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-ffp-contract=off", "-D_GNU_SOURCE"]
MODES = [
    ("forward", "late", "nearest"),
    ("reverse", "late", "sm80"),
    ("forward", "early", "sm90"),
    ("reverse", "early", "sm80"),
]


def run(command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


class Builder:
    def __init__(self, build, folder, compiler, nvcc):
        self.build, self.folder, self.compiler, self.nvcc = build, folder, compiler, nvcc
        self.cache = {}

    def compile(self, source, key, flags):
        target = self.folder / f"{key}.o"
        done = run([self.compiler, *FLAGS, *flags, "-c", source, "-o", target])
        if done.returncode:
            sys.exit(f"{key} does not compile:\n{done.stderr[:2000]}")
        return target

    def runtime(self, sanitizer):
        """The parts that are the same for every kernel; compiled once for each sanitizer."""
        if sanitizer not in self.cache:
            define = {"": [], "address": ["-DSAMC_EMU_ASAN"], "thread": ["-DSAMC_EMU_TSAN"]}[sanitizer]
            self.cache[sanitizer] = [
                self.compile(HERE / f"{name}.cc", f"runtime_{sanitizer}_{name}", ["-O2", *INCLUDE, *define])
                for name in ("emu", "tensor_core", "warp", "ptx", "emu_test", "emu_main")
            ]
        return self.cache[sanitizer]

    def check_of(self, kernel):
        if kernel not in self.cache:
            self.cache[kernel] = self.compile(HERE / f"emu_{kernel}.cc", f"check_{kernel}", ["-O2", *INCLUDE])
        return self.cache[kernel]

    def program(self, sources, kernel, ptx, sanitizer):
        """emu_test with one kernel, from the folder `sources`."""
        include = [f"-I{sources}", *INCLUDE]
        instrument = [f"-fsanitize={sanitizer}", "-g1"] if sanitizer else []
        source = sources / "kernels" / kernel / "cuda.cu"
        define = ["-DSAMC_EMU_PTX"] if ptx else []
        objects = [
            *self.runtime(sanitizer),
            self.check_of(kernel),
            self.compile(source, f"kernel_{kernel}", ["-O1", *include, *define, *instrument, "-x", "c++"]),
        ]
        if ptx:
            base = self.folder / kernel
            done = run(
                [
                    self.nvcc,
                    "-std=c++17",
                    "-O3",
                    "-arch=compute_80",
                    "-lineinfo",
                    *include,
                    "-ptx",
                    "-o",
                    f"{base}.ptx",
                    source,
                ]
            )
            if done.returncode:
                sys.exit(f"{kernel}: nvcc failed:\n{done.stderr[:2000]}")
            done = run([sys.executable, HERE / "ptx_to_cpp.py", "--strict", f"{base}.ptx", "-o", f"{base}.cc"])
            if done.returncode:
                sys.exit(done.stderr)
            objects.append(self.compile(f"{base}.cc", f"ptx_{kernel}", ["-O0", "-w", *include]))
        program = self.folder / "emu_test"
        libraries = sorted(self.build.rglob("libsamc.a"))
        if not libraries:
            sys.exit(f"no libsamc.a in {self.build}")
        done = run(
            [
                self.compiler,
                "-o",
                program,
                *objects,
                *([f"-fsanitize={sanitizer}"] if sanitizer else []),
                libraries[0],
                "-ljansson",
                "-lcrypto",
                "-lpthread",
                "-lm",
                "-ldl",
            ]
        )
        if done.returncode:
            sys.exit(f"does not link:\n{done.stderr[:2000]}")
        return program


def caught_by(program, modes, label, full=False, first=False):
    """The modes that find the program wrong, or with `first` the first of them."""
    caught = []
    for order, copies, core in modes:
        if caught and first:
            break
        mode = f"{label}{order}/{copies}/{core}"
        try:
            done = run(
                [program, "--order", order, "--copies", copies, "--accumulate", core, *(["--full"] if full else [])],
                timeout=600,
            )
            beyond = re.search(r"(\S+) times the gate", done.stderr)
            if done.returncode:
                caught.append(mode + (f" ({beyond[1]} times the gate)" if beyond else ""))
        except subprocess.TimeoutExpired:
            caught.append(f"{mode} (endless)")
    return caught


def try_bug(builder, sources, kernel, only, sanitizers, first, core):
    """By which modes the sources are found wrong; None where no mode that could show it is at hand."""
    if only == "sanitizer" and not sanitizers or only == "ptx" and not builder.nvcc:
        return None
    modes = [(order, copies, core or turn) for order, copies, turn in MODES]
    if only == "random":
        done = run(
            [builder.program(sources, kernel, False, ""), "--seeds", "10", *(["--accumulate", core] if core else [])],
            timeout=600,
        )
        return ["one of ten random orders"] if done.returncode else []
    if only == "ptx":
        return caught_by(builder.program(sources, kernel, True, ""), modes[:1], "PTX ")
    full = only == "full"
    caught = caught_by(builder.program(sources, kernel, False, ""), modes[:1] if full else modes, "", full, first)
    for sanitizer in ("thread", "address") if sanitizers else ():
        caught += caught_by(builder.program(sources, kernel, False, sanitizer), modes[:1], f"{sanitizer} sanitizer ")
    return caught


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--kernel", help="this kernel's bugs only")
    parser.add_argument("--only", help="a bug whose name contains this; 'clean' for the kernels as they are")
    parser.add_argument(
        "--few",
        type=int,
        help="this many bugs of each kernel, each until the first mode that finds it: for every change",
    )
    parser.add_argument(
        "--accumulate", choices=("nearest", "sm80", "sm90"), help="how tensor cores add; all of these in turn"
    )
    parser.add_argument("--sanitizers", action="store_true", help="ThreadSanitizer and AddressSanitizer too (slow)")
    options = parser.parse_args()
    places = (None, "/usr/local/cuda/bin", str(ROOT / "build/cuda/nvidia/cu13/bin"))
    nvcc = next(filter(None, (shutil.which("nvcc", path=p) for p in places)), None)
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        builder = Builder(options.build.resolve(), folder, os.environ.get("CXX", "g++"), nvcc)
        for path in sorted((ROOT / "kernels").glob("*/bugs.py")):
            if options.kernel and options.kernel != path.parent.name:
                continue
            bugs = runpy.run_path(str(path))["BUGS"]
            # The kernels as they are pass, which emu_test itself says; the first bugs of a list are found by the quick
            # cases.
            chosen = {"clean": None, **bugs} if options.few is None else dict(list(bugs.items())[: options.few])
            for name, bug in chosen.items():
                if options.only and options.only not in name:
                    continue
                sources = folder / "sources"
                shutil.rmtree(sources, ignore_errors=True)
                shutil.copytree(ROOT / "kernels", sources / "kernels")
                only = bug[3] if bug and len(bug) > 3 else ""
                if bug:
                    target = sources / bug[0]
                    content = target.read_text()
                    if bug[1] not in content:
                        print(f"FAIL {path.parent.name}: {name}: its text is no longer in {bug[0]}")
                        failures += 1
                        continue
                    target.write_text(content.replace(bug[1], bug[2]))
                few = options.few is not None
                caught = try_bug(
                    builder, sources, path.parent.name, only, options.sanitizers, few, options.accumulate
                )
                good = caught is None or (not caught if bug is None else bool(caught))
                failures += not good
                said = (
                    f"skipped, needs {only}" if caught is None else ", ".join(caught) if caught else "passes everywhere"
                )
                print(f"{'ok  ' if good else 'FAIL'} {path.parent.name}: {name}: {said}", flush=True)
    print(f"{failures} failures" if failures else "every bug was caught")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
