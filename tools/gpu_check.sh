#!/bin/bash
# The one command for a machine with an NVIDIA GPU: builds samc for it, checks every kernel and the whole engine against the references,
# measures how fast they are, and writes one file of results after every stage, so that a run that is cut short keeps what it has.
#
#   tools/gpu_check.sh [--minutes N] [--out DIR] [--build DIR] [--arch sm_NN] [--jobs N] [--only OPERATOR,...] [--build-only] [--rehearse]
#
# Needs nvcc, a C and a C++ compiler and the sources; no network, no CMake, no other library. cuBLASLt, cuDNN, compute-sanitizer and PyTorch
# are used where they are. Results: DIR/results.json and DIR/summary.txt (default build/gpu_check). Every stage is a process of its own
# under a timeout: what fails or hangs is recorded and the next goes on; what matters most comes first. Exit 1 if anything failed.
# --only: these operators' kernels and nothing else. --rehearse runs all of it on the host's emulation, where times mean nothing.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 2

minutes=10 out=build/gpu_check build=build/gpu arch="" jobs=$(nproc) only="" build_only=0 rehearse=0
while [ $# -gt 0 ]; do
    case "$1" in
        --minutes | --out | --build | --arch | --jobs | --only)
            [ $# -ge 2 ] || { echo "gpu_check.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        --build-only) build_only=1 ;;
        --rehearse) rehearse=1 ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "gpu_check.sh: unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
case "$minutes" in '' | *[!0-9]* | 0) echo "gpu_check.sh: --minutes needs a whole number above 0" >&2; exit 2 ;; esac
mkdir -p "$out" "$build" || exit 2
parts=$build/parts
rm -rf "$parts" "$out/results.json" "$out/summary.txt"
mkdir -p "$parts"
log=$out/log.txt
: >"$log"
first_of() { for name in "$@"; do command -v "$name" && break; done; }
cc=${CC:-$(first_of cc gcc clang)} cxx=${CXX:-$(first_of c++ g++ clang++)} toolkit_report=""
[ -n "$cc" ] && [ -n "$cxx" ] || { echo "gpu_check.sh: needs a C and a C++ compiler" >&2; exit 2; }
left() { echo $((minutes * 60 - SECONDS)); }
say() { printf '%4d s  %s\n' "$SECONDS" "$*" | tee -a "$log"; }
quote() { printf '"%s"' "$(tr -cd '\40-\176\n' | tr '\n' ' ' | sed 's/[\\"]/\\&/g; s/ *$//')"; }
failed() { grep -qE '"status":"(failed|stopped)' "$parts/stages.jsonl" 2>/dev/null; }

# ---- results: one object, rewritten after every stage from the parts that stages leave ---------------------------------------
write_results() {
    local kind new=$out/results.json.$BASHPID
    {
        printf '{"samc_gpu_check":1,"commit":%s,"rehearsal":%s,"arch":"%s","toolkit":%s,"seconds":%d,"failed":%s,\n"device":' \
            "$({ git rev-parse HEAD 2>/dev/null || echo unknown; } | quote)" "$([ $rehearse = 1 ] && echo true || echo false)" "$arch" \
            "$(echo "$toolkit_report" | quote)" "$SECONDS" "$(failed && echo true || echo false)"
        if [ -s "$parts/device.json" ]; then cat "$parts/device.json"; else echo null; fi
        for kind in stages checks runs times torch; do # lines cut short by a kill are left out
            printf ',"%s":[\n' "$kind"
            grep -h '^{.*}$' "$parts/$kind.jsonl" 2>/dev/null | sed '$!s/$/,/'
            printf ']'
        done
        printf '}\n'
    } >"$new" && mv "$new" "$out/results.json"
}

# note NAME STATUS SECONDS END: a line about a stage.
note() { printf '{"stage":"%s","status":"%s","seconds":%d,"end":%s}\n' "$1" "$2" "$3" "$4" >>"$parts/stages.jsonl"; }

# stage NAME SECONDS COMMAND...: runs it under a timeout of at most what is left; records how it ended and the end of what it said.
stage() {
    local name=$1 limit=$2 begin=$SECONDS status=0 state=ok output=$build/stage.$BASHPID.log
    shift 2
    [ "$(left)" -lt "$limit" ] && limit=$(left)
    if [ "$limit" -le 2 ]; then
        state="no time left"
        : >"$output"
    else
        timeout -k 5 "$limit" "$@" >"$output" 2>&1 || status=$?
        case $status in 0) ;; 77) state=skipped ;; 124 | 137) state="stopped after $limit s" ;; *) state="failed ($status)" ;; esac
    fi
    { echo "== $name"; cat "$output"; } >>"$log"
    note "$name" "$state" $((SECONDS - begin)) "$(tail -n 3 "$output" | cut -c 1-300 | quote)"
    say "$name: $state"
    write_results
    [ "$state" = ok ]
}

# ---- toolkit and build: every file by itself, so that one that fails costs its operator alone --------------------------------
if [ $rehearse = 1 ]; then
    arch=host toolkit_report="none: a rehearsal on the emulation"
else
    # shellcheck source=tests/gpu/toolkit.sh
    . tests/gpu/toolkit.sh
    find_toolkit "$arch" || {
        note toolkit "failed (1)" "$SECONDS" "$(echo "$toolkit_report" | quote)"
        write_results
        echo "gpu_check.sh: $toolkit_report" >&2
        exit 2
    }
    say "toolkit: $toolkit_report"
fi
# shellcheck source=tests/gpu/compile.sh
. tests/gpu/compile.sh
stage build $((minutes * 36)) bash -c compile_all
[ $build_only = 1 ] && { failed && exit 1; exit 0; }

# ---- the device, then every operator's quick cases ---------------------------------------------------------------------------
small=""
[ $rehearse = 1 ] && small="1 1"
# shellcheck disable=SC2016,SC2086
stage device 60 bash -c '"$0/device_report" $2 >"$1/device.json"; status=$?; cat "$1/device.json"; exit $status' "$build" "$parts" "$small" ||
    rm -f "$parts/device.json"
write_results
if [ $rehearse = 0 ] && command -v nvidia-smi >/dev/null; then
    stage driver 20 nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit,memory.total --format=csv
fi

# Models and the reference's results are made on the processors meanwhile.
engine=$build/end_to_end models=$build golden=tests/data/golden
if [ $rehearse = 0 ]; then
    # 2.6 GB of ViT-H: in memory where there is much of it.
    [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 8000000 ] 2>/dev/null && models=$(mktemp -d /dev/shm/samc_gpu_check.XXXXXX)
    memory=$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
    names="vit_b" # more where they fit
    [ "${memory:-0}" -ge 16 ] && names="vit_b vit_h"
    oracle="--backend cpu" sizes="--size 1500x1000 --points 8" precisions="bf16 f32 f16"
    shape_of() { echo "$1"; }
else
    names=tiny oracle="--backend ref" sizes="--size 61x43 --points 2" precisions="bf16"
    shape_of() { echo $golden/tiny.safetensors; }
fi
prepare() {
    local name
    for name in $names; do
        # shellcheck disable=SC2086
        nice timeout 300 "$engine" weights "$(shape_of "$name")" "$models/$name.safetensors.new" $oracle &&
            mv "$models/$name.safetensors.new" "$models/$name.safetensors" &&
            nice timeout 300 "$engine" oracle "$models/$name.safetensors" "$models/$name.oracle.new" $oracle $sizes &&
            mv "$models/$name.oracle.new" "$models/$name.oracle"
    done
}
preparing=""
if [ -x "$engine" ]; then
    prepare >"$build/prepare.log" 2>&1 &
    preparing=$!
fi
leave() {
    if [ -n "$preparing" ]; then # the program it runs, then itself
        for child in $(cat "/proc/$preparing/task/$preparing/children" 2>/dev/null); do kill "$child" 2>/dev/null; done
        kill "$preparing" 2>/dev/null
    fi
    [ "$models" = "$build" ] || rm -rf "$models"
}
trap leave EXIT
# ready FILE COMMAND...: runs the command when the file is there.
ready() {
    local file=$1
    shift
    while [ ! -e "$file" ]; do
        kill -0 "$preparing" 2>/dev/null || { tail -n 3 "$build/prepare.log"; return 1; }
        sleep 0.2
    done
    "$@"
}
export -f ready
export preparing build

# each KIND SECONDS TOGETHER ARGUMENTS...: the checks of every operator, TOGETHER at a time, their cases' lines into KIND.jsonl.
each() {
    local kind=$1 limit=$2 together=$3 name running=0
    shift 3
    for name in $operators; do
        [ -x "$build/test_$name" ] || continue
        if [ "$together" = 1 ]; then
            stage "$kind $name" "$limit" "$build/test_$name" "$@" --json "$parts/$kind.jsonl"
            continue
        fi
        stage "$kind $name" "$limit" "$build/test_$name" "$@" --json "$parts/$kind.jsonl" &
        running=$((running + 1))
        [ $((running % together)) = 0 ] && wait_stages
    done
    wait_stages
}
# All of this shell's children but the one that prepares.
wait_stages() {
    local child
    for child in $(jobs -p); do [ "$child" = "$preparing" ] || wait "$child"; done
}
if [ $rehearse = 0 ]; then each checks 60 4 --tier 0 --repeat 3 --case-seconds 20; else each checks 300 1 --tier 0 --case-seconds 30; fi

# ---- the whole engine: the golden suite of the original's results, then SAM's shapes against the reference path ----------------
if [ -x "$build/parity_test" ]; then
    for precision in $precisions; do
        stage "golden $precision" 90 "$build/parity_test" $golden --backend cuda --precision "$precision"
    done
fi
# compare NAME PRECISION; speed NAME FILE PRECISION ARGUMENTS...
compare() {
    # shellcheck disable=SC2086
    stage "parity $1 $2" 120 bash -c 'ready "$@"' ready "$models/$1.oracle" "$engine" parity "$models/$1.safetensors" "$models/$1.oracle" --name "$1" --precision "$2" \
        $sizes --json "$parts/runs.jsonl"
}
speed() {
    local name=$1 file=$2 precision=$3
    shift 3
    stage "speed $name $precision" 150 bash -c 'ready "$@"' ready "$file" "$engine" speed "$file" --name "$name" --precision "$precision" "$@" --json "$parts/runs.jsonl"
}
if [ -x "$engine" ] && [ $rehearse = 1 ]; then
    compare tiny f16
    speed tiny "$models/tiny.safetensors" bf16 --size 61x43 --points 2 --batches 1,2 --seconds 0
elif [ -x "$engine" ]; then
    photograph="--size 2250x1500 --points 32"
    # shellcheck disable=SC2086
    {
        compare vit_b bf16
        # The figures to come want a quiet processor, but not at any price.
        stage models 90 bash -c 'while kill -0 "$0" 2>/dev/null; do sleep 0.2; done' "$preparing"
        speed vit_b "$models/vit_b.safetensors" bf16 $photograph
        [ "$names" = vit_b ] || { speed vit_h "$models/vit_h.safetensors" bf16 $photograph; compare vit_h bf16; }
        for name in $names; do for precision in f32 f16; do compare "$name" $precision; done; done
        speed samc-tiny weights/samc-tiny.safetensors bf16 $photograph --seconds 1
    }
fi

# ---- kernels by themselves, against the roofline; PyTorch; compute-sanitizer ---------------------------------------------------
if [ -x "$build/libraries_test" ]; then
    # shellcheck disable=SC2046
    stage libraries 90 "$build/libraries_test" --json "$parts/times.jsonl" $([ $rehearse = 1 ] && echo --small)
fi
if [ $rehearse = 0 ]; then each times 90 1 --from-tier 1 --tier 2 --time --case-seconds 40; else each times 300 1 --tier 0 --time --rough --case-seconds 30; fi
[ -n "$only" ] || stage torch 240 "${PYTHON:-python3}" tests/gpu/torch_speed.py --json "$parts/torch.jsonl" --models "$models" --seconds 220
if [ $rehearse = 0 ]; then
    sanitizer=$(command -v compute-sanitizer || echo "$(dirname "$nvcc")/compute-sanitizer")
    for tool in memcheck racecheck; do
        [ -x "$sanitizer" ] || { note "$tool" skipped 0 '"no compute-sanitizer"'; continue; }
        for name in $operators; do
            [ -x "$build/test_$name" ] && stage "$tool $name" 60 "$sanitizer" --tool $tool --error-exitcode 4 "$build/test_$name" --direct --exact --tier 0
        done
    done
fi

bash tests/gpu/summary.sh "$parts" "$SECONDS" | tee "$out/summary.txt"
write_results
failed && exit 1
exit 0
