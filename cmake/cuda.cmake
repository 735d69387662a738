# phalanx-cuda.so: the GPU kernels, the communicator over NCCL, and the only place that links the
# libraries of NVIDIA. phalanx-rank loads it when a GPU is to be used (launcher/rank/cuda_module.h).
#
# WITH_CUDA=AUTO builds it where nvcc, cuBLASLt and NCCL are there; ON fails where one is missing.
set(CUDA_TARGETS 80 90a 100 CACHE STRING "Architectures of GPUs that the kernels are compiled for")
set(NCCL_ROOT "" CACHE PATH "Folder of NCCL, where it is not beside the CUDA toolkit")

set(CUDA_MISSING "")
if(WITH_CUDA STREQUAL "OFF")
  set(CUDA_MISSING "WITH_CUDA is OFF")
else()
  include(CheckLanguage)
  find_package(CUDAToolkit QUIET)
  find_program(NVCC nvcc HINTS ${CUDAToolkit_BIN_DIR} /usr/local/cuda/bin)
  find_path(NCCL_INCLUDE nccl.h HINTS ${NCCL_ROOT} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
  find_library(NCCL_LIBRARY nccl HINTS ${NCCL_ROOT} ${CUDAToolkit_LIBRARY_DIR} PATH_SUFFIXES lib)
  if(NOT NVCC)
    set(CUDA_MISSING "nvcc is missing")
  elseif(NOT TARGET CUDA::cublasLt OR NOT TARGET CUDA::cudart_static)
    set(CUDA_MISSING "cuBLASLt is missing")
  elseif(NOT NCCL_INCLUDE OR NOT NCCL_LIBRARY)
    set(CUDA_MISSING "NCCL is missing")
  endif()
endif()
if(CUDA_MISSING AND WITH_CUDA STREQUAL "ON")
  message(FATAL_ERROR "WITH_CUDA=ON: ${CUDA_MISSING}. Install it, or configure with WITH_CUDA=OFF.")
endif()
if(NOT CUDA_MISSING)
  list(TRANSFORM CUDA_TARGETS APPEND "-real" OUTPUT_VARIABLE CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_COMPILER ${NVCC})
  set(CMAKE_CUDA_STANDARD 17)
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  set(CMAKE_CUDA_EXTENSIONS OFF)
  set(CMAKE_CUDA_RUNTIME_LIBRARY Static)
  enable_language(CUDA)
endif()

# cuda_part(TARGET): a static library that may end in a phalanx-cuda.so.
function(cuda_part target)
  set_target_properties(${target} PROPERTIES
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON POSITION_INDEPENDENT_CODE ON)
  target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR})
  if(NOT CUDA_MISSING)
    target_include_directories(${target} SYSTEM PRIVATE ${CUDAToolkit_INCLUDE_DIRS})
  endif()
endfunction()

# cuda_module(TARGET): it is a phalanx-cuda.so, with one symbol to be seen. What it does not have itself
# it takes from phalanx-rank, which exports its own.
function(cuda_module target)
  cuda_part(${target})
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME phalanx-cuda SUFFIX ".so")
endfunction()
