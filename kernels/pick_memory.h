/* kernels/pick_memory.h: what the kernels of op_pick() on a GPU leave for each other, in the
 * workspace of the device. Here, and not with the kernels, because who plans the memory of a GPU
 * need not have one.
 */
#pragma once
#include "kernels/device.h"
#include "kernels/ops.h"

enum {
    PICK_ROWS = 256,   /* rows at a time; more are done in groups */
    PICK_CHUNKS = 32,  /* parts of a row, at most */
    PICK_BINS = 2048,  /* of a search */
    PICK_LISTED = 4096 /* tokens of the bin that a search ends in; of more the row is read again */
};

/* A token and what it is chosen by; the order of these is descending value, then ascending id. */
struct candidate {
    float value;
    int32_t token; /* INT32_MAX: none, behind all others */
};

/* top_k and top_p, one after the other. */
enum pick_search { SEARCH_TOP_K, SEARCH_TOP_P, N_SEARCHES };

/* The kernels that the last block of a row ends. */
enum pick_kernel {
    PICK_WEIGH,
    PICK_TOP_K,
    PICK_TOP_P,
    PICK_NOISE,
    PICK_BEST,
    PICK_COUNT,
    PICK_KERNELS
};

/* Where a search goes on: in a bin, for so much of its weight. */
struct pick_place {
    int32_t bin; /* -1: it is not needed */
    unsigned long long wanted;
};

struct pick_state {            /* of a row */
    struct candidate raw, top; /* the largest logit, and the largest divided by the temperature */
    struct candidate last;     /* all behind it are out */
    struct pick_place place[N_SEARCHES];
    unsigned n_listed[N_SEARCHES];
    unsigned long long mass; /* of the tokens that are left, in 2^-40 of that of `top` */
    float lse;               /* of the logits as they came */
    int32_t is_finite, token;
    unsigned n_as_good[2]; /* tokens at least as good as the picked one, as the last of the best */
    unsigned n_arrived[PICK_KERNELS]; /* blocks that are through */
    struct candidate best[PICK_MAX_BEST];
};

struct pick_memory { /* [n_rows] of each */
    struct pick_state *state;
    unsigned long long *mass;    /* [PICK_BINS] */
    unsigned *count;             /* [PICK_BINS] */
    struct candidate *raw, *top; /* [PICK_CHUNKS] the best of each chunk */
    struct candidate *noisy;     /* [PICK_CHUNKS] with noise */
    struct candidate *best;      /* [PICK_CHUNKS, PICK_MAX_BEST] */
    struct candidate *listed;    /* [PICK_LISTED] */
    float *block_sum;            /* [blocks of LOGITS_BLOCK] */
};

/* Lays it out over `base`, aligned to 64 bytes; how many bytes it takes. n_rows <= PICK_ROWS. */
size_t pick_memory_make(struct pick_memory *out, void *base, int n_rows, int vocab);

/* For device_workspace_bytes(). */
size_t pick_workspace_bytes(const struct step_needs *needs);
