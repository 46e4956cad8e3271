#!/usr/bin/env python3
"""What `samc serve` has for other programs beside its page: phrases, Label Studio, the Open Inference Protocol, CVAT by
address, pages of others. By requests as these send them (tools_clients.py and label_studio.py ask with their own code).

    tools_test.py SAMC ROOT [-k NAME]
"""

import base64
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
os.environ["SAMC"] = str(SAMC)
sys.path.insert(0, str(ROOT / "tests"))

from harness import Server
from text_cli_test import widen

PHOTO, TINY = ROOT / "tools/examples/coffee.jpg", ROOT / "tests/data/golden/tiny.safetensors"


class Text(unittest.TestCase):
    """Phrases, with tiny detectors of random weights: what they find is the command line's."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        for kind in ("owlv2", "clipseg"):
            widen(ROOT / f"tests/data/golden_{kind}", Path(cls.folder.name) / kind)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def expected(self, detector, *phrases, threshold):
        command = [SAMC, "text", PHOTO, *phrases, "--detector", detector, "--threshold", threshold, "--format", "rle"]
        done = subprocess.run([*map(str, command), "-q"], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["masks"]

    def test_masks_are_those_of_the_command_line(self):
        for kind, threshold, found in (("owlv2", 0.5, "boxes"), ("clipseg", 0.5, "maps")):
            detector = Path(self.folder.name) / kind
            with Server(SAMC, "--detector", detector) as server:
                about = server.ask("GET", "/v1/model")[2]["detector"]
                self.assertEqual((about["kind"], about["threshold"]), (found, 0.1 if found == "boxes" else 0.3))
                image = server.upload(PHOTO)
                path, bytes_before = f"/v1/images/{image}/text", self.number(server, "image_bytes")
                for phrases in (["cat", "a dog"], ["cat"], ["a dog", "sky", "cat", "cat"]):
                    want = self.expected(detector, *phrases, threshold=threshold)
                    status, _, answer = server.ask("POST", path, {"phrases": phrases, "threshold": threshold})
                    self.assertEqual(status, 200, answer)
                    self.assertGreater(len(want), 3, "a test of nothing")
                    for got, mask in zip(answer["masks"], want, strict=True):
                        self.assertEqual(got["segmentation"], mask["rle"])
                        self.assertEqual((got["label"], phrases[got["phrase"]]), (mask["label"], mask["label"]))
                        self.assertEqual(got["area"], mask["area"])
                        for a, b in zip([got["score"], *got["box"]], [mask["score"], *mask["box"]], strict=True):
                            self.assertAlmostEqual(a, b, places=4)
                # What the detector made of the image was kept, and is on its account.
                self.assertGreater(self.number(server, "image_bytes"), bytes_before)
                boxes = server.ask("POST", path, {"phrases": [" cat\n"], "threshold": threshold, "boxes_only": True})[2]
                self.assertNotIn("segmentation", boxes["masks"][0])
                self.assertEqual(boxes["masks"][0]["label"], "cat")
                top = {"phrases": ["cat"], "threshold": threshold, "top": 1, "format": "png"}
                (first,) = server.ask("POST", path, top)[2]["masks"]
                self.assertTrue(base64.b64decode(first["png"]).startswith(b"\x89PNG"))
                self.assertEqual(first["score"], max(m["score"] for m in boxes["masks"]))
                self.refuses(server, image)
                if kind == "owlv2":
                    self.tools(server)

    def number(self, server, name):
        (line,) = [l for l in server.ask("GET", "/metrics")[2].decode().split("\n") if l.startswith(f"samc_{name} ")]
        return int(line.split()[1])

    def refuses(self, server, image):
        path = f"/v1/images/{image}/text"
        for body in (
            {}, {"phrases": []}, {"phrases": "cat"}, {"phrases": ["cat", 1]}, {"phrases": [" "]},
            {"phrases": ["x" * 1001]}, {"phrases": ["x"] * 257}, {"phrases": ["x"], "threshold": 1},
            {"phrases": ["x"], "threshold": "0.1"}, {"phrases": ["x"], "nms": -1}, {"phrases": ["x"], "top": 1.5},
            {"phrases": ["x"], "boxes_only": 1}, {"phrases": ["x"], "format": "logits"}, {"phrase": ["x"]},
        ):  # fmt: skip
            status, _, answer = server.ask("POST", path, body)
            self.assertEqual((status, answer["error"].count("\n")), (400, 0), f"{body}: {answer}")
        self.assertEqual(server.ask("POST", f"/v1/images/{'0' * 64}/text", {"phrases": ["x"]})[0], 404)
        npy = server.ask("GET", f"/v1/images/{image}/embedding")[2]
        other = server.ask("POST", "/v1/embeddings?width=600&height=400", npy)[2]["id"]
        self.assertEqual(server.ask("POST", f"/v1/images/{other}/text", {"phrases": ["x"]})[0], 409)

    def tools(self, server):
        pass

    def test_without_a_detector(self):
        with Server(SAMC, model=TINY) as server:
            self.assertIsNone(server.ask("GET", "/v1/model")[2]["detector"])
            image = server.upload(PHOTO)
            status, _, answer = server.ask("POST", f"/v1/images/{image}/text", {"phrases": ["cat"]})
            self.assertEqual((status, "--detector" in answer["error"]), (501, True))

    def test_wrong_detectors(self):
        clip = Path(self.folder.name) / "clip"
        widen(ROOT / "tests/data/golden_clip", clip)
        for detector, word in ((clip, "labels masks"), (TINY, "tiny.safetensors"), ("/nonexistent", "/nonexistent")):
            command = [SAMC, "serve", "--port", "0", "--model", TINY, "--detector", detector]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, word in done.stderr, done.stderr.count("\n")), (1, True, 1), done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
