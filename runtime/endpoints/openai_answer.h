/* runtime/endpoints/openai_answer.h: what is generated, in the forms of OpenAI's API. */
#pragma once
#include "proto/openai_request.h"
#include "proto/openai_response.h"
#include "runtime/endpoints/answer.h"

struct openai_start { /* borrowed for the call */
    enum openai_kind kind;
    const struct openai_form *form;
    const char *role;      /* of a chat's answer */
    struct json_text echo; /* of a chat: what its answer goes on from */
};

/* As answer_start(); the id of the answer is that of the request's source. */
struct call *openai_answer_start(const struct endpoints *e, const struct openai_start *start,
                                 const struct generate_request *request, const struct reply *reply);
