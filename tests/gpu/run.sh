#!/bin/sh
# Everything that only a machine with a GPU can show, in at most ten minutes, a short table last.
#
#   tests/gpu/run.sh [BUILD]      BUILD: a folder of cmake --preset cuda (build/cuda), made if absent
#
# Results are kept in $OUT (or ./gpu-results): copy what is worth keeping to docs/benchmarks/ with date,
# hardware and command. SHAPES=none leaves out the large models, PEER=no the comparison with
# transformers. Exit code 0: every check passed (measurements are never a failure); 2: no GPU here.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
out=${OUT:-gpu-results}
shapes=${SHAPES:-llama-3.2-1b llama-3-8b}
failed=0
if [ "${1:-}" != --call ]; then # of step(), with all that follows in the environment
    build=${1:-$root/build/cuda}
    scratch=$(mktemp -d "${SCRATCH:-/dev/shm}/phalanx-gpu.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    mkdir -p "$out"
    export build scratch
fi

say() { printf '%s\n' "$*"; }

# step NAME SECONDS COMMAND...: its output goes to $out/NAME.txt, one line of it to the table. A
# function of this script is called by another run of it, because timeout wants a program.
step() {
    name=$1 limit=$2
    shift 2
    [ "$(command -v "$1")" != "$1" ] || [ -x "$1" ] || set -- sh "$0" --call "$@"
    begin=$(date +%s)
    if timeout "$limit" "$@" >"$out/$name.txt" 2>&1; then
        verdict=pass
    else
        verdict="FAIL ($?)"
        failed=1
    fi
    say "$(printf '%-28s %-10s %4d s' "$name" "$verdict" $(($(date +%s) - begin)))" |
        tee -a "$out/table.txt"
    [ "$verdict" = pass ] || tail -n 15 "$out/$name.txt"
}

skip() { say "$(printf '%-28s skipped: %s' "$1" "$2")" | tee -a "$out/table.txt"; }

# Kernels whose order is fixed have the same bits on the GPU and on the emulator of CI.
emulator_equals_gpu() {
    "$build/gpu_rows" >"$scratch/gpu" &&
        "$build/tests/unit/kernels_cuda/check_rows_emulated" >"$scratch/emulated" &&
        diff "$scratch/gpu" "$scratch/emulated"
}

# The memory checkers of CUDA over the tests of the kernels, on tiny shapes.
sanitize() {
    if ! command -v compute-sanitizer >/dev/null 2>&1; then
        skip "$1" "no compute-sanitizer here"
        return
    fi
    step "$1" 60 compute-sanitizer --tool "$1" --error-exitcode 9 "$build/gpu_rows"
}

# Two ranks on the one GPU, over the real NCCL: right or wrong only, never fast. NCCL takes two
# processes on one GPU where they seem to be on two hosts, and from 2.30.3 on where it is told to.
two_ranks() (
    export PHALANX_SHARE_GPU=1 NCCL_MULTI_RANK_GPU_ENABLE=1 NCCL_MAX_CTAS=2 NCCL_NVLS_ENABLE=0 \
        NCCL_SOCKET_IFNAME=lo NCCL_IB_DISABLE=1 NCCL_CUMEM_ENABLE=0
    "$@"
)

same_text() { # FILE FILE
    cmp "$1" "$2" || { say "different answers" && return 1; }
}

answers() { # FILE WORDS...: what the demo model says to some prompts
    file=$1
    shift
    "$build/phalanx" generate "$root/demo/model" --prompts-file "$root/tests/gpu/prompts.txt" \
        --max-tokens 48 --seed 7 --quiet "$@" >"$file"
}

# The same answers alone, in a batch, in chunks, without graphs, and with another number of ranks.
one_answer() {
    answers "$scratch/a" --device cuda --numerics exact &&
        answers "$scratch/b" --device cuda --numerics exact --max-num-seqs 1 &&
        answers "$scratch/c" --device cuda --numerics exact --max-num-batched-tokens 16 &&
        answers "$scratch/d" --device cuda --numerics exact --enforce-eager &&
        same_text "$scratch/a" "$scratch/b" && same_text "$scratch/a" "$scratch/c" &&
        same_text "$scratch/a" "$scratch/d"
}

one_answer_of_two_ranks() {
    answers "$scratch/a" --device cuda --numerics exact &&
        two_ranks answers "$scratch/b" --device cuda --numerics exact -tp 2 --gpu-memory-utilization 0.3 &&
        two_ranks answers "$scratch/c" --device cuda --numerics exact -pp 2 --gpu-memory-utilization 0.3 &&
        same_text "$scratch/a" "$scratch/b" && same_text "$scratch/a" "$scratch/c"
}

# Process start to first token of a model in the page cache.
start_up() {
    cat "$1"/*.safetensors >/dev/null
    for i in 1 2 3; do
        begin=$(date +%s.%N)
        "$build/phalanx" generate "$1" --prompt-ids 1000,2000,3000 --max-tokens 1 --device cuda \
            --quiet >/dev/null || return 1
        say "$begin $(date +%s.%N)" | awk '{printf "%.2f s from start to end with one token\n", $2 - $1}'
    done
}

measure_shape() { # SHAPE
    model=$scratch/$1
    python3 "$root/tests/models/make_shape.py" --shape "$1" --out "$model" --repeat >/dev/null ||
        return
    cp "$root"/demo/model/tokenizer*.json "$model"
    for numerics in ${NUMERICS:-fast exact}; do
        step "$1-$numerics" 150 python3 "$root/tests/gpu/measure.py" "$build/phalanx" "$model" \
            --floors "$out/floors.txt" --json "$out/$1-$numerics.json" \
            --batch ${BATCH:-1 8 64 256} --prefill ${PREFILL:-512 2048 4096} -- --device cuda --numerics "$numerics"
        sed 's/^/    /' "$out/$1-$numerics.txt" | tee -a "$out/table.txt"
    done
    step "$1-start" 60 start_up "$model"
    sed 's/^/    /' "$out/$1-start.txt" | tee -a "$out/table.txt"
    if [ "${PEER:-yes}" = no ] || ! python3 -c 'import transformers, torch' 2>/dev/null; then
        skip "$1-transformers" "not asked for, or no transformers and torch here"
    else
        step "$1-transformers" 150 python3 "$root/tests/gpu/peer.py" "$model"
        tail -n 1 "$out/$1-transformers.txt" | tee -a "$out/table.txt"
    fi
    rm -rf "$model"
}

if [ "${1:-}" = --call ]; then
    shift
    "$@"
    exit
fi
if ! nvidia-smi -L >/dev/null 2>&1; then
    say "tests/gpu/run.sh: no NVIDIA GPU here (nvidia-smi -L finds none)"
    exit 2
fi
if [ ! -x "$build/phalanx" ]; then
    cmake --preset cuda -S "$root" && cmake --build "$root/build/cuda" || exit 1
fi
: >"$out/table.txt"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader | tee -a "$out/table.txt"

step floors 60 "$build/gpu_floors"
cat "$out/floors.txt" | tee -a "$out/table.txt"
step matmul 60 "$build/gpu_matmul"
step attention 60 "$build/gpu_attention"
step rows 30 "$build/gpu_rows" --time
step emulator_equals_gpu 30 emulator_equals_gpu
for tool in memcheck racecheck synccheck initcheck; do
    sanitize $tool
done
step one_answer 60 one_answer
step two_ranks_one_gpu 90 one_answer_of_two_ranks
if [ "$shapes" != none ]; then
    for shape in $shapes; do
        measure_shape "$shape"
    done
fi
say
cat "$out/table.txt"
exit $failed
