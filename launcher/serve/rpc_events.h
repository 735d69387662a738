/* launcher/serve/rpc_events.h: gRPC in the loop of the server; nothing where --grpc-port is 0.
 *
 * Then *out is NULL, which all functions take.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct api;
struct error;
struct event_base;
struct keys;
struct options;
struct rpc_events;

struct rpc_events_settings { /* borrowed */
    const struct options *options;
    int max_connections;
    struct api *api;
    const struct keys *keys;
    bool (*is_ready)(void *context);
    void *context;
};

/* Binds the port. ERROR_INPUT, ERROR_UNSUPPORTED as of rpc_server_open(). */
bool rpc_events_open(struct rpc_events **out, const struct rpc_events_settings *settings,
                     struct error *err);
bool rpc_events_start(struct rpc_events *events, struct event_base *base, struct error *err);
/* As rpc_server_renew_certificate(), of the files that the options name. */
bool rpc_events_renew_certificate(struct rpc_events *events, struct error *err);
/* Once a turn of the loop, before ranks are heard: what was sent makes room for what they say. */
void rpc_events_step(struct rpc_events *events);
int rpc_events_calls(const struct rpc_events *events);        /* open now */
uint64_t rpc_events_refused(const struct rpc_events *events); /* connections beyond the most */
void rpc_events_drain(struct rpc_events *events);
/* Cancels what is open. */
void rpc_events_close(struct rpc_events *events);
