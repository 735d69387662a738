/* runtime/schedule/sequence_blocks.h: the block tables of sequences.
 *
 * A sequence has a table for each KV group, and all of them are equally long: n_blocks entries. Of
 * a group with a window, the blocks that no row to come can see are given back as it goes on; their
 * entries are 0.
 *
 *   group 0, sees all   | 7 | 2 | 9 | 4 |
 *   group 1, windowed   | 0 | 0 | 5 | 3 |        first_block[1] is 2
 *
 * Blocks are taken from one pool, and one that is taken for new contents leaves the prefix cache.
 */
#pragma once
#include "runtime/request/request.h"
#include "runtime/schedule/block_pool.h"
#include "runtime/schedule/prefix_cache.h"
#include "runtime/step_plan.h"

#include <stdbool.h>
#include <stdint.h>

struct sequence_blocks {
    struct plan_limits limits;
    struct block_pool pool;
    struct prefix_cache *cache; /* NULL: nothing is cached */
    bool fills_at_once;         /* all positions in one step, none out of sight before */
    bool *has_draft;            /* [n_kv_blocks] full in the KV cache of the draft model too */
};

/* secret: of prefix_cache_create(); NULL: no prefix cache. */
void sequence_blocks_init(struct sequence_blocks *blocks, const struct plan_limits *limits,
                          const uint8_t *secret);
void sequence_blocks_release(struct sequence_blocks *blocks);

/* Blocks of so many positions, in one group. */
int blocks_of(const struct sequence_blocks *blocks, int n_positions);
/* The most that a sequence of n_positions ever has at once, in all groups, when it runs row by row
 * (or at once); `shared` leading positions of the groups without a window are not counted. */
int64_t blocks_needed(const struct sequence_blocks *blocks, int n_positions, int shared);
/* That it has now, in all groups. */
int blocks_held(const struct sequence_blocks *blocks, const struct request *sequence);
/* The first block of the group that the row at `position`, or one after it, sees. */
int blocks_first_seen(const struct sequence_blocks *blocks, int group, int position);

/* Takes what the sequence lacks before it has n_positions; they must be there. */
void blocks_extend(struct sequence_blocks *blocks, struct request *sequence, int n_positions);
/* Gives back what rows from n_computed on do not see. */
void blocks_trim(struct sequence_blocks *blocks, struct request *sequence);
/* Gives back all, the table is empty and nothing is computed. */
void blocks_give(struct sequence_blocks *blocks, struct request *sequence);

/* The sequence `to`, which has none, gets those of `from`, and what is computed in them. */
void blocks_share(struct sequence_blocks *blocks, struct request *to, const struct request *from);
/* Blocks that the next row of the sequence is to write, and others have too; all are partly filled,
 * and there is at most one in each group. */
int blocks_shared_now(const struct sequence_blocks *blocks, const struct request *sequence);
/* Takes blocks of its own in their places. Writes {shared, own} of each to `copy`; their number. */
int blocks_part(struct sequence_blocks *blocks, struct request *sequence, int32_t *copy);

/* Finds blocks of leading tokens that are computed already, at most `most` tokens, and makes them
 * those of the sequence, which has none: n_computed says how many tokens that are. */
void blocks_take_cached(struct sequence_blocks *blocks, struct request *sequence, int most);
/* Lists the blocks that are full of the first n_final tokens. */
void blocks_list(struct sequence_blocks *blocks, struct request *sequence, int n_final);
