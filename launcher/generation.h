/* launcher/generation.h: prompts in, answers out, over an open session.
 *
 * All choices of all prompts are submitted at once; the engine decides what runs when. Results
 * keep the order of the prompts.
 */
#pragma once
#include "launcher/session.h"
#include "runtime/gateway/output.h"

#include <stdint.h>

struct options;

struct generation_prompt {
    const char *text; /* NULL: given as ids */
    struct ids ids;
    int32_t max_tokens; /* what fits, at most what was asked for */
};

struct generation {
    struct generation_prompt *prompt;
    int n_prompts, n_choices; /* n_choices of each prompt */
    int32_t max_length;       /* of prompt and answer, where no max_tokens was given; 0: none */
    struct sampling_params params;
    struct output_rules rules;
    struct output *output; /* [n_prompts * n_choices] */
    struct error *failure; /* [n_prompts * n_choices] kind NONE: none */
};

/* Called after each token of a choice, and when it ends: output->text up to n_released can be
 * shown. False: nobody wants the rest of it. */
typedef bool generation_progress_fn(void *context, int index, const struct output *output);

/* Sampling parameters and rules from the options. ERROR_INPUT names the option. */
bool generation_init(struct generation *out, const struct options *options,
                     const struct session *session, struct error *err);
bool generation_add_text(struct generation *g, struct session *session, const char *text,
                         bool exact_max_tokens, struct error *err);
bool generation_add_ids(struct generation *g, struct session *session, const char *ids,
                        bool exact_max_tokens, struct error *err);
/* Takes over the ids of a prompt, also when it fails. `text` NULL: none to show. */
bool generation_add_prompt(struct generation *g, const struct session *session, const char *text,
                           struct ids *take_ids, bool exact_max_tokens, struct error *err);
/* When it fails nothing of it runs on, and the session takes other requests, unless the error is
 * ERROR_PEER. */
bool generation_run(struct generation *g, struct session *session, generation_progress_fn *progress,
                    void *context, struct error *err);
void generation_release(struct generation *g);
