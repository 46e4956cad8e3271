#!/usr/bin/env python3
"""Label Studio itself against `samc serve`, by hand, as it is too large for CI:

    python3 -m venv VENV && VENV/bin/pip install label-studio label-studio-sdk     # 1.23.2 and 2.1.2 were run
    VENV/bin/python label_studio.py SAMC ROOT

Starts it with a new account, makes a project for brushes and one for polygons, uploads a photograph, connects the
backend, asks by Label Studio's own interface what its smart tools ask, and compares what comes back, by its own
decoder, with the mask of /v1.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy
from label_studio_sdk.converter.brush import decode_rle

from harness import Server

SAMC, ROOT = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
PHOTO, TOKEN = ROOT / "tools/examples/coffee.jpg", "0123456789abcdef0123456789abcdef01234567"
CONFIG = """<View><Image name="image" value="$image" zoom="true"/>
  <{kind}Labels name="tag" toName="image"><Label value="Cup" background="#FF0000"/></{kind}Labels>
  <KeyPointLabels name="key" toName="image" smart="true"><Label value="Cup" smart="true"/></KeyPointLabels>
  <RectangleLabels name="box" toName="image" smart="true"><Label value="Cup" smart="true"/></RectangleLabels></View>"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Studio:
    def __init__(self, folder):
        self.url = f"http://localhost:{(port := free_port())}"
        command = [Path(sys.executable).parent / "label-studio", "start", "--no-browser", "--port", str(port)]
        account = ["--username", "a@example.org", "--password", "correct-horse-1", "--user-token", TOKEN]
        environment = {**os.environ, "LABEL_STUDIO_BASE_DATA_DIR": folder, "LABEL_STUDIO_HOST": self.url,
                       "ML_BLOCK_LOCAL_IP": "false", "USE_DEFAULT_BANNED_SUBNETS": "false",
                       "COLLECT_ANALYTICS": "false", "LATEST_VERSION_CHECK": "false",
                       "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true"}  # fmt: skip
        self.log = open(Path(folder) / "log", "w+")
        command = [*map(str, command), *account]
        self.process = subprocess.Popen(command, env=environment, stdout=self.log, stderr=self.log)

    def __enter__(self):
        end = time.monotonic() + 300
        while True:
            try:
                return self if self.ask("GET", "/health") else None
            except (urllib.error.URLError, ConnectionError):
                assert self.process.poll() is None and time.monotonic() < end, self.said()
                time.sleep(1)

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    def said(self):
        self.log.seek(0)
        return self.log.read()[-4000:]

    def ask(self, method, path, body=None, kind="application/json"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": kind, "Authorization": "Token " + TOKEN}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, data, headers, method=method)) as reply:
                return json.loads(reply.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:2000]}") from error


def project(studio, server, kind):
    made = studio.ask("POST", "/api/projects/", {"title": kind, "label_config": CONFIG.format(kind=kind)})
    edge = "----edge"
    part = 'Content-Disposition: form-data; name="f"; filename="cup.jpg"\r\nContent-Type: image/jpeg'
    head = f"--{edge}\r\n{part}\r\n\r\n"
    body = head.encode() + PHOTO.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    studio.ask("POST", f"/api/projects/{made['id']}/import", body, "multipart/form-data; boundary=" + edge)
    (task,) = studio.ask("GET", f"/api/tasks?project={made['id']}")["tasks"]
    backend = studio.ask("POST", "/api/ml/", {"project": made["id"], "title": "samc", "is_interactive": True,
                                              "url": f"http://127.0.0.1:{server.port}"})  # fmt: skip
    state = studio.ask("GET", f"/api/ml/{backend['id']}")
    assert state["state"] == "CO" and state["model_version"] == "samc (samc-tiny)", state
    print(f"{kind}: connected, {state['model_version']}, the image at {task['data']['image'][:40]}...")
    return task["id"], backend["id"]


def smart(studio, server, where, kind, region, prompt):
    task, backend = where
    answer = studio.ask("POST", f"/api/ml/{backend}/interactive-annotating",
                        {"task": task, "context": {"result": [region], "event_id": "x"}})  # fmt: skip
    assert "errors" not in answer, answer
    (drawn,) = answer["data"]["result"]
    image = server.upload(PHOTO)
    (mask,) = server.ask("POST", f"/v1/images/{image}/predict", {**prompt, "best": True})[2]["masks"]
    assert (drawn["from_name"], drawn["to_name"], drawn["type"]) == ("tag", "image", kind.lower() + "labels"), drawn
    value = drawn["value"]
    if kind == "Brush":
        pixels = decode_rle(value["rle"]).reshape(drawn["original_height"], drawn["original_width"], 4)
        area, bbox = int((pixels[:, :, 3] > 0).sum()), mask["bbox"]
        assert area == mask["area"], (area, mask["area"])
        rows, columns = numpy.nonzero(pixels[:, :, 3])
        ends = [columns.min(), rows.min(), columns.max() - columns.min(), rows.max() - rows.min()]
        assert [int(n) for n in ends] == bbox, (ends, bbox)
        print(f"  {region['type']}: a stroke of {area} pixels, {len(value['rle'])} bytes, as the mask of /v1")
    else:
        print(f"  {region['type']}: a polygon of {len(value['points'])} corners")
    return drawn


def main(folder):
    with Studio(folder) as studio:
        host = studio.url.removeprefix("http://")
        with Server(SAMC, "--fetch-host", host) as server:
            for kind in ("Brush", "Polygon"):
                where = project(studio, server, kind)
                size = {"original_width": 600, "original_height": 400, "image_rotation": 0}
                point = {**size, "type": "keypointlabels", "is_positive": True,
                         "value": {"x": 50, "y": 50, "width": 0.4, "keypointlabels": ["Cup"]}}  # fmt: skip
                box = {**size, "type": "rectanglelabels",
                       "value": {"x": 20, "y": 10, "width": 60, "height": 80, "rectanglelabels": ["Cup"]}}  # fmt: skip
                drawn = smart(studio, server, where, kind, point, {"points": [[300, 200]]})
                smart(studio, server, where, kind, box, {"box": [120, 40, 480, 360], "multimask": False})
                annotation = {"result": [drawn], "was_cancelled": False}
                saved = studio.ask("POST", f"/api/tasks/{where[0]}/annotations/", annotation)
                assert saved["result"][0]["value"] == drawn["value"]
                studio.ask("POST", f"/api/ml/{where[1]}/train", {})
            encoded = server.ask("GET", "/metrics")[2].decode()
            assert "\nsamc_images_encoded_total 1\n" in encoded, "the photograph is encoded once for all"


with tempfile.TemporaryDirectory() as folder:
    main(folder)
