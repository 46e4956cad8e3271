#!/usr/bin/env python3
"""The tokenizer against `transformers`' CLIPTokenizer, which it has to equal, and open_clip's, which mends and
unescapes texts before it reads them and so differs here and there.

    python3 tests/parity/tokenizer_parity.py build/release/bin/tokenize_lines chardet-5.2.0.tar.gz emoji-2.16.0.tar.gz
    python3 tests/parity/tokenizer_parity.py --golden     writes tests/data/tokenizer.json

The archives are source distributions from PyPI (`pip download --no-deps --no-binary :all: chardet==5.2.0
emoji==2.16.0`): chardet's tests are web pages in some thirty languages and sixty encodings, emoji's list has every
sequence with its name in a dozen languages. 10,000 strings in all, with control characters, own and random ones, and
overlong ones; both context lengths. Then every character of Unicode by itself, between letters and behind a combining
mark, where what differs is only told: characters that one of the two libraries' versions of Unicode does not know yet.

Wants transformers 5.24, open_clip_torch 3.3 and ftfy.
"""

import gzip
import html
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import unicodedata

TREE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
PAIRS, CONTEXTS = 48894, (16, 77)


def reference():
    """transformers' tokenizer on the vocabulary that open_clip ships."""
    import open_clip
    from transformers import CLIPTokenizer

    sys.path.insert(0, os.path.join(TREE, "tools"))
    from make_merges import byte_names

    path = os.path.join(os.path.dirname(open_clip.__file__), "bpe_simple_vocab_16e6.txt.gz")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file.read().split("\n")[1 : 1 + PAIRS]]
    names = byte_names()
    tokens = names + [name + "</w>" for name in names] + ["".join(pair) for pair in merges]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: i for i, token in enumerate(tokens)}, merges=merges)


def expected(tokenizer, texts, context):
    out = []
    for i in range(0, len(texts), 1000):
        out += tokenizer(texts[i : i + 1000], truncation=True, max_length=context)["input_ids"]
    return out


def ours(program, texts, context):
    """[(cut, tokens)], None where it refuses."""
    run = subprocess.run(
        [program, str(context)], input=b"".join(t.encode() + b"\0" for t in texts), capture_output=True, check=True
    )
    out = []
    for line in run.stdout.decode().splitlines():
        words = line.split()
        cut = words[0] == "cut"
        out.append(None if words[0] == "error:" else (cut, [int(word) for word in words[cut:]]))
    assert len(out) == len(texts), (len(out), len(texts))
    return out


# ---- Strings ---------------------------------------------------------------------------------------------------------


def from_chardet(archive):
    """Lines of its test pages, decoded by the names of their folders."""
    lines = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            parts = member.name.split("/")
            if not member.isfile() or len(parts) != 4 or parts[1] != "tests":
                continue
            encoding = parts[2]
            for language in (
                "arabic bulgarian croatian czech danish dutch esperanto estonian finnish french german "
                "greek hebrew hungarian icelandic irish italian maltese norwegian polish portuguese "
                "romanian russian slovene spanish swedish turkish welsh macedonian"
            ).split():
                encoding = encoding.removesuffix("-" + language)
            try:
                text = tar.extractfile(member).read().decode(encoding, "replace")
            except LookupError:
                continue
            text = re.sub(r"<[^>]*>", " ", text).replace("\0", "") if len(text) % 3 else text.replace("\0", "")
            lines += [line.strip()[:400] for line in text.split("\n") if len(line.strip()) > 3]
    return lines


def from_emoji(archive):
    """Every sequence, alone and in a phrase, and its names."""
    out = []
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            if member.name.endswith(".json") and "unicode_codes" in member.name:
                for key, value in json.load(tar.extractfile(member)).items():
                    names = value if isinstance(value, dict) else {"name": value}
                    out.append(key)
                    out += [f"{key} {v}" for v in names.values() if isinstance(v, str)]
    return out


OWN = [
    'a photo of a cat', 'A PHOTO OF A CAT', 'red car', 'person', 'traffic light', 'hot-dog', "don't",
    "it's 'Tis we'll I'VE", 'a\tb\nc\r\nd', 'a\xa0b\u3000c\u2028d\x85e', 'x\u200by\ufeffz', '\u180e',
    '12345 ½ Ⅷ ②', 'ı İ ẞ ß ſ K Å ﬁ', 'e\u0301 é \u0301e', 'ΣΑΣ Όσος', 'Ǆ ǅ ǆ', '<|startoftext|>',
    'a<|endoftext|>b', 'x <|ENDOFTEXT|>?? y', '!!<|Endoftext|>!!', '<|endoftext',
    '<|startoftext|><|endoftext|>', 'e<|endoftext|>\u0301', '&amp; &lt;b&gt; &#39;',
    'schÃ¶n â€œmojibakeâ€\x9d', '\x01\x02\x7f\x1b[31mred\x1b[0m', 'हिन्दी में एक बिल्ली', 'ภาพแมว',
    '一只猫的照片', '猫の写真 カタカナ ﾊﾝｶｸ', '고양이 사진 각', 'صورة قطة', 'תמונה של חתול', 'фото кошки', 'γάτα', 'ꦏꦸꦕꦶꦁ',
    '\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f44d\U0001f3fd',
    '\U0001f1fa\U0001f1f3 ❤\ufe0f #\ufe0f⃣',
    '\U0001d523\U0001d52f\U0001d51e\U0001d528\U0001d531\U0001d532\U0001d52f \U00010400\U00010428',
    '\U0001d160', 'שּׁ ﬤּ', 'क़', 'a' * 300, 'ab ' * 100, '\xe9' * 200, '!?' * 150, '7' * 90, "'s" * 50,
    '\u0301' * 40,
    '\U0010ffff\ufffe\ue000', 'supercalifragilisticexpialidocious antidisestablishmentarianism',
    'https://example.com/a_b?c=d&e=f#g', '@user #tag $5.00',
]  # fmt: skip


def drawn(rng, count):
    """Random characters of every plane, control characters among them."""
    spans = [(1, 0x7F), (1, 0x7F), (0x80, 0x24F), (0x250, 0x36F), (0x300, 0x36F), (0x370, 0x5FF), (0x900, 0xDFF),
             (0x1100, 0x11FF), (0x1E00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF),
             (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFDFF), (0x10400, 0x1044F), (0x1F300, 0x1F6FF)]  # fmt: skip
    out = []
    for _ in range(count):
        text = ""
        while len(text) < rng.choice((3, 8, 20, 60, 150)):
            first, last = rng.choice(spans)
            text += "".join(chr(rng.randint(first, last)) for _ in range(rng.randint(1, 6))) + rng.choice(("", " ", ""))
        out.append("".join(c for c in text if unicodedata.category(c) != "Cn"))
    return out


# ---- Comparing -------------------------------------------------------------------------------------------------------


def plain(text):
    return bool(text.strip()) and bool(re.search(r"\S", text))


def compare(program, archives):
    rng = random.Random(21)
    strings, tokenizer = {}, reference()
    for archive in archives:
        found = from_chardet(archive) if "chardet" in archive else from_emoji(archive)
        found = sorted(set(found))
        rng.shuffle(found)
        strings[os.path.basename(archive)] = found[: 6000 if "chardet" in archive else 2000]
    strings["own"] = OWN + [a + " " + b for a in OWN for b in OWN[::3]]
    strings["drawn"] = drawn(rng, 10000 - sum(map(len, strings.values())))
    texts = [t for group in strings.values() for t in group if plain(t)]
    print("; ".join(f"{name}: {len(group)}" for name, group in strings.items()))
    bad = 0
    for context in CONTEXTS:
        cut = 0
        whole = expected(tokenizer, texts, 1 << 20)
        for text, (got_cut, got), ids, all_ids in zip(
            texts, ours(program, texts, context), expected(tokenizer, texts, context), whole
        ):
            cut += got_cut
            if got != ids or got_cut != (len(all_ids) > context):
                bad += 1
                if bad < 20:
                    print("differs:", ascii(text), got, ids)
        print(f"context {context}: {len(texts)} strings, {cut} of them cut; {bad} differ from transformers")

    import open_clip

    theirs = open_clip.get_tokenizer("ViT-B-32")
    others = sum(
        [i for i in row if i] != [i for i in got if i]
        for row, (_, got) in zip(theirs(texts).tolist(), ours(program, texts, 77))
    )
    mended = sum(html.unescape(html.unescape(t)) != t for t in texts)
    print(f"open_clip: {others} of {len(texts)} differ ({mended} hold HTML's escapes, others are what ftfy mends)")

    every = [chr(c) for c in range(1, 0x110000) if not 0xD800 <= c < 0xE000]
    differs = {}
    for place in ("{}", "b{}b", "a\u0301{}"):
        phrases = [place.format(c) for c in every]
        keep = [(c, p) for c, p in zip(every, phrases) if plain(p)]
        results = ours(program, [p for _, p in keep], 77)
        for (c, p), got, ids in zip(keep, results, expected(tokenizer, [p for _, p in keep], 77)):
            if got is None or got[1] != ids:
                differs.setdefault(unicodedata.category(c), set()).add(c)
    print("characters alone that differ, by category in Python's", unicodedata.unidata_version)
    for category, found in sorted(differs.items()):
        print(f"  {category}: {len(found)}", " ".join(f"{ord(c):X}" for c in sorted(found)[:20]))
    return bad


def golden():
    tokenizer, rng = reference(), random.Random(7)
    entries = []
    for text in OWN + drawn(rng, 240):
        for context in CONTEXTS if len(text) > 20 else CONTEXTS[:1]:
            if not plain(text):
                continue
            whole = len(tokenizer(text)["input_ids"])
            ids = tokenizer(text, truncation=True, max_length=context)["input_ids"]
            entries.append(json.dumps([text, context, whole > context, ids], separators=(",", ":")))
    with open(os.path.join(TREE, "tests", "data", "tokenizer.json"), "w", encoding="ascii") as file:
        file.write("[" + ",\n".join(entries) + "]\n")
    print(len(entries), "entries")


if __name__ == "__main__":
    if sys.argv[1:] == ["--golden"]:
        golden()
    elif len(sys.argv) > 2:
        sys.exit(compare(sys.argv[1], sys.argv[2:]) != 0)
    else:
        sys.exit(__doc__)
