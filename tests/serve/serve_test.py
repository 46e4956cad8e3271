#!/usr/bin/env python3
"""`samc serve` as its clients see it: masks equal those of the command line, who may ask, what is refused, what happens
under load and at the end.

    serve_test.py SAMC ROOT [-k NAME]
"""

import base64
import json
import random
import re
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zlib
from pathlib import Path

from harness import Server, wait_until

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PHOTO, TINY = ROOT / "tools/examples/coffee.jpg", ROOT / "tests/data/golden/tiny.safetensors"
IMAGES = ROOT / "tests/data/images"


def samc(*arguments, code=0):
    done = subprocess.run([SAMC, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done


class Served(unittest.TestCase):
    """A server for all tests of a class."""

    options, model = (), None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(SAMC, *cls.options, model=cls.model)
        cls.ask = cls.server.ask

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0


class Scales(Served):
    """Samples of 16 bits, by the query of an upload."""

    model = TINY

    def test_scale(self):
        grey = bytes(v for y in range(32) for x in range(40) for v in divmod(1000 + 60 * y + 9 * x, 256))
        chunk = (
            lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )
        rows = b"".join(b"\0" + grey[y * 80 : y * 80 + 80] for y in range(32))
        head = struct.pack(">IIBBBBB", 40, 32, 16, 0, 0, 0, 0)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        answers = {}
        for query in ("", "?scale=minmax", "?scale=0,4000"):
            status, _, answers[query] = self.ask("POST", f"/v1/images{query}", png)
            self.assertEqual(status, 201)
        self.assertEqual(len({a["id"] for a in answers.values()}), 3)
        self.assertEqual(answers[""]["scale"], {"name": "minmax", "low": 1000.0, "high": 3211.0, "samples": "u16"})
        self.assertEqual(answers["?scale=minmax"]["scale"], answers[""]["scale"])
        there = self.ask("GET", f"/v1/images/{answers['?scale=0,4000']['id']}")[2]
        self.assertEqual(there["scale"], {"name": "range", "low": 0.0, "high": 4000.0, "samples": "u16"})
        self.assertEqual(self.ask("POST", "/v1/images?scale=0,4000", png)[0], 200)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a.png").write_bytes(png)
            for query, scale in (("?scale=minmax", "minmax"), ("?scale=0,4000", "0,4000")):
                say = samc(
                    "segment", f"{folder}/a.png", "--model", TINY, "--point", "9,9", "--format", "rle", "--scale", scale
                )
                expected = json.loads(say.stdout)["masks"]
                path = f"/v1/images/{answers[query]['id']}/predict"
                masks = self.ask("POST", path, {"points": [[9, 9]]})[2]["masks"]
                self.assertEqual([m["area"] for m in masks], [m["area"] for m in expected])
        self.assertNotIn("scale", self.ask("POST", "/v1/images?scale=minmax", PHOTO.read_bytes())[2])
        for bad in ("x", "", "P9", "1," + "2" * 80):
            status, _, answer = self.ask("POST", f"/v1/images?scale={bad}", png)
            if bad:
                self.assertEqual(status, 400, answer)


class Masks(Served):
    def test_masks_are_those_of_the_command_line(self):
        image = self.server.upload(PHOTO)
        prompts = [
            ({"points": [[300, 200]]}, ["--point", "300,200"]),
            ({"points": [[300, 200], [100, 90]], "labels": [1, 0]}, ["--point", "300,200,1", "--point", "100,90,0"]),
            ({"box": [120, 40, 480, 390]}, ["--box", "120,40,480,390"]),
            ({"points": [[300, 200]], "multimask": False}, ["--point", "300,200", "--single"]),
        ]
        for prompt, options in prompts:
            expected = json.loads(samc("segment", PHOTO, *options, "--format", "rle").stdout)["masks"]
            status, _, answer = self.ask("POST", f"/v1/images/{image}/predict", prompt)
            self.assertEqual(status, 200, answer)
            self.assertEqual((answer["width"], answer["height"]), (600, 400))
            self.assertEqual([m["segmentation"] for m in answer["masks"]], [m["rle"] for m in expected])
            for got, want in zip(answer["masks"], expected):
                self.assertEqual(got["area"], want["area"])
                self.assertAlmostEqual(got["predicted_iou"], want["predicted_iou"], places=6)
            _, _, best = self.ask("POST", f"/v1/images/{image}/predict", {**prompt, "best": True})
            self.assertEqual(best["masks"][0]["segmentation"], answer["masks"][answer["best"]]["segmentation"])

    def test_refines_by_the_mask_before(self):
        image = self.server.upload(PHOTO)
        with tempfile.TemporaryDirectory() as folder:
            logits, one = f"{folder}/logits.npy", f"{folder}/one.npy"
            samc("segment", PHOTO, "--point", "300,200", "--format", "rle", "--logits", logits)
            side = self.ask("GET", "/v1/model")[2]["low_res"]
            _, _, first = self.ask("POST", f"/v1/images/{image}/predict", {"points": [[300, 200]]})
            best, each = first["best"], 4 * side * side
            head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (side, side)
            chosen = Path(logits).read_bytes()[128:][best * each :][:each]
            Path(one).write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + head.ljust(117) + b"\n" + chosen)
            expected = json.loads(
                samc("segment", PHOTO, "--point", "250,300", "--mask-input", one, "--single", "--format", "rle").stdout
            )["masks"][0]
        prompt = {"points": [[250, 300]], "mask_id": first["masks"][best]["mask_id"], "multimask": False}
        status, _, answer = self.ask("POST", f"/v1/images/{image}/predict", prompt)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["masks"][0]["segmentation"], expected["rle"])
        for _ in range(8):
            self.ask("POST", f"/v1/images/{image}/predict", {"points": [[9, 9]]})
        status, _, answer = self.ask("POST", f"/v1/images/{image}/predict", prompt)
        self.assertEqual((status, "mask_id" in answer["error"]), (400, True), "only the last ones are remembered")

    def test_logits_and_formats_say_the_same(self):
        image, prompt = self.server.upload(PHOTO), {"points": [[300, 200]]}
        path = f"/v1/images/{image}/predict"
        side = self.ask("GET", "/v1/model")[2]["low_res"]
        status, headers, logits = self.ask("POST", path, {**prompt, "format": "logits"})
        self.assertEqual((status, headers["Samc-Shape"], len(logits)), (200, f"3,{side},{side}", 3 * side * side))
        rle = self.ask("POST", path, prompt)[2]["masks"]
        self.assertEqual([f"{m['predicted_iou']:.4f}" for m in rle], headers["Samc-Scores"].split(","))
        # The share of positive logits of the image's part is about the share of the mask.
        for i, mask in enumerate(rle):
            rows = int(side * 400 / 600)
            positive = sum(b < 128 and b > 0 for b in logits[i * side * side :][: rows * side])
            self.assertAlmostEqual(positive / (rows * side), mask["area"] / (600 * 400), delta=0.02)
        counts = self.ask("POST", path, {**prompt, "format": "counts"})[2]["masks"]
        png = self.ask("POST", path, {**prompt, "format": "png"})[2]["masks"]
        for a, b, c in zip(rle, counts, png):
            self.assertEqual(sum(b["segmentation"]["counts"]), 600 * 400)
            self.assertEqual(sum(b["segmentation"]["counts"][1::2]), a["area"])
            self.assertTrue(base64.b64decode(c["png"]).startswith(b"\x89PNG"))
        # A mask as a page paints it: the same bytes again are the same question as the logits they came from, rounded.
        best = logits[: side * side]
        painted = {"mask_input": base64.b64encode(best).decode(), "multimask": False}
        status, _, answer = self.ask("POST", path, {**prompt, **painted})
        self.assertEqual(status, 200, answer)
        self.assertGreater(answer["masks"][0]["area"], 0)

    def test_every_mask_with_progress(self):
        image = self.server.upload(PHOTO)
        options = {"points_per_side": 12, "pred_iou_thresh": 0.3, "stability_score_thresh": 0.5}
        flags = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
        with tempfile.TemporaryDirectory() as folder:
            samc("auto", PHOTO, *flags, "--format", "rle", "-o", folder)
            expected = json.loads(Path(folder, "coffee.jpg.json").read_text())
        status, _, answer = self.ask("POST", f"/v1/images/{image}/auto", options)
        self.assertEqual(status, 200, answer)
        self.assertEqual([m["segmentation"] for m in answer["masks"]], [m["segmentation"] for m in expected])
        self.assertGreater(len(expected), 3)
        _, headers, text = self.ask("POST", f"/v1/images/{image}/auto", options, {"Accept": "text/event-stream"})
        self.assertEqual(headers["Content-Type"], "text/event-stream")
        events = re.findall(r"event: (\w+)\ndata: (.*)\n\n", text.decode())
        progress = [json.loads(data) for event, data in events if event == "progress"]
        self.assertEqual([p["done"] for p in progress], sorted(p["done"] for p in progress))
        self.assertEqual((progress[-1]["done"], progress[0]["total"]), (144, 144))
        self.assertEqual((events[-1][0], json.loads(events[-1][1])), ("result", answer))

    def test_embeddings_go_out_and_in(self):
        image = self.server.upload(PHOTO)
        status, _, npy = self.ask("GET", f"/v1/images/{image}/embedding")
        self.assertEqual(status, 200)
        with tempfile.TemporaryDirectory() as folder:
            samc("embed", PHOTO, "-o", f"{folder}/e.npy")
            self.assertEqual(npy[-1000:], Path(folder, "e.npy").read_bytes()[-1000:])
        status, _, other = self.ask("POST", "/v1/embeddings?width=600&height=400", npy)
        self.assertEqual(status, 201, other)
        prompt = {"points": [[300, 200]]}
        first = self.ask("POST", f"/v1/images/{image}/predict", prompt)[2]["masks"]
        second = self.ask("POST", f"/v1/images/{other['id']}/predict", prompt)[2]["masks"]
        self.assertEqual([m["segmentation"] for m in first], [m["segmentation"] for m in second])
        self.assertEqual(self.ask("POST", f"/v1/images/{other['id']}/auto", {})[0], 409, "there are no pixels")
        sized = self.ask("POST", "/v1/embeddings?width=300&height=200", npy)[2]
        self.assertEqual((sized["width"], sized["height"]), (300, 200), "not what was said of it before")
        self.assertEqual(self.ask("GET", f"/v1/images/{other['id']}")[2]["width"], 600)
        file = self.ask("GET", f"/v1/images/{image}/embedding?format=safetensors")[2]
        third = self.ask("POST", "/v1/embeddings", file)[2]
        third = self.ask("POST", f"/v1/images/{third['id']}/predict", prompt)[2]["masks"]
        self.assertEqual([m["segmentation"] for m in first], [m["segmentation"] for m in third])
        for query, body, expected in (
            ("", npy, 400),
            ("?width=0&height=5", npy, 400),
            ("?width=600&height=400", npy[:-1], 422),
            ("?width=600&height=400", b"x", 422),
            ("?width=50000&height=40000", npy, 422),
        ):
            self.assertEqual(self.ask("POST", "/v1/embeddings" + query, body)[0], expected, query)

    def test_the_page_and_the_document(self):
        status, headers, page = self.ask("GET", "/", headers={"Accept": "text/html,*/*"})
        self.assertEqual((status, headers["Content-Type"]), (200, "text/html; charset=utf-8"))
        self.assertIn("default-src 'none'", headers["Content-Security-Policy"])
        for name in re.findall(r'(?:src|href)="(page/[^"]+)"', page.decode()):
            self.assertEqual(self.ask("GET", "/" + name)[0], 200, name)
        self.assertNotRegex(page.decode(), r"https?://", "nothing is loaded from elsewhere")
        self.assertEqual(self.ask("GET", "/", headers={"Accept": "*/*"})[2]["status"], "UP")
        document = self.ask("GET", "/openapi.json")[2]
        for path, methods in document["paths"].items():
            for method in methods:
                if method == "parameters":
                    continue
                status = self.ask(method.upper(), path.replace("{id}", "0" * 64))[0]
                self.assertNotIn(status, (405, 500), path)
                self.assertIn(str(status), methods[method]["responses"], f"{method} {path}")
        self.assertEqual(self.ask("PUT", "/v1/images", b"x")[0], 405)
        self.assertEqual(self.ask("GET", "/v1/imagesx")[0], 404)
        self.assertEqual(self.ask("GET", "/page/../openapi.json")[0], 404)


class Levels(Served):
    """Embeddings of a model that has several levels go out and in as the file of `samc embed`."""

    options, model = ("--max-pixels", "2000000"), ROOT / "tests/data/golden_sam2/tiny.safetensors"

    def masks(self, image):
        status, _, answer = self.ask("POST", f"/v1/images/{image}/predict", {"points": [[300, 200]]})
        self.assertEqual(status, 200, answer)
        return [m["segmentation"] for m in answer["masks"]]

    def embed(self, folder, *options, model=None):
        file = Path(folder, "e.safetensors")
        samc("embed", PHOTO, "-o", file, "--model", model or self.model, *options)
        return file.read_bytes()

    def test_out_and_in(self):
        image = self.server.upload(PHOTO)
        at, expected = f"/v1/images/{image}/embedding", self.masks(image)
        with tempfile.TemporaryDirectory() as folder:
            for query, options in (("", ()), ("?format=safetensors", ()), ("?dtype=f16", ("--dtype", "f16"))):
                status, headers, file = self.ask("GET", at + query)
                self.assertEqual((status, headers["Content-Type"]), (200, "application/octet-stream"), file)
                self.assertEqual(file, self.embed(folder, *options), query)
                status, _, other = self.ask("POST", "/v1/embeddings", file)
                self.assertEqual((status, other["width"], other["height"]), (201, 600, 400), other)
                self.assertNotEqual(other["id"], image)
                if not options:
                    self.assertEqual(self.masks(other["id"]), expected)
                self.assertEqual(self.ask("GET", f"/v1/images/{other['id']}/embedding{query}")[2], file, "again")
        for query, code in (
            ("?format=npy", 501),
            ("?format=x", 400),
            ("?dtype=int8", 400),
            ("?format=npy&dtype=f16", 400),
        ):
            self.assertEqual(self.ask("GET", at + query)[0], code, query)

    def test_what_is_refused(self):
        with tempfile.TemporaryDirectory() as folder:
            file = self.embed(folder)
            other = self.embed(folder, model=ROOT / "tests/data/golden_hq/tiny.safetensors")
        head = 8 + struct.unpack("<Q", file[:8])[0]

        def changed(old, new):
            text = file[8:head].replace(old, new)
            self.assertNotEqual(text, file[8:head])
            return struct.pack("<Q", len(text)) + text + file[head:]

        self.assertEqual(self.ask("POST", "/v1/embeddings?width=600&height=400", file)[0], 201)
        npy = b"\x93NUMPY\x01\x00" + bytes(100)
        longest = struct.pack("<Q", 70000) + b"{" + b" " * 69999
        for body, query, code, said in (
            (file, "?width=601", 400, "600 x 400"),
            (file, "?height=0", 400, "width"),
            (file[:-1], "", 422, "complete"),
            (file[:head], "", 422, "complete"),
            (file[:20], "", 422, "claims"),
            (file + b"x", "", 422, "after the last tensor"),
            (b"{}" * 9, "", 422, "not a safetensors file"),
            (b"PK\x03\x04" + bytes(60), "", 422, "not a safetensors file"),
            (b'{"weight_map": {"a": "/etc/passwd"}}', "", 422, "not a safetensors file"),
            (longest, "", 422, "at most 64 KB"),
            (bytes(1 << 20), "", 413, "values"),
            (other, "", 400, "as this model's are"),
            (changed(b'"400,600"', b'"40000,60000"'), "", 400, "60000 x 40000"),
            (changed(b'"400,600"', b'"2000,2000"'), "", 422, "at most 2000000"),
            (changed(b'"400,600"', b'"4 00"'), "", 422, "image_size"),
            (changed(b'"samc.model_hash":"', b'"samc.model_hash":"0'), "", 400, "another model"),
            (changed(b'"samc.version"', b'"samc.recipe":"{}","samc.version"'), "", 400, "another recipe"),
            (changed(rb'global_att_blocks\":[4]', rb'global_att_blocks\":[5]'), "", 400, "another encoder"),
            (changed(rb'global_att_blocks\":[4]', rb'global_att_blocks\":\u001b'), "", 400, 'of "global_att_blocks":?'),
            (file[:head] + b"\xff" * (len(file) - head), "", 422, "finite"),
            (npy, "?width=600&height=400", 501, "safetensors"),
        ):
            status, _, answer = self.ask("POST", "/v1/embeddings" + query, body)
            self.assertEqual((status, said in str(answer)), (code, True), (answer, body[:40], query))


class Tools(Served):
    """Labelling tools, by requests as they send them; tools_clients.py asks with their own code."""

    def expected(self, prompt):
        image = self.server.upload(PHOTO)
        return self.ask("POST", f"/v1/images/{image}/predict", {**prompt, "best": True})[2]["masks"][0]

    def photo(self):
        return base64.b64encode(PHOTO.read_bytes()).decode()

    def test_x_anylabeling(self):
        models = self.ask("GET", "/v1/models")[2]
        self.assertIn("button_add_point", [w["name"] for w in models["data"]["samc"]["widgets"]])
        body = {
            "model": "samc",
            "image": "data:image/jpeg;base64," + self.photo(),
            "params": {"epsilon_factor": 0.0, "marks": [{"type": "point", "data": [300, 200], "label": 1}]},
        }
        status, _, answer = self.ask("POST", "/v1/predict", body)
        self.assertEqual((status, answer["success"]), (200, True), answer)
        (shape,) = answer["data"]["shapes"]
        mask = self.expected({"points": [[300, 200]]})
        xs, ys = zip(*shape["points"])
        x, y, w, h = mask["bbox"]
        self.assertTrue(x <= min(xs) and max(xs) <= x + w + 1 and y <= min(ys) and max(ys) <= y + h + 1)
        ring = shape["points"]
        area = abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1]))) / 2
        self.assertGreater(area, 0.6 * mask["area"], "the outline of the largest part")
        rough = self.ask("POST", "/v1/predict", {**body, "params": {**body["params"], "epsilon_factor": 0.01}})[2]
        self.assertLess(len(rough["data"]["shapes"][0]["points"]), len(ring) / 4)
        box = {"marks": [{"type": "rectangle", "data": [480, 390, 120, 40], "label": 1}]}
        self.assertTrue(self.ask("POST", "/v1/predict", {**body, "params": box})[2]["success"])
        for change, code in (
            ({"model": "other"}, "MODEL_NOT_FOUND"),
            ({"image": "data:image/png;base64,AAAA"}, "INVALID_IMAGE"),
            ({"image": "!"}, "INFERENCE_ERROR"),
            ({"params": {}}, "INFERENCE_ERROR"),
            ({"params": {"marks": [{"type": "line", "data": [1, 2], "label": 1}]}}, "INFERENCE_ERROR"),
        ):
            status, _, answer = self.ask("POST", "/v1/predict", {**body, **change})
            self.assertEqual((status, answer["success"], answer["error"]["code"]), (200, False, code), answer)

    def test_cvat(self):
        functions = self.ask("GET", "/api/functions")[2]
        self.assertEqual(functions["samc"]["metadata"]["annotations"]["type"], "interactor")
        self.assertEqual(functions["samc"], self.ask("GET", "/api/functions/samc")[2])
        self.assertEqual(self.ask("GET", "/api/functions/other")[0], 404)
        named = {"x-nuclio-function-name": "samc"}
        clicks = {"pos_points": [[300, 200], [250, 300]], "neg_points": [[60, 60]], "obj_bbox": []}
        status, _, answer = self.ask("POST", "/api/function_invocations", {"image": self.photo(), **clicks}, named)
        self.assertEqual(status, 200)
        rows = answer["mask"]
        self.assertEqual((len(rows), len(rows[0])), (400, 600))
        prompt = {"points": [[300, 200], [250, 300], [60, 60]], "labels": [1, 1, 0], "multimask": False}
        self.assertEqual(sum(map(sum, rows)), self.expected(prompt)["area"])
        box = {"pos_points": [], "neg_points": [], "obj_bbox": [[120, 40], [480, 390]]}
        status, _, answer = self.ask("POST", "/api/function_invocations", {"image": self.photo(), **box}, named)
        area = self.expected({"box": [120, 40, 480, 390], "multimask": False})["area"]
        self.assertEqual((status, sum(map(sum, answer["mask"]))), (200, area))
        for body, headers, status in (
            ({"image": self.photo(), "pos_points": []}, named, 400),
            ({"image": self.photo(), "pos_points": [[1]]}, named, 400),
            ({"image": "AAAA", **clicks}, named, 422),
            ({"image": self.photo(), **clicks}, {}, 404),
        ):
            self.assertEqual(self.ask("POST", "/api/function_invocations", body, headers)[0], status)

    def test_osam(self):
        prompt = {"points": [[300, 200], [120, 40], [480, 390]], "point_labels": [1, 2, 3]}
        body = {"model": "sam:latest", "image": self.photo(), "prompt": prompt}
        status, _, answer = self.ask("POST", "/api/generate", body)
        self.assertEqual(status, 200, answer)
        (annotation,) = answer["annotations"]
        mask = self.expected({"points": [[300, 200]], "box": [120, 40, 480, 390], "multimask": False})
        x, y, w, h = mask["bbox"]
        self.assertEqual(annotation["bounding_box"], {"xmin": x, "ymin": y, "xmax": x + w, "ymax": y + h})
        png = base64.b64decode(annotation["mask"])
        self.assertEqual((png[:4], int.from_bytes(png[16:20], "big")), (b"\x89PNG", w + 1))
        for prompt in ({}, {"points": [[1, 2]]}, {"points": [[1, 2]], "point_labels": [2]}):
            self.assertEqual(self.ask("POST", "/api/generate", {**body, "prompt": prompt})[0], 400, prompt)


class Images(Served):
    options, model = ("--max-pixels", "2000000", "--max-body", "8M"), TINY

    def test_every_format_in_a_process_without_rights(self):
        info = subprocess.run([SAMC, "info", "--json"], capture_output=True, check=True).stdout
        optional = {"TIFF", "WebP", "AVIF", "JPEG 2000", "HEIF", "JPEG XL"}
        whole = optional <= set(json.loads(info)["image_formats"])  # else some are left out of this build
        for path in sorted(IMAGES.iterdir()):
            if path.suffix == ".ppm" or not path.is_file():
                continue
            if path.suffix == ".tga" and b"TRUEVISION" not in path.read_bytes():
                continue  # which only its name tells
            status, _, answer = self.ask("POST", "/v1/images", path.read_bytes())
            fine = path.with_name(path.name + ".ppm").exists()
            if not whole and "not a supported image format" in answer.get("error", ""):
                continue
            if fine:
                self.assertEqual(status, 201, f"{path.name}: {answer}")
                size = path.with_name(path.name + ".ppm").read_bytes().split(maxsplit=3)[1:3]
                self.assertEqual([answer["width"], answer["height"]], [int(n) for n in size], path.name)
            else:
                self.assertEqual(status in (201, 422), True, f"{path.name}: {answer}")

    def test_decoders_hold_nothing_of_the_servers(self):
        pid = self.server.process.pid
        self.server.upload(PHOTO)  # now, or before: then it has begun, and let go of what it was started with
        (nursery,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        held = {fd.name: str(fd.readlink()) for fd in Path(f"/proc/{nursery}/fd").iterdir()}
        self.assertEqual([held["0"], held["1"]], ["/dev/null"] * 2)
        self.assertEqual(sum(name.startswith("socket:") for name in held.values()), 1, "its orders alone")

    def test_refuses(self):
        for body, status, word in (
            (b"", 400, "bytes"),
            (b"GIF89a", 422, "the image"),
            (b"P6 100000 100000 255\n", 422, "the image"),
            (b"x" * (8 << 20) + b"x", 413, "at most"),
        ):
            got, _, answer = self.ask("POST", "/v1/images", body)
            self.assertEqual((got, word in answer["error"]), (status, True), answer)
            self.assertNotIn("\n", answer["error"])

    def test_refuses_prompts(self):
        image = self.server.upload(PHOTO)
        _, _, answer = self.ask("POST", f"/v1/images/{image}/predict", {"points": [[1, 2]]})
        known = answer["masks"][0]["mask_id"][0]
        for body in (
            {}, {"points": []}, {"points": [[1]]}, {"points": [[1, "2"]]}, {"points": [[1, 2]], "labels": [2]},
            {"points": [[1, 2]], "labels": [1, 1]}, {"labels": [1]}, {"box": [1, 2, 3]}, {"box": [5, 5, 1, 9]},
            {"points": [[1, 2]], "format": "jpeg"}, {"points": [[1, 2]], "multimask": 1}, {"point": [[1, 2]]},
            {"points": [[1e30, 2]]}, {"mask_id": [7, 0]}, {"mask_id": 7}, {"mask_input": "!"}, {"mask_input": "AAAA"},
            {"mask_id": [known, 1 << 32]}, {"mask_id": [known, -1]}, {"points": [[1, 2]] * 1025}, [],
        ):  # fmt: skip
            status, _, answer = self.ask("POST", f"/v1/images/{image}/predict", body)
            self.assertEqual(status, 400, f"{body}: {answer}")
        for text in ('{"points":[[1,2]],"points":[[3,4]]}', '{"points":[[NaN,2]]}', "{", "\xff", "[" * 100000):
            status, _, answer = self.ask(
                "POST", f"/v1/images/{image}/predict", text.encode("latin1"), {"Content-Type": "application/json"}
            )
            self.assertEqual(status, 400, answer)
        for body in (
            {"points_per_side": 0},
            {"points_per_side": 1.5},
            {"crop_n_layers": 99},
            {"format": "logits"},
            {"x": 1},
        ):
            self.assertEqual(self.ask("POST", f"/v1/images/{image}/auto", body)[0], 400, body)
        self.assertEqual(self.ask("POST", f"/v1/images/{'0' * 64}/predict", {"points": [[1, 2]]})[0], 404)

    def test_forgets(self):
        image = self.server.upload(PHOTO)
        self.assertEqual(self.ask("GET", f"/v1/images/{image}")[0], 200)
        self.assertEqual(self.ask("DELETE", f"/v1/images/{image}")[0], 200)
        self.assertEqual(self.ask("DELETE", f"/v1/images/{image}")[0], 404)
        self.assertEqual(self.ask("GET", f"/v1/images/{image}")[0], 404)


class Guarded(Served):
    """Who may ask."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        path = Path(cls.folder.name) / "token"
        path.write_text("correct horse\nsecond line\n")
        cls.options = (
            "--token-file",
            str(path),
            "--host",
            "masks.example.org",
            "--allow-origin",
            "https://friend.example",
        )
        cls.model = TINY
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()

    def test_token(self):
        basic = lambda text: {"Authorization": "Basic " + base64.b64encode(text).decode()}
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer correct horse"}, 200),
            ({"Authorization": "bearer correct horse"}, 200),
            ({"Authorization": "Token correct horse"}, 200),
            ({"Token": "correct horse"}, 200),
            (basic(b"anyone:correct horse"), 200),
            (basic(b":correct horse"), 200),
            (basic(b"correct horse"), 401),
            (basic(b"anyone:correct hors"), 401),
            ({"Authorization": "Bearer correct horse "}, 401),
            ({"Authorization": "Bearer correct horsecorrect horse"}, 401),
            ({"Authorization": "Bearer "}, 401),
            ({"Authorization": "Basic !!!"}, 401),
            ({"Authorization": "Basic " + "A" * 9000}, 401),
            ({"Token": ""}, 401),
        ):
            self.assertEqual(self.ask("GET", "/v1/model", headers=headers)[0], status, headers)
        self.assertEqual(self.ask("GET", "/health")[0], 200, "health checks have no token")
        self.assertEqual(self.ask("GET", "/metrics")[0], 401)
        self.assertEqual(self.ask("GET", "/", headers={"Accept": "text/html"})[1]["WWW-Authenticate"][:5], "Basic")

    def test_host_and_origin(self):
        good = {"Authorization": "Bearer correct horse"}
        port = self.server.port
        for host, status in (
            (f"127.0.0.1:{port}", 200), (f"localhost:{port}", 200), ("LOCALHOST", 200), (f"[::1]:{port}", 200),
            ("masks.example.org", 200), (f"masks.example.org:{port}", 200), ("evil.example", 421),
            (f"127.0.0.1:{port}.evil.example", 421), ("127.0.0.1:1", 421), ("", 421),
        ):  # fmt: skip
            self.assertEqual(self.ask("GET", "/v1/model", headers={**good, "Host": host})[0], status, host)
        for origin, status in (
            (f"http://127.0.0.1:{port}", 200), ("https://masks.example.org", 200), ("https://friend.example", 200),
            ("https://evil.example", 403), ("null", 403), ("http://friend.example", 403),
        ):  # fmt: skip
            got, headers, _ = self.ask("GET", "/v1/model", headers={**good, "Origin": origin})
            self.assertEqual(got, status, origin)
            allowed = headers.get("Access-Control-Allow-Origin")
            self.assertEqual(allowed, origin if origin == "https://friend.example" else None)

    def test_pages_that_are_allowed_may_ask_beforehand(self):
        wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        for origin, host, status in (
            ("https://friend.example", None, 204), ("https://evil.example", None, 405),
            (f"http://127.0.0.1:{self.server.port}", None, 405), ("https://friend.example", "evil.example", 405),
        ):  # fmt: skip
            headers = {**wish, "Origin": origin, **({"Host": host} if host else {})}
            got, headers, _ = self.ask("OPTIONS", "/v1/images", headers=headers)
            self.assertEqual(got, status, origin)
            self.assertEqual("Content-Type" in headers.get("Access-Control-Allow-Headers", ""), status == 204)
            if status == 204:
                self.assertEqual(headers["Access-Control-Allow-Origin"], origin)
                self.assertIn("POST", headers["Access-Control-Allow-Methods"])

    def test_types_that_a_form_can_send_are_refused(self):
        good = {"Authorization": "Bearer correct horse"}
        for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain", "application/jsonx", ""):
            self.assertEqual(self.ask("POST", "/v1/images", b"x", {**good, "Content-Type": kind})[0], 415, kind)
        for kind in ("application/json; charset=utf-8", "image/png", "application/octet-stream"):
            self.assertNotEqual(self.ask("POST", "/v1/images", b"x", {**good, "Content-Type": kind})[0], 415, kind)

    def test_wrong_usage(self):
        for options, word in (
            (["--listen", "0.0.0.0"], "--token-file"),
            (["--listen", "nonsense", "--token-file", Path(self.folder.name) / "token"], "not an address"),
            (["--port", "70000"], "--port"),
            (["--cache", "lots"], "--cache"),
            (["--allow-origin", "example.org"], "--allow-origin"),
            (["--sessions", "9"], "--sessions"),
            (["--token-file", "/nonexistent"], "/nonexistent"),
            (["--port", str(self.server.port)], "cannot listen"),
            (["extra"], "extra"),
        ):
            done = subprocess.run(
                [SAMC, "serve", "--model", TINY, *options], capture_output=True, text=True, timeout=300
            )
            self.assertIn(done.returncode, (1, 2))
            self.assertEqual((word in done.stderr, done.stderr.count("\n")), (True, 1), done.stderr)


class Load(unittest.TestCase):
    def test_clicks_of_many_are_decoded_together_and_go_first(self):
        with Server(SAMC, "--sessions", "1") as server:
            image, answers, expected = server.upload(PHOTO), [], {}
            points = [[40 * i + 20, 30 * i + 20] for i in range(8)]
            for x, y in points:
                expected[x] = server.ask("POST", f"/v1/images/{image}/predict", {"points": [[x, y]]})[2]["masks"]
            automatic = threading.Thread(
                target=lambda: answers.append(server.ask("POST", f"/v1/images/{image}/auto", {"points_per_side": 48}))
            )
            automatic.start()
            wrong = []

            def click(x, y):
                connection = server.connect()
                for _ in range(6):
                    status, _, answer = server.ask(
                        "POST", f"/v1/images/{image}/predict", {"points": [[x, y]]}, connection=connection
                    )
                    if status != 200 or any(
                        a["segmentation"] != b["segmentation"] for a, b in zip(answer["masks"], expected[x])
                    ):
                        wrong.append(answer)
                connection.close()

            def number(name):
                text = server.ask("GET", "/metrics")[2].decode()
                return int(re.search(rf"^samc_{name} (\d+)$", text, re.M).group(1))

            prompts = 8
            while wrong == []:  # until two of them happened to wait at a time
                clickers = [threading.Thread(target=click, args=point) for point in points]
                for thread in clickers:
                    thread.start()
                for thread in clickers:
                    thread.join()
                prompts += 48
                self.assertEqual(number("prompts_total"), prompts)
                if number("prompt_batches_total") < prompts:
                    break
                self.assertLess(prompts, 100 * 48, "never two together")
            self.assertEqual(wrong, [])
            automatic.join()
            self.assertEqual(answers[0][0], 200)
            self.assertEqual(number("images"), 1)

    def test_sessions_give_what_one_gives(self):
        """Eight at eight pictures, in three sessions, whoever comes together: the same bytes as one by one."""
        pictures = [b"P6 64 48 255\n" + random.Random(i).randbytes(3 * 64 * 48) for i in range(8)]
        asked = [{"points": [[5 * i + 2, 4 * i + 3]], "multimask": i % 2 == 0} for i in range(8)]
        told = lambda masks: [{key: mask[key] for key in mask if key != "mask_id"} for mask in masks]

        def ask(server, image, question, connection=None):
            return server.ask("POST", f"/v1/images/{image}/predict", question, connection=connection)[2]["masks"]

        with Server(SAMC, "--sessions", "1", model=TINY) as server:
            images = [server.ask("POST", "/v1/images", picture)[2]["id"] for picture in pictures]
            expected = [[told(ask(server, image, question)) for question in asked] for image in images]
        with Server(SAMC, "--sessions", "3", model=TINY) as server:
            for picture in pictures:
                server.ask("POST", "/v1/images", picture)
            got = [None] * 8

            def one(i):
                connection = server.connect()
                got[i] = [told(ask(server, images[i], question, connection)) for question in asked]
                connection.close()

            threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(got, expected)

    def test_oldest_images_leave(self):
        with Server(SAMC, "--cache", "1M", model=TINY) as server:
            colours, ids = range(40), []
            for i in colours:
                ids.append(server.ask("POST", "/v1/images", b"P6 200 200 255\n" + bytes([i, 90, 9]) * 40000)[2]["id"])
            self.assertEqual(server.ask("GET", f"/v1/images/{ids[-1]}")[0], 200)
            status, _, answer = server.ask("GET", f"/v1/images/{ids[0]}")
            self.assertEqual((status, "send it again" in answer["error"]), (404, True))
            size = int(re.search(r"^samc_image_bytes (\d+)$", server.ask("GET", "/metrics")[2].decode(), re.M).group(1))
            self.assertLessEqual(size, 1 << 20)

    def test_sends_away_when_full(self):
        """One after the other, none of which comes to its end meanwhile; the first that is answered is one too many."""
        with Server(SAMC, "--queue", "1") as server:
            image, connections = server.upload(PHOTO), []
            body = json.dumps({"points_per_side": 128})
            waiting = lambda n: f'samc_waiting{{stage="auto"}} {n}\n' in server.ask("GET", "/metrics")[2].decode()
            answered = lambda: select.select([connections[-1].sock], [], [], 0)[0]
            while not connections or not answered():
                connections.append(server.connect())
                connections[-1].request("POST", f"/v1/images/{image}/auto", body, {"Content-Type": "application/json"})
                wait_until(lambda: answered() or waiting(len(connections)))
            response = connections[-1].getresponse()
            self.assertEqual((response.status, response.getheader("Retry-After")), (503, "10"))
            self.assertIn("try again", json.loads(response.read())["error"])
            self.assertGreater(len(connections), 2)  # one runs, or is about to, and one waits
            for connection in connections:
                connection.close()

    def test_gives_up_what_nobody_waits_for(self):
        waiting = lambda: server.ask("GET", "/metrics")[2].decode()
        with Server(SAMC) as server:
            image, connection = server.upload(PHOTO), server.connect()
            for accept in ("*/*", "text/event-stream"):
                connection.request("POST", f"/v1/images/{image}/auto", json.dumps({"points_per_side": 128}),
                                   {"Content-Type": "application/json", "Accept": accept})  # fmt: skip
                wait_until(lambda: 'samc_working{stage="auto"} 1' in waiting())
                connection.sock.close()
                connection.close()
                wait_until(lambda: 'samc_waiting{stage="auto"} 0' in waiting())
                self.assertIn("samc_masks_total 0\n", waiting())

    def test_closes_events_that_nobody_reads_any_more(self):
        waiting = lambda: server.ask("GET", "/metrics")[2].decode()

        def sockets():
            count = 0
            for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
                try:
                    count += str(file.readlink()).startswith("socket:")
                except FileNotFoundError:  # closed since it was listed
                    pass
            return count

        with Server(SAMC, model=TINY) as server:
            before, image, body = sockets(), server.upload(PHOTO), b'{"points_per_side": 128}'
            head = (
                f"POST /v1/images/{image}/auto HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            for _ in range(12):
                with socket.create_connection((server.host, server.port)) as s:
                    s.sendall(head.encode() + body)
                    while b"progress" not in s.recv(4096):
                        pass
                wait_until(lambda: 'samc_waiting{stage="auto"} 0' in waiting())
            wait_until(lambda: sockets() <= before)
            self.assertEqual(server.stop(), 0)

    def test_lets_what_runs_end(self):
        server = Server(SAMC)
        image, connection = server.upload(PHOTO), server.connect()
        connection.request("POST", f"/v1/images/{image}/auto", json.dumps({"points_per_side": 16}),
                           {"Content-Type": "application/json", "Accept": "text/event-stream"})  # fmt: skip
        response = connection.getresponse()
        self.assertEqual(response.readline(), b"event: progress\n")
        server.process.terminate()
        self.assertIn(b"event: result\n", response.read())
        connection.close()
        self.assertEqual(server.stop(), 0)

    def test_sends_what_it_made_before_it_ends(self):
        server = Server(SAMC, model=TINY)
        row = zlib.compress(b"".join(b"\0" + bytes(3000) for _ in range(3000)))
        crc = lambda data: struct.pack(">I", zlib.crc32(data))
        chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + crc(kind + data)
        png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3000, 3000, 8, 0, 0, 0, 0))
        png += chunk(b"IDAT", row) + chunk(b"IEND", b"")
        body = {"image": base64.b64encode(png).decode(), "pos_points": [[9, 9]]}
        connection = server.connect()
        connection.request("POST", "/api/function_invocations", json.dumps(body),
                           {"Content-Type": "application/json", "x-nuclio-function-name": "samc"})  # fmt: skip
        response = connection.getresponse()  # 18 MB, more than lies between the two
        self.assertEqual(response.status, 200)
        server.process.terminate()
        wait_until(lambda: self.refused(server))
        self.assertEqual(len(json.loads(response.read())["mask"]), 3000)
        connection.close()
        self.assertEqual(server.stop(), 0)

    def refused(self, server):
        try:
            socket.create_connection((server.host, server.port)).close()
        except ConnectionRefusedError:
            return True
        return False

    def test_half_open_and_idle_connections(self):
        with Server(SAMC, model=TINY) as server:
            sockets = []
            for i in range(300):
                s = socket.create_connection((server.host, server.port))
                s.sendall(b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"[: 10 + i % 60])
                sockets.append(s)
            self.assertEqual(server.ask("GET", "/health")[0], 200)
            image = server.upload(PHOTO)
            self.assertEqual(server.ask("POST", f"/v1/images/{image}/predict", {"points": [[9, 9]]})[0], 200)
            for s in sockets:
                s.close()
            # An upload that breaks off
            s = socket.create_connection((server.host, server.port))
            s.sendall(b"POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
            s.sendall(b"Content-Length: 100000\r\n\r\nabc")
            s.close()
            self.assertEqual(server.ask("GET", "/health")[0], 200)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
