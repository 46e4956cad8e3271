#!/bin/bash
# The one command for a machine with an NVIDIA GPU: builds the CUDA kernels for it, checks each against its reference, times each
# against what the machine can do, and writes one file of results after every stage, so that a run that is cut short keeps what it has.
#
#   tools/gpu_check.sh [--minutes N] [--out DIR] [--build DIR] [--arch sm_NN] [--jobs N] [--only OPERATOR] [--build-only] [--rehearse]
#
# Needs nvcc, a C and a C++ compiler and the sources; no network. cuBLASLt and cuDNN are checked where they are. Results: DIR/results.json and
# DIR/summary.txt (default build/gpu_check). Every stage is a process of its own under a timeout: what fails or hangs is recorded and
# the next goes on. Exit 1 if anything failed. --rehearse runs all of it on the host's emulation, where times mean nothing.
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
failed=0
left() { echo $((minutes * 60 - SECONDS)); }
say() { printf '%4d s  %s\n' "$SECONDS" "$*" | tee -a "$log"; }
quote() { printf '"%s"' "$(tr -cd '\40-\176\n' | tr '\n' ' ' | sed 's/[\\"]/\\&/g; s/ *$//')"; }

# ---- results: one object, rewritten after every stage from the parts that stages leave ---------------------------------------
write_results() {
    local kind
    {
        printf '{"samc_gpu_check":1,"commit":%s,"rehearsal":%s,"arch":"%s","seconds":%d,"failed":%s,\n"device":' \
            "$({ git rev-parse HEAD 2>/dev/null || echo unknown; } | quote)" "$([ $rehearse = 1 ] && echo true || echo false)" "$arch" \
            "$SECONDS" "$([ $failed = 0 ] && echo false || echo true)"
        if [ -s "$parts/device.json" ]; then cat "$parts/device.json"; else echo null; fi
        for kind in stages checks times; do # lines cut short by a kill are left out
            printf ',"%s":[\n' "$kind"
            grep -h '^{.*}$' "$parts/$kind.jsonl" 2>/dev/null | sed '$!s/$/,/'
            printf ']'
        done
        printf '}\n'
    } >"$out/results.json.new" && mv "$out/results.json.new" "$out/results.json"
}

# stage NAME SECONDS COMMAND...: runs it under a timeout of at most what is left; records how it ended and the end of what it said.
stage() {
    local name=$1 limit=$2 begin=$SECONDS status=0 state=ok output=$build/stage.log
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
    case $state in ok | skipped | "no time left") ;; *) failed=1 ;; esac
    printf '{"stage":"%s","status":"%s","seconds":%d,"end":%s}\n' "$name" "$state" $((SECONDS - begin)) "$(tail -n 3 "$output" | cut -c 1-300 | quote)" \
        >>"$parts/stages.jsonl"
    say "$name: $state"
    write_results
    [ "$state" = ok ]
}

# ---- build: every file by itself, so that one that fails costs its operator alone --------------------------------------------
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)} cc=${CC:-cc} cxx=${CXX:-c++}
include="-I. -Iruntime -Itests/emu -Itests/gpu" define="-D_GNU_SOURCE -DSAMC_GPU_CHECK"
if [ $rehearse = 1 ]; then
    arch=host
    compile_cuda="$cxx -x c++ -std=c++17 -O1 -ffp-contract=off $include -Itests/gpu/twin $define"
    compile_cxx="$cxx -std=c++17 -O1 -ffp-contract=off $include -Itests/gpu/twin $define"
    link="$cxx"
    libraries_include="-Itests/emu/twins" libraries_link="$build/cuda_twin.o $build/library_twins.o -ldnnl"
else
    [ -x "$nvcc" ] || { echo "gpu_check.sh: nvcc is neither on PATH nor in /usr/local/cuda/bin" >&2; exit 2; }
    if [ -z "$arch" ]; then # of the first device
        arch=sm_$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '. ')
        [ "$arch" = sm_90 ] && arch=sm_90a
        [ "$arch" = sm_ ] && { echo "gpu_check.sh: no GPU that nvidia-smi knows; name one by --arch to build for it" >&2; arch=sm_90a; }
    fi
    compile_cuda="$nvcc -gencode=arch=compute_${arch#sm_},code=$arch -std=c++17 -O3 -lineinfo $include $define"
    compile_cxx="$nvcc -x c++ -std=c++17 -O2 $include $define -Xcompiler -ffp-contract=off"
    link="$nvcc"
    home=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
    libraries_include="-I$home/include -I$home/targets/x86_64-linux/include" libraries_link="-lcublasLt"
fi
compile_c="$cc -std=c11 -O2 -fopenmp-simd -ffp-contract=off $include $define"

# Large linear layers are cuBLASLt's; in a rehearsal its twin's, which wants oneDNN.
libraries=0 libraries_cudnn=""
# shellcheck disable=SC2086
printf '#include <cublasLt.h>\n%s\n' "$([ $rehearse = 1 ] && echo '#include <dnnl.h>')" | $cc $libraries_include -E -x c - >/dev/null 2>&1 &&
    [ -z "$only" ] && libraries=1
# The neck's convolution is cuDNN's where cuDNN is.
printf '#include <cudnn.h>\nint main(void) { return 0; }\n' >"$build/cudnn.c"
[ $rehearse = 1 ] || libraries_cudnn=-lcudnn
# shellcheck disable=SC2086
if $compile_c $libraries_include -c "$build/cudnn.c" -o "$build/cudnn.o" 2>/dev/null && $link -o "$build/cudnn" "$build/cudnn.o" $libraries_cudnn 2>/dev/null; then
    libraries_include="$libraries_include -DSAMC_WITH_CUDNN" libraries_link="$libraries_link $libraries_cudnn"
fi

# Operators with a kernel and a check, by their files' names.
operators=""
for file in kernels/*_cuda.cu; do
    name=$(basename "$file" _cuda.cu)
    [ -f "tests/emu/emu_$name.cc" ] && { [ -z "$only" ] || [ "$only" = "$name" ]; } && operators="$operators $name"
done

compile_all() {
    local list=$build/compile.list
    {
        for name in $operators; do # the longest first
            echo "$compile_cuda -c kernels/${name}_cuda.cu -o $build/kernel_$name.o"
        done
        echo "$compile_cuda -USAMC_GPU_CHECK -c tests/gpu/device_report.cu -o $build/device_report.o"
        for name in $operators; do echo "$compile_cxx -c tests/emu/emu_$name.cc -o $build/check_$name.o"; done
        for file in tests/emu/emu_test.cc tests/emu/emu.cc tests/emu/warp.cc tests/gpu/around_launch.cc tests/gpu/gpu_test.cc; do
            echo "$compile_cxx -c $file -o $build/$(basename "$file" .cc).o"
        done
        if [ $libraries = 1 ]; then
            echo "$compile_c $libraries_include -c kernels/cuda/libraries.c -o $build/libraries.o"
            echo "$compile_cuda -USAMC_GPU_CHECK -c kernels/linear_cuda.cu -o $build/linear_direct.o" # bias and GELU behind cuBLASLt
            for file in tests/gpu/libraries_test.cc $([ $rehearse = 1 ] && echo tests/emu/cuda_twin.cc tests/emu/library_twins.cc); do
                echo "${compile_cxx/-Itests\/gpu\/twin/} $libraries_include -c $file -o $build/$(basename "$file" .cc).o"
            done
        fi
        for file in kernels/*_ref.c kernels/ops.c kernels/cuda/*_choice.c runtime/status.c; do echo "$compile_c -c $file -o $build/c_$(basename "$file" .c).o"; done
    } >"$list"
    rm -f "$build"/*.o "$build"/*.a "$build"/test_* "$build/libraries_test"
    xargs -a "$list" -d '\n' -P "$jobs" -I LINE bash -c 'LINE || echo "does not compile: LINE" >&2'
    ar rcs "$build/libref.a" "$build"/c_*.o || return 1
    # Kernels of one operator may call another's.
    ar rcs "$build/libkernels.a" "$build"/kernel_*.o || return 1
    local missing=0
    $link -o "$build/device_report" "$build/device_report.o" $([ $rehearse = 1 ] && echo "$build/emu.o $build/warp.o") || missing=1
    for name in $operators; do
        $link -o "$build/test_$name" "$build"/{check_$name,gpu_test,around_launch,emu_test,emu,warp}.o "$build/libkernels.a" "$build/libref.a" -lm ||
            { echo "no check of $name"; missing=1; }
    done
    if [ $libraries = 1 ]; then
        $link -o "$build/libraries_test" "$build"/{libraries_test,libraries,linear_direct,emu_test,emu,warp}.o "$build/libref.a" $libraries_link -lm ||
            { echo "no check of cuBLASLt and cuDNN"; missing=1; }
    fi
    return $missing
}

export -f compile_all
export operators compile_cuda compile_cxx compile_c link build jobs rehearse libraries libraries_include libraries_link
stage build $((minutes * 36)) bash -c compile_all
[ $build_only = 1 ] && exit $failed

# ---- the device, then every operator: quick cases, times of whole layers, compute-sanitizer -----------------------------------
small=""
[ $rehearse = 1 ] && small="1 1"
# shellcheck disable=SC2016,SC2086
stage device 60 bash -c '"$0/device_report" $2 >"$1/device.json"; status=$?; cat "$1/device.json"; exit $status' "$build" "$parts" "$small" ||
    rm -f "$parts/device.json"
write_results
if [ $rehearse = 0 ] && command -v nvidia-smi >/dev/null; then
    stage driver 20 nvidia-smi --query-gpu=name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,power.limit,memory.total --format=csv
fi

# each KIND SECONDS ARGUMENTS...: the checks of every operator, their cases' lines into KIND.jsonl.
each() {
    local kind=$1 limit=$2 name
    shift 2
    for name in $operators; do
        [ -x "$build/test_$name" ] || continue
        stage "$kind $name" "$limit" "$build/test_$name" "$@" --json "$parts/$kind.jsonl"
    done
}
if [ $libraries = 1 ] && [ -x "$build/libraries_test" ]; then
    # shellcheck disable=SC2046
    stage libraries 90 "$build/libraries_test" --json "$parts/times.jsonl" $([ $rehearse = 1 ] && echo --small)
fi
if [ $rehearse = 0 ]; then
    each checks 60 --tier 1 --repeat 3 --case-seconds 20
    each times 90 --from-tier 1 --tier 2 --time --case-seconds 40
    sanitizer=$(command -v compute-sanitizer || echo /usr/local/cuda/bin/compute-sanitizer)
    for tool in memcheck racecheck; do
        for name in $operators; do
            [ -x "$build/test_$name" ] || continue
            [ -x "$sanitizer" ] || { printf '{"stage":"%s","status":"skipped","seconds":0,"end":"no compute-sanitizer"}\n' "$tool" >>"$parts/stages.jsonl"; break 2; }
            stage "$tool $name" 60 "$sanitizer" --tool $tool --error-exitcode 4 "$build/test_$name" --direct --exact --tier 0
        done
    done
else
    each checks 300 --tier 0 --case-seconds 30
    each times 300 --tier 0 --time --rough --case-seconds 30
fi

# ---- summary -------------------------------------------------------------------------------------------------------------------
# One line for each timed case: its time in an emptied cache against the larger of its arithmetic at the measured rate of products
# and its memory at the measured rate of copies.
field() { sed -n "s/.*\"$1\":\([0-9.e+]*\).*/\1/p" "$parts/device.json" 2>/dev/null | head -n 1; }
summary() {
    echo "samc gpu_check: $([ $failed = 0 ] && echo "everything passed" || echo "FAILED"), $SECONDS s"
    sed -n 's/{"name":"\([^"]*\)","capability":"\([^"]*\)".*/device: \1, capability \2/p' "$parts/device.json" 2>/dev/null
    echo "measured: copies $(field copy_gbs) GB/s, mma.sync bf16 $(field mma_bf16_tflops), f16 $(field mma_f16_tflops), fp32 $(field fma_f32_tflops) TFLOP/s"
    grep -v '"status":"ok"' "$parts/stages.jsonl" | sed 's/{"stage":"\([^"]*\)","status":"\([^"]*\)".*/  \1: \2/'
    grep -h '"status":"failed"' "$parts"/checks.jsonl "$parts"/times.jsonl 2>/dev/null | cut -c 1-400 | sed 's/^/  /'
    [ -s "$parts/times.jsonl" ] || return
    printf '%-86s %10s %10s %7s %s\n' "case" "warm us" "cold us" "% roof" "bound"
    awk -v gbs="$(field copy_gbs)" -v tflops="$(field mma_bf16_tflops)" '
        function get(key,  m) { return match($0, "\"" key "\":[0-9.e+-]+") ? substr($0, RSTART + length(key) + 3, RLENGTH - length(key) - 3) + 0 : 0 }
        /"status":"ok"/ {
            match($0, /"case":"[^"]*"/)
            name = substr($0, RSTART + 8, RLENGTH - 9)
            memory = gbs ? get("bytes") / gbs * 1e-3 : 0
            products = tflops ? get("flops") / tflops * 1e-6 : 0
            least = memory > products ? memory : products
            cold = get("cold_us")
            printf "%-86s %10.1f %10.1f %7.1f %s\n", name, get("warm_us"), cold, cold ? 100 * least / cold : 0, (memory > products ? "memory" : "products")
            if (name ~ / kernel\) = /) { # the last number says which kernel of several
                shape = name
                sub(/ [0-9]+$/, "", shape)
                if (tried[shape]++ == 0 || get("warm_us") < best[shape]) { best[shape] = get("warm_us"); which[shape] = name }
            }
        }
        END { for (shape in tried) if (tried[shape] > 1) printf "fastest of %d: %s\n", tried[shape], which[shape] }' "$parts/times.jsonl"
}
summary | tee "$out/summary.txt"
write_results
exit $failed
