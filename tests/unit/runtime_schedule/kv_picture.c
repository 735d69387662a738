#include "tests/unit/runtime_schedule/kv_picture.h"

#include "runtime/request/request.h"
#include "tests/test.h"
#include "tests/unit/runtime_schedule/oracle.h"

#include <stdlib.h>
#include <string.h>

struct kv_entry {
    uint64_t hash; /* of the tokens up to this position */
    int32_t position, group;
};

void kv_picture_init(struct kv_picture *picture, const struct plan_limits *limits)
{
    const size_t n = (size_t)limits->n_kv_blocks * (size_t)limits->block_tokens;
    *picture = (struct kv_picture){.limits = *limits, .entry = calloc(n, sizeof *picture->entry)};
    CHECK(picture->entry != NULL);
}

void kv_picture_release(struct kv_picture *picture) { free(picture->entry); }

static struct kv_entry *entry_at(struct kv_picture *picture, const struct step_plan *plan,
                                 const struct step_view *view, int s, int group, int position)
{
    const int block_tokens = picture->limits.block_tokens;
    const int32_t *table = view->block + group * plan->n_blocks + view->first_block[s];
    return &picture->entry[table[position / block_tokens] * block_tokens + position % block_tokens];
}

static void copy_blocks(struct kv_picture *picture, const struct step_plan *plan,
                        const struct step_view *view)
{
    const size_t n = (size_t)picture->limits.block_tokens;
    for (int i = 0; i < plan->n_copies; i++)
        memcpy(picture->entry + (size_t)view->copy[2 * i + 1] * n,
               picture->entry + (size_t)view->copy[2 * i] * n, n * sizeof *picture->entry);
}

/* The first position that a row at `position` may read: kernels begin at multiples of 32. */
static int first_read(int window, int position)
{
    return window == 0 || position < window ? 0 : (position - window + 1) / 32 * 32;
}

static void write_rows(struct kv_picture *picture, const struct step_plan *plan,
                       const struct step_view *view, int s, const struct request *r, uint64_t key)
{
    const int begin = view->n_computed[s];
    const int n_new = view->first_row[s + 1] - view->first_row[s];
    uint64_t hash = oracle_hash(key, r->token, begin);
    for (int i = 0; i < n_new; i++) {
        const int32_t token = view->token[view->first_row[s] + i];
        CHECK_EQ(token, r->token[begin + i]);
        hash = oracle_extend(hash, token);
        for (int g = 0; g < picture->limits.n_kv_groups; g++)
            *entry_at(picture, plan, view, s, g, begin + i) =
                (struct kv_entry){.hash = hash, .position = begin + i, .group = g};
    }
}

static void read_rows(struct kv_picture *picture, const struct step_plan *plan,
                      const struct step_view *view, int s, const struct request *r, uint64_t key)
{
    const struct plan_limits *limits = &picture->limits;
    const int begin = view->n_computed[s];
    const int end = begin + view->first_row[s + 1] - view->first_row[s];
    uint64_t hash = oracle_hash(key, r->token, 0);
    for (int p = 0; p < end; p++) {
        hash = oracle_extend(hash, r->token[p]);
        for (int g = 0; g < limits->n_kv_groups; g++) {
            if (p < first_read(limits->kv_window[g], begin))
                continue;
            if (plan->model == PLAN_DRAFT && p / limits->block_tokens < r->first_block[g])
                continue; /* given back: it only guesses worse */
            const struct kv_entry *entry = entry_at(picture, plan, view, s, g, p);
            if (entry->hash != hash || entry->position != p || entry->group != g)
                test_fail(
                    __FILE__, __LINE__,
                    "step %d, model %d: position %d of group %d of request %d is not in the cache",
                    (int)plan->step, plan->model, p, g, (int)r->id);
        }
    }
}

void kv_picture_run(struct kv_picture *picture, const struct step_plan *plan,
                    const struct step_view *view, struct request *const *sequence,
                    const uint64_t *key)
{
    copy_blocks(picture, plan, view);
    for (int s = 0; s < plan->n_sequences; s++)
        write_rows(picture, plan, view, s, sequence[s], key[s]);
    for (int s = 0; s < plan->n_sequences; s++)
        read_rows(picture, plan, view, s, sequence[s], key[s]);
}
