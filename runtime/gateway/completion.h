/* runtime/gateway/completion.h: one prompt at the engine: its choices, its beams, or its vector.
 *
 * Everything that answers a prompt stands on this: generate, chat, score, HTTP, gRPC, batch files,
 * the library. Nothing here waits: whoever runs the dispatch makes the hooks be called.
 */
#pragma once
#include "base/error.h"
#include "runtime/gateway/output.h"
#include "runtime/gateway/sampling.h"
#include "runtime/text/ids.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct completion;
struct dispatch;

/* Hooks may open and close other completions. */
struct completion_hooks {
    /* After each token of a choice (or rows of the prompt's log-probabilities), and at its end. Its
     * text up to n_released can be shown. False: nobody wants the rest of it, it ends with
     * FINISH_ABORT. Does not close its completion. May be NULL. */
    bool (*progress)(void *context, struct completion *completion, int choice);
    /* Nothing more comes. It may call completion_close(). May be NULL. */
    void (*done)(void *context, struct completion *completion);
    void *context;
};

struct completion_request { /* borrowed until completion_close() */
    const struct ids *prompt;
    const struct sampling *sampling;
    int32_t max_tokens; /* that fit */
    int priority;
    uint64_t seed_offset; /* added to the seed: so that equal prompts of one request differ */
    uint64_t tenant;      /* whose fair share; 0: nobody's */
    int64_t deadline_ns;  /* of clock_now_ns(); 0: none */
};

struct completion {
    struct completion_request request;
    struct completion_hooks hooks;
    int n_choices, n_left; /* choices, and those that go on */
    struct output *output; /* [n_choices] */
    struct error *failure; /* [n_choices] kind ERROR_NONE: none */
    float *value;          /* [n_values] of a prompt that pools */
    int n_values;
    uint64_t n_tokens;      /* of all choices so far */
    int64_t first_token_ns; /* of any choice, clock_now_ns(); 0: not yet */
    int64_t *begun_ns;      /* [n_choices] when each first ran, likewise; until then it waits */
    int64_t beams_ns; /* when a beam search had its first token, heard of at its end; else 0 */
    struct dispatch *dispatch;
    struct completion_choice *choice; /* [n_choices] who listens, and under which id */
    bool is_opening;                  /* done has to wait for completion_open() */
};

/* Sends it. A request that cannot be sent ends at once: the hooks may be called before this
 * returns. The struct must stay where it is until completion_close(). */
void completion_open(struct completion *out, struct dispatch *dispatch,
                     const struct completion_request *request,
                     const struct completion_hooks *hooks);
/* One that ended before it was sent: every choice failed. No hook is called. */
void completion_refuse(struct completion *out, const struct completion_request *request,
                       const struct error *why);
/* Cancels what goes on (no hook is called any more) and frees. All zero is fine. */
void completion_close(struct completion *completion);
/* The first failure of a choice, or NULL. */
const struct error *completion_failure(const struct completion *completion);
