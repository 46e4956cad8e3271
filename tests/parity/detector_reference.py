#!/usr/bin/env python3
"""What `transformers` computes with detectors of calibrated random weights: golden data of tiny ones, full shapes on
demand.

    python3 tests/parity/detector_reference.py golden             writes tests/data/golden_owlv2 and golden_clipseg
    python3 tests/parity/detector_reference.py owlv2_b16 FOLDER PHOTO...
    build/release/bin/detector_test FOLDER                        samc against it, for either

Models: owlv2_b16, owlv2_l14, clipseg_rd64, tiny_owlv2, tiny_clipseg. A folder is what Hugging Face's programs write
(model.safetensors, config.json, preprocessor_config.json), with cases.safetensors beside it: photographs as pixels,
tokens of phrases, and what Owlv2ForObjectDetection and CLIPSegForImageSegmentation made of them through their own
processors.

Random weights are scaled so that a mistake shows: scores of attention have a deviation of 2, gains of norms lie between
0.5 and 1.5, biases have 0.1, residual branches are below their stream, logits and boxes spread over several units.

Wants torch, transformers 5.24, safetensors, numpy and pillow; for phrases open_clip_torch's vocabulary.
"""

import argparse
import json
import os
import sys
import time

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from transformers import (
    CLIPSegConfig,
    CLIPSegForImageSegmentation,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    ViTImageProcessorPil,
)

HERE = os.path.dirname(os.path.abspath(__file__))
DATA = os.path.join(HERE, "..", "data")
PHRASES = [
    "a cat", "red car", "the small white dog on the left", "person", "an empty cup of coffee with a spoon beside it",
    "rocket", "a photo of a wooden table", "eyes", "window",
    "a very long phrase that goes on and on and on beyond what sixteen tokens can ever hold of it, and further still",
]  # fmt: skip


def towers(dim, text, vision, context, side, vocabulary=49408):
    """text, vision: width, blocks, heads, hidden; side: of the image and of a patch."""
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    return {
        "projection_dim": dim,
        "text_config": dict(zip(names, text), max_position_embeddings=context, vocab_size=vocabulary)
        | {"bos_token_id": vocabulary - 2, "eos_token_id": vocabulary - 1, "pad_token_id": 0},
        "vision_config": dict(zip(names, vision), image_size=side[0], patch_size=side[1]),
    }


CLIP = {"image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711]}
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
B = (768, 12, 12, 3072)
MODELS = {
    "tiny_owlv2": ("owlv2", towers(32, (32, 2, 2, 64), (48, 3, 3, 96), 16, (96, 16), 300), 96),
    "owlv2_b16": ("owlv2", towers(512, (512, 12, 8, 2048), B, 16, (960, 16)), 960),
    "owlv2_l14": ("owlv2", towers(768, (768, 12, 12, 3072), (1024, 24, 16, 4096), 16, (1008, 14)), 1008),
    "tiny_clipseg": (
        "clipseg",
        towers(24, (32, 2, 2, 64), (48, 6, 3, 96), 77, (48, 16), 300)
        | {
            "extract_layers": [1, 2, 4],
            "reduce_dim": 16,
            "decoder_num_attention_heads": 2,
            "decoder_intermediate_size": 40,
            "use_complex_transposed_convolution": True,
        },
        80,
    ),
    "clipseg_rd64": (
        "clipseg",
        towers(512, (512, 12, 8, 2048), B, 77, (224, 16)) | {"use_complex_transposed_convolution": True},
        352,
    ),
}


def build(name):
    kind, config, side = MODELS[name]
    torch.manual_seed(21)
    if kind == "owlv2":
        model = Owlv2ForObjectDetection(Owlv2Config(**config))
        processor = Owlv2ImageProcessor(size={"height": side, "width": side}, **CLIP)
    else:
        model = CLIPSegForImageSegmentation(CLIPSegConfig(**config))
        processor = ViTImageProcessorPil(size={"height": side, "width": side}, **IMAGENET)
    calibrate(model)
    return kind, model.eval(), processor


@torch.no_grad()
def calibrate(model):
    draw = lambda tensor, deviation, mean=0.0: tensor.copy_(torch.randn_like(tensor) * deviation + mean)
    for name, module in model.named_modules():
        kind = type(module).__name__
        if kind == "LayerNorm":
            module.weight.copy_(torch.rand_like(module.weight) + 0.5)
            draw(module.bias, 0.1)
        elif kind in ("Linear", "Conv2d", "ConvTranspose2d"):
            inputs = module.weight[0].numel() if kind != "ConvTranspose2d" else module.weight.shape[0]
            scale = 1.0
            if name.endswith("q_proj"):
                scale = 2.0
            elif name.endswith(("out_proj", "fc2")):
                scale = 0.5
            elif name.endswith("logit_scale"):
                scale = 3.0  # either branch of ELU
            elif name.endswith(("patch_embedding", "film_mul", "film_add")):
                scale = 0.5
            elif name.endswith(("transposed_convolution.2", "transposed_convolution.4")):
                scale = 2.0
            draw(module.weight, scale * inputs**-0.5)
            if module.bias is not None:
                draw(module.bias, 0.1, 1.0 if name.endswith("film_mul") else 0.0)
        elif kind == "Embedding":
            draw(module.weight, 0.3 if "position" in name else 1.0)
    for name, parameter in model.named_parameters():
        if name.endswith("class_embedding"):
            draw(parameter, 0.5)
        if name.endswith("logit_scale") and parameter.ndim == 0:
            parameter.fill_(4.6)


@torch.no_grad()
def run(kind, model, processor, image, ids):
    """What the model says of an image and tokens [phrases, context]."""
    pixels = processor(images=image, return_tensors="pt")["pixel_values"]
    out, began = {}, time.process_time()
    if kind == "owlv2":
        result = model(input_ids=ids, pixel_values=pixels, attention_mask=None)
        print(f"transformers, image and phrases: {time.process_time() - began:.2f} s of processors' time")
        whole = processor.post_process_object_detection(
            result, threshold=-1.0, target_sizes=torch.tensor([image.size[::-1]])
        )[0]
        out = {"logits": result.logits[0], "corners": whole["boxes"], "objectness": result.objectness_logits[0]}
        text = result.text_embeds.reshape(len(ids), -1)
    else:
        maps, text = [], model.clip.get_text_features(ids).pooler_output
        model(pixel_values=pixels, conditional_embeddings=text[:1])
        print(f"transformers, image, phrases and one map: {time.process_time() - began:.2f} s of processors' time")
        for i in range(len(ids)):  # one phrase at a time: an image a phrase is how the model counts
            maps.append(
                model(pixel_values=pixels, conditional_embeddings=text[i : i + 1]).logits.reshape(pixels.shape[2:])
            )
        out = {"maps": torch.stack(maps)}
    return {name: value.float().numpy() for name, value in out.items()}, text.float().numpy()


def write(folder, name, images, ids, phrases=None):
    kind, model, processor = build(name)
    os.makedirs(folder, exist_ok=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    if not os.path.exists(os.path.join(folder, "preprocessor_config.json")):
        os.rename(os.path.join(folder, "processor_config.json"), os.path.join(folder, "preprocessor_config.json"))
    tensors = {"ids": ids.astype(np.float32)}
    for key, image in images.items():
        out, text = run(kind, model, processor, image, torch.tensor(ids))
        tensors[f"image.{key}.pixels"] = np.asarray(image)
        tensors["text"] = text
        for what, value in out.items():
            tensors[f"image.{key}.{what}"] = value
            print(f"{key} {what}: mean {value.mean():.3f} deviation {value.std():.3f}")
    metadata = {"images": " ".join(images), "kind": kind}
    if phrases:
        metadata["phrases"] = json.dumps(phrases)
    save_file(
        {k: np.ascontiguousarray(v) for k, v in tensors.items()}, os.path.join(folder, "cases.safetensors"), metadata
    )


def golden():
    """Three shapes: larger than the model's square, smaller, equal."""
    photo = (
        lambda name, box, size: Image.open(os.path.join(HERE, "..", "..", "tools", "examples", name))
        .convert("RGB")
        .crop(box)
        .resize(size, Image.BICUBIC)
    )
    rng = np.random.default_rng(21)
    for name, context in (("tiny_owlv2", 16), ("tiny_clipseg", 77)):
        side = MODELS[name][2]
        images = {
            "landscape": photo("cat.jpg", (40, 20, 400, 280), (side * 3 // 2 + 6, side + 8)),
            "portrait": photo("rocket.jpg", (200, 0, 500, 400), (side // 2, side - 17)),
            "square": photo("coffee.jpg", (100, 50, 400, 350), (side, side)),
        }
        ids = np.zeros((5, context), np.int64)
        for i, length in enumerate((3, 16, 5, 9, 12)):
            ids[i, : length - 1] = np.concatenate([[298], rng.integers(1, 298, length - 2)])
            ids[i, length - 1] = 299
        ids[4, 6] = 299  # a phrase that says it itself: the first end counts
        folder = os.path.join(DATA, "golden_" + name[5:])
        write(folder, name, images, ids)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=["golden", *MODELS])
    parser.add_argument("folder", nargs="?")
    parser.add_argument("photos", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1 if args.model == "golden" else 2)
    if args.model == "golden":
        golden()
        sys.exit()
    from tokenizer_parity import reference

    context = MODELS[args.model][1]["text_config"]["max_position_embeddings"]
    tokens = reference()(PHRASES, truncation=True, max_length=context, padding="max_length")
    pictures = {f"photo{i}": Image.open(path).convert("RGB") for i, path in enumerate(args.photos)}
    write(args.folder, args.model, pictures, np.array(tokens["input_ids"]), PHRASES)
