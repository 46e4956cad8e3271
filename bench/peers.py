"""samc and its peers on the same work: one image through the encoder, one-point prompts through the decoder, every
mask.

Every peer gets the same weights (calibrated random ones in the official shape, or a model file), the same image, the
same number of threads, and runs in turn with the others, round after round, so that a machine whose speed drifts treats
all alike. Figures are medians; ratios are taken round by round, of the time on the wall and of the processor's. On a
machine with other work only the latter mean something, and only with --threads 1, since waiting threads spin.

    peers.py --samc build/release/bin/samc [--model vit_b[,mobile,...]|families] [--precision f32] [--threads 2]
             [--runs 5] [--stages encoder,decoder,auto] [--peers NAME,NAME] [--no-tiles] [--keep FOLDER]

Models are those of tests/parity/calibrate.py, by each family's own package; `families` stands for one of each. Of
several a table of all of them ends the run: processor seconds for an image, for a prompt, and how many times samc's.

With --precision bf16 or int8 samc runs in it, in f32 too, and beside the peers in f32 stands OpenVINO in bf16, and for
int8 OpenVINO with its encoder quantised by NNCF (weights and activations, ModelType.TRANSFORMER; its decoder and what
NNCF leaves run in bf16 where the machine has it). Beside each time is the share of the machine's measured peak of its
type, by the operations that samc needs. --no-tiles takes AMX away from everyone. --keep keeps weights, exported and
quantised graphs for the next run.
"""

import argparse
import contextlib
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


FAMILIES = ("vit_b", "hq_b", "hq_tiny", "mobile", "efficientvit_l0", "sam2_tiny")


class Encoder(torch.nn.Module):
    """The image's features: its embedding, of SAM-HQ the early feature too, of SAM 2 both finer levels."""

    def __init__(self, sam):
        super().__init__()
        self.encoder = sam.image_encoder
        self.sam2 = sam if is_sam2(sam) else None
        self.eval()  # an export puts its module back into the mode that it found

    def forward(self, pixels):
        if self.sam2 is not None:
            *finer, embedding = self.sam2.forward_image(pixels)["backbone_fpn"]
            return embedding + self.sam2.no_mem_embed.reshape(1, -1, 1, 1), *finer
        features = self.encoder(pixels)
        return (features[0], features[1][0]) if isinstance(features, tuple) else (features,)


class Decoder(torch.nn.Module):
    """Prompt encoder and mask decoder for one-point prompts: features and points [P, 1, 2] -> low-res logits [P, masks,
    h, w], IoU [P, masks].
    """

    def __init__(self, sam):
        super().__init__()
        self.sam = sam
        self.eval()  # or its export would leave everything in training, batch norms of the encoder too

    def forward(self, *inputs):
        if is_sam2(self.sam):
            return self.of_sam2(*inputs)
        prompt, decoder = self.sam.prompt_encoder, self.sam.mask_decoder
        embedding, *early, points = inputs
        labels = torch.ones(points.shape[:2], dtype=torch.int64)
        sparse, dense = prompt((points, labels), None, None)
        return decoder(
            image_embeddings=embedding,
            image_pe=prompt.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            **({"hq_token_only": False, "interm_embeddings": early} if early else {}),
        )

    def of_sam2(self, embedding, *rest):
        """Of SAM2Base, whose heads are named otherwise; all masks, as samc's decoder makes them."""
        *finer, points = rest
        prompt, labels = self.sam.sam_prompt_encoder, torch.ones(points.shape[:2], dtype=torch.int64)
        sparse, dense = prompt((points, labels), None, None)
        return self.sam.sam_mask_decoder(
            image_embeddings=embedding,
            image_pe=prompt.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=True,
            repeat_image=True,
            high_res_features=finer,
        )[:2]


def is_sam2(sam):
    return hasattr(sam, "sam_mask_decoder")


def pixels_of(sam):
    """An image as the encoder takes it."""
    if is_sam2(sam):
        return torch.randn(1, 3, sam.image_size, sam.image_size, generator=torch.Generator().manual_seed(1))
    side = sam.image_size[1] if hasattr(sam, "image_size") else sam.image_encoder.img_size
    return torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(1))


class Torch:
    name, type = "PyTorch", "f32"

    def __init__(self, sam, threads, folder):
        torch.set_num_threads(threads)
        self.encode, self.decode = Encoder(sam), Decoder(sam)

    @staticmethod
    def version():
        return torch.__version__

    @torch.no_grad()
    def encoder(self, pixels):
        return [feature.numpy() for feature in self.encode(pixels)]

    @torch.no_grad()
    def decoder(self, *inputs):
        return [self.decode(*map(torch.from_numpy, inputs))[0].numpy()]


class Onnx:
    """What the two runtimes share: the exported graphs."""

    @staticmethod
    def export(sam, folder):
        pixels = pixels_of(sam)
        paths = [str(Path(folder) / name) for name in ("encoder.onnx", "decoder.onnx")]
        if not all(map(os.path.exists, paths)):
            with torch.no_grad():
                features = Encoder(sam)(pixels)
            names = ["embedding", "early", "finest"][: len(features)]
            for path, module, inputs, takes, gives in (
                (paths[0], Encoder(sam), (pixels,), ["pixels"], names),
                (paths[1], Decoder(sam), (*features, torch.zeros(BATCH, 1, 2)), [*names, "points"], ["logits", "iou"]),
            ):
                torch.onnx.export(
                    module, inputs, path, opset_version=17, dynamo=False, input_names=takes, output_names=gives
                )
        return paths


class OnnxRuntime(Onnx):
    name, type = "ONNX Runtime", "f32"

    @staticmethod
    def version():
        import onnxruntime

        return onnxruntime.__version__

    def __init__(self, sam, threads, folder):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        self.sessions = [
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for path in self.export(sam, folder)
        ]

    def encoder(self, pixels):
        return self.run(0, pixels.numpy())

    def decoder(self, *inputs):
        return self.run(1, *inputs)

    def run(self, which, *inputs):
        session = self.sessions[which]
        return session.run(None, {taken.name: value for taken, value in zip(session.get_inputs(), inputs)})


class OpenVino(Onnx):
    name, type = "OpenVINO f32", "f32"

    @staticmethod
    def version():
        import openvino

        return openvino.__version__

    def __init__(self, sam, threads, folder):
        import openvino

        core = openvino.Core()
        config = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        config["INFERENCE_PRECISION_HINT"] = self.hint(core)
        self.models = [core.compile_model(path, "CPU", config) for path in self.graphs(core, sam, folder)]

    def hint(self, core):
        return "f32"

    def graphs(self, core, sam, folder):
        return self.export(sam, folder)

    def encoder(self, pixels):
        return list(self.models[0]([pixels.numpy()]).values())

    def decoder(self, *inputs):
        return list(self.models[1](list(inputs)).values())


class OpenVinoBf16(OpenVino):
    name, type = "OpenVINO bf16", "bf16"

    def hint(self, core):
        if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise RuntimeError("OpenVINO says that this machine has no bf16")
        return "bf16"


class OpenVinoInt8(OpenVino):
    name, type = "OpenVINO int8", "int8"

    @staticmethod
    def version():
        import nncf

        return f"{OpenVino.version()}, NNCF {nncf.__version__}"

    def hint(self, core):
        return "bf16" if "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"

    def graphs(self, core, sam, folder):
        import nncf
        import openvino

        encoder, decoder = self.export(sam, folder)
        quantised = str(Path(folder) / "encoder_int8.xml")
        if not os.path.exists(quantised):  # the values, which it is calibrated with, do not change its speed
            shape = tuple(pixels_of(sam).shape)
            images = [np.random.default_rng(i).standard_normal(shape, np.float32) for i in range(2)]
            model = nncf.quantize(
                core.read_model(encoder), nncf.Dataset(images), model_type=nncf.ModelType.TRANSFORMER, subset_size=2
            )
            openvino.save_model(model, quantised, compress_to_fp16=False)
        return quantised, decoder


PEERS = {
    "f32": (Torch, OnnxRuntime, OpenVino),
    "bf16": (Torch, OnnxRuntime, OpenVino, OpenVinoBf16),
    "int8": (Torch, OnnxRuntime, OpenVino, OpenVinoBf16, OpenVinoInt8),
}
TILES_OFF = {  # names of SAMC_CPU_CAPS, and of oneDNN in whoever has it
    "SAMC_CPU_CAPS": "sse2,avx2,avx512,avxvnni,avx512vnni,avx512bf16",
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16",
}


def samc_bench(args, model, stage, precision):
    """One run of `samc bench`: its report. The image is resized inside, which the peers get for free."""
    command = [args.samc, "bench", "--stage", stage, "--model", model, "--precision", precision]
    command += ["--threads", str(args.threads), "--runs", "1", "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr.strip())
    return json.loads(done.stdout)


def timed(function, *arguments):
    start = time.perf_counter(), time.process_time()
    function(*arguments)
    return time.perf_counter() - start[0], time.process_time() - start[1]


def table(title, seconds, types, report, threads):
    """Prints one stage; returns it for --json. `seconds` and `types` are by name, `report` is samc's last one."""
    ours, rows, peaks = seconds["samc"], [], report["peaks"]
    flops = 1e9 * report["stages"][0]["gflops"] * report["stages"][0]["median_s"]
    print(f"\n{title}, on {report['machine']}")
    print("peak " + ", ".join(f"{t} {p['gflops']:.0f} GFLOP/s ({p['instruction']})" for t, p in peaks.items() if p))
    for name, runs in seconds.items():
        wall, used = zip(*runs)
        ratio, busy = (statistics.median(theirs[i] / mine[i] for theirs, mine in zip(runs, ours)) for i in (0, 1))
        kind = types[name] if peaks[types[name]] else "f32"  # rounded weights, f32's instructions
        rows.append(
            {
                "name": name,
                "type": types[name],
                "median_ms": 1e3 * statistics.median(wall),
                "min_ms": 1e3 * min(wall),
                "ratio": ratio,
                "processor_ms": 1e3 * statistics.median(used),
                "processor_ratio": busy,
                "share_of_peak": 1e-9 * flops / statistics.median(wall) / peaks[kind]["gflops"],
                "processor_share": 1e-9 * flops / statistics.median(used) / peaks[kind]["gflops"] * threads,
            }
        )
        print(
            f"  {name:14} wall: median {rows[-1]['median_ms']:10.2f} ms, min {rows[-1]['min_ms']:10.2f}, samc is "
            f"{ratio:6.2f}x as fast; "
            f"processor: {rows[-1]['processor_ms']:10.2f} ms, {busy:6.2f}x; "
            f"of the {kind} peak {100 * rows[-1]['share_of_peak']:.1f} % by the wall, "
            f"{100 * rows[-1]['processor_share']:.1f} % by the processor"
        )
    return {
        "title": title,
        "machine": report["machine"],
        "peak_gflops": report["peak_gflops"],
        "peaks": peaks,
        "rows": rows,
    }


def weights(args, folder):
    """(original with the weights, file of them for samc)"""
    if args.model not in calibrate.CONFIGS:
        return auto_parity.load_model(args.samc, args.model), args.model
    sam, path = calibrate.build(calibrate.CONFIGS[args.model]), Path(folder) / f"{args.model}.pth"
    if path.exists():
        sam = calibrate.load(args.model, path)
    elif args.uncalibrated:
        torch.save(sam.state_dict(), path)
    else:
        calibrate.calibrate(sam, calibrate.synthetic_image(1000, 1500, 1))
        torch.save(sam.state_dict(), path)
    return sam, str(path)


def open_peers(args, sam, folder):
    """PyTorch first, whom the others have to agree with; then those that were asked for and can run."""
    peers = [Torch(sam, args.threads, folder)]
    for kind in PEERS[args.precision][1:]:
        if not args.peers or kind.name in args.peers.split(","):
            try:
                peers.append(kind(sam, args.threads, folder))
            except (ImportError, RuntimeError) as error:
                print(f"{kind.name} is left out: {error}")
    for peer in peers:
        print(f"{peer.name}: {peer.version()}")
    return peers


def race(args, model, peers, stage, inputs, unit):
    """One stage, everyone in turn; `unit` prompts or images are one run of a peer."""
    reference = getattr(peers[0], stage)(*inputs)[0]
    for peer in peers[1:]:  # the warm-up is also the check that everyone does the same work
        error = np.abs(getattr(peer, stage)(*inputs)[0] - reference).max() / reference.std()
        print(f"{stage}: {peer.name} differs from PyTorch by at most {error:.1e} deviations")
    peers = [peer for peer in peers if not args.peers or peer.name in args.peers.split(",")]
    ours = {"samc": args.precision} | ({"samc f32": "f32"} if args.precision != "f32" else {})
    seconds = {name: [] for name in [*ours, *(peer.name for peer in peers)]}
    for _ in range(args.runs):
        for name, precision in ours.items():
            report = samc_bench(args, model, stage, precision)
            seconds[name].append([report["stages"][0][key] for key in ("median_s", "processor_s")])
        for peer in peers:
            seconds[peer.name].append([s / unit for s in timed(getattr(peer, stage), *inputs)])
    title = f"{stage}, {Path(args.model).stem}, {args.threads} threads"
    title += "" if unit == 1 else f", one prompt of {unit}"
    title += "" if args.precision == "f32" else f", {args.precision}"
    title += ", without AMX" if args.no_tiles else ""
    result = table(title, seconds, ours | {peer.name: peer.type for peer in peers}, report, args.threads)
    return result | {"versions": {peer.name: peer.version() for peer in peers}}


def one_model(args):
    """All stages that were asked for; the tables of encoder and decoder."""
    with contextlib.ExitStack() as stack:
        folder = args.keep / Path(args.model).stem if args.keep else stack.enter_context(tempfile.TemporaryDirectory())
        Path(folder).mkdir(parents=True, exist_ok=True)
        sam, model = weights(args, folder)
        pixels = pixels_of(sam)
        frame = (sam.sam_prompt_encoder if is_sam2(sam) else sam.prompt_encoder).input_image_size[0]
        points = (np.random.default_rng(1).random((BATCH, 1, 2)) * frame).astype(np.float32)
        peers = open_peers(args, sam, folder)
        stages, results = args.stages.split(","), []
        if "encoder" in stages:
            results.append(race(args, model, peers, "encoder", (pixels,), 1))
        if "decoder" in stages:
            results.append(race(args, model, peers, "decoder", (*peers[0].encoder(pixels), points), BATCH))
        if args.json:
            earlier = json.loads(args.json.read_text()) if args.json.exists() else []
            titles = {result["title"] for result in results}
            args.json.write_text(
                json.dumps([r for r in earlier if r["title"] not in titles] + results, indent=1) + "\n"
            )
        if "auto" in stages:
            command = [sys.executable, str(Path(auto_parity.__file__)), "--samc", args.samc, "--model", model]
            command += [args.image, "--threads", str(args.threads), "--case", "plain"]
            command += ["--pred-iou-thresh", "0.3", "--stability-score-thresh", "0.5"]
            print("\nevery mask, survivors of each filter: PyTorch, samc", flush=True)
            subprocess.run(command, check=False)
    return results


def summary(results):
    """One table of all models, as NOTEBOOK.md takes it."""
    rows = {}
    for model, tables in results.items():
        for stage in tables:
            for row in stage["rows"]:
                cell = f"{row['processor_ms'] / 1e3:.3g}"
                cell += "" if row["name"] == "samc" else f" ({row['processor_ratio']:.2f})"
                rows.setdefault((model, stage["title"].split(",")[0]), {})[row["name"]] = cell
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    print("\n| processor seconds (times samc's) | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for (model, stage), row in rows.items():
        what = "an image" if stage == "encoder" else "a prompt"
        print(f"| {model}, {what} | " + " | ".join(row.get(name, "") for name in names) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samc", required=True)
    parser.add_argument(
        "--model",
        default="vit_b",
        help="a model file, or names of calibrated random weights (tests/parity/calibrate.py), separated by commas; "
        f"families: {','.join(FAMILIES)}",
    )
    parser.add_argument("--uncalibrated", action="store_true", help="weights as they are made: the times are the same")
    parser.add_argument("--precision", choices=PEERS, default="f32", help="samc's")
    parser.add_argument("--peers", help="some of them by name, such as 'OpenVINO f32,OpenVINO bf16'; default: all")
    parser.add_argument("--no-tiles", action="store_true", help="without AMX, for everyone")
    parser.add_argument("--keep", type=Path, help="folder of weights and graphs, made once")
    parser.add_argument("--image", default="tools/examples/coffee.jpg")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--stages", default="encoder,decoder,auto")
    parser.add_argument("--json", type=Path, help="add the figures of encoder and decoder to this file")
    args = parser.parse_args()
    if args.no_tiles and any(os.environ.get(name) != value for name, value in TILES_OFF.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **TILES_OFF})  # before oneDNN looks
    names = FAMILIES if args.model == "families" else args.model.split(",")
    results = {}
    for args.model in names if all(name in calibrate.CONFIGS for name in names) else [args.model]:
        results[args.model] = one_model(args)
    if len(results) > 1:
        summary(results)


if __name__ == "__main__":
    main()
