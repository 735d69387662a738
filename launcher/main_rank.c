/* phalanx-rank: one rank of a job. Started by the gateway, alone or by mpirun.
 *
 * After the other ranks, the order of the start is the order of what it costs to be wrong: the
 * model's config, the machine, the weights, memory. Then rank 0 is the engine, the others are
 * workers, until the gateway says stop or is gone.
 *
 * An error is told once. Until all are ready the ranks agree after each stage that costs time; the
 * first one with an error speaks for all, by rank 0 over the link, or on standard error where
 * there is no link yet. */
#include "base/error.h"
#include "base/log.h"
#include "base/system.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/ops.h"
#include "launcher/exit_code.h"
#include "launcher/rank_memory.h"
#include "parallel/ranks.h"
#include "runtime/engine.h"
#include "runtime/engine_link.h"
#include "runtime/eos_ids.h"
#include "runtime/forward/forward.h"
#include "runtime/model/model.h"
#include "runtime/options.h"
#include "runtime/worker.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const int64_t call_deadline_ns = 60LL * 1000 * 1000 * 1000; /* of one collective */
static const int64_t spin_ns = 100 * 1000;

struct rank {
    struct options options;
    int number;        /* in the world; from the environment until the ranks are open */
    struct link *link; /* of rank 0 */
    bool agreed;       /* the error is known to all ranks: rank 0 tells it */
    bool unheard;      /* the gateway is gone: there is nobody to tell */
    struct model_config config;
    struct plan_limits limits;
    struct eos_ids eos;
    struct ranks ranks;
    struct device *device;
    struct model *model;
    struct rank_memory memory;
    struct forward *forward;
    int n_threads;
};

/* ---- signals ---- */

static const struct model *mapped_model; /* for the handler only */

static void say(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0) {
        /* nobody is left to tell */
    }
}

/* A weight file that shrinks under its mapping, or a disk that fails. Calls only what a handler
 * may. */
static void on_sigbus(int number, siginfo_t *info, void *context)
{
    (void)context;
    const char *path = mapped_model ? model_file_at(mapped_model, info->si_addr) : NULL;
    if (path == NULL) {
        signal(number, SIG_DFL); /* not ours: the same access ends the process */
        return;
    }
    say("phalanx-rank: ");
    say(path);
    say(": the file became shorter or unreadable while it was in use; start again with a whole "
        "one\n");
    _exit(EXIT_IO);
}

static void set_signals(void)
{
    struct sigaction bus = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};
    sigaction(SIGBUS, &bus, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGINT, SIG_IGN); /* of the terminal: the gateway decides */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* ---- start ---- */

/* Before MPI says it: what the launchers put into the environment. */
static int early_number(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK",
                                            "MV2_COMM_WORLD_RANK"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]) != NULL)
            return (int)strtol(getenv(variables[i]), NULL, 10);
    return 0;
}

static enum log_level level_of(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    int level = LOG_WARN;
    for (int i = 0; i <= LOG_TRACE; i++)
        if (strcmp(name, names[i]) == 0)
            level = i;
    return (enum log_level)level;
}

static bool read_options(struct rank *r, int argc, char **argv, struct error *err)
{
    if (!options_parse(&r->options, COMMAND_RANK, argc - 1, argv + 1, err))
        return false;
    log_set(level_of(r->options.log_level), r->number);
    if (r->number != 0)
        return true;
    if (r->options.link == NULL)
        return error_set(err, ERROR_INPUT,
                         "--link is missing: this program is started by phalanx, which is what "
                         "you want to call");
    int fd;
    if (!link_connect(r->options.link, &fd, err)) {
        r->unheard = !file_exists(r->options.link);
        return false;
    }
    r->link = link_create(fd);
    return true;
}

/* What can be told to be wrong from small files alone. */
static bool read_model_config(struct rank *r, struct error *err)
{
    const char *folder = r->options.model;
    return model_config_read(&r->config, folder, err) &&
           model_tp_check(&r->config, (int)r->options.tensor_parallel_size, err) &&
           rank_limits_make(&r->limits, &r->options, &r->config, 0, err) &&
           eos_ids_read(&r->eos, folder, r->config.vocab, err);
}

static bool open_ranks(struct rank *r, struct error *err)
{
    const int64_t n_threads = r->options.threads > 0 ? r->options.threads : 1;
    const bool crowded = n_threads * r->options.tensor_parallel_size > system_cpus();
    const struct ranks_settings settings = {
        .tp_size = (int)r->options.tensor_parallel_size,
        .pp_stages = 1,
        .comm = r->options.comm,
        .settings = {.deadline_ns = call_deadline_ns, .spin_ns = crowded ? 0 : spin_ns}};
    if (!ranks_check_launcher(err) || !ranks_open(&r->ranks, &settings, err)) {
        r->agreed = true; /* it fails on all ranks or on none */
        return false;
    }
    exit_code_catch_bugs(); /* after MPI, which has a handler of its own */
    r->number = r->ranks.world_rank;
    log_set(log_level(), r->number);
    return true;
}

static bool open_device(struct rank *r, struct error *err)
{
    const int cpus = system_cpus(), local = r->ranks.local_size;
    r->n_threads = r->options.threads > 0 ? (int)r->options.threads : cpus / local;
    if (r->n_threads < 1)
        r->n_threads = 1;
    const bool crowded = (int64_t)r->n_threads * local > cpus;
    return device_open_cpu(&r->device, r->options.kernels, r->n_threads, crowded ? 0 : spin_ns,
                           err);
}

static const char *dtype_option(const char *name)
{
    if (strcmp(name, "half") == 0)
        return "float16";
    return strcmp(name, "float") == 0 ? "float32" : name;
}

static bool load_model(struct rank *r, struct error *err)
{
    if (!model_open(&r->model, r->options.model, dtype_option(r->options.dtype), r->ranks.tp_rank,
                    r->ranks.tp_size, err))
        return false;
    mapped_model = r->model;
    return !r->options.check_weights || model_check_weights(r->model, err);
}

/* Ranks load as long as they need; nobody goes on alone. `good` is this rank's own success; the
 * result is that of all, and the error that of the first rank that has one. */
static bool agree(struct rank *r, bool good, struct error *err)
{
    struct comm *world = r->ranks.world;
    struct error first = {0};
    for (int root = 0; root < r->ranks.world_size; root++) {
        struct error verdict = good ? (struct error){0} : *err, lost = {0};
        if (!world->ops->broadcast(world, &verdict, sizeof verdict, root, true, &lost)) {
            *err = lost;
            return false;
        }
        if (first.kind == ERROR_NONE && verdict.kind != ERROR_NONE) {
            first = verdict;
            if (root > 0)
                error_in(&first, "rank %d", root);
        }
    }
    r->agreed = true;
    *err = first;
    return first.kind == ERROR_NONE;
}

static bool reserve_memory(struct rank *r, struct error *err)
{
    return rank_memory_plan(&r->memory, &r->limits, &r->options, r->model, r->device, &r->ranks,
                            err) &&
           forward_create(&r->forward, r->model, r->device, &r->ranks, &r->limits,
                          r->memory.kv_dtype, err);
}

static bool tell_ready(struct rank *r, struct error *err)
{
    if (r->link == NULL)
        return true;
    const struct link_event ready = {.kind = LINK_READY,
                                     .ready = {.build = PHALANX_VERSION,
                                               .model = r->options.model,
                                               .kernels = r->device->ops->name,
                                               .comm = r->ranks.tp->ops->name,
                                               .dtype = dtype_name(r->model->compute),
                                               .vocab = r->config.vocab,
                                               .max_model_len = r->limits.max_model_len,
                                               .tp = r->ranks.tp_size,
                                               .pp = r->ranks.pp_stages,
                                               .threads = r->n_threads,
                                               .kv_tokens = r->memory.kv_tokens,
                                               .weight_bytes = r->memory.weight_bytes,
                                               .eos_id = r->eos.id,
                                               .n_eos_ids = r->eos.n}};
    log_write(LOG_INFO, "rank", "ready: %s, tp %d, %d threads, %s kernels, %s, context %d",
              r->config.architecture, r->ranks.tp_size, r->n_threads, r->device->ops->name,
              r->ranks.tp->ops->name, r->limits.max_model_len);
    r->unheard = !link_send_event(r->link, &ready, err);
    return !r->unheard;
}

static bool start(struct rank *r, int argc, char **argv, struct error *err)
{
    if (!read_options(r, argc, argv, err) || /* words -> options, link */
        !open_ranks(r, err))                 /* the other ranks */
        return false;
    const bool loaded = read_model_config(r, err) && /* config.json -> limits, ids that end */
                        open_device(r, err) &&       /* kernels and threads */
                        load_model(r, err);          /* weights -> share of this rank */
    return agree(r, loaded, err) &&
           agree(r, reserve_memory(r, err), err) && /* KV cache, activations */
           tell_ready(r, err);
}

/* ---- run ---- */

static bool run(struct rank *r, struct error *err)
{
    if (r->number != 0)
        return worker_run(&r->ranks, r->forward, &r->limits, err);
    struct engine *engine;
    engine_create(&engine, &(struct engine_settings){.limits = r->limits,
                                                     .eos_id = r->eos.id,
                                                     .n_eos_ids = r->eos.n,
                                                     .ranks = &r->ranks,
                                                     .device = r->device,
                                                     .forward = r->forward,
                                                     .link = r->link});
    const bool good = engine_run(engine, err);
    engine_destroy(engine);
    return good;
}

/* ---- end ---- */

/* True when the gateway has been told. */
static bool tell_gateway(struct rank *r, const struct error *why)
{
    struct error ignored = {0};
    bool all_sent = false;
    const struct link_event event = {.kind = LINK_FAILED, .failed_id = 0, .failure = *why};
    return r->link != NULL && link_send_event(r->link, &event, &ignored) &&
           link_flush(r->link, &all_sent, &ignored) && all_sent;
}

static void report(struct rank *r, const struct error *why)
{
    if (r->unheard || (r->agreed && r->number != 0) || tell_gateway(r, why))
        return;
    char who[40] = "phalanx-rank";
    if (r->number != 0)
        snprintf(who, sizeof who, "phalanx-rank: rank %d", r->number);
    log_tell(who, why->text);
}

static void end(struct rank *r, bool alone)
{
    mapped_model = NULL;
    forward_destroy(r->forward);
    model_close(r->model);
    device_close(r->device);
    ranks_close(&r->ranks, alone);
    link_destroy(r->link);
    options_release(&r->options);
}

int main(int argc, char **argv)
{
    struct rank rank = {.number = early_number()};
    struct error err = {0};
    set_signals();
    const bool started = start(&rank, argc, argv, &err);
    const bool good = started && run(&rank, &err);
    if (!good)
        report(&rank, &err);
    end(&rank, !good && (started || !rank.agreed));
    return exit_code_of(&err);
}
