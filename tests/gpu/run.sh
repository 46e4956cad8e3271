#!/bin/bash
# Runs what tools/gpu_check.sh --pack has packed, from the folder that this file lies in: see there.
#
#   bash run.sh [--out DIR] [--minutes N] [--only torch|sanitizer|OPERATOR,...]
#
# Every stage is a process of its own under a timeout: what fails or hangs is recorded and the next goes on; what
# matters most comes first.
# --only: these alone, added to the results that DIR has; torch is run only when asked for.
set -uo pipefail
minutes=10 out=build/gpu_check only=""
while [ $# -gt 0 ]; do
    case "$1" in
        --minutes | --out | --only)
            [ $# -ge 2 ] || { echo "gpu_check: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift ;;
        *) echo "gpu_check: unknown option $1" >&2; exit 2 ;;
    esac
    shift
done
case "$minutes" in '' | *[!0-9]* | 0) echo "gpu_check: --minutes needs a whole number above 0" >&2; exit 2 ;; esac
here=$(cd "$(dirname "$0")" && pwd) program=$here/samc-gpu
about() { sed -n "s/^$1 //p" "$here/about"; }
rehearse=$(about rehearsal)

# ---- the device, or one line that says why there is none ------------------------------------------
if ! hello=$("$program" hello 2>&1); then
    for folder in /usr/local/cuda*/compat; do # a newer driver's library for an older driver
        [ -d "$folder" ] && LD_LIBRARY_PATH=$folder:${LD_LIBRARY_PATH:-} "$program" hello >/dev/null 2>&1 &&
            export LD_LIBRARY_PATH=$folder:${LD_LIBRARY_PATH:-} && break
    done
    hello=$("$program" hello 2>&1) || { echo "gpu_check: $(echo "$hello" | tail -n 1)" >&2; exit 2; }
fi
operators=$("$program" check --list | tr '\n' ' ')
for word in ${only//,/ }; do
    case " torch sanitizer $operators" in
        *" $word "*) ;;
        *) echo "gpu_check: --only knows torch, sanitizer and $operators" >&2; exit 2 ;;
    esac
done
parts=$out/parts
mkdir -p "$parts" 2>/dev/null && : >>"$out/log.txt" || { echo "gpu_check: $out cannot be written" >&2; exit 2; }
out=$(cd "$out" && pwd) parts=$out/parts log=$out/log.txt
[ -n "$only" ] || rm -f "$parts"/*.jsonl "$out/results.json" "$out/summary.txt" "$log"
work=$(mktemp -d "${TMPDIR:-/tmp}/samc_gpu_check.XXXXXX") || exit 2
left() { echo $((minutes * 60 - SECONDS)); }
say() { printf '%4d s  %s\n' "$SECONDS" "$*" | tee -a "$log"; }
quote() { printf '"%s"' "$(tr -cd '\40-\176\n' | tr '\n' ' ' | sed 's/[\\"]/\\&/g; s/ *$//')"; }
failed() { grep -qE '"status":"(failed|stopped)' "$parts/stages.jsonl" 2>/dev/null; }
say "$hello"

# Folders that may hold cuBLASLt and cuDNN: Python's packages, and toolkits that the loader does not know.
library_folders() {
    local python
    for python in python3 python; do
        command -v $python >/dev/null && timeout 20 $python -c 'import glob, os, sys
for folder in sys.path: print("\n".join(glob.glob(os.path.join(folder, "nvidia", "*", "lib"))))' 2>/dev/null
    done
    ls -d /usr/local/lib/python3*/*-packages/nvidia/*/lib /opt/*/lib/python3*/site-packages/nvidia/*/lib \
        /usr/local/cuda*/lib64 2>/dev/null
}
SAMC_CUDA_LIBRARIES=${SAMC_CUDA_LIBRARIES:-}$(library_folders | awk 'NF && !seen[$0]++ { printf ":%s", $0 }')
export SAMC_CUDA_LIBRARIES
echo "cuBLASLt and cuDNN are looked for where the loader does, then in $SAMC_CUDA_LIBRARIES" >>"$log"

# ---- results: one object, rewritten after every stage from the parts that stages leave ------------
write_results() {
    local kind new=$out/new.$BASHPID
    {
        printf '{"samc_gpu_check":1,"commit":"%s","rehearsal":%s,"arch":"%s","toolkit":%s,' "$(about commit)" \
            "$([ "$rehearse" = 1 ] && echo true || echo false)" "$(about arch)" "$(about toolkit | quote)"
        printf '"seconds":%d,"failed":%s,\n"device":' "$SECONDS" "$(failed && echo true || echo false)"
        if [ -s "$parts/device.jsonl" ]; then cat "$parts/device.jsonl"; else echo null; fi
        for kind in stages checks runs times torch; do # lines cut short by a kill are left out
            printf ',"%s":[\n' "$kind"
            grep -h '^{.*}$' "$parts/$kind.jsonl" 2>/dev/null | sed '$!s/$/,/'
            printf ']'
        done
        printf '}\n'
    } >"$new" && mv "$new" "$out/results.json"
    bash "$here/summary.sh" "$parts" "$SECONDS" >"$new" && mv "$new" "$out/summary.txt"
}

# note NAME STATUS SECONDS END: a line about a stage.
note() { printf '{"stage":"%s","status":"%s","seconds":%d,"end":%s}\n' "$1" "$2" "$3" "$4" >>"$parts/stages.jsonl"; }

# stage NAME SECONDS COMMAND...: runs it under a timeout of at most what is left; records how it ended and the end of
# what it said.
stage() {
    local name=$1 limit=$2 begin=$SECONDS status=0 state=ok output=$work/stage.$BASHPID.log
    shift 2
    [ "$rehearse" = 0 ] || limit=$((limit * 5)) # beside other programs
    [ "$(left)" -lt "$limit" ] && limit=$(left)
    if [ "$limit" -le 2 ]; then
        state="no time left"
        : >"$output"
    else
        timeout -k 5 "$limit" "$@" >"$output" 2>&1 || status=$?
        case $status in
            0) ;;
            77) state=skipped ;;
            124 | 137) state="stopped after $limit s" ;;
            *) state="failed ($status)" ;;
        esac
    fi
    { echo "== $name"; cat "$output"; } >>"$log"
    note "$name" "$state" $((SECONDS - begin)) "$(tail -n 3 "$output" | cut -c 1-300 | quote)"
    say "$name: $state"
    write_results
    [ "$state" = ok ]
}

# ---- models and the reference's results are made on the processors at once ------------------------
models=$work golden=$here/golden
if [ "$rehearse" = 0 ]; then
    # 2.6 GB of ViT-H: in memory where there is much of it.
    [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)" -gt 8000000 ] 2>/dev/null &&
        models=$(mktemp -d /dev/shm/samc_gpu_check.XXXXXX)
    memory=$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
    names="vit_b" # more where they fit
    [ "${memory:-0}" -ge 16 ] && names="vit_b vit_h"
    oracle="--backend cpu" sizes="--size 1500x1000 --points 8" photograph="--size 2250x1500 --points 32" \
        tiny="$here/samc-tiny.safetensors" small=""
else
    names=tiny oracle="--backend ref" sizes="--size 61x43 --points 2" \
        photograph="--size 61x43 --points 2 --batches 1,2 --seconds 0" tiny="" small="1 1"
fi
largest=${names##* } smallest=${names%% *}
shape_of() { if [ "$1" = tiny ]; then echo "$golden/tiny.safetensors"; else echo "$1"; fi; }
prepare() {
    local name
    for name in $names; do
        # shellcheck disable=SC2086
        nice timeout 300 "$program" weights "$(shape_of "$name")" "$models/$name.safetensors.new" $oracle &&
            mv "$models/$name.safetensors.new" "$models/$name.safetensors" &&
            nice timeout 300 "$program" oracle "$models/$name.safetensors" "$models/$name.oracle.new" $oracle $sizes &&
            mv "$models/$name.oracle.new" "$models/$name.oracle"
    done
}
preparing=""
case "$only" in '' | *torch*) prepare >"$work/prepare.log" 2>&1 & preparing=$! ;; esac
leave() {
    if [ -n "$preparing" ]; then # the program it runs, then itself
        for child in $(cat "/proc/$preparing/task/$preparing/children" 2>/dev/null); do kill "$child" 2>/dev/null; done
        kill "$preparing" 2>/dev/null
    fi
    rm -rf "$work" "$models"
}
trap leave EXIT
# ready FILE COMMAND...: runs the command when the file is there.
ready() {
    local file=$1
    shift
    while [ ! -e "$file" ]; do
        kill -0 "$preparing" 2>/dev/null || { tail -n 3 "$work/prepare.log"; return 1; }
        sleep 0.2
    done
    "$@"
}
export -f ready
export preparing work

# each KIND SECONDS TOGETHER ARGUMENTS...: the checks of every operator, TOGETHER at a time, their cases' lines into
# KIND.jsonl.
each() {
    local kind=$1 limit=$2 together=$3 name running=0
    shift 3
    for name in $operators; do
        case ",$only," in ,, | *",$name,"*) ;; *) continue ;; esac
        stage "$kind $name" "$limit" "$program" check --only "$name" "$@" --json "$parts/$kind.jsonl" &
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
# engine VERB NAME FILE PRECISION SECONDS ARGUMENTS...: a stage of the whole engine, once its files are there.
engine() {
    local verb=$1 name=$2 file=$3 precision=$4 limit=$5
    shift 5
    stage "$verb $name $precision" "$limit" bash -c 'ready "$@"' ready "$file" "$program" "$verb" \
        "$models/$name.safetensors" "$@" --name "$name" \
        --precision "$precision" --json "$parts/runs.jsonl"
}
# shellcheck disable=SC2086
compare() { engine parity "$1" "$models/$1.oracle" "$2" 120 "$models/$1.oracle" $sizes; }

# ---- what matters most comes first
# ------------------------------------------------------------------------------------------------ What is run again
# replaces what was there, and nothing else. without KIND PATTERN: drops these lines, but for the libraries' calls.
without() {
    [ -e "$parts/$1.jsonl" ] || return 0
    awk -v pattern="$2" '$0 !~ pattern || /[(]cu(BLASLt|DNN)/' "$parts/$1.jsonl" >"$work/kept" &&
        mv "$work/kept" "$parts/$1.jsonl"
}
for word in ${only//,/ }; do
    case $word in
        torch) without stages '"stage":"(models|torch)"'; rm -f "$parts/torch.jsonl" ;;
        sanitizer) without stages '"stage":"(memcheck|racecheck) ' ;;
        *) without stages "\"stage\":\"(checks|times) $word\""
            for kind in checks times; do without $kind "\"op\":\"$word\""; done ;;
    esac
done
if [ -z "$only" ]; then
    # shellcheck disable=SC2016,SC2086
    stage device 60 bash -c '"$0" device $2 >"$1/device.new" && cat "$1/device.new" &&
        mv "$1/device.new" "$1/device.jsonl"' "$program" "$parts" $small
    if [ "$rehearse" = 0 ] && command -v nvidia-smi >/dev/null; then
        stage driver 20 nvidia-smi \
            --query-gpu=name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit,memory.total --format=csv
    fi
    stage libraries 90 "$program" libraries --json "$parts/times.jsonl" $([ "$rehearse" = 1 ] && echo --small)
    grep -hE '^(cuBLASLt|cuDNN): ' "$log"
fi
case "$only" in
    *torch* | *sanitizer*) ;;
    *)
        if [ "$rehearse" = 0 ]; then
            each checks 60 4 --tier 0 --repeat 3 --case-seconds 20
        else
            each checks 300 2 --tier 0 --case-seconds 20 --processor-time
        fi
        ;;
esac
if [ -z "$only" ]; then
    for precision in bf16 f32 f16; do
        [ "$rehearse" = 1 ] && [ $precision != bf16 ] && continue
        stage "golden $precision" 90 "$program" golden "$golden" --backend cuda --precision $precision
    done
    compare "$smallest" bf16
    # shellcheck disable=SC2086
    engine bytes "$smallest" "$models/$smallest.safetensors" bf16 120 \
        $([ "$rehearse" = 1 ] && echo "--size 61x43 --points 9" || echo "--size 1500x1000 --points 32")
    # The figures to come want a quiet processor, but not at any price.
    # shellcheck disable=SC2016
    stage models 90 bash -c 'while kill -0 "$0" 2>/dev/null; do sleep 0.2; done' "$preparing"
    # shellcheck disable=SC2086
    {
        for name in $names; do engine speed "$name" "$models/$name.safetensors" bf16 150 $photograph; done
        for name in $names; do engine auto "$name" "$models/$name.safetensors" bf16 120 $photograph; done
        if [ -n "$tiny" ]; then
            ln -s "$tiny" "$models/samc-tiny.safetensors"
            for verb in speed auto; do engine $verb samc-tiny "$tiny" bf16 60 $photograph --seconds 1; done
        fi
    }
    [ "$largest" = "$smallest" ] || compare "$largest" bf16
fi
case "$only" in
    *torch* | *sanitizer*) ;;
    *)
        if [ "$rehearse" = 0 ]; then
            each times 90 1 --from-tier 1 --tier 2 --time --case-seconds 40
        else
            each times 300 2 --tier 0 --most 4 --time --rough --case-seconds 20 --processor-time
        fi
        ;;
esac
if [ -z "$only" ]; then
    for name in $names; do for precision in f32 f16; do compare "$name" $precision; done; done
fi

# ---- compute-sanitizer, which may not know the device; PyTorch, when asked for
# ------------------------------------------------------ sanitize TOOL ARGUMENTS...: 77 where the tool refuses to work
# on this device.
sanitize() {
    local status=0 said=$work/sanitize.$BASHPID.log sanitizer
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | tail -n 1)
    [ -n "$sanitizer" ] || { echo "no compute-sanitizer"; return 77; }
    "$sanitizer" --tool "$1" --error-exitcode 4 "${@:2}" >"$said" 2>&1 || status=$?
    cat "$said"
    [ $status != 0 ] && ! grep -qE 'ERROR SUMMARY: [1-9]' "$said" &&
        grep -qiE 'not supported|unsupported|no attachable process|internal sanitizer error' "$said" && return 77
    return $status
}
export -f sanitize
case ",$only," in
    ,, | *,sanitizer,*)
        for tool in memcheck racecheck; do
            for name in linear attention_relpos image_to_token; do
                stage "$tool $name" 90 bash -c 'sanitize "$@"' sanitize $tool "$program" check --only $name --direct \
                    --exact --tier 0
            done
        done ;;
esac
case ",$only," in
    *,torch,*)
        stage models 150 bash -c 'while kill -0 "$0" 2>/dev/null; do sleep 0.2; done' "$preparing"
        stage torch 400 "$(command -v python3 || command -v python ||
            echo python3)" "$here/torch_speed.py" --json "$parts/torch.jsonl" --models "$models" --seconds 380 ;;
esac

write_results
cat "$out/summary.txt"
failed && exit 1
exit 0
