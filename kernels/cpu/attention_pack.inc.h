/* kernels/cpu/attention_pack.inc.h: what one item of attention works on, and how keys and values
 * come out of the paged cache. Include one of vec_*.inc.h first. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "kernels/cpu/cpu_ops.h"
#include "kernels/ops.h"

enum {
    ATTENTION_CHUNK = 256, /* positions; part of the numerics, never tuned */
    ATTENTION_ROWS = 128,  /* of one item: enough to make the packing cheap */
    IN_PLACE_ROWS = 16,    /* of one token, when the cache is read in place; >= TILE_ROWS */
    PANEL_BLOCK = K_BLOCK * VEC_LANES,
};

/* The rows of one item: row r is token first_token + r / n_heads, head first_head + r % n_heads. */
struct attention_rows {
    const struct kv_cache *cache;
    const int32_t *block; /* of the sequence */
    int kv_head, dim;     /* dim: padded_dim(head_dim) */
    int first_token, first_head, n_heads, n_rows;
    int position; /* of first_token in its sequence */
    int n_seen;   /* positions that the last row sees */
    int window;
    float scale, softcap;
};

struct softmax {
    float max, sum;
};

struct attention_scratch {
    float *keys;   /* [16 panels of 16 positions][dim][16 positions] */
    float *values; /* [8 blocks][dim / 16 panels][32 positions][16 of dim] */
    float *query;  /* [ATTENTION_ROWS][dim] */
    float *out;    /* [ATTENTION_ROWS][dim] of the chunks so far, relative to softmax[].max */
    float *score;  /* [IN_PLACE_ROWS][ATTENTION_CHUNK] */
    float *k_scale, *v_scale; /* [ATTENTION_CHUNK], I8 only */
    float *chunk_out;         /* [IN_PLACE_ROWS][dim] */
    struct softmax *softmax;  /* [ATTENTION_ROWS] */
};

/* Panels of 16 lanes: of panel v, block i of K_BLOCK, elements k and k + 1 are the vectors at
 * data + v vec_stride + i block_stride + k / 2 pair_stride, in one of the forms below. `next`
 * further on is what to prefetch. */
enum panel_form {
    PANEL_F32,        /* two vectors beside each other */
    PANEL_BF16_PAIRS, /* one vector of pairs */
    PANEL_I8_PAIRS,   /* half a vector of pairs */
};

struct panels {
    const float *data;
    size_t vec_stride, block_stride, pair_stride;
    ptrdiff_t next;
};

/* Head dimensions are padded with zeros to whole blocks and whole pairs of vectors. */
static inline int padded_dim(int head_dim) { return (head_dim + K_BLOCK - 1) / K_BLOCK * K_BLOCK; }

static inline size_t attention_scratch_bytes(int dim)
{
    enum { FLOATS_PER_DIM = 2 * ATTENTION_CHUNK + 2 * ATTENTION_ROWS + IN_PLACE_ROWS };
    enum { OTHER_FLOATS = (IN_PLACE_ROWS + 2) * ATTENTION_CHUNK + 2 * ATTENTION_ROWS };
    enum { SLOT_FLOATS = ATTENTION_ROWS * (MAX_HEAD_DIM + 2) }; /* of attention_share.inc.h */
    _Static_assert((FLOATS_PER_DIM * MAX_HEAD_DIM + OTHER_FLOATS + SLOT_FLOATS) * sizeof(float) <=
                       CPU_SCRATCH_BYTES,
                   "attention needs more scratch memory");
    return ((size_t)FLOATS_PER_DIM * (size_t)dim + OTHER_FLOATS) * sizeof(float);
}

static inline struct attention_scratch attention_scratch_make(void *memory, int dim)
{
    struct attention_scratch s;
    const size_t d = (size_t)dim;
    s.keys = memory;
    s.values = s.keys + ATTENTION_CHUNK * d;
    s.query = s.values + ATTENTION_CHUNK * d;
    s.out = s.query + ATTENTION_ROWS * d;
    s.chunk_out = s.out + ATTENTION_ROWS * d;
    s.score = s.chunk_out + IN_PLACE_ROWS * d;
    s.k_scale = s.score + IN_PLACE_ROWS * ATTENTION_CHUNK;
    s.v_scale = s.k_scale + ATTENTION_CHUNK;
    s.softmax = (struct softmax *)(s.v_scale + ATTENTION_CHUNK);
    return s;
}

/* 32 positions of pack_key_pairs(). */
static inline struct panels key_pair_panels(const struct attention_scratch *s, int dim)
{
    return (struct panels){.data = s->keys,
                           .vec_stride = (size_t)dim / 2 * VEC_LANES,
                           .block_stride = PANEL_BLOCK / 2,
                           .pair_stride = VEC_LANES};
}

/* From `position` of the chunk on, a multiple of K_BLOCK. */
static inline struct panels key_panels(const struct attention_scratch *s, int dim, int position)
{
    const size_t stride = (size_t)dim * VEC_LANES;
    return (struct panels){.data = s->keys + (size_t)(position / VEC_LANES) * stride,
                           .vec_stride = stride,
                           .block_stride = PANEL_BLOCK,
                           .pair_stride = 2 * VEC_LANES};
}

static inline struct panels value_panels(const struct attention_scratch *s, int dim, int position)
{
    const size_t stride = (size_t)dim * K_BLOCK;
    return (struct panels){.data = s->values + (size_t)(position / K_BLOCK) * stride,
                           .vec_stride = PANEL_BLOCK,
                           .block_stride = stride,
                           .pair_stride = 2 * VEC_LANES};
}

/* Element of cache->k or ->v where the block of this position begins, for this head. */
static inline size_t cache_block_at(const struct attention_rows *rows, int position)
{
    const struct kv_cache *c = rows->cache;
    const size_t block = (size_t)rows->block[position / c->block_tokens];
    return (block * (size_t)c->n_kv_heads + (size_t)rows->kv_head) * (size_t)c->block_tokens *
           (size_t)c->head_dim;
}

/* How many bytes further on keys or values of the next chunk lie; 0 in the last one. For
 * prefetching only: the blocks of one head are short pieces far from each other, where the
 * prefetcher of the CPU starts anew each time. */
static inline ptrdiff_t next_chunk(const struct attention_rows *rows, int position)
{
    const struct kv_cache *c = rows->cache;
    const int to = position + ATTENTION_CHUNK;
    if (to >= rows->n_seen)
        return 0;
    const size_t here = cache_block_at(rows, position), there = cache_block_at(rows, to);
    return (ptrdiff_t)(there - here) * (ptrdiff_t)dtype_bytes(c->dtype);
}

/* The 32 positions from this one on, as values in BF16 or I8 lie in the cache: all in one block. */
static inline struct panels cache_panels(const struct attention_rows *rows, int position)
{
    const struct kv_cache *c = rows->cache;
    const size_t bytes = dtype_bytes(c->dtype), pair_floats = 2 * bytes * (size_t)c->head_dim / 4;
    const size_t at =
        cache_block_at(rows, position) + (size_t)(position % c->block_tokens) * (size_t)c->head_dim;
    return (struct panels){.data = (const float *)(const void *)((const char *)c->v + at * bytes),
                           .vec_stride = 2 * bytes * VEC_LANES / sizeof(float),
                           .pair_stride = pair_floats,
                           .next = next_chunk(rows, position) / (ptrdiff_t)sizeof(float)};
}

/* n_bytes of the 64 from an address on, and zeros after them. */
static inline struct vec load_bytes(const char *from, size_t n_bytes)
{
    if (n_bytes >= sizeof(struct vec))
        return vec_load(from);
    float part[VEC_LANES] = {0};
    memcpy(part, from, n_bytes);
    return vec_load(part);
}

/* 16 positions of the paged keys from `first` on, of which [begin, end) are read and the others
 * are zero. */
struct key_rows {
    const char *from; /* of the first position */
    size_t row_bytes;
    int begin, end;
    ptrdiff_t next; /* bytes to the same rows of the next chunk */
};

static inline struct key_rows key_rows(const struct attention_rows *rows, int first, int begin,
                                       int end)
{
    const struct kv_cache *c = rows->cache;
    const size_t element = dtype_bytes(c->dtype), in_block = (size_t)(first % c->block_tokens);
    struct key_rows k = {.from = c->k,
                         .row_bytes = (size_t)c->head_dim * element,
                         .begin = begin,
                         .end = end < VEC_LANES ? end : VEC_LANES};
    if (k.begin < k.end) {
        k.from += cache_block_at(rows, first) * element + in_block * k.row_bytes;
        k.next = next_chunk(rows, first);
    }
    return k;
}

/* 64 bytes of each row, from byte `at` of a row on, as 16 vectors across the positions. */
static inline void load_across(struct vec m[VEC_LANES], const struct key_rows *k, size_t at)
{
    if (k->begin == 0 && k->end == VEC_LANES && at + sizeof(struct vec) <= k->row_bytes) {
        for (int j = 0; j < VEC_LANES; j++) {
            const char *from = k->from + (size_t)j * k->row_bytes + at;
            m[j] = vec_load(from);
            __builtin_prefetch(from + k->next, 0, 2);
        }
    } else {
        for (int j = 0; j < VEC_LANES; j++)
            m[j] = vec_set(0.0f);
        for (int j = k->begin; j < k->end && at < k->row_bytes; j++)
            m[j] = load_bytes(k->from + (size_t)j * k->row_bytes + at, k->row_bytes - at);
    }
    vec_transpose(m);
}

/* The same for I8: a lane of what is loaded has four numbers. */
static void pack_key_bytes(float *panel, int dim, struct key_rows k)
{
    for (int d = 0; d < dim; d += 4 * VEC_LANES) {
        struct vec m[VEC_LANES];
        load_across(m, &k, (size_t)d);
        for (int i = 0; i < VEC_LANES && d + 4 * i < dim; i++, panel += 4 * VEC_LANES) {
            struct vec bytes = m[i];
            for (int byte = 3; byte >= 0; byte--) {
                vec_store(panel + byte * VEC_LANES, vec_top_byte(bytes));
                bytes = vec_next_byte(bytes);
            }
        }
    }
}

/* To panel[dim][16 positions], widened. */
static void pack_key_panel(float *panel, int dim, enum dtype dtype, struct key_rows k)
{
    if (dtype == DTYPE_I8) {
        pack_key_bytes(panel, dim, k);
        return;
    }
    for (int d = 0; d < dim; d += dtype == DTYPE_BF16 ? K_BLOCK : VEC_LANES) {
        struct vec m[VEC_LANES];
        load_across(m, &k, (size_t)d * dtype_bytes(dtype));
        for (int i = 0; i < VEC_LANES; i++) {
            vec_store(panel, dtype == DTYPE_BF16 ? vec_even(m[i]) : m[i]);
            panel += VEC_LANES;
            if (dtype == DTYPE_BF16) {
                vec_store(panel, vec_odd(m[i]));
                panel += VEC_LANES;
            }
        }
    }
}

/* To panel[dim / 2][16 positions], as pairs of BF16, which hold I8 exactly. */
static void pack_key_byte_pairs(float *panel, int dim, struct key_rows k)
{
    for (int d = 0; d < dim; d += 4 * VEC_LANES) {
        struct vec m[VEC_LANES];
        load_across(m, &k, (size_t)d);
        for (int i = 0; i < VEC_LANES && d + 4 * i < dim; i++, panel += 2 * VEC_LANES) {
            const struct vec third = vec_next_byte(m[i]), second = vec_next_byte(third);
            const struct vec first = vec_next_byte(second);
            vec_store(panel, vec_pairs(vec_top_byte(first), vec_top_byte(second)));
            vec_store(panel + VEC_LANES, vec_pairs(vec_top_byte(third), vec_top_byte(m[i])));
        }
    }
}

/* The same from BF16 or I8. */
static void pack_key_pairs(float *panel, int dim, enum dtype dtype, struct key_rows k)
{
    if (dtype == DTYPE_I8) {
        pack_key_byte_pairs(panel, dim, k);
        return;
    }
    for (int d = 0; d < dim; d += K_BLOCK) {
        struct vec m[VEC_LANES];
        load_across(m, &k, (size_t)d * sizeof(bf16));
        for (int i = 0; i < VEC_LANES; i++, panel += VEC_LANES)
            vec_store(panel, m[i]);
    }
}

/* Positions [begin, end) of the chunk; whole blocks of 32 around them are written. */
static void pack_keys(const struct attention_rows *rows, struct attention_scratch *s, int chunk,
                      int begin, int end)
{
    const int from = begin / K_BLOCK * K_BLOCK, to = (end + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
    for (int p = from; p < to; p += VEC_LANES)
        pack_key_panel(
            s->keys + (size_t)p * (size_t)rows->dim, rows->dim, rows->cache->dtype,
            key_rows(rows, chunk * ATTENTION_CHUNK + p, begin > p ? begin - p : 0, end - p));
}

/* The first n of 16 numbers of 16 bits to the upper half of each lane. */
static inline struct vec load_halves(const bf16 *from, int n)
{
    if (n >= VEC_LANES)
        return vec_load_bf16(from);
    bf16 part[VEC_LANES] = {0};
    memcpy(part, from, (size_t)n * sizeof *from);
    return vec_load_bf16(part);
}

/* Two positions from a pair of the cache to their places in the panels; a position not to be read
 * becomes zeros. Adds 0 * value to *zero, which stays 0 as long as all are finite. */
static inline void pack_value_pair(const struct attention_rows *rows, float *to, size_t from,
                                   bool first, bool second, struct vec *zero)
{
    const struct kv_cache *c = rows->cache;
    const struct vec nothing = vec_set(0.0f);
    for (int d = 0; d < rows->dim; d += VEC_LANES, to += PANEL_BLOCK) {
        struct vec a = nothing, b = nothing;
        const int left = c->head_dim - d;
        if (left > 0 && c->dtype == DTYPE_BF16) {
            const bf16 *pairs = (const bf16 *)c->v + from + 2 * d;
            const struct vec both = load_bytes((const char *)pairs, (size_t)left * sizeof(float));
            a = vec_even(both);
            b = vec_odd(both);
        } else if (left > 0 && c->dtype == DTYPE_I8) {
            const bf16 *pairs = (const bf16 *)(const void *)((const int8_t *)c->v + from + 2 * d);
            const struct vec both = load_halves(pairs, left);
            a = vec_top_byte(vec_next_byte(both));
            b = vec_top_byte(both);
        } else if (left > 0) {
            const float *pairs = (const float *)c->v + from + 2 * d;
            float even[VEC_LANES] = {0}, odd[VEC_LANES] = {0};
            for (int i = 0; i < VEC_LANES && i < left; i++) {
                even[i] = pairs[2 * i];
                odd[i] = pairs[2 * i + 1];
            }
            a = vec_load(even);
            b = vec_load(odd);
        }
        a = first ? a : nothing;
        b = second ? b : nothing;
        *zero = vec_fma(a, nothing, vec_fma(b, nothing, *zero));
        vec_store(to, a);
        vec_store(to + VEC_LANES, b);
    }
}

/* The scales of I8, 0 at positions that are not read. */
static void pack_scales(const struct attention_rows *rows, struct attention_scratch *s, int chunk,
                        int begin, int end)
{
    const struct kv_cache *c = rows->cache;
    const int from = begin / K_BLOCK * K_BLOCK, to = (end + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
    memset(s->k_scale + from, 0, (size_t)(to - from) * sizeof *s->k_scale);
    memset(s->v_scale + from, 0, (size_t)(to - from) * sizeof *s->v_scale);
    for (int p = begin, n; p < end; p += n) { /* block by block */
        const int position = chunk * ATTENTION_CHUNK + p, in_block = position % c->block_tokens;
        const int left = c->block_tokens - in_block;
        n = left < end - p ? left : end - p;
        const size_t at = cache_block_at(rows, position) / (size_t)c->head_dim + (size_t)in_block;
        memcpy(s->k_scale + p, c->k_scale + at, (size_t)n * sizeof *s->k_scale);
        memcpy(s->v_scale + p, c->v_scale + at, (size_t)n * sizeof *s->v_scale);
    }
}

/* As pack_keys(); false if a value is not finite. */
static bool pack_values(const struct attention_rows *rows, struct attention_scratch *s, int chunk,
                        int begin, int end)
{
    const struct kv_cache *c = rows->cache;
    const int from = begin / K_BLOCK * K_BLOCK, to = (end + K_BLOCK - 1) / K_BLOCK * K_BLOCK;
    struct vec zero = vec_set(0.0f);
    for (int p = from; p < to; p += 2) {
        const bool first = p >= begin && p < end, second = p + 1 >= begin && p + 1 < end;
        float *panel = s->values + (size_t)(p / K_BLOCK * K_BLOCK) * (size_t)rows->dim +
                       (size_t)(p % K_BLOCK) * VEC_LANES;
        if (!first && !second) {
            for (int d = 0; d < rows->dim; d += VEC_LANES, panel += PANEL_BLOCK)
                memset(panel, 0, 2 * sizeof(struct vec));
            continue;
        }
        const int position = chunk * ATTENTION_CHUNK + p;
        const size_t in_block = (size_t)(position % c->block_tokens);
        const size_t at = cache_block_at(rows, position) + in_block * (size_t)c->head_dim;
        pack_value_pair(rows, panel, at, first, second, &zero);
    }
    return vec_sum(zero) == 0.0f;
}
