#!/usr/bin/env python3
"""Rehearses tools/gpu_check.sh, which builds a program here and runs it on a machine with a GPU and little else.

    rehearsal_test.py emulation SOURCE FOLDER       the same program on the emulation
    rehearsal_test.py pack SOURCE FOLDER            the real one, which FOLDER keeps; 77 where no nvcc compiles

Emulation: packed, carried into an empty folder and run in an empty environment, everything passes: every operator with
a kernel was checked and timed, the engine gave the reference's results and its figures, the results are JSON. Then a
kernel that gives a wrong result in one case, writes out of bounds in a second and never ends in a third: each is
recorded as what it is, the other cases pass, and the exit status says that something failed. Pack: it is no larger than
promised, needs no NVIDIA library to start, and says in one line that there is no GPU.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

BUG = """    if (row >= m) return;
    if (m == 5 && c == 4) y += 1 << 9;                                 // out of bounds
    while (m == 9 && c == 768) m = 9;                                  // endless
    if (m == 7) eps = 1.0f;                                            // wrong
"""
MOST_BYTES = 5 << 20  # of the program with one GPU's code, gzipped; 8 << 20 with both
NO_COMPILER = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}


def run(command, where, environment=None):
    return subprocess.run(
        [str(c) for c in command],
        cwd=where,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def expect(condition, what, done):
    if not condition:
        sys.exit(f"FAIL: {what}\n{done.stdout[-6000:]}")
    print(f"ok: {what}", flush=True)


def carry(pack, there, *options):
    """Runs the pack as on a bare machine: in a folder of its own, by the script that is in it."""
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    done = run(["tar", "-xzf", pack], there)
    expect(done.returncode == 0, "the pack unpacks", done)
    packages = there / "python/nvidia/cu13/lib"
    packages.mkdir(parents=True)
    environment = {**NO_COMPILER, "PYTHONPATH": str(there / "python")}
    return run(["bash", "samc-gpu-pack/run.sh", "--out", "results", "--minutes", "40", *options], there, environment)


def emulation(source, folder):
    shutil.rmtree(folder, ignore_errors=True)
    tree, pack = folder / "tree", folder / "pack.tar.gz"
    for part in (
        "kernels",
        "runtime",
        "weights",
        "host",
        "bench/forecast",
        "tests/checkops",
        "tests/emu",
        "tests/gpu",
        "tests/parity",
        "tests/data/golden",
        "tools",
    ):
        shutil.copytree(source / part, tree / part, ignore=shutil.ignore_patterns("samc-tiny.safetensors"))
    operators = {p.parent.name for p in (tree / "kernels").glob("*/cuda.cu")}
    build = [tree / "tools/gpu_check.sh", "--pack", pack, "--rehearse", "--build", folder / "build", "--jobs", "2"]
    done = run(build, folder)
    expect(done.returncode == 0 and pack.exists(), "packs", done)

    done = run(
        [tree / "tools/gpu_check.sh", "--prebuilt", pack, "--out", folder / "whole", "--minutes", "40"],
        folder,
        NO_COMPILER,
    )
    results = json.loads((folder / "whole/results.json").read_text())
    expect(done.returncode == 0 and not results["failed"], "passes as it is", done)
    stages = {s["stage"]: s["status"] for s in results["stages"]}
    for stage, status in stages.items():
        expect(
            status == "ok" or (status == "skipped" and stage.startswith(("memcheck", "racecheck"))),
            f"{stage}: {status}",
            done,
        )
    wanted = [
        "device",
        "libraries",
        "golden bf16",
        "parity tiny bf16",
        "bytes tiny bf16",
        "speed tiny bf16",
        "auto tiny bf16",
        "parity tiny f32",
        "parity tiny f16",
        "memcheck linear",
        "racecheck image_to_token",
    ]
    expect([s for s in stages if s in wanted] == wanted, "all stages, in their order", done)
    for kind in ("checks", "times"):
        expect({c["op"] for c in results[kind]} >= operators, f"{kind} of every operator", done)
        expect(all(c["status"] == "ok" for c in results[kind]), f"all {len(results[kind])} {kind} passed", done)
    for library in ("cuBLASLt", "cuDNN"):
        expect(any(library in c["case"] for c in results["times"]), f"{library}'s calls were checked", done)
    expect(
        all(launch["warm_us"] > 0 for c in results["times"] for launch in c.get("launches", [])),
        "every launch was timed",
        done,
    )
    runs = {r["what"]: r for r in results["runs"]}
    expect(
        runs["parity"]["status"] == "ok" and runs["parity"]["pixels"] > 0,
        "the engine gives the reference's results",
        done,
    )
    expect(
        runs["bytes"]["status"] == "equal" and runs["bytes"]["mask_bytes_by_64"] > 0, "company changes no byte", done
    )
    for what, figure in (
        ("encoder", "images_per_second"),
        ("decoder", "prompts_per_second"),
        ("automatic", "ms"),
        ("operator", "ms"),
    ):
        expect(runs[what][figure] > 0, f"{what}: has its figure", done)
    expect(runs["encoder"]["peak_bytes"] > runs["encoder"]["weight_bytes"] > 0, "memory was measured", done)
    expect(
        results["rehearsal"] and results["device"]["copy_gbs"] > 0,
        "it says that it is a rehearsal, with a device report",
        done,
    )
    summary = (folder / "whole/summary.txt").read_text()
    expect(
        "everything passed" in summary and all(f"\n{name} " in summary for name in operators),
        "the summary has a line for every operator",
        done,
    )
    measured(source, results, operators, done)
    struck(folder / "build/samc-gpu", source / "tests/data/golden/tiny.safetensors")

    broken = tree / "kernels/layernorm/cuda.cu"
    broken.write_text(broken.read_text().replace("    if (row >= m) return;\n", BUG))
    done = run(build, folder)
    expect(done.returncode == 0, "packs again", done)
    there = folder / "there"
    done = carry(pack, there, "--only", "layernorm,add_rows")
    results = json.loads((there / "results/results.json").read_text())
    expect(done.returncode == 1 and results["failed"], "fails when a kernel is broken", done)
    stages = {s["stage"]: s["status"] for s in results["stages"]}
    expect(
        stages
        == {
            "checks add_rows": "ok",
            "checks layernorm": "failed (1)",
            "times add_rows": "ok",
            "times layernorm": stages["times layernorm"],
        },
        "only these operators, the one's failure not the other's",
        done,
    )
    expect(
        "python/nvidia/cu13/lib" in (there / "results/log.txt").read_text()
        or not shutil.which("python3", path=NO_COMPILER["PATH"]),
        "Python's packages are searched for cuBLASLt",
        done,
    )
    kept = [c for c in results["checks"] if c["op"] == "layernorm"]
    done = run(["bash", "samc-gpu-pack/run.sh", "--out", "results", "--only", "add_rows"], there, NO_COMPILER)
    again = json.loads((there / "results/results.json").read_text())
    expect(
        [c for c in again["checks"] if c["op"] == "layernorm"] == kept
        and len(again["checks"]) == len(results["checks"])
        and len(again["stages"]) == len(results["stages"]),
        "what is run again replaces its own results alone",
        done,
    )
    why = {c["case"].split("= ")[1]: c.get("why", "") for c in results["checks"] if c["op"] == "layernorm"}
    expect("outside a buffer" in why["5 4 0 0 2 0"], "a store out of bounds is recorded", done)
    expect("took longer" in why["9 768 0 0 1 100"], "a hang is recorded", done)
    expect("error" in why["7 256 0 0 2 0"], "a wrong result is recorded", done)
    expect(sum(not w for w in why.values()) == len(why) - 3, "the other cases pass", done)


def struck(program, model):
    """The process that measures is killed after its first figure: one figure has failed, the others are there. The
    signal may come before it has told that the first is through, which then has failed beside its line."""
    command = [program, "speed", model, "--size", "61x43", "--points", "2", "--batches", "1,2,1", "--seconds", "0"]
    with subprocess.Popen(
        [str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as parent:
        lines = [json.loads(parent.stdout.readline())]
        children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
        for child in children:
            os.kill(int(child), signal.SIGKILL)
        lines += [json.loads(line) for line in parent.stdout]
    if not children:  # it was through before this program was let on
        return struck(program, model)
    done = subprocess.CompletedProcess(command, parent.returncode, "\n".join(map(str, lines)))
    count = {what: sum(line["what"] == what for line in lines) for what in ("failed", "encoder", "decoder", "operator")}
    expect(
        done.returncode == 1
        and count["failed"] == 1
        and count["encoder"] + count["decoder"] in (3, 4)
        and count["operator"] >= 5,
        "a figure that is struck down does not end the others",
        done,
    )


def measured(source, results, operators, done):
    """The kernel table's mark comes from a recorded run: not from a rehearsal, and not for an operator with a failed
    check.
    """
    sys.path.insert(0, str(source / "tests/emu/budget"))
    import kernel_table

    run = {**results, "rehearsal": False, "device": {**results["device"], "name": "NVIDIA X1"}}
    expect(
        kernel_table.recorded([run]) == {name: ["X1"] for name in operators}, "a recorded run marks its operators", done
    )
    run["checks"] = [{**c, "status": "failed"} if c["op"] == "linear" else c for c in run["checks"]]
    expect(set(kernel_table.recorded([run])) == operators - {"linear"}, "but none that failed", done)
    expect(kernel_table.recorded([results]) == {}, "and a rehearsal marks none", done)


def pack(source, folder):
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pack.tar.gz"
    # One kind of GPU, the one with the most code: emu_budget compiles every kernel for both.
    build = [source / "tools/gpu_check.sh", "--pack", file, "--arch", "90a", "--build", folder, "--jobs", "2"]
    done = run(build, source)
    if done.returncode == 2 and "no nvcc that compiles" in done.stdout:
        print(done.stdout)
        sys.exit(77)
    expect(done.returncode == 0, "packs: " + done.stdout.strip().split("\n")[-1], done)
    expect(int(done.stdout.split(" gzipped")[0].split()[-1]) <= MOST_BYTES, "the program is small", done)
    needs = run(["ldd", folder / "samc-gpu"], folder)
    expect(
        needs.returncode == 0
        and not any(word in needs.stdout for word in ("cuda", "cublas", "cudnn", "stdc++", "libgcc")),
        "needs no library but libc's",
        needs,
    )
    done = carry(file, folder / "there")
    expect(
        done.returncode == 2 and done.stdout.count("\n") == 1 and "no CUDA device was found" in done.stdout,
        "one line without a GPU: " + done.stdout.strip(),
        done,
    )
    expect(sorted(os.listdir(folder / "there")) == ["python", "samc-gpu-pack"], "and it leaves nothing", done)


if __name__ == "__main__":
    {"emulation": emulation, "pack": pack}[sys.argv[1]](Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve())
