#include "runtime/schedule/beam_group.h"

#include "base/check.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

struct beam_group {
    int width, n_live, n_candidates;
    struct request *place[PARAMS_MAX_BEAMS]; /* [width] sequences; [0] is the request itself */

    /* of the live beams, best first */
    int at[PARAMS_MAX_BEAMS]; /* their places */
    double cumulative[PARAMS_MAX_BEAMS];
    int n_reported, n_awaited;
    bool is_parted;                    /* each has its own blocks */
    struct beam_candidate *candidates; /* [width, n_candidates] */
    struct beam_step *live, *ended;    /* [width], [width * n_candidates] */

    /* completed ones, the best first, of equal ones the one that came first */
    struct beam best[PARAMS_MAX_BEAMS]; /* [n_best] of at most width */
    int n_best;
    int32_t *spare; /* room for the tokens of one more */
};

/* ---- life ---- */

struct beam_group *beam_group_create(struct request *request, const struct request_bounds *bounds)
{
    const int width = request->params.beam_width;
    const size_t n_output = (size_t)(request->limit - request->n_prompt);
    struct beam_group *group = memory_alloc(1, sizeof *group);
    group->width = width;
    group->n_live = 1;
    group->is_parted = true;
    group->n_candidates = 2 * width < bounds->vocab ? 2 * width : bounds->vocab;
    group->place[0] = request;
    for (int i = 1; i < width; i++) {
        request_create_beam(&group->place[i], request, bounds);
        request->n_bytes += group->place[i]->n_bytes;
    }
    const size_t n_all = (size_t)width * (size_t)group->n_candidates;
    group->candidates = memory_alloc(n_all, sizeof *group->candidates);
    group->live = memory_alloc((size_t)width, sizeof *group->live);
    group->ended = memory_alloc(n_all, sizeof *group->ended);
    for (int i = 0; i < width; i++)
        group->best[i].token = memory_alloc(n_output, sizeof(int32_t));
    group->spare = memory_alloc(n_output, sizeof(int32_t));
    request->n_bytes += ((size_t)width + 1) * n_output * sizeof(int32_t);
    return group;
}

void beam_group_destroy(struct beam_group *group)
{
    if (group == NULL)
        return;
    for (int i = 0; i < group->width; i++) {
        if (i > 0)
            request_destroy(group->place[i]);
        memory_free((int32_t *)group->best[i].token);
    }
    memory_free(group->spare);
    memory_free(group->candidates);
    memory_free(group->live);
    memory_free(group->ended);
    memory_free(group);
}

/* ---- the group as callers see it ---- */

int beams_now(const struct request *request)
{
    return request->beams == NULL ? 1 : request->beams->n_live;
}

int beams_most(const struct request *request)
{
    return request->beams == NULL ? 1 : request->beams->width;
}

struct request *beam_at(const struct request *request, int i)
{
    const struct beam_group *group = request->beams;
    return group == NULL ? request->leader : group->place[group->at[i]];
}

bool beams_are_awaited(const struct request *request)
{
    return (request->beams == NULL ? request->n_awaited : request->beams->n_awaited) > 0;
}

bool beams_are_parted(const struct request *request)
{
    return request->beams == NULL || request->beams->is_parted;
}

int beams_common(const struct sequence_blocks *blocks, const struct request *request)
{
    return request->n_prompt - request->n_prompt % blocks->limits.block_tokens;
}

int64_t beams_need(const struct sequence_blocks *blocks, const struct request *request,
                   int n_positions, int n_beams)
{
    if (n_beams == 1)
        return blocks_needed(blocks, n_positions, 0);
    const int64_t own = blocks_needed(blocks, n_positions, beams_common(blocks, request));
    return blocks_needed(blocks, n_positions, 0) + (n_beams - 1) * own;
}

void beams_part(struct sequence_blocks *blocks, struct request *request)
{
    for (int i = 1; i < request->beams->n_live; i++)
        blocks_share(blocks, beam_at(request, i), beam_at(request, 0));
    request->beams->is_parted = true;
}

void beams_give(struct sequence_blocks *blocks, struct request *request)
{
    for (int i = 0; i < beams_now(request); i++)
        blocks_give(blocks, beam_at(request, i));
    if (request->beams != NULL)
        request->beams->is_parted = request->beams->n_live == 1;
}

/* ---- a step of the search ---- */

/* A completed sequence: the n first tokens of output of `from`, and one more. */
static void complete(struct beam_group *group, const struct request *from, int n, int32_t last,
                     double cumulative, enum finish_reason finish,
                     const struct request_bounds *bounds)
{
    const double score =
        beam_score(cumulative, from->n_prompt, n + 1, request_is_eos(bounds, last), &from->params);
    int at = group->n_best;
    while (at > 0 && score > group->best[at - 1].score)
        at--;
    if (at == group->width)
        return;
    int32_t *token = group->spare;
    memcpy(token, from->token + from->n_prompt, (size_t)n * sizeof *token);
    token[n] = last;
    /* whoever is behind the last place leaves the room for the next one */
    const int behind = group->n_best < group->width ? group->n_best++ : group->width - 1;
    group->spare = (int32_t *)group->best[behind].token;
    memmove(&group->best[at + 1], &group->best[at], (size_t)(behind - at) * sizeof *group->best);
    group->best[at] = (struct beam){.token = token,
                                    .n_tokens = n + 1,
                                    .cumulative_logprob = cumulative,
                                    .score = score,
                                    .finish = finish};
}

/* Finds a place for each beam that lives on: the first of a parent has its parent's. */
static void find_places(struct sequence_blocks *blocks, struct beam_group *group, int n_live)
{
    int at[PARAMS_MAX_BEAMS];
    bool is_taken[PARAMS_MAX_BEAMS] = {false};
    for (int k = 0; k < n_live; k++) {
        const int parent = group->at[group->live[k].parent];
        at[k] = is_taken[parent] ? -1 : parent;
        is_taken[parent] = true;
    }
    for (int i = 0; i < group->n_live; i++)
        if (!is_taken[group->at[i]])
            blocks_give(blocks, group->place[group->at[i]]);
    int spare = 0;
    for (int k = 0; k < n_live; k++) {
        if (at[k] >= 0)
            continue;
        while (is_taken[spare])
            spare++;
        is_taken[spare] = true;
        at[k] = spare;
        struct request *to = group->place[spare];
        const struct request *from = group->place[group->at[group->live[k].parent]];
        to->n_tokens = from->n_tokens;
        memcpy(to->token + to->n_prompt, from->token + from->n_prompt,
               (size_t)request_n_output(from) * sizeof *to->token);
        blocks_share(blocks, to, from);
    }
    check(n_live > 0 && n_live <= group->width);
    memcpy(group->at, at, (size_t)n_live * sizeof *at);
    group->n_live = n_live;
}

/* True: no beam is left, or none may go on. */
static bool take_step(struct sequence_blocks *blocks, struct beam_group *group,
                      const struct request_bounds *bounds)
{
    const struct request *any = group->place[group->at[0]];
    const int n = request_n_output(any); /* of all beams */
    const int n_ends = any->params.ignore_eos ? 0 : bounds->n_eos_ids;
    const struct beam_choice choice =
        beam_choose(group->live, group->ended, group->width, group->candidates, group->n_candidates,
                    group->cumulative, group->n_live, bounds->eos_id, n_ends);
    for (int i = 0; i < choice.n_ended; i++) {
        const struct beam_step *step = &group->ended[i];
        complete(group, group->place[group->at[step->parent]], n, step->candidate.token,
                 step->cumulative_logprob, FINISH_STOP, bounds);
    }
    const bool is_full = any->n_tokens + 1 == any->limit;
    for (int k = 0; is_full && k < choice.n_live; k++) {
        const struct beam_step *step = &group->live[k];
        complete(group, group->place[group->at[step->parent]], n, step->candidate.token,
                 step->cumulative_logprob, FINISH_LENGTH, bounds);
    }
    if (is_full || choice.n_live == 0)
        return true;
    find_places(blocks, group, choice.n_live);
    if (group->place[0]->state == REQUEST_WAITING) /* preempted meanwhile: nobody has blocks */
        group->is_parted = group->n_live == 1;
    for (int k = 0; k < group->n_live; k++) {
        struct request *beam = group->place[group->at[k]];
        beam->token[beam->n_tokens++] = group->live[k].candidate.token;
        beam->beam = k;
        beam->n_awaited = 0;
        group->cumulative[k] = group->live[k].cumulative_logprob;
    }
    group->n_reported = 0;
    return false;
}

void beam_await(struct request *beam) { beam->leader->beams->n_awaited++; }

bool beam_report(struct sequence_blocks *blocks, struct request *beam,
                 const struct row_result *candidates, const struct request_bounds *bounds,
                 struct outcome *result)
{
    struct beam_group *group = beam->leader->beams;
    struct beam_candidate *to = group->candidates + beam->beam * group->n_candidates;
    for (int i = 0; i < group->n_candidates; i++)
        to[i] = i < candidates->n_candidates ? candidates->candidate[i]
                                             : (struct beam_candidate){.logprob = -INFINITY};
    group->n_awaited--;
    if (++group->n_reported < group->n_live || !take_step(blocks, group, bounds))
        return false;
    result->beam = group->best;
    result->n_beams = group->n_best;
    result->finish = group->n_best > 0 ? group->best[0].finish : FINISH_ERROR;
    return true;
}
