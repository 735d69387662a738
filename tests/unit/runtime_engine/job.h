/* tests/unit/runtime_engine/job.h: a whole job without processes: engine and workers are threads,
 * the test is the gateway at the other end of a socket pair. */
#pragma once
#include "base/error.h"
#include "runtime/engine_link.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct ops;

enum { JOB_MAX_REQUESTS = 40, JOB_MAX_TOKENS = 480, JOB_MAX_LOGPROBS = 6 };

struct job_settings {
    const char *folder, *dtype, *kernels; /* kernels NULL: the best */
    const struct ops *ops;                /* instead of `kernels`, where not NULL */
    int tp_size, n_threads;
    int max_tokens, max_sequences, max_model_len, n_kv_blocks; /* of a step, of the engine */
    const int32_t *eos_id;
    int n_eos_ids;
};

/* What the gateway knows of request id i + 1. */
struct answer {
    int32_t token[JOB_MAX_TOKENS];
    float logprob[JOB_MAX_TOKENS][JOB_MAX_LOGPROBS];
    int32_t logprob_token[JOB_MAX_TOKENS][JOB_MAX_LOGPROBS];
    int n_tokens, n_ends; /* n_ends: final tokens and failures; one at the end */
    enum finish_reason finish;
    int32_t stop_token;
    struct error failure;
};

struct job {
    struct job_settings settings;
    struct link *link;
    pthread_t thread; /* that runs all ranks */
    void *memory;
    int engine_fd;
    struct error err[16]; /* of each rank, after job_close() */
    struct answer answer[JOB_MAX_REQUESTS];
};

void job_open(struct job *job, const struct job_settings *settings);
void job_submit(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const struct sampling_params *params);
/* The same, with tokens that it had before a restart. */
void job_replay(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const int32_t *output, int n_output, const struct sampling_params *params);
void job_cancel(struct job *job, int request);
/* Reads events until request `request` has n_tokens or has ended; -1: until `n_tokens` requests
 * have ended. Fails the test after 120 s. */
void job_wait(struct job *job, int request, int n_tokens);
/* Says stop (or, with `abrupt`, just goes away), waits for every rank, and fails the test if one
 * of them failed. */
void job_close(struct job *job, bool abrupt);
