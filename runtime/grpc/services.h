/* runtime/grpc/services.h: health and reflection, which all gRPC tools know. */
#pragma once
#include <stddef.h>

struct rpc;

void health_check(struct rpc *rpc, const void *data, size_t n_bytes);
void health_watch(struct rpc *rpc, const void *data, size_t n_bytes);
void health_watch_tick(struct rpc *rpc);
void reflection_info(struct rpc *rpc, const void *data, size_t n_bytes);
