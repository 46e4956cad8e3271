"""Archives: what the pipeline of `samc auto` adds to its slowest stage, and PyTorch's automatic masks on the same
folder.

    archive.py --samc build/release/bin/samc FOLDER [--model FILE] [--points-per-side 16] [--images N]
        [--rounds N] [--format rle]

The original's scripts/amg.py knows only the official model types, so its loop stands here: SamAutomaticMaskGenerator on
one image after the other, decoded from the file, one JSON file of COCO run lengths each. Both sides have the same
weights, options and threads and run in turn. Wall time is what a user waits; processor time is said beside it, because
machines are shared. --no-torch leaves the peer out.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "parity"))


def processor_seconds(who):
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def run_samc(args, inputs, model):
    """One run over the images: seconds of the run, of the processor, of each stage by itself."""
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        stats = Path(folder) / "stats.json"
        command = [
            args.samc,
            "auto",
            "-",
            "-o",
            str(Path(folder) / "out"),
            "--format",
            args.format,
            "--stats",
            str(stats),
            "--model",
            model,
            "--threads",
            str(args.threads),
            "--points-per-side",
            str(args.points_per_side),
            "--quiet",
            *(["--no-sync"] if args.no_sync else []),
        ]
        before, start = processor_seconds(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, input="\n".join(map(str, inputs)).encode())
        wall, processor = time.perf_counter() - start, processor_seconds(resource.RUSAGE_CHILDREN) - before
        entries = json.loads(stats.read_text())
    total = lambda *names: sum(entry["seconds"][name] for entry in entries for name in names)
    stages = {
        "load": total("load") / args.load_threads,
        "compute": total("encode", "decode", "post"),
        "write": total("write") / args.write_threads,
        "commit": total("commit"),
    }
    return {"wall": wall, "processor": processor, "stages": stages, "masks": sum(entry["kept"] for entry in entries)}


def make_generator(args, model):
    import auto_parity
    import torch
    from segment_anything import SamAutomaticMaskGenerator

    torch.set_num_threads(args.threads)
    return SamAutomaticMaskGenerator(
        auto_parity.load_model(args.samc, model),
        points_per_side=args.points_per_side,
        output_mode="coco_rle",
        **thresholds(args, model),
    )


def thresholds(args, model):
    """The model's own defaults, which samc takes from its file."""
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "pixel.ppm"
        image.write_bytes(b"P6\n1 1\n255\nabc")
        subprocess.run(
            [
                args.samc,
                "auto",
                str(image),
                "-o",
                str(Path(folder) / "out"),
                "--format",
                "jsonl",
                "--model",
                model,
                "--points-per-side",
                "1",
                "--quiet",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        stated = json.loads((Path(folder) / "out" / ".samc-run.json").read_text())
    names = ("pred-iou-thresh", "stability-score-thresh", "stability-score-offset", "box-nms-thresh")
    return {name.replace("-", "_"): stated[name] for name in names}


def run_torch(args, inputs, generator):
    import numpy as np
    from PIL import Image

    masks = 0
    with tempfile.TemporaryDirectory(dir=args.scratch) as folder:
        before, start = processor_seconds(resource.RUSAGE_SELF), time.perf_counter()
        for path in inputs:
            records = generator.generate(np.asarray(Image.open(path).convert("RGB")))
            (Path(folder) / (Path(path).stem + ".json")).write_text(json.dumps(records))
            masks += len(records)
        wall, processor = time.perf_counter() - start, processor_seconds(resource.RUSAGE_SELF) - before
    return {"wall": wall, "processor": processor, "masks": masks}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samc", required=True)
    parser.add_argument(
        "--model", default=str(Path(__file__).resolve().parent.parent / "weights" / "samc-tiny.safetensors")
    )
    parser.add_argument("--points-per-side", type=int, default=16)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--load-threads", type=int, default=2)
    parser.add_argument("--write-threads", type=int, default=2)
    parser.add_argument("--format", default="rle")
    parser.add_argument("--no-sync", action="store_true")
    parser.add_argument("--no-torch", action="store_true")
    parser.add_argument("--scratch", help="folder for results; its file system decides what syncing costs")
    args = parser.parse_args()
    inputs = sorted(
        path for path in args.folder.resolve().rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    )[: args.images]
    generator = None if args.no_torch else make_generator(args, args.model)
    ours, theirs = [], []
    for _ in range(args.rounds):
        ours.append(run_samc(args, inputs, args.model))
        if generator is not None:
            theirs.append(run_torch(args, inputs, generator))
    middle = lambda runs, key: statistics.median(key(run) for run in runs)
    slowest = max(ours[0]["stages"], key=lambda stage: middle(ours, lambda run: run["stages"][stage]))
    print(
        f"{len(inputs)} images, {args.points_per_side} x {args.points_per_side} points, {args.threads} threads, "
        f"{args.format}, median of {args.rounds}"
    )
    for name, runs in (("samc", ours), ("PyTorch", theirs)):
        if runs:
            wall = middle(runs, lambda run: run["wall"])
            print(
                f"  {name:8} {wall:8.2f} s   {len(inputs) / wall:7.2f} images/s   "
                f"{middle(runs, lambda run: run['processor']):8.2f} s of processor   {runs[0]['masks']} masks"
            )
    for stage in ours[0]["stages"]:
        print(f"    {stage:8} {middle(ours, lambda run: run['stages'][stage]):8.2f} s")
    print(
        f"  the slowest stage, {slowest}, takes "
        f"{100 * middle(ours, lambda run: run['stages'][slowest] / run['wall']):.1f} % of the run"
    )
    if theirs:
        print(
            "  samc is %.1fx as fast by the clock, %.1fx by processor time"
            % tuple(statistics.median(b[key] / a[key] for a, b in zip(ours, theirs)) for key in ("wall", "processor"))
        )


if __name__ == "__main__":
    main()
