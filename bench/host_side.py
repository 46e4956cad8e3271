#!/usr/bin/env python3
"""The host's share of an archive of photographs, with nothing computed: how many images a core reads, decodes and
writes in a second, and how many GPUs that feeds.

    host_side.py --build build/release [--images 1000] [--distinct 8] [--scratch FOLDER] [--gpu-rate 74 ...]

Builds samc-host-side and samc-host-archive, makes the photographs (3 megapixels, quality 93, mosaics of
tools/examples with grain), times each stage alone by its thread's processor time, then runs the whole job of
`samc auto` with 100 made-up masks an image, by the processor time and the wall time of the process. Files lie in the
page cache: a disk is not measured.
"""

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def job(program, folder, out, formats):
    """Images a second of the processor, and of the clock, of the archive job."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [program, "auto", folder, "-o", out, "--format", formats, "--quiet"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--distinct", type=int, default=8)
    parser.add_argument("--scratch")
    parser.add_argument("--gpu-rate", type=float, default=74.6, help="images/s of one GPU that is to be fed")
    args = parser.parse_args()
    programs = ["samc-host-side", "samc-host-archive"]
    subprocess.run(["cmake", "--build", args.build, "--target", *programs], check=True, stdout=subprocess.DEVNULL)
    side, archive = ([p for p in args.build.rglob(name) if p.is_file()][0] for name in programs)

    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        distinct, folder = Path(scratch) / "distinct", Path(scratch) / "photographs"
        few = Path(scratch) / "few"  # overlays take long
        distinct.mkdir(), folder.mkdir(), few.mkdir()
        examples = sorted((ROOT / "tools" / "examples").glob("*.jpg"))
        subprocess.run([side, "photographs", distinct, str(args.distinct), *examples], check=True)
        command = [side, "stages", distinct, str(args.distinct), str(args.images)]
        stages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        masks = stages.pop("masks")
        print(f"{stages.pop('images')} images of 3.1 megapixels, {masks} masks each; one core, stage by stage\n")
        print("| stage | ms an image | images/s a core | MB an image |\n|---|---|---|---|")
        for name, stage in stages.items():
            ms, mb = 1e3 * stage["seconds"], 1e-6 * stage["bytes"]
            print(f"| {name} | {ms:.2f} | {1e3 / ms:.1f} | {mb:.2f} |")

        for i in range(args.images):
            for where in [folder, few] if i % 10 == 0 else [folder]:
                os.link(distinct / f"{i % args.distinct}.jpg", where / f"{i:05}.jpg")
        print(f"\nthe whole job, on {len(os.sched_getaffinity(0))} processors that may be shared\n")
        print("| --format | ms of processor an image | images/s a core | images/s by the clock | cores for one GPU |")
        print("|---|---|---|---|---|")
        for formats in ("rle", "jsonl", "coco", "rle,overlay"):
            of = few if "overlay" in formats else folder
            processor, wall = job(archive, of, Path(scratch) / formats.replace(",", "-"), formats)
            count = len(os.listdir(of))
            rate, cores = count / processor, args.gpu_rate * processor / count
            print(f"| {formats} | {1e3 / rate:.1f} | {rate:.1f} | {count / wall:.1f} | {cores:.1f} |", flush=True)


if __name__ == "__main__":
    main()
