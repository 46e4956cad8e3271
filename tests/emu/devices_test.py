#!/usr/bin/env python3
"""samc-emu auto on two emulated GPUs: the bytes of one, in order, with work for both; a GPU that is lost ends the run
with one line, and what was done before is kept and gone on from.

Nothing here asks who runs when. A picture costs the same pieces of work on whichever GPU, so the points at which GPUs
meet, or are lost, are told in pieces, and what must hold there holds for every order of the threads.

    devices_test.py SAMC_EMU ROOT
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

EMU, ROOT = sys.argv[1], Path(sys.argv[2])
IMAGES = 12
# Jobs of the run: those of a load thread, a write thread, each GPU, and four times --queue. Images are committed in
# order, so what is begun is less than that ahead of what is committed.
JOBS = 1 + 1 + 2 + 4


def photograph(file, i, width=40, height=30):
    file.parent.mkdir(exist_ok=True)
    pixels = bytes(
        (x * (3 + i) + y * 2 + 90 * ((x - 12 - i) ** 2 + (y - 15) ** 2 < 60) + 20 * c) % 256
        for y in range(height)
        for x in range(width)
        for c in range(3)
    )
    file.write_bytes(b"P6 %d %d 255\n" % (width, height) + pixels)


def auto(at, out, *options, images="in", devices=2, lose=0, meet=0):
    """Runs; returns it and how many pieces of work each GPU did."""
    report = at / "report"
    environment = dict(
        os.environ,
        SAMC_EMU_DEVICES=str(devices),
        SAMC_EMU_LOSE=str(lose),
        SAMC_EMU_MEET=str(meet),
        SAMC_EMU_REPORT=str(report),
        SAMC_EMU_SEED=os.environ.get("SAMC_EMU_SEED", "1"),
    )
    done = subprocess.run(
        [
            EMU,
            "auto",
            at / images,
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
            "--load-threads",
            "1",
            "--write-threads",
            "1",
            "--queue",
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


def expect_lost(done, kept, expected):
    """One line, and the results of the first images, whole."""
    print(done.stderr.strip(), flush=True)
    expect(
        done.returncode == 1 and done.stderr.count("\n") == 1 and "unspecified launch failure" in done.stderr,
        f"a lost GPU: {done.stderr}",
    )
    results = sorted(name for name in kept if name.endswith(".ppm.json"))
    expect(
        results == sorted(name for name in expected if name.endswith(".ppm.json"))[: len(results)]
        and all(kept[name] == expected[name] for name in results)
        and f"({len(results)} of " in done.stderr,
        f"what was done is not kept: {list(kept)}",
    )
    return len(results)


def main():
    with tempfile.TemporaryDirectory() as temporary:
        at = Path(temporary)
        for i in range(IMAGES):
            photograph(at / "in" / f"{i:02}.ppm", i)
        photograph(at / "two" / "00.ppm", 0)
        photograph(at / "two" / "01.ppm", 1)
        one, works = auto(at, "one", devices=1)
        expect(one.returncode == 0, one.stderr)
        expected = files(at / "one")
        expect(
            len(expected) == IMAGES + 2 and any(b"counts" in data for data in expected.values()),
            f"files {list(expected)}",
        )
        total = works[0]
        done, works = auto(at, "few", images="two", devices=1)
        expect(done.returncode == 0, done.stderr)
        image = (total - works[0]) // (IMAGES - 2)
        opening = works[0] - 2 * image
        print(f"{total} pieces of work on one device: {opening} and {image} an image", flush=True)
        expect(total == opening + IMAGES * image and image > 10 and opening >= 0, "pictures differ in their work")

        # Neither GPU goes on beyond half an image before the other has come so far: that each gets one is seen by the
        # run's end. The sum says that nothing was done twice.
        for name, device in (("both", "0,1"), ("all", "all"), ("turned", "1,0")):
            done, works = auto(at, name, "--device", device, meet=opening + image // 2)
            print(f"--device {device}: {works} pieces of work", flush=True)
            expect(done.returncode == 0, done.stderr)
            expect(files(at / name) == expected and done.stdout == one.stdout, f"--device {device} makes other files")
            expect(sum(works) == total + opening, f"--device {device}: not each image once")
            expect(min(works) >= opening + image, f"--device {device} leaves a GPU idle")
        done, works = auto(at, "second", "--device", "1")
        expect(
            done.returncode == 0 and files(at / "second") == expected and works[0] == 0,
            "--device 1 is not the second GPU alone",
        )

        # Lost within the last image's work: less than an image is left to do, so every image has been begun, and all
        # but the latest JOBS are committed, whichever GPU did them and however long the other one lay still.
        done, works = auto(at, "lost", "--device", "0,1", lose=total + opening - image // 2)
        expect(expect_lost(done, files(at / "lost"), expected) >= IMAGES - JOBS, "less is kept than was committed")
        done, works = auto(at, "lost", "--device", "0", "--resume")
        expect(done.returncode == 0 and files(at / "lost") == expected, f"not gone on from: {done.stderr}")

        # Lost with the first piece of the second image, while the first one's results, which take longer, wait to be
        # written: they are.
        photograph(at / "large" / "00.ppm", 0, 1200, 900)
        done, works = auto(at, "large-alone", "--format", "rle,overlay", images="large", devices=1)
        expect(done.returncode == 0, done.stderr)
        photograph(at / "large" / "01.ppm", 1)
        done, lost = auto(at, "large-lost", "--format", "rle,overlay", images="large", devices=1, lose=works[0] + 1)
        expect(expect_lost(done, files(at / "large-lost"), files(at / "large-alone")) == 1, "a finished image is lost")

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
