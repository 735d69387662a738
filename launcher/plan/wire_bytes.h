/* launcher/plan/wire_bytes.h: what a rank receives from the others for each token, whatever carries
 * it.
 *
 * Payloads alone, by the tables of parallel/README.md: shared memory reads as many bytes as MPI
 * receives. Plans (some bytes a token) are left out.
 */
#pragma once
#include <stdint.h>

struct model;
struct ranks;

struct wire_bytes {
    int64_t embedding;      /* sum of the rows of the embedding: first stage */
    int64_t attention, mlp; /* the sum of one layer */
    int64_t sums;        /* all of a token's sums on this rank, in steps of few tokens (one-shot) */
    int64_t sums_large;  /* the same of each token of a large step (two-shot) */
    int64_t handed_over; /* from the stage before */
    int64_t logits;      /* of each row of logits: what other ranks computed of it */
};

/* Of the rank that the model was opened or measured as. */
struct wire_bytes wire_bytes_of(const struct model *model, const struct ranks *ranks);
