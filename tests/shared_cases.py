#!/usr/bin/env python3
"""Cases that others found, from a folder of theirs: each is a folder with its files and a README of command,
expectation and what happened. Runs what it knows and prints a line a case.

    SAMC=build/release/bin/samc python3 tests/shared_cases.py FOLDER [-k NAME]

FOLDER holds inputs/ (a file, and expected.png or expected_logits.npy) and attacks/. Exit 1 if a case does not give what
it expects; a case that this script has no rule for is printed as "unknown" and counted. The tests' own members of these
kinds are in tests/cases.
"""

import glob
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SAMC = os.path.abspath(os.environ.get("SAMC", "build/release/bin/samc"))


class Scene:
    """One case's folder, copied to a scratch one in which commands run."""

    def __init__(self, source, folder):
        self.source, self.folder = source, folder
        shutil.copytree(source, folder, dirs_exist_ok=True)
        for path, _, names in os.walk(folder):
            for name in [path, *(os.path.join(path, name) for name in names)]:
                os.chmod(name, os.stat(name).st_mode | stat.S_IWUSR)
        self.readme = open(os.path.join(source, "README")).read()

    def at(self, *names):
        return os.path.join(self.folder, *names)

    def run(self, *arguments, shell=None, timeout=120, env=None):
        command = ["bash", "-c", shell] if shell else [SAMC, *arguments]
        path = os.path.dirname(SAMC) + os.pathsep + os.environ["PATH"]
        try:
            done = subprocess.run(
                command,
                cwd=self.folder,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                env={**os.environ, "PATH": path, **(env or {})},
            )
        except subprocess.TimeoutExpired:
            return None, "", "does not end"
        return done.returncode, done.stdout, done.stderr.strip()

    def only(self, *but):
        """The one file that is not of the case's own apparatus."""
        found = [name for name in sorted(os.listdir(self.source)) if name not in ("README", *but)]
        assert len(found) == 1, found
        return found[0]

    def lines(self, name):
        path = self.at(*name.split("/"))
        return open(path).read().count("\n") if os.path.exists(path) else 0

    def auto(self, *inputs, options=("--format", "jsonl"), **more):
        model = ["--model", "small.safetensors"] if os.path.exists(self.at("small.safetensors")) else []
        return self.run("auto", *inputs, "-o", "o", *model, *options, "-q", **more)


def one_line(said):
    return said.count("\n") == 0 and said.startswith("samc")


def floats(path):
    data = open(path, "rb").read()
    length = struct.unpack("<H", data[8:10])[0]
    return struct.unpack(f"<{(len(data) - 10 - length) // 4}f", data[10 + length :])


# ---- inputs ---------------------------------------------------------------------------------------


def pixels(s):
    image = s.only("expected.png")
    code, _, said = s.run("embed", image, "-o", "a.npy")
    if code != 0:
        return False, said
    s.run("embed", "expected.png", "-o", "b.npy")
    return open(s.at("a.npy"), "rb").read() == open(s.at("b.npy"), "rb").read(), "embeddings compared byte by byte"


def logits(s):
    model = s.only("expected_logits.npy", "image.png")
    code, _, said = s.run(
        "segment", "image.png", "--point", "30,12", "--model", model, "--format", "rle", "--logits", "l.npy", "-o", "o"
    )
    if code != 0:
        return False, said
    got, wanted = floats(s.at("l.npy")), floats(s.at("expected_logits.npy"))
    mean = sum(wanted) / len(wanted)
    deviation = (sum((x - mean) ** 2 for x in wanted) / len(wanted)) ** 0.5
    worst = max(abs(a - b) for a, b in zip(got, wanted)) / deviation
    return len(got) == len(wanted) and worst <= 1e-3, f"{worst:.1e} deviations"


def nan_model(s):
    code, _, said = s.run(
        "segment", "image.png", "--point", "30,12", "--model", "diverged.pth", "--format", "rle", "-q"
    )
    return code == 1 and one_line(said) and "diverged.pth" in said, said


def device_kept(s):
    subprocess.run(["mknod", "-m", "666", s.at("dev"), "c", "1", "3"], check=True)
    image = "image.png" if os.path.exists(s.at("image.png")) else "img.png"
    code, _, said = s.auto(image, options=("--points-per-side", "2", "--stats", "dev"))
    return code in (0, 1) and stat.S_ISCHR(os.stat(s.at("dev")).st_mode), said or "still a device"


def logits_to_pipe(s):
    os.mkfifo(s.at("p"))
    code, out, said = s.run(
        shell=(
            "(timeout 20 cat p | wc -c) & samc segment image.png --point 30,12 --format rle --logits p -q -o o "
            ">/dev/null; stat -c %F p; wait"
        )
    )
    return "196736" in out and "fifo" in out, f"{out.split()} {said}"


def counted(images, code=0, options=("--format", "jsonl"), **more):
    def check(s):
        inputs = [name for name in sorted(os.listdir(s.source)) if name not in ("README", "small.safetensors")]
        good, notes = True, []
        for name in inputs:
            shutil.rmtree(s.at("o"), ignore_errors=True)
            got, _, said = s.auto(name, options=options, **more)
            count = s.lines("o/masks.jsonl")
            good &= got == code and count == images
            notes.append(f"{name}: exit {got}, {count} images {said.splitlines()[-1] if said else ''}")
        return good, "; ".join(notes)

    return check


def ascii_pnm(s):
    code, _, said = s.run("embed", "x.ppm", "-o", "a.npy")
    return code == 0 or "ASCII" in said, said or "read"


def list_mark(s):
    code, _, said = s.auto("@list.txt", options=("--points-per-side", "3", "--format", "jsonl"))
    return code == 0 and s.lines("o/masks.jsonl") == 2, said


def amg_device(s):
    code, _, said = s.run("auto", "image.png", "--output", "oo", "--device", "cpu", "--points-per-side", "2")
    return code == 0, said


def crop_layers(s):
    code, _, said = s.run(
        "auto", "in", "-o", "oo", "--crop-n-layers", "5", "--points-per-side", "2", "-q", timeout=900
    )  # 1365 crops
    return code in (0, 3) and "does not hold" not in said, f"exit {code} {said}"


# ---- attacks --------------------------------------------------------------------------------------


def big_window(s):
    code, _, said = s.run("segment", "img.png", "--point", "1,1", "--format", "rle", "--model", "win.pth", "-o", "o")
    again = [
        s.run(
            "segment",
            "img.png",
            "--point",
            "1,1",
            "--format",
            "rle",
            "--model",
            "win.pth",
            "-q",
            "--backend",
            b,
            "-o",
            f"o{b}",
        )[1]
        for b in ("cpu", "ref")
    ]
    if code == 1:
        return one_line(said), said
    masks = [[m["rle"] if "rle" in m else m for m in json.loads(text).get("masks", [])] for text in again]
    return code == 0 and masks[0] == masks[1] and masks[0] != [], "masks of cpu and ref compared"


def nan_auto(s):
    code, _, said = s.run(
        "auto",
        "img.png",
        "-o",
        "o",
        "--format",
        "coco",
        "--model",
        "nan_all.safetensors",
        "--pred-iou-thresh",
        "0",
        "--stability-score-thresh",
        "0",
        "-q",
    )
    errors = open(s.at("o", "errors.jsonl")).read() if os.path.exists(s.at("o", "errors.jsonl")) else ""
    return (
        code in (1, 3)
        and "out of memory" not in said + errors
        and any(word in said + errors for word in ("NaN", "finite")),
        f"exit {code} {said} {errors}",
    )


def palette(s):
    codes = [
        s.run("segment", "pal1.bmp", "--point", "0,15", "--single", "-o", f"o{i}", "--format", "overlay")
        for i in range(2)
    ]
    if codes[0][0] == 1:
        return one_line(codes[0][2]), codes[0][2]
    files = [sorted(glob.glob(s.at(f"o{i}", "*.png"))) for i in range(2)]
    return [open(f, "rb").read() for f in files[0]] == [open(f, "rb").read() for f in files[1]] and bool(
        files[0]
    ), "two overlays compared"


def untouched(path, holds):
    def check(s):
        code, out, said = s.run(shell="bash run.sh")
        now = open(s.at(path)).read() if os.path.exists(s.at(path)) else None
        return now == holds and "samc" in said, f"{said.splitlines()[0] if said else out}"

    return check


def state_as_input(s):
    _, out, said = s.run(shell="bash run.sh")
    return "refused" in said or "state" in said or ".samc" in said, said.splitlines()[0] if said else out


def long_folder(s):
    first, second = s.auto("long22.tar", options=("--format", "rle")), s.auto(
        "long22.tar", options=("--format", "rle", "--resume")
    )
    done = len(glob.glob(s.at("o", "**", "*.json"), recursive=True))
    return (
        first[0] == 3 and second[0] == 3 and s.lines("o/errors.jsonl") == 1 and done == 2,
        f"exit {first[0]}, {second[0]}; {done} done",
    )


def closed_stderr(s):
    s.run(shell="samc auto in -o o --model small.safetensors --format jsonl >&- 2>&-")
    journal = (
        open(s.at("o", ".samc", "journal"), errors="replace").read()
        if os.path.exists(s.at("o", ".samc", "journal"))
        else ""
    )
    return "images" not in journal, f"journal of {len(journal)} bytes"


def fifo(s):
    os.mkfifo(s.at("f.png"))
    code, _, said = s.run(
        "segment", "f.png", "--point", "1,1", "--format", "rle", "--model", "small.safetensors", "-o", "o", timeout=300
    )
    return code == 1 and one_line(said) and "regular" in said, said


def outage(s):
    _, out, said = s.run(shell="bash run.sh", timeout=500)
    return "done: 60 of 60" in out and s.lines("out/errors.jsonl") == 0, (out.strip() or said).splitlines()[-1]


def listing(s):
    library, folder = s.at("eio.so"), s.at("crash")
    if subprocess.run(["cc", "-shared", "-fPIC", "-w", "-o", library, s.at("eio.c"), "-ldl"]).returncode:
        return None, "needs a C compiler"
    os.makedirs(os.path.join(folder, "in"))
    subprocess.run(
        [
            "tar",
            "-cf",
            os.path.join(folder, "in", "t.tar"),
            "-C",
            os.path.join(HERE, "data", "images"),
            "jpeg_420.jpg",
            "exif_6.jpg",
        ],
        check=True,
    )
    shutil.copy(os.path.join(HERE, "data", "images", "jpeg_420.jpg"), os.path.join(folder, "in", "a.jpg"))
    command = (
        f"cd crash; samc auto in -o out --format jsonl --points-per-side 2 --model "
        f"{ROOT}/tests/data/golden/tiny.safetensors -q"
    )
    first = s.run(shell=command, env={"EIO_CALL": "readin", "EIO_AT": "0", "LD_PRELOAD": library})
    second = s.run(shell=command + " --resume")
    return (
        first[0] == 1 and one_line(first[2]) and second[0] == 0 and s.lines("crash/out/masks.jsonl") == 3,
        f"{first[2]}; then {s.lines('crash/out/masks.jsonl')} of 3",
    )


def journal_bit(s):
    _, out, said = s.run(shell="bash run.sh")
    wanted = [line for line in said.splitlines() if "journal" in line]
    return bool(wanted) and not os.path.exists(s.at("lost")), wanted[0] if wanted else said


def small_image(s):
    options = (
        "--format",
        "rle",
        "--crop-n-layers",
        "4",
        "--points-per-side",
        "16",
        "--crop-n-points-downscale-factor",
        "2",
        "--resume",
    )
    code, _, said = s.auto("t34", options=options)
    return code in (0, 3) and bool(glob.glob(s.at("o", "z.jpg.json"))), f"exit {code} {said}"


def empty_output(s):
    code, _, said = s.run(shell='out=; samc auto img.png -o "$out" --format rle --model small.safetensors')
    return code == 2, said


def callback(s):
    build = (
        f"cc -w -o capi capi.c -I{ROOT}/runtime {ROOT}/build/release/libsamc.so "
        f"-Wl,-rpath,{ROOT}/build/release -lm -lpthread"
    )
    if s.run(shell=build)[0]:
        return None, "needs build/release/libsamc.so"
    shutil.copytree(os.path.join(ROOT, "tests", "data", "golden"), s.at("source", "tests", "data", "golden"))
    if not os.path.exists(s.at("small.safetensors")):
        shutil.copy(os.path.join(ROOT, "tests", "data", "golden", "tiny.safetensors"), s.at("small.safetensors"))
    _, out, _ = s.run(shell="./capi", timeout=600)
    # A session that is destroyed in its own callback, or twice, is freed memory: no library can tell.
    bad = [
        line
        for line in out.splitlines()
        if "SIGNAL" in line and line.split()[0] not in ("reenter_destroy", "double_destroy", "model_closed_first")
    ]
    return "=> exit" in out and not bad, f"{out.count('=> exit')} calls end, {'; '.join(bad) or 'none by a signal'}"


def queue(s):
    code, _, said = s.auto("img.png", options=("--format", "jsonl", "--queue", "536870912"))
    return code == 2, said


def top_down(s):
    code, _, said = s.run(
        "segment", "topdown8.bmp", "--point", "1,1", "--format", "rle", "--model", "small.safetensors", "-o", "o"
    )
    return code == 0, said


def small_gifs(s):
    os.mkdir(s.at("b"))
    for i in range(24):
        shutil.copy(s.at("g1.gif"), s.at("b", f"{i}.gif"))
    _, _, said = s.run(
        shell=(
            "/usr/bin/time -f '%M KB' samc auto b -o o --format jsonl --points-per-side 1 --model "
            "small.safetensors -q --memory 600M"
        )
    )
    kilobytes = int(said.split()[-2]) if said.endswith("KB") else 1 << 40
    return kilobytes < 1 << 20, f"{kilobytes >> 10} MB resident"


RULES = {
    "nan-upscaling": nan_model,
    "nan-no-mask": nan_model,
    "stats-to-device": device_kept,
    "logits-to-pipe": logits_to_pipe,
    "targz-hard-link": counted(3, options=("--format", "jsonl", "--points-per-side", "3")),
    "tar-jfif-dib": counted(3, options=("--format", "jsonl", "--points-per-side", "3")),
    "tar-xz-archive": counted(1, options=("--format", "jsonl", "--points-per-side", "3")),
    "ppm-ascii": ascii_pnm,
    "list-bom": list_mark,
    "amg-device-cpu": amg_device,
    "auto-five-crop-layers": crop_layers,
    "window-larger-than-grid": big_window,
    "nan-iou-reported": nan_auto,
    "bmp-palette": palette,
    "device-node-replaced": device_kept,
    "state-file-symlink": untouched("victim/thesis.txt", "precious\n"),
    "list-line-samc": state_as_input,
    "dangling-errors-link": untouched("victim/planted", None),
    "tar-hard-links": counted(3),
    "tars-concatenated": counted(2),
    "gzip-crc": counted(1, code=3),
    "long-folder": long_folder,
    "closed-stderr": closed_stderr,
    "fifo-as-image": fifo,
    "input-outage": outage,
    "transient-EIO": listing,
    "one-bit-in-the-journal": journal_bit,
    "one-small-image": small_image,
    "empty-output": empty_output,
    "callback-calls": callback,
    "queue-overflows": queue,
    "top-down-bmp": top_down,
    "small-gifs": small_gifs,
}


def rule_of(source):
    name = os.path.basename(source)
    for part, rule in RULES.items():
        if part in name:
            return rule
    if os.path.exists(os.path.join(source, "expected.png")):
        return pixels
    return logits if os.path.exists(os.path.join(source, "expected_logits.npy")) else None


def main():
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[1]):
        sys.exit(__doc__)
    wanted = sys.argv[sys.argv.index("-k") + 1] if "-k" in sys.argv else ""
    counts = {"ok": 0, "FAIL": 0, "unknown": 0, "skipped": 0}
    for source in sorted(glob.glob(os.path.join(sys.argv[1], "*", "*", ""))):
        source = source.rstrip("/")
        if wanted not in source:
            continue
        rule = rule_of(source)
        with tempfile.TemporaryDirectory(prefix="samc-case-") as scratch:
            good, note = (None, "no rule") if rule is None else rule(Scene(source, os.path.join(scratch, "case")))
        state = "ok" if good else "unknown" if rule is None else "skipped" if good is None else "FAIL"
        counts[state] += 1
        note = " ".join(note.split())[:160]
        print(f"{state:8} {os.path.relpath(source, sys.argv[1])}: {note}", flush=True)
    print(", ".join(f"{count} {state}" for state, count in counts.items()))
    return counts["FAIL"] != 0 or sum(counts.values()) == 0


if __name__ == "__main__":
    sys.exit(main())
