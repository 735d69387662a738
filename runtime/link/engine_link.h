/* runtime/link/engine_link.h: the two ends of the link between the gateway and rank 0.
 *
 * Frames of proto/engine.proto over a connected Unix stream socket. This header has the plain
 * structs of both ends; commands.c and events.c convert field by field, so that neither the gateway
 * nor the engine sees protobuf. A message that does not parse, or one with a value out of its range
 * ends the link with ERROR_PEER.
 *
 * Sending never blocks for long: bytes that the socket does not take at once wait in the link
 * and go out with the next link_flush(). Receiving takes what is there. One thread an end.
 */
#pragma once
#include "base/error.h"
#include "runtime/link/stream.h" /* link_listen, link_connect */
#include "runtime/request/params.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LINK_PROTOCOL = 4,
    LINK_MAX_VALUES = 1 << 20, /* of a pooled vector */
    LINK_MAX_RANKS = 4096,     /* in statistics, and in each direction of the layout */
    LINK_MAX_SEQUENCES = 1 << 20,
};
#define LINK_MAX_MEMORY_BYTES (INT64_C(1) << 56) /* of all ranks */

struct link;

/* gateway -> engine */
struct link_submit {
    uint64_t id;
    const int32_t *prompt, *output; /* output: tokens it already has (replay) */
    int n_prompt, n_output;
    int choice; /* added to params.seed by the gateway already; kept for logs and replay */
    struct sampling_params params;
    int priority; /* these five: struct request_source of request.h */
    uint64_t tenant;
    int64_t deadline_ns;
    const uint8_t *cache_key; /* [n_cache_key] */
    int n_cache_key;
};
/* Awake; without KV cache; without weights too, which are read again at the waking. */
enum link_sleep { LINK_NOT_ASLEEP, LINK_NO_CACHE, LINK_NO_WEIGHTS };
enum link_command_kind { LINK_SUBMIT, LINK_CANCEL, LINK_STOP, LINK_PING, LINK_SLEEP };
struct link_command {
    enum link_command_kind kind;
    struct link_submit submit;
    uint64_t cancel_id;
    enum link_sleep sleep;
};

/* engine -> gateway */
struct link_ready {
    const char *build, *model, *kernels, *comm, *dtype;
    const char *gpu; /* name of that of rank 0; "": the ranks compute on CPUs */
    int vocab, max_model_len, tp, pp, threads;
    int64_t kv_tokens, weight_bytes, memory_bytes; /* of all ranks; memory: with the weights */
    const int32_t *eos_id;
    int n_eos_ids;
    int hidden_size;     /* of a pooled vector without a head */
    int n_labels;        /* of the head of a model that scores; 0: it has none */
    int max_num_seqs;    /* that run at once */
    uint64_t model_mark; /* of its config and weights: another one, another model */
};
struct link_logprob {
    int32_t token;
    float logprob;
    int32_t rank;
};
struct link_token {
    uint64_t id;
    int32_t token; /* -1: none, this is only the end (FINISH_ABORT: its deadline is over) */
    const struct link_logprob *logprob; /* the chosen token first, then the best in order */
    int n_logprobs;
    enum finish_reason finish;
    int32_t stop_token; /* of a stop id; -1: none */
    int32_t cached_tokens;
    int32_t n_drafted, n_accepted; /* drafts of this request so far, and those that were right */
};
/* Log-probabilities of tokens of a prompt, before the first token of its output. */
struct link_prompt_logprobs {
    uint64_t id;
    int position;                       /* of the first one; those of position 0 do not exist */
    const struct link_logprob *logprob; /* all end to end, the token of the prompt first in each */
    const int32_t *end;                 /* [n_positions] where each ends in logprob[] */
    int n_positions;
};
struct link_beam {
    const int32_t *token; /* [n_tokens] of the output */
    int n_tokens;
    double cumulative_logprob, score;
    enum finish_reason finish;
};
/* The end of a beam search: the best ones, best first. */
struct link_beams {
    uint64_t id;
    const struct link_beam *beam; /* [n_beams] */
    int n_beams;
    int32_t cached_tokens;
    int64_t first_ns; /* when they had their first token, of CLOCK_MONOTONIC, as of a pulse */
};
/* The end of a request that pools. */
struct link_pooled {
    uint64_t id;
    const float *value; /* [n_values], 1 .. LINK_MAX_VALUES */
    int n_values;
    int32_t cached_tokens;
};
/* How it goes: twice a second while there is work, and once when there is none any more. The
 * counters only grow, over the life of the engine. */
struct link_stats {
    int32_t running, waiting; /* sequences */
    int64_t kv_blocks, kv_blocks_used;
    uint64_t cache_queries, cache_hits; /* of the prefix cache, tokens */
    uint64_t preemptions;
    uint64_t prompt_tokens; /* computed: not those from the cache, and again after a preemption */
    uint64_t generated_tokens;
    uint64_t drafted, accepted;
    uint64_t plans, busy_ns; /* steps, those of the draft model too; time with any work */
    uint64_t comm_calls, comm_bytes, comm_ns; /* of rank 0, waiting for others in it */
    const int64_t *rank_work_ns; /* [n_ranks] of the host of rank 0: the last plan without the time
                                    in calls of communicators; the host's time where a GPU works */
    int n_ranks;                 /* 0: not known, as of a rank alone */
};
/* Of the ranks on the host of rank 0: bytes of weights that are loaded, of those known to come. */
struct link_loading {
    uint64_t done, all;
};
enum link_event_kind {
    LINK_READY,
    LINK_BEGUN, /* requests run in a step for the first time, which is about to run */
    LINK_TOKENS,
    LINK_FAILED,
    LINK_PROMPT_LOGPROBS,
    LINK_BEAMS,
    LINK_POOLED,
    LINK_STATS,
    LINK_PULSE,   /* the answer to a ping, and four times a second within long work */
    LINK_ASLEEP,  /* all ranks are so, or awake: the answer to LINK_SLEEP */
    LINK_LOADING, /* before LINK_READY, about four times a second, where weights are loaded */
};
struct link_event {
    enum link_event_kind kind;
    struct link_ready ready;
    const uint64_t *begun_id; /* [n_begun] */
    int n_begun;
    const struct link_token *token;
    int n_tokens;
    uint64_t failed_id; /* 0: the engine as a whole */
    struct error failure;
    struct link_prompt_logprobs prompt_logprobs;
    struct link_beams beams;
    struct link_pooled pooled;
    struct link_stats stats;
    int64_t progress_ns;   /* of a pulse: every rank of the host of rank 0 has made progress until
                              then, of CLOCK_MONOTONIC, which both ends share */
    enum link_sleep sleep; /* of LINK_ASLEEP */
    struct link_loading loading;
};

/* Takes over `fd`, a connected stream socket, and makes it non-blocking. */
struct link *link_create(int fd);
void link_destroy(struct link *link); /* closes the socket; NULL is fine */
int link_fd(const struct link *link); /* for poll(); borrowed */

bool link_send_command(struct link *link, const struct link_command *command, struct error *err);
bool link_send_event(struct link *link, const struct link_event *event, struct error *err);
/* Writes what waits; true with *all_sent false when the socket is full. */
bool link_flush(struct link *link, bool *all_sent, struct error *err);

/* The next whole message, if one is there: *got. Pointers in it live until the next call.
 * The end of the stream is ERROR_PEER. */
bool link_receive_command(struct link *link, struct link_command *out, bool *got,
                          struct error *err);
bool link_receive_event(struct link *link, struct link_event *out, bool *got, struct error *err);
/* Whether one was read from the socket already: poll() does not tell of it. */
bool link_has_message(const struct link *link);
