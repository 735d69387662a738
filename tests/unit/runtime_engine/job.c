#include "tests/unit/runtime_engine/job.h"

#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "parallel/heart.h"
#include "parallel/ranks.h"
#include "runtime/engine.h"
#include "runtime/forward/forward.h"
#include "runtime/forward/kv_groups.h"
#include "runtime/model/device_weights.h"
#include "runtime/model/model.h"
#include "runtime/plan_record.h"
#include "runtime/plan_run.h"
#include "runtime/worker.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"
#include "tests/unit/runtime_forward/gpu_setup.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static const int64_t patience_ns = 120LL * 1000 * 1000 * 1000;

struct rank_parts {
    struct heart heart;
    struct ranks ranks, of_stage; /* the draft model runs on those of the first stage */
    struct device *host, *device; /* who samples, who runs the layers: the same but with GPUs */
    struct model *model[PLAN_MODELS];
    struct plan_models models;
    struct plan_recorder *recorder;
    struct device_loading loading; /* of the GPU */
};

static void close_parts(struct rank_parts *p)
{
    struct error err = {0};
    CHECK(plan_recorder_close(p->recorder, &err));
    for (int m = 0; m < PLAN_MODELS; m++) {
        forward_destroy(p->models.forward[m]);
        model_close(p->model[m]);
    }
    ranks_leave_gpu(&p->ranks);
    if (p->device != p->host)
        device_close(p->device);
    device_close(p->host);
    ranks_close(&p->ranks, false);
}

static int stages_of(const struct job_settings *s) { return s->pp_stages ? s->pp_stages : 1; }

static int max_drafts_of(const struct job_settings *s)
{
    return s->draft != NULL || s->ngram_max > 0 ? s->max_drafts : 0;
}

static struct plan_limits limits_of(const struct job_settings *s, const struct model *model)
{
    struct kv_groups groups;
    kv_groups_make(&groups, &model->config, false);
    struct plan_limits limits = {.max_tokens = s->max_tokens,
                                 .max_sequences = s->max_sequences,
                                 .max_logits = s->max_sequences * (1 + max_drafts_of(s)),
                                 .block_tokens = 16,
                                 .n_kv_blocks = s->n_kv_blocks,
                                 .n_kv_groups = groups.n,
                                 .max_model_len = s->max_model_len,
                                 .vocab = model->config.vocab,
                                 .max_copies = s->max_sequences + KV_MAX_GROUPS};
    memcpy(limits.kv_window, groups.window, sizeof limits.kv_window);
    return limits;
}

static enum drafter drafter_of(const struct job_settings *s)
{
    if (s->draft != NULL)
        return DRAFTER_MODEL;
    return s->ngram_max > 0 ? DRAFTER_NGRAM : DRAFTER_NONE;
}

static struct engine_settings engine_settings_of(const struct job *job, const struct rank_parts *p)
{
    const struct job_settings *s = &job->settings;
    return (struct engine_settings){
        .scheduler = {.limits = p->models.limits[PLAN_TARGET],
                      .eos_id = s->eos_id,
                      .n_eos_ids = s->n_eos_ids,
                      .hidden_size = p->model[PLAN_TARGET]->config.hidden,
                      .by_priority = s->by_priority,
                      .prefix_caching = s->prefix_caching,
                      .secret = "a test needs no secret to be one",
                      .drafter = drafter_of(s),
                      .max_drafts = max_drafts_of(s),
                      .ngram_min = 1,
                      .ngram_max = s->ngram_max},
        .models = &p->models,
        .n_flights = s->n_flights ? s->n_flights : p->ranks.pp_stages,
        .runs_ahead = s->runs_ahead,
        .model = p->model[PLAN_TARGET],
        .device = p->host,
        .recorder = p->recorder};
}

static bool open_recorder(struct rank_parts *p, const char *path, int kv_dtype, struct error *err)
{
    struct plan_record_setup setup = {.kv_dtype = kv_dtype};
    memcpy(setup.limits, p->models.limits, sizeof setup.limits);
    return path == NULL || plan_recorder_open(&p->recorder, path, &setup, err);
}

static bool run_engine(struct job *job, struct rank_parts *p, struct error *err)
{
    struct engine *engine;
    struct engine_settings settings = engine_settings_of(job, p);
    settings.link = link_create(job->engine_fd);
    const struct plan_limits *limits = &p->models.limits[PLAN_TARGET];
    const struct link_event ready = {.kind = LINK_READY,
                                     .ready = {.build = "",
                                               .model = "",
                                               .kernels = "",
                                               .comm = "",
                                               .dtype = "",
                                               .vocab = limits->vocab,
                                               .max_model_len = limits->max_model_len,
                                               .tp = 1,
                                               .pp = 1}};
    engine_create(&engine, &settings);
    const bool good = link_send_event(settings.link, &ready, err) && engine_run(engine, err);
    job->counts = engine_counts(engine);
    engine_destroy(engine);
    link_destroy(settings.link);
    return good;
}

static bool run_record(struct job *job, struct rank_parts *p, struct error *err)
{
    struct plan_record record;
    if (!plan_record_open(&record, job->replayed, err))
        return false;
    const bool good = replay_run(&record, &p->models, p->host, &job->report, err);
    plan_record_close(&record);
    return good;
}

static bool run_first_rank(struct job *job, struct rank_parts *p, struct error *err)
{
    return job->replayed != NULL ? run_record(job, p, err) : run_engine(job, p, err);
}

static bool open_device(struct rank_parts *p, const struct job_settings *s, struct error *err)
{
    const bool good = s->ops != NULL ? device_open_cpu_ops(&p->host, s->ops, s->n_threads, 0, err)
                                     : device_open_cpu(&p->host, s->kernels, s->n_threads, 0, err);
    p->device = s->gpu == NULL ? p->host : NULL;
    return good;
}

static int kv_dtype_of(const struct job_settings *s, const struct model *model)
{
    return s->kv_int8 ? DTYPE_I8 : (int)model->compute;
}

/* The first model says how much memory the groups need. */
static bool use_gpu(struct rank_parts *p, const struct job_settings *s, struct model *model,
                    struct error *err)
{
    const size_t most_floats = (size_t)s->max_tokens * (size_t)model->config.hidden;
    return (p->device != NULL || gpu_setup_open(&p->device, s->gpu, &p->ranks, most_floats, err)) &&
           gpu_setup_load(model, p->device, err);
}

static struct model_place place_of(const struct job_settings *s, const struct ranks *on)
{
    return (struct model_place){.tp_rank = on->tp_rank,
                                .tp_size = on->tp_size,
                                .pp_stage = on->pp_stage,
                                .pp_stages = on->pp_stages,
                                .on_gpu = s->gpu != NULL,
                                .one_leaf = s->gpu != NULL && s->gpu->fast};
}

static bool open_models(struct rank_parts *p, const struct job_settings *s, int *kv_dtype,
                        struct error *err)
{
    const char *const folder[PLAN_MODELS] = {[PLAN_TARGET] = s->folder, [PLAN_DRAFT] = s->draft};
    p->models.loading = &p->loading;
    p->models.ranks[PLAN_TARGET] = &p->ranks;
    p->models.ranks[PLAN_DRAFT] = &p->of_stage;
    for (int m = 0; m < PLAN_MODELS && folder[m] != NULL; m++) {
        if (m == PLAN_DRAFT && p->ranks.pp_stage > 0)
            break;
        struct plan_limits *limits = &p->models.limits[m];
        const struct ranks *on = p->models.ranks[m];
        const struct model_place place = place_of(s, on);
        if (!model_open(&p->model[m], folder[m], s->dtype, &place, err) ||
            (s->gpu != NULL && !use_gpu(p, s, p->model[m], err)))
            return false;
        p->of_stage = ranks_of_stage(&p->ranks);
        p->models.hidden_size[m] = p->model[m]->config.hidden;
        *limits = m == PLAN_TARGET ? limits_of(s, p->model[m])
                                   : scheduler_draft_limits(&p->models.limits[PLAN_TARGET]);
        if (m == PLAN_TARGET)
            *kv_dtype = kv_dtype_of(s, p->model[m]);
        const struct forward_settings settings = {
            .model = p->model[m],
            .device = p->device,
            .ranks = on,
            .limits = limits,
            .kv_dtype = *kv_dtype,
            .carries_tokens = s->gpu != NULL && m == PLAN_TARGET && on->pp_stages == 1};
        p->models.model[m] = p->model[m];
        p->loading = (struct device_loading){.device = p->device, .readers = p->host->team};
        if (!forward_create(&p->models.forward[m], &settings, err))
            return false;
    }
    return true;
}

static bool run_worker(const struct rank_parts *p, struct error *err)
{
    struct worker *worker;
    worker_create(&worker, &(struct worker_settings){.models = &p->models, .device = p->host});
    const bool good = worker_run(worker, err);
    worker_destroy(worker);
    return good;
}

static bool run_rank(void *context, int rank, struct error *err)
{
    struct job *job = context;
    const struct job_settings *s = &job->settings;
    struct rank_parts p = {0};
    const struct ranks_settings settings = {
        .tp_size = s->tp_size,
        .pp_stages = stages_of(s),
        .comm = "shm",
        .settings = {.deadline_ns = s->deadline_ns ? s->deadline_ns : patience_ns,
                     .heart = &p.heart},
    };
    int kv_dtype = 0;
    const bool good = ranks_open_threads(&p.ranks, job->memory, rank, &settings, err) &&
                      open_device(&p, s, err) && open_models(&p, s, &kv_dtype, err) &&
                      (rank != 0 || open_recorder(&p, s->record, kv_dtype, err)) &&
                      (rank == 0 ? run_first_rank(job, &p, err) : run_worker(&p, err));
    close_parts(&p);
    return good;
}

static void *run_all(void *argument)
{
    struct job *job = argument;
    run_ranks(job->settings.tp_size * stages_of(&job->settings), run_rank, job, job->err);
    return NULL;
}

static size_t memory_bytes(const struct job_settings *s)
{
    return ranks_threads_bytes(s->tp_size, stages_of(s));
}

void job_open(struct job *job, const struct job_settings *settings)
{
    int fd[2];
    *job = (struct job){.settings = *settings};
    job->memory = shared_memory_map(memory_bytes(settings));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0);
    job->link = link_create(fd[0]);
    job->engine_fd = fd[1];
    CHECK(pthread_create(&job->thread, NULL, run_all, job) == 0);
}

static void send_command(struct job *job, const struct link_command *command)
{
    struct error err = {0};
    if (!link_send_command(job->link, command, &err))
        test_fail(__FILE__, __LINE__, "%s", err.text);
}

void job_send(struct job *job, int request, const struct link_submit *submit)
{
    struct link_command command = {.kind = LINK_SUBMIT, .submit = *submit};
    command.submit.id = (uint64_t)request + 1;
    send_command(job, &command);
}

void job_replay(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const int32_t *output, int n_output, const struct sampling_params *params)
{
    job_send(job, request,
             &(struct link_submit){.prompt = prompt,
                                   .n_prompt = n_prompt,
                                   .output = output,
                                   .n_output = n_output,
                                   .params = *params});
}

void job_submit(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const struct sampling_params *params)
{
    job_replay(job, request, prompt, n_prompt, NULL, 0, params);
}

void job_ping(struct job *job) { send_command(job, &(struct link_command){.kind = LINK_PING}); }

void job_ask_to_sleep(struct job *job, enum link_sleep sleep)
{
    send_command(job, &(struct link_command){.kind = LINK_SLEEP, .sleep = sleep});
}

void job_sleep(struct job *job, enum link_sleep sleep)
{
    const int64_t until = clock_now_ns() + patience_ns;
    const int n_before = job->n_sleeps;
    job_ask_to_sleep(job, sleep);
    while (job->n_sleeps == n_before) {
        job_hear(job, 2000000);
        CHECK(clock_now_ns() < until);
    }
}

void job_cancel(struct job *job, int request)
{
    send_command(job,
                 &(struct link_command){.kind = LINK_CANCEL, .cancel_id = (uint64_t)request + 1});
}

static struct answer *answer_of(struct job *job, uint64_t id)
{
    CHECK(id >= 1 && id <= JOB_MAX_REQUESTS);
    CHECK_EQ(job->answer[id - 1].n_ends, 0); /* nothing after the end */
    return &job->answer[id - 1];
}

/* Nothing comes of a request before it has begun. */
static struct answer *answer_that_began(struct job *job, uint64_t id)
{
    struct answer *answer = answer_of(job, id);
    CHECK(job->costs[id - 1].has_begun);
    return answer;
}

static void take_begun(struct job *job, uint64_t id)
{
    const struct answer *answer = answer_of(job, id);
    CHECK(!job->costs[id - 1].has_begun && answer->n_tokens == 0 && answer->n_prompt == 0);
    job->costs[id - 1].has_begun = true;
}

static void take_logprobs(struct answer_logprobs *out, const struct link_logprob *from, int n)
{
    CHECK(n <= JOB_MAX_LOGPROBS);
    for (int k = 0; k < n; k++) {
        out->token[k] = from[k].token;
        out->logprob[k] = from[k].logprob;
    }
}

static void take_token(struct job *job, const struct link_token *token)
{
    struct answer *answer = answer_of(job, token->id);
    CHECK(answer->n_tokens < JOB_MAX_TOKENS);
    answer->finish = token->finish;
    answer->stop_token = token->stop_token;
    answer->n_ends += token->finish != FINISH_NONE;
    if (token->finish == FINISH_ABORT)
        return; /* the end comes without a token */
    CHECK(job->costs[token->id - 1].has_begun);
    answer->token[answer->n_tokens] = token->token;
    take_logprobs(&answer->logprobs[answer->n_tokens++], token->logprob, token->n_logprobs);
    struct answer_costs *costs = &job->costs[token->id - 1];
    if (answer->n_tokens == 1)
        costs->cached_tokens = token->cached_tokens;
    costs->n_drafted = token->n_drafted;
    costs->n_accepted = token->n_accepted;
}

static void take_prompt(struct job *job, const struct link_prompt_logprobs *piece)
{
    struct answer *answer = answer_that_began(job, piece->id);
    CHECK_EQ(answer->n_tokens, 0); /* before the first token */
    CHECK_EQ(piece->position, answer->n_prompt + 1);
    CHECK(piece->n_positions >= 1 && answer->n_prompt + piece->n_positions <= JOB_MAX_PROMPT);
    for (int i = 0, begin = 0; i < piece->n_positions; begin = piece->end[i++])
        take_logprobs(&answer->prompt[answer->n_prompt++], piece->logprob + begin,
                      piece->end[i] - begin);
}

static void take_beams(struct job *job, const struct link_beams *beams)
{
    struct answer *answer = answer_that_began(job, beams->id);
    CHECK(beams->n_beams <= JOB_MAX_BEAMS);
    CHECK(beams->first_ns > 0 && beams->first_ns <= clock_now_ns());
    answer->n_ends++;
    answer->n_beams = beams->n_beams;
    for (int i = 0; i < beams->n_beams; i++) {
        const struct link_beam *from = &beams->beam[i];
        CHECK(from->n_tokens <= JOB_MAX_BEAM_TOKENS);
        answer->beam[i].n_tokens = from->n_tokens;
        answer->beam[i].cumulative_logprob = from->cumulative_logprob;
        answer->beam[i].score = from->score;
        answer->beam[i].finish = from->finish;
        memcpy(answer->beam[i].token, from->token, (size_t)from->n_tokens * sizeof(int32_t));
    }
}

static void take_pooled(struct job *job, const struct link_pooled *pooled)
{
    struct answer *answer = answer_that_began(job, pooled->id);
    CHECK(pooled->n_values <= JOB_MAX_VALUES);
    answer->n_ends++;
    answer->n_values = pooled->n_values;
    memcpy(answer->value, pooled->value, (size_t)pooled->n_values * sizeof(float));
    job->costs[pooled->id - 1].cached_tokens = pooled->cached_tokens;
}

static void take_pulse(struct job *job, int64_t progress_ns)
{
    const int64_t now = clock_now_ns(), age_ns = now - job->progress_ns;
    CHECK(progress_ns <= now);
    if (job->n_pulses++ > 0 && age_ns > job->oldest_ns)
        job->oldest_ns = age_ns;
    job->progress_ns = progress_ns;
}

static void take_event(struct job *job, const struct link_event *event)
{
    switch (event->kind) {
    case LINK_READY:
        break;
    case LINK_BEGUN:
        for (int i = 0; i < event->n_begun; i++)
            take_begun(job, event->begun_id[i]);
        break;
    case LINK_TOKENS:
        for (int i = 0; i < event->n_tokens; i++)
            take_token(job, &event->token[i]);
        break;
    case LINK_FAILED: {
        struct answer *answer = answer_of(job, event->failed_id);
        answer->failure = event->failure;
        answer->n_ends++;
        break;
    }
    case LINK_PROMPT_LOGPROBS:
        take_prompt(job, &event->prompt_logprobs);
        break;
    case LINK_BEAMS:
        take_beams(job, &event->beams);
        break;
    case LINK_POOLED:
        take_pooled(job, &event->pooled);
        break;
    case LINK_STATS:
        job->stats = event->stats;
        job->n_stats++;
        break;
    case LINK_PULSE:
        take_pulse(job, event->progress_ns);
        break;
    case LINK_ASLEEP:
        job->sleep = event->sleep;
        job->n_sleeps++;
        break;
    case LINK_LOADING:
        break; /* the weights of these ranks were there before */
    }
}

static bool is_there(const struct job *job, int request, int n)
{
    if (request >= 0)
        return job->answer[request].n_tokens >= n || job->answer[request].n_ends > 0;
    int n_ended = 0;
    for (int i = 0; i < JOB_MAX_REQUESTS; i++)
        n_ended += job->answer[i].n_ends;
    return n_ended >= n;
}

void job_hear(struct job *job, int64_t ns)
{
    const int64_t until = clock_now_ns() + ns;
    for (int64_t now; (now = clock_now_ns()) < until;) {
        struct link_event event;
        struct error err = {0};
        bool got;
        if (!link_receive_event(job->link, &event, &got, &err))
            test_fail(__FILE__, __LINE__, "%s", err.text);
        struct pollfd wait = {.fd = link_fd(job->link), .events = POLLIN};
        if (got)
            take_event(job, &event);
        else
            poll(&wait, 1, (int)((until - now) / 1000000));
    }
}

void job_wait(struct job *job, int request, int n)
{
    const int64_t until = clock_now_ns() + patience_ns;
    while (!is_there(job, request, n)) {
        struct link_event event;
        struct error err = {0};
        bool got;
        if (!link_receive_event(job->link, &event, &got, &err))
            test_fail(__FILE__, __LINE__, "%s", err.text);
        if (got) {
            take_event(job, &event);
            continue;
        }
        struct pollfd wait = {.fd = link_fd(job->link), .events = POLLIN};
        poll(&wait, 1, 1000);
        CHECK(clock_now_ns() < until);
    }
}

static void check_no_rank_failed(const struct job *job)
{
    for (int r = 0; r < job->settings.tp_size * stages_of(&job->settings); r++)
        if (job->err[r].kind != ERROR_NONE)
            test_fail(__FILE__, __LINE__, "rank %d: %s", r, job->err[r].text);
}

void job_run_record(struct job *job, const struct job_settings *settings, const char *path)
{
    *job = (struct job){.settings = *settings, .replayed = path};
    job->memory = shared_memory_map(memory_bytes(settings));
    run_all(job);
    munmap(job->memory, memory_bytes(settings));
    check_no_rank_failed(job);
}

void job_close(struct job *job, bool abrupt)
{
    if (!abrupt)
        send_command(job, &(struct link_command){.kind = LINK_STOP});
    else
        link_destroy(job->link);
    pthread_join(job->thread, NULL);
    if (!abrupt)
        link_destroy(job->link);
    munmap(job->memory, memory_bytes(&job->settings));
    check_no_rank_failed(job);
}
