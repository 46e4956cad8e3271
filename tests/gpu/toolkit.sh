# Finds a CUDA toolkit that compiles here for the GPUs in `arch` ("80 90a"); sourced by tools/gpu_check.sh.
#
# Toolkits come as installations and as PyPI's packages (tools/cuda_toolkit.sh, or those that PyTorch brings), in
# several versions, and with a host compiler they do not like. Each candidate is tried by compiling and linking; no GPU
# is needed. Sets nvcc, nvcc_flags, cuda_include, cuda_link and toolkit_report, or returns 1 with toolkit_report.

# Folders that may hold NVIDIA's packages from PyPI.
pypi_folders() {
    echo "$PWD/build/cuda/nvidia"
    command -v python3 >/dev/null && timeout 20 python3 -c 'import sys, os
for folder in sys.path:
    if os.path.isdir(os.path.join(folder, "nvidia")): print(os.path.join(folder, "nvidia"))' 2>/dev/null
}

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

# try_toolkit NVCC: whether it compiles and links; toolkit_why says why not.
try_toolkit() {
    local home static="" extra code="" one folder machine=x86_64-linux
    [ "$(uname -m)" = aarch64 ] && machine=sbsa-linux
    nvcc=$1 toolkit_why="" nvcc_flags=""
    home=$(dirname "$(dirname "$nvcc")")
    release=$("$nvcc" --version 2>/dev/null | sed -n 's/.*release \([0-9.]*\).*/\1/p')
    [ -n "$release" ] || { toolkit_why="does not run"; return 1; }
    for folder in "$home/lib64" "$home/lib" "$home/targets/$machine/lib" "$home/../cuda_runtime/lib"; do
        [ -e "$folder/libcudart_static.a" ] && static=$folder/libcudart_static.a && break
    done
    for folder in "$home/include" "$home/targets/$machine/include" "$home/../cuda_runtime/include"; do
        [ -e "$folder/cuda_runtime_api.h" ] && cuda_include=-I$folder && break
    done
    [ -n "$static" ] && [ -n "$cuda_include" ] ||
        { toolkit_why="has no header or no libcudart_static.a of the CUDA runtime"; return 1; }
    cuda_link="$static -lpthread -ldl -lrt"
    for one in $arch; do code="$code -gencode=arch=compute_$one,code=sm_$one"; done
    printf '%s\n' '#include <cuda_runtime.h>' '__global__ void probe(float *x) { x[threadIdx.x] = __expf(x[0]); }' \
        'int main() { return cudaGetLastError(); }' >"$build/probe.cu"
    for extra in "" "-ccbin g++-13" "-ccbin g++-12" "-ccbin g++-11" "-allow-unsupported-compiler"; do
        nvcc_flags="$code $extra"
        # shellcheck disable=SC2086
        "$nvcc" $nvcc_flags $cuda_include -std=c++17 -c -o "$build/probe.o" "$build/probe.cu" \
            >"$build/probe.log" 2>&1 &&
            $cxx -o "$build/probe" "$build/probe.o" $cuda_link >>"$build/probe.log" 2>&1 && return 0
    done
    toolkit_why="does not compile: $(grep -m 1 -i error "$build/probe.log")"
    return 1
}

# The first candidate that compiles.
find_toolkit() {
    local candidate
    toolkit_report="" cuda_include=""
    for candidate in $(nvcc_candidates); do
        try_toolkit "$candidate" && { toolkit_report="$toolkit_report$candidate ($release) for $arch"; return 0; }
        toolkit_report="$toolkit_report$candidate (${release:-?}): $toolkit_why; "
    done
    toolkit_report="${toolkit_report}no nvcc that compiles; tools/cuda_toolkit.sh brings one where there is a network"
    return 1
}
