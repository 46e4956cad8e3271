#!/bin/sh
# Brings from PyPI what this machine lacks of CUDA's command-line tools, so that kernels are compiled and their PTX is
# run in the tests without an installed toolkit: nvcc 13.0 with its headers (100 MB), and nvdisasm, which toolkits come
# without at times.
#
#   tools/cuda_toolkit.sh [--own]        into build/cuda; --own: nvcc too where one is installed
#
# Does nothing when all is there. Prints the folder of the programs. Needs python3 with pip.
set -eu
cd "$(dirname "$0")/.."
own=0
case "${1:-}" in
    --own) own=1 ;;
    "") ;;
    *) echo "cuda_toolkit.sh: unknown option '$1'" >&2; exit 2 ;;
esac

bin=build/cuda/nvidia/cu13/bin
wanted=""
if [ $own = 1 ] || ! { command -v nvcc || [ -x /usr/local/cuda/bin/nvcc ]; } >/dev/null; then
    [ -x $bin/nvcc ] || wanted="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-cuda-runtime==13.0.96 \
nvidia-cuda-cccl==13.0.85 nvidia-nvvm==13.0.88"
fi
# The disassembler is not there for 13.0; a later one reads the same files.
if ! { command -v nvdisasm || [ -x /usr/local/cuda/bin/nvdisasm ] || [ -x $bin/nvdisasm ]; } >/dev/null; then
    wanted="$wanted nvidia-cuda-nvdisasm==13.2.51"
fi
if [ -n "$wanted" ]; then
    command -v python3 >/dev/null && python3 -m pip --version >/dev/null 2>&1 ||
        { echo "cuda_toolkit.sh: needs python3 with pip" >&2; exit 1; }
    echo "fetching into build/cuda:$wanted" >&2
    mkdir -p build/cuda
    # shellcheck disable=SC2086  # the list is split on purpose
    python3 -m pip install -q --retries 10 --no-deps --upgrade --target build/cuda $wanted >&2
fi
# The plain name that installed toolkits have and CMake looks for.
[ ! -e build/cuda/nvidia/cu13/lib/libcudart.so.13 ] || ln -sf libcudart.so.13 build/cuda/nvidia/cu13/lib/libcudart.so
echo "$PWD/$bin"
