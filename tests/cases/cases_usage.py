"""Arguments that mean nothing are wrong usage before anything is touched, and closed descriptors are nobody else's."""

import json
import os
import shutil
import subprocess

from archive_case import OPTIONS, TINY, picture, put
from cli_test import PHOTO, SAMC, Case, read, run


class Usage(Case):
    def test_an_empty_value_is_wrong_usage(self):
        ending, data = picture(1)
        image = put(self.at("a." + ending), data)
        for command in (
            ["auto", image, "-o", ""],
            ["auto", image, "--output="],
            ["segment", image, "--point", "1,1", "-o", ""],
            ["embed", image, "-o", ""],
            ["convert", image, "-o", ""],
            ["auto", image, "-o", "out", "--stats", ""],
            ["segment", image, "--point", "", "-o", "out"],
            ["segment", image, "--point=1,1", "--logits="],
        ):
            self.usage("not empty", *command, cwd=self.folder)
            self.assertEqual(os.listdir(self.folder), ["a." + ending])


class Descriptors(Case):
    def test_closed_ones_never_become_a_file_of_the_run(self):
        for number in range(6):
            ending, data = picture(number)
            put(self.at("in", f"{number}.{ending}"), data)
        self.good("auto", "in", "-o", "open", "--format", "jsonl", *OPTIONS, cwd=self.folder)
        for closed in ((0,), (1,), (2,), (0, 1, 2)):
            out = "closed" + "".join(map(str, closed))
            # A shell closes them, so that samc starts with the numbers free.
            redirect = " ".join(f"{n}{'<' if n == 0 else '>'}&-" for n in closed)
            subprocess.run(
                [
                    "sh",
                    "-c",
                    f'exec "$0" "$@" {redirect}',
                    SAMC,
                    "auto",
                    "in",
                    "-o",
                    out,
                    "--format",
                    "jsonl",
                    *OPTIONS,
                ],
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            # Without a standard output the run may stop and say so; what it did goes on from there.
            self.good("auto", "in", "-o", out, "--format", "jsonl", *OPTIONS, "--resume", cwd=self.folder)
            for name in ("masks.jsonl", ".samc/journal"):
                with open(self.at("open", name), "rb") as one, open(self.at(out, name), "rb") as other:
                    self.assertEqual(one.read(), other.read(), f"{closed}: {name}")


class Amg(Case):
    """The command line of the original's scripts/amg.py, as it stands."""

    def setUp(self):
        super().setUp()
        for number in range(2):
            ending, data = picture(number)
            put(self.at("in", f"{number}.{ending}"), data)
        self.settings = OPTIONS[2:]

    def tree(self, folder):
        out = {}
        for place, _, names in os.walk(self.at(folder)):
            if ".samc" not in place:
                out.update(
                    {
                        os.path.relpath(os.path.join(place, n), self.at(folder)): read(os.path.join(place, n))
                        for n in names
                        if n[0] != "."
                    }
                )
        return out

    def auto(self, out, *arguments):
        self.good("auto", *arguments, "--output", out, *self.settings, cwd=self.folder)
        return self.tree(out)

    def test_each_option_has_amg_s_meaning(self):
        checkpoint = ["--checkpoint", TINY]
        pictures = self.auto("a", "--input", "in", *checkpoint)
        self.assertEqual(pictures, self.auto("b", "in", "--model", TINY, "--format", "png"))
        self.assertTrue(any(name.endswith("metadata.csv") for name in pictures))
        records = self.auto("c", "--input", "in", *checkpoint, "--convert-to-rle")
        self.assertEqual(records, self.auto("d", "in", "--model", TINY, "--format", "rle"))
        self.assertEqual(records, self.auto("e", "in", *checkpoint, "--convert-to-rle"))
        self.assertEqual(pictures, self.auto("f", "--device", "cpu", "--input", "in", *checkpoint))
        self.assertEqual(self.auto("g", "in", "--model", TINY), self.auto("h", "in", *checkpoint))
        both = self.auto(
            "i",
            "--input",
            os.path.join("in", os.listdir(self.at("in"))[0]),
            os.path.join("in", os.listdir(self.at("in"))[1]),
            *checkpoint,
        )
        self.assertEqual(len([name for name in both if name.endswith("metadata.csv")]), 2)
        put(self.at("in", "deeper", "2." + picture(2)[0]), picture(2)[1])  # amg.py enters no folder of a folder
        self.assertEqual(pictures, self.auto("j", "--input", "in", *checkpoint))
        self.assertEqual(
            len([name for name in self.auto("k", "in", *checkpoint, "--convert-to-rle") if name.endswith(".json")]), 3
        )

    def test_the_type_is_that_of_the_model(self):
        for kind, words in (
            ("default", "32 blocks of 1280"),
            ("vit_h", "32 blocks of 1280"),
            ("vit_l", "24 blocks of 1024"),
            ("vit_b", "12 blocks of 768"),
        ):
            for expected in (f"--model-type {kind} is an encoder of {words} channels", TINY):
                self.failure(
                    expected,
                    "auto",
                    "--input",
                    "in",
                    "--output",
                    "o",
                    "--checkpoint",
                    TINY,
                    "--model-type",
                    kind,
                    cwd=self.folder,
                )
        self.usage(
            "--model-type is default, vit_h, vit_l or vit_b, not 'vit_t'",
            "auto",
            "in",
            "-o",
            "o",
            "--model-type",
            "vit_t",
        )

    def test_contradictions(self):
        common = ["auto", "in", "-o", "o"]
        self.usage("--checkpoint and --model are the same", *common, "--checkpoint", TINY, "--model", TINY)
        self.usage("--convert-to-rle is --format rle", *common, "--convert-to-rle", "--format", "png")
        self.usage("--input is given twice", *common, "--input", "in", "--input", "in")


class Device(Case):
    def test_names_of_pytorch(self):
        commands = (
            ["segment", PHOTO, "--point", "1,1", "--format", "rle"],
            ["embed", PHOTO, "-o", "e.npy"],
            ["bench", "--stage", "prompt", "--runs", "1"],
            ["info"],
            ["auto", PHOTO, "-o", "o"],
        )
        for command in commands:
            command = command + ["--model", TINY] + OPTIONS[2:8] * (command[0] == "auto")
            for device in ("cuda", "cuda:3"):  # there is no GPU here, and another backend is not taken in its place
                code, _, err = run(
                    *command, "--device", device, cwd=self.folder, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""}
                )
                self.assertEqual((code, err.count("\n")), (1, 1), err)
                self.assertRegex(err, "CUDA")
            self.usage(
                "--device cpu and --backend cuda contradict",
                *command,
                "--device",
                "cpu",
                "--backend",
                "cuda",
                cwd=self.folder,
            )
            self.usage(
                "--device cuda and --backend ref contradict",
                *command,
                "--backend",
                "ref",
                "--device",
                "cuda:1",
                cwd=self.folder,
            )
            for wrong in ("gpu", "mps", "cuda:", "cuda:x", "cuda:-1", "cpu:0", "1,1"):
                self.usage("--device is cpu, cuda, cuda:N or ", *command, "--device", wrong, cwd=self.folder)
            self.assertEqual(os.listdir(self.folder), [])
            self.good(*command, "--device", "cpu", cwd=self.folder)
            for name in os.listdir(self.folder):
                shutil.rmtree(self.at(name)) if os.path.isdir(self.at(name)) else os.remove(self.at(name))

    def test_the_cpu_backend_is_meant(self):
        def backend(*arguments):
            return json.loads(self.good("info", TINY, "--json", *arguments)[0])["model"]["backend"]

        self.assertEqual(backend("--device", "cpu"), "cpu")
        self.assertEqual(backend("--device", "cpu", "--backend", "ref"), "ref")
        self.assertEqual(backend("--device", "cuda", "--backend", "auto", "--device", "cpu"), "cpu")


class DefaultFormats(Case):
    def test_overlays_only_of_a_few_named_images(self):
        names = []
        for number in range(9):
            ending, data = picture(number)
            names.append(f"in/{number}.{ending}")
            put(self.at(names[-1]), data)
        put(self.at("list.txt"), names[0].encode())
        for out, inputs, overlays in (
            ("few", names[:8], 8),
            ("many", names, 0),
            ("folder", ["in"], 0),
            ("list", ["@list.txt"], 0),
        ):
            self.good("auto", *inputs, "-o", out, "-q", *OPTIONS, cwd=self.folder)
            found = [name for _, _, files in os.walk(self.at(out)) for name in files]
            self.assertEqual(sum(name.endswith(".overlay.png") for name in found), overlays, out)
            self.assertEqual(
                sum(name.endswith(".json") and not name.startswith(".") for name in found if "run" not in name),
                1 if out == "list" else 8 if out == "few" else 9,
                out,
            )
