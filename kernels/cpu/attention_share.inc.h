/* kernels/cpu/attention_share.inc.h: who does what of a call of attention; attention.inc.h has what
 * is done. A file per instruction set includes one of vec_*.inc.h and then this. */
#pragma once
#ifndef VEC_LANES
#include "kernels/cpu/vec_scalar.inc.h"
#endif
#include "kernels/cpu/attention.inc.h"

#include <limits.h>

/* ---- many rows ---- */

struct attention_work {
    const struct attention_args *args;
    struct device *device;
    int tokens_per_item, n_runs; /* runs of tokens, over all sequences */
};

/* Runs of tokens are numbered so that those of sequence s start at
 * first_row[s] / tokens_per_item + s: always room enough, and found by halving. */
static int sequence_of_run(const struct attention_work *work, int run)
{
    const struct attention_args *a = work->args;
    int lo = 0, hi = a->n_sequences;
    while (hi - lo > 1) {
        const int mid = lo + (hi - lo) / 2;
        if (a->first_row[mid] / work->tokens_per_item + mid <= run)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Tokens [token, token + n_tokens) of a sequence, which the plan has from first_row on. */
static struct attention_rows rows_of(const struct attention_args *a, int sequence, int token,
                                     int n_tokens, int kv_head)
{
    struct attention_rows rows = {.cache = a->cache,
                                  .block = a->block + a->first_block[sequence],
                                  .kv_head = kv_head,
                                  .dim = padded_dim(a->cache->head_dim),
                                  .first_token = token,
                                  .position =
                                      a->n_computed[sequence] + token - a->first_row[sequence],
                                  .window = a->window,
                                  .scale = a->scale,
                                  .softcap = a->softcap};
    rows.n_seen = rows.position + n_tokens;
    return rows;
}

/* The query heads from first_head on that share a KV head, no more than fit. */
static int heads_from(const struct attention_args *a, int first_head)
{
    int n = 1;
    while (first_head + n < a->n_heads && n < ATTENTION_ROWS &&
           a->kv_of_head[first_head + n] == a->kv_of_head[first_head])
        n++;
    return n;
}

static void attention_item(void *context, int item, int thread)
{
    const struct attention_work *work = context;
    const struct attention_args *a = work->args;
    const int run = work->n_runs - 1 - item / a->cache->n_kv_heads; /* the longest first */
    const int kv_head = item % a->cache->n_kv_heads;
    const int sequence = sequence_of_run(work, run);
    const int first_row = a->first_row[sequence], end_row = a->first_row[sequence + 1];
    const int in_sequence = run - (first_row / work->tokens_per_item + sequence);
    const int token = first_row + in_sequence * work->tokens_per_item;
    if (token >= end_row)
        return;

    const int left = end_row - token;
    const int n_tokens = left < work->tokens_per_item ? left : work->tokens_per_item;
    struct attention_rows rows = rows_of(a, sequence, token, n_tokens, kv_head);
    struct attention_scratch scratch =
        attention_scratch_make(work->device->scratch[thread], rows.dim);
    for (int head = 0; head < a->n_heads; head += rows.n_heads) {
        rows.first_head = head;
        rows.n_heads = heads_from(a, head);
        rows.n_rows = n_tokens * rows.n_heads;
        if (a->kv_of_head[head] == kv_head)
            attend(a, &rows, &scratch);
    }
}

/* ---- few long sequences ---- */

/* Where there are fewer pairs of a sequence and a KV head than would keep all threads busy, and
 * each sequence decodes one token, the items are runs of chunks: runs, because a chunk fetches the
 * next one ahead, and that helps no other core. What a chunk gives (the maximum, the sum and the
 * output of each row) goes to a slot at the end of the threads' scratch memory; when the slots are
 * full or all is done the caller combines them from left to right. A chunk onto nothing is the
 * chunk itself, bit by bit: that is what attend_chunk() leaves after begin_rows(). */
struct split {
    const struct attention_args *args;
    struct device *device;
    size_t slot_floats;
    int slots_per_thread, group; /* group: rows that a slot has room for */
    int first_unit, n_units;     /* of this wave; unit i has slot 1 + i - first_unit */
    int units_per_item;
};

/* One chunk of one sequence and KV head; a unit, because `rows` may be of no query head. */
struct unit {
    struct attention_rows rows;
    int chunk, last_chunk;
};

static int first_head_of(const struct attention_args *a, int kv_head)
{
    int head = 0;
    while (head < a->n_heads && a->kv_of_head[head] != kv_head)
        head++;
    return head;
}

static int first_chunk_of(const struct attention_args *a, int sequence)
{
    const int n = a->n_computed[sequence] + 1;
    return a->window > 0 && n > a->window ? (n - a->window) / ATTENTION_CHUNK : 0;
}

static int n_chunks_of(const struct attention_args *a, int sequence)
{
    return a->n_computed[sequence] / ATTENTION_CHUNK + 1 - first_chunk_of(a, sequence);
}

/* Units are numbered by sequence, then KV head, then chunk. */
static struct unit unit_at(const struct attention_args *a, int index)
{
    int sequence = 0, n_chunks;
    for (;; sequence++) {
        n_chunks = n_chunks_of(a, sequence);
        if (index < n_chunks * a->cache->n_kv_heads)
            break;
        index -= n_chunks * a->cache->n_kv_heads;
    }
    const int kv_head = index / n_chunks, first = first_chunk_of(a, sequence);
    struct unit unit = {.rows = rows_of(a, sequence, a->first_row[sequence], 1, kv_head),
                        .chunk = first + index % n_chunks,
                        .last_chunk = first + n_chunks - 1};
    unit.rows.first_head = first_head_of(a, kv_head);
    unit.rows.n_heads = unit.rows.first_head < a->n_heads ? heads_from(a, unit.rows.first_head) : 0;
    unit.rows.n_rows = unit.rows.n_heads;
    return unit;
}

/* Slot 0 is where the caller combines. */
static struct attention_scratch slot_at(const struct split *split, int slot)
{
    const int n_threads = team_size(split->device->team), in_thread = slot / n_threads;
    float *end = (float *)split->device->scratch[slot % n_threads] + CPU_SCRATCH_BYTES / 4;
    float *memory = end - (size_t)(in_thread + 1) * split->slot_floats;
    const size_t n_out = (size_t)split->group * (size_t)padded_dim(split->args->cache->head_dim);
    return (struct attention_scratch){.out = memory, .softmax = (struct softmax *)(memory + n_out)};
}

/* Unit first_unit + i, to its slot. */
static void attend_unit(const struct split *split, int i, int thread)
{
    const struct unit unit = unit_at(split->args, split->first_unit + i);
    if (unit.rows.n_rows == 0)
        return;
    struct attention_scratch s =
        attention_scratch_make(split->device->scratch[thread], unit.rows.dim);
    const struct attention_scratch slot = slot_at(split, 1 + i);
    s.out = slot.out;
    s.softmax = slot.softmax;
    read_queries(split->args, &unit.rows, s.query);
    begin_rows(&unit.rows, &s);
    attend_chunk(&unit.rows, &s, unit.chunk);
}

static void split_item(void *context, int item, int thread)
{
    const struct split *split = context;
    const int begin = item * split->units_per_item, end = begin + split->units_per_item;
    for (int i = begin; i < end && i < split->n_units; i++)
        attend_unit(split, i, thread);
}

static void combine_wave(const struct split *split)
{
    const struct attention_scratch all = slot_at(split, 0);
    for (int i = 0; i < split->n_units; i++) {
        const struct unit unit = unit_at(split->args, split->first_unit + i);
        const struct attention_rows *rows = &unit.rows;
        const struct attention_scratch slot = slot_at(split, 1 + i);
        if (unit.chunk * ATTENTION_CHUNK <= first_seen(rows))
            begin_rows(rows, &all);
        for (int r = 0; r < rows->n_rows; r++)
            combine_row(&all.softmax[r], all.out + (size_t)(r * rows->dim), slot.softmax[r],
                        slot.out + (size_t)(r * rows->dim), rows->dim);
        if (unit.chunk == unit.last_chunk)
            write_rows(split->args, rows, &all);
    }
}

static void attend_split(const struct split *split, int n_units)
{
    enum { ITEMS_PER_THREAD = 4 }; /* a thread that comes late finds some left */
    struct split wave = *split;
    const int n_threads = team_size(split->device->team);
    const int room = split->slots_per_thread * n_threads - 1;
    for (; wave.first_unit < n_units; wave.first_unit += wave.n_units) {
        const int left = n_units - wave.first_unit, n_items = ITEMS_PER_THREAD * n_threads;
        wave.n_units = left < room ? left : room;
        wave.units_per_item = (wave.n_units + n_items - 1) / n_items;
        team_run(split->device->team, split_item, &wave,
                 (wave.n_units + wave.units_per_item - 1) / wave.units_per_item);
        combine_wave(&wave);
    }
}

/* Query heads that share a KV head, at most. */
static int largest_group(const struct attention_args *a)
{
    int largest = 1, n = 1;
    for (int h = 1; h < a->n_heads; h++) {
        n = a->kv_of_head[h] == a->kv_of_head[h - 1] ? n + 1 : 1;
        largest = n > largest ? n : largest;
    }
    return largest;
}

static struct split split_make(struct device *device, const struct attention_args *a, int group)
{
    const size_t dim = (size_t)padded_dim(a->cache->head_dim), line = 64 / sizeof(float);
    const size_t n_floats = (size_t)group * (dim + 2);
    struct split split = {.args = a, .device = device, .group = group};
    split.slot_floats = (n_floats + line - 1) / line * line;
    const size_t room = CPU_SCRATCH_BYTES - attention_scratch_bytes((int)dim);
    split.slots_per_thread = (int)(room / (split.slot_floats * sizeof(float)));
    return split;
}

/* Units of chunks, or 0 where items of whole rows keep the threads busy: they go through the chunks
 * of a row without a stop, so they are better unless a fifth of the threads' time would be lost. */
static int split_units(const struct device *device, const struct attention_args *a, int group)
{
    const int64_t n_threads = team_size(device->team);
    const int64_t n_pairs = (int64_t)a->n_sequences * a->cache->n_kv_heads;
    if (n_threads == 1 || a->n_tokens != a->n_sequences || n_pairs >= 2 * n_threads ||
        group > ATTENTION_ROWS)
        return 0;
    int64_t n_units = 0, longest = 0;
    for (int s = 0; s < a->n_sequences; s++) {
        if (a->first_row[s + 1] - a->first_row[s] != 1)
            return 0;
        const int n_chunks = n_chunks_of(a, s);
        n_units += (int64_t)n_chunks * a->cache->n_kv_heads;
        longest = n_chunks > longest ? n_chunks : longest;
    }
    const int64_t rounds = (n_pairs + n_threads - 1) / n_threads;
    const bool is_even = 4 * n_threads * rounds * longest <= 5 * n_units;
    return is_even || n_units > INT_MAX ? 0 : (int)n_units;
}

void LEVEL(attention)(struct device *device, const struct attention_args *args)
{
    if (args->n_tokens == 0)
        return;
    const int group = largest_group(args);
    const int n_units = split_units(device, args, group);
    if (n_units > 0) {
        const struct split split = split_make(device, args, group);
        attend_split(&split, n_units);
        return;
    }
    const int tokens = group < ATTENTION_ROWS ? ATTENTION_ROWS / group : 1;
    struct attention_work work = {.args = args,
                                  .device = device,
                                  .tokens_per_item = tokens,
                                  .n_runs = args->n_tokens / tokens + args->n_sequences};
    team_run(device->team, attention_item, &work, work.n_runs * args->cache->n_kv_heads);
}
