/* runtime/grpc/listen.h: the server of gRPC with its limits, bound to an address. */
#pragma once
#include <grpc/grpc.h>
#include <stdbool.h>
#include <stdint.h>

struct error;
struct rpc_settings;

/* *port: the one that was bound. *n_refused: see connection_limit.h. ERROR_INPUT as of
 * rpc_server_open(). */
bool listen_open(grpc_server **out, int *port, grpc_completion_queue *queue, uint64_t *n_refused,
                 const struct rpc_settings *settings, struct error *err);
