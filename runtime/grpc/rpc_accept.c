/* A call comes: who asks, for what, and may they? */
#include "base/check.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/grpc/connection_limit.h"
#include "runtime/grpc/rpc_state.h"

#include <grpc/support/alloc.h>
#include <string.h>

enum {
    MAX_AUTHORIZATION_BYTES = 4096,
    /* Those that are over stay for a moment, so a client may seem to have more than it may. */
    TIMES_OF_MAX_STREAMS = 2,
    CALLS_BETWEEN_LOOKS = 256,
    NS_OF_S = 1000000000,
};

/* "ipv4:127.0.0.1:4711", "ipv6:%5B::1%5D:4711" */
static void set_peer(struct rpc *rpc)
{
    char *peer = grpc_call_get_peer(rpc->call);
    const char *from = strchr(peer, ':');
    from = from == NULL ? peer : from + 1;
    size_t n = 0;
    while (*from != '\0' && n + 1 < sizeof rpc->peer) {
        const bool is_open = strncmp(from, "%5B", 3) == 0;
        const bool is_bracket = is_open || strncmp(from, "%5D", 3) == 0;
        rpc->peer[n++] = !is_bracket ? *from : is_open ? '[' : ']';
        from += is_bracket ? 3 : 1;
    }
    rpc->peer[n] = '\0';
    gpr_free(peer);
}

/* The value of "authorization", or NULL; cut ones fit no key. */
static const char *authorization(const struct rpc *rpc, char *out)
{
    for (size_t i = 0; i < rpc->metadata.count; i++) {
        const grpc_metadata *entry = &rpc->metadata.metadata[i];
        if (grpc_slice_str_cmp(entry->key, "authorization") != 0)
            continue;
        const size_t n = GRPC_SLICE_LENGTH(entry->value);
        if (n >= MAX_AUTHORIZATION_BYTES)
            return "";
        memcpy(out, GRPC_SLICE_START_PTR(entry->value), n);
        out[n] = '\0';
        return out;
    }
    return NULL;
}

bool rpc_say_draining(struct error *err)
{
    error_set(err, ERROR_LIMIT, "the server is about to end and takes no new calls");
    return error_code(err, "draining");
}

static bool may_ask(struct rpc *rpc, const struct rpc_method *method, struct error *err)
{
    const struct rpc_settings *settings = &rpc->server->settings;
    char buffer[MAX_AUTHORIZATION_BYTES];
    if (rpc->server->n_calls > settings->limits.max_calls)
        return error_set(err, ERROR_LIMIT, "%d calls are open, and no more are taken",
                         settings->limits.max_calls);
    if ((method == NULL || !method->is_open) && settings->allow != NULL &&
        !settings->allow(settings->context, authorization(rpc, buffer), &rpc->tenant)) {
        error_set(err, ERROR_INPUT,
                  "a key is missing or wrong: send the metadata "
                  "\"authorization: Bearer KEY\"");
        return error_code(err, "unauthorized");
    }
    if (rpc->server->is_draining && (method == NULL || !method->is_open || method->is_endless))
        return rpc_say_draining(err);
    if (method != NULL)
        return true;
    error_set(err, ERROR_INPUT, "there is no method %.*s",
              (int)(GRPC_SLICE_LENGTH(rpc->details.method) < 200
                        ? GRPC_SLICE_LENGTH(rpc->details.method)
                        : 200),
              (const char *)GRPC_SLICE_START_PTR(rpc->details.method));
    return error_code(err, "not_found");
}

/* The core limits the calls of a connection only when its client has said that it knows the limit.
 * Who never says so, and begins more, is cut off. A look at all calls for one of many new ones is
 * enough: a connection that floods is that of nearly every new call. */
static void cut_off_flood(const struct rpc *asks)
{
    struct rpc_server *server = asks->server;
    const int max = server->settings.limits.max_streams * TIMES_OF_MAX_STREAMS;
    if (server->connections == NULL || server->n_calls <= max ||
        ++server->n_new_calls % CALLS_BETWEEN_LOOKS != 0)
        return;
    int n = 0;
    for (const struct rpc *rpc = server->first; rpc != NULL; rpc = rpc->next)
        n += rpc->call != NULL && strcmp(rpc->peer, asks->peer) == 0;
    if (n <= max)
        return;
    const bool tells = asks->arrived_ns >= server->tell_ns; /* once a second, whatever comes */
    log_write(tells ? LOG_WARN : LOG_DEBUG, "grpc",
              "the connection of %s is cut off: it has %d calls open, and may have %d", asks->peer,
              n, server->settings.limits.max_streams);
    if (tells)
        server->tell_ns = asks->arrived_ns + NS_OF_S;
    connection_limit_shut(server->connections, asks->peer);
}

static void on_new_call(struct rpc *rpc, bool ok)
{
    if (!ok) { /* the server ends */
        rpc->is_over = true;
        rpc_free_when_done(rpc);
        return;
    }
    struct error err = {0};
    rpc->server->n_calls++;
    rpc->arrived_ns = clock_now_ns();
    if (!rpc->server->is_closing)
        rpc_wait(rpc->server);
    set_peer(rpc);
    cut_off_flood(rpc);
    rpc_watch_close(rpc);
    const struct rpc_method *method =
        rpc_method_find((const char *)GRPC_SLICE_START_PTR(rpc->details.method),
                        GRPC_SLICE_LENGTH(rpc->details.method));
    if (!may_ask(rpc, method, &err)) {
        rpc_end(rpc, &err);
        return;
    }
    rpc->method = method;
    if (method->tick != NULL)
        event_relay_tick(&rpc->server->relay, 1);
    rpc_receive(rpc);
}

void rpc_wait(struct rpc_server *server)
{
    struct rpc *rpc = memory_alloc(1, sizeof *rpc);
    rpc->server = server;
    grpc_call_details_init(&rpc->details);
    grpc_metadata_array_init(&rpc->metadata);
    rpc->next = server->first;
    if (rpc->next != NULL)
        rpc->next->previous = rpc;
    server->first = rpc;
    rpc->wait = (struct rpc_batch){.done = on_new_call, .rpc = rpc};
    rpc->n_batches = 1;
    check(grpc_server_request_call(server->grpc, &rpc->call, &rpc->details, &rpc->metadata,
                                   server->queue, server->queue, &rpc->wait) == GRPC_CALL_OK);
}
