#!/bin/bash
# Everything that is asked of an NVIDIA GPU: whether every kernel and the whole engine give the reference's results, and
# how fast they are.
#
#   here: builds it into FILE, a tar.gz
#       tools/gpu_check.sh --pack FILE [--arch "80 90a"] [--jobs N] [--build DIR] [--rehearse]
#   there: runs it
#       tools/gpu_check.sh --prebuilt FILE [--out DIR] [--minutes N] [--only torch|sanitizer|OPERATOR,...]
#   both, where a GPU and a toolkit are
#       tools/gpu_check.sh [options of both]
#
# --pack needs nvcc, a C and a C++ compiler and the sources, no GPU. --prebuilt needs the driver, bash and the usual
# small programs: no compiler, no package, no network; without this script: `tar xzf FILE; bash samc-gpu-pack/run.sh
# --out DIR`. cuBLASLt, cuDNN, compute-sanitizer and PyTorch are used where they are. Results: DIR/results.json and
# DIR/summary.txt, rewritten after every stage (default build/gpu_check). Exit 1 if anything failed, 2 where it cannot
# run. --rehearse packs the same program on the host's emulation, where times mean nothing.
set -uo pipefail
pack="" prebuilt="" build="" arch="80 90a" jobs=$(nproc) rehearse=0 run_options=()
refuse() { echo "gpu_check.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case "$1" in
        --pack | --prebuilt | --build | --arch | --jobs | --out | --minutes | --only)
            [ $# -ge 2 ] || refuse "$1 needs a value"
            case "$1" in --out | --minutes | --only) run_options+=("$1" "$2") ;; *) declare "${1#--}=$2" ;; esac
            shift ;;
        --rehearse) rehearse=1 ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) refuse "unknown option $1" ;;
    esac
    shift
done
[ -z "$pack" ] || [ -z "$prebuilt" ] || refuse "--pack and --prebuilt are for two machines"

if [ -z "$prebuilt" ]; then
    start=$PWD
    cd "$(dirname "$0")/.." || exit 2
    case $pack in '' | /*) ;; *) pack=$start/$pack ;; esac
    case $build in '') build=build/gpu$([ $rehearse = 0 ] || echo _rehearsal) ;; /*) ;; *) build=$start/$build ;; esac
    mkdir -p "$build" || exit 2
    first_of() { for name in "$@"; do command -v "$name" && break; done; }
    cc=${CC:-$(first_of cc gcc clang)} cxx=${CXX:-$(first_of c++ g++ clang++)} \
        toolkit_report="none: a rehearsal on the emulation"
    [ -n "$cc" ] && [ -n "$cxx" ] || refuse "needs a C and a C++ compiler"
    if [ $rehearse = 0 ]; then
        # shellcheck source=tests/gpu/toolkit.sh
        . tests/gpu/toolkit.sh
        find_toolkit || refuse "$toolkit_report"
    fi
    echo "toolkit: $toolkit_report"
    # shellcheck source=tests/gpu/compile.sh
    . tests/gpu/compile.sh
    build_program || refuse "the program was not built"
    tree=$build/pack/samc-gpu-pack
    rm -rf "$build/pack"
    mkdir -p "$tree/golden" || exit 2
    cp "$build/samc-gpu" tests/gpu/run.sh tests/gpu/summary.sh tests/gpu/torch_speed.py "$tree" &&
        cp tests/data/golden/*.safetensors "$tree/golden" || exit 2
    [ $rehearse = 1 ] || cp weights/samc-tiny.safetensors "$tree" || exit 2
    commit=$(git describe --always --dirty --abbrev=40 2>/dev/null || echo unknown)
    printf 'rehearsal %s\ncommit %s\narch %s\ntoolkit %s\n' $rehearse "$commit" "${code// /,}" "$toolkit_report" \
        >"$tree/about"
    prebuilt=${pack:-$build/pack.tar.gz}
    tar -czf "$prebuilt.new" -C "$build/pack" samc-gpu-pack 2>/dev/null && mv "$prebuilt.new" "$prebuilt" ||
        refuse "$prebuilt cannot be written"
    bytes=$(stat -c %s "$build/samc-gpu") packed=$(gzip -c "$build/samc-gpu" | wc -c)
    glibc=$(objdump -T "$build/samc-gpu" 2>/dev/null | grep -o 'GLIBC_[0-9.]*' | sort -V | tail -n 1)
    echo "samc-gpu: $bytes bytes, $packed gzipped; $prebuilt: $(stat -c %s "$prebuilt") bytes"
    echo "needs glibc ${glibc#GLIBC_} or later"
    [ -n "$pack" ] && exit 0
    case " ${run_options[*]-} " in *" --out "*) ;; *) run_options+=(--out "$PWD/build/gpu_check") ;; esac
    prebuilt=$(realpath "$prebuilt")
    cd "$start" || exit 2 # what the other options name lies there
fi

[ -r "$prebuilt" ] || refuse "$prebuilt cannot be read"
place=$(mktemp -d "${TMPDIR:-/tmp}/samc_gpu.XXXXXX") || exit 2
trap 'rm -rf "$place"' EXIT
tar -xzf "$prebuilt" -C "$place" 2>/dev/null && [ -x "$place/samc-gpu-pack/samc-gpu" ] ||
    refuse "$prebuilt is not what --pack makes"
bash "$place/samc-gpu-pack/run.sh" "${run_options[@]}"
