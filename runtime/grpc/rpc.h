/* runtime/grpc/rpc.h: one call of a client, as the methods see it.
 *
 * A method gets the message of the client, answers with any number of messages, and ends the call
 * once. Messages wait while the client does not take them, one is with gRPC at a time.
 */
#pragma once
#include "base/bytes.h"
#include "base/memory.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct error;
struct request_record;
struct rpc;
struct rpc_server;
struct rpc_settings;

struct rpc_method {
    const char *path; /* "/phalanx.v1.Inference/Generate" */
    bool is_open;     /* needs no key */
    bool takes_many;  /* the client sends messages as long as it likes */
    bool is_endless;  /* it would go on for ever: a server that drains ends it */
    /* A message of the client. It answers now or later. */
    void (*request)(struct rpc *rpc, const void *data, size_t n_bytes);
    /* The call is over, whoever ended it; its memory is gone after this. What it still waits for is
     * cancelled here. Never called from inside rpc_send() or rpc_end(). May be NULL. */
    void (*closed)(struct rpc *rpc);
    /* Every EVENT_RELAY_TICK_MS while the call is there. May be NULL. */
    void (*tick)(struct rpc *rpc);
};
/* NULL: there is none. */
const struct rpc_method *rpc_method_find(const char *path, size_t n_bytes);

struct rpc_server *rpc_server_of(const struct rpc *rpc);
const struct rpc_settings *rpc_settings_of(const struct rpc *rpc);
struct api *rpc_api(const struct rpc *rpc);
uint64_t rpc_tenant(const struct rpc *rpc);
const char *rpc_peer(const struct rpc *rpc);        /* "127.0.0.1:4711" */
struct request_record *rpc_record(struct rpc *rpc); /* for the log, until it is closed */
const struct rpc_method *rpc_method_of(const struct rpc *rpc);
int64_t rpc_deadline_ms(const struct rpc *rpc); /* from now on, at least 1; INT64_MAX: none */
/* The method's own. */
void rpc_set_data(struct rpc *rpc, void *data);
void *rpc_data(const struct rpc *rpc);
struct rpc *rpc_next(const struct rpc_server *server, const struct rpc *rpc); /* NULL: first, end */

/* Memory for one message: `scratch` is emptied by the next call of either. */
struct arena *rpc_scratch(const struct rpc *rpc);
struct bytes *rpc_buffer(const struct rpc *rpc); /* empty */

/* Copies. False: the client is gone or does not read, or the call has its end already. */
bool rpc_send(struct rpc *rpc, const struct bytes *message);
/* The same for one that may stay here until the next one, or the end, comes: and that is soon. */
bool rpc_send_with_next(struct rpc *rpc, const struct bytes *message);
/* After all messages that were sent: OK, or why not. Only the first end counts. */
void rpc_end(struct rpc *rpc, const struct error *why);
/* At once, also when the client does not read. `grpc_status` is a number of google.rpc.Code. */
void rpc_cancel(struct rpc *rpc, int grpc_status, const char *text);
