/* runtime/step_plan.h: what every rank runs in one step. The only thing that passes from
 * schedule/ (which knows requests, and no tensors) to forward/ (which knows tensors, and no
 * requests).
 *
 * One block of bytes without pointers: rank 0 broadcasts it as it is, it can be recorded and
 * replayed. A header, a table of sections {tag, offset, bytes}, the sections. A rank refuses a
 * tag that it does not know, so that new kinds of work can be added without a rank quietly
 * leaving them out.
 *
 * There is no prefill flag and no decode flag. A sequence has n_computed tokens in the KV cache
 * and n_new more in this plan: all of a prompt, a chunk of it, one sampled token, or one and its
 * drafts.
 *
 *   sequence 0                 sequence 1       sequence 2
 *   | n_computed   | n_new     | ...            | ...
 *   `--in KV cache-'`--here---'
 *
 * token[] holds the n_new parts end to end: row t of every activation tensor of this step
 * belongs to token[t]. Positions and KV slots follow from the other arrays: step_view_rows().
 *
 * A plan may be made before the tokens of the plan before it are known (one that runs ahead): what
 * row i of its logits gave stands in token[] as the reference -1 - i. Only a row that is picked by
 * the numbers of the plan (PICK_SAMPLE) can be referred to. Where it gives no token, its request
 * ends, and nobody looks at what comes of the reference.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

enum plan_tag {
    PLAN_TOKEN = 1,   /* int32 [n_tokens] vocabulary ids, and references: below                 */
    PLAN_FIRST_ROW,   /* int32 [n_sequences + 1] rows first_row[s] .. first_row[s + 1] - 1      */
    PLAN_N_COMPUTED,  /* int32 [n_sequences] tokens already in the KV cache                     */
    PLAN_FIRST_BLOCK, /* int32 [n_sequences + 1] into block[]                                   */
    PLAN_BLOCK,       /* int32 [n_kv_groups, n_blocks] KV blocks of each sequence, in order of
                         position; of a group with a window, those out of sight are 0           */
    PLAN_LOGITS_ROW,  /* int32 [n_logits] rows to project onto the vocabulary, ascending        */
    PLAN_HIDDEN_ROW,  /* int32 [n_hidden] rows whose state after the last norm is wanted,
                         ascending                                                              */
    PLAN_COPY,        /* int32 [n_copies, 2] before anything else block [1] becomes a copy of
                         block [0]; none is both, none is written twice                         */
    PLAN_STOP,        /* empty: the last plan; every rank leaves its loop in good order         */
    PLAN_PICK,        /* struct plan_pick [n_logits]; or absent: all rows are wanted whole      */
    PLAN_REST,        /* int32 [1] enum plan_rest, alone: no rows, but memory given back or taken */
    PLAN_TAGS
};

enum {
    PLAN_MAGIC = 0x4e4c5031 /* "1PLN" */,
    PLAN_MAX_SECTIONS = 16,
    PLAN_ALIGN = 8,       /* of the begin of each section */
    PLAN_MAX_COPIES = 512 /* of one step: plan_check() holds each against all, in 20 us */
};

struct plan_section {
    uint32_t tag, offset, n_bytes; /* offset from the begin of the plan */
};

struct step_plan {
    uint32_t magic, n_bytes; /* of everything */
    uint64_t step;           /* counts up from 1; ranks refuse a gap, but later stages do not see
                                the steps of a draft model */
    int32_t n_tokens, n_sequences, n_blocks, n_logits;
    int32_t n_hidden, n_copies;
    int32_t model; /* enum plan_model: who runs it */
    uint32_t n_sections;
    struct plan_section section[PLAN_MAX_SECTIONS];
};

/* What rank 0 wants of a row of logits. A pick that needs nothing but the row and these numbers is
 * made where the row is (the last stage of a pipeline, a GPU, and wherever plans run ahead), and
 * only its result comes home. Without the section all rows come home and are picked from there. */
enum plan_pick_kind {
    PICK_ROW,    /* the row itself */
    PICK_SAMPLE, /* a token, by temperature, top_k, top_p, min_p, and the noise of seed and
                    position; with n_best from 0 on its log-probability and so many of the best */
    PICK_PROMPT, /* the log-probability of `token`, and n_best of the best */
    PICK_BEAM,   /* the n_best best, two for each beam */
    PICK_KINDS
};
/* What ranks do without while nobody asks for anything: runtime/rest.h. */
enum plan_rest { PLAN_AWAKE, PLAN_NO_CACHE, PLAN_NO_WEIGHTS, PLAN_RESTS };
enum { PLAN_MAX_BEST = 32 };
struct plan_pick {
    uint64_t seed;
    int32_t kind, position, token, n_best, top_k;
    float temperature, top_p, min_p;
};

/* The model that is served, or the smaller one that guesses for it (speculation). Both have the
 * same vocabulary and the same blocks. */
enum plan_model { PLAN_TARGET, PLAN_DRAFT, PLAN_MODELS };

/* Layers that look back equally far share a block table: a KV group. A block is memory for the
 * layers of one group, and all groups take their blocks from one pool: runtime/forward/kv_groups.h.
 */
enum { KV_MAX_GROUPS = 8 };

/* Sizes that no plan of a job exceeds; ranks allocate by them once. */
struct plan_limits {
    int max_tokens;    /* --max-num-batched-tokens */
    int max_sequences; /* --max-num-seqs */
    int max_logits;    /* rows of logits in one step */
    int block_tokens;  /* positions of a KV block */
    int n_kv_blocks;   /* blocks of the pool */
    int max_model_len; /* positions of a sequence */
    int vocab;
    int n_kv_groups;              /* 1 .. KV_MAX_GROUPS */
    int kv_window[KV_MAX_GROUPS]; /* positions that a layer of the group sees; 0: all */
    int max_copies;               /* blocks copied in one step, 0 .. PLAN_MAX_COPIES */
};
/* KV blocks of so many positions, in one group. */
static inline int64_t kv_blocks_of(int64_t n_positions, int block_tokens)
{
    return (n_positions + block_tokens - 1) / block_tokens;
}

static inline size_t plan_aligned(size_t n_bytes)
{
    return (n_bytes + PLAN_ALIGN - 1) & ~(size_t)(PLAN_ALIGN - 1);
}
size_t plan_max_bytes(const struct plan_limits *limits);

/* Writing. `memory` has plan_max_bytes(), aligned to 8. plan_add() gives the zeroed section to
 * fill; the counts in the header are the caller's to set before plan_end(). */
void plan_begin(struct step_plan *memory, uint64_t step);
void *plan_add(struct step_plan *plan, enum plan_tag tag, size_t n_bytes);

/* Views into the bytes of a checked plan; an absent section is NULL. */
struct step_view {
    const int32_t *token, *first_row, *n_computed, *first_block, *block, *logits_row;
    const int32_t *hidden_row, *copy;
    const struct plan_pick *pick;
    const int32_t *rest;
    bool stop;
};
/* Whether there is anything for the layers in it. */
static inline bool view_has_rows(const struct step_view *view)
{
    return !view->stop && view->rest == NULL;
}
/* Checks everything that a rank relies on: sizes, offsets, alignment, tags, counts, ascending
 * rows, every token, block and position inside the limits, blocks enough for each sequence, every
 * number of a pick in its range. `n_carried` is plan_n_carried() of the plan before, 0 where no
 * reference is allowed; a plan of the draft model never has any.
 * ERROR_PEER with what is wrong. `n_bytes` is what was received. */
bool plan_check(const struct step_plan *plan, size_t n_bytes, const struct plan_limits *limits,
                int n_carried, struct step_view *view, struct error *err);

/* Leading rows of the logits of a checked plan that the next plan may refer to. */
int plan_n_carried(const struct step_plan *plan, const struct step_view *view);
bool plan_has_references(const struct step_plan *plan, const struct step_view *view);
/* Writes ids in place of the references, in a checked plan: carried[i] is what row i of the plan
 * before gave, below 0 for none. */
void plan_resolve(struct step_plan *plan, const struct step_view *view, const int32_t *carried);

/* position[t], and slot[g][t] (block * block_tokens + offset) in each KV group, of every row.
 * slot: [n_kv_groups, slot_stride], of which n_tokens. */
void step_view_rows(const struct step_plan *plan, const struct step_view *view,
                    const struct plan_limits *limits, int slot_stride, int32_t *position,
                    int32_t *slot);
