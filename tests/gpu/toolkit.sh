# Finds a CUDA toolkit that compiles and links here and, if there is a GPU, reaches it; sourced by tools/gpu_check.sh.
#
# Toolkits come as installations, as PyPI's packages (tools/cuda_toolkit.sh, or those that PyTorch brings), in several versions, newer
# than the driver, with libraries that have no plain name, without cuBLASLt or cuDNN, and with a host compiler they do not like. Each
# candidate is tried by compiling, linking and running; what was found is said, so that results can be read later.
# Sets nvcc, nvcc_flags, cuda_include, cuda_link, arch and toolkit_report, or returns 1 with toolkit_report.

# Folders that may hold NVIDIA's packages from PyPI; find_toolkit keeps what this says.
ask_pypi_folders() {
    local python
    echo "$PWD/build/cuda/nvidia"
    for python in python3 python; do
        command -v $python >/dev/null && timeout 20 $python -c 'import sys, os
for folder in sys.path:
    if os.path.isdir(os.path.join(folder, "nvidia")): print(os.path.join(folder, "nvidia"))' 2>/dev/null
    done | awk '!seen[$0]++'
}

pypi_folders() { echo "$pypi_list"; }

nvcc_candidates() {
    if [ -n "${NVCC:-}" ]; then
        echo "$NVCC"
        return
    fi
    {
        command -v nvcc
        ls -d /usr/local/cuda/bin/nvcc
        ls -d /usr/local/cuda-*/bin/nvcc | sort -rV
        pypi_folders | while read -r folder; do ls -d "$folder"/cu*/bin/nvcc "$folder"/cuda_nvcc/bin/nvcc; done
    } 2>/dev/null | while read -r path; do readlink -f "$path"; done | awk '!seen[$0]++'
}

# Where headers and libraries may be: beside nvcc first, then the packages from PyPI.
include_folders() {
    local home=$1 machine=x86_64-linux
    [ "$(uname -m)" = aarch64 ] && machine=sbsa-linux
    ls -d "$home/include" "$home/targets/$machine/include" 2>/dev/null
    pypi_folders | while read -r folder; do ls -d "$folder"/*/include; done 2>/dev/null
    ls -d /usr/include /usr/local/include
}
library_folders() {
    local home=$1 machine=x86_64-linux
    [ "$(uname -m)" = aarch64 ] && machine=sbsa-linux
    ls -d "$home/lib64" "$home/lib" "$home/targets/$machine/lib" 2>/dev/null
    pypi_folders | while read -r folder; do ls -d "$folder"/*/lib; done 2>/dev/null
    ls -d "/usr/lib/$(uname -m)-linux-gnu" /usr/lib64 /usr/local/lib 2>/dev/null
}

# find_header NAME HOME, find_library NAME HOME: the folder; the file, whatever its version.
find_header() { include_folders "$2" | while read -r folder; do [ -e "$folder/$1" ] && echo "$folder" && break; done; }
find_library() {
    library_folders "$2" | while read -r folder; do
        found=$(ls -d "$folder/$1.so" "$folder/$1".so.[0-9]* 2>/dev/null | head -n 1)
        [ -n "$found" ] && echo "$found" && break
    done
}
# try_toolkit NVCC: 0: compiles, and reaches a device (device holds what it says); 1: does not compile; 2: compiles, no device.
try_toolkit() {
    local home static extra header library
    nvcc=$1 device="" toolkit_why=""
    home=$(dirname "$(dirname "$nvcc")")
    release=$("$nvcc" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p')
    [ -n "$release" ] || { toolkit_why="does not run"; return 1; }
    header=$(find_header cuda_runtime_api.h "$home")
    static=$(library_folders "$home" | while read -r folder; do [ -e "$folder/libcudart_static.a" ] && echo "$folder/libcudart_static.a" && break; done)
    library=$(find_library libcudart "$home")
    [ -n "$header" ] && [ -n "$static$library" ] || { toolkit_why="has no header or library of the CUDA runtime"; return 1; }
    cuda_include="-I$header" cuda_link="${static:-$library -Wl,-rpath,$(dirname "${library:-.}")} -lpthread -ldl -lrt"
    # shellcheck disable=SC2086
    $cc $cuda_include -o "$build/which_device" tests/gpu/which_device.c $cuda_link >"$build/probe.log" 2>&1 ||
        { toolkit_why="does not link: $(head -n 1 "$build/probe.log")"; return 1; }
    device=$(timeout 60 "$build/which_device" 2>&1) || { toolkit_why=$device; device=""; }
    if [ -z "$device" ] && [ -d "$home/compat" ]; then # a newer driver's library for an older driver
        device=$(LD_LIBRARY_PATH="$home/compat:${LD_LIBRARY_PATH:-}" timeout 60 "$build/which_device" 2>/dev/null) &&
            export LD_LIBRARY_PATH="$home/compat:${LD_LIBRARY_PATH:-}" && toolkit_why="through $home/compat" || device=""
    fi
    target=$asked_arch
    [ -z "$target" ] && [ -n "$device" ] && target=sm_${device%% *}
    [ "$target" = sm_90 ] && target=sm_90a
    [ -z "$target" ] && target=sm_90a
    # A host compiler that the toolkit does not know yet, and a device that it does not know yet, which then compiles the PTX itself.
    printf '#include <cuda_runtime.h>\n__global__ void probe(float *x) { x[threadIdx.x] = __expf(x[0]); }\n' >"$build/probe.cu"
    for arch in "$target" compute_90 compute_80; do
        for extra in "" "-ccbin g++-13" "-ccbin g++-12" "-ccbin g++-11" "-allow-unsupported-compiler"; do
            nvcc_flags="-gencode=arch=compute_${arch#*_},code=$arch $extra"
            # shellcheck disable=SC2086
            "$nvcc" $nvcc_flags $cuda_include -std=c++17 -c -o "$build/probe.o" "$build/probe.cu" >"$build/probe.log" 2>&1 && break 2
            nvcc_flags=""
        done
    done
    [ -n "$nvcc_flags" ] || { toolkit_why="does not compile: $(grep -m 1 -i error "$build/probe.log")"; return 1; }
    [ -n "$device" ] && return 0
    return 2
}

# Candidates in turn: the first that reaches a device, else the first that compiles.
find_toolkit() {
    local candidate first="" outcome
    asked_arch=$1 toolkit_report="" pypi_list=$(ask_pypi_folders)
    for candidate in $(nvcc_candidates); do
        outcome=0
        try_toolkit "$candidate" || outcome=$?
        toolkit_report="$toolkit_report$candidate (${release:-?}): ${device:-${toolkit_why:-no device}}; "
        [ $outcome = 0 ] && break
        [ $outcome = 2 ] && [ -z "$first" ] && first=$candidate
        nvcc=""
    done
    if [ -z "${nvcc:-}" ] && [ -n "$first" ]; then try_toolkit "$first"; fi
    [ -n "${nvcc:-}" ] || { toolkit_report="${toolkit_report}no nvcc that compiles; tools/cuda_toolkit.sh brings one where there is a network"; return 1; }
    toolkit_report="${toolkit_report}taken: $nvcc for $arch"
    case $device in
        '') toolkit_report="$toolkit_report; no device is reached. Where there is one, its driver may be older than the toolkit: a toolkit of the driver's own major version, or cuda-compat, helps" ;;
    esac
    return 0
}
