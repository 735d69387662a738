/* launcher/rank/loop.h: who works on a rank: rank 0 is the engine, but for a replay, the others are
 * workers. Made by options and models; for the ranks, and for `phalanx plan`, which counts what
 * they allocate.
 */
#pragma once
#include <stdbool.h>

struct device;
struct engine;
struct eos_ids;
struct error;
struct link;
struct options;
struct plan_recorder;
struct rank_models;
struct ranks;
struct worker;

struct rank_loop { /* at most one of them; all zero is neither */
    struct engine *engine;
    struct worker *worker;
    const struct ranks *ranks;
};

/* What only an engine that runs has. */
struct rank_loop_job {
    const struct eos_ids *eos;
    struct plan_recorder *recorder; /* NULL: none */
    struct link *link;
};

/* Everything is borrowed. job: NULL for a loop that is not going to run; then it cannot fail. */
bool rank_loop_make(struct rank_loop *out, const struct options *options,
                    const struct rank_models *models, struct device *device,
                    const struct rank_loop_job *job, struct error *err);
/* Until the gateway says stop (engine.h, worker.h). The engine then tells at level info what its
 * rank spent on communication. */
bool rank_loop_run(struct rank_loop *loop, struct error *err);
void rank_loop_release(struct rank_loop *loop);
