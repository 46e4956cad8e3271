#!/usr/bin/env python3
"""DICOM sent to samc serve: windows, frames, and what is refused in one line that says nothing of a patient. The files
are made byte by byte. NIfTI files are volumes, and no picture that the server takes.

    medical_test.py SAMC ROOT
"""

import gzip
import json
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from harness import Server

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
del sys.argv[1:3]
sys.path.insert(0, str(ROOT / "tests"))
from dicom_bytes import SECRETS, dicom

TINY = ROOT / "tests/data/golden/tiny.safetensors"


def nifti():
    header = bytearray(352)
    struct.pack_into("<i8h", header, 0, 348, 0, 0, 0, 0, 0, 0, 0, 0)
    struct.pack_into("<8h", header, 40, 3, 16, 16, 4, 1, 1, 1, 1)
    struct.pack_into("<hh", header, 70, 4, 16)
    struct.pack_into("<8f", header, 76, 1, 1, 1, 1, 1, 1, 1, 1)
    struct.pack_into("<f", header, 108, 352)
    header[344:348] = b"n+1\0"
    return bytes(header) + bytes(16 * 16 * 4 * 2)


class Medical(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(SAMC, model=TINY)
        cls.ask = cls.server.ask

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def upload(self, body, query="", kind="application/dicom"):
        return self.ask("POST", f"/v1/images{query}", body, {"Content-Type": kind})

    def masks(self, image):
        answer = self.ask("POST", f"/v1/images/{image}/predict", {"points": [[21, 17]], "format": "rle"})[2]
        return [(m["area"], m["segmentation"]["counts"]) for m in answer["masks"]]

    def of_segment(self, body, *options):
        """The same masks by the command line."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "x.dcm")
            path.write_bytes(body)
            command = [SAMC, "segment", path, "--model", TINY, "--point", "21,17", "--format", "rle", "-q", *options]
            answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
            return [(m["area"], m["rle"]["counts"]) for m in answer["masks"]], answer["scale"]

    def test_windows(self):
        body, seen = dicom(), {}
        for query, options in (
            ("", []),
            ("?window=lung", ["--window", "lung"]),
            ("?window=300,900", ["--window", "300,900"]),
            ("?window=auto", ["--window", "auto"]),
            ("?scale=window-sigmoid:40,400", ["--scale", "window-sigmoid:40,400"]),
            ("?scale=minmax", ["--scale", "minmax"]),
        ):
            status, _, answer = self.upload(body, query)
            self.assertEqual(status, 201, answer)
            self.assertEqual((answer["width"], answer["height"]), (48, 40))
            masks, scale = self.of_segment(body, *options)
            self.assertEqual(answer["scale"], scale, query)
            self.assertEqual(self.ask("GET", f"/v1/images/{answer['id']}")[2]["scale"], scale, query)
            self.assertEqual(self.masks(answer["id"]), masks, query)
            seen[query] = answer["id"]
        self.assertEqual(len(set(seen.values())), 6)
        self.assertGreater(len({str(self.masks(image)) for image in seen.values()}), 1, "windows are seen")
        self.assertEqual(self.upload(body, "?scale=window:lung")[2]["id"], seen["?window=lung"])
        for kind in ("application/octet-stream", "image/dicom", "application/dicom; transfer-syntax=*"):
            self.assertEqual(self.upload(body, "", kind)[0], 200, kind)

    def test_frames(self):
        body, seen = dicom(frames=3), []
        for frame in range(3):
            status, _, answer = self.upload(body, f"?page={frame}&window=300,900")
            self.assertEqual(status, 201, answer)
            masks, _ = self.of_segment(body, "--frame", str(frame), "--window", "300,900")
            self.assertEqual(self.masks(answer["id"]), masks, frame)
            seen.append(answer["id"])
        self.assertEqual(self.upload(body, "?window=300,900")[2]["id"], seen[0])
        self.assertEqual(len(set(seen)), 3)

    def refused(self, status, word, body, query=""):
        got, _, answer = self.upload(body, query)
        self.assertEqual((got, word in answer["error"]), (status, True), answer)
        self.assertNotIn("\n", answer["error"])
        for secret in SECRETS:
            self.assertNotIn(secret, answer["error"])

    def test_refused(self):
        body = dicom()
        self.refused(400, "scale and window say the same thing", body, "?scale=minmax&window=lung")
        for window in ("liver", "40", "40,0", "40,400,1", "", "nan,1", "1," + "2" * 80):
            self.refused(400, "", body, f"?window={window}")
        for page in ("", "-1", "x", "1x", "1e1", "1" * 30):
            self.refused(400, "page is a whole number", body, f"?page={page}")
        self.refused(400, "page 1 is wanted", body, "?page=1")
        self.refused(422, "truncated DICOM", body[:-1])
        self.refused(422, "truncated DICOM", body[:300])
        self.refused(422, "1.2.840.10008.1.2.4.100", dicom(syntax="1.2.840.10008.1.2.4.100"))
        self.refused(422, "big endian and is not", dicom(syntax="1.2.840.10008.1.2.2"))
        self.refused(422, "without pixels, of modality SR", dicom(pixels=False, modality="SR"))
        self.refused(422, "fragments", dicom(syntax="1.2.840.10008.1.2.5"))
        self.refused(422, "encrypted", b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03\xa0\x80" + bytes(200))
        for volume in (nifti(), gzip.compress(nifti())):
            self.refused(422, "the image", volume)

    def test_document(self):
        upload = self.ask("GET", "/openapi.json")[2]["paths"]["/v1/images"]["post"]
        self.assertEqual([p["name"] for p in upload["parameters"]], ["scale", "window", "page"])
        self.assertIn("application/dicom", upload["requestBody"]["content"])


if __name__ == "__main__":
    unittest.main()
