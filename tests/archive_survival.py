"""Nothing is lost: runs that are killed, refused, out of space, without power; a thousand images, and ten thousand."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest
import zipfile

import power_loss
from archive_case import FAULTS, HERE, OPTIONS, PHOTOS, SEED, Archive, held, pack, picture, ppm, put, records, tree
from cli_test import SAMC, read, run

FORMATS = ["--format", "rle,jsonl,coco,png,overlay,sa1b", "--lines-per-file", "4"]


class Resume(Archive):
    def test_second_run_is_refused(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("o"), code=3)
        before = tree(self.at("o"))
        self.failure("holds a run already; go on with it by --resume", "auto", inputs, "-o", self.at("o"), *OPTIONS)
        lines, _ = self.auto(inputs, "-o", self.at("o"), "--resume", code=3)
        self.assertEqual(lines, [])
        for difference, arguments in (
            ("points-per-side is 3, the run was begun with 2", ["--points-per-side", "3"]),
            ('format is "jsonl", the run was begun with "rle"', ["--format", "jsonl"]),
            ("model is ", ["--model", os.environ.get("SAMC_MODEL_FILE", "weights/samc-tiny.safetensors")]),
            ("backend is ", ["--backend", "ref"]),
            ('precision is "bf16", the run was begun with "f32"', ["--precision", "bf16"]),
            ("pred-iou-thresh is 0.5, the run was begun with 0", ["--pred-iou-thresh", "0.5"]),
            ('set is "mask_threshold=0.5", the run was begun with none', ["--set", "mask_threshold=0.5"]),
        ):
            self.failure(difference, "auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS, *arguments)
        put(self.at("in", "new.png"), picture(5)[1])
        self.failure("new.png", "auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS)
        os.remove(self.at("in", "new.png"))
        os.rename(self.at("in", "photo.jpg"), self.at("photo.jpg"))
        self.failure("photo.jpg", "auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS)
        self.assertEqual(tree(self.at("o")), before)

    def test_settings_are_of_the_run(self):
        inputs, setting = self.small_inputs(), ["--set", "mask_threshold=0.5"]
        self.auto(inputs, "-o", self.at("o"), *setting, code=3)
        again = ["auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS]
        self.failure("set is not known, the run was begun with", *again)
        lines, _ = self.auto(inputs, "-o", self.at("o"), "--resume", "--set", "mask_threshold=0.50", code=3)
        self.assertEqual(lines, [])
        self.auto(inputs, "-o", self.at("plain"), code=3)
        lines, _ = self.auto(inputs, "-o", self.at("plain"), "--resume", "--set", "mask_threshold=0", code=3)
        self.assertEqual(lines, [], "what the model's file says itself")

    def test_resume_with_the_same_tensors_in_another_model(self):
        """What the file says beside its tensors, whose hash is the model's, makes other masks too."""
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("o"), code=3)
        before = tree(self.at("o"))
        for difference, said, instead in (
            (
                "encoder.decoder_num_heads is 2, the run was begun with 4",
                "decoder_num_heads\": 4",
                "decoder_num_heads\": 2",
            ),
            (
                "recipe.pixel_std is [58.395, 57.12, 57.0], the run was begun with [58.395, 57.12, 57.375]",
                "57.375",
                "57.000",
            ),
        ):
            model = read(OPTIONS[1]).replace(said.replace('"', '\\"').encode(), instead.replace('"', '\\"').encode())
            put(self.at("other.safetensors"), model)
            again = ["auto", inputs, "-o", self.at("o"), "--resume", *OPTIONS, "--model", self.at("other.safetensors")]
            self.failure(f": {difference} (", *again)
        self.assertEqual(tree(self.at("o")), before)

    def test_resume_begins_where_there_is_nothing(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("a"), *FORMATS, code=3)
        self.auto(inputs, "-o", self.at("b"), *FORMATS, "--resume", code=3)
        self.same_tree(self.at("a"), self.at("b"))

    def refused(self, inputs, out, *arguments):
        """A resume that says what is wrong, names the journal and touches nothing."""
        before, times = tree(out), power_loss.times(out)
        code, printed, err = run("auto", inputs, "-o", out, *FORMATS, "--resume", "-q", *OPTIONS, *arguments)
        self.assertEqual((code, printed, err.count("\n")), (1, b"", 1), err)
        self.assertIn(os.path.join(out, ".samc", "journal"), err)
        self.assertEqual(tree(out), before)
        self.assertEqual(
            {path: time for path, time in power_loss.times(out).items() if not path.endswith(b"tmp")},
            {path: time for path, time in times.items() if not path.endswith(b"tmp")},
        )

    def test_damaged_journal(self):
        inputs, out = self.small_inputs(), self.at("o")
        self.auto(inputs, "-o", out, *FORMATS, code=3)
        path, whole = self.at("o", ".samc", "journal"), tree(out)
        journal = read(path)
        lines = journal.splitlines(keepends=True)
        damaged = [
            journal[:-7],
            b"".join(lines[:-1]),
            lines[0],
            b"".join(lines[:4] + lines[5:]),
            journal + lines[3],
            journal + b"x\n",
            journal[:60] + b"\0" + journal[61:],
            journal.replace(b"done", b"d0ne", 1),
            b"something else\n",
            b"",
        ]
        for place in self.dice.sample(range(len(journal)), 8):
            damaged.append(
                journal[:place] + bytes([journal[place] ^ 1 << self.dice.randrange(8)]) + journal[place + 1 :]
            )
        for text in damaged:
            put(path, text)
            self.refused(inputs, out)
        put(path, journal)
        self.assertEqual(self.auto(inputs, "-o", out, *FORMATS, "--resume", code=3)[0], [])  # put back, it goes on
        self.assertEqual(tree(out), whole)

    def test_tails_that_a_loss_of_power_leaves(self):
        inputs, out = self.small_inputs(), self.at("o")
        self.auto(inputs, "-o", out, *FORMATS, code=3)
        path, whole = self.at("o", ".samc", "journal"), tree(out)
        journal = read(path)
        line = journal.splitlines(keepends=True)[3]
        for tail in (
            bytes(300),
            line[:20],
            line[:-1],
            bytes(-len(journal) % 512) + line,
            line[:9] + bytes(-(len(journal) + 9) % 512) + line,
        ):
            put(path, journal + tail)
            self.assertEqual(self.auto(inputs, "-o", out, *FORMATS, "--resume", code=3)[0], [])
            self.assertEqual(tree(out), whole)

    def test_missing_bytes_are_noticed(self):
        inputs = self.small_inputs()
        self.auto(inputs, "-o", self.at("o"), "--format", "jsonl", code=3)
        journal = read(self.at("o", ".samc", "journal")).splitlines(keepends=True)
        put(self.at("o", ".samc", "journal"), b"".join(journal[:6]))
        put(self.at("o", ".samc", "masks.jsonl"), read(self.at("o", "masks.jsonl"))[:20])
        self.failure(
            "synced data was lost", "auto", inputs, "-o", self.at("o"), "--format", "jsonl", "--resume", *OPTIONS
        )

    def start(self, *arguments, **more):
        return held([SAMC, "auto", *map(str, arguments), *OPTIONS], **more)

    def wait_for(self, process, folder, count):
        while records(folder) < count and process.poll() is None:
            time.sleep(0.002)

    def many(self, count):
        for i in range(count):
            ending, data = picture(i)
            put(self.at("in", f"{i % 7}", f"{i}.{ending}"), data)
        return self.at("in")

    def test_signals(self):
        inputs = self.many(150)
        self.auto(inputs, "-o", self.at("whole"), *FORMATS, "--no-sync")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            out = self.at(number.name)
            process = self.start(inputs, "-o", out, *FORMATS)
            self.wait_for(process, out, 10)
            process.send_signal(number)
            printed, err = process.communicate()
            self.assertEqual(process.returncode, 128 + number, err)
            done = records(out)
            self.assertIn(f"{done} of 150 images are done", err.decode())
            self.assertEqual(len(printed.splitlines()), done)
            self.assertTrue(10 <= done < 150, done)
            self.assertEqual(os.listdir(os.path.join(out, ".samc", "tmp")), [])
            lines, _ = self.auto(inputs, "-o", out, *FORMATS, "--resume")
            self.assertEqual(len(lines), 150 - done)
            self.same_tree(out, self.at("whole"))

    def test_ignored_signals_stay_ignored(self):
        inputs = self.small_inputs()
        process = self.start(
            inputs, "-o", self.at("o"), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
        )
        process.send_signal(signal.SIGHUP)
        process.communicate()
        self.assertEqual(process.returncode, 3)

    def test_two_at_once(self):
        inputs = self.many(200)
        process = self.start(inputs, "-o", self.at("o"), *FORMATS)
        self.wait_for(process, self.at("o"), 5)
        self.failure("another process", "auto", inputs, "-o", self.at("o"), *FORMATS, "--resume", *OPTIONS)
        process.communicate()
        self.assertEqual(process.returncode, 0)

    def test_standard_output_gone(self):
        inputs = self.many(40)
        with open("/dev/full", "w") as full:
            code, _, err = run(
                "auto", inputs, "-o", self.at("o"), *FORMATS, *OPTIONS, "-q", stdout=full, stderr=subprocess.PIPE
            )
        self.assertEqual(code, 1)
        self.assertIn("cannot write to standard output", err)
        self.auto(inputs, "-o", self.at("o"), *FORMATS, "--resume")
        self.auto(inputs, "-o", self.at("whole"), *FORMATS)
        self.same_tree(self.at("o"), self.at("whole"))

    def test_full_disk(self):
        """A file system of half a megabyte, or where none can be mounted the layer that says there is no space left."""
        inputs = self.many(120)
        self.auto(inputs, "-o", self.at("whole"), *FORMATS, "--no-sync")
        os.makedirs(self.at("small"))
        mounted = (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "size=600k,nr_inodes=100k", "none", self.at("small")],
                capture_output=True,
            ).returncode
            == 0
        )
        if mounted:
            self.addCleanup(subprocess.run, ["umount", self.at("small")])
        elif not FAULTS:
            self.skipTest("nothing can be mounted, and SAMC_FAULTS is not set")
        faults = (
            None if mounted else {**os.environ, **fault_environment(self.at("small"), at=400, error=28, always=True)}
        )
        code, out, err = run("auto", inputs, "-o", self.at("small", "out"), *FORMATS, *OPTIONS, env=faults)
        self.assertEqual(code, 1, err)
        self.assertIn("No space left on device", err)
        done = records(self.at("small", "out"))
        self.assertTrue(0 < done < 120, done)
        self.assertEqual(len(out.splitlines()), done)
        if mounted:
            subprocess.run(["mount", "-o", "remount,size=100m", self.at("small")], check=True)
        lines, _ = self.auto(inputs, "-o", self.at("small", "out"), *FORMATS, "--resume")
        self.assertEqual(len(lines), 120 - done)
        self.same_tree(self.at("small", "out"), self.at("whole"))

    def test_read_only(self):
        inputs = self.small_inputs()
        os.makedirs(self.at("fixed"))
        if (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", self.at("fixed")], capture_output=True
            ).returncode
            == 0
        ):
            self.addCleanup(subprocess.run, ["umount", self.at("fixed")])
        elif os.geteuid() == 0:
            self.skipTest("root writes everywhere, and nothing can be mounted")
        else:
            os.chmod(self.at("fixed"), 0o555)
        for out in (self.at("fixed"), self.at("fixed", "new")):
            code, printed, err = run("auto", inputs, "-o", out, *OPTIONS, "-q")
            self.assertEqual((code, printed, err.count("\n")), (1, b"", 1), err)
            self.assertIn("fixed", err)


def fault_environment(root, log=None, at=None, error=0, always=False):
    made = {"LD_PRELOAD": FAULTS, "SAMC_FAULT_ROOT": root}
    if log is not None:
        made["SAMC_FAULT_LOG"] = log
    if at is not None:
        made |= {"SAMC_FAULT_AT": str(at), "SAMC_FAULT_ERRNO": str(error)}
    return made | ({"SAMC_FAULT_ALWAYS": "1"} if always else {})


@unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
class Struck(Archive):
    """Every change of a run to its folder, struck: the process killed, the operation failing, the power lost."""

    points = 12  # of the record that are tried; the full tier tries all
    formats = FORMATS
    arguments, code, before, times = (), 3, None, None  # of the run that is struck; what stood in its folder

    def traced(self, out, *arguments, code=None, **faults):
        log = self.at("log")
        if os.path.exists(log):
            os.remove(log)
        got, printed, err = run(
            "auto",
            self.inputs,
            "-o",
            out,
            *self.formats,
            *OPTIONS,
            *arguments,
            env={**os.environ, **fault_environment(out, log, **faults)},
        )
        if code is not None:
            self.assertEqual(got, code, err)
        return got, printed, err, power_loss.read_log(log) if os.path.exists(log) else []

    def struck(self, out, **faults):
        """A run from the beginning."""
        if self.before is not None:
            shutil.copytree(self.at("before"), out)
        return self.traced(out, *self.arguments, **faults)

    def trace_whole(self):
        self.whole = self.at("whole")
        self.trace = self.struck(self.whole, code=self.code)[3]

    def was_shorter(self, code, log, at):
        """Images that happen to be committed together need fewer operations: this run had ended before the one that was
        to be struck.
        """
        return code == self.code and self.operations(log) <= at

    def operations(self, log):
        return sum(entry.name != "unlink" for entry in log)  # which may fail without harm, and is not struck

    def chosen(self, count):
        return range(count) if self.points is None else sorted(self.dice.sample(range(count), min(count, self.points)))

    def resumed(self, out, done, what):
        """Goes on and compares; `done` images at least are not done again."""
        code, printed, err = run("auto", self.inputs, "-o", out, *self.formats, "--resume", *self.arguments, *OPTIONS)
        self.assertEqual(code, self.code, f"{what}: {err}")
        self.assertLessEqual(len(printed.splitlines()), self.total - done, what)
        self.assertEqual(
            tree(out) == tree(self.whole),
            True,
            f"{what}, seed {SEED}: {power_loss.difference(tree(out), tree(self.whole))}",
        )

    def test_killed_at_any_operation(self):
        for at in self.chosen(self.operations(self.trace)):
            out = self.at(f"k{at}")
            code, _, err, log = self.struck(out, at=at)
            if not self.was_shorter(code, log, at):
                self.assertEqual(code, -9, f"operation {at}: {err}")
            good = power_loss.journaled(log)
            self.resumed(out, good, f"killed before operation {at}")
            shutil.rmtree(out)

    def test_any_operation_fails(self):
        for at in self.chosen(self.operations(self.trace)):
            for error in (28, 5):  # no space left on device, input/output error
                out = self.at(f"e{at}-{error}")
                code, _, err, log = self.struck(out, at=at, error=error)
                if not self.was_shorter(code, log, at):
                    self.assertEqual(code, 1, f"operation {at} fails with {error}: {err}")
                    self.assertEqual(sum(line.startswith("samc: ") for line in err.splitlines()), 1, err)
                self.resumed(out, power_loss.journaled(log), f"operation {at} failed with {error}")
                shutil.rmtree(out)

    def test_power_lost_at_any_operation(self):
        for at in self.chosen(len(self.trace) + 1):
            for mode in ("nothing unsynced", "names without data", f"seed {self.dice.randrange(1 << 30)}"):
                out = self.at(f"p{at}")
                power_loss.crash(self.trace[:at], self.whole, out, mode, self.before, self.times)
                self.resumed(
                    out, power_loss.journaled_synced(self.trace[:at]), f"power lost before operation {at}, {mode}"
                )
                shutil.rmtree(out)

    def test_a_move_alone_reaches_the_disk(self):
        """Nothing that was not synced is there but a new name, also not the folders that were made for it. All moves of
        what grows in the state folder, and so is recorded, are tried; results have no record yet.
        """
        moves = [i for i, entry in enumerate(self.trace) if entry.name == "rename"]
        results = [at for at in moves if "/tmp/" in self.trace[at].path]
        chosen = {results[i] for i in self.chosen(len(results))}
        for at in (at for at in moves if at in chosen or at not in results):
            out = self.at(f"m{at}")
            power_loss.crash(self.trace[: at + 1], self.whole, out, "last name alone", self.before, self.times)
            self.resumed(out, power_loss.journaled_synced(self.trace[: at + 1]), f"only the move {at} was not lost")
            shutil.rmtree(out)

    def test_power_lost_twice(self):
        for round in range(3 if self.points is not None else 30):
            at, out = self.dice.randrange(len(self.trace)), self.at(f"t{round}")
            power_loss.crash(self.trace[:at], self.whole, out, f"seed {round}", self.before, self.times)
            first, times = tree(out), power_loss.times(out)
            trace = self.traced(out, "--resume", *self.arguments, code=self.code)[3]
            cut, again = self.dice.randrange(len(trace) + 1), self.at(f"u{round}")
            power_loss.crash(trace[:cut], out, again, f"seed {round + 1000}", first, times)
            self.resumed(
                again,
                power_loss.journaled_synced(self.trace[:at]),
                f"power lost before operation {at}, then {cut} of the next run",
            )


class Faults(Struck):
    """A run from nothing."""

    def setUp(self):
        super().setUp()
        self.inputs, self.total = self.small_inputs(5), 9
        self.trace_whole()

    def test_half_a_line_of_a_failure_lost(self):
        """The first failure's line on its way to the disk: a part of it and zeros, and nothing in the journal."""
        at = next(
            i for i, entry in enumerate(self.trace) if entry.name == "sync" and entry.path.endswith("/errors.jsonl")
        )
        line = read(os.path.join(self.whole, "errors.jsonl")).splitlines(True)[0]
        for kept in (0, 1, 18, len(line) // 2, len(line)):
            out = self.at(f"h{kept}")
            power_loss.crash(self.trace[:at], self.whole, out, "names without data", self.before, self.times)
            put(os.path.join(out, "errors.jsonl"), line[:kept] + bytes(len(line) - kept))
            self.resumed(out, power_loss.journaled_synced(self.trace[:at]), f"{kept} bytes of the line kept")

    def test_the_replay_sees_missing_syncs(self):
        """A run that did not sync its results, or its folders, would be caught: the same record without these
        operations.
        """
        end = max(i for i, entry in enumerate(self.trace) if entry.name == "sync" and entry.path.endswith("/journal"))
        for what, drop in (
            ("results", lambda path: "/tmp/" in path),
            ("folders", lambda path: path.endswith(("/out", "/whole", "/part0"))),
            ("lines", lambda path: path.endswith(".jsonl")),
            ("annotations", lambda path: path.endswith("annotations.json")),
        ):
            weak = [entry for entry in self.trace[: end + 1] if not (entry.name == "sync" and drop(entry.path))]
            self.assertLess(len(weak), end + 1)
            caught = False
            for mode in ("nothing unsynced", "names without data"):
                out = self.at("weak")
                power_loss.crash(weak, self.whole, out, mode)
                run("auto", self.inputs, "-o", out, *self.formats, "--resume", *OPTIONS)
                caught = caught or tree(out) != tree(self.whole)
                shutil.rmtree(out)
            self.assertTrue(caught, f"{what} were not synced, and nobody noticed")


class Again(Struck):
    """A run that tries failed images again: files of lines that were complete grow once more."""

    points, arguments, code = 8, ("--resume", "--retry-failed"), 0

    def setUp(self):
        super().setUp()
        self.inputs, self.total = self.small_inputs(3), 3
        for name in ("part0/1.png", "part1/2.ppm"):
            put(self.at("in", name), b"no picture")
        self.auto(self.inputs, "-o", self.at("before"), *self.formats, code=3)
        self.before, self.times = tree(self.at("before")), power_loss.times(self.at("before"))
        for i, name in enumerate(("bad.jpg", "part0/1.png", "part1/2.ppm")):
            put(self.at("in", name), picture(70 + i)[1])
        self.trace_whole()


class AllFaults(Faults):
    points = None


class AllAgain(Again):
    points = None


class Retry(Archive):
    """--retry-failed: what failed is tried again, behind all others."""

    def bad_ones(self, *names):
        for name in names:
            put(self.at("in", name), b"no picture")

    def errors(self, out):
        return [json.loads(line) for line in read(os.path.join(out, "errors.jsonl")).splitlines()]

    def test_results_are_appended(self):
        inputs, out = self.small_inputs(), self.at("o")
        formats = ["--format", "rle,jsonl,coco,png,overlay", "--lines-per-file", "20"]
        self.bad_ones("part0/0.ppm", "part1/9.png")
        self.auto(inputs, "-o", out, *formats, code=3)
        old = {name: read(os.path.join(out, name)) for name in ("masks.jsonl", "errors.jsonl", "annotations.json")}
        put(self.at("in", "part1", "9.png"), picture(50)[1])
        put(self.at("in", "bad.jpg"), read(PHOTOS[1]))
        lines, err = self.auto(inputs, "-o", out, *formats, "--resume", "--retry-failed", code=3)
        self.assertEqual([line["image"] for line in lines], [self.at("in", "bad.jpg"), self.at("in", "part1", "9.png")])
        self.assertIn("1 of 11 images failed", err)
        self.assertTrue(read(os.path.join(out, "masks.jsonl")).startswith(old["masks.jsonl"]))
        self.assertTrue(read(os.path.join(out, "errors.jsonl")).startswith(old["errors.jsonl"]))
        said = self.errors(out)[3:]
        self.assertEqual(
            [(entry["name"], "resolved" in entry, "error" in entry) for entry in said],
            [("bad.jpg", True, False), ("part0/0.ppm", False, True), ("part1/9.png", True, False)],
        )
        # The same as a run that never failed on them, in another order.
        self.auto(inputs, "-o", self.at("fresh"), *formats, code=3)
        for name in ("bad.jpg", "part1/9.png"):
            for end in (".json", ".overlay.png", "/metadata.csv"):
                self.assertEqual(read(os.path.join(out, name + end)), read(self.at("fresh", name + end)))
        self.assertEqual(
            sorted(read(os.path.join(out, "masks.jsonl")).splitlines()),
            sorted(read(self.at("fresh", "masks.jsonl")).splitlines()),
        )
        ours, fresh = (json.loads(read(os.path.join(folder, "annotations.json"))) for folder in (out, self.at("fresh")))
        self.assertEqual(sorted(map(str, ours["images"])), sorted(map(str, fresh["images"])))
        self.assertEqual([entry["id"] for entry in ours["annotations"]], list(range(1, len(fresh["annotations"]) + 1)))
        bare = lambda data: sorted(json.dumps({**entry, "id": 0}, sort_keys=True) for entry in data["annotations"])
        self.assertEqual(bare(ours), bare(fresh))
        whole = tree(out)
        self.assertEqual(
            self.auto(inputs, "-o", out, *formats, "--resume", code=3)[0], []
        )  # nothing new without being asked
        self.assertEqual(tree(out), whole)
        put(self.at("in", "part0", "0.ppm"), picture(51)[1])
        self.assertEqual(len(self.auto(inputs, "-o", out, *formats, "--resume", "--retry-failed")[0]), 1)
        self.assertEqual(self.auto(inputs, "-o", out, *formats, "--resume", "--retry-failed")[0], [])
        self.assertEqual(len(self.errors(out)), 7)

    def test_files_of_lines(self):
        """Tried images go on in the last file of lines, then in files behind it."""
        inputs = self.small_inputs(4)
        self.bad_ones("part0/2.ppm", "part1/7.png", "x.png", "y.png")
        total = self.auto(inputs, "-o", self.at("a"), "--format", "jsonl", "--lines-per-file", "5", code=3)[1]
        self.assertIn("5 of 12 images failed", total)
        for name in ("part0/2.ppm", "part1/7.png", "x.png", "y.png", "bad.jpg"):
            put(self.at("in", name), picture(60)[1])
        self.auto(
            inputs, "-o", self.at("a"), "--format", "jsonl", "--lines-per-file", "5", "--resume", "--retry-failed"
        )
        counts = {
            name: read(self.at("a", name)).count(b"\n")
            for name in sorted(os.listdir(self.at("a")))
            if name.startswith("masks")
        }
        self.assertEqual(sum(counts.values()), 12)
        self.assertEqual(
            sorted(counts), [f"masks-{part:05}.jsonl" for part in range(4)]
        )  # records 0 to 11, then 12 to 16

    def test_behind_the_images_that_are_left(self):
        inputs, out = self.small_inputs(6), self.at("o")
        lines = {}
        for at in (60, 90, 120, 150):  # until one stops between the bad image, which is the first, and the last
            if FAULTS and not lines:
                shutil.rmtree(out, ignore_errors=True)
                run("auto", inputs, "-o", out, *FORMATS, *OPTIONS, env={**os.environ, **fault_environment(out, at=at)})
                if 0 < records(out) < 9:
                    put(self.at("in", "bad.jpg"), read(PHOTOS[1]))
                    lines = self.auto(inputs, "-o", out, *FORMATS, "--resume", "--retry-failed")[0]
        if not FAULTS:
            self.skipTest("SAMC_FAULTS is not set")
        self.assertEqual(lines[-1]["image"], self.at("in", "bad.jpg"))

    def test_refusals(self):
        inputs, out = self.small_inputs(), self.at("o")
        self.usage("--retry-failed goes with --resume", "auto", inputs, "-o", out, "--retry-failed", *OPTIONS)
        self.auto(inputs, "-o", out, *FORMATS, code=3)
        put(self.at("in", "bad.jpg"), read(PHOTOS[1]))
        for name in ("masks-00002.jsonl", "annotations.json", "errors.jsonl"):
            data = read(self.at("o", name))
            for change in (
                lambda path: put(path, data + b"x" if name != "errors.jsonl" else data[:-1]),
                os.remove,
                lambda path: (os.remove(path), os.mkfifo(path)),
            ):
                change(self.at("o", name))
                before = {path: time for path, time in power_loss.times(out).items() if not path.endswith(b"tmp")}
                self.failure(name + ": ", "auto", inputs, "-o", out, *FORMATS, "--resume", "--retry-failed", *OPTIONS)
                self.assertEqual(
                    {path: time for path, time in power_loss.times(out).items() if not path.endswith(b"tmp")}, before
                )
                if os.path.lexists(self.at("o", name)):
                    os.remove(self.at("o", name))
                put(self.at("o", name), data)
        self.assertEqual(len(self.auto(inputs, "-o", out, *FORMATS, "--resume", "--retry-failed")[0]), 1)


@unittest.skipUnless(FAULTS, "SAMC_FAULTS is not set")
class Mixed(Archive):
    """A run over all kinds of inputs that meets everything: kills, signals, outages of its inputs and of its folder,
    and somebody who plants links, pipes and files. Each time it says what is wrong or goes on, and at the end the bytes
    are those of a run that met nothing.
    """

    COUNT, ROUNDS = 250, 40

    def setUp(self):
        super().setUp()
        kinds = ([], [], [], [])
        for i in range(self.COUNT):
            ending, data = picture(i) if i % 12 else ("jpg", read(PHOTOS[i // 12 % len(PHOTOS)]))
            kinds[(0, 0, 1, 2, 3)[i % 5]].append(
                (f"{i // 10:02}/{i:03}.{ending}", data[: len(data) // 2] if i % 37 == 4 else data)
            )
        folder, tar, gz, zipped = kinds
        for name, data in folder:
            put(self.at("in", name), data)
        pack(self.at("in", "03.tar"), tar)
        pack(self.at("in", "07", "b.tar.gz"), gz)
        with zipfile.ZipFile(self.at("in", "09.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in zipped:
                archive.writestr(name, data)
        put(self.at("victim", "thesis.txt"), b"precious\n" * 100)
        self.formats = ["--format", "rle,jsonl,coco,png,overlay", "--lines-per-file", "25"]
        self.out = self.at("out")

    def start(self, *options, **faults):
        environment = {**os.environ, **fault_environment(self.out, **faults)} if faults else None
        command = [SAMC, "auto", self.at("in"), "-o", self.out, *self.formats, "--resume", "-q", *OPTIONS, *options]
        return held([*command, "--queue", "1", "--batch-images", "1"], at_once=True, env=environment)

    def end(self, process, codes, what):
        err = process.communicate()[1].decode()
        self.assertIn(process.returncode, codes, f"{what}, seed {SEED}: {err}")
        return err

    def progress(self, process):
        """Waits until the run, of which there are nine images under way at most, has done one or some, or is over."""
        begun = records(self.out)
        while records(self.out) == begun and process.poll() is None:
            time.sleep(0.001)

    def kill(self):
        process = self.start()
        self.progress(process)
        process.kill()
        self.end(process, (-9, 3), "killed")

    def interrupt(self):
        process, number = self.start(), self.dice.choice((signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
        self.progress(process)
        process.send_signal(number)
        self.end(process, (128 + number, -number, 3), "interrupted")

    def folder_fails(self):
        self.end(
            self.start(at=self.dice.randrange(200), error=self.dice.choice((5, 28)), always=self.dice.random() < 0.5),
            (1, 3),
            "its folder failed",
        )

    def inputs_vanish(self):
        process = self.start()
        self.progress(process)
        os.rename(self.at("in"), self.at("away"))
        self.end(process, (1, 3), "its inputs vanished")
        before = tree(self.out)
        self.assertIn("in", self.end(self.start(), (1,), "its inputs are away"))
        self.assertEqual(tree(self.out), before)
        os.rename(self.at("away"), self.at("in"))

    def hostile(self):
        if not os.path.exists(os.path.join(self.out, ".samc", "journal")):
            return
        names = [".samc", ".samc/journal", ".samc/inputs", ".samc/tmp", ".samc-run.json"] + [
            name for name in ("errors.jsonl",) if os.path.exists(os.path.join(self.out, name))
        ]
        path, kept = os.path.join(self.out, self.dice.choice(names)), self.at("kept")
        os.rename(path, kept)
        what = self.dice.choice(("link", "same", "pipe", "dangling"))
        (
            os.mkfifo(path)
            if what == "pipe"
            else os.symlink(
                {"link": self.at("victim", "thesis.txt"), "same": kept, "dangling": self.at("victim", "new")}[what],
                path,
            )
        )
        before = self.look()
        err = self.end(self.start(), (1,), f"{what} at {path}")
        self.assertEqual((err.count("\n"), self.look()), (1, before), f"{what} at {path}: {err}")
        os.remove(path)
        os.rename(kept, path)

    def look(self):
        found = {}
        for where in (self.out, self.at("victim"), self.at("kept")):
            for folder, folders, files in os.walk(where):
                for name in folders + files:
                    information = os.lstat(os.path.join(folder, name))
                    found[os.path.join(folder, name)] = (
                        information.st_mode,
                        information.st_size,
                        information.st_ino,
                        None if name == "tmp" else information.st_mtime_ns,
                    )
        return found

    def test_everything(self):
        self.auto(self.at("in"), "-o", self.at("whole"), *self.formats, code=3)
        victim, met, unfinished = tree(self.at("victim")), {}, 0
        events = (self.kill, self.interrupt, self.folder_fails, self.inputs_vanish, self.hostile)
        for round in range(self.ROUNDS):
            event = self.dice.choice(events) if round >= len(events) else events[round]
            event()
            met[event.__name__] = met.get(event.__name__, 0) + 1
            unfinished += not os.path.exists(os.path.join(self.out, "annotations.json"))
        self.assertGreater(unfinished, self.ROUNDS // 3, "the run was through too early to meet anything")
        self.end(self.start(), (3,), "the end")
        self.same_tree(self.out, self.at("whole"))
        self.assertEqual(tree(self.at("victim")), victim)
        print(f"{self.COUNT} images, {met}, {unfinished} times before it was through, seed {SEED}", file=sys.stderr)


# ---- Many images -----------------------------------------------------------------------------------------------------


class Thousand(Archive):
    COUNT, KILLS = 1000, 10
    folders_in = None  # a disk, if the usual place for temporary files is one

    def make(self, count):
        folder, tar, zipped = [], [], []
        for i in range(count):
            ending, data = picture(i) if i % 10 else ("jpg", read(PHOTOS[i // 10 % len(PHOTOS)]))
            if i % 97 == 5:
                data = data[: len(data) // 2]
            (folder if i % 5 < 3 else tar if i % 5 == 3 else zipped).append((f"{i // 100:02}/{i:04}.{ending}", data))
        for name, data in folder:
            put(self.at("in", name), data)
        pack(self.at("in", "shards", "a.tar"), tar)
        pack(self.at("in", "shards", "b.tar.gz"), zipped)
        for name in ("cat", "coffee"):
            shutil.copy(os.path.join(HERE, "..", "tools", "examples", name + ".jpg"), self.at("in"))
        return self.at("in"), count + 2

    def result_files(self, out):
        """Results that are there, with what would change if they were written again."""
        found = {}
        for where, _, files in os.walk(out):
            if ".samc" not in where:
                for name in files:
                    if name.endswith((".json", ".png", ".csv")) and not name.startswith(
                        ("annotations", "masks", ".samc")
                    ):
                        path = os.path.join(where, name)
                        information = os.stat(path)
                        found[path] = (information.st_ino, information.st_mtime_ns)
        return found

    def test_killed_ten_times(self):
        inputs, total = self.make(self.COUNT)
        formats = ["--format", "rle,jsonl,coco,png,overlay", "--lines-per-file", "150"]
        begun = time.time()
        lines, _ = self.auto(inputs, "-o", self.at("whole"), *formats, "--no-sync", code=3)
        order = [line["image"] for line in lines]
        out, done, seen = self.at("out"), 0, []
        for kill in range(self.KILLS):
            process = held([SAMC, "auto", inputs, "-o", out, *formats, "--resume", *OPTIONS])
            target = done + self.dice.randrange(3, 20)  # what is printed and what is under way are together below 100
            while records(out) < target and process.poll() is None:
                time.sleep(0.001)
            time.sleep(self.dice.random() * 0.02)
            process.kill()
            printed, err = process.communicate()
            self.assertEqual(process.returncode, -9, f"kill {kill} came too late: {err.decode()}")
            now = records(out)
            self.assertTrue(done < now < total, f"kill {kill} did not hit mid-run: {done}, {now}")
            seen.append(
                (
                    now,
                    self.result_files(out),
                    [json.loads(line)["image"] for line in printed.splitlines() if line.endswith(b"}")],
                )
            )
            done = now
        lines, _ = self.auto(inputs, "-o", out, *formats, "--resume", code=3)
        seen.append((total, self.result_files(out), [line["image"] for line in lines]))
        self.same_tree(out, self.at("whole"))
        # An image that the journal had was neither printed again nor its files written again.
        place = {image: i for i, image in enumerate(order)}
        names = {
            record.split()[0]: record
            for record in read(os.path.join(out, ".samc", "journal")).decode().splitlines()[1:]
        }
        self.assertEqual(len(names), total)
        failed_before = [0]
        for record in read(os.path.join(out, ".samc", "journal")).decode().splitlines()[1:]:
            failed_before.append(failed_before[-1] + (record.split()[2] == "failed"))
        for (now, files, _), (_, later, printed) in zip(seen, seen[1:]):
            first = now - failed_before[now]  # images done without failure, hence printed, before this run
            self.assertEqual([place[image] for image in printed if place[image] < first], [], "done again")
            kept = {path: stamp for path, stamp in files.items() if self.number(path, out, order, inputs) < first}
            self.assertEqual([path for path, stamp in kept.items() if later[path] != stamp], [], "written again")
        print(
            f"{total} images, {self.KILLS} kills at {[now for now, _, _ in seen[:-1]]}: {time.time() - begun:.1f} s, "
            f"seed {SEED}",
            file=sys.stderr,
        )

    def number(self, path, out, order, inputs):
        """Place in the order of the image that a result belongs to."""
        if not hasattr(self, "places"):
            self.places = {os.path.relpath(image, inputs): i for i, image in enumerate(order)}
        key = os.path.relpath(path, out)
        for end in (".overlay.png", ".json"):
            if key.endswith(end) and key[: -len(end)] in self.places:
                return self.places[key[: -len(end)]]
        return self.places[os.path.dirname(key)]


class Few(Thousand):
    COUNT, KILLS = 150, 3


class Memory(Archive):
    folders_in = None

    def peak(self, count):
        """Bytes that a run over `count` images of 300 x 200 pixels holds at most."""
        rgb = random.Random(7).randbytes(300 * 200 * 3)
        data = ppm(300, 200, rgb)
        pack(self.at(f"{count}.tar"), [(f"{i:06}.ppm", data) for i in range(count)])
        process = subprocess.Popen(
            [
                SAMC,
                "auto",
                self.at(f"{count}.tar"),
                "-o",
                self.at(f"out{count}"),
                "--format",
                "jsonl,coco",
                "--no-sync",
                "-q",
                *OPTIONS,
                "--points-per-side",
                "1",
            ],
            stdout=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        self.assertEqual(status, 0)
        self.assertEqual(
            read(self.at(f"out{count}", "masks.jsonl" if count <= 10000 else "masks-00000.jsonl")).count(b"\n"),
            min(count, 10000),
        )
        return usage.ru_maxrss * 1024

    def test_memory_is_flat(self):
        few, many = self.peak(500), self.peak(10000)
        print(f"peak memory: 500 images {few / 1e6:.1f} MB, 10000 images {many / 1e6:.1f} MB", file=sys.stderr)
        # Names take about 150 bytes an image; the images would take 1.8 GB.
        self.assertLess(many - few, 9500 * 400 + 4e6)
