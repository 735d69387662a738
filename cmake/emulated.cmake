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

# in_other_orders(NAME QUICK): the tests of NAME again, threads of blocks in other orders and streams
# that do nothing before somebody waits for them: those whose names contain QUICK in every run, all
# of them with eight seeds under the label long.
function(in_other_orders name quick)
  if(SANITIZE)
    return() # the orders are not what a sanitizer looks for
  endif()
  set(lazy EMULATOR_LAZY=1)
  add_test(NAME ${name}_lazy COMMAND test_${name} ${quick})
  set_tests_properties(${name}_lazy PROPERTIES ENVIRONMENT "${lazy};EMULATOR_SEED=2")
  foreach(seed RANGE 1 8)
    set(entry ${name}_lazy_seed_${seed})
    add_test(NAME ${entry} COMMAND test_${name})
    set_tests_properties(${entry} PROPERTIES ENVIRONMENT "${lazy};EMULATOR_SEED=${seed}"
                                             LABELS long TIMEOUT 3600)
  endforeach()
endfunction()
