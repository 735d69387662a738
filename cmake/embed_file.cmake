# cmake -DFILE=page.html -DNAME=page_html -DOUT=page_html.c -P embed_file.cmake
# A file as C: const char NAME[] = {…} with a NUL behind it, and const size_t NAME_bytes.
file(READ ${FILE} bytes HEX)
string(LENGTH "${bytes}" n_digits)
math(EXPR n_bytes "${n_digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((....,){20})" "\\1\n" bytes "${bytes}")
file(WRITE ${OUT} "#include <stddef.h>\nextern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_bytes;\n\
const unsigned char ${NAME}[] = {\n${bytes}0};\nconst size_t ${NAME}_bytes = ${n_bytes};\n")
