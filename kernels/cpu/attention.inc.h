/* kernels/cpu/attention.inc.h: causal attention over the paged cache, once for all levels.
 *
 * A file per instruction set includes one of vec_*.inc.h and then this. The order of every sum is
 * that of docs/numerics.md, "Attention".
 *
 * One item of work is one KV head and a run of tokens of one sequence: its rows are these tokens
 * times the query heads of that KV head, and all of them read the same keys and values. Per chunk
 * of 256 positions, keys and values are first widened into panels of 16 lanes
 * (attention_pack.inc.h):
 *
 *     scores  lanes are positions,      K_BLOCKs run along head_dim
 *     output  lanes are along head_dim, K_BLOCKs run along positions
 *
 * so that both products are one function, tile(): a broadcast number of the row times a vector of
 * the panel. Rows are taken TILE_ROWS at a time; scores of a tile stay in L1, panels in L2.
 *
 * A row never depends on the others of its item: blocks of positions that it does not see add
 * zeros (p = 0 times a finite value), whose only trace could be the sign of a zero, and that is
 * wiped out at the end of the chunk. Where a value of the chunk is not finite, its rows are done
 * one at a time, each over the values that it sees. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "base/team.h"
#include "kernels/cpu/attention_pack.inc.h"
#include "kernels/cpu/cpu_ops.h"
#include "kernels/cpu/exp.inc.h"
#include "kernels/cpu/operand.inc.h"
#include "kernels/device.h"

/* ---- products ---- */

/* Elements k and k + 1 of a panel, widened. */
static inline __attribute__((always_inline)) void
load_pair(struct vec *even, struct vec *odd, const float *from, const enum panel_form form)
{
    if (form == PANEL_F32) {
        *even = vec_load(from);
        *odd = vec_load(from + VEC_LANES);
    } else if (form == PANEL_BF16_PAIRS) {
        const struct vec pairs = vec_load(from);
        *even = vec_even(pairs);
        *odd = vec_odd(pairs);
    } else { /* the two bytes to the top of each lane */
        const struct vec pairs = vec_load_bf16((const bf16 *)(const void *)from);
        *even = vec_top_byte(vec_next_byte(pairs));
        *odd = vec_top_byte(pairs);
    }
}

/* out[r][16 v + lane] += sum over k of a[r][k] * panel v [k][lane], in the canonical order. */
static inline __attribute__((always_inline)) void tile(float *out, size_t out_stride,
                                                       const float *a, size_t a_stride,
                                                       struct panels b, int n_blocks,
                                                       const int n_rows, const enum panel_form form)
{
    for (int block = 0; block < n_blocks; block++, a += K_BLOCK, b.data += b.block_stride) {
        struct vec even[TILE_ROWS][TILE_VECS], odd[TILE_ROWS][TILE_VECS];
        for (int r = 0; r < n_rows; r++)
            for (int v = 0; v < TILE_VECS; v++)
                even[r][v] = odd[r][v] = vec_set(0.0f);
        for (size_t k = 0; k < K_BLOCK; k += 2) {
            struct vec b0[TILE_VECS], b1[TILE_VECS];
            for (int v = 0; v < TILE_VECS; v++) {
                const float *from = b.data + (size_t)v * b.vec_stride + k / 2 * b.pair_stride;
                load_pair(&b0[v], &b1[v], from, form);
                if (form != PANEL_F32)
                    __builtin_prefetch(from + b.next, 0, 2);
            }
            for (int r = 0; r < n_rows; r++) {
                const float *pair = a + (size_t)r * a_stride + k;
                const struct vec a0 = vec_set(pair[0]), a1 = vec_set(pair[1]);
                for (int v = 0; v < TILE_VECS; v++) {
                    even[r][v] = vec_fma(a0, b0[v], even[r][v]);
                    odd[r][v] = vec_fma(a1, b1[v], odd[r][v]);
                }
            }
        }
        for (int r = 0; r < n_rows; r++)
            for (int v = 0; v < TILE_VECS; v++) {
                float *to = out + (size_t)r * out_stride + v * VEC_LANES;
                vec_store(to, vec_add(vec_load(to), vec_add(even[r][v], odd[r][v])));
            }
    }
}

/* The same over n_vecs panels, a multiple of TILE_VECS; n_rows is at most TILE_ROWS. */
static inline __attribute__((always_inline)) void
product_of(float *out, size_t out_stride, const float *a, size_t a_stride, struct panels b,
           int n_blocks, int n_rows, int n_vecs, const enum panel_form form)
{
    for (int v = 0; v < n_vecs; v += TILE_VECS) {
        switch (n_rows) {
#define ROWS(n)                                                                            \
    case n:                                                                                \
        if (n <= TILE_ROWS)                                                                \
            tile(out, out_stride, a, a_stride, b, n_blocks, n <= TILE_ROWS ? n : 1, form); \
        break;
            ROWS(1)
            ROWS(2)
            ROWS(3)
            ROWS(4)
            ROWS(5)
            ROWS(6)
#undef ROWS
        }
        out += TILE_VECS * VEC_LANES;
        b.data += TILE_VECS * b.vec_stride;
    }
}

static void clear_rows(float *out, size_t stride, int n_rows, int n)
{
    for (int r = 0; r < n_rows; r++)
        memset(out + (size_t)r * stride, 0, (size_t)n * sizeof *out);
}

WITH_FMA_IF_THERE static void product_onto(float *out, size_t out_stride, const float *a,
                                           size_t a_stride, struct panels b, int n_blocks,
                                           int n_rows, int n_vecs)
{
    product_of(out, out_stride, a, a_stride, b, n_blocks, n_rows, n_vecs, PANEL_F32);
}

WITH_FMA_IF_THERE static void product(float *out, size_t out_stride, const float *a,
                                      size_t a_stride, struct panels b, int n_blocks, int n_rows,
                                      int n_vecs)
{
    clear_rows(out, out_stride, n_rows, n_vecs * VEC_LANES);
    product_onto(out, out_stride, a, a_stride, b, n_blocks, n_rows, n_vecs);
}

/* As product_onto(), over panels of pairs of BF16. */
static void product_paired(float *out, size_t out_stride, const float *a, size_t a_stride,
                           struct panels b, int n_blocks, int n_rows, int n_vecs)
{
    product_of(out, out_stride, a, a_stride, b, n_blocks, n_rows, n_vecs, PANEL_BF16_PAIRS);
}

/* As product_onto(), over one block of values as they lie in a cache of BF16 or I8. */
WITH_FMA_IF_THERE static void product_in_cache(float *out, size_t out_stride, const float *a,
                                               size_t a_stride, struct panels b, enum dtype dtype,
                                               int n_rows, int n_vecs)
{
    if (dtype == DTYPE_I8)
        product_of(out, out_stride, a, a_stride, b, 1, n_rows, n_vecs, PANEL_I8_PAIRS);
    else
        product_paired(out, out_stride, a, a_stride, b, 1, n_rows, n_vecs);
}

/* ---- one tile of rows over one chunk ---- */

struct span { /* positions of the chunk that a row sees */
    int begin, end;
};

static struct span row_span(const struct attention_rows *rows, int row, int chunk)
{
    const int end = rows->position + row / rows->n_heads + 1 - chunk * ATTENTION_CHUNK;
    const int begin = rows->window > 0 ? end - rows->window : 0;
    return (struct span){.begin = begin > 0 ? begin : 0,
                         .end = end < ATTENTION_CHUNK ? end : ATTENTION_CHUNK};
}

/* Scores of row r become weights of the values, relative to their maximum and rounded to the format
 * of queries; those outside the span become zero. `begin` and `end` are multiples of K_BLOCK around
 * it. */
WITH_FMA_IF_THERE static struct softmax softmax_row(const struct attention_rows *rows,
                                                    const struct attention_scratch *s, int r,
                                                    struct span span, int begin, int end)
{
    const struct vec lowest = vec_set(-INFINITY), zero = vec_set(0.0f);
    const struct vec by = vec_set(rows->scale), cap = vec_set(rows->softcap);
    const bool scaled = rows->cache->dtype == DTYPE_I8, rounded = rows->cache->dtype != DTYPE_F32;
    float *score = s->score + r * ATTENTION_CHUNK;
    struct vec largest = lowest;
    for (int i = begin; i < end; i += VEC_LANES) {
        struct vec seen = vec_load(score + i);
        if (scaled)
            seen = vec_mul(seen, vec_load(s->k_scale + i));
        seen = vec_mul(seen, by);
        if (rows->softcap > 0)
            seen = vec_softcap(seen, cap);
        if (span.begin > i || span.end < i + VEC_LANES)
            seen = vec_keep(seen, span.begin - i, span.end - i, lowest);
        largest = vec_max(seen, largest);
        vec_store(score + i, seen);
    }
    const float max = vec_largest(largest);
    struct vec sum = zero;
    for (int i = begin; i < end; i += VEC_LANES) {
        struct vec p = vec_exp(vec_sub(vec_load(score + i), vec_set(max)));
        struct vec weight = scaled ? vec_mul(p, vec_load(s->v_scale + i)) : p;
        if (span.begin > i || span.end < i + VEC_LANES) {
            p = vec_keep(p, span.begin - i, span.end - i, zero);
            weight = vec_keep(weight, span.begin - i, span.end - i, zero);
        }
        sum = vec_add(sum, p);
        vec_store(score + i, rounded ? vec_round_bf16(weight) : weight);
    }
    return (struct softmax){.max = max, .sum = vec_sum(sum)};
}

/* One chunk onto those before it: the output, the sum and the maximum of one row. */
WITH_FMA_IF_THERE static void combine_row(struct softmax *all, float *out, struct softmax chunk,
                                          const float *add, int n)
{
    const float max = all->max > chunk.max ? all->max : chunk.max;
    const float keep = vec_first(vec_exp(vec_set(all->max - max)));
    const float take = vec_first(vec_exp(vec_set(chunk.max - max)));
    *all = (struct softmax){.max = max, .sum = all->sum * keep + chunk.sum * take};
    const struct vec a = vec_set(keep), b = vec_set(take), zero = vec_set(0.0f);
    for (int i = 0; i < n; i += VEC_LANES) {
        const struct vec positive = vec_add(vec_load(add + i), zero); /* -0 becomes +0 */
        const struct vec old = vec_mul(vec_load(out + i), a);
        vec_store(out + i, vec_add(old, vec_mul(positive, b)));
    }
}

/* Rows [row, row + n_rows) over one chunk whose panels are packed. */
static void attend_tile(const struct attention_rows *rows, struct attention_scratch *s, int chunk,
                        int row, int n_rows, bool finite)
{
    int begin = ATTENTION_CHUNK, end = 0;
    struct span span[TILE_ROWS];
    for (int r = 0; r < n_rows; r++) {
        span[r] = row_span(rows, row + r, chunk);
        if (span[r].begin >= span[r].end)
            continue;
        begin = span[r].begin < begin ? span[r].begin : begin;
        end = span[r].end > end ? span[r].end : end;
    }
    if (begin >= end)
        return;
    begin = begin / K_BLOCK * K_BLOCK;
    end = (end + K_BLOCK - 1) / K_BLOCK * K_BLOCK;

    const size_t dim = (size_t)rows->dim;
    product(s->score + begin, ATTENTION_CHUNK, s->query + (size_t)row * dim, dim,
            key_panels(s, rows->dim, begin), rows->dim / K_BLOCK, n_rows,
            (end - begin) / VEC_LANES);
    struct softmax softmax[TILE_ROWS];
    for (int r = 0; r < n_rows; r++)
        softmax[r] = softmax_row(rows, s, r, span[r], begin, end);
    const int n_blocks = (end - begin) / K_BLOCK;
    if (finite)
        product(s->chunk_out, dim, s->score + begin, ATTENTION_CHUNK,
                value_panels(s, rows->dim, begin), n_blocks, n_rows, rows->dim / VEC_LANES);
    for (int r = 0; r < n_rows; r++) {
        if (span[r].begin >= span[r].end)
            continue;
        if (!finite) {
            pack_values(rows, s, chunk, span[r].begin, span[r].end);
            const int from = span[r].begin / K_BLOCK * K_BLOCK;
            product(s->chunk_out + (size_t)r * dim, dim, s->score + r * ATTENTION_CHUNK + from,
                    ATTENTION_CHUNK, value_panels(s, rows->dim, from),
                    (span[r].end - from + K_BLOCK - 1) / K_BLOCK, 1, rows->dim / VEC_LANES);
        }
        combine_row(&s->softmax[row + r], s->out + (size_t)(row + r) * dim, softmax[r],
                    s->chunk_out + (size_t)r * dim, rows->dim);
    }
}

/* Rows from `row` on that make the next tile: 8 rows as 4 + 4, not 6 + 2. */
static int tile_rows(int n_left)
{
    const int n_tiles = (n_left + TILE_ROWS - 1) / TILE_ROWS;
    return (n_left + n_tiles - 1) / n_tiles;
}

/* All rows over one chunk, of which they see no more than `seen`. */
static void attend_packed(const struct attention_rows *rows, struct attention_scratch *s, int chunk,
                          struct span seen)
{
    if (rows->cache->dtype == DTYPE_I8)
        pack_scales(rows, s, chunk, seen.begin, seen.end);
    pack_keys(rows, s, chunk, seen.begin, seen.end);
    const bool finite = pack_values(rows, s, chunk, seen.begin, seen.end);
    for (int row = 0, n; row < rows->n_rows; row += n) {
        n = tile_rows(rows->n_rows - row);
        attend_tile(rows, s, chunk, row, n, finite);
    }
}

/* ---- one token: its rows all see the same positions ---- */

/* With few rows the panels cost more than the products. Then keys are packed 32 positions at a
 * time and used from L1, and whole blocks of values are used as they lie in the cache. */
static bool reads_in_place(const struct attention_rows *rows)
{
    const struct kv_cache *c = rows->cache;
    return rows->n_rows == rows->n_heads && rows->n_rows <= IN_PLACE_ROWS &&
           c->dtype != DTYPE_F32 && c->head_dim % K_BLOCK == 0 && c->block_tokens >= K_BLOCK;
}

static void scores_in_place(const struct attention_rows *rows, struct attention_scratch *s,
                            int chunk, struct span seen)
{
    const size_t dim = (size_t)rows->dim;
    const struct panels panels = key_pair_panels(s, rows->dim);
    for (int p = seen.begin / K_BLOCK * K_BLOCK; p < seen.end; p += K_BLOCK) {
        for (int i = 0; i < K_BLOCK; i += VEC_LANES) {
            const int first = p + i, begin = seen.begin > first ? seen.begin - first : 0;
            pack_key_pairs(
                s->keys + (size_t)i * dim / 2, rows->dim, rows->cache->dtype,
                key_rows(rows, chunk * ATTENTION_CHUNK + first, begin, seen.end - first));
        }
        clear_rows(s->score + p, ATTENTION_CHUNK, rows->n_rows, K_BLOCK);
        for (int row = 0, n; row < rows->n_rows; row += n) {
            n = tile_rows(rows->n_rows - row);
            product_paired(s->score + row * ATTENTION_CHUNK + p, ATTENTION_CHUNK,
                           s->query + (size_t)row * dim, dim, panels, rows->dim / K_BLOCK, n,
                           K_BLOCK / VEC_LANES);
        }
    }
}

static void outputs_in_place(const struct attention_rows *rows, struct attention_scratch *s,
                             int chunk, struct span seen)
{
    const size_t dim = (size_t)rows->dim;
    clear_rows(s->chunk_out, dim, rows->n_rows, rows->dim);
    for (int p = seen.begin / K_BLOCK * K_BLOCK; p < seen.end; p += K_BLOCK) {
        const bool whole = p >= seen.begin && p + K_BLOCK <= seen.end;
        if (!whole)
            pack_values(rows, s, chunk, seen.begin > p ? seen.begin : p,
                        seen.end < p + K_BLOCK ? seen.end : p + K_BLOCK);
        for (int row = 0, n; row < rows->n_rows; row += n) {
            n = tile_rows(rows->n_rows - row);
            float *out = s->chunk_out + (size_t)row * dim;
            const float *weight = s->score + row * ATTENTION_CHUNK + p;
            if (whole)
                product_in_cache(out, dim, weight, ATTENTION_CHUNK,
                                 cache_panels(rows, chunk * ATTENTION_CHUNK + p),
                                 rows->cache->dtype, n, rows->dim / VEC_LANES);
            else
                product_onto(out, dim, weight, ATTENTION_CHUNK, value_panels(s, rows->dim, p), 1, n,
                             rows->dim / VEC_LANES);
        }
    }
}

static void attend_in_place(const struct attention_rows *rows, struct attention_scratch *s,
                            int chunk, struct span seen)
{
    struct softmax softmax[IN_PLACE_ROWS];
    const int begin = seen.begin / K_BLOCK * K_BLOCK;
    const int end = (seen.end + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
    if (rows->cache->dtype == DTYPE_I8)
        pack_scales(rows, s, chunk, seen.begin, seen.end);
    scores_in_place(rows, s, chunk, seen);
    for (int r = 0; r < rows->n_rows; r++)
        softmax[r] = softmax_row(rows, s, r, seen, begin, end);
    outputs_in_place(rows, s, chunk, seen);
    for (int r = 0; r < rows->n_rows; r++)
        combine_row(&s->softmax[r], s->out + (size_t)(r * rows->dim), softmax[r],
                    s->chunk_out + (size_t)(r * rows->dim), rows->dim);
}

/* ---- one item ---- */

static void read_queries(const struct attention_args *a, const struct attention_rows *rows,
                         float *query)
{
    const int head_dim = rows->cache->head_dim;
    for (int r = 0; r < rows->n_rows; r++, query += rows->dim) {
        const size_t t = (size_t)(rows->first_token + r / rows->n_heads);
        const size_t head = (size_t)(rows->first_head + r % rows->n_heads);
        const size_t at = (t * (size_t)a->n_heads + head) * (size_t)head_dim;
        int i = 0;
        if (kv_query_dtype(rows->cache->dtype) == DTYPE_BF16) {
            const bf16 *from = (const bf16 *)a->q + at;
            for (; i + VEC_LANES <= head_dim; i += VEC_LANES)
                vec_store(query + i, vec_load_bf16(from + i));
            for (; i < head_dim; i++)
                query[i] = bf16_to_f32(from[i]);
        } else {
            memcpy(query, (const float *)a->q + at, (size_t)head_dim * sizeof *query);
        }
        memset(query + head_dim, 0, (size_t)(rows->dim - head_dim) * sizeof *query);
    }
}

static void write_rows(const struct attention_args *a, const struct attention_rows *rows,
                       const struct attention_scratch *s)
{
    const int head_dim = rows->cache->head_dim;
    for (int r = 0; r < rows->n_rows; r++) {
        float *out = s->out + (size_t)r * (size_t)rows->dim;
        const struct vec by = vec_set(1.0f / s->softmax[r].sum);
        for (int i = 0; i < rows->dim; i += VEC_LANES)
            vec_store(out + i, vec_mul(vec_load(out + i), by));
        const int head = rows->first_head + r % rows->n_heads;
        const int token = rows->first_token + r / rows->n_heads;
        operand_store_run(&a->out, a->leaves, token, head * head_dim, out, head_dim);
        if (head == 0)
            operand_store_padding(&a->out, a->leaves, token);
    }
}

/* The positions that the first row does not see: those before this one. */
static int first_seen(const struct attention_rows *rows) { return row_span(rows, 0, 0).begin; }

/* Nothing seen so far. */
static void begin_rows(const struct attention_rows *rows, const struct attention_scratch *s)
{
    memset(s->out, 0, (size_t)(rows->n_rows * rows->dim) * sizeof *s->out);
    for (int r = 0; r < rows->n_rows; r++)
        s->softmax[r] = (struct softmax){.max = -INFINITY, .sum = 0.0f};
}

static void attend_chunk(const struct attention_rows *rows, struct attention_scratch *s, int chunk)
{
    const int at = chunk * ATTENTION_CHUNK, first = first_seen(rows);
    const struct span seen = {.begin = first > at ? first - at : 0,
                              .end = rows->n_seen - at < ATTENTION_CHUNK ? rows->n_seen - at
                                                                         : ATTENTION_CHUNK};
    if (reads_in_place(rows))
        attend_in_place(rows, s, chunk, seen);
    else
        attend_packed(rows, s, chunk, seen);
}

static void attend(const struct attention_args *a, const struct attention_rows *rows,
                   struct attention_scratch *s)
{
    read_queries(a, rows, s->query);
    begin_rows(rows, s);
    for (int chunk = first_seen(rows) / ATTENTION_CHUNK; chunk * ATTENTION_CHUNK < rows->n_seen;
         chunk++)
        attend_chunk(rows, s, chunk);
    write_rows(a, rows, s);
}
