/* launcher/rank/handshake.h: the ranks of a job make sure that they are about to do the same.
 *
 * On several hosts programs, files and options may differ, and then the ranks would hang in
 * different calls or give wrong tokens. So before the weights are read each rank makes a record of
 * marks, they exchange them, and all come to the same verdict. A mark of a checkpoint is the
 * headers of its files and 16 samples of 64 bytes of each: another model and another training
 * step differ, and nothing is read whole.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct error;
struct options;
struct rank_compute;
struct rank_models;
struct ranks;

enum handshake_mark {
    MARK_BUILD,      /* of the sources: with it the plans and the links are the same */
    MARK_OPTIONS,    /* those that all must have alike */
    MARK_DEVICE,     /* CPU or GPU, and its numerics */
    MARK_CONFIG,     /* bytes of config.json */
    MARK_CHECKPOINT, /* weights */
    MARK_DRAFT,      /* both of the draft model; 0: none */
    N_MARKS
};

struct handshake {
    uint64_t mark[N_MARKS]; /* XXH3 */
    char kernels[16];       /* may differ: every instruction set gives the same bits */
    char gpu[64];           /* its name: may differ where numerics are fast */
    int64_t gpu_bytes;      /* its memory, which may differ too */
};

/* Of this rank, whose small files are read and whose devices are open. ERROR_INPUT and
 * ERROR_UNSUPPORTED as of checkpoint_open(). */
bool handshake_make(struct handshake *out, const struct rank_models *models,
                    const struct options *options, const struct rank_compute *compute,
                    struct error *err);

/* Of what the answers are a function of: the config and the weights. */
uint64_t handshake_model_mark(const struct handshake *mine);

/* Collective over the world. *gpu_bytes: memory of the smallest GPU, 0 where all compute on CPUs.
 * ERROR_INPUT, the same on all ranks, names the ranks that differ from rank 0, in what, and what to
 * do. ERROR_PEER: a rank did not come. */
bool handshake_exchange(const struct handshake *mine, const struct ranks *ranks, int64_t *gpu_bytes,
                        struct error *err);

/* The verdict alone, over the records of all ranks. */
bool handshake_compare(const struct handshake *all, int n_ranks, struct error *err);
