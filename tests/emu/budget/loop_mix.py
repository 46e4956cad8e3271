#!/usr/bin/env python3
"""The inner loops of the tensor-core kernels, counted from SASS: what each asks of every pipe, and which one bounds it.

    loop_mix.py [--update]    compare with loop_mix.md beside this file, or write it; 77 (skipped) without nvcc or
                              nvdisasm

Cycles are those that one iteration of one warp keeps a pipe of its quarter of a multiprocessor busy. The bound is the
busiest pipe; "% of peak" is the loop's useful products at the full rate of the tensor cores (on sm_90a that of wgmma)
over that bound: what no schedule of this loop can exceed. Blocks that run rarely (the rescale, behind a vote) are left
out. Rates: issue 1 a cycle; HMMA.16816 8 on sm_80, and 6.4 on sm_90a, where mma.sync is published to reach 62 % of
wgmma's 4; fp32 2 (sm_90a 1); integer and conversions 2; MUFU 8; LDSM.x4 and LDGSTS 16, since four quarters share 128
bytes a cycle of shared memory. Nothing here was measured.
"""

import argparse
import re
import sys
from pathlib import Path

import budget

HERE = Path(__file__).resolve().parent
KERNELS = ["attention_relpos"]
PRODUCT = {"sm_80": 8, "sm_90a": 6.4}  # cycles of one HMMA.16816
PEAK = {"sm_80": 8, "sm_90a": 4}  # the same at the full rate
PIPES = ["tensor", "issue", "fp32", "int", "mufu", "shared"]


def pipe_of(opcode, arch):
    """Pipe and cycles of one instruction."""
    if opcode.startswith("HMMA.16816"):
        return "tensor", PRODUCT[arch]
    if opcode.startswith("MUFU"):
        return "mufu", 8
    if opcode.startswith(("LDSM", "LDGSTS")):
        return "shared", 16
    if opcode.startswith(("LDS", "STS")):
        return "shared", 16 if "128" in opcode else 8 if "64" in opcode else 4
    if opcode.startswith(("SHFL", "LDL", "STL")):
        return "shared", 4
    if opcode.startswith(("FFMA", "FMUL", "FADD", "HADD2", "HMUL2", "HFMA2")):
        return "fp32", 2 if arch == "sm_80" else 1
    if opcode.startswith("IMAD"):
        return "fp32", 2
    if opcode.startswith(
        (
            "U",
            "S2",
            "R2UR",
            "BAR",
            "DEPBAR",
            "LDGDEPBAR",
            "BRA",
            "NOP",
            "WARPSYNC",
            "BSYNC",
            "BSSY",
            "CALL",
            "EXIT",
            "CS2R",
            "VOTE",
            "LDC",
        )
    ):
        return None, 0  # the uniform pipe and control: never the bound here
    return "int", 2


def hot_loop(listing):
    """Opcodes of the smallest loop with most products, without the branches around shuffles (the rescale)."""
    code, labels = [], {}
    for line in listing.split("\n"):
        label = re.match(r"^(\.L_x_\d+):", line.strip())
        if label:
            labels[label[1]] = len(code)
        found = re.search(r"/\*[0-9a-f]{4,}\*/\s+(@!?U?PT?\d?\s+)?([A-Z0-9_.]+)(.*?);", line)
        if found:
            code.append((found[1], found[2], found[3]))
    jumps = []
    for i, (_, opcode, operands) in enumerate(code):
        target = re.search(r"`\((\.L_x_\d+)\)", operands)
        if opcode.startswith("BRA") and target and target[1] in labels:
            jumps.append((i, labels[target[1]]))

    def products(begin, end):
        return sum(code[i][1].startswith("HMMA") for i in range(begin, end + 1))

    loops = [(target, i) for i, target in jumps if target <= i]
    if not loops or not max(products(*loop) for loop in loops):
        return None
    most = max(products(*loop) for loop in loops)
    begin, end = min((loop for loop in loops if products(*loop) == most), key=lambda loop: loop[1] - loop[0])
    # Windows: the step's loop lies within the one over query tiles.
    inner = [
        loop
        for loop in loops
        if products(*loop) >= 0.3 * most and begin <= loop[0] and loop[1] <= end and loop != (begin, end)
    ]
    if inner:
        begin, end = max(inner, key=lambda loop: products(*loop))
    rare = set()
    for i, target in jumps:
        if (
            begin <= i < target <= end
            and code[i][0]
            and not products(i, target - 1)
            and any(code[j][1].startswith("SHFL") for j in range(i, target))
        ):
            rare.update(range(i + 1, target))
    return [code[i][1] for i in range(begin, end + 1) if i not in rare]


def row_of(arch, opcodes):
    cycles = dict.fromkeys(PIPES, 0)
    cycles["issue"] = len(opcodes)
    for opcode in opcodes:
        pipe, count = pipe_of(opcode, arch)
        if pipe:
            cycles[pipe] += count
    bound = max(PIPES, key=lambda pipe: cycles[pipe])
    products = sum(opcode.startswith("HMMA.16816") for opcode in opcodes)
    # Every LDSM.x4 brings two fragments of K or V, and each serves all m16 tiles; products beyond that only add up
    # rows.
    fragments = 2 * sum(opcode.startswith("LDSM") for opcode in opcodes)
    products -= products % fragments if fragments else 0
    counts = [sum(opcode.startswith(kind) for opcode in opcodes) for kind in ("HMMA", "LDSM", "LDGSTS", "MUFU")]
    return counts, cycles, bound, 100 * products * PEAK[arch] / cycles[bound]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    nvcc, nvdisasm = budget.find("nvcc"), budget.find("nvdisasm")
    if not nvcc or not nvdisasm:
        print("skipped: needs nvcc and nvdisasm (tools/cuda_toolkit.sh)")
        return 77
    release = re.search(r"release ([\d.]+)", budget.run([nvcc, "--version"]).stdout)[1]
    lines = [
        "# Loop mix of the tensor-core kernels",
        "",
        f"By `loop_mix.py` from SASS of nvcc {release}; see there for the rates. A static bound, nothing measured.",
        "",
        "| kernel | sm | HMMA | LDSM | LDGSTS | MUFU | " + " | ".join(PIPES) + " | bound | % of peak |",
        "|" + "---|" * (8 + len(PIPES)),
    ]
    for arch, kernels in budget.compile_all(nvcc, nvdisasm, KERNELS).items():
        names = budget.readable(sorted(kernels))
        for symbol in sorted(kernels, key=lambda s: names[s]):
            opcodes = hot_loop(kernels[symbol]["listing"])
            if not opcodes or "bf16" not in names[symbol]:  # f16 differs by the conversion alone
                continue
            counts, cycles, bound, share = row_of(arch, opcodes)
            lines.append(
                f"| {names[symbol]} | {arch} | "
                + " | ".join(str(n) for n in counts)
                + " | "
                + " | ".join(f"{cycles[pipe]:g}" for pipe in PIPES)
                + f" | {bound} | {share:.0f} |"
            )
    text = "\n".join(lines) + "\n"
    print(text)
    path = HERE / "loop_mix.md"
    if options.update:
        path.write_text(text)
    if f"nvcc {release};" not in path.read_text():
        print(f"skipped: the table is not of nvcc {release}")
        return 77
    if path.read_text() != text:
        print("FAIL the loops are no longer those of loop_mix.md; --update writes it anew")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
