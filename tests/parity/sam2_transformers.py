#!/usr/bin/env python3
"""SAM 2 of transformers beside samc: the tiny model of tests/data/golden_sam2 in Hugging Face's names and files, from
pixels to low-resolution logits.

    sam2_transformers.py --samc build/release/bin/samc

Requires torch, torchvision, transformers (5.24), numpy and pillow.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/cases"), str(ROOT / "tests")]

GATE = 1e-10 # normalised mean squared error of logits; both compute in fp32


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samc", required=True)
    args = parser.parse_args()
    from cases_sam2 import FILE, config_json, huggingface
    from checkpoint_files import safetensors, state_of
    from safetensors.torch import load_file
    from torchvision.transforms import functional
    from transformers import Sam2Config, Sam2Model

    state = {n: t for n, t in state_of(FILE).items() if n not in ("maskmem_tpos_enc", "no_mem_pos_enc")}
    stated = config_json()
    backbone = stated["vision_config"]["backbone_config"]
    backbone.update(
        model_type="sam2_hiera_det_model",
        image_size=[160, 160],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 2, 4, 8],
        window_positional_embedding_background_size=[3, 3],
    )
    sides = [[40, 40], [20, 20], [10, 10]]
    stated["vision_config"].update(backbone_channel_list=[64, 32, 16, 8], backbone_feature_sizes=sides)
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        (at / "model.safetensors").write_bytes(safetensors(huggingface(state)))
        (at / "config.json").write_text(json.dumps(stated))
        model = Sam2Model(Sam2Config(**stated)).eval()
        missing = model.load_state_dict(load_file(at / "model.safetensors"), strict=False)
        if missing.missing_keys or missing.unexpected_keys:
            sys.exit(f"names differ: {missing}")
        picture = ROOT / "tools/examples/cat.jpg"
        rgb = np.array(Image.open(picture).convert("RGB"))
        # Sam2ImageProcessor rounds to bytes after its resize, sam2 itself and samc do not: that is 1e-5 of the logits.
        pixels = functional.resize(torch.from_numpy(rgb).permute(2, 0, 1)[None] / 255, [160, 160], antialias=True)
        pixels = functional.normalize(pixels, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        worst = 0.0
        for points in ([(220, 150)], [(40, 31), (300, 200), (100, 250)]):
            for multimask in (True, False):
                scale = np.array([160 / rgb.shape[1], 160 / rgb.shape[0]])
                with torch.no_grad():
                    found = model(
                        pixel_values=pixels,
                        input_points=torch.tensor(np.array(points) * scale, dtype=torch.float)[None, None],
                        input_labels=torch.ones(1, 1, len(points), dtype=torch.long),
                        multimask_output=multimask,
                    )
                theirs = found.pred_masks[0, 0].clamp(-32, 32).numpy()
                command = [args.samc, "segment", str(picture), "--model", folder, "--format", "rle", "-q"]
                command += ["--logits", str(at / "l.npy")] + ([] if multimask else ["--single"])
                for x, y in points:
                    command += ["--point", f"{x},{y},1"]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                ours = np.load(at / "l.npy")[0]
                error = float(((ours - theirs) ** 2).mean() / theirs.var())
                worst = max(worst, error)
                print(f"{len(points)} point(s), {len(theirs)} mask(s): nmse {error:.1e}, at most {GATE:.0e}")
    return 0 if worst <= GATE else 1


if __name__ == "__main__":
    sys.exit(main())
