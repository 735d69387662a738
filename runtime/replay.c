#include "runtime/replay.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "runtime/forward/forward.h"
#include "runtime/plan_record.h"
#include "runtime/plan_run.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static int compare_times(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void fill_times(struct replay_report *report, int64_t *step_ns, size_t n)
{
    for (size_t i = 0; i < n; i++)
        report->total_ns += step_ns[i];
    if (n == 0)
        return;
    qsort(step_ns, n, sizeof *step_ns, compare_times);
    report->median_ns = step_ns[n / 2];
    report->p90_ns = step_ns[n * 9 / 10];
}

static void hash_result(XXH3_state_t *hash, const struct step_result *result)
{
    const size_t n_logits = (size_t)result->n_logits * (size_t)result->vocab;
    const size_t n_hidden = (size_t)result->n_hidden * (size_t)result->hidden_size;
    if (n_logits > 0)
        XXH3_64bits_update(hash, result->logits, n_logits * sizeof *result->logits);
    if (n_hidden > 0)
        XXH3_64bits_update(hash, result->hidden, n_hidden * sizeof *result->hidden);
}

static bool send_stop(const struct plan_models *models, const struct ranks *ranks,
                      struct step_plan *plan, uint64_t step, struct error *err)
{
    struct step_result none;
    plan_begin(plan, step);
    plan_add(plan, PLAN_STOP, 0);
    return plan_run(models, ranks, NULL, plan, &none, err);
}

/* Every step but the stop, which a record need not have. `memory`: room for any of its plans, and
 * for a stop. */
static bool run_all(struct plan_record *record, const struct plan_models *models,
                    const struct ranks *ranks, struct step_plan *memory, int64_t *step_ns,
                    XXH3_state_t *hash, struct replay_report *report, struct error *err)
{
    uint64_t step = 0;
    for (const struct step_plan *plan; (plan = plan_record_next(record)) != NULL;) {
        struct step_result result;
        if (plan->n_sections > 0 && plan->section[0].tag == PLAN_STOP)
            break;
        memcpy(memory, plan, plan->n_bytes);
        const int64_t begin = clock_now_ns();
        if (!plan_run(models, ranks, NULL, memory, &result, err))
            return false;
        step_ns[report->n_steps++] = clock_now_ns() - begin;
        hash_result(hash, &result);
        if (plan->model == PLAN_TARGET)
            report->n_tokens += plan->n_tokens;
        step = plan->step;
    }
    return send_stop(models, ranks, memory, step + 1, err);
}

bool replay_run(struct plan_record *record, const struct plan_models *models,
                const struct ranks *ranks, struct replay_report *out, struct error *err)
{
    struct replay_report report = {0};
    struct step_plan *memory = memory_alloc(1, record->max_bytes + sizeof *memory);
    int64_t *step_ns = memory_alloc(record->n_plans, sizeof *step_ns);
    XXH3_state_t *hash = XXH3_createState();
    XXH3_64bits_reset(hash);
    const bool good = run_all(record, models, ranks, memory, step_ns, hash, &report, err);
    if (good) {
        fill_times(&report, step_ns, (size_t)report.n_steps);
        report.hash = XXH3_64bits_digest(hash);
        *out = report;
    }
    XXH3_freeState(hash);
    memory_free(step_ns);
    memory_free(memory);
    return good;
}
