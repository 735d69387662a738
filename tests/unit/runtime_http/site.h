/* tests/unit/runtime_http/site.h: a server in the loop of the test, and its clients: raw sockets.
 *
 * Nothing runs beside the test: who waits for bytes turns the loop. A request stays open until the
 * test answers it, but for those whose path is "/now" (answered at once with "ok", or with its body
 * when it has one) and "/early" (answered with 401 by its headers).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "runtime/http/http_server.h"

enum { SITE_MAX_OPEN = 8 };

struct site {
    struct event_base *base;
    struct http_server *server;
    struct http_exchange *open[SITE_MAX_OPEN]; /* in the order they came */
    int n_open;
    int n_headers, n_requests, n_closed, n_answered, n_refused; /* calls of the handler */
    int refused_status;                                         /* of the last of these */
    int n_turns; /* of the loop, a fifth of a millisecond and more each */
};

/* limits NULL: those by default, and 1000 bytes of body at most. */
void site_open(struct site *site, const struct http_limits *limits);
void site_open_tls(struct site *site, const char *cert_file, const char *key_file);
void site_close(struct site *site);
struct http_limits site_limits(void);

/* A client; its socket does not block. */
int site_connect(struct site *site);
void site_send(struct site *site, int client, const char *bytes, size_t n);
void site_say(struct site *site, int client, const char *text);
/* What comes until the text is there (the test fails when it does not within 30 s), in memory of
 * the site that the next call overwrites. */
const char *site_hear(struct site *site, int client, const char *text);
/* All until the server closes, in memory as above. */
const char *site_hear_all(struct site *site, int client);
/* Turns the loop for so long. */
void site_run(struct site *site, int ms);
/* Turns it until *number is `wanted`; false after 5 s. */
bool site_wait(struct site *site, const int *number, int wanted);

/* One connection, one text, all that comes back. */
const char *site_ask(struct site *site, const char *text);
