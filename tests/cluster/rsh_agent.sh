#!/bin/sh
# What mpirun takes for ssh: rsh_agent.sh HOST COMMAND... runs the command on a host that hosts.py
# made. $PHALANX_TEST_HOSTS is a folder with one file a host: a process that is in its namespaces.
# setsid, because what ssh starts elsewhere gets no signal that the caller's process group gets.
pid=$(cat "$PHALANX_TEST_HOSTS/$1") || exit 255
shift
exec setsid nsenter --target "$pid" --net --uts --ipc --mount sh -c "$*"
