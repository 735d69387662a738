/* A small sum is one step: everyone sends its parts to everyone, and adds the whole tree. A large
 * one is two: everyone adds its slice of the columns, then all collect the slices. What is larger
 * than the buffers comes as several. */
#include "parallel/comm_mpi_state.h"
#include "parallel/pieces.h"

static int parts_of(const struct mpi *mpi, int rank)
{
    return mpi->layout.first_part[rank + 1] - mpi->layout.first_part[rank];
}

/* Columns [lo, hi) of the parts of this rank, row after row; `room` is for them where they are not
 * so already: one part lies as it is sent. */
static const float *pack(const struct mpi *mpi, float *room, const struct columns *columns,
                         size_t lo, size_t hi)
{
    const int n_parts = parts_of(mpi, mpi->comm.rank);
    if (n_parts == 1)
        return columns->parts + lo;
    for (int p = 0; p < n_parts; p++)
        copy(room + (size_t)p * (hi - lo), columns->parts + (size_t)p * columns->stride + lo,
             (hi - lo) * sizeof *room);
    return room;
}

/* Receives columns [lo, hi) of everyone's parts, when all that this rank sends has been started,
 * and adds them up. */
static bool collect_and_sum(struct mpi *mpi, const struct columns *columns, size_t lo, size_t hi,
                            struct error *err)
{
    const float *part[MAX_LEAVES];
    float *at = mpi->others;
    for (int rank = 0; rank < mpi->comm.size; rank++) {
        const bool mine = rank == mpi->comm.rank;
        const size_t n = (size_t)parts_of(mpi, rank) * (hi - lo);
        for (int p = 0; p < parts_of(mpi, rank); p++)
            part[mpi->layout.first_part[rank] + p] =
                mine ? columns->parts + (size_t)p * columns->stride + lo
                     : at + (size_t)p * (hi - lo);
        if (mine)
            continue;
        if (!mpi_start_receive(mpi, at, n * sizeof *at, rank, err))
            return false;
        at += n;
    }
    if (!mpi_finish(mpi, false, err))
        return false;
    tree_sum(&mpi->layout, columns->sum + lo, part, hi - lo);
    return true;
}

static bool reduce_one_shot(struct mpi *mpi, const struct columns *columns, struct error *err)
{
    const float *packed = pack(mpi, mpi->packed, columns, 0, columns->count);
    const size_t n = (size_t)parts_of(mpi, mpi->comm.rank) * columns->count;
    for (int to = 0; to < mpi->comm.size; to++)
        if (to != mpi->comm.rank && !mpi_start_send(mpi, packed, n * sizeof *packed, to, err))
            return false;
    return collect_and_sum(mpi, columns, 0, columns->count, err);
}

static bool reduce_two_shot(struct mpi *mpi, const struct columns *columns, struct error *err)
{
    const int rank = mpi->comm.rank;
    float *room = mpi->packed;
    for (int to = 0; to < mpi->comm.size; to++) {
        if (to == rank)
            continue;
        const size_t first = slice_begin(columns->count, mpi->comm.size, to);
        const size_t last = slice_begin(columns->count, mpi->comm.size, to + 1);
        const size_t n = (size_t)parts_of(mpi, rank) * (last - first);
        const float *packed = pack(mpi, room, columns, first, last);
        if (!mpi_start_send(mpi, packed, n * sizeof *packed, to, err))
            return false;
        room += n;
    }
    const size_t lo = slice_begin(columns->count, mpi->comm.size, rank);
    const size_t hi = slice_begin(columns->count, mpi->comm.size, rank + 1);
    if (!collect_and_sum(mpi, columns, lo, hi, err))
        return false;

    for (int peer = 0; peer < mpi->comm.size; peer++) {
        const size_t from = slice_begin(columns->count, mpi->comm.size, peer);
        const size_t n = slice_begin(columns->count, mpi->comm.size, peer + 1) - from;
        float *sum = columns->sum;
        if (peer != rank && (!mpi_start_receive(mpi, sum + from, n * sizeof *sum, peer, err) ||
                             !mpi_start_send(mpi, sum + lo, (hi - lo) * sizeof *sum, peer, err)))
            return false;
    }
    return mpi_finish(mpi, false, err);
}

bool mpi_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                     int n_leaves, size_t count, struct error *err)
{
    (void)device;
    struct mpi *mpi = mpi_of(comm);
    if (!call_begin(&mpi->call, CALL_TREE_REDUCE, count, comm, &mpi->settings, err))
        return false;
    if (mpi->layout.n_leaves != n_leaves)
        mpi->layout = tree_layout_make(n_leaves, comm->size);
    const size_t most_parts = (size_t)mpi->layout.most_parts;
    const size_t room = SEGMENT_FLOATS / most_parts;
    const bool two_shot = comm->size > 2 && count * most_parts * sizeof *sum > ONE_SHOT_BYTES;
    bool ok = true;
    for (size_t at = 0; ok && at < count; at += room) {
        const struct columns columns = {.sum = sum + at,
                                        .parts = parts + at,
                                        .stride = count,
                                        .count = min_size(room, count - at)};
        ok = two_shot ? reduce_two_shot(mpi, &columns, err) : reduce_one_shot(mpi, &columns, err);
    }
    return mpi_end(mpi, ok);
}
