"""Automatic masks of samc beside SamAutomaticMaskGenerator, on the same weights, photographs and options.

    auto_parity.py --samc build/release/bin/samc --model MODEL.pth|MODEL.safetensors IMAGE... [--case NAME]...

For each case it runs the original in fp32 and the command `samc auto`, prints the masks left after every filter on both
sides, how many COCO strings are equal, and the IoU of the others. Decisions within 1e-4 of a threshold, of a stability
score or, in deviations of the logits, of a pixel, are counted and exempt: there fp32 itself decides (fp64 decides
otherwise, and so does fp32 for one prompt in place of a batch). So are prompts of SAM 2 where a logit so close decides
which of four masks is the one answer, or what is a small region: they are left out on both sides, with what their masks
suppress on one alone. A case counts only if at least 50 masks are kept and each filter drops some.

Times are of the whole command, files written, and of generate() alone for the original, as seconds on the wall and of
processor time; on a machine with other work only the latter mean something, and only with --threads 1, since waiting
threads spin. --original keeps the original's results, which take long, for the next run.
"""

import argparse
import importlib
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco
from safetensors.torch import load_file
from scipy import ndimage

import calibrate
import sam2_models

MARGIN = 1e-4
CASES = {
    "plain": {},
    "regions": {"min_mask_region_area": 100},
    "crops": {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2},
    "crops_regions": {"crop_n_layers": 1, "crop_n_points_downscale_factor": 2, "min_mask_region_area": 60},
}
# Of SAM 2 alone.
CASES_OF_SAM2 = {
    "m2m": {"use_m2m": True},
    "m2m_regions": {"use_m2m": True, "min_mask_region_area": 30},
    "one_mask": {"multimask_output": False},
}


def load_unfolded(path):
    """The modules of EfficientViT-SAM or MobileSAM with the weights of a checkpoint of their own, batch norms and all,
    which a converted file has not any more; None: another's.
    """
    if str(path).endswith(".safetensors"):
        weights = load_file(path)
    else:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    first = ("image_encoder.backbone.stages.", "image_encoder.patch_embed.seq.0.bn.")
    if not any(name.startswith(first) for name in weights):
        return None
    for config in (c for c in calibrate.CONFIGS.values() if isinstance(c, (calibrate.EfficientVit, calibrate.TinyVit))):
        model = calibrate.build(config)
        if {n: t.shape for n, t in model.state_dict().items()} == {n: t.shape for n, t in weights.items()}:
            model.load_state_dict(weights)
            return model.eval()  # TinyViT gathers its table of biases again
    sys.exit("auto_parity.py: no model of such shapes")


def load_sam2(path):
    """SAM2Base with the weights of a checkpoint of its own; None: another's."""
    weights = load_file(path) if str(path).endswith(".safetensors") else torch.load(path, weights_only=True)
    weights = weights.get("model", weights)
    if "image_encoder.trunk.pos_embed" not in weights:
        return None
    for config in (c for c in calibrate.CONFIGS.values() if isinstance(c, sam2_models.Sam2) and c.img_size != 512):
        model = calibrate.build(config)
        if {n: t.shape for n, t in model.state_dict().items()} == {n: t.shape for n, t in weights.items()}:
            model.load_state_dict(weights)
            return model.eval()
    sys.exit("auto_parity.py: no SAM 2 of such shapes")


def components_of(masks):
    """In place of sam2._C, which is for GPUs alone: labels and areas of 8-connected components of [N, 1, h, w]."""
    labels, areas = torch.zeros(masks.shape, dtype=torch.int32), torch.zeros(masks.shape, dtype=torch.int32)
    for i, mask in enumerate(masks[:, 0].numpy()):
        own, _ = ndimage.label(mask, np.ones((3, 3)))
        labels[i, 0] = torch.from_numpy(own)
        areas[i, 0] = torch.from_numpy(np.bincount(own.ravel())[own])
    return labels, areas


def load_model(samc, path):
    """Any model file that samc reads, as the original's modules: its converted form tells shapes and configuration."""
    own = load_sam2(path) or load_unfolded(path)
    if own is not None:
        return own
    with tempfile.TemporaryDirectory() as folder:
        converted = Path(folder) / "model.safetensors"
        subprocess.run([samc, "convert", path, "-o", str(converted), "--dtype", "f32", "--quiet"], check=True)
        raw = converted.read_bytes()
    size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + size])
    stated = json.loads(header.pop("__metadata__")["samc.config"])
    weights = {}
    for name, entry in header.items():
        begin, end = (8 + size + offset for offset in entry["data_offsets"])
        weights[name] = torch.from_numpy(np.frombuffer(raw[begin:end], np.float32).reshape(entry["shape"]).copy())
    names = set(calibrate.Config.__dataclass_fields__)
    config = {key: tuple(value) if isinstance(value, list) else value for key, value in stated.items() if key in names}
    config["decoder_mlp_dim"] = len(weights["mask_decoder.transformer.layers.0.mlp.lin1.bias"])
    config["iou_head_hidden_dim"] = len(weights["mask_decoder.iou_prediction_head.layers.0.bias"])
    model = calibrate.build(calibrate.Config(**config, hq="mask_decoder.hf_token.weight" in weights))
    model.load_state_dict(weights)
    return model


def margin_of(logits):
    """How far from a threshold fp32 still decides: the gate of full_shape.py."""
    return MARGIN * float(logits.std())


def undecided_choices(decoder, logits):
    """Which prompts' one answer, the first of the masks [P, 4, h, w] or the best of the others by how stable the first
    is, hangs on logits within the margin of its two levels: [P]."""
    margin = margin_of(logits)
    first, delta = logits[:, 0].flatten(1), decoder.dynamic_multimask_stability_delta
    inner, outer = ((first > d).sum(-1).float() for d in (delta, -delta))
    near_inner, near_outer = (((first - d).abs() < margin).sum(-1) for d in (delta, -delta))
    least = (inner - near_inner) / (outer + near_outer)
    most = (inner + near_inner) / (outer - near_outer)
    limit = decoder.dynamic_multimask_stability_thresh
    return ((least < limit) & ~(most < limit)).tolist()


def undecided_regions(fill, mask, margin):
    """Whether a pixel of a mask [h, w] within the margin of 0 decides if others are a small region."""
    filled = fill(mask) > 0
    for y, x in (mask.abs() < margin).nonzero().tolist():
        other = mask.clone()
        other[y, x] = margin if mask[y, x] <= 0 else -margin
        differs = (fill(other) > 0) != filled
        differs[y, x] = False
        if differs.any():
            return True
    return False


class Counting:
    """Before the original's class: counts what every filter leaves, collects decisions that are too close to call."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.counts = dict(masks=0, after_iou=0, after_stability=0, after_edge=0, after_nms=0)
        self.close = self.close_pixels = 0
        self.near = {}  # a mask's COCO string: which of the image's pixels are within the margin

    def _process_batch(self, points, size, crop, *args, **kwargs):
        counts, amg = self.counts, self.amg
        score = amg.calculate_stability_score

        def stability(masks, threshold, offset):
            result = score(masks, threshold, offset)
            counts["after_iou"] += len(result)
            counts["after_stability"] += int((result >= self.stability_score_thresh).sum())
            self.close += int(((result - self.stability_score_thresh).abs() < MARGIN).sum())
            near = (masks - threshold).abs() < margin_of(masks)
            self.close_pixels += int(near.sum())
            for i in ((result >= self.stability_score_thresh) & near.flatten(1).any(1)).nonzero()[:, 0].tolist():
                full = amg.uncrop_masks(torch.stack((masks[i] > threshold, near[i])), crop, *args[0]).numpy()
                string = coco.encode(np.asfortranarray(full[0].astype(np.uint8)))["counts"].decode()
                self.near.setdefault(string, set()).update(np.flatnonzero(full[1]).tolist())
            return result

        amg.calculate_stability_score = stability
        one = hasattr(getattr(self.predictor.model, "mask_decoder", None), "hf_token")
        counts["masks"] += (1 if one or not getattr(self, "multimask_output", True) else 3) * len(points)
        data = super()._process_batch(points, size, crop, *args, **kwargs)
        amg.calculate_stability_score = score
        counts["after_edge"] += len(data["rles"])
        return data

    def _process_crop(self, *args):
        data = super()._process_crop(*args)
        self.counts["after_nms"] += len(data["rles"])
        return data


class CountingSam2(Counting):
    """Also collects the prompts, as prompt_of() has them, whose masks hang on a logit that is too close to call."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.undecided, self.chosen, self.filled = set(), [], []
        decoder, transforms = self.predictor.model.sam_mask_decoder, self.predictor._transforms
        choose, post = type(decoder)._dynamic_multimask_via_stability, type(transforms).postprocess_masks

        def choosing(logits, iou):
            self.chosen += undecided_choices(decoder, logits)
            return choose(decoder, logits, iou)

        def fill(mask):
            return post(transforms, mask[None, None], mask.shape)[0, 0]

        def filling(masks, size):
            if transforms.max_hole_area > 0:
                margin = margin_of(masks)
                self.filled += [undecided_regions(fill, mask, margin) for mask in masks.flatten(0, 1)]
            return post(transforms, masks, size)

        decoder._dynamic_multimask_via_stability, transforms.postprocess_masks = choosing, filling

    def _take(self, points, marks):
        """Marks are of as many masks a point as there are."""
        if marks:
            self.undecided |= {i * len(points) // len(marks) for i, mark in enumerate(marks) if mark}
            marks.clear()

    def refine_with_m2m(self, points, *args):
        self._take(range(len(self.points)), self.chosen)
        self.filled.clear()  # of masks that nobody sees
        return super().refine_with_m2m(points, *args)

    def _process_batch(self, points, size, crop, *args, **kwargs):
        before, self.undecided, self.points = self.undecided, set(), points
        data = super()._process_batch(points, size, crop, *args, **kwargs)
        self._take(points, self.chosen)
        self._take(points, self.filled)
        box, moved = self.amg.box_xyxy_to_xywh(torch.tensor(crop)), torch.as_tensor(points, dtype=torch.float32)
        moved = (moved + box[:2]).tolist()
        self.undecided = before | {(tuple(moved[i]), *box.tolist()) for i in self.undecided}
        return data


def prompt_of(record):
    return (*map(tuple, record["point_coords"]), *record["crop_box"])


def decided(theirs, ours, undecided, limit):
    """The records of both sides without those of prompts that fp32 does not decide, and without those that one side
    alone has where such a one on the other side suppresses them by its box; how many these are."""
    sides = [[r for r in records if prompt_of(r) not in undecided] for records in (theirs, ours)]
    left_out = 0
    for mine, other, all_others in ((0, 1, ours), (1, 0, theirs)):
        present = {prompt_of(r) for r in sides[other]}
        others = [r["bbox"] for r in all_others if prompt_of(r) in undecided]
        kept = []
        for r in sides[mine]:
            overlap = coco.iou([r["bbox"]], others, [0] * len(others)) if others else np.zeros(1)
            if prompt_of(r) in present or overlap.max() <= limit:
                kept.append(r)
        left_out += len(sides[mine]) - len(kept)
        sides[mine] = kept
    return *sides, left_out


def run_original(model, image, options):
    """By the package that the model is of."""
    package = type(model).__module__.split(".")[0]
    if package == "efficientsam":
        amg = importlib.import_module("efficientsam.segment_anything.automatic_mask_generator")
        generator = importlib.import_module(type(model).__module__).EfficientViTSamAutomaticMaskGenerator
    elif package == "sam2":
        amg = importlib.import_module("sam2.automatic_mask_generator")
        importlib.import_module("sam2.utils.misc").get_connected_components = components_of
        generator = amg.SAM2AutomaticMaskGenerator
    else:
        amg = importlib.import_module(package + ".automatic_mask_generator")
        generator = amg.SamAutomaticMaskGenerator
    counted = type("Counted", (CountingSam2 if package == "sam2" else Counting, generator), {"amg": amg})
    generator = counted(model, output_mode="coco_rle", **options)
    if package == "sam2":
        generator.predictor._bb_feat_sizes = [(model.image_size // stride,) * 2 for stride in (4, 8, 16)]
    set_image = generator.predictor.set_image

    def timed_set_image(*args):
        start = time.process_time()
        set_image(*args)
        generator.counts["encode"] = generator.counts.get("encode", 0.0) + time.process_time() - start

    generator.predictor.set_image = timed_set_image
    start = time.time(), time.process_time()
    records = generator.generate(image)
    seconds = time.time() - start[0], time.process_time() - start[1]
    close = generator.close, generator.close_pixels, getattr(generator, "undecided", set()), generator.near
    if package == "sam2":
        del model.sam_mask_decoder._dynamic_multimask_via_stability  # which is of this run
    return records, dict(generator.counts, kept=len(records)), close, seconds


def kept_original(keep, model, path, image, options):
    """run_original(), or what it gave for the same image and options the last time."""
    key = {"image": Path(path).name, "size": image.shape, "threads": torch.get_num_threads(), **options}
    if keep and keep.exists():
        stored = pickle.loads(keep.read_bytes())
        if stored["key"] == key:
            return stored["result"]
    result = run_original(model, image, options)
    if keep:
        keep.write_bytes(pickle.dumps({"key": key, "result": result}))
    return result


def run_samc(args, path, options):
    with tempfile.TemporaryDirectory() as folder:
        stats = Path(folder) / "stats.json"
        command = [
            args.samc,
            "auto",
            str(path),
            "-o",
            folder,
            "--format",
            "rle",
            "--stats",
            str(stats),
            "--model",
            args.model,
            "--backend",
            args.backend,
            "--threads",
            str(args.threads),
            "--quiet",
        ]
        flags = {"use_m2m": "--use-m2m", "multimask_output": "--no-multimask"}  # which say what is not the default
        command += [flags[name] for name in options if name in flags]
        for name, value in options.items():
            if name in flags:
                continue
            command += ["--" + name.replace("_", "-"), repr(value)]
        used = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        start = time.time(), used()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.time() - start[0], used() - start[1]
        records = json.loads((Path(folder) / (Path(path).name + ".json")).read_text())
        return records, json.loads(stats.read_text())[0], seconds


def compare(ours, theirs, near={}):
    """Equal COCO strings; for the rest the pixels that differ from the mask of the same prompt on the other side that
    is most like it (of any prompt, where there is none: all pairs of thousands of ragged masks take hours), and the IoU
    with it, pixels apart that near (of Counting) has of it: of a small mask they are a large part."""
    strings = {r["segmentation"]["counts"] for r in theirs}
    equal = sum(r["segmentation"]["counts"] in strings for r in ours)
    by_prompt = {}
    for r in theirs:
        by_prompt.setdefault(prompt_of(r), []).append(r)
    encode = lambda r: dict(r["segmentation"], counts=r["segmentation"]["counts"].encode())
    worst, pixels = 1.0, 0
    for r in ours:
        if r["segmentation"]["counts"] in strings or not theirs:
            continue
        others = by_prompt.get(prompt_of(r), theirs)
        iou = coco.iou([encode(r)], [encode(o) for o in others], [0] * len(others))[0]
        other = others[int(iou.argmax())]
        a, b = (coco.decode(encode(o)).flatten() for o in (r, other))
        pixels += int((a != b).sum())
        undecided = list(near.get(other["segmentation"]["counts"], ()))
        a[undecided] = b[undecided]
        worst = min(worst, int((a & b).sum()) / max(int((a | b).sum()), 1))
    keys = ("area", "bbox", "crop_box", "point_coords")
    by_string = {}  # points next to each other may have the same mask
    for r in theirs:
        by_string.setdefault(r["segmentation"]["counts"], []).append(r)
    fields = sum(
        all(any(r[k] != other[k] for k in keys) for other in by_string[r["segmentation"]["counts"]])
        for r in ours
        if r["segmentation"]["counts"] in by_string
    )
    return equal, worst, pixels, fields


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--samc", required=True, help="the samc program")
    parser.add_argument("--model", required=True, help="a model file that both sides can read")
    parser.add_argument("--backend", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--case", action="append", choices=CASES | CASES_OF_SAM2, help="one case; default all")
    parser.add_argument("--points-per-side", type=int, default=16)
    parser.add_argument("--pred-iou-thresh", type=float, default=0.5)
    parser.add_argument("--stability-score-thresh", type=float, default=0.7)
    parser.add_argument("--box-nms-thresh", type=float, default=0.7)
    parser.add_argument("--original", type=Path, help="keeps the original's results of one image and case in this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(args.samc, args.model)
    failed = counted = 0
    for path in args.images:
        image = np.asarray(Image.open(path).convert("RGB"))
        of_model = CASES | (CASES_OF_SAM2 if type(model).__name__ == "SAM2Base" else {})
        for case in args.case or of_model:
            options = dict(
                points_per_side=args.points_per_side,
                pred_iou_thresh=args.pred_iou_thresh,
                stability_score_thresh=args.stability_score_thresh,
                box_nms_thresh=args.box_nms_thresh,
                **of_model[case],
            )
            theirs, their_counts, close, their_seconds = kept_original(args.original, model, path, image, options)
            ours, our_counts, our_seconds = run_samc(args, path, options)
            close, close_pixels, undecided, near = close
            theirs, ours, left_out = decided(theirs, ours, undecided, options["box_nms_thresh"])
            equal, worst, pixels, fields = compare(ours, theirs, near)
            stages = ("masks", "after_iou", "after_stability", "after_edge", "after_nms", "kept")
            print(
                f"{Path(path).name} {case}, {args.threads} thread(s): "
                + ", ".join(
                    f"{what} {theirs_s:.1f} s PyTorch, {ours_s:.1f} s samc, ratio {theirs_s / ours_s:.1f}"
                    for what, theirs_s, ours_s in zip(("wall", "processor"), their_seconds, our_seconds)
                )
            )
            print(
                f"  PyTorch, processor: encode {their_counts['encode']:.2f} s, the rest "
                f"{their_seconds[1] - their_counts['encode']:.2f} s"
            )
            print(
                "  samc, wall: "
                + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in our_counts["seconds"].items())
            )
            for stage in stages:
                print(f"  {stage:16} {their_counts[stage]:6} {our_counts[stage]:6}")
            same = equal >= 0.99 * len(ours) - close or pixels <= close_pixels
            good = abs(len(ours) - len(theirs)) <= close and same and worst >= 0.99 and fields == 0
            drops = (
                all(their_counts[a] > their_counts[b] for a, b in zip(stages[:3], stages[1:3]))
                and their_counts["kept"] >= 50
            )
            counted += drops
            failed += not good
            print(
                f"  equal strings {equal} of {len(ours)}, worst IoU of the rest {worst:.6f}, their differing pixels "
                f"{pixels}, other "
                f"fields different {fields}; within {MARGIN:g} of a threshold: {close} stability scores, "
                f"{close_pixels} pixels; {len(undecided)} prompts and {left_out} masks left out: "
                f"{'ok' if good else 'FAIL'}"
                f"{'' if drops else ' (too few masks to count as a case)'}"
            )
    print(f"{counted} case(s) that count, {failed} failed")
    return 1 if failed or not counted else 0


if __name__ == "__main__":
    sys.exit(main())
