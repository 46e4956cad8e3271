"""samc and its peers on the same work: one image through the encoder, one-point prompts through the decoder, every
mask.

Every peer gets the same weights (calibrated random ones in the official shape, or a model file), the same image, the
same number of threads, and runs in turn with the others, round after round, so that a machine whose speed drifts treats
all alike. Figures are medians; ratios are taken round by round, of the time on the wall and of the processor's. On a
machine with other work only the latter mean something, and only with --threads 1, since waiting threads spin.

    peers.py --samc build/release/bin/samc [--model vit_b] [--threads 2] [--runs 5] [--stages encoder,decoder,auto]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "parity"))
import auto_parity
import calibrate

warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)

BATCH = 64  # one-point prompts decoded together where the peer can


class Decoder(torch.nn.Module):
    """Prompt encoder and mask decoder for one-point prompts: points [P, 1, 2] -> low-res logits [P, 3, h, w], IoU [P,
    3].
    """

    def __init__(self, sam):
        super().__init__()
        self.sam = sam

    def forward(self, embedding, points):
        prompt, decoder = self.sam.prompt_encoder, self.sam.mask_decoder
        labels = torch.ones(points.shape[:2], dtype=torch.int64)
        sparse, dense = prompt((points, labels), None, None)
        return decoder(
            image_embeddings=embedding,
            image_pe=prompt.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
        )


class Torch:
    name = "PyTorch"

    def __init__(self, sam, threads, folder):
        torch.set_num_threads(threads)
        self.sam, self.decode = sam, Decoder(sam)

    @torch.no_grad()
    def encoder(self, pixels):
        return self.sam.image_encoder(pixels).numpy()

    @torch.no_grad()
    def decoder(self, embedding, points):
        return self.decode(torch.from_numpy(embedding), torch.from_numpy(points))[0].numpy()


class Onnx:
    """What the two runtimes share: the exported graphs."""

    @staticmethod
    def export(sam, folder):
        size = sam.image_encoder.img_size
        grid, channels = sam.prompt_encoder.image_embedding_size[0], sam.prompt_encoder.embed_dim
        paths = [str(Path(folder) / name) for name in ("encoder.onnx", "decoder.onnx")]
        if not all(map(os.path.exists, paths)):
            torch.onnx.export(
                sam.image_encoder,
                (torch.zeros(1, 3, size, size),),
                paths[0],
                opset_version=17,
                dynamo=False,
                input_names=["pixels"],
                output_names=["embedding"],
            )
            torch.onnx.export(
                Decoder(sam),
                (torch.zeros(1, channels, grid, grid), torch.zeros(BATCH, 1, 2)),
                paths[1],
                opset_version=17,
                dynamo=False,
                input_names=["embedding", "points"],
                output_names=["logits", "iou"],
            )
        return paths


class OnnxRuntime(Onnx):
    name = "ONNX Runtime"

    def __init__(self, sam, threads, folder):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.sessions = [
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for path in self.export(sam, folder)
        ]

    def encoder(self, pixels):
        return self.sessions[0].run(None, {"pixels": pixels.numpy()})[0]

    def decoder(self, embedding, points):
        return self.sessions[1].run(None, {"embedding": embedding, "points": points})[0]


class OpenVino(Onnx):
    name = "OpenVINO f32"

    def __init__(self, sam, threads, folder):
        import openvino

        core = openvino.Core()
        config = {"INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        self.models = [core.compile_model(path, "CPU", config) for path in self.export(sam, folder)]

    def encoder(self, pixels):
        return self.models[0]([pixels.numpy()])[0]

    def decoder(self, embedding, points):
        return self.models[1]([embedding, points])[0]


def samc_seconds(args, model, stage):
    """One run of `samc bench`: (wall, processor) seconds. The image is resized inside, which the peers get for free."""
    command = [
        args.samc,
        "bench",
        "--stage",
        stage,
        "--model",
        model,
        "--threads",
        str(args.threads),
        "--runs",
        "1",
        "--json",
    ]
    row = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return (row["stages"][0]["median_s"], row["stages"][0]["processor_s"]), row["peak_gflops"]


def timed(function, *arguments):
    start = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def table(title, seconds, peak):
    """Prints one stage; returns it for --json."""
    ours, rows = seconds["samc"], []
    print(f"\n{title} (peak {peak:.0f} GFLOP/s f32)")
    for name, runs in seconds.items():
        wall, used = zip(*runs)
        ratio, busy = (statistics.median(theirs[i] / mine[i] for theirs, mine in zip(runs, ours)) for i in (0, 1))
        rows.append(
            {
                "name": name,
                "median_ms": 1e3 * statistics.median(wall),
                "min_ms": 1e3 * min(wall),
                "ratio": ratio,
                "processor_ms": 1e3 * statistics.median(used),
                "processor_ratio": busy,
            }
        )
        print(
            f"  {name:14} wall: median {rows[-1]['median_ms']:10.2f} ms, min {rows[-1]['min_ms']:10.2f}, samc is "
            f"{ratio:6.2f}x as fast; "
            f"processor: {rows[-1]['processor_ms']:10.2f} ms, {busy:6.2f}x"
        )
    return {"title": title, "peak_gflops": peak, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samc", required=True)
    parser.add_argument(
        "--model", default="vit_b", help="vit_b, vit_l, vit_h (calibrated random weights) or a model file"
    )
    parser.add_argument("--image", default="tools/examples/coffee.jpg")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stages", default="encoder,decoder,auto")
    parser.add_argument("--json", type=Path, help="add the figures of encoder and decoder to this file")
    args = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        model = args.model
        if model in calibrate.CONFIGS:
            sam = calibrate.build(calibrate.CONFIGS[model])
            image = calibrate.synthetic_image(1000, 1500, 1)
            calibrate.calibrate(sam, image)
            model = str(Path(folder) / "model.pth")
            torch.save(sam.state_dict(), model)
        else:
            sam = auto_parity.load_model(args.samc, model)
        size = sam.image_encoder.img_size
        pixels = torch.randn(1, 3, size, size)
        points = (np.random.default_rng(1).random((BATCH, 1, 2)) * size).astype(np.float32)
        peers = [
            Torch(sam, args.threads, folder),
            OnnxRuntime(sam, args.threads, folder),
            OpenVino(sam, args.threads, folder),
        ]
        embedding = peers[0].encoder(pixels)
        for stage in ("encoder", "decoder"):
            if stage not in args.stages.split(","):
                continue
            inputs, unit = ((pixels,), 1) if stage == "encoder" else ((embedding, points), BATCH)
            reference = getattr(peers[0], stage)(*inputs)
            for peer in peers[1:]:  # the warm-up is also the check that everyone does the same work
                error = np.abs(getattr(peer, stage)(*inputs) - reference).max() / reference.std()
                print(f"{stage}: {peer.name} differs from PyTorch by at most {error:.1e} deviations")
            seconds = {"samc": [], **{peer.name: [] for peer in peers}}
            for _ in range(args.runs):
                mine, peak = samc_seconds(args, model, stage)
                seconds["samc"].append(mine)
                for peer in peers:
                    seconds[peer.name].append([s / unit for s in timed(getattr(peer, stage), *inputs)])
            results.append(
                table(
                    f"{stage}, {Path(args.model).stem}, {args.threads} threads"
                    + ("" if unit == 1 else f", one prompt of {unit}"),
                    seconds,
                    peak,
                )
            )
        if args.json:
            earlier = json.loads(args.json.read_text()) if args.json.exists() else []
            titles = {result["title"] for result in results}
            args.json.write_text(
                json.dumps([r for r in earlier if r["title"] not in titles] + results, indent=1) + "\n"
            )
        if "auto" in args.stages.split(","):
            command = [
                sys.executable,
                str(Path(auto_parity.__file__)),
                "--samc",
                args.samc,
                "--model",
                model,
                args.image,
                "--threads",
                str(args.threads),
                "--case",
                "plain",
                "--pred-iou-thresh",
                "0.3",
                "--stability-score-thresh",
                "0.5",
            ]
            print("\nevery mask, survivors of each filter: PyTorch, samc")
            subprocess.run(command, check=False)


if __name__ == "__main__":
    main()
