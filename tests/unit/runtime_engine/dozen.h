/* tests/unit/runtime_engine/dozen.h: twelve different requests, through the whole engine, to a
 * model of at least 64 tokens: the same tokens and the same bits of their log-probabilities in
 * every layout. */
#pragma once
#include <stdbool.h>

struct gpu_setup;

enum { DOZEN_MODEL_LEN = 128 }; /* of a sequence */

struct dozen_layout {
    int tp_size, n_threads;
    const char *kernels; /* NULL: the best */
    int max_tokens, max_sequences, n_kv_blocks;
    bool prefix_caching;
    int ngram_max;     /* 0: no guesses, */
    const char *draft; /* NULL: nor a model that makes them */
    int pp_stages;
};

/* Fails the test where an answer is another one than in the first layout. */
void dozen_compare(const char *folder, const struct dozen_layout *layouts, int n_layouts);

/* The same on GPUs. */
struct dozen_gpu_layout {
    const struct gpu_setup *gpu; /* NULL: CPUs */
    bool runs_ahead;
    struct dozen_layout layout;
};
void dozen_compare_gpus(const char *folder, const struct dozen_gpu_layout *layouts, int n_layouts);
