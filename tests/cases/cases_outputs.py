"""What an output's name leads to: nothing of somebody else's is replaced, and what is no file is written into or refused."""
import json
import os
import stat
import subprocess
import threading
import unittest

from archive_case import OPTIONS, TINY, picture, put
from cli_test import SAMC, Case, read, run

SMALL = ["--model", TINY, "--threads", "2"]


class Outputs(Case):
    """--logits, --stats, embed -o, convert -o and the files of segment, each with what its name may lead to."""
    def setUp(self):
        super().setUp()
        self.image = put(self.at("a." + picture(1)[0]), picture(1)[1])

    def commands(self, output):
        """Everything that writes one file."""
        return {"logits": ["segment", self.image, "--point", "1,1", "--format", "rle", "--logits", output, *SMALL],
                "stats": ["auto", self.image, "-o", self.at("out"), "--format", "jsonl", "--stats", output, "-q", *OPTIONS],
                "npy": ["embed", self.image, "-o", output, *SMALL],
                "safetensors": ["embed", self.image, "-o", output, *SMALL],
                "convert": ["convert", TINY, "-o", output, "-q"]}

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
