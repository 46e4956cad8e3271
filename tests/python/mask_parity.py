#!/usr/bin/env python3
"""samc.mask beside pycocotools.mask: random masks, polygons and boxes through every function of both. On demand:

pip install pycocotools numpy
SAMC_LIBRARY_DIR=build/release PYTHONPATH=python python tests/python/mask_parity.py [ROUNDS]
"""

import sys

import numpy as np
import pycocotools.mask as theirs

import samc.mask as ours

rng = np.random.default_rng(1)
calls = different = 0


def same(what, a, b):
    global calls, different
    calls += 1
    if a != b if isinstance(b, (dict, list)) else not np.array_equal(np.asarray(a), np.asarray(b)):
        different += 1
        print(what, a, b)


for turn in range(int(sys.argv[1]) if len(sys.argv) > 1 else 400):
    height, width = (int(n) for n in rng.integers(1, 40, 2))
    masks = np.asfortranarray((rng.random((height, width, int(rng.integers(1, 4)))) < rng.random()).astype(np.uint8))
    if turn % 7 == 0:
        masks[:] = turn % 2
    rles = theirs.encode(masks)
    others = theirs.encode(np.asfortranarray((rng.random((height, width, 2)) < 0.5).astype(np.uint8)))
    same("encode", ours.encode(masks), rles)
    same("decode", ours.decode(rles), theirs.decode(rles))
    same("area", ours.area(rles), theirs.area(rles))
    same("toBbox", ours.toBbox(rles), theirs.toBbox(rles))
    for both in (False, True):
        same("merge", ours.merge(rles, both), theirs.merge(rles, both))
    for crowd in ([0, 0], [1, 0]):
        same("iou", ours.iou(rles, others, crowd), theirs.iou(rles, others, crowd))
    polygon = (rng.random(2 * int(rng.integers(3, 9))) * 50 - 5).tolist()
    for corners in (polygon, np.round(polygon).tolist()):
        same("polygon", ours.frPyObjects([corners], height, width), theirs.frPyObjects([corners], height, width))
        same("polygon alone", [ours.frPyObjects(corners, height, width)], theirs.frPyObjects([corners], height, width))
    boxes, more = (rng.random((2, 4)) * 30).round(turn % 2), rng.random((3, 4)) * 30
    same("boxes", ours.frPyObjects(boxes, height, width), theirs.frPyObjects(boxes, height, width))
    same("iou of boxes", ours.iou(boxes, more, [0, 1, 0]), theirs.iou(boxes, more, [0, 1, 0]))
print(f"{calls} results, {different} different")
sys.exit(different != 0)
