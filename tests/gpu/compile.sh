# What tools/gpu_check.sh --pack compiles: one program, $build/samc-gpu, of tests/gpu/main.cc's verbs; sourced there.
# Defines build_program.
#
# Kernels are compiled and linked once, with a hook around each launch (around_launch.h) that does something for the
# operators' checks alone. The engine is compiled without OpenSSL and without phrases, which it needs for nothing here.
# An object is made again when its command, its source or any header has changed.

include="-I. -Iruntime -Itests/emu -Itests/gpu" define="-D_GNU_SOURCE -DSAMC_GPU_CHECK -Wall -Wextra"
contract="-fopenmp-simd -ffp-contract=off" code="${arch// /-real }-real" rungs=0
bare="-Itests/gpu/bare"
if [ $rehearse = 1 ]; then # on the twins of CUDA's runtime: one for what checks do around a launch, one for the engine
    compile_cuda="$cxx -x c++ -std=c++17 -O1 $contract $include -Itests/gpu/twin $define"
    compile_cxx="$cxx -std=c++17 -O1 $contract $include -Itests/gpu/twin $define"
    compile_c="$cc -std=c11 -O1 $contract -Itests/emu/twins $bare $include $define"
    compile_engine_cxx="$cxx -std=c++17 -O1 $contract -Itests/emu/twins $include $define"
    link=""
else
    compile_cuda="$nvcc $nvcc_flags -std=c++17 -O3 $include $cuda_include -D_GNU_SOURCE -DSAMC_GPU_CHECK"
    compile_cxx="$cxx -std=c++17 -O2 $contract $include -isystem ${cuda_include#-I} $define"
    compile_c="$cc -std=c11 -O3 $contract $bare $include -isystem ${cuda_include#-I} $define"
    compile_engine_cxx=$compile_cxx link="$cuda_link -static-libstdc++ -static-libgcc -s"
    [ "$(uname -m)" = x86_64 ] && rungs=1 && compile_c="$compile_c -DSAMC_X86_RUNGS"
fi
case $(uname -m) in x86_64 | aarch64) vec16=-DSAMC_VEC16_RUNG ;; *) vec16= ;; esac
compile_c="$compile_c $vec16"

engine_sources() {
    ls kernels/*/{ref,choice,library}.c kernels/*.c kernels/{ref,cpu,cuda}/*.c \
        runtime/{base,model}/*.c runtime/*.c weights/*.c \
        bench/forecast/{roofline,workload}.c tests/gpu/random_model.c \
        tests/gpu/bare/arc4random.c tests/gpu/end_to_end.c tests/gpu/speed.c |
        grep -v -e cuda_none.c -e runtime/cuda_device.c -e model/tokenizer.c \
            -e model/text -e model/plain.c -e model/vision.c -e model/clip -e model/owlv2 \
            -e runtime/relate.c -e runtime/text -e runtime/detect.c -e runtime/scene.c -e runtime/convert.c \
            -e runtime/calibrate.c \
            $([ $rehearse = 1 ] && echo "-e kernels/cuda/nvidia.c")
}

# object COMMAND SOURCE [SUFFIX]: a line for it, the object named by its source.
object() {
    local name=${2//\//_}
    echo "$1 -c $2 -o $build/${name%.*}${3:-}.o"
}
# The commands, the longest first.
commands() {
    local file rung avx512 low
    for file in kernels/*/cuda.cu tests/gpu/device_report.cu; do object "$compile_cuda" "$file"; done
    for file in tests/emu/{emu_test,emu_cases,device_case,emu,emu_memory,tensor_core,warp}.cc \
        tests/gpu/{around_launch,gpu_test,main}.cc; do
        object "$compile_cxx" "$file"
    done
    for file in kernels/*/cases.c tests/checkops/{rows,buffers,guard,arguments,book}.c; do
        object "$compile_c" "$file"
    done
    object "$compile_engine_cxx" tests/gpu/libraries_test.cc
    if [ $rehearse = 1 ]; then
        for file in tests/emu/{cuda_twin,library_twins}.cc; do object "$compile_engine_cxx" "$file"; done
    fi
    if [ -n "$vec16" ]; then
        for file in $(sed -n 's/^SAMC_OP(\(.*\), CPU, .*/\1/p' kernels/list.h); do
            object "$compile_c" "kernels/$file/cpu.c" _vec16
        done
    fi
    if [ $rungs = 1 ]; then
        avx512="-mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512"
        for file in kernels/*/cpu.c; do
            object "$compile_c -mavx2 -mfma -mf16c" "$file" _avx2
            object "$compile_c -mavx2 -mfma -mf16c $avx512" "$file" _avx512
        done
        low="-mavx2 -mfma -mf16c $avx512 -mavx512bf16"
        for file in kernels/*/low.c; do
            object "$compile_c $low -DSAMC_LOW_BF16" "$file" _bf16
            object "$compile_c $low -mamx-tile -mamx-bf16 -mamx-int8 -DSAMC_LOW_AMX" "$file" _amx
        done
    fi
    for file in $(engine_sources); do object "$compile_c" "$file"; done
    object "$compile_c -Dmain=golden_main" tests/parity/parity_test.c
    object "$compile_c -DSAMC_CUDA_CODE='\"$code\"'" runtime/cuda_device.c
}

# make_object COMMAND: unless it is there and newer than all that went into it.
make_object() {
    local object=${1##* } source=${1##* -c } from current=1
    source=${source%% *}
    [ -e "$object" ] && [ "$(cat "$object.command" 2>/dev/null)" = "$1" ] || current=0
    # shellcheck disable=SC2013
    for from in $([ $current = 1 ] && sed 's/^[^:]*: *//; s/\\$//' "$object.d" 2>/dev/null || echo /); do
        [ "$object" -nt "$from" ] || current=0
    done
    [ $current = 1 ] && return 0
    rm -f "$object"
    eval "$1 -MMD -MF $object.d" || { echo "does not compile: $source" >&2; return 1; }
    printf '%s' "$1" >"$object.command"
}

build_program() {
    local list=$build/compile.list
    commands >"$list"
    export -f make_object
    xargs -a "$list" -d '\n' -P "$jobs" -n 1 bash -c 'make_object "$0"' || return 1
    # shellcheck disable=SC2046,SC2086
    $cxx -o "$build/samc-gpu" $(sed 's/.* //' "$list") $link -lpthread -ldl -lm
}
