/* launcher/sampling.h: how the options want answers to be made.
 *
 * Parameters of the engine, rules of the text, and what each request says of itself. A value is
 * that of an option that was given, else what the makers of the model say, else the default.
 */
#pragma once
#include "base/bytes.h"
#include "runtime/gateway/output.h"
#include "runtime/request/params.h"
#include "runtime/text/ids.h"

#include <stdbool.h>
#include <stdint.h>

struct error;
struct options;
struct session;

struct sampling {
    struct sampling_params params; /* its lists are those below */
    struct output_rules rules;
    int n_choices;      /* answers to each prompt; of beams, the best ones */
    int32_t max_length; /* of prompt and answer, where no max_tokens was given; 0: none */
    int priority;
    int64_t deadline_ns;    /* after the prompt was sent; 0: none */
    struct bytes cache_key; /* of --cache-salt */
    struct ids allowed_id, bad_id, bad_end;
    struct token_bias *bias;
};

/* ERROR_INPUT names the option. sampling_release() also after a failure. */
bool sampling_read(struct sampling *out, const struct options *options, struct session *session,
                   struct error *err);
void sampling_release(struct sampling *sampling);
