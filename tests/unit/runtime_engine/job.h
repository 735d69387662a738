/* tests/unit/runtime_engine/job.h: a whole job without processes: engine and workers are threads,
 * the test is the gateway at the other end of a socket pair. */
#pragma once
#include "base/error.h"
#include "runtime/link/engine_link.h"
#include "runtime/replay.h"
#include "runtime/schedule/scheduler.h"
#include "tests/unit/parallel/threads.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct gpu_setup;
struct ops;

enum {
    JOB_MAX_REQUESTS = 136,
    JOB_MAX_TOKENS = 480,
    JOB_MAX_PROMPT = 160, /* of one whose log-probabilities are asked for */
    JOB_MAX_LOGPROBS = 8,
    JOB_MAX_BEAMS = 4,
    JOB_MAX_BEAM_TOKENS = 32,
    JOB_MAX_VALUES = 256
};

struct job_settings {
    const char *folder, *dtype, *kernels; /* kernels NULL: the best */
    const struct ops *ops;                /* instead of `kernels`, where not NULL */
    const struct gpu_setup *gpu;          /* the layers run on GPUs; NULL: on CPUs */
    const char *draft;                    /* folder of a draft model; NULL: none */
    int tp_size, n_threads;
    int pp_stages;                                             /* 0: one */
    int max_tokens, max_sequences, max_model_len, n_kv_blocks; /* of a step, of the engine */
    bool kv_int8;                                              /* else the KV cache is as `dtype` */
    int n_flights;                                             /* 0: as many as stages */
    bool runs_ahead;                                           /* of tokens in flight */
    int64_t deadline_ns;                                       /* of a call; 0: two minutes */
    int ngram_max, max_drafts; /* ngram_max 0: no n-grams, and drafts only with `draft` */
    bool prefix_caching, by_priority;
    const char *record; /* a file for the plans; NULL: none */
    const int32_t *eos_id;
    int n_eos_ids;
};

struct answer_logprobs {
    int32_t token[JOB_MAX_LOGPROBS];
    float logprob[JOB_MAX_LOGPROBS];
};

struct answer_beam {
    int32_t token[JOB_MAX_BEAM_TOKENS];
    int n_tokens;
    double cumulative_logprob, score;
    enum finish_reason finish;
};

/* What the gateway knows of request id i + 1: all of it is the same in every layout. */
struct answer {
    int32_t token[JOB_MAX_TOKENS];
    struct answer_logprobs logprobs[JOB_MAX_TOKENS];
    struct answer_logprobs prompt[JOB_MAX_PROMPT]; /* from position 1 */
    struct answer_beam beam[JOB_MAX_BEAMS];
    float value[JOB_MAX_VALUES]; /* of a pooled vector */
    int n_tokens, n_prompt, n_beams, n_values;
    int n_ends; /* final tokens, failures, …; one at the end */
    enum finish_reason finish;
    int32_t stop_token;
    struct error failure;
};

/* And what may differ. */
struct answer_costs {
    int cached_tokens, n_drafted, n_accepted;
    bool has_begun;
};

struct job {
    struct job_settings settings;
    struct link *link;
    pthread_t thread; /* that runs all ranks */
    void *memory;
    int engine_fd;
    struct error err[MAX_TEST_RANKS]; /* of each rank, after job_close() */
    struct answer answer[JOB_MAX_REQUESTS];
    struct answer_costs costs[JOB_MAX_REQUESTS];
    struct link_stats stats; /* the last ones; no pointer of it is valid */
    enum link_sleep sleep;   /* as the engine said last, of n_sleeps times */
    int n_sleeps;
    int n_stats, n_pulses;
    int64_t progress_ns;            /* of the last pulse */
    int64_t oldest_ns;              /* how old the last pulse ever was when the next one came */
    struct scheduler_counts counts; /* at the end, after job_close() */
    const char *replayed;           /* a record to run instead of an engine */
    struct replay_report report;    /* of it */
};

void job_open(struct job *job, const struct job_settings *settings);
void job_submit(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const struct sampling_params *params);
/* The same, with tokens that it had before a restart. */
void job_replay(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const int32_t *output, int n_output, const struct sampling_params *params);
/* The same, with everything that a gateway can say; its id is that of `request`. */
void job_send(struct job *job, int request, const struct link_submit *submit);
void job_cancel(struct job *job, int request);
void job_ping(struct job *job);
/* Asks for it (LINK_NOT_ASLEEP: to wake), and reads events until the engine says that it is so. */
void job_sleep(struct job *job, enum link_sleep sleep);
void job_ask_to_sleep(struct job *job, enum link_sleep sleep); /* without the second half */
/* Reads events for so long. */
void job_hear(struct job *job, int64_t ns);
/* Reads events until request `request` has n_tokens or has ended; -1: until `n_tokens` requests
 * have ended. Fails the test after 120 s. */
void job_wait(struct job *job, int request, int n_tokens);
/* Instead of all these: runs a record on the ranks of the settings, into job->report. Fails the
 * test where a rank does. */
void job_run_record(struct job *job, const struct job_settings *settings, const char *path);
/* Says stop (or, with `abrupt`, just goes away), waits for every rank, and fails the test if one
 * of them failed. */
void job_close(struct job *job, bool abrupt);
