#!/usr/bin/env python3
"""The labelling tools' own code against `samc serve`, by hand, as it needs packages from PyPI:

    pip install --target CLIENTS --no-deps osam x-anylabeling-cvhub    # their code
    pip install numpy pillow pydantic requests opencv-python-headless PyQt6 loguru
    QT_QPA_PLATFORM=offscreen tools_clients.py SAMC ROOT CLIENTS

X-AnyLabeling's RemoteServer class asks for models and shapes as its window does; osam's pydantic types check its answer
(4.2.1 and 0.8.1 were run).
"""

import base64
import importlib
import json
import sys
import types
import urllib.request
from pathlib import Path

from harness import Server

SAMC, ROOT, CLIENTS = (Path(a).resolve() for a in sys.argv[1:4])
PHOTO = ROOT / "tools/examples/coffee.jpg"
sys.path.insert(0, str(CLIENTS))


def ask(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


def package(name, **members):
    """A module of X-AnyLabeling's window, which the class only needs in part."""
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [str(CLIENTS / name.replace(".", "/"))]
    module.__dict__.update(members)
    return module


def x_anylabeling(url):
    class Shape:
        def __init__(self, **fields):
            self.__dict__.update(fields, points=[])

        def add_point(self, point):
            self.points.append((point.x(), point.y()))

    class Model:
        def __init__(self, config, on_message):
            self._config = self.config = config
            self.on_message = on_message

        def tr(self, text):
            return text

    logger = types.SimpleNamespace(debug=lambda *_: None, info=print, warning=print, error=print)
    for name in ("anylabeling", "anylabeling.services", "anylabeling.services.auto_labeling", "anylabeling.views",
                 "anylabeling.views.labeling", "anylabeling.views.labeling.utils"):  # fmt: skip
        package(name)
    package("anylabeling.views.labeling.shape", Shape=Shape)
    package("anylabeling.views.labeling.logger", logger=logger)
    package("anylabeling.views.labeling.utils.opencv", qt_img_to_rgb_cv_img=None)
    package("anylabeling.services.auto_labeling.model", Model=Model)
    remote = importlib.import_module("anylabeling.services.auto_labeling.remote_server")
    client = remote.RemoteServer({"type": "remote_server", "display_name": "remote",
                                  "remote_server_settings": {"server_url": url}}, print)  # fmt: skip
    models = client.get_available_models()
    assert list(models) == ["samc"], models
    client.set_model_id("samc")
    client.set_auto_labeling_marks([{"type": "point", "data": [300, 200], "label": 1}])
    client.set_mask_fineness(0.001)
    result = client.predict_shapes(object(), str(PHOTO))
    assert len(result.shapes) == 1 and result.shapes[0].shape_type == "polygon", result.shapes
    print(f"X-AnyLabeling: a polygon of {len(result.shapes[0].points)} corners, score {result.shapes[0].score:.3f}")


def osam(url):
    for name in ("osam", "osam.types"):  # what their __init__ takes in beside wants ONNX Runtime
        package(name)
    kinds, prompts = (importlib.import_module(f"osam.types.{name}") for name in ("_generate", "_prompt"))
    codec = importlib.import_module("osam._json")
    image = codec.image_b64data_to_ndarray(base64.b64encode(PHOTO.read_bytes()).decode())
    asked = kinds.GenerateRequest(
        model="samc", image=image, prompt=prompts.Prompt(points=[[300, 200]], point_labels=[1])
    )
    body = {"model": asked.model, "image": codec.image_ndarray_to_b64data(image), "prompt": asked.prompt.model_dump()}
    answer = ask(url + "/api/generate", body)
    for annotation in answer["annotations"]:
        annotation["mask"] = codec.image_b64data_to_ndarray(annotation["mask"]).astype(bool)
    checked = kinds.GenerateResponse(**answer)
    print(f"osam: {len(checked.annotations)} annotation, {int(checked.annotations[0].mask.sum())} pixels")


with Server(SAMC) as server:
    address = f"http://127.0.0.1:{server.port}"
    x_anylabeling(address)
    osam(address)
