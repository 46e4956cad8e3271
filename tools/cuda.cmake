# The CUDA backend: whether this build has it (SAMC_WITH_CUDA), and its sources. The emulation (tests/emu) compiles the
# same sources against its twins of the runtime, with or without a toolkit.

# Host side, C; includes the header of the CUDA runtime.
set(SAMC_CUDA_SOURCES
    ${CMAKE_SOURCE_DIR}/runtime/cuda_device.c
    ${CMAKE_SOURCE_DIR}/runtime/cuda_session.c
    ${CMAKE_SOURCE_DIR}/runtime/cuda_plan.c
    ${CMAKE_SOURCE_DIR}/kernels/cuda/ops_cuda.c
    ${CMAKE_SOURCE_DIR}/kernels/cuda/libraries.c)
file(GLOB library_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*/library.c)
list(APPEND SAMC_CUDA_SOURCES ${library_files})
# NVIDIA's libraries opened by name; the emulation has twins of them instead.
set(SAMC_CUDA_LOADER ${CMAKE_SOURCE_DIR}/kernels/cuda/nvidia.c)

# Kernels: every kernels/x/cuda.cu. An operator of the list without one does not link.
file(GLOB kernel_files RELATIVE ${CMAKE_SOURCE_DIR}/kernels CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/kernels/*/cuda.cu)
string(REPLACE "/cuda.cu" "" SAMC_CUDA_KERNELS "${kernel_files}")

# AUTO: wherever nvcc is. The program that comes of it runs everywhere: of NVIDIA's libraries only the CUDA runtime is
# in it, statically, and the driver, cuBLASLt and cuDNN are opened by name when a GPU is used. Sanitizer builds have no
# CUDA.
set(SAMC_WITH_CUDA OFF)
if(SAMC_CUDA STREQUAL ON OR (SAMC_CUDA STREQUAL AUTO AND NOT SAMC_SANITIZE))
    # tools/cuda_toolkit.sh
    find_program(SAMC_NVCC nvcc PATHS /usr/local/cuda/bin ${CMAKE_SOURCE_DIR}/build/cuda/nvidia/cu13/bin)
    if(SAMC_NVCC AND NOT CUDAToolkit_ROOT)
        get_filename_component(nvcc_file ${SAMC_NVCC} REALPATH)
        get_filename_component(nvcc_folder ${nvcc_file} DIRECTORY)
        get_filename_component(CUDAToolkit_ROOT ${nvcc_folder} DIRECTORY)
    endif()
    find_package(CUDAToolkit QUIET)
    if(CUDAToolkit_FOUND AND TARGET CUDA::cudart_static)
        set(SAMC_WITH_CUDA ON)
    elseif(SAMC_CUDA STREQUAL ON)
        message(FATAL_ERROR "SAMC_CUDA=ON, but the CUDA toolkit (nvcc and libcudart_static) was not found")
    endif()
endif()
if(SAMC_WITH_CUDA)
    # Ampere with its kin (8.6, 8.9 run code for 8.0) and Hopper; every other GPU is for packages, whose build takes
    # three times as long.
    if(SAMC_CUDA_PACKAGE)
        set(architectures 80-real 86-real 89-real 90a-real 100-real 120-real 120-virtual)
    else()
        set(architectures 80-real 90a-real)
    endif()
    set(CMAKE_CUDA_ARCHITECTURES ${architectures} CACHE STRING "GPU architectures")
    set(CMAKE_CUDA_COMPILER ${CUDAToolkit_NVCC_EXECUTABLE} CACHE FILEPATH "nvcc")
    set(CMAKE_CUDA_STANDARD 17)
    enable_language(CUDA)
    # A profiler's line numbers are more than half of the code: packages do without.
    if(SAMC_CUDA_PACKAGE)
        set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG")
    else()
        set(CMAKE_CUDA_FLAGS_RELEASE "-O3 -DNDEBUG -lineinfo")
    endif()
    string(APPEND CMAKE_CUDA_FLAGS " -Werror all-warnings -Xcompiler -Wall,-Wextra")
    string(REPLACE ";" " " SAMC_CUDA_CODE "${CMAKE_CUDA_ARCHITECTURES}")
    message(STATUS "CUDA backend: for ${SAMC_CUDA_CODE}")
else()
    message(STATUS "CUDA backend: none (no nvcc, or not wanted)")
endif()
