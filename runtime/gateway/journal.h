/* runtime/gateway/journal.h: the requests in flight, with all that it takes to send them again.
 *
 * The tokens of a request are a pure function of the weights, its prompt, parameters and seed, so
 * an engine that is gone costs nobody an answer: what it had in flight is sent to another one with
 * the tokens that came so far, and goes on with the very tokens it would have had.
 *
 *   add ──> waits ── sent ──> at an engine ── removed
 *             ^                    │
 *             └── recalled, lost ──┘
 *
 * A request can be what kills engines. A crash counts against it when nothing had come of it since
 * it was sent; at two such crashes it is a suspect, and waits in a list of its own. Anything new
 * that comes of it clears it. What to do about suspects is the caller's.
 */
#pragma once
#include "runtime/gateway/listener.h"
#include "runtime/link/engine_link.h"
#include "runtime/text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JOURNAL_MAX_ENGINES = 64,
    JOURNAL_SUSPECT = 2, /* crashes from which on a request is a suspect */
    JOURNAL_NOWHERE = -1,
};

struct journal_entry {
    uint64_t id;               /* as the caller knows it */
    uint64_t wire_id;          /* as the engine knows it: another one each time it is sent */
    struct link_submit submit; /* lists and all are copies */
    struct ids output;         /* tokens that came */
    int n_prompt_rows;         /* log-probabilities of the prompt that came */
    int n_drafted, n_accepted; /* that were told, of all engines it was at */
    int n_drafted_before, n_accepted_before; /* of these, at engines before this one */
    int n_crashes;
    bool has_begun; /* it has run, at whichever engine */
    bool was_heard; /* something came of it since it was sent */
    int engine;     /* where it is, or JOURNAL_NOWHERE */
    struct dispatch_listener listener;
};

struct journal;

struct journal *journal_create(int n_engines);
void journal_destroy(struct journal *journal); /* NULL is fine */

/* A new request, which waits. Sets submit->id, which counts up; copies the rest. */
struct journal_entry *journal_add(struct journal *journal, struct link_submit *submit,
                                  const struct dispatch_listener *listener);
void journal_remove(struct journal *journal, struct journal_entry *entry);
/* NULL: none, or it was sent again under another id since. */
struct journal_entry *journal_find(struct journal *journal, uint64_t wire_id);
/* By the id that journal_add() gave; NULL: none. */
struct journal_entry *journal_find_id(struct journal *journal, uint64_t id);

/* The first one that waits, in order of the ids; NULL: none. */
struct journal_entry *journal_waiting(struct journal *journal, bool suspects);
/* One that waits and whose deadline is over; NULL: none. */
struct journal_entry *journal_overdue(struct journal *journal, int64_t now_ns);
/* The next deadline of one that waits; INT64_MAX: none. */
int64_t journal_next_deadline(const struct journal *journal);
/* The first one at an engine, likewise. */
struct journal_entry *journal_at(struct journal *journal, int engine);
size_t journal_count(const struct journal *journal);
size_t journal_count_at(const struct journal *journal, int engine);
bool journal_is_suspect(const struct journal_entry *entry);

/* A request that waits goes to `engine`. *out is what to send, and borrows from the entry: what
 * came goes along as output, and of the prompt only what did not come yet is asked again. */
void journal_send(struct journal *journal, struct journal_entry *entry, int engine,
                  struct link_submit *out);
/* It waits again, in its old place. */
void journal_recall(struct journal *journal, struct journal_entry *entry);
/* An engine is gone: all that is there waits again, and it counts against those that were not
 * heard. */
void journal_lose(struct journal *journal, int engine);

/* Something came of it. What is new clears it of suspicion, rows that came before do not. */

/* Notes a token and sets its counts of drafts to those of all engines. */
void journal_hear_token(struct journal_entry *entry, struct link_token *token);
/* Cuts off what was told already; what is left lives until the next call. False: nothing is left.
 */
bool journal_hear_prompt(struct journal *journal, struct journal_entry *entry,
                         struct link_prompt_logprobs *rows);
