#!/usr/bin/env python3
"""What `samc serve` has for other programs beside its page: phrases, Label Studio, the Open Inference Protocol, CVAT by
address, pages of others. By requests as these send them (tools_clients.py and label_studio.py ask with their own code).

    tools_test.py SAMC ROOT [-k NAME]
"""

import base64
import http.server
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
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
        """The same by what tools call it."""
        photo = base64.b64encode(PHOTO.read_bytes()).decode()
        image = server.upload(PHOTO)
        find = lambda phrases, **o: server.ask("POST", f"/v1/images/{image}/text", {"phrases": phrases,
        **o})[2]["masks"]
        want = find(["cat", "a dog"], threshold=0.5)
        params = {"text_prompt": "cat, a dog.", "conf_threshold": 0.5, "iou_threshold": 0.3, "epsilon_factor": 0.0}
        body = {"model": "samc", "image": "data:image/jpeg;base64," + photo, "params": params}
        answer = server.ask("POST", "/v1/predict", body)[2]
        self.assertEqual([s["label"] for s in answer["data"]["shapes"]], [m["label"] for m in want if m["area"]])
        self.assertTrue(all(len(s["points"]) > 2 for s in answer["data"]["shapes"]))
        widgets = server.ask("GET", "/v1/models")[2]["data"]["samc"]["widgets"]
        self.assertIn("edit_text", [w["name"] for w in widgets])
        self.assertFalse(server.ask("POST", "/v1/predict", {**body, "params": {"text_prompt": ",. ,"}})[2]["success"])
        prompt = {"texts": ["cat", "a dog"], "score_threshold": 0.5, "iou_threshold": 0.3, "max_annotations": 3}
        answer = server.ask("POST", "/api/generate", {"model": "samc", "image": photo, "prompt": prompt})[2]
        self.assertEqual([a["text"] for a in answer["annotations"]], [m["label"] for m in want][:3])
        answer = server.ask("POST", "/v1/detection", {"image": photo, "prompt": "cat", "threshold": 0.5})[2]
        self.assertEqual(len(answer["detections"]), len(find(["cat"], threshold=0.5)))
        for got, mask in zip(answer["detections"], find(["cat"], threshold=0.5)):
            self.assertEqual([got["x"], got["y"], got["width"] - 1, got["height"] - 1], mask["bbox"])
            self.assertEqual((got["class_name"], got["confidence"]), ("cat", mask["score"]))
        body = {"image": photo, "points": [300, 200, 1], "boxes": [120, 40, 480, 390]}
        (got,) = server.ask("POST", "/v1/detection", body)[2]["detections"]
        prompt = {"points": [[300, 200]], "box": [120, 40, 480, 390], "multimask": False}
        (mask,) = server.ask("POST", f"/v1/images/{image}/predict", prompt)[2]["masks"]
        self.assertEqual([got["x"], got["y"], got["width"] - 1, got["height"] - 1], mask["bbox"])
        # Label Studio asks for predictions without a click: its labels are phrases.
        labels = '"><Label value="cat"/><Label value="a dog"/></Brush'
        config = LabelStudio.BRUSH.replace('"><Label value="Cup"/></Brush', labels)
        want = [m for m in find(["cat", "a dog"]) if m["area"]]
        task = {"tasks": [{"data": {"picture": "data:image/jpeg;base64," + photo}}], "params": {"context": None}}
        for kind in ("brush", "polygon"):
            body = {**task, "label_config": config.replace("Brush", kind.title())}
            (result,) = server.ask("POST", "/predict", body)[2]["results"]
            regions = [(r["value"][kind + "labels"][0], r["score"]) for r in result["result"]]
            self.assertEqual(regions, [(m["label"], m["score"]) for m in want])
            if kind == "brush":
                for region, mask in list(zip(result["result"], want))[:3]:
                    self.assertEqual(sum(b > 0 for b in unpack(region["value"]["rle"])[3::4]), mask["area"])
        for none in ('"></Brush', '"><Label value=" "/></Brush'):  # labels that are in the task's data, say
            body = {**task, "label_config": config.replace(labels, none)}
            status, _, answer = server.ask("POST", "/predict", body)
            self.assertEqual((status, answer["results"]), (200, []), none)
        body = {"image": photo, "points": [300, 200, 1], "boxes": [120, 40, 480, 390]}
        for change in ({"points": [1, 2]}, {"points": [1, 2, 3]}, {"boxes": [1, 2, 3]}, {"points": [], "boxes": []}):
            self.assertEqual(server.ask("POST", "/v1/detection", {**body, **change})[0], 400, change)

    def test_embeddings_from_disk_have_no_pixels(self):
        """What a tool sends along is decoded again then, and not encoded."""
        photo, folder = base64.b64encode(PHOTO.read_bytes()).decode(), Path(self.folder.name) / "cache"
        options = ("--detector", Path(self.folder.name) / "owlv2", "--cache-dir", folder)
        with Server(SAMC, *options) as server:
            image = server.upload(PHOTO)
        with Server(SAMC, *options) as server:
            self.assertEqual(server.ask("POST", f"/v1/images/{image}/text", {"phrases": ["cat"]})[0], 409)
            body = {"model": "samc", "image": photo, "prompt": {"texts": ["cat"], "score_threshold": 0.5}}
            status, _, answer = server.ask("POST", "/api/generate", body)
            self.assertEqual((status, len(answer["annotations"]) > 3), (200, True), answer)
            self.assertEqual(server.ask("POST", f"/v1/images/{image}/text", {"phrases": ["cat"]})[0], 200)
            self.assertEqual(self.number(server, "images_encoded_total"), 0)

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
            done = subprocess.run(command, capture_output=True, text=True, timeout=300)
            self.assertEqual((done.returncode, word in done.stderr, done.stderr.count("\n")), (1, True, 1), done.stderr)



def unpack(rle):
    """What thi.ng's rle-pack packed, as label_studio_sdk.converter.brush.decode_rle has it."""
    bits, at = "".join(f"{byte:08b}" for byte in rle), 0

    def read(width):
        nonlocal at
        at += width
        return int(bits[at - width : at], 2)

    count, word, sizes, out = read(32), read(5) + 1, [read(4) + 1 for _ in range(4)], bytearray()
    while len(out) < count:
        repeated, length = read(1), read(sizes[read(2)]) + 1
        out += bytes([read(word)]) * length if repeated else bytes(read(word) for _ in range(length))
    return bytes(out)


class Files(http.server.BaseHTTPRequestHandler):
    """A Label Studio as far as images go: it wants its token for what was uploaded."""

    asked = []

    def do_GET(self):
        type(self).asked.append((self.path, self.headers.get("Authorization")))
        known = self.headers.get("Authorization") == "Token of-the-studio"
        code = {"/data/upload/1/a.jpg": 200 if known else 401, "/open.jpg": 200, "/moved": 302, "/large": 200}
        self.send_response(code.get(self.path, 404))
        if self.path == "/moved":
            self.send_header("Location", "/open.jpg")
        self.end_headers()
        if self.path == "/large":
            self.wfile.write(bytes(1 << 20))
        elif code.get(self.path) == 200:
            self.wfile.write(PHOTO.read_bytes())

    def log_message(self, *_):
        pass


class LabelStudio(unittest.TestCase):
    """The machine learning backend, with requests as Label Studio 1.23 sends them."""

    BRUSH = """<?xml version="1.0"?><!-- <BrushLabels name="none" toName="none"/> --><View>
      <Header value='a "quoted" > &lt;header&gt;'/><Image name="img" value="$picture" zoom="true"/>
      <KeyPointLabels name="key" toName="img" smart="true"><Label value="Cup" smart="true"/></KeyPointLabels>
      <RectangleLabels name="box" toName="img" smart="true"><Label value="Cup"/></RectangleLabels>
      <BrushLabels name="mask &amp; more" toName="img"><Label value="Cup"/></BrushLabels></View>"""

    @classmethod
    def setUpClass(cls):
        cls.files = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        threading.Thread(target=cls.files.serve_forever, daemon=True).start()
        cls.there = f"127.0.0.1:{cls.files.server_port}"
        cls.folder = tempfile.TemporaryDirectory()
        root = Path(cls.folder.name) / "media"
        (root / "sub").mkdir(parents=True)
        (root / "sub/a b.jpg").write_bytes(PHOTO.read_bytes())
        (root / "out.jpg").symlink_to(PHOTO)
        (root / "within.jpg").symlink_to("sub/a b.jpg")
        os.mkfifo(root / "pipe")
        (root.parent / "beside.jpg").write_bytes(PHOTO.read_bytes())
        options = ("--max-body", "512K", "--media-root", str(root), "--fetch-host", cls.there)
        cls.server = Server(SAMC, *options, "--fetch-host", "localhost", "--fetch-host", "[::1]")
        cls.image = cls.server.upload(PHOTO)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0
        cls.files.shutdown()
        cls.files.server_close()
        cls.folder.cleanup()

    def mask(self, prompt):
        path = f"/v1/images/{self.image}/predict"
        return self.server.ask("POST", path, {**prompt, "best": True, "format": "png"})[2]["masks"][0]

    def key(self, x, y, positive=1, label="Cup"):
        value = {"x": x, "y": y, "width": 0.3, "keypointlabels": [label]}
        return {"original_width": 600, "original_height": 400, "image_rotation": 0, "value": value,
                "is_positive": positive, "id": "k", "from_name": "key", "to_name": "img",
                "type": "keypointlabels", "origin": "manual"}  # fmt: skip

    def box(self, x, y, width, height):
        value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["Cup"]}
        return {"original_width": 600, "original_height": 400, "value": value, "type": "rectanglelabels"}

    def predict(self, *regions, image=None, config=BRUSH, **changes):
        image = image or "data:image/jpeg;base64," + base64.b64encode(PHOTO.read_bytes()).decode()
        task = {"id": 7, "data": {"picture": image}, "annotations": [], "predictions": []}
        context = {"result": list(regions)} if regions else None
        body = {"tasks": [task], "project": "1.1700000000", "label_config": config,
                "params": {"login": None, "password": None, "context": context}}  # fmt: skip
        return self.server.ask("POST", "/predict", {**body, **changes})

    def region(self, *regions, **options):
        status, _, answer = self.predict(*regions, **options)
        self.assertEqual(status, 200, answer)
        (result,) = answer["results"]
        (region,) = result["result"]
        return region

    def test_setup_and_what_it_is_told(self):
        body = {"project": "1.17", "schema": self.BRUSH, "hostname": "http://x", "access_token": "t", "extra_params": 1}
        status, _, answer = self.server.ask("POST", "/setup", body)
        self.assertEqual((status, answer), (200, {"model_version": "samc (samc-tiny)"}))
        long = "http://" + "x" * 400
        for host in ("http:/x", "http:///x", "x", "ftp://x", "http://", "", None, 1, long, "http://a b"):
            self.assertEqual(self.server.ask("POST", "/setup", {"hostname": host, "access_token": host})[0], 200)
            self.assertIn(self.predict(self.key(50, 50), image="/x")[0], (400, 422))
        for path in ("/train", "/webhook"):
            self.assertEqual(self.server.ask("POST", path, {"action": "PROJECT_UPDATED"})[0], 201)
        self.assertEqual(self.server.ask("GET", "/versions")[2], {"versions": ["samc (samc-tiny)"]})
        self.assertEqual(self.server.ask("GET", "/health")[2]["status"], "UP")

    def test_strokes_are_the_masks_own(self):
        for regions, prompt in (
            ([self.key(50, 50)], {"points": [[300, 200]]}),
            ([self.key(50, 50), self.key(10, 15, 0)], {"points": [[300, 200], [60, 60]], "labels": [1, 0]}),
            ([self.key(50, 50), self.key(10, 15, False)], {"points": [[300, 200], [60, 60]], "labels": [1, 0]}),
            ([self.box(20, 10, 60, 80)], {"box": [120, 40, 480, 360]}),
            ([self.box(80, 90, -60, -80)], {"box": [120, 40, 480, 360]}),
        ):
            single = {"multimask": len(regions) == 1 and "points" in prompt}
            region = self.region(*regions)
            want = self.mask({**prompt, **single})
            value = region["value"]
            self.assertEqual((region["from_name"], region["to_name"]), ("mask & more", "img"))
            self.assertEqual((region["type"], value["brushlabels"], value["format"]), ("brushlabels", ["Cup"], "rle"))
            self.assertEqual((region["original_width"], region["original_height"]), (600, 400))
            self.assertEqual(len(region["id"]), 16)
            pixels = unpack(value["rle"])
            self.assertEqual(len(pixels), 600 * 400 * 4)
            self.assertEqual([pixels[i::4] for i in range(3)], [pixels[3::4]] * 3)
            self.assertEqual(set(pixels), {0, 255})
            self.assertEqual(sum(b > 0 for b in pixels[3::4]), want["area"])
            rows = [y for y in range(400) if any(pixels[2400 * y : 2400 * (y + 1)])]
            self.assertEqual((rows[0], rows[-1]), (want["bbox"][1], want["bbox"][1] + want["bbox"][3]))
            self.assertEqual(region["score"], want["predicted_iou"])

    def test_polygons(self):
        region = self.region(self.key(50, 50), config=self.BRUSH.replace("Brush", "Polygon"))
        x, y, w, h = self.mask({"points": [[300, 200]]})["bbox"]
        points = region["value"]["points"]
        self.assertEqual((region["type"], region["value"]["polygonlabels"]), ("polygonlabels", ["Cup"]))
        self.assertTrue(all(0 <= p <= 100 for point in points for p in point))
        self.assertTrue(all(x / 6 - 1e-3 <= px <= (x + w + 1) / 6 + 1e-3 for px, _ in points))
        self.assertTrue(all(y / 4 - 1e-3 <= py <= (y + h + 1) / 4 + 1e-3 for _, py in points))
        self.assertLess(3, len(points))

    def test_without_a_click(self):
        for changes in ({}, {"tasks": []}, {"tasks": None}):
            status, _, answer = self.predict(**changes)
            self.assertEqual((status, answer["results"]), (200, []))

    def test_configurations(self):
        key, view = self.key(50, 50), "<View>{}</View>"
        image, brush = '<Image name="a" value="$picture"/>', '<BrushLabels name="b" toName="a"/>'
        for config in (
            view.format(brush + image), view.format('<Image name="z" value="$other"/>' + brush + image),
            view.format(image + "<brushlabels name='b' toName='a,c' />"), image + brush,
            view.format(image + "<![CDATA[<x a=>]]>" + brush), view.format('<T x="<BrushLabels"/>' + image + brush),
        ):  # fmt: skip
            self.assertEqual(self.region(key, config=config)["from_name"], "b", config)
        bomb = "<!DOCTYPE x [" + "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12)) + "]>"
        for config, word in (
            (bomb + view.format(image + brush), "document type"), ("", "BrushLabels"), ("<View>", "BrushLabels"),
            (view.format(image), "BrushLabels"), (view.format(brush), "no Image"), ("<", "ends"), ("<View", "ends"),
            (view.format(brush.replace('"b"', "b")), "name="), ("<!-- ", "ends"), ("<a b='", "name="),
            ("<![CDATA[", "ends"),
            (view.format(brush.replace('"b"', '"' + "b" * 200 + '"')), "127"), ("<View a b='c'>", "name="),
            (view.format('<Image name="a"/>' + brush), "without a value"), ("</", "ends"), ("<?xml", "ends"),
            ("<" * 100000, "name="), ("<a " * 30000, "name="), ("&" * 100000, "BrushLabels"), (None, "missing"),
        ):  # fmt: skip
            status, _, answer = self.predict(key, config=config)
            self.assertEqual((status, word in answer["error"]), (400, True), f"{str(config)[:80]}: {answer}")

    def test_refuses(self):
        key = self.key(50, 50)
        for region in (
            {}, {"type": "keypointlabels"}, {"type": "keypointlabels", "value": {"x": "1", "y": 2}}, 1,
            {"type": "ellipselabels", "value": {"x": 1, "y": 2}}, {"type": "rectanglelabels", "value": {"x": 1,
            "y": 2}},
            {"type": "keypointlabels", "value": {"x": 1e9, "y": 2}},
        ):  # fmt: skip
            self.assertEqual(self.predict(region)[0], 400, region)
        self.assertEqual(self.predict(*[key] * 1025)[0], 400)
        self.assertEqual(self.predict(key, image="data:image/png;base64,!")[0], 400)
        self.assertEqual(self.predict(key, image="data:image/png;base64,AAAA")[0], 422)
        self.assertEqual(self.predict(key, tasks=[{"data": {"other": "x"}}])[0], 400)

    def test_local_files_stay_below_their_folder(self):
        want = self.region(self.key(50, 50))["value"]
        for path in ("sub/a%20b.jpg", "sub%2Fa+b.jpg", "./sub/../sub/a%20b.jpg", "within.jpg"):
            got = self.region(self.key(50, 50), image="/data/local-files/?d=" + path)["value"]
            self.assertEqual(got, want, path)
        for path in (
            "../beside.jpg", "..%2Fbeside.jpg", "sub/../../beside.jpg", "out.jpg", "/etc/passwd", str(PHOTO), "pipe",
            "sub", "none.jpg", "sub/a%20b.jpg%00.png", "/proc/self/root/etc/passwd", "", "x" * 5000,
        ):  # fmt: skip
            status, _, answer = self.predict(self.key(50, 50), image="/data/local-files/?d=" + path)
            self.assertIn(status, (400, 422), f"{path}: {answer}")
            self.assertNotIn("results", answer)
        self.assertEqual(self.predict(self.key(50, 50), image="/data/local-files/")[0], 400)

    def test_fetches_what_is_allowed_alone(self):
        key, want = self.key(50, 50), self.region(self.key(50, 50))["value"]
        open_to_all = f"http://{self.there}/open.jpg"
        self.assertEqual(self.region(key, image=open_to_all)["value"], want)
        self.assertIn(("/open.jpg", None), Files.asked, "no token before there is one")
        # What was uploaded to Label Studio: relative to it, with its token.
        status, _, answer = self.predict(key, image="/data/upload/1/a.jpg")
        self.assertEqual((status, "401" in answer["error"]), (422, True), answer)
        setup = {"hostname": f"http://{self.there}/", "access_token": "of-the-studio"}
        self.assertEqual(self.server.ask("POST", "/setup", setup)[0], 200)
        self.assertEqual(self.region(key, image="/data/upload/1/a.jpg")["value"], want)
        self.assertEqual(Files.asked[-1], ("/data/upload/1/a.jpg", "Token of-the-studio"))
        for below, path in (("/data", ""), ("/dat", "/dat"), ("/da/", "/da"), ("", "")):
            self.server.ask("POST", "/setup", {**setup, "hostname": f"http://{self.there}{below}"})
            self.predict(key, image="/data/upload/1/a.jpg")
            self.assertEqual(Files.asked[-1][0], path + "/data/upload/1/a.jpg", below)
        port = self.files.server_port
        for image, status, word in (
            (f"http://{self.there}/moved", 422, "redirect"), (f"http://{self.there}/none", 422, "404"),
            (f"http://{self.there}/large", 422, "more than"), ("http://127.0.0.1:1/x", 400, "not fetched from"),
            (f"http://localhost:{port}/open.jpg", 400, "not fetched from"),  # another name, without its port
            ("http://localhost/x", 400, "not public"), ("http://[::1]/x", 400, "not public"),
            ("https://localhost/x", 400, "not public"), (f"http://[::ffff:127.0.0.1]:{port}/x", 400,
            "not fetched from"),
            (f"http://user:word@{self.there}/open.jpg", 400, "not one of"), ("file:///etc/passwd", 400, "not one of"),
            (f"ftp://{self.there}/x", 400, "not one of"), (f"gopher://{self.there}/x", 400, "not one of"),
            (f"http://{self.there}\\@example.org/x", 400, ""), ("http://", 400, "not one of"),
            (f"http://example.org:80#@{self.there}/open.jpg", 400, "not fetched from"), ("x", 400, ""),
            (f"http://{self.there}.example.org/open.jpg", 400, ""), ("http://a\r\nX: y/", 400, "not one of"),
        ):  # fmt: skip
            got, _, answer = self.predict(key, image=image)
            self.assertEqual((got, word in answer["error"]), (status, True), f"{image}: {answer}")
        self.assertNotIn("/x", [path for path, _ in Files.asked])
        # 127.1 and the like are the address that they mean.
        self.assertEqual(self.region(key, image=f"http://127.1:{port}/open.jpg")["value"], want)

    def test_the_token_of_a_file_goes_to_the_first_host_alone(self):
        other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
        threading.Thread(target=other.serve_forever, daemon=True).start()
        second = f"127.0.0.1:{other.server_port}"
        path = Path(self.folder.name) / "token"
        path.write_text("of-the-studio\n")
        options = ("--fetch-host", self.there, "--fetch-host", second, "--label-studio-token-file", str(path))
        with Server(SAMC, *options) as server:
            body = {"label_config": self.BRUSH, "params": {"context": {"result": [self.key(50, 50)]}}}
            ask = lambda image: server.ask("POST", "/predict", {**body, "tasks": [{"data": {"picture": image}}]})
            self.assertEqual(ask("/data/upload/1/a.jpg")[0], 200, "relative to the first without a setup")
            self.assertEqual(ask(f"http://{second}/open.jpg")[0], 200)
            self.assertEqual(Files.asked[-1], ("/open.jpg", None))
        path.write_text("long" * 256)
        with Server(SAMC, *options) as server:
            self.assertEqual(ask(f"http://{self.there}/open.jpg")[0], 200)
            self.assertEqual(Files.asked[-1], ("/open.jpg", "Token " + "long" * 256))
        other.shutdown()
        other.server_close()

    def test_nothing_is_fetched_for_who_is_gone(self):
        """From a server that never answers: what lasts 60 seconds otherwise ends by itself before."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            there = f"127.0.0.1:{silent.getsockname()[1]}"
            with Server(SAMC, "--fetch-host", there, model=TINY) as server:
                task = {"tasks": [{"data": {"picture": f"http://{there}/"}}], "label_config": self.BRUSH}
                body = json.dumps({**task, "params": {"context": {"result": [self.key(50, 50)]}}})
                client = server.connect()
                client.request("POST", "/predict", body, {"Content-Type": "application/json"})
                with silent.accept()[0] as asked:
                    began = time.monotonic()
                    self.assertTrue(asked.recv(1))
                    client.close()
                    while asked.recv(4096):  # the rest, and the end
                        pass
                self.assertLess(time.monotonic() - began, 59)

    def test_wrong_usage(self):
        for options, word in (
            (["--fetch-host", "http://x"], "HOST"), (["--fetch-host", "x:0"], "HOST"),
            (["--fetch-host", ""], "--fetch-host"), (["--fetch-host", "[::1"], "HOST"),
            (["--fetch-host", "[f.5@"], "HOST"), (["--fetch-host", "[:.:]"], "HOST"), (["--fetch-host", "[]"], "HOST"),
            (["--fetch-host", "x:70000"], "HOST"), (["--fetch-host", "a b"], "HOST"), (["--trust", "x"], "--trust"),
            (["--trust", "10.0.0.0/33"], "--trust"), (["--trust", "::/129"], "--trust"),
            (["--trust", "1.2.3.4/"], "--trust"),
            (["--label-studio-token-file", "/nonexistent"], "/nonexistent"),
            (["--media-root", "/nonexistent"], "/nonexistent"),
        ):  # fmt: skip
            done = subprocess.run([SAMC, "serve", "--model", TINY, *options], capture_output=True, text=True,
            timeout=300)
            self.assertEqual((word in done.stderr, done.stderr.count("\n")), (True, 1), done.stderr)
            self.assertIn(done.returncode, (1, 2))


class Inference(unittest.TestCase):
    """The Open Inference Protocol, JSON and binary."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server(SAMC)
        cls.image = cls.server.upload(PHOTO)

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def infer(self, request, *pieces, header=True, **headers):
        text = json.dumps(request).encode()
        if pieces or header:
            headers["Inference-Header-Content-Length"] = str(len(text))
        headers = {"Content-Type": "application/octet-stream", **headers}
        return self.server.ask("POST", "/v2/models/samc/infer", b"".join([text, *pieces]), headers)

    def tensor(self, name, kind, shape, data=None, size=None):
        more = {"data": data} if size is None else {"parameters": {"binary_data_size": size}}
        return {"name": name, "datatype": kind, "shape": shape, **more}

    def photo(self):
        blob = PHOTO.read_bytes()
        return struct.pack("<I", len(blob)) + blob

    def test_about(self):
        ask = self.server.ask
        self.assertEqual(ask("GET", "/v2")[2]["extensions"], ["binary_tensor_data"])
        self.assertEqual(ask("GET", "/v2/models/samc/versions/1")[2], ask("GET", "/v2/models/samc")[2])
        self.assertEqual(ask("GET", "/v2/models/samc/versions/2")[0], 404)
        model = "/v2/models/samc"
        for path in ("/v2/health/live", "/v2/health/ready", model + "/ready", model + "/versions/1/ready"):
            self.assertEqual(ask("GET", path)[0], 200)
        model = ask("GET", "/v2/models/samc")[2]
        self.assertEqual([o["name"] for o in model["outputs"]], ["masks", "iou_predictions", "low_res_masks"])
        self.assertEqual((ask("GET", "/v2/models/x")[0], ask("GET", "/v2/models/x/ready")[0]), (404, 404))
        self.assertEqual(ask("POST", "/v2/models/x/infer", {})[0], 404)

    def test_masks(self):
        blob, points = self.photo(), struct.pack("<2f", 300, 200)
        want = self.server.ask("POST", f"/v1/images/{self.image}/predict", {"points": [[300, 200]]})[2]["masks"]
        binary = [self.tensor("image", "BYTES", [1], size=len(blob)),
        self.tensor("point_coords", "FP32", [1, 2], size=8)]
        request = {"id": "7", "inputs": binary, "parameters": {"binary_data_output": True}}
        status, headers, body = self.infer(request, blob, points)
        self.assertEqual(status, 200, body)
        length = int(headers["Inference-Header-Content-Length"])
        head, data = json.loads(body[:length]), body[length:]
        self.assertEqual((head["id"], head["model_name"]), ("7", "samc"))
        masks, iou, logits = head["outputs"]
        self.assertEqual((masks["shape"], iou["shape"]), ([3, 400, 600], [3]))
        for i, mask in enumerate(want):
            self.assertEqual(sum(data[i * 240000 : (i + 1) * 240000]), mask["area"])
        scores = struct.unpack("<3f", data[720000:720012])
        for a, b in zip(scores, want):
            self.assertAlmostEqual(a, b["predicted_iou"], places=6)
        self.assertEqual(len(data), 720012 + 4 * logits["shape"][1] * logits["shape"][2] * 3)
        # Refined by its own logits, as JSON, by a box, one mask
        low = data[720012:][: 4 * logits["shape"][1] ** 2]
        more = [binary[0], self.tensor("mask_input", "FP32", [1, *logits["shape"][1:]], size=len(low)),
                self.tensor("box", "INT64", [1, 4], [[120, 40, 480, 390]]),
                self.tensor("multimask_output", "BOOL", [1], [False])]  # fmt: skip
        outputs = [{"name": "iou_predictions"}, {"name": "masks", "parameters": {"binary_data": True}}]
        status, headers, body = self.infer({"inputs": more, "outputs": outputs}, blob, low)
        self.assertEqual(status, 200, body)
        length = int(headers["Inference-Header-Content-Length"])
        head = json.loads(body[:length])
        self.assertEqual([o["name"] for o in head["outputs"]], ["iou_predictions", "masks"])
        self.assertEqual((len(head["outputs"][0]["data"]), len(body) - length), (1, 240000))
        # All of it as JSON, without a type, as tritonclient sends it; 2 and 3 are a box's corners, -1 is nothing.
        text = base64.b64encode(PHOTO.read_bytes()).decode()
        plain = {"inputs": [self.tensor("image", "BYTES", [1], [text]),
                            self.tensor("point_coords", "FP32", [3, 2], [120, 40, 480, 390, 0, 0]),
                            self.tensor("point_labels", "INT32", [3], [2, 3, -1])],
                 "outputs": [{"name": "iou_predictions"}]}  # fmt: skip
        connection = self.server.connect()
        connection.putrequest("POST", "/v2/models/samc/infer")
        connection.putheader("Content-Length", str(len(json.dumps(plain))))
        connection.endheaders(json.dumps(plain).encode())
        answer = json.loads(connection.getresponse().read())
        connection.close()
        box = self.server.ask("POST", f"/v1/images/{self.image}/predict", {"box": [120, 40, 480, 390]})[2]["masks"]
        for a, b in zip(answer["outputs"][0]["data"], box, strict=True):
            self.assertAlmostEqual(a, b["predicted_iou"], places=6)

    def test_pixels(self):
        width, height = 64, 48
        pixels = bytes((7 * i + i // 192) % 256 for i in range(width * height * 3))
        image = self.server.ask("POST", "/v1/images", b"P6 64 48 255\n" + pixels)[2]["id"]
        want = self.server.ask("POST", f"/v1/images/{image}/predict", {"points": [[30, 20]]})[2]["masks"]
        point = self.tensor("point_coords", "FP32", [1, 1, 2], [[[30.0, 20.0]]])
        rows = [[list(pixels[3 * (y * width + x) :][:3]) for x in range(width)] for y in range(height)]
        for shape in ([48, 64, 3], [1, 48, 64, 3]):
            for given, blob in ((self.tensor("image", "UINT8", shape, rows), b""),
                                (self.tensor("image", "UINT8", shape, size=len(pixels)), pixels)):  # fmt: skip
                status, _, answer = self.infer({"inputs": [given, point]}, blob)
                self.assertEqual(status, 200, answer)
                masks = answer["outputs"][0]
                self.assertEqual(masks["shape"], [3, 48, 64])
                for i, mask in enumerate(want):
                    self.assertEqual(sum(masks["data"][i * 3072 : (i + 1) * 3072]), mask["area"])

    def test_refuses(self):
        blob, point = self.photo(), self.tensor("point_coords", "FP32", [1, 2], [1, 2])
        image = self.tensor("image", "BYTES", [1], size=len(blob))
        none = [None]
        for request, pieces in (
            ({}, none), ({"inputs": []}, none), ({"inputs": [image]}, [blob]),
            ({"inputs": [image, point]}, [blob[:-1]]),
            ({"inputs": [image, point]}, [blob + b"x"]), ({"inputs": [point]}, none), ({"inputs": [image] * 17}, none),
            ({"inputs": [{**image, "shape": [2]}, point]}, [blob]),
            ({"inputs": [{**image, "shape": [-1]}, point]}, [blob]),
            ({"inputs": [{**image, "shape": [1 << 40]}, point]}, [blob]),
            ({"inputs": [{**image, "datatype": "FP64"}]}, [blob]),
            ({"inputs": [image, {**point, "shape": [3, 2]}]}, [blob]),
            ({"inputs": [image, {**point, "shape": [2]}]}, [blob]),
            ({"inputs": [image, {**point, "data": [1, 2, 3]}]}, [blob]),
            ({"inputs": [image, {**point, "data": ["1", 2]}]}, [blob]),
            ({"inputs": [image, {**point, "data": [[[[[[1, 2]]]]]]}]}, [blob]),
            ({"inputs": [image, {**point, "data": 1}]}, [blob]),
            ({"inputs": [image, point], "outputs": [{"name": "x"}]}, [blob]),
            ({"inputs": [image, point], "id": 5}, [blob]),
            ({"inputs": [image, point], "outputs": [{"name": "masks"}] * 4}, [blob]),
            ({"inputs": [image, point], "outputs": [{"name": "iou_predictions"}] * 2}, [blob]),
            ({"inputs": [image, point, self.tensor("point_labels", "INT32", [1], [4])]}, [blob]),
            ({"inputs": [image, point, self.tensor("point_labels", "INT32", [1], [2])]}, [blob]),
            ({"inputs": [image, point, self.tensor("box", "FP32", [3], [1, 2, 3])]}, [blob]),
            ({"inputs": [image, point, self.tensor("mask_input", "FP32", [1], [1])]}, [blob]),
            ({"inputs": [{**image, "parameters": {"binary_data_size": -1}}, point]}, [blob]),
            ({"inputs": [self.tensor("image", "UINT8", [0, 4, 3], []), point]}, none),
            ({"inputs": [self.tensor("image", "UINT8", [1, 1, 3], [0, 1, 256]), point]}, none),
            ({"inputs": [self.tensor("image", "UINT8", [1, 1, 4], [0, 1, 2, 3]), point]}, none),
            ({"inputs": [self.tensor("image", "BYTES", [1], size=7), point]}, [b"\xff\xff\xff\xffabc"]),
            ({"inputs": [self.tensor("image", "BYTES", [1], size=3), point]}, [b"abc"]),
        ):  # fmt: skip
            status, _, answer = self.infer(request, *[p for p in pieces if p])
            self.assertEqual((status, "\n" in answer["error"]), (400, False), f"{request}: {answer}")
        self.assertEqual(self.server.ask("POST", "/v2/models/samc/infer", b"")[0], 400)
        for length in ("", "x", "-1", "99999999999", "1"):
            headers = {"Inference-Header-Content-Length": length}
            self.assertEqual(self.server.ask("POST", "/v2/models/samc/infer", b"{}", headers)[0], 400, length)
        huge = self.tensor("image", "UINT8", [20000, 20000, 3], size=3)
        self.assertEqual(self.infer({"inputs": [huge, point]}, b"abc")[0], 400)
        huge = self.tensor("image", "UINT8", [16384, 16384, 3], [1, 2, 3])
        self.assertEqual(self.infer({"inputs": [huge, point]}, header=False)[0], 422)
        many = b'{"inputs": [' + b"[" * 5000000 + b"]}"
        self.assertEqual(self.server.ask("POST", "/v2/models/samc/infer", many)[0], 413)


class Trust(unittest.TestCase):
    """CVAT shows no token; it is known by its address, for its own routes alone."""

    def test_by_address(self):
        with tempfile.NamedTemporaryFile("w") as token:
            token.write("correct horse\n")
            token.flush()
            for networks, trusted in ((["10.0.0.0/8", "127.0.0.0/8"], True), (["127.0.0.1"], True),
            (["0.0.0.0/0"], True),
                                      (["10.0.0.0/8"], False), (["127.0.0.2/32"], False), (["::1"], False),
                                      (["::ffff:127.0.0.0/104"], True), ([], False)):  # fmt: skip
                options = [o for network in networks for o in ("--trust", network)]
                with Server(SAMC, "--token-file", token.name, *options, model=TINY) as server:
                    expected = 200 if trusted else 401
                    self.assertEqual(server.ask("GET", "/api/functions")[0], expected, networks)
                    self.assertEqual(server.ask("GET", "/api/functions/samc")[0], expected)
                    body = {"image": base64.b64encode(PHOTO.read_bytes()).decode(), "pos_points": [[9, 9]]}
                    named = {"x-nuclio-function-name": "samc"}
                    self.assertEqual(server.ask("POST", "/api/function_invocations", body, named)[0], expected)
                    self.assertEqual(server.ask("GET", "/v1/model")[0], 401)
                    self.assertEqual(server.ask("POST", "/predict", {})[0], 401)
                    good = {"Authorization": "Bearer correct horse"}
                    self.assertEqual(server.ask("GET", "/api/functions", headers=good)[0], 200)


class Names(unittest.TestCase):
    def test_a_name_may_have_a_port(self):
        """A proxy's, which a browser's Host and Origin carry."""
        with Server(SAMC, "--host", "masks.example.org:8443", "--host", "::2", model=TINY) as server:
            for host, status in (("masks.example.org:8443", 200), ("masks.example.org", 421), ("[::2]", 200),
                                 ("masks.example.org:8444", 421), ("::2", 421)):  # fmt: skip
                headers = {"Host": host, "Origin": "https://" + host}
                self.assertEqual(server.ask("GET", "/v1/model", headers=headers)[0], status, host)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
