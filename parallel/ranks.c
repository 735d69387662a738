/* All of ranks.h that needs no MPI: who sits where, and ranks as threads. */
#include "parallel/ranks.h"

#include "base/check.h"
#include "base/error.h"
#include "parallel/comm_mpi.h"
#include "parallel/launch_place.h"
#include "parallel/ranks_place.h"
#include "parallel/watchdog.h"

#include <string.h>
#include <sys/mman.h>

/* --------------------------------------------------------------------------------- launchers -- */

bool ranks_refuse_srun(struct error *err)
{
    return error_set(
        err, ERROR_INPUT,
        "srun started %d tasks that cannot find each other, because it offers no PMIx: "
        "use srun --mpi=pmix, or let mpirun start the ranks inside sbatch or salloc",
        launch_slurm_tasks());
}

bool ranks_check_launcher(struct error *err)
{
    return launch_has_world() || launch_slurm_tasks() == 1 || ranks_refuse_srun(err);
}

/* ------------------------------------------------------------------------------------ places -- */

struct ranks ranks_place(int world_rank, const struct ranks_settings *settings)
{
    check(settings->tp_size > 0 && settings->pp_stages > 0);
    const int world_size = settings->tp_size * settings->pp_stages;
    check(0 <= world_rank && world_rank < world_size);
    return (struct ranks){
        .world_rank = world_rank,
        .world_size = world_size,
        .local_rank = world_rank,
        .local_size = world_size,
        .tp_rank = world_rank % settings->tp_size,
        .tp_size = settings->tp_size,
        .pp_stage = world_rank / settings->tp_size,
        .pp_stages = settings->pp_stages,
    };
}

bool ranks_check_world(int world_size, const struct ranks_settings *settings, struct error *err)
{
    check(settings->tp_size > 0 && settings->pp_stages > 0);
    const bool nccl = strcmp(settings->comm, "nccl") == 0;
    if (!nccl && strcmp(settings->comm, "auto") != 0 && strcmp(settings->comm, "shm") != 0 &&
        strcmp(settings->comm, "mpi") != 0)
        return error_set(err, ERROR_INPUT, "--comm %s: want auto, shm, mpi or nccl",
                         settings->comm);
    if (nccl && !settings->gpus)
        return error_set(err, ERROR_INPUT,
                         "--comm nccl is for GPUs, and the ranks compute on CPUs: use --comm auto, "
                         "or --device cuda");
    const long long wanted = (long long)settings->tp_size * settings->pp_stages;
    if (world_size == wanted)
        return true;
    return error_set(err, ERROR_INPUT,
                     "-tp %d and -pp %d want %lld ranks, and %d %s started: use mpirun -n %lld, or "
                     "let phalanx start them",
                     settings->tp_size, settings->pp_stages, wanted, world_size,
                     world_size == 1 ? "was" : "were", wanted);
}

int64_t ranks_spin_ns(const struct ranks_settings *settings, int n_ranks, int n_cpus)
{
    const int64_t cpus_each = settings->cpus_each > 0 ? settings->cpus_each : 1;
    return n_ranks * cpus_each > n_cpus ? 0 : settings->settings.spin_ns;
}

size_t ranks_memory_layout(const struct ranks_settings *settings, const struct ranks_memory *memory,
                           int stage, size_t *world_at, size_t *tp_at)
{
    size_t at = memory->n_watched > 0 ? watchdog_bytes(memory->n_watched) : 0;
    const int world_size = settings->tp_size * settings->pp_stages;
    if (memory->world && world_size > 1) {
        *world_at = at;
        at += comm_shm_bytes(world_size);
    }
    for (int s = 0; s < settings->pp_stages && settings->tp_size > 1; s++) {
        if (memory->stage != NULL && !memory->stage[s])
            continue;
        if (s == stage)
            *tp_at = at;
        at += comm_shm_bytes(settings->tp_size);
    }
    return at;
}

size_t ranks_bytes_each(const struct ranks_settings *settings)
{
    const int world_size = settings->tp_size * settings->pp_stages;
    const struct ranks_memory memory = {.n_watched = world_size, .world = true};
    size_t world_at, tp_at;
    if (world_size == 1)
        return 0;
    if (strcmp(settings->comm, "mpi") != 0)
        return ranks_memory_layout(settings, &memory, 0, &world_at, &tp_at) / (size_t)world_size;
    const size_t tp_bytes = settings->tp_size > 1 ? comm_mpi_bytes(settings->tp_size) : 0;
    return watchdog_bytes(world_size) / (size_t)world_size + comm_mpi_bytes(world_size) + tp_bytes;
}

bool ranks_open_alone(struct ranks *out, const struct ranks_settings *settings, struct error *err)
{
    if (!ranks_check_world(1, settings, err))
        return false;
    *out = ranks_place(0, settings);
    out->settings = settings->settings;
    if (comm_open_self(&out->world, err) && comm_open_self(&out->tp, err))
        return true;
    ranks_close(out, true);
    return false;
}

/* Sums need a group of GPUs where there are several in a stage, and a pipeline one over all. The
 * world's comes first on every rank, because both are opened together. */
bool ranks_use_gpu(struct ranks *ranks, const struct ranks_gpu *gpu, struct error *err)
{
    struct comm_gpu_settings settings = {
        .device = gpu->device, .most_floats = gpu->most_floats, .exact = gpu->exact};
    struct comm *world = NULL, *tp = NULL;
    check(ranks->host_world == NULL && ranks->host_tp == NULL);
    settings.host = ranks->world;
    if (ranks->pp_stages > 1 && !gpu->open(&world, &settings, &ranks->settings, err))
        return false;
    settings.host = ranks->tp;
    settings.beside = world;
    if (ranks->tp_size > 1 && !gpu->open(&tp, &settings, &ranks->settings, err)) {
        comm_close(world);
        return false;
    }
    if (world != NULL) {
        ranks->host_world = ranks->world;
        ranks->world = world;
    }
    if (tp != NULL) {
        ranks->host_tp = ranks->tp;
        ranks->tp = tp;
    }
    return true;
}

static void leave_gpu(struct comm **group, struct comm **host)
{
    if (*host == NULL)
        return;
    comm_close(*group);
    *group = *host;
    *host = NULL;
}

void ranks_leave_gpu(struct ranks *ranks)
{
    leave_gpu(&ranks->tp, &ranks->host_tp);
    leave_gpu(&ranks->world, &ranks->host_world);
}

void ranks_close(struct ranks *ranks, bool alone)
{
    ranks_leave_gpu(ranks);
    comm_close(ranks->tp);
    comm_close(ranks->world);
    watchdog_close(ranks->watchdog);
    if (ranks->shared != NULL)
        check(munmap(ranks->shared, ranks->shared_bytes) == 0);
    if (ranks->finish != NULL && !alone)
        ranks->finish();
    *ranks = (struct ranks){0};
}

struct ranks ranks_of_stage(const struct ranks *ranks)
{
    return (struct ranks){.world_rank = ranks->tp_rank,
                          .world_size = ranks->tp_size,
                          .local_rank = ranks->local_rank,
                          .local_size = ranks->local_size,
                          .tp_rank = ranks->tp_rank,
                          .tp_size = ranks->tp_size,
                          .pp_stages = 1,
                          .world = ranks->tp,
                          .tp = ranks->tp,
                          .watchdog = ranks->watchdog,
                          .settings = ranks->settings};
}

bool ranks_agree(const struct ranks *ranks, const struct error *mine, struct error *verdict,
                 struct error *err)
{
    *verdict = (struct error){0};
    for (int root = 0; root < ranks->world_size; root++) {
        struct error theirs = mine != NULL ? *mine : (struct error){0};
        if (!comm_broadcast(ranks->world, &theirs, sizeof theirs, root, true, err))
            return false;
        if (verdict->kind != ERROR_NONE || theirs.kind == ERROR_NONE)
            continue;
        *verdict = theirs;
        if (root > 0)
            error_in(verdict, "rank %d", root);
    }
    return true;
}

/* ----------------------------------------------------------------------------------- threads -- */

size_t ranks_threads_bytes(int tp_size, int pp_stages)
{
    const struct ranks_settings settings = {.tp_size = tp_size, .pp_stages = pp_stages};
    size_t world_at, tp_at;
    const size_t n_bytes =
        ranks_memory_layout(&settings, &(struct ranks_memory){.world = true}, 0, &world_at, &tp_at);
    return n_bytes > 0 ? n_bytes : 1; /* one rank needs none, and no mapping is empty */
}

static bool open_group(struct comm **out, unsigned char *memory, int rank, int size,
                       const struct comm_settings *settings, struct error *err)
{
    return size == 1 ? comm_open_self(out, err)
                     : comm_open_shm(out, memory, rank, size, settings, err);
}

bool ranks_open_threads(struct ranks *out, void *memory, int rank,
                        const struct ranks_settings *settings, struct error *err)
{
    *out = ranks_place(rank, settings);
    out->settings = settings->settings;
    size_t world_at = 0, tp_at = 0;
    ranks_memory_layout(settings, &(struct ranks_memory){.world = true}, out->pp_stage, &world_at,
                        &tp_at);
    unsigned char *at = memory;
    if (open_group(&out->world, at + world_at, rank, out->world_size, &settings->settings, err) &&
        open_group(&out->tp, at + tp_at, out->tp_rank, out->tp_size, &settings->settings, err))
        return true;
    ranks_close(out, true);
    return false;
}
