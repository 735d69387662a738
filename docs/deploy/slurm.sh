#!/bin/bash
# A server as a Slurm job of one node: `sbatch docs/deploy/slurm.sh /path/to/model [options]`. One rank a
# task, on GPUs one GPU a rank. Keys: one a line in ~/.phalanx-keys, which others cannot read.
#SBATCH --job-name=phalanx
#SBATCH --nodes=1
#SBATCH --ntasks=4
#SBATCH --cpus-per-task=8
# All GPUs of the job are seen by all ranks: with --gpus-per-task they could not reach each other's memory.
#SBATCH --gpus-per-node=4
#SBATCH --time=12:00:00
# Two minutes before its end phalanx, and nobody else (B:), is told, so that requests in flight are
# finished: its ranks must not hear of it. That is why phalanx starts them, and not srun, which would
# pass the signal on to each; and lost ranks are started again. `scancel --batch -s TERM JOB` does the
# same at any time.
#SBATCH --signal=B:TERM@120
set -eu
model=${1:?usage: sbatch slurm.sh MODEL [options]}
shift
exec phalanx serve "$model" -tp "$SLURM_NTASKS" --host 0.0.0.0 --api-key-file "$HOME/.phalanx-keys" \
    --drain-timeout 90 "$@"
