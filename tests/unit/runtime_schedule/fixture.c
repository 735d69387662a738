#include "tests/unit/runtime_schedule/fixture.h"

#include "base/error.h"
#include "tests/test.h"

struct scheduler_settings fixture_settings(int max_tokens, int max_sequences, int n_blocks)
{
    static const int32_t eos_id = EOS;
    return (struct scheduler_settings){.limits = {.max_tokens = max_tokens,
                                                  .max_sequences = max_sequences,
                                                  .max_logits = max_sequences,
                                                  .block_tokens = 4,
                                                  .n_kv_blocks = n_blocks,
                                                  .n_kv_groups = 1,
                                                  .max_model_len = MAX_PROMPT,
                                                  .vocab = 50},
                                       .eos_id = &eos_id,
                                       .n_eos_ids = 1,
                                       .max_requests = 16,
                                       .max_request_bytes = 1 << 20};
}

void fixture_open_with(struct fixture *f, const struct scheduler_settings *settings)
{
    CHECK(settings->limits.max_logits <= MAX_ROWS);
    *f = (struct fixture){.settings = *settings, .params = params_default()};
    scheduler_create(&f->scheduler, settings);
    batch_init(&f->batch, &settings->limits);
    for (int i = 0; i < MAX_PROMPT; i++)
        f->prompt[i] = 3 + (i * 11 + i / 47) % 47;
}

void fixture_open(struct fixture *f, int max_tokens, int max_sequences, int n_blocks)
{
    const struct scheduler_settings settings =
        fixture_settings(max_tokens, max_sequences, n_blocks);
    fixture_open_with(f, &settings);
}

void fixture_close(struct fixture *f)
{
    batch_release(&f->batch);
    scheduler_destroy(f->scheduler);
}

struct request_source fixture_source(const struct fixture *f, uint64_t id, int n_prompt)
{
    return (struct request_source){
        .id = id, .prompt = f->prompt, .n_prompt = n_prompt, .params = &f->params};
}

void must_submit_source(struct fixture *f, const struct request_source *source)
{
    struct error err = {0};
    if (!scheduler_submit(f->scheduler, source, &err))
        test_fail(__FILE__, __LINE__, "request %d: %s", (int)source->id, err.text);
}

void must_submit(struct fixture *f, uint64_t id, int n_prompt, int max_tokens)
{
    f->params.max_tokens = max_tokens;
    const struct request_source source = fixture_source(f, id, n_prompt);
    must_submit_source(f, &source);
}

struct step_view plan_any(struct fixture *f)
{
    struct step_view view = {0};
    struct error err = {0};
    CHECK(scheduler_choose(f->scheduler, &f->batch));
    scheduler_write(f->scheduler, &f->batch);
    if (!plan_check(f->batch.plan, f->batch.plan->n_bytes, &f->settings.limits, 0, &view, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
    return view;
}

struct step_view plan(struct fixture *f, const int *n_new)
{
    const struct step_view view = plan_any(f);
    int n = 0;
    while (n_new[n] > 0)
        n++;
    CHECK_EQ(f->batch.plan->n_sequences, n);
    for (int s = 0; s < n; s++)
        CHECK_EQ(view.first_row[s + 1] - view.first_row[s], n_new[s]);
    return view;
}

void commit(struct fixture *f, int32_t token)
{
    struct row_result result[MAX_ROWS];
    for (int i = 0; i < MAX_ROWS; i++)
        result[i] = (struct row_result){.token = token};
    scheduler_commit(f->scheduler, &f->batch, result, f->outcome);
}

void run_steps(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++) {
        plan_any(f);
        commit(f, WORD);
    }
}
