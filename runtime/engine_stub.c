#include "runtime/schedule/scheduler.h"
bool scheduler_write_draft(struct scheduler *s, const struct batch *b, int pass,
                           struct step_plan *plan, struct batch_row *row)
{
    (void)s;
    (void)b;
    (void)pass;
    (void)plan;
    (void)row;
    return false;
}
struct plan_limits scheduler_draft_limits(const struct plan_limits *limits)
{
    struct plan_limits l = *limits;
    l.max_tokens += l.max_sequences;
    l.n_kv_groups = 1;
    return l;
}
