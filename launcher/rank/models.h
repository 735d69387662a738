/* launcher/rank/models.h: the models of a rank: the one that is served and, with
 * --speculative-model, the one that guesses for it; what steps they run, and the memory for them.
 *
 * The target runs on all ranks. The draft model is small, and each of its passes waits for the one
 * before: stages would only wait for each other. The ranks of the first one share all its layers.
 *
 * In the order of the start: read (small files), load (weights), reserve (KV caches, activations).
 */
#pragma once
#include "launcher/rank/memory.h"
#include "parallel/ranks.h"
#include "runtime/model/config.h"
#include "runtime/model/device_weights.h"
#include "runtime/plan_record.h"
#include "runtime/plan_run.h"

#include <stdbool.h>

struct error;
struct loading_watch;
struct model;
struct options;
struct rank_compute;

struct rank_models {
    const char *folder[PLAN_MODELS]; /* NULL: there is none */
    struct model_config config[PLAN_MODELS];
    struct model *model[PLAN_MODELS]; /* NULL also where other stages have it */
    struct ranks of_stage;            /* the ranks that a draft model runs on */
    struct plan_models plan;          /* its pointers go into this struct: it must not move */
    struct plan_record replayed;      /* all zero without --replay */
    struct rank_memory memory;
    struct device_loading loading; /* how GPUs get their weights */
    bool dummy;                    /* --load-format */
    struct loading_watch *watch;   /* of the weights; borrowed; NULL: nobody wants it */
    bool on_gpu, one_leaf; /* share.h, struct model_place; `phalanx plan` sets them itself */
};

/* What can be told to be wrong from small files alone: config.json of each, whether they fit each
 * other, the options and the ranks, and the plans of --replay. ERROR_INPUT. */
bool rank_models_read(struct rank_models *m, const struct options *options, struct error *err);
/* Afterwards, where the ranks compute on GPUs: sizes of steps for the smallest of them. */
void rank_models_for_gpus(struct rank_models *m, const struct options *options, int64_t gpu_bytes);
/* Borrows ranks and devices until the end. */
bool rank_models_load(struct rank_models *m, const struct options *options,
                      const struct ranks *ranks, const struct rank_compute *compute,
                      struct error *err);
/* The same from the headers alone (model_measure()), of a rank of the first stage, of whose ranks
 * only the numbers count. Then it can become another rank; on one of a later stage a draft model
 * stays what it was, and does not count. */
bool rank_models_measure(struct rank_models *m, const struct options *options,
                         const struct ranks *ranks, struct error *err);
void rank_models_measure_as(struct rank_models *m, const struct ranks *ranks);
/* Collective over all ranks. */
bool rank_models_reserve(struct rank_models *m, const struct options *options,
                         const struct rank_compute *compute, const struct ranks *ranks,
                         struct error *err);
void rank_models_close(struct rank_models *m); /* all zero is fine */
