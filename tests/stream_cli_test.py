#!/usr/bin/env python3
"""samc stream as a user runs it. Which frames are dropped is decided by --clock, or not looked at: nothing here depends
on how fast the machine is."""

import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
SAMC = os.environ["SAMC"]
MODEL = str(HERE / "data/golden/tiny.safetensors")
WIDTH, HEIGHT = 40, 32
POINT = ["--point", "20,16"]


def luma(number):
    return bytes((60 + 90 * ((x + 2 * number) // 8 % 2) + y) for y in range(HEIGHT) for x in range(WIDTH))


def y4m(frames, tags=" F30:1 Cmono XCOLORRANGE=FULL"):
    text = f"YUV4MPEG2 W{WIDTH} H{HEIGHT}{tags}\n".encode()
    return text + b"".join(b"FRAME\n" + luma(i) for i in range(frames))


class StreamTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="samc-stream-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.video = str(self.folder / "in.y4m")
        Path(self.video).write_bytes(y4m(20))

    def stream(self, *arguments, code=0, **options):
        run = subprocess.run(
            [SAMC, "stream", "--model", MODEL, "--threads", "1", *arguments],
            capture_output=True,
            timeout=300,
            **options,
        )
        self.assertEqual(run.returncode, code, run.stderr.decode())
        return run.stdout, run.stderr.decode()

    def lines(self, *arguments, **options):
        return [json.loads(line) for line in self.stream(*arguments, **options)[0].splitlines()]

    def error(self, *arguments, code=1, **options):
        """The one line that it ends with."""
        _, text = self.stream("--quiet", *arguments, code=code, **options)
        self.assertEqual(text.count("\n"), 1, text)
        return text

    def test_latest_frame_wins(self):
        lines = self.lines(self.video, *POINT, "--clock", "0.11", "--stats", str(self.folder / "s.json"))
        self.assertEqual([line["frame"] for line in lines], [0, 3, 6, 9, 13, 16, 19])
        for line in lines:
            self.assertAlmostEqual(line["time"], line["frame"] / 30, places=5)
            self.assertEqual(len(line["masks"]), 1)
            self.assertEqual(line["masks"][0]["segmentation"]["size"], [HEIGHT, WIDTH])
        self.assertAlmostEqual(lines[1]["latency"], 0.22 - 3 / 30, places=5)
        stats = json.loads((self.folder / "s.json").read_text())
        self.assertEqual([stats[k] for k in ("frames", "done", "dropped", "failed")], [20, 7, 13, 0])
        self.assertAlmostEqual(stats["seconds"], 0.77, places=6)
        self.assertAlmostEqual(stats["rate"], 7 / 0.77, places=5)
        self.assertAlmostEqual(stats["latency"]["p99"], max(line["latency"] for line in lines), places=5)
        # Fast enough, or asked for: none is dropped.
        for arguments in (["--clock", "0.03"], ["--clock", "5", "--every"]):
            lines = self.lines(self.video, *POINT, *arguments)
            self.assertEqual([line["frame"] for line in lines], list(range(20)))

    def test_live(self):
        for arguments in ([self.video], ["-"], ["-", "--every"]):
            out, text = self.stream(*arguments, *POINT, input=y4m(20) if "-" in arguments else None)
            numbers = [json.loads(line)["frame"] for line in out.splitlines()]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual(numbers[-1], 19)  # the last one is never dropped
            self.assertIn(f"20 frames: {len(numbers)} done, {20 - len(numbers)} dropped, 0 failed", text)
        self.assertEqual(numbers, list(range(20)))

    def test_overlay(self):
        """On standard output in place of the lines; a dropped frame shows the one that won."""
        out, _ = self.stream(self.video, *POINT, "--clock", "0.11", "--overlay", "-", "-o", str(self.folder / "l"))
        self.assertEqual(len((self.folder / "l").read_text().splitlines()), 7)
        header, body = out.split(b"\n", 1)
        self.assertEqual(header, b"YUV4MPEG2 W40 H32 F30:1 Ip A1:1 C420jpeg XCOLORRANGE=FULL")
        size = 6 + WIDTH * HEIGHT * 3 // 2
        frames = [body[i : i + size] for i in range(0, len(body), size)]
        self.assertEqual(len(frames), 20)
        self.assertTrue(all(len(f) == size and f.startswith(b"FRAME\n") for f in frames))
        self.assertEqual(frames[1], frames[3])
        self.assertNotEqual(frames[3], frames[4])
        only, _ = self.stream(self.video, *POINT, "--clock", "0.11", "--overlay", "-")
        self.assertEqual(only, out)
        # Outside the masks it is the video.
        masks = [json.loads(line) for line in (self.folder / "l").read_text().splitlines()]
        counts = masks[0]["masks"][0]["area"]
        self.assertNotIn("point_coords", masks[0]["masks"][0])  # which is the point that found an automatic mask
        same = sum(a == b for a, b in zip(frames[0][6 : 6 + WIDTH * HEIGHT], luma(0)))
        self.assertGreater(counts, 0)
        self.assertLess(same, WIDTH * HEIGHT)
        self.assertGreaterEqual(same, (WIDTH * HEIGHT - counts) // 2)

    def test_raw_frames(self):
        raw = b"".join(bytes(v for v in luma(i) for _ in range(3)) for i in range(20))
        lines = self.lines("-", "--frames", f"{WIDTH}x{HEIGHT}@30", *POINT, "--clock", "0.11", input=raw)
        self.assertEqual(lines, self.lines(self.video, *POINT, "--clock", "0.11"))
        lines = self.lines("-", "--frames", f"{WIDTH}x{HEIGHT}", *POINT, "--every", input=raw)
        self.assertEqual(len(lines), 20)
        self.assertNotIn("time", lines[0])  # nobody said how long a frame is

    def test_prompts(self):
        (self.folder / "p.json").write_text('[{"box": [2, 2, 30, 28]}, {"points": [[9, 9]]}]')
        lines = self.lines(self.video, "--prompts", str(self.folder / "p.json"), "--clock", "1")
        self.assertEqual([len(line["masks"]) for line in lines], [2] * len(lines))
        boxes = self.lines(self.video, "--box", "2,2,30,28", "--box", "0,0,9,9", "--single", "--clock", "1")
        self.assertEqual([len(line["masks"]) for line in boxes], [2] * len(lines))
        few = ["--points-per-side", "2", "--pred-iou-thresh", "0", "--stability-score-thresh", "0"]
        few += ["--box-nms-thresh", "2"]
        three = len(self.lines(self.video, *few, "--clock", "1")[0]["masks"])
        self.assertGreater(three, 0)
        one = len(self.lines(self.video, *few, "--no-multimask", "--clock", "1")[0]["masks"])  # a flag, as of auto
        self.assertTrue(0 < one < three, (one, three))

    def test_bad_input(self):
        say = lambda data, *more: self.error("-", *POINT, "--clock", "1", *more, input=data)
        self.assertIn("not a y4m video", say(b"\x89PNG\r\n" + bytes(100)))
        self.assertIn("empty", say(b""))
        self.assertIn("a side has 1 to 16384", say(b"YUV4MPEG2 W999999999 H9\n"))
        self.assertIn("420p10", say(b"YUV4MPEG2 W40 H32 C420p10\n"))
        self.assertIn("no.y4m", self.error("no.y4m", *POINT))
        self.assertIn("a side has", say(b"", "--frames", "99999x9"))
        for data, why in (
            (y4m(3)[:-5], "frame 2 is cut off"),
            (y4m(2) + b"JUNK" * 20 + b"\n", "frame 2 does not begin"),
        ):
            out, text = self.stream("-", *POINT, "--every", "--quiet", code=1, input=data)
            self.assertEqual(len(out.splitlines()), 2)  # what came before is done
            self.assertIn(why, text)
            self.assertEqual(text.count("\n"), 1)

    def test_usage(self):
        for arguments, why in (
            ([], "give one INPUT"),
            ([self.video, "x"], "give one INPUT"),
            ([self.video, "--frames", "40"], "WIDTHxHEIGHT"),
            ([self.video, "--frames", "40x32@x"], "WIDTHxHEIGHT"),
            ([self.video, "--frames", "40x32@0"], "WIDTHxHEIGHT"),
            ([self.video, "--matrix", "602"], "601 or 709"),
            ([self.video, "--clock", "-1"], "--clock"),
            ([self.video, "--point", "x"], "x"),
            ([self.video, "--point", "40,5"], "outside"),
            ([self.video, "--single"], "--single"),
            ([self.video, *POINT, "--points-per-side", "3"], "without prompts"),
            ([self.video, "--points-per-side", "0"], "points-per-side"),
            ([self.video, *POINT, "--prompts", "p"], "--prompts goes without"),
            (["-", "--prompts", "-"], "standard input"),
            ([self.video, "-o", "-", "--overlay", "-"], "standard output"),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(why, self.error(*arguments, code=2))

    def test_nobody_reads(self):
        """A reader that goes away ends the run with one line."""
        for more in ([], ["--overlay", "-"]):
            read, write = os.pipe()
            os.close(read)
            run = subprocess.run(
                [SAMC, "stream", "--model", MODEL, "--quiet", self.video, *POINT, "--every", *more],
                stdout=write,
                stderr=subprocess.PIPE,
                timeout=300,
            )
            os.close(write)
            self.assertEqual(run.returncode, 1)
            self.assertIn(b"cannot be written", run.stderr)
            self.assertEqual(run.stderr.count(b"\n"), 1)

    def test_full_disk(self):
        self.assertIn("cannot be written", self.error(self.video, *POINT, "--clock", "1", "-o", "/dev/full"))
        self.assertIn("cannot be written", self.error(self.video, *POINT, "--clock", "1", "--overlay", "/dev/full"))

    def test_interrupted(self):
        """A signal ends a camera's stream as its end would, with what was counted."""
        run = subprocess.Popen(
            [SAMC, "stream", "--model", MODEL, "-", *POINT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        run.stdin.write(y4m(1))
        run.stdin.flush()
        self.assertEqual(json.loads(run.stdout.readline())["frame"], 0)
        run.send_signal(signal.SIGINT)
        run.wait(timeout=300)
        text = run.stderr.read().decode()
        run.stdin.close(), run.stdout.close(), run.stderr.close()
        self.assertEqual(run.returncode, 130, text)
        self.assertIn("1 frames: 1 done", text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
