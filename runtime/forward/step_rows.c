#include "runtime/forward/step_rows.h"

#include "base/check.h"

#include <string.h>

enum { ALIGN = 64 };

/* The place of n items at the end of what is there. */
static size_t place(size_t *end, size_t n_items, size_t item_bytes)
{
    const size_t at = *end;
    *end += (n_items * item_bytes + ALIGN - 1) / ALIGN * ALIGN;
    return at;
}

static size_t place_numbers(size_t *end, size_t n) { return place(end, n, sizeof(int32_t)); }

/* ---- on the host ---- */

size_t step_rows_host_bytes(const struct plan_limits *limits)
{
    size_t end = 0;
    place_numbers(&end, (size_t)limits->max_tokens);
    place_numbers(&end, (size_t)limits->max_tokens * (size_t)limits->n_kv_groups);
    return end;
}

void step_rows_in_place(struct step_rows *out, const struct step_plan *plan,
                        const struct step_view *view, const struct plan_limits *limits,
                        void *memory)
{
    size_t end = 0;
    char *const base = memory;
    int32_t *position = (int32_t *)(void *)(base + place_numbers(&end, (size_t)plan->n_tokens));
    int32_t *slot = (int32_t *)(void *)(base + end);
    step_view_rows(plan, view, limits, plan->n_tokens, position, slot);
    *out = (struct step_rows){
        .n = {plan->n_tokens, plan->n_sequences, plan->n_logits},
        .n_hidden = plan->n_hidden,
        .n_copies = plan->n_copies,
        .token = view->token,
        .position = position,
        .slot = slot,
        .first_row = view->first_row,
        .n_computed = view->n_computed,
        .first_block = view->first_block,
        .block = view->block,
        .block_stride = (size_t)plan->n_blocks,
        .logits_row = view->logits_row,
        .hidden_row = view->hidden_row,
        .copy = view->copy,
    };
}

/* ---- for a GPU ---- */

/* Offsets. What a record reads comes first, and of the rest only the beginning of block[] is known
 * to it: so that is the first. */
struct layout {
    size_t token, position, slot, first_row, n_computed, first_block, logits_row, pick;
    size_t block, hidden_row, copy;
    size_t n_bytes;
};

static struct layout layout_make(const struct row_counts *n, int n_groups, size_t n_blocks,
                                 int n_hidden, int n_copies)
{
    const size_t n_tokens = (size_t)n->n_tokens, n_sequences = (size_t)n->n_sequences;
    const size_t n_logits = (size_t)n->n_logits;
    struct layout at;
    size_t end = 0;
    at.token = place_numbers(&end, n_tokens);
    at.position = place_numbers(&end, n_tokens);
    at.slot = place_numbers(&end, n_tokens * (size_t)n_groups);
    at.first_row = place_numbers(&end, n_sequences + 1);
    at.n_computed = place_numbers(&end, n_sequences);
    at.first_block = place_numbers(&end, (n_sequences + 1) * (size_t)n_groups);
    at.logits_row = place_numbers(&end, n_logits);
    at.pick = place(&end, n_logits, sizeof(struct pick_spec));
    at.block = place_numbers(&end, n_blocks * (size_t)n_groups);
    at.hidden_row = place_numbers(&end, (size_t)n_hidden);
    at.copy = place_numbers(&end, 2 * (size_t)n_copies);
    at.n_bytes = end;
    return at;
}

size_t step_rows_gpu_bytes(const struct plan_limits *limits, const struct row_counts *most)
{
    const size_t n_blocks = (size_t)limits->max_sequences *
                            (size_t)kv_blocks_of(limits->max_model_len, limits->block_tokens);
    return layout_make(most, limits->n_kv_groups, n_blocks, limits->max_tokens, limits->max_copies)
        .n_bytes;
}

static int32_t *numbers_at(void *base, size_t offset)
{
    return (int32_t *)(void *)((char *)base + offset);
}

static void copy_numbers(int32_t *to, const int32_t *from, int n)
{
    if (n > 0)
        memcpy(to, from, (size_t)n * sizeof *to);
}

static void fill(int32_t *to, int from, int n, int32_t value)
{
    for (int i = from; i < n; i++)
        to[i] = value;
}

static void stage_tokens(const struct step_plan *plan, const struct step_view *view,
                         const struct plan_limits *limits, int n_tokens, const struct layout *at,
                         void *staged)
{
    int32_t *token = numbers_at(staged, at->token), *slot = numbers_at(staged, at->slot);
    int32_t *position = numbers_at(staged, at->position);
    copy_numbers(token, view->token, plan->n_tokens);
    step_view_rows(plan, view, limits, n_tokens, position, slot);
    fill(token, plan->n_tokens, n_tokens, 0);
    fill(position, plan->n_tokens, n_tokens, 0);
    for (int g = 0; g < limits->n_kv_groups; g++)
        fill(slot + (size_t)g * (size_t)n_tokens, plan->n_tokens, n_tokens, -1);
}

/* The blocks of all groups lie end to end, so each group counts on where the one before ended. */
static void stage_sequences(const struct step_plan *plan, const struct step_view *view,
                            int n_groups, int n_sequences, const struct layout *at, void *staged)
{
    const int n = plan->n_sequences;
    int32_t *first_row = numbers_at(staged, at->first_row);
    int32_t *n_computed = numbers_at(staged, at->n_computed);
    int32_t *first_block = numbers_at(staged, at->first_block);
    copy_numbers(first_row, view->first_row, n + 1);
    fill(first_row, n + 1, n_sequences + 1, plan->n_tokens);
    copy_numbers(n_computed, view->n_computed, n);
    fill(n_computed, n, n_sequences, 0);
    for (int g = 0; g < n_groups; g++, first_block += n_sequences + 1) {
        for (int s = 0; s <= n; s++)
            first_block[s] = g * plan->n_blocks + view->first_block[s];
        fill(first_block, n + 1, n_sequences + 1, first_block[n]);
    }
    copy_numbers(numbers_at(staged, at->block), view->block, plan->n_blocks * n_groups);
}

static struct pick_spec spec_of(const struct plan_pick *pick)
{
    static const enum pick_want wants[PICK_KINDS] = {[PICK_ROW] = PICK_WANT_NOTHING,
                                                     [PICK_SAMPLE] = PICK_WANT_TOKEN,
                                                     [PICK_PROMPT] = PICK_WANT_LOGPROB,
                                                     [PICK_BEAM] = PICK_WANT_BEST};
    return (struct pick_spec){.seed = pick->seed,
                              .want = (int32_t)wants[pick->kind],
                              .position = pick->position,
                              .token = pick->token,
                              .n_best = pick->n_best,
                              .top_k = pick->top_k,
                              .temperature = pick->temperature,
                              .top_p = pick->top_p,
                              .min_p = pick->min_p};
}

static void stage_logits(const struct step_plan *plan, const struct step_view *view, int n_logits,
                         const struct layout *at, void *staged)
{
    static const struct pick_spec nothing = {.want = PICK_WANT_NOTHING};
    int32_t *row = numbers_at(staged, at->logits_row);
    struct pick_spec *pick = (void *)((char *)staged + at->pick);
    copy_numbers(row, view->logits_row, plan->n_logits);
    for (int i = plan->n_logits; i < n_logits; i++)
        row[i] = i;
    for (int i = 0; i < n_logits; i++)
        pick[i] = view->pick != NULL && i < plan->n_logits ? spec_of(&view->pick[i]) : nothing;
}

static const int32_t *const_numbers_at(const void *base, size_t offset)
{
    return (const int32_t *)(const void *)((const char *)base + offset);
}

static void point_into(struct step_rows *out, const struct layout *at, const void *memory)
{
    out->token = const_numbers_at(memory, at->token);
    out->position = const_numbers_at(memory, at->position);
    out->slot = const_numbers_at(memory, at->slot);
    out->first_row = const_numbers_at(memory, at->first_row);
    out->n_computed = const_numbers_at(memory, at->n_computed);
    out->first_block = const_numbers_at(memory, at->first_block);
    out->block = const_numbers_at(memory, at->block);
    out->logits_row = const_numbers_at(memory, at->logits_row);
    out->hidden_row = const_numbers_at(memory, at->hidden_row);
    out->copy = const_numbers_at(memory, at->copy);
    out->pick = (const void *)((const char *)memory + at->pick);
}

size_t step_rows_stage(struct step_rows *out, const struct step_plan *plan,
                       const struct step_view *view, const struct plan_limits *limits,
                       const struct row_counts *counts, void *staged, const void *memory)
{
    check(counts->n_tokens >= plan->n_tokens && counts->n_sequences >= plan->n_sequences);
    check(counts->n_logits == plan->n_logits ||
          (plan->n_logits == plan->n_tokens && counts->n_logits == counts->n_tokens));
    const struct layout at = layout_make(counts, limits->n_kv_groups, (size_t)plan->n_blocks,
                                         plan->n_hidden, plan->n_copies);
    stage_tokens(plan, view, limits, counts->n_tokens, &at, staged);
    stage_sequences(plan, view, limits->n_kv_groups, counts->n_sequences, &at, staged);
    stage_logits(plan, view, counts->n_logits, &at, staged);
    copy_numbers(numbers_at(staged, at.hidden_row), view->hidden_row, plan->n_hidden);
    copy_numbers(numbers_at(staged, at.copy), view->copy, 2 * plan->n_copies);
    *out = (struct step_rows){.n = *counts,
                              .n_hidden = plan->n_hidden,
                              .n_copies = plan->n_copies,
                              .first_block_stride = (size_t)counts->n_sequences + 1};
    point_into(out, &at, memory);
    return at.n_bytes;
}
