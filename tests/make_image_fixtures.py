#!/usr/bin/env python3
"""Writes tests/data/images: small image files, each with the pixels that Pillow decodes beside it (NAME.ppm), and masks with
the run lengths that pycocotools computes (rle.txt). Needs Pillow, NumPy, OpenCV and pycocotools; the tests do not.

    python3 tests/make_image_fixtures.py

OpenCV has to agree with Pillow where both decode the same thing, or the script stops.
"""
import os
import struct
import zlib

import cv2
import numpy as np
from PIL import Image, ImageOps
from pycocotools import mask as coco

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "images")
HEIGHT, WIDTH = 29, 37  # odd, not a multiple of a block or of a subsampled block


def picture():
    """Smooth gradients, edges, noise, and no symmetry, so that every orientation and plane mix-up shows."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64)
    rgb = np.stack([255 * x / WIDTH, 255 * y / HEIGHT, 127 + 120 * np.sin(x / 3 + y / 5)], -1)
    rgb[4:12, 3:15] = [240, 30, 20]
    rgb[18:26, 20:33] = [10, 60, 250]
    rgb[6:9, 20:36] += rng.normal(0, 60, (3, 16, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def expect(name, pixels=None, same_in_opencv=True):
    path = os.path.join(FOLDER, name)
    if pixels is None:
        image = Image.open(path)
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    if same_in_opencv:
        other = cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert np.array_equal(pixels, other), f"{name}: OpenCV differs from Pillow"
    Image.fromarray(pixels).save(path + ".ppm")


def save(image, name, **options):
    same = options.pop("same_in_opencv", True)
    image.save(os.path.join(FOLDER, name), **options)
    expect(name, same_in_opencv=same)


ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]  # x, y, step x, step y


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(name, samples, depth, colour, interlace=False, extra=b""):
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
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b""))


def exif_block(orientation, order):
    """A TIFF directory with another tag before the orientation, in either byte order."""
    e = "<" if order == b"II" else ">"
    entries = struct.pack(e + "HHII", 0x010F, 2, 4, 0x41424300) + struct.pack(e + "HHIHH", 0x0112, 3, 1, orientation, 0)
    return order + struct.pack(e + "HI", 42, 8) + struct.pack(e + "H", 2) + entries + struct.pack(e + "I", 0)


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
    for label, sampling in (("440", cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440), ("411", cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411)):
        cv2.imwrite(os.path.join(FOLDER, f"jpeg_{label}.jpg"), rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling])
        expect(f"jpeg_{label}.jpg")
    cv2.imwrite(os.path.join(FOLDER, "jpeg_restart.jpg"), rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])
    expect("jpeg_restart.jpg")
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
    expect("png_grey_16bit.png", np.repeat((wide[:, :, :1] >> 8).astype(np.uint8), 3, 2))
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
    image.quantize(16).save(os.path.join(FOLDER, "gif_frames.gif"), save_all=True, append_images=[image.rotate(180).quantize(16)])
    expect("gif_frames.gif", same_in_opencv=False)
    save(image, "tga_rgb.tga", same_in_opencv=False)
    save(image, "tga_rle.tga", compression="tga_rle", same_in_opencv=False)
    with open(os.path.join(FOLDER, "psd.psd"), "wb") as file:  # header, three empty sections, no compression, planes
        file.write(b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, HEIGHT, WIDTH, 8, 3) + bytes(12) + bytes(2) + rgb.transpose(2, 0, 1).tobytes())
    expect("psd.psd", same_in_opencv=False)
    save(grey, "pgm.pgm")
    save(image, "ppm.ppm")
    os.remove(os.path.join(FOLDER, "ppm.ppm.ppm"))
    os.rename(os.path.join(FOLDER, "ppm.ppm"), os.path.join(FOLDER, "ppm.pnm"))
    expect("ppm.pnm", same_in_opencv=False)
    with open(os.path.join(FOLDER, "ppm_16bit.pnm"), "wb") as file:
        file.write(b"P6 # comment\n# another\n37\t29 65535\n" + wide.astype(">u2").tobytes())
    expect("ppm_16bit.pnm", (wide >> 8).astype(np.uint8), same_in_opencv=False)

    # Refused with a clear reason.
    image.save(os.path.join(FOLDER, "refused.webp"))
    image.save(os.path.join(FOLDER, "refused.tiff"))

    # Masks and their run lengths: height, width, rows of 0 and 1, COCO string.
    rng = np.random.default_rng(11)
    y, x = np.mgrid[0:150, 0:200]
    masks = [np.zeros((1, 1)), np.ones((1, 1)), np.zeros((3, 5)), np.ones((3, 5)), rng.random((7, 1)) < 0.5, rng.random((1, 9)) < 0.5,
             rng.random((13, 70)) < 0.5, rng.random((40, 129)) < 0.03, rng.random((31, 64)) < 0.97,
             ((x - 90) / 80) ** 2 + ((y - 70) / 60) ** 2 < 1, (x % 50 < 3) | (y > 140)]
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
