/* runtime/api/call.h: prompts at the engine for one request of a user: let in, sent, ended once.
 * What generate.c and pool.c share; nobody else needs it.
 *
 *   call_init ─> call_admit ─> reading_begin ─> … ─> call_send ─> progress … ─> ended
 *      └────────────┴── refused: call_refuse ┘   └───────┴── call_cancel
 *
 * The first failure of a choice, or its deadline, fails the whole call.
 */
#pragma once
#include "base/memory.h"
#include "runtime/api/generate.h" /* api_usage */
#include "runtime/api/prompt.h"
#include "runtime/gateway/completion.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call_choice { /* what was counted of a choice */
    size_t n_tokens;
    int64_t first_ns, last_ns; /* when its first and last token was there, or its vector; 0: none */
};

struct call_prompt {
    struct api_call *call;
    struct ids ids;
    const char *text; /* [n_bytes] a copy, with a NUL behind; NULL: ids were given, or a chat */
    size_t n_bytes;
    int32_t max_tokens; /* that fit */
    struct completion completion;
    struct call_choice *choice; /* [n_choices] */
};

struct call_hooks {
    /* Fills prompt[prompt], unless call->reader says that it is under way: then it is asked again.
     * False: it is refused, and so is the call. */
    bool (*read)(struct api_call *call, int prompt, struct error *err);
    /* As of generate_listener. NULL: nobody looks. */
    void (*sent)(struct api_call *call);
    bool (*progress)(struct api_call *call, int prompt, int choice);
    /* From api_settle(): tells the end. call->failure says how. The call is freed after it. */
    void (*ended)(struct api_call *call);
};

struct api_call { /* the first member of a call of either kind, in one memory_alloc() */
    struct api *api;
    const struct call_hooks *hooks;
    struct api_source source; /* its peer is a copy */
    struct sampling sampling;
    struct call_prompt *prompt; /* [n_prompts] */
    int n_prompts, n_left;      /* completions that go on */
    /* What the prompts are made of, for `read`; NULL: of something else. */
    const struct api_prompt *from, *pair; /* [n_prompts] */
    bool owns_from;                       /* they are in the arena; else the caller's */
    int n_read;                           /* prompts that are filled */
    struct prompt_reader reader;          /* of the next one */
    int64_t n_admitted;                   /* sequences */
    int64_t arrived_ns, sent_ns, deadline_ns;
    struct error failure; /* kind ERROR_NONE: none */
    struct arena arena;   /* lives as long as the call */
    bool seed_said;       /* by the user, for every prompt the same */
    bool is_sent;
    struct api_calls *list; /* that it is in; NULL: none */
    struct api_call *previous, *next;
};

/* The memory of `call` is all zero. */
void call_init(struct api_call *call, struct api *api, const struct api_source *source,
               const struct call_hooks *hooks);
/* Room for so many prompts with sampling.n_choices each, when the server takes as many now. */
bool call_admit(struct api_call *call, int n_prompts, struct error *err);
/* For prompt[i] its text, if a user gave one. */
void call_keep_text(struct api_call *call, int prompt);
/* All prompts are there: off they go. */
void call_send(struct api_call *call);
/* It is not what can be answered: frees it. */
void call_refuse(struct api_call *call, const struct error *why);
/* Nobody wants it any more: frees it. */
void call_cancel(struct api_call *call);
void call_enlist(struct api_call *call, struct api_calls *list);
void call_unlist(struct api_call *call);
/* Puts it into api->ended. The first failure counts. */
void call_fail(struct api_call *call, const struct error *why);
bool call_is_late(const struct api_call *call);
void call_fail_late(struct api_call *call); /* after its deadline */
/* For api_settle(): the end of a call in api->ended, which is freed. */
void call_tell_end(struct api_call *call);

/* Each prompt counts once, whatever choices it has. */
struct api_usage call_usage(const struct api_call *call);
