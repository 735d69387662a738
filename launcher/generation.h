/* launcher/generation.h: prompts in, answers out, over an open session.
 *
 * Prompts go to the engine in their order, all choices of one together (they share its blocks), and
 * never more than a few for each sequence that it can run: it decides what runs when, and has
 * enough to decide about, while a list of any length needs the memory of a short one. Answers come
 * back in the order of the prompts.
 */
#pragma once
#include "launcher/sampling.h"
#include "launcher/session.h"
#include "runtime/gateway/completion.h"

#include <stddef.h>
#include <stdint.h>

struct generation;
struct generation_hooks;
struct options;

/* One prompt and what came of it. */
struct generation_item {
    size_t number; /* of the prompt, from 0 */
    char *text;    /* NULL: given as ids */
    struct ids ids;
    int32_t max_tokens; /* what fits, at most what was asked for */
    int priority;
    struct completion answer; /* of one that was submitted, or refused */
    uint64_t n_counted;       /* of its tokens, in those of the generation */
    struct generation *generation;
    const struct generation_hooks *hooks;
};

struct generation {
    struct sampling sampling;
    int32_t max_length; /* of prompt and answer, where no --max-tokens was given; 0: none */
    struct generation_item **item;      /* [n_items] in order: those that were not handed on yet */
    size_t n_items, n_submitted;        /* of these, the first ones */
    size_t capacity, n_added;           /* n_added: prompts so far */
    uint64_t n_prompt_tokens, n_tokens; /* of all prompts sent, of all answers so far */
};

struct generation_hooks { /* NULL: not wanted */
    /* After each token of a choice, and when it ends: its text up to n_released can be shown.
     * False: nobody wants the rest of it. */
    bool (*progress)(void *context, const struct generation_item *item, int choice);
    /* Adds the next prompt; *more false: there is none. Called when one can be taken; adding
     * nothing means later. */
    bool (*next)(void *context, bool *more, struct error *err);
    /* An answered prompt, in order; gone afterwards. NULL: all stay until generation_release(). */
    bool (*done)(void *context, const struct generation_item *item, struct error *err);
    void *context;
};

/* Sampling parameters and rules from the options. ERROR_INPUT names the option. */
bool generation_init(struct generation *out, const struct options *options, struct session *session,
                     struct error *err);
bool generation_add_text(struct generation *g, struct session *session, const char *text,
                         size_t n_bytes, bool exact_max_tokens, struct error *err);
/* Takes over the ids of a prompt, also when it fails. `text` NULL: none to show. */
bool generation_add_prompt(struct generation *g, const struct session *session, const char *text,
                           struct ids *take_ids, bool exact_max_tokens, struct error *err);
/* A prompt that cannot be answered: its answer is the error. */
void generation_add_refused(struct generation *g, const char *text, const struct error *why);
/* When it fails nothing of it runs on, and the session takes other requests, unless the error is
 * ERROR_PEER. What was answered and not handed on is still there. */
bool generation_run(struct generation *g, struct session *session,
                    const struct generation_hooks *hooks, struct error *err);
void generation_release(struct generation *g);
