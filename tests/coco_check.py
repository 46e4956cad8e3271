"""The COCO output of a run as pycocotools reads it, against the pictures of the same run.

coco_check.py OUTDIR        # written by `samc auto --format coco,png`; prints how many masks agree
"""

import os
import sys

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO

from cli_test import read_png

out = sys.argv[1]
coco = COCO(os.path.join(out, "annotations.json"))
count = 0
for image in coco.loadImgs(coco.getImgIds()):
    for i, annotation in enumerate(coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))):
        rle = annotation["segmentation"]
        decoded = coco.annToMask(annotation)
        width, height, _, rows = read_png(os.path.join(out, image["file_name"], f"{i}.png"))
        expected = np.frombuffer(b"".join(rows), np.uint8).reshape(height, width) // 255
        assert (
            decoded.shape == expected.shape and (decoded == expected).all()
        ), f"{image['file_name']}: mask {i} differs"
        assert (
            list(mask.toBbox(rle)) == annotation["bbox"]
        ), f"{image['file_name']}: box {i}: {mask.toBbox(rle)}, {annotation['bbox']}"
        assert int(mask.area(rle)) == annotation["area"], f"{image['file_name']}: area {i}"
        count += 1
print(count)
