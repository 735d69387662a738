#include "tests/unit/runtime_engine/job.h"

#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "parallel/ranks.h"
#include "runtime/engine.h"
#include "runtime/forward/forward.h"
#include "runtime/model/model.h"
#include "runtime/worker.h"
#include "tests/test.h"
#include "tests/unit/parallel/threads.h"

#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

static const int64_t patience_ns = 120LL * 1000 * 1000 * 1000;

struct rank_parts {
    struct ranks ranks;
    struct device *device;
    struct model *model;
    struct forward *forward;
};

static void close_parts(struct rank_parts *p)
{
    forward_destroy(p->forward);
    model_close(p->model);
    device_close(p->device);
    ranks_close(&p->ranks, false);
}

static struct plan_limits limits_of(const struct job_settings *s, const struct model *model)
{
    return (struct plan_limits){.max_tokens = s->max_tokens,
                                .max_sequences = s->max_sequences,
                                .max_logits = s->max_sequences,
                                .block_tokens = 16,
                                .n_kv_blocks = s->n_kv_blocks,
                                .n_kv_groups = 1,
                                .max_model_len = s->max_model_len,
                                .vocab = model->config.vocab};
}

static bool run_engine(struct job *job, struct rank_parts *p, const struct plan_limits *limits,
                       struct error *err)
{
    struct engine *engine;
    struct link *link = link_create(job->engine_fd);
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
    engine_create(&engine, &(struct engine_settings){.limits = *limits,
                                                     .eos_id = job->settings.eos_id,
                                                     .n_eos_ids = job->settings.n_eos_ids,
                                                     .ranks = &p->ranks,
                                                     .device = p->device,
                                                     .forward = p->forward,
                                                     .link = link});
    const bool good = link_send_event(link, &ready, err) && engine_run(engine, err);
    engine_destroy(engine);
    link_destroy(link);
    return good;
}

static bool open_device(struct device **out, const struct job_settings *s, struct error *err)
{
    return s->ops != NULL ? device_open_cpu_ops(out, s->ops, s->n_threads, 0, err)
                          : device_open_cpu(out, s->kernels, s->n_threads, 0, err);
}

static bool run_rank(void *context, int rank, struct error *err)
{
    struct job *job = context;
    const struct job_settings *s = &job->settings;
    const struct ranks_settings settings = {
        .tp_size = s->tp_size,
        .pp_stages = 1,
        .comm = "shm",
        .settings = {.deadline_ns = patience_ns},
    };
    struct rank_parts p = {0};
    bool good = ranks_open_threads(&p.ranks, job->memory, rank, &settings, err) &&
                open_device(&p.device, s, err) &&
                model_open(&p.model, s->folder, s->dtype, rank, s->tp_size, err);
    if (good) {
        const struct plan_limits limits = limits_of(s, p.model);
        const int kv_dtype = p.model->compute == DTYPE_F32 ? DTYPE_F32 : DTYPE_BF16;
        good = forward_create(&p.forward, p.model, p.device, &p.ranks, &limits, kv_dtype, err) &&
               (rank == 0 ? run_engine(job, &p, &limits, err)
                          : worker_run(&p.ranks, p.forward, &limits, err));
    }
    close_parts(&p);
    return good;
}

static void *run_all(void *argument)
{
    struct job *job = argument;
    run_ranks(job->settings.tp_size, run_rank, job, job->err);
    return NULL;
}

void job_open(struct job *job, const struct job_settings *settings)
{
    int fd[2];
    *job = (struct job){.settings = *settings};
    job->memory = shared_memory_map(ranks_threads_bytes(settings->tp_size, 1));
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

void job_replay(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const int32_t *output, int n_output, const struct sampling_params *params)
{
    send_command(job, &(struct link_command){.kind = LINK_SUBMIT,
                                             .submit = {.id = (uint64_t)request + 1,
                                                        .prompt = prompt,
                                                        .n_prompt = n_prompt,
                                                        .output = output,
                                                        .n_output = n_output,
                                                        .params = *params}});
}

void job_submit(struct job *job, int request, const int32_t *prompt, int n_prompt,
                const struct sampling_params *params)
{
    job_replay(job, request, prompt, n_prompt, NULL, 0, params);
}

void job_cancel(struct job *job, int request)
{
    send_command(job,
                 &(struct link_command){.kind = LINK_CANCEL, .cancel_id = (uint64_t)request + 1});
}

static void take_token(struct job *job, const struct link_token *token)
{
    CHECK(token->id >= 1 && token->id <= JOB_MAX_REQUESTS);
    struct answer *answer = &job->answer[token->id - 1];
    CHECK_EQ(answer->n_ends, 0); /* nothing after the end */
    CHECK(answer->n_tokens < JOB_MAX_TOKENS && token->n_logprobs <= JOB_MAX_LOGPROBS);
    const int n = answer->n_tokens++;
    answer->token[n] = token->token;
    for (int k = 0; k < token->n_logprobs; k++) {
        answer->logprob[n][k] = token->logprob[k].logprob;
        answer->logprob_token[n][k] = token->logprob[k].token;
    }
    answer->finish = token->finish;
    answer->stop_token = token->stop_token;
    answer->n_ends += token->finish != FINISH_NONE;
}

static void take_event(struct job *job, const struct link_event *event)
{
    if (event->kind == LINK_TOKENS)
        for (int i = 0; i < event->n_tokens; i++)
            take_token(job, &event->token[i]);
    if (event->kind == LINK_FAILED) {
        CHECK(event->failed_id >= 1 && event->failed_id <= JOB_MAX_REQUESTS);
        struct answer *answer = &job->answer[event->failed_id - 1];
        answer->failure = event->failure;
        answer->n_ends++;
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

void job_close(struct job *job, bool abrupt)
{
    if (!abrupt)
        send_command(job, &(struct link_command){.kind = LINK_STOP});
    else
        link_destroy(job->link);
    pthread_join(job->thread, NULL);
    if (!abrupt)
        link_destroy(job->link);
    munmap(job->memory, ranks_threads_bytes(job->settings.tp_size, 1));
    for (int r = 0; r < job->settings.tp_size; r++)
        if (job->err[r].kind != ERROR_NONE)
            test_fail(__FILE__, __LINE__, "rank %d: %s", r, job->err[r].text);
}
