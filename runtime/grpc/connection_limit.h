/* runtime/grpc/connection_limit.h: how many connections of clients gRPC has open at most.
 *
 * The core has no such limit, but lets others set options of a socket that it has accepted
 * (GRPC_ARG_SOCKET_MUTATOR). There each is counted, and one too many is shut down before anything
 * of it is read. So a flood of idle connections takes no descriptors from the rest of the program.
 */
#pragma once
#include <grpc/grpc.h>
#include <stdbool.h>
#include <stdint.h>

/* For grpc_server_create(), which makes a copy. False: this version of the core is not known to
 * work so, and nothing is limited. *n_refused, atomic, is how many were one too many; it lives as
 * long as the core. */
bool connection_limit_arg(grpc_arg *out, int max_connections, uint64_t *n_refused);
void connection_limit_release(grpc_arg *arg);
