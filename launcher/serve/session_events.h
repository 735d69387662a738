/* launcher/serve/session_events.h: a session in the event loop of a server.
 *
 * What the session waits for (links, starts and ends of ranks, deadlines) becomes events. After
 * each turn of the loop the session makes a step, so that what calls have sent goes out, and what
 * it waits for now is what the loop waits for.
 */
#pragma once
#include <stdbool.h>

struct error;
struct event_base;
struct session;
struct session_events;

/* Borrows both. */
struct session_events *session_events_create(struct event_base *base, struct session *session);
void session_events_destroy(struct session_events *events); /* NULL is fine */
/* One step, and the events of the next turn. False: the ranks are lost for good. */
bool session_events_step(struct session_events *events, struct error *err);
