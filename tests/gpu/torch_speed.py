#!/usr/bin/env python3
"""What PyTorch needs for the same work on the same GPU: encoder at batch 1, 8, 32, prompts, automatic masks; one line
of JSON for each.

    torch_speed.py --json FILE [--models DIR] [--seconds S]

The modules are segment_anything's where that can be imported, else transformers' SamModel in the same shapes; where
neither can, or PyTorch sees no GPU, it says so and ends with 77. Forms: eager, sdpa (the attention through
scaled_dot_product_attention, relative positions as its mask) and compiled (torch.compile of that). DIR holds samc's
random weights (tests/gpu/random_model.c), which segment_anything's modules load.
"""

import argparse
import json
import statistics
import struct
import sys
import time
from pathlib import Path

SHAPES = {"vit_b": (768, 12, 12, (2, 5, 8, 11)), "vit_h": (1280, 32, 16, (7, 15, 23, 31))}
BATCHES, PROMPTS = (1, 8, 32), 64


def skip(why):
    print(f"skipped: {why}")
    sys.exit(77)


try:
    import torch
except ImportError as error:
    skip(f"no PyTorch ({error})")
if not torch.cuda.is_available():
    skip(f"PyTorch {torch.__version__} sees no GPU")


def weights_of(path):
    """The tensors of a safetensors file."""
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    body = memoryview(bytearray(data[8 + length :]))
    return {
        name: torch.frombuffer(body[t["data_offsets"][0] : t["data_offsets"][1]], dtype=torch.float32).reshape(
            t["shape"]
        )
        for name, t in header.items()
    }


class Original:
    """segment_anything's modules."""

    def __init__(self, name, form, folder):
        from segment_anything import sam_model_registry

        self.source = "segment_anything"
        self.sam = sam_model_registry[name]().eval()
        file = folder and folder / f"{name}.safetensors"
        if file and file.exists():
            self.sam.load_state_dict(weights_of(file), strict=False)
        if form != "eager":
            self.use_sdpa()
        self.sam.to("cuda", torch.bfloat16)
        self.encode = torch.compile(self.sam.image_encoder) if form == "compiled" else self.sam.image_encoder
        self.embedding = torch.randn(1, 256, 64, 64, device="cuda", dtype=torch.bfloat16)

    def use_sdpa(self):
        from segment_anything.modeling import image_encoder

        def forward(attention, x):
            b, h, w, c = x.shape
            heads = attention.num_heads
            q, k, v = attention.qkv(x).reshape(b, h * w, 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
            rel_h = image_encoder.get_rel_pos(h, h, attention.rel_pos_h)
            rel_w = image_encoder.get_rel_pos(w, w, attention.rel_pos_w)
            r_q = q.reshape(b * heads, h, w, -1)
            bias = (
                torch.einsum("bhwc,hkc->bhwk", r_q, rel_h)[..., None]
                + torch.einsum("bhwc,wkc->bhwk", r_q, rel_w)[..., None, :]
            )
            y = torch.nn.functional.scaled_dot_product_attention(
                q, k, v, attn_mask=bias.reshape(b, heads, h * w, h * w)
            )
            return attention.proj(y.transpose(1, 2).reshape(b, h, w, c))

        for block in self.sam.image_encoder.blocks:
            block.attn.forward = forward.__get__(block.attn)

    def decode(self):
        points = torch.rand(PROMPTS, 1, 2, device="cuda") * 1024
        labels = torch.ones(PROMPTS, 1, device="cuda", dtype=torch.int)
        with torch.autocast("cuda", torch.bfloat16):
            sparse, dense = self.sam.prompt_encoder(points=(points, labels), boxes=None, masks=None)
            return self.sam.mask_decoder(
                image_embeddings=self.embedding,
                image_pe=self.sam.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
            )


class Transformers:
    """The same shapes from transformers."""

    def __init__(self, name, form, _folder):
        from transformers import SamConfig, SamModel

        self.source = "transformers"
        dim, depth, heads, indexes = SHAPES[name]
        config = SamConfig(
            vision_config={
                "hidden_size": dim,
                "num_hidden_layers": depth,
                "num_attention_heads": heads,
                "mlp_dim": 4 * dim,
                "global_attn_indexes": list(indexes),
                "window_size": 14,
                "use_rel_pos": True,
            }
        )
        self.sam = (
            SamModel._from_config(config, attn_implementation="eager" if form == "eager" else "sdpa")
            .eval()
            .to("cuda", torch.bfloat16)
        )
        encode = self.sam.get_image_embeddings
        self.encode = torch.compile(encode) if form == "compiled" else encode
        self.embedding = torch.randn(1, 256, 64, 64, device="cuda", dtype=torch.bfloat16)

    def decode(self):
        points = torch.rand(1, PROMPTS, 1, 2, device="cuda", dtype=torch.bfloat16) * 1024
        return self.sam(
            image_embeddings=self.embedding,
            input_points=points,
            input_labels=torch.ones(1, PROMPTS, 1, device="cuda", dtype=torch.long),
            multimask_output=True,
        )


def seconds_of(run, least=3.0):
    """Median of a run, the device's work included."""
    run()
    torch.cuda.synchronize()
    times, begun = [], time.perf_counter()
    while len(times) < 5 or (time.perf_counter() - begun < least and len(times) < 200):
        start = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", required=True)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--seconds", type=float, default=200)
    options = parser.parse_args()
    end = time.monotonic() + options.seconds
    try:
        import segment_anything  # noqa: F401

        modules = Original
    except Exception:  # pylint: disable=broad-except  # packages that do not fit each other raise anything
        try:
            import transformers  # noqa: F401

            modules = Transformers
        except Exception as error:  # pylint: disable=broad-except
            skip(f"neither segment_anything nor transformers can be imported ({error})")

    def note(**row):
        print(row, flush=True)
        with open(options.json, "a") as file:
            file.write(json.dumps(row, separators=(",", ":")) + "\n")

    def measure(model, form, unit, batch, run, count):
        torch.cuda.reset_peak_memory_stats()
        row = {
            "model": model,
            "precision": "bf16",
            "form": form,
            "torch": torch.__version__,
            "unit": unit,
            "batch": batch,
        }
        try:
            seconds = seconds_of(run)
            note(
                **row,
                status="ok",
                ms=1e3 * seconds / count,
                per_second=count / seconds,
                peak_bytes=torch.cuda.max_memory_allocated(),
            )
        except RuntimeError as error:  # out of memory, an operator that is not there: the next may do
            note(**row, status="failed", why=str(error).splitlines()[0][:200])

    failed = 0
    for form in ("sdpa", "eager", "compiled"):
        for name in SHAPES:
            if time.monotonic() > end:
                print(f"no time left for {name} {form}")
                continue
            try:
                sam = modules(name, form, options.models)
            except Exception as error:  # pylint: disable=broad-except  # another version of the modules: say so, go on
                note(
                    model=name,
                    precision="bf16",
                    form=form,
                    status="failed",
                    why=f"{type(error).__name__}: {error}"[:200],
                )
                failed += 1
                continue
            label = f"{sam.source} {form}"
            with torch.inference_mode():
                for batch in BATCHES:
                    if time.monotonic() < end:
                        images = torch.randn(batch, 3, 1024, 1024, device="cuda", dtype=torch.bfloat16)
                        measure(name, label, "images", batch, lambda images=images: sam.encode(images), batch)
                if form != "compiled" and time.monotonic() < end:
                    measure(name, label, "prompts", PROMPTS, sam.decode, PROMPTS)
            del sam
            torch.cuda.empty_cache()
    sys.exit(1 if failed == 3 * len(SHAPES) else 0)


if __name__ == "__main__":
    main()
