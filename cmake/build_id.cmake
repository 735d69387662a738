# Writes OUT, a C file with the hash of all sources below SOURCE: programs that were built from the
# same sources have the same id, wherever and whenever. cmake -DSOURCE=... -DOUT=... -P build_id.cmake
set(patterns)
foreach(folder base kernels parallel proto runtime launcher)
  list(APPEND patterns ${SOURCE}/${folder}/*.c ${SOURCE}/${folder}/*.h ${SOURCE}/${folder}/*.proto
       ${SOURCE}/${folder}/*.cu ${SOURCE}/${folder}/*.cuh)
endforeach()
file(GLOB_RECURSE sources RELATIVE ${SOURCE} ${patterns})
list(SORT sources)
set(all "")
foreach(source ${sources})
  file(SHA1 ${SOURCE}/${source} hash)
  string(APPEND all "${source} ${hash}\n")
endforeach()
string(SHA1 id "${all}")
string(SUBSTRING ${id} 0 16 id)
file(WRITE ${OUT} "#include \"launcher/rank/build_id.h\"\n\nconst char build_id[] = \"${id}\";\n")
