/* launcher/rank/far_daemon.h: the daemon of mpirun on a host that has lost the others. */
#pragma once

/* For a rank that ends because others are lost, in a job that phalanx started over several hosts:
 * waits a moment for mpirun to end it, and where nothing comes ends Open MPI's daemon (orted), its
 * parent. With a message on its way to a host that no longer answers the daemon would wait as long
 * as TCP does, a quarter of an hour; the keep-alive of its connection does not count then. On the
 * host of mpirun itself this does nothing. */
void far_daemon_end(void);
