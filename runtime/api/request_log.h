/* runtime/api/request_log.h: one line of the log for each request at its end, whatever becomes of
 * it.
 *
 * Who answers requests (launcher/serve/front.c, runtime/grpc/rpc_log.c) keeps a record of each and
 * writes the line. Who works on one notes in its record what only he knows: the api the numbers,
 * whoever refuses it why.
 */
#pragma once
#include "base/error.h"
#include "runtime/api/api.h"

#include <stdbool.h>
#include <stdint.h>

enum { REQUEST_RECORD_FINISH_BYTES = 64 };

struct request_record { /* all zero at first; lives as long as the request */
    char id[sizeof(((struct api_source *)0)->request_id)]; /* as its answer has it; "": none */
    struct error failure; /* why it was refused, or failed; kind ERROR_NONE: it was not */
    bool was_sent;        /* to the engine; only then there is what follows */
    int64_t prompt_tokens, cached_tokens, output_tokens;
    int n_choices;                            /* of all its prompts */
    char finish[REQUEST_RECORD_FINISH_BYTES]; /* "stop", or "length,stop" */
    int64_t queue_ns;                         /* until the first of these ran; -1: none did */
    int64_t first_token_ns;                   /* after it came; -1: there was none */
};

struct request_log_entry {
    const struct request_record *record;
    const char *method; /* of HTTP; NULL: none */
    const char *route;  /* as it was asked for, any text; NULL: that was not understood */
    const char *peer;
    int status; /* of HTTP, or what it would have been there */
    int64_t total_ns;
    bool was_cancelled; /* its user went away: status 499 */
    bool is_probe;      /* machines ask it all the time: level debug */
};

/* Nothing where the api logs no requests. */
void request_log_write(const struct api *api, const struct request_log_entry *entry);
