#include "launcher/bench/batch.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "launcher/bench/random.h"
#include "launcher/generation.h"
#include "launcher/prompt_file.h"
#include "runtime/options/options.h"

#include <string.h>

/* ---- prompts ---- */

static void make_random(struct ids *out, size_t n_tokens, int vocab, uint64_t *state)
{
    for (size_t i = 0; i < n_tokens; i++)
        ids_add(out, (int32_t)(random_next(state) % (uint64_t)vocab));
}

static bool read_dataset(struct bench_prompts *out, const struct options *options,
                         struct session *session, struct error *err)
{
    struct prompt_file file;
    struct file_prompt prompt = {0};
    bool got = true;
    bool good = prompt_file_open(&file, options->bench.dataset, session->interrupt, err);
    for (size_t i = 0; good && got && i < out->n; i++) {
        good = prompt_file_next(&file, &prompt, &got, err);
        if (good && got && prompt.ids.n > 0)
            ids_add_all(&out->ids[i], prompt.ids.data, prompt.ids.n);
        else if (good && got)
            good =
                intake_text(&session->intake, prompt.text.data, prompt.text.len, &out->ids[i], err);
    }
    for (size_t i = file.n_prompts; good && file.n_prompts > 0 && i < out->n; i++)
        ids_add_all(&out->ids[i], out->ids[i % file.n_prompts].data,
                    out->ids[i % file.n_prompts].n);
    prompt_file_close(&file);
    file_prompt_release(&prompt);
    return good || error_in(err, "--dataset");
}

bool bench_prompts_make(struct bench_prompts *out, size_t n, size_t n_tokens,
                        const struct options *options, struct session *session, struct error *err)
{
    uint64_t state = options->seed >= 0 ? (uint64_t)options->seed : 0;
    *out = (struct bench_prompts){.ids = memory_alloc(n, sizeof *out->ids), .n = n};
    if (options->bench.dataset != NULL)
        return read_dataset(out, options, session, err);
    for (size_t i = 0; i < n; i++)
        make_random(&out->ids[i], n_tokens, session->vocab, &state);
    return true;
}

void bench_prompts_release(struct bench_prompts *prompts)
{
    for (size_t i = 0; i < prompts->n; i++)
        ids_release(&prompts->ids[i]);
    memory_free(prompts->ids);
    *prompts = (struct bench_prompts){0};
}

/* ---- batches ---- */

struct answer { /* times of one choice */
    int64_t first_ns, last_ns;
    uint64_t last_event;
    int n_tokens;
};

struct batch {
    struct bench_times *times;
    struct session *session;
    struct generation generation;
    struct progress *progress;
    struct answer *answer; /* [prompts * choices] */
    size_t n_answers, n_begun, n_done;
    int64_t begin_ns, all_begun_ns;
    uint64_t n_decoded; /* tokens since all had begun */
};

static bool take_token(void *context, const struct generation_item *item, int choice)
{
    struct batch *b = context;
    struct answer *a = &b->answer[item->number * (size_t)item->answer.n_choices + (size_t)choice];
    const int64_t now_ns = clock_now_ns();
    const uint64_t event = dispatch_events(b->session->dispatch);
    b->n_decoded += b->n_begun == b->n_answers;
    if (a->n_tokens++ == 0) {
        a->first_ns = now_ns;
        b->all_begun_ns = ++b->n_begun == b->n_answers ? now_ns : 0;
        samples_add(&b->times->first, (double)(now_ns - b->begin_ns) * 1e-9);
    } else if (event != a->last_event) {
        samples_add(&b->times->gaps, (double)(now_ns - a->last_ns) * 1e-9);
    }
    a->last_event = event;
    a->last_ns = now_ns;
    if (b->progress != NULL)
        progress_update(b->progress, b->n_done, b->generation.n_tokens);
    return true;
}

static bool take_answer(void *context, const struct generation_item *item, struct error *err)
{
    struct batch *b = context;
    struct bench_times *times = b->times;
    b->n_done++;
    times->n_requests++;
    times->n_cached += (uint64_t)item->answer.output[0].cached_tokens;
    for (int i = 0; i < item->answer.n_choices; i++) {
        const struct answer *a =
            &b->answer[item->number * (size_t)item->answer.n_choices + (size_t)i];
        if (item->answer.failure[i].kind != ERROR_NONE) {
            *err = item->answer.failure[i];
            return error_in(err, "prompt %zu", item->number);
        }
        samples_add(&times->end_to_end, (double)(a->last_ns - b->begin_ns) * 1e-9);
        if (a->n_tokens > 1)
            samples_add(&times->per_token,
                        (double)(a->last_ns - a->first_ns) * 1e-9 / (a->n_tokens - 1));
        times->n_drafted += (uint64_t)item->answer.output[i].n_drafted;
        times->n_accepted += (uint64_t)item->answer.output[i].n_accepted;
    }
    return true;
}

static bool run(struct batch *b, const struct bench_prompts *prompts, struct error *err)
{
    const struct generation_hooks hooks = {
        .progress = take_token, .done = take_answer, .context = b};
    struct generation *g = &b->generation;
    for (size_t i = 0; i < prompts->n; i++) {
        struct ids ids = {0};
        ids_add_all(&ids, prompts->ids[i].data, prompts->ids[i].n);
        if (!generation_add_prompt(g, b->session, NULL, &ids, true, err))
            return false;
    }
    b->n_answers = prompts->n * (size_t)g->sampling.n_choices;
    b->answer = memory_alloc(b->n_answers, sizeof *b->answer);
    b->begin_ns = clock_now_ns();
    if (!generation_run(g, b->session, &hooks, err))
        return false;
    const int64_t end_ns = clock_now_ns();
    const double seconds = (double)(end_ns - b->begin_ns) * 1e-9;
    samples_add(&b->times->latency, seconds);
    if (b->n_decoded > 0 && end_ns > b->all_begun_ns)
        samples_add(&b->times->decode_rate,
                    (double)b->n_decoded / ((double)(end_ns - b->all_begun_ns) * 1e-9));
    b->times->seconds += seconds;
    b->times->n_prompt_tokens += g->n_prompt_tokens;
    b->times->n_tokens += g->n_tokens;
    return true;
}

bool bench_batch_run(struct bench_times *times, const struct bench_prompts *prompts,
                     const struct options *options, struct session *session,
                     struct progress *progress, struct error *err)
{
    struct batch batch = {.times = times, .session = session, .progress = progress};
    const bool good =
        generation_init(&batch.generation, options, session, err) && run(&batch, prompts, err);
    generation_release(&batch.generation);
    memory_free(batch.answer);
    return good;
}

void bench_times_release(struct bench_times *times)
{
    samples_release(&times->latency);
    samples_release(&times->first);
    samples_release(&times->per_token);
    samples_release(&times->gaps);
    samples_release(&times->end_to_end);
    samples_release(&times->decode_rate);
}
