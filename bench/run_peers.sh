#!/bin/sh
# samc beside its peers on the same machine, image, weights and thread count, in turn: PyTorch (segment_anything), ONNX
# Runtime and OpenVINO, in f32; with --precision bf16 or int8 OpenVINO in these too (int8 by NNCF). --no-tiles takes AMX
# from all of them. --model families: a model of each family, by its own package, and one table. Needs a Python with
# torch, torchvision, segment-anything, onnx, onnxruntime, openvino and nncf from PyPI, for other families
# segment-anything-hq, mobilesam-mirror, efficientsam and timm:
#
#     python3 -m venv peers
#     peers/bin/pip install torch torchvision segment-anything onnx onnxscript onnxruntime openvino nncf pycocotools \
#         "pillow<12.2"
#     PYTHON=peers/bin/python bench/run_peers.sh [--model vit_b|families|FILE] [--precision f32|bf16|int8] \
#         [--threads N] [--runs N] [--stages encoder,decoder,auto] [--no-tiles]
set -eu
cd "$(dirname "$0")/.."
if ! [ -x build/release/bin/samc ]; then
    tools/setup.sh
    cmake --preset release -DSAMC_TESTS=OFF >/dev/null
    cmake --build --preset release
fi
exec "${PYTHON:-python3}" bench/peers.py --samc build/release/bin/samc "$@"
