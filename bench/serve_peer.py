"""The server that serve_load.py compares with: as one writes it in an hour, FastAPI over segment_anything.

Images are sent once, their features are kept, the predictor has a lock; masks go out as COCO's run lengths, as those of
samc serve do.

    serve_peer.py CHECKPOINT PORT THREADS
"""

import hashlib
import io
import sys
import threading

import numpy as np
import torch
import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image
from pycocotools import mask as coco
from segment_anything import SamPredictor, sam_model_registry

app, lock, images = FastAPI(), threading.Lock(), {}
KEPT = ("features", "original_size", "input_size")


def encode(body):
    name = hashlib.sha256(body).hexdigest()
    pixels = np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))
    with lock:
        if name not in images:
            predictor.set_image(pixels)
            images[name] = {key: getattr(predictor, key) for key in KEPT}
    return {"id": name, "width": pixels.shape[1], "height": pixels.shape[0]}


@app.post("/v1/images", status_code=201)
async def upload(request: Request):
    return await run_in_threadpool(encode, await request.body())


@app.post("/v1/images/{name}/predict")
def predict(name: str, prompt: dict):
    if name not in images:
        raise HTTPException(404)
    points = np.array(prompt["points"], np.float32)
    with lock:
        for key, value in images[name].items():
            setattr(predictor, key, value)
        predictor.is_image_set = True
        masks, scores, _ = predictor.predict(points, np.ones(len(points), int), multimask_output=True)
    answer = []
    for mask, score in zip(masks, scores):
        rle = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        answer.append({
            "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
            "predicted_iou": float(score),
        })  # fmt: skip
    return {"masks": answer}


torch.set_num_threads(int(sys.argv[3]))
predictor = SamPredictor(sam_model_registry["vit_b"](sys.argv[1]).eval())
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
