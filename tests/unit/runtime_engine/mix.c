#include "tests/unit/runtime_engine/mix.h"

#include "base/memory.h"
#include "tests/test.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum { LONGEST = 110, VOCAB = 2048, SECOND_TIME = 64, TINY_BLOCKS = 10, MANY_BLOCKS = 640 };
_Static_assert((int)SECOND_TIME >= (int)MIX_REQUESTS &&
                   (int)JOB_MAX_REQUESTS >= (int)SECOND_TIME + (int)MIX_REQUESTS,
               "room for both times");

/* In the demo's tokens. */
static const int32_t texts[][16] = {
    {0, 475, 697, 880, 424, 697, 880, 424, 697, 880, 424, 697},      /* one two three one two … */
    {0, 54, 402, 73, 329, 30, 1443, 1368, 891, 18, 1443, 1368, 891}, /* Repeat: red blue green. */
    {0, 861, 862, 262, 468, 509, 316, 262, 1051, 1168, 435, 761, 18}, /* Once upon a time … */
    {0, 436, 909, 330, 285, 589, 82, 417, 285, 558, 330, 225, 24},    /* {"name": "Ann", … */
    {0, 407, 311, 852, 892, 35, 225, 407, 311, 852, 892, 35, 225},    /* What is tensor … */
};
static const int lengths_of_texts[] = {12, 13, 13, 13, 13};
enum { N_TEXTS = sizeof texts / sizeof *texts };

static const struct token_bias biases[] = {{424, 3}, {697, -2}, {18, 1.5f}};
static const int32_t bad_ids[] = {880, 697, 880, 1443}, bad_ends[] = {1, 3, 4};

struct mix_layout mix_plain(void)
{
    return (struct mix_layout){
        .chunk = 1024, .concurrency = 32, .n = 1, .tp_size = 1, .n_threads = 1, .n_flights = 1};
}

static int make_prompt(int p, int32_t *token)
{
    const int text = p % N_TEXTS, n = 1 + (p * p * 37 + p * 11) % LONGEST;
    for (int t = 0; t < n; t++) { /* the first one begins a text, the others repeat */
        token[t] = texts[text][t == 0 ? 0 : 1 + (t - 1) % (lengths_of_texts[text] - 1)];
        if (t >= 40 && t % 13 == p % 13) /* up to here, those of a text begin alike */
            token[t] = (t * 31 + p * 977) % VOCAB;
    }
    return n;
}

static struct sampling_params make_params(int p)
{
    struct sampling_params params = params_default();
    params.max_tokens = 6 + p * 7 % 31;
    params.seed = 100 + (uint64_t)p / 2;
    params.temperature = p % 3 == 0 ? 0 : 0.7f;
    params.top_k = p % 7 == 3 ? 20 : 0;
    params.top_p = p % 5 == 2 ? 0.9f : 1;
    params.min_p = p % 8 == 5 ? 0.05f : 0;
    params.presence_penalty = p % 4 == 3 ? 0.6f : 0;
    params.frequency_penalty = p % 9 == 4 ? 0.4f : 0;
    params.repetition_penalty = p % 5 == 1 ? 1.2f : 1;
    params.logprobs = p % 5 == 4 ? LOGPROBS_OFF : p % 4;
    params.prompt_logprobs = p % 6 == 1 ? 2 : LOGPROBS_OFF;
    params.ignore_eos = p % 2 == 0;
    params.min_tokens = p % 6 == 2 ? 3 : 0;
    if (p % 6 == 2) {
        params.n_stop_ids = 2;
        params.stop_id[0] = 424;
        params.stop_id[1] = 18;
    }
    if (p % 8 == 6) {
        params.bias = biases;
        params.n_biases = sizeof biases / sizeof *biases;
    }
    if (p % 8 == 7) {
        params.bad_id = bad_ids;
        params.bad_end = bad_ends;
        params.n_bad_words = sizeof bad_ends / sizeof *bad_ends;
    }
    return params;
}

/* Of request r of MIX_REQUESTS: first all prompts, then the other choices of the first ones. */
static int prompt_of(int r) { return r < MIX_PROMPTS ? r : (r - MIX_PROMPTS) / (MIX_CHOICES - 1); }
static int choice_of(int r)
{
    return r < MIX_PROMPTS ? 0 : 1 + (r - MIX_PROMPTS) % (MIX_CHOICES - 1);
}

static bool is_part(const struct mix_layout *layout, int r)
{
    return layout->n == 1 ? r < MIX_PROMPTS : prompt_of(r) < MIX_WITH_CHOICES;
}

void mix_submit(struct job *job, int id, int r, int priority, uint64_t tenant)
{
    int32_t prompt[LONGEST];
    struct link_submit submit = {.prompt = prompt, .priority = priority, .tenant = tenant};
    submit.n_prompt = make_prompt(prompt_of(r), prompt);
    submit.params = make_params(prompt_of(r));
    submit.params.seed += (uint64_t)choice_of(r);
    job_send(job, id, &submit);
}

static int submit_all(struct job *job, const struct mix_layout *layout, bool whole, int first_id)
{
    int n = 0;
    for (int r = 0; r < MIX_REQUESTS; r++) {
        if (!whole && !is_part(layout, r))
            continue;
        mix_submit(job, first_id + r, r, 0, 0);
        n++;
    }
    return n;
}

static const char *describe(const struct mix_layout *l)
{
    static const char *const caches[] = {"no", "cold", "warm", "tiny"};
    static const char *const drafters[] = {"no drafts", "n-grams", "draft model"};
    static char text[200];
    snprintf(text, sizeof text,
             "chunk %d, %s cache, %d at once, %s, n %d, tp %d, pp %d, %d threads, %d flights%s%s",
             l->chunk, caches[l->cache], l->concurrency, drafters[l->drafter], l->n, l->tp_size,
             l->pp_stages, l->n_threads, l->n_flights == MIX_AHEAD ? 2 : l->n_flights,
             l->n_flights == MIX_AHEAD ? ", ahead" : "", l->kv_int8 ? ", int8" : "");
    return text;
}

static void compare(const struct job *job, const struct mix_layout *layout,
                    const struct answer *want, int first_id)
{
    for (int r = 0; r < MIX_REQUESTS; r++)
        if (is_part(layout, r) && memcmp(&job->answer[first_id + r], &want[r], sizeof *want) != 0)
            test_fail(__FILE__, __LINE__, "%s: request %d has another answer", describe(layout), r);
}

static struct mix_costs costs_of(const struct job *job)
{
    struct mix_costs costs = {.counts = job->counts};
    for (int i = 0; i < JOB_MAX_REQUESTS; i++) {
        costs.cached_tokens += job->costs[i].cached_tokens;
        costs.n_drafted += job->costs[i].n_drafted;
        costs.n_accepted += job->costs[i].n_accepted;
    }
    return costs;
}

struct job_settings mix_settings(const struct mix_layout *layout)
{
    static const int32_t eos_id[] = {18, 3}; /* "." of the demo, and its own */
    return (struct job_settings){
        .folder = SOURCE_DIR "/demo/model",
        .dtype = "auto",
        .draft = layout->drafter == DRAFTER_MODEL ? SOURCE_DIR "/demo/draft" : NULL,
        .ngram_max = layout->drafter == DRAFTER_NGRAM ? 3 : 0,
        .max_drafts = 4,
        .tp_size = layout->tp_size,
        .pp_stages = layout->pp_stages,
        .n_threads = layout->n_threads,
        .n_flights = layout->n_flights == MIX_AHEAD ? 0 : layout->n_flights,
        .runs_ahead = layout->n_flights == MIX_AHEAD,
        .max_tokens = layout->chunk,
        .max_sequences = layout->concurrency,
        .max_model_len = 160,
        .n_kv_blocks = layout->cache == MIX_TINY ? TINY_BLOCKS : MANY_BLOCKS,
        .kv_int8 = layout->kv_int8,
        .prefix_caching = layout->cache != MIX_NO_CACHE,
        .eos_id = eos_id,
        .n_eos_ids = 2};
}

struct mix_costs mix_run(const struct mix_layout *layout, struct answer *want, bool record)
{
    static struct job job;
    const struct job_settings settings = mix_settings(layout);
    job_open(&job, &settings);
    const int n = submit_all(&job, layout, record, 0);
    job_wait(&job, -1, n);
    if (record)
        memcpy(want, job.answer, MIX_REQUESTS * sizeof *want);
    compare(&job, layout, want, 0);
    if (layout->cache == MIX_WARM) {
        submit_all(&job, layout, record, SECOND_TIME);
        job_wait(&job, -1, 2 * n);
        compare(&job, layout, want, SECOND_TIME);
    }
    job_close(&job, false);
    return costs_of(&job);
}

void mix_check_answers(const struct answer *want)
{
    int n_stopped = 0, n_tokens = 0;
    for (int r = 0; r < MIX_REQUESTS; r++) {
        const struct sampling_params params = make_params(prompt_of(r));
        int32_t prompt[LONGEST];
        CHECK_EQ(want[r].n_ends, 1);
        CHECK_EQ(want[r].failure.kind, 0);
        CHECK(want[r].finish == FINISH_STOP || want[r].n_tokens == params.max_tokens);
        CHECK_EQ(want[r].n_prompt, params.prompt_logprobs == LOGPROBS_OFF
                                       ? 0
                                       : make_prompt(prompt_of(r), prompt) - 1);
        n_stopped += want[r].finish == FINISH_STOP;
        n_tokens += want[r].n_tokens;
    }
    CHECK(n_stopped > 0 && n_tokens > 4 * MIX_REQUESTS);
}

unsigned long long mix_hash(const struct answer *want)
{
    XXH3_state_t *state = XXH3_createState();
    XXH3_64bits_reset(state);
    for (int r = 0; r < MIX_REQUESTS; r++)
        XXH3_64bits_update(state, &want[r], sizeof *want);
    const unsigned long long hash = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    return hash;
}
