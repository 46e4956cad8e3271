"""Arguments that mean nothing are wrong usage before anything is touched, and closed descriptors are nobody else's."""
import os
import subprocess

from archive_case import OPTIONS, picture, put
from cli_test import SAMC, Case, run


class Usage(Case):
    def test_an_empty_value_is_wrong_usage(self):
        ending, data = picture(1)
        image = put(self.at("a." + ending), data)
        for command in (["auto", image, "-o", ""], ["auto", image, "--output="], ["segment", image, "--point", "1,1", "-o", ""],
                        ["embed", image, "-o", ""], ["convert", image, "-o", ""], ["auto", image, "-o", "out", "--stats", ""],
                        ["segment", image, "--point", "", "-o", "out"], ["segment", image, "--point=1,1", "--logits="]):
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
            subprocess.run(["sh", "-c", f'exec "$0" "$@" {redirect}', SAMC, "auto", "in", "-o", out, "--format", "jsonl", *OPTIONS],
                           cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # Without a standard output the run may stop and say so; what it did goes on from there.
            self.good("auto", "in", "-o", out, "--format", "jsonl", *OPTIONS, "--resume", cwd=self.folder)
            for name in ("masks.jsonl", ".samc/journal"):
                with open(self.at("open", name), "rb") as one, open(self.at(out, name), "rb") as other:
                    self.assertEqual(one.read(), other.read(), f"{closed}: {name}")
