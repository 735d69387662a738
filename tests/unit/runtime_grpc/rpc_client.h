/* tests/unit/runtime_grpc/rpc_client.h: one client and one server in one thread, over a real
 * socket.
 *
 * Messages are bytes: what a stock client makes of proto/phalanx.proto is tested in tests/grpc. */
#pragma once
#include "base/bytes.h"
#include "runtime/grpc/rpc_server.h"
#include "tests/unit/runtime_grpc/fake_api.h"

#include <grpc/grpc.h>
#include <stdbool.h>

struct rpc_world {
    struct fake_api fake;
    struct rpc_server *server;
    grpc_channel *channel;
    grpc_completion_queue *queue;
    bool is_ready, is_model_slow; /* slow: it says nothing while the world turns */
    const char *key;              /* NULL: everybody may */
};

enum { CLIENT_KEPT_MESSAGES = 32 };

struct rpc_client { /* one call */
    struct rpc_world *world;
    grpc_call *call;
    grpc_metadata_array begin, end;
    grpc_byte_buffer *received, *sent;
    struct bytes message[CLIENT_KEPT_MESSAGES];
    int n_messages;
    grpc_status_code status;
    grpc_slice details;
    char text[256], param[64], code[64], pushback[16]; /* of the end */
    bool is_done;
};

/* `limits` NULL: the defaults. */
void world_open(struct rpc_world *world, const struct rpc_limits *limits, const char *key);
void world_close(struct rpc_world *world);
/* One turn of the server, the model and the clients; at least a millisecond where nothing comes. */
void world_turn(struct rpc_world *world);
enum { MOST_TURNS = 20000 }; /* for what should take a few */
/* Until the server has so many calls: gRPC's own threads bring it an end some time later. */
void world_turn_until_calls(struct rpc_world *world, int wanted);

/* Sends one message (data NULL: none, only the end) with at most timeout_ms for the answer, 0: no
 * deadline. */
void client_call(struct rpc_client *client, struct rpc_world *world, const char *method,
                 const void *data, size_t n_bytes, int timeout_ms, const char *authorization,
                 bool reads);
/* A call that does not say what it wants. */
void client_call_silently(struct rpc_client *client, struct rpc_world *world, const char *method);
void client_read(struct rpc_client *client); /* from now on, where it did not */
void client_wait(struct rpc_client *client); /* for the end */
void client_release(struct rpc_client *client);
/* The whole call: its status. */
grpc_status_code client_ask(struct rpc_client *client, struct rpc_world *world, const char *method,
                            const void *data, size_t n_bytes);
/* Whether a message has these bytes somewhere. */
bool client_saw(const struct rpc_client *client, int message, const char *bytes);
