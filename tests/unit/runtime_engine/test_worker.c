/* A worker trusts no plan: rank 0 sends what a test says, rank 1 is a worker that has nothing to
 * run it with. */
#include "base/memory.h"
#include "kernels/device.h"
#include "parallel/ranks.h"
#include "runtime/plan_broadcast.h"
#include "runtime/plan_run.h"
#include "runtime/step_plan.h"
#include "runtime/worker.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <string.h>
#include <sys/mman.h>

static const struct plan_limits limits = {.max_tokens = 8,
                                          .max_sequences = 2,
                                          .max_logits = 2,
                                          .block_tokens = 16,
                                          .n_kv_blocks = 4,
                                          .n_kv_groups = 1,
                                          .max_model_len = 32,
                                          .vocab = 10};

struct scene {
    void *memory;
    int pp_stages; /* 1: rank 1 is in the stage of rank 0, 2: in the next */
    void (*make)(struct step_plan *plan);
};

static bool run_rank(void *context, int rank, struct error *err)
{
    const struct scene *scene = context;
    const struct ranks_settings settings = {
        .tp_size = 2 / scene->pp_stages,
        .pp_stages = scene->pp_stages,
        .comm = "shm",
        .settings = {.deadline_ns = 10LL * 1000 * 1000 * 1000},
    };
    struct ranks ranks;
    struct device *device = NULL;
    if (!ranks_open_threads(&ranks, scene->memory, rank, &settings, err) ||
        !device_open_cpu(&device, "scalar", 1, 0, err))
        return false;
    bool good;
    if (rank == 0) {
        struct step_plan *plan = memory_alloc(1, 2 * plan_max_bytes(&limits));
        scene->make(plan);
        good = plan_broadcast(&ranks, plan, err) && plan_pass_on(&ranks, plan, err);
        memory_free(plan);
    } else {
        const struct plan_models models = {.limits = {[PLAN_TARGET] = limits},
                                           .ranks = {[PLAN_TARGET] = &ranks}};
        struct worker *worker;
        worker_create(&worker, &(struct worker_settings){.models = &models, .device = device});
        good = worker_run(worker, err);
        worker_destroy(worker);
    }
    device_close(device);
    ranks_close(&ranks, !good);
    return good;
}

/* What the worker says to the plan. */
static struct error send_plan_to(int pp_stages, void (*make)(struct step_plan *plan))
{
    struct error err[MAX_TEST_RANKS];
    const size_t n_bytes = ranks_threads_bytes(2 / pp_stages, pp_stages);
    struct scene scene = {shared_memory_map(n_bytes), pp_stages, make};
    run_ranks(2, run_rank, &scene, err);
    munmap(scene.memory, n_bytes);
    return err[1];
}

static struct error send_plan(void (*make)(struct step_plan *plan))
{
    return send_plan_to(1, make);
}

static void stop(struct step_plan *plan)
{
    plan_begin(plan, 1);
    plan_add(plan, PLAN_STOP, 0);
}

static void skip_a_step(struct step_plan *plan)
{
    plan_begin(plan, 2);
    plan_add(plan, PLAN_STOP, 0);
}

static void too_large(struct step_plan *plan)
{
    plan_begin(plan, 1);
    plan_add(plan, PLAN_TOKEN, plan_max_bytes(&limits));
}

static void incomplete(struct step_plan *plan)
{
    static const int32_t tokens[] = {1, 2};
    plan_begin(plan, 1);
    memcpy(plan_add(plan, PLAN_TOKEN, sizeof tokens), tokens, sizeof tokens);
    plan->n_tokens = 2;
    plan->n_sequences = 1;
    plan->n_blocks = 1;
}

/* To a row of a plan before it, and there was none. */
static void refers(struct step_plan *plan)
{
    static const int32_t token = -1, ends[] = {0, 1}, zero = 0;
    plan_begin(plan, 1);
    plan->n_tokens = plan->n_sequences = plan->n_blocks = 1;
    memcpy(plan_add(plan, PLAN_TOKEN, sizeof token), &token, sizeof token);
    memcpy(plan_add(plan, PLAN_FIRST_ROW, sizeof ends), ends, sizeof ends);
    memcpy(plan_add(plan, PLAN_N_COMPUTED, sizeof zero), &zero, sizeof zero);
    memcpy(plan_add(plan, PLAN_FIRST_BLOCK, sizeof ends), ends, sizeof ends);
    memcpy(plan_add(plan, PLAN_BLOCK, sizeof zero), &zero, sizeof zero);
}

static void check_refused(void (*make)(struct step_plan *plan), const char *part)
{
    const struct error err = send_plan(make);
    CHECK_EQ(err.kind, ERROR_PEER);
    if (strstr(err.text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not say %s", err.text, part);
}

TEST(a_worker_ends_when_the_plan_says_stop) { CHECK_EQ(send_plan(stop).kind, ERROR_NONE); }

TEST(a_worker_refuses_a_plan_that_is_not_the_next_one)
{
    check_refused(skip_a_step, "of step 2, want 1");
}

static void step_none(struct step_plan *plan)
{
    plan_begin(plan, 0);
    plan_add(plan, PLAN_STOP, 0);
}

/* The steps between were of the draft model. */
TEST(a_worker_of_a_later_stage_misses_steps_but_goes_back_to_none)
{
    CHECK_EQ(send_plan_to(2, stop).kind, ERROR_NONE);
    CHECK_EQ(send_plan_to(2, skip_a_step).kind, ERROR_NONE);
    const struct error err = send_plan_to(2, step_none);
    CHECK_EQ(err.kind, ERROR_PEER);
    CHECK(strstr(err.text, "of step 0, want 1 or a later one") != NULL);
}

TEST(a_worker_refuses_a_plan_that_is_too_large_or_incomplete)
{
    check_refused(too_large, "step plan: ");
    check_refused(incomplete, "no section first_row");
}

TEST(a_worker_refuses_a_token_of_a_plan_that_it_has_not_seen)
{
    check_refused(refers, "a token is -1, want 0 to 9");
}

static void for_a_draft_model(struct step_plan *plan)
{
    incomplete(plan);
    plan->model = PLAN_DRAFT;
}

TEST(a_worker_refuses_a_plan_for_a_model_that_it_has_not)
{
    check_refused(for_a_draft_model, "for model 1, which is not loaded");
}
