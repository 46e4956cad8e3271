#!/usr/bin/env python3
"""Check what the real compiler made of each CUDA kernel against the committed budget (budget.json beside this file).

    budget.py --program EMU_TEST_PTX             compile for sm_80 and sm_90a and compare; exit 1 on a difference, 77
                                                 (skipped) without nvcc
    budget.py --program EMU_TEST_PTX --update    write the budget anew; a change is then a diff that somebody accepts

For each kernel: registers, bytes spilled (must be 0), threads and shared memory of a block as the checks launch it (the
emulation notes them; of several, the one with the most shared memory), the warps that one multiprocessor holds by the
toolkit's own calculator (occupancy.cc), and from nvdisasm the number of tensor-core (HMMA), ldmatrix (LDSM) and
asynchronous copy (LDGSTS) instructions and of local loads and stores. A kernel that no check launches fails.
tools/cuda_toolkit.sh brings nvcc and nvdisasm where they are missing.
"""

import argparse
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
ARCHITECTURES = ["sm_80", "sm_90a"]
COUNTED = {"HMMA": r"\bHMMA\.", "LDSM": r"\bLDSM\.", "LDGSTS": r"\bLDGSTS\.", "local": r"\b(?:LDL|STL)\b"}


def find(program):
    """NVCC or NVDISASM in the environment, PATH, the usual place, or what tools/cuda_toolkit.sh brought."""
    for path in (None, "/usr/local/cuda/bin", str(ROOT / "build/cuda/nvidia/cu13/bin")):
        found = os.environ.get(program.upper()) or shutil.which(program, path=path)
        if found:
            return found
    return None


def run(command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


def compile_kernel(nvcc, nvdisasm, source, arch, folder):
    """Symbol -> what ptxas says and its listing."""
    cubin = Path(folder) / f"{source.parent.name}.{arch}.cubin"
    done = run(
        [
            nvcc,
            "-std=c++17",
            "-O3",
            f"-gencode=arch=compute_{arch[3:]},code={arch}",
            "-Werror",
            "all-warnings",
            "-Xcompiler",
            "-Wall,-Wextra,-Werror",
            f"-I{ROOT}",
            f"-I{ROOT / 'runtime'}",
            "-Xptxas",
            "-v",
            "-cubin",
            "-o",
            cubin,
            source,
        ]
    )
    if done.returncode:
        sys.exit(f"nvcc failed for {source.parent.name}, {arch}:\n{done.stderr}")
    kernels = {}
    pattern = (
        r"entry function '(\S+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)"
    )
    for symbol, stores, loads, registers, rest in re.findall(pattern, done.stderr, re.S):
        static = re.search(r"(\d+) bytes smem", rest)
        kernels[symbol] = {
            "registers": int(registers),
            "spilled": int(stores) + int(loads),
            "static": int(static[1]) if static else 0,
        }
    if nvdisasm:
        listing = run([nvdisasm, "-c", cubin], check=True).stdout
        for section in re.split(r"^\.text\.", listing, flags=re.M)[1:]:
            kernels[section.split(":")[0].strip()]["listing"] = section
    return kernels


def compile_all(nvcc, nvdisasm, only=None):
    """Architecture -> symbol -> kernel, for every kernels/*/cuda.cu; on all cores."""
    sources = [s for s in sorted((ROOT / "kernels").glob("*/cuda.cu")) if only is None or s.parent.name in only]
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {
            (a, s): pool.submit(compile_kernel, nvcc, nvdisasm, s, a, folder) for s in sources for a in ARCHITECTURES
        }
        measured = {arch: {} for arch in ARCHITECTURES}
        for (arch, _), job in jobs.items():
            measured[arch].update(job.result())
    return measured


def readable(symbols):
    """Symbol -> attention_global<bf16,64,80>."""
    lines = run(["c++filt"], input="\n".join(symbols), check=True).stdout.splitlines()
    names = {}
    for symbol, line in zip(symbols, lines):
        depth, end = 0, len(line)
        for i, c in enumerate(line):
            depth += (c == "<") - (c == ">")
            if c == "(" and depth == 0 and not line[i:].startswith("(anonymous"):
                end = i
                break
        names[symbol] = re.sub(r"\b(void |samc::)|\(anonymous namespace\)::|\s", "", line[:end])
    return names


def launches_of(program):
    """Symbol -> threads and shared bytes of its largest launch."""
    done = run([program, "--launches"])
    if done.returncode:
        sys.exit(f"{program} --launches failed:\n{done.stderr}")
    launches = {}
    for line in done.stdout.splitlines():
        symbol, threads, shared = line.split()
        launches[symbol] = max(launches.get(symbol, (0, 0)), (int(threads), int(shared)), key=lambda l: (l[1], l[0]))
    return launches


def warps_per_sm(nvcc, rows, folder):
    """Of rows (architecture, registers, threads, static, dynamic)."""
    top, program = Path(nvcc).resolve().parents[1], Path(folder) / "occupancy"
    include = [f"-I{p}" for p in (top / "include", top / "targets/x86_64-linux/include")]
    done = run([os.environ.get("CXX", "g++"), "-w", *include, "-o", program, HERE / "occupancy.cc"])
    if done.returncode:
        sys.exit(f"occupancy.cc does not compile:\n{done.stderr}")
    text = "".join(f"{re.sub('[^0-9]', '', row[0])} {' '.join(map(str, row[1:]))}\n" for row in rows)
    return [int(n) for n in run([program], input=text, check=True).stdout.split()]


def budget_of(measured, launches, nvcc):
    """Architecture -> name -> row; and the names of kernels that no check launches."""
    rows, idle = {arch: {} for arch in ARCHITECTURES}, []
    items = [(arch, symbol) for arch in ARCHITECTURES for symbol in measured[arch]]
    names = readable(sorted({symbol for _, symbol in items}))
    asked = []
    for arch, symbol in items:
        kernel, (threads, shared) = measured[arch][symbol], launches.get(symbol, (0, 0))
        if not threads:
            idle.append(names[symbol])
        row = {
            "registers": kernel["registers"],
            "spilled": kernel["spilled"],
            "threads": threads,
            "shared": shared + kernel["static"],
        }
        if "listing" in kernel:
            row.update({key: len(re.findall(expression, kernel["listing"])) for key, expression in COUNTED.items()})
            groups = len(re.findall(r"\bHGMMA\.", kernel["listing"]))  # wgmma: one kernel has them
            if groups:
                row["HGMMA"] = groups
        rows[arch][names[symbol]] = row
        asked.append((arch, kernel["registers"], threads or 32, kernel["static"], shared))
    with tempfile.TemporaryDirectory() as folder:
        for (arch, symbol), warps in zip(items, warps_per_sm(nvcc, asked, folder)):
            rows[arch][names[symbol]]["warps_per_sm"] = warps
    return rows, sorted(set(idle))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, type=Path, help="emu_test_ptx of a build")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    nvcc, nvdisasm = find("nvcc"), find("nvdisasm")
    if not nvcc:
        print("skipped: nvcc not found, the kernels' budget is not checked here")
        return 77
    if not nvdisasm:
        print("nvdisasm not found: instruction counts are not checked here, registers and spills are")
        if options.update:
            sys.exit("--update needs nvdisasm: see tools/cuda_toolkit.sh")
    rows, idle = budget_of(compile_all(nvcc, nvdisasm), launches_of(options.program), nvcc)
    release = re.search(r"release ([\d.]+)", run([nvcc, "--version"]).stdout)[1]
    problems = [f"{arch} {name}: spills" for arch in rows for name, row in rows[arch].items() if row["spilled"]]
    problems += [f"{name}: no check launches it" for name in idle]
    path = HERE / "budget.json"
    if options.update:
        lines = {
            arch: ",\n".join(f"  {json.dumps(name)}: {json.dumps(rows[arch][name])}" for name in sorted(rows[arch]))
            for arch in ARCHITECTURES
        }
        path.write_text(
            f'{{\n "nvcc": "{release}",\n'
            + ",\n".join(f' "{arch}": {{\n{lines[arch]}\n }}' for arch in ARCHITECTURES)
            + "\n}\n"
        )
    budget = json.loads(path.read_text())
    for arch in ARCHITECTURES:
        print(f"{arch}:")
        for name in sorted(rows[arch]):
            print(f"  {name:44s}", ", ".join(f"{key} {value}" for key, value in rows[arch][name].items()))
    if budget["nvcc"] != release:
        print(f"the budget is for nvcc {budget['nvcc']}, this is {release}: only spills and launches are checked here")
    else:
        for arch in ARCHITECTURES:
            for name in sorted(set(budget[arch]) | set(rows[arch])):
                was, now = budget[arch].get(name), rows[arch].get(name)
                if was is None or now is None or any(was.get(key) != value for key, value in now.items()):
                    problems.append(f"{arch} {name}: budget {was}, now {now}")
    for problem in problems:
        print("FAIL", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
