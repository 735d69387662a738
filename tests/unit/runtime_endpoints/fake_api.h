/* tests/unit/runtime_endpoints/fake_api.h: an api without a model: the test says what comes.
 *
 * It keeps what it was asked, and the test gives the tokens of each choice and ends them. Texts
 * become tokens by the tokenizer of demo/, and the outputs are those of the gateway, so that stop
 * texts, held-back characters and log-probabilities are as in a server. One call at a time. */
#pragma once
#include "runtime/endpoints/endpoints.h"

#include "base/bytes.h"
#include "base/error.h"
#include "runtime/api/admission.h"
#include "runtime/api/generate.h"
#include "runtime/api/pool.h"
#include "runtime/api/request_log.h"

enum { FAKE_MAX_PROMPTS = 4, FAKE_MAX_CHOICES = 4, FAKE_MAX_VALUES = 8 };

struct heard { /* what a reply was told */
    int n_whole, n_begun, n_events, n_ended, status, retry_after_s;
    char type[64];
    struct bytes body; /* whole, or all events one after the other */
    int deaf_after;    /* events; then event() is false. 0: never */
};

struct fake { /* all zero is an open server that knows its model */
    struct endpoints *endpoints;
    struct call *call; /* NULL: answered */
    struct heard heard;
    struct error refusal; /* kind ERROR_NONE: api_generate() and api_pool() take the request */
    bool not_ready, not_alive;
    bool is_id_made_up;           /* the "test" of a call is nobody's */
    int slept_level, n_cancelled; /* level: 0 when it was woken */
    /* of the last request */
    struct generate_request asked;
    struct pool_request pooled;
    struct bytes asked_text; /* all prompts that are texts, each with a '|' behind it */
    struct bytes asked_json; /* messages, tools, … as JSON, each with a newline behind it */
    char asked_model[64], asked_stop[64];
    struct request_record record; /* of the last call: what the endpoints note in it */
    struct admission admission;
    struct api api;
};

struct fake *fake_open(void);
void fake_close(struct fake *fake); /* no call may be open */

/* Makes a call, and keeps it; the request id is "test". */
void fake_call(struct fake *fake, const char *method, const char *path, const char *body);

/* The engine: each is one token a time, and the listener is told. */
void fake_say(struct fake *fake, int prompt, int choice, const char *text);
/* A token with its log-probability and one that is likelier: "x" with -0.5. */
void fake_say_likely(struct fake *fake, int prompt, int choice, const char *text, float logprob);
/* Log-probabilities of all tokens of a prompt but the first: -1, -2, … */
void fake_prompt_logprobs(struct fake *fake, int prompt);
void fake_end(struct fake *fake, int prompt, int choice, enum finish_reason reason);
/* The listener's last word. Choices that go on are aborted, and nobody is told but by this. */
void fake_done(struct fake *fake);
void fake_fail(struct fake *fake, enum error_kind kind, const char *code, const char *text);
/* Result i of a call that pools. */
void fake_value(struct fake *fake, int i, const float *value, int n_values);
void fake_pooled(struct fake *fake);
/* A call that sleeps or wakes has its end; why NULL: it is so. */
void fake_slept(struct fake *fake, const struct error *why);

/* The whole answer, or all events. Also checks that it came as one of the two. */
void check_body(struct fake *fake, int status, const char *want);
void check_stream(struct fake *fake, const char *want);
/* Forgets what was heard, for the next call. */
void fake_forget(struct fake *fake);
