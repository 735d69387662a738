#!/bin/sh
# Runs a compiler, and keeps what ptxas said of each kernel beside the object: FILE.o.ptxas, which
# tests/cuda_compile reads. Everything else that it says goes where it would have gone.
object=
previous=
for word; do
    [ "$previous" = -o ] && object=$word
    previous=$word
done
"$@" 2>"$object.ptxas"
status=$?
grep -vE '^ptxas info|bytes stack frame|^$' "$object.ptxas" >&2
exit $status
