#!/usr/bin/env python3
"""Makes python/samc/_abi.py, the ctypes form of the public C headers: structs, enumerations and calls.

    tools/python_abi.py              writes it
    tools/python_abi.py --check      ends with 1 where the file is not what the headers say

Data pointers (float, uint8_t, void ...) and objects that a program only sees pointers to become c_void_p, pointers to
structs POINTER(struct), results through a pointer POINTER of their type, text c_char_p. Whatever a header says in a way
that this does not know is an error here, not a guess.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADERS = [
    ("samc", ROOT / "runtime/samc.h"),
    ("samc", ROOT / "runtime/samc_text.h"),
    ("io", ROOT / "host/io/samc_io.h"),
    ("io", ROOT / "host/io/samc_stream.h"),
    ("io", ROOT / "host/io/samc_geo.h"),
    ("io", ROOT / "host/io/samc_tiles.h"),
]
TARGET = ROOT / "python/samc/_abi.py"
SCALARS = {
    "void": "None",
    "bool": "C.c_bool",
    "char": "C.c_char",
    "int": "C.c_int",
    "unsigned": "C.c_uint",
    "float": "C.c_float",
    "double": "C.c_double",
    "size_t": "C.c_size_t",
    "ptrdiff_t": "C.c_ssize_t",
    "int32_t": "C.c_int32",
    "uint32_t": "C.c_uint32",
    "int64_t": "C.c_int64",
    "uint64_t": "C.c_uint64",
}
DATA = {"void", "float", "double", "uint8_t", "uint32_t", "int32_t"}  # pointers to these are addresses


class Headers:
    def __init__(self):
        self.structs, self.enums, self.callbacks, self.opaque = {}, {}, {}, set()
        self.calls = {name: {} for name, _ in HEADERS}
        self.statuses, self.version, self.abi = [], None, None

    def read(self, library, text):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", text, flags=re.S)
        for name, value in re.findall(r"#define (SAMC_VERSION|SAMC_ABI) (\S+)", text):
            if name == "SAMC_VERSION":
                self.version = value.strip('"')
            else:
                self.abi = int(value)
        self.statuses += re.findall(r'X\((\w+), "([^"]*)"\)', text)
        text = re.sub(r"static inline .*?\n}", "", text, flags=re.S)
        text = re.sub(r"^\s*#(?:[^\n]*\\\n)*[^\n]*$", "", text, flags=re.M)  # preprocessor lines
        text = text.replace('extern "C" {', " ")
        for statement in self.statements(text):
            self.statement(library, " ".join(statement.split()))

    @staticmethod
    def statements(text):
        depth, begin = 0, 0
        for at, letter in enumerate(text):
            depth += (letter == "{") - (letter == "}")
            if letter == ";" and depth <= 0:
                yield text[begin:at]
                begin = at + 1

    def statement(self, library, s):
        s = s.lstrip("} ")
        if not s:
            return
        enum = re.fullmatch(r"(?:typedef )?enum ?(\w*) \{(.*)\} ?(\w*)", s)
        struct = re.fullmatch(r"typedef struct (\w+) \{(.*)\} \1", s)
        opaque = re.fullmatch(r"typedef struct (\w+) \1", s)
        callback = re.fullmatch(r"typedef (.*?)\(\*(\w+)\)\((.*)\)", s)
        call = re.fullmatch(r"SAMC_API (.*?)(\w+)\((.*)\)", s)
        if enum:
            self.enumerate(enum.group(1), enum.group(2))
        elif struct:
            self.structs[struct.group(1)] = [self.field(f.strip()) for f in struct.group(2).split(";") if f.strip()]
        elif opaque:
            self.opaque.add(opaque.group(1))
        elif callback:
            self.callbacks[callback.group(2)] = self.function(callback.group(1), callback.group(3))
        elif call:
            self.calls[library][call.group(2)] = (
                self.type(call.group(1).strip(), result=True),
                self.parameters(call.group(3)),
            )
        else:
            sys.exit(f"python_abi: what is '{s[:120]}'?")

    def enumerate(self, name, body):
        values, at = {}, 0
        known = {key: number for enum in self.enums.values() for key, number in enum.items()}
        if "SAMC_STATUS_LIST" in body:
            values = {f"SAMC_{status}": i for i, (status, _) in enumerate(self.statuses)}
        else:
            for entry in filter(None, (e.strip() for e in body.split(","))):
                key, _, value = entry.partition("=")
                if value.strip():
                    parts = map(str.strip, value.split("|"))
                    at = sum(known[part] if part in known else int(part, 0) for part in parts)
                values[key.strip()] = at
                at += 1
        self.enums[name or f"constants_{len(self.enums)}"] = values

    def field(self, text):
        """One declaration of a struct as [(name, type), ...]."""
        pointer = re.fullmatch(r"(.*?)\(\*(\w+)\)\((.*)\)", text)
        if pointer:
            return [(pointer.group(2), self.function(pointer.group(1), pointer.group(3)))]
        base, first = re.fullmatch(r"((?:const )?\w+(?: const)?)((?: |\*).*)", text).groups()
        found = []
        for part in first.split(","):
            stars, name, length = re.fullmatch(r"\s*((?:\*(?: ?const )?\s*)*)(\w+)(?:\[(\w+)\])?", part).groups()
            kind = self.type(base + " " + stars)
            found.append((name, f"{kind} * {length}" if length else kind))
        return found

    def function(self, result, parameters):
        return f"C.CFUNCTYPE({', '.join([self.type(result.strip(), result=True), *self.parameters(parameters)])})"

    def parameters(self, text):
        found = []
        for part in re.split(r", ?", text):
            if part == "void":
                continue
            array = re.fullmatch(r"(.*\W)\w+\[\d*\]", part)
            if not array and re.fullmatch(r"(const )?\w+", part):
                sys.exit(f"python_abi: a parameter without a name: '{part}'")
            kind = array.group(1) + "*" if array else re.fullmatch(r"(.*?\W)\w+", part).group(1)
            found.append(self.type(kind.strip()))
        return found

    def type(self, text, result=False):
        const = text.startswith("const ")
        words = text.replace("const", " ").replace("*", " * ").split()
        base, stars = words[0], len(words) - 1
        if base in self.callbacks and stars == 0:
            return base
        if stars == 0:
            return "C.c_int" if base in self.enums else SCALARS[base]
        if base == "char" and stars == 1:
            # text of the caller's, or to be read; what a call gives to be freed is an address
            return "C.c_char_p" if const or not result else "C.c_void_p"
        if base == "char" and stars == 2:
            return "C.POINTER(C.c_char_p)" if const else "C.POINTER(C.c_void_p)"
        if base in DATA | self.opaque and stars == 1:
            return "C.c_void_p"
        if base in DATA | self.opaque and stars == 2:
            return "C.POINTER(C.c_void_p)"
        if stars == 1:
            return f"C.POINTER({base if base in self.structs else SCALARS[base]})"
        return sys.exit(f"python_abi: what is the type '{text}'?")


def render(headers):
    out = [
        '"""Structs, enumerations and calls of the public headers for ctypes. Made by tools/python_abi.py."""',
        "",
        "# fmt: off",
        "import ctypes as C",
        "",
        "from ._whole import Struct",
        "",
        f'VERSION = "{headers.version}"',
        f"ABI = {headers.abi}",
        "STATUSES = (",
        *(f'    "{name}",' for name, _ in headers.statuses),
        ")",
    ]
    for name, values in headers.enums.items():
        if name != "samc_status":
            out += ["", f"# {name}" if not name.startswith("constants") else "# constants"]
            out += [f"{key} = {value}" for key, value in values.items()]
    written = set()
    waiting = {**headers.structs, **headers.callbacks}
    while waiting:  # a struct before those that hold it
        for name, body in waiting.items():
            text = str(body)
            if all(not re.search(rf"\b{other}\b", text) for other in waiting if other != name):
                break
        else:
            sys.exit(f"python_abi: structs in a circle: {sorted(waiting)}")
        del waiting[name]
        written.add(name)
        if isinstance(body, str):
            out += ["", "", f"{name} = {body}".replace("CFUNCTYPE(", "CFUNCTYPE(\n    ").replace("))", ")\n)")]
            continue
        out += ["", "", f"class {name}(Struct):", "    _fields_ = ["]
        out += [f'        ("{field}", {kind}),' for fields in body for field, kind in fields]
        out += ["    ]"]
    out += ["", "", "STRUCTS = ("]
    out += [f"    {name}," for name in headers.structs]
    out += [")", "", "# library: {call: (result, (arguments))}", "CALLS = {"]
    for library, calls in headers.calls.items():
        out += [f'    "{library}": {{']
        for name, (result, parameters) in calls.items():
            arguments = ", ".join(parameters) + ("," if len(parameters) == 1 else "")
            line = f'        "{name}": ({result}, ({arguments})),'
            if len(line) <= 120:
                out += [line]
            else:
                out += [f'        "{name}": (', f"            {result},", "            ("]
                out += [f"                {p}," for p in parameters]
                out += ["            ),", "        ),"]
        out += ["    },"]
    return "\n".join(out + ["}", ""])


def main():
    headers = Headers()
    for library, path in HEADERS:
        headers.read(library, path.read_text(encoding="utf-8"))
    text = render(headers)
    if sys.argv[1:] == ["--check"]:
        if not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
            sys.exit("python/samc/_abi.py is not what the public headers say: run tools/python_abi.py")
    else:
        TARGET.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
