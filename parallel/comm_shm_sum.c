/* A sum is one segment for small payloads (everyone reads everything and adds the whole tree), two
 * for large ones (everyone adds its slice of the columns, then all collect the slices); larger
 * payloads than a slot come as several. */
#include "parallel/comm_shm_state.h"
#include "parallel/pieces.h"

enum {
    SLOT_FLOATS = SLOT_BYTES / sizeof(float),
    ONE_SHOT_BYTES = 32 << 10, /* largest sum that every rank adds whole (see README.md) */
};

/* Adds up columns [lo, hi) of everyone's parts; this rank's own do not pass through its slot. */
static void sum_slots(struct shm *shm, const struct columns *columns, size_t lo, size_t hi)
{
    const struct tree_layout *layout = &shm->layout;
    const float *part[MAX_LEAVES];
    for (int rank = 0; rank < shm->comm.size; rank++) {
        const float *slot = (const float *)(const void *)slot_of(shm, rank);
        const bool mine = rank == shm->comm.rank;
        const int first = layout->first_part[rank];
        for (int p = first; p < layout->first_part[rank + 1]; p++)
            part[p] = lo + (mine ? columns->parts + (size_t)(p - first) * columns->stride
                                 : slot + (size_t)(p - first) * columns->count);
    }
    tree_sum(layout, columns->sum + lo, part, hi - lo);
}

/* Everyone's parts to everyone, but for columns [lo, hi) of this rank. */
static bool share_parts(struct shm *shm, const struct columns *columns, size_t lo, size_t hi,
                        struct error *err)
{
    if (!shm_segment_begin(shm, true, err))
        return false;
    const struct tree_layout *layout = &shm->layout;
    const int rank = shm->comm.rank;
    const int n_parts = layout->first_part[rank + 1] - layout->first_part[rank];
    for (int p = 0; p < n_parts; p++) {
        const float *from = columns->parts + (size_t)p * columns->stride;
        float *to = (float *)(void *)slot_of(shm, rank) + (size_t)p * columns->count;
        copy(to, from, lo * sizeof *to);
        copy(to + hi, from + hi, (columns->count - hi) * sizeof *to);
    }
    shm_segment_publish(shm);
    return shm_segment_collect(shm, err);
}

static bool reduce_one_shot(struct shm *shm, const struct columns *columns, struct error *err)
{
    if (!share_parts(shm, columns, 0, 0, err))
        return false;
    sum_slots(shm, columns, 0, columns->count);
    return true;
}

static bool reduce_two_shot(struct shm *shm, const struct columns *columns, struct error *err)
{
    const int rank = shm->comm.rank;
    const size_t lo = slice_begin(columns->count, shm->comm.size, rank);
    const size_t hi = slice_begin(columns->count, shm->comm.size, rank + 1);
    if (!share_parts(shm, columns, lo, hi, err))
        return false;
    sum_slots(shm, columns, lo, hi);

    if (!shm_segment_begin(shm, true, err))
        return false;
    copy(slot_of(shm, rank), columns->sum + lo, (hi - lo) * sizeof *columns->sum);
    shm_segment_publish(shm);
    if (!shm_segment_collect(shm, err))
        return false;
    for (int from = 0; from < shm->comm.size; from++) {
        const size_t begin = slice_begin(columns->count, shm->comm.size, from);
        const size_t n = slice_begin(columns->count, shm->comm.size, from + 1) - begin;
        if (from != rank)
            copy(columns->sum + begin, slot_of(shm, from), n * sizeof *columns->sum);
    }
    return true;
}

bool shm_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                     int n_leaves, size_t count, struct error *err)
{
    (void)device;
    struct shm *shm = shm_of(comm);
    if (!call_begin(&shm->call, CALL_TREE_REDUCE, count * MAX_LEAVES + (size_t)n_leaves, comm,
                    &shm->settings, err))
        return false;
    if (shm->layout.n_leaves != n_leaves)
        shm->layout = tree_layout_make(n_leaves, comm->size);
    const size_t most_parts = (size_t)shm->layout.most_parts;
    const size_t room = SLOT_FLOATS / most_parts / LINE_FLOATS * LINE_FLOATS;
    const bool two_shot = comm->size > 2 && count * most_parts * sizeof *sum > ONE_SHOT_BYTES;
    bool ok = true;
    for (size_t at = 0; ok && at < count; at += room) {
        const struct columns columns = {.sum = sum + at,
                                        .parts = parts + at,
                                        .stride = count,
                                        .count = min_size(room, count - at)};
        ok = two_shot ? reduce_two_shot(shm, &columns, err) : reduce_one_shot(shm, &columns, err);
    }
    return call_end(&shm->call, ok);
}
