/* runtime/endpoints/native_answer.h: what the shapes of /generate share; a file each. */
#pragma once
#include "base/memory.h"
#include "proto/native_generate.h"
#include "runtime/endpoints/answer.h"

struct native_answer {
    struct answer answer;
    struct native_form form;
    char id[ENDPOINT_ID_BYTES];
    size_t n_sent;      /* tokens, of a stream of one choice */
    struct arena arena; /* of one event, or of one choice */
};

static inline struct native_answer *native_of(struct answer *answer)
{
    return (struct native_answer *)(void *)answer; /* its first member */
}

extern const struct answer_form native_vllm_form, native_sglang_form, native_tgi_form;

/* As it stands, without log-probabilities; lives until the next token, and as long as the arena. */
struct native_choice native_choice_of(struct native_answer *a, int prompt, int choice);
/* Adds those of the tokens from `begin`. */
void native_add_rows(struct native_answer *a, struct native_choice *choice,
                     const struct output *output, size_t begin);
void native_release(struct answer *answer);
