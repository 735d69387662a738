/* runtime/gateway/dispatch.h: the requests in flight, and who waits for their tokens.
 *
 * One choice of a request, a beam search, or a text to score is one entry. What comes of it goes to
 * the functions given with it, in order; after the last one (a token with `finish`, all beams, a
 * vector, a failure) the entry is gone. One thread.
 */
#pragma once
#include "runtime/link/engine_link.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct dispatch;

/* A request has the functions of what it can be answered with; the others may be NULL. */
struct dispatch_listener {
    /* Returns false to cancel the choice (a stop string was found): nothing more is reported. */
    bool (*token)(void *context, const struct link_token *token);
    void (*prompt_logprobs)(void *context, const struct link_prompt_logprobs *logprobs);
    void (*beams)(void *context, const struct link_beams *beams);    /* the end */
    void (*pooled)(void *context, const struct link_pooled *pooled); /* the end */
    void (*failed)(void *context, const struct error *why);          /* the end */
    void *context;
};

/* Borrows the link. */
struct dispatch *dispatch_create(struct link *link);
void dispatch_destroy(struct dispatch *dispatch); /* NULL is fine */

/* Sends submit->id = the id it chooses. */
bool dispatch_submit(struct dispatch *dispatch, struct link_submit *submit,
                     const struct dispatch_listener *listener, struct error *err);

size_t dispatch_in_flight(const struct dispatch *dispatch);
/* Messages of the engine so far: tokens with the same number came at the same time. */
uint64_t dispatch_events(const struct dispatch *dispatch);

/* Reads the link and calls listeners until at most `at_most` are in flight. False with ERROR_PEER
 * when the engine is gone or answers what was not asked, or the error that it sent; *interrupt not
 * 0 ends it with ERROR_LIMIT. */
bool dispatch_run(struct dispatch *dispatch, size_t at_most, const volatile sig_atomic_t *interrupt,
                  struct error *err);

/* Cancels all that is in flight; nothing more is reported of it. After dispatch_run() was
 * interrupted the link goes on with other requests. */
bool dispatch_cancel_all(struct dispatch *dispatch, struct error *err);
