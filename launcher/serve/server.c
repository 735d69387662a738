#include "launcher/serve/server.h"

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/serve/addresses.h"
#include "launcher/serve/front.h"
#include "launcher/serve/keys.h"
#include "launcher/serve/life.h"
#include "launcher/serve/notify.h"
#include "launcher/serve/open_files.h"
#include "launcher/serve/rpc_events.h"
#include "launcher/serve/session_events.h"
#include "launcher/serve/statistics.h"
#include "launcher/serve/turned_away.h"
#include "launcher/service.h"
#include "runtime/endpoints/endpoints.h"
#include "runtime/http/http_server.h"
#include "runtime/options/options.h"

#include <event2/event.h>
#include <stdio.h>

enum {
    NS_OF_S = 1000000000,
    READING_SLICE_NS = 2000000, /* of a turn of the loop: by so much the streams of others wait */
};
static const int64_t PROGRESS_NS = 2000000000; /* a replica that was not heard for so long hangs */

struct server {
    const struct options *options;
    int64_t begin_ns;
    int max_connections; /* of HTTP, and of gRPC */
    struct event_base *base;
    struct keys *keys;
    struct service service;
    struct endpoints *endpoints;
    struct front *front;
    struct http_server *http;
    struct rpc_events *rpc;
    struct session_events *session_events;
    struct statistics *statistics;
    struct turned_away *turned_away;
    struct life *life;
};

/* ---- what the endpoints ask ---- */

/* While every rank of some replica goes on: it takes requests. */
static bool is_ready(void *context)
{
    struct server *server = context;
    const struct service *service = &server->service;
    if (service->admission.state != ADMISSION_OPEN)
        return false;
    const int64_t since_ns = clock_now_ns() - PROGRESS_NS;
    for (int i = 0; i < service->session.n_replicas; i++)
        if (service->session.replica[i].state == REPLICA_READY &&
            dispatch_heard_ns(service->session.dispatch, i) >= since_ns)
            return true;
    return false;
}

static bool is_alive(void *context)
{
    (void)context;
    return true; /* this thread answers */
}

/* ---- what life asks ---- */

static void drain(void *context)
{
    struct server *server = context;
    server->service.admission.state = ADMISSION_DRAINING;
    rpc_events_drain(server->rpc);
    notify_send("STOPPING=1\nSTATUS=draining");
    log_write(LOG_INFO, "serve", "draining: %lld sequences are finished first",
              (long long)server->service.admission.n_in_flight);
}

static void reload_keys(struct server *server)
{
    struct error err = {0};
    if (server->options->serve.api_key_file == NULL)
        return;
    if (keys_reload(server->keys, &err))
        log_write(LOG_INFO, "serve", "%d API keys", keys_count(server->keys));
    else
        log_write(LOG_ERROR, "serve", "the keys of before stay: %s", err.text);
}

/* HTTP first: it says what is wrong with a pair, and gRPC only leaves it. */
static void reload_certificate(struct server *server)
{
    const char *cert_file = server->options->serve.ssl_certfile;
    struct error err = {0};
    if (cert_file == NULL)
        return;
    if (http_server_renew_certificate(server->http, cert_file, server->options->serve.ssl_keyfile,
                                      &err) &&
        (rpc_events_renew_certificate(server->rpc, &err) || error_in(&err, "for gRPC alone")))
        log_write(LOG_INFO, "serve", "new connections get the certificate of %s", cert_file);
    else
        log_write(LOG_WARN, "serve", "the certificate of before stays: %s", err.text);
}

static void reload(void *context)
{
    reload_keys(context);
    reload_certificate(context);
}

/* Once there is nothing more to do for those that were let in, nobody new is even told that it
 * is too late, and who has not yet asked to the end never does: else they could go on for ever. */
static bool finish(void *context)
{
    const struct server *server = context;
    if (server->service.admission.n_in_flight > 0)
        return false;
    http_server_drain(server->http);
    rpc_events_drain(server->rpc);
    return http_server_counts(server->http).n_exchanges == 0 && rpc_events_calls(server->rpc) == 0;
}

static void give_up(void *context)
{
    struct server *server = context;
    struct error why = {0};
    error_set(&why, ERROR_LIMIT, "the server is ended, and could not wait longer");
    error_code(&why, "draining");
    dispatch_fail_all(server->service.session.dispatch, &why);
    api_give_up(&server->service.api, &why);
}

/* ---- open, load ---- */

static bool listen_http(struct server *server, struct error *err)
{
    const struct options *options = server->options;
    struct http_settings settings = {.host = options->serve.host,
                                     .port = (int)options->serve.port,
                                     .tls_cert_file = options->serve.ssl_certfile,
                                     .tls_key_file = options->serve.ssl_keyfile,
                                     .limits = http_limits_default()};
    settings.limits.max_connections = server->max_connections;
    settings.limits.max_body_bytes = (size_t)options->serve.max_body_bytes;
    const struct http_handler handler = front_handler(server->front);
    return http_server_open(&server->http, server->base, &settings, &handler, err);
}

bool server_open(struct server **out, const struct options *options,
                 const volatile sig_atomic_t *interrupt, struct error *err)
{
    struct server *server = memory_alloc(1, sizeof *server);
    *out = server;
    server->options = options;
    server->service.session.interrupt = interrupt;
    server->begin_ns = clock_now_ns();
    if (!keys_open(&server->keys, options, err) ||
        !addresses_check(options, keys_count(server->keys), err))
        return false;
    server->base = event_base_new();
    if (server->base == NULL)
        return error_set(err, ERROR_SYSTEM, "the system gives no event loop (epoll)");
    const struct endpoints_settings settings = {.api = &server->service.api,
                                                .is_ready = is_ready,
                                                .is_alive = is_alive,
                                                .context = server,
                                                .can_sleep = options->serve.sleep_mode};
    server->endpoints = endpoints_create(&settings);
    const struct front_settings front = {.api = &server->service.api,
                                         .endpoints = server->endpoints,
                                         .keys = server->keys,
                                         .origins = &options->serve.origin};
    server->front = front_create(&front);
    server->max_connections = open_files_for_connections((int)options->serve.max_connections,
                                                         options->serve.grpc_port != 0 ? 2 : 1,
                                                         (int)options->data_parallel_size);
    const struct rpc_events_settings rpc = {.options = options,
                                            .max_connections = server->max_connections,
                                            .api = &server->service.api,
                                            .keys = server->keys,
                                            .is_ready = is_ready,
                                            .context = server};
    return listen_http(server, err) && rpc_events_open(&server->rpc, &rpc, err);
}

static void tell_ready(const struct server *server)
{
    const struct options *options = server->options;
    const struct session *session = &server->service.session;
    char url[96], rpc[96] = "", text[512];
    addresses_url(url, sizeof url, options, http_server_port(server->http));
    if (server->rpc != NULL)
        addresses_rpc(rpc, sizeof rpc, options);
    snprintf(text, sizeof text, "%s is ready at %s%s after %.1f s: %s, %lld tokens of KV cache",
             server->service.api.model.name[0], url, rpc,
             (double)(clock_now_ns() - server->begin_ns) / NS_OF_S, session->about,
             (long long)session->kv_tokens);
    log_note(LOG_INFO, "phalanx", text);
    snprintf(text, sizeof text, "READY=1\nSTATUS=serving at %s", url);
    notify_send(text);
}

bool server_load(struct server *server, struct error *err)
{
    const struct options *options = server->options;
    if (!service_open(&server->service, options, options->serve.max_queue,
                      server->service.session.interrupt, err))
        return false;
    server->service.api.reading_slice_ns = READING_SLICE_NS;
    server->session_events = session_events_create(server->base, &server->service.session);
    server->statistics =
        statistics_create(server->base, &server->service, !options->serve.no_log_stats);
    server->turned_away =
        turned_away_create(server->base, server->http, server->rpc, server->max_connections);
    const struct life_settings life = {.drain_ns = options->serve.drain_timeout * NS_OF_S,
                                       .drain = drain,
                                       .reload = reload,
                                       .finish = finish,
                                       .give_up = give_up,
                                       .context = server};
    server->life = life_create(server->base, &life);
    /* of a signal that came before this, nobody else hears any more */
    return *server->service.session.interrupt == 0 || error_set(err, ERROR_LIMIT, "interrupted");
}

/* ---- run ---- */

/* The ranks are lost for good, and every request has an error: it is to reach its reader. Nobody
 * else is let in, who would wait for an answer that cannot come. */
static void say_last_words(struct server *server, const struct error *why)
{
    const struct timeval wait = {0, 10000};
    const int64_t until_ns = clock_now_ns() + NS_OF_S;
    server->service.admission.state = ADMISSION_DRAINING;
    http_server_drain(server->http);
    rpc_events_drain(server->rpc);
    api_give_up(&server->service.api, why);
    api_settle(&server->service.api);
    while (
        (http_server_counts(server->http).n_exchanges > 0 || rpc_events_calls(server->rpc) > 0) &&
        clock_now_ns() < until_ns) {
        event_base_loopexit(server->base, &wait);
        event_base_loop(server->base, 0);
    }
}

/* In good order, or with requests that had to be given up. */
static bool end(const struct server *server, struct error *err)
{
    if (!life_was_forced(server->life))
        return true;
    error_set(err, ERROR_LIMIT, "requests that went on after --drain-timeout got an error");
    return error_code(err, "drain_forced");
}

bool server_run(struct server *server, struct error *err)
{
    if (!http_server_start(server->http, err) || !rpc_events_start(server->rpc, server->base, err))
        return false;
    tell_ready(server);
    for (;;) {
        rpc_events_step(server->rpc);
        if (!session_events_step(server->session_events, err))
            break;
        bool more = api_settle(&server->service.api);
        more = http_server_flush(server->http) || more;
        const bool is_over = life_step(server->life);
        if (is_over && !more)
            return end(server, err);
        /* one turn: without ONCE it would go on as long as a link has something to read */
        event_base_loop(server->base, more ? EVLOOP_ONCE | EVLOOP_NONBLOCK : EVLOOP_ONCE);
    }
    say_last_words(server, err);
    return false;
}

void server_close(struct server *server)
{
    if (server == NULL)
        return;
    http_server_close(server->http); /* calls that are open are cancelled */
    rpc_events_close(server->rpc);
    life_destroy(server->life);
    turned_away_destroy(server->turned_away);
    statistics_destroy(server->statistics);
    session_events_destroy(server->session_events);
    service_close(&server->service);
    front_destroy(server->front);
    endpoints_destroy(server->endpoints);
    if (server->base != NULL)
        event_base_free(server->base);
    keys_close(server->keys);
    memory_free(server);
}
