/* gRPC is initialised when a server is opened, never before: it starts threads. They take no
 * signals, which are the program's. */
#include "runtime/grpc/rpc_server.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/grpc/connection_limit.h"
#include "runtime/grpc/listen.h"
#include "runtime/grpc/rpc_state.h"

#include <grpc/support/log.h>
#include <poll.h>
#include <signal.h>

enum {
    CALLS_WAITED_FOR = 16, /* that gRPC can hand over without asking */
    NS_OF_MS = 1000000,
};

struct rpc_limits rpc_limits_default(void)
{
    return (struct rpc_limits){
        .max_message_bytes = 16 << 20,
        .max_metadata_bytes = 16 << 10,
        .max_streams = 1024,
        .max_calls = 8192,
        .max_connections = 4096,
        .max_memory_bytes = (size_t)3 << 29,
        .idle_ns = 300000000000,
        .handshake_ns = 10000000000,
        .keepalive_ns = 60000000000,
        .keepalive_reply_ns = 20000000000,
        .max_queued = 256,
        .max_queued_bytes = 256 << 10,
        .not_read_ns = 100000000,
    };
}

/* What gRPC has to say is about its inside; users get a status. */
static void log_of_grpc(gpr_log_func_args *args)
{
    log_write(LOG_DEBUG, "grpc", "%s", args->message);
}

static sigset_t block_signals(void)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    return before;
}

bool rpc_server_open(struct rpc_server **out, const struct rpc_settings *settings,
                     struct error *err)
{
    struct rpc_server *server = memory_alloc(1, sizeof *server);
    const sigset_t before = block_signals();
    gpr_set_log_function(log_of_grpc);
    grpc_init();
    server->settings = *settings;
    server->queue = event_relay_queue();
    pollers_open(&server->pollers);
    server->connections =
        connection_limit_make(settings->limits.max_connections, &server->n_refused);
    server->relay.fd = -1;
    certificate_init(&server->certificate);
    const bool is_open = listen_open(server, settings, err);
    server->settings.host = server->settings.tls_cert_file = NULL;
    server->settings.tls_key_file = NULL;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!is_open) {
        rpc_server_close(server);
        server = NULL;
    }
    *out = server;
    return is_open;
}

bool rpc_server_start(struct rpc_server *server, struct error *err)
{
    const sigset_t before = block_signals();
    server->is_started = pollers_start(&server->pollers, err) &&
                         event_relay_open(&server->relay, server->queue, err);
    if (server->is_started) {
        grpc_server_start(server->grpc);
        for (int i = 0; i < CALLS_WAITED_FOR; i++)
            rpc_wait(server);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return server->is_started;
}

bool rpc_server_renew_certificate(struct rpc_server *server, const char *cert_file,
                                  const char *key_file, struct error *err)
{
    return certificate_read(&server->certificate, cert_file, key_file, err);
}

int rpc_server_port(const struct rpc_server *server) { return server->port; }

int rpc_server_fd(const struct rpc_server *server) { return server->relay.fd; }

int rpc_server_calls(const struct rpc_server *server) { return server->n_calls; }

uint64_t rpc_server_refused(const struct rpc_server *server)
{
    return __atomic_load_n(&server->n_refused, __ATOMIC_RELAXED);
}

static void tick_calls(struct rpc_server *server)
{
    for (struct rpc *rpc = server->first; rpc != NULL; rpc = rpc->next)
        if (rpc->method != NULL && rpc->method->tick != NULL && !rpc->is_over)
            rpc->method->tick(rpc);
}

void rpc_server_step(struct rpc_server *server)
{
    int n;
    const struct relayed_event *event = event_relay_take(&server->relay, &n);
    for (int i = 0; i < n; i++) {
        if (event[i].tag == server) {
            server->is_shut = true;
            continue;
        }
        const struct rpc_batch *batch = event[i].tag;
        batch->rpc->n_batches--;
        batch->done(batch->rpc, event[i].ok);
    }
    const int64_t now_ns = clock_now_ns();
    if (server->relay.n_ticking > 0 && now_ns >= server->next_tick_ns) {
        server->next_tick_ns = now_ns + EVENT_RELAY_TICK_MS * NS_OF_MS;
        tick_calls(server);
    }
}

void rpc_server_drain(struct rpc_server *server)
{
    struct error why = {0};
    rpc_say_draining(&why);
    tick_calls(server); /* watchers learn that it is not ready */
    server->is_draining = true;
    for (struct rpc *rpc = server->first; rpc != NULL; rpc = rpc->next)
        if (rpc->method != NULL && (rpc->method->is_endless || !rpc->has_request))
            rpc_end(rpc, &why);
}

/* Without a relay nobody waits in the queue but us. */
static void close_unstarted(struct rpc_server *server)
{
    grpc_server_shutdown_and_notify(server->grpc, server->queue, server);
    grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
}

static void close_started(struct rpc_server *server)
{
    server->is_closing = true;
    grpc_server_shutdown_and_notify(server->grpc, server->queue, server);
    if (server->n_calls > 0) /* it tells clients of an error of ours */
        grpc_server_cancel_all_calls(server->grpc);
    while (!server->is_shut || server->first != NULL) {
        struct pollfd wait = {.fd = server->relay.fd, .events = POLLIN};
        poll(&wait, 1, -1);
        rpc_server_step(server);
    }
}

void rpc_server_close(struct rpc_server *server)
{
    if (server == NULL)
        return;
    if (server->is_started)
        close_started(server);
    else if (server->grpc != NULL)
        close_unstarted(server);
    grpc_completion_queue_shutdown(server->queue);
    if (server->is_started)
        event_relay_close(&server->relay);
    if (server->grpc != NULL)
        grpc_server_destroy(server->grpc);
    pollers_close(&server->pollers);
    connection_limit_release(server->connections);
    grpc_completion_queue_destroy(server->queue);
    grpc_shutdown_blocking(); /* else a thread goes on to free what is ours, too */
    certificate_release(&server->certificate);
    arena_release(&server->scratch);
    bytes_release(&server->buffer);
    memory_free(server);
}
