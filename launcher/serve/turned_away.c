#include "launcher/serve/turned_away.h"

#include "base/log.h"
#include "base/memory.h"
#include "launcher/serve/rpc_events.h"
#include "runtime/http/http_server.h"

#include <event2/event.h>
#include <stdint.h>

struct turned_away {
    const struct http_server *http;
    const struct rpc_events *rpc;
    int max_connections;
    uint64_t n_http, n_rpc, n_waits; /* that were told */
    struct event *tick;
};

static void on_tick(evutil_socket_t fd, short what, void *context)
{
    struct turned_away *away = context;
    const struct http_counts http = http_server_counts(away->http);
    const uint64_t n_rpc = rpc_events_refused(away->rpc);
    (void)fd, (void)what;
    if (http.n_refused != away->n_http || n_rpc != away->n_rpc)
        log_write(LOG_WARN, "serve",
                  "connections turned away in the last second: %llu of HTTP, %llu of gRPC; each "
                  "has %d open at most (--max-connections)",
                  (unsigned long long)(http.n_refused - away->n_http),
                  (unsigned long long)(n_rpc - away->n_rpc), away->max_connections);
    if (http.n_waits != away->n_waits)
        log_write(LOG_WARN, "serve",
                  "connections of HTTP wait: the system gives no more files (ulimit -n, "
                  "LimitNOFILE, fs.file-max) or no memory");
    away->n_http = http.n_refused;
    away->n_rpc = n_rpc;
    away->n_waits = http.n_waits;
}

struct turned_away *turned_away_create(struct event_base *base, const struct http_server *http,
                                       const struct rpc_events *rpc, int max_connections)
{
    static const struct timeval second = {1, 0};
    struct turned_away *away = memory_alloc(1, sizeof *away);
    away->http = http;
    away->rpc = rpc;
    away->max_connections = max_connections;
    away->tick = event_new(base, -1, EV_PERSIST, on_tick, away);
    evtimer_add(away->tick, &second);
    return away;
}

void turned_away_destroy(struct turned_away *away)
{
    if (away == NULL)
        return;
    event_free(away->tick);
    memory_free(away);
}
