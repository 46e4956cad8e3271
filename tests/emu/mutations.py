#!/usr/bin/env python3
"""Seeded bugs: each must be caught by at least one mode of the emulation, and the kernels as they are must pass in all of them.

    mutations.py --build BUILD [--only NAME] [--sanitizers]

BUILD is a configured and built tree of samc; objects and libraries that a bug does not touch are taken from it. Modes: the host
route under forward and reverse order with late and early copies; the translated PTX (where nvcc is) for the bug that only it can
show; ThreadSanitizer and AddressSanitizer with --sanitizers. Prints by which mode each bug was caught.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-ffp-contract=off", "-D_GNU_SOURCE"]
MODES = [(order, copies) for copies in ("late", "early") for order in ("forward", "reverse")]
ATTENTION = "kernels/attention_relpos_cuda.cu"
STEP = "kernels/cuda/attention_step.h"
DEVICE = "kernels/cuda/device.h"

# name: file, text, replacement, kernel to run, needs the PTX route
BUGS = {
    "layernorm: rows beyond the last are computed": ("kernels/layernorm_cuda.cu", "if (row >= m) return;", "if (row > m) return;", "layernorm", False),
    "layernorm: variance not from deviations": ("kernels/layernorm_cuda.cu", "v[i] = {v[i].x - mean, v[i].y - mean, v[i].z - mean, v[i].w - mean};", "", "layernorm", False),
    "layernorm: one lane shuffles with itself": ("kernels/cuda/device.h", "lanes > 0; lanes /= 2", "lanes > 1; lanes /= 2", "layernorm", False),
    "global: a tile is not waited for": (ATTENTION, "copy_wait<0>();\n        __syncthreads(); // this tile", "copy_wait<1>();\n        __syncthreads(); // this tile", "attention", False),
    "global: no barrier before a buffer is refilled": (ATTENTION, "__syncthreads(); // this tile", "// this tile", "attention", False),
    "global: rel_h over other warps' patches": (ATTENTION, "__syncthreads(); // rel_h", "// rel_h", "attention", False),
    "global: first tile over the tables": (ATTENTION, "__syncthreads(); // the tables", "// the tables", "attention", False),
    "global: patches over Q": (ATTENTION, "__syncthreads(); // everyone has its Q", "// everyone has its Q", "attention", False),
    "global: barrier in one warp only": (ATTENTION, "__syncthreads(); // the tables", "if (warp == 0) __syncthreads(); // the tables", "attention", False),
    "window: values are not waited for": (ATTENTION, "copy_wait<0>();\n            __syncthreads(); // values", "__syncthreads(); // values", "attention", False),
    "window: patch not synchronised": (ATTENTION, "sync_warp(); // the patch was written by the whole warp\n                take", "take", "attention", False),
    "window: next patch over this one": (ATTENTION, "sync_warp(); // and is overwritten next", "", "attention", False),
    "window: pads are zeros": (ATTENTION, ": pad_head;", ": nullptr;", "attention", False),
    "window: pad queries are stored": (ATTENTION, "if (query >= queries) continue;", "", "attention", False),
    "rel_w mirrored": (ATTENTION, "int x = qx[tile][e % 4 / 2] - (n", "int x = -qx[tile][e % 4 / 2] + (n", "attention", False),
    "rows without padding: bank conflicts": (STEP, "return 2 * hd + 16;", "return 2 * hd + 32;", "attention", False),
    "misaligned rows": (STEP, "return 2 * hd + 16;", "return 2 * hd + 8;", "attention", False),
    "no rescale when the maximum moves": (STEP, "w.sum[tile][i] *= shrink;", "", "attention", False),
    "asm: two registers of A swapped": (DEVICE, '"r"(a[0]), "r"(a[1]), "r"(a[2])', '"r"(a[0]), "r"(a[2]), "r"(a[1])', "attention", True),
    "asm: transposed ldmatrix is not": (DEVICE, "m8n8.x4.trans.shared", "m8n8.x4.shared", "attention", True),
    "asm: halves of a pack swapped": (DEVICE, ': "=r"(y) : "f"(high), "f"(low)', ': "=r"(y) : "f"(low), "f"(high)', "layernorm", True),
}
# Wrong by the rules, but no schedule of these sizes shows it: only ThreadSanitizer does.
ONLY_SANITIZER = {"window: next patch over this one"}
# Patches and Q lie row on row for grid 32: only the larger cases can show it.
ONLY_FULL = {"global: patches over Q"}


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

    def runtime(self, sanitizer, ptx):
        """The parts without kernels; compiled once for each route and sanitizer."""
        if (sanitizer, ptx) not in self.cache:
            define = {"": [], "address": ["-DSAMC_EMU_ASAN"], "thread": ["-DSAMC_EMU_TSAN"]}[sanitizer]
            include = [f"-I{ROOT}", f"-I{ROOT / 'runtime'}", f"-I{HERE}"]
            key = f"runtime_{sanitizer}_{ptx}"
            self.cache[sanitizer, ptx] = [
                self.compile(HERE / f"{name}.cc", f"{key}_{name}", ["-O2", *include, *(define if name in ("emu", "warp", "ptx") else [])])
                for name in ("emu", "warp", "ptx", "emu_test", "emu_layernorm", "emu_attention")]
        return self.cache[sanitizer, ptx]

    def program(self, sources, kernel, ptx, sanitizer):
        """emu_test with the kernels of the folder `sources`; only `kernel` matters and is compiled for the PTX route."""
        include = [f"-I{sources}", f"-I{ROOT}", f"-I{ROOT / 'runtime'}", f"-I{HERE}"]
        objects = list(self.runtime(sanitizer, ptx))
        instrument = [f"-fsanitize={sanitizer}", "-g1"] if sanitizer else []
        for name in ("layernorm", "attention_relpos"):
            define = ["-DSAMC_EMU_PTX"] if ptx else []
            if not name.startswith(kernel):  # not the one with the bug: as it is, compiled once
                if (name, ptx, sanitizer) not in self.cache:
                    clean = [f"-I{ROOT}", f"-I{ROOT / 'runtime'}", f"-I{HERE}", *define, *instrument, "-x", "c++"]
                    key = f"clean_{name}_{ptx}_{sanitizer}"
                    self.cache[name, ptx, sanitizer] = self.compile(ROOT / "kernels" / f"{name}_cuda.cu", key, ["-O1", *clean])
                objects.append(self.cache[name, ptx, sanitizer])
                continue
            source = sources / "kernels" / f"{name}_cuda.cu"
            objects.append(self.compile(source, f"kernel_{name}", ["-O1", *include, *define, *instrument, "-x", "c++"]))
            if ptx and name.startswith(kernel):
                base = self.folder / name
                done = run([self.nvcc, "-std=c++17", "-O3", "-arch=compute_80", "-lineinfo", *include, "-ptx", "-o", f"{base}.ptx", source])
                if done.returncode:
                    sys.exit(f"{name}: nvcc failed:\n{done.stderr[:2000]}")
                done = run([sys.executable, HERE / "ptx_to_cpp.py", "--strict", f"{base}.ptx", "-o", f"{base}.cc"])
                if done.returncode:
                    sys.exit(done.stderr)
                objects.append(self.compile(f"{base}.cc", f"ptx_{name}", ["-O0", "-w", *include]))
        program = self.folder / "emu_test"
        libraries = sorted(self.build.rglob("libsamc.a"))
        if not libraries:
            sys.exit(f"no libsamc.a in {self.build}")
        done = run([self.compiler, "-o", program, *objects, *([f"-fsanitize={sanitizer}"] if sanitizer else []), libraries[0],
                    "-ldnnl", "-ljansson", "-lcrypto", "-l:libgomp.so.1", "-lpthread", "-lm", "-ldl"])
        if done.returncode:
            sys.exit(f"does not link:\n{done.stderr[:2000]}")
        return program


def caught_by(program, kernel, modes, label, full=False):
    caught = []
    for order, copies in modes:
        try:
            done = run([program, "--only", kernel, "--order", order, "--copies", copies, *(["--full"] if full else [])], timeout=600)
            if done.returncode:
                caught.append(f"{label}{order}/{copies}")
        except subprocess.TimeoutExpired:
            caught.append(f"{label}{order}/{copies} (endless)")
    return caught


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--only", help="a bug whose name contains this; 'clean' for the kernels as they are")
    parser.add_argument("--sanitizers", action="store_true", help="ThreadSanitizer and AddressSanitizer too (slow)")
    options = parser.parse_args()
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    failures = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        builder = Builder(options.build.resolve(), folder, os.environ.get("CXX", "g++"), nvcc)
        bugs = {"clean": None, **BUGS}
        for name, bug in bugs.items():
            if options.only and options.only not in name:
                continue
            sources = folder / "sources"
            shutil.rmtree(sources, ignore_errors=True)
            shutil.copytree(ROOT / "kernels", sources / "kernels")
            kernels, only_ptx = ["layernorm", "attention"], False
            if bug:
                path, text, replacement, kernel, only_ptx = bug
                kernels, target = [kernel], sources / path
                content = target.read_text()
                if text not in content:
                    print(f"FAIL {name}: its text is no longer in {path}")
                    failures += 1
                    continue
                target.write_text(content.replace(text, replacement))
            if name in ONLY_SANITIZER and not options.sanitizers:
                print(f"skipped {name}: needs --sanitizers")
                continue
            caught = []
            if not only_ptx:
                program = builder.program(sources, kernels[0], False, "")
                for kernel in kernels:
                    caught += caught_by(program, kernel, MODES[:1] if name in ONLY_FULL else MODES, "", name in ONLY_FULL)
            elif nvcc:
                program = builder.program(sources, kernels[0], True, "")
                caught += caught_by(program, kernels[0], MODES[:1], "PTX ")
            else:
                print(f"skipped {name}: needs nvcc")
                continue
            if options.sanitizers and not only_ptx:
                for sanitizer in ("thread", "address"):
                    program = builder.program(sources, kernels[0], False, sanitizer)
                    for kernel in kernels:
                        caught += caught_by(program, kernel, MODES[:1], f"{sanitizer} sanitizer ")
            good = not caught if bug is None else bool(caught)
            failures += not good
            print(f"{'ok  ' if good else 'FAIL'} {name}: {', '.join(caught) if caught else 'passes everywhere'}", flush=True)
    print(f"{failures} failures" if failures else "every bug was caught")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
