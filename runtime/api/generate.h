/* runtime/api/generate.h: prompts or a chat in, choices out, as they come. */
#pragma once
#include "runtime/api/api.h"
#include "runtime/gateway/completion.h"

#include <jansson.h>

struct text_range; /* base/utf8.h */

struct api_prompt {   /* a text, or ids */
    const char *text; /* UTF-8 without NUL; NULL: ids */
    size_t n_bytes;
    const int64_t *id;
    size_t n_ids;
    const char *param; /* the user's field, for errors: a literal; NULL: the usual one */
    /* A text that a chat template made: what spells a special token in it is one, but for these
     * parts (encoder.h). Users do not give it. */
    bool is_rendered;
    const struct text_range *plain; /* [n_plain] */
    size_t n_plain;
};

struct generate_request { /* borrowed for the call of api_generate() */
    struct api_source source;
    const char *model; /* NULL: whichever */
    struct sampling_fields sampling;
    /* either prompts … */
    const struct api_prompt *prompt; /* [n_prompts] at most API_MAX_PROMPTS */
    size_t n_prompts;
    bool add_special_tokens; /* around texts, or around what the template makes of a chat */
    /* … or a chat: messages not NULL */
    const json_t *messages, *tools, *documents, *template_variables;
    const char *tool_choice_none; /* not NULL: tools are not shown to the model */
    bool add_generation_prompt, continue_final_message;
    int64_t truncate_prompt_tokens; /* keep the last ones; SAMPLING_UNSAID: no; -1: what fits */
    int32_t default_max_tokens;     /* 16, or INT32_MAX for a chat */
};
enum { API_MAX_PROMPTS = 2048, API_MAX_CHOICES = 8192 /* of all prompts */ };

struct generate_call; /* of one request; there until done or failed has been called, or cancel */

struct generate_listener {
    /* All prompts are read, later than api_generate() returned: the call is on its way to an
     * engine. May be NULL. */
    void (*sent)(void *context, struct generate_call *call);
    /* Something new of a choice: look at generate_output(). False: the user has what is needed, and
     * the rest of the choice ends with FINISH_ABORT. May be NULL. */
    bool (*progress)(void *context, struct generate_call *call, int prompt, int choice);
    void (*done)(void *context,
                 struct generate_call *call); /* all choices; the call is gone after */
    void (*failed)(void *context, struct generate_call *call,
                   const struct error *why); /* likewise */
    void *context;
};

/* NULL: refused, and *err says why (ERROR_INPUT; ERROR_LIMIT with code "queue_full", "draining",
 * "sleeping" or "not_ready"). Progress may be told from then on, but not before it returned; the
 * end by api_settle(). The end is `failed` as soon as one choice fails, with the error of that
 * choice; after the deadline that was asked for, with code "deadline_exceeded"; and where prompts
 * are so many or so long that they are read bit by bit, when one of them is what would be refused.
 */
struct generate_call *api_generate(struct api *api, const struct generate_request *request,
                                   const struct generate_listener *listener, struct error *err);
/* The user is gone: nothing more is called, nothing more is computed. Any call from `done` and
 * `failed`, but not that which ends there; none from `progress`. */
void generate_cancel(struct generate_call *call);

int generate_prompts(const struct generate_call *call);
int generate_choices(const struct generate_call *call); /* of each prompt */
const struct output *generate_output(const struct generate_call *call, int prompt, int choice);
/* All prompts are read: before api_generate() returned, or `sent` was told. */
bool generate_is_sent(const struct generate_call *call);
/* Once it is sent. */
const struct ids *generate_prompt_ids(const struct generate_call *call, int prompt);
/* The text of a prompt as it was given; of a chat NULL. */
const char *generate_prompt_text(const struct generate_call *call, int prompt, size_t *n_bytes);
const struct sampling *generate_sampling(const struct generate_call *call);
const struct api_source *generate_source(const struct generate_call *call);

struct api_usage {
    int64_t prompt_tokens, completion_tokens, cached_tokens;
};
struct api_usage generate_usage(const struct generate_call *call);
