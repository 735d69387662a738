/* Opening the groups of an MPI job.
 *
 * Everything here is collective, and every decision is made alike by all ranks: each step ends
 * with agree(), so that either all go on or all return the same error, that of the lowest rank
 * which met one. Blocking calls are allowed here and nowhere else: until the groups are open
 * there is nothing to serve, and mpirun ends a job whose rank dies.
 *
 * A host has one shared memory object for all its groups. It never has a name, so nothing is left
 * in /dev/shm even where a rank is killed right here: the first rank of the host makes it, and the
 * others open that rank's descriptor. */
#include "parallel/ranks.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "parallel/comm_mpi.h"
#include "parallel/launch_place.h"
#include "parallel/ranks_place.h"
#include "parallel/watchdog.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mpi.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* What the ranks must know of each other before the groups can be opened. */
struct job {
    MPI_Comm host;    /* the ranks of this host, in world order */
    int *host_of;     /* [world_size] a number for each host: its first rank */
    bool *stage_here; /* [pp_stages] all of it is on this host, and uses shared memory */
    bool world_here;
    size_t world_at, tp_at; /* in the shared memory; NOWHERE: not in it */
};

static const size_t NOWHERE = SIZE_MAX;

/* True when `ok` is true on all ranks; else the error of the lowest rank, on all of them. */
static bool agree(int world_rank, bool ok, struct error *err)
{
    int failed = ok ? INT_MAX : world_rank, first;
    int code = MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (code != MPI_SUCCESS)
        return ok ? mpi_error(err, "agreeing with the other ranks", code) : false;
    if (first == INT_MAX)
        return true;
    struct error theirs = *err;
    code = MPI_Bcast(&theirs, (int)sizeof theirs, MPI_BYTE, first, MPI_COMM_WORLD);
    if (ok && code != MPI_SUCCESS)
        return mpi_error(err, "agreeing with the other ranks", code);
    if (ok || first != world_rank)
        *err = theirs;
    return error_in(err, "rank %d", first);
}

static bool ok_or_error(int code, const char *what, struct error *err)
{
    return code == MPI_SUCCESS || mpi_error(err, what, code);
}

/* ------------------------------------------------------------------------------------- hosts -- */

static bool find_hosts(struct job *job, struct ranks *ranks, struct error *err)
{
    int first = ranks->world_rank;
    return ok_or_error(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, ranks->world_rank,
                                           MPI_INFO_NULL, &job->host),
                       "finding the ranks of this host", err) &&
           ok_or_error(MPI_Comm_rank(job->host, &ranks->local_rank), "this host", err) &&
           ok_or_error(MPI_Comm_size(job->host, &ranks->local_size), "this host", err) &&
           ok_or_error(MPI_Bcast(&first, 1, MPI_INT, 0, job->host), "this host", err) &&
           ok_or_error(MPI_Allgather(&first, 1, MPI_INT, job->host_of, 1, MPI_INT, MPI_COMM_WORLD),
                       "finding the hosts of all ranks", err);
}

static bool is_on_one_host(const struct job *job, int first, int n_ranks)
{
    for (int rank = first + 1; rank < first + n_ranks; rank++)
        if (job->host_of[rank] != job->host_of[first])
            return false;
    return true;
}

/* Which groups talk over the shared memory of this host. */
static bool choose_transports(struct job *job, const struct ranks *ranks,
                              const struct ranks_settings *settings, struct error *err)
{
    const bool shm = strcmp(settings->comm, "mpi") != 0;
    const int here = job->host_of[ranks->world_rank];
    job->world_here = shm && is_on_one_host(job, 0, ranks->world_size);
    for (int stage = 0; stage < ranks->pp_stages; stage++) {
        const int first = stage * ranks->tp_size;
        const bool one_host = is_on_one_host(job, first, ranks->tp_size);
        job->stage_here[stage] = shm && one_host && job->host_of[first] == here;
        if (!one_host && strcmp(settings->comm, "shm") == 0)
            return error_set(
                err, ERROR_INPUT,
                "--comm shm wants the %d ranks of pipeline stage %d on one host: place "
                "them so, or use --comm auto",
                ranks->tp_size, stage);
    }
    return true;
}

/* "4 + 2": how many ranks each host has, in the order of their first ranks; the hosts. */
static int list_hosts(const struct job *job, int world_size, char *text, size_t n_bytes)
{
    int n_hosts = 0;
    size_t used = 0;
    for (int host = 0; host < world_size; host++) {
        if (job->host_of[host] != host) /* a host is called by its first rank */
            continue;
        int n_ranks = 0;
        for (int rank = 0; rank < world_size; rank++)
            n_ranks += job->host_of[rank] == host;
        if (used < n_bytes - 24)
            used += (size_t)snprintf(text + used, n_bytes - used, "%s%d", n_hosts > 0 ? " + " : "",
                                     n_ranks);
        n_hosts++;
    }
    return n_hosts;
}

/* One line for the whole job. */
static void log_transports(const struct job *job, const struct ranks *ranks,
                           const struct ranks_settings *settings)
{
    char hosts[128] = "", tp[96] = "";
    const int n_hosts = list_hosts(job, ranks->world_size, hosts, sizeof hosts);
    int n_shm = 0;
    for (int stage = 0; stage < ranks->pp_stages; stage++)
        n_shm += strcmp(settings->comm, "mpi") != 0 &&
                 is_on_one_host(job, stage * ranks->tp_size, ranks->tp_size);
    if (ranks->pp_stages > 1 && ranks->tp_size > 1)
        snprintf(tp, sizeof tp, "; tensor parallel: %d of %d stages over shm, %d over mpi", n_shm,
                 ranks->pp_stages, ranks->pp_stages - n_shm);
    log_write(LOG_INFO, "ranks", "%d ranks on %d host%s (%s): together over %s%s",
              ranks->world_size, n_hosts, n_hosts == 1 ? "" : "s", hosts, ranks->world->ops->name,
              tp);
}

/* The CPUs that any rank of this host may use. A machine with more than a cpu_set_t holds has
 * enough. */
static int cpus_of_host(const struct job *job)
{
    cpu_set_t mine, all;
    CPU_ZERO(&mine);
    const bool known = sched_getaffinity(0, sizeof mine, &mine) == 0;
    if (!known)
        memset(&mine, 0xff, sizeof mine);
    if (MPI_Allreduce(&mine, &all, (int)sizeof all, MPI_BYTE, MPI_BOR, job->host) != MPI_SUCCESS)
        return INT_MAX;
    return CPU_COUNT(&all);
}

/* ----------------------------------------------------------------------------- shared memory -- */

/* posix_fallocate takes the pages now: on a /dev/shm that is too small, writing to a page later
 * would be SIGBUS. */
static bool size_object(int fd, size_t n_bytes, struct error *err)
{
    int code;
    do
        code = posix_fallocate(fd, 0, (off_t)n_bytes);
    while (code == EINTR);
    if (code == 0)
        return true;
    return error_set(
        err, ERROR_UNSUPPORTED,
        "the ranks of this host need %.1f MB of shared memory in /dev/shm: %s; make it "
        "larger (mount -o remount,size=..., docker run --shm-size=...), or use --comm "
        "mpi",
        (double)n_bytes * 1e-6, strerror(code));
}

static bool map_object(struct ranks *ranks, int fd, struct error *err)
{
    void *memory = mmap(NULL, ranks->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED)
        return error_errno(err, "mapping %zu bytes of shared memory", ranks->shared_bytes);
    ranks->shared = memory;
    return true;
}

/* The first rank of the host makes the object; -1 when it cannot. */
static int create_object(struct ranks *ranks, struct error *err)
{
    const int fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (fd < 0) {
        error_errno(err, "making shared memory in /dev/shm");
        return -1;
    }
    if (size_object(fd, ranks->shared_bytes, err) && map_object(ranks, fd, err))
        return fd;
    close(fd);
    return -1;
}

/* By the descriptor of the rank that made it. */
static bool attach_object(const int place[2], struct ranks *ranks, struct error *err)
{
    char path[48];
    snprintf(path, sizeof path, "/proc/%d/fd/%d", place[0], place[1]);
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err,
                           "%s, the shared memory of the first rank of this host (ranks that do "
                           "not see each other's processes need --comm mpi)",
                           path);
    const bool ok = map_object(ranks, fd, err);
    close(fd);
    return ok;
}

/* Where only the watchdog wants memory, the job can do without: *fd is then -1, as it is on all
 * but the first rank of the host. */
static bool make_memory(int *fd, struct ranks *ranks, struct error *err)
{
    struct error why = {0};
    *fd = -1;
    if (ranks->local_rank != 0 || ranks->shared_bytes == 0 ||
        (*fd = create_object(ranks, &why)) >= 0)
        return true;
    if (ranks->shared_bytes > watchdog_bytes(ranks->local_size)) {
        *err = why;
        return false;
    }
    log_write(LOG_WARN, "ranks", "a rank of this host that stops will not be noticed: %s",
              why.text);
    return true;
}

/* Collective over the world: hosts that need no shared memory take part too. */
static bool open_memory(const struct job *job, struct ranks *ranks, struct error *err)
{
    int fd;
    bool ok = agree(ranks->world_rank, make_memory(&fd, ranks, err), err);
    if (ok) {
        int place[2] = {getpid(), fd};
        ok = ok_or_error(MPI_Bcast(place, 2, MPI_INT, 0, job->host),
                         "telling the place of shared memory", err);
        if (ok && place[1] >= 0 && ranks->local_rank != 0)
            ok = attach_object(place, ranks, err);
        ok = agree(ranks->world_rank, ok, err);
    }
    if (fd >= 0) /* all have mapped it, or nobody will */
        close(fd);
    return ok;
}

/* ------------------------------------------------------------------------------------ groups -- */

/* A group that is neither one rank nor in shared memory is one of MPI. */
static bool open_group(struct comm **out, const struct ranks *ranks, size_t at, int rank, int size,
                       int color, const struct comm_settings *settings, struct error *err)
{
    const bool mpi = size > 1 && at == NOWHERE;
    if (!comm_open_mpi(out, mpi ? color : NO_GROUP, rank, settings, err))
        return false;
    if (mpi)
        return true;
    return size == 1
               ? comm_open_self(out, err)
               : comm_open_shm(out, (unsigned char *)ranks->shared + at, rank, size, settings, err);
}

/* At the head of the host's memory. */
static bool open_watchdog(struct ranks *ranks, const struct ranks_settings *settings,
                          struct error *err)
{
    if (ranks->shared == NULL || ranks->local_size == 1)
        return true;
    watchdog_open(&ranks->watchdog, &(struct watchdog_settings){.memory = ranks->shared,
                                                                .rank = ranks->local_rank,
                                                                .n_ranks = ranks->local_size,
                                                                .world_rank = ranks->world_rank,
                                                                .leave = settings->leave});
    return watchdog_start(ranks->watchdog, err);
}

static bool open_groups(struct job *job, struct ranks *ranks, const struct ranks_settings *wanted,
                        struct error *err)
{
    struct ranks_settings settings = *wanted;
    if (!agree(ranks->world_rank, find_hosts(job, ranks, err), err) ||
        !agree(ranks->world_rank, choose_transports(job, ranks, &settings, err), err))
        return false;
    settings.settings.spin_ns = ranks_spin_ns(wanted, ranks->local_size, cpus_of_host(job));
    const struct ranks_memory memory = {
        .n_watched = ranks->local_size, .world = job->world_here, .stage = job->stage_here};
    ranks->shared_bytes =
        ranks_memory_layout(&settings, &memory, ranks->pp_stage, &job->world_at, &job->tp_at);
    if (!open_memory(job, ranks, err) ||
        !agree(ranks->world_rank, open_watchdog(ranks, wanted, err), err))
        return false;
    settings.settings.watchdog = ranks->watchdog;
    ranks->settings = settings.settings;
    const bool world = open_group(&ranks->world, ranks, job->world_at, ranks->world_rank,
                                  ranks->world_size, 0, &settings.settings, err);
    if (!agree(ranks->world_rank, world, err))
        return false;
    const bool tp = open_group(&ranks->tp, ranks, job->tp_at, ranks->tp_rank, ranks->tp_size,
                               ranks->pp_stage, &settings.settings, err);
    if (!agree(ranks->world_rank, tp, err))
        return false;
    if (ranks->world_rank == 0)
        log_transports(job, ranks, wanted);
    return true;
}

/* -------------------------------------------------------------------------------------- open -- */

/* A rank that leaves with an error code makes mpirun kill the others, so none leaves before all
 * are here: what rank 0 has to say, it has said. */
static void finish_mpi(void)
{
    MPI_Barrier(MPI_COMM_WORLD);
    MPI_Finalize();
}

static bool start_mpi(int *world_rank, int *world_size, struct error *err)
{
    int level;
    int code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);
    if (code != MPI_SUCCESS)
        return mpi_error(err, "starting MPI", code);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    if (level < MPI_THREAD_SERIALIZED)
        return error_set(err, ERROR_UNSUPPORTED,
                         "this MPI library offers thread level %d, want MPI_THREAD_SERIALIZED: use "
                         "one that was built with threads",
                         level);
    return ok_or_error(MPI_Comm_rank(MPI_COMM_WORLD, world_rank), "this rank", err) &&
           ok_or_error(MPI_Comm_size(MPI_COMM_WORLD, world_size), "the number of ranks", err);
}

bool ranks_open(struct ranks *out, const struct ranks_settings *settings, struct error *err)
{
    int world_rank = 0, world_size = 1;
    *out = (struct ranks){0};
    if (!ranks_check_launcher(err))
        return false;
    if (!launch_has_world())
        return ranks_open_alone(out, settings, err);
    *out = (struct ranks){.finish = finish_mpi};
    bool ok = start_mpi(&world_rank, &world_size, err);
    if (ok && world_size == 1 && launch_slurm_tasks() > 1)
        ok = ranks_refuse_srun(err);
    if (!ok || !ranks_check_world(world_size, settings, err)) /* all see the same, and fail */
        return false;
    *out = ranks_place(world_rank, settings);
    out->finish = finish_mpi;
    struct job job = {
        .host = MPI_COMM_NULL,
        .host_of = memory_alloc((size_t)world_size, sizeof *job.host_of),
        .stage_here = memory_alloc((size_t)settings->pp_stages, sizeof *job.stage_here),
        .world_at = NOWHERE,
        .tp_at = NOWHERE,
    };
    ok = open_groups(&job, out, settings, err);
    memory_free(job.host_of);
    memory_free(job.stage_here);
    return ok;
}
