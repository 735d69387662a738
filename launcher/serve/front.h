/* launcher/serve/front.h: between the sockets of users and the endpoints.
 *
 *   request ──> key (401) ──> route (404, 405) ──> body (415) ──> endpoints_call ──> reply
 *
 * Each response has the request's id (X-Request-Id, the user's own where it is one), and the
 * headers that browsers want (CORS) where --allowed-origins names the page. Every response is
 * counted in the metrics and has its line in the log (request_log.h), also what the server of HTTP
 * refuses by itself; not so a connection beyond --max-connections (turned_away.h). A user that goes
 * away ends the call.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct api;
struct endpoints;
struct error;
struct front;
struct http_handler;
struct keys;
struct option_list;

struct front_settings { /* borrowed */
    const struct api *api;
    struct endpoints *endpoints;
    const struct keys *keys;
    const struct option_list *origins;
};

struct front *front_create(const struct front_settings *settings);
void front_destroy(struct front *front); /* no exchange may be open; NULL is fine */
struct http_handler front_handler(struct front *front);
