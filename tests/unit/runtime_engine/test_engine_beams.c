/* Beam search against a plain one that computes every beam anew, each step, with the engine's own
 * log-probabilities of one token; and the same beams in every layout. */
#include "base/system.h"
#include "tests/test.h"
#include "tests/unit/runtime_engine/job.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N_SEARCHES = 4, LONGEST = 60, MAX_WIDTH = JOB_MAX_BEAMS, MAX_ENDED = 64, N_EOS = 2 };

static const int32_t texts[N_SEARCHES][13] = {
    {0, 475, 697, 880, 424, 697, 880, 424, 697, 880, 424, 697, 880},
    {0, 861, 862, 262, 468, 509, 316, 262, 1051, 1168, 435, 761, 18},
    {0, 407, 311, 852, 892, 35, 225, 407, 311, 852, 892, 35, 225},
    {0, 54, 402, 73, 329, 30, 1443, 1368, 891, 18, 1443, 1368, 891},
};
static const int lengths[N_SEARCHES] = {5, 58, 13, 30}, widths[N_SEARCHES] = {1, 3, 4, 2};
static const int32_t eos_id[N_EOS] = {18, 16}; /* "." and "," of the demo: often likely */

static bool is_eos(int32_t token) { return token == eos_id[0] || token == eos_id[1]; }

static int make_prompt(int i, int32_t *token)
{
    for (int t = 0; t < lengths[i]; t++)
        token[t] = t == 0 ? texts[i][0] : texts[i][1 + (t - 1) % 12];
    return lengths[i];
}

static struct sampling_params make_params(int i)
{
    struct sampling_params params = params_default();
    params.beam_width = widths[i];
    params.max_tokens = 7 + 3 * i;
    params.length_penalty = i == 2 ? 0.5f : 1 + 0.5f * (float)i;
    params.penalize_prompt = i % 2 == 1;
    params.ignore_eos = i == 3;
    return params;
}

/* ---- the plain search ---- */

struct search {
    struct job *job;
    int32_t prompt[LONGEST];
    int n_prompt;
    struct sampling_params params;
    struct answer_beam live[MAX_WIDTH], ended[MAX_ENDED];
    int n_live, n_ended;
};

/* The likeliest next tokens of a beam, computed from the first token on. */
static struct answer_logprobs next_tokens(struct search *s, const struct answer_beam *beam)
{
    struct answer *answer = &s->job->answer[0];
    struct sampling_params params = params_default();
    params.temperature = 0;
    params.ignore_eos = true;
    params.max_tokens = beam->n_tokens + 1;
    params.logprobs = 2 * s->params.beam_width; /* the chosen one is the first of them */
    memset(answer, 0, sizeof *answer);
    s->job->costs[0] = (struct answer_costs){0};
    job_replay(s->job, 0, s->prompt, s->n_prompt, beam->token, beam->n_tokens, &params);
    job_wait(s->job, 0, 1);
    CHECK_EQ(answer->n_tokens, 1);
    return answer->logprobs[0];
}

/* Descending, and equal ones as they came: an insertion sort. */
static void insert_sorted(struct answer_beam *list, int *n, int most,
                          const struct answer_beam *beam, bool by_score)
{
    int at = *n;
    while (at > 0 && (by_score ? list[at - 1].score < beam->score
                               : list[at - 1].cumulative_logprob < beam->cumulative_logprob))
        at--;
    if (at >= most)
        return;
    const int n_after = (*n < most ? *n : most - 1) - at;
    memmove(&list[at + 1], &list[at], (size_t)n_after * sizeof *list);
    list[at] = *beam;
    *n += *n < most;
}

static void step(struct search *s)
{
    struct answer_beam next[MAX_WIDTH];
    int n_next = 0;
    for (int b = 0; b < s->n_live; b++) {
        const struct answer_logprobs candidates = next_tokens(s, &s->live[b]);
        for (int k = 0; k < 2 * s->params.beam_width; k++) {
            struct answer_beam beam = s->live[b];
            beam.token[beam.n_tokens++] = candidates.token[k];
            beam.cumulative_logprob += (double)candidates.logprob[k];
            if (is_eos(candidates.token[k]) && !s->params.ignore_eos) {
                CHECK(s->n_ended < MAX_ENDED);
                beam.finish = FINISH_STOP;
                s->ended[s->n_ended++] = beam;
            } else {
                insert_sorted(next, &n_next, s->params.beam_width, &beam, false);
            }
        }
    }
    memcpy(s->live, next, sizeof next);
    s->n_live = n_next;
}

static double score_of(const struct search *s, const struct answer_beam *beam)
{
    const int n = (s->params.penalize_prompt ? s->n_prompt : 0) + beam->n_tokens;
    const int length = is_eos(beam->token[beam->n_tokens - 1]) ? n - 1 : n;
    return beam->cumulative_logprob /
           pow(length > 1 ? length : 1, (double)s->params.length_penalty);
}

/* Fills in what the engine should answer. */
static void search_plainly(struct job *job, int i, struct answer *want)
{
    static struct search s;
    memset(&s, 0, sizeof s);
    s.job = job;
    s.n_prompt = make_prompt(i, s.prompt);
    s.params = make_params(i);
    s.n_live = 1;
    for (int t = 0; t < s.params.max_tokens && s.n_live > 0; t++)
        step(&s);
    memset(want, 0, sizeof *want);
    for (int b = 0; b < s.n_ended + s.n_live; b++) {
        struct answer_beam beam = b < s.n_ended ? s.ended[b] : s.live[b - s.n_ended];
        if (b >= s.n_ended)
            beam.finish = FINISH_LENGTH;
        beam.score = score_of(&s, &beam);
        insert_sorted(want->beam, &want->n_beams, s.params.beam_width, &beam, true);
    }
    want->n_ends = 1;
}

/* ---- the engine's ---- */

struct layout {
    int tp_size, pp_stages, n_flights, max_tokens, max_sequences, n_kv_blocks;
    bool prefix_caching;
    const char *draft;
};

static struct job_settings settings_of(const struct layout *layout)
{
    return (struct job_settings){.folder = SOURCE_DIR "/demo/model",
                                 .dtype = "auto",
                                 .draft = layout->draft,
                                 .max_drafts = 3,
                                 .tp_size = layout->tp_size,
                                 .pp_stages = layout->pp_stages,
                                 .n_threads = 1,
                                 .n_flights = layout->n_flights,
                                 .max_tokens = layout->max_tokens,
                                 .max_sequences = layout->max_sequences,
                                 .max_model_len = 128,
                                 .n_kv_blocks = layout->n_kv_blocks,
                                 .prefix_caching = layout->prefix_caching,
                                 .eos_id = eos_id,
                                 .n_eos_ids = N_EOS};
}

static void submit_searches(struct job *job)
{
    for (int i = 0; i < N_SEARCHES; i++) {
        int32_t prompt[LONGEST];
        const int n_prompt = make_prompt(i, prompt);
        const struct sampling_params params = make_params(i);
        job_submit(job, i, prompt, n_prompt, &params);
    }
}

/* Requests of another kind between and beside the searches. */
static void submit_neighbours(struct job *job, int first, int n)
{
    for (int i = 0; i < n; i++) {
        int32_t prompt[LONGEST];
        const int n_prompt = make_prompt(i % N_SEARCHES, prompt);
        struct sampling_params params = params_default();
        params.max_tokens = 20;
        params.seed = (uint64_t)i;
        job_submit(job, first + i, prompt, n_prompt, &params);
    }
}

static void check_beams(const struct answer *got, const struct answer *want, const char *where)
{
    if (got->n_ends != 1 || got->n_beams != want->n_beams)
        test_fail(__FILE__, __LINE__, "%s: %d beams, want %d %s", where, got->n_beams,
                  want->n_beams, got->failure.text);
    for (int b = 0; b < want->n_beams; b++) {
        const struct answer_beam *x = &got->beam[b], *y = &want->beam[b];
        if (x->n_tokens != y->n_tokens || memcmp(x->token, y->token, sizeof x->token) != 0 ||
            memcmp(&x->cumulative_logprob, &y->cumulative_logprob, sizeof(double)) != 0 ||
            x->finish != y->finish)
            test_fail(__FILE__, __LINE__,
                      "%s: beam %d has %d tokens, %.17g, finish %d; want %d, %.17g, %d", where, b,
                      x->n_tokens, x->cumulative_logprob, x->finish, y->n_tokens,
                      y->cumulative_logprob, y->finish);
        /* the C library's power is another one than the engine's */
        CHECK(fabs(x->score - y->score) <= 1e-12 * fabs(y->score));
    }
}

static void check_searches(const struct layout *layout, int number, struct answer *want)
{
    static struct job job;
    const struct job_settings settings = settings_of(layout);
    enum { NEIGHBOURS = 6 };
    job_open(&job, &settings);
    submit_neighbours(&job, N_SEARCHES, NEIGHBOURS / 2);
    submit_searches(&job);
    submit_neighbours(&job, N_SEARCHES + NEIGHBOURS / 2, NEIGHBOURS / 2);
    job_wait(&job, -1, N_SEARCHES + NEIGHBOURS);
    for (int i = 0; i < N_SEARCHES; i++) {
        char where[64];
        snprintf(where, sizeof where, "layout %d, search %d", number, i);
        check_beams(&job.answer[i], &want[i], where);
        if (number == 0)
            want[i] = job.answer[i]; /* the others have every bit of this one */
        CHECK(memcmp(&job.answer[i], &want[i], sizeof *want) == 0);
    }
    job_close(&job, false);
}

TEST(beams_are_those_of_a_plain_search_in_every_layout)
{
    static const struct layout layouts[] = {
        {1, 1, 1, 1024, 16, 96, false, NULL},
        {1, 1, 1, 7, 16, 96, true, NULL},
        {2, 1, 2, 64, 5, 96, false, NULL},
        {3, 1, 1, 64, 16, 96, true, NULL},
        {1, 1, 1, 1, 16, 96, false, NULL},
        {1, 1, 1, 64, 16, 20, false, NULL}, /* they preempt */
        {2, 1, 1, 64, 8, 20, true, NULL},
        {1, 1, 1, 64, 16, 96, true, SOURCE_DIR "/demo/draft"},
        {1, 1, 2, 64, 8, 20, true, SOURCE_DIR "/demo/draft"},
        {1, 2, 2, 1024, 16, 96, false, NULL},
        {2, 3, 3, 64, 8, 20, true, NULL},
        {1, 2, 2, 64, 8, 20, true, SOURCE_DIR "/demo/draft"},
    };
    static struct job job;
    static struct answer want[N_SEARCHES];
    const struct job_settings settings = settings_of(&layouts[0]);
    if (!file_exists(SOURCE_DIR "/demo/model/model.safetensors"))
        SKIP("demo/model has no weights");
    job_open(&job, &settings);
    int n_stopped = 0;
    for (int i = 0; i < N_SEARCHES; i++) {
        search_plainly(&job, i, &want[i]);
        CHECK_EQ(want[i].n_beams, widths[i]);
        for (int b = 0; b < want[i].n_beams; b++)
            n_stopped += want[i].beam[b].finish == FINISH_STOP;
    }
    CHECK(n_stopped > 0);
    job_close(&job, false);
    for (int k = 0; k < (int)(sizeof layouts / sizeof *layouts); k++)
        check_searches(&layouts[k], k, want);
}
