"""Checks a COCO data set of one image by its own means: run lengths, areas and boxes agree.

install_coco.py FILE NAME      the data set, the image's file_name
"""

import json
import sys


def counts_of(text):
    """COCO's compressed run lengths."""
    counts, at = [], 0
    while at < len(text):
        value, shift = 0, 0
        while True:
            group = ord(text[at]) - 48
            at += 1
            value |= (group & 31) << shift
            shift += 5
            if not group & 32:
                break
        if group & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


with open(sys.argv[1], encoding="utf-8") as file:
    data = json.load(file)
(image,) = data["images"]
assert image["file_name"] == sys.argv[2] and image["id"] == 1, image
assert data["categories"][0]["id"] == 1 and len(data["annotations"]) >= 5, len(data["annotations"])
for number, annotation in enumerate(data["annotations"], 1):
    assert annotation["id"] == number and annotation["image_id"] == 1 and annotation["iscrowd"] == 0
    height, width = annotation["segmentation"]["size"]
    assert (width, height) == (image["width"], image["height"])
    counts = counts_of(annotation["segmentation"]["counts"])
    assert sum(counts) == width * height and min(counts[1:]) > 0, number
    columns, rows, at = set(), set(), 0
    for i, run in enumerate(counts):
        if i % 2:
            last = at + run - 1
            columns.update((at // height, last // height))
            rows.update((0, height - 1) if last // height > at // height else (at % height, last % height))
        at += run
    box = [min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1]
    assert annotation["area"] == sum(counts[1::2]) and annotation["bbox"] == box, (number, box, annotation["bbox"])
