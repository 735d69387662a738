#include "runtime/result_receiver.h"

#include "base/error.h"
#include "base/memory.h"
#include "parallel/ranks.h"
#include "runtime/result_message.h"

#include <string.h>

struct result_receiver {
    const struct ranks *ranks;
    struct plan_limits limits;
    int hidden_size;
    int last;              /* the rank that results come from */
    unsigned char *packed; /* [result_max_pick_bytes()] */
};

/* ---- life ---- */

void result_receiver_create(struct result_receiver **out, const struct ranks *ranks,
                            const struct plan_limits *limits, int hidden_size)
{
    struct result_receiver *r = memory_alloc(1, sizeof *r);
    r->ranks = ranks;
    r->limits = *limits;
    r->hidden_size = hidden_size;
    r->last = (ranks->pp_stages - 1) * ranks->tp_size;
    r->packed = memory_alloc(1, result_max_pick_bytes(limits));
    *out = r;
}

void result_receiver_destroy(struct result_receiver *r)
{
    if (r == NULL)
        return;
    memory_free(r->packed);
    memory_free(r);
}

/* ---- picks ---- */

static bool differs(struct error *err, const char *what, int64_t value, int64_t lo, int64_t hi)
{
    return error_set(err, ERROR_PEER, "%s is %lld, want %lld to %lld", what, (long long)value,
                     (long long)lo, (long long)hi);
}

/* The most log-probabilities that a pick can have: the token's own comes besides the best. */
static int most_logprobs(const struct plan_pick *pick)
{
    const int n = pick->kind == PICK_BEAM ? pick->n_best : pick->n_best + 1;
    return n < PLAN_MAX_BEST ? n : PLAN_MAX_BEST;
}

static bool check_tokens(const struct picked *picked, int vocab, struct error *err)
{
    if (picked->token < -1 || picked->token >= vocab)
        return differs(err, "a token", picked->token, -1, vocab - 1);
    for (int k = 0; k < picked->n_logprobs; k++)
        if (picked->logprob[k].token < 0 || picked->logprob[k].token >= vocab)
            return differs(err, "a token", picked->logprob[k].token, 0, vocab - 1);
    return true;
}

/* One pick out of packed[*at ..], of n_bytes in all. */
static bool unpack(const struct result_receiver *r, size_t *at, size_t n_bytes,
                   const struct plan_pick *wanted, struct picked *out, struct error *err)
{
    struct result_pick pick;
    if (n_bytes - *at < sizeof pick)
        return error_set(err, ERROR_PEER, "its bytes end early");
    memcpy(&pick, r->packed + *at, sizeof pick);
    *at += sizeof pick;
    if (pick.n_logprobs < 0 || pick.n_logprobs > most_logprobs(wanted))
        return differs(err, "the number of log-probabilities", pick.n_logprobs, 0,
                       most_logprobs(wanted));
    const size_t n = (size_t)pick.n_logprobs * sizeof *out->logprob;
    if (n_bytes - *at < n)
        return error_set(err, ERROR_PEER, "its bytes end early");
    out->token = pick.token;
    out->is_finite = pick.is_finite != 0;
    out->lse = pick.lse;
    out->n_logprobs = pick.n_logprobs;
    memcpy(out->logprob, r->packed + *at, n);
    *at += n;
    return check_tokens(out, r->limits.vocab, err);
}

static bool unpack_all(const struct result_receiver *r, const struct step_plan *plan,
                       const struct step_view *view, size_t n_bytes, struct home_memory *memory,
                       struct error *err)
{
    size_t at = 0;
    for (int i = 0; i < plan->n_logits; i++) {
        memory->is_picked[i] = !result_is_whole(view, i);
        if (memory->is_picked[i] &&
            !unpack(r, &at, n_bytes, &view->pick[i], &memory->picked[i], err))
            return error_in(err, "the pick of row %d", i);
    }
    return at == n_bytes ||
           error_set(err, ERROR_PEER, "%zu bytes follow the last pick", n_bytes - at);
}

/* ---- the message ---- */

static bool receive(const struct result_receiver *r, void *bytes, size_t n_bytes, struct error *err)
{
    struct comm *world = r->ranks->world;
    return n_bytes == 0 || comm_receive(world, NULL, bytes, n_bytes, r->last, false, err);
}

static bool check_header(const struct result_receiver *r, const struct step_plan *plan,
                         const struct step_view *view, const struct result_header *header,
                         struct error *err)
{
    int64_t n_rows = 0;
    for (int i = 0; i < plan->n_logits; i++)
        n_rows += result_is_whole(view, i);
    const int64_t n_picks = plan->n_logits - n_rows;
    const int64_t most = n_picks > 0 ? (int64_t)result_max_pick_bytes(&r->limits) : 0;
    if (header->step != plan->step)
        return error_set(err, ERROR_PEER, "they are of step %llu",
                         (unsigned long long)header->step);
    if (header->n_rows != n_rows)
        return differs(err, "the number of rows", header->n_rows, n_rows, n_rows);
    if (header->n_picks != n_picks)
        return differs(err, "the number of picks", header->n_picks, n_picks, n_picks);
    if (header->n_pick_bytes > most)
        return differs(err, "the size of the picks", header->n_pick_bytes, 0, most);
    if (header->n_hidden != (uint32_t)plan->n_hidden)
        return differs(err, "the number of hidden states", header->n_hidden, plan->n_hidden,
                       plan->n_hidden);
    return true;
}

static bool receive_rows(const struct result_receiver *r, const struct step_plan *plan,
                         const struct step_view *view, float *logits, struct error *err)
{
    bool good = true;
    for (int i = 0, n; good && i<plan->n_logits; i += n> 0 ? n : 1) {
        n = result_whole_run(plan, view, i);
        const size_t count = (size_t)n * (size_t)r->limits.vocab;
        good = receive(r, logits, count * sizeof *logits, err);
        logits += count;
    }
    return good;
}

static bool receive_all(struct result_receiver *r, const struct step_plan *plan,
                        const struct step_view *view, struct home_memory *memory,
                        struct step_home *out, struct error *err)
{
    struct result_header header;
    const size_t hidden_bytes =
        (size_t)plan->n_hidden * (size_t)r->hidden_size * sizeof *memory->hidden;
    if (!receive(r, &header, sizeof header, err) || !check_header(r, plan, view, &header, err) ||
        !receive(r, r->packed, header.n_pick_bytes, err) ||
        !unpack_all(r, plan, view, header.n_pick_bytes, memory, err) ||
        !receive_rows(r, plan, view, memory->logits, err) ||
        !receive(r, memory->hidden, hidden_bytes, err))
        return false;
    *out = (struct step_home){.rows = {.logits = memory->logits,
                                       .n_logits = (int)header.n_rows,
                                       .vocab = r->limits.vocab,
                                       .hidden = memory->hidden,
                                       .n_hidden = plan->n_hidden,
                                       .hidden_size = r->hidden_size},
                              .is_picked = memory->is_picked,
                              .picked = memory->picked};
    return true;
}

bool result_receiver_run(struct result_receiver *r, const struct step_plan *plan,
                         const struct step_view *view, struct home_memory *memory,
                         struct step_home *out, struct error *err)
{
    return receive_all(r, plan, view, memory, out, err) ||
           error_in(err, "results of step %llu from stage %d (rank %d)",
                    (unsigned long long)plan->step, r->ranks->pp_stages - 1, r->last);
}
