#!/usr/bin/env python3
"""Check what the real compiler made of each CUDA kernel against the committed budget (budget.json beside this file).

    budget.py             compile for sm_80 and sm_90a and compare; exit 1 on a difference, 77 (skipped) without nvcc
    budget.py --update    write the budget anew; a change is then a diff that somebody accepts

For each kernel: registers, bytes spilled (must be 0), shared memory of a block, and with nvdisasm (PyPI nvidia-cuda-nvdisasm; NVDISASM
names it) the number of tensor-core (HMMA), ldmatrix (LDSM) and asynchronous copy (LDGSTS) instructions and of local loads and
stores. Threads and dynamic shared memory of a block are computed by launch_of(), and from them the warps that one multiprocessor
can hold.
"""
import argparse
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
SOURCES = ["layernorm", "attention_relpos"]
ARCHITECTURES = ["sm_80", "sm_90a"]
SHARED_PER_SM = {"sm_80": 164 << 10, "sm_90a": 228 << 10}
COUNTED = {"HMMA": r"\bHMMA\.", "LDSM": r"\bLDSM\.", "LDGSTS": r"\bLDGSTS\.", "local": r"\b(?:LDL|STL)\b"}


def row_bytes(hd):
    return 2 * hd + 16


def launch_of(kernel):
    """Threads and dynamic shared bytes of a block, as in the kernel's Memory struct."""
    numbers = [int(n) for n in re.findall(r"\b\d+\b", kernel)]
    if kernel.startswith("layernorm"):
        return 128, 0
    side, hd = numbers[-2:]
    if kernel.startswith("attention_global"):
        mixed = max(128 * row_bytes(hd), 128 * (side + 4) * 4, side * (128 + 4) * 4)
        return 128, 4 * 64 * row_bytes(hd) + mixed
    padded, table = (side + 7) // 8 * 8, 2 * side - 1
    rows = 2 * (side * side + padded - side) + table + (table + 15) // 16 * 16
    warps = 4 if side > 8 else 2
    return warps * 32, rows * row_bytes(hd) + warps * max(16 * (padded + 4) * 4, side * 32 * 4)


def warps_per_sm(arch, threads, registers, shared):
    """Registers are given out in units of 256 per warp; each block also takes 1 KiB of shared memory."""
    warps = threads // 32
    by_registers = 65536 // ((registers * 32 + 255) // 256 * 256) // 4 * 4 // warps
    by_shared = SHARED_PER_SM[arch] // ((shared + 127) // 128 * 128 + 1024)
    return min(by_registers, by_shared, 64 // warps, 32) * warps


def demangle(symbol):
    """_ZN4samc16attention_globalINS_4bf16ELi64ELi80EEE... -> attention_global<bf16,64,80>."""
    match = re.match(r"_ZN4samc(\d+)", symbol)
    start = match.end()
    end = start + int(match[1])
    arguments = re.match(r"I(.*?)EEv", symbol[end:])[1]
    names = []
    for half, repeated, number, _ in re.findall(r"NS_\d(b?f16)E|(S\d?_)|Li(\d+)E|(f)", arguments):
        names.append(half or number or (names[0] if repeated else "float"))
    return f"{symbol[start:end]}<{','.join(names)}>"


def find(program):
    return os.environ.get(program.upper()) or shutil.which(program) or shutil.which(program, path="/usr/local/cuda/bin")


def measure(nvcc, nvdisasm, source, arch, folder):
    cubin = Path(folder) / f"{source}.{arch}.cubin"
    command = [nvcc, "-std=c++17", "-O3", f"-arch={arch}", "-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra,-Werror", f"-I{ROOT}",
               f"-I{ROOT / 'runtime'}", "-Xptxas", "-v", "-cubin", "-o", str(cubin), str(ROOT / "kernels" / f"{source}_cuda.cu")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"nvcc failed for {source}, {arch}:\n{done.stderr}")
    kernels = {}
    pattern = r"entry function '(\S+)'.*?(\d+) bytes spill stores, (\d+) bytes spill loads.*?Used (\d+) registers([^\n]*)"
    for symbol, stores, loads, registers, rest in re.findall(pattern, done.stderr, re.S):
        name = demangle(symbol)
        static = re.search(r"(\d+) bytes smem", rest)
        threads, shared = launch_of(name)
        kernels[name] = {"registers": int(registers), "spilled": int(stores) + int(loads), "shared": shared + (int(static[1]) if static else 0),
                         "warps_per_sm": warps_per_sm(arch, threads, int(registers), shared)}
    if nvdisasm:
        listing = subprocess.run([nvdisasm, "-c", str(cubin)], capture_output=True, text=True, check=True).stdout
        for section in re.split(r"^\.text\.", listing, flags=re.M)[1:]:
            name = demangle(section.split(":")[0].strip())
            kernels[name].update({key: len(re.findall(expression, section)) for key, expression in COUNTED.items()})
    return kernels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    nvcc, nvdisasm = find("nvcc"), find("nvdisasm")
    if not nvcc:
        print("skipped: nvcc not found, the kernels' budget is not checked here")
        return 77
    if not nvdisasm:
        print("nvdisasm not found: instruction counts are not checked here, registers and spills are")
        if options.update:
            sys.exit("--update needs nvdisasm")
    measured = {}
    with tempfile.TemporaryDirectory() as folder:
        for arch in ARCHITECTURES:
            measured[arch] = {}
            for source in SOURCES:
                measured[arch].update(measure(nvcc, nvdisasm, source, arch, folder))
    release = re.search(r"release ([\d.]+)", subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout)[1]
    problems = [f"{arch} {name}: spills" for arch, rows in measured.items() for name, row in rows.items() if row["spilled"] or row.get("local")]
    path = HERE / "budget.json"
    if options.update:
        rows = {arch: {name: measured[arch][name] for name in sorted(measured[arch])} for arch in ARCHITECTURES}
        text = json.dumps({"nvcc": release, **rows}, indent=1)
        path.write_text(re.sub(r"\{\n\s+(\"registers\"[^}]*?)\n\s+\}", lambda m: "{" + re.sub(r"\n\s+", " ", m[1]) + "}", text) + "\n")
    budget = json.loads(path.read_text())
    if budget["nvcc"] != release:
        print(f"skipped: the budget is for nvcc {budget['nvcc']}, this is {release}")
        return 77
    for arch in ARCHITECTURES:
        for name in sorted(set(budget[arch]) | set(measured[arch])):
            was, now = budget[arch].get(name), measured[arch].get(name)
            if was is None or now is None or any(was[key] != value for key, value in now.items()):
                problems.append(f"{arch} {name}: budget {was}, now {now}")
        print(f"{arch}:")
        for name in sorted(measured[arch]):
            print(f"  {name:32s}", ", ".join(f"{key} {value}" for key, value in measured[arch][name].items()))
    for problem in problems:
        print("FAIL", problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
