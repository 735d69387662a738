/* runtime/api/api.h: what every protocol asks of the model, in plain structs: the one core.
 *
 *   HTTP, gRPC, batch file, library -> generate_request / pool_request
 *        validate (sampling.h)  ->  text to ids (intake.h, chat_prompt.h)  ->  admission.h
 *        ->  completion.h  ->  listener: progress, then done or failed
 *
 * One thread. Nothing here waits, and nothing here knows a wire form. Progress is told when it
 * comes, from inside dispatch_take(). Ends are told by api_settle(), where nothing of the dispatch
 * is under way, so that `done` may ask the next question and cancel others.
 */
#pragma once
#include "runtime/gateway/chat_prompt.h"
#include "runtime/gateway/intake.h"
#include "runtime/gateway/pooling.h"
#include "runtime/gateway/sampling.h"

#include <stdbool.h>
#include <stdint.h>

struct admission;
struct api_call;
struct api_metrics;
struct dispatch;
struct error;
struct request_record;

/* Of a text that is made ids of, and of one that ids make, where a user asks for just that: it is
 * done in one turn, and everybody else waits. */
enum { API_MAX_TOKENIZE_BYTES = 1 << 20, API_MAX_DETOKENIZE_BYTES = 4 << 20 };
#define API_DETOKENIZE_REFUSED \
    "the text of these ids is longer than 4 MB, or takes the tokenizer's decoder too many steps"

struct api_model {           /* what is served; borrowed */
    const char *const *name; /* [n_names] --served-model-name; the first one is in answers */
    int n_names;
    const char *root;         /* folder of the checkpoint, as the user gave it */
    int64_t created_s;        /* since 1970 */
    int vocab, max_model_len; /* vocab: width of the logits */
    int64_t kv_tokens;        /* of one replica: no request can need more */
    struct pooling_head head; /* how the model makes vectors, labels, scores */
    const char *about;        /* layout in words, for /version and the web page */
    int tp, pp, dp;
    int hidden_size;     /* of a vector without a head; 0: not known */
    int block_tokens;    /* of the KV cache, for metrics; 0: not known */
    bool prefix_caching; /* likewise */
};

struct api_calls { /* in the order in which they were added; a call is in one list or in none */
    struct api_call *first, *last;
};

struct api_rest { /* all zero at first: awake (sleep.h) */
    struct sleep_waiter *first;
    bool is_under_way; /* the ranks are not yet as they were asked to be */
};

/* --seed: seeds of requests that say none. The n-th of them has the same one in every run. */
struct api_seeds {
    bool are_given; /* else they are drawn */
    uint64_t from, n_used;
};

struct api { /* filled by its owner, who keeps all that is borrowed */
    struct api_model model;
    struct dispatch *dispatch;
    struct intake *intake;
    const struct chat_prompt *chat; /* NULL: the model has no chat template */
    struct sampling_model sampling;
    struct admission *admission;
    struct api_metrics *metrics; /* NULL: nothing is counted */
    bool logs_requests;          /* a line for each at its end (request_log.h) */
    struct api_calls ended;      /* all zero at first: calls whose end is not told yet, */
    struct api_calls reading;    /* and those whose prompts are not all read (reading.h) */
    int64_t reading_slice_ns;    /* of many prompts, before others have their turn; 0: any time */
    struct api_rest rest;
    struct api_seeds seeds;
};

/* Reads on where prompts are left to be read, tells the ends of calls, and those who wait for
 * sleep. The owner calls it after every dispatch_take(), dispatch_expire(), dispatch_detach() and
 * dispatch_fail_all(), and after api_generate() and api_pool() before it waits. True: there may be
 * more to do, so it is called again before anybody waits; others may have their turn before. */
bool api_settle(struct api *api);
/* The ranks are gone for good, or nobody waits for them any more: what is not in flight yet fails,
 * as dispatch_fail_all() says of what is. */
void api_give_up(struct api *api, const struct error *why);

/* Who asks. */
struct api_source {
    char request_id[64];           /* "cmpl-…"; shown to the user and in logs */
    uint64_t tenant;               /* whose fair share: of the API key; 0: nobody's */
    const char *peer;              /* address, for logs; borrowed for the call that takes it */
    const char *route;             /* "/v1/chat/completions": a literal, for logs and metrics */
    struct request_record *record; /* what became of it (request_log.h); NULL: nobody asks */
    /* What makes the answer to the same request the same again, in a batch. */
    int64_t created_s; /* "created" of the answer; 0: now */
    uint64_t seed;     /* where the request says none; 0: of `seeds`, else drawn */
};

/* `name` NULL or "": the model, whichever it is. ERROR_INPUT with code "model_not_found". */
bool api_check_model(const struct api *api, const char *name, struct error *err);
