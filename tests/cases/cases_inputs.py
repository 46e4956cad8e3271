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
import tarfile
import zipfile

from archive_case import OPTIONS, TINY, Archive, ppm, put, tree
from cli_test import PHOTO, SAMC, read


class Numbers(Archive):
    def test_out_of_range_is_wrong_usage_that_names_the_range(self):
        ranges = {"points-per-side": "1 to 1024", "points-per-batch": "1 to 4096", "pred-iou-thresh": "0 to 1", "stability-score-thresh": "0 to 1",
                  "stability-score-offset": "0 to 1000000", "box-nms-thresh": "0 to 1", "crop-n-layers": "0 to 6", "crop-nms-thresh": "0 to 1",
                  "crop-overlap-ratio": "0 to 0.999", "crop-n-points-downscale-factor": "1 to 1024", "min-mask-region-area": "0 to 999999999",
                  "lines-per-file": "1 to 999999999", "max-pixels": "1 to 178956970", "batch-images": "1 to 256", "load-threads": "1 to 64",
                  "write-threads": "1 to 64", "queue": "1 to 10000", "threads": "1 to 256"}
        for name, bounds in ranges.items():
            for value in ("536870912" if name not in ("lines-per-file", "min-mask-region-area") else "4294967297", "-1", "99999999999999999999", "nan", "1e400", "0x1", "much"):
                self.usage(f"--{name} is a ", "auto", PHOTO, "-o", self.at("o"), f"--{name}={value}")
                self.usage(bounds, "auto", PHOTO, "-o", self.at("o"), f"--{name}={value}")
        for value in ("536870912", "0", "-1", "x"):
            self.usage("--runs is a whole number from 1 to ", "bench", f"--runs={value}")
            self.usage("--threads is a whole number from 1 to 256", "segment", PHOTO, "-o", self.at("o"), "--point", "1,1", f"--threads={value}")
        self.usage("--shard is I/N with N from 1 to 100000", "auto", PHOTO, "-o", self.at("o"), "--shard", "0/536870912")
        self.assertEqual(os.listdir(self.folder), [])


class OddSizes(Archive):
    def test_crops_of_small_and_narrow_images(self):
        for width, height in ((1, 1), (40, 30), (3, 400), (300, 1)):
            put(self.at("in", f"{width}x{height}.ppm"), ppm(width, height, self.dice.randbytes(3 * width * height)))
        lines, _ = self.auto(self.at("in"), "-o", self.at("o"), "--format", "rle,coco", "--crop-n-layers", "2", "--min-mask-region-area", "2")
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
    return put(path, compress(data if end is True else data[:length + end]))


HARD, SYMBOLIC, PIPE, FOLDER = tarfile.LNKTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE
PICTURES = [ppm(9, 7, bytes([10 * i + 1, 50, 200 - 20 * i] * 63)) for i in range(4)]


class Archives(Archive):
    def outcome(self, *arguments, code=0, out="out", more=()):
        """{name: masks} and {name: error} of a run."""
        lines, _ = self.auto(*arguments, "-o", self.at(out), "--format", "jsonl,rle", *more, code=code, cwd=self.folder)
        errors = read(self.at(out, "errors.jsonl")).splitlines() if code == 3 else []
        return {line["image"]: line["masks"] for line in lines}, {entry["name"]: entry["error"] for entry in map(json.loads, errors)}

    def bytes_of(self, key, out="out"):
        return read(self.at(out, key + ".json"))

    def test_links_are_their_images(self):
        entries = [("early.ppm", "a/1.ppm", SYMBOLIC), ("a", "", FOLDER), ("a/1.ppm", PICTURES[1]), ("b/hard.ppm", "a/1.ppm", HARD), ("2.ppm", PICTURES[2]),
                   ("b/up.ppm", "../a/1.ppm", SYMBOLIC), ("b/chain.ppm", "up.ppm", SYMBOLIC), ("data", PICTURES[3]), ("named.ppm", "data", HARD),
                   ("twin", "a", SYMBOLIC), ("through.ppm", "twin/1.ppm", SYMBOLIC), ("note.txt", "data", SYMBOLIC)]
        of = {"early.ppm": 1, "a/1.ppm": 1, "b/hard.ppm": 1, "2.ppm": 2, "b/up.ppm": 1, "b/chain.ppm": 1, "named.ppm": 3, "through.ppm": 1}
        for number, data in enumerate(PICTURES):
            put(self.at("plain", f"{number}.ppm"), data)
        self.outcome("plain", out="plain.out")
        for ending, compress in (("tar", lambda data: data), ("tar.gz", gzip.compress)):
            tar_of(self.at("in." + ending), entries, compress)
            done, _ = self.outcome("in." + ending, out="out." + ending)
            self.assertEqual(sorted(done), sorted(f"in.{ending}/{name}" for name in of))
            for name, number in of.items():
                self.assertEqual(self.bytes_of(f"in.{ending}/{name}", "out." + ending), self.bytes_of(f"{number}.ppm", "plain.out"), name)
        # Shards, each of which reads the archive by itself, and a run that is begun behind a link's file.
        for shard in range(3):
            self.auto("in.tar.gz", "-o", "parts", "--format", "rle", "--shard", f"{shard}/3", cwd=self.folder)
        for name in of:
            self.assertEqual(self.bytes_of(f"in.tar.gz/{name}", "parts"), self.bytes_of(f"in.tar.gz/{name}", "out.tar.gz"))

    def test_links_to_nowhere_are_recorded(self):
        bad = {"gone.ppm": ("none.ppm", HARD), "dangling.ppm": ("../x/none.ppm", SYMBOLIC), "absolute.ppm": ("/etc/hostname", SYMBOLIC), "d/out.ppm": ("../../ok.ppm", SYMBOLIC),
               "self.ppm": ("self.ppm", SYMBOLIC), "ping.ppm": ("pong.ppm", SYMBOLIC), "pong.ppm": ("ping.ppm", SYMBOLIC), "folder.ppm": ("f", SYMBOLIC), "pipe.ppm": ("", PIPE),
               "long.ppm": ("a/" * 5000, SYMBOLIC)}
        tar_of(self.at("in.tar"), [("ok.ppm", PICTURES[0]), ("f", "", FOLDER), *[(name, *target) for name, target in bad.items()], ("last.ppm", PICTURES[1])])
        done, errors = self.outcome("in.tar", code=3)
        self.assertEqual(sorted(done), ["in.tar/last.ppm", "in.tar/ok.ppm"])
        self.assertEqual(sorted(errors), sorted("in.tar/" + name for name in bad))
        for name, word in (("gone", "does not hold"), ("dangling", "outside"), ("absolute", "outside"), ("d/out", "outside"), ("self", "too many"), ("ping", "too many"),
                           ("folder", "no file"), ("pipe", "not a regular file")):
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
        for name, data, seen in (("sum", whole[:-8] + b"abcd" + whole[-4:], 4), ("length", whole[:-4] + b"abcd", 4), ("cut", whole[:-5], 4), ("behind", whole + b"garbage", 4),
                                 ("short", whole[:60], None)):
            put(self.at(name + ".tar.gz"), data)
            done, errors = self.outcome(name + ".tar.gz", code=3, out="o-" + name)
            self.assertIn("damaged archive", errors[name + ".tar.gz"])
            if seen is not None:
                self.assertEqual(len(done), seen, name)
        for name, data in (("zeros", whole + bytes(3000)), ("parts", b"".join(gzip.compress(part) for part in (read(self.at("whole.tgz"))[:0], gzip.decompress(whole)[:700], gzip.decompress(whole)[700:])))):
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
        entries = [("x/0.ppm", PICTURES[0]), ("1.ppm", PICTURES[1]), ("again.ppm", "x/0.ppm", HARD), ("../../evil.ppm", PICTURES[2]), ("note.txt", b"x")]
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
            put(self.at("cut" + archive), data[:len(data) * 2 // 3])
            self.assertIn("cut" + archive, self.outcome("cut" + archive, code=3, out="c-" + number)[1])
            data[len(data) // 2] ^= 0x10
            put(self.at("bad" + archive), data)
            self.assertTrue(self.outcome("bad" + archive, code=3, out="b-" + number)[1])

    def test_zip(self):
        with zipfile.ZipFile(self.at("in.zip"), "w", zipfile.ZIP_DEFLATED) as file:
            for name, data in (("x/0.ppm", PICTURES[0]), ("1.ppm", PICTURES[1]), ("../evil.ppm", PICTURES[2]), ("note.txt", b"x"), ("\u00fc.ppm", PICTURES[3])):
                file.writestr(name, data)
            link = zipfile.ZipInfo("s.ppm")
            link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
            file.writestr(link, "x/0.ppm")
        done, errors = self.outcome("in.zip", code=3)
        self.assertEqual(sorted(done), sorted(["in.zip/x/0.ppm", "in.zip/1.ppm", "in.zip/\u00fc.ppm", "in.zip/s.ppm"]))
        self.assertEqual(self.bytes_of("in.zip/s.ppm"), self.bytes_of("in.zip/x/0.ppm"))
        self.assertIn("leads out", errors["in.zip/evil.ppm"])
        whole = read(self.at("in.zip"))
        put(self.at("cut.zip"), whole[:whole.index(b"PK\1\2")])
        done, errors = self.outcome("cut.zip", code=3, out="cut")
        self.assertIn("cut.zip/1.ppm", done)
        self.assertIn("damaged archive", errors["cut.zip"])
        with zipfile.ZipFile(self.at("in.zip")) as file:
            at = file.getinfo("1.ppm").header_offset + 30 + len("1.ppm") + 6
        put(self.at("bad.zip"), whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1:])
        done, errors = self.outcome("bad.zip", code=3, out="bad")
        self.assertIn("bad.zip/1.ppm", errors)
        self.assertIn("bad.zip/\u00fc.ppm", done)  # the member alone is lost


class Names(Archive):
    def test_endings_of_images(self):
        for ending in ("jfif", "jpe", "apng", "dib", "MPO", "pbm"):
            put(self.at("in", "a." + ending), PICTURES[0])
        put(self.at("in", "a.txt"), PICTURES[0])
        lines, _ = self.auto("in", "-o", "o", "--format", "jsonl", cwd=self.folder)
        self.assertEqual(len(lines), 6)

    def test_a_long_component_is_one_line(self):
        tar_of(self.at("in.tar"), [("a.ppm", PICTURES[0]), ("d" * 260 + "/b.ppm", PICTURES[1]), ("x/" * 1500 + "c.ppm", PICTURES[2]), ("e" * 255 + "/d.ppm", PICTURES[3])])
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
        put(self.at("m.txt"), b"ok.ppm\nout/.samc/run.json\n")
        os.makedirs(self.at("links"))
        os.symlink("../out/.samc/tmp", self.at("links", "state"))
        for given in ("out/.samc", "out/.samc/run.json", "@m.txt", "links", "links/state"):
            self.usage("lies in the state of the output folder", "auto", given, "-o", "out", "--resume", "--format", "jsonl", *OPTIONS, cwd=self.folder)
        self.assertEqual(tree(self.at("out")), before)

    def test_pipes_and_devices(self):
        os.mkfifo(self.at("f.ppm"))
        os.mkfifo(self.at("f.tar"))
        for name in ("f.ppm", "f.tar"):
            self.failure("not a regular file but a pipe", "auto", name, "-o", "o", *OPTIONS, cwd=self.folder, timeout=20)
        self.failure("not a regular file but a pipe", "segment", "f.ppm", "--point", "1,1", "--format", "rle", "--model", TINY, cwd=self.folder, timeout=20)
        self.failure("not a regular file but a pipe", "embed", "f.ppm", "-o", "e.npy", "--model", TINY, cwd=self.folder, timeout=20)
        self.failure("not a regular file but a device", "segment", "/dev/zero", "--point", "1,1", "--format", "rle", "--model", TINY, timeout=20)
        put(self.at("ok.ppm"), PICTURES[1])
        put(self.at("l.txt"), b"f.ppm\nok.ppm\nf.tar\n")
        lines, _ = self.auto("@l.txt", "-o", "o", "--format", "jsonl", code=3, cwd=self.folder, timeout=20)
        self.assertEqual(len(lines), 1)
        self.assertEqual(read(self.at("o", "errors.jsonl")).count(b"but a pipe"), 2)
        lines, _ = self.auto(".", "-o", "o2", "--format", "jsonl", code=3, cwd=self.folder, timeout=20)
        self.assertEqual(read(self.at("o2", "errors.jsonl")).count(b"but a pipe"), 2)
        # Lists and prompts may be pipes.
        prompts = subprocess.run([SAMC, "auto", "@/dev/stdin", "-o", "o3", "--format", "jsonl", *OPTIONS], cwd=self.folder, capture_output=True, input=b"ok.ppm\n")
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
        put(self.at("p.json"), mark + b'[{"box": [1, 1, 5, 5]}]')
        out, _ = self.good("segment", self.at("a.ppm"), "--prompts", self.at("p.json"), "--format", "rle", "--model", TINY)
        self.assertEqual(len(json.loads(out)["masks"]), 3)

    def test_a_lattice_of_links_is_bounded(self):
        put(self.at("in", "0", "a.ppm"), PICTURES[0])
        for level in range(1, 40):
            os.makedirs(self.at("in", str(level)))
            for side in "lr":
                os.symlink(f"../{level - 1}", self.at("in", str(level), side))
        self.failure("on more than 1000 ways", "auto", "in", "-o", "o", *OPTIONS, cwd=self.folder, timeout=60)
        self.assertFalse(os.path.exists(self.at("o")))
