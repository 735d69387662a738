# layer(NAME SOURCES … USES …): a layer is a folder, a library, and the layers it
# may include. tests/lint/check_includes.py holds the same graph and fails on a difference.
function(layer name)
  cmake_parse_arguments(arg "" "" "SOURCES;USES" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(${name} PUBLIC ${arg_USES})
  set_property(GLOBAL APPEND PROPERTY LAYERS ${name}) # for tests/lint
endfunction()

# tests_of(LAYER FROM FOLDER [NAME name] [WITH files] [USES libraries]) builds test_LAYER (or
# test_NAME) from every test_*.c of the folder. It links that layer alone, so a call to a higher
# one does not link.
function(tests_of layer)
  cmake_parse_arguments(arg "" "FROM;NAME" "WITH;USES" ${ARGN})
  set(name ${layer})
  if(arg_NAME)
    set(name ${arg_NAME})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${arg_FROM}/test_*.c")
  list(TRANSFORM arg_WITH PREPEND "${CMAKE_SOURCE_DIR}/")
  if(NOT TARGET testing)
    add_library(testing STATIC ${CMAKE_SOURCE_DIR}/tests/test.c ${CMAKE_SOURCE_DIR}/tests/files.c)
    target_include_directories(testing PUBLIC ${CMAKE_SOURCE_DIR})
  endif()
  add_executable(test_${name} ${arg_WITH} ${sources})
  set(sanitized 0)
  if(SANITIZE)
    set(sanitized 1)
  endif()
  target_compile_definitions(test_${name} PRIVATE SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                                  SANITIZED=${sanitized})
  target_link_libraries(test_${name} PRIVATE testing ${layer} ${arg_USES})
  add_test(NAME ${name} COMMAND test_${name})
endfunction()
