"""Pixels that a picture has however it is stored, bytes of nobody else's in none of them, and what is no regular file
as an image.
"""

import os
import resource
import socket
import struct
import zlib

from archive_case import OPTIONS, TINY, png, put
from cli_test import IMAGES, Case, read, read_npy, run

EMBED = ["--model", TINY]


class Pixels(Case):
    def embedding(self, path):
        self.good("embed", path, "-o", self.at("e.npy"), *EMBED)
        return read_npy(self.at("e.npy"))

    def test_every_kind_has_the_pixels_of_its_ppm(self):
        """What image_test compares pixel by pixel arrives in the model too: one file of every kind of fault."""
        for name in (
            "bmp_top_down_palette.bmp",
            "bmp_rle4.bmp",
            "bmp_12_palette4.bmp",
            "bmp_56_masks565.bmp",
            "bmp.dib",
            "gif_offset_transparent.gif",
            "tga_bottom_right_raw.tga",
            "cgbi_interlaced.png",
            "orientation_xmp.png",
            "orientation_doubled_header.jpg",
            "jpeg_no_end.jpg",
            "pbm_letters.pbm",
            "ppm_letters.ppm.pnm",
            "psd_alpha.psd",
        ):
            with self.subTest(name):
                self.assertEqual(
                    self.embedding(os.path.join(IMAGES, name)), self.embedding(os.path.join(IMAGES, name + ".ppm"))
                )

    def test_no_memory_of_the_program_in_an_overlay(self):
        """A palette of one colour and pixels of 255 others: twice the same overlay, in which those are black."""
        rows = b"".join(bytes((y * 16 + x) % 256 for x in range(16)) for y in range(16))
        info = struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 8, 0, 0, 0, 0, 1, 0)
        bmp = put(
            self.at("pal1.bmp"), b"BM" + struct.pack("<IHHI", 58 + 256, 0, 0, 58) + info + b"\x10\x20\x30\0" + rows
        )
        black = put(self.at("black.png"), png(16, 16, bytes(3 * 240) + b"\x30\x20\x10" + bytes(3 * 15)))
        pictures = []
        for number, image in enumerate((bmp, bmp, black)):
            out = self.at(f"o{number}")
            self.good("segment", image, "--point", "0,15", "--single", "-o", out, "--format", "overlay", *EMBED)
            pictures.append(read(os.path.join(out, os.listdir(out)[0])))
        self.assertEqual(pictures[0], pictures[1])
        self.assertEqual(pictures[0], pictures[2])

    def test_a_packed_pixel_stays_one_pixel(self):
        """However much the packed data of one pixel would unpack to, memory is the picture's."""
        chunk = (
            lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )
        packer = zlib.compressobj(9)
        zeros = bytes(1 << 20)
        packed = b"".join(packer.compress(zeros) for _ in range(512)) + packer.flush()
        bomb = put(
            self.at("bomb.png"),
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", packed)
            + chunk(b"IEND", b""),
        )
        few = ["--threads", "2"]  # each has a stack, and the machine may have many processors
        code, _, err = run("embed", bomb, "-o", self.at("e.npy"), *EMBED, *few, preexec_fn=self.little_memory)
        self.assertEqual(code, 0, err)

    @staticmethod
    def little_memory():
        if "asan" not in os.environ.get("SAMC", "") and "tsan" not in os.environ.get(
            "SAMC", ""
        ):  # which reserve terabytes of addresses
            resource.setrlimit(resource.RLIMIT_AS, (450 << 20, 450 << 20))


class NoRegularFile(Case):
    def test_is_an_error_at_once(self):
        os.mkfifo(self.at("f.png"))
        os.symlink(self.at("f.png"), self.at("link.png"))
        os.symlink("/dev/zero", self.at("zero.png"))
        os.mkdir(self.at("folder.png"))
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.at("s.png"))
            for name, kind in {
                "f.png": "a pipe",
                "link.png": "a pipe",
                "zero.png": "a device",
                "s.png": "a socket",
                "folder.png": "a folder",
            }.items():
                for command in (
                    ["segment", self.at(name), "--point", "1,1", "--format", "rle"],
                    ["embed", self.at(name), "-o", self.at("e.npy")],
                    ["bench", "--image", self.at(name)],
                ):
                    with self.subTest(command):
                        code, _, err = run(*command, *EMBED, timeout=300)
                        self.assertEqual((code, err), (1, f"samc: {self.at(name)}: not a regular file but {kind}\n"))
        self.assertFalse(os.path.exists(self.at("e.npy")))

    def test_standard_input_may_be_a_pipe(self):
        out, _ = self.good(
            "segment", "-", "--point", "1,1", "--format", "rle", *EMBED, stdin=read(os.path.join(IMAGES, "gif.gif"))
        )
        self.assertIn(b"counts", out)


class Endings(Case):
    def test_of_every_format_that_is_read(self):
        names = ("a.jfif", "b.jpe", "c.apng", "d.DIB", "e.mpo", "f.pbm")
        files = ("jpeg_420.jpg", "jpeg_422.jpg", "png_rgb.png", "bmp.dib", "jpeg_444.jpg", "pbm.pbm")
        for name, file in zip(names, files):
            put(self.at("in", name), read(os.path.join(IMAGES, file)))
        _, err = self.good("auto", self.at("in"), "-o", self.at("out"), "--format", "rle", *OPTIONS)
        made = sorted(
            name for name in os.listdir(self.at("out")) if name.endswith(".json") and not name.startswith(".")
        )
        self.assertEqual(made, sorted(name + ".json" for name in names), err)
