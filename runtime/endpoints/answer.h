/* runtime/endpoints/answer.h: a call that generates: from the listener of the api to the reply.
 *
 * Whole: one body at the end. Streamed: events as tokens come, and nothing before the first one,
 * so that what is refused until then is a plain error with its status. Who does not read its
 * events is told nothing more, and the rest of its choices is given up.
 *
 * What the bytes are is the business of a form: OpenAI's, SGLang's, …
 */
#pragma once
#include "proto/json_write.h" /* json_text */
#include "runtime/api/generate.h"
#include "runtime/endpoints/endpoint.h"

#include <stdbool.h>

struct answer;

/* Named, or else libraries that go by the older rule of text/… read it as Latin-1. */
#define ANSWER_EVENTS "text/event-stream; charset=utf-8"

struct answer_form {         /* each appends to answer->out */
    const char *stream_type; /* content type of a stream */
    /* What is new of a choice; nothing where nothing is. Streams only. True: its end is written,
     * and nothing more comes. */
    bool (*progress)(struct answer *answer, int prompt, int choice);
    /* All choices have ended: the end of a stream, or the whole body. */
    void (*finish)(struct answer *answer);
    /* The last words of a stream that has begun. */
    void (*fail)(struct answer *answer, const struct error *why);
    void (*release)(struct answer *answer); /* what the form has added, and the answer itself */
};

struct answer { /* the first member of what a form adds */
    struct call call;
    const struct answer_form *form;
    bool is_stream;
    /* Below: answer.c's. */
    struct generate_call *generate;
    bool has_begun, is_deaf;
    bool *is_over; /* [prompts * choices] their end is written */
    struct bytes out;
};

const struct tokenizer *answer_tokenizer(const struct answer *answer);
/* A prompt as text: as it was given, or else what its ids say, in the arena. */
struct json_text answer_prompt_text(const struct answer *answer, int prompt, struct arena *arena);
/* The last words of a stream of events: the error, and that nothing comes after it. */
void answer_write_failure(struct answer *answer, const struct error *why);

/* Starts it; takes `answer` over, which is all zero but for form, is_stream and what the form has
 * added. NULL: refused, and the reply has been told why. */
struct call *answer_start(struct answer *answer, const struct endpoints *e,
                          const struct generate_request *request, const struct reply *reply);
