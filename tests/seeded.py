"""Programs with a seeded bug, from a built tree: only what the bug changes is compiled, by the build's own command, and
the program is linked as the build links it, with the new object in the old one's place; where that is in an archive the
new one comes first, and the archive's stays out.

For checkops/mutations.py, emu/mutations.py and emu/host_mutations.py."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(command, **options):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)


class Build:
    def __init__(self, folder):
        self.folder, self.known = Path(folder).resolve(), {}
        self.usable = bool(shutil.which("ninja")) and (self.folder / "build.ninja").exists()

    def commands(self, target):
        """The compile and link commands that lead to a target, as lists of words, the target's own last."""
        if target not in self.known:
            done = run(["ninja", "-C", self.folder, "-t", "commands", target])
            if done.returncode:
                sys.exit(f"{target}: {done.stderr}")
            # Linking is wrapped as ": && COMMAND && :".
            lines = [re.sub(r"^: && | && :$", "", line) for line in done.stdout.splitlines() if " -o " in line]
            self.known[target] = [shlex.split(line) for line in lines]
        return self.known[target]

    def has(self, target):
        return run(["ninja", "-C", self.folder, "-t", "query", target]).returncode == 0

    def compile(self, target, source, to, text_from=None, first=(), last=(), for_object=""):
        """Compiles `source`, or the file `text_from` as it, into the file `to`, with words before all folders of
        headers and at the end. Returns the object that the build makes of it; of several, the one with `for_object`
        in its name."""
        compiles = [c for c in self.commands(target) if "-c" in c and c[c.index("-c") + 1] == str(source)]
        command = next((c for c in compiles if for_object in c[c.index("-o") + 1]), compiles[0] if compiles else None)
        if command is None:
            sys.exit(f"{source} is not compiled for {target}")
        words = list(command)
        original = words[words.index("-o") + 1]
        words[words.index("-c") + 1], words[words.index("-o") + 1] = str(text_from or source), str(to)
        for flag in ("-MD", "-MT", "-MF"):
            if flag in words:
                at = words.index(flag)
                del words[at : at + (1 if flag == "-MD" else 2)]
        at = next(i for i, word in enumerate(words) if word.startswith("-I"))
        words[at:at] = [str(word) for word in first]
        done = run([*words, *last, "-Wno-error"], cwd=self.folder)
        if done.returncode:
            sys.exit(f"{source} does not compile:\n{done.stderr[:2000]}")
        return original

    def link(self, target, to, replaced, first=(), last=()):
        """Links `target` into the file `to`; `replaced`: the build's object -> the new one."""
        words = list(self.commands(target)[-1])
        for original, new in replaced.items():
            if original in words:
                words[words.index(original)] = str(new)
            else:
                first = [*first, new]
        words[words.index("-o") + 1] = str(to)
        at = next(i for i, word in enumerate(words) if word.endswith((".o", ".a")))
        words[at:at] = [str(word) for word in first]
        done = run([*words, *last], cwd=self.folder)
        if done.returncode:
            sys.exit(f"{target} does not link:\n{done.stderr[:2000]}")
        return to
