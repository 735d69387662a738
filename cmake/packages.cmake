# The libraries we stand on. `./bootstrap` installs the Debian packages that bring them.
find_package(PkgConfig REQUIRED)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(EDIT REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(EVENT REQUIRED IMPORTED_TARGET libevent_core libevent_openssl)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(PROTOBUF_C REQUIRED IMPORTED_TARGET libprotobuf-c)

# No pkg-config file comes with it.
find_path(HTTP_PARSER_INCLUDE http_parser.h REQUIRED)
find_library(HTTP_PARSER_LIBRARY http_parser REQUIRED)

# MPI_C_FOUND decides between parallel/comm_mpi.c and the file that says it is absent.
set(MPI_C_FOUND FALSE)
if(WITH_MPI STREQUAL "ON")
  find_package(MPI REQUIRED COMPONENTS C)
elseif(NOT WITH_MPI STREQUAL "OFF")
  find_package(MPI COMPONENTS C)
endif()

# HAS_GRPC decides between runtime/grpc and its rpc_absent.c.
set(HAS_GRPC FALSE)
if(WITH_GRPC STREQUAL "ON")
  pkg_check_modules(GRPC REQUIRED IMPORTED_TARGET grpc)
elseif(NOT WITH_GRPC STREQUAL "OFF")
  pkg_check_modules(GRPC IMPORTED_TARGET grpc)
endif()
if(NOT WITH_GRPC STREQUAL "OFF" AND GRPC_FOUND)
  set(HAS_GRPC TRUE)
endif()

find_package(Python3 COMPONENTS Interpreter) # for tests/lint only
