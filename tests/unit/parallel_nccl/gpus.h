/* tests/unit/parallel_nccl/gpus.h: ranks that have an emulated GPU each, as threads of the test.
 */
#pragma once
#include "parallel/comm.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gpu_group;

/* What one rank has while a test runs. */
struct gpu_rank {
    struct gpu_group *group;
    int rank;
    struct device *device;
    struct watchdog *watchdog;
    struct comm *host;   /* over shared memory */
    struct comm *comm;   /* over NCCL */
    struct comm *staged; /* over NCCL for memory of the host: copies there and back, and waits; so
                            the cases of every communicator are good for this one */
};

struct gpu_group {
    void *memory; /* of `host` */
    int size;
    bool exact;
    size_t most_floats;
    struct comm_settings settings; /* but the watchdog: */
    void *watched;                 /* memory of the watchdogs of all ranks; NULL: there are none */
    void (*leave)(const char *text);
    int silent; /* a rank whose watchdog beats once, as if it were stopped then; -1: none */
    bool (*run)(struct gpu_rank *rank, struct error *err);
    void *context; /* of the test */
};

/* No faults, a minute of patience, exact sums in pieces of 4096 floats. */
struct gpu_group gpu_group_make(int size, bool (*run)(struct gpu_rank *rank, struct error *err));
void gpu_group_release(struct gpu_group *group);

/* Opens, runs and closes rank `rank`, as the function of run_ranks() and check_ranks(). */
bool gpu_group_rank(void *group, int rank, struct error *err);

/* In a group of `size` ranks for every size from 2 to 4: the test fails with the first error. */
void check_gpus(bool exact, bool (*run)(struct gpu_rank *rank, struct error *err));

/* Floats of the device; the test fails where they cannot be had. */
float *gpu_floats(struct gpu_rank *rank, size_t n);
void gpu_floats_free(struct gpu_rank *rank, float *p, size_t n);
