#!/bin/sh
# Installs what is missing, builds samc and passes the tests: `tools/test.sh` all of them, `tools/test.sh TIER` one
# tier: style, quick (two minutes), full, cuda or mutations. Options of CMake may follow; with
# -DSAMC_EMU_PTX=OFF nvcc is not fetched, and the source of CUDA kernels is tested, but not their PTX.
set -eu
cd "$(dirname "$0")/.."
tier=${1:-all}
[ $# = 0 ] || shift
case "$tier" in
    all | style | quick | full | cuda | mutations) ;;
    *) echo "test.sh: no tier '$tier' (style, quick, full, cuda, mutations)" >&2; exit 2 ;;
esac
tools/setup.sh test
case "$tier" in all | style) tools/check_style.sh ;; esac
[ "$tier" != style ] || exit 0
case " $* " in
    *" -DSAMC_EMU_PTX=OFF "*) ;;
    *) tools/cuda_toolkit.sh || echo "test.sh: without nvcc the source of CUDA kernels is tested, their PTX is not" ;;
esac
cmake --preset release -DSAMC_TESTS=ON "$@"
cmake --build --preset release
[ "$tier" = all ] || set -- -L "$tier"
[ "$tier" != all ] || set --
ctest --test-dir build/release --output-on-failure --parallel "$(nproc)" "$@"
