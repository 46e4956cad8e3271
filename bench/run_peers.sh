#!/bin/sh
# samc beside its peers on the same machine, image, weights and thread count, in turn: PyTorch (segment_anything), ONNX
# Runtime and OpenVINO. Needs a Python with torch, torchvision, segment-anything, onnx, onnxruntime and openvino from
# PyPI:
#
#     python3 -m venv peers
#     peers/bin/pip install torch torchvision segment-anything onnx onnxscript onnxruntime openvino pycocotools \
#         "pillow<12.2"
#     PYTHON=peers/bin/python bench/run_peers.sh [--model vit_b|FILE] [--threads N] [--runs N] \
#         [--stages encoder,decoder,auto]
set -eu
cd "$(dirname "$0")/.."
if ! [ -x build/release/bin/samc ]; then
    tools/setup.sh
    cmake --preset release -DSAMC_TESTS=OFF >/dev/null
    cmake --build --preset release
fi
exec "${PYTHON:-python3}" bench/peers.py --samc build/release/bin/samc "$@"
