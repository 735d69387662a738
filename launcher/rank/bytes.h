/* launcher/rank/bytes.h: what one rank holds in memory, by kind: of its host, and of its GPU.
 *
 * The same struct for a rank that runs, which looks at what it has, and for `phalanx plan`, which
 * counts it beforehand. What nobody can count beforehand is not in it: what libraries hold for
 * themselves (a rank tells how much it had before it began), and the few pages that are touched of
 * each thread's stack.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct rank_compute;
struct rank_models;

struct gpu_bytes { /* all 0 where there is none */
    int64_t weights, kv, activations;
    int64_t workspace;     /* that operations need for themselves */
    int64_t communication; /* gathered parts of exact sums; what NCCL takes itself is not known */
};

struct rank_bytes {
    int64_t mapped;      /* weights used in place: pages of the files, that ranks of a host share */
    int64_t copied;      /* weights in memory of the rank's own */
    int64_t kv;          /* KV cache */
    int64_t activations; /* of one step */
    int64_t communication; /* buffers between ranks; of shared memory an equal part each */
    int64_t threads;       /* scratch memory of the kernels */
    int64_t pinned;        /* what a GPU copies from and to */
    int64_t tables; /* everything else that was allocated: headers, scheduler, sampler, plans */
    struct gpu_bytes gpu;
};

/* Now, on this rank, when all is made. communication: known to who opened the ranks, and of it what
 * is shared, which is not in memory_account(). */
struct rank_bytes rank_bytes_now(const struct rank_models *models,
                                 const struct rank_compute *compute, int64_t communication,
                                 int64_t shared);

int64_t rank_bytes_weights(const struct rank_bytes *bytes); /* of the host: mapped and copied */
int64_t rank_bytes_total(const struct rank_bytes *bytes);   /* of the host */
int64_t gpu_bytes_total(const struct gpu_bytes *bytes);
