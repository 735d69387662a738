/* runtime/gateway/dispatch_state.h: what the files of the dispatch share; nobody else needs it.
 *
 *   dispatch.c         requests and engines: which goes where, and what is sent
 *   dispatch_events.c  what engines say, to those who wait for it
 *
 * A request has another id on the link each time it is sent, so a token that was on its way when
 * its choice was cancelled, or called back, finds no entry and is dropped.
 *
 * Listeners may submit and cancel: after one was called, entries are looked for again, and no loop
 * holds one across a call.
 */
#pragma once
#include "base/error.h"
#include "runtime/gateway/dispatch.h"
#include "runtime/gateway/engine_stats.h"
#include "runtime/gateway/journal.h"

struct router;

struct engine {
    struct link *link;   /* NULL: not there */
    struct error broken; /* of sending: told when nothing is left to read */
    bool was_heard;
    int64_t heard_ns;          /* progress of all its ranks */
    struct engine_stats stats; /* of all that were in this place */
};

struct dispatch {
    struct journal *journal;
    struct router *router;
    struct engine engine[JOURNAL_MAX_ENGINES];
    int n_engines;
    int ward; /* the engine where suspects are tried alone, or JOURNAL_NOWHERE */
    struct sleepers sleepers;
    bool is_sending; /* what a listener submits meanwhile is sent by the loop that called it */
    uint64_t n_events;
};

/* ---- dispatch.c ---- */

/* The end of an entry that is an error. */
void dispatch_fail_entry(struct dispatch *dispatch, struct journal_entry *entry,
                         const struct error *why);
/* To the engine where it is, if it is at one. */
void dispatch_send_cancel(struct dispatch *dispatch, const struct journal_entry *entry);
/* Something came of a request that was tried alone. It goes on later where others are still to be
 * tried: a prompt computed once more costs less than they wait for its last token. */
void dispatch_release_suspect(struct dispatch *dispatch, struct journal_entry *entry);

/* ---- dispatch_events.c ---- */

/* Hands an event on. False: ERROR_PEER, the engine said what nobody asked for; or its own error. */
bool dispatch_give(struct dispatch *dispatch, int engine, const struct link_event *event,
                   struct error *err);
