#!/usr/bin/env python3
"""Reads ELF files of a release build: are they hardened as tools/hardening.cmake means them to be?

    python3 tests/hardening_test.py BUILD/bin/samc BUILD/libsamc.so BUILD/libsamc.a [MORE.a MORE.o ...]

Of a program and a shared library: position independent, RELRO, BIND_NOW, no segment writable and executable, no
executable stack, a note of the shadow stack, imports of the stack protector and of FORTIFY's checks. Of each object in
an archive: notes of IBT and shadow stack.
"""

import os
import struct
import subprocess
import sys

IBT, SHSTK = 1, 2
EXECUTABLE, WRITABLE = 1, 2
DYNAMIC, INTERPRETER, STACK, RELRO, PROPERTY, LOAD = 2, 3, 0x6474E551, 0x6474E552, 0x6474E553, 1


class Elf:
    def __init__(self, data):
        assert data[:6] == b"\x7fELF\2\1", "no 64-bit little-endian ELF"
        self.data = data
        self.type, machine = struct.unpack_from("<HH", data, 16)
        assert machine == 62, "not of x86-64"
        phoff, shoff, _, _, phsize, phnum, shsize, shnum, _ = struct.unpack_from("<QQIHHHHHH", data, 32)
        # type, flags, offset, address, physical, file size
        self.segments = [struct.unpack_from("<IIQQQQ", data, phoff + i * phsize) for i in range(phnum)]
        # name, type, flags, address, offset, size, link
        self.sections = [struct.unpack_from("<IIQQQQI", data, shoff + i * shsize) for i in range(shnum)]

    def segment(self, kind):
        return next((s for s in self.segments if s[0] == kind), None)

    def dynamic(self):
        """{tag: value} of the dynamic section."""
        segment = self.segment(DYNAMIC)
        return (
            dict(struct.unpack_from("<QQ", self.data, segment[2] + at) for at in range(0, segment[5], 16))
            if segment
            else {}
        )

    def imports(self):
        """Names of undefined dynamic symbols."""
        names = set()
        for _, kind, _, _, offset, size, link in self.sections:
            if kind != 11:  # SHT_DYNSYM
                continue
            strings = self.sections[link][4]
            for at in range(offset, offset + size, 24):
                name, _, _, section = struct.unpack_from("<IBBH", self.data, at)
                if section == 0 and name:
                    end = self.data.index(b"\0", strings + name)
                    names.add(self.data[strings + name : end].decode())
        return names

    def features(self):
        """Bits of GNU_PROPERTY_X86_FEATURE_1_AND; of an object in its section, of a linked file in its segment."""
        places = [(s[2], s[5]) for s in self.segments if s[0] == PROPERTY] or [
            (s[4], s[5]) for s in self.sections if s[1] == 7
        ]
        for offset, size in places:
            at = offset
            while at + 16 <= offset + size:
                name, length, kind = struct.unpack_from("<III", self.data, at)
                body = at + 12 + (name + 3) // 4 * 4
                if kind == 5 and self.data[at + 12 : at + 16] == b"GNU\0":
                    inner = body
                    while inner + 8 <= body + length:
                        tag, wide = struct.unpack_from("<II", self.data, inner)
                        if tag == 0xC0000002:
                            return struct.unpack_from("<I", self.data, inner + 8)[0]
                        inner += 8 + (wide + 7) // 8 * 8
                at = body + (length + 7) // 8 * 8 if kind == 5 else body + (length + 3) // 4 * 4
        return 0


def objects(path):
    """(name, bytes) of an object file, or of an archive's members that are ELF."""
    with open(path, "rb") as file:
        data = file.read()
    if path.endswith(".o"):
        yield os.path.basename(path), data
        return
    assert data[:8] == b"!<arch>\n"
    at = 8
    while at + 60 <= len(data):
        size = int(data[at + 48 : at + 58])
        body = data[at + 60 : at + 60 + size]
        if body[:4] == b"\x7fELF":
            yield data[at : at + 16].decode().strip(), body
        at += 60 + size + size % 2


def start_files_have_ibt():
    """Whether the C library's start files are made for IBT; the linker notes it only then."""
    names = [
        subprocess.run(
            [os.environ.get("CC", "cc"), f"-print-file-name={name}"], capture_output=True, text=True
        ).stdout.strip()
        for name in ("crti.o", "Scrt1.o")
    ]
    return all(os.path.isfile(name) and Elf(open(name, "rb").read()).features() & IBT for name in names)


def check_linked(path, problems):
    with open(path, "rb") as file:
        elf = Elf(file.read())
    dynamic, imports = elf.dynamic(), elf.imports()
    program = elf.segment(INTERPRETER) is not None
    checks = {
        "not position independent": elf.type == 3,
        "not marked as PIE": not program or dynamic.get(0x6FFFFFFB, 0) & 0x08000000,
        "no RELRO": elf.segment(RELRO) is not None,
        "no BIND_NOW": dynamic.get(30, 0) & 8 or dynamic.get(0x6FFFFFFB, 0) & 1 or 24 in dynamic,
        "relocations in its code": 22 not in dynamic and not dynamic.get(30, 0) & 4,
        "an executable stack": elf.segment(STACK) is not None and not elf.segment(STACK)[1] & EXECUTABLE,
        "a segment that is writable and executable": not any(
            s[0] == LOAD and s[1] & 3 == EXECUTABLE | WRITABLE for s in elf.segments
        ),
        "no note of the shadow stack": elf.features() & SHSTK,
        "no note of IBT": elf.features() & IBT or not start_files_have_ibt(),
        "no stack protector": "__stack_chk_fail" in imports,
        "no checks of FORTIFY": any(name.startswith("__") and name.endswith("_chk") for name in imports),
    }
    problems += [f"{path}: {what}" for what, good in checks.items() if not good]


def main():
    problems, count = [], 0
    for path in sys.argv[1:]:
        if path.endswith((".a", ".o")):
            for name, body in objects(path):
                count += 1
                if Elf(body).features() & (IBT | SHSTK) != IBT | SHSTK:
                    problems.append(f"{path}: {name} has no notes of IBT and shadow stack")
        else:
            check_linked(path, problems)
    print(
        "\n".join(problems)
        or f"hardened: {len([p for p in sys.argv[1:] if not p.endswith(('.a', '.o'))])} files, {count} objects"
    )
    return bool(problems) or count == 0


if __name__ == "__main__":
    sys.exit(main())
