/* runtime/api/request_log.h: one line of the log for each request, at its end. */
#pragma once
#include "base/error.h"
#include "runtime/api/api.h"

#include <stdint.h>

struct request_log_entry {
    const struct api_source *source;
    const char *model;
    int64_t prompt_tokens, cached_tokens, output_tokens;
    int n_choices;                    /* of all its prompts; 0 where it was refused */
    const char *finish;               /* "stop", or "length,stop"; "" where nothing was answered */
    int64_t queue_ns;                 /* until the first of them ran; -1: none did */
    int64_t first_token_ns, total_ns; /* after it came; first_token_ns -1: there was none */
    const struct error *failure;      /* NULL: none */
    bool was_cancelled;               /* its user went away */
};

void request_log_write(const struct request_log_entry *entry);
