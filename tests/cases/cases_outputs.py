"""What an output's name leads to: nothing of somebody else's is replaced, and what is no file is written into or
refused.
"""

import json
import os
import random
import shutil
import stat
import subprocess
import threading
import time
import unittest

from archive_case import FAULTS, OPTIONS, TINY, Archive, held, picture, ppm, put, records
from cli_test import SAMC, Case, read, run

SMALL = ["--model", TINY, "--threads", "2"]


class Outputs(Case):
    """--logits, --stats, embed -o, convert -o and the files of segment, each with what its name may lead to."""

    def setUp(self):
        super().setUp()
        self.image = put(self.at("a." + picture(1)[0]), picture(1)[1])

    def commands(self, output):
        """Everything that writes one file."""
        return {
            "logits": ["segment", self.image, "--point", "1,1", "--format", "rle", "--logits", output, *SMALL],
            "stats": ["auto", self.image, "-o", self.at("out"), "--format", "jsonl", "--stats", output, "-q", *OPTIONS],
            "npy": ["embed", self.image, "-o", output, *SMALL],
            "safetensors": ["embed", self.image, "-o", output, *SMALL],
            "convert": ["convert", TINY, "-o", output, "-q"],
        }

    def each(self):
        for name in self.commands(""):
            with self.subTest(output=name):
                output = self.at(name + (".npy" if name in ("logits", "npy") else ".safetensors"))
                subprocess.run(["rm", "-rf", self.at("out")], check=True)
                yield name, output, self.commands(output)[name]

    def made(self, name):
        """What the command writes into a file of its own."""
        path = self.at("plain" + (".npy" if name in ("logits", "npy") else ".safetensors"))
        self.good(*self.commands(path)[name])
        data = read(path)
        os.remove(path)
        subprocess.run(["rm", "-rf", self.at("out")], check=True)
        return data

    def same(self, name, got, expected):
        if name == "stats":  # its seconds differ
            self.assertEqual([entry["image"] for entry in json.loads(got)], [self.image])
        else:
            self.assertEqual(got, expected)

    def test_a_pipe_gets_the_bytes(self):
        for name, output, command in self.each():
            expected, got = self.made(name), []
            os.mkfifo(output)
            reader = threading.Thread(target=lambda: got.append(read(output)), daemon=True)
            reader.start()
            self.good(*command)
            reader.join(20)
            self.assertEqual(len(got), 1, "the reader still waits")
            self.same(name, got[0], expected)
            self.assertTrue(stat.S_ISFIFO(os.lstat(output).st_mode))

    def test_standard_output_by_name(self):
        for name, output, command in self.each():
            if name in ("logits", "stats"):  # which print a line of their own, too
                continue
            expected = self.made(name)
            os.symlink("/dev/stdout", output)
            piped = subprocess.run([SAMC, *command], capture_output=True)
            self.assertEqual((piped.returncode, piped.stdout), (0, expected), piped.stderr)
            with open(self.at("file"), "wb") as file:
                file.write(b"before")
                file.flush()
                subprocess.run([SAMC, *command], stdout=file, check=True, stderr=subprocess.PIPE)
            self.assertEqual(read(self.at("file")), b"before" + expected)

    @unittest.skipUnless(os.geteuid() == 0, "only root makes devices")
    def test_a_device_stays_a_device(self):
        for name, output, command in self.each():
            os.mknod(output, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            self.good(*command)
            self.assertTrue(stat.S_ISCHR(os.lstat(output).st_mode))
            os.remove(output)
            os.mknod(output, 0o600 | stat.S_IFCHR, os.makedev(1, 7))  # is always full
            subprocess.run(["rm", "-rf", self.at("out")], check=True)
            code, _, err = run(*command)
            self.assertEqual(code, 1)
            self.assertIn("No space left", err)
            self.assertTrue(stat.S_ISCHR(os.lstat(output).st_mode))
            os.remove(output)
            os.mknod(output, 0o600 | stat.S_IFBLK, os.makedev(7, 250))
            subprocess.run(["rm", "-rf", self.at("out")], check=True)
            code, _, err = run(*command)
            self.assertEqual(code, 1)
            self.assertIn("is a block device", err)
            self.assertTrue(stat.S_ISBLK(os.lstat(output).st_mode))

    def test_a_link_is_resolved(self):
        for name, output, command in self.each():
            expected = self.made(name)
            ending = os.path.splitext(output)[1]
            real = put(self.at("real", "x" + ending), b"old")
            os.makedirs(self.at("links"), exist_ok=True)
            for link, target in (("second", "../real/x" + ending), ("first", "second")):
                subprocess.run(["ln", "-sfn", target, self.at("links", link)], check=True)
            os.symlink("links/first", output)
            self.good(*command)
            self.same(name, read(real), expected)
            self.assertEqual([os.readlink(output), os.readlink(self.at("links", "first"))], ["links/first", "second"])
            self.assertEqual(sorted(os.listdir(self.at("real"))), ["x" + ending])  # nothing temporary stays
            os.remove(real)  # a target that is not there yet
            subprocess.run(["rm", "-rf", self.at("out")], check=True)
            self.good(*command)
            self.same(name, read(real), expected)
            os.remove(real)

    def test_links_that_lead_nowhere(self):
        for name, output, command in self.each():
            os.symlink(os.path.basename(output), output)
            self.assertEqual(run(*command)[0], 1)
            self.assertTrue(os.path.islink(output))
            os.remove(output)
            os.symlink(self.at("none", "x"), output)
            subprocess.run(["rm", "-rf", self.at("out")], check=True)
            code, _, err = run(*command)
            self.assertEqual(code, 1)
            self.assertIn(os.path.basename(output) + ": cannot write: No such file or directory", err)
            os.remove(output)
            os.makedirs(output)
            subprocess.run(["rm", "-rf", self.at("out")], check=True)
            code, _, err = run(*command)
            self.assertEqual(code, 1)
            self.assertIn("is a directory", err)

    def test_results_of_segment(self):
        command = ["segment", self.image, "--point", "1,1", "--single", "--format", "png", "-o", self.at("out"), *SMALL]
        self.good(*command)
        expected = read(self.at("out", "a_0_0.png"))
        os.remove(self.at("out", "a_0_0.png"))
        real = put(self.at("real.png"), b"old")
        os.symlink("../real.png", self.at("out", "a_0_0.png"))
        self.good(*command)
        self.assertEqual(read(real), expected)
        self.assertTrue(os.path.islink(self.at("out", "a_0_0.png")))
        os.remove(self.at("out", "a_0_0.png"))
        os.mkfifo(self.at("out", "a_0_0.png"))
        got = []
        reader = threading.Thread(target=lambda: got.append(read(self.at("out", "a_0_0.png"))), daemon=True)
        reader.start()
        self.good(*command)
        reader.join(20)
        self.assertEqual(got, [expected])
        self.assertTrue(stat.S_ISFIFO(os.lstat(self.at("out", "a_0_0.png")).st_mode))

    def test_a_reader_that_went_away_is_an_error(self):
        for name, output, command in self.each():
            os.mkfifo(output)

            def leave():
                with open(output, "rb"):
                    pass

            reader = threading.Thread(target=leave, daemon=True)
            reader.start()
            code, _, err = run(*command)
            reader.join(20)
            # A writer that is quick may be through before the reader goes.
            self.assertTrue(code == 0 or (code == 1 and "Broken pipe" in err), err)
            self.assertTrue(stat.S_ISFIFO(os.lstat(output).st_mode))


class Hostile(Archive):
    """An output folder in which somebody else has been: every plant is refused by one line, and nothing is written, cut
    or removed.
    """

    FORMATS = ["--format", "rle,jsonl,coco,png", "--lines-per-file", "3"]

    def setUp(self):
        super().setUp()
        for number in range(4):
            put(self.at("in", "part", f"{number}." + picture(number)[0]), picture(number)[1])
        put(self.at("in", "part", "00bad.png"), b"no picture")
        put(self.at("victim", "thesis.txt"), b"precious\n" * 1000)
        os.makedirs(self.at("victim", "empty"))

    def snapshot(self, folder):
        """Every name below it with what it is: kind, target of a link, bytes of a file, time of its last change."""
        found = {}
        for where, folders, files in os.walk(folder):
            for name in folders + files:
                path = os.path.join(where, name)
                information = os.lstat(path)
                what = (
                    os.readlink(path)
                    if os.path.islink(path)
                    else read(path) if stat.S_ISREG(information.st_mode) else None
                )
                found[os.path.relpath(path, folder)] = (
                    stat.S_IFMT(information.st_mode),
                    what,
                    None if os.path.isdir(path) else information.st_mtime_ns,
                )
        return found

    def refused(self, expected, *arguments, **more):
        before = self.snapshot(self.folder)
        code, out, err = run(
            "auto", self.at("in"), "-o", self.at("out"), *self.FORMATS, *OPTIONS, "-q", *arguments, **more
        )
        self.assertEqual((code, out, err.count("\n")), (1, b"", 1), err)
        self.assertIn(expected, err)
        after = self.snapshot(self.folder)
        self.assertEqual({name: what for name, what in after.items() if before.get(name) != what}, {}, err)
        self.assertEqual(sorted(before), sorted(after), err)

    def plants(self, path):
        """Everything that a name may be, one after the other: what the message has to say of it."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        kinds = {
            "link to a file": lambda: os.symlink(self.at("victim", "thesis.txt"), path),
            "dangling link": lambda: os.symlink(self.at("victim", "planted"), path),
            "link to a folder": lambda: os.symlink(self.at("victim", "empty"), path),
            "folder": lambda: os.makedirs(os.path.join(path, "inside")),
            "pipe": lambda: os.mkfifo(path),
            "file": lambda: put(path, b"somebody else's\n" * 9),
            "second name": lambda: os.link(self.at("victim", "thesis.txt"), path),
        }
        for kind, plant in kinds.items():
            plant()
            yield kind
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)

    def key(self, number):
        return f"{number}.{picture(number)[0]}"

    def begun(self):
        """A run that was killed when its last image had names and no record: one file of lines is complete, another
        grows.
        """
        arguments = [
            "auto",
            self.at("in"),
            "-o",
            self.at("out"),
            *self.FORMATS,
            *OPTIONS,
            "-q",
            "--batch-images",
            "1",
            "--queue",
            "1",
            "--load-threads",
            "1",
            "--write-threads",
            "1",
        ]
        environment = {**os.environ, "LD_PRELOAD": FAULTS, "SAMC_FAULT_ROOT": self.at("out"), "SAMC_FAULT_ERRNO": "0"}
        run(*arguments, env={**environment, "SAMC_FAULT_LOG": self.at("log")})
        operations = sum(not line.startswith(b"unlink ") for line in read(self.at("log")).splitlines())
        os.remove(self.at("log"))
        shutil.rmtree(self.at("out"))
        for at in sorted(
            range(20, operations), key=lambda at: abs(at - (operations - 12))
        ):  # it depends on which images are committed together
            run(*arguments, env={**environment, "SAMC_FAULT_AT": str(at)})
            if records(self.at("out")) == 4 and os.path.exists(self.at("out", "part", self.key(3) + ".json")):
                return
            shutil.rmtree(self.at("out"), ignore_errors=True)
        self.fail("no kill hit the last image")

    def test_names_of_the_run(self):
        for name in (
            "errors.jsonl",
            "masks-00000.jsonl",
            "masks-00001.jsonl",
            "annotations.json",
            f"part/{self.key(0)}.json",
            f"part/{self.key(1)}.json",
            f"part/{self.key(2)}",
        ):
            for _ in self.plants(self.at("out", name)):
                self.refused(os.path.basename(name) + ": exists already and is not from this run")
            shutil.rmtree(self.at("out"))

    def test_state_of_a_run_that_begins(self):
        for kind in self.plants(self.at("out", ".samc")):
            if kind != "folder":
                self.refused(".samc: is ")
        for name in ("journal", "tmp"):
            for kind in self.plants(self.at("out", ".samc", name)):
                if name == "tmp" and kind == "folder":
                    continue
                self.refused("holds a run already" if name == "journal" else "/tmp: is ")
        for name in ("masks-00000.jsonl", "annotations.json", "images.part", "marks"):
            for kind in self.plants(self.at("out", ".samc", name)):
                if (
                    kind != "file"
                ):  # a file of the state folder is this user's own, left by a run that never had its journal
                    self.refused(f".samc/{name}: " + ("has other names" if kind == "second name" else "is "))
        shutil.rmtree(self.at("out"))
        for kind in self.plants(self.at("out", ".samc-run.json")):
            self.refused(".samc-run.json: " + ("not the options" if kind in ("file", "second name") else "is "))

    def test_folders_of_results(self):
        for kind in self.plants(self.at("out", "part")):
            if kind != "folder":
                self.refused("out/part: is ")

    @unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
    def test_everything_of_a_run_that_goes_on(self):
        self.begun()
        whole = self.at("whole")
        self.auto(self.at("in"), "-o", whole, *self.FORMATS, code=3)
        for name in sorted(os.listdir(self.at("out"))) + [
            ".samc/" + name for name in sorted(os.listdir(self.at("out", ".samc")))
        ]:
            path, kept = self.at("out", name), self.at("kept")
            information = os.lstat(path)
            if name in ("part", ".samc"):
                os.rename(path, kept)
                os.symlink(kept, path)  # the very same, behind a link
                self.refused("is a symbolic link", "--resume")
                os.remove(path)
                os.rename(kept, path)
            elif stat.S_ISREG(information.st_mode) and not name.endswith(
                "masks-00000.jsonl"
            ):  # which is complete, and nobody's concern any more
                os.rename(path, kept)
                for kind in self.plants(path):
                    if kind not in ("file", "second name"):  # of these below
                        self.refused(os.path.basename(path) + ": ", "--resume")
                os.link(kept, path)
                if name.endswith((".jsonl", ".part", "journal", "annotations.json")):  # what the run appends to
                    self.refused("has other names", "--resume")
                os.remove(path)
                os.rename(kept, path)
        for name in ("annotations.json", "masks-00001.jsonl"):
            for _ in self.plants(self.at("out", name)):
                self.refused(
                    name + ": exists already and is not from this run, or " + self.at("out", ".samc", "journal"),
                    "--resume",
                )
        path = self.at("out", "part", self.key(3) + ".json")
        os.rename(path, self.at("kept"))
        for _ in self.plants(path):
            self.refused(self.key(3) + ".json: exists already and is not from this run", "--resume")
        os.rename(self.at("kept"), path)
        self.auto(self.at("in"), "-o", self.at("out"), *self.FORMATS, "--resume", code=3)
        self.same_tree(self.at("out"), whole)

    @unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
    def test_a_result_that_was_changed_since_is_not_taken_back(self):
        self.begun()
        path = self.at("out", "part", self.key(3) + ".json")
        data, times = read(path), os.stat(path)
        put(path, b"mine now")
        self.refused(self.key(3) + ".json: exists already", "--resume")
        put(path, data)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))  # the clock's steps may be longer
        self.refused(self.key(3) + ".json: exists already", "--resume")  # written again, by somebody
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.auto(self.at("in"), "-o", self.at("out"), *self.FORMATS, "--resume", code=3)
        self.assertEqual(read(path), data)

    def test_the_folder_itself_may_be_a_link(self):
        os.makedirs(self.at("disk"))
        os.symlink("disk", self.at("out"))
        self.auto(self.at("in"), "-o", self.at("out"), *self.FORMATS, code=3)
        self.auto(self.at("in"), "-o", self.at("plain"), *self.FORMATS, code=3)
        self.assertTrue(os.path.islink(self.at("out")))
        self.same_tree(self.at("disk"), self.at("plain"))
        for target in ("nowhere", "victim/thesis.txt", "out2"):
            os.symlink(target, self.at("out2"))
            code, _, err = run("auto", self.at("in"), "-o", self.at("out2"), *self.FORMATS, *OPTIONS, "-q")
            self.assertEqual((code, err.count("\n")), (1, 1), err)
            self.assertIn("out2: cannot open the folder", err)
            os.remove(self.at("out2"))

    def test_replaced_while_it_runs(self):
        rgb = random.Random(3).randbytes(90 * 70 * 3)
        for number in range(40):  # more than are under way at a time
            put(self.at("many", f"{number:02}.ppm"), ppm(90, 70, rgb))
        process = held(
            [SAMC, "auto", self.at("many"), "-o", self.at("out"), "--format", "rle,jsonl", "-q", *OPTIONS], at_once=True
        )
        while records(self.at("out")) < 1 and process.poll() is None:
            time.sleep(0.002)
        os.rename(self.at("out"), self.at("moved"))
        os.symlink(self.at("victim", "empty"), self.at("out"))
        _, err = process.communicate()
        self.assertEqual(process.returncode, 1, err)
        self.assertIn(b"out: was moved, removed or replaced", err)
        self.assertEqual(os.listdir(self.at("victim", "empty")), [])
        os.remove(self.at("out"))
        os.rename(self.at("moved"), self.at("out"))
        self.auto(self.at("many"), "-o", self.at("out"), "--format", "rle,jsonl", "--resume")
        self.auto(self.at("many"), "-o", self.at("whole"), "--format", "rle,jsonl")
        self.same_tree(self.at("out"), self.at("whole"))

    @unittest.skipUnless(os.geteuid() == 0, "only root acts as several users")
    def test_owners(self):
        """The state folder is the output folder's owner's or the user's own; users of a group go on sharing a folder by
        shards.
        """
        alice, bob, group = 4001, 4002, 4000
        for folder in (self.folder, self.at("in"), self.at("in", "part")):
            os.chmod(folder, 0o755)
        samc, model = shutil.copy(SAMC, self.at("samc")), shutil.copy(TINY, self.at("model.safetensors"))
        options = [model if text == TINY else text for text in OPTIONS]

        def act(user, *arguments):
            done = subprocess.run(
                [
                    samc,
                    "auto",
                    self.at("in"),
                    "-o",
                    self.at("out"),
                    "--format",
                    "jsonl,coco",
                    "-q",
                    *options,
                    *arguments,
                ],
                user=user,
                group=group,
                extra_groups=[],
                umask=0o002,
                capture_output=True,
            )
            return done.returncode, done.stderr.decode()

        os.makedirs(self.at("out"))
        os.chown(self.at("out"), alice, group)
        os.chmod(self.at("out"), 0o2775)
        self.assertEqual(sorted(act(user, "--shard", f"{i}/2")[0] for i, user in enumerate((alice, bob))), [0, 3])
        self.assertEqual(act(alice, "--shard", "0/2", "--resume")[0] + act(bob, "--shard", "1/2", "--resume")[0], 3)
        shutil.rmtree(self.at("out"))
        for owner, user, refused in (
            (bob, alice, True),
            (alice, bob, False),
            (bob, bob, False),
        ):  # the folder is alice's
            os.makedirs(self.at("out", ".samc"))
            for path, who in ((self.at("out"), alice), (self.at("out", ".samc"), owner)):
                os.chown(path, who, group)
                os.chmod(path, 0o2775)
            code, err = act(user)
            self.assertEqual(code, 1 if refused else 3, err)
            if refused:
                self.assertIn(f".samc: belongs to user {bob}", err)
                self.assertEqual(os.listdir(self.at("out", ".samc")), [])
            shutil.rmtree(self.at("out"))

    @unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
    def test_folders_that_fold_case(self):
        for name in ("Img.png", "img.PNG"):
            put(self.at("both", name), picture(1)[1])
        put(self.at("letters", "\u00c4\u03a3.png"), picture(1)[1])
        put(self.at("letters", "\u00e4\u03c3.png"), picture(2)[1])
        put(self.at("reserved", "ERRORS.JSONL"), picture(2)[1])
        folding = {**os.environ, "LD_PRELOAD": FAULTS, "SAMC_FAULT_ROOT": self.at("out"), "SAMC_FAULT_FOLD": "1"}
        for folder, names in (("both", ("Img.png", "img.PNG")), ("letters", ("\u00c4\u03a3.png", "\u00e4\u03c3.png"))):
            code, out, err = run(
                "auto", self.at(folder), "-o", self.at("out"), "--format", "rle", "-q", *OPTIONS, env=folding
            )
            self.assertEqual((code, out, err.count("\n")), (1, b"", 1), err)
            for word in names + ("does not tell upper and lower case apart",):
                self.assertIn(word, err)
            self.assertFalse(os.path.exists(self.at("out")))
            self.auto(self.at(folder), "-o", self.at("apart", folder), "--format", "rle")
        code, _, err = run(
            "auto",
            self.at("reserved"),
            "--glob",
            "*",
            "-o",
            self.at("out"),
            "--format",
            "png",
            "-q",
            *OPTIONS,
            env=folding,
        )
        self.assertEqual(code, 1)
        self.assertIn("in the way", err)
        self.auto(
            self.at("in"), "-o", self.at("out"), *self.FORMATS, code=3, env=folding
        )  # what does not collide goes on

    @unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
    def test_without_renaming_that_replaces_nothing(self):
        old = {**os.environ, "LD_PRELOAD": FAULTS, "SAMC_FAULT_ROOT": self.at("out"), "SAMC_FAULT_OLD": "1"}
        self.auto(self.at("in"), "-o", self.at("out"), *self.FORMATS, code=3, env=old)
        self.auto(self.at("in"), "-o", self.at("whole"), *self.FORMATS, code=3)
        self.same_tree(self.at("out"), self.at("whole"))
        shutil.rmtree(self.at("out"))
        for kind in self.plants(self.at("out", "part", self.key(0))):
            self.refused("exists already", env=old)

    def test_shards_that_begin_together(self):
        """With different options, one of them goes on; whoever comes later is told, also where the first did not come
        to its journal.
        """
        for attempt in range(3):
            out = self.at(f"race{attempt}")
            begin = lambda shard, points: subprocess.Popen(
                [
                    SAMC,
                    "auto",
                    self.at("in"),
                    "-o",
                    out,
                    "--format",
                    "jsonl",
                    "-q",
                    "--shard",
                    f"{shard}/2",
                    *OPTIONS,
                    "--points-per-side",
                    points,
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
            both = [begin(0, "2"), begin(1, "3")]
            said = [process.communicate()[1].decode() for process in both]
            codes = [process.returncode for process in both]
            self.assertEqual(sum(code == 1 for code in codes), 1, said)
            self.assertIn("the run was begun with", said[codes.index(1)])
        if FAULTS:
            faults = {"LD_PRELOAD": FAULTS, "SAMC_FAULT_ROOT": self.at("out"), "SAMC_FAULT_ERRNO": "0"}
            for at in range(100):  # until a kill comes between the options and the journal
                shutil.rmtree(self.at("out"), ignore_errors=True)
                run(
                    "auto",
                    self.at("in"),
                    "-o",
                    self.at("out"),
                    "--format",
                    "jsonl",
                    "--shard",
                    "0/2",
                    "-q",
                    *OPTIONS,
                    env={**os.environ, **faults, "SAMC_FAULT_AT": str(at)},
                )
                if os.path.exists(self.at("out", ".samc-run.json")):
                    break
            self.assertFalse(os.path.exists(self.at("out", ".samc-0-of-2", "journal")))
            self.failure(
                "points-per-side is 3, the run was begun with 2",
                "auto",
                self.at("in"),
                "-o",
                self.at("out"),
                "--format",
                "jsonl",
                "--shard",
                "1/2",
                *OPTIONS,
                "--points-per-side",
                "3",
            )
            self.auto(self.at("in"), "-o", self.at("out"), "--format", "jsonl", "--shard", "1/2", code=3)

    def test_read_only(self):
        os.makedirs(self.at("out"))
        if (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", self.at("out")], capture_output=True
            ).returncode
            != 0
        ):
            self.skipTest("nothing can be mounted")
        self.addCleanup(subprocess.run, ["umount", self.at("out")])
        self.refused("out/.samc: cannot create the folder: Read-only file system")
