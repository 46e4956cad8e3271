#!/bin/bash
# Compiles every CUDA kernel for every architecture that samc is meant for, warnings as errors, and as PTX for later
# ones. Needs no GPU.
#
#   tools/build_all_architectures.sh [ARCH...]        default: sm_80 sm_86 sm_89 sm_90a sm_100 sm_120 compute_80
#
# CI compiles sm_80 and sm_90a with the kernels' budget (tests/emu/budget); this is for the others.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2
nvcc=${NVCC:-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc build/cuda/nvidia/cu13/bin/nvcc 2>/dev/null | head -n 1)}
[ -n "$nvcc" ] || { echo "build_all_architectures.sh: no nvcc; tools/cuda_toolkit.sh brings one" >&2; exit 2; }
[ $# -gt 0 ] || set -- sm_80 sm_86 sm_89 sm_90a sm_100 sm_120 compute_80
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

for arch in "$@"; do
    for kernel in kernels/*/cuda.cu; do
        name=$(basename "$(dirname "$kernel")")
        case $arch in
            sm_*) target="-gencode=arch=compute_${arch#sm_},code=$arch -cubin" ;;
            *) target="-arch=$arch -ptx" ;;
        esac
        warnings="-Werror all-warnings -Xcompiler -Wall,-Wextra,-Werror"
        echo "$nvcc $target -std=c++17 -O3 $warnings -I. -Iruntime -o $out/$name.$arch $kernel"
    done
done | xargs -d '\n' -P "$(nproc)" -I LINE bash -c 'LINE || { echo "does not compile: LINE" >&2; exit 1; }' || exit 1
echo "$(ls "$out" | wc -l) files compiled for $*"
