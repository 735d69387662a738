# cuda_emulated(TARGET): the .cu and .c files of TARGET are compiled by the host compilers over the
# GPU of tests (tests/cuda_emulator/), so that kernels run, and are tested, where there is none.
enable_language(CXX)
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")

function(cuda_emulated target)
  get_target_property(sources ${target} SOURCES)
  list(FILTER sources INCLUDE REGEX "\\.cu$")
  # Kernels are full of hints for nvcc, and a template does not use all that it names.
  set_source_files_properties(${sources} TARGET_DIRECTORY ${target} PROPERTIES
    LANGUAGE CXX
    COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas;-Wno-unused-function")
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(${target} PUBLIC cuda_emulator)
endfunction()
