#!/usr/bin/env python3
"""One program for all machines: with CUDA in it, it needs no NVIDIA library to start, says what of them it found,
refuses a GPU that is not there in one line, and segments on the CPU.

    one_program_test.py SAMC SOURCE ON|OFF      the program; the sources; whether it was built with CUDA
"""

import os
import subprocess
import sys
import tempfile

samc, source, built = sys.argv[1:]
image = os.path.join(source, "tools", "examples", "cat.jpg")
# A machine that has nothing: no path to libraries but the system's, no visible device.
bare = {"PATH": "/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}


def run(*arguments):
    done = subprocess.run([samc, *arguments], capture_output=True, text=True, env=bare)
    return done.returncode, done.stdout, done.stderr


def expect(condition, what):
    if not condition:
        sys.exit(f"one_program_test: {what}")


libraries = subprocess.run(["ldd", samc], capture_output=True, text=True, check=True).stdout
for name in ("libcuda", "libcublas", "libcudnn", "libnv"):
    expect(name not in libraries.lower(), f"ldd shows an NVIDIA library:\n{libraries}")

code, out, said = run("info")
expect(code == 0 and "cuBLASLt" in out and "cuDNN" in out, f"info says nothing of the libraries: {out}{said}")
if built == "OFF":
    expect("no CUDA backend" in out, out)

with tempfile.TemporaryDirectory() as folder:
    code, out, said = run("segment", image, "--point", "210,140", "--backend", "cuda", "-q", "-o", folder)
    expect(code == 1 and said.count("\n") == 1 and "CUDA" in said, f"--backend cuda: {code} {said}")
    code, out, said = run("segment", image, "--point", "210,140", "-q", "-o", folder)
    expect(code == 0 and os.listdir(folder), f"on the CPU: {code} {said}")
print("one_program_test: passed")
