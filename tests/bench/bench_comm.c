/* How long a sum across ranks takes, against MPI_Allreduce in the same run.
 *
 *     mpirun -n 2 bench_comm [spin_us]
 *
 * For each size, samples of shm, mpi and MPI_Allreduce alternate; a sample is the mean of some
 * calls in a row. Prints medians in microseconds and the median of the paired ratios. Bytes are
 * those of the result; every rank has one part where their number is a power of two.
 *
 * The sum replaces the parts, so that they are new bytes in each call, as in a layer: bytes that
 * stay the same are still in the caches of those who read them, and come for nothing. */
#include "base/error.h"
#include "base/memory.h"
#include "base/system.h"
#include "parallel/comm_mpi.h"
#include "parallel/ranks.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { N_SAMPLES = 41, N_LEAVES = 16, SHM = 0, MPI = 1, ALLREDUCE = 2, N_WAYS = 3 };

struct bench {
    struct comm *comm[ALLREDUCE]; /* [SHM], [MPI] */
    float *parts;
    size_t count;
};

static bool sum_once(struct bench *bench, int way, struct error *err)
{
    if (way == ALLREDUCE)
        return MPI_Allreduce(MPI_IN_PLACE, bench->parts, (int)bench->count, MPI_FLOAT, MPI_SUM,
                             MPI_COMM_WORLD) == MPI_SUCCESS ||
               error_set(err, ERROR_PEER, "MPI_Allreduce failed");
    struct comm *comm = bench->comm[way];
    return comm->ops->tree_reduce(comm, NULL, bench->parts, bench->parts, N_LEAVES, bench->count,
                                  err);
}

static bool sample(struct bench *bench, int way, int n_calls, double *us, struct error *err)
{
    if (!sum_once(bench, way, err)) /* the ranks meet */
        return false;
    const int64_t begin = clock_now_ns();
    for (int call = 0; call < n_calls; call++)
        if (!sum_once(bench, way, err))
            return false;
    *us = (double)(clock_now_ns() - begin) * 1e-3 / n_calls;
    return true;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double values[N_SAMPLES])
{
    double sorted[N_SAMPLES];
    for (int i = 0; i < N_SAMPLES; i++)
        sorted[i] = values[i];
    qsort(sorted, N_SAMPLES, sizeof *sorted, by_size);
    return sorted[N_SAMPLES / 2];
}

static bool measure(struct bench *bench, bool print, struct error *err)
{
    double us[N_WAYS][N_SAMPLES], shm_ratio[N_SAMPLES], mpi_ratio[N_SAMPLES];
    const size_t n_bytes = bench->count * sizeof(float);
    const int n_calls = n_bytes > 1 << 20 ? 3 : n_bytes > 64 << 10 ? 10 : 50;
    for (int s = 0; s < N_SAMPLES; s++) {
        for (int i = 0; i < N_WAYS; i++) /* another order each time */
            if (!sample(bench, (s + i) % N_WAYS, n_calls, &us[(s + i) % N_WAYS][s], err))
                return false;
        shm_ratio[s] = us[ALLREDUCE][s] / us[SHM][s];
        mpi_ratio[s] = us[ALLREDUCE][s] / us[MPI][s];
    }
    if (print)
        printf("%8zu %10.1f %10.1f %15.1f %12.2f %12.2f\n", n_bytes, median(us[SHM]),
               median(us[MPI]), median(us[ALLREDUCE]), median(shm_ratio), median(mpi_ratio));
    return true;
}

static bool measure_all(struct ranks *ranks, const struct comm_settings *settings,
                        struct error *err)
{
    const size_t largest = 4 << 20;
    struct bench bench = {
        .comm[SHM] = ranks->world,
        .parts = memory_alloc(MAX_PARTS * largest, 1),
    };
    bool ok = comm_open_mpi(&bench.comm[MPI], 0, ranks->world_rank, settings, err);
    if (ok && ranks->world_rank == 0)
        printf("%d ranks, %d CPUs, spin %lld us\n%8s %10s %10s %15s %12s %12s\n", ranks->world_size,
               system_cpus(), (long long)settings->spin_ns / 1000, "bytes", "shm us", "mpi us",
               "MPI_Allreduce", "shm faster", "mpi faster");
    for (size_t n_bytes = 2048; ok && n_bytes <= largest; n_bytes *= 2) {
        bench.count = n_bytes / sizeof(float);
        ok = measure(&bench, ranks->world_rank == 0, err);
    }
    comm_close(bench.comm[MPI]);
    memory_free(bench.parts);
    return ok;
}

int main(int argc, char **argv)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    const long spin_us = argc > 1 ? strtol(argv[1], NULL, 10) : 100;
    const struct ranks_settings settings = {
        .tp_size = size != NULL ? (int)strtol(size, NULL, 10) : 0,
        .pp_stages = 1,
        .comm = "shm",
        .settings = {.deadline_ns = (int64_t)10 * 1000 * 1000 * 1000, .spin_ns = spin_us * 1000},
    };
    if (settings.tp_size < 2 || settings.tp_size > N_LEAVES || spin_us < 0) {
        fprintf(stderr, "usage: mpirun -n 2 bench_comm [spin_us]     (2 to 16 ranks, Open MPI)\n");
        return 2;
    }
    struct ranks ranks;
    struct error err = {0};
    const bool opened = ranks_open(&ranks, &settings, &err);
    const bool ok = opened && measure_all(&ranks, &settings.settings, &err);
    if (!ok)
        fprintf(stderr, "bench_comm: %s\n", err.text);
    ranks_close(&ranks, opened && !ok);
    return ok ? 0 : 1;
}
