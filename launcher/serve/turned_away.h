/* launcher/serve/turned_away.h: connections that were not let in, in the log.
 *
 * HTTP answers them with 503 and gRPC closes them, without a line for each: a flood must cost
 * little. Here they are counted once a second, and one warning says how many there were.
 */
#pragma once

struct event_base;
struct http_server;
struct rpc_events;
struct turned_away;

/* Borrows all; max_connections is for the text. rpc NULL: there is no gRPC. */
struct turned_away *turned_away_create(struct event_base *base, const struct http_server *http,
                                       const struct rpc_events *rpc, int max_connections);
void turned_away_destroy(struct turned_away *away); /* NULL is fine */
