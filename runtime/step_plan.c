/* Writing a plan, and what ranks read out of a checked one. */
#include "runtime/step_plan.h"

#include "base/check.h"

#include <string.h>

_Static_assert(sizeof(struct step_plan) % PLAN_ALIGN == 0, "sections follow the header");
_Static_assert(sizeof(struct plan_pick) == 40, "no bytes without a name");

/* ---- writing ---- */

size_t plan_max_bytes(const struct plan_limits *limits)
{
    const size_t n_sequences = (size_t)limits->max_sequences;
    const size_t n_blocks =
        n_sequences * (size_t)kv_blocks_of(limits->max_model_len, limits->block_tokens);
    const size_t counts[] = {(size_t)limits->max_tokens, /* token */
                             n_sequences + 1,            /* first_row */
                             n_sequences,                /* n_computed */
                             n_sequences + 1,            /* first_block */
                             n_blocks * (size_t)limits->n_kv_groups,
                             (size_t)limits->max_logits,
                             (size_t)limits->max_tokens, /* hidden_row */
                             2 * (size_t)limits->max_copies};
    size_t n_bytes =
        sizeof(struct step_plan) + (size_t)limits->max_logits * sizeof(struct plan_pick);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        n_bytes += plan_aligned(counts[i] * sizeof(int32_t));
    return n_bytes;
}

void plan_begin(struct step_plan *memory, uint64_t step)
{
    memset(memory, 0, sizeof *memory);
    memory->magic = PLAN_MAGIC;
    memory->n_bytes = sizeof *memory;
    memory->step = step;
}

void *plan_add(struct step_plan *plan, enum plan_tag tag, size_t n_bytes)
{
    check(plan->n_sections < PLAN_MAX_SECTIONS && tag > 0 && tag < PLAN_TAGS);
    check(n_bytes <= UINT32_MAX - PLAN_ALIGN - plan->n_bytes);
    char *data = (char *)plan + plan->n_bytes;
    memset(data, 0, plan_aligned(n_bytes));
    plan->section[plan->n_sections++] =
        (struct plan_section){.tag = tag, .offset = plan->n_bytes, .n_bytes = (uint32_t)n_bytes};
    plan->n_bytes += (uint32_t)plan_aligned(n_bytes);
    return data;
}

/* ---- reading ---- */

int plan_n_carried(const struct step_plan *plan, const struct step_view *view)
{
    int n = view->pick != NULL ? plan->n_logits : 0;
    while (n > 0 && view->pick[n - 1].kind != PICK_SAMPLE)
        n--;
    return n;
}

bool plan_has_references(const struct step_plan *plan, const struct step_view *view)
{
    for (int t = 0; t < plan->n_tokens; t++)
        if (view->token[t] < 0)
            return true;
    return false;
}

void plan_resolve(struct step_plan *plan, const struct step_view *view, const int32_t *carried)
{
    if (!plan_has_references(plan, view))
        return;
    char *const bytes = (char *)plan;
    int32_t *token = (int32_t *)(bytes + ((const char *)view->token - bytes));
    for (int t = 0; t < plan->n_tokens; t++) {
        if (token[t] >= 0)
            continue;
        const int32_t given = carried[-1 - token[t]];
        token[t] = given >= 0 ? given : 0;
    }
}

static void place_rows(const struct step_plan *plan, const struct step_view *view,
                       const int32_t *blocks, int block_tokens, int32_t *position, int32_t *slot)
{
    for (int s = 0; s < plan->n_sequences; s++) {
        const int32_t *block = blocks + view->first_block[s];
        for (int row = view->first_row[s]; row < view->first_row[s + 1]; row++) {
            const int32_t at = view->n_computed[s] + row - view->first_row[s];
            position[row] = at;
            slot[row] = block[at / block_tokens] * block_tokens + at % block_tokens;
        }
    }
}

void step_view_rows(const struct step_plan *plan, const struct step_view *view,
                    const struct plan_limits *limits, int slot_stride, int32_t *position,
                    int32_t *slot)
{
    for (int g = 0; g < limits->n_kv_groups; g++)
        place_rows(plan, view, view->block + (size_t)g * (size_t)plan->n_blocks,
                   limits->block_tokens, position, slot + (size_t)g * (size_t)slot_stride);
}
