#!/usr/bin/env python3
"""Writes the files of tests/data/images whose formats are read by libraries, each with the pixels that Pillow decodes
beside it: NAME.ppm, NAME@N.ppm of its page N. Their names begin with the name of the CMake option. The tests need none
of this.

    pip install "pillow==13.0.*" numpy tifffile imagecodecs pillow-heif
    python3 tests/make_format_fixtures.py
"""

import os
import struct

import imagecodecs
import numpy as np
import pillow_heif
import tifffile
from image_writers import picture
from PIL import Image, ImageOps

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data", "images")


def path_of(name):
    return os.path.join(FOLDER, name)


def expect(name, pages=(0,)):
    for page in pages:
        with Image.open(path_of(name)) as file:
            file.seek(page)
            upright = ImageOps.exif_transpose(file).convert("RGB")
        upright.save(path_of(name) + (f"@{page}.ppm" if page > 0 else ".ppm"))


def save(image, name, pages=(0,), **options):
    image.save(path_of(name), **options)
    expect(name, pages)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def with_alpha(rgb):
    alpha = np.arange(rgb.shape[0] * rgb.shape[1]).reshape(rgb.shape[:2]) % 256
    return Image.fromarray(np.dstack([rgb, alpha.astype(np.uint8)]))


def webp(rgb):
    image = Image.fromarray(rgb)
    save(image, "webp_lossy.webp", quality=70)
    save(image, "webp_lossless.webp", lossless=True)
    save(with_alpha(rgb), "webp_alpha.webp", quality=70, exact=True)
    save(with_alpha(rgb), "webp_lossless_alpha.webp", lossless=True, exact=True)
    save(image.quantize(12).convert("RGB"), "webp_palette.webp", lossless=True)
    save(image, "webp_exif.webp", quality=70, exif=exif(6))
    frames = [with_alpha(np.roll(rgb, 5 * i, 1)) for i in range(3)]
    options = dict(save_all=True, append_images=frames[1:], duration=40, lossless=True)
    save(frames[0], "webp_animated.webp", pages=(0, 1, 2), **options)


def tiff(rgb):
    image = Image.fromarray(rgb)
    for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma"):
        save(image, f"tiff_{name.removeprefix('tiff_')}.tif", compression=name)
    for name in ("group3", "group4", "tiff_ccitt"):
        save(image.convert("1"), f"tiff_{name.removeprefix('tiff_')}.tif", compression=name)
    save(image.convert("L"), "tiff_grey.tif")
    save(image.convert("LA"), "tiff_grey_alpha.tif")
    save(image.quantize(40), "tiff_palette.tif", compression="tiff_lzw")
    save(image.convert("CMYK"), "tiff_cmyk.tif")
    save(image.convert("CMYK"), "tiff_cmyk_jpeg.tif", compression="jpeg")
    save(image.convert("YCbCr"), "tiff_ycbcr.tif")
    save(image.convert("LAB"), "lab.tif")
    save(image.convert("RGB"), "tiff_big.tif", big_tiff=True)
    save(with_alpha(rgb), "tiff_alpha.tif", compression="tiff_lzw")
    save(image, "tiff_orientation.tif", compression="tiff_lzw", tiffinfo={0x0112: 7})
    pages = [image.convert("L"), image.crop((3, 4, 20, 17)), image.transpose(Image.Transpose.ROTATE_90)]
    save(pages[0], "tiff_pages.tif", (0, 1, 2), save_all=True, append_images=pages[1:], compression="tiff_lzw")

    def write(name, array, **options):
        tifffile.imwrite(path_of(name), array, metadata=None, **options)

    def write_and_expect(name, array, **options):
        write(name, array, **options)
        expect(name)

    planes = np.moveaxis(rgb, 2, 0)
    wide = rgb.astype(np.uint16) * 257 ^ 0x35
    alpha = np.asarray(with_alpha(rgb))
    separate = dict(photometric="rgb", planarconfig="separate")
    write_and_expect("tiff_tiled.tif", rgb, tile=(16, 16), compression="deflate", predictor=True)
    write_and_expect("tiff_planar.tif", planes, **separate, compression="lzw", rowsperstrip=8)
    write_and_expect("tiff_planar_tiled.tif", planes, **separate, tile=(16, 32))
    write_and_expect("tiff_associated.tif", alpha, photometric="rgb", extrasamples=["assocalpha"])
    write_and_expect("tiff_16_bits.tif", wide, photometric="rgb", byteorder=">", compression="deflate")
    big = alpha.astype(np.uint16) * 257 ^ 0x35
    write_and_expect("tiff_16_bits_associated.tif", big, photometric="rgb", extrasamples=["assocalpha"])
    write_and_expect("tiff_strips.tif", rgb, photometric="rgb", rowsperstrip=5, byteorder=">")
    write_and_expect("tiff_ycbcr_planar_jpeg.tif", rgb, photometric="ycbcr", compression="jpeg", tile=(16, 16))
    grey = np.asarray(image.convert("L"))
    write_and_expect("tiff_white_is_0.tif", grey, photometric="miniswhite")
    write_and_expect("tiff_white_is_0_bits.tif", grey > 99, photometric="miniswhite")

    # Samples of more than 8 bits: the test knows what value(x, y, channel) is.
    y, x = np.mgrid[0:11, 0:13]
    value = x * 977 + y * 131
    write("deep_u16.tif", value.astype(np.uint16))
    write("deep_u16_big.tif", value.astype(np.uint16), byteorder=">", compression="lzw", predictor=True)
    write("deep_i16.tif", (value - 5000).astype(np.int16), compression="deflate")
    write("deep_u32.tif", value.astype(np.uint32), tile=(16, 16))
    write("deep_f32.tif", value.astype(np.float32) - 5000, compression="deflate", predictor=True)
    write("deep_f64.tif", value.astype(np.float64) - 5000, byteorder=">")
    write("deep_f16.tif", (value // 8).astype(np.float16), compression="zstd")
    write("deep_u12.tif", (value % 4096).astype(np.uint16), bitspersample=12)
    three = np.stack([value, value + 1, value + 2], -1)
    write("deep_f32_rgb.tif", three.astype(np.float32), photometric="rgb")
    write("deep_u16_planar.tif", np.moveaxis(three, 2, 0).astype(np.uint16), **separate)


def avif(rgb):
    image = Image.fromarray(rgb)
    save(image, "avif_420.avif", quality=70)
    save(image, "avif_444.avif", quality=90, subsampling="4:4:4")
    save(image.convert("L"), "avif_grey.avif", quality=80, subsampling="4:0:0")
    save(with_alpha(rgb), "avif_alpha.avif", quality=80)
    save(image, "avif_exif.avif", quality=60, exif=exif(6))  # Pillow writes it as irot
    frames = [Image.fromarray(np.roll(rgb, 5 * i, 1)) for i in range(3)]
    save(frames[0], "avif_animated.avif", (0, 1, 2), save_all=True, append_images=frames[1:], duration=40, quality=60)


def jpeg2000(rgb):
    image = Image.fromarray(rgb)
    save(image, "jpeg2000_rgb.jp2")
    save(image, "jpeg2000_stream.j2k", irreversible=True, quality_mode="dB", quality_layers=[38])
    save(image, "jpeg2000_tiles.jp2", tile_size=(16, 16))
    save(image.convert("L"), "jpeg2000_grey.jp2")
    save(with_alpha(rgb), "jpeg2000_alpha.jp2")
    save(image.convert("CMYK"), "jpeg2000_cmyk.jp2")
    y, x = np.mgrid[0:11, 0:13]
    Image.fromarray((x * 977 + y * 131).astype(np.uint16)).save(path_of("deep_u16.jp2"))


def heif(rgb):
    """The reference is pillow-heif. Of subsampled colours libheif's versions differ by 1."""
    pillow_heif.register_heif_opener()
    image = Image.fromarray(rgb)
    save(image, "heif_444.heic", quality=-1, chroma="444", matrix_coefficients=0)
    save(with_alpha(rgb), "heif_alpha.heic", quality=-1, chroma="444", matrix_coefficients=0)
    with open(path_of("heif_444.heic"), "rb") as file:
        heif_grid(file.read(), "heif_grid.heic", rgb.shape[1], rgb.shape[0])


def heif_grid(tile, to, width, height):
    """A grid of one tile, that of another file, as telephones write them of many; it cuts off what is beyond it."""

    def box(kind, *parts):
        body = b"".join(parts)
        return struct.pack(">I4s", 8 + len(body), kind) + body

    def full(kind, version, flags, *parts):
        return box(kind, struct.pack(">I", version << 24 | flags), *parts)

    def take(kind):
        at = tile.index(kind) - 4
        return tile[at : at + struct.unpack_from(">I", tile, at)[0]]

    base, _, _, length = struct.unpack_from(">IHII", take(b"iloc"), 20)  # of the first item
    data = tile[base : base + length]
    grid = struct.pack(">BBBBII", 0, 1, 0, 0, width, height)  # version, sizes of 32 bits, rows and columns less 1

    def head(start):
        items = struct.pack(">HHHII", 1, 0, 1, start, len(grid)) + struct.pack(
            ">HHHII", 2, 0, 1, start + len(grid), length
        )
        sizes = (full(b"ispe", 0, 0, struct.pack(">II", *size)) for size in ((64, 64), (width, height)))
        return box(b"ftyp", b"heic\0\0\0\0mif1heic") + full(
            b"meta",
            0,
            0,
            full(b"hdlr", 0, 0, b"\0\0\0\0pict" + bytes(13)),
            full(b"pitm", 0, 0, struct.pack(">H", 1)),
            full(b"iloc", 0, 0, struct.pack(">BBH", 0x44, 0, 2), items),
            full(
                b"iinf",
                0,
                0,
                struct.pack(">H", 2),
                full(b"infe", 2, 0, struct.pack(">HH", 1, 0), b"grid\0"),
                full(b"infe", 2, 1, struct.pack(">HH", 2, 0), b"hvc1\0"),
            ),
            full(b"iref", 0, 0, box(b"dimg", struct.pack(">HHH", 1, 1, 2))),
            box(
                b"iprp",
                box(b"ipco", take(b"hvcC"), *sizes),
                full(b"ipma", 0, 0, struct.pack(">IHBBHBBB", 2, 1, 1, 3, 2, 2, 0x81, 2)),
            ),
        )

    with open(path_of(to), "wb") as file:
        file.write(head(len(head(0)) + 8) + box(b"mdat", grid, data))
    expect(to)


def jxl(rgb):
    """Without loss, so that it is known what is in them."""

    def write(name, array, **options):
        with open(path_of(name), "wb") as file:
            file.write(imagecodecs.jpegxl_encode(array, lossless=True, **options))

    write("jxl_rgb.jxl", rgb)
    Image.fromarray(rgb).save(path_of("jxl_rgb.jxl.ppm"))
    write("jxl_container.jxl", rgb, usecontainer=True)
    Image.fromarray(rgb).save(path_of("jxl_container.jxl.ppm"))
    grey = Image.fromarray(rgb).convert("L")
    write("jxl_grey.jxl", np.asarray(grey))
    grey.convert("RGB").save(path_of("jxl_grey.jxl.ppm"))
    write("jxl_alpha.jxl", np.asarray(with_alpha(rgb)))
    Image.fromarray(rgb).save(path_of("jxl_alpha.jxl.ppm"))
    y, x = np.mgrid[0:11, 0:13]
    write("deep_u16.jxl", (x * 977 + y * 131).astype(np.uint16))


def own(rgb):
    image = Image.fromarray(rgb)
    frames = [Image.fromarray(np.roll(rgb, 6 * i, 1)).quantize(30) for i in range(4)]
    for i, frame in enumerate(frames):
        frame.paste(i, (3 * i, 4 * i, 3 * i + 9, 4 * i + 9))
    options = dict(save_all=True, append_images=frames[1:], duration=50)
    save(frames[0], "gif_disposals.gif", (0, 1, 2, 3), disposal=[2, 3, 1, 1], transparency=2, **options)
    save(frames[0], "gif_restored.gif", (0, 1, 2, 3), disposal=[3, 2, 3, 2], **options)
    save(image, "qoi.qoi")
    save(with_alpha(rgb), "qoi_alpha.qoi")
    save(image.quantize(5).convert("RGB"), "qoi_runs.qoi")
    options = dict(sizes=[(16, 16), (29, 23)], bitmap_format="bmp")
    save(image, "ico_bmp.ico", **options)
    save(image.convert("1"), "ico_bits.ico", **options)
    save(with_alpha(rgb), "ico_alpha.ico", **options)
    save(image, "ico_png.ico", sizes=[(24, 24), (16, 16)])


def main():
    rgb = picture()
    own(rgb)
    heif(rgb)
    jxl(rgb)
    avif(rgb)
    jpeg2000(rgb)
    tiff(rgb)
    webp(rgb)


if __name__ == "__main__":
    main()
