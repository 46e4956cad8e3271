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
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))
from seeded import Build, run

MODES = [
    ("forward", "late", "nearest"),
    ("reverse", "late", "sm80"),
    ("forward", "early", "sm90"),
    ("reverse", "early", "sm80"),
]


class Programs:
    """emu_test with one kernel from the folder of changed sources; everything else is the build's."""

    def __init__(self, build, folder, nvcc):
        self.build, self.folder, self.nvcc = build, folder, nvcc
        self.runtimes = {}

    def runtime(self, sanitizer):
        """The emulation, which tells a sanitizer of its stacks; compiled once for each: the build's object -> this."""
        if sanitizer not in self.runtimes:
            define = {"address": "-DSAMC_EMU_ASAN", "thread": "-DSAMC_EMU_TSAN"}[sanitizer]
            made = {}
            for source in sorted(HERE.glob("*.cc")):
                if source.stem not in ("emu", "emu_memory", "tensor_core", "warp", "ptx"):
                    continue
                target = self.folder / f"runtime_{sanitizer}_{source.stem}.o"
                made[self.build.compile("emu_test_host", source, target, last=[define])] = target
            self.runtimes[sanitizer] = made
        return self.runtimes[sanitizer]

    def program(self, sources, kernel, ptx, sanitizer):
        route = "ptx" if ptx else "host"
        target, emu = f"emu_test_{route}", self.build.folder / "tests/emu"
        instrument = [f"-fsanitize={sanitizer}"] if sanitizer else []
        made, extra = self.folder / "kernel.o", ["-O1", *instrument, *(["-g1"] if sanitizer else [])]
        source = emu / f"{route}_{kernel}_cuda.cc"
        replaced = {self.build.compile(target, source, made, first=[f"-I{sources}"], last=extra): made}
        if sanitizer:
            replaced.update(self.runtime(sanitizer))
        if ptx:
            base = self.folder / kernel
            include = [f"-I{sources}", f"-I{ROOT}", f"-I{ROOT / 'runtime'}"]
            flags = ["-std=c++17", "-O3", "-arch=compute_80", "-lineinfo", *include]
            done = run([self.nvcc, *flags, "-ptx", "-o", f"{base}.ptx", sources / "kernels" / kernel / "cuda.cu"])
            if done.returncode:
                sys.exit(f"{kernel}: nvcc failed:\n{done.stderr[:2000]}")
            done = run([sys.executable, HERE / "ptx_to_cpp.py", "--strict", f"{base}.ptx", "-o", f"{base}.cc"])
            if done.returncode:
                sys.exit(done.stderr)
            translated = self.folder / "ptx.o"
            original = self.build.compile(target, emu / f"{kernel}_cuda.ptx.cc", translated, f"{base}.cc")
            replaced[original] = translated
        return self.build.link(target, self.folder / "emu_test", replaced, last=instrument)


def caught_by(program, kernel, modes, label, full=False, first=False):
    """The modes that find the program wrong, or with `first` the first of them."""
    caught = []
    for order, copies, core in modes:
        if caught and first:
            break
        mode = f"{label}{order}/{copies}/{core}"
        try:
            schedule = ["--order", order, "--copies", copies, "--accumulate", core, *(["--full"] if full else [])]
            done = run([program, "--only", kernel, *schedule], timeout=600)
            beyond = re.search(r"(\S+) times the gate", done.stderr)
            if done.returncode:
                caught.append(mode + (f" ({beyond[1]} times the gate)" if beyond else ""))
        except subprocess.TimeoutExpired:
            caught.append(f"{mode} (endless)")
    return caught


def try_bug(builder, sources, kernel, only, sanitizers, first, core):
    """By which modes the sources are found wrong; None where no mode that could show it is at hand."""
    ptx = builder.nvcc and builder.build.has("emu_test_ptx")
    if only == "sanitizer" and not sanitizers or only == "ptx" and not ptx:
        return None
    modes = [(order, copies, core or turn) for order, copies, turn in MODES]
    if only == "random":
        program = builder.program(sources, kernel, False, "")
        options = ["--seeds", "10", *(["--accumulate", core] if core else [])]
        done = run([program, "--only", kernel, *options], timeout=600)
        return ["one of ten random orders"] if done.returncode else []
    if only == "ptx":
        return caught_by(builder.program(sources, kernel, True, ""), kernel, modes[:1], "PTX ")
    full = only == "full"
    program = builder.program(sources, kernel, False, "")
    caught = caught_by(program, kernel, modes[:1] if full else modes, "", full, first)
    for sanitizer in ("thread", "address") if sanitizers else ():
        program = builder.program(sources, kernel, False, sanitizer)
        caught += caught_by(program, kernel, modes[:1], f"{sanitizer} sanitizer ")
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
    build = Build(options.build)
    if not build.usable:
        print("skipped: needs a build by ninja")
        return 77
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        builder = Programs(build, folder, nvcc)
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
