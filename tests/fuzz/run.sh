#!/bin/sh
# run.sh PROGRAM NAME: looks for inputs that break a fuzz target, for FUZZ_SECONDS seconds (60).
#
# It starts from tests/fuzz/corpus/NAME, which this changes nothing in, and from what earlier runs
# found, which is in the folder of the build. An input that breaks the target is left beside it as
# NAME-crash-…: when it is mended, the input belongs into the corpus.
set -eu
program=$1
name=$2
here=$(dirname "$0")
found=$(dirname "$program")/found/$name
mkdir -p "$found"
# A tokenizer may take its second and 100 MB, times what the sanitizers cost.
exec "$program" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=20 -rss_limit_mb=2048 \
    -malloc_limit_mb=1024 -max_len=4096 -print_final_stats=1 -verbosity=0 -error_exitcode=1 \
    -timeout_exitcode=1 -dict="$here/$name.dict" -artifact_prefix="$found/../$name-" \
    "$found" "$here/corpus/$name"
