#!/usr/bin/env python3
"""segment_anything and samc through the same lines of Python: the steps of the original's notebooks (the examples of
predictor and mask generator), their results beside each other, and what both refuse. On demand, not in ctest:

    pip install torch torchvision segment-anything numpy "pillow<12.2" opencv-python-headless pycocotools
    SAMC_LIBRARY_DIR=build/release PYTHONPATH=python:tests/parity python tests/python/parity.py \\
        --samc build/release/bin/samc [--model MODEL] [--masks-model MODEL]

Models are any files that both can read: by default the tiny one of tests/data/golden, whose weights are random but
calibrated (tests/parity/README.md), and for the generator the default model, whose masks are not all boundary. At most
one pixel in 50,000 of a mask may differ, numbers by 1e-4 of their deviation; of records 98 % of the run lengths are
equal and the others have an IoU of at least 0.99, and their other fields are equal.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import segment_anything
import torch
from PIL import Image
from segment_anything.utils.transforms import ResizeLongestSide

import auto_parity
import samc

SOURCE = Path(__file__).resolve().parent.parent.parent
SIDES = {"original": segment_anything, "samc": samc}


def predictor_steps(module, sam, images):
    """The predictor's notebook: a click, a second one with its logits, a box, many boxes, two images at once."""
    out = {}
    sam.to(device="cpu")
    predictor = module.SamPredictor(sam)
    transform = (ResizeLongestSide if module is segment_anything else samc.ResizeLongestSide)(
        sam.image_encoder.img_size
    )
    image = images[0]
    height, width = image.shape[:2]
    predictor.set_image(image)
    out["features"] = predictor.features
    out["get_image_embedding"] = predictor.get_image_embedding()
    for name in ("original_size", "input_size", "is_image_set", "device"):
        out[name] = getattr(predictor, name)
    out["img_size"] = predictor.model.image_encoder.img_size
    point = np.array([[width * 0.4, height * 0.5]])
    masks, scores, logits = out["click"] = predictor.predict(
        point_coords=point, point_labels=np.array([1]), multimask_output=True
    )
    points = np.concatenate([point, [[width * 0.6, height * 0.4]]])
    mask_input = logits[np.argmax(scores), :, :]
    out["mask input"] = predictor.predict(
        point_coords=points, point_labels=np.array([1, 1]), mask_input=mask_input[None, :, :], multimask_output=False
    )
    out["background point"] = predictor.predict(points, np.array([1, 0]), mask_input=mask_input[None])
    box = np.array([width * 0.2, height * 0.1, width * 0.8, height * 0.9])
    out["box"] = predictor.predict(point_coords=None, point_labels=None, box=box[None, :], multimask_output=False)
    out["box and point"] = predictor.predict(point, np.array([0]), box, multimask_output=False)
    out["logits"] = predictor.predict(point, np.array([1]), return_logits=True)
    boxes = torch.tensor([[0.1, 0.1, 0.5, 0.6], [0.3, 0.2, 0.9, 0.9], [0.0, 0.5, 1.0, 1.0]]) * torch.tensor(
        [width, height, width, height]
    )
    out["apply_boxes_torch"] = moved = predictor.transform.apply_boxes_torch(boxes, image.shape[:2])
    out["predict_torch"] = predictor.predict_torch(
        point_coords=None, point_labels=None, boxes=moved, multimask_output=False
    )
    clicks = predictor.transform.apply_coords_torch(boxes[:, None, :2] + 5, image.shape[:2])
    ones = torch.ones(3, 1, dtype=torch.int)
    out["predict_torch of points"] = predictor.predict_torch(clicks, ones, return_logits=True)
    batch = []
    for one in images[:2]:
        resized = torch.as_tensor(transform.apply_image(one)).permute(2, 0, 1).contiguous()
        scaled = transform.apply_boxes_torch(boxes, one.shape[:2])
        batch.append({"image": resized, "boxes": scaled, "original_size": one.shape[:2]})
        out[f"apply_image {one.shape[:2]}"] = resized
    del batch[1]["boxes"]
    batch[1]["point_coords"] = transform.apply_coords_torch(torch.tensor([[[30.0, 40.0]], [[80.0, 20]]]), one.shape[:2])
    batch[1]["point_labels"] = torch.ones(2, 1)
    for i, answer in enumerate(sam(batch, multimask_output=True)):
        out[f"model called, image {i}"] = (answer["masks"], answer["iou_predictions"], answer["low_res_logits"])
    predictor.set_image(images[1][..., ::-1], image_format="BGR")
    out["BGR"] = predictor.predict(point * 0.5, np.array([1]))
    predictor.set_torch_image(batch[0]["image"][None], images[0].shape[:2])
    out["set_torch_image"] = predictor.predict(point, np.array([1]))
    out["apply_coords"] = transform.apply_coords(points, (height, width))
    out["apply_boxes"] = transform.apply_boxes(box, (height, width))
    out["get_preprocess_shape"] = transform.get_preprocess_shape(height, width, 1024)
    out["postprocess_masks"] = sam.postprocess_masks(
        torch.as_tensor(logits)[None], predictor.input_size, (height, width)
    )
    out["preprocess"] = sam.preprocess(batch[0]["image"].float())
    predictor.reset_image()
    out["reset"] = (predictor.is_image_set, predictor.features)
    return out


def generator_steps(module, sam, image, side, thresholds):
    """The generator's notebook: as it comes, and with crops and small regions removed; each output mode."""
    out = {}
    more = dict(crop_n_layers=1, crop_n_points_downscale_factor=2, min_mask_region_area=100)
    for mode in ("binary_mask", "uncompressed_rle", "coco_rle"):
        make = module.SamAutomaticMaskGenerator
        generator = make(sam, points_per_side=side, output_mode=mode, **thresholds)
        out[f"generate, {mode}"] = generator.generate(image)
    out["point_grids"] = generator.point_grids[0]
    generator = make(model=sam, points_per_side=side, output_mode="coco_rle", **thresholds, **more)
    out["generate, crops and regions"] = generator.generate(image)
    grids = [np.random.default_rng(1).random((40, 2))]
    generator = make(sam, points_per_side=None, point_grids=grids, output_mode="coco_rle", **thresholds)
    out["generate, point_grids"] = generator.generate(image)
    return out


def refusals(module, sam, image):
    """What both have to raise: the kind of each exception."""
    predictor, fresh = module.SamPredictor(sam), module.SamPredictor(sam)
    predictor.set_image(image)
    make = module.SamAutomaticMaskGenerator
    calls = {
        "predict without an image": lambda: fresh.predict(np.ones((1, 2)), np.ones(1)),
        "predict_torch without an image": lambda: fresh.predict_torch(torch.ones(1, 1, 2), torch.ones(1, 1)),
        "get_image_embedding without an image": lambda: fresh.get_image_embedding(),
        "points without labels": lambda: predictor.predict(np.ones((1, 2))),
        "image_format": lambda: predictor.set_image(image, "RGBA"),
        "set_torch_image of another size": lambda: predictor.set_torch_image(torch.zeros(1, 3, 8, 9), (8, 9)),
        "both grids": lambda: make(sam, points_per_side=4, point_grids=[np.ones((1, 2))]),
        "no grid": lambda: make(sam, points_per_side=None),
        "output_mode": lambda: make(sam, output_mode="png"),
        "no such checkpoint": lambda: module.sam_model_registry["vit_b"](checkpoint="no such file"),
        "no such model": lambda: module.sam_model_registry["vit_z"],
    }
    found = {}
    for name, call in calls.items():
        try:
            call()
            found[name] = None
        except Exception as error:
            found[name] = error
    return found


def same(name, theirs, ours, report, mask_near=None):
    """Compares one result, and those that it consists of."""
    if isinstance(theirs, (tuple, list)) and len(theirs) == 3 and hasattr(theirs[0], "shape"):
        good = len(ours) == 3
        masks = [np.asarray(side[0].cpu() if torch.is_tensor(side[0]) else side[0]) for side in (theirs, ours)]
        for what, a, b in zip(("masks", "iou", "low res"), theirs, ours):
            if what == "masks" and masks[0].dtype == bool:
                good &= type(a) is type(b) and masks[0].shape == masks[1].shape and masks[1].dtype == bool
                report.pixels += masks[0].size
                report.differ += int((masks[0] != masks[1]).sum())
            else:
                good &= same(f"{name}, {what}", a, b, report)
        return good
    if torch.is_tensor(theirs) or isinstance(theirs, np.ndarray):
        good = type(theirs) is type(ours) and theirs.shape == ours.shape and theirs.dtype == ours.dtype
        if good:
            a, b = (np.asarray(x, np.float64) for x in (theirs, ours))
            scale = a.std() or 1.0
            worst = float(np.abs(a - b).max() / scale) if a.size else 0.0
            report.worst = max(report.worst, worst)
            good = worst <= 1e-4
        else:
            print(f"  {name}: {type(theirs)} {theirs.shape} {theirs.dtype}, {type(ours)} {ours.shape} {ours.dtype}")
        return good
    return theirs == ours and type(theirs) is type(ours)


def same_records(name, theirs, ours):
    """Records by their run lengths: equal strings, the same types, and what else is in each."""
    text = lambda r: (
        samc.mask.encode(r["segmentation"])["counts"].decode()
        if isinstance(r["segmentation"], np.ndarray)
        else (
            samc.mask.frPyObjects(r["segmentation"], 0, 0)["counts"].decode()
            if isinstance(r["segmentation"]["counts"], list)
            else r["segmentation"]["counts"]
        )
    )
    kinds = lambda r: {k: (type(v), type(v[0]) if isinstance(v, list) else None) for k, v in r.items()}
    if not theirs or not ours:
        return len(theirs) == len(ours), "none"
    # Boxes of the original are whole numbers, but all of an image's are floats once a batch of points (bbox) or a crop
    # (crop_box) has no mask: it joins them with an empty tensor, which is of floats. Ours are whole numbers always.
    loose = {(k, (list, float)): (list, int) for k in ("bbox", "crop_box")}
    wanted = {k: loose.get((k, kind), kind) for k, kind in kinds(theirs[0]).items()}
    good = wanted == kinds(ours[0]) and list(theirs[0]) == list(ours[0])
    if isinstance(theirs[0]["segmentation"], dict):
        good &= theirs[0]["segmentation"]["size"] == ours[0]["segmentation"]["size"]
        good &= type(theirs[0]["segmentation"]["counts"]) is type(ours[0]["segmentation"]["counts"])
    coco = lambda rs: [dict(r, segmentation={"size": list(image_size), "counts": text(r)}) for r in rs]
    image_size = (
        theirs[0]["segmentation"].shape
        if not isinstance(theirs[0]["segmentation"], dict)
        else theirs[0]["segmentation"]["size"]
    )
    equal, worst, pixels, fields = auto_parity.compare(coco(ours), coco(theirs))
    order = [text(r) for r in theirs] == [text(r) for r in ours]
    good &= len(theirs) == len(ours) and fields == 0 and worst >= 0.99 and (equal >= 0.98 * len(ours))
    said = f"{len(theirs)} and {len(ours)} masks, {equal} strings equal, {pixels} pixels of the others differ"
    return good, said + (", same order" if order else "")


class Report:
    pixels = differ = 0
    worst = 0.0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samc", required=True)
    parser.add_argument("--model", default=str(SOURCE / "tests/data/golden/tiny.safetensors"))
    parser.add_argument("--masks-model", default=str(SOURCE / "weights/samc-tiny.safetensors"), help="of the generator")
    parser.add_argument("--points-per-side", type=int, default=8)
    parser.add_argument("--pred-iou-thresh", type=float, default=0.25)
    parser.add_argument("--stability-score-thresh", type=float, default=0.5)
    parser.add_argument("--box-nms-thresh", type=float, default=0.85)
    args = parser.parse_args()
    thresholds = {
        "pred_iou_thresh": args.pred_iou_thresh,
        "stability_score_thresh": args.stability_score_thresh,
        "box_nms_thresh": args.box_nms_thresh,
    }
    images = [np.asarray(Image.open(SOURCE / "tools/examples" / n).convert("RGB")) for n in ("cat.jpg", "coffee.jpg")]
    theirs = auto_parity.load_model(args.samc, args.model)
    ours = samc.sam_model_registry["any"](checkpoint=args.model)
    failed = 0

    def tell(name, good, said=""):
        nonlocal failed
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {name}{': ' if said else ''}{said}")

    sides = [predictor_steps(segment_anything, theirs, images), predictor_steps(samc, ours, images)]
    for name, value in sides[0].items():
        report = Report()
        good = same(name, value, sides[1][name], report)
        # A pixel that differs has a logit that is nearly the threshold; of random masks few are.
        good &= report.differ <= 2e-5 * max(report.pixels, 1)
        pixels = f"{report.differ} of {report.pixels} pixels differ, " if report.pixels else ""
        tell(name, good, f"{pixels}largest error {report.worst:.1e} deviations")
    pair = theirs, ours
    if args.masks_model != args.model:
        pair = auto_parity.load_model(args.samc, args.masks_model), samc.Sam(args.masks_model)
    modules = segment_anything, samc
    steps = [generator_steps(m, s, images[0], args.points_per_side, thresholds) for m, s in zip(modules, pair)]
    for name, value in steps[0].items():
        if isinstance(value, np.ndarray):
            tell(name, np.array_equal(value, steps[1][name]))
        else:
            tell(name, *same_records(name, value, steps[1][name]))
    raised = [refusals(segment_anything, theirs, images[0]), refusals(samc, ours, images[0])]
    for name, error in raised[0].items():
        other = raised[1][name]
        tell(
            f"refused: {name}",
            error is not None and isinstance(other, type(error)),
            f"{type(error).__name__}, {type(other).__name__}",
        )
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
