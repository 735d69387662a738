# Writes OUT, a C file with the bytes of IN: cmake -DIN=... -DOUT=... -P embed_descriptor.cmake
file(READ ${IN} hex HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include \"proto/services.h\"\n\nconst unsigned char services_file[] = {${bytes}};\n\
const size_t services_file_bytes = sizeof services_file;\n")
