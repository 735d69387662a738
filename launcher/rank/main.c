/* phalanx-rank: one rank of a job. Started by the gateway, alone or by mpirun, or in the place of a
 * gateway that a user's own mpirun started.
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
#include "base/memory.h"
#include "base/system.h"
#include "kernels/device.h"
#include "kernels/dtype.h"
#include "kernels/ops.h"
#include "launcher/exit_code.h"
#include "launcher/rank/account.h"
#include "launcher/rank/binding.h"
#include "launcher/rank/compute.h"
#include "launcher/rank/cuda_module.h"
#include "launcher/rank/far_daemon.h"
#include "launcher/rank/gpu_memory.h"
#include "launcher/rank/handshake.h"
#include "launcher/rank/loading.h"
#include "launcher/rank/loop.h"
#include "launcher/rank/models.h"
#include "launcher/rank/signals.h"
#include "parallel/heart.h"
#include "parallel/launch_place.h"
#include "parallel/ranks.h"
#include "parallel/watchdog.h"
#include "runtime/eos_ids.h"
#include "runtime/link/engine_link.h"
#include "runtime/model/model.h"
#include "runtime/options/options.h"
#include "runtime/replay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const int64_t second_ns = 1000 * 1000 * 1000;
/* Before a wait sleeps, where each thread has a CPU. Threads of a rank share their work, and wait
 * for little. Ranks have fixed shares, and a CPU that sleeps comes late to the next sum: with 0.1
 * ms two ranks decode at 0.85 of the speed of two threads, with 2 ms at 0.95 (docs/benchmarks/). */
static const int64_t spin_of_threads_ns = 100 * 1000, spin_of_ranks_ns = 2 * 1000 * 1000;
static const int64_t speaker_first_ns = 1000 * 1000 * 1000; /* see wait_for_speaker() */

struct rank {
    struct options options;
    int number;        /* in the world; from the environment until the ranks are open */
    struct link *link; /* of rank 0 */
    bool agreed;       /* the error is known to all ranks: rank 0 tells it */
    bool unheard;      /* the gateway is gone: there is nobody to tell */
    struct eos_ids eos;
    struct ranks ranks;
    struct heart heart; /* of the main thread, in long steps */
    struct rank_loading loading;
    struct rank_compute compute;
    struct rank_models models;
    struct plan_recorder *recorder; /* of rank 0, with --record */
    struct rank_loop loop;
    int n_threads;
    bool crowded;          /* more threads than CPUs: nobody spins */
    int64_t shared_bytes;  /* of this rank: its part of the memory that ranks of a host share, */
    int64_t comm_bytes;    /* and with it all of the communicators */
    int64_t program_bytes; /* resident when the ranks are open: program, libraries, MPI */
    int64_t memory_bytes;  /* of all ranks, without that */
    uint64_t model_mark;
};

static bool over_hosts; /* for the watchdog */

/* ---- start ---- */

static bool read_options(struct rank *r, int argc, char **argv, struct error *err)
{
    if (!options_parse(&r->options, COMMAND_RANK, argc - 1, argv + 1, err))
        return false;
    log_set(log_level_named(r->options.log_level), r->number);
    log_set_format(strcmp(r->options.serve.log_format, "json") == 0 ? LOG_JSON : LOG_TEXT);
    log_set_never_waits(); /* for who reads it: the other ranks wait for this one */
    over_hosts = r->options.hostfile != NULL;
    if (r->number != 0 || r->options.replay != NULL)
        return true;
    if (r->options.link == NULL)
        return error_set(err, ERROR_INPUT,
                         "--link is missing: this program is started by phalanx, which is what "
                         "you want to call (but for --replay)");
    int fd;
    if (!link_connect(r->options.link, &fd, err)) {
        r->unheard = !file_exists(r->options.link);
        return false;
    }
    r->link = link_create(fd);
    return true;
}

/* What is wrong here is told when the ranks can agree on it. */
static bool choose_compute(struct rank *r, struct error *err)
{
    return rank_compute_choose(&r->compute, &r->options, err);
}

static bool read_small_files(struct rank *r, struct error *err)
{
    return rank_models_read(&r->models, &r->options, err) &&
           eos_ids_read(&r->eos, r->options.model, r->models.config[PLAN_TARGET].vocab, err);
}

/* From the thread of the watchdog, when the main thread does not come back. */
static void leave(const char *text)
{
    log_tell("phalanx-rank", text);
    if (over_hosts)
        far_daemon_end();
    _exit(EXIT_RANK_LOST);
}

static bool open_ranks(struct rank *r, struct error *err)
{
    const int64_t n_threads = r->options.threads > 0 ? r->options.threads : 1;
    const struct ranks_settings settings = {
        .tp_size = (int)r->options.tensor_parallel_size,
        .pp_stages = (int)r->options.pipeline_parallel_size,
        .comm = r->options.comm,
        .gpus = r->compute.wants_gpu,
        .settings = {.deadline_ns = r->options.distributed_timeout_seconds * second_ns,
                     .spin_ns = spin_of_ranks_ns,
                     .heart = &r->heart},
        .cpus_each = (int)(n_threads * r->options.data_parallel_size),
        .leave = leave};
    const int64_t before = memory_account().allocated;
    if (!ranks_check_launcher(err) || !ranks_open(&r->ranks, &settings, err)) {
        r->agreed = true; /* it fails on all ranks or on none */
        return false;
    }
    exit_code_catch_bugs(); /* after MPI, which has a handler of its own */
    r->number = r->ranks.world_rank;
    r->program_bytes = system_resident_bytes();
    r->shared_bytes = (int64_t)r->ranks.shared_bytes / r->ranks.local_size;
    r->comm_bytes = r->shared_bytes + memory_account().allocated - before;
    log_set(log_level(), r->number);
    return true;
}

/* Before there are threads, which inherit where this one runs. */
static bool find_cpus(struct rank *r, struct error *err)
{
    int n_cpus;
    if (!binding_apply(binding_of(r->options.bind), &r->ranks, &n_cpus, err))
        return false;
    n_cpus /= (int)r->options.data_parallel_size; /* replicas know nothing of each other */
    r->n_threads = r->options.threads > 0 ? (int)r->options.threads : n_cpus;
    if (r->n_threads < 1)
        r->n_threads = 1;
    r->crowded = r->n_threads > n_cpus;
    return true;
}

static bool open_device(struct rank *r, struct error *err)
{
    return rank_compute_open(&r->compute, &r->options, &r->ranks, r->n_threads,
                             r->crowded ? 0 : spin_of_threads_ns, err);
}

static bool connect_devices(struct rank *r, struct error *err)
{
    return rank_compute_connect(&r->compute, &r->ranks, gpu_most_floats(&r->models), err);
}

static bool load_models(struct rank *r, struct error *err)
{
    rank_signals_watch(&r->models);
    r->models.watch = &r->loading.watch;
    return rank_models_load(&r->models, &r->options, &r->ranks, &r->compute, err);
}

/* Ranks load as long as they need; nobody goes on alone. `good` is this rank's own success; the
 * result is that of all, and the error that of the first rank that has one. */
static bool agree(struct rank *r, bool good, struct error *err)
{
    struct error verdict, lost = {0};
    r->agreed = ranks_agree(&r->ranks, good ? NULL : err, &verdict, &lost);
    *err = r->agreed ? verdict : lost;
    return err->kind == ERROR_NONE;
}

/* The gateway hears how far they are, also while the first wait for the last. */
static bool load_together(struct rank *r, struct error *err)
{
    rank_loading_begin(&r->loading, &r->ranks, &r->heart, r->link);
    const bool good = agree(r, load_models(r, err), err);
    rank_loading_end(&r->loading);
    return good;
}

static bool shake_hands(struct rank *r, bool prepared, struct error *err)
{
    struct handshake mine;
    int64_t gpu_bytes = 0;
    const bool made = prepared && handshake_make(&mine, &r->models, &r->options, &r->compute, err);
    if (!agree(r, made, err))
        return false;
    r->model_mark = handshake_model_mark(&mine);
    const bool same = handshake_exchange(&mine, &r->ranks, &gpu_bytes, err);
    r->agreed = same || err->kind == ERROR_INPUT;
    if (gpu_bytes > 0)
        rank_models_for_gpus(&r->models, &r->options, gpu_bytes);
    return same;
}

static bool open_recorder(struct rank *r, struct error *err)
{
    struct plan_record_setup setup = {.kv_dtype = r->models.memory.kv_dtype};
    if (r->number != 0 || r->options.record == NULL)
        return true;
    memcpy(setup.limits, r->models.plan.limits, sizeof setup.limits);
    return plan_recorder_open(&r->recorder, r->options.record, &setup, err) ||
           error_in(err, "--record");
}

static bool reserve_memory(struct rank *r, struct error *err)
{
    return rank_models_reserve(&r->models, &r->options, &r->compute, &r->ranks, err) &&
           open_recorder(r, err);
}

static bool make_loop(struct rank *r, struct error *err)
{
    const struct rank_loop_job job = {.eos = &r->eos, .recorder = r->recorder, .link = r->link};
    return rank_loop_make(&r->loop, &r->options, &r->models, r->compute.host, &job, err);
}

/* What all ranks hold, with the tables of the loop. */
static bool count_memory(struct rank *r, struct error *err)
{
    const struct rank_account mine = {
        .bytes = rank_bytes_now(&r->models, &r->compute, r->comm_bytes, r->shared_bytes),
        .program = r->program_bytes};
    return rank_account_gather(&r->memory_bytes, &mine, &r->ranks, err);
}

static bool tell_ready(struct rank *r, struct error *err)
{
    const struct model_config *config = &r->models.config[PLAN_TARGET];
    const struct plan_limits *limits = &r->models.plan.limits[PLAN_TARGET];
    const struct comm *comm = r->ranks.tp_size > 1 ? r->ranks.tp : r->ranks.world;
    if (r->link == NULL)
        return true;
    const struct link_event ready = {
        .kind = LINK_READY,
        .ready = {.build = PHALANX_VERSION,
                  .model = r->options.model,
                  .kernels = r->compute.device->ops->name,
                  .gpu = r->compute.name,
                  .comm = comm->ops->name,
                  .dtype = dtype_name(r->models.model[PLAN_TARGET]->compute),
                  .vocab = config->vocab,
                  .max_model_len = limits->max_model_len,
                  .tp = r->ranks.tp_size,
                  .pp = r->ranks.pp_stages,
                  .threads = r->n_threads,
                  .kv_tokens = r->models.memory.kv_tokens,
                  .weight_bytes = r->models.memory.weight_bytes,
                  .eos_id = r->eos.id,
                  .n_eos_ids = r->eos.n,
                  .hidden_size = config->hidden,
                  .n_labels = r->models.model[PLAN_TARGET]->config.n_labels,
                  .max_num_seqs = limits->max_sequences,
                  .memory_bytes = r->memory_bytes,
                  .model_mark = r->model_mark}};
    r->unheard = !link_send_event(r->link, &ready, err);
    if (r->unheard)
        return false;
    log_write(LOG_INFO, "rank",
              "ready: %s, tp %d, pp %d, %d thread%s, %s kernels%s%s, %s, context %d, steps of %d "
              "tokens and %d sequences",
              config->architecture, r->ranks.tp_size, r->ranks.pp_stages, r->n_threads,
              r->n_threads == 1 ? "" : "s", r->compute.device->ops->name,
              *r->compute.name != '\0' ? " on " : "", r->compute.name, comm->ops->name,
              limits->max_model_len, limits->max_tokens, limits->max_sequences);
    return true;
}

static bool start(struct rank *r, int argc, char **argv, struct error *err)
{
    if (!read_options(r, argc, argv, err)) /* words -> options, link */
        return false;
    struct error no_gpu = {0};
    const bool chosen = choose_compute(r, &no_gpu); /* CPU or GPU */
    if (!open_ranks(r, err) ||                      /* the other ranks */
        !find_cpus(r, err))                         /* which CPUs are whose */
        return false;
    *err = no_gpu;
    const bool prepared = chosen &&
                          read_small_files(r, err) && /* config.json, ids that end, plans */
                          open_device(r, err);        /* kernels, threads, a GPU */
    return shake_hands(r, prepared, err) &&           /* programs, options and files are the same */
           agree(r, connect_devices(r, err), err) &&  /* GPUs of a group */
           load_together(r, err) &&                   /* weights -> share of this rank */
           agree(r, reserve_memory(r, err) && make_loop(r, err), err) && /* KV cache, tables */
           count_memory(r, err) && tell_ready(r, err);
}

/* ---- run ---- */

static bool replay(struct rank *r, struct error *err)
{
    struct replay_report report;
    if (!replay_run(&r->models.replayed, &r->models.plan, r->compute.host, &report, err))
        return false;
    const double seconds = (double)report.total_ns / 1e9;
    printf("steps       %lld\n", (long long)report.n_steps);
    printf("median      %.3f ms\n", (double)report.median_ns / 1e6);
    printf("p90         %.3f ms\n", (double)report.p90_ns / 1e6);
    printf("tokens/s    %.1f\n", seconds > 0 ? (double)report.n_tokens / seconds : 0);
    printf("hash        %016llx\n", (unsigned long long)report.hash);
    return true;
}

/* A process cannot go on with a GPU that has failed once, and another one can: so such a rank is
 * lost, and is started again, as one that was killed. */
static void judge(const struct rank *r, struct error *err)
{
    struct error known = {0};
    if (err->kind == ERROR_SYSTEM && !device_sync(r->compute.device, &known))
        err->kind = ERROR_PEER;
}

static bool run(struct rank *r, struct error *err)
{
    const bool replays = r->number == 0 && r->options.replay != NULL;
    const bool good = replays ? replay(r, err) : rank_loop_run(&r->loop, err);
    if (!good)
        judge(r, err);
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

/* Who tells what all ranks know: rank 0, or the next where it is rank 0 that is lost. */
static bool is_speaker(const struct rank *r)
{
    return r->number == (watchdog_lost(r->ranks.watchdog) == 0 ? 1 : 0);
}

/* The first rank that leaves with an error makes mpirun end the others: the speaker, where others
 * fail with it, and perhaps a moment before. When it has spoken nobody has to wait any longer. */
static void wait_for_speaker(const struct rank *r, const struct error *why)
{
    const bool all_fail = why->kind == ERROR_PEER || watchdog_lost(r->ranks.watchdog) >= 0;
    if (all_fail && !is_speaker(r))
        system_sleep_ns(speaker_first_ns);
}

static void report(struct rank *r, const struct error *why)
{
    if (r->unheard || (r->agreed && !is_speaker(r)) || tell_gateway(r, why))
        return;
    char who[40] = "phalanx-rank";
    if (r->number != 0)
        snprintf(who, sizeof who, "phalanx-rank: rank %d", r->number);
    log_tell(who, why->text);
}

static void end(struct rank *r, bool alone)
{
    rank_signals_watch(NULL);
    rank_loop_release(&r->loop);
    rank_models_close(&r->models);
    ranks_leave_gpu(&r->ranks);
    rank_compute_close(&r->compute);
    ranks_close(&r->ranks, alone);
    link_destroy(r->link);
    options_release(&r->options);
}

int main(int argc, char **argv)
{
    struct rank rank = {.number = launch_rank()};
    struct error err = {0};
    if (argc == 2 && strcmp(argv[1], "--gpus") == 0) { /* for phalanx doctor */
        cuda_module_tell(stdout);
        return EXIT_CLEAN;
    }
    rank_signals_set();
    const bool started = start(&rank, argc, argv, &err);
    bool good = started && run(&rank, &err);
    struct error unwritten = {0};
    if (!plan_recorder_close(rank.recorder, &unwritten) && good) {
        err = unwritten;
        good = false;
    }
    if (!good) {
        report(&rank, &err);
        wait_for_speaker(&rank, &err);
    }
    if (!good && err.kind == ERROR_PEER && over_hosts)
        far_daemon_end();
    end(&rank, !good && (started || !rank.agreed));
    return exit_code_of(&err);
}
