/* runtime/grpc/listen.h: the server of gRPC with its limits, bound to an address. */
#pragma once
#include <stdbool.h>

struct error;
struct rpc_server;
struct rpc_settings;

/* Fills server->grpc and server->port, of a server that has its queues and connections.
 * ERROR_INPUT as of rpc_server_open(). */
bool listen_open(struct rpc_server *server, const struct rpc_settings *settings, struct error *err);
