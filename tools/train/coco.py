"""Photographs of the COCO data set with human masks, from git repositories that carry small parts of it.

The annotations of COCO are CC-BY-4.0; its pictures come from Flickr, each under its own licence, which the
annotation files name. Only pictures whose licence is free in Debian's sense are read (FREE below): the greater
part of COCO is non-commercial or no-derivatives and stays out.
"""

import json
import os
import subprocess

import cv2
import numpy as np

# COCO's numbers of the free licences: what their address ends with, how it is called
FREE = {
    4: ("/licenses/by/2.0/", "CC-BY-2.0"),
    5: ("/licenses/by-sa/2.0/", "CC-BY-SA-2.0"),
    7: ("/commons/usage/", "no known copyright restrictions"),
    8: ("/copyright.shtml", "US government work"),
}
# repository: annotation files; the pictures are found by their names in all of them
REPOSITORIES = {
    "minto5z/coco_yolo": ("annotations/instances_val2017.json",),
    "manhph2211/HRNet-Pose-Estimation": ("data/coco/annotations/person_keypoints_val2017.json",),
    "Obmutescence/COCO-MINI": ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
    "zzowenzz/COCO_Tiny": ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
    "enginbozaba/tiny_coco": ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
    "developer0hye/COCO128": ("annotations/instances_train2017.json",),
    "jiangkx/ATSS": ("data/coco/annotations/instances_train2017.json",),
    "lizhogn/tiny_coco_dataset": (
        "tiny_coco/annotations/instances_train2017.json",
        "tiny_coco/annotations/instances_val2017.json",
    ),
    "Deci-AI/super-gradients": (
        "tests/data/tinycoco/annotations/instances_train2017.json",
        "tests/data/pose_minicoco/annotations/person_keypoints_train2017.json",
        "tests/data/pose_minicoco/annotations/person_keypoints_val2017.json",
    ),
    "lightly-ai/coco128_yolo": (
        "panoptic_segmentation/annotations/panoptic_train2017.json",
        "panoptic_segmentation/annotations/panoptic_val2017.json",
    ),
}
THING, STUFF, LEAVES = 1.0, 0.6, 250


def blob(repo, name):
    return subprocess.run(["git", "-C", repo, "cat-file", "blob", name], capture_output=True, check=True).stdout


def polygons(seg, h, w):
    m = np.zeros((h, w), np.uint8)
    cv2.fillPoly(m, [np.round(np.reshape(s, (-1, 2))).astype(np.int32) for s in seg if len(s) >= 6], 1)
    return m.astype(bool)


def leaves(masks):
    """Overlapping masks [(mask, weight)] -> leaf map, [[members, weight]]: a leaf is a set of masks that meet there."""
    key = np.zeros(masks[0][0].shape, np.uint64)
    for i, (m, _) in enumerate(masks):
        key[m] |= np.uint64(1 << i)
    kinds, leaf = np.unique(key, return_inverse=True)
    if len(kinds) > LEAVES:
        return None, None
    return leaf.reshape(key.shape).astype(np.uint8), [
        [[j for j, k in enumerate(kinds) if int(k) >> i & 1], w] for i, (_, w) in enumerate(masks)
    ]


def read_coco(gits):
    """gits {OWNER/NAME: git directory} -> yield (repository, licence, file name, its address on Flickr,
    h x w x 4: RGB and leaf, masks [[leaves, weight]])"""
    pictures, info, things, panoptic = {}, {}, {}, {}
    for name in (n for n in REPOSITORIES if n in gits):
        repo = gits[name]
        tree = {}
        for row in subprocess.run(
            ["git", "-C", repo, "ls-tree", "-r", "HEAD"], capture_output=True, check=True, text=True
        ).stdout.splitlines():
            meta, path = row.split("\t", 1)
            tree[path] = meta.split()[2]
        for path, sha in tree.items():
            if path.endswith(".jpg"):
                pictures.setdefault(os.path.basename(path), (name, sha))
        for path in REPOSITORIES[name]:
            data = json.loads(blob(repo, tree[path]))
            for x in data.get("licenses", ()):  # a file with other numbers must not pass
                if x["id"] in FREE and not x["url"].replace("\\", "").endswith(FREE[x["id"]][0]):
                    raise ValueError(f"{name}: {path}: licence {x['id']} is {x['url']}")
            files = {i["id"]: i for i in data["images"] if i["license"] in FREE}
            kind = {c["id"]: c.get("isthing", 1) for c in data["categories"]}
            for a in data["annotations"]:
                i = files.get(a["image_id"])
                if i is None:
                    continue
                info[i["file_name"]] = i
                if "segments_info" in a:
                    png = f"{os.path.splitext(path)[0]}/{a['file_name']}"
                    if png in tree:
                        panoptic[i["file_name"]] = (
                            repo,
                            tree[png],
                            {s["id"]: kind[s["category_id"]] for s in a["segments_info"] if not s.get("iscrowd")},
                        )
                elif isinstance(a.get("segmentation"), list) and not a.get("iscrowd"):
                    things.setdefault(i["file_name"], {})[a["id"]] = a["segmentation"]
    for file in sorted(set(info) & set(pictures)):
        name, sha = pictures[file]
        im = cv2.imdecode(np.frombuffer(blob(gits[name], sha), np.uint8), cv2.IMREAD_COLOR)
        h, w = info[file]["height"], info[file]["width"]
        if im is None or im.shape[:2] != (h, w):  # resized or another picture of that name
            continue
        if file in panoptic:  # the whole scene: objects and stuff
            repo, png, kinds = panoptic[file]
            ids = cv2.imdecode(np.frombuffer(blob(repo, png), np.uint8), cv2.IMREAD_COLOR).astype(np.int32)
            ids = ids[..., 2] + 256 * ids[..., 1] + 65536 * ids[..., 0]
            masks = [(ids == i, THING if thing else STUFF) for i, thing in kinds.items()]
        else:
            masks = [(polygons(s, h, w), THING) for s in things[file].values()]
        masks = sorted((m for m in masks if m[0].mean() > 0.001), key=lambda m: -m[0].sum())[:40]
        if not masks or masks[0][0].mean() < 0.004:
            continue
        leaf, rows = leaves(masks)
        if leaf is not None:
            yield name, FREE[info[file]["license"]][1], file, info[file]["flickr_url"], np.dstack(
                [im[..., ::-1], leaf]
            ), rows
