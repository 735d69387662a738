/* runtime/grpc/rpc_server.h: the gRPC services of Phalanx over gRPC's C core.
 *
 *   threads of gRPC ──> event_relay ──(a descriptor that becomes readable)──> rpc_server_step()
 *                                                    the thread of the api: methods, answers
 *
 * Services: phalanx.v1.Inference, grpc.health.v1.Health, grpc.reflection.v1 and v1alpha. Everything
 * of ours runs in the thread that calls these functions; nothing here waits but rpc_server_close().
 * An error of a call is a status of proto/status.h, its text, and trailing metadata phalanx-param
 * and phalanx-code. Of a client that does not read, at most max_queued messages or bytes are held;
 * then its call ends with RESOURCE_EXHAUSTED. gRPC takes one message at a time, so what comes all
 * at once, because the ranks are ahead, waits here too: who reads on has room for more of it. A
 * build without gRPC has rpc_absent.c instead.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct error;
struct rpc_server;

struct rpc_limits {
    size_t max_message_bytes;  /* of a request: 16 MB; more is RESOURCE_EXHAUSTED */
    size_t max_metadata_bytes; /* 16 KB; more is RESOURCE_EXHAUSTED */
    int max_streams;           /* calls at once of one connection: 1024; more of them wait.
                                * Of a client that begins twice as many it is cut off */
    int max_calls;             /* of all connections: 8192; more is RESOURCE_EXHAUSTED */
    int max_connections;       /* 4096; one more is closed */
    /* What the core takes for connections, calls, and messages until they are whole: 1.5 GB; over
     * it calls end with RESOURCE_EXHAUSTED, and connections without a call are closed. */
    size_t max_memory_bytes;
    int64_t idle_ns;            /* without a call, then a connection is asked to go: 300 s */
    int64_t handshake_ns;       /* until a new connection speaks TLS and HTTP/2: 10 s */
    int64_t keepalive_ns;       /* a silent client is asked whether it is there: 60 s, */
    int64_t keepalive_reply_ns; /* and closed when it does not answer: 20 s */
    int max_queued;             /* messages, 256, */
    size_t max_queued_bytes;    /* or bytes, 256 KB, that wait for a client to read; of one that */
    int64_t not_read_ns;        /* has read within 100 ms four times as many */
};
struct rpc_limits rpc_limits_default(void);

struct rpc_settings { /* texts are borrowed for rpc_server_open(), the rest for ever */
    const char *host;
    int port;                                 /* 0: any, see rpc_server_port() */
    const char *tls_cert_file, *tls_key_file; /* PEM; NULL: plain */
    struct rpc_limits limits;
    const char *version;
    struct api *api;
    /* Whether who sends this metadata "authorization" (NULL: none) may ask; all but
     * grpc.health.v1 needs it. *tenant: whose fair share, 0: nobody's. NULL: everybody may. */
    bool (*allow)(void *context, const char *authorization, uint64_t *tenant);
    bool (*is_ready)(void *context);
    void *context;
};

/* Binds the port; nobody is answered before rpc_server_start(). ERROR_INPUT: the address or the
 * port, with the reason; a TLS file. ERROR_UNSUPPORTED: a build without gRPC. */
bool rpc_server_open(struct rpc_server **out, const struct rpc_settings *settings,
                     struct error *err);
bool rpc_server_start(struct rpc_server *server, struct error *err);
/* Of a server that speaks TLS, for connections that are made from now on. ERROR_INPUT: a file that
 * cannot be read. A pair that does not fit is not used, without a word: the caller has looked. */
bool rpc_server_renew_certificate(struct rpc_server *server, const char *cert_file,
                                  const char *key_file, struct error *err);
int rpc_server_port(const struct rpc_server *server);
/* Readable when rpc_server_step() has something to do that cannot wait. -1 before the start. */
int rpc_server_fd(const struct rpc_server *server);
void rpc_server_step(struct rpc_server *server); /* cheap when nothing came */
/* From now on new calls get UNAVAILABLE (code "draining"), but for Health.Check, which tells the
 * truth. Those that are there go on, but for Health.Watch, reflection, and those that have not said
 * yet what they want, which end. May be called again. */
void rpc_server_drain(struct rpc_server *server);
int rpc_server_calls(const struct rpc_server *server);        /* now */
uint64_t rpc_server_refused(const struct rpc_server *server); /* connections beyond the most */
/* Cancels what goes on and waits until nothing of it is left. NULL is fine. */
void rpc_server_close(struct rpc_server *server);
