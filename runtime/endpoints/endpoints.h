/* runtime/endpoints/endpoints.h: the paths of the server and what they answer, without sockets.
 *
 * A call is a method, a path and a body; its answer goes to a reply: whole, or in events. HTTP and
 * batch files make calls; a test can. The table of routes is in endpoints.c, the JSON of each in
 * proto/.
 */
#pragma once
#include "runtime/api/api.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call; /* one that is not answered yet */

enum route_access { ROUTE_OPEN, ROUTE_WITH_KEY }; /* /health is open, all else needs a key */

struct route {           /* other methods are 405 */
    const char *path;    /* "/v1/models/{model}": what stands there may have slashes */
    const char *methods; /* "GET", "POST", "GET, HEAD": for Allow */
    enum route_access access;
};
/* NULL: 404. The path is the parsed one, exactly; what stands for a name is not empty. */
const struct route *endpoints_find(const char *path);
/* Health and metrics: machines ask for them every few seconds. */
bool endpoints_is_probe(const struct route *route);

struct call_request { /* borrowed for endpoints_call() */
    const struct route *route;
    const char *path;  /* that led to the route */
    const char *query; /* as sent, behind the '?'; NULL or "": none */
    const char *body;
    size_t n_body;
    struct api_source source; /* request_id may be empty: the endpoint makes one with its prefix */
    bool is_id_made_up;       /* request_id is: the user may say another one in the body */
};

/* Who gets the answer. Exactly one whole(), or begin() … end(). */
struct reply {
    void (*whole)(void *context, int status, const char *content_type, int retry_after_s,
                  const char *body, size_t n_bytes);
    void (*begin)(void *context, const char *content_type);         /* status 200 */
    bool (*event)(void *context, const char *data, size_t n_bytes); /* false: nobody reads it */
    void (*end)(void *context);
    void *context;
    struct request_record *record; /* is told why it is refused; NULL: nobody asks */
};

struct endpoints; /* the api and what is shared by calls: pages, readiness */

struct endpoints_settings {
    struct api *api;
    bool (*is_ready)(void *context); /* for /health and /health/ready */
    bool (*is_alive)(void *context);
    void *context;
    bool can_sleep; /* /sleep, /wake_up and /is_sleeping are there; else 404 */
};
struct endpoints *endpoints_create(const struct endpoints_settings *settings);
void endpoints_destroy(struct endpoints *endpoints); /* NULL is fine; no call may be open */

/* Answers now (NULL) or later. */
struct call *endpoints_call(struct endpoints *endpoints, const struct call_request *request,
                            const struct reply *reply);
/* Its user is gone: nothing more is replied. Not from within a reply. */
void endpoints_cancel(struct call *call);
/* An error as the body that users get, for who refuses before there is a call. */
void endpoints_error(const struct error *why, const struct reply *reply);
