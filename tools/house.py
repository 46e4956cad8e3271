#!/usr/bin/env python3
"""How the source is built as a house, in numbers: what stands apart, what points the wrong way, what is too large.

    house.py [TREE[=BUILD] ...]     a column for each tree (default: this one); with BUILD also bytes and start-up time
    house.py --check [TREE]         the rules alone: prints what breaks them and ends with 1 if something does
    house.py --functions [TREE]     the functions above 60 lines or 8 parameters, by name

The rules: includes run down the floors below, files include each other in no circle, families of models are named in
runtime/model/ and weights/ alone, functions have at most 8 parameters, lines at most 120 columns. What broke a rule
when it was made is counted in ALLOWED: that may become less, not more. Older trees, whose operators had no folders,
can be counted too. Needs git, and for BUILD ldd.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

CODE = (".c", ".h", ".cc", ".cpp", ".cu", ".cuh")
LIBRARY = ("runtime/", "kernels/", "weights/", "host/")
MOST_LINES, MOST_PARAMETERS, MOST_COLUMNS = 60, 8, 120
ALLOWED = {"upward": 0, "circles": 0, "parameters": 11}
# The floors, lowest first; a file may include what is on its own floor, within its own folder there, or below.
FLOORS = [
    ("base", 0, r"runtime/(base/.*|samc(_text)?\.h)"),
    ("weights", 1, r"weights/.*"),
    ("kernels", 1, r"kernels/.*"),
    ("model", 2, r"runtime/model/.*"),
    ("runtime", 3, r"runtime/.*"),
    ("serve", 5, r"host/serve/.*"),
    ("io", 4, r"host/(io/.*|(?!cli\.|cmd_|predict\.|progress\.|roofline\.|samc_cli\.|cli/).*)"),
    ("program", 6, r"host/.*"),
]


def floor(path):
    return next(((name, level) for name, level, pattern in FLOORS if re.fullmatch(pattern, path)), None)


class Tree:
    def __init__(self, root):
        self.root = Path(root)
        listed = subprocess.run(
            ["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split("\n")
        self.files = {}
        for path in listed:
            name = os.path.basename(path)
            if path.endswith(CODE + (".py", ".sh", ".cmake")) or name == "CMakeLists.txt" or path == ".ci/run":
                if (self.root / path).is_file():
                    self.files[path] = (self.root / path).read_text(errors="replace")
        self.code = {p: self.bare(t) for p, t in self.files.items() if p.endswith(CODE)}
        self.lists = next(self.files[p] for p in ("kernels/list.h", "kernels/ops_list.h") if p in self.files)
        self.operators = re.findall(r"^SAMC_OP\((\w+)", self.lists, re.M)

    @staticmethod
    def bare(text):
        """Without comments; strings stay, lines stay."""

        def gone(match):
            return match[0] if match[0][0] in "\"'" else "\n" * match[0].count("\n")

        return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', gone, text, flags=re.S)

    def library(self):
        return [p for p in self.code if p.startswith(LIBRARY)]

    def named_outside(self):
        """By operator: the files that name it in code and are not its own."""
        found = {}
        for op in self.operators:
            own = re.compile(rf"kernels/{op}(/|\.h$|_(ref|cpu|cuda|onednn)\.|_pick)|tests/emu/emu_{op}\.cc$")
            word = re.compile(rf"(?<![A-Za-z0-9_])(samc__)?{op}(?![a-z0-9])(?!_thresh)")
            texts = {**self.files, **self.code}
            found[op] = [p for p, t in texts.items() if not own.match(p) and word.search(t)]
        return found

    def includes(self, path):
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', self.code[path], re.M):
            for at in (name, os.path.normpath(os.path.join(os.path.dirname(path), name))):
                if at in self.code:
                    yield at
                    break

    def upward(self):
        found = []
        for path in self.library():
            mine = floor(path)
            for at in self.includes(path):
                other = floor(at)
                if mine and other and (other[1] > mine[1] or (other[1] == mine[1] and other[0] != mine[0])):
                    found.append(f"{path} ({mine[0]}) includes {at} ({other[0]})")
        return found

    def families(self):
        """Code of the library that names a family of models where none may stand; vit_b, vit_l and vit_h are names that
        users type, clip-vit- one that they search for."""
        names = r"vit(?!_[blh]\b)|tiny_?vit|hiera|efficient_?(vit|sam)|repvit|mobile_?sam|edge_?(sam|tam)|sam_?hq"
        word = re.compile(rf"(?<![a-z])({names})(?![a-z])", re.I)
        found = []
        for path in self.library():
            if path.startswith(("runtime/model/", "weights/")):
                continue
            found += [
                f"{path}:{number}: names a family: {line.strip()}"
                for number, line in enumerate(self.code[path].split("\n"), 1)
                if word.search(line.replace("sam_vit_", "").replace("clip-vit-", ""))
            ]
        return found

    def internal(self):
        """What programs include that is no public header and not their own."""
        public = (
            "runtime/samc.h",
            "runtime/samc_text.h",
            "host/io/samc_io.h",
            "host/io/samc_stream.h",
            "host/io/samc_geo.h",
            "host/io/samc_tiles.h",
        )
        return [
            f"{p} includes {at}"
            for p in self.library()
            if floor(p)[0] == "program"
            for at in self.includes(p)
            if floor(at) and floor(at)[0] != "program" and at not in public
        ]

    def circles(self):
        """Groups of files that include each other around: a header with its source is one, a header without a source
        belongs to whoever includes it."""
        unit = lambda path: re.sub(r"\.(c|h|cc|cu|cuh|cpp)$", "", path)
        sources = {unit(path) for path in self.library() if not path.endswith(".h")}

        def reached(path, seen):
            for at in self.includes(path):
                if unit(at) in sources:
                    yield unit(at)
                elif at not in seen:
                    yield from reached(at, seen | {at})

        edges = {name: set() for name in sources}
        for path in self.library():
            if unit(path) in sources:
                edges[unit(path)] |= set(reached(path, set())) - {unit(path)}
        index, low, stack, on, groups = {}, {}, [], set(), []

        def visit(node):  # Tarjan
            index[node] = low[node] = len(index)
            stack.append(node)
            on.add(node)
            for other in edges.get(node, ()):
                if other not in index:
                    visit(other)
                    low[node] = min(low[node], low[other])
                elif other in on:
                    low[node] = min(low[node], index[other])
            if low[node] == index[node]:
                group = []
                while not group or group[-1] != node:
                    group.append(stack.pop())
                    on.discard(group[-1])
                if len(group) > 1:
                    groups.append(sorted(group))

        sys.setrecursionlimit(10000)
        for node in list(edges):
            if node not in index:
                visit(node)
        return groups

    def restatements(self):
        """Where a weight's shape is written again: a view made over a weight, or a helper that is told its sizes."""
        made = re.compile(
            r"\bsamc__view[1-4]\(\s*(?:[\w>.-]*\b(?:w|weights|up|up_fold)(?:->|\.)[\w.\[\]>-]+|layers?\[)|"
            r"\b(?:samc__)?(?:linear|norm|attention|conv|mlp)_of\((?!const|samc__)"
        )
        files = (p for p in self.library() if p.startswith(("runtime/", "host/")) and p.endswith(".c"))
        return sum(len(made.findall(self.code[p])) for p in files)

    def functions(self):
        """(file, name, lines, parameters) of every function defined in column 0; lines from its name to its last brace.
        What is launched on a GPU and what stands in for a foreign library has no choice of its parameters: 0."""
        for path, text in self.code.items():
            lines, i = text.split("\n"), 0
            while i < len(lines):
                start = i
                if not re.match(r"[A-Za-z_].*\(", lines[i]) or re.match(r"(typedef|struct|enum|union|#)", lines[i]):
                    i += 1
                    continue
                while i < len(lines) and not re.search(r"[;{}]\s*$", lines[i]):
                    i += 1
                head = " ".join(lines[start : i + 1])
                match = re.match(r"[^=;]*?\b(\w+)\s*\((.*)\)\s*(?:const\s*)?\{", head)
                if not match or not (i < len(lines) and lines[i].rstrip().endswith("{")):
                    i = max(i, start) + 1
                    continue
                end = i
                while end < len(lines) and lines[end].rstrip() not in ("}", "};"):
                    end += 1
                depth = count = 0
                for letter in match[2]:
                    depth += (letter in "([{") - (letter in ")]}")
                    count += letter == "," and depth == 0
                told = match[1] == "SAMC_KERNEL" or re.match("tests/(emu/library_twins|gpu/bare/)", path)
                yield path, match[1], end - start + 1, 0 if match[2].strip() in ("", "void") or told else count + 1
                i = end + 1

    def wide(self):
        lines = ((p, n, line) for p, t in self.files.items() for n, line in enumerate(t.split("\n"), 1))
        return [(p, n) for p, n, line in lines if len(line) > MOST_COLUMNS]


def build_figures(build):
    """Bytes of the shared libraries, of all that the program needs with them, and its start-up in processor time."""
    shared = {os.path.realpath(p) for p in Path(build).glob("lib*.so")} | {
        os.path.realpath(p) for p in Path(build).glob("*/libsamc*.so")
    }
    program = Path(build) / "bin" / "samc"
    needed = re.findall(r"=> (/\S+)", subprocess.run(["ldd", program], capture_output=True, text=True).stdout)
    used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
    seconds = []
    for _ in range(41):
        start = used()
        subprocess.run([program, "--version"], stdout=subprocess.DEVNULL, check=True)
        seconds.append(used() - start)
    size = lambda paths: sum(os.path.getsize(os.path.realpath(p)) for p in paths)
    return f"{size(shared):,}", f"{size(needed):,} in {len(needed)}", f"{1e3 * sorted(seconds)[20]:.1f} ms"


def column(spec):
    root, _, build = spec.partition("=")
    tree = Tree(root)
    outside = {op: len(files) for op, files in tree.named_outside().items()}
    functions = list(tree.functions())
    readme = (tree.root / "README.md").read_text().count("\n")
    shared, needed, start = build_figures(build) if build else ("", "", "")
    return {
        "files that name an operator outside its folder, in all": sum(outside.values()),
        "  by operator: fewest to most": f"{min(outside.values())} to {max(outside.values())}",
        "upward includes": len(tree.upward()),
        "includes of internals by the programs": len(tree.internal()),
        "circles between files (files in them)": f"{len(tree.circles())} ({sum(map(len, tree.circles()))})",
        "weights whose shape is stated again": tree.restatements(),
        "functions above 60 lines": sum(lines > MOST_LINES for _, _, lines, _ in functions),
        "functions above 8 parameters": sum(parameters > MOST_PARAMETERS for _, _, _, parameters in functions),
        "lines above 120 columns": len(tree.wide()),
        "lines of the longest C file": max(t.count("\n") for p, t in tree.files.items() if p.endswith(CODE)),
        "README lines": readme,
        "bytes of the installed libraries": shared,
        "bytes of the libraries that samc needs": needed,
        "start-up, `samc --version`, processor time, median of 41": start,
    }


def check(root):
    tree = Tree(root)
    broken = {
        "upward": tree.upward(),
        "circles": [f"{file} is in a circle with {', '.join(group)}" for group in tree.circles() for file in group],
        "parameters": [f"{p}: {f}() has {n} parameters" for p, f, _, n in tree.functions() if n > MOST_PARAMETERS],
        "families": tree.families(),
        "wide": [f"{p}:{n}: above {MOST_COLUMNS} columns" for p, n in tree.wide()],
    }
    bad = 0
    for rule, found in broken.items():
        if len(found) > ALLOWED.get(rule, 0):
            print(*found, f"house.py: {rule}: {len(found)}, at most {ALLOWED.get(rule, 0)}", sep="\n")
            bad = 1
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="*", default=[str(Path(__file__).resolve().parents[1])])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--functions", action="store_true")
    args = parser.parse_args()
    if args.check:
        return check(args.trees[0])
    if args.functions:
        for path, name, lines, parameters in sorted(Tree(args.trees[0]).functions(), key=lambda f: -f[2]):
            if lines > MOST_LINES or parameters > MOST_PARAMETERS:
                print(f"{lines:4} lines {parameters:2} parameters  {path}: {name}")
        return 0
    columns = [column(spec) for spec in args.trees]
    print("| | " + " | ".join(Path(s.partition("=")[0]).resolve().name for s in args.trees) + " |")
    print("|---|" + "---|" * len(columns))
    for row in columns[0]:
        print(f"| {row} | " + " | ".join(str(c[row]) for c in columns) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
