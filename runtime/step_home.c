#include "runtime/step_home.h"

#include "base/memory.h"
#include "runtime/result_message.h"

#include <string.h>

void home_memory_init(struct home_memory *m, const struct plan_limits *limits, int hidden_size)
{
    const size_t n_rows = (size_t)limits->max_logits;
    m->logits = memory_alloc(n_rows * (size_t)limits->vocab, sizeof *m->logits);
    m->hidden = memory_alloc((size_t)limits->max_tokens * (size_t)hidden_size, sizeof *m->hidden);
    m->is_picked = memory_alloc(n_rows, sizeof *m->is_picked);
    m->picked = memory_alloc(n_rows, sizeof *m->picked);
}

void home_memory_release(struct home_memory *m)
{
    memory_free(m->logits);
    memory_free(m->hidden);
    memory_free(m->is_picked);
    memory_free(m->picked);
    *m = (struct home_memory){0};
}

/* Returns how many rows came whole. */
static int keep_rows(struct home_memory *m, const struct step_plan *plan,
                     const struct step_view *view, const struct step_result *result)
{
    const size_t vocab = (size_t)result->vocab;
    int n_rows = 0;
    for (int i = 0, n; i<plan->n_logits; i += n> 0 ? n : 1) {
        n = result_whole_run(plan, view, i);
        if (n > 0)
            memcpy(m->logits + (size_t)n_rows * vocab, result->logits + (size_t)i * vocab,
                   (size_t)n * vocab * sizeof *m->logits);
        n_rows += n;
    }
    return n_rows;
}

void home_memory_keep(struct home_memory *m, const struct step_plan *plan,
                      const struct step_view *view, const struct step_result *result,
                      const struct picked *picked, struct step_home *out)
{
    const size_t hidden = (size_t)result->n_hidden * (size_t)result->hidden_size;
    for (int i = 0; i < plan->n_logits; i++) {
        m->is_picked[i] = !result_is_whole(view, i);
        if (m->is_picked[i])
            m->picked[i] = picked[i];
    }
    if (hidden > 0)
        memcpy(m->hidden, result->hidden, hidden * sizeof *m->hidden);
    *out = (struct step_home){.rows = *result, .is_picked = m->is_picked, .picked = m->picked};
    out->rows.logits = m->logits;
    out->rows.n_logits = keep_rows(m, plan, view, result);
    out->rows.hidden = m->hidden;
}
