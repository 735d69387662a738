/* runtime/grpc/listen.h: the server of gRPC with its limits, bound to an address. */
#pragma once
#include <grpc/grpc.h>
#include <stdbool.h>

struct error;
struct rpc_settings;

/* *port: the one that was bound. ERROR_INPUT as of rpc_server_open(). */
bool listen_open(grpc_server **out, int *port, grpc_completion_queue *queue,
                 const struct rpc_settings *settings, struct error *err);
