/* tests/kernels/attention_case.h: one call of attention, with its cache, and what it must give.
 *
 * What a sequence holds depends on the seed, the sequence and the position only, so that two cases
 * with other blocks, chunks or batches can be compared row by row. Slots that no sequence uses,
 * those beyond the last position and all of block 0 are NaN (of I8: their scales). */
#pragma once
#include "kernels/device.h"
#include "kernels/ops.h"

#include <stdint.h>

enum { CASE_SEQUENCES = 8 };

struct attention_shape {
    enum dtype dtype, out_dtype; /* of the cache; of the output */
    int n_heads, n_kv_heads, head_dim, block_tokens;
    int n_sequences;
    int sequence[CASE_SEQUENCES]; /* which one: what is in it */
    int n_computed[CASE_SEQUENCES], n_new[CASE_SEQUENCES];
    int window;
    float softcap;
    uint64_t seed;
    bool whole;          /* small whole numbers instead of reals */
    unsigned block_step; /* blocks are handed out in steps of this: odd, so that all are met */
};

struct attention_case {
    struct attention_shape shape;
    struct attention_args args;
    struct kv_cache cache;
    struct leaves leaves;
    int32_t kv_of_head[64], first_row[CASE_SEQUENCES + 1], first_block[CASE_SEQUENCES + 1];
    int32_t *block;
    void *q, *out; /* out: with guards around it */
    int n_rows;
};

struct attention_case *case_make(const struct attention_shape *shape);
void case_free(struct attention_case *c);

/* Fills the output with NaN, runs attention, checks the guards. */
void case_run(struct attention_case *c, struct device *device);
/* Output element of row r, head h, widened. */
float case_out(const struct attention_case *c, int r, int h, int i);
/* Element k of row r of the operand, padding counted. */
float case_padded_out(const struct attention_case *c, int r, int k);
/* The same in float64, and how far a right kernel can be from it. */
void case_want(const struct attention_case *c, int r, int h, double *want, double *bound);
/* Row r of one, row s of the other: the same bits in every head. Fails the test otherwise. */
void case_check_same_row(const char *what, const struct attention_case *a, int r,
                         const struct attention_case *b, int s);

/* For tests that place their own numbers: element i of K or V of a KV head at a position; of I8 a
 * whole number. */
void case_set_key(struct attention_case *c, int sequence, int position, int kv_head, int i,
                  float x);
void case_set_value(struct attention_case *c, int sequence, int position, int kv_head, int i,
                    float x);
void case_set_query(struct attention_case *c, int row, int head, int i, float x);
/* The scales of a position: I8 only. */
void case_set_scales(struct attention_case *c, int sequence, int position, int kv_head,
                     float k_scale, float v_scale);
/* Blocks that no row of the case sees become block 0. */
void case_forget_unseen(struct attention_case *c);
/* The same by the written order (written_order.h), rounded to the output dtype. */
void case_written(const struct attention_case *c, int r, int h, float *want);
/* case_out() is within the bound of case_want() and equal to case_written(), or the test fails;
 * `name` and `shape` are for its message. */
void case_check_row(const struct attention_case *c, const char *name, int shape, int r, int h);
/* case_check_same_row() of all rows. */
void case_check_same_rows(const char *what, const struct attention_case *a,
                          const struct attention_case *b);
