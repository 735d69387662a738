/* runtime/gateway/dispatch.h: the requests in flight, the engines that work on them, and who waits.
 *
 * One choice of a request, a beam search, or a text to score is one entry. What comes of it goes to
 * the functions given with it, in order; after the last one (a token with `finish`, all beams, a
 * vector, a failure) the entry is gone. One thread.
 *
 * Engines come and go. A request goes to the engine with the least to do, waits while there is
 * none, and when its engine is gone it goes on at another one, with the tokens it would have had;
 * its listener notices nothing. What was at two crashes with nothing to show for it is tried alone:
 * one engine has it and nothing else, until something came of it. When that engine dies too, it is
 * failed with an error that begins with "engine_crash", and all others go on.
 *
 *   crash 1, 2   everyone again together        a b x c     x kills engines
 *   alone        one after the other, until     a, b, x     a and b wait again after a first token
 *   crash 3      x is failed                    a b c
 */
#pragma once
#include "runtime/gateway/listener.h"
#include "runtime/gateway/sleepers.h"
#include "runtime/link/engine_link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dispatch;

/* Engines are 0 .. n_engines - 1, and none of them is there yet. */
struct dispatch *dispatch_create(int n_engines);
void dispatch_destroy(struct dispatch *dispatch); /* NULL is fine */

/* An engine is ready for requests; it gets those that wait. Borrows the link until
 * dispatch_detach(). */
void dispatch_attach(struct dispatch *dispatch, int engine, struct link *link);

struct dispatch_loss {
    size_t n_going_on; /* requests of the engine that go on elsewhere, or later */
    bool was_heard;    /* something new came of a request while it was there */
};
/* The engine is gone. Its requests go to others or wait. */
struct dispatch_loss dispatch_detach(struct dispatch *dispatch, int engine);

/* Takes a copy. submit->id = the id it chooses, never 0. A request that cannot be sent fails by its
 * listener, maybe before this returns. */
void dispatch_submit(struct dispatch *dispatch, struct link_submit *submit,
                     const struct dispatch_listener *listener);
/* Nothing more is reported of it, and its engine drops it. An id that is not in flight (any more)
 * is fine. */
void dispatch_cancel(struct dispatch *dispatch, uint64_t id);

size_t dispatch_in_flight(const struct dispatch *dispatch); /* those that wait, too */
/* Messages of engines so far: tokens with the same number came at the same time. */
uint64_t dispatch_events(const struct dispatch *dispatch);

/* Takes what is there of an engine and calls listeners, until at most `at_most` requests are in
 * flight (0: any number), and no more than a few steps: listeners write to readers, and an engine
 * that is far ahead, because this thread stood still, would fill what may wait for each of them
 * before any of it can be sent. Sends what waits. False with ERROR_PEER when the engine is gone or
 * answers what was not asked, or the error that it sent: the caller detaches it. */
enum { DISPATCH_MAX_STEPS = 4 };
bool dispatch_take(struct dispatch *dispatch, int engine, size_t at_most, struct error *err);
/* Whether more was read from the link already, so that poll() does not tell of it. */
bool dispatch_has_more(const struct dispatch *dispatch, int engine);

/* Sends more of what the link did not take at once. False: it takes no more now. */
bool dispatch_flush(struct dispatch *dispatch, int engine);

/* What the engine said last of itself, with the counters of those that were in its place before: so
 * these never go back. NULL: none has said anything yet. While none is there, what is no counter is
 * 0. Until the next call of a function of this dispatch. */
const struct link_stats *dispatch_stats(const struct dispatch *dispatch, int engine);

/* Puts all engines to sleep, or wakes them (level LINK_NOT_ASLEEP). They sleep when nothing is in
 * flight any more, so the caller lets nobody in; what comes after all waits until they are awake,
 * as it does while they wake. `done` is called once, maybe before this returns: with good when all
 * that are there have answered, and without it when something else is asked for meanwhile; NULL:
 * nobody wants to know. An engine that comes later is put to sleep too. One that cannot wake is
 * lost. */
void dispatch_sleep(struct dispatch *dispatch, enum link_sleep level, sleepers_fn *done,
                    void *context);
/* What was asked for last. */
enum link_sleep dispatch_asleep(const struct dispatch *dispatch);

/* Asks all engines whether they get on. One that works says so unasked, four times a second. */
void dispatch_ping(struct dispatch *dispatch);
/* Until when all ranks of the engine are known to have made progress, clock_now_ns; 0: it is not
 * there. With a ping twice a second this is at most a second old where all is well. */
int64_t dispatch_heard_ns(const struct dispatch *dispatch, int engine);

/* Ends requests that wait for an engine, and whose deadline is over at now_ns, as an engine would:
 * with FINISH_ABORT. */
void dispatch_expire(struct dispatch *dispatch, int64_t now_ns);
/* When that is due: the next deadline of one that waits; INT64_MAX: none. */
int64_t dispatch_next_deadline(const struct dispatch *dispatch);

/* Every request in flight fails, and what listeners submit meanwhile. */
void dispatch_fail_all(struct dispatch *dispatch, const struct error *why);
/* Cancels all that is in flight; nothing more is reported of it. */
void dispatch_cancel_all(struct dispatch *dispatch);
