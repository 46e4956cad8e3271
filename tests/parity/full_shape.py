#!/usr/bin/env python3
"""Parity in full shape: ViT-B, ViT-L or ViT-H, photographs, and the real command line against segment_anything in
PyTorch.

  python full_shape.py --model vit_b --samc build/release/bin/samc --image PHOTO [PHOTO ...] [--pth WEIGHTS] [--fp64]
  python full_shape.py --model vit_b --image PHOTO --mutations

The first form makes calibrated random weights (or takes the given ones), computes embedding, low-res logits, IoU
predictions and full-size masks with the unmodified original in fp32, runs `samc convert`, `samc embed` and `samc
segment` on the .pth and on the converted file, and prints every comparison beside its gate; --fp64 adds the noise
floor, PyTorch's fp32 against its fp64. Ends with 1 if anything is beyond its gate.

The second form makes the usual mistakes in the original itself, one by one, and prints how large an error each is: what
the gates have to see in full shape.

PyTorch and samc run one after the other, so that ViT-H fits into 12 GiB (fp32) or 20 GiB (--fp64). Requires torch,
torchvision, segment-anything, numpy and pillow below 12.2 (later ones resize tall images differently).
"""

import argparse
import contextlib
import gc
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import sam2_models
import torch
from PIL import Image, ImageOps
from segment_anything.modeling import image_encoder, mask_decoder, prompt_encoder, sam as sam_module
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.utils import transforms

from calibrate import CONFIGS, build, calibrate, load
from reference import GATE_MAX, GATE_NMSE, NEAR, Prompts, encode, errors, in_double, predict

TENSORS = ("embedding", "logits", "iou")

# ---- What is predicted ----------------------------------------------------------------------------

# Points (x, y, label) and box as fractions of the image's width and height.
PROMPTS = [
    {"points": [(0.5, 0.5, 1)]},
    {"points": [(0.1, 0.9, 1)]},
    {"points": [(0.3, 0.4, 1), (0.7, 0.6, 0), (0.35, 0.5, 1)]},
    {"box": (0.2, 0.25, 0.75, 0.8)},
    {"points": [(0.6, 0.3, 1), (0.9, 0.9, 0)], "box": (0.4, 0.1, 0.95, 0.7)},
    {"box": (0.0, 0.0, 1.0, 1.0)},
    {"points": [(0.99, 0.01, 0)]},
]


@dataclass
class Run:
    """One call of `samc segment`: all prompts with three masks or one, or earlier logits as prompts."""

    name: str
    multimask: bool
    prompts: list = None  # as in --prompts; None: the masks alone
    mask_input: np.ndarray = None  # [P, 1, low, low]
    logits: np.ndarray = None  # [P, M, low, low], and so on: the reference's values
    iou: np.ndarray = None
    full: np.ndarray = None  # [P, M, h, w] full-size logits
    noise: dict = field(default_factory=dict)


def scaled_prompts(width, height):
    """PROMPTS in pixels, in the form of `samc segment --prompts`."""
    size = np.array([width - 1, height - 1])
    result = []
    for p in PROMPTS:
        entry = {}
        if "points" in p:
            entry["points"] = [np.round(np.array(xy) * size, 2).tolist() for *xy, _ in p["points"]]
            entry["labels"] = [label for *_, label in p["points"]]
        if "box" in p:
            entry["box"] = np.round(np.array(p["box"]) * np.tile(size, 2), 2).tolist()
        result.append(entry)
    return result


def predict_run(predictor, run):
    """Logits, IoU and full-size logits of a run; the original takes its prompts one by one."""
    results = []
    for i in range(len(run.prompts if run.prompts is not None else run.mask_input)):
        p = run.prompts[i] if run.prompts is not None else {}
        as_array = lambda key: np.array([p[key]], np.float32) if key in p else None
        results.append(
            predict(
                predictor,
                Prompts(
                    as_array("points"),
                    as_array("labels"),
                    as_array("box"),
                    None if run.mask_input is None else run.mask_input[i],
                ),
                run.multimask,
            )
        )
    return [np.concatenate(parts) for parts in zip(*results)]


def reference_runs(predictor):
    """All runs on the predictor's image, with the reference's values."""
    height, width = predictor.original_size
    prompts = scaled_prompts(width, height)
    runs = [Run("three masks", True, prompts), Run("one mask", False, prompts)]
    for run in runs:
        run.logits, run.iou, run.full = predict_run(predictor, run)
    earlier = runs[0].logits[:3, :1]  # of the three prompts with points alone, their first mask
    runs += [Run("points and mask input", True, prompts[:3], earlier), Run("mask input alone", False, None, earlier)]
    for run in runs[2:]:
        run.logits, run.iou, run.full = predict_run(predictor, run)
    return runs


def compare_run(run, logits, iou, iou_deviation):
    return {"logits": errors(run.logits, logits), "iou": errors(run.iou, iou, iou_deviation)}


def differing_pixels(run, masks):
    """Pixels that differ, those too near to the threshold left out."""
    near = np.abs(run.full) < NEAR * run.logits.std()
    return int(((masks != (run.full > 0)) & ~near).sum())


# ---- samc -----------------------------------------------------------------------------------------


class Samc:
    """The command line program with its common options."""

    def __init__(self, path, options, work):
        self.path, self.options, self.work = path, options, work

    def __call__(self, *arguments):
        command = [str(a) for a in (self.path, *arguments, *self.options)]
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if process.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{process.stderr}full_shape.py: the command above failed")
        return process.stdout

    def segment(self, image, model, run, embedding=None):
        """(logits, IoU, masks, mistakes in the records) of a run."""
        arguments = ["segment", image, "--model", model, "-o", self.work / "masks", "--format", "png,rle", "--quiet"]
        arguments += ["--logits", self.work / "logits.npy"]
        if run.prompts is not None:
            (self.work / "prompts.json").write_text(json.dumps(run.prompts))
            arguments += ["--prompts", self.work / "prompts.json"]
        if run.mask_input is not None:
            np.save(self.work / "mask_input.npy", run.mask_input)
            arguments += ["--mask-input", self.work / "mask_input.npy"]
        arguments += [] if run.multimask else ["--single"]
        arguments += [] if embedding is None else ["--embedding", embedding]
        records = json.loads(self(*arguments))["masks"]
        prompts, masks = run.iou.shape
        if [(r["prompt"], r["mask"]) for r in records] != [(p, m) for p in range(prompts) for m in range(masks)]:
            sys.exit(f"full_shape.py: {run.name}: the records are not those of {prompts} prompts with {masks} masks")
        pictures = [np.array(Image.open(r["files"]["png"])) > 127 for r in records]
        mistakes = sum(wrong_record(r, p, run.full[r["prompt"], r["mask"]]) for r, p in zip(records, pictures))
        iou = np.array([r["predicted_iou"] for r in records]).reshape(prompts, masks)
        return np.load(self.work / "logits.npy"), iou, np.stack(pictures).reshape(run.full.shape), mistakes


def read_embedding(path):
    """The first level of what samc embed wrote."""
    if path.suffix == ".npy":
        return np.load(path)
    data = path.read_bytes()
    behind = 8 + int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8:behind])["image_embedding"]["data_offsets"]
    return np.frombuffer(data[behind + begin : behind + end], np.float32)


def decode_rle(rle):
    """A mask from COCO's compressed run lengths: 5 bits a character, differences from the run before the last, columns
    first.
    """
    counts, value, shift = [], 0, 0
    for character in rle["counts"].encode():
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(rle["size"][::-1]).T


def wrong_record(record, mask, full):
    """Mistakes in one mask's record: RLE, area and box against its picture, stability against the reference's logits.
    """
    y, x = np.nonzero(mask)
    box = [int(v) for v in (x.min(), y.min(), x.max() - x.min(), y.max() - y.min())] if len(x) else [0, 0, 0, 0]
    above, below = (full > 1).sum(), (full > -1).sum()
    stability = above / below if below else 0.0
    # A logit within rounding of 1 or -1 may move a count: a few pixels are allowed.
    return (
        (decode_rle(record["rle"]) != mask).any()
        + (record["area"] != mask.sum())
        + (record["bbox"] != box)
        + (abs(record["stability_score"] - stability) > 5 / max(below, 1))
    )


# ---- Parity ---------------------------------------------------------------------------------------


def read_image(path):
    return np.array(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))


class Table:
    """Rows of comparisons; counts those beyond their gates."""

    FORMAT = "%-24s%-11s" + "%10s" * 6 + "  %s"

    def __init__(self):
        self.failures = 0
        print(self.FORMAT % ("", "", "NMSE", "gate", "noise", "max/dev", "gate", "noise", ""))

    def values(self, name, tensor, error, noise, nmse_gate=GATE_NMSE):
        ok = error[0] <= nmse_gate and error[1] <= GATE_MAX
        self.failures += not ok
        floor = ["%.1e" % n for n in noise] if noise else ["-", "-"]
        print(
            self.FORMAT
            % (
                name,
                tensor,
                "%.1e" % error[0],
                "%.0e" % nmse_gate,
                floor[0],
                "%.1e" % error[1],
                "%.0e" % GATE_MAX,
                floor[1],
                "ok" if ok else "FAIL",
            ),
            flush=True,
        )

    def count(self, name, what, count, note=""):
        self.failures += count != 0
        print("%-24s%-21s%10d  %s  %s" % (name, what, count, "ok" if count == 0 else "FAIL", note), flush=True)


def add_noise(double, reference, runs, iou_deviation):
    """The noise floor of every run, and of the embedding as the result."""
    for run in runs:
        logits, iou, _ = predict_run(double, run)
        run.noise = {"logits": errors(logits, run.logits), "iou": errors(iou, run.iou, iou_deviation)}
    return errors(double.features, reference.features)


def parity(args, work):
    pth = args.pth or work / f"{args.model}.pth"
    if args.pth is None:
        sam = build(CONFIGS[args.model])
        print(f"{args.model}, calibrated on {args.image[0].name}: {calibrate(sam, read_image(args.image[0]))}")
        torch.save({"model": sam.state_dict()}, pth)
    else:
        sam = load(args.model, pth)
    references = []
    for path in args.image:
        started = time.monotonic()
        predictor = encode(sam, read_image(path))
        encoded = time.monotonic()
        runs = reference_runs(predictor)
        print(
            "PyTorch, fp32, %s: encoder %.1f s, %d prompts %.1f s"
            % (path.name, encoded - started, sum(len(r.iou) for r in runs), time.monotonic() - encoded),
            flush=True,
        )
        deviation = np.concatenate([r.iou.ravel() for r in runs]).std()
        references.append([path, predictor, runs, deviation, None])
    if args.fp64:
        double_sam = in_double(sam)
        for reference in references:
            path, predictor, runs, deviation, _ = reference
            reference[4] = add_noise(encode(double_sam, read_image(path)), predictor, runs, deviation)
        del double_sam
    for reference in references:
        reference[1] = reference[1].features[0].numpy()
    del sam, predictor
    gc.collect()

    samc = Samc(args.samc, args.options, work)
    table, converted = Table(), work / f"{args.model}.safetensors"
    samc("convert", pth, "-o", converted)
    for path, embedding, runs, deviation, noise in references:
        print(f"-- {path.name}")
        started = time.monotonic()
        config = CONFIGS[args.model]
        finer = isinstance(config, sam2_models.Sam2) or config.hq  # whose embeddings have levels
        saved = work / ("embedding.safetensors" if finer else "embedding.npy")
        samc("embed", path, "--model", pth, "-o", saved)
        seconds, ious = time.monotonic() - started, []
        table.values(
            "samc embed, .pth",
            "embedding",
            errors(embedding, read_embedding(saved).reshape(embedding.shape)),
            noise,
        )
        for i, run in enumerate(runs):
            logits, iou, masks, mistakes = samc.segment(path, pth, run, saved)
            # A few IoU values have no mean to speak of: their NMSE is gated over all runs together.
            for tensor, error in compare_run(run, logits, iou, deviation).items():
                table.values(
                    run.name, tensor, error, run.noise.get(tensor), float("inf") if tensor == "iou" else GATE_NMSE
                )
            ious.append((run.iou.ravel(), iou.ravel()))
            union = np.maximum((masks | (run.full > 0)).sum((2, 3)), 1)
            overlap = ((masks & (run.full > 0)).sum((2, 3)) / union).min()
            table.count(
                run.name, "mask pixels", differing_pixels(run, masks), f"of {masks.size}; lowest mask IoU {overlap:.7f}"
            )
            table.count(run.name, "records", mistakes)
            # The converted file gives the same bits; once with its own run of the encoder, as the first user would call
            # it.
            other = samc.segment(path, converted, run, None if i == 0 else saved)
            same = sum(int((a != b).sum()) for a, b in zip((logits, iou, masks), other))
            table.count(run.name, "converted file", same)
        table.values("all runs", "iou", errors(*(np.concatenate([pair[i] for pair in ious]) for i in (0, 1))), None)
        print("samc embed took %.1f s, with reading the weights" % seconds)
    print(f"{table.failures} comparison(s) beyond their gate")
    return 1 if table.failures else 0


# ---- Mutations of the original --------------------------------------------------------------------


@contextlib.contextmanager
def tanh_gelu(sam):
    modules = [m for m in sam.modules() if isinstance(m, torch.nn.GELU)]
    for m in modules:
        m.approximate = "tanh"
    yield
    for m in modules:
        m.approximate = "none"


def epsilon(part, kind, wrong):
    @contextlib.contextmanager
    def mutation(sam):
        modules = [m for m in getattr(sam, part).modules() if type(m) is kind]
        right = {m: m.eps for m in modules}
        for m in modules:
            m.eps = wrong
        yield
        for m in modules:
            m.eps = right[m]

    return mutation


def replaced(owner, name, make):
    """Replaces owner.name by make(original)."""

    @contextlib.contextmanager
    def mutation(sam):
        with mock.patch.object(owner, name, make(getattr(owner, name))):
            yield

    return mutation


@contextlib.contextmanager
def no_half_pixel(sam):
    cls = prompt_encoder.PromptEncoder
    points, boxes = cls._embed_points, cls._embed_boxes
    with mock.patch.object(cls, "_embed_points", lambda self, p, labels, pad: points(self, p - 0.5, labels, pad)):
        with mock.patch.object(cls, "_embed_boxes", lambda self, b: boxes(self, b - 0.5)):
            yield


@contextlib.contextmanager
def rel_pos_swapped(sam):
    def swap():
        for block in sam.image_encoder.blocks:
            block.attn.rel_pos_h, block.attn.rel_pos_w = block.attn.rel_pos_w, block.attn.rel_pos_h

    swap()
    yield
    swap()


def pad_keys_masked(original):
    """Attention.forward with scores of -inf for the keys that window_partition padded: those whose input is all zeros.
    """

    def forward(self, x):
        pads = (
            (x == 0)
            .all(-1)
            .reshape(len(x), 1, 1, -1)
            .expand(-1, self.num_heads, -1, -1)
            .reshape(len(x) * self.num_heads, 1, -1)
        )
        softmax = torch.Tensor.softmax
        with mock.patch.object(
            torch.Tensor, "softmax", lambda scores, dim: softmax(scores.masked_fill(pads, float("-inf")), dim)
        ):
            return original(self, x)

    return forward


def token_0_dropped(original):
    """MaskDecoder.forward without the single-mask token in the sequence where three masks are asked for."""

    def forward(self, image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, multimask_output):
        transformer = self.transformer.forward

        def without(src, pos, tokens):
            queries, keys = transformer(src, pos, torch.cat([tokens[:, :1], tokens[:, 2:]], 1))
            return (
                torch.cat([queries[:, :2], queries[:, 1:]], 1),
                keys,
            )  # a filler where token 0 was: its mask is not used

        with mock.patch.object(self.transformer, "forward", without if multimask_output else transformer):
            return original(
                self, image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings, multimask_output
            )

    return forward


def antialiased_interpolate(original):
    return lambda x, size, **options: original(x, size, antialias=True, **options)


def plain_resize(original):
    """ResizeLongestSide.apply_image without the antialiasing that Pillow always does."""

    def apply_image(self, image):
        size = self.get_preprocess_shape(*image.shape[:2], self.target_length)
        x = torch.as_tensor(image).permute(2, 0, 1)[None].float()
        x = torch.nn.functional.interpolate(x, size, mode="bilinear", align_corners=False)
        return x[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()

    return apply_image


def scaled_q(original):
    return lambda attn, q, *rest: original(attn, q * q.shape[-1] ** -0.5, *rest)


# name: (context manager, whether the encoder has to run again, whether the photograph must be larger than the model's
# input)
MUTATIONS = {
    "tanh GELU": (tanh_gelu, True, False),
    "epsilon 1e-5 in the encoder": (epsilon("image_encoder", torch.nn.LayerNorm, 1e-5), True, False),
    "epsilon 1e-5 in the neck": (epsilon("image_encoder", LayerNorm2d, 1e-5), True, False),
    "epsilon 1e-5 in the mask prompt": (epsilon("prompt_encoder", LayerNorm2d, 1e-5), False, False),
    "epsilon 1e-5 in the upscaling": (epsilon("mask_decoder", LayerNorm2d, 1e-5), False, False),
    "epsilon 1e-6 in the decoder": (epsilon("mask_decoder", torch.nn.LayerNorm, 1e-6), False, False),
    "no half pixel on points": (no_half_pixel, False, False),
    "no padding point": (
        replaced(
            prompt_encoder.PromptEncoder,
            "_embed_points",
            lambda f: lambda self, p, labels, pad: f(self, p, labels, False),
        ),
        False,
        False,
    ),
    "relative positions swapped": (rel_pos_swapped, True, False),
    "relative positions from scaled q": (replaced(image_encoder, "add_decomposed_rel_pos", scaled_q), True, False),
    "pad keys masked": (replaced(image_encoder.Attention, "forward", pad_keys_masked), True, False),
    "mask token 0 dropped": (replaced(mask_decoder.MaskDecoder, "forward", token_0_dropped), False, False),
    "antialiased mask resize": (replaced(sam_module.F, "interpolate", antialiased_interpolate), False, False),
    "image resize not antialiased": (replaced(transforms.ResizeLongestSide, "apply_image", plain_resize), True, True),
}


def mutations(args):
    """Prints each mutation's error beside the gate; ends with 1 if one stays below every gate."""
    photo = Image.fromarray(read_image(args.image[0]))
    input_size = CONFIGS[args.model].img_size
    resized = lambda side: np.array(
        photo.resize([max(1, round(n * side / max(photo.size))) for n in photo.size], Image.BICUBIC)
    )
    images = {False: resized(min(max(photo.size), input_size // 2)), True: resized(input_size * 3 // 2)}
    if args.pth:
        sam = load(args.model, args.pth)
    else:
        sam = build(CONFIGS[args.model])
        print(f"{args.model}, calibrated on {args.image[0].name}: {calibrate(sam, images[False])}")
    line = "%-34s" + "%11s%9s" * 3 + "%10s  %s"
    print(line % ("mutation", "embedding", "max/dev", "logits", "max/dev", "IoU", "max/dev", "pixels", ""))
    print(line % ("(gate)", *["%.0e" % GATE_NMSE, "%.0e" % GATE_MAX] * 3, 0, ""))
    baselines, survivors = {}, 0
    for name, (mutation, again, large) in MUTATIONS.items():
        if args.only not in name:
            continue
        if large not in baselines:
            predictor = encode(sam, images[large])
            runs = reference_runs(predictor)
            baselines[large] = predictor, runs, np.concatenate([r.iou.ravel() for r in runs]).std()
        predictor, runs, deviation = baselines[large]
        with torch.no_grad(), mutation(sam):
            mutant = encode(sam, images[large]) if again else predictor
            results = [predict_run(mutant, run) for run in runs]
        worst = {t: (0.0, 0.0) for t in TENSORS}
        rows = [("embedding", errors(predictor.features, mutant.features))]
        rows += [row for run, r in zip(runs, results) for row in compare_run(run, r[0], r[1], deviation).items()]
        for tensor, error in rows:
            worst[tensor] = tuple(map(max, worst[tensor], error))
        pixels = sum(differing_pixels(run, r[2] > 0) for run, r in zip(runs, results))
        beyond = max(max(e[0] / GATE_NMSE, e[1] / GATE_MAX) for e in worst.values())
        survivors += beyond <= 1 and pixels == 0
        verdict = "%.3g x gate" % beyond if beyond > 1 else "by masks" if pixels else "SURVIVES"
        print(line % (name, *["%.1e" % v for t in TENSORS for v in worst[t]], pixels, verdict), flush=True)
    return 1 if survivors else 0


def main():
    parser = argparse.ArgumentParser(description="Parity of samc with segment_anything in full shape.")
    parser.add_argument("--model", required=True, choices=CONFIGS)
    parser.add_argument("--samc", type=Path, help="the program (not needed with --mutations)")
    parser.add_argument("--image", required=True, type=Path, nargs="+", help="photographs, JPEG or PNG")
    parser.add_argument("--pth", type=Path, help="weights (default: calibrated random ones)")
    parser.add_argument("--fp64", action="store_true", help="also measure the noise floor (PyTorch in fp64, slow)")
    parser.add_argument(
        "--mutations", action="store_true", help="print the error of each mistake made in the original itself"
    )
    parser.add_argument("--only", default="", help="with --mutations: those whose name contains this")
    parser.add_argument("--backend", default="cpu", help="of samc (default: cpu)")
    parser.add_argument("--threads", type=int, help="of PyTorch and samc (default: theirs)")
    parser.add_argument("--work", type=Path, help="folder for weights and outputs, kept (default: a temporary one)")
    args = parser.parse_args()
    args.options = ["--backend", args.backend] + (["--threads", args.threads] if args.threads else [])
    if isinstance(CONFIGS[args.model], sam2_models.Sam2):  # whose tensors do not tell it
        args.options += ["--image-size", CONFIGS[args.model].img_size]
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.mutations:
        return mutations(args)
    if args.samc is None or args.model == "tiny":
        parser.error(
            "--samc is needed, and a model of official shape (a .pth does not tell the tiny one's decoder heads)"
        )
    with tempfile.TemporaryDirectory(prefix="samc-parity-") as temporary:
        work = args.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        return parity(args, work)


if __name__ == "__main__":
    sys.exit(main())
