"""What the tests of archives share: small models and pictures, packing them, running samc auto, comparing trees."""

import fcntl
import io
import json
import os
import random
import struct
import subprocess
import tarfile
import tempfile
import zlib

from cli_test import Case, read, run

HERE = os.path.dirname(os.path.abspath(__file__))
TINY = os.path.join(HERE, "data", "golden", "tiny.safetensors")
PHOTOS = [
    os.path.join(HERE, "data", "images", name) for name in ("jpeg_420.jpg", "jpeg_422_progressive.jpg", "exif_6.jpg")
]
FAULTS = os.environ.get("SAMC_FAULTS")
# What tests draw is the same each time; SAMC_TEST_SEED asks for something else, 0 for anything.
SEED = int(os.environ.get("SAMC_TEST_SEED", "1")) or random.randrange(1 << 30)
# A random model of 0.1 M parameters; nothing is filtered but equal boxes.
OPTIONS = [
    "--model",
    TINY,
    "--points-per-side",
    "2",
    "--pred-iou-thresh",
    "0",
    "--stability-score-thresh",
    "0",
    "--box-nms-thresh",
    "0.98",
    "--threads",
    "2",
]


# ---- Making inputs ---------------------------------------------------------------------------------------------------


def png(width, height, rgb):
    rows = b"".join(b"\0" + rgb[y * width * 3 : (y + 1) * width * 3] for y in range(height))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def ppm(width, height, rgb):
    return b"P6\n%d %d\n255\n" % (width, height) + rgb


def picture(number):
    """A small picture that no other number has: (ending, bytes)."""
    dice = random.Random(number)
    width, height = dice.randrange(1, 40), dice.randrange(1, 40)
    rgb = bytearray(dice.randbytes(3) * (width * height))
    for _ in range(3):
        colour, x0, y0 = dice.randbytes(3), dice.randrange(width), dice.randrange(height)
        for y in range(y0, min(height, y0 + 15)):
            for x in range(x0, min(width, x0 + 12)):
                rgb[3 * (y * width + x) : 3 * (y * width + x) + 3] = colour
    return ("png", png(width, height, bytes(rgb))) if dice.random() < 0.4 else ("ppm", ppm(width, height, bytes(rgb)))


def put(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def pack(path, members):
    """A tar of (name, bytes); gzip by its ending."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with tarfile.open(path, "w:gz" if path.endswith("gz") else "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


def tree(folder):
    """Every name below the folder with its bytes, None for folders. Bytes, because names may be any."""
    found = {}
    for where, folders, files in os.walk(os.fsencode(folder)):
        for name in folders:
            found[os.path.relpath(os.path.join(where, name), os.fsencode(folder))] = None
        for name in files:
            path = os.path.join(where, name)
            with open(path, "rb") as file:
                found[os.path.relpath(path, os.fsencode(folder))] = file.read()
    return found


def records(folder):
    """Whole lines of the journal behind the first."""
    try:
        return read(os.path.join(folder, ".samc", "journal")).count(b"\n") - 1
    except FileNotFoundError:
        return 0


def held(command, at_once=False, **more):
    """Starts a command whose standard output is a pipe of one page, which some thirty lines fill, or, at_once, one that
    is full: a run waits there, with what lies between its stages done, until somebody reads. What a test does to it in
    between is done to a run under way, however late the test comes.
    """
    end, begin = os.pipe()
    fcntl.fcntl(begin, fcntl.F_SETPIPE_SZ, 4096)
    if at_once:
        os.write(begin, b"\n" * fcntl.fcntl(begin, fcntl.F_GETPIPE_SZ))
    process = subprocess.Popen(command, stdout=begin, stderr=subprocess.PIPE, **more)
    os.close(begin)
    process.stdout = open(end, "rb")
    return process


def memory_folder():
    """A file system in memory, where syncing costs nothing; None where there is none of some size."""
    try:
        room = os.statvfs("/dev/shm")
        return "/dev/shm" if os.access("/dev/shm", os.W_OK) and room.f_bavail * room.f_frsize > 300 << 20 else None
    except OSError:
        return None


class Archive(Case):
    maxDiff = 2000
    folders_in = memory_folder()

    def setUp(self):
        tempfile.tempdir = self.folders_in
        super().setUp()
        self.dice = random.Random(SEED)

    def auto(self, *arguments, code=0, options=OPTIONS, **more):
        """Runs; returns the lines of the standard output and the standard error."""
        got, out, err = run("auto", *map(str, arguments), *options, **more)
        self.assertEqual(got, code, err)
        return [json.loads(line) for line in out.splitlines()], err

    def same_tree(self, ours, theirs):
        ours, theirs = tree(ours), tree(theirs)
        self.assertEqual(sorted(ours), sorted(theirs))
        self.assertEqual([name for name in ours if ours[name] != theirs[name]], [], "these differ")

    def small_inputs(self, count=6):
        """A folder with two folders, an archive and a bad image."""
        for i in range(count):
            ending, data = picture(i)
            put(self.at("in", f"part{i % 2}", f"{i}.{ending}"), data)
        put(self.at("in", "photo.jpg"), read(PHOTOS[0]))
        put(self.at("in", "bad.jpg"), read(PHOTOS[0])[:300])
        pack(
            self.at("in", "shard.tar"), [("a/1.png", picture(100)[1]), ("a/1.json", b"{}"), ("2.ppm", picture(101)[1])]
        )
        return self.at("in")
