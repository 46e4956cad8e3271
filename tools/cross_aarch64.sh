#!/bin/bash
# aarch64 without such a machine: `tools/cross_aarch64.sh` builds samc with Debian's cross compiler in build/aarch64 and
# runs it under qemu-user: operator checks of NEON and in 16 bits of BF16, parity on the golden data, products of 8 bits
# by sdot and usmmla, and one segmented photograph against what SAMC (build/release/bin/samc) says. Installs compiler
# and emulator where they are missing; the libraries for arm64 are downloaded (26 MB, by package lists of their own) and
# unpacked into build/aarch64/sysroot, so that the machine's own packages stay as they are. Two minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$PWD/build/aarch64 sysroot=$PWD/build/aarch64/sysroot native=${SAMC:-build/release/bin/samc}
programs="gcc-aarch64-linux-gnu g++-aarch64-linux-gnu qemu-user"
libraries="libc6-dev libarchive-dev zlib1g-dev libjpeg62-turbo-dev libgif-dev libstb-dev libjansson-dev libssl-dev
libutf8proc-dev"
[ -x "$native" ] || { echo "cross_aarch64.sh: no $native to compare with (SAMC names another)" >&2; exit 2; }

if ! command -v aarch64-linux-gnu-g++ >/dev/null || ! command -v qemu-aarch64 >/dev/null; then
    root=""
    [ "$(id -u)" -eq 0 ] || root=sudo
    $root apt-get -o Acquire::Retries=5 update -q
    # shellcheck disable=SC2086  # the list is split on purpose
    DEBIAN_FRONTEND=noninteractive $root apt-get -o Acquire::Retries=5 install -y -q --no-install-recommends $programs
fi

if [ "$(cat "$sysroot/libraries" 2>/dev/null)" != "$libraries" ]; then
    rm -rf "$sysroot" "$build/apt"
    mkdir -p "$sysroot" "$build/apt/lists/partial" "$build/apt/archives/partial"
    key="signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"
    # shellcheck disable=SC1091
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    printf "deb [arch=arm64 $key] http://deb.debian.org/%s main\n" \
        "debian $release" "debian-security $release-security" >"$build/apt/sources.list"
    : >"$build/apt/status"
    get="apt-get -q -o Acquire::Retries=5 -o APT::Architecture=arm64 -o APT::Architectures=arm64
        -o APT::Sandbox::User=$(id -un)
        -o Dir::State=$build/apt -o Dir::State::lists=$build/apt/lists -o Dir::State::status=$build/apt/status
        -o Dir::Cache=$build/apt -o Dir::Etc::sourceparts=- -o Dir::Etc::sourcelist=$build/apt/sources.list
        -o Debug::NoLocking=1"
    $get update
    # shellcheck disable=SC2086  # the list is split on purpose
    $get install -y --no-install-recommends --download-only $libraries
    for package in "$build"/apt/archives/*.deb; do dpkg-deb -x "$package" "$sysroot"; done
    rm -rf "$build/apt"
    echo "$libraries" >"$sysroot/libraries"
fi

cmake -S . -B "$build" -DCMAKE_TOOLCHAIN_FILE="$PWD/tools/aarch64.cmake" -DSAMC_SYSROOT="$sysroot" -DSAMC_CUDA=OFF \
    -DSAMC_TESTS=PLAIN -DSAMC_FORMATS_OFF=ON -G Ninja >/dev/null
cmake --build "$build" --target samc-cli checkops checkops_low parity_test
emulated() { qemu-aarch64 -L "$sysroot" "$build/bin/$1" "${@:2}"; }
checked() { # NAME PROGRAM ARGUMENTS...: the last line, or all of them where it fails
    local said
    said=$(emulated "${@:2}" 2>&1) || { printf '%s failed:\n%s\n' "$1" "$said" && return 1; }
    printf '%s: %s\n' "$1" "${said##*$'\n'}"
}
export build sysroot
export -f emulated checked

# As many at a time as there are processors. Every operator of the rung: its listed cases, but where these are millions
# of exponentials as many shapes at random. Parity: weights of bf16 alone, bfmmla, and a rung of 16 bits in software.
{
    for caps in neon neon,bf16 neon,amx-soft; do
        echo "SAMC_CPU_CAPS=$caps checked 'parity in bf16, $caps'" \
            "parity_test tests/data/golden --backend cpu --precision bf16"
    done
    echo "checked parity parity_test tests/data/golden --backend cpu"
    for operator in $(sed -n 's/^SAMC_OP(\(.*\), [A-Z]*, [A-Z]*, LOW)/\1/p' kernels/list.h); do
        echo "checked '$operator in 16 bits' checkops_low --caps neon,bf16 --op $operator --random 10"
    done
    for operator in $(sed -n 's/^SAMC_OP(\(.*\), CPU, .*/\1/p' kernels/list.h); do
        shapes=""
        [ "$operator" != attention_relpos ] || shapes="--random 40"
        echo "checked $operator checkops --caps neon --op $operator $shapes"
    done
} | xargs -d '\n' -n 1 -P "$(nproc)" bash -c

# Products of 8 bits are whole numbers: the same bytes from plain C, sdot and usmmla. What a processor lacks is not
# taken.
eight="segment tools/examples/cat.jpg --point 200,150 --format rle --model weights/samc-tiny.safetensors -q"
for caps in neon neon,dotprod neon,i8mm; do
    # shellcheck disable=SC2086  # words
    SAMC_CPU_CAPS=$caps emulated samc $eight --precision int8 >"$build/${caps#neon,}.json"
done
cmp "$build/neon.json" "$build/dotprod.json" && cmp "$build/neon.json" "$build/i8mm.json"
for cpu in cortex-a57 cortex-a76 max; do
    printf '%s: ' "$cpu"
    qemu-aarch64 -cpu "$cpu" -L "$sysroot" "$build/bin/samc" info --json --precision int8 \
        --model weights/samc-tiny.safetensors |
        python3 -c 'import json, sys; print(json.load(sys.stdin)["model"]["arithmetic"])'
done

segment="segment tools/examples/cat.jpg --point 200,150 --format rle --model weights/samc-tiny.safetensors -q"
# shellcheck disable=SC2086  # words
emulated samc $segment >"$build/neon.json"
# shellcheck disable=SC2086  # words
"$native" $segment >"$build/native.json"
python3 - "$build/neon.json" "$build/native.json" <<'PYTHON'
import json
import sys

one, other = ([m for m in json.load(open(name))["masks"]] for name in sys.argv[1:])
assert len(one) == len(other) > 0, (len(one), len(other))
for a, b in zip(one, other):
    for score in ("predicted_iou", "stability_score"):
        assert abs(a[score] - b[score]) < 1e-4, (score, a[score], b[score])
    assert abs(a["area"] - b["area"]) <= 2 + b["area"] / 10000, (a["area"], b["area"])
    assert all(abs(x - y) <= 1 for x, y in zip(a["bbox"], b["bbox"])), (a["bbox"], b["bbox"])
same = sum(a["rle"] == b["rle"] for a, b in zip(one, other))
print(f"segment: {len(one)} masks, {same} of them to the pixel those of the native program")
PYTHON
