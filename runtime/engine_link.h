/* runtime/engine_link.h: the two ends of the link between the gateway and rank 0.
 *
 * Frames of proto/engine.proto over a connected Unix stream socket. This header has the plain
 * structs of both ends; engine_link.c converts field by field, so that neither the gateway nor
 * the engine sees protobuf. A message that does not parse, or one with a value out of its range
 * ends the link with ERROR_PEER.
 *
 * Sending never blocks for long: bytes that the socket does not take at once wait in the link
 * and go out with the next link_flush(). Receiving takes what is there. One thread an end.
 */
#pragma once
#include "base/error.h"
#include "runtime/link_stream.h" /* link_listen, link_connect */
#include "runtime/request/params.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LINK_PROTOCOL = 1 };

struct link;

/* gateway -> engine */
struct link_submit {
    uint64_t id;
    const int32_t *prompt, *output; /* output: tokens it already has (replay) */
    int n_prompt, n_output;
    int choice; /* added to params.seed by the gateway already; kept for logs and replay */
    struct sampling_params params;
};
enum link_command_kind { LINK_SUBMIT, LINK_CANCEL, LINK_STOP };
struct link_command {
    enum link_command_kind kind;
    struct link_submit submit;
    uint64_t cancel_id;
};

/* engine -> gateway */
struct link_ready {
    const char *build, *model, *kernels, *comm, *dtype;
    int vocab, max_model_len, tp, pp, threads;
    int64_t kv_tokens, weight_bytes;
    const int32_t *eos_id;
    int n_eos_ids;
};
struct link_logprob {
    int32_t token;
    float logprob;
    int32_t rank;
};
struct link_token {
    uint64_t id;
    int32_t token;
    const struct link_logprob *logprob; /* the chosen token first, then the best in order */
    int n_logprobs;
    enum finish_reason finish;
    int32_t stop_token; /* of a stop id; -1: none */
    int32_t cached_tokens;
};
enum link_event_kind { LINK_READY, LINK_TOKENS, LINK_FAILED };
struct link_event {
    enum link_event_kind kind;
    struct link_ready ready;
    const struct link_token *token;
    int n_tokens;
    uint64_t failed_id; /* 0: the engine as a whole */
    struct error failure;
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
