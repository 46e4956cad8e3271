#!/usr/bin/env python3
"""Rehearses tools/gpu_check.sh on the emulation: once as it is, once with kernels that fail in every way that it must survive.

    rehearsal_test.py SOURCE FOLDER

As it is: everything passes, every operator with a kernel was checked and timed, the engine gave the reference's results and its figures,
the results are JSON. Broken: one kernel does not compile, another gives a wrong result in one case, writes out of bounds in a second and never ends in a third; each is recorded as
what it is, the other cases pass, and the exit status says that something failed.
"""
import json
import shutil
import subprocess
import sys
from pathlib import Path

BUG = """    if (row >= m) return;
    if (m == 5 && c == 4) y += 1 << 9;                                 // out of bounds
    while (m == 9) m = 9;                                              // endless
    if (m == 7) eps = 1.0f;                                            // wrong
"""


def rehearse(tree, out, *options):
    command = [tree / "tools/gpu_check.sh", "--rehearse", "--minutes", "40", "--jobs", "2", "--out", out, "--build", out / "build", *options]
    done = subprocess.run([str(c) for c in command], cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    results = json.loads((out / "results.json").read_text())
    return done, results


def expect(condition, what, done):
    if not condition:
        sys.exit(f"FAIL: {what}\n{done.stdout[-6000:]}")
    print(f"ok: {what}", flush=True)


def main():
    source, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    tree = folder / "tree"
    for part in ("kernels", "runtime", "weights", "host", "tests/emu", "tests/gpu", "tests/parity", "tests/data/golden", "tools"):
        shutil.copytree(source / part, tree / part)
    operators = {p.name.removesuffix("_cuda.cu") for p in (tree / "kernels").glob("*_cuda.cu")}

    done, results = rehearse(tree, folder / "whole")
    expect(done.returncode == 0 and not results["failed"], "passes as it is", done)
    expect(all(s["status"] == "ok" or s["stage"] == "torch" for s in results["stages"]), "every stage ended well", done)
    for kind in ("checks", "times"):
        expect({c["op"] for c in results[kind]} >= operators, f"{kind} of every operator", done)
        expect(all(c["status"] == "ok" for c in results[kind]), f"all {len(results[kind])} {kind} passed", done)
    for library in ("cuBLASLt", "cuDNN"):
        expect(any(library in c["case"] for c in results["times"]), f"{library}'s calls were checked", done)
    expect(all(launch["warm_us"] > 0 for c in results["times"] for launch in c.get("launches", [])), "every launch was timed", done)
    runs = {run["what"]: run for run in results["runs"]}
    expect(runs["parity"]["status"] == "ok" and runs["parity"]["pixels"] > 0, "the engine gives the reference's results", done)
    for what, figure in (("encoder", "images_per_second"), ("decoder", "prompts_per_second"), ("automatic", "ms"), ("operator", "ms")):
        expect(runs[what][figure] > 0, f"{what}: has its figure", done)
    expect(runs["encoder"]["peak_bytes"] > runs["encoder"]["weight_bytes"] > 0, "memory was measured", done)
    expect(results["rehearsal"] and results["device"]["copy_gbs"] > 0, "it says that it is a rehearsal, with a device report", done)
    summary = (folder / "whole/summary.txt").read_text()
    expect("everything passed" in summary and "attention_relpos" in summary, "the summary has a table", done)

    broken = tree / "kernels/layernorm_cuda.cu"
    broken.write_text(broken.read_text().replace("    if (row >= m) return;\n", BUG))
    with (tree / "kernels/attention_relpos_cuda.cu").open("a") as file:
        file.write("#error does not compile\n")
    done, results = rehearse(tree, folder / "broken", "--only", "layernorm,attention_relpos")
    expect(done.returncode == 1 and results["failed"], "fails when kernels are broken", done)
    expect(results["stages"][0]["status"] == "failed (1)", "a kernel that does not compile is recorded", done)
    why = {c["case"].split("= ")[1]: c.get("why", "") for c in results["checks"]}
    expect("outside a buffer" in why["5 4 0 2 0 -1 0"], "a store out of bounds is recorded", done)
    expect("took longer" in why["9 768 0 1 100 -1 0"], "a hang is recorded", done)
    expect("error" in why["7 256 0 2 0 2 2"], "a wrong result is recorded", done)
    expect(sum(not w for w in why.values()) == len(why) - 3, "the other cases pass", done)


if __name__ == "__main__":
    main()
