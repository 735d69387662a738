/* runtime/gateway/sampling.h: what a user asks of answers becomes checked parameters.
 *
 * One validator for command line, HTTP, gRPC, batch files and the library: each fills
 * sampling_fields with what was said, and what was not said is taken from the makers of the model
 * (generation_config.json), else from vLLM's defaults. Nothing of a field was checked before.
 * Errors are ERROR_INPUT with the field's name of here as their parameter (error_param()), and
 * their texts begin with it.
 */
#pragma once
#include "base/bytes.h"
#include "base/memory.h"
#include "runtime/gateway/output.h"
#include "runtime/request/params.h"
#include "runtime/request/sampling_fields.h"
#include "runtime/text/ids.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct intake;

enum {
    SAMPLING_MAX_STOPS = 64,
    SAMPLING_MAX_TEXT_BYTES = 4096, /* of one stop text, of one bad word */
};

struct sampling_fields sampling_nothing_said(void);

struct sampling_model { /* what the fields are checked against; borrowed */
    struct intake *intake;
    int vocab;
    int max_logprobs;                /* at most PARAMS_MAX_LOGPROBS */
    struct sampling_params defaults; /* max_tokens 0: the makers say none */
};

/* Defaults of generation_config.json in the folder; NULL: vLLM's alone. ERROR_INPUT names the file.
 * max_logprobs is PARAMS_MAX_LOGPROBS. */
bool sampling_model_init(struct sampling_model *out, struct intake *intake, int vocab,
                         const char *model_folder, struct error *err);

struct sampling {
    struct sampling_params params; /* its lists are those below; seed drawn where none was said */
    struct output_rules rules;     /* its stop texts are copies, in the arena */
    int n_choices;                 /* answers to each prompt; of beams, the best ones */
    bool max_tokens_said;          /* else params.max_tokens is a default that may be cut to fit */
    int priority;
    int64_t deadline_ns;    /* after the request came; 0: none */
    struct bytes cache_key; /* of cache_salt */
    struct ids allowed_id, bad_id, bad_end;
    struct token_bias *bias;
    struct arena arena;
};

/* default_max_tokens: where nobody says any (vLLM: 16, and what fits for a chat: INT32_MAX).
 * sampling_release() also after a failure. */
bool sampling_make(struct sampling *out, const struct sampling_fields *fields,
                   const struct sampling_model *model, int32_t default_max_tokens,
                   struct error *err);
void sampling_release(struct sampling *sampling);
/* At the engine for each prompt: one an answer, or all beams. */
int sampling_sequences(const struct sampling *sampling);
