/* runtime/options/options.h: every option of every command, once.
 *
 * One table (table.h, its rows in rows_*.c) makes the flags, the keys of a --config file, --help
 * and docs/options.md. A value comes from the command line, else from the file, else it is the
 * default. Names and meanings are vLLM's where vLLM has the option.
 *
 * Texts point into argv or into the arena of the struct.
 */
#pragma once
#include "base/memory.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct bytes;
struct error;

enum command {
    COMMAND_GENERATE,
    COMMAND_CHAT,
    COMMAND_TOKENIZE,
    COMMAND_DETOKENIZE,
    COMMAND_RENDER,
    COMMAND_DEMO,
    COMMAND_DOCTOR,
    COMMAND_PLAN,
    COMMAND_SCORE,
    COMMAND_SERVE,
    COMMAND_BATCH,
    COMMAND_BENCH_LATENCY,
    COMMAND_BENCH_THROUGHPUT,
    COMMAND_BENCH_SERVE,
    COMMAND_BENCH_STARTUP,
    COMMAND_LIBRARY, /* phalanx_open() of libphalanx */
    COMMAND_RANK,    /* the executable phalanx-rank, started by the gateway */
    COMMAND_COUNT
};

enum {
    OPTIONS_MAX = 256,       /* rows of the table */
    OPTIONS_MAX_DRAFTS = 32, /* rows of a step that one sequence may risk on guesses */
    OPTIONS_MAX_REPLICAS = 64,
    OPTIONS_MAX_LOOKUP = 64, /* tokens; a longer match tells nothing more */
};

/* Several values of one option, in the order given. */
struct option_list {
    const char **item;
    int n;
};

struct options {
    enum command command;
    const char *model; /* folder of the checkpoint, or a name in the hub cache */
    const char *config;

    int64_t tensor_parallel_size, pipeline_parallel_size, data_parallel_size;
    int64_t max_restarts; /* without progress between them; 0: none */
    const char *comm;
    int64_t distributed_timeout_seconds;
    const char *hostfile; /* NULL: all ranks on this host */
    const char *bind;     /* auto, none, core or numa */

    const char *device;   /* auto, cpu or cuda */
    const char *numerics; /* auto, exact or fast */
    double gpu_memory_utilization;
    bool enforce_eager;
    const char *dtype, *kernels, *load_format;
    int64_t threads; /* of each rank; 0: the CPUs of the host shared by its ranks */
    bool check_weights;
    int64_t max_model_len, max_num_seqs, max_num_batched_tokens; /* 0: chosen */
    int64_t block_size, kv_cache_memory_bytes;
    const char *kv_cache_dtype;
    bool enable_prefix_caching, enable_chunked_prefill;
    const char *scheduling_policy; /* fcfs or priority */
    const char *logprobs_mode;     /* raw_logprobs or processed_logprobs */

    /* Speculation. After options_parse() the method says it all: "none", or "ngram" with the last
     * three set, or "draft_model" with a model and tokens. */
    const char *speculative_config; /* JSON, taken apart */
    const char *speculative_method, *speculative_model;
    int64_t num_speculative_tokens, prompt_lookup_min, prompt_lookup_max;

    int64_t memory; /* of plan: bytes of each rank; 0: what the job would take */

    const char *record, *replay; /* files of steps; NULL: none */

    struct option_list prompt, prompt_ids;
    const char *prompts_file;          /* "-": standard input */
    const char *system_prompt, *quick; /* quick: one question instead of a conversation */
    bool stats;
    const char *chat_template, *content_format; /* a file; auto, string or openai */
    const char *template_variables;             /* a JSON object */
    bool enable_thinking;                       /* of those variables, when given */
    const char *now;                            /* for strftime_now() */
    const char *generation_config;
    bool json, jsonl, quiet;
    int64_t n, max_tokens, min_tokens, logprobs, top_k, seed; /* seed -1: drawn and reported */
    double temperature, top_p, min_p;
    double repetition_penalty, frequency_penalty, presence_penalty;
    struct option_list stop, stop_token_ids, bad_words, logit_bias, allowed_token_ids;
    int64_t prompt_logprobs;
    int64_t beam_width; /* 1: sampling */
    double length_penalty;
    const char *length_penalty_scope; /* total or generated */
    int64_t priority, deadline_ms;    /* 0: no deadline */
    const char *cache_salt;
    bool include_stop_str, ignore_eos, skip_special_tokens;

    bool add_special_tokens; /* of tokenize */

    const char *task, *pooling; /* of score: auto, or as the table says */
    bool normalize;

    struct {
        const char *host;
        int64_t port, grpc_port; /* grpc_port 0: none */
        struct option_list model_name, api_key, origin;
        const char *api_key_file, *ssl_certfile, *ssl_keyfile; /* NULL: none */
        bool insecure, no_log_stats, no_log_requests, enable_log_requests, sleep_mode;
        int64_t max_connections, max_queue, max_body_bytes, max_logprobs;
        int64_t drain_timeout;  /* seconds */
        const char *log_format; /* text or json */
    } serve;

    struct {
        const char *input, *output, *error_file,
            *journal; /* the last two NULL: none, beside output */
        double fsync_s;
        bool restart, strict;
    } batch;

    struct {
        int64_t input_len, output_len, batch_size, num_iters, num_iters_warmup, num_prompts;
        const char *dataset, *output_json, *plot;
        /* serve */
        const char *base_url, *endpoint, *trace;
        const char *host, *backend; /* NULL: not said */
        int64_t port;
        struct option_list header, metadata;
        const char *extra_body;                   /* JSON; NULL: none */
        const char *result_dir, *result_filename; /* NULL: not said */
        bool save_result;
        const char *dataset_name, *ramp_up_strategy; /* NULL: none */
        const char *ca_file;                         /* NULL: the system's */
        bool insecure;
        double request_rate, burstiness,
            trace_speed; /* request_rate: per second, may be infinite */
        double ramp_up_start_rps, ramp_up_end_rps, random_range_ratio;
        int64_t max_concurrency;                                         /* 0: no limit */
        int64_t num_warmups, vocab_size, ready_timeout, request_timeout; /* timeouts: seconds */
        const char *percentile_metrics, *metric_percentiles;
        struct option_list goodput;
        bool save_detailed;
        int64_t num_iters_cold, num_iters_warm; /* startup */
    } bench;

    struct { /* keys of LLaMA-Factory's files that are no options of ours */
        const char *adapter_name_or_path, *template, *infer_backend, *finetuning_type;
        bool do_sample, trust_remote_code;
        int64_t max_length, max_lora_rank; /* max_length: with the prompt; 0: none */
    } factory;

    struct { /* flags of vLLM that are no options of ours */
        const char *quantization, *override_generation_config, *tokenizer_mode, *executor;
        bool disable_custom_all_reduce, async_scheduling;
        double swap_space, cpu_offload_gb;
        int64_t max_log_len, api_server_count;
    } vllm;

    const char *log_level;
    const char *link; /* phalanx-rank: socket of the gateway */
    int64_t replica;  /* phalanx-rank: which of those on this host */
    int engine_fd;    /* no option: a link to an engine that runs already, from the launcher; 0: the
                         ranks are to be started */
    bool help, help_all;
    struct option_list notes;         /* what a user should know about what was given */
    uint64_t given[OPTIONS_MAX / 64]; /* bit i: option i of the table was set by the user */
    uint64_t nulls[OPTIONS_MAX / 64]; /* bit i: key=null on the command line: no file sets it */
    struct arena arena;
};

/* Fills `out` from the words after the command: options, MODEL, and for commands that take
 * --config also the file as the first word (it ends in .yaml, .yml or .json), and key=value as in
 * the file. Errors are ERROR_INPUT: an unknown option with the nearest known one, a value that is
 * no number or outside its range, a missing MODEL, a file with a line number. --help skips what is
 * missing. options_release() afterwards, also on failure.
 */
bool options_parse(struct options *out, enum command command, int argc, char **argv,
                   struct error *err);
/* "name" of the section Sampling gets another value, as if it had been given, and a list this one
 * item; "" and "null" make it as if it had not been given. */
bool options_change(struct options *options, const char *name, const char *text, struct error *err);
/* Prints the options of that section with the values that were given, one a line. */
void options_print_sampling(FILE *out, const struct options *options);
void options_release(struct options *options);
/* The words `--name=value` that give phalanx-rank the same values: at most `max`; their number. */
int options_for_rank(const struct options *options, struct arena *arena, char **word, int max);
/* Whether the command line or the file set "--name"; false for an option of other commands. */
bool options_is_given(const struct options *options, const char *name);
/* Adds the value of "--name" as a text that gives it again; false for an option of other commands.
 */
bool options_print_value(struct bytes *out, const struct options *options, const char *name);

bool options_dummy_weights(const struct options *options); /* --load-format dummy */

const char *command_name(enum command command);
const char *command_summary(enum command command); /* one line; NULL: no word of phalanx */
/* Which command the words of a user begin with ("bench latency" has two); their number, 0: none. */
int command_find(enum command *out, int n_words, char **word);

void options_print_help(FILE *out, enum command command, bool all);
void options_print_markdown(FILE *out); /* docs/options.md, whole */
