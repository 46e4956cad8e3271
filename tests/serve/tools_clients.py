#!/usr/bin/env python3
"""The labelling tools' own code against `samc serve`, by hand, as it needs packages from PyPI:

    pip install --target CLIENTS --no-deps osam x-anylabeling-cvhub    # their code
    pip install numpy pillow pydantic requests opencv-python-headless PyQt6 loguru
    pip install "tritonclient[http]"
    QT_QPA_PLATFORM=offscreen tools_clients.py SAMC ROOT CLIENTS [VIEWS]

X-AnyLabeling's RemoteServer class asks for models and shapes as its window does; osam's pydantic types check its
answer; tritonclient infers with JSON and with binary tensors (4.2.1, 0.8.1 and 2.73.0 were run). VIEWS is CVAT's
apps/lambda_manager/views.py (2.13 was run): its LambdaGateway and LambdaFunction classes list and invoke, without
Django, known by their address; a frame comes from a task that is made up.
All of them look for phrases too where they can, with a tiny detector of random weights.
"""

import base64
import importlib
import io
import json
import os
import sys
import tempfile
import types
import urllib.request
from pathlib import Path
from unittest import mock

from harness import Server

SAMC, ROOT, CLIENTS = (Path(a).resolve() for a in sys.argv[1:4])
VIEWS = Path(sys.argv[4]).resolve() if len(sys.argv) > 4 else None
PHOTO = ROOT / "tools/examples/coffee.jpg"
os.environ["SAMC"] = str(SAMC)
sys.path[:0] = [str(CLIENTS), str(ROOT / "tests")]
from text_cli_test import widen


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
    client.set_auto_labeling_marks([])
    client.conf_threshold = 0.5
    result = client.predict_shapes(object(), str(PHOTO), text_prompt="cup, spoon.")
    assert len(result.shapes) > 3 and {s.label for s in result.shapes} <= {"cup", "spoon"}, result.shapes
    print(f"X-AnyLabeling: {len(result.shapes)} polygons of phrases")


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
    prompt = prompts.Prompt(texts=["cup", "spoon"], score_threshold=0.5, iou_threshold=0.3, max_annotations=5)
    answer = ask(url + "/api/generate", {**body, "prompt": prompt.model_dump()})
    for annotation in answer["annotations"]:
        annotation["mask"] = codec.image_b64data_to_ndarray(annotation["mask"]).astype(bool)
    checked = kinds.GenerateResponse(**answer)
    assert len(checked.annotations) == 5 and {a.text for a in checked.annotations} <= {"cup", "spoon"}
    print("osam: 5 annotations of phrases")


def triton(server):
    import numpy
    import tritonclient.http as http
    from PIL import Image

    image = server.upload(PHOTO)
    path = f"/v1/images/{image}/predict"
    want = [m["area"] for m in server.ask("POST", path, {"points": [[300, 200]]})[2]["masks"]]
    client = http.InferenceServerClient(f"127.0.0.1:{server.port}")
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("samc")
    assert not client.is_model_ready("other")
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    names = [o["name"] for o in client.get_model_metadata("samc")["outputs"]]
    blob, pixels = numpy.array([PHOTO.read_bytes()], object), numpy.asarray(Image.open(PHOTO).convert("RGB"))
    for binary in (True, False):
        for kind, data in (("BYTES", blob), ("UINT8", pixels)):
            if kind == "BYTES" and not binary:
                continue  # JSON has no bytes
            inputs = [http.InferInput("image", data.shape, kind), http.InferInput("point_coords", [1, 2], "FP32"),
                      http.InferInput("point_labels", [1], "INT64")]  # fmt: skip
            inputs[0].set_data_from_numpy(data, binary_data=binary)
            inputs[1].set_data_from_numpy(numpy.array([[300, 200]], numpy.float32), binary_data=binary)
            inputs[2].set_data_from_numpy(numpy.array([1], numpy.int64), binary_data=binary)
            outputs = [http.InferRequestedOutput(name, binary_data=binary) for name in names]
            result = client.infer("samc", inputs, outputs=outputs, request_id="7")
            masks, iou, logits = (result.as_numpy(name) for name in names)
            assert [int(m.sum()) for m in masks] == want and masks.shape == (3, 400, 600), masks.shape
            assert iou.shape == (3,) and logits.shape[0] == 3 and result.get_response()["id"] == "7"
            print(f"tritonclient: {kind}, {'binary' if binary else 'JSON'}: masks {masks.shape}, logits {logits.shape}")
    try:
        client.infer("other", inputs)
        raise AssertionError("another model answers")
    except http.InferenceServerException as error:
        assert "there is 'samc'" in str(error), error


def cvat(server):
    import requests

    wanted = ("django", "datumaro", "rq", "cvat", "rest_framework", "drf_spectacular")

    class Stubs:
        """What CVAT's file takes in beside requests."""

        def find_spec(self, name, path=None, target=None):
            known = name.split(".")[0].removesuffix("_rq") in wanted
            return importlib.machinery.ModuleSpec(name, self, is_package=True) if known else None

        def create_module(self, spec):
            return mock.MagicMock(__path__=[], __spec__=spec)

        def exec_module(self, module):
            pass

    import importlib.machinery

    sys.meta_path.insert(0, Stubs())
    sys.modules.setdefault("cvat.utils.http", mock.MagicMock(make_requests_session=requests.Session))
    spec = importlib.util.spec_from_file_location("views", VIEWS)
    views = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(views)
    views.make_requests_session = requests.Session
    views.settings.NUCLIO = {"SCHEME": "http", "HOST": "127.0.0.1", "PORT": server.port, "DEFAULT_TIMEOUT": 120,
                             "FUNCTION_NAMESPACE": "nuclio", "INVOKE_METHOD": "dashboard"}  # fmt: skip
    gateway = views.LambdaGateway()
    (function,) = gateway.list()
    about = gateway.get(function.id).to_dict()
    assert about["kind"] == "interactor" and about["min_pos_points"] == 1 and about["min_neg_points"] == 0, about
    photo = base64.b64encode(PHOTO.read_bytes()).decode()
    task = mock.MagicMock(project_id=None)
    task.get_labels.return_value.prefetch_related.return_value = []
    provider = mock.MagicMock()
    provider.get_frame.side_effect = lambda *_, **__: (io.BytesIO(PHOTO.read_bytes()), "image/jpeg")
    views.FrameProvider = mock.MagicMock(return_value=provider)
    for positive, negative in (([[300, 200]], []), ([[300, 200], [320, 180]], [[20, 20]])):
        asked = {"frame": 0, "pos_points": positive, "neg_points": negative, "quality": "original", "threshold": None}
        rows = function.invoke(task, asked, is_interactive=True, request=mock.MagicMock())["mask"]
        own = {"image": photo, "pos_points": positive, "neg_points": negative, "obj_bbox": None}
        assert rows == gateway.invoke(function, own)["mask"] and (len(rows), len(rows[0])) == (400, 600)
        point = positive[0]
        assert rows[point[1]][point[0]] == 1 and all(rows[y][x] == 0 for x, y in negative)
        print(f"CVAT: {about['name']}, version {about['version']}, {len(positive) + len(negative)} points: "
              f"a mask of {sum(map(sum, rows))} pixels")  # fmt: skip


with tempfile.TemporaryDirectory() as folder:
    widen(ROOT / "tests/data/golden_owlv2", Path(folder) / "owlv2")
    (Path(folder) / "token").write_text("correct horse\n")
    with Server(SAMC, "--detector", Path(folder) / "owlv2") as server:
        address = f"http://127.0.0.1:{server.port}"
        x_anylabeling(address)
        osam(address)
        triton(server)
    if VIEWS:
        with Server(SAMC, "--token-file", str(Path(folder) / "token"), "--trust", "127.0.0.0/8") as server:
            cvat(server)
