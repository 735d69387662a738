/* tests/unit/runtime_schedule/fixture.h: a scheduler whose steps a test plans and commits by hand.
 */
#pragma once
#include "runtime/schedule/scheduler.h"

enum { EOS = 2, WORD = 30, MAX_ROWS = 64, MAX_PROMPT = 128 };

struct fixture {
    struct scheduler_settings settings;
    struct scheduler *scheduler;
    struct batch batch;
    struct outcome outcome[MAX_ROWS]; /* of the last commit */
    int32_t prompt[MAX_PROMPT];       /* no two places near each other are equal */
    struct sampling_params params;    /* of the requests that are submitted next */
};

/* Blocks of 4 tokens, 128 positions, a vocabulary of 50. */
struct scheduler_settings fixture_settings(int max_tokens, int max_sequences, int n_blocks);
void fixture_open_with(struct fixture *f, const struct scheduler_settings *settings);
void fixture_open(struct fixture *f, int max_tokens, int max_sequences, int n_blocks);
void fixture_close(struct fixture *f);

/* A source with this id, the begin of f->prompt and f->params. */
struct request_source fixture_source(const struct fixture *f, uint64_t id, int n_prompt);
void must_submit_source(struct fixture *f, const struct request_source *source);
void must_submit(struct fixture *f, uint64_t id, int n_prompt, int max_tokens);

/* Plans a step and checks its shape: rows of each sequence in order, ended by 0. */
struct step_view plan(struct fixture *f, const int *n_new);
/* The same, and checks only that it is a plan. */
struct step_view plan_any(struct fixture *f);
/* Every row gives this token. */
void commit(struct fixture *f, int32_t token);
/* Whole steps in which every row gives WORD. */
void run_steps(struct fixture *f, int n);
