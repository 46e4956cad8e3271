"""DICOM byte by byte, for tests that have Python alone."""

import math
import struct

CT, EXPLICIT = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1"
SECRETS = ("Secret", "Patient", "19010101", "1.2.3.4.5")  # that are nobody's business


def element(group, number, kind, value):
    if isinstance(value, int):
        value = struct.pack("<H", value)
    elif isinstance(value, str):
        value = value.encode() + (b"\0" if kind == "UI" else b" ") * (len(value) % 2)
    length = struct.pack("<HI", 0, len(value)) if kind in ("OW", "OB") else struct.pack("<H", len(value))
    return struct.pack("<HH", group, number) + kind.encode() + length + value


def dicom(frames=1, syntax=EXPLICIT, pixels=True, modality="CT", window=("40", "400"), place=None, number=6):
    """A CT of 48 x 40 pixels, values from -1000 on. place: (position, orientation, spacing)."""
    values = [
        200 + 19 * x + 11 * y + 130 * f + int(400 * math.sin(x * y / 60))
        for f in range(frames)
        for y in range(40)
        for x in range(48)
    ]
    meta = element(2, 0x10, "UI", syntax)
    parts = [
        element(8, 0x16, "UI", CT),
        element(8, 0x18, "UI", f"1.2.3.4.5.{number}"),
        element(8, 0x60, "CS", modality),
        element(0x10, 0x10, "PN", "Secret^Patient"),
        element(0x10, 0x20, "LO", "Secret"),
        element(0x10, 0x30, "DA", "19010101"),
    ]
    if place:
        parts += [element(0x20, 0x0D, "UI", "1.2.3.4.5.1"), element(0x20, 0x0E, "UI", "1.2.3.4.5.2")]
        parts += [element(0x20, 0x32, "DS", place[0]), element(0x20, 0x37, "DS", place[1])]
        parts += [element(0x20, 0x52, "UI", "1.2.3.4.5.3")]
    parts += [
        element(0x28, 0x02, "US", 1),
        element(0x28, 0x04, "CS", "MONOCHROME2"),
        element(0x28, 0x08, "IS", str(frames)),
        element(0x28, 0x10, "US", 40),
        element(0x28, 0x11, "US", 48),
    ]
    if place:
        parts += [element(0x28, 0x30, "DS", place[2])]
    parts += [
        element(0x28, 0x100, "US", 16),
        element(0x28, 0x101, "US", 12),
        element(0x28, 0x102, "US", 11),
        element(0x28, 0x103, "US", 0),
        element(0x28, 0x1050, "DS", window[0]),
        element(0x28, 0x1051, "DS", window[1]),
        element(0x28, 0x1052, "DS", "-1000.0"),
        element(0x28, 0x1053, "DS", "1"),
    ]
    if pixels:
        parts.append(element(0x7FE0, 0x10, "OW", struct.pack(f"<{len(values)}H", *(v & 4095 for v in values))))
    head = element(2, 0, "UL", struct.pack("<I", len(meta))) + meta
    return bytes(128) + b"DICM" + head + b"".join(parts)
