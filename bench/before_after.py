#!/usr/bin/env python3
"""Whether a change made samc slower: two programs in turn, round after round, by processor time.

    before_after.py OLD/bin/samc NEW/bin/samc [--rounds 15] [--model FILE] [--image FILE]
        [--stages encoder,decoder,auto]

Each round runs `samc bench` of both on one thread, the older first in every other round; a ratio is taken of the two,
and the median of the ratios is what counts: a machine that is busy or changes its clock treats both alike. Ends with 1
if a stage takes more than --limit percent (3) longer.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def processor_seconds(program, stage, args):
    command = [program, "bench", "--stage", stage, "--runs", "1", "--threads", "1", "--backend", "cpu", "--json"]
    done = subprocess.run(
        [*command, "--model", args.model, "--image", args.image], stdout=subprocess.PIPE, text=True, check=True
    )
    (row,) = json.loads(done.stdout)["stages"]
    return row["processor_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old")
    parser.add_argument("new")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--model", default=ROOT / "weights" / "samc-tiny.safetensors")
    parser.add_argument("--image", default=ROOT / "tools" / "examples" / "coffee.jpg")
    parser.add_argument("--stages", default="encoder,decoder,auto")
    parser.add_argument("--limit", type=float, default=3.0)
    args = parser.parse_args()
    slower = 0
    print(f"| processor time, {args.rounds} rounds | before | after | after / before: median (least to most) |")
    print("|---|---|---|---|")
    for stage in args.stages.split(","):
        seconds = {args.old: [], args.new: []}
        for number in range(args.rounds):
            for program in (args.old, args.new) if number % 2 == 0 else (args.new, args.old):
                seconds[program].append(processor_seconds(program, stage, args))
        ratios = [new / old for old, new in zip(seconds[args.old], seconds[args.new])]
        old, new, ratio = map(statistics.median, (seconds[args.old], seconds[args.new], ratios))
        spread = f"{min(ratios):.3f} to {max(ratios):.3f}"
        print(f"| {stage} | {1e3 * old:.2f} ms | {1e3 * new:.2f} ms | {ratio:.3f} ({spread}) |", flush=True)
        slower |= ratio > 1 + args.limit / 100
    return slower


if __name__ == "__main__":
    sys.exit(main())
