#!/bin/sh
# Runs a job where /dev/shm has 1 MB, in a mount namespace of its own. MPI itself then goes
# without shared memory, so that the error is ours. Exit code 77: not permitted here.
# Usage: small_shm.sh MPIRUN TEST_PROGRAM
set -eu
if ! unshare --mount true 2>/dev/null; then
    echo "skipped: this user may not make a mount namespace"
    exit 77
fi
SMALL_SHM=1 OMPI_MCA_btl=self,tcp exec unshare --mount sh -eu -c '
    mount -t tmpfs -o size=1m tmpfs /dev/shm
    "$1" -n 2 "$2" a_small_shared_memory
    test -z "$(ls /dev/shm)"' sh "$1" "$2"
