/* runtime/gateway/dispatch.h: the requests in flight, and who waits for their tokens.
 *
 * One choice of a request is one entry. Tokens go to the function given with it, in order; after
 * the last one (its `finish` is set, or the failure is reported) the entry is gone. One thread.
 */
#pragma once
#include "runtime/engine_link.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct dispatch;

struct dispatch_listener {
    /* Returns false to cancel the choice (a stop string was found): nothing more is reported. */
    bool (*token)(void *context, const struct link_token *token);
    void (*failed)(void *context, const struct error *why);
    void *context;
};

/* Borrows the link. */
struct dispatch *dispatch_create(struct link *link);
void dispatch_destroy(struct dispatch *dispatch); /* NULL is fine */

/* Sends submit->id = the id it chooses. */
bool dispatch_submit(struct dispatch *dispatch, struct link_submit *submit,
                     const struct dispatch_listener *listener, struct error *err);

/* Reads the link and calls listeners until nothing is in flight. False with ERROR_PEER when the
 * engine is gone, or the error that it sent; *interrupt not 0 ends it with ERROR_LIMIT. */
bool dispatch_run(struct dispatch *dispatch, const volatile sig_atomic_t *interrupt,
                  struct error *err);

/* Cancels all that is in flight; nothing more is reported of it. After dispatch_run() was
 * interrupted the link goes on with other requests. */
bool dispatch_cancel_all(struct dispatch *dispatch, struct error *err);
