#!/usr/bin/env python3
"""Writes tests/data/images: small image files, each with the pixels that Pillow decodes beside it (NAME.ppm), and masks
with the run lengths that pycocotools computes (rle.txt). Needs Pillow, NumPy, OpenCV and pycocotools; the tests do not.

    apt-get install libjpeg-turbo-progs
    pip install "pillow==12.1.*" numpy opencv-python-headless pycocotools
    python3 tests/make_image_fixtures.py

OpenCV has to agree with Pillow where both decode the same thing, or the script stops.
"""

import io
import os
import struct
import subprocess
import zlib

import cv2
import image_writers as write
import numpy as np
from image_writers import HEIGHT, WIDTH, picture
from PIL import Image, ImageOps
from pycocotools import mask as coco

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "images")


def expect(name, pixels=None, same_in_opencv=True):
    path = os.path.join(FOLDER, name)
    if pixels is None:
        image = Image.open(path)
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if same_in_opencv:
        other = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.array_equal(pixels, other), f"{name}: OpenCV differs from Pillow"
    Image.fromarray(pixels).save(path + ".ppm")


def minmax(samples):
    """16-bit grey as samc shows it by default, from the least to the greatest sample: [height, width, 1] to RGB."""
    low, high = float(samples.min()), float(samples.max())
    grey = np.floor((samples.astype(np.float64) - low) * 255 / (high - low) + 0.5)
    return np.repeat(grey.clip(0, 255).astype(np.uint8), 3, 2)


def save(image, name, **options):
    same = options.pop("same_in_opencv", True)
    image.save(os.path.join(FOLDER, name), **options)
    expect(name, same_in_opencv=same)


ADAM7 = [
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
]  # x, y, step x, step y


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(name, samples, depth, colour, interlace=False, extra=b"", last=b"", apple=False):
    """A PNG of any depth and colour type, which Pillow cannot write. samples: [height, width, channels]."""

    def rows(part):
        out = b""
        for row in part:
            values = row.reshape(-1)
            if depth == 16:
                line = values.astype(">u2").tobytes()
            else:
                bits = "".join(format(int(v), f"0{depth}b") for v in values)
                bits += "0" * (-len(bits) % 8)
                line = int(bits, 2).to_bytes(len(bits) // 8, "big")
            out += b"\0" + line
        return out

    passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7] if interlace else [samples]
    data = b"".join(rows(part) for part in passes if part.size)
    header = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, colour, 0, 0, int(interlace))
    with open(os.path.join(FOLDER, name), "wb") as file:
        packed = zlib.compress(data, 9)
        file.write(
            b"\x89PNG\r\n\x1a\n" + (chunk(b"CgBI", b"P\0 \2") if apple else b"") + chunk(b"IHDR", header) + extra
        )
        file.write(chunk(b"IDAT", packed[2:-4] if apple else packed) + last + chunk(b"IEND", b""))


def exif_block(orientation, order, kind=3):
    """A TIFF directory with another tag before the orientation, in either byte order; of type 1, 3 or 4, 1 to 4 bytes.
    """
    e = "<" if order == b"II" else ">"
    entries = struct.pack(e + "HHII", 0x010F, 2, 4, 0x41424300) + struct.pack(e + "HHI", 0x0112, kind, 1)
    entries += struct.pack(e + {1: "Bxxx", 3: "Hxx", 4: "I"}[kind], orientation)
    return order + struct.pack(e + "HI", 42, 8) + struct.pack(e + "H", 2) + entries + struct.pack(e + "I", 0)


def put(name, data, pixels=None, same_in_opencv=True):
    """Bytes as a fixture. `pixels` where they are known without Pillow, which may read the file wrongly or not at all.
    """
    path = os.path.join(FOLDER, name)
    assert not os.path.exists(path), name
    with open(path, "wb") as file:
        file.write(data)
    expect(name, pixels, same_in_opencv)


def odd_formats(rgb, wide):
    """What Pillow does not write: small pictures of 13 x 11 pixels, made byte by byte in image_writers.py."""
    small = rgb[2:13, 8:21]  # a corner of the red box: edges, gradients, no symmetry
    image = Image.fromarray(small)
    table = np.array(image.quantize(14).getpalette()[: 14 * 3], np.uint8).reshape(-1, 3)
    index = np.asarray(image.quantize(14))
    grey = np.asarray(image.convert("L"))

    for header in (12, 40, 52, 56, 64, 108, 124):  # OpenCV reads not all of them
        known = header in (12, 40, 108, 124)
        put(f"bmp_{header}_rgb.bmp", write.bmp(small, header=header), same_in_opencv=known)
        put(f"bmp_{header}_palette4.bmp", write.bmp(index, bits=4, header=header, palette=table), same_in_opencv=known)
    for header in (40, 52, 56, 108):
        put(
            f"bmp_{header}_masks565.bmp",
            write.bmp(small, bits=16, header=header, masks=(0xF800, 0x7E0, 0x1F)),
            same_in_opencv=False,
        )
    put("bmp_top_down.bmp", write.bmp(small, top_down=True))
    put("bmp_top_down_palette.bmp", write.bmp(index, bits=8, palette=table, top_down=True))
    put("bmp_555.bmp", write.bmp(small, bits=16), same_in_opencv=False)  # OpenCV shifts, Pillow scales
    put("bmp_32.bmp", write.bmp(small, bits=32))
    put(
        "bmp_32_alpha.bmp",
        write.bmp(small, bits=32, header=56, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
        same_in_opencv=False,
    )
    masks = (0x3FF00000, 0xFFC00, 0x3FF)  # ten bits each, which Pillow refuses
    put(
        "bmp_32_ten_bits.bmp",
        write.bmp(small, bits=32, masks=masks),
        (small.astype(int) * 4 * 255 // 1023).astype(np.uint8),
        False,
    )
    put("bmp_1bit.bmp", write.bmp(grey > 120, bits=1, palette=table[3:5]))
    short = np.where(index < 5, index, 0)
    put(
        "bmp_short_palette.bmp",
        write.bmp(index, bits=8, palette=table[:5]),
        np.where((index < 5)[:, :, None], table[short], 0).astype(np.uint8),
        same_in_opencv=False,
    )
    for top_down in (False, True):
        for bits in (4, 8):
            put(
                f"bmp_rle{bits}{'_top_down' * top_down}.bmp",
                write.bmp_packed(index, bits, table, top_down),
                table[index],
                same_in_opencv=not top_down,
            )  # Pillow before 13.0 misreads odd runs
    jumped = index.copy()
    jumped[3], jumped[6, 4:], jumped[7, :9] = 0, 0, 0  # an empty row, and a jump from within a row into the next
    put(
        "bmp_rle8_jump.bmp", write.bmp_packed(jumped, 8, table, False, jump=True), table[jumped]
    )  # Pillow does not see the empty row
    put("bmp.dib", write.bmp(small, top_down=True)[14:], same_in_opencv=False)

    for name, options in {
        "offset": {"left": 3, "top": 2},
        "offset_transparent": {"left": 3, "top": 2, "transparent": 5},
        "beyond_screen": {"left": 9, "top": 7},
        "local_palette": {"local": True},
        "interlaced": {"interlaced": True},
        "no_palette": {"palette": None},
        "ramp": {"palette": np.repeat(np.arange(16, dtype=np.uint8)[:, None], 3, 1)},
    }.items():
        put(
            f"gif_{name}.gif",
            write.gif(index, **{"palette": table, "screen": (18, 15), **options}),
            same_in_opencv=False,
        )

    for name, origin in {"_top": 0x20, "_bottom": 0, "_right": 0x30, "_bottom_right": 0x10}.items():
        for packed in (False, True):
            put(
                f"tga{name}_{'rle' if packed else 'raw'}.tga",
                write.tga(small, origin=origin, packed=packed),
                same_in_opencv=False,
            )
    for bits in (16, 24, 32):
        pixels = table[index] if bits == 32 else None  # which Pillow refuses
        put(
            f"tga_palette{bits}.tga",
            write.tga(index + 3, palette=table, entry=bits, first=3),
            pixels,
            same_in_opencv=False,
        )
        put(
            f"tga_palette{bits}_rle.tga",
            write.tga(index + 3, palette=table, entry=bits, first=3, packed=True),
            pixels,
            same_in_opencv=False,
        )
    put("tga_16.tga", write.tga(small, bits=16), same_in_opencv=False)
    put("tga_32.tga", write.tga(small, bits=32), same_in_opencv=False)
    put("tga_grey.tga", write.tga(grey), same_in_opencv=False)
    put("tga_grey_alpha_rle.tga", write.tga(grey, bits=16, packed=True), same_in_opencv=False)
    put(
        "tga_short_palette.tga",
        write.tga(index, palette=table[:5]),
        np.where((index < 5)[:, :, None], table[short], 0).astype(np.uint8),
        same_in_opencv=False,
    )

    # Apple's variant. What was multiplied by alpha comes back exactly where that is possible: without any, and where
    # nothing is left.
    alpha = np.where(index % 3 == 0, 0, 255).astype(np.uint8)
    shown = np.where(alpha[:, :, None] > 0, small, 0)
    raw_png("cgbi.png", np.dstack([shown[:, :, ::-1], alpha]), 8, 6, apple=True)
    expect("cgbi.png", shown, same_in_opencv=False)
    raw_png("cgbi_interlaced.png", small[:, :, ::-1], 8, 2, interlace=True, apple=True)
    expect("cgbi_interlaced.png", small, same_in_opencv=False)
    half = np.full((11, 13, 1), 128)
    raw_png("cgbi_half.png", np.dstack([(small[:, :, ::-1].astype(int) * 128 + 127) // 255, half]), 8, 6, apple=True)
    expect(
        "cgbi_half.png",
        np.minimum((((small.astype(int) * 128 + 127) // 255) * 255 + 64) // 128, 255).astype(np.uint8),
        same_in_opencv=False,
    )
    raw_png("png_short_palette.png", index[:, :, None], 8, 3, extra=chunk(b"PLTE", table[:5].tobytes()))
    expect("png_short_palette.png", same_in_opencv=False)
    corner = wide[2:13, 8:21]
    raw_png("png_rgb_16bit_transparent.png", corner, 16, 2, extra=chunk(b"tRNS", corner[0, 0].astype(">u2").tobytes()))
    expect("png_rgb_16bit_transparent.png")
    raw_png("png_grey_alpha_16bit.png", corner[:, :, :2], 16, 4, interlace=True)
    expect("png_grey_alpha_16bit.png", minmax(corner[:, :, :1]), same_in_opencv=False)
    raw_png(
        "png_palette_4bit_interlaced.png",
        index[:, :, None],
        4,
        3,
        interlace=True,
        extra=chunk(b"PLTE", table.tobytes()),
    )
    expect("png_palette_4bit_interlaced.png")

    # Orientation wherever Pillow finds it. OpenCV looks at less.
    exif = exif_block(6, b"II")
    profile = b"\nexif\n%8d\n" % (len(exif) + 6) + (b"Exif\0\0" + exif).hex().encode() + b"\n"
    attribute = b"<x:xmpmeta><rdf:Description tiff:Make='a' tiff:Orientation=\"8\"/></x:xmpmeta>"
    element = b"<x:xmpmeta><tiff:Orientation>5</tiff:Orientation></x:xmpmeta>"
    itxt = b"XML:com.adobe.xmp\0%c\0\0\0"
    for name, extra in {
        "raw_profile": chunk(b"tEXt", b"Raw profile type exif\0" + profile),
        "raw_profile_packed": chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
        "xmp": chunk(b"iTXt", itxt % 0 + attribute),
        "xmp_packed": chunk(b"iTXt", itxt % 1 + zlib.compress(element)),
        "xmp_below_exif": chunk(b"iTXt", itxt % 0 + attribute) + chunk(b"eXIf", exif_block(3, b"MM")),
        "exif_of_nothing": chunk(b"iTXt", itxt % 0 + attribute) + chunk(b"eXIf", exif_block(9, b"MM")),
    }.items():
        raw_png(f"orientation_{name}.png", small, 8, 2, extra=extra)
        expect(f"orientation_{name}.png", same_in_opencv=False)
    raw_png("orientation_exif_last.png", small, 8, 2, last=chunk(b"eXIf", exif))
    expect("orientation_exif_last.png", same_in_opencv=False)
    plain = io.BytesIO()
    image.save(plain, "JPEG", quality=80)
    xap = b"http://ns.adobe.com/xap/1.0/\0"
    twice = exif_block(8, b"MM")
    for name, segments in {
        "doubled_header": [b"Exif\0\0" * 3 + exif],
        "xmp_attribute": [xap + attribute],
        "xmp_element": [xap + element],
        "xmp_last_counts": [xap + attribute, xap + element],
        "in_two_segments": [b"Exif\0\0" + twice[:20], b"Exif\0\0" + twice[20:]],
        "of_type_long": [b"Exif\0\0" + exif_block(7, b"II", 4)],
        "of_type_byte": [b"Exif\0\0" + exif_block(7, b"MM", 1)],
    }.items():
        put(f"orientation_{name}.jpg", write.jpeg_with(plain.getvalue(), segments), same_in_opencv=False)

    # Without an end marker, and with a byte less than that.
    for progressive in (False, True):
        whole = io.BytesIO()
        image.save(whole, "JPEG", quality=80, progressive=progressive)
        pixels = np.asarray(Image.open(whole).convert("RGB"))
        name = "jpeg_no_end" + "_progressive" * progressive
        put(f"{name}.jpg", whole.getvalue()[:-2], pixels, same_in_opencv=False)
        put(f"{name}_half.jpg", whole.getvalue()[:-1], pixels, same_in_opencv=False)

    bits = grey > 120
    put(
        "pbm_letters.pbm",
        b"P1\n# c\n13 11\n" + b"\n".join(bytes(48 + ~row % 2 for row in line) for line in bits.astype(int)) + b"\n",
        same_in_opencv=False,
    )
    put("pbm.pbm", b"P4 13 11\n" + np.packbits(~bits, 1).tobytes(), same_in_opencv=False)
    put(
        "pgm_letters.pgm",
        b"P2\n13 11\n100 # of\n" + b" ".join(b"%d" % (int(v) * 100 // 255) for v in grey.flat),
        same_in_opencv=False,
    )
    put(
        "pgm_letters_16bit.pgm",
        b"P2\n13 11 65535\n" + b" ".join(b"%d" % v for v in corner[:, :, 0].flat),
        (corner[:, :, :1] >> 8).repeat(3, 2).astype(np.uint8),
        False,
    )
    put(
        "ppm_letters.ppm.pnm",
        b"P3 13 11 255\n"
        + b"".join(b"%d%s" % (v, b" # x\n" if i % 9 == 0 else b"\n") for i, v in enumerate(small.flat)),
        same_in_opencv=False,
    )
    put("ppm_odd_range.pnm", b"P6 13 11 77\n" + (small // 4).tobytes(), same_in_opencv=False)

    put("psd_packed.psd", write.psd(small.transpose(2, 0, 1), 3, packed=True), same_in_opencv=False)
    put("psd_alpha.psd", write.psd(np.stack([*small.transpose(2, 0, 1), grey]), 3), same_in_opencv=False)
    put("psd_grey.psd", write.psd(grey[None], 1, packed=True), same_in_opencv=False)
    put("psd_duotone.psd", write.psd(grey[None], 8), same_in_opencv=False)
    put(
        "psd_palette.psd",
        write.psd(index[None], 2, palette=np.concatenate([table, np.zeros((242, 3), np.uint8)])),
        same_in_opencv=False,
    )
    put(
        "psd_cmyk.psd",
        write.psd(np.stack([*small.transpose(2, 0, 1), grey // 2 + 100]), 4, packed=True),
        same_in_opencv=False,
    )
    put(
        "psd_16bit.psd",
        write.psd(corner.transpose(2, 0, 1), 3, depth=16),
        (corner >> 8).astype(np.uint8),
        same_in_opencv=False,
    )


def main():
    os.makedirs(FOLDER, exist_ok=True)
    for old in os.listdir(FOLDER):
        os.remove(os.path.join(FOLDER, old))
    rgb = picture()
    image = Image.fromarray(rgb)
    grey, palette = image.convert("L"), image.quantize(23)
    alpha = Image.fromarray((np.mgrid[0:HEIGHT, 0:WIDTH][1] * 6).astype(np.uint8))
    rgba = image.copy()
    rgba.putalpha(alpha)

    # JPEG: sampling, progression, colour spaces.
    for label, sampling in (("444", 0), ("422", 1), ("420", 2)):
        save(image, f"jpeg_{label}.jpg", quality=88, subsampling=sampling)
        save(image, f"jpeg_{label}_progressive.jpg", quality=88, subsampling=sampling, progressive=True)
    for label, sampling in (
        ("440", cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440),
        ("411", cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411),
    ):
        cv2.imwrite(
            os.path.join(FOLDER, f"jpeg_{label}.jpg"), rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
        )
        expect(f"jpeg_{label}.jpg")
    cv2.imwrite(os.path.join(FOLDER, "jpeg_restart.jpg"), rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])
    expect("jpeg_restart.jpg")
    arithmetic = subprocess.run(
        ["cjpeg", "-arithmetic"],
        input=b"P6 %d %d 255\n" % (WIDTH, HEIGHT) + rgb.tobytes(),
        capture_output=True,
        check=True,
    )
    put("jpeg_arithmetic.jpg", arithmetic.stdout)
    save(image, "jpeg_low_quality.jpg", quality=12)
    save(grey, "jpeg_grey.jpg", quality=88)
    save(image, "jpeg_rgb.jpg", quality=88, keep_rgb=True)
    save(image.convert("CMYK"), "jpeg_cmyk.jpg", quality=88, same_in_opencv=False)  # OpenCV rounds CMYK differently
    # Adobe's YCCK: the same bytes with transform 2 in the Adobe marker decode as YCC + K.
    with open(os.path.join(FOLDER, "jpeg_cmyk.jpg"), "rb") as file:
        cmyk = bytearray(file.read())
    adobe = cmyk.index(b"Adobe")
    assert cmyk[adobe + 11] == 0
    cmyk[adobe + 11] = 2
    with open(os.path.join(FOLDER, "jpeg_ycck.jpg"), "wb") as file:
        file.write(cmyk)
    expect("jpeg_ycck.jpg", same_in_opencv=False)

    # The eight orientations, in both byte orders, and one in a PNG.
    for orientation in range(1, 9):
        order = b"II" if orientation % 2 else b"MM"
        save(image, f"exif_{orientation}.jpg", quality=88, exif=b"Exif\0\0" + exif_block(orientation, order))
    raw_png("exif_6.png", rgb, 8, 2, extra=chunk(b"eXIf", exif_block(6, b"MM")))
    expect("exif_6.png", same_in_opencv=False)

    # PNG: every colour type and depth.
    save(image, "png_rgb.png")
    save(grey, "png_grey.png")
    save(palette, "png_palette.png")
    save(palette, "png_palette_transparent.png", transparency=3, same_in_opencv=False)
    save(rgba, "png_rgba.png")
    save(rgba.convert("LA"), "png_grey_alpha.png")
    save(image, "png_rgb_transparent.png", transparency=(240, 30, 20))
    save(grey, "png_grey_transparent.png", transparency=int(np.asarray(grey)[0, 0]))
    save(grey.convert("1"), "png_1bit.png")
    save(image.quantize(4), "png_palette_2bit.png", bits=2)
    levels = np.asarray(grey)
    for depth in (2, 4):
        raw_png(f"png_grey_{depth}bit.png", (levels >> (8 - depth))[:, :, None], depth, 0)
        expect(f"png_grey_{depth}bit.png")
    wide = rgb.astype(np.uint16) * 256 + np.random.default_rng(3).integers(0, 256, rgb.shape)
    raw_png("png_rgb_16bit.png", wide, 16, 2)
    expect("png_rgb_16bit.png", (wide >> 8).astype(np.uint8))
    raw_png("png_grey_16bit.png", wide[:, :, :1], 16, 0)
    expect("png_grey_16bit.png", minmax(wide[:, :, :1]), same_in_opencv=False)
    raw_png("png_rgba_16bit.png", np.concatenate([wide, wide[:, :, :1]], 2), 16, 6)
    expect("png_rgba_16bit.png", (wide >> 8).astype(np.uint8))
    raw_png("png_interlaced.png", rgb, 8, 2, interlace=True)
    expect("png_interlaced.png")
    raw_png("png_grey_2bit_interlaced.png", (levels >> 6)[:, :, None], 2, 0, interlace=True)
    expect("png_grey_2bit_interlaced.png")
    raw_png("png_one_pixel.png", rgb[:1, :1], 8, 2)
    expect("png_one_pixel.png")

    # The others.
    save(image, "bmp_rgb.bmp")
    save(palette, "bmp_palette.bmp")
    save(grey, "bmp_grey.bmp")
    save(palette, "gif.gif", same_in_opencv=False)
    image.quantize(16).save(
        os.path.join(FOLDER, "gif_frames.gif"), save_all=True, append_images=[image.rotate(180).quantize(16)]
    )
    expect("gif_frames.gif", same_in_opencv=False)
    save(image, "tga_rgb.tga", same_in_opencv=False)
    save(image, "tga_rle.tga", compression="tga_rle", same_in_opencv=False)
    with open(os.path.join(FOLDER, "psd.psd"), "wb") as file:  # header, three empty sections, no compression, planes
        file.write(
            b"8BPS"
            + struct.pack(">H6xHIIHH", 1, 3, HEIGHT, WIDTH, 8, 3)
            + bytes(12)
            + bytes(2)
            + rgb.transpose(2, 0, 1).tobytes()
        )
    expect("psd.psd", same_in_opencv=False)
    save(grey, "pgm.pgm")
    save(image, "ppm.ppm")
    os.remove(os.path.join(FOLDER, "ppm.ppm.ppm"))
    os.rename(os.path.join(FOLDER, "ppm.ppm"), os.path.join(FOLDER, "ppm.pnm"))
    expect("ppm.pnm", same_in_opencv=False)
    with open(os.path.join(FOLDER, "ppm_16bit.pnm"), "wb") as file:
        file.write(b"P6 # comment\n# another\n37\t29 65535\n" + wide.astype(">u2").tobytes())
    expect("ppm_16bit.pnm", (wide >> 8).astype(np.uint8), same_in_opencv=False)

    odd_formats(rgb, wide)

    # Refused with a clear reason.
    with open(os.path.join(FOLDER, "refused.exr"), "wb") as file:
        file.write(b"\x76\x2f\x31\x01\2\0\0\0channels\0chlist\0")

    # Masks and their run lengths: height, width, rows of 0 and 1, COCO string.
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:150, 0:200]
    masks = [
        np.zeros((1, 1)),
        np.ones((1, 1)),
        np.zeros((3, 5)),
        np.ones((3, 5)),
        rng.random((7, 1)) < 0.5,
        rng.random((1, 9)) < 0.5,
        rng.random((13, 70)) < 0.5,
        rng.random((40, 129)) < 0.03,
        rng.random((31, 64)) < 0.97,
        ((x - 90) / 80) ** 2 + ((y - 70) / 60) ** 2 < 1,
        (x % 50 < 3) | (y > 140),
    ]
    with open(os.path.join(FOLDER, "rle.txt"), "w") as file:
        for mask in masks:
            mask = np.asfortranarray(mask.astype(np.uint8))
            counts = coco.encode(mask)["counts"].decode()
            text = "".join(map(str, np.ascontiguousarray(mask).reshape(-1)))
            file.write(f"{mask.shape[0]} {mask.shape[1]} {text} {counts}\n")
    total = sum(os.path.getsize(os.path.join(FOLDER, name)) for name in os.listdir(FOLDER))
    print(len(os.listdir(FOLDER)), "files,", total, "bytes")


if __name__ == "__main__":
    main()
