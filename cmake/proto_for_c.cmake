# Writes OUT, the .proto file IN as protobuf-c 1.4 takes it: cmake -DIN=... -DOUT=... -P proto_for_c.cmake
#
# What goes over the wire stays the same. Version 1.4 refuses `optional` in proto3, and has a has_
# member for it in proto2; a string of C would end at its first NUL, and bytes come with their length;
# lists of numbers are packed, as proto3 has them.
file(READ ${IN} text)
string(REPLACE "syntax = \"proto3\"" "syntax = \"proto2\"" text "${text}")
string(REGEX REPLACE "\n  ([A-Za-z0-9]+ [a-z_]+ = )" "\n  optional \\1" text "${text}")
string(REPLACE " string " " bytes " text "${text}")
string(REGEX REPLACE "(repeated (u?int32|float|double) [a-z_]+ = [0-9]+)" "\\1 [packed = true]"
       text "${text}")
file(WRITE ${OUT} "${text}")
