/* The bytes of a plan have one layout only: header, then the sections end to end in the order of
 * the table, each begun at a multiple of PLAN_ALIGN. plan_check() accepts nothing else, so there
 * are no overlaps, holes or aliases to think about, and a recorded plan is the bytes that were
 * sent.
 *
 * It reads a field only after the checks that make reading it safe: what was received, the header,
 * the table, the counts against the limits, then the values. */
#include "runtime/step_plan.h"

#include "base/check.h"
#include "base/error.h"

#include <stdalign.h>

static const char *const tag_name[PLAN_TAGS] = {
    [PLAN_TOKEN] = "token",
    [PLAN_FIRST_ROW] = "first_row",
    [PLAN_N_COMPUTED] = "n_computed",
    [PLAN_FIRST_BLOCK] = "first_block",
    [PLAN_BLOCK] = "block",
    [PLAN_LOGITS_ROW] = "logits_row",
    [PLAN_HIDDEN_ROW] = "hidden_row",
    [PLAN_COPY] = "copy",
    [PLAN_STOP] = "stop",
    [PLAN_PICK] = "pick",
    [PLAN_REST] = "rest",
};

static bool wrong(struct error *err, const char *what, int64_t value, int64_t lo, int64_t hi)
{
    return error_set(err, ERROR_PEER, "step plan: %s is %lld, want %lld to %lld", what,
                     (long long)value, (long long)lo, (long long)hi);
}

static bool check_header(const struct step_plan *plan, size_t n_bytes, struct error *err)
{
    if (n_bytes < sizeof *plan)
        return error_set(err, ERROR_PEER, "step plan: %zu bytes, less than its header", n_bytes);
    if (plan->magic != PLAN_MAGIC)
        return error_set(err, ERROR_PEER, "step plan: begins with %08x, no plan of this version",
                         (unsigned)plan->magic);
    if (plan->n_bytes != n_bytes)
        return error_set(err, ERROR_PEER, "step plan: says %u bytes, %zu came",
                         (unsigned)plan->n_bytes, n_bytes);
    if (plan->n_sections > PLAN_MAX_SECTIONS)
        return wrong(err, "the number of sections", plan->n_sections, 0, PLAN_MAX_SECTIONS);
    return true;
}

/* section[tag] of every tag; NULL where absent. */
static bool find_sections(const struct step_plan *plan, const struct plan_section **section,
                          struct error *err)
{
    size_t end = sizeof *plan;
    for (uint32_t i = 0; i < plan->n_sections; i++) {
        const struct plan_section *s = &plan->section[i];
        if (s->tag == 0 || s->tag >= PLAN_TAGS)
            return error_set(err, ERROR_PEER,
                             "step plan: section %u has tag %u, which this build does not know",
                             (unsigned)i, (unsigned)s->tag);
        if (section[s->tag] != NULL)
            return error_set(err, ERROR_PEER, "step plan: two sections %s", tag_name[s->tag]);
        if (s->offset != end || s->n_bytes > plan->n_bytes - end)
            return error_set(err, ERROR_PEER,
                             "step plan: section %s has bytes %u + %u, want it at %zu of %u",
                             tag_name[s->tag], (unsigned)s->offset, (unsigned)s->n_bytes, end,
                             (unsigned)plan->n_bytes);
        section[s->tag] = s;
        end = plan_aligned(end + s->n_bytes);
        if (end > plan->n_bytes)
            return error_set(err, ERROR_PEER, "step plan: section %s is not padded to %d bytes",
                             tag_name[s->tag], PLAN_ALIGN);
    }
    if (end != plan->n_bytes)
        return error_set(err, ERROR_PEER, "step plan: %zu bytes after the last section",
                         plan->n_bytes - end);
    return true;
}

static bool check_counts(const struct step_plan *plan, const struct plan_limits *limits,
                         struct error *err)
{
    if (plan->model < 0 || plan->model >= PLAN_MODELS)
        return wrong(err, "model", plan->model, 0, PLAN_MODELS - 1);
    if (plan->n_tokens < 1 || plan->n_tokens > limits->max_tokens)
        return wrong(err, "n_tokens", plan->n_tokens, 1, limits->max_tokens);
    if (plan->n_sequences < 1 || plan->n_sequences > limits->max_sequences)
        return wrong(err, "n_sequences", plan->n_sequences, 1, limits->max_sequences);
    if (plan->n_logits < 0 || plan->n_logits > limits->max_logits)
        return wrong(err, "n_logits", plan->n_logits, 0, limits->max_logits);
    if (plan->n_hidden < 0 || plan->n_hidden > limits->max_tokens)
        return wrong(err, "n_hidden", plan->n_hidden, 0, limits->max_tokens);
    if (plan->n_copies < 0 || plan->n_copies > limits->max_copies)
        return wrong(err, "n_copies", plan->n_copies, 0, limits->max_copies);
    const size_t most = (size_t)plan->n_sequences *
                        (size_t)kv_blocks_of(limits->max_model_len, limits->block_tokens);
    if (plan->n_blocks < 1 || (size_t)plan->n_blocks > most)
        return wrong(err, "n_blocks", plan->n_blocks, 1, (int64_t)most);
    return true;
}

/* The items of a section that must have `count` of them; NULL for an absent one that may be. */
static bool find_items(const struct step_plan *plan, const struct plan_section *s,
                       enum plan_tag tag, int64_t count, size_t item_bytes, const void **out,
                       struct error *err)
{
    if (s->n_bytes != (size_t)count * item_bytes)
        return error_set(err, ERROR_PEER, "step plan: section %s has %u bytes, want %lld %s",
                         tag_name[tag], (unsigned)s->n_bytes, (long long)count,
                         item_bytes == sizeof(int32_t) ? "numbers" : "items");
    *out = (const char *)plan + s->offset;
    return true;
}

static bool find_array(const struct step_plan *plan, const struct plan_section *const *section,
                       enum plan_tag tag, int64_t count, const int32_t **out, struct error *err)
{
    const struct plan_section *s = section[tag];
    const void *items = NULL;
    if (s == NULL && count == 0)
        return true;
    if (s == NULL)
        return error_set(err, ERROR_PEER, "step plan: no section %s", tag_name[tag]);
    if (!find_items(plan, s, tag, count, sizeof(int32_t), &items, err))
        return false;
    *out = items;
    return true;
}

static bool find_picks(const struct step_plan *plan, const struct plan_section *const *section,
                       const struct plan_pick **out, struct error *err)
{
    const struct plan_section *s = section[PLAN_PICK];
    const void *items = NULL;
    if (s != NULL &&
        !find_items(plan, s, PLAN_PICK, plan->n_logits, sizeof(struct plan_pick), &items, err))
        return false;
    *out = items;
    return true;
}

static bool check_sequence(const struct plan_limits *limits, const struct step_view *view, int s,
                           struct error *err)
{
    const int64_t n_new = (int64_t)view->first_row[s + 1] - view->first_row[s];
    const int64_t n_blocks = (int64_t)view->first_block[s + 1] - view->first_block[s];
    const int64_t most = kv_blocks_of(limits->max_model_len, limits->block_tokens);
    if (n_new < 1 || n_new > limits->max_tokens)
        return wrong(err, "the number of new tokens of a sequence", n_new, 1, limits->max_tokens);
    if (view->n_computed[s] < 0 || view->n_computed[s] > limits->max_model_len - n_new)
        return wrong(err, "n_computed", view->n_computed[s], 0, limits->max_model_len - n_new);
    const int64_t least = kv_blocks_of(view->n_computed[s] + n_new, limits->block_tokens);
    if (n_blocks < least || n_blocks > most)
        return wrong(err, "the number of blocks of a sequence", n_blocks, least, most);
    return true;
}

/* Together with check_sequence(): first[] rises from 0 to `total`. */
static bool check_ends(const int32_t *first, int n, int32_t total, const char *what,
                       struct error *err)
{
    if (first[0] != 0)
        return wrong(err, what, first[0], 0, 0);
    if (first[n] != total)
        return wrong(err, what, first[n], total, total);
    return true;
}

/* Each in [least, end). */
static bool check_range(const int32_t *value, int n, int32_t least, int32_t end, const char *what,
                        struct error *err)
{
    const uint32_t span = (uint32_t)end - (uint32_t)least;
    unsigned outside = 0; /* no early end, so that the compiler can take many at once */
    for (int i = 0; i < n; i++)
        outside |= (uint32_t)value[i] - (uint32_t)least >= span;
    for (int i = 0; outside && i < n; i++)
        if (value[i] < least || value[i] >= end)
            return wrong(err, what, value[i], least, end - 1);
    return true;
}

static bool check_ascending(const int32_t *row, int n, const char *what, struct error *err)
{
    for (int i = 1; i < n; i++)
        if (row[i] <= row[i - 1])
            return error_set(err, ERROR_PEER, "step plan: %s do not ascend", what);
    return true;
}

/* Copies in any order give the same: no block is written twice, or both read and written. Few, so
 * each is held against all. */
static bool check_copies(const int32_t *copy, int n, struct error *err)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            if (copy[2 * i + 1] == copy[2 * j] || (i != j && copy[2 * i + 1] == copy[2 * j + 1]))
                return error_set(err, ERROR_PEER, "step plan: block %d is copied onto twice",
                                 copy[2 * i + 1]);
    return true;
}

/* By the ranges of the parameters that the numbers come from; a NaN is in none. */
static bool check_pick(const struct plan_pick *p, const struct plan_limits *limits,
                       struct error *err)
{
    const int32_t least_best = p->kind == PICK_SAMPLE ? -1 : p->kind == PICK_BEAM ? 2 : 0;
    if (p->kind < 0 || p->kind >= PICK_KINDS)
        return wrong(err, "kind", p->kind, 0, PICK_KINDS - 1);
    if (p->position < 0 || p->position >= limits->max_model_len)
        return wrong(err, "position", p->position, 0, limits->max_model_len - 1);
    if (p->token < 0 || p->token >= limits->vocab)
        return wrong(err, "token", p->token, 0, limits->vocab - 1);
    if (p->kind != PICK_ROW && (p->n_best < least_best || p->n_best > PLAN_MAX_BEST))
        return wrong(err, "n_best", p->n_best, least_best, PLAN_MAX_BEST);
    if (p->kind == PICK_BEAM && p->n_best % 2 != 0)
        return error_set(err, ERROR_PEER, "step plan: n_best is %d, want two for each beam",
                         p->n_best);
    if (p->top_k < -1)
        return wrong(err, "top_k", p->top_k, -1, INT32_MAX);
    if (p->kind == PICK_SAMPLE && !(p->temperature >= 0 && p->temperature <= 2 && p->top_p > 0 &&
                                    p->top_p <= 1 && p->min_p >= 0 && p->min_p <= 1))
        return error_set(err, ERROR_PEER, "step plan: temperature %g, top_p %g, min_p %g",
                         (double)p->temperature, (double)p->top_p, (double)p->min_p);
    return true;
}

static bool check_picks(const struct step_plan *plan, const struct plan_limits *limits,
                        const struct step_view *view, struct error *err)
{
    for (int i = 0; view->pick != NULL && i < plan->n_logits; i++)
        if (!check_pick(&view->pick[i], limits, err))
            return error_in(err, "pick %d", i);
    return true;
}

static bool check_values(const struct step_plan *plan, const struct plan_limits *limits,
                         int n_carried, const struct step_view *view, struct error *err)
{
    const int32_t least_token = plan->model == PLAN_TARGET ? -n_carried : 0;
    if (!check_ends(view->first_row, plan->n_sequences, plan->n_tokens, "first_row", err) ||
        !check_ends(view->first_block, plan->n_sequences, plan->n_blocks, "first_block", err))
        return false;
    for (int s = 0; s < plan->n_sequences; s++)
        if (!check_sequence(limits, view, s, err))
            return error_in(err, "sequence %d", s);
    const int n_blocks = plan->n_blocks * limits->n_kv_groups;
    return check_ascending(view->logits_row, plan->n_logits, "rows of logits", err) &&
           check_ascending(view->hidden_row, plan->n_hidden, "rows of hidden states", err) &&
           check_range(view->token, plan->n_tokens, least_token, limits->vocab, "a token", err) &&
           check_range(view->block, n_blocks, 0, limits->n_kv_blocks, "a block", err) &&
           check_range(view->logits_row, plan->n_logits, 0, plan->n_tokens, "a row of logits",
                       err) &&
           check_range(view->hidden_row, plan->n_hidden, 0, plan->n_tokens,
                       "a row of hidden states", err) &&
           check_range(view->copy, 2 * plan->n_copies, 0, limits->n_kv_blocks, "a copied block",
                       err) &&
           check_copies(view->copy, plan->n_copies, err) && check_picks(plan, limits, view, err);
}

static bool find_rest(const struct step_plan *plan, const struct plan_section *const *section,
                      const int32_t **rest, struct error *err)
{
    const int32_t *found;
    if (!find_array(plan, section, PLAN_REST, 1, &found, err))
        return false;
    if (plan->n_sections != 1 || plan->n_tokens != 0 || *found < 0 || *found >= PLAN_RESTS)
        return error_set(err, ERROR_PEER, "step plan: a rest that is none, or not alone");
    *rest = found;
    return true;
}

bool plan_check(const struct step_plan *plan, size_t n_bytes, const struct plan_limits *limits,
                int n_carried, struct step_view *view, struct error *err)
{
    check((uintptr_t)plan % alignof(struct step_plan) == 0);
    check(n_carried >= 0 && n_carried <= limits->max_logits);
    const struct plan_section *section[PLAN_TAGS] = {0};
    struct step_view v = {0};
    if (!check_header(plan, n_bytes, err) || !find_sections(plan, section, err))
        return false;
    v.stop = section[PLAN_STOP] != NULL;
    if (v.stop) {
        if (plan->n_sections != 1 || section[PLAN_STOP]->n_bytes != 0)
            return error_set(err, ERROR_PEER, "step plan: a stop comes alone and empty");
        *view = v;
        return true;
    }
    if (section[PLAN_REST] != NULL) {
        if (!find_rest(plan, section, &v.rest, err))
            return false;
        *view = v;
        return true;
    }
    const int64_t n_sequences = plan->n_sequences;
    if (!check_counts(plan, limits, err) ||
        !find_array(plan, section, PLAN_TOKEN, plan->n_tokens, &v.token, err) ||
        !find_array(plan, section, PLAN_FIRST_ROW, n_sequences + 1, &v.first_row, err) ||
        !find_array(plan, section, PLAN_N_COMPUTED, n_sequences, &v.n_computed, err) ||
        !find_array(plan, section, PLAN_FIRST_BLOCK, n_sequences + 1, &v.first_block, err) ||
        !find_array(plan, section, PLAN_BLOCK, (int64_t)plan->n_blocks * limits->n_kv_groups,
                    &v.block, err) ||
        !find_array(plan, section, PLAN_LOGITS_ROW, plan->n_logits, &v.logits_row, err) ||
        !find_array(plan, section, PLAN_HIDDEN_ROW, plan->n_hidden, &v.hidden_row, err) ||
        !find_array(plan, section, PLAN_COPY, 2 * (int64_t)plan->n_copies, &v.copy, err) ||
        !find_picks(plan, section, &v.pick, err) || !check_values(plan, limits, n_carried, &v, err))
        return false;
    *view = v;
    return true;
}
