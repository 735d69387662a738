/* launcher/serve/open_files.h: as many connections as the system has open files for.
 *
 * A server without a free descriptor answers nobody, its health neither, and cannot start ranks
 * again. So some are kept back, and connections beyond the rest are turned away as those beyond
 * --max-connections.
 */
#pragma once

/* Raises the process's limit of open files as far as it may and this needs. The connections that
 * each of n_protocols can have, at most `wanted`, at least one; a warning says where it is less. */
int open_files_for_connections(int wanted, int n_protocols, int n_replicas);
