#!/bin/bash
# A server as a Slurm job: `sbatch docs/deploy/slurm.sh /path/to/model`. One rank a GPU; the gateway and
# the ports are on the first node of the job. Keys: one a line in ~/.phalanx-keys.
#SBATCH --job-name=phalanx
#SBATCH --nodes=1
#SBATCH --ntasks=4
#SBATCH --gpus-per-task=1
#SBATCH --time=12:00:00
# Two minutes before its end the job is told, so that requests in flight are finished.
#SBATCH --signal=TERM@120
set -eu
model=${1:?usage: sbatch slurm.sh MODEL [options]}
shift
exec srun --mpi=pmix phalanx serve "$model" -tp "$SLURM_NTASKS" --host 0.0.0.0 \
    --api-key-file "$HOME/.phalanx-keys" --drain-timeout 90 "$@"
