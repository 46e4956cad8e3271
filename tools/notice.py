#!/usr/bin/env python3
"""Writes NOTICE: whose work samc's default model was trained on and its example pictures are, from the records in this
tree.

    python3 tools/notice.py            writes NOTICE
    python3 tools/notice.py --check    ends with 1 where NOTICE is not what it would write

Sources: the table of weights/MODEL_CARD.md (counts and licences), tools/train/sources.py and coco.py (where each source
comes from), tools/train/coco_pictures.tsv (every COCO picture), tools/examples/README.md (the example photographs, by
author).
"""

import ast
import os
import sys

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")

HEAD = """samc: the Segment Anything Model as an inference engine in C

samc is licensed under Apache-2.0 (LICENSE). It is an implementation of its own of the Segment Anything Model of Meta AI
(https://github.com/facebookresearch/segment-anything, Apache-2.0).

This file is written by tools/notice.py. It names the pictures that weights/samc-tiny.safetensors was trained on, none \
of which is
contained in this distribution, and the example photographs, which are.
"""

VOCABULARY = """
Vocabulary of phrases (runtime/model/tokenizer_merges.inc)

  The byte pairs of bpe_simple_vocab_16e6.txt.gz of CLIP (https://github.com/openai/CLIP), as the PyPI package \
open-clip-torch ships it.

  MIT License. Copyright (c) 2021 OpenAI

  Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated \
documentation files (the
  "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy, \
modify, merge, publish,
  distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is furnished \
to do so, subject to
  the following conditions:

  The above copyright notice and this permission notice shall be included in all copies or substantial portions of the \
Software.

  THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE \
WARRANTIES OF
  MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT \
HOLDERS BE LIABLE
  FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF \
OR IN CONNECTION
  WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

"""


def read(*names):
    with open(os.path.join(TREE, *names), encoding="utf-8") as file:
        return file.read()


def literal(text, name):
    """The dictionary that a Python file assigns to a name, without running it."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    raise SystemExit(f"no dictionary {name}")


def table(text, first):
    """Rows of the Markdown table whose head begins with `first`."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| " + first))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def notice():
    sources, repositories = literal(read("tools", "train", "sources.py"), "SOURCES"), literal(
        read("tools", "train", "coco.py"), "REPOSITORIES"
    )
    out = [HEAD, VOCABULARY, "\nExample photographs (tools/examples)\n"]
    for file, what, author, licence in table(read("tools", "examples", "README.md"), "file"):
        out.append(f"  {file.strip('`')}: {what}. {author}. {licence}.")
    out.append(
        "\n\nTraining pictures by source: how many, licence (with the number of files where it is stated for each), "
        "address\n"
    )
    out.append(
        "Authors of single files are named in the debian/copyright file of each Debian package, below the address "
        "given.\n"
    )
    kinds = {"cut": "cut-outs", "photo": "photographs", "tex": "textures", "cells": "microscope pictures"}
    named = set()
    for name, assets, licence in table(read("weights", "MODEL_CARD.md"), "source | assets"):
        if name not in sources:
            continue
        named.add(name)
        address = (
            f"https://packages.debian.org/bookworm/{name}"
            if sources[name][0] == "deb"
            else f"https://github.com/{name}"
        )
        assets = " ".join(
            kinds.get(word.strip(","), word.strip(",")) + "," * word.endswith(",") for word in assets.split()
        )
        out.append(f"  {name}: {assets}\n    {licence}\n    {address}")
    missing = sorted(set(sources) - named)
    if missing:
        raise SystemExit(f"weights/MODEL_CARD.md has no row for {', '.join(missing)}")
    rows = [line.split("\t") for line in read("tools", "train", "coco_pictures.tsv").splitlines()]
    out.append(f"""

COCO: {len(rows)} photographs, with masks that people drew

Annotations: COCO Consortium (https://cocodataset.org), CC-BY-4.0. Read from parts of the data set in these \
repositories:
""")
    out += [f"  https://github.com/{name}" for name in repositories]
    out.append("""
Photographs: by users of Flickr, each under the licence that the data set records for it. The records name \
no authors; the page of a picture
does, at https://www.flickr.com/photo.gne?id=N with N the digits between the last slash and the first underscore \
of its address.
  CC-BY-2.0: https://creativecommons.org/licenses/by/2.0/
  CC-BY-SA-2.0: https://creativecommons.org/licenses/by-sa/2.0/
  no known copyright restrictions: https://www.flickr.com/commons/usage/
""")
    for licence in sorted({row[1] for row in rows}):
        addresses = [row[2] for row in rows if row[1] == licence]
        out.append(f"{licence} ({len(addresses)}):")
        out += [f"  {address}" for address in addresses]
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    path, text = os.path.join(TREE, "NOTICE"), notice()
    if sys.argv[1:] == ["--check"]:
        if not os.path.isfile(path) or read("NOTICE") != text:
            sys.exit("NOTICE is not what tools/notice.py writes")
    else:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
