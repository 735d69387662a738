/* runtime/grpc/rpc_state.h: what rpc_server.c, rpc_accept.c, rpc.c, rpc_send.c and rpc_log.c share:
 * the server, and each call with the batches of operations that gRPC has of it. Nobody else needs
 * it.
 *
 *   wait ──> begin ──> receive ──> send … send ──> status ──┐
 *              └────── close: the client, or gRPC, is done ─┴──> free, when no batch is out
 */
#pragma once
#include "base/error.h"
#include "runtime/api/request_log.h"
#include "runtime/grpc/certificate.h"
#include "runtime/grpc/event_relay.h"
#include "runtime/grpc/pollers.h"
#include "runtime/grpc/rpc.h"
#include "runtime/grpc/rpc_server.h"

#include <grpc/grpc.h>

struct connection_limit;

struct rpc_server {
    struct rpc_settings settings; /* without its texts */
    grpc_server *grpc;
    grpc_completion_queue *queue; /* of the events of calls; the pollers have their own */
    struct pollers pollers;
    struct event_relay relay;
    struct certificate certificate; /* of TLS */
    int port;
    bool is_started, is_draining, is_closing, is_shut; /* shut: gRPC said so */
    struct rpc *first; /* calls, the newest first; with those that wait for a client */
    int n_calls;       /* that a client made */
    struct connection_limit *connections; /* NULL: they are not limited */
    uint64_t n_refused;                   /* connections, atomic */
    uint64_t n_new_calls;                 /* while there are many */
    int64_t tell_ns;                      /* that somebody was cut off: not before */
    int64_t next_tick_ns;
    struct arena scratch;
    struct bytes buffer;
};

/* A batch that gRPC works on: its tag. `done` is called in the api's thread. */
struct rpc_batch {
    void (*done)(struct rpc *rpc, bool ok);
    struct rpc *rpc;
    bool is_patient; /* event_relay_patient() */
};

struct rpc_message { /* that waits */
    struct rpc_message *next;
    grpc_byte_buffer *bytes;
    size_t n_bytes;
    bool waits_for_next; /* to go out with it */
};

struct rpc {
    struct rpc_server *server;
    struct rpc *previous, *next;
    const struct rpc_method *method; /* NULL: waits, or refused */
    grpc_call *call;                 /* NULL: waits for a client */
    grpc_call_details details;
    grpc_metadata_array metadata;
    char peer[80];
    uint64_t tenant;
    void *data;

    struct rpc_batch wait, close, receive, send;
    int n_batches; /* that are out */
    int close_cancelled;
    grpc_byte_buffer *received, *sending;
    bool has_request; /* the method saw a message */

    struct rpc_message *first, *last;
    int n_queued;
    size_t queued_bytes;
    bool is_sending, has_sent_metadata;
    int64_t sent_ns;  /* when what is being sent was given to gRPC */
    bool is_hurried;  /* something waits for what is being sent */
    bool is_ended;    /* rpc_end() or rpc_cancel() was called: no more messages */
    bool has_status;  /* and its status is with gRPC */
    bool is_cut;      /* rpc_cancel() ended it, and nobody had asked for that */
    bool is_over;     /* close came */
    struct error why; /* of the end; kind ERROR_NONE: OK */
    int64_t arrived_ns;
    struct request_record record;
};

/* rpc_accept.c. Lets gRPC give the next new call to this server. */
void rpc_wait(struct rpc_server *server);
bool rpc_say_draining(struct error *err); /* false */

/* rpc.c */
void rpc_start_batch(struct rpc *rpc, const grpc_op *op, size_t n, struct rpc_batch *batch,
                     void (*done)(struct rpc *, bool));
void rpc_watch_close(struct rpc *rpc); /* from the begin of a call on */
void rpc_receive(struct rpc *rpc);     /* a message of the client, for the method */
void rpc_free_when_done(struct rpc *rpc);

/* rpc_send.c. Those that wait; what is with gRPC stays there. */
void rpc_drop_messages(struct rpc *rpc);

/* rpc_log.c. Its line of the log. */
void rpc_log_end(struct rpc *rpc);
