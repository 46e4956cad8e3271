"""Archives as units of work: read once, as they come, from files, commands and the standard input; each becomes one."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zlib

import power_loss
from archive_case import OPTIONS, PHOTOS, Archive, pack, picture, png, put, records, tree
from archive_survival import Struck
from cli_test import SAMC, decode_rle, read, run

DATASET = ["--format", "webdataset"]


def members(path):
    """(name, bytes) of a tar, in order."""
    with tarfile.open(path) as tar:
        return [(entry.name, tar.extractfile(entry).read()) for entry in tar]


class Units(Archive):
    def shards(self, count=3, each=4, bad=False):
        """Tars as img2dataset makes them: each picture with its caption and numbers; one picture is bad."""
        for shard in range(count):
            sample = []
            for i in range(each * shard, each * (shard + 1)):
                ending, data = picture(i)
                sample += [(f"{i:09}.{ending}", data[:20] if bad and i == each + 1 else data)]
                sample += [(f"{i:09}.txt", b"a caption"), (f"{i:09}.json", b'{"width": 1}')]
            pack(self.at("in", f"{shard:05}.tar"), sample)
        return self.at("in")

    def lines(self, out):
        return [json.loads(line) for line in read(os.path.join(out, "errors.jsonl")).splitlines()]

    def results(self, out):
        """All but the state."""
        return {name: data for name, data in tree(out).items() if not name.startswith((b".samc", b"errors", b"masks"))}

    def test_webdataset(self):
        inputs = self.shards(bad=True)
        self.auto(inputs, "-o", self.at("o"), *DATASET, "--copy-images", "--label-maps", code=3)
        self.assertEqual([line["name"] for line in self.lines(self.at("o"))], ["00001.tar/000000005.png"])
        self.auto(inputs, "-o", self.at("files"), "--format", "sa1b", "--shard-by", "image", code=3)
        masks = 0
        for shard in range(3):
            source, made = dict(members(self.at("in", f"{shard:05}.tar"))), members(self.at("o", f"{shard:05}.tar"))
            expected = []
            for name, data in source.items():
                key, ending = os.path.splitext(name)
                if ending in (".png", ".ppm") and name != "000000005.png":
                    expected += [name, key + ".json", key + ".labels.png"]
            self.assertEqual([name for name, _ in made], expected)
            for (image, data), (name, text), (_, labels) in zip(made[::3], made[1::3], made[2::3]):
                self.assertEqual(data, source[image])
                self.assertEqual(text, read(self.at("files", f"{shard:05}.tar", name)))
                ours = json.loads(text)
                self.assertEqual((ours["image"]["file_name"], ours["image"]["image_id"]), (image, int(image[:9])))
                self.check_labels(labels, ours)
                masks += len(ours["annotations"])
        self.assertGreater(masks, 12)
        self.auto(inputs, "-o", self.at("bare"), *DATASET, code=3)
        names = [name for name, _ in members(self.at("bare", "00000.tar"))]
        self.assertEqual(names, [f"{i:09}.json" for i in range(4)])
        self.auto(inputs, "-o", self.at("maps"), *DATASET, "--label-maps", code=3)
        self.assertEqual([name for name, _ in members(self.at("maps", "00000.tar"))][1], "000000000.png")

    def test_label_maps_among_images(self):
        """What samc made of a.png, read again: its a.labels.png would be there twice."""
        image = png(30, 20, bytes(1800))
        for number, names in enumerate((("a.png", "a.labels.png"), ("a.labels.png", "a.png"))):
            tar, out = pack(self.at(f"{number}.tar"), [(name, image) for name in names]), self.at(f"o{number}")
            self.auto(tar, "-o", out, *DATASET, "--copy-images", "--label-maps", code=3)
            self.assertEqual([line["name"] for line in self.lines(out)], [f"{number}.tar/{names[1]}"])
            self.assertIn("names of another", self.lines(out)[0]["error"])
            stem = names[0][:-4]
            made = [name for name, _ in members(os.path.join(out, f"{number}.tar"))]
            self.assertEqual(made, [names[0], stem + ".json", stem + ".labels.png"])
            self.auto(tar, "-o", self.at(f"copies{number}"), *DATASET, "--copy-images")

    def test_folders_that_are_results(self):
        """A member that needs what another becomes as a folder is a line, whichever comes first, and ends no run."""
        for number, (formats, name, inside, both) in enumerate(
            (
                ("rle", "a.png", "a.png.json/b.png", False),
                ("overlay", "d/a.png", "d/a.png.overlay.png/c/b.png", False),
                ("png", "a.png", "a.png/0.png", False),
                ("sa1b", "a.png", "a.json/b.png", False),
                ("rle,png,sa1b", "a.png", "a.png/0.png", False),
                ("rle,png,sa1b", "a.png", "a/0.png", True),
                ("rle", "a.png", "a.png/0.png", True),
                ("webdataset", "a.png", "a.json/b.png", True),
            )
        ):
            for turn, names in enumerate(((name, inside), (inside, name))):
                tar = pack(self.at(f"{number}-{turn}.tar"), [(n, picture(i)[1]) for i, n in enumerate(names)])
                out = self.at(f"o{number}-{turn}")
                self.auto(tar, "-o", out, "--format", formats, "--shard-by", "input", code=0 if both else 3)
                if not both:
                    self.assertEqual([line["name"] for line in self.lines(out)], [f"{number}-{turn}.tar/{names[1]}"])

    def check_labels(self, data, record):
        """16-bit grey: on each pixel the number of the smallest mask that has it."""
        width, height = record["image"]["width"], record["image"]["height"]
        self.assertEqual(data[16:29], width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([16, 0, 0, 0, 0]))
        at, packed = 8, b""
        while at < len(data):
            size = int.from_bytes(data[at : at + 4], "big")
            self.assertEqual(zlib.crc32(data[at + 4 : at + 8 + size]).to_bytes(4, "big"), data[at + 8 + size :][:4])
            packed += data[at + 8 : at + 8 + size] if data[at + 4 : at + 8] == b"IDAT" else b""
            at += 12 + size
        rows = zlib.decompress(packed)
        expected = [[0] * width for _ in range(height)]
        for annotation in sorted(record["annotations"], key=lambda a: (-a["area"], a["id"])):
            for y, row in enumerate(decode_rle(annotation["segmentation"])):
                for x, bit in enumerate(row):
                    expected[y][x] = annotation["id"] if bit else expected[y][x]
        flat = b"".join(b"\0" + b"".join(value.to_bytes(2, "big") for value in row) for row in expected)
        self.assertEqual(rows, flat)

    def test_same_results_as_by_image(self):
        inputs = self.shards(bad=True)
        put(self.at("in", "photo.jpg"), read(PHOTOS[0]))
        formats = ["--format", "rle,png,overlay,sa1b,coco,jsonl", "--lines-per-file", "5"]
        self.auto(inputs, "-o", self.at("image"), *formats, code=3)
        _, err = self.auto(inputs, "-o", self.at("input"), *formats, "--shard-by", "input", code=3)
        self.assertIn("13 images, ", err)
        self.assertIn("1 of 13 images failed", err)
        ours, theirs = self.results(self.at("input")), self.results(self.at("image"))
        self.assertEqual(ours, theirs)
        both = [self.at(name) for name in ("input", "image")]
        text = [
            b"".join(read(os.path.join(out, name)) for name in sorted(os.listdir(out)) if name.startswith("masks"))
            for out in both
        ]
        self.assertEqual(*text)
        self.assertEqual(*[read(os.path.join(out, "errors.jsonl")) for out in both])

    def test_shards_make_the_whole(self):
        inputs = self.shards(5, 2, bad=True)
        self.auto(inputs, "-o", self.at("whole"), *DATASET, code=3)
        for i in range(3):
            code = run("auto", inputs, "-o", self.at("parts"), *DATASET, "--shard", f"{i}/3", *OPTIONS, "-q")[0]
            self.assertEqual(code, 3 if i == 1 else 0)
            done = sorted(name for name in os.listdir(self.at("parts")) if name.endswith(".tar"))
            self.assertEqual(done, sorted(f"{s:05}.tar" for s in range(5) if s % 3 <= i))
        self.assertEqual(self.results(self.at("parts")), self.results(self.at("whole")))
        self.auto(inputs, "-o", self.at("none"), *DATASET, "--shard", "6/7")
        self.assertEqual(self.results(self.at("none")), {})

    def test_braces_commands_and_standard_input(self):
        inputs = self.shards()
        self.auto(inputs, "-o", self.at("whole"), *DATASET)
        whole = self.results(self.at("whole"))
        self.auto(self.at("in", "{00000..00002}.tar"), "-o", self.at("braces"), *DATASET)
        self.assertEqual(self.results(self.at("braces")), whole)
        self.auto("pipe:cat '" + inputs + "/{00002..00000}.tar'", "-o", self.at("pipes"), *DATASET)
        self.assertEqual(self.results(self.at("pipes")), whole)
        self.auto(f"pipe:gzip -c {inputs}/00001.tar # as 00001.tar.gz", "-o", self.at("zipped"), *DATASET, "--resume")
        self.assertEqual(self.results(self.at("zipped")), {b"00001.tar": whole[b"00001.tar"]})
        lines, _ = self.auto("-", "-o", self.at("std"), *DATASET, stdin=read(self.at("in", "00001.tar")))
        self.assertEqual(lines[0]["image"][:3], "-/0")
        self.assertEqual(self.results(self.at("std")), {b"stdin.tar": whole[b"00001.tar"]})
        self.assertNotIn(b"gzip", read(self.at("zipped", ".samc", "inputs")))
        put(self.at("odd", "{1..2}.tar"), read(self.at("in", "00000.tar")))  # a file that is called so
        self.auto(self.at("odd", "{1..2}.tar"), "-o", self.at("literal"), *DATASET)
        self.assertEqual(self.results(self.at("literal")), {b"{1..2}.tar": whole[b"00000.tar"]})
        self.failure(
            "00003.tar: cannot open", "auto", self.at("in", "{00000..00003}.tar"), "-o", self.at("x"), *DATASET
        )

    def test_commands_stand_in_no_list(self):
        put(self.at("list.txt"), f"pipe:touch {self.at('ran')}\n".encode())
        for listing, more in (("@" + self.at("list.txt"), {}), ("-", {"stdin": read(self.at("list.txt"))})):
            out = self.at("o" + str(len(more)))
            self.auto(listing, "-o", out, "--format", "rle", code=3, **more)
            self.assertIn("cannot open", self.lines(out)[0]["error"])
        self.assertFalse(os.path.exists(self.at("ran")))

    def test_nothing_is_listed_ahead(self):
        """The first images are done while the archive is still being written."""
        data = read(pack(self.at("a.tar"), [(f"{i}.png", png(30, 20, bytes([i]) * 1800)) for i in range(3)]))
        process = subprocess.Popen(
            [SAMC, "auto", "-", "-o", self.at("o"), *DATASET, "-q", *OPTIONS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        process.stdin.write(data[: data.index(b"2.png")])  # two members, and the beginning of a third
        process.stdin.flush()
        seen = [json.loads(process.stdout.readline())["image"] for _ in range(2)]
        self.assertEqual(seen, ["-/0.png", "-/1.png"])
        process.stdin.write(data[data.index(b"2.png") :])
        process.stdin.close()
        self.assertEqual(json.loads(process.stdout.readline())["image"], "-/2.png")
        process.stdout.close()
        self.assertEqual(process.wait(), 0)

    def test_bad_inputs(self):
        """Each is a line, and what stands beside it is done."""
        data = [picture(i)[1] for i in range(6)]
        whole = read(pack(self.at("whole.tar"), [(f"{i}.png", png(30, 20, bytes([i]) * 1800)) for i in range(6)]))
        put(self.at("in", "1-cut.tar"), whole[: whole.index(b"4.png") + 700])
        put(self.at("in", "2-text.tar"), b"no archive\n" * 100)
        put(self.at("in", "3-empty.tar"), b"")
        with tarfile.open(self.at("in", "4-odd.tar"), "w") as tar:
            for kind, name, text in (
                (tarfile.REGTYPE, "a.png", data[0]),
                (tarfile.REGTYPE, "./a.png", data[1]),
                (tarfile.REGTYPE, "a.ppm", data[2]),
                (tarfile.LNKTYPE, "b.png", b""),
                (tarfile.DIRTYPE, "d.png", b""),
                (tarfile.REGTYPE, "../../c.png", data[3]),
                (tarfile.REGTYPE, "e.png", b"no picture"),
                (tarfile.REGTYPE, "x" * 130 + "/" + "y" * 100 + ".png", data[4]),
            ):
                entry = tarfile.TarInfo(name)
                entry.type, entry.size, entry.linkname = kind, len(text), "a.png" if kind == tarfile.LNKTYPE else ""
                tar.addfile(entry, io.BytesIO(text))
        pack(self.at("in", "5-none.tar"), [("notes.txt", b"x")])
        pack(self.at("in", "6-good.tar"), [("f.png", data[5])])
        _, err = self.auto(self.at("in"), "-o", self.at("o"), *DATASET, code=3)
        found = [(line["name"], line["error"]) for line in self.lines(self.at("o"))]
        words = [
            ("1-cut.tar", "damaged archive"),
            ("2-text.tar", "damaged archive"),
            ("3-empty.tar", "empty file"),
            ("4-odd.tar/a.png", "names of another"),
            ("4-odd.tar/a.ppm", "names of another"),
            ("4-odd.tar/b.png", "a link"),
            ("4-odd.tar/c.png", "leads out"),
            ("4-odd.tar/e.png", "not a supported image"),
        ]
        self.assertEqual([name for name, _ in found], [name for name, _ in words])
        for (_, text), (_, word) in zip(found, words):
            self.assertIn(word, text)
        self.assertIn("8 of 15 images failed", err)
        made = {name: [m for m, _ in members(self.at("o", name))] for name in os.listdir(self.at("in"))}
        self.assertEqual(made["1-cut.tar"], [f"{i}.json" for i in range(4)])
        self.assertEqual(made["2-text.tar"] + made["3-empty.tar"] + made["5-none.tar"], [])
        self.assertEqual(made["4-odd.tar"], ["a.json", "x" * 130 + "/" + "y" * 100 + ".json"])
        self.assertEqual(made["6-good.tar"], ["f.json"])

    def test_a_command_that_fails_loses_nothing(self):
        inputs = self.shards()
        commands = [f"pipe:cat {inputs}/{i:05}.tar && test ! -e {self.at('away')}" for i in range(3)]
        self.auto(*commands, "-o", self.at("whole"), *DATASET)
        put(self.at("away"), b"")
        _, err = self.auto(*commands, "-o", self.at("o"), *DATASET, code=1)
        self.assertIn("the command failed with exit code 1", err)
        self.assertFalse(os.path.exists(self.at("o", "errors.jsonl")))
        os.remove(self.at("away"))
        self.auto(*commands, "-o", self.at("o"), *DATASET, "--resume")
        self.same_tree(self.at("o"), self.at("whole"))

    def test_how_a_command_ends_is_known(self):
        """Also where samc was started with SIGCHLD ignored, as some parents do."""
        code, _, err = run(
            "auto",
            f"pipe:cat {self.shards()}/00000.tar; exit 7",
            "-o",
            self.at("o"),
            *DATASET,
            *OPTIONS,
            preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        )
        self.assertEqual(code, 1, err)
        self.assertIn("the command failed with exit code 7", err)

    def test_commands_leave_the_standard_input(self):
        inputs = self.shards()
        self.auto(inputs + "/{00000..00001}.tar", "-o", self.at("whole"), *DATASET)
        command = f"pipe:cat {inputs}/00000.tar; cat > {self.at('eaten')}"
        self.auto(command, "-", "-o", self.at("o"), *DATASET, stdin=read(self.at("in", "00001.tar")))
        self.assertEqual(read(self.at("eaten")), b"")
        self.assertEqual(read(self.at("o", "stdin.tar")), read(self.at("whole", "00001.tar")))

    def test_a_stop_does_not_wait_for_the_standard_input(self):
        data = read(pack(self.at("a.tar"), [(f"{i}.png", png(30, 20, bytes([i]) * 1800)) for i in range(3)]))
        self.auto("-", "-o", self.at("whole"), *DATASET, stdin=data)
        process = subprocess.Popen(
            [SAMC, "auto", "-", "-o", self.at("o"), *DATASET, "-q", *OPTIONS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdin.write(data[: data.index(b"1.png")])  # a member, and the beginning of the second
        process.stdin.flush()
        process.stdout.readline()  # so that the run goes on
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=60)
        for file in (process.stdin, process.stdout):
            file.close()
        err = process.stderr.read().decode()
        process.stderr.close()
        self.assertEqual(code, 128 + signal.SIGTERM, err)
        self.assertEqual(records(self.at("o")), 1)
        self.auto("-", "-o", self.at("o"), *DATASET, "--resume", stdin=data)
        self.same_tree(self.at("o"), self.at("whole"))

    def test_a_stop_does_not_wait_for_a_command(self):
        """Which says nothing, or goes on after its output, or never comes to an end of zeros."""
        commands = ("sleep 1000", "trap '' TERM; cat /dev/zero | head -c 1; sleep 1000", "cat /dev/zero")
        for number, command in enumerate(commands):
            out, begun = self.at(f"o{number}"), self.at(f"begun{number}")
            process = subprocess.Popen(
                [SAMC, "auto", f"pipe:touch {begun}; {command}", "-o", out, *DATASET, *OPTIONS], stderr=subprocess.PIPE
            )
            while not os.path.exists(begun) and process.poll() is None:  # then signals are the run's
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            err = process.communicate(timeout=60)[1].decode()
            self.assertEqual(process.returncode, 128 + signal.SIGTERM, err)

    def test_killed_and_resumed(self):
        self.shards(4, 30, bad=True)
        gate = self.at("gate")  # before the last archive, so that no run comes to its end before it is killed
        last = f"pipe:until test -e {gate}; do sleep 0.02; done; cat {self.at('in', '00003.tar')}"
        inputs = [self.at("in", "{00000..00002}.tar"), last]
        formats = ["--format", "webdataset,jsonl,coco", "--lines-per-file", "25", "--copy-images"]
        put(gate, b"")
        self.auto(*inputs, "-o", self.at("whole"), *formats, "--no-sync", code=3)
        os.remove(gate)
        self.addCleanup(put, gate, b"")  # what was killed leaves shells that wait for it
        out, done, printed = self.at("o"), 0, []
        for kill in range(4):
            process = subprocess.Popen(
                [SAMC, "auto", *inputs, "-o", out, *formats, "--resume", *OPTIONS],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what waits for the gate has it too
            )
            target = min(done + self.dice.randrange(5, 22), 3 * 31)  # all before the gate
            while records(out) < target and process.poll() is None:
                time.sleep(0.001)
            process.kill()
            text = process.communicate()[0]
            self.assertEqual(process.returncode, -9)
            done = records(out)
            printed += [json.loads(line)["image"] for line in text.splitlines() if line.endswith(b"}")]
        put(gate, b"")
        lines, err = self.auto(*inputs, "-o", out, *formats, "--resume", code=3)
        printed += [line["image"] for line in lines]
        self.assertIn("going on after ", err)
        self.same_tree(out, self.at("whole"))
        self.assertLessEqual(len(printed), 119)  # none is told of twice
        self.assertEqual(len(set(printed)), len(printed))
        self.assertEqual(self.auto(*inputs, "-o", out, *formats, "--resume", code=3)[0], [])
        self.same_tree(out, self.at("whole"))

    def test_refusals(self):
        inputs, out = self.shards(), ("-o", self.at("o"), *OPTIONS)
        put(self.at("photo.jpg"), read(PHOTOS[0]))
        tar = self.at("in", "00000.tar")
        for word, *arguments in (
            ("an archive of each archive", self.at("photo.jpg"), *DATASET),
            ("it goes by input", inputs, *DATASET, "--shard-by", "image"),
            ("cannot be listed", f"pipe:cat {tar}", "--shard-by", "image"),
            ("names of other formats' folders", inputs, "--format", "webdataset,rle"),
            ("go into archives", inputs, "--copy-images"),
            ("go into archives", inputs, "--label-maps", "--format", "rle"),
            ("--shard-by is input or image", inputs, "--shard-by", "tar"),
            ("not gone through again", inputs, *DATASET, "--resume", "--retry-failed"),
            ("would write the same files", "pipe:cat", "pipe:cat", *DATASET),
            ("pipe: without a command", "pipe:"),
        ):
            self.usage(word, "auto", *arguments, *out)
        pack(self.at("twins", "a.tar"), [])
        pack(self.at("twins", "a.tar.gz"), [])
        self.usage("would write the same files", "auto", self.at("twins"), *DATASET, *out)
        self.assertFalse(os.path.exists(self.at("o")))
        put(self.at("o", "00001.tar"), b"mine")
        self.failure("00001.tar: exists already", "auto", inputs, *DATASET, *out)
        self.assertEqual(read(self.at("o", "00001.tar")), b"mine")
        os.remove(self.at("o", "00001.tar"))
        self.auto(inputs, "-o", self.at("o"), *DATASET)
        self.failure("shard-by is not known", "auto", inputs, "--format", "rle", "--resume", *out)
        self.failure("copy-images is true", "auto", inputs, *DATASET, "--copy-images", "--resume", *out)

    def test_missing_bytes_are_noticed(self):
        inputs = self.shards()
        self.auto(inputs, "-o", self.at("o"), *DATASET)
        journal = read(self.at("o", ".samc", "journal")).splitlines(keepends=True)
        put(self.at("o", ".samc", "journal"), b"".join(journal[:9]))  # in the middle of the second
        before = tree(self.at("o"))
        self.failure("synced data was lost", "auto", inputs, "-o", self.at("o"), *DATASET, "--resume", *OPTIONS)
        self.assertEqual(tree(self.at("o")), before)
        second = read(self.at("o", "00001.tar"))
        os.remove(self.at("o", "00001.tar"))
        os.rename(self.at("o", "00002.tar"), self.at("third"))
        put(self.at("o", ".samc", "samples-1.tar"), second)  # as it was then, with a tail that is not recorded
        self.auto(inputs, "-o", self.at("o"), *DATASET, "--resume")
        self.assertEqual(read(self.at("o", "00001.tar")), second)
        self.assertEqual(read(self.at("o", "00002.tar")), read(self.at("third")))


class UnitFaults(Struck):
    """Every operation of a run by input, struck as those of other runs are."""

    formats = ["--format", "webdataset,jsonl,coco", "--lines-per-file", "4", "--copy-images"]

    def setUp(self):
        super().setUp()
        for shard in range(3):
            sample = [(f"{i}.{picture(i)[0]}", picture(i)[1]) for i in range(3 * shard, 3 * shard + 3)]
            if shard == 1:
                sample[1] = (sample[1][0], b"no picture")
            pack(self.at("in", "sub" if shard else "", f"{shard}.tar"), sample if shard < 2 else [])
        data = read(pack(self.at("cut.tar"), [("x.png", picture(20)[1]), ("y.png", picture(21)[1])]))
        put(self.at("in", "z.tar"), data[:-1024][: data.index(b"y.png") + 100])
        self.inputs, self.total = self.at("in"), 11  # records: 8 images, of which two fail, and ends
        self.trace_whole()

    def test_the_replay_sees_missing_syncs(self):
        """The same record without the syncs of the archive that grows, or of the folder that it is named in, is
        caught.
        """
        for what, drop in (
            ("archives", lambda path: "samples-" in path),
            ("folders", lambda path: path.endswith(("/whole", "/sub"))),
        ):
            weak = [entry for entry in self.trace if not (entry.name == "sync" and drop(entry.path))]
            self.assertLess(len(weak), len(self.trace))
            caught = False
            for mode in ("nothing unsynced", "names without data"):
                out = self.at("weak")
                power_loss.crash(weak, self.whole, out, mode)
                run("auto", self.inputs, "-o", out, *self.formats, "--resume", *OPTIONS)
                caught = caught or tree(out) != tree(self.whole)
                shutil.rmtree(out)
            self.assertTrue(caught, f"{what} were not synced, and nobody noticed")


class AllUnitFaults(UnitFaults):
    points = None


class UnitFileFaults(Struck):
    """The same of files for each image."""

    points, formats = 6, ["--format", "rle,sa1b,png", "--shard-by", "input"]

    def setUp(self):
        super().setUp()
        self.total, self.inputs = 7, self.at("in")
        for shard in range(2):
            pack(self.at("in", f"{shard}.tar"), [(f"a {i}.{picture(i)[0]}", picture(i)[1]) for i in range(2)])
        put(self.at("in", "z.png"), b"no picture")
        self.trace_whole()


class UnitMemory(Archive):
    folders_in = None

    def peak(self, good, bad, *arguments):
        """Of a run over so many images; what fails is done fast, and its name is as long as others."""
        path, out, folder = self.at(f"{good}.tar"), self.at("o" + str(len(os.listdir(self.at())))), "n" * 90
        data = png(60, 40, bytes(60 * 40 * 3))
        names = [f"{folder}/{'m' * 70}{i:08}.png" for i in range(good + bad)]
        pack(path, [(name, data if i < good else b"no picture") for i, name in enumerate(names)])
        # A new program's peak begins as that of the process that it was forked from, which is small here.
        measure = "import resource, subprocess, sys; code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL); "
        measure += "print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        run_it = [SAMC, "auto", *arguments, path, "-o", out, "--no-sync", "-q", *OPTIONS, "--points-per-side", "1"]
        done = subprocess.run(
            [sys.executable, "-c", measure, *run_it], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
        )
        code, peak = map(int, done.stdout.split())
        self.assertEqual(code, 3 if bad else 0)
        self.assertEqual(records(out), good + bad + ("input" in arguments))
        return peak * 1024

    def test_memory_is_flat(self):
        """A name takes 16 bytes where its archive is open; a list of them takes 400. Threads make a difference of up to
        2 MB from run to run."""
        good, bad = 2000, 20000
        bound = (good + bad) * 32 + 4e6
        for arguments, flat in ((("--shard-by", "input"), True), (("--shard-by", "image"), False)):
            arguments += ("--format", "jsonl")
            grown = self.peak(good, bad, *arguments) - self.peak(300, 0, *arguments)
            self.assertEqual(grown < bound, flat, f"{grown} bytes more, {arguments}")
