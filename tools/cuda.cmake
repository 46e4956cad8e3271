# The CUDA backend: whether this build has it (SAMC_WITH_CUDA), its sources, and which operators still lack a kernel. The emulation
# (tests/emu) compiles the same sources against its twins of the runtime, with or without a toolkit.

# Host side, C; includes the headers of the CUDA runtime, cuBLASLt and, with SAMC_WITH_CUDNN, cuDNN.
set(SAMC_CUDA_SOURCES
    ${CMAKE_SOURCE_DIR}/runtime/cuda_device.c
    ${CMAKE_SOURCE_DIR}/runtime/cuda_session.c
    ${CMAKE_SOURCE_DIR}/runtime/cuda_plan.c
    ${CMAKE_SOURCE_DIR}/kernels/cuda/ops_cuda.c
    ${CMAKE_SOURCE_DIR}/kernels/cuda/libraries.c)

# Kernels: every kernels/x_cuda.cu. Operators of the list without one are named to the compiler and refuse.
file(GLOB kernel_files RELATIVE ${CMAKE_SOURCE_DIR}/kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*_cuda.cu)
string(REPLACE "_cuda.cu" "" SAMC_CUDA_KERNELS "${kernel_files}")
file(STRINGS ${CMAKE_SOURCE_DIR}/kernels/ops_list.h operators REGEX "^SAMC_OP")
set(SAMC_CUDA_MISSING "")
foreach(line ${operators})
    string(REGEX REPLACE "SAMC_OP\\((.*)\\)" "\\1" operator "${line}")
    if(NOT operator IN_LIST SAMC_CUDA_KERNELS)
        list(APPEND SAMC_CUDA_MISSING ${operator})
    endif()
endforeach()
if(SAMC_CUDA_MISSING)
    message(STATUS "CUDA: no kernel yet for ${SAMC_CUDA_MISSING}; --backend cuda refuses")
endif()
list(TRANSFORM SAMC_CUDA_MISSING REPLACE "(.+)" "X(\\1)" OUTPUT_VARIABLE macro)
string(REPLACE ";" " " macro "${macro}")
set(SAMC_CUDA_GENERATED ${CMAKE_BINARY_DIR}/generated)
file(WRITE ${SAMC_CUDA_GENERATED}/kernels/cuda/missing.h.new
    "/* Operators of kernels/ops_list.h without a CUDA kernel; made by tools/cuda.cmake. */\n#define SAMC_CUDA_MISSING(X) ${macro}\n")
configure_file(${SAMC_CUDA_GENERATED}/kernels/cuda/missing.h.new ${SAMC_CUDA_GENERATED}/kernels/cuda/missing.h COPYONLY)

# AUTO asks for a GPU's driver too: machine code for three architectures takes minutes to make.
set(SAMC_WITH_CUDA OFF)
set(SAMC_WITH_CUDNN OFF)
if(SAMC_CUDA STREQUAL ON OR (SAMC_CUDA STREQUAL AUTO AND NOT SAMC_SANITIZE AND (EXISTS /dev/nvidiactl OR EXISTS /dev/dxg)))
    find_package(CUDAToolkit QUIET)
    if(CUDAToolkit_FOUND AND (TARGET CUDA::cublasLt OR NOT SAMC_CUBLASLT))
        set(SAMC_WITH_CUDA ON)
        # cuDNN, where it is, computes the neck's 3x3 convolution; without it samc's own kernel does.
        find_library(CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR})
        find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
        if(SAMC_CUDNN AND CUDNN_LIBRARY AND CUDNN_INCLUDE_DIR)
            set(SAMC_WITH_CUDNN ON)
        endif()
    elseif(SAMC_CUDA STREQUAL ON)
        message(FATAL_ERROR "SAMC_CUDA=ON, but the CUDA toolkit with cuBLASLt (or -DSAMC_CUBLASLT=OFF) was not found")
    endif()
endif()
if(SAMC_WITH_CUDA)
    # Ampere and Hopper as machine code, everything later from PTX.
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 90-virtual CACHE STRING "GPU architectures")
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE} CACHE FILEPATH "nvcc")
    set(CMAKE_CUDA_STANDARD 17)
    enable_language(CUDA)
    set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG -lineinfo")
    string(APPEND CMAKE_CUDA_FLAGS " -Werror all-warnings -Xcompiler -Wall,-Wextra")
endif()
message(STATUS "CUDA backend: ${SAMC_WITH_CUDA}, cuDNN: ${SAMC_WITH_CUDNN}")
