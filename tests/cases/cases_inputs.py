"""What goes into samc auto: numbers, odd sizes, links, archives of other kinds, outages, memory."""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import stat
import subprocess
import struct
import tarfile
import time
import unittest
import zipfile
import zlib

from archive_case import FAULTS, OPTIONS, TINY, Archive, held, pack, picture, png, ppm, put, records, tree
from cli_test import PHOTO, SAMC, read, run


class Numbers(Archive):
    def test_a_threshold_beyond_0_to_1_turns_its_filter_off(self):
        off = "--model", TINY, "--points-per-side", "2", "--format", "jsonl", "-q"
        self.good(
            "auto",
            PHOTO,
            "-o",
            self.at("zero"),
            *off,
            "--pred-iou-thresh",
            "0",
            "--stability-score-thresh",
            "0",
            "--box-nms-thresh",
            "1",
        )
        self.good(
            "auto",
            PHOTO,
            "-o",
            self.at("less"),
            *off,
            "--pred-iou-thresh",
            "-1",
            "--stability-score-thresh",
            "-1",
            "--box-nms-thresh",
            "1.1",
        )
        masks = read(self.at("zero", "masks.jsonl"))
        self.assertEqual(masks, read(self.at("less", "masks.jsonl")))
        self.assertEqual(masks.count(b'"bbox"'), 12)

    def test_out_of_range_is_wrong_usage_that_names_the_range(self):
        ranges = {
            "points-per-side": "1 to 1024",
            "points-per-batch": "1 to 4096",
            "pred-iou-thresh": "-1000 to 1000",
            "stability-score-thresh": "-1000 to 1000",
            "stability-score-offset": "0 to 1000000",
            "box-nms-thresh": "-1000 to 1000",
            "crop-n-layers": "0 to 6",
            "crop-nms-thresh": "-1000 to 1000",
            "crop-overlap-ratio": "0 to 0.999",
            "crop-n-points-downscale-factor": "1 to 1024",
            "min-mask-region-area": "0 to 999999999",
            "lines-per-file": "1 to 999999999",
            "max-pixels": "1 to 178956970",
            "batch-images": "1 to 256",
            "load-threads": "1 to 64",
            "write-threads": "1 to 64",
            "queue": "1 to 10000",
            "threads": "1 to 256",
        }
        for name, bounds in ranges.items():
            for value in (
                "536870912" if name not in ("lines-per-file", "min-mask-region-area") else "4294967297",
                "-1001",
                "99999999999999999999",
                "nan",
                "1e400",
                "0x1",
                "much",
            ):
                self.usage(f"--{name} is a ", "auto", PHOTO, "-o", self.at("o"), f"--{name}={value}")
                self.usage(bounds, "auto", PHOTO, "-o", self.at("o"), f"--{name}={value}")
        for value in ("536870912", "0", "-1", "x"):
            self.usage("--runs is a whole number from 1 to ", "bench", f"--runs={value}")
            self.usage("(0 to 9999)", "segment", PHOTO, "-o", self.at("o"), "--point", "1,1", "--device=10000")
            self.usage(
                "--threads is a whole number from 1 to 256",
                "segment",
                PHOTO,
                "-o",
                self.at("o"),
                "--point",
                "1,1",
                f"--threads={value}",
            )
        self.usage(
            "--shard is I/N with N from 1 to 100000", "auto", PHOTO, "-o", self.at("o"), "--shard", "0/536870912"
        )
        self.assertEqual(os.listdir(self.folder), [])


class OddSizes(Archive):
    def test_crops_of_small_and_narrow_images(self):
        for width, height in ((1, 1), (40, 30), (3, 400), (300, 1)):
            put(self.at("in", f"{width}x{height}.ppm"), ppm(width, height, self.dice.randbytes(3 * width * height)))
        lines, _ = self.auto(
            self.at("in"),
            "-o",
            self.at("o"),
            "--format",
            "rle,coco",
            "--crop-n-layers",
            "2",
            "--min-mask-region-area",
            "2",
        )
        self.assertEqual(len(lines), 4)
        self.assertTrue(all(line["masks"] > 0 for line in lines), lines)


def tar_of(path, entries, compress=lambda data: data, end=True):
    """An archive of (name, bytes), or (name, what it leads to, tarfile's type)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data, *kind in entries:
            entry = tarfile.TarInfo(name)
            if kind:
                entry.type, entry.linkname = kind[0], data
            else:
                entry.size = len(data)
            tar.addfile(entry, None if kind else io.BytesIO(data))
        length = tar.offset
    data = buffer.getvalue()
    return put(path, compress(data if end is True else data[: length + end]))


HARD, SYMBOLIC, PIPE, FOLDER = tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE
PICTURES = [ppm(9, 7, bytes([10 * i + 1, 50, 200 - 20 * i] * 63)) for i in range(4)]


class Archives(Archive):
    def outcome(self, *arguments, code=0, out="out", more=()):
        """{name: masks} and {name: error} of a run."""
        lines, _ = self.auto(*arguments, "-o", self.at(out), "--format", "jsonl,rle", *more, code=code, cwd=self.folder)
        errors = read(self.at(out, "errors.jsonl")).splitlines() if code == 3 else []
        return {line["image"]: line["masks"] for line in lines}, {
            entry["name"]: entry["error"] for entry in map(json.loads, errors)
        }

    def bytes_of(self, key, out="out"):
        return read(self.at(out, key + ".json"))

    def test_links_are_their_images(self):
        entries = [
            ("early.ppm", "a/1.ppm", SYMBOLIC),
            ("a", "", FOLDER),
            ("a/1.ppm", PICTURES[1]),
            ("b/hard.ppm", "a/1.ppm", HARD),
            ("2.ppm", PICTURES[2]),
            ("b/up.ppm", "../a/1.ppm", SYMBOLIC),
            ("b/chain.ppm", "up.ppm", SYMBOLIC),
            ("data", PICTURES[3]),
            ("named.ppm", "data", HARD),
            ("twin", "a", SYMBOLIC),
            ("through.ppm", "twin/1.ppm", SYMBOLIC),
            ("note.txt", "data", SYMBOLIC),
        ]
        of = {
            "early.ppm": 1,
            "a/1.ppm": 1,
            "b/hard.ppm": 1,
            "2.ppm": 2,
            "b/up.ppm": 1,
            "b/chain.ppm": 1,
            "named.ppm": 3,
            "through.ppm": 1,
        }
        for number, data in enumerate(PICTURES):
            put(self.at("plain", f"{number}.ppm"), data)
        self.outcome("plain", out="plain.out")
        for ending, compress in (("tar", lambda data: data), ("tar.gz", gzip.compress)):
            tar_of(self.at("in." + ending), entries, compress)
            done, _ = self.outcome("in." + ending, out="out." + ending)
            self.assertEqual(sorted(done), sorted(f"in.{ending}/{name}" for name in of))
            for name, number in of.items():
                self.assertEqual(
                    self.bytes_of(f"in.{ending}/{name}", "out." + ending),
                    self.bytes_of(f"{number}.ppm", "plain.out"),
                    name,
                )
        # Shards, each of which reads the archive by itself, and a run that is begun behind a link's file.
        for shard in range(3):
            self.auto("in.tar.gz", "-o", "parts", "--format", "rle", "--shard", f"{shard}/3", cwd=self.folder)
        for name in of:
            self.assertEqual(
                self.bytes_of(f"in.tar.gz/{name}", "parts"), self.bytes_of(f"in.tar.gz/{name}", "out.tar.gz")
            )

    def test_links_to_nowhere_are_recorded(self):
        bad = {
            "gone.ppm": ("none.ppm", HARD),
            "dangling.ppm": ("../x/none.ppm", SYMBOLIC),
            "absolute.ppm": ("/etc/hostname", SYMBOLIC),
            "d/out.ppm": ("../../ok.ppm", SYMBOLIC),
            "self.ppm": ("self.ppm", SYMBOLIC),
            "ping.ppm": ("pong.ppm", SYMBOLIC),
            "pong.ppm": ("ping.ppm", SYMBOLIC),
            "folder.ppm": ("f", SYMBOLIC),
            "pipe.ppm": ("", PIPE),
            "long.ppm": ("a/" * 5000, SYMBOLIC),
        }
        tar_of(
            self.at("in.tar"),
            [
                ("ok.ppm", PICTURES[0]),
                ("f", "", FOLDER),
                *[(name, *target) for name, target in bad.items()],
                ("last.ppm", PICTURES[1]),
            ],
        )
        done, errors = self.outcome("in.tar", code=3)
        self.assertEqual(sorted(done), ["in.tar/last.ppm", "in.tar/ok.ppm"])
        self.assertEqual(sorted(errors), sorted("in.tar/" + name for name in bad))
        for name, word in (
            ("gone", "does not hold"),
            ("dangling", "outside"),
            ("absolute", "outside"),
            ("d/out", "outside"),
            ("self", "too many"),
            ("ping", "too many"),
            ("folder", "no file"),
            ("pipe", "not a regular file"),
            ("long", "too long"),
        ):
            self.assertIn(word, errors[f"in.tar/{name}.ppm"])

    def test_archives_without_their_end(self):
        entries = [(f"{i}.ppm", data) for i, data in enumerate(PICTURES)]
        for name, end in (("none", 0), ("one", 512), ("half", 700)):
            tar_of(self.at(name + ".tar"), entries, end=end)
            done, errors = self.outcome(name + ".tar", code=3, out="o-" + name)
            self.assertEqual(len(done), 4)
            self.assertEqual(list(errors), [name + ".tar"])
            self.assertIn("damaged archive", errors[name + ".tar"])
        tar_of(self.at("two.tar"), entries, end=1024)
        self.assertEqual(len(self.outcome("two.tar", out="o-two")[0]), 4)

    def test_compressed_data_that_lies(self):
        entries = [(f"{i}.ppm", data) for i, data in enumerate(PICTURES)]
        whole = read(tar_of(self.at("whole.tgz"), entries, gzip.compress))
        for name, data, seen in (
            ("sum", whole[:-8] + b"abcd" + whole[-4:], 4),
            ("length", whole[:-4] + b"abcd", 4),
            ("cut", whole[:-5], 4),
            ("behind", whole + b"garbage", 4),
            ("short", whole[:60], None),
        ):
            put(self.at(name + ".tar.gz"), data)
            done, errors = self.outcome(name + ".tar.gz", code=3, out="o-" + name)
            self.assertIn("damaged archive", errors[name + ".tar.gz"])
            if seen is not None:
                self.assertEqual(len(done), seen, name)
        for name, data in (
            ("zeros", whole + bytes(3000)),
            (
                "parts",
                b"".join(
                    gzip.compress(part)
                    for part in (
                        read(self.at("whole.tgz"))[:0],
                        gzip.decompress(whole)[:700],
                        gzip.decompress(whole)[700:],
                    )
                ),
            ),
        ):
            put(self.at(name + ".tar.gz"), data)
            self.assertEqual(len(self.outcome(name + ".tar.gz", out="o-" + name)[0]), 4)

    def test_concatenated(self):
        one, two = [read(tar_of(self.at(f"{i}.tar"), [(f"{i}.ppm", PICTURES[i])])) for i in range(2)]
        put(self.at("both.tar"), one + two)
        put(self.at("both.tar.gz"), gzip.compress(one) + gzip.compress(two))
        put(self.at("both.tar.xz"), lzma.compress(one) + lzma.compress(two))
        put(self.at("both.tar.bz2"), bz2.compress(one) + bz2.compress(two))
        for ending in ("tar", "tar.gz", "tar.xz", "tar.bz2"):
            self.assertEqual(len(self.outcome("both." + ending, out="o-" + ending)[0]), 2, ending)

    def test_other_kinds(self):
        entries = [
            ("x/0.ppm", PICTURES[0]),
            ("1.ppm", PICTURES[1]),
            ("again.ppm", "x/0.ppm", HARD),
            ("../../evil.ppm", PICTURES[2]),
            ("note.txt", b"x"),
        ]
        names = {"0": ".tar", "1": ".tar.xz", "2": ".TXZ", "3": ".tar.bz2", "4": ".tbz2", "5": ".tar.zst"}
        tar_of(self.at("0.tar"), entries)
        for number, ending in names.items():
            if ending == ".tar.zst":
                if shutil.which("zstd") is None:
                    continue
                subprocess.run(["zstd", "-q", self.at("0.tar"), "-o", self.at("5.tar.zst")], check=True)
            elif ending != ".tar":
                tar_of(self.at(number + ending), entries, lzma.compress if "x" in ending.lower() else bz2.compress)
            archive = number + ending
            done, errors = self.outcome(archive, code=3, out="o-" + number)
            self.assertEqual(list(done), [f"{archive}/{name}" for name in ("x/0.ppm", "again.ppm", "1.ppm")])
            self.assertIn("leads out", errors[archive + "/evil.ppm"])
            if ending == ".tar":
                continue
            data = bytearray(read(self.at(archive)))
            put(self.at("cut" + archive), data[: len(data) * 2 // 3])
            self.assertIn("cut" + archive, self.outcome("cut" + archive, code=3, out="c-" + number)[1])
            data[len(data) // 2] ^= 0x10
            put(self.at("bad" + archive), data)
            self.assertTrue(self.outcome("bad" + archive, code=3, out="b-" + number)[1])

    def test_zip(self):
        with zipfile.ZipFile(self.at("in.zip"), "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in (
                ("x/0.ppm", PICTURES[0]),
                ("1.ppm", PICTURES[1]),
                ("../evil.ppm", PICTURES[2]),
                ("note.txt", b"x"),
                ("\u00fc.ppm", PICTURES[3]),
            ):
                file.writestr(name, data)
            link = zipfile.ZipInfo("s.ppm")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(link, "x/0.ppm")
        done, errors = self.outcome("in.zip", code=3)
        self.assertEqual(sorted(done), sorted(["in.zip/x/0.ppm", "in.zip/1.ppm", "in.zip/\u00fc.ppm", "in.zip/s.ppm"]))
        self.assertEqual(self.bytes_of("in.zip/s.ppm"), self.bytes_of("in.zip/x/0.ppm"))
        self.assertIn("leads out", errors["in.zip/evil.ppm"])
        whole = read(self.at("in.zip"))
        put(self.at("cut.zip"), whole[: whole.index(b"PK\1\2")])
        done, errors = self.outcome("cut.zip", code=3, out="cut")
        self.assertIn("cut.zip/1.ppm", done)
        self.assertIn("damaged archive", errors["cut.zip"])
        with zipfile.ZipFile(self.at("in.zip")) as file:
            at = file.getinfo("1.ppm").header_offset + 30 + len("1.ppm") + 6
        put(self.at("bad.zip"), whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        done, errors = self.outcome("bad.zip", code=3, out="bad")
        self.assertIn("bad.zip/1.ppm", errors)
        self.assertIn("bad.zip/\u00fc.ppm", done)  # the member alone is lost


class Mixed(Archive):
    def test_killed_over_mixed_archives(self):
        """Links, kinds of archives, damaged ones and bad images, killed with SIGKILL and resumed: the bytes of an
        uninterrupted run.
        """
        pictures = [picture(300 + i)[1] for i in range(60)]
        linked = [
            entry
            for i, data in enumerate(pictures[:30])
            for entry in (
                (f"{i}.png", data),
                *([(f"l{i}.png", f"{i}.png", HARD), (f"s/{i}.png", f"../{i}.png", SYMBOLIC)] if i % 3 == 0 else []),
            )
        ]
        tar_of(self.at("in", "a.tar"), linked + [("gone.png", "none.png", HARD)])
        tar_of(self.at("in", "b.tar.gz"), linked, gzip.compress)
        tar_of(self.at("in", "c.tar.xz"), linked[:9], lzma.compress)
        tar_of(self.at("in", "d.tar"), linked[:5], end=0)
        with zipfile.ZipFile(self.at("in", "e.zip"), "w") as file:
            for i, data in enumerate(pictures[30:]):
                file.writestr(f"{i}.png", data if i % 10 else data[:40])
        for i, data in enumerate(pictures):
            put(self.at("in", "f", f"{i}.png"), data)
        formats = ["--format", "rle,jsonl,coco", "--no-sync", "-q"]
        self.auto("in", "-o", "whole", *formats, code=3, cwd=self.folder)
        total = records(self.at("whole"))
        kills = 0
        while kills < 4:
            before = records(self.at("out"))
            process = held(
                [SAMC, "auto", "in", "-o", "out", *formats, "--resume", *OPTIONS], at_once=True, cwd=self.folder
            )
            while records(self.at("out")) <= before and process.poll() is None:
                time.sleep(0.001)
            process.kill()
            process.communicate()
            kills += 1
        self.assertLess(before, total)
        self.auto("in", "-o", "out", *formats, "--resume", code=3, cwd=self.folder)
        self.same_tree(self.at("out"), self.at("whole"))


class Names(Archive):
    def test_endings_of_images(self):
        for ending in ("jfif", "jpe", "apng", "dib", "MPO", "pbm"):
            put(self.at("in", "a." + ending), PICTURES[0])
        put(self.at("in", "a.txt"), PICTURES[0])
        lines, _ = self.auto("in", "-o", "o", "--format", "jsonl", cwd=self.folder)
        self.assertEqual(len(lines), 6)

    def test_a_long_component_is_one_line(self):
        tar_of(
            self.at("in.tar"),
            [
                ("a.ppm", PICTURES[0]),
                ("d" * 260 + "/b.ppm", PICTURES[1]),
                ("x/" * 1500 + "c.ppm", PICTURES[2]),
                ("e" * 255 + "/d.ppm", PICTURES[3]),
            ],
        )
        lines, _ = self.auto("in.tar", "-o", "o", "--format", "rle,png,overlay", code=3, cwd=self.folder)
        self.assertEqual(len(lines), 2)
        errors = read(self.at("o", "errors.jsonl")).decode()
        self.assertEqual(errors.count("too long"), 2, errors)

    def test_the_state_is_no_input(self):
        put(self.at(".samc"), PICTURES[0])
        put(self.at("ok.ppm"), PICTURES[1])
        put(self.at("l.txt"), b".samc\nok.ppm\n")
        self.usage("in the way", "auto", "@l.txt", "-o", "out", "--format", "png", *OPTIONS, cwd=self.folder)
        self.assertFalse(os.path.exists(self.at("out")))
        self.auto("ok.ppm", "-o", "out", "--format", "jsonl", cwd=self.folder)
        before = tree(self.at("out"))
        put(self.at("m.txt"), b"ok.ppm\nout/.samc/inputs\n")
        os.makedirs(self.at("links"))
        os.symlink("../out/.samc/tmp", self.at("links", "state"))
        for given in ("out/.samc", "out/.samc/inputs", "@m.txt", "links", "links/state"):
            self.usage(
                "lies in the state of the output folder",
                "auto",
                given,
                "-o",
                "out",
                "--resume",
                "--format",
                "jsonl",
                *OPTIONS,
                cwd=self.folder,
            )
        self.assertEqual(tree(self.at("out")), before)

    def test_pipes_and_devices(self):
        os.mkfifo(self.at("f.ppm"))
        os.mkfifo(self.at("f.tar"))
        for name in ("f.ppm", "f.tar"):
            self.failure(
                "not a regular file but a pipe", "auto", name, "-o", "o", *OPTIONS, cwd=self.folder, timeout=300
            )
        self.failure(
            "not a regular file but a pipe",
            "segment",
            "f.ppm",
            "--point",
            "1,1",
            "--format",
            "rle",
            "--model",
            TINY,
            cwd=self.folder,
            timeout=300,
        )
        self.failure(
            "not a regular file but a pipe",
            "embed",
            "f.ppm",
            "-o",
            "e.npy",
            "--model",
            TINY,
            cwd=self.folder,
            timeout=300,
        )
        self.failure(
            "not a regular file but a device",
            "segment",
            "/dev/zero",
            "--point",
            "1,1",
            "--format",
            "rle",
            "--model",
            TINY,
            timeout=300,
        )
        put(self.at("ok.ppm"), PICTURES[1])
        put(self.at("l.txt"), b"f.ppm\nok.ppm\nf.tar\n")
        lines, _ = self.auto("@l.txt", "-o", "o", "--format", "jsonl", code=3, cwd=self.folder, timeout=300)
        self.assertEqual(len(lines), 1)
        self.assertEqual(read(self.at("o", "errors.jsonl")).count(b"but a pipe"), 2)
        lines, _ = self.auto(".", "-o", "o2", "--format", "jsonl", code=3, cwd=self.folder, timeout=300)
        self.assertEqual(read(self.at("o2", "errors.jsonl")).count(b"but a pipe"), 2)
        # Lists and prompts may be pipes.
        prompts = subprocess.run(
            [SAMC, "auto", "@/dev/stdin", "-o", "o3", "--format", "jsonl", *OPTIONS],
            cwd=self.folder,
            capture_output=True,
            input=b"ok.ppm\n",
        )
        self.assertEqual(prompts.returncode, 0, prompts.stderr)

    def test_byte_order_marks(self):
        mark = b"\xef\xbb\xbf"
        put(self.at("a.ppm"), PICTURES[0])
        put(self.at("b.ppm"), PICTURES[1])
        put(self.at("l.txt"), mark + b"a.ppm\r\nb.ppm\r\n")
        lines, _ = self.auto("@l.txt", "-o", "o", "--format", "jsonl", cwd=self.folder)
        self.assertEqual([line["image"] for line in lines], ["a.ppm", "b.ppm"])
        lines, _ = self.auto("-", "-o", "p", "--format", "jsonl", cwd=self.folder, stdin=mark + b"a.ppm")
        self.assertEqual(len(lines), 1)
        put(self.at("w.txt"), "\ufeffa.ppm\r\n".encode("utf-16-le"))
        self.failure("a list in UTF-16", "auto", "@w.txt", "-o", "q", *OPTIONS, cwd=self.folder)
        put(self.at("p.json"), mark + b'[{"box": [1, 1, 5, 5]}]')
        out, _ = self.good(
            "segment", self.at("a.ppm"), "--prompts", self.at("p.json"), "--format", "rle", "--model", TINY
        )
        self.assertEqual(len(json.loads(out)["masks"]), 3)

    def test_a_lattice_of_links_is_bounded(self):
        put(self.at("in", "0", "a.ppm"), PICTURES[0])
        for level in range(1, 40):
            os.makedirs(self.at("in", str(level)))
            for side in "lr":
                os.symlink(f"../{level - 1}", self.at("in", str(level), side))
        self.failure("on more than 1000 ways", "auto", "in", "-o", "o", *OPTIONS, cwd=self.folder, timeout=60)
        self.assertFalse(os.path.exists(self.at("o")))


@unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
class Outages(Archive):
    """What fails without being the image's fault stops the run; afterwards --resume makes it whole."""

    formats = ["--format", "rle,jsonl", "-q"]

    def faulty(self, out, *arguments, **variables):
        environment = {
            **os.environ,
            "LD_PRELOAD": FAULTS,
            **{"SAMC_FAULT_" + name: str(value) for name, value in variables.items()},
        }
        return run("auto", self.at("in"), "-o", out, *self.formats, *arguments, *OPTIONS, env=environment)

    def test_any_operation_on_the_inputs_fails(self):
        inputs = self.small_inputs()
        pack(self.at("in", "more.tar.gz"), [(f"{i}.png", picture(200 + i)[1]) for i in range(3)])
        with zipfile.ZipFile(self.at("in", "z.zip"), "w") as file:
            file.writestr("z.png", picture(210)[1])
        os.symlink("photo.jpg", self.at("in", "link.jpg"))
        self.auto(inputs, "-o", self.at("whole"), *self.formats, code=3)
        self.faulty(self.at("count"), INPUT=inputs, INPUT_COUNT=self.at("n"))
        count = int(read(self.at("n")))
        self.assertGreater(count, 40)
        stopped = 0
        for at in self.dice.sample(range(count), 10):
            error = self.dice.choice((5, 23, 24, 12, 116))  # EIO, ENFILE, EMFILE, ENOMEM, ESTALE
            out = self.at(f"o{at}")
            code, _, err = self.faulty(out, INPUT=inputs, INPUT_AT=at, INPUT_ERRNO=error)
            # Queues decide how often roots and files are looked at: a run may have ended before the operation that was
            # to fail.
            self.assertIn(code, (1, 3), f"operation {at} with {error}: {err}")
            self.assertEqual(err.count("samc: "), 1, err)
            stopped += code == 1
            if code == 1 and os.path.exists(out):
                self.assertFalse(
                    os.path.exists(os.path.join(out, "errors.jsonl"))
                    and b"rror" in read(os.path.join(out, "errors.jsonl")).replace(b'"error"', b""),
                    at,
                )
            self.auto(inputs, "-o", out, *self.formats, "--resume", code=3)
            self.same_tree(out, self.at("whole"))
        self.assertGreater(stopped, 5)

    def test_one_missing_file_is_its_line(self):
        inputs = self.small_inputs()
        os.symlink("away.png", self.at("in", "zz.png"))
        self.auto(inputs, "-o", self.at("o"), *self.formats, code=3)
        self.assertIn("zz.png", read(self.at("o", "errors.jsonl")).decode())
        # Gone between listing and reading: every look at it fails from then on.
        for i in range(40):
            put(self.at("many", f"{i:03}.ppm"), ppm(9, 7, bytes([i, 7, 90] * 63)))
        process = held(
            [SAMC, "auto", "many", "-o", "o2", *self.formats, "--queue", "1", "--batch-images", "1", *OPTIONS],
            at_once=True,
            cwd=self.folder,
        )
        while records(self.at("o2")) < 1 and process.poll() is None:
            time.sleep(0.001)
        os.remove(self.at("many", "039.ppm"))
        _, err = process.communicate()
        self.assertEqual(process.returncode, 3, err)
        self.assertEqual(
            [json.loads(line)["name"] for line in read(self.at("o2", "errors.jsonl")).splitlines()], ["039.ppm"]
        )

    def test_a_root_that_is_gone(self):
        for i in range(40):
            put(self.at("in", f"{i}.ppm"), ppm(9, 7, bytes([i, 7, 90] * 63)))
        inputs = self.at("in")
        put(self.at("l.txt"), b"".join(b"in/%d.ppm\n" % i for i in range(40)))
        self.auto("in", "-o", "whole", *self.formats, cwd=self.folder)
        self.auto("@l.txt", "-o", "whole.l", *self.formats, cwd=self.folder)
        for given, whole in (("in", "whole"), ("@l.txt", "whole.l")):
            for replaced in ((False, True) if given == "in" else (True,)):
                out = f"o-{given[0]}-{replaced}"
                process = held(
                    [SAMC, "auto", given, "-o", out, *self.formats, "--queue", "1", "--batch-images", "1", *OPTIONS],
                    at_once=True,
                    cwd=self.folder,
                )
                while records(self.at(out)) < 1 and process.poll() is None:
                    time.sleep(0.001)
                os.rename(inputs, self.at("away"))
                if replaced:
                    os.mkdir(inputs)  # an empty mount point
                _, err = process.communicate()
                if replaced:
                    os.rmdir(inputs)
                os.rename(self.at("away"), inputs)
                self.assertEqual(process.returncode, 1, err)
                self.assertEqual(err.count(b"in: the folder of the inputs is gone"), 1, err)
                self.assertIn(b"--resume goes on", err)
                self.assertFalse(os.path.exists(self.at(out, "errors.jsonl")))
                self.auto(given, "-o", out, *self.formats, "--resume", cwd=self.folder)
                self.same_tree(self.at(out), self.at(whole))

    def test_names_that_the_output_does_not_take(self):
        """As on FAT, for a colon; and one that only the longest of its results has too many characters for."""
        for name in ("a.ppm", "b:.ppm", "c:d/e.ppm", "f.ppm"):
            put(self.at("in", name), PICTURES[0])
        formats = ["--format", "rle,png,overlay,jsonl", "-q"]
        for number, (refused, names) in enumerate(((":", ["b:.ppm", "c:d/e.ppm"]), ("f.ppm.overlay", ["f.ppm"]))):
            out = self.at(f"o{number}")
            environment = {**os.environ, "LD_PRELOAD": FAULTS, "SAMC_FAULT_ROOT": out, "SAMC_FAULT_REFUSED": refused}
            for _ in range(2):
                code, _, err = run("auto", self.at("in"), "-o", out, *formats, "--resume", *OPTIONS, env=environment)
                self.assertEqual(code, 3, err)
            errors = {
                entry["name"]: entry["error"]
                for entry in map(json.loads, read(os.path.join(out, "errors.jsonl")).splitlines())
            }
            self.assertEqual(sorted(errors), names)
            self.assertIn("Invalid or incomplete multibyte", "".join(errors.values()))
            self.assertEqual(read(os.path.join(out, "masks.jsonl")).count(b"\n"), 4 - len(names))
            left = [name for name in os.listdir(out) if any(name.startswith(n.split("/")[0]) for n in names)]
            self.assertEqual(left, [])
            self.assertEqual(os.listdir(os.path.join(out, ".samc", "tmp")), [])

    def test_what_does_not_fit_is_tried_alone(self):
        """Large blocks may hold 36 MB together, of which one image of 2000 x 2000 takes 24 and two take 48; one of 4000
        x 3000 takes 72.
        """
        for i in range(4):
            put(self.at("in", f"{i}.ppm"), ppm(2000, 2000, bytes([20 * i, 100, 50]) * 4000000))
        pack(
            self.at("in", "more.tar"),
            [(f"{i}.png", png(2000, 2000, bytes([20 * i, 0, 50]) * 4000000)) for i in range(2)],
        )
        self.auto(self.at("in"), "-o", self.at("whole"), *self.formats)
        code, _, err = self.faulty(self.at("o"), MEMORY=36000000)
        self.assertEqual(code, 0, err)
        self.same_tree(self.at("o"), self.at("whole"))
        put(self.at("in", "3a.ppm"), ppm(4000, 3000, bytes(36000000)))
        code, _, err = self.faulty(self.at("o2"), MEMORY=36000000)
        self.assertEqual(code, 3, err)
        self.assertEqual(
            [json.loads(line)["name"] for line in read(self.at("o2", "errors.jsonl")).splitlines()], ["3a.ppm"]
        )
        self.assertIn(b"out of memory", read(self.at("o2", "errors.jsonl")))


@unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set: a sanitizer's allocator keeps what is freed")
class Budget(Archive):
    def peak(self, *arguments, out):
        process = subprocess.Popen(
            [
                SAMC,
                "auto",
                self.at("in"),
                "-o",
                self.at(out),
                "--format",
                "jsonl",
                "-q",
                *OPTIONS,
                "--points-per-side",
                "1",
                *arguments,
            ],
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        self.assertEqual(status, 0)
        return usage.ru_maxrss * 1024

    def test_small_files_of_large_pictures(self):
        """12 PNGs of one bit a pixel, 3000 x 3000: 1 KB each, 27 MB decoded."""
        rows = zlib.compress(bytes(376 * 3000))
        chunk = (
            lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )
        data = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 3000, 3000, 1, 0, 0, 0, 0))
            + chunk(b"IDAT", rows)
            + chunk(b"IEND", b"")
        )
        for i in range(8):
            put(self.at("in", f"{i}.png"), data)
        pack(self.at("in", "m.tar"), [(f"{i}.png", data) for i in range(4)])
        many = ("--load-threads", "12", "--queue", "12")
        free, bounded = self.peak("--memory", "4G", *many, out="free"), self.peak("--memory=60M", *many, out="bounded")
        self.assertGreater(free, bounded + 100e6)
        self.assertLess(bounded, 60 * 2**20 + 27e6 + 50e6)
        self.same_tree(self.at("bounded"), self.at("free"))

    def test_option(self):
        image = put(self.at("a.ppm"), PICTURES[0])
        for i, good in enumerate(("1", "1K", "512M", "999999999G")):
            self.auto(image, "-o", self.at(f"o{i}"), "--memory", good)
        for bad in ("0", "-1", "1T", "1k", "1.5G", "1000000000G", "M", "1MB", " 1", "0x10", "nan"):
            self.usage(
                "--memory is a whole number from 1 to 999999999, with or without K, M or G",
                "auto",
                image,
                "-o",
                self.at("x"),
                "--memory",
                bad,
            )
