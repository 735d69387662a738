#include "parallel/comm.h"

#include "base/system.h"

static bool note(struct comm *comm, int64_t begin_ns, size_t n_bytes, bool good)
{
    comm->spent.n_calls++;
    comm->spent.n_bytes += n_bytes;
    comm->spent.ns += clock_now_ns() - begin_ns;
    return good;
}

bool comm_tree_reduce(struct comm *comm, struct device *device, float *sum, float *parts,
                      int n_leaves, size_t count, struct error *err)
{
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->tree_reduce(comm, device, sum, parts, n_leaves, count, err);
    return note(comm, begin, count * sizeof *sum, good);
}

bool comm_all_gather(struct comm *comm, struct device *device, void *all, const void *mine,
                     const size_t *n_bytes, struct error *err)
{
    size_t total = 0;
    for (int rank = 0; rank < comm->size; rank++)
        total += n_bytes[rank];
    const int64_t begin = clock_now_ns();
    return note(comm, begin, total, comm->ops->all_gather(comm, device, all, mine, n_bytes, err));
}

bool comm_broadcast(struct comm *comm, void *bytes, size_t n_bytes, int root, bool idle,
                    struct error *err)
{
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->broadcast(comm, bytes, n_bytes, root, idle, err);
    return idle && comm->rank != root ? good : note(comm, begin, n_bytes, good);
}

bool comm_send(struct comm *comm, struct device *device, const void *bytes, size_t n_bytes, int to,
               struct error *err)
{
    const int64_t begin = clock_now_ns();
    return note(comm, begin, n_bytes, comm->ops->send(comm, device, bytes, n_bytes, to, err));
}

bool comm_receive(struct comm *comm, struct device *device, void *bytes, size_t n_bytes, int from,
                  bool idle, struct error *err)
{
    const int64_t begin = clock_now_ns();
    const bool good = comm->ops->receive(comm, device, bytes, n_bytes, from, idle, err);
    return idle ? good : note(comm, begin, n_bytes, good);
}

void comm_close(struct comm *comm)
{
    if (comm != NULL)
        comm->ops->close(comm);
}
