#!/usr/bin/env python3
"""Writes runtime/model/tokenizer_merges.inc, the byte pairs of CLIP's vocabulary.

    pip download --no-deps open-clip-torch==3.3.0
    python3 tools/make_merges.py open_clip_torch-3.3.0-py3-none-any.whl
    python3 tools/make_merges.py --check open_clip_torch-3.3.0-py3-none-any.whl     ends with 1 where it differs

The wheel, or bpe_simple_vocab_16e6.txt.gz itself, which it carries as its authors at OpenAI published it (MIT). The
vocabulary follows from the pairs: 256 bytes, the same at the end of a word, one token a pair, start and end.
"""

import gzip
import os
import sys
import zipfile

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runtime", "model", "tokenizer_merges.inc")
NAME = "bpe_simple_vocab_16e6.txt.gz"
PAIRS, LINE = 48894, 19
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-"
HEAD = """/* By tools/make_merges.py from bpe_simple_vocab_16e6.txt.gz of CLIP, copyright (c) 2021 OpenAI, MIT (NOTICE).
 *
 * 48894 pairs of tokens in the order in which they are merged, the first merge making token 512: two numbers below
 * 2^18, three digits each of 0-9 A-Z a-z + - with the highest first. */
"""


def byte_names():
    """What stands for each byte in the file, in the order of the vocabulary."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + i) for i in range(len(rest))]


def source(path):
    if path.endswith(".whl"):
        with zipfile.ZipFile(path) as wheel:
            return wheel.read(next(name for name in wheel.namelist() if name.endswith("/" + NAME)))
    with open(path, "rb") as file:
        return file.read()


def digits(number):
    return "".join(DIGITS[number >> shift & 63] for shift in (12, 6, 0))


def table(path):
    lines = gzip.decompress(source(path)).decode("utf-8").split("\n")[1 : 1 + PAIRS]
    names = byte_names()
    tokens = {name: i for i, name in enumerate(names + [name + "</w>" for name in names])}
    text = []
    for line in lines:
        left, right = line.split(" ")
        text.append(digits(tokens[left]) + digits(tokens[right]))
        tokens[left + right] = len(tokens)
    assert len(tokens) == 512 + PAIRS
    rows = ["".join(text[i : i + LINE]) for i in range(0, PAIRS, LINE)]
    return HEAD + "".join(f'"{row}"\n' for row in rows)


if __name__ == "__main__":
    check = sys.argv[1:2] == ["--check"]
    if len(sys.argv) != 2 + check:
        sys.exit(__doc__)
    if not check:
        with open(OUT, "w", encoding="ascii") as file:
            file.write(table(sys.argv[-1]))
    elif open(OUT, encoding="ascii").read() != table(sys.argv[-1]):
        sys.exit(f"{OUT} is not what {sys.argv[-1]} gives")
