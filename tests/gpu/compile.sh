# What tools/gpu_check.sh compiles and links; sourced there. Sets `operators` and defines compile_all, which a stage runs.
#
# Kernels are compiled once, with a hook around each launch (around_launch.h) that the checks fill with copies, guards and times and the
# engine with nothing (straight_launch.cc). The engine is compiled without oneDNN and OpenSSL, which it needs for nothing here.

include="-I. -Iruntime -Itests/emu -Itests/gpu -I$build/generated" define="-D_GNU_SOURCE -DSAMC_GPU_CHECK"
contract="-fopenmp-simd -ffp-contract=off"
if [ $rehearse = 1 ]; then
    compile_cuda="$cxx -x c++ -std=c++17 -O1 -ffp-contract=off $include -Itests/gpu/twin $define"
    compile_cxx="$cxx -std=c++17 -O1 -ffp-contract=off $include -Itests/gpu/twin $define"
    compile_c="$cc -std=c11 -O1 $contract $include $define" compile_reference=$compile_c
    emulation="$build/emu.o $build/tensor_core.o $build/warp.o" check_link="" engine_link=""
    engine_include="-Itests/emu/twins -Itests/gpu/bare -Itests/gpu/bare/onednn" engine_emulation="$build/cuda_twin.o $build/library_twins.o"
    code="80-real 90a-real"
else
    compile_cuda="$nvcc $nvcc_flags -std=c++17 -O3 -lineinfo $include $cuda_include $define"
    compile_cxx="$cxx -std=c++17 -O2 -ffp-contract=off $include $cuda_include $define"
    compile_c="$cc -std=c11 -O3 $contract $include $define" compile_reference="$cc -std=c11 -O2 $contract $include $define"
    emulation="" check_link="$cuda_link" engine_link="$cuda_link" engine_emulation=""
    engine_include="$cuda_include -Itests/gpu/bare -Itests/gpu/bare/onednn"
    # sm_90a is code for that GPU alone; compute_80 is PTX.
    case $arch in compute_*) code=${arch#*_}-virtual ;; *) code=${arch#*_}-real ;; esac
fi
rungs=0
[ $rehearse = 0 ] && [ "$(uname -m)" = x86_64 ] && rungs=1 && engine_include="$engine_include -DSAMC_X86_RUNGS"

# Operators with a kernel and a check, by their files' names; without --only the engine too.
operators="" kernels="" engine_wanted=0
for file in kernels/*_cuda.cu; do
    name=$(basename "$file" _cuda.cu)
    case ",$only," in ,, | *",$name,"*) ;; *) continue ;; esac
    kernels="$kernels $name"
    [ -f "tests/emu/emu_$name.cc" ] && operators="$operators $name"
done
[ -z "$only" ] && engine_wanted=1

engine_sources() {
    ls kernels/*_ref.c kernels/cuda/*.c runtime/*.c weights/*.c host/roofline.c tests/gpu/random_model.c | grep -v -e cuda_none.c -e ops_cuda.c -e cuda_device.c $([ $rehearse = 1 ] && echo "-e kernels/cuda/nvidia.c")
    ls kernels/{ops,ops_cpu,caps,packed,scratch,linear_onednn}.c
}

# The commands, the longest first.
commands() {
    local name file rung
    for name in $kernels; do echo "$compile_cuda -c kernels/${name}_cuda.cu -o $build/kernel_$name.o"; done
    echo "$compile_cuda -USAMC_GPU_CHECK -c tests/gpu/device_report.cu -o $build/device_report.o"
    if [ $engine_wanted = 1 ]; then
        if [ $rungs = 1 ]; then
            for file in kernels/*_cpu.c; do
                [ "$file" = kernels/ops_cpu.c ] && continue
                for rung in "avx2 -mavx2 -mfma -mf16c" "avx512 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512"; do
                    echo "$compile_c ${rung#* } -c $file -o $build/engine_$(basename "$file" .c)_${rung%% *}.o"
                done
            done
        fi
        for file in $(engine_sources); do echo "$compile_c $engine_include -c $file -o $build/engine_$(basename "$(dirname "$file")")_$(basename "$file" .c).o"; done
        for file in tests/gpu/end_to_end.c tests/parity/parity_test.c; do echo "$compile_c $engine_include -c $file -o $build/$(basename "$file" .c).o"; done
        echo "$compile_c $engine_include -DSAMC_CUDA_CODE='\"$code\"' -c runtime/cuda_device.c -o $build/engine_runtime_cuda_device.o"
        echo "$compile_cxx $engine_include -c tests/gpu/libraries_test.cc -o $build/libraries_test.o"
        if [ $rehearse = 1 ]; then
            for file in tests/emu/cuda_twin.cc tests/emu/library_twins.cc; do
                echo "${compile_cxx/-Itests\/gpu\/twin/} $engine_include -c $file -o $build/$(basename "$file" .cc).o"
            done
        fi
        echo "$compile_c -c tests/gpu/bare/omp.c -o $build/engine_omp.o"
    fi
    for name in $operators; do echo "$compile_cxx -c tests/emu/emu_$name.cc -o $build/check_$name.o"; done
    for file in tests/emu/emu_test.cc tests/emu/{emu,tensor_core,warp}.cc tests/gpu/around_launch.cc tests/gpu/straight_launch.cc tests/gpu/gpu_test.cc; do
        echo "$compile_cxx -c $file -o $build/$(basename "$file" .cc).o"
    done
    for file in kernels/*_ref.c kernels/ops.c kernels/cuda/*_choice.c runtime/status.c; do echo "$compile_reference -c $file -o $build/c_$(basename "$file" .c).o"; done
}

# Operators whose kernel did not compile are told to the engine, which then refuses and names them.
compile_table() {
    local name missing=""
    mkdir -p "$build/generated/kernels/cuda"
    for name in $(sed -n 's/^SAMC_OP(\(.*\))$/\1/p' kernels/ops_list.h); do [ -e "$build/kernel_$name.o" ] || missing="$missing X($name)"; done
    echo "#define SAMC_CUDA_MISSING(X)$missing" >"$build/generated/kernels/cuda/missing.h"
    # shellcheck disable=SC2086
    $compile_c $engine_include -c kernels/cuda/ops_cuda.c -o "$build/engine_ops_cuda.o"
}

link_engine() {
    local program=$1 status=0
    shift
    # shellcheck disable=SC2086
    $cxx -o "$build/$program" "$@" "$build/straight_launch.o" -Wl,--start-group "$build/libengine.a" "$build/libkernels.a" -Wl,--end-group $engine_emulation \
        $emulation $engine_link -lpthread -ldl -lm || { echo "no $program"; status=1; }
    return $status
}

compile_all() {
    local list=$build/compile.list missing=0 name
    rm -f "$build"/*.o "$build"/*.a "$build"/test_* "$build"/{libraries_test,end_to_end,parity_test,device_report}
    commands >"$list"
    xargs -a "$list" -d '\n' -P "$jobs" -I LINE bash -c 'LINE || echo "does not compile: LINE" >&2'
    # Kernels of one operator may call another's.
    ar rcs "$build/libref.a" "$build"/c_*.o && ar rcs "$build/libkernels.a" "$build"/kernel_*.o || return 1
    for name in $kernels; do [ -e "$build/kernel_$name.o" ] || missing=1; done
    # shellcheck disable=SC2086
    $cxx -o "$build/device_report" "$build/device_report.o" $emulation $check_link || missing=1
    for name in $operators; do
        # shellcheck disable=SC2086
        $cxx -o "$build/test_$name" "$build"/{check_$name,gpu_test,around_launch,emu_test,emu,tensor_core,warp}.o "$build/libkernels.a" "$build/libref.a" $check_link -lm ||
            { echo "no check of $name"; missing=1; }
    done
    [ $engine_wanted = 1 ] || return $missing
    compile_table && ar rcs "$build/libengine.a" "$build"/engine_*.o || return 1
    link_engine end_to_end "$build/end_to_end.o" || missing=1
    link_engine parity_test "$build/parity_test.o" || missing=1
    link_engine libraries_test "$build"/{libraries_test,emu_test}.o $([ $rehearse = 1 ] || echo "$build"/{emu,tensor_core,warp}.o) || missing=1
    return $missing
}
export -f compile_all compile_table link_engine commands engine_sources
export operators kernels compile_cuda compile_cxx compile_c compile_reference cxx build jobs rehearse rungs engine_wanted engine_include engine_link engine_emulation
export emulation check_link code
