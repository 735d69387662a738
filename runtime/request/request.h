/* runtime/request/request.h: one choice of one request, from its prompt to its last token.
 *
 * A sequence of token ids and how far it is computed; numbers only. The scheduler moves it from
 * waiting to running to finished and says which KV blocks it has; here is what is true of it
 * alone: what it may be, and when it ends.
 *
 *   token   | prompt           | output      | drafts |            |
 *           0                  n_prompt      n_tokens              limit
 *   in the KV cache: [0, n_computed); after its last sampled token, all but that one
 *
 * Position of a token: its index in token[]. Drafts are guesses of the next tokens, there while a
 * step checks them (speculation). A request is one allocation of its own.
 */
#pragma once
#include "runtime/request/params.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

/* What a request is made of; the arrays are copied. */
struct request_source {
    uint64_t id;                    /* not 0 */
    const int32_t *prompt, *output; /* output: tokens it already has, when it is replayed */
    int n_prompt, n_output;
    const struct sampling_params *params;
    int priority;             /* lower runs first; only with --scheduling-policy priority */
    uint64_t tenant;          /* whose fair share it counts against; 0: nobody's */
    int64_t deadline_ns;      /* of clock_now_ns(); 0: none. After it: FINISH_ABORT */
    const uint8_t *cache_key; /* [n_cache_key] what else its KV depends on, or must not share: */
    int n_cache_key;          /* cache_salt, adapter, media. At most REQUEST_MAX_CACHE_KEY */
};

enum { REQUEST_MAX_CACHE_KEY = 4096 };

/* The same for all requests of an engine. */
struct request_bounds {
    int max_model_len; /* tokens of a sequence, prompt and output */
    int block_tokens;  /* positions of a KV block */
    int n_kv_groups;   /* block tables of a sequence */
    int hidden_size;   /* of a pooled vector; 0: no request pools */
    int vocab;
    const int32_t *eos_id; /* [n_eos_ids] ids that end a sequence unless ignore_eos; borrowed */
    int n_eos_ids;
};

struct beam_group;
enum request_state { REQUEST_WAITING, REQUEST_RUNNING, REQUEST_FINISHED };
enum request_heap_id { HEAP_QUEUE, HEAP_DEADLINE, REQUEST_HEAPS };

struct request {
    uint64_t id;
    size_t n_bytes;                /* of its memory, that of its beams too */
    struct sampling_params params; /* its lists are copies */
    int32_t *token;                /* [limit] */
    int n_prompt, n_tokens;
    int limit; /* most tokens it can have: prompt + max_tokens, inside the model's length */
    int priority;
    uint64_t tenant;
    int64_t deadline_ns;      /* 0: none */
    const uint8_t *cache_key; /* [n_cache_key] */
    int n_cache_key;
    float *pooled; /* [hidden_size] zeroed, for the caller to fill; NULL when it does not pool */

    /* of the scheduler */
    enum request_state state;
    struct request *leader; /* itself, or the request whose beam it is */
    struct beam_group
        *beams;           /* of a request with a beam_width, else NULL; the scheduler's to free */
    int beam;             /* which of the live beams it is */
    bool shows_beams;     /* its outcome points to them */
    int32_t *block;       /* [n_kv_groups, n_blocks_limit] KV blocks in order of position */
    int32_t *first_block; /* [n_kv_groups] those before were given back, and are 0 in block[] */
    int n_blocks, n_blocks_limit;
    uint64_t *hash; /* [n_blocks_limit, 2] of its full blocks, for the prefix cache */
    int n_hashed;   /* of these are known */
    int n_listed;   /* leading blocks that the prefix cache knows */
    int n_computed; /* tokens in the KV cache, or on their way there in a plan in flight: at most
                       n_tokens, and the first of the awaited ones where a plan has run ahead */
    int n_asked;    /* leading rows whose logits or hidden state were asked for, where all are */
    int n_cached;   /* tokens of the prompt that were in the prefix cache when it first ran */
    bool was_admitted;
    bool has_begun;            /* it was in a batch */
    int64_t first_ns;          /* of a beam search, for the caller to note: its first token came */
    int n_draft_computed;      /* tokens in the KV cache of the draft model */
    int n_draft_new;           /* it is fed in the step that is being chosen */
    int n_drafted, n_accepted; /* drafts that were checked, and those that were right */
    int n_in_flight;           /* plans with rows of it that are not committed */
    int n_awaited;             /* of its next tokens, that plans in flight give */
    int asked_row;             /* of the logits of plan asked_step, that gives the last of these */
    uint64_t asked_step;
    uint64_t start_tag;              /* of its tenant's share (schedule/fair_share.h) */
    uint64_t arrival;                /* counts up */
    int charged_tokens;              /* to its tenant */
    int place[REQUEST_HEAPS];        /* in the heaps that it is in */
    struct request *previous, *next; /* in the list of running ones */
    struct request *next_by_id;
};

/* ERROR_INPUT: no or too many tokens, a token outside the vocabulary, a wrong parameter, or
 * nothing left to do (outputs >= max_tokens). A request that pools has no output: its limit is its
 * prompt. A beam search begins with no output. */
bool request_create(struct request **out, const struct request_source *source,
                    const struct request_bounds *bounds, struct error *err);
/* One more beam of `leader`, which has no output yet. It borrows the lists of the leader's
 * parameters, and is not to outlive it. */
void request_create_beam(struct request **out, struct request *leader,
                         const struct request_bounds *bounds);
void request_destroy(struct request *request); /* NULL is fine */

bool request_is_eos(const struct request_bounds *bounds, int32_t token);

static inline int request_n_output(const struct request *request)
{
    return request->n_tokens - request->n_prompt;
}

static inline bool request_pools(const struct request *request)
{
    return request->params.pooling != POOLING_NONE;
}

/* Does it sample tokens? Else it is a beam search, or pools. */
static inline bool request_samples(const struct request *request)
{
    return request->params.pooling == POOLING_NONE && request->params.beam_width == 0;
}

/* Does it want the log-probabilities of its prompt? */
static inline bool request_has_prompt_rows(const struct request *request)
{
    return request_samples(request) && request->params.prompt_logprobs != LOGPROBS_OFF;
}

/* Adds a picked token and says whether it is the last one. *stop_token: the stop id that ended it,
 * or -1 (an EOS ends a sequence without being one). Order of vLLM: min_tokens gate, EOS, stop ids,
 * length. */
enum finish_reason request_append(struct request *request, int32_t token,
                                  const struct request_bounds *bounds, int32_t *stop_token);
