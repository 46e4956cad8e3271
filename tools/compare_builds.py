#!/usr/bin/env python3
"""Whether two builds of samc give the same bytes: segment, auto in every format, embed, convert and info on the example
photographs.

    tools/compare_builds.py OLD/bin/samc NEW/bin/samc [--model FILE] [--backend cpu]

Left out of the comparison: version numbers, and of `info` figures of memory and time, paths, and what the build says of
the machine and of `--set`. Prints every file that differs and ends with 1 if there is one. Standard library only.
"""

import argparse
import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "tools/examples").glob("*.jpg"))
FORMATS = "rle,png,overlay,jsonl,coco"
VARIES = {"version", "cpu", "cuda", "notes", "path", "memory", "encode", "backends", "settings"}  # of `info --json`


def run(program, folder, *arguments):
    """Standard output of one command, run in `folder`; with its exit status where that is not 0."""
    done = subprocess.run([program, *map(str, arguments)], cwd=folder, capture_output=True)
    return done.stdout if done.returncode == 0 else b"exit %d: %s" % (done.returncode, done.stderr)


def without(value):
    if isinstance(value, dict):
        return {key: without(item) for key, item in value.items() if key not in VARIES}
    return value


def outputs(program, model, backend, folder):
    """Name -> bytes of everything that the commands print and write."""
    common = ["--model", model, "--backend", backend, "-q"]
    said = {}
    for image in EXAMPLES:
        name = image.stem
        said[f"{name} point"] = run(
            program, folder, "segment", image, "--point", "200,150", "--point", "20,20,0", "-o", f"s/{name}",
            "--logits", f"{name}.npy", "--format", "png,overlay,cutout,npy,rle", *common,
        )  # fmt: skip
        said[f"{name} boxes"] = run(
            program, folder, "segment", image, "--box", "30,40,220,210", "--box", "100,5,300,250", "--single",
            "--format", "rle", *common,
        )  # fmt: skip
        said[f"{name} mask"] = run(
            program, folder, "segment", image, "--point", "210,160", "--mask-input", f"{name}_low.npy",
            "--format", "rle", *common,
        )  # fmt: skip
        for suffix in ("safetensors", "npy"):
            said[f"{name} {suffix}"] = run(program, folder, "embed", image, "-o", f"{name}_embedding.{suffix}", *common)
        said[f"{name} embedding"] = run(
            program, folder, "segment", image, "--embedding", f"{name}_embedding.safetensors", "--point", "150,150",
            "--format", "rle", *common,
        )  # fmt: skip
    said["auto"] = run(program, folder, "auto", *EXAMPLES, "-o", "auto", "--format", FORMATS, *common)
    said["crops"] = run(
        program, folder, "auto", *EXAMPLES[:2], "-o", "crops", "--format", FORMATS, "--crop-n-layers", 1,
        "--points-per-side", 12, "--crop-n-points-downscale-factor", 2, "--min-mask-region-area", 60, *common,
    )  # fmt: skip
    for dtype in ("f32", "f16", "bf16"):
        said[f"convert {dtype}"] = run(
            program, folder, "convert", model, "-o", f"{dtype}.safetensors", "--dtype", dtype
        )
    info = run(program, folder, "info", "--json", *common[:4])
    try:
        said["info"] = json.dumps(without(json.loads(info)), indent=1).encode()
    except ValueError:
        said["info"] = info
    files = {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
    return {name: re.sub(rb"\b0\.[12]\.0\b", b"VERSION", data) for name, data in {**said, **files}.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "weights/samc-tiny.safetensors")
    parser.add_argument("--backend", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        got = []
        for program in (options.old, options.new):
            folder = Path(temporary) / "run"  # the same for both: names of files are part of what is printed
            folder.mkdir()
            write_masks(folder, options)
            got.append(outputs(program.resolve(), options.model.resolve(), options.backend, folder))
            folder.rename(Path(temporary) / f"run{len(got)}")
    old, new = got
    failed = [name for name, data in old.items() if data.startswith(b"exit ")]
    different = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
    for name in failed:
        print(f"the old build fails: {name}: {old[name].decode(errors='replace')[:300]}")
    for name in different:
        sizes = ["missing" if side.get(name) is None else f"{len(side[name])} bytes" for side in got]
        print(f"differs: {name} ({sizes[0]}, now {sizes[1]})")
        if new.get(name, b"").startswith(b"exit "):
            print("   ", new[name].decode(errors="replace")[:300])
    print(f"{len(old)} outputs compared, {len(different)} differ")
    return 1 if different or failed else 0


def write_masks(folder, options):
    """A rough mask for each example, the same for both builds: low-resolution logits, a disc."""
    info = json.loads(run(options.old.resolve(), folder, "info", "--json", "--model", options.model.resolve()))
    side = info["model"]["architecture"]["low_res"]
    values = [8.0 if (x - side / 3) ** 2 + (y - side / 3) ** 2 < (side / 4) ** 2 else -8.0
              for y in range(side) for x in range(side)]  # fmt: skip
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({side}, {side}), }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    data = (
        b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + struct.pack(f"<{side * side}f", *values)
    )
    for image in EXAMPLES:
        (folder / f"{image.stem}_low.npy").write_bytes(data)


if __name__ == "__main__":
    sys.exit(main())
