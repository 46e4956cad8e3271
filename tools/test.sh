#!/bin/sh
# Installs what is missing, builds samc and passes the tests. `tools/test.sh quick` runs the quick tier only.
set -eu
cd "$(dirname "$0")/.."
tools/setup.sh test
tools/cuda_toolkit.sh || echo "test.sh: without nvcc the source of CUDA kernels is tested, their PTX is not"
tools/check_style.sh
cmake --preset release -DSAMC_TESTS=ON
cmake --build --preset release
if [ "${1:-}" = quick ]; then
    ctest --test-dir build/release --output-on-failure -L quick
else
    ctest --test-dir build/release --output-on-failure --parallel "$(nproc)"
fi
