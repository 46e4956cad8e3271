"""Writes image files byte by byte, in variants that Pillow does not write: for make_image_fixtures.py and the tests of
the command line. Needs NumPy arrays where it is given them, but does not import it."""

import struct

HEIGHT, WIDTH = 29, 37  # odd, not a multiple of a block or of a subsampled block


def picture():
    """Smooth gradients, edges, noise, and no symmetry, so that every orientation and plane mix-up shows."""
    import numpy as np

    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    rgb = np.stack([255 * x / WIDTH, 255 * y / HEIGHT, 127 + 120 * np.sin(x / 3 + y / 5)], -1)
    rgb[4:12, 3:15] = [240, 30, 20]
    rgb[18:26, 20:33] = [10, 60, 250]
    rgb[6:9, 20:36] += rng.normal(0, 60, (3, 16, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def bmp(pixels, bits=24, header=40, palette=None, masks=None, top_down=False):
    """pixels: [height, width] indices or [height, width, 3]; masks: red, green, blue and perhaps alpha, for 16 and 32
    bits.
    """
    height, width = pixels.shape[:2]
    colours = len(palette) if palette is not None else 0
    compression = 3 if masks else 0
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack(
            "<IiiHHIIiiII",
            header,
            width,
            -height if top_down else height,
            1,
            bits,
            compression,
            0,
            2835,
            2835,
            colours,
            0,
        )
        if masks and header > 40:
            info += struct.pack("<4I", *(list(masks) + [0] * (4 - len(masks))))
        info = info[:header].ljust(header, b"\0")
    if masks and header == 40:
        info += struct.pack("<3I", *masks[:3])
    full = colours if header != 12 else 1 << bits  # the short header cannot say how many there are
    entries = b"".join(
        bytes(int(c) for c in entry[::-1]) + b"\0" * (header != 12) for entry in (palette if colours else [])
    )
    entries += bytes((full - colours) * 3) if header == 12 and colours else b""
    rows = [bmp_row(row, bits, masks) for row in (pixels if top_down else pixels[::-1])]
    data = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    offset = 14 + len(info) + len(entries)
    return b"BM" + struct.pack("<IHHI", offset + len(data), 0, 0, offset) + info + entries + data


def bmp_row(row, bits, masks):
    if bits <= 8:
        return pack_bits([int(v) for v in row], bits)
    out = b""
    for red, green, blue in ([int(v) for v in pixel] for pixel in row):
        if masks:
            value = 0
            for sample, mask in zip((red, green, blue), masks):
                shift = (mask & -mask).bit_length() - 1
                depth = (mask >> shift).bit_length()
                value |= (sample >> (8 - depth) if depth <= 8 else sample << (depth - 8)) << shift
            out += struct.pack("<I", value)[: bits // 8]
        elif bits == 16:
            out += struct.pack("<H", red >> 3 << 10 | green >> 3 << 5 | blue >> 3)
        else:
            out += bytes([blue, green, red]) + b"\x55" * (bits == 32)
    return out


def pack_bits(values, bits):
    text = "".join(format(value, f"0{bits}b") for value in values)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def bmp_packed(index, bits, palette, top_down, jump=False):
    """RLE4 or RLE8, with runs, literals of odd length, and with `jump` rows that end early, an empty one and a jump
    over two.
    """
    height, width = index.shape
    rows = list(index if top_down else index[::-1])
    out = b""
    number = 0
    while number < height:
        row = [int(v) for v in rows[number]]
        used = len(row)
        while jump and used > 0 and row[used - 1] == 0:
            used -= 1
        x = 0
        while x < used:
            run = 1
            while x + run < used and run < 255 and row[x + run] == row[x]:
                run += 1
            if run >= 3 or used - x < 3:
                out += bytes([run, row[x] * 17 if bits == 4 else row[x]])
                x += run
                continue
            count = min(used - x, 5 if x % 2 else 7)
            piece = pack_bits(row[x : x + count], bits)
            out += bytes([0, count]) + piece + b"\0" * (len(piece) % 2)
            x += count
        following = [int(v) for v in rows[number + 1]] if number + 1 < height else []
        start = next((i for i, v in enumerate(following) if v), 0)
        if jump and 0 < used < start:
            out += bytes([0, 2, start - used, 1])
            piece = bytes(following[start:])
            out += b"".join(bytes([1, value]) for value in piece) + b"\0\0"
            number += 2
            continue
        out += b"\0\0"
        number += 1
    out += b"\0\1"
    entries = b"".join(bytes(int(c) for c in entry[::-1]) + b"\0" for entry in palette)
    info = struct.pack(
        "<IiiHHIIiiII",
        40,
        width,
        -height if top_down else height,
        1,
        bits,
        2 if bits == 4 else 1,
        len(out),
        0,
        0,
        len(palette),
        0,
    )
    offset = 54 + len(entries)
    return b"BM" + struct.pack("<IHHI", offset + len(out), 0, 0, offset) + info + entries + out


def gif(index, palette, screen, left=0, top=0, transparent=None, local=False, interlaced=False):
    """One frame, in codes that are never compressed: a clear code before every 100 pixels."""
    height, width = index.shape
    table = b"" if palette is None else bytes(int(c) for entry in palette for c in entry).ljust(48, b"\0")
    flags = 0x83 if table else 0
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, 0 if local else flags, 0, 0) + (b"" if local else table)
    if transparent is not None:
        out += bytes([0x21, 0xF9, 4, 1, 0, 0, transparent, 0])
    out += (
        b","
        + struct.pack("<HHHHB", left, top, width, height, (flags if local else 0) | (0x40 if interlaced else 0))
        + (table if local else b"")
    )
    order = (
        [y for first, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(first, height, step)]
        if interlaced
        else range(height)
    )
    codes = []
    for i, value in enumerate(int(v) for y in order for v in index[y]):
        if i % 100 == 0:
            codes.append(256)
        codes.append(value)
    bits = "".join(format(code, "09b")[::-1] for code in codes + [257])
    bits += "0" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
    out += b"\x08" + b"".join(bytes([len(data[i : i + 255])]) + data[i : i + 255] for i in range(0, len(data), 255))
    return out + b"\0;"


def tga(pixels, bits=None, origin=0, packed=False, palette=None, entry=24, first=0):
    """pixels: [height, width] greys or indices, or [height, width, 3]; origin: 0x20 from the top, 0x10 from the right.
    """
    height, width = pixels.shape[:2]
    kind = 2 if pixels.ndim == 3 else 1 if palette is not None else 3
    bits = bits or (24 if kind == 2 else 8)

    def colour(rgb, depth):
        red, green, blue = (int(c) for c in rgb)
        return (
            struct.pack("<H", red >> 3 << 10 | green >> 3 << 5 | blue >> 3)
            if depth == 16
            else bytes([blue, green, red]) + b"\x44" * (depth == 32)
        )

    def cell(pixel):
        return colour(pixel, bits) if kind == 2 else bytes([int(pixel)]) + b"\x33" * (bits == 16)

    rows = pixels if origin & 0x20 else pixels[::-1]
    cells = [cell(pixel) for row in rows for pixel in (row[::-1] if origin & 0x10 else row)]
    data, at = b"", 0
    while packed and at < len(cells):
        row_left = width - at % width  # Pillow's reader wants runs to end with their row
        run = 1
        while run < row_left and cells[at + run] == cells[at]:
            run += 1
        if run > 1:
            data += bytes([0x80 | run - 1]) + cells[at]
        else:
            run = min(row_left, 3)
            data += bytes([run - 1]) + b"".join(cells[at : at + run])
        at += run
    table = b"".join(colour(rgb, entry) for rgb in palette) if palette is not None else b""
    header = struct.pack(
        "<BBBHHBHHHHBB",
        5,
        palette is not None,
        kind | (8 if packed else 0),
        first,
        len(palette) if palette is not None else 0,
        entry if palette is not None else 0,
        0,
        0,
        width,
        height,
        bits,
        origin,
    )
    return header + b"hello" + table + (data if packed else b"".join(cells))


def jpeg_with(data, segments):
    """A JPEG with APP1 segments behind its first marker."""
    return data[:2] + b"".join(b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body for body in segments) + data[2:]


def psd(planes, mode, packed=False, palette=None, depth=8):
    """planes: [channels, height, width]."""
    channels, height, width = planes.shape
    table = b"" if palette is None else bytes(int(palette[i][c]) for c in range(3) for i in range(256))
    out = (
        b"8BPS"
        + struct.pack(">H6xHIIHH", 1, channels, height, width, depth, mode)
        + struct.pack(">I", len(table))
        + table
    )
    resource = b"8BIM" + struct.pack(">HHI", 1000, 0, 2) + b"ab"
    out += struct.pack(">I", len(resource)) + resource + struct.pack(">I", 0)
    rows = [row.astype(f">u{depth // 8}").tobytes() for plane in planes for row in plane]
    if not packed:
        return out + b"\0\0" + b"".join(rows)
    lines = [pack_row(row) for row in rows]
    return out + b"\0\1" + b"".join(struct.pack(">H", len(line)) for line in lines) + b"".join(lines)


def pack_row(row):
    """PackBits, with a code that means nothing at the beginning."""
    out, at = b"\x80", 0
    while at < len(row):
        run = 1
        while at + run < len(row) and run < 128 and row[at + run] == row[at]:
            run += 1
        if run > 1:
            out += bytes([257 - run, row[at]])
        else:
            run = min(4, len(row) - at)
            out += bytes([run - 1]) + row[at : at + run]
        at += run
    return out
