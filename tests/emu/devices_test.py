#!/usr/bin/env python3
"""samc-emu auto on two emulated GPUs: the bytes of one, in order, with work for both; a GPU that is lost ends the run
with one line, and what was done before is kept and gone on from.

    devices_test.py SAMC_EMU ROOT
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

EMU, ROOT = sys.argv[1], Path(sys.argv[2])
IMAGES, WIDTH, HEIGHT = 8, 40, 30


def photographs(folder):
    folder.mkdir()
    for i in range(IMAGES):
        pixels = bytes(
            (x * (3 + i) + y * 2 + 90 * ((x - 12 - i) ** 2 + (y - 15) ** 2 < 60) + 20 * c) % 256
            for y in range(HEIGHT)
            for x in range(WIDTH)
            for c in range(3)
        )
        (folder / f"{i}.ppm").write_bytes(b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + pixels)


def auto(at, out, *options, devices=2, lose=0):
    """Runs; returns it and how many pieces of work each GPU did."""
    report = at / "report"
    environment = dict(
        os.environ,
        SAMC_EMU_DEVICES=str(devices),
        SAMC_EMU_LOSE=str(lose),
        SAMC_EMU_REPORT=str(report),
        SAMC_EMU_SEED="1",
    )
    done = subprocess.run(
        [
            EMU,
            "auto",
            at / "in",
            "-o",
            at / out,
            "--model",
            ROOT / "tests/data/golden/tiny.safetensors",
            "--backend",
            "cuda",
            "--precision",
            "f32",
            "--threads",
            "1",
            "--points-per-side",
            "2",
            "--pred-iou-thresh",
            "0",
            "--stability-score-thresh",
            "0",
            "--batch-images",
            "1",
            "--format",
            "rle,jsonl,coco",
            "--no-sync",
            "-q",
            *options,
        ],
        capture_output=True,
        text=True,
        env=environment,
    )
    return done, [int(line.split()[1]) for line in report.read_text().splitlines() if line.startswith("device-")]


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".samc") for part in path.relative_to(folder).parts)
    }


def expect(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def main():
    with tempfile.TemporaryDirectory() as temporary:
        at = Path(temporary)
        photographs(at / "in")
        one, works = auto(at, "one", devices=1)
        expect(one.returncode == 0, one.stderr)
        expected = files(at / "one")
        expect(
            len(expected) == IMAGES + 2 and any(b"counts" in data for data in expected.values()),
            f"files {list(expected)}",
        )
        total = works[0]
        for name, device in (("both", "0,1"), ("all", "all"), ("turned", "1,0")):
            done, works = auto(at, name, "--device", device)
            print(f"--device {device}: {works} pieces of work, {total} on one device", flush=True)
            expect(done.returncode == 0, done.stderr)
            expect(files(at / name) == expected and done.stdout == one.stdout, f"--device {device} makes other files")
            expect(min(works) > total / 20, f"--device {device} leaves a GPU idle")
        done, works = auto(at, "second", "--device", "1")
        expect(
            done.returncode == 0 and files(at / "second") == expected and works[0] == 0,
            "--device 1 is not the second GPU alone",
        )

        done, works = auto(at, "lost", "--device", "0,1", lose=total * 2 // 3)
        print(done.stderr.strip(), flush=True)
        expect(
            done.returncode == 1 and done.stderr.count("\n") == 1 and "unspecified launch failure" in done.stderr,
            f"a lost GPU: {done.stderr}",
        )
        kept = files(at / "lost")
        results = [name for name in kept if name.endswith(".ppm.json")]
        expect(
            len(results) > 0
            and "done and kept" in done.stderr
            and all(kept[name] == expected[name] for name in results),
            f"what was done is not kept: {list(kept)}",
        )
        done, works = auto(at, "lost", "--device", "0", "--resume")
        expect(done.returncode == 0 and files(at / "lost") == expected, f"not gone on from: {done.stderr}")

        for device, words in (
            ("0,0", "without repetition"),
            ("0,", "list of GPUs"),
            ("x", "list of GPUs"),
            ("2", "no CUDA device 2"),
        ):
            done, works = auto(at, "refused", "--device", device)
            expect(
                done.returncode in (1, 2) and words in done.stderr and not (at / "refused").exists(),
                f"--device {device}: {done.stderr}",
            )
    print("two devices make the bytes of one")


if __name__ == "__main__":
    main()
