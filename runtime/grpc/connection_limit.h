/* runtime/grpc/connection_limit.h: how many connections of clients gRPC has open at most.
 *
 * The core has no such limit, but lets others set options of a socket that it has accepted
 * (GRPC_ARG_SOCKET_MUTATOR). There each is counted, and one too many is shut down before anything
 * of it is read. So a flood of idle connections takes no descriptors from the rest of the program.
 * Nor can the core be asked to close a connection: that of a client that does harm is shut down
 * here.
 */
#pragma once
#include <grpc/grpc.h>
#include <stdbool.h>
#include <stdint.h>

struct connection_limit;

/* For grpc_server_create(). NULL: this version of the core is not known to work so, and nothing is
 * limited. *n_refused, atomic, is how many were one too many; it lives as long as the core. */
struct connection_limit *connection_limit_make(int max_connections, uint64_t *n_refused);
grpc_arg connection_limit_arg(struct connection_limit *limit); /* borrows it */
/* Shuts down the connection from this address, as rpc_peer() has it. None: it has gone. */
void connection_limit_shut(struct connection_limit *limit, const char *peer);
/* The core may have it for longer. NULL is fine. */
void connection_limit_release(struct connection_limit *limit);
