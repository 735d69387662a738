/* launcher/serve/server.h: all parts of `phalanx serve`, put together and run.
 *
 *   open    keys, addresses; ports are bound, so that one in use is told before the model loads
 *   load    the ranks start, and load
 *   run     sockets take connections, until a signal ends it or the ranks are lost for good
 */
#pragma once
#include <signal.h>
#include <stdbool.h>

struct error;
struct options;
struct server;

/* server_close() also after a failure. */
bool server_open(struct server **out, const struct options *options,
                 const volatile sig_atomic_t *interrupt, struct error *err);
/* Until *interrupt is not 0; from then on signals are heard by server_run(). */
bool server_load(struct server *server, struct error *err);
/* True: it ended in good order. ERROR_LIMIT with code "drain_forced": requests got an error because
 * --drain-timeout was over; ERROR_PEER: the ranks are lost. */
bool server_run(struct server *server, struct error *err);
void server_close(struct server *server); /* NULL is fine */
