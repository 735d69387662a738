/* tests/unit/runtime_grpc/fake_api.h: the functions of runtime/api, with a model that says one
 * text.
 *
 * Every fake_api_step() gives each choice its next token. The prompt says what is special:
 *   "slow …"   only every tenth step      "flood …"  never ends, many tokens a step
 *   "full"     refused, queue_full        "crash …"  fails after two tokens
 *   "forever"  never a token
 * A temperature over 2 and a model called "other" are refused. Vectors are 3 numbers that grow with
 * the text; a score is the length of the second text. Answers have 16 tokens, or max_tokens.
 */
#pragma once
#include "runtime/api/admission.h"
#include "runtime/api/api.h"

struct fake_call;
struct fake_api {
    struct api api;
    struct intake intake;
    struct admission admission;
    struct ids text; /* what the model says, again and again */
    struct fake_call *first;
    int n_steps;
    int n_begun, n_cancelled, n_ended;
    struct api_source source;        /* of the last call, */
    struct sampling_fields sampling; /* and what it asked for; lists are not there any more */
    char cache_salt[64], stop[64], tool_name[64], role[64];
    size_t n_ids; /* of a prompt of ids */
};

void fake_api_open(struct fake_api *fake);
void fake_api_step(struct fake_api *fake);
void fake_api_close(struct fake_api *fake);
